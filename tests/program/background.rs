//! Maps with a first guess: its file on the command line, what the map says of it, and refusals.

use crate::harness::{Bench, readings, shared};

/// Writes a model's field, `guess`, from 98 to 112 east and 28 to 40 north, for the first hours of 2026.
fn model(bench: &Bench, name: &str, hours: &[f64], units: &str, scale: f64) -> String {
    let path = bench.path(name);
    let mut file = netcdf::create(&path).expect("a new file");
    let axis = |from: f64, nodes: u32| (0..nodes).map(|k| from + f64::from(k)).collect::<Vec<_>>();
    // Descending latitudes, as most weather models write them.
    let (lon, lat) = (axis(98.0, 15), axis(28.0, 13).into_iter().rev().collect::<Vec<_>>());
    for (name, nodes, unit) in [
        ("time", hours, "hours since 2026-01-01"),
        ("lat", &lat[..], "degrees_north"),
        ("lon", &lon[..], "degrees_east"),
    ] {
        file.add_dimension(name, nodes.len()).expect("a dimension");
        let mut variable = file.add_variable::<f64>(name, &[name]).expect("a coordinate");
        variable.put_attribute("units", unit).expect("an attribute");
        variable.put_values(nodes, ..).expect("values");
    }
    let mut all = Vec::new();
    for hour in hours {
        for lat in &lat {
            all.extend(lon.iter().map(|lon| scale * guess(*lon, *lat, *hour)));
        }
    }
    let mut variable =
        file.add_variable::<f64>("guess", &["time", "lat", "lon"]).expect("a variable");
    variable.put_attribute("units", units).expect("an attribute");
    variable.put_values(&all, ..).expect("values");
    format!("{}:guess", path.display())
}

/// Bilinear between whole degrees.
fn guess(lon: f64, lat: f64, hour: f64) -> f64 {
    20.0 + 4.0 * (lon - 104.0).abs() + 2.0 * (lat - 28.0) + hour
}

/// Readings that are the guess and 3, and the guess itself, in ug/m3.
fn beside_the_guess(times: usize) -> String {
    let plain = readings(40, times);
    let mut text = String::from("station,lon,lat,time,parameter,value,unit\n");
    for row in plain.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        let number = |k: usize| cells[k].parse::<f64>().expect("a coordinate");
        let hour: f64 = cells[3][11..13].parse().expect("an hour");
        let value = guess(number(1), number(2), hour);
        let head = cells[..4].join(",");
        text.push_str(&format!("{head},pm25,{},ug/m3\n{head},model,{value},ug/m3\n", value + 3.0));
    }
    text
}

const GRID: [&str; 4] = ["--bounds", "100,30,110,38", "--shape", "41x33"];

#[test]
fn a_map_is_the_guess_and_what_stations_say_of_it_and_tells_so() {
    let bench = Bench::new();
    let input = bench.file("in.csv", beside_the_guess(2));
    // In another unit, with more hours than are mapped.
    let from = model(&bench, "model.nc", &[2.0, 1.0, 0.0], "kg m-3", 1e-9);
    let more = ["-o", "map.nc", "--background", &from, "--precision", "f64", "--report", "r.json"];
    let what = ["map", &input, "--variable", "pm25"];
    let run = bench.run(&[&what[..], &GRID[..], &more].concat()).succeeded();
    assert!(run.stdout.contains("background alone"), "{}", run.stdout);
    let file = netcdf::open(bench.path("map.nc")).expect("a NetCDF file");
    let map = file.variable("pm25").expect("the map");
    let values: Vec<f64> = map.get_values(..).expect("values");
    assert_eq!(values.len(), 2 * 41 * 33);
    for (k, value) in values.iter().enumerate() {
        let (hour, cell) = (k / (41 * 33), k % (41 * 33));
        let [lon, lat, hour] =
            [cell % 41, cell / 41, hour].map(|k| f64::from(u16::try_from(k).expect("few")));
        let wanted = guess(100.0 + 0.25 * lon, 30.0 + 0.25 * lat, hour) + 3.0;
        // Evaluated to 1e-6 of the readings' range, of differences that are all but equal.
        assert!((value - wanted).abs() < 1e-6, "{lon} {lat} {hour}: {value} {wanted}");
    }
    let text = |name: &str| match map.attribute_value(name).expect(name).expect("readable") {
        netcdf::AttributeValue::Str(text) => text,
        other => panic!("{name} is {other:?}"),
    };
    assert_eq!(text("isopleth_background"), "model.nc:guess");
    assert_eq!(text("isopleth_background_digest").len(), 64);
    let used: Vec<f64> =
        file.variable("pm25_reading").expect("readings").get_values(..).expect("values");
    assert!(used.iter().all(|v| *v > 23.0), "readings are kept as they came");
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(bench.path("r.json")).expect("a report"))
            .expect("JSON");
    let told = &report["backgrounds"][0];
    assert_eq!(told["background"], "model.nc:guess");
    assert!((told["alone"]["bias"].as_f64().expect("a number") - 3.0).abs() < 1e-9);
    assert_eq!(told["values_without"], 0);
}

