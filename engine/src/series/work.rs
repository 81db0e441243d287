//! All that is done to the series of one station and variable, settled once for all of them.

use jiff::tz::TimeZone;

use super::account::SeriesCounts;
use super::cells::Span;
use super::error::SeriesError;
use super::means::{DailyMaximum, Means, Running, Stretch, calendar};
use super::steps::{Grid, fill, position};
use super::values::{Point, Spike, censor, take_spikes};
use super::words::{Average, Length, MaximumRule, Share, Stamp};
use super::{Treatment, calendar as stretches};

/// Steps of a window at most: more than a year of hours.
const WINDOW_STEPS: i64 = 10_000;
/// Steps of a gap at most.
const GAP_STEPS: i64 = 1000;
/// Means that one reading may give at most, where few readings make a mean.
const MEANS_OF_ONE: i64 = 100;
const HOUR: i64 = 3600;

/// What is known of the readings before any series is touched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// Times of all readings, ascending, at least one.
    pub(super) times: &'a [i64],
    /// How far apart readings are, where somebody needs it.
    pub(super) found: Option<i64>,
    /// Zone of days.
    pub(super) zone: &'a TimeZone,
}

/// What is done to one series.
#[derive(Debug)]
pub(super) struct Work<'a> {
    treatment: &'a Treatment,
    /// By variable.
    limits: Vec<Option<f64>>,
    found: Option<i64>,
    grid: Option<Grid>,
    fill: Option<(i64, i64)>,
    mean: Option<Mean>,
}

#[derive(Debug)]
enum Mean {
    Running(Running),
    Calendar { stretches: Vec<Stretch>, step: i64, share: Share, stamp: Stamp },
    Maximum { days: Vec<Stretch>, maximum: DailyMaximum, share: Option<Share> },
}

/// What one series became.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) points: Vec<Point>,
    pub(super) counts: SeriesCounts,
    pub(super) spikes: Vec<Spike>,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        treatment: &'a Treatment,
        limits: Vec<Option<f64>>,
        known: Known<'_>,
    ) -> Result<Self, SeriesError> {
        let [first, last] = [known.times[0], known.times[known.times.len() - 1]];
        let grid = match treatment.step {
            None => None,
            Some(step) => Some(Grid {
                step: step.seconds(),
                offset: stretches::offset(first, known.zone)?,
                stamp: treatment.stamp,
            }),
        };
        let step = grid.map(|grid| grid.step).or(known.found);
        let need = || step.ok_or(SeriesError::NoStep);
        let fill = match treatment.fill_gaps {
            None => None,
            Some(gap) => Some((need()?, within("a gap", gap, need()?, GAP_STEPS)?)),
        };
        let on_grid = |time: i64| grid.map_or(time, |grid| grid.time(time));
        let mean = match treatment.average {
            None => None,
            Some(average) => {
                let positions =
                    known.times.iter().map(|&time| position(on_grid(time), treatment.stamp));
                let range = [on_grid(first), on_grid(last)];
                Some(mean(treatment, average, need()?, range, || {
                    stretches::stretches(positions, average, known.zone)
                })?)
            }
        };
        Ok(Self { treatment, limits, found: known.found, grid, fill, mean })
    }

    /// What was done, for people, in this order.
    pub(super) fn told(&self) -> Vec<String> {
        let treatment = self.treatment;
        let mut told: Vec<String> = Vec::new();
        for limit in &treatment.detection_limits {
            told.push(format!("detection limit of {}: {}", limit.variable, limit.limit()));
        }
        if let Some(width) = treatment.despike {
            told.push(format!("spikes beyond {} robust standard deviations dropped", width.get()));
        }
        if let Some(step) = treatment.step {
            told.push(format!("mean of every {step}"));
        }
        if let Some(gap) = treatment.fill_gaps {
            told.push(format!("gaps up to {gap} filled"));
        }
        if let (Some(average), Some(mean)) = (treatment.average, &self.mean) {
            told.push(format!("{average}, {}", mean.told()));
        }
        told
    }

    /// The stretch that a result stands for; none where times are as received.
    pub(super) fn span(&self) -> Option<Span> {
        let stamp = self.treatment.stamp;
        match (&self.mean, self.grid) {
            (Some(Mean::Running(running)), _) => Some(Span::Even(running.window, stamp)),
            (Some(Mean::Calendar { stretches, .. }), _)
            | (Some(Mean::Maximum { days: stretches, .. }), _) => {
                Some(Span::Calendar(stretches.clone()))
            }
            (None, Some(grid)) => Some(Span::Even(grid.step, stamp)),
            (None, None) => None,
        }
    }

    /// Does it. `points` are in order of time.
    pub(super) fn one(&self, variable: usize, mut points: Vec<Point>) -> Outcome {
        let mut counts = SeriesCounts { readings: points.len() as u64, ..SeriesCounts::default() };
        if let Some(limit) = self.limits[variable] {
            let censored = censor(&mut points, limit, self.treatment.below_limit);
            (counts.below_limit, counts.faults) = (censored.below, censored.faults);
        }
        let mut spikes = Vec::new();
        if let (Some(width), Some(step)) = (self.treatment.despike, self.found) {
            spikes = take_spikes(&mut points, step, width.get());
            counts.spikes = spikes.len() as u64;
        }
        if let Some(grid) = self.grid {
            points = grid.resample(&points);
        }
        if let Some((step, longest)) = self.fill {
            counts.filled = fill(&mut points, step, longest);
        }
        if let Some(mean) = &self.mean {
            let means = mean.of(&points);
            counts.too_few = means.too_few;
            points = means.points;
        }
        counts.values = points.len() as u64;
        Outcome { points, counts, spikes }
    }
}

