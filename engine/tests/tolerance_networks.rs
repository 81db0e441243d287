//! A map to a tolerance is that near to the exact one on every cell: every kernel, every metric, and the
//! networks that are hard on a tree of boxes.
//!
//! Tolerance: what was asked for, times the range of the readings, or the rounding floor that the
//! certificate tells. The exact map is made by the same program with `Tolerance::Exact`; that it is the sum
//! it claims to be is tested in `kernels/tests`.

use isopleth_engine::kernels::{Kernel, Method, Metric, Smoothing};
use isopleth_engine::observations::{Observations, Parts, ReadOptions, Station, Variable};
use isopleth_engine::output::{FieldId, MapsInMemory};
use isopleth_engine::{
    Cancel, Choice, FactorCache, Grid, Limits, Plan, Progress, Registration, Report, Settings,
    Targets, Tolerance, grid::Size, run,
};
use rayon::prelude::*;

const TOLERANCES: [f64; 4] = [1e-3, 1e-6, 1e-9, 1e-12];

/// Six tiles, of which three are tried beforehand.
const SHAPE: [u32; 2] = [260, 140];

const STATIONS: usize = 240;

/// Numbers from −1 to 1, the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        #[expect(clippy::cast_precision_loss, reason = "53 bits")]
        let unit = (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        2.0 * unit - 1.0
    }
}

/// A network, and the bounds of its map.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Network {
    Uniform,
    Clustered,
    Line,
    DateLine,
    Pole,
    OneOutside,
    ClosePairs,
}

