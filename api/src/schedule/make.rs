//! Hours whose time has come get their rows: those that passed while nothing ran as well, the oldest first.

use jiff::Timestamp;

use super::model::Kind;
use super::store::{self, Claim};
use super::times::seconds;
use super::{Hours, Scheduled, notices};
use crate::error::ApiError;
use crate::state::AppState;

/// Rows made in one transaction.
const AT_ONCE: usize = 500;

/// Hours that passed before this many seconds are not even booked.
const FORGOTTEN: i64 = 366 * 24 * 3600;

/// Whether an hour has no row yet whose time has come.
pub(super) fn is_due(scheduled: &Scheduled, hours: &Hours, now: i64) -> bool {
    next(scheduled, hours, now).is_some()
}

/// The first such hour.
fn next(scheduled: &Scheduled, hours: &Hours, now: i64) -> Option<i64> {
    let from = scheduled.made_to.max(now - FORGOTTEN);
    let hour = hours.after(Timestamp::from_second(from).ok()?)?.as_second();
    (hour.saturating_add(seconds(scheduled.document.delay_seconds)) <= now).then_some(hour)
}

/// Makes them.
pub(super) fn make(
    state: &AppState,
    claim: &Claim,
    scheduled: &mut Scheduled,
    hours: &Hours,
) -> Result<usize, ApiError> {
    let now = state.now().as_second();
    let document = &scheduled.document;
    let delay = seconds(document.delay_seconds);
    let too_old = now - seconds(document.catch_up_hours) * 3600;
    let mut made = 0;
    loop {
        let from = scheduled.made_to.max(now - FORGOTTEN);
        let time = |seconds| Timestamp::from_second(seconds).unwrap_or_default();
        let found = hours.between(time(from), time(now - delay), AT_ONCE);
        let Some(last) = found.last().map(|hour| hour.as_second()) else { return Ok(made) };
        let found: Vec<i64> = found.into_iter().map(|hour| hour.as_second()).collect();
        let written = state.store().write(|tx| {
            if !claim.holds(tx)? {
                return Ok::<_, rusqlite::Error>(None);
            }
            let (old, new): (Vec<i64>, Vec<i64>) = found.iter().partition(|hour| **hour < too_old);
            let mut count = 0;
            for hour in new {
                let row = (hour, hour + delay, Some(now));
                count += store::insert(tx, (&claim.schedule, "cron"), row, now)?;
            }
            let mut missed = Vec::new();
            for hour in old {
                let row = (hour, hour + delay, None);
                if store::insert(tx, (&claim.schedule, "cron"), row, now)? == 1 {
                    missed.push(hour);
                }
            }
            book_missed(tx, state, claim, &missed, now)?;
            let sql = "UPDATE schedules SET made_to = ?2 WHERE id = ?1";
            tx.execute(sql, rusqlite::params![claim.schedule, last])?;
            Ok(Some(count + missed.len()))
        })?;
        let Some(count) = written else { return Ok(made) };
        made += count;
        scheduled.made_to = last;
    }
}

/// Hours too old to be caught up: missing at once, with one notice for all.
fn book_missed(
    tx: &rusqlite::Transaction<'_>,
    state: &AppState,
    claim: &Claim,
    missed: &[i64],
    now: i64,
) -> rusqlite::Result<()> {
    let (Some(first), Some(last)) = (missed.first(), missed.last()) else { return Ok(()) };
    let message = "older than catch_up_hours when its turn came; a backfill makes it";
    for hour in missed {
        let sql = "UPDATE slots SET state = 'missing', message = ?3, problem = 'missing' \
                   WHERE schedule = ?1 AND hour = ?2";
        tx.execute(sql, rusqlite::params![claim.schedule, hour, message])?;
    }
    let time = crate::wire::network::moment;
    let text = format!(
        "{} hours from {} to {} passed while nothing ran, and are older than catch_up_hours; a backfill makes them",
        missed.len(),
        time(*first),
        time(*last)
    );
    notices::write(tx, state, (Kind::Missing, &claim.schedule, Some(*last)), &text, now)
}
