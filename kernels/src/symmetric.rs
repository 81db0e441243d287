//! Symmetric matrices: factorised in place, solved with, inverted, and how well-posed that is.
//!
//! Cholesky where the matrix is positive definite; Bunch–Kaufman (LBLᵀ with pivots of one and
//! two rows; Bunch & Kaufman 1977, doi:10.1090/S0025-5718-1977-0428694-0) where it is not.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::{lblt, llt};
use faer::linalg::triangular_solve::{
    solve_lower_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::perm::Perm;
use faer::{Mat, MatMut, MatRef, Par};

use crate::error::Error;
use crate::inverse;
use crate::numbers::Numbers;

/// Below this fraction of the largest pivot there is nothing left of a pivot but rounding, even
/// where rounding was lucky. Larger ones may be poor; the condition estimate tells of those.
const NO_PIVOT: f64 = 1e-3 * f64::EPSILON;

/// A factorised symmetric matrix.
#[derive(Clone)]
pub(crate) struct Symmetric {
    /// The factor in the lower half of the trailing block; the first `skip` columns are kept as
    /// they came, for the owner's use. Above the diagonal there may be an inverse: see `inverse.rs`.
    matrix: Numbers,
    skip: usize,
    kind: Kind,
    norm: f64,
    inverse_norm: f64,
}

#[derive(Clone)]
pub(crate) enum Kind {
    Cholesky,
    BunchKaufman { subdiagonal: Diag<f64>, order: Perm<usize> },
}

impl Symmetric {
    /// Factorises the block of `matrix` past the first `skip` rows and columns, of which only the
    /// lower half is read. `again` makes the matrix anew, should Cholesky spoil it in vain.
    pub(crate) fn new(
        mut matrix: Mat<f64>,
        skip: usize,
        again: impl FnOnce() -> Mat<f64>,
        par: Par,
    ) -> Result<Self, Error> {
        let (kind, norm) = decompose(&mut matrix, skip, again, par)?;
        let matrix = Numbers::from(matrix);
        let mut factor = Self { matrix, skip, kind, norm, inverse_norm: 0.0 };
        if factor.size() > 0 {
            factor.inverse_norm = factor.inverse_one_norm(par);
        }
        Ok(factor)
    }

    /// The same of a matrix with one column more than rows; above its diagonal the inverse is kept
    /// besides, as `turn` changes its lower half (of the whole matrix, the first `skip` rows and
    /// columns 0).
    pub(crate) fn with_inverse(
        mut matrix: Mat<f64>,
        skip: usize,
        again: impl FnOnce() -> Mat<f64>,
        turn: impl FnOnce(MatMut<'_, f64>),
        par: Par,
    ) -> Result<Self, Error> {
        let (kind, norm) = decompose(&mut matrix, skip, again, par)?;
        inverse::invert(&mut matrix, skip, &kind, par);
        let inverse_norm = one_norm(block(inverse::half(matrix.as_ref()), skip));
        turn(inverse::half_mut(&mut matrix));
        Ok(Self { matrix: Numbers::from(matrix), skip, kind, norm, inverse_norm })
    }

    /// The parts of one that was kept.
    pub(crate) fn from_parts(matrix: Numbers, skip: usize, kind: Kind, norms: [f64; 2]) -> Self {
        Self { matrix, skip, kind, norm: norms[0], inverse_norm: norms[1] }
    }

    /// Number of rows.
    pub(crate) fn size(&self) -> usize {
        self.matrix.as_ref().nrows() - self.skip
    }

    /// The 1-norms of the matrix and of its inverse. That of the inverse is estimated where the
    /// inverse is not kept, from below, usually within a factor of 3 (Hager 1984,
    /// doi:10.1137/0905023; Higham 1988, doi:10.1145/50063.214386).
    pub(crate) fn norms(&self) -> [f64; 2] {
        [self.norm, self.inverse_norm]
    }

    /// The condition number in the 1-norm.
    pub(crate) fn condition(&self) -> f64 {
        self.norm * self.inverse_norm
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Everything that is kept: the factor, and what stands above the diagonal.
    pub(crate) fn matrix(&self) -> MatRef<'_, f64> {
        self.matrix.as_ref()
    }

    pub(crate) fn is_cholesky(&self) -> bool {
        matches!(self.kind, Kind::Cholesky)
    }

    /// What was in the first columns, beside the block.
    pub(crate) fn beside(&self) -> MatRef<'_, f64> {
        self.matrix.as_ref().submatrix(self.skip, 0, self.size(), self.skip)
    }

    fn block(&self) -> MatRef<'_, f64> {
        block(self.matrix.as_ref(), self.skip)
    }

    /// Overwrites right-hand sides with solutions.
    pub(crate) fn solve(&self, rhs: MatMut<'_, f64>, par: Par) {
        let (n, columns) = (self.size(), rhs.ncols());
        if n == 0 || columns == 0 {
            return;
        }
        match &self.kind {
            Kind::Cholesky => {
                let scratch = llt::solve::solve_in_place_scratch::<f64>(n, columns, par);
                let mut memory = MemBuffer::new(scratch);
                llt::solve::solve_in_place(self.block(), rhs, par, MemStack::new(&mut memory));
            }
            Kind::BunchKaufman { subdiagonal, order } => {
                let scratch = lblt::solve::solve_in_place_scratch::<usize, f64>(n, columns, par);
                let mut memory = MemBuffer::new(scratch);
                lblt::solve::solve_in_place(
                    self.block(),
                    self.block().diagonal(),
                    subdiagonal.as_ref(),
                    order.as_ref(),
                    rhs,
                    par,
                    MemStack::new(&mut memory),
                );
            }
        }
    }

    /// Overwrites right-hand sides with `L⁻¹` of them. Cholesky only.
    pub(crate) fn solve_half(&self, rhs: MatMut<'_, f64>, par: Par) {
        solve_lower_triangular_in_place(self.block(), rhs, par);
    }

    /// Overwrites right-hand sides with `L⁻ᵀ` of them. Cholesky only.
    pub(crate) fn solve_other_half(&self, rhs: MatMut<'_, f64>, par: Par) {
        solve_upper_triangular_in_place(self.block().transpose(), rhs, par);
    }

    fn inverse_one_norm(&self, par: Par) -> f64 {
        let n = self.size();
        let solve = |x: &mut Mat<f64>| self.solve(x.as_mut(), par);
        let mut x =
            Mat::from_fn(n, 2, |i, j| if j == 0 { 1.0 / real(n) } else { alternating(i, n) });
        solve(&mut x);
        // The second column catches the rare matrices that the search below is blind to.
        let floor = 2.0 * sum_abs(&x, 1) / (3.0 * real(n));
        let mut estimate = sum_abs(&x, 0);
        let mut at = usize::MAX;
        for _ in 0..4 {
            let mut gradient = Mat::from_fn(n, 1, |i, _| x[(i, 0)].signum());
            solve(&mut gradient);
            let steepest = (0..n).fold(0, |best, i| {
                if gradient[(i, 0)].abs() > gradient[(best, 0)].abs() { i } else { best }
            });
            if steepest == at {
                break;
            }
            at = steepest;
            x = Mat::from_fn(n, 1, |i, _| if i == at { 1.0 } else { 0.0 });
            solve(&mut x);
            let next = sum_abs(&x, 0);
            if next <= estimate {
                break;
            }
            estimate = next;
        }
        estimate.max(floor)
    }
}

