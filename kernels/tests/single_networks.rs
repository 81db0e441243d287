//! Single networks: what is refused, by which name, what is warned of, and the smallest and the
//! emptiest cases that still have a surface.

mod common;

use isopleth_kernels::{
    Convention, Error, Factor, Kernel, Mat, Method, Metric, Par, Points, Resolved, Smoothing,
    Warning, Weights,
};

fn resolve(method: &Method, stations: &Points) -> Resolved {
    method.resolve(stations).expect("a valid method")
}

fn factor(stations: &Points, method: &Resolved) -> Factor {
    Factor::new(stations, method, Par::Seq).expect("solvable")
}

fn surface(factor: &Factor, weights: &Weights, targets: &Points) -> Mat<f64> {
    common::evaluate(factor.stations(), factor.method(), factor.drift(), weights, targets)
}

fn grid(n: usize) -> Points {
    let place = |i: usize| f64::from(u32::try_from(i).expect("small"));
    Metric::Planar.embed(
        &(0..n).map(|i| place(i % 4) + 0.1 * place(i % 3)).collect::<Vec<_>>(),
        &(0..n).map(|i| place(i / 4) + 0.07 * place(i % 5)).collect::<Vec<_>>(),
    )
}

fn planar(kernel: Kernel, degree: i8) -> Method {
    Method {
        kernel,
        degree: Some(degree),
        metric: Metric::Planar,
        epsilon: Some(1.0),
        ..Method::default()
    }
}

fn refusal(stations: &Points, method: &Method) -> Error {
    Factor::new(stations, &resolve(method, stations), Par::Seq).expect_err("must be refused")
}

#[test]
fn a_collinear_network_is_refused_before_factorising() {
    // On a slant that has no exact binary fractions, and far from the origin.
    let along: Vec<f64> = (0..20).map(|i| f64::from(i) * 0.37).collect();
    let x: Vec<f64> = along.iter().map(|t| 431_000.0 + 0.3 * t).collect();
    let y: Vec<f64> = along.iter().map(|t| 5_600_000.0 + 0.7 * t).collect();
    let error = refusal(&Metric::Planar.embed(&x, &y), &planar(Kernel::ThinPlateSpline, 1));
    assert_eq!(error, Error::DriftUndetermined { stations: 20, degree: 1, rank: 2, needed: 3 });
    let error = refusal(&Metric::Planar.embed(&along, &[2.0; 20]), &planar(Kernel::Linear, 1));
    assert_eq!(error, Error::DriftUndetermined { stations: 20, degree: 1, rank: 2, needed: 3 });
}

#[test]
fn a_network_on_one_circle_of_the_sphere_is_refused() {
    let around: Vec<f64> = (0..20).map(|i| 7.3 + 2.1 * f64::from(i)).collect();
    let method = Method { degree: Some(1), ..Method::default() };
    for (lon, lat) in [
        (around.clone(), vec![41.3; 20]),
        (vec![23.7; 20], around.clone()),
        (around.clone(), vec![0.0; 20]),
    ] {
        let error = refusal(&Metric::Chordal.embed(&lon, &lat), &method);
        assert!(matches!(error, Error::DriftUndetermined { rank: 3, needed: 4, .. }), "{error}");
    }
}

#[test]
fn too_few_stations_are_told_with_the_number_needed() {
    let error = refusal(&grid(2), &planar(Kernel::Cubic, 1));
    assert_eq!(error, Error::TooFewStations { stations: 2, needed: 3, degree: 1 });
    assert_eq!(refusal(&grid(0), &planar(Kernel::Linear, 0)), Error::NoStations);
}

#[test]
fn stations_at_one_place_and_places_nowhere_are_named() {
    let x = [3.0, 1.0, 2.0, 1.0];
    let stations = |last: f64| Metric::Planar.embed(&x, &[0.0, 5.0, 1.0, last]);
    let method = planar(Kernel::Linear, 0);
    assert_eq!(refusal(&stations(5.0), &method), Error::SamePlace { first: 1, second: 3 });
    assert_eq!(refusal(&stations(f64::NAN), &method), Error::NotFinite { station: 3 });
    assert_eq!(refusal(&stations(f64::INFINITY), &method), Error::NotFinite { station: 3 });
}

