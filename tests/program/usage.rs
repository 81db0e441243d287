//! The account of a service that was used, stopped and started again, as `isopleth usage` and DuckDB tell it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Bench, outcome, readings, root};
use crate::serve::Service;

const GRID: &str = "bounds=100,30,110,38";

fn ask(service: &Service, path: &str, more: &[(&str, &str)], body: &str) -> u16 {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = agent.post(service.url(path)).header("content-type", "text/csv");
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    request.send(body.as_bytes()).expect("an answer").status().as_u16()
}

/// A few requests of every kind.
fn use_it(service: &Service) {
    let table = readings(40, 2);
    for (query, expected) in [
        ("shape=51x41&kernel=linear", 200),
        ("shape=21x17&kernel=thin_plate_spline&uncertainty=reading", 200),
        ("shape=101x81&kernel=cubic&mask=land", 200),
        ("shape=31x27&min=0&keep=true", 200),
        ("shape=51x41&kernel=cubist", 422),
        ("shape=99999x99999", 413),
    ] {
        assert_eq!(
            ask(service, &format!("/v1/maps?{GRID}&{query}"), &[], &table),
            expected,
            "{query}"
        );
    }
    assert_eq!(ask(service, "/v1/crossvalidations?kernel=linear", &[], &table), 200);
    let job = [("prefer", "respond-async")];
    assert_eq!(ask(service, &format!("/v1/maps?{GRID}&shape=21x17"), &job, &table), 201);
    until("the job has ended", || {
        let mut answer = ureq::get(service.url("/v1/jobs")).call().expect("jobs");
        let text = answer.body_mut().read_to_string().expect("text");
        text.contains("\"successful\"")
    });
}

/// The limit only ends a test that has failed.
fn until(what: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(120), "waiting until {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn judge(python: &std::ffi::OsStr, arguments: &[&str]) -> String {
    let script = root().join("tests/judges/usage_judge.py");
    let verdict = outcome(Command::new(python).arg(script).args(arguments).output());
    assert_eq!(verdict.code, 0, "{}\n{}", verdict.stdout, verdict.stderr);
    verdict.stdout
}

fn files(folder: &Path) -> usize {
    let Ok(days) = std::fs::read_dir(folder.join("usage")) else { return 0 };
    let days = days.filter_map(|day| std::fs::read_dir(day.ok()?.path()).ok());
    days.flat_map(|files| files.filter_map(Result::ok))
        .filter(|file| file.file_name() == "part.parquet")
        .count()
}

#[test]
fn duckdb_reads_the_files_of_a_service_and_says_what_isopleth_usage_says() {
    let Some(python) = std::env::var_os("ISOPLETH_PYTHON") else {
        eprintln!("skipped: ISOPLETH_PYTHON names no Python with the judges; `make test` does");
        return;
    };
    let bench = Bench::new();
    let data = bench.path("data");
    let service = Service::with(&bench, &[]);
    use_it(&service);
    assert_eq!(service.stop(), 0);
    let today = bench.run(&["usage", "--json"]).succeeded().stdout;
    let today: Value = serde_json::from_str(&today).expect("JSON");
    assert_eq!((&today["all"]["runs"], &today["all"]["successful"]), (&8.into(), &6.into()));

    judge(&python, &["move", &bench.text("data/isopleth.sqlite3")]);
    let service = Service::with(&bench, &[]);
    until("three days are in files", || files(&data) == 3);
    until("their counts are compared", || service.log().matches("reconciled").count() == 3);
    assert_eq!(service.stop(), 0);
    let days = ["usage", "--from", "2026-03-01", "--to", "2026-03-03"];
    let told = bench.run(&[&days[..], &["--json", "--top", "1000"]].concat()).succeeded().stdout;
    let summary = bench.file("usage.json", &told);
    let page = root().join("docs/account.md");
    let folder = bench.text("data");
    judge(&python, &["compare", &folder, page.to_str().expect("UTF-8"), &summary]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["all"]["runs"], 150 * 8);

    // Each end of the range counts, and so does a part of it.
    let runs = |more: &[&str]| -> i64 {
        let told = bench.run(&[&["usage", "--json"], more].concat()).succeeded().stdout;
        let told: Value = serde_json::from_str(&told).expect("JSON");
        told["all"]["runs"].as_i64().expect("a number")
    };
    let each = ["01", "02", "03"].map(|day| {
        let day = format!("2026-03-{day}");
        runs(&["--from", &day, "--to", &day])
    });
    assert!(each.iter().all(|day| *day > 0) && each.iter().sum::<i64>() == 1200, "{each:?}");
    let by = bench.run(&[&days[..], &["--by", "day"]].concat()).succeeded().stdout;
    assert_eq!(by.lines().count(), 4, "{by}");
    let text = bench.run(&days).succeeded().stdout;
    for words in
        ["1200 ends", "kernel", "key:4", "meaningless", "predicted / actual", "used together"]
    {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
    let reconciled = bench.run(&[&days[..], &["--reconcile"]].concat()).succeeded().stdout;
    assert!(reconciled.lines().skip(1).all(|line| line.ends_with(" 0")), "{reconciled}");
    std::fs::remove_file(data.join("usage/dt=2026-03-02/part.parquet")).expect("a file");
    bench.run(&[&days[..], &["--reconcile"]].concat()).failed(5, &["2026-03-02", "differ"]);
}

#[test]
fn days_and_folders_that_make_no_sense_are_told() {
    let bench = Bench::new();
    bench.run(&["usage"]).failed(2, &["no database of a service", "--data-dir"]);
    bench.run(&["keys", "list"]).succeeded();
    bench.run(&["usage"]).succeeded();
    bench.run(&["usage", "--from", "2026-03-02", "--to", "2026-03-01"]).failed(2, &["after"]);
    bench.run(&["usage", "--from", "soon"]).failed(2, &["soon"]);
    bench.run(&["usage", "--by", "weather"]).failed(2, &["weather", "kernel"]);
}
