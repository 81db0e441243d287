//! What the account says of a time: `isopleth usage`.
//!
//! Rows of the Parquet files and of the database are put into a temporary database, which may be larger than memory, and
//! asked there. docs/account.md has the same questions for DuckDB; a test compares the answers.

use jiff::civil::Date;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde::Serialize;

use super::DAY_MS;
use super::days::{self, DayError, day_of};
use super::file::{self, ReadAgain};
use super::reconcile::{self, Reconciled};
use crate::store::Store;

/// The columns that are asked, beside [`FEATURES`].
const ASKED: [&str; 22] = [
    "ended_ms",
    "way",
    "process",
    "client",
    "network",
    "exit",
    "problem",
    "stations",
    "fields",
    "cells",
    "kernel",
    "metric",
    "format",
    "seconds",
    "run_seconds",
    "read_seconds",
    "cpu_seconds",
    "predicted_seconds",
    "predicted_bytes",
    "peak_before_bytes",
    "peak_bytes",
    "evaluation",
];

/// Those that are yes or no.
pub const FEATURES: [&str; 12] = [
    "uncertainty",
    "transform",
    "mask",
    "background",
    "covariates",
    "anisotropy",
    "quality",
    "thin",
    "bounds",
    "projected",
    "series",
    "kept",
];

/// What rows can be put together by.
pub const BY: [&str; 12] = [
    "day",
    "hour",
    "client",
    "network",
    "process",
    "way",
    "kernel",
    "metric",
    "format",
    "evaluation",
    "exit",
    "problem",
];

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// First and last day, UTC.
    pub days: [Date; 2],
    /// One of [`BY`].
    pub by: Option<&'a str>,
    /// Longest list.
    pub top: usize,
}

/// Rows that have something in common.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// What they have in common.
    pub name: String,
    /// How many.
    pub runs: i64,
    /// Of these well ended.
    pub successful: i64,
    /// Values made: cells × fields.
    pub values: i64,
    /// Seconds of the runs.
    pub seconds: f64,
    /// Processor seconds of the runs.
    pub cpu_seconds: f64,
}

/// Ends that were not good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// How it ended.
    pub exit: String,
    /// Why.
    pub problem: Option<String>,
    /// How often.
    pub runs: i64,
}

/// How far a prediction was off: quantiles of predicted / actual.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Runs that tell.
    pub runs: i64,
    /// A tenth is below.
    pub q10: f64,
    /// Half is below.
    pub q50: f64,
    /// Nine tenths are below.
    pub q90: f64,
    /// All but one in a hundred are below.
    pub q99: f64,
}

/// Two features.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// One.
    pub one: &'static str,
    /// The other.
    pub other: &'static str,
    /// Runs with both.
    pub both: i64,
    /// Pearson's correlation over all good runs; none where one is always or never used.
    pub correlation: Option<f64>,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// First day.
    pub from: String,
    /// Last day.
    pub to: String,
    /// Everything.
    pub all: Group,
    /// By what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Vec<Group>>,
    /// By kernel, good runs.
    pub kernels: Vec<Group>,
    /// By client.
    pub clients: Vec<Group>,
    /// By values of a run, good ones: `1e5` are those from 1e5 to below 1e6.
    pub sizes: Vec<Group>,
    /// By hour of the day (UTC) in which they ended.
    pub hours: Vec<Group>,
    /// Ends that were not good.
    pub failures: Vec<Failure>,
    /// Predicted / actual seconds of good runs, reading apart.
    pub predicted_seconds: Option<Ratio>,
    /// Predicted / actual peak memory of those good runs that raised the peak of their process.
    pub predicted_bytes: Option<Ratio>,
    /// Most memory that a process had after a run.
    pub peak_bytes: Option<i64>,
    /// Good runs with each feature.
    pub features: Vec<(&'static str, i64)>,
    /// Features used together, the most correlated first.
    pub together: Vec<Pair>,
}

