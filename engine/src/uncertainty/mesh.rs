//! The variance on a grid, from few cells: σ² varies quickly near stations only, so each tile is a tree
//! of blocks, divided until what is interpolated within a block is right at its middle and at the
//! cells of its stations.
//!
//! Within a block σ² is quadratic each way, from three by three cells. It is σ² and not σ that is
//! interpolated: near a station σ² grows like r (or r²), σ like its root.

use std::collections::HashMap;
use std::ops::Range;

use isopleth_kernels as kernels;
use kernels::variance::Gap;
use kernels::{Metric, Par, Points, Variance};
use rayon::prelude::*;

use crate::certificate::{SplitMix, nearest};
use crate::grid::Grid;
use crate::network::Network;
use crate::tiles::Tiling;

/// Sides of the blocks that a tile begins with, in cells, at most.
const LARGEST_BLOCK: usize = 32;

/// How far σ may be from what the corners of a block alone would give, at the five other cells it is
/// known at, relative to the median of the map. What three by three cells give is far better (typically
/// 1 %). The scale of σ, from some hundred residuals, is not known to 3 %.
const BENT: f64 = 0.1;

/// How wrong σ may be at a station's cell.
const ALLOWED: f64 = 0.05;

/// Cells at which the mesh is compared with the formula.
const COMPARED: usize = 1000;

/// A cell of a tile: row and column in it.
type Cell = (u16, u16);

/// Which cells of a grid σ² is computed at.
#[derive(Debug)]
pub(crate) struct Mesh {
    tiling: Tiling,
    tiles: Vec<TileMesh>,
    /// Cells drawn at random, over the whole grid.
    drawn: Vec<(usize, usize)>,
}

#[derive(Debug)]
struct TileMesh {
    nodes: Vec<Cell>,
    blocks: Vec<Block>,
}

/// Cells from corner to corner, both included.
#[derive(Clone, Debug)]
struct Block {
    rows: [u16; 2],
    columns: [u16; 2],
    /// Nodes, row by row: in the first, middle and last row and column.
    at: [u32; 9],
}

/// σ² at the nodes of a mesh for several masks.
#[derive(Debug)]
pub(crate) struct Nodes {
    /// By tile: `[mask * nodes + node]`.
    values: Vec<Vec<f32>>,
}

/// How far the mesh is from the formula.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Comparison {
    /// Largest difference of σ, relative to the median.
    pub(crate) largest: f64,
    /// Root of the mean square of them.
    pub(crate) typical: f64,
    /// Cells compared, all masks of each.
    pub(crate) cells: usize,
}

/// A grid and how its cells lie in space.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) grid: &'a Grid,
    pub(crate) metric: Metric,
}

