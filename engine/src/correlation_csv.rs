//! Pairs of stations as CSV, written as they come.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::correlation::Pair;
use crate::error::Error;
use crate::output::AtomicFile;

/// A table of pairs being written. Dropped without [`finish`](Self::finish), nothing is left of it.
pub struct PairsCsv {
    path: PathBuf,
    writer: csv::Writer<Box<dyn Write + Send>>,
    place: Option<AtomicFile>,
}

impl PairsCsv {
    /// Begins the table beside its place; `-` is standard output. `distance` is the column's name.
    ///
    /// # Errors
    /// If it cannot be written there.
    pub fn create(path: &Path, distance: &str) -> Result<Self, Error> {
        let (place, stream): (_, Box<dyn Write + Send>) = if path.as_os_str() == "-" {
            (None, Box::new(std::io::stdout()))
        } else {
            let place = AtomicFile::create(path)?;
            let file = place.file().try_clone().map_err(|source| write_error(path, source))?;
            (Some(place), Box::new(file))
        };
        let stream: Box<dyn Write + Send> = Box::new(BufWriter::with_capacity(1 << 16, stream));
        let mut table =
            Self { path: path.to_owned(), writer: csv::Writer::from_writer(stream), place };
        let header = ["variable", "station_a", "station_b", distance, "readings", "correlation"];
        table.row(&header)?;
        Ok(table)
    }

    /// Adds a pair: distance to three decimals, correlation to six.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn pair(&mut self, pair: &Pair<'_>) -> Result<(), Error> {
        self.row(&[
            pair.variable,
            &pair.first.id,
            &pair.second.id,
            &format!("{:.3}", pair.distance),
            &pair.readings.to_string(),
            &format!("{:.6}", pair.correlation),
        ])
    }

    /// Syncs the table and puts it in its place.
    ///
    /// # Errors
    /// If the disk is full or fails; then nothing is left behind.
    pub fn finish(mut self) -> Result<(), Error> {
        self.writer.flush().map_err(|source| write_error(&self.path, source))?;
        self.place.map_or(Ok(()), AtomicFile::commit)
    }

    fn row(&mut self, cells: &[&str; 6]) -> Result<(), Error> {
        self.writer.write_record(cells).map_err(|error| write_error(&self.path, error.into()))
    }
}

fn write_error(path: &Path, source: std::io::Error) -> Error {
    Error::Io { action: "write", path: path.to_owned(), source }
}
