//! What can go wrong between readings and a file, and of what kind it is.

use std::path::PathBuf;

use crate::grid::GridError;
use crate::observations::ReadError;
use isopleth_kernels as kernels;

/// Why there is no map.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The readings cannot be understood.
    #[error(transparent)]
    Readings(#[from] ReadError),
    /// The grid or the list of places makes no sense.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// The network or the method is not one that a surface can be made of.
    #[error(transparent)]
    Method(#[from] kernels::Error),
    /// A network cannot be thinned out so.
    #[error("stations cannot be merged in blocks of {size}; their size must be a positive number")]
    Blocks {
        /// What was asked for.
        size: f64,
    },
    /// A rule by which readings are examined makes no sense.
    #[error(transparent)]
    Quality(#[from] crate::quality::RuleError),
    /// No field has a reading to map.
    #[error("no field could be mapped: {first}")]
    NothingToMap {
        /// What was wrong with the first field.
        first: String,
    },
    /// More than the limits allow.
    #[error("{what} is {wanted}, more than the limit of {limit}; {remedy}")]
    Limit {
        /// What exceeds, e.g. "number of cells".
        what: &'static str,
        /// How much was asked for, with its unit.
        wanted: String,
        /// How much is allowed, with its unit.
        limit: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// "read", "write", "create", …
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The NetCDF library refused.
    #[error("cannot write {}: {message}", path.display())]
    NetCdf {
        /// Which file.
        path: PathBuf,
        /// What the library said.
        message: String,
    },
    /// The worker threads could not be started.
    #[error("cannot start {threads} threads: {message}; ask for fewer")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        message: String,
    },
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
}

/// What kind of error it is: decides the exit code and the HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The readings, the grid or the method are wrong.
    BadInput,
    /// It would exceed a limit.
    Limit,
    /// The machine failed: a file, a disk, a thread.
    Io,
    /// Somebody asked to stop.
    Cancelled,
}

impl Error {
    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Readings(error) if error.is_io() => Kind::Io,
            Self::Readings(_)
            | Self::Grid(_)
            | Self::Method(_)
            | Self::Blocks { .. }
            | Self::Quality(_)
            | Self::NothingToMap { .. } => Kind::BadInput,
            Self::Limit { .. } => Kind::Limit,
            Self::Io { .. } | Self::NetCdf { .. } | Self::Threads { .. } => Kind::Io,
            Self::Cancelled => Kind::Cancelled,
        }
    }
}
