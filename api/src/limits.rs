//! Who may compute now, who waits, and who is turned away.
//!
//! A request takes a *seat* once its body is there (computing and waiting places together), and a
//! *permit* before it computes. Bodies on their way are bounded by a number of their own, by default twice what one client
//! may have under way, so that slow ones keep nobody else waiting. Both are given back by the thread that computes, when it has ended:
//! never when the client has gone while the thread still works. What takes long goes on in a lane of its
//! own ([`turn`]).

mod turn;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isopleth_engine::Cancel;
use tokio::runtime::Handle;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::config::ServiceConfig;
use crate::error::ApiError;
pub(crate) use turn::Turn;
use turn::{Place, SlowLane};

/// Semaphores count no further.
const MOST_MIB: u32 = 1 << 28;

/// Seats and permits of the whole service.
#[derive(Debug)]
pub(crate) struct Admission {
    seats: Arc<Semaphore>,
    permits: Arc<Semaphore>,
    /// Of bodies that are being sent.
    senders: Arc<Semaphore>,
    /// Of bodies that are read while they come.
    readers: Arc<Semaphore>,
    /// In MiB, of what all maps together may take.
    memory: Arc<Semaphore>,
    memory_mib: u32,
    computing: usize,
    places: usize,
    slow: SlowLane,
    waiting: Waiting,
}

/// How long anybody waits.
#[derive(Clone, Copy, Debug)]
struct Waiting(Duration);

/// Memory that a map may take.
#[derive(Debug)]
pub(crate) struct Memory {
    _permit: OwnedSemaphorePermit,
}

/// How often a thread that waits for memory looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(50);

/// A place in the house.
#[derive(Debug)]
pub(crate) struct Seat {
    _seat: OwnedSemaphorePermit,
}

/// A place at the table; holds its seat.
#[derive(Debug)]
pub(crate) struct Permit {
    seat: Seat,
    slow: Option<Place>,
    _permit: OwnedSemaphorePermit,
}

/// How many compute and how many wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occupancy {
    pub(crate) computing: usize,
    pub(crate) waiting: usize,
}

impl Admission {
    pub(crate) fn new(config: &ServiceConfig) -> Self {
        let memory = config.memory_of_maps() >> 20;
        let memory_mib = u32::try_from(memory).unwrap_or(u32::MAX).clamp(1, MOST_MIB);
        let computing = config.maps_at_once();
        Self {
            memory: Arc::new(Semaphore::new(memory_mib as usize)),
            memory_mib,
            seats: Arc::new(Semaphore::new(computing + config.queue_length)),
            permits: Arc::new(Semaphore::new(computing)),
            senders: Arc::new(Semaphore::new(config.bodies_at_once)),
            readers: Arc::new(Semaphore::new(computing)),
            computing,
            places: computing + config.queue_length,
            slow: SlowLane::new(config),
            waiting: Waiting(config.queue_wait()),
        }
    }

    /// A seat, at once or not at all.
    pub(crate) fn seat(&self) -> Result<Seat, ApiError> {
        let seat = Arc::clone(&self.seats).try_acquire_owned();
        seat.map(|_seat| Seat { _seat }).map_err(|_| {
            let what = "every place to compute and to wait is taken";
            ApiError::busy(what, self.waiting.retry_after())
        })
    }

    /// Receives a body, and takes a seat for it. None is received when all seats are taken.
    pub(crate) async fn seated<T>(
        &self,
        receiving: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<(Seat, T), ApiError> {
        drop(self.seat()?);
        let sending = self.senders.try_acquire().map_err(|_| {
            let what = "as many bodies as may are being sent";
            ApiError::busy(what, self.waiting.retry_after())
        })?;
        let received = receiving.await?;
        drop(sending);
        Ok((self.seat()?, received))
    }

    /// A place to read a body while it comes, if one is free.
    pub(crate) fn place_to_read(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.readers).try_acquire_owned().ok()
    }

    /// A permit, after waiting a bounded time at most.
    pub(crate) async fn permit(
        &self,
        seat: Seat,
        stop: &CancellationToken,
    ) -> Result<Permit, ApiError> {
        let waiting =
            tokio::time::timeout(self.waiting.0, Arc::clone(&self.permits).acquire_owned());
        tokio::select! {
            permit = waiting => match permit {
                Ok(Ok(_permit)) => Ok(Permit { seat, slow: None, _permit }),
                _ => Err(self.waiting.over("a turn to compute")),
            },
            () = stop.cancelled() => Err(ApiError::stopping()),
        }
    }

