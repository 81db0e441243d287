//! How much the slopes of covariates add to a variance.

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::DenseSolveCore;
use faer::{Accum, ColRef, Mat, MatRef, Par};

use crate::Factor;

/// Of `k` covariates; all of it empty where there is none.
#[derive(Debug)]
pub(super) struct Slopes {
    /// `r = R⁻ᵀΠᵀ` of the covariates' terms: drift terms × k.
    of_drift: Mat<f64>,
    /// `t = −L⁻¹ZᵀAQ₁r`: rest × k.
    of_rest: Mat<f64>,
    /// `C = rᵀ Q₁ᵀAQ₁ r − tᵀt`.
    variance: Mat<f64>,
    /// `C⁻¹`.
    inverse: Mat<f64>,
}

impl Slopes {
    pub(super) fn new(factor: &Factor, matrix_of_drift: &Mat<f64>) -> Self {
        let (space, core) = (factor.space(), factor.core());
        let (q, k) = (space.terms(), factor.method().covariates.len());
        // The last terms are those of covariates.
        let unit = Mat::from_fn(q, k, |i, j| f64::from(u8::from(i == q - k + j)));
        let of_drift = space.weights_of_drift(&unit, Par::Seq);
        let mut of_rest = Mat::zeros(core.size(), k);
        let mut variance = Mat::zeros(k, k);
        if k > 0 {
            matmul(of_rest.as_mut(), Accum::Add, core.beside(), &of_drift, -1.0, Par::Seq);
            core.solve_half(of_rest.as_mut(), Par::Seq);
            variance =
                of_drift.transpose() * matrix_of_drift * &of_drift - of_rest.transpose() * &of_rest;
        }
        Self { of_drift, of_rest, inverse: inverse(&variance), variance }
    }

    pub(super) fn count(&self) -> usize {
        self.variance.nrows()
    }

    pub(super) fn variance(&self) -> MatRef<'_, f64> {
        self.variance.as_ref()
    }

    /// `C⁻¹ v`.
    pub(super) fn undo(&self, v: &[f64]) -> Vec<f64> {
        let row = |i: usize| v.iter().enumerate().map(|(j, v)| self.inverse[(i, j)] * v).sum();
        (0..v.len()).map(row).collect()
    }

    /// `L_M⁻¹` of what the covariates weigh at missing stations: missing × k.
    pub(super) fn at_missing(&self, of_rest: &Mat<f64>, of_drift: &Mat<f64>) -> Mat<f64> {
        of_rest * &self.of_rest + of_drift * &self.of_drift
    }

    /// The same without the stations that weigh so.
    pub(super) fn without(&self, at_missing: &Mat<f64>) -> Self {
        let variance = &self.variance + at_missing.transpose() * at_missing;
        let none = || Mat::zeros(0, 0);
        Self { of_drift: none(), of_rest: none(), inverse: inverse(&variance), variance }
    }

    /// Writes `ẑ` at a place; returns by how much `σ₀²` is less than the variance of covariates that
    /// are 0. `top` is `Q₁ᵀφ`, `squares` is `Q₁ᵀAQ₁u`.
    pub(super) fn at(
        &self,
        top: ColRef<'_, f64>,
        squares: ColRef<'_, f64>,
        rest: ColRef<'_, f64>,
        expected: &mut [f64],
    ) -> f64 {
        if expected.is_empty() {
            return 0.0;
        }
        let half = |j: usize| -> f64 {
            let (r, t) = (self.of_drift.col(j).transpose(), self.of_rest.col(j).transpose());
            let (top, square, known): (f64, f64, f64) = (r * top, r * squares, t * rest);
            square - top - known
        };
        let halves: Vec<f64> = (0..expected.len()).map(half).collect();
        let undone = self.undo(&halves);
        expected.iter_mut().zip(&undone).for_each(|(z, value)| *z = -value);
        halves.iter().zip(&undone).map(|(a, b)| a * b).sum()
    }
}

fn inverse(matrix: &Mat<f64>) -> Mat<f64> {
    if matrix.nrows() == 0 { Mat::zeros(0, 0) } else { matrix.partial_piv_lu().inverse() }
}
