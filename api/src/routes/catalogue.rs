//! `/v1/maps`, read: maps that are kept, looked for and told of.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::conditions::{entity_tag, is_known};
use crate::doors::{Caller, Scope};
use crate::error::ApiError;
use crate::jobs::results::{self, MapRow};
use crate::jobs::search::search;
use crate::state::AppState;
use crate::wire::catalogue::{MapEntry, MapsAnswer, MapsQuery, YesNo};
use crate::wire::network::moment;
use crate::wire::query::Query;

/// Look for maps that are kept: results of jobs, and those posted with `keep=true`.
#[utoipa::path(
    get,
    path = "/v1/maps",
    tag = "maps",
    params(MapsQuery),
    responses(
        (status = 200, description = "The newest first", body = MapsAnswer),
        (status = 422, description = "The query makes no sense"),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<MapsAnswer>, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let wanted: MapsQuery = query.take()?;
    query.nothing_left("/openapi.json lists those that there are")?;
    let limit = wanted.limit()?;
    let looked_for = wanted.search(whose(&Caller::of(&request)))?;
    let one_more = limit + 1;
    let found = state.store().looked_up(move |c| Ok(search(c, &looked_for, one_more)?)).await?;
    let more = found.len() > limit && !wanted.latest.is_some_and(YesNo::yes);
    let page = &found[..found.len().min(limit)];
    let next = page.last().filter(|_| more).map(|last| next_page(&request, &last.id));
    Ok(Json(MapsAnswer { maps: page.iter().map(|map| MapEntry::of(map, false)).collect(), next }))
}

/// A map that is kept: what it is of, and the report of the run that made it.
#[utoipa::path(
    get,
    path = "/v1/maps/{id}",
    tag = "maps",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The map", body = MapEntry),
        (status = 304, description = "As the client knows it (`If-None-Match`)"),
        (status = 404, description = "There is none"),
        (status = 410, description = "It was removed: when and why"),
    )
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let map = find(&state, &Caller::of(&request), id).await?;
    let tag = entity_tag(&map.digest);
    if is_known(request.headers(), &map.digest) {
        return Ok((StatusCode::NOT_MODIFIED, [tag]).into_response());
    }
    Ok(([tag], Json(MapEntry::of(&map, true))).into_response())
}

/// The row of a map whose file is there.
pub(super) async fn find(
    state: &AppState,
    caller: &Caller,
    id: String,
) -> Result<MapRow, ApiError> {
    let wanted = id.clone();
    let found = state.store().looked_up(move |c| Ok(results::get(c, &wanted)?)).await?;
    // Of others' maps nobody learns that they are there.
    let Some(map) = found.filter(|map| map.form == "netcdf" && caller.sees(&map.owner)) else {
        let text = format!("there is no map `{id}`; GET /v1/maps lists those there are");
        return Err(ApiError::not_found(text));
    };
    match &map.removed {
        Some((when, why)) => {
            let when = moment(*when);
            Err(ApiError::gone(format!("the map was removed at {when}: {why}; make it again")))
        }
        None => Ok(map),
    }
}

/// Whose maps a caller may see; none: everybody's.
pub(super) fn whose(caller: &Caller) -> Option<String> {
    (!caller.scopes.has(Scope::Admin)).then(|| caller.owner())
}

/// The same request, from that map on.
fn next_page(request: &Request, last: &str) -> String {
    let before = form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes());
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(before.filter(|(name, _)| name != "after"));
    query.append_pair("after", last);
    format!("/v1/maps?{}", query.finish())
}

/// Headers of every answer made of a map.
pub(super) fn headers_of(map: &MapRow, tag: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let (name, value) = entity_tag(tag);
    headers.insert(name, value);
    let modified = jiff::Timestamp::from_second(map.created)
        .ok()
        .and_then(|time| {
            jiff::fmt::rfc2822::to_string(&time.to_zoned(jiff::tz::TimeZone::UTC)).ok()
        })
        .map(|text| text.replace("+0000", "GMT"))
        .and_then(|text| axum::http::HeaderValue::try_from(text).ok());
    if let Some(modified) = modified {
        headers.insert(axum::http::header::LAST_MODIFIED, modified);
    }
    headers
}
