//! All SQL of jobs. Whoever may change a row, and when, stands in [`super`].

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Result, Transaction, params, params_from_iter};

use super::model::{Job, Lane, State};
use super::{Asked, Process, now, results};
use crate::account::{Usage, of_job};

/// How long a lease lasts without being renewed.
pub(super) const LEASE_MS: i64 = 30_000;

pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// What is known of a job when it is accepted.
pub(super) struct NewJob<'a> {
    pub(super) id: &'a str,
    pub(super) owner: &'a str,
    pub(super) lane: Lane,
    pub(super) request: &'a str,
    pub(super) fingerprint: &'a str,
    pub(super) idempotency_key: Option<&'a str>,
    pub(super) fields: u64,
    pub(super) cells: u64,
    pub(super) predicted_seconds: f64,
    pub(super) predicted_bytes: u64,
    pub(super) map: &'a str,
    pub(super) inputs: &'a [String],
    pub(super) webhook: Option<&'a str>,
    pub(super) process: Process,
    pub(super) asked: &'a Asked,
    pub(super) account: Option<&'a str>,
}

pub(super) fn insert(tx: &Transaction<'_>, job: &NewJob<'_>) -> Result<()> {
    tx.execute(
        "INSERT INTO jobs (id, owner, state, lane, request, fingerprint, idempotency_key, fields, \
         cells, predicted_seconds, predicted_bytes, created, updated, map, process, asked, account) \
         VALUES (?1, ?2, 'accepted', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12, ?13, ?14, ?15)",
        params![
            job.id,
            job.owner,
            job.lane.name(),
            job.request,
            job.fingerprint,
            job.idempotency_key,
            job.fields,
            job.cells,
            job.predicted_seconds,
            job.predicted_bytes,
            now(),
            job.map,
            job.process,
            serde_json::to_string(job.asked).unwrap_or_default(),
            job.account,
        ],
    )?;
    for digest in job.inputs {
        tx.execute(
            "INSERT INTO job_inputs (job, digest) VALUES (?1, ?2)",
            params![job.id, digest],
        )?;
    }
    if let Some(url) = job.webhook {
        tx.execute("INSERT INTO hooks (job, url) VALUES (?1, ?2)", params![job.id, url])?;
    }
    Ok(())
}

/// A job of this owner, or of whomever.
pub(crate) fn get(connection: &Connection, owner: Option<&str>, id: &str) -> Result<Option<Job>> {
    Ok(by_id(connection, id)?.filter(|job| owner.is_none_or(|owner| job.owner == owner)))
}

/// A job of whomever.
pub(crate) fn by_id(connection: &Connection, id: &str) -> Result<Option<Job>> {
    let sql = format!("SELECT {} FROM jobs WHERE id = ?1", Job::COLUMNS);
    connection.query_row(&sql, [id], Job::from_row).optional()
}

pub(super) fn by_idempotency_key(
    connection: &Connection,
    owner: &str,
    key: &str,
) -> Result<Option<Job>> {
    let sql =
        format!("SELECT {} FROM jobs WHERE owner = ?1 AND idempotency_key = ?2", Job::COLUMNS);
    connection.query_row(&sql, [owner, key], Job::from_row).optional()
}

/// Which jobs of an owner; what is none or empty does not matter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) states: Vec<State>,
    pub(crate) processes: Option<Vec<Process>>,
    /// Accepted not before, and not after.
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
    /// Seconds from its start to its end, or to now.
    pub(crate) least_seconds: Option<i64>,
    pub(crate) most_seconds: Option<i64>,
}

/// Jobs of an owner, or of everybody, the newest first.
pub(crate) fn list(
    connection: &Connection,
    owner: Option<&str>,
    filter: &Filter,
    limit: u32,
    offset: u32,
) -> Result<Vec<Job>> {
    let mut conditions = vec!["(?1 IS NULL OR owner = ?1)".to_owned()];
    let mut values: Vec<Value> = vec![owner.map(str::to_owned).into()];
    let mut one_of = |column: &str, names: Vec<&'static str>| {
        let places: Vec<String> = names
            .into_iter()
            .map(|name| {
                values.push(name.to_owned().into());
                format!("?{}", values.len())
            })
            .collect();
        conditions.push(format!("{column} IN ({})", places.join(", ")));
    };
    if !filter.states.is_empty() {
        one_of("state", filter.states.iter().map(|state| state.name()).collect());
    }
    if let Some(processes) = &filter.processes {
        one_of("process", processes.iter().map(|process| process.name()).collect());
    }
    let seconds = format!("coalesce(finished, {}) - started", now());
    for (what, limit) in [
        ("created >=", filter.from),
        ("created <=", filter.to),
        (&format!("{seconds} >="), filter.least_seconds),
        (&format!("{seconds} <="), filter.most_seconds),
    ] {
        if let Some(limit) = limit {
            values.push(limit.into());
            conditions.push(format!("{what} ?{}", values.len()));
        }
    }
    let sql = format!(
        "SELECT {} FROM jobs WHERE {} ORDER BY created DESC, rowid DESC LIMIT {limit} OFFSET {offset}",
        Job::COLUMNS,
        conditions.join(" AND ")
    );
    connection.prepare(&sql)?.query_map(params_from_iter(values), Job::from_row)?.collect()
}

