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
//!
//! Covariates `z` are further terms of the drift, and known only where they are wanted. As a function
//! of them σ² is a parabola,
//!
//! ```text
//! σ²(x, z) = σ₀²(x) + (z − ẑ(x))ᵀ C (z − ẑ(x))
//! ```
//!
//! with `ẑ` the surface of the same kernel through the covariates at the stations, `σ₀²` the variance
//! without covariates and `C` that of the slopes: what depends on the place alone, and the rest.

mod growth;
mod slopes;

use std::borrow::Cow;

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::prelude::ReborrowMut;
use faer::{Accum, ColRef, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use self::slopes::Slopes;
use crate::error::Error;
use crate::nullspace::Side;
use crate::symmetric::Symmetric;
use crate::{Convention, Factor, Points};

pub use self::growth::Growth;

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
    /// As distances see them.
    stations: Cow<'a, Points>,
    /// `Q₁ᵀAQ₁`.
    of_drift: Mat<f64>,
    /// Of the covariates.
    slopes: Slopes,
}

/// What a set of missing stations adds.
#[derive(Debug)]
pub struct Gap {
    /// `L_M⁻¹ (L⁻¹Zᵀ[:,M])ᵀ`: missing × rest, where `B[M,M] = L_M L_Mᵀ`.
    of_rest: Mat<f64>,
    /// `L_M⁻¹ Q₁[M,:]`: missing × drift terms.
    of_drift: Mat<f64>,
    /// Of the covariates, and `L_M⁻¹` of what they weigh at the missing stations.
    slopes: Slopes,
    of_slopes: Mat<f64>,
}

/// Some places in the basis of the drift.
struct Whitened {
    /// `u`, of covariates that are 0.
    drift: Mat<f64>,
    /// `Q₁ᵀφ` above `y`.
    columns: Mat<f64>,
}

impl<'a> Variance<'a> {
    /// Of the surfaces that `factor` makes.
    ///
    /// # Errors
    /// Where φ is no covariance: SciPy's `Rbf` without its drift, a degree below the kernel's least,
    /// a matrix that is not positive definite on this network.
    pub fn new(factor: &'a Factor) -> Result<Self, Error> {
        let method = factor.method();
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
        let slopes = Slopes::new(factor, &of_drift);
        let stations = method.stretched(factor.stations());
        Ok(Self { factor, stations, of_drift, slopes })
    }

    /// Number of covariates.
    #[must_use]
    pub fn covariates(&self) -> usize {
        self.slopes.count()
    }

    /// `C`, the variance of the slopes of covariates, covariates × covariates: of the whole network,
    /// or with a gap.
    #[must_use]
    pub fn of_slopes<'g>(&'g self, gap: Option<&'g Gap>) -> MatRef<'g, f64> {
        gap.map_or(&self.slopes, |gap| &gap.slopes).variance()
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
        let (of_rest, of_drift) = (half(rest), half(top.as_ref()));
        let of_slopes = self.slopes.at_missing(&of_rest, &of_drift);
        let slopes = self.slopes.without(&of_slopes);
        Some(Gap { of_rest, of_drift, slopes, of_slopes })
    }

