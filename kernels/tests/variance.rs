//! How sure a surface is: against stored values of other programs, against a solution of the whole
//! system, and what must hold at stations and for missing ones.

use std::path::Path;

use faer::linalg::solvers::Solve;
use isopleth_kernels::{
    Convention, Error, Factor, Kernel, Mat, Method, Metric, Par, Points, Resolved, Smoothing,
    Variance, drift::Drift, variance,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    made_with: String,
    stations: Vec<Vec<f64>>,
    targets: Vec<Vec<f64>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    by: String,
    kernel: String,
    epsilon: f64,
    degree: i8,
    smoothing: f64,
    variance: Vec<f64>,
}

fn method(kernel: Kernel, epsilon: f64, degree: i8, smoothing: f64) -> Method {
    Method {
        kernel,
        epsilon: Some(epsilon),
        smoothing: Smoothing::Same(smoothing),
        degree: Some(degree),
        metric: Metric::Planar,
        convention: Convention::Native,
        anisotropy: None,
    }
}

/// A network of `n` places in the unit square, and places around it.
fn network(n: usize) -> (Points, Points) {
    let golden = |i: usize, by: f64| (0.5 + by * i as f64).fract();
    let plane = |n: usize, from: usize, low: f64, size: f64| {
        let axis = |by: f64| (from..from + n).map(|i| low + size * golden(i, by)).collect();
        Points::new(vec![axis(0.754_877_666_246_693), axis(0.569_840_290_998_053)])
    };
    (plane(n, 0, 0.0, 1.0), plane(40, 1000, -0.2, 1.4))
}

fn shape(kernel: Kernel) -> f64 {
    match kernel {
        Kernel::Gaussian => 9.0,
        Kernel::WendlandC2 | Kernel::WendlandC4 => 1.2,
        _ => 3.0,
    }
}

/// `φ(0) − vᵀK⁻¹v` by an LU of the whole matrix.
fn directly(stations: &Points, method: &Resolved, places: &Points) -> Vec<f64> {
    with_covariates(stations, method, (places, &[]))
}

/// The same of a method with covariates, of which each has a value at every place.
fn with_covariates(
    stations: &Points,
    method: &Resolved,
    (places, beside): (&Points, &[Vec<f64>]),
) -> Vec<f64> {
    let drift = Drift::new(method.degree, stations, method.metric);
    let (n, terms) = (stations.len(), drift.terms());
    let q = terms + beside.len();
    let phi = |a: [f64; 3], b: [f64; 3]| {
        let squared = (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f64>();
        method.kernel.phi(method.epsilon * squared.sqrt())
    };
    let row = |place: [f64; 3], (of, at): (&[Vec<f64>], usize)| {
        let mut row: Vec<f64> = (0..n).map(|i| phi(place, stations.at(i))).collect();
        row.resize(n + terms, 0.0);
        drift.at(place, &mut row[n..]);
        row.extend(of.iter().map(|column| column[at]));
        row
    };
    let known = &method.covariates;
    let rows: Vec<Vec<f64>> = (0..n).map(|i| row(stations.at(i), (known, i))).collect();
    let matrix = Mat::from_fn(n + q, n + q, |i, j| match (i < n, j < n) {
        (true, true) if i == j => method.kernel.phi(0.0) + method.diagonal[i],
        (true, _) => rows[i][j],
        (_, true) => rows[j][i],
        _ => 0.0,
    });
    let rows: Vec<Vec<f64>> = (0..places.len()).map(|c| row(places.at(c), (beside, c))).collect();
    let columns = Mat::from_fn(n + q, places.len(), |i, c| rows[c][i]);
    let solved = matrix.partial_piv_lu().solve(&columns);
    let known = |c: usize| (0..n + q).map(|i| columns[(i, c)] * solved[(i, c)]).sum::<f64>();
    (0..places.len()).map(|c| method.kernel.phi(0.0) - known(c)).collect()
}

#[test]
fn variances_are_those_of_gaussian_processes_and_kriging_elsewhere() {
    let path = Path::new("../tests/golden/variance.json");
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|e| panic!("{}: {e}; run tests/golden/make_variance.py", path.display()));
    let reference: Reference = serde_json::from_str(&text).expect("as make_variance.py writes it");
    let (stations, targets) =
        (Points::new(reference.stations.clone()), Points::new(reference.targets.clone()));
    assert_eq!(reference.cases.len(), 12);
    for case in &reference.cases {
        let kernel: Kernel = case.kernel.parse().expect("a kernel of ours");
        let method = method(kernel, case.epsilon, case.degree, case.smoothing);
        let method = method.resolve(&stations).expect("valid");
        let factor = Factor::new(&stations, &method, Par::Seq).expect("solvable");
        let got = Variance::new(&factor).expect("definite").at(&targets, &[], Par::Seq);
        for (c, want) in case.variance.iter().enumerate() {
            // Both solve with a rounding error of condition × ε; scikit-learn, like us, takes a
            // difference, PyKrige inverts the whole matrix.
            let allowed = 1e-10 + 16.0 * f64::EPSILON * factor.condition();
            let difference = (got[(c, 0)] - want).abs();
            assert!(
                difference <= allowed,
                "{} {} degree {} smoothing {} ({}): {} for {want}",
                case.by,
                case.kernel,
                case.degree,
                case.smoothing,
                reference.made_with,
                got[(c, 0)]
            );
        }
    }
}

