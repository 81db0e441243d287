//! The row of a job, written in the transaction that ends it.

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::JOB;
use super::columns::Usage;
use super::facts::{shortened, whole};

/// Books the end of a job that is over by now, unless it leaves no row. `told`: what the attempt that made it knows.
pub(crate) fn of_job(tx: &Transaction<'_>, id: &str, told: Option<&Usage>) -> rusqlite::Result<()> {
    known(tx, id, told)?.map_or(Ok(()), |row| Usage::insert(&[row], tx))
}

fn known(
    connection: &Connection,
    id: &str,
    told: Option<&Usage>,
) -> rusqlite::Result<Option<Usage>> {
    let sql = "SELECT account, process, state, created, started, finished, attempts, blocks, fields, \
               cells, predicted_seconds, problem FROM jobs \
               WHERE id = ?1 AND account IS NOT NULL";
    let mut statement = connection.prepare(sql)?;
    let row = statement.query_row([id], |row| {
        let (created, finished): (i64, Option<i64>) = (row.get(3)?, row.get(5)?);
        let started: Option<i64> = row.get(4)?;
        let finished = finished.unwrap_or(created);
        let problem: Option<String> = row.get(11)?;
        let problem: Option<Problem> = problem.and_then(|text| serde_json::from_str(&text).ok());
        let mut out = told.cloned().unwrap_or_else(|| Usage {
            fields: whole(row.get::<_, i64>(8).unwrap_or(0)),
            cells: whole(row.get::<_, i64>(9).unwrap_or(0)),
            predicted_seconds: row.get(10).ok(),
            ..Usage::default()
        });
        out.began_ms = Some(created * 1000);
        out.ended_ms = Some(finished * 1000);
        out.seconds = Some(seconds(created, finished));
        out.waited_seconds = started.map(|started| seconds(created, started));
        out.way = Some(JOB.into());
        out.name = Some(id.to_owned().into());
        out.client = Some(row.get::<_, String>(0)?.into());
        out.process = Some(row.get::<_, String>(1)?.into());
        let state: String = row.get(2)?;
        out.exit = Some(match (state.as_str(), &problem) {
            ("failed", Some(problem)) if problem.status < 500 => "refused".into(),
            _ => state.into(),
        });
        out.status = problem.as_ref().map(|problem| i64::from(problem.status));
        out.problem = problem.map(|problem| {
            let name = problem.r#type.rsplit(':').next().unwrap_or_default();
            shortened(name)
        });
        out.attempts = row.get(6)?;
        out.blocks = row.get(7)?;
        out.kept = Some(true);
        Ok(out)
    });
    row.optional()
}

/// What a job's problem says.
#[derive(serde::Deserialize)]
struct Problem {
    r#type: String,
    status: u16,
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a job's life")]
fn seconds(from: i64, to: i64) -> f64 {
    to.saturating_sub(from).max(0) as f64
}
