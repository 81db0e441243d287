//! What concentration maps are made of: series of each station treated before anything is mapped.
//!
//! ```text
//! readings → detection limits → spikes → mean of each step → gaps → averages → readings
//!            values             values    steps              steps   means, calendar
//! ```
//!
//! The order is fixed: an instrument's own errors first, then what makes times regular, averages last.
//! Readings are turned around to stand station by station (on disk where they exceed the memory for
//! readings), series are treated in parallel, and what comes out is [`Observations`] again. No
//! series looks at another one: places are the business of maps.

use rayon::prelude::*;

use crate::observations::{
    ByStation, Clock, Gathered, Observations, ReadError, ReadOptions, Selection, StationSeries,
    UnixSeconds, Variable,
};

mod account;
mod calendar;
mod cells;
mod error;
mod means;
mod steps;
#[cfg(test)]
mod tests;
mod values;
mod words;
mod work;

pub use account::{SeriesCounts, SeriesReport};
pub use cells::TimeCells;
pub use error::SeriesError;
pub(crate) use values::Point;
pub use words::{Average, BelowLimit, DetectionLimit, Length, MaximumRule, Share, Stamp, Width};

use steps::Distances;
use work::{Known, Outcome, Work};

/// Readings treated at a time: some 8 MB before and as much after.
const BATCH: u64 = 1 << 19;
/// Beyond this share of readings that are no whole number of steps apart the user is warned.
const IRREGULAR: f64 = 0.01;

/// What is done to the series of each station and variable; by default nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Treatment {
    /// Readings below these are replaced; those below minus these are dropped.
    pub detection_limits: Vec<DetectionLimit>,
    /// What comes in the place of readings below the limit.
    pub below_limit: BelowLimit,
    /// Readings that differ by more than so many robust standard deviations from the median of their
    /// neighbours are dropped.
    pub despike: Option<Width>,
    /// Readings are averaged over steps of this length, counted from midnight.
    pub step: Option<Length>,
    /// Gaps with no reading for up to this long are filled in a straight line.
    pub fill_gaps: Option<Length>,
    /// Over what is averaged at last.
    pub average: Option<Average>,
    /// The least share of expected readings that an average needs; default 0.75, or what the
    /// rule of a daily maximum says.
    pub capture: Option<Share>,
    /// What part of its hour a reading's time is.
    pub stamp: Stamp,
    /// Zone of days, months and years: an IANA name or `+08:00`; default: that of the readings.
    pub day_zone: Option<String>,
}

impl Treatment {
    /// Whether anything is to be done.
    #[must_use]
    pub fn is_any(&self) -> bool {
        !self.detection_limits.is_empty() || self.needs_times()
    }

    /// Whether single readings are not enough.
    fn needs_times(&self) -> bool {
        self.despike.is_some()
            || self.step.is_some()
            || self.fill_gaps.is_some()
            || self.average.is_some()
    }

    /// Whether how far apart readings are must be found out.
    fn asks_for_step(&self) -> bool {
        let on_step = self.fill_gaps.is_some() || self.average.is_some();
        self.despike.is_some() || on_step && self.step.is_none()
    }

    /// The detection limit of each variable.
    fn limits(&self, variables: &[Variable]) -> Result<Vec<Option<f64>>, SeriesError> {
        let mut limits = vec![None; variables.len()];
        for wanted in &self.detection_limits {
            let known = variables.iter().position(|variable| variable.name == wanted.variable);
            let Some(known) = known else {
                let names: Vec<&str> = variables.iter().map(|v| v.name.as_str()).collect();
                return Err(SeriesError::UnknownVariable {
                    wanted: wanted.variable.clone(),
                    known: names.join(", "),
                });
            };
            limits[known] = Some(wanted.limit());
        }
        Ok(limits)
    }

    /// Whether results stand for days, months or years.
    fn is_calendar(&self) -> bool {
        !matches!(self.average, None | Some(Average::Running(_)))
    }
}

