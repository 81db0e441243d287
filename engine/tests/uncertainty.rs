//! How sure a map is: that intervals hold what was left out, and that a map's layers are those of the
//! formula.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod layered;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use isopleth_engine::grid::{Registration, Size};
use isopleth_engine::kernels::{Factor, Mat, Method, Metric, Par, Variance};
use isopleth_engine::observations::{Parts, Station, Variable};
use isopleth_engine::uncertainty::{Layer, Of};
use isopleth_engine::{
    Back, Bound, Bounds, Choice, FactorCache, Grid, Limits, Observations, Places, Plan,
    ReadOptions, Report, Settings, Source, Targets, Tolerance, Transform, Transforms, Uncertainty,
};
use layered::Maps;

/// Nothing is chosen: the same method whatever the readings.
fn linear() -> Settings {
    Settings { method: Choice::Told(Method::default()), ..Settings::default() }
}

fn made(plan: &Plan) -> (Maps, Report) {
    layered::made(plan, &FactorCache::off())
}

fn planned(parts: Parts, targets: Targets, settings: Settings) -> Plan {
    let options =
        ReadOptions { planar: !settings.method.metric().is_spherical(), ..ReadOptions::default() };
    let observations = Observations::from_parts(parts, &options).unwrap();
    Plan::new(observations, targets, settings, &Limits::default()).unwrap()
}

/// Some stations with two variables at two times, the second variable with gaps.
fn parts(n: u32) -> Parts {
    let stations: Vec<Station> = (0..n)
        .map(|i| Station {
            id: format!("s{i}"),
            x: 100.0 + 10.0 * (0.5 + 0.754_877_666 * f64::from(i)).fract(),
            y: 30.0 + 8.0 * (0.5 + 0.569_840_291 * f64::from(i)).fract().powi(2),
        })
        .collect();
    let row = |time: u32, skip: u32| -> Vec<Option<f64>> {
        let value = |i: u32| (f64::from(i) * 1.7 + f64::from(time)).sin() * 9.0 + 40.0;
        (0..n).map(|i| (skip == 0 || !(i + time).is_multiple_of(skip)).then(|| value(i))).collect()
    };
    let variable = |name: &str| Variable { name: name.into(), units: None };
    let values = vec![
        (variable("pm25"), vec![row(0, 0), row(1, 0)]),
        (variable("o3"), vec![row(2, 7), row(3, 2)]),
    ];
    let times = ["2020-01-01T00:00:00Z", "2020-01-01T01:00:00Z"].map(str::to_owned).to_vec();
    Parts { stations, times, values }
}

fn grid(nx: u64, ny: u64) -> Targets {
    let bounds = [99.0, 29.0, 111.0, 39.0];
    let size = Size::Shape { nx, ny };
    Targets::Grid(Grid::from_bounds(bounds, size, Registration::Gridline, true).unwrap())
}

fn wanted() -> Uncertainty {
    Uncertainty {
        deviation: true,
        exceed: vec![("pm25".into(), 45.0)],
        quantiles: vec![0.05, 0.95],
        of: Of::Reading,
    }
}

