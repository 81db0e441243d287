//! Looks for the readings of an hour; what is new becomes a job.

use isopleth_engine::Observations;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::Value;

use super::model::{Kind, Slot, SlotState};
use super::store::{self, Claim};
use super::{Hours, Scheduled, notices, owner, settle, shelf};
use crate::body::Spool;
use crate::error::ApiError;
use crate::intake::{Kept, OfNetwork, OfSlot};
use crate::jobs::SlotJob;
use crate::state::AppState;
use crate::wire::network::UnknownName;
use crate::wire::schedule::ScheduleRequest;

/// Once an hour is made or missing it is looked at so many times less often.
const SELDOM: i64 = 10;

/// Readings that were posted for an hour yet to come are refused, but for clocks that differ by so many seconds.
const EARLY: i64 = 300;

/// Waits after a failure of the machine: seconds, doubled each time, at most.
const FIRST_WAIT: i64 = 5;
const LONGEST_WAIT: i64 = 600;

/// When it is, and whether readings may change soon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) now: i64,
    /// Looked at as often as one that waits.
    pub(super) soon: bool,
}

fn seconds(of: u64) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX / 4)
}

/// When an hour that nothing came of so far is given up.
fn deadline(document: &ScheduleRequest, slot: &Slot) -> i64 {
    slot.since.saturating_add(seconds(document.give_up_seconds))
}

/// When a slot in this state is looked at next; none: never again.
pub(super) fn next_look(scheduled: &Scheduled, slot: &Slot, at: Now) -> Option<i64> {
    let document = &scheduled.document;
    let poll = seconds(document.poll_seconds);
    let give_up = deadline(document, slot);
    let hours = |hours: u64| slot.hour.saturating_add(seconds(hours).saturating_mul(3600));
    let end = match slot.state {
        SlotState::Made => slot.since.max(hours(document.revise_hours)),
        _ => give_up.max(hours(document.catch_up_hours)),
    };
    let waits = matches!(slot.state, SlotState::Waiting | SlotState::TooFew);
    let next =
        if at.soon || (waits && at.now < give_up) { at.now + poll } else { at.now + poll * SELDOM };
    // The deadline is kept to the second.
    let next =
        if slot.state == SlotState::Waiting && at.now < give_up { next.min(give_up) } else { next };
    (next <= end).then_some(next)
}

/// What a source has for an hour.
enum Found {
    /// Nothing yet; why, for people.
    NotYet(String),
    Unchanged,
    Readings {
        name: String,
        body: Spool,
        gzip: bool,
        mark: Option<String>,
    },
}

/// Looks at all slots that are due, the oldest first, as long as there is room for their jobs; how many.
pub(super) fn look(
    state: &AppState,
    claim: &Claim,
    scheduled: &Scheduled,
    hours: &Hours,
) -> Result<usize, ApiError> {
    let now = state.now().as_second();
    let most = state.config().schedule_slots_in_flight;
    let mut looked = 0;
    loop {
        let running = state.store().read(|c| store::running(c, &claim.schedule))?;
        let room = most.saturating_sub(running);
        if room == 0 || state.schedules().cancel.is_cancelled() {
            return Ok(looked);
        }
        let due = state.store().read(|c| store::due(c, &claim.schedule, now, room))?;
        if due.is_empty() {
            return Ok(looked);
        }
        for slot in due {
            let work = Look { state, claim, scheduled, hours, slot: &slot, now };
            if !work.look()? {
                return Ok(looked);
            }
            looked += 1;
        }
    }
}

struct Look<'a> {
    state: &'a AppState,
    claim: &'a Claim,
    scheduled: &'a Scheduled,
    hours: &'a Hours,
    slot: &'a Slot,
    now: i64,
}

/// What is written of a slot that does not run.
struct Outcome<'a> {
    after: SlotState,
    message: Option<&'a str>,
    notice: Option<(Kind, String)>,
    /// What the source said, where that is to be known next time.
    mark: Option<&'a str>,
    /// Of readings that were taken: their digest and stations.
    readings: Option<(&'a str, u64)>,
    due: Option<i64>,
    /// Whether the look counts as a failed one.
    failed: bool,
}

