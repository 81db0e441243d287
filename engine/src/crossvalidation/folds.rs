//! Which stations are left out together.
//!
//! Where stations stand in clusters, a single one left out is known by its neighbours, which no cell
//! far from all stations is. Leaving out whole towns or blocks asks what a map is asked between them
//! (Roberts et al. 2017, doi:10.1111/ecog.02881).

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use isopleth_kernels as kernels;
use kernels::{Metric, Points};

use crate::observations::Station;

/// How stations are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Folds {
    /// One at a time.
    #[default]
    Each,
    /// In so many parts, drawn by lot; the same for the same stations.
    Random(usize),
    /// In squares of this side: km on the sphere, else the planar unit.
    Blocks(f64),
    /// Together with all that can be reached by steps of this length: km, or the planar unit.
    Towns(f64),
}

impl fmt::Display for Folds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Each => f.write_str("loo"),
            Self::Random(parts) => write!(f, "{parts}"),
            Self::Blocks(side) => write!(f, "block:{side}"),
            Self::Towns(step) => write!(f, "town:{step}"),
        }
    }
}

impl FromStr for Folds {
    type Err = String;

    /// `loo`, `10`, `block:200`, `town:30`.
    fn from_str(text: &str) -> Result<Self, String> {
        let length = |text: &str| text.parse().ok().filter(|l: &f64| *l > 0.0 && l.is_finite());
        let folds = match text.split_once(':') {
            None if text == "loo" => Some(Self::Each),
            None => text.parse().ok().filter(|parts| *parts >= 2).map(Self::Random),
            Some(("block", side)) => length(side).map(Self::Blocks),
            Some(("town", step)) => length(step).map(Self::Towns),
            Some(_) => None,
        };
        folds.ok_or_else(|| {
            format!("folds `{text}`: expected loo, a number of parts from 2, block:KM or town:KM")
        })
    }
}

impl Folds {
    /// The stations of each fold, in order; every station is in one.
    pub(crate) fn of(
        self,
        stations: &[Station],
        points: &Points,
        metric: Metric,
    ) -> Vec<Vec<usize>> {
        let n = stations.len();
        match self {
            Self::Each => (0..n).map(|i| vec![i]).collect(),
            Self::Random(parts) => {
                let mut order: Vec<usize> = (0..n).collect();
                order.sort_by_cached_key(|&i| lot(&stations[i]));
                let mut folds = vec![Vec::new(); parts.min(n)];
                let count = folds.len().max(1);
                order.into_iter().enumerate().for_each(|(k, i)| folds[k % count].push(i));
                folds.iter_mut().for_each(|fold| fold.sort_unstable());
                folds
            }
            Self::Blocks(side) => grouped((0..n).map(|i| block(&stations[i], side, metric))),
            Self::Towns(step) => grouped(towns(points, step).into_iter()),
        }
    }
}

/// A number that has nothing to do with the place, but is always the same.
fn lot(station: &Station) -> u64 {
    let mut hash = blake3::Hasher::new();
    hash.update(&station.x.to_le_bytes());
    hash.update(&station.y.to_le_bytes());
    u64::from_le_bytes(hash.finalize().as_bytes()[..8].try_into().expect("eight bytes"))
}

/// Row and column of the square; on the sphere squares of a row are as wide as they are high.
fn block(station: &Station, side: f64, metric: Metric) -> [i64; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "a coordinate over a length; saturates")]
    let number = |v: f64| v.floor() as i64;
    if !metric.is_spherical() {
        return [number(station.x / side), number(station.y / side)];
    }
    let degree = kernels::metric::EARTH_RADIUS_KM.to_radians();
    let row = number(station.y * degree / side);
    #[expect(clippy::cast_precision_loss, reason = "rows of the Earth")]
    let middle = ((row as f64 + 0.5) * side / degree).to_radians();
    let east = station.x.rem_euclid(360.0) * degree * middle.cos().abs();
    [number(east / side), row]
}

/// Components of the graph of stations no further apart than a step.
fn towns(points: &Points, step: f64) -> Vec<usize> {
    let n = points.len();
    let mut town = vec![usize::MAX; n];
    for first in 0..n {
        if town[first] != usize::MAX {
            continue;
        }
        town[first] = first;
        let mut waiting = vec![first];
        while let Some(here) = waiting.pop() {
            for (other, of) in town.iter_mut().enumerate() {
                let squares = (0..points.dims())
                    .map(|k| (points.axis(k)[here] - points.axis(k)[other]).powi(2));
                if *of == usize::MAX && squares.sum::<f64>() <= step * step {
                    *of = first;
                    waiting.push(other);
                }
            }
        }
    }
    town
}

fn grouped<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> Vec<Vec<usize>> {
    let mut index = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (station, key) in keys.enumerate() {
        let group = *index.entry(key).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(station);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> (Vec<Station>, Points) {
        // Two towns of three, 300 km apart, and one station on its own.
        let places = [
            (100.0, 30.0),
            (100.1, 30.0),
            (100.2, 30.05),
            (103.0, 30.0),
            (103.1, 30.0),
            (103.1, 30.1),
            (110.0, 45.0),
        ];
        let stations: Vec<Station> =
            places.iter().map(|&(x, y)| Station { id: String::new(), x, y }).collect();
        let (x, y): (Vec<f64>, Vec<f64>) = places.into_iter().unzip();
        (stations, Metric::Chordal.embed(&x, &y))
    }

    #[test]
    fn every_station_is_in_one_fold() {
        let (stations, points) = network();
        let folds = [
            Folds::Each,
            Folds::Random(3),
            Folds::Random(50),
            Folds::Blocks(100.0),
            Folds::Towns(20.0),
        ];
        for folds in folds {
            let mut all: Vec<usize> =
                folds.of(&stations, &points, Metric::Chordal).into_iter().flatten().collect();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3, 4, 5, 6], "{folds}");
        }
        let parts = Folds::Random(3).of(&stations, &points, Metric::Chordal);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2, 2]);
    }

    #[test]
    fn towns_are_what_short_steps_reach() {
        let (stations, points) = network();
        let towns = Folds::Towns(20.0).of(&stations, &points, Metric::Chordal);
        assert_eq!(towns, [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
        let blocks = Folds::Blocks(1e5).of(&stations, &points, Metric::Chordal);
        assert_eq!(blocks.len(), 1);
    }

    #[test]
    fn folds_are_read_as_they_are_written() {
        for folds in [Folds::Each, Folds::Random(10), Folds::Blocks(200.0), Folds::Towns(0.5)] {
            assert_eq!(folds.to_string().parse(), Ok(folds));
        }
        for wrong in ["1", "0", "-3", "city", "block:", "block:-1", "town:x", "leave:2", ""] {
            assert!(wrong.parse::<Folds>().is_err(), "{wrong}");
        }
    }
}
