//! One tick does all that is due now; the service ticks whenever something may have become due.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

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
    let Ticked { made, looked, settled, .. } = slots(state)?;
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
    for work in [Work::Slots, Work::Rest].into_iter().chain(sinks) {
        state.jobs().look_after(tokio::spawn(run(state.clone(), work)));
    }
    Ok(())
}

/// What goes on side by side, so that a sink that takes its time keeps nobody else waiting.
#[derive(Clone, Debug)]
enum Work {
    Slots,
    Sink(String),
    /// Notices, and sinks that are no more.
    Rest,
}

impl Work {
    fn once(&self, state: &AppState) -> Result<(), ApiError> {
        match self {
            Self::Slots => slots(state).map(drop),
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
                Work::Slots => state.schedules().slots.notified().await,
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

/// What is due of hours.
fn slots(state: &AppState) -> Result<Ticked, ApiError> {
    let _alone = state.schedules().ticking.lock().unwrap_or_else(PoisonError::into_inner);
    let now = state.now().as_second();
    let most = state.config().schedule_slots_in_flight;
    let due: Vec<Scheduled> = state.store().read(|c| {
        let all = shelf::list(c, "", MOST)?;
        let mut due = Vec::new();
        for scheduled in all {
            if is_due(c, &scheduled, (now, most))? {
                due.push(scheduled);
            }
        }
        Ok::<_, ApiError>(due)
    })?;
    let (next, done) = (AtomicUsize::new(0), std::sync::Mutex::new(Ticked::default()));
    let work = || {
        while let Some(scheduled) = due.get(next.fetch_add(1, Ordering::Relaxed)) {
            let id = scheduled.id.clone();
            match of_schedule(state, scheduled.clone()) {
                Ok(ticked) => {
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.made += ticked.made;
                    done.looked += ticked.looked;
                    done.settled += ticked.settled;
                }
                Err(error) => tracing::error!(schedule = id, ?error, "a schedule fails"),
            }
        }
    };
    if due.len() < 2 {
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..due.len().min(SIDE_BY_SIDE) {
                scope.spawn(work);
            }
        });
    }
    let done = *done.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(done)
}

fn is_due(
    c: &rusqlite::Connection,
    scheduled: &Scheduled,
    (now, most): (i64, usize),
) -> Result<bool, ApiError> {
    let document = &scheduled.document;
    if document.paused {
        return Ok(!store::ended(c, &scheduled.id)?.is_empty());
    }
    let hours = Hours::new(&document.cron, document.zone.as_deref())?;
    Ok(make::is_due(scheduled, &hours, now) || store::is_due(c, &scheduled.id, now, most)?)
}

/// What is due of one schedule.
fn of_schedule(state: &AppState, scheduled: Scheduled) -> Result<Ticked, ApiError> {
    let Some(claim) = Claim::take(state, &scheduled.id)? else { return Ok(Ticked::default()) };
    let worked = claimed(state, &claim, scheduled);
    claim.give_back(state)?;
    worked
}

fn claimed(state: &AppState, claim: &Claim, before: Scheduled) -> Result<Ticked, ApiError> {
    // As it is now that nobody else works at it.
    let mut scheduled = state.store().read(|c| shelf::get(c, &before.id))?;
    let settled = settle::settle(state, claim, &scheduled)?;
    if scheduled.document.paused {
        return Ok(Ticked { settled, ..Ticked::default() });
    }
    let document = &scheduled.document;
    let hours = Hours::new(&document.cron, document.zone.as_deref())?;
    let made = make::make(state, claim, &mut scheduled, &hours)?;
    let looked = look::look(state, claim, &scheduled, &hours)?;
    if settled + made > 0 {
        keep::keep(state, claim, &scheduled)?;
    }
    Ok(Ticked { made, looked, settled, ..Ticked::default() })
}

/// What is due of notices.
fn tell(state: &AppState) -> Result<usize, ApiError> {
    let _alone = state.schedules().telling.lock().unwrap_or_else(PoisonError::into_inner);
    notices::tell(state)
}
