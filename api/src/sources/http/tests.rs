//! A server as there are: with marks, packed, slow, of changing mood, and on bad ways.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request as Asked, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response as Answer};
use flate2::Compression;
use flate2::write::GzEncoder;
use isopleth_engine::Cancel;
use jiff::tz::TimeZone;
use tokio::runtime::Runtime;

use super::*;

const ROWS: &str = "station,lon,lat,pm25\na,1,2,3\n";

/// Something that every environment of a test has.
const TOKEN: &str = "CARGO_PKG_NAME";

/// A server, and how often it was asked.
struct Server {
    address: SocketAddr,
    asked: Arc<AtomicU32>,
    _runtime: Runtime,
}

fn server() -> Server {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let asked = Arc::new(AtomicU32::new(0));
    let routes = Router::new().fallback(answer).with_state(asked.clone());
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    runtime.spawn(async move { axum::serve(listener, routes).await });
    Server { address, asked, _runtime: runtime }
}

async fn answer(State(asked): State<Arc<AtomicU32>>, request: Asked) -> Answer {
    let before = asked.fetch_add(1, Ordering::SeqCst);
    let (request, _) = request.into_parts();
    let header = |name: &str| {
        let value = request.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let place = |to: &str| (StatusCode::FOUND, [("location", to.to_owned())]).into_response();
    match request.uri.path() {
        "/in/2026112121.csv" => ROWS.into_response(),
        "/etag" if header("if-none-match") == "\"1\"" => StatusCode::NOT_MODIFIED.into_response(),
        "/etag" => ([("etag", "\"1\"")], ROWS).into_response(),
        "/since" if header("if-modified-since") == "Sat, 21 Nov 2026 13:00:00 GMT" => {
            StatusCode::NOT_MODIFIED.into_response()
        }
        "/since" => ([("last-modified", "Sat, 21 Nov 2026 13:00:00 GMT")], ROWS).into_response(),
        "/packed" => ([("content-encoding", "gzip")], packed(ROWS.as_bytes())).into_response(),
        "/bomb" => ([("content-encoding", "gzip")], packed(&vec![b'x'; 50 << 20])).into_response(),
        "/broken" => ([("content-encoding", "gzip")], "no gzip").into_response(),
        "/zstd" => ([("content-encoding", "zstd")], "?").into_response(),
        "/endless" => {
            let drops = std::iter::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 1 << 16]));
            Body::from_stream(tokio_stream::iter(drops)).into_response()
        }
        "/moody" if before < 2 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "/moody" => ROWS.into_response(),
        "/later" if before == 0 => {
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response()
        }
        "/later" => ROWS.into_response(),
        "/much-later" => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3600")]).into_response(),
        "/down" => StatusCode::BAD_GATEWAY.into_response(),
        "/slow" => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            ROWS.into_response()
        }
        "/key" if request.uri.query() == Some("k=isopleth-api") => ROWS.into_response(),
        "/key" => StatusCode::IM_A_TEAPOT.into_response(),
        "/token" if header("authorization") == "Bearer isopleth-api" => ROWS.into_response(),
        "/token" => StatusCode::FORBIDDEN.into_response(),
        "/moved" => place("etag"),
        "/away" => place("http://169.254.169.254/latest/meta-data?t=isopleth-api"),
        "/round" => place("/round"),
        "/empty" => "".into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn source(url: &str) -> HttpSource {
    let told = serde_json::json!({ "url": url, "attempts": 1, "timeout_seconds": 5 });
    serde_json::from_value(told).expect("a source")
}

impl Server {
    fn source(&self, path: &str) -> HttpSource {
        let source = source(&format!("http://{}{path}", self.address));
        source.check("air").expect("a source");
        source
    }

    fn count(&self) -> u32 {
        self.asked.swap(0, Ordering::SeqCst)
    }
}

