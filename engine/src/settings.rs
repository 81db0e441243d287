//! Every choice with its default, and the limits a request must keep.

use serde::Serialize;

use crate::kernels::Method;
use crate::network::Duplicates;

/// How a map is made, apart from readings and targets.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Kernel, shape, smoothing, drift, metric, convention.
    pub method: Method,
    /// What to do with several stations at one place, and several readings of one.
    pub duplicates: Duplicates,
    /// The numbers in the file.
    pub precision: Precision,
    /// Worker threads; default: the processors this process may use.
    pub threads: Option<usize>,
    /// Peak memory in bytes that the plan must keep; default: half of what the cgroup or the host
    /// allows.
    pub memory_bytes: Option<u64>,
}

/// The numbers in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    F32,
    /// 64-bit floating point.
    F64,
}

impl Precision {
    /// Bytes of one number.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// `f32` or `f64`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }
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
