//! `/collections`: maps that are kept as OGC API – EDR has them.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use isopleth_engine::export::Form;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::catalogue::whose;
use super::conditions::{entity_tag, is_known};
use super::map_data::answer;
use super::{answered, to_json};
use crate::accept::{self, Wanted};
use crate::doors::Caller;
use crate::edr::answered::{Ask, Found, find};
use crate::edr::asked::{
    BboxQuery, CollectionsQuery, CoordsQuery, JsonQuery, ResolutionQuery, StationsQuery, What,
    WhatQuery, Where, bbox, stretch,
};
use crate::edr::described::{self, CollectionAnswer, CollectionsAnswer, FORMS, FORMS_OF_PLACES};
use crate::edr::stations::{self, LocationsAnswer};
use crate::error::ApiError;
use crate::jobs::heads;
use crate::limits::Turn;
use crate::ogc::Base;
use crate::state::AppState;
use crate::store::blocking;
use crate::wire::query::Query;

/// These routes.
pub(crate) fn described() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(position))
        .routes(routes!(locations))
        .routes(routes!(location))
        .routes(routes!(area))
        .routes(routes!(cube))
}

/// List the collections of maps that are kept: one for each network.
#[utoipa::path(
    get,
    path = "/collections",
    tag = "ogc",
    params(CollectionsQuery, JsonQuery),
    responses(
        (status = 200, description = "The collections", body = CollectionsAnswer),
        (status = 400, description = "The query makes no sense"),
        (status = 406, description = "No form that is accepted"),
        (status = 503, description = "Stopping; see Retry-After"),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    base: Base,
    request: Request,
) -> Result<Json<CollectionsAnswer>, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let wanted: CollectionsQuery = query.take().map_err(ApiError::into_bad_request)?;
    as_json(query, request.headers())?;
    let bounds = wanted.bbox.as_deref().map(bbox).transpose()?;
    let times = stretch(&wanted.datetime)?;
    let owner = whose(&Caller::of(&request));
    let found = blocking(move || {
        heads::fill(&state, || !state.is_ready())?;
        described::all(&state, owner.as_deref(), &base, (bounds, times))
    });
    found.await.map(Json)
}

/// Describe a collection: extent, parameters, and how to ask for values.
#[utoipa::path(
    get,
    path = "/collections/{id}",
    tag = "ogc",
    params(("id" = String, Path, description = "The network's name, or `maps`", example = "maps"), JsonQuery),
    responses(
        (status = 200, description = "The collection", body = CollectionAnswer),
        (status = 400, description = "The query makes no sense"),
        (status = 404, description = "There is none"),
        (status = 406, description = "No form that is accepted"),
        (status = 503, description = "Stopping; see Retry-After"),
    )
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    Path(id): Path<String>,
    base: Base,
    request: Request,
) -> Result<Json<CollectionAnswer>, ApiError> {
    as_json(Query::parse(request.uri().query()), request.headers())?;
    let owner = whose(&Caller::of(&request));
    let found = blocking(move || {
        heads::fill(&state, || !state.is_ready())?;
        described::one(&state, owner.as_deref(), &base, &id)
    });
    found.await.map(Json)
}

/// All times at one or several places, bilinear between the centres of cells.
#[utoipa::path(
    get,
    path = "/collections/{id}/position",
    tag = "ogc",
    params(("id" = String, Path, description = "The collection's name", example = "maps"), CoordsQuery, WhatQuery),
    responses(
        (status = 200, description = "The values", content(
            (Value = "application/prs.coverage+json"),
            (String = "text/csv"),
        )),
        (status = 204, description = "No map has such a place and time"),
        (status = 304, description = "As the client knows it (`If-None-Match`)"),
        (status = 400, description = "The query makes no sense"),
        (status = 404, description = "There is no such collection"),
        (status = 406, description = "No form that is accepted"),
        (status = 413, description = "More than the limits allow"),
        (status = 503, description = "Busy or stopping; see Retry-After"),
    )
)]
pub(crate) async fn position(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let coords: CoordsQuery = query.take().map_err(ApiError::into_bad_request)?;
    let what = what(query, request.headers(), &FORMS_OF_PLACES, false)?;
    values(state, id, request, Where::places(&coords)?, what).await
}

