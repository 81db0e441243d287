//! Readings as received: stations, variables, time steps, values.
//!
//! ```text
//! Source → Text (gzip, encoding) → rows or values → Collector → Store (memory, then disk)
//!        │ text                    table, columns,  collect     store
//!        │                         layouts, json,
//!        │                         geojson, document
//!        └ File, if it is Parquet or NetCDF ─┘
//!          binary, parquet, timeseries
//! ```
//!
//! Rows are read one by one and kept as 24 bytes a reading; what exceeds a limit goes to an unnamed
//! temporary file. What the values mean at a place is the business of [`network`](crate::network).

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::kernels;
use crate::network::Duplicates;
use crate::progress::Cancel;
use crate::report::ReadingsReport;
use crate::series::{self, TimeCells, Treatment};

mod aside;
mod binary;
mod by_station;
mod cells;
mod collect;
mod columns;
mod document;
mod error;
mod geojson;
mod json;
mod layouts;
mod parquet;
mod places;
mod record;
pub(crate) mod store;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod times;
mod timeseries;

pub use error::{Location, ReadError};

pub(crate) use by_station::{ByStation, Gathered, StationSeries};
pub(crate) use times::{Clock, Selection};

use collect::Collector;
use document::Document;
use json::JsonStation;
use layouts::Rows;
use places::PlaceTable;
use store::Sorted;
use table::Table;
use text::{Bytes, Text};

/// A station as received.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Station {
    /// Its code, or a made-up one (`#7`: the row) where the readings have none.
    pub id: String,
    /// Degrees east, or x of a planar grid.
    pub x: f64,
    /// Degrees north, or y of a planar grid.
    pub y: f64,
}

/// A variable as received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// As the column or the parameter is called.
    pub name: String,
    /// As received, if at all.
    pub units: Option<String>,
}

/// Seconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UnixSeconds(pub i64);

/// Where readings come from.
pub enum Source {
    /// A file; `-` is standard input.
    File(PathBuf),
    /// A stream, with a name for messages.
    Stream {
        /// For messages, e.g. "request body".
        name: String,
        /// What to read.
        reader: Box<dyn Read + Send>,
    },
}

impl Source {
    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) if path.as_os_str() == "-" => "standard input".to_owned(),
            Self::File(path) => path.display().to_string(),
            Self::Stream { name, .. } => name.clone(),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?})", self.name())
    }
}

/// How a table is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// One row per station and time, a column per variable.
    Wide,
    /// One reading a row, with a column that names the variable and one with the value.
    Long,
    /// A column per station; the variable is named in a column, or there is only one.
    StationsAsColumns,
    /// A JSON document, or a JSON array of flat records.
    Json,
}

impl Layout {
    /// All layouts, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Wide, Self::Long, Self::StationsAsColumns, Self::Json];

    /// The name used on the command line and over HTTP.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Long => "long",
            Self::StationsAsColumns => "stations-as-columns",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Layout {
    type Err = kernels::Error;

    fn from_str(name: &str) -> Result<Self, kernels::Error> {
        Self::ALL.into_iter().find(|layout| layout.name() == name).ok_or_else(|| {
            kernels::Error::UnknownName {
                what: "layout",
                got: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            }
        })
    }
}

/// Columns named by the user; one left out is recognised by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// Station code.
    pub station: Option<String>,
    /// Degrees east, or x.
    pub x: Option<String>,
    /// Degrees north, or y.
    pub y: Option<String>,
    /// Time; with this named, separate date and hour columns are not looked for.
    pub time: Option<String>,
    /// Name of the variable, in the long layout and with stations as columns.
    pub variable: Option<String>,
    /// Value, in the long layout.
    pub value: Option<String>,
    /// Unit, in the long layout.
    pub units: Option<String>,
}

