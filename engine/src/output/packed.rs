//! From what a run hands over to the packed chunks of a file, each with its key: the same bytes
//! whether they go into the file at once ([`NetcdfFile`](super::NetcdfFile)) or wait in a part of a
//! job's work ([`blocks`](crate::blocks)).

use super::chunk::ChunkShape;
use super::layout::Layout;
use super::{FieldId, StationValues, Tile};
use crate::storage::{Digits, Storage};
use crate::uncertainty::{Layer, LayerOf};

/// Variables of the file for each variable of the layout.
pub(super) const KINDS: usize = 4;
pub(super) const MAP: usize = 0;
const READING: usize = 1;
const RESIDUAL: usize = 2;
const FLAG: usize = 3;

/// Which chunk of which variable of the file: those of the layout, [`KINDS`] each, then the layers.
/// The order is that in which chunks are put into a file from parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChunkKey {
    /// Index of the variable.
    pub(crate) variable: usize,
    /// Index of the time.
    pub(crate) time: usize,
    /// First row.
    pub(crate) row: usize,
    /// First column, place or station.
    pub(crate) column: usize,
}

/// Packs what a run hands over.
#[derive(Debug)]
pub(crate) struct Packer {
    variables: usize,
    layers: Vec<LayerOf>,
    map_chunk: ChunkShape,
    station_chunk: ChunkShape,
}

impl Packer {
    pub(crate) fn new(layout: &Layout<'_>) -> Self {
        let (storage, tiling) = (layout.storage, &layout.tiling);
        Self {
            variables: layout.variables.len(),
            layers: layout.layers.to_vec(),
            map_chunk: ChunkShape { rows: tiling.tile_rows, columns: tiling.tile_columns, storage },
            station_chunk: ChunkShape {
                rows: 1,
                columns: layout.stations.len(),
                storage: Storage { digits: Digits::Exact, ..storage },
            },
        }
    }

    /// Whether chunks of a variable of the file hold what is known at stations.
    pub(super) fn is_of_stations(&self, variable: usize) -> bool {
        variable < self.variables * KINDS && variable % KINDS != MAP
    }

    /// The chunks of a tile of maps.
    pub(crate) fn tile<E>(
        &self,
        tile: Tile<'_>,
        put: impl Fn(ChunkKey, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.maps(tile, |field| Some(field.variable * KINDS + MAP), put)
    }

    /// The chunks of a tile of a layer. Layers are announced by the layout; others have no place.
    pub(crate) fn layer<E>(
        &self,
        layer: Layer,
        tile: Tile<'_>,
        put: impl Fn(ChunkKey, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let variable = |field: FieldId| {
            let wanted = (field.variable, layer);
            let k = self.layers.iter().position(|of| *of == wanted)?;
            Some(self.variables * KINDS + k)
        };
        self.maps(tile, variable, put)
    }

    fn maps<E>(
        &self,
        tile: Tile<'_>,
        variable: impl Fn(FieldId) -> Option<usize>,
        put: impl Fn(ChunkKey, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (rows, columns) = (tile.rows.len(), tile.columns.len());
        for (&field, values) in tile.fields.iter().zip(tile.values.chunks_exact(rows * columns)) {
            let Some(variable) = variable(field) else { continue };
            let (row, column) = (tile.rows.start, tile.columns.start);
            let key = ChunkKey { variable, time: field.time, row, column };
            self.map_chunk.pack(values, columns, |bytes| put(key, bytes))?;
        }
        Ok(())
    }

    /// The chunks of what is known at stations.
    pub(crate) fn stations<E>(
        &self,
        of: StationValues<'_>,
        put: impl Fn(ChunkKey, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let n = self.station_chunk.columns;
        let each = of.values.chunks_exact(n).zip(of.residuals.chunks_exact(n));
        let each = each.zip(of.flags.chunks_exact(n));
        for (&field, ((values, residuals), flags)) in of.fields.iter().zip(each) {
            let key = |kind| ChunkKey {
                variable: field.variable * KINDS + kind,
                time: field.time,
                row: 0,
                column: 0,
            };
            self.station_chunk.pack_bytes(flags, |bytes| put(key(FLAG), bytes))?;
            self.station_chunk.pack(values, n, |bytes| put(key(READING), bytes))?;
            self.station_chunk.pack(residuals, n, |bytes| put(key(RESIDUAL), bytes))?;
        }
        Ok(())
    }
}
