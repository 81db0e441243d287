//! The other commands: points, check, estimate, crossval, help and completions.

use crate::harness::{Bench, readings};

#[test]
fn points_keep_their_columns_and_agree_with_the_map() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(40, 3));
    bench.file("places.csv", "name,lon,lat\n\"Hill, the\",102.5,34.0\nLake,107.5,36.0\n");
    bench.run(&["points", &input, "--at", "places.csv", "-o", "values.csv"]).succeeded();
    let text = std::fs::read_to_string(bench.path("values.csv")).expect("the values");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().expect("a header").clone();
    assert_eq!(header.iter().collect::<Vec<_>>(), ["name", "lon", "lat", "time", "pm25"]);
    let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), 6);
    assert_eq!((&rows[0][0], &rows[0][3]), ("Hill, the", "2026-01-01T00:00:00Z"));
    assert_eq!((&rows[3][0], &rows[3][3]), ("Lake", "2026-01-01T01:00:00Z"));

    let map = [
        "map",
        &input,
        "-o",
        "out.nc",
        "--bounds",
        "100,30,110,38",
        "--shape",
        "41x33",
        "--precision",
        "f64",
    ];
    bench.run(&map).succeeded();
    let file = netcdf::open(bench.path("out.nc")).expect("a NetCDF file");
    let all: Vec<f64> = file.variable("pm25").expect("pm25").get_values(..).expect("values");
    let at_hill: f64 = rows[0][4].parse().expect("a number");
    // The same sums; the places' coordinates on the sphere are rounded once more.
    assert!((at_hill - all[16 * 41 + 10]).abs() < 1e-9);
}

#[test]
fn points_can_go_to_standard_output() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(10, 1));
    bench.file("places.csv", "lon,lat\n102.5,34.0\n");
    let outcome = bench.run(&["points", &input, "--at", "places.csv", "-o", "-"]).succeeded();
    assert_eq!(outcome.stdout.lines().count(), 2, "{}", outcome.stdout);
}

#[test]
fn check_tells_what_was_read_and_what_is_wrong() {
    let bench = Bench::new();
    let mut text = readings(10, 2);
    text.push_str("lost,,,2026-01-01T00:00:00Z,5\nodd,105,35,2026-01-01T00:00:00Z,wet\n");
    let input = bench.file("in.csv", text);
    let out = bench.run(&["check", &input]).succeeded().stdout;
    for words in
        ["stations", "pm25", "lost", "wet", "from 2026-01-01T00:00:00Z to 2026-01-01T01:00:00Z"]
    {
        assert!(out.contains(words), "`{words}` is not in:\n{out}");
    }
    let json = bench.run(&["check", &input, "--json"]).succeeded().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["readings"]["rejected"], 1);
    assert_eq!(json["variables"][0]["values"], 20);
}

#[test]
fn estimate_tells_cells_and_memory_without_a_file() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(50, 4));
    let grid = ["--bounds", "100,30,110,38", "--shape", "1400x1000"];
    let arguments = [&["estimate", &input, "--json"], &grid[..]].concat();
    let json = bench.run(&arguments).succeeded().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["cells"], 1_400_000);
    assert_eq!(json["fields"], 4);
    assert_eq!(json["output_bytes"], 4 * 4 * 1_400_000);
    assert!(json["peak_memory_bytes"].as_u64().is_some_and(|b| b < 500_000_000));
    assert!(json["seconds"].as_f64().is_some_and(|s| s > 0.0));
    assert_eq!(bench.names(), ["in.csv"]);
}

