//! `/v1/schedules`: maps of every hour. Their hours are in `slots.rs`.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use isopleth_engine::Cancel;
use jiff::Timestamp;

use super::conditions::{Conditions, entity_tag};
use super::slots::not_a_time;
use crate::body::{self, Arriving, Reading};
use crate::doors::pace;
use crate::error::ApiError;
use crate::intake::{is_gzip, media_type, parse};
use crate::schedule::{self, shelf, tell};
use crate::state::AppState;
use crate::store::blocking;
use crate::wire::network::PageQuery;
use crate::wire::query::Query;
use crate::wire::schedule::{
    BackfillAnswer, BackfillRequest, BackfillsAnswer, ScheduleEntry, ScheduleRequest,
    SchedulesAnswer,
};

/// A document is not larger.
const LARGEST: u64 = 4 << 20;

/// Make a schedule, or change it. Needs scope `admin`: its maps go where the operator's sinks are.
#[utoipa::path(
    put,
    path = "/v1/schedules/{id}",
    tag = "schedules",
    params(("id" = String, Path, description = "Letters, digits, `.`, `_`, `-`; 64 at most, no dot first")),
    request_body = ScheduleRequest,
    responses(
        (status = 201, description = "Made", body = ScheduleEntry),
        (status = 200, description = "Changed", body = ScheduleEntry),
        (status = 400, description = "Not readable as JSON"),
        (status = 403, description = "It stands in the configuration, or the key has not scope `admin`"),
        (status = 408, description = "The body took too long"),
        (status = 412, description = "Not what the client expects"),
        (status = 413, description = "More than the limits allow"),
        (status = 415, description = "Not JSON"),
        (status = 422, description = "It makes no sense"),
    )
)]
pub(crate) async fn put(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    shelf::check_id(&id)?;
    let conditions = Conditions::of(request.headers());
    let (body, gzip) = document(&state, request).await?;
    let (entry, is_new) = blocking(move || {
        let reading = Reading::new(&state, gzip, &Cancel::default());
        let document: ScheduleRequest = parse(body, &reading)?;
        shelf::check(&state, &document, true)?;
        let (scheduled, is_new) = shelf::put(&state, &id, &document, &conditions)?;
        Ok((state.store().read(|c| tell::entry(c, scheduled, state.now()))?, is_new))
    })
    .await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let location = [(header::LOCATION, format!("/v1/schedules/{}", entry.id))];
    let tag = [entity_tag(&entry.etag)];
    Ok((status, location, tag, Json(entry)).into_response())
}

async fn document(state: &AppState, request: Request) -> Result<(body::Spool, bool), ApiError> {
    Query::parse(request.uri().query()).nothing_left("all choices are in the document")?;
    let kind = media_type(request.headers())?;
    if kind != "application/json" {
        let text = format!("the body is `{kind}`; send it as application/json");
        return Err(ApiError::unsupported(text));
    }
    let gzip = is_gzip(request.headers())?;
    let config = state.config();
    let limit = config.max_body_bytes.min(LARGEST);
    let receiving =
        |request: Request| body::receive(Arriving::new(request.into_body(), limit), state.spill());
    Ok((pace::patiently(config, request, receiving).await?, gzip))
}

/// List the schedules.
#[utoipa::path(
    get,
    path = "/v1/schedules",
    tag = "schedules",
    params(PageQuery),
    responses(
        (status = 200, description = "A page of them", body = SchedulesAnswer),
        (status = 422, description = "The query makes no sense"),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<SchedulesAnswer>, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let page: PageQuery = query.take()?;
    query.nothing_left("there are limit and after")?;
    let limit = page.limit()?;
    let after = page.after.unwrap_or_default();
    let now = state.now();
    let all = state.store().looked_up(move |c| {
        let all = shelf::list(c, &after, limit + 1)?;
        all.into_iter().map(|one| tell::entry(c, one, now)).collect::<Result<Vec<_>, _>>()
    });
    let mut schedules = all.await?;
    let more = schedules.len() > limit;
    schedules.truncate(limit);
    let next = schedules.last().filter(|_| more);
    let next = next.map(|last| format!("/v1/schedules?limit={limit}&after={}", last.id));
    Ok(Json(SchedulesAnswer { schedules, next }))
}

