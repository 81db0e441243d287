//! The variance on a grid, from few cells: σ² varies quickly near stations only, so each tile is a tree
//! of blocks (`tree.rs`), quadratic each way, from three by three cells.
//!
//! It is σ² and not σ that is interpolated: near a station σ² grows like r (or r²), σ like its root.
//! With covariates it is `σ₀²`, and what the covariates are expected to be (kernels, `variance`), which vary as
//! smoothly; what they are at a cell comes to it at the cell.
//!
//! A mesh is of the whole network and knows no reading, so hours share it, and it is kept (`kept.rs`).
//! Without some stations σ² grows by what few surfaces tell at the mesh's cells.

use std::ops::Range;

use isopleth_kernels as kernels;
use kernels::variance::{Growth, spread};
use kernels::{MatRef, Metric, Par, Points, Variance};
use rayon::prelude::*;

use super::tree::{Builder, TileMesh, small};
use crate::certificate::{SplitMix, nearest};
use crate::grid::Grid;
use crate::network::Network;
use crate::tiles::Tiling;

/// Cells at which the mesh is compared with the formula.
const COMPARED: usize = 1000;

/// Which cells of a grid σ² is computed at, and σ² of the whole network there.
#[derive(Debug)]
pub(crate) struct Mesh {
    pub(super) tiling: Tiling,
    pub(super) tiles: Vec<TileMesh>,
    /// Cells drawn at random, over the whole grid.
    drawn: Vec<(usize, usize)>,
    pub(super) whole: Known,
}

/// What is known of one network, or of some with gaps, on the cells of a mesh. Each has 1 + k layers, where
/// there are k covariates.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// By tile: `[layer * nodes + node]`.
    pub(super) nodes: Vec<Vec<f32>>,
    /// By the formula: `[layer * drawn + cell]`.
    pub(super) drawn: Vec<f64>,
    /// k × k of each network, row by row.
    pub(super) of_slopes: Vec<Vec<f64>>,
}

/// How far the mesh is from the formula.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Comparison {
    /// Largest difference of σ, relative to the median.
    pub(crate) largest: f64,
    /// Root of the mean square of them.
    pub(crate) typical: f64,
    /// Cells compared.
    pub(crate) cells: usize,
}

/// A grid and how its cells lie in space.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) grid: &'a Grid,
    pub(crate) metric: Metric,
}

impl Place<'_> {
    pub(super) fn of(&self, cells: impl Iterator<Item = (usize, usize)>) -> Points {
        let degrees = |(x, y)| match self.grid.crs() {
            None => (x, y),
            Some(crs) => crs.to_degrees(x, y).map_or((f64::NAN, f64::NAN), |[x, y]| (x, y)),
        };
        let (x, y): (Vec<f64>, Vec<f64>) =
            cells.map(|(row, column)| degrees((self.grid.x()[column], self.grid.y()[row]))).unzip();
        self.metric.embed(&x, &y)
    }

    /// Row and column of the cell nearest to a station, if it is on the grid.
    fn nearest(&self, x: f64, y: f64) -> Option<(usize, usize)> {
        let (x, y, turns) = match self.grid.crs() {
            None => (x, y, self.metric.is_spherical()),
            Some(crs) => {
                let [x, y] = crs.to_plane(x, y)?;
                (x, y, crs.is_rotated())
            }
        };
        let turn = turns.then_some(360.0);
        Some((nearest(self.grid.y(), y, None)?, nearest(self.grid.x(), x, turn)?))
    }
}

impl Mesh {
    /// Of a network on a grid. Costs `n²` multiplications a cell looked at.
    pub(crate) fn new(
        place: Place<'_>,
        tiling: Tiling,
        network: &Network,
        variance: &Variance<'_>,
        par: Par,
    ) -> Self {
        let drawn = drawn(tiling);
        let exact = variance.at(&place.of(drawn.iter().copied()), &[], par);
        let median = median(exact.col_as_slice(0).iter().map(|v| v.sqrt()));
        let mut stations: Vec<_> =
            network.stations().iter().filter_map(|s| place.nearest(s.x, s.y)).collect();
        stations.sort_unstable();
        let build = |k: usize| {
            let (rows, columns) = tiling.tile(k);
            let first = stations.partition_point(|cell| cell.0 < rows.start);
            let last = stations.partition_point(|cell| cell.0 < rows.end);
            let of_tile = stations[first..last].iter().filter(|cell| columns.contains(&cell.1));
            let stations = of_tile.map(|c| (small(c.0 - rows.start), small(c.1 - columns.start)));
            Builder { place, origin: (rows.start, columns.start), variance, median }.build(
                &rows,
                &columns,
                &stations.collect::<Vec<_>>(),
            )
        };
        let (tiles, nodes) = each(tiling.count(), par, build).into_iter().unzip();
        let of_slopes = vec![by_rows(variance.of_slopes(None))];
        let whole = Known { nodes, drawn: layers(exact.as_ref()), of_slopes };
        Self { tiling, tiles, drawn, whole }
    }

