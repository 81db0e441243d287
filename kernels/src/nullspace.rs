//! The drift set apart: an orthogonal basis in which its columns come first.
//!
//! Householder QR of the drift's columns with pivoting, `P Π = Q [R; 0]`. The last `n − q`
//! columns of `Q` span the weights that the drift's side conditions allow. `Q` is never formed:
//! it is kept as `I − V T Vᵀ` (Schreiber & Van Loan 1989, doi:10.1137/0910005), `V` of `n × q`,
//! and applying it to a matrix costs `O(n² q)`.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::triangular_solve::{
    solve_lower_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{Accum, Mat, MatMut, MatRef, Par};

/// `Q`, `R` and the order of the columns.
#[derive(Clone)]
pub(crate) struct Nullspace {
    v: Mat<f64>,
    t: Mat<f64>,
    r: Mat<f64>,
    order: Vec<usize>,
}

/// Which of the two: `Q` or its transpose.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Plain,
    Transposed,
}

impl Nullspace {
    /// Of `drift`, stations × terms.
    ///
    /// # Errors
    /// The rank, where what is left of a column is below `tolerance` of the longest.
    pub(crate) fn new(mut drift: Mat<f64>, tolerance: f64) -> Result<Self, usize> {
        let (n, q) = (drift.nrows(), drift.ncols());
        let mut v = Mat::zeros(n, q);
        let mut t = Mat::zeros(q, q);
        let mut order: Vec<usize> = (0..q).collect();
        let mut longest = 0.0_f64;
        for k in 0..q.min(n) {
            let (pivot, length) = longest_column(&drift, k);
            longest = longest.max(length);
            if length.is_nan() || length <= tolerance * longest {
                return Err(k);
            }
            order.swap(k, pivot);
            swap_columns(&mut drift, k, pivot);
            let tau = reflector(&drift, k, length, &mut v);
            reflect(&mut drift, k, &v, tau);
            t[(k, k)] = tau;
            for i in 0..k {
                // −τ T (Vᵀ v), with T upper triangular: rows in this order do not disturb it.
                let mut sum = 0.0;
                for j in i..k {
                    let dot: f64 = (k..n).map(|row| v[(row, j)] * v[(row, k)]).sum();
                    sum += t[(i, j)] * dot;
                }
                t[(i, k)] = -tau * sum;
            }
        }
        if n < q {
            return Err(n);
        }
        Ok(Self { v, t, r: drift.submatrix(0, 0, q, q).to_owned(), order })
    }

    /// Number of drift terms.
    pub(crate) fn terms(&self) -> usize {
        self.order.len()
    }

    /// How near the drift's terms are to dependent on the stations: the ratio of the extreme pivots
    /// of `R`, a condition number within a small factor. 1 without a drift.
    pub(crate) fn condition(&self) -> f64 {
        let pivots = (0..self.terms()).map(|k| self.r[(k, k)].abs());
        let (low, high) = pivots.fold((f64::INFINITY, 0.0_f64), |(l, h), p| (l.min(p), h.max(p)));
        if self.terms() > 0 { high / low } else { 1.0 }
    }

    /// `X ← Q X` or `Qᵀ X`.
    pub(crate) fn apply(&self, side: Side, x: MatMut<'_, f64>, par: Par) {
        let coefficients = product(self.v.transpose(), x.rb(), par);
        let coefficients = product(self.t_of(side), coefficients.as_ref(), par);
        matmul(x, Accum::Add, &self.v, &coefficients, -1.0, par);
    }

