//! Examines the readings of a time step: everything but the buddy check.

use std::sync::Arc;

use super::ledger::{Flagged, Ledger, QualityReport, flags_of};
use super::limits::{self, Limits};
use super::lore::{self, Lore};
use super::places::{Misplaced, Sites};
use super::rules::Rules;
use super::series::{Found, Series};
use super::{Flag, NO_READING};
use crate::error::Error;
use crate::observations::Observations;
use crate::plan::Plan;

/// Readings at one place differ when they differ by more than this, relative to the larger.
const SAME: f64 = 1e-6;

/// Knows what is wrong with any reading, the buddy check apart.
#[derive(Debug)]
pub(crate) struct Examiner {
    rules: Rules,
    limits: Vec<Limits>,
    sites: Arc<Sites>,
    /// By station.
    of_station: Vec<u8>,
    series: Option<Series>,
}

impl Examiner {
    /// Examines the stations, and every series in one pass.
    ///
    /// # Errors
    /// When a rule makes no sense, or the temporary files fail.
    pub(crate) fn new(
        observations: &Observations,
        rules: &Rules,
        lore: &Lore,
    ) -> Result<Self, Error> {
        rules.check(observations.in_degrees())?;
        let limits = limits::of(observations.variables(), rules)?;
        let (stations, in_degrees) = (observations.stations(), observations.in_degrees());
        let key = lore::key_of(stations, in_degrees, rules.inside);
        let sites = lore.sites.get(key, stations.len(), || Sites::of(stations, in_degrees, rules));
        let mut of_station = vec![0; stations.len()];
        for found in &sites.misplaced {
            of_station[found.station] |= found.flag.mask();
        }
        Ok(Self {
            series: Series::new(observations, &limits, rules.stuck)?,
            rules: rules.clone(),
            limits,
            sites,
            of_station,
        })
    }

    /// An account to book in, which knows the stations already.
    pub(crate) fn ledger(&self, observations: &Observations) -> Ledger {
        let mut ledger = Ledger::new(observations, &self.rules);
        ledger.misplaced(observations, &self.sites.misplaced);
        if let Some(why) = &self.sites.not_told {
            ledger.unexamined(why.clone());
        }
        if observations.times().len() < 2 {
            ledger.unexamined("rate, stuck: there is one time step only".to_owned());
        }
        let unlimited = |l: &Limits| l.range.iter().all(|end| end.is_infinite());
        for (variable, _) in
            observations.variables().iter().zip(&self.limits).filter(|(_, l)| unlimited(l))
        {
            let name = &variable.name;
            let unit = variable.units.as_ref().map_or(String::new(), |u| format!(" in {u}"));
            ledger.unexamined(format!(
                "range: no limits are known for {name}{unit}; give --valid-range {name}=low..high"
            ));
        }
        ledger
    }

