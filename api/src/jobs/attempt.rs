//! One attempt at a job: from its inputs to its result, a map block by block, on a thread of its own.

use std::fs;
use std::sync::Arc;

use isopleth_engine::blocks::{BlockSize, Work, WorkError, Worker};
use isopleth_engine::observations::UnixSeconds;
use isopleth_engine::output::Provenance;
use isopleth_engine::report::StageReport;
use isopleth_engine::{Cancel, Error, Event, Kind, Plan, Progress, Report};

use super::keeping::Finished;
use super::results;
use super::submit::beyond_now;
use super::{Job, Process, Running, State, Task, heads, keeper, now, store, whole};
use crate::account::{Usage, shortened};
use crate::error::ApiError;
use crate::intake::Kept;
use crate::routes::timed;
use crate::schedule;
use crate::state::AppState;
use crate::watch::traces;

/// Waits after a failure of the machine: seconds, doubled each time, at most.
const FIRST_WAIT: i64 = 5;
const LONGEST_WAIT: i64 = 600;

/// Why an attempt ended without a map.
enum Stopped {
    /// No attempt will make one.
    Failed(ApiError),
    /// The machine failed: a disk is full, a thread does not start.
    Stumbled(ApiError),
    /// The service is stopping, or another process still works in the folder.
    HandedBack(&'static str),
    /// The job is no longer this attempt's.
    Lost,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        match error.kind() {
            Kind::Cancelled => Self::HandedBack("the service stopped meanwhile"),
            Kind::Io => Self::Stumbled(error.into()),
            Kind::BadInput | Kind::Limit => Self::Failed(error.into()),
        }
    }
}

impl From<rusqlite::Error> for Stopped {
    fn from(error: rusqlite::Error) -> Self {
        Self::Stumbled(error.into())
    }
}

/// Makes the map and writes the end, or why there is none.
pub(super) fn make(state: &AppState, job: &Job, running: &Arc<Running>) {
    let name = (job.id.as_str(), job.token);
    let mut told = Usage::default();
    let written = if job.attempts > state.config().job_attempts {
        // It was counted when it was taken, so that a job that ends the process is told by its count.
        let error = too_often(job.attempts - 1, "the service ended meanwhile");
        fail(state, name, &error, None)
    } else {
        match attempt(state, job, running, &mut told) {
            Ok(()) => Ok(()),
            Err(Stopped::Failed(error)) => fail(state, name, &error, Some(&told)),
            Err(Stopped::Stumbled(error)) => stumble(state, job, &error, &told),
            Err(Stopped::HandedBack(why)) => {
                state.store().write(|tx| store::hand_back(tx, name, false, why)).map(drop)
            }
            Err(Stopped::Lost) => Ok(()),
        }
    };
    if let Err(error) = written {
        tracing::error!(job = job.id, %error, "the end of the attempt could not be written");
    }
    if let Err(error) = clear(state, job) {
        tracing::error!(job = job.id, problem = ?error, "what an ended job left could not be removed");
    }
    state.jobs().wake.notify_waiters();
    if job.owner.starts_with(schedule::OWNER) {
        state.schedules().job_ended();
    }
}

/// Books an attempt that ended without a word: it is counted already.
pub(super) fn crashed(
    state: &AppState,
    name: (&str, i64),
    attempts: u32,
    what: &str,
) -> Result<(), ApiError> {
    if attempts >= state.config().job_attempts {
        fail(state, name, &too_often(attempts, what), None)?;
        // Nobody else will: whoever ran it has ended.
        let job = state.store().read(|c| store::by_id(c, name.0))?;
        return job.map_or(Ok(()), |job| clear(state, &job));
    }
    let message = format!("{what}; attempt {attempts} completed no block, another follows");
    state.store().write(|tx| store::hand_back(tx, name, true, &message))?;
    Ok(())
}

fn too_often(attempts: u32, what: &str) -> ApiError {
    let cause = format!("{attempts} attempts, each without completing a block: {what}");
    let public = format!("the job was given up after {attempts} attempts that completed no block");
    ApiError::internal(&public, cause)
}

fn fail(
    state: &AppState,
    name: (&str, i64),
    error: &ApiError,
    told: Option<&Usage>,
) -> rusqlite::Result<()> {
    let problem = error.problem();
    let text = serde_json::to_string(&problem).unwrap_or_default();
    tracing::warn!(job = name.0, ?error, "failed");
    let end = |tx: &rusqlite::Transaction<'_>| {
        store::end(tx, name, State::Failed, &problem.detail, Some(&text), told)
    };
    if state.store().write(end)? {
        let job = state.store().read(|c| store::by_id(c, name.0))?;
        job.iter().for_each(|job| state.watch().job_ended(job.process, State::Failed));
        job.iter().for_each(|job| count(state, job));
    }
    Ok(())
}

