//! Against stored values of SciPy (`tests/golden/make_golden.py` says how they were made).

mod common;

use std::path::Path;

use isopleth_kernels::{Convention, Factor, Kernel, Mat, Method, Metric, Par, Points, Smoothing};
use serde::Deserialize;

/// What agreement is asked for, as a fraction of the range of the readings, where the condition
/// number allows it.
const FLOOR: f64 = 1e-9;

/// Slack on `condition · ε`: what rounding in the matrix may do to a solution. Both sides have an
/// error of that size, and their eliminations add a small multiple each. (Measured: at most 0.2;
/// the bound is far from sharp where the condition comes from unequal scales of `Φ` and `P`.)
const SLACK: f64 = 2.0;

#[derive(Deserialize)]
struct Reference {
    made_with: String,
    networks: Vec<Network>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Network {
    dims: usize,
    stations: Vec<Vec<f64>>,
    targets: Vec<Vec<f64>>,
    values: Vec<Vec<f64>>,
    per_station: Vec<f64>,
}

#[derive(Deserialize)]
struct Case {
    dims: usize,
    convention: String,
    kernel: String,
    epsilon: Option<f64>,
    degree: Option<i8>,
    smoothing: SmoothingOf,
    condition: f64,
    result: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SmoothingOf {
    Number(f64),
    Named(String),
}

fn reference() -> Reference {
    let path = Path::new("../tests/golden/reference.json");
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|e| panic!("{}: {e}; run tests/golden/make_golden.py", path.display()));
    serde_json::from_str(&text).expect("reference.json is as make_golden.py writes it")
}

impl Case {
    fn method(&self, network: &Network) -> Method {
        Method {
            kernel: self.kernel.parse().expect("a kernel of ours"),
            epsilon: self.epsilon,
            smoothing: match &self.smoothing {
                SmoothingOf::Number(one) => Smoothing::Same(*one),
                SmoothingOf::Named(name) if name == "none" => Smoothing::Same(0.0),
                SmoothingOf::Named(name) if name == "same" => Smoothing::Same(0.1),
                SmoothingOf::Named(_) => Smoothing::PerStation(network.per_station.clone()),
            },
            degree: self.degree,
            metric: Metric::Planar,
            convention: match self.convention.as_str() {
                "native" => Convention::Native,
                _ => Convention::ScipyRbf,
            },
            anisotropy: None,
        }
    }

    /// Largest difference, as a fraction of the range of the field's readings.
    fn difference(&self, network: &Network) -> f64 {
        let stations = Points::new(network.stations.clone());
        let targets = Points::new(network.targets.clone());
        let method = self.method(network).resolve(&stations).expect("a valid method");
        let factor = Factor::new(&stations, &method, Par::Seq).expect("solvable");
        let values = &network.values;
        let readings = Mat::from_fn(stations.len(), values.len(), |i, f| values[f][i]);
        let weights = factor.solve(readings.as_ref(), Par::Seq).expect("complete readings");
        let got = common::evaluate(&stations, &method, factor.drift(), &weights, &targets);
        let mut worst = 0.0_f64;
        for (f, column) in values.iter().enumerate() {
            let low = column.iter().copied().fold(f64::INFINITY, f64::min);
            let high = column.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            for t in 0..targets.len() {
                let difference = (got[(t, f)] - self.result[f][t]).abs() / (high - low);
                assert!(!difference.is_nan(), "{}: not a number", self.name());
                worst = worst.max(difference);
            }
        }
        worst
    }

    fn name(&self) -> String {
        let smoothing = match &self.smoothing {
            SmoothingOf::Number(one) => one.to_string(),
            SmoothingOf::Named(name) => name.clone(),
        };
        format!(
            "{} {}-D {} degree {:?} epsilon {:?} smoothing {smoothing}",
            self.convention, self.dims, self.kernel, self.degree, self.epsilon
        )
    }
}

#[test]
fn every_surface_is_that_of_scipy() {
    let reference = reference();
    let (mut tight, mut worst, mut worst_ratio) = (0, 0.0_f64, 0.0_f64);
    let mut wrong = Vec::new();
    for case in &reference.cases {
        let network = reference.networks.iter().find(|n| n.dims == case.dims).expect("its network");
        let difference = case.difference(network);
        let rounding = case.condition * f64::EPSILON;
        let tolerance = FLOOR.max(SLACK * rounding);
        if difference > tolerance {
            wrong.push(format!(
                "{}: {difference:.1e} of the range, allowed {tolerance:.1e} at condition {:.1e}",
                case.name(),
                case.condition
            ));
        }
        if tolerance <= FLOOR {
            tight += 1;
            worst = worst.max(difference);
        }
        if difference > FLOOR {
            worst_ratio = worst_ratio.max(difference / rounding);
        }
    }
    eprintln!(
        "{} cases ({}), {tight} held to {FLOOR:e}: at most {worst:.1e}; elsewhere at most \
         {worst_ratio:.2} condition eps",
        reference.cases.len(),
        reference.made_with
    );
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tight * 10 >= reference.cases.len() * 9, "only {tight} cases are held to {FLOOR:e}");
}

#[test]
fn the_reference_has_every_combination() {
    let reference = reference();
    let count = |f: &dyn Fn(&Case) -> bool| reference.cases.iter().filter(|c| f(c)).count();
    for kernel in Kernel::ALL {
        // 4 degrees, 3 smoothings, 1-D and 2-D.
        let native = |c: &Case| c.convention == "native" && c.kernel == kernel.name();
        assert_eq!(count(&native), 24, "{kernel}");
    }
    // 7 functions, epsilon given or not, smooth or not, 1-D and 2-D.
    assert_eq!(count(&|c| c.convention == "scipy-rbf"), 56);
}
