//! Grids in a plane: the same surface as at the places themselves, and files that others georeference.

use crate::harness::{Bench, readings};

const LAMBERT: &str = "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=34 +lon_0=105 +datum=WGS84";

/// A few systems with bounds in their planes, all over the stations of the harness.
const SYSTEMS: [(&str, &str); 3] = [
    (LAMBERT, "-400000,-300000,400000,300000"),
    ("+proj=ob_tran +o_proj=longlat +o_lat_p=56 +o_lon_p=0 +lon_0=105", "-4,-3,4,3"),
    ("EPSG:32648", "200000,3400000,800000,4000000"),
];

fn numbers(bench: &Bench, file: &str, variable: &str) -> Vec<f64> {
    let file = netcdf::open(bench.path(file)).expect("a NetCDF file");
    let variable = file.variable(variable).expect("the variable");
    variable.get_values(..).expect("values")
}

#[test]
fn a_projected_grid_has_the_values_of_its_places() {
    for (crs, bounds) in SYSTEMS {
        let bench = Bench::new();
        let input = bench.file("in.csv", readings(40, 1));
        let map = ["map", &input, "-o", "map.nc", "--crs", crs, "--bounds", bounds, "--shape"];
        let more = ["13x11", "--precision", "f64", "--tolerance", "exact"];
        bench.run(&[&map[..], &more].concat()).succeeded();
        let [lon, lat, values] = ["lon", "lat", "pm25"].map(|name| numbers(&bench, "map.nc", name));
        assert_eq!((lon.len(), values.len()), (143, 143));
        let mut at = String::from("lon,lat\n");
        for (lon, lat) in lon.iter().zip(&lat) {
            at.push_str(&format!("{lon},{lat}\n"));
        }
        let at = bench.file("at.csv", at);
        let points = ["points", &input, "--at", &at, "-o", "points.csv", "--tolerance", "exact"];
        bench.run(&points).succeeded();
        let text = std::fs::read_to_string(bench.path("points.csv")).expect("the table");
        let rows = text.lines().skip(1);
        let points: Vec<f64> = rows
            .map(|row| row.rsplit(',').next().and_then(|v| v.parse().ok()).expect("a number"))
            .collect();
        for (map, point) in values.iter().zip(&points) {
            // The table has fewer digits than the file.
            assert!((map - point).abs() <= 1e-5 * point.abs(), "{crs}: {map} {point}");
        }
    }
}

#[test]
fn a_projected_grid_is_masked_by_where_its_cells_lie() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(40, 1));
    let mask = r#"{"type": "Polygon", "coordinates": [[[103,32],[107,32],[107,36],[103,36]]]}"#;
    let mask = bench.file("box.geojson", mask);
    let (crs, bounds) = SYSTEMS[0];
    let map = ["map", &input, "-o", "map.nc", "--crs", crs, "--bounds", bounds];
    bench.run(&[&map[..], &["--shape", "201x151", "--mask", &mask]].concat()).succeeded();
    let [lon, lat, values] = ["lon", "lat", "pm25"].map(|name| numbers(&bench, "map.nc", name));
    let mut inside = 0;
    for ((lon, lat), value) in lon.iter().zip(&lat).zip(&values) {
        let within = (103.0..107.0).contains(lon) && (32.0..36.0).contains(lat);
        inside += usize::from(within);
        assert_eq!(*value < 1e30, within, "{lon} {lat}: {value}");
    }
    assert!(inside > 1000 && inside < values.len() / 2);
}

/// The mesh of a map is within 5 % of the median where it is bent most (docs/uncertainty.md); places have
/// the formula itself.
#[test]
fn a_projected_grid_is_as_unsure_as_its_places() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(60, 2));
    let told = ["--kernel", "exponential", "--epsilon", "0.003", "--smoothing", "0.1"];
    for (crs, bounds) in SYSTEMS {
        let map = ["map", &input, "-o", "map.nc", "--crs", crs, "--bounds", bounds, "--shape"];
        let more = ["61x47", "--precision", "f64", "--uncertainty"];
        bench.run(&[&map[..], &more, &told].concat()).succeeded();
        let [lon, lat, layer] =
            ["lon", "lat", "pm25_standard_error"].map(|name| numbers(&bench, "map.nc", name));
        let mut at = String::from("lon,lat\n");
        for (lon, lat) in lon.iter().zip(&lat) {
            at.push_str(&format!("{lon},{lat}\n"));
        }
        let at = bench.file("at.csv", at);
        let points = ["points", &input, "--at", &at, "-o", "points.csv", "--uncertainty"];
        bench.run(&[&points[..], &told].concat()).succeeded();
        let text = std::fs::read_to_string(bench.path("points.csv")).expect("the table");
        let number = |row: &str| row.rsplit(',').next().and_then(|v| v.parse::<f64>().ok());
        let places: Vec<f64> =
            text.lines().skip(1).map(|row| number(row).expect("a number")).collect();
        assert_eq!(places.len(), layer.len(), "{crs}");
        let mut sorted = places.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2];
        let largest = layer.iter().zip(&places).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(median > 0.0 && largest < 0.1 * median, "{crs}: {largest} beside {median}");
        let least = sorted[0];
        assert!(least < 0.9 * median, "{crs}: nothing varies, which would compare nothing");
    }
}

#[test]
fn what_is_no_plane_is_refused_and_leaves_no_file() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(10, 1));
    let refused = |crs: &str, bounds: &str, code: i32, words: &[&str]| {
        let map = ["map", &input, "-o", "out.nc", "--crs", crs, "--bounds", bounds];
        let shape = ["--shape", "5x5"];
        bench.run(&[&map[..], &shape].concat()).failed(code, words);
        assert_eq!(bench.names(), ["in.csv"]);
    };
    let bounds = "-400000,-300000,400000,300000";
    refused("lambert", bounds, 3, &["`lambert`", "PROJ string"]);
    refused("+proj=lcc +lat_0=34 +lon_0=105", bounds, 3, &["+proj=lcc needs +lat_1"]);
    refused("+proj=lcc +lat1=30", bounds, 3, &["+lat1 is not known"]);
    refused("+proj=moll", bounds, 3, &["no CF grid mapping", "lcc"]);
    refused("EPSG:3035", "4e7,0,5e7,1000", 3, &["the grid reaches x", "metres"]);
    let planar = ["--crs", LAMBERT, "--bounds", bounds, "--shape", "5x5", "--metric", "planar"];
    let map = ["map", &input, "-o", "out.nc"];
    bench.run(&[&map[..], &planar].concat()).failed(2, &["--metric planar"]);
}
