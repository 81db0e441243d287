//! `POST /v1/networks/{id}/maps`: values by station id in, map out.

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};

use super::deliver::{Delivery, Origin};
use super::jobs::{self, Fate, Owner};
use super::maps::plan_of;
use super::{networks, timed};
use crate::accept::{Form, Wanted};
use crate::error::ApiError;
use crate::intake::{self, OfNetwork, Use};
use crate::jobs::Wish;
use crate::limits::Turn;
use crate::state::AppState;
use crate::wire::answer::MapAnswer;
use crate::wire::catalogue::YesNo;
use crate::wire::jobs::JobAnswer;
use crate::wire::network::{NetworkMapRequest, UnknownQuery};
use crate::wire::quality::QualityQuery;
use crate::wire::query::{FormQuery, GridQuery, KeepQuery, MethodQuery, Query};
use crate::wire::series::SeriesQuery;

/// Make a map of a registered network.
///
/// The body is a JSON document with values by station id, or in the order of the network's stations; or a table
/// (`text/csv`, GeoJSON, Parquet or NetCDF time series) with station codes, whose places are the network's. Grid,
/// method, units and bounds are the network's unless the request has its own. All stations of the network take part
/// in every map, those without a reading as missing.
///
/// With `Prefer: respond-async` a map on a grid becomes a job: 201, with its place in `Location`. The job keeps the
/// network as it was when it was asked for, however that is changed or deleted meanwhile. With `keep=true` the map is
/// answered at once, and kept as the result of a job is: `Location` has its place in the catalogue, where
/// `GET /v1/maps?network={id}&latest=true` finds the latest.
#[utoipa::path(
    post,
    path = "/v1/networks/{id}/maps",
    tag = "networks",
    params(
        ("id" = String, Path, description = "The network's name"),
        FormQuery, KeepQuery, UnknownQuery, GridQuery, MethodQuery, SeriesQuery, QualityQuery,
        ("prefer" = Option<String>, Header, description = "`respond-async`: make it a job"),
        ("idempotency-key" = Option<String>, Header, description = "Of a job: the same key and request are the same job"),
        ("webhook-url" = Option<String>, Header, description = "Of a job: whom to tell of its end, if the service allows that host"),
        ("x-isopleth-usage" = Option<String>, Header, description = "`none`: leave no row in the account"),
    ),
    request_body(content(
        (NetworkMapRequest = "application/json"),
        (String = "text/csv"),
        (serde_json::Value = "application/geo+json"),
        (Vec<u8> = "application/vnd.apache.parquet"),
        (Vec<u8> = "application/x-netcdf"),
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
        (status = 404, description = "There is no such network"),
        (status = 406, description = "No form that is accepted"),
        (status = 408, description = "The body took too long"),
        (status = 413, description = "More than the limits allow"),
        (status = 415, description = "Not a form we read"),
        (status = 422, description = "Unknown stations, or values, grid or method that make no sense"),
        (status = 500, description = "The service failed"),
        (status = 503, description = "Busy or stopping; see Retry-After"),
        (status = 507, description = "There is no room to keep the map in (`keep=true`)"),
    )
)]
pub(crate) async fn make_map(
    State(state): State<AppState>,
    owner: Owner,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let FormQuery { f } = query.take()?;
    let KeepQuery { keep } = query.take()?;
    let UnknownQuery { unknown } = query.take()?;
    let offered = [Form::NetCdf, Form::Csv, Form::Json];
    let wanted = Wanted::of(f.as_deref(), request.headers(), &offered)?;
    let network = networks::find(&state, &id).await?;
    let of = OfNetwork { network, unknown: unknown.unwrap_or_default() };
    let from = Origin::of(&request);
    let keep = keep.is_some_and(YesNo::yes).then(|| owner.0.clone());
    let wish = jobs::wish(owner, &request)?.map(|wish| Wish { network: Some(of.clone()), ..wish });
    let to = Use { with_grid: true, at_once: None };
    let (seat, received) = state.seated(intake::receive(&state, request, query, to)).await?;
    let (seat, received) = match jobs::settle(&state, seat, received, wish).await? {
        Fate::Job(answer) => return Ok(answer),
        Fate::AtOnce(seat, received) => (seat, received),
    };
    let shared = state.clone();
    let job = move |turn: &Turn| {
        from.draft.begins();
        let (understood, reading) = timed(|| of.understand(&shared, received, turn))?;
        let plan = plan_of(&shared, understood)?;
        let command = format!("POST /v1/networks/{}/maps", of.network.id);
        let (state, command, network) = (&shared, command.as_str(), Some(&*of.network));
        let keep = keep.as_deref();
        Delivery { state, wanted: &wanted, command, from: &from, network, keep, turn }
            .of(&plan, reading)
    };
    Ok(state.compute(seat, job).await?.into_response())
}
