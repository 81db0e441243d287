//! Revisions go to the sinks, again and again until they are there; one process at a time delivers to a sink.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::model::Kind;
use super::{Hours, notices, shelf, store};
use crate::error::ApiError;
use crate::jobs::results;
use crate::sinks::{self, Delivered};
use crate::state::AppState;

/// Seconds to the second attempt, doubled each time, at most; of what somebody must mend first, always the longest.
const FIRST_WAIT: i64 = 5;
const LONGEST_WAIT: i64 = 3600;

/// Failures in a row after which somebody is told: what passes soon is not worth a word.
const TOLD_AFTER: u32 = 3;

/// Seconds from one removal of what is over to the next, of one sink.
const RETAIN: i64 = 600;

/// A revision that is to be delivered.
#[derive(Clone, Debug)]
struct Due {
    schedule: String,
    hour: i64,
    revision: u32,
    sink: String,
    attempts: u32,
    /// Whether somebody was told that it fails.
    problem: bool,
}

/// What became of an attempt.
enum Outcome {
    Done(Vec<String>),
    /// A newer revision of the hour is there.
    Superseded,
    /// There is nothing to deliver any more.
    Gone(String),
    Failed {
        why: String,
        is_passing: bool,
    },
}

/// Delivers what is due, sinks side by side; how many attempts.
pub(super) fn deliver(state: &AppState) -> Result<usize, ApiError> {
    let due = due(state)?;
    if let [sink] = due.as_slice() {
        return to_sink(state, sink);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = due.iter().map(|sink| scope.spawn(|| to_sink(state, sink))).collect();
        let mut sum = 0;
        for thread in threads {
            let panicked = |_| ApiError::internal("a delivery failed", "it panicked");
            sum += thread.join().map_err(panicked)??;
        }
        Ok(sum)
    })
}

/// Books what is due at sinks that the configuration has no more.
pub(super) fn deliver_to_unknown(state: &AppState) -> Result<(), ApiError> {
    let known = &state.config().sinks;
    let unknown = due(state)?.into_iter().filter(|sink| !known.contains_key(sink));
    unknown.into_iter().try_for_each(|sink| to_sink(state, &sink).map(drop))
}

/// Sinks at which something is due.
fn due(state: &AppState) -> Result<Vec<String>, ApiError> {
    let sql = "SELECT DISTINCT sink FROM deliveries WHERE state = 'waiting' AND due <= ?1";
    let now = state.now().as_second();
    state.store().read(|c| {
        let mut statement = c.prepare(sql)?;
        let sinks = statement.query_map([now], |row| row.get(0))?;
        Ok(sinks.collect::<rusqlite::Result<_>>()?)
    })
}

/// Delivers what is due at one sink; how many attempts.
pub(super) fn to_sink(state: &AppState, sink: &str) -> Result<usize, ApiError> {
    let lock = state.schedules().lock_of(sink);
    let _alone = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let mut attempts = 0;
    let mut hours = BTreeMap::new();
    while !state.schedules().cancel.is_cancelled() {
        let now = state.now().as_second();
        let sql = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE sink = ?1 AND state = 'waiting' AND due <= ?2)";
        let any = state.store().read(|c| c.query_row(sql, params![sink, now], |row| row.get(0)));
        if !any.map_err(|error: rusqlite::Error| ApiError::from(error))? {
            break;
        }
        release_the_dead(state, sink)?;
        let claimed = state.store().write(|tx| claim(tx, sink, state.jobs().holder(), now))?;
        let Some(due) = claimed else { break };
        let outcome = attempt(state, &due, &mut hours)?;
        if state.schedules().cancel.is_cancelled() && matches!(outcome, Outcome::Failed { .. }) {
            // What fails because the service is stopping says nothing; the next process has it.
            break;
        }
        state.store().write(|tx| book(tx, state, &due, &outcome, now))?;
        attempts += 1;
    }
    if attempts > 0 {
        retain(state, sink)?;
    }
    Ok(attempts)
}

/// Deliveries of processes that ended are anybody's again.
fn release_the_dead(state: &AppState, sink: &str) -> Result<(), ApiError> {
    let sql = "SELECT DISTINCT holder FROM deliveries \
               WHERE sink = ?1 AND state = 'waiting' AND holder IS NOT NULL";
    let holders: Vec<String> = state.store().read(|c| {
        let mut statement = c.prepare(sql)?;
        let holders = statement.query_map([sink], |row| row.get(0))?;
        holders.collect::<rusqlite::Result<_>>()
    })?;
    let me = state.jobs().holder();
    for holder in holders {
        // One of this process ended without a word: nobody else in it is at this sink now.
        if holder == me || !state.jobs().lives(&holder) {
            let sql = "UPDATE deliveries SET holder = NULL WHERE sink = ?1 AND holder = ?2";
            state.store().write(|tx| tx.execute(sql, [sink, &holder]))?;
        }
    }
    Ok(())
}

/// The oldest that is due, unless another process delivers to the sink.
fn claim(tx: &Transaction<'_>, sink: &str, me: &str, now: i64) -> rusqlite::Result<Option<Due>> {
    let sql = "SELECT schedule, hour, revision, sink, attempts, problem FROM deliveries \
               WHERE sink = ?1 AND state = 'waiting' AND due <= ?2 AND NOT EXISTS \
               (SELECT 1 FROM deliveries WHERE sink = ?1 AND state = 'waiting' AND holder IS NOT NULL) \
               ORDER BY hour, revision, schedule LIMIT 1";
    let row = |row: &rusqlite::Row<'_>| {
        Ok(Due {
            schedule: row.get(0)?,
            hour: row.get(1)?,
            revision: row.get(2)?,
            sink: row.get(3)?,
            attempts: row.get(4)?,
            problem: row.get(5)?,
        })
    };
    let due = tx.query_row(sql, params![sink, now], row).optional()?;
    if let Some(due) = &due {
        let sql = "UPDATE deliveries SET holder = ?5 \
                   WHERE schedule = ?1 AND hour = ?2 AND revision = ?3 AND sink = ?4";
        tx.execute(sql, params![due.schedule, due.hour, due.revision, due.sink, me])?;
    }
    Ok(due)
}

