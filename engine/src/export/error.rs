//! Why a map is not written in another form.

use std::path::PathBuf;

use super::Form;
use crate::error::Kind;
use crate::observations::ReadError;

/// What is wrong with the file, the part asked for, or the form.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum ExportError {
    #[error("{}: cannot be read as NetCDF: {message}", path.display())]
    Unreadable { path: PathBuf, message: String },
    #[error("{}: is no file of maps: {reason}", path.display())]
    NotAMap { path: PathBuf, reason: String },
    #[error("there is no map `{got}`; the file has: {known}")]
    NoVariable { got: String, known: String },
    #[error("{form} holds one variable, and the file has {known}; choose with --variable")]
    ManyVariables { form: Form, known: String },
    #[error("--time {got}: the file has no such time; {advice}")]
    NoTime { got: String, advice: String },
    #[error(transparent)]
    Time(#[from] ReadError),
    #[error("{form} holds one time, and {count} are chosen, {first} to {last}; choose with --time")]
    ManyTimes { form: Form, count: usize, first: String, last: String },
    #[error("{form} holds {limit} times at most, and {count} are chosen; choose with --time")]
    MoreTimes { form: Form, count: usize, limit: usize },
    #[error("bounds {got:?} are not west,south,east,north with south below north")]
    Bounds { got: [f64; 4] },
    #[error(
        "no cell lies within bounds {got:?}; the map spans {x0:.6} to {x1:.6} and {y0:.6} to {y1:.6}{crs}"
    )]
    Outside { got: [f64; 4], x0: f64, x1: f64, y0: f64, y1: f64, crs: &'static str },
    #[error(
        "bounds {got:?} reach across the ends of the map at longitudes {west:.6} and {east:.6}; export \
         the two parts apart"
    )]
    AcrossEnds { got: [f64; 4], west: f64, east: f64 },
    #[error("a stride of {got}: it is a whole number from 1 on")]
    Stride { got: usize },
    #[error(
        "{form} of {cells} cells is more than the limit of {limit}; take part of the map \
         (--bounds), or fewer of its cells (--stride {stride})"
    )]
    TooLarge { form: Form, cells: u64, limit: u64, stride: usize },
    #[error(
        "{wanted} values are more than the limit of {limit}; ask for fewer parameters, a shorter stretch of \
         time, a smaller part, or a coarser resolution"
    )]
    ManyValues { wanted: u64, limit: u64 },
    #[error(
        "values are to be found between {wanted} cells of a map, more than the limit of {limit}; ask for a \
         smaller part"
    )]
    ManyCells { wanted: u64, limit: u64 },
    #[error("colours `{got}` are not known; known are {known}")]
    Colours { got: String, known: String },
    #[error("a range of {low} to {high}; two finite numbers are needed, the lower first")]
    Range { low: f64, high: f64 },
    #[error("a picture of {got} pixels; from {least} to {most} are drawn")]
    Size { got: usize, least: usize, most: usize },
    #[error("level {got}: levels are finite numbers, each above the one before")]
    Levels { got: f64 },
    #[error("{got} levels are more than the limit of {limit}")]
    ManyLevels { got: usize, limit: usize },
    #[error("bands lie between levels; {got} given, at least 2 are needed")]
    FewLevels { got: usize },
    #[error("`{variable}` has no value in the part chosen")]
    Nothing { variable: String },
    #[error("{form} needs cells of equal size, and those along {axis} are not")]
    Uneven { form: Form, axis: String },
    #[error("{form} cannot name the crs `{crs}`: {reason}")]
    Crs { form: Form, crs: String, reason: &'static str },
    #[error("{form} wants longitudes and latitudes, and the map lies in a plane without a crs")]
    NoDegrees { form: Form },
    #[error("place {x}, {y} is no place: {needed}")]
    Place { x: f64, y: f64, needed: &'static str },
    #[error("{form} does not hold the values of one place; CSV and CoverageJSON do")]
    NotOfPlaces { form: Form },
    #[error("`{given}` names no form; known are {known}, told by --format or the file's ending")]
    Form { given: String, known: String },
    #[error("cannot write the output: {0}")]
    Write(#[from] std::io::Error),
}

impl ExportError {
    /// What kind of error it is.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Write(_) => Kind::Io,
            Self::TooLarge { .. }
            | Self::ManyValues { .. }
            | Self::ManyCells { .. }
            | Self::MoreTimes { .. }
            | Self::ManyLevels { .. } => Kind::Limit,
            Self::Unreadable { path, .. } if !path.exists() => Kind::Io,
            _ => Kind::BadInput,
        }
    }
}
