//! Readings mapped in another form: what is told, what is refused, what the file says.

use std::fs;

use serde_json::Value;

use crate::harness::{Bench, readings};

const GRID: [&str; 4] = ["--bounds", "100,30,110,38", "--shape", "41x33"];

fn arguments<'a>(input: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["map", input, "-o", "out.nc", "--report", "report.json"], &GRID[..], more].concat()
}

#[test]
fn report_and_file_say_how_readings_were_mapped() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(40, 1));
    let told = ["--kernel", "linear", "--transform", "pm25=boxcox:0.3:1.5", "--back", "median"];
    bench.run(&arguments(&input, &told)).succeeded();
    let text = fs::read_to_string(bench.path("report.json")).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let methods = report["methods"].as_array().expect("a list");
    let of = methods.iter().find(|m| m["transform"] == "boxcox:0.3:1.5").expect("the method");
    assert_eq!(of["back_transform"], "median");
    let file = netcdf::open(bench.path("out.nc")).expect("a NetCDF file");
    let map = file.variable("pm25").expect("the variable");
    let text = |name: &str| String::try_from(map.attribute_value(name).expect(name).expect(name));
    assert_eq!(text("transform").expect("text"), "boxcox");
    assert_eq!(text("back_transform").expect("text"), "median");
    let number = |name: &str| f64::try_from(map.attribute_value(name).expect(name).expect(name));
    assert_eq!(number("transform_lambda").expect("a number"), 0.3);
    assert_eq!(number("transform_offset").expect("a number"), 1.5);
}

#[test]
fn what_may_be_negative_is_not_transformed_and_nonsense_is_refused() {
    let bench = Bench::new();
    let cold = readings(20, 1).replacen("pm25", "temperature", 1);
    let input = bench.file("in.csv", cold);
    let told = ["--transform", "sqrt"];
    bench.run(&arguments(&input, &told)).failed(3, &["temperature may be negative", "least value"]);
    let bounded = ["--transform", "sqrt", "--min", "0", "--kernel", "linear"];
    bench.run(&arguments(&input, &bounded)).succeeded();
    let other = ["--transform", "pm10=sqrt"];
    bench.run(&arguments(&input, &other)).failed(3, &["no variable `pm10`", "temperature"]);
    for nonsense in ["cbrt", "log:0", "boxcox:-1"] {
        bench.run(&arguments(&input, &["--transform", nonsense])).failed(2, &["transform"]);
    }
    bench.run(&arguments(&input, &["--back", "mode"])).failed(2, &["mean", "median"]);
}

#[test]
fn beside_a_background_or_a_covariate_a_told_transform_is_refused_and_none_is_chosen() {
    let bench = Bench::new();
    let mut text = String::from("station,lon,lat,time,pm25,model,height\n");
    for (k, row) in readings(60, 12).lines().skip(1).enumerate() {
        let (head, value) = row.rsplit_once(',').expect("a row");
        let value: f64 = value.parse().expect("a number");
        // Skewed, so that it would be transformed.
        let (reading, station) = ((value / 8.0).exp(), k % 60);
        text.push_str(&format!("{head},{reading},20,{}\n", station * station % 97));
    }
    let input = bench.file("in.csv", text);
    let crossval = ["crossval", &input, "--variable", "pm25", "--report", "cv.json"];
    let methods = |more: &[&str]| -> Vec<String> {
        bench.run(&[&crossval[..], &["--cache", "none"], more].concat()).succeeded();
        let text = fs::read_to_string(bench.path("cv.json")).expect("a report");
        let report: Value = serde_json::from_str(&text).expect("JSON");
        let methods = report["report"]["methods"].as_array().expect("a list").clone();
        methods.iter().map(|m| m["transform"].as_str().expect("a name").to_owned()).collect()
    };
    assert_ne!(methods(&[]), ["none"], "alone it is");
    for (beside, words) in [
        (["--background-column", "model"], ["a background (column model)", "pm25=none"]),
        (["--covariate", "height"], ["covariates (height)", "pm25=none"]),
    ] {
        for told in ["sqrt", "pm25=log"] {
            let told = ["--transform", told];
            let run = bench.run(&[&crossval[..], &beside, &told].concat());
            run.failed(3, &["pm25 cannot be transformed", words[0], words[1]]);
        }
        let none = ["--transform", "pm25=none"];
        assert_eq!(methods(&[&beside[..], &none].concat()), ["none"]);
        assert_eq!(methods(&beside), ["none"]);
    }
}

#[test]
fn errors_at_stations_left_out_are_those_of_the_transformed_map() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(60, 1));
    let of = |transform: &str| {
        let arguments = ["crossval", &input, "--kernel", "linear", "--transform", transform];
        let more = ["--folds", "town:1", "--report", "cv.json", "--cache", "none"];
        bench.run(&[&arguments[..], &more].concat()).succeeded();
        let text = fs::read_to_string(bench.path("cv.json")).expect("a report");
        let result: Value = serde_json::from_str(&text).expect("JSON");
        let alone = result["report"]["variables"][0]["leave_one_out"]["mae"].as_f64();
        let folds = result["folds"].as_array().expect("a list");
        let map = folds.iter().find(|r| r["method"] == "map").expect("a row");
        (alone.expect("a number"), map["errors"]["mae"].as_f64().expect("a number"))
    };
    let ((plain, _), (log, towns)) = (of("none"), of("log"));
    assert!(plain != log, "{plain}");
    // Towns of one station: the law is of the others then, a sixtieth less.
    assert!((towns - log).abs() < 0.02 * log, "{towns} {log}");
}
