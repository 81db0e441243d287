//! Where schedules get an hour's readings from: `[sources.NAME]` of the configuration.
//!
//! ```text
//! config     what an operator writes            fetch   asks a source for an hour
//! directory  files of a folder                  spool   receives within the limit, with a digest
//! http       a server, at one address           address, secrets   what it is asked with
//! postgres   a query of a database             tls     its connection
//! ```
//!
//! Security: what is read, and who is asked, stands in the configuration alone. A schedule names a source.
//! Everything here blocks, and gives up when it is told to.

mod address;
mod config;
mod directory;
mod http;
mod postgres;
mod secrets;
mod spool;
mod tls;

use std::collections::BTreeMap;
use std::path::PathBuf;

use isopleth_engine::Cancel;
use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use crate::template::TemplateError;
pub use config::{PostSource, SourceConfig};
pub use directory::{DirectorySource, Several};
pub use http::HttpSource;
pub use postgres::{PostgresSource, TlsName};

use crate::body::Spool;
use crate::state::AppState;

/// Why a source has no readings for us.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A setting makes no sense.
    #[error("sources.{name}: {what}")]
    Setting {
        /// Which source.
        name: String,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// A template is none.
    #[error("sources.{name}: {setting}: {source}")]
    Template {
        /// Which source.
        name: String,
        /// Which setting of it.
        setting: &'static str,
        /// What is wrong.
        source: TemplateError,
    },
    /// The configuration has no such source.
    #[error("there is no source `{name}`; the service has: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// It does not work now; it may the next time.
    #[error("source `{name}`: {what}")]
    Passing {
        /// Which source.
        name: String,
        /// What happened.
        what: String,
    },
    /// It will not work until somebody changes something.
    #[error("source `{name}`: {what}")]
    Lasting {
        /// Which source.
        name: String,
        /// What happened, and what would help.
        what: String,
    },
    /// What it has is too large.
    #[error(
        "source `{name}`: the readings are larger than {limit} bytes; raise max_body_bytes, or ask for less"
    )]
    TooLarge {
        /// Which source.
        name: String,
        /// The most.
        limit: u64,
    },
    /// We were told to stop.
    #[error("source `{name}`: the service is stopping")]
    Cancelled {
        /// Which source.
        name: String,
    },
}

impl SourceError {
    /// Whether asking again may help, without anybody changing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Passing { .. } | Self::Cancelled { .. })
    }

    fn setting(name: &str, what: impl Into<String>) -> Self {
        Self::Setting { name: name.to_owned(), what: what.into() }
    }

    fn passing(name: &str, what: impl Into<String>) -> Self {
        Self::Passing { name: name.to_owned(), what: what.into() }
    }

    fn lasting(name: &str, what: impl Into<String>) -> Self {
        Self::Lasting { name: name.to_owned(), what: what.into() }
    }
}

/// The hour that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Hour {
    /// Its start.
    pub(crate) start: Timestamp,
    /// The schedule's zone, in which `{time:…}` is written.
    pub(crate) zone: TimeZone,
}

/// What was known of the hour when it was fetched last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known<'a> {
    /// What `Fetched::Readings` said then.
    pub(crate) mark: Option<&'a str>,
}

/// What a source has for an hour.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// Nothing yet, and why, for people.
    NotYet(String),
    /// What it had the last time.
    Unchanged,
    /// Readings, as the part `readings` of a form has them.
    Readings {
        /// For messages.
        name: String,
        /// The readings; a gzipped file is as it is.
        body: Spool,
        /// Whether somebody said that they are gzipped.
        gzip: bool,
        /// What makes "unchanged" cheap the next time.
        mark: Option<String>,
    },
}

/// What a fetch may take, and what it works with.
#[derive(Clone, Copy, Debug)]
struct Limits<'a> {
    name: &'a str,
    bytes: u64,
    spill: &'a std::path::Path,
    cancel: &'a Cancel,
}

/// Checks every source of a configuration.
///
/// # Errors
/// The first that cannot be.
pub fn check(sources: &BTreeMap<String, SourceConfig>) -> Result<(), SourceError> {
    sources.iter().try_for_each(|(name, source)| source.check(name))
}

/// Asks a source for an hour's readings. Blocks.
///
/// # Errors
/// Where it cannot say; [`SourceError::is_passing`] tells whether to ask again.
pub(crate) fn fetch(
    state: &AppState,
    source: &str,
    hour: &Hour,
    known: Known<'_>,
    cancel: &Cancel,
) -> Result<Fetched, SourceError> {
    let config = state.config();
    let (bytes, spill) = (config.max_body_bytes, config.spill_dir.as_path());
    let limits = Limits { name: source, bytes, spill, cancel };
    let fetched = match find(&config.sources, source)? {
        SourceConfig::Directory(folder) => folder.fetch(hour, known, &limits),
        SourceConfig::Http(server) => server.fetch(hour, known, &limits),
        SourceConfig::Postgres(database) => database.fetch(hour, known, &limits),
        SourceConfig::Post(_) => Ok(Fetched::NotYet("nobody has posted readings".to_owned())),
    };
    if cancel.is_cancelled() {
        return Err(SourceError::Cancelled { name: source.to_owned() });
    }
    fetched
}

/// The table of stations of a source, if it has one.
pub(crate) fn stations(state: &AppState, source: &str) -> Option<PathBuf> {
    let source = state.config().sources.get(source)?;
    source.stations().map(std::path::Path::to_owned)
}

fn find<'a>(
    sources: &'a BTreeMap<String, SourceConfig>,
    name: &str,
) -> Result<&'a SourceConfig, SourceError> {
    sources.get(name).ok_or_else(|| {
        let known = sources.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        SourceError::Unknown { name: name.to_owned(), known }
    })
}