/// The stations of the network, as GeoJSON.
#[utoipa::path(
    get,
    path = "/collections/{id}/locations",
    tag = "ogc",
    params(("id" = String, Path, description = "The network's name"), StationsQuery),
    responses(
        (status = 200, description = "The stations", body = LocationsAnswer, content_type = "application/geo+json"),
        (status = 400, description = "The query makes no sense"),
        (status = 404, description = "There is no such collection, or it has no stations"),
        (status = 406, description = "No form that is accepted"),
        (status = 503, description = "Stopping; see Retry-After"),
    )
)]
pub(crate) async fn locations(
    State(state): State<AppState>,
    Path(id): Path<String>,
    base: Base,
    request: Request,
) -> Result<Response, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let wanted: StationsQuery = query.take().map_err(ApiError::into_bad_request)?;
    query.nothing_left("there are bbox and f").map_err(ApiError::into_bad_request)?;
    let f = wanted.f.as_deref().map(str::to_ascii_lowercase);
    let f = f.as_deref().map(|f| if f == "json" { "geojson" } else { f });
    accept::export_form(f, request.headers(), &[Form::GeoJson])?;
    let bounds = wanted.bbox.as_deref().map(bbox).transpose()?;
    let owner = whose(&Caller::of(&request));
    let found = blocking(move || {
        heads::fill(&state, || !state.is_ready())?;
        to_json(&stations::all(&state, owner.as_deref(), &base, &id, bounds)?)
    });
    Ok(answered(found.await?, Form::GeoJson.media_type()))
}

/// All times at a station, bilinear between the centres of cells.
#[utoipa::path(
    get,
    path = "/collections/{id}/locations/{station}",
    tag = "ogc",
    params(
        ("id" = String, Path, description = "The network's name"),
        ("station" = String, Path, description = "The station's code"),
        WhatQuery,
    ),
    responses(
        (status = 200, description = "The values", content(
            (Value = "application/prs.coverage+json"),
            (String = "text/csv"),
        )),
        (status = 204, description = "No map has the station at such a time"),
        (status = 304, description = "As the client knows it (`If-None-Match`)"),
        (status = 400, description = "The query makes no sense"),
        (status = 404, description = "There is no such collection or station"),
        (status = 406, description = "No form that is accepted"),
        (status = 413, description = "More than the limits allow"),
        (status = 503, description = "Busy or stopping; see Retry-After"),
    )
)]
pub(crate) async fn location(
    State(state): State<AppState>,
    Path((id, station)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let query = Query::parse(request.uri().query());
    let what = what(query, request.headers(), &FORMS_OF_PLACES, false)?;
    let (owner, shared, collection) = (whose(&Caller::of(&request)), state.clone(), id.clone());
    let place = blocking(move || {
        heads::fill(&shared, || !shared.is_ready())?;
        stations::place(&shared, owner.as_deref(), &collection, &station)
    });
    let place = place.await?;
    values(state, id, request, place, what).await
}

/// The cells of maps within polygons.
#[utoipa::path(
    get,
    path = "/collections/{id}/area",
    tag = "ogc",
    params(
        ("id" = String, Path, description = "The collection's name", example = "maps"),
        CoordsQuery, WhatQuery, ResolutionQuery,
    ),
    responses(
        (status = 200, description = "The values", content(
            (Value = "application/prs.coverage+json"),
            (String = "text/csv"),
            (Vec<u8> = "application/x-netcdf"),
            (Vec<u8> = "image/tiff; application=geotiff; profile=cloud-optimized"),
        )),
        (status = 204, description = "No map has a cell there at such a time"),
        (status = 304, description = "As the client knows it (`If-None-Match`)"),
        (status = 400, description = "The query makes no sense"),
        (status = 404, description = "There is no such collection"),
        (status = 406, description = "No form that is accepted"),
        (status = 413, description = "More than the limits allow"),
        (status = 503, description = "Busy or stopping; see Retry-After"),
    )
)]
pub(crate) async fn area(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let coords: CoordsQuery = query.take().map_err(ApiError::into_bad_request)?;
    let what = what(query, request.headers(), &FORMS, true)?;
    values(state, id, request, Where::area(&coords)?, what).await
}