/// The factor, and the 1-norm of what was factorised.
fn decompose(
    matrix: &mut Mat<f64>,
    skip: usize,
    again: impl FnOnce() -> Mat<f64>,
    par: Par,
) -> Result<(Kind, f64), Error> {
    let size = matrix.nrows() - skip;
    let norm = one_norm(block(matrix.as_ref(), skip));
    if !norm.is_finite() {
        return Err(Error::Overflow);
    }
    let may_be_definite = (skip..matrix.nrows()).all(|i| matrix[(i, i)] > 0.0);
    if size == 0 || (may_be_definite && cholesky(matrix, skip, par)) {
        return Ok((Kind::Cholesky, norm));
    }
    if may_be_definite {
        *matrix = again();
    }
    Ok((bunch_kaufman(matrix, skip, par)?, norm))
}

pub(crate) fn block(matrix: MatRef<'_, f64>, skip: usize) -> MatRef<'_, f64> {
    let size = matrix.nrows() - skip;
    matrix.submatrix(skip, skip, size, size)
}

fn block_mut(matrix: &mut Mat<f64>, skip: usize) -> MatMut<'_, f64> {
    let size = matrix.nrows() - skip;
    matrix.as_mut().submatrix_mut(skip, skip, size, size)
}

/// Whether it went through; the block is spoilt if not.
fn cholesky(matrix: &mut Mat<f64>, skip: usize, par: Par) -> bool {
    let size = matrix.nrows() - skip;
    let scratch = llt::factor::cholesky_in_place_scratch::<f64>(size, par, Default::default());
    let mut memory = MemBuffer::new(scratch);
    let outcome = llt::factor::cholesky_in_place(
        block_mut(matrix, skip),
        Default::default(),
        par,
        MemStack::new(&mut memory),
        Default::default(),
    );
    outcome.is_ok()
        && block(matrix.as_ref(), skip).diagonal().column_vector().iter().all(|d| d.is_finite())
}

