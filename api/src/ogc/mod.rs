//! The same service as the OGC has it (OGC API – Processes, 18-062r2), so that existing clients work.
//!
//! What the landing page links to, and what `/conformance` claims, is put together here: a part of
//! another standard adds its lines to [`CONFORMANCE`] and [`links`], and its routes to [`routes`].

pub(crate) mod base;
mod describe;
pub(crate) mod execute;
pub(crate) mod execution;
pub(crate) mod jobs;
pub(crate) mod landing;
mod older;
mod output;
mod plain;
pub(crate) mod processes;
mod readings;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use base::Base;

use crate::state::AppState;
use crate::wire::jobs::Link;

/// Requirements classes that the service conforms to.
pub(crate) const CONFORMANCE: &[&str] = &[
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/landing-page",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/json",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/json",
    "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/ogc-process-description",
    "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/job-list",
    "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/dismiss",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/core",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/collections",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/queries",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/json",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/covjson",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/edr-geojson",
];

/// Where the landing page leads: path, relation, media type, title.
const WAYS: &[[&str; 4]] = &[
    ["/", "self", JSON, "this page"],
    ["/openapi.json", "service-desc", OPENAPI, "this interface, for programs"],
    ["/openapi-3.0.json", "service-desc", OLDER, "the same for programs that know OpenAPI 3.0"],
    ["/docs/", "service-doc", "text/html", "this interface, to read and try"],
    ["/conformance", "conformance", JSON, "what standards the service conforms to"],
    [
        "/conformance",
        "http://www.opengis.net/def/rel/ogc/1.0/conformance",
        JSON,
        "what standards the service conforms to",
    ],
    ["/processes", "http://www.opengis.net/def/rel/ogc/1.0/processes", JSON, "what can be made"],
    ["/collections", "data", JSON, "maps that are kept, by network (OGC API – EDR)"],
    ["/jobs", "http://www.opengis.net/def/rel/ogc/1.0/job-list", JSON, "large work under way"],
];

const JSON: &str = "application/json";
const OPENAPI: &str = "application/vnd.oai.openapi+json;version=3.1";
const OLDER: &str = "application/vnd.oai.openapi+json;version=3.0";

/// Links of the landing page.
pub(crate) fn links(base: &Base) -> Vec<Link> {
    let link = |[path, rel, kind, title]: &[&'static str; 4]| Link {
        href: base.at(path),
        rel,
        r#type: Some(kind),
        title: Some(title),
    };
    WAYS.iter().map(link).collect()
}

/// Routes of these standards.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(landing::index))
        .routes(routes!(landing::conformance))
        .routes(routes!(processes::list))
        .routes(routes!(processes::describe_one))
        .routes(routes!(execution::execute))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::status, jobs::dismiss))
        .routes(routes!(jobs::result))
}

/// The description of the interface for programs that know OpenAPI 3.0 only.
pub(crate) fn older_document(newer: &impl serde::Serialize) -> String {
    older::document(serde_json::to_value(newer).unwrap_or_default()).to_string()
}
