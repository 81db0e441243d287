//! Missing readings and leave-one-out, both from the inverse of one factorised system.
//!
//! With `B` the leading block of the inverse, `w` the weights with any filler where the stations
//! `M` have no reading, and `C` the drift's columns of the inverse:
//!
//! ```text
//! t = B[M,M]⁻¹ w[M]      w' = w − B[:,M] t      c' = c − C[M,:]ᵀ t
//! e_i = w_i / B_ii       B'_ii = B_ii − B[i,M] B[M,M]⁻¹ B[M,i]
//! ```
//!
//! `w'`, `c'` and `e' = w'_i / B'_ii` are those of the network without `M` (Dubrule 1983,
//! doi:10.1007/BF01032768; Rippa 1999, doi:10.1023/A:1018975909870). Fields with equal gaps share
//! the work. Where this is dear or loses digits, the smaller network is factorised instead.

use std::collections::BTreeMap;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use crate::Factor;
use crate::error::Error;
use crate::inverse::Leading;
use crate::symmetric::Symmetric;
use crate::weights::{Fit, Weights};

/// `B[M,M]`, scaled to a unit diagonal, may cost this many digits of a correction (as a factor).
/// At 1e6 ten of sixteen are left, as many as the solution itself has at the same condition.
const WORST_CONDITION: f64 = 1e6;

/// As much of `B_ii` must be left in `B'_ii`, or its difference is mostly rounding; same factor.
const LEAST_LEFT: f64 = 1e-6;

/// See [`Factor::fit`].
pub(crate) fn fit(
    factor: &Factor,
    values: MatRef<'_, f64>,
    together: &[Vec<usize>],
    par: Par,
) -> Fit {
    let (mut groups, failed) = group_by_mask(values);
    let (weights, middles) = solve_filled(factor, values, par);
    let mut fit = Fit {
        weights,
        leave_one_out: Mat::full(values.nrows(), values.ncols(), f64::NAN),
        left_out_together: match together {
            [] => Mat::new(),
            _ => Mat::full(values.nrows(), values.ncols(), f64::NAN),
        },
        unit_variance: Mat::full(values.nrows(), values.ncols(), f64::NAN),
        failed,
        masks: groups.keys().filter(|mask| !mask.is_empty()).count(),
        refactored: 0,
    };
    for field in fit.failed.iter().map(|(field, _)| *field).collect::<Vec<_>>() {
        fit.blank(field);
    }
    correct_all(factor, &mut groups, together, &mut fit, par);
    fit.weights.raise(&middles);
    fit.refactored = groups.len();
    for (mask, fields) in &groups {
        refactor(factor, mask, fields, (values, together), &mut fit, par);
    }
    fit.failed.sort_by_key(|(field, _)| *field);
    fit
}

/// Missing stations, ascending → fields.
type Groups = BTreeMap<Vec<usize>, Vec<usize>>;

fn group_by_mask(values: MatRef<'_, f64>) -> (Groups, Vec<(usize, Error)>) {
    let mut groups = Groups::new();
    let mut failed = Vec::new();
    for field in 0..values.ncols() {
        let column = values.col(field);
        if let Some(station) = column.iter().position(|v| v.is_infinite()) {
            failed.push((field, Error::BadReading { station, field, value: column[station] }));
            continue;
        }
        let mask: Vec<usize> = (0..column.nrows()).filter(|&i| column[i].is_nan()).collect();
        if mask.len() == column.nrows() {
            failed.push((field, Error::AllMissing { field }));
        } else {
            groups.entry(mask).or_default().push(field);
        }
    }
    (groups, failed)
}

/// Weights of fields about their middles, with every gap filled by the middle, and what is still to
/// be added to the drift. Without a constant in the drift fields are solved as they are.
pub(crate) fn solve_filled(
    factor: &Factor,
    values: MatRef<'_, f64>,
    par: Par,
) -> (Weights, Vec<f64>) {
    let mut rhs = values.to_owned();
    let centred = factor.drift().degree() >= 0;
    let mut middles = vec![0.0; rhs.ncols()];
    for (field, raised) in middles.iter_mut().enumerate() {
        let column = rhs.col_as_slice_mut(field);
        let middle = middle(column);
        for value in column.iter_mut() {
            let filled = if value.is_finite() { *value } else { middle };
            *value = if centred { filled - middle } else { filled };
        }
        if centred {
            *raised = middle;
        }
    }
    (factor.unknowns(rhs, par), middles)
}

/// Half-way between the least and the greatest of the numbers that are there; 0 where none is.
/// Of equal numbers it is that number, to the last bit, as a mean need not be.
fn middle(values: &[f64]) -> f64 {
    let present = values.iter().filter(|v| v.is_finite());
    let (low, high) =
        present.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    if low <= high { f64::midpoint(low, high) } else { 0.0 }
}

