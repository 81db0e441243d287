//! Covariates in the drift, against the whole system solved as it stands by NumPy
//! (`tests/golden/make_background.py`), and each station left out by solving without it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::sync::Arc;

use isopleth_kernels::evaluate::{Axis, Targets};
use isopleth_kernels::{
    Error, Evaluator, Factor, Kernel, Mat, Method, Metric, Par, Points, Resolved, Smoothing,
    Surface,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Document {
    covariates: Golden,
}

#[derive(Deserialize)]
struct Golden {
    stations: Vec<[f64; 2]>,
    cells: Vec<[f64; 2]>,
    of_stations: Vec<Vec<f64>>,
    of_cells: Vec<Vec<f64>>,
    fields: Vec<Vec<Option<f64>>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    kernel: String,
    epsilon: f64,
    smoothing: f64,
    degree: i8,
    cells: Vec<Vec<f64>>,
    left_out: Vec<Vec<Option<f64>>>,
}

fn golden() -> Golden {
    let path = Path::new("../tests/golden/background.json");
    serde_json::from_str::<Document>(&std::fs::read_to_string(path).unwrap()).unwrap().covariates
}

fn points(places: &[[f64; 2]]) -> Points {
    let axis = |k: usize| places.iter().map(|place| place[k]).collect();
    Points::new(vec![axis(0), axis(1)])
}

impl Golden {
    /// Covariate `k` of the stations or the cells, centred and scaled over the stations.
    fn standard(&self, k: usize, values: &[f64]) -> Vec<f64> {
        let of = &self.of_stations[k];
        let n = of.len() as f64;
        let centre = of.iter().sum::<f64>() / n;
        let scale = (of.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / n).sqrt();
        values.iter().map(|v| (v - centre) / scale).collect()
    }

    fn method(&self, case: &Case) -> Resolved {
        let method = Method {
            kernel: case.kernel.parse::<Kernel>().unwrap(),
            epsilon: Some(case.epsilon),
            smoothing: Smoothing::Same(case.smoothing),
            degree: Some(case.degree),
            metric: Metric::Planar,
            ..Method::default()
        };
        let covariates = (0..2).map(|k| self.standard(k, &self.of_stations[k])).collect();
        Resolved { covariates, ..method.resolve(&points(&self.stations)).unwrap() }
    }

    fn readings(&self) -> Mat<f64> {
        Mat::from_fn(self.stations.len(), 2, |i, f| self.fields[f][i].unwrap_or(f64::NAN))
    }
}

/// Of numbers of size 50 in systems of condition up to 1e5.
const TOLERANCE: f64 = 1e-9;

#[test]
fn surfaces_and_stations_left_out_are_those_of_the_whole_system() {
    let golden = golden();
    let (stations, cells) = (points(&golden.stations), points(&golden.cells));
    assert_eq!(golden.cases.len(), 5);
    for case in &golden.cases {
        let method = golden.method(case);
        let factor = Factor::new(&stations, &method, Par::Seq).unwrap();
        assert_eq!(factor.terms(), factor.drift().terms() + 2);
        let fit = factor.fit(golden.readings().as_ref(), Par::Seq).unwrap();
        assert!(fit.failed.is_empty());
        let surface = Surface::new(&stations, &method, factor.drift(), &fit.weights);
        let axes = [Axis::Each(cells.axis(0)), Axis::Each(cells.axis(1))];
        let mut values = vec![0.0; 2 * cells.len()];
        let targets = Targets { axes: &axes, len: cells.len() };
        Evaluator::new().evaluate(&surface, targets, &mut values);
        let first = factor.drift().terms();
        for k in 0..2 {
            let z = golden.standard(k, &golden.of_cells[k]);
            for (f, field) in values.chunks_exact_mut(cells.len()).enumerate() {
                let beta = fit.weights.drift[(first + k, f)];
                field.iter_mut().zip(&z).for_each(|(value, z)| *value += beta * z);
            }
        }
        for f in 0..2 {
            for (value, wanted) in values[f * cells.len()..].iter().zip(&case.cells[f]) {
                assert!((value - wanted).abs() < TOLERANCE, "{}: {value} {wanted}", case.kernel);
            }
            for (i, wanted) in case.left_out[f].iter().enumerate() {
                let residual = fit.leave_one_out[(i, f)];
                match wanted {
                    Some(wanted) => assert!(
                        (residual - wanted).abs() < TOLERANCE,
                        "{} {i}: {residual} {wanted}",
                        case.kernel
                    ),
                    None => assert!(residual.is_nan()),
                }
            }
        }
    }
}

/// A correction for many missing stations, or another factorisation: the same surface.
#[test]
fn a_gap_changes_the_coefficients_as_leaving_its_stations_away_does() {
    let golden = golden();
    let stations = points(&golden.stations);
    let method = golden.method(&golden.cases[1]);
    let factor = Factor::new(&stations, &method, Par::Seq).unwrap();
    for missing in [vec![3], vec![0, 5, 6, 20], (0..26).step_by(2).collect::<Vec<_>>()] {
        let mut readings = golden.readings().subcols(0, 1).to_owned();
        missing.iter().for_each(|&i| readings[(i, 0)] = f64::NAN);
        let fit = factor.fit(readings.as_ref(), Par::Seq).unwrap();
        let present: Vec<usize> = (0..26).filter(|i| !missing.contains(i)).collect();
        let smaller = Factor::new(&stations.select(&present), &method.select(&present), Par::Seq);
        let values = Mat::from_fn(present.len(), 1, |k, _| readings[(present[k], 0)]);
        let alone = smaller.unwrap().fit(values.as_ref(), Par::Seq).unwrap();
        for k in 0..2 {
            // Only the polynomials change their frame with the stations.
            let terms = factor.drift().terms();
            let [a, b] = [&fit, &alone].map(|fit| fit.weights.drift[(terms + k, 0)]);
            assert!((a - b).abs() < TOLERANCE, "{missing:?}: {a} {b}");
        }
        for (k, &i) in present.iter().enumerate() {
            let (a, b) = (fit.leave_one_out[(i, 0)], alone.leave_one_out[(k, 0)]);
            assert!((a - b).abs() < TOLERANCE, "{missing:?}: {a} {b}");
        }
    }
}

#[test]
fn a_factor_with_covariates_is_taken_up_again_with_the_same_bits() {
    let golden = golden();
    let stations = points(&golden.stations);
    for case in &golden.cases {
        let method = golden.method(case);
        let factor = Factor::new(&stations, &method, Par::Seq).unwrap();
        let mut numbers = Vec::new();
        factor
            .save(|part| {
                numbers.extend_from_slice(part);
                Ok::<_, ()>(())
            })
            .unwrap();
        assert_eq!(numbers.len(), Factor::saved_numbers(26, factor.terms()));
        let again = Factor::restore(&stations, &method, Arc::new(numbers.clone())).unwrap();
        let fits = [&factor, &again].map(|f| f.fit(golden.readings().as_ref(), Par::Seq).unwrap());
        for f in 0..2 {
            let bits = |fit: &isopleth_kernels::Fit| -> Vec<u64> {
                let weights = fit.weights.stations.col_as_slice(f).iter();
                weights.chain(fit.weights.drift.col_as_slice(f)).map(|w| w.to_bits()).collect()
            };
            assert_eq!(bits(&fits[0]), bits(&fits[1]));
        }
        let plain = Resolved { covariates: Vec::new(), ..method };
        assert!(Factor::restore(&stations, &plain, Arc::new(numbers)).is_none());
    }
}

#[test]
fn covariates_that_are_no_columns_are_refused() {
    let golden = golden();
    let stations = points(&golden.stations);
    let method = golden.method(&golden.cases[0]);
    let with = |covariates: Vec<Vec<f64>>| {
        let method = Resolved { covariates, ..method.clone() };
        Factor::new(&stations, &method, Par::Seq).unwrap_err()
    };
    let short = with(vec![vec![1.0; 25]]);
    assert_eq!(short, Error::CovariateLength { got: 25, stations: 26 });
    let mut column = method.covariates[0].clone();
    column[7] = f64::NAN;
    assert!(matches!(with(vec![column]), Error::BadCovariate { station: 7, .. }));
    // The same column twice, and a constant beside that of the drift.
    let twice = with(vec![method.covariates[0].clone(), method.covariates[0].clone()]);
    assert!(matches!(twice, Error::DriftUndetermined { rank: 2, needed: 3, .. }), "{twice}");
    let constant = with(vec![vec![1.0; 26]]);
    assert!(matches!(constant, Error::DriftUndetermined { rank: 1, needed: 2, .. }), "{constant}");
}
