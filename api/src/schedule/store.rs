//! SQL of slots. Whoever may change a row, and when, stands in [`super`].

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Result, Transaction, params, params_from_iter};

use super::model::{Slot, SlotState};
use crate::state::AppState;

/// How long a claim lasts if its holder cannot be asked whether it lives, such as on another machine: longer than
/// any look at a source.
const LEASE_MS: i64 = 900_000;

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// The right to work at a schedule.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) schedule: String,
    token: i64,
}

impl Claim {
    /// Takes a schedule that nobody works at.
    pub(super) fn take(state: &AppState, schedule: &str) -> Result<Option<Self>> {
        let me = state.jobs().holder();
        state.store().write(|tx| {
            let sql = "SELECT holder, lease_ms FROM schedules WHERE id = ?1";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let found: Option<(Option<String>, i64)> =
                tx.query_row(sql, [schedule], row).optional()?;
            let Some((holder, lease_ms)) = found else { return Ok(None) };
            let others = holder.is_some_and(|holder| holder != me && state.jobs().lives(&holder));
            if others && lease_ms > now_ms() {
                return Ok(None);
            }
            let sql = "UPDATE schedules SET holder = ?2, lease_ms = ?3, token = token + 1 \
                       WHERE id = ?1 RETURNING token";
            let token = tx.query_row(sql, params![schedule, me, now_ms() + LEASE_MS], |r| r.get(0));
            Ok(Some(Self { schedule: schedule.to_owned(), token: token? }))
        })
    }

    /// Whether it holds still; within a transaction it then holds to the end of that.
    pub(super) fn holds(&self, tx: &Transaction<'_>) -> Result<bool> {
        let sql =
            "SELECT count(*) FROM schedules WHERE id = ?1 AND token = ?2 AND holder IS NOT NULL";
        tx.query_row(sql, params![self.schedule, self.token], |row| row.get(0))
    }

    pub(super) fn give_back(self, state: &AppState) -> Result<()> {
        state.store().write(|tx| {
            let sql = "UPDATE schedules SET holder = NULL WHERE id = ?1 AND token = ?2";
            tx.execute(sql, params![self.schedule, self.token]).map(drop)
        })
    }
}

/// Puts in hours that are not there yet; how many.
pub(super) fn insert(
    tx: &Transaction<'_>,
    (schedule, origin): (&str, &str),
    (hour, since, due): (i64, i64, Option<i64>),
    now: i64,
) -> Result<usize> {
    tx.execute(
        "INSERT OR IGNORE INTO slots (schedule, hour, state, since, due, origin, updated) \
         VALUES (?1, ?2, 'waiting', ?3, ?4, ?5, ?6)",
        params![schedule, hour, since, due, origin, now],
    )
}

/// One hour.
pub(crate) fn get(c: &Connection, schedule: &str, hour: i64) -> Result<Option<Slot>> {
    let sql = format!("SELECT {} FROM slots WHERE schedule = ?1 AND hour = ?2", Slot::COLUMNS);
    c.prepare(&sql)?.query_row(params![schedule, hour], Slot::from_row).optional()
}

/// Hours whose readings are to be looked for, those of the clock before those of backfills, the oldest first.
pub(super) fn due(c: &Connection, schedule: &str, now: i64, most: usize) -> Result<Vec<Slot>> {
    let sql = format!(
        "SELECT {} FROM slots WHERE schedule = ?1 AND due <= ?2 AND state <> 'running' \
         ORDER BY origin = 'backfill', hour LIMIT ?3",
        Slot::COLUMNS
    );
    let mut statement = c.prepare(&sql)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    statement.query_map(params![schedule, now, most], Slot::from_row)?.collect()
}

/// Hours whose job has ended, or is gone.
pub(super) fn ended(c: &Connection, schedule: &str) -> Result<Vec<Slot>> {
    let sql = format!(
        "SELECT {} FROM slots WHERE schedule = ?1 AND state = 'running' AND NOT EXISTS \
         (SELECT 1 FROM jobs WHERE jobs.id = slots.job AND jobs.state IN ('accepted', 'running')) \
         ORDER BY hour",
        Slot::COLUMNS
    );
    c.prepare(&sql)?.query_map([schedule], Slot::from_row)?.collect()
}

/// Whether readings of a schedule are to be looked for. `most`: maps made at the same time.
pub(super) fn is_due(c: &Connection, schedule: &str, now: i64, most: usize) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM slots WHERE schedule = ?1 AND due <= ?2 AND state <> 'running')";
    let any: bool = c.query_row(sql, params![schedule, now], |row| row.get(0))?;
    Ok(any && running(c, schedule)? < most)
}

/// Schedules with hours whose job has ended, or is gone.
pub(super) fn with_ends(c: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT schedule FROM slots WHERE state = 'running' AND NOT EXISTS \
               (SELECT 1 FROM jobs WHERE jobs.id = slots.job AND jobs.state IN ('accepted', 'running'))";
    c.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// Hours whose maps are being made.
pub(super) fn running(c: &Connection, schedule: &str) -> Result<usize> {
    let sql = "SELECT count(*) FROM slots WHERE schedule = ?1 AND state = 'running'";
    c.query_row(sql, [schedule], |row| row.get(0))
}

/// How many hours of a schedule are in which state, within a range.
pub(crate) fn census(
    c: &Connection,
    schedule: &str,
    [first, last]: [i64; 2],
) -> Result<Vec<(SlotState, u64)>> {
    let sql = "SELECT state, count(*) FROM slots WHERE schedule = ?1 AND hour BETWEEN ?2 AND ?3 GROUP BY state";
    let mut statement = c.prepare(sql)?;
    let rows =
        statement.query_map(params![schedule, first, last], |r| Ok((r.get(0)?, r.get(1)?)))?;
    rows.collect()
}

/// Which hours.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) state: Option<SlotState>,
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
    pub(crate) before: Option<i64>,
}

/// Hours, the newest first.
pub(crate) fn list(
    c: &Connection,
    schedule: &str,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<Slot>> {
    let mut conditions = vec!["schedule = ?1".to_owned()];
    let mut values: Vec<Value> = vec![schedule.to_owned().into()];
    let mut add = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            values.push(value);
            conditions.push(format!("{condition} ?{}", values.len()));
        }
    };
    add("state =", filter.state.map(|state| state.name().to_owned().into()));
    add("hour >=", filter.from.map(Value::from));
    add("hour <=", filter.to.map(Value::from));
    add("hour <", filter.before.map(Value::from));
    let sql = format!(
        "SELECT {} FROM slots WHERE {} ORDER BY hour DESC LIMIT {limit}",
        Slot::COLUMNS,
        conditions.join(" AND ")
    );
    c.prepare(&sql)?.query_map(params_from_iter(values), Slot::from_row)?.collect()
}

/// The newest hour with a map: the hour, its latest revision, the map.
pub(crate) fn newest(c: &Connection, schedule: &str) -> Result<Option<(i64, u32, String)>> {
    let sql = "SELECT slots.hour, slots.revision, map FROM slots JOIN revisions USING (schedule, hour, revision) \
               WHERE schedule = ?1 AND slots.revision > 0 ORDER BY slots.hour DESC LIMIT 1";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    c.prepare(sql)?.query_row([schedule], row).optional()
}

/// Whether an hour of a range is still to be made again.
pub(super) fn is_wanted(c: &Connection, schedule: &str, [first, last]: [i64; 2]) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM slots WHERE schedule = ?1 AND hour BETWEEN ?2 AND ?3 AND again > 0)";
    c.query_row(sql, params![schedule, first, last], |row| row.get(0))
}