impl Place<'_> {
    fn of(&self, cells: impl Iterator<Item = (usize, usize)>) -> Points {
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
    /// Of a network on a grid, with σ² of the whole network and with each gap. Costs `n²`
    /// multiplications a cell looked at.
    pub(crate) fn new(
        place: Place<'_>,
        tiling: Tiling,
        network: &Network,
        (variance, gaps): (&Variance<'_>, &[&Gap]),
        par: Par,
    ) -> (Self, Nodes) {
        let (rows, columns) = (tiling.rows, tiling.columns);
        let mut random = SplitMix(rows as u64 ^ (columns as u64) << 32);
        let drawn: Vec<_> = (0..COMPARED.min(rows * columns))
            .map(|_| (random.below(rows), random.below(columns)))
            .collect();
        let sample = variance.at(&place.of(drawn.iter().copied()), &[], par);
        let median = median(sample.col_as_slice(0).iter().map(|v| v.sqrt()));
        let mut stations: Vec<_> =
            network.stations().iter().filter_map(|s| place.nearest(s.x, s.y)).collect();
        stations.sort_unstable();
        let build =
            |k: usize| {
                let (rows, columns) = tiling.tile(k);
                let first = stations.partition_point(|cell| cell.0 < rows.start);
                let last = stations.partition_point(|cell| cell.0 < rows.end);
                let of_tile = stations[first..last].iter().filter(|cell| columns.contains(&cell.1));
                let stations =
                    of_tile.map(|c| (small(c.0 - rows.start), small(c.1 - columns.start)));
                Builder { place, origin: (rows.start, columns.start), variance, gaps, median }
                    .build(&rows, &columns, &stations.collect::<Vec<_>>())
            };
        let made: Vec<(TileMesh, Vec<f32>)> = match par {
            Par::Seq => (0..tiling.count()).map(build).collect(),
            Par::Rayon(_) => (0..tiling.count()).into_par_iter().map(build).collect(),
        };
        let (tiles, values) = made.into_iter().unzip();
        (Self { tiling, tiles, drawn }, Nodes { values })
    }

    /// Cells at which σ² is computed.
    pub(crate) fn len(&self) -> usize {
        self.tiles.iter().map(|tile| tile.nodes.len()).sum()
    }

    /// σ² at the nodes: first that of the whole network of `variance`, then with each gap.
    pub(crate) fn nodes(
        &self,
        place: Place<'_>,
        (variance, gaps): (&Variance<'_>, &[&Gap]),
        par: Par,
    ) -> Nodes {
        let at = |k: usize| {
            let (rows, columns) = self.tiling.tile(k);
            let cells = self.tiles[k].nodes.iter();
            let cells =
                cells.map(|c| (rows.start + usize::from(c.0), columns.start + usize::from(c.1)));
            let values = variance.at(&place.of(cells), gaps, Par::Seq);
            let masks = 0..values.ncols();
            masks.flat_map(|m| values.col_as_slice(m).iter().map(|&v| single(v))).collect()
        };
        let values: Vec<Vec<f32>> = match par {
            Par::Seq => (0..self.tiles.len()).map(at).collect(),
            Par::Rayon(_) => (0..self.tiles.len()).into_par_iter().map(at).collect(),
        };
        Nodes { values }
    }

    /// How far what is interpolated is from the formula.
    pub(crate) fn compare(
        &self,
        nodes: &Nodes,
        place: Place<'_>,
        (variance, gaps): (&Variance<'_>, &[&Gap]),
        par: Par,
    ) -> Comparison {
        let exact = variance.at(&place.of(self.drawn.iter().copied()), gaps, par);
        let mut comparison = Comparison { cells: self.drawn.len(), ..Comparison::default() };
        for mask in 0..=gaps.len() {
            let here = self.compare_one(nodes, mask, exact.col_as_slice(mask));
            comparison.largest = comparison.largest.max(here.largest);
            comparison.typical = comparison.typical.max(here.typical);
        }
        comparison
    }

    #[expect(clippy::cast_precision_loss, reason = "at most a thousand cells")]
    fn compare_one(&self, nodes: &Nodes, mask: usize, exact: &[f64]) -> Comparison {
        let scale = median(exact.iter().map(|v| v.sqrt())).max(f64::MIN_POSITIVE);
        let across = self.tiling.columns.div_ceil(self.tiling.tile_columns);
        let (mut largest, mut squares) = (0.0_f64, 0.0);
        for (&(row, column), exact) in self.drawn.iter().zip(exact) {
            let k = row / self.tiling.tile_rows * across + column / self.tiling.tile_columns;
            let (rows, columns) = self.tiling.tile(k);
            let cell = (small(row - rows.start), small(column - columns.start));
            let tile = &self.tiles[k];
            let values = &nodes.values[k][mask * tile.nodes.len()..][..tile.nodes.len()];
            let contains = |block: &&Block| block.contains(cell);
            let Some(block) = tile.blocks.iter().find(contains) else { continue };
            let difference = (block.at_cell(values, cell).sqrt() - exact.sqrt()).abs() / scale;
            largest = largest.max(difference);
            squares += difference * difference;
        }
        let cells = self.drawn.len();
        Comparison { largest, typical: (squares / cells.max(1) as f64).sqrt(), cells }
    }

    /// σ² of a mask on tile `k`, row by row.
    pub(crate) fn fill(&self, nodes: &Nodes, k: usize, mask: usize, out: &mut Vec<f64>) {
        let (rows, columns) = self.tiling.tile(k);
        let tile = &self.tiles[k];
        let values = &nodes.values[k][mask * tile.nodes.len()..][..tile.nodes.len()];
        out.clear();
        out.resize(rows.len() * columns.len(), 0.0);
        for block in &tile.blocks {
            for row in block.rows[0]..=block.rows[1] {
                let line = &mut out[usize::from(row) * columns.len()..][..columns.len()];
                for column in block.columns[0]..=block.columns[1] {
                    line[usize::from(column)] = block.at_cell(values, (row, column));
                }
            }
        }
    }

    /// The tile that these rows and columns begin.
    pub(crate) fn tile_of(&self, rows: &Range<usize>, columns: &Range<usize>) -> usize {
        let across = self.tiling.columns.div_ceil(self.tiling.tile_columns);
        rows.start / self.tiling.tile_rows * across + columns.start / self.tiling.tile_columns
    }
}

/// One tile's tree under way.
struct Builder<'a> {
    place: Place<'a>,
    origin: (usize, usize),
    variance: &'a Variance<'a>,
    gaps: &'a [&'a Gap],
    /// Of σ, over the map.
    median: f64,
}

/// Values at cells looked at so far.
#[derive(Default)]
struct Known {
    number: HashMap<Cell, u32>,
    cells: Vec<Cell>,
    /// σ² of the whole network.
    values: Vec<f64>,
    /// The same, and with each gap.
    all: Vec<Vec<f32>>,
}

impl Builder<'_> {
    fn build(
        &self,
        rows: &Range<usize>,
        columns: &Range<usize>,
        stations: &[Cell],
    ) -> (TileMesh, Vec<f32>) {
        let mut known = Known { all: vec![Vec::new(); 1 + self.gaps.len()], ..Known::default() };
        let mut open = Vec::new();
        for row in cuts(rows.len()).windows(2) {
            for column in cuts(columns.len()).windows(2) {
                open.push(Block {
                    rows: [row[0], row[1]],
                    columns: [column[0], column[1]],
                    at: [0; 9],
                });
            }
        }
        let mut blocks = Vec::new();
        while !open.is_empty() {
            let mut wanted: Vec<Cell> = open.iter().flat_map(Block::cells).collect();
            wanted.extend(stations.iter().filter(|s| open.iter().any(|b| b.contains(**s))));
            self.learn(&mut known, wanted);
            let mut next = Vec::new();
            for mut block in open {
                block.at = block.cells().map(|cell| known.number[&cell]);
                if self.fits(&block, &known, stations) {
                    blocks.push(block);
                } else {
                    next.extend(block.parts());
                }
            }
            open = next;
        }
        (TileMesh { nodes: known.cells, blocks }, known.all.concat())
    }

    fn learn(&self, known: &mut Known, wanted: Vec<Cell>) {
        let first = known.cells.len();
        for cell in wanted {
            let number = u32::try_from(known.cells.len()).expect("cells of a tile");
            known.number.entry(cell).or_insert_with(|| {
                known.cells.push(cell);
                number
            });
        }
        let cells = known.cells[first..].iter();
        let cells =
            cells.map(|c| (self.origin.0 + usize::from(c.0), self.origin.1 + usize::from(c.1)));
        let places = self.place.of(cells);
        let values = self.variance.at(&places, self.gaps, Par::Seq);
        known.values.extend_from_slice(values.col_as_slice(0));
        for (mask, all) in known.all.iter_mut().enumerate() {
            all.extend(values.col_as_slice(mask).iter().map(|&v| single(v)));
        }
    }

    fn fits(&self, block: &Block, known: &Known, stations: &[Cell]) -> bool {
        if block.is_smallest() {
            return true;
        }
        let off = |got: f64, cell: Cell| {
            let want = known.values[known.number[&cell] as usize];
            (got.max(0.0).sqrt() - want.sqrt()).abs() / self.median
        };
        let bent =
            block.cells().into_iter().any(|c| off(block.bilinear(&known.values, c), c) > BENT);
        let mut inside = stations.iter().filter(|cell| block.contains(**cell));
        !bent && !inside.any(|&cell| off(block.at_cell(&known.values, cell), cell) > ALLOWED)
    }
}

