//! `/v1/schedules/{id}/slots` and what belongs to an hour: its readings, where they are posted, and the newest map.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::conditions::{entity_tag, is_known};
use crate::body::{self, Arriving};
use crate::doors::pace;
use crate::error::{ApiError, Place};
use crate::intake::{is_gzip, media_type};
use crate::schedule::{self, SlotState, shelf, store, tell};
use crate::state::AppState;
use crate::store::blocking;
use crate::wire::network::PageQuery;
use crate::wire::query::Query;
use crate::wire::schedule::{ReadingsQuery, SlotAnswer, SlotsAnswer, SlotsQuery};

/// Media types of readings, and the name of a file of such: by it the format is told.
const TABLES: [(&str, &str); 6] = [
    ("text/csv", "readings.csv"),
    ("application/json", "readings.json"),
    ("application/geo+json", "readings.geojson"),
    ("application/vnd.apache.parquet", "readings.parquet"),
    ("application/x-netcdf", "readings.nc"),
    ("application/netcdf", "readings.nc"),
];

/// The hours of a schedule, the newest first.
#[utoipa::path(
    get,
    path = "/v1/schedules/{id}/slots",
    tag = "schedules",
    params(("id" = String, Path, description = "Its name"), SlotsQuery),
    responses(
        (status = 200, description = "A page of them", body = SlotsAnswer),
        (status = 404, description = "There is no such schedule"),
        (status = 422, description = "The query makes no sense"),
    )
)]
pub(crate) async fn list(
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
    let filter = store::Filter {
        state: wanted.state.as_ref().map(named).transpose()?,
        from: time_of("from", wanted.from.as_deref())?,
        to: time_of("to", wanted.to.as_deref())?,
        before: time_of("before", wanted.before.as_deref())?,
    };
    let found = state.store().looked_up(move |c| {
        shelf::get(c, &id)?;
        Ok((store::list(c, &id, &filter, limit + 1)?, id))
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
        (status = 404, description = "There is no such hour, or not yet"),
        (status = 422, description = "That is no time"),
    )
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    Path((id, hour)): Path<(String, String)>,
) -> Result<Json<SlotAnswer>, ApiError> {
    let at = instant("hour", &hour)?.as_second();
    let told = state.store().looked_up(move |c| {
        shelf::get(c, &id)?;
        let found = store::get(c, &id, at)?.ok_or_else(|| {
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
        (status = 400, description = "The body broke off"),
        (status = 404, description = "There is no such schedule"),
        (status = 408, description = "The body took too long"),
        (status = 413, description = "More than the limits allow"),
        (status = 415, description = "Not a form we read"),
        (status = 422, description = "No hour of the schedule, or it has a source"),
        (status = 500, description = "They could not be kept"),
        (status = 503, description = "No room for more; see Retry-After"),
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
    let limit = config.max_body_bytes;
    let receiving =
        |request: Request| body::receive(Arriving::new(request.into_body(), limit), state.spill());
    let body = pace::patiently(config, request, receiving).await?;
    let slot = blocking(move || schedule::post(&state, &id, hour, (name, body, gzip))).await?;
    let answer = tell::slot(slot);
    let location = format!("/v1/schedules/{}/slots/{}", answer.schedule, answer.hour);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(answer)).into_response())
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
        (status = 404, description = "There is no such schedule, or no map yet"),
    )
)]
pub(crate) async fn latest(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let newest = state.store().looked_up(move |c| {
        shelf::get(c, &id)?;
        let newest = store::newest(c, &id)?;
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

pub(super) fn not_a_time(text: &str) -> String {
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
