//! Maps as a NetCDF-4 file of the classic model.
//!
//! The head is written by the NetCDF library ([`header`](super::header)); then the same file is
//! reopened through HDF5, and each tile, compressed on the thread that made it, is put in as a
//! ready-made chunk; at the end attributes are added that only the report knows.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use netcdf::{FileMut, Options};

use super::atomic::AtomicFile;
use super::attributes::{self, Clock, Owned};
use super::cf::Naming;
use super::hdf5::{self, ChunkFile};
use super::heads::{Head, Heads};
use super::layout::Layout;
use super::packed::{ChunkKey, KINDS, MAP, Packer};
use super::{Sink, StationValues, Tile, header};
use crate::error::Error;
use crate::grid::Targets;
use crate::report::Report;
use crate::uncertainty::Layer;

/// A file of maps being written. Dropped without [`finish`](Self::finish), nothing is left of it.
#[derive(Debug)]
pub struct NetcdfFile {
    path: PathBuf,
    /// None once it is in its place.
    place: Option<AtomicFile>,
    /// Open from the first chunk to the last: by then the solver has given back what it needed.
    chunks: OnceLock<ChunkFile>,
    names: Vec<Naming>,
    /// Names of the layers' variables.
    layers: Vec<String>,
    has_times: bool,
    on_grid: bool,
    packer: Packer,
    /// What a file in memory was begun with, and the attributes of a report that it had.
    head: Option<(Arc<Head>, Vec<Owned>)>,
}

impl NetcdfFile {
    /// Begins the file, beside its place.
    ///
    /// # Errors
    /// If it cannot be written there.
    pub fn create(path: &Path, layout: &Layout<'_>) -> Result<Self, Error> {
        Self::create_at(AtomicFile::create(path)?, path, layout)
    }