/// Asks the account of a folder.
///
/// # Errors
/// Where a file or the database cannot be read.
pub fn summary(store: &Store, question: &Question<'_>) -> Result<Summary, DayError> {
    let gathered = gather(store, question.days)?;
    let c = &gathered;
    let top = question.top;
    let good = "exit = 'successful'";
    let groups = |name: &str, of: &str, order: &str, top: usize| -> rusqlite::Result<Vec<Group>> {
        let sql = format!(
            "SELECT {name}, {SUMS} FROM usage WHERE {of} GROUP BY 1 ORDER BY {order}, 1 LIMIT {top}"
        );
        c.prepare(&sql)?.query_map([], group)?.collect()
    };
    let by = question.by.map(|by| {
        let order = if matches!(by, "day" | "hour") { "1" } else { "2 DESC" };
        groups(&name_of(by), "true", order, usize::MAX >> 1)
    });
    let all = format!("SELECT 'all', {SUMS} FROM usage");
    Ok(Summary {
        from: question.days[0].to_string(),
        to: question.days[1].to_string(),
        all: c.query_row(&all, [], group)?,
        by: by.transpose()?,
        kernels: groups("coalesce(kernel, '-')", good, "2 DESC", top)?,
        clients: groups("client", "true", "2 DESC", top)?,
        sizes: groups(SIZE, &format!("{good} AND cells * fields > 0"), "min(cells * fields)", 30)?,
        hours: groups(&name_of("hour"), "true", "1", 24)?,
        failures: failures(c, top)?,
        predicted_seconds: ratio(
            c,
            "predicted_seconds / (run_seconds - coalesce(read_seconds, 0))",
            "predicted_seconds > 0 AND run_seconds > coalesce(read_seconds, 0)",
        )?,
        predicted_bytes: ratio(
            c,
            "CAST(predicted_bytes AS REAL) / peak_bytes",
            "predicted_bytes > 0 AND peak_bytes > peak_before_bytes",
        )?,
        peak_bytes: c.query_row("SELECT max(peak_bytes) FROM usage", [], |row| row.get(0))?,
        features: features(c)?,
        together: together(c, top)?,
    })
}

/// Compares the counts of the days that are over, and of today.
///
/// # Errors
/// Where the database cannot be read.
pub fn reconciled(
    store: &Store,
    [from, to]: [Date; 2],
    today: Date,
) -> Result<Vec<Reconciled>, DayError> {
    let (from, to, today) = (day_of(from), day_of(to), day_of(today));
    let days = store.read(|c| reconcile::known(c, from, to))?;
    days.into_iter().map(|day| reconcile::day(store, day, today)).collect()
}

/// Sums of a group, after its name.
const SUMS: &str = "count(*), coalesce(sum(exit = 'successful'), 0), \
    coalesce(sum(CASE WHEN exit = 'successful' THEN cells * fields END), 0), \
    coalesce(sum(run_seconds), 0.0), coalesce(sum(cpu_seconds), 0.0)";

/// The power of ten below the values of a run.
const SIZE: &str = "'1e' || (length(CAST(cells * fields AS TEXT)) - 1)";

fn name_of(by: &str) -> String {
    match by {
        "day" => "strftime('%Y-%m-%d', ended_ms / 1000, 'unixepoch')".to_owned(),
        "hour" => "strftime('%H', ended_ms / 1000, 'unixepoch')".to_owned(),
        by => format!("coalesce({by}, '-')"),
    }
}

fn group(row: &rusqlite::Row<'_>) -> rusqlite::Result<Group> {
    Ok(Group {
        name: row.get(0)?,
        runs: row.get(1)?,
        successful: row.get(2)?,
        values: row.get(3)?,
        seconds: row.get(4)?,
        cpu_seconds: row.get(5)?,
    })
}

fn failures(c: &Connection, top: usize) -> rusqlite::Result<Vec<Failure>> {
    let sql = format!(
        "SELECT exit, problem, count(*) FROM usage WHERE exit <> 'successful' \
         GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT {top}"
    );
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Failure { exit: row.get(0)?, problem: row.get(1)?, runs: row.get(2)? })
    };
    c.prepare(&sql)?.query_map([], read)?.collect()
}

