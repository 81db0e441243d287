//! Grids that the operator named, as backgrounds and covariates: the same bits as the engine's, no file that a
//! request names, and what is told of both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use http_body_util::BodyExt;
use isopleth_api::{AppState, ServiceConfig, router};
use isopleth_engine::background::From;
use isopleth_engine::covariates::{Covariate, Wanted};
use isopleth_engine::output::{FieldId, MapsInMemory};
use isopleth_engine::{
    Background, Cancel, FactorCache, Grid, Observations, Plan, Progress, ReadOptions, Registration,
    Settings, Source, Targets, grid::Size, run,
};
use serde_json::{Value, json};
use tower::ServiceExt;

fn app(grids: &[(&str, String)]) -> Router {
    let grids: BTreeMap<String, String> =
        grids.iter().map(|(name, source)| ((*name).to_owned(), source.clone())).collect();
    router(AppState::new(ServiceConfig { grids, ..ServiceConfig::default() }).expect("a state"))
}

async fn post(app: Router, path: &str, kind: &str, body: String) -> (u16, Bytes) {
    let request = Request::post(path).header(header::CONTENT_TYPE, kind);
    let answer = app.oneshot(request.body(Body::from(body)).expect("a request")).await;
    let answer = answer.expect("the router never fails");
    let status = answer.status().as_u16();
    (status, answer.into_body().collect().await.expect("a body").to_bytes())
}

/// A document of 40 stations with one hour, or without a time.
fn document(seed: i32, timed: bool, method: &Value) -> Value {
    let place =
        |i: i32| (100.0 + f64::from(i * 17 % 40) / 4.0, 30.0 + f64::from(i * 11 % 40) / 5.0);
    let stations: Vec<Value> = (0..40)
        .map(|i| json!({"id": format!("s{i}"), "lon": place(i).0, "lat": place(i).1}))
        .collect();
    let row: Vec<i32> = (0..40).map(|i| 40 + (i * i + seed * i) % 23).collect();
    let mut document = json!({"grid": {"bounds": [100, 30, 110, 38], "shape": [21, 17]},
        "precision": "f64", "stations": stations, "values": {"pm25": [row]}, "method": method});
    if timed {
        document["times"] = json!(["2026-01-01T00:00:00Z"]);
    }
    document
}

/// The same readings as a table.
fn table(document: &Value) -> String {
    let mut text = String::from("station,lon,lat,time,pm25\n");
    for (i, s) in document["stations"].as_array().expect("stations").iter().enumerate() {
        let (time, value) = (&document["times"][0], &document["values"]["pm25"][0][i]);
        let time = time.as_str().expect("a time");
        text.push_str(&format!("s{i},{},{},{time},{value}\n", s["lon"], s["lat"]));
    }
    text
}

/// A map of the service, as a file that another map takes for a grid.
async fn write(path: &Path, seed: i32, timed: bool) -> String {
    let document = document(seed, timed, &json!({"kernel": "linear"})).to_string();
    let (status, body) = post(app(&[]), "/v1/maps?f=netcdf", "application/json", document).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    std::fs::write(path, &body).expect("a file");
    format!("{}:pm25", path.display())
}

fn values(answer: &Bytes) -> Vec<u64> {
    let answer: Value = serde_json::from_slice(answer).expect("JSON");
    let rows = answer["values"]["pm25"][0].as_array().expect("rows");
    let cells = rows.iter().flat_map(|row| row.as_array().expect("cells"));
    cells.map(|value| value.as_f64().expect("a number").to_bits()).collect()
}

