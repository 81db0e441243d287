//! Results that are made in one piece, values at places and errors at stations left out: begun again after
//! a crash, and written to a file that appears whole or not at all.

use std::io::Write as _;
use std::path::Path;

use isopleth_engine::output::{AtomicFile, PointsCsv};
use isopleth_engine::{
    CrossValidation, Error, FactorCache, Plan, Progress, Report, Targets, crossvalidate_plan, run,
};

use super::{Form, Process, Task};
use crate::error::ApiError;
use crate::routes::deliver::in_memory;
use crate::routes::to_json;
use crate::wire::answer::{CrossvalidationAnswer, MapAnswer};

/// What a result says of itself.
pub(super) struct Told {
    pub(super) report: Report,
    /// West, south, east, north of what it is of.
    pub(super) bounds: [f64; 4],
}

/// Why there is none.
pub(super) enum Failed {
    Engine(Error),
    Answer(ApiError),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        Self::Answer(error)
    }
}

/// Makes a result under its final name.
pub(super) fn make(
    task: &Task,
    form: Form,
    path: &Path,
    progress: Progress<'_>,
    factors: &FactorCache,
) -> Result<Told, Failed> {
    match task.process {
        Process::Crossvalidation => {
            let made = crossvalidate_plan(&task.plan, &task.folds, progress, factors)?;
            write(path, &errors(&made, form)?)?;
            Ok(Told { report: made.report, bounds: of_stations(&task.plan) })
        }
        Process::Map | Process::Points => {
            let report = match form {
                Form::Csv => points_csv(&task.plan, path, progress, factors)?,
                _ => {
                    let sink = in_memory(&task.plan);
                    let report = run(&task.plan, &sink, progress, factors)?;
                    let maps = sink.into_maps();
                    write(path, &to_json(&MapAnswer::new(&task.plan, &maps, &report))?)?;
                    report
                }
            };
            Ok(Told { report, bounds: task.plan.targets.bounds() })
        }
    }
}

/// The errors as they are answered.
pub(crate) fn errors(made: &CrossValidation, form: Form) -> Result<Vec<u8>, ApiError> {
    match form {
        Form::Csv => Ok(made.stations_csv().into_bytes()),
        _ => to_json(&CrossvalidationAnswer::new(made)),
    }
}

fn points_csv(
    plan: &Plan,
    path: &Path,
    progress: Progress<'_>,
    factors: &FactorCache,
) -> Result<Report, Failed> {
    let Targets::Points(places) = &plan.targets else {
        return Err(ApiError::internal("a table is of places", "the targets are a grid").into());
    };
    let (variables, times) = (plan.observations.variables(), plan.observations.times());
    let file = PointsCsv::create(path, places, variables, times, &plan.layers)?;
    let report = run(plan, &file, progress, factors)?;
    file.finish()?;
    Ok(report)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failed> {
    let place = AtomicFile::create(path)?;
    let written = place.file().write_all(bytes);
    written.map_err(|source| Error::Io { action: "write", path: path.to_owned(), source })?;
    Ok(place.commit()?)
}

fn of_stations(plan: &Plan) -> [f64; 4] {
    let none = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    plan.network.stations().iter().fold(none, |[west, south, east, north], station| {
        let (x, y) = (station.x, station.y);
        [west.min(x), south.min(y), east.max(x), north.max(y)]
    })
}
