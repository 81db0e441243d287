//! What is told of schedules and their hours.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::model::{Slot, SlotState};
use super::{Hours, Scheduled, shelf, store};
use crate::error::ApiError;
use crate::state::AppState;
use crate::watch::OfSchedule;
use crate::wire::network::moment;
use crate::wire::schedule::{
    DeliveryAnswer, NewestAnswer, RevisionAnswer, ScheduleEntry, SlotAnswer,
};

/// Hours to come that are told.
const NEXT: usize = 3;

/// A schedule, and how it is doing.
///
/// # Errors
/// The database's.
pub(crate) fn entry(
    c: &Connection,
    scheduled: Scheduled,
    now: Timestamp,
) -> Result<ScheduleEntry, ApiError> {
    let census = store::census(c, &scheduled.id, [i64::MIN, i64::MAX])?;
    let slots: BTreeMap<String, u64> =
        census.iter().map(|(state, count)| (state.name().to_owned(), *count)).collect();
    let newest = store::newest(c, &scheduled.id)?;
    let newest =
        newest.map(|(hour, revision, map)| NewestAnswer { hour: moment(hour), revision, map });
    let document = scheduled.document;
    let hours = Hours::new(&document.cron, document.zone.as_deref())?;
    let next = if document.paused { Vec::new() } else { hours.between(now, Timestamp::MAX, NEXT) };
    Ok(ScheduleEntry {
        id: scheduled.id,
        origin: if scheduled.of_config { "config" } else { "api" }.to_owned(),
        created: moment(scheduled.created),
        updated: moment(scheduled.updated),
        etag: scheduled.tag,
        document,
        slots,
        newest,
        next_hours: next.iter().map(ToString::to_string).collect(),
    })
}

/// An hour without its revisions.
pub(crate) fn slot(slot: Slot) -> SlotAnswer {
    SlotAnswer {
        schedule: slot.schedule,
        hour: moment(slot.hour),
        state: slot.state.name().to_owned(),
        revision: slot.revision,
        origin: slot.origin,
        stations: slot.stations,
        due: slot.due.map(moment),
        job: slot.job,
        message: slot.message,
        updated: moment(slot.updated),
        revisions: None,
    }
}

/// An hour with its revisions, the latest first.
///
/// # Errors
/// The database's.
pub(crate) fn slot_in_full(c: &Connection, of: Slot) -> rusqlite::Result<SlotAnswer> {
    let sql = "SELECT revision, map, made, why, stations, name, input FROM revisions \
               WHERE schedule = ?1 AND hour = ?2 ORDER BY revision DESC";
    let mut statement = c.prepare(sql)?;
    let rows = statement.query_map(params![of.schedule, of.hour], |row| {
        Ok(RevisionAnswer {
            revision: row.get(0)?,
            map: row.get(1)?,
            made: moment(row.get(2)?),
            why: row.get(3)?,
            stations: row.get(4)?,
            name: row.get(5)?,
            input: row.get(6)?,
            deliveries: Vec::new(),
        })
    })?;
    let mut revisions: Vec<RevisionAnswer> = rows.collect::<rusqlite::Result<_>>()?;
    let sql = "SELECT revision, sink, state, attempts, places, message FROM deliveries \
               WHERE schedule = ?1 AND hour = ?2 ORDER BY sink";
    let mut statement = c.prepare(sql)?;
    let rows = statement.query_map(params![of.schedule, of.hour], |row| {
        let places: Option<String> = row.get(4)?;
        let places = places.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let delivery = DeliveryAnswer {
            sink: row.get(1)?,
            state: row.get(2)?,
            attempts: row.get(3)?,
            places,
            message: row.get(5)?,
        };
        Ok((row.get::<_, u32>(0)?, delivery))
    })?;
    for row in rows {
        let (revision, delivery) = row?;
        if let Some(of) = revisions.iter_mut().find(|of| of.revision == revision) {
            of.deliveries.push(delivery);
        }
    }
    Ok(SlotAnswer { revisions: Some(revisions), ..slot(of) })
}

/// How many deliveries wait, by sink.
type Waiting = Vec<(String, u64)>;

/// How all schedules are doing, and how many deliveries wait by sink, for `/metrics`.
///
/// # Errors
/// The database's.
pub(crate) fn census(state: &AppState) -> Result<(Vec<OfSchedule>, Waiting), ApiError> {
    let now = state.now().as_second();
    state.store().read(|c| {
        let mut all = Vec::new();
        for id in shelf::ids(c)? {
            let counted = store::census(c, &id, [i64::MIN, i64::MAX])?;
            let count = |state: SlotState| {
                counted.iter().find(|(other, _)| *other == state).map_or(0, |(_, count)| *count)
            };
            let sql = "SELECT min(since) FROM slots WHERE schedule = ?1 AND state IN ('waiting', 'running') \
                       AND origin <> 'backfill'";
            let since: Option<i64> = c.query_row(sql, [&id], |row| row.get(0))?;
            all.push(OfSchedule {
                slots: SlotState::ALL.map(|state| (state.name(), count(state))).into(),
                newest: store::newest(c, &id)?.map(|(hour, ..)| hour),
                late: since.map_or(0, |since| (now - since).max(0)),
                id,
            });
        }
        let sql = "SELECT sink, count(*) FROM deliveries WHERE state = 'waiting' GROUP BY sink";
        let mut statement = c.prepare(sql)?;
        let waiting = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let waiting = waiting.collect::<rusqlite::Result<_>>()?;
        Ok::<_, ApiError>((all, waiting))
    })
}
