//! The service over its router: every route, every kind of refusal, the same numbers as the engine.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use isopleth_api::{AppState, ServiceConfig, router};
use isopleth_engine::kernels::Metric;
use isopleth_engine::output::MapsInMemory;
use isopleth_engine::{
    Cancel, FactorCache, Grid, Observations, Plan, Progress, ReadOptions, Registration, Settings,
    Source, Targets, grid::Size, run,
};
use serde_json::{Value, json};
use tower::ServiceExt;

fn app() -> Router {
    router(AppState::new(ServiceConfig::default()).expect("a state"))
}

async fn send(app: Router, request: Request<Body>) -> (StatusCode, String, Bytes) {
    let response: Response<_> = app.oneshot(request).await.expect("the router never fails");
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.map_or("", |v| v.to_str().expect("ASCII")).to_owned();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, kind, body)
}

async fn post(path: &str, kind: &str, body: impl Into<Body>) -> (StatusCode, String, Bytes) {
    let request = Request::post(path).header(header::CONTENT_TYPE, kind);
    send(app(), request.body(body.into()).expect("a request")).await
}

async fn get(path: &str) -> (StatusCode, String, Bytes) {
    send(app(), Request::get(path).body(Body::empty()).expect("a request")).await
}

/// A document of 30 stations and two hours.
fn document() -> Value {
    let stations: Vec<Value> = (0..30)
        .map(|i| {
            json!({"id": format!("s{i}"), "lon": 100.0 + f64::from(i * 7 % 30) / 3.0,
                        "lat": 30.0 + f64::from(i * 11 % 30) / 4.0})
        })
        .collect();
    let row = |t: i32| (0..30).map(|i| json!(40 + (i * i + t * 7) % 23)).collect::<Vec<_>>();
    json!({"grid": {"bounds": [100, 30, 110, 38], "shape": [21, 17]}, "precision": "f64",
           "stations": stations, "times": ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"],
           "values": {"pm25": [row(0), row(1)]}})
}

/// The same as a table.
fn table() -> String {
    let document = document();
    let mut text = String::from("station,lon,lat,time,pm25\n");
    for (t, time) in ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"].iter().enumerate() {
        for (i, s) in document["stations"].as_array().expect("stations").iter().enumerate() {
            let value = &document["values"]["pm25"][t][i];
            text.push_str(&format!("s{i},{},{},{time},{value}\n", s["lon"], s["lat"]));
        }
    }
    text
}

/// A refusal: its status, its media type, and the problem.
async fn refused(answer: (StatusCode, String, Bytes), status: u16) -> Value {
    let (got, kind, body) = answer;
    let text = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(got.as_u16(), status, "{text}");
    assert_eq!(kind, "application/problem+json", "{text}");
    let problem: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(problem["status"], status);
    assert!(problem["type"].is_string() && problem["title"].is_string(), "{text}");
    problem
}

#[tokio::test]
async fn a_document_gives_the_bits_of_the_engine() {
    let (status, kind, body) =
        post("/v1/maps?f=json", "application/json", document().to_string()).await;
    assert_eq!((status.as_u16(), kind.as_str()), (200, "application/json"));
    let answer: Value = serde_json::from_slice(&body).expect("JSON");

    let source =
        Source::Stream { name: "table".into(), reader: Box::new(std::io::Cursor::new(table())) };
    let observations = Observations::read(vec![source], ReadOptions::default()).expect("readings");
    let size = Size::Shape { nx: 21, ny: 17 };
    let grid = Grid::from_bounds([100.0, 30.0, 110.0, 38.0], size, Registration::Gridline, true);
    let settings = Settings::default();
    assert_eq!(settings.method.metric(), Metric::Chordal);
    let targets = Targets::Grid(grid.expect("a grid"));
    let plan = Plan::new(observations, targets, settings, &Default::default()).expect("a plan");
    let sink = MapsInMemory::new(1, 2, 17, 21, plan.network.stations().len());
    let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
    run(&plan, &sink, progress, &FactorCache::off()).expect("maps");
    let maps = sink.into_maps();
    for time in 0..2 {
        let field = maps.map(isopleth_engine::output::FieldId { time, variable: 0 });
        for (k, value) in field.iter().enumerate() {
            let told = answer["values"]["pm25"][time][k / 21][k % 21].as_f64().expect("a number");
            assert_eq!(told.to_bits(), value.to_bits(), "time {time}, cell {k}");
        }
    }
    assert_eq!(answer["times"][1], "2026-01-01T01:00:00Z");
    assert_eq!(answer["grid"]["lon"][20], 110.0);
    assert_eq!(answer["report"]["network"]["used"], 30);
}

