//! Stations that cannot be where they are said to be, and codes that share a place.

use rayon::prelude::*;

use super::Flag;
use super::rules::Rules;
use crate::kernels::Metric;
use crate::land;
use crate::network::places_of;
use crate::observations::Station;

/// With fewer stations, where the network lies is not known well enough to call one swapped.
const FEWEST_STATIONS: usize = 10;

/// Nearer to land a station may stand on an island or a pier that the coastline does not know.
const FAR_FROM_LAND_KM: f64 = 20.0;

/// With more than one station in so many out at sea, the network is one of ships and buoys.
const MOST_AT_SEA: usize = 10;

/// A station whose place is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Misplaced {
    pub(super) station: usize,
    pub(super) flag: Flag,
    pub(super) why: String,
}

/// What the stations of a network are, whatever they report.
#[derive(Debug)]
pub(super) struct Sites {
    /// Stations whose place is wrong, and behind them those out at sea.
    pub(super) misplaced: Vec<Misplaced>,
    /// What was left out because of what the stations are.
    pub(super) not_told: Option<String>,
    /// Stations that share a place with others, place by place.
    pub(super) twins: Vec<Vec<usize>>,
}

impl Sites {
    pub(super) fn of(stations: &[Station], in_degrees: bool, rules: &Rules) -> Self {
        let mut misplaced = misplaced(stations, in_degrees, rules);
        let mut not_told = None;
        if in_degrees {
            match at_sea(stations) {
                // Where a station is not, it need not be on land.
                Ok(found) => {
                    let known: Vec<usize> = misplaced.iter().map(|m| m.station).collect();
                    misplaced.extend(found.into_iter().filter(|m| !known.contains(&m.station)));
                }
                Err(why) => not_told = Some(why),
            }
        }
        Self { misplaced, not_told, twins: twins(stations, in_degrees) }
    }
}

/// Every station whose place is wrong, in order.
fn misplaced(stations: &[Station], in_degrees: bool, rules: &Rules) -> Vec<Misplaced> {
    let home = in_degrees.then(|| Home::of(stations)).flatten();
    let inside = rules.inside.map(|bounds| Bounds { bounds, in_degrees });
    let examine = |(station, s): (usize, &Station)| {
        let bad = |why: String| Some(Misplaced { station, flag: Flag::Place, why });
        if in_degrees && s.x == 0.0 && s.y == 0.0 {
            return bad("longitude and latitude are both 0".to_owned());
        }
        let outside = inside.as_ref().is_some_and(|b| !b.holds(s.x, s.y));
        let swapped = match (&inside, &home) {
            (Some(bounds), _) => in_degrees && outside && bounds.holds(s.y, s.x),
            (None, Some(home)) => !home.holds(s.x, s.y) && home.holds(s.y, s.x),
            (None, None) => false,
        };
        match (swapped, outside) {
            (true, _) => bad(format!("longitude {} and latitude {} look swapped", s.x, s.y)),
            (false, true) => bad(format!("{}, {} is outside the box given", s.x, s.y)),
            (false, false) => None,
        }
    };
    stations.iter().enumerate().filter_map(examine).collect()
}

/// Every station far out at sea, in order; or why that is not told.
fn at_sea(stations: &[Station]) -> Result<Vec<Misplaced>, String> {
    let examine = |(station, s): (usize, &Station)| {
        land::distance_km(s.x, s.y, FAR_FROM_LAND_KM).is_none().then(|| Misplaced {
            station,
            flag: Flag::Sea,
            why: format!(
                "{}, {} is in the sea, more than {FAR_FROM_LAND_KM} km from land",
                s.x, s.y
            ),
        })
    };
    let found: Vec<Misplaced> = stations.par_iter().enumerate().filter_map(examine).collect();
    if found.len() * MOST_AT_SEA > stations.len() && stations.len() >= FEWEST_STATIONS {
        return Err(format!(
            "sea: {} of {} stations are there, so this is a network of the sea",
            found.len(),
            stations.len()
        ));
    }
    Ok(found)
}

/// Stations that share a place with others, place by place.
fn twins(stations: &[Station], in_degrees: bool) -> Vec<Vec<usize>> {
    let metric = if in_degrees { Metric::Chordal } else { Metric::Planar };
    let place_of = places_of(stations, metric);
    let places = place_of.iter().max().map_or(0, |last| last + 1);
    let mut first = vec![None; places];
    let mut shared: Vec<Vec<usize>> = Vec::new();
    let mut group_of = vec![None; places];
    for (station, &place) in place_of.iter().enumerate() {
        match (first[place], group_of[place]) {
            (None, _) => first[place] = Some(station),
            (Some(other), None) => {
                group_of[place] = Some(shared.len());
                shared.push(vec![other, station]);
            }
            (Some(_), Some(group)) => shared[group].push(station),
        }
    }
    shared
}

/// A box that the user gives.
struct Bounds {
    bounds: [f64; 4],
    in_degrees: bool,
}

impl Bounds {
    fn holds(&self, x: f64, y: f64) -> bool {
        let [west, south, east, north] = self.bounds;
        let across = if self.in_degrees && east - west < 360.0 {
            (x - west).rem_euclid(360.0) <= (east - west).rem_euclid(360.0)
        } else {
            self.in_degrees || (west..=east).contains(&x)
        };
        across && (south..=north).contains(&y)
    }
}