#[test]
fn the_variance_is_that_of_the_whole_system_for_every_kernel_and_degree() {
    let (stations, places) = network(40);
    for kernel in Kernel::ALL {
        for degree in kernel.least_degree()..=2 {
            for smoothing in [0.0, 0.02] {
                let method = method(kernel, shape(kernel), degree, smoothing);
                let method = method.resolve(&stations).expect("valid");
                let factor = Factor::new(&stations, &method, Par::Seq).expect("solvable");
                let got = Variance::new(&factor).expect("definite").at(&places, &[], Par::Seq);
                let want = directly(&stations, &method, &places);
                // Outside the network a drift magnifies: errors are relative to the largest.
                let largest = want.iter().copied().fold(1.0, f64::max);
                let allowed = (1e-11 + 64.0 * f64::EPSILON * factor.condition()) * largest;
                for (c, want) in want.iter().enumerate() {
                    let difference = (got[(c, 0)] - want).abs();
                    assert!(
                        difference <= allowed,
                        "{kernel} degree {degree} smoothing {smoothing}: {} for {want}, allowed \
                         {allowed:.1e}",
                        got[(c, 0)]
                    );
                }
            }
        }
    }
}

#[test]
fn it_is_nothing_at_stations_without_smoothing_and_never_negative() {
    let (stations, places) = network(60);
    for kernel in Kernel::ALL {
        for smoothing in [0.0, 0.1] {
            let method = method(kernel, shape(kernel), kernel.least_degree().max(0), smoothing);
            let method = method.resolve(&stations).expect("valid");
            let factor = Factor::new(&stations, &method, Par::Seq).expect("solvable");
            let variance = Variance::new(&factor).expect("definite");
            let typical = variance.at(&places, &[], Par::Seq).norm_max();
            let at_stations = variance.at(&stations, &[], Par::Seq);
            // Within a millionth of the network's size of a station, and at it.
            let near = Points::new(vec![
                stations.axis(0).iter().map(|x| x + 1e-6).collect(),
                stations.axis(1).to_vec(),
            ]);
            let near = variance.at(&near, &[], Par::Seq);
            for i in 0..stations.len() {
                assert!(at_stations[(i, 0)] >= 0.0 && near[(i, 0)] >= 0.0, "{kernel}");
                if smoothing == 0.0 {
                    let allowed = 64.0 * f64::EPSILON * factor.condition() * typical.max(1.0);
                    assert!(at_stations[(i, 0)] <= allowed, "{kernel}: {}", at_stations[(i, 0)]);
                } else {
                    // A reading with an error of variance λ leaves less than that, and something.
                    assert!(at_stations[(i, 0)] > 0.0 && at_stations[(i, 0)] < smoothing);
                }
            }
        }
    }
    // The default method: 0 to the last bit.
    let method = method(Kernel::Linear, 1.0, 0, 0.0).resolve(&stations).expect("valid");
    let factor = Factor::new(&stations, &method, Par::Seq).expect("solvable");
    let variance = Variance::new(&factor).expect("definite");
    assert_eq!(variance.at(&stations, &[], Par::Seq).norm_max(), 0.0);
}

