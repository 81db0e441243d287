//! Many stations left out together, in every field, and predicted by the others.

use std::ops::Range;
use std::sync::Arc;

use isopleth_kernels as kernels;
use kernels::evaluate::{Axis, Targets};
use kernels::{Evaluator, Factor, Mat, Par, Surface};
use serde::Serialize;

use super::folds::Folds;
use super::references;
use crate::block::Block;
use crate::choice;
use crate::error::Error;
use crate::factors::FactorCache;
use crate::output::FieldId;
use crate::plan::Plan;
use crate::pools;
use crate::progress::Progress;
use crate::quality::Exam;
use crate::report::{ErrorSum, Errors};
use crate::transform::{Neighbours, Transform, WayBack};

/// Errors of one variable, with some stations left out together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoldErrors {
    /// How stations were left out.
    pub folds: String,
    /// Number of parts.
    pub parts: usize,
    /// Variable.
    pub variable: String,
    /// Who predicts: `map`, or a reference: `idw` (inverse squared distance), `nearest`, `mean`.
    pub method: String,
    /// Errors over all times; none without a residual.
    pub errors: Option<Errors>,
}

/// Who predicts: the map, and the references.
const PREDICTORS: usize = 1 + references::NAMES.len();

/// Errors of every variable and predictor.
pub(super) fn leave_out(
    plan: &Plan,
    folds: Folds,
    progress: Progress<'_>,
    factors: &FactorCache,
) -> Result<Vec<FoldErrors>, Error> {
    let parts = folds.of(plan.network.stations(), plan.network.points(), plan.metric());
    let variables = plan.observations.variables();
    let mut sums = vec![[ErrorSum::default(); PREDICTORS]; variables.len()];
    pools::borrow(plan.threads)?.install(|| {
        let par = Par::rayon(plan.threads);
        let mut exam = Exam::new(plan, factors.lore())?;
        let methods = choice::decide(plan, factors.choices(), par, progress)?;
        let neighbours = methods.neighbours(plan);
        for (number, chosen) in methods.each.iter().enumerate() {
            let points = plan.network.points();
            let factor = factors.obtain(points, &chosen.method, par, progress.cancel)?.value;
            let (steps, at_once) = (plan.observations.times().len(), plan.steps_at_once);
            for first in (0..steps).step_by(at_once) {
                let some = first..(first + at_once).min(steps);
                let block =
                    Block::read(plan, &mut exam, some, |field| methods.of(field) == number)?;
                let block = block.transform(chosen.transform);
                let (factor, transform) = (factor.clone(), chosen.transform);
                let neighbours = neighbours.as_ref();
                let work = Work { plan, factor, transform, neighbours, block, parts: &parts, par };
                work.all(&mut sums, progress)?;
            }
        }
        Ok::<(), Error>(())
    })?;
    let names = ["map"].into_iter().chain(references::NAMES);
    let rows = variables.iter().zip(&sums).flat_map(|(variable, sums)| {
        let (parts, folds) = (parts.len(), folds.to_string());
        names.clone().zip(sums).map(move |(method, sum)| FoldErrors {
            folds: folds.clone(),
            parts,
            variable: variable.name.clone(),
            method: method.to_owned(),
            errors: sum.errors(),
        })
    });
    Ok(rows.collect())
}

struct Work<'a> {
    plan: &'a Plan,
    factor: Arc<Factor>,
    transform: Transform,
    /// None where nothing comes back by its mean.
    neighbours: Option<&'a Neighbours>,
    block: Block,
    parts: &'a [Vec<usize>],
    par: Par,
}

impl Work<'_> {
    /// As many parts at once as fill a matrix of stations × stations.
    fn all(
        &self,
        sums: &mut [[ErrorSum; PREDICTORS]],
        progress: Progress<'_>,
    ) -> Result<(), Error> {
        let (n, fields) = (self.plan.network.len(), self.block.fields.len());
        if fields == 0 {
            return Ok(());
        }
        let at_once = (n / fields).max(1);
        for first in (0..self.parts.len()).step_by(at_once) {
            progress.cancel.check()?;
            self.some(first..(first + at_once).min(self.parts.len()), sums)?;
        }
        Ok(())
    }

    fn some(&self, parts: Range<usize>, sums: &mut [[ErrorSum; PREDICTORS]]) -> Result<(), Error> {
        let (n, fields) = (self.plan.network.len(), self.block.fields.len());
        let (readings, to_fit) = (&self.block.readings, self.block.to_fit());
        let parts = &self.parts[parts];
        let mut left = Mat::from_fn(n, fields * parts.len(), |i, k| to_fit[(i, k % fields)]);
        for (part, out) in parts.iter().enumerate() {
            for column in part * fields..(part + 1) * fields {
                let column = left.col_as_slice_mut(column);
                out.iter().for_each(|&station| column[station] = f64::NAN);
            }
        }
        let fit = self.factor.fit(left.as_ref(), self.par)?;
        let ids: Vec<FieldId> = (0..left.ncols()).map(|k| self.block.fields[k % fields]).collect();
        let method = self.factor.method();
        let back = (!self.transform.is_none())
            .then(|| WayBack::new(self.transform, method, self.neighbours, &ids, &left, &fit));
        let covariates = self.plan.covariates.as_ref();
        let coefficients = covariates.map(|all| all.coefficients(&fit.weights));
        for (part, out) in parts.iter().enumerate() {
            let columns = part * fields..(part + 1) * fields;
            let predicted = self.at(&fit.weights.some(columns), out);
            for (f, field) in self.block.fields.iter().enumerate() {
                let readings = readings.col_as_slice(f);
                let guesses = references::predict(self.plan.network.points(), readings, out);
                for (k, &station) in out.iter().enumerate() {
                    let (observed, here) = (readings[station], predicted[f * out.len() + k]);
                    let column = part * fields + f;
                    let here = match (covariates, &coefficients) {
                        (Some(all), Some(beta)) => here + all.at_station(beta, column, station),
                        _ => here,
                    };
                    let here = match &self.block.background {
                        Some(background) => here + background[(station, f)],
                        None => here,
                    };
                    let here = back.as_ref().map_or(here, |b| b.at_station(column, station, here));
                    let [low, high] = self.plan.bounds[field.variable];
                    let all = [here.clamp(low, high), guesses[0][k], guesses[1][k], guesses[2][k]];
                    // All are judged where all have something to say.
                    if all.iter().all(|v| !v.is_nan()) {
                        for (sum, value) in sums[field.variable].iter_mut().zip(all) {
                            sum.add(observed, observed - value);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The surfaces of some fields at some stations: `[field][station]`.
    fn at(&self, weights: &kernels::Weights, stations: &[usize]) -> Vec<f64> {
        let (factor, fields) = (&self.factor, weights.stations.ncols());
        let surface = Surface::new(factor.stations(), factor.method(), factor.drift(), weights);
        let points = factor.stations().select(stations);
        let axes: Vec<Axis<'_>> = (0..points.dims()).map(|k| Axis::Each(points.axis(k))).collect();
        let mut values = vec![0.0; fields * stations.len()];
        let targets = Targets { axes: &axes, len: stations.len() };
        Evaluator::new().evaluate(&surface, targets, &mut values);
        values
    }
}
