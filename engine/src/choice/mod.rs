//! Which surface suits the readings: kernel, range, λ and drift by leave-one-out.
//!
//! Every candidate ([`candidates`]) is factorised once and gives the residual of every station left
//! out, in every field at once, alone (Rippa 1999, doi:10.1023/A:1018975909870) and with its
//! neighbourhood (Ginsbourger & Schärer 2021, arXiv 2101.03108): alone it is known by the other
//! stations of its town, which no cell between towns is. The least product of the two mean absolute
//! residuals wins, which no few wild readings decide. Of candidates as good as each other the simplest
//! is taken. Candidates and the fields looked at depend on counts alone, so the same readings make
//! the same choice everywhere.

mod candidates;
mod directions;
mod forms;
mod kept;
mod methods;
mod recorded;

use std::collections::{BTreeMap, HashSet};

use isopleth_kernels as kernels;
use kernels::{Factor, Mat, Par, Points, Resolved};

use crate::background::{self, AtStations};
use crate::covariates::Covariates;
use crate::error::Error;
use crate::observations::Station;
use crate::output::FieldId;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::settings::{Auto, Choice, Each};
use crate::transform::{Transform, Transforms, Wanted};

use candidates::Candidate;
use forms::Forms;
pub(crate) use kept::KeptChoices;
pub use methods::By;
pub(crate) use methods::{Chosen, Methods};
pub(crate) use recorded::RecordedMethods;

/// A candidate is as good as the best if its error, a product of two, is larger by no more than this
/// share.
const AS_GOOD: f64 = 0.01;

/// A kept choice that is looked at again stays, unless another is better by this share.
const WORTH_A_CHANGE: f64 = 0.04;

/// Kept choices are looked at again after so many seconds: a week.
const REEXAMINED_AFTER: u64 = 7 * 24 * 3600;

/// Candidates that are tried, for what a plan foresees: 2 seconds for 1500 stations on two cores.
pub(crate) const TRIED: usize = 23;

/// Fields that are looked at, spread over all time steps.
const MOST_FIELDS: usize = 36;

/// Of a larger network so many stations are looked at, spread over it.
pub(crate) const MOST_STATIONS: usize = 1500;

/// Side of a neighbourhood, as a share of the extent: a hundred kilometres in China.
const NEIGHBOURHOOD: f64 = 0.06;

/// With fewer residuals than these, alone and together, nothing can be told apart, and the simplest is taken.
const FEWEST_RESIDUALS: usize = 24;

/// The method that was told, or one like those that may be chosen.
///
/// # Errors
/// If what was told makes no sense.
pub(crate) fn typical(choice: &Choice, stations: &Points) -> Result<Resolved, kernels::Error> {
    match choice {
        Choice::Told(method) => method.resolve(stations),
        Choice::Auto(auto) => candidates::typical(stations, auto).resolve(auto, stations),
    }
}

/// What was chosen for the variables of a network lately, by variable.
pub(crate) fn kept_methods(
    stations: &[Station],
    points: &Points,
    (auto, transforms): (&Auto, &Transforms),
    kept: &KeptChoices,
) -> Result<Vec<(String, Resolved)>, kernels::Error> {
    let known = kept.get(&kept::Query::new(stations, auto, transforms));
    let resolve = |(name, (candidate, _)): (String, (Candidate, u64))| {
        candidate.resolve(auto, points).map(|method| (name, method))
    };
    known.into_iter().map(resolve).collect()
}

/// The methods of a plan: as told, as kept, or by its readings; with its covariates.
pub(crate) fn decide(
    plan: &Plan,
    kept: &KeptChoices,
    par: Par,
    progress: Progress<'_>,
) -> Result<Methods, Error> {
    Ok(decide_kernels(plan, kept, par, progress)?.with_covariates(plan))
}

fn decide_kernels(
    plan: &Plan,
    kept: &KeptChoices,
    par: Par,
    progress: Progress<'_>,
) -> Result<Methods, Error> {
    let variables = plan.observations.variables().len();
    let auto = match &plan.settings.method {
        Choice::Told(method) => {
            let method = method.resolve(plan.network.points())?;
            let search = Search { plan, auto: &Auto::default(), par, progress };
            let mut methods = Methods::new(variables, false);
            for transform in search.told()? {
                methods.enter(method.clone(), By::Told, transform);
            }
            return Ok(methods);
        }
        Choice::Auto(auto) => auto,
    };
    let search = Search { plan, auto, par, progress };
    let mut methods = Methods::new(variables, auto.each == Each::Field);
    match auto.each {
        Each::Variable => search.by_variable(kept, &mut methods)?,
        Each::Field => search.by_field(&mut methods)?,
    }
    Ok(methods)
}

