//! Distinct stations: one place each, whatever the number of codes there.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::kernels::{self, Metric, Points};
use crate::observations::{Observations, ReadError, Station};

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
    /// longitudes modulo 360; at a pole any longitude is the same.
    ///
    /// # Errors
    /// If stations share a place and `duplicates` says that this is an error.
    pub fn new(
        observations: &Observations,
        metric: Metric,
        duplicates: Duplicates,
    ) -> Result<Self, Error> {
        Self::of_stations(observations.stations(), metric, duplicates)
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
        let mut index: HashMap<[u64; 2], usize> = HashMap::with_capacity(received.len());
        let mut stations: Vec<Station> = Vec::new();
        let mut codes: Vec<Vec<String>> = Vec::new();
        let mut place_of = Vec::with_capacity(received.len());
        for station in received {
            let place = *index.entry(place_key(station, metric)).or_insert(stations.len());
            if place == stations.len() {
                stations.push(station.clone());
                codes.push(Vec::new());
            }
            codes[place].push(station.id.clone());
            place_of.push(place);
        }
        let merged: Vec<_> = codes.into_iter().filter(|codes| codes.len() > 1).collect();
        if duplicates == Duplicates::Error && !merged.is_empty() {
            return Err(ReadError::SamePlace { places: merged }.into());
        }
        let x: Vec<f64> = stations.iter().map(|s| s.x).collect();
        let y: Vec<f64> = stations.iter().map(|s| s.y).collect();
        let fingerprint = fingerprint(&stations, metric);
        let points = metric.embed(&x, &y);
        Ok(Self { stations, points, merged, fingerprint, duplicates, place_of })
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