/// Takes from `groups` those that a correction serves, and finishes their fields.
fn correct_all(
    factor: &Factor,
    groups: &mut Groups,
    together: &[Vec<usize>],
    fit: &mut Fit,
    par: Par,
) {
    let n = factor.stations().len();
    let leading = Leading::of(factor);
    if let Some(fields) = groups.remove(&[] as &[usize]) {
        let dispensable = factor.space().dispensable(par);
        for field in fields {
            fit.residuals(field, &leading.diagonal, &dispensable);
            fit.residuals_together(field, together, &[], |i, j| leading.at(i, j));
        }
    }
    let drift = if groups.is_empty() { Mat::new() } else { factor.drift_of_inverse(par) };
    let work: Vec<(Vec<usize>, Vec<usize>)> = groups
        .iter()
        .filter(|(mask, _)| mask.len() <= n / 3)
        .map(|(mask, fields)| (mask.clone(), fields.clone()))
        .collect();
    for some in batches(&work, n) {
        let correct = |(mask, fields): &(Vec<usize>, Vec<usize>), par| {
            Correction::new(&leading, &fit.weights, mask, fields, par)
        };
        let corrections: Vec<Option<Correction>> = match some {
            [only] => vec![correct(only, par)],
            _ if par == Par::Seq => some.iter().map(|one| correct(one, par)).collect(),
            _ => some.par_iter().map(|one| correct(one, Par::Seq)).collect(),
        };
        for ((mask, fields), correction) in some.iter().zip(corrections) {
            if let Some(correction) = correction {
                correction.apply(mask, fields, &drift, fit);
                correction.residuals_together(&leading, together, mask, fields, fit);
                groups.remove(mask);
            }
        }
    }
}

/// Sets of missing stations to be corrected side by side: their columns fill no more than one
/// matrix of stations × stations.
fn batches(work: &[(Vec<usize>, Vec<usize>)], n: usize) -> Vec<&[(Vec<usize>, Vec<usize>)]> {
    let mut missing = 0;
    let mut batches = Vec::new();
    let mut first = 0;
    for (k, (mask, _)) in work.iter().enumerate() {
        // The columns, and their transpose.
        missing += 2 * mask.len();
        if missing > n && k > first {
            batches.push(&work[first..k]);
            (first, missing) = (k, 2 * mask.len());
        }
    }
    if first < work.len() {
        batches.push(&work[first..]);
    }
    batches
}

/// What one set of missing stations changes, for all fields that miss just these.
struct Correction {
    /// `B'_ii`, NaN for the missing.
    diagonal: Vec<f64>,
    /// `t`: missing stations × fields.
    of_gap: Mat<f64>,
    /// `B[:,M] t`: stations × fields.
    less: Mat<f64>,
    /// `L⁻¹ B[M,:]`, with `B[M,M] = LLᵀ`: what `B'` is less by is its square. None without such an L.
    half: Option<Mat<f64>>,
}

impl Correction {
    /// None where the smaller network must be factorised.
    fn new(
        leading: &Leading<'_>,
        weights: &Weights,
        mask: &[usize],
        fields: &[usize],
        par: Par,
    ) -> Option<Self> {
        let scale: Vec<f64> =
            mask.iter().map(|&i| leading.diagonal[i].abs().sqrt().recip()).collect();
        let columns = leading.columns(mask);
        let gap = || {
            Mat::from_fn(mask.len(), mask.len(), |a, b| columns[(mask[a], b)] * scale[a] * scale[b])
        };
        let core = Symmetric::new(gap(), 0, gap, par).ok()?;
        if core.condition() > WORST_CONDITION {
            return None;
        }
        let (diagonal, half) = corrected_diagonal(leading, mask, &columns, &scale, &core, par)?;
        let mut of_gap = Mat::from_fn(mask.len(), fields.len(), |a, f| {
            weights.stations[(mask[a], fields[f])] * scale[a]
        });
        core.solve(of_gap.as_mut(), par);
        scale_rows(&mut of_gap, &scale);
        let mut less = Mat::zeros(columns.nrows(), fields.len());
        matmul(less.as_mut(), Accum::Replace, &columns, &of_gap, 1.0, par);
        Some(Self { diagonal, of_gap, less, half })
    }

    fn apply(&self, mask: &[usize], fields: &[usize], drift: &Mat<f64>, fit: &mut Fit) {
        let all = vec![true; self.diagonal.len()];
        for (f, &field) in fields.iter().enumerate() {
            for i in 0..self.less.nrows() {
                fit.weights.stations[(i, field)] -= self.less[(i, f)];
            }
            for (a, &station) in mask.iter().enumerate() {
                fit.weights.stations[(station, field)] = 0.0;
                for term in 0..drift.ncols() {
                    fit.weights.drift[(term, field)] -=
                        drift[(station, term)] * self.of_gap[(a, f)];
                }
            }
            fit.residuals(field, &self.diagonal, &all);
        }
    }
}

impl Correction {
    /// With `B'` where `B` was.
    fn residuals_together(
        &self,
        leading: &Leading<'_>,
        together: &[Vec<usize>],
        mask: &[usize],
        fields: &[usize],
        fit: &mut Fit,
    ) {
        let Some(half) = &self.half else { return };
        let entry = |i: usize, j: usize| {
            let columns = half.col_as_slice(i).iter().zip(half.col_as_slice(j));
            leading.at(i, j) - columns.map(|(a, b)| a * b).sum::<f64>()
        };
        for &field in fields {
            fit.residuals_together(field, together, mask, entry);
        }
    }
}

