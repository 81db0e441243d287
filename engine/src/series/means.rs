//! Means of windows, with the least number of readings that each needs.

use super::steps::position;
use super::values::Point;
use super::words::{MaximumRule, Stamp};

/// Sums up to each reading, from which the mean of any stretch follows: kept as two numbers each, so
/// that differences lose no digit (compensated summation: Ogita, Rump & Oishi 2005,
/// doi:10.1137/030601818).
#[derive(Debug)]
pub(super) struct Sums<'a> {
    points: &'a [Point],
    sums: Vec<[f64; 2]>,
}

impl<'a> Sums<'a> {
    pub(super) fn new(points: &'a [Point]) -> Self {
        let mut sums = Vec::with_capacity(points.len() + 1);
        let [mut high, mut low] = [0.0, 0.0];
        sums.push([high, low]);
        for point in points {
            let [sum, error] = add(high, point.value);
            [high, low] = add(sum, low + error);
            sums.push([high, low]);
        }
        Self { points, sums }
    }

    /// The mean of readings `from..to`, at least one.
    #[expect(clippy::cast_precision_loss, reason = "a number of readings")]
    pub(super) fn mean(&self, from: usize, to: usize) -> f64 {
        let n = (to - from) as f64;
        let ([a, a_low], [b, b_low]) = (self.sums[from], self.sums[to]);
        let [sum, error] = add(b, -a);
        let [high, low] = add(sum, error + (b_low - a_low));
        let quotient = high / n;
        // What the quotient leaves, so that the mean of equal readings is that reading.
        let mean = quotient + ((-quotient).mul_add(n, high) + low) / n;
        if mean.is_finite() {
            return mean;
        }
        // The sum is beyond all numbers, the mean is not.
        self.points[from..to].iter().map(|point| point.value / n).sum()
    }
}

/// A sum and what rounding took from it (Knuth).
fn add(a: f64, b: f64) -> [f64; 2] {
    let sum = a + b;
    let part = sum - a;
    [sum, (a - (sum - part)) + (b - part)]
}

/// Looks at windows whose ends never go back.
struct Windows<'a> {
    points: &'a [Point],
    stamp: Stamp,
    sums: Sums<'a>,
    from: usize,
    to: usize,
}

impl<'a> Windows<'a> {
    fn new(points: &'a [Point], stamp: Stamp) -> Self {
        Self { points, stamp, sums: Sums::new(points), from: 0, to: 0 }
    }

    /// Position of the next reading after the last window.
    fn next(&self) -> Option<i64> {
        self.points.get(self.to).map(|point| position(point.time, self.stamp))
    }

    /// Moves to `begin..end` and says how many readings lie there.
    fn count(&mut self, begin: i64, end: i64) -> i64 {
        let before = |index: usize, bound: i64| {
            self.points.get(index).is_some_and(|point| position(point.time, self.stamp) < bound)
        };
        while before(self.from, begin) {
            self.from += 1;
        }
        self.to = self.to.max(self.from);
        while before(self.to, end) {
            self.to += 1;
        }
        i64::try_from(self.to - self.from).unwrap_or(i64::MAX)
    }

    fn mean(&self) -> f64 {
        self.sums.mean(self.from, self.to)
    }
}

/// Means and the windows that had too few readings for one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Means {
    pub(super) points: Vec<Point>,
    pub(super) too_few: u64,
}

impl Means {
    fn take(&mut self, time: i64, enough: bool, value: impl FnOnce() -> f64) {
        if enough {
            self.points.push(Point { time, value: value() });
        } else {
            self.too_few += 1;
        }
    }
}

/// A running mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    pub(super) window: i64,
    pub(super) step: i64,
    /// Readings that a window needs.
    pub(super) needed: i64,
    pub(super) stamp: Stamp,
    /// First and last time of all readings: no mean is given outside.
    pub(super) range: [i64; 2],
}

impl Running {
    /// A mean at every step of the series' own rhythm whose window holds enough readings: of the
    /// hours up to it where readings bear the end of their hour, else of those from it on.
    pub(super) fn of(self, points: &[Point]) -> Means {
        let mut means = Means::default();
        let Some(first) = points.first() else { return means };
        let on_rhythm = |at: i64| at + (first.time - at).rem_euclid(self.step);
        // From the begin of a window to the time that stands for it.
        let to_time = match self.stamp {
            Stamp::Start => 0,
            Stamp::End => self.window,
        };
        let [earliest, latest] = self.range.map(|time| time - to_time);
        let mut windows = Windows::new(points, self.stamp);
        let mut begin = on_rhythm(earliest);
        while begin <= latest {
            let count = windows.count(begin, begin + self.window);
            begin = match (count, windows.next()) {
                (0, None) => break,
                // Nothing here: go on to the first window that reaches the next reading.
                (0, Some(next)) => on_rhythm((begin + 1).max(next - self.window + 1)),
                _ => {
                    means.take(begin + to_time, count >= self.needed, || windows.mean());
                    begin + self.step
                }
            };
        }
        means
    }
}

