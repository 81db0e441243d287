//! Maps of transformed readings: the same as by hand, without bias, and told to the same bits.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use isopleth_engine::grid::{Registration, Size};
use isopleth_engine::kernels::{Kernel, Method, Smoothing};
use isopleth_engine::observations::{Parts, Station, Variable};
use isopleth_engine::output::{FieldId, Maps, MapsInMemory};
use isopleth_engine::{
    Back, Cancel, Choice, FactorCache, Grid, Limits, Observations, Places, Plan, Progress,
    ReadOptions, Reject, Report, Rules, Settings, Source, Targets, Tolerance, Transform,
    TransformOf, Transforms, crossvalidate, run,
};

const FIRST: FieldId = FieldId { time: 0, variable: 0 };

/// Even chances from 0 to 1.
struct Chances(u64);

impl Chances {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of a normal law.
    fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.next(), self.next());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

/// Places in a box of 10° × 8°, and lognormal readings about a smooth field.
fn lognormal(seed: u64, n: usize, noise: f64) -> (Vec<Station>, Vec<f64>) {
    let mut chances = Chances(seed);
    let mut both = (Vec::new(), Vec::new());
    for i in 0..n {
        let (x, y) = (100.0 + 10.0 * chances.next(), 30.0 + 8.0 * chances.next());
        let smooth = 3.0 + 0.5 * (x / 2.0).sin() + 0.5 * (y / 3.0).cos();
        both.0.push(Station { id: format!("s{i}"), x, y });
        both.1.push((smooth + noise * chances.normal()).exp());
    }
    both
}

fn observations(name: &str, stations: &[Station], readings: &[f64]) -> Observations {
    let variable = Variable { name: name.to_owned(), units: None };
    let row = readings.iter().map(|v| Some(*v).filter(|v| !v.is_nan())).collect();
    let values = vec![(variable, vec![row])];
    let parts = Parts { stations: stations.to_vec(), times: Vec::new(), values };
    Observations::from_parts(parts, &ReadOptions::default()).unwrap()
}

fn grid() -> Targets {
    let (bounds, size) = ([99.0, 29.0, 111.0, 39.0], Size::Shape { nx: 300, ny: 120 });
    Targets::Grid(Grid::from_bounds(bounds, size, Registration::Gridline, true).unwrap())
}

fn method(smoothing: f64) -> Choice {
    let smoothing = Smoothing::Same(smoothing);
    let epsilon = Some(1.0 / 300.0);
    Choice::Told(Method { kernel: Kernel::Exponential, epsilon, smoothing, ..Method::default() })
}

fn told(transform: &str, back: Back) -> Transforms {
    Transforms { told: vec![transform.parse::<TransformOf>().unwrap()], back }
}

fn map(observations: Observations, targets: Targets, settings: Settings) -> (Maps, Report) {
    let plan = Plan::new(observations, targets, settings, &Limits::default()).unwrap();
    let stations = plan.network.stations().len();
    let (rows, columns) = (plan.targets.rows(), plan.targets.columns());
    let sink = MapsInMemory::new(1, 1, rows, columns, stations);
    let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
    let report = run(&plan, &sink, progress, &FactorCache::off()).unwrap();
    (sink.into_maps(), report)
}

fn same_bits(a: &[f64], b: impl Iterator<Item = f64>) -> bool {
    a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

#[test]
fn a_told_transform_is_what_one_does_by_hand_to_the_same_bits() {
    let (stations, mut readings) = lognormal(3, 150, 0.4);
    readings[7] = f64::NAN;
    readings[8] = 0.0;
    for (text, transform) in [
        ("sqrt", Transform::Sqrt),
        ("log:0.7", Transform::Log { offset: 0.7 }),
        ("boxcox:0.3:0.1", Transform::BoxCox { lambda: 0.3, offset: 0.1 }),
    ] {
        let method = method(0.1);
        let by_hand: Vec<f64> = readings.iter().map(|d| transform.forward(*d)).collect();
        let settings = Settings { method: method.clone(), ..Settings::default() };
        let (hand, _) = map(observations("form", &stations, &by_hand), grid(), settings.clone());
        let transforms = told(text, Back::Median);
        let settings = Settings { transforms, ..settings };
        let (maps, report) = map(observations("pm25", &stations, &readings), grid(), settings);
        let expected = hand.map(FIRST).iter().map(|m| transform.back(*m));
        assert!(same_bits(maps.map(FIRST), expected), "{text}");
        assert!(same_bits(maps.readings(FIRST), readings.iter().copied()), "own readings");
        let residual =
            |i: usize| readings[i] - transform.back(by_hand[i] - hand.residuals(FIRST)[i]);
        assert!(same_bits(maps.residuals(FIRST), (0..150).map(residual)), "{text}");
        assert_eq!(report.methods[0].transform, transform);
        assert_eq!(report.methods[0].back_transform, Some(Back::Median));
    }
}

#[test]
fn nothing_transformed_is_what_it_was_to_the_same_bits() {
    let (stations, readings) = lognormal(5, 120, 0.4);
    let settings = Settings { method: method(0.1), ..Settings::default() };
    let (plain, report) = map(observations("pm25", &stations, &readings), grid(), settings.clone());
    assert_eq!(report.methods[0].back_transform, None);
    let settings = Settings { transforms: told("none", Back::Mean), ..settings };
    let (none, _) = map(observations("pm25", &stations, &readings), grid(), settings);
    assert!(same_bits(plain.map(FIRST), none.map(FIRST).iter().copied()));
}

/// Readings at 600 places nobody told, less what is mapped there: their mean in each of 24 networks,
/// which know nothing of each other.
#[test]
fn the_mean_comes_back_without_bias_and_the_median_with_it() {
    let differences = |back: Back| -> Vec<f64> {
        let network = |seed: u64| {
            let (stations, readings) = lognormal(1000 + seed, 750, 0.6);
            let (known, asked) = (&stations[..150], &stations[150..]);
            let places = Places {
                x: asked.iter().map(|s| s.x).collect(),
                y: asked.iter().map(|s| s.y).collect(),
                ..Places::default()
            };
            let settings = Settings {
                method: method(1.0),
                transforms: told("log:1e-6", back),
                tolerance: Tolerance::Exact,
                ..Settings::default()
            };
            let of_known = observations("pm25", known, &readings[..150]);
            let (maps, _) = map(of_known, Targets::Points(places), settings);
            let each = readings[150..].iter().zip(maps.map(FIRST));
            each.map(|(reading, mapped)| reading - mapped).sum::<f64>() / 600.0
        };
        (0..24).map(network).collect()
    };
    let in_errors = |of: &[f64]| {
        let n = of.len() as f64;
        let mean = of.iter().sum::<f64>() / n;
        let variance = of.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0);
        mean / (variance / n).sqrt()
    };
    let [mean, median] = [Back::Mean, Back::Median].map(|back| in_errors(&differences(back)));
    assert!(mean.abs() < 3.0, "{mean} standard errors");
    // exp(0.18): a sixth of all.
    assert!(median > 10.0, "{median} standard errors");
}

