//! Distinct stations: one place each, whatever the number of codes there.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::kernels::{self, Metric, Points};
use crate::observations::{Observations, ReadError, Station};
use crate::quality::NO_READING;

/// What to do with several stations at one place, and several readings of one station.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Duplicates {
    /// Refuse them.
    Error,
    /// The mean of the readings present.
    #[default]
    Mean,
    /// The first reading present, in the order received.
    First,
    /// The last reading present, in the order received.
    Last,
}

impl Duplicates {
    /// All rules, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Error, Self::Mean, Self::First, Self::Last];

    /// The name used on the command line, over HTTP and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Mean => "mean",
            Self::First => "first",
            Self::Last => "last",
        }
    }
}

impl fmt::Display for Duplicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Duplicates {
    type Err = kernels::Error;

    fn from_str(name: &str) -> Result<Self, kernels::Error> {
        Self::ALL.into_iter().find(|d| d.name() == name).ok_or_else(|| {
            kernels::Error::UnknownName {
                what: "rule for duplicates",
                got: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            }
        })
    }
}

/// Places that hold at least one station, with the coordinates to compute with.
#[derive(Clone, Debug)]
pub struct Network {
    stations: Vec<Station>,
    points: Points,
    merged: Vec<Vec<String>>,
    fingerprint: String,
    duplicates: Duplicates,
    /// `place_of[s]`: where station `s` of the observations went.
    place_of: Vec<usize>,
}

impl Network {
    /// The distinct places of the stations, in the order of their first station.
    ///
    /// Two stations share a place when their coordinates are equal, on the sphere after taking
    /// longitudes modulo 360; at a pole any longitude is the same. With `thin`, all stations of a
    /// block of that size (degrees, or the planar unit) become one at the mean of their places, with
    /// the mean of their readings (or the first, or the last).
    ///
    /// # Errors
    /// If stations share a place and `duplicates` says that this is an error, or `thin` is no size.
    pub fn new(
        observations: &Observations,
        metric: Metric,
        duplicates: Duplicates,
        thin: Option<f64>,
    ) -> Result<Self, Error> {
        Self::of_list(observations.stations(), metric, duplicates, thin)
    }

