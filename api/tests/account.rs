//! The account over the router: what leaves a row, what stands in it, and what leaves none.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use isopleth_api::doors::keys::{self, NewKey};
use isopleth_api::doors::{Auth, KeyLimits};
use isopleth_api::{AppState, ServiceConfig, account, jobs, router};
use rusqlite::types::Value;
use rusqlite::{Connection, Row};
use tempfile::TempDir;
use tower::ServiceExt;

struct House {
    state: AppState,
    folder: TempDir,
}

const GRID: &str = "bounds=100,30,110,38&shape=21x17";

fn table(stations: usize) -> String {
    let mut text = "station,lon,lat,pm25\n".to_owned();
    for k in 0..stations {
        let (x, y) =
            (100.0 + (k as f64 * 0.618).fract() * 10.0, 30.0 + (k as f64 * 0.414).fract() * 8.0);
        text.push_str(&format!("s{k},{x:.4},{y:.4},{:.2}\n", 20.0 + (x * y).sin() * 5.0));
    }
    text
}

impl House {
    fn new(config: ServiceConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = Some(folder.path().to_owned());
        let state = AppState::new(ServiceConfig { data_dir, ..config }).expect("a state");
        Self { state, folder }
    }

    fn router(&self) -> Router {
        router(self.state.clone())
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Bytes) {
        let response = self.router().oneshot(request).await.expect("it never fails");
        let (parts, body) = response.into_parts();
        (parts.status, body.collect().await.expect("a body").to_bytes())
    }

    async fn post(&self, path: &str, body: &str, more: &[(&str, &str)]) -> (u16, Bytes) {
        let mut request = Request::post(path).header("content-type", "text/csv");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let (status, body) =
            self.send(request.body(body.to_owned().into()).expect("a request")).await;
        (status.as_u16(), body)
    }

    async fn job(&self, query: &str, body: &str, more: &[(&str, &str)]) -> String {
        let more = [&[("prefer", "respond-async")], more].concat();
        let (status, body) = self.post(&format!("/v1/maps?{query}"), body, &more).await;
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
        let answer: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        answer["id"].as_str().expect("a name").to_owned()
    }

    fn database(&self) -> Connection {
        let path = self.folder.path().join("isopleth.sqlite3");
        let connection = Connection::open(path).expect("the database");
        connection.busy_timeout(Duration::from_secs(20)).expect("a time-out");
        connection
    }

    /// What a query over the rows gives, after they are written.
    fn rows<T>(&self, sql: &str, read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        account::flush(&self.state).expect("rows are written");
        let database = self.database();
        let mut statement = database.prepare(sql).expect("a statement");
        let rows = statement.query_map([], read).expect("rows");
        rows.collect::<Result<_, _>>().expect("rows")
    }