#[test]
fn a_surface_through_every_reading_comes_back_through_every_reading() {
    let (stations, readings) = lognormal(11, 90, 0.5);
    let places = Places {
        x: stations.iter().map(|s| s.x).collect(),
        y: stations.iter().map(|s| s.y).collect(),
        ..Places::default()
    };
    let settings = Settings {
        method: method(0.0),
        transforms: told("sqrt", Back::Mean),
        tolerance: Tolerance::Exact,
        ..Settings::default()
    };
    let of_all = observations("pm25", &stations, &readings);
    let (maps, _) = map(of_all, Targets::Points(places), settings);
    for (mapped, reading) in maps.map(FIRST).iter().zip(&readings) {
        // The condition of the system, some 1e4, times rounding, and as much again.
        assert!((mapped - reading).abs() < 1e-9 * reading, "{mapped} {reading}");
    }
}

#[test]
fn what_is_flagged_is_told_in_its_own_unit_and_what_is_rejected_is_not_mapped() {
    let (stations, mut readings) = lognormal(17, 120, 0.1);
    readings[40] = 900.0;
    readings[41] = -1.0;
    let settings = Settings {
        method: method(0.1),
        transforms: told("sqrt", Back::Mean),
        quality: Rules { reject: Reject::Suspect, ..Rules::default() },
        ..Settings::default()
    };
    let (maps, report) = map(observations("pm25", &stations, &readings), grid(), settings);
    let examples: Vec<&String> = report.quality.flags.iter().flat_map(|f| &f.examples).collect();
    assert!(examples.iter().any(|e| e.contains("s40") && e.contains("900")), "{examples:?}");
    assert!(maps.readings(FIRST)[40].is_nan());
    assert!(maps.map(FIRST).iter().all(|v| (0.0..200.0).contains(v)));
}

#[test]
fn a_reading_below_0_enters_as_0_and_that_is_told() {
    let (stations, mut readings) = lognormal(17, 60, 0.1);
    readings[3] = -2.0;
    let settings = Settings {
        method: method(0.1),
        transforms: told("log", Back::Mean),
        ..Settings::default()
    };
    let (maps, report) = map(observations("pm25", &stations, &readings), grid(), settings);
    assert!(report.warnings.iter().any(|w| w.contains("1 readings of pm25 below 0")));
    assert_eq!(maps.readings(FIRST)[3], -2.0);
    assert!(maps.map(FIRST).iter().all(|v| v.is_finite()));
}

/// The file of the shared data, unless it is not at hand.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new("../../shared/data").join(name);
    let there = path.exists();
    if !there {
        println!("skipped: {} is not at hand", path.display());
    }
    there.then_some(path)
}

#[test]
fn what_is_chosen_of_real_concentrations_is_no_worse_than_readings_as_they_are() {
    let Some(path) = shared("china_network_6_hours.csv") else { return };
    let errors = |transforms: Transforms| {
        let options = ReadOptions {
            variables: vec!["pm10".to_owned(), "so2".to_owned()],
            times: vec!["2017-07-07".to_owned()],
            ..ReadOptions::default()
        };
        let read = Observations::read(vec![Source::File(path.clone())], options).unwrap();
        let settings = Settings { transforms, ..Settings::default() };
        let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
        let limits = Limits::default();
        crossvalidate(read, settings, &[], &limits, progress, &FactorCache::off()).unwrap().report
    };
    let median = Transforms { told: Vec::new(), back: Back::Median };
    let (chosen, plain) = (errors(median), errors(told("none", Back::Median)));
    assert!(chosen.methods.iter().any(|m| m.back_transform.is_some()), "{:?}", chosen.methods);
    for (chosen, plain) in chosen.variables.iter().zip(&plain.variables) {
        let mae = |of: &isopleth_engine::report::VariableReport| of.leave_one_out.unwrap().mae;
        assert!(mae(chosen) <= mae(plain), "{chosen:?} {plain:?}");
    }
}
