//! A slot, and what it leaves, as their rows say.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Result, Row};

/// Where a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    /// There are no readings yet.
    Waiting,
    /// A job makes its map.
    Running,
    /// Its map is there.
    Made,
    /// There are readings, of too few stations.
    TooFew,
    /// There were no readings in time.
    Missing,
    /// No map can be made of its readings.
    Failed,
}

impl SlotState {
    pub(crate) const ALL: [Self; 6] =
        [Self::Waiting, Self::Running, Self::Made, Self::TooFew, Self::Missing, Self::Failed];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Made => "made",
            Self::TooFew => "too_few",
            Self::Missing => "missing",
            Self::Failed => "failed",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl FromSql for SlotState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::named(value.as_str()?).ok_or(FromSqlError::InvalidType)
    }
}

impl ToSql for SlotState {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

/// What somebody should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Missing,
    TooFew,
    JobFailed,
    DeliveryFailed,
    Recovered,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::TooFew => "too_few",
            Self::JobFailed => "job_failed",
            Self::DeliveryFailed => "delivery_failed",
            Self::Recovered => "recovered",
        }
    }
}

/// An hour of a schedule.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) schedule: String,
    /// Seconds since 1970, as all times.
    pub(crate) hour: i64,
    pub(crate) state: SlotState,
    /// The latest; 0: there is none.
    pub(crate) revision: u32,
    pub(crate) job: Option<String>,
    pub(crate) mark: Option<String>,
    /// Of the readings that were taken last: as understood, their bytes, the name of their file.
    pub(crate) digest: Option<String>,
    pub(crate) input: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) stations: Option<u64>,
    /// When readings are expected.
    pub(crate) since: i64,
    pub(crate) due: Option<i64>,
    pub(crate) attempts: u32,
    /// 1: a new revision is wanted, even of the same readings; 2: such a one is being made.
    pub(crate) again: u8,
    pub(crate) origin: String,
    pub(crate) problem: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) updated: i64,
}

impl Slot {
    /// Columns in the order of [`Slot::from_row`].
    pub(super) const COLUMNS: &str = "schedule, hour, state, revision, job, mark, digest, input, name, stations, \
         since, due, attempts, again, origin, problem, message, updated";

    pub(super) fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            schedule: row.get(0)?,
            hour: row.get(1)?,
            state: row.get(2)?,
            revision: row.get(3)?,
            job: row.get(4)?,
            mark: row.get(5)?,
            digest: row.get(6)?,
            input: row.get(7)?,
            name: row.get(8)?,
            stations: row.get(9)?,
            since: row.get(10)?,
            due: row.get(11)?,
            attempts: row.get(12)?,
            again: row.get(13)?,
            origin: row.get(14)?,
            problem: row.get(15)?,
            message: row.get(16)?,
            updated: row.get(17)?,
        })
    }
}
