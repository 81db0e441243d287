//! What can be made: the processes, by the names that jobs and OGC API – Processes give them.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is made.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Process {
    /// A map on a grid.
    #[default]
    Map,
    /// Values at places.
    Points,
    /// Errors at stations left out.
    Crossvalidation,
}

impl Process {
    pub(crate) const ALL: [Self; 3] = [Self::Map, Self::Points, Self::Crossvalidation];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Points => "points",
            Self::Crossvalidation => "crossvalidation",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|process| process.name() == name)
    }

    /// What it makes, in a few words: the result of a job.
    pub(crate) fn result(self) -> &'static str {
        match self {
            Self::Map => "the map",
            Self::Points => "the values",
            Self::Crossvalidation => "the errors",
        }
    }
}

impl Process {
    /// One map, several values.
    pub(crate) fn verb(self) -> &'static str {
        if self == Self::Map { "is" } else { "are" }
    }
}

impl FromSql for Process {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::named(value.as_str()?).ok_or(FromSqlError::InvalidType)
    }
}

impl ToSql for Process {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}