impl Look<'_> {
    /// False where the claim is lost.
    fn look(&self) -> Result<bool, ApiError> {
        match self.find() {
            Ok(Found::NotYet(why)) => self.nothing(&why),
            Ok(Found::Unchanged) => self.unchanged(None),
            Ok(Found::Readings { name, body, gzip, mark }) => {
                let body = (name, body, gzip);
                match self.take(body, mark.as_deref()) {
                    Err(error) if error.status().is_server_error() => self.stumble(&error),
                    Err(error) => self.unreadable(&error, mark.as_deref()),
                    Ok(held) => Ok(held),
                }
            }
            Err(error) => self.stumble(&error),
        }
    }

    fn find(&self) -> Result<Found, ApiError> {
        let slot = self.slot;
        let known = slot.mark.as_deref().filter(|_| slot.again == 0);
        posted(self.state, slot, known)
    }

    /// There are no readings.
    fn nothing(&self, why: &str) -> Result<bool, ApiError> {
        let (slot, now) = (self.slot, self.now);
        let given_up =
            slot.state == SlotState::Waiting && now >= deadline(&self.scheduled.document, slot);
        let after = if given_up { SlotState::Missing } else { slot.state };
        self.book(Outcome {
            after,
            message: Some(why),
            notice: given_up.then(|| (Kind::Missing, format!("no readings in time: {why}"))),
            mark: None,
            readings: None,
            due: self.next(after),
            failed: false,
        })
    }

    /// The readings are those that are known.
    fn unchanged(&self, mark: Option<&str>) -> Result<bool, ApiError> {
        let message = self.slot.message.clone();
        self.book(Outcome {
            after: self.slot.state,
            message: message.as_deref(),
            notice: None,
            mark,
            readings: None,
            due: self.next(self.slot.state),
            failed: false,
        })
    }

    /// The machine, the queue or the source fails: again, later each time, as long as there is hope.
    fn stumble(&self, error: &ApiError) -> Result<bool, ApiError> {
        let (slot, now) = (self.slot, self.now);
        let message = error.problem().detail;
        tracing::warn!(schedule = slot.schedule, hour = slot.hour, ?error, "no look at readings");
        let wait = (FIRST_WAIT << slot.attempts.min(10)).min(LONGEST_WAIT);
        self.book(Outcome {
            after: slot.state,
            message: Some(&message),
            notice: None,
            mark: None,
            readings: None,
            due: Some(now + wait),
            failed: true,
        })
    }

    /// No map can be made of what the source gave.
    fn unreadable(&self, error: &ApiError, mark: Option<&str>) -> Result<bool, ApiError> {
        let why = error.problem().detail;
        self.state.store().write(|tx| {
            if !self.claim.holds(tx)? {
                return Ok(false);
            }
            let sql = "UPDATE slots SET mark = coalesce(?3, mark), due = NULL, again = iif(again = 1, 2, again) \
                       WHERE schedule = ?1 AND hour = ?2";
            tx.execute(sql, params![self.slot.schedule, self.slot.hour, mark])?;
            settle::failed(tx, self.state, self.scheduled, self.slot, &why, self.now)?;
            Ok(true)
        })
    }

    /// Keeps and reads readings, and begins a job where they are new and enough.
    fn take(
        &self,
        (name, body, gzip): (String, Spool, bool),
        mark: Option<&str>,
    ) -> Result<bool, ApiError> {
        let (state, slot) = (self.state, self.slot);
        let inputs = state.jobs().inputs();
        // Until the slot names them, nobody may take them for those of a job that ended.
        let inputs_stay = state.jobs().inputs_stay();
        let network = self.network()?;
        let request = request(&self.scheduled.document, self.hours, slot.hour)?;
        let of_slot = OfSlot { request, name: name.clone(), body, gzip, stations: None, network };
        let (kept, input) = of_slot.keep(&inputs)?;
        let done = self.weigh(&kept, (&name, &input), mark);
        drop(inputs_stay);
        if !matches!(done, Ok(Taken::Begun)) {
            state.store().write(|tx| state.jobs().remove_unneeded(tx, &kept.digests()))?;
        }
        match done? {
            Taken::Begun => {
                state.jobs().wake.notify_waiters();
                Ok(true)
            }
            Taken::Booked => Ok(true),
            Taken::Lost => Ok(false),
        }
    }

    fn weigh(
        &self,
        kept: &Kept,
        (name, input): (&str, &str),
        mark: Option<&str>,
    ) -> Result<Taken, ApiError> {
        let (state, slot) = (self.state, self.slot);
        let understood = SlotJob::read(state, kept, &state.schedules().cancel)?;
        let (digest, stations) = told(&understood.observations)?;
        if slot.digest.as_deref() == Some(&digest) && slot.again == 0 {
            return Ok(Taken::of(self.unchanged(mark)?));
        }
        let needed = self.scheduled.document.min_stations;
        if stations < needed {
            return Ok(Taken::of(self.too_few(mark, (&digest, stations), needed)?));
        }
        let job = SlotJob::plan(state, kept, understood)?;
        let key = format!("{}/{}/{}/{}", slot.schedule, slot.hour, &digest[..16], slot.jobs + 1);
        state.store().write(|tx| {
            if !self.claim.holds(tx)? {
                return Ok(Taken::Lost);
            }
            job.enter(state, tx, &owner(&slot.schedule), &key)?;
            keep_input(tx, slot, kept)?;
            tx.execute(
                "UPDATE slots SET state = 'running', job = ?3, mark = ?4, digest = ?5, input = ?6, name = ?7, \
                 stations = ?8, jobs = jobs + 1, attempts = 0, due = iif(due > ?9, due, NULL), \
                 again = iif(again = 0, 0, 2), message = NULL, updated = ?9 WHERE schedule = ?1 AND hour = ?2",
                params![
                    slot.schedule, slot.hour, job.id, mark, digest, input, name, stations, self.now
                ],
            )?;
            Ok(Taken::Begun)
        })
    }

    fn too_few(
        &self,
        mark: Option<&str>,
        (digest, stations): (&str, u64),
        needed: u64,
    ) -> Result<bool, ApiError> {
        let slot = self.slot;
        let text = format!("readings of {stations} stations, {needed} needed");
        let (after, text) = match slot.revision {
            0 => (SlotState::TooFew, text),
            known => (SlotState::Made, format!("{text}: revision {known} stays")),
        };
        let is_new = slot.problem.as_deref() != Some(Kind::TooFew.name());
        self.book(Outcome {
            after,
            message: Some(&text),
            notice: is_new.then(|| (Kind::TooFew, text.clone())),
            mark,
            readings: Some((digest, stations)),
            due: self.next(after),
            failed: false,
        })
    }

    fn next(&self, state: SlotState) -> Option<i64> {
        let after = Slot { state, ..self.slot.clone() };
        next_look(self.scheduled, &after, Now { now: self.now, soon: false })
    }

    fn network(&self) -> Result<Option<OfNetwork>, ApiError> {
        let Some(id) = &self.scheduled.document.network else { return Ok(None) };
        let network = self.state.networks().get(id)?;
        // A new station in a feed is no reason to have no maps.
        Ok(Some(OfNetwork { network, unknown: UnknownName::Ignore }))
    }

    /// Writes what became of a look; false where the claim is lost.
    fn book(&self, outcome: Outcome<'_>) -> Result<bool, ApiError> {
        let (slot, now) = (self.slot, self.now);
        let written = self.state.store().write(|tx| {
            if !self.claim.holds(tx)? {
                return Ok::<_, rusqlite::Error>(false);
            }
            let problem = outcome.notice.as_ref().map(|(kind, _)| kind.name());
            tx.execute(
                "UPDATE slots SET state = ?3, message = ?4, mark = coalesce(?5, mark), \
                 digest = coalesce(?6, digest), stations = coalesce(?7, stations), \
                 problem = coalesce(?8, problem), attempts = iif(?9, attempts + 1, 0), \
                 due = ?10, again = iif(?9, again, 0), updated = ?11 WHERE schedule = ?1 AND hour = ?2",
                params![
                    slot.schedule,
                    slot.hour,
                    outcome.after,
                    outcome.message,
                    outcome.mark,
                    outcome.readings.map(|(digest, _)| digest),
                    outcome.readings.map(|(_, stations)| stations),
                    problem,
                    outcome.failed,
                    outcome.due,
                    now
                ],
            )?;
            // Posted while this was looking: looked at again.
            repost(tx, slot)?;
            if let Some((kind, text)) = &outcome.notice {
                let what = (*kind, slot.schedule.as_str(), Some(slot.hour));
                notices::write(tx, self.state, what, text, now)?;
            }
            Ok(true)
        })?;
        Ok(written)
    }
}

