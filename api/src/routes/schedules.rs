//! `/v1/schedules`: maps of every hour.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use isopleth_engine::Cancel;
use jiff::Timestamp;

use super::conditions::{Conditions, entity_tag, is_known};
use crate::body::{self, Reading};
use crate::doors::pace;
use crate::error::{ApiError, Place, Problem};
use crate::intake::{is_gzip, media_type, parse};
use crate::schedule::{self, SlotState, shelf, store as slots, tell};
use crate::state::AppState;
use crate::store::blocking;
use crate::wire::network::PageQuery;
use crate::wire::query::Query;
use crate::wire::schedule::{
    BackfillAnswer, BackfillRequest, BackfillsAnswer, ReadingsQuery, ScheduleEntry,
    ScheduleRequest, SchedulesAnswer, SlotAnswer, SlotsAnswer, SlotsQuery,
};

/// A document is not larger.
const LARGEST: u64 = 4 << 20;

/// Media types of readings, and the name of a file of such: by it the format is told.
const TABLES: [(&str, &str); 6] = [
    ("text/csv", "readings.csv"),
    ("application/json", "readings.json"),
    ("application/geo+json", "readings.geojson"),
    ("application/vnd.apache.parquet", "readings.parquet"),
    ("application/x-netcdf", "readings.nc"),
    ("application/netcdf", "readings.nc"),
];

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
        (status = 400, description = "Not readable as JSON", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "It stands in the configuration, or the key has not scope `admin`", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body took too long", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Not what the client expects", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than the limits allow", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It makes no sense", body = Problem, content_type = "application/problem+json"),
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
    let receiving = |request: Request| body::receive(request.into_body(), limit, &config.spill_dir);
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
        (status = 422, description = "The query makes no sense", body = Problem, content_type = "application/problem+json"),
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
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
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
        (status = 403, description = "It stands in the configuration, or the key has not scope `admin`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Not what the client expects", body = Problem, content_type = "application/problem+json"),
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
        (status = 403, description = "It stands in the configuration, or the key has not scope `admin`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
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
        (status = 403, description = "It stands in the configuration, or the key has not scope `admin`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
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

/// The hours of a schedule, the newest first.
#[utoipa::path(
    get,
    path = "/v1/schedules/{id}/slots",
    tag = "schedules",
    params(("id" = String, Path, description = "Its name"), SlotsQuery),
    responses(
        (status = 200, description = "A page of them", body = SlotsAnswer),
        (status = 404, description = "There is no such schedule", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The query makes no sense", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn slots(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<SlotsAnswer>, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let wanted: SlotsQuery = query.take()?;
    query.nothing_left("there are state, from, to, limit and before")?;
    let limit = PageQuery { limit: wanted.limit.clone(), after: None }.limit()?;
    let named = |name: &String| {
        SlotState::named(name).ok_or_else(|| {
            let text = "expected waiting, running, made, too_few, missing or failed";
            in_query("state", format!("`{name}`: {text}"))
        })
    };
    let filter = slots::Filter {
        state: wanted.state.as_ref().map(named).transpose()?,
        from: time_of("from", wanted.from.as_deref())?,
        to: time_of("to", wanted.to.as_deref())?,
        before: time_of("before", wanted.before.as_deref())?,
    };
    let found = state.store().looked_up(move |c| {
        shelf::get(c, &id)?;
        Ok((slots::list(c, &id, &filter, limit + 1)?, id))
    });
    let (mut found, id) = found.await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let slots: Vec<SlotAnswer> = found.into_iter().map(tell::slot).collect();
    let next = slots.last().filter(|_| more).map(|last| {
        let before = form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes());
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(before.filter(|(name, _)| name != "before"));
        query.append_pair("before", &last.hour);
        format!("/v1/schedules/{id}/slots?{}", query.finish())
    });
    Ok(Json(SlotsAnswer { slots, next }))
}

/// An hour of a schedule: its revisions, and where each was delivered.
#[utoipa::path(
    get,
    path = "/v1/schedules/{id}/slots/{hour}",
    tag = "schedules",
    params(
        ("id" = String, Path, description = "The schedule"),
        ("hour" = String, Path, description = "The hour, in ISO 8601", example = "2026-03-01T08:00:00Z"),
    ),
    responses(
        (status = 200, description = "The hour", body = SlotAnswer),
        (status = 404, description = "There is no such hour, or not yet", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "That is no time", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn slot(
    State(state): State<AppState>,
    Path((id, hour)): Path<(String, String)>,
) -> Result<Json<SlotAnswer>, ApiError> {
    let at = instant("hour", &hour)?.as_second();
    let told = state.store().looked_up(move |c| {
        shelf::get(c, &id)?;
        let found = slots::get(c, &id, at)?.ok_or_else(|| {
            let text = format!("the schedule `{id}` has no hour {hour}, or not yet");
            ApiError::not_found(format!(
                "{text}; GET /v1/schedules/{id}/slots lists those there are"
            ))
        })?;
        Ok(tell::slot_in_full(c, found)?)
    });
    Ok(Json(told.await?))
}

/// Post the readings of an hour, of a schedule without a source. They are looked at at once; what becomes of them is
/// told at the hour. Readings posted again are a correction, and make a new revision if they differ.
///
/// A table (`text/csv`, GeoJSON, Parquet or NetCDF time series) or JSON; of a schedule with a network JSON as for
/// `POST /v1/networks/{id}/maps`, of which values and times count.
#[utoipa::path(
    post,
    path = "/v1/schedules/{id}/readings",
    tag = "schedules",
    params(("id" = String, Path, description = "The schedule"), ReadingsQuery),
    request_body(content(
        (String = "text/csv"),
        (serde_json::Value = "application/json"),
        (serde_json::Value = "application/geo+json"),
        (Vec<u8> = "application/vnd.apache.parquet"),
        (Vec<u8> = "application/x-netcdf"),
    )),
    responses(
        (status = 202, description = "They are kept", body = SlotAnswer, headers(
            ("location" = String, description = "The hour"),
        )),
        (status = 400, description = "The body broke off", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such schedule", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body took too long", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than the limits allow", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not a form we read", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "No hour of the schedule, or it has a source", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "They could not be kept", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "No room for more; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn readings(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let ReadingsQuery { time } = query.take()?;
    query.nothing_left("there is time; all other choices are in the schedule")?;
    let [time] = time.as_slice() else {
        let text = "of which hour? give time= once".to_owned();
        return Err(in_query("time", text));
    };
    let hour = instant("time", time)?;
    let kind = media_type(request.headers())?;
    let name = TABLES.iter().find(|(known, _)| *known == kind).map(|(_, name)| *name);
    let Some(name) = name else {
        let known: Vec<&str> = TABLES.iter().map(|(known, _)| *known).collect();
        let text = format!("the body is `{kind}`; send it as {}", known.join(", "));
        return Err(ApiError::unsupported(text));
    };
    let gzip = is_gzip(request.headers())?;
    let config = state.config();
    let (limit, dir) = (config.max_body_bytes, &config.spill_dir);
    let receiving = |request: Request| body::receive(request.into_body(), limit, dir);
    let body = pace::patiently(config, request, receiving).await?;
    let slot = blocking(move || schedule::post(&state, &id, hour, (name, body, gzip))).await?;
    let answer = tell::slot(slot);
    let location = format!("/v1/schedules/{}/slots/{}", answer.schedule, answer.hour);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(answer)).into_response())
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
        (status = 400, description = "Not readable as JSON", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such schedule", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body took too long", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too many hours", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "No hours in that range", body = Problem, content_type = "application/problem+json"),
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
        (status = 404, description = "There is no such schedule", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn backfills(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<BackfillsAnswer>, ApiError> {
    let backfills = blocking(move || schedule::backfills(&state, &id)).await?;
    Ok(Json(BackfillsAnswer { backfills }))
}

/// The newest map of a schedule: where it is in the catalogue.
#[utoipa::path(
    get,
    path = "/v1/schedules/{id}/latest",
    tag = "schedules",
    params(("id" = String, Path, description = "The schedule")),
    responses(
        (status = 307, description = "There it is", headers(
            ("location" = String, description = "The map in the catalogue"),
        )),
        (status = 304, description = "It is the one that the client knows (`If-None-Match`)"),
        (status = 404, description = "There is no such schedule, or no map yet", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn latest(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let newest = state.store().looked_up(move |c| {
        shelf::get(c, &id)?;
        let newest = slots::newest(c, &id)?;
        newest.ok_or_else(|| ApiError::not_found(format!("the schedule `{id}` has no map yet")))
    });
    let (_, _, map) = newest.await?;
    let tag = entity_tag(&map);
    if is_known(&headers, &map) {
        return Ok((StatusCode::NOT_MODIFIED, [tag]).into_response());
    }
    // Another one in an hour.
    let headers =
        [(header::LOCATION, format!("/v1/maps/{map}")), (header::CACHE_CONTROL, "no-cache".into())];
    Ok((StatusCode::TEMPORARY_REDIRECT, [tag], headers).into_response())
}

fn in_query(parameter: &str, text: String) -> ApiError {
    let parameter = Some(parameter.to_owned());
    ApiError::meaningless(text).at(Place { parameter, ..Place::default() })
}

fn not_a_time(text: &str) -> String {
    let text: String = text.chars().take(100).collect();
    format!("`{text}` is no time; write it as 2026-03-01T08:00:00Z, or with an offset")
}

fn instant(parameter: &str, text: &str) -> Result<Timestamp, ApiError> {
    // A `+` of a query that was not escaped.
    let text = text.replace(' ', "+");
    text.parse().map_err(|_| in_query(parameter, not_a_time(&text)))
}

fn time_of(parameter: &str, text: Option<&str>) -> Result<Option<i64>, ApiError> {
    text.map(|text| instant(parameter, text).map(Timestamp::as_second)).transpose()
}
