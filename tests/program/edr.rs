//! Collections of a running service under the eyes of other people's programs: OWSLib, edr-pydantic, covjson-pydantic.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Bench, outcome, readings, root};
use crate::serve::Service;

fn json(answer: &mut ureq::http::Response<ureq::Body>) -> serde_json::Value {
    let text = answer.body_mut().read_to_string().expect("a text");
    serde_json::from_str(&text).expect("JSON")
}

/// Has a map made by a job, and waits for it.
fn kept(service: &Service, query: &str, table: &str) {
    let mut answer = ureq::post(service.url(&format!("/v1/maps?{query}")))
        .header("content-type", "text/csv")
        .header("prefer", "respond-async")
        .send(table.as_bytes())
        .expect("a job");
    let job = json(&mut answer);
    let path = service.url(&format!("/v1/jobs/{}", job["id"].as_str().expect("a name")));
    let begin = Instant::now();
    loop {
        let mut answer = ureq::get(&path).call().expect("a job");
        let status = json(&mut answer);
        if status["status"] == "successful" {
            return;
        }
        // The limit only ends a test that has failed.
        assert!(begin.elapsed() < Duration::from_secs(120), "{status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn clients_of_the_standard_read_the_collections() {
    let Some(python) = std::env::var_os("ISOPLETH_PYTHON") else {
        eprintln!("skipped: ISOPLETH_PYTHON names no Python with the judges; `make test` does");
        return;
    };
    let bench = Bench::new();
    let service = Service::with(&bench, &[]);
    let grid = "bounds=100,30,110,38&shape=51x41&uncertainty=reading";
    let table = readings(40, 4);
    for hour in ["00", "01"] {
        kept(&service, &format!("{grid}&time=2026-01-01T{hour}"), &table);
    }
    kept(&service, &format!("{grid}&time=2026-01-01T02/2026-01-01T03"), &table);
    let script = root().join("tests/judges/edr_judges.py");
    let mut command = Command::new(python);
    command.arg(script).arg(service.url("")).args(["maps", "pm25"]);
    let verdict = outcome(command.args(["104.33,34.21", "102.05,31.05,106.05,35.05"]).output());
    assert_eq!(verdict.code, 0, "{}\n{}", verdict.stdout, verdict.stderr);
    assert_eq!(service.stop(), 0);
}
