//! Spans for a collector of traces: one for each request and each attempt of a job, and below it one for each step.
//!
//! They go by a target of their own, which the log leaves out; while nobody takes that target they cost nothing. A span
//! tells names, counts and ids: never readings, keys, or what stands in a query.

use std::sync::{Mutex, PoisonError};

use axum::extract::MatchedPath;
use axum::http::{HeaderMap, Method};
use isopleth_engine::progress::{Event, Stage};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::{Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::known;

/// The target of these spans.
const TRACES: &str = "isopleth::trace";

/// Whether something is for a collector of traces, and not for the log.
#[must_use]
pub fn is_traced(data: &Metadata<'_>) -> bool {
    data.target() == TRACES
}

/// Of a whole request, its answer's body apart.
pub(crate) fn request(id: &str, method: &Method, route: Option<&MatchedPath>, path: &str) -> Span {
    let (method, route) = (known(method), route.map(MatchedPath::as_str));
    tracing::info_span!(
        target: TRACES,
        "request",
        otel.name = format!("{method} {}", route.unwrap_or("none")),
        otel.kind = "server",
        otel.status_code = Empty,
        request.id = id,
        http.request.method = method,
        http.route = route,
        url.path = path,
        http.response.status_code = Empty,
    )
}

/// Puts a request's span below that of its caller, where `traceparent` (W3C Trace Context) tells of one.
pub(crate) fn continues(request: &Span, headers: &HeaderMap) {
    if request.is_disabled() || !headers.contains_key("traceparent") {
        return;
    }
    let caller = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    if caller.span().span_context().is_valid() {
        // It fails where the span is not one of a collector's.
        let _ = request.set_parent(caller);
    }
}

/// How a request ended.
pub(crate) fn answered(request: &Span, status: u16) {
    request.record("http.response.status_code", status);
    if status >= 500 {
        request.record("otel.status_code", "ERROR");
    }
}

/// Of an attempt to make a job's map.
pub(crate) fn attempt(job: &str, attempts: u32) -> Span {
    tracing::info_span!(target: TRACES, "job", job.id = job, job.attempts = attempts)
}

/// Of a step of what is under way on this thread.
pub(crate) fn step(name: &'static str) -> Span {
    tracing::info_span!(target: TRACES, "step", otel.name = name)
}

/// The stages of a run, each a span, one after the other.
pub(crate) struct Stages {
    run: Span,
    now: Mutex<Option<Span>>,
}

impl Stages {
    /// Of a run that begins on this thread.
    pub(crate) fn new() -> Self {
        Self { run: Span::current(), now: Mutex::new(None) }
    }

    /// A new stage ends the one before.
    pub(crate) fn tell(&self, event: Event) {
        let Event::Began(stage) = event else { return };
        let span = tracing::info_span!(
            target: TRACES,
            parent: &self.run,
            "stage",
            otel.name = name_of(stage),
        );
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Some(span);
    }
}

fn name_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Read => "read",
        Stage::Choose => "choose",
        Stage::Factorise => "factorise",
        Stage::Solve => "solve",
        Stage::Evaluate => "evaluate",
        Stage::Finish => "finish",
    }
}