#[test]
fn points_and_crossval_take_the_same_background_and_a_column_says_as_much() {
    let bench = Bench::new();
    let input = bench.file("in.csv", beside_the_guess(1));
    let from = model(&bench, "model.nc", &[0.0], "ug m-3", 1.0);
    let at = bench.file("at.csv", "lon,lat\n104.5,33.25\n250,33\n");
    let one = ["--variable", "pm25", "--background", &from];
    let run = bench.run(&[&["points", &input, "--at", &at, "-o", "p.csv"], &one[..]].concat());
    assert!(run.succeeded().stderr.contains("1 values of pm25"));
    let text = std::fs::read_to_string(bench.path("p.csv")).expect("the table");
    let values: Vec<&str> =
        text.lines().skip(1).map(|l| l.rsplit(',').next().unwrap_or("")).collect();
    let value: f64 = values[0].parse().expect("a number");
    assert!((value - guess(104.5, 33.25, 0.0) - 3.0).abs() < 1e-4, "{text}");
    assert!(values[1].is_empty() || values[1] == "NaN", "{text}");
    let by_grid = bench.run(&[&["crossval", &input], &one[..]].concat()).succeeded().stdout;
    let column = ["--variable", "pm25", "--background-column", "model"];
    let by_column = bench.run(&[&["crossval", &input], &column[..]].concat()).succeeded().stdout;
    for (text, name) in [(&by_grid, "model.nc:guess"), (&by_column, "column model")] {
        let row = text.lines().find(|row| row.contains(name)).unwrap_or_else(|| panic!("{text}"));
        let cells: Vec<&str> = row.split_whitespace().rev().take(5).collect();
        // R2, RMSE, MAE, bias, n: the guess is 3 too low everywhere.
        assert_eq!(cells[1..], ["3.000", "3.000", "3.000", "40"], "{text}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_a_remedy() {
    let bench = Bench::new();
    let input = bench.file("in.csv", beside_the_guess(2));
    let one = |from: &str, code: i32, words: &[&str]| {
        let more = ["--variable", "pm25", "-o", "map.nc", "--background", from];
        bench.run(&[&["map", &input], &GRID[..], &more].concat()).failed(code, words);
        assert!(!bench.path("map.nc").exists());
    };
    let hours = model(&bench, "late.nc", &[0.0, 3.0], "ug m-3", 1.0);
    let nearest = "2026-01-01T00:00:00Z and 2026-01-01T03:00:00Z";
    one(&hours, 3, &["no step at 2026-01-01T01:00:00Z", nearest]);
    one(&model(&bench, "ppb.nc", &[0.0, 1.0], "ppb", 1.0), 3, &["`ppb`", "ug/m3", "same quantity"]);
    let good = model(&bench, "good.nc", &[0.0, 1.0], "ug m-3", 1.0);
    one(&good.replace(":guess", ":gues"), 3, &["no variable `gues`", "guess"]);
    one("model.nc", 2, &["FILE.nc:variable"]);
    one(&bench.text("none.nc:guess"), 5, &["none.nc", "cannot be read"]);
    one(&format!("{input}:guess"), 3, &["in.csv", "NetCDF"]);
    one(&format!("pm10={good}"), 3, &["no variable `pm10`", "pm25"]);
    // Of two variables it is to be said of which it is.
    let both = [&["map", &input, "-o", "map.nc", "--background", &good], &GRID[..]].concat();
    bench.run(&both).failed(3, &["2 variables", "pm25=", "model"]);
    let named = format!("pm25={good}");
    bench
        .run(&[&["map", &input, "-o", "map.nc", "--background", &named], &GRID[..]].concat())
        .succeeded();
    let column = ["crossval", &input, "--background-column", "nothing"];
    bench.run(&column).failed(3, &["nothing"]);
}

/// The real case: a transport model that is biased low at 256 stations of Europe.
#[test]
fn the_european_model_is_mended_by_its_stations() {
    let Some(path) = shared("europe_pm10_20100406_ctm.csv") else { return };
    let bench = Bench::new();
    let roles = ["--column", "lon=x_km", "--column", "lat=y_km", "--metric", "planar"];
    let what = ["--variable", "sqrt_pm10_obs", "--background-column", "sqrt_pm10_ctm"];
    let run = bench.run(&[&["crossval", &path, "--report", "r.json"], &roles[..], &what].concat());
    run.succeeded();
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(bench.path("r.json")).expect("a report"))
            .expect("JSON");
    let report = &report["report"];
    let rmse = |errors: &serde_json::Value| errors["rmse"].as_f64().expect("a number");
    let alone = &report["backgrounds"][0]["alone"];
    let mended = &report["variables"][0]["leave_one_out"];
    assert_eq!((&alone["count"], &mended["count"]), (&256.into(), &256.into()));
    assert!(rmse(mended) < 0.65 * rmse(alone), "{mended} {alone}");
}

/// Writes elevation, `z`, on the nodes of [`model`].
fn elevation(bench: &Bench) -> String {
    let path = bench.path("dem.nc");
    let mut file = netcdf::create(&path).expect("a new file");
    let axis = |from: f64, nodes: u32| (0..nodes).map(|k| from + f64::from(k)).collect::<Vec<_>>();
    let (lon, lat) = (axis(98.0, 15), axis(28.0, 13));
    for (name, nodes) in [("lat", &lat), ("lon", &lon)] {
        file.add_dimension(name, nodes.len()).expect("a dimension");
        let mut variable = file.add_variable::<f64>(name, &[name]).expect("a coordinate");
        variable.put_values(nodes, ..).expect("values");
    }
    let row = |lat: &f64| lon.iter().map(|lon| height(*lon, *lat)).collect::<Vec<_>>();
    let all: Vec<f64> = lat.iter().flat_map(row).collect();
    let mut variable = file.add_variable::<f64>("z", &["lat", "lon"]).expect("a variable");
    variable.put_values(&all, ..).expect("values");
    format!("altitude={}:z", path.display())
}

/// Bilinear between whole degrees.
fn height(lon: f64, lat: f64) -> f64 {
    300.0 + 200.0 * (lon - 105.0).abs() + 150.0 * (lat - 34.0).abs()
}

#[test]
fn temperatures_that_fall_with_height_do_so_between_the_stations() {
    let bench = Bench::new();
    // A column that describes the station is read where it is asked for.
    let mut text = String::from("station,lon,lat,time,altitude,temp\n");
    for row in readings(40, 2).lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        let number = |k: usize| cells[k].parse::<f64>().expect("a coordinate");
        let altitude = height(number(1), number(2));
        let temp = 20.0 - 0.0065 * altitude;
        text.push_str(&format!("{},{altitude},{temp}\n", cells[..4].join(",")));
    }
    let input = bench.file("in.csv", text);
    let dem = elevation(&bench);
    let wide = ["--bounds", "99,29,111,39", "--shape", "25x21", "--precision", "f64"];
    let more = ["-o", "map.nc", "--covariate", &dem, "--report", "r.json"];
    let run = bench.run(&[&["map", &input], &wide[..], &more].concat()).succeeded();
    assert!(run.stdout.contains("column altitude, dem.nc:z"), "{}", run.stdout);
    assert!(run.stderr.contains("cells lie beyond"), "{}", run.stderr);
    let file = netcdf::open(bench.path("map.nc")).expect("a NetCDF file");
    let values: Vec<f64> = file.variable("temp").expect("the map").get_values(..).expect("values");
    for (k, value) in values.iter().enumerate() {
        let [lon, lat] = [k % 25, k % 525 / 25].map(|k| f64::from(u16::try_from(k).expect("few")));
        let wanted = 20.0 - 0.0065 * height(99.0 + 0.5 * lon, 29.0 + 0.5 * lat);
        // Evaluated to 1e-6 of the readings' range.
        assert!((value - wanted).abs() < 2e-5, "{lon} {lat}: {value} {wanted}");
    }
    assert!(file.variable("altitude").is_none(), "it is no map of its own");
    // In blocks that survive an interruption, taken up a second time: the same bits.
    for output in ["first.nc", "again.nc"] {
        let work = ["-o", output, "--work", "work", "--covariate", &dem, "--quiet"];
        bench.run(&[&["map", &input], &wide[..], &work].concat()).succeeded();
        let file = netcdf::open(bench.path(output)).expect("a NetCDF file");
        let again: Vec<f64> =
            file.variable("temp").expect("the map").get_values(..).expect("values");
        assert!(again.iter().zip(&values).all(|(a, b)| a.to_bits() == b.to_bits()), "{output}");
    }
    let told = file.variable("temp").and_then(|v| v.attribute_value("isopleth_covariates"));
    assert!(
        matches!(told, Some(Ok(netcdf::AttributeValue::Str(text))) if text.contains("dem.nc:z"))
    );
    let crossval = ["crossval", &input, "--variable", "temp", "--covariate", "altitude"];
    let text = bench.run(&crossval).succeeded().stdout;
    let row = text.lines().find(|row| row.contains("column altitude")).expect("its slope");
    assert!(row.contains("-0.006500"), "{text}");
    // A map needs it at the cells, too.
    let column = [&["map", &input, "-o", "no.nc", "--covariate", "altitude"], &GRID[..]].concat();
    bench.run(&column).failed(3, &["altitude=FILE.nc:variable"]);
    bench.run(&["crossval", &input, "--covariate", "height"]).failed(3, &["height", "no column"]);
    let crs = ["crossval", &input, "--covariate", "altitude", "--degree=-1"];
    bench.run(&crs).failed(3, &["--degree -1"]);
}

