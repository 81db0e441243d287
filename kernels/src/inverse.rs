//! The leading block of the inverse of the whole system: `B = Z (Zᵀ(Φ + λI)Z)⁻¹ Zᵀ`.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};

use crate::Factor;
use crate::nullspace::Side;

/// Columns of `B` made at once: enough for a full-speed product, little next to the rest.
const PANEL: usize = 256;

/// The diagonal of `B`, and those of its columns that are needed.
pub(crate) struct Leading {
    /// `B_ii` of every station.
    pub(crate) diagonal: Vec<f64>,
    columns: Mat<f64>,
    /// Station → column.
    place: Vec<usize>,
}

impl Leading {
    /// With the columns of the stations `wanted`, in ascending order. Holds two matrices of
    /// stations × stations at most beside the factor.
    pub(crate) fn new(factor: &Factor, wanted: &[usize], par: Par) -> Self {
        let n = factor.stations().len();
        let mut place = vec![usize::MAX; n];
        for (column, &station) in wanted.iter().enumerate() {
            place[station] = column;
        }
        let (diagonal, columns) = if factor.core().is_cholesky() {
            by_root(factor, wanted, par)
        } else {
            whole(factor, wanted, par)
        };
        Self { diagonal, columns, place }
    }

    /// The columns of `stations`, in that order; all must have been wanted.
    pub(crate) fn columns(&self, stations: &[usize]) -> Mat<f64> {
        Mat::from_fn(self.diagonal.len(), stations.len(), |i, k| {
            self.columns[(i, self.place[stations[k]])]
        })
    }
}

/// `B = GᵀG` with `G = L⁻¹Zᵀ`: `n³/3` for the diagonal alone, `n²` more a column.
fn by_root(factor: &Factor, wanted: &[usize], par: Par) -> (Vec<f64>, Mat<f64>) {
    let (n, q, m) = (factor.stations().len(), factor.space().terms(), factor.core().size());
    let mut root = Mat::zeros(m, n);
    factor.core().inverse_root(root.as_mut().submatrix_mut(0, q, m, m), par);
    factor.space().apply_on_the_right(root.as_mut(), par);
    let diagonal = (0..n).map(|i| root.col(i).squared_norm_l2()).collect();
    let mut columns = Mat::zeros(n, wanted.len());
    for (k, stations) in wanted.chunks(PANEL).enumerate() {
        let chosen = Mat::from_fn(m, stations.len(), |i, j| root[(i, stations[j])]);
        let panel = columns.as_mut().submatrix_mut(0, k * PANEL, n, stations.len());
        matmul(panel, Accum::Replace, root.transpose(), &chosen, 1.0, par);
    }
    (diagonal, columns)
}

fn whole(factor: &Factor, wanted: &[usize], par: Par) -> (Vec<f64>, Mat<f64>) {
    let (n, q, m) = (factor.stations().len(), factor.space().terms(), factor.core().size());
    let mut block = Mat::zeros(n, n);
    factor.core().inverse(block.as_mut().submatrix_mut(q, q, m, m), par);
    factor.space().conjugate(Side::Plain, block.as_mut(), par);
    let diagonal = (0..n).map(|i| block[(i, i)]).collect();
    let columns = Mat::from_fn(n, wanted.len(), |i, k| {
        let j = wanted[k];
        block[(i.max(j), i.min(j))]
    });
    (diagonal, columns)
}
