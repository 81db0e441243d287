//! One tick does all that is due now; the service ticks whenever something may have become due.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::store::{self, Claim};
use super::{Hours, Scheduled, deliver, keep, look, make, notices, settle, shelf};
use crate::error::ApiError;
use crate::state::AppState;

/// Schedules that are worked at side by side: a source that does not answer keeps no other waiting.
const SIDE_BY_SIDE: usize = 8;

/// How often is looked for what nobody told: that time passed, or another process did something.
const POLL: Duration = Duration::from_secs(1);

/// More schedules than the configuration can allow are not looked at.
const MOST: usize = 100_000;

/// What one tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Hours that got their rows.
    pub made: usize,
    /// Looks at sources.
    pub looked: usize,
    /// Jobs that ended.
    pub settled: usize,
    /// Attempts at deliveries.
    pub delivered: usize,
    /// Notices written to the file, or sent.
    pub told: usize,
}

impl Ticked {
    /// Whether nothing was due.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }
}

/// Does all that is due at the time of the state's clock, and returns. Blocks.
///
/// # Errors
/// Where the database fails; what fails at one schedule keeps no other from its turn, and is in the log.
pub fn tick(state: &AppState) -> Result<Ticked, ApiError> {
    let settled = settled(state)?;
    let Ticked { made, looked, .. } = slots(state)?;
    let delivered = deliver::deliver(state)?;
    let told = tell(state)?;
    Ok(Ticked { made, looked, settled, delivered, told })
}

/// Begins to make maps of every hour, in the background. On a runtime of tokio.
///
/// The documents of the configuration become those that are kept.
///
/// # Errors
/// The name of a schedule of the configuration that makes no sense, and why.
pub fn start(state: &AppState) -> Result<(), (String, ApiError)> {
    shelf::adopt(state)?;
    let sinks = state.config().sinks.keys().map(|sink| Work::Sink(sink.clone()));
    for work in [Work::Ends, Work::Rest].into_iter().chain(sinks) {
        state.jobs().look_after(tokio::spawn(run(state.clone(), work)));
    }
    state.jobs().look_after(tokio::spawn(run_slots(state.clone())));
    Ok(())
}

/// What goes on side by side, so that a source or a sink that takes its time keeps nobody else waiting.
#[derive(Clone, Debug)]
enum Work {
    /// Of jobs.
    Ends,
    Sink(String),
    /// Notices, and sinks that are no more.
    Rest,
}

impl Work {
    fn once(&self, state: &AppState) -> Result<(), ApiError> {
        match self {
            Self::Ends => settled(state).map(drop),
            Self::Sink(sink) => deliver::to_sink(state, sink).map(drop),
            Self::Rest => {
                deliver::deliver_to_unknown(state)?;
                tell(state).map(drop)
            }
        }
    }
}

async fn run(state: AppState, work: Work) {
    let draining = state.jobs().draining().clone();
    let mut deliveries = state.schedules().deliveries.subscribe();
    while !draining.is_cancelled() {
        let (shared, what) = (state.clone(), work.clone());
        let done = tokio::task::spawn_blocking(move || what.once(&shared)).await;
        if let Ok(Err(error)) = done {
            tracing::error!(?error, ?work, "schedules cannot be worked at");
        }
        let woken = async {
            match work {
                Work::Ends => state.schedules().ends.notified().await,
                // The sender lives as long as the state.
                Work::Sink(_) | Work::Rest => drop(deliveries.changed().await),
            }
        };
        tokio::select! {
            () = woken => (),
            () = tokio::time::sleep(POLL) => (),
            () = draining.cancelled() => (),
        }
    }
}

