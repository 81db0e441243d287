//! The polynomial part of a surface: its terms, and the frame in which they are well scaled.

use crate::{Metric, Points};

/// Polynomials up to a degree, in coordinates shifted and scaled to about −1…1 as SciPy does.
///
/// On the sphere the coordinates are those in space, turned so that the third points up at the
/// middle of the network; x² + y² + z² is constant there, so z² is left out of degree 2. What is
/// left spans the spherical harmonics of that degree.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    degree: i8,
    /// Rows: the frame's axes.
    frame: [[f64; 3]; 3],
    shift: [f64; 3],
    scale: [f64; 3],
    /// Exponents of each term.
    powers: Vec<[u8; 3]>,
    tolerance: f64,
}

const IDENTITY: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

impl Drift {
    /// The terms of `degree` (−1: none), scaled to the box of the stations.
    #[must_use]
    pub fn new(degree: i8, stations: &Points, metric: Metric) -> Self {
        let frame = frame(stations, metric);
        let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
        let mut size = 0.0_f64;
        for i in 0..stations.len() {
            let place = turn(&frame, stations.at(i));
            size = place.iter().fold(size, |size, x| size.max(x.abs()));
            for k in 0..3 {
                low[k] = low[k].min(place[k]);
                high[k] = high[k].max(place[k]);
            }
        }
        let mut shift = [0.0; 3];
        let mut scale = [1.0; 3];
        // 1e-10 leaves six digits to a combination of terms that is all but constant on the
        // stations; coordinates far from 0 carry their rounding error into the terms besides.
        let mut tolerance = 1e-10_f64;
        for k in 0..3 {
            if !stations.is_empty() {
                shift[k] = f64::midpoint(low[k], high[k]);
                let half = (high[k] - low[k]) / 2.0;
                // Turning leaves a rounding error where a network has no extent (a meridian):
                // blown up to −1…1 it would pass for a coordinate.
                let rounding = if metric.is_spherical() { 8.0 * f64::EPSILON * size } else { 0.0 };
                if half > rounding {
                    scale[k] = half;
                    tolerance = tolerance.max(64.0 * f64::EPSILON * size / half);
                }
            }
        }
        let powers = powers(degree, stations.dims(), metric.is_spherical());
        Self { degree, frame, shift, scale, powers, tolerance }
    }

    /// Number of terms `q`.
    #[must_use]
    pub fn terms(&self) -> usize {
        self.powers.len()
    }

    /// The degree asked for, −1 to 2.
    #[must_use]
    pub fn degree(&self) -> i8 {
        self.degree
    }

    /// Terms that differ from dependent ones by less than this fraction of their length are taken
    /// for dependent.
    pub(crate) fn tolerance(&self) -> f64 {
        self.tolerance
    }

    /// Every term at one place (in the coordinates of [`Metric::embed`]), written to `out`.
    ///
    /// # Panics
    /// If `out` has not [`terms`](Self::terms) entries: a bug of the caller.
    pub fn at(&self, place: [f64; 3], out: &mut [f64]) {
        assert_eq!(out.len(), self.terms(), "one entry per drift term");
        let turned = turn(&self.frame, place);
        let mut unit = [0.0; 3];
        for k in 0..3 {
            unit[k] = (turned[k] - self.shift[k]) / self.scale[k];
        }
        for (value, powers) in out.iter_mut().zip(&self.powers) {
            *value = (0..3).map(|k| unit[k].powi(i32::from(powers[k]))).product();
        }
    }
}

fn turn(frame: &[[f64; 3]; 3], place: [f64; 3]) -> [f64; 3] {
    frame.map(|axis| axis[0] * place[0] + axis[1] * place[1] + axis[2] * place[2])
}

/// The axes of a network: its own in a plane; else east, north and up at its middle.
pub(crate) fn frame(stations: &Points, metric: Metric) -> [[f64; 3]; 3] {
    if metric.is_spherical() { frame_at_middle(stations) } else { IDENTITY }
}

/// East, north and up at the middle of the places; any axes where there is no middle.
fn frame_at_middle(stations: &Points) -> [[f64; 3]; 3] {
    let sum = |k: usize| stations.axis(k).iter().sum::<f64>();
    let middle = [sum(0), sum(1), sum(2)];
    let length = middle.iter().map(|x| x * x).sum::<f64>().sqrt();
    let across = middle[0].hypot(middle[1]);
    if across <= 1e-9 * length || length == 0.0 {
        return IDENTITY;
    }
    let up = middle.map(|x| x / length);
    let east = [-middle[1] / across, middle[0] / across, 0.0];
    let north = [-up[2] * east[1], up[2] * east[0], up[0] * east[1] - up[1] * east[0]];
    [east, north, up]
}

fn powers(degree: i8, dims: usize, sphere: bool) -> Vec<[u8; 3]> {
    let mut terms = Vec::new();
    if degree >= 0 {
        terms.push([0, 0, 0]);
    }
    if degree >= 1 {
        terms.extend((0..dims).map(unit_power));
    }
    if degree >= 2 {
        for j in 0..dims {
            for k in j..dims {
                if !(sphere && j == 2 && k == 2) {
                    let (a, b) = (unit_power(j), unit_power(k));
                    terms.push([a[0] + b[0], a[1] + b[1], a[2] + b[2]]);
                }
            }
        }
    }
    terms
}

fn unit_power(k: usize) -> [u8; 3] {
    let mut powers = [0; 3];
    powers[k] = 1;
    powers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_terms_is_that_of_the_polynomials() {
        let line = Points::new(vec![vec![0.0, 1.0]]);
        let plane = Points::new(vec![vec![0.0, 1.0], vec![0.0, 2.0]]);
        let globe = Metric::Chordal.embed(&[0.0, 10.0], &[50.0, 60.0]);
        let terms = |d, p: &Points, m| Drift::new(d, p, m).terms();
        assert_eq!([-1, 0, 1, 2].map(|d| terms(d, &line, Metric::Planar)), [0, 1, 2, 3]);
        assert_eq!([-1, 0, 1, 2].map(|d| terms(d, &plane, Metric::Planar)), [0, 1, 3, 6]);
        assert_eq!([-1, 0, 1, 2].map(|d| terms(d, &globe, Metric::Chordal)), [0, 1, 4, 9]);
    }

    #[test]
    fn coordinates_reach_from_minus_one_to_one_on_the_stations() {
        let stations = Points::new(vec![vec![100.0, 140.0, 120.0], vec![20.0, 50.0, 30.0]]);
        let drift = Drift::new(1, &stations, Metric::Planar);
        let mut out = [0.0; 3];
        drift.at(stations.at(0), &mut out);
        assert_eq!(out, [1.0, -1.0, -1.0]);
        drift.at(stations.at(1), &mut out);
        assert_eq!(out, [1.0, 1.0, 1.0]);
    }

    #[test]
    fn up_is_up_at_the_middle_of_a_network_on_the_sphere() {
        let stations = Metric::Chordal.embed(&[100.0, 102.0, 101.0], &[30.0, 30.0, 31.0]);
        let frame = frame_at_middle(&stations);
        for (row, axis) in frame.iter().enumerate() {
            for (column, other) in frame.iter().enumerate() {
                let dot: f64 = axis.iter().zip(other).map(|(a, b)| a * b).sum();
                assert!((dot - if row == column { 1.0 } else { 0.0 }).abs() < 1e-15);
            }
        }
        assert!(turn(&frame, stations.at(0))[2] > 6360.0);
    }
}