    /// `A ← Q A Qᵀ` or `Qᵀ A Q` for a symmetric `A` of which only the lower half is read and
    /// written: one update of rank 2q, `A − W Vᵀ − V Wᵀ`.
    pub(crate) fn conjugate(&self, side: Side, lower: MatMut<'_, f64>, par: Par) {
        if self.terms() == 0 {
            return;
        }
        // For Qᵀ A Q: Y = A V T and W = Y − ½ V (Tᵀ Vᵀ Y); for Q A Qᵀ, T and Tᵀ trade places.
        let (inner, outer) = match side {
            Side::Transposed => (self.t.as_ref(), self.t.transpose()),
            Side::Plain => (self.t.transpose(), self.t.as_ref()),
        };
        let y = product(symmetric_product(lower.rb(), self.v.as_ref(), par).as_ref(), inner, par);
        let core = product(outer, product(self.v.transpose(), y.as_ref(), par).as_ref(), par);
        let mut w = y;
        matmul(w.as_mut(), Accum::Add, &self.v, &core, -0.5, par);
        let mut lower = lower;
        for (left, right) in [(w.as_ref(), self.v.transpose()), (self.v.as_ref(), w.transpose())] {
            triangular::matmul(
                lower.rb_mut(),
                BlockStructure::TriangularLower,
                Accum::Add,
                left,
                BlockStructure::Rectangular,
                right,
                BlockStructure::Rectangular,
                -1.0,
                par,
            );
        }
    }

    /// `Π R⁻¹ X`: from the drift's coordinates in `Q` to its coefficients.
    pub(crate) fn coefficients(&self, mut x: Mat<f64>, par: Par) -> Mat<f64> {
        solve_upper_triangular_in_place(self.r.as_ref(), x.as_mut(), par);
        let mut out = Mat::zeros(x.nrows(), x.ncols());
        for (k, &term) in self.order.iter().enumerate() {
            out.row_mut(term).copy_from(x.row(k));
        }
        out
    }

    /// `R⁻ᵀ Πᵀ X`: of terms of the drift at some places, the weights in `Q₁` that reproduce them.
    pub(crate) fn weights_of_drift(&self, terms: &Mat<f64>, par: Par) -> Mat<f64> {
        let mut out = Mat::zeros(terms.nrows(), terms.ncols());
        for (k, &term) in self.order.iter().enumerate() {
            out.row_mut(k).copy_from(terms.row(term));
        }
        solve_lower_triangular_in_place(self.r.transpose(), out.as_mut(), par);
        out
    }

    /// Whether the others still determine the drift without this station, for every station.
    pub(crate) fn dispensable(&self, par: Par) -> Vec<bool> {
        let (n, q) = (self.v.nrows(), self.terms());
        let mut basis = Mat::zeros(n, q);
        basis.as_mut().submatrix_mut(0, 0, q, q).diagonal_mut().fill(1.0);
        self.apply(Side::Plain, basis.as_mut(), par);
        // A row of the drift's basis has length 1 where the station alone fixes a combination of
        // terms. The rest of this row, squared, carries a rounding error of a few ε; a station
        // that shares as little as 1e-10 of its say with the others leaves a singular drift.
        (0..n).map(|i| 1.0 - basis.row(i).squared_norm_l2() > 1e-10).collect()
    }

    fn t_of(&self, side: Side) -> MatRef<'_, f64> {
        if side == Side::Plain { self.t.as_ref() } else { self.t.transpose() }
    }
}

/// Of the columns from `k`, the one longest below row `k`.
fn longest_column(drift: &Mat<f64>, k: usize) -> (usize, f64) {
    let length = |j: usize| drift.col(j).subrows(k, drift.nrows() - k).norm_l2();
    (k..drift.ncols())
        .map(|j| (j, length(j)))
        .fold((k, f64::NEG_INFINITY), |best, this| if this.1 > best.1 { this } else { best })
}

fn swap_columns(matrix: &mut Mat<f64>, a: usize, b: usize) {
    if a != b {
        for i in 0..matrix.nrows() {
            let kept = matrix[(i, a)];
            matrix[(i, a)] = matrix[(i, b)];
            matrix[(i, b)] = kept;
        }
    }
}

/// The reflector `I − τ v vᵀ` that turns column `k` below row `k` into its first entry; `v` starts
/// with 1. Returns τ.
fn reflector(drift: &Mat<f64>, k: usize, length: f64, v: &mut Mat<f64>) -> f64 {
    let head = drift[(k, k)];
    // Same sign, so that nothing cancels.
    let first = head + length.copysign(head);
    v[(k, k)] = 1.0;
    for i in k + 1..drift.nrows() {
        v[(i, k)] = drift[(i, k)] / first;
    }
    first / length.copysign(head)
}

