//! The schema, step by step. A step that has been released is never changed: the next one mends it.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// In order; the database's `user_version` is the number of those applied.
const STEPS: &[&str] = &[
    // keys, cells_by_day, audit
    include_str!("../doors/keys.sql"),
    crate::networks::MIGRATION,
    // inputs, jobs, job_inputs, hooks, maps
    crate::jobs::SCHEMA,
    crate::jobs::heads::MIGRATION,
    crate::jobs::OTHER_PROCESSES,
    // schedules, slots, revisions, slot_inputs, posted, deliveries, backfills, notices
    crate::schedule::SCHEMA,
    crate::sinks::MIGRATION,
    // usage and what belongs to it
    crate::account::SCHEMA,
];

/// The number of the last step.
pub(super) fn known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// Applies what is missing, all or nothing; two processes may come here at once.
pub(super) fn apply(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let known = known();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod released;