#[test]
fn the_table_of_stations_may_have_the_covariate() {
    let bench = Bench::new();
    let (mut places, mut text) =
        (String::from("station,lon,lat,altitude\n"), String::from("station,time,temp\n"));
    for row in readings(40, 1).lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        let number = |k: usize| cells[k].parse::<f64>().expect("a coordinate");
        let altitude = height(number(1), number(2));
        places.push_str(&format!("{},{altitude}\n", cells[..3].join(",")));
        text.push_str(&format!("{},{},{}\n", cells[0], cells[3], 20.0 - 0.0065 * altitude));
    }
    let (input, places) = (bench.file("in.csv", text), bench.file("places.csv", &places));
    let table = ["crossval", &input, "--stations", &places, "--covariate", "altitude"];
    let text = bench.run(&table).succeeded().stdout;
    let row = text.lines().find(|row| row.contains("altitude of the stations"));
    assert!(row.expect("its slope").contains("-0.006500"), "{text}");
    // A station whose height is not known is named.
    let holed = std::fs::read_to_string(&places).expect("the table");
    let holed = holed.lines().map(|row| match row.strip_prefix("s007,") {
        Some(rest) => format!("s007,{},\n", rest.rsplit_once(',').expect("cells").0),
        None => format!("{row}\n"),
    });
    bench.file("places.csv", holed.collect::<String>());
    bench.run(&table).failed(3, &["altitude", "1 of 40 stations", "s007"]);
}