struct Search<'a> {
    plan: &'a Plan,
    auto: &'a Auto,
    par: Par,
    progress: Progress<'a>,
}

/// Readings that candidates are tried on.
struct Sample {
    stations: Points,
    /// Stations that are left out together.
    neighbourhoods: Vec<Vec<usize>>,
    /// Of those stations.
    covariates: Vec<Vec<f64>>,
    /// Stations × fields.
    readings: Mat<f64>,
    /// The same less what is known beside them, which is what surfaces go through.
    to_fit: Mat<f64>,
    /// Least and greatest value of each field.
    bounds: Vec<[f64; 2]>,
    /// Variable of each field.
    variable_of: Vec<usize>,
    /// Fields that share a choice have the same number, from 0.
    unit_of: Vec<usize>,
    units: usize,
}

/// A candidate and its error for each unit: the product of two mean absolute residuals; infinite
/// where there is none.
struct Trial {
    candidate: Candidate,
    errors: Vec<f64>,
    counts: Vec<usize>,
    /// Mean absolute and root mean squared residual of stations left out alone, by the way back that
    /// will be taken; infinite where it was not looked at.
    alone: Vec<[f64; 2]>,
}

impl Search<'_> {
    /// The transform of each variable where the kernel is told.
    fn told(&self) -> Result<Vec<Transform>, Error> {
        let variables = self.plan.observations.variables();
        let transforms = &self.plan.settings.transforms;
        let wanted: Vec<_> = variables.iter().map(|v| transforms.of(v)).collect();
        if wanted.iter().all(|w| matches!(w, None | Some(Wanted::None))) {
            return Ok(vec![Transform::None; variables.len()]);
        }
        let all: Vec<usize> = (0..variables.len()).collect();
        Ok(forms::told(&wanted, &self.sample_over_time(&all)?))
    }

    fn by_variable(&self, kept: &KeptChoices, methods: &mut Methods) -> Result<(), Error> {
        let plan = self.plan;
        let transforms = &plan.settings.transforms;
        let query = kept::Query::new(plan.network.stations(), self.auto, transforms);
        let known = kept.get(&query);
        let names = plan.observations.variables().iter().map(name_of).enumerate();
        // Differences from a background vary otherwise than what they are differences of.
        let label = |variable| plan.backgrounds.as_ref().and_then(|all| all.label(variable));
        let names: Vec<String> = names
            .map(|(variable, name)| match label(variable) {
                Some(background) => format!("{name} less {background}"),
                None => name,
            })
            .map(|name| match &plan.covariates {
                Some(covariates) => format!("{name} on {}", covariates.label()),
                None => name,
            })
            .collect();
        let fresh = |v: &usize| {
            // Bounds may have been taken away since.
            let may_be = |c: &Candidate| c.transform.is_none() || plan.bounds[*v][0] >= 0.0;
            known.get(&names[*v]).is_some_and(|(c, age)| *age < REEXAMINED_AFTER && may_be(c))
        };
        let stale: Vec<usize> = (0..names.len()).filter(|v| !fresh(v)).collect();
        let mut chosen = BTreeMap::new();
        if !stale.is_empty() {
            let sample = self.sample_over_time(&stale)?;
            let before: Vec<Option<&Candidate>> =
                stale.iter().map(|&v| known.get(&names[v]).map(|(c, _)| c)).collect();
            let best = self.search(&sample, &before)?;
            chosen = stale.into_iter().zip(best).collect();
            let new = chosen.iter().map(|(&v, candidate)| (names[v].clone(), candidate.clone()));
            kept.put(&query, new.collect());
        }
        for (variable, name) in names.iter().enumerate() {
            let (candidate, by) = match chosen.get(&variable) {
                Some(candidate) => (candidate, By::Readings),
                None => (&known[name].0, By::Kept),
            };
            let method = candidate.resolve(self.auto, plan.network.points())?;
            methods.enter(method, by, candidate.transform);
        }
        Ok(())
    }

    fn by_field(&self, methods: &mut Methods) -> Result<(), Error> {
        let (steps, at_once) = (self.plan.observations.times().len(), self.plan.steps_at_once);
        let all: Vec<usize> = (0..methods.variables).collect();
        for first in (0..steps).step_by(at_once) {
            let some: Vec<usize> = (first..(first + at_once).min(steps)).collect();
            let mut sample = self.sample(&some, &all)?;
            sample.units = sample.unit_of.len();
            sample.unit_of = (0..sample.units).collect();
            for candidate in self.search(&sample, &vec![None; sample.units])? {
                let method = candidate.resolve(self.auto, self.plan.network.points())?;
                methods.enter(method, By::Readings, candidate.transform);
            }
        }
        Ok(())
    }

    /// Some time steps, evenly spread, and of their fields as many as cost no more than the network
    /// itself.
    fn sample_over_time(&self, variables: &[usize]) -> Result<Sample, Error> {
        let all = self.plan.observations.times().len();
        let some = (MOST_FIELDS / variables.len()).clamp(1, all.max(1));
        let step = |k: usize| (2 * k + 1) * all / (2 * some);
        // The middle first, then the middles of what is left.
        let mut order: Vec<usize> = (0..some).collect();
        order.sort_by_key(|&k| std::cmp::Reverse((k + 1).trailing_zeros()));
        let steps: Vec<usize> = order.into_iter().map(step).collect();
        let mut sample = self.sample(&steps, variables)?;
        sample.keep(affordable(&sample.readings, variables.len()));
        Ok(sample)
    }

    /// Fields time by time, variable by variable, at the stations that have a reading in any.
    fn sample(&self, steps: &[usize], variables: &[usize]) -> Result<Sample, Error> {
        let (network, all) = (&self.plan.network, self.plan.observations.variables().len());
        let n = network.stations().len();
        let (mut unit_of, mut bounds, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        let mut variable_of = Vec::new();
        let (mut received, mut merged) = (Vec::new(), Vec::new());
        let (mut backgrounds, observations) = (Vec::new(), &self.plan.observations);
        let of = self.plan.backgrounds.as_ref();
        let mut at_stations = of.map(|of| AtStations::new(of, observations, network));
        for &time in steps {
            self.progress.cancel.check()?;
            self.plan.observations.step(time, &mut received)?;
            network.values(&received, all, &mut merged);
            for (unit, variable) in variables.iter().enumerate() {
                let mut column = merged[variable * n..][..n].to_vec();
                if let Some(at_stations) = &mut at_stations {
                    let field = FieldId { time, variable: *variable };
                    let background = at_stations.field(field, &received)?;
                    background::forget_unknown(&mut column, &background);
                    backgrounds.push(background);
                }
                columns.push(column);
                unit_of.push(unit);
                variable_of.push(*variable);
                bounds.push(self.plan.bounds[*variable]);
            }
        }
        let present: Vec<usize> =
            (0..n).filter(|&i| columns.iter().any(|c| !c[i].is_nan())).collect();
        // Spread over the order in which stations came, which is that of regions.
        let few = present.len().min(MOST_STATIONS);
        let some: Vec<usize> = (0..few).map(|k| present[k * present.len() / few]).collect();
        let readings = Mat::from_fn(few, columns.len(), |i, f| columns[f][some[i]]);
        let to_fit = Mat::from_fn(few, columns.len(), |i, f| match backgrounds.get(f) {
            Some(background) => readings[(i, f)] - background[some[i]],
            None => readings[(i, f)],
        });
        let columns = self.plan.covariates.as_ref().map(Covariates::columns).unwrap_or_default();
        let of_some = |column: &Vec<f64>| some.iter().map(|&i| column[i]).collect();
        let covariates = columns.iter().map(of_some).collect();
        let stations = network.points().select(&some);
        let neighbourhoods = neighbourhoods(&stations);
        let units = variables.len();
        Ok(Sample {
            stations,
            neighbourhoods,
            covariates,
            readings,
            to_fit,
            bounds,
            variable_of,
            unit_of,
            units,
        })
    }

    /// The best candidate for each unit.
    fn search(
        &self,
        sample: &Sample,
        before: &[Option<&Candidate>],
    ) -> Result<Vec<Candidate>, Error> {
        let extent = candidates::extent(&sample.stations);
        let forms = Forms::new(self.plan, sample, before);
        let readings = forms.readings(sample);
        let mut trials: Vec<Vec<Trial>> = (0..forms.count()).map(|_| Vec::new()).collect();
        let mut least = vec![vec![f64::INFINITY; sample.units]; forms.count()];
        let first = candidates::first(extent, self.auto);
        let before_and_first =
            before.iter().flatten().map(|c| c.untransformed()).chain(first.iter().cloned());
        for candidate in before_and_first {
            if trials[0].iter().all(|t| t.candidate != candidate) {
                let tried = self.attempt(sample, &candidate, (&forms, &readings), &mut least)?;
                trials.iter_mut().zip(tried).for_each(|(trials, trial)| trials.push(trial));
            }
        }
        let units = 0..sample.units;
        let chosen = units.map(|u| forms.pick(&trials, u, before[u], &first[0])).collect();
        self.directed(sample, (&forms, &readings), &trials, &mut least, chosen)
    }

    /// One candidate on readings in all their forms.
    fn attempt(
        &self,
        sample: &Sample,
        candidate: &Candidate,
        (forms, readings): (&Forms, &Mat<f64>),
        least: &mut [Vec<f64>],
    ) -> Result<Vec<Trial>, Error> {
        self.progress.cancel.check()?;
        let groups = &sample.neighbourhoods;
        // What cannot be factorised is no choice; what is wrong with the network is told later.
        let made = candidate.resolve(self.auto, &sample.stations).and_then(|method| {
            let method = Resolved { covariates: sample.covariates.clone(), ..method };
            let factor = Factor::new(&sample.stations, &method, self.par)?;
            let fit = factor.fit_leaving_out(readings.as_ref(), groups, self.par)?;
            Ok((method, fit))
        });
        let made = made.as_ref().ok().map(|(method, fit)| (method, readings, fit));
        Ok(forms.trials(sample, candidate, made, least))
    }
}

