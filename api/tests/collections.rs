//! OGC API – EDR over the router, on maps that jobs made: collections, positions, areas, cubes, and what is refused.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use isopleth_api::{AppState, ServiceConfig, jobs, router};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

const DEGREES: &str = "bounds=116,39,118,41&shape=21x21&kernel=linear";
const PLANE: &str = "crs=EPSG:32650&bounds=300000,4300000,500000,4500000&shape=21x21&kernel=linear";

struct House {
    app: Router,
    state: AppState,
    _folder: TempDir,
}

struct Got {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

/// An hour of readings around Beijing; all of them rise by one an hour, and with the longitude.
fn table(variable: &str, unit: &str, hours: &[u32], more: f64) -> String {
    let mut text = String::from("station,lon,lat,time,parameter,unit,value\n");
    for hour in hours {
        for k in 0..40_u32 {
            let (x, y) = (f64::from(k * 37 % 100) / 40.0, f64::from(k * 53 % 80) / 32.0);
            let value = 40.0 + 10.0 * x + y + f64::from(*hour) + more;
            let (lon, lat) = (115.8 + x, 38.8 + y);
            text.push_str(&format!(
                "s{k},{lon},{lat},2026-01-01T{hour:02}:00:00Z,{variable},{unit},{value}\n"
            ));
        }
    }
    text
}

impl House {
    async fn new() -> Self {
        Self::with(ServiceConfig::default()).await
    }

    /// Three hours of a network, each a map of its own, with layers.
    async fn with(config: ServiceConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = ServiceConfig { data_dir: Some(folder.path().into()), ..config };
        let state = AppState::new(config).expect("a state");
        jobs::start(&state);
        let house = Self { app: router(state.clone()), state, _folder: folder };
        for hour in 0..3 {
            let query = format!("{DEGREES}&uncertainty=reading");
            house.made(Some("beijing"), &query, table("pm25", "ug/m3", &[hour], 0.0)).await;
        }
        house
    }