/// Quantiles by the nearest rank.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "counts of rows")]
fn ratio(c: &Connection, value: &str, of: &str) -> rusqlite::Result<Option<Ratio>> {
    let of = format!("FROM usage WHERE exit = 'successful' AND {of}");
    let runs: i64 = c.query_row(&format!("SELECT count(*) {of}"), [], |row| row.get(0))?;
    if runs == 0 {
        return Ok(None);
    }
    let sql = format!("SELECT {value} AS ratio {of} ORDER BY ratio LIMIT 1 OFFSET ?1");
    let mut statement = c.prepare(&sql)?;
    let mut at = |q: f64| -> rusqlite::Result<f64> {
        let rank = (q * runs as f64).ceil() as i64;
        statement.query_row([rank.clamp(1, runs) - 1], |row| row.get(0))
    };
    Ok(Some(Ratio { runs, q10: at(0.1)?, q50: at(0.5)?, q90: at(0.9)?, q99: at(0.99)? }))
}

fn features(c: &Connection) -> rusqlite::Result<Vec<(&'static str, i64)>> {
    let count = |name: &'static str| {
        let sql = format!("SELECT count(*) FROM usage WHERE exit = 'successful' AND {name} = 1");
        c.query_row(&sql, [], |row| row.get(0)).map(|count| (name, count))
    };
    FEATURES.into_iter().map(count).collect()
}

/// Pearson's correlation of what is 0 or 1, from counts.
#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
fn together(c: &Connection, top: usize) -> rusqlite::Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for (k, one) in FEATURES.into_iter().enumerate() {
        for other in FEATURES.into_iter().skip(k + 1) {
            let sql = format!(
                "SELECT count(*), sum({one}), sum({other}), sum({one} * {other}) FROM usage \
                 WHERE exit = 'successful' AND {one} IS NOT NULL AND {other} IS NOT NULL"
            );
            let counts = c.query_row(&sql, [], |row| {
                let number = |k| row.get::<_, Option<i64>>(k).map(Option::unwrap_or_default);
                Ok([number(0)?, number(1)?, number(2)?, number(3)?])
            })?;
            let [n, a, b, both] = counts.map(|count| count as f64);
            let spread = (a * (n - a) * b * (n - b)).sqrt();
            let correlation = (spread > 0.0).then(|| (n * both - a * b) / spread);
            if counts[3] > 0 {
                pairs.push(Pair { one, other, both: counts[3], correlation });
            }
        }
    }
    let strength = |pair: &Pair| pair.correlation.map_or(-1.0, f64::abs);
    pairs.sort_by(|a, b| strength(b).total_cmp(&strength(a)).then(b.both.cmp(&a.both)));
    pairs.truncate(top);
    Ok(pairs)
}

/// All rows of some days in a temporary database.
fn gather(store: &Store, days: [Date; 2]) -> Result<Connection, DayError> {
    let [from, to] = days.map(day_of);
    let span = [from * DAY_MS, (to + 1) * DAY_MS];
    // Without a name it is on the disk, and gone when it is closed.
    let into = Connection::open("")?;
    let asked = [&ASKED[..], &FEATURES].concat();
    let columns = asked.join(", ");
    into.execute_batch(&format!(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; CREATE TABLE usage ({columns}); BEGIN"
    ))?;
    let places = vec!["?"; asked.len()].join(", ");
    let insert = format!("INSERT INTO usage VALUES ({places})");
    let parts = store.read(|c| {
        // Parts and rows of one moment: none of them twice.
        let snapshot = c.unchecked_transaction()?;
        let parts = days::parts(&snapshot, from, to)?;
        let mut insert = into.prepare(&insert)?;
        let sql = format!("SELECT {columns} FROM usage WHERE ended_ms >= ?1 AND ended_ms < ?2");
        let mut rows = snapshot.prepare(&sql)?;
        let mut rows = rows.query(span)?;
        while let Some(row) = rows.next()? {
            let cells = (0..asked.len()).map(|k| row.get::<_, Value>(k));
            let cells: Vec<Value> = cells.collect::<rusqlite::Result<_>>()?;
            insert.execute(params_from_iter(cells))?;
        }
        Ok::<_, rusqlite::Error>(parts)
    })?;
    let mut statement = into.prepare(&insert)?;
    for part in parts {
        let path = part.path(store);
        let put = |row: &[Value]| statement.execute(params_from_iter(row)).map(drop);
        file::each(&path, &asked, put).map_err(|error| match error {
            ReadAgain::Parquet(source) => DayError::Parquet { path: path.clone(), source },
            ReadAgain::Sqlite(error) => DayError::Sqlite(error),
        })?;
    }
    drop(statement);
    into.execute_batch("COMMIT")?;
    Ok(into)
}
