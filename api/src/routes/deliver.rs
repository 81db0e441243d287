//! From a plan to an answer: in memory where it is small, in a file without a name where it is not.

use std::fs::File;
use std::path::Path;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use isopleth_engine::output::{Layout, MapsInMemory, NetcdfFile, PointsCsv, Provenance, Sink};
use isopleth_engine::report::{StageReport, iso_8601};
use isopleth_engine::{Error, Plan, Progress, Report, Targets, run};
use tokio_util::io::ReaderStream;

use super::keep::{self, KeptAt};
use super::{answered, of_engine, to_json};
use crate::accept::{Form, Wanted};
use crate::account::Draft;
use crate::doors::Caller;
use crate::error::ApiError;
use crate::jobs::{Process, beyond_now};
use crate::limits::Turn;
use crate::networks::{Registered, Remembering};
use crate::observe::RequestId;
use crate::state::AppState;
use crate::watch::traces::Stages;
use crate::wire::answer::MapAnswer;

/// Files of up to so many bytes before compression are made in memory, without a disk.
const IN_MEMORY: u64 = 4 << 20;

/// A map, ready to be sent.
#[derive(Debug)]
pub(crate) enum Made {
    /// In a file that has no name any more: it is gone when it is sent, or not.
    File { file: File, bytes: u64, form: Form, name: String },
    /// A file in memory.
    Memory { bytes: Vec<u8>, form: Form, name: String },
    /// In memory.
    Json(Vec<u8>),
    /// Any of these, and where it is kept.
    Kept { made: Box<Made>, at: KeptAt },
}

/// Who asks, and what the request is called.
pub(crate) struct Origin {
    caller: Caller,
    id: RequestId,
    /// What is noted for the account.
    pub(crate) draft: Draft,
}

impl Origin {
    pub(crate) fn of(request: &Request) -> Self {
        let draft = Draft::of(request);
        Self { caller: Caller::of(request), id: RequestId::of(request), draft }
    }
}

/// What the making of an answer needs besides the plan.
pub(crate) struct Delivery<'a> {
    pub(crate) state: &'a AppState,
    pub(crate) wanted: &'a Wanted,
    /// What the file's history tells.
    pub(crate) command: &'a str,
    pub(crate) from: &'a Origin,
    /// The registered network, whose residuals are remembered.
    pub(crate) network: Option<&'a Registered>,
    /// Whose map it is in the catalogue, if it is to be kept.
    pub(crate) keep: Option<&'a str>,
    /// Slow maps take another one than quick ones.
    pub(crate) turn: &'a Turn,
}

impl Delivery<'_> {
    /// Computes, in the best form that is wanted and possible; `reading` is booked in the report.
    pub(crate) fn of(&self, plan: &Plan, reading: StageReport) -> Result<Made, ApiError> {
        if self.keep.is_some() {
            keep::check(plan)?;
        }
        let possible: &[Form] = match plan.targets {
            Targets::Grid(_) => &[Form::NetCdf, Form::Json],
            Targets::Points(_) => &[Form::Csv, Form::Json],
        };
        keep_small_at_once(self.state, plan)?;
        // A network that is asked for again has its method already.
        let seconds = plan.estimate.seconds - plan.seconds_of_choosing();
        let _memory = self.state.admit(self.turn, seconds, beyond_now(plan))?;
        let form = self.wanted.best(possible)?;
        let process = match plan.targets {
            Targets::Grid(_) => Process::Map,
            Targets::Points(_) => Process::Points,
        };
        self.from.draft.planned(process.name(), plan, form.name());
        self.from
            .draft
            .belongs(self.network.map(|network| network.id.as_str()), self.keep.is_some());
        if form == Form::Json {
            keep_json_small(self.state, plan)?;
        }
        let estimate = &plan.estimate;
        let values = estimate.cells.saturating_mul(estimate.fields);
        self.from.caller.spend(self.state.store(), values)?;
        let _until_made = self.state.watch().planned(estimate);
        if let Some(owner) = self.keep {
            return self.kept(owner, plan, form, reading);
        }
        match form {
            Form::Json => self.json(plan, reading),
            Form::NetCdf if plan.estimate.output_bytes <= IN_MEMORY => {
                let provenance = self.provenance();
                let layout = Layout::of(plan, &provenance);
                let file = NetcdfFile::in_memory(&layout, self.state.heads()).map_err(of_engine)?;
                let report = self.run(plan, &file, reading).map_err(of_engine)?;
                let bytes = file.into_bytes(&report).map_err(of_engine)?;
                Ok(Made::Memory { bytes, form, name: file_name(plan, form) })
            }
            _ => self.file(plan, form, reading),
        }
    }

    pub(super) fn run(
        &self,
        plan: &Plan,
        sink: &dyn Sink,
        reading: StageReport,
    ) -> Result<Report, Error> {
        let stages = Stages::new();
        let on_event = |event| stages.tell(event);
        let progress = Progress { on_event: &on_event, cancel: self.turn };
        let run = |sink: &dyn Sink| run(plan, sink, progress, self.state.factors());
        let mut report = match self.network {
            Some(network) => run(&Remembering::new(sink, plan, &network.last)),
            None => run(sink),
        }?;
        report.book(reading);
        let network = self.network.map_or("", |network| &network.id);
        self.state.watch().mapped(&plan.estimate, &report, network);
        self.from.draft.made(&report);
        Ok(report)
    }

    pub(super) fn provenance(&self) -> Provenance {
        let RequestId(id) = &self.from.id;
        Provenance::now(format!("{}, request {id}", self.command))
    }

    fn json(&self, plan: &Plan, reading: StageReport) -> Result<Made, ApiError> {
        let sink = in_memory(plan);
        let report = self.run(plan, &sink, reading).map_err(of_engine)?;
        to_json(&MapAnswer::new(plan, &sink.into_maps(), &report)).map(Made::Json)
    }

    fn file(&self, plan: &Plan, form: Form, reading: StageReport) -> Result<Made, ApiError> {
        let dir = tempfile::tempdir_in(&self.state.config().spill_dir)
            .map_err(|error| ApiError::internal("no room for the answer", error))?;
        let path = dir.path().join("map");
        if form == Form::NetCdf {
            let provenance = self.provenance();
            let layout = Layout::of(plan, &provenance);
            let file = NetcdfFile::create(&path, &layout).map_err(of_engine)?;
            let report = self.run(plan, &file, reading).map_err(of_engine)?;
            file.finish(&report).map_err(of_engine)?;
        } else if let Targets::Points(places) = &plan.targets {
            let (variables, times) = (plan.observations.variables(), plan.observations.times());
            let file = PointsCsv::create(&path, places, variables, times, &plan.layers)
                .map_err(of_engine)?;
            self.run(plan, &file, reading).map_err(of_engine)?;
            file.finish().map_err(of_engine)?;
        }
        opened(&path, form, file_name(plan, form))
    }
}

