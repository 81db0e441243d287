//! Maps of registered networks as jobs, and maps that are kept though they were made at once: what a job keeps of
//! its network, where its map is found, and what is refused.

use std::path::Path;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use isopleth_api::{AppState, ServiceConfig, jobs, router};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

const STATIONS: usize = 30;
const HOURS: usize = 400;
const JOB: (&str, &str) = ("prefer", "respond-async");

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

/// Small blocks, so that a small map has several.
fn config() -> ServiceConfig {
    ServiceConfig { job_block_values: 1, threads_per_map: Some(1), ..ServiceConfig::default() }
}

/// A service in a folder; without lanes its jobs wait.
fn open(folder: &Path, config: ServiceConfig) -> AppState {
    let config = ServiceConfig { data_dir: Some(folder.to_owned()), ..config };
    let state = AppState::new(config).expect("a state");
    jobs::start(&state);
    state
}

async fn close(state: AppState) {
    state.stop();
    state.quiet().await;
}

async fn send(
    state: &AppState,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Got {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.into()).expect("a request");
    let response = router(state.clone()).oneshot(request).await.expect("the router never fails");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Got { status: parts.status.as_u16(), headers: parts.headers, body }
}

async fn get(state: &AppState, path: &str) -> Got {
    send(state, Method::GET, path, &[], Body::empty()).await
}

async fn put(state: &AppState, network: &Value) {
    let headers = [("content-type", "application/json")];
    let got =
        send(state, Method::PUT, "/v1/networks/net", &headers, network.to_string()).await.status;
    assert!(got == 200 || got == 201, "{got}");
}

async fn post(state: &AppState, query: &str, document: &Value, more: &[(&str, &str)]) -> Got {
    let headers = [&[("content-type", "application/json")], more].concat();
    let path = format!("/v1/networks/net/maps{query}");
    send(state, Method::POST, &path, &headers, document.to_string()).await
}

/// A network of so many stations on a grid of so many columns.
fn network(stations: usize, columns: usize) -> Value {
    let place =
        |k: usize| [100.0 + (k * 37 % 100) as f64 / 10.0, 30.0 + (k * 53 % 80) as f64 / 10.0];
    let station = |k: usize| json!({"id": format!("s{k}"), "lon": place(k)[0], "lat": place(k)[1]});
    json!({"stations": (0..stations).map(station).collect::<Vec<_>>(), "units": {"pm25": "ug/m3"},
           "grid": {"bounds": [100, 30, 110, 38], "shape": [columns, 33]},
           "method": {"kernel": "linear"}})
}

fn hour(k: usize) -> String {
    format!("2026-01-{:02}T{:02}:00:00Z", 1 + k / 24, k % 24)
}

/// Values of so many hours; of some stations there are none.
fn values(hours: usize) -> Value {
    let value = |k: usize, t: usize| (k % 7 != t % 7).then(|| 40.0 + ((k * k + t * 5) % 23) as f64);
    let row =
        |t| Value::Object((0..STATIONS).map(|k| (format!("s{k}"), json!(value(k, t)))).collect());
    json!({"times": (0..hours).map(hour).collect::<Vec<_>>(),
           "values": {"pm25": (0..hours).map(row).collect::<Vec<_>>()}})
}

async fn status(state: &AppState, job: &str) -> Value {
    get(state, &format!("/v1/jobs/{job}")).await.is(200).json()
}

