//! `isopleth correlation`: a table of pairs and a picture.

use crate::harness::{Bench, readings, shared};

#[test]
fn a_table_of_pairs_and_a_picture_are_written() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(12, 20));
    let arguments = ["correlation", &input, "-o", "pairs.csv", "--picture", "pairs.svg"];
    let all = [&arguments[..], &["--least-pairs", "10"]].concat();
    let out = bench.run(&all).succeeded().stdout;
    assert!(out.contains("pm25: 66 pairs") && out.contains("median correlation"), "{out}");
    let table = std::fs::read_to_string(bench.path("pairs.csv")).expect("the table");
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let header: Vec<&str> = rows.headers().expect("a header").iter().collect::<Vec<_>>();
    let want = ["variable", "station_a", "station_b", "distance_km", "readings", "correlation"];
    assert_eq!(header, want);
    let rows: Vec<_> = rows.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), 12 * 11 / 2);
    assert_eq!((&rows[0][1], &rows[0][2], &rows[0][4]), ("s000", "s001", "20"));
    for row in &rows {
        let number = |k: usize| row[k].parse::<f64>().expect("a number");
        assert!(number(3) > 0.0 && number(3) < 1500.0 && number(5).abs() <= 1.0, "{row:?}");
    }
    let svg = std::fs::read_to_string(bench.path("pairs.svg")).expect("the picture");
    assert!(svg.starts_with("<svg") && svg.contains("pm25: 66 pairs of stations"));
    // With the default of 30 common readings nothing is left, and that is told.
    let out = bench.run(&arguments).succeeded().stdout;
    assert!(out.contains("pm25: 0 pairs; left out 66 with too few common readings"), "{out}");
}

#[test]
fn the_table_does_not_depend_on_the_memory_and_goes_to_standard_output_too() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(15, 40));
    let table = |more: &[&str]| {
        bench.run(&[&["correlation", &*input, "-o", "-"], more].concat()).succeeded().stdout
    };
    assert_eq!(table(&[]), table(&["--memory", "1kB", "--threads", "1"]));
}

#[test]
fn what_makes_no_sense_is_told_and_leaves_nothing() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(5, 3));
    let with =
        |more: &[&str]| bench.run(&[&["correlation", &*input, "-o", "pairs.csv"], more].concat());
    with(&["--picture", "pairs.png"]).failed(2, &["SVG", "pairs.png"]);
    with(&["--within", "0"]).failed(2, &["--within", "positive"]);
    with(&["--least-pairs", "1"]).failed(2, &["at least 2"]);
    with(&["--variable", "o3"]).failed(3, &["o3"]);
    assert_eq!(bench.names(), ["in.csv"]);
}

#[test]
fn a_year_of_german_days_correlates_the_more_the_nearer() {
    let Some(file) = shared("germany_pm10_2005.csv") else { return };
    let bench = Bench::new();
    let arguments = ["correlation", &*file, "--variable", "pm10", "-o", "pairs.csv"];
    bench.run(&[&arguments[..], &["--picture", "pairs.svg"]].concat()).succeeded();
    let table = std::fs::read_to_string(bench.path("pairs.csv")).expect("the table");
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let pairs: Vec<(f64, f64)> = rows
        .records()
        .map(|row| row.expect("a row"))
        .map(|row| (row[3].parse().expect("km"), row[5].parse().expect("a correlation")))
        .collect();
    let mean = |from: f64, to: f64| {
        let some: Vec<f64> =
            pairs.iter().filter(|(d, _)| (from..to).contains(d)).map(|(_, r)| *r).collect();
        assert!(some.len() > 20, "{from} to {to} km: {} pairs", some.len());
        some.iter().sum::<f64>() / f64::from(u32::try_from(some.len()).expect("some"))
    };
    let (near, middle, far) = (mean(0.0, 100.0), mean(200.0, 300.0), mean(500.0, 900.0));
    assert!(near > 0.6 && near > middle + 0.1 && middle > far + 0.1, "{near} {middle} {far}");
}