/// Whether a job of a lane could be taken.
pub(super) fn any_waiting(connection: &Connection, lane: Lane) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'accepted' AND lane = ?1 \
               AND not_before <= ?2)";
    connection.prepare(sql)?.query_row(params![lane.name(), now()], |row| row.get(0))
}

/// How many jobs are where.
#[derive(Clone, Debug)]
pub(crate) struct Census {
    pub(crate) by_state: Vec<(State, u64)>,
    pub(crate) waiting: Vec<(Lane, u64)>,
}

pub(crate) fn census(connection: &Connection) -> Result<Census> {
    let sql = "SELECT state, lane, count(*) FROM jobs GROUP BY state, lane";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let rows: Vec<(State, Lane, u64)> = rows.collect::<Result<_>>()?;
    let sum = |of: &dyn Fn(State, Lane) -> bool| {
        rows.iter().filter(|(state, lane, _)| of(*state, *lane)).map(|(.., count)| count).sum()
    };
    Ok(Census {
        by_state: State::ALL.map(|state| (state, sum(&|other, _| other == state))).into(),
        waiting: Lane::ALL
            .map(|lane| (lane, sum(&|state, other| state == State::Accepted && other == lane)))
            .into(),
    })
}

/// Jobs that wait.
pub(super) fn waiting(connection: &Connection) -> Result<usize> {
    connection.query_row("SELECT count(*) FROM jobs WHERE state = 'accepted'", [], |r| r.get(0))
}

/// How many wait in the same lane since longer, and itself; less where keys take turns.
pub(crate) fn queue_position(connection: &Connection, job: &Job) -> Result<usize> {
    connection.query_row(
        "SELECT 1 + count(*) FROM jobs WHERE state = 'accepted' AND lane = ?1 \
         AND rowid < (SELECT rowid FROM jobs WHERE id = ?2)",
        params![job.lane.name(), job.id],
        |row| row.get(0),
    )
}

/// The next job of a lane becomes this holder's: of the owner whose last turn is longest ago the one
/// that waits longest.
pub(super) fn take(tx: &Transaction<'_>, lane: Lane, holder: &str) -> Result<Option<Job>> {
    let found: Option<String> = tx
        .query_row(
            "SELECT id FROM jobs AS waiting WHERE state = 'accepted' AND lane = ?1 \
             AND not_before <= ?2 ORDER BY \
             (SELECT max(turn) FROM jobs WHERE owner = waiting.owner), rowid LIMIT 1",
            params![lane.name(), now()],
            |row| row.get(0),
        )
        .optional()?;
    let Some(id) = found else { return Ok(None) };
    tx.execute(
        "UPDATE jobs SET state = 'running', token = token + 1, attempts = attempts + 1, \
         turn = 1 + (SELECT max(turn) FROM jobs), holder = ?2, lease_ms = ?3, \
         started = coalesce(started, ?4), updated = ?4, message = NULL WHERE id = ?1",
        params![id, holder, now_ms() + LEASE_MS, now()],
    )?;
    by_id(tx, &id)
}

/// Whether an attempt is still the one, with its lease renewed.
pub(super) fn renew(tx: &Transaction<'_>, id: &str, token: i64) -> Result<bool> {
    let sql = "UPDATE jobs SET lease_ms = ?3 WHERE id = ?1 AND token = ?2 AND state = 'running'";
    Ok(tx.execute(sql, params![id, token, now_ms() + LEASE_MS])? == 1)
}

/// The same, without renewing.
pub(super) fn is_mine(connection: &Connection, id: &str, token: i64) -> Result<bool> {
    let sql = "SELECT count(*) FROM jobs WHERE id = ?1 AND token = ?2 AND state = 'running'";
    connection.query_row(sql, params![id, token], |row| row.get(0))
}

/// Books blocks; one that this attempt completed makes its attempts count from 1 again. False where the
/// lease is lost.
pub(super) fn progress(
    tx: &Transaction<'_>,
    (id, token): (&str, i64),
    blocks: usize,
    done: usize,
    completed: bool,
) -> Result<bool> {
    let sql = "UPDATE jobs SET blocks = ?3, blocks_done = ?4, updated = ?5, lease_ms = ?6, \
               attempts = CASE WHEN ?7 THEN 1 ELSE attempts END, \
               stumbles = CASE WHEN ?7 THEN 0 ELSE stumbles END \
               WHERE id = ?1 AND token = ?2 AND state = 'running'";
    let lease = now_ms() + LEASE_MS;
    Ok(tx.execute(sql, params![id, token, blocks, done, now(), lease, completed])? == 1)
}