    /// The same of stations without readings.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub(crate) fn of_list(
        stations: &[Station],
        metric: Metric,
        duplicates: Duplicates,
        thin: Option<f64>,
    ) -> Result<Self, Error> {
        match thin {
            None => Self::of_stations(stations, metric, duplicates),
            Some(size) if size > 0.0 && size.is_finite() => {
                Ok(Self::of_blocks(stations, metric, duplicates, size))
            }
            Some(size) => Err(Error::Blocks { size }),
        }
    }

    /// The same from a list of stations, in the order in which values will come.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub fn of_stations(
        received: &[Station],
        metric: Metric,
        duplicates: Duplicates,
    ) -> Result<Self, Error> {
        let (stations, place_of) = group(received, |station| place_key(station, metric));
        let merged = shared(received, &place_of, stations.len());
        if duplicates == Duplicates::Error && !merged.is_empty() {
            return Err(ReadError::SamePlace { places: merged }.into());
        }
        Ok(Self::of_groups(stations, place_of, merged, metric, duplicates))
    }

    fn of_blocks(received: &[Station], metric: Metric, duplicates: Duplicates, size: f64) -> Self {
        let block = |station: &Station| {
            let [x, y] = place_key(station, metric).map(f64::from_bits);
            [(x / size).floor(), (y / size).floor()].map(|index| (index + 0.0).to_bits())
        };
        let (mut stations, place_of) = group(received, block);
        // About the first station of each, so that a block may lie on the date line.
        let mut sums = vec![(0.0, 0.0, 0.0); stations.len()];
        for (station, &place) in received.iter().zip(&place_of) {
            let mut x = station.x - stations[place].x;
            if metric.is_spherical() {
                x = (x + 180.0).rem_euclid(360.0) - 180.0;
            }
            let sum = &mut sums[place];
            *sum = (sum.0 + x, sum.1 + station.y - stations[place].y, sum.2 + 1.0);
        }
        for (station, (x, y, count)) in stations.iter_mut().zip(sums) {
            station.x += x / count;
            station.y += y / count;
        }
        Self::of_groups(stations, place_of, Vec::new(), metric, duplicates)
    }

    fn of_groups(
        stations: Vec<Station>,
        place_of: Vec<usize>,
        merged: Vec<Vec<String>>,
        metric: Metric,
        duplicates: Duplicates,
    ) -> Self {
        let x: Vec<f64> = stations.iter().map(|s| s.x).collect();
        let y: Vec<f64> = stations.iter().map(|s| s.y).collect();
        let fingerprint = fingerprint(&stations, metric);
        let points = metric.embed(&x, &y);
        Self { stations, points, merged, fingerprint, duplicates, place_of }
    }

    /// Number of places.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stations.len()
    }

    /// Whether there is no place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stations.is_empty()
    }

    /// The places, each with the code of its first station.
    #[must_use]
    pub fn stations(&self) -> &[Station] {
        &self.stations
    }

    /// The places in the coordinates of the metric.
    #[must_use]
    pub fn points(&self) -> &Points {
        &self.points
    }

    /// Codes of the stations that share a place, place by place.
    #[must_use]
    pub fn merged(&self) -> &[Vec<String>] {
        &self.merged
    }

    /// BLAKE3 of the places and the metric in hexadecimal: equal for equal networks, whatever the
    /// codes.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// `place_of[s]`: the place of station `s` of the observations.
    pub(crate) fn place_of(&self) -> &[usize] {
        &self.place_of
    }

    /// Readings at the places: from `step_values[variable * received + station]` of
    /// [`Observations::step`] to `out[variable * places + place]`, NaN where missing.
    ///
    /// # Panics
    /// If `step_values` does not fit: a bug of the caller.
    pub fn values(&self, step_values: &[f64], variables: usize, out: &mut Vec<f64>) {
        let received = self.place_of.len();
        assert_eq!(step_values.len(), variables * received, "values of another network");
        let places = self.len();
        out.clear();
        out.resize(variables * places, f64::NAN);
        if received == places {
            // Nothing is merged, so places stand in the order of the stations.
            out.copy_from_slice(step_values);
            return;
        }
        let mut counts = vec![0_u32; places];
        for (from, to) in
            step_values.chunks_exact(received.max(1)).zip(out.chunks_exact_mut(places.max(1)))
        {
            counts.fill(0);
            for (&value, &place) in from.iter().zip(&self.place_of) {
                if value.is_nan() {
                    continue;
                }
                counts[place] += 1;
                match self.duplicates {
                    _ if counts[place] == 1 => to[place] = value,
                    Duplicates::Mean => to[place] += value,
                    Duplicates::Last => to[place] = value,
                    // `Error` never gets here: such a network is refused.
                    Duplicates::First | Duplicates::Error => {}
                }
            }
            if self.duplicates == Duplicates::Mean {
                for (value, &count) in to.iter_mut().zip(&counts).filter(|(_, count)| **count > 1) {
                    *value /= f64::from(count);
                }
            }
        }
    }

    /// Flags at the places: from `step_flags`, laid out as `step_values` of
    /// [`values`](Self::values), those of all readings at a place, appended to `out`.
    ///
    /// # Panics
    /// As [`values`](Self::values).
    pub(crate) fn flags(&self, step_flags: &[u8], variables: usize, out: &mut Vec<u8>) {
        let (received, places) = (self.place_of.len(), self.len());
        assert_eq!(step_flags.len(), variables * received, "flags of another network");
        let first = out.len();
        out.resize(first + variables * places, NO_READING);
        for (from, to) in step_flags
            .chunks_exact(received.max(1))
            .zip(out[first..].chunks_exact_mut(places.max(1)))
        {
            for (&flags, &place) in from.iter().zip(&self.place_of) {
                if flags != NO_READING {
                    to[place] = to[place] & !NO_READING | flags;
                }
            }
        }
    }
}

