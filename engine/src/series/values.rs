//! Readings of one station and variable in order of time, one by one: detection limits (Hornung &
//! Reed 1990, doi:10.1080/1047322X.1990.10389587) and spikes (Hampel 1974, doi:10.2307/2285666).

use super::words::BelowLimit;

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// Seconds since 1970, UTC.
    pub(crate) time: i64,
    pub(crate) value: f64,
}

/// What the detection limit did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Censored {
    /// Below the limit.
    pub(super) below: u64,
    /// So far below zero that it is no noise.
    pub(super) faults: u64,
}

/// Puts the substitute in place of readings below the limit. Noise about zero is as wide as the limit,
/// so what lies below minus the limit is an instrument's fault and is dropped.
pub(super) fn censor(points: &mut Vec<Point>, limit: f64, below: BelowLimit) -> Censored {
    let mut counts = Censored::default();
    let substitute = match below {
        BelowLimit::Half => Some(limit / 2.0),
        BelowLimit::Root2 => Some(limit * std::f64::consts::FRAC_1_SQRT_2),
        BelowLimit::Drop => None,
    };
    points.retain_mut(|point| {
        if point.value < -limit {
            counts.faults += 1;
            return false;
        }
        if point.value >= limit {
            return true;
        }
        counts.below += 1;
        point.value = substitute.unwrap_or(point.value);
        substitute.is_some()
    });
    counts
}

/// Readings looked at on either side of one.
const SIDE: usize = 3;
/// And how far they may be, in steps.
const SIDE_STEPS: i64 = 3;
/// With fewer readings than this in its window one is not judged.
const LEAST: usize = 5;
/// Makes the median absolute deviation of a normal distribution its standard deviation.
const CONSISTENCY: f64 = 1.4826;

/// A reading that is none of its neighbours' kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spike {
    pub(super) point: Point,
    /// Median of its window.
    pub(super) median: f64,
}

/// Takes out readings that differ from the median of their window by more than `width` robust
/// standard deviations: 1.4826 times the median absolute deviation of the window, but not less than
/// the last digit that the readings are written with. The window is the reading itself and up to
/// three on either side, none further than three steps; all are judged by the readings as they
/// came, before any is taken out.
pub(super) fn take_spikes(points: &mut Vec<Point>, step: i64, width: f64) -> Vec<Spike> {
    let floor = last_digit(points);
    let reach = step.saturating_mul(SIDE_STEPS);
    let judge = |at: usize| {
        let point = points[at];
        let near = |other: &Point| (other.time - point.time).abs() <= reach;
        let window = &points[at.saturating_sub(SIDE)..points.len().min(at + SIDE + 1)];
        let mut values = [0.0; 2 * SIDE + 1];
        let mut count = 0;
        for other in window.iter().filter(|other| near(other)) {
            values[count] = other.value;
            count += 1;
        }
        let values = &mut values[..count];
        if count < LEAST {
            return None;
        }
        let median = median(values);
        values.iter_mut().for_each(|value| *value = (*value - median).abs());
        let deviation = (CONSISTENCY * self::median(values)).max(floor);
        ((point.value - median).abs() > width * deviation).then_some(Spike { point, median })
    };
    let spikes: Vec<Spike> = (0..points.len()).filter_map(judge).collect();
    let mut next = spikes.iter().peekable();
    points.retain(|point| next.next_if(|spike| spike.point.time == point.time).is_none());
    spikes
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}