#[tokio::test]
async fn backgrounds_and_covariates_by_name_give_the_bits_of_the_engine() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ctm, height] = ["ctm.nc", "height.nc"].map(|name| folder.path().join(name));
    let grids = [("ctm", write(&ctm, 5, true).await), ("height", write(&height, 9, false).await)];
    let method = json!({"kernel": "linear", "background": {"*": "ctm"}, "covariates": ["height"],
                        "covariate_clamp": true});
    let document = document(0, true, &method);
    let ask = |path: &'static str, kind: &'static str, body: String| {
        let app = app(&grids);
        async move {
            let (status, answer) = post(app, path, kind, body).await;
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
            answer
        }
    };
    let of_document = ask("/v1/maps?f=json", "application/json", document.to_string()).await;
    let query = "/v1/maps?f=json&bounds=100,30,110,38&shape=21x17&precision=f64&kernel=linear\
                 &background=pm25=ctm&covariate=height&covariate_clamp=true";
    let of_table = ask(query, "text/csv", table(&document)).await;
    assert_eq!(values(&of_document), values(&of_table));
    let answer: Value = serde_json::from_slice(&of_document).expect("JSON");
    let text = answer.to_string();
    assert!(!text.contains(&folder.path().display().to_string()), "folders are nobody's business");

    let reader = Box::new(std::io::Cursor::new(table(&document)));
    let source = Source::Stream { name: "table".into(), reader };
    let options = ReadOptions { beside: vec!["height".into()], ..ReadOptions::default() };
    let observations = Observations::read(vec![source], options).expect("readings");
    let size = Size::Shape { nx: 21, ny: 17 };
    let grid = Grid::from_bounds([100.0, 30.0, 110.0, 38.0], size, Registration::Gridline, true);
    let from = |path: PathBuf| From::File { path, variable: "pm25".into() };
    let covariate = Covariate::parse(&format!("height={}:pm25", height.display())).expect("one");
    let settings = Settings {
        method: isopleth_engine::Choice::Told(Default::default()),
        backgrounds: vec![Background { variable: None, from: from(ctm) }],
        covariates: Wanted { all: vec![covariate], clamp: true },
        ..Settings::default()
    };
    let targets = Targets::Grid(grid.expect("a grid"));
    let plan = Plan::new(observations, targets, settings, &Default::default()).expect("a plan");
    let sink = MapsInMemory::new(1, 1, 17, 21, plan.network.stations().len());
    let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
    run(&plan, &sink, progress, &FactorCache::off()).expect("maps");
    let maps = sink.into_maps();
    let want = maps.map(FieldId { time: 0, variable: 0 }).iter().map(|v| v.to_bits());
    assert_eq!(values(&of_document), want.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_that_changes_is_there_at_the_next_map_and_cross_validation_takes_it_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ctm.nc");
    let app = app(&[("ctm", write(&path, 5, true).await)]);
    let method = json!({"kernel": "linear", "background": {"pm25": "ctm"}});
    let body = document(0, true, &method).to_string();
    let map = async || {
        let (status, answer) =
            post(app.clone(), "/v1/maps?f=json", "application/json", body.clone()).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
        values(&answer)
    };
    let first = map().await;
    assert_eq!(map().await, first);
    write(&path, 8, true).await;
    assert_ne!(map().await, first);
    let errors = async |method: Value| {
        let mut request = document(0, true, &method);
        for name in ["grid", "precision"] {
            request.as_object_mut().expect("one").remove(name);
        }
        let (app, body) = (app.clone(), request.to_string());
        let (status, answer) = post(app, "/v1/crossvalidations", "application/json", body).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        answer.to_string()
    };
    let beside = errors(json!({"kernel": "linear", "background": {"pm25": "ctm"}})).await;
    assert_ne!(beside, errors(json!({"kernel": "linear"})).await);
}

#[tokio::test]
async fn a_request_names_no_file_and_is_told_the_grids_that_there_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ctm.nc");
    let source = write(&path, 5, true).await;
    let wrong = format!("{}:no2", path.display());
    let gone = "/nowhere/at/all.nc:z".to_owned();
    let app = app(&[("ctm", source.clone()), ("gone", gone), ("wrong", wrong)]);
    let refused = async |wanted: u16, method: Value| {
        let body = document(0, true, &method).to_string();
        let (status, answer) = post(app.clone(), "/v1/maps", "application/json", body).await;
        let problem: Value = serde_json::from_slice(&answer).expect("a problem");
        assert_eq!(status, wanted, "{problem}");
        problem
    };
    for name in [source.as_str(), "ctm.nc", "../ctm", ""] {
        let problem = refused(422, json!({"background": {"*": name}})).await;
        let text = problem["detail"].as_str().expect("words");
        assert!(text.contains("the service has: ctm, gone, wrong"), "{text}");
        assert_eq!(problem["errors"][0]["pointer"], "/method/background");
        let problem = refused(422, json!({"covariates": [name]})).await;
        assert_eq!(problem["errors"][0]["pointer"], "/method/covariates");
    }
    // What is wrong with the file is told without its folder.
    // A file that is not there may come back.
    for (status, method) in [
        (422, json!({"background": {"*": "wrong"}})),
        (503, json!({"background": {"*": "gone"}})),
        (503, json!({"covariates": ["gone"]})),
        (422, json!({"background": {"no2": "ctm"}})),
    ] {
        let problem = refused(status, method).await.to_string();
        let folder = folder.path().display().to_string();
        assert!(!problem.contains(&folder) && !problem.contains("/nowhere"), "{problem}");
    }
    let wrong = AppState::new(ServiceConfig {
        grids: [("ctm".to_owned(), "/data/ctm.nc".to_owned())].into(),
        ..ServiceConfig::default()
    });
    assert!(wrong.expect_err("no variable").to_string().contains("grids: ctm"));
}

#[tokio::test]
async fn two_ranges_and_an_angle_are_taken_and_told_and_nonsense_is_refused() {
    let ask = async |anisotropy: &str| {
        let method = json!({"kernel": "linear", "anisotropy": anisotropy});
        let body = document(0, true, &method).to_string();
        post(app(&[]), "/v1/maps?f=json", "application/json", body).await
    };
    let (status, answer) = ask("3:45").await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    let told: Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!(told["report"]["methods"][0]["anisotropy"], "3:45");
    assert_ne!(values(&answer), values(&ask("none").await.1));
    let (status, answer) = ask("0.2:x").await;
    assert_eq!(status, 422);
    let problem: Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!(problem["errors"][0]["pointer"], "/method/anisotropy");
}