#[tokio::test]
async fn a_table_a_form_and_a_document_are_the_same_map() {
    let query = "bounds=100,30,110,38&shape=21x17&precision=f64&f=json";
    let (_, _, by_table) = post(&format!("/v1/maps?{query}"), "text/csv", table()).await;
    let (_, _, by_json) = post("/v1/maps?f=json", "application/json", document().to_string()).await;
    let choices = json!({"grid": document()["grid"], "precision": "f64"});
    let form = format!(
        "--B\r\ncontent-disposition: form-data; name=\"request\"\r\n\r\n{choices}\r\n\
         --B\r\ncontent-disposition: form-data; name=\"readings\"; filename=\"r.csv\"\r\n\r\n{}\r\n--B--\r\n",
        table()
    );
    let (status, _, by_form) =
        post("/v1/maps?f=json", "multipart/form-data; boundary=B", form).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&by_form));
    let values =
        |body: &Bytes| serde_json::from_slice::<Value>(body).expect("JSON")["values"].clone();
    assert_eq!(values(&by_table), values(&by_json));
    assert_eq!(values(&by_table), values(&by_form));
}

#[tokio::test]
async fn the_answer_is_netcdf_unless_something_else_is_wanted() {
    let request = |accept: &str| {
        Request::post("/v1/maps")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, accept)
            .body(Body::from(document().to_string()))
            .expect("a request")
    };
    for (accept, kind) in [
        ("*/*", "application/x-netcdf"),
        ("text/html, */*;q=0.1", "application/x-netcdf"),
        ("application/json", "application/json"),
        ("application/x-netcdf;q=0.2, application/json;q=0.9", "application/json"),
        ("application/*", "application/x-netcdf"),
    ] {
        let (status, got, body) = send(app(), request(accept)).await;
        assert_eq!((status.as_u16(), got.as_str()), (200, kind), "{accept}");
        assert_eq!(kind == "application/x-netcdf", body.starts_with(b"\x89HDF"), "{accept}");
    }
    refused(send(app(), request("image/png")).await, 406).await;
}

