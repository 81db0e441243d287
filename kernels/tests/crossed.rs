//! The planar Gaussian on the tiles of a grid, two factors a station, is what `evaluate::scalar` defines,
//! for every field, and whichever cells go together.
//!
//! Tolerance: `8 eps Σ |w| φ (1 + 2u) + 8 eps Σ |c p|` with u = ε²r², as of every exact evaluation: u is rounded,
//! and 2u φ = |r φ'| is what that does to φ. Below the smallest normal number (1e-307) nothing is promised.

use isopleth_kernels::drift::Drift;
use isopleth_kernels::evaluate::{Axis, GridRows, Targets, scalar};
use isopleth_kernels::{Convention, Evaluator, Kernel, Mat, Metric, Points, Resolved};
use isopleth_kernels::{Surface, Weights};
use proptest::prelude::*;
use proptest::sample::select;

const EPS: f64 = f64::EPSILON;

/// Numbers in −1…1 from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((z ^ (z >> 31)) >> 32).expect("32 bits")) / 2_147_483_648.0 - 1.0
    }
}

struct Case {
    surface: Surface,
    stations: Points,
    weights: Weights,
    drift: Drift,
    epsilon: f64,
}

/// Stations in 20 × 16 units; the last as far outside as the grid is wide.
fn case(stations: usize, fields: usize, epsilon: f64, degree: i8) -> Case {
    let mut random = Random(stations as u64 + 77);
    let (mut x, mut y): (Vec<f64>, Vec<f64>) =
        (0..stations).map(|_| (100.0 + 10.0 * random.next(), 35.0 + 8.0 * random.next())).unzip();
    if let (Some(x), Some(y)) = (x.last_mut(), y.last_mut()) {
        (*x, *y) = (*x + 20.0, *y - 16.0);
    }
    let stations = Points::new(vec![x, y]);
    let (kernel, metric) = (Kernel::Gaussian, Metric::Planar);
    let (diagonal, convention) = (vec![0.0; stations.len()], Convention::Native);
    let method = Resolved {
        kernel,
        epsilon,
        diagonal,
        degree,
        metric,
        convention,
        covariates: Vec::new(),
        stretch: None,
    };
    let drift = Drift::new(degree, &stations, metric);
    let weights = Weights {
        stations: Mat::from_fn(stations.len(), fields, |_, _| random.next()),
        drift: Mat::from_fn(drift.terms(), fields, |_, _| random.next()),
    };
    let surface = Surface::new(&stations, &method, &drift, &weights);
    Case { surface, stations, weights, drift, epsilon }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn line(middle: f64, half: f64, n: usize) -> Vec<f64> {
    (0..n).map(|k| middle + half * (2.0 * (k as f64 + 0.5) / n as f64 - 1.0)).collect()
}

impl Case {
    fn tolerance(&self, x: f64, y: f64, f: usize) -> f64 {
        let sum: f64 = (0..self.stations.len())
            .map(|i| {
                let [a, b, _] = self.stations.at(i);
                let u = self.epsilon.powi(2) * ((x - a).powi(2) + (y - b).powi(2));
                self.weights.stations[(i, f)].abs() * ((-u).exp() * (1.0 + 2.0 * u) + 1e-307)
            })
            .sum();
        let mut terms = vec![0.0; self.drift.terms()];
        self.drift.at([x, y, 0.0], &mut terms);
        let drift = terms.iter().enumerate().map(|(k, p)| (self.weights.drift[(k, f)] * p).abs());
        8.0 * EPS * (sum + drift.sum::<f64>()) + 1e-307
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_tile_is_what_the_definition_says(
        stations in select(vec![0_usize, 1, 3, 63, 64, 65, 200]),
        fields in select(vec![1_usize, 2, 7, 8, 9, 17]),
        nx in select(vec![1_usize, 2, 7, 8, 31, 33, 70]),
        ny in select(vec![1_usize, 3, 4, 5, 40]),
        epsilon in select(vec![1e-3, 0.05, 0.3, 1.0, 3.0, 20.0]),
        degree in select(vec![-1_i8, 0, 1]),
    ) {
        let case = case(stations, fields, epsilon, if stations < 3 { -1 } else { degree });
        let (x, y) = (line(101.0, 11.0, nx), line(35.0, 9.0, ny));
        let rows = GridRows::new(&x, &y, Metric::Planar);
        let mut defined = vec![0.0; fields * nx];
        let mut out = vec![f64::NAN; fields * nx * ny];
        for evaluator in Evaluator::available() {
            evaluator.evaluate_tile(&case.surface, &rows, [0..ny, 0..nx], &mut out);
            for (r, &y) in y.iter().enumerate() {
                let axes = [Axis::Each(&x), Axis::Same(y)];
                scalar::evaluate(&case.surface, Targets { axes: &axes, len: nx }, &mut defined);
                for f in 0..fields {
                    for (c, &x) in x.iter().enumerate() {
                        let (got, wanted) = (out[(f * ny + r) * nx + c], defined[f * nx + c]);
                        let allowed = case.tolerance(x, y, f);
                        prop_assert!(
                            (got - wanted).abs() <= allowed,
                            "{}, field {f}, row {r}, column {c}: {got:e} for {wanted:e}, {allowed:e}",
                            evaluator.name()
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn any_tiles_and_any_fields_give_the_same_bits(
        epsilon in select(vec![0.05, 1.0, 4.0, 20.0]),
        width in 1_usize..40,
        height in 1_usize..40,
        first in 0_usize..9,
    ) {
        let (fields, nx, ny) = (10, 61, 37);
        let case = case(300, fields, epsilon, 1);
        let (x, y) = (line(100.0, 30.0, nx), line(35.0, 20.0, ny));
        let rows = GridRows::new(&x, &y, Metric::Planar);
        let alone = {
            let columns = first..first + 2;
            let some = |m: &Mat<f64>| Mat::from_fn(m.nrows(), 2, |i, f| m[(i, columns.start + f)]);
            let weights = Weights { stations: some(&case.weights.stations), drift: some(&case.weights.drift) };
            let (diagonal, metric) = (vec![0.0; 300], Metric::Planar);
            let (kernel, convention) = (Kernel::Gaussian, Convention::Native);
            let method = Resolved { kernel, epsilon, diagonal, degree: 1, metric, convention, covariates: Vec::new(), stretch: None };
            Surface::new(&case.stations, &method, &case.drift, &weights)
        };
        for evaluator in Evaluator::available() {
            let mut whole = vec![0.0; fields * nx * ny];
            evaluator.evaluate_tile(&case.surface, &rows, [0..ny, 0..nx], &mut whole);
            for top in (0..ny).step_by(height) {
                for left in (0..nx).step_by(width) {
                    let (r, c) = (top..(top + height).min(ny), left..(left + width).min(nx));
                    let mut part = vec![0.0; 2 * r.len() * c.len()];
                    evaluator.evaluate_tile(&alone, &rows, [r.clone(), c.clone()], &mut part);
                    let mut part = part.iter();
                    for f in first..first + 2 {
                        for row in r.clone() {
                            for value in &whole[(f * ny + row) * nx..][c.clone()] {
                                let here = part.next().expect("a cell");
                                prop_assert_eq!(value.to_bits(), here.to_bits());
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_field_that_could_not_be_solved_is_nan_far_from_all_stations_too() {
    let mut case = case(40, 2, 20.0, -1);
    case.weights.stations = Mat::from_fn(40, 2, |_, f| if f == 1 { f64::NAN } else { 1.0 });
    let (diagonal, metric) = (vec![0.0; 40], Metric::Planar);
    let (kernel, epsilon, degree) = (Kernel::Gaussian, 20.0, -1);
    let convention = Convention::Native;
    let method = Resolved {
        kernel,
        epsilon,
        diagonal,
        degree,
        metric,
        convention,
        covariates: Vec::new(),
        stretch: None,
    };
    let surface = Surface::new(&case.stations, &method, &case.drift, &case.weights);
    let (x, y) = (line(10.0, 5.0, 9), line(0.0, 5.0, 6));
    let rows = GridRows::new(&x, &y, metric);
    let mut out = vec![1.0; 2 * 54];
    Evaluator::new().evaluate_tile(&surface, &rows, [0..6, 0..9], &mut out);
    assert!(out[..54].iter().all(|v| *v == 0.0) && out[54..].iter().all(|v| v.is_nan()));
}