#[test]
fn a_kernel_that_overflows_and_a_singular_system_are_told() {
    let far = grid(9).scaled(1e70);
    assert_eq!(refusal(&far, &planar(Kernel::Quintic, 2)), Error::Overflow);
    // One station, -r without a constant: the matrix is the number 0.
    assert!(matches!(refusal(&grid(1), &planar(Kernel::Linear, -1)), Error::Singular { .. }));
}

#[test]
fn readings_that_are_no_numbers_are_refused_or_fail_alone() {
    let stations = grid(12);
    let factor = factor(&stations, &resolve(&planar(Kernel::Linear, 0), &stations));
    let mut readings = Mat::from_fn(12, 3, |i, f| f64::from(u32::try_from(i * f).expect("small")));
    readings[(4, 1)] = f64::INFINITY;
    readings.col_mut(2).fill(f64::NAN);
    let bad = Error::BadReading { station: 4, field: 1, value: f64::INFINITY };
    assert_eq!(factor.solve(readings.as_ref(), Par::Seq).expect_err("infinite"), bad);
    let fit = factor.fit(readings.as_ref(), Par::Seq).expect("as many rows as stations");
    assert_eq!(fit.failed, [(1, bad), (2, Error::AllMissing { field: 2 })]);
    assert!(fit.weights.stations.col(0).iter().all(|w| *w == 0.0));
    assert!(fit.weights.stations.col(1).iter().all(|w| w.is_nan()));
    let error = factor.solve(Mat::zeros(11, 1).as_ref(), Par::Seq).expect_err("a row is lacking");
    assert_eq!(error, Error::ReadingsLength { got: 11, stations: 12 });
}

#[test]
fn equal_readings_give_that_constant_to_the_last_bit() {
    let stations = grid(14);
    for kernel in Kernel::ALL {
        let degree = kernel.least_degree().max(0);
        let factor = factor(&stations, &resolve(&planar(kernel, degree), &stations));
        let mut readings = Mat::full(14, 2, 0.1);
        readings[(3, 1)] = f64::NAN;
        let fit = factor.fit(readings.as_ref(), Par::Seq).expect("as many rows as stations");
        let map = surface(&factor, &fit.weights, &grid(30));
        assert_eq!(map, Mat::full(30, 2, 0.1), "{kernel}");
    }
}

#[test]
fn a_field_with_few_stations_left_is_made_of_those_or_fails_alone() {
    let stations = grid(16);
    let factor = factor(&stations, &resolve(&planar(Kernel::ThinPlateSpline, 1), &stations));
    let mut readings = Mat::from_fn(16, 3, |i, _| f64::from(u32::try_from(i % 5).expect("small")));
    // Field 1 keeps four stations not on a line, field 2 two.
    for i in 0..16 {
        if ![0, 3, 5, 15].contains(&i) {
            readings[(i, 1)] = f64::NAN;
        }
        if ![0, 3].contains(&i) {
            readings[(i, 2)] = f64::NAN;
        }
    }
    let fit = factor.fit(readings.as_ref(), Par::Seq).expect("as many rows as stations");
    assert_eq!((fit.masks, fit.refactored), (2, 2));
    let few = Error::TooFewStations { stations: 2, needed: 3, degree: 1 };
    assert_eq!(fit.failed, [(2, few)]);
    let map = surface(&factor, &fit.weights, &stations);
    for i in [0, 3, 5, 15] {
        assert!((map[(i, 1)] - readings[(i, 1)]).abs() < 1e-12);
    }
    assert!(fit.leave_one_out[(0, 1)].is_finite());
}

