//! Around every request: an id, a line in the log, and errors of other layers as problems.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::{Instrument, Span};

use crate::error::{ApiError, PROBLEM_JSON};
use crate::state::AppState;
use crate::watch::traces;

/// Names a request, in its answer and in the log.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, in its extensions: for the history of what is made.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

impl RequestId {
    /// Of a request that came through [`observe`].
    pub(crate) fn of(request: &Request) -> Self {
        let known = request.extensions().get::<Self>().cloned();
        known.unwrap_or_else(|| Self(next_id()))
    }
}

/// Gives a request its id (the client's own where it is a plain one) and logs how it ended.
pub(crate) async fn observe(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = id_of(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let counted = state.watch().request(request.method(), request.extensions().get());
    let path = request.uri().path().to_owned();
    let traced = traces::request(&id, request.method(), request.extensions().get(), &path);
    traces::continues(&traced, request.headers());
    let span = tracing::info_span!("request", id, method = %request.method(), path);
    let (around, logged) = (traced.clone(), span.clone());
    let quiet = matches!(path.as_str(), "/healthz" | "/readyz" | "/metrics");
    let answering = async move {
        let mut hung_up = HungUp { armed: true };
        let start = Instant::now();
        let mut response = as_problem(next.run(request).await, &path);
        hung_up.armed = false;
        let (status, seconds) = (response.status().as_u16(), start.elapsed().as_secs_f64());
        counted.answered(status, seconds);
        traces::answered(&traced, status);
        if !quiet {
            tracing::info!(status, seconds, "answered");
        }
        if let Ok(value) = HeaderValue::try_from(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    };
    LOGGED.scope(logged, answering.instrument(around).instrument(span)).await
}

tokio::task_local! {
    /// The span of a request in the log; the current one may be of a trace.
    static LOGGED: Span;
}

/// The spans of the request that this task answers, in the log and in a trace: for a thread that works for it.
pub(crate) fn spans() -> [Span; 2] {
    let logged = LOGGED.try_with(Span::clone).unwrap_or_else(|_| Span::none());
    [logged, Span::current()]
}

/// Says so when the request is dropped before its answer.
struct HungUp {
    armed: bool,
}

impl Drop for HungUp {
    fn drop(&mut self) {
        if self.armed {
            tracing::info!("the client hung up");
        }
    }
}

/// An error without a problem in it (the router's 404 and 405, a caught panic) gets one.
fn as_problem(response: Response, path: &str) -> Response {
    let status = response.status();
    let told = |name: &str| {
        let media_type = response.headers().get(header::CONTENT_TYPE);
        media_type.is_some_and(|value| value.as_bytes().starts_with(name.as_bytes()))
    };
    if !(status.is_client_error() || status.is_server_error())
        || told(PROBLEM_JSON)
        || (told("application/json") && status == StatusCode::SERVICE_UNAVAILABLE)
    {
        return response;
    }
    let mut problem = ApiError::of_status(status, path).into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}

fn id_of(headers: &HeaderMap) -> String {
    let theirs = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain = |id: &&str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    theirs.filter(plain).map_or_else(next_id, str::to_owned)
}

/// Unique among the requests of this process, and all but surely among those of others.
fn next_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Of one length: a file made like another is changed in place.
    format!("{:x}-{count:08x}", since.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_id_is_kept_and_another_replaced() {
        let with = |id: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_static(id));
            id_of(&headers)
        };
        assert_eq!(with("job-7.a_b"), "job-7.a_b");
        assert_ne!(with("two words"), "two words");
        assert_ne!(with(""), "");
        assert_ne!(id_of(&HeaderMap::new()), id_of(&HeaderMap::new()));
    }
}
