//! What the program chooses by itself, and what it never shows.

use std::fs;

use serde_json::Value;

use crate::harness::{Bench, readings};

const GRID: [&str; 6] = ["--bounds", "100,30,110,38", "--shape", "41x33", "--precision", "f64"];

fn map(bench: &Bench, input: &str, output: &str, more: &[&str]) -> Value {
    let arguments = [&["map", input, "-o", output, "--report", "report.json"], &GRID[..], more];
    bench.run(&arguments.concat()).succeeded();
    let text = fs::read_to_string(bench.path("report.json")).expect("a report");
    serde_json::from_str(&text).expect("JSON")
}

fn values(bench: &Bench, name: &str, variable: &str) -> Vec<f64> {
    let file = netcdf::open(bench.path(name)).expect("a NetCDF file");
    file.variable(variable).expect("the variable").get_values(..).expect("its values")
}

/// From 0 to 1, without order.
fn chance(i: u32) -> f64 {
    let mut z = u64::from(i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z >> 40) as f64 / f64::from(1 << 24)
}

/// Readings with noise, so that smoothing pays, of a slope; and a wave without noise.
fn noisy() -> String {
    let mut text = String::from("station,lon,lat,pm25,temperature\n");
    for i in 0..80_u32 {
        let (lon, lat) = (100.0 + f64::from(i * 37 % 80) / 8.0, 30.0 + f64::from(i) / 10.0);
        let noise = chance(i) - 0.5;
        let (slope, wave) = ((lon - 100.0) * 2.0, (lat * 1.5).sin() * 5.0);
        text += &format!("s{i},{lon},{lat},{:.3},{wave:.3}\n", 30.0 + slope + 20.0 * noise);
    }
    text
}

#[test]
fn a_choice_has_the_least_error_and_can_be_told_to_the_same_bits() {
    let bench = Bench::new();
    let input = bench.file("in.csv", noisy());
    let report = map(&bench, &input, "auto.nc", &["--cache", "none", "--variable", "pm25"]);
    let method = &report["methods"][0];
    assert_eq!(method["chosen_by"], "readings");
    assert!(method["smoothing"][0].as_f64().expect("a number") > 0.0, "{method}");
    let mae =
        |report: &Value| report["variables"][0]["leave_one_out"]["mae"].as_f64().expect("a number");
    let [epsilon, smoothing, degree] =
        [&method["epsilon"], &method["smoothing"][0], &method["degree"]].map(Value::to_string);
    let kernel = method["kernel"].as_str().expect("a name");
    let told = ["--kernel", kernel, "--epsilon", &epsilon, "--smoothing", &smoothing];
    let transform = method["transform"].as_str().expect("a form");
    let direction = method["anisotropy"].as_str().unwrap_or("none");
    let form = ["--degree", &degree, "--variable", "pm25", "--transform", transform];
    let form = [&form[..], &["--anisotropy", direction]].concat();
    let told = [&told[..], &form].concat();
    let same = map(&bench, &input, "told.nc", &told);
    assert_eq!(same["methods"][0]["chosen_by"], "told");
    assert_eq!(values(&bench, "auto.nc", "pm25"), values(&bench, "told.nc", "pm25"));
    for kernel in ["linear", "thin_plate_spline"] {
        let other = map(&bench, &input, "other.nc", &["--kernel", kernel, "--variable", "pm25"]);
        assert!(mae(&report) < mae(&other), "{kernel}: {} {}", mae(&report), mae(&other));
    }
}

