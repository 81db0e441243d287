//! `/v1/networks`: networks that are remembered.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use isopleth_engine::observations::stations_of;
use isopleth_engine::{Cancel, ReadOptions, Source, machine, survey};

use super::conditions::{Conditions, entity_tag, is_known};
use super::{answered, of_engine, to_json};
use crate::body::{self, Arriving, Reading, Spool};
use crate::doors::pace;
use crate::error::{ApiError, Place};
use crate::intake::{house, is_gzip, media_type, parse};
use crate::limits::Turn;
use crate::networks::{Put, Registered};
use crate::state::AppState;
use crate::store::blocking;
use crate::wire::network::{
    NetworkAnswer, NetworkEntry, NetworkRequest, NetworksAnswer, PageQuery, ResidualAnswer,
    StationAnswer, moment,
};
use crate::wire::order::Order;
use crate::wire::points::stations_of_geojson;
use crate::wire::query::{GridQuery, MethodQuery, Query, document};
use crate::wire::request::{MapRequest, StationRequest};

/// Register a network, or change it.
///
/// The body is a JSON document; or the stations alone, as a table (`text/csv`: code, longitude, latitude) or as
/// GeoJSON points, with grid and method in the query. `If-Match` changes only what the client has read,
/// `If-None-Match: *` only registers.
#[utoipa::path(
    put,
    path = "/v1/networks/{id}",
    tag = "networks",
    params(("id" = String, Path, description = "Letters, digits, `.`, `_`, `-`; 64 at most, not `.` or `..`"), GridQuery, MethodQuery),
    request_body(content(
        (NetworkRequest = "application/json"),
        (String = "text/csv"),
        (serde_json::Value = "application/geo+json"),
    )),
    responses(
        (status = 201, description = "Registered", body = NetworkEntry),
        (status = 200, description = "Changed", body = NetworkEntry),
        (status = 400, description = "Not readable as what it claims to be"),
        (status = 412, description = "Not what the client expects"),
        (status = 413, description = "More than the limits allow"),
        (status = 415, description = "Not a form we read"),
        (status = 422, description = "Stations, grid or method make no sense"),
        (status = 503, description = "Busy or stopping; see Retry-After"),
    )
)]
pub(crate) async fn put(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    check_id(&id)?;
    let conditions = Conditions::of(request.headers());
    let seat = state.seat()?;
    let received = receive(&state, request).await?;
    let shared = state.clone();
    let job = move |turn: &Turn| {
        let document = received.understand(&shared, turn)?;
        document.check(house(&shared))?;
        shared.networks().put(&id, document, &conditions, shared.config())
    };
    let Put { network, is_new } = state.compute(seat, job).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let location = [(header::LOCATION, format!("/v1/networks/{}", network.id))];
    let tag = [entity_tag(&network.tag)];
    Ok((status, location, tag, Json(entry_of(&network))).into_response())
}

/// List the networks.
#[utoipa::path(
    get,
    path = "/v1/networks",
    tag = "networks",
    params(PageQuery),
    responses(
        (status = 200, description = "A page of them", body = NetworksAnswer),
        (status = 422, description = "The query makes no sense"),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<NetworksAnswer>, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let page: PageQuery = query.take()?;
    query.nothing_left("limit and after")?;
    let limit = page.limit()?;
    let after = page.after.unwrap_or_default();
    let shared = state.clone();
    let mut rows = blocking(move || shared.networks().list(&after, limit)).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more);
    let next = next.map(|last| format!("/v1/networks?limit={limit}&after={}", last.id));
    let entry = |row: crate::networks::Row| NetworkEntry {
        id: row.id,
        title: row.title,
        stations: row.stations.try_into().unwrap_or(0),
        created: moment(row.created),
        updated: moment(row.updated),
        etag: row.tag,
    };
    Ok(Json(NetworksAnswer { networks: rows.into_iter().map(entry).collect(), next }))
}

/// A network: stations, places merged, spacing, condition, the latest residual of each station.
///
/// Residuals are kept in memory: those of the latest map of each variable that this process made since the
/// network was registered or changed.
#[utoipa::path(
    get,
    path = "/v1/networks/{id}",
    tag = "networks",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The network", body = NetworkAnswer),
        (status = 304, description = "As the client knows it (`If-None-Match`)"),
        (status = 404, description = "There is none"),
        (status = 503, description = "Busy or stopping; see Retry-After"),
    )
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let network = find(&state, &id).await?;
    if is_known(&headers, &network.tag) {
        return Ok((StatusCode::NOT_MODIFIED, [entity_tag(&network.tag)]).into_response());
    }
    let tag = entity_tag(&network.tag);
    let (seat, shared) = (state.seat()?, state.clone());
    let job = move |turn: &Turn| to_json(&told(&shared, &network, turn)?);
    let body = state.compute(seat, job).await?;
    Ok(([tag], answered(body, "application/json")).into_response())
}