fn attempt(
    state: &AppState,
    due: &Due,
    zones: &mut BTreeMap<String, Hours>,
) -> Result<Outcome, ApiError> {
    let sql = "SELECT map FROM revisions WHERE schedule = ?1 AND hour = ?2 AND revision = ?3";
    let looked = state.store().read(|c| {
        let slot = store::get(c, &due.schedule, due.hour)?;
        let of = params![due.schedule, due.hour, due.revision];
        let map: Option<String> = c.query_row(sql, of, |row| row.get(0)).optional()?;
        let map = map.map(|id| results::get(c, &id)).transpose()?.flatten();
        let newest = store::newest(c, &due.schedule)?;
        Ok::<_, rusqlite::Error>((slot, map, newest))
    })?;
    let (Some(slot), Some(map), newest) = looked else {
        return Ok(Outcome::Gone("the map is no longer known".to_owned()));
    };
    if slot.revision > due.revision {
        return Ok(Outcome::Superseded);
    }
    if let Some((_, why)) = map.removed {
        return Ok(Outcome::Gone(format!("the map was removed before: {why}")));
    }
    let hours = match zones.get(&due.schedule) {
        Some(known) => known,
        None => {
            let document = state.store().read(|c| shelf::get(c, &due.schedule))?.document;
            let hours = Hours::new(&document.cron, document.zone.as_deref())?;
            zones.entry(due.schedule.clone()).or_insert(hours)
        }
    };
    let what = Delivered {
        schedule: &due.schedule,
        hour: Timestamp::from_second(due.hour).unwrap_or_default(),
        zone: hours.zone().clone(),
        revision: due.revision,
        file: &state.jobs().map_file(&map.path),
        is_latest: newest.is_none_or(|(hour, ..)| hour <= due.hour),
    };
    Ok(match sinks::deliver(state, &due.sink, &what, &state.schedules().cancel) {
        Ok(places) => Outcome::Done(places),
        Err(error) => Outcome::Failed { is_passing: error.is_passing(), why: error.to_string() },
    })
}

fn book(
    tx: &Transaction<'_>,
    state: &AppState,
    due: &Due,
    outcome: &Outcome,
    now: i64,
) -> rusqlite::Result<()> {
    let hour = Some(due.hour);
    let tell = |kind: Kind, text: String| {
        notices::write(tx, state, (kind, &due.schedule, hour), &text, now)
    };
    let (next, places, message) = match outcome {
        Outcome::Done(places) => {
            if due.problem {
                tell(
                    Kind::Recovered,
                    format!("revision {} is at sink `{}` now", due.revision, due.sink),
                )?;
            }
            let places = serde_json::to_string(places).unwrap_or_default();
            (("done", None), Some(places), None)
        }
        Outcome::Superseded => (("superseded", None), None, None),
        Outcome::Gone(why) => {
            let text =
                format!("revision {} never reached sink `{}`: {why}", due.revision, due.sink);
            tell(Kind::DeliveryFailed, text)?;
            (("failed", None), None, Some(why))
        }
        Outcome::Failed { why, is_passing } => {
            let wait = (FIRST_WAIT << due.attempts.min(20)).min(LONGEST_WAIT);
            let wait = if *is_passing { wait } else { LONGEST_WAIT };
            (("waiting", Some(now + wait)), None, Some(why))
        }
    };
    let (after, again) = next;
    let lasting = matches!(outcome, Outcome::Failed { is_passing: false, .. });
    let failed = matches!(outcome, Outcome::Failed { .. });
    let is_news = failed && !due.problem && (lasting || due.attempts + 1 >= TOLD_AFTER);
    if is_news {
        let why = message.map_or("", String::as_str);
        let text = format!("revision {} does not reach its sink: {why}", due.revision);
        notices::write(tx, state, (Kind::DeliveryFailed, &due.schedule, hour), &text, now)?;
    }
    tx.execute(
        "UPDATE deliveries SET state = ?5, due = ?6, attempts = attempts + ?7, holder = NULL, places = ?8, \
         problem = ?9, message = ?10, updated = ?11 \
         WHERE schedule = ?1 AND hour = ?2 AND revision = ?3 AND sink = ?4",
        params![
            due.schedule,
            due.hour,
            due.revision,
            due.sink,
            after,
            again,
            failed,
            places,
            failed && (due.problem || is_news),
            message,
            now
        ],
    )?;
    Ok(())
}

/// Removes what is over at a sink, now and then.
fn retain(state: &AppState, sink: &str) -> Result<(), ApiError> {
    let now = state.now();
    if !state.schedules().may_retain(sink, now.as_second(), RETAIN) {
        return Ok(());
    }
    match sinks::retain(state, sink, now) {
        Ok(0) => {}
        Ok(removed) => tracing::info!(sink, removed, "what was over was removed"),
        // Tried again in ten minutes.
        Err(error) => tracing::warn!(sink, %error, "what is over could not be removed"),
    }
    Ok(())
}