#[test]
fn missing_stations_give_the_variance_of_the_smaller_network() {
    let (stations, places) = network(60);
    let gaps = [vec![3], vec![0, 1, 2, 30, 59], (0..60).step_by(4).collect()];
    for (kernel, degree) in [(Kernel::Linear, 0), (Kernel::Matern32, -1), (Kernel::Cubic, 2)] {
        for smoothing in [0.0, 0.05] {
            let method = method(kernel, 3.0, degree, smoothing);
            let method = method.resolve(&stations).expect("valid");
            let factor = Factor::new(&stations, &method, Par::Seq).expect("solvable");
            let variance = Variance::new(&factor).expect("definite");
            let made: Vec<_> =
                gaps.iter().map(|gap| variance.gap(gap, Par::Seq).expect("small")).collect();
            let refs: Vec<_> = made.iter().collect();
            let got = variance.at(&places, &refs, Par::Seq);
            let parallel = variance.at(&places, &refs, Par::rayon(2));
            assert!((&got - &parallel).norm_max() == 0.0, "threads change no bit");
            for (g, gap) in gaps.iter().enumerate() {
                let (present, smaller) = factor.without(gap, Par::Seq).expect("solvable");
                assert_eq!(present.len() + gap.len(), stations.len());
                let want = Variance::new(&smaller).expect("definite").at(&places, &[], Par::Seq);
                let largest = want.norm_max().max(1.0);
                for c in 0..places.len() {
                    let difference = (got[(c, 1 + g)] - want[(c, 0)]).abs();
                    assert!(difference < 1e-9 * largest, "{kernel} {gap:?}: {difference:e}");
                    assert!(got[(c, 1 + g)] >= got[(c, 0)], "less is known without stations");
                }
            }
        }
    }
}

#[test]
fn what_missing_stations_add_is_had_from_the_whole_networks_variance_for_every_kernel() {
    let (stations, places) = network(60);
    let gaps = [vec![3], vec![0, 1, 2, 30, 59], (0..60).step_by(4).collect()];
    for kernel in Kernel::ALL {
        for (degree, smoothing) in [(kernel.least_degree().max(0), 0.0), (2, 0.05)] {
            let method = method(kernel, shape(kernel), degree, smoothing);
            let method = method.resolve(&stations).expect("valid");
            let factor = Factor::new(&stations, &method, Par::Seq).expect("solvable");
            let variance = Variance::new(&factor).expect("definite");
            let made: Vec<_> = gaps.iter().filter_map(|m| variance.gap(m, Par::Seq)).collect();
            let refs: Vec<_> = made.iter().collect();
            let want = variance.at(&places, &refs, Par::Seq);
            let growth = variance.growth(&refs, Par::Seq);
            let got = growth.at(&places, want.col_as_slice(0), Par::Seq);
            assert_eq!(got, growth.at(&places, want.col_as_slice(0), Par::rayon(2)), "{kernel}");
            assert!(!made.is_empty());
            // The weights of the surfaces know the inverse to condition × ε.
            let allowed = 1e-10 + 64.0 * f64::EPSILON * factor.condition().min(1e9);
            let largest = want.norm_max().max(1.0);
            for (g, c) in (0..made.len()).flat_map(|g| (0..places.len()).map(move |c| (g, c))) {
                let difference = (got[(c, g)] - want[(c, 1 + g)]).abs();
                assert!(difference <= allowed * largest, "{kernel} {degree}: {difference:e}");
            }
        }
    }
}

/// Two covariates: one that is all but a term of place, one that is not.
fn beside(places: &Points) -> Vec<Vec<f64>> {
    let along = |i: usize| places.axis(0)[i] + 0.2 * (9.0 * places.axis(1)[i]).sin();
    let rough = |i: usize| (37.0 * places.axis(0)[i] + 51.0 * places.axis(1)[i]).sin();
    vec![(0..places.len()).map(along).collect(), (0..places.len()).map(rough).collect()]
}