    /// What is known of the whole network.
    pub(super) fn whole(&self) -> &Known {
        &self.whole
    }

    /// From what was kept of it.
    pub(super) fn from_parts(tiling: Tiling, tiles: Vec<TileMesh>, whole: Known) -> Self {
        Self { tiling, tiles, drawn: drawn(tiling), whole }
    }

    /// Whether something was made of this mesh.
    pub(super) fn fits(&self, known: &Known) -> bool {
        let width = self.width();
        let slopes = |matrix: &Vec<f64>| matrix.len() == (width - 1) * (width - 1);
        let layers = width * known.of_slopes.len();
        known.drawn.len() == layers * self.drawn.len()
            && known.of_slopes.iter().all(slopes)
            && known.nodes.len() == self.tiles.len()
            && (known.nodes.iter().zip(&self.tiles))
                .all(|(values, tile)| values.len() == layers * tile.nodes.len())
    }

    /// Cells at which σ² is computed.
    pub(crate) fn len(&self) -> usize {
        self.tiles.iter().map(|tile| tile.nodes.len()).sum()
    }

    /// The same of another network, by the formula.
    pub(crate) fn of_network(&self, place: Place<'_>, variance: &Variance<'_>, par: Par) -> Known {
        let at =
            |k: usize| single_layers(variance.at(&self.places(place, k), &[], Par::Seq).as_ref());
        let drawn = variance.at(&place.of(self.drawn.iter().copied()), &[], par);
        Known {
            nodes: each(self.tiles.len(), par, at),
            drawn: layers(drawn.as_ref()),
            of_slopes: vec![by_rows(variance.of_slopes(None))],
        }
    }

    /// The same of the whole network with gaps: σ² there, and what they add to it.
    pub(crate) fn with_gaps(
        &self,
        place: Place<'_>,
        growth: &Growth<'_>,
        of_slopes: Vec<Vec<f64>>,
        par: Par,
    ) -> Known {
        let at = |k: usize| {
            let nodes = self.tiles[k].nodes.len();
            let values = &self.whole.nodes[k];
            let whole: Vec<f64> = (0..values.len())
                .map(|at| f64::from(values[at % self.width() * nodes + at / self.width()]))
                .collect();
            single_layers(growth.at(&self.places(place, k), &whole, Par::Seq).as_ref())
        };
        let (cells, values) = (self.drawn.len(), &self.whole.drawn);
        let whole: Vec<f64> = (0..values.len())
            .map(|at| values[at % self.width() * cells + at / self.width()])
            .collect();
        let drawn = growth.at(&place.of(self.drawn.iter().copied()), &whole, par);
        Known { nodes: each(self.tiles.len(), par, at), drawn: layers(drawn.as_ref()), of_slopes }
    }

    /// Layers of one network.
    fn width(&self) -> usize {
        1 + self.whole.of_slopes.first().map_or(0, |matrix| matrix.len().isqrt())
    }

    fn places(&self, place: Place<'_>, tile: usize) -> Points {
        let (rows, columns) = self.tiling.tile(tile);
        let cells = self.tiles[tile].nodes.iter();
        place.of(cells.map(|c| (rows.start + usize::from(c.0), columns.start + usize::from(c.1))))
    }