/// A stretch of the calendar: seconds since 1970, its end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) begin: i64,
    pub(super) end: i64,
}

/// The mean of each stretch that has a reading, at its begin; `needed` says how many readings a
/// stretch needs.
pub(super) fn calendar(
    points: &[Point],
    stamp: Stamp,
    stretches: &[Stretch],
    needed: impl Fn(Stretch) -> i64,
) -> Means {
    let mut means = Means::default();
    let mut windows = Windows::new(points, stamp);
    for &stretch in stretches {
        let count = windows.count(stretch.begin, stretch.end);
        if count > 0 {
            means.take(stretch.begin, count >= needed(stretch), || windows.mean());
        }
    }
    means
}

const HOUR: i64 = 3600;

/// The largest 8-hour mean of each day, from hourly readings.
#[derive(Clone, Copy, Debug)]
pub(super) struct DailyMaximum {
    pub(super) rule: MaximumRule,
    pub(super) stamp: Stamp,
    /// Of eight readings.
    pub(super) hours_needed: i64,
}

impl DailyMaximum {
    /// At the begin of each day; `needed` of so many 8-hour means.
    pub(super) fn of(
        self,
        points: &[Point],
        days: &[Stretch],
        needed: impl Fn(i64) -> i64,
    ) -> Means {
        let mut means = Means::default();
        let mut windows = Windows::new(points, self.stamp);
        for day in days {
            let number = self.rule.means((day.end - day.begin) / HOUR);
            let first = day.begin + self.rule.first_hour() * HOUR;
            let (mut any, mut valid, mut largest) = (false, 0, f64::NEG_INFINITY);
            for k in 0..number {
                let begin = first + k * HOUR;
                let count = windows.count(begin, begin + 8 * HOUR);
                any |= count > 0;
                if count >= self.hours_needed {
                    valid += 1;
                    largest = largest.max(windows.mean());
                }
            }
            if any {
                means.take(day.begin, valid >= needed(number), || largest);
            }
        }
        means
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 24 * HOUR;

    fn hours(list: impl IntoIterator<Item = (i64, f64)>) -> Vec<Point> {
        list.into_iter().map(|(hour, value)| Point { time: HOUR * hour, value }).collect()
    }

    fn told(means: &Means) -> Vec<(i64, f64)> {
        means.points.iter().map(|point| (point.time / HOUR, point.value)).collect()
    }

    fn running(window: i64, needed: i64, stamp: Stamp, last: i64) -> Running {
        Running { window: window * HOUR, step: HOUR, needed, stamp, range: [0, last * HOUR] }
    }

    #[test]
    fn a_running_mean_looks_back_from_ends_and_forward_from_starts() {
        let points = hours([(0, 1.0), (1, 2.0), (2, 6.0), (4, 8.0)]);
        // Two of three hours: by hand.
        let back = running(3, 2, Stamp::End, 4).of(&points);
        assert_eq!(told(&back), [(1, 1.5), (2, 3.0), (3, 4.0), (4, 7.0)]);
        assert_eq!(back.too_few, 1);
        let forward = running(3, 2, Stamp::Start, 4).of(&points);
        assert_eq!(told(&forward), [(0, 3.0), (1, 4.0), (2, 7.0)]);
        assert_eq!(forward.too_few, 2);
    }

    #[test]
    fn a_long_silence_costs_no_windows() {
        let points = hours([(0, 1.0), (1_000_000_000, 3.0), (1_000_000_001, 5.0)]);
        let means = running(3, 1, Stamp::End, 1_000_000_001).of(&points);
        let want = [(0, 1.0), (1, 1.0), (2, 1.0), (1_000_000_000, 3.0), (1_000_000_001, 4.0)];
        assert_eq!(told(&means), want);
    }

    #[test]
    fn a_day_of_ends_is_from_one_to_twenty_four() {
        let points = hours((0..=48).map(|hour| (hour, hour as f64)));
        let days = [0, 1, 2].map(|day| Stretch { begin: day * DAY, end: (day + 1) * DAY });
        let starts = calendar(&points, Stamp::Start, &days, |_| 18);
        assert_eq!((told(&starts), starts.too_few), (vec![(0, 11.5), (24, 35.5)], 1));
        let ends = calendar(&points, Stamp::End, &days, |_| 18);
        // Hour 0 is of the day before, which is not asked for.
        assert_eq!((told(&ends), ends.too_few), (vec![(0, 12.5), (24, 36.5)], 0));
    }

    #[test]
    fn the_three_rules_of_the_daily_maximum_look_at_different_hours() {
        // Two days; a block of 8 hours of 80 from 20:00 of the first on, else 8.
        let block = |hour| if (20..28).contains(&hour) { 80.0 } else { 8.0 };
        let points = hours((0..48).map(|hour| (hour, block(hour))));
        let days = [0, 1].map(|day| Stretch { begin: day * DAY, end: (day + 1) * DAY });
        let of = |rule: MaximumRule| {
            let maximum = DailyMaximum { rule, stamp: Stamp::Start, hours_needed: 6 };
            let means = maximum.of(&points, &days, |number| rule.needed(number));
            (told(&means), means.too_few)
        };
        // Four of the hours 16 to 24 have 80; of the next day the mean that ends at 04:00 all.
        // The first means of the first day reach before the data: 19 of 24 have six hours.
        assert_eq!(of(MaximumRule::Eu), (vec![(0, 44.0), (24, 80.0)], 0));
        // From 20:00 to 04:00 belongs to the day of its begin; the last means of the second day
        // lack hours: those from 07:00 to 18:00 have six, 12 of 17, one too few.
        assert_eq!(of(MaximumRule::Us), (vec![(0, 80.0)], 1));
        // The first mean of the second day begins at midnight.
        assert_eq!(of(MaximumRule::Cn), (vec![(0, 44.0), (24, 44.0)], 0));
    }

    #[test]
    fn a_day_with_too_few_means_has_no_maximum() {
        // With hours 0 … 20 the means that end from 06:00 to 23:00 have six: 18 of them.
        let day = [Stretch { begin: 0, end: DAY }];
        let maximum = DailyMaximum { rule: MaximumRule::Eu, stamp: Stamp::Start, hours_needed: 6 };
        let of = |last: i64| {
            let points = hours((0..=last).map(|hour| (hour, 1.0)));
            maximum.of(&points, &day, |number| MaximumRule::Eu.needed(number))
        };
        assert_eq!((told(&of(20)), of(20).too_few), (vec![(0, 1.0)], 0));
        assert_eq!((told(&of(19)), of(19).too_few), (vec![], 1));
    }

    #[test]
    fn the_mean_of_numbers_whose_sum_is_too_large_is_a_number() {
        let points = hours([(0, 1.5e308), (1, 1.5e308), (2, 0.75e308)]);
        let mean = Sums::new(&points).mean(0, 3);
        assert!((mean / 1.25e308 - 1.0).abs() < 1e-15, "{mean}");
    }

    proptest! {
        #[test]
        fn averaging_a_constant_gives_the_constant_bit_by_bit(
            constant in prop::num::f64::NORMAL.prop_filter("sums", |c| c.abs() < 1e300),
            present in prop::collection::btree_set(0..200_i64, 1..100),
            window in 1..30_i64,
        ) {
            let points = hours(present.into_iter().map(|hour| (hour, constant)));
            for stamp in [Stamp::Start, Stamp::End] {
                for point in running(window, 1, stamp, 300).of(&points).points {
                    prop_assert_eq!(point.value.to_bits(), constant.to_bits());
                }
            }
        }

        #[test]
        fn a_window_of_one_step_is_the_identity(
            series in prop::collection::btree_map(0..500_i64, -1e9..1e9_f64, 1..100),
        ) {
            let points = hours(series);
            for stamp in [Stamp::Start, Stamp::End] {
                prop_assert_eq!(&running(1, 1, stamp, 500).of(&points).points, &points);
            }
        }

        #[test]
        fn running_means_are_those_of_the_definition_and_none_is_lost(
            series in prop::collection::btree_map(0..80_i64, -1e3..1e3_f64, 1..60),
            window in 1..12_i64,
            needed in 1..6_i64,
        ) {
            let points = hours(series.clone());
            let means = running(window, needed, Stamp::End, 90).of(&points);
            let mut want = Vec::new();
            for end in 0..=90 {
                let members: Vec<f64> =
                    series.range(end - window + 1..=end).map(|(_, value)| *value).collect();
                if i64::try_from(members.len()).expect("a few") >= needed {
                    want.push((end, members.iter().sum::<f64>() / members.len() as f64));
                }
            }
            let got = told(&means);
            prop_assert_eq!(got.len(), want.len());
            for ((hour, mean), (end, plain)) in got.iter().zip(&want) {
                prop_assert_eq!(hour, end);
                // A plain sum of 12 numbers below 1e3 rounds to about 12 · 1e3 · 2^-53.
                prop_assert!((mean - plain).abs() < 1e-11);
            }
        }
    }
}