/// Where nine stations in ten are, and as much again around: half of its width on each side.
struct Home {
    /// Longitudes are taken within 180° of this one.
    middle: f64,
    x: [f64; 2],
    y: [f64; 2],
}

impl Home {
    fn of(stations: &[Station]) -> Option<Self> {
        if stations.len() < FEWEST_STATIONS {
            return None;
        }
        let sum = stations.iter().fold((0.0, 0.0), |(s, c), station| {
            let (sin, cos) = station.x.to_radians().sin_cos();
            (s + sin, c + cos)
        });
        let middle = sum.0.atan2(sum.1).to_degrees();
        let wide = |mut axis: Vec<f64>| {
            axis.sort_by(f64::total_cmp);
            let (low, high) = (axis[axis.len() / 20], axis[axis.len() - 1 - axis.len() / 20]);
            let margin = 0.5 * (high - low).max(1.0);
            [low - margin, high + margin]
        };
        let x = wide(stations.iter().map(|s| near(s.x, middle)).collect());
        Some(Self { middle, x, y: wide(stations.iter().map(|s| s.y).collect()) })
    }

    fn holds(&self, x: f64, y: f64) -> bool {
        let x = near(x, self.middle);
        self.x[0] <= x && x <= self.x[1] && self.y[0] <= y && y <= self.y[1]
    }
}

/// The same longitude within 180° of another.
fn near(x: f64, middle: f64) -> f64 {
    middle + (x - middle + 180.0).rem_euclid(360.0) - 180.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stations between 100 and 110° E, 30 and 38° N.
    fn network() -> Vec<Station> {
        let place = |i: u32| {
            let golden = 0.618_033_988 * f64::from(i);
            let (x, y) = (100.0 + 10.0 * golden.fract(), 30.0 + 0.2 * f64::from(i));
            Station { id: format!("s{i}"), x, y }
        };
        (0..40).map(place).collect()
    }

    fn found(stations: &[Station], rules: &Rules) -> Vec<(usize, String)> {
        let all = misplaced(stations, true, rules);
        all.into_iter().map(|m| (m.station, m.why)).collect()
    }

    #[test]
    fn a_sound_network_has_no_station_out_of_place() {
        assert_eq!(found(&network(), &Rules::default()), []);
        // Across the date line, and far away but not swapped.
        let mut stations = network();
        for station in &mut stations {
            station.x += 75.0;
        }
        stations[7].x = -40.0;
        assert_eq!(found(&stations, &Rules::default()), []);
    }

    #[test]
    fn swapped_and_zero_coordinates_are_found() {
        let mut stations: Vec<Station> =
            network().into_iter().map(|s| Station { x: s.x - 95.0, y: s.y + 15.0, ..s }).collect();
        let (x, y) = (stations[3].x, stations[3].y);
        (stations[3].x, stations[3].y) = (y, x);
        (stations[9].x, stations[9].y) = (0.0, 0.0);
        let found = found(&stations, &Rules::default());
        assert_eq!(found.iter().map(|(s, _)| *s).collect::<Vec<_>>(), [3, 9]);
        assert!(found[0].1.contains("swapped") && found[1].1.contains("both 0"), "{found:?}");
        let planar = misplaced(&stations, false, &Rules::default());
        assert_eq!(planar, [], "a plane has no degrees to swap");
    }

    #[test]
    fn a_station_far_out_at_sea_is_found_unless_most_of_them_are() {
        let mut stations = network();
        // The Pacific; the strait of Dover, within 20 km of land; Hawaii.
        for (k, (x, y)) in [(3, (150.0, 30.0)), (5, (1.5, 51.0)), (7, (-157.9, 21.4))] {
            (stations[k].x, stations[k].y) = (x, y);
        }
        let found = at_sea(&stations).expect("a network on land");
        assert_eq!(found.iter().map(|m| (m.station, m.flag)).collect::<Vec<_>>(), [(3, Flag::Sea)]);
        assert!(found[0].why.contains("150, 30 is in the sea"), "{}", found[0].why);
        for station in &mut stations {
            station.x -= 140.0;
        }
        assert!(at_sea(&stations).expect_err("the Atlantic").contains("network of the sea"));
    }

    #[test]
    fn a_box_given_by_the_user_holds_modulo_360() {
        let inside = |bounds| Rules { inside: Some(bounds), ..Rules::default() };
        assert_eq!(found(&network(), &inside([99.0, 29.0, 111.0, 39.0])), []);
        assert_eq!(found(&network(), &inside([-261.0, 29.0, -249.0, 39.0])), []);
        let west = found(&network(), &inside([99.0, 29.0, 105.0, 39.0]));
        assert!(west.len() > 10 && west.iter().all(|(_, why)| why.contains("outside the box")));
        let mut stations = network();
        for station in &mut stations {
            station.x += 75.0;
        }
        assert_eq!(found(&stations, &inside([174.0, 29.0, -174.0, 39.0])), []);
    }

    #[test]
    fn codes_that_share_a_place_are_found_together() {
        let mut stations = network();
        for (of, at) in [(5, 2), (8, 2), (11, 10)] {
            (stations[of].x, stations[of].y) = (stations[at].x, stations[at].y);
        }
        assert_eq!(twins(&stations, true), [vec![2, 5, 8], vec![10, 11]]);
        assert!(twins(&network(), true).is_empty());
    }
}
