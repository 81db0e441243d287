//! What is to be made, understood and weighed: at once, or as a job.

use isopleth_engine::{Folds, Places, Plan, Targets};

use super::Process;
use crate::error::ApiError;
use crate::intake::Understood;
use crate::routes::maps::plan_of;
use crate::routes::of_engine;
use crate::state::AppState;

/// A process with its plan.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) process: Process,
    /// Of a cross-validation: of no places.
    pub(crate) plan: Plan,
    /// How stations are left out together, in a cross-validation.
    pub(crate) folds: Vec<Folds>,
}

impl Task {
    /// # Errors
    /// Where readings, targets and method make no sense, or a limit is exceeded.
    pub(crate) fn of(
        state: &AppState,
        process: Process,
        understood: Understood,
    ) -> Result<Self, ApiError> {
        if process != Process::Crossvalidation {
            let plan = plan_of(state, understood)?;
            return Ok(Self { process, plan, folds: Vec::new() });
        }
        let Understood { order, observations, .. } = understood;
        let nowhere = Targets::Points(Places::default());
        let plan = Plan::new(observations, nowhere, order.settings, &state.config().limits());
        Ok(Self { process, plan: plan.map_err(of_engine)?, folds: order.folds })
    }

    /// Values of one field: of a cross-validation one a station.
    pub(crate) fn cells(&self) -> u64 {
        match self.process {
            Process::Crossvalidation => self.plan.estimate.stations as u64,
            _ => self.plan.estimate.cells,
        }
    }
}
