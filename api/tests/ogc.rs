//! OGC API – Processes over the router: the landing page, what is claimed, and what every link leads to.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::{Extension, Router};
use http_body_util::BodyExt;
use isopleth_api::doors::audit;
use isopleth_api::{AppState, Owner, ServiceConfig, jobs, router};
use serde_json::{Value, json};
use tower::ServiceExt;

/// Status, headers, body.
struct Got {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: axum::body::Bytes,
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

async fn send(state: &AppState, request: Request<Body>) -> Got {
    let response = router(state.clone()).oneshot(request).await.expect("it never fails");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Got { status: parts.status, headers: parts.headers, body }
}

async fn get(state: &AppState, path: &str) -> Got {
    let request = Request::get(path).header("host", "maps.test").body(Body::empty());
    send(state, request.expect("a request")).await
}

fn state() -> AppState {
    AppState::new(ServiceConfig::default()).expect("a state")
}

/// Runs a process; `more`: headers.
async fn run(state: &AppState, process: &str, body: &Value, more: &[(&str, &str)]) -> Got {
    let mut request = Request::post(format!("/processes/{process}/execution"))
        .header("host", "maps.test")
        .header("content-type", "application/json");
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    send(state, request.body(body.to_string().into()).expect("a request")).await
}

const ASYNC: [(&str, &str); 1] = [("prefer", "respond-async")];

/// Waits until a job has ended; the limit only ends a test that has failed.
async fn ended(state: &AppState, id: &str) -> Value {
    let begin = Instant::now();
    loop {
        let told = get(state, &format!("/jobs/{id}")).await.is(200).json();
        if !["accepted", "running"].contains(&told["status"].as_str().expect("a status")) {
            return told;
        }
        assert!(begin.elapsed() < Duration::from_secs(120), "{told}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const TABLE: &str = "station,lon,lat,time,pm25\na,101,31,2026-01-01T00:00Z,5\n\
    b,108,32,2026-01-01T00:00Z,9\nc,104,37,2026-01-01T00:00Z,7\nd,102,35,2026-01-01T00:00Z,3\n";

fn grid() -> Value {
    json!({"bounds": [100, 30, 110, 38], "shape": [6, 5]})
}

/// The readings of the table as a document.
fn document() -> Value {
    json!({
        "stations": [
            {"id": "a", "lon": 101, "lat": 31}, {"id": "b", "lon": 108, "lat": 32},
            {"id": "c", "lon": 104, "lat": 37}, {"id": "d", "lon": 102, "lat": 35},
        ],
        "times": ["2026-01-01T00:00:00Z"],
        "values": {"pm25": [[5, 9, 7, 3]]},
    })
}

fn csv() -> Value {
    json!({"value": TABLE, "mediaType": "text/csv"})
}

fn running(config: ServiceConfig) -> AppState {
    let state = AppState::new(config).expect("a state");
    jobs::start(&state);
    state
}

#[tokio::test]
async fn every_link_of_the_landing_page_leads_somewhere() {
    let state = state();
    let landing = get(&state, "/").await.is(200).json();
    assert!(landing["title"].is_string() && landing["description"].is_string(), "{landing}");
    let links = landing["links"].as_array().expect("links");
    for link in links {
        let href = link["href"].as_str().expect("an address");
        let path = href.strip_prefix("http://maps.test").expect("the host that was asked");
        let got = get(&state, path).await.is(200);
        let told = link["type"].as_str().expect("a type");
        let kind = if told.contains("json") { "application/json" } else { told };
        assert!(got.header("content-type").starts_with(kind), "{link}");
    }
    let rels: Vec<&str> = links.iter().filter_map(|link| link["rel"].as_str()).collect();
    for rel in ["self", "service-desc", "service-doc", "conformance"] {
        assert!(rels.contains(&rel), "{rels:?}");
    }
    let claims = get(&state, "/conformance").await.is(200).json();
    let core = "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core";
    assert!(claims["conformsTo"].as_array().is_some_and(|all| all.contains(&core.into())));
}

#[tokio::test]
async fn a_program_gets_json_and_a_person_the_documentation() {
    let state = state();
    let ask = async |path: &str, accept: &str| {
        let request = Request::get(path).header("host", "maps.test").header("accept", accept);
        send(&state, request.body(Body::empty()).expect("a request")).await.status.as_u16()
    };
    assert_eq!(ask("/", "text/html,application/xhtml+xml,*/*;q=0.8").await, 303);
    assert_eq!(ask("/?f=json", "text/html,application/xhtml+xml,*/*;q=0.8").await, 200);
    assert_eq!(ask("/", "application/json, text/html;q=0.5").await, 200);
    assert_eq!(ask("/", "*/*").await, 200);
    assert_eq!(ask("/?f=html", "application/json").await, 303);
    assert_eq!(ask("/?f=xml", "*/*").await, 406);
    assert_eq!(ask("/?g=xml", "*/*").await, 422);
}

#[tokio::test]
async fn processes_are_listed_page_by_page_and_described_with_their_schemas() {
    let state = state();
    let listed = get(&state, "/processes").await.is(200).json();
    let ids = |listed: &Value| -> Vec<String> {
        let all = listed["processes"].as_array().expect("a list").iter();
        all.map(|process| process["id"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!(ids(&listed), ["map", "points", "crossvalidation"]);
    let first = get(&state, "/processes?limit=2").await.is(200).json();
    assert_eq!(ids(&first), ["map", "points"]);
    let next = first["links"].as_array().expect("links").iter().find(|link| link["rel"] == "next");
    let next = next.expect("a next page")["href"].as_str().expect("an address").to_owned();
    let second = get(&state, next.strip_prefix("http://maps.test").expect("ours")).await.json();
    assert_eq!(ids(&second), ["crossvalidation"]);
    get(&state, "/processes?limit=0").await.is(422);
    get(&state, "/processes?size=2").await.is(422);
    for id in ids(&listed) {
        let told = get(&state, &format!("/processes/{id}")).await.is(200).json();
        assert_eq!(told["id"], id.as_str());
        let options = json!(["sync-execute", "async-execute", "dismiss"]);
        assert_eq!(told["jobControlOptions"], options);
        assert_eq!(told["outputs"].as_object().map(serde_json::Map::len), Some(1));
        let execute = told["links"].as_array().expect("links").iter();
        let rel = "http://www.opengis.net/def/rel/ogc/1.0/execute";
        let execute: Vec<&Value> = execute.filter(|link| link["rel"] == rel).collect();
        assert_eq!(execute[0]["href"], format!("http://maps.test/processes/{id}/execution"));
    }
    let none = get(&state, "/processes/none").await.is(404).json();
    assert_eq!(
        none["type"],
        "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/no-such-process"
    );
    let none = run(&state, "none", &json!({"inputs": {}}), &[]).await.is(404).json();
    assert!(none["type"].as_str().is_some_and(|name| name.ends_with("/no-such-process")));
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_in_every_form_give_the_same_values() {
    let state = state();
    let points = json!([{"lon": 104, "lat": 33}, {"lon": 106, "lat": 36}]);
    let method = json!({"kernel": "linear"});
    let base64 = "c3RhdGlvbixsb24sbGF0LHRpbWUscG0yNQphLDEwMSwzMSwyMDI2LTAxLTAxVDAwOjAwWiw1CmIs\
        MTA4LDMyLDIwMjYtMDEtMDFUMDA6MDBaLDkKYywxMDQsMzcsMjAyNi0wMS0wMVQwMDowMFosNwpk\
        LDEwMiwzNSwyMDI2LTAxLTAxVDAwOjAwWiwzCg==";
    let features = [("a", 101, 31, 5), ("b", 108, 32, 9), ("c", 104, 37, 7), ("d", 102, 35, 3)];
    let features = features.map(|(id, lon, lat, value)| {
        let properties = json!({"time": "2026-01-01T00:00:00Z", "pm25": value});
        let geometry = json!({"type": "Point", "coordinates": [lon, lat]});
        json!({"type": "Feature", "id": id, "geometry": geometry, "properties": properties})
    });
    let geojson = json!({"type": "FeatureCollection", "features": features});
    let mut all = Vec::new();
    for readings in [
        document(),
        json!({"value": document()}),
        json!({"mediaType": "application/json", "value": document().to_string()}),
        json!(TABLE),
        csv(),
        json!({"value": base64, "mediaType": "text/csv", "encoding": "base64"}),
        geojson.clone(),
        json!({"value": geojson, "mediaType": "application/geo+json"}),
        json!({"value": geojson.to_string(), "mediaType": "application/geo+json"}),
    ] {
        let inputs = json!({"points": points, "method": method, "readings": readings});
        let got = run(&state, "points", &json!({"inputs": inputs}), &[]).await.is(200).json();
        all.push(got["values"].clone());
    }
    // The fields of our own request, plainly or qualified.
    let mut inputs = document();
    inputs["points"] = points.clone();
    inputs["method"] = method.clone();
    let got = run(&state, "points", &json!({"inputs": inputs}), &[]).await.is(200).json();
    all.push(got["values"].clone());
    inputs["points"] = json!({"value": points});
    inputs["method"] = json!({"value": method, "mediaType": "application/json"});
    inputs["values"] = json!({"mediaType": "application/json", "value": inputs["values"]});
    let got = run(&state, "points", &json!({"inputs": inputs}), &[]).await.is(200).json();
    all.push(got["values"].clone());
    assert!(all[0]["pm25"][0][0][0].is_number(), "{}", all[0]);
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    // And of our own route.
    inputs["points"] = points;
    inputs["method"] = method;
    inputs["values"] = document()["values"].clone();
    let request = Request::post("/v1/maps?f=json").header("content-type", "application/json");
    let request = request.body(inputs.to_string().into()).expect("a request");
    assert_eq!(send(&state, request).await.is(200).json()["values"], all[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_execution_is_pointed_at() {
    let state = state();
    let good = json!({"grid": grid(), "readings": csv()});
    let with = |name: &str, value: Value| {
        let mut inputs = good.clone();
        inputs[name] = value;
        json!({"inputs": inputs})
    };
    let asked = |value: Value| json!({"inputs": good, "outputs": value});
    for (process, body, pointer) in [
        ("map", json!({}), ""),
        ("map", json!({"inputs": []}), "/inputs"),
        ("map", json!({"inputs": {"readings": csv()}}), "/inputs/grid"),
        ("map", json!({"inputs": {"grid": grid()}}), "/inputs/values"),
        ("map", with("points", json!([{"lon": 1, "lat": 2}])), "/inputs/points"),
        ("map", with("grit", json!(1)), "/inputs"),
        ("map", with("stations", document()["stations"].clone()), "/inputs/readings"),
        (
            "map",
            with("method", json!({"epsilon": 0, "kernel": "gaussian"})),
            "/inputs/method/epsilon",
        ),
        ("map", with("method", json!({"value": {"kernl": "x"}})), "/inputs/method/value/kernl"),
        ("map", with("grid", json!({"href": "http://127.0.0.1/grid"})), "/inputs/grid"),
        ("map", with("readings", json!({"href": "file:///etc/passwd"})), "/inputs/readings"),
        (
            "map",
            with("readings", json!({"value": "x", "mediaType": "image/png"})),
            "/inputs/readings/mediaType",
        ),
        (
            "map",
            with("readings", json!({"value": "%", "encoding": "base64"})),
            "/inputs/readings/value",
        ),
        ("map", with("readings", json!({"value": "x", "encoding": "utf-7"})), "/inputs/readings"),
        (
            "map",
            with("readings", json!({"type": "Point", "coordinates": [1, 2]})),
            "/inputs/readings/coordinates",
        ),
        ("map", with("readings", json!({"type": "Topology"})), "/inputs/readings"),
        ("map", asked(json!({"mop": {}})), "/outputs"),
        (
            "map",
            asked(json!({"map": {"format": {"mediaType": "text/html"}}})),
            "/outputs/map/format",
        ),
        ("map", asked(json!({"map": {"format": {"encoding": "gzip"}}})), "/outputs/map/format"),
        ("map", json!({"inputs": good, "subscriber": {"successUri": "http://x/"}}), "/subscriber"),
        ("map", json!({"inputs": good, "response": "html"}), "/response"),
        ("map", json!({"inputs": good, "what": 1}), "/what"),
        ("points", json!({"inputs": good}), "/inputs/grid"),
        ("crossvalidation", json!({"inputs": good}), "/inputs"),
        (
            "crossvalidation",
            json!({"inputs": {"readings": csv(), "folds": ["x"]}}),
            "/inputs/folds/0",
        ),
    ] {
        let told = run(&state, process, &body, &[]).await.is(422).json();
        let place = told["errors"][0]["pointer"].as_str().unwrap_or("none").to_owned();
        assert_eq!(place, pointer, "{body}: {told}");
        // As a job it is told at once, too.
        if told["errors"][0]["pointer"] != "/subscriber" {
            let again = run(&state, process, &body, &ASYNC).await.is(422).json();
            assert_eq!(again["errors"], told["errors"], "{body}");
        }
    }
    let document = json!({"inputs": good, "response": "document", "outputs": {"map": {"transmissionMode": "reference"}}});
    run(&state, "map", &document, &[]).await.is(422);
    let request = Request::post("/processes/map/execution").header("content-type", "text/csv");
    send(&state, request.body(Body::from(TABLE)).expect("a request")).await.is(415);
    let request =
        Request::post("/processes/map/execution").header("content-type", "application/json");
    send(&state, request.body(Body::from("{")).expect("a request")).await.is(400);
    run(&state, "map", &json!({"inputs": good}), &[("accept", "video/mp4")]).await.is(406);
    assert!(
        get(&state, "/jobs").await.is(200).json()["jobs"].as_array().is_some_and(Vec::is_empty)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_is_answered_at_once_as_it_is_asked_for() {
    let state = state();
    let inputs = json!({"grid": grid(), "readings": csv()});
    let raw = run(&state, "map", &json!({"inputs": inputs}), &[]).await.is(200);
    assert_eq!(raw.header("content-type"), "application/x-netcdf");
    assert!(raw.body.starts_with(b"\x89HDF"));
    for (media_type, begin) in [
        ("image/png", &b"\x89PNG"[..]),
        ("image/tiff", b"II"),
        ("application/prs.coverage+json", b"{"),
        ("application/json", b"{"),
        ("application/geo+json", b"{"),
        ("text/csv", b""),
    ] {
        let outputs = json!({"map": {"format": {"mediaType": media_type}}});
        let body = json!({"inputs": inputs, "outputs": outputs});
        let got = run(&state, "map", &body, &[]).await.is(200);
        assert!(
            got.body.starts_with(begin),
            "{media_type}: {}",
            String::from_utf8_lossy(&got.body)
        );
        let (body, accept) = (json!({"inputs": inputs}), [("accept", media_type)]);
        let accepted = run(&state, "map", &body, &accept).await.is(200);
        assert_eq!(accepted.header("content-type"), got.header("content-type"));
    }
    let mut body = json!({"inputs": inputs, "response": "document"});
    let document = run(&state, "map", &body, &[]).await.is(200).json();
    assert_eq!(document["map"]["encoding"], "base64");
    assert!(document["map"]["value"].as_str().is_some_and(|text| text.starts_with("iUhER")));
    body["outputs"] = json!({"map": {"format": {"mediaType": "application/json"}}});
    let document = run(&state, "map", &body, &[]).await.is(200).json();
    assert_eq!(document["map"]["value"]["type"], "Coverage", "{document}");
    body["outputs"] = json!({"map": {"format": {"mediaType": "text/csv"}}});
    let document = run(&state, "map", &body, &[]).await.is(200).json();
    let text = document["map"]["value"].as_str().expect("a text");
    assert_eq!(text.lines().count(), 31, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_runs_as_a_job_and_gives_what_it_gives_at_once() {
    let state = running(ServiceConfig::default());
    let points = json!([{"lon": 104, "lat": 33}]);
    for (process, inputs, output) in [
        ("map", json!({"grid": grid(), "readings": csv()}), "map"),
        ("points", json!({"points": points, "readings": csv()}), "values"),
        ("crossvalidation", json!({"readings": csv(), "folds": ["2"]}), "errors"),
    ] {
        let media_type =
            if process == "map" { "application/prs.coverage+json" } else { "application/json" };
        let outputs = json!({output: {"format": {"mediaType": media_type}}});
        let body = json!({"inputs": inputs, "outputs": outputs, "response": "document"});
        let got = run(&state, process, &body, &ASYNC).await.is(201);
        let accepted = got.json();
        let id = accepted["jobID"].as_str().expect("a name").to_owned();
        assert_eq!(got.header("location"), format!("http://maps.test/jobs/{id}"));
        assert_eq!(got.header("preference-applied"), "respond-async");
        assert_eq!(
            (&accepted["id"], &accepted["processID"]),
            (&accepted["jobID"], &process.into())
        );
        let done = ended(&state, &id).await;
        assert_eq!(
            (&done["status"], &done["progress"]),
            (&"successful".into(), &100.into()),
            "{done}"
        );
        let link = done["links"]
            .as_array()
            .expect("links")
            .iter()
            .find(|link| link["rel"] == "http://www.opengis.net/def/rel/ogc/1.0/results");
        assert_eq!(link.expect("results")["href"], format!("http://maps.test/jobs/{id}/results"));
        let result = get(&state, &format!("/jobs/{id}/results")).await.is(200).json();
        let at_once = run(&state, process, &body, &[]).await.is(200).json();
        let mut both = [result, at_once].map(|one| one[output]["value"].clone());
        // Seconds and memory differ.
        both.iter_mut().filter_map(Value::as_object_mut).for_each(|one| {
            one.remove("report");
        });
        assert_eq!(both[0], both[1], "{process}");
        // A table, and where it is.
        let outputs =
            json!({output: {"format": {"mediaType": "text/csv"}, "transmissionMode": "reference"}});
        let body = json!({"inputs": inputs, "outputs": outputs, "response": "document"});
        let id = run(&state, process, &body, &ASYNC).await.is(201).json();
        let id = id["id"].as_str().expect("a name").to_owned();
        ended(&state, &id).await;
        let result = get(&state, &format!("/jobs/{id}/results")).await.is(200).json();
        let href = result[output]["href"].as_str().expect("an address").to_owned();
        let there = get(&state, href.strip_prefix("http://maps.test").expect("ours")).await.is(200);
        assert!(there.header("content-type").starts_with("text/csv"), "{process}");
    }
    // What is no map is not among the maps.
    let maps = get(&state, "/v1/maps").await.is(200).json();
    assert_eq!(maps["maps"].as_array().map(Vec::len), Some(2), "{maps}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_found_by_every_filter_of_the_standard() {
    let state = running(ServiceConfig { job_concurrency: 0, ..ServiceConfig::default() });
    let map = json!({"inputs": {"grid": grid(), "readings": csv()}});
    let cross = json!({"inputs": {"readings": csv()}});
    let first = run(&state, "map", &map, &ASYNC).await.is(201).json();
    let second = run(&state, "crossvalidation", &cross, &ASYNC).await.is(201).json();
    let gone = run(&state, "map", &map, &ASYNC).await.is(201).json();
    let id = |job: &Value| job["jobID"].as_str().expect("a name").to_owned();
    let path = format!("/jobs/{}", id(&gone));
    let request = Request::delete(&path).body(Body::empty()).expect("a request");
    assert_eq!(send(&state, request).await.is(200).json()["status"], "dismissed");
    let found = async |query: &str| -> Vec<String> {
        let listed = get(&state, &format!("/jobs?{query}")).await.is(200).json();
        listed["jobs"].as_array().expect("a list").iter().map(id).collect()
    };
    let (one, two, three) = (id(&first), id(&second), id(&gone));
    let all = [three.clone(), two.clone(), one.clone()];
    assert_eq!(found("").await, all);
    assert_eq!(found("type=process").await, all);
    assert_eq!(found("processID=crossvalidation").await, std::slice::from_ref(&two));
    assert_eq!(found("processID=crossvalidation,map").await, all);
    assert_eq!(found("processID=unknown").await, [""; 0]);
    assert_eq!(found("status=accepted&processID=map").await, std::slice::from_ref(&one));
    assert_eq!(found("status=accepted,dismissed").await, all);
    assert_eq!(found("datetime=2020-01-01T00:00:00Z/..").await, all);
    assert_eq!(found("datetime=../2020-01-01T00:00:00Z").await, [""; 0]);
    let created = first["created"].as_str().expect("a time");
    assert!(found(&format!("datetime={created}")).await.contains(&one));
    // None of them was begun.
    assert_eq!(found("minDuration=0").await, [""; 0]);
    assert_eq!(found("maxDuration=10").await, [""; 0]);
    let page = get(&state, "/jobs?status=accepted&limit=1").await.is(200).json();
    assert_eq!(page["jobs"].as_array().map(Vec::len), Some(1));
    let next = page["links"].as_array().expect("links").iter().find(|link| link["rel"] == "next");
    let next = next.expect("a next page")["href"].as_str().expect("an address").to_owned();
    let next = get(&state, next.strip_prefix("http://maps.test").expect("ours")).await.json();
    assert_eq!(id(&next["jobs"][0]), one);
    for wrong in
        ["type=wps", "status=lost", "datetime=yesterday", "minDuration=x", "limit=0", "what=1"]
    {
        get(&state, &format!("/jobs?{wrong}")).await.is(422);
    }
    // What the standard calls them.
    let kind = |told: Value| {
        told["type"].as_str().unwrap_or_default().rsplit('/').next().map(str::to_owned)
    };
    let waits = get(&state, &format!("/jobs/{one}/results")).await.is(404).json();
    assert_eq!(kind(waits).as_deref(), Some("result-not-ready"));
    for path in ["/jobs/none", "/jobs/none/results"] {
        let none = get(&state, path).await.is(404).json();
        assert_eq!(kind(none).as_deref(), Some("no-such-job"));
    }
    let none = Request::delete("/jobs/none").body(Body::empty()).expect("a request");
    assert_eq!(kind(send(&state, none).await.is(404).json()).as_deref(), Some("no-such-job"));
    get(&state, &format!("/jobs/{three}/results")).await.is(410);
    // Who dismissed it is noted, once.
    let again = Request::delete(&path).body(Body::empty()).expect("a request");
    send(&state, again).await.is(200);
    let acts = audit::last(state.store(), 10).expect("the log");
    let acts: Vec<_> = acts.iter().filter(|act| act.act == "job dismissed").collect();
    assert_eq!(acts.len(), 1, "{acts:?}");
    assert_eq!((acts[0].who.as_str(), acts[0].about.as_str()), ("anonymous", three.as_str()));
    // Somebody else's are not seen.
    let other: Router = router(state.clone()).layer(Extension(Owner("somebody".to_owned())));
    let request = Request::get(format!("/jobs/{one}")).body(Body::empty()).expect("a request");
    assert_eq!(other.oneshot(request).await.expect("it never fails").status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cut_off_is_run_again_and_its_file_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = |concurrency| ServiceConfig {
        data_dir: Some(folder.path().to_owned()),
        job_concurrency: concurrency,
        ..ServiceConfig::default()
    };
    let state = running(config(0));
    let cross = json!({"inputs": {"readings": csv()}});
    let id = run(&state, "crossvalidation", &cross, &ASYNC).await.is(201).json();
    let id = id["jobID"].as_str().expect("a name").to_owned();
    // As if its process had died while it ran, with half a file of its own.
    let taken =
        "UPDATE jobs SET state = 'running', token = 1, attempts = 1, holder = 'holder-gone'";
    let done: Result<usize, rusqlite::Error> = state.store().write(|tx| tx.execute(taken, ()));
    done.expect("a row");
    state.stop();
    drop(state);
    let state = running(config(1));
    let done = ended(&state, &id).await;
    assert_eq!(done["status"], "successful", "{done}");
    let result = get(&state, &format!("/jobs/{id}/results")).await.is(200);
    assert_eq!(result.json()["stations"].as_array().map(Vec::len), Some(4));
    let names = std::fs::read_dir(folder.path().join("maps")).expect("the folder").count();
    assert_eq!(names, 1);
    // Dismissed, nothing is left.
    let request = Request::delete(format!("/jobs/{id}")).body(Body::empty()).expect("a request");
    send(&state, request).await.is(200);
    get(&state, &format!("/jobs/{id}/results")).await.is(410);
    assert_eq!(std::fs::read_dir(folder.path().join("maps")).expect("the folder").count(), 0);
    let figures = get(&state, "/metrics").await.is(200);
    let figures = String::from_utf8_lossy(&figures.body).into_owned();
    for line in [
        "isopleth_jobs{status=\"dismissed\"} 1",
        "isopleth_jobs{status=\"running\"} 0",
        "isopleth_jobs_waiting{lane=\"interactive\"} 0",
        "isopleth_jobs_ended_total{process=\"crossvalidation\",outcome=\"successful\"} 1",
        "isopleth_jobs_ended_total{process=\"crossvalidation\",outcome=\"dismissed\"} 1",
    ] {
        assert!(figures.contains(line), "{line}\n{figures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_at_once_the_way_to_a_job_is_told_and_a_job_that_fails_says_why() {
    let state = running(ServiceConfig { sync_max_values: 10, ..ServiceConfig::default() });
    let map = json!({"inputs": {"grid": grid(), "readings": csv()}});
    let told = run(&state, "map", &map, &[]).await.is(413).json();
    assert!(told["detail"].as_str().is_some_and(|text| text.contains("respond-async")), "{told}");
    let id = run(&state, "map", &map, &ASYNC).await.is(201).json();
    let id = id["jobID"].as_str().expect("a name").to_owned();
    assert_eq!(ended(&state, &id).await["status"], "successful");
    let result = get(&state, &format!("/jobs/{id}/results")).await.is(200);
    assert_eq!(result.header("content-type"), "application/x-netcdf");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_cannot_hold_the_map_says_where_to_get_a_part() {
    let mut readings = document();
    readings["times"] = json!(["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"]);
    readings["values"] = json!({"pm25": [[5, 9, 7, 3], [6, 9, 7, 4]]});
    let outputs = json!({"map": {"format": {"mediaType": "image/png"}}});
    let body = json!({"inputs": {"grid": grid(), "readings": readings}, "outputs": outputs});
    let told = run(&state(), "map", &body, &[]).await.is(422).json();
    let detail = told["detail"].as_str().expect("a text");
    assert!(detail.contains("more times") && detail.contains("/v1/maps/{id}/data"), "{detail}");
}