/// Counts an end that is written, where it has left a row in the account.
pub(super) fn count(state: &AppState, job: &Job) {
    if let (Some(finished), true) = (job.finished, job.account.is_some()) {
        state.account().job_ended(finished * 1000);
    }
}

/// The machine may be mended: the job waits, longer each time, until its patience ends.
fn stumble(state: &AppState, job: &Job, error: &ApiError, told: &Usage) -> rusqlite::Result<()> {
    let patience = i64::try_from(state.config().job_patience_seconds).unwrap_or(i64::MAX);
    let name = (job.id.as_str(), job.token);
    if now().saturating_sub(job.created) > patience {
        return fail(state, name, error, Some(told));
    }
    let wait = (FIRST_WAIT << job.stumbles.min(10)).min(LONGEST_WAIT);
    tracing::warn!(job = job.id, ?error, wait, "the machine failed; the job waits");
    let message = format!("{}; tries again after {wait} s", error.problem().detail);
    state.store().write(|tx| store::postpone(tx, name, wait, &message)).map(drop)
}

/// Removes the work and the inputs of a job that has ended, whoever ended it.
pub(super) fn clear(state: &AppState, job: &Job) -> Result<(), ApiError> {
    let now = state.store().read(|c| store::get(c, Some(&job.owner), &job.id))?;
    let ended = now.map_or(State::Dismissed, |job| job.state);
    if !ended.is_final() {
        return Ok(());
    }
    if ended != State::Successful {
        // Of an end that came while the file was put together.
        let _ = fs::remove_file(state.jobs().map_file(&job.file()));
    }
    let failed = |error| ApiError::internal("work cannot be removed", error);
    match fs::remove_dir_all(state.jobs().work_of(&job.id)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let kept: Option<Kept> = serde_json::from_str(&job.request).ok();
    let digests = kept.map(|kept| kept.digests()).unwrap_or_default();
    state.store().write(|tx| state.jobs().remove_unneeded(tx, &digests))?;
    keeper::remove_old_results(state)
}

impl From<whole::Failed> for Stopped {
    fn from(failed: whole::Failed) -> Self {
        match failed {
            whole::Failed::Engine(error) => error.into(),
            whole::Failed::Answer(error) if error.status().is_server_error() => {
                Self::Stumbled(error)
            }
            whole::Failed::Answer(error) => Self::Failed(error),
        }
    }
}

fn attempt(
    state: &AppState,
    job: &Job,
    running: &Arc<Running>,
    told: &mut Usage,
) -> Result<(), Stopped> {
    let _span = traces::attempt(&job.id, job.attempts).entered();
    let cancel = &running.cancel;
    let kept: Kept = serde_json::from_str(&job.request)
        .map_err(|error| Stopped::Failed(ApiError::internal("the request is lost", error)))?;
    let network = kept.network().map(str::to_owned);
    let (mut task, reading) = understood(state, kept, cancel)?;
    told.planned(&task.plan);
    told.network = network.as_deref().map(shortened);
    told.format = Some(job.form().name().into());
    let memory = state.memory_for_job(beyond_now(&task.plan), cancel);
    let Some(_memory) = memory else { return Err(Error::Cancelled.into()) };
    let _until_made = state.watch().planned(&task.plan.estimate);
    let stages = traces::Stages::new();
    let on_event = |event| {
        stages.tell(event);
        if let Event::Values { done, .. } = event {
            running.tell(done);
        }
    };
    let progress = Progress { on_event: &on_event, cancel };
    let (report, bounds) = if job.process == Process::Map {
        let report = by_blocks(state, job, &mut task.plan, progress)?;
        (report, task.plan.targets.bounds())
    } else {
        book(state, job, 1, 0, false)?;
        let file = state.jobs().map_file(&job.file());
        let made = whole::make(&task, job.form(), &file, progress, state.factors())?;
        book(state, job, 1, 1, true)?;
        (made.report, made.bounds)
    };
    let of = Finished {
        id: &job.map,
        job: Some(&job.id),
        network,
        owner: &job.owner,
        path: job.file(),
        form: job.form().name(),
        bounds,
    };
    let row = of.row(state, &task.plan, &report).map_err(Stopped::Stumbled)?;
    told.made(&report);
    told.read(&reading);
    told.weighed();
    let name = (job.id.as_str(), job.token);
    let message = format!("{} {} there", job.process.result(), job.process.verb());
    let ended = state.store().write(|tx| {
        let ended = store::end(tx, name, State::Successful, &message, None, Some(&*told))?;
        if ended {
            results::insert(tx, &row)?;
        }
        Ok::<_, rusqlite::Error>(ended)
    })?;
    if !ended {
        // Dismissed at the last moment; or another attempt has its lease, and writes the same bytes.
        return Err(Stopped::Lost);
    }
    state.watch().job_ended(job.process, State::Successful);
    let written = state.store().read(|c| store::by_id(c, &job.id))?;
    written.iter().for_each(|job| count(state, job));
    if job.process == Process::Map {
        let network = row.network.as_deref().unwrap_or_default();
        state.watch().mapped(&task.plan.estimate, &report, network);
        if let Err(error) = heads::fill(state, || false) {
            tracing::warn!(
                job = job.id,
                ?error,
                "what the map is of is found out when somebody asks"
            );
        }
    }
    tracing::info!(job = job.id, map = job.map, bytes = row.bytes, "successful");
    Ok(())
}

/// The request read again, and planned.
fn understood(
    state: &AppState,
    kept: Kept,
    cancel: &Cancel,
) -> Result<(Task, StageReport), Stopped> {
    let pointing = kept.pointing();
    let wanted = timed(|| kept.wanted(state, &state.jobs().inputs(), cancel));
    let task = wanted.and_then(|((process, understood, _), reading)| {
        let task = Task::of(state, process, understood).map_err(pointing)?;
        Ok((task, reading))
    });
    cancel.check()?;
    task.map_err(|error| match error.status().is_server_error() {
        true => Stopped::Stumbled(error),
        false => Stopped::Failed(error),
    })
}

/// Makes a map block by block, those done before left out.
fn by_blocks(
    state: &AppState,
    job: &Job,
    plan: &mut Plan,
    progress: Progress<'_>,
) -> Result<Report, Stopped> {
    let work = open(state, job, plan)?;
    let mut worker = Worker::new(&work, plan, state.factors(), progress)?;
    let file = state.jobs().map_file(&job.file());
    book(state, job, work.blocks(), work.done(), false)?;
    loop {
        for block in 0..work.blocks() {
            if state.jobs().drain.is_cancelled() {
                return Err(Stopped::HandedBack("the service stopped meanwhile"));
            }
            if worker.run_block(block)? {
                tracing::debug!(job = job.id, block, "block done");
                book(state, job, work.blocks(), work.done(), true)?;
            }
        }
        if let Some(report) = worker.assemble(&file)? {
            return Ok(report);
        }
        tracing::warn!(job = job.id, "blocks were damaged, and are computed again");
    }
}

/// How the job was asked for, as the file tells it.
fn how_asked(job: &Job) -> String {
    match serde_json::from_str(&job.request) {
        Ok(Kept::Execution { .. }) => "POST /processes/map/execution".to_owned(),
        Ok(kept @ Kept::Network { .. }) => {
            format!("POST /v1/networks/{}/maps", kept.network().unwrap_or_default())
        }
        Ok(Kept::Slot(_)) => {
            format!("schedule {}", job.owner.trim_start_matches(schedule::OWNER))
        }
        _ => "POST /v1/maps".to_owned(),
    }
}

/// Opens the work of before; what another version or another machine began is begun again.
fn open(state: &AppState, job: &Job, plan: &mut Plan) -> Result<Work, Stopped> {
    let folder = state.jobs().work_of(&job.id);
    let provenance = Provenance {
        // The file tells when it was asked for, whenever it is made.
        created: UnixSeconds(job.created),
        ..Provenance::now(format!("{} (job {})", how_asked(job), job.id))
    };
    let size = BlockSize { fewest_values: state.config().job_block_values };
    match Work::open(&folder, plan, &provenance, size) {
        Err(Error::Work(WorkError::InUse { .. })) => {
            Err(Stopped::HandedBack("another attempt is about to end"))
        }
        Err(Error::Work(error @ (WorkError::Foreign { .. } | WorkError::Damaged { .. }))) => {
            tracing::warn!(job = job.id, %error, "begun again");
            fs::remove_dir_all(&folder).map_err(|error| {
                Stopped::Stumbled(ApiError::internal("old work cannot be removed", error))
            })?;
            Ok(Work::open(&folder, plan, &provenance, size)?)
        }
        other => Ok(other?),
    }
}

fn book(
    state: &AppState,
    job: &Job,
    blocks: usize,
    done: usize,
    completed: bool,
) -> Result<(), Stopped> {
    let name = (job.id.as_str(), job.token);
    let mine = state.store().write(|tx| store::progress(tx, name, blocks, done, completed))?;
    if mine { Ok(()) } else { Err(Stopped::Lost) }
}
