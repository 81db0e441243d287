//! The doors: keys and their scopes, limits by client, connections, proxies, pages of other origins, HTTPS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use isopleth_api::config::Secret;
use isopleth_api::doors::keys::{self, NewKey};
use isopleth_api::doors::{Auth, KeyLimits, audit};
use isopleth_api::store::Store;
use isopleth_api::{AppState, ServeError, ServiceConfig, router, serve};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use tower::ServiceExt;

const TABLE: &str = "station,lon,lat,time,pm25\n\
    a,101,31,2026-01-01T00:00Z,5\nb,108,32,2026-01-01T00:00Z,9\nc,104,37,2026-01-01T00:00Z,7\n";
/// 20 cells.
const MAP: &str = "/v1/maps?bounds=100,30,110,38&shape=5x4&f=json";

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The words of a refusal.
    fn refused(&self, status: u16) -> String {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{text}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{text}");
        let problem: Value = serde_json::from_slice(&self.body).expect("JSON");
        problem["detail"].as_str().expect("a detail").to_owned()
    }
}

async fn send(app: &Router, request: Request<Body>) -> Answer {
    let (parts, body) = app.clone().oneshot(request).await.expect("infallible").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// A request with a key, or none where it is empty.
fn request(method: &str, path: &str, key: &str) -> Request<Body> {
    let mut builder = Request::builder().method(method).uri(path);
    if !key.is_empty() {
        builder = builder.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    if method == "POST" {
        builder = builder.header(header::CONTENT_TYPE, "text/csv");
    }
    let body = if method == "POST" { Body::from(TABLE) } else { Body::empty() };
    builder.body(body).expect("a request")
}

fn new_key(scopes: &str) -> NewKey {
    let scopes = scopes.parse().expect("scopes");
    NewKey {
        name: "test".into(),
        scopes,
        expires: None,
        limits: KeyLimits::default(),
        is_counted: true,
    }
}

/// A service with keys, its database, and the folder that holds it.
fn with_keys(config: ServiceConfig) -> (Router, Store, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let data_dir = Some(folder.path().to_owned());
    let state = AppState::new(ServiceConfig { auth: Auth::On, data_dir, ..config });
    let state = state.expect("a state");
    let store = state.store().clone();
    (router(state), store, folder)
}

fn made(store: &Store, new: &NewKey) -> String {
    keys::create(store, new, "a test").expect("a key").token
}

#[tokio::test]
async fn without_a_key_nothing_but_health_and_the_description_is_answered() {
    let (app, _store, _folder) = with_keys(ServiceConfig::default());
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs/", "/"] {
        assert_eq!(send(&app, request("GET", path, "")).await.status, 200, "{path}");
    }
    for (method, path) in
        [("GET", "/v1/kernels"), ("GET", "/metrics"), ("POST", MAP), ("GET", "/no/such")]
    {
        let answer = send(&app, request(method, path, "")).await;
        assert!(answer.refused(401).contains("isopleth keys create"), "{path}");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"isopleth\"");
        assert!(!answer.header("x-request-id").is_empty());
    }
}

#[tokio::test]
async fn a_key_is_taken_in_two_headers_and_nothing_like_one_is() {
    let (app, store, _folder) = with_keys(ServiceConfig::default());
    let key = made(&store, &new_key("read"));
    assert_eq!(send(&app, request("GET", "/v1/kernels", &key)).await.status, 200);
    let with = |name: &'static str, value: &str| {
        Request::get("/v1/kernels").header(name, value).body(Body::empty()).expect("a request")
    };
    assert_eq!(send(&app, with("x-api-key", &key)).await.status, 200);
    assert_eq!(send(&app, with("authorization", &format!("bearer {key}"))).await.status, 200);
    let wrong = key.replace("iso_", "iso_f");
    for other in ["", "x", "iso_abcd_short", &wrong, &key[..key.len() - 1]] {
        send(&app, with("x-api-key", other)).await.refused(401);
    }
    send(&app, with("authorization", &format!("Basic {key}"))).await.refused(401);
    let mut two = with("x-api-key", &wrong);
    let value = format!("Bearer {key}").parse().expect("a value");
    two.headers_mut().insert("authorization", value);
    assert!(send(&app, two).await.refused(401).contains("two different keys"));
}

