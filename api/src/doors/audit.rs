//! Who did what: keys made and revoked, things of others removed, settings at the start. A row and a line of the log.

use rusqlite::{Transaction, params};

use super::now;
use crate::store::Store;

/// Rows that are kept; the oldest go first.
const KEPT: i64 = 100_000;

/// One act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Unix seconds.
    pub time: i64,
    /// A key as `key:ID`, `command line`, or `service`.
    pub who: String,
    /// What was done.
    pub act: String,
    /// To what.
    pub about: String,
}

/// Notes an act, in the transaction that does it. `about` holds no secret.
///
/// # Errors
/// If the database fails.
pub(crate) fn record(
    tx: &Transaction<'_>,
    who: &str,
    act: &str,
    about: &str,
) -> rusqlite::Result<()> {
    tracing::info!(target: "isopleth_api::audit", who, act, about, "audit");
    tx.execute(
        "INSERT INTO audit (time, who, act, about) VALUES (?1, ?2, ?3, ?4)",
        params![now(), who, act, about],
    )?;
    tx.execute("DELETE FROM audit WHERE number <= (SELECT max(number) FROM audit) - ?1", [KEPT])?;
    Ok(())
}

/// The last acts, the latest first.
///
/// # Errors
/// If the database fails.
pub fn last(store: &Store, count: u32) -> Result<Vec<Act>, rusqlite::Error> {
    store.read(|connection| {
        let mut statement = connection
            .prepare("SELECT time, who, act, about FROM audit ORDER BY number DESC LIMIT ?1")?;
        let rows = statement.query_map([count], |row| {
            Ok(Act { time: row.get(0)?, who: row.get(1)?, act: row.get(2)?, about: row.get(3)? })
        })?;
        rows.collect()
    })
}
