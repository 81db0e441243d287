//! Readings in files that are no text: the map is that of the table, our own files are read again, and what is
//! damaged is told.

use std::process::Command;

use crate::harness::{Bench, readings, root};

const GRID: [&str; 6] = ["--bounds", "100,30,110,38", "--shape", "41x33", "--digits", "exact"];

/// Everything that a file holds as numbers, variable by variable.
fn numbers(bench: &Bench, name: &str) -> Vec<(String, Vec<u64>)> {
    let file = netcdf::open(bench.path(name)).expect("a NetCDF file");
    let bits = |variable: netcdf::Variable<'_>| {
        let values: Vec<f64> = variable.get_values(..).ok()?;
        Some((variable.name(), values.into_iter().map(f64::to_bits).collect()))
    };
    file.variables().filter_map(bits).collect()
}

#[test]
fn our_own_file_is_read_for_the_readings_in_it_and_gives_its_map_again() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(30, 3));
    let map = |input: &str, output: &str| {
        bench.run(&[&["map", input, "-o", output], &GRID[..]].concat()).succeeded();
    };
    map(&input, "one.nc");
    map("one.nc", "two.nc");
    let (one, two) = (numbers(&bench, "one.nc"), numbers(&bench, "two.nc"));
    assert!(one.iter().any(|(name, values)| name == "pm25" && values.len() == 3 * 33 * 41));
    assert!(one == two, "every number of both files is the same");
}

#[test]
fn what_is_damaged_or_no_time_series_is_code_3_with_what_to_do() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(30, 3));
    bench.run(&[&["map", &input, "-o", "map.nc"], &GRID[..]].concat()).succeeded();
    let whole = std::fs::read(bench.path("map.nc")).expect("the map");
    let failed = |name: &str, contents: &[u8], words: &[&str]| {
        let path = bench.file(name, contents);
        bench.run(&[&["map", &path, "-o", "out.nc"], &GRID[..]].concat()).failed(3, words);
        assert!(!bench.names().contains(&"out.nc".to_owned()));
    };
    failed("half.nc", &whole[..whole.len() / 2], &["half.nc: the NetCDF file is damaged"]);
    failed("head.nc", &whole[..16], &["head.nc: the NetCDF file is damaged"]);
    failed("wrong.parquet", b"PAR1 is not enough", &["the Parquet file is damaged"]);
    failed(
        "big.parquet",
        b"PAR1\xff\xff\xff\x7fPAR1",
        &["its footer says it has 2147483647 bytes"],
    );
    let points = r#"{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"pm25": 1},
        "geometry": {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}}]}"#;
    failed("lines.geojson", points.as_bytes(), &["/features/0/geometry/type", "LineString"]);
}

#[test]
fn files_of_other_programs_give_the_map_of_the_table_number_for_number() {
    let Some(python) = std::env::var_os("ISOPLETH_PYTHON") else {
        eprintln!("skipped: ISOPLETH_PYTHON names no Python with the judges; `make test` does");
        return;
    };
    let bench = Bench::new();
    let script = root().join("engine/tests/forms/write.py");
    let status = Command::new(python).arg(script).arg(bench.path("")).status();
    assert!(status.is_ok_and(|status| status.success()), "the files could not be written");
    let grid = ["--bounds", "14,49,19,51", "--shape", "31x17", "--kernel", "linear"];
    let map = |input: &str| {
        bench.run(&[&["map", input, "-o", "out.nc"], &grid[..]].concat()).succeeded();
        numbers(&bench, "out.nc")
    };
    let wanted = map("wide.csv");
    for name in [
        "wide.geojson",
        "zstd.parquet",
        "odd.parquet",
        "orthogonal.nc",
        "contiguous.nc",
        "xarray.nc",
    ] {
        assert!(map(name) == wanted, "{name}");
    }
}