fn mean(
    treatment: &Treatment,
    average: Average,
    step: i64,
    range: [i64; 2],
    stretches: impl FnOnce() -> Result<Vec<Stretch>, SeriesError>,
) -> Result<Mean, SeriesError> {
    let share = treatment.capture.unwrap_or(Share::USUAL);
    let stamp = treatment.stamp;
    Ok(match average {
        Average::Running(window) => {
            let length = within("a window", window, step, WINDOW_STEPS)?;
            if length % step != 0 {
                return Err(unfit(window, step));
            }
            let needed = share.of(length / step);
            if length / step > needed * MEANS_OF_ONE {
                let window = window.to_string();
                return Err(SeriesError::Thin { window, steps: length / step, needed });
            }
            Mean::Running(Running { window: length, step, needed, stamp, range })
        }
        Average::Day if step > 24 * HOUR => return Err(unfit(Length::DAY, step)),
        Average::Day | Average::Month | Average::Year => {
            Mean::Calendar { stretches: stretches()?, step, share, stamp }
        }
        Average::DailyMaximum(_) if step != HOUR => {
            return Err(SeriesError::NotHourly { step: Length::told(step) });
        }
        Average::DailyMaximum(rule) => {
            let maximum = DailyMaximum { rule, stamp, hours_needed: share.of(8) };
            Mean::Maximum { days: stretches()?, maximum, share: treatment.capture }
        }
    })
}

fn unfit(window: Length, step: i64) -> SeriesError {
    SeriesError::Window { window: window.to_string(), step: Length::told(step) }
}

/// The length in seconds, unless it has too many steps.
fn within(what: &'static str, length: Length, step: i64, limit: i64) -> Result<i64, SeriesError> {
    let steps = length.seconds() / step;
    if steps > limit {
        let (span, step) = (length.to_string(), Length::told(step));
        return Err(SeriesError::TooManySteps { what, span, steps, step, limit });
    }
    Ok(length.seconds())
}

impl Mean {
    fn of(&self, points: &[Point]) -> Means {
        match self {
            Self::Running(running) => running.of(points),
            Self::Calendar { stretches, step, share, stamp } => {
                let expected = |stretch: Stretch| ((stretch.end - stretch.begin) / step).max(1);
                calendar(points, *stamp, stretches, |stretch| share.of(expected(stretch)))
            }
            Self::Maximum { days, maximum, share } => {
                let needed = |means| needed_means(maximum.rule, *share, means);
                maximum.of(points, days, needed)
            }
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Running(running) => {
                format!(
                    "of at least {} of {} readings",
                    running.needed,
                    running.window / running.step
                )
            }
            Self::Calendar { step, share, .. } => {
                format!(
                    "of at least {} of its readings, {} apart",
                    share.told(),
                    Length::told(*step)
                )
            }
            Self::Maximum { maximum, share, .. } => {
                let means = maximum.rule.means(24);
                let needed = needed_means(maximum.rule, *share, means);
                format!(
                    "of at least {needed} of {means} means of at least {} of 8 hours",
                    maximum.hours_needed
                )
            }
        }
    }
}

fn needed_means(rule: MaximumRule, share: Option<Share>, means: i64) -> i64 {
    share.map_or_else(|| rule.needed(means), |share| share.of(means))
}