fn bunch_kaufman(matrix: &mut Mat<f64>, skip: usize, par: Par) -> Result<Kind, Error> {
    let size = matrix.nrows() - skip;
    let scratch =
        lblt::factor::cholesky_in_place_scratch::<usize, f64>(size, par, Default::default());
    let mut memory = MemBuffer::new(scratch);
    let mut subdiagonal = Diag::<f64>::zeros(size);
    let mut forward = vec![0_usize; size];
    let mut backward = vec![0_usize; size];
    lblt::factor::cholesky_in_place(
        block_mut(matrix, skip),
        subdiagonal.as_mut(),
        &mut forward,
        &mut backward,
        par,
        MemStack::new(&mut memory),
        Default::default(),
    );
    let (smallest, largest) = pivots(block(matrix.as_ref(), skip), &subdiagonal);
    if smallest.is_nan() || smallest <= NO_PIVOT * largest {
        return Err(Error::Singular { pivot: smallest, largest });
    }
    let order = Perm::new_checked(forward.into_boxed_slice(), backward.into_boxed_slice(), size);
    Ok(Kind::BunchKaufman { subdiagonal, order })
}

/// Smallest and largest eigenvalue, in size, of the pivots of one and two rows.
fn pivots(block: MatRef<'_, f64>, subdiagonal: &Diag<f64>) -> (f64, f64) {
    let below = subdiagonal.column_vector();
    let (mut smallest, mut largest) = (f64::INFINITY, 0.0_f64);
    let mut i = 0;
    while i < block.nrows() {
        let (low, high) = if below[i] == 0.0 {
            let pivot = block[(i, i)].abs();
            i += 1;
            (pivot, pivot)
        } else {
            let (a, b, c) = (block[(i, i)], block[(i + 1, i + 1)], below[i]);
            let (middle, radius) = (f64::midpoint(a, b), ((a - b) / 2.0).hypot(c));
            let high = middle.abs() + radius;
            i += 2;
            // The product of the eigenvalues is the determinant: no cancellation in the smaller.
            ((a * b - c * c).abs() / high, high)
        };
        // `min` would pass over a NaN.
        if low < smallest || low.is_nan() {
            smallest = low;
        }
        largest = largest.max(high);
    }
    (smallest, largest)
}

/// The largest column sum of a symmetric matrix given by its lower half.
pub(crate) fn one_norm(lower: MatRef<'_, f64>) -> f64 {
    let n = lower.nrows();
    let mut sums = vec![0.0; n];
    for j in 0..n {
        let mut below = 0.0;
        for i in j + 1..n {
            let size = lower[(i, j)].abs();
            below += size;
            sums[i] += size;
        }
        sums[j] += below + lower[(j, j)].abs();
    }
    sums.into_iter().fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a })
}

fn alternating(i: usize, n: usize) -> f64 {
    let size = if n > 1 { 1.0 + real(i) / real(n - 1) } else { 1.0 };
    if i.is_multiple_of(2) { size } else { -size }
}

fn sum_abs(x: &Mat<f64>, column: usize) -> f64 {
    x.col(column).iter().map(|v| v.abs()).sum()
}

#[expect(clippy::cast_precision_loss, reason = "sizes of matrices are far below 2^52")]
fn real(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factor(matrix: &Mat<f64>) -> Result<Symmetric, Error> {
        Symmetric::new(matrix.clone(), 0, || matrix.clone(), Par::Seq)
    }

    /// 1/(i + j + 1): positive definite, and as badly conditioned as one likes.
    fn hilbert(n: usize) -> Mat<f64> {
        Mat::from_fn(n, n, |i, j| 1.0 / real(i + j + 1))
    }

    #[test]
    fn the_condition_of_hilberts_matrix_is_the_one_in_the_books() {
        // 1-norm condition of order 4 is 28375, of order 6 is 29070279 (both exact).
        for (order, exact) in [(4, 28_375.0), (6, 29_070_279.0)] {
            let estimate = factor(&hilbert(order)).expect("positive definite").condition();
            assert!((estimate / exact - 1.0).abs() < 1e-6, "{order}: {estimate}");
        }
    }

    #[test]
    fn an_indefinite_matrix_is_solved_by_bunch_kaufman() {
        for shift in [0.0, 1.0, -3.0] {
            let matrix =
                Mat::from_fn(
                    30,
                    30,
                    |i, j| {
                        if i == j { shift } else { real(i.abs_diff(j)).sqrt() }
                    },
                );
            let x = Mat::from_fn(30, 2, |i, j| real(i) - 7.0 * real(j));
            let mut y = &matrix * &x;
            let factor = factor(&matrix).expect("not singular");
            assert!(!factor.is_cholesky());
            factor.solve(y.as_mut(), Par::Seq);
            assert!((y - x).norm_max() < 1e-11);
        }
    }

    #[test]
    fn a_singular_matrix_is_told() {
        assert!(matches!(factor(&Mat::zeros(3, 3)), Err(Error::Singular { .. })));
        let ones = Mat::from_fn(4, 4, |_, _| 1.0);
        assert!(matches!(factor(&ones), Err(Error::Singular { .. })));
    }

    #[test]
    fn a_matrix_that_overflowed_is_told() {
        let matrix = Mat::from_fn(2, 2, |i, j| if i == j { 1.0 } else { f64::INFINITY });
        assert!(matches!(factor(&matrix), Err(Error::Overflow)));
    }
}