/// For each station, which place it is at: equal numbers for equal places.
pub(crate) fn places_of(stations: &[Station], metric: Metric) -> Vec<usize> {
    group(stations, |station| place_key(station, metric)).1
}

/// The codes of every place that has several, in the order of the places.
fn shared(received: &[Station], place_of: &[usize], places: usize) -> Vec<Vec<String>> {
    if places == received.len() {
        return Vec::new();
    }
    let mut codes: Vec<Vec<String>> = vec![Vec::new(); places];
    for (station, &place) in received.iter().zip(place_of) {
        codes[place].push(station.id.clone());
    }
    codes.into_iter().filter(|codes| codes.len() > 1).collect()
}

/// The first station of each group, in order, and the group of every station.
fn group(received: &[Station], key: impl Fn(&Station) -> [u64; 2]) -> (Vec<Station>, Vec<usize>) {
    let mut index: HashMap<[u64; 2], usize> = HashMap::with_capacity(received.len());
    let mut stations: Vec<Station> = Vec::new();
    let mut group_of = Vec::with_capacity(received.len());
    for station in received {
        let group = *index.entry(key(station)).or_insert(stations.len());
        if group == stations.len() {
            stations.push(station.clone());
        }
        group_of.push(group);
    }
    (stations, group_of)
}

/// Equal for stations at the same place.
fn place_key(station: &Station, metric: Metric) -> [u64; 2] {
    let (mut x, y) = (station.x, station.y);
    if metric.is_spherical() {
        x = if y.abs() == 90.0 { 0.0 } else { x.rem_euclid(360.0) };
        // −1e-17 modulo 360 rounds to 360 itself.
        if x == 360.0 {
            x = 0.0;
        }
    }
    // Adding 0 makes −0 into 0.
    [(x + 0.0).to_bits(), (y + 0.0).to_bits()]
}