#[test]
fn with_covariates_the_variance_is_that_of_the_whole_system_also_without_some_stations() {
    let (stations, places) = network(60);
    let z = beside(&places);
    for (kernel, degree) in [(Kernel::Linear, 0), (Kernel::Exponential, 0), (Kernel::Cubic, 2)] {
        for (smoothing, count) in [(0.0, 1), (0.05, 2)] {
            let method = method(kernel, 3.0, degree, smoothing).resolve(&stations).expect("valid");
            let covariates = beside(&stations)[..count].to_vec();
            let method = Resolved { covariates, ..method };
            let factor = Factor::new(&stations, &method, Par::Seq).expect("solvable");
            let variance = Variance::new(&factor).expect("definite");
            assert_eq!(variance.covariates(), count);
            let missing = [0, 1, 2, 30, 59];
            let gap = variance.gap(&missing, Par::Seq).expect("small");
            let parts = variance.at(&places, &[&gap], Par::Seq);
            let row = |c: usize, first: usize| -> Vec<f64> {
                (first..=first + count).map(|k| parts[(c, k)]).collect()
            };
            let whole: Vec<f64> = (0..places.len()).flat_map(|c| row(c, 0)).collect();
            let gaps = [&gap];
            let grown = variance.growth(&gaps, Par::Seq).at(&places, &whole, Par::Seq);
            let present: Vec<usize> = (0..60).filter(|i| !missing.contains(i)).collect();
            let less = stations.select(&present);
            let of_all = with_covariates(&stations, &method, (&places, &z[..count]));
            let of_less = with_covariates(&less, &method.select(&present), (&places, &z[..count]));
            let largest = of_less.iter().copied().fold(1.0, f64::max);
            for c in 0..places.len() {
                let here: Vec<f64> = z[..count].iter().map(|column| column[c]).collect();
                let of = |row: &[f64], gap| variance::spread(row, &here, variance.of_slopes(gap));
                let grown: Vec<f64> = (0..=count).map(|k| grown[(c, k)]).collect();
                for (got, want) in [
                    (of(&row(c, 0), None), of_all[c]),
                    (of(&row(c, 1 + count), Some(&gap)), of_less[c]),
                    (of(&grown, Some(&gap)), of_less[c]),
                ] {
                    let difference = (got - want).abs();
                    assert!(difference < 1e-8 * largest, "{kernel} {count}: {difference:e}");
                }
            }
        }
    }
}

#[test]
fn at_a_station_left_out_it_is_what_the_leave_one_out_residual_varies_by() {
    let (stations, _) = network(50);
    let method = method(Kernel::Exponential, 2.0, 0, 0.1).resolve(&stations).expect("valid");
    let factor = Factor::new(&stations, &method, Par::Seq).expect("solvable");
    let variance = Variance::new(&factor).expect("definite");
    let mut readings = Mat::from_fn(50, 2, |i, f| ((i * (f + 3)) as f64).sin());
    readings[(7, 1)] = f64::NAN;
    let fit = factor.fit(readings.as_ref(), Par::Seq).expect("readings for every station");
    for i in (0..50).filter(|&i| i != 7) {
        for (f, gap) in [(0, vec![i]), (1, vec![i.min(7), i.max(7)])] {
            let gap = variance.gap(&gap, Par::Seq).expect("small");
            let field = variance.at(&stations.select(&[i]), &[&gap], Par::Seq)[(0, 1)];
            let reading = field + 0.1;
            assert!((fit.unit_variance[(i, f)] / reading - 1.0).abs() < 1e-10);
        }
    }
    assert!(fit.unit_variance[(7, 1)].is_nan());
}

#[test]
fn what_is_no_covariance_is_refused() {
    let (stations, _) = network(30);
    let refused = |method: Method| {
        let method = method.resolve(&stations).expect("valid");
        let factor = Factor::new(&stations, &method, Par::Seq).expect("solvable");
        matches!(Variance::new(&factor), Err(Error::NoCovariance { .. }))
    };
    assert!(refused(Method {
        convention: Convention::ScipyRbf,
        metric: Metric::Planar,
        ..Method::default()
    }));
    assert!(refused(method(Kernel::ThinPlateSpline, 1.0, 0, 0.0)));
    assert!(!refused(method(Kernel::ThinPlateSpline, 1.0, 1, 0.0)));
}
