//! Every choice with its default, and the limits a request must keep.

use std::str::FromStr;

use serde::Serialize;

use crate::background::Background;
use crate::bounds::Bounds;
use crate::covariates;
use crate::kernels::{Anisotropy, Kernel, Method, Metric};
use crate::mask::Masks;
use crate::network::Duplicates;
use crate::quality::Rules;
use crate::storage::Storage;
use crate::transform::Transforms;
use crate::uncertainty::Uncertainty;

/// How a map is made, apart from readings and targets.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Kernel, shape, smoothing, drift, metric, convention; or that the readings choose them.
    pub method: Choice,
    /// What to do with several stations at one place, and several readings of one.
    pub duplicates: Duplicates,
    /// Stations of a block of this size (degrees, or the planar unit) become one.
    pub thin: Option<f64>,
    /// How numbers are kept in the file.
    pub storage: Storage,
    /// How near to the exact sum the map must be.
    pub tolerance: Tolerance,
    /// What values cannot be.
    pub bounds: Bounds,
    /// In what form readings are mapped, and the way back.
    pub transforms: Transforms,
    /// Worker threads; default: the processors this process may use.
    pub threads: Option<usize>,
    /// Peak memory in bytes that the plan must keep; default: half of what the cgroup or the host
    /// allows.
    pub memory_bytes: Option<u64>,
    /// Where cells are wanted; default: everywhere.
    pub masks: Masks,
    /// What readings are examined for, and which are rejected.
    pub quality: Rules,
    /// What is given beside the maps of how sure they are; default: nothing.
    pub uncertainty: Uncertainty,
    /// What is taken off the readings of some variables and added back to their maps; default:
    /// nothing.
    pub backgrounds: Vec<Background>,
    /// What values depend on besides the place; default: nothing.
    pub covariates: covariates::Wanted,
}

/// Who chooses how a surface is made.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// The user.
    Told(Method),
    /// The readings, by leave-one-out errors: see docs/math.md, 3.
    Auto(Auto),
}

impl Default for Choice {
    fn default() -> Self {
        Self::Auto(Auto::default())
    }
}

impl Choice {
    /// How distance is measured: always told.
    #[must_use]
    pub fn metric(&self) -> Metric {
        match self {
            Self::Told(method) => method.metric,
            Self::Auto(auto) => auto.metric,
        }
    }
}

/// What a choice by the readings keeps to; what is told is not chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Auto {
    /// How distance is measured.
    pub metric: Metric,
    /// The shape ε.
    pub epsilon: Option<f64>,
    /// λ.
    pub smoothing: Option<f64>,
    /// Degree of the drift.
    pub degree: Option<i8>,
    /// Kernels to choose among; none: those that suit most networks.
    pub kernels: Vec<Kernel>,
    /// One method for all fields of a variable, or one for each field.
    pub each: Each,
    /// Whether the range may differ by direction.
    pub anisotropy: Directions,
}

/// Whether values may resemble each other farther in one direction than in others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Directions {
    /// The readings tell, on networks that are small enough: see docs/math.md, 3.
    #[default]
    Auto,
    /// The same in all directions.
    Same,
    /// As told.
    Told(Anisotropy),
}

impl FromStr for Directions {
    type Err = String;

    /// `auto`, `none`, or `RATIO:ANGLE`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::Same),
            _ => text.parse().map(Self::Told).map_err(|_| {
                format!(
                    "anisotropy `{text}` is neither `auto` nor `none` nor RATIO:ANGLE, such as 2:30: a \
                     ratio of ranges from 1 to 100, and the direction of the longer one in degrees \
                     from east (x) towards north (y)"
                )
            }),
        }
    }
}

impl Directions {
    /// For a method that is told, and chooses nothing: `auto` is none there.
    #[must_use]
    pub fn told(self) -> Option<Anisotropy> {
        match self {
            Self::Told(anisotropy) => Some(anisotropy),
            Self::Auto | Self::Same => None,
        }
    }
}

/// What has a method of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Each {
    /// All fields of a variable share one.
    #[default]
    Variable,
    /// Every field.
    Field,
}

/// How near to the exact sum a map on a grid must be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Tolerance {
    /// The sum over all stations for every cell.
    #[serde(serialize_with = "exact")]
    Exact,
    /// Relative to the range of each field's readings; or the rounding errors of the exact sum
    /// where those are larger.
    Relative(f64),
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::Relative(1e-6)
    }
}

impl FromStr for Tolerance {
    type Err = String;

    /// `exact`, or a number from 1e-14 to below 1.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "exact" => Ok(Self::Exact),
            Ok(number) if (1e-14..1.0).contains(&number) => Ok(Self::Relative(number)),
            _ => Err(format!("tolerance `{text}` is neither `exact` nor from 1e-14 to below 1")),
        }
    }
}

fn exact<S: serde::Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("exact")
}

/// What a single request may ask for at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Cells of the grid, or places.
    pub cells: u64,
    /// Cells × fields.
    pub values: u64,
    /// Distinct stations: the solver's memory grows with their square, its time with their cube.
    pub stations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cells: 1_000_000_000, values: 1_000_000_000_000, stations: 20_000 }
    }
}
