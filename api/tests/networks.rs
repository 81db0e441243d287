//! Registered networks over the router: what is kept, what maps of them are, what is refused and how it is told.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use isopleth_api::{AppState, ServiceConfig, router};
use serde_json::{Value, json};
use tower::ServiceExt;

const STATIONS: usize = 40;

fn app() -> Router {
    app_of(ServiceConfig::default())
}

fn app_of(config: ServiceConfig) -> Router {
    router(AppState::new(config).expect("a state"))
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// A refusal with this status.
    fn refused(&self, status: u16) -> Value {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        assert_eq!(self.status, status, "{text}");
        assert_eq!(self.header(header::CONTENT_TYPE), "application/problem+json", "{text}");
        self.json()
    }
}

async fn send(
    app: &Router,
    method: Method,
    path: &str,
    kind: &str,
    body: impl Into<Body>,
) -> Answer {
    send_with(app, method, path, &[("content-type", kind)], body).await
}

async fn send_with(
    app: &Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.into()).expect("a request");
    let response = app.clone().oneshot(request).await.expect("the router never fails");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    Answer { status, headers, body }
}

async fn put(app: &Router, document: &Value) -> Answer {
    send(app, Method::PUT, "/v1/networks/net", "application/json", document.to_string()).await
}

async fn post(app: &Router, query: &str, document: &Value) -> Answer {
    let path = format!("/v1/networks/net/maps{query}");
    send(app, Method::POST, &path, "application/json", document.to_string()).await
}

async fn get(app: &Router, path: &str) -> Answer {
    send_with(app, Method::GET, path, &[], Body::empty()).await
}

fn id(k: usize) -> String {
    format!("s{k:02}")
}

fn stations() -> Vec<Value> {
    let place = |k: usize| {
        (100.0 + (k * 7 % STATIONS) as f64 / 4.0, 30.0 + (k * 11 % STATIONS) as f64 / 5.0)
    };
    (0..STATIONS).map(|k| json!({"id": id(k), "lon": place(k).0, "lat": place(k).1})).collect()
}

fn network() -> Value {
    json!({"title": "Test", "stations": stations(), "units": {"pm25": "ug/m3", "co": "mg/m3"},
           "grid": {"bounds": [100, 30, 110, 38], "shape": [21, 17]}})
}

fn value(k: usize, t: usize) -> Option<f64> {
    // Some fall silent.
    (k % 13 != 5).then(|| 40.0 + ((k * k + t * 7) % 23) as f64)
}

fn by_id(t: usize) -> Value {
    let pairs = (0..STATIONS).rev().map(|k| (id(k), json!(value(k, t))));
    Value::Object(pairs.collect())
}

fn in_order(t: usize) -> Value {
    json!((0..STATIONS).map(|k| value(k, t)).collect::<Vec<_>>())
}

fn times() -> [&'static str; 2] {
    ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"]
}

/// Values and stations of a JSON answer: what two ways to ask must agree in.
fn map(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let all = answer.json();
    json!([all["values"], all["grid"], all["times"], all["stations"]])
}

#[tokio::test]
async fn values_alone_give_the_bits_of_a_whole_request_however_they_come() {
    let app = app();
    assert_eq!(put(&app, &network()).await.status, 201);
    let whole = json!({"grid": network()["grid"], "stations": stations(), "times": times(),
                       "values": {"pm25": [in_order(0), in_order(1)]}, "units": {"pm25": "ug/m3"}});
    let path = "/v1/maps?f=json";
    let wanted = map(&send(&app, Method::POST, path, "application/json", whole.to_string()).await);
    let by_id_ = json!({"times": times(), "values": {"pm25": [by_id(0), by_id(1)]}});
    assert_eq!(map(&post(&app, "?f=json", &by_id_).await), wanted);
    let ordered = json!({"times": times(), "values": {"pm25": [in_order(0), by_id(1)]}});
    assert_eq!(map(&post(&app, "?f=json", &ordered).await), wanted);
    let mut table = String::from("time,station,pm25\n");
    for (t, time) in times().iter().enumerate() {
        for k in (0..STATIONS).rev() {
            let value = value(k, t).map_or(String::new(), |v| v.to_string());
            table.push_str(&format!("{time},{},{value}\n", id(k)));
        }
    }
    let path = "/v1/networks/net/maps?f=json";
    assert_eq!(map(&send(&app, Method::POST, path, "text/csv", table).await), wanted);
}

