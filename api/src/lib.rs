//! The service: maps over HTTP.
//!
//! ```text
//! request → intake (body, form, query) → wire (checked) → engine, on a thread of its own → answer
//!           limits: who may compute       error: problem+json for whatever goes wrong
//! ```
//!
//! Nothing here knows how a weight is computed. Async threads receive and send; reading, planning
//! and computing happen on blocking threads and the engine's own pool.

mod accept;
mod body;
pub mod config;
pub mod error;
mod intake;
mod limits;
mod observe;
pub mod openapi;
mod routes;
mod serve;
pub mod state;
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
pub use serve::{ServeError, serve};
pub use state::AppState;

/// Every route of the service.
pub fn router(state: AppState) -> Router {
    // A NetCDF file is compressed inside.
    let compressible =
        DefaultPredicate::new().and(NotForContentType::const_new("application/x-netcdf"));
    let limit = usize::try_from(state.config().max_body_bytes).unwrap_or(usize::MAX);
    openapi::described()
        .0
        .merge(openapi::pages())
        .layer(DefaultBodyLimit::max(limit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(CompressionLayer::new().gzip(true).compress_when(compressible))
        .layer(middleware::from_fn(observe::observe))
        .with_state(state)
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
