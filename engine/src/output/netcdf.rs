//! Maps as a NetCDF-4 file of the classic model.
//!
//! The head is written by the NetCDF library ([`header`](super::header)); then the same file is
//! reopened through HDF5, and each tile, compressed on the thread that made it, is put in as a
//! ready-made chunk; at the end attributes are added that only the report knows.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use netcdf::{FileMut, Options};

use super::atomic::AtomicFile;
use super::attributes;
use super::cf::Naming;
use super::chunk::ChunkShape;
use super::hdf5::{self, ChunkFile};
use super::layout::Layout;
use super::{Sink, StationValues, Tile, header};
use crate::error::Error;
use crate::grid::Targets;
use crate::report::Report;
use crate::storage::{Digits, Storage};
use crate::uncertainty::{Layer, LayerOf};

/// A file of maps being written. Dropped without [`finish`](Self::finish), nothing is left of it.
#[derive(Debug)]
pub struct NetcdfFile {
    path: PathBuf,
    /// None once it is in its place.
    place: Option<AtomicFile>,
    /// Open from the first chunk to the last: by then the solver has given back what it needed.
    chunks: OnceLock<ChunkFile>,
    names: Vec<Naming>,
    /// With the names of their variables.
    layers: Vec<(LayerOf, String)>,
    has_times: bool,
    on_grid: bool,
    map_chunk: ChunkShape,
    station_chunk: ChunkShape,
}

/// Variables of the file for each variable of the layout, in the order of [`ChunkFile`].
const KINDS: usize = 4;
const MAP: usize = 0;
const READING: usize = 1;
const RESIDUAL: usize = 2;
const FLAG: usize = 3;

impl NetcdfFile {
    /// Begins the file, beside its place.
    ///
    /// # Errors
    /// If it cannot be written there.
    pub fn create(path: &Path, layout: &Layout<'_>) -> Result<Self, Error> {
        let (storage, tiling) = (layout.storage, &layout.tiling);
        let mut file = Self {
            path: path.to_owned(),
            place: Some(AtomicFile::create(path)?),
            chunks: OnceLock::new(),
            names: Vec::new(),
            layers: Vec::new(),
            has_times: layout.has_times(),
            on_grid: matches!(layout.targets, Targets::Grid(_)),
            map_chunk: ChunkShape { rows: tiling.tile_rows, columns: tiling.tile_columns, storage },
            station_chunk: ChunkShape {
                rows: 1,
                columns: layout.stations.len(),
                storage: Storage { digits: Digits::Exact, ..storage },
            },
        };
        file.begin(layout).map_err(|message| file.error(message))?;
        Ok(file)
    }

    /// Adds what the report says, syncs the file and puts it in its place.
    ///
    /// # Errors
    /// If the disk is full or fails; then nothing is left behind.
    pub fn finish(mut self, report: &Report) -> Result<(), Error> {
        self.end(report).map_err(|message| self.error(message))?;
        match self.place.take() {
            Some(place) => place.commit(),
            None => Ok(()),
        }
    }

    fn begin(&mut self, layout: &Layout<'_>) -> Result<(), String> {
        let Some(place) = &self.place else { return Ok(()) };
        hdf5::silence();
        let file = netcdf::create_with(place.path(), Options::NETCDF4 | Options::CLASSIC);
        let (names, layers) = with_netcdf(place, file, |file| header::write(file, layout))?;
        self.names = names;
        self.layers = layout.layers.iter().copied().zip(layers).collect();
        Ok(())
    }

    fn chunks(&self) -> Result<&ChunkFile, String> {
        if let (None, Some(place)) = (self.chunks.get(), &self.place) {
            let names = self.names.iter();
            let mut variables: Vec<&str> =
                names.flat_map(|n| [n.map.as_str(), &n.reading, &n.residual, &n.flag]).collect();
            variables.extend(self.layers.iter().map(|(_, name)| name.as_str()));
            // Should two threads come here at once, the library opens the file once.
            let _ = self.chunks.set(ChunkFile::open(place.path(), &variables)?);
        }
        self.chunks.get().ok_or_else(|| "the file is finished".to_owned())
    }

    fn end(&mut self, report: &Report) -> Result<(), String> {
        let chunks = self.chunks()?;
        for (name, value) in attributes::of_report(report) {
            chunks.put_attribute(None, &name, &value)?;
        }
        for of in &report.variables {
            let variable = self.names.iter().position(|name| name.long_name == of.variable);
            let (Some(variable), Some(errors)) = (variable, &of.leave_one_out) else { continue };
            let mut all = attributes::of_errors(errors);
            // Where every field has its own, the report tells which.
            let mut methods = report.methods.iter().filter(|m| m.variables.contains(&of.variable));
            if let (Some(method), None) = (methods.next(), methods.next()) {
                all.extend(attributes::of_transform(method));
                if report.methods.len() > 1 {
                    all.extend(attributes::of_method(method));
                }
            }
            for (name, value) in all {
                chunks.put_attribute(Some(variable * KINDS + MAP), &name, &value)?;
            }
        }
        // A file that cannot be flushed must not be closed: see `drop`.
        chunks.flush()?;
        self.chunks.take().map_or(Ok(()), ChunkFile::close)
    }

