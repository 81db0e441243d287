//! The methods of a run, which field has which, and who chose them.

use std::ops::Range;

use isopleth_kernels::Resolved;
use serde::{Deserialize, Serialize};

use crate::output::FieldId;
use crate::plan::Plan;
use crate::transform::{Back, Neighbours, Transform};

/// Who made a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The user.
    #[default]
    Told,
    /// These readings.
    Readings,
    /// Earlier readings of this network.
    Kept,
}

/// The methods of a run, and which field has which.
pub(crate) struct Methods {
    pub(crate) each: Vec<Chosen>,
    /// By variable, or by time and variable.
    pub(super) of: Vec<usize>,
    pub(super) variables: usize,
    pub(super) by_field: bool,
}

/// One method, and how it came to be chosen.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) method: Resolved,
    pub(crate) by: By,
    /// In what form readings are mapped.
    pub(crate) transform: Transform,
}

impl Methods {
    /// Index into `each`.
    pub(crate) fn of(&self, field: FieldId) -> usize {
        let at = field.variable + if self.by_field { field.time * self.variables } else { 0 };
        self.of[at]
    }

    /// Which of the methods some time steps need.
    pub(crate) fn in_steps(&self, steps: &Range<usize>) -> Vec<bool> {
        let mut wanted = vec![false; self.each.len()];
        let all = steps.clone().take(if self.by_field { steps.len() } else { 1 });
        for time in all {
            (0..self.variables)
                .for_each(|variable| wanted[self.of(FieldId { time, variable })] = true);
        }
        wanted
    }

    pub(super) fn new(variables: usize, by_field: bool) -> Self {
        Self { each: Vec::new(), of: Vec::new(), variables, by_field }
    }

    /// The drift of each gets the plan's covariates.
    pub(super) fn with_covariates(mut self, plan: &Plan) -> Self {
        if let Some(covariates) = &plan.covariates {
            self.each.iter_mut().for_each(|of| of.method.covariates = covariates.columns());
        }
        self
    }

    /// Takes a choice in; equal ones share a method.
    pub(super) fn enter(&mut self, method: Resolved, by: By, transform: Transform) {
        let same = |c: &Chosen| c.method == method && c.by == by && c.transform == transform;
        let known = self.each.iter().position(same);
        self.of.push(known.unwrap_or(self.each.len()));
        if known.is_none() {
            self.each.push(Chosen { method, by, transform });
        }
    }

    /// Of the network, where something comes back by its mean.
    pub(crate) fn neighbours(&self, plan: &Plan) -> Option<Neighbours> {
        let any = self.each.iter().any(|chosen| !chosen.transform.is_none());
        let mean = plan.settings.transforms.back == Back::Mean;
        (any && mean).then(|| Neighbours::new(plan.network.points()))
    }
}
