//! What is in a map: the values, and that they do not depend on how they were made.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::{Bench, readings};

const GRID: [&str; 4] = ["--bounds", "100,30,110,38", "--shape", "41x33"];

fn values(file: &Path, variable: &str) -> Vec<f64> {
    let file = netcdf::open(file).expect("a NetCDF file");
    file.variable(variable).expect("the variable").get_values(..).expect("its values")
}

fn map(bench: &Bench, input: &str, output: &str, more: &[&str]) -> String {
    let mut arguments = vec!["map", input, "-o", output];
    arguments.extend(GRID);
    arguments.extend(more);
    bench.run(&arguments).succeeded().stdout
}

#[test]
fn a_map_has_the_coordinates_asked_for_and_goes_through_the_readings() {
    let bench = Bench::new();
    // A station on a node of the grid.
    let text = format!("{}node,102.5,34.0,2026-01-01T00:00:00Z,77.5\n", readings(30, 1));
    let input = bench.file("in.csv", text);
    map(&bench, &input, "out.nc", &["--precision", "f64"]);
    let path = bench.path("out.nc");
    let (lon, lat) = (values(&path, "lon"), values(&path, "lat"));
    assert_eq!((lon.len(), lon[0], lon[10], lon[40]), (41, 100.0, 102.5, 110.0));
    assert_eq!((lat.len(), lat[0], lat[16], lat[32]), (33, 30.0, 34.0, 38.0));
    let at_node = values(&path, "pm25")[16 * 41 + 10];
    // Exact but for the rounding of a system with a condition of about 1e4.
    assert!((at_node - 77.5).abs() < 1e-9, "{at_node}");
}

#[test]
fn threads_batches_and_other_variables_change_no_bit() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(60, 5));
    let more = ["--precision", "f64", "--threads"];
    map(&bench, &input, "one.nc", &[&more[..], &["1"]].concat());
    map(&bench, &input, "three.nc", &[&more[..], &["3"]].concat());
    let (one, three) =
        (values(&bench.path("one.nc"), "pm25"), values(&bench.path("three.nc"), "pm25"));
    assert_eq!(one.len(), 5 * 41 * 33);
    assert!(one.iter().zip(&three).all(|(a, b)| a.to_bits() == b.to_bits()));
}

#[test]
fn one_hour_of_a_day_is_the_same_map_alone() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(60, 5));
    // An hour alone may choose another method than a day.
    let told = ["--kernel", "linear", "--precision", "f64"];
    map(&bench, &input, "all.nc", &told);
    let time = ["--time", "2026-01-01T03:00:00Z"];
    map(&bench, &input, "hour.nc", &[&told[..], &time].concat());
    let (all, hour) =
        (values(&bench.path("all.nc"), "pm25"), values(&bench.path("hour.nc"), "pm25"));
    let cells = 41 * 33;
    assert_eq!(hour.len(), cells);
    // Columns are solved in blocks: the last bits of the weights may differ with their number.
    let worst = all[3 * cells..4 * cells].iter().zip(&hour).map(|(a, b)| (a - b).abs());
    assert!(worst.fold(0.0, f64::max) < 1e-9);
}

#[test]
fn an_hour_with_half_of_the_network_absent_is_the_map_of_the_other_half() {
    let bench = Bench::new();
    let full = readings(60, 2);
    let keep =
        |line: &&str| !line.contains("T01:") || line[1..4].parse::<u32>().is_ok_and(|i| i % 2 == 0);
    let gaps: String = full.lines().filter(keep).map(|l| format!("{l}\n")).collect();
    let half: String = full
        .lines()
        .filter(|l| l.starts_with("station") || (l.contains("T01:") && keep(l)))
        .map(|l| format!("{l}\n"))
        .collect();
    let (gaps, half) = (bench.file("gaps.csv", gaps), bench.file("half.csv", half));
    let linear = ["--precision", "f64", "--kernel", "linear"];
    map(&bench, &gaps, "gaps.nc", &[&linear[..], &["--report", "report.json"]].concat());
    map(&bench, &half, "half.nc", &linear);
    let (a, b) = (values(&bench.path("gaps.nc"), "pm25"), values(&bench.path("half.nc"), "pm25"));
    let cells = 41 * 33;
    let worst = a[cells..].iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-8, "{worst}");
    let report = std::fs::read_to_string(bench.path("report.json")).expect("the report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["fields"][1]["used"], 30);
    assert_eq!(report["fields"][1]["missing"], 30);
    assert!(report["fields"][0]["leave_one_out"]["rmse"].as_f64().is_some_and(|e| e > 0.0));
    assert!(report["peak_memory_bytes"].as_u64().is_some_and(|b| b > 1_000_000));
}