impl Block {
    fn cells(&self) -> [Cell; 9] {
        let [row, column] = self.middle();
        let rows = [self.rows[0], row, self.rows[1]];
        let columns = [self.columns[0], column, self.columns[1]];
        std::array::from_fn(|k| (rows[k / 3], columns[k % 3]))
    }

    fn middle(&self) -> [u16; 2] {
        [self.rows, self.columns].map(|[first, last]| u16::midpoint(first, last))
    }

    fn contains(&self, cell: Cell) -> bool {
        (self.rows[0]..=self.rows[1]).contains(&cell.0)
            && (self.columns[0]..=self.columns[1]).contains(&cell.1)
    }

    /// All cells are nodes.
    fn is_smallest(&self) -> bool {
        self.rows[1] - self.rows[0] <= 2 && self.columns[1] - self.columns[0] <= 2
    }

    fn parts(&self) -> Vec<Self> {
        let halves = |[first, last]: [u16; 2]| {
            if last - first <= 1 {
                return vec![[first, last]];
            }
            let middle = u16::midpoint(first, last);
            vec![[first, middle], [middle, last]]
        };
        let columns = halves(self.columns);
        let part = |rows| columns.iter().map(move |&columns| Self { rows, columns, at: [0; 9] });
        halves(self.rows).into_iter().flat_map(part).collect()
    }

