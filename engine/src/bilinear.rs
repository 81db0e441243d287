//! Values between the nodes of two axes: bilinear, round the Earth where the axis goes round.
//!
//! ```text
//! v(x, y) = (1 − t)(1 − u) v₀₀ + t (1 − u) v₀₁ + (1 − t) u v₁₀ + t u v₁₁
//! ```
//!
//! with `t`, `u` the shares of the way from one node to the next along x and y. A node that counts for
//! nothing may be missing; any other that is missing makes the value missing: nothing is guessed.

use crate::gridded::Nodes;

/// So much of a step beyond the outermost node counts as on it: coordinates kept in 32 bits are
/// off by that.
const ON_THE_EDGE: f64 = 1e-3;

/// An axis that leaves out no more than so many of its steps goes round the Earth.
const ROUND: f64 = 1.5;

/// Where a coordinate falls on an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Between {
    low: usize,
    high: usize,
    /// Of the way from `low` to `high`, 0 to 1.
    share: f64,
}

impl Nodes {
    /// The nodes on both sides of a coordinate, by their numbers in ascending order; none outside
    /// of the axis.
    pub(crate) fn between(&self, at: f64) -> Option<Between> {
        let (nodes, last) = (self.at(), self.at().len() - 1);
        let (first_step, last_step) = (nodes[1] - nodes[0], nodes[last] - nodes[last - 1]);
        let mut at = at;
        if let Some(turn) = self.turn() {
            at = nodes[0] + (at - nodes[0]).rem_euclid(turn);
            let gap = nodes[0] + turn - nodes[last];
            let beyond = at - nodes[last];
            if beyond > 0.0 && gap <= ROUND * first_step.max(last_step) {
                return Some(Between { low: last, high: 0, share: (beyond / gap).min(1.0) });
            }
            // A hair before the first node is a turn behind it.
            if beyond > 0.0 && nodes[0] + turn - at <= ON_THE_EDGE * first_step {
                at = nodes[0];
            }
        }
        if !(nodes[0] - ON_THE_EDGE * first_step..=nodes[last] + ON_THE_EDGE * last_step)
            .contains(&at)
        {
            return None;
        }
        let high = nodes.partition_point(|&node| node <= at).clamp(1, last);
        let (low, step) = (high - 1, nodes[high] - nodes[high - 1]);
        Some(Between { low, high, share: ((at - nodes[low]) / step).clamp(0.0, 1.0) })
    }
}

/// Values where two axes cross, rows and columns in ascending order of the axes, NaN where missing.
#[derive(Clone, Debug)]
pub(crate) struct Slab {
    values: Vec<f64>,
    columns: usize,
}

impl Slab {
    /// `values[row * columns + column]`.
    ///
    /// # Panics
    /// If there is no whole number of rows: a bug of the caller.
    pub(crate) fn new(values: Vec<f64>, columns: usize) -> Self {
        assert!(columns > 0 && values.len().is_multiple_of(columns), "whole rows");
        Self { values, columns }
    }

    /// Every value changed.
    pub(crate) fn map(mut self, change: impl Fn(f64) -> f64) -> Self {
        self.values.iter_mut().for_each(|value| *value = change(*value));
        self
    }

    /// The value at a place, NaN where a node that counts is missing.
    pub(crate) fn at(&self, x: Between, y: Between) -> f64 {
        let row = |row: usize| {
            let row = &self.values[row * self.columns..][..self.columns];
            mix(x.share, || row[x.low], || row[x.high])
        };
        mix(y.share, || row(y.low), || row(y.high))
    }
}

fn mix(share: f64, low: impl Fn() -> f64, high: impl Fn() -> f64) -> f64 {
    if share == 0.0 {
        low()
    } else if share == 1.0 {
        high()
    } else {
        (1.0 - share) * low() + share * high()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(at: &[f64], turn: Option<f64>) -> Nodes {
        Nodes::new(at.to_vec(), turn).expect("an axis")
    }

    #[test]
    fn a_coordinate_is_found_between_its_nodes_and_not_beyond_the_ends() {
        let axis = nodes(&[1.0, 2.0, 4.0], None);
        let found = |at| axis.between(at).map(|b: Between| (b.low, b.high, b.share));
        assert_eq!(found(1.0), Some((0, 1, 0.0)));
        assert_eq!(found(1.25), Some((0, 1, 0.25)));
        assert_eq!(found(2.0), Some((1, 2, 0.0)));
        assert_eq!(found(4.0), Some((1, 2, 1.0)));
        assert_eq!(found(4.000_000_2), Some((1, 2, 1.0)), "rounding of 32 bits");
        assert_eq!(found(0.999_999_9), Some((0, 1, 0.0)), "rounding of 32 bits");
        assert_eq!([found(0.9), found(4.1), found(f64::NAN)], [None; 3]);
    }

    #[test]
    fn the_axis_of_a_globe_goes_round_and_that_of_a_piece_does_not() {
        let globe = nodes(&[0.0, 90.0, 180.0, 270.0], Some(360.0));
        let found = |axis: &Nodes, at| axis.between(at).map(|b| (b.low, b.high, b.share));
        assert_eq!(found(&globe, -45.0), Some((3, 0, 0.5)));
        assert_eq!(found(&globe, 360.0), Some((0, 1, 0.0)));
        assert_eq!(found(&globe, 315.0), Some((3, 0, 0.5)));
        let half = nodes(&[-180.0, -90.0, 0.0, 90.0], Some(360.0));
        assert_eq!(found(&half, 180.0), Some((0, 1, 0.0)));
        assert_eq!(found(&half, 135.0), Some((3, 0, 0.5)));
        let piece = nodes(&[100.0, 110.0, 120.0], Some(360.0));
        assert_eq!(found(&piece, 465.0), Some((0, 1, 0.5)));
        assert_eq!(found(&piece, 99.999_999), Some((0, 1, 0.0)));
        assert_eq!([found(&piece, 99.0), found(&piece, 121.0)], [None; 2]);
    }

    #[test]
    fn a_missing_node_counts_only_where_it_counts() {
        let (x, y) = (nodes(&[0.0, 1.0, 2.0], None), nodes(&[0.0, 1.0], None));
        let slab = Slab::new(vec![1.0, 2.0, f64::NAN, 3.0, 4.0, 5.0], 3);
        let at = |lon: f64, lat: f64| {
            slab.at(x.between(lon).expect("inside"), y.between(lat).expect("inside"))
        };
        assert_eq!(at(0.5, 0.5).to_bits(), 2.5_f64.to_bits());
        assert_eq!(at(1.0, 0.0).to_bits(), 2.0_f64.to_bits());
        assert_eq!(at(1.5, 1.0).to_bits(), 4.5_f64.to_bits());
        assert!(at(1.5, 0.5).is_nan() && at(2.0, 0.0).is_nan() && at(2.0, 0.9).is_nan());
    }
}
