//! A short form of the simulated year (`make year`): hours that are missing, late, corrected, come again or are of too few
//! stations, with two crashes and, as root, a full disk.

use std::process::Command;

use crate::harness::{outcome, program, root};

#[test]
fn every_hour_of_a_short_year_ends_as_it_must_whatever_happens() {
    let Some(python) = std::env::var_os("ISOPLETH_PYTHON") else {
        eprintln!("skipped: ISOPLETH_PYTHON names no Python that reads NetCDF; `make test` does");
        return;
    };
    let run = Command::new(python)
        .arg(root().join("benches/year/run.py"))
        .arg("--program")
        .arg(program())
        .args(["--hours", "120", "--seed", "7"])
        .output();
    let run = outcome(run);
    // Where there is no C compiler it says so, and that it is skipped.
    eprintln!("{}", run.stdout.lines().last().unwrap_or_default());
    assert_eq!(run.code, 0, "{}\n{}", run.stdout, run.stderr);
}
