//! What ends the program early, and with which exit code.

use std::fmt;

use isopleth_engine::{Error, Kind};

/// Exit code of a wrong command line.
pub(crate) const USAGE: u8 = 2;
const BAD_INPUT: u8 = 3;
const LIMIT: u8 = 4;
const IO: u8 = 5;
/// 128 + SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// Why the program ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense.
    Usage(String),
    /// What was given makes no sense.
    Input(String),
    /// The engine refused or failed.
    Engine(Error),
    /// Anything else that a machine does: a port in use, a full disk.
    Io(anyhow::Error),
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Input(_) => BAD_INPUT,
            Self::Engine(error) => match error.kind() {
                Kind::BadInput => BAD_INPUT,
                Kind::Limit => LIMIT,
                Kind::Io => IO,
                Kind::Cancelled => INTERRUPTED,
            },
            Self::Io(_) => IO,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Input(text) => f.write_str(text),
            Self::Engine(error) => write!(f, "{error}"),
            Self::Io(error) => write!(f, "{error:#}"),
        }
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Engine(error.into())
    }
}

/// For errors of the machine that the engine knows nothing of.
pub(crate) fn io(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Io(error.into())
}