/// 1 for whole numbers, 0.1 for those with one digit behind the point, and so on; 0 beyond six.
fn last_digit(points: &[Point]) -> f64 {
    let written_with = |scale: f64| {
        // 2.455 × 1000 is not quite 2455 in binary.
        let whole = |scaled: f64| (scaled - scaled.round()).abs() <= 1e-6;
        points.iter().all(|point| whole(point.value * scale))
    };
    (0..=6)
        .map(|digits| 10.0_f64.powi(digits))
        .find(|&scale| written_with(scale))
        .map_or(0.0, f64::recip)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hourly(values: &[f64]) -> Vec<Point> {
        (0..).zip(values).map(|(hour, &value)| Point { time: 3600 * hour, value }).collect()
    }

    fn values(points: &[Point]) -> Vec<f64> {
        points.iter().map(|point| point.value).collect()
    }

    #[test]
    fn below_the_limit_comes_a_substitute_and_far_below_zero_nothing() {
        let readings = [5.0, 2.0, 1.9, 0.0, -2.0, -2.1, -8.0];
        for (rule, want) in [
            (BelowLimit::Half, &[5.0, 2.0, 1.0, 1.0, 1.0][..]),
            (BelowLimit::Root2, &[5.0, 2.0, 2.0_f64.sqrt(), 2.0_f64.sqrt(), 2.0_f64.sqrt()]),
            (BelowLimit::Drop, &[5.0, 2.0]),
        ] {
            let mut points = hourly(&readings);
            let counts = censor(&mut points, 2.0, rule);
            assert_eq!(counts, Censored { below: 3, faults: 2 });
            assert_eq!(points.len(), want.len());
            for (got, want) in values(&points).iter().zip(want) {
                assert!((got - want).abs() < 1e-15, "{rule:?}: {got} is not {want}");
            }
        }
    }

    #[test]
    fn a_spike_is_taken_out_and_a_ramp_a_plateau_and_an_edge_are_not() {
        // By hand: window 12 … 15 with 985: median 14, deviations 2 1 1 0 1 1 971, MAD 1.
        let mut points = hourly(&[11.0, 12.0, 13.0, 985.0, 13.0, 15.0, 15.0, 16.0]);
        let spikes = take_spikes(&mut points, 3600, 5.0);
        assert_eq!(spikes.len(), 1);
        assert_eq!((spikes[0].point.value, spikes[0].median), (985.0, 13.0));
        assert_eq!(values(&points), [11.0, 12.0, 13.0, 13.0, 15.0, 15.0, 16.0]);
        for calm in [
            [0.0, 100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0],
            [10.0, 10.0, 10.0, 90.0, 90.0, 90.0, 90.0, 90.0],
            [990.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0],
            // One more than the constant: a change of the last digit is no spike.
            [5.0, 5.0, 5.0, 6.0, 5.0, 5.0, 5.0, 5.0],
        ] {
            let mut points = hourly(&calm);
            assert_eq!(take_spikes(&mut points, 3600, 5.0), [], "{calm:?}");
            assert_eq!(values(&points), calm);
        }
        let mut stuck = hourly(&[5.0, 5.0, 5.0, 900.0, 5.0, 5.0, 5.0]);
        assert_eq!(take_spikes(&mut stuck, 3600, 5.0).len(), 1);
    }

    #[test]
    fn readings_beyond_a_gap_are_no_neighbours() {
        let mut points = hourly(&[10.0, 11.0, 12.0, 500.0, 12.0, 11.0, 10.0]);
        for (day, point) in (0..).zip(&mut points) {
            point.time = 3600 * 24 * day;
        }
        let before = points.clone();
        assert_eq!(take_spikes(&mut points, 3600, 5.0), []);
        assert_eq!(points, before);
        assert_eq!(take_spikes(&mut points, 86_400, 5.0).len(), 1);
    }

    #[test]
    fn the_last_digit_is_that_of_all_readings() {
        for (readings, digit) in [
            (&[5.0, 900.0][..], 1.0),
            (&[2.455, 1.1, 3.0], 0.001),
            (&[0.1, 7.0], 0.1),
            (&[std::f64::consts::PI], 0.0),
            (&[], 1.0),
        ] {
            assert!((last_digit(&hourly(readings)) - digit).abs() < 1e-12, "{readings:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_left_and_what_was_taken_are_the_readings(
            readings in prop::collection::vec(-50..500_i32, 0..60), width in 0.5..8.0_f64,
        ) {
            let readings: Vec<f64> = readings.into_iter().map(f64::from).collect();
            let mut left = hourly(&readings);
            let taken = take_spikes(&mut left, 3600, width);
            let mut all: Vec<Point> = left.iter().copied().chain(taken.iter().map(|s| s.point)).collect();
            all.sort_by_key(|point| point.time);
            prop_assert_eq!(all, hourly(&readings));
            for spike in taken {
                prop_assert!((spike.point.value - spike.median).abs() > width);
            }
        }
    }
}