#[test]
fn gaps_are_corrected_where_that_is_cheap_and_safe_and_refactored_where_not() {
    // Number 1 is a hair beside number 0: together they are all but one station.
    let (mut x, mut y) = (grid(16).axis(0).to_vec(), grid(16).axis(1).to_vec());
    (x[1], y[1]) = (x[0] + 1e-8, y[0]);
    let stations = Metric::Planar.embed(&x, &y);
    let factor = factor(&stations, &resolve(&planar(Kernel::Linear, 0), &stations));
    let outcome = |missing: &[usize]| {
        let mut readings = Mat::from_fn(16, 2, |i, f| x[i].sin() + x[f]);
        for &station in missing {
            readings[(station, 0)] = f64::NAN;
        }
        let fit = factor.fit(readings.as_ref(), Par::Seq).expect("as many rows as stations");
        assert!(fit.failed.is_empty());
        let map = surface(&factor, &fit.weights, &stations);
        for i in (0..16).filter(|i| !missing.contains(i)) {
            assert!((map[(i, 0)] - readings[(i, 0)]).abs() < 1e-6, "station {i}");
        }
        (fit.masks, fit.refactored)
    };
    assert_eq!(outcome(&[]), (0, 0));
    assert_eq!(outcome(&[3, 9, 10]), (1, 0));
    assert_eq!(outcome(&[2, 3, 4, 5, 6, 7]), (1, 1), "more than a third");
    assert_eq!(outcome(&[0, 1]), (1, 1), "an ill-conditioned correction");
}

#[test]
fn what_a_user_should_know_is_told() {
    let warnings = |method: &Method| {
        let stations = method.metric.embed(grid(12).axis(0), grid(12).axis(1));
        factor(&stations, &resolve(method, &stations)).warnings()
    };
    assert_eq!(warnings(&planar(Kernel::Linear, 0)), []);
    let below = Warning::DegreeBelowLeast { kernel: Kernel::Cubic, degree: 0, least: 1 };
    assert_eq!(warnings(&planar(Kernel::Cubic, 0)), [below]);
    let arcs = Method { metric: Metric::GreatCircle, ..Method::default() };
    assert_eq!(warnings(&arcs), [Warning::GreatCircle]);
    let backwards = Method {
        kernel: Kernel::Gaussian,
        smoothing: Smoothing::Same(0.1),
        convention: Convention::ScipyRbf,
        metric: Metric::Planar,
        ..Method::default()
    };
    assert_eq!(warnings(&backwards), [Warning::BackwardsSmoothing { kernel: Kernel::Gaussian }]);
    let flat = Method { epsilon: Some(1e-3), ..planar(Kernel::Gaussian, 0) };
    assert!(matches!(warnings(&flat)[..], [Warning::IllConditioned { .. }]));
}

#[test]
fn one_station_is_its_reading_everywhere() {
    let stations = grid(1);
    let factor = factor(&stations, &resolve(&planar(Kernel::Linear, 0), &stations));
    let fit = factor.fit(Mat::full(1, 1, 7.3).as_ref(), Par::Seq).expect("one row");
    assert_eq!(surface(&factor, &fit.weights, &grid(5)), Mat::full(5, 1, 7.3));
    assert!(fit.leave_one_out[(0, 0)].is_nan());
}

#[test]
fn a_station_that_alone_fixes_the_drift_has_no_leave_one_out_residual() {
    // All on a line but number 4: without it a plane is not determined.
    let x = [0.0, 1.0, 2.0, 3.0, 1.5];
    let y = [0.0, 0.1, 0.2, 0.3, 2.0];
    let stations = Metric::Planar.embed(&x, &y);
    let factor = factor(&stations, &resolve(&planar(Kernel::Linear, 1), &stations));
    let readings = Mat::from_fn(5, 1, |i, _| (x[i] * 3.0).sin());
    let fit = factor.fit(readings.as_ref(), Par::Seq).expect("complete");
    let exists: Vec<bool> = fit.leave_one_out.col(0).iter().map(|e| e.is_finite()).collect();
    assert_eq!(exists, [true, true, true, true, false]);
}