    /// Where in a map a chunk begins; dimensions as in [`header`](super::header).
    fn map_offset(&self, time: usize, row: usize, column: usize) -> Vec<u64> {
        match (self.on_grid, self.has_times) {
            (true, true) => vec![time as u64, row as u64, column as u64],
            (true, false) => vec![row as u64, column as u64],
            (false, _) => self.list_offset(time, column),
        }
    }

    /// The same in a variable of stations or of places.
    fn list_offset(&self, time: usize, first: usize) -> Vec<u64> {
        if self.has_times { vec![first as u64, time as u64] } else { vec![first as u64] }
    }

    fn write_chunk(
        &self,
        shape: ChunkShape,
        values: &[f64],
        columns: usize,
        variable: usize,
        offset: &[u64],
    ) -> Result<(), Error> {
        let chunks = self.chunks().map_err(|message| self.error(message))?;
        shape
            .pack(values, columns, |bytes| chunks.write(variable, offset, bytes))
            .map_err(|message| self.error(message))
    }

    fn error(&self, message: String) -> Error {
        Error::NetCdf { path: self.path.clone(), message }
    }
}

impl Sink for NetcdfFile {
    fn tile(&self, tile: Tile<'_>) -> Result<(), Error> {
        let (rows, columns) = (tile.rows.len(), tile.columns.len());
        for (&field, values) in tile.fields.iter().zip(tile.values.chunks_exact(rows * columns)) {
            let offset = self.map_offset(field.time, tile.rows.start, tile.columns.start);
            let variable = field.variable * KINDS + MAP;
            self.write_chunk(self.map_chunk, values, columns, variable, &offset)?;
        }
        Ok(())
    }

    fn layer(&self, layer: Layer, tile: Tile<'_>) -> Result<(), Error> {
        let (rows, columns) = (tile.rows.len(), tile.columns.len());
        for (&field, values) in tile.fields.iter().zip(tile.values.chunks_exact(rows * columns)) {
            let wanted = (field.variable, layer);
            // Layers are announced by the layout; others would have no place.
            let Some(k) = self.layers.iter().position(|(of, _)| *of == wanted) else { continue };
            let offset = self.map_offset(field.time, tile.rows.start, tile.columns.start);
            let variable = self.names.len() * KINDS + k;
            self.write_chunk(self.map_chunk, values, columns, variable, &offset)?;
        }
        Ok(())
    }

    fn stations(&self, of: StationValues<'_>) -> Result<(), Error> {
        let n = self.station_chunk.columns;
        let each = of.values.chunks_exact(n).zip(of.residuals.chunks_exact(n));
        let each = each.zip(of.flags.chunks_exact(n));
        for (&field, ((values, residuals), flags)) in of.fields.iter().zip(each) {
            let offset = self.list_offset(field.time, 0);
            let chunks = self.chunks().map_err(|message| self.error(message))?;
            let variable = field.variable * KINDS + FLAG;
            self.station_chunk
                .pack_bytes(flags, |bytes| chunks.write(variable, &offset, bytes))
                .map_err(|message| self.error(message))?;
            for (kind, values) in [(READING, values), (RESIDUAL, residuals)] {
                let variable = field.variable * KINDS + kind;
                self.write_chunk(self.station_chunk, values, n, variable, &offset)?;
            }
        }
        Ok(())
    }

    fn batch_done(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl Drop for NetcdfFile {
    /// HDF5 cannot give up a file: closing writes what it holds, and where that fails the library
    /// keeps the file forever. On a full disk, cutting off what is written makes room for it.
    fn drop(&mut self) {
        if let (Some(chunks), Some(place)) = (self.chunks.take(), &self.place) {
            let _ = place.file().set_len(0);
            drop(chunks);
        }
    }
}

/// Runs `work` on an open file and closes it, in such a way that it closes also on a full disk.
fn with_netcdf<T>(
    place: &AtomicFile,
    file: netcdf::Result<FileMut>,
    work: impl FnOnce(&mut FileMut) -> netcdf::Result<T>,
) -> Result<T, String> {
    let mut file = file.map_err(|error| message(&error))?;
    match work(&mut file).and_then(|value| file.sync().map(|()| value)) {
        Ok(value) => file.close().map(|()| value).map_err(|error| message(&error)),
        Err(error) => {
            let message = message(&error);
            // As in `drop` of `NetcdfFile`.
            let _ = place.file().set_len(0);
            drop(file);
            Err(message)
        }
    }
}

/// What the library said, and beneath it what HDF5 said, where it was that.
fn message(error: &netcdf::Error) -> String {
    match hdf5::last_error() {
        Some(reason) => format!("{error}: {reason}"),
        None => error.to_string(),
    }
}