/// The mean of absolute residuals.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, residual: f64) {
        if !residual.is_nan() {
            self.sum += residual.abs();
            self.count += 1;
        }
    }

    /// Infinite where there is none.
    #[expect(clippy::cast_precision_loss, reason = "counts of readings are below 2^52")]
    fn value(&self) -> f64 {
        let mean = self.sum / self.count as f64;
        if mean.is_finite() { mean } else { f64::INFINITY }
    }
}

impl Sample {
    fn keep(&mut self, fields: usize) {
        self.readings = self.readings.subcols(0, fields).to_owned();
        self.to_fit = self.to_fit.subcols(0, fields).to_owned();
        self.bounds.truncate(fields);
        self.variable_of.truncate(fields);
        self.unit_of.truncate(fields);
    }
}

/// Stations in one cube of space, or square of the plane.
fn neighbourhoods(stations: &Points) -> Vec<Vec<usize>> {
    let side = NEIGHBOURHOOD * candidates::extent(stations);
    let mut cubes: BTreeMap<[i64; 3], Vec<usize>> = BTreeMap::new();
    for station in 0..stations.len() {
        #[expect(clippy::cast_possible_truncation, reason = "saturates; NaN, of one place, is 0")]
        let cube = stations.at(station).map(|x| (x / side).floor() as i64);
        cubes.entry(cube).or_default().push(station);
    }
    cubes.into_values().collect()
}

