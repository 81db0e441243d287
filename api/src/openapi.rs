//! The document that describes the interface (OpenAPI 3.1), made from the code.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router};
use utoipa::openapi::OpenApi as Document;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::doors;
use crate::error::Problem;
use crate::ogc;
use crate::routes::{
    catalogue, collections, crossvalidations, estimates, health, jobs, kernels, map_data, maps,
    metrics, network_maps, networks, schedules, slots,
};
use crate::state::AppState;
use crate::wire::catalogue::YesNo;
use crate::wire::query::MaskName;
use crate::wire::request::{CrossvalidationRequest, MapRequest};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Isopleth",
        description = "Maps from observations at scattered stations: readings in, map out.\n\n\
            Errors are `application/problem+json` (RFC 9457) with the row and column, the JSON \
            pointer or the parameter that is wrong. A client that hangs up stops the work.",
        license(name = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "maps", description = "Maps, their cost and their errors"),
        (name = "networks", description = "Stations that are remembered, and maps by values alone"),
        (name = "schedules", description = "Maps of every hour, unattended"),
        (name = "jobs", description = "Large maps, made one after the other"),
        (name = "ogc", description = "As the OGC has it: API – Processes"),
        (name = "service", description = "The state of the service"),
    ),
    // Only parameters have the first two, and those do not bring their schemas; errors are described in `doors`.
    components(schemas(MaskName, YesNo, Problem))
)]
struct Described;

/// A map as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form; `intake` reads it part by part")]
pub(crate) struct MapForm {
    /// Choices; none means all defaults, which a map cannot have: it needs a grid.
    request: MapRequest,
    /// A file of readings: CSV in any layout or JSON, also gzipped. May be given several times.
    #[schema(value_type = Vec<String>, format = Binary)]
    readings: Vec<u8>,
    /// A table of the stations' places, for readings that carry none.
    #[schema(value_type = Option<String>, format = Binary)]
    stations: Option<Vec<u8>>,
}

/// A cross-validation as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form; `intake` reads it part by part")]
pub(crate) struct CrossvalidationForm {
    /// Choices.
    request: Option<CrossvalidationRequest>,
    /// A file of readings: CSV in any layout or JSON, also gzipped. May be given several times.
    #[schema(value_type = Vec<String>, format = Binary)]
    readings: Vec<u8>,
    /// A table of the stations' places, for readings that carry none.
    #[schema(value_type = Option<String>, format = Binary)]
    stations: Option<Vec<u8>>,
}

/// Every described route, with its description.
pub(crate) fn described() -> (Router<AppState>, Document) {
    let (router, mut document) = OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(maps::make_map, catalogue::list))
        .routes(routes!(catalogue::get))
        .routes(routes!(map_data::data))
        .routes(routes!(map_data::values))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::status, jobs::dismiss))
        .routes(routes!(jobs::events))
        .routes(routes!(jobs::result))
        .routes(routes!(estimates::estimate))
        .routes(routes!(crossvalidations::crossvalidate_stations))
        .routes(routes!(kernels::list))
        .routes(routes!(networks::list))
        .routes(routes!(networks::put, networks::get, networks::delete))
        .routes(routes!(network_maps::make_map))
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::put, schedules::get, schedules::delete))
        .routes(routes!(schedules::pause))
        .routes(routes!(schedules::resume))
        .routes(routes!(slots::list))
        .routes(routes!(slots::get))
        .routes(routes!(slots::readings))
        .routes(routes!(schedules::backfill, schedules::backfills))
        .routes(routes!(slots::latest))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
        .merge(ogc::routes())
        .merge(collections::described())
        .split_for_parts();
    name_operations(&mut document);
    doors::described::describe(&mut document);
    (router, document)
}

/// Each has a name of its own: `get_v1_maps_id_data`.
fn name_operations(document: &mut Document) {
    for (path, item) in &mut document.paths.paths {
        let words =
            path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let words = words.map(|word| format!("_{word}")).collect::<String>();
        for (method, operation) in doors::described::operations(item) {
            operation.operation_id = Some(method.as_str().to_lowercase() + &words);
        }
    }
}

/// The document.
#[must_use]
pub fn document() -> Document {
    described().1
}

/// The document as it is served, and kept in `docs/openapi.json`.
///
/// # Panics
/// Never: the document is strings and numbers.
#[must_use]
pub fn document_json() -> String {
    let mut text = document().to_pretty_json().expect("strings and numbers become JSON");
    text.push('\n');
    text
}

/// `/openapi.json`, and `/docs`, which shows it with files of our own: no other host is asked.
pub(crate) fn pages() -> Router<AppState> {
    let config = Config::from("/openapi.json").validator_url("none");
    let document: Arc<Bytes> = Arc::new(document_json().into());
    let older: Arc<Bytes> = Arc::new(ogc::older_document(&described().1).into());
    Router::new()
        .merge(SwaggerUi::new("/docs").config(config))
        .route("/openapi.json", get(serve_document).layer(Extension(document)))
        .route("/openapi-3.0.json", get(serve_document).layer(Extension(older)))
}

async fn serve_document(Extension(document): Extension<Arc<Bytes>>) -> impl IntoResponse {
    let media_type = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, media_type)], Bytes::clone(&document))
}
