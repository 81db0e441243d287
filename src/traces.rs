//! Traces of the service for a collector (OTLP over HTTP, protobuf), where one is configured.
//!
//! Spans wait in a queue of 2048 and a thread sends them; where the collector is away, or slow, newer ones are dropped.
//! `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_BSP_…`, `OTEL_TRACES_SAMPLER…`, `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`
//! hold as everywhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use isopleth_api::{ServiceConfig, is_traced};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::failure::{Failure, io};

/// For one batch of spans.
const PATIENCE: Duration = Duration::from_secs(10);
/// At the end, for what still waits.
const AT_THE_END: Duration = Duration::from_secs(2);
/// What a collector may answer.
const LONGEST_ANSWER: u64 = 64 << 10;

/// Sends what is still there when it goes.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Where spans go; none where no collector is configured.
    pub(crate) fn new(config: &ServiceConfig) -> Result<Option<Self>, Failure> {
        let Some(url) = endpoint(config) else { return Ok(None) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new())
            .with_endpoint(url.clone())
            .with_timeout(PATIENCE)
            .build()
            .with_context(|| format!("cannot send traces to {url}"))
            .map_err(io)?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(exporter)
            .build();
        Ok(Some(Self(provider)))
    }

    /// Takes the spans that are meant for it, and no events.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("isopleth"))
            .with_location(false)
            .with_threads(false)
            .with_level(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|data| data.is_span() && is_traced(data)))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // What cannot be sent is lost; the collector has said why, or nothing.
        let _ = self.0.shutdown_with_timeout(AT_THE_END);
    }
}

/// The setting, or what OpenTelemetry's own variables say.
fn endpoint(config: &ServiceConfig) -> Option<String> {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let whole = |base: String| format!("{}/v1/traces", base.trim_end_matches('/'));
    let ours = config.otlp_endpoint.clone().filter(|value| !value.is_empty()).map(whole);
    ours.or_else(|| set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
        .or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT").map(whole))
}

fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_attribute(version);
    match std::env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => resource.build(),
        None => resource.with_service_name("isopleth").build(),
    }
}

/// The collector, as an HTTP client reaches it; blocks the thread that sends.
#[derive(Debug)]
struct Collector {
    agent: ureq::Agent,
    /// Whether the last batch was lost: told once.
    away: AtomicBool,
}

impl Collector {
    fn new() -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into();
        Self { agent, away: AtomicBool::new(false) }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.agent.run(request.map(|body| body.to_vec()))?;
        let (head, mut body) = answer.into_parts();
        let bytes = body.with_config().limit(LONGEST_ANSWER).read_to_vec()?;
        Ok(Response::from_parts(head, bytes.into()))
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.send(request);
        let lost = match &sent {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        let was_away = self.away.swap(lost.is_some(), Ordering::Relaxed);
        match lost {
            Some(why) if !was_away => tracing::warn!(why, "the collector takes no traces"),
            None if was_away => tracing::info!("the collector takes traces again"),
            _ => {}
        }
        sent
    }
}
