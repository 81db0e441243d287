//! The Rust programs under `examples/` run and do what they say.

use std::process::Command;

use crate::harness::{Bench, Outcome, outcome, program};

/// Runs an example, which `cargo test` has built beside the program.
fn example(name: &str, bench: &Bench) -> Outcome {
    let path = program().parent().expect("a folder").join("examples").join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --examples`", path.display());
    outcome(Command::new(path).current_dir(bench.path(".")).output()).succeeded()
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
