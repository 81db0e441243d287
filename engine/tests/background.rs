//! Backgrounds: what they are worth is given back, and nothing else is changed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use isopleth_engine::background::{Background, BackgroundError, From};
use isopleth_engine::grid::Size;
use isopleth_engine::kernels::{Kernel, Method, Metric, Smoothing};
use isopleth_engine::model::ModelError;
use isopleth_engine::observations::{Parts, Station, Variable};
use isopleth_engine::output::{FieldId, Maps, MapsInMemory};
use isopleth_engine::uncertainty::Of;
use isopleth_engine::{
    Bound, Bounds, Cancel, Choice, CrossValidation, Crs, Error, FactorCache, Folds, Grid, Limits,
    Observations, Places, Plan, Progress, ReadOptions, Registration, Report, Settings, Targets,
    Tolerance, Uncertainty, crossvalidate, run,
};

const HOURS: [&str; 2] = ["2020-01-01T00:00:00Z", "2020-01-01T01:00:00Z"];

/// A model's file about to be written: `values[(step * rows + row) * columns + column]`.
struct File<'a> {
    lon: &'a [f64],
    lat: &'a [f64],
    /// Hours since 2020; none: without a dimension of time.
    hours: Option<&'a [f64]>,
    units: Option<&'a str>,
}

impl File<'_> {
    fn write(&self, path: &Path, value: impl Fn(usize, f64, f64) -> f64) {
        let mut file = netcdf::create(path).unwrap();
        let mut names = vec!["lat", "lon"];
        if let Some(hours) = self.hours {
            file.add_dimension("time", hours.len()).unwrap();
            let mut time = file.add_variable::<f64>("time", &["time"]).unwrap();
            time.put_attribute("units", "hours since 2020-01-01 00:00:00").unwrap();
            time.put_values(hours, ..).unwrap();
            names.insert(0, "time");
        }
        for (name, nodes) in [("lat", self.lat), ("lon", self.lon)] {
            file.add_dimension(name, nodes.len()).unwrap();
            file.add_variable::<f64>(name, &[name]).unwrap().put_values(nodes, ..).unwrap();
        }
        let mut all = Vec::new();
        for step in 0..self.hours.map_or(1, <[f64]>::len) {
            for &lat in self.lat {
                all.extend(self.lon.iter().map(|&lon| value(step, lon, lat)));
            }
        }
        let mut variable = file.add_variable::<f64>("guess", &names).unwrap();
        variable.set_fill_value(-999.0).unwrap();
        if let Some(units) = self.units {
            variable.put_attribute("units", units).unwrap();
        }
        variable.put_values(&all, ..).unwrap();
    }
}

fn axis(from: f64, to: f64, nodes: u32) -> Vec<f64> {
    (0..nodes).map(|k| from + (to - from) * f64::from(k) / f64::from(nodes - 1)).collect()
}

/// Stations from 100 to 110 east and 30 to 38 north.
fn stations(n: u32) -> Vec<Station> {
    (0..n)
        .map(|i| Station {
            id: format!("s{i}"),
            x: 100.0 + 10.0 * (0.5 + 0.754_877_666 * f64::from(i)).fract(),
            y: 30.0 + 8.0 * (0.5 + 0.569_840_291 * f64::from(i)).fract(),
        })
        .collect()
}

/// One variable at two hours.
fn parts(
    stations: Vec<Station>,
    units: Option<&str>,
    of: impl Fn(usize, &Station) -> f64,
) -> Parts {
    let row = |time: usize| stations.iter().map(|s| Some(of(time, s))).collect();
    let variable = Variable { name: "pm25".into(), units: units.map(str::to_owned) };
    let values = vec![(variable, vec![row(0), row(1)])];
    Parts { values, times: HOURS.map(str::to_owned).to_vec(), stations }
}

fn told(kernel: Kernel) -> Settings {
    let method = Method { kernel, ..Method::default() };
    let tolerance = Tolerance::Exact;
    Settings { method: Choice::Told(method), tolerance, ..Settings::default() }
}

