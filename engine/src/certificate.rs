//! How far a fast map is from the exact one: tiles are judged on cells drawn at random and on those
//! nearest to the stations, before anybody sees them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use isopleth_kernels as kernels;
use kernels::evaluate::far::Work;
use kernels::evaluate::{Axis, Targets as Row};
use kernels::{Evaluator, Metric, Points, Surface};
use serde::{Deserialize, Serialize};

use crate::report::number;
use crate::tiles::Tiling;

/// Cells drawn on a whole map, at least.
const DRAWN: usize = 1000;

/// Multiple of eps Σ|w φ| within which the exact evaluation itself is right.
const ROUNDING: f64 = 8.0 * f64::EPSILON;

/// Cells that are not compared may be off by so many times more than those that are.
const UNSEEN: f64 = 2.0;

/// What the last coefficients tell is at least so many times the error of the worst cell
/// (`kernels/tests/far_matches_exact.rs`).
const OVERTOLD: f64 = 1.5;

/// The numerical error of a map beside the exact sum, relative to the range of each field's
/// readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Asked for.
    #[serde(deserialize_with = "number")]
    pub tolerance: f64,
    /// Chebyshev nodes each way.
    pub order: usize,
    /// Bernstein ellipse within which no station is singular.
    #[serde(deserialize_with = "number")]
    pub rho: f64,
    /// Cells each way of the smallest boxes; 0 where cells form no grid.
    pub leaf: usize,
    /// What the model of costs expected, beside the exact sum.
    #[serde(deserialize_with = "number")]
    pub cost: f64,
    /// What theory promises of every cell, rounding apart.
    #[serde(deserialize_with = "number")]
    pub bound: f64,
    /// The error of the worst cell as the last Chebyshev coefficients tell it, rounding apart.
    #[serde(default, deserialize_with = "number")]
    pub estimate: f64,
    /// Largest difference from the exact sum that was seen, in what was handed out.
    #[serde(deserialize_with = "number")]
    pub largest_difference: f64,
    /// Rounding errors that exact evaluation may have, too: 8 eps Σ|w φ|.
    #[serde(deserialize_with = "number")]
    pub rounding_floor: f64,
    /// Cells compared, all fields of each.
    pub cells_compared: u64,
    /// Tiles in all.
    pub tiles: u64,
    /// Tiles that were done again exactly.
    pub tiles_redone: u64,
}

impl Certificate {
    /// Adds what is certified of other fields of the same map.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.tolerance = other.tolerance;
        self.order = self.order.max(other.order);
        self.rho = other.rho;
        self.leaf = other.leaf;
        self.cost = self.cost.max(other.cost);
        self.bound = self.bound.max(other.bound);
        self.estimate = self.estimate.max(other.estimate);
        self.largest_difference = self.largest_difference.max(other.largest_difference);
        self.rounding_floor = self.rounding_floor.max(other.rounding_floor);
        self.cells_compared += other.cells_compared;
        self.tiles += other.tiles;
        self.tiles_redone += other.tiles_redone;
    }
}

/// Tells a good tile from a bad one.
pub(crate) struct Judge<'a> {
    /// The surface's fields, and behind them those with the weights' magnitudes.
    surface: Surface,
    evaluator: Evaluator,
    metric: Metric,
    cells: Cells<'a>,
    tiling: Tiling,
    /// What errors are relative to, by field.
    ranges: &'a [f64],
    tolerance: f64,
    /// Cells nearest to the stations: (row, column), sorted.
    at_stations: Vec<(usize, usize)>,
    /// Of maps of a few tiles, which are tried more than once: the exact sums by a tile's first cell.
    known: Mutex<HashMap<(usize, usize), Arc<Compared>>>,
}

/// Cells of a tile that are compared: (row, column).
struct Compared {
    cells: Vec<(usize, usize)>,
    /// By field, their exact sums, and behind them the sums of magnitudes.
    sums: Vec<f64>,
}

/// Of maps with up to so many tiles the exact sums are kept.
const FEW_TILES: usize = 16;

/// Where cells are.
#[derive(Clone, Copy)]
pub(crate) enum Cells<'a> {
    /// Where x and y cross.
    Grid(&'a [f64], &'a [f64]),
    /// In one row, each at its own x and y.
    Places(&'a [f64], &'a [f64]),
}

impl Cells<'_> {
    fn at(&self, row: usize, column: usize) -> (f64, f64) {
        match self {
            Self::Grid(x, y) => (x[column], y[row]),
            Self::Places(x, y) => (x[column], y[column]),
        }
    }
}

/// What was found on one tile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verdict {
    largest: f64,
    estimate: f64,
    bound: f64,
    floor: f64,
    compared: u64,
    failed: bool,
}

