//! The account: a row for each job and each map made at once, of what it was and what it took.
//!
//! ```text
//! job          → its row, in the transaction that ends it (`of_job`)
//! map at once  → `entry`: a draft in the request, filled while it is made → in memory → `flush`, once a second
//!                                                                                     ↓ usage (SQLite)
//! a day is over → `days`: Parquet, verified, and only then the rows go        usage/dt=YYYY-MM-DD/*.parquet
//! ```
//!
//! A row of a job is as safe as its end. Those of maps made at once are written together, because a synced commit takes
//! longer than a small map: a crash loses those of the last second. What is in memory is bounded; rows beyond are lost and
//! counted. `usage = false`, a key made with `--no-usage` and the header `x-isopleth-usage: none` leave no rows.

mod canary;
mod columns;
mod days;
mod entry;
mod facts;
mod file;
mod of_job;
mod reconcile;
mod retention;
mod summary;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use isopleth_engine::machine;
use jiff::Timestamp;
use rusqlite::{Transaction, params};

pub use days::DayError;
pub use reconcile::Reconciled;
pub use summary::{
    BY, FEATURES, Failure, Group, Pair, Question, Ratio, Summary, reconciled, summary,
};

pub(crate) use columns::Usage;
pub(crate) use entry::{Draft, USAGE, enter};
pub(crate) use facts::shortened;
pub(crate) use of_job::of_job;

use crate::state::AppState;
use crate::store::Store;

/// The tables.
pub(crate) const SCHEMA: &str = include_str!("schema.sql");

/// Rows in memory at most: 40 s of 500 maps a second.
const MOST_WAITING: usize = 20_000;
/// Rows of a transaction: others wait for the writer no longer than that takes.
const AT_ONCE: usize = 2_000;
/// Between two looks at the proportional memory, which the system adds up page by page.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Rows of a file, and of today's in the database.
const MOST_ROWS: i64 = 500_000;
const DAY_MS: i64 = 86_400_000;
/// A day is closed so long after its end: rows of its last moments are written by then.
const AFTER_MS: i64 = 60_000;
/// Seconds from one look for days that are over to the next.
const CLOSE_EVERY: u64 = 60;

/// What is not written yet.
#[derive(Debug, Default)]
pub(crate) struct Account {
    waiting: Mutex<Waiting>,
    /// One writes at a time, so that rows keep their order.
    writing: Mutex<Option<(Instant, Memory)>>,
}

#[derive(Debug, Default)]
struct Waiting {
    rows: Vec<Usage>,
    seen: BTreeMap<(i64, &'static str), Seen>,
}

/// Ends of a day and way.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    ends: i64,
    lost: i64,
}

/// What the system says of memory, as it was not long ago.
#[derive(Clone, Copy, Debug)]
struct Memory {
    proportional: Option<i64>,
    group_peak: Option<i64>,
}

impl Usage {
    /// Notes memory as the system counts it now, page by page.
    pub(crate) fn weighed(&mut self) {
        let memory = Memory::now();
        (self.pss_bytes, self.group_peak_bytes) = (memory.proportional, memory.group_peak);
    }
}

impl Memory {
    fn now() -> Self {
        let whole = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        Self {
            proportional: machine::proportional_bytes().map(whole),
            group_peak: machine::group_memory().and_then(|group| group.peak_bytes).map(whole),
        }
    }
}

impl Account {
    /// Takes a row, to be written within a second. False: there is no room for it.
    fn book(&self, row: Usage) -> bool {
        let day = row.ended_ms.unwrap_or(0).div_euclid(DAY_MS);
        let mut waiting = lock(&self.waiting);
        let lost = waiting.rows.len() >= MOST_WAITING;
        let seen = waiting.seen.entry((day, ONCE)).or_default();
        seen.ends += 1;
        if lost {
            seen.lost += 1;
        } else {
            waiting.rows.push(row);
        }
        !lost
    }