    /// σ² of the field at `places` (in the coordinates of [`Metric::embed`](crate::Metric::embed)):
    /// places × (1 + gaps), the first column that of the whole network. That of a new reading is λ
    /// more. With `k` covariates there are 1 + k columns for each of these: `σ₀²`, then `ẑ`; what they
    /// come to at a place is told by [`spread`].
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
        let mut out = Mat::zeros(places.len(), (1 + self.covariates()) * (1 + gaps.len()));
        for (first, part) in firsts.iter().zip(&parts) {
            out.as_mut().subrows_mut(*first, part.nrows()).copy_from(part);
        }
        out
    }

    fn some(&self, places: &Points, gaps: &[&Gap]) -> Mat<f64> {
        let (q, width) = (self.factor.space().terms(), 1 + self.covariates());
        let at_zero = self.factor.method().kernel.phi(0.0);
        let Whitened { drift, columns } = self.whitened(places);
        let (top, rest) = columns.as_ref().split_at_row(q);
        let mut squares = Mat::zeros(q, places.len());
        matmul(squares.as_mut(), Accum::Replace, &self.of_drift, &drift, 1.0, Par::Seq);
        let mut out = Mat::zeros(places.len(), width * (1 + gaps.len()));
        let mut whole = vec![0.0; width];
        for c in 0..places.len() {
            let cross: f64 = drift.col(c).transpose() * top.col(c);
            let square: f64 = drift.col(c).transpose() * squares.col(c);
            let known = rest.col(c).squared_norm_l2();
            let less = self.slopes.at(top.col(c), squares.col(c), rest.col(c), &mut whole[1..]);
            let left = at_zero - 2.0 * cross + square - known - less;
            let terms = at_zero.abs() + 2.0 * cross.abs() + square.abs() + known + less.abs();
            let floor = ROUNDING * f64::EPSILON * terms;
            whole[0] = if left > floor { left } else { 0.0 };
            whole.iter().enumerate().for_each(|(k, value)| out[(c, k)] = *value);
        }
        for (g, gap) in gaps.iter().enumerate() {
            let mut more = Mat::zeros(gap.of_rest.nrows(), places.len());
            matmul(more.as_mut(), Accum::Replace, &gap.of_rest, rest, 1.0, Par::Seq);
            matmul(more.as_mut(), Accum::Add, &gap.of_drift, &drift, 1.0, Par::Seq);
            for c in 0..places.len() {
                (0..width).for_each(|k| whole[k] = out[(c, k)]);
                gap.widen(&mut whole, more.col(c));
                (0..width).for_each(|k| out[(c, (1 + g) * width + k)] = whole[k]);
            }
        }
        out
    }

    fn whitened(&self, places: &Points) -> Whitened {
        let (space, core) = (self.factor.space(), self.factor.core());
        let mut columns = self.radial(places);
        space.apply(Side::Transposed, columns.as_mut(), Par::Seq);
        let drift = space.weights_of_drift(&self.drift(places), Par::Seq);
        let (_, mut rest) = columns.as_mut().split_at_row_mut(space.terms());
        debug_assert_eq!(rest.nrows(), core.size());
        subtract_product(rest.rb_mut(), core.beside(), drift.as_ref());
        core.solve_half(rest, Par::Seq);
        Whitened { drift, columns }
    }

    /// `φ(ε|x − xᵢ|)`: stations × places.
    fn radial(&self, places: &Points) -> Mat<f64> {
        let (stations, method) = (&self.stations, self.factor.method());
        let places = &*method.stretched(places);
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

    /// `p(x)`, covariates 0: terms × places.
    fn drift(&self, places: &Points) -> Mat<f64> {
        let drift = self.factor.drift();
        let mut terms = Mat::zeros(self.factor.space().terms(), places.len());
        for c in 0..places.len() {
            drift.at(places.at(c), &mut terms.col_as_slice_mut(c)[..drift.terms()]);
        }
        terms
    }
}

impl Gap {
    /// `σ₀²` and `ẑ` of the whole network become those without the missing stations; `more` is what
    /// they weigh at the place, covariates 0, times `L_M⁻¹`.
    ///
    /// Least over z of `σ₀² + (z − ẑ)ᵀC(z − ẑ) + |more + of_slopes z|²`.
    fn widen(&self, whole: &mut [f64], more: ColRef<'_, f64>) {
        let [variance, expected @ ..] = whole else { return };
        if expected.is_empty() {
            *variance += more.squared_norm_l2();
            return;
        }
        let mut more = more.to_owned();
        for (k, z) in expected.iter().enumerate() {
            (0..more.nrows()).for_each(|i| more[i] += self.of_slopes[(i, k)] * z);
        }
        let down: Vec<f64> =
            (0..expected.len()).map(|k| self.of_slopes.col(k).transpose() * &more).collect();
        let shift = self.slopes.undo(&down);
        let less: f64 = down.iter().zip(&shift).map(|(a, b)| a * b).sum();
        *variance += (more.squared_norm_l2() - less).max(0.0);
        expected.iter_mut().zip(&shift).for_each(|(z, shift)| *z -= shift);
    }
}

/// `σ²` at a place where the covariates are `z`, from `σ₀²` and `ẑ` there and `C`
/// ([`Variance::of_slopes`]).
#[must_use]
pub fn spread(at_place: &[f64], z: &[f64], of_slopes: MatRef<'_, f64>) -> f64 {
    let off = |k: usize| z[k] - at_place[1 + k];
    let mut sum = at_place[0];
    for i in 0..z.len() {
        for j in 0..z.len() {
            sum += off(i) * of_slopes[(i, j)] * off(j);
        }
    }
    sum
}

fn subtract_product(to: MatMut<'_, f64>, left: MatRef<'_, f64>, right: MatRef<'_, f64>) {
    matmul(to, Accum::Add, left, right, -1.0, Par::Seq);
}
