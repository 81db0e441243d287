//! In what form readings are mapped: as they are, or transformed, by leave-one-out.
//!
//! Forms share the factors of the candidates: each is some more columns of the same solve. Among
//! candidates the median way back decides, which is cheap; between forms the errors in the unit of the
//! readings, by the way back that will be taken.

use isopleth_kernels::{Fit, Mat, Resolved};

use super::candidates::Candidate;
use super::{AS_GOOD, FEWEST_RESIDUALS, Mean, Sample, Trial, WORTH_A_CHANGE, pick};
use crate::bounds;
use crate::plan::Plan;
use crate::transform::{self, Back, Law, Neighbours, Transform, Wanted, fitted, log_of, positive};

/// A form must make the mean absolute error less by this share. On 16 cases of Chinese, German and
/// American readings leave-one-out foretold the sign of the change where it saw more than this.
const WORTH_A_FORM: f64 = 0.015;

/// Of more zeros than this share a logarithm would make a second heap of readings.
const MOST_ZEROS: f64 = 0.01;

/// With fewer readings of a variable nothing is transformed unless told.
const FEWEST_READINGS: usize = 4 * FEWEST_RESIDUALS;

/// Fields on which forms are compared; at least one of each unit. More would cost what the choice may
/// take: six take a twentieth of it.
const COMPARED: usize = 6;

/// The forms that are tried, the first on all units.
pub(super) struct Forms {
    /// By form and unit; none where it is not tried.
    of: Vec<Vec<Option<Transform>>>,
    /// Of each field and station, from the nearest other; empty where nobody asks.
    squared: Vec<Vec<f64>>,
    bounds: Vec<[f64; 2]>,
    unit_of: Vec<usize>,
    units: usize,
    /// The first fields, on which forms are compared.
    compared: usize,
}

impl Forms {
    pub(super) fn new(plan: &Plan, sample: &Sample, before: &[Option<&Candidate>]) -> Self {
        let (variables, back) = (plan.observations.variables(), plan.settings.transforms.back);
        let mut of = vec![Vec::new(); 3];
        for (unit, before) in before.iter().enumerate() {
            let fields: Vec<usize> =
                (0..sample.unit_of.len()).filter(|&f| sample.unit_of[f] == unit).collect();
            let readings = || fields.iter().flat_map(|&f| sample.readings.col_as_slice(f));
            let above_0 = positive(readings());
            let variable = fields.first().map(|&f| sample.variable_of[f]);
            let told = variable.and_then(|v| plan.settings.transforms.of(&variables[v]));
            let mut each = [Some(fitted(told.unwrap_or(Wanted::None), &above_0)), None, None];
            // Differences from a background may be negative, and a drift that adds is not one that
            // multiplies.
            let is_beside = variable.is_some_and(|v| plan.beside(v).is_some());
            let may_be_negative = fields.iter().any(|&f| sample.bounds[f][0] < 0.0)
                || readings().any(|reading| *reading < 0.0);
            if told.is_none() && !is_beside && !may_be_negative && above_0.len() >= FEWEST_READINGS
            {
                each[1] = Some(Transform::Sqrt);
                let zeros = readings().filter(|reading| **reading == 0.0).count();
                let kept = before.map(|candidate| candidate.transform);
                let log = kept.filter(|t| matches!(t, Transform::Log { .. }));
                if real(zeros) <= MOST_ZEROS * real(above_0.len()) {
                    each[2] = Some(log.unwrap_or_else(|| log_of(&above_0)));
                }
            }
            of.iter_mut().zip(each).for_each(|(of, each)| of.push(each));
        }
        of.retain(|form| form.iter().any(Option::is_some));
        // Fields come time by time, unit by unit.
        let units = sample.units.max(1);
        let compared = (units * (COMPARED / units).max(1)).min(sample.unit_of.len());
        let any = of.iter().flatten().flatten().any(|transform| !transform.is_none());
        let squared = if any && back == Back::Mean {
            let neighbours = Neighbours::new(&sample.stations);
            let fields = 0..sample.readings.ncols();
            fields.map(|f| neighbours.squared(sample.readings.col_as_slice(f))).collect()
        } else {
            Vec::new()
        };
        let (bounds, unit_of) = (sample.bounds.clone(), sample.unit_of.clone());
        Self { of, squared, bounds, unit_of, units: sample.units, compared }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.of.len()
    }

    /// The form of a unit with this transform.
    pub(super) fn form_of(&self, unit: usize, transform: Transform) -> Option<usize> {
        self.of.iter().position(|form| form[unit] == Some(transform))
    }

    /// Form, field and transform of each column that is solved.
    fn columns(&self) -> Vec<(usize, usize, Transform)> {
        let of_form = |form: usize| {
            let fields = if form == 0 { self.unit_of.len() } else { self.compared };
            (0..fields).filter_map(move |f| Some((form, f, self.of[form][self.unit_of[f]]?)))
        };
        (0..self.count()).flat_map(of_form).collect()
    }

    /// What surfaces go through in all forms: stations × columns.
    pub(super) fn readings(&self, sample: &Sample) -> Mat<f64> {
        let columns = self.columns();
        Mat::from_fn(sample.readings.nrows(), columns.len(), |i, k| {
            let (_, field, transform) = columns[k];
            transform.forward(sample.to_fit[(i, field)])
        })
    }

