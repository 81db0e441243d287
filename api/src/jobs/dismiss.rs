//! A job, or what it left, is no longer wanted.

use super::{Job, attempt, keeper, store};
use crate::error::ApiError;
use crate::state::AppState;

/// Ends a job, at once where this process runs it (others notice within a second), and removes what it
/// left. None where the owner has no such job. Blocks.
///
/// # Errors
/// 500 where the database or the disk fails.
pub(crate) fn dismiss(state: &AppState, owner: &str, id: &str) -> Result<Option<Job>, ApiError> {
    let Some((job, file)) = state.store().write(|tx| store::delete(tx, owner, id))? else {
        return Ok(None);
    };
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
