//! Readings as received: stations, variables, time steps, values.

use std::io::Read;
use std::path::PathBuf;

use serde::Serialize;

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
