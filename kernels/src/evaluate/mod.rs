//! Evaluation: choose the instruction set once, then sum.
//!
//! [`scalar`] is the definition. `simd` does the same for blocks of cells and stations, written
//! once over `lanes`; `phi` and `functions` are the radial functions and what they are made of. `crossed` is
//! the short way of the planar Gaussian on a grid.

mod crossed;
pub mod far;
mod functions;
mod lanes;
mod phi;
mod rows;
pub mod scalar;
mod simd;

use std::ops::Range;

use self::crossed::Crossed;
pub use self::rows::GridRows;
use crate::drift::Drift;
use crate::{Kernel, Metric, Points, Resolved, Stretch, Weights};

/// Everything needed to evaluate: stations, kernel, metric, weights.
#[derive(Clone, Debug)]
pub struct Surface {
    kernel: Kernel,
    metric: Metric,
    epsilon: f64,
    /// Multiplies coordinates: ε, or 1 where distances along the sphere are scaled afterwards.
    scale: f64,
    /// What coordinates go through before.
    stretch: Option<Stretch>,
    /// Stretched and multiplied by `scale` already.
    stations: Points,
    /// `w`: the fields of a station are neighbours.
    weights: Vec<f64>,
    drift: Drift,
    /// `c`: the fields of a term are neighbours.
    drift_weights: Vec<f64>,
    fields: usize,
}

impl Surface {
    /// From what was solved. `stations` are those of [`Metric::embed`], not scaled by ε. What
    /// covariates contribute is not part of it: their values at the targets are the caller's.
    ///
    /// # Panics
    /// If the weights are not one row per station, and one per drift term and covariate, with the
    /// same number of columns: a bug of the caller.
    #[must_use]
    pub fn new(stations: &Points, method: &Resolved, drift: &Drift, weights: &Weights) -> Self {
        let (w, c) = (&weights.stations, &weights.drift);
        assert_eq!(w.nrows(), stations.len(), "one row of weights per station");
        let terms = drift.terms() + method.covariates.len();
        assert_eq!(c.nrows(), terms, "one row of drift weights per term");
        assert_eq!(w.ncols(), c.ncols(), "as many fields in both");
        let rows = |m: &crate::Mat<f64>, rows: usize| {
            (0..rows).flat_map(|i| (0..m.ncols()).map(move |f| m[(i, f)])).collect()
        };
        let scale = if method.metric == Metric::GreatCircle { 1.0 } else { method.epsilon };
        Self {
            kernel: method.kernel,
            metric: method.metric,
            epsilon: method.epsilon,
            scale,
            stretch: method.stretch,
            stations: method.stretched(stations).scaled(scale),
            weights: rows(w, w.nrows()),
            drift: drift.clone(),
            drift_weights: rows(c, drift.terms()),
            fields: w.ncols(),
        }
    }

    /// Number of fields.
    #[must_use]
    pub fn fields(&self) -> usize {
        self.fields
    }

    /// Number of stations.
    #[must_use]
    pub fn stations(&self) -> usize {
        self.stations.len()
    }

    /// Whether distances count otherwise in some directions. Such a surface is summed exactly: the fast
    /// scheme and what is separable go along the axes of the grid.
    #[must_use]
    pub fn is_stretched(&self) -> bool {
        self.stretch.is_some()
    }

    fn check(&self, targets: Targets<'_>, out: &[f64]) {
        assert_eq!(targets.axes.len(), self.stations.dims(), "one axis per dimension");
        for axis in targets.axes {
            if let Axis::Each(values) = axis {
                assert_eq!(values.len(), targets.len, "one coordinate per target");
            }
        }
        assert_eq!(out.len(), self.fields * targets.len, "one number per field and target");
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

impl Axis<'_> {
    fn at(&self, c: usize) -> f64 {
        match self {
            Self::Each(values) => values[c],
            Self::Same(value) => *value,
        }
    }
}

/// Where to evaluate: the coordinates of [`Metric::embed`](crate::Metric::embed), unscaled.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// One entry per dimension of the stations.
    pub axes: &'a [Axis<'a>],
    /// Number of targets.
    pub len: usize,
}

impl Targets<'_> {
    /// The coordinates of one target; those past the last axis are 0.
    fn at(&self, c: usize) -> [f64; 3] {
        let mut place = [0.0; 3];
        for (coordinate, axis) in place.iter_mut().zip(self.axes) {
            *coordinate = axis.at(c);
        }
        place
    }

    fn stretched(&self, stretch: &Stretch) -> [Vec<f64>; 3] {
        let mut axes = [(); 3].map(|()| Vec::with_capacity(self.len));
        for c in 0..self.len {
            let place = stretch.place(self.at(c));
            axes.iter_mut().zip(place).for_each(|(axis, x)| axis.push(x));
        }
        axes
    }
}

/// Evaluates with one of the instruction sets of this machine, chosen once.
#[derive(Clone, Copy, Debug)]
pub struct Evaluator {
    variant: Variant,
}

#[derive(Clone, Copy, Debug)]
enum Variant {
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
    Portable(pulp::Scalar),
}

