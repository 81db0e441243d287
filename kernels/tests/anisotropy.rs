//! Two ranges and an angle: the numbers of SciPy through coordinates that were stretched before, in a plane
//! and in space, and the same along every way through the crate.

use std::collections::BTreeMap;
use std::path::Path;

use isopleth_kernels::evaluate::{Axis, GridRows, Targets, scalar};
use isopleth_kernels::{
    Anisotropy, Convention, Error, Evaluator, Factor, Kernel, Mat, Method, Metric, Par, Points,
    Smoothing, Surface, Variance,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    made_with: String,
    stations: BTreeMap<String, [Vec<f64>; 2]>,
    targets: BTreeMap<String, [Vec<f64>; 2]>,
    values: Vec<f64>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    metric: String,
    kernel: String,
    degree: i8,
    epsilon: f64,
    smoothing: f64,
    ratio: f64,
    angle: f64,
    expected: Vec<f64>,
}

fn method(kernel: Kernel, metric: Metric, (ratio, angle): (f64, f64)) -> Method {
    let anisotropy = Some(Anisotropy::new(ratio, angle).expect("valid"));
    Method { kernel, metric, anisotropy, epsilon: Some(0.8), ..Method::default() }
}

/// A surface at some places, by the vector instructions and by the definition.
fn evaluate(surface: &Surface, places: &Points) -> [Vec<f64>; 2] {
    let axes: Vec<Axis<'_>> = (0..places.dims()).map(|k| Axis::Each(places.axis(k))).collect();
    let targets = Targets { axes: &axes, len: places.len() };
    let mut both = [(); 2].map(|()| vec![0.0; surface.fields() * places.len()]);
    Evaluator::new().evaluate(surface, targets, &mut both[0]);
    scalar::evaluate(surface, targets, &mut both[1]);
    both
}

#[test]
fn surfaces_are_those_of_scipy_through_stretched_coordinates() {
    let path = Path::new("../tests/golden/anisotropy.json");
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|e| panic!("{}: {e}; run tests/golden/make_anisotropy.py", path.display()));
    let reference: Reference = serde_json::from_str(&text).expect("as the script writes it");
    assert_eq!(reference.cases.len(), 32);
    let readings = Mat::from_fn(reference.values.len(), 1, |i, _| reference.values[i]);
    for case in &reference.cases {
        let kernel: Kernel = case.kernel.parse().expect("a kernel of ours");
        let metric: Metric = case.metric.parse().expect("a metric of ours");
        let method = Method {
            epsilon: Some(case.epsilon),
            smoothing: Smoothing::Same(case.smoothing),
            degree: Some(case.degree),
            ..method(kernel, metric, (case.ratio, case.angle))
        };
        let [stations, targets] = [&reference.stations, &reference.targets]
            .map(|of| metric.embed(&of[&case.metric][0], &of[&case.metric][1]));
        let method = method.resolve(&stations).expect("valid");
        let factor = Factor::new(&stations, &method, Par::Seq).expect("solvable");
        let weights = factor.solve(readings.as_ref(), Par::Seq).expect("complete");
        let surface = Surface::new(&stations, &method, factor.drift(), &weights);
        // Both solve to condition × ε; readings are of order 30.
        let allowed = 1e-8_f64.max(64.0 * f64::EPSILON * factor.condition());
        for got in evaluate(&surface, &targets) {
            for (got, want) in got.iter().zip(&case.expected) {
                assert!(
                    (got - want).abs() < allowed,
                    "{} {} degree {} {}:{} ({}): {got} for {want}",
                    case.metric,
                    case.kernel,
                    case.degree,
                    case.ratio,
                    case.angle,
                    reference.made_with
                );
            }
        }
    }
}

/// Some places within a square, or a part of the Earth.
fn places(n: usize, from: usize, metric: Metric) -> Points {
    let golden = |i: usize, by: f64| 10.0 * (0.5 + by * i as f64).fract();
    let axis = |by: f64, low: f64| (from..from + n).map(|i| low + golden(i, by)).collect();
    let low = if metric.is_spherical() { [100.0, 30.0] } else { [0.0; 2] };
    let (x, y): (Vec<f64>, Vec<f64>) =
        (axis(0.754_877_666_246_693, low[0]), axis(0.569_840_290_998_053, low[1]));
    metric.embed(&x, &y)
}

