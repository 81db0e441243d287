//! Readings that are posted: kept until their hour is looked at, the latest of each hour.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::fetch::Found;
use super::model::Slot;
use super::times::seconds;
use super::{Hours, Scheduled, shelf, store};
use crate::body::Spool;
use crate::error::ApiError;
use crate::sources::SourceConfig;
use crate::state::AppState;
use crate::wire::schedule::ScheduleRequest;

/// Readings of an hour yet to come are refused, but for clocks that differ by so many seconds.
const EARLY: i64 = 300;

/// Whether readings of a schedule are posted.
pub(super) fn is_posted(state: &AppState, document: &ScheduleRequest) -> bool {
    let source = document.source.as_ref().map(|name| state.config().sources.get(name));
    matches!(source, None | Some(Some(SourceConfig::Post(_))))
}

/// Readings that were posted.
pub(super) fn posted(
    state: &AppState,
    slot: &Slot,
    known: Option<&str>,
) -> Result<Found, ApiError> {
    let sql = "SELECT name, input, gzip FROM posted WHERE schedule = ?1 AND hour = ?2";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found: Option<(String, String, bool)> = state
        .store()
        .read(|c| c.query_row(sql, params![slot.schedule, slot.hour], row).optional())?;
    let Some((name, input, gzip)) = found else {
        return Ok(Found::NotYet("no readings were posted".to_owned()));
    };
    if known == Some(input.as_str()) {
        return Ok(Found::Unchanged);
    }
    let body = state.jobs().inputs().open(&input)?;
    Ok(Found::Readings { name, body, gzip, mark: Some(input) })
}

/// Readings that were posted meanwhile are looked at.
pub(super) fn repost(tx: &Transaction<'_>, slot: &Slot) -> rusqlite::Result<()> {
    let sql = "UPDATE slots SET due = (SELECT received FROM posted WHERE posted.schedule = slots.schedule \
               AND posted.hour = slots.hour) WHERE schedule = ?1 AND hour = ?2 AND EXISTS \
               (SELECT 1 FROM posted WHERE posted.schedule = slots.schedule AND posted.hour = slots.hour \
               AND slots.mark IS NOT posted.input AND slots.attempts = 0)";
    tx.execute(sql, params![slot.schedule, slot.hour]).map(drop)
}

/// Takes readings that are posted for an hour; they are looked at at once.
///
/// # Errors
/// 404, 422 where the schedule has a source, or no such hour.
pub(crate) fn post(
    state: &AppState,
    schedule: &str,
    hour: Timestamp,
    (name, body, gzip): (&str, Spool, bool),
) -> Result<Slot, ApiError> {
    let scheduled = state.store().read(|c| shelf::get(c, schedule))?;
    check_hour(state, &scheduled, hour)?;
    let now = state.now().as_second();
    let inputs_stay = state.jobs().inputs_stay();
    let inputs = state.jobs().inputs();
    let input = inputs.keep(body)?;
    let (at, delay) = (hour.as_second(), seconds(scheduled.document.delay_seconds));
    let slot = state.store().write(|tx| {
        if inputs.enter(tx, std::slice::from_ref(&input))? > state.config().inputs_max_bytes {
            let what = "the readings that wait fill the room there is for them";
            return Err(ApiError::busy(what, state.config().queue_wait_seconds.max(10)));
        }
        store::insert(tx, (schedule, "posted"), (at, at + delay, Some(now)), now)?;
        tx.execute(
            "INSERT INTO posted (schedule, hour, name, input, gzip, received) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT (schedule, hour) DO UPDATE SET name = ?3, input = ?4, gzip = ?5, received = ?6",
            params![schedule, at, name, input, gzip, now],
        )?;
        tx.execute(
            "INSERT OR IGNORE INTO slot_inputs (schedule, hour, digest) VALUES (?1, ?2, ?3)",
            params![schedule, at, input],
        )?;
        let sql = "UPDATE slots SET due = ?3, attempts = 0 WHERE schedule = ?1 AND hour = ?2";
        tx.execute(sql, params![schedule, at, now])?;
        store::get(tx, schedule, at)?
            .ok_or_else(|| ApiError::internal("the hour is not there", "inserted just now"))
    })?;
    drop(inputs_stay);
    state.schedules().wake();
    Ok(slot)
}

fn check_hour(state: &AppState, scheduled: &Scheduled, hour: Timestamp) -> Result<(), ApiError> {
    let document = &scheduled.document;
    let wrong = |text: String| {
        let parameter = Some("time".to_owned());
        Err(ApiError::meaningless(text).at(crate::error::Place { parameter, ..Default::default() }))
    };
    if let Some(source) = document.source.as_ref().filter(|_| !is_posted(state, document)) {
        return wrong(format!(
            "the schedule takes its readings from the source `{source}`; they are not posted"
        ));
    }
    let hours = Hours::new(&document.cron, document.zone.as_deref())?;
    if !hours.has(hour) {
        let next = hours.after(hour).map(|next| next.to_string()).unwrap_or_default();
        return wrong(format!("{hour} is no hour of the schedule; the next is {next}"));
    }
    if hour.as_second() > state.now().as_second() + EARLY {
        return wrong(format!("{hour} is yet to come"));
    }
    Ok(())
}