    /// Memory for a map that somebody waits for, and a turn among slow ones if so many seconds are foreseen; quick ones
    /// get memory in the order in which they ask. Blocks, on a thread of the runtime that may.
    pub(crate) fn admit(&self, turn: &Turn, seconds: f64, bytes: u64) -> Result<Memory, ApiError> {
        self.slow.enter(turn, seconds, &self.waiting)?;
        let what = "memory that other maps take";
        let (memory, mib) = (&self.memory, self.mib(bytes));
        if !turn.is_slow() {
            let asked = Arc::clone(memory).acquire_many_owned(mib);
            return Ok(Memory { _permit: self.waiting.block_on(asked, turn, what)? });
        }
        // Asks again and again, so that nobody quick waits behind it.
        let start = Instant::now();
        loop {
            match Arc::clone(memory).try_acquire_many_owned(mib) {
                Ok(_permit) => return Ok(Memory { _permit }),
                _ if turn.is_cancelled() => return Err(ApiError::stopping()),
                _ if start.elapsed() >= self.waiting.0 => return Err(self.waiting.over(what)),
                _ => std::thread::sleep(PATIENCE),
            }
        }
    }

    /// The same for a job, which does not keep others waiting while it waits; none when it is to stop.
    pub(crate) fn memory_for_job(&self, bytes: u64, cancel: &Cancel) -> Option<Memory> {
        loop {
            if cancel.is_cancelled() {
                return None;
            }
            match Arc::clone(&self.memory).try_acquire_many_owned(self.mib(bytes)) {
                Ok(_permit) => return Some(Memory { _permit }),
                Err(_) => std::thread::sleep(PATIENCE),
            }
        }
    }

    /// What is foreseen for a map; one beyond all there is waits until it is alone.
    fn mib(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX).clamp(1, self.memory_mib)
    }

    /// Who is in the house just now.
    pub(crate) fn occupancy(&self) -> Occupancy {
        let quick = self.computing.saturating_sub(self.permits.available_permits());
        let computing = quick + self.slow.computing();
        let inside = self.places.saturating_sub(self.seats.available_permits());
        Occupancy { computing, waiting: inside.saturating_sub(computing) }
    }

    /// Resolves when no thread computes any more. Nobody gets a permit afterwards.
    pub(crate) async fn quiet(&self) {
        let all = u32::try_from(self.computing).unwrap_or(u32::MAX);
        // An error means that the semaphore is closed, which only this function does.
        let _ = self.permits.acquire_many(all).await;
        self.permits.close();
        self.slow.quiet().await;
    }
}

impl Waiting {
    /// Seconds after which asking again makes sense: a full wait later, the queue has moved.
    fn retry_after(self) -> u64 {
        self.0.as_secs().max(1)
    }

    fn over(self, what: &str) -> ApiError {
        ApiError::busy(&format!("waited {} s for {what}", self.0.as_secs()), self.retry_after())
    }

