//! What is told of covariates: how much values depend on them, and where they were beyond what the
//! stations know.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use isopleth_kernels::Weights;
use serde::{Deserialize, Serialize};

use super::Covariates;
use crate::observations::Variable;
use crate::output::FieldId;

/// A covariate, in a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CovariateReport {
    /// What it is called.
    pub covariate: String,
    /// Column and grid that it comes from.
    pub source: String,
    /// BLAKE3 of the grid's file in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Its unit, where one is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<String>,
    /// Its least and greatest value at the stations.
    pub range: [f64; 2],
    /// What the variables change by with it.
    pub slopes: Vec<Slope>,
    /// Cells of the map (of one field) beyond that range.
    pub cells_outside: u64,
    /// Cells where it is not known: they hold the fill value.
    pub cells_without: u64,
    /// Whether cells beyond the range got the nearest end of it.
    pub clamped: bool,
}

/// What a variable changes by, per unit of the covariate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slope {
    /// Variable.
    pub variable: String,
    /// In its unit per unit of the covariate, the mean of all its fields.
    pub slope: f64,
}

/// Counts during a run.
#[derive(Debug)]
pub(crate) struct Account {
    /// By covariate and variable: sum of coefficients, number of fields.
    slopes: Mutex<Vec<Vec<(f64, u32)>>>,
    /// By covariate: outside of the range, unknown.
    cells: Vec<[AtomicU64; 2]>,
}

impl Account {
    pub(crate) fn new(of: Option<&Covariates>, variables: usize) -> Self {
        let covariates = of.map_or(0, |all| all.of.len());
        Self {
            slopes: Mutex::new(vec![vec![(0.0, 0); variables]; covariates]),
            cells: (0..covariates).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect(),
        }
    }

    /// Books the coefficients of some fields.
    pub(crate) fn add(&self, of: &Covariates, fields: &[FieldId], weights: &Weights) {
        let coefficients = of.coefficients(weights);
        let mut slopes = self.slopes.lock().unwrap_or_else(PoisonError::into_inner);
        for ((one, coefficients), slopes) in of.of.iter().zip(&coefficients).zip(slopes.iter_mut())
        {
            for (field, beta) in fields.iter().zip(coefficients).filter(|(_, b)| b.is_finite()) {
                let (sum, count) = &mut slopes[field.variable];
                *sum += beta / one.scale;
                *count += 1;
            }
        }
    }

    pub(super) fn cells(&self, covariate: usize, outside: u64, unknown: u64) {
        self.cells[covariate][0].fetch_add(outside, Ordering::Relaxed);
        self.cells[covariate][1].fetch_add(unknown, Ordering::Relaxed);
    }

    pub(crate) fn into_share(self) -> Share {
        let slopes = self.slopes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let cells = self.cells.into_iter().map(|counts| counts.map(AtomicU64::into_inner));
        Share { slopes, cells: cells.collect() }
    }
}

/// What an account holds in the end; of several time steps it can be added up.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Share {
    slopes: Vec<Vec<(f64, u32)>>,
    cells: Vec<[u64; 2]>,
}

impl Share {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.slopes.resize(self.slopes.len().max(other.slopes.len()), Vec::new());
        for (all, of) in self.slopes.iter_mut().zip(&other.slopes) {
            all.resize(all.len().max(of.len()), (0.0, 0));
            for ((sum, count), (more, fields)) in all.iter_mut().zip(of) {
                *sum += more;
                *count += fields;
            }
        }
        self.cells.resize(self.cells.len().max(other.cells.len()), [0; 2]);
        for (all, of) in self.cells.iter_mut().zip(&other.cells) {
            all.iter_mut().zip(of).for_each(|(all, more)| *all += more);
        }
    }

    /// The reports, and what a user should know.
    pub(crate) fn into_report(
        mut self,
        of: &Covariates,
        variables: &[Variable],
    ) -> (Vec<CovariateReport>, Vec<String>) {
        self.slopes.resize(of.of.len(), Vec::new());
        self.cells.resize(of.of.len(), [0; 2]);
        let slopes = self.slopes;
        let (mut reports, mut warnings) = (Vec::new(), Vec::new());
        for (k, one) in of.of.iter().enumerate() {
            let [outside, without] = self.cells[k];
            let ([low, high], name) = (one.range, &one.name);
            if outside > 0 {
                let done = if of.clamp {
                    "they were given the nearest end"
                } else {
                    "the map extrapolates there (clamped, they would get the nearest end)"
                };
                warnings.push(format!(
                    "{outside} cells lie beyond what the stations have of covariate {name} ({low:.4} to \
                     {high:.4}): {done}"
                ));
            }
            if without > 0 {
                warnings.push(format!(
                    "{without} cells hold the fill value: covariate {name} is not known there"
                ));
            }
            let told = variables.iter().zip(&slopes[k]).filter(|(_, (_, count))| *count > 0);
            reports.push(CovariateReport {
                covariate: name.clone(),
                source: one.source.clone(),
                digest: one.digest.clone(),
                units: one.units.clone(),
                range: one.range,
                slopes: told
                    .map(|(variable, (sum, count))| Slope {
                        variable: variable.name.clone(),
                        slope: sum / f64::from(*count),
                    })
                    .collect(),
                cells_outside: outside,
                cells_without: without,
                clamped: of.clamp,
            });
        }
        (reports, warnings)
    }
}