/// Does what [`ReadOptions::series`] asks for.
///
/// # Errors
/// [`SeriesError`] in [`ReadError`]; a temporary file that fails.
pub(crate) fn treat(
    observations: Observations,
    options: &ReadOptions,
) -> Result<Observations, ReadError> {
    let treatment = &options.series;
    if !treatment.is_any() {
        return Ok(observations);
    }
    let limits = treatment.limits(observations.variables())?;
    let clock = Clock::new(options.zone.as_deref())?;
    let days = Clock::new(treatment.day_zone.as_deref().or(options.zone.as_deref()))?;
    let selecting = if treatment.is_calendar() { &days } else { &clock };
    let selection = Selection::new(&options.times, selecting)?;
    if !observations.has_times() && treatment.needs_times() {
        return Err(SeriesError::NoTimes.into());
    }
    if !observations.has_times() && !options.times.is_empty() {
        return Err(ReadError::NoTimes { name: "what was read".to_owned() });
    }
    let mut readings = ByStation::new(observations, options.spill_bytes)?;
    let found = if treatment.asks_for_step() { find_step(&mut readings)? } else { None };
    let known = Known { times: &readings.times, found, zone: days.zone() };
    let work = Work::new(treatment, limits, known)?;
    let mut results = Results {
        readings: Gathered::new(options.spill_bytes),
        selection,
        seen: None,
        any: false,
        report: SeriesReport {
            steps: work.told(),
            step_seconds: treatment.step.map(Length::seconds).or(found),
            variables: counts_of(&readings.variables),
            spike_examples: Vec::new(),
        },
    };
    each_batch(&readings, |stations, series| {
        let done: Vec<Vec<(usize, Outcome)>> = series
            .into_par_iter()
            .map(|of_station| {
                of_station.into_iter().map(|(v, points)| (v, work.one(v, points))).collect()
            })
            .collect();
        for (station, outcomes) in stations.zip(done) {
            for (variable, outcome) in outcomes {
                results.take(&readings, station, variable, outcome)?;
            }
        }
        Ok(())
    })?;
    let observations = results.finish(readings)?;
    let cells = work.span().zip(cells::method(treatment)).map(|(span, method)| {
        let times = observations.times().iter().flatten();
        TimeCells { bounds: times.map(|time| span.bounds(time.0)).collect(), method }
    });
    Ok(observations.with_time_cells(cells))
}

fn counts_of(variables: &[Variable]) -> Vec<SeriesCounts> {
    let named = |variable: &Variable| SeriesCounts {
        variable: variable.name.clone(),
        ..SeriesCounts::default()
    };
    variables.iter().map(named).collect()
}

/// Hands out the series of as many stations as a batch holds, read in parallel.
fn each_batch(
    readings: &ByStation,
    mut take: impl FnMut(std::ops::Range<usize>, Vec<StationSeries>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut from = 0;
    while from < readings.stations.len() {
        let mut count = readings.count(from);
        let mut to = from + 1;
        while to < readings.stations.len() && count + readings.count(to) <= BATCH {
            count += readings.count(to);
            to += 1;
        }
        let series = (from..to)
            .into_par_iter()
            .map(|station| readings.station(station))
            .collect::<Result<Vec<_>, _>>()?;
        take(from..to, series)?;
        from = to;
    }
    Ok(())
}

/// How far apart readings are; a warning where that is not regular.
fn find_step(readings: &mut ByStation) -> Result<Option<i64>, ReadError> {
    let mut distances = Distances::default();
    each_batch(readings, |_, series| {
        for (_, points) in series.iter().flatten() {
            distances.add(points);
        }
        Ok(())
    })?;
    let step = distances.step();
    let irregular = step.map_or(0.0, |step| distances.irregular(step));
    if let Some(step) = step.filter(|_| irregular > IRREGULAR) {
        readings.report.warnings.push(format!(
            "readings are mostly {} apart, but {:.0} % are no whole number of that after the \
             one before; a step puts them on one grid",
            Length::told(step),
            100.0 * irregular
        ));
    }
    Ok(step)
}

/// What has come out so far.
struct Results {
    readings: Gathered,
    selection: Selection,
    seen: Option<[i64; 2]>,
    any: bool,
    report: SeriesReport,
}

impl Results {
    fn take(
        &mut self,
        readings: &ByStation,
        station: usize,
        variable: usize,
        outcome: Outcome,
    ) -> Result<(), ReadError> {
        self.report.variables[variable].merge(&outcome.counts);
        for spike in outcome.spikes {
            if self.report.spike_examples.len() == account::EXAMPLES {
                break;
            }
            self.report.spike_examples.push(format!(
                "{}, {}, {}: {} where the median is {}",
                readings.stations[station].id,
                readings.variables[variable].name,
                UnixSeconds(spike.point.time),
                spike.point.value,
                spike.median
            ));
        }
        for point in outcome.points {
            let [first, last] = self.seen.unwrap_or([point.time; 2]);
            self.seen = Some([first.min(point.time), last.max(point.time)]);
            if self.selection.takes(UnixSeconds(point.time)) {
                self.any = true;
                self.readings.push(station, variable, point)?;
            }
        }
        Ok(())
    }

    fn finish(self, mut readings: ByStation) -> Result<Observations, ReadError> {
        let Some([first, last]) = self.seen else {
            let sum =
                |count: fn(&SeriesCounts) -> u64| self.report.variables.iter().map(count).sum();
            return Err(ReadError::Series(SeriesError::NothingLeft {
                readings: sum(|c| c.readings),
                too_few: sum(|c| c.too_few),
                dropped: sum(|c| c.faults + c.spikes + c.below_limit),
            }));
        };
        if !self.any {
            let [first, last] = [first, last].map(|time| UnixSeconds(time).to_string());
            return Err(ReadError::NoSuchTime { first, last });
        }
        readings.report.series = Some(self.report);
        readings.rebuilt(self.readings)
    }
}