/// What became of readings.
enum Taken {
    /// A job.
    Begun,
    /// The slot says what.
    Booked,
    Lost,
}

impl Taken {
    fn of(held: bool) -> Self {
        if held { Self::Booked } else { Self::Lost }
    }
}

/// The inputs of a slot stay, whatever becomes of its job.
fn keep_input(tx: &Transaction<'_>, slot: &Slot, kept: &Kept) -> rusqlite::Result<()> {
    for digest in kept.digests() {
        tx.execute(
            "INSERT OR IGNORE INTO slot_inputs (schedule, hour, digest) VALUES (?1, ?2, ?3)",
            params![slot.schedule, slot.hour, digest],
        )?;
    }
    Ok(())
}

/// The request of the map of an hour, without readings.
fn request(document: &ScheduleRequest, hours: &Hours, hour: i64) -> Result<String, ApiError> {
    let mut request = document.map.clone();
    let at = Timestamp::from_second(hour).unwrap_or_default();
    if let Some(times) = request.pointer_mut("/read/times").and_then(Value::as_array_mut) {
        for time in times {
            if let Some(text) = time.as_str() {
                *time = filled(text, at, hours)?.into();
            }
        }
    }
    if let Value::Object(request) = &mut request
        && !document.variables.is_empty()
    {
        request.insert("variables".to_owned(), document.variables.clone().into());
    }
    Ok(request.to_string())
}

