//! Is it alive, is it ready, and what is there: `/healthz`, `/readyz`, `/`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use isopleth_engine::kernels::Evaluator;

use crate::state::AppState;
use crate::wire::answer::{HealthAnswer, IndexAnswer, LimitsAnswer, ReadyAnswer};

/// Say that the process is alive.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "service",
    responses((status = 200, description = "It is", body = HealthAnswer))
)]
pub(crate) async fn live() -> Json<HealthAnswer> {
    Json(HealthAnswer { status: "alive" })
}

/// Say whether new requests are welcome, and what they may ask for.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "service",
    responses(
        (status = 200, description = "They are", body = ReadyAnswer),
        (status = 503, description = "It is shutting down", body = ReadyAnswer),
    )
)]
pub(crate) async fn ready(State(state): State<AppState>) -> (StatusCode, Json<ReadyAnswer>) {
    let (ready, config) = (state.is_ready(), state.config());
    let answer = ReadyAnswer {
        ready,
        version: env!("CARGO_PKG_VERSION"),
        instructions: Evaluator::new().name().to_string(),
        limits: LimitsAnswer {
            body_bytes: config.max_body_bytes,
            cells: config.max_cells,
            values: config.max_values,
            json_values: config.max_json_values,
            stations: config.max_stations,
            memory_bytes: config.memory_of_a_map(),
            concurrency: config.concurrency,
            queue_length: config.queue_length,
        },
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(answer))
}

/// List what there is; a browser is shown the documentation.
#[utoipa::path(
    get,
    path = "/",
    tag = "service",
    responses(
        (status = 200, description = "What there is", body = IndexAnswer),
        (status = 303, description = "To the documentation, for those who accept text/html"),
    )
)]
pub(crate) async fn index(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        return Redirect::to("/docs/").into_response();
    }
    let resources = BTreeMap::from([
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
    ]);
    Json(IndexAnswer { service: concat!("isopleth ", env!("CARGO_PKG_VERSION")), resources })
        .into_response()
}
