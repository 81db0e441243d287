//! What schedules are made of, and what is refused.

use axum::body::Body;
use axum::http::{Method, Request};
use isopleth_api::{ServiceConfig, schedule};
use serde_json::json;

use crate::house::*;

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
