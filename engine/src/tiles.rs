//! Cuts a grid into tiles, each one chunk of the output.

use std::ops::Range;

/// Rows and columns of a grid cut into equal tiles; those at the far edges may be smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Rows of the grid.
    pub rows: usize,
    /// Columns of the grid.
    pub columns: usize,
    /// Rows of a tile, and of a chunk in the file.
    pub tile_rows: usize,
    /// Columns of a tile, and of a chunk in the file.
    pub tile_columns: usize,
}

/// The longest side of a tile. With 128×128 cells, a tile of 16 fields in 64 bits is 2 MB, and a
/// chunk in 32 bits 64 KB; halving or doubling it changes the evaluation's time by less than noise.
const LONGEST_SIDE: usize = 128;

impl Tiling {
    /// Tiles of at most 128 cells each way, as equal as they come.
    #[must_use]
    pub fn new(rows: usize, columns: usize) -> Self {
        let side = |cells: usize| cells.div_ceil(cells.div_ceil(LONGEST_SIDE).max(1)).max(1);
        // A single row (a list of places) is cut into pieces as large as a tile.
        let tile_columns =
            if rows == 1 { columns.clamp(1, LONGEST_SIDE * LONGEST_SIDE) } else { side(columns) };
        Self { rows, columns, tile_rows: side(rows), tile_columns }
    }

    /// Number of tiles.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rows.div_ceil(self.tile_rows) * self.columns.div_ceil(self.tile_columns)
    }

    /// Rows and columns of tile `k`, row by row.
    #[must_use]
    pub fn tile(&self, k: usize) -> (Range<usize>, Range<usize>) {
        let across = self.columns.div_ceil(self.tile_columns);
        let (row, column) = (k / across * self.tile_rows, k % across * self.tile_columns);
        (
            row..(row + self.tile_rows).min(self.rows),
            column..(column + self.tile_columns).min(self.columns),
        )
    }

    /// Cells of the largest tile.
    #[must_use]
    pub fn cells_of_a_tile(&self) -> usize {
        self.tile_rows * self.tile_columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_cell_once() {
        for (rows, columns) in [(1, 1), (1, 40_000), (1000, 1400), (129, 128), (7, 300)] {
            let tiling = Tiling::new(rows, columns);
            let mut seen = vec![0_u8; rows * columns];
            for k in 0..tiling.count() {
                let (r, c) = tiling.tile(k);
                assert!(r.len() * c.len() <= tiling.cells_of_a_tile());
                for row in r {
                    for column in c.clone() {
                        seen[row * columns + column] += 1;
                    }
                }
            }
            assert!(seen.iter().all(|&n| n == 1), "{rows}×{columns}");
        }
    }
}
