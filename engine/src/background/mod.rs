//! A first guess that is known everywhere, such as a model's field: what is interpolated is the
//! difference of readings and background, and the background is added back at every cell.
//!
//! ```text
//! m(x) = b(x) + s(x)      s through  d_i − b(x_i)
//! ```
//!
//! `b` is bilinear between the nodes of a grid ([`model`](crate::model)), or, at stations only, a column of
//! the readings. Residuals at stations left out are those of the difference, which are those of the
//! sum, too. Daley 1991, *Atmospheric Data Analysis*, Cambridge University Press, chapter 3 (successive
//! correction and statistical interpolation of observed less background).

mod account;
mod cells;
mod stations;

use crate::error::Error;
use crate::grid::Targets;
use crate::model::{Model, ModelError, file_and_variable};
use crate::network::Network;
use crate::observations::{Observations, Variable};
use crate::regrid::reaches;
use crate::units::Conversion;

pub use account::BackgroundReport;
pub(crate) use account::{Account, Share};
pub(crate) use cells::OnCells;
pub(crate) use stations::{AtStations, forget_unknown, less};

/// Names told in a message.
const TOLD: usize = 5;

/// What is taken off the readings of a variable, and added back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Background {
    /// Of which variable; none: of the only one.
    pub variable: Option<String>,
    /// Where it comes from.
    pub from: From,
}

/// Where a background comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// A variable of a NetCDF file on a grid.
    File {
        /// Which file.
        path: std::path::PathBuf,
        /// Which of its variables.
        variable: String,
    },
    /// A column of the readings: known at the stations only, for cross-validation.
    Column(String),
}

impl Background {
    /// `FILE.nc:variable`, or `pm25=FILE.nc:variable`.
    ///
    /// # Errors
    /// [`ModelError::Form`], if it is neither.
    pub fn file(given: &str) -> Result<Self, ModelError> {
        let (variable, source) = split(given);
        let (path, of_file) = file_and_variable(source)?;
        Ok(Self { variable, from: From::File { path, variable: of_file } })
    }

    /// `NAME`, or `pm25=NAME`.
    #[must_use]
    pub fn column(given: &str) -> Self {
        let (variable, column) = split(given);
        Self { variable, from: From::Column(column.to_owned()) }
    }
}

/// The name before an equals sign; folders may have one, too.
fn split(given: &str) -> (Option<String>, &str) {
    match given.split_once('=') {
        Some((name, rest)) if !name.contains(['/', '\\']) => (Some(name.trim().to_owned()), rest),
        _ => (None, given),
    }
}

/// Why a background cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum BackgroundError {
    #[error("background {0}")]
    Model(#[from] ModelError),
    #[error(
        "the readings have {count} variables ({known}), and the background {background} does not \
         say of which it is; say so, as in {first}={background}"
    )]
    WhichVariable { background: String, count: usize, known: String, first: String },
    #[error("{variable} has two backgrounds, {first} and {second}; give one")]
    Twice { variable: String, first: String, second: String },
    #[error(
        "the background {background} is in `{units}` and {variable} in `{needed}`, which cannot be \
         converted; give both in units of the same quantity"
    )]
    Units { background: String, units: String, variable: String, needed: String },
    #[error(
        "the background {background} is known at stations only, and cells need it, too; give a grid \
         (FILE.nc:variable), or cross-validate"
    )]
    StationsOnly { background: String },
    #[error(
        "no station lies within the background {background}, which reaches {reach} \
         (west,south,east,north); the stations reach {stations}: is it of another area, or in \
         another unit?"
    )]
    NoStation { background: String, reach: String, stations: String },
    #[error(
        "no cell of the map lies within the background {background}, which reaches {reach}; the \
         map reaches {map} (west,south,east,north)"
    )]
    NoCell { background: String, reach: String, map: String },
}

/// What a file says of a variable's background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Which variable.
    pub variable: String,
    /// `model.nc:pm25`, or the column.
    pub name: String,
    /// BLAKE3 of the file in hexadecimal.
    pub digest: Option<String>,
}

