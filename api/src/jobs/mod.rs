//! Large maps as jobs: accepted, queued, made block by block, kept for a while.
//!
//! ```text
//!            submit              take                    end
//!  request ─────────▶ accepted ────────▶ running ─────────────────▶ successful | failed
//!                        ▲                  │ hand back (stopping, a disk that is full, a holder that died)
//!                        └──────────────────┘
//!  DELETE: accepted | running ──▶ dismissed;  of an ended job: its result is removed, then dismissed
//! ```
//!
//! Who may change what:
//!
//! - **submit** (a request) inserts `accepted`; the row, its inputs' names and its webhook are one transaction.
//! - **take** (a lane of a process) makes it `running` under a new *token*, with a *lease* and the process's name as
//!   holder, and counts the attempt. From then on a row is changed only by a statement that names that token, so an
//!   attempt that lost its lease cannot write the end.
//! - the **keeper** of the holder renews the lease, and cancels an attempt whose row is no longer its own.
//! - **end** (the attempt) writes the map's row, the job's state and the webhook's due time in one transaction,
//!   after the file is in its place under its final name.
//! - any process **hands back** a running job whose holder is dead: its lock file is free, or its lease is over.
//!
//! What a restart does: every job of the dead process is accepted again and goes on from its blocks' records
//! (`isopleth_engine::blocks`); its file has the same bytes as if nothing had happened. An attempt that completed no
//! block counts; after `job_attempts` of those in a row the job has failed, and the others go on. The disk full, say,
//! does not count: the job waits and tries again for `job_patience_seconds`.
//!
//! Files, all in `data_dir`: `inputs/` by digest, `work/` by job, `maps/` by map, `holders/` by process. What has no
//! row in the database is removed by the keeper.
//!
//! A job is of a map, which is made block by block, or of values at places or a cross-validation: these are short,
//! one block each (`whole`), and begun again after a crash; their file appears whole or not at all.

mod attempt;
mod dismiss;
mod forms;
pub(crate) mod heads;
mod holder;
pub(crate) mod hooks;
mod inputs;
mod keeper;
mod keeping;
mod model;
mod process;
pub mod results;
mod runner;
pub mod search;
mod slots;
mod store;
mod strays;
mod submit;
mod task;
mod whole;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

use isopleth_engine::Cancel;
use rusqlite::Transaction;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::error::ApiError;
use crate::store::StoreError;
pub(crate) use dismiss::dismiss;
pub(crate) use forms::{Asked, Form};
use holder::Holder;
pub(crate) use inputs::Inputs;
pub(crate) use keeper::remove_file;
pub(crate) use keeping::NewMap;
pub(crate) use model::{Job, State};
pub(crate) use process::Process;
pub use runner::start;
pub(crate) use slots::SlotJob;
pub(crate) use store::{Census, Filter, by_id, census, get, list, queue_position};
pub(crate) use submit::{Submission, Wish, beyond_now, submit};
pub(crate) use task::Task;
pub(crate) use whole::errors;

/// The table of jobs and those it refers to.
pub(crate) const SCHEMA: &str = include_str!("schema.sql");

/// What a job is of, since there are others than maps.
pub(crate) const OTHER_PROCESSES: &str = include_str!("processes.sql");

/// Jobs of this process.
#[derive(Debug)]
pub(crate) struct Jobs {
    folder: PathBuf,
    holder: Holder,
    running: Mutex<HashMap<String, Arc<Running>>>,
    /// A job may have become ready to run, or a webhook due.
    pub(crate) wake: Notify,
    /// No more jobs are taken; those that run are handed back after their block.
    drain: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Places for those who listen to events.
    listeners: Arc<Semaphore>,
    /// Read by whoever has kept inputs that no row names yet, written by whoever removes some.
    inputs_stay: RwLock<()>,
}

/// Listeners to events at once, of all jobs.
const MOST_LISTENERS: usize = 256;

/// An attempt under way in this process.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) token: i64,
    pub(crate) cancel: Cancel,
    began: Instant,
    /// Values done: when this attempt began to compute, and now.
    before: AtomicU64,
    done: AtomicU64,
}

impl Running {
    pub(crate) fn new(token: i64) -> Self {
        let (before, done) = (AtomicU64::new(u64::MAX), AtomicU64::new(0));
        Self { token, cancel: Cancel::default(), began: Instant::now(), before, done }
    }

