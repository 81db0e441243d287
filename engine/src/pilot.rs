//! Chooses the order of a fast evaluation by trying it on a few tiles, and whether it pays.

use isopleth_kernels as kernels;
use kernels::evaluate::GridRows;
use kernels::evaluate::far::{Far, Scheme, Scratch};
use kernels::{Evaluator, Surface};
use rayon::prelude::*;

use crate::certificate::Judge;
use crate::tiles::Tiling;

/// Cost is least near here (docs/math.md, 6): larger ellipses leave more stations near, smaller
/// ones need higher orders.
const RHO: f64 = 3.0;

/// Cells each way of the smallest boxes. Small boxes have few stations near, large ones have large
/// products. On AMD Zen 4, with 1500 stations in 1.4 million cells, 32 takes 1.4 times as long as 64;
/// with 10 000 and 100 000 in 2 million cells, 64 takes 1.1 and 1.4 times as long as 32, and 16
/// longer again.
fn leaf(stations: usize, cells: usize) -> usize {
    if 64 * 64 * stations <= 10 * cells { 64 } else { 32 }
}

/// The tiles tried must be so much better than the tolerance: others may be worse.
const MARGIN: f64 = 4.0;

/// Lower orders gain nothing.
const LOWEST_ORDER: usize = 4;

/// So many orders less than the ellipse alone would need do on the networks tried.
const USUAL: usize = 3;

/// Beyond this order a map is left to the exact sum: 3^-36 is below 1e-17.
const HIGHEST_ORDER: usize = 36;

/// Below so many cells the tree is not worth planting.
const FEWEST_CELLS: usize = 16_384;

/// A batch about to be evaluated.
pub(crate) struct Pilot<'a> {
    pub(crate) surface: &'a Surface,
    pub(crate) evaluator: Evaluator,
    pub(crate) rows: &'a GridRows<'a>,
    pub(crate) tiling: Tiling,
    pub(crate) judge: &'a Judge<'a>,
}

impl Pilot<'_> {
    /// The least order with which the tiles tried keep a quarter of the tolerance; none where the exact
    /// sum is cheaper or no order will do. Decided by counts, never by a clock, so that the same
    /// map is made the same way everywhere.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small order")]
    pub(crate) fn choose(&self, tolerance: f64) -> Option<Scheme> {
        if self.tiling.rows * self.tiling.columns < FEWEST_CELLS {
            return None;
        }
        let orders_to = |factor: f64| (factor.ln() / RHO.ln()).max(0.0);
        let goal = tolerance / MARGIN;
        // Where all is as usual, the first try is right: sums of many stations cancel.
        let first = orders_to(1.0 / tolerance).ceil() as usize;
        let mut order = first.saturating_sub(USUAL).clamp(LOWEST_ORDER, HIGHEST_ORDER);
        let mut lowest = LOWEST_ORDER;
        let leaf = leaf(self.surface.stations(), self.tiling.rows * self.tiling.columns);
        loop {
            let scheme = Scheme { order, rho: RHO, leaf };
            let trial = self.attempt(scheme)?;
            if trial.largest <= goal || !trial.failed && trial.largest <= trial.floor {
                // An order more than needed is cheaper than another try.
                let spare = orders_to(goal / trial.largest.max(trial.floor)) as usize;
                if spare < 3 || order - spare.min(order) < lowest {
                    return Some(scheme);
                }
                order -= spare;
                continue;
            }
            if order == HIGHEST_ORDER {
                return None;
            }
            let more = orders_to(trial.largest / goal).ceil() as usize;
            order = (order + more.max(1)).min(HIGHEST_ORDER);
            // What was too low once is not tried again.
            lowest = order;
        }
    }

    /// Tries a scheme on a few tiles; none if it costs more than the exact sum.
    #[expect(clippy::cast_precision_loss, reason = "counts of pairs are below 2^52")]
    fn attempt(&self, scheme: Scheme) -> Option<Trial> {
        let tile = [self.tiling.tile_columns, self.tiling.tile_rows];
        let far = Far::new(self.surface, self.evaluator, self.rows, tile, scheme);
        let trials = self.tiles().into_par_iter().map(|k| self.attempt_tile(&far, k));
        let trial = trials.reduce(Trial::default, Trial::and);
        let fields = self.surface.fields() as f64;
        // In cycles of a vector, measured on AMD Zen 4: φ takes 12, a product 1 for each field, and
        // interpolation 1.5 for each field and order, with the cell's share of the tree.
        let pair = 12.0 + fields;
        let fast = trial.pairs as f64 / trial.cells as f64 * pair
            + 1.5 * scheme.order as f64 * fields
            + 60.0;
        (fast < self.surface.stations() as f64 * pair).then_some(trial)
    }

    fn attempt_tile(&self, far: &Far<'_>, k: usize) -> Trial {
        let (rows, columns) = self.tiling.tile(k);
        let cells = rows.len() * columns.len();
        let mut values = vec![0.0; self.surface.fields() * cells];
        let node = far.tile_at(rows.start, columns.start);
        let pairs = far.evaluate(node, &mut Scratch::default(), &mut values);
        let verdict = self.judge.judge(&rows, &columns, &values);
        Trial {
            largest: verdict.largest(),
            floor: verdict.floor(),
            failed: verdict.failed(),
            pairs,
            cells,
        }
    }

    /// The tile with most stations, one in the middle and one in a corner.
    fn tiles(&self) -> Vec<usize> {
        let middle = self.tiling.count() / 2;
        let mut tiles = vec![self.judge.densest_tile().unwrap_or(middle), middle, 0];
        tiles.sort_unstable();
        tiles.dedup();
        tiles
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Trial {
    largest: f64,
    floor: f64,
    failed: bool,
    /// Pairs of a station and a cell or node.
    pairs: u64,
    cells: usize,
}

impl Trial {
    fn and(self, other: Self) -> Self {
        Self {
            largest: self.largest.max(other.largest),
            floor: self.floor.max(other.floor),
            failed: self.failed || other.failed,
            pairs: self.pairs + other.pairs,
            cells: self.cells + other.cells,
        }
    }
}
