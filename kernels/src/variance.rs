//! How sure a surface is: the variance of its error at any place, for readings of unit variance scale.
//!
//! Read as a covariance (or, with a drift, as a generalised one: −variogram), φ makes the surface the
//! best linear unbiased prediction, with the error variance (Matheron 1973, doi:10.2307/1425829;
//! Cressie 1993, doi:10.1002/9781119115151, chapter 3)
//!
//! ```text
//! σ²(x) = φ(0) − vᵀ K⁻¹ v        v = [φ(|x − xᵢ|); p(x)], K the whole matrix of the system
//! ```
//!
//! In the basis `Q = [Q₁ Z]` of `nullspace.rs`, with `u = R⁻ᵀΠᵀp(x)` the drift's part of the weights,
//! it is a variance less a sum of squares, so that one triangular solution for each place does:
//!
//! ```text
//! σ² = φ(0) − 2 uᵀQ₁ᵀφ + uᵀQ₁ᵀAQ₁u − |y|²        y = L⁻¹ (Zᵀφ − ZᵀAQ₁u), A = Φ + λI = on Z: LLᵀ
//! ```
//!
//! Without the stations `M` it grows by `ω_Mᵀ B[M,M]⁻¹ ω_M`, with `ω = Q₁u + Z L⁻ᵀy` the weights of
//! the readings in the prediction: rank |M|, whatever the place.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::error::Error;
use crate::nullspace::Side;
use crate::symmetric::Symmetric;
use crate::{Convention, Factor, Points};

/// Bytes of the columns that a thread works on at once: they stay in its second-level cache, more or
/// less, and are enough of them for products at full speed.
const BLOCK_BYTES: usize = 4 << 20;

/// As in `missing.rs`: more digits than that a correction must not cost.
const WORST_CONDITION: f64 = 1e6;

/// What is smaller than this times ε times the terms that it is the difference of is rounding: 0.
const ROUNDING: f64 = 64.0;

/// The error variance of the surfaces of one factor.
///
/// It knows no reading. Its unit is that of φ: multiply by the variance that readings have at unit φ,
/// which leave-one-out residuals tell ([`Fit::unit_variance`](crate::Fit)).
#[derive(Debug)]
pub struct Variance<'a> {
    factor: &'a Factor,
    /// `Q₁ᵀAQ₁`.
    of_drift: Mat<f64>,
}

/// What a set of missing stations adds.
#[derive(Debug)]
pub struct Gap {
    /// `L_M⁻¹ (L⁻¹Zᵀ[:,M])ᵀ`: missing × rest, where `B[M,M] = L_M L_Mᵀ`.
    of_rest: Mat<f64>,
    /// `L_M⁻¹ Q₁[M,:]`: missing × drift terms.
    of_drift: Mat<f64>,
}

impl<'a> Variance<'a> {
    /// Of the surfaces that `factor` makes.
    ///
    /// # Errors
    /// Where φ is no covariance: SciPy's `Rbf` without its drift, a degree below the kernel's least,
    /// a matrix that is not positive definite on this network. Or where the drift has covariates,
    /// which would have to be given at every place.
    pub fn new(factor: &'a Factor) -> Result<Self, Error> {
        let method = factor.method();
        if !method.covariates.is_empty() {
            return Err(Error::VarianceWithCovariates);
        }
        let valid = method.convention == Convention::Native
            && method.degree >= method.kernel.least_degree()
            && factor.core().is_cholesky();
        if !valid {
            let (kernel, degree, least) =
                (method.kernel, method.degree, method.kernel.least_degree());
            return Err(Error::NoCovariance { kernel, degree, least, metric: method.metric });
        }
        let q = factor.space().terms();
        let kept = factor.core().matrix();
        let of_drift = Mat::from_fn(q, q, |i, j| kept[(i.max(j), i.min(j))]);
        Ok(Self { factor, of_drift })
    }