/// What was found on all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Account {
    largest: f64,
    floor: f64,
    compared: u64,
    tiles: u64,
    redone: u64,
    bound: f64,
    estimate: f64,
}

impl Verdict {
    pub(crate) fn failed(&self) -> bool {
        self.failed
    }

    /// The worse of both, of each.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            largest: self.largest.max(other.largest),
            estimate: self.estimate.max(other.estimate),
            bound: self.bound.max(other.bound),
            floor: self.floor.max(other.floor),
            compared: self.compared + other.compared,
            failed: self.failed || other.failed,
        }
    }

    /// The rounding floor, relative.
    pub(crate) fn floor(&self) -> f64 {
        self.floor
    }

    /// What tiles that are tried must keep the tolerance with, relative: others may be worse.
    pub(crate) fn error(&self) -> f64 {
        (OVERTOLD * self.estimate).max(UNSEEN * self.largest)
    }
}

impl Account {
    /// Adds a tile.
    pub(crate) fn add(&mut self, verdict: &Verdict) {
        self.tiles += 1;
        self.compared += verdict.compared;
        self.floor = self.floor.max(verdict.floor);
        if verdict.failed {
            self.redone += 1;
        } else {
            self.largest = self.largest.max(verdict.largest);
            self.bound = self.bound.max(verdict.bound);
            self.estimate = self.estimate.max(verdict.estimate);
        }
    }

    /// Adds to what was certified of earlier batches.
    pub(crate) fn enter(&self, certificate: &mut Certificate) {
        certificate.largest_difference = certificate.largest_difference.max(self.largest);
        certificate.bound = certificate.bound.max(self.bound);
        certificate.estimate = certificate.estimate.max(self.estimate);
        certificate.rounding_floor = certificate.rounding_floor.max(self.floor);
        certificate.cells_compared += self.compared;
        certificate.tiles += self.tiles;
        certificate.tiles_redone += self.redone;
    }
}

impl<'a> Judge<'a> {
    #[expect(clippy::too_many_arguments, reason = "each is one fact of the map to be judged")]
    pub(crate) fn new(
        surface: &Surface,
        evaluator: Evaluator,
        metric: Metric,
        cells: Cells<'a>,
        stations: impl Iterator<Item = (f64, f64)>,
        tiling: Tiling,
        ranges: &'a [f64],
        tolerance: f64,
    ) -> Self {
        let turn = if metric.is_spherical() { Some(360.0) } else { None };
        let cell_at = |(x, y)| match cells {
            Cells::Grid(columns, rows) => {
                Some((nearest(rows, y, None)?, nearest(columns, x, turn)?))
            }
            Cells::Places(..) => None,
        };
        let mut at_stations: Vec<_> = stations.filter_map(cell_at).collect();
        at_stations.sort_unstable();
        at_stations.dedup();
        Self {
            surface: surface.with_magnitudes(),
            evaluator,
            metric,
            cells,
            tiling,
            ranges,
            tolerance,
            at_stations,
            known: Mutex::default(),
        }
    }

    /// Compares `values[(f * rows + row) * columns + column]` of a tile with the exact sum, and what is known of their
    /// errors with the tolerance.
    pub(crate) fn judge(
        &self,
        rows: &Range<usize>,
        columns: &Range<usize>,
        values: &[f64],
        work: &Work,
    ) -> Verdict {
        let compared = self.compared(rows, columns);
        let Compared { cells: chosen, sums } = &*compared;
        let (exact, magnitude) = sums.split_at(sums.len() / 2);
        let mut verdict = Verdict {
            estimate: self.relative(&work.tail) / OVERTOLD,
            bound: self.relative(&work.bound),
            compared: chosen.len() as u64,
            ..Verdict::default()
        };
        for (f, range) in self.ranges.iter().enumerate() {
            let of_field = |all: &'_ [f64], k: usize| all[f * chosen.len() + k];
            // Through the nodes the rounding errors of a tile's largest sums reach all of its cells.
            let largest = (0..chosen.len()).map(|k| of_field(magnitude, k).abs());
            let floor = ROUNDING * largest.fold(0.0, f64::max);
            let most = (self.tolerance * range).max(floor);
            let allowed = most / UNSEEN;
            verdict.failed |= work.tail[f] > OVERTOLD * most;
            for (k, (row, column)) in chosen.iter().enumerate() {
                let row = f * rows.len() + row - rows.start;
                let here = values[row * columns.len() + column - columns.start];
                let difference = (here - of_field(exact, k)).abs();
                // A field that could not be solved is NaN throughout, and has no difference.
                if difference.is_nan() && of_field(exact, k).is_nan() {
                    continue;
                }
                verdict.largest = verdict.largest.max(difference / range);
                verdict.failed |= difference.is_nan() || difference > allowed;
            }
            verdict.floor = verdict.floor.max(floor / range);
        }
        verdict
    }