/// Looks for readings, schedule by schedule: one whose source does not answer keeps no other waiting.
async fn run_slots(state: AppState) {
    let draining = state.jobs().draining().clone();
    let (places, mut under_way) = (Arc::new(Semaphore::new(SIDE_BY_SIDE)), JoinSet::new());
    while !draining.is_cancelled() {
        let shared = state.clone();
        let due = match tokio::task::spawn_blocking(move || due(&shared)).await {
            Ok(Ok(due)) => due,
            error => {
                tracing::error!(?error, "schedules cannot be worked at");
                Vec::new()
            }
        };
        for scheduled in due {
            // Those without a place are due still when there is one.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { break };
            let shared = state.clone();
            under_way.spawn_blocking(move || {
                let worked = of_schedule(&shared, &scheduled);
                drop(place);
                if worked != Ticked::default() {
                    shared.schedules().wake();
                }
            });
        }
        tokio::select! {
            () = state.schedules().slots.notified() => (),
            () = tokio::time::sleep(POLL) => (),
            () = draining.cancelled() => (),
        }
        // What has ended is in the log already.
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

/// Settles what has ended, of all schedules; how many hours.
fn settled(state: &AppState) -> Result<usize, ApiError> {
    let ended = state.store().read(store::with_ends)?;
    let mut all = 0;
    for id in ended {
        let scheduled = state.store().read(|c| shelf::get(c, &id))?;
        let settled = settle::settle(state, &scheduled)?;
        if settled > 0 {
            keep::keep(state, &scheduled)?;
        }
        all += settled;
    }
    Ok(all)
}

/// Does what is due of hours.
fn slots(state: &AppState) -> Result<Ticked, ApiError> {
    let due = due(state)?;
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Ticked::default()));
    let work = || {
        while let Some(scheduled) = due.get(next.fetch_add(1, Ordering::Relaxed)) {
            let ticked = of_schedule(state, scheduled);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.made += ticked.made;
            done.looked += ticked.looked;
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..due.len().min(SIDE_BY_SIDE) {
            scope.spawn(work);
        }
        work();
    });
    let done = *done.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(done)
}

/// Schedules with hours that are due, but for those that this process works at already.
fn due(state: &AppState) -> Result<Vec<Scheduled>, ApiError> {
    let now = state.now().as_second();
    let most = state.config().schedule_slots_in_flight;
    state.store().read(|c| {
        let mut due = Vec::new();
        for scheduled in shelf::list(c, "", MOST)? {
            if !state.schedules().is_busy(&scheduled.id) && is_due(c, &scheduled, (now, most))? {
                due.push(scheduled);
            }
        }
        Ok(due)
    })
}

fn is_due(
    c: &rusqlite::Connection,
    scheduled: &Scheduled,
    (now, most): (i64, usize),
) -> Result<bool, ApiError> {
    let document = &scheduled.document;
    if document.paused {
        return Ok(false);
    }
    let hours = Hours::new(&document.cron, document.zone.as_deref())?;
    Ok(make::is_due(scheduled, &hours, now) || store::is_due(c, &scheduled.id, now, most)?)
}

/// Does what is due of one schedule, unless somebody is at it; what fails is in the log.
fn of_schedule(state: &AppState, scheduled: &Scheduled) -> Ticked {
    let id = &scheduled.id;
    let Some(_busy) = state.schedules().begin(id) else { return Ticked::default() };
    let work = || {
        let Some(claim) = Claim::take(state, id)? else { return Ok(Ticked::default()) };
        let worked = claimed(state, &claim);
        claim.give_back(state)?;
        worked
    };
    work().unwrap_or_else(|error: ApiError| {
        tracing::error!(schedule = id, ?error, "a schedule fails");
        Ticked::default()
    })
}

fn claimed(state: &AppState, claim: &Claim) -> Result<Ticked, ApiError> {
    // As it is now that nobody else works at it.
    let mut scheduled = state.store().read(|c| shelf::get(c, &claim.schedule))?;
    if scheduled.document.paused {
        return Ok(Ticked::default());
    }
    let document = &scheduled.document;
    let hours = Hours::new(&document.cron, document.zone.as_deref())?;
    let made = make::make(state, claim, &mut scheduled, &hours)?;
    let looked = look::look(state, claim, &scheduled, &hours)?;
    if made > 0 {
        keep::keep(state, &scheduled)?;
    }
    Ok(Ticked { made, looked, ..Ticked::default() })
}

/// What is due of notices.
fn tell(state: &AppState) -> Result<usize, ApiError> {
    let _alone = state.schedules().telling.lock().unwrap_or_else(PoisonError::into_inner);
    notices::tell(state)
}