fn with(path: &Path, settings: Settings) -> Settings {
    let from = From::File { path: path.to_owned(), variable: "guess".into() };
    Settings { backgrounds: vec![Background { variable: None, from }], ..settings }
}

fn grid(bounds: [f64; 4], nx: u64, ny: u64) -> Targets {
    let size = Size::Shape { nx, ny };
    Targets::Grid(Grid::from_bounds(bounds, size, Registration::Gridline, true).unwrap())
}

fn planned(parts: Parts, targets: Targets, settings: Settings) -> Result<Plan, Error> {
    let planar = !settings.method.metric().is_spherical();
    let options = ReadOptions { planar, ..ReadOptions::default() };
    let observations = Observations::from_parts(parts, &options).unwrap();
    Plan::new(observations, targets, settings, &Limits::default())
}

fn made(plan: &Plan) -> (Maps, Report) {
    let (rows, columns) = (plan.targets.rows(), plan.targets.columns());
    let times = plan.observations.times().len();
    let sink = MapsInMemory::new(1, times, rows, columns, plan.network.len());
    let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
    let report = run(plan, &sink, progress, &FactorCache::off()).unwrap();
    (sink.into_maps(), report)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn linear(step: usize, lon: f64, lat: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "0 or 1")]
    let hour = step as f64;
    20.0 + 3.0 * (lon - 100.0) - 2.0 * (lat - 30.0) + 5.0 * hour
}

/// A background that is linear in longitude and latitude is bilinear between any nodes, and readings
/// that are it and a constant are given back everywhere to rounding: what is interpolated is constant.
#[test]
fn a_linear_background_is_reproduced_on_every_kind_of_targets() {
    let folder = folder();
    let path = folder.path().join("model.nc");
    // Descending latitudes, longitudes to 360, hours in any order.
    let (lon, lat) = (axis(98.0, 112.0, 8), axis(41.0, 28.0, 14));
    let file = File { lon: &lon, lat: &lat, hours: Some(&[1.0, 7.0, 0.0]), units: None };
    file.write(&path, |step, lon, lat| linear([1, 0, 0][step], lon, lat) + [0.0, 99.0, 0.0][step]);
    let readings = || parts(stations(40), None, |time, s| linear(time, s.x, s.y) + 7.0);
    let crs: Crs =
        "+proj=lcc +lat_1=30 +lat_2=38 +lat_0=34 +lon_0=105 +datum=WGS84".parse().unwrap();
    let plane = [-3e5, -3e5, 3e5, 3e5];
    let size = Size::Shape { nx: 9, ny: 7 };
    let plane = Grid::projected(plane, size, Registration::Gridline, crs).unwrap();
    let places = [[100.5, 30.25], [106.0, 33.0], [109.0, 37.9]];
    let points = Places::from_coordinates(&places, false).unwrap();
    let targets =
        [grid([99.0, 29.0, 111.0, 39.0], 150, 131), Targets::Grid(plane), Targets::Points(points)];
    for targets in targets {
        let plan = planned(readings(), targets, with(&path, told(Kernel::Linear))).unwrap();
        let (maps, report) = made(&plan);
        for time in 0..2 {
            let map = maps.map(FieldId { time, variable: 0 });
            for (cell, value) in map.iter().enumerate() {
                let columns = plan.targets.columns();
                let [lon, lat] = match &plan.targets {
                    Targets::Grid(grid) => match grid.degrees(cell / columns, 0..columns) {
                        Some([lon, lat]) => [lon[cell % columns], lat[cell % columns]],
                        None => [grid.x()[cell % columns], grid.y()[cell / columns]],
                    },
                    Targets::Points(places) => [places.x[cell], places.y[cell]],
                };
                let wanted = linear(time, lon, lat) + 7.0;
                // Differences of numbers below 100, and a handful of products.
                assert!((value - wanted).abs() < 1e-11, "{lon} {lat}: {value} {wanted}");
            }
        }
        let told = &report.backgrounds[0];
        let alone = told.alone.unwrap();
        assert_eq!((told.background.as_str(), alone.count), ("model.nc:guess", 80));
        assert!((alone.bias - 7.0).abs() < 1e-11 && (alone.rmse - 7.0).abs() < 1e-11);
        assert!(report.variables[0].leave_one_out.unwrap().rmse < 1e-11);
        assert_eq!(told.digest.as_ref().map(String::len), Some(64));
    }
}

