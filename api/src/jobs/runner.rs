//! The lanes: tasks that take jobs, one after the other, and the keeper beside them.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::model::{Job, Lane};
use super::{Running, attempt, hooks, keeper, store};
use crate::error::ApiError;
use crate::state::AppState;

/// How often a lane looks for work that nobody told it of: another process's, or a job whose time to wait
/// is over.
const POLL: Duration = Duration::from_secs(1);

/// Begins to run jobs: `job_concurrency` at once, and one small one beside them. On a runtime of tokio.
pub fn start(state: &AppState) {
    let concurrency = state.config().job_concurrency;
    let long = std::iter::repeat_n(Lane::Long, concurrency);
    let mut tasks: Vec<JoinHandle<()>> = (concurrency > 0)
        .then_some(Lane::Interactive)
        .into_iter()
        .chain(long)
        .map(|lane| tokio::spawn(run_lane(state.clone(), lane)))
        .collect();
    tasks.push(tokio::spawn(keeper::keep(state.clone())));
    tasks.push(tokio::spawn(hooks::deliver(state.clone())));
    let mut all = state.jobs().tasks.lock().unwrap_or_else(PoisonError::into_inner);
    all.extend(tasks);
}

async fn run_lane(state: AppState, lane: Lane) {
    let jobs = state.jobs();
    while !jobs.drain.is_cancelled() {
        match take(&state, lane).await {
            Ok(Some(job)) => run(&state, job).await,
            Ok(None) => {
                tokio::select! {
                    () = jobs.wake.notified() => (),
                    () = tokio::time::sleep(POLL) => (),
                    () = jobs.drain.cancelled() => (),
                }
            }
            Err(error) => {
                tracing::error!(problem = ?error, "no job can be taken");
                tokio::time::sleep(POLL).await;
            }
        }
    }
}

async fn take(state: &AppState, lane: Lane) -> Result<Option<Job>, ApiError> {
    // Most looks find nothing, and need not wait for the writer.
    let any = state.store().looked_up(move |c| Ok(store::any_waiting(c, lane)?)).await?;
    if !any {
        return Ok(None);
    }
    let holder = state.jobs().holder.name.clone();
    state.store().written(move |tx| Ok(store::take(tx, lane, &holder)?)).await
}

async fn run(state: &AppState, job: Job) {
    let running = Arc::new(Running::new(job.token));
    state.jobs().lock().insert(job.id.clone(), Arc::clone(&running));
    let (id, token, attempts) = (job.id.clone(), job.token, job.attempts);
    tracing::info!(job = id, attempt = attempts, lane = job.lane.name(), "taken");
    let shared = state.clone();
    let ended = tokio::task::spawn_blocking(move || attempt::make(&shared, &job, &running)).await;
    if let Err(panic) = ended {
        tracing::error!(job = id, %panic, "the attempt panicked");
        let shared = state.clone();
        let of = id.clone();
        let told = tokio::task::spawn_blocking(move || {
            attempt::crashed(&shared, (&of, token), attempts, "the computation panicked")
        });
        let _ = told.await;
    }
    state.jobs().lock().remove(&id);
}