/// Waits; the limit only ends a test that has failed.
async fn until(state: &AppState, job: &str, wished: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let now = status(state, job).await;
        if wished(&now) {
            return now;
        }
        assert!(begin.elapsed() < Duration::from_secs(120), "{now}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn map_of(state: &AppState, job: &str) -> Bytes {
    let ended = |s: &Value| s["status"] != "accepted" && s["status"] != "running";
    let end = until(state, job, ended).await;
    assert_eq!(end["status"], "successful", "{end}");
    get(state, &format!("/v1/jobs/{job}/results")).await.is(200).body
}

/// A folder with everything in it, once more.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the folder") {
        let entry = entry.expect("an entry");
        let new = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            copy(&entry.path(), &new);
        } else {
            std::fs::copy(entry.path(), new).expect("a copy");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_keeps_its_network_however_that_is_changed_or_deleted_meanwhile() {
    let folders: [TempDir; 2] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let [left_alone, disturbed] = folders.each_ref().map(TempDir::path);
    let waiting = || ServiceConfig { job_concurrency: 0, ..config() };
    let state = open(left_alone, waiting());
    put(&state, &network(STATIONS, 61)).await;
    let got = post(&state, "", &values(HOURS), &[JOB]).await.is(201);
    assert_eq!(got.header("preference-applied"), "respond-async");
    let job = got.json()["id"].as_str().expect("a name").to_owned();
    close(state).await;
    copy(left_alone, disturbed);

    let state = open(left_alone, config());
    let wanted = map_of(&state, &job).await;
    let found = get(&state, "/v1/maps?network=net").await.is(200).json()["maps"].clone();
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!((&found[0]["job"], &found[0]["network"]), (&json!(job), &json!("net")), "{found}");
    assert_eq!(get(&state, "/v1/maps?network=other").await.json()["maps"], json!([]));
    close(state).await;

    // The same job: a station leaves while it waits, another with the grid while it runs, and at last the network.
    let state = open(disturbed, waiting());
    put(&state, &network(STATIONS - 1, 61)).await;
    close(state).await;
    let state = open(disturbed, config());
    until(&state, &job, |s| s["blocks"]["done"].as_u64() >= Some(1)).await;
    put(&state, &network(STATIONS - 2, 21)).await;
    close(state).await;
    let state = open(disturbed, config());
    send(&state, Method::DELETE, "/v1/networks/net", &[], Body::empty()).await.is(204);
    assert!(map_of(&state, &job).await == wanted, "the bytes are those of the job left alone");
    close(state).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_network_is_refused_like_its_map_and_the_same_key_is_the_same_job() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = open(folder.path(), ServiceConfig { job_concurrency: 0, ..config() });
    put(&state, &network(STATIONS, 21)).await;
    let stranger = json!({"values": {"pm25": {"s1": 1, "s2": 2, "s3": 5, "elsewhere": 3}}});
    let told = post(&state, "", &stranger, &[JOB]).await.is(422).json();
    assert_eq!(told["errors"][0]["station"], "elsewhere", "{told}");
    let form = [("content-type", "multipart/form-data; boundary=x"), JOB];
    let path = "/v1/networks/net/maps";
    let part =
        "--x\r\ncontent-disposition: form-data; name=\"readings\"\r\n\r\nstation,pm25\r\n--x--\r\n";
    send(&state, Method::POST, path, &form, part).await.is(415);
    send(&state, Method::POST, "/v1/networks/none/maps", &form, part).await.is(404);
    let mut places = values(1);
    places["points"] = json!([{"lon": 103, "lat": 33}]);
    let got = post(&state, "", &places, &[JOB]).await.is(200);
    assert_eq!((got.header("preference-applied"), got.header("location")), ("", ""));
    let inputs = || std::fs::read_dir(folder.path().join("inputs")).expect("the folder").count();
    assert_eq!(inputs(), 0, "what became no job is not kept");

    let table = |text: &str| {
        let (state, text) = (state.clone(), text.to_owned());
        let kind = [("content-type", "text/csv")];
        async move { send(&state, Method::POST, path, &kind, text).await.is(422).json() }
    };
    let nowhere = table("lon,lat,pm25\n100,31,1000\n").await;
    let told = nowhere["detail"].as_str().expect("a detail");
    assert!(told.contains("no column of the station"), "{nowhere}");
    let twice = table("station,pm25\ns1,1\ns1,20\ns2,3\ns3,4\n").await;
    let told = twice["detail"].as_str().expect("a detail");
    assert!(told.contains("station s1, variable pm25 has two readings"), "{twice}");

    let key = [JOB, ("idempotency-key", "hour-8")];
    let id = |got: Got| got.is(201).json()["id"].as_str().expect("a name").to_owned();
    let first = id(post(&state, "", &values(2), &key).await);
    put(&state, &network(STATIONS, 25)).await;
    assert_eq!(id(post(&state, "", &values(2), &key).await), first, "sent again, it is the same");
    post(&state, "", &values(3), &key).await.is(422);
    let table = format!("time,station,pm25\n{0},s1,1\n{0},s2,2\n{0},s3,4\n", hour(0));
    let csv = |query: &str| {
        let (state, table, path) = (state.clone(), table.clone(), format!("{path}{query}"));
        let headers = [("content-type", "text/csv"), JOB, ("idempotency-key", "table")];
        async move { send(&state, Method::POST, &path, &headers, table).await }
    };
    let ignored = id(csv("?unknown=ignore&precision=f64").await);
    assert_eq!(id(csv("?unknown=ignore&precision=f64").await), ignored);
    csv("?precision=f64").await.is(422);
    close(state).await;
    // Both wait in the database, and are made with what they kept.
    let state = open(folder.path(), config());
    map_of(&state, &first).await;
    map_of(&state, &ignored).await;
    let found = get(&state, "/v1/maps?network=net").await.json()["maps"].clone();
    let shapes = |k: usize| found[k]["bounds"].clone();
    assert_eq!(found.as_array().map(Vec::len), Some(2), "{found}");
    assert_eq!(shapes(0), shapes(1));
    close(state).await;
}

fn maps_in(folder: &TempDir) -> usize {
    std::fs::read_dir(folder.path().join("maps")).expect("the folder").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn hourly_posts_that_are_kept_are_found_and_the_latest_is_the_one_of_the_last_hour() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = open(folder.path(), config());
    put(&state, &network(STATIONS, 21)).await;
    let of = |t: usize| {
        let mut one = values(t + 1);
        let times = one["times"].as_array_mut().expect("times").split_off(t);
        let rows = one["values"]["pm25"].as_array_mut().expect("rows").split_off(t);
        (one["times"], one["values"]["pm25"]) = (json!(times), json!(rows));
        one
    };
    let mut places = Vec::new();
    // The last hour comes before one that was late.
    for t in [0, 2, 1] {
        let got = post(&state, "?keep=true", &of(t), &[]).await.is(200);
        let data = get(&state, got.header("content-location")).await.is(200);
        assert!(data.body == got.body, "it is the file that is kept");
        assert_eq!(data.header("etag"), got.header("etag"));
        places.push(got.header("location").to_owned());
    }
    let found = get(&state, "/v1/maps?network=net&variable=pm25").await.json()["maps"].clone();
    assert_eq!(found.as_array().map(Vec::len), Some(3), "{found}");
    let latest = get(&state, "/v1/maps?network=net&latest=true").await.json()["maps"].clone();
    assert_eq!(places[1], format!("/v1/maps/{}", latest[0]["id"].as_str().expect("a name")));
    assert_eq!(latest[0]["times"][0], hour(2), "{latest}");
    let told = get(&state, &places[1]).await.is(200).json();
    assert_eq!((&told["network"], &told["job"]), (&json!("net"), &Value::Null), "{told}");
    assert!(told["report"]["fields"].is_array(), "{told}");

    // As JSON it is kept as well, and the answer is not what is kept.
    let json = post(&state, "?keep=true&f=json", &of(3), &[]).await.is(200);
    assert_eq!((json.header("content-location"), json.header("etag")), ("", ""));
    let alone = post(&state, "?f=json", &of(3), &[]).await.is(200);
    assert_eq!((alone.header("location"), &alone.json()["values"]), ("", &json.json()["values"]));
    let kept = get(&state, &format!("{}/data?f=covjson", json.header("location"))).await.is(200);
    assert!(kept.json()["ranges"]["pm25"].is_object());
    assert_eq!(maps_in(&folder), 4);
    let mut points = of(4);
    points["points"] = json!([{"lon": 103, "lat": 33}]);
    let told = post(&state, "?keep=true", &points, &[]).await.is(422).json();
    assert_eq!(told["errors"][0]["parameter"], "keep", "{told}");
    post(&state, "?keep=perhaps", &of(4), &[]).await.is(422);
    assert_eq!(maps_in(&folder), 4);
    close(state).await;
    // They are there after a restart.
    let state = open(folder.path(), config());
    get(&state, &format!("{}/data", places[0])).await.is(200);
    close(state).await;
}

const TABLE: &str = "station,lon,lat,pm25\na,0,0,1\nb,1,0,2\nc,0,1,4\nd,1,1,3\n";

async fn keep(state: &AppState, query: &str) -> Got {
    let path = format!("/v1/maps?keep=true&bounds=0,0,1,1&shape={query}");
    send(state, Method::POST, &path, &[("content-type", "text/csv")], TABLE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_maps_make_room_for_each_other_and_one_that_never_fits_is_refused_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = open(folder.path(), config());
    let bytes = keep(&state, "20x20").await.is(200).body.len() as u64;
    close(state).await;
    let most = ServiceConfig { results_max_bytes: bytes * 5 / 2, ..config() };
    let state = open(folder.path(), most);
    let second = keep(&state, "20x20").await.is(200).header("location").to_owned();
    assert_eq!(maps_in(&folder), 2);
    keep(&state, "20x20").await.is(200);
    assert_eq!(maps_in(&folder), 2, "the oldest went");
    get(&state, &second).await.is(200);
    let told = keep(&state, "500x500&digits=exact").await.is(507).json();
    assert_eq!(told["type"], "urn:isopleth:problem:no-room", "{told}");
    assert_eq!(maps_in(&folder), 2, "nothing of it is left, and nothing went for it");
    let listed = get(&state, "/v1/maps").await.json()["maps"].clone();
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    close(state).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_a_map_is_not_kept_and_that_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = open(folder.path(), config());
    let maps = folder.path().join("maps");
    let mount = |arguments: &[&str]| {
        let status = std::process::Command::new("mount").args(arguments).arg(&maps).output();
        status.is_ok_and(|output| output.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=200k", "isopleth-test"]) {
        eprintln!("skipped: a small tmpfs cannot be mounted here (needs root)");
        return;
    }
    let told = keep(&state, "500x500&digits=exact").await;
    let left = maps_in(&folder);
    let small = keep(&state, "9x9").await.status;
    let unmounted = std::process::Command::new("umount").arg("-l").arg(&maps).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_eq!(told.is(507).json()["type"], "urn:isopleth:problem:no-room");
    assert_eq!((left, small), (0, 200), "there is room for a small one");
    close(state).await;
}
