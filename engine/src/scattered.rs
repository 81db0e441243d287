//! Evaluates many places that form no grid fast, some tiles at a time, judged like those of a grid.

use isopleth_kernels as kernels;
use kernels::Par;
use kernels::evaluate::far::{Scattered, Scheme};
use rayon::prelude::*;

use crate::certificate::{Account, Judge, Verdict};
use crate::error::Error;
use crate::field::Fields;
use crate::grid::Places;
use crate::pilot::{Chosen, Orders};

/// Tiles evaluated at once: a tree wants many places, memory few.
pub(crate) const TILES_AT_ONCE: usize = 4;

/// Below so many places the tree is not worth planting.
pub(crate) const FEWEST_PLACES: usize = 4096;

/// How a batch was evaluated.
pub(crate) struct Done {
    pub(crate) account: Account,
    pub(crate) chosen: Chosen,
}

/// Evaluates all places of a batch; none where the exact sum is cheaper or no order will do.
pub(crate) fn evaluate(
    fields: &Fields<'_>,
    places: &Places,
    judge: &Judge<'_>,
    tolerance: f64,
) -> Result<Option<Done>, Error> {
    if places.x.len() < FEWEST_PLACES {
        return Ok(None);
    }
    let mut orders = Orders::new(tolerance);
    let tiles: Vec<usize> = (0..fields.plan.tiling.count()).collect();
    let account = Account::default();
    let chosen = Chosen { scheme: orders.scheme(), cost: 0.0, tried: Vec::new() };
    let mut done = Done { account, chosen };
    for (k, block) in tiles.chunks(TILES_AT_ONCE).enumerate() {
        let Attempt { mut values, verdicts } = loop {
            fields.progress.cancel.check()?;
            let scheme = orders.scheme();
            done.chosen = Chosen { scheme, cost: cost(fields, scheme), tried: Vec::new() };
            if done.chosen.cost >= 1.0 {
                return Ok(None);
            }
            let attempt = attempt(fields, places, judge, block, scheme);
            let all = attempt.verdicts.iter().copied().fold(Verdict::default(), Verdict::and);
            // Later blocks keep the order of the first; a tile that fails there is done again.
            if k > 0 || orders.is_enough(&all) {
                break attempt;
            }
            if !orders.raise(&all) {
                return Ok(None);
            }
        };
        fields.hand_over_places(block, &mut values, &verdicts)?;
        verdicts.iter().for_each(|verdict| done.account.add(verdict));
    }
    Ok(Some(done))
}

/// Some tiles, evaluated.
struct Attempt {
    /// `[tile][field][place]`
    values: Vec<Vec<f64>>,
    verdicts: Vec<Verdict>,
}

fn attempt(
    fields: &Fields<'_>,
    places: &Places,
    judge: &Judge<'_>,
    tiles: &[usize],
    scheme: Scheme,
) -> Attempt {
    let count = fields.ids.len();
    let columns: Vec<_> = tiles.iter().map(|&k| fields.plan.tiling.tile(k).1).collect();
    let range = columns.first().map_or(0, |c| c.start)..columns.last().map_or(0, |c| c.end);
    let (x, y) = (&places.x[range.clone()], &places.y[range.clone()]);
    let mut all = vec![0.0; count * range.len()];
    let scattered = Scattered::new(fields.surface, fields.evaluator, x, y, scheme);
    let work = scattered.evaluate(&mut all, Par::rayon(fields.plan.threads));
    let (values, verdicts) = columns
        .into_par_iter()
        .map(|columns| {
            let first = columns.start - range.start;
            let rows = all.chunks_exact(range.len());
            let values: Vec<f64> =
                rows.flat_map(|row| &row[first..first + columns.len()]).copied().collect();
            let verdict = judge.judge(&(0..1), &columns, &values, &work);
            (values, verdict)
        })
        .unzip();
    Attempt { values, verdicts }
}

/// What the fast evaluation costs beside the exact sum, in cycles for a place, measured on AMD Zen 4 with 8 fields: a station's φ and products 2.5 in the exact
/// sum; the tree, Lagrange polynomials and near stations 3000, and each of p² nodes and field 1.5.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn cost(fields: &Fields<'_>, scheme: Scheme) -> f64 {
    let (count, order) = (fields.ids.len() as f64, scheme.order as f64);
    let exact = fields.surface.stations() as f64 * (12.0 + count) / 8.0;
    (3000.0 + 1.5 * order * order * count) / exact
}
