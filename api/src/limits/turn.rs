//! A turn to compute: quick, or slow.
//!
//! Whoever has a permit reads and plans. What is then foreseen to take long gives its permit to others and goes on in a
//! lane of its own, where half as many compute at once at most, so that small maps never wait behind large ones; and of those
//! that wait at most half are slow, so that there is always a seat for a small one.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use isopleth_engine::Cancel;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Permit, Waiting};
use crate::config::ServiceConfig;
use crate::error::ApiError;

/// What a thread that computes was given; also the word to stop.
#[derive(Debug)]
pub(crate) struct Turn {
    cancel: Cancel,
    place: Mutex<Option<Permit>>,
}

/// The lane of slow maps.
#[derive(Debug)]
pub(super) struct SlowLane {
    /// Waiting and computing together.
    places: Arc<Semaphore>,
    permits: Arc<Semaphore>,
    width: usize,
    seconds: f64,
}

impl Turn {
    pub(crate) fn new(permit: Permit, cancel: Cancel) -> Self {
        Self { cancel, place: Mutex::new(Some(permit)) }
    }

    /// Whether it has left the permit to quick ones.
    pub(super) fn is_slow(&self) -> bool {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.as_ref().is_none_or(|permit| permit.slow.is_some())
    }
}

impl Deref for Turn {
    type Target = Cancel;

    fn deref(&self) -> &Cancel {
        &self.cancel
    }
}

impl SlowLane {
    pub(super) fn new(config: &ServiceConfig) -> Self {
        let width = config.slow_maps_at_once();
        let places = width + config.queue_length / 2;
        Self {
            places: Arc::new(Semaphore::new(places)),
            permits: Arc::new(Semaphore::new(width)),
            width,
            seconds: config.quick_seconds,
        }
    }

    /// How many compute in it.
    pub(super) fn computing(&self) -> usize {
        self.width.saturating_sub(self.permits.available_permits())
    }

    /// Goes on in this lane if so many seconds are foreseen. Blocks, on a thread of the runtime that may.
    pub(super) fn enter(
        &self,
        turn: &Turn,
        seconds: f64,
        waiting: &Waiting,
    ) -> Result<(), ApiError> {
        if seconds <= self.seconds || turn.is_slow() {
            return Ok(());
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let what = "every place for maps that take long is taken; ask for a job with the \
                        header Prefer: respond-async";
            ApiError::busy(what, waiting.retry_after())
        })?;
        let seat = {
            let mut held = turn.place.lock().unwrap_or_else(PoisonError::into_inner);
            // The permit goes to whoever waits for one.
            held.take().map(|permit| permit.seat)
        };
        let permits = Arc::clone(&self.permits);
        let what = "a turn among maps that take long";
        let permit = waiting.block_on(permits.acquire_owned(), turn, what)?;
        if let Some(seat) = seat {
            let permit = Permit { seat, slow: Some(place), _permit: permit };
            *turn.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
        }
        Ok(())
    }

    /// Resolves when nobody computes in it; nobody gets a permit afterwards.
    pub(super) async fn quiet(&self) {
        let all = u32::try_from(self.width).unwrap_or(u32::MAX);
        // An error means that the semaphore is closed, which only this function does.
        let _ = self.permits.acquire_many(all).await;
        self.permits.close();
    }
}

/// A place in the slow lane, given back with the permit.
pub(super) type Place = OwnedSemaphorePermit;
