//! Maps of every hour, over the router and with a clock of the test: what becomes of hours that are late, missing,
//! corrected, too few; of crashes and of two processes at one database; and what is told of it.

use std::path::Path;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use isopleth_api::{AppState, Clock, ServiceConfig, jobs, router, schedule};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

const HOUR: i64 = 3600;

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
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

/// A service in a folder, and its clock.
struct House {
    state: AppState,
    clock: Clock,
    folder: TempDir,
}

fn time(text: &str) -> Timestamp {
    text.parse().expect(text)
}

fn config() -> ServiceConfig {
    ServiceConfig { threads_per_map: Some(1), ..ServiceConfig::default() }
}

fn open(folder: &Path, clock: &Clock, config: ServiceConfig) -> AppState {
    let config = ServiceConfig { data_dir: Some(folder.to_owned()), ..config };
    config.check().expect("settings that make sense");
    let state = AppState::with_clock(config, clock.clone()).expect("a state");
    jobs::start(&state);
    state
}

/// Ticks until nothing is due, and no job runs.
async fn settle(state: &AppState) {
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
    fn new(now: &str, config: ServiceConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::told(time(now));
        Self { state: open(folder.path(), &clock, config), clock, folder }
    }

    async fn restarted(self, config: ServiceConfig) -> Self {
        let Self { state, clock, folder } = self;
        state.stop();
        state.quiet().await;
        drop(state);
        Self { state: open(folder.path(), &clock, config), clock, folder }
    }

    async fn at(&self, now: &str) {
        self.clock.set(time(now));
        settle(&self.state).await;
    }

    async fn send(&self, method: Method, path: &str, kind: &str, body: impl Into<Body>) -> Got {
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        self.ask(request.body(body.into()).expect("a request")).await
    }

    async fn ask(&self, request: Request<Body>) -> Got {
        let response = router(self.state.clone()).oneshot(request).await.expect("it never fails");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Got { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Got {
        self.ask(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    async fn put(&self, id: &str, document: &Value) -> Got {
        let path = format!("/v1/schedules/{id}");
        self.send(Method::PUT, &path, "application/json", document.to_string()).await
    }

    async fn post(&self, id: &str, hour: &str, table: String) -> Got {
        let path = format!("/v1/schedules/{id}/readings?time={hour}");
        self.send(Method::POST, &path, "text/csv", table).await
    }

    async fn slot(&self, id: &str, hour: &str) -> Value {
        self.get(&format!("/v1/schedules/{id}/slots/{hour}")).await.is(200).json()
    }

    /// State and latest revision of every hour, the oldest first.
    async fn slots(&self, id: &str) -> Vec<(String, String, u64)> {
        let all = self.get(&format!("/v1/schedules/{id}/slots?limit=1000")).await.is(200).json();
        let slot = |slot: &Value| {
            let text = |name: &str| slot[name].as_str().expect("text").to_owned();
            (text("hour"), text("state"), slot["revision"].as_u64().expect("a number"))
        };
        all["slots"].as_array().expect("a list").iter().rev().map(slot).collect()
    }

    fn notices(&self) -> Vec<(String, String)> {
        let path = self.folder.path().join("notices");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = |line: &str| {
            let told: Value = serde_json::from_str(line).expect("JSON");
            let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
            (text("kind"), text("hour"))
        };
        text.lines().map(line).collect()
    }

    async fn close(self) {
        self.state.stop();
        self.state.quiet().await;
    }
}

/// A folder for the file of notices, which must be known before the service is.
fn with_notices(now: &str, config: ServiceConfig) -> House {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::told(time(now));
    let config = ServiceConfig { notices_file: Some(folder.path().join("notices")), ..config };
    House { state: open(folder.path(), &clock, config), clock, folder }
}

fn hourly(more: &Value) -> Value {
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
fn readings(hour: &str, stations: usize, plus: f64, backwards: bool) -> String {
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

#[tokio::test(flavor = "multi_thread")]
async fn readings_of_an_hour_become_its_map_and_corrected_ones_a_further_revision() {
    let house = House::new("2026-03-01T07:20:00Z", config());
    house.put("air", &hourly(&json!({}))).await.is(201);
    house.at("2026-03-01T08:00:00Z").await;
    let hour = "2026-03-01T08:00:00Z";
    assert_eq!(house.slots("air").await, [(hour.to_owned(), "waiting".to_owned(), 0)]);
    house.get("/v1/schedules/air/latest").await.is(404);

    let posted = house.post("air", hour, readings(hour, 20, 0.0, false)).await.is(202);
    assert_eq!(posted.header("location"), format!("/v1/schedules/air/slots/{hour}"));
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!(
        (&slot["state"], &slot["revision"], &slot["stations"]),
        (&json!("made"), &json!(1), &json!(20))
    );
    assert_eq!(slot["revisions"][0]["why"], "first", "{slot}");
    let latest = house.get("/v1/schedules/air/latest").await.is(307);
    let map = house.get(latest.header("location")).await.is(200).json();
    assert_eq!(map["id"], slot["revisions"][0]["map"], "{map}");
    let first = house.get(&format!("/v1/maps/{}/data", map["id"].as_str().expect("a name"))).await;
    assert!(first.is(200).body.starts_with(b"\x89HDF"));

    // The same readings in another order are no correction; the minute after, others are.
    house.clock.set(time("2026-03-01T08:05:00Z"));
    house.post("air", hour, readings(hour, 20, 0.0, true)).await.is(202);
    settle(&house.state).await;
    assert_eq!(house.slot("air", hour).await["revision"], 1);
    house.clock.set(time("2026-03-01T08:06:00Z"));
    house.post("air", hour, readings(hour, 20, 1.0, true)).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["revision"]), (&json!("made"), &json!(2)));
    let why: Vec<&Value> =
        slot["revisions"].as_array().expect("two").iter().map(|r| &r["why"]).collect();
    assert_eq!(why, [&json!("corrected"), &json!("first")]);
    let latest = house.get("/v1/schedules/air/latest").await.is(307);
    let new = slot["revisions"][0]["map"].as_str().expect("a name");
    assert_eq!(latest.header("location"), format!("/v1/maps/{new}"));
    let old = slot["revisions"][1]["map"].as_str().expect("a name");
    house.get(&format!("/v1/maps/{old}")).await.is(200);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_is_missing_when_it_is_given_up_and_late_readings_still_make_it() {
    let house = with_notices("2026-03-01T07:20:00Z", config());
    let document = hourly(&json!({"delay_seconds": 600, "give_up_seconds": 1800}));
    house.put("air", &document).await.is(201);
    let hour = "2026-03-01T08:00:00Z";
    house.at("2026-03-01T08:09:59Z").await;
    assert_eq!(house.slots("air").await, []);
    house.at("2026-03-01T08:10:00Z").await;
    house.at("2026-03-01T08:39:59Z").await;
    assert_eq!(house.slot("air", hour).await["state"], "waiting");
    house.at("2026-03-01T08:40:00Z").await;
    assert_eq!(house.slot("air", hour).await["state"], "missing");
    house.at("2026-03-01T09:05:00Z").await;
    assert_eq!(house.notices(), [("missing".to_owned(), hour.to_owned())], "told once");
    house.post("air", hour, readings(hour, 20, 0.0, false)).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["revisions"][0]["why"]), (&json!("made"), &json!("late")));
    assert_eq!(house.notices()[1], ("recovered".to_owned(), hour.to_owned()));
    let text = house.get("/metrics").await.is(200).body;
    let text = String::from_utf8_lossy(&text);
    for line in [
        "isopleth_schedule_slots{schedule=\"air\",state=\"made\"} 1",
        "isopleth_schedule_newest_seconds{schedule=\"air\"} 1772352000",
        "isopleth_schedule_late_seconds{schedule=\"air\"} 0",
        "isopleth_notices_total{kind=\"missing\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_of_too_few_stations_make_no_map_and_what_was_made_stays() {
    let house = with_notices("2026-03-01T07:20:00Z", config());
    house.put("air", &hourly(&json!({}))).await.is(201);
    let hour = "2026-03-01T08:00:00Z";
    house.clock.set(time("2026-03-01T08:01:00Z"));
    house.post("air", hour, readings(hour, 3, 0.0, false)).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["stations"]), (&json!("too_few"), &json!(3)));
    house.post("air", hour, readings(hour, 9, 0.0, false)).await.is(202);
    settle(&house.state).await;
    assert_eq!(house.slot("air", hour).await["revision"], 1);
    house.clock.set(time("2026-03-01T08:02:00Z"));
    house.post("air", hour, readings(hour, 2, 5.0, false)).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["revision"]), (&json!("made"), &json!(1)), "{slot}");
    // What cannot be read, either.
    house.clock.set(time("2026-03-01T08:03:00Z"));
    house.post("air", hour, "no,table\n1,2\n".to_owned()).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["revision"]), (&json!("made"), &json!(1)), "{slot}");
    // What was mapped comes back: that map is the right one.
    house.clock.set(time("2026-03-01T08:04:00Z"));
    house.post("air", hour, readings(hour, 9, 0.0, true)).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["revision"]), (&json!("made"), &json!(1)), "{slot}");
    let kinds: Vec<String> = house.notices().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["too_few", "recovered", "too_few", "job_failed", "recovered"]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_that_passed_are_caught_up_oldest_first_and_those_too_old_are_missing() {
    let house = with_notices("2026-03-01T07:20:00Z", config());
    house.put("air", &hourly(&json!({"catch_up_hours": 5}))).await.is(201);
    house.at("2026-03-01T08:00:00Z").await;
    house.at("2026-03-01T20:30:00Z").await;
    let states: Vec<(String, String)> =
        house.slots("air").await.into_iter().map(|(hour, state, _)| (hour, state)).collect();
    let expected: Vec<(String, String)> = (8..=20)
        .map(|h| {
            // Of 08:00 nobody knew that it would be given up.
            let state = if h <= 15 { "missing" } else { "waiting" };
            (format!("2026-03-01T{h:02}:00:00Z"), state.to_owned())
        })
        .collect();
    assert_eq!(states, expected);
    // In one go, and every one of them once.
    for h in (14..=20).rev() {
        let hour = format!("2026-03-01T{h:02}:00:00Z");
        house.post("air", &hour, readings(&hour, 12, f64::from(h), false)).await.is(202);
    }
    settle(&house.state).await;
    let made =
        house.slots("air").await.iter().filter(|(_, state, n)| state == "made" && *n == 1).count();
    assert_eq!(made, 7);
    let order: Vec<String> = house
        .state
        .store()
        .read(|c| {
            let sql = "SELECT idempotency_key FROM jobs ORDER BY rowid";
            c.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        })
        .map_err(|error: rusqlite::Error| error)
        .expect("keys");
    let mut sorted = order.clone();
    sorted.sort();
    assert_eq!(order, sorted, "the oldest first");
    let kinds: Vec<String> = house.notices().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(
        kinds.iter().filter(|kind| *kind == "missing").count(),
        2,
        "one for all, and 08:00: {kinds:?}"
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_at_one_database_make_every_hour_once() {
    let house = House::new("2026-03-01T00:40:00Z", config());
    house.put("air", &hourly(&json!({}))).await.is(201);
    house.put("water", &hourly(&json!({"cron": "30 * * * *"}))).await.is(201);
    let other = open(house.folder.path(), &house.clock, config());
    for h in 1..=10 {
        let now = time("2026-03-01T00:45:00Z") + SignedDuration::from_hours(h);
        house.clock.set(now);
        for (id, minute) in [("air", 0), ("water", 30)] {
            let hour = format!("2026-03-01T{h:02}:{minute:02}:00Z");
            house.post(id, &hour, readings(&hour, 10, h as f64, false)).await.is(202);
        }
        let tick = |state: &AppState| {
            let state = state.clone();
            tokio::task::spawn_blocking(move || schedule::tick(&state).map(drop))
        };
        let all: Vec<_> =
            (0..6).map(|k| tick(if k % 2 == 0 { &house.state } else { &other })).collect();
        for one in all {
            one.await.expect("no panic").expect("a tick");
        }
    }
    settle(&house.state).await;
    settle(&other).await;
    for id in ["air", "water"] {
        let slots = house.slots(id).await;
        assert_eq!(slots.len(), 10);
        assert!(slots.iter().all(|(_, state, n)| state == "made" && *n == 1), "{slots:?}");
    }
    let jobs: i64 = house
        .state
        .store()
        .read(|c| c.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0)))
        .map_err(|error: rusqlite::Error| error)
        .expect("a count");
    assert_eq!(jobs, 20, "no job was made twice");
    other.stop();
    other.quiet().await;
    house.close().await;
}