fn fingerprint(stations: &[Station], metric: Metric) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(metric.name().as_bytes());
    for station in stations {
        for bits in place_key(station, metric) {
            hasher.update(&bits.to_le_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn station(id: &str, x: f64, y: f64) -> Station {
        Station { id: id.to_owned(), x, y }
    }

    fn network(stations: &[Station], metric: Metric, duplicates: Duplicates) -> Network {
        Network::of_stations(stations, metric, duplicates).expect("not refused")
    }

    #[test]
    fn places_are_equal_modulo_360_and_at_the_poles_on_the_sphere_only() {
        let stations = [
            station("a", -180.0, 10.0),
            station("b", 180.0, 10.0),
            station("c", 350.0, 0.0),
            station("d", -10.0, -0.0),
            station("e", 3.0, 90.0),
            station("f", 99.0, 90.0),
        ];
        let sphere = network(&stations, Metric::Chordal, Duplicates::Mean);
        assert_eq!(sphere.merged(), [["a", "b"], ["c", "d"], ["e", "f"]]);
        assert_eq!(sphere.points().len(), 3);
        assert_eq!(network(&stations, Metric::Planar, Duplicates::Mean).len(), 6);
    }

    #[test]
    fn stations_at_one_place_follow_the_rule_and_missing_ones_do_not_count() {
        let stations = [station("a", 1.0, 1.0), station("b", 2.0, 2.0), station("c", 1.0, 1.0)];
        let nan = f64::NAN;
        // Two variables: all there; the first of the shared place missing.
        let step = [2.0, 5.0, 8.0, nan, nan, 7.0];
        for (rule, first) in
            [(Duplicates::Mean, 5.0), (Duplicates::First, 2.0), (Duplicates::Last, 8.0)]
        {
            let mut out = vec![1.0; 99];
            network(&stations, Metric::Chordal, rule).values(&step, 2, &mut out);
            assert_eq!(out.len(), 4);
            assert_eq!(&out[..3], [first, 5.0, 7.0], "{rule}");
            assert!(out[3].is_nan());
        }
        let none = NO_READING;
        let mut flags = vec![7];
        network(&stations, Metric::Chordal, Duplicates::Mean).flags(
            &[0, 1, 4, none, none, 2],
            2,
            &mut flags,
        );
        assert_eq!(flags, [7, 4, 1, 2, none]);
    }

    #[test]
    fn blocks_have_the_mean_place_and_the_mean_reading_also_on_the_date_line() {
        let stations = [
            station("a", 10.1, 20.1),
            station("b", 10.3, 20.3),
            station("c", 11.2, 20.2),
            station("d", -180.0, 0.5),
            station("e", 180.4, 0.7),
        ];
        let network = Network::of_blocks(&stations, Metric::Chordal, Duplicates::Mean, 0.5);
        let places: Vec<_> = network.stations().iter().map(|s| (s.x, s.y)).collect();
        let wanted = [(10.2, 20.2), (11.2, 20.2), (-179.8, 0.6)];
        assert_eq!(places.len(), 3);
        for (got, want) in places.iter().zip(wanted) {
            assert!((got.0 - want.0).abs() < 1e-12 && (got.1 - want.1).abs() < 1e-12, "{got:?}");
        }
        let mut out = Vec::new();
        network.values(&[2.0, 4.0, 7.0, f64::NAN, 5.0], 1, &mut out);
        assert_eq!(out, [3.0, 7.0, 5.0]);
        assert!(network.merged().is_empty());
    }

    #[test]
    fn stations_at_one_place_can_be_an_error_that_names_them() {
        let stations = [station("1001A", 1.0, 1.0), station("1002A", 1.0, 1.0)];
        let error = Network::of_stations(&stations, Metric::Chordal, Duplicates::Error)
            .expect_err("refused")
            .to_string();
        assert!(error.contains("1001A, 1002A"), "{error}");
    }

    #[test]
    fn the_fingerprint_knows_places_and_metric_but_no_codes() {
        let [a, b] = [station("a", 1.0, 1.0), station("b", 2.0, 2.0)];
        let of = |stations: &[Station], metric| {
            network(stations, metric, Duplicates::Mean).fingerprint().to_owned()
        };
        let this = of(&[a.clone(), b.clone()], Metric::Chordal);
        assert_eq!(this, of(&[station("x", 361.0, 1.0), b.clone()], Metric::Chordal));
        assert_ne!(this, of(&[a.clone(), b.clone()], Metric::GreatCircle));
        assert_ne!(this, of(&[a, station("b", 2.0, 2.1)], Metric::Chordal));
        assert_eq!(this.len(), 64);
    }

    #[test]
    fn the_rules_are_known_by_name() {
        for rule in Duplicates::ALL {
            assert_eq!(rule.name().parse(), Ok(rule));
        }
        let error = "median".parse::<Duplicates>().expect_err("unknown").to_string();
        assert!(error.contains("error, mean, first, last"), "{error}");
    }

    proptest! {
        #[test]
        fn the_mean_of_a_place_lies_within_its_readings(
            readings in prop::collection::vec((0..4_u8, prop::option::of(-1e3..1e3_f64)), 1..30)
        ) {
            let stations: Vec<_> =
                readings.iter().map(|(x, _)| station("s", f64::from(*x), 0.0)).collect();
            let network = network(&stations, Metric::Planar, Duplicates::Mean);
            let step: Vec<f64> = readings.iter().map(|(_, v)| v.unwrap_or(f64::NAN)).collect();
            let mut out = Vec::new();
            network.values(&step, 1, &mut out);
            for (place, &value) in network.stations().iter().zip(&out) {
                let here = readings.iter().filter(|(x, _)| f64::from(*x) == place.x);
                let present: Vec<f64> = here.filter_map(|(_, value)| *value).collect();
                let low = present.iter().copied().fold(f64::INFINITY, f64::min);
                let high = present.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let close = value >= low - 1e-9 && value <= high + 1e-9;
                prop_assert_eq!(close, !present.is_empty());
                prop_assert_eq!(value.is_nan(), present.is_empty());
            }
        }
    }
}
