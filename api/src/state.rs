//! What every request shares: settings, places to compute, the word to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use isopleth_engine::output::Heads;
use isopleth_engine::{Cancel, FactorCache, FactorStore};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::account::Account;
use crate::body::Spill;
use crate::config::ServiceConfig;
use crate::doors::{Doors, DoorsError, audit};
use crate::error::ApiError;
use crate::grids::{Grids, GridsError};
use crate::jobs::Jobs;
use crate::limits::{Admission, Memory, Occupancy, Seat, Turn};
use crate::networks::Networks;
use crate::observe;
use crate::schedule::{Clock, Schedules};
use crate::sinks::SinkError;
use crate::sources::{self, SourceError};
use crate::store::{Store, StoreError};
use crate::watch::{Watch, traces};

/// Why there is no service.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing can be remembered.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A grid of the configuration is none.
    #[error(transparent)]
    Grids(#[from] GridsError),
    /// A schedule of the configuration makes no sense.
    #[error("setting schedules.{0}: {1}")]
    Schedule(String, String),
    /// A source of the configuration is none.
    #[error(transparent)]
    Sources(#[from] SourceError),
    /// A sink of the configuration makes no sense.
    #[error(transparent)]
    Sinks(#[from] SinkError),
    /// Nobody, or everybody, could come in.
    #[error(transparent)]
    Doors(#[from] DoorsError),
}

/// Shared by all requests; clones are cheap.
#[derive(Clone, Debug)]
pub struct AppState(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: ServiceConfig,
    grids: Grids,
    factors: FactorCache,
    heads: Heads,
    spill: Spill,
    networks: Networks,
    store: Store,
    jobs: Jobs,
    schedules: Schedules,
    clock: Clock,
    doors: Doors,
    watch: Watch,
    account: Account,
    since: Instant,
    admission: Admission,
    ready: AtomicBool,
    stop: CancellationToken,
}

impl AppState {
    /// The state of a service that is ready.
    ///
    /// # Errors
    /// If it cannot remember what it must, or the key of the configuration is none.
    pub fn new(config: ServiceConfig) -> Result<Self, StartError> {
        Self::with_clock(config, Clock::default())
    }

    /// The same, with another clock than the system's for whatever depends on the hour.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_clock(config: ServiceConfig, clock: Clock) -> Result<Self, StartError> {
        let kept = Store::open(config.data_dir.as_deref())?;
        let doors = Doors::new(&config, &kept)?;
        let grids = Grids::new(&config.grids)?;
        sources::check(&config.sources)?;
        config.sinks.iter().try_for_each(|(name, sink)| sink.check(name))?;
        let admission = Admission::new(&config);
        let store = config.factor_dir.as_ref().and_then(|folder| {
            let opened = FactorStore::open(folder, config.factor_dir_bytes);
            opened.inspect_err(|error| tracing::warn!(%error, "factor_dir is not used")).ok()
        });
        Ok(Self(Arc::new(Shared {
            networks: Networks::new(kept.clone()),
            jobs: Jobs::new(kept.folder())?,
            schedules: Schedules::default(),
            clock,
            store: kept,
            doors,
            watch: Watch::new(),
            account: Account::default(),
            since: Instant::now(),
            factors: FactorCache::new(config.factor_memory_bytes, store),
            heads: Heads::new(&config.spill_dir),
            spill: Spill::new(&config.spill_dir, config.maps_at_once() + config.queue_length),
            config,
            grids,
            admission,
            ready: AtomicBool::new(true),
            stop: CancellationToken::new(),
        })))
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ServiceConfig {
        &self.0.config
    }

    /// Gridded files that requests may name.
    pub(crate) fn grids(&self) -> &Grids {
        &self.0.grids
    }

    /// Factorisations of networks seen before.
    pub(crate) fn factors(&self) -> &FactorCache {
        &self.0.factors
    }

    /// Heads of files made before.
    pub(crate) fn heads(&self) -> &Heads {
        &self.0.heads
    }

    /// Registered networks.
    pub(crate) fn networks(&self) -> &Networks {
        &self.0.networks
    }

    /// What outlives a request, and the process where a folder is set.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Jobs of this process.
    pub(crate) fn jobs(&self) -> &Jobs {
        &self.0.jobs
    }

    /// What is made every hour.
    pub(crate) fn schedules(&self) -> &Schedules {
        &self.0.schedules
    }

    /// What time it is, for whatever depends on the hour.
    #[must_use]
    pub fn now(&self) -> jiff::Timestamp {
        self.0.clock.now()
    }

    /// Memory for a map that somebody waits for, once it is its turn among those that take as long.
    pub(crate) fn admit(&self, turn: &Turn, seconds: f64, bytes: u64) -> Result<Memory, ApiError> {
        let _span = traces::step("wait for memory").entered();
        self.0.admission.admit(turn, seconds, bytes)
    }

    /// The same for a job; none when it is to stop.
    pub(crate) fn memory_for_job(&self, bytes: u64, cancel: &Cancel) -> Option<Memory> {
        let _span = traces::step("wait for memory").entered();
        self.0.admission.memory_for_job(bytes, cancel)
    }

    /// Who may come in.
    pub(crate) fn doors(&self) -> &Doors {
        &self.0.doors
    }

    /// What was made, for whom, and what it took.
    pub(crate) fn account(&self) -> &Account {
        &self.0.account
    }

    /// What is counted.
    pub(crate) fn watch(&self) -> &Watch {
        &self.0.watch
    }

    /// Who computes and who waits.
    pub(crate) fn occupancy(&self) -> Occupancy {
        self.0.admission.occupancy()
    }

    /// How long the service is there.
    pub(crate) fn uptime(&self) -> Duration {
        self.0.since.elapsed()
    }

    /// Notes that the service begins, and with which settings.
    pub(crate) async fn began(&self, address: std::net::SocketAddr) {
        let config = serde_json::to_string(self.config()).unwrap_or_default();
        let about = format!("{address} {config}");
        let noted = self.store().written(move |tx| {
            audit::record(tx, "service", "began", &about).map_err(ApiError::from)
        });
        if let Err(error) = noted.await {
            tracing::warn!(?error, "the start is not in the audit log");
        }
    }

    /// Writes down what is counted by day, so that it outlives the process.
    pub(crate) async fn save_counts(&self) {
        let state = self.clone();
        let save = move || {
            state.doors().save(state.store());
            if let Err(error) = state.account().flush(state.store()) {
                tracing::warn!(%error, "the account cannot be written; it waits");
            }
        };
        let _ = tokio::task::spawn_blocking(save).await;
    }

    /// Whether new requests are welcome.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed)
    }

    /// New requests are no longer welcome; those in flight go on.
    pub fn close(&self) {
        self.0.ready.store(false, Ordering::Relaxed);
    }

    /// Stops everything that computes or waits.
    pub fn stop(&self) {
        self.0.stop.cancel();
        self.0.schedules.stop();
        self.0.jobs.stop();
    }

    /// Takes no more jobs; those that run are handed back after the block they are at.
    pub fn drain_jobs(&self) {
        self.0.schedules.stop();
        self.0.jobs.drain();
    }

    /// Resolves when nothing computes any more.
    pub async fn quiet(&self) {
        self.0.jobs.quiet().await;
        self.0.admission.quiet().await;
    }

    /// Receives a body, and takes a place for it.
    pub(crate) async fn seated<T>(
        &self,
        receiving: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<(Seat, T), ApiError> {
        self.0.admission.seated(receiving).await
    }

    /// Where large bodies go.
    pub(crate) fn spill(&self) -> &Spill {
        &self.0.spill
    }

    /// A place for a request without a body.
    pub(crate) fn seat(&self) -> Result<Seat, ApiError> {
        self.0.admission.seat()
    }

    /// A place to read a body while it comes, if one is free.
    pub(crate) fn place_to_read(&self) -> Option<OwnedSemaphorePermit> {
        self.0.admission.place_to_read()
    }

    /// Runs `job` on a thread of its own once it is its turn.
    ///
    /// Dropping the future (the client hung up) asks the job to stop; its place is free when it has.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        seat: Seat,
        job: impl FnOnce(&Turn) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let waiting = self.0.admission.permit(seat, &self.0.stop);
        let permit = waiting.instrument(traces::step("wait")).await?;
        let guard = CancelOnDrop(Cancel::default());
        let (cancel, [logged, traced]) = (guard.0.clone(), observe::spans());
        let mut thread = tokio::task::spawn_blocking(move || {
            let turn = Turn::new(permit, cancel);
            let _spans = (logged.entered(), traced.entered());
            let result = job(&turn);
            if turn.is_cancelled() {
                tracing::info!("stopped computing");
            }
            result
        });
        let ended = tokio::select! {
            ended = &mut thread => ended,
            () = self.0.stop.cancelled() => {
                guard.0.cancel();
                thread.await
            }
        };
        ended.unwrap_or_else(|panic| Err(ApiError::internal("the computation panicked", panic)))
    }
}

/// Lives as long as somebody waits for the result.
#[derive(Debug)]
pub(crate) struct CancelOnDrop(pub(crate) Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn state() -> AppState {
        let config = ServiceConfig { concurrency: Some(1), queue_length: 0, ..Default::default() };
        AppState::new(config).expect("a state")
    }

    #[tokio::test]
    async fn a_panic_while_computing_is_an_error_and_gives_the_place_back() {
        let state = state();
        let seat = state.seat().expect("a place");
        let result = state.compute(seat, |_| -> Result<(), ApiError> { panic!("a bug") }).await;
        assert_eq!(result.expect_err("it panicked").status(), 500);
        let seat = state.seat().expect("the place is free again");
        assert_eq!(state.compute(seat, |_| Ok(7)).await.ok(), Some(7));
    }

    #[tokio::test]
    async fn the_place_of_a_client_that_left_is_taken_until_the_thread_has_ended() {
        let state = state();
        let (began, has_begun) = mpsc::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let (ended, has_ended) = mpsc::channel();
        let waiting = {
            let (state, seat) = (state.clone(), state.seat().expect("a place"));
            tokio::spawn(async move {
                let job = move |cancel: &Turn| {
                    began.send(()).expect("the test waits");
                    may_end.recv().expect("the test says when");
                    ended.send(cancel.is_cancelled()).expect("the test waits");
                    Ok(())
                };
                state.compute(seat, job).await
            })
        };
        let has_begun = tokio::task::spawn_blocking(move || has_begun.recv());
        has_begun.await.expect("no panic").expect("it begins");
        waiting.abort();
        assert!(waiting.await.is_err_and(|e| e.is_cancelled()));
        assert_eq!(state.seat().expect_err("the thread still computes").status(), 503);
        end.send(()).expect("the thread waits");
        assert_eq!(has_ended.recv(), Ok(true), "the thread was asked to stop");
        state.quiet().await;
        assert!(state.seat().is_ok());
    }
}
