//! Why readings cannot be understood, and where.

use std::io;

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

/// Why readings cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The source cannot be read.
    #[error("cannot read {name}: {error}")]
    Io {
        /// What.
        name: String,
        /// What the system said.
        error: io::Error,
    },
    /// Several stations at one place, and that was to be an error.
    #[error(
        "{} places hold more than one station, e.g. {}; correct them, or choose \
         duplicates = mean, first or last", places.len(), places[0].join(", ")
    )]
    SamePlace {
        /// Codes, place by place.
        places: Vec<Vec<String>>,
    },
}

impl ReadError {
    /// Whether the machine failed, not the data.
    #[must_use]
    pub fn is_io(&self) -> bool {
        matches!(self, Self::Io { .. })
    }

    /// Where it is wrong, if that is known.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        None
    }
}
