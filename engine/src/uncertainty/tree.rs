//! The cells of one tile that variances are computed at: a tree of blocks, divided until what is
//! interpolated within a block is right at its middle and at the cells of its stations.

use std::collections::HashMap;
use std::ops::Range;

use isopleth_kernels::{Par, Variance};

use super::mesh::{Place, single};

/// Sides of the blocks that a tile begins with, in cells, at most.
const LARGEST_BLOCK: usize = 32;

/// How far σ may be from what the corners of a block alone would give, at the five other cells it is
/// known at, relative to the median of the map. What three by three cells give is far better (typically
/// 1 %). The scale of σ, from some hundred residuals, is not known to 3 %.
const BENT: f64 = 0.1;

/// How wrong σ may be at a station's cell.
const ALLOWED: f64 = 0.05;

/// A cell of a tile: row and column in it.
pub(super) type Cell = (u16, u16);

#[derive(Debug)]
pub(super) struct TileMesh {
    pub(super) nodes: Vec<Cell>,
    pub(super) blocks: Vec<Block>,
}

/// Cells from corner to corner, both included.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) rows: [u16; 2],
    pub(super) columns: [u16; 2],
    /// Nodes, row by row: in the first, middle and last row and column.
    pub(super) at: [u32; 9],
}

/// One tile's tree under way.
pub(super) struct Builder<'a> {
    pub(super) place: Place<'a>,
    pub(super) origin: (usize, usize),
    pub(super) variance: &'a Variance<'a>,
    /// Of σ, over the map.
    pub(super) median: f64,
}

/// Values at cells looked at so far.
#[derive(Default)]
struct Known {
    number: HashMap<Cell, u32>,
    cells: Vec<Cell>,
    /// σ².
    values: Vec<f64>,
    /// The same as it is kept, and what covariates are expected to be.
    all: Vec<Vec<f32>>,
}

impl Builder<'_> {
    pub(super) fn build(
        &self,
        rows: &Range<usize>,
        columns: &Range<usize>,
        stations: &[Cell],
    ) -> (TileMesh, Vec<f32>) {
        let mut known =
            Known { all: vec![Vec::new(); 1 + self.variance.covariates()], ..Known::default() };
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
        let values = self.variance.at(&places, &[], Par::Seq);
        known.values.extend_from_slice(values.col_as_slice(0));
        for (layer, all) in known.all.iter_mut().enumerate() {
            all.extend(values.col_as_slice(layer).iter().map(|&v| single(v)));
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

    pub(super) fn contains(&self, cell: Cell) -> bool {
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

    /// What is interpolated at a cell of the block.
    pub(super) fn at_cell<V: Copy + Into<f64>>(&self, values: &[V], cell: Cell) -> f64 {
        let (rows, columns) = (quadratic(self.rows, cell.0), quadratic(self.columns, cell.1));
        let mut sum = 0.0;
        for (k, at) in self.at.iter().enumerate() {
            let value: f64 = values[*at as usize].into();
            sum += rows[k / 3] * columns[k % 3] * value;
        }
        sum
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

pub(super) fn small(cell: usize) -> u16 {
    u16::try_from(cell).expect("a tile has at most 128 cells each way")
}
