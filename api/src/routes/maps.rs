//! `POST /v1/maps`: readings in, map out.

use std::fs::File;
use std::path::Path;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use isopleth_engine::output::{Layout, MapsInMemory, NetcdfFile, PointsCsv, Provenance};
use isopleth_engine::report::iso_8601;
use isopleth_engine::{Cancel, Plan, Targets, run};
use tokio_util::io::ReaderStream;

use super::{answered, of_engine, quietly, timed, to_json};
use crate::accept::{Form, Wanted};
use crate::doors::Caller;
use crate::error::{ApiError, Problem};
use crate::intake::{self, Received, Understood};
use crate::observe::RequestId;
use crate::state::AppState;
use crate::wire::answer::MapAnswer;
use crate::wire::quality::QualityQuery;
use crate::wire::query::{FormQuery, GridQuery, MethodQuery, Query};
use crate::wire::request::MapRequest;
use crate::wire::series::SeriesQuery;

/// Make a map of readings at stations.
///
/// The body is a JSON document with everything in it; or a table (`text/csv`, any layout that the
/// program reads), with the choices in the query; or a form with a part `request` (JSON) and files
/// `readings` (several if need be) and `stations`. Tables may be gzipped.
///
/// The answer is a NetCDF file, or JSON for small maps; for a list of points CSV or JSON.
#[utoipa::path(
    post,
    path = "/v1/maps",
    tag = "maps",
    params(FormQuery, GridQuery, MethodQuery, SeriesQuery, QualityQuery),
    request_body(content(
        (MapRequest = "application/json"),
        (String = "text/csv"),
        (crate::openapi::MapForm = "multipart/form-data"),
    )),
    responses(
        (status = 200, description = "The map", content(
            (Vec<u8> = "application/x-netcdf"),
            (MapAnswer<'_> = "application/json"),
            (String = "text/csv"),
        ), headers(("content-disposition" = String, description = "A name for the file"))),
        (status = 400, description = "Not readable as what it claims to be", body = Problem, content_type = "application/problem+json"),
        (status = 406, description = "No form that is accepted", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body took too long", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than the limits allow", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not a form we read", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Readings, grid or method make no sense", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "The service failed", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Busy or stopping; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn make_map(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let FormQuery { f } = query.take()?;
    // Among equals the first that the targets allow: a file for a grid, a table for points.
    let offered = [Form::NetCdf, Form::Csv, Form::Json];
    let wanted = Wanted::of(f.as_deref(), request.headers(), &offered)?;
    let seat = state.seat()?;
    let from = Origin { caller: Caller::of(&request), id: RequestId::of(&request) };
    let received = intake::receive(&state, request, query, true).await?;
    let shared = state.clone();
    let job = move |cancel: &Cancel| make(&shared, &from, received, &wanted, cancel);
    let made = state.compute(seat, job).await?;
    Ok(made.into_response())
}

/// Files of up to so many bytes before compression are made in memory, without a disk.
const IN_MEMORY: u64 = 4 << 20;

/// A map, ready to be sent.
#[derive(Debug)]
enum Made {
    /// In a file that has no name any more: it is gone when it is sent, or not.
    File { file: File, bytes: u64, form: Form, name: String },
    /// A file in memory.
    Memory { bytes: Vec<u8>, form: Form, name: String },
    /// In memory.
    Json(Vec<u8>),
}

/// Who asks, and what the request is called.
struct Origin {
    caller: Caller,
    id: RequestId,
}

/// Reads, plans and computes; on a thread of its own.
fn make(
    state: &AppState,
    from: &Origin,
    received: Received,
    wanted: &Wanted,
    cancel: &Cancel,
) -> Result<Made, ApiError> {
    let by_query = matches!(received, Received::Table { .. });
    let (understood, reading) = timed(|| received.understand::<MapRequest>(state, cancel))?;
    let made = plan_of(state, understood).and_then(|plan| {
        let possible: &[Form] = match plan.targets {
            Targets::Grid(_) => &[Form::NetCdf, Form::Json],
            Targets::Points(_) => &[Form::Csv, Form::Json],
        };
        let form = wanted.best(possible)?;
        let estimate = plan.estimate;
        from.caller.spend(state.store(), estimate.cells.saturating_mul(estimate.fields))?;
        let _until_made = state.watch().planned(&estimate);
        if form == Form::Json {
            keep_json_small(state, &plan)?;
            if !plan.layers.is_empty() {
                let text = "how sure a map is stands in NetCDF, or in CSV for points; ask for one of these";
                return Err(ApiError::meaningless(text).at_pointer("/uncertainty"));
            }
            let sink = in_memory(&plan);
            let mut report =
                run(&plan, &sink, quietly(cancel), state.factors()).map_err(of_engine)?;
            report.book(reading);
            state.watch().mapped(&estimate, &report, "");
            return to_json(&MapAnswer::new(&plan, &sink.into_maps(), &report)).map(Made::Json);
        }
        if form == Form::NetCdf && plan.estimate.output_bytes <= IN_MEMORY {
            let provenance = Provenance::now("POST /v1/maps");
            let layout = Layout::of(&plan, &provenance);
            let file = NetcdfFile::in_memory(&layout, state.heads()).map_err(of_engine)?;
            let mut report =
                run(&plan, &file, quietly(cancel), state.factors()).map_err(of_engine)?;
            report.book(reading);
            let bytes = file.into_bytes(&report).map_err(of_engine)?;
            return Ok(Made::Memory { bytes, form, name: file_name(&plan, form) });
        }
        let dir = tempfile::tempdir_in(&state.config().spill_dir)
            .map_err(|error| ApiError::internal("no room for the answer", error))?;
        let path = dir.path().join("map");
        if form == Form::NetCdf {
            let RequestId(id) = &from.id;
            let provenance = Provenance::now(format!("POST /v1/maps, request {id}"));
            let layout = Layout::of(&plan, &provenance);
            let file = NetcdfFile::create(&path, &layout).map_err(of_engine)?;
            let mut report =
                run(&plan, &file, quietly(cancel), state.factors()).map_err(of_engine)?;
            report.book(reading);
            state.watch().mapped(&estimate, &report, "");
            file.finish(&report).map_err(of_engine)?;
        } else if let Targets::Points(places) = &plan.targets {
            let (variables, times) = (plan.observations.variables(), plan.observations.times());
            let file =
                PointsCsv::create(&path, places, variables, times, &plan.layers).map_err(of_engine)?;
            let mut report =
                run(&plan, &file, quietly(cancel), state.factors()).map_err(of_engine)?;
            report.book(reading);
            state.watch().mapped(&estimate, &report, "");
            file.finish().map_err(of_engine)?;
        }
        opened(&path, form, file_name(&plan, form))
    });
    made.map_err(|error| if by_query { error.in_query() } else { error })
}

/// The plan of a request that says where to map.
pub(super) fn plan_of(state: &AppState, understood: Understood) -> Result<Plan, ApiError> {
    let Understood { order, observations } = understood;
    let targets = order.targets.ok_or_else(|| {
        let text = "where to map? give a grid (its bounds, and shape or resolution) or points";
        ApiError::meaningless(text).at_pointer("/grid")
    })?;
    if !order.folds.is_empty() {
        let text = "folds are for cross-validations: POST /v1/crossvalidations";
        return Err(ApiError::meaningless(text).at_pointer("/folds"));
    }
    Plan::new(observations, targets, order.settings, &state.config().limits()).map_err(of_engine)
}

fn in_memory(plan: &Plan) -> MapsInMemory {
    let (variables, times) = (plan.observations.variables(), plan.observations.times());
    let (rows, columns) = (plan.targets.rows(), plan.targets.columns());
    let stations = plan.network.stations().len();
    MapsInMemory::new(variables.len(), times.len(), rows, columns, stations)
}

fn keep_json_small(state: &AppState, plan: &Plan) -> Result<(), ApiError> {
    let (limit, estimate) = (state.config().max_json_values, plan.estimate);
    let values = estimate.cells.saturating_mul(estimate.fields);
    if values <= limit {
        return Ok(());
    }
    Err(ApiError::too_large(format!(
        "the answer would have {values} values, more than the limit of {limit} for JSON; ask for \
         application/x-netcdf, or for a coarser grid"
    )))
}

/// Opens the file; its name goes with the folder, its bytes with the handle.
fn opened(path: &Path, form: Form, name: String) -> Result<Made, ApiError> {
    let file = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (bytes, file) =
        file.map_err(|error| ApiError::internal("the answer could not be read again", error))?;
    Ok(Made::File { file, bytes, form, name })
}

/// `pm25_2017-07-07T080000Z.nc`, `6-variables.nc`: letters that every system takes.
fn file_name(plan: &Plan, form: Form) -> String {
    let variables = plan.observations.variables();
    let mut name = match variables {
        [only] => only.name.clone(),
        several => format!("{}-variables", several.len()),
    };
    if let Some(time) = plan.observations.times().first().copied().flatten() {
        name = format!("{name}_{}", iso_8601(time).replace(':', ""));
    }
    name.retain(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    name.truncate(80);
    let ending = if form == Form::NetCdf { "nc" } else { "csv" };
    format!("map_{}.{ending}", name.trim_start_matches('.'))
}

fn file_headers(form: Form, name: &str, bytes: u64) -> [(HeaderName, HeaderValue); 3] {
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    [
        (header::CONTENT_TYPE, HeaderValue::from_static(form.media_type())),
        (header::CONTENT_LENGTH, HeaderValue::from(bytes)),
        (
            header::CONTENT_DISPOSITION,
            disposition.unwrap_or(HeaderValue::from_static("attachment")),
        ),
    ]
}

impl IntoResponse for Made {
    fn into_response(self) -> Response {
        match self {
            Self::Json(body) => answered(body, Form::Json.media_type()),
            Self::Memory { bytes, form, name } => {
                (file_headers(form, &name, bytes.len() as u64), bytes).into_response()
            }
            Self::File { file, bytes, form, name } => {
                let stream = ReaderStream::with_capacity(tokio::fs::File::from_std(file), 1 << 17);
                (file_headers(form, &name, bytes), Body::from_stream(stream)).into_response()
            }
        }
    }
}
