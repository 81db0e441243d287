//! Chooses the order of a fast evaluation by trying it on a few tiles, and whether it pays.

use std::sync::Arc;

use isopleth_kernels as kernels;
use kernels::evaluate::GridRows;
use kernels::evaluate::far::{Far, Node, Scheme, Scratch, Views, Work};
use kernels::{Evaluator, Resolved, Surface};
use rayon::prelude::*;

use crate::certificate::{Judge, Verdict};
use crate::factors::FactorCache;
use crate::grid::Targets;
use crate::plan::Plan;
use crate::tiles::Tiling;

/// Cost is least near here, for every class of kernels measured: larger ellipses leave more stations near,
/// smaller ones need higher orders, and from 2.5 to 3.5 it is flat (docs/performance.md, benches/record/ellipses-…).
const RHO: f64 = 3.0;

/// Cells each way of the smallest boxes; larger ones are divided only where many stations wait.
const LEAF: usize = 16;

/// Lower orders gain nothing.
const LOWEST_ORDER: usize = 4;

/// So many orders less than the ellipse alone would need do on the networks tried.
const USUAL: usize = 3;

/// Beyond this order a map is left to the exact sum: 3^-36 is below 1e-17.
const HIGHEST_ORDER: usize = 36;

/// Below so many cells the tree is not worth planting.
const FEWEST_CELLS: usize = 16_384;

/// Of maps with up to so many tiles those that were tried are kept: they are a good part of the map.
const FEW_TILES: usize = 16;

/// Of maps with up to so many tiles all are tried.
const TRY_ALL: usize = 4;

/// Bytes of views that are kept of one network on one grid.
const MOST_VIEWS: usize = 1 << 21;

/// Of larger networks they are not kept.
const MOST_STATIONS: usize = 2048;

/// How stations appear to boxes of a small grid: found out for one map, good for all like it.
pub(crate) fn views(plan: &Plan, method: &Resolved, factors: &FactorCache) -> Option<Arc<Views>> {
    let Targets::Grid(grid) = &plan.targets else { return None };
    let stations = plan.network.len();
    let exact = grid.crs().is_some() || method.stretch.is_some();
    if plan.tiling.count() > FEW_TILES || exact || stations > MOST_STATIONS {
        return None;
    }
    let mut hash = blake3::Hasher::new();
    let points = plan.network.points();
    for k in 0..points.dims() {
        hash.update(bytemuck::cast_slice(points.axis(k)));
    }
    let Resolved { kernel, epsilon, metric, .. } = method;
    hash.update(format!("{kernel} {epsilon:e} {metric} {:?} {RHO} {LEAF}", plan.tiling).as_bytes());
    for axis in [grid.x(), grid.y()] {
        hash.update(bytemuck::cast_slice(axis));
    }
    let new = || Views::new(MOST_VIEWS);
    Some(factors.lore().views.get(hash.finalize(), stations, new))
}

/// How a batch is to be evaluated.
pub(crate) struct Chosen {
    pub(crate) scheme: Scheme,
    /// What the model expects it to cost beside the exact sum.
    pub(crate) cost: f64,
    /// Tiles that are evaluated in this way already.
    pub(crate) tried: Vec<Tried>,
}

/// A tile that was tried.
pub(crate) struct Tried {
    /// Its number.
    pub(crate) tile: usize,
    pub(crate) values: Vec<f64>,
    pub(crate) work: Work,
    pub(crate) verdict: Verdict,
}

/// The search for the least order that does.
pub(crate) struct Orders {
    tolerance: f64,
    order: usize,
    /// What was too low once is not tried again.
    lowest: usize,
}

