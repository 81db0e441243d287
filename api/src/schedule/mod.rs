//! Maps of every hour, unattended: schedules, their hours (slots), and what becomes of them.
//!
//! ```text
//!           make           look, enter          settle
//!  cron ──────────▶ waiting ──────────▶ running ───────▶ made ──▶ a delivery for each sink
//!                    │  ▲  │                │  │           │ corrected readings: running again
//!                    │  │  └▶ too_few       │  └▶ failed   │
//!           give up  ▼  │ late readings     └──────────────┘ a correction that fails changes nothing
//!                   missing
//! ```
//!
//! A slot is an hour of a schedule: a row, unique by schedule and UTC time. Its map is a job of the queue; what the
//! job makes is a *revision* of the slot. Readings are known again by a digest of what they are, not of the bytes.
//!
//! Who may change what:
//!
//! - **claim**: whoever makes slots of a schedule and looks for readings (one thread of one process) has its row: its
//!   name as holder, a lease, and a number that grows with every claim. Every statement of `make` and `look` names
//!   that number, so one that lost its claim changes nothing. A holder that died is known by its lock file, at once;
//!   no slot waits for a lease to end.
//! - **settle**: anybody, in one transaction that first sees that the slot still runs this very job.
//! - requests (a post of readings, a backfill) insert slots, and set `due` and `again`; never a state.
//! - **deliver**: one process at a time delivers to a sink, likewise.
//!
//! After `kill -9` between any two statements:
//!
//! | it had | then |
//! |---|---|
//! | made rows of hours | they and `made_to` are one transaction: no hour is left out, none comes twice |
//! | claimed the schedule | the holder is dead; the next tick of any process takes it |
//! | fetched readings, kept their bytes | no row knows the file: fetched again, the file is the same; a file that stays unknown goes after an hour |
//! | entered the job | the job, its inputs, and the slot's `running` with the job's name are one transaction: there is no job without its slot, nor the other way round |
//! | begun the map | the job goes on from its blocks (`jobs`) |
//! | ended the job | the map has its row in the catalogue; the slot is still `running`, and the next tick finds the job ended |
//! | settled | the revision, the slot's state, its deliveries and its notices are one transaction |
//! | delivered | the delivery is still `waiting`: delivered again, the same bytes at the same place |
//! | booked the delivery | done |
//! | written a notice to the file | the row says it is not there; a line with its number is looked for at the end of the file first |
//! | sent a notice | sent again, with the same number |
//! | removed a map's row | its file is one that nobody knows, and goes after an hour (`jobs`) |

mod backfill;
mod clock;
mod cron;
mod deliver;
mod fetch;
mod keep;
mod look;
mod make;
mod model;
mod notices;
mod posted;
mod request;
mod settle;
pub(crate) mod shelf;
pub(crate) mod store;
pub(crate) mod tell;
mod tick;
mod times;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use isopleth_engine::Cancel;
use tokio::sync::{Notify, watch};

pub use clock::Clock;
pub use tick::{Ticked, start, tick};

pub(crate) use backfill::{backfill, backfills};
pub(crate) use cron::Hours;
pub(crate) use model::SlotState;
pub(crate) use posted::post;
pub(crate) use shelf::Scheduled;
pub use shelf::{check_document, next_hours};
pub(crate) use tell::census;

/// The tables.
pub(crate) const SCHEMA: &str = include_str!("schema.sql");

/// What the owner of a schedule's jobs and maps begins with; its id follows.
pub(crate) const OWNER: &str = "schedule:";

/// Work at a sink in this process.
#[derive(Debug, Default)]
struct AtSink {
    /// Held by whoever delivers.
    lock: Arc<Mutex<()>>,
    /// When what is over was removed last.
    retained: i64,
}

/// Work at schedules in this process.
#[derive(Debug, Default)]
pub(crate) struct Schedules {
    /// Readings may be there: they were posted, or there is room for further maps.
    slots: Notify,
    /// A job has ended.
    ends: Notify,
    /// There are new deliveries, or notices: a number that grows.
    deliveries: watch::Sender<u64>,
    /// Schedules that a thread of this process works at, so that a claim of this process is always its own.
    busy: Mutex<BTreeSet<String>>,
    telling: Mutex<()>,
    sinks: Mutex<BTreeMap<String, AtSink>>,
    cancel: Cancel,
}

impl Schedules {
    /// Readings may have become due.
    pub(crate) fn wake(&self) {
        self.slots.notify_one();
    }

    /// A job of a schedule has ended.
    pub(crate) fn job_ended(&self) {
        self.ends.notify_one();
    }

    fn wake_deliveries(&self) {
        self.deliveries.send_modify(|count| *count += 1);
    }

    /// Ends what waits for others: sources, sinks.
    pub(crate) fn stop(&self) {
        self.cancel.cancel();
    }

    fn busy(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_busy(&self, schedule: &str) -> bool {
        self.busy().contains(schedule)
    }

    /// Begins work at a schedule, if no other thread is at it.
    fn begin(&self, schedule: &str) -> Option<Busy<'_>> {
        let begun = self.busy().insert(schedule.to_owned());
        begun.then(|| Busy { schedules: self, schedule: schedule.to_owned() })
    }

    fn lock_of(&self, sink: &str) -> Arc<Mutex<()>> {
        let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&sinks.entry(sink.to_owned()).or_default().lock)
    }

    /// Whether it is time again to remove what is over at a sink.
    fn may_retain(&self, sink: &str, now: i64, every: i64) -> bool {
        let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        let last = &mut sinks.entry(sink.to_owned()).or_default().retained;
        let may = now - *last >= every || now < *last;
        if may {
            *last = now;
        }
        may
    }
}

/// Work at a schedule, until it is dropped.
struct Busy<'a> {
    schedules: &'a Schedules,
    schedule: String,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.schedules.busy().remove(&self.schedule);
    }
}

/// Whose the jobs and maps of a schedule are.
fn owner(schedule: &str) -> String {
    format!("{OWNER}{schedule}")
}