#[test]
fn crossval_is_leaving_out_and_mapping_again() {
    let bench = Bench::new();
    let text = readings(25, 1);
    let input = bench.file("in.csv", &text);
    let linear = ["--kernel", "linear"];
    let crossval = ["crossval", &input, "-o", "stations.csv", "--report", "cv.json"];
    bench.run(&[&crossval[..], &linear].concat()).succeeded();
    let table = std::fs::read_to_string(bench.path("stations.csv")).expect("the table");
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let rows: Vec<_> = rows.records().map(|r| r.expect("a row")).collect();
    assert_eq!(rows.len(), 25);
    // Leave out the fourth by hand.
    let out = text.lines().nth(4).expect("a line");
    let cells: Vec<&str> = out.split(',').collect();
    let rest: String = text.lines().filter(|l| *l != out).map(|l| format!("{l}\n")).collect();
    let rest = bench.file("rest.csv", rest);
    bench.file("at.csv", format!("lon,lat\n{},{}\n", cells[1], cells[2]));
    let points = ["points", &rest, "--at", "at.csv", "-o", "-"];
    let points = bench.run(&[&points[..], &linear].concat()).succeeded().stdout;
    let predicted: f64 =
        points.trim_end().rsplit(',').next().expect("a cell").parse().expect("a number");
    let observed: f64 = cells[4].parse().expect("a number");
    let row = rows.iter().find(|r| &r[0] == cells[0]).expect("the station");
    let bias: f64 = row[5].parse().expect("a number");
    assert!((bias - (observed - predicted)).abs() < 1e-8, "{bias} {}", observed - predicted);
}

#[test]
fn the_command_line_explains_itself() {
    let bench = Bench::new();
    let help = bench.run(&["map", "--help"]).succeeded().stdout;
    for words in ["--bounds", "chordal", "--smoothing", "gridline", "NetCDF"] {
        assert!(help.contains(words), "`{words}` is not in the help");
    }
    assert!(bench.run(&["--help"]).succeeded().stdout.contains("Exit codes"));
    assert!(bench.run(&["completions", "bash"]).succeeded().stdout.contains("crossval"));
    bench.run(&["map"]).failed(2, &["Usage"]);
    bench.run(&["map", "x.csv", "-o", "o.nc"]).failed(2, &["--bounds"]);
}

#[test]
fn a_pipe_sees_neither_progress_nor_summary_when_quiet() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(20, 1));
    let arguments = [
        "map",
        &input,
        "-o",
        "o.nc",
        "--bounds",
        "100,30,110,38",
        "--resolution",
        "0.5",
        "--quiet",
    ];
    let outcome = bench.run(&arguments).succeeded();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
}

#[test]
fn readings_come_from_standard_input_too() {
    use std::io::Write as _;
    let bench = Bench::new();
    let mut command = bench.command(&["check", "-", "--json"]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(readings(5, 1).as_bytes()).expect("written");
    let outcome = crate::harness::outcome(child.wait_with_output()).succeeded();
    assert!(outcome.stdout.contains("\"rows\": 5"), "{}", outcome.stdout);
}

/// The estimate is within a fifth of what the system counts.
#[test]
fn the_memory_foreseen_is_the_memory_taken() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(1200, 2));
    for more in [&[][..], &["--tolerance", "exact"], &["--kernel", "cubic", "--precision", "f64"]] {
        let grid = ["--bounds", "100,30,110,38", "--shape", "700x500"];
        let arguments = [&["estimate", &input, "--json"], &grid[..], more].concat();
        let foreseen = bench.run(&arguments).succeeded().stdout;
        let arguments = [&["map", &input, "-o", "o.nc", "--report", "-"], &grid[..], more].concat();
        let taken = bench.run(&arguments).succeeded().stdout;
        let number = |text: &str| -> f64 {
            let json: serde_json::Value = serde_json::from_str(text).expect("JSON");
            json["peak_memory_bytes"].as_f64().expect("bytes")
        };
        let ratio = number(&foreseen) / number(&taken);
        assert!((0.8..1.25).contains(&ratio), "{more:?}: {foreseen} for {taken}");
    }
}

#[test]
fn what_works_but_not_as_one_may_think_is_told_once() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(20, 1));
    let grid = ["map", &input, "-o", "o.nc", "--bounds", "100,30,110,38", "--shape", "5x5"];
    for (more, words) in [
        (&["--metric", "great_circle"][..], "great-circle"),
        (&["--kernel", "cubic", "--degree", "0"], "degree 1 or more"),
        (&["--compat", "scipy-rbf", "--kernel", "cubic", "--smoothing", "1"], "sharpens"),
    ] {
        let outcome = bench.run(&[&grid[..], more].concat()).succeeded();
        assert_eq!(outcome.stderr.matches(words).count(), 1, "{more:?}: {}", outcome.stderr);
    }
}
