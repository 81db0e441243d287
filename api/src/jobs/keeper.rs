//! Keeps order beside the lanes: leases, the dead, what is over, what is left over.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use super::strays::Strays;
use super::{Running, attempt, now, results, store};
use crate::error::ApiError;
use crate::state::AppState;

/// How soon an attempt notices that its row is another's.
const TICK: Duration = Duration::from_secs(1);

/// Ticks from one renewal of leases, and one look for the dead, to the next; and for what is over.
const RENEW: u64 = 5;
const TIDY: u64 = 60;

/// Rows of jobs and of removed maps are kept for so many seconds after their end: 90 days.
const REMEMBERED: i64 = 90 * 24 * 3600;

pub(super) async fn keep(state: AppState) {
    let (mut tick, mut strays) = (0_u64, Strays::default());
    loop {
        let shared = state.clone();
        let kept = tokio::task::spawn_blocking(move || {
            let kept = keep_once(&shared, tick, &mut strays);
            (kept, strays)
        });
        let (kept, seen) = kept.await.unwrap_or_else(|_| (Ok(()), Strays::default()));
        strays = seen;
        if let Err(error) = kept {
            tracing::error!(problem = ?error, "jobs cannot be kept in order");
        }
        tick += 1;
        // The leases of jobs that end their block are kept until they have.
        if state.jobs().drain.is_cancelled() {
            if state.jobs().lock().is_empty() {
                return;
            }
            tokio::time::sleep(TICK / 10).await;
        } else {
            tokio::select! {
                () = tokio::time::sleep(TICK) => (),
                () = state.jobs().drain.cancelled() => (),
            }
        }
    }
}

fn keep_once(state: &AppState, tick: u64, strays: &mut Strays) -> Result<(), ApiError> {
    let running: Vec<(String, Arc<Running>)> =
        state.jobs().lock().iter().map(|(id, of)| (id.clone(), Arc::clone(of))).collect();
    for (id, of) in running {
        let mine = if tick.is_multiple_of(RENEW) {
            state.store().write(|tx| store::renew(tx, &id, of.token))?
        } else {
            state.store().read(|c| store::is_mine(c, &id, of.token))?
        };
        if !mine {
            of.cancel.cancel();
        }
    }
    if tick.is_multiple_of(RENEW) {
        hand_back_of_the_dead(state)?;
        hand_back_the_untold(state)?;
    }
    if tick.is_multiple_of(TIDY) {
        strays.look();
        tidy(state, strays)?;
    }
    Ok(())
}

fn hand_back_of_the_dead(state: &AppState) -> Result<(), ApiError> {
    let holder = &state.jobs().holder;
    let held = state.store().read(|c| store::held_by_others(c, &holder.name))?;
    for of in held {
        if of.over || !holder.lives(&of.holder) {
            tracing::warn!(job = of.id, "its process ended; it goes on from its blocks");
            let name = (of.id.as_str(), of.token);
            attempt::crashed(state, name, of.attempts, "the service ended meanwhile")?;
            state.jobs().wake.notify_waiters();
        }
    }
    Ok(())
}

/// Attempts of this process whose end could not be written down, the disk being full, say. Whether it was a good end or
/// a bad one is told by the next attempt, which finds the blocks.
fn hand_back_the_untold(state: &AppState) -> Result<(), ApiError> {
    let holder = &state.jobs().holder.name;
    for of in state.store().read(|c| store::held_by(c, holder))? {
        if of.over && state.jobs().attempt(&of.id).is_none() {
            tracing::warn!(job = of.id, "the end of its attempt is not written; it waits again");
            let name = (of.id.as_str(), of.token);
            let why = "the end of the attempt could not be written down";
            state.store().write(|tx| store::hand_back(tx, name, false, why))?;
            state.jobs().wake.notify_waiters();
        }
    }
    Ok(())
}

/// Results that are over, rows that are old, files that nobody knows.
fn tidy(state: &AppState, strays: &mut Strays) -> Result<(), ApiError> {
    remove_old_results(state)?;
    state.store().write(|tx| {
        store::forget(tx, now() - REMEMBERED)?;
        state.jobs().remove_unneeded(tx, &[])
    })?;
    let files = state.store().read(results::files)?;
    state.store().read(|c| state.jobs().inputs().tidy(c, strays))?;
    let failed = |error| ApiError::internal("what is left over cannot be removed", error);
    remove_ended_work(state, strays)?;
    let files: HashSet<String> = files.into_iter().collect();
    remove_unknown(state, "maps", |name| files.contains(name), strays).map_err(failed)?;
    state.jobs().holder.tidy().map_err(failed)
}

/// Removes the work of jobs that have ended, whose process ended before it could; of jobs that nobody
/// knows only what is old.
fn remove_ended_work(state: &AppState, strays: &mut Strays) -> Result<(), ApiError> {
    let failed = |error| ApiError::internal("work cannot be removed", error);
    for entry in fs::read_dir(state.jobs().folder.join("work")).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if state.jobs().attempt(&name).is_some() {
            continue;
        }
        if let Some(job) = state.store().read(|c| store::by_id(c, &name))? {
            attempt::clear(state, &job)?;
        }
    }
    let known = |name: &str| {
        let row = state.store().read(|c| store::by_id(c, name));
        row.map_or(true, |row| row.is_some())
    };
    remove_unknown(state, "work", known, strays).map_err(failed)
}

/// Makes room: results whose time is over, and the oldest beyond the configured size.
pub(super) fn remove_old_results(state: &AppState) -> Result<(), ApiError> {
    let most = state.config().results_max_bytes;
    for path in state.store().write(|tx| results::remove_old(tx, most))? {
        tracing::info!(file = path, "result removed");
        remove_file(state, &path);
    }
    Ok(())
}

/// A file that cannot be removed now is tidied up later.
pub(crate) fn remove_file(state: &AppState, path: &str) {
    if let Err(error) = fs::remove_file(state.jobs().map_file(path)) {
        tracing::warn!(%error, file = path, "a result could not be removed");
    }
}

/// But for what may belong to a job that another process ends just now.
fn remove_unknown(
    state: &AppState,
    folder: &str,
    known: impl Fn(&str) -> bool,
    strays: &mut Strays,
) -> std::io::Result<()> {
    for entry in fs::read_dir(state.jobs().folder.join(folder))? {
        let entry = entry?;
        if known(&entry.file_name().to_string_lossy()) || !strays.may_go(&entry)? {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
