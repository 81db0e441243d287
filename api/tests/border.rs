//! The service at its edges: packed bodies, a full house, broken and slow clients, odd readings,
//! what the headers say, and leaving while somebody waits.

use std::io::Write;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, header};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;
use isopleth_api::{AppState, ServiceConfig, router, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

const TABLE: &str = "station,lon,lat,time,pm25\n\
    a,101,31,2026-01-01T00:00Z,5\nb,108,32,2026-01-01T00:00Z,9\nc,104,37,2026-01-01T00:00Z,7\n";
const SMALL: &str = "/v1/maps?bounds=100,30,110,38&shape=5x4";
const JSON: &str = "application/json";

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The problem of a refusal.
    fn refused(&self, status: u16) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{text}");
        assert_eq!(self.header(header::CONTENT_TYPE), "application/problem+json", "{text}");
        self.json()
    }
}

async fn send(app: &Router, request: Request<Body>) -> Answer {
    let (parts, body) = app.clone().oneshot(request).await.expect("infallible").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

fn posting(path: &str, kind: &str) -> axum::http::request::Builder {
    Request::post(path).header(header::CONTENT_TYPE, kind)
}

async fn post(app: &Router, path: &str, kind: &str, body: impl Into<Body>) -> Answer {
    send(app, posting(path, kind).body(body.into()).expect("a request")).await
}

async fn get(app: &Router, path: &str) -> Answer {
    send(app, Request::get(path).body(Body::empty()).expect("a request")).await
}

fn app() -> Router {
    router(AppState::new(ServiceConfig::default()).expect("a state"))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// A table and a path that keep a thread busy for minutes.
fn long_work() -> (String, &'static str) {
    let mut table = String::from("station,lon,lat,pm25\n");
    for i in 0..1000_u32 {
        let (lon, lat) = (f64::from(i * 37 % 1000) / 20.0, f64::from(i) / 25.0);
        table.push_str(&format!("s{i},{lon},{lat},{}\n", i % 50));
    }
    let path = "/v1/maps?bounds=0,0,50,40&shape=10000x8000&tolerance=exact&kernel=matern52\
                &epsilon=0.01";
    (table, path)
}

#[tokio::test]
async fn a_gzipped_body_is_the_same_map_and_a_bomb_is_refused() {
    let config = ServiceConfig { max_body_bytes: 20_000, ..ServiceConfig::default() };
    let app = router(AppState::new(config).expect("a state"));
    let path = format!("{SMALL}&f=json");
    let coded = |coding: &str, body: Vec<u8>| {
        let request = posting(&path, "text/csv").header(header::CONTENT_ENCODING, coding);
        request.body(Body::from(body)).expect("a request")
    };
    let plain = post(&app, &path, "text/csv", TABLE).await;
    let packed = send(&app, coded("gzip", gzip(TABLE.as_bytes()))).await;
    assert_eq!((plain.status, packed.status), (200, 200));
    assert_eq!(plain.json()["values"], packed.json()["values"]);

    let mut long = TABLE.to_owned();
    while long.len() < 200_000 {
        long.push_str("a,101,31,2026-01-01T00:00Z,5\n");
    }
    let bomb = gzip(long.as_bytes());
    assert!(bomb.len() < 20_000);
    send(&app, coded("gzip", bomb)).await.refused(413);
    send(&app, coded("gzip", TABLE.into())).await.refused(400);
    let mut cut = gzip(TABLE.as_bytes());
    cut.truncate(cut.len() / 2);
    send(&app, coded("gzip", cut)).await.refused(400);
    send(&app, coded("br", TABLE.into())).await.refused(415);
}

#[tokio::test]
async fn points_are_answered_as_csv_or_json_and_not_as_netcdf() {
    let document = json!({
        "points": [{"lon": 101, "lat": 31}, {"lon": 105, "lat": 34}],
        "stations": [{"id": "a", "lon": 101, "lat": 31}, {"id": "b", "lon": 108, "lat": 32},
                     {"id": "c", "lon": 104, "lat": 37}],
        "values": {"pm25": [[5, 9, 7]]}, "units": {"pm25": "ug/m3"}
    });
    let by = |f: &'static str| {
        let document = document.to_string();
        async move { post(&app(), &format!("/v1/maps{f}"), JSON, document).await }
    };
    let csv = by("").await;
    assert_eq!((csv.status, csv.header(header::CONTENT_TYPE)), (200, "text/csv; charset=utf-8"));
    assert_eq!(String::from_utf8_lossy(&csv.body).lines().count(), 3);
    let json = by("?f=json").await.json();
    let value = json["values"]["pm25"][0][0][0].as_f64().expect("a number");
    assert!((value - 5.0).abs() < 1e-6, "a surface passes through its readings: {value}");
    assert_eq!(
        (&json["points"][1]["lon"], &json["units"]["pm25"]),
        (&105.0.into(), &"ug/m3".into())
    );
    by("?f=netcdf").await.refused(406);
}

#[tokio::test]
async fn how_sure_a_map_is_comes_in_files_and_tables() {
    let mut table = String::from("station,lon,lat,time,pm25\n");
    for k in 0..30_i32 {
        let (lon, lat) = (100.0 + f64::from(k * 7 % 30) / 3.0, 30.0 + f64::from(k) / 4.0);
        table += &format!("s{k},{lon},{lat},2026-01-01T00:00Z,{}\n", 20 + k * 11 % 17);
    }
    let layers = "uncertainty=reading&exceed=pm25=25&quantile=0.05,0.95&reject=suspect";
    let answer = post(&app(), &format!("{SMALL}&{layers}"), "text/csv", table.clone()).await;
    assert_eq!(answer.status, 200);
    let names = ["pm25_standard_error", "pm25_exceeds_25", "pm25_quantile_0_95"];
    for name in names {
        let found = answer.body.windows(name.len()).any(|bytes| bytes == name.as_bytes());
        assert!(found, "no {name} in the file");
    }
    let stations: Vec<_> =
        table.lines().skip(1).map(|l| l.split(',').collect::<Vec<_>>()).collect();
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let document = json!({
        "points": [{"lon": 103.1, "lat": 33.3}], "read": {"quality": {"reject": "bad", "valid_range": {"pm25": [null, 500]}}},
        "uncertainty": {"deviation": true, "of": "field", "exceed": {"pm25": 25}, "quantiles": [0.95]},
        "stations": stations.iter().map(|c| json!({"id": c[0], "lon": number(c[1]), "lat": number(c[2])}))
            .collect::<Vec<_>>(),
        "values": {"pm25": [stations.iter().map(|c| number(c[4])).collect::<Vec<_>>()]}
    });
    let csv = post(&app(), "/v1/maps", JSON, document.to_string()).await;
    let text = String::from_utf8_lossy(&csv.body).into_owned();
    assert_eq!(csv.status, 200, "{text}");
    let header = "lon,lat,pm25,pm25_standard_error,pm25_exceeds_25,pm25_quantile_0_95";
    assert_eq!(text.lines().next(), Some(header));
    assert!(!text.contains(",,") && text.lines().count() == 2, "{text}");
    post(&app(), "/v1/maps?f=json", JSON, document.to_string()).await.refused(422);
    for wrong in [
        "uncertainty=cell",
        "exceed=pm25",
        "exceed=o3=5",
        "quantile=2",
        "reject=some",
        "stuck=often",
    ] {
        post(&app(), &format!("{SMALL}&{wrong}"), "text/csv", table.clone()).await.refused(422);
    }
}

#[tokio::test]
async fn a_grid_in_a_plane_is_answered_with_its_coordinates_and_its_system() {
    let query = "/v1/maps?bounds=400000,3200000,600000,3400000&shape=3x2&crs=EPSG:32647&f=json";
    let answer = post(&app(), query, "text/csv", TABLE).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let map: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let axes = json!({"x": [400_000.0, 500_000.0, 600_000.0], "y": [3_200_000.0, 3_400_000.0],
        "crs": "EPSG:32647"});
    assert_eq!(map["grid"], axes);
    for (wrong, pointer) in
        [("crs=EPSG:1", "/grid/crs"), ("crs=EPSG:32647&metric=planar", "/grid/crs")]
    {
        let query = format!("/v1/maps?bounds=400000,3200000,600000,3400000&shape=3x2&{wrong}");
        let problem = post(&app(), &query, "text/csv", TABLE).await.refused(422);
        assert!(
            problem.to_string().contains(pointer) || problem.to_string().contains("crs"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn a_file_is_named_measured_and_not_left_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    let spill_dir = dir.path().to_owned();
    let app = router(
        AppState::new(ServiceConfig { spill_dir, ..ServiceConfig::default() }).expect("a state"),
    );
    let answer = post(&app, SMALL, "text/csv", TABLE).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header(header::CONTENT_DISPOSITION),
        "attachment; filename=\"map_pm25_2026-01-01T000000Z.nc\""
    );
    assert_eq!(answer.header(header::CONTENT_LENGTH), answer.body.len().to_string());
    post(&app, &format!("{SMALL}&kernel=cubic&degree=2"), "text/csv", TABLE).await.refused(422);
    assert_eq!(std::fs::read_dir(dir.path()).expect("the folder").count(), 0);
}

#[tokio::test]
async fn every_answer_has_the_request_id_and_a_wrong_method_is_told_the_right_one() {
    let request = Request::get("/healthz").header("x-request-id", "mine-7");
    let answer = send(&app(), request.body(Body::empty()).expect("a request")).await;
    assert_eq!((answer.status, answer.header("x-request-id")), (200, "mine-7"));
    let wrong = get(&app(), "/v1/crossvalidations").await;
    wrong.refused(405);
    assert_eq!(wrong.header(header::ALLOW), "POST");
    assert!(!wrong.header("x-request-id").is_empty());
    get(&app(), "/docs/no-such-file.js").await.refused(404);
}

#[tokio::test]
async fn the_documentation_asks_no_other_host() {
    let app = app();
    let page = get(&app, "/docs/").await;
    assert_eq!(page.status, 200);
    let initializer = get(&app, "/docs/swagger-initializer.js").await;
    for text in [page.body, initializer.body] {
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
    }
    let request = Request::get("/").header(header::ACCEPT, "text/html");
    let index = send(&app, request.body(Body::empty()).expect("a request")).await;
    assert_eq!((index.status, index.header(header::LOCATION)), (303, "/docs/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_house_refuses_at_once_and_a_client_that_leaves_makes_room() {
    let app = router(
        AppState::new(ServiceConfig {
            concurrency: Some(1),
            queue_length: 0,
            ..ServiceConfig::default()
        })
        .expect("a state"),
    );
    let first = {
        let (app, (table, path)) = (app.clone(), long_work());
        // The small requests below may hold the only place when it comes.
        tokio::spawn(async move {
            while post(&app, path, "text/csv", table.clone()).await.status == 503 {}
        })
    };
    let refused = until(&app, 503).await;
    assert_eq!(refused.refused(503)["type"], "urn:isopleth:problem:busy");
    let seconds: u64 = refused.header(header::RETRY_AFTER).parse().expect("seconds");
    assert!(seconds >= 1);
    first.abort();
    assert!(until(&app, 200).await.body.starts_with(b"\x89HDF"));
}

/// Asks for a small map until it is answered so.
async fn until(app: &Router, status: u16) -> Answer {
    let start = Instant::now();
    loop {
        let answer = post(app, SMALL, "text/csv", TABLE).await;
        if answer.status == status {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "still {}", answer.status);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn odd_readings_are_mapped_or_refused_with_a_reason() {
    let place = "station,lon,lat,time,v\n";
    let hour = |name: &str, lon: f64, lat: f64, value: &str| {
        format!("{name},{lon},{lat},2026-01-01T00:00Z,{value}\n")
    };
    let line = |k: i32| hour(&format!("s{k}"), 101.0 + f64::from(k), 34.0, "3");
    let three = |v: &str| {
        hour("a", 101.0, 31.0, v) + &hour("b", 108.0, 32.0, v) + &hour("c", 104.0, 37.0, v)
    };
    let on_a_line: String = (0..6).map(line).collect();
    for (table, choice, status) in [
        (hour("a", 101.0, 31.0, "3"), "", 200),
        (line(0) + &line(1), "&degree=1&metric=planar", 422),
        (on_a_line, "&degree=1&metric=planar", 422),
        (three("8"), "", 200),
        (three("inf"), "", 422),
        (three("NaN"), "", 422),
        (three("8") + "d,104,inf,2026-01-01T00:00Z,1\n", "", 422),
        (three("1") + &hour("z", 104.0, 37.0, "5"), "", 200),
        (three("1") + &hour("z", 104.0, 37.0, "5"), "&duplicates=error", 422),
        (three("1"), "&kernel=linear&smoothing=1,2", 422),
        (three("1"), "&kernel=linear&smoothing=1,2,3", 200),
        (three("1"), "&smoothing=1,2,3", 422),
        (three("1"), "&variable=so2", 422),
        (three("1"), "&zone=Mars/Olympus", 422),
    ] {
        let path = format!("{SMALL}&f=json{choice}");
        let answer = post(&app(), &path, "text/csv", format!("{place}{table}")).await;
        if status == 200 {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert_eq!(answer.status, 200, "{choice}: {text}");
        } else {
            assert!(answer.refused(status)["detail"].as_str().is_some_and(|d| d.len() > 20));
        }
    }
    let path = format!("{SMALL}&f=json");
    let flat = post(&app(), &path, "text/csv", format!("{place}{}", three("8"))).await;
    let cell = flat.json()["values"]["v"][0][3][4].as_f64().expect("a number");
    assert!((cell - 8.0).abs() < 1e-5, "equal readings make a flat map: {cell}");
}

#[tokio::test]
async fn an_hour_without_readings_is_null_and_the_others_are_mapped() {
    let document = json!({
        "grid": {"bounds": [100, 30, 110, 38], "shape": [3, 2]},
        "stations": [{"lon": 101, "lat": 31}, {"lon": 108, "lat": 32}, {"lon": 104, "lat": 37}],
        "times": ["2026-01-01T00:00Z", "2026-01-01T01:00Z"],
        "values": {"v": [[null, null, null], [1, 2, 3]]}
    });
    let answer = post(&app(), "/v1/maps?f=json", JSON, document.to_string()).await.json();
    let values = &answer["values"]["v"];
    assert!(values[0][1][2].is_null() && values[1][1][2].is_number(), "{answer}");
    assert!(answer["report"]["fields"][0]["failed"].is_string(), "{}", answer["report"]);
}

#[tokio::test]
async fn what_is_no_text_is_unreadable_whatever_it_claims() {
    let garbage: Vec<u8> = (0..2000_u32).map(|k| (k * k % 256) as u8).collect();
    let encoded = b"station,lon,lat,v\n\xb1\xb1\xbe\xa9,101,31,5\n".to_vec();
    for body in [garbage, encoded] {
        let problem = post(&app(), SMALL, "text/csv", body).await.refused(400);
        assert_eq!(problem["type"], "urn:isopleth:problem:unreadable");
    }
}

#[tokio::test]
async fn what_is_wrong_in_a_body_is_told_where_it_is_in_the_body() {
    let app = app();
    let feature = |lat: f64| {
        json!({"type": "Feature", "properties": {"pm25": 3},
            "geometry": {"type": "Point", "coordinates": [101.0, lat]}})
    };
    let all = json!({"type": "FeatureCollection", "features": [feature(31.0), feature(95.0)]});
    let told = post(&app, SMALL, "application/geo+json", all.to_string()).await.refused(422);
    let place = &told["errors"][0];
    assert_eq!(place["pointer"], "/features/1/geometry/coordinates", "{told}");
    assert_eq!(place["parameter"], Value::Null, "{told}");
    let wrong = SMALL.replace("5x4", "0x0");
    let told = post(&app, &wrong, "text/csv", TABLE).await.refused(422);
    assert_ne!(told["errors"][0]["parameter"], "grid", "there is no such parameter: {told}");
    let text = r#"{"stations": [], "values": {"pm25": [[NaN]]}}"#;
    let told = post(&app, "/v1/maps", "application/json", text).await.refused(400);
    let words = told["detail"].as_str().expect("a detail");
    assert!(words.contains("a missing reading is null"), "{words}");
}

#[tokio::test]
async fn documents_have_a_limit_of_their_own_and_so_have_variables() {
    let config = ServiceConfig { max_document_bytes: 400, max_variables: 3, ..Default::default() };
    let app = router(AppState::new(config).expect("a state"));
    let long = format!("{TABLE}{}", "d,104,36,2026-01-01T00:00Z,7\n".repeat(20));
    assert_eq!(post(&app, SMALL, "text/csv", long).await.status, 200);
    // A small one is in memory already.
    let document = json!({"grid": {"bounds": [100, 30, 110, 38], "shape": [5, 4]},
        "stations": [{"lon": 1, "lat": 2}], "values": {"a": [[1]], "b": [[1]], "c": [[1]], "d": [[1]]}});
    let told = post(&app, "/v1/maps", "application/json", document.to_string()).await.refused(413);
    assert!(told["detail"].as_str().expect("a detail").contains("4 variables"), "{told}");
    let blanks = format!("{}{document}", " ".repeat(300_000));
    let told = post(&app, "/v1/maps", "application/json", blanks).await.refused(413);
    assert!(told["detail"].as_str().expect("a detail").contains("400 bytes"), "{told}");
}

#[tokio::test]
async fn a_form_is_held_to_its_parts() {
    let part = |name: &str, text: &str| {
        format!("--B\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
    };
    let choices = r#"{"grid": {"bounds": [100,30,110,38], "shape": [5,4]}}"#;
    let (request, readings) = (part("request", choices), part("readings", TABLE));
    let bare = part("readings", "station,pm25\na,5\nb,9\nc,7\n");
    let places = part("stations", "station,lon,lat\na,101,31\nb,108,32\nc,104,37\n");
    let broken = part("request", r#"{"grid": {"bounds": [1,2,3]}}"#);
    let kind = "multipart/form-data; boundary=B";
    for (body, status) in [
        (format!("{request}{readings}--B--\r\n"), 200),
        (format!("{request}{bare}{places}--B--\r\n"), 200),
        (format!("{request}{bare}--B--\r\n"), 422),
        (format!("{request}--B--\r\n"), 422),
        (format!("{readings}--B--\r\n"), 422),
        (format!("{request}{request}{readings}--B--\r\n"), 422),
        (format!("{request}{readings}{}--B--\r\n", part("colour", "red")), 422),
        (format!("{broken}{readings}--B--\r\n"), 422),
        (format!("{request}{readings}"), 400),
    ] {
        let answer = post(&app(), "/v1/maps", kind, body).await;
        if status == 200 {
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        } else {
            answer.refused(status);
        }
    }
    let small = ServiceConfig { max_body_bytes: 200, ..ServiceConfig::default() };
    let small = router(AppState::new(small).expect("a state"));
    let large = format!("{request}{readings}--B--\r\n");
    post(&small, "/v1/maps", kind, large).await.refused(413);
    post(&app(), "/v1/maps", "multipart/form-data", "x").await.refused(400);
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_unreadable() {
    // The stream of a file whose reading fails at once: what a lost connection looks like.
    let folder = tokio::fs::File::open(std::env::temp_dir()).await.expect("a folder");
    let body = Body::from_stream(tokio_util::io::ReaderStream::new(folder));
    let answer = send(&app(), posting(SMALL, "text/csv").body(body).expect("a request")).await;
    answer.refused(400);
}

/// A service on a port of its own, and the word to stop it.
async fn listening(
    config: ServiceConfig,
) -> (std::net::SocketAddr, tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let service = tokio::spawn(async move {
        let shutdown = async {
            let _ = stopped.await;
        };
        serve(config, listener, shutdown).await.expect("in good order");
    });
    (address, stop, service)
}

async fn connect(address: std::net::SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("sent");
    stream
}

async fn answer_of(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    // A connection that is closed hard has no answer.
    let _ = tokio::time::timeout(Duration::from_secs(30), reading).await.expect("in time");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_too_slowly_is_told_or_left() {
    let config =
        ServiceConfig { head_read_seconds: 1, body_read_seconds: 1, ..ServiceConfig::default() };
    let (address, stop, service) = listening(config).await;
    let head = "POST /v1/maps HTTP/1.1\r\nhost: t\r\ncontent-type: text/csv\r\n";
    let body = format!("{head}content-length: 1000\r\n\r\nstation,lon");
    let (half_a_body, half_a_head) =
        tokio::join!(async { answer_of(connect(address, &body).await).await }, async {
            answer_of(connect(address, head).await).await
        });
    assert!(half_a_body.starts_with("HTTP/1.1 408"), "{half_a_body}");
    assert!(half_a_body.contains("urn:isopleth:problem:timeout"), "{half_a_body}");
    assert!(!half_a_head.contains("200 OK"), "{half_a_head}");
    stop.send(()).expect("it listens");
    tokio::time::timeout(Duration::from_secs(30), service).await.expect("it ends").expect("well");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_leaving_short_work_is_finished_and_long_work_cancelled_after_the_grace() {
    let (table, path) = long_work();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: t\r\ncontent-type: text/csv\r\ncontent-length: {}\r\n\r\n\
         {table}",
        table.len()
    );
    let config = ServiceConfig { grace_seconds: 1, ..ServiceConfig::default() };
    let (address, stop, service) = listening(config).await;
    let long = connect(address, &request).await;
    let short = format!(
        "POST {SMALL}&f=json HTTP/1.1\r\nhost: t\r\ncontent-type: text/csv\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{TABLE}",
        TABLE.len()
    );
    assert!(answer_of(connect(address, &short).await).await.starts_with("HTTP/1.1 200"));
    stop.send(()).expect("it listens");
    let told = answer_of(long).await;
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    assert!(told.contains("urn:isopleth:problem:stopping"), "{told}");
    tokio::time::timeout(Duration::from_secs(30), service).await.expect("it ends").expect("well");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
