//! Other people's programs read our files: compliance-checker, xarray, ncdump, nccopy, CDO and GDAL.
//!
//! `make test` installs them and says where their Python is; without, this is skipped aloud.

use std::process::Command;

use crate::harness::{Bench, outcome, readings, root};

fn judge(name: &str, readings: &str, arguments: &[&str]) {
    let Some(python) = std::env::var_os("ISOPLETH_PYTHON") else {
        eprintln!("skipped: ISOPLETH_PYTHON names no Python with the judges; `make test` does");
        return;
    };
    let bench = Bench::new();
    let input = bench.file("in.csv", readings);
    let file = format!("{name}.nc");
    bench.run(&[&["map", &input, "-o", &file], arguments].concat()).succeeded();
    let script = root().join("tests/judges/netcdf_judges.py");
    let verdict = Command::new(python).arg(script).arg(bench.path(&file)).output();
    let verdict = outcome(verdict);
    assert_eq!(verdict.code, 0, "{}\n{}", verdict.stdout, verdict.stderr);
}

#[test]
fn a_map_on_the_sphere_is_accepted() {
    judge("sphere", &readings(30, 3), &["--bounds", "100,30,110,38", "--shape", "41x33"]);
}

#[test]
fn a_map_with_flagged_and_rejected_readings_is_accepted() {
    // Out of range, and far from its neighbours.
    let text = readings(30, 3)
        .lines()
        .enumerate()
        .map(|(k, line)| match (k, line.rsplit_once(',')) {
            (7, Some((head, _))) => format!("{head},-500\n"),
            (40, Some((head, _))) => format!("{head},900\n"),
            _ => format!("{line}\n"),
        })
        .collect::<String>();
    let grid = ["--bounds", "100,30,110,38", "--shape", "41x33"];
    judge("flagged", &text, &grid);
    judge("rejected", &text, &[&grid[..], &["--reject", "suspect"]].concat());
    judge("plain_flags", &text, &[&grid[..], &["--compress", "none"]].concat());
}

#[test]
fn a_map_in_64_bits_across_the_date_line_is_accepted() {
    let more = ["--bounds", "170,-60,-170,-40", "--shape", "41x21", "--precision", "f64"];
    judge("dateline", &readings(30, 1), &more);
}

#[test]
fn pixels_from_north_to_south_are_accepted() {
    let more = ["--bounds", "100,38,110,30", "--shape", "300x200", "--registration", "pixel"];
    judge("pixels", &readings(30, 2), &more);
}

#[test]
fn a_plain_map_and_a_small_one_are_accepted() {
    let more = ["--bounds", "100,30,110,38", "--shape", "200x150", "--compress"];
    judge("plain", &readings(30, 2), &[&more[..], &["none", "--digits", "exact"]].concat());
    judge("small", &readings(30, 2), &[&more[..], &["small", "--digits", "2"]].concat());
}

#[test]
fn a_map_without_time_is_accepted() {
    let text: String = readings(30, 1).replace(",time", "").replace(",2026-01-01T00:00:00Z", "");
    judge("timeless", &text, &["--bounds", "100,30,110,38", "--shape", "41x33"]);
}

#[test]
fn a_planar_map_is_accepted() {
    let text = readings(30, 1).replace("station,lon,lat", "station,x,y");
    let more = ["--bounds", "100,30,110,38", "--shape", "41x33", "--metric", "planar"];
    judge("planar", &text, &more);
}