    fn compared(&self, rows: &Range<usize>, columns: &Range<usize>) -> Arc<Compared> {
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let tile = (rows.start, columns.start);
        if let Some(known) = lock().get(&tile) {
            return Arc::clone(known);
        }
        let cells = self.choose(rows, columns);
        let (x, y): (Vec<f64>, Vec<f64>) =
            cells.iter().map(|&(row, column)| self.cells.at(row, column)).unzip();
        let sums = self.sums(&self.metric.embed(&x, &y));
        let compared = Arc::new(Compared { cells, sums });
        if self.tiling.count() <= FEW_TILES {
            lock().insert(tile, Arc::clone(&compared));
        }
        compared
    }

    /// The largest of some numbers, one for each field, beside the fields' ranges.
    fn relative(&self, bound: &[f64]) -> f64 {
        bound.iter().zip(self.ranges).map(|(b, r)| b / r).fold(0.0, f64::max)
    }

    /// The tile with the most cells at stations.
    pub(crate) fn densest_tile(&self) -> Option<usize> {
        let across = self.tiling.columns.div_ceil(self.tiling.tile_columns);
        let tile = |&(row, column): &(usize, usize)| {
            row / self.tiling.tile_rows * across + column / self.tiling.tile_columns
        };
        let mut counts = vec![0_usize; self.tiling.count()];
        self.at_stations.iter().for_each(|cell| counts[tile(cell)] += 1);
        // The first of several, so that the choice is the same everywhere.
        (0..counts.len()).max_by_key(|&k| (counts[k], std::cmp::Reverse(k)))
    }

    fn sums(&self, points: &Points) -> Vec<f64> {
        let axes: Vec<Axis<'_>> = (0..points.dims()).map(|k| Axis::Each(points.axis(k))).collect();
        let mut out = vec![0.0; self.surface.fields() * points.len()];
        self.evaluator.evaluate(&self.surface, Row { axes: &axes, len: points.len() }, &mut out);
        out
    }

    /// Cells of a tile: drawn from its place, so that the same map is judged on the same cells,
    /// and those nearest to stations.
    fn choose(&self, rows: &Range<usize>, columns: &Range<usize>) -> Vec<(usize, usize)> {
        let seed = (rows.start as u64) << 32 | columns.start as u64;
        let mut random = SplitMix(seed);
        let drawn = DRAWN.div_ceil(self.tiling.count()).min(rows.len() * columns.len());
        let mut chosen: Vec<_> = (0..drawn)
            .map(|_| {
                (rows.start + random.below(rows.len()), columns.start + random.below(columns.len()))
            })
            .collect();
        let first = self.at_stations.partition_point(|cell| cell.0 < rows.start);
        let near = self.at_stations[first..].iter().take_while(|cell| cell.0 < rows.end);
        chosen.extend(near.filter(|cell| columns.contains(&cell.1)));
        chosen
    }
}

/// The node of an axis nearest to a coordinate, if the axis reaches there.
pub(crate) fn nearest(axis: &[f64], at: f64, turn: Option<f64>) -> Option<usize> {
    let (first, last) = (*axis.first()?, *axis.last()?);
    let (low, high) = (first.min(last), first.max(last));
    let at = turn.map_or(at, |turn| low + (at - low).rem_euclid(turn));
    if !(low..=high).contains(&at) {
        return None;
    }
    let after = axis.partition_point(|&v| if first <= last { v < at } else { v > at });
    let before = after.saturating_sub(1);
    let after = after.min(axis.len() - 1);
    Some(if (axis[before] - at).abs() <= (axis[after] - at).abs() { before } else { after })
}

/// Steele, Lea & Flood 2014, doi:10.1145/2714064.2660195.
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    #[expect(clippy::cast_possible_truncation, reason = "below a usize")]
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_node_is_found_both_ways_and_round_the_earth() {
        let up = [0.0, 1.0, 2.0, 3.0];
        let down = [3.0, 2.0, 1.0, 0.0];
        assert_eq!(nearest(&up, 1.4, None), Some(1));
        assert_eq!(nearest(&up, 3.0, None), Some(3));
        assert_eq!(nearest(&up, 3.2, None), None);
        assert_eq!(nearest(&down, 2.6, None), Some(0));
        let across = [178.0, 179.0, 180.0, 181.0];
        assert_eq!(nearest(&across, -179.2, Some(360.0)), Some(3));
    }
}
