//! Looks for the readings of an hour; what is new becomes a job.

use axum::http::StatusCode;
use rusqlite::{OptionalExtension, Transaction, params};

use super::fetch::{self, Found, Trouble};
use super::model::{Kind, Slot, SlotState};
use super::posted::repost;
use super::request::{self, told};
use super::store::{self, Claim};
use super::times::{deadline, next_look};
use super::{Hours, Scheduled, notices, owner, settle};
use crate::body::Spool;
use crate::error::ApiError;
use crate::intake::{Kept, OfNetwork, OfSlot};
use crate::jobs::SlotJob;
use crate::state::AppState;
use crate::wire::network::UnknownName;

/// Waits after a failure of the machine: seconds, doubled each time, at most.
const FIRST_WAIT: i64 = 5;
const LONGEST_WAIT: i64 = 600;

/// Failures of a source in a row after which an hour is given up, if its time is over.
const ATTEMPTS: u32 = 5;

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
    /// Whether what was wrong is so no more.
    mended: bool,
}

impl Look<'_> {
    /// False where the claim is lost.
    fn look(&self) -> Result<bool, ApiError> {
        match fetch::fetch(self.state, self.scheduled, self.hours, self.slot) {
            Ok(Found::NotYet(why)) => self.nothing(&why),
            Ok(Found::Unchanged) => self.unchanged(None),
            Ok(Found::Readings { name, body, gzip, mark }) => {
                let body = (name, body, gzip);
                match self.take(body, mark.as_deref()) {
                    Err(error) if error.status().is_server_error() => {
                        self.stumble(&Trouble::Machine(error))
                    }
                    // Its network is not registered, or not yet: nothing is wrong with the readings.
                    Err(error) if error.status() == StatusCode::NOT_FOUND => {
                        self.stumble(&Trouble::Passing(error.problem().detail))
                    }
                    Err(error) => self.unreadable(&error, mark.as_deref()),
                    Ok(held) => Ok(held),
                }
            }
            Err(trouble) => self.stumble(&trouble),
        }
    }

    /// There are no readings.
    fn nothing(&self, why: &str) -> Result<bool, ApiError> {
        let (slot, now) = (self.slot, self.now);
        let given_up =
            slot.state == SlotState::Waiting && now >= deadline(&self.scheduled.document, slot);
        let after = if given_up { SlotState::Missing } else { slot.state };
        self.book(&Outcome {
            after,
            message: Some(why),
            notice: given_up.then(|| (Kind::Missing, format!("no readings in time: {why}"))),
            mark: None,
            readings: None,
            due: self.next(after),
            failed: false,
            mended: false,
        })
    }

    /// The readings are those that are known.
    fn unchanged(&self, mark: Option<&str>) -> Result<bool, ApiError> {
        let message = self.slot.message.clone();
        self.book(&Outcome {
            after: self.slot.state,
            message: message.as_deref(),
            notice: None,
            mark,
            readings: None,
            due: self.next(self.slot.state),
            failed: false,
            mended: false,
        })
    }

    /// The machine, the queue or the source fails: again, later each time. A source that has failed often enough when
    /// the hour is given up has no readings; the machine may be mended at any time.
    fn stumble(&self, trouble: &Trouble) -> Result<bool, ApiError> {
        let (slot, now) = (self.slot, self.now);
        if self.state.schedules().cancel.is_cancelled() {
            // What fails because the service is stopping says nothing.
            return Ok(true);
        }
        let message = match trouble {
            Trouble::Passing(why) => why.clone(),
            Trouble::Machine(error) => {
                tracing::warn!(schedule = slot.schedule, hour = slot.hour, ?error, "no look");
                error.problem().detail
            }
        };
        let machine = matches!(trouble, Trouble::Machine(_));
        let over = now >= deadline(&self.scheduled.document, slot)
            && slot.state == SlotState::Waiting
            && (slot.attempts >= ATTEMPTS || (machine && slot.origin == "cron"));
        let after = if over { SlotState::Missing } else { slot.state };
        let wait = (FIRST_WAIT << slot.attempts.min(10)).min(LONGEST_WAIT);
        let tries_on = machine || slot.attempts < ATTEMPTS;
        self.book(&Outcome {
            after,
            message: Some(&message),
            notice: over.then(|| (Kind::Missing, format!("no readings in time: {message}"))),
            mark: None,
            readings: None,
            due: if tries_on { Some(now + wait) } else { self.next(after) },
            failed: true,
            mended: false,
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
            repost(tx, self.slot)?;
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
        let stations =
            if network.is_none() { fetch::stations(state, self.scheduled)? } else { None };
        let request = request::of(state.config(), &self.scheduled.document, self.hours, slot.hour)?;
        let of_slot = OfSlot { request, name: name.clone(), body, gzip, stations, network };
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
        if slot.again == 0 && self.latest_digest()?.as_ref() == Some(&digest) {
            return Ok(Taken::of(self.as_before(mark, (&digest, stations))?));
        }
        let needed = self.scheduled.document.min_stations;
        if stations < needed {
            return Ok(Taken::of(self.too_few(mark, (&digest, stations), needed)?));
        }
        let job = SlotJob::plan(state, kept, understood)?;
        let key = format!("{}/{}/{}/{}", slot.schedule, slot.hour, &digest[..16], &job.id[..8]);
        state.store().write(|tx| {
            if !self.claim.holds(tx)? {
                return Ok(Taken::Lost);
            }
            job.enter(state, tx, &owner(&slot.schedule), &key)?;
            keep_input(tx, slot, kept)?;
            tx.execute(
                "UPDATE slots SET state = 'running', job = ?3, mark = ?4, digest = ?5, input = ?6, name = ?7, \
                 stations = ?8, attempts = 0, due = NULL, \
                 again = iif(again = 0, 0, 2), message = NULL, updated = ?9 WHERE schedule = ?1 AND hour = ?2",
                params![
                    slot.schedule, slot.hour, job.id, mark, digest, input, name, stations, self.now
                ],
            )?;
            repost(tx, slot)?;
            Ok(Taken::Begun)
        })
    }

    /// Of the readings of the latest revision.
    fn latest_digest(&self) -> Result<Option<String>, ApiError> {
        let slot = self.slot;
        let sql =
            "SELECT digest FROM revisions WHERE schedule = ?1 AND hour = ?2 AND revision = ?3";
        let of = params![slot.schedule, slot.hour, slot.revision];
        Ok(self.state.store().read(|c| c.query_row(sql, of, |row| row.get(0)).optional())?)
    }

    /// After others that made no map, the readings are those of the latest revision again.
    fn as_before(&self, mark: Option<&str>, readings: (&str, u64)) -> Result<bool, ApiError> {
        let problem = self.slot.problem.as_ref();
        let text = format!("the readings are those of revision {} again", self.slot.revision);
        self.book(&Outcome {
            after: self.slot.state,
            message: None,
            notice: problem.map(|_| (Kind::Recovered, text)),
            mark,
            readings: Some(readings),
            due: self.next(self.slot.state),
            failed: false,
            mended: true,
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
        self.book(&Outcome {
            after,
            message: Some(&text),
            notice: is_new.then(|| (Kind::TooFew, text.clone())),
            mark,
            readings: Some((digest, stations)),
            due: self.next(after),
            failed: false,
            mended: false,
        })
    }

    fn next(&self, state: SlotState) -> Option<i64> {
        let after = Slot { state, ..self.slot.clone() };
        next_look(&self.scheduled.document, &after, self.now)
    }

    fn network(&self) -> Result<Option<OfNetwork>, ApiError> {
        let Some(id) = &self.scheduled.document.network else { return Ok(None) };
        let network = self.state.networks().get(id)?;
        // A new station in a feed is no reason to have no maps.
        Ok(Some(OfNetwork { network, unknown: UnknownName::Ignore }))
    }

    /// Writes what became of a look; false where the claim is lost.
    fn book(&self, outcome: &Outcome<'_>) -> Result<bool, ApiError> {
        let (slot, now) = (self.slot, self.now);
        let written = self.state.store().write(|tx| {
            if !self.claim.holds(tx)? {
                return Ok::<_, rusqlite::Error>(false);
            }
            let problem = outcome.notice.as_ref().map(|(kind, _)| kind.name());
            tx.execute(
                "UPDATE slots SET state = ?3, message = ?4, mark = coalesce(?5, mark), \
                 digest = coalesce(?6, digest), stations = coalesce(?7, stations), \
                 problem = iif(?12, NULL, coalesce(?8, problem)), attempts = iif(?9, attempts + 1, 0), \
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
                    now,
                    outcome.mended
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
