//! Everything that can be wrong with what a user gives: the message, the exit code, no file left.

use std::process::Command;

use crate::harness::{Bench, outcome, readings};

const GRID: [&str; 4] = ["--bounds", "100,30,110,38", "--shape", "20x10"];

/// Maps `contents` with further arguments, expects a refusal and no file.
fn refused(contents: impl AsRef<[u8]>, more: &[&str], code: i32, words: &[&str]) {
    let bench = Bench::new();
    let input = bench.file("in.csv", contents);
    let mut arguments = vec!["map", &input, "-o", "out.nc"];
    if !more.contains(&"--bounds") {
        arguments.extend(GRID);
    }
    arguments.extend(more);
    let outcome = bench.run(&arguments).failed(code, words);
    assert!(outcome.stderr.starts_with("isopleth: "), "{}", outcome.stderr);
    assert_eq!(bench.names(), ["in.csv"], "nothing is left behind");
}

#[test]
fn no_file_of_readings() {
    let bench = Bench::new();
    let arguments = ["map", "absent.csv", "-o", "out.nc", "--bounds", "0,0,1,1", "--shape", "2x2"];
    bench.run(&arguments).failed(5, &["absent.csv"]);
    assert!(bench.names().is_empty());
}

#[test]
fn empty_input_and_a_header_only() {
    refused("", &[], 3, &["in.csv"]);
    refused("station,lon,lat,time,pm25\n", &[], 3, &["a header but no rows"]);
}

#[test]
fn one_station_is_too_few_for_a_plane_and_enough_for_a_constant() {
    let one = "station,lon,lat,pm25\na,105,33,12\n";
    refused(one, &["--degree", "1"], 3, &["1 distinct station", "degree 1", "4"]);
    let bench = Bench::new();
    let input = bench.file("in.csv", one);
    let mut arguments = vec!["map", &input, "-o", "out.nc"];
    arguments.extend(GRID);
    bench.run(&arguments).succeeded();
}

#[test]
fn two_stations_with_degree_1() {
    let two = "station,lon,lat,pm25\na,105,33,12\nb,106,34,13\n";
    refused(two, &["--degree", "1"], 3, &["2 distinct station", "add stations"]);
    refused(two, &["--degree", "1", "--metric", "planar"], 3, &["2 distinct station", "3"]);
}

#[test]
fn stations_on_a_line_do_not_determine_a_plane() {
    let mut line = String::from("station,lon,lat,pm25\n");
    for i in 0..12 {
        line.push_str(&format!(
            "s{i},{},{},{i}\n",
            100.0 + f64::from(i) / 2.0,
            30.0 + f64::from(i) / 4.0
        ));
    }
    let planar = ["--kernel", "thin_plate_spline", "--metric", "planar"];
    refused(&line, &planar, 3, &["line", "degree"]);
}

#[test]
fn a_variable_that_is_missing_everywhere_has_nothing_to_map() {
    let empty = "station,lon,lat,pm25\na,105,33,\nb,106,34,-\nc,104,33,-999\n";
    refused(empty, &["--variable", "pm25"], 3, &["no reading in 3 rows", "3 missing"]);
}

#[test]
fn infinities_and_impossible_places_are_refused_with_their_row() {
    let lat = "station,lon,lat,pm25\na,105,33,1\nb,105,91,2\nc,106,33,3\n";
    refused(lat, &[], 3, &["91", "row 3"]);
    let infinite = "station,lon,lat,pm25\na,105,33,1\nb,inf,31,2\nc,106,33,3\n";
    refused(infinite, &[], 3, &["row 3"]);
}

#[test]
fn an_infinite_reading_is_rejected_and_told_and_the_others_are_mapped() {
    let bench = Bench::new();
    let text = format!("{}z1,105.5,33.5,2026-01-01T00:00:00Z,inf\n", readings(30, 1));
    let input = bench.file("in.csv", text);
    let mut arguments = vec!["map", &input, "-o", "out.nc"];
    arguments.extend(GRID);
    let outcome = bench.run(&arguments).succeeded();
    assert!(outcome.stdout.contains("1 rejected"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("row 32"), "{}", outcome.stdout);
}

#[test]
fn duplicated_stations_with_different_values_are_merged_unless_that_is_an_error() {
    let twice = format!("{}s000,100.0000,30.0000,2026-01-01T00:00:00Z,99\n", readings(20, 1));
    refused(&twice, &["--duplicates", "error"], 3, &["s000"]);
    refused(&twice, &["--duplicates", "median"], 2, &["median", "mean"]);
    let bench = Bench::new();
    let input = bench.file("in.csv", &twice);
    let mut arguments = vec!["map", &input, "-o", "out.nc"];
    arguments.extend(GRID);
    bench.run(&arguments).succeeded();
}

#[test]
fn a_million_stations_are_refused_before_they_fill_the_memory() {
    let mut text = String::from("station,lon,lat,pm25\n");
    for i in 0..1_000_000_u32 {
        let (lon, lat) = (f64::from(i % 1000) * 0.05, f64::from(i / 1000) * 0.05);
        text.push_str(&format!("{i},{lon:.2},{lat:.2},{}\n", i % 7));
    }
    refused(
        text,
        &["--bounds", "0,0,50,50", "--shape", "20x10"],
        4,
        &["number of stations", "20000"],
    );
}

#[test]
fn a_grid_of_a_million_million_cells() {
    let more = ["--bounds", "100,30,110,38", "--shape", "1000000x1000000"];
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(20, 1));
    let mut arguments = vec!["map", &input, "-o", "out.nc"];
    arguments.extend(more);
    bench.run(&arguments).failed(4, &["1000000000000", "number of cells"]);
    assert_eq!(bench.names(), ["in.csv"]);
}