/// What a process leaves that dies between two statements, as the table in `schedule/mod.rs` has it.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_process_left_the_next_one_makes_the_hour_once() {
    let without_lanes = || ServiceConfig { job_concurrency: 0, ..config() };
    let house = House::new("2026-03-01T07:20:00Z", without_lanes());
    house.put("air", &hourly(&json!({}))).await.is(201);
    let hour = "2026-03-01T08:00:00Z";
    house.clock.set(time("2026-03-01T08:01:00Z"));
    house.post("air", hour, readings(hour, 20, 0.0, false)).await.is(202);
    let tick = |state: AppState| tokio::task::spawn_blocking(move || schedule::tick(&state));
    tick(house.state.clone()).await.expect("no panic").expect("a tick");
    assert_eq!(house.slot("air", hour).await["state"], "running", "its job is in the queue");
    // It dies with the schedule claimed: its lock file is free.
    let sql =
        "UPDATE schedules SET holder = 'holder-dead', lease_ms = 9000000000000, token = token + 1";
    let claimed = house.state.store().write(|tx| tx.execute(sql, []));
    claimed.map_err(|error: rusqlite::Error| error).expect("a claim");
    let house = house.restarted(config()).await;
    // The job ends, and the process dies before anybody notices.
    let begin = Instant::now();
    loop {
        let sql = "SELECT state FROM jobs";
        let state: String = house
            .state
            .store()
            .read(|c| c.query_row(sql, [], |row| row.get(0)))
            .map_err(|error: rusqlite::Error| error)
            .expect("a job");
        if state == "successful" {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(120), "{state}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(house.slot("air", hour).await["state"], "running", "not settled yet");
    let house = house.restarted(config()).await;
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["revision"]), (&json!("made"), &json!(1)), "{slot}");
    settle(&house.state).await;
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        let counted =
            house.state.store().read(|c| c.query_row(&sql, [], |row| row.get::<_, i64>(0)));
        counted.map_err(|error: rusqlite::Error| error).expect("a count")
    };
    assert_eq!((count("revisions"), count("jobs"), count("maps")), (1, 1, 1));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_made_by_one_request_and_again_where_that_is_asked_for() {
    let house = House::new("2026-03-01T07:20:00Z", config());
    house.put("air", &hourly(&json!({}))).await.is(201);
    for h in 1..=6 {
        let hour = format!("2026-02-01T{h:02}:00:00Z");
        house.post("air", &hour, readings(&hour, 10, 0.0, false)).await.is(202);
    }
    settle(&house.state).await;
    let ask = |body: Value| {
        house.send(Method::POST, "/v1/schedules/air/backfill", "application/json", body.to_string())
    };
    let range = json!({"from": "2026-02-01T00:00:00Z", "to": "2026-02-01T07:59:00Z"});
    let told = ask(range.clone()).await.is(202).json();
    assert_eq!(
        (&told["hours"], &told["from"], &told["to"]),
        (&json!(2), &range["from"], &json!("2026-02-01T07:00:00Z"))
    );
    settle(&house.state).await;
    let told = house.get("/v1/schedules/air/backfill").await.is(200).json();
    assert_eq!(told["backfills"][0]["slots"], json!({"made": 6, "missing": 2}), "{told}");
    assert_eq!(told["backfills"][0]["done"], true);
    let again =
        json!({"from": "2026-02-01T02:00:00Z", "to": "2026-02-01T03:00:00Z", "again": true});
    assert_eq!(ask(again).await.is(202).json()["hours"], 2);
    settle(&house.state).await;
    let revisions: Vec<u64> = house.slots("air").await.iter().map(|(.., n)| *n).collect();
    assert_eq!(revisions, [0, 1, 2, 2, 1, 1, 1, 0]);
    let slot = house.slot("air", "2026-02-01T02:00:00Z").await;
    assert_eq!(slot["revisions"][0]["why"], "asked");
    for (body, status) in [
        (json!({"from": "2026-02-01T00:01:00Z", "to": "2026-02-01T00:59:00Z"}), 422),
        (json!({"from": "2026-03-01T08:00:00Z", "to": "2026-03-02T00:00:00Z"}), 422),
        (json!({"from": "yesterday", "to": "2026-03-02T00:00:00Z"}), 422),
        (json!({"from": "2020-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}), 413),
    ] {
        ask(body).await.is(status);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_kept_changed_and_refused_as_those_of_networks_are() {
    let config = ServiceConfig {
        schedules: [("told".to_owned(), serde_json::from_value(hourly(&json!({}))).expect("one"))]
            .into(),
        ..config()
    };
    let house = House::new("2026-03-01T07:20:00Z", config);
    schedule::start(&house.state).expect("a schedule that makes sense");
    house.put("told", &hourly(&json!({}))).await.is(403);
    house.send(Method::DELETE, "/v1/schedules/told", "", Body::empty()).await.is(403);
    assert_eq!(house.get("/v1/schedules/told").await.is(200).json()["origin"], "config");
    let made = house.put("air", &hourly(&json!({"title": "Air"}))).await.is(201);
    let tag = made.header("etag").to_owned();
    assert_eq!(made.json()["next_hours"][0], "2026-03-01T08:00:00Z");
    let conditional = |tag: &str, title: &str| {
        Request::put("/v1/schedules/air")
            .header("content-type", "application/json")
            .header("if-match", tag)
            .body(Body::from(hourly(&json!({"title": title})).to_string()))
            .expect("a request")
    };
    house.ask(conditional(&tag, "Water")).await.is(200);
    house.ask(conditional(&tag, "Fire")).await.is(412);
    let all = house.get("/v1/schedules?limit=1").await.is(200).json();
    assert_eq!(all["schedules"][0]["document"]["title"], "Water");
    assert_eq!(all["next"], "/v1/schedules?limit=1&after=air");
    for path in ["pause", "resume"] {
        let path = format!("/v1/schedules/air/{path}");
        let got = house.send(Method::POST, &path, "", Body::empty()).await.is(200).json();
        assert_eq!(got["document"]["paused"], path.ends_with("pause"));
    }
    for (more, pointer) in [
        (json!({"cron": "* * *"}), "/cron"),
        (json!({"zone": "Mars/Olympus"}), "/zone"),
        (json!({"source": "none"}), "/source"),
        (json!({"sinks": ["none"]}), "/sinks/0"),
        (json!({"network": "none"}), "/network"),
        (json!({"poll_seconds": 0}), "/poll_seconds"),
        (json!({"map": {}}), "/map/grid"),
        (json!({"map": {"grit": 1}}), "/map/grit"),
        (
            json!({"map": {"grid": {"bounds": [0, 0, 10, 10], "shape": [2, 2]}, "method": {"kernel": "no"}}}),
            "/map/method/kernel",
        ),
        (json!({"map": {"points": [{"lon": 1, "lat": 2}]}}), "/map/points"),
    ] {
        let got = house.put("wrong", &hourly(&more)).await.is(422).json();
        assert_eq!(got["errors"][0]["pointer"], pointer, "{got}");
    }
    house.put("..", &hourly(&json!({}))).await.is(422);
    house.post("air", "2026-03-01T07:30:00Z", readings("x", 4, 0.0, false)).await.is(422);
    house.post("air", "2026-03-01T09:00:00Z", readings("x", 4, 0.0, false)).await.is(422);
    house.post("none", "2026-03-01T07:00:00Z", readings("x", 4, 0.0, false)).await.is(404);
    house.send(Method::DELETE, "/v1/schedules/air", "", Body::empty()).await.is(204);
    house.get("/v1/schedules/air").await.is(404);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn maps_go_by_age_and_by_count_and_rows_of_hours_stay() {
    let house = House::new("2026-03-01T00:20:00Z", config());
    house.put("air", &hourly(&json!({"keep": {"count": 3, "inputs_days": 1}}))).await.is(201);
    for h in 1..=6 {
        let hour = format!("2026-03-01T{h:02}:00:00Z");
        house.clock.set(time(&hour) + SignedDuration::from_secs(60));
        house.post("air", &hour, readings(&hour, 10, f64::from(h), false)).await.is(202);
        settle(&house.state).await;
    }
    let there = |n: usize| {
        let house = &house;
        async move {
            let maps = house.get("/v1/maps").await.is(200).json();
            assert_eq!(maps["maps"].as_array().expect("a list").len(), n, "{maps}");
        }
    };
    there(3).await;
    let inputs =
        || std::fs::read_dir(house.folder.path().join("inputs")).expect("a folder").count();
    assert_eq!(inputs(), 6, "what was mapped can be made again");
    house.put("air", &hourly(&json!({"keep": {"days": 2, "inputs_days": 1}}))).await.is(200);
    house.at("2026-03-05T00:00:00Z").await;
    there(0).await;
    assert_eq!(inputs(), 0);
    let made = house.slots("air").await.iter().filter(|(_, state, _)| state == "made").count();
    assert_eq!(made, 6);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_a_registered_network_need_no_places() {
    let house = House::new("2026-03-01T07:20:00Z", config());
    let station = |k: usize| json!({"id": format!("s{k}"), "lon": k, "lat": k * k % 7});
    let network = json!({
        "stations": (0..8).map(station).collect::<Vec<_>>(),
        "grid": {"bounds": [0, 0, 10, 7], "shape": [11, 8]}, "method": {"kernel": "linear"},
    });
    house
        .send(Method::PUT, "/v1/networks/net", "application/json", network.to_string())
        .await
        .is(201);
    let document = json!({"network": "net", "cron": "0 * * * *", "min_stations": 5, "variables": ["pm25"],
        "map": {"read": {"times": ["{time:%Y-%m-%dT%H}"]}}});
    house.put("air", &document).await.is(201);
    house.clock.set(time("2026-03-01T10:00:00Z"));
    // A table of several hours, with a station that nobody knows: only the hour counts.
    let table = |hours: std::ops::RangeInclusive<i64>| {
        let row = |h: i64, k: i64| format!("s{k},2026-03-01T{h:02}:00:00Z,{},{}\n", h + k, k);
        let rows: String = hours.flat_map(|h| (0..9).map(move |k| row(h, k))).collect();
        format!("station,time,pm25,o3\n{rows}")
    };
    let hour = "2026-03-01T08:00:00Z";
    house.post("air", hour, table(7..=8)).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["stations"]), (&json!("made"), &json!(8)), "{slot}");
    let id = slot["revisions"][0]["map"].as_str().expect("a name");
    let map = house.get(&format!("/v1/maps/{id}")).await.is(200).json();
    assert_eq!(map["network"], "net");
    assert_eq!(map["variables"].as_array().map(Vec::len), Some(1), "{map}");
    // More hours in the file change nothing of this one.
    house.clock.set(time("2026-03-01T10:01:00Z"));
    house.post("air", hour, table(6..=9)).await.is(202);
    settle(&house.state).await;
    assert_eq!(house.slot("air", hour).await["revision"], 1);
    // By station in JSON.
    let values: Value =
        (0..6).map(|k| (format!("s{k}"), json!(k + 3))).collect::<serde_json::Map<_, _>>().into();
    let body = json!({"time": "2026-03-01T09:00:00Z", "values": {"pm25": values}});
    let path = "/v1/schedules/air/readings?time=2026-03-01T09:00:00Z";
    house.send(Method::POST, path, "application/json", body.to_string()).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", "2026-03-01T09:00:00Z").await;
    assert_eq!((&slot["state"], &slot["stations"]), (&json!("made"), &json!(6)), "{slot}");
    assert!(time("2026-03-01T09:00:00Z").as_second() % HOUR == 0);
    house.close().await;
}

/// A schedule with a watched folder and a folder that maps go to.
fn with_folders(now: &str, more: &Value) -> House {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["in", "out"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    let source = json!({"in": {"kind": "directory", "path": folder.path().join("in"),
        "files": "{time:%Y%m%d%H}.csv", "read": {"missing": ["no"], "columns": {"station": "Code"}}}});
    let sink = json!({"out": {"kind": "directory", "path": folder.path().join("out")}});
    let document = hourly(&json!({"source": "in", "sinks": ["out"], "zone": "Asia/Shanghai"}));
    let mut document = document;
    for (name, value) in more.as_object().expect("an object") {
        document[name] = value.clone();
    }
    let config = ServiceConfig {
        sources: serde_json::from_value(source).expect("sources"),
        sinks: serde_json::from_value(sink).expect("sinks"),
        schedules: [("air".to_owned(), serde_json::from_value(document).expect("one"))].into(),
        notices_file: Some(folder.path().join("notices")),
        ..config()
    };
    let clock = Clock::told(time(now));
    House { state: open(folder.path(), &clock, config), clock, folder }
}

fn below(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder_of) = folders.pop() {
        for entry in std::fs::read_dir(folder_of).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below").display().to_string();
                all.push(name);
            }
        }
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_a_folder_becomes_a_map_in_another_with_the_settings_of_both() {
    let house = with_folders("2026-03-01T07:20:00Z", &json!({}));
    schedule::start(&house.state).expect("a schedule that makes sense");
    house.at("2026-03-01T08:00:01Z").await;
    let hour = "2026-03-01T08:00:00Z";
    let slot = house.slot("air", hour).await;
    assert_eq!(slot["state"], "waiting", "{slot}");
    let message = slot["message"].as_str().expect("why").to_owned();
    assert!(message.contains("2026030116"), "the hour in Shanghai: {message}");
    // The column of codes is the source's word; one reading is missing as it says.
    let table =
        readings(hour, 9, 0.0, false).replace("station,", "Code,").replacen(",20\n", ",no\n", 1);
    std::fs::write(house.folder.path().join("in/2026030116.csv"), table).expect("a file");
    house.post("air", hour, readings(hour, 9, 0.0, false)).await.is(422);
    house.at("2026-03-01T08:01:01Z").await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["stations"]), (&json!("made"), &json!(8)), "{slot}");
    let delivery = &slot["revisions"][0]["deliveries"][0];
    assert_eq!(delivery["state"], "done", "{slot}");
    let out = house.folder.path().join("out");
    let there = below(&out);
    assert_eq!(there.len(), 2, "the map and `latest`: {there:?}");
    let place = delivery["places"][0].as_str().expect("a place").to_owned();
    let id = slot["revisions"][0]["map"].as_str().expect("a name");
    let kept = std::fs::read(house.folder.path().join(format!("maps/{id}.nc"))).expect("the map");
    let bytes = std::fs::read(&place).or_else(|_| std::fs::read(out.join(&place)));
    assert!(bytes.expect("delivered") == kept, "the very file");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_fails_is_tried_again_and_an_older_hour_that_comes_late_is_not_the_latest() {
    let house = with_folders("2026-03-01T07:20:00Z", &json!({}));
    schedule::start(&house.state).expect("a schedule that makes sense");
    let put = |hour: &str, name: &str| {
        let table = readings(hour, 9, 0.0, false).replace("station,", "Code,");
        std::fs::write(house.folder.path().join(format!("in/{name}.csv")), table).expect("a file");
    };
    let out = house.folder.path().join("out");
    std::fs::rename(&out, house.folder.path().join("away")).expect("renamed");
    put("2026-03-01T09:00:00Z", "2026030117");
    house.at("2026-03-01T09:00:00Z").await;
    let told = |kind: &str| house.notices().iter().filter(|(other, _)| other == kind).count();
    // As often as it takes: the service delivers by itself, too, and whoever comes second waits for the next time.
    for k in 1..=60 {
        house.clock.set(time("2026-03-01T09:00:00Z") + SignedDuration::from_secs(k * 40));
        settle(&house.state).await;
        if told("delivery_failed") > 0 {
            break;
        }
    }
    let delivery =
        house.slot("air", "2026-03-01T09:00:00Z").await["revisions"][0]["deliveries"][0].clone();
    assert_eq!(delivery["state"], "waiting", "{delivery}");
    assert_eq!((told("delivery_failed"), told("recovered")), (1, 0), "{:?}", house.notices());
    std::fs::create_dir(&out).expect("mended");
    put("2026-03-01T08:00:00Z", "2026030116");
    house.at("2026-03-01T10:10:00Z").await;
    assert_eq!(told("recovered"), 1);
    for hour in ["2026-03-01T08:00:00Z", "2026-03-01T09:00:00Z"] {
        let slot = house.slot("air", hour).await;
        assert_eq!(slot["revisions"][0]["deliveries"][0]["state"], "done", "{slot}");
    }
    let latest = std::fs::read_link(out.join("air/latest.nc")).expect("a link");
    assert!(latest.display().to_string().contains("0900"), "{}", latest.display());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_itself_brings_an_hour_from_folder_to_folder() {
    let house = with_folders("2026-03-01T07:20:00Z", &json!({"poll_seconds": 1}));
    schedule::start(&house.state).expect("a schedule that makes sense");
    let hour = "2026-03-01T08:00:00Z";
    let table = readings(hour, 9, 0.0, false).replace("station,", "Code,");
    std::fs::write(house.folder.path().join("in/2026030116.csv"), table).expect("a file");
    house.clock.set(time("2026-03-01T08:00:05Z"));
    let begin = Instant::now();
    while below(&house.folder.path().join("out")).len() < 2 {
        assert!(begin.elapsed() < Duration::from_secs(120), "nothing came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!("from the hour to the file: {:?}", begin.elapsed());
    house.close().await;
}
