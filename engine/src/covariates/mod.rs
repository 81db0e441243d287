//! What values depend on besides the place, such as elevation: further linear terms of the drift.
//!
//! ```text
//! s(x) = Σᵢ wᵢ φ(|x − xᵢ|) + Σₖ cₖ pₖ(x) + Σⱼ βⱼ zⱼ(x)        z = (value − mean) / standard deviation
//! ```
//!
//! with means and deviations over the stations. Known at the stations from a column of the readings, or
//! from the grid that has it at the cells. This is kriging with external drift where φ is a
//! covariance: Hudson & Wackernagel 1994, International Journal of Climatology 14, 77–91.

mod account;
mod cells;
mod stations;

use std::path::PathBuf;

use isopleth_kernels::Metric;
use isopleth_kernels::drift::Drift;

use crate::bilinear::Slab;
use crate::error::Error;
use crate::grid::Targets;
use crate::model::{Model, ModelError, file_and_variable};
use crate::network::Network;
use crate::observations::Observations;
use crate::regrid::reaches;
use crate::units::Conversion;

pub(crate) use account::{Account, Share};
pub use account::{CovariateReport, Slope};
pub(crate) use cells::OnCells;

/// Names told in a message.
const TOLD: usize = 5;

/// What is left of a covariate beside the other terms, as a share of it: less is rounding, or as good
/// as nothing.
const LEAST_LEFT: f64 = 1e-7;

/// A covariate and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covariate {
    /// What it is called: also the column of the readings, or of the table of stations, that has it
    /// at the stations, if there is one.
    pub name: String,
    /// File and variable that have it at the cells; none: known at stations only.
    pub grid: Option<(PathBuf, String)>,
}

impl Covariate {
    /// `NAME=FILE.nc:variable`, or `NAME` for a column alone.
    ///
    /// # Errors
    /// [`ModelError::Form`], if what comes behind `=` is no file and variable.
    pub fn parse(given: &str) -> Result<Self, ModelError> {
        let (name, grid) = match given.split_once('=') {
            Some((name, grid)) => (name.trim(), Some(file_and_variable(grid)?)),
            None => (given.trim(), None),
        };
        if name.is_empty() || (grid.is_none() && name.contains(':')) {
            return Err(ModelError::Form { given: given.to_owned() });
        }
        Ok(Self { name: name.to_owned(), grid })
    }
}

/// The covariates of a map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Each once.
    pub all: Vec<Covariate>,
    /// Cells beyond the range of the stations get the nearest end of it.
    pub clamp: bool,
}

/// Why a covariate cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum CovariateError {
    #[error("covariate {name}: {error}")]
    Model { name: String, error: ModelError },
    #[error("covariate {name} is given twice")]
    Twice { name: String },
    #[error(
        "covariate {name} is no column of the readings or of the table of stations, and no grid is given \
         for it; name a column, or give {name}=FILE.nc:variable"
    )]
    NoColumn { name: String },
    #[error(
        "covariate {name} is known at stations only, and cells need it, too; give \
         {name}=FILE.nc:variable"
    )]
    NoGrid { name: String },
    #[error("covariate {name}: its grid has {steps} times; a covariate must not change in time")]
    Times { name: String, steps: usize },
    #[error(
        "covariate {name} is {first} and then {other} at station {station}; it must not change in \
         time"
    )]
    Changes { name: String, station: String, first: f64, other: f64 },
    #[error(
        "covariate {name} is in `{grid}` on its grid and in `{column}` at the stations, which cannot \
         be converted; give both in one unit"
    )]
    Units { name: String, grid: String, column: String },
    #[error(
        "covariate {name} is not known at {count} of {all} stations ({stations}); give a column of \
         the readings that has it there, or leave these stations out"
    )]
    Unknown { name: String, count: usize, all: usize, stations: String },
    #[error("covariate {name} is not known at any cell: its grid reaches {reach}, the map {map}")]
    NoCell { name: String, reach: String, map: String },
    #[error(
        "covariate {name} is {value} at all stations, so nothing can depend on it; leave it out"
    )]
    Constant { name: String, value: f64 },
    #[error(
        "covariate {name} follows from {others} at the stations, so that the two cannot be told \
         apart; leave it out, or choose a lower degree"
    )]
    Dependent { name: String, others: String },
    #[error(
        "covariates are terms of a drift with a constant, and there is none with --degree -1 or \
         --compat scipy-rbf; leave that out"
    )]
    NoDrift,
}

/// The covariates of a plan.
#[derive(Debug)]
pub(crate) struct Covariates {
    of: Vec<One>,
    clamp: bool,
    /// What a file says of each.
    pub(crate) notes: Vec<String>,
}

#[derive(Debug)]
struct One {
    name: String,
    /// `dem.nc:z`, or the column.
    source: String,
    digest: Option<String>,
    units: Option<String>,
    centre: f64,
    scale: f64,
    /// At the stations.
    range: [f64; 2],
    /// z of every place of the network.
    at_stations: Vec<f64>,
    grid: Option<(Model, Slab)>,
}

