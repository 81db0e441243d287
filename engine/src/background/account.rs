//! What is told of backgrounds: how good they are alone, and where they were not known.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use isopleth_kernels::Mat;
use serde::{Deserialize, Serialize};

use super::{Backgrounds, Source};
use crate::observations::Variable;
use crate::output::FieldId;
use crate::report::{ErrorSum, Errors};

/// The background of a variable, in a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackgroundReport {
    /// Variable.
    pub variable: String,
    /// `model.nc:pm25`, or the column.
    pub background: String,
    /// BLAKE3 of the file in hexadecimal; none of a column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Stations outside its area.
    pub stations_outside: usize,
    /// Readings that were not used, because it is not known at their place and time.
    pub readings_without: u64,
    /// Values (cells × times) that hold the fill value because it is not known there.
    pub values_without: u64,
    /// Errors of the background alone at the stations: observed − background.
    pub alone: Option<Errors>,
}

/// Counts during a run.
#[derive(Debug)]
pub(crate) struct Account {
    /// By variable: errors of the background alone, readings without it.
    stations: Mutex<Vec<(ErrorSum, u64)>>,
    cells: Vec<AtomicU64>,
}

impl Account {
    pub(crate) fn new(variables: usize) -> Self {
        Self {
            stations: Mutex::new(vec![Default::default(); variables]),
            cells: (0..variables).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Books fields as they were solved; of each, `without` readings had no background.
    pub(crate) fn add(
        &self,
        fields: &[FieldId],
        readings: &Mat<f64>,
        background: &Mat<f64>,
        without: &[u64],
    ) {
        let mut stations = self.stations.lock().unwrap_or_else(PoisonError::into_inner);
        for (f, field) in fields.iter().enumerate() {
            let (sum, missing) = &mut stations[field.variable];
            *missing += without[f];
            let pairs = readings.col_as_slice(f).iter().zip(background.col_as_slice(f));
            pairs.for_each(|(observed, background)| sum.add(*observed, observed - background));
        }
    }

    pub(super) fn cells_without(&self, variable: usize, count: u64) {
        self.cells[variable].fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn into_share(self) -> Share {
        let stations = self.stations.into_inner().unwrap_or_else(PoisonError::into_inner);
        let cells = self.cells.into_iter().map(AtomicU64::into_inner).collect();
        Share { stations, cells }
    }
}

/// What an account holds in the end; of several time steps it can be added up.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Share {
    /// By variable: errors of the background alone, readings without it.
    stations: Vec<(ErrorSum, u64)>,
    cells: Vec<u64>,
}

impl Share {
    pub(crate) fn merge(&mut self, other: &Self) {
        let variables = self.cells.len().max(other.cells.len());
        self.stations.resize(variables, Default::default());
        self.cells.resize(variables, 0);
        for (all, (sum, without)) in self.stations.iter_mut().zip(&other.stations) {
            all.0.merge(sum);
            all.1 += without;
        }
        self.cells.iter_mut().zip(&other.cells).for_each(|(all, cells)| *all += cells);
    }

    /// The reports, and what a user should know.
    pub(crate) fn into_report(
        mut self,
        of: &Backgrounds,
        variables: &[Variable],
    ) -> (Vec<BackgroundReport>, Vec<String>) {
        self.stations.resize(variables.len(), Default::default());
        self.cells.resize(variables.len(), 0);
        let mut warnings = of.warnings.clone();
        let mut reports = Vec::new();
        for (variable, one) in of.of.iter().enumerate() {
            let Some(one) = one else { continue };
            let (sum, readings_without) = self.stations[variable];
            let (name, background) = (&variables[variable].name, &one.name);
            let values_without = self.cells[variable];
            let stations_outside = match &one.source {
                Source::Grid(grid) => grid.outside.len(),
                Source::Column(_) => 0,
            };
            if readings_without > 0 {
                warnings.push(format!(
                    "{readings_without} readings of {name} are not used: the background \
                     {background} is not known there"
                ));
            }
            if values_without > 0 {
                warnings.push(format!(
                    "{values_without} values of {name} (cells × times) hold the fill value: the \
                     background {background} is not known there"
                ));
            }
            reports.push(BackgroundReport {
                variable: name.clone(),
                background: background.clone(),
                digest: one.digest.clone(),
                stations_outside,
                readings_without,
                values_without,
                alone: sum.errors(),
            });
        }
        (reports, warnings)
    }
}