impl Network {
    fn bounds(self) -> [f64; 4] {
        match self {
            Self::DateLine => [169.0, -9.0, 191.0, 9.0],
            Self::Pole => [-180.0, 68.0, 180.0, 90.0],
            _ => [89.0, 26.0, 111.0, 44.0],
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn place(self, i: usize, random: &mut Random) -> [f64; 2] {
        let (a, b) = (random.next(), random.next());
        match self {
            Self::Uniform => [100.0 + 10.0 * a, 35.0 + 8.0 * b],
            Self::Clustered => {
                let town = (i / 12) as f64;
                let [x, y] = [100.0 + 9.0 * (town * 1.7).sin(), 35.0 + 7.0 * (town * 2.3).cos()];
                [x + 0.1 * a, y + 0.1 * b]
            }
            Self::Line => [100.0 + 10.0 * a, 35.0 + 5.0 * a],
            Self::DateLine => [180.0 + 10.0 * a, 8.0 * b],
            Self::Pole if i == 0 => [17.0, 90.0],
            Self::Pole => [180.0 * a, 79.0 + 10.9 * b],
            Self::OneOutside if i == 0 => [125.0, 55.0],
            Self::OneOutside => [100.0 + 6.0 * a, 35.0 + 5.0 * b],
            Self::ClosePairs => {
                // A millionth of a degree apart: a decimetre.
                let mut pair = Random(i as u64 / 2 + 99);
                [100.0 + 10.0 * pair.next() + 1e-6 * a, 35.0 + 8.0 * pair.next() + 1e-6 * b]
            }
        }
    }

    /// Readings are smooth, with noise that differs from station to station.
    fn observations(self, planar: bool) -> Observations {
        let mut random = Random(3);
        let stations: Vec<Station> = (0..STATIONS)
            .map(|i| {
                let [x, y] = self.place(i, &mut random);
                let x = if planar || x <= 180.0 { x } else { x - 360.0 };
                Station { id: format!("s{i}"), x, y }
            })
            .collect();
        let reading =
            |s: &Station| Some(30.0 + 20.0 * (s.x / 2.0).sin() * (s.y / 3.0).cos() + random.next());
        let values = vec![stations.iter().map(reading).collect()];
        let variable = Variable { name: "pm25".into(), units: None };
        let parts = Parts { stations, times: Vec::new(), values: vec![(variable, values)] };
        let options = ReadOptions { planar, ..ReadOptions::default() };
        Observations::from_parts(parts, &options).expect("readings")
    }
}

/// Shapes as users choose them: about the spacing of the stations. Pairs a decimetre apart with different
/// readings need some smoothing, else there is no surface for the smoothest kernels; on a straight line of the
/// plane a slope across it is not determined.
fn method(network: Network, kernel: Kernel, metric: Metric) -> Method {
    let per_unit = if metric == Metric::Planar { 1.0 } else { 1.0 / 111.2 };
    let flat_line = network == Network::Line && metric == Metric::Planar;
    Method {
        kernel,
        metric,
        epsilon: (!kernel.is_scale_free()).then_some(0.8 * per_unit),
        degree: flat_line.then_some(0),
        smoothing: Smoothing::Same(if network == Network::ClosePairs { 1e-3 } else { 0.0 }),
        ..Method::default()
    }
}

fn map(
    network: Network,
    method: &Method,
    tolerance: Tolerance,
    factors: &FactorCache,
) -> (Vec<f64>, Report) {
    let spherical = method.metric.is_spherical();
    let size = Size::Shape { nx: SHAPE[0].into(), ny: SHAPE[1].into() };
    let grid = Grid::from_bounds(network.bounds(), size, Registration::Gridline, spherical);
    let settings = Settings {
        method: Choice::Told(method.clone()),
        tolerance,
        threads: Some(1),
        ..Settings::default()
    };
    let (targets, limits) = (Targets::Grid(grid.expect("a grid")), Limits::default());
    let plan = Plan::new(network.observations(!spherical), targets, settings, &limits);
    let plan = plan.expect("a plan");
    let stations = plan.network.stations().len();
    let sink = MapsInMemory::new(1, 1, plan.targets.rows(), plan.targets.columns(), stations);
    let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
    let report = run(&plan, &sink, progress, factors);
    let report = report.unwrap_or_else(|e| panic!("{network:?}, {method:?}: {e}"));
    (sink.into_maps().map(FieldId { time: 0, variable: 0 }).to_vec(), report)
}

fn keeps_the_tolerances(network: Network, kernel: Kernel, metric: Metric) {
    let method = method(network, kernel, metric);
    let factors = FactorCache::new(10_000_000, None);
    let (exact, report) = map(network, &method, Tolerance::Exact, &factors);
    assert!(report.certificate.is_none());
    let readings = network.observations(!metric.is_spherical());
    let mut received = Vec::new();
    readings.step(0, &mut received).expect("readings");
    let largest = received.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = largest - received.iter().copied().fold(f64::INFINITY, f64::min);
    for tolerance in TOLERANCES {
        let name = format!("{network:?}, {kernel}, {metric}, {tolerance:e}");
        let (fast, report) = map(network, &method, Tolerance::Relative(tolerance), &factors);
        let Some(told) = report.certificate else {
            // Of all kernels here only the Gaussian comes to that: weights so large that their rounding
            // errors reach from box to box, or boxes so small that the exact sum is cheaper.
            let condition = report.methods[0].condition;
            let expected = kernel == Kernel::Gaussian && (condition > 1e15 || tolerance < 1e-3);
            assert!(expected, "{name}: not fast, condition {condition:e}");
            assert!(fast.iter().zip(&exact).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}");
            continue;
        };
        assert!(told.tiles == 6 && told.cells_compared >= 1000, "{name}: {told:?}");
        assert!(told.tiles_redone <= 3, "{name}: {told:?}");
        let allowed = tolerance.max(told.rounding_floor) * range;
        let differences = fast.iter().zip(&exact).map(|(a, b)| (a - b).abs());
        let worst = differences.fold(0.0, |m: f64, d| if d <= m { m } else { d });
        assert!(worst <= allowed, "{name}: {worst:e} for {allowed:e}, {told:?}");
        // What is estimated is larger than the worst error, but for few nodes on boxes so wide that exponential
        // kernels die away within (a sixth, on the long boxes of the pole's plane); rounding errors come on top.
        let estimated = 7.0 * told.estimate.max(told.rounding_floor) * range;
        assert!(worst <= estimated, "{name}: {worst:e}, estimated {estimated:e}, {told:?}");
    }
}

fn every_cell_keeps_the_tolerance(network: Network) {
    let methods: Vec<_> =
        Kernel::ALL.into_iter().flat_map(|k| Metric::ALL.map(|metric| (k, metric))).collect();
    methods.par_iter().for_each(|&(kernel, metric)| keeps_the_tolerances(network, kernel, metric));
}

#[test]
fn on_stations_spread_evenly() {
    every_cell_keeps_the_tolerance(Network::Uniform);
}

#[test]
fn on_stations_in_towns() {
    every_cell_keeps_the_tolerance(Network::Clustered);
}

#[test]
fn on_a_straight_line() {
    every_cell_keeps_the_tolerance(Network::Line);
}

#[test]
fn across_the_date_line() {
    every_cell_keeps_the_tolerance(Network::DateLine);
}

#[test]
fn round_a_pole() {
    every_cell_keeps_the_tolerance(Network::Pole);
}

#[test]
fn with_one_station_outside_the_grid() {
    every_cell_keeps_the_tolerance(Network::OneOutside);
}

#[test]
fn on_pairs_a_decimetre_apart() {
    every_cell_keeps_the_tolerance(Network::ClosePairs);
}
