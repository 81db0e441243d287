//! A map to a tolerance is that near to the exact one, on every cell, gaps and all.
//!
//! The certificate compares a sample; here every cell is compared. Tolerance: what was asked for,
//! times the range of the readings, or the rounding floor that the certificate tells.

use isopleth_engine::kernels::{Kernel, Method, Metric};
use isopleth_engine::observations::{Observations, Parts, ReadOptions, Station, Variable};
use isopleth_engine::output::{FieldId, MapsInMemory};
use isopleth_engine::{
    Cancel, FactorCache, Grid, Limits, Plan, Progress, Registration, Report, Settings, Targets,
    Tolerance, grid::Size, run,
};

const RANGE: f64 = 60.0;

fn observations() -> Observations {
    let stations: Vec<Station> = (0..300_u32)
        .map(|i| {
            let city = f64::from(i / 10);
            Station {
                id: format!("s{i}"),
                x: 110.0 + 9.0 * (city * 1.7).sin() + f64::from(i * 7 % 10) / 40.0,
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

fn map(method: &Method, tolerance: Tolerance) -> (Vec<f64>, Report) {
    let spherical = method.metric.is_spherical();
    let size = Size::Shape { nx: 260, ny: 180 };
    let bounds = [100.0, 27.0, 120.0, 43.0];
    let grid = Grid::from_bounds(bounds, size, Registration::Gridline, spherical).expect("a grid");
    let settings = Settings { method: method.clone(), tolerance, ..Settings::default() };
    let plan = Plan::new(observations(), Targets::Grid(grid), settings, &Limits::default());
    let plan = plan.expect("a plan");
    let sink = MapsInMemory::new(1, 2, 180, 260, plan.network.stations().len());
    let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
    let report = run(&plan, &sink, progress, &FactorCache::off()).expect("maps");
    let maps = sink.into_maps();
    let fields = (0..2).flat_map(|time| maps.map(FieldId { time, variable: 0 }).to_vec());
    (fields.collect(), report)
}

#[test]
fn every_cell_keeps_the_tolerance() {
    for (kernel, per_degree) in [
        (Kernel::Linear, None),
        (Kernel::ThinPlateSpline, None),
        (Kernel::Cubic, None),
        (Kernel::Multiquadric, Some(10.0)),
        (Kernel::Gaussian, Some(4.0)),
        (Kernel::Exponential, Some(0.5)),
        (Kernel::Matern32, Some(1.0)),
        (Kernel::WendlandC2, Some(0.3)),
    ] {
        for metric in Metric::ALL {
            let scale = if metric == Metric::Planar { 1.0 } else { 1.0 / 111.2 };
            let epsilon = per_degree.map(|e| e * scale);
            let method = Method { kernel, metric, epsilon, ..Method::default() };
            let (exact, report) = map(&method, Tolerance::Exact);
            assert!(report.certificate.is_none());
            for tolerance in [1e-3, 1e-6, 1e-9, 1e-12] {
                let (fast, report) = map(&method, Tolerance::Relative(tolerance));
                let told = report.certificate.unwrap_or_default();
                let allowed = tolerance.max(told.rounding_floor) * RANGE;
                let worst = fast.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(worst <= allowed, "{kernel}, {metric}, {tolerance:e}: {worst:e}, {told:?}");
            }
        }
    }
}

#[test]
fn the_default_is_fast_and_says_so() {
    let (_, report) = map(&Method::default(), Tolerance::default());
    let told = report.certificate.expect("a certificate");
    assert_eq!(report.method.evaluation, "fast");
    assert!(told.cells_compared >= 1000 && told.tiles > 1 && told.tiles_redone == 0, "{told:?}");
    assert!(told.largest_difference <= 1e-6 && told.largest_difference <= told.bound, "{told:?}");
}