    /// Waits on a thread of the runtime that may, as long as nobody says stop.
    fn block_on(
        self,
        asked: impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>>,
        cancel: &Cancel,
        what: &str,
    ) -> Result<OwnedSemaphorePermit, ApiError> {
        let (mut asked, runtime) = (pin!(asked), Handle::current());
        let start = Instant::now();
        loop {
            match runtime.block_on(async { tokio::time::timeout(PATIENCE, asked.as_mut()).await }) {
                Ok(Ok(permit)) => return Ok(permit),
                _ if cancel.is_cancelled() => return Err(ApiError::stopping()),
                Err(_) if start.elapsed() < self.0 => {}
                _ => return Err(self.over(what)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(concurrency: usize, queue_length: usize) -> Admission {
        Admission::new(&ServiceConfig {
            concurrency: Some(concurrency),
            queue_length,
            queue_wait_seconds: 0,
            ..ServiceConfig::default()
        })
    }

    #[tokio::test]
    async fn bodies_on_their_way_take_no_seat_and_are_bounded_by_themselves() {
        let config = ServiceConfig {
            concurrency: Some(1),
            queue_length: 0,
            bodies_at_once: 2,
            ..ServiceConfig::default()
        };
        let admission = Admission::new(&config);
        let never = std::future::pending::<Result<(), ApiError>>;
        let (mut one, mut two) = (pin!(admission.seated(never())), pin!(admission.seated(never())));
        for slow in [one.as_mut(), two.as_mut()] {
            tokio::select! {
                biased;
                _ = slow => panic!("it never arrives"),
                () = std::future::ready(()) => {}
            }
        }
        let third = admission.seated(never()).await.expect_err("two are on their way");
        assert!(third.problem().detail.contains("are being sent"), "{:?}", third.problem());
        let _seat = admission.seat().expect("they keep nobody waiting whose body is here");
        let full = admission.seated(never()).await.expect_err("no seat, so none is received");
        assert!(full.problem().detail.contains("every place"), "{:?}", full.problem());
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

    #[tokio::test(flavor = "multi_thread")]
    async fn memory_is_given_as_far_as_there_is_some_and_a_job_lets_others_pass() {
        let config = ServiceConfig {
            concurrency: Some(2),
            memory_bytes_per_map: Some(50 << 20),
            queue_wait_seconds: 0,
            ..ServiceConfig::default()
        };
        let admission = Arc::new(Admission::new(&config));
        let given = tokio::task::spawn_blocking(move || {
            let turn = || {
                let runtime = Handle::current();
                let seat = admission.seat().expect("a seat");
                let stop = CancellationToken::new();
                let permit = runtime.block_on(admission.permit(seat, &stop)).expect("a permit");
                Turn::new(permit, Cancel::default())
            };
            let (one, two) = (turn(), turn());
            let first = admission.admit(&one, 0.0, 60 << 20).expect("all is free");
            let error = admission.admit(&two, 0.0, 60 << 20).expect_err("too much");
            assert_eq!(error.status(), 503);
            let other = Arc::clone(&admission);
            let job = std::thread::spawn(move || {
                // More than there is: it waits until it is alone.
                other.memory_for_job(1 << 40, &Cancel::default()).is_some()
            });
            let quick = admission.admit(&two, 0.0, 40 << 20);
            drop(quick.expect("the job does not stand in the way"));
            drop(first);
            assert!(job.join().expect("no panic"));
            let stop = Cancel::default();
            stop.cancel();
            assert!(admission.memory_for_job(1, &stop).is_none());
        });
        given.await.expect("no panic");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn slow_maps_leave_permits_and_seats_to_quick_ones() {
        let config = ServiceConfig {
            concurrency: Some(2),
            queue_length: 2,
            queue_wait_seconds: 0,
            quick_seconds: 1.0,
            ..ServiceConfig::default()
        };
        let admission = Arc::new(Admission::new(&config));
        let given = tokio::task::spawn_blocking(move || {
            let turn = || {
                let seat = admission.seat().expect("a seat");
                let stop = CancellationToken::new();
                let permit = Handle::current().block_on(admission.permit(seat, &stop));
                Turn::new(permit.expect("a permit"), Cancel::default())
            };
            let slow = turn();
            let _its_memory = admission.admit(&slow, 60.0, 1).expect("the lane is free");
            assert_eq!(admission.occupancy(), Occupancy { computing: 1, waiting: 0 });
            let (one, two) = (turn(), turn());
            let second = admission.admit(&one, 60.0, 1).expect_err("one at a time");
            assert_eq!(second.status(), 503);
            assert!(one.is_slow(), "it has left its permit");
            let quick = admission.admit(&two, 0.5, 1);
            assert!(quick.is_ok() && !two.is_slow());
            drop((slow, one));
            admission.admit(&turn(), 60.0, 1).expect("the lane is free again");
        });
        given.await.expect("no panic");
    }

    #[tokio::test]
    async fn a_stopping_service_lets_nobody_wait() {
        let admission =
            Admission::new(&ServiceConfig { concurrency: Some(1), ..Default::default() });
        let stop = CancellationToken::new();
        let _permit = admission.permit(admission.seat().expect("a seat"), &stop).await;
        stop.cancel();
        let waiting = admission.permit(admission.seat().expect("a seat"), &stop).await;
        assert_eq!(waiting.expect_err("stopping").status(), 503);
    }
}
