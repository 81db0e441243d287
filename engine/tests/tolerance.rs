//! A map to a tolerance is that near to the exact one, on every cell, gaps and all.
//!
//! The certificate compares a sample; here every cell is compared. Tolerance: what was asked for,
//! times the range of the readings, or the rounding floor that the certificate tells.

use isopleth_engine::kernels::{Kernel, Method, Metric};
use isopleth_engine::observations::{Observations, Parts, ReadOptions, Station, Variable};
use isopleth_engine::output::{FieldId, MapsInMemory};
use isopleth_engine::{
    Cancel, Choice, FactorCache, Grid, Limits, Places, Plan, Progress, Registration, Report,
    Settings, Targets, Tolerance, grid::Size, run,
};

const RANGE: f64 = 60.0;

fn observations(stations: u32) -> Observations {
    let stations: Vec<Station> = (0..stations)
        .map(|i| {
            let city = f64::from(i / 10);
            Station {
                id: format!("s{i}"),
                x: 110.0 + 9.0 * (city * 1.7).sin() + f64::from(i * 7 % 10) / 40.0 + city * 1e-4,
                y: 35.0 + 7.0 * (city * 2.3).cos() + f64::from(i * 3 % 10) / 40.0,
            }
        })
        .collect();
    let row = |gap: usize| {
        let value = |(i, s): (usize, &Station)| {
            (i % gap != 3).then(|| 30.0 + 29.0 * (s.x / 2.0).sin() * (s.y / 3.0).cos())
        };
        stations.iter().enumerate().map(value).collect::<Vec<_>>()
    };
    let values = vec![row(1000), row(7)];
    let times = vec!["2026-01-01T00:00Z".to_owned(), "2026-01-01T01:00Z".to_owned()];
    let variable = Variable { name: "pm25".into(), units: None };
    let parts = Parts { stations, times, values: vec![(variable, values)] };
    Observations::from_parts(parts, &ReadOptions::default()).expect("readings")
}

fn grid(method: &Method) -> Targets {
    let spherical = method.metric.is_spherical();
    let size = Size::Shape { nx: 260, ny: 180 };
    let bounds = [100.0, 27.0, 120.0, 43.0];
    let grid = Grid::from_bounds(bounds, size, Registration::Gridline, spherical);
    Targets::Grid(grid.expect("a grid"))
}

/// Two tiles of places: in towns, and between them.
fn places() -> Targets {
    let step = |k: u32, by: f64| (f64::from(k) * by).fract();
    let town = |k: u32| if k.is_multiple_of(3) { 0.05 } else { 1.0 };
    let at = |k: u32, by: f64| town(k) * step(k, by);
    let x = (0..20_000).map(|k| 101.0 + 18.0 * at(k, 0.618_034)).collect();
    let y = (0..20_000).map(|k| 28.0 + 14.0 * at(k, 0.754_877)).collect();
    Targets::Points(Places { x, y, ..Places::default() })
}

/// A grid with 300 stations; places with 2500, since fewer are summed exactly.
fn map(
    method: &Method,
    targets: Targets,
    tolerance: Tolerance,
    factors: &FactorCache,
) -> (Vec<f64>, Report) {
    let stations = if matches!(targets, Targets::Grid(_)) { 300 } else { 2500 };
    let method = Choice::Told(method.clone());
    let settings = Settings { method, tolerance, ..Settings::default() };
    let plan = Plan::new(observations(stations), targets, settings, &Limits::default());
    let plan = plan.expect("a plan");
    let (rows, columns) = (plan.targets.rows(), plan.targets.columns());
    let sink = MapsInMemory::new(1, 2, rows, columns, plan.network.stations().len());
    let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
    let report = run(&plan, &sink, progress, factors).expect("maps");
    let maps = sink.into_maps();
    let fields = (0..2).flat_map(|time| maps.map(FieldId { time, variable: 0 }).to_vec());
    (fields.collect(), report)
}

#[test]
fn every_cell_keeps_the_tolerance() {
    let kernels = [
        (Kernel::Linear, None),
        (Kernel::ThinPlateSpline, None),
        (Kernel::Cubic, None),
        (Kernel::Multiquadric, Some(10.0)),
        (Kernel::Gaussian, Some(4.0)),
        (Kernel::Exponential, Some(0.5)),
        (Kernel::Matern32, Some(1.0)),
        (Kernel::WendlandC2, Some(0.3)),
    ];
    keeps_the_tolerance(&kernels, grid);
}

#[test]
fn every_place_keeps_the_tolerance() {
    let kernels =
        [(Kernel::Linear, None), (Kernel::Multiquadric, Some(10.0)), (Kernel::Matern32, Some(1.0))];
    keeps_the_tolerance(&kernels, |_| places());
}

fn keeps_the_tolerance(kernels: &[(Kernel, Option<f64>)], targets: impl Fn(&Method) -> Targets) {
    let factors = FactorCache::new(200_000_000, None);
    for &(kernel, per_degree) in kernels {
        for metric in Metric::ALL {
            let scale = if metric == Metric::Planar { 1.0 } else { 1.0 / 111.2 };
            let epsilon = per_degree.map(|e| e * scale);
            let method = Method { kernel, metric, epsilon, ..Method::default() };
            let (exact, report) = map(&method, targets(&method), Tolerance::Exact, &factors);
            assert!(report.certificate.is_none());
            for tolerance in [1e-3, 1e-6, 1e-9, 1e-12] {
                let (fast, report) =
                    map(&method, targets(&method), Tolerance::Relative(tolerance), &factors);
                // Where no order is worth it, the map is exact.
                let told = report.certificate.unwrap_or_default();
                assert!(report.certificate.is_some() || tolerance < 1e-9);
                let allowed = tolerance.max(told.rounding_floor) * RANGE;
                let worst = fast.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(worst <= allowed, "{kernel}, {metric}, {tolerance:e}: {worst:e}, {told:?}");
            }
        }
    }
}

#[test]
fn the_default_is_fast_and_says_so() {
    let method = Method::default();
    for targets in [grid(&method), places()] {
        let (_, report) = map(&method, targets, Tolerance::default(), &FactorCache::off());
        let told = report.certificate.expect("a certificate");
        assert_eq!(report.methods[0].evaluation, "fast");
        assert!(
            told.cells_compared >= 1000 && told.tiles > 1 && told.tiles_redone == 0,
            "{told:?}"
        );
        assert!(
            told.largest_difference <= 1e-6 && told.largest_difference <= told.bound,
            "{told:?}"
        );
    }
}