#[test]
fn every_variable_gets_its_own_and_keeps_it() {
    let bench = Bench::new();
    let input = bench.file("in.csv", noisy());
    let first = map(&bench, &input, "first.nc", &["--cache", "kept"]);
    let methods = first["methods"].as_array().expect("a list");
    // A wave without noise is followed; noise is not.
    assert_eq!(methods.len(), 2, "{methods:?}");
    assert!(methods.iter().all(|m| m["chosen_by"] == "readings"));
    let file = netcdf::open(bench.path("first.nc")).expect("a NetCDF file");
    let of_map = file.variable("temperature").expect("the variable");
    assert!(of_map.attribute("isopleth_kernel").is_some());
    // One reading changed, one station gone: the network is known again.
    let fewer: String = noisy()
        .lines()
        .filter(|l| !l.starts_with("s3,"))
        .map(|l| if l.starts_with("s4,") { format!("{l}1\n") } else { format!("{l}\n") })
        .collect();
    let fewer = bench.file("fewer.csv", fewer);
    let second = map(&bench, &fewer, "second.nc", &["--cache", "kept"]);
    let again = second["methods"].as_array().expect("a list");
    let shape = |m: &Value| (m["variables"].clone(), m["kernel"].clone(), m["epsilon"].clone());
    assert!(again.iter().all(|m| m["chosen_by"] == "kept"), "{again:?}");
    let [before, after] = [methods, again].map(|all| all.iter().map(shape).collect::<Vec<_>>());
    assert_eq!(before, after);
    let arguments = ["cache", "clear", "--cache", "kept"];
    bench.run(&arguments).succeeded();
    let third = map(&bench, &input, "third.nc", &["--cache", "kept"]);
    assert_eq!(third["methods"][0]["chosen_by"], "readings");
}

#[test]
fn fields_may_choose_for_themselves() {
    let bench = Bench::new();
    let mut text = String::from("station,lon,lat,time,o3\n");
    for (hour, noise) in [(0, 0.0), (1, 40.0)] {
        for (k, line) in noisy().lines().skip(1).enumerate() {
            let cells: Vec<&str> = line.split(',').collect();
            let smooth = 50.0 + (k as f64 / 20.0).sin() * 10.0;
            let value = smooth + noise * (chance(k as u32) - 0.5);
            text += &format!(
                "{},{},{},2026-07-01T{hour:02}:00Z,{value:.3}\n",
                cells[0], cells[1], cells[2]
            );
        }
    }
    let input = bench.file("in.csv", text);
    let shared = map(&bench, &input, "shared.nc", &["--cache", "none"]);
    assert_eq!(shared["methods"].as_array().expect("a list").len(), 1);
    let own = map(&bench, &input, "own.nc", &["--cache", "none", "--choose", "field"]);
    assert_eq!(own["methods"].as_array().expect("a list").len(), 2, "{}", own["methods"]);
}

#[test]
fn a_concentration_is_never_negative_unless_that_is_asked_for() {
    let bench = Bench::new();
    // A steep edge: a smooth surface swings below 0 beside it.
    let mut text = String::from("station,lon,lat,no2,anomaly\n");
    for i in 0..64_u32 {
        let (x, y) = (f64::from(i % 8), f64::from(i / 8));
        let value = if i % 8 < 4 { 0.5 } else { 80.0 };
        text += &format!("s{i},{},{},{value},{value}\n", 100.0 + x * 1.25, 30.0 + y);
    }
    let input = bench.file("in.csv", text);
    let least = |name: &str, variable: &str| {
        values(&bench, name, variable).into_iter().fold(f64::INFINITY, f64::min)
    };
    let spline = ["--kernel", "thin_plate_spline", "--digits", "exact"];
    map(&bench, &input, "map.nc", &spline);
    assert_eq!(least("map.nc", "no2"), 0.0);
    assert!(least("map.nc", "anomaly") < -1.0);
    map(&bench, &input, "free.nc", &[&spline[..], &["--min", "none"]].concat());
    assert!(least("free.nc", "no2") < -1.0);
    map(&bench, &input, "told.nc", &[&spline[..], &["--min", "anomaly=0.25"]].concat());
    assert_eq!((least("told.nc", "no2"), least("told.nc", "anomaly")), (0.0, 0.25));
    let wrong = ["map", &input, "-o", "x.nc", "--min", "no3=0"];
    bench.run(&[&wrong[..], &GRID].concat()).failed(3, &["no variable `no3`", "no2"]);
    let nothing = ["map", &input, "-o", "x.nc", "--max", "no2=-1"];
    bench.run(&[&nothing[..], &GRID].concat()).failed(3, &["there is no value of `no2`"]);
}

