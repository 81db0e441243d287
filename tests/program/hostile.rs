//! The service among people who mean no good, and under the eyes of other people's programs: schemathesis, promtool.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::{Bench, outcome, program, readings, root};
use crate::serve::Service;

#[test]
fn hostile_requests_are_answered_and_leave_no_trace() {
    let script = root().join("benches/hostile/run.py");
    let mut command = Command::new("python3");
    command.arg(script).arg("--program").arg(program()).args(["--requests", "2000"]);
    let run = outcome(command.output());
    assert_eq!(run.code, 0, "{}\n{}", run.stdout, run.stderr);
}

#[test]
fn every_route_answers_as_it_is_described() {
    let Some(schemathesis) = std::env::var_os("ISOPLETH_SCHEMATHESIS") else {
        eprintln!("skipped: ISOPLETH_SCHEMATHESIS names no schemathesis; `make test` does");
        return;
    };
    let bench = Bench::new();
    let small = [("ISOPLETH_SERVE_MAX_CELLS", "10000"), ("ISOPLETH_SERVE_BODY_READ_SECONDS", "5")];
    let service = Service::with(&bench, &small);
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
                  response_headers_conformance,response_schema_conformance";
    let mut command = Command::new(schemathesis);
    command.args(["run", &service.url("/openapi.json"), "--checks", checks, "--seed", "1"]);
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "10"]);
    command.args(["--suppress-health-check", "all"]).current_dir(bench.path("."));
    let run = outcome(command.output());
    assert_eq!(run.code, 0, "{}\n{}", run.stdout, run.stderr);
    assert!(!service.log().contains("panicked"), "{}", service.log());
    assert_eq!(service.stop(), 0);
}

#[test]
fn promtool_finds_nothing_to_say_about_the_metrics() {
    if Command::new("promtool").arg("--version").output().is_err() {
        eprintln!("skipped: promtool is not here; `make test` fetches it");
        return;
    }
    let bench = Bench::new();
    let service = Service::with(&bench, &[]);
    let map = service.url("/v1/maps?bounds=100,30,110,38&shape=21x17&kernel=linear");
    let posted = ureq::post(map).header("content-type", "text/csv");
    posted.send(readings(20, 2).as_bytes()).expect("a map");
    let mut answer = ureq::get(service.url("/metrics")).call().expect("metrics");
    let text = answer.body_mut().read_to_string().expect("text");
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it is here");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let said = outcome(child.wait_with_output());
    let words = format!("{}{}", said.stdout, said.stderr);
    assert!(said.code == 0 && words.trim().is_empty(), "{words}\n{text}");
    assert_eq!(service.stop(), 0);
}
