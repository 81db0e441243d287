//! What may come through a socket besides honest requests: slow, broken, doubled, too large. Against the running
//! program, byte by byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::harness::Bench;
use crate::serve::Service;

const TABLE: &str = "station,lon,lat,time,pm25\n\
    a,101,31,2026-01-01T00:00Z,5\nb,108,32,2026-01-01T00:00Z,9\nc,104,37,2026-01-01T00:00Z,7\n";
const PATH: &str = "/v1/maps?bounds=100,30,110,38&shape=5x4&f=json";
const DOCUMENT: &str = r#"{"grid": {"bounds": [100, 30, 110, 38], "shape": [5, 4]},
    "stations": [{"id": "a", "lon": 101, "lat": 31}, {"id": "b", "lon": 108, "lat": 32}, {"id": "c", "lon": 104, "lat": 37}],
    "times": ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"],
    "values": {"pm25": [[5, 9, 7], [6, 8, 7]]}}"#;
/// Only ends a test that has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn connect(service: &Service) -> TcpStream {
    let stream = TcpStream::connect(&service.address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a patience");
    stream
}

/// All that is answered until the connection is closed, in whatever way.
fn rest(mut stream: TcpStream) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => all.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the service neither answers nor closes: {error}"),
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Sends all of it and reads until the end. What is refused before its end need not be taken.
fn say(service: &Service, bytes: &[u8]) -> String {
    let stream = connect(service);
    let mut sending = stream.try_clone().expect("a handle");
    let bytes = bytes.to_vec();
    let sender = std::thread::spawn(move || {
        let _ = sending.write_all(&bytes);
    });
    let answer = rest(stream);
    sender.join().expect("no panic");
    answer
}

fn head(path: &str, headers: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n{headers}\r\n")
}

fn post(path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let headers = format!("content-type: {kind}\r\ncontent-length: {}\r\n", body.len());
    [head(path, &headers).as_bytes(), body].concat()
}

/// The problem of a refusal.
fn problem(answer: &str, status: u16) -> Value {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "not {status}: {answer}");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    assert!(head.contains("application/problem+json"), "{answer}");
    serde_json::from_str(body).expect("JSON")
}

fn told(answer: &str, status: u16, words: &[&str]) -> Value {
    let problem = problem(answer, status);
    let detail = problem["detail"].as_str().expect("a detail");
    for word in words {
        assert!(detail.contains(word), "`{word}` is not in: {detail}");
    }
    problem
}

/// An honest request is answered: nothing was left behind by those before.
fn is_well(service: &Service) {
    let begin = Instant::now();
    loop {
        let answer = say(service, &post(PATH, "text/csv", TABLE.as_bytes()));
        // A place that was freed a moment ago may still be counted.
        if answer.starts_with("HTTP/1.1 503") && begin.elapsed() < PATIENCE {
            continue;
        }
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        return;
    }
}

