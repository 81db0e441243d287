//! A job as its row says.

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Asked, Form, Process};

/// Where a job is (the words of OGC API – Processes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It waits for its turn.
    Accepted,
    /// It is being made.
    Running,
    /// Its result is there.
    Successful,
    /// There will be no result; `problem` says why.
    Failed,
    /// Somebody no longer wanted it.
    Dismissed,
}

impl State {
    pub(super) const ALL: [Self; 5] =
        [Self::Accepted, Self::Running, Self::Successful, Self::Failed, Self::Dismissed];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::Dismissed => "dismissed",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    pub(crate) fn is_final(self) -> bool {
        !matches!(self, Self::Accepted | Self::Running)
    }
}

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::named(value.as_str()?).ok_or(FromSqlError::InvalidType)
    }
}

impl ToSql for State {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

/// Short jobs do not wait behind long ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Interactive,
    Long,
}

impl Lane {
    pub(super) const ALL: [Self; 2] = [Self::Interactive, Self::Long];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Long => "long",
        }
    }
}

impl FromSql for Lane {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        let known = Self::ALL.into_iter().find(|lane| lane.name() == name);
        known.ok_or(FromSqlError::InvalidType)
    }
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) state: State,
    pub(crate) lane: Lane,
    pub(crate) request: String,
    pub(crate) fingerprint: String,
    pub(crate) fields: u64,
    pub(crate) cells: u64,
    pub(crate) predicted_seconds: f64,
    pub(crate) predicted_bytes: u64,
    pub(crate) created: i64,
    pub(crate) started: Option<i64>,
    pub(crate) updated: i64,
    pub(crate) finished: Option<i64>,
    pub(crate) attempts: u32,
    pub(crate) token: i64,
    pub(crate) stumbles: u32,
    pub(crate) blocks: Option<u64>,
    pub(crate) blocks_done: u64,
    pub(crate) map: String,
    pub(crate) message: Option<String>,
    pub(crate) problem: Option<String>,
    pub(crate) process: Process,
    pub(crate) asked: Asked,
    /// In whose name it leaves a row in the account.
    pub(crate) account: Option<String>,
}

impl Job {
    /// Columns in the order of [`Job::from_row`].
    pub(crate) const COLUMNS: &str = "id, owner, state, lane, request, fingerprint, fields, cells, \
         predicted_seconds, predicted_bytes, created, started, updated, finished, attempts, token, \
         stumbles, blocks, blocks_done, map, message, problem, process, asked, account";

    pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            owner: row.get(1)?,
            state: row.get(2)?,
            lane: row.get(3)?,
            request: row.get(4)?,
            fingerprint: row.get(5)?,
            fields: row.get(6)?,
            cells: row.get(7)?,
            predicted_seconds: row.get(8)?,
            predicted_bytes: row.get(9)?,
            created: row.get(10)?,
            started: row.get(11)?,
            updated: row.get(12)?,
            finished: row.get(13)?,
            attempts: row.get(14)?,
            token: row.get(15)?,
            stumbles: row.get(16)?,
            blocks: row.get(17)?,
            blocks_done: row.get(18)?,
            map: row.get(19)?,
            message: row.get(20)?,
            problem: row.get(21)?,
            process: row.get(22)?,
            asked: serde_json::from_str(row.get_ref(23)?.as_str()?).unwrap_or_default(),
            account: row.get(24)?,
        })
    }

    /// Name of the file of its result.
    pub(super) fn file(&self) -> String {
        format!("{}.{}", self.map, self.form().extension())
    }

    /// The form of that file.
    pub(crate) fn form(&self) -> Form {
        self.asked.stored(self.process)
    }

    /// Values in all.
    pub(crate) fn values(&self) -> u64 {
        self.fields.saturating_mul(self.cells)
    }
}
