//! Errors at stations left out: one at a time, which a run gives by itself (a sink that keeps sums
//! and wants no cells), or many together (`folds.rs`), beside what anybody could have guessed
//! (`references.rs`).

mod folds;
mod references;
mod together;

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

pub use folds::Folds;
pub use together::FoldErrors;

use crate::error::Error;
use crate::factors::FactorCache;
use crate::grid::{Places, Targets};
use crate::observations::Observations;
use crate::output::{Sink, StationValues, Tile};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::report::{ErrorSum, Errors, Report};
use crate::settings::{Limits, Settings};

/// Errors at stations left out.
#[derive(Clone, Debug, Serialize)]
pub struct CrossValidation {
    /// As for a map, without cells.
    pub report: Report,
    /// Every station and variable that had a reading.
    pub stations: Vec<StationErrors>,
    /// Each way of leaving out that was asked for, variable by variable.
    pub folds: Vec<FoldErrors>,
}

/// Errors of one variable at one station over all times.
#[derive(Clone, Debug, Serialize)]
pub struct StationErrors {
    /// Code of the station.
    pub station: String,
    /// Degrees east, or planar x.
    pub x: f64,
    /// Degrees north, or planar y.
    pub y: f64,
    /// Variable.
    pub variable: String,
    /// Errors; residual = observed − predicted.
    pub errors: Errors,
}

/// Leaves out every station in turn, in every field, and besides in whatever folds are asked for.
///
/// The method is chosen with all stations, where it is not told: what is asked is how good the map
/// is between them.
///
/// # Errors
/// As [`Plan::new`] and [`run`](crate::run::run).
pub fn crossvalidate(
    observations: Observations,
    settings: Settings,
    folds: &[Folds],
    limits: &Limits,
    progress: Progress<'_>,
    factors: &FactorCache,
) -> Result<CrossValidation, Error> {
    let plan = Plan::new(observations, Targets::Points(Places::default()), settings, limits)?;
    crossvalidate_plan(&plan, folds, progress, factors)
}

/// The same of a plan, which is made of no places: [`Targets::Points`] with none in it.
///
/// # Errors
/// As [`run`](crate::run::run).
pub fn crossvalidate_plan(
    plan: &Plan,
    folds: &[Folds],
    progress: Progress<'_>,
    factors: &FactorCache,
) -> Result<CrossValidation, Error> {
    let (stations, variables) = (plan.network.stations(), plan.observations.variables());
    let sums = vec![ErrorSum::default(); stations.len() * variables.len()];
    let sink = Sums { stations: stations.len(), sums: Mutex::new(sums) };
    let report = crate::run::run(plan, &sink, progress, factors)?;
    let sums = sink.sums.into_inner().unwrap_or_else(PoisonError::into_inner);
    let rows = sums.iter().enumerate().filter_map(|(k, sum)| {
        let (variable, station) = (k / stations.len(), &stations[k % stations.len()]);
        Some(StationErrors {
            station: station.id.clone(),
            x: station.x,
            y: station.y,
            variable: variables[variable].name.clone(),
            errors: sum.errors()?,
        })
    });
    let stations = rows.collect();
    let each = folds.iter().map(|&folds| together::leave_out(plan, folds, progress, factors));
    let folds: Result<Vec<Vec<FoldErrors>>, Error> = each.collect();
    Ok(CrossValidation { stations, report, folds: folds?.into_iter().flatten().collect() })
}

impl CrossValidation {
    /// The stations as CSV: `station,x,y,variable,count,bias,mae,rmse,r2`.
    #[must_use]
    pub fn stations_csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header = ["station", "x", "y", "variable", "count", "bias", "mae", "rmse", "r2"];
        // Writing to memory cannot fail.
        let _ = writer.write_record(header);
        for row in &self.stations {
            let e = &row.errors;
            let _ = writer.write_record([
                row.station.clone(),
                row.x.to_string(),
                row.y.to_string(),
                row.variable.clone(),
                e.count.to_string(),
                e.bias.to_string(),
                e.mae.to_string(),
                e.rmse.to_string(),
                e.r2.map_or_else(String::new, |r2| r2.to_string()),
            ]);
        }
        String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
    }
}

struct Sums {
    stations: usize,
    /// By variable, then station.
    sums: Mutex<Vec<ErrorSum>>,
}

impl Sink for Sums {
    fn tile(&self, _: Tile<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn stations(&self, values: StationValues<'_>) -> Result<(), Error> {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        for (f, field) in values.fields.iter().enumerate() {
            for station in 0..self.stations {
                let at = f * self.stations + station;
                sums[field.variable * self.stations + station]
                    .add(values.values[at], values.residuals[at]);
            }
        }
        Ok(())
    }

    fn batch_done(&self) -> Result<(), Error> {
        Ok(())
    }
}
