//! A service in a folder with a clock that is told, and the readings it gets.

use std::path::Path;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use isopleth_api::{AppState, Clock, ServiceConfig, jobs, router, schedule};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) const HOUR: i64 = 3600;

pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

/// A service in a folder, and its clock.
pub(crate) struct House {
    pub(crate) state: AppState,
    pub(crate) clock: Clock,
    pub(crate) folder: TempDir,
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().expect(text)
}

pub(crate) fn config() -> ServiceConfig {
    ServiceConfig { threads_per_map: Some(1), ..ServiceConfig::default() }
}

pub(crate) fn open(folder: &Path, clock: &Clock, config: ServiceConfig) -> AppState {
    let config = ServiceConfig { data_dir: Some(folder.to_owned()), ..config };
    config.check().expect("settings that make sense");
    let state = AppState::with_clock(config, clock.clone()).expect("a state");
    jobs::start(&state);
    state
}

/// Ticks until nothing is due, and no job runs.
pub(crate) async fn settle(state: &AppState) {
    let begin = Instant::now();
    loop {
        let shared = state.clone();
        let ticked = tokio::task::spawn_blocking(move || schedule::tick(&shared));
        let ticked = ticked.await.expect("no panic").expect("a tick");
        let running: bool = state
            .store()
            .read(|c| {
                let sql = "SELECT count(*) > 0 FROM slots WHERE state = 'running'";
                c.query_row(sql, [], |row| row.get(0))
            })
            .map_err(|error: rusqlite::Error| error)
            .expect("a count");
        if ticked.is_idle() && !running {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(120), "it does not settle: {ticked:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl House {
    pub(crate) fn new(now: &str, config: ServiceConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::told(time(now));
        Self { state: open(folder.path(), &clock, config), clock, folder }
    }

    pub(crate) async fn restarted(self, config: ServiceConfig) -> Self {
        let Self { state, clock, folder } = self;
        state.stop();
        state.quiet().await;
        drop(state);
        Self { state: open(folder.path(), &clock, config), clock, folder }
    }

    pub(crate) async fn at(&self, now: &str) {
        self.clock.set(time(now));
        settle(&self.state).await;
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: impl Into<Body>,
    ) -> Got {
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        self.ask(request.body(body.into()).expect("a request")).await
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Got {
        let response = router(self.state.clone()).oneshot(request).await.expect("it never fails");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Got { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.ask(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    pub(crate) async fn put(&self, id: &str, document: &Value) -> Got {
        let path = format!("/v1/schedules/{id}");
        self.send(Method::PUT, &path, "application/json", document.to_string()).await
    }

    pub(crate) async fn post(&self, id: &str, hour: &str, table: String) -> Got {
        let path = format!("/v1/schedules/{id}/readings?time={hour}");
        self.send(Method::POST, &path, "text/csv", table).await
    }

    pub(crate) async fn slot(&self, id: &str, hour: &str) -> Value {
        self.get(&format!("/v1/schedules/{id}/slots/{hour}")).await.is(200).json()
    }

    /// State and latest revision of every hour, the oldest first.
    pub(crate) async fn slots(&self, id: &str) -> Vec<(String, String, u64)> {
        let all = self.get(&format!("/v1/schedules/{id}/slots?limit=1000")).await.is(200).json();
        let slot = |slot: &Value| {
            let text = |name: &str| slot[name].as_str().expect("text").to_owned();
            (text("hour"), text("state"), slot["revision"].as_u64().expect("a number"))
        };
        all["slots"].as_array().expect("a list").iter().rev().map(slot).collect()
    }

    pub(crate) fn notices(&self) -> Vec<(String, String)> {
        let path = self.folder.path().join("notices");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = |line: &str| {
            let told: Value = serde_json::from_str(line).expect("JSON");
            let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
            (text("kind"), text("hour"))
        };
        text.lines().map(line).collect()
    }

    pub(crate) async fn close(self) {
        self.state.stop();
        self.state.quiet().await;
    }
}

/// A folder for the file of notices, which must be known before the service is.
pub(crate) fn with_notices(now: &str, config: ServiceConfig) -> House {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::told(time(now));
    let config = ServiceConfig { notices_file: Some(folder.path().join("notices")), ..config };
    House { state: open(folder.path(), &clock, config), clock, folder }
}

pub(crate) fn hourly(more: &Value) -> Value {
    let mut document = json!({
        "cron": "0 * * * *", "min_stations": 4,
        "map": {"grid": {"bounds": [0, 0, 10, 10], "shape": [12, 9]}, "method": {"kernel": "linear"}},
    });
    for (name, value) in more.as_object().expect("an object") {
        document[name] = value.clone();
    }
    document
}

/// So many stations, every value raised by `plus`, in this order or the other way round.
pub(crate) fn readings(hour: &str, stations: usize, plus: f64, backwards: bool) -> String {
    let row = |k: usize| {
        let (x, y) = ((k * 37 % 100) as f64 / 10.0, (k * 53 % 100) as f64 / 10.0);
        format!("s{k},{x},{y},{hour},{}\n", 20.0 + (k * k % 17) as f64 + plus)
    };
    let mut rows: Vec<String> = (0..stations).map(row).collect();
    if backwards {
        rows.reverse();
    }
    format!("station,lon,lat,time,pm25\n{}", rows.concat())
}