/// `{time:FORMAT}` and `{time_utc:FORMAT}` replaced by the hour.
fn filled(text: &str, hour: Timestamp, hours: &Hours) -> Result<String, ApiError> {
    let mut rest = text;
    let mut made = String::new();
    while let Some(at) = rest.find("{time") {
        let (before, from) = rest.split_at(at);
        let wrong = || {
            let what = format!("`{text}`: expected {{time:%Y-%m-%d}} or {{time_utc:…}}");
            ApiError::meaningless(what).at_pointer("/map/read/times")
        };
        let (what, after) = from[1..].split_once('}').ok_or_else(wrong)?;
        let (name, format) = what.split_once(':').ok_or_else(wrong)?;
        let zone = match name {
            "time" => hours.zone().clone(),
            "time_utc" => jiff::tz::TimeZone::UTC,
            _ => return Err(wrong()),
        };
        let told = jiff::fmt::strtime::format(format, &hour.to_zoned(zone)).map_err(|_| wrong())?;
        made.push_str(before);
        made.push_str(&told);
        rest = after;
    }
    Ok(made + rest)
}

/// A digest of what readings are, whatever the order of stations, and the number of stations with any.
fn told(observations: &Observations) -> Result<(String, u64), ApiError> {
    let stations = observations.stations();
    let mut order: Vec<usize> = (0..stations.len()).collect();
    let key = |k: &usize| (&stations[*k].id, stations[*k].x.to_bits(), stations[*k].y.to_bits());
    order.sort_by(|a, b| key(a).cmp(&key(b)));
    let (mut hash, mut has) = (blake3::Hasher::new(), vec![false; stations.len()]);
    let mut text = |part: &str| {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    };
    for variable in observations.variables() {
        text(&variable.name);
        text(variable.units.as_deref().unwrap_or_default());
    }
    for k in &order {
        text(&stations[*k].id);
    }
    for k in &order {
        hash.update(&stations[*k].x.to_le_bytes());
        hash.update(&stations[*k].y.to_le_bytes());
    }
    let mut values = Vec::new();
    for (step, time) in observations.times().iter().enumerate() {
        let seconds = time.map_or(i64::MIN, |time| time.0);
        hash.update(&seconds.to_le_bytes());
        observations.step(step, &mut values).map_err(crate::routes::of_engine)?;
        for of_variable in values.chunks_exact(stations.len().max(1)) {
            for k in &order {
                let value = of_variable[*k];
                // All that is missing is missing alike.
                let bits = if value.is_nan() { u64::MAX } else { (value + 0.0).to_bits() };
                hash.update(&bits.to_le_bytes());
                has[*k] |= !value.is_nan();
            }
        }
    }
    let with = has.iter().filter(|has| **has).count();
    Ok((hash.finalize().to_hex().to_string(), with as u64))
}

/// Readings that were posted.
fn posted(state: &AppState, slot: &Slot, known: Option<&str>) -> Result<Found, ApiError> {
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
fn repost(tx: &Transaction<'_>, slot: &Slot) -> rusqlite::Result<()> {
    let sql = "UPDATE slots SET due = (SELECT received FROM posted WHERE posted.schedule = slots.schedule \
               AND posted.hour = slots.hour) WHERE schedule = ?1 AND hour = ?2 AND EXISTS \
               (SELECT 1 FROM posted WHERE posted.schedule = slots.schedule AND posted.hour = slots.hour \
               AND posted.received >= ?3 AND slots.mark IS NOT posted.input AND slots.attempts = 0)";
    tx.execute(sql, params![slot.schedule, slot.hour, slot.updated]).map(drop)
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
    check_hour(&scheduled, hour, state.now())?;
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

fn check_hour(scheduled: &Scheduled, hour: Timestamp, now: Timestamp) -> Result<(), ApiError> {
    let document = &scheduled.document;
    let wrong = |text: String| {
        let parameter = Some("time".to_owned());
        Err(ApiError::meaningless(text).at(crate::error::Place { parameter, ..Default::default() }))
    };
    if let Some(source) = &document.source {
        return wrong(format!(
            "the schedule takes its readings from the source `{source}`; they are not posted"
        ));
    }
    let hours = Hours::new(&document.cron, document.zone.as_deref())?;
    if !hours.has(hour) {
        let next = hours.after(hour).map(|next| next.to_string()).unwrap_or_default();
        return wrong(format!("{hour} is no hour of the schedule; the next is {next}"));
    }
    if hour.as_second() > now.as_second() + EARLY {
        return wrong(format!("{hour} is yet to come"));
    }
    Ok(())
}
