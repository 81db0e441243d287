//! A job, or what it left, is no longer wanted.

use super::{Job, State, attempt, keeper, store};
use crate::doors::audit;
use crate::error::ApiError;
use crate::state::AppState;

/// Ends a job, at once where this process runs it (others notice within a second), and removes what it
/// left. None where the owner has no such job; without one it may be anybody's. Blocks.
///
/// # Errors
/// 500 where the database or the disk fails.
pub(crate) fn dismiss(
    state: &AppState,
    (caller, owner): (&str, Option<&str>),
    id: &str,
) -> Result<Option<Job>, ApiError> {
    let deleted = state.store().write(|tx| {
        let before = store::get(tx, owner, id)?.map(|job| job.state);
        let deleted = store::delete(tx, owner, id)?;
        // Dismissed once more it is dismissed as it was.
        let anew = deleted.is_some() && before != Some(State::Dismissed);
        if anew {
            audit::record(tx, caller, "job dismissed", id)?;
        }
        // Of one that had ended only the result is removed.
        let ended_now = anew && before.is_some_and(|state| !state.is_final());
        Ok::<_, rusqlite::Error>(deleted.map(|(job, file)| (job, file, anew, ended_now)))
    });
    let Some((job, file, anew, ended_now)) = deleted? else { return Ok(None) };
    if anew {
        state.watch().job_ended(job.process, State::Dismissed);
        if ended_now {
            attempt::count(state, &job);
        }
    }
    if let Some(file) = file {
        keeper::remove_file(state, &file);
    }
    match state.jobs().attempt(id) {
        // It clears up when it has ended.
        Some(running) => running.cancel.cancel(),
        None => attempt::clear(state, &job)?,
    }
    Ok(Some(job))
}
