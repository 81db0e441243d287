//! One resource a file.

pub(crate) mod catalogue;
pub(crate) mod collections;
pub(crate) mod conditions;
pub(crate) mod crossvalidations;
pub(crate) mod deliver;
pub(crate) mod estimates;
pub(crate) mod health;
pub(crate) mod jobs;
mod keep;
pub(crate) mod kernels;
pub(crate) mod map_data;
pub(crate) mod maps;
pub(crate) mod metrics;
pub(crate) mod network_maps;
pub(crate) mod networks;
mod ranges;
pub(crate) mod schedules;
pub(crate) mod slots;

use std::time::Instant;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use isopleth_engine::progress::Stage;
use isopleth_engine::report::StageReport;
use isopleth_engine::{Error, machine};
use serde::Serialize;

use crate::error::ApiError;
use crate::watch::traces;

/// Does some work and says how long it took, as the stage of reading.
pub(crate) fn timed<T>(
    work: impl FnOnce() -> Result<T, ApiError>,
) -> Result<(T, StageReport), ApiError> {
    let _span = traces::step("read").entered();
    let (start, cpu) = (Instant::now(), machine::thread_cpu_seconds());
    let result = work()?;
    let stage = StageReport {
        stage: Stage::Read,
        seconds: start.elapsed().as_secs_f64(),
        cpu_seconds: machine::thread_cpu_seconds() - cpu,
        peak_memory_bytes: machine::peak_memory_bytes(),
    };
    Ok((result, stage))
}

pub(crate) fn of_engine(error: impl Into<Error>) -> ApiError {
    error.into().into()
}

/// JSON bytes, made where there is time for it: on the thread that computed.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value)
        .map_err(|error| ApiError::internal("the answer could not be written as JSON", error))
}

fn answered(body: Vec<u8>, media_type: &'static str) -> Response {
    let media_type = HeaderValue::from_static(media_type);
    ([(header::CONTENT_TYPE, media_type)], body).into_response()
}
