//! Readings on a regular step: how far apart they are, the mean of each step, short gaps filled.

use std::collections::BTreeMap;

use super::means::Sums;
use super::values::Point;
use super::words::Stamp;

/// Different distances kept; irregular readings have many.
const KINDS: usize = 4096;

/// How far apart neighbouring readings are, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Distances {
    counts: BTreeMap<i64, u64>,
    total: u64,
}

impl Distances {
    pub(super) fn add(&mut self, points: &[Point]) {
        for pair in points.windows(2) {
            let distance = pair[1].time - pair[0].time;
            self.total += 1;
            if self.counts.len() < KINDS || self.counts.contains_key(&distance) {
                *self.counts.entry(distance).or_default() += 1;
            }
        }
    }

    /// The most frequent distance, the shorter of two that are equally frequent.
    pub(super) fn step(&self) -> Option<i64> {
        let mut best: Option<(i64, u64)> = None;
        for (&distance, &count) in &self.counts {
            if best.is_none_or(|(_, most)| count > most) {
                best = Some((distance, count));
            }
        }
        best.map(|(distance, _)| distance)
    }

    /// The share of distances that are no whole number of steps.
    #[expect(clippy::cast_precision_loss, reason = "told to a per cent")]
    pub(super) fn irregular(&self, step: i64) -> f64 {
        let regular: u64 =
            self.counts.iter().filter(|(distance, _)| *distance % step == 0).map(|(_, n)| n).sum();
        if self.total == 0 { 0.0 } else { 1.0 - regular as f64 / self.total as f64 }
    }
}

/// Where a reading lies: a time that is the end of an hour belongs to the hour before.
pub(super) fn position(time: i64, stamp: Stamp) -> i64 {
    match stamp {
        Stamp::Start => time,
        Stamp::End => time - 1,
    }
}

/// Steps that are counted from midnight of a zone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) step: i64,
    /// Seconds east of Greenwich.
    pub(super) offset: i64,
    pub(super) stamp: Stamp,
}

impl Grid {
    /// The time that stands for the step in which a reading lies.
    pub(super) fn time(self, time: i64) -> i64 {
        let local = position(time, self.stamp) + self.offset;
        let begin = local.div_euclid(self.step) * self.step - self.offset;
        match self.stamp {
            Stamp::Start => begin,
            Stamp::End => begin + self.step,
        }
    }

    /// The mean of the readings of each step that has any.
    pub(super) fn resample(self, points: &[Point]) -> Vec<Point> {
        let sums = Sums::new(points);
        let mut means = Vec::new();
        let mut from = 0;
        while from < points.len() {
            let time = self.time(points[from].time);
            let same = points[from..].iter().take_while(|point| self.time(point.time) == time);
            let to = from + same.count();
            means.push(Point { time, value: sums.mean(from, to) });
            from = to;
        }
        means
    }
}

/// Fills gaps between neighbours in a straight line; `longest` bounds the time without readings.
/// Gaps that are no whole number of steps stay. Returns how many readings were added.
pub(super) fn fill(points: &mut Vec<Point>, step: i64, longest: i64) -> u64 {
    let mut filled = Vec::with_capacity(points.len());
    for (index, &point) in points.iter().enumerate() {
        filled.push(point);
        let Some(next) = points.get(index + 1) else { break };
        let distance = next.time - point.time;
        if distance % step != 0 || distance - step > longest {
            continue;
        }
        for k in 1..distance / step {
            let time = point.time + k * step;
            filled.push(Point { time, value: between(point, *next, time) });
        }
    }
    let added = (filled.len() - points.len()) as u64;
    *points = filled;
    added
}

