//! What must hold whatever the stations and readings are.
//!
//! Tolerances are `FLOOR + SLACK · condition · ε`, relative to the readings (of order 1 to 10):
//! the floor is what sums of a few dozen terms leave, the slack what elimination in another order
//! may add to `condition · ε`.

mod common;

use isopleth_kernels::{
    Factor, Fit, Kernel, Mat, MatRef, Method, Metric, Par, Points, Resolved, Smoothing, Weights,
};
use proptest::prelude::*;

const FLOOR: f64 = 1e-10;
const SLACK: f64 = 3.0;
const CASES: u32 = 64;

fn tolerance(factor: &Factor) -> f64 {
    FLOOR + SLACK * factor.condition() * f64::EPSILON
}

/// Stations no closer than a tenth of a cell of a jittered lattice of 6 × 5, and readings.
#[derive(Clone, Debug)]
struct Network {
    x: Vec<f64>,
    y: Vec<f64>,
    readings: Mat<f64>,
}

const STATIONS: usize = 30;

fn networks(fields: usize) -> impl Strategy<Value = Network> {
    let jitter = || prop::collection::vec(0.0..0.9, STATIONS);
    let readings = prop::collection::vec(-5.0..5.0, STATIONS * fields);
    (jitter(), jitter(), readings).prop_map(move |(dx, dy, readings)| {
        let cell = |i: usize, width: usize| f64::from(u32::try_from(i % width).expect("small"));
        Network {
            x: dx.iter().enumerate().map(|(i, d)| 100.0 + cell(i, 6) + d).collect(),
            y: dy.iter().enumerate().map(|(i, d)| 30.0 + cell(i / 6, 5) + d).collect(),
            readings: Mat::from_fn(STATIONS, fields, |i, f| readings[i * fields + f]),
        }
    })
}

fn kernels() -> impl Strategy<Value = Kernel> {
    prop::sample::select(Kernel::ALL.to_vec())
}

fn metrics() -> impl Strategy<Value = Metric> {
    prop::sample::select(Metric::ALL.to_vec())
}

fn smoothings() -> impl Strategy<Value = Smoothing> {
    prop_oneof![
        Just(Smoothing::Same(0.0)),
        (0.01..1.0).prop_map(Smoothing::Same),
        prop::collection::vec(0.01..1.0, STATIONS).prop_map(Smoothing::PerStation),
    ]
}

/// One in about a cell, whatever the unit of distance: systems of moderate condition.
fn epsilon(metric: Metric) -> f64 {
    if metric == Metric::Planar { 1.0 } else { 0.001 }
}

/// On the sphere a lattice cell is 10°, a continent in all: degree 2 on a small piece of a sphere
/// is nearly dependent, which is a matter of its own.
fn embed(metric: Metric, x: &[f64], y: &[f64]) -> Points {
    let stretch = |x: &[f64], middle: f64| {
        x.iter().map(|x| if metric == Metric::Planar { *x } else { (x - middle) * TIMES }).collect()
    };
    let (x, y): (Vec<f64>, Vec<f64>) = (stretch(x, 103.0), stretch(y, 31.0));
    metric.embed(&x, &y)
}

const TIMES: f64 = 10.0;

fn resolve(method: &Method, stations: &Points) -> Resolved {
    method.resolve(stations).expect("a valid method")
}

fn factor(stations: &Points, method: &Resolved) -> Factor {
    Factor::new(stations, method, Par::Seq).expect("solvable")
}

fn largest_difference(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    (a - b).norm_max()
}

fn surface(factor: &Factor, weights: &Weights, targets: &Points) -> Mat<f64> {
    common::evaluate(factor.stations(), factor.method(), factor.drift(), weights, targets)
}