    async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Got {
        let path = path.replace(' ', "%20");
        let mut request = Request::get(path).header("host", "maps.test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).expect("a request")).await
    }

    async fn get(&self, path: &str) -> Got {
        self.get_with(path, &[]).await
    }

    async fn send(&self, request: Request<Body>) -> Got {
        let response = self.app.clone().oneshot(request).await.expect("it never fails");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Got { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Has a map made by a job, gives it to a network, and gives the map's name.
    async fn made(&self, network: Option<&str>, query: &str, table: String) -> String {
        let request = Request::post(format!("/v1/maps?{query}"))
            .header("content-type", "text/csv")
            .header("prefer", "respond-async")
            .body(table.into());
        let job = self.send(request.expect("a request")).await.is(201).json();
        let path = format!("/v1/jobs/{}", job["id"].as_str().expect("a name"));
        let begin = Instant::now();
        let map = loop {
            let status = self.get(&path).await.is(200).json();
            if status["status"] == "successful" {
                break status["map"].as_str().expect("a map").to_owned();
            }
            // The limit only ends a test that has failed.
            assert!(begin.elapsed() < Duration::from_secs(120), "{status}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let given = self
            .state
            .store()
            .write(|tx| tx.execute("UPDATE maps SET network = ?2 WHERE id = ?1", (&map, network)));
        assert_eq!(given.expect("a row"), 1);
        map
    }

    /// What `/v1/maps/{id}/values` says of a place.
    async fn value(&self, map: &str, variable: &str, [lon, lat]: [f64; 2]) -> f64 {
        let path = format!("/v1/maps/{map}/values?lon={lon}&lat={lat}");
        let told = self.get(&path).await.is(200).json();
        let series = told["values"].as_array().expect("series").iter();
        let found = series.clone().find(|s| s["variable"] == variable).expect("the variable");
        found["values"][0].as_f64().expect("a value")
    }
}

fn numbers(values: &Value) -> Vec<f64> {
    let all = values.as_array().expect("values").iter();
    all.map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

const POSITION: &str = "/collections/beijing/position?coords=POINT(116.73 40.21)";

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_a_network_with_its_extent_and_its_parameters() {
    let house = House::new().await;
    house.made(None, &format!("{DEGREES}&time=2026-01-01T05"), table("o3", "ppb", &[5], 0.0)).await;
    house.made(None, PLANE, table("so2", "ppb", &[7, 8], 0.0)).await;
    let landing = house.get("/").await.is(200).json();
    let links = landing["links"].as_array().expect("links");
    let data = links.iter().find(|link| link["rel"] == "data").expect("a link to the data");
    assert_eq!(data["href"], "http://maps.test/collections");
    let all = house.get("/collections").await.is(200);
    assert_eq!(all.header("content-type"), "application/json");
    let all = all.json();
    let ids = |all: &Value| -> Vec<String> {
        let all = all["collections"].as_array().expect("collections").iter();
        all.map(|each| each["id"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(ids(&all), ["beijing", "maps"]);
    for (query, found) in [
        ("bbox=116.5,39.5,117,40", &["beijing", "maps"][..]),
        ("bbox=0,0,10,10", &[]),
        ("datetime=2026-01-01T01:00:00Z", &["beijing"]),
        ("datetime=2026-01-01T05:00:00Z/..", &["maps"]),
        ("datetime=2026-01-02", &[]),
    ] {
        let some = house.get(&format!("/collections?{query}")).await.is(200).json();
        assert_eq!(ids(&some), found, "{query}");
    }
    let one = house.get("/collections/beijing?f=json").await.is(200).json();
    assert_eq!(one, all["collections"][0]);
    assert_eq!(one["title"], "Maps of network beijing");
    // Half a cell beyond the outer centres.
    assert_eq!(one["extent"]["spatial"]["bbox"], json!([[115.95, 38.95, 118.05, 41.05]]));
    let temporal = &one["extent"]["temporal"];
    assert_eq!(temporal["interval"], json!([["2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z"]]));
    assert_eq!(temporal["values"].as_array().map(Vec::len), Some(3));
    let pm25 = &one["parameter_names"]["pm25"];
    assert_eq!(pm25["unit"]["symbol"], "ug m-3", "{pm25}");
    let id = pm25["observedProperty"]["id"].as_str().expect("a standard name");
    assert!(id.contains("mass_concentration_of_pm2p5"), "{id}");
    assert!(one["parameter_names"]["pm25_standard_error"].is_object(), "{one}");
    for name in ["position", "area", "cube"] {
        let link = &one["data_queries"][name]["link"];
        assert_eq!(link["href"], format!("http://maps.test/collections/beijing/{name}"));
        assert_eq!(link["variables"]["default_output_format"], "CoverageJSON");
    }
    let other = house.get("/collections/maps").await.is(200).json();
    let names: Vec<&String> =
        other["parameter_names"].as_object().expect("parameters").keys().collect();
    assert_eq!(names, ["o3", "so2"]);
    assert!(other["description"].as_str().is_some_and(|text| text.contains("EPSG:32650")));
    let claimed = house.get("/conformance").await.is(200).text();
    assert!(claimed.contains("ogcapi-edr-1/1.1/conf/core"), "{claimed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_has_the_times_of_all_maps_and_the_newer_of_two() {
    let house = House::new().await;
    let got = house.get(POSITION).await.is(200);
    assert_eq!(got.header("content-type"), "application/prs.coverage+json");
    let series = got.json();
    assert_eq!(series["domain"]["domainType"], "PointSeries");
    let axes = &series["domain"]["axes"];
    let hours = ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"];
    assert_eq!(axes["t"]["values"], json!(hours));
    assert_eq!((&axes["x"]["values"], &axes["y"]["values"]), (&json!([116.73]), &json!([40.21])));
    let values = numbers(&series["ranges"]["pm25"]["values"]);
    // Every reading is one more in the next hour, and so is the map, but for four digits kept.
    assert!((values[1] - values[0] - 1.0).abs() < 0.05 && values[0] > 40.0, "{values:?}");
    assert_eq!(series["ranges"]["pm25_standard_error"]["shape"], json!([3]));
    let tag = got.header("etag").to_owned();
    let again = house.get_with(POSITION, &[("if-none-match", &tag)]).await.is(304);
    assert!(again.body.is_empty());
    // A later map of the second hour, and of a fourth.
    let map = house.made(Some("beijing"), DEGREES, table("pm25", "ug/m3", &[1, 3], 100.0)).await;
    let got = house.get_with(POSITION, &[("if-none-match", &tag)]).await.is(200).json();
    let later = numbers(&got["ranges"]["pm25"]["values"]);
    assert_eq!((later.len(), later[0], later[2]), (4, values[0], values[2]));
    let place = [116.73, 40.21];
    let alone = house.value(&map, "pm25", place).await;
    assert!((later[1] - alone).abs() < 1e-4 && later[1] > values[1] + 50.0, "{later:?} {alone}");
    // What a map has not is null.
    let errors = &got["ranges"]["pm25_standard_error"]["values"];
    assert!(errors[0].is_f64() && errors[3].is_null(), "{errors}");
    let lengths = |query: &str| {
        let path = format!("{POSITION}&parameter-name=pm25{query}");
        let house = &house;
        async move {
            let got = house.get(&path).await.is(200).json();
            assert_eq!(got["ranges"].as_object().map(|ranges| ranges.len()), Some(1));
            numbers(&got["ranges"]["pm25"]["values"]).len()
        }
    };
    assert_eq!(lengths("").await, 4);
    assert_eq!(lengths("&datetime=2026-01-01T01:00:00Z").await, 1);
    assert_eq!(lengths("&datetime=2026-01-01T01:00:00Z/..").await, 3);
    assert_eq!(lengths("&datetime=../2026-01-01T01:30:00Z").await, 2);
    assert_eq!(lengths("&datetime=2026-01-01").await, 4);
    let csv = house.get(&format!("{POSITION}&f=CSV&parameter_names=pm25")).await.is(200);
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let text = csv.text();
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!((rows.len(), rows[0]), (5, "lon,lat,time,variable,units,value"));
    assert!(rows[1].starts_with("116.73,40.21,2026-01-01T00:00:00Z,pm25,ug m-3,"), "{}", rows[1]);
    // Nothing there, nothing then.
    for path in [
        "/collections/beijing/position?coords=POINT(3 50)",
        "/collections/beijing/position?coords=POINT(116.5 40)&datetime=2027-01-01T00:00:00Z",
    ] {
        assert!(house.get(path).await.is(204).body.is_empty());
    }
    let two = house.get("/collections/beijing/position?coords=MULTIPOINT(116.5 40,3 50,476.6 40)");
    let two = two.await.is(200).json();
    assert_eq!(
        (two["type"].as_str(), two["coverages"].as_array().map(Vec::len)),
        (Some("CoverageCollection"), Some(2))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cube_has_the_cells_of_the_maps_and_an_area_those_within() {
    let house = House::new().await;
    let cube = house.get("/collections/beijing/cube?bbox=116.45,39.75,117.05,40.05").await.is(200);
    let cube = cube.json();
    assert_eq!(cube["domain"]["domainType"], "Grid");
    assert_eq!(cube["domain"]["axes"]["x"]["values"].as_array().map(Vec::len), Some(6));
    assert_eq!(cube["ranges"]["pm25"]["shape"], json!([3, 3, 6]));
    let values = numbers(&cube["ranges"]["pm25"]["values"]);
    let at = "/collections/beijing/position?coords=POINT(116.5 39.8)&parameter-name=pm25";
    let alone = numbers(&house.get(at).await.json()["ranges"]["pm25"]["values"]);
    assert!((values[0] - alone[0]).abs() < 1e-4 && (values[18] - alone[1]).abs() < 1e-4);
    // A triangle: the lower left half of the rectangle.
    let area = "/collections/beijing/area?coords=POLYGON((116.45 39.75,117.05 39.75,116.45 40.05))";
    let part = house.get(area).await.is(200).json();
    let some = numbers(&part["ranges"]["pm25"]["values"]);
    assert_eq!(some.len(), values.len());
    let missing = some.iter().filter(|value| value.is_nan()).count();
    assert!((18..36).contains(&missing), "{missing}");
    assert!(some.iter().zip(&values).all(|(a, b)| a.is_nan() || a == b));
    let two = "MULTIPOLYGON(((116.4 39.9,116.6 39.9,116.6 40.1,116.4 40.1)),((117.4 39.9,117.6 39.9,117.6 40.1,117.4 40.1)))";
    let hour = "f=csv&parameter-name=pm25&datetime=2026-01-01T00:00:00Z";
    let two = house.get(&format!("/collections/beijing/area?coords={two}&{hour}")).await.is(200);
    assert_eq!(two.text().lines().count(), 1 + 8);
    // A grid of its own: from end to end.
    let path = "/collections/beijing/cube?bbox=116.5,39.8,117,40.1&resolution-x=3&resolution-y=2";
    let own = house.get(&format!("{path}&parameter-name=pm25")).await.is(200).json();
    assert_eq!(own["domain"]["axes"]["x"]["values"], json!([116.5, 116.75, 117.0]));
    assert_eq!(own["ranges"]["pm25"]["shape"], json!([3, 2, 3]));
    let own = numbers(&own["ranges"]["pm25"]["values"]);
    assert!((own[0] - alone[0]).abs() < 1e-4, "{own:?}");
    assert!((own[1] - (values[2] + values[3]) / 2.0).abs() < 1e-4, "{own:?} {values:?}");
    assert!(house.get("/collections/beijing/cube?bbox=0,0,5,5").await.is(204).body.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_one_map_is_a_file_and_of_several_it_is_not() {
    let house = House::new().await;
    let area = "/collections/beijing/area?coords=POLYGON((116.45 39.75,117.05 39.75,116.45 40.05))";
    let time = "datetime=2026-01-01T01:00:00Z";
    let file = house.get(&format!("{area}&{time}&f=NetCDF")).await.is(200);
    assert_eq!(file.header("content-type"), "application/x-netcdf");
    let path = house._folder.path().join("part.nc");
    std::fs::write(&path, &file.body).expect("a file");
    let source = isopleth_engine::export::Source::open(&path).expect("a map");
    let chosen = isopleth_engine::export::Selection::default().find(&source).expect("all of it");
    let mut values = Vec::new();
    let read = source.rows(chosen.variables[0], 0, &chosen.window, false, |_, row| {
        values.extend_from_slice(row);
        Ok(())
    });
    read.expect("values");
    let json = house.get(&format!("{area}&{time}")).await.is(200).json();
    let told = numbers(&json["ranges"]["pm25"]["values"]);
    assert!(told.iter().any(|v| v.is_nan()) && told.iter().any(|v| !v.is_nan()));
    assert_eq!(values.len(), told.len());
    let same = |a: f64, b: f64| a.is_nan() && b.is_nan() || (a - b).abs() < 1e-5;
    assert!(values.iter().zip(&told).all(|(a, b)| same(*a, *b)), "{values:?} {told:?}");
    let tiff = house.get(&format!("{area}&{time}&f=GeoTIFF&parameter-name=pm25")).await.is(200);
    assert!(tiff.body.starts_with(b"II") && tiff.header("content-type").starts_with("image/tiff"));
    for (query, words) in [
        ("&f=NetCDF", "several"),
        ("&f=GeoTIFF&datetime=2026-01-01T01:00:00Z", "one parameter"),
        ("&f=NetCDF&datetime=2026-01-01T01:00:00Z&crs=CRS84", "as they are"),
    ] {
        let refused = house.get(&format!("{area}{query}")).await.is(400).text();
        assert!(refused.contains(words), "{query}: {refused}");
    }
    house.get(&format!("{area}&f=NetCDF&datetime=2030-01-01T01:00:00Z")).await.is(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn maps_in_a_plane_are_asked_for_by_degrees() {
    let house = House::new().await;
    let map = house.made(None, PLANE, table("so2", "ppb", &[7], 0.0)).await;
    let maps = house.get("/collections/maps").await.is(200).json();
    let bbox = numbers(&maps["extent"]["spatial"]["bbox"][0]);
    assert!(bbox[0] > 114.0 && bbox[2] < 118.0 && bbox[1] > 38.0 && bbox[3] < 41.0, "{bbox:?}");
    let place = [116.3, 39.7];
    let got = house.get("/collections/maps/position?coords=POINT(116.3 39.7)").await.is(200).json();
    let alone = house.value(&map, "so2", place).await;
    assert!((numbers(&got["ranges"]["so2"]["values"])[0] - alone).abs() < 1e-4);
    let cube = "/collections/maps/cube?bbox=116,39.5,116.6,39.9";
    let native = house.get(cube).await.is(200).json();
    let system = &native["domain"]["referencing"][0]["system"];
    assert_eq!(system["id"], "http://www.opengis.net/def/crs/EPSG/0/32650");
    let turned = house.get(&format!("{cube}&crs=CRS84")).await.is(200).json();
    let system = &turned["domain"]["referencing"][0]["system"];
    assert_eq!(system["id"], "http://www.opengis.net/def/crs/OGC/1.3/CRS84");
    let [x, y] = ["x", "y"].map(|axis| numbers(&turned["domain"]["axes"][axis]["values"]));
    assert_eq!((x[0], x[x.len() - 1], y[0], y[y.len() - 1]), (116.0, 116.6, 39.5, 39.9));
    assert_eq!(turned["ranges"]["so2"]["shape"], native["ranges"]["so2"]["shape"]);
    let middle = house.value(&map, "so2", [x[1], y[1]]).await;
    let values = numbers(&turned["ranges"]["so2"]["values"]);
    assert!((values[x.len() + 1] - middle).abs() < 1e-4);
    let csv = house.get(&format!("{cube}&f=csv")).await.is(200).text();
    let row = csv.lines().nth(1).expect("a row");
    let lon: f64 = row.split(',').next().and_then(|lon| lon.parse().ok()).expect("a longitude");
    assert!((115.9..116.7).contains(&lon), "{row}");
    let area = "/collections/maps/area?coords=POLYGON((116 39.5,116.6 39.5,116 39.9))&f=NetCDF";
    assert!(house.get(area).await.is(200).body.starts_with(b"\x89HDF"));
    // Two planes, two coverages; another unit of the same name, one more.
    house.made(None, DEGREES, table("so2", "ppb", &[7], 0.0)).await;
    house.made(None, DEGREES, table("so2", "ug/m3", &[8], 0.0)).await;
    let three = house.get(cube).await.is(200).json();
    assert_eq!(three["coverages"].as_array().map(Vec::len), Some(3), "{three}");
    let own = format!("{cube}&resolution-x=2&resolution-y=2");
    assert_eq!(house.get(&own).await.is(200).json()["coverages"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_by_its_name_with_what_there_is() {
    let house = House::with(ServiceConfig { max_json_values: 500, ..Default::default() }).await;
    let at = "/collections/beijing";
    for (path, status, parameter, words) in [
        ("/position", 400, "coords", "POINT(116.4 39.9)"),
        ("/position?coords=POINT(116", 400, "coords", "character 10"),
        ("/position?coords=POINT(39.9 116.4)", 400, "coords", "longitude comes first"),
        ("/position?coords=POLYGON((0 0,1 0,1 1))", 400, "coords", "`area`"),
        ("/position?coords=LINESTRING(0 0,1 1)", 400, "coords", "MULTIPOINT"),
        ("/position?coords=POINT(116 40)&coords=POINT(1 2)", 400, "coords", "twice"),
        ("/position?coords=POINT(116 40)&z=10", 400, "z", "unknown parameter"),
        ("/position?coords=POINT(116 40)&resolution-x=3", 400, "resolution-x", "unknown"),
        (
            "/position?coords=POINT(116 40)&parameter-name=no2",
            400,
            "parameter-name",
            "pm25_standard_error",
        ),
        ("/position?coords=POINT(116 40)&crs=EPSG:3857", 400, "crs", "CRS84"),
        ("/position?coords=POINT(116 40)&datetime=noon", 400, "datetime", "2024-03-01"),
        ("/position?coords=POINT(116 40)&f=NetCDF", 406, "", "f=covjson or f=csv"),
        ("/position?coords=POINT(116 40)&f=mp3", 406, "", "f=covjson"),
        ("/area?coords=POINT(116 40)", 400, "coords", "`position`"),
        ("/area?coords=POLYGON((116 39,117 40))", 400, "coords", "three different"),
        ("/cube", 400, "bbox", "west,south,east,north"),
        ("/cube?bbox=1,2,3", 400, "bbox", "3 numbers"),
        ("/cube?bbox=116,39,117,40&resolution-x=5", 400, "resolution-x", "both"),
        ("/cube?bbox=116,39,117,40", 413, "", "coarser resolution"),
        ("/cube?bbox=116,39,117,40&resolution-x=50&resolution-y=50", 413, "", "limit of 500"),
        ("/cube?bbox=116,39,117,40&f=png", 406, "", "f=netcdf"),
        ("?f=html", 406, "", "application/json"),
        ("?colour=red", 400, "colour", "unknown parameter"),
    ] {
        let got = house.get(&format!("{at}{path}")).await.is(status);
        assert_eq!(got.header("content-type"), "application/problem+json");
        let problem = got.json();
        assert!(
            problem["detail"].as_str().is_some_and(|text| text.contains(words)),
            "{path}: {problem}"
        );
        if !parameter.is_empty() {
            assert_eq!(problem["errors"][0]["parameter"], parameter, "{path}: {problem}");
        }
    }
    let small = house.get(&format!("{at}/cube?bbox=116.45,39.75,116.65,39.95")).await.is(200);
    assert!(small.body.len() > 100);
    for path in
        ["/collections/none", "/collections/none/position?coords=POINT(1 2)", "/collections/maps"]
    {
        let problem = house.get(path).await.is(404).text();
        assert!(problem.contains("GET /collections"), "{problem}");
    }
    for query in ["bbox=1,2", "datetime=x", "limit=3", "bbox=1,2,3,4&bbox=1,2,3,4"] {
        house.get(&format!("/collections?{query}")).await.is(400);
    }
    house.get_with("/collections", &[("accept", "image/png")]).await.is(406);
    let few = House::with(ServiceConfig { collection_max_maps: 2, ..Default::default() }).await;
    let refused = few.get(POSITION).await.is(413).text();
    assert!(refused.contains("more than 2 maps") && refused.contains("datetime"), "{refused}");
    few.get(&format!("{POSITION}&datetime=2026-01-01T01:00:00Z/..")).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn stations_of_a_registered_network_are_locations_by_their_codes() {
    let house = House::new().await;
    let none = house.get("/collections/beijing/locations").await.is(404).text();
    assert!(none.contains("no registered network"), "{none}");
    let one = house.get("/collections/beijing").await.is(200).json();
    assert!(one["data_queries"]["locations"].is_null());
    let stations = [("s0", 116.73, 40.21), ("s 1/\u{e9}", 116.5, 39.8), ("far", 3.0, 50.0)];
    let stations = stations.map(|(id, lon, lat)| json!({"id": id, "lon": lon, "lat": lat}));
    let document = json!({"title": "Air of Beijing", "stations": stations});
    let put = Request::put("/v1/networks/beijing").header("content-type", "application/json");
    house.send(put.body(document.to_string().into()).expect("a request")).await.is(201);
    let one = house.get("/collections/beijing").await.is(200).json();
    assert_eq!(one["title"], "Air of Beijing");
    let href = "http://maps.test/collections/beijing/locations";
    assert_eq!(one["data_queries"]["locations"]["link"]["href"], href);
    let got = house.get("/collections/beijing/locations").await.is(200);
    assert_eq!(got.header("content-type"), "application/geo+json");
    let all = got.json();
    let features = all["features"].as_array().expect("features");
    assert_eq!((&all["type"], features.len()), (&json!("FeatureCollection"), 3));
    assert_eq!(features[0]["geometry"], json!({"type": "Point", "coordinates": [116.73, 40.21]}));
    let told = &features[0]["properties"];
    assert_eq!(told["datetime"], "2026-01-01T00:00:00Z/2026-01-01T02:00:00Z");
    assert_eq!(told["parameter-name"], json!(["pm25", "pm25_standard_error"]));
    let some = house.get("/collections/beijing/locations?bbox=116,39,117,40&f=geojson").await;
    assert_eq!(some.is(200).json()["features"][0]["id"], "s 1/\u{e9}");
    // The same as at the place, whatever the code is made of.
    for (k, place) in ["116.73 40.21", "116.5 39.8"].into_iter().enumerate() {
        let href = features[k]["properties"]["edrqueryendpoint"].as_str().expect("an address");
        let path = href.strip_prefix("http://maps.test").expect("the host that was asked");
        let there = house.get(&format!("{path}?datetime=../2026-01-01T01:00:00Z")).await.is(200);
        let at = format!("/collections/beijing/position?coords=POINT({place})");
        let same = house.get(&format!("{at}&datetime=../2026-01-01T01:00:00Z")).await.is(200);
        assert_eq!(there.json(), same.json());
        assert_eq!(numbers(&same.json()["ranges"]["pm25"]["values"]).len(), 2);
    }
    house.get("/collections/beijing/locations/far").await.is(204);
    let unknown = house.get("/collections/beijing/locations/s9").await.is(404).text();
    assert!(unknown.contains("no station `s9`"), "{unknown}");
    house.get("/collections/beijing/locations?f=png").await.is(406);
    house.get("/collections/beijing/locations?bbox=1").await.is(400);
    house.get("/collections/none/locations").await.is(404);
    house.get("/collections/none/locations/s0").await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_went_leaves_its_collection_and_one_kept_before_comes_in() {
    let house = House::new().await;
    let values = async |path: &str| {
        let got = house.get(path).await.is(200).json();
        numbers(&got["ranges"]["pm25"]["values"]).len()
    };
    assert_eq!(values(POSITION).await, 3);
    let set = |sql: &str| house.state.store().write(|tx| tx.execute(sql, ())).expect("a row");
    // As maps are that were made before their heads were kept.
    assert_eq!(set("UPDATE maps SET head = NULL"), 3);
    assert_eq!(values(POSITION).await, 3);
    let gone = "UPDATE maps SET removed = 1, removed_why = 'over' WHERE time_first = (SELECT MAX(time_first) FROM maps)";
    assert_eq!(set(gone), 1);
    assert_eq!(values(POSITION).await, 2);
    let one = house.get("/collections/beijing").await.is(200).json();
    assert_eq!(one["extent"]["temporal"]["interval"][0][1], "2026-01-01T01:00:00Z");
    // The last one takes its collection with it.
    assert_eq!(set("UPDATE maps SET removed = 1, removed_why = 'over'"), 3);
    house.get("/collections/beijing").await.is(404);
    assert_eq!(house.get("/collections").await.is(200).json()["collections"], json!([]));
}