/// The columns of the readings that are no readings but backgrounds.
#[must_use]
pub fn columns(backgrounds: &[Background]) -> Vec<String> {
    let column = |b: &Background| match &b.from {
        From::Column(name) => Some(name.clone()),
        From::File { .. } => None,
    };
    backgrounds.iter().filter_map(column).collect()
}

/// The backgrounds of a plan, by variable.
#[derive(Debug)]
pub(crate) struct Backgrounds {
    of: Vec<Option<One>>,
    pub(crate) notes: Vec<Note>,
    pub(crate) warnings: Vec<String>,
}

/// The background of a variable.
#[derive(Debug)]
struct One {
    name: String,
    /// The same without the file, which may be another every hour.
    label: String,
    digest: Option<String>,
    conversion: Conversion,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Number among the columns set aside.
    Column(usize),
    Grid(Box<Gridded>),
}

#[derive(Debug)]
struct Gridded {
    model: Model,
    /// By time of the readings.
    step_of: Vec<usize>,
    /// Names of stations outside.
    outside: Vec<String>,
}

impl Backgrounds {
    /// Opens every file, and checks units, times and areas; none where none is asked for.
    ///
    /// # Errors
    /// [`BackgroundError`], when one does not fit the readings or the map.
    pub(crate) fn new(
        asked: &[Background],
        observations: &Observations,
        network: &Network,
        targets: &Targets,
        spherical: bool,
    ) -> Result<Option<Self>, Error> {
        if asked.is_empty() {
            return Ok(None);
        }
        let variables = observations.variables();
        let mut all = Self {
            of: variables.iter().map(|_| None).collect(),
            notes: Vec::new(),
            warnings: Vec::new(),
        };
        for background in asked {
            let at = which(background, variables)?;
            let one = match &background.from {
                From::Column(name) => all.of_column(name, &variables[at], observations, targets)?,
                From::File { path, variable } => {
                    let model = Model::open(path, variable, spherical);
                    let model = model.map_err(BackgroundError::from)?;
                    let place = (network, targets);
                    all.of_model(model, &variables[at], observations, place)?
                }
            };
            if let Some(first) = &all.of[at] {
                let variable = variables[at].name.clone();
                let (first, second) = (first.name.clone(), one.name);
                return Err(BackgroundError::Twice { variable, first, second }.into());
            }
            let (variable, name) = (variables[at].name.clone(), one.name.clone());
            all.notes.push(Note { variable, name, digest: one.digest.clone() });
            all.of[at] = Some(one);
        }
        Ok(Some(all))
    }

    fn of_column(
        &mut self,
        name: &str,
        variable: &Variable,
        observations: &Observations,
        targets: &Targets,
    ) -> Result<One, Error> {
        let label = format!("column {name}");
        if targets.cells() > 0 {
            return Err(BackgroundError::StationsOnly { background: label }.into());
        }
        let mut aside = observations.aside().iter();
        let Some(at) = aside.position(|column| column.name == name) else {
            let known: Vec<&str> =
                observations.variables().iter().map(|v| v.name.as_str()).collect();
            return Err(Error::NoSuchVariable { got: name.to_owned(), known: known.join(", ") });
        };
        let units = observations.aside()[at].units.as_deref();
        let conversion = self.conversion(&label, units, variable)?;
        let source = Source::Column(at);
        Ok(One { name: label.clone(), label, digest: None, conversion, source })
    }

