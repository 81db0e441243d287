//! Why readings cannot be understood, and where.

use std::fmt;
use std::io;

use crate::series::SeriesError;

/// Where in the source something is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// Line of the text, the header being 1.
    pub row: Option<u64>,
    /// Name of the column.
    pub column: Option<String>,
    /// JSON pointer (RFC 6901) into the document.
    pub pointer: Option<String>,
}

impl Location {
    /// A cell, or a whole row, of a table.
    pub(super) fn cell(row: u64, column: Option<&str>) -> Box<Self> {
        Box::new(Self { row: Some(row), column: column.map(str::to_owned), pointer: None })
    }

    /// A place in a JSON document.
    pub(super) fn pointer(pointer: impl Into<String>) -> Box<Self> {
        Box::new(Self { pointer: Some(pointer.into()), ..Self::default() })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.row, &self.column, &self.pointer) {
            (_, _, Some(pointer)) => write!(f, "at {pointer}"),
            (Some(row), Some(column), _) => write!(f, "row {row}, column `{column}`"),
            (Some(row), None, _) => write!(f, "row {row}"),
            (None, Some(column), _) => write!(f, "column `{column}`"),
            (None, None, None) => f.write_str("somewhere"),
        }
    }
}

/// Why readings cannot be understood. Fields that are not documented are in the text.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum ReadError {
    #[error("cannot read {name}: {error}")]
    Io { name: String, error: io::Error },
    #[error("cannot keep readings in a temporary file: {error}; set TMPDIR to a disk with room")]
    Spill { error: io::Error },
    #[error("{name}: the compressed data are damaged or cut short ({message}); fetch them again")]
    Compressed { name: String, message: String },
    #[error("{name} is empty; it needs a header and at least one row of readings")]
    Empty { name: String },
    #[error("{name} has a header but no rows")]
    HeaderOnly { name: String },
    #[error(
        "{name}, {at}: not text (a zero byte); readings are CSV or JSON, either may be gzipped"
    )]
    Binary { name: String, at: Box<Location> },
    #[error("{name}, {at}: not valid {encoding}; name the encoding it has, e.g. GB18030")]
    Encoding { name: String, at: Box<Location>, encoding: String },
    #[error("unknown encoding `{label}`; try UTF-8, GB18030, windows-1252 or UTF-16LE")]
    UnknownEncoding { label: String },
    #[error("{name}: {message}")]
    Csv { name: String, message: String },
    #[error("{name} is not a JSON document of readings: {message}")]
    Json { name: String, at: Option<Box<Location>>, message: String },
    #[error("{name}: the {form} file is damaged or cut short ({message}); write or fetch it again")]
    Damaged { name: String, form: &'static str, message: String },
    #[error("{name}: {what}, more than the limit of {limit}; send less at once")]
    TooMuch { name: String, what: String, limit: u64 },
    #[error("interrupted while reading")]
    Interrupted,
    #[error("{name}: {message}")]
    NotReadings { name: String, message: String },
    #[error("{name}, {at}: {message}")]
    Shape { name: String, at: Box<Location>, message: String },
    #[error("{name} has no column `{column}`; its columns are: {header}")]
    NoSuchColumn { name: String, column: String, header: String },
    #[error("{name}: no column of {what} recognised; its columns are: {header}; {remedy}")]
    NotRecognised { name: String, what: &'static str, header: String, remedy: &'static str },
    #[error(
        "{name}: the header repeats `{column}`; rename one, or let duplicates be other than error"
    )]
    RepeatedColumn { name: String, column: String },
    #[error(
        "no variable: no column holds numbers besides coordinates and time; left out: {ignored}"
    )]
    NoVariable { ignored: String },
    #[error("no variable `{wanted}`; there are: {known}")]
    UnknownVariable { wanted: String, known: String },
    #[error("{name}, {at}: {what} is {value}; {need}")]
    Coordinate { name: String, at: Box<Location>, what: &'static str, value: String, need: String },
    #[error(
        "none of the {count} stations has a place, e.g. {examples}; give a table of stations \
         with their coordinates, or check that it has these codes"
    )]
    NoPlaces { count: usize, examples: String },
    #[error("no reading in {rows} rows: {missing} missing, {rejected} refused{example}")]
    NoReadings { rows: u64, missing: u64, rejected: u64, example: String },
    #[error("unknown time zone `{zone}`; give an IANA name such as Asia/Shanghai, or +08:00")]
    UnknownZone { zone: String },
    #[error(
        "`{text}` selects no times; write 2017-07-07, 2017-07-07T16:00Z, or a range from/to of such"
    )]
    BadSelection { text: String },
    #[error("no reading at the times asked for; there are readings from {first} to {last}")]
    NoSuchTime { first: String, last: String },
    #[error("times were asked for, but {name} has no column of times")]
    NoTimes { name: String },
    #[error("some sources carry times and others do not; read them apart")]
    MixedTimes,
    #[error(
        "{name}, {at}: more than {limit} stations; if each reading has its own place, thin them \
         out first"
    )]
    TooManyStations { name: String, at: Box<Location>, limit: usize },
    #[error(
        "station {station}, variable {variable} has two readings at the same time ({first} and \
         {second}); correct them, or choose duplicates = mean, first or last"
    )]
    RepeatedReading { station: String, variable: String, first: String, second: String },
    /// Several stations at one place, and that was to be an error.
    #[error(
        "{} place(s) hold more than one station, e.g. {}; correct them, or choose \
         duplicates = mean, first or last", places.len(), places[0].join(", ")
    )]
    SamePlace { places: Vec<Vec<String>> },
    /// Series cannot be averaged, filled or the like.
    #[error(transparent)]
    Series(#[from] SeriesError),
}

impl ReadError {
    /// Whether the machine failed, not the data.
    #[must_use]
    pub fn is_io(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Spill { .. })
    }

    /// Where it is wrong, if that is known.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        match self {
            Self::Binary { at, .. }
            | Self::Encoding { at, .. }
            | Self::Shape { at, .. }
            | Self::Coordinate { at, .. }
            | Self::TooManyStations { at, .. } => Some(at.as_ref().clone()),
            Self::Json { at, .. } => at.as_deref().cloned(),
            Self::RepeatedColumn { column, .. } => Some(*Location::cell(1, Some(column))),
            _ => None,
        }
    }
}
