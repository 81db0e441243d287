//! `POST /v1/estimates`: what a map would take, without making it.

use axum::extract::{Request, State};
use axum::response::Response;

use super::maps::plan_of;
use super::{answered, to_json};
use crate::accept::{Form, Wanted};
use crate::error::ApiError;
use crate::intake::{self, Use, of_document};
use crate::state::AppState;
use crate::wire::answer::EstimateAnswer;
use crate::wire::quality::QualityQuery;
use crate::wire::query::{FormQuery, GridQuery, MethodQuery, Query};
use crate::wire::request::MapRequest;
use crate::wire::series::SeriesQuery;

/// Say what a map would take, without making it.
///
/// The request is that of `POST /v1/maps`. What exceeds a limit is refused here as it is there.
#[utoipa::path(
    post,
    path = "/v1/estimates",
    tag = "maps",
    params(FormQuery, GridQuery, MethodQuery, SeriesQuery, QualityQuery),
    request_body(content(
        (MapRequest = "application/json"),
        (String = "text/csv"),
        (serde_json::Value = "application/geo+json"),
        (Vec<u8> = "application/vnd.apache.parquet"),
        (Vec<u8> = "application/x-netcdf"),
        (crate::openapi::MapForm = "multipart/form-data"),
    )),
    responses(
        (status = 200, description = "What it would take", body = EstimateAnswer),
        (status = 400, description = "Not readable as what it claims to be"),
        (status = 406, description = "No form that is accepted"),
        (status = 408, description = "The body took too long"),
        (status = 413, description = "More than the limits allow"),
        (status = 415, description = "Not a form we read"),
        (status = 422, description = "Readings, grid or method make no sense"),
        (status = 500, description = "The service failed"),
        (status = 503, description = "Busy or stopping; see Retry-After"),
    )
)]
pub(crate) async fn estimate(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let FormQuery { f } = query.take()?;
    Wanted::of(f.as_deref(), request.headers(), &[Form::Json])?;
    let to = Use { with_grid: true, at_once: Some(of_document::<MapRequest>) };
    let (seat, received) = state.seated(intake::receive(&state, request, query, to)).await?;
    let shared = state.clone();
    let body = state.compute(seat, move |turn| {
        let by_query = received.is_by_query();
        let understood = received.understand::<MapRequest>(&shared, turn)?;
        let plan = plan_of(&shared, understood)
            .map_err(|error| if by_query { error.in_query() } else { error })?;
        to_json(&EstimateAnswer::new(&plan))
    });
    Ok(answered(body.await?, Form::Json.media_type()))
}
