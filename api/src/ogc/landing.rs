//! `/` and `/conformance`: where to go from here, and by which standards.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::OriginalUri;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Base, CONFORMANCE, links};
use crate::accept::{Page, page};
use crate::error::ApiError;
use crate::wire::jobs::Link;
use crate::wire::query::Query;

/// Where to go from here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LandingPage {
    /// What this is.
    title: &'static str,
    description: &'static str,
    /// Name and version of the program.
    service: &'static str,
    links: Vec<Link>,
    /// Paths and what they are for.
    resources: BTreeMap<&'static str, &'static str>,
}

/// For whom.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// `json`, or `html`; counts before the header `Accept`.
    #[param(example = "json")]
    f: Option<String>,
}

/// By which standards.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Conformance {
    /// Requirements classes that the service conforms to.
    #[serde(rename = "conformsTo")]
    conforms_to: &'static [&'static str],
}

/// Say where to go from here; a browser is shown the documentation.
#[utoipa::path(
    get,
    path = "/",
    tag = "ogc",
    params(PageQuery),
    responses(
        (status = 200, description = "What there is", body = LandingPage),
        (status = 303, description = "To the documentation, for those who prefer text/html (`f=html`)"),
        (status = 406, description = "No form that is accepted"),
        (status = 422, description = "The query makes no sense"),
    )
)]
pub(crate) async fn index(
    base: Base,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut query = Query::parse(uri.query());
    let PageQuery { f } = query.take()?;
    query.nothing_left("there is f")?;
    if page(f.as_deref(), &headers)? == Page::Html {
        return Ok(Redirect::to(&base.at("/docs/")).into_response());
    }
    let resources = BTreeMap::from([
        ("/collections", "maps that are kept, by network, as OGC API – EDR has them"),
        ("/docs/", "this interface, to read and try"),
        ("/healthz", "whether the process is alive"),
        ("/metrics", "what is counted, for programs that watch"),
        ("/openapi.json", "this interface, for programs"),
        ("/readyz", "whether requests are welcome, and the limits"),
        ("/v1/crossvalidations", "POST readings: leave-one-out errors"),
        ("/v1/estimates", "POST readings and a grid: what the map would take"),
        ("/v1/jobs", "large maps under way, and those that ended"),
        ("/v1/kernels", "the choices of a method"),
        ("/v1/maps", "POST readings and a grid: the map"),
        ("/v1/networks", "stations that are remembered"),
    ]);
    let landing = LandingPage {
        title: "Isopleth",
        description: "Maps from observations at scattered stations: readings in, map out",
        service: concat!("isopleth ", env!("CARGO_PKG_VERSION")),
        links: links(&base),
        resources,
    };
    Ok(Json(landing).into_response())
}

/// Say which standards the service conforms to.
#[utoipa::path(
    get,
    path = "/conformance",
    tag = "ogc",
    responses((status = 200, description = "Requirements classes", body = Conformance))
)]
pub(crate) async fn conformance() -> Json<Conformance> {
    Json(Conformance { conforms_to: CONFORMANCE })
}
