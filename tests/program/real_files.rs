//! Every real file maps with one command. The commands are those of docs/readings.md.

use crate::harness::{Bench, shared};

/// Maps with a small grid and gives the report.
fn report(arguments: &[&str]) -> serde_json::Value {
    let bench = Bench::new();
    let all = [&["map"], arguments, &["-o", "out.nc", "--report", "r.json", "--quiet"]].concat();
    bench.run(&all).succeeded();
    assert!(bench.path("out.nc").exists());
    let text = std::fs::read_to_string(bench.path("r.json")).expect("the report");
    serde_json::from_str(&text).expect("JSON")
}

fn variable<'a>(report: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let variables = report["variables"].as_array().expect("variables");
    variables.iter().find(|v| v["variable"] == name).expect("the variable")
}

const CHINA: [&str; 4] = ["--bounds", "73,18,135,54", "--shape", "140x100"];

#[test]
fn an_hour_of_the_chinese_network() {
    let Some(file) = shared("china_2017-07-07T16.csv") else { return };
    let report = report(&[&[&file, "--zone", "+08:00"], &CHINA[..]].concat());
    assert_eq!(report["readings"]["rows"], 1495);
    assert_eq!(report["network"]["used"], 1493);
    assert_eq!(report["network"]["merged"].as_array().map(Vec::len), Some(2));
    let fields = report["fields"].as_array().expect("fields");
    assert_eq!(fields.len(), 6);
    // 16:00 in China.
    assert_eq!(fields[0]["time"], "2017-07-07T08:00:00Z");
    // Leave-one-out of PM2.5 is about 9 µg/m³ (two 80/20 splits gave an RMSE of 9.29).
    let rmse = variable(&report, "pm25")["leave_one_out"]["rmse"].as_f64().expect("an RMSE");
    assert!((7.0..11.0).contains(&rmse), "{rmse}");
}

#[test]
fn six_hours_of_a_changing_network() {
    let Some(file) = shared("china_network_6_hours.csv") else { return };
    let report = report(&[&[&file, "--zone", "Asia/Shanghai"], &CHINA[..]].concat());
    assert_eq!(report["readings"]["rows"], 8929);
    assert_eq!(report["fields"].as_array().map(Vec::len), Some(36));
    let failed =
        report["fields"].as_array().expect("fields").iter().find(|f| !f["failed"].is_null());
    assert_eq!(failed, None);
}

#[test]
fn a_day_with_stations_as_columns() {
    let (Some(file), Some(places)) =
        (shared("china_sites_20140604.csv"), shared("china_stations.csv"))
    else {
        return;
    };
    let more =
        ["--stations", &places, "--zone", "+08:00", "--variable", "PM2.5", "--variable", "O3"];
    let report = report(&[&[&*file], &more[..], &CHINA[..]].concat());
    assert_eq!(report["fields"].as_array().map(Vec::len), Some(48));
    let lost = report["readings"]["without_place"].as_array().expect("codes").len();
    assert!(lost > 0, "some codes of 2014 have no place in the table");
}

#[test]
fn a_year_of_german_days() {
    let Some(file) = shared("germany_pm10_2005.csv") else { return };
    let report = report(&[&*file, "--bounds", "5,47,16,56", "--resolution", "0.1"]);
    assert_eq!(report["fields"].as_array().map(Vec::len), Some(365));
    assert_eq!(report["variables"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["readings"]["values"], 23230);
}

#[test]
fn two_days_of_airnow_in_long_form() {
    let (Some(file), Some(places)) =
        (shared("airnow_20240417_18.csv.gz"), shared("airnow_stations.csv"))
    else {
        return;
    };
    let more = ["--stations", &places, "--variable", "PM2.5", "--variable", "OZONE"];
    let grid = ["--bounds", "-125,24,-66,50", "--resolution", "0.5"];
    let report = report(&[&[&*file], &more[..], &grid[..]].concat());
    // 48 hours, and a quarter and half past each, when half-hour zones report.
    assert_eq!(report["fields"].as_array().map(Vec::len), Some(288));
}

#[test]
fn a_model_domain_in_projected_kilometres() {
    let Some(file) = shared("europe_pm10_20100406_ctm.csv") else { return };
    let grid = ["--bounds", "2600,1500,5800,4200", "--resolution", "50", "--metric", "planar"];
    let report = report(&[&[&*file, "--variable", "sqrt_pm10_obs"], &grid[..]].concat());
    assert_eq!(report["readings"]["values"], 256);
}

#[test]
fn ship_soundings_are_merged_in_blocks_for_the_direct_solver() {
    let Some(file) = shared("baja_bathymetry.csv.gz") else { return };
    let bench = Bench::new();
    let grid = ["--bounds", "245,20,255,30", "--resolution", "0.1", "-o", "out.nc"];
    bench.run(&[&["map", &*file], &grid[..]].concat()).failed(4, &["number of stations", "thin"]);
    let blocks = ["--thin", "0.2", "--report", "report.json", "-q"];
    bench.run(&[&["map", &*file], &grid[..], &blocks[..]].concat()).succeeded();
    let text = std::fs::read_to_string(bench.path("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["network"]["read"], 80_983);
    assert!(report["network"]["used"].as_u64().is_some_and(|n| n > 1000 && n < 5000));
    let out = bench.run(&["check", &file]).succeeded().stdout;
    assert!(out.contains("bathymetry_m"), "{out}");
}
