//! Threads to compute on, kept from run to run: making a pool takes longer than a small map.
//!
//! A pool serves one run at a time. Two runs in one pool could wait for each other: a thread that waits for a part
//! of its own work takes on other work meanwhile, and that of another run may wait for what the first one holds.

use std::sync::{Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::Error;

/// Pools that nobody uses just now, the one used last at the end.
static IDLE: Mutex<Vec<ThreadPool>> = Mutex::new(Vec::new());

/// So many threads wait for work at most; they sleep.
const IDLE_THREADS: usize = 64;

/// A pool lent to one run.
#[derive(Debug)]
pub(crate) struct Pool(Option<ThreadPool>);

/// So many threads that nobody else uses meanwhile.
///
/// # Errors
/// If the system gives no threads.
pub(crate) fn borrow(threads: usize) -> Result<Pool, Error> {
    let pool = match idle(threads) {
        Some(pool) => pool,
        None => ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|k| format!("isopleth-{k}"))
            .build()
            .map_err(|e| Error::Threads { threads, message: e.to_string() })?,
    };
    Ok(Pool(Some(pool)))
}

impl Pool {
    /// Does `work` on its threads.
    pub(crate) fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.0.as_ref().expect("it is there until it is dropped").install(work)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(give_back);
    }
}

fn idle(threads: usize) -> Option<ThreadPool> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = idle.iter().rposition(|pool| pool.current_num_threads() == threads)?;
    Some(idle.remove(fits))
}

fn give_back(pool: ThreadPool) {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    idle.push(pool);
    while idle.iter().map(ThreadPool::current_num_threads).sum::<usize>() > IDLE_THREADS {
        idle.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_pool_has_the_threads_asked_for_and_one_run_at_a_time() {
        let on =
            |pool: &Pool| pool.install(|| (rayon::current_num_threads(), thread::current().id()));
        let (one, other) = (borrow(1).unwrap(), borrow(1).unwrap());
        let (first, second) = (on(&one), on(&other));
        assert_eq!((first.0, second.0), (1, 1));
        assert_ne!(first.1, second.1);
        assert_eq!(on(&borrow(3).unwrap()).0, 3);
        drop(one);
        // Others may take it, and give it back.
        assert_eq!(on(&borrow(1).unwrap()).0, 1);
    }

    #[test]
    fn a_panic_reaches_whoever_asked_and_the_pool_goes_on() {
        let pool = borrow(2).unwrap();
        let bug = || pool.install(|| panic!("a bug"));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(bug));
        assert!(panicked.is_err());
        assert_eq!(pool.install(|| 7), 7);
    }
}
