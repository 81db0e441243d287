//! What the nodes of a box do not show of the sums that entered it.
//!
//! The coefficients of a Chebyshev series fall like those of a geometric one (Trefethen 2013, theorem 8.1), so
//! what interpolation through p nodes cuts off, and what it takes for lower terms, each come to 1/(ρ − 1) of the last
//! coefficient there is, with ρ* at least; only kernels that die away within the box fall more slowly at first. It
//! is measured on the very sums, so that stations in a town count by what they add up
//! to at this box: no sample of cells sees each of the corners where errors are largest.

use std::f64::consts::PI;

/// So many of the last coefficients are looked at, each for what it foretells of the last: they swing, and in an
/// even or odd series every other one is 0.
const LAST: usize = 3;

/// So many lines of nodes each way are looked at, from edge to edge: which is worst differs little from
/// one to the next.
const LINES: usize = 5;

/// The last coefficients of a series on the nodes of [`super::axis::chebyshev`].
#[derive(Clone, Debug)]
pub(super) struct Tail {
    /// Beside one another, node by node, what makes them of the values there.
    terms: Vec<[f64; LAST]>,
    /// 1/ρ*: what falls faster may yet slow down.
    fall: f64,
}

impl Tail {
    #[expect(clippy::cast_precision_loss, reason = "orders are below a hundred")]
    pub(super) fn new(order: usize, rho: f64) -> Self {
        let term = |k: usize, degree: usize| {
            let angle = PI * ((2 * k + 1) * degree) as f64 / (2 * order) as f64;
            angle.cos() * 2.0 / order as f64
        };
        let of_node = |k| std::array::from_fn(|back| term(k, order.saturating_sub(1 + back)));
        Self { terms: (0..order).map(of_node).collect(), fall: 1.0 / rho }
    }

    /// The error of one field's sums (rows of `across` nodes) along both axes. Axes with a single node are exact.
    pub(super) fn of(&self, sums: &[f64], across: usize) -> f64 {
        let down = sums.len() / across;
        let rows = lines(down).map(|k| self.coefficients(sums[k * across..][..across].iter()));
        let columns = lines(across).map(|k| self.coefficients(sums[k..].iter().step_by(across)));
        let along = |nodes: usize, of: f64| if nodes > 1 { of } else { 0.0 };
        along(across, self.cut_off(rows)) + along(down, self.cut_off(columns))
    }

    fn coefficients<'a>(&self, values: impl Iterator<Item = &'a f64>) -> [f64; LAST] {
        let mut sums = [0.0; LAST];
        for (value, terms) in values.zip(&self.terms) {
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += value * term);
        }
        sums
    }

    /// From the coefficients of some lines, last first.
    fn cut_off(&self, lines: impl Iterator<Item = [f64; LAST]>) -> f64 {
        let mut most = [0.0_f64; LAST];
        for line in lines {
            most.iter_mut().zip(line).for_each(|(most, here)| *most = most.max(here.abs()));
        }
        let from_last = most.iter().rev().fold(0.0_f64, |worst, c| c.max(worst * self.fall));
        2.0 * self.fall / (1.0 - self.fall) * from_last
    }
}

/// From the first to the last of some lines, evenly.
fn lines(of: usize) -> impl Iterator<Item = usize> {
    let many = of.min(LINES);
    (0..many).map(move |k| k * (of - 1) / (many - 1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::far::axis::chebyshev;

    /// Of 1/(z − x) the coefficients are known: 2 ρ⁻ᵏ/√(z² − 1) (Trefethen 2013, exercise 3.14).
    #[test]
    fn the_last_coefficient_is_found_along_both_axes() {
        let (order, rho) = (12, 3.0_f64);
        let z = f64::midpoint(rho, 1.0 / rho);
        let tail = Tail::new(order, rho);
        let nodes = chebyshev(0.0, 1.0, order);
        let expected = 2.0 * rho.powi(1 - 12) / (z * z - 1.0).sqrt();
        let sums = |at: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
            nodes.iter().flat_map(|&y| nodes.iter().map(move |&x| at(x, y))).collect()
        };
        for of in [&|x, _| 1.0 / (z - x), &|_, y| 1.0 / (z - y)] as [&dyn Fn(f64, f64) -> f64; 2] {
            let found = tail.of(&sums(of), order);
            assert!((found / expected - 1.0).abs() < 0.03, "{found:e} for {expected:e}");
        }
        assert!(tail.of(&sums(&|x, y| 3.0 + x * y), order) < 1e-14);
    }

    /// Whatever the side the singularity is on, the error on the interval is what the tail tells, within a few times.
    #[test]
    fn the_tail_is_as_large_as_the_error() {
        let (order, rho) = (12, 3.0);
        let tail = Tail::new(order, rho);
        let nodes = chebyshev(0.0, 1.0, order);
        let weights = crate::evaluate::far::axis::barycentric(order);
        for (along, across) in [(1.6, 0.6), (0.0, 1.35), (1.2, 0.95), (0.4, 1.3), (2.5, 0.1)] {
            let f = |x: f64| (x - along).hypot(across);
            let values: Vec<f64> = nodes.iter().map(|&x| f(x)).collect();
            let told = tail.of(&values, order);
            let of = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let mut lagrange = vec![0.0; order];
            let mut worst = 0.0_f64;
            for k in -100_i32..=100 {
                let x = f64::from(k) / 100.0;
                crate::evaluate::far::axis::lagrange(&nodes, &weights, x, &mut lagrange);
                worst = worst.max((of(&lagrange, &values) - f(x)).abs());
            }
            assert!(worst <= told && told <= 12.0 * worst, "{along} {across}: {told:e}, {worst:e}");
        }
    }
}