/// The definition: the map of differences plus the background, and the same errors.
#[test]
fn a_map_with_a_background_is_that_of_the_differences_and_the_background() {
    let folder = folder();
    let path = folder.path().join("model.nc");
    let guess = |lon: f64, lat: f64| 30.0 + 8.0 * (lon / 2.0).sin() + 6.0 * (lat / 1.7).cos();
    let (lon, lat) = (axis(99.0, 111.0, 25), axis(29.0, 39.0, 21));
    let file = File { lon: &lon, lat: &lat, hours: None, units: None };
    file.write(&path, |_, lon, lat| guess(lon, lat));
    let value = |time: usize, s: &Station| guess(s.x, s.y) + (s.x + s.y).sin() * [3.0, 4.0][time];
    let targets = || grid([99.5, 29.5, 110.5, 38.5], 45, 37);
    let nodes: Vec<(f64, f64)> =
        lat.iter().flat_map(|&lat| lon.iter().map(move |&lon| (lon, lat))).collect();
    // The background as our own bilinear sum, over all nodes.
    let hat = |at: f64, node: f64| (1.0 - 2.0 * (at - node).abs()).max(0.0);
    let bilinear = |x: f64, y: f64| -> f64 {
        nodes.iter().map(|&(lon, lat)| guess(lon, lat) * hat(x, lon) * hat(y, lat)).sum()
    };
    for (kernel, tolerance) in
        [(Kernel::Linear, Tolerance::Exact), (Kernel::ThinPlateSpline, Tolerance::Relative(1e-9))]
    {
        let settings = Settings { tolerance, ..told(kernel) };
        let plan =
            planned(parts(stations(50), None, value), targets(), with(&path, settings.clone()));
        let (maps, report) = made(&plan.unwrap());
        let less = parts(stations(50), None, |time, s| value(time, s) - bilinear(s.x, s.y));
        let free = Bounds { min: vec![Bound { variable: None, value: None }], max: vec![] };
        let plan = planned(less, targets(), Settings { bounds: free, ..settings }).unwrap();
        let (differences, of_differences) = made(&plan);
        let Targets::Grid(grid) = &plan.targets else { unreachable!("it was made of a grid") };
        for time in 0..2 {
            let id = FieldId { time, variable: 0 };
            for (cell, (map, less)) in maps.map(id).iter().zip(differences.map(id)).enumerate() {
                let (x, y) = (grid.x()[cell % 45], grid.y()[cell / 45]);
                // The fast evaluation is right to 1e-9 of the range in both.
                assert!((map - less - bilinear(x, y)).abs() < 1e-7, "{x} {y}");
            }
        }
        let errors = |report: &Report| report.variables[0].leave_one_out.unwrap();
        assert!((errors(&report).rmse - errors(&of_differences).rmse).abs() < 1e-12);
        assert!((errors(&report).mae - errors(&of_differences).mae).abs() < 1e-12);
        // Of the readings themselves: the spread is that of the sum.
        assert!(errors(&report).r2.unwrap() > errors(&of_differences).r2.unwrap());
    }
}

