//! What the configuration says of a source: `[sources.NAME]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::directory::DirectorySource;
use super::http::HttpSource;
use super::postgres::PostgresSource;
use crate::sources::SourceError;
use crate::wire::request::ReadRequest;

/// Where readings come from. Only the operator says so: a request names a source, never a path or a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SourceConfig {
    /// Files that somebody puts into a folder.
    Directory(DirectorySource),
    /// A server that is asked over HTTP.
    Http(Box<HttpSource>),
    /// A query of a PostgreSQL database.
    Postgres(Box<PostgresSource>),
    /// Nowhere: readings are posted to the schedule.
    Post(PostSource),
}

/// Readings that are posted to the schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostSource {
    /// Table of stations, for readings without places. Default: none.
    pub stations: Option<PathBuf>,
    /// `{variable: unit}`, carried through.
    pub units: BTreeMap<String, String>,
    /// How readings are to be understood.
    pub read: ReadRequest,
}

impl SourceConfig {
    /// Checks that readings can come from there, as far as that can be told before.
    ///
    /// # Errors
    /// What makes no sense, with the source's name.
    pub fn check(&self, name: &str) -> Result<(), SourceError> {
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(letters) {
            let what = "a name is 1 to 64 letters, digits, -, _ and .";
            return Err(SourceError::setting(name, what));
        }
        if let Some(path) = self.stations()
            && !path.is_file()
        {
            let what = format!("stations: there is no file {}", path.display());
            return Err(SourceError::setting(name, what));
        }
        match self {
            Self::Directory(source) => source.check(name),
            Self::Http(source) => source.check(name),
            Self::Postgres(source) => source.check(name),
            Self::Post(_) => Ok(()),
        }
    }

    /// How its readings are to be understood, where the schedule says nothing else.
    #[must_use]
    pub fn read(&self) -> &ReadRequest {
        match self {
            Self::Directory(source) => &source.read,
            Self::Http(source) => &source.read,
            Self::Postgres(source) => &source.read,
            Self::Post(source) => &source.read,
        }
    }

    /// `{variable: unit}`, likewise.
    #[must_use]
    pub fn units(&self) -> &BTreeMap<String, String> {
        match self {
            Self::Directory(source) => &source.units,
            Self::Http(source) => &source.units,
            Self::Postgres(source) => &source.units,
            Self::Post(source) => &source.units,
        }
    }

    /// Its table of stations.
    #[must_use]
    pub fn stations(&self) -> Option<&Path> {
        match self {
            Self::Directory(source) => source.stations.as_deref(),
            Self::Http(source) => source.stations.as_deref(),
            Self::Postgres(source) => source.stations.as_deref(),
            Self::Post(source) => source.stations.as_deref(),
        }
    }
}