/// What is told to whoever sends a body piece by piece; another one is answered meanwhile.
fn trickle(service: &Service, headers: &str, piece: &'static str) -> String {
    let path = if headers.contains("csv") { PATH } else { "/v1/maps" };
    let mut stream = connect(service);
    stream.write_all(head(path, headers).as_bytes()).expect("sent");
    let mut slow = stream.try_clone().expect("a handle");
    let trickle = std::thread::spawn(move || {
        let begin = Instant::now();
        while slow.write_all(piece.as_bytes()).is_ok() {
            assert!(begin.elapsed() < PATIENCE, "it goes on for ever");
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    is_well(service);
    let told = rest(stream);
    trickle.join().expect("it was cut off");
    told
}

#[test]
fn who_sends_a_body_byte_by_byte_is_told_and_keeps_nobody_waiting() {
    let bench = Bench::new();
    let settings = [
        ("ISOPLETH_SERVE_BODY_STALL_SECONDS", "1"),
        ("ISOPLETH_SERVE_BODY_BYTES_PER_SECOND", "1000"),
        ("ISOPLETH_SERVE_CONCURRENCY", "1"),
        ("ISOPLETH_SERVE_QUEUE_LENGTH", "0"),
    ];
    let service = Service::with(&bench, &settings);
    let kinds = [
        ("content-type: text/csv\r\ncontent-length: 100000\r\n", "1"),
        ("content-type: application/json\r\ntransfer-encoding: chunked\r\n", "1\r\n \r\n"),
        ("content-type: multipart/form-data; boundary=B\r\ncontent-length: 9999\r\n", "-"),
    ];
    for (headers, piece) in kinds {
        let begin = Instant::now();
        let slow = loop {
            let slow = trickle(&service, headers, piece);
            // Now and then the only place is another one's still when it comes.
            if !slow.starts_with("HTTP/1.1 503") {
                break slow;
            }
            assert!(begin.elapsed() < PATIENCE, "it never has a place: {slow}");
        };
        told(&slow, 408, &["at least 1000 a second"]);
        is_well(&service);
    }
    assert_eq!(service.stop(), 0);
}

#[test]
fn a_head_byte_by_byte_and_an_idle_connection_are_closed() {
    let bench = Bench::new();
    let service = Service::with(&bench, &[("ISOPLETH_SERVE_HEAD_READ_SECONDS", "1")]);
    let idle = connect(&service);
    let stream = connect(&service);
    let mut slow = stream.try_clone().expect("a handle");
    let trickle = std::thread::spawn(move || {
        let (begin, mut head) = (Instant::now(), "GET /healthz HTTP/1.1\r\n".bytes());
        let mut sent = 0;
        while slow.write_all(&[head.next().unwrap_or(b'x')]).is_ok() {
            assert!(begin.elapsed() < PATIENCE, "it goes on for ever");
            std::thread::sleep(Duration::from_millis(100));
            sent += 1;
        }
        sent
    });
    assert!(!rest(stream).contains(" 200 "));
    assert!(trickle.join().expect("it was closed") > 1);
    assert_eq!(rest(idle), "");
    is_well(&service);
    assert_eq!(service.stop(), 0);
}

#[test]
fn connections_beyond_the_limits_are_told_to_come_back_and_places_come_back() {
    let bench = Bench::new();
    let settings = [
        ("ISOPLETH_SERVE_MAX_CONNECTIONS_PER_ADDRESS", "3"),
        ("ISOPLETH_SERVE_HEAD_READ_SECONDS", "60"),
    ];
    let service = Service::with(&bench, &settings);
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&service);
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: t\r\n\r\n").expect("sent");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("it has a place");
        assert_eq!(&answer, b"HTTP/1.1 200");
        held.push(stream);
    }
    let refused = rest(connect(&service));
    told(&refused, 503, &["every connection"]);
    assert!(refused.contains("retry-after: "), "{refused}");
    held.pop();
    let begin = Instant::now();
    let again = || {
        let mut stream = connect(&service);
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n");
        rest(stream)
    };
    while !again().starts_with("HTTP/1.1 200") {
        assert!(begin.elapsed() < PATIENCE, "the place does not come back");
    }
    drop(held);
    assert_eq!(service.stop(), 0);
}

#[test]
fn half_a_body_and_wrong_lengths_are_told_or_closed() {
    let bench = Bench::new();
    let service = Service::with(&bench, &[("ISOPLETH_SERVE_BODY_STALL_SECONDS", "1")]);
    // Half, and then the client says that it has no more.
    let mut stream = connect(&service);
    let whole = post(PATH, "text/csv", TABLE.as_bytes());
    stream.write_all(&whole[..whole.len() - 20]).expect("sent");
    stream.shutdown(Shutdown::Write).expect("it may");
    told(&rest(stream), 400, &["broke off"]);
    // Half, and then nothing.
    let mut stream = connect(&service);
    stream.write_all(&whole[..whole.len() - 20]).expect("sent");
    told(&rest(stream), 408, &["came in 1 s"]);
    let with = |length: &str| {
        let headers = format!("content-type: text/csv\r\ncontent-length: {length}\r\n");
        [head(PATH, &headers).as_bytes(), TABLE.as_bytes()].concat()
    };
    // Cut off by its own length: the last row is half a row.
    let cut = (TABLE.len() - 5).to_string();
    assert!(say(&service, &with(&cut)).starts_with("HTTP/1.1 "));
    let beyond = say(&service, &with("1000000000000"));
    assert!(beyond.starts_with("HTTP/1.1 408") || beyond.starts_with("HTTP/1.1 413"), "{beyond}");
    for wrong in ["-1", "x", "5, 6", "99999999999999999999", "+5", "0x10", ""] {
        let answer = say(&service, &with(wrong));
        assert!(answer.starts_with("HTTP/1.1 400"), "{wrong}: {answer}");
    }
    is_well(&service);
    assert_eq!(service.stop(), 0);
}

#[test]
fn one_request_is_never_read_as_two() {
    let bench = Bench::new();
    let service = Service::with(&bench, &[]);
    // Whoever reads to the end of the chunks sees one request more than who counts the length.
    let inner = "GET /healthz HTTP/1.1\r\nhost: t\r\n\r\n";
    let smuggled = format!("0\r\n\r\n{inner}");
    let long = smuggled.len();
    let cases = [
        format!("content-length: {long}\r\ntransfer-encoding: chunked\r\n"),
        format!("transfer-encoding: chunked\r\ncontent-length: {long}\r\n"),
        format!("content-length: {long}\r\ncontent-length: 5\r\n"),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".to_owned(),
        "transfer-encoding: identity, chunked, x\r\n".to_owned(),
        "transfer-encoding: xchunked\r\n".to_owned(),
        format!("content-length : {long}\r\n"),
        format!(" content-length: {long}\r\n"),
        format!("x: y\r\n\tz\r\ncontent-length: {long}\r\ntransfer-encoding:\u{b}chunked\r\n"),
    ];
    for headers in &cases {
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nhost: t\r\ncontent-type: text/csv\r\n{headers}\r\n{smuggled}"
        );
        let answer = say(&service, head.as_bytes());
        assert!(!answer.contains("\"ok\"") && !answer.contains(" 200 "), "{headers:?}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{headers:?}: {answer}");
    }
    // A length beside chunks of an older protocol version.
    let old =
        format!("POST {PATH} HTTP/1.0\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n{smuggled}");
    assert!(say(&service, old.as_bytes()).matches("HTTP/1.").count() <= 1);
    // Two honest ones after each other are two.
    let both = format!("{inner}{}", inner.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"));
    assert_eq!(say(&service, both.as_bytes()).matches("HTTP/1.1 200").count(), 2);
    assert_eq!(service.stop(), 0);
}

#[test]
fn what_is_far_too_much_is_refused_and_costs_nothing() {
    let bench = Bench::new();
    let service = Service::with(&bench, &[]);
    let before = service.peak_bytes();
    let long = format!("GET /healthz HTTP/1.1\r\nhost: t\r\nx: {}\r\n\r\n", "y".repeat(10 << 20));
    // Closed with bytes on the way that nobody wants, a connection may lose the answer.
    let refused = |answer: &str| answer.is_empty() || answer.starts_with("HTTP/1.1 4");
    assert!(refused(&say(&service, long.as_bytes())));
    let many: String = (0..100_000).map(|k| format!("x-{k}: v\r\n")).collect();
    let many = format!("GET /healthz HTTP/1.1\r\nhost: t\r\n{many}\r\n");
    assert!(refused(&say(&service, many.as_bytes())));
    let many: String = (0..150).map(|k| format!("x-{k}: v\r\n")).collect();
    let many = format!("GET /healthz HTTP/1.1\r\nhost: t\r\n{many}\r\n");
    assert!(say(&service, many.as_bytes()).starts_with("HTTP/1.1 431"));
    let query: String = (0..100_000).map(|k| format!("&p{k}=1")).collect();
    let answer = say(&service, &post(&format!("{PATH}{query}"), "text/csv", TABLE.as_bytes()));
    assert!(refused(&answer), "{answer}");
    let answer = say(&service, &post(&format!("{PATH}{}", &query[..9000]), "text/csv", b""));
    told(&answer, 414, &["8192"]);
    // As many as a head may hold.
    let query: String = (0..1000).map(|k| format!("&p{k}=1")).collect();
    let answer = say(&service, &post(&format!("{PATH}{query}"), "text/csv", TABLE.as_bytes()));
    told(&answer, 422, &["p0"]);
    for deep in ["[".repeat(1_000_000), "{\"a\":".repeat(1_000_000)] {
        for document in [deep.clone(), format!("{{\"stations\":{deep}")] {
            let answer = say(&service, &post("/v1/maps", "application/json", document.as_bytes()));
            let status: u16 = answer[9..12].parse().expect("a status");
            assert!(status == 400 || status == 422, "{answer}");
        }
    }
    let grown = service.peak_bytes() - before;
    assert!(grown < 64 << 20, "{grown} bytes for requests that are refused");
    is_well(&service);
    assert_eq!(service.stop(), 0);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn bodies_that_are_not_what_they_claim_to_be_are_told() {
    let bench = Bench::new();
    let service = Service::with(&bench, &[]);
    let (csv, json) = ("text/csv", "application/json");
    let two = "text/csv\r\ncontent-type: application/json";
    told(&say(&service, &post(PATH, two, TABLE.as_bytes())), 400, &["two headers Content-Type"]);
    let twice = gzip(&gzip(TABLE.as_bytes()));
    told(&say(&service, &post(PATH, csv, &twice)), 400, &["gzip within gzip"]);
    let coded = "text/csv\r\ncontent-encoding: gzip\r\ncontent-encoding: gzip";
    told(&say(&service, &post(PATH, coded, &twice)), 415, &["Content-Encoding"]);
    let in_list = "text/csv\r\ncontent-encoding: gzip, gzip";
    told(&say(&service, &post(PATH, in_list, &twice)), 415, &["Content-Encoding"]);
    let broken = DOCUMENT.replace("\"a\"", "\"\u{1}\"").replace('\u{1}', "?").into_bytes();
    let broken: Vec<u8> = broken.iter().map(|b| if *b == b'?' { 0xff } else { *b }).collect();
    told(&say(&service, &post("/v1/maps", json, &broken)), 400, &["not JSON", "line"]);
    for nan in ["NaN", "Infinity", "-Infinity", "nan"] {
        let text = DOCUMENT.replace("[5, 9, 7]", &format!("[5, {nan}, 7]"));
        told(&say(&service, &post("/v1/maps", json, text.as_bytes())), 400, &["not JSON", "line"]);
    }
    let huge = DOCUMENT.replace("[5, 9, 7]", "[5, 1e999, 7]");
    told(&say(&service, &post("/v1/maps", json, huge.as_bytes())), 400, &["out of range", "line"]);
    is_well(&service);
    assert_eq!(service.stop(), 0);
}

#[test]
fn documents_that_contradict_themselves_are_told_where_and_how() {
    let bench = Bench::new();
    let service = Service::with(&bench, &[]);
    let cases: [(&str, &str, &str, &[&str]); 8] = [
        ("[6, 8, 7]", "[6, 8]", "/values/pm25/1", &["2", "3"]),
        (", [6, 8, 7]", "", "/times", &["2 times", "1 time steps"]),
        ("[6, 8, 7]", "[6, 8, 7], [1, 2, 3]", "/times", &["2 times", "3 time steps"]),
        ("[6, 8, 7]", "6", "/values/pm25/1", &[]),
        ("T01:00:00Z", "T00:00:00Z", "/times/1", &["2026-01-01T00:00:00Z"]),
        ("2026-01-01T01", "2025-12-31T23", "/times/1", &["time 2", "is before the one before it"]),
        ("\"2026-01-01T01:00:00Z\"", "null", "/times/1", &[]),
        ("\"values\"", "\"values\": {}, \"values\"", "", &["values"]),
    ];
    for (from, to, pointer, words) in cases {
        let text = DOCUMENT.replacen(from, to, 1);
        let answer = say(&service, &post("/v1/maps", "application/json", text.as_bytes()));
        let problem = told(&answer, 422, words);
        let at = problem["errors"][0]["pointer"].as_str().unwrap_or("");
        assert!(at.starts_with(pointer), "{to}: {problem}");
    }
    is_well(&service);
    assert_eq!(service.stop(), 0);
}
