//! Methods as a job's work records them, so that all of its blocks have the same, whenever they are run.

use serde::{Deserialize, Serialize};

use super::candidates::Candidate;
use super::{By, Chosen, Methods};
use crate::error::Error;
use crate::plan::Plan;
use crate::settings::Choice;
use crate::transform::Transform;

/// What was chosen; where the method was told, the transforms alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RecordedMethods {
    each: Vec<(Candidate, By)>,
    of: Vec<usize>,
    by_field: bool,
    /// By variable, where the method was told: what was left open of a transform is from the readings.
    told: Vec<Transform>,
}

impl RecordedMethods {
    pub(crate) fn of(methods: &Methods) -> Self {
        let chosen = methods.each.iter().filter(|chosen| chosen.by != By::Told);
        let candidate = |chosen: &Chosen| Candidate {
            kernel: chosen.method.kernel.to_string(),
            epsilon: chosen.method.epsilon,
            smoothing: chosen.method.diagonal.first().copied().unwrap_or(0.0),
            degree: chosen.method.degree,
            transform: chosen.transform,
            anisotropy: (chosen.method.stretch)
                .map(|s| [s.anisotropy().ratio(), s.anisotropy().angle()]),
        };
        let is_told = methods.each.iter().any(|chosen| chosen.by == By::Told);
        let told = methods.of.iter().filter(|_| is_told).map(|&k| methods.each[k].transform);
        Self {
            told: told.collect(),
            each: chosen.map(|chosen| (candidate(chosen), chosen.by)).collect(),
            of: methods.of.clone(),
            by_field: methods.by_field,
        }
    }

    /// The methods again; none where the record is not one of this plan.
    ///
    /// # Errors
    /// If what was told makes no sense.
    pub(crate) fn methods(&self, plan: &Plan) -> Result<Option<Methods>, Error> {
        let stations = plan.network.points();
        let variables = plan.observations.variables().len();
        let auto = match &plan.settings.method {
            Choice::Told(method) => {
                if self.told.len() != variables {
                    return Ok(None);
                }
                let method = method.resolve(stations)?;
                let mut methods = Methods::new(variables, false);
                for transform in &self.told {
                    methods.enter(method.clone(), By::Told, *transform);
                }
                return Ok(Some(methods.with_covariates(plan)));
            }
            Choice::Auto(auto) => auto,
        };
        let times = if self.by_field { plan.observations.times().len() } else { 1 };
        if self.of.len() != variables * times || self.of.iter().any(|&k| k >= self.each.len()) {
            return Ok(None);
        }
        let resolve = |(candidate, by): &(Candidate, By)| {
            let (method, transform) = (candidate.resolve(auto, stations)?, candidate.transform);
            Ok::<_, Error>(Chosen { method, by: *by, transform })
        };
        let each = self.each.iter().map(resolve).collect::<Result<_, _>>()?;
        let methods = Methods { each, of: self.of.clone(), variables, by_field: self.by_field };
        Ok(Some(methods.with_covariates(plan)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::typical;
    use crate::grid::{Grid, Registration, Size, Targets};
    use crate::observations::{Observations, Parts, ReadOptions, Station, Variable};
    use crate::settings::{Limits, Settings};

    #[test]
    fn methods_come_back_from_their_record_to_the_last_bit_and_a_foreign_record_is_none() {
        let stations: Vec<Station> = (0..30_u32)
            .map(|k| Station { id: k.to_string(), x: f64::from(k), y: f64::from(k * 7 % 11) })
            .collect();
        let row = stations.iter().map(|s| Some(s.x)).collect::<Vec<_>>();
        let variable =
            |name: &str| (Variable { name: name.into(), units: None }, vec![row.clone()]);
        let values = vec![variable("a"), variable("b")];
        let parts = Parts { stations, times: Vec::new(), values };
        let observations = Observations::from_parts(parts, &ReadOptions::default()).unwrap();
        let size = Size::Shape { nx: 10, ny: 10 };
        let bounds = [0.0, 0.0, 9.0, 9.0];
        let grid = Grid::from_bounds(bounds, size, Registration::Gridline, true).unwrap();
        let settings = Settings::default();
        let plan =
            Plan::new(observations, Targets::Grid(grid), settings, &Limits::default()).unwrap();
        let method = typical(&plan.settings.method, plan.network.points()).unwrap();
        let mut methods = Methods::new(2, false);
        // An offset that no short text is.
        let log = Transform::Log { offset: 0.1 + 0.2 };
        methods.enter(method.clone(), By::Kept, log);
        let stations = plan.network.points();
        let anisotropy = crate::kernels::Anisotropy::new(2.0 / 3.0 + 1.0, 100.0 / 3.0).ok();
        let stretched = crate::kernels::Method { anisotropy, ..Default::default() };
        let stretch = stretched.resolve(stations).unwrap().stretch;
        let other = crate::kernels::Resolved { epsilon: method.epsilon / 3.0, stretch, ..method };
        methods.enter(other, By::Readings, Transform::None);
        let text = serde_json::to_string(&RecordedMethods::of(&methods)).unwrap();
        let recorded: RecordedMethods = serde_json::from_str(&text).unwrap();
        let again = recorded.methods(&plan).unwrap().expect("they are of this plan");
        assert_eq!(again.of, methods.of);
        for (a, b) in again.each.iter().zip(&methods.each) {
            assert_eq!((&a.method, a.by, a.transform), (&b.method, b.by, b.transform));
        }
        let foreign = RecordedMethods { of: vec![0, 1, 0], ..recorded };
        assert!(foreign.methods(&plan).unwrap().is_none());
    }
}
