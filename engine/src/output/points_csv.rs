//! Values at places as a table: the columns of the places, a time, a column per variable.
//!
//! Rows come time by time, and within a time in the order of the places. Numbers are the shortest
//! that read back as the same 64 bits; a missing value is an empty cell.
//!
//! A row has all variables of a time. Where these come one after another, each with a method of its
//! own, values wait in an unnamed temporary file; else rows leave as they come.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::atomic::AtomicFile;
use super::attributes::iso;
use super::layers::suffix;
use super::{FieldId, Sink, StationValues, Tile};
use crate::error::Error;
use crate::grid::Places;
use crate::observations::{UnixSeconds, Variable};
use crate::uncertainty::{Layer, LayerOf};

/// A table of values at places being written. To a file, nothing is left of it when dropped
/// without [`finish`](Self::finish).
pub struct PointsCsv<'a> {
    path: PathBuf,
    place: Option<AtomicFile>,
    places: &'a Places,
    times: &'a [Option<UnixSeconds>],
    variables: usize,
    layers: &'a [LayerOf],
    state: Mutex<State<'a>>,
}

type Table<'a> = csv::Writer<Box<dyn Write + Send + 'a>>;

struct State<'a> {
    table: Table<'a>,
    fields: Vec<FieldId>,
    /// `values[f * places + place]` of the batch under way.
    values: Vec<f64>,
    /// Of the fields announced last, by layer and time: a value for each place.
    layers: BTreeMap<(usize, usize), Vec<f64>>,
    /// The first time whose rows are not written yet.
    next: usize,
    /// Columns that wait: `[time * columns + column]`, as many numbers as there are places.
    waiting: Vec<bool>,
    spool: Option<File>,
}

impl<'a> PointsCsv<'a> {
    /// Begins the file, beside its place.
    ///
    /// # Errors
    /// If it cannot be written there.
    pub fn create(
        path: &Path,
        places: &'a Places,
        variables: &[Variable],
        times: &'a [Option<UnixSeconds>],
        layers: &'a [LayerOf],
    ) -> Result<Self, Error> {
        let place = AtomicFile::create(path)?;
        let file = place.file().try_clone();
        let file =
            file.map_err(|source| Error::Io { action: "write", path: path.to_owned(), source })?;
        let mut table = Self::begin(path, Box::new(file), places, variables, times, layers)?;
        table.place = Some(place);
        Ok(table)
    }

    /// Begins a table on a stream, e.g. standard output; `name` is for messages.
    ///
    /// # Errors
    /// If the header cannot be written.
    pub fn to_stream(
        name: &str,
        stream: Box<dyn Write + Send + 'a>,
        places: &'a Places,
        variables: &[Variable],
        times: &'a [Option<UnixSeconds>],
        layers: &'a [LayerOf],
    ) -> Result<Self, Error> {
        Self::begin(Path::new(name), stream, places, variables, times, layers)
    }

    /// Writes what is left, syncs and renames.
    ///
    /// # Errors
    /// If the disk is full or fails, or nobody reads the stream any more.
    pub fn finish(self) -> Result<(), Error> {
        self.write(|state| self.write_waiting(state))?;
        let Self { path, place, state, .. } = self;
        let mut state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.table.flush().map_err(|source| Error::Io { action: "write", path, source })?;
        place.map_or(Ok(()), AtomicFile::commit)
    }

    fn begin(
        path: &Path,
        stream: Box<dyn Write + Send + 'a>,
        places: &'a Places,
        variables: &[Variable],
        times: &'a [Option<UnixSeconds>],
        layers: &'a [LayerOf],
    ) -> Result<Self, Error> {
        let table = csv::WriterBuilder::new().buffer_capacity(1 << 16).from_writer(stream);
        let state = State {
            table,
            fields: Vec::new(),
            values: Vec::new(),
            layers: BTreeMap::new(),
            next: 0,
            waiting: vec![false; times.len() * (variables.len() + layers.len())],
            spool: None,
        };
        let sink = Self {
            path: path.to_owned(),
            place: None,
            places,
            times,
            variables: variables.len(),
            layers,
            state: Mutex::new(state),
        };
        let mut header = places.header.clone();
        let time = times.iter().any(Option::is_some).then_some("time");
        for name in time.into_iter().chain(variables.iter().map(|v| v.name.as_str())) {
            let name = new_name(&header, name);
            header.push(name);
        }
        for (variable, layer) in layers {
            let name = format!("{}_{}", variables[*variable].name, suffix(*layer));
            let name = new_name(&header, &name);
            header.push(name);
        }
        sink.write(|state| state.table.write_record(&header))?;
        Ok(sink)
    }

