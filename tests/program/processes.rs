//! Processes of a running service under the eyes of other people's programs: OWSLib, openapi-spec-validator, jsonschema.

use std::process::Command;

use crate::harness::{Bench, outcome, root};
use crate::serve::Service;

#[test]
fn clients_of_the_standard_run_every_process() {
    let Some(python) = std::env::var_os("ISOPLETH_PYTHON") else {
        eprintln!("skipped: ISOPLETH_PYTHON names no Python with the judges; `make test` does");
        return;
    };
    let bench = Bench::new();
    let service = Service::with(&bench, &[]);
    let script = root().join("tests/judges/ogc_judges.py");
    let verdict = outcome(Command::new(python).arg(script).arg(service.url("")).output());
    assert_eq!(verdict.code, 0, "{}\n{}", verdict.stdout, verdict.stderr);
    assert_eq!(service.stop(), 0);
}