fn fetch(source: &HttpSource, mark: Option<&str>) -> Result<Fetched, SourceError> {
    let (cancel, spill) = (Cancel::default(), std::env::temp_dir());
    let limits = Limits { name: "air", bytes: 1 << 20, spill: &spill, cancel: &cancel };
    let start = "2026-11-21T13:00:00Z".parse().expect("a time");
    let zone = TimeZone::get("Asia/Shanghai").expect("a zone");
    source.fetch(&Hour { start, zone }, Known { mark }, &limits)
}

fn text(fetched: Result<Fetched, SourceError>) -> (String, String) {
    match fetched {
        Ok(Fetched::Readings { body, gzip: false, mark: Some(mark), .. }) => {
            let mut text = String::new();
            body.into_reader().read_to_string(&mut text).expect("text");
            (text, mark)
        }
        other => panic!("expected readings, got {other:?}"),
    }
}

#[test]
fn an_hour_is_asked_for_by_its_address_and_not_sent_again_unless_it_changed() {
    let server = server();
    assert_eq!(text(fetch(&server.source("/in/{time:%Y%m%d%H}.csv"), None)).0, ROWS);
    let none = fetch(&server.source("/in/{time_utc:%Y%m%d%H}.csv"), None);
    assert!(
        matches!(&none, Ok(Fetched::NotYet(why)) if why.ends_with("/in/2026112113.csv answers 404 Not Found")),
        "{none:?}"
    );
    for path in ["/etag", "/since", "/packed", "/moved"] {
        let (rows, mark) = text(fetch(&server.source(path), None));
        assert_eq!(rows, ROWS, "{path}");
        let again = fetch(&server.source(path), Some(&mark));
        assert!(matches!(again, Ok(Fetched::Unchanged)), "{path} {mark}: {again:?}");
        let other =
            mark.replace("\"digest\":\"", "\"digest\":\"0").replace("\\\"1\\\"", "\\\"0\\\"");
        let changed = fetch(&server.source(path), Some(&other.replace("13:00", "12:00")));
        assert!(matches!(changed, Ok(Fetched::Readings { .. })), "{path}");
    }
    assert!(matches!(fetch(&server.source("/empty"), None), Ok(Fetched::NotYet(_))));
}

#[test]
fn more_than_may_be_is_not_received_packed_or_not() {
    let server = server();
    for path in ["/bomb", "/endless"] {
        let error = fetch(&server.source(path), None).expect_err(path);
        assert!(matches!(error, SourceError::TooLarge { .. }), "{path}: {error}");
    }
    let error = fetch(&server.source("/broken"), None).expect_err("no gzip");
    assert!(error.is_passing() && error.to_string().contains("broke off"), "{error}");
    assert!(!fetch(&server.source("/zstd"), None).expect_err("zstd").is_passing());
}

#[test]
fn a_server_of_changing_mood_is_asked_again_as_often_as_is_told() {
    let server = server();
    let with = |path: &str, attempts| HttpSource { attempts, ..server.source(path) };
    assert_eq!(text(fetch(&with("/moody", 3), None)).0, ROWS);
    assert_eq!(server.count(), 3);
    assert_eq!(text(fetch(&with("/later", 2), None)).0, ROWS);
    assert_eq!(server.count(), 2);
    let error = fetch(&with("/much-later", 9), None).expect_err("an hour is too long");
    assert!(error.is_passing() && server.count() == 1, "{error}");
    let error = fetch(&with("/down", 2), None).expect_err("down");
    assert!(error.is_passing() && error.to_string().contains("/down answers 502"), "{error}");
    assert_eq!(server.count(), 2);
    let slow = HttpSource { timeout_seconds: 1, ..with("/slow", 3) };
    let error = fetch(&slow, None).expect_err("slow");
    assert!(error.is_passing() && error.to_string().contains("timeout"), "{error}");
    assert_eq!(server.count(), 1);
    let nobody = source("http://127.0.0.1:1/x");
    assert!(fetch(&nobody, None).expect_err("nobody is there").is_passing());
}