    fn write(
        &self,
        work: impl FnOnce(&mut State<'a>) -> Result<(), csv::Error>,
    ) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut state).map_err(|error| Error::Io {
            action: "write",
            path: self.path.clone(),
            source: match error.into_kind() {
                csv::ErrorKind::Io(error) => error,
                other => io::Error::other(format!("{other:?}")),
            },
        })
    }

    /// The rows of one time: `columns[k]` has a value for each place, or none. What could not
    /// be mapped leaves its cells empty.
    fn write_time(
        &self,
        table: &mut Table<'_>,
        time: usize,
        columns: &[Option<&[f64]>],
    ) -> Result<(), csv::Error> {
        let time = self.times[time].map(iso);
        for (place, row) in self.places.rows.iter().enumerate() {
            for cell in row {
                table.write_field(cell)?;
            }
            if let Some(time) = &time {
                table.write_field(time)?;
            }
            for column in columns {
                let value = column.map_or(f64::NAN, |values| values[place]);
                table.write_field(text(value))?;
            }
            table.write_record(None::<&[u8]>)?;
        }
        Ok(())
    }

    /// Columns of a row, apart from those of the places and the time: variables, then layers.
    fn columns(&self) -> usize {
        self.variables + self.layers.len()
    }

    /// Writes the times of the fields announced last that are complete and next; what is neither
    /// waits.
    fn take_block(&self, state: &mut State<'_>) -> Result<(), csv::Error> {
        let n = self.places.x.len();
        let mut times: Vec<usize> = state.fields.iter().map(|id| id.time).collect();
        times.sort_unstable();
        times.dedup();
        for time in times {
            let mut columns = vec![None; self.columns()];
            for (f, id) in state.fields.iter().enumerate().filter(|(_, id)| id.time == time) {
                columns[id.variable] = Some(&state.values[f * n..(f + 1) * n]);
            }
            for (layer, column) in columns[self.variables..].iter_mut().enumerate() {
                *column = state.layers.get(&(layer, time)).map(Vec::as_slice);
            }
            let complete = columns[..self.variables].iter().all(Option::is_some);
            if time == state.next && complete {
                self.write_time(&mut state.table, time, &columns)?;
                state.next += 1;
                continue;
            }
            for (column, values) in columns.into_iter().enumerate() {
                let Some(values) = values else { continue };
                let file = match &mut state.spool {
                    Some(file) => file,
                    none => none.insert(tempfile::tempfile()?),
                };
                let at = time * self.columns() + column;
                let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                file.write_all_at(&bytes, (at * n * 8) as u64)?;
                state.waiting[at] = true;
            }
        }
        Ok(())
    }

    /// Writes the times that are left.
    fn write_waiting(&self, state: &mut State<'_>) -> Result<(), csv::Error> {
        let n = self.places.x.len();
        let Some(file) = state.spool.take() else { return Ok(()) };
        let mut bytes = vec![0; n * 8];
        for time in state.next..self.times.len() {
            let all = time * self.columns()..(time + 1) * self.columns();
            if !state.waiting[all.clone()].contains(&true) {
                continue;
            }
            let mut read = Vec::with_capacity(self.columns());
            for at in all {
                read.push(None);
                if state.waiting[at] {
                    file.read_exact_at(&mut bytes, (at * n * 8) as u64)?;
                    let numbers = bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b));
                    *read.last_mut().expect("pushed") = Some(numbers.collect::<Vec<f64>>());
                }
            }
            let columns: Vec<Option<&[f64]>> = read.iter().map(Option::as_deref).collect();
            self.write_time(&mut state.table, time, &columns)?;
        }
        Ok(())
    }
}

impl Sink for PointsCsv<'_> {
    fn tile(&self, tile: Tile<'_>) -> Result<(), Error> {
        let (n, columns) = (self.places.x.len(), tile.columns.clone());
        self.write(|state| {
            for (&id, values) in tile.fields.iter().zip(tile.values.chunks_exact(columns.len())) {
                let f = state.fields.iter().position(|&field| field == id);
                // Fields are announced by `stations`; others would have no row to go to.
                let Some(f) = f else { continue };
                state.values[f * n + columns.start..f * n + columns.end].copy_from_slice(values);
            }
            Ok(())
        })
    }

    fn layer(&self, layer: Layer, tile: Tile<'_>) -> Result<(), Error> {
        let (n, columns) = (self.places.x.len(), tile.columns.clone());
        self.write(|state| {
            for (id, values) in tile.fields.iter().zip(tile.values.chunks_exact(columns.len())) {
                let wanted = (id.variable, layer);
                let Some(k) = self.layers.iter().position(|of| *of == wanted) else { continue };
                let column = state.layers.entry((k, id.time)).or_insert_with(|| vec![f64::NAN; n]);
                column[columns.clone()].copy_from_slice(values);
            }
            Ok(())
        })
    }

    fn stations(&self, of: StationValues<'_>) -> Result<(), Error> {
        self.write(|state| {
            state.layers.clear();
            state.fields = of.fields.to_vec();
            state.values.clear();
            state.values.resize(of.fields.len() * self.places.x.len(), f64::NAN);
            Ok(())
        })
    }

    fn batch_done(&self) -> Result<(), Error> {
        self.write(|state| self.take_block(state))
    }
}

/// Nothing for what is missing.
fn text(value: f64) -> String {
    if value.is_nan() { String::new() } else { value.to_string() }
}