#[tokio::test]
async fn one_time_or_none_and_what_a_request_says_itself_counts_before_the_network() {
    let app = app();
    put(&app, &network()).await;
    let one = json!({"time": times()[1], "values": {"pm25": by_id(1)}});
    let answer = post(&app, "?f=json", &one).await.json();
    assert_eq!(answer["times"], json!([times()[1]]));
    assert_eq!(answer["report"]["variables"][0]["units"], "ug/m3");
    let untimed = json!({"values": {"pm25": in_order(0)}, "units": {"pm25": "mg/m3"},
                         "grid": {"bounds": [100, 30, 104, 34], "shape": [5, 4]},
                         "method": {"kernel": "cubic"}});
    let answer = post(&app, "?f=json", &untimed).await.json();
    assert_eq!(answer["grid"]["lon"].as_array().map(Vec::len), Some(5));
    assert_eq!(answer["report"]["methods"][0]["kernel"], "cubic");
    assert_eq!(answer["report"]["variables"][0]["units"], "mg/m3");
    let file = post(&app, "", &one).await;
    assert_eq!(file.header(header::CONTENT_TYPE), "application/x-netcdf");
    assert!(file.body.starts_with(b"\x89HDF"), "a NetCDF-4 file");
    assert_eq!(file.header(header::CONTENT_LENGTH), file.body.len().to_string());
}

#[tokio::test]
async fn a_table_without_some_stations_is_the_map_of_the_whole_network() {
    let app = app();
    put(&app, &network()).await;
    let some: Value = Value::Object((8..STATIONS).map(|k| (id(k), json!(value(k, 0)))).collect());
    let document = json!({"values": {"pm25": some}});
    let wanted = map(&post(&app, "?f=json", &document).await);
    let mut table = String::from("station,pm25\n");
    (8..STATIONS).for_each(|k| {
        let value = value(k, 0).map_or(String::new(), |v| v.to_string());
        table.push_str(&format!("{},{value}\n", id(k)));
    });
    let path = "/v1/networks/net/maps?f=json";
    let answer = send(&app, Method::POST, path, "text/csv", table).await;
    assert_eq!(map(&answer), wanted);
    assert_eq!(answer.json()["report"]["network"]["read"], STATIONS);
}

#[tokio::test]
async fn unknown_stations_are_named_unless_they_are_to_be_left_out() {
    let app = app();
    put(&app, &network()).await;
    let mut values = by_id(0);
    (0..25).for_each(|k| values[format!("x{k:02}")] = json!(1.0));
    let mut document = json!({"values": {"pm25": values}});
    let problem = post(&app, "?f=json", &document).await.refused(422);
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(20));
    assert_eq!(problem["errors"][19]["station"], "x19");
    assert!(problem["detail"].as_str().expect("text").starts_with("25 of the stations"));
    document["unknown"] = json!("ignore");
    let without = post(&app, "?f=json", &document).await;
    let wanted = post(&app, "?f=json", &json!({"values": {"pm25": by_id(0)}})).await;
    assert_eq!(map(&without), map(&wanted));
    let table = "station,pm25\ns00,1\ns01,2\ns02,3\nx01,9\nx02,9\n";
    let path = "/v1/networks/net/maps?f=json";
    let problem = send(&app, Method::POST, path, "text/csv", table).await.refused(422);
    assert_eq!(problem["errors"][1]["station"], "x02");
    let path = format!("{path}&unknown=ignore");
    assert_eq!(send(&app, Method::POST, &path, "text/csv", table).await.status, 200);
}

