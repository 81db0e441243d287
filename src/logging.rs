//! Logs of the service: lines for people on a terminal, JSON elsewhere; `RUST_LOG` chooses. Spans for a collector of
//! traces go past them.

use std::io::IsTerminal;

use isopleth_api::is_traced;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::traces::Traces;

/// Starts logging to standard error, and tracing if there is a collector.
pub(crate) fn start(traces: Option<&Traces>) {
    let chosen = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = chosen.and(filter_fn(|data| !is_traced(data)));
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if std::io::stderr().is_terminal() {
        lines.with_filter(filter).boxed()
    } else {
        lines.json().with_filter(filter).boxed()
    };
    let all = tracing_subscriber::registry().with(lines);
    match traces {
        Some(traces) => all.with(traces.layer()).init(),
        // Not an empty layer: what only traces want would be made for nobody.
        None => all.init(),
    }
}
