//! The leading block of the inverse of the whole system, `B = Z (Zᵀ(Φ + λI)Z)⁻¹ Zᵀ`: it gives
//! leave-one-out residuals and mends weights where readings are missing.
//!
//! It is symmetric, and so is what was factorised: both halves of one square matrix with a column
//! to spare hold the two, the factor on and below the diagonal, `B[i, j]` for `i ≤ j` in row `i` and
//! column `j + 1`.

use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::triangular_inverse::{invert_lower_triangular, invert_unit_lower_triangular};
use faer::prelude::ReborrowMut;
use faer::{Accum, Mat, MatMut, MatRef, Par};

use crate::Factor;
use crate::symmetric::{Kind, block};

/// Columns of the inverse made at once: enough for a full-speed product, little next to the rest.
const PANEL: usize = 128;

/// The inverse's lower half, as it is kept: the transpose of what stands above the diagonal.
pub(crate) fn half(matrix: MatRef<'_, f64>) -> MatRef<'_, f64> {
    let n = matrix.nrows();
    matrix.submatrix(0, 1, n, n).transpose()
}

/// The same, to be written.
pub(crate) fn half_mut(matrix: &mut Mat<f64>) -> MatMut<'_, f64> {
    let n = matrix.nrows();
    matrix.as_mut().submatrix_mut(0, 1, n, n).transpose_mut()
}

/// Writes the inverse of the factorised block past `skip` to its place, 0 before it. `A⁻¹ =
/// GᵀD⁻¹G` with `G = L⁻¹`: two thirds of the factorisation's work each, one more matrix of its size.
pub(crate) fn invert(matrix: &mut Mat<f64>, skip: usize, kind: &Kind, par: Par) {
    let size = matrix.nrows() - skip;
    let mut root = Mat::zeros(size, size);
    let factor = block(matrix.as_ref(), skip);
    let pivots = match kind {
        Kind::Cholesky => {
            invert_lower_triangular(root.as_mut(), factor, par);
            None
        }
        Kind::BunchKaufman { subdiagonal, order } => {
            invert_unit_lower_triangular(root.as_mut(), factor, par);
            root.as_mut().diagonal_mut().fill(1.0);
            let diagonal: Vec<f64> = factor.diagonal().column_vector().iter().copied().collect();
            let below: Vec<f64> = subdiagonal.column_vector().iter().copied().collect();
            Some((diagonal, below, order))
        }
    };
    let mut out = half_mut(matrix);
    // Only the half that is kept: across its diagonal lies what the owner keeps in these columns.
    for j in 0..skip {
        out.rb_mut().submatrix_mut(j, j, skip + size - j, 1).fill(0.0);
    }
    let mut out = out.submatrix_mut(skip, skip, size, size);
    let mut from = 0;
    while from < size {
        let mut columns = PANEL.min(size - from);
        // A pivot of two rows stays together.
        let splits = |(_, below, _): &(_, Vec<f64>, _)| below[from + columns - 1] != 0.0;
        if from + columns < size && pivots.as_ref().is_some_and(splits) {
            columns += 1;
        }
        let rows = size - from;
        let tail = root.submatrix(from, from, rows, rows);
        let mut right = tail.submatrix(0, 0, rows, columns).to_owned();
        if let Some((diagonal, below, _)) = &pivots {
            divide(&mut right, &diagonal[from..], &below[from..]);
        }
        let mut panel = Mat::zeros(rows, columns);
        triangular::matmul(
            panel.as_mut(),
            BlockStructure::Rectangular,
            Accum::Replace,
            tail.transpose(),
            BlockStructure::TriangularUpper,
            right.as_ref(),
            BlockStructure::Rectangular,
            1.0,
            par,
        );
        // Along a row, which is how it is kept.
        for i in 0..rows {
            for j in 0..columns.min(i + 1) {
                let (mut row, mut column) = (from + i, from + j);
                if let Some((_, _, order)) = &pivots {
                    let (forward, _) = order.arrays();
                    (row, column) = (forward[row], forward[column]);
                }
                out[(row.max(column), row.min(column))] = panel[(i, j)];
            }
        }
        from += columns;
    }
}

/// `D⁻¹ X` for pivots of one and two rows.
fn divide(x: &mut Mat<f64>, diagonal: &[f64], below: &[f64]) {
    let mut i = 0;
    while i < x.nrows() {
        if below[i] == 0.0 {
            for j in 0..x.ncols() {
                x[(i, j)] /= diagonal[i];
            }
            i += 1;
        } else {
            // Divided by the entry off the diagonal, which is the largest in a pair.
            let (a, b, c) = (diagonal[i] / below[i], diagonal[i + 1] / below[i], below[i]);
            let determinant = a * b - 1.0;
            for j in 0..x.ncols() {
                let (u, v) = (x[(i, j)] / c, x[(i + 1, j)] / c);
                x[(i, j)] = (b * u - v) / determinant;
                x[(i + 1, j)] = (a * v - u) / determinant;
            }
            i += 2;
        }
    }
}

/// `B`, read.
pub(crate) struct Leading<'a> {
    half: MatRef<'a, f64>,
    /// `B_ii` of every station.
    pub(crate) diagonal: Vec<f64>,
}

impl<'a> Leading<'a> {
    /// As a factor keeps it.
    pub(crate) fn of(factor: &'a Factor) -> Self {
        let half = half(factor.core().matrix());
        Self { half, diagonal: (0..half.nrows()).map(|i| half[(i, i)]).collect() }
    }

    /// `B[i, j]`.
    pub(crate) fn at(&self, i: usize, j: usize) -> f64 {
        self.half[(i.max(j), i.min(j))]
    }

    /// The columns of `stations`, in that order.
    pub(crate) fn columns(&self, stations: &[usize]) -> Mat<f64> {
        let mut columns = Mat::zeros(self.diagonal.len(), stations.len());
        // Row by row, which is how they are kept.
        for i in 0..self.diagonal.len() {
            for (k, &j) in stations.iter().enumerate() {
                columns[(i, k)] = self.half[(i.max(j), i.min(j))];
            }
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symmetric::Symmetric;

    /// More than two panels, definite and not; pivots of two rows fall on the edge of a panel.
    #[test]
    fn the_inverse_times_the_matrix_is_the_identity() {
        let n = 2 * PANEL + 37;
        for (skip, shift) in [(0, 40.0), (3, 40.0), (0, 0.0), (3, 0.25)] {
            let at = |i: usize, j: usize| {
                let distance = i.abs_diff(j) as f64;
                if i == j { shift } else { (distance * 0.9).sin() / (1.0 + distance).sqrt() }
            };
            let matrix = || Mat::from_fn(n, n + 1, |i, j| if j <= i { at(i, j) } else { 0.0 });
            let keep = |_: MatMut<'_, f64>| ();
            let factor =
                Symmetric::with_inverse(matrix(), skip, matrix, keep, Par::Seq).expect("regular");
            assert_eq!(factor.is_cholesky(), shift > 1.0);
            let lower = half(factor.matrix());
            let m = n - skip;
            let inverse = Mat::from_fn(m, m, |i, j| lower[(skip + i.max(j), skip + i.min(j))]);
            let whole = Mat::from_fn(m, m, |i, j| at(skip + i, skip + j));
            let error = (&whole * &inverse - Mat::<f64>::identity(m, m)).norm_max();
            assert!(error < 1e-10, "{skip} {shift}: {error:e}");
            assert!((0..n).all(|i| (0..skip.min(i + 1)).all(|j| lower[(i, j)] == 0.0)));
        }
    }
}
