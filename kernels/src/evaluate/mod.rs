//! Evaluation: choose the instruction set once, then sum.

use crate::drift::Drift;
use crate::{Points, Resolved, Weights};

/// Everything needed to evaluate: stations, kernel, metric, weights.
#[derive(Clone, Debug)]
pub struct Surface {}

impl Surface {
    /// From what was solved.
    #[must_use]
    pub fn new(_stations: &Points, _method: &Resolved, _drift: &Drift, _weights: &Weights) -> Self {
        todo!()
    }

    /// Number of fields.
    #[must_use]
    pub fn fields(&self) -> usize {
        todo!()
    }
}

/// One coordinate of the targets.
#[derive(Clone, Copy, Debug)]
pub enum Axis<'a> {
    /// One for each target.
    Each(&'a [f64]),
    /// The same for all: a row of a grid.
    Same(f64),
}

/// Where to evaluate: the coordinates of [`Metric::embed`](crate::Metric::embed), unscaled.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// One entry per dimension of the stations.
    pub axes: &'a [Axis<'a>],
    /// Number of targets.
    pub len: usize,
}

/// Evaluates with the best instruction set of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Evaluator {}

impl Evaluator {
    /// The best of this machine.
    #[must_use]
    pub fn new() -> Self {
        todo!()
    }

    /// `avx512`, `avx2`, `neon` or `portable`.
    #[must_use]
    pub fn name(self) -> &'static str {
        todo!()
    }

    /// `out[f * targets.len + c]` = field `f` at target `c`.
    pub fn evaluate(self, _surface: &Surface, _targets: Targets<'_>, _out: &mut [f64]) {
        todo!()
    }
}

impl Default for Evaluator {
    fn default() -> Self {
        Self::new()
    }
}