/// Does the same on whichever lanes there are.
macro_rules! dispatch {
    ($evaluator:expr, $lanes:ident => $work:expr) => {
        match $evaluator.variant {
            #[cfg(target_arch = "x86_64")]
            Variant::Avx512($lanes) => $work,
            #[cfg(target_arch = "x86_64")]
            Variant::Avx2($lanes) => $work,
            #[cfg(target_arch = "aarch64")]
            Variant::Neon($lanes) => $work,
            Variant::Portable($lanes) => $work,
        }
    };
}

impl Evaluator {
    /// The best of this machine.
    #[must_use]
    pub fn new() -> Self {
        Self::available()[0]
    }

    /// All that this machine can run, the best first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut variants = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            variants.extend(pulp::x86::V4::try_new().map(Variant::Avx512));
            variants.extend(pulp::x86::V3::try_new().map(Variant::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        variants.extend(pulp::aarch64::Neon::try_new().map(Variant::Neon));
        variants.push(Variant::Portable(pulp::Scalar::new()));
        variants.into_iter().map(|variant| Self { variant }).collect()
    }

    /// `avx512`, `avx2`, `neon` or `portable`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.variant {
            #[cfg(target_arch = "x86_64")]
            Variant::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Variant::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Variant::Neon(_) => "neon",
            Variant::Portable(_) => "portable",
        }
    }

    /// `out[f * targets.len + c]` = field `f` at target `c`; what was in `out` is overwritten.
    ///
    /// A target's value depends on its coordinates and on which axes are [`Axis::Same`], not on
    /// its place among the targets nor on the other fields: any split gives the same bits.
    ///
    /// # Accuracy
    /// Within `8 eps Σ |w| (|φ| + |r φ'|) + 8 eps Σ |c p|` of the exact sum for the coordinates
    /// scaled by ε, whatever the number of stations; see `tests/simd_matches_scalar.rs`.
    /// Instruction sets agree to that, not bit for bit.
    ///
    /// # Panics
    /// If lengths disagree: a bug of the caller.
    pub fn evaluate(self, surface: &Surface, targets: Targets<'_>, out: &mut [f64]) {
        surface.check(targets, out);
        out.fill(0.0);
        match &surface.stretch {
            None => self.add_sum(surface, targets, targets.len, out),
            Some(stretch) => {
                let stretched = targets.stretched(stretch);
                let axes: Vec<Axis<'_>> =
                    stretched[..targets.axes.len()].iter().map(|axis| Axis::Each(axis)).collect();
                let stretched = Targets { axes: &axes, len: targets.len };
                self.add_sum(surface, stretched, targets.len, out);
            }
        }
        simd::add_drift(surface, targets, out);
    }

    /// The same for a tile of a grid, `out[(f * rows + row) * columns + column]`: row by row, or at once
    /// where φ is a product of a factor in x and one in y ([`Surface::is_separable`]).
    ///
    /// # Accuracy
    /// That of [`evaluate`](Self::evaluate); any way to cut a grid into tiles gives the same bits.
    ///
    /// # Panics
    /// If lengths disagree: a bug of the caller.
    pub fn evaluate_tile(
        self,
        surface: &Surface,
        grid: &GridRows<'_>,
        [rows, columns]: [Range<usize>; 2],
        out: &mut [f64],
    ) {
        let (width, height) = (columns.len(), rows.len());
        assert_eq!(out.len(), surface.fields * width * height, "one number per field and cell");
        if surface.is_separable() {
            let (x, y) = grid.axes();
            let (x, y) = (&x[columns.clone()], &y[rows.clone()]);
            out.fill(0.0);
            let (stride, plane) = (width, width * height);
            self.add_crossed(Crossed { surface, x, y, stride, plane, out: &mut *out });
            crossed::add_drift(surface, grid, rows, columns, out);
            return;
        }
        let (mut scratch, mut values) = (Default::default(), vec![0.0; surface.fields * width]);
        for (r, row) in rows.enumerate() {
            grid.with(row, columns.clone(), &mut scratch, |targets| {
                self.evaluate(surface, targets, &mut values);
            });
            for (f, values) in values.chunks_exact(width).enumerate() {
                out[(f * height + r) * width..][..width].copy_from_slice(values);
            }
        }
    }

    /// Adds to `out` what [`evaluate`](Self::evaluate) gives without the drift; fields begin
    /// `stride` apart.
    fn add_sum(self, surface: &Surface, targets: Targets<'_>, stride: usize, out: &mut [f64]) {
        dispatch!(self, lanes => simd::add_sum(lanes, surface, targets, stride, out));
    }

    /// Adds the sums over the stations of a separable surface where axes cross.
    fn add_crossed(self, crossed: Crossed<'_>) {
        dispatch!(self, lanes => crossed.run(lanes));
    }

    /// `out = a · b`.
    fn multiply(self, product: far::Product<'_>) {
        dispatch!(self, lanes => product.run(lanes));
    }
}

impl Default for Evaluator {
    fn default() -> Self {
        Self::new()
    }
}