#[test]
fn a_fetch_ends_between_attempts_when_the_service_stops() {
    let server = server();
    let source = HttpSource { attempts: 1000, timeout_seconds: 600, ..server.source("/down") };
    let (cancel, spill) = (Cancel::default(), std::env::temp_dir());
    let limits = Limits { name: "air", bytes: 1, spill: &spill, cancel: &cancel };
    let hour = Hour { start: jiff::Timestamp::UNIX_EPOCH, zone: TimeZone::UTC };
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| source.fetch(&hour, Known::default(), &limits));
        while server.asked.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        cancel.cancel();
        let ended = fetching.join().expect("no panic");
        assert!(matches!(ended, Err(SourceError::Cancelled { .. })), "{ended:?}");
    });
}

#[test]
fn secrets_come_from_elsewhere_and_are_in_no_message() {
    let server = server();
    let mut source = server.source("/token");
    let error = fetch(&source, None).expect_err("no token");
    assert!(!error.is_passing() && error.to_string().contains("headers and secrets"), "{error}");
    source.headers.insert("Authorization".to_owned(), format!("Bearer env:{TOKEN}"));
    source.check("air").expect("a source");
    assert_eq!(text(fetch(&source, None)).0, ROWS);
    source.url = format!("http://{}/away", server.address);
    let error = fetch(&source, None).expect_err("another host").to_string();
    assert!(error.contains("which is another host") && error.contains("t=***"), "{error}");
    source.url = format!("http://{}/key?k={{key}}", server.address);
    source.secrets.insert("key".to_owned(), format!("env:{TOKEN}"));
    source.check("air").expect("a source");
    assert_eq!(text(fetch(&source, None)).0, ROWS);
    source.url = format!("http://{}/key?q={{key}}", server.address);
    let error = fetch(&source, None).expect_err("a teapot").to_string();
    assert!(error.contains("/key?q=*** answers 418"), "{error}");
    assert!(!error.contains("isopleth-api"), "{error}");
    assert!(fetch(&server.source("/round"), None).expect_err("round").to_string().contains("next"));
}

#[test]
fn a_source_that_cannot_be_is_told_when_the_service_starts() {
    let told = |change: &dyn Fn(&mut HttpSource)| {
        let mut source = source("https://a.org/{time:%H}.csv");
        change(&mut source);
        source.check("air").map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    };
    let header = |name: &'static str, value: &'static str| {
        move |source: &mut HttpSource| {
            source.headers.insert(name.to_owned(), value.to_owned());
        }
    };
    let url = |url: &'static str| move |source: &mut HttpSource| source.url = url.to_owned();
    assert_eq!(told(&|_| ()), "fine");
    assert_eq!(told(&url("https://a.org")), "fine");
    assert_eq!(told(&header("accept", "text/csv")), "fine");
    for (got, word) in [
        (told(&url("https://{time:%H}.org/x")), "the host must be written out"),
        (told(&url("https://a.org{time:%H}/x")), "the host must be written out"),
        (told(&url("ftp://a.org/")), "does not begin with http"),
        (told(&url("https://me:pw@a.org/")), "a name or a password"),
        (told(&url("https://a.org/{key}")), "not known here"),
        (told(&|source| source.attempts = 0), "at least 1"),
        (told(&header("authorization", "Bearer abc")), "write env:NAME or file:PATH"),
        (told(&header("authorization", "env:NO_SUCH_NAME")), "no variable NO_SUCH_NAME"),
        (told(&header("x-token", "file:/no/such/file")), "/no/such/file"),
        (told(&header("a b", "c")), "no name of a header"),
        (told(&header("Host", "b.org")), "set by the service"),
        (told(&|source| source.ca_file = Some("/no/such.pem".into())), "ca_file: /no/such.pem"),
        (told(&|s| drop(s.secrets.insert("k".into(), "abc".into()))), "not the secret itself"),
        (
            told(&|s| drop(s.secrets.insert("k".into(), format!("env:{TOKEN}")))),
            "the url has no {k}",
        ),
    ] {
        assert!(got.contains(word) && !got.contains("pw") && !got.contains("abc"), "{word}: {got}");
    }
}