    fn exits(&self) -> Vec<(String, String, Option<String>)> {
        let sql = "SELECT way, exit, problem FROM usage ORDER BY number";
        self.rows(sql, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    }

    /// Waits until a job has ended; the limit only ends a test that has failed.
    async fn ended(&self, id: &str) -> String {
        let begin = Instant::now();
        loop {
            let sql = format!("SELECT state FROM jobs WHERE id = '{id}'");
            let state = self.rows(&sql, |row| row.get::<_, String>(0)).remove(0);
            if !["accepted", "running"].contains(&state.as_str()) {
                return state;
            }
            assert!(begin.elapsed() < Duration::from_secs(120), "{state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn successful(way: &str) -> (String, String, Option<String>) {
    (way.to_owned(), "successful".to_owned(), None)
}

#[tokio::test]
async fn a_map_at_once_leaves_a_row_that_tells_what_it_was_and_what_it_took() {
    let house = House::new(ServiceConfig { threads_per_map: Some(2), ..Default::default() });
    let path =
        format!("/v1/maps?{GRID}&kernel=linear&metric=chordal&uncertainty=reading&keep=true");
    assert_eq!(house.post(&path, &table(40), &[("x-request-id", "first")]).await.0, 200);
    let sql = "SELECT way, process, name, client, exit, stations, fields, cells, kernel, metric, precision, \
               format, uncertainty, mask, kept, predicted_bytes, peak_bytes, pss_bytes, \
               seconds, waited_seconds + run_seconds, run_seconds, cpu_seconds, read_seconds + factorise_seconds + \
               solve_seconds + evaluate_seconds, ended_ms - began_ms, status FROM usage";
    let rows = house.rows(sql, |row| (0..25).map(|k| row.get::<_, Value>(k)).collect());
    let [row] = <[Vec<Value>; 1]>::try_from(rows).expect("one row");
    let text = |text: &str| Value::Text(text.to_owned());
    for (k, expected) in [
        text("once"),
        text("map"),
        text("first"),
        text("anonymous"),
        text("successful"),
        Value::Integer(40),
        Value::Integer(1),
        Value::Integer(21 * 17),
        text("linear"),
        text("chordal"),
        text("f32"),
        text("netcdf"),
        Value::Integer(1),
        Value::Integer(0),
        Value::Integer(1),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(row[k], expected, "column {k}");
    }
    let real = |k: usize| match row[k] {
        Value::Integer(n) => n as f64,
        Value::Real(x) => x,
        ref other => panic!("column {k} is {other:?}"),
    };
    assert!((15..18).all(|k| real(k) > 1e6), "bytes: {row:?}");
    let [seconds, waited_and_run, run, cpu, stages] = [18, 19, 20, 21, 22].map(real);
    assert!(seconds > 0.0 && waited_and_run <= seconds, "{row:?}");
    // A small map is one thread's: it cannot have worked longer than it took. Clocks tick in microseconds.
    assert!(cpu > 0.0 && cpu <= run + 1e-3, "{row:?}");
    assert!(stages > 0.0 && stages <= run + 1e-3, "{row:?}");
    assert!((real(23) / 1000.0 - seconds).abs() < 0.01 + seconds, "{row:?}");
    assert_eq!(real(24), 200.0);
}

#[tokio::test]
async fn what_is_refused_is_booked_with_its_problem_and_values_and_errors_by_their_process() {
    let house = House::new(ServiceConfig { max_cells: 1000, ..Default::default() });
    let maps = format!("/v1/maps?{GRID}");
    assert_eq!(house.post(&format!("{maps}&kernel=cubist"), &table(9), &[]).await.0, 422);
    assert_eq!(
        house.post("/v1/maps?bounds=100,30,110,38&shape=99x99", &table(9), &[]).await.0,
        413
    );
    assert_eq!(house.post("/v1/crossvalidations?kernel=cubic", &table(9), &[]).await.0, 200);
    let points = r#"{"stations": [{"lon": 1, "lat": 1}, {"lon": 2, "lat": 3}, {"lon": 3, "lat": 2}, {"lon": 4, "lat": 4}],
                     "values": {"v": [[1, 2, 3, 5]]}, "points": [{"lon": 2, "lat": 2}, {"lon": 3, "lat": 3}]}"#;
    let request = Request::post("/v1/maps").header("content-type", "application/json");
    let got = house.send(request.body(points.into()).expect("a request")).await;
    assert_eq!(got.0, 200, "{}", String::from_utf8_lossy(&got.1));
    let sql = "SELECT process, exit, status, problem, cells, stations FROM usage ORDER BY number";
    let rows = house.rows(sql, |row| {
        let texts: (String, String) = (row.get(0)?, row.get(1)?);
        let problem: Option<String> = row.get(3)?;
        let numbers: [Option<i64>; 3] = [row.get(2)?, row.get(4)?, row.get(5)?];
        Ok((texts.0, texts.1, problem, numbers))
    });
    let is = |process: &str, exit: &str, problem: Option<&str>, numbers| {
        (process.to_owned(), exit.to_owned(), problem.map(str::to_owned), numbers)
    };
    let expected = vec![
        is("map", "refused", Some("meaningless"), [Some(422), None, None]),
        is("map", "refused", Some("too-large"), [Some(413), None, None]),
        is("crossvalidation", "successful", None, [Some(200), Some(9), Some(9)]),
        is("points", "successful", None, [Some(200), Some(2), Some(4)]),
    ];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn neither_the_request_nor_the_key_nor_the_service_that_says_so_leaves_a_row() {
    let house = House::new(ServiceConfig { auth: Auth::On, ..Default::default() });
    let key = |name: &str, is_counted| {
        let scopes = "read,map".parse().expect("scopes");
        let limits = KeyLimits::default();
        let new = NewKey { name: name.into(), scopes, expires: None, limits, is_counted };
        keys::create(house.state.store(), &new, "a test").expect("a key")
    };
    let (counted, silent) = (key("counted", true), key("silent", false));
    let path = format!("/v1/maps?{GRID}");
    let ask = async |token: &str, more: &[(&str, &str)]| {
        let more = [&[("x-api-key", token)], more].concat();
        house.post(&path, &table(9), &more).await.0
    };
    assert_eq!(ask(&silent.token, &[]).await, 200);
    assert_eq!(ask(&counted.token, &[("x-isopleth-usage", "none")]).await, 200);
    assert_eq!(ask(&counted.token, &[("x-isopleth-usage", "some")]).await, 400);
    let more = [("x-isopleth-usage", "None"), ("prefer", "respond-async")];
    assert_eq!(ask(&counted.token, &more).await, 201);
    assert_eq!(ask(&silent.token, &[("prefer", "respond-async")]).await, 201);
    assert_eq!(ask("iso_none_0", &[]).await, 401);
    jobs::start(&house.state);
    for id in house.rows("SELECT id FROM jobs", |row| row.get::<_, String>(0)) {
        assert_eq!(house.ended(&id).await, "successful");
    }
    assert_eq!(house.exits(), Vec::new());
    assert_eq!(ask(&counted.token, &[]).await, 200);
    let clients = house.rows("SELECT client FROM usage", |row| row.get::<_, String>(0));
    assert_eq!(clients, [format!("key:{}", counted.id)]);

    let silent = House::new(ServiceConfig { usage: false, ..Default::default() });
    assert_eq!(silent.post(&path, &table(9), &[]).await.0, 200);
    assert_eq!(silent.exits(), Vec::new());
}

#[tokio::test]
async fn an_address_stands_in_a_row_only_where_the_configuration_says_so() {
    for (usage_addresses, expected) in [(false, "anonymous"), (true, "address:127.0.0.1")] {
        let house = House::new(ServiceConfig { usage_addresses, ..Default::default() });
        assert_eq!(house.post(&format!("/v1/maps?{GRID}"), &table(9), &[]).await.0, 200);
        let clients = house.rows("SELECT client FROM usage", |row| row.get::<_, String>(0));
        assert_eq!(clients, [expected]);
    }
}

#[tokio::test]
async fn every_end_of_a_job_has_one_row() {
    let house = House::new(ServiceConfig { job_block_values: 1, ..Default::default() });
    let well = house.job(GRID, &table(20), &[]).await;
    let dismissed = house.job(GRID, &table(20), &[]).await;
    let given_up = house.job(GRID, &table(20), &[]).await;
    // Accepted is enough; who asked for a job that is refused has the row of a request.
    let query = format!("/v1/maps?{GRID}&kernel=cubist");
    let async_header = [("prefer", "respond-async")];
    assert_eq!(house.post(&query, &table(20), &async_header).await.0, 422);
    let request = Request::delete(format!("/v1/jobs/{dismissed}")).body(Body::empty());
    assert_eq!(house.send(request.expect("a request")).await.0, 200);
    // As after three attempts that ended the process.
    let sql = format!("UPDATE jobs SET attempts = 99 WHERE id = '{given_up}'");
    house.database().execute(&sql, []).expect("a job");
    jobs::start(&house.state);
    assert_eq!(house.ended(&well).await, "successful");
    assert_eq!(house.ended(&given_up).await, "failed");
    // The result of a job that has ended is removed: it does not end again.
    let request = Request::delete(format!("/v1/jobs/{well}")).body(Body::empty());
    assert_eq!(house.send(request.expect("a request")).await.0, 200);
    let sql = "SELECT name, exit, problem, cells, kernel IS NOT NULL FROM usage WHERE way = 'job'";
    let mut rows = house.rows(sql, |row| {
        let end: (String, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((end, row.get::<_, i64>(3)?, row.get::<_, bool>(4)?))
    });
    let is = |id: &String, exit: &str, problem: Option<&str>, kernel| {
        ((id.clone(), exit.to_owned(), problem.map(str::to_owned)), 357, kernel)
    };
    let mut expected = vec![
        is(&well, "successful", None, true),
        is(&dismissed, "dismissed", None, false),
        is(&given_up, "failed", Some("internal"), false),
    ];
    rows.sort();
    expected.sort();
    assert_eq!(rows, expected);
    let seen = house.rows("SELECT way, ends, lost FROM usage_seen ORDER BY way", |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    assert_eq!(seen, [("job".to_owned(), 3, 0), ("once".to_owned(), 1, 0)]);
}

#[tokio::test]
async fn a_job_whose_row_cannot_be_written_has_not_ended() {
    let house = House::new(ServiceConfig::default());
    let sql =
        "CREATE TRIGGER full BEFORE INSERT ON usage BEGIN SELECT RAISE(ABORT, 'no room'); END";
    house.database().execute_batch(sql).expect("a trigger");
    let id = house.job(GRID, &table(20), &[]).await;
    jobs::start(&house.state);
    let state = |house: &House| {
        let sql = "SELECT state, message FROM jobs";
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?));
        house.rows(sql, read).remove(0)
    };
    let begin = Instant::now();
    let waits = loop {
        let (state, message) = state(&house);
        match message {
            Some(message) if state == "accepted" => break message,
            _ => assert!(begin.elapsed() < Duration::from_secs(120), "{state}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(waits.contains("tries again"), "{waits}");
    let maps = house.rows("SELECT count(*) FROM maps", |row| row.get::<_, i64>(0));
    assert_eq!((house.exits(), maps), (Vec::new(), vec![0]));
    house.database().execute_batch("DROP TRIGGER full").expect("no trigger");
    house.database().execute("UPDATE jobs SET not_before = 0", []).expect("a job");
    assert_eq!(house.ended(&id).await, "successful");
    assert_eq!(house.exits(), [successful("job")]);
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_a_row_that_says_so() {
    let house = House::new(ServiceConfig { concurrency: Some(1), ..Default::default() });
    // A body that never ends: the request is dropped while it is read.
    let body = Body::from_stream(tokio_stream::pending::<Result<Bytes, std::io::Error>>());
    let request = Request::post(format!("/v1/maps?{GRID}")).header("content-type", "text/csv");
    let asking = house.router().oneshot(request.body(body).expect("a request"));
    assert!(tokio::time::timeout(Duration::from_millis(300), asking).await.is_err());
    assert_eq!(house.exits(), [("once".to_owned(), "cancelled".to_owned(), None)]);
}

fn time(text: &str) -> jiff::Timestamp {
    text.parse().expect("a time")
}

impl House {
    /// Moves everything that was booked to a day.
    fn move_to(&self, day: &str) {
        account::flush(&self.state).expect("rows are written");
        let ms = time(&format!("{day}T12:00:00Z")).as_millisecond();
        let (seconds, days) = (ms / 1000, ms / 86_400_000);
        let sql = format!(
            "UPDATE usage SET ended_ms = {ms}, began_ms = {ms}; UPDATE usage_seen SET day = {days}; \
             UPDATE jobs SET finished = {seconds} WHERE finished IS NOT NULL"
        );
        self.database().execute_batch(&sql).expect("another day");
    }
}

#[tokio::test]
async fn a_day_is_reconciled_and_a_row_that_is_gone_or_a_file_that_changed_is_told() {
    let house = House::new(ServiceConfig::default());
    let id = house.job(GRID, &table(20), &[]).await;
    jobs::start(&house.state);
    house.ended(&id).await;
    for _ in 0..2 {
        assert_eq!(house.post(&format!("/v1/maps?{GRID}"), &table(9), &[]).await.0, 200);
    }
    house.move_to("2026-03-01");
    let after = time("2026-03-02T00:05:00Z");
    let found = account::close(&house.state, after).expect("closed");
    let [day] = &found[..] else { panic!("{found:?}") };
    assert_eq!((day.date.as_str(), day.difference, day.files), ("2026-03-01", 0, 1));
    let counts = [day.jobs, Some(day.jobs_seen), Some(day.jobs_booked)];
    assert_eq!(counts, [Some(1); 3]);
    assert_eq!((day.requests_seen, day.requests_booked, day.lost), (2, 2, 0));
    // Once is enough.
    assert_eq!(account::close(&house.state, after).expect("nothing"), []);
    let days = ["2026-03-01", "2026-03-01"].map(|day| day.parse().expect("a day"));
    let again = || {
        let today = "2026-03-02".parse().expect("a day");
        account::reconciled(house.state.store(), days, today).expect("days").remove(0)
    };
    assert_eq!(&again(), day);

    let change = |sql: &str| house.database().execute_batch(sql).expect("a change");
    change("UPDATE usage_seen SET ends = ends + 1 WHERE way = 'once'");
    assert_eq!(again().difference, 1);
    change("UPDATE usage_seen SET ends = ends - 1 WHERE way = 'once'");
    change("UPDATE jobs SET account = NULL");
    assert_eq!((again().jobs, again().difference), (Some(0), 1));
    change("UPDATE jobs SET account = owner");
    let file = house.folder.path().join("usage/dt=2026-03-01/part.parquet");
    let mut bytes = std::fs::read(&file).expect("the file");
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).expect("a damaged file");
    assert_eq!((again().damaged.len(), again().difference), (1, 3));
    std::fs::remove_file(&file).expect("no file");
    assert_eq!((again().damaged.len(), again().difference), (1, 3));
}

#[tokio::test]
async fn a_canary_comes_back_right_and_leaves_nothing_behind() {
    let house = House::new(ServiceConfig::default());
    jobs::start(&house.state);
    let now = time("2026-03-01T00:00:00Z");
    let first = account::canary(&house.state, now).await;
    let told = house.rows("SELECT message FROM canaries", |row| row.get::<_, Option<String>>(0));
    assert_eq!(first, Some((1, None)), "{told:?}");
    assert_eq!(account::canary(&house.state, now).await, Some((2, None)));
    let sql = "SELECT sequence, outcome, made_by, digest FROM canaries";
    let rows = house.rows(sql, |row| {
        let texts: [String; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
        Ok((row.get::<_, i64>(0)?, texts))
    });
    assert_eq!((rows[0].0, rows[1].0, rows.len()), (1, 2, 2));
    assert_eq!(rows[0].1, rows[1].1);
    assert!(rows[0].1[0] == "right" && rows[0].1[1].starts_with("isopleth "), "{rows:?}");
    let sql = "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM maps) + \
               (SELECT count(*) FROM usage)";
    assert_eq!(house.rows(sql, |row| row.get::<_, i64>(0)), [0]);
    let maps = std::fs::read_dir(house.folder.path().join("maps")).expect("the folder");
    assert_eq!(maps.count(), 0);

    // The same values in other bits than the last time on the same machine.
    house.database().execute("UPDATE canaries SET digest = 'other'", []).expect("a change");
    assert_eq!(account::canary(&house.state, now).await, Some((3, Some("changed"))));
    // Another version of the program may have other bits.
    house.database().execute("UPDATE canaries SET made_by = 'older'", []).expect("a change");
    assert_eq!(account::canary(&house.state, now).await, Some((4, None)));
    let request = Request::get("/metrics").body(Body::empty()).expect("a request");
    let text = String::from_utf8(house.send(request).await.1.to_vec()).expect("text");
    for line in [
        "isopleth_canary_sequence 4",
        "isopleth_canary_failures_total{reason=\"changed\"} 1",
        "isopleth_canary_failures_total{reason=\"late\"} 0",
        "isopleth_canary_last_success_timestamp_seconds 17723232",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_canary_that_is_late_or_missing_is_told_and_the_next_has_the_next_number() {
    let house = House::new(ServiceConfig { canary_late_seconds: 1, ..Default::default() });
    let now = time("2026-03-01T00:00:00Z");
    // Nobody runs jobs.
    assert_eq!(account::canary(&house.state, now).await, Some((1, Some("late"))));
    assert_eq!(house.rows("SELECT count(*) FROM jobs", |row| row.get::<_, i64>(0)), [0]);
    // As of a process that ended after it had sent one.
    let sql = "INSERT INTO canaries (sent_ms) VALUES (1)";
    house.database().execute(sql, []).expect("a canary");
    jobs::start(&house.state);
    assert_eq!(account::canary(&house.state, now).await, Some((3, None)));
    let outcomes =
        house.rows("SELECT outcome FROM canaries ORDER BY sequence", |row| row.get::<_, String>(0));
    assert_eq!(outcomes, ["late", "missing", "right"]);
}
