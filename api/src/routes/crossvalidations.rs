//! `POST /v1/crossvalidations`: leave-one-out errors of every station.

use axum::extract::{Request, State};
use axum::response::Response;
use isopleth_engine::{Progress, crossvalidate};

use super::{answered, of_engine, timed, to_json};
use crate::accept::{Form, Wanted};
use crate::account::Draft;
use crate::error::ApiError;
use crate::intake::{self, Understood, Use, of_document};
use crate::state::AppState;
use crate::watch::traces::Stages;
use crate::wire::answer::CrossvalidationAnswer;
use crate::wire::quality::QualityQuery;
use crate::wire::query::{FormQuery, MethodQuery, Query};
use crate::wire::request::CrossvalidationRequest;
use crate::wire::series::SeriesQuery;

/// Leave out every station in turn, and say how well the others foretell it.
///
/// The request is that of `POST /v1/maps` without a grid. The answer has the errors of every field,
/// variable and station as JSON; or those of the stations as CSV.
#[utoipa::path(
    post,
    path = "/v1/crossvalidations",
    tag = "maps",
    params(
        FormQuery, MethodQuery, SeriesQuery, QualityQuery,
        ("x-isopleth-usage" = Option<String>, Header, description = "`none`: leave no row in the account"),
    ),
    request_body(content(
        (CrossvalidationRequest = "application/json"),
        (String = "text/csv"),
        (serde_json::Value = "application/geo+json"),
        (Vec<u8> = "application/vnd.apache.parquet"),
        (Vec<u8> = "application/x-netcdf"),
        (crate::openapi::CrossvalidationForm = "multipart/form-data"),
    )),
    responses(
        (status = 200, description = "The errors", content(
            (CrossvalidationAnswer<'_> = "application/json"),
            (String = "text/csv"),
        )),
        (status = 400, description = "Not readable as what it claims to be"),
        (status = 406, description = "No form that is accepted"),
        (status = 408, description = "The body took too long"),
        (status = 413, description = "More than the limits allow"),
        (status = 415, description = "Not a form we read"),
        (status = 422, description = "Readings or method make no sense"),
        (status = 500, description = "The service failed"),
        (status = 503, description = "Busy or stopping; see Retry-After"),
    )
)]
pub(crate) async fn crossvalidate_stations(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let FormQuery { f } = query.take()?;
    let offered = [Form::Json, Form::Csv];
    let wanted = Wanted::of(f.as_deref(), request.headers(), &offered)?;
    let form = wanted.best(&offered)?;
    let draft = Draft::of(&request);
    let to = Use { with_grid: false, at_once: Some(of_document::<CrossvalidationRequest>) };
    let (seat, received) = state.seated(intake::receive(&state, request, query, to)).await?;
    let shared = state.clone();
    let body = state.compute(seat, move |turn| {
        draft.begins();
        let by_query = received.is_by_query();
        let (understood, mut reading) =
            timed(|| received.understand::<CrossvalidationRequest>(&shared, turn))?;
        reading.cpu_seconds += understood.cpu_beside;
        let Understood { order, observations, .. } = understood;
        let limits = shared.config().limits();
        let (settings, folds, factors) = (order.settings, order.folds, shared.factors());
        // Nothing foresees how long it takes.
        let _memory = shared.admit(turn, f64::INFINITY, 0)?;
        let stages = Stages::new();
        let on_event = |event| stages.tell(event);
        let progress = Progress { on_event: &on_event, cancel: turn };
        let made = crossvalidate(observations, settings, &folds, &limits, progress, factors);
        let mut result = made
            .map_err(of_engine)
            .map_err(|error| if by_query { error.in_query() } else { error })?;
        result.report.book(reading);
        draft.left_out(&result.report, form.name());
        match form {
            Form::Csv => Ok(result.stations_csv().into_bytes()),
            _ => to_json(&CrossvalidationAnswer::new(&result)),
        }
    });
    Ok(answered(body.await?, form.media_type()))
}