/// How many fields, of which the first `least` are taken anyhow, have gaps that cost no more than
/// the factorisation: a correction, or a factorisation of what is left (docs/math.md, 4).
#[expect(clippy::cast_precision_loss, reason = "station counts are far below 2^52")]
fn affordable(readings: &Mat<f64>, least: usize) -> usize {
    let n = readings.nrows() as f64;
    let mut seen = HashSet::new();
    let mut cost = 0.0;
    for field in 0..readings.ncols() {
        let gap: Vec<bool> = readings.col_as_slice(field).iter().map(|v| v.is_nan()).collect();
        let missing = gap.iter().filter(|missing| **missing).count() as f64;
        if seen.insert(gap) {
            cost += if missing <= n / 3.0 { n * missing * missing } else { (n - missing).powi(3) };
        }
        if field >= least && cost > n.powi(3) {
            return field;
        }
    }
    readings.ncols()
}

/// The least error; of a candidate that fails at some stations nothing is believed.
fn best(trials: &[Trial], unit: usize) -> Option<&Trial> {
    let most = trials.iter().map(|t| t.counts[unit]).max().filter(|&n| n >= FEWEST_RESIDUALS)?;
    let complete = trials.iter().filter(|t| t.counts[unit] == most);
    complete
        .filter(|t| t.errors[unit].is_finite())
        .min_by(|a, b| a.errors[unit].total_cmp(&b.errors[unit]))
}

/// The candidate before unless another is much better; else the simplest of those as good as the
/// best, and of equally simple ones the best.
fn pick<'a>(trials: &'a [Trial], unit: usize, before: Option<&Candidate>) -> Option<&'a Trial> {
    let best = best(trials, unit)?;
    let error = |t: &Trial| t.errors[unit];
    if let Some(trial) = trials.iter().find(|t| Some(&t.candidate) == before)
        && error(trial) <= error(best) * (1.0 + WORTH_A_CHANGE)
    {
        return Some(trial);
    }
    let as_good = |t: &&Trial| {
        t.counts[unit] == best.counts[unit] && error(t) <= error(best) * (1.0 + AS_GOOD)
    };
    let order = |a: &&Trial, b: &&Trial| {
        let simpler = a.candidate.complexity().cmp(&b.candidate.complexity());
        simpler.then(error(a).total_cmp(&error(b)))
    };
    trials.iter().filter(as_good).min_by(order)
}

fn name_of(variable: &crate::observations::Variable) -> String {
    match &variable.units {
        Some(units) => format!("{} ({units})", variable.name),
        None => variable.name.clone(),
    }
}
