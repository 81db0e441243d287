//! The canary: now and then a small job with a known answer, on the way that every job takes.
//!
//! ```text
//! number → row (under way) → job: body kept, queue, lane, blocks, file → its values compared → row (right, or why not) → job removed
//! ```
//!
//! Numbers are given by the database and never twice: one without an outcome is of a process that ended, and is missed by
//! the next. Values must be those of `canary.json`, made elsewhere in 60 digits, to `TOLERANCE`; and the same bits as the
//! last time that this version ran on these instructions. Its jobs belong to nobody, leave no row in the account and no map.

use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use isopleth_engine::Cancel;
use isopleth_engine::export::{Source, Span, Window};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::body::Spool;
use crate::doors::Caller;
use crate::error::ApiError;
use crate::intake::Received;
use crate::jobs::{self, Job, State, Submission, Wish};
use crate::state::AppState;
use crate::watch::account::REASONS;

const ANSWER: &str = include_str!("canary.json");
/// Whose jobs they are: no client's name.
const OWNER: &str = "canary";
/// Relative to the range of the answer: the system is solved in doubles with a condition below 1e4, so that a dozen digits
/// are right; what is wrong by more is not rounding.
const TOLERANCE: f64 = 1e-9;
/// Canaries that are remembered.
const KEPT: i64 = 10_000;
const POLL: Duration = Duration::from_millis(250);

#[derive(Deserialize)]
struct Answer {
    request: Box<RawValue>,
    expected: Vec<Vec<f64>>,
}

static KNOWN: LazyLock<Answer> =
    LazyLock::new(|| serde_json::from_str(ANSWER).expect("a file of our own"));

/// Why one is not right: one of [`REASONS`], and more words.
#[derive(Debug)]
struct Wrong(&'static str, String);

impl From<ApiError> for Wrong {
    fn from(error: ApiError) -> Self {
        Self("failed", error.problem().detail)
    }
}

impl From<rusqlite::Error> for Wrong {
    fn from(error: rusqlite::Error) -> Self {
        Self("failed", format!("the database: {error}"))
    }
}

/// What came back.
struct Right {
    made_by: String,
    digest: String,
}

/// Sends canaries until the service takes no more jobs.
pub(super) async fn keep(state: AppState) {
    let every = Duration::from_secs(state.config().canary_seconds);
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => (),
            () = state.jobs().drained() => return,
        }
        send(&state, state.now()).await;
    }
}

/// Sends one, and waits until it is back, or late. Gives its number, and what was wrong, if anything.
pub(super) async fn send(state: &AppState, now: Timestamp) -> Option<(i64, Option<&'static str>)> {
    let start = Instant::now();
    let shared = state.clone();
    let begun = tokio::task::spawn_blocking(move || begin(&shared, now.as_millisecond())).await;
    let (sequence, job) = match begun {
        Ok(Ok(begun)) => begun,
        Ok(Err(error)) => {
            state.watch().account.failed("failed");
            tracing::error!(%error, "no canary can be sent");
            return None;
        }
        Err(panic) => {
            tracing::error!(%panic, "sending a canary panicked");
            return None;
        }
    };
    state.watch().account.sent(sequence);
    let job = match job {
        Ok(job) => wait(state, job, start).await,
        Err(wrong) => Err(wrong),
    };
    let shared = state.clone();
    let ended = move || {
        let outcome = job.and_then(|job| judge(&shared, &job));
        end(&shared, (sequence, now), start.elapsed().as_secs_f64(), outcome)
    };
    let wrong = tokio::task::spawn_blocking(ended).await.unwrap_or(Some("failed"));
    Some((sequence, wrong))
}

/// Misses those before, takes a number and asks for the job.
fn begin(state: &AppState, now_ms: i64) -> rusqlite::Result<(i64, Result<Job, Wrong>)> {
    let late = i64::try_from(state.config().canary_late_seconds * 1000).unwrap_or(i64::MAX);
    let (missing, sequence) = state.store().write(|tx| {
        let missing = miss(tx, now_ms.saturating_sub(late))?;
        tx.execute("INSERT INTO canaries (sent_ms) VALUES (?1)", [now_ms])?;
        let sequence = tx.last_insert_rowid();
        tx.execute("DELETE FROM canaries WHERE sequence <= ?1", [sequence - KEPT])?;
        Ok::<_, rusqlite::Error>((missing, sequence))
    })?;
    for sequence in missing {
        state.watch().account.failed("missing");
        tracing::error!(sequence, "a canary is missing: its process ended before it came back");
    }
    Ok((sequence, submit(state)))
}

