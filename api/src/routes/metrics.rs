//! `GET /metrics`: what is counted, for programs that watch.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;
use crate::jobs;
use crate::schedule;
use crate::state::AppState;
use crate::watch::Form;

/// Tell what is counted: requests, queue, maps and their errors, memory.
///
/// In OpenMetrics where that is accepted, else in Prometheus' older text. Needs a key with scope `read` where others
/// do, unless the configuration says `metrics_open`.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "service",
    responses(
        (status = 200, description = "The figures", content(
            (String = "text/plain"),
            (String = "application/openmetrics-text"),
        )),
        (status = 401, description = "A key is needed"),
        (status = 403, description = "The key has not scope `read`"),
    )
)]
pub(crate) async fn metrics(
    State(state): State<AppState>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
    let form = if open { Form::OpenMetrics } else { Form::Prometheus };
    let shared = state.clone();
    // The system's figures are files.
    let told = tokio::task::spawn_blocking(move || {
        // Figures of the rest are told all the same where the database fails.
        match shared.store().read(jobs::census) {
            Ok(census) => shared.watch().jobs(&census),
            Err(error) => tracing::warn!(%error, "jobs cannot be counted"),
        }
        match schedule::census(&shared) {
            Ok((schedules, waiting)) => shared.watch().schedules(&schedules, &waiting),
            Err(error) => tracing::warn!(?error, "schedules cannot be counted"),
        }
        shared.watch().account.waits(shared.account().waiting());
        shared.watch().told(shared.occupancy(), shared.uptime().as_secs_f64(), form)
    });
    let text =
        told.await.map_err(|error| ApiError::internal("the figures were not told", error))?;
    let text = text.map_err(|error| ApiError::internal("the figures were not told", error))?;
    let media_type = HeaderValue::from_static(form.media_type());
    Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
}
