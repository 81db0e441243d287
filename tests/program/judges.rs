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
fn averages_over_time_are_accepted() {
    let more = ["--bounds", "100,30,110,38", "--shape", "41x33", "--stamp", "end", "--average"];
    judge("running", &readings(30, 12), &[&more[..], &["8h"]].concat());
    judge("maximum", &readings(30, 24), &[&more[..], &["mda8", "--capture", "0.5"]].concat());
}

#[test]
fn layers_of_uncertainty_are_accepted() {
    // In the long layout, which carries a unit: only then there are standard names.
    let mut text = String::from("station,lon,lat,time,parameter,value,unit\n");
    for line in readings(30, 2).lines().skip(1) {
        let (place, value) = line.rsplit_once(',').expect("a value");
        text.push_str(&format!("{place},PM2.5,{value},ug/m3\n"));
    }
    let layers = ["--uncertainty", "--exceed", "PM2.5=35.5", "--quantile", "0.05,0.95"];
    let grid = ["--bounds", "100,30,110,38", "--shape", "41x33"];
    judge("layers", &text, &[&grid[..], &layers].concat());
}

#[test]
fn a_planar_map_is_accepted() {
    let text = readings(30, 1).replace("station,lon,lat", "station,x,y");
    let more = ["--bounds", "100,30,110,38", "--shape", "41x33", "--metric", "planar"];
    judge("planar", &text, &more);
}

#[test]
fn maps_in_a_plane_are_accepted() {
    let lambert = "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=34 +lon_0=105 +datum=WGS84";
    let more = ["--bounds", "-400000,-300000,400000,300000", "--shape", "41x31", "--mask", "land"];
    judge("lambert", &readings(30, 2), &[&more[..], &["--crs", lambert]].concat());
    let more = ["--bounds", "200000,3400000,800000,4000000", "--resolution", "20000"];
    judge("utm", &readings(30, 2), &[&more[..], &["--crs", "EPSG:32648"]].concat());
    let equal = "+proj=laea +lat_0=30 +lon_0=100 +x_0=1e6 +R=6371229";
    let more = ["--bounds", "800000,800000,1200000,1200000", "--shape", "21x21", "--crs", equal];
    judge("laea", &readings(30, 1), &[&more[..], &["--registration", "pixel"]].concat());
    let stereo = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=100 +datum=WGS84";
    let more = ["--bounds", "-400000,-7000000,400000,-6000000", "--shape", "9x11"];
    judge("polar", &readings(30, 1), &[&more[..], &["--crs", stereo]].concat());
}

#[test]
fn a_map_with_a_rotated_pole_is_accepted() {
    let rotated = "+proj=ob_tran +o_proj=longlat +o_lat_p=56 +o_lon_p=0 +lon_0=105";
    let more = ["--bounds", "-4,-3,4,3", "--shape", "41x31", "--crs", rotated];
    judge("rotated", &readings(30, 2), &more);
}