#[expect(clippy::cast_precision_loss, reason = "seconds between two readings, far below 2^53")]
fn between(before: Point, after: Point, time: i64) -> f64 {
    let share = (time - before.time) as f64 / (after.time - before.time) as f64;
    let rise = after.value - before.value;
    if rise.is_finite() {
        before.value + rise * share
    } else {
        before.value * (1.0 - share) + after.value * share
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points(readings: &[(i64, f64)]) -> Vec<Point> {
        readings.iter().map(|&(time, value)| Point { time, value }).collect()
    }

    #[test]
    fn the_step_is_the_most_frequent_distance_and_the_rest_is_told() {
        let mut distances = Distances::default();
        distances.add(&points(&[(0, 1.0), (3600, 1.0), (7200, 1.0), (14_400, 1.0)]));
        distances.add(&points(&[(1800, 1.0), (5400, 1.0), (5700, 1.0)]));
        assert_eq!(distances.step(), Some(3600));
        assert!((distances.irregular(3600) - 0.2).abs() < 1e-15);
        assert_eq!(Distances::default().step(), None);
    }

    #[test]
    fn readings_of_a_step_become_their_mean_at_its_start_or_end() {
        let readings = points(&[(0, 1.0), (600, 2.0), (3599, 6.0), (3600, 8.0), (9000, 5.0)]);
        let grid = |stamp| Grid { step: 3600, offset: 0, stamp };
        let starts = grid(Stamp::Start).resample(&readings);
        assert_eq!(starts, points(&[(0, 3.0), (3600, 8.0), (7200, 5.0)]));
        // The reading at 0 is of the hour before, that at 3600 of the first.
        let ends = grid(Stamp::End).resample(&readings);
        assert_eq!(ends, points(&[(0, 1.0), (3600, 16.0 / 3.0), (10_800, 5.0)]));
    }

    #[test]
    fn steps_begin_at_midnight_of_the_zone() {
        let grid = Grid { step: 86_400, offset: 8 * 3600, stamp: Stamp::Start };
        assert_eq!(grid.time(0), -8 * 3600);
        assert_eq!(grid.time(16 * 3600 - 1), -8 * 3600);
        assert_eq!(grid.time(16 * 3600), 16 * 3600);
    }

    #[test]
    fn gaps_up_to_the_longest_are_filled_in_a_line_and_ends_never() {
        let hours = |list: &[(i64, f64)]| {
            points(&list.iter().map(|&(hour, value)| (3600 * hour, value)).collect::<Vec<_>>())
        };
        let mut series = hours(&[(0, 1.0), (1, 2.0), (5, 10.0), (10, 0.0)]);
        // Three readings lack after the second, four after the third.
        assert_eq!(fill(&mut series, 3600, 3 * 3600), 3);
        let want = hours(&[(0, 1.0), (1, 2.0), (2, 4.0), (3, 6.0), (4, 8.0), (5, 10.0), (10, 0.0)]);
        assert_eq!(series, want);
        let mut uneven = points(&[(0, 1.0), (5400, 2.0)]);
        assert_eq!(fill(&mut uneven, 3600, 36_000), 0);
    }

    proptest! {
        #[test]
        fn filled_readings_lie_between_their_neighbours(
            hours in prop::collection::btree_map(0..60_i64, -1e6..1e6_f64, 0..40),
            longest in 0..20_i64,
        ) {
            let list: Vec<_> = hours.iter().map(|(&hour, &value)| (3600 * hour, value)).collect();
            let before = points(&list);
            let mut after = before.clone();
            let added = fill(&mut after, 3600, 3600 * longest);
            prop_assert_eq!(after.len() as u64, before.len() as u64 + added);
            for pair in after.windows(2) {
                let gap = (pair[1].time - pair[0].time) / 3600 - 1;
                prop_assert!(gap == 0 || gap > longest);
            }
            for point in &after {
                let left = before.iter().rev().find(|p| p.time <= point.time).expect("no end is new");
                let right = before.iter().find(|p| p.time >= point.time).expect("no end is new");
                let (low, high) = (left.value.min(right.value), left.value.max(right.value));
                prop_assert!(point.value >= low - 1e-9 && point.value <= high + 1e-9);
            }
        }
    }
}
