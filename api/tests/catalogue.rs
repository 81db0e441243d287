//! Maps that are kept, over the router: found again, told of, in every form, in part, and after they went.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use isopleth_api::{AppState, ServiceConfig, jobs, router};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

/// A service with two maps: of hours of pm25, and later of so2 elsewhere.
struct House {
    app: Router,
    maps: [String; 2],
    _folder: TempDir,
}

struct Got {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

fn table(variable: &str, west: f64, day: u32) -> String {
    let mut text = format!("station,lon,lat,time,{variable}\n");
    for hour in 0..3 {
        for k in 0..30_u32 {
            let (x, y) = (f64::from(k * 37 % 100) / 10.0, f64::from(k * 53 % 80) / 10.0);
            let value = 40.0 + x * y + f64::from(hour);
            let lon = west + x;
            text.push_str(&format!("s{k},{lon},{y},2026-01-{day:02}T{hour:02}:00:00Z,{value}\n"));
        }
    }
    text
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = ServiceConfig { data_dir: Some(folder.path().into()), ..Default::default() };
        let state = AppState::new(config).expect("a state");
        jobs::start(&state);
        let mut house =
            Self { app: router(state), maps: [String::new(), String::new()], _folder: folder };
        let grid = "shape=41x33&kernel=linear&precision=f64";
        house.maps[0] = house.made(&format!("bounds=0,0,10,8&{grid}"), table("pm25", 0.0, 1)).await;
        house.maps[1] =
            house.made(&format!("bounds=50,0,60,8&{grid}"), table("so2", 50.0, 2)).await;
        house
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Got {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("a request");
        let response = self.app.clone().oneshot(request).await.expect("it never fails");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Got { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Got {
        self.get_with(path, &[]).await
    }

    async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Got {
        self.send(Method::GET, path, headers, Body::empty()).await
    }

    /// Has a map made by a job, and gives the map's name.
    async fn made(&self, query: &str, table: String) -> String {
        let headers = [("content-type", "text/csv"), ("prefer", "respond-async")];
        let path = format!("/v1/maps?{query}");
        let job = self.send(Method::POST, &path, &headers, table.into()).await.is(201).json();
        let path = format!("/v1/jobs/{}", job["id"].as_str().expect("a name"));
        let begin = Instant::now();
        loop {
            let status = self.get(&path).await.is(200).json();
            if status["status"] == "successful" {
                return status["map"].as_str().expect("a map").to_owned();
            }
            // The limit only ends a test that has failed.
            assert!(begin.elapsed() < Duration::from_secs(120), "{status}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn found(&self, query: &str) -> Vec<String> {
        let answer = self.get(&format!("/v1/maps?{query}")).await.is(200).json();
        let maps = answer["maps"].as_array().expect("a list").iter();
        maps.map(|map| map["id"].as_str().expect("a name").to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn maps_are_found_by_variable_time_and_place() {
    let house = House::new().await;
    let [first, second] = &house.maps;
    assert_eq!(house.found("").await, [second.clone(), first.clone()]);
    assert_eq!(house.found("variable=pm25").await, std::slice::from_ref(first));
    assert_eq!(house.found("latest=true").await, std::slice::from_ref(second));
    assert_eq!(house.found("latest=true&variable=pm25").await, std::slice::from_ref(first));
    assert_eq!(house.found("datetime=../2026-01-01T12:00:00Z").await, std::slice::from_ref(first));
    assert_eq!(house.found("datetime=2026-01-02T01:00:00Z").await, std::slice::from_ref(second));
    assert_eq!(house.found("bbox=52,1,53,2").await, std::slice::from_ref(second));
    assert!(house.found("bbox=20,1,30,2").await.is_empty());
    assert!(house.found("network=net").await.is_empty());
    let page = house.get("/v1/maps?limit=1").await.json();
    let next = page["next"].as_str().expect("another page");
    assert_eq!(house.get(next).await.json()["maps"][0]["id"], first.as_str());
    for (wrong, parameter) in [
        ("bbox=1,2,3", "bbox"),
        ("datetime=noon", "datetime"),
        ("variable=a&variable=b", "variable"),
        ("limit=0", "limit"),
        ("after=zzz", "after"),
        ("colour=red", "colour"),
    ] {
        let problem = house.get(&format!("/v1/maps?{wrong}")).await.is(422).json();
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_tells_what_it_is_and_comes_whole_in_part_or_not_at_all() {
    let house = House::new().await;
    let path = format!("/v1/maps/{}", house.maps[0]);
    let told = house.get(&path).await.is(200);
    let map = told.json();
    assert_eq!(map["variables"][0]["name"], "pm25");
    assert_eq!(map["times"][1], "2026-01-01T02:00:00Z");
    assert_eq!(map["report"]["network"]["used"], 30);
    let data = map["data"].as_str().expect("a path").to_owned();
    let whole = house.get(&data).await.is(200);
    assert_eq!(whole.header("content-type"), "application/x-netcdf");
    assert_eq!(blake3::hash(&whole.body).to_hex().as_str(), map["digest"]);
    let tag = whole.header("etag").to_owned();
    assert_eq!(tag, format!("\"{}\"", map["digest"].as_str().expect("text")));
    assert!(whole.header("last-modified").ends_with("GMT"), "{:?}", whole.headers);
    let known = house.get_with(&data, &[("if-none-match", &tag)]).await.is(304);
    assert!(known.body.is_empty());
    let some = house.get_with(&data, &[("range", "bytes=0-7")]).await.is(206);
    assert_eq!(&some.body[..], &whole.body[..8]);
    assert_eq!(some.header("content-range"), format!("bytes 0-7/{}", whole.body.len()));
    let end = house.get_with(&data, &[("range", "bytes=-5")]).await.is(206);
    assert_eq!(&end.body[..], &whole.body[whole.body.len() - 5..]);
    let beyond = house.get_with(&data, &[("range", "bytes=99999999-")]).await.is(416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{}", whole.body.len()));
    assert_eq!(beyond.json()["status"], 416);
    let changed = [("range", "bytes=0-7"), ("if-range", "\"other\"")];
    assert_eq!(house.get_with(&data, &changed).await.is(200).body.len(), whole.body.len());
    let head = house.send(Method::HEAD, &data, &[], Body::empty()).await.is(200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
    house.get("/v1/maps/none").await.is(404);
    house.get("/v1/maps/none/data").await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_comes_in_every_form_by_name_or_by_what_is_accepted() {
    let house = House::new().await;
    let data = format!("/v1/maps/{}/data", house.maps[0]);
    let one = "datetime=2026-01-01T01:00:00Z";
    for (form, kind, begin) in [
        ("geotiff", "image/tiff", &b"II"[..]),
        ("png", "image/png", b"\x89PNG"),
        ("geojson", "application/geo+json", b"{"),
        ("covjson", "application/prs.coverage+json", b"{"),
        ("json", "application/prs.coverage+json", b"{"),
        ("csv", "text/csv", b""),
        ("netcdf", "application/x-netcdf", b"\x89HDF"),
    ] {
        let got = house.get(&format!("{data}?f={form}&{one}")).await.is(200);
        assert!(got.header("content-type").starts_with(kind), "{form}: {:?}", got.headers);
        assert!(got.body.starts_with(begin) && got.body.len() > 100, "{form}");
        let accepted = house.get_with(&format!("{data}?{one}"), &[("accept", kind)]).await.is(200);
        assert_eq!(accepted.header("content-type"), got.header("content-type"), "{form}");
        // The same part of the same map is known again.
        let tag = got.header("etag").to_owned();
        let path = format!("{data}?f={form}&{one}");
        house.get_with(&path, &[("if-none-match", &tag)]).await.is(304);
    }
    let part = house.get(&format!("{data}?f=json&{one}&bbox=2,2,4,4&step=2")).await.is(200).json();
    let axes = &part["domain"]["axes"];
    let x = axes["x"]["values"]
        .as_array()
        .map_or_else(|| axes["x"]["num"].as_u64(), |v| Some(v.len() as u64));
    assert!(x.is_some_and(|x| x > 1 && x < 9), "{axes}");
    let picture = house.get(&format!("{data}?f=png&{one}&bare=true&palette=viridis")).await.is(200);
    assert!(picture.body.starts_with(b"\x89PNG"));
    house.get_with(&data, &[("accept", "audio/mpeg")]).await.is(406);
    house.get(&format!("{data}?f=mp3")).await.is(406);
    for wrong in ["f=png", "bbox=1,2", "step=x", "variable=o3", "datetime=2030-01-01", "colour=red"]
    {
        house.get(&format!("{data}?{wrong}")).await.is(422);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_makes_no_sense_is_told_in_the_words_of_the_query() {
    let house = House::new().await;
    let at = format!("/v1/maps/{}", house.maps[0]);
    for (path, parameter, words) in [
        ("data?f=png", "datetime", "choose one with datetime"),
        ("data?f=geojson&datetime=noon", "datetime", "`noon` selects no times"),
        ("data?datetime=1999-01-01", "datetime", "datetime=1999-01-01: the map has no such time"),
        ("data?variable=o3", "variable", "no map `o3`"),
        ("data?bbox=3,4,1,2", "bbox", "bbox=3,4,1,2: expected west,south"),
        ("data?bbox=170,1,171,2", "bbox", "no cell lies within"),
        ("data?step=0", "step", "step=0: expected a whole number"),
        ("data?palette=nope", "palette", "palette=nope: not known; known are viridis"),
        ("data?f=png&datetime=last&range=3,1", "range", "range=3,1: expected two"),
        ("data?f=png&datetime=last&size=1", "size", "size=1: pictures of"),
        ("data?f=geojson&datetime=last&levels=3,1", "levels", "level 1"),
        ("values?lon=1&lat=1&datetime=1999-01-01", "datetime", "datetime=1999-01-01: "),
        ("values?lon=1&lat=1&variable=o3", "variable", "no map `o3`"),
    ] {
        let problem = house.get(&format!("{at}/{path}")).await.is(422).json();
        let detail = problem["detail"].as_str().expect("a text");
        assert!(detail.contains(words) && !detail.contains("--"), "{path}: {detail}");
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{path}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_at_a_place_are_those_of_the_map() {
    let house = House::new().await;
    let values = format!("/v1/maps/{}/values", house.maps[0]);
    // A node of the grid: the value there.
    let got = house.get(&format!("{values}?lon=2.5&lat=2")).await.is(200);
    let told = got.json();
    assert_eq!(told["times"].as_array().map(Vec::len), Some(3));
    assert_eq!(told["values"][0]["variable"], "pm25");
    let at = |k: usize| told["values"][0]["values"][k].as_f64().expect("a value");
    // Every reading is one more in the next hour, and so is the map, to rounding.
    assert!((at(1) - at(0) - 1.0).abs() < 1e-6 && (at(2) - at(1) - 1.0).abs() < 1e-6, "{told}");
    let tag = got.header("etag").to_owned();
    let path = format!("{values}?lon=2.5&lat=2");
    house.get_with(&path, &[("if-none-match", &tag)]).await.is(304);
    let one = house.get(&format!("{path}&datetime=2026-01-01T01:00:00Z")).await.is(200).json();
    assert_eq!(one["values"][0]["values"], serde_json::json!([at(1)]));
    let csv = house.get(&format!("{path}&f=csv")).await.is(200);
    assert!(csv.header("content-type").starts_with("text/csv"));
    let coverage = house.get(&format!("{path}&f=covjson")).await.is(200).json();
    assert_eq!(coverage["type"], "Coverage");
    house.get(&format!("{values}?lon=50&lat=2")).await.is(422);
    house.get(&format!("{values}?lon=2.5")).await.is(422);
    house.get(&format!("{values}?lon=x&lat=2")).await.is(422);
}