#[tokio::test]
async fn bad_requests_are_told_where_they_are_bad() {
    let json = "application/json";
    refused(post("/v1/maps", json, "{").await, 400).await;
    refused(post("/v1/maps", json, vec![0x89, 0, 1, 2]).await, 400).await;
    refused(post("/v1/maps", "application/xml", "<a/>").await, 415).await;
    let at = |problem: &Value| problem["errors"][0]["pointer"].as_str().unwrap_or("").to_owned();

    let changed = |pointer: &str, value: Value| {
        let mut document = document();
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        let place = document.pointer_mut(parent).expect("a parent");
        match place {
            Value::Array(items) => items[key.parse::<usize>().expect("an index")] = value,
            other => other[key] = value,
        }
        document.to_string()
    };
    for (pointer, value, words) in [
        ("/method", json!({"kernel": "lineal"}), "lineal"),
        ("/method", json!({"kernel": "gaussian"}), "epsilon"),
        ("/method", json!({"kernel": "gaussian", "epsilon": 0}), "epsilon"),
        ("/method", json!({"smoothing": -1}), "smoothing"),
        ("/method", json!({"tolerance": 2}), "tolerance"),
        ("/grid/shape", json!([0, 17]), "0"),
        ("/grid/bounds", json!([100, 30, 110, 98]), "98"),
        ("/stations/3/lat", json!(91), "91"),
        ("/values/pm25/0", json!([1, 2]), "2"),
        ("/times/1", json!("yesterday"), "yesterday"),
        ("/times/1", json!("2026-01-01T00:00:00Z"), "time 2 (2026-01-01T00:00:00Z) is the same as"),
        ("/times/1", json!("2025-12-31T23:00:00Z"), "is before the one before it"),
        ("/no_such_thing", json!(1), "no_such_thing"),
    ] {
        let problem = refused(post("/v1/maps", json, changed(pointer, value)).await, 422).await;
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(words), "`{words}` is not in {detail}");
    }
    let lat =
        refused(post("/v1/maps", json, changed("/stations/3/lat", json!(91))).await, 422).await;
    assert!(at(&lat).starts_with("/stations/3"), "{lat}");
    let mut local = document();
    local["times"] = json!(["2026-01-01T01:00:00", "2026-01-01T00:00:00"]);
    assert_eq!(
        at(&refused(post("/v1/maps", json, local.to_string()).await, 422).await),
        "/times/1"
    );
    let early = changed("/times/1", json!("2025-12-31T23:00:00Z"));
    assert_eq!(at(&refused(post("/v1/maps", json, early).await, 422).await), "/times/1");

    let query = "/v1/maps?bounds=100,30,110,38&shape=21x17";
    let row = refused(
        post(query, "text/csv", "station,lon,lat,pm25\na,105,33,1\nb,105,91,2\n").await,
        422,
    )
    .await;
    assert_eq!(row["errors"][0]["row"], 3, "{row}");
    for (text, words) in [
        ("", "empty"),
        ("station,lon,lat,pm25\n", "no rows"),
        ("a,b\n1,2\n", "coordinates"),
        ("station,lon,lat,pm25\na,105,33,\nb,106,34,-\n", "no reading"),
    ] {
        let problem = refused(post(query, "text/csv", text).await, 422).await;
        assert!(
            problem["detail"].as_str().is_some_and(|d| d.contains(words)),
            "{words}: {problem}"
        );
    }
    let wrong =
        refused(post("/v1/maps?bounds=1,2&shape=2x2", "text/csv", table()).await, 422).await;
    assert_eq!(wrong["errors"][0]["parameter"], "bounds");
    refused(post("/v1/maps?shap=2x2", "text/csv", table()).await, 422).await;
    refused(get("/v1/nothing").await, 404).await;
    refused(get("/v1/estimates").await, 405).await;
}

#[tokio::test]
async fn limits_are_kept_with_their_numbers() {
    let mut huge = document();
    huge["grid"]["shape"] = json!([1_000_000, 1_000_000]);
    let problem = refused(post("/v1/maps", "application/json", huge.to_string()).await, 413).await;
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("limit")), "{problem}");
    let mut json_too_large = document();
    json_too_large["grid"]["shape"] = json!([2000, 2000]);
    let answer = post("/v1/maps?f=json", "application/json", json_too_large.to_string()).await;
    refused(answer, 413).await;

    let small = ServiceConfig { max_body_bytes: 100, max_stations: 10, ..ServiceConfig::default() };
    let request = Request::post("/v1/maps").header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(document().to_string())).expect("a request");
    refused(send(router(AppState::new(small).expect("a state")), request).await, 413).await;
    let few = ServiceConfig { max_stations: 10, ..ServiceConfig::default() };
    let request = Request::post("/v1/maps").header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(document().to_string())).expect("a request");
    let problem =
        refused(send(router(AppState::new(few).expect("a state")), request).await, 413).await;
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("10")), "{problem}");
}

#[tokio::test]
async fn estimates_and_cross_validations_answer() {
    let (status, _, body) = post("/v1/estimates", "application/json", document().to_string()).await;
    let estimate: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(status, 200, "{estimate}");
    assert_eq!((&estimate["cells"], &estimate["fields"]), (&json!(357), &json!(2)));

    let mut without_grid = document();
    without_grid.as_object_mut().expect("an object").remove("grid");
    without_grid.as_object_mut().expect("an object").remove("precision");
    let (status, _, body) =
        post("/v1/crossvalidations", "application/json", without_grid.to_string()).await;
    let errors: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(status, 200, "{errors}");
    assert_eq!(errors["stations"].as_array().map(Vec::len), Some(30));
    let (status, kind, body) = post("/v1/crossvalidations?f=csv", "text/csv", table()).await;
    assert_eq!(status, 200);
    assert!(kind.starts_with("text/csv"));
    assert_eq!(String::from_utf8_lossy(&body).lines().count(), 31);
}