/// The cells of maps within a rectangle.
#[utoipa::path(
    get,
    path = "/collections/{id}/cube",
    tag = "ogc",
    params(
        ("id" = String, Path, description = "The collection's name", example = "maps"),
        BboxQuery, WhatQuery, ResolutionQuery,
    ),
    responses(
        (status = 200, description = "The values", content(
            (Value = "application/prs.coverage+json"),
            (String = "text/csv"),
            (Vec<u8> = "application/x-netcdf"),
            (Vec<u8> = "image/tiff; application=geotiff; profile=cloud-optimized"),
        )),
        (status = 204, description = "No map has a cell there at such a time"),
        (status = 304, description = "As the client knows it (`If-None-Match`)"),
        (status = 400, description = "The query makes no sense"),
        (status = 404, description = "There is no such collection"),
        (status = 406, description = "No form that is accepted"),
        (status = 413, description = "More than the limits allow"),
        (status = 503, description = "Busy or stopping; see Retry-After"),
    )
)]
pub(crate) async fn cube(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let bounds: BboxQuery = query.take().map_err(ApiError::into_bad_request)?;
    let what = what(query, request.headers(), &FORMS, true)?;
    values(state, id, request, Where::cube(&bounds)?, what).await
}

/// That what is left of a query, and the headers, want JSON.
fn as_json(mut query: Query, headers: &HeaderMap) -> Result<(), ApiError> {
    let JsonQuery { f } = query.take().map_err(ApiError::into_bad_request)?;
    query
        .nothing_left("/openapi.json lists those that there are")
        .map_err(ApiError::into_bad_request)?;
    Wanted::of(f.as_deref(), headers, &[accept::Form::Json]).map(drop)
}

/// What is left of a query after the place.
fn what(
    mut query: Query,
    headers: &HeaderMap,
    forms: &[Form],
    has_cells: bool,
) -> Result<What, ApiError> {
    let read: WhatQuery = query.take().map_err(ApiError::into_bad_request)?;
    let resolution: ResolutionQuery = match has_cells {
        true => query.take().map_err(ApiError::into_bad_request)?,
        false => ResolutionQuery::default(),
    };
    query
        .nothing_left("/openapi.json lists those that there are")
        .map_err(ApiError::into_bad_request)?;
    let f = read.f.as_deref().map(|name| match name.to_ascii_lowercase().as_str() {
        "coveragejson" => "covjson".to_owned(),
        other => other.to_owned(),
    });
    let form = accept::export_form(f.as_deref(), headers, forms)?;
    What::new(&read, &resolution, form)
}

async fn values(
    state: AppState,
    collection: String,
    request: Request,
    place: Where,
    what: What,
) -> Result<Response, ApiError> {
    let owner = whose(&Caller::of(&request));
    let (words, form) = (request.uri().to_string(), what.form);
    let ask = Ask { owner, collection, place, what, words };
    let (seat, headers, shared) = (state.seat()?, request.headers().clone(), state.clone());
    let job = move |turn: &Turn| find(&shared, &ask, |tag| is_known(&headers, tag), turn);
    let (tag, found) = state.compute(seat, job).await?;
    let mut headers = HeaderMap::new();
    let (name, value) = entity_tag(&tag);
    headers.insert(name, value);
    Ok(match found {
        Found::Known => (StatusCode::NOT_MODIFIED, headers).into_response(),
        Found::Nothing => StatusCode::NO_CONTENT.into_response(),
        Found::Bytes(body) => {
            let kind = HeaderValue::from_static(form.media_type());
            headers.insert(header::CONTENT_TYPE, kind);
            (headers, body).into_response()
        }
        Found::File(file, bytes, name) => answer(StatusCode::OK, headers, form, &name, bytes, file),
    })
}
