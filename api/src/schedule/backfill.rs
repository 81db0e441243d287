//! Ranges of hours that somebody asks for: slots like all others, behind those of the clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;

use super::model::SlotState;
use super::{Hours, shelf, store};
use crate::error::ApiError;
use crate::state::AppState;
use crate::wire::network::moment;
use crate::wire::schedule::BackfillAnswer;

/// Hours of one request.
const MOST: usize = 10_000;

/// Ranges that are told of.
const TOLD: usize = 100;

/// Sets the hours of a range going, both ends included: those that have no map, or with `again` all of them.
///
/// # Errors
/// 404; 422 for a range without hours, 413 for one with too many.
pub(crate) fn backfill(
    state: &AppState,
    schedule: &str,
    [from, to]: [Timestamp; 2],
    again: bool,
) -> Result<BackfillAnswer, ApiError> {
    let scheduled = state.store().read(|c| shelf::get(c, schedule))?;
    let document = &scheduled.document;
    let hours = Hours::new(&document.cron, document.zone.as_deref())?;
    let before = from.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap_or(from);
    let found = hours.between(before, to.min(state.now()), MOST + 1);
    let (Some(first), Some(last)) = (found.first(), found.last()) else {
        let text = format!("the schedule has no hour from {from} to {to} that is not yet to come");
        return Err(ApiError::meaningless(text).at_pointer("/from"));
    };
    if found.len() > MOST {
        let text = format!("the range has more than {MOST} hours; ask for a part of it at a time");
        return Err(ApiError::too_large(text).at_pointer("/to"));
    }
    let (first, last) = (first.as_second(), last.as_second());
    let delay = i64::try_from(document.delay_seconds).unwrap_or(i64::MAX / 4);
    let now = state.now().as_second();
    let id = state.store().write(|tx| {
        let mut going = 0;
        for hour in found.iter().map(|hour| hour.as_second()) {
            let row = (hour, hour.saturating_add(delay), Some(now));
            if store::insert(tx, (schedule, "backfill"), row, now)? == 1 {
                going += 1;
                continue;
            }
            // What runs is left to run, and made again afterwards.
            let sql = "UPDATE slots SET due = ?3, attempts = 0, again = iif(?4, 1, again), \
                       origin = iif(state IN ('waiting', 'running'), origin, 'backfill') \
                       WHERE schedule = ?1 AND hour = ?2 AND (?4 OR revision = 0)";
            going += tx.execute(sql, params![schedule, hour, now, again])?;
        }
        let slots = i64::try_from(going).unwrap_or(i64::MAX);
        tx.execute(
            "INSERT INTO backfills (schedule, first, last, slots, again, created) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![schedule, first, last, slots, again, now],
        )?;
        Ok::<_, ApiError>(tx.last_insert_rowid())
    })?;
    state.schedules().wake();
    let all = backfills(state, schedule)?;
    all.into_iter()
        .find(|backfill| backfill.id == id)
        .ok_or_else(|| ApiError::internal("the backfill is not there", "inserted just now"))
}

/// Ranges that were asked for, the latest first, and how far they are.
///
/// # Errors
/// 404.
pub(crate) fn backfills(state: &AppState, schedule: &str) -> Result<Vec<BackfillAnswer>, ApiError> {
    state.store().read(|c| {
        shelf::get(c, schedule)?;
        let sql = format!(
            "SELECT id, first, last, slots, created FROM backfills WHERE schedule = ?1 \
             ORDER BY id DESC LIMIT {TOLD}"
        );
        let rows: Vec<(i64, i64, i64, u64, i64)> = c
            .prepare(&sql)?
            .query_map([schedule], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let answer = |(id, first, last, hours, created)| {
            let census = store::census(c, schedule, [first, last])?;
            let busy = |(state, _): &(SlotState, u64)| {
                matches!(state, SlotState::Waiting | SlotState::Running)
            };
            let done = !census.iter().any(busy) && !store::is_wanted(c, schedule, [first, last])?;
            let slots: BTreeMap<String, u64> =
                census.iter().map(|(state, n)| (state.name().to_owned(), *n)).collect();
            let (from, to, created) = (moment(first), moment(last), moment(created));
            Ok(BackfillAnswer { id, from, to, created, hours, slots, done })
        };
        rows.into_iter().map(answer).collect()
    })
}