    /// From the corners alone.
    fn bilinear(&self, values: &[f64], cell: Cell) -> f64 {
        let (s, t) = (along(self.rows, cell.0), along(self.columns, cell.1));
        let value = |k: usize| values[self.at[k] as usize];
        let (first, last) =
            ((1.0 - t) * value(0) + t * value(2), (1.0 - t) * value(6) + t * value(8));
        (1.0 - s) * first + s * last
    }

    /// σ² at a cell of the block.
    fn at_cell<V: Copy + Into<f64>>(&self, values: &[V], cell: Cell) -> f64 {
        let (rows, columns) = (quadratic(self.rows, cell.0), quadratic(self.columns, cell.1));
        let mut sum = 0.0;
        for (k, at) in self.at.iter().enumerate() {
            let value: f64 = values[*at as usize].into();
            sum += rows[k / 3] * columns[k % 3] * value;
        }
        sum.max(0.0)
    }
}

/// From the first to the last, 0 to 1.
fn along([first, last]: [u16; 2], at: u16) -> f64 {
    if last == first { 0.0 } else { f64::from(at - first) / f64::from(last - first) }
}

/// Lagrange's weights of the first, middle and last of a side.
fn quadratic(side: [u16; 2], at: u16) -> [f64; 3] {
    let s = along(side, at);
    if side[1] - side[0] <= 1 {
        return [1.0 - s, 0.0, s];
    }
    let m = along(side, u16::midpoint(side[0], side[1]));
    [(s - m) * (s - 1.0) / m, s * (s - 1.0) / (m * (m - 1.0)), s * (s - m) / (1.0 - m)]
}

/// First and last cell of the blocks that a side begins with.
fn cuts(side: usize) -> Vec<u16> {
    let parts = (side - 1).div_ceil(LARGEST_BLOCK).max(1);
    (0..=parts).map(|k| small(k * (side - 1) / parts)).collect()
}

fn small(cell: usize) -> u16 {
    u16::try_from(cell).expect("a tile has at most 128 cells each way")
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits are more than it is known to")]
fn single(value: f64) -> f32 {
    value as f32
}

/// The middle one of some numbers; 0 of none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
