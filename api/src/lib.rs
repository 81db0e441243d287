//! The service: maps over HTTP.
//!
//! ```text
//! request → intake (body, form, query) → wire (checked) → engine, on a thread of its own → answer
//!           doors: who may come in, and how much each may take; watch: what is counted of it
//!           limits: who may compute       error: problem+json for whatever goes wrong
//! ```
//!
//! Nothing here knows how a weight is computed. Async threads receive and send; reading, planning
//! and computing happen on blocking threads and the engine's own pool.

mod accept;
pub mod account;
mod body;
pub mod config;
pub mod doors;
mod edr;
pub mod error;
pub mod grids;
mod intake;
pub mod jobs;
mod limits;
mod networks;
mod observe;
mod ogc;
pub mod openapi;
mod routes;
pub mod schedule;
mod serve;
pub mod sinks;
pub mod sources;
pub mod state;
pub mod store;
mod template;
mod watch;
pub mod wire;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

pub use config::{ConfigError, ServiceConfig};
pub use routes::jobs::Owner;
pub use schedule::Clock;
pub use serve::{ServeError, serve};
pub use state::{AppState, StartError};
pub use watch::traces::is_traced;

/// Every route of the service.
pub fn router(state: AppState) -> Router {
    let limit = usize::try_from(state.config().max_body_bytes).unwrap_or(usize::MAX);
    let routes = openapi::described().0.merge(openapi::pages());
    let routes = routes.layer(DefaultBodyLimit::max(limit));
    around(routes, &state).with_state(state)
}

/// What happens around every request, from the inside out.
fn around<S: Clone + Send + Sync + 'static>(routes: Router<S>, state: &AppState) -> Router<S> {
    // A NetCDF file is compressed inside.
    let compressible =
        DefaultPredicate::new().and(NotForContentType::const_new("application/x-netcdf"));
    let routes = routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(state.clone(), account::enter))
        .layer(CompressionLayer::new().gzip(true).compress_when(compressible))
        .layer(middleware::from_fn_with_state(state.clone(), doors::enter));
    let routes = match doors::cors(&state.config().cors_origins) {
        Some(cors) => routes.layer(cors),
        None => routes,
    };
    routes.layer(middleware::from_fn_with_state(state.clone(), observe::observe))
}

/// A panic ends its request only; `observe` makes a problem of it.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let what = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("not a text");
    tracing::error!(panic = what, "a handler panicked");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use axum::routing::get;
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_panic_is_a_problem_that_keeps_its_words_to_itself() {
        let handler = || async {
            assert!(std::hint::black_box(false), "secret");
            "never"
        };
        let state = AppState::new(ServiceConfig::default()).expect("a state");
        let routes: Router = around(Router::new().route("/panic", get(handler)), &state);
        let request = Request::get("/panic").body(Body::empty()).expect("a request");
        let response = routes.oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = to_bytes(response.into_body(), 10_000).await.expect("a body");
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("urn:isopleth:problem:internal"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