#[test]
fn bounds_and_layers_are_of_the_sum() {
    let folder = folder();
    let path = folder.path().join("model.nc");
    let (lon, lat) = (axis(99.0, 111.0, 13), axis(29.0, 39.0, 11));
    let file = File { lon: &lon, lat: &lat, hours: None, units: None };
    // The differences are far below zero, and the sum falls below in the north.
    file.write(&path, |_, _, lat| 500.0 - 60.0 * (lat - 30.0));
    let value = |_: usize, s: &Station| 60.0 - 7.0 * (s.y - 30.0) + (5.0 * s.x).sin();
    let uncertainty = Uncertainty {
        deviation: false,
        exceed: vec![("pm25".into(), 30.0)],
        quantiles: vec![0.5],
        of: Of::Reading,
    };
    let method = Method { smoothing: Smoothing::Same(0.1), ..Method::default() };
    let settings = Settings { uncertainty, method: Choice::Told(method), ..told(Kernel::Linear) };
    let targets = grid([100.0, 30.0, 110.0, 39.0], 21, 19);
    let plan = planned(parts(stations(60), None, value), targets, with(&path, settings)).unwrap();
    let layers = Layers { columns: 21, values: std::sync::Mutex::default() };
    let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
    run(&plan, &layers, progress, &FactorCache::off()).unwrap();
    let values = layers.values.into_inner().unwrap();
    let [map, exceeds, median] = [0, 1, 2].map(|layer| &values[&layer]);
    assert!(map.iter().all(|v| *v >= 0.0) && map.contains(&0.0));
    for ((value, probability), median) in map.iter().zip(exceeds).zip(median) {
        // A normal law is as often above its centre as below.
        assert_eq!(*value > 30.0, *probability > 0.5, "{value}");
        assert!((median - value).abs() < 1e-9, "{median} {value}");
    }
}

/// Keeps the map (0), probabilities (1) and quantiles (2) of the first time.
struct Layers {
    columns: usize,
    values: std::sync::Mutex<std::collections::BTreeMap<usize, Vec<f64>>>,
}

impl Layers {
    fn keep(&self, layer: usize, tile: isopleth_engine::output::Tile<'_>) {
        let mut all = self.values.lock().unwrap();
        let cells = tile.rows.len() * tile.columns.len();
        for (id, values) in tile.fields.iter().zip(tile.values.chunks_exact(cells)) {
            assert_eq!((tile.columns.clone(), tile.rows.start), (0..self.columns, 0), "one tile");
            if id.time == 0 {
                all.insert(layer, values.to_vec());
            }
        }
    }
}

impl isopleth_engine::output::Sink for Layers {
    fn tile(&self, tile: isopleth_engine::output::Tile<'_>) -> Result<(), Error> {
        self.keep(0, tile);
        Ok(())
    }

    fn layer(
        &self,
        layer: isopleth_engine::uncertainty::Layer,
        tile: isopleth_engine::output::Tile<'_>,
    ) -> Result<(), Error> {
        use isopleth_engine::uncertainty::Layer;
        self.keep(if matches!(layer, Layer::Exceedance { .. }) { 1 } else { 2 }, tile);
        Ok(())
    }

