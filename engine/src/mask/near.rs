//! Which cells are near a station: row by row, as intervals of x around each station.

use crate::kernels::Metric;
use crate::kernels::metric::{EARTH_RADIUS_KM, on_sphere};
use crate::observations::Station;

/// The places of all stations, and how near is near.
#[derive(Clone, Debug)]
pub(super) struct Near {
    /// x and y of each, by ascending y.
    places: Vec<[f64; 2]>,
    /// The same on the sphere in km; empty in the plane.
    points: Vec<[f64; 3]>,
    /// Degrees, or the unit of the plane.
    reach: f64,
    spherical: bool,
}

impl Near {
    /// `distance`: km along the Earth on the sphere, else in the unit of the plane.
    pub(super) fn new(stations: &[Station], distance: f64, metric: Metric) -> Self {
        let spherical = metric.is_spherical();
        let mut places: Vec<[f64; 2]> = stations.iter().map(|s| [s.x, s.y]).collect();
        places.sort_by(|a, b| a[1].total_cmp(&b[1]));
        let points = if spherical {
            places.iter().map(|p| on_sphere(p[0], p[1])).collect()
        } else {
            Vec::new()
        };
        let degree = EARTH_RADIUS_KM.to_radians();
        let reach = if spherical { (distance / degree).min(180.0) } else { distance };
        Self { places, points, reach, spherical }
    }

    /// Marks the cells of a row, whose x ascend.
    pub(super) fn mark_row(&self, x: &[f64], y: f64, inside: &mut [bool]) {
        let (Some(&first), Some(&last)) = (x.first(), x.last()) else { return };
        let mut mark = |from: f64, to: f64| {
            if to >= first && from <= last {
                let [from, to] =
                    [x.partition_point(|&x| x < from), x.partition_point(|&x| x <= to)];
                inside[from..to].fill(true);
            }
        };
        for place in self.within(y) {
            let Some(half) = self.half_width(place[1], y) else { continue };
            if !self.spherical {
                mark(place[0] - half, place[0] + half);
                continue;
            }
            // The turns in which the interval may meet the row.
            let mut turn = ((first - half - place[0]) / 360.0).ceil() * 360.0;
            while place[0] + turn - half <= last {
                mark(place[0] + turn - half, place[0] + turn + half);
                turn += 360.0;
            }
        }
    }

    /// Marks places that form no row.
    pub(super) fn mark_each(&self, x: &[f64], y: &[f64], inside: &mut [bool]) {
        let chord = 2.0 * EARTH_RADIUS_KM * (self.reach.to_radians() / 2.0).sin();
        for ((&x, &y), inside) in x.iter().zip(y).zip(inside) {
            let range = self.range(y);
            *inside |= if self.spherical {
                let here = on_sphere(x, y);
                self.points[range].iter().any(|p| {
                    let squared: f64 = p.iter().zip(&here).map(|(a, b)| (a - b) * (a - b)).sum();
                    squared <= chord * chord
                })
            } else {
                self.places[range].iter().any(|p| (p[0] - x).hypot(p[1] - y) <= self.reach)
            };
        }
    }

    /// Half the width, in x, of the circle around a station at another y.
    fn half_width(&self, station: f64, y: f64) -> Option<f64> {
        if !self.spherical {
            let squared = self.reach * self.reach - (station - y) * (station - y);
            return (squared >= 0.0).then(|| squared.sqrt());
        }
        // Haversine: sin²(d/2) = sin²(Δφ/2) + cos φ cos φ' sin²(Δλ/2).
        let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
        let left = half(self.reach) - half(station - y);
        let across = station.to_radians().cos() * y.to_radians().cos();
        match left {
            left if left < 0.0 => None,
            left if left >= across => Some(180.0),
            left => Some(2.0 * (left / across).sqrt().asin().to_degrees()),
        }
    }

    fn within(&self, y: f64) -> &[[f64; 2]] {
        &self.places[self.range(y)]
    }

    fn range(&self, y: f64) -> std::ops::Range<usize> {
        // A little more, for what rounding takes: each is looked at closely.
        let reach = self.reach * (1.0 + 1e-9);
        let first = self.places.partition_point(|p| p[1] < y - reach);
        first..self.places.partition_point(|p| p[1] <= y + reach).max(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(places: &[[f64; 2]], distance: f64, metric: Metric) -> Near {
        let station = |p: &[f64; 2]| Station { id: String::new(), x: p[0], y: p[1] };
        Near::new(&places.iter().map(station).collect::<Vec<_>>(), distance, metric)
    }

    /// The intervals of rows against the distance from every station, across the date line and
    /// over a pole; they may differ on a circle itself by rounding.
    #[test]
    fn the_intervals_of_a_row_are_the_circles_of_the_stations() {
        let places = [[179.5, 10.0], [-179.9, -20.0], [0.0, 89.0], [116.0, 39.9], [5.0, -89.9]];
        for distance in [1.0, 150.0, 900.0, 9000.0, 30_000.0] {
            let near = near(&places, distance, Metric::Chordal);
            for row in 0..90 {
                let y = -89.0 + 2.0 * f64::from(row);
                let x: Vec<f64> = (0..361).map(|i| 0.37 + f64::from(i)).collect();
                let (mut rows, mut each) = (vec![false; x.len()], vec![false; x.len()]);
                near.mark_row(&x, y, &mut rows);
                near.mark_each(&x, &vec![y; x.len()], &mut each);
                assert_eq!(rows, each, "{distance} km at {y}");
            }
        }
    }

    #[test]
    fn in_the_plane_the_unit_is_that_of_the_coordinates() {
        let near = near(&[[10.0, 10.0], [20.0, 12.0]], 5.0, Metric::Planar);
        let x: Vec<f64> = (0..30).map(f64::from).collect();
        let mut inside = vec![false; x.len()];
        near.mark_row(&x, 14.0, &mut inside);
        let first: Vec<usize> = (0..30).filter(|&i| inside[i]).collect();
        assert_eq!(first, [7, 8, 9, 10, 11, 12, 13, 16, 17, 18, 19, 20, 21, 22, 23, 24]);
    }
}
