//! Variances on a grid outlive the run that made them, and change no bit by it; with covariates they are
//! those of the formula.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod layered;

use std::fs;
use std::path::{Path, PathBuf};

use isopleth_engine::covariates::{Covariate, Wanted};
use isopleth_engine::factors::Origin;
use isopleth_engine::grid::{Registration, Size};
use isopleth_engine::kernels::variance::spread;
use isopleth_engine::kernels::{Factor, Kernel, Method, Metric, Par, Smoothing, Variance};
use isopleth_engine::observations::{Parts, Station, Variable};
use isopleth_engine::{
    Bound, Bounds, Choice, FactorCache, FactorStore, Grid, Limits, Observations, Places, Plan,
    ReadOptions, Report, Settings, Targets, Uncertainty,
};
use layered::{Maps, made};

/// Uneven places within 4 to 16, of a town and around it.
fn stations(n: u32) -> Vec<Station> {
    (0..n)
        .map(|i| Station {
            id: format!("s{i}"),
            x: 4.0 + 12.0 * (0.3 + 0.754_877_666 * f64::from(i)).fract(),
            y: 4.0 + 12.0 * (0.7 + 0.569_840_291 * f64::from(i)).fract().powi(2),
        })
        .collect()
}

/// Two hours of two variables: all stations; some silent, others each hour; and in the second variable half
/// of them, which is too many for a correction.
fn parts(n: u32, hour: u32) -> Parts {
    let row = |of: &dyn Fn(u32) -> bool, step: u32| -> Vec<Option<f64>> {
        (0..n).map(|i| of(i).then(|| (f64::from(i * 17 + step) * 0.3).sin() * 9.0 + 40.0)).collect()
    };
    let some = |i: u32| !(i + hour).is_multiple_of(9);
    let half = |i: u32| i.is_multiple_of(2);
    let variable = |name: &str| Variable { name: name.into(), units: None };
    let values = vec![
        (variable("pm25"), vec![row(&|_| true, hour), row(&some, hour + 1)]),
        (variable("o3"), vec![row(&half, hour + 2), row(&some, hour + 3)]),
    ];
    let times = ["2020-01-01T00:00:00Z", "2020-01-01T01:00:00Z"].map(str::to_owned).to_vec();
    Parts { stations: stations(n), times, values }
}

fn settings() -> Settings {
    let method = Method {
        kernel: Kernel::Exponential,
        epsilon: Some(0.2),
        smoothing: Smoothing::Same(0.05),
        metric: Metric::Planar,
        ..Method::default()
    };
    Settings {
        method: Choice::Told(method),
        uncertainty: Uncertainty { deviation: true, ..Uncertainty::default() },
        bounds: Bounds { min: vec![Bound { variable: None, value: None }], max: vec![] },
        threads: Some(2),
        ..Settings::default()
    }
}

fn planned(parts: Parts, targets: Targets, settings: Settings) -> Plan {
    let options = ReadOptions { planar: true, ..ReadOptions::default() };
    let observations = Observations::from_parts(parts, &options).unwrap();
    Plan::new(observations, targets, settings, &Limits::default()).unwrap()
}

fn grid(nx: u64) -> Targets {
    let size = Size::Shape { nx, ny: 130 };
    let bounds = [1.0, 1.0, 19.0, 17.0];
    Targets::Grid(Grid::from_bounds(bounds, size, Registration::Gridline, false).unwrap())
}

fn bits(maps: &Maps) -> Vec<u64> {
    maps.values().flatten().map(|v| v.to_bits()).collect()
}

fn mesh(report: &Report) -> Option<Origin> {
    report.uncertainty.as_ref().unwrap().mesh
}

/// As a program that has just begun.
fn on_disk(folder: &Path) -> FactorCache {
    FactorCache::new(0, Some(FactorStore::open(folder, 1 << 30).unwrap()))
}

fn variances(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut found: Vec<_> =
        files.filter(|p| p.extension().is_some_and(|e| e == "variance")).collect();
    found.sort();
    found
}

#[test]
fn hours_with_other_gaps_take_up_the_variances_and_get_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let in_memory = FactorCache::new(1 << 26, None);
    for hour in 0..3 {
        let plan = || planned(parts(150, hour), grid(150), settings());
        let (alone, report) = made(&plan(), &FactorCache::off());
        assert_eq!(mesh(&report), Some(Origin::Computed));
        let own = report.uncertainty.unwrap();
        assert!(own.nodes > 500 && own.typical_difference < 0.03, "{}", own.typical_difference);
        let later = |origin| if hour == 0 { Origin::Computed } else { origin };
        for (cache, origin) in
            [(&on_disk(folder.path()), Origin::Disk), (&in_memory, Origin::Memory)]
        {
            let (maps, report) = made(&plan(), cache);
            assert_eq!(mesh(&report), Some(later(origin)), "hour {hour}");
            assert!(bits(&maps) == bits(&alone), "hour {hour}: {origin:?}");
            let of = report.uncertainty.unwrap();
            assert_eq!(of.largest_difference.to_bits(), own.largest_difference.to_bits());
            assert_eq!((of.nodes, of.cells_compared), (own.nodes, own.cells_compared));
        }
        // The mesh, and the half of the network, which is the same at all hours.
        assert_eq!(variances(folder.path()).len(), 2);
    }
    // Another grid has its own.
    let (_, report) = made(&planned(parts(150, 0), grid(151), settings()), &in_memory);
    assert_eq!(mesh(&report), Some(Origin::Computed));
}