/// How readings are to be understood. The defaults suit any of the known layouts in degrees.
#[derive(Debug)]
pub struct ReadOptions {
    /// Layout; default: recognised from the header.
    pub layout: Option<Layout>,
    /// Columns that the user names.
    pub columns: Columns,
    /// Variables to read, in this order; empty: all, as they come. An unknown one is an error.
    pub variables: Vec<String>,
    /// Columns to read besides, where they are there: see [`Observations::set_aside`].
    pub beside: Vec<String>,
    /// Times to read; empty: all. Each is a time as precise as it is written (`2017-07`: the
    /// month, `2017-07-07`: the day, `2017-07-07T16`: the hour, `2017-07-07T16:00`: the minute) or
    /// a range `from/to` of such, both ends included, either end open when left empty. Without an
    /// offset it is in [`zone`](Self::zone).
    pub times: Vec<String>,
    /// Further marks of a missing reading, besides an empty cell, `-`, `NaN`, `NA`, `null`, -999
    /// and -9999. With a `!` before it, a mark counts no more: `!-999` where that is a depth.
    pub missing: Vec<String>,
    /// Zone of times without offset: an IANA name or `+08:00`; default UTC.
    pub zone: Option<String>,
    /// Delimiter; default: whichever of comma, semicolon and tab the header has most of.
    pub delimiter: Option<u8>,
    /// Encoding by its WHATWG label, e.g. `GB18030`; default UTF-8, with or without mark.
    pub encoding: Option<String>,
    /// Coordinates are those of a plane, in any unit: no check for degrees.
    pub planar: bool,
    /// A table with the places of the stations, where readings do not carry them.
    pub stations: Option<Source>,
    /// The stations of that table come first and in its order, those without a reading as well: so that all
    /// readings of a network are of the same stations.
    pub every_station: bool,
    /// Units by variable, for those that come with none.
    pub units: BTreeMap<String, String>,
    /// Memory in bytes for readings; what exceeds it goes to a temporary file.
    pub spill_bytes: u64,
    /// More stations than this are refused while reading.
    pub max_stations: usize,
    /// More variables than this are refused while reading; each takes room in every file, whatever the size of its maps.
    pub max_variables: usize,
    /// What Parquet and NetCDF may become in bytes when unpacked; and no more cells than a table of that size can
    /// have, which is half as many: a small file can hold a great many. Of texts whoever opens the stream has to see to it.
    pub max_unpacked_bytes: u64,
    /// Ends the reading of Parquet and NetCDF early; other sources end when their streams do.
    pub cancel: Cancel,
    /// What to do with several readings of one station, variable and time.
    pub duplicates: Duplicates,
    /// What is done to the series of each station before anything is mapped; with any of it,
    /// [`times`](Self::times) selects from what comes out, and everything is read.
    pub series: Treatment,
}

impl ReadOptions {
    /// Columns of a table, or keys of a record, at most: a column a station, or a column a variable, and some beside.
    fn max_columns(&self) -> usize {
        self.max_stations.max(self.max_variables).saturating_add(1000)
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            layout: None,
            columns: Columns::default(),
            variables: Vec::new(),
            beside: Vec::new(),
            times: Vec::new(),
            missing: Vec::new(),
            zone: None,
            delimiter: None,
            encoding: None,
            planar: false,
            stations: None,
            every_station: false,
            units: BTreeMap::new(),
            spill_bytes: 32 << 20,
            max_stations: 2_000_000,
            max_variables: 10_000,
            max_unpacked_bytes: u64::MAX,
            cancel: Cancel::default(),
            duplicates: Duplicates::default(),
            series: Treatment::default(),
        }
    }
}

/// Readings in memory, as the JSON of a request has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// Stations, in the order of the innermost values.
    pub stations: Vec<Station>,
    /// Times as text (see [`ReadOptions::zone`]), in any order; empty: readings without time, and
    /// each variable then has one row.
    pub times: Vec<String>,
    /// Variables with `values[time][station]`; `None` is missing.
    pub values: Vec<(Variable, Vec<Vec<Option<f64>>>)>,
}

/// Readings, understood and checked.
#[derive(Debug)]
pub struct Observations {
    in_degrees: bool,
    stations: Vec<Station>,
    variables: Vec<Variable>,
    times: Vec<Option<UnixSeconds>>,
    report: ReadingsReport,
    sorted: Sorted,
    /// For each time step, the numbers under which its readings are stored.
    steps: Vec<Vec<u32>>,
    /// `rank[v]`: index in `variables` of the variable stored as `v`.
    rank: Vec<usize>,
    time_cells: Option<TimeCells>,
    /// Columns that are no readings; in `rank` they come after the variables.
    aside: Vec<Variable>,
    /// By the number under which a station is stored, its index in `stations`; none left out: all.
    number_of: Option<Vec<Option<usize>>>,
    /// Columns of the table of stations, by station.
    of_stations: Vec<(String, Vec<f64>)>,
}

impl Observations {
    /// Reads one or more sources as one set of readings.
    ///
    /// # Errors
    /// [`ReadError`], which says where and what to do.
    pub fn read(sources: Vec<Source>, mut options: ReadOptions) -> Result<Self, ReadError> {
        let places = options.stations.take();
        let places = places.map(|source| PlaceTable::read(source, &options)).transpose()?;
        let mut collector = Collector::new(&options, places)?;
        if options.every_station {
            collector.add_every_station()?;
        }
        for source in sources {
            read_source(source, &mut collector)?;
        }
        let places = collector.places.take();
        let observations = series::treat(collector.finish()?, &options)?;
        let of_stations = places.map(|table| table.beside(&observations.stations));
        Ok(Self { of_stations: of_stations.unwrap_or_default(), ..observations })
    }