/// `name`, or `name_2`, … where the places have a column of that name.
fn new_name(header: &[String], name: &str) -> String {
    let free = |candidate: &String| !header.contains(candidate);
    let candidates = (2..).map(|n| format!("{name}_{n}"));
    std::iter::once(name.to_owned()).chain(candidates).find(free).expect("numbers do not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        let text = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        Places {
            header: text(["name", "lon", "lat", "time"]),
            rows: vec![
                text(["Zürich, \"See\"", "8.5", "47.4", "noon"]),
                text(["b", "9", "48", ""]),
            ],
            x: vec![8.5, 9.0],
            y: vec![47.4, 48.0],
        }
    }

    fn variables() -> Vec<Variable> {
        ["PM10", "name"].map(|name| Variable { name: name.to_owned(), units: None }).to_vec()
    }

    fn fill(sink: &PointsCsv<'_>, times: &[usize]) {
        let fields: Vec<FieldId> = times
            .iter()
            .flat_map(|&time| (0..2).map(move |variable| FieldId { time, variable }))
            .collect();
        sink.stations(StationValues { fields: &fields, values: &[], residuals: &[], flags: &[] })
            .unwrap();
        for place in [1, 0] {
            let value = |id: &FieldId| {
                if id.variable == 1 && place == 1 {
                    f64::NAN
                } else {
                    0.1 + (id.time * 100 + id.variable * 10 + place) as f64
                }
            };
            let values: Vec<f64> = fields.iter().map(value).collect();
            let columns = place..place + 1;
            let tile = Tile { fields: &fields, rows: &(0..1), columns: &columns, values: &values };
            sink.tile(tile).unwrap();
        }
        sink.batch_done().unwrap();
    }

    #[test]
    fn the_columns_of_places_are_kept_and_rows_come_time_by_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("values.csv");
        let (places, variables) = (places(), variables());
        let times = [0, 3600, 7200].map(|t| Some(UnixSeconds(t)));
        let sink = PointsCsv::create(&path, &places, &variables, &times, &[]).unwrap();
        fill(&sink, &[0, 1]);
        fill(&sink, &[2]);
        assert!(!path.exists());
        sink.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let zurich = "\"Zürich, \"\"See\"\"\",8.5,47.4,noon";
        let want = format!(
            "name,lon,lat,time,time_2,PM10,name_2\n\
             {zurich},1970-01-01T00:00:00Z,0.1,10.1\nb,9,48,,1970-01-01T00:00:00Z,1.1,\n\
             {zurich},1970-01-01T01:00:00Z,100.1,110.1\nb,9,48,,1970-01-01T01:00:00Z,101.1,\n\
             {zurich},1970-01-01T02:00:00Z,200.1,210.1\nb,9,48,,1970-01-01T02:00:00Z,201.1,\n"
        );
        assert_eq!(text, want);
    }

    #[test]
    fn variables_that_come_one_after_another_stand_in_one_row() {
        let (places, variables) = (places(), variables());
        let times = [0, 3600].map(|t| Some(UnixSeconds(t)));
        let together = written(&places, &variables, &times, &[&[(0, 0), (0, 1), (1, 0), (1, 1)]]);
        let apart = written(&places, &variables, &times, &[&[(0, 1), (1, 1)], &[(0, 0), (1, 0)]]);
        assert_eq!(together, apart);
        // The second variable of the first time never comes.
        let fewer = written(&places, &variables, &times, &[&[(0, 0), (1, 0)], &[(1, 1)]]);
        let lines: Vec<&str> = fewer.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[1].ends_with(",0.5,") && lines[3].ends_with(",100.5,110.5"), "{fewer}");
    }

    fn written(
        places: &Places,
        variables: &[Variable],
        times: &[Option<UnixSeconds>],
        batches: &[&[(usize, usize)]],
    ) -> String {
        let mut out = Vec::new();
        let sink =
            PointsCsv::to_stream("out", Box::new(&mut out), places, variables, times, &[]).unwrap();
        for batch in batches {
            let fields: Vec<FieldId> =
                batch.iter().map(|&(time, variable)| FieldId { time, variable }).collect();
            let values: Vec<f64> = fields
                .iter()
                .flat_map(|id| [0.5 + (id.time * 100 + id.variable * 10) as f64; 2])
                .collect();
            sink.stations(StationValues {
                fields: &fields,
                values: &[],
                residuals: &[],
                flags: &[],
            })
            .unwrap();
            let tile = Tile { fields: &fields, rows: &(0..1), columns: &(0..2), values: &values };
            sink.tile(tile).unwrap();
            sink.batch_done().unwrap();
        }
        sink.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn without_time_there_is_no_time_column_and_without_finish_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("values.csv");
        let (places, variables) = (places(), variables());
        let sink = PointsCsv::create(&path, &places, &variables, &[None], &[]).unwrap();
        fill(&sink, &[0]);
        drop(sink);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        let mut out = Vec::new();
        let sink =
            PointsCsv::to_stream("stdout", Box::new(&mut out), &places, &variables, &[None], &[])
                .unwrap();
        fill(&sink, &[0]);
        sink.finish().unwrap();
        assert!(String::from_utf8(out).unwrap().starts_with("name,lon,lat,time,PM10,name_2\n"));
    }
}
