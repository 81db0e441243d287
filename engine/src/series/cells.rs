//! What stretch of time each result stands for: CF's bounds of the time axis and cell methods.

use super::Treatment;
use super::means::Stretch;
use super::words::{Average, Stamp};

/// The stretch of time that each time step stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeCells {
    /// Begin and end, in seconds since 1970, of each time step in order.
    pub bounds: Vec<[i64; 2]>,
    /// What was done within them, as CF's `cell_methods` says it.
    pub method: String,
}

/// Finds the stretch of a result by its time.
#[derive(Clone, Debug)]
pub(super) enum Span {
    /// Of this length, from its time on or up to it.
    Even(i64, Stamp),
    /// One of these, by its begin.
    Calendar(Vec<Stretch>),
}

impl Span {
    pub(super) fn bounds(&self, time: i64) -> [i64; 2] {
        match self {
            Self::Even(length, Stamp::Start) => [time, time + length],
            Self::Even(length, Stamp::End) => [time - length, time],
            Self::Calendar(stretches) => {
                let at = stretches.partition_point(|stretch| stretch.begin < time);
                let end = stretches.get(at).map_or(time, |stretch| stretch.end);
                [time, end]
            }
        }
    }
}

/// The methods of a treatment in the words of CF (section 7.3), in the order in which they are done;
/// none where values are of their moment or hour as before.
pub(super) fn method(treatment: &Treatment) -> Option<String> {
    match treatment.average {
        None => treatment.step.map(|_| "time: mean".to_owned()),
        Some(Average::DailyMaximum(_)) => {
            Some("time: mean (running over 8 hours) time: maximum (of the day)".to_owned())
        }
        Some(_) => Some("time: mean".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_stands_for_the_stretch_that_its_time_begins_or_ends() {
        assert_eq!(Span::Even(10, Stamp::Start).bounds(5), [5, 15]);
        assert_eq!(Span::Even(10, Stamp::End).bounds(5), [-5, 5]);
        let stretch = |begin, end| Stretch { begin, end };
        let months = Span::Calendar(vec![stretch(0, 31), stretch(31, 60), stretch(91, 121)]);
        assert_eq!([0, 31, 91].map(|time| months.bounds(time)[1]), [31, 60, 121]);
    }
}
