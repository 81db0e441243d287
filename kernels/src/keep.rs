//! A factor as plain numbers, to be kept and taken up again, in another process if need be.
//!
//! ```text
//! 0 Cholesky, 1 Bunch–Kaufman; norm; norm of the inverse; condition       4
//! below the pivots; order of the pivots                                   2 m
//! the factor and, above its diagonal, the inverse, column by column       n (n + 1)
//! ```
//!
//! with n stations and m = n less the terms of the drift. What else a factor holds follows from its
//! stations and method in a time that does not matter.

use faer::diag::Diag;
use faer::perm::Perm;

use crate::drift::Drift;
use crate::nullspace::Nullspace;
use crate::numbers::{Numbers, Shared};
use crate::symmetric::{Kind, Symmetric};
use crate::{Factor, Points, Resolved, system};

/// Numbers before those of pivots and matrix.
const HEAD: usize = 4;

impl Factor {
    /// Hands out all numbers of the factor, piece by piece, for [`restore`](Self::restore).
    ///
    /// # Errors
    /// What `put` says.
    pub fn save<E>(&self, mut put: impl FnMut(&[f64]) -> Result<(), E>) -> Result<(), E> {
        let core = self.core();
        let [norm, inverse_norm] = core.norms();
        let m = core.size();
        let (kind, below, order) = match core.kind() {
            Kind::Cholesky => (0.0, vec![0.0; m], vec![0.0; m]),
            Kind::BunchKaufman { subdiagonal, order } => {
                let below = subdiagonal.column_vector().iter().copied().collect();
                (1.0, below, order.arrays().0.iter().map(|&row| number(row)).collect())
            }
        };
        put(&[kind, norm, inverse_norm, self.condition()])?;
        put(&below)?;
        put(&order)?;
        let matrix = core.matrix();
        for column in matrix.col_iter() {
            let column = column.try_as_col_major().expect("columns of a matrix are contiguous");
            put(column.as_slice())?;
        }
        Ok(())
    }

    /// How many numbers [`save`](Self::save) hands out for so many stations and terms of the drift.
    #[must_use]
    pub fn saved_numbers(stations: usize, terms: usize) -> usize {
        HEAD + 2 * stations.saturating_sub(terms) + stations * (stations + 1)
    }

    /// The factor that [`save`](Self::save) handed out, of the very same stations and method. The
    /// matrix is not copied. None where the numbers cannot be that factor's; that they are
    /// undamaged is the caller's to know.
    #[must_use]
    pub fn restore(stations: &Points, method: &Resolved, numbers: Shared) -> Option<Self> {
        let drift = Drift::new(method.degree, stations, method.metric);
        let n = stations.len();
        let space = system::drift_part(stations, &drift, method);
        let space = Nullspace::new(space, drift.tolerance()).ok()?;
        let skip = space.terms();
        let m = n.checked_sub(skip)?;
        let all = (*numbers).as_ref();
        if all.len() != Self::saved_numbers(n, skip) {
            return None;
        }
        let (&[kind, norm, inverse_norm, condition], rest) = all.split_first_chunk()?;
        let kind = if kind == 0.0 {
            Kind::Cholesky
        } else {
            let mut subdiagonal = Diag::zeros(m);
            for (to, from) in subdiagonal.as_mut().column_vector_mut().iter_mut().zip(rest) {
                *to = *from;
            }
            Kind::BunchKaufman { subdiagonal, order: permutation(&rest[m..2 * m])? }
        };
        let from = HEAD + 2 * m;
        let matrix = Numbers::Lent { numbers, from, rows: n, columns: n + 1 };
        let core = Symmetric::from_parts(matrix, skip, kind, [norm, inverse_norm]);
        Some(Self::from_parts(stations.clone(), method.clone(), drift, space, core, condition))
    }
}

#[expect(clippy::cast_precision_loss, reason = "rows are far below 2^52")]
fn number(row: usize) -> f64 {
    row as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked below")]
fn permutation(rows: &[f64]) -> Option<Perm<usize>> {
    let forward: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
    let mut backward = vec![usize::MAX; rows.len()];
    for (to, &from) in forward.iter().enumerate() {
        let place = backward.get_mut(from)?;
        if *place != usize::MAX {
            return None;
        }
        *place = to;
    }
    let size = rows.len();
    Some(Perm::new_checked(forward.into_boxed_slice(), backward.into_boxed_slice(), size))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use faer::{Mat, Par};

    use super::*;
    use crate::{Kernel, Method, Metric};

    fn network() -> Points {
        let golden = |i: usize, step: f64| (i as f64 * step).fract();
        let axis = |step| (0..60).map(|i| golden(i, step)).collect();
        Points::new(vec![axis(0.618_034), axis(0.754_877)])
    }

    fn kept(factor: &Factor) -> Vec<f64> {
        let mut numbers = Vec::new();
        let put = |part: &[f64]| -> Result<(), ()> {
            numbers.extend_from_slice(part);
            Ok(())
        };
        factor.save(put).expect("a vector takes everything");
        numbers
    }

    /// Cholesky and Bunch–Kaufman, with and without gaps: the same bits.
    #[test]
    fn a_factor_taken_up_again_is_the_same() {
        let stations = network();
        for (kernel, degree) in [(Kernel::Linear, None), (Kernel::ThinPlateSpline, Some(-1))] {
            let method = Method { kernel, degree, metric: Metric::Planar, ..Method::default() };
            let method = method.resolve(&stations).expect("a method");
            let factor = Factor::new(&stations, &method, Par::Seq).expect("regular");
            let numbers = kept(&factor);
            let terms = factor.terms();
            assert_eq!(numbers.len(), Factor::saved_numbers(60, terms));
            let again = Factor::restore(&stations, &method, Arc::new(numbers)).expect("its own");
            assert_eq!(again.decomposition(), factor.decomposition());
            assert_eq!(again.condition().to_bits(), factor.condition().to_bits());
            let values = Mat::from_fn(60, 2, |i, f| {
                if f == 1 && i % 7 == 0 { f64::NAN } else { stations.at(i)[f].sin() }
            });
            let fits = [&factor, &again].map(|f| f.fit(values.as_ref(), Par::Seq).expect("a fit"));
            let same = |a: &Mat<f64>, b: &Mat<f64>| {
                (0..a.ncols()).all(|j| {
                    let pairs = a.col_as_slice(j).iter().zip(b.col_as_slice(j));
                    pairs.into_iter().all(|(x, y)| x.to_bits() == y.to_bits())
                })
            };
            assert!(same(&fits[0].weights.stations, &fits[1].weights.stations));
            assert!(same(&fits[0].weights.drift, &fits[1].weights.drift));
            assert!(same(&fits[0].leave_one_out, &fits[1].leave_one_out));
        }
    }

    #[test]
    fn numbers_of_another_factor_are_refused() {
        let stations = network();
        let method = Method { degree: Some(-1), metric: Metric::Planar, ..Method::default() };
        let resolve = |kernel| Method { kernel, ..method.clone() }.resolve(&stations);
        let method = resolve(Kernel::ThinPlateSpline).expect("a method");
        let factor = Factor::new(&stations, &method, Par::Seq).expect("regular");
        let numbers = kept(&factor);
        let restore =
            |numbers: Vec<f64>| Factor::restore(&stations, &method, Arc::new(numbers)).is_some();
        assert!(restore(numbers.clone()));
        assert!(!restore(numbers[1..].to_vec()));
        let mut twice = numbers;
        twice[HEAD + 60] = twice[HEAD + 61];
        assert!(!restore(twice));
    }
}