    /// How far what is interpolated of a network is from the formula. `covariates` has what they are at a
    /// cell, given its row and column.
    #[expect(clippy::cast_precision_loss, reason = "at most a thousand cells")]
    pub(crate) fn compare(
        &self,
        known: &Known,
        network: usize,
        covariates: impl Fn(usize, usize) -> Vec<f64>,
    ) -> Comparison {
        let (width, count) = (self.width(), self.drawn.len());
        let mut pairs = Vec::with_capacity(count);
        for (i, &(row, column)) in self.drawn.iter().enumerate() {
            let k = self.tile_at(row, column);
            let (rows, columns) = self.tiling.tile(k);
            let cell = (small(row - rows.start), small(column - columns.start));
            let nodes = self.tiles[k].nodes.len();
            let Some(block) = self.tiles[k].blocks.iter().find(|b| b.contains(cell)) else {
                continue;
            };
            let layer = |l: usize| {
                let values = &known.nodes[k][(network * width + l) * nodes..][..nodes];
                block.at_cell(values, cell).max(least(l))
            };
            let got: Vec<f64> = (0..width).map(layer).collect();
            let exact: Vec<f64> =
                (0..width).map(|l| known.drawn[(network * width + l) * count + i]).collect();
            let z = covariates(row, column);
            let both = [got, exact].map(|at| known.spread(network, &at, &z).sqrt());
            if both.iter().all(|sigma| sigma.is_finite()) {
                pairs.push(both);
            }
        }
        let scale = median(pairs.iter().map(|[_, exact]| *exact)).max(f64::MIN_POSITIVE);
        let (mut largest, mut squares) = (0.0_f64, 0.0);
        for [got, exact] in &pairs {
            let difference = (got - exact).abs() / scale;
            largest = largest.max(difference);
            squares += difference * difference;
        }
        let cells = pairs.len();
        Comparison { largest, typical: (squares / cells.max(1) as f64).sqrt(), cells }
    }

    /// All layers of a network on tile `k`, each row by row.
    pub(crate) fn fill(&self, known: &Known, k: usize, network: usize, out: &mut Vec<f64>) {
        let (rows, columns) = self.tiling.tile(k);
        let (tile, cells, width) = (&self.tiles[k], rows.len() * columns.len(), self.width());
        out.clear();
        out.resize(width * cells, 0.0);
        for (layer, out) in out.chunks_exact_mut(cells).enumerate() {
            let nodes = tile.nodes.len();
            let values = &known.nodes[k][(network * width + layer) * nodes..][..nodes];
            let least = least(layer);
            for block in &tile.blocks {
                for row in block.rows[0]..=block.rows[1] {
                    let line = &mut out[usize::from(row) * columns.len()..][..columns.len()];
                    for column in block.columns[0]..=block.columns[1] {
                        line[usize::from(column)] = block.at_cell(values, (row, column)).max(least);
                    }
                }
            }
        }
    }

    /// The tile that these rows and columns begin.
    pub(crate) fn tile_of(&self, rows: &Range<usize>, columns: &Range<usize>) -> usize {
        self.tile_at(rows.start, columns.start)
    }

    fn tile_at(&self, row: usize, column: usize) -> usize {
        let across = self.tiling.columns.div_ceil(self.tiling.tile_columns);
        row / self.tiling.tile_rows * across + column / self.tiling.tile_columns
    }
}

impl Known {
    /// σ² where the layers of a network are `at_cell` and the covariates `z`.
    pub(crate) fn spread(&self, network: usize, at_cell: &[f64], z: &[f64]) -> f64 {
        let (k, of_slopes) = (z.len(), &self.of_slopes[network]);
        spread(at_cell, z, MatRef::from_row_major_slice(of_slopes, k, k))
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> u64 {
        let nodes: usize = self.nodes.iter().map(Vec::len).sum();
        (4 * nodes + 8 * self.drawn.len()) as u64
    }
}

/// Cells at which the mesh is compared, the same of every grid of that size.
fn drawn(tiling: Tiling) -> Vec<(usize, usize)> {
    let (rows, columns) = (tiling.rows, tiling.columns);
    let mut random = SplitMix(rows as u64 ^ (columns as u64) << 32);
    (0..COMPARED.min(rows * columns)).map(|_| (random.below(rows), random.below(columns))).collect()
}

/// Of what is interpolated: a variance is not negative.
fn least(layer: usize) -> f64 {
    if layer == 0 { 0.0 } else { f64::NEG_INFINITY }
}

fn each<T: Send>(count: usize, par: Par, of: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    match par {
        Par::Seq => (0..count).map(of).collect(),
        Par::Rayon(_) => (0..count).into_par_iter().map(of).collect(),
    }
}

/// Column after column.
pub(super) fn layers(values: MatRef<'_, f64>) -> Vec<f64> {
    values.col_iter().flat_map(|column| column.iter().copied().collect::<Vec<_>>()).collect()
}

fn single_layers(values: MatRef<'_, f64>) -> Vec<f32> {
    layers(values).into_iter().map(single).collect()
}

pub(super) fn by_rows(matrix: MatRef<'_, f64>) -> Vec<f64> {
    layers(matrix.transpose())
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits are more than it is known to")]
pub(super) fn single(value: f64) -> f32 {
    value as f32
}

/// The middle one of some numbers; 0 of none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