    /// Readings that are in memory already, checked like those of a file. Of the options, those on
    /// times, missing marks, variables, coordinates and series count.
    ///
    /// # Errors
    /// [`ReadError`] with a JSON pointer: lengths that disagree, times or coordinates that are none.
    pub fn from_parts(parts: Parts, options: &ReadOptions) -> Result<Self, ReadError> {
        let mut collector = Collector::new(options, None)?;
        collector.begin("readings");
        let mut document = Document::new(&mut collector);
        for (variable, steps) in parts.values {
            if !document.begin_variable(&variable.name)? {
                continue;
            }
            for step in steps {
                for value in step {
                    document.value(value)?;
                }
                document.end_row()?;
            }
            document.end_variable()?;
            document.describe(&variable.name, variable.units, "/values")?;
        }
        let station = |s: Station| {
            let id = Some(s.id).filter(|id| !id.is_empty()).map(Into::into);
            JsonStation { id, lon: Some(s.x), lat: Some(s.y) }
        };
        document.finish(parts.stations.into_iter().map(station).collect(), &parts.times)?;
        series::treat(collector.finish()?, options)
    }

    /// Stations as received: each distinct (code, x, y), so that one that moved is two.
    #[must_use]
    pub fn stations(&self) -> &[Station] {
        &self.stations
    }

    /// Variables in the order of their first appearance, or as asked for.
    #[must_use]
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Time steps, ascending; a single `None` when readings carry no time.
    #[must_use]
    pub fn times(&self) -> &[Option<UnixSeconds>] {
        &self.times
    }

    /// What stretch of time each step stands for, where readings were averaged.
    #[must_use]
    pub fn time_cells(&self) -> Option<&TimeCells> {
        self.time_cells.as_ref()
    }

    pub(crate) fn with_time_cells(self, time_cells: Option<TimeCells>) -> Self {
        Self { time_cells, ..self }
    }

    /// Whether places are longitudes and latitudes in degrees, also where the metric takes them for
    /// coordinates of a plane.
    #[must_use]
    pub fn in_degrees(&self) -> bool {
        self.in_degrees
    }

    /// Whether readings carry a time.
    #[must_use]
    pub fn has_times(&self) -> bool {
        self.times.iter().any(Option::is_some)
    }

    /// What was read, refused, missing.
    #[must_use]
    pub fn readings_report(&self) -> &ReadingsReport {
        &self.report
    }

    /// The readings of one time step: `values[variable * stations + station]`, NaN where missing.
    /// Any step at any time, from any thread.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    ///
    /// # Panics
    /// If there is no such step.
    pub fn step(&self, time: usize, values: &mut Vec<f64>) -> Result<(), ReadError> {
        let stations = self.stations.len();
        values.clear();
        values.resize(self.variables.len() * stations, f64::NAN);
        let variables = self.variables.len();
        self.each(time, |variable, station, value| {
            if variable < variables {
                values[variable * stations + station] = value;
            }
        })
    }
}

/// The stations of a table with a column of codes and two of coordinates, each code once. Of the options,
/// those on columns, delimiter, encoding and coordinates count.
///
/// # Errors
/// [`ReadError`], which says where and what to do; also if a code comes with two places.
pub fn stations_of(source: Source, options: &ReadOptions) -> Result<Vec<Station>, ReadError> {
    let stations: Vec<Station> = PlaceTable::read(source, options)?.stations().collect();
    if stations.is_empty() {
        return Err(ReadError::HeaderOnly { name: "the table of stations".to_owned() });
    }
    Ok(stations)
}

fn read_source(source: Source, collector: &mut Collector<'_>) -> Result<(), ReadError> {
    let options = collector.options;
    let bytes = Bytes::open(source)?;
    collector.begin(&bytes.name);
    let told = options.layout;
    match binary::form_of(&bytes.start) {
        Some(binary::Form::Parquet) => return parquet::read(bytes, collector),
        Some(binary::Form::NetCdf) => return timeseries::read(bytes, collector),
        None => (),
    }
    let text = Text::decode(bytes, options.encoding.as_deref())?;
    if told == Some(Layout::Json) || (told.is_none() && text.is_json()) {
        return json::read(text, collector);
    }
    let mut table = Table::open(text, options.delimiter, options.max_columns())?;
    let mut rows = Rows::start(table.header.clone(), told, collector)?;
    let mut any = false;
    while table.advance()? {
        any = true;
        let at = table.at();
        if table.is_ragged() {
            collector.row(at);
            let (cells, columns) = (table.record().len(), table.header.len());
            let reason = format!("{cells} cells, but the header has {columns}");
            collector.reject(at, None, &reason);
            continue;
        }
        rows.row(table.record(), at, collector)?;
    }
    if !any {
        return Err(ReadError::HeaderOnly { name: table.name });
    }
    rows.finish(collector);
    Ok(())
}