#[tokio::test]
async fn a_scope_that_is_missing_is_named() {
    let (app, store, _folder) = with_keys(ServiceConfig::default());
    let (read, map) = (made(&store, &new_key("read")), made(&store, &new_key("map")));
    let estimate = MAP.replace("maps", "estimates").replace("&f=json", "");
    assert_eq!(send(&app, request("POST", &estimate, &read)).await.status, 200);
    let words = send(&app, request("POST", MAP, &read)).await.refused(403);
    assert!(words.contains("scope map") && words.contains("yours has read"), "{words}");
    assert_eq!(send(&app, request("POST", MAP, &map)).await.status, 200);
    let words = send(&app, request("GET", "/v1/kernels", &map)).await.refused(403);
    assert!(words.contains("scope read"), "{words}");
    assert_eq!(send(&app, request("GET", "/metrics", &read)).await.status, 200);
}

#[tokio::test]
async fn an_admin_sees_and_dismisses_the_jobs_of_others_and_nobody_else_does() {
    let config = ServiceConfig { job_concurrency: 0, ..ServiceConfig::default() };
    let (app, store, _folder) = with_keys(config);
    let [one, other, admin] =
        ["read,map", "read,map", "read,map,admin"].map(|scopes| made(&store, &new_key(scopes)));
    let mut job = request("POST", &MAP.replace("&f=json", ""), &one);
    job.headers_mut().insert("prefer", header::HeaderValue::from_static("respond-async"));
    let answer = send(&app, job).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    let job = answer.header("location").to_owned();
    let listed = async |key: &str| {
        let answer = send(&app, request("GET", "/v1/jobs", key)).await;
        let all: Value = serde_json::from_slice(&answer.body).expect("JSON");
        all["jobs"].as_array().map_or(0, Vec::len)
    };
    assert_eq!([listed(&one).await, listed(&other).await, listed(&admin).await], [1, 0, 1]);
    for method in ["GET", "DELETE"] {
        send(&app, request(method, &job, &other)).await.refused(404);
    }
    assert_eq!(send(&app, request("GET", &job, &admin)).await.status, 200);
    assert_eq!(send(&app, request("DELETE", &job, &admin)).await.status, 200);
    let acts = audit::last(&store, 1).expect("acts");
    let id = admin.split('_').nth(1).expect("an id");
    assert!(acts[0].act == "job dismissed" && acts[0].who.contains(id), "{acts:?}");
}

#[tokio::test]
async fn a_revoked_key_is_refused_within_seconds_and_an_expired_one_at_once() {
    let (app, store, _folder) = with_keys(ServiceConfig::default());
    let late = NewKey { expires: Some(1), ..new_key("read") };
    let late = made(&store, &late);
    assert!(
        send(&app, request("GET", "/v1/kernels", &late)).await.refused(401).contains("expired")
    );
    let key = made(&store, &new_key("read"));
    // Made after the keys were read: known a second later at the latest.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(send(&app, request("GET", "/v1/kernels", &key)).await.status, 200);
    let id = key.split('_').nth(1).expect("an id");
    keys::revoke(&store, &id.into(), "a test").expect("revoked");
    tokio::time::sleep(Duration::from_millis(5100)).await;
    send(&app, request("GET", "/v1/kernels", &key)).await.refused(401);
    let acts = audit::last(&store, 3).expect("acts");
    assert_eq!(acts[0].act, "key revoked");
    assert!(acts[0].about.contains(id) && acts[0].who == "a test", "{acts:?}");
}