    /// The same where the hidden file is there already.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub(crate) fn create_at(
        place: AtomicFile,
        path: &Path,
        layout: &Layout<'_>,
    ) -> Result<Self, Error> {
        let mut file = Self::shaped(path.to_owned(), Some(place), layout);
        file.begin(layout).map_err(|message| file.error(message))?;
        Ok(file)
    }

    /// With the shapes that a layout gives, and nothing written.
    fn shaped(path: PathBuf, place: Option<AtomicFile>, layout: &Layout<'_>) -> Self {
        Self {
            path,
            place,
            chunks: OnceLock::new(),
            names: Vec::new(),
            layers: Vec::new(),
            has_times: layout.has_times(),
            on_grid: matches!(layout.targets, Targets::Grid(_)),
            packer: Packer::new(layout),
            head: None,
        }
    }

    /// Begins a file in memory, with the head of files like it where there was one.
    ///
    /// # Errors
    /// If a new head cannot be written to the folder of temporary files.
    pub fn in_memory(layout: &Layout<'_>, heads: &Heads) -> Result<Self, Error> {
        let mut file = Self::shaped(PathBuf::from("in memory"), None, layout);
        file.begin_in_memory(layout, heads).map_err(|message| file.error(message))?;
        Ok(file)
    }

    /// Adds what the report says; the bytes of the file.
    ///
    /// # Errors
    /// If the library says no.
    pub fn into_bytes(mut self, report: &Report) -> Result<Vec<u8>, Error> {
        let bytes = self.tell(report, Clock::Told).and_then(|()| {
            let bytes = self.chunks()?.image();
            self.chunks.take().map_or(Ok(()), ChunkFile::close)?;
            bytes
        });
        bytes.map_err(|message| self.error(message))
    }

    /// Adds what the report says, syncs the file and puts it in its place.
    ///
    /// # Errors
    /// If the disk is full or fails; then nothing is left behind.
    pub fn finish(self, report: &Report) -> Result<(), Error> {
        self.finish_with(report, Clock::Told)
    }

    /// The same without seconds, memory and threads, so that the bytes do not tell when and where the
    /// file was made.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub(crate) fn finish_timeless(self, report: &Report) -> Result<(), Error> {
        self.finish_with(report, Clock::LeftOut)
    }

    fn finish_with(mut self, report: &Report, clock: Clock) -> Result<(), Error> {
        self.end(report, clock).map_err(|message| self.error(message))?;
        match self.place.take() {
            Some(place) => place.commit(),
            None => Ok(()),
        }
    }

    fn begin(&mut self, layout: &Layout<'_>) -> Result<(), String> {
        let Some(place) = &self.place else { return Ok(()) };
        let (names, layers) = write_head(place, layout)?;
        self.names = names;
        self.layers = layers;
        Ok(())
    }

    fn begin_in_memory(&mut self, layout: &Layout<'_>, heads: &Heads) -> Result<(), String> {
        let attributes = attributes::of_layout(layout);
        let head = heads.get(layout, &attributes)?;
        self.names.clone_from(&head.names);
        self.layers = head.layers.clone();
        let (chunks, told) = head.open(&self.variables())?;
        head.renew(layout, &attributes, &chunks)?;
        // It is new: nobody else has set it.
        let _ = self.chunks.set(chunks);
        let told = told.to_vec();
        self.head = Some((head, told));
        Ok(())
    }

    /// Names of the variables in chunks, in the order of [`ChunkFile`].
    fn variables(&self) -> Vec<&str> {
        let names = self.names.iter();
        let mut variables: Vec<&str> =
            names.flat_map(|n| [n.map.as_str(), &n.reading, &n.residual, &n.flag]).collect();
        variables.extend(self.layers.iter().map(String::as_str));
        variables
    }

    fn chunks(&self) -> Result<&ChunkFile, String> {
        if let (None, Some(place)) = (self.chunks.get(), &self.place) {
            // Should two threads come here at once, the library opens the file once.
            let _ = self.chunks.set(ChunkFile::open(place.path(), &self.variables())?);
        }
        self.chunks.get().ok_or_else(|| "the file is finished".to_owned())
    }

    fn end(&mut self, report: &Report, clock: Clock) -> Result<(), String> {
        self.tell(report, clock)?;
        self.chunks.take().map_or(Ok(()), ChunkFile::close)
    }

    /// Adds what the report says, and writes what the library holds.
    fn tell(&self, report: &Report, clock: Clock) -> Result<(), String> {
        let (chunks, all) = (self.chunks()?, self.told(report, clock));
        let before = self.head.as_ref().map_or(&[][..], |(_, told)| told);
        let same = |a: &Owned, b: &Owned| a.0 == b.0 && a.1.0 == b.1.0;
        for gone in before.iter().filter(|old| !all.iter().any(|new| same(old, new))) {
            chunks.remove_attribute(gone.0, &gone.1.0)?;
        }
        for new in &all {
            let (variable, (name, value)) = new;
            match before.iter().find(|old| same(old, new)) {
                None => chunks.put_attribute(*variable, name, value)?,
                Some((_, (_, old))) if old != value => {
                    chunks.change_attribute(*variable, name, old, value)?;
                }
                Some(_) => {}
            }
        }
        if let Some((head, _)) = &self.head {
            head.remember(&self.variables(), all)?;
        }
        // A file that cannot be flushed must not be closed: see `drop`.
        chunks.flush()
    }

    /// What the report says, as attributes of the file and of maps.
    fn told(&self, report: &Report, clock: Clock) -> Vec<Owned> {
        let of_report = attributes::of_report(report, clock).into_iter();
        let mut all: Vec<Owned> = of_report.map(|attribute| (None, attribute)).collect();
        for of in &report.variables {
            let variable = self.names.iter().position(|name| name.long_name == of.variable);
            let (Some(variable), Some(errors)) = (variable, &of.leave_one_out) else { continue };
            let mut of_map = attributes::of_errors(errors);
            // Where every field has its own, the report tells which.
            let mut methods = report.methods.iter().filter(|m| m.variables.contains(&of.variable));
            if let (Some(method), None) = (methods.next(), methods.next()) {
                of_map.extend(attributes::of_transform(method));
                if report.methods.len() > 1 {
                    of_map.extend(attributes::of_method(method));
                }
            }
            let number = variable * KINDS + MAP;
            all.extend(of_map.into_iter().map(|attribute| (Some(number), attribute)));
        }
        all
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

    /// Puts a packed chunk in its place.
    ///
    /// # Errors
    /// If the library refuses.
    pub(crate) fn put(&self, key: ChunkKey, bytes: &[u8]) -> Result<(), Error> {
        let offset = if self.packer.is_of_stations(key.variable) {
            self.list_offset(key.time, 0)
        } else {
            self.map_offset(key.time, key.row, key.column)
        };
        let chunks = self.chunks().map_err(|message| self.error(message))?;
        chunks.write(key.variable, &offset, bytes).map_err(|message| self.error(message))
    }

    fn error(&self, message: String) -> Error {
        Error::NetCdf { path: self.path.clone(), message }
    }
}

impl Sink for NetcdfFile {
    fn tile(&self, tile: Tile<'_>) -> Result<(), Error> {
        self.packer.tile(tile, |key, bytes| self.put(key, bytes))
    }

    fn layer(&self, layer: Layer, tile: Tile<'_>) -> Result<(), Error> {
        self.packer.layer(layer, tile, |key, bytes| self.put(key, bytes))
    }

    fn stations(&self, of: StationValues<'_>) -> Result<(), Error> {
        self.packer.stations(of, |key, bytes| self.put(key, bytes))
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

/// Writes the head; how the variables and the layers are called.
pub(super) fn write_head(
    place: &AtomicFile,
    layout: &Layout<'_>,
) -> Result<(Vec<Naming>, Vec<String>), String> {
    hdf5::silence();
    let file = netcdf::create_with(place.path(), Options::NETCDF4 | Options::CLASSIC);
    with_netcdf(place, file, |file| header::write(file, layout))
}

/// Runs `work` on an open file and closes it, in such a way that it closes also on a full disk.
pub(crate) fn with_netcdf<T>(
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
