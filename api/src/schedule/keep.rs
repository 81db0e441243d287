//! How long maps and readings of a schedule stay, and the rows of its hours.

use rusqlite::{OptionalExtension, params};

use super::{Scheduled, notices};
use crate::error::ApiError;
use crate::jobs::{self, results};
use crate::state::AppState;

const DAY: i64 = 24 * 3600;

/// Days for which readings stay, unless the schedule says otherwise.
const INPUTS_DAYS: u64 = 90;

/// Days for which the row of an hour stays, and beyond them as long as a map of it does: a year can be looked back on.
const HOURS_DAYS: u64 = 400;

/// Removes what is over; how many maps.
pub(super) fn keep(state: &AppState, scheduled: &Scheduled) -> Result<usize, ApiError> {
    let now = state.now().as_second();
    let keep = &scheduled.document.keep;
    let before =
        |days: u64| now - i64::try_from(days).unwrap_or(i64::MAX / DAY).saturating_mul(DAY);
    let files = state.store().write(|tx| {
        let mut over: Vec<(i64, &str)> = Vec::new();
        if let Some(days) = keep.days {
            over.push((before(days), "older than its schedule keeps maps"));
        }
        if let Some(count) = keep.count {
            let sql = "SELECT hour FROM slots WHERE schedule = ?1 AND revision > 0 \
                       ORDER BY hour DESC LIMIT 1 OFFSET ?2";
            let count = i64::try_from(count).unwrap_or(i64::MAX) - 1;
            let of = params![scheduled.id, count];
            let oldest: Option<i64> = tx.query_row(sql, of, |row| row.get(0)).optional()?;
            over.extend(oldest.map(|oldest| (oldest, "its schedule keeps no more maps")));
        }
        let mut files = Vec::new();
        for (before, why) in over {
            let sql = "UPDATE revisions SET kept = 0 WHERE schedule = ?1 AND hour < ?2 AND kept = 1 \
                       RETURNING map";
            let mut statement = tx.prepare(sql)?;
            let maps = statement.query_map(params![scheduled.id, before], |row| row.get(0))?;
            let maps: Vec<String> = maps.collect::<rusqlite::Result<_>>()?;
            for map in maps {
                files.extend(results::remove(tx, &map, why)?);
            }
        }
        let days = keep.inputs_days.unwrap_or(INPUTS_DAYS);
        let sql = "DELETE FROM slot_inputs WHERE schedule = ?1 AND hour < ?2 AND NOT EXISTS \
                   (SELECT 1 FROM slots WHERE slots.schedule = slot_inputs.schedule \
                   AND slots.hour = slot_inputs.hour AND (due IS NOT NULL OR state = 'running'))";
        tx.execute(sql, params![scheduled.id, before(days)])?;
        let sql = "DELETE FROM posted WHERE schedule = ?1 AND NOT EXISTS (SELECT 1 FROM slot_inputs \
                   WHERE slot_inputs.schedule = posted.schedule AND slot_inputs.hour = posted.hour \
                   AND slot_inputs.digest = posted.input)";
        tx.execute(sql, params![scheduled.id])?;
        // Revisions and deliveries go with them.
        let sql = "DELETE FROM slots WHERE schedule = ?1 AND hour < ?2 AND due IS NULL AND state <> 'running' \
                   AND NOT EXISTS (SELECT 1 FROM revisions JOIN maps ON maps.id = revisions.map \
                   WHERE revisions.schedule = slots.schedule AND revisions.hour = slots.hour \
                   AND maps.removed IS NULL)";
        tx.execute(sql, params![scheduled.id, before(HOURS_DAYS)])?;
        notices::forget(tx, now)?;
        state.jobs().remove_unneeded(tx, &[])?;
        Ok::<_, ApiError>(files)
    })?;
    for file in &files {
        jobs::remove_file(state, file);
    }
    Ok(files.len())
}