#[tokio::test]
async fn a_key_of_the_configuration_is_there_from_the_start_and_a_wrong_one_is_told() {
    let key = format!("iso_boot_{}", "0f".repeat(32));
    let bootstrap_key = Some(Secret::new(key.clone()));
    let config = ServiceConfig { bootstrap_key, auth: Auth::Auto, ..ServiceConfig::default() };
    let app = router(AppState::new(config).expect("a state"));
    send(&app, request("GET", "/v1/kernels", "")).await.refused(401);
    assert_eq!(send(&app, request("GET", "/v1/kernels", &key)).await.status, 200);

    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("key");
    std::fs::write(&path, format!("{key}\n")).expect("a file");
    let file = |path| ServiceConfig { bootstrap_key_file: Some(path), ..Default::default() };
    let app = router(AppState::new(file(path)).expect("a state"));
    assert_eq!(send(&app, request("POST", MAP, &key)).await.status, 200);
    let error = AppState::new(file(folder.path().join("none"))).expect_err("no file");
    assert!(error.to_string().contains("bootstrap_key_file"), "{error}");
    let bootstrap_key = Some(Secret::new("hunter2"));
    let error = AppState::new(ServiceConfig { bootstrap_key, ..Default::default() });
    let error = error.expect_err("no key").to_string();
    assert!(error.contains("bootstrap_key") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn the_rate_of_a_client_is_told_and_past_it_is_429() {
    let config = ServiceConfig { requests_per_minute: 3, ..ServiceConfig::default() };
    let app = router(AppState::new(config).expect("a state"));
    for left in ["2", "1", "0"] {
        let answer = send(&app, request("GET", "/v1/kernels", "")).await;
        assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, left));
        assert_eq!(answer.header("x-ratelimit-limit"), "3");
    }
    let answer = send(&app, request("GET", "/v1/kernels", "")).await;
    assert!(answer.refused(429).contains("3 requests a minute"));
    let wait: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(answer.header("x-ratelimit-remaining"), "0");
    assert_eq!(send(&app, request("GET", "/healthz", "")).await.status, 200, "never refused");
}

#[tokio::test]
async fn who_tries_keys_is_counted_by_address_and_who_has_one_by_key() {
    let config = ServiceConfig { requests_per_minute: 2, ..ServiceConfig::default() };
    let (app, store, _folder) = with_keys(config);
    let own = KeyLimits { requests_per_minute: Some(5), ..KeyLimits::default() };
    let key = made(&store, &NewKey { limits: own, ..new_key("read") });
    let wrong = format!("iso_guess_{}", "0".repeat(64));
    for status in [401, 401, 429] {
        send(&app, request("GET", "/v1/kernels", &wrong)).await.refused(status);
    }
    let answer = send(&app, request("GET", "/v1/kernels", &key)).await;
    assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, "4"));
}

#[tokio::test]
async fn cells_of_a_day_run_out_and_a_new_service_remembers() {
    let config = ServiceConfig { cells_per_day: 50, ..ServiceConfig::default() };
    let folder = TempDir::new().expect("a folder");
    let config = ServiceConfig { data_dir: Some(folder.path().to_owned()), ..config };
    let (address, stop, service) = listening(config.clone()).await;
    let post = format!(
        "POST {MAP} HTTP/1.1\r\nhost: t\r\ncontent-type: text/csv\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{TABLE}",
        TABLE.len()
    );
    for _ in 0..2 {
        assert!(told(address, &post).await.starts_with("HTTP/1.1 200"));
    }
    stop.send(()).expect("it listens");
    service.await.expect("no panic").expect("in good order");
    let app = router(AppState::new(config).expect("a state"));
    let answer = send(&app, request("POST", MAP, "")).await;
    let words = answer.refused(429);
    assert!(words.contains("20 cells") && words.contains("10 are left"), "{words}");
    let wait: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=86_400).contains(&wait), "{wait}");
    let large = MAP.replace("5x4", "9x9");
    assert!(send(&app, request("POST", &large, "")).await.refused(413).contains("81 cells"));
}