#[test]
fn auto_chooses_nothing_where_there_is_nothing_to_choose_by() {
    let bench = Bench::new();
    for n in [1, 2, 5] {
        let text: String = readings(5, 1).lines().take(n + 1).map(|l| format!("{l}\n")).collect();
        let input = bench.file("few.csv", text);
        let report = map(&bench, &input, "few.nc", &["--cache", "none"]);
        assert_eq!(report["methods"][0]["kernel"], "linear");
    }
    let input = bench.file("in.csv", readings(20, 1));
    let compat = ["map", &input, "-o", "x.nc", "--compat", "scipy-rbf"];
    bench.run(&[&compat[..], &GRID].concat()).failed(2, &["name the kernel"]);
}

#[test]
fn stations_left_out_together_are_predicted_by_the_others() {
    let bench = Bench::new();
    let text = noisy();
    let input = bench.file("in.csv", &text);
    let arguments = ["crossval", &input, "--kernel", "linear", "--variable", "temperature"];
    let folds = ["--folds", "4", "--folds", "block:200", "--folds", "town:1", "--folds", "loo"];
    let more = ["--report", "cv.json", "--cache", "none"];
    let told = bench.run(&[&arguments[..], &folds, &more].concat()).succeeded().stdout;
    assert!(told.contains("block:200") && told.contains("nearest"), "{told}");
    let text_of = fs::read_to_string(bench.path("cv.json")).expect("a report");
    let result: Value = serde_json::from_str(&text_of).expect("JSON");
    let of = |folds: &str, method: &str| {
        let rows = result["folds"].as_array().expect("a list");
        let row = rows.iter().find(|r| r["folds"] == folds && r["method"] == method);
        row.expect("a row")["errors"].clone()
    };
    let mae = |folds: &str, method: &str| of(folds, method)["mae"].as_f64().expect("a number");
    // Towns of one station are leave-one-out, which comes by another way.
    let alone = result["report"]["variables"][0]["leave_one_out"]["mae"].as_f64().expect("mae");
    assert!((mae("town:1", "map") - alone).abs() < 1e-8 * alone);
    assert!((mae("loo", "map") - alone).abs() < 1e-8 * alone);
    // A wave: blocks are harder than single stations, the mean is hardest.
    assert!(mae("block:200", "map") > alone && mae("4", "map") < mae("4", "mean"));
    assert_eq!(of("4", "map")["count"], 80);
    let wrong = ["crossval", &input, "--folds", "1"];
    bench.run(&wrong).failed(2, &["folds `1`", "town:KM"]);
}

#[test]
fn kernels_are_compared_each_at_its_best() {
    let bench = Bench::new();
    let input = bench.file("in.csv", noisy());
    let arguments = ["crossval", &input, "--compare", "--variable", "temperature"];
    let told = bench.run(&arguments).succeeded().stdout;
    for kernel in ["linear", "gaussian", "wendland_c4", "quintic"] {
        assert!(told.lines().any(|l| l.contains("temperature") && l.contains(kernel)), "{told}");
    }
    let told = ["crossval", &input, "--compare", "--kernel", "linear"];
    bench.run(&told).failed(2, &["leave --kernel away"]);
}

#[test]
fn two_ranges_and_an_angle_are_in_report_and_file_and_nonsense_is_refused() {
    let bench = Bench::new();
    let input = bench.file("in.csv", noisy());
    let told = ["--kernel", "linear", "--variable", "temperature", "--anisotropy"];
    let report = map(&bench, &input, "told.nc", &[&told[..], &["3:100"]].concat());
    assert_eq!(report["methods"][0]["anisotropy"], "3:100");
    let file = netcdf::open(bench.path("told.nc")).expect("a NetCDF file");
    let attribute = file.attribute("isopleth_anisotropy").expect("it is told").value();
    assert_eq!(attribute.expect("its value"), netcdf::AttributeValue::Str("3:100".into()));
    let plain = map(&bench, &input, "plain.nc", &[&told[..], &["none"]].concat());
    assert!(plain["methods"][0].get("anisotropy").is_none());
    assert_ne!(values(&bench, "told.nc", "temperature"), values(&bench, "plain.nc", "temperature"));
    let arguments = ["map", &input, "-o", "out.nc"];
    bench
        .run(&[&arguments[..], &GRID, &["--anisotropy", "0.5:10"]].concat())
        .failed(2, &["RATIO:ANGLE"]);
    let along = [&arguments[..], &GRID, &["--metric", "great_circle", "--anisotropy", "2:0"]];
    bench.run(&along.concat()).failed(3, &["anisotropy", "great_circle"]);
}