#[tokio::test]
async fn what_does_not_fit_the_network_is_told_with_its_place() {
    let app = app();
    put(&app, &network()).await;
    let twice = r#"{"values": {"pm25": {"s00": 1, "s01": 2, "s00": 3}}}"#;
    let answer = send(&app, Method::POST, "/v1/networks/net/maps", "application/json", twice).await;
    let problem = answer.refused(422);
    assert_eq!(problem["errors"][0]["station"], "s00");
    let [first, second] = times();
    for (document, pointer, told) in [
        (json!({"values": {"pm25": [1, 2]}}), "/values/pm25", "2 values, 40 expected"),
        (
            json!({"times": times(), "values": {"pm25": [in_order(0), [1]]}}),
            "/values/pm25/1",
            "1 values, 40 expected",
        ),
        (json!({"times": times(), "values": {"pm25": by_id(0)}}), "/values/pm25", "1 rows"),
        (
            json!({"times": [second, first], "values": {"pm25": [by_id(0), by_id(1)]}}),
            "/times/1",
            "is before the one before",
        ),
        (
            json!({"times": [first, first], "values": {"pm25": [by_id(0), by_id(1)]}}),
            "/times/1",
            "the same as",
        ),
        (json!({"time": first, "times": times(), "values": {}}), "/times", "both"),
        (json!({"time": "noon", "values": {"pm25": by_id(0)}}), "/times/0", "noon"),
        (json!({"values": {"pm25": "x"}}), "/values/pm25", "values by station id"),
        (
            json!({"stations": stations(), "values": {"pm25": by_id(0)}}),
            "/stations",
            "unknown field",
        ),
    ] {
        let problem = post(&app, "", &document).await.refused(422);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        assert!(problem["detail"].as_str().expect("text").contains(told), "{problem}");
    }
    let answer = send(&app, Method::POST, "/v1/networks/no/maps", "application/json", "{}").await;
    answer.refused(404);
    let answer = send(&app, Method::POST, "/v1/networks/net/maps", "image/png", "").await;
    answer.refused(415);
}

#[tokio::test]
async fn a_network_comes_as_a_table_or_as_geojson_as_well() {
    let app = app();
    let mut table = String::from("station,lon,lat\n");
    let point = |s: &Value| {
        json!({"type": "Feature", "id": s["id"],
               "geometry": {"type": "Point", "coordinates": [s["lon"], s["lat"]]}})
    };
    let features: Vec<Value> = stations().iter().map(point).collect();
    for s in stations() {
        let code = s["id"].as_str().expect("an id");
        table.push_str(&format!("{code},{},{}\n", s["lon"], s["lat"]));
    }
    let query = "?bounds=100,30,110,38&shape=21x17&kernel=linear";
    let geojson = json!({"type": "FeatureCollection", "features": features}).to_string();
    let mut tags = Vec::new();
    for (name, kind, body) in [("t", "text/csv", table), ("g", "application/geo+json", geojson)] {
        let path = format!("/v1/networks/{name}{query}");
        let answer = send(&app, Method::PUT, &path, kind, body).await;
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        tags.push(answer.header(header::ETAG).to_owned());
    }
    assert_eq!(tags[0], tags[1], "the same document");
    let path = "/v1/networks/t/maps?f=json";
    let values = json!({"values": {"pm25": by_id(0)}}).to_string();
    let answer = send(&app, Method::POST, path, "application/json", values).await.json();
    assert_eq!(answer["report"]["methods"][0]["kernel"], "linear");
}

