//! Finished maps in other forms, judged by other people's programs and by our own reading.

use std::process::Command;

use crate::harness::{Bench, outcome, readings, root};

const GRID: [&str; 4] = ["--bounds", "100,30,110,38", "--shape", "61x49"];
/// A mask with a hole, and corners between cells.
const MASK: &str = r#"{"type": "Polygon", "coordinates": [[[101,30.5],[109.3,31],[108,37.5],[103,36]],
    [[104,33],[106,33.2],[105,34.7]]]}"#;

fn map(bench: &Bench, name: &str, times: usize, more: &[&str]) {
    let mut text = String::from("station,lon,lat,time,parameter,value,unit\n");
    for line in readings(40, times).lines().skip(1) {
        let (place, value) = line.rsplit_once(',').expect("a value");
        text.push_str(&format!("{place},PM2.5,{value},ug/m3\n"));
    }
    let input = bench.file("in.csv", text);
    bench.run(&[&["map", &input, "-q", "-o", name], more].concat()).succeeded();
}

/// Lets the judges read a map and what was made of it.
fn judged(bench: &Bench, script: &str, files: &[&str]) {
    let Some(python) = std::env::var_os("ISOPLETH_PYTHON") else {
        eprintln!("skipped: ISOPLETH_PYTHON names no Python with the judges; `make test` does");
        return;
    };
    let script = root().join("tests/judges").join(script);
    let files = files.iter().map(|name| bench.path(name));
    let verdict = outcome(Command::new(python).arg(script).args(files).output());
    assert_eq!(verdict.code, 0, "{}\n{}", verdict.stdout, verdict.stderr);
}

#[test]
fn every_form_of_a_masked_map_is_accepted_by_its_judge() {
    let bench = Bench::new();
    let mask = bench.file("mask.geojson", MASK);
    map(&bench, "map.nc", 3, &[&GRID[..], &["--mask", &mask, "--uncertainty"]].concat());
    let forms: [&[&str]; 7] = [
        &["all.tif"],
        &["frame.png", "--time", "last", "--coast"],
        &["bare.png", "--time", "2026-01-01T01", "--bare", "--range", "30,60"],
        &["lines.geojson"],
        &["bands.geojson", "--bands", "--time", "first"],
        &["all.covjson"],
        &["place.covjson", "--at", "103.3,34.4"],
    ];
    for arguments in forms {
        let export = ["export", "map.nc", "--variable", "PM2.5", "-o"];
        bench.run(&[&export[..], arguments].concat()).succeeded();
    }
    let files: Vec<&str> = forms.iter().map(|arguments| arguments[0]).collect();
    judged(&bench, "export_judges.py", &[&["map.nc"], &files[..]].concat());
}

#[test]
fn large_maps_and_those_in_planes_are_accepted() {
    let bench = Bench::new();
    let systems = [
        ("+proj=lcc +lat_1=30 +lat_2=60 +lat_0=34 +lon_0=105 +datum=WGS84", "-4e5,-3e5,4e5,3e5"),
        ("EPSG:32648", "200000,3400000,800000,4000000"),
        ("+proj=laea +lat_0=30 +lon_0=100 +x_0=1e6 +R=6371229", "800000,800000,1200000,1200000"),
        ("+proj=stere +lat_0=90 +lat_ts=60 +lon_0=100 +datum=WGS84", "-4e5,-7e6,4e5,-6e6"),
        ("+proj=merc +lon_0=100 +lat_ts=30 +R=6371229", "0,3000000,900000,3900000"),
        ("+proj=aea +lat_1=25 +lat_2=47 +lat_0=30 +lon_0=105 +ellps=GRS80", "-4e5,0,4e5,6e5"),
        ("+proj=tmerc +lat_0=0 +lon_0=105 +k_0=0.9999 +x_0=5e5 +datum=WGS84", "2e5,34e5,8e5,4e6"),
    ];
    for (k, (crs, bounds)) in systems.into_iter().enumerate() {
        let [nc, tif, bands] = ["nc", "tif", "geojson"].map(|ending| format!("plane{k}.{ending}"));
        map(&bench, &nc, 1, &["--crs", crs, "--bounds", bounds, "--shape", "41x31"]);
        bench.run(&["export", &nc, "-o", &tif]).succeeded();
        bench.run(&["export", &nc, "-o", &bands, "--bands"]).succeeded();
        judged(&bench, "export_judges.py", &[&nc, &tif, &bands]);
    }
    // More than a tile, odd numbers, 64 bits, rows from the north.
    let more = ["--bounds", "100,38,110,30", "--shape", "1301x1025", "--precision", "f64"];
    map(&bench, "large.nc", 2, &more);
    for output in ["large.tif", "large.covjson"] {
        bench.run(&["export", "large.nc", "-o", output]).succeeded();
    }
    judged(&bench, "export_judges.py", &["large.nc", "large.tif", "large.covjson"]);
}