/// Some places among and around the stations.
fn targets(metric: Metric) -> Points {
    let x: Vec<f64> = (0..12).map(|i| 99.5 + 0.6 * f64::from(i)).collect();
    let y: Vec<f64> = (0..12).map(|i| 29.7 + 0.47 * f64::from((i * 5) % 12)).collect();
    embed(metric, &x, &y)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn without_smoothing_the_surface_goes_through_the_readings(
        network in networks(2), kernel in kernels(), metric in metrics(), above in 0_i8..2,
    ) {
        let stations = embed(metric, &network.x, &network.y);
        let degree = (kernel.least_degree() + above).min(2);
        let method = Method {
            kernel, metric, degree: Some(degree), epsilon: Some(epsilon(metric)), ..Method::default()
        };
        let factor = factor(&stations, &resolve(&method, &stations));
        let weights = factor.solve(network.readings.as_ref(), Par::Seq).expect("complete");
        let back = surface(&factor, &weights, &stations);
        prop_assert!(largest_difference(&back, &network.readings) < tolerance(&factor));
    }

    #[test]
    fn polynomials_of_the_drifts_degree_are_reproduced(
        network in networks(1), kernel in kernels(), metric in metrics(), degree in 0_i8..=2,
        smoothing in smoothings(), c in prop::collection::vec(-2.0..2.0, 9),
    ) {
        prop_assume!(degree >= kernel.least_degree());
        let stations = embed(metric, &network.x, &network.y);
        let targets = targets(metric);
        let method = Method {
            kernel, metric, degree: Some(degree), smoothing,
            epsilon: Some(epsilon(metric)), convention: Default::default(), anisotropy: None,
        };
        let factor = factor(&stations, &resolve(&method, &stations));
        let polynomial = |places: &Points| {
            let mut terms = vec![0.0; factor.drift().terms()];
            Mat::from_fn(places.len(), 1, |i, _| {
                factor.drift().at(places.at(i), &mut terms);
                terms.iter().zip(&c).map(|(p, c)| p * c).sum::<f64>()
            })
        };
        let weights = factor.solve(polynomial(&stations).as_ref(), Par::Seq).expect("complete");
        let got = surface(&factor, &weights, &targets);
        // Outside of the stations a polynomial grows, and so does its error.
        prop_assert!(largest_difference(&got, &polynomial(&targets)) < 10.0 * tolerance(&factor));
    }

    #[test]
    fn columns_solved_together_equal_columns_solved_alone(
        network in networks(5), kernel in kernels(), metric in metrics(), smoothing in smoothings(),
    ) {
        let stations = embed(metric, &network.x, &network.y);
        let method = Method {
            kernel, metric, smoothing, epsilon: Some(epsilon(metric)), ..Method::default()
        };
        let factor = factor(&stations, &resolve(&method, &stations));
        let together = factor.solve(network.readings.as_ref(), Par::Seq).expect("complete");
        for f in 0..5 {
            let one = network.readings.subcols(f, 1);
            let alone = factor.solve(one, Par::Seq).expect("complete");
            // Same matrix, same factor: only the order of sums differs.
            let size = together.stations.norm_max().max(together.drift.norm_max());
            let close = |a: MatRef<'_, f64>, b: &Mat<f64>| (a - b).norm_max() / size;
            prop_assert!(close(together.stations.subcols(f, 1), &alone.stations) < tolerance(&factor));
            prop_assert!(close(together.drift.subcols(f, 1), &alone.drift) < tolerance(&factor));
        }
    }

    #[test]
    fn scale_free_kernels_make_the_same_map_in_any_unit_and_place(
        network in networks(1), scale in 0.01..100.0, shift in -500.0..500.0,
        kernel in prop::sample::select(vec![
            Kernel::Linear, Kernel::Cubic, Kernel::ThinPlateSpline, Kernel::Quintic,
        ]),
    ) {
        let stations = embed(Metric::Planar, &network.x, &network.y);
        let moved = |p: &Points| {
            let turn = |k: usize| p.axis(k).iter().map(|x| scale * x + shift).collect();
            Points::new(vec![turn(0), turn(1)])
        };
        let method = Method { kernel, metric: Metric::Planar, ..Method::default() };
        let map = |stations: &Points, targets: &Points| {
            let factor = factor(stations, &resolve(&method, stations));
            let weights = factor.solve(network.readings.as_ref(), Par::Seq).expect("complete");
            (surface(&factor, &weights, targets), tolerance(&factor))
        };
        let targets = targets(Metric::Planar);
        let (here, tolerance) = map(&stations, &targets);
        let (there, _) = map(&moved(&stations), &moved(&targets));
        // Moving rounds the coordinates, by up to 1e-11 of a cell for a shift of 500 at scale 0.01.
        prop_assert!(largest_difference(&here, &there) < 100.0 * tolerance);
    }

    #[test]
    fn turning_the_earth_about_its_axis_turns_the_map(
        network in networks(1), kernel in kernels(), east in -180.0..180.0,
    ) {
        let map = |east: f64| {
            let turned = |x: &[f64], y: &[f64]| {
                let moved: Vec<f64> = x.iter().map(|x| x + east / TIMES).collect();
                embed(Metric::Chordal, &moved, y)
            };
            let stations = turned(&network.x, &network.y);
            let targets = turned(&[100.3, 103.0, 106.1], &[30.2, 33.3, 34.9]);
            let method = Method { kernel, epsilon: Some(epsilon(Metric::Chordal)), ..Method::default() };
            let factor = factor(&stations, &resolve(&method, &stations));
            let weights = factor.solve(network.readings.as_ref(), Par::Seq).expect("complete");
            (surface(&factor, &weights, &targets), tolerance(&factor))
        };
        let (here, tolerance) = map(0.0);
        let difference = largest_difference(&here, &map(east).0);
        prop_assert!(difference < 10.0 * tolerance, "{difference:e} {tolerance:e}");
    }

    #[test]
    fn a_missing_station_equals_the_smaller_network(
        network in networks(3), kernel in kernels(), metric in metrics(), smoothing in smoothings(),
        degree in -1_i8..=2, holes in prop::collection::vec((0..STATIONS, 0..3_usize), 0..24),
    ) {
        let method = Method {
            kernel, metric, smoothing, degree: Some(degree), epsilon: Some(epsilon(metric)),
            ..Method::default()
        };
        let mut readings = network.readings.clone();
        for (station, field) in holes {
            readings[(station, field)] = f64::NAN;
        }
        let stations = embed(metric, &network.x, &network.y);
        let whole = factor(&stations, &resolve(&method, &stations));
        let fit = whole.fit(readings.as_ref(), Par::Seq).expect("as many rows as stations");
        prop_assert!(fit.failed.is_empty());
        for field in 0..3 {
            let small = smaller(&stations, &whole, &readings, field);
            agree(&whole, &fit, field, &small)?;
        }
    }

    #[test]
    fn leave_one_out_equals_refitting(
        network in networks(1), kernel in kernels(), metric in metrics(), smoothing in smoothings(),
        degree in -1_i8..=2, left_out in 0..STATIONS,
    ) {
        let method = Method {
            kernel, metric, smoothing, degree: Some(degree), epsilon: Some(epsilon(metric)),
            ..Method::default()
        };
        let stations = embed(metric, &network.x, &network.y);
        let whole = factor(&stations, &resolve(&method, &stations));
        let fit = whole.fit(network.readings.as_ref(), Par::Seq).expect("complete");
        let mut readings = network.readings.clone();
        readings[(left_out, 0)] = f64::NAN;
        let (small, weights, _) = smaller(&stations, &whole, &readings, 0);
        let there = stations.select(&[left_out]);
        let residual = network.readings[(left_out, 0)] - surface(&small, &weights, &there)[(0, 0)];
        let size = 1.0 + residual.abs();
        let difference = (fit.leave_one_out[(left_out, 0)] - residual).abs() / size;
        // What is left may be worse posed than the whole.
        let tolerance = 10.0 * tolerance(&whole).max(tolerance(&small));
        prop_assert!(difference < tolerance, "{difference:e}, {small:?}");
    }

    #[test]
    fn stations_left_out_together_are_what_refitting_without_them_misses_them_by(
        network in networks(1), kernel in kernels(), metric in metrics(), smoothing in smoothings(),
        first in 0..STATIONS, absent in 0..STATIONS,
    ) {
        let method = Method {
            kernel, metric, smoothing, epsilon: Some(epsilon(metric)), ..Method::default()
        };
        let stations = embed(metric, &network.x, &network.y);
        let whole = factor(&stations, &resolve(&method, &stations));
        let mut readings = network.readings.clone();
        readings[(absent, 0)] = f64::NAN;
        let group: Vec<usize> = (0..3).map(|k| (first + 5 * k) % STATIONS).collect();
        let others: Vec<usize> = (0..STATIONS).filter(|i| !group.contains(i)).collect();
        let groups = [group.clone(), others];
        let fit = whole.fit_leaving_out(readings.as_ref(), &groups, Par::Seq).expect("as many rows");
        let mut without = readings.clone();
        group.iter().for_each(|&i| without[(i, 0)] = f64::NAN);
        let (small, weights, _) = smaller(&stations, &whole, &without, 0);
        let predicted = surface(&small, &weights, &stations.select(&group));
        let tolerance = 10.0 * tolerance(&whole).max(tolerance(&small));
        for (k, &i) in group.iter().enumerate() {
            let (residual, told) = (readings[(i, 0)] - predicted[(k, 0)], fit.left_out_together[(i, 0)]);
            let difference = (told - residual).abs() / (1.0 + residual.abs());
            prop_assert!(told.is_nan() || difference < tolerance, "{difference:e}, {small:?}");
        }
        // Where the kernel is not definite a gap may have no square root to correct by.
        let definite = whole.decomposition().ends_with("Cholesky");
        let told = |i: usize| fit.left_out_together[(i, 0)].is_finite();
        prop_assert!(!definite || group.iter().all(|&i| told(i) == (i != absent)));
    }
}

