//! Covariates: a dependence that is there is found and carried to the cells; one that cannot be told is
//! refused.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use isopleth_engine::background::{Background, From};
use isopleth_engine::covariates::{Covariate, CovariateReport, Wanted};
use isopleth_engine::grid::Size;
use isopleth_engine::kernels::{Kernel, Method, Metric, Smoothing};
use isopleth_engine::observations::{Parts, Station, Variable};
use isopleth_engine::output::{FieldId, Maps, MapsInMemory};
use isopleth_engine::{
    Auto, Bound, Bounds, Cancel, Choice, Error, FactorCache, Folds, Grid, Limits, Observations,
    Plan, Progress, ReadOptions, Registration, Report, Settings, Targets, Tolerance, crossvalidate,
    run,
};

/// A grid of whole numbers, 0 to 20 each way, on a plane; rows from the north.
fn write(path: &Path, steps: usize, units: Option<&str>, value: impl Fn(f64, f64) -> f64) {
    let mut file = netcdf::create(path).unwrap();
    let x: Vec<f64> = (0..21).map(f64::from).collect();
    let y: Vec<f64> = x.iter().rev().copied().collect();
    file.add_dimension("time", steps).unwrap();
    let mut time = file.add_variable::<f64>("time", &["time"]).unwrap();
    time.put_attribute("units", "days since 2020-01-01").unwrap();
    time.put_values(&x[..steps], ..).unwrap();
    for (name, nodes) in [("y", &y), ("x", &x)] {
        file.add_dimension(name, nodes.len()).unwrap();
        file.add_variable::<f64>(name, &[name]).unwrap().put_values(nodes, ..).unwrap();
    }
    let row = |y: &f64| x.iter().map(|x| value(*x, *y)).collect::<Vec<_>>();
    let all: Vec<f64> = y.iter().flat_map(row).collect();
    let mut variable = file.add_variable::<f64>("z", &["time", "y", "x"]).unwrap();
    if let Some(units) = units {
        variable.put_attribute("units", units).unwrap();
    }
    variable.put_values(&all.repeat(steps), ..).unwrap();
}

/// Two ridges, straight between the nodes of the grid.
fn height(x: f64, y: f64) -> f64 {
    200.0 + 90.0 * (x - 7.0).abs() + 55.0 * (y - 12.0).abs()
}

/// Of uneven places, those within 4 to 16, so that cells around are higher.
fn stations(n: u32) -> Vec<Station> {
    (0..n)
        .map(|i| Station {
            id: format!("s{i}"),
            x: 4.0 + 12.0 * (0.3 + 0.754_877_666 * f64::from(i)).fract(),
            y: 4.0 + 12.0 * (0.7 + 0.569_840_291 * f64::from(i)).fract(),
        })
        .collect()
}

/// Two days; on the second every fifth station is silent. With a column of heights, or without.
fn parts(n: u32, column: bool, of: impl Fn(usize, &Station) -> f64) -> Parts {
    let stations = stations(n);
    let row = |time: usize| -> Vec<Option<f64>> {
        let present = |i: usize| time == 0 || !i.is_multiple_of(5);
        stations.iter().enumerate().map(|(i, s)| present(i).then(|| of(time, s))).collect()
    };
    let variable = |name: &str| Variable { name: name.into(), units: None };
    let mut values = vec![(variable("temp"), vec![row(0), row(1)])];
    if column {
        let heights: Vec<_> = stations.iter().map(|s| Some(height(s.x, s.y))).collect();
        values.push((variable("altitude"), vec![heights.clone(), heights]));
    }
    Parts { values, times: vec!["2020-01-01".into(), "2020-01-02".into()], stations }
}

fn settings(wanted: &[&str], clamp: bool) -> Settings {
    let all = wanted.iter().map(|given| Covariate::parse(given).unwrap()).collect();
    let method = Method { metric: Metric::Planar, ..Method::default() };
    Settings {
        method: Choice::Told(method),
        tolerance: Tolerance::Exact,
        bounds: Bounds { min: vec![Bound { variable: None, value: None }], max: vec![] },
        covariates: Wanted { all, clamp },
        ..Settings::default()
    }
}

fn grid() -> Targets {
    let size = Size::Shape { nx: 41, ny: 33 };
    let bounds = [0.0, 2.0, 20.0, 18.0];
    Targets::Grid(Grid::from_bounds(bounds, size, Registration::Gridline, false).unwrap())
}

fn observed(parts: Parts) -> Observations {
    let options = ReadOptions { planar: true, ..ReadOptions::default() };
    Observations::from_parts(parts, &options).unwrap()
}

fn planned(parts: Parts, settings: Settings) -> Result<Plan, Error> {
    Plan::new(observed(parts), grid(), settings, &Limits::default())
}

fn made(plan: &Plan, factors: &FactorCache) -> (Maps, Report) {
    let sink = MapsInMemory::new(1, 2, 33, 41, plan.network.len());
    let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
    let report = run(plan, &sink, progress, factors).unwrap();
    (sink.into_maps(), report)
}