    pub(crate) fn tell(&self, done: u64) {
        self.before.fetch_min(done, Ordering::Relaxed);
        self.done.fetch_max(done, Ordering::Relaxed);
    }

    /// Values done, and seconds left by what this attempt has done so far.
    #[expect(clippy::cast_precision_loss, reason = "an estimate needs no 53 bits")]
    pub(crate) fn progress(&self, total: u64) -> (u64, Option<f64>) {
        let (before, done) =
            (self.before.load(Ordering::Relaxed), self.done.load(Ordering::Relaxed));
        let here = done.saturating_sub(before);
        let left = total.saturating_sub(done) as f64;
        let seconds = self.began.elapsed().as_secs_f64();
        (done, (here > 0).then(|| seconds * left / here as f64))
    }
}

impl Jobs {
    /// # Errors
    /// If the folders cannot be made.
    pub(crate) fn new(folder: &Path) -> Result<Self, StoreError> {
        let fail = |source| StoreError::Folder { folder: folder.to_owned(), source };
        for name in ["inputs", "work", "maps", "holders"] {
            std::fs::create_dir_all(folder.join(name)).map_err(fail)?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            holder: Holder::new(&folder.join("holders")).map_err(fail)?,
            running: Mutex::default(),
            wake: Notify::new(),
            drain: CancellationToken::new(),
            tasks: Mutex::default(),
            listeners: Arc::new(Semaphore::new(MOST_LISTENERS)),
            inputs_stay: RwLock::default(),
        })
    }

    pub(crate) fn inputs(&self) -> Inputs {
        Inputs::new(self.folder.join("inputs"))
    }

    /// While this is held no input is removed.
    pub(crate) fn inputs_stay(&self) -> RwLockReadGuard<'_, ()> {
        self.inputs_stay.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the inputs of a request that is over, unless another needs them. Where some are just being
    /// kept, that is left to the keeper.
    pub(crate) fn remove_unneeded(
        &self,
        tx: &Transaction<'_>,
        digests: &[String],
    ) -> Result<(), ApiError> {
        match self.inputs_stay.try_write() {
            Ok(_alone) => self.inputs().remove_unneeded(tx, digests),
            Err(_) => Ok(()),
        }
    }

    fn work_of(&self, job: &str) -> PathBuf {
        self.folder.join("work").join(job)
    }

    /// Where the file of a map is.
    pub(crate) fn map_file(&self, path: &str) -> PathBuf {
        self.folder.join("maps").join(path)
    }

    /// The attempt at a job, if it is this process that makes it.
    pub(crate) fn attempt(&self, job: &str) -> Option<Arc<Running>> {
        self.lock().get(job).cloned()
    }

    /// A place for a listener.
    pub(crate) fn listen(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let place = Arc::clone(&self.listeners).try_acquire_owned();
        place.map_err(|_| ApiError::busy("too many listen to events already; ask instead", 10))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This process, among those that share the folder.
    pub(crate) fn holder(&self) -> &str {
        &self.holder.name
    }

    /// Whether a process of that name lives.
    pub(crate) fn lives(&self, holder: &str) -> bool {
        self.holder.lives(holder)
    }

    /// Resolved when the service takes nothing more upon itself.
    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.drain
    }

    /// A task that [`quiet`](Self::quiet) waits for.
    pub(crate) fn look_after(&self, task: JoinHandle<()>) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Takes no more jobs, and hands back those that run after the block they are at.
    pub(crate) fn drain(&self) {
        self.drain.cancel();
    }

    /// Resolves when no more jobs are taken.
    pub(crate) async fn drained(&self) {
        self.drain.cancelled().await;
    }

    /// Does not wait for the end of their blocks.
    pub(crate) fn stop(&self) {
        self.drain.cancel();
        self.lock().values().for_each(|running| running.cancel.cancel());
    }

    /// Resolves when nothing runs any more.
    pub(crate) async fn quiet(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // A panic of a task is in the log.
            let _ = task.await;
        }
    }
}

/// 128 random bits as text.
fn new_id() -> Result<String, ApiError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| ApiError::internal("no random number for a name", error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether a text can be such a name.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Seconds since 1970.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
