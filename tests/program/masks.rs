//! Maps of an area only: what is outside holds the fill value, and what is inside its usual bits.

use crate::harness::{Bench, readings, shared};

const GRID: [&str; 4] = ["--bounds", "100,30,110,38", "--shape", "201x161"];

/// A square with a hole.
const FRAME: &str = r#"{"type": "Feature", "properties": null, "geometry": {"type": "Polygon",
    "coordinates": [[[102,32],[108,32],[108,36],[102,36],[102,32]],
                    [[104,33],[104,35],[106,35],[106,33],[104,33]]]}}"#;

/// The values of the first variable at the first time, NaN where the file has the fill value.
fn values(bench: &Bench, name: &str) -> Vec<f64> {
    let file = netcdf::open(bench.path(name)).expect("a NetCDF file");
    let variable = file.variable("pm25").expect("the map");
    let fill = variable.fill_value::<f32>().expect("readable").expect("a fill value");
    let all: Vec<f32> = variable.get_values(..).expect("values");
    all.iter().map(|&v| if v == fill { f64::NAN } else { f64::from(v) }).collect()
}

/// Maps with and without a mask and says which cells are inside; those must be equal.
fn inside(bench: &Bench, grid: &[&str], more: &[&str]) -> Vec<bool> {
    let input = bench.file("in.csv", readings(40, 1));
    bench.run(&[&["map", &input, "-o", "all.nc"], grid].concat()).succeeded();
    bench.run(&[&["map", &input, "-o", "some.nc"], grid, more].concat()).succeeded();
    let pairs: Vec<(f64, f64)> =
        values(bench, "all.nc").into_iter().zip(values(bench, "some.nc")).collect();
    assert!(pairs.iter().all(|(all, some)| some.is_nan() || all.to_bits() == some.to_bits()));
    pairs.iter().map(|(_, some)| !some.is_nan()).collect()
}

/// Longitude and latitude of the cells of `GRID`, row by row.
fn cells() -> impl Iterator<Item = (f64, f64)> {
    let lat = (0..161).map(|i| 30.0 + 0.05 * f64::from(i));
    lat.flat_map(|lat| (0..201).map(move |i| (100.0 + 0.05 * f64::from(i), lat)))
}

#[test]
fn polygons_keep_what_is_within_and_not_in_their_holes() {
    for tolerance in ["1e-6", "exact"] {
        let bench = Bench::new();
        let mask = bench.file("frame.geojson", FRAME);
        let more = ["--mask", &mask, "--tolerance", tolerance, "--report", "report.json"];
        let grid = [&GRID[..], &["--tolerance", tolerance]].concat();
        let inside = inside(&bench, &grid[..4], &more[..2]);
        for ((lon, lat), inside) in cells().zip(&inside) {
            // Not on the edges, where a rounded node may be on either side.
            let on = |v: f64, edge: f64| (v - edge).abs() < 1e-6;
            if [102.0, 104.0, 106.0, 108.0].iter().any(|&e| on(lon, e))
                || [32.0, 33.0, 35.0, 36.0].iter().any(|&e| on(lat, e))
            {
                continue;
            }
            let frame = (102.0..108.0).contains(&lon) && (32.0..36.0).contains(&lat);
            let hole = (104.0..106.0).contains(&lon) && (33.0..35.0).contains(&lat);
            assert_eq!(*inside, frame && !hole, "{lon} {lat}");
        }
        let input = bench.text("in.csv");
        let run = bench.run(&[&["map", &input, "-o", "told.nc"], &GRID[..], &more].concat());
        let told = run.succeeded().stdout;
        let outside = inside.iter().filter(|&&inside| !inside).count();
        assert!(told.contains(&format!("{outside} of 32361 outside the mask")), "{told}");
        let report = std::fs::read(bench.path("report.json")).expect("a report");
        let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
        assert_eq!(report["mask"]["outside"], outside);
        assert_eq!(report["mask"]["by"][0]["outside"], outside);
        let file = netcdf::open(bench.path("told.nc")).expect("a NetCDF file");
        let map = file.variable("pm25").expect("the map");
        for (name, word) in [("isopleth_mask", "frame.geojson"), ("comment", "fill value")] {
            let text = map.attribute_value(name).expect("it is there").expect("readable");
            let netcdf::AttributeValue::Str(text) = text else { panic!("{text:?}") };
            assert!(text.contains(word), "{text}");
        }
    }
}

#[test]
fn a_mask_of_another_file_is_read_whichever_way_its_latitudes_run() {
    // The map of one run, with holes, is the mask of the next.
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(40, 1));
    let mask = bench.file("frame.geojson", FRAME);
    for bounds in ["100,30,110,38", "100,38,110,30"] {
        let grid = ["--bounds", bounds, "--shape", "201x161", "--mask", &mask];
        bench.run(&[&["map", &input, "-o", "mask.nc"], &grid[..]].concat()).succeeded();
        let by_file = inside(&bench, &GRID, &["--mask", "mask.nc:pm25"]);
        let by_polygon = inside(&bench, &GRID, &["--mask", &mask]);
        assert!(by_file.iter().any(|&inside| inside));
        let differ = by_file.iter().zip(&by_polygon).filter(|(a, b)| a != b).count();
        // Nodes on the upper edges may be rounded to either side where rows run the other way.
        assert!(differ <= 400, "{differ}");
    }
}