#[tokio::test]
async fn a_proxy_that_is_trusted_speaks_for_its_clients_and_another_does_not() {
    let from = |client: &'static str| {
        Request::get("/v1/kernels")
            .header("x-forwarded-for", client)
            .body(Body::empty())
            .expect("a request")
    };
    // Requests that come through no connection are this machine's.
    let trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    let config = ServiceConfig { requests_per_minute: 1, ..ServiceConfig::default() };
    let trusting = ServiceConfig { trusted_proxies, ..config.clone() };
    let app = router(AppState::new(trusting).expect("a state"));
    assert_eq!(send(&app, from("10.0.0.1")).await.status, 200);
    assert_eq!(send(&app, from("10.0.0.2")).await.status, 200);
    send(&app, from("10.0.0.2")).await.refused(429);
    send(&app, from("6.6.6.6, 10.0.0.2")).await.refused(429);
    let app = router(AppState::new(config).expect("a state"));
    assert_eq!(send(&app, from("10.0.0.1")).await.status, 200);
    send(&app, from("10.0.0.2")).await.refused(429);
}

#[tokio::test]
async fn pages_of_listed_origins_may_use_the_service_and_others_may_not() {
    let config = ServiceConfig {
        cors_origins: vec!["https://maps.example.org".into()],
        auth: Auth::On,
        ..ServiceConfig::default()
    };
    let app = router(AppState::new(config).expect("a state"));
    let preflight = |origin: &'static str| {
        Request::options("/v1/maps")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
            .body(Body::empty())
            .expect("a request")
    };
    let answer = send(&app, preflight("https://maps.example.org")).await;
    assert_eq!(answer.status, 200, "a preflight has no key");
    let allowed = "access-control-allow-origin";
    assert_eq!(answer.header(allowed), "https://maps.example.org");
    for name in ["authorization", "range", "if-range", "idempotency-key", "webhook-url"] {
        let all = answer.header("access-control-allow-headers");
        assert!(all.split(',').any(|other| other == name), "{name}: {all}");
    }
    assert_eq!(send(&app, preflight("https://evil.example.org")).await.header(allowed), "");
    let refused = Request::get("/v1/kernels").header("origin", "https://maps.example.org");
    let answer = send(&app, refused.body(Body::empty()).expect("a request")).await;
    answer.refused(401);
    assert_eq!(answer.header(allowed), "https://maps.example.org", "the page may read why");
    let exposed = answer.header("access-control-expose-headers");
    assert!(exposed.split(',').any(|name| name == "content-range"), "{exposed}");
}

#[tokio::test]
async fn a_path_too_long_and_two_media_types_are_refused() {
    let app = router(AppState::new(ServiceConfig::default()).expect("a state"));
    let long = format!("/v1/kernels?x={}", "y".repeat(9000));
    assert!(send(&app, request("GET", &long, "")).await.refused(414).contains("8192"));
    let mut two = request("POST", MAP, "");
    two.headers_mut().append("content-type", "application/json".parse().expect("a value"));
    assert!(send(&app, two).await.refused(400).contains("two headers Content-Type"));
}

#[tokio::test]
async fn other_machines_need_a_key_or_the_word_that_everybody_may_come() {
    let listen = || async { TcpListener::bind("0.0.0.0:0").await.expect("a port") };
    let never = std::future::pending();
    let error = serve(ServiceConfig::default(), listen().await, never).await.expect_err("open");
    assert!(matches!(error, ServeError::Start(_)));
    let words = error.to_string();
    assert!(words.contains("isopleth keys create") && words.contains("\"off\""), "{words}");
    for auth in [Auth::On, Auth::Off] {
        let config = ServiceConfig { auth, ..ServiceConfig::default() };
        serve(config, listen().await, async {}).await.expect("told so");
    }
}