    fn of_model(
        &mut self,
        model: Model,
        variable: &Variable,
        observations: &Observations,
        (network, targets): (&Network, &Targets),
    ) -> Result<One, Error> {
        let name = model.name();
        let conversion = self.conversion(&name, model.units(), variable)?;
        let step_of = model.steps(observations.times()).map_err(BackgroundError::from)?;
        let is_inside = |x: f64, y: f64| model.row(y).is_some() && model.column(x).is_some();
        let outside = network.stations().iter().filter(|s| !is_inside(s.x, s.y));
        let outside: Vec<String> = outside.map(|s| s.id.clone()).collect();
        let show = |bounds: [f64; 4]| bounds.map(|b| b.to_string()).join(",");
        let reach = show(model.bounds());
        if outside.len() == network.len() {
            let places = network.stations().iter().map(|s| [s.x, s.y]);
            let stations = show(bounds_of(places));
            return Err(BackgroundError::NoStation { background: name, reach, stations }.into());
        }
        if !reaches(&model, targets) {
            let map = show(targets.bounds());
            return Err(BackgroundError::NoCell { background: name, reach, map }.into());
        }
        if !outside.is_empty() {
            let few: Vec<&str> = outside.iter().take(TOLD).map(String::as_str).collect();
            self.warnings.push(format!(
                "{} of {} stations lie outside the background {name} ({}{}): their readings of {} \
                 are not used",
                outside.len(),
                network.len(),
                few.join(", "),
                if outside.len() > TOLD { ", …" } else { "" },
                variable.name
            ));
        }
        let digest = Some(model.digest().map_err(BackgroundError::from)?);
        let label = model.variable().to_owned();
        let source = Source::Grid(Box::new(Gridded { model, step_of, outside }));
        Ok(One { name, label, digest, conversion, source })
    }

    /// From the background's unit to that of the readings; where one is not told, a warning.
    fn conversion(
        &mut self,
        background: &str,
        units: Option<&str>,
        variable: &Variable,
    ) -> Result<Conversion, BackgroundError> {
        let name = &variable.name;
        match (units, variable.units.as_deref()) {
            (None, None) => Ok(Conversion::NONE),
            (Some(units), Some(needed)) => {
                Conversion::between(units, needed).ok_or_else(|| BackgroundError::Units {
                    background: background.to_owned(),
                    units: units.to_owned(),
                    variable: name.clone(),
                    needed: needed.to_owned(),
                })
            }
            (told, other) => {
                let unit = told.or(other).unwrap_or_default();
                let (knows, lacks) = match told {
                    Some(_) => (format!("the background {background}"), name.clone()),
                    None => (name.clone(), format!("the background {background}")),
                };
                self.warnings.push(format!(
                    "{knows} is in `{unit}` and {lacks} tells no unit: it is taken for the same"
                ));
                Ok(Conversion::NONE)
            }
        }
    }

    /// Bytes that the fields of so many time steps need at once.
    pub(crate) fn bytes(&self, steps: usize) -> u64 {
        let of = |one: &One| match &one.source {
            Source::Grid(grid) => grid.model.slab_bytes(),
            Source::Column(_) => 0,
        };
        self.of.iter().flatten().map(of).sum::<u64>() * steps as u64
    }

    /// What the differences of a variable are called, by which a choice is known again.
    pub(crate) fn label(&self, variable: usize) -> Option<&str> {
        self.of[variable].as_ref().map(|one| one.label.as_str())
    }
}

/// Number of the variable that a background is of.
fn which(background: &Background, variables: &[Variable]) -> Result<usize, Error> {
    let known = || variables.iter().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", ");
    match (&background.variable, variables) {
        (Some(name), _) => {
            let found = variables.iter().position(|variable| variable.name == *name);
            found.ok_or_else(|| Error::NoSuchVariable { got: name.clone(), known: known() })
        }
        (None, [_]) => Ok(0),
        (None, _) => {
            let background = match &background.from {
                From::File { path, variable } => format!("{}:{variable}", path.display()),
                From::Column(name) => name.clone(),
            };
            let first = variables.first().map_or_else(String::new, |v| v.name.clone());
            let count = variables.len();
            let known = known();
            Err(BackgroundError::WhichVariable { background, count, known, first }.into())
        }
    }
}

fn bounds_of(places: impl Iterator<Item = [f64; 2]>) -> [f64; 4] {
    let none = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    places.fold(none, |[w, s, e, n], [x, y]| [w.min(x), s.min(y), e.max(x), n.max(y)])
}
