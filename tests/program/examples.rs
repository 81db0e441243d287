//! The Rust programs under `examples/` run and do what they say.

use std::process::Command;

use crate::harness::{Bench, Outcome, outcome, program, readings};

/// Runs an example, which `cargo test` has built beside the program.
fn example(name: &str, bench: &Bench) -> Outcome {
    example_with(name, bench, &[])
}

fn example_with(name: &str, bench: &Bench, words: &[&str]) -> Outcome {
    let path = program().parent().expect("a folder").join("examples").join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --examples`", path.display());
    outcome(Command::new(path).args(words).current_dir(bench.path(".")).output()).succeeded()
}

#[test]
fn stations_become_a_netcdf_file() {
    let bench = Bench::new();
    example("stations_to_netcdf", &bench);
    let file = netcdf::open(bench.path("stations.nc")).expect("a NetCDF file");
    assert_eq!(file.variable("pm25").map(|v| v.len()), Some(120 * 80));
}

#[test]
fn many_time_steps_share_one_network() {
    let bench = Bench::new();
    let out = example("many_time_steps", &bench).stdout;
    assert!(out.contains("48 fields"), "{out}");
}

#[test]
fn missing_readings_are_a_smaller_network() {
    let bench = Bench::new();
    let out = example("missing_readings", &bench).stdout;
    assert!(out.contains("largest difference"), "{out}");
}

/// What `make bench` runs, small.
#[test]
fn the_timers_evaluate_what_they_time() {
    let bench = Bench::new();
    let json =
        |out: Outcome| -> serde_json::Value { serde_json::from_str(&out.stdout).expect("JSON") };
    let told = json(example_with("many_stations", &bench, &["6000", "2", "300", "200", "8"]));
    assert!(told["error"].as_f64().is_some_and(|error| error > 0.0 && error < 1e-5), "{told}");
    let input = bench.file("in.csv", readings(30, 2));
    let words = [&*input, "140", "120", "multiquadric", "0.01", "chordal", "1e-6", "1"];
    let told = json(example_with("time_map", &bench, &words));
    assert_eq!(told["fields"].as_array().map(Vec::len), Some(2));
    assert!(told["stages"].as_array().is_some_and(|stages| stages.len() > 2), "{told}");
}

/// A map of one network after the other, as the service makes them: a file like any other.
#[test]
fn the_maps_of_one_network_are_whole_files() {
    let bench = Bench::new();
    for method in ["auto", "linear"] {
        let out = example_with("one_network", &bench, &["3", method, "1e-6", "map.nc"]).stdout;
        assert!(out.contains("4 run: Evaluate"), "{out}");
        let file = netcdf::open(bench.path("map.nc")).expect("a NetCDF file");
        assert_eq!(file.variable("pm25").map(|v| v.len()), Some(200 * 150));
    }
}
