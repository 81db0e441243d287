//! Two ranges and an angle, told and chosen: on a grid, at places, with gaps, in jobs' records and files.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod layered;

use isopleth_engine::grid::{Registration, Size};
use isopleth_engine::kernels::{Anisotropy, Kernel, Method, Metric, Smoothing};
use isopleth_engine::observations::{Parts, Station, Variable};
use isopleth_engine::{
    Auto, Choice, Directions, FactorCache, Grid, Limits, Observations, Places, Plan, ReadOptions,
    Settings, Targets, Uncertainty,
};
use layered::made;

/// Numbers that look like chance, −1 to 1.
struct Random(u64);

impl Random {
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// Readings of a sum of waves that are `ratio` times longer along a direction than across it.
fn parts(n: u32, times: usize, (ratio, angle): (f64, f64), low: [f64; 2]) -> Parts {
    let mut random = Random(11);
    let (sin, cos) = f64::to_radians(angle).sin_cos();
    let stations: Vec<Station> = (0..n)
        .map(|i| {
            let (x, y) = (5.0 * (1.0 + random.next()), 5.0 * (1.0 + random.next()));
            Station { id: format!("s{i}"), x: low[0] + x, y: low[1] + y }
        })
        .collect();
    let field = |random: &mut Random| -> Vec<Option<f64>> {
        let waves: Vec<[f64; 3]> = (0..60)
            .map(|_| [1.6 * random.next(), 1.6 * random.next(), 3.2 * random.next()])
            .collect();
        let value = |s: &Station| {
            let (x, y) = (s.x - low[0], s.y - low[1]);
            let (along, across) =
                ((x * cos + y * sin) / ratio.sqrt(), (y * cos - x * sin) * ratio.sqrt());
            let wave = |w: &[f64; 3]| (w[0] * along + w[1] * across + w[2]).sin();
            waves.iter().map(wave).sum::<f64>()
        };
        stations.iter().map(|s| Some(value(s) + 0.3 * random.next())).collect()
    };
    let rows: Vec<_> = (0..times).map(|_| field(&mut random)).collect();
    let variable = Variable { name: "level".into(), units: None };
    let days = (1..=times).map(|day| format!("2020-01-{day:02}")).collect();
    Parts { stations, times: days, values: vec![(variable, rows)] }
}

fn planned(parts: Parts, targets: Targets, settings: Settings) -> Plan {
    let planar = !settings.method.metric().is_spherical();
    let options = ReadOptions { planar, ..ReadOptions::default() };
    let observations = Observations::from_parts(parts, &options).unwrap();
    Plan::new(observations, targets, settings, &Limits::default()).unwrap()
}

fn grid(low: [f64; 2], spherical: bool) -> Grid {
    let size = Size::Shape { nx: 60, ny: 50 };
    let bounds = [low[0], low[1], low[0] + 10.0, low[1] + 10.0];
    Grid::from_bounds(bounds, size, Registration::Gridline, spherical).unwrap()
}

fn chosen(n: u32, law: (f64, f64), auto: Auto) -> Option<String> {
    let low = if auto.metric.is_spherical() { [5.0, 45.0] } else { [0.0; 2] };
    let spherical = auto.metric.is_spherical();
    let settings = Settings { method: Choice::Auto(auto), ..Settings::default() };
    let plan = planned(parts(n, 6, law, low), Targets::Grid(grid(low, spherical)), settings);
    made(&plan, &FactorCache::off()).1.methods[0].anisotropy.clone()
}

#[test]
fn a_direction_is_found_where_there_is_one_and_none_where_there_is_none() {
    let planar = || Auto { metric: Metric::Planar, ..Auto::default() };
    assert_eq!(chosen(150, (4.0, 60.0), planar()).as_deref(), Some("3:60"));
    assert_eq!(chosen(150, (1.0, 0.0), planar()), None);
    // Degrees of longitude are shorter than those of latitude: along the meridian what is alike reaches farther.
    let found = chosen(150, (4.0, 90.0), Auto::default());
    assert_eq!(found.as_deref(), Some("3:90"));
    // Told not to, too few to tell, and too many to try.
    let same = Auto { anisotropy: Directions::Same, ..planar() };
    assert_eq!(chosen(150, (4.0, 60.0), same), None);
    assert_eq!(chosen(40, (4.0, 60.0), planar()), None);
    assert_eq!(chosen(520, (4.0, 60.0), planar()), None);
    let told =
        Auto { anisotropy: Directions::Told(Anisotropy::new(1.5, 10.0).unwrap()), ..planar() };
    assert_eq!(chosen(150, (4.0, 60.0), told).as_deref(), Some("1.5:10"));
}

#[test]
fn a_kept_choice_keeps_its_direction() {
    let cache = FactorCache::new(1 << 26, None);
    let auto = Auto { metric: Metric::Planar, ..Auto::default() };
    let map = || {
        let settings = Settings { method: Choice::Auto(auto.clone()), ..Settings::default() };
        let grid = Targets::Grid(grid([0.0; 2], false));
        made(&planned(parts(150, 6, (4.0, 60.0), [0.0; 2]), grid, settings), &cache)
    };
    let ((first, report), (second, again)) = (map(), map());
    assert_eq!(report.methods[0].anisotropy.as_deref(), Some("3:60"));
    assert_eq!(again.methods[0].anisotropy, report.methods[0].anisotropy);
    assert_eq!(again.methods[0].chosen_by, isopleth_engine::By::Kept);
    assert!(first == second);
}

/// Maps and their deviations are the same on a grid as at places, whatever is asked for as tolerance, also with gaps.
#[test]
fn maps_on_a_grid_are_those_at_places_also_with_gaps_and_deviations() {
    for metric in [Metric::Planar, Metric::Chordal] {
        let (spherical, low) = (metric.is_spherical(), [5.0, 45.0]);
        let method = Method {
            kernel: Kernel::Exponential,
            epsilon: Some(if spherical { 0.003 } else { 0.3 }),
            smoothing: Smoothing::Same(0.1),
            metric,
            anisotropy: Some(Anisotropy::new(2.5, 30.0).unwrap()),
            ..Method::default()
        };
        let settings = || Settings {
            method: Choice::Told(method.clone()),
            uncertainty: Uncertainty { deviation: true, ..Uncertainty::default() },
            ..Settings::default()
        };
        let gappy = || {
            let mut parts = parts(150, 2, (2.0, 30.0), low);
            parts.values[0].1[1].iter_mut().step_by(7).for_each(|value| *value = None);
            parts
        };
        let on = grid(low, spherical);
        let cells = on.y().iter().flat_map(|&y| on.x().iter().map(move |&x| (x, y)));
        let (x, y): (Vec<f64>, Vec<f64>) = cells.unzip();
        let rows = vec![Vec::new(); x.len()];
        let header = vec!["x".to_owned(), "y".to_owned()];
        let places = Targets::Points(Places { header, rows, x, y });
        let (of_places, _) = made(&planned(gappy(), places, settings()), &FactorCache::off());
        let (of_grid, report) =
            made(&planned(gappy(), Targets::Grid(on), settings()), &FactorCache::off());
        assert_eq!(report.methods[0].anisotropy.as_deref(), Some("2.5:30"));
        assert_eq!(report.methods[0].evaluation, "exact");
        for (key, want) in &of_places {
            // Maps are the same sum; deviations on a grid are interpolated.
            let allowed = if key.2.is_some() { 0.05 } else { 1e-9 };
            let size = want.iter().fold(0.0_f64, |size, v| size.max(v.abs()));
            let pairs = of_grid[key].iter().zip(want);
            let off = pairs.filter(|(got, want)| (*got - *want).abs() > allowed * size).count();
            assert!(off * 100 <= want.len(), "{metric} {key:?}: {off}");
        }
    }
}
