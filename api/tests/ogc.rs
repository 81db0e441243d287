//! OGC API – Processes over the router: the landing page, what is claimed, and what every link leads to.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use isopleth_api::{AppState, ServiceConfig, router};
use serde_json::Value;
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
