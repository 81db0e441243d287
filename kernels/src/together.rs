//! Residuals of stations that are left out together, from the inverse of the system that has them.
//!
//! ```text
//! e_G = B[G,G]⁻¹ w[G]
//! ```
//!
//! for a group `G` (Ginsbourger & Schärer 2021, arXiv 2101.03108); of one station it is leave-one-out.

/// Writes `e` of every group to its stations in `out`, from their weights and the entries `B[i, j]`.
/// Stations that are `missing` belong to no group; what is singular stays NaN.
pub(crate) fn residuals(
    groups: &[Vec<usize>],
    weights: &[f64],
    missing: &[usize],
    entry: impl Fn(usize, usize) -> f64,
    out: &mut [f64],
) {
    let (mut present, mut matrix, mut right) = (Vec::new(), Vec::new(), Vec::new());
    for group in groups {
        present.clear();
        present.extend(group.iter().copied().filter(|i| missing.binary_search(i).is_err()));
        matrix.clear();
        for &i in &present {
            matrix.extend(present.iter().map(|&j| entry(i, j)));
        }
        right.clear();
        right.extend(present.iter().map(|&i| weights[i]));
        if eliminate(&mut matrix, &mut right) {
            present.iter().zip(&right).for_each(|(&i, &e)| out[i] = e);
        }
    }
}

/// Solves a small system in place, row by row, with the largest pivot; false where it is singular.
fn eliminate(matrix: &mut [f64], right: &mut [f64]) -> bool {
    let n = right.len();
    for k in 0..n {
        let size = |i: &usize| matrix[i * n + k].abs();
        let best = (k..n).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap_or(k);
        if best != k {
            (0..n).for_each(|j| matrix.swap(k * n + j, best * n + j));
            right.swap(k, best);
        }
        let pivot = matrix[k * n + k];
        if pivot == 0.0 || !pivot.is_finite() {
            return false;
        }
        for i in k + 1..n {
            let share = matrix[i * n + k] / pivot;
            for j in k..n {
                matrix[i * n + j] -= share * matrix[k * n + j];
            }
            right[i] -= share * right[k];
        }
    }
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| matrix[k * n + j] * right[j]).sum();
        right[k] = (right[k] - known) / matrix[k * n + k];
    }
    true
}