/// The columns of the readings that may be covariates.
#[must_use]
pub fn columns(wanted: &Wanted) -> Vec<String> {
    wanted.all.iter().map(|covariate| covariate.name.clone()).collect()
}

impl Covariates {
    /// Reads every covariate at the stations, and checks that it says something of its own beside a
    /// drift of this degree; none where none is asked for.
    ///
    /// # Errors
    /// [`CovariateError`].
    pub(crate) fn new(
        wanted: &Wanted,
        observations: &Observations,
        network: &Network,
        targets: &Targets,
        (degree, metric): (i8, Metric),
    ) -> Result<Option<Self>, Error> {
        if wanted.all.is_empty() {
            return Ok(None);
        }
        if degree < 0 {
            return Err(CovariateError::NoDrift.into());
        }
        let mut basis = Basis::new(degree, network, metric);
        let mut all = Self { of: Vec::new(), clamp: wanted.clamp, notes: Vec::new() };
        for covariate in &wanted.all {
            let name = &covariate.name;
            if all.of.iter().any(|one| one.name == *name) {
                return Err(CovariateError::Twice { name: name.clone() }.into());
            }
            let grid = grid_of(covariate, targets, metric.is_spherical())?;
            let one = One::new(name, observations, network, grid)?;
            basis.take(&one)?;
            all.notes.push(format!("{name} ({})", one.source));
            all.of.push(one);
        }
        Ok(Some(all))
    }

    /// The columns of the drift.
    pub(crate) fn columns(&self) -> Vec<Vec<f64>> {
        self.of.iter().map(|one| one.at_stations.clone()).collect()
    }

    /// Equal for equal covariates: files by what is in them, columns by their values.
    pub(crate) fn identity(&self) -> Vec<String> {
        let identity = |one: &One| {
            let mut hash = blake3::Hasher::new();
            for z in &one.at_stations {
                hash.update(&z.to_le_bytes());
            }
            let (of_stations, of_grid) = (hash.finalize().to_hex(), &one.digest);
            format!("{} {of_stations} {of_grid:?} {}", one.name, self.clamp)
        };
        self.of.iter().map(identity).collect()
    }

    /// What surfaces with these covariates are called, by which a choice is known again.
    pub(crate) fn label(&self) -> String {
        self.of.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// The grid of a covariate, its values read.
fn grid_of(
    covariate: &Covariate,
    targets: &Targets,
    spherical: bool,
) -> Result<Option<(Model, Slab)>, CovariateError> {
    let name = covariate.name.clone();
    let Some((path, variable)) = &covariate.grid else {
        return if targets.cells() == 0 { Ok(None) } else { Err(CovariateError::NoGrid { name }) };
    };
    let failed = |error| CovariateError::Model { name: name.clone(), error };
    let model = Model::open(path, variable, spherical).map_err(failed)?;
    if model.step_count() > 1 {
        return Err(CovariateError::Times { name, steps: model.step_count() });
    }
    if !reaches(&model, targets) {
        let show = |bounds: [f64; 4]| bounds.map(|b| b.to_string()).join(",");
        let (reach, map) = (show(model.bounds()), show(targets.bounds()));
        return Err(CovariateError::NoCell { name, reach, map });
    }
    let slab = model.slab(0, Conversion::NONE).map_err(failed)?;
    Ok(Some((model, slab)))
}

/// The terms so far, orthonormal on the stations.
struct Basis {
    terms: Vec<Vec<f64>>,
    names: Vec<String>,
}

impl Basis {
    fn new(degree: i8, network: &Network, metric: Metric) -> Self {
        let points = network.points();
        let drift = Drift::new(degree, points, metric);
        let mut columns = vec![vec![0.0; points.len()]; drift.terms()];
        let mut row = vec![0.0; drift.terms()];
        for i in 0..points.len() {
            drift.at(points.at(i), &mut row);
            columns.iter_mut().zip(&row).for_each(|(column, value)| column[i] = *value);
        }
        let mut basis = Self { terms: Vec::new(), names: vec!["the drift".to_owned()] };
        for column in columns {
            // What the drift itself lacks the factorisation tells.
            basis.add(column);
        }
        basis
    }

    fn take(&mut self, one: &One) -> Result<(), CovariateError> {
        if !self.add(one.at_stations.clone()) {
            let (name, others) = (one.name.clone(), self.names.join(", "));
            return Err(CovariateError::Dependent { name, others });
        }
        self.names.push(one.name.clone());
        Ok(())
    }

    /// Whether anything is left of a column beside the terms.
    fn add(&mut self, mut column: Vec<f64>) -> bool {
        let length = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let before = length(&column);
        // Twice is enough, for rounding.
        for _ in 0..2 {
            for term in &self.terms {
                let share: f64 = term.iter().zip(&column).map(|(a, b)| a * b).sum();
                column.iter_mut().zip(term).for_each(|(x, t)| *x -= share * t);
            }
        }
        let left = length(&column);
        if left.is_nan() || left <= LEAST_LEFT * before {
            return false;
        }
        column.iter_mut().for_each(|x| *x /= left);
        self.terms.push(column);
        true
    }
}