#[tokio::test]
async fn a_network_tells_stations_spacing_condition_and_the_latest_residuals() {
    let app = app();
    let mut document = network();
    let twin = json!({"id": "twin", "lon": stations()[3]["lon"], "lat": stations()[3]["lat"]});
    document["stations"].as_array_mut().expect("stations").push(twin);
    put(&app, &document).await;
    let told = get(&app, "/v1/networks/net").await.json();
    assert_eq!(told["survey"]["places"], STATIONS);
    assert_eq!(told["survey"]["merged"], json!([["s03", "twin"]]));
    let spacing = |which: &str| told["survey"][which].as_f64().expect("kilometres");
    assert!(
        spacing("least_spacing") > 1.0 && spacing("least_spacing") <= spacing("median_spacing")
    );
    assert_eq!(told["survey"]["methods"][0]["chosen_by"], "typical");
    assert!(told["survey"]["methods"][0]["condition"].as_f64().expect("a number") > 1.0);
    assert_eq!(told["stations"][0].get("leave_one_out"), None);
    let of = |t: usize| json!({"time": times()[t], "values": {"pm25": by_id(t)}});
    post(&app, "?f=json", &of(1)).await;
    let later = get(&app, "/v1/networks/net").await.json();
    assert_eq!(later["survey"]["methods"][0]["chosen_by"], "kept");
    let last = &later["stations"][0]["leave_one_out"]["pm25"];
    assert_eq!(last["time"], times()[1]);
    assert!(last["residual"].is_number());
    assert_eq!(later["stations"][5].get("leave_one_out"), None, "it is silent");
    // An earlier map is no news.
    post(&app, "?f=json", &of(0)).await;
    let again = get(&app, "/v1/networks/net").await.json();
    assert_eq!(&again["stations"][0]["leave_one_out"]["pm25"], last);
}

#[tokio::test]
async fn a_change_needs_what_the_client_has_read() {
    let app = app();
    let path = "/v1/networks/net";
    let first = put(&app, &network()).await;
    let tag = first.header(header::ETAG).to_owned();
    assert_eq!(first.header(header::LOCATION), path);
    let put_if = |name: &'static str, tag: String, document: Value| {
        let app = app.clone();
        async move {
            let headers = [("content-type", "application/json"), (name, tag.as_str())];
            send_with(&app, Method::PUT, path, &headers, document.to_string()).await
        }
    };
    put_if("if-none-match", "*".into(), network()).await.refused(412);
    let mut fewer = network();
    fewer["stations"].as_array_mut().expect("stations").truncate(20);
    let changed = put_if("if-match", tag.clone(), fewer.clone()).await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.json()["stations"], 20);
    put_if("if-match", tag.clone(), fewer).await.refused(412);
    let now = changed.header(header::ETAG).to_owned();
    assert_ne!(now, tag);
    let known = send_with(&app, Method::GET, path, &[("if-none-match", &now)], Body::empty()).await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    let stale = send_with(&app, Method::DELETE, path, &[("if-match", &tag)], Body::empty()).await;
    stale.refused(412);
    let gone = send_with(&app, Method::DELETE, path, &[("if-match", &now)], Body::empty()).await;
    assert_eq!(gone.status, 204);
    get(&app, path).await.refused(404);
    send_with(&app, Method::DELETE, path, &[], Body::empty()).await.refused(404);
    put_if("if-match", now, network()).await.refused(412);
}

#[tokio::test]
async fn networks_outlive_the_process_and_are_listed_by_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = || ServiceConfig { data_dir: Some(folder.path().into()), ..Default::default() };
    let before = app_of(config());
    for name in ["c", "a", "b"] {
        let path = format!("/v1/networks/{name}");
        send(&before, Method::PUT, &path, "application/json", network().to_string()).await;
    }
    drop(before);
    let app = app_of(config());
    let first = get(&app, "/v1/networks?limit=2").await.json();
    let ids = |page: &Value| -> Vec<Value> {
        let all = page["networks"].as_array().expect("a list").iter();
        all.map(|network| network["id"].clone()).collect()
    };
    assert_eq!(ids(&first), ["a", "b"]);
    assert_eq!(first["networks"][0]["title"], "Test");
    let second = get(&app, first["next"].as_str().expect("a page")).await.json();
    assert_eq!((ids(&second), second.get("next")), (vec![json!("c")], None));
    let document = json!({"values": {"pm25": by_id(0)}}).to_string();
    let path = "/v1/networks/b/maps?f=json";
    let answer = send(&app, Method::POST, path, "application/json", document).await;
    assert_eq!(answer.status, 200);
    get(&app, "/v1/networks?limit=0").await.refused(422);
    get(&app, "/v1/networks?page=1").await.refused(422);
}