/// One field on the network of the stations that have a reading.
fn smaller(
    stations: &Points,
    whole: &Factor,
    readings: &Mat<f64>,
    field: usize,
) -> (Factor, Weights, (Vec<usize>, Fit)) {
    let present: Vec<usize> =
        (0..stations.len()).filter(|&i| !readings[(i, field)].is_nan()).collect();
    let method = Resolved {
        diagonal: present.iter().map(|&i| whole.method().diagonal[i]).collect(),
        ..whole.method().clone()
    };
    let factor = factor(&stations.select(&present), &method);
    let values = Mat::from_fn(present.len(), 1, |i, _| readings[(present[i], field)]);
    let weights = factor.solve(values.as_ref(), Par::Seq).expect("complete");
    let fit = factor.fit(values.as_ref(), Par::Seq).expect("complete");
    (factor, weights, (present, fit))
}

/// Weights, leave-one-out residuals and the drift (which has another frame, so: the surface).
fn agree(
    whole: &Factor,
    fit: &Fit,
    field: usize,
    small: &(Factor, Weights, (Vec<usize>, Fit)),
) -> Result<(), TestCaseError> {
    let (factor, weights, (present, alone)) = small;
    // A correction is itself a system to solve, and what is left may be worse posed than the whole.
    let tolerance = 100.0 * tolerance(whole).max(tolerance(factor));
    let size = weights.stations.norm_max();
    let mut at = 0;
    for i in 0..whole.stations().len() {
        let (w, e) = (fit.weights.stations[(i, field)], fit.leave_one_out[(i, field)]);
        if present.get(at) != Some(&i) {
            prop_assert!(w == 0.0 && e.is_nan(), "station {i} is missing");
            continue;
        }
        let (other_w, other_e) = (weights.stations[(at, 0)], alone.leave_one_out[(at, 0)]);
        prop_assert!((w - other_w).abs() <= size * tolerance, "weight {w} for {other_w}");
        let alike = (e - other_e).abs() / (1.0 + e.abs()) < tolerance;
        prop_assert!(
            alike || (e.is_nan() && other_e.is_nan()),
            "residual {e} for {other_e}, {whole:?}"
        );
        at += 1;
    }
    let targets = targets(whole.method().metric);
    let one = Weights {
        stations: fit.weights.stations.subcols(field, 1).to_owned(),
        drift: fit.weights.drift.subcols(field, 1).to_owned(),
    };
    let (a, b) = (surface(whole, &one, &targets), surface(factor, weights, &targets));
    prop_assert!(largest_difference(&a, &b) / (1.0 + b.norm_max()) < tolerance);
    Ok(())
}