#[test]
fn wrong_grids() {
    let good = readings(20, 1);
    for (bounds, shape, code, word) in [
        ("100,30,110", "20x10", 2, "west,south,east,north"),
        ("100,30,110,98", "20x10", 3, "98"),
        ("100,30,110,38", "0x10", 3, "0"),
        ("100,30,110,38", "20", 2, "columns x rows"),
        ("nan,30,110,38", "20x10", 3, ""),
    ] {
        let bench = Bench::new();
        let input = bench.file("in.csv", &good);
        let arguments = ["map", &input, "-o", "out.nc", "--bounds", bounds, "--shape", shape];
        bench.run(&arguments).failed(code, &[word]);
        assert_eq!(bench.names(), ["in.csv"]);
    }
}

#[test]
fn wrong_methods() {
    let good = readings(20, 1);
    refused(&good, &["--kernel", "lineal"], 2, &["lineal", "linear", "gaussian"]);
    refused(&good, &["--kernel", "gaussian", "--epsilon", "0"], 3, &["epsilon is 0"]);
    refused(&good, &["--kernel", "gaussian"], 3, &["epsilon", "try"]);
    refused(&good, &["--smoothing", "-1"], 3, &["smoothing", "-1"]);
    refused(&good, &["--degree", "3"], 3, &["degree 3"]);
    refused(&good, &["--metric", "taxi"], 2, &["taxi", "chordal"]);
    refused(&good, &["--threads", "0"], 2, &["thread"]);
    refused(&good, &["--memory", "1kB"], 4, &["peak memory", "1 MB"]);
    refused(&good, &["--variable", "ozone"], 3, &["ozone", "pm25"]);
}

#[test]
fn garbage_and_wrong_encodings() {
    let garbage: Vec<u8> = (0..5000_u32).map(|i| (i * 7919 % 256) as u8).collect();
    refused(garbage, &[], 3, &["in.csv"]);
    // GB18030 without being told: 北京 as two double bytes.
    let mut chinese = b"station,name,lon,lat,pm25\n".to_vec();
    chinese.extend(b"a,\xb1\xb1\xbe\xa9,105,33,1\n");
    refused(&chinese, &[], 3, &["row 2", "encoding"]);
    let bench = Bench::new();
    chinese.extend(b"b,\xb1\xb1\xbe\xa9,106,34,1\n");
    let input = bench.file("in.csv", &chinese);
    let mut arguments = vec!["map", &input, "-o", "out.nc", "--encoding", "gb18030"];
    arguments.extend(GRID);
    bench.run(&arguments).succeeded();
}

#[test]
fn an_output_that_cannot_be_written() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(20, 1));
    for output in ["/proc/out.nc", "no/such/folder/out.nc", "."] {
        let mut arguments = vec!["map", &input, "-o", output];
        arguments.extend(GRID);
        bench.run(&arguments).failed(5, &[output]);
    }
    assert_eq!(bench.names(), ["in.csv"]);
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(40, 2));
    let disk = bench.path("disk");
    std::fs::create_dir(&disk).expect("a folder");
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=300k", "tmpfs"]).arg(&disk).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a small tmpfs cannot be mounted here (needs root)");
        return;
    }
    let arguments =
        ["map", &input, "-o", "disk/out.nc", "--bounds", "100,30,110,38", "--shape", "900x700"];
    let result = outcome(bench.command(&arguments).output());
    let left: Vec<_> = std::fs::read_dir(&disk).expect("the disk is there").collect();
    let unmounted = Command::new("umount").arg(&disk).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert!(left.is_empty(), "{left:?}");
    let outcome = result.failed(5, &["disk/out.nc"]);
    assert!(outcome.stderr.lines().count() <= 2, "{}", outcome.stderr);
}
