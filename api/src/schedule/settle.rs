//! A job of a slot has ended: its map becomes a revision, with a delivery for each sink, or there is a notice.

use rusqlite::{Transaction, params};

use super::model::{Kind, Slot, SlotState};
use super::store;
use super::times::next_look;
use super::{Scheduled, notices};
use crate::error::ApiError;
use crate::jobs;
use crate::state::AppState;

/// Settles all slots of a schedule whose jobs have ended; how many.
pub(super) fn settle(state: &AppState, scheduled: &Scheduled) -> Result<usize, ApiError> {
    let ended = state.store().read(|c| store::ended(c, &scheduled.id))?;
    let now = state.now().as_second();
    let mut settled = 0;
    for slot in ended {
        let done = state.store().write(|tx| {
            // Another may have done it meanwhile: then it does not run, or another job does.
            let still = store::get(tx, &slot.schedule, slot.hour)?
                .is_some_and(|now| now.state == SlotState::Running && now.job == slot.job);
            if !still {
                return Ok::<_, rusqlite::Error>(false);
            }
            let job = slot.job.as_deref().map(|id| jobs::by_id(tx, id)).transpose()?.flatten();
            match job {
                Some(job) if job.state == jobs::State::Successful => {
                    made(tx, state, scheduled, &slot, (&job.id, &job.map), now)?;
                }
                Some(job) => {
                    let why = job.message.unwrap_or_else(|| job.state.name().to_owned());
                    failed(tx, state, scheduled, &slot, &why, now)?;
                }
                None => failed(tx, state, scheduled, &slot, "its job is forgotten", now)?,
            }
            Ok(true)
        })?;
        settled += usize::from(done);
    }
    if settled > 0 {
        state.schedules().wake_deliveries();
        // There is room for further hours.
        state.schedules().wake();
    }
    Ok(settled)
}

fn made(
    tx: &Transaction<'_>,
    state: &AppState,
    scheduled: &Scheduled,
    slot: &Slot,
    (job, map): (&str, &str),
    now: i64,
) -> rusqlite::Result<()> {
    let revision = slot.revision + 1;
    let why = match slot.problem.as_deref() {
        _ if slot.again > 0 => "asked",
        _ if slot.revision > 0 => "corrected",
        Some("missing") => "late",
        _ => "first",
    };
    tx.execute(
        "INSERT INTO revisions (schedule, hour, revision, map, job, input, digest, name, stations, made, why) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            slot.schedule,
            slot.hour,
            revision,
            map,
            job,
            slot.input.as_deref().unwrap_or_default(),
            slot.digest.as_deref().unwrap_or_default(),
            slot.name.as_deref().unwrap_or_default(),
            slot.stations.unwrap_or(0),
            now,
            why
        ],
    )?;
    for sink in &scheduled.document.sinks {
        tx.execute(
            "INSERT INTO deliveries (schedule, hour, revision, sink, state, due, updated) \
             VALUES (?1, ?2, ?3, ?4, 'waiting', ?5, ?5)",
            params![slot.schedule, slot.hour, revision, sink, now],
        )?;
    }
    let keep = &scheduled.document.keep;
    if keep.days.is_some() || keep.count.is_some() {
        // The schedule says when it goes.
        tx.execute("UPDATE maps SET expires = ?2 WHERE id = ?1", params![map, i64::MAX])?;
    }
    let after = Slot { state: SlotState::Made, revision, ..slot.clone() };
    let due = next_look(&scheduled.document, &after, now);
    tx.execute(
        "UPDATE slots SET state = 'made', revision = ?3, job = NULL, problem = NULL, attempts = 0, \
         again = iif(again = 1, 1, 0), message = NULL, due = coalesce(due, ?4), updated = ?5 WHERE schedule = ?1 AND hour = ?2",
        params![slot.schedule, slot.hour, revision, due, now],
    )?;
    if let Some(problem) = &slot.problem {
        let text = format!("it has a map now; before: {problem}");
        let what = (Kind::Recovered, slot.schedule.as_str(), Some(slot.hour));
        notices::write(tx, state, what, &text, now)?;
    }
    Ok(())
}

/// There is no map of these readings; what there was before stays.
pub(super) fn failed(
    tx: &Transaction<'_>,
    state: &AppState,
    scheduled: &Scheduled,
    slot: &Slot,
    why: &str,
    now: i64,
) -> rusqlite::Result<()> {
    let after = if slot.revision > 0 { SlotState::Made } else { SlotState::Failed };
    let due = next_look(&scheduled.document, &Slot { state: after, ..slot.clone() }, now);
    let message = match slot.revision {
        0 => why.to_owned(),
        known => format!("no map of the readings that came last, revision {known} stays: {why}"),
    };
    tx.execute(
        "UPDATE slots SET state = ?3, job = NULL, problem = 'job_failed', attempts = 0, \
         again = iif(again = 1, 1, 0), message = ?4, \
         due = coalesce(due, ?5), updated = ?6 WHERE schedule = ?1 AND hour = ?2",
        params![slot.schedule, slot.hour, after, message, due, now],
    )?;
    let what = (Kind::JobFailed, slot.schedule.as_str(), Some(slot.hour));
    notices::write(tx, state, what, &message, now)
}
