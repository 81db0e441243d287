//! Traces of the service, as a collector receives them; and a collector that is away.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::harness::{Bench, readings};
use crate::serve::Service;

/// A collector that keeps what it gets.
struct Collector {
    endpoint: String,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let spans = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&spans);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || while let Some(()) = take(&stream, &kept) {});
            }
        });
        Self { endpoint, spans }
    }

    /// Waits for the spans wished; the limit only ends a test that has failed.
    fn until(&self, wished: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let begin = Instant::now();
        loop {
            let spans = self.spans.lock().expect("nobody panicked").clone();
            if wished(&spans) {
                return spans;
            }
            let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
            assert!(begin.elapsed() < Duration::from_secs(60), "{names:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// One request of a connection: a batch of spans.
fn take(mut stream: &TcpStream, kept: &Mutex<Vec<Span>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length, mut first) = (String::new(), 0, true);
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if std::mem::take(&mut first) {
            assert_eq!(line.trim_end(), "POST /v1/traces HTTP/1.1");
        }
        let told = line.to_ascii_lowercase();
        if let Some(number) = told.strip_prefix("content-length:") {
            length = number.trim().parse().expect("a number");
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let batch = ExportTraceServiceRequest::decode(body.as_slice()).expect("spans in protobuf");
    let scopes = batch.resource_spans.into_iter().flat_map(|resource| {
        let about = resource.resource.expect("a resource").attributes;
        let is_ours = about.iter().any(|about| {
            about.key == "service.name"
                && text(about.value.as_ref().and_then(|v| v.value.as_ref())) == "isopleth"
        });
        assert!(is_ours, "{about:?}");
        resource.scope_spans
    });
    kept.lock().expect("nobody panicked").extend(scopes.flat_map(|scope| scope.spans));
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn attributes(span: &Span) -> BTreeMap<&str, String> {
    let value = |about: &opentelemetry_proto::tonic::common::v1::KeyValue| {
        text(about.value.as_ref().and_then(|value| value.value.as_ref()))
    };
    span.attributes.iter().map(|about| (about.key.as_str(), value(about))).collect()
}

fn below<'a>(spans: &'a [Span], parent: &Span) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.parent_span_id == parent.span_id).collect()
}

const MAP: &str = "/v1/maps?bounds=100,30,110,38&shape=21x17&kernel=linear";

#[test]
fn a_request_and_each_of_its_steps_is_a_span_and_none_tells_a_secret() {
    let bench = Bench::new();
    let collector = Collector::start();
    let key = format!("iso_boot_{}", "0f".repeat(32));
    let settings = [
        ("ISOPLETH_SERVE_OTLP_ENDPOINT", collector.endpoint.as_str()),
        ("ISOPLETH_SERVE_BOOTSTRAP_KEY", key.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let service = Service::with(&bench, &settings);
    let post = |prefer: &str, id: &str| {
        let request = ureq::post(service.url(MAP))
            .header("content-type", "text/csv")
            .header("authorization", format!("Bearer {key}"))
            .header("prefer", prefer)
            .header("x-request-id", id);
        request.send(readings(20, 2).as_bytes()).expect("an answer")
    };
    assert_eq!(post("", "map-7").status(), 200);
    assert_eq!(post("respond-async", "job-7").status(), 201);
    let wrong = ureq::get(service.url("/v1/kernels")).header("x-api-key", "iso_some_secret").call();
    assert!(wrong.is_err());
    let spans = collector.until(|spans| {
        let requests = spans.iter().filter(|span| span.name.contains(' ')).count();
        let made = spans.iter().find(|span| span.name == "job");
        requests >= 3 && made.is_some_and(|job| below(spans, job).len() >= 4)
    });
    let of = |id: &str| {
        let is = |span: &&Span| attributes(span).get("request.id").is_some_and(|told| told == id);
        spans.iter().find(is).expect("the span of the request")
    };
    let map = of("map-7");
    let about = attributes(map);
    assert_eq!(map.name, "POST /v1/maps");
    assert_eq!(about["http.response.status_code"], "200");
    assert_eq!(about["http.route"], "/v1/maps");
    assert!(map.parent_span_id.is_empty() && map.end_time_unix_nano > map.start_time_unix_nano);
    let steps = below(&spans, map);
    let names: Vec<&str> = steps.iter().map(|span| span.name.as_str()).collect();
    for name in ["receive", "wait", "read", "plan", "factorise", "solve", "evaluate"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    for step in &steps {
        assert_eq!(step.trace_id, map.trace_id);
        assert!(step.start_time_unix_nano >= map.start_time_unix_nano, "{step:?}");
        assert!(step.end_time_unix_nano <= map.end_time_unix_nano, "{step:?}");
    }
    assert_eq!(attributes(of("job-7"))["http.response.status_code"], "201");
    let job = spans.iter().find(|span| span.name == "job").expect("an attempt");
    assert_eq!(attributes(job)["job.id"].len(), 32, "{job:?}");
    assert!(below(&spans, job).iter().any(|span| span.name == "evaluate"));
    // Neither keys nor what was sent.
    let all = format!("{spans:?}");
    for secret in [key.as_str(), &key[9..], "iso_some", "Bearer", "s001", "bounds", "110,38"] {
        assert!(!all.contains(secret), "{secret}");
    }
    assert!(spans.iter().all(|span| span.events.is_empty()));
    // The log is as it is without a collector.
    let log = service.log();
    let mapped = log.lines().find(|line| line.contains("\"mapped\"")).expect("a line");
    assert!(mapped.contains("\"id\":\"map-7\""), "{mapped}");
    assert!(!log.contains("otel.") && !log.contains("\"step\""), "{log}");
    assert_eq!(service.stop(), 0);
}

#[test]
fn a_trace_that_the_caller_has_begun_goes_on() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const CALLER: &str = "00f067aa0ba902b7";
    let bench = Bench::new();
    let collector = Collector::start();
    let settings = [
        ("ISOPLETH_SERVE_OTLP_ENDPOINT", collector.endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let service = Service::with(&bench, &settings);
    let told = [
        ("theirs", format!("00-{TRACE}-{CALLER}-01")),
        ("unsampled", format!("00-{TRACE}-{CALLER}-00")),
        ("nonsense", format!("00-{}-{CALLER}-01", "0".repeat(32))),
        ("no-trace", "a trace".to_owned()),
    ];
    for (id, parent) in &told {
        let request = ureq::post(service.url(MAP))
            .header("content-type", "text/csv")
            .header("x-request-id", *id)
            .header("traceparent", parent);
        assert_eq!(request.send(readings(20, 2).as_bytes()).expect("an answer").status(), 200);
    }
    let of = |spans: &[Span], id: &str| {
        let is = |span: &&Span| attributes(span).get("request.id").is_some_and(|told| told == id);
        spans.iter().find(is).cloned()
    };
    let spans = collector.until(|spans| of(spans, "no-trace").is_some());
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let theirs = of(&spans, "theirs").expect("it came before the last");
    assert_eq!([hex(&theirs.trace_id), hex(&theirs.parent_span_id)], [TRACE, CALLER]);
    let steps = below(&spans, &theirs);
    assert!(steps.iter().any(|step| step.name == "evaluate" && hex(&step.trace_id) == TRACE));
    assert!(of(&spans, "unsampled").is_none(), "its caller keeps no trace of it");
    for id in ["nonsense", "no-trace"] {
        let own = of(&spans, id).expect("a trace of its own");
        assert!(own.parent_span_id.is_empty() && hex(&own.trace_id) != TRACE);
    }
    assert_eq!(service.stop(), 0);
}

#[test]
fn what_still_waits_is_sent_at_the_end() {
    let bench = Bench::new();
    let collector = Collector::start();
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ];
    let service = Service::with(&bench, &settings);
    ureq::get(service.url("/v1/kernels")).call().expect("an answer");
    assert!(collector.spans.lock().expect("nobody panicked").is_empty());
    assert_eq!(service.stop(), 0);
    let spans = collector.until(|spans| !spans.is_empty());
    assert!(spans.iter().any(|span| span.name == "GET /v1/kernels"), "{spans:?}");
}

#[test]
fn a_collector_that_is_away_or_never_answers_holds_up_nobody_and_nothing_grows() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = {
        let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
        gone.local_addr().expect("an address")
    };
    for (address, answers) in [(silent.local_addr().expect("an address"), false), (nobody, true)] {
        let bench = Bench::new();
        let endpoint = format!("http://{address}");
        let settings = [
            ("ISOPLETH_SERVE_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("RUST_LOG", "warn,isopleth_api::serve=info"),
        ];
        let service = Service::with(&bench, &settings);
        let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
        let ask = |times: usize| {
            for _ in 0..times {
                let answer = agent.get(service.url("/v1/kernels")).call().expect("an answer");
                assert_eq!(answer.status(), 200);
            }
        };
        // More than the queue holds, so that it is full from here on.
        ask(3000);
        let before = service.peak_bytes();
        ask(6000);
        let grown = service.peak_bytes() - before;
        assert!(grown < 8 << 20, "{grown} bytes");
        if answers {
            let log = service.log();
            assert_eq!(log.matches("the collector takes no traces").count(), 1, "{log}");
        }
        assert_eq!(service.stop(), 0);
    }
}

#[test]
fn a_collector_that_is_no_address_is_told_at_the_start() {
    let bench = Bench::new();
    for wrong in ["collector:4318", "http://", "http://me:hunter2@collector:4318"] {
        let mut command = bench.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("ISOPLETH_SERVE_OTLP_ENDPOINT", wrong);
        let told = crate::harness::outcome(command.output());
        let told = told.failed(2, &["otlp_endpoint"]);
        assert!(!told.stderr.contains("hunter2"), "{}", told.stderr);
    }
}