/// The end of an attempt that is still the one; false where it is not. `told`: what it knows for the account.
pub(super) fn end(
    tx: &Transaction<'_>,
    (id, token): (&str, i64),
    state: State,
    message: &str,
    problem: Option<&str>,
    told: Option<&Usage>,
) -> Result<bool> {
    let sql = "UPDATE jobs SET state = ?3, finished = ?4, updated = ?4, holder = NULL, \
               message = ?5, problem = ?6 WHERE id = ?1 AND token = ?2 AND state = 'running'";
    let changed = tx.execute(sql, params![id, token, state, now(), message, problem])? == 1;
    if changed {
        ended(tx, id, told)?;
    }
    Ok(changed)
}

/// What follows from any end: its row in the account, the webhook is due, the inputs are no longer needed.
fn ended(tx: &Transaction<'_>, id: &str, told: Option<&Usage>) -> Result<()> {
    of_job(tx, id, told)?;
    tx.execute("UPDATE hooks SET due = ?2 WHERE job = ?1", params![id, now()])?;
    tx.execute("DELETE FROM job_inputs WHERE job = ?1", [id])?;
    Ok(())
}

/// The job waits again. `counts`: whether the attempt remains counted. False where the lease is lost.
pub(super) fn hand_back(
    tx: &Transaction<'_>,
    (id, token): (&str, i64),
    counts: bool,
    message: &str,
) -> Result<bool> {
    let sql = "UPDATE jobs SET state = 'accepted', holder = NULL, updated = ?3, message = ?4, \
               attempts = max(0, attempts - ?5) \
               WHERE id = ?1 AND token = ?2 AND state = 'running'";
    let less = i64::from(!counts);
    Ok(tx.execute(sql, params![id, token, now(), message, less])? == 1)
}

/// The same after a failure of the machine: it waits for some seconds.
pub(super) fn postpone(
    tx: &Transaction<'_>,
    (id, token): (&str, i64),
    seconds: i64,
    message: &str,
) -> Result<bool> {
    let sql = "UPDATE jobs SET state = 'accepted', holder = NULL, updated = ?3, message = ?4, \
               attempts = max(0, attempts - 1), stumbles = stumbles + 1, not_before = ?3 + ?5 \
               WHERE id = ?1 AND token = ?2 AND state = 'running'";
    Ok(tx.execute(sql, params![id, token, now(), message, seconds])? == 1)
}

/// A running job, and who holds it.
pub(super) struct Held {
    pub(super) id: String,
    pub(super) token: i64,
    pub(super) holder: String,
    /// Whether its lease is over.
    pub(super) over: bool,
    pub(super) attempts: u32,
}

/// Running jobs of this process.
pub(super) fn held_by(connection: &Connection, holder: &str) -> Result<Vec<Held>> {
    held(connection, "IS ?1", holder)
}

pub(super) fn held_by_others(connection: &Connection, holder: &str) -> Result<Vec<Held>> {
    held(connection, "IS NOT ?1", holder)
}

fn held(connection: &Connection, whose: &str, holder: &str) -> Result<Vec<Held>> {
    let sql = format!(
        "SELECT id, token, coalesce(holder, ''), lease_ms < ?2, attempts FROM jobs \
         WHERE state = 'running' AND holder {whose}"
    );
    let mut statement = connection.prepare(&sql)?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Held {
            id: row.get(0)?,
            token: row.get(1)?,
            holder: row.get(2)?,
            over: row.get(3)?,
            attempts: row.get(4)?,
        })
    };
    statement.query_map(params![holder, now_ms()], read)?.collect()
}

/// Ends a job because its owner does not want it any more, or removes what it left: the file of its map,
/// if there is one, is to be removed. None where the owner has no such job.
pub(crate) fn delete(
    tx: &Transaction<'_>,
    owner: Option<&str>,
    id: &str,
) -> Result<Option<(Job, Option<String>)>> {
    let Some(job) = get(tx, owner, id)? else { return Ok(None) };
    let path = results::remove(tx, &job.map, "its job was dismissed")?;
    if job.state != State::Dismissed {
        let message = if job.state.is_final() { "its result was removed" } else { "dismissed" };
        tx.execute(
            "UPDATE jobs SET state = 'dismissed', finished = coalesce(finished, ?2), \
             updated = ?2, holder = NULL, message = ?3 WHERE id = ?1",
            params![id, now(), message],
        )?;
        if !job.state.is_final() {
            ended(tx, id, None)?;
        }
    }
    Ok(get(tx, owner, id)?.map(|job| (job, path)))
}

/// Forgets jobs that ended before a time and have no file any more.
pub(super) fn forget(tx: &Transaction<'_>, before: i64) -> Result<()> {
    tx.execute(
        "DELETE FROM jobs WHERE finished < ?1 \
         AND NOT EXISTS (SELECT 1 FROM maps WHERE maps.id = jobs.map AND removed IS NULL)",
        [before],
    )?;
    tx.execute("DELETE FROM maps WHERE removed < ?1", [before])?;
    Ok(())
}
