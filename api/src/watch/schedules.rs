//! What is counted of schedules: their hours by state, how old the newest map is, what waits, what was told.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SlotsOf {
    schedule: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    schedule: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct At {
    sink: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Told {
    kind: &'static str,
}

/// How a schedule is doing.
#[derive(Clone, Debug)]
pub(crate) struct OfSchedule {
    pub(crate) id: String,
    pub(crate) slots: Vec<(&'static str, u64)>,
    /// The hour of the newest map, seconds since 1970.
    pub(crate) newest: Option<i64>,
    /// Seconds since the oldest hour that waits was due.
    pub(crate) late: i64,
}

/// Schedules; as many as the configuration allows.
#[derive(Default)]
pub(super) struct Schedules {
    slots: Family<SlotsOf, Gauge>,
    newest: Family<Of, Gauge>,
    late: Family<Of, Gauge>,
    waiting: Family<At, Gauge>,
    notices: Family<Told, Counter<u64, AtomicU64>>,
}

impl Schedules {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Hours of schedules by state";
        registry.register("isopleth_schedule_slots", help, self.slots.clone());
        let help = "Hour of the newest map of a schedule, seconds since 1970; 0: there is none yet";
        registry.register("isopleth_schedule_newest_seconds", help, self.newest.clone());
        let help = "Seconds since the oldest hour that waits was due; 0: none waits";
        registry.register("isopleth_schedule_late_seconds", help, self.late.clone());
        let help = "Deliveries that wait, by sink";
        registry.register("isopleth_deliveries_waiting", help, self.waiting.clone());
        let help = "Notices that this process wrote, by kind";
        registry.register("isopleth_notices", help, self.notices.clone());
    }

    pub(super) fn look(&self, census: &[OfSchedule], waiting: &[(String, u64)]) {
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        // Those that are gone are told no more.
        self.slots.clear();
        self.newest.clear();
        self.late.clear();
        self.waiting.clear();
        for of in census {
            let label = Of { schedule: of.id.clone() };
            for (state, count) in &of.slots {
                let label = SlotsOf { schedule: of.id.clone(), state };
                self.slots.get_or_create(&label).set(whole(*count));
            }
            self.newest.get_or_create(&label).set(of.newest.unwrap_or(0));
            self.late.get_or_create(&label).set(of.late);
        }
        for (sink, count) in waiting {
            self.waiting.get_or_create(&At { sink: sink.clone() }).set(whole(*count));
        }
    }

    pub(super) fn noticed(&self, kind: &'static str) {
        self.notices.get_or_create(&Told { kind }).inc();
    }
}
