//! Why a map does not arrive, and whether trying again may help.

use std::io;
use std::path::PathBuf;

use isopleth_engine::Kind;

/// What is wrong with a sink, and with which.
#[derive(Debug, thiserror::Error)]
#[error("sinks: {sink}: {reason}")]
pub struct SinkError {
    /// Its name in the configuration.
    pub sink: String,
    /// What is wrong.
    #[source]
    pub reason: Reason,
}

/// What is wrong with a sink.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum Reason {
    #[error("there is no such sink; the configuration has: {known}")]
    Unknown { known: String },
    #[error("{setting} = {got}: {needed}")]
    Setting { setting: &'static str, got: String, needed: String },
    #[error("the name `{name}` leads nowhere below the sink: {why}")]
    Name { name: String, why: &'static str },
    #[error(
        "`{place}` holds the map of {holds} already; the setting `name` must tell schedules, hours and variables apart \
         (with {{schedule}}, {{time_utc:%Y%m%dT%H%MZ}}, {{variable}})"
    )]
    Taken { place: String, holds: String },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is a link, and nothing is written through links; remove it", path.display())]
    Link { path: PathBuf },
    #[error(transparent)]
    Map(#[from] isopleth_engine::Error),
    #[error("object store: {message}")]
    Objects { message: String, passing: bool },
    #[error("{}: {why}", store.display())]
    Zarr { store: PathBuf, why: String },
    #[error("the ledger of what was delivered: {0}")]
    Ledger(#[from] rusqlite::Error),
    #[error("stopped before the map had arrived")]
    Cancelled,
}

impl Reason {
    pub(super) fn of(self, sink: &str) -> SinkError {
        SinkError { sink: sink.to_owned(), reason: self }
    }

    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

impl SinkError {
    /// Whether the same may arrive later: disks are emptied, servers and networks come back. What the
    /// configuration or the map itself makes impossible stays so.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match &self.reason {
            Reason::Io { .. } | Reason::Link { .. } | Reason::Ledger(_) | Reason::Cancelled => true,
            Reason::Map(error) => error.kind() == Kind::Io,
            Reason::Objects { passing, .. } => *passing,
            Reason::Unknown { .. }
            | Reason::Setting { .. }
            | Reason::Name { .. }
            | Reason::Taken { .. }
            | Reason::Zarr { .. } => false,
        }
    }
}
