//! `POST /v1/maps`: readings in, map out.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use isopleth_engine::Plan;

use super::deliver::{Delivery, Made, Origin};
use super::jobs::{self, Fate, Owner};
use super::{of_engine, timed};
use crate::accept::{Form, Wanted};
use crate::error::ApiError;
use crate::intake::{self, Received, Understood, Use, of_document};
use crate::limits::Turn;
use crate::state::AppState;
use crate::watch::traces;
use crate::wire::answer::MapAnswer;
use crate::wire::catalogue::YesNo;
use crate::wire::jobs::JobAnswer;
use crate::wire::quality::QualityQuery;
use crate::wire::query::{FormQuery, GridQuery, KeepQuery, MethodQuery, Query};
use crate::wire::request::MapRequest;
use crate::wire::series::SeriesQuery;

/// Make a map of readings at stations.
///
/// The body is a JSON document with everything in it; or a table (`text/csv`, any layout that the
/// program reads; or points in GeoJSON, Parquet, NetCDF time series), with the choices in the query; or a form with a part `request` (JSON) and files
/// `readings` (several if need be) and `stations`. Tables may be gzipped.
///
/// The answer is a NetCDF file, or JSON for small maps; for a list of points CSV or JSON.
///
/// With `Prefer: respond-async` a map on a grid becomes a job: 201, with its place in `Location`.
/// With `keep=true` the map is answered at once, and kept as the result of a job is: `Location` has its place in the
/// catalogue.
#[utoipa::path(
    post,
    path = "/v1/maps",
    tag = "maps",
    params(
        FormQuery, KeepQuery, GridQuery, MethodQuery, SeriesQuery, QualityQuery,
        ("prefer" = Option<String>, Header, description = "`respond-async`: make it a job"),
        ("idempotency-key" = Option<String>, Header, description = "Of a job: the same key and request are the same job"),
        ("webhook-url" = Option<String>, Header, description = "Of a job: whom to tell of its end, if the service allows that host"),
        ("x-isopleth-usage" = Option<String>, Header, description = "`none`: leave no row in the account"),
    ),
    request_body(content(
        (MapRequest = "application/json"),
        (String = "text/csv"),
        (serde_json::Value = "application/geo+json"),
        (Vec<u8> = "application/vnd.apache.parquet"),
        (Vec<u8> = "application/x-netcdf"),
        (crate::openapi::MapForm = "multipart/form-data"),
    )),
    responses(
        (status = 200, description = "The map", content(
            (Vec<u8> = "application/x-netcdf"),
            (MapAnswer<'_> = "application/json"),
            (String = "text/csv"),
        ), headers(
            ("content-disposition" = String, description = "A name for the file"),
            ("location" = String, description = "Of a map that is kept: where it is told of"),
            ("content-location" = String, description = "Of a NetCDF file that is kept: where this very file is"),
            ("etag" = String, description = "Of a NetCDF file that is kept: its digest"),
        )),
        (status = 201, description = "It became a job", body = JobAnswer, headers(
            ("location" = String, description = "Where the job is"),
            ("preference-applied" = String, description = "respond-async"),
        )),
        (status = 400, description = "Not readable as what it claims to be"),
        (status = 406, description = "No form that is accepted"),
        (status = 408, description = "The body took too long"),
        (status = 413, description = "More than the limits allow"),
        (status = 415, description = "Not a form we read"),
        (status = 422, description = "Readings, grid or method make no sense"),
        (status = 500, description = "The service failed"),
        (status = 503, description = "Busy or stopping; see Retry-After"),
        (status = 507, description = "There is no room to keep the map in (`keep=true`)"),
    )
)]
pub(crate) async fn make_map(
    State(state): State<AppState>,
    owner: Owner,
    request: Request,
) -> Result<Response, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let FormQuery { f } = query.take()?;
    let KeepQuery { keep } = query.take()?;
    // Among equals the first that the targets allow: a file for a grid, a table for points.
    let offered = [Form::NetCdf, Form::Csv, Form::Json];
    let wanted = Wanted::of(f.as_deref(), request.headers(), &offered)?;
    let from = Origin::of(&request);
    let keep = keep.is_some_and(YesNo::yes).then(|| owner.0.clone());
    let wish = jobs::wish(owner, &request)?;
    let to = Use { with_grid: true, at_once: wish.is_none().then_some(of_document::<MapRequest>) };
    let (seat, received) = state.seated(intake::receive(&state, request, query, to)).await?;
    let (seat, received) = match jobs::settle(&state, seat, received, wish).await? {
        Fate::Job(answer) => return Ok(answer),
        Fate::AtOnce(seat, received) => (seat, received),
    };
    let shared = state.clone();
    let job = move |turn: &Turn| make(&shared, &from, received, (&wanted, keep.as_deref()), turn);
    let made = state.compute(seat, job).await?;
    Ok(made.into_response())
}

/// Reads, plans and computes; on a thread of its own.
fn make(
    state: &AppState,
    from: &Origin,
    received: Received,
    (wanted, keep): (&Wanted, Option<&str>),
    turn: &Turn,
) -> Result<Made, ApiError> {
    let by_query = received.is_by_query();
    from.draft.begins();
    let (understood, mut reading) = timed(|| received.understand::<MapRequest>(state, turn))?;
    reading.cpu_seconds += understood.cpu_beside;
    let command = "POST /v1/maps";
    let delivery = Delivery { state, wanted, command, from, network: None, keep, turn };
    let made = plan_of(state, understood).and_then(|plan| delivery.of(&plan, reading));
    made.map_err(|error| if by_query { error.in_query() } else { error })
}

/// The plan of a request that says where to map.
pub(crate) fn plan_of(state: &AppState, understood: Understood) -> Result<Plan, ApiError> {
    let Understood { order, observations, .. } = understood;
    let targets = order.targets.ok_or_else(|| {
        let text = "where to map? give a grid (its bounds, and shape or resolution) or points";
        ApiError::meaningless(text).at_pointer("/grid")
    })?;
    if !order.folds.is_empty() {
        let text = "folds are for cross-validations: POST /v1/crossvalidations";
        return Err(ApiError::meaningless(text).at_pointer("/folds"));
    }
    let _span = traces::step("plan").entered();
    Plan::new(observations, targets, order.settings, &state.config().limits()).map_err(of_engine)
}