    /// A job has ended and has its row.
    pub(crate) fn job_ended(&self, ended_ms: i64) {
        let day = ended_ms.div_euclid(DAY_MS);
        lock(&self.waiting).seen.entry((day, JOB)).or_default().ends += 1;
    }

    /// Writes what waits. Blocks. What cannot be written waits on.
    pub(crate) fn flush(&self, store: &Store) -> rusqlite::Result<()> {
        let mut writing = lock(&self.writing);
        let Waiting { mut rows, seen } = std::mem::take(&mut *lock(&self.waiting));
        if rows.is_empty() && seen.is_empty() {
            return Ok(());
        }
        let memory = match *writing {
            Some((looked, memory)) if looked.elapsed() < LOOK_EVERY => memory,
            _ => writing.insert((Instant::now(), Memory::now())).1,
        };
        for row in &mut rows {
            (row.pss_bytes, row.group_peak_bytes) = (memory.proportional, memory.group_peak);
        }
        let mut done = 0;
        let mut written = store.write(|tx| remember(tx, &seen));
        let counted = written.is_ok();
        while written.is_ok() && done < rows.len() {
            let some = &rows[done..rows.len().min(done + AT_ONCE)];
            written = store.write(|tx| Usage::insert(some, tx));
            if written.is_ok() {
                done += some.len();
            }
        }
        if written.is_err() {
            self.take_back(rows.split_off(done), (!counted).then_some(seen));
        }
        written
    }

    /// Rows and counts that could not be written, before those that came meanwhile.
    fn take_back(&self, mut rows: Vec<Usage>, seen: Option<BTreeMap<(i64, &'static str), Seen>>) {
        let mut waiting = lock(&self.waiting);
        rows.append(&mut waiting.rows);
        let room = rows.len().min(MOST_WAITING);
        for row in rows.drain(room..) {
            let day = row.ended_ms.unwrap_or(0).div_euclid(DAY_MS);
            waiting.seen.entry((day, ONCE)).or_default().lost += 1;
        }
        waiting.rows = rows;
        for (of, more) in seen.unwrap_or_default() {
            let known = waiting.seen.entry(of).or_default();
            known.ends += more.ends;
            known.lost += more.lost;
        }
    }

    /// Rows that wait.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.waiting).rows.len()
    }
}

/// The two ways to ask for something.
const ONCE: &str = "once";
const JOB: &str = "job";