#[test]
fn what_is_left_out_gaps_and_variances_are_those_of_the_smaller_network() {
    for metric in [Metric::Planar, Metric::Chordal] {
        let scale = if metric.is_spherical() { 0.004 } else { 0.4 };
        let (stations, targets) = (places(50, 0, metric), places(20, 1000, metric));
        let method = Method {
            epsilon: Some(scale),
            smoothing: Smoothing::Same(0.02),
            ..method(Kernel::Exponential, metric, (2.5, 40.0))
        };
        let method = method.resolve(&stations).expect("valid");
        let factor = Factor::new(&stations, &method, Par::Seq).expect("solvable");
        let mut readings = Mat::from_fn(50, 1, |i, _| ((i * 7) as f64).sin());
        (0..50).step_by(9).for_each(|i| readings[(i, 0)] = f64::NAN);
        let fit = factor.fit(readings.as_ref(), Par::Seq).expect("readings");
        for left_out in [1, 2, 30] {
            let present: Vec<usize> = (0..50).filter(|&i| i % 9 != 0 && i != left_out).collect();
            let (some, of_some) = (stations.select(&present), method.select(&present));
            let smaller = Factor::new(&some, &of_some, Par::Seq).expect("solvable");
            let values = Mat::from_fn(present.len(), 1, |i, _| readings[(present[i], 0)]);
            let weights = smaller.solve(values.as_ref(), Par::Seq).expect("complete");
            let surface = Surface::new(&some, &of_some, smaller.drift(), &weights);
            let [at, _] = evaluate(&surface, &stations.select(&[left_out]));
            let residual = readings[(left_out, 0)] - at[0];
            assert!((fit.leave_one_out[(left_out, 0)] - residual).abs() < 1e-9, "{metric}");
        }
        let missing: Vec<usize> = (0..50).step_by(9).collect();
        let variance = Variance::new(&factor).expect("definite");
        let gap = variance.gap(&missing, Par::Seq).expect("small");
        let (_, smaller) = factor.without(&missing, Par::Seq).expect("solvable");
        let of_smaller = Variance::new(&smaller).expect("definite");
        let want = of_smaller.at(&targets, &[], Par::Seq);
        let both = variance.at(&targets, &[&gap], Par::Seq);
        let gaps = [&gap];
        let grown = variance.growth(&gaps, Par::Seq).at(&targets, both.col_as_slice(0), Par::Seq);
        for c in 0..targets.len() {
            assert!((both[(c, 1)] - want[(c, 0)]).abs() < 1e-9, "{metric}");
            assert!((grown[(c, 0)] - want[(c, 0)]).abs() < 1e-9, "{metric}");
        }
    }
}

/// A planar Gaussian on a grid, which is separable where it is not stretched.
#[test]
fn a_stretched_gaussian_on_a_grid_is_the_sum_over_all_stations() {
    let stations = places(40, 0, Metric::Planar);
    let weights = |method: &_| {
        let factor = Factor::new(&stations, method, Par::Seq).expect("solvable");
        let readings = Mat::from_fn(40, 2, |i, f| ((i * (f + 3)) as f64).cos());
        let weights = factor.solve(readings.as_ref(), Par::Seq).expect("complete");
        Surface::new(&stations, method, factor.drift(), &weights)
    };
    let method = method(Kernel::Gaussian, Metric::Planar, (3.0, 20.0));
    let surface = weights(&method.resolve(&stations).expect("valid"));
    assert!(surface.is_stretched() && !surface.is_separable());
    let plain = Method { anisotropy: None, ..method };
    assert!(weights(&plain.resolve(&stations).expect("valid")).is_separable());
    let axis: Vec<f64> = (0..21).map(|k| f64::from(k) * 0.5).collect();
    let rows = GridRows::new(&axis, &axis, Metric::Planar);
    let mut got = vec![0.0; 2 * 21 * 21];
    Evaluator::new().evaluate_tile(&surface, &rows, [0..21, 0..21], &mut got);
    let cells: Vec<(f64, f64)> =
        axis.iter().flat_map(|&y| axis.iter().map(move |&x| (x, y))).collect();
    let (x, y): (Vec<f64>, Vec<f64>) = cells.into_iter().unzip();
    let [_, want] = evaluate(&surface, &Metric::Planar.embed(&x, &y));
    assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-9));
}

#[test]
fn what_cannot_be_stretched_is_refused_and_words_are_read() {
    let stations = places(9, 0, Metric::Chordal);
    let refused = |method: Method, stations: &Points| {
        matches!(method.resolve(stations), Err(Error::NoAnisotropy))
    };
    let of = |metric| method(Kernel::Linear, metric, (2.0, 0.0));
    assert!(refused(of(Metric::GreatCircle), &stations));
    assert!(!refused(of(Metric::Chordal), &stations));
    let compat = Method { convention: Convention::ScipyRbf, ..of(Metric::Planar) };
    assert!(refused(compat, &places(9, 0, Metric::Planar)));
    assert!(refused(of(Metric::Planar), &Points::new(vec![vec![1.0, 2.0, 3.0]])));
    let read = |text: &str| text.parse::<Anisotropy>().map(|a| (a.ratio(), a.angle()));
    assert_eq!(read("2:30").expect("right"), (2.0, 30.0));
    assert_eq!(read(" 1.5 : -45 ").expect("right"), (1.5, 135.0));
    for wrong in ["2", "0.5:30", "x:30", "2:north", "NaN:0", "2:inf", "1000:0", ""] {
        let error = read(wrong).expect_err("wrong").to_string();
        assert!(error.contains("RATIO:ANGLE"), "{error}");
    }
}
