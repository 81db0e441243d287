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

/// Does `work` on so many threads of its own.
///
/// # Errors
/// If the system gives no threads.
pub(crate) fn with_threads<T: Send>(
    threads: usize,
    work: impl FnOnce() -> T + Send,
) -> Result<T, Error> {
    let pool = match idle(threads) {
        Some(pool) => pool,
        None => ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|k| format!("isopleth-{k}"))
            .build()
            .map_err(|e| Error::Threads { threads, message: e.to_string() })?,
    };
    // Of a panic nothing comes back, the pool neither: its threads end.
    let done = pool.install(work);
    give_back(pool);
    Ok(done)
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
        let on = |threads| {
            with_threads(threads, || (rayon::current_num_threads(), thread::current().id()))
        };
        let (first, second) = (on(3).unwrap(), on(3).unwrap());
        assert_eq!((first.0, second.0), (3, 3));
        assert_eq!(on(2).unwrap().0, 2);
        let nested = with_threads(3, || {
            let here = thread::current().id();
            let within = on(3).unwrap();
            (here, within.1)
        });
        let (outside, inside) = nested.unwrap();
        assert_ne!(outside, inside);
    }

    #[test]
    fn a_panic_reaches_whoever_asked_and_leaves_the_others_alone() {
        let panicked = thread::spawn(|| with_threads(2, || panic!("a bug"))).join();
        assert!(panicked.is_err());
        assert_eq!(with_threads(2, || 7).unwrap(), 7);
    }
}
