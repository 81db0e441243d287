//! Peak memory as the program and the service tell it, beside what the kernel says (docs/memory.md).

use std::process::Command;

use serde_json::Value;

use crate::harness::{Bench, outcome, program, readings, root};
use crate::serve::Service;

/// The kernel keeps its own counters of pages in batches of each processor, and what is told was looked up up to 5 ms before
/// the end: a map that is large enough is known to 5 %.
fn near(what: &str, told: f64, kernel: f64) {
    let off = (told - kernel).abs() / kernel;
    assert!(off <= 0.05, "{what}: {told} is told, the kernel says {kernel}");
}

#[test]
fn the_peak_in_the_report_is_the_kernels_own() {
    let Some(python) = std::env::var_os("ISOPLETH_PYTHON") else {
        eprintln!("skipped: ISOPLETH_PYTHON names no Python with the judges; `make test` does");
        return;
    };
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(1800, 8));
    let script = root().join("tests/judges/memory_judge.py");
    let mut command = Command::new(python);
    command.arg(script).arg(program()).args(["map", &input, "-o", &bench.text("map.nc")]);
    command.args(["--bounds", "100,30,110,38", "--shape", "701x601", "--kernel", "linear"]);
    command.args(["--cache", "none", "--quiet", "--report", &bench.text("report.json")]);
    let told = outcome(command.current_dir(bench.path("")).output());
    assert_eq!(told.code, 0, "{}", told.stderr);
    let kernel: Value = serde_json::from_str(told.stdout.trim()).expect("JSON");
    assert_eq!(kernel["code"], 0, "{}", told.stderr);
    let report = std::fs::read_to_string(bench.path("report.json")).expect("the report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let peak = report["peak_memory_bytes"].as_f64().expect("bytes");
    assert!(peak > 5e7, "{peak} bytes are too few to tell");
    for how in ["rusage", "vmhwm"] {
        near(how, peak, kernel[how].as_f64().expect("bytes"));
    }
}

#[test]
fn the_peak_in_a_row_and_in_the_metrics_is_the_kernels_own() {
    let bench = Bench::new();
    let service = Service::with(&bench, &[]);
    let path = "/v1/maps?bounds=100,30,110,38&shape=701x601&kernel=linear";
    let mut answer = ureq::post(service.url(path))
        .header("content-type", "text/csv")
        .send(readings(1800, 4).as_bytes())
        .expect("a map");
    std::io::copy(&mut answer.body_mut().as_reader(), &mut std::io::sink()).expect("the file");
    let mut answer = ureq::get(service.url("/metrics")).call().expect("the figures");
    let metrics = answer.body_mut().read_to_string().expect("text");
    let line = metrics.lines().find(|line| line.starts_with("isopleth_memory_peak_bytes "));
    let told = line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("a number");
    near("/metrics", told, service.peak_bytes() as f64);
    let kernel = service.peak_bytes() as f64;
    assert_eq!(service.stop(), 0);
    let found = bench.run(&["usage", "--json"]).succeeded().stdout;
    let found: Value = serde_json::from_str(&found).expect("JSON");
    near("the row", found["peak_bytes"].as_f64().expect("bytes"), kernel);
    // It raised the peak, so that what was predicted can be compared.
    assert_eq!(found["predicted_bytes"]["runs"], 1, "{found}");
}