fn reflect(drift: &mut Mat<f64>, k: usize, v: &Mat<f64>, tau: f64) {
    for j in k..drift.ncols() {
        let dot: f64 = (k..drift.nrows()).map(|i| v[(i, k)] * drift[(i, j)]).sum();
        for i in k..drift.nrows() {
            drift[(i, j)] -= tau * dot * v[(i, k)];
        }
    }
}

fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>, par: Par) -> Mat<f64> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    matmul(out.as_mut(), Accum::Replace, a, b, 1.0, par);
    out
}

/// `A X` for a symmetric `A` given by its lower half.
fn symmetric_product(lower: MatRef<'_, f64>, x: MatRef<'_, f64>, par: Par) -> Mat<f64> {
    let mut out = Mat::zeros(x.nrows(), x.ncols());
    let halves = [
        (lower, BlockStructure::TriangularLower, Accum::Replace),
        (lower.transpose(), BlockStructure::StrictTriangularUpper, Accum::Add),
    ];
    for (half, structure, accumulate) in halves {
        triangular::matmul(
            out.as_mut(),
            BlockStructure::Rectangular,
            accumulate,
            half,
            structure,
            x,
            BlockStructure::Rectangular,
            1.0,
            par,
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(n: usize, q: usize) -> Mat<f64> {
        Mat::from_fn(n, q, |i, j| (0.7 * (i + 1) as f64).sin().powf(j as f64))
    }

    fn full_q(space: &Nullspace, n: usize) -> Mat<f64> {
        let mut q = Mat::identity(n, n);
        space.apply(Side::Plain, q.as_mut(), Par::Seq);
        q
    }

    #[test]
    fn the_basis_is_orthogonal_and_its_tail_annihilates_the_drift() {
        for q in 0..=6 {
            let p = columns(20, q);
            let space = Nullspace::new(p.clone(), 1e-10).expect("full rank");
            let basis = full_q(&space, 20);
            assert!((basis.transpose() * &basis - Mat::<f64>::identity(20, 20)).norm_max() < 1e-14);
            let turned = basis.transpose() * &p;
            assert!(turned.submatrix(q, 0, 20 - q, q).norm_max() < 1e-14);
        }
    }

    #[test]
    fn coefficients_undo_the_drift() {
        let p = columns(12, 4);
        let space = Nullspace::new(p.clone(), 1e-10).expect("full rank");
        let wanted = Mat::from_fn(4, 2, |i, j| 1.0 + i as f64 - 3.0 * j as f64);
        let mut values = &p * &wanted;
        space.apply(Side::Transposed, values.as_mut(), Par::Seq);
        let got = space.coefficients(values.submatrix(0, 0, 4, 2).to_owned(), Par::Seq);
        assert!((got - wanted).norm_max() < 1e-13);
    }

    #[test]
    fn half_of_a_symmetric_matrix_is_conjugated_like_the_whole() {
        let space = Nullspace::new(columns(15, 3), 1e-10).expect("full rank");
        let basis = full_q(&space, 15);
        let whole = Mat::from_fn(15, 15, |i, j| (i + j) as f64 + 1.0 / (1 + i * j) as f64);
        for side in [Side::Plain, Side::Transposed] {
            let wanted = match side {
                Side::Plain => &basis * &whole * basis.transpose(),
                Side::Transposed => basis.transpose() * &whole * &basis,
            };
            let mut half =
                Mat::from_fn(15, 15, |i, j| if i >= j { whole[(i, j)] } else { f64::NAN });
            space.conjugate(side, half.as_mut(), Par::Seq);
            for j in 0..15 {
                for i in j..15 {
                    assert!((half[(i, j)] - wanted[(i, j)]).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn dependent_columns_are_counted() {
        let mut p = columns(10, 4);
        for i in 0..10 {
            p[(i, 3)] = 2.0 * p[(i, 0)] - p[(i, 1)];
        }
        assert!(matches!(Nullspace::new(p, 1e-10), Err(3)));
        assert!(matches!(Nullspace::new(Mat::zeros(5, 2), 1e-10), Err(0)));
        assert!(matches!(Nullspace::new(columns(2, 4), 1e-10), Err(2)));
    }
}
