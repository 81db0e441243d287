//! `POST /v1/networks/{id}/maps`: values by station id in, map out.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use isopleth_engine::{Cancel, Source};

use super::deliver::{Delivery, Origin};
use super::maps::plan_of;
use super::{networks, timed};
use crate::accept::{Form, Wanted};
use crate::body::{Reading, Spool};
use crate::error::{ApiError, Problem};
use crate::intake::{self, Received, Understood, house};
use crate::networks::Registered;
use crate::state::AppState;
use crate::wire::answer::MapAnswer;
use crate::wire::network::{NetworkMapRequest, UnknownName, UnknownQuery, completed, strangers};
use crate::wire::order::Order;
use crate::wire::quality::QualityQuery;
use crate::wire::query::{FormQuery, GridQuery, MethodQuery, Query};
use crate::wire::request::MapRequest;
use crate::wire::series::SeriesQuery;

/// Make a map of a registered network.
///
/// The body is a JSON document with values by station id, or in the order of the network's stations; or a table
/// (`text/csv`) with a column of station codes and none of places. Grid, method, units and bounds are the
/// network's unless the request has its own. All stations of the network take part in every map, those without a
/// reading as missing.
#[utoipa::path(
    post,
    path = "/v1/networks/{id}/maps",
    tag = "networks",
    params(
        ("id" = String, Path, description = "The network's name"),
        FormQuery, UnknownQuery, GridQuery, MethodQuery, SeriesQuery, QualityQuery,
    ),
    request_body(content((NetworkMapRequest = "application/json"), (String = "text/csv"))),
    responses(
        (status = 200, description = "The map", content(
            (Vec<u8> = "application/x-netcdf"),
            (MapAnswer<'_> = "application/json"),
            (String = "text/csv"),
        ), headers(("content-disposition" = String, description = "A name for the file"))),
        (status = 400, description = "Not readable as what it claims to be", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such network", body = Problem, content_type = "application/problem+json"),
        (status = 406, description = "No form that is accepted", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body took too long", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than the limits allow", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not a form we read", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Unknown stations, or values, grid or method that make no sense", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "The service failed", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Busy or stopping; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn make_map(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let FormQuery { f } = query.take()?;
    let UnknownQuery { unknown } = query.take()?;
    let offered = [Form::NetCdf, Form::Csv, Form::Json];
    let wanted = Wanted::of(f.as_deref(), request.headers(), &offered)?;
    let network = networks::find(&state, &id).await?;
    let seat = state.seat()?;
    let from = Origin::of(&request);
    let received = intake::receive(&state, request, query, true).await?;
    let shared = state.clone();
    let job = move |cancel: &Cancel| {
        let (understood, reading) =
            timed(|| understand(&shared, received, unknown.unwrap_or_default(), &network, cancel))?;
        let plan = plan_of(&shared, understood)?;
        let command = format!("POST /v1/networks/{}/maps", network.id);
        let (state, command, network) = (&shared, command.as_str(), Some(&*network));
        Delivery { state, wanted: &wanted, command, from: &from, network, cancel }
            .of(&plan, reading)
    };
    Ok(state.compute(seat, job).await?.into_response())
}

fn understand(
    state: &AppState,
    received: Received,
    unknown: UnknownName,
    network: &Arc<Registered>,
    cancel: &Cancel,
) -> Result<Understood, ApiError> {
    match received {
        Received::Document { body, gzip } => {
            let reading = Reading::new(state, gzip, cancel);
            let request: NetworkMapRequest = intake::parse(body, &reading)?;
            check_times(request.times.as_deref().unwrap_or_default())?;
            let request = request.of_network(&network.document, &network.index)?;
            intake::from_document(Order::new(request, house(state))?)
        }
        Received::Table { body, gzip, request } => {
            let reading = Reading::new(state, gzip, cancel);
            table(state, body, *request, unknown, network, &reading).map_err(ApiError::in_query)
        }
        Received::Form(_) | Received::Execution { .. } => Err(ApiError::unsupported(
            "a registered network takes values as application/json or text/csv, not as a form",
        )),
    }
}

/// Rows of a table, joined to the network's stations by their codes.
fn table(
    state: &AppState,
    body: Spool,
    request: MapRequest,
    unknown: UnknownName,
    network: &Registered,
    reading: &Reading,
) -> Result<Understood, ApiError> {
    let mut order = Order::new(completed(request, &network.document), house(state))?;
    let planar = order.options.planar;
    let text = stations_table(network, planar);
    let reader = Box::new(std::io::Cursor::new(text));
    order.options.stations = Some(Source::Stream { name: "the network".to_owned(), reader });
    order.options.every_station = true;
    order.options.units.clone_from(&network.document.units);
    let understood =
        intake::from_tables(order, vec![("the body".to_owned(), body)], None, reading)?;
    let lost = &understood.observations.readings_report().without_place;
    if !lost.is_empty() && unknown == UnknownName::Refuse {
        return Err(strangers(lost.clone(), "/station"));
    }
    Ok(understood)
}

/// The network's stations as a table.
fn stations_table(network: &Registered, planar: bool) -> Vec<u8> {
    let [x, y] = if planar { ["x", "y"] } else { ["lon", "lat"] };
    let mut text = format!("station,{x},{y}\n");
    for station in &network.stations {
        let id = station.id.replace('"', "\"\"");
        text.push_str(&format!("\"{id}\",{},{}\n", station.x, station.y));
    }
    text.into_bytes()
}

/// Times in order and none twice, as far as they can be read: what cannot is told later, with its reason.
fn check_times(times: &[String]) -> Result<(), ApiError> {
    let read = |text: &String| text.parse::<jiff::Timestamp>().ok();
    for (k, pair) in times.windows(2).enumerate() {
        let (Some(before), Some(after)) = (read(&pair[0]), read(&pair[1])) else { continue };
        if before >= after {
            let how = if before == after { "the same as" } else { "before" };
            let text = format!(
                "time {} ({}) is {how} the one before it ({}); times ascend, each once",
                k + 2,
                pair[1],
                pair[0]
            );
            return Err(ApiError::meaningless(text).at_pointer(format!("/times/{}", k + 1)));
        }
    }
    Ok(())
}
