//! What can go wrong between readings and a file, and of what kind it is.

use std::path::{Path, PathBuf};

use crate::background::BackgroundError;
use crate::covariates::CovariateError;
use crate::grid::GridError;
use crate::mask::MaskError;
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
    /// The mask cannot be read, or leaves nothing.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// A background does not fit the readings or the map.
    #[error(transparent)]
    Background(#[from] BackgroundError),
    /// A covariate does not fit the readings or the map.
    #[error(transparent)]
    Covariate(#[from] CovariateError),
    /// The network or the method is not one that a surface can be made of.
    #[error(transparent)]
    Method(#[from] kernels::Error),
    /// A network cannot be thinned out so.
    #[error("stations cannot be merged in blocks of {size}; their size must be a positive number")]
    Blocks {
        /// What was asked for.
        size: f64,
    },
    /// Bounds that cannot be kept.
    #[error("{text}")]
    Bounds {
        /// What is wrong with them.
        text: String,
    },
    /// Something is asked of a variable that is not there.
    #[error("there is no variable `{got}`; the readings have: {known}")]
    NoSuchVariable {
        /// What was asked for.
        got: String,
        /// What there is.
        known: String,
    },
    /// A threshold must be a number.
    #[error("the threshold of {variable} is {value}; it must be a finite number")]
    BadThreshold {
        /// Of which variable.
        variable: String,
        /// What was asked for.
        value: f64,
    },
    /// A quantile's level must be a probability.
    #[error("quantile {value} is not above 0 and below 1; 0.05 and 0.95 bound a 90 % interval")]
    BadQuantile {
        /// What was asked for.
        value: f64,
    },
    /// What may be negative has no square root and no logarithm.
    #[error(
        "{variable} may be negative, and only what may not be can be transformed; leave it as it is \
         ({variable}=none), or give it a least value of 0"
    )]
    TransformOfNegative {
        /// Of which variable a transform was asked for.
        variable: String,
    },
    /// Differences from a background may be negative, and effects of covariates do not add up transformed.
    #[error(
        "{variable} cannot be transformed beside {beside}: what is mapped is then no longer the readings \
         alone; leave it as it is ({variable}=none), or map without"
    )]
    TransformBeside {
        /// Of which variable a transform was asked for.
        variable: String,
        /// The background or the covariates.
        beside: String,
    },
    /// A rule by which readings are examined makes no sense.
    #[error(transparent)]
    Quality(#[from] crate::quality::RuleError),
    /// A map cannot be written in another form.
    #[error(transparent)]
    Export(#[from] crate::export::ExportError),
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
    /// Work in blocks cannot go on.
    #[error(transparent)]
    Work(#[from] crate::blocks::WorkError),
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
    /// The file of a background or covariate that it is about, if it is about one.
    #[must_use]
    pub fn grid_path(&self) -> Option<&Path> {
        match self {
            Self::Background(BackgroundError::Model(error))
            | Self::Covariate(CovariateError::Model { error, .. }) => error.path(),
            _ => None,
        }
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Readings(error) if error.is_io() => Kind::Io,
            Self::Readings(ReadError::Interrupted) => Kind::Cancelled,
            Self::Mask(error) if error.is_io() => Kind::Io,
            Self::Work(error) if error.is_io() => Kind::Io,
            Self::Background(BackgroundError::Model(error)) if error.is_io() => Kind::Io,
            Self::Covariate(CovariateError::Model { error, .. }) if error.is_io() => Kind::Io,
            Self::Export(error) => error.kind(),
            Self::Readings(_)
            | Self::Mask(_)
            | Self::Covariate(_)
            | Self::Work(_)
            | Self::Background(_)
            | Self::Grid(_)
            | Self::Method(_)
            | Self::Blocks { .. }
            | Self::Bounds { .. }
            | Self::NoSuchVariable { .. }
            | Self::BadThreshold { .. }
            | Self::BadQuantile { .. }
            | Self::TransformOfNegative { .. }
            | Self::TransformBeside { .. }
            | Self::Quality(_)
            | Self::NothingToMap { .. } => Kind::BadInput,
            Self::Limit { .. } => Kind::Limit,
            Self::Io { .. } | Self::NetCdf { .. } | Self::Threads { .. } => Kind::Io,
            Self::Cancelled => Kind::Cancelled,
        }
    }
}
