//! Who may compute now, who waits, and who is turned away.
//!
//! A request takes a *seat* before its body is read (computing and waiting places together), and a
//! *permit* before it computes. Both are given back by the thread that computes, when it has ended:
//! never when the client has gone while the thread still works.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::config::ServiceConfig;
use crate::error::ApiError;

/// Seats and permits of the whole service.
#[derive(Debug)]
pub(crate) struct Admission {
    seats: Arc<Semaphore>,
    permits: Arc<Semaphore>,
    computing: usize,
    places: usize,
    wait: Duration,
}

/// A place in the house.
#[derive(Debug)]
pub(crate) struct Seat {
    _seat: OwnedSemaphorePermit,
}

/// A place at the table; holds its seat.
#[derive(Debug)]
pub(crate) struct Permit {
    _seat: Seat,
    _permit: OwnedSemaphorePermit,
}

/// How many compute and how many wait, those still sending their body included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occupancy {
    pub(crate) computing: usize,
    pub(crate) waiting: usize,
}

impl Admission {
    pub(crate) fn new(config: &ServiceConfig) -> Self {
        Self {
            seats: Arc::new(Semaphore::new(config.concurrency + config.queue_length)),
            permits: Arc::new(Semaphore::new(config.concurrency)),
            computing: config.concurrency,
            places: config.concurrency + config.queue_length,
            wait: config.queue_wait(),
        }
    }

    /// A seat, at once or not at all.
    pub(crate) fn seat(&self) -> Result<Seat, ApiError> {
        let seat = Arc::clone(&self.seats).try_acquire_owned();
        seat.map(|_seat| Seat { _seat }).map_err(|_| {
            ApiError::busy("every place to compute and to wait is taken", self.retry_after())
        })
    }

    /// A permit, after waiting a bounded time at most.
    pub(crate) async fn permit(
        &self,
        seat: Seat,
        stop: &CancellationToken,
    ) -> Result<Permit, ApiError> {
        let waiting = tokio::time::timeout(self.wait, Arc::clone(&self.permits).acquire_owned());
        tokio::select! {
            permit = waiting => match permit {
                Ok(Ok(_permit)) => Ok(Permit { _seat: seat, _permit }),
                _ => Err(ApiError::busy(
                    &format!("waited {} s for a turn to compute", self.wait.as_secs()),
                    self.retry_after(),
                )),
            },
            () = stop.cancelled() => Err(ApiError::stopping()),
        }
    }

    /// Who is in the house just now.
    pub(crate) fn occupancy(&self) -> Occupancy {
        let computing = self.computing.saturating_sub(self.permits.available_permits());
        let inside = self.places.saturating_sub(self.seats.available_permits());
        Occupancy { computing, waiting: inside.saturating_sub(computing) }
    }

    /// Resolves when no thread computes any more. Nobody gets a permit afterwards.
    pub(crate) async fn quiet(&self) {
        let all = u32::try_from(self.computing).unwrap_or(u32::MAX);
        // An error means that the semaphore is closed, which only this function does.
        let _ = self.permits.acquire_many(all).await;
        self.permits.close();
    }

    /// Seconds after which asking again makes sense: a full wait later, the queue has moved.
    fn retry_after(&self) -> u64 {
        self.wait.as_secs().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(concurrency: usize, queue_length: usize) -> Admission {
        Admission::new(&ServiceConfig {
            concurrency,
            queue_length,
            queue_wait_seconds: 0,
            ..ServiceConfig::default()
        })
    }

    #[tokio::test]
    async fn a_permit_comes_back_with_its_seat_and_not_before() {
        let (admission, stop) = (admission(1, 1), CancellationToken::new());
        let permit = admission.permit(admission.seat().expect("a seat"), &stop).await;
        let permit = permit.expect("nobody computes");
        let second = admission.seat().expect("a place to wait");
        assert_eq!(admission.occupancy(), Occupancy { computing: 1, waiting: 1 });
        assert_eq!(admission.seat().expect_err("all taken").status(), 503);
        let late = admission.permit(second, &stop).await.expect_err("the first still computes");
        assert_eq!(late.status(), 503);
        drop(permit);
        let again = admission.permit(admission.seat().expect("a seat"), &stop).await;
        assert!(again.is_ok());
    }

    #[tokio::test]
    async fn a_stopping_service_lets_nobody_wait() {
        let admission = Admission::new(&ServiceConfig { concurrency: 1, ..Default::default() });
        let stop = CancellationToken::new();
        let _permit = admission.permit(admission.seat().expect("a seat"), &stop).await;
        stop.cancel();
        let waiting = admission.permit(admission.seat().expect("a seat"), &stop).await;
        assert_eq!(waiting.expect_err("stopping").status(), 503);
    }
}