#[test]
fn an_hour_without_any_reading_holds_the_fill_value_and_is_told() {
    let bench = Bench::new();
    let mut text = readings(20, 1);
    text.push_str("s000,100.0,30.0,2026-01-01T01:00:00Z,\n");
    let input = bench.file("in.csv", text);
    let mut arguments = vec!["map", &input, "-o", "out.nc"];
    arguments.extend(GRID);
    let outcome = bench.run(&arguments).succeeded();
    assert!(outcome.stderr.contains("1 of 2 fields could not be mapped"), "{}", outcome.stderr);
    let path = bench.path("out.nc");
    let file = netcdf::open(&path).expect("a NetCDF file");
    let variable = file.variable("pm25").expect("the variable");
    let fill = variable.fill_value::<f32>().expect("an attribute").expect("a fill value");
    let all: Vec<f32> = variable.get_values(..).expect("its values");
    assert!(all[..41 * 33].iter().all(|v| *v != fill));
    assert!(all[41 * 33..].iter().all(|v| *v == fill));
}

#[test]
fn equal_readings_make_an_even_map() {
    let bench = Bench::new();
    let text: String = readings(30, 1)
        .lines()
        .map(|l| match l.rsplit_once(',') {
            Some((head, tail)) if tail != "pm25" => format!("{head},8.25\n"),
            _ => format!("{l}\n"),
        })
        .collect();
    let input = bench.file("in.csv", text);
    for kernel in ["linear", "cubic", "thin_plate_spline"] {
        map(&bench, &input, "out.nc", &["--kernel", kernel, "--precision", "f64"]);
        let worst = values(&bench.path("out.nc"), "pm25")
            .iter()
            .map(|v| (v - 8.25).abs())
            .fold(0.0, f64::max);
        assert!(worst < 1e-9, "{kernel}: {worst}");
    }
}

#[test]
fn a_grid_across_the_date_line_has_no_seam() {
    let bench = Bench::new();
    let mut text = String::from("station,lon,lat,pm25\n");
    for i in 0..40_i32 {
        let lon = 170.0 + f64::from(i * 7 % 20);
        let lon = if lon > 180.0 { lon - 360.0 } else { lon };
        let lat = -60.0 + f64::from(i * 13 % 37) / 2.0;
        text.push_str(&format!("s{i},{lon},{lat},{}\n", 20 + i * i % 11));
    }
    let input = bench.file("in.csv", text);
    let arguments = [
        "map",
        &input,
        "-o",
        "out.nc",
        "--bounds",
        "170,-60,-170,-40",
        "--shape",
        "81x21",
        "--precision",
        "f64",
    ];
    bench.run(&arguments).succeeded();
    let field = values(&bench.path("out.nc"), "pm25");
    // Column 40 is the date line: the steps across it are like those beside it.
    let step = |c: usize| {
        (0..21).map(|r| (field[r * 81 + c + 1] - field[r * 81 + c]).abs()).fold(0.0, f64::max)
    };
    let near = (30..50).filter(|c| ![39, 40].contains(c)).map(step).fold(0.0, f64::max);
    assert!(step(39).max(step(40)) <= 2.0 * near);
}

#[test]
fn interrupting_leaves_no_file() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(900, 2));
    let arguments =
        ["map", &input, "-o", "out.nc", "--bounds", "90,20,120,50", "--shape", "9000x9000"];
    let mut child = bench
        .command(&arguments)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    // Until it has begun to write.
    let start = Instant::now();
    while bench.names().len() < 2 && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    let killed =
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    let status = child.wait().expect("the program ends");
    assert_eq!(status.code(), Some(130));
    assert_eq!(bench.names(), ["in.csv"]);
}