#[test]
fn kept_variances_that_are_damaged_are_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let plan = || planned(parts(120, 1), grid(140), settings());
    let (first, _) = made(&plan(), &on_disk(folder.path()));
    let files = variances(folder.path());
    assert_eq!(files.len(), 2);
    for path in &files {
        let sound = fs::read(path).unwrap();
        for at in [0, 20, 60, 512, 520, sound.len() / 2, sound.len() - 1] {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x10;
            fs::write(path, &bytes).unwrap();
            let (maps, _) = made(&plan(), &on_disk(folder.path()));
            assert!(bits(&maps) == bits(&first), "byte {at}");
            assert!(fs::read(path).unwrap() == sound, "byte {at}");
        }
        fs::write(path, &sound[..sound.len() / 2]).unwrap();
        assert!(bits(&made(&plan(), &on_disk(folder.path())).0) == bits(&first));
    }
}

/// Two ridges, straight between whole numbers.
fn height(x: f64, y: f64) -> f64 {
    200.0 + 90.0 * (x - 7.0).abs() + 55.0 * (y - 12.0).abs()
}

/// The heights at whole numbers, 0 to 20 each way.
fn write_heights(path: &Path) {
    let mut file = netcdf::create(path).unwrap();
    let nodes: Vec<f64> = (0..21).map(f64::from).collect();
    for name in ["y", "x"] {
        file.add_dimension(name, nodes.len()).unwrap();
        file.add_variable::<f64>(name, &[name]).unwrap().put_values(&nodes, ..).unwrap();
    }
    let row = |y: &f64| nodes.iter().map(|x| height(*x, *y)).collect::<Vec<_>>();
    let all: Vec<f64> = nodes.iter().flat_map(row).collect();
    file.add_variable::<f64>("z", &["y", "x"]).unwrap().put_values(&all, ..).unwrap();
}

/// σ by the formula at some places, of a network without some stations, for readings of unit scale.
fn by_the_formula(plan: &Plan, missing: &[usize], x: &[f64], y: &[f64]) -> Vec<f64> {
    let Choice::Told(method) = &plan.settings.method else { unreachable!("it was told") };
    let places = plan.network.stations();
    let heights: Vec<f64> = places.iter().map(|s| height(s.x, s.y)).collect();
    #[expect(clippy::cast_precision_loss, reason = "some hundred stations")]
    let n = heights.len() as f64;
    let mean = heights.iter().sum::<f64>() / n;
    let deviation = (heights.iter().map(|h| (h - mean).powi(2)).sum::<f64>() / n).sqrt();
    let z = |h: f64| (h - mean) / deviation;
    let mut method = method.resolve(plan.network.points()).unwrap();
    method.covariates = vec![heights.iter().map(|h| z(*h)).collect()];
    let whole = Factor::new(plan.network.points(), &method, Par::Seq).unwrap();
    let (_, factor) = whole.without(missing, Par::Seq).unwrap();
    let variance = Variance::new(&factor).unwrap();
    let at = variance.at(&Metric::Planar.embed(x, y), &[], Par::Seq);
    let of_slopes = variance.of_slopes(None);
    let sigma = |c: usize| {
        let of = spread(&[at[(c, 0)], at[(c, 1)]], &[z(height(x[c], y[c]))], of_slopes);
        // Of a new reading: with λ.
        (of + 0.05).sqrt()
    };
    (0..x.len()).map(sigma).collect()
}

#[test]
fn layers_with_a_covariate_are_those_of_the_formula_at_places_and_on_a_grid_also_with_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dem.nc");
    write_heights(&path);
    let covariate = Covariate::parse(&format!("altitude={}:z", path.display())).unwrap();
    let settings = || Settings {
        covariates: Wanted { all: vec![covariate.clone()], clamp: false },
        ..settings()
    };
    let cells: Vec<(usize, usize)> = (0..700).map(|k| (k * 37 % 130, k * 101 % 150)).collect();
    let Targets::Grid(on) = grid(150) else { unreachable!("it is one") };
    let (x, y): (Vec<f64>, Vec<f64>) = cells.iter().map(|&(r, c)| (on.x()[c], on.y()[r])).unzip();
    let header = vec!["x".to_owned(), "y".to_owned()];
    let places = Places { header, rows: vec![Vec::new(); x.len()], x: x.clone(), y: y.clone() };
    let at_places = planned(parts(150, 1), Targets::Points(places), settings());
    let on_grid = planned(parts(150, 1), grid(150), settings());
    let (of_places, _) = made(&at_places, &FactorCache::off());
    let (of_grid, report) = made(&on_grid, &FactorCache::off());
    let told = report.uncertainty.unwrap();
    assert!(told.typical_difference < 0.03 && told.cells_compared > 2000);
    let missing = |of: &dyn Fn(usize) -> bool| (0..150).filter(|i| of(*i)).collect::<Vec<_>>();
    for (key, missing) in [
        ((0, 0, Some(0)), Vec::new()),
        ((1, 0, Some(0)), missing(&|i| (i + 1) % 9 == 0)),
        ((0, 1, Some(1)), missing(&|i| i % 2 == 1)),
    ] {
        let want = by_the_formula(&at_places, &missing, &x, &y);
        let scale = of_places[&key][0] / want[0];
        assert!(scale > 0.0);
        let mut off = 0;
        for (k, &(row, column)) in cells.iter().enumerate() {
            let ratio = of_places[&key][k] / (want[k] * scale);
            assert!((ratio - 1.0).abs() < 1e-9, "{key:?}: {ratio}");
            let ratio = of_grid[&key][row * 150 + column] / (want[k] * scale);
            off += usize::from((ratio - 1.0).abs() > 0.03);
        }
        assert!(off * 50 < cells.len(), "{key:?}: {off} cells are off by 3 %");
    }
}
