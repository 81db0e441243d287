//! NetCDF of time series at stations: the discrete sampling geometries of CF 1.11 (chapter 9, appendix H.2), and
//! the readings in our own files.
//!
//! ```text
//! orthogonal            v(station, time), time(time)       also v(time, station)
//! incomplete            v(station, obs),  time(station, obs)
//! contiguous ragged     v(obs), time(obs), row_size(station) with `sample_dimension`
//! indexed ragged        v(obs), time(obs), index(obs) with `instance_dimension`
//! one station           v(time), time(time), lon and lat without dimensions
//! points                v(obs), time(obs), lon(obs), lat(obs)
//! ```
//!
//! Read by a library in Rust, not by the C library that writes our files: that one was not made for files of
//! strangers. Values come in slabs, and go on reading by reading, as rows of a table.

mod shape;
mod slabs;

use std::sync::Arc;

use netcdf_reader::{FileStorage, NcFile, NcOpenOptions};

use super::binary::{Form, reading};
use super::collect::Collector;
use super::error::ReadError;
use super::text::Bytes;
use shape::{Series, Shapes};

/// A chunk, a read, and what is known of the file may take so many bytes unpacked.
const CHUNK: usize = 64 << 20;
const METADATA: usize = 8 << 20;

/// Reads a NetCDF file.
pub(super) fn read(bytes: Bytes, collector: &mut Collector<'_>) -> Result<(), ReadError> {
    let name = bytes.name.clone();
    let file = bytes.into_file()?;
    let file = reading(&name, Form::NetCdf, || {
        let options = NcOpenOptions {
            chunk_cache_bytes: CHUNK,
            max_chunk_bytes: CHUNK,
            max_read_bytes: CHUNK,
            max_object_header_bytes: METADATA,
            ..NcOpenOptions::default()
        };
        NcFile::from_storage_with_options(Arc::new(FileStorage::from_file(file)?), options)
    })?;
    let input = Input { name: &name, file: &file };
    let Shapes { all, ignored } = Shapes::of(&input, collector.options.planar)?;
    if all.is_empty() {
        let why = if ignored.is_empty() { "no variables".to_owned() } else { ignored.join("; ") };
        let message = format!(
            "no time series at stations in it ({why}); they have coordinates lon, lat and time as CF's discrete \
             sampling geometries"
        );
        return Err(ReadError::NotReadings { name, message });
    }
    collector.report.ignored.extend(ignored);
    let elements: u64 = all.iter().map(Series::elements).fold(0, u64::saturating_add);
    let limit = collector.options.max_unpacked_bytes / 2;
    if elements > limit {
        let what = format!("{elements} readings");
        return Err(ReadError::TooMuch { name, what, limit });
    }
    let mut any = false;
    for series in &all {
        any |= slabs::each(&input, series, collector)?;
        for variable in &series.variables {
            let Some(units) = &variable.units else { continue };
            let Some(number) = collector.known_variable(&variable.name) else { continue };
            collector.units(number).get_or_insert_with(|| units.clone());
        }
    }
    if any { Ok(()) } else { Err(ReadError::HeaderOnly { name }) }
}

/// A file that is open.
struct Input<'a> {
    name: &'a str,
    file: &'a NcFile,
}

impl<'a> Input<'a> {
    /// Calls the library.
    fn call<T>(
        &self,
        call: impl FnOnce(&'a NcFile) -> netcdf_reader::Result<T>,
    ) -> Result<T, ReadError> {
        reading(self.name, Form::NetCdf, || call(self.file))
    }

    /// What makes no sense in it.
    fn wrong(&self, message: String) -> ReadError {
        ReadError::NotReadings { name: self.name.to_owned(), message }
    }
}
