//! A request becomes a job: its body is kept, its plan made and weighed, its row inserted.

use isopleth_engine::{Cancel, Plan, Targets, machine};
use rusqlite::Transaction;

use super::model::Lane;
use super::store::{self, NewJob};
use super::{Asked, Form, Job, Process, Task, hooks, new_id};
use crate::doors::Caller;
use crate::error::ApiError;
use crate::intake::{Kept, OfNetwork, Received};
use crate::routes::deliver::keep_json_small;
use crate::state::AppState;

/// What comes beside the body.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// Whose job it is.
    pub(crate) owner: String,
    /// Who pays for its cells.
    pub(crate) caller: Caller,
    /// The query as it came.
    pub(crate) query: String,
    pub(crate) idempotency_key: Option<String>,
    /// Whom to tell of the end.
    pub(crate) webhook: Option<String>,
    /// The registered network that it is a map of.
    pub(crate) network: Option<OfNetwork>,
    /// In whose name the job leaves a row in the account; none: it leaves none.
    pub(crate) account: Option<String>,
}

/// What became of it.
pub(crate) enum Submission {
    /// A job; an old one where the idempotency key was known.
    Job(Box<Job>),
    /// The map is none for a job: what was received, to be answered at once.
    AtOnce(Received),
}

/// Keeps the body, weighs the map, and inserts a job. Blocks: for a thread that computes.
///
/// # Errors
/// As for a map that is made at once; 422 for an idempotency key of another request; 503 with
/// `Retry-After` where the queue is full.
pub(crate) fn submit(
    state: &AppState,
    received: Received,
    wish: &Wish,
    cancel: &Cancel,
) -> Result<Submission, ApiError> {
    if let Some(url) = &wish.webhook {
        hooks::check(state.config(), url)?;
    }
    let (submitted, digests) = {
        // Until the job has its row, nobody may take its inputs for those of a job that ended.
        let _inputs_stay = state.jobs().inputs_stay();
        let inputs = state.jobs().inputs();
        let mut kept = received.keep(&wish.query, &inputs)?;
        if let Some(of) = &wish.network {
            kept = of.keep(kept, &inputs)?;
        }
        let digests = kept.digests();
        (weigh(state, kept, wish, cancel), digests)
    };
    // Of a request that became no job.
    state.store().write(|tx| state.jobs().remove_unneeded(tx, &digests))?;
    if matches!(submitted, Ok(Submission::Job(_))) {
        state.jobs().wake.notify_waiters();
    }
    submitted
}

fn weigh(
    state: &AppState,
    kept: Kept,
    wish: &Wish,
    cancel: &Cancel,
) -> Result<Submission, ApiError> {
    let inputs = state.jobs().inputs();
    let request = serde_json::to_string(&kept)
        .map_err(|error| ApiError::internal("the request cannot be kept", error))?;
    let fingerprint = kept.fingerprint()?;
    if let Some(key) = &wish.idempotency_key {
        let known = state.store().read(|c| store::by_idempotency_key(c, &wish.owner, key))?;
        if let Some(known) = known {
            return the_same(known, &fingerprint, key).map(Submission::Job);
        }
    }
    let pointing = kept.pointing();
    let (process, understood, wanted) = kept.clone().wanted(state, &inputs, cancel)?;
    if let Some(url) = &wanted.subscriber {
        hooks::check(state.config(), url)?;
    }
    let task = Task::of(state, process, understood).map_err(pointing)?;
    let execution = matches!(kept, Kept::Execution { .. });
    if !execution && matches!(task.plan.targets, Targets::Points(_)) {
        return kept.open(&inputs).map(Submission::AtOnce);
    }
    check_form(state, &task, &wanted.asked)?;
    if process != Process::Crossvalidation {
        let values = task.plan.estimate.cells.saturating_mul(task.plan.estimate.fields);
        wish.caller.spend(state.store(), values)?;
    }
    let webhook = wish.webhook.as_deref().or(wanted.subscriber.as_deref());
    let wish = Wish { webhook: webhook.map(str::to_owned), ..wish.clone() };
    let job = insert(state, &task, &kept, &wish, (&request, &fingerprint, &wanted.asked))?;
    Ok(Submission::Job(Box::new(job)))
}

/// What cannot come in the form that is asked for is refused before it is made.
fn check_form(state: &AppState, task: &Task, asked: &Asked) -> Result<(), ApiError> {
    if asked.form(task.process)? == Form::Json && task.process == Process::Points {
        keep_json_small(state, &task.plan)?;
    }
    Ok(())
}

fn the_same(known: Job, fingerprint: &str, key: &str) -> Result<Box<Job>, ApiError> {
    if known.fingerprint == fingerprint {
        return Ok(Box::new(known));
    }
    Err(ApiError::meaningless(format!(
        "the Idempotency-Key `{key}` came with another request before (job {}); a key is for one \
         request, its body and its query",
        known.id
    )))
}

fn insert(
    state: &AppState,
    task: &Task,
    kept: &Kept,
    wish: &Wish,
    (request, fingerprint, asked): (&str, &str, &Asked),
) -> Result<Job, ApiError> {
    let (config, estimate) = (state.config(), task.plan.estimate);
    let lane =
        if estimate.seconds <= config.interactive_seconds { Lane::Interactive } else { Lane::Long };
    let (id, map, digests) = (new_id()?, new_id()?, kept.digests());
    let new = NewJob {
        id: &id,
        owner: &wish.owner,
        lane,
        request,
        fingerprint,
        idempotency_key: wish.idempotency_key.as_deref(),
        fields: estimate.fields,
        cells: task.cells(),
        predicted_seconds: estimate.seconds,
        predicted_bytes: beyond_now(&task.plan),
        map: &map,
        inputs: &digests,
        webhook: wish.webhook.as_deref(),
        process: task.process,
        asked,
        account: wish.account.as_deref(),
    };
    state.store().write(|tx| {
        if let Some(key) = &wish.idempotency_key
            && let Some(known) = store::by_idempotency_key(tx, &wish.owner, key)?
        {
            return the_same(known, fingerprint, key).map(|job| *job);
        }
        enter(state, tx, &new)
    })
}

/// Puts a job into the queue, if there is room.
pub(super) fn enter(
    state: &AppState,
    tx: &Transaction<'_>,
    new: &NewJob<'_>,
) -> Result<Job, ApiError> {
    let config = state.config();
    if store::waiting(tx)? >= config.job_queue_length {
        let what = format!("{} jobs wait already", config.job_queue_length);
        return Err(ApiError::busy(&what, config.queue_wait_seconds.max(10)));
    }
    if state.jobs().inputs().enter(tx, new.inputs)? > config.inputs_max_bytes {
        let what = "the readings of jobs that wait fill the room there is for them";
        return Err(ApiError::busy(what, config.queue_wait_seconds.max(10)));
    }
    store::insert(tx, new)?;
    let job = store::get(tx, Some(new.owner), new.id)?;
    job.ok_or_else(|| ApiError::internal("the job is not there", "inserted just now"))
}

/// Memory that a run adds to what the process has already.
pub(crate) fn beyond_now(plan: &Plan) -> u64 {
    plan.estimate.peak_memory_bytes.saturating_sub(machine::resident_bytes())
}