fn remember(
    tx: &Transaction<'_>,
    seen: &BTreeMap<(i64, &'static str), Seen>,
) -> rusqlite::Result<()> {
    for ((day, way), Seen { ends, lost }) in seen {
        tx.execute(
            "INSERT INTO usage_seen VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE \
             SET ends = ends + excluded.ends, lost = lost + excluded.lost",
            params![day, way, ends, lost],
        )?;
    }
    Ok(())
}

/// Writes the rows that wait, which is done once a second in a service. Blocks.
///
/// # Errors
/// If the database fails: they wait on.
pub fn flush(state: &AppState) -> Result<(), rusqlite::Error> {
    state.account().flush(state.store())
}

/// Moves days that are over at a time into files, removes what is too old, and compares the counts of those days.
/// Done every minute in a service. Blocks.
///
/// # Errors
/// If a file or the database fails: rows stay where they are.
pub fn close(state: &AppState, now: Timestamp) -> Result<Vec<Reconciled>, DayError> {
    let (store, config) = (state.store(), state.config());
    let keep =
        days::Keep { days: config.usage_keep_days, bytes: config.usage_max_bytes, rows: MOST_ROWS };
    let mut days = days::close(store, now.as_millisecond(), keep)?;
    let today = now.as_millisecond().div_euclid(DAY_MS);
    days.retain(|day| *day < today);
    days.extend(
        store.read(|c| reconcile::due(c, (now.as_millisecond() - AFTER_MS).div_euclid(DAY_MS)))?,
    );
    days.sort_unstable();
    days.dedup();
    let mut all = Vec::new();
    for day in days {
        let found = reconcile::day(store, day, today)?;
        reconcile::remember(store, day, now.as_second(), &found)?;
        state.watch().account.reconciled(now.as_second(), found.difference);
        let told = serde_json::to_string(&found).unwrap_or_default();
        if found.difference == 0 {
            tracing::info!(target: "isopleth_api::account", told, "reconciled");
        } else {
            tracing::error!(target: "isopleth_api::account", told, "counts of a day differ");
        }
        all.push(found);
    }
    Ok(all)
}

/// Sends a canary and waits until it is back or late: its number, and what was wrong with it, if anything (`missing`,
/// `late`, `wrong`, `changed`, `failed`). None where not even that could be done. Done every `canary_seconds` in a service.
pub async fn canary(state: &AppState, now: Timestamp) -> Option<(i64, Option<&'static str>)> {
    canary::send(state, now).await
}

/// Begins to keep the account. On a runtime of tokio.
pub(crate) fn start(state: &AppState) {
    let shared = state.clone();
    tokio::spawn(async move {
        for second in 0_u64.. {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let state = shared.clone();
            let kept = move || keep(&state, second.is_multiple_of(CLOSE_EVERY));
            // A panic is in the log.
            let _ = tokio::task::spawn_blocking(kept).await;
        }
    });
    if state.config().canary_seconds > 0 && state.config().job_concurrency > 0 {
        tokio::spawn(canary::keep(state.clone()));
    }
}

fn keep(state: &AppState, closes: bool) {
    if let Err(error) = flush(state) {
        tracing::warn!(%error, "the account cannot be written; it waits");
    }
    if closes && let Err(error) = close(state, state.now()) {
        tracing::error!(%error, "days of the account that are over stay in the database");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: usize) -> Usage {
        Usage {
            began_ms: Some(DAY_MS),
            ended_ms: Some(DAY_MS + 5),
            way: Some(ONCE.into()),
            process: Some("map".into()),
            name: Some(name.to_string().into()),
            client: Some("anonymous".into()),
            exit: Some("successful".into()),
            seconds: Some(0.005),
            ..Usage::default()
        }
    }

    fn counted(store: &Store) -> (i64, i64, i64, i64) {
        let sql = "SELECT count(*), count(DISTINCT name), (SELECT sum(ends) FROM usage_seen), \
                   (SELECT sum(lost) FROM usage_seen) FROM usage";
        let read =
            |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let counts: rusqlite::Result<_> = store.read(|c| c.query_row(sql, [], read));
        counts.expect("counts")
    }

    #[test]
    fn rows_wait_while_the_database_fails_and_those_beyond_the_room_are_counted() {
        let store = Store::open(None).expect("a database");
        let batch = |sql: &str| {
            let done: rusqlite::Result<()> = store.write(|tx| tx.execute_batch(sql));
            done.expect("a statement");
        };
        batch(
            "CREATE TRIGGER full BEFORE INSERT ON usage WHEN new.name = '2500' \
               BEGIN SELECT RAISE(ABORT, 'no room'); END",
        );
        let account = Account::default();
        assert!((0..3000).all(|k| account.book(row(k))));
        // The first transaction of rows goes, the one with the row that fails waits, and so do those behind it.
        assert!(account.flush(&store).is_err());
        assert_eq!(account.waiting(), 1000);
        assert!((3000..22_000).all(|k| account.book(row(k))));
        assert!(!account.book(row(22_000)) && !account.book(row(22_001)));
        assert!(account.flush(&store).is_err());
        assert_eq!(account.waiting(), MOST_WAITING);
        batch("DROP TRIGGER full");
        account.flush(&store).expect("the database is well again");
        assert_eq!(counted(&store), (22_000, 22_000, 22_002, 2));
        account.flush(&store).expect("nothing to do");
        assert_eq!(counted(&store), (22_000, 22_000, 22_002, 2));
    }
}
