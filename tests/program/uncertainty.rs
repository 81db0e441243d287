//! How sure a map is, as users ask for it.

use crate::harness::{Bench, readings};

const GRID: [&str; 4] = ["--bounds", "100,30,110,38", "--shape", "41x33"];

fn text_of(file: &netcdf::File, variable: &str, attribute: &str) -> String {
    let variable = file.variable(variable).unwrap_or_else(|| panic!("no variable {variable}"));
    match variable.attribute_value(attribute) {
        Some(Ok(netcdf::AttributeValue::Str(text))) => text,
        other => panic!("{attribute}: {other:?}"),
    }
}

#[test]
fn layers_are_ancillary_variables_of_their_map() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(60, 5));
    let layers = ["--uncertainty", "--exceed", "pm25=40", "--quantile", "0.05,0.95"];
    let all = [&["map", &input, "-o", "out.nc", "--report", "r.json"], &GRID[..], &layers].concat();
    let said = bench.run(&all).succeeded().stdout;
    assert!(said.contains("90 % intervals held, each left out: pm25 "), "{said}");
    let file = netcdf::open(bench.path("out.nc")).expect("a NetCDF file");
    let beside = text_of(&file, "pm25", "ancillary_variables");
    assert_eq!(beside, "pm25_standard_error pm25_exceeds_40 pm25_quantile_0_05 pm25_quantile_0_95");
    assert_eq!(text_of(&file, "pm25_exceeds_40", "units"), "1");
    let values = |name: &str| -> Vec<f64> {
        file.variable(name).expect("the variable").get_values(..).expect("its values")
    };
    let map = values("pm25");
    assert_eq!(map.len(), 5 * 41 * 33);
    for name in beside.split(' ') {
        let layer = values(name);
        assert_eq!(layer.len(), map.len());
        assert!(layer.iter().all(|v| v.abs() < 1e5), "{name}: every cell was written");
    }
    assert!(values("pm25_exceeds_40").iter().all(|p| (0.0..=1.0).contains(p)));
    let report = std::fs::read_to_string(bench.path("r.json")).expect("the report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["uncertainty"]["variables"][0]["count"], 300);
    assert_eq!(report["uncertainty"]["of"], "reading");
}

#[test]
fn places_get_further_columns_and_a_station_no_doubt() {
    let bench = Bench::new();
    let text = readings(60, 1);
    let input = bench.file("in.csv", &text);
    let at = text.lines().nth(1).expect("a station").split(',').collect::<Vec<_>>();
    let places = bench.file("at.csv", format!("lon,lat\n{},{}\n104.5,33.3\n", at[1], at[2]));
    // Through every reading, so that nothing is uncertain at a station.
    let layers = ["--uncertainty", "--exceed", "pm25=40", "--quantile", "0.95"];
    let layers = [&layers[..], &["--kernel", "linear"]].concat();
    let all = [&["points", &input, "--at", &places, "-o", "out.csv", "-q"], &layers[..]].concat();
    bench.run(&all).succeeded();
    let mut table = csv::Reader::from_path(bench.path("out.csv")).expect("a table");
    let header = table.headers().expect("a header").iter().collect::<Vec<_>>().join(",");
    let want = "lon,lat,time,pm25,pm25_standard_error,pm25_exceeds_40,pm25_quantile_0_95";
    assert_eq!(header, want);
    let rows: Vec<csv::StringRecord> = table.records().map(|row| row.expect("a row")).collect();
    let number = |row: usize, column: usize| rows[row][column].parse::<f64>().expect("a number");
    assert_eq!(number(0, 4).to_bits(), 0.0_f64.to_bits());
    assert!(number(1, 4) > 0.0 && number(1, 6) > number(1, 3));
}

/// Rows were repeated, and empty at first, where more fields are solved together than evaluated.
#[test]
fn each_place_has_one_row_a_time_however_many_times_there_are() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(400, 24));
    let places = bench.file("at.csv", "lon,lat\n104.5,33.3\n105,34\n");
    bench.run(&["points", &input, "--at", &places, "-o", "out.csv", "-q"]).succeeded();
    let text = std::fs::read_to_string(bench.path("out.csv")).expect("a table");
    assert_eq!(text.lines().count(), 1 + 2 * 24);
    assert!(text.lines().all(|line| !line.ends_with(',')), "no value is missing");
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(30, 1));
    let refused = |more: &[&str], code, words: &[&str]| {
        let all = [&["map", &input, "-o", "out.nc"], &GRID[..], more].concat();
        bench.run(&all).failed(code, words);
        assert_eq!(bench.names(), ["in.csv"]);
    };
    refused(&["--exceed", "o3=100"], 3, &["no variable `o3`", "pm25"]);
    refused(&["--exceed", "pm25"], 2, &["VARIABLE=VALUE"]);
    refused(&["--quantile", "0.5,1"], 2, &["above 0 and below 1"]);
    refused(&["--uncertainty=all"], 2, &["`reading` nor `field`"]);
    let compat = ["--uncertainty", "--compat", "scipy-rbf", "--kernel", "linear"];
    refused(&compat, 3, &["no covariance", "degree 0"]);
}