/// Those sent before a time of which nothing was heard.
fn miss(tx: &Transaction<'_>, before_ms: i64) -> rusqlite::Result<Vec<i64>> {
    let sql = "UPDATE canaries SET outcome = 'missing' WHERE outcome IS NULL AND sent_ms < ?1 \
               RETURNING sequence";
    tx.prepare(sql)?.query_map([before_ms], |row| row.get(0))?.collect()
}

fn submit(state: &AppState) -> Result<Job, Wrong> {
    let body = Spool::Memory(KNOWN.request.get().as_bytes().to_vec());
    let wish = Wish {
        owner: OWNER.to_owned(),
        caller: Caller::nobody(),
        query: String::new(),
        idempotency_key: None,
        webhook: None,
        network: None,
        account: None,
    };
    let received = Received::Document { body, gzip: false };
    match jobs::submit(state, received, &wish, &Cancel::default())? {
        Submission::Job(job) => Ok(*job),
        Submission::AtOnce(_) => Err(Wrong("failed", "it became no job".to_owned())),
    }
}

/// The job when it has ended.
async fn wait(state: &AppState, job: Job, start: Instant) -> Result<Job, Wrong> {
    let patience = Duration::from_secs(state.config().canary_late_seconds);
    loop {
        let id = job.id.clone();
        let now = state.store().looked_up(move |c| Ok(jobs::get(c, Some(OWNER), &id)?)).await?;
        match now {
            Some(job) if job.state.is_final() => return Ok(job),
            Some(_) if start.elapsed() < patience => tokio::select! {
                () = tokio::time::sleep(POLL) => (),
                () = state.jobs().wake.notified() => (),
            },
            Some(_) => {
                let id = job.id.clone();
                remove(state, job).await;
                let text = format!("job {id} has not ended after {} s", patience.as_secs());
                return Err(Wrong("late", text));
            }
            None => return Err(Wrong("failed", "its job is gone".to_owned())),
        }
    }
}

async fn remove(state: &AppState, job: Job) {
    let shared = state.clone();
    let removed = tokio::task::spawn_blocking(move || forget(&shared, &job)).await;
    if let Ok(Err(error)) = removed {
        tracing::warn!(problem = ?error, "what a canary left stays");
    }
}

/// Removes a job and its map, rows and all.
fn forget(state: &AppState, job: &Job) -> Result<(), ApiError> {
    if !job.state.is_final() {
        jobs::dismiss(state, (OWNER, Some(OWNER)), &job.id)?;
    }
    let file: Option<String> = state.store().write(|tx| {
        let sql = "DELETE FROM maps WHERE job = ?1 RETURNING path";
        let file = tx.query_row(sql, [&job.id], |row| row.get(0)).optional()?;
        tx.execute("DELETE FROM jobs WHERE id = ?1", [&job.id])?;
        Ok::<_, rusqlite::Error>(file)
    })?;
    if let Some(file) = file {
        jobs::remove_file(state, &file);
    }
    Ok(())
}

/// Compares what a job has made with what is known.
fn judge(state: &AppState, job: &Job) -> Result<Right, Wrong> {
    let judged = match job.state {
        State::Successful => compared(state, job),
        _ => Err(Wrong("failed", job.message.clone().unwrap_or_default())),
    };
    if let Err(error) = forget(state, job) {
        tracing::warn!(problem = ?error, "what a canary left stays");
    }
    judged
}