pub(crate) fn in_memory(plan: &Plan) -> MapsInMemory {
    let (variables, times) = (plan.observations.variables(), plan.observations.times());
    let (rows, columns) = (plan.targets.rows(), plan.targets.columns());
    let stations = plan.network.stations().len();
    MapsInMemory::new(variables.len(), times.len(), rows, columns, stations)
}

/// What takes long is a job, which survives a connection that does not.
pub(crate) fn keep_small_at_once(state: &AppState, plan: &Plan) -> Result<(), ApiError> {
    let (config, estimate) = (state.config(), plan.estimate);
    let values = estimate.cells.saturating_mul(estimate.fields);
    let (most_values, most_seconds) = (config.sync_max_values, config.sync_max_seconds);
    if values <= most_values && estimate.seconds <= most_seconds {
        return Ok(());
    }
    Err(ApiError::too_large(format!(
        "the map has {values} values and is foreseen to take {:.0} s; at once go {most_values} values \
         and {most_seconds:.0} s: ask for a job with the header Prefer: respond-async",
        estimate.seconds
    )))
}

/// # Errors
/// 413 for more values than JSON may have, 422 where layers say how sure a map is.
pub(crate) fn keep_json_small(state: &AppState, plan: &Plan) -> Result<(), ApiError> {
    let (limit, estimate) = (state.config().max_json_values, plan.estimate);
    let values = estimate.cells.saturating_mul(estimate.fields);
    if !plan.layers.is_empty() {
        let text = "how sure a map is stands in NetCDF, or in CSV for points; ask for one of these";
        return Err(ApiError::meaningless(text).at_pointer("/uncertainty"));
    }
    if values <= limit {
        return Ok(());
    }
    Err(ApiError::too_large(format!(
        "the answer would have {values} values, more than the limit of {limit} for JSON; ask for \
         application/x-netcdf, or for a coarser grid"
    )))
}

/// Opens the file; its name goes with the folder, its bytes with the handle.
pub(super) fn opened(path: &Path, form: Form, name: String) -> Result<Made, ApiError> {
    let file = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (bytes, file) =
        file.map_err(|error| ApiError::internal("the answer could not be read again", error))?;
    Ok(Made::File { file, bytes, form, name })
}

/// `pm25_2017-07-07T080000Z.nc`, `6-variables.nc`: letters that every system takes.
pub(super) fn file_name(plan: &Plan, form: Form) -> String {
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

/// Where the map is from now on; for its file also that this is what is there.
fn kept_headers(mut response: Response, at: &KeptAt) -> Response {
    let mut put = |name, text: String| {
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(name, value);
        }
    };
    put(header::LOCATION, format!("/v1/maps/{}", at.id));
    if at.is_file {
        put(header::CONTENT_LOCATION, format!("/v1/maps/{}/data", at.id));
        put(header::ETAG, format!("\"{}\"", at.digest));
    }
    response
}

impl IntoResponse for Made {
    fn into_response(self) -> Response {
        match self {
            Self::Kept { made, at } => kept_headers(made.into_response(), &at),
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
