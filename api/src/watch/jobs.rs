//! What is counted of jobs: where those that are remembered are, who waits, and how they ended.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::jobs::{Census, Process, State};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLane {
    lane: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    process: &'static str,
    outcome: &'static str,
}

/// Jobs.
#[derive(Default)]
pub(super) struct Jobs {
    by_status: Family<Status, Gauge>,
    waiting: Family<OfLane, Gauge>,
    ended: Family<Outcome, Counter<u64, AtomicU64>>,
}

impl Jobs {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Jobs that are remembered, by status, of all processes that share the folder";
        registry.register("isopleth_jobs", help, self.by_status.clone());
        let help = "Jobs that wait for their turn, by lane";
        registry.register("isopleth_jobs_waiting", help, self.waiting.clone());
        let help = "Jobs that ended in this process, or were dismissed by it";
        registry.register("isopleth_jobs_ended", help, self.ended.clone());
    }

    pub(super) fn look(&self, census: &Census) {
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for (state, count) in &census.by_state {
            self.by_status.get_or_create(&Status { status: state.name() }).set(whole(*count));
        }
        for (lane, count) in &census.waiting {
            self.waiting.get_or_create(&OfLane { lane: lane.name() }).set(whole(*count));
        }
    }

    pub(super) fn ended(&self, process: Process, state: State) {
        let outcome = Outcome { process: process.name(), outcome: state.name() };
        self.ended.get_or_create(&outcome).inc();
    }
}
