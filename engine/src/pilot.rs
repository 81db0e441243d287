//! Chooses the order of a fast evaluation by trying it on a few tiles, and whether it pays.

use isopleth_kernels as kernels;
use kernels::evaluate::GridRows;
use kernels::evaluate::far::{Far, Scheme, Scratch};
use kernels::{Evaluator, Surface};

use crate::certificate::Judge;
use crate::tiles::Tiling;

/// Cost is least near here (docs/math.md, 6): larger ellipses leave more stations near, smaller
/// ones need higher orders.
const RHO: f64 = 3.0;

/// Cells each way of the smallest boxes. On AMD Zen 4 with 1500 stations, 32 takes 1.4 times as
/// long: the products get small.
const LEAF: usize = 64;

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
    /// The least order with which the tiles tried keep half of the tolerance; none where the exact
    /// sum is cheaper or no order will do. Decided by counts, never by a clock, so that the same
    /// map is made the same way everywhere.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small order")]
    pub(crate) fn choose(&self, tolerance: f64) -> Option<Scheme> {
        if self.tiling.rows * self.tiling.columns < FEWEST_CELLS {
            return None;
        }
        let orders_to = |factor: f64| (factor.ln() / RHO.ln()).ceil().max(0.0) as usize;
        let mut order = (orders_to(1.0 / tolerance) + 1).clamp(6, HIGHEST_ORDER);
        loop {
            let scheme = Scheme { order, rho: RHO, leaf: LEAF };
            let trial = self.attempt(scheme)?;
            let goal = tolerance / 2.0;
            if trial.largest <= goal || !trial.failed && trial.largest <= trial.floor {
                return Some(scheme);
            }
            if order == HIGHEST_ORDER {
                return None;
            }
            order = (order + orders_to(trial.largest / goal).max(1)).min(HIGHEST_ORDER);
        }
    }

    /// Tries a scheme on a few tiles; none if it costs more than the exact sum.
    #[expect(clippy::cast_precision_loss, reason = "counts of pairs are below 2^52")]
    fn attempt(&self, scheme: Scheme) -> Option<Trial> {
        let tile = [self.tiling.tile_columns, self.tiling.tile_rows];
        let far = Far::new(self.surface, self.evaluator, self.rows, tile, scheme);
        let mut trial = Trial::default();
        let (mut pairs, mut cells) = (0, 0);
        let (mut scratch, mut values) = (Scratch::default(), Vec::new());
        for k in self.tiles() {
            let (rows, columns) = self.tiling.tile(k);
            values.resize(self.surface.fields() * rows.len() * columns.len(), 0.0);
            let node = far.tile_at(rows.start, columns.start);
            pairs += far.evaluate(node, &mut scratch, &mut values);
            cells += rows.len() * columns.len();
            let verdict = self.judge.judge(&rows, &columns, &values);
            trial.largest = trial.largest.max(verdict.largest());
            trial.floor = trial.floor.max(verdict.floor());
            trial.failed |= verdict.failed();
        }
        let fields = self.surface.fields() as f64;
        // In cycles of a vector, measured on AMD Zen 4: φ takes 12, a product 1 for each field, and
        // interpolation 1.5 for each field and order, with the cell's share of the tree.
        let pair = 12.0 + fields;
        let fast = pairs as f64 / cells as f64 * pair + 1.5 * scheme.order as f64 * fields + 60.0;
        (fast < self.surface.stations() as f64 * pair).then_some(trial)
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
}