/// A schedule: its document, its hours by state, the newest map, the next hours.
#[utoipa::path(
    get,
    path = "/v1/schedules/{id}",
    tag = "schedules",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The schedule; the entity tag is that of its document", body = ScheduleEntry),
        (status = 404, description = "There is none"),
    )
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let now = state.now();
    let entry = state.store().looked_up(move |c| tell::entry(c, shelf::get(c, &id)?, now)).await?;
    Ok(([entity_tag(&entry.etag)], Json(entry)).into_response())
}

/// Forget a schedule and its hours. Its maps stay in the catalogue as long as other results.
#[utoipa::path(
    delete,
    path = "/v1/schedules/{id}",
    tag = "schedules",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 403, description = "It stands in the configuration, or the key has not scope `admin`"),
        (status = 404, description = "There is none"),
        (status = 412, description = "Not what the client expects"),
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let conditions = Conditions::of(&headers);
    blocking(move || shelf::delete(&state, &id, &conditions)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pause a schedule: nothing is looked for, nothing made, until it is resumed; then what passed is caught up.
#[utoipa::path(
    post,
    path = "/v1/schedules/{id}/pause",
    tag = "schedules",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "It is paused", body = ScheduleEntry),
        (status = 403, description = "It stands in the configuration, or the key has not scope `admin`"),
        (status = 404, description = "There is none"),
    )
)]
pub(crate) async fn pause(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    set_paused(state, id, true).await
}

/// Go on with a schedule that was paused.
#[utoipa::path(
    post,
    path = "/v1/schedules/{id}/resume",
    tag = "schedules",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "It goes on", body = ScheduleEntry),
        (status = 403, description = "It stands in the configuration, or the key has not scope `admin`"),
        (status = 404, description = "There is none"),
    )
)]
pub(crate) async fn resume(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    set_paused(state, id, false).await
}

async fn set_paused(state: AppState, id: String, paused: bool) -> Result<Response, ApiError> {
    let entry = blocking(move || {
        let scheduled = shelf::pause(&state, &id, paused)?;
        state.store().read(|c| tell::entry(c, scheduled, state.now()))
    })
    .await?;
    Ok(([entity_tag(&entry.etag)], Json(entry)).into_response())
}

/// Make the hours of a range: those without a map, or all of them again.
#[utoipa::path(
    post,
    path = "/v1/schedules/{id}/backfill",
    tag = "schedules",
    params(("id" = String, Path, description = "The schedule")),
    request_body = BackfillRequest,
    responses(
        (status = 202, description = "They are on their way", body = BackfillAnswer),
        (status = 400, description = "Not readable as JSON"),
        (status = 404, description = "There is no such schedule"),
        (status = 408, description = "The body took too long"),
        (status = 413, description = "Too many hours"),
        (status = 415, description = "Not JSON"),
        (status = 422, description = "No hours in that range"),
    )
)]
pub(crate) async fn backfill(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (body, gzip) = document(&state, request).await?;
    let begun = blocking(move || {
        let asked: BackfillRequest = parse(body, &Reading::new(&state, gzip, &Cancel::default()))?;
        let time = |pointer: &str, text: &str| {
            let parsed: Result<Timestamp, _> = text.parse();
            parsed.map_err(|_| {
                ApiError::meaningless(not_a_time(text)).at_pointer(format!("/{pointer}"))
            })
        };
        let range = [time("from", &asked.from)?, time("to", &asked.to)?];
        schedule::backfill(&state, &id, range, asked.again)
    });
    Ok((StatusCode::ACCEPTED, Json(begun.await?)).into_response())
}

/// The ranges that were asked for, and how far they are.
#[utoipa::path(
    get,
    path = "/v1/schedules/{id}/backfill",
    tag = "schedules",
    params(("id" = String, Path, description = "The schedule")),
    responses(
        (status = 200, description = "The latest first", body = BackfillsAnswer),
        (status = 404, description = "There is no such schedule"),
    )
)]
pub(crate) async fn backfills(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<BackfillsAnswer>, ApiError> {
    let backfills = blocking(move || schedule::backfills(&state, &id)).await?;
    Ok(Json(BackfillsAnswer { backfills }))
}