fn cells(plan: &Plan) -> Vec<(f64, f64)> {
    let Targets::Grid(grid) = &plan.targets else { unreachable!("it was made of a grid") };
    grid.y().iter().flat_map(|&y| grid.x().iter().map(move |&x| (x, y))).collect()
}

/// What falls by 6.5 degrees a kilometre and is else linear in x does so at every cell, wherever the
/// heights of the stations come from, also with gaps.
#[test]
fn a_linear_dependence_is_found_and_carried_to_every_cell() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dem.nc");
    write(&path, 1, None, height);
    let covariate = format!("altitude={}:z", path.display());
    let law = |time: usize, x: f64, y: f64| {
        let day = if time == 0 { 0.0 } else { 3.0 };
        15.0 + day + 0.4 * x - 0.0065 * height(x, y)
    };
    let method = Method { degree: Some(1), metric: Metric::Planar, ..Method::default() };
    for column in [false, true] {
        let parts = parts(60, column, |time, s| law(time, s.x, s.y));
        let method = Choice::Told(method.clone());
        let plan = planned(parts, Settings { method, ..settings(&[&covariate], false) }).unwrap();
        assert_eq!(plan.observations.variables().len(), 1, "the heights are no variable");
        let (maps, report) = made(&plan, &FactorCache::off());
        for time in 0..2 {
            let map = maps.map(FieldId { time, variable: 0 });
            for (&(x, y), value) in cells(&plan).iter().zip(map) {
                // The condition of the drift is below 10, that of the kernel below 1e3.
                assert!((value - law(time, x, y)).abs() < 1e-9, "{x} {y}: {value}");
            }
        }
        let told: &CovariateReport = &report.covariates[0];
        assert!((told.slopes[0].slope + 0.0065).abs() < 1e-12, "{told:?}");
        let source = if column { "column altitude, dem.nc:z" } else { "dem.nc:z" };
        assert_eq!((told.source.as_str(), told.clamped), (source, false));
        assert!(report.variables[0].leave_one_out.unwrap().rmse < 1e-9);
    }
}

/// Bumps that no law of height explains.
fn bumps(time: usize, s: &Station) -> f64 {
    let day = if time == 0 { 1.0 } else { -0.7 };
    12.0 - 0.006 * height(s.x, s.y) + day * (s.x * 1.3).sin() + (s.y * 0.9 + day).cos()
}

#[test]
fn cells_beyond_the_stations_are_counted_and_clamped_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dem.nc");
    write(&path, 1, Some("m"), |x, y| if x == 3.0 && y == 8.0 { f64::NAN } else { height(x, y) });
    let covariate = format!("altitude={}:z", path.display());
    let of = |clamp: bool| {
        let plan = planned(parts(40, true, bumps), settings(&[&covariate], clamp)).unwrap();
        let (maps, report) = made(&plan, &FactorCache::off());
        (maps.map(FieldId { time: 0, variable: 0 }).to_vec(), report, cells(&plan))
    };
    let ((free, report, cells), (clamped, told, _)) = (of(false), of(true));
    let [low, high] = report.covariates[0].range;
    let slope = report.covariates[0].slopes[0].slope;
    assert!(slope < -0.004 && slope > -0.008, "{slope}");
    let (mut outside, mut without) = (0, 0);
    for (k, &(x, y)) in cells.iter().enumerate() {
        let unknown = (x - 3.0).abs() < 1.0 && (y - 8.0).abs() < 1.0;
        assert_eq!((free[k].is_nan(), clamped[k].is_nan()), (unknown, unknown), "{x} {y}");
        if unknown {
            without += 1;
        } else if height(x, y) > high || height(x, y) < low {
            outside += 1;
            assert_ne!(free[k].to_bits(), clamped[k].to_bits());
        } else {
            assert_eq!(free[k].to_bits(), clamped[k].to_bits());
        }
    }
    for report in [&report, &told] {
        let told = &report.covariates[0];
        assert_eq!((told.cells_outside, told.cells_without), (outside, without));
        assert!(report.warnings.iter().any(|w| w.contains(&format!("{outside} cells lie beyond"))));
        assert!(report.warnings.iter().any(|w| w.contains("hold the fill value")));
    }
    assert!(outside > 100 && without == 9, "{outside} {without}");
}

/// Left out by the inverse and by predicting from the others, one by one: the same errors.
#[test]
fn errors_at_stations_left_out_are_those_of_predicting_them() {
    let kernels = [(Kernel::Linear, 0.0), (Kernel::ThinPlateSpline, 0.1)];
    let choices = kernels.map(|(kernel, smoothing)| {
        let smoothing = Smoothing::Same(smoothing);
        Choice::Told(Method { kernel, smoothing, metric: Metric::Planar, ..Method::default() })
    });
    let auto = Choice::Auto(Auto { metric: Metric::Planar, ..Auto::default() });
    for method in choices.into_iter().chain([auto]) {
        let settings = Settings { method, ..settings(&["altitude"], false) };
        let observations = observed(parts(45, true, bumps));
        let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
        let folds: [Folds; 1] = ["loo".parse().unwrap()];
        let (limits, factors) = (Limits::default(), FactorCache::off());
        let made =
            crossvalidate(observations, settings, &folds, &limits, progress, &factors).unwrap();
        let alone = made.report.variables[0].leave_one_out.unwrap();
        let map = made.folds.iter().find(|row| row.method == "map").unwrap();
        let together = map.errors.unwrap();
        assert_eq!(alone.count, together.count);
        assert!((alone.rmse - together.rmse).abs() < 1e-9, "{alone:?} {together:?}");
        assert!((alone.mae - together.mae).abs() < 1e-9, "{alone:?} {together:?}");
    }
}