/// Forget a network. Maps that are being made of it go on.
#[utoipa::path(
    delete,
    path = "/v1/networks/{id}",
    tag = "networks",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 204, description = "It is gone"),
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
    blocking(move || state.networks().delete(&id, &conditions)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The network of a request.
pub(super) async fn find(
    state: &AppState,
    id: &str,
) -> Result<std::sync::Arc<Registered>, ApiError> {
    if let Some(known) = state.networks().at_hand(id) {
        return Ok(known);
    }
    let (shared, id) = (state.clone(), id.to_owned());
    blocking(move || shared.networks().get(&id)).await
}

fn check_id(id: &str) -> Result<(), ApiError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    // Clients leave `.` and `..` out of an address: nobody could ask for a network of that name.
    let is_step = matches!(id, "." | "..");
    if (1..=64).contains(&id.len()) && id.bytes().all(plain) && !is_step {
        return Ok(());
    }
    let text = "the name of a network has 1 to 64 letters, digits, `.`, `_` or `-`, and is not `.` or `..`";
    let parameter = Some("id".to_owned());
    Err(ApiError::meaningless(text).at(Place { parameter, ..Place::default() }))
}

fn entry_of(network: &Registered) -> NetworkEntry {
    NetworkEntry {
        id: network.id.clone(),
        title: network.document.title.clone(),
        stations: network.stations.len() as u64,
        created: moment(network.created),
        updated: moment(network.updated),
        etag: network.tag.clone(),
    }
}

fn told(
    state: &AppState,
    network: &Registered,
    cancel: &Cancel,
) -> Result<NetworkAnswer, ApiError> {
    let document = &network.document;
    let request = MapRequest { method: document.method.clone(), ..MapRequest::default() };
    let order = Order::new(request, house(state))?;
    let threads = state.config().threads_per_map.unwrap_or_else(machine::available_threads);
    let stations = &network.stations;
    let survey = survey(stations, &order.settings, threads, state.factors(), cancel);
    let station = |s: &isopleth_engine::observations::Station| {
        let last = network
            .last
            .of(&s.id)
            .into_iter()
            .map(|of| (of.variable, ResidualAnswer { time: of.time, residual: of.residual }));
        StationAnswer { id: s.id.clone(), lon: s.x, lat: s.y, leave_one_out: last.collect() }
    };
    Ok(NetworkAnswer {
        id: network.id.clone(),
        title: document.title.clone(),
        created: moment(network.created),
        updated: moment(network.updated),
        stations: stations.iter().map(station).collect(),
        grid: document.grid.clone(),
        method: document.method.clone(),
        units: document.units.clone(),
        survey: survey.map_err(of_engine)?,
    })
}

/// A body as received.
enum Received {
    Document(Spool, bool),
    /// Stations alone, and what the query says.
    Stations {
        body: Spool,
        gzip: bool,
        geojson: bool,
        request: Box<MapRequest>,
    },
}

async fn receive(state: &AppState, request: Request) -> Result<Received, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let kind = media_type(request.headers())?;
    let gzip = is_gzip(request.headers())?;
    let config = state.config();
    let choices = match kind.as_str() {
        "application/json" => {
            query.nothing_left("with a JSON body all choices are in the document")?;
            None
        }
        "text/csv" | "application/geo+json" => {
            let grid: GridQuery = query.take()?;
            let method: MethodQuery = query.take()?;
            query.nothing_left("/openapi.json lists those that there are")?;
            Some(Box::new(document(&grid, method)?))
        }
        other => {
            let text = "send it as application/json, text/csv or application/geo+json";
            return Err(ApiError::unsupported(format!("the body is `{other}`; {text}")));
        }
    };
    let limit = config.max_body_bytes.min(config.max_networks_bytes);
    let receiving =
        |request: Request| body::receive(Arriving::new(request.into_body(), limit), state.spill());
    let body = pace::patiently(config, request, receiving).await?;
    Ok(match choices {
        None => Received::Document(body, gzip),
        Some(request) => {
            let geojson = kind == "application/geo+json";
            Received::Stations { body, gzip, geojson, request }
        }
    })
}

impl Received {
    fn understand(self, state: &AppState, cancel: &Cancel) -> Result<NetworkRequest, ApiError> {
        match self {
            Self::Document(body, gzip) => parse(body, &Reading::new(state, gzip, cancel)),
            Self::Stations { body, gzip, geojson, request } => {
                let reading = Reading::new(state, gzip, cancel);
                let stations = if geojson {
                    stations_of_geojson(&parse(body, &reading)?)?
                } else {
                    stations_of_table(body, &reading, &request, state)?
                };
                let MapRequest { grid, method, .. } = *request;
                Ok(NetworkRequest { stations, grid, method, ..NetworkRequest::default() })
            }
        }
    }
}

fn stations_of_table(
    body: Spool,
    reading: &Reading,
    request: &MapRequest,
    state: &AppState,
) -> Result<Vec<StationRequest>, ApiError> {
    let order = Order::new(request.clone(), house(state)).map_err(ApiError::in_query)?;
    // A code with two places is no network.
    let options = ReadOptions { duplicates: isopleth_engine::Duplicates::Error, ..order.options };
    let source = Source::Stream { name: "the body".to_owned(), reader: body.open(reading)? };
    let stations = stations_of(source, &options)
        .map_err(|error| reading.trip.error().unwrap_or_else(|| of_engine(error)))?;
    let station = |s: isopleth_engine::observations::Station| StationRequest {
        id: Some(s.id),
        lon: s.x,
        lat: s.y,
    };
    Ok(stations.into_iter().map(station).collect())
}
