//! Averages over HTTP: of a document and of a table alike, and words that make no sense.

use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use http_body_util::BodyExt;
use isopleth_api::{AppState, ServiceConfig, router};
use serde_json::{Value, json};
use tower::ServiceExt;

async fn post(path: &str, kind: &str, body: String) -> (u16, Bytes) {
    let request = Request::post(path).header(header::CONTENT_TYPE, kind);
    let request = request.body(Body::from(body)).expect("a request");
    let app = router(AppState::new(ServiceConfig::default()).expect("a state"));
    let response = app.oneshot(request).await.expect("the router never fails");
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.expect("a body").to_bytes())
}

fn parsed(body: &Bytes) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

/// Two days of hours at five stations: the hour of the day, and ten more a station.
fn document(series: &Value) -> Value {
    let stations: Vec<Value> = (0..5)
        .map(|i| json!({"id": format!("s{i}"), "lon": 100 + i * i, "lat": 30 + i * 7 % 5}))
        .collect();
    let times: Vec<String> =
        (0..48).map(|hour| format!("2026-01-{:02}T{:02}:00Z", 1 + hour / 24, hour % 24)).collect();
    let row = |hour: i32| (0..5).map(|i| json!(hour % 24 + 10 * i)).collect::<Vec<_>>();
    let rows: Vec<_> = (0..48).map(row).collect();
    json!({"points": [{"lon": 100, "lat": 30}, {"lon": 101, "lat": 32}], "precision": "f64",
           "read": {"series": series}, "stations": stations, "times": times,
           "values": {"pm25": rows}})
}

#[tokio::test]
async fn a_daily_mean_is_mapped_and_told() {
    let series = json!({"average": "day", "detection_limits": {"pm25": 1}, "despike": 8});
    let (status, body) =
        post("/v1/maps?f=json", "application/json", document(&series).to_string()).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let answer = parsed(&body);
    assert_eq!(answer["times"], json!(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]));
    // The first station's hours 0 to 23, midnight replaced by half of the limit.
    let first = answer["values"]["pm25"][0][0][0].as_f64().expect("a number");
    assert!((first - (276.0 + 0.5) / 24.0).abs() < 1e-9, "{first}");
    let told = &answer["report"]["readings"]["series"];
    assert_eq!(told["variables"][0]["below_limit"], 2);
    assert_eq!(told["variables"][0]["values"], 10);
}

#[tokio::test]
async fn a_table_takes_the_same_choices_as_parameters() {
    let mut table = String::from("station,lon,lat,time,pm25\n");
    let document = document(&json!({"average": "8h", "stamp": "end", "capture": 0.5}));
    for (t, time) in document["times"].as_array().expect("times").iter().enumerate() {
        for (i, s) in document["stations"].as_array().expect("stations").iter().enumerate() {
            let value = &document["values"]["pm25"][t][i];
            let time = time.as_str().expect("text");
            table += &format!("s{i},{},{},{time},{value}\n", s["lon"], s["lat"]);
        }
    }
    let (_, by_document) =
        post("/v1/crossvalidations", "application/json", without_points(document)).await;
    let path = "/v1/crossvalidations?average=8h&stamp=end&capture=0.5";
    let (status, by_table) = post(path, "text/csv", table).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&by_table));
    let [by_document, by_table] = [by_document, by_table].map(|body| parsed(&body));
    assert_eq!(by_document["stations"], by_table["stations"]);
    let fields = by_table["report"]["fields"].as_array().expect("fields");
    // Four of eight hours are there from 03:00 on.
    assert_eq!(fields.len(), 45);
}

fn without_points(mut document: Value) -> String {
    let fields = document.as_object_mut().expect("an object");
    fields.remove("points");
    fields.remove("precision");
    document.to_string()
}

#[tokio::test]
async fn words_that_make_no_sense_are_told_with_their_place() {
    for (series, place) in [
        (json!({"average": "week"}), "/read/series/average"),
        (json!({"average": "day", "capture": 2}), "/read/series/capture"),
        (json!({"step": "-1h"}), "/read/series/step"),
        (json!({"despike": 0}), "/read/series/despike"),
        (json!({"detection_limits": {"pm25": -1}}), "/read/series/detection_limits"),
    ] {
        let (status, body) =
            post("/v1/maps?f=json", "application/json", document(&series).to_string()).await;
        let problem = parsed(&body);
        assert_eq!(status, 422, "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], place, "{problem}");
    }
    let series = json!({"average": "90min"});
    let (status, body) =
        post("/v1/maps?f=json", "application/json", document(&series).to_string()).await;
    let problem = parsed(&body);
    assert_eq!(status, 422, "{problem}");
    let told = problem["detail"].as_str().expect("a sentence");
    assert!(told.contains("90 min") && told.contains("1 h apart"), "{told}");
}