#[test]
fn a_covariate_and_a_background_are_added_both() {
    let folder = tempfile::tempdir().unwrap();
    let [dem, model] = ["dem.nc", "model.nc"].map(|name| folder.path().join(name));
    let guess = |x: f64, y: f64| 0.3 * x + 0.2 * y;
    write(&dem, 1, None, height);
    write(&model, 2, None, guess);
    let covariate = format!("altitude={}:z", dem.display());
    let from = From::File { path: model, variable: "z".into() };
    let backgrounds = vec![Background { variable: None, from }];
    let settings = Settings { backgrounds, ..settings(&[&covariate], false) };
    let law = |x: f64, y: f64| guess(x, y) + 5.0 - 0.01 * height(x, y);
    let plan = planned(parts(50, false, |_, s| law(s.x, s.y)), settings).unwrap();
    let (maps, report) = made(&plan, &FactorCache::off());
    for (&(x, y), value) in cells(&plan).iter().zip(maps.map(FieldId { time: 1, variable: 0 })) {
        assert!((value - law(x, y)).abs() < 1e-9, "{x} {y}: {value}");
    }
    assert_eq!((report.backgrounds.len(), report.covariates.len()), (1, 1));
}

/// A kept factor is that of its covariates, not of the network alone.
#[test]
fn kept_factors_know_their_covariates() {
    let folder = tempfile::tempdir().unwrap();
    let [dem, other] = ["dem.nc", "other.nc"].map(|name| folder.path().join(name));
    write(&dem, 1, None, height);
    write(&other, 1, None, |x, y| x * y);
    let cache = FactorCache::new(1 << 24, None);
    let of = |covariates: &[&str], factors: &FactorCache| {
        let plan = planned(parts(40, false, bumps), settings(covariates, false)).unwrap();
        let (maps, _) = made(&plan, factors);
        maps.map(FieldId { time: 1, variable: 0 }).iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    let [a, b] = [&dem, &other].map(|path| format!("altitude={}:z", path.display()));
    for covariates in [vec![], vec![a.as_str()], vec![b.as_str()], vec![], vec![a.as_str()]] {
        assert_eq!(of(&covariates, &cache), of(&covariates, &FactorCache::off()));
    }
}

#[test]
fn what_cannot_be_told_apart_or_is_not_known_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, steps: usize, value: &dyn Fn(f64, f64) -> f64| {
        let path = folder.path().join(name);
        write(&path, steps, None, value);
        format!("{}={}:z", name.trim_end_matches(".nc"), path.display())
    };
    let height_of = file("height.nc", 1, &height);
    let refused = |wanted: &[&str], degree: Option<i8>, words: &[&str]| {
        let method = Method { degree, metric: Metric::Planar, ..Method::default() };
        let settings = Settings { method: Choice::Told(method), ..settings(wanted, false) };
        let error = planned(parts(40, false, bumps), settings).unwrap_err();
        assert_eq!(error.kind(), isopleth_engine::Kind::BadInput);
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    refused(&[&file("flat.nc", 1, &|_, _| 7.5)], None, &["flat", "7.5 at all stations"]);
    let tilted = file("tilted.nc", 1, &|x, y| 3.0 * x - y + 2.0);
    refused(&[&tilted], Some(1), &["tilted", "follows from the drift", "lower degree"]);
    let twofold = file("twofold.nc", 1, &|x, y| 2.0 * height(x, y) - 9.0);
    refused(&[&height_of, &twofold], None, &["twofold", "height"]);
    refused(&[&height_of, &height_of], None, &["height", "twice"]);
    let half = file("half.nc", 1, &|x, y| if x > 10.0 { f64::NAN } else { height(x, y) });
    refused(&[&half], None, &["half", "of 40 stations", "s1"]);
    refused(&[&file("daily.nc", 2, &height)], None, &["daily", "2 times"]);
    refused(&["altitude"], None, &["altitude", "altitude=FILE.nc:variable"]);
    refused(&[&height_of], Some(-1), &["--degree -1"]);
    // A tilted plane says something of its own where the drift is a constant.
    assert!(planned(parts(40, false, bumps), settings(&[&tilted], false)).is_ok());
    // A height that changes from day to day is none.
    let mut moving = parts(40, true, bumps);
    moving.values[1].1[1][3] = Some(1.0);
    let error = planned(moving, settings(&[&height_of.replace("height=", "altitude=")], false));
    assert!(error.unwrap_err().to_string().contains("at station s3"));
}
