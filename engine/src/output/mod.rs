//! Where tiles go: the interface of every kind of output.

mod atomic;
mod attributes;
mod cf;
mod chunk;
mod coordinates;
mod hdf5;
mod header;
mod heads;
mod layers;
mod layout;
mod memory;
mod netcdf;
mod packed;
pub(crate) mod plausible;
mod points_csv;
mod zlib;

use std::ops::Range;

pub use atomic::{AtomicFile, sync_directory};
pub(crate) use cf::{is_concentration, udunits};
pub use chunk::FILL_VALUE;
pub(crate) use hdf5::{NcChar, silence as silence_hdf5};
pub use heads::Heads;
pub use layout::{Layout, Provenance};
pub use memory::{Maps, MapsInMemory};
pub use netcdf::NetcdfFile;
pub(crate) use netcdf::with_netcdf;
pub(crate) use packed::{ChunkKey, Packer};
pub use points_csv::PointsCsv;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::uncertainty::Layer;

/// One field: one variable at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldId {
    /// Index into [`Observations::times`](crate::Observations).
    pub time: usize,
    /// Index into [`Observations::variables`](crate::Observations).
    pub variable: usize,
}

/// Some rows and columns of some fields. For a list of places: one row.
#[derive(Clone, Copy, Debug)]
pub struct Tile<'a> {
    /// Which fields, in the order of `values`.
    pub fields: &'a [FieldId],
    /// Rows of the grid.
    pub rows: &'a Range<usize>,
    /// Columns of the grid.
    pub columns: &'a Range<usize>,
    /// `values[(f * rows + row) * columns + column]`; NaN where a field could not be mapped.
    pub values: &'a [f64],
}

/// What is known at the stations of the network once a batch of fields is solved.
#[derive(Clone, Copy, Debug)]
pub struct StationValues<'a> {
    /// Which fields, in the order of the columns.
    pub fields: &'a [FieldId],
    /// Readings used: `values[f * stations + station]`, NaN where missing.
    pub values: &'a [f64],
    /// Leave-one-out residuals, observed minus predicted, laid out likewise.
    pub residuals: &'a [f64],
    /// Flags of the readings (see [`Flag::mask`](crate::quality::Flag::mask)), laid out likewise;
    /// [`NO_READING`](crate::quality::NO_READING) where there is none. A flagged reading that is
    /// missing from `values` was rejected.
    pub flags: &'a [u8],
}

/// Takes what a run makes. Called from many threads at once: the slow part (compressing) runs on
/// the caller's thread; whatever must be one at a time is behind the sink's own lock.
pub trait Sink: Sync {
    /// One tile; every cell of every field comes exactly once.
    ///
    /// # Errors
    /// If it cannot be written; the run stops.
    fn tile(&self, tile: Tile<'_>) -> Result<(), Error>;

    /// One tile of a layer beside the maps, of one field; as [`tile`](Self::tile), after the map's. A
    /// sink that keeps no layers lets it pass.
    ///
    /// # Errors
    /// If it cannot be written; the run stops.
    fn layer(&self, layer: Layer, tile: Tile<'_>) -> Result<(), Error> {
        let _ = (layer, tile);
        Ok(())
    }

    /// The stations' values of a batch of fields, before any of its tiles.
    ///
    /// # Errors
    /// If they cannot be written; the run stops.
    fn stations(&self, values: StationValues<'_>) -> Result<(), Error>;

    /// Every tile of the fields announced last has been taken.
    ///
    /// # Errors
    /// If something kept until now cannot be written; the run stops.
    fn batch_done(&self) -> Result<(), Error>;
}
