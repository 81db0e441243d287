//! `/metrics` says what has happened, in a form that Prometheus reads.

use std::collections::{HashMap, HashSet};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use isopleth_api::doors::Auth;
use isopleth_api::{AppState, ServiceConfig, router};
use tower::ServiceExt;

const TABLE: &str = "station,lon,lat,time,pm25\n\
    a,101,31,2026-01-01T00:00Z,5\nb,108,32,2026-01-01T00:00Z,9\nc,104,37,2026-01-01T00:00Z,7\n";
const MAP: &str = "/v1/maps?bounds=100,30,110,38&shape=5x4&kernel=linear";

fn app() -> Router {
    router(AppState::new(ServiceConfig::default()).expect("a state"))
}

async fn get(app: &Router, path: &str, accept: &str) -> (u16, String, String) {
    let request = Request::get(path).header(header::ACCEPT, accept).body(Body::empty());
    let response = app.clone().oneshot(request.expect("a request")).await.expect("infallible");
    let status = response.status().as_u16();
    let kind = response.headers()[header::CONTENT_TYPE].to_str().expect("ASCII").to_owned();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, kind, String::from_utf8(body.to_vec()).expect("UTF-8"))
}

async fn post(app: &Router, path: &str) -> u16 {
    let request = Request::post(path).header(header::CONTENT_TYPE, "text/csv");
    let request = request.body(Body::from(TABLE)).expect("a request");
    let response = app.clone().oneshot(request).await.expect("infallible");
    let status = response.status().as_u16();
    response.into_body().collect().await.expect("a body");
    status
}

/// The value of a line, by its name and labels.
fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
}

#[tokio::test]
async fn requests_maps_errors_and_memory_are_counted() {
    let app = app();
    assert_eq!(post(&app, MAP).await, 200);
    assert_eq!(post(&app, &format!("{MAP}&f=json")).await, 200);
    assert_eq!(post(&app, "/v1/maps?bounds=1").await, 422);
    assert_eq!(get(&app, "/no/such/thing", "*/*").await.0, 404);
    let (status, kind, text) = get(&app, "/metrics", "*/*").await;
    assert_eq!((status, kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    let requests = |route: &str, method: &str, status: u16| {
        let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{status}\"");
        value(&text, &format!("isopleth_requests_total{{{labels}}}"))
    };
    assert_eq!(requests("/v1/maps", "POST", 200), 2.0);
    assert_eq!(requests("/v1/maps", "POST", 422), 1.0);
    assert_eq!(requests("none", "GET", 404), 1.0);
    for (name, expected) in [
        ("isopleth_maps_total", 2.0),
        ("isopleth_fields_total", 2.0),
        ("isopleth_cells_total", 40.0),
        ("isopleth_requests_in_flight", 1.0),
        ("isopleth_computing", 0.0),
        ("isopleth_waiting", 0.0),
        ("isopleth_map_predicted_bytes", 0.0),
        ("isopleth_factorisations_total{origin=\"computed\"}", 1.0),
        ("isopleth_factorisations_total{origin=\"memory\"}", 1.0),
    ] {
        assert_eq!(value(&text, name), expected, "{name}");
    }
    assert!(value(&text, "isopleth_loo_rmse{network=\"\",variable=\"pm25\"}") > 0.0);
    let (resident, peak) = ("isopleth_memory_resident_bytes", "isopleth_memory_peak_bytes");
    assert!(value(&text, resident) > 1e6 && value(&text, peak) >= value(&text, resident) * 0.9);
    assert!(value(&text, "isopleth_map_largest_predicted_bytes") > 1e6);
    let route = "route=\"/v1/maps\",method=\"POST\"";
    assert_eq!(value(&text, &format!("isopleth_request_duration_seconds_count{{{route}}}")), 3.0);
}

/// The rules that Prometheus' own checker has for the older text: a help and a type before the lines of a family,
/// once; counters end in `_total`, and nothing else does; classes of a histogram add up; no line twice.
#[tokio::test]
async fn the_text_keeps_the_rules_of_the_format() {
    let app = app();
    assert_eq!(post(&app, MAP).await, 200);
    let (_, _, text) = get(&app, "/metrics", "text/plain").await;
    let (mut kinds, mut seen) = (HashMap::<String, String>::new(), HashSet::new());
    let mut help = String::new();
    for line in text.lines() {
        if let Some(told) = line.strip_prefix("# HELP ") {
            let (name, words) = told.split_once(' ').expect("a name and words");
            assert!(words.len() > 5, "{line}");
            help = name.to_owned();
            continue;
        }
        if let Some(told) = line.strip_prefix("# TYPE ") {
            let (name, kind) = told.split_once(' ').expect("a name and a kind");
            assert_eq!(name, help, "help comes first");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
            continue;
        }
        let (series, number) = line.rsplit_once(' ').expect("a value");
        assert!(number == "NaN" || number.parse::<f64>().is_ok(), "{line}");
        assert!(seen.insert(series.to_owned()), "twice: {line}");
        let name = series.split('{').next().expect("a name");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        let parts = ["_bucket", "_sum", "_count"];
        let family = parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
        let kind = kinds.get(family).or_else(|| kinds.get(name));
        assert!(kind.is_some(), "no type for {line}");
        assert_eq!(family != name, kind.is_some_and(|kind| kind == "histogram"), "{line}");
    }
    let of = |what: &str| {
        let route = "{route=\"/v1/maps\",method=\"POST\"}";
        value(&text, &format!("isopleth_request_duration_seconds_{what}{route}"))
    };
    let last =
        "isopleth_request_duration_seconds_bucket{le=\"+Inf\",route=\"/v1/maps\",method=\"POST\"}";
    assert_eq!(value(&text, last), of("count"));
    assert!(of("sum") > 0.0);
}

#[tokio::test]
async fn open_metrics_is_told_to_whom_accepts_it() {
    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1";
    let (status, kind, text) = get(&app(), "/metrics", accept).await;
    assert_eq!(status, 200);
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[tokio::test]
async fn metrics_are_open_where_the_configuration_says_so() {
    for (metrics_open, status) in [(false, 401), (true, 200)] {
        let config = ServiceConfig { auth: Auth::On, metrics_open, ..ServiceConfig::default() };
        let app = router(AppState::new(config).expect("a state"));
        assert_eq!(get(&app, "/metrics", "*/*").await.0, status);
        assert_eq!(get(&app, "/v1/kernels", "*/*").await.0, 401);
    }
}

#[tokio::test]
async fn the_id_of_a_request_is_in_the_history_of_its_file() {
    let request = Request::post(MAP)
        .header(header::CONTENT_TYPE, "text/csv")
        .header("x-request-id", "noon-42")
        .body(Body::from(TABLE))
        .expect("a request");
    let response = app().oneshot(request).await.expect("infallible");
    assert_eq!(response.headers()["x-request-id"], "noon-42");
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    let words = b"POST /v1/maps, request noon-42";
    assert!(body.windows(words.len()).any(|window| window == words), "not in the file");
}