    /// Flags the readings of a time step, `values[variable * stations + station]`, and makes those
    /// missing that the policy rejects.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub(crate) fn step(
        &self,
        observations: &Observations,
        time: usize,
        values: &mut [f64],
        flags: &mut Vec<u8>,
        ledger: &mut Ledger,
    ) -> Result<(), Error> {
        let stations = observations.stations().len();
        flags.clear();
        flags.extend(values.iter().enumerate().map(|(at, &value)| {
            if value.is_nan() {
                return NO_READING;
            }
            let [low, high] = self.limits[at / stations].range;
            let range = if (low..=high).contains(&value) { 0 } else { Flag::Range.mask() };
            range | self.of_station[at % stations]
        }));
        let mut found: Vec<Found> = Vec::new();
        if let Some(series) = &self.series {
            series.each(time, |one| {
                let at = one.variable * stations + one.station;
                if flags[at] & NO_READING == 0 {
                    flags[at] |= one.flag.mask();
                    found.push(one);
                }
            })?;
        }
        self.compare_twins(stations, values, flags);
        for (at, &of) in flags.iter().enumerate().filter(|(_, of)| **of & NO_READING == 0) {
            let (variable, station) = (at / stations, at % stations);
            let rejected = self.rules.reject.rejects(of);
            ledger.reading(station, of, rejected);
            for flag in flags_of(of) {
                let value = values[at];
                let one = Flagged { time, variable, station, value, flag, rejected };
                ledger.flag(observations, one, || self.why(observations, values, &one, &found));
            }
        }
        for (value, &of) in values.iter_mut().zip(&*flags) {
            if self.rules.reject.rejects(of) {
                *value = f64::NAN;
            }
        }
        Ok(())
    }

    fn compare_twins(&self, stations: usize, values: &[f64], flags: &mut [u8]) {
        for of_variable in (0..values.len()).step_by(stations.max(1)) {
            for twins in &self.sites.twins {
                let present =
                    || twins.iter().map(|&s| of_variable + s).filter(|&at| !values[at].is_nan());
                let (low, high) = present()
                    .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), at| {
                        (l.min(values[at]), h.max(values[at]))
                    });
                if high - low > SAME * low.abs().max(high.abs()) {
                    present().for_each(|at| flags[at] |= Flag::Duplicate.mask());
                }
            }
        }
    }

    fn why(
        &self,
        observations: &Observations,
        values: &[f64],
        of: &Flagged,
        found: &[Found],
    ) -> String {
        let stations = observations.stations();
        let detail = || {
            let same =
                |f: &&Found| (f.flag, f.variable, f.station) == (of.flag, of.variable, of.station);
            found.iter().find(same).map_or(f64::NAN, |f| f.detail)
        };
        match of.flag {
            Flag::Range => {
                let [low, high] = self.limits[of.variable].range;
                format!("not from {low} to {high}")
            }
            Flag::Rate => {
                let rate = self.limits[of.variable].rate;
                format!("changed by {:.4} where {rate} an hour is the limit", detail())
            }
            Flag::Stuck => format!("the same in {} readings in a row", detail()),
            Flag::Duplicate => {
                let others: Vec<String> = (self.sites.twins.iter())
                    .filter(|twins| twins.contains(&of.station))
                    .flatten()
                    .filter(|&&other| other != of.station)
                    .map(|&other| {
                        let value = values[of.variable * stations.len() + other];
                        format!("{} has {value}", stations[other].id)
                    })
                    .collect();
                format!("at the same place {}", others.join(", "))
            }
            Flag::Place | Flag::Sea => {
                let here = |m: &&Misplaced| (m.station, m.flag) == (of.station, of.flag);
                self.sites.misplaced.iter().find(here).map_or_else(String::new, |m| m.why.clone())
            }
            // That is told where it is known.
            Flag::Buddy => String::new(),
        }
    }
}

/// The examination of a run, which may read a time step several times, once for each method.
pub(crate) struct Exam {
    examiner: Arc<Examiner>,
    pub(crate) ledger: Ledger,
    /// Time steps that stand in the ledger already.
    seen: Vec<bool>,
}

impl Exam {
    pub(crate) fn new(plan: &Plan, lore: &Lore) -> Result<Self, Error> {
        let observations = &plan.observations;
        let examiner = Arc::new(Examiner::new(observations, &plan.settings.quality, lore)?);
        let ledger = examiner.ledger(observations);
        Ok(Self { examiner, ledger, seen: vec![false; observations.times().len()] })
    }

    /// The same examination from its beginning, for other time steps.
    pub(crate) fn afresh(&self, observations: &Observations) -> Self {
        let examiner = Arc::clone(&self.examiner);
        let ledger = examiner.ledger(observations);
        Self { examiner, ledger, seen: vec![false; self.seen.len()] }
    }

    /// As [`Examiner::step`].
    pub(crate) fn step(
        &mut self,
        observations: &Observations,
        time: usize,
        values: &mut [f64],
        flags: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let again = std::mem::replace(&mut self.seen[time], true);
        let mut elsewhere = again.then(|| self.examiner.ledger(observations));
        let ledger = elsewhere.as_mut().unwrap_or(&mut self.ledger);
        self.examiner.step(observations, time, values, flags, ledger)
    }

    pub(crate) fn into_report(self, observations: &Observations) -> QualityReport {
        self.ledger.into_report(observations)
    }
}

/// Examines all readings without making a map; the buddy check, which needs one, apart.
///
/// # Errors
/// When a rule makes no sense, or a temporary file fails.
pub fn examine(observations: &Observations, rules: &Rules) -> Result<QualityReport, Error> {
    let examiner = Examiner::new(observations, rules, &Lore::default())?;
    let mut ledger = examiner.ledger(observations);
    let (mut values, mut flags) = (Vec::new(), Vec::new());
    for time in 0..observations.times().len() {
        observations.step(time, &mut values)?;
        examiner.step(observations, time, &mut values, &mut flags, &mut ledger)?;
    }
    Ok(ledger.into_report(observations))
}