/// How many orders change the error by a factor.
fn orders_to(factor: f64) -> f64 {
    (factor.ln() / RHO.ln()).max(0.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small orders")]
impl Orders {
    /// Begins with the order that does on most networks.
    pub(crate) fn new(tolerance: f64) -> Self {
        let first = orders_to(1.0 / tolerance).ceil() as usize;
        let order = first.saturating_sub(USUAL).clamp(LOWEST_ORDER, HIGHEST_ORDER);
        Self { tolerance, order, lowest: LOWEST_ORDER }
    }

    pub(crate) fn scheme(&self) -> Scheme {
        Scheme { order: self.order, rho: RHO, leaf: LEAF }
    }

    /// Below the rounding floor nothing is gained.
    pub(crate) fn is_enough(&self, seen: &Verdict) -> bool {
        !seen.failed() && seen.error() <= self.goal(seen)
    }

    fn goal(&self, seen: &Verdict) -> f64 {
        self.tolerance.max(seen.floor())
    }

    /// Goes up; false where there is no higher order.
    pub(crate) fn raise(&mut self, seen: &Verdict) -> bool {
        if self.order == HIGHEST_ORDER {
            return false;
        }
        let more = orders_to(seen.error() / self.goal(seen)).ceil() as usize;
        self.order = (self.order + more.max(1)).min(HIGHEST_ORDER);
        self.lowest = self.order;
        true
    }

    /// Goes down where that is worth another try; else false.
    fn lower(&mut self, seen: &Verdict) -> bool {
        let room = self.order - self.lowest;
        let spare = (orders_to(self.goal(seen) / seen.error()) as usize).min(room);
        if spare < 3 {
            return false;
        }
        self.order -= spare;
        true
    }
}

/// A batch about to be evaluated.
pub(crate) struct Pilot<'a> {
    pub(crate) surface: &'a Surface,
    pub(crate) evaluator: Evaluator,
    pub(crate) rows: &'a GridRows<'a>,
    pub(crate) tiling: Tiling,
    pub(crate) judge: &'a Judge<'a>,
    pub(crate) views: Option<&'a Views>,
}

impl Pilot<'_> {
    /// The least order with which the tiles tried keep the tolerance; none where the exact
    /// sum is cheaper or no order will do. Decided by counts, never by a clock, so that the same
    /// map is made the same way everywhere. Begins with the order of the batch before, if there is one.
    pub(crate) fn choose(&self, tolerance: f64, before: Option<usize>) -> Option<Chosen> {
        let cells = self.tiling.rows * self.tiling.columns;
        if cells < FEWEST_CELLS {
            return None;
        }
        let mut orders = Orders::new(tolerance);
        orders.order = before.unwrap_or(orders.order);
        loop {
            let scheme = orders.scheme();
            let trial = self.attempt(scheme, &orders)?;
            if orders.is_enough(&trial.verdict) {
                // What was tried is kept: of a small map that is more than a lower order would save.
                let mostly_done = 2 * trial.tried.len() >= self.tiling.count();
                if mostly_done || !orders.lower(&trial.verdict) {
                    return Some(Chosen { scheme, cost: trial.cost, tried: trial.tried });
                }
            } else if !orders.raise(&trial.verdict) {
                return None;
            }
        }
    }

    /// Tries a scheme on a few tiles, of which the first tells whether the others are worth it; none if it costs more
    /// than the exact sum.
    #[expect(clippy::cast_precision_loss, reason = "counts of pairs are below 2^52")]
    fn attempt(&self, scheme: Scheme, orders: &Orders) -> Option<Trial> {
        let tile = [self.tiling.tile_columns, self.tiling.tile_rows];
        let far =
            Far::with_views(self.surface, self.evaluator, self.rows, tile, scheme, self.views);
        let (tiles, root) = (self.tiles(), far.root());
        let mut tried = vec![self.attempt_tile(&far, &root, tiles[0])];
        let is_enough = orders.is_enough(&tried[0].verdict);
        if is_enough {
            let others = tiles[1..].par_iter().map(|&k| self.attempt_tile(&far, &root, k));
            tried.par_extend(others);
        }
        let (mut verdict, mut pairs, mut tried_cells) = (Verdict::default(), 0, 0);
        for one in &tried {
            verdict = verdict.and(one.verdict);
            pairs += one.work.pairs;
            tried_cells += one.values.len() / self.surface.fields();
        }
        let fields = self.surface.fields() as f64;
        // In cycles of a vector, measured on AMD Zen 4: φ takes 12, or 1 as a product of two factors that
        // rows and columns share, a product 1 for each field, and interpolation 1.5 for each field and order, with the cell's share of the tree.
        let phi = if self.surface.is_separable() { 1.0 } else { 12.0 };
        let pair = phi + fields;
        let fast =
            pairs as f64 / tried_cells as f64 * pair + 1.5 * scheme.order as f64 * fields + 60.0;
        let cost = fast / (self.surface.stations() as f64 * pair);
        let tried = if self.tiling.count() <= FEW_TILES { tried } else { Vec::new() };
        // The first tile has more stations near than the others.
        (cost < 1.0 || !is_enough).then_some(Trial { verdict, cost, tried })
    }

    fn attempt_tile(&self, far: &Far<'_>, root: &Node, tile: usize) -> Tried {
        let (rows, columns) = self.tiling.tile(tile);
        let cells = rows.len() * columns.len();
        let mut values = vec![0.0; self.surface.fields() * cells];
        let node = far.tile_at(root.clone(), rows.start, columns.start);
        let work = far.evaluate(node, &mut Scratch::default(), &mut values);
        let verdict = self.judge.judge(&rows, &columns, &values, &work);
        Tried { tile, values, work, verdict }
    }

    /// The tile with most stations, one in the middle and one in a corner, where kernels that grow are
    /// largest; of a map of few tiles all, as most of it would be done anyway.
    fn tiles(&self) -> Vec<usize> {
        let count = self.tiling.count();
        let middle = count / 2;
        let densest = self.judge.densest_tile().unwrap_or(middle);
        let others = if count <= TRY_ALL { (0..count).collect() } else { vec![middle, 0] };
        let mut tiles = vec![densest];
        tiles.extend(others.into_iter().filter(|&k| k != densest));
        tiles.dedup();
        tiles
    }
}

struct Trial {
    verdict: Verdict,
    /// Of all, beside that of the exact sum.
    cost: f64,
    tried: Vec<Tried>,
}