#[test]
fn a_part_of_a_map_is_a_map_of_its_own() {
    let bench = Bench::new();
    map(&bench, "map.nc", 4, &[&GRID[..], &["--uncertainty"]].concat());
    let part = ["--bounds", "102,32,107,36", "--time", "2026-01-01T01/2026-01-01T02"];
    bench.run(&[&["export", "map.nc", "-o", "part.nc"], &part[..]].concat()).succeeded();
    bench.run(&["export", "map.nc", "-o", "every.nc", "--stride", "3"]).succeeded();
    judged(&bench, "netcdf_judges.py", &["part.nc", "every.nc"]);
    // What is exported of a part is what is exported of the whole.
    bench.run(&[&["export", "map.nc", "-o", "a.csv"], &part[..]].concat()).succeeded();
    bench.run(&["export", "part.nc", "-o", "b.csv"]).succeeded();
    let [a, b] = ["a.csv", "b.csv"].map(|name| std::fs::read(bench.path(name)).expect("a table"));
    assert!(a.len() > 1000 && a == b);
    let lambert = "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=34 +lon_0=105 +datum=WGS84";
    let plane = ["--crs", lambert, "--bounds", "-4e5,-3e5,4e5,3e5", "--shape", "41x31"];
    map(&bench, "plane.nc", 1, &plane);
    let part = ["--bounds", "104,33,106,35"];
    bench.run(&[&["export", "plane.nc", "-o", "plane_part.nc"], &part[..]].concat()).succeeded();
    judged(&bench, "netcdf_judges.py", &["plane_part.nc"]);
}

#[test]
fn the_values_at_a_place_are_those_that_points_are_given() {
    let bench = Bench::new();
    let more = ["--bounds", "100,30,110,38", "--shape", "401x321", "--kernel", "cubic"];
    map(&bench, "map.nc", 2, &[&more[..], &["--digits", "exact"]].concat());
    bench.run(&["export", "map.nc", "-o", "place.csv", "--at", "104.21,33.37"]).succeeded();
    let at = bench.file("at.csv", "lon,lat\n104.21,33.37\n");
    let points = ["points", "in.csv", "--at", &at, "--kernel", "cubic", "-q", "-o", "points.csv"];
    bench.run(&points).succeeded();
    let values = |name: &str| -> Vec<f64> {
        let text = std::fs::read_to_string(bench.path(name)).expect("a table");
        let last = |row: &str| row.rsplit(',').next().and_then(|v| v.parse().ok());
        text.lines().skip(1).filter_map(last).collect()
    };
    let (place, points) = (values("place.csv"), values("points.csv"));
    assert_eq!(place.len(), 2);
    assert_eq!(points.len(), 2);
    for (a, b) in place.iter().zip(&points) {
        // Cells of 0.025 degrees: the surface bends far less than that within one.
        assert!((a - b).abs() < 0.01, "{a} {b}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_what_there_is_and_leaves_no_file() {
    let bench = Bench::new();
    map(&bench, "map.nc", 3, &GRID);
    let before = bench.names();
    let refused = |code: i32, arguments: &[&str], words: &[&str]| {
        bench.run(&[&["export", "map.nc", "-o"], arguments].concat()).failed(code, words);
        assert_eq!(bench.names(), before);
    };
    refused(3, &["a.gif"], &["a.gif", "geotiff (.tif)", "covjson"]);
    refused(3, &["a.tif", "--variable", "o3"], &["`o3`", "pm2_5"]);
    refused(3, &["a.png"], &["PNG holds one time, and 3", "2026-01-01T02:00:00Z", "--time"]);
    refused(3, &["a.png", "--time", "2026-01-02T07"], &["nearest is 2026-01-01T02:00:00Z"]);
    refused(3, &["a.tif", "--bounds", "0,0,5,5"], &["no cell", "110.08", "38.08"]);
    refused(3, &["a.tif", "--bounds", "0,9,5,5"], &["south below north"]);
    refused(3, &["a.nc", "--stride", "0"], &["stride of 0"]);
    refused(3, &["a.geojson", "--levels", "3,2"], &["level 2"]);
    refused(3, &["a.geojson", "--bands", "--levels", "3"], &["at least 2"]);
    refused(3, &["a.png", "--time", "last", "--range", "9,3"], &["range of 9 to 3"]);
    refused(3, &["a.png", "--time", "last", "--size", "9"], &["64 to 8000"]);
    refused(3, &["a.csv", "--at", "0,0"], &["outside of the map"]);
    refused(3, &["a.tif", "--at", "105,34"], &["CSV and CoverageJSON"]);
    refused(2, &["a.png", "--colours", "jet"], &["viridis"]);
    refused(2, &["a.png", "--bounds", "1,2,3"], &["3 numbers given, 4 needed"]);
    bench.run(&["export", "in.csv", "-o", "a.tif"]).failed(3, &["in.csv", "NetCDF"]);
    bench.run(&["export", "none.nc", "-o", "a.tif"]).failed(5, &["none.nc"]);
    let at = bench.file("at.csv", "lon,lat\n104,33\n");
    bench.run(&["map", "in.csv", "--points-file", &at, "-q", "-o", "points.csv"]).succeeded();
    let map = ["map", "in.csv", "-o", "map.tif"];
    bench.run(&[&map[..], &GRID].concat()).failed(2, &["map.tif", "isopleth export"]);
}