#[test]
fn the_deviation_on_a_grid_is_the_formula_times_one_scale_a_field_whatever_is_missing() {
    let settings = Settings { uncertainty: wanted(), ..linear() };
    let plan = planned(parts(300), grid(300, 220), settings);
    assert!(plan.steps_solved_at_once >= 2);
    let (maps, report) = made(&plan);
    let of = report.uncertainty.expect("it was asked for");
    assert!(of.nodes > 1000 && of.nodes < 300 * 220 / 2, "{} nodes", of.nodes);
    // Of the worst mask: the mesh is made for the whole network.
    assert!(of.typical_difference < 0.03, "{}", of.typical_difference);
    let Targets::Grid(grid) = &plan.targets else { unreachable!("it was made of a grid") };
    let method = Method::default().resolve(plan.network.points()).unwrap();
    let factor = Factor::new(plan.network.points(), &method, Par::Seq).unwrap();
    // A cell in each tile and many more.
    let cells: Vec<(usize, usize)> = (0..600).map(|k| (k * 37 % 220, k * 101 % 300)).collect();
    let (x, y): (Vec<f64>, Vec<f64>) =
        cells.iter().map(|&(r, c)| (grid.x()[c], grid.y()[r])).unzip();
    let places = Metric::Chordal.embed(&x, &y);
    let deviation = |variable| plan.layers.iter().position(|l| *l == (variable, Layer::Deviation));
    for (time, variable, skip, shift) in [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 7, 2), (1, 1, 2, 3)] {
        let missing: Vec<usize> =
            (0..300).filter(|i| skip > 0 && (i + shift) % skip == 0).collect();
        let (_, smaller) = factor.without(&missing, Par::Seq).unwrap();
        let want = Variance::new(&smaller).unwrap().at(&places, &[], Par::Seq);
        let got = &maps[&(time, variable, deviation(variable))];
        let ratio = |k: usize| got[cells[k].0 * 300 + cells[k].1] / want[(k, 0)].sqrt();
        let mut ratios: Vec<f64> = (0..cells.len()).map(ratio).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let scale = ratios[ratios.len() / 2];
        assert!(scale > 0.0);
        let within = |share: f64| {
            ratios.iter().filter(|r| (*r / scale - 1.0).abs() < share).count() * 100 / cells.len()
        };
        assert!(within(0.05) >= 95 && within(0.2) >= 99, "{} {}", within(0.05), within(0.2));
    }
}

#[test]
fn layers_agree_with_the_map_and_with_each_other() {
    let settings = Settings { uncertainty: wanted(), ..linear() };
    let plan = planned(parts(300), grid(60, 50), settings);
    let (maps, _) = made(&plan);
    let number = |layer| plan.layers.iter().position(|l| *l == (0, layer));
    let layer = |layer| &maps[&(0, 0, Some(number(layer).expect("a layer of the plan")))];
    let (map, deviation) = (&maps[&(0, 0, None)], layer(Layer::Deviation));
    let exceed = layer(Layer::Exceedance { threshold: 45.0 });
    let (low, high) =
        (layer(Layer::Quantile { level: 0.05 }), layer(Layer::Quantile { level: 0.95 }));
    for c in 0..map.len() {
        assert!(deviation[c] >= 0.0 && (0.0..=1.0).contains(&exceed[c]));
        assert!(low[c] <= map[c] && map[c] <= high[c]);
        // Above the threshold with more than 95 % exactly where the 5 % quantile is above it.
        assert_eq!(exceed[c] > 0.95 + 1e-9, low[c] > 45.0 + 1e-9 * deviation[c], "{}", exceed[c]);
        assert_eq!(exceed[c] < 0.05 - 1e-9, high[c] < 45.0 - 1e-9 * deviation[c], "{}", exceed[c]);
    }
    // Only the variable that was named.
    let thresholds = plan.layers.iter().filter(|(_, l)| matches!(l, Layer::Exceedance { .. }));
    assert_eq!(thresholds.map(|(v, _)| *v).collect::<Vec<_>>(), [0]);
}