#[tokio::test]
async fn what_makes_no_network_is_refused_with_its_place() {
    let app = app();
    let with = |k: usize, field: &str, value: Value| {
        let mut document = network();
        document["stations"][k][field] = value;
        document
    };
    let mut nothing = network();
    nothing["stations"] = json!([]);
    let mut grid = network();
    grid["grid"]["shape"] = json!([1_000_000, 1_000_000]);
    let mut method = network();
    method["method"] = json!({"kernel": "lineer"});
    for (document, status, pointer) in [
        (nothing, 422, "/stations"),
        (with(4, "id", json!("s03")), 422, "/stations/4/id"),
        (with(4, "id", json!(" ")), 422, "/stations/4/id"),
        (with(4, "id", Value::Null), 422, "/stations/4/id"),
        (with(4, "lat", json!(97)), 422, "/stations/4/1"),
        (with(4, "lat", json!("north")), 422, "/stations/4/lat"),
        (with(4, "colour", json!("red")), 422, "/stations/4/colour"),
        (grid, 413, "/grid"),
        (method, 422, "/method/kernel"),
    ] {
        let problem = put(&app, &document).await.refused(status);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    for name in [".", "..", "%2e%2E", "a%20b", "a%2Fb", "é", &"x".repeat(65)] {
        let path = format!("/v1/networks/{name}");
        let document = network().to_string();
        send(&app, Method::PUT, &path, "application/json", document).await.refused(422);
    }
    send(&app, Method::PUT, "/v1/networks/net", "text/plain", "").await.refused(415);
    send(&app, Method::PUT, "/v1/networks/net", "application/json", "{").await.refused(400);
    let table = "station,lon,lat\na,1,2\na,3,4\n";
    send(&app, Method::PUT, "/v1/networks/net", "text/csv", table).await.refused(422);
}

#[tokio::test]
async fn there_are_so_many_networks_and_bytes_and_no_more() {
    let few = app_of(ServiceConfig { max_networks: 1, ..Default::default() });
    assert_eq!(put(&few, &network()).await.status, 201);
    assert_eq!(put(&few, &network()).await.status, 200, "the one that is there may change");
    let other = "/v1/networks/other";
    let answer = send(&few, Method::PUT, other, "application/json", network().to_string()).await;
    assert!(answer.refused(413)["detail"].as_str().expect("text").contains("delete one first"));
    let small = app_of(ServiceConfig { max_networks_bytes: 1000, ..Default::default() });
    put(&small, &network()).await.refused(413);
    let stations = app_of(ServiceConfig { max_stations: 10, ..Default::default() });
    put(&stations, &network()).await.refused(413);
}

#[tokio::test]
async fn a_network_changed_or_deleted_meanwhile_is_as_it_was_for_whoever_began_before() {
    let app = app();
    put(&app, &network()).await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(4);
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let text = json!({"values": {"pm25": by_id(0)}}).to_string();
    let (begin, end) = text.split_at(50);
    sender.send(Ok(Bytes::from(begin.to_owned()))).await.expect("room");
    let running = {
        let app = app.clone();
        tokio::spawn(async move {
            let path = "/v1/networks/net/maps?f=json";
            send(&app, Method::POST, path, "application/json", Body::from_stream(stream)).await
        })
    };
    // The request has its network before its body: it has read what there is of it.
    while sender.capacity() < 4 {
        tokio::task::yield_now().await;
    }
    let gone = send_with(&app, Method::DELETE, "/v1/networks/net", &[], Body::empty()).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT.as_u16());
    sender.send(Ok(Bytes::from(end.to_owned()))).await.expect("the request reads on");
    drop(sender);
    let answer = running.await.expect("no panic");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.json()["report"]["network"]["used"], STATIONS);
}