fn compared(state: &AppState, job: &Job) -> Result<Right, Wrong> {
    let (path, report) = state.store().read(|c| {
        let sql = "SELECT path, report FROM maps WHERE job = ?1";
        c.query_row(sql, [&job.id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
    })?;
    let values = values(&state.jobs().map_file(&path))?;
    check(&values)?;
    let made_by = by_whom(&report);
    let mut hash = blake3::Hasher::new();
    values.iter().flatten().for_each(|value| {
        hash.update(&value.to_bits().to_le_bytes());
    });
    let right = Right { made_by, digest: hash.finalize().to_hex().to_string() };
    let before = state.store().read(|c| last(c, &right.made_by))?;
    match before.filter(|before| *before != right.digest) {
        None => Ok(right),
        Some(before) => {
            let text = format!("the bits are {}, and were {before} before", right.digest);
            Err(Wrong("changed", text))
        }
    }
}

/// Rows of the map, from the south.
fn values(path: &Path) -> Result<Vec<Vec<f64>>, Wrong> {
    let unreadable = |error: &dyn std::fmt::Display| Wrong("failed", format!("its map: {error}"));
    let source = Source::open(path).map_err(|error| unreadable(&error))?;
    let variable = source.variables().first();
    let variable = variable.ok_or_else(|| unreadable(&"it has no variable"))?;
    let all = |count| Span { first: 0, step: 1, count };
    let window = Window { rows: all(source.y().nodes.len()), columns: all(source.x().nodes.len()) };
    let mut rows = Vec::new();
    let each = |_, row: &[f64]| {
        rows.push(row.to_vec());
        Ok(())
    };
    source.rows(variable, 0, &window, true, each).map_err(|error| unreadable(&error))?;
    rows.reverse();
    Ok(rows)
}

fn check(values: &[Vec<f64>]) -> Result<(), Wrong> {
    let expected = &KNOWN.expected;
    let shapes = |all: &[Vec<f64>]| all.iter().map(Vec::len).collect::<Vec<_>>();
    if shapes(values) != shapes(expected) {
        return Err(Wrong("wrong", format!("its rows have {:?} cells", shapes(values))));
    }
    let (low, high) = expected
        .iter()
        .flatten()
        .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    let off = values.iter().flatten().zip(expected.iter().flatten());
    let off = off.map(|(value, known)| (value - known).abs() / (high - low));
    // A NaN is farther off than any number.
    let worst =
        off.fold(0.0, |worst: f64, off| if worst.is_nan() || off <= worst { worst } else { off });
    if worst <= TOLERANCE {
        return Ok(());
    }
    Err(Wrong(
        "wrong",
        format!("a value is off by {worst:.1e} of the range; allowed {TOLERANCE:.0e}"),
    ))
}

/// Version and instructions, which decide about the last bits.
fn by_whom(report: &str) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct By {
        software: String,
        instructions: String,
    }
    let By { software, instructions } = serde_json::from_str(report).unwrap_or_default();
    format!("{software}, {instructions}")
}

fn last(connection: &Connection, made_by: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT digest FROM canaries WHERE made_by = ?1 AND outcome = 'right' \
               ORDER BY sequence DESC LIMIT 1";
    connection.query_row(sql, [made_by], |row| row.get(0)).optional()
}

/// Writes the outcome, counts it, and says so where it is not right.
fn end(
    state: &AppState,
    (sequence, sent): (i64, Timestamp),
    seconds: f64,
    outcome: Result<Right, Wrong>,
) -> Option<&'static str> {
    let (name, message, right) = match outcome {
        Ok(right) => ("right", None, Some(right)),
        Err(Wrong(reason, message)) => (reason, Some(message), None),
    };
    let wrong = REASONS.into_iter().find(|reason| *reason == name);
    let took = Duration::from_secs_f64(seconds);
    let ended = sent.checked_add(took).unwrap_or(sent);
    let written = state.store().write(|tx| {
        let sql = "UPDATE canaries SET ended_ms = ?2, seconds = ?3, outcome = ?4, message = ?5, \
                   made_by = ?6, digest = ?7 WHERE sequence = ?1 AND outcome IS NULL";
        let (made_by, digest) = right.map(|right| (right.made_by, right.digest)).unzip();
        let values =
            params![sequence, ended.as_millisecond(), seconds, name, message, made_by, digest];
        tx.execute(sql, values)
    });
    match &wrong {
        None => tracing::info!(sequence, seconds, "the canary is well"),
        Some(reason) => {
            tracing::error!(sequence, seconds, reason, message, "the canary is not well")
        }
    }
    // What is not written down is missing.
    let wrong = written.is_err().then_some("failed").or(wrong);
    state.watch().account.came_back(ended.as_second(), seconds, wrong);
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_answer_is_right_and_what_is_off_or_no_number_is_wrong() {
        let known = &KNOWN.expected;
        assert!(check(known).is_ok());
        for change in [f64::NAN, f64::INFINITY, 1e-6] {
            let mut off = known.clone();
            off[2][3] += change;
            let Err(Wrong(reason, text)) = check(&off) else { panic!("{change} is not noticed") };
            assert_eq!(reason, "wrong", "{text}");
        }
        assert!(check(&known[1..]).is_err());
    }
}