/// By hand: the layers of a map of transformed readings, brought back.
#[test]
fn layers_of_a_transformed_map_are_those_of_its_surface_brought_back() {
    let transform = Transform::Log { offset: 2.0 };
    let settings = Settings {
        uncertainty: Uncertainty { quantiles: vec![0.05, 0.5, 0.95], ..wanted() },
        ..linear()
    };
    let told = |text: &str| vec![text.parse().unwrap()];
    let transforms = Transforms { told: told(&transform.to_string()), back: Back::Mean };
    let plan = planned(parts(200), grid(60, 50), Settings { transforms, ..settings.clone() });
    let (maps, _) = made(&plan);
    // One standard deviation of a normal law to either side.
    let sides = [0.158_655_253_931_457_05, 0.841_344_746_068_542_9];
    let mut of_surface = settings;
    of_surface.uncertainty.exceed = vec![("pm25".into(), transform.forward(45.0))];
    of_surface.uncertainty.quantiles.extend(sides);
    of_surface.bounds = Bounds { min: vec![Bound { variable: None, value: None }], max: vec![] };
    let mut by_hand = parts(200);
    let rows = by_hand.values.iter_mut().flat_map(|(_, rows)| rows);
    rows.flatten().flatten().for_each(|value| *value = transform.forward(*value));
    let hand = planned(by_hand, grid(60, 50), of_surface);
    let (surface, _) = made(&hand);
    for (time, variable) in [(0, 0), (1, 1)] {
        let find = |plan: &Plan, maps: &Maps, layer| -> Vec<f64> {
            let number = plan.layers.iter().position(|l| *l == (variable, layer));
            maps[&(time, variable, Some(number.expect("a layer of the plan")))].clone()
        };
        let of = |layer| find(&plan, &maps, layer);
        let quantile = |level| Layer::Quantile { level };
        let back = |level| -> Vec<f64> {
            let found = find(&hand, &surface, quantile(level));
            found.into_iter().map(|v| transform.back(v)).collect()
        };
        let [low, middle, high] = [0.05, 0.5, 0.95].map(|level| of(quantile(level)));
        for (got, level) in [(&low, 0.05), (&middle, 0.5), (&high, 0.95)] {
            assert!(got.iter().zip(back(level)).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
        let [below, above] = sides.map(back);
        let deviation = of(Layer::Deviation);
        for c in 0..low.len() {
            assert!(low[c] < middle[c] && middle[c] < high[c]);
            let half = 0.5 * (above[c] - below[c]);
            // The sides as probabilities are told to rounding, which the tails of a law stretch.
            assert!((deviation[c] - half).abs() < 1e-6 * half, "{} {half}", deviation[c]);
        }
        if variable == 0 {
            let exceed = of(Layer::Exceedance { threshold: 45.0 });
            let forward = Layer::Exceedance { threshold: transform.forward(45.0) };
            let expected = find(&hand, &surface, forward);
            for c in 0..exceed.len() {
                assert_eq!(exceed[c].to_bits(), expected[c].to_bits());
                let clear = |share: f64| (exceed[c] - share).abs() > 1e-9;
                for (share, quantile) in [(0.95, low[c]), (0.5, middle[c]), (0.05, high[c])] {
                    assert!(!clear(share) || (exceed[c] > share) == (quantile > 45.0));
                }
            }
        }
    }
}

#[test]
fn layers_are_the_same_bits_with_any_number_of_threads_and_at_places_as_on_a_grid() {
    let settings = |threads| Settings {
        uncertainty: wanted(),
        tolerance: Tolerance::Exact,
        threads: Some(threads),
        ..linear()
    };
    let bits = |maps: &Maps| -> Vec<u64> { maps.values().flatten().map(|v| v.to_bits()).collect() };
    let one = made(&planned(parts(120), grid(150, 140), settings(1))).0;
    let three = made(&planned(parts(120), grid(150, 140), settings(3))).0;
    assert!(bits(&one) == bits(&three));
    // The corners of a grid are nodes of the mesh, so that nothing is interpolated there.
    let (x, y) = ([99.0, 111.0, 99.0, 111.0].to_vec(), [29.0, 29.0, 39.0, 39.0].to_vec());
    let header = vec!["lon".to_owned(), "lat".to_owned()];
    let places = Places { header, rows: vec![Vec::new(); 4], x, y };
    let at = made(&planned(parts(120), Targets::Points(places), settings(2))).0;
    for (key, values) in &at {
        for (k, cell) in [0, 149, 139 * 150, 139 * 150 + 149].into_iter().enumerate() {
            let (got, want) = (values[k], one[key][cell]);
            // σ² of a mesh is kept with seven digits.
            assert!((got - want).abs() < 1e-5 * want.abs().max(1.0), "{key:?} {got} {want}");
        }
    }
}

#[test]
fn a_variable_that_is_not_there_is_refused_with_those_that_are() {
    let uncertainty = Uncertainty { exceed: vec![("no2".into(), 40.0)], ..Uncertainty::default() };
    let observations = Observations::from_parts(parts(30), &ReadOptions::default()).unwrap();
    let settings = Settings { uncertainty, ..linear() };
    let error = Plan::new(observations, grid(10, 10), settings, &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "there is no variable `no2`; the readings have: pm25, o3");
}

fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new("../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not here", path.display());
    None
}

/// Readings of a variable: `[time][station]`.
type Rows = (String, Vec<Vec<f64>>);

/// Stations, times and variables of a file.
fn read(path: &Path) -> (Vec<Station>, Vec<String>, Vec<Rows>) {
    let source = Source::File(path.to_owned());
    let all = Observations::read(vec![source], ReadOptions::default()).unwrap();
    let (n, variables) = (all.stations().len(), all.variables().len());
    let mut rows = vec![Vec::new(); variables];
    let mut step = Vec::new();
    for time in 0..all.times().len() {
        all.step(time, &mut step).unwrap();
        for (variable, rows) in rows.iter_mut().enumerate() {
            rows.push(step[variable * n..][..n].to_vec());
        }
    }
    let time = |t: &Option<isopleth_engine::observations::UnixSeconds>| {
        isopleth_engine::report::iso_8601(t.expect("readings with times"))
    };
    let names = all.variables().iter().map(|v| v.name.clone());
    (all.stations().to_vec(), all.times().iter().map(time).collect(), names.zip(rows).collect())
}

/// A fifth of the stations at a time is left out wholly: for each variable and time, how many of
/// their readings lay within the 90 % interval, and of how many.
fn held(path: &Path) -> BTreeMap<(String, String), [usize; 2]> {
    let (stations, times, variables) = read(path);
    let mut counts = BTreeMap::<(String, String), [usize; 2]>::new();
    for fold in 0..5 {
        let out = |i: &usize| (i * 7919 + 13) % stations.len() % 5 == fold;
        let left: Vec<usize> = (0..stations.len()).filter(out).collect();
        let kept: Vec<usize> = (0..stations.len()).filter(|i| !out(i)).collect();
        let some = |row: &Vec<f64>| -> Vec<Option<f64>> {
            kept.iter().map(|&i| (!row[i].is_nan()).then_some(row[i])).collect()
        };
        let values = variables.iter().map(|(name, rows)| {
            let variable = Variable { name: name.clone(), units: None };
            (variable, rows.iter().map(some).collect::<Vec<_>>())
        });
        let parts = Parts {
            stations: kept.iter().map(|&i| stations[i].clone()).collect(),
            times: times.clone(),
            values: values.collect(),
        };
        let places = Places {
            header: vec!["lon".into(), "lat".into()],
            rows: vec![Vec::new(); left.len()],
            x: left.iter().map(|&i| stations[i].x).collect(),
            y: left.iter().map(|&i| stations[i].y).collect(),
        };
        let quantiles = vec![0.05, 0.95];
        let uncertainty = Uncertainty { quantiles, ..Uncertainty::default() };
        let settings = Settings { uncertainty, ..linear() };
        let plan = planned(parts, Targets::Points(places), settings);
        let (maps, _) = made(&plan);
        for (variable, (name, rows)) in variables.iter().enumerate() {
            let number = |level| {
                plan.layers.iter().position(|l| *l == (variable, Layer::Quantile { level }))
            };
            for (time, row) in rows.iter().enumerate() {
                let low = &maps[&(time, variable, number(0.05))];
                let high = &maps[&(time, variable, number(0.95))];
                let count = counts.entry((name.clone(), times[time].clone())).or_default();
                for (k, &i) in left.iter().enumerate().filter(|(_, i)| !row[**i].is_nan()) {
                    count[0] += usize::from(low[k] <= row[i] && row[i] <= high[k]);
                    count[1] += 1;
                }
            }
        }
    }
    counts
}

#[expect(clippy::cast_precision_loss, reason = "counts of readings")]
fn share<'a>(counts: impl Iterator<Item = &'a [usize; 2]>) -> (f64, usize) {
    let [inside, all] = counts.fold([0, 0], |[a, b], [c, d]| [a + c, b + d]);
    (inside as f64 / all as f64, all)
}