    fn stations(&self, _: isopleth_engine::output::StationValues<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn batch_done(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn the_date_line_is_no_seam_and_longitudes_may_run_either_way() {
    let folder = folder();
    // Bilinear between its nodes, all round the Earth.
    let wave = |lon: f64| 40.0 - 0.1 * (lon.rem_euclid(360.0) - 180.0).abs();
    let pacific = || -> Vec<Station> {
        let place = |i: u32| 170.0 + 20.0 * (0.3 + 0.754_877_666 * f64::from(i)).fract();
        (0..30)
            .map(|i| {
                let x = place(i);
                let x = if x > 180.0 { x - 360.0 } else { x };
                let y = -10.0 + 20.0 * (0.569_840_291 * f64::from(i)).fract();
                Station { id: format!("p{i}"), x, y }
            })
            .collect()
    };
    let lat = axis(-15.0, 15.0, 7);
    let globes: [Vec<f64>; 3] =
        [axis(0.0, 350.0, 36), axis(-180.0, 170.0, 36), axis(-180.0, 180.0, 37)];
    for (number, lon) in globes.iter().enumerate() {
        let path = folder.path().join(format!("globe{number}.nc"));
        let file = File { lon, lat: &lat, hours: None, units: None };
        file.write(&path, |_, lon, lat| wave(lon) + lat);
        let readings = parts(pacific(), None, |_, s| wave(s.x) + s.y + 1.0);
        let targets = grid([170.0, -10.0, -170.0, 10.0], 41, 21);
        let plan = planned(readings, targets, with(&path, told(Kernel::Linear))).unwrap();
        let (maps, report) = made(&plan);
        let Targets::Grid(grid) = &plan.targets else { unreachable!("it was made of a grid") };
        for (cell, value) in maps.map(FieldId { time: 0, variable: 0 }).iter().enumerate() {
            let (x, y) = (grid.x()[cell % 41], grid.y()[cell / 41]);
            assert!((value - wave(x) - y - 1.0).abs() < 1e-11, "{number}: {x} {y} {value}");
        }
        assert_eq!(report.backgrounds[0].values_without, 0);
    }
}

/// Against `scipy.interpolate.RegularGridInterpolator`, on uneven axes, in both directions: readings that
/// equal the background leave nothing to interpolate, so that the map is the background.
#[test]
fn between_nodes_values_are_those_of_scipy() {
    let golden = golden();
    let numbers = |name: &str| floats(&golden["bilinear"][name]);
    let (mut lon, mut lat) = (numbers("lon"), numbers("lat"));
    let rows: Vec<Vec<f64>> =
        golden["bilinear"]["values"].as_array().unwrap().iter().map(floats).collect();
    let (east, north) = (lon.clone(), lat.clone());
    let folder = folder();
    for turned in [false, true] {
        if turned {
            lon.reverse();
            lat.reverse();
        }
        let path = folder.path().join(format!("{turned}.nc"));
        let at = |axis: &[f64], value: f64| axis.iter().position(|v| *v == value).unwrap();
        let file = File { lon: &lon, lat: &lat, hours: None, units: None };
        file.write(&path, |_, x, y| rows[at(&north, y)][at(&east, x)]);
        // On the nodes, where nothing is between.
        let nodes = [(0, 0), (5, 3), (13, 10), (2, 9)];
        let station = |(k, &(i, j)): (usize, &(usize, usize))| Station {
            id: format!("n{k}"),
            x: east[i],
            y: north[j],
        };
        let stations: Vec<Station> = nodes.iter().enumerate().map(station).collect();
        let readings = parts(stations, None, |_, s| rows[at(&north, s.y)][at(&east, s.x)]);
        let (x, y) = (numbers("x"), numbers("y"));
        let places: Vec<[f64; 2]> = x.iter().zip(&y).map(|(&x, &y)| [x, y]).collect();
        let places = Targets::Points(Places::from_coordinates(&places, false).unwrap());
        let free = Bounds { min: vec![Bound { variable: None, value: None }], max: vec![] };
        let settings = Settings { bounds: free, ..told(Kernel::Linear) };
        let plan = planned(readings, places, with(&path, settings)).unwrap();
        let (maps, _) = made(&plan);
        let wanted = numbers("expected");
        assert_eq!(wanted.len(), 85);
        for (value, wanted) in maps.map(FieldId { time: 0, variable: 0 }).iter().zip(wanted) {
            // Four products of numbers below 150.
            assert!((value - wanted).abs() < 1e-12 * 150.0, "{value} {wanted}");
        }
    }
}

#[test]
fn what_the_model_does_not_know_is_missing_and_counted() {
    let folder = folder();
    let path = folder.path().join("model.nc");
    // Two fifths of the stations lie east of it, and one node is missing.
    let (lon, lat) = (axis(99.0, 106.0, 8), axis(29.0, 39.0, 11));
    let hole = |lon: f64, lat: f64| lon == 102.0 && lat == 33.0;
    let file = File { lon: &lon, lat: &lat, hours: None, units: None };
    file.write(&path, |_, lon, lat| if hole(lon, lat) { -999.0 } else { linear(0, lon, lat) });
    let all = stations(60);
    let outside = all.iter().filter(|s| s.x > 106.0).count();
    let near_hole = |x: f64, y: f64| (x - 102.0).abs() < 1.0 && (y - 33.0).abs() < 1.0;
    let holed = all.iter().filter(|s| near_hole(s.x, s.y)).count();
    let readings = parts(all, None, |_, s| linear(0, s.x, s.y) + 2.0);
    let targets = grid([100.0, 30.0, 110.0, 38.0], 41, 33);
    let plan = planned(readings, targets, with(&path, told(Kernel::Linear))).unwrap();
    let (maps, report) = made(&plan);
    let told = &report.backgrounds[0];
    assert!(outside > 10 && holed > 0, "{outside} {holed}");
    assert_eq!(told.stations_outside, outside);
    assert_eq!(told.readings_without, 2 * (outside + holed) as u64);
    let Targets::Grid(grid) = &plan.targets else { unreachable!("it was made of a grid") };
    let mut unknown = 0;
    for (cell, value) in maps.map(FieldId { time: 0, variable: 0 }).iter().enumerate() {
        let (x, y) = (grid.x()[cell % 41], grid.y()[cell / 41]);
        assert_eq!(value.is_nan(), x > 106.0 || near_hole(x, y), "{x} {y}");
        unknown += u64::from(value.is_nan());
    }
    assert_eq!(told.values_without, 2 * unknown);
    let warnings = report.warnings.join("\n");
    assert!(warnings.contains(&format!("{outside} of 60 stations lie outside")), "{warnings}");
    assert!(warnings.contains(&format!("{} values of pm25", 2 * unknown)), "{warnings}");
}

#[test]
fn units_are_converted_or_refused() {
    let folder = folder();
    let (lon, lat) = (axis(99.0, 111.0, 13), axis(29.0, 39.0, 11));
    let of = |units: Option<&str>, scale: f64, readings: Option<&str>| {
        let path = folder.path().join(format!("{}.nc", scale.to_bits()));
        let file = File { lon: &lon, lat: &lat, hours: None, units };
        file.write(&path, |_, lon, lat| scale * linear(0, lon, lat));
        let readings = parts(stations(30), readings, |_, s| linear(0, s.x, s.y));
        let targets = grid([100.0, 30.0, 110.0, 38.0], 5, 5);
        let plan = planned(readings, targets, with(&path, told(Kernel::Linear)))?;
        let (maps, report) = made(&plan);
        let map = maps.map(FieldId { time: 0, variable: 0 });
        // West and south.
        assert!((map[0] - 20.0).abs() < 1e-11, "{}", map[0]);
        Ok::<_, Error>(report.warnings)
    };
    assert_eq!(of(Some("kg m-3"), 1e-9, Some("µg/m³")).unwrap(), Vec::<String>::new());
    assert_eq!(of(Some("ug/m3"), 1.0, Some("µg/m³")).unwrap(), Vec::<String>::new());
    let warnings = of(None, 1.0, Some("µg/m³")).unwrap();
    assert!(warnings.iter().any(|w| w.contains("tells no unit")), "{warnings:?}");
    let error = of(Some("ppb"), 1.0, Some("µg/m³")).unwrap_err();
    assert!(matches!(error, Error::Background(BackgroundError::Units { .. })), "{error}");
}

#[test]
fn a_step_that_is_not_there_is_refused_with_the_nearest() {
    let folder = folder();
    let path = folder.path().join("model.nc");
    let (lon, lat) = (axis(99.0, 111.0, 13), axis(29.0, 39.0, 11));
    let hours = Some(&[-6.0, 0.0, 6.0][..]);
    File { lon: &lon, lat: &lat, hours, units: None }.write(&path, linear);
    let readings = parts(stations(30), None, |time, s| linear(time, s.x, s.y));
    let targets = grid([100.0, 30.0, 110.0, 38.0], 5, 5);
    let error = planned(readings, targets, with(&path, told(Kernel::Linear))).unwrap_err();
    let text = error.to_string();
    for word in ["2020-01-01T01:00:00Z", "2020-01-01T00:00:00Z and 2020-01-01T06:00:00Z", "has 3"] {
        assert!(text.contains(word), "{text}");
    }
    assert!(
        matches!(error, Error::Background(BackgroundError::Model(ModelError::NoStep { .. }))),
        "{text}"
    );
}

#[test]
fn a_background_elsewhere_is_refused_with_both_areas() {
    let folder = folder();
    let path = folder.path().join("model.nc");
    let (lon, lat) = (axis(0.0, 20.0, 5), axis(40.0, 60.0, 5));
    File { lon: &lon, lat: &lat, hours: None, units: None }.write(&path, linear);
    let readings = || parts(stations(30), None, |time, s| linear(time, s.x, s.y));
    let elsewhere = planned(
        readings(),
        grid([100.0, 30.0, 110.0, 38.0], 5, 5),
        with(&path, told(Kernel::Linear)),
    );
    let text = elsewhere.unwrap_err().to_string();
    assert!(text.contains("no station") && text.contains("0,40,20,60"), "{text}");
    let (lon, lat) = (axis(99.0, 111.0, 13), axis(29.0, 39.0, 11));
    File { lon: &lon, lat: &lat, hours: None, units: None }.write(&path, linear);
    let map = grid([0.0, 30.0, 10.0, 38.0], 5, 5);
    let text = planned(readings(), map, with(&path, told(Kernel::Linear))).unwrap_err().to_string();
    assert!(text.contains("no cell") && text.contains("0,30,10,38"), "{text}");
}

/// Europe's PM10 of a day: a transport model that is low by half, and 256 stations.
#[test]
fn on_real_readings_a_biased_model_is_mended_by_the_stations() {
    let path = PathBuf::from("../../shared/data/europe_pm10_20100406_ctm.csv");
    if !path.exists() {
        eprintln!("skipped: {} is not here", path.display());
        return;
    }
    let text = std::fs::read_to_string(path).unwrap();
    let with = europe(&text, true);
    let (errors, told) =
        (with.report.variables[0].leave_one_out.unwrap(), &with.report.backgrounds[0]);
    let alone = told.alone.unwrap();
    assert_eq!((errors.count, alone.count, with.stations.len()), (256, 256, 256));
    // What the data's own description says: the model is biased low.
    assert!(alone.bias > 0.8 && alone.rmse > 1.4, "{alone:?}");
    assert!(errors.bias.abs() < 0.05 && errors.rmse < 0.65 * alone.rmse, "{errors:?}");
}

/// Leave-one-out errors of the readings' columns, with and without that of the model.
fn europe(text: &str, background: bool) -> CrossValidation {
    let options = ReadOptions {
        planar: true,
        columns: isopleth_engine::observations::Columns {
            x: Some("x_km".into()),
            y: Some("y_km".into()),
            ..Default::default()
        },
        ..ReadOptions::default()
    };
    let reader = Box::new(std::io::Cursor::new(text.to_owned().into_bytes()));
    let source = isopleth_engine::Source::Stream { name: "europe".into(), reader };
    let observations = Observations::read(vec![source], options).unwrap();
    let auto = isopleth_engine::Auto { metric: Metric::Planar, ..Default::default() };
    let from = From::Column("sqrt_pm10_ctm".into());
    let backgrounds =
        if background { vec![Background { variable: None, from }] } else { Vec::new() };
    let settings = Settings { method: Choice::Auto(auto), backgrounds, ..Settings::default() };
    let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
    let folds: [Folds; 1] = ["10".parse().unwrap()];
    let (limits, factors) = (Limits::default(), FactorCache::off());
    crossvalidate(observations, settings, &folds, &limits, progress, &factors).unwrap()
}

fn golden() -> serde_json::Value {
    let path = Path::new("../tests/golden/background.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn floats(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}