    /// The trials of a candidate, form by form; `least` is the least error so far of each form and unit.
    pub(super) fn trials(
        &self,
        sample: &Sample,
        candidate: &Candidate,
        made: Option<(&Resolved, &Mat<f64>, &Fit)>,
        least: &mut [Vec<f64>],
    ) -> Vec<Trial> {
        let mut means = vec![vec![[Mean::default(); 2]; self.units]; self.count()];
        let columns = self.columns();
        if let Some((_, readings, fit)) = made {
            for (column, &(form, field, transform)) in columns.iter().enumerate() {
                let [alone, together] = &mut means[form][self.unit_of[field]];
                let of = (readings.col_as_slice(column), sample.readings.col_as_slice(field));
                let back = |value| transform.back(value);
                for (residuals, mean) in
                    [(&fit.leave_one_out, alone), (&fit.left_out_together, together)]
                {
                    let residuals = residuals.col_as_slice(column);
                    self.each(field, transform, of, residuals, |_, v| back(v), |r| mean.add(r));
                }
            }
        }
        let trials: Vec<Trial> = means
            .iter()
            .map(|units| Trial {
                candidate: candidate.clone(),
                // One at a time, and with its neighbourhood: both count alike, whatever their size.
                errors: units.iter().map(|[a, t]| a.value() * t.value()).collect(),
                counts: units.iter().map(|[a, t]| a.count + t.count).collect(),
                alone: vec![[f64::INFINITY; 2]; self.units],
            })
            .collect();
        let Some(made) = made else { return trials };
        self.judged(trials, sample, made, least)
    }

    /// With the errors by the way back that will be taken, of trials that may be picked.
    fn judged(
        &self,
        mut trials: Vec<Trial>,
        sample: &Sample,
        (method, readings, fit): (&Resolved, &Mat<f64>, &Fit),
        least: &mut [Vec<f64>],
    ) -> Vec<Trial> {
        if self.count() == 1 {
            return trials;
        }
        let mut sums = vec![vec![[0.0_f64; 3]; self.units]; self.count()];
        for (column, (form, field, transform)) in self.columns().into_iter().enumerate() {
            if field >= self.compared {
                continue;
            }
            let (unit, residuals) = (self.unit_of[field], fit.leave_one_out.col_as_slice(column));
            let (error, least) = (trials[form].errors[unit], &mut least[form][unit]);
            *least = least.min(error);
            if error > *least * (1.0 + AS_GOOD.max(WORTH_A_CHANGE)) {
                continue;
            }
            let law = (self.squared.get(field).filter(|_| !transform.is_none()))
                .and_then(|squared| Law::new(residuals, squared, method));
            let back = |i: usize, value: f64| match &law {
                Some(law) => law.mean(transform, value, law.growth(self.squared[field][i])),
                None => transform.back(value),
            };
            let [count, absolute, squares] = &mut sums[form][unit];
            let of = (readings.col_as_slice(column), sample.readings.col_as_slice(field));
            self.each(field, transform, of, residuals, back, |residual| {
                if !residual.is_nan() {
                    *count += 1.0;
                    *absolute += residual.abs();
                    *squares += residual * residual;
                }
            });
        }
        for (trial, sums) in trials.iter_mut().zip(sums) {
            for (alone, [count, absolute, squares]) in trial.alone.iter_mut().zip(sums) {
                if count > 0.0 {
                    *alone = [absolute / count, (squares / count).sqrt()];
                }
            }
        }
        trials
    }

    /// Residuals of a field in the unit of its readings, within bounds.
    fn each(
        &self,
        field: usize,
        transform: Transform,
        (transformed, own): (&[f64], &[f64]),
        residuals: &[f64],
        back: impl Fn(usize, f64) -> f64,
        mut take: impl FnMut(f64),
    ) {
        for (i, &residual) in residuals.iter().enumerate() {
            let residual = match transform {
                Transform::None => residual,
                _ => own[i] - back(i, transformed[i] - residual),
            };
            take(bounds::residual(own[i], residual, self.bounds[field]));
        }
    }

    /// The candidate of a unit, in the form that serves it best; `trials` by form. The simplest where
    /// nothing can be told apart.
    pub(super) fn pick(
        &self,
        trials: &[Vec<Trial>],
        unit: usize,
        before: Option<&Candidate>,
        simplest: &Candidate,
    ) -> Candidate {
        let kernel = before.map(Candidate::untransformed);
        let as_told = self.of[0][unit].unwrap_or_default();
        let Some(first) = pick(&trials[0], unit, kernel.as_ref()) else {
            return Candidate { transform: as_told, ..simplest.clone() };
        };
        let mut best = (first, as_told);
        let mut least = first.alone[unit][0] * (1.0 - WORTH_A_FORM);
        let [mae, rmse] = first.alone[unit];
        for (form, trials) in trials.iter().enumerate().skip(1) {
            let Some(transform) = self.of[form][unit] else { continue };
            let was = before.is_some_and(|candidate| candidate.transform == transform);
            let Some(trial) = pick(trials, unit, kernel.as_ref()) else { continue };
            let [of_form, root] = trial.alone[unit];
            // What was chosen before stays while it does no harm.
            let worth = if was { least.max(mae) } else { least };
            // Where a candidate fails at some stations nobody looked.
            if mae.is_finite() && of_form <= worth && root <= rmse {
                best = (trial, transform);
                least = of_form;
            }
        }
        let (trial, transform) = best;
        Candidate { transform, ..trial.candidate.clone() }
    }
}

/// The transforms that are told, of each variable, with nothing left open.
pub(super) fn told(wanted: &[Option<Wanted>], sample: &Sample) -> Vec<Transform> {
    let of = |(unit, wanted): (usize, &Option<Wanted>)| {
        let fields = (0..sample.unit_of.len()).filter(|&f| sample.unit_of[f] == unit);
        let readings: Vec<f64> = fields
            .flat_map(|f| transform::positive(sample.readings.col_as_slice(f).iter()))
            .collect();
        fitted(wanted.unwrap_or(Wanted::None), &readings)
    };
    wanted.iter().enumerate().map(of).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of readings are below 2^52")]
fn real(count: usize) -> f64 {
    count as f64
}
