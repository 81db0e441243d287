//! Jobs over the router: accepted, run, told of, dismissed, removed; and what a crash leaves.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::{Extension, Router};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::BodyExt;
use isopleth_api::{AppState, Owner, ServiceConfig, jobs, router};
use rusqlite::Connection;
use serde_json::Value;
use sha2::Sha256;
use tempfile::TempDir;
use tower::ServiceExt;

/// A service without a network, and its folder.
struct House {
    state: AppState,
    folder: TempDir,
}

/// An answer.
struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

/// Small blocks, so that a small map has several.
fn config() -> ServiceConfig {
    ServiceConfig { job_block_values: 1, threads_per_map: Some(2), ..ServiceConfig::default() }
}

impl House {
    fn new(config: ServiceConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { state: open(folder.path(), config), folder }
    }

    /// The same folder, some time later.
    async fn restarted(self, config: ServiceConfig) -> Self {
        let Self { state, folder } = self;
        state.stop();
        state.quiet().await;
        drop(state);
        Self { state: open(folder.path(), config), folder }
    }

    fn router_of(&self, owner: &str) -> Router {
        router(self.state.clone()).layer(Extension(Owner(owner.to_owned())))
    }

    async fn send(&self, owner: &str, request: Request<Body>) -> Got {
        let response = self.router_of(owner).oneshot(request).await.expect("it never fails");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Got { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Got {
        self.send("anonymous", Request::get(path).body(Body::empty()).expect("a request")).await
    }

    async fn delete(&self, path: &str) -> Got {
        self.send("anonymous", Request::delete(path).body(Body::empty()).expect("a request")).await
    }

    async fn post(&self, owner: &str, query: &str, table: String, more: &[(&str, &str)]) -> Got {
        let path = format!("/v1/maps?{query}");
        let mut request = Request::post(path).header("content-type", "text/csv");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        self.send(owner, request.body(table.into()).expect("a request")).await
    }

    /// Asks for a job and gives its name.
    async fn submit(&self, query: &str, table: String) -> String {
        let got =
            self.post("anonymous", query, table, &[("prefer", "respond-async")]).await.is(201);
        got.json()["id"].as_str().expect("a name").to_owned()
    }

    async fn status(&self, id: &str) -> Value {
        self.get(&format!("/v1/jobs/{id}")).await.is(200).json()
    }

    /// Waits until a job is as wished; the limit only ends a test that has failed.
    async fn until(&self, id: &str, wished: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let status = self.status(id).await;
            if wished(&status) {
                return status;
            }
            assert!(begin.elapsed() < Duration::from_secs(120), "{status}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ended(&self, id: &str) -> Value {
        let ended = |s: &Value| s["status"] != "accepted" && s["status"] != "running";
        self.until(id, ended).await
    }

    fn database(&self) -> Connection {
        let connection = Connection::open(self.folder.path().join("isopleth.sqlite3"));
        let connection = connection.expect("the database");
        connection.busy_timeout(Duration::from_secs(10)).expect("a setting");
        connection
    }

    /// Names of what is in a folder of the data folder.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join(folder)).expect("the folder");
        entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }
}

fn open(folder: &Path, config: ServiceConfig) -> AppState {
    let config = ServiceConfig { data_dir: Some(folder.to_owned()), ..config };
    let state = AppState::new(config).expect("a state");
    jobs::start(&state);
    state
}

/// Some hours at some stations.
fn table(hours: usize) -> String {
    let mut text = String::from("station,lon,lat,time,pm25\n");
    for hour in 0..hours {
        for k in 0..30_u32 {
            let (x, y) = (f64::from(k * 37 % 100) / 10.0, f64::from(k * 53 % 80) / 10.0);
            let value = 40.0 + x * y + (hour as f64 + x).sin();
            let (day, of_day) = (1 + hour / 24, hour % 24);
            text.push_str(&format!("s{k},{x},{y},2026-01-{day:02}T{of_day:02}:00:00Z,{value}\n"));
        }
    }
    text
}

const SMALL: &str = "bounds=0,0,10,8&shape=41x33&kernel=linear";

/// A map that would take minutes: 2000 stations, exact, 80 million cells.
fn long_table() -> String {
    let mut table = String::from("station,lon,lat,pm25\n");
    for i in 0..2000_u32 {
        let (lon, lat) = (f64::from(i * 37 % 2000) / 40.0, f64::from(i) / 50.0);
        table.push_str(&format!("s{i},{lon},{lat},{}\n", i % 50));
    }
    table
}

const LONG: &str = "bounds=0,0,50,40&shape=10000x8000&tolerance=exact&kernel=matern52&epsilon=0.01";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_accepted_run_told_of_and_its_map_fetched() {
    let house = House::new(config());
    let prefer = [("prefer", "wait=1, respond-async")];
    let got = house.post("anonymous", SMALL, table(100), &prefer).await.is(201);
    let accepted = got.json();
    let id = accepted["id"].as_str().expect("a name");
    assert_eq!(got.header("location"), format!("/v1/jobs/{id}"));
    assert_eq!(got.header("preference-applied"), "respond-async");
    assert_eq!((&accepted["jobID"], &accepted["type"]), (&accepted["id"], &Value::from("process")));
    let done = house.ended(id).await;
    assert_eq!(done["status"], "successful", "{done}");
    assert_eq!((&done["progress"], &done["fields"]["done"]), (&100.into(), &100.into()));
    assert!(done["blocks"]["total"].as_u64() >= Some(4), "{done}");
    assert_eq!(done["blocks"]["done"], done["blocks"]["total"]);
    let map = house.get(&format!("/v1/jobs/{id}/results")).await.is(200);
    assert_eq!(map.header("content-type"), "application/x-netcdf");
    assert!(map.body.starts_with(b"\x89HDF"));
    let digest = blake3::hash(&map.body).to_hex().to_string();
    assert_eq!(map.header("etag"), format!("\"{digest}\""));
    // As the standard has it, too.
    let links = house.get(&format!("/jobs/{id}")).await.is(200).json()["links"].clone();
    assert_eq!(links[1]["href"], format!("/jobs/{id}/results"));
    let again = house.get(&format!("/jobs/{id}/results")).await.is(200);
    assert!(again.body == map.body);
    let listed = house.get("/v1/jobs?status=successful&limit=5").await.is(200).json();
    assert_eq!(listed["jobs"][0]["id"], id);
    assert_eq!(
        house.get("/v1/jobs?status=failed").await.json()["jobs"],
        Value::from(Vec::<u8>::new())
    );
    // What it needed is gone.
    house.until(id, |_| house.names("work").is_empty() && house.names("inputs").is_empty()).await;
    assert_eq!(house.names("maps").len(), 1);
    // Nobody else sees it.
    let path = format!("/v1/jobs/{id}");
    let request = Request::get(&path).body(Body::empty()).expect("a request");
    house.send("somebody", request).await.is(404);
    house.get("/v1/jobs?limit=0").await.is(422);
    house.get("/v1/jobs?status=lost").await.is(422);
    house.get("/v1/jobs/none/results").await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_the_same_job_and_with_another_request_a_mistake() {
    let house = House::new(ServiceConfig { job_concurrency: 0, ..config() });
    let more = [("prefer", "respond-async"), ("idempotency-key", "day-17")];
    let id = |got: Got| got.is(201).json()["id"].as_str().expect("a name").to_owned();
    let first = id(house.post("anonymous", SMALL, table(2), &more).await);
    assert_eq!(id(house.post("anonymous", SMALL, table(2), &more).await), first);
    let told = house.post("anonymous", SMALL, table(3), &more).await.is(422).json();
    assert!(told["detail"].as_str().expect("text").contains("day-17"), "{told}");
    let other = format!("{SMALL}&precision=f64");
    house.post("anonymous", &other, table(2), &more).await.is(422);
    assert_ne!(id(house.post("somebody", SMALL, table(2), &more).await), first);
    assert_eq!(house.get("/v1/jobs").await.json()["jobs"].as_array().map(Vec::len), Some(1));
    let long = "k".repeat(300);
    let more = [("prefer", "respond-async"), ("idempotency-key", long.as_str())];
    house.post("anonymous", SMALL, table(2), &more).await.is(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_before_there_is_a_job_and_places_are_answered_at_once() {
    let house = House::new(config());
    let prefer = [("prefer", "respond-async")];
    house.post("anonymous", SMALL, "no,table\n".to_owned(), &prefer).await.is(422);
    house.post("anonymous", "shape=4x4", table(1), &prefer).await.is(422);
    assert!(house.names("inputs").is_empty(), "what is refused is not kept");
    let hook = [("prefer", "respond-async"), ("webhook-url", "https://elsewhere.example/")];
    house.post("anonymous", SMALL, table(1), &hook).await.is(422);
    let document = r#"{"points": [{"lon": 1, "lat": 1}], "stations": [{"lon": 0, "lat": 0},
        {"lon": 2, "lat": 1}, {"lon": 1, "lat": 3}], "values": {"pm25": [[1, 2, 3]]}}"#;
    let request = Request::post("/v1/maps").header("content-type", "application/json");
    let request = request.header("prefer", "respond-async").body(Body::from(document));
    let got = house.send("anonymous", request.expect("a request")).await.is(200);
    assert!(got.header("content-type").starts_with("text/csv"));
    assert_eq!(got.header("preference-applied"), "");
    assert!(house.get("/v1/jobs").await.json()["jobs"].as_array().is_some_and(Vec::is_empty));
    assert!(house.names("inputs").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_for_an_answer_at_once_the_way_to_a_job_is_told() {
    let house = House::new(ServiceConfig { sync_max_values: 41 * 33, ..config() });
    house.post("anonymous", SMALL, table(1), &[]).await.is(200);
    let told = house.post("anonymous", SMALL, table(2), &[]).await.is(413).json();
    assert!(told["detail"].as_str().expect("text").contains("Prefer: respond-async"), "{told}");
    let id = house.submit(SMALL, table(2)).await;
    assert_eq!(house.ended(&id).await["status"], "successful");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_bounded_and_tells_the_position() {
    let small = ServiceConfig { job_concurrency: 0, job_queue_length: 2, ..config() };
    let house = House::new(small);
    let first = house.submit(SMALL, table(1)).await;
    let second = house.submit(SMALL, table(2)).await;
    assert_eq!(house.status(&second).await["queue_position"], 2);
    let full =
        house.post("anonymous", SMALL, table(3), &[("prefer", "respond-async")]).await.is(503);
    assert!(full.header("retry-after").parse::<u64>().is_ok());
    house.get(&format!("/v1/jobs/{second}/results")).await.is(404);
    let dismissed = house.delete(&format!("/v1/jobs/{first}")).await.is(200).json();
    assert_eq!(dismissed["status"], "dismissed");
    assert_eq!(house.status(&second).await["queue_position"], 1);
    house.get(&format!("/v1/jobs/{first}/results")).await.is(410);
    house.submit(SMALL, table(3)).await;
    let little = ServiceConfig { job_concurrency: 0, inputs_max_bytes: 10, ..config() };
    let house = House::new(little);
    let prefer = [("prefer", "respond-async")];
    house.post("anonymous", SMALL, table(1), &prefer).await.is(503);
    assert!(house.names("inputs").is_empty(), "what is refused is not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dismissed_job_frees_its_lane_and_a_small_one_does_not_wait_for_it() {
    let house = House::new(ServiceConfig { interactive_seconds: 5.0, ..config() });
    let long = house.submit(LONG, long_table()).await;
    let running = house.until(&long, |s| s["status"] == "running").await;
    assert_eq!(running["lane"], "long");
    let small = house.submit(SMALL, table(3)).await;
    assert_eq!(house.ended(&small).await["status"], "successful");
    assert_eq!(house.status(&long).await["status"], "running", "it takes minutes");
    // Waits behind the first, in the same lane: it would not end before the limit of this test.
    let next = house.submit(LONG, long_table()).await;
    house.delete(&format!("/v1/jobs/{long}")).await.is(200);
    house.until(&next, |s| s["status"] == "running").await;
    assert_eq!(house.status(&long).await["status"], "dismissed");
    house.delete(&format!("/v1/jobs/{next}")).await.is(200);
    house.until(&next, |_| house.names("work").is_empty()).await;
    assert_eq!(house.names("maps").len(), 1, "of the small one");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_take_turns() {
    let house = House::new(ServiceConfig { job_concurrency: 0, ..config() });
    let mut last = String::new();
    for (owner, hours) in [("a", 1), ("a", 2), ("a", 3), ("anonymous", 1), ("anonymous", 2)] {
        let got = house.post(owner, SMALL, table(hours), &[("prefer", "respond-async")]).await;
        last = got.is(201).json()["id"].as_str().expect("a name").to_owned();
    }
    // All of them in one lane, one at a time.
    let one = ServiceConfig { job_concurrency: 1, interactive_seconds: -1.0, ..config() };
    house.database().execute("UPDATE jobs SET lane = 'long'", ()).expect("all in one lane");
    let house = house.restarted(one).await;
    house.ended(&last).await;
    let database = house.database();
    let all_done = "SELECT count(*) FROM jobs WHERE state != 'successful'";
    while database.query_row(all_done, (), |r| r.get::<_, i64>(0)).expect("a count") > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut statement = database.prepare("SELECT owner FROM jobs ORDER BY turn").expect("SQL");
    let order = statement.query_map((), |r| r.get::<_, String>(0)).expect("rows");
    let order: Vec<String> = order.map(|owner| owner.expect("a text")).collect();
    assert_eq!(order, ["a", "anonymous", "a", "anonymous", "a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_dead_process_go_on_and_one_that_ends_every_process_is_given_up() {
    let house = House::new(ServiceConfig { job_concurrency: 0, ..config() });
    let innocent = house.submit(SMALL, table(60)).await;
    let poison = house.submit(SMALL, table(61)).await;
    let crash = "UPDATE jobs SET state = 'running', token = 5, holder = 'holder-dead', \
                 lease_ms = 9000000000000, attempts = ?2 WHERE id = ?1";
    for (id, attempts) in [(&innocent, 2), (&poison, 3)] {
        house.database().execute(crash, (id, attempts)).expect("a row");
    }
    let house = house.restarted(config()).await;
    let failed = house.ended(&poison).await;
    assert_eq!(failed["status"], "failed");
    assert!(failed["message"].as_str().expect("text").contains("3 attempts"), "{failed}");
    let told = house.get(&format!("/v1/jobs/{poison}/results")).await.is(500).json();
    assert_eq!(told["type"], "urn:isopleth:problem:internal");
    assert_eq!(house.ended(&innocent).await["status"], "successful");
    house
        .until(&poison, |_| house.names("work").is_empty() && house.names("inputs").is_empty())
        .await;
    assert_eq!(house.names("maps").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_machine_fails_the_job_waits_and_ends_well_once_it_is_mended() {
    let house = House::new(ServiceConfig { job_attempts: 1, ..config() });
    let folder = |name: &str| house.folder.path().join(name);
    // A folder that is none any more fails as a full disk does, for root, too.
    std::fs::rename(folder("maps"), folder("away")).expect("renamed");
    std::fs::write(folder("maps"), "in the way").expect("a file");
    let id = house.submit(SMALL, table(60)).await;
    let told = |s: &Value| s["message"].as_str().is_some_and(|m| m.contains("tries again after"));
    let waiting = house.until(&id, told).await;
    assert_eq!((&waiting["status"], &waiting["attempts"]), (&"accepted".into(), &0.into()));
    assert_eq!(waiting["blocks"]["done"], waiting["blocks"]["total"], "they are kept");
    std::fs::remove_file(folder("maps")).expect("out of the way");
    std::fs::rename(folder("away"), folder("maps")).expect("renamed");
    assert_eq!(house.ended(&id).await["status"], "successful");
    house.get(&format!("/v1/jobs/{id}/results")).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_lost_its_lease_ends_and_cannot_write_the_end() {
    let house = House::new(config());
    let id = house.submit(LONG, long_table()).await;
    house.until(&id, |s| s["status"] == "running").await;
    // As another process would, that believes this one dead; and dies itself.
    let steal =
        "UPDATE jobs SET token = token + 1, holder = 'holder-other', lease_ms = ?2 WHERE id = ?1";
    house.database().execute(steal, (&id, 9_000_000_000_000_i64)).expect("a row");
    let taken = house.until(&id, |s| s["status"] == "accepted" || s["attempts"] == 2).await;
    assert_eq!(taken["attempts"], if taken["status"] == "accepted" { 1 } else { 2 });
    house.delete(&format!("/v1/jobs/{id}")).await.is(200);
    house.until(&id, |_| house.names("work").is_empty()).await;
    assert_eq!(house.status(&id).await["status"], "dismissed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_service_hands_its_job_back_and_the_next_one_finishes_it() {
    let house = House::new(config());
    let id = house.submit(&format!("{SMALL}&tolerance=exact"), table(700)).await;
    house
        .until(&id, |s| s["blocks"]["done"].as_u64() > Some(1) || s["status"] == "successful")
        .await;
    let house = house.restarted(ServiceConfig { job_concurrency: 0, ..config() }).await;
    let between = house.status(&id).await;
    let done = between["blocks"]["done"].as_u64().expect("a count");
    assert!(done > 1, "{between}");
    if between["status"] == "accepted" {
        assert_eq!(between["attempts"], 0, "a stop does not count: {between}");
        assert_eq!(house.names("work"), [id.as_str()]);
    }
    let house = house.restarted(config()).await;
    assert_eq!(house.ended(&id).await["status"], "successful");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_go_when_their_time_is_over_and_the_answer_says_when_and_why() {
    let house = House::new(ServiceConfig { results_keep_seconds: 0, ..config() });
    let id = house.submit(SMALL, table(2)).await;
    assert_eq!(house.ended(&id).await["status"], "successful");
    house.until(&id, |_| house.names("maps").is_empty()).await;
    let told = house.get(&format!("/v1/jobs/{id}/results")).await.is(410).json();
    let detail = told["detail"].as_str().expect("text");
    assert!(detail.contains("its time was over") && detail.contains("20"), "{detail}");
    let house = house.restarted(config()).await;
    let id = house.submit(SMALL, table(2)).await;
    house.ended(&id).await;
    let path = format!("/v1/jobs/{id}");
    assert_eq!(house.delete(&path).await.is(200).json()["status"], "dismissed");
    assert!(house.names("maps").is_empty());
    house.get(&format!("{path}/results")).await.is(410);
    house.delete(&path).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_until_the_end() {
    let house = House::new(config());
    let id = house.submit(SMALL, table(200)).await;
    // The stream ends when the job does, or this waits for ever.
    let got = house.get(&format!("/v1/jobs/{id}/events")).await.is(200);
    assert_eq!(got.header("content-type"), "text/event-stream");
    let text = String::from_utf8(got.body.to_vec()).expect("UTF-8");
    let last = text.lines().rfind(|line| line.starts_with("data: ")).expect("an event");
    let last: Value = serde_json::from_str(&last[6..]).expect("JSON");
    assert_eq!((&last["status"], &last["progress"]), (&"successful".into(), &100.into()));
    house.get("/v1/jobs/none/events").await.is(404);
}

/// Takes one request, answers it, and gives it back as text.
fn answer(listener: &TcpListener, with: &str) -> String {
    let (mut stream, _) = listener.accept().expect("a connection");
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).expect("a request");
        text.extend_from_slice(&buffer[..read]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let length = so_far.to_lowercase().split("content-length: ").nth(1).and_then(|rest| {
            rest.split("\r\n").next().and_then(|number| number.parse::<usize>().ok())
        });
        let body = so_far.split_once("\r\n\r\n").map(|(_, body)| body.len());
        if read == 0 || (length.is_some() && body >= length) {
            break;
        }
    }
    let head = format!("HTTP/1.1 {with}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("an answer");
    String::from_utf8(text).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_signed_tried_again_and_follows_no_redirect() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("another");
    let port = |l: &TcpListener| l.local_addr().expect("an address").port();
    let secrets = tempfile::tempdir().expect("a folder");
    let secret = secrets.path().join("secret");
    std::fs::write(&secret, "sixteen bytes or more\n").expect("a secret");
    let house = House::new(ServiceConfig {
        webhook_hosts: vec![format!("127.0.0.1:{}=127.0.0.0/8", port(&listener))],
        webhook_secret_file: Some(secret),
        ..config()
    });
    let url = format!("http://127.0.0.1:{}/done?who=me", port(&listener));
    let more = [("prefer", "respond-async"), ("webhook-url", url.as_str())];
    let id = house.post("anonymous", SMALL, table(2), &more).await.is(201).json()["id"].clone();
    let redirect = format!("302 Found\r\nlocation: http://127.0.0.1:{}/", port(&elsewhere));
    let taken = tokio::task::spawn_blocking(move || {
        let first = answer(&listener, &redirect);
        (first, answer(&listener, "204 No Content"))
    });
    let (first, second) = taken.await.expect("both");
    assert!(first.starts_with("POST /done?who=me HTTP/1.1"), "{first}");
    let (head, body) = second.split_once("\r\n\r\n").expect("a body");
    let told: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!((&told["id"], &told["status"]), (&id, &"successful".into()));
    let line = head.lines().find(|line| line.to_lowercase().starts_with("x-isopleth-signature"));
    let (time, sum) = line
        .expect("a signature")
        .split_once("t=")
        .expect("a time")
        .1
        .split_once(",sha256=")
        .expect("a sum");
    let mut mac = Hmac::<Sha256>::new_from_slice(b"sixteen bytes or more").expect("a key");
    mac.update(format!("{time}.{body}").as_bytes());
    let want: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(sum, want);
    elsewhere.set_nonblocking(true).expect("a setting");
    assert!(elsewhere.accept().is_err(), "the redirect was followed");
    let delivered = "SELECT delivered IS NOT NULL AND attempts = 2 FROM hooks";
    let begin = Instant::now();
    while !house.database().query_row(delivered, (), |r| r.get::<_, bool>(0)).expect("a row") {
        assert!(begin.elapsed() < Duration::from_secs(60), "it is booked");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