/// That the empirical law serves better than the normal one was found on the first fifteen days of
/// each month; this looks at the others.
#[test]
fn intervals_hold_nine_of_ten_readings_left_out_of_the_german_year() {
    let Some(path) = data("germany_pm10_2005.csv") else { return };
    let counts = held(&path);
    let day = |time: &str| time[8..10].parse::<u32>().unwrap();
    let late = counts.iter().filter(|((_, time), _)| day(time) > 15).map(|(_, count)| count);
    let (held, count) = share(late);
    eprintln!("90 % intervals held {:.2} % of {count} readings left out", 100.0 * held);
    assert!(count > 10_000, "{count}");
    assert!((0.87..=0.93).contains(&held), "{held}");
    // And in no quarter is it far off.
    for quarter in 0..4 {
        let month = |time: &str| time[5..7].parse::<u32>().unwrap();
        let of = |time: &str| (month(time) - 1) / 3 == quarter && day(time) > 15;
        let (held, _) = share(counts.iter().filter(|((_, t), _)| of(t)).map(|(_, count)| count));
        eprintln!("  quarter {}: {:.2} %", quarter + 1, 100.0 * held);
        assert!((0.85..=0.95).contains(&held), "quarter {}: {held}", quarter + 1);
    }
}

#[test]
fn intervals_hold_nine_of_ten_readings_left_out_of_six_chinese_hours() {
    let Some(path) = data("china_network_6_hours.csv") else { return };
    let counts = held(&path);
    for ((variable, time), count) in &counts {
        let (held, of) = share(std::iter::once(count));
        eprintln!("{variable:>5} {time}: {:.1} % of {of}", 100.0 * held);
        // A field's share of 1400 readings has a standard error of 0.8 %; neighbours err alike.
        assert!((0.85..=0.95).contains(&held), "{variable} {time}: {held}");
    }
    let (held, count) = share(counts.values());
    eprintln!("all: {:.2} % of {count}", 100.0 * held);
    assert!((0.87..=0.93).contains(&held), "{held}");
}

/// Smoothing: a reading is less sure than the field by just λ.
#[test]
fn a_reading_differs_from_the_field_by_the_smoothing() {
    use isopleth_engine::kernels::Smoothing;
    let of = |of| {
        let method = Method { smoothing: Smoothing::Same(20.0), ..Method::default() };
        let uncertainty = Uncertainty { of, deviation: true, ..Uncertainty::default() };
        let plan = planned(
            parts(200),
            grid(30, 20),
            Settings { method: Choice::Told(method), uncertainty, ..linear() },
        );
        made(&plan).0[&(0, 0, Some(0))].clone()
    };
    let (reading, field) = (of(Of::Reading), of(Of::Field));
    let squares = Mat::from_fn(reading.len(), 1, |c, _| reading[c].powi(2) - field[c].powi(2));
    let (low, high) = (squares[(0, 0)], squares.norm_max());
    assert!(
        low > 0.0 && (0..reading.len()).all(|c| (squares[(c, 0)] / low - 1.0).abs() < 1e-3),
        "{high}"
    );
}
