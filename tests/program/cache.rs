//! What is kept from run to run changes no bit, and what spoils it costs no map.

use std::fs;

use crate::harness::{Bench, Outcome, readings};

/// Maps with a folder of factorisations; the bytes of the map's variable are what `values` says.
fn map(bench: &Bench, output: &str, folder: &str) -> Outcome {
    let input = bench.file("in.csv", readings(150, 3));
    let arguments =
        ["map", &input, "-o", output, "--bounds", "100,30,110,38", "--shape", "200x150"];
    let more = ["--precision", "f64", "--report", "report.json", "--cache", folder];
    let more = [&more[..], &["--kernel", "linear"]].concat();
    bench.run(&[&arguments[..], &more].concat()).succeeded()
}

fn origin(bench: &Bench) -> String {
    let text = fs::read_to_string(bench.path("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    report["methods"][0]["factor"].as_str().expect("where the factorisation came from").to_owned()
}

fn values(bench: &Bench, name: &str) -> Vec<u64> {
    let file = netcdf::open(bench.path(name)).expect("a NetCDF file");
    let values: Vec<f64> =
        file.variable("pm25").expect("the variable").get_values(..).expect("its values");
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn the_next_run_takes_up_the_factorisation_and_makes_the_same_map() {
    let bench = Bench::new();
    map(&bench, "first.nc", "kept");
    assert_eq!(origin(&bench), "computed");
    map(&bench, "second.nc", "kept");
    assert_eq!(origin(&bench), "disk");
    assert_eq!(values(&bench, "first.nc"), values(&bench, "second.nc"));

    let list = bench.run(&["cache", "list", "--cache", "kept"]).succeeded().stdout;
    assert!(list.contains("150 stations, linear, epsilon 1, degree 0, chordal"), "{list}");
    let size = bench.run(&["cache", "size", "--cache", "kept"]).succeeded().stdout;
    assert!(size.contains("in 1 files"), "{size}");
    let clear = bench.run(&["cache", "clear", "--cache", "kept"]).succeeded().stdout;
    assert!(clear.starts_with("removed 1 files"), "{clear}");
    map(&bench, "third.nc", "kept");
    assert_eq!(origin(&bench), "computed");
}

#[test]
fn a_damaged_factorisation_is_made_anew() {
    let bench = Bench::new();
    map(&bench, "first.nc", "kept");
    let file = fs::read_dir(bench.path("kept")).expect("the folder").next().expect("a file");
    let path = file.expect("a file").path();
    let mut bytes = fs::read(&path).expect("its bytes");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("a file of ours");
    map(&bench, "second.nc", "kept");
    assert_eq!(origin(&bench), "computed");
    assert_eq!(values(&bench, "first.nc"), values(&bench, "second.nc"));
}

#[test]
fn a_folder_that_cannot_be_is_told() {
    let bench = Bench::new();
    bench.file("in.csv", readings(20, 1));
    bench.file("file", "not a folder");
    let arguments =
        ["map", "in.csv", "-o", "out.nc", "--bounds", "100,30,110,38", "--shape", "9x9"];
    let outcome = bench.run(&[&arguments[..], &["--cache", "file"]].concat());
    outcome.failed(5, &["cannot use the cache file"]);
    assert!(!bench.path("out.nc").exists());
    bench.run(&["cache", "list", "--cache", "none"]).failed(2, &["--cache DIR"]);
}

/// σ on the grid comes from before, also for readings of another hour.
#[test]
fn the_next_run_takes_up_the_deviations_and_makes_the_same_layers() {
    let bench = Bench::new();
    bench.file("in.csv", readings(150, 3));
    let map = |output: &str, cache: &str| {
        let arguments = ["map", "in.csv", "-o", output, "--bounds", "100,30,110,38", "--shape"];
        let more = ["200x150", "--kernel", "linear", "--uncertainty", "--cache", cache];
        let more = [&more[..], &["--report", "report.json"]].concat();
        bench.run(&[&arguments[..], &more].concat()).succeeded();
        let text = fs::read_to_string(bench.path("report.json")).expect("a report");
        let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        report["uncertainty"]["mesh"].as_str().expect("where it came from").to_owned()
    };
    let layer = |name: &str| -> Vec<u64> {
        let file = netcdf::open(bench.path(name)).expect("a NetCDF file");
        let layer = file.variable("pm25_standard_error").expect("the layer");
        let values: Vec<f64> = layer.get_values(..).expect("its values");
        values.iter().map(|v| v.to_bits()).collect()
    };
    let origins = [map("first.nc", "kept"), map("second.nc", "kept"), map("third.nc", "none")];
    assert_eq!(origins, ["computed", "disk", "computed"]);
    assert_eq!(layer("first.nc"), layer("second.nc"));
    assert_eq!(layer("first.nc"), layer("third.nc"));
    let list = bench.run(&["cache", "list", "--cache", "kept"]).succeeded().stdout;
    assert!(list.contains("deviation of 150 stations on 200 x 150 cells, linear"), "{list}");
    let clear = bench.run(&["cache", "clear", "--cache", "kept"]).succeeded().stdout;
    assert!(clear.starts_with("removed 2 files"), "{clear}");
}
