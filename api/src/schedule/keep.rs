//! How long maps and readings of a schedule stay; rows of its hours stay.

use rusqlite::params;

use super::store::Claim;
use super::{Scheduled, notices, owner};
use crate::error::ApiError;
use crate::jobs::{self, results};
use crate::state::AppState;

const DAY: i64 = 24 * 3600;

/// Days for which readings stay, unless the schedule says otherwise.
const INPUTS_DAYS: u64 = 90;

/// Removes what is over; how many maps.
pub(super) fn keep(
    state: &AppState,
    claim: &Claim,
    scheduled: &Scheduled,
) -> Result<usize, ApiError> {
    let now = state.now().as_second();
    let keep = &scheduled.document.keep;
    let before =
        |days: u64| now - i64::try_from(days).unwrap_or(i64::MAX / DAY).saturating_mul(DAY);
    let files = state.store().write(|tx| {
        if !claim.holds(tx)? {
            return Ok::<_, ApiError>(Vec::new());
        }
        let mut over: Vec<(String, &str)> = Vec::new();
        let maps = "SELECT maps.id FROM maps JOIN revisions ON revisions.map = maps.id \
                    WHERE maps.owner = ?1 AND maps.removed IS NULL AND revisions.schedule = ?2";
        let owner = owner(&claim.schedule);
        if let Some(days) = keep.days {
            let sql = format!("{maps} AND revisions.hour < ?3");
            let mut statement = tx.prepare(&sql)?;
            let of = params![owner, claim.schedule, before(days)];
            for id in statement.query_map(of, |row| row.get(0))? {
                over.push((id?, "older than its schedule keeps maps"));
            }
        }
        if let Some(count) = keep.count {
            let sql = format!(
                "{maps} AND revisions.hour NOT IN (SELECT hour FROM slots WHERE schedule = ?2 \
                 AND revision > 0 ORDER BY hour DESC LIMIT ?3)"
            );
            let mut statement = tx.prepare(&sql)?;
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let of = params![owner, claim.schedule, count];
            for id in statement.query_map(of, |row| row.get(0))? {
                over.push((id?, "its schedule keeps no more maps"));
            }
        }
        let mut files = Vec::new();
        for (id, why) in over {
            files.extend(results::remove(tx, &id, why)?);
        }
        let days = keep.inputs_days.unwrap_or(INPUTS_DAYS);
        let sql = "DELETE FROM slot_inputs WHERE schedule = ?1 AND hour < ?2 AND NOT EXISTS \
                   (SELECT 1 FROM slots WHERE slots.schedule = slot_inputs.schedule \
                   AND slots.hour = slot_inputs.hour AND (due IS NOT NULL OR state = 'running'))";
        tx.execute(sql, params![claim.schedule, before(days)])?;
        let sql = "DELETE FROM posted WHERE schedule = ?1 AND NOT EXISTS (SELECT 1 FROM slot_inputs \
                   WHERE slot_inputs.schedule = posted.schedule AND slot_inputs.hour = posted.hour \
                   AND slot_inputs.digest = posted.input)";
        tx.execute(sql, params![claim.schedule])?;
        notices::forget(tx, now)?;
        state.jobs().remove_unneeded(tx, &[])?;
        Ok(files)
    })?;
    for file in &files {
        jobs::remove_file(state, file);
    }
    Ok(files.len())
}