#[test]
fn masks_that_are_combined_must_all_hold() {
    let bench = Bench::new();
    let mask = bench.file("frame.geojson", FRAME);
    let polygon = inside(&bench, &GRID, &["--mask", &mask]);
    let near = inside(&bench, &GRID, &["--mask-distance", "40km"]);
    let both = ["--mask", &mask, "--mask-distance", "40", "--mask", "land"];
    let all = inside(&bench, &GRID, &both);
    for ((polygon, near), all) in polygon.iter().zip(&near).zip(&all) {
        // This part of the Earth is all land.
        assert_eq!(*all, *polygon && *near);
    }
    assert!(all.iter().any(|&inside| inside));
    assert!(near.iter().zip(&polygon).any(|(near, polygon)| *near && !*polygon));
}

#[test]
fn places_outside_of_the_mask_have_no_value() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(40, 1));
    let mask = bench.file("frame.geojson", FRAME);
    let at = bench.file("at.csv", "name,lon,lat\nin,103,34\nhole,105,34\nout,101,31\n");
    let run = ["points", &input, "--at", &at, "-o", "values.csv", "--mask", &mask];
    bench.run(&run).succeeded();
    let text = std::fs::read_to_string(bench.path("values.csv")).expect("the table");
    let last = |name: &str| {
        let row = text.lines().find(|line| line.starts_with(name)).expect("a row");
        row.rsplit(',').next().unwrap_or_default().to_owned()
    };
    assert!(last("in").parse::<f64>().is_ok(), "{text}");
    assert_eq!((last("hole"), last("out")), (String::new(), String::new()), "{text}");
}

#[test]
fn real_stations_map_their_land_and_not_the_sea() {
    let Some(china) = shared("china_2017-07-07T16.csv") else { return };
    let bench = Bench::new();
    let grid = ["--bounds", "73,18,135,54", "--shape", "621x361", "--variable", "pm25"];
    let run = [&["map", &china, "-o", "land.nc", "--mask", "land"], &grid[..]].concat();
    bench.run(&run).succeeded();
    let values = values(&bench, "land.nc");
    let at = |lon: f64, lat: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        let [row, column] = [((lat - 18.0) * 10.0) as usize, ((lon - 73.0) * 10.0) as usize];
        values[row * 621 + column]
    };
    assert!(at(116.4, 39.9).is_finite() && at(104.0, 30.7).is_finite());
    assert!(at(123.0, 35.0).is_nan() && at(130.0, 25.0).is_nan());
}

#[test]
fn a_mask_that_is_none_is_refused_and_leaves_no_file() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(10, 1));
    bench.file("far.geojson", FRAME.replace("10", "4"));
    bench.file("frame.geojson", FRAME);
    bench.file("point.geojson", r#"{"type": "Point", "coordinates": [1, 2]}"#);
    bench.file("broken.geojson", "{");
    bench.file("bad.nc", "not NetCDF");
    let before = bench.names();
    let refused = |more: &[&str], code: i32, words: &[&str]| {
        let run = [&["map", &input, "-o", "out.nc"], &GRID[..], more].concat();
        bench.run(&run).failed(code, words);
        assert_eq!(bench.names(), before);
    };
    refused(&["--mask", "far.geojson"], 3, &["no cell", "far.geojson", "another area"]);
    let nowhere = ["--mask", "frame.geojson", "--mask-distance", "0.001"];
    refused(&nowhere, 3, &["no cell", "frame.geojson, within 0.001 km"]);
    refused(&["--mask-distance=-3"], 3, &["above 0"]);
    refused(&["--mask-distance", "150 miles"], 2, &["km"]);
    refused(&["--mask", "point.geojson"], 3, &["no Polygon", "1 points and lines"]);
    refused(&["--mask", "broken.geojson"], 3, &["not GeoJSON", "line 1"]);
    refused(&["--mask", "absent.geojson"], 5, &["absent.geojson"]);
    refused(&["--mask", "absent.nc:mask"], 5, &["absent.nc"]);
    refused(&["--mask", "bad.nc:mask"], 3, &["bad.nc", "NetCDF"]);
    refused(&["--mask", "sea"], 3, &["`sea`", "land", ".geojson"]);
    let planar = readings(10, 1).replace("station,lon,lat", "station,x,y");
    std::fs::write(&input, planar).expect("written");
    refused(&["--mask", "land", "--metric", "planar"], 3, &["longitudes", "plane"]);
}