async fn listening(
    config: ServiceConfig,
) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<Result<(), ServeError>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let service = tokio::spawn(serve(config, listener, async {
        let _ = stopped.await;
    }));
    (address, stop, service)
}

/// What the service says to this, until it closes the connection.
async fn told(address: SocketAddr, request: &str) -> String {
    conversation(TcpStream::connect(address).await.expect("a connection"), request).await
}

async fn conversation(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut text = String::new();
    let reading = stream.read_to_string(&mut text);
    let read = tokio::time::timeout(Duration::from_secs(30), reading).await.expect("in time");
    read.expect("text");
    text
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_told_and_its_place_comes_back() {
    let config = ServiceConfig { max_connections_per_address: 1, ..ServiceConfig::default() };
    let (address, stop, service) = listening(config).await;
    let mut first = TcpStream::connect(address).await.expect("a connection");
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: t\r\n").await.expect("half a head");
    // It is accepted before the next one, which comes later.
    let mut second = TcpStream::connect(address).await.expect("a connection");
    let mut refusal = String::new();
    let read = second.read_to_string(&mut refusal).await;
    assert!(read.is_ok() && refusal.starts_with("HTTP/1.1 503"), "{refusal}");
    drop(first);
    let mut answer = String::new();
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let stream = TcpStream::connect(address).await.expect("a connection");
        answer = conversation(stream, HEALTH).await;
        if answer.starts_with("HTTP/1.1 200") {
            break;
        }
    }
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let _ = stop.send(());
    service.await.expect("no panic").expect("in good order");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_and_a_slow_head_are_closed() {
    let config = ServiceConfig { head_read_seconds: 1, ..ServiceConfig::default() };
    let (address, stop, service) = listening(config).await;
    for beginning in ["", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nhost: t\r\n\r\n"] {
        let stream = TcpStream::connect(address).await.expect("a connection");
        // Ends when the service closes it.
        let text = conversation(stream, beginning).await;
        assert_eq!(text.contains("HTTP/1.1 200"), beginning.ends_with("\r\n\r\n"), "{text}");
    }
    let _ = stop.send(());
    service.await.expect("no panic").expect("in good order");
}

/// A certificate for `localhost` made now, and a client that trusts it alone.
fn certificate(folder: &TempDir) -> ClientConfig {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).expect("a file");
    std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem())
        .expect("a file");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.expect("versions").with_root_certificates(roots).with_no_client_auth()
}

async fn over_tls(address: SocketAddr, client: &ClientConfig) -> std::io::Result<String> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client.clone()));
    let name = ServerName::try_from("localhost").expect("a name");
    Ok(conversation(connector.connect(name, stream).await?, HEALTH).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_spoken_and_a_new_certificate_is_taken_without_a_restart() {
    let folder = TempDir::new().expect("a folder");
    let first = certificate(&folder);
    let config = ServiceConfig {
        tls_certificate: Some(folder.path().join("cert.pem")),
        tls_key: Some(folder.path().join("key.pem")),
        ..ServiceConfig::default()
    };
    let (address, stop, service) = listening(config.clone()).await;
    let answer = over_tls(address, &first).await.expect("a trusted certificate");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let second = certificate(&folder);
    assert!(over_tls(address, &second).await.is_err(), "not read yet");
    let mut renewed = false;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        renewed = over_tls(address, &second).await.is_ok();
        if renewed {
            break;
        }
    }
    assert!(renewed, "the new certificate is taken");
    assert!(over_tls(address, &first).await.is_err(), "the old one is not shown any more");
    // A broken one is not taken.
    std::fs::write(folder.path().join("cert.pem"), "nonsense").expect("a file");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(over_tls(address, &second).await.is_ok());
    let _ = stop.send(());
    service.await.expect("no panic").expect("in good order");

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let error = serve(config, listener, async {}).await.expect_err("no certificate");
    assert!(error.to_string().contains("tls_certificate"), "{error}");
}
