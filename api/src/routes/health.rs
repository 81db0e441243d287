//! Is it alive, is it ready: `/healthz`, `/readyz`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use isopleth_engine::kernels::Evaluator;

use crate::state::AppState;
use crate::wire::answer::{HealthAnswer, LimitsAnswer, ReadyAnswer};

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
            variables: config.max_variables,
            document_bytes: config.max_document_bytes,
            memory_bytes: config.memory_of_a_map(),
            concurrency: config.maps_at_once(),
            queue_length: config.queue_length,
        },
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(answer))
}