fn scale_rows(matrix: &mut Mat<f64>, scale: &[f64]) {
    for j in 0..matrix.ncols() {
        matrix.col_as_slice_mut(j).iter_mut().zip(scale).for_each(|(v, s)| *v *= s);
    }
}

/// `B'_ii`, NaN for the missing; None where too little is left of one.
fn corrected_diagonal(
    leading: &Leading<'_>,
    mask: &[usize],
    columns: &Mat<f64>,
    scale: &[f64],
    core: &Symmetric,
    par: Par,
) -> Option<(Vec<f64>, Option<Mat<f64>>)> {
    let mut rows = columns.transpose().to_owned();
    scale_rows(&mut rows, scale);
    // B[i,M] B[M,M]⁻¹ B[M,i] = |L⁻¹ B[M,i]|²: half of a solution, where the gap is definite.
    let taken: Vec<f64> = if core.is_cholesky() {
        core.solve_half(rows.as_mut(), par);
        (0..rows.ncols()).map(|i| rows.col(i).squared_norm_l2()).collect()
    } else {
        let mut solved = rows.clone();
        core.solve(solved.as_mut(), par);
        (0..rows.ncols()).map(|i| rows.col(i).transpose() * solved.col(i)).collect()
    };
    let mut diagonal = leading.diagonal.clone();
    for (i, (entry, taken)) in diagonal.iter_mut().zip(taken).enumerate() {
        let whole = entry.abs();
        *entry -= taken;
        let left = entry.abs();
        if (left.is_nan() || left <= LEAST_LEFT * whole) && mask.binary_search(&i).is_err() {
            return None;
        }
    }
    for &station in mask {
        diagonal[station] = f64::NAN;
    }
    Some((diagonal, core.is_cholesky().then_some(rows)))
}

/// Fields with one set of missing stations, from a factor of the others alone. The drift keeps the
/// frame of the whole network, so that its coefficients mean the same for every field.
fn refactor(
    factor: &Factor,
    mask: &[usize],
    fields: &[usize],
    (values, together): (MatRef<'_, f64>, &[Vec<usize>]),
    fit: &mut Fit,
    par: Par,
) {
    let (present, smaller) = match factor.without(mask, par) {
        Ok(smaller) => smaller,
        Err(error) => {
            for &field in fields {
                fit.blank(field);
                fit.failed.push((field, error.clone()));
            }
            return;
        }
    };
    let readings =
        Mat::from_fn(present.len(), fields.len(), |i, f| values[(present[i], fields[f])]);
    // The groups by their numbers in the smaller network.
    let fewer: Vec<Vec<usize>> = together
        .iter()
        .map(|group| group.iter().filter_map(|i| present.binary_search(i).ok()).collect())
        .collect();
    let part = self::fit(&smaller, readings.as_ref(), &fewer, par);
    for (f, &field) in fields.iter().enumerate() {
        fit.weights.stations.col_as_slice_mut(field).fill(0.0);
        for (i, &station) in present.iter().enumerate() {
            fit.weights.stations[(station, field)] = part.weights.stations[(i, f)];
            fit.leave_one_out[(station, field)] = part.leave_one_out[(i, f)];
            fit.unit_variance[(station, field)] = part.unit_variance[(i, f)];
            if !together.is_empty() {
                fit.left_out_together[(station, field)] = part.left_out_together[(i, f)];
            }
        }
        fit.weights.drift.col_mut(field).copy_from(part.weights.drift.col(f));
    }
}

impl Fit {
    /// `e_i = w_i / B_ii` of one field, where it exists.
    fn residuals(&mut self, field: usize, diagonal: &[f64], exists: &[bool]) {
        let weights = self.weights.stations.col_as_slice(field);
        let out = self.leave_one_out.col_as_slice_mut(field);
        for (i, residual) in out.iter_mut().enumerate() {
            let value = weights[i] / diagonal[i];
            *residual = if exists[i] && value.is_finite() { value } else { f64::NAN };
        }
        let variance = self.unit_variance.col_as_slice_mut(field);
        for (i, value) in variance.iter_mut().enumerate() {
            *value = if exists[i] { diagonal[i].recip() } else { f64::NAN };
        }
    }

    /// Residuals of groups of one field, where groups are asked for.
    fn residuals_together(
        &mut self,
        field: usize,
        groups: &[Vec<usize>],
        missing: &[usize],
        entry: impl Fn(usize, usize) -> f64,
    ) {
        if !groups.is_empty() {
            let weights = self.weights.stations.col_as_slice(field);
            let out = self.left_out_together.col_as_slice_mut(field);
            crate::together::residuals(groups, weights, missing, entry, out);
        }
    }

    /// A field without a surface.
    fn blank(&mut self, field: usize) {
        self.weights.stations.col_mut(field).fill(f64::NAN);
        self.weights.drift.col_mut(field).fill(f64::NAN);
        self.leave_one_out.col_mut(field).fill(f64::NAN);
        self.unit_variance.col_mut(field).fill(f64::NAN);
    }
}