#[tokio::test]
async fn points_instead_of_a_grid_are_csv_or_json() {
    let mut document = document();
    document.as_object_mut().expect("an object").remove("grid");
    document["points"] = json!([{"lon": 105.0, "lat": 33.0}, {"lon": 106.0, "lat": 34.0}]);
    let (status, kind, body) =
        post("/v1/maps?f=csv", "application/json", document.to_string()).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    assert!(kind.starts_with("text/csv"), "{kind}");
    assert_eq!(String::from_utf8_lossy(&body).lines().count(), 5);
}

#[tokio::test]
async fn what_the_service_says_of_itself() {
    let (status, _, body) = get("/v1/kernels").await;
    let kernels: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(status, 200);
    assert!(kernels.to_string().contains("wendland_c4"), "{kernels}");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(path).await.0, 200, "{path}");
    }
    let state = AppState::new(ServiceConfig::default()).expect("a state");
    state.close();
    let request = Request::get("/readyz").body(Body::empty()).expect("a request");
    assert_eq!(send(router(state), request).await.0, 503);
    let (status, _, body) = get("/docs/").await;
    assert_eq!(status, 200);
    assert!(!String::from_utf8_lossy(&body).contains("https://"), "the page needs no other host");
}

/// `docs/openapi.json` is what the code says; ISOPLETH_BLESS=1 renews it.
#[tokio::test]
async fn the_description_kept_is_the_one_served() {
    let path = std::path::Path::new("../docs/openapi.json");
    let (status, _, body) = get("/openapi.json").await;
    assert_eq!(status, 200);
    if std::env::var_os("ISOPLETH_BLESS").is_some() {
        std::fs::write(path, &body).expect("the documentation can be written");
    }
    let kept = std::fs::read(path).expect("docs/openapi.json");
    assert!(kept == body, "docs/openapi.json is not what is served: run `make bless`");
    let document: Value = serde_json::from_slice(&body).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")));
}

#[tokio::test]
async fn a_mask_leaves_out_what_is_outside_and_paths_are_no_masks() {
    let mut asked = document();
    asked["mask"] = json!({"land": true, "distance": 500.0, "polygons": {"type": "Polygon",
        "coordinates": [[[102, 32], [108, 32], [108, 36], [102, 36], [102, 32]]]}});
    let (status, _, body) = post("/v1/maps?f=json", "application/json", asked.to_string()).await;
    assert_eq!(status.as_u16(), 200, "{}", String::from_utf8_lossy(&body));
    let answer: Value = serde_json::from_slice(&body).expect("JSON");
    // Of 21 × 17 nodes half a degree apart, 12 × 8 are within.
    assert_eq!(answer["report"]["mask"]["outside"], 21 * 17 - 12 * 8);
    asked["mask"]["polygons"]["coordinates"][0] = json!([[2, 32], [8, 32], [8, 36], [2, 32]]);
    let body = asked.to_string();
    let problem = refused(post("/v1/maps", "application/json", body).await, 422).await;
    assert!(problem.to_string().contains("another area"), "{problem}");
    for (mask, pointer) in [
        (json!({"polygons": "area.geojson"}), "/mask/polygons"),
        (json!({"polygons": {"type": "Point", "coordinates": [1, 2]}}), "/mask/polygons"),
        (json!({"file": "/etc/passwd"}), "/mask"),
    ] {
        asked["mask"] = mask;
        let body = asked.to_string();
        let problem = refused(post("/v1/maps", "application/json", body).await, 422).await;
        let told = problem["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned();
        assert!(told.starts_with(pointer), "{problem}");
    }
    let query = "/v1/maps?bounds=100,30,110,38&shape=21x17&mask=land&mask_distance=1e4&f=json";
    let (status, _, body) = post(query, "text/csv", table()).await;
    assert_eq!(status.as_u16(), 200);
    let answer: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(answer["report"]["mask"]["outside"], 0);
}
