//! Jobs of schedules: their readings are looked at between keeping and planning, and their rows are inserted by
//! whoever changes the slot, in the same transaction.

use isopleth_engine::{Cancel, Targets};
use rusqlite::Transaction;

use super::model::Lane;
use super::store::NewJob;
use super::submit::{beyond_now, enter};
use super::{Asked, Job, Process, Task, new_id};
use crate::error::ApiError;
use crate::intake::{Kept, Understood};
use crate::state::AppState;

/// A job that is about to be entered.
#[derive(Debug)]
pub(crate) struct SlotJob {
    pub(crate) id: String,
    map: String,
    task: Task,
    request: String,
    fingerprint: String,
    digests: Vec<String>,
}

impl SlotJob {
    /// Reads what was kept.
    ///
    /// # Errors
    /// As for a map that is made at once.
    pub(crate) fn read(
        state: &AppState,
        kept: &Kept,
        cancel: &Cancel,
    ) -> Result<Understood, ApiError> {
        let (_, understood, _) = kept.clone().wanted(state, &state.jobs().inputs(), cancel)?;
        Ok(understood)
    }

    /// Plans and weighs.
    ///
    /// # Errors
    /// As for a map that is made at once.
    pub(crate) fn plan(
        state: &AppState,
        kept: &Kept,
        understood: Understood,
    ) -> Result<Self, ApiError> {
        let task = Task::of(state, Process::Map, understood)?;
        if matches!(task.plan.targets, Targets::Points(_)) {
            let text = "a schedule makes maps on a grid, not values at points";
            return Err(ApiError::meaningless(text).at_pointer("/map/points"));
        }
        let request = serde_json::to_string(kept)
            .map_err(|error| ApiError::internal("the request cannot be kept", error))?;
        Ok(Self {
            id: new_id()?,
            map: new_id()?,
            task,
            request,
            fingerprint: kept.fingerprint()?,
            digests: kept.digests(),
        })
    }

    /// Puts it into the queue.
    ///
    /// # Errors
    /// 503 where the queue is full.
    pub(crate) fn enter(
        &self,
        state: &AppState,
        tx: &Transaction<'_>,
        owner: &str,
        key: &str,
    ) -> Result<Job, ApiError> {
        let (config, plan) = (state.config(), &self.task.plan);
        let short = plan.estimate.seconds <= config.interactive_seconds;
        enter(
            state,
            tx,
            &NewJob {
                id: &self.id,
                owner,
                lane: if short { Lane::Interactive } else { Lane::Long },
                request: &self.request,
                fingerprint: &self.fingerprint,
                idempotency_key: Some(key),
                fields: plan.estimate.fields,
                cells: self.task.cells(),
                predicted_seconds: plan.estimate.seconds,
                predicted_bytes: beyond_now(plan),
                map: &self.map,
                inputs: &self.digests,
                webhook: None,
                process: Process::Map,
                asked: &Asked::default(),
                account: Some(owner),
            },
        )
    }
}
