//! Whether jobs, processes and the account count the same ends of a day, and its files are as they were written.

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::days::{self, DayError, Part, date_of};
use super::{DAY_MS, JOB, ONCE};
use crate::store::Store;

/// Days whose jobs are all remembered: those of 90 days, less the one that is going.
const REMEMBERED: i64 = 89;

/// What was counted of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// The day, UTC.
    pub date: String,
    /// Jobs that ended, by their own table; none where that no longer remembers all.
    pub jobs: Option<i64>,
    /// Ends of jobs that processes saw when they wrote their log.
    pub jobs_seen: i64,
    /// Rows of jobs in the account.
    pub jobs_booked: i64,
    /// Ends of requests that processes saw.
    pub requests_seen: i64,
    /// Rows of requests in the account.
    pub requests_booked: i64,
    /// Rows of requests for which there was no room; a difference, too.
    pub lost: i64,
    /// Files of the day.
    pub files: usize,
    /// Those that are missing or changed.
    pub damaged: Vec<String>,
    /// Ends that are not counted alike, and rows in damaged files; 0 where all is well.
    pub difference: i64,
}

/// Compares the counts of a day (since 1970). Blocks: reads its files.
pub(super) fn day(store: &Store, day: i64, today: i64) -> Result<Reconciled, DayError> {
    let (parts, mut found) = store.read(|c| {
        // One state of the database, whatever others write meanwhile.
        let snapshot = c.unchecked_transaction()?;
        let parts = days::parts(&snapshot, day, day)?;
        Ok::<_, rusqlite::Error>((parts.clone(), counts(&snapshot, day, today, &parts)?))
    })?;
    for part in &parts {
        let path = part.path(store);
        let known = days::whole_of(&path).ok();
        if known != Some((part.bytes, part.digest.clone())) {
            found.damaged.push(path.display().to_string());
            found.difference += part.rows;
        }
    }
    Ok(found)
}

fn counts(
    connection: &Connection,
    day: i64,
    today: i64,
    parts: &[Part],
) -> rusqlite::Result<Reconciled> {
    let [from, to] = [day * DAY_MS, (day + 1) * DAY_MS];
    let rows = |jobs: bool| -> rusqlite::Result<i64> {
        let sql = "SELECT count(*) FROM usage WHERE ended_ms >= ?1 AND ended_ms < ?2 \
                   AND (way = ?3) = ?4";
        connection.query_row(sql, params![from, to, JOB, jobs], |row| row.get(0))
    };
    let seen = |way: &str| -> rusqlite::Result<(i64, i64)> {
        let sql = "SELECT ends, lost FROM usage_seen WHERE day = ?1 AND way = ?2";
        let found = connection.query_row(sql, params![day, way], |r| Ok((r.get(0)?, r.get(1)?)));
        Ok(found.optional()?.unwrap_or_default())
    };
    let jobs: Option<i64> = (today - day <= REMEMBERED)
        .then(|| {
            let sql = "SELECT count(*) FROM jobs WHERE account IS NOT NULL \
                       AND finished >= ?1 AND finished < ?2";
            connection.query_row(sql, [from / 1000, to / 1000], |row| row.get(0))
        })
        .transpose()?;
    let in_files = |count: fn(&Part) -> i64| parts.iter().map(count).sum::<i64>();
    let jobs_booked = in_files(|part| part.jobs) + rows(true)?;
    let requests_booked = in_files(|part| part.rows - part.jobs) + rows(false)?;
    let ((jobs_seen, _), (requests_seen, lost)) = (seen(JOB)?, seen(ONCE)?);
    let difference = jobs.map_or(0, |jobs| (jobs - jobs_booked).abs())
        + (jobs_seen - jobs_booked).abs()
        + (requests_seen - requests_booked).abs();
    Ok(Reconciled {
        date: date_of(day),
        jobs,
        jobs_seen,
        jobs_booked,
        requests_seen,
        requests_booked,
        lost,
        files: parts.len(),
        damaged: Vec::new(),
        difference,
    })
}

/// Days that are over, have counts, and were not compared yet.
pub(super) fn due(connection: &Connection, today: i64) -> rusqlite::Result<Vec<i64>> {
    let sql = "SELECT DISTINCT day FROM usage_seen WHERE day < ?1 \
               AND day NOT IN (SELECT day FROM reconciliations) ORDER BY day";
    let mut statement = connection.prepare(sql)?;
    statement.query_map([today], |row| row.get(0))?.collect()
}

/// Every day with counts or files, from one to another.
pub(super) fn known(connection: &Connection, from: i64, to: i64) -> rusqlite::Result<Vec<i64>> {
    let sql = "SELECT day FROM usage_seen WHERE day BETWEEN ?1 AND ?2 \
               UNION SELECT day FROM usage_parts WHERE day BETWEEN ?1 AND ?2 ORDER BY day";
    let mut statement = connection.prepare(sql)?;
    statement.query_map([from, to], |row| row.get(0))?.collect()
}

/// Remembers what was found.
pub(super) fn remember(
    store: &Store,
    day: i64,
    time: i64,
    found: &Reconciled,
) -> rusqlite::Result<()> {
    let told = serde_json::to_string(found).unwrap_or_default();
    store.write(|tx| {
        let sql = "INSERT OR REPLACE INTO reconciliations VALUES (?1, ?2, ?3, ?4)";
        tx.execute(sql, params![day, time, found.difference, told]).map(drop)
    })
}