    /// What is missing, to be given to [`at`](Self::at). None where it is a third of the network or
    /// more, or too much for a correction: then take that of
    /// [`Factor::without`](crate::Factor::without).
    ///
    /// `missing`: stations, ascending. Costs `n²|M|`.
    #[must_use]
    pub fn gap(&self, missing: &[usize], par: Par) -> Option<Gap> {
        let (n, q) = (self.factor.stations().len(), self.factor.space().terms());
        if missing.len() > n / 3 {
            return None;
        }
        let mut columns = Mat::zeros(n, missing.len());
        for (k, &station) in missing.iter().enumerate() {
            columns[(station, k)] = 1.0;
        }
        self.factor.space().apply(Side::Transposed, columns.as_mut(), par);
        let (top, mut rest) = columns.as_mut().split_at_row_mut(q);
        self.factor.core().solve_half(rest.rb_mut(), par);
        let rest = rest.as_ref();
        let scale: Vec<f64> = (0..missing.len()).map(|k| rest.col(k).norm_l2().recip()).collect();
        let core = || {
            let mut core = Mat::zeros(missing.len(), missing.len());
            let square = BlockStructure::Rectangular;
            let lower = BlockStructure::TriangularLower;
            let whole = Accum::Replace;
            let left = rest.transpose();
            triangular::matmul(core.as_mut(), lower, whole, left, square, rest, square, 1.0, par);
            for j in 0..missing.len() {
                for i in j..missing.len() {
                    core[(i, j)] *= scale[i] * scale[j];
                }
            }
            core
        };
        let core = Symmetric::new(core(), 0, core, par).ok()?;
        let condition = core.condition();
        if !core.is_cholesky() || condition.is_nan() || condition > WORST_CONDITION {
            return None;
        }
        let half = |part: MatRef<'_, f64>| {
            let mut half =
                Mat::from_fn(missing.len(), part.nrows(), |k, i| part[(i, k)] * scale[k]);
            core.solve_half(half.as_mut(), par);
            half
        };
        Some(Gap { of_rest: half(rest), of_drift: half(top.as_ref()) })
    }

    /// σ² of the field at `places` (in the coordinates of [`Metric::embed`](crate::Metric::embed)):
    /// places × (1 + gaps), the first column that of the whole network. That of a new reading is λ
    /// more.
    ///
    /// Costs `n² + 2n|M|` multiplications a place, and `4 MB` a thread.
    ///
    /// # Accuracy
    /// Never below 0. What is less than 64 ε times the terms it is the difference of is 0: so it is
    /// at a station without λ. Where the condition of the factor exceeds 1e12 rounding may be larger.
    ///
    /// # Panics
    /// If the places have other dimensions than the stations: a bug of the caller.
    #[must_use]
    pub fn at(&self, places: &Points, gaps: &[&Gap], par: Par) -> Mat<f64> {
        assert_eq!(places.dims(), self.factor.stations().dims(), "one space");
        let n = self.factor.stations().len();
        let block = (BLOCK_BYTES / 8 / n).clamp(16, 256);
        let firsts: Vec<usize> = (0..places.len()).step_by(block).collect();
        let some = |&first: &usize| {
            let which: Vec<usize> = (first..(first + block).min(places.len())).collect();
            self.some(&places.select(&which), gaps)
        };
        let parts: Vec<Mat<f64>> = if par == Par::Seq {
            firsts.iter().map(some).collect()
        } else {
            firsts.par_iter().map(some).collect()
        };
        let mut out = Mat::zeros(places.len(), 1 + gaps.len());
        for (first, part) in firsts.iter().zip(&parts) {
            out.as_mut().subrows_mut(*first, part.nrows()).copy_from(part);
        }
        out
    }

    fn some(&self, places: &Points, gaps: &[&Gap]) -> Mat<f64> {
        let (space, core) = (self.factor.space(), self.factor.core());
        let (q, m, count) = (space.terms(), core.size(), places.len());
        let at_zero = self.factor.method().kernel.phi(0.0);
        let mut columns = self.radial(places);
        space.apply(Side::Transposed, columns.as_mut(), Par::Seq);
        let drift = space.weights_of_drift(&self.drift(places), Par::Seq);
        let (top, mut rest) = columns.as_mut().split_at_row_mut(q);
        subtract_product(rest.rb_mut(), core.beside(), drift.as_ref());
        debug_assert_eq!(rest.nrows(), m);
        core.solve_half(rest.rb_mut(), Par::Seq);
        let mut squares = Mat::zeros(q, count);
        matmul(squares.as_mut(), Accum::Replace, &self.of_drift, &drift, 1.0, Par::Seq);
        let mut out = Mat::zeros(count, 1 + gaps.len());
        for c in 0..count {
            let cross: f64 = drift.col(c).transpose() * top.rb().col(c);
            let square: f64 = drift.col(c).transpose() * squares.col(c);
            let known = rest.rb().col(c).squared_norm_l2();
            let left = at_zero - 2.0 * cross + square - known;
            let terms = at_zero.abs() + 2.0 * cross.abs() + square.abs() + known;
            let floor = ROUNDING * f64::EPSILON * terms;
            out[(c, 0)] = if left > floor { left } else { 0.0 };
        }
        for (g, gap) in gaps.iter().enumerate() {
            let mut more = Mat::zeros(gap.of_rest.nrows(), count);
            matmul(more.as_mut(), Accum::Replace, &gap.of_rest, rest.rb(), 1.0, Par::Seq);
            matmul(more.as_mut(), Accum::Add, &gap.of_drift, &drift, 1.0, Par::Seq);
            for c in 0..count {
                out[(c, 1 + g)] = out[(c, 0)] + more.col(c).squared_norm_l2();
            }
        }
        out
    }

    /// `φ(ε|x − xᵢ|)`: stations × places.
    fn radial(&self, places: &Points) -> Mat<f64> {
        let (stations, method) = (self.factor.stations(), self.factor.method());
        let scale = method.epsilon * method.epsilon;
        let mut columns = Mat::zeros(stations.len(), places.len());
        for c in 0..places.len() {
            let column = columns.col_as_slice_mut(c);
            let place = places.at(c);
            for k in 0..stations.dims() {
                for (sum, x) in column.iter_mut().zip(stations.axis(k)) {
                    *sum += (x - place[k]) * (x - place[k]);
                }
            }
            if method.metric == crate::Metric::GreatCircle {
                column.iter_mut().for_each(|s| *s = method.metric.distance(*s).powi(2));
            }
            column.iter_mut().for_each(|s| *s = method.kernel.phi_of_squared(*s * scale));
        }
        columns
    }

    /// `p(x)`: terms × places.
    fn drift(&self, places: &Points) -> Mat<f64> {
        let drift = self.factor.drift();
        let mut terms = Mat::zeros(drift.terms(), places.len());
        for c in 0..places.len() {
            drift.at(places.at(c), terms.col_as_slice_mut(c));
        }
        terms
    }
}

fn subtract_product(to: MatMut<'_, f64>, left: MatRef<'_, f64>, right: MatRef<'_, f64>) {
    matmul(to, Accum::Add, left, right, -1.0, Par::Seq);
}
