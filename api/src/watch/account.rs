//! What is told of the account, the canary and the reconciliation. docs/account.md has the names.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Real = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

/// What can be wrong with a canary.
pub(crate) const REASONS: [&str; 5] = ["missing", "late", "wrong", "changed", "failed"];

/// The account.
#[derive(Default)]
pub(crate) struct Account {
    waiting: Gauge,
    lost: Counter,
    sequence: Gauge,
    last_success: Real,
    seconds: Real,
    failures: Family<Why, Counter>,
    difference: Gauge,
    compared: Real,
}

impl Account {
    pub(super) fn register(&self, r: &mut Registry) {
        let help = "Rows of the account that are not written yet";
        r.register("isopleth_usage_rows_waiting", help, self.waiting.clone());
        let help = "Rows of the account for which there was no room";
        r.register("isopleth_usage_rows_lost", help, self.lost.clone());
        let help = "Number of the last canary: a small job with a known answer";
        r.register("isopleth_canary_sequence", help, self.sequence.clone());
        let help = "When a canary last came back right, seconds since 1970; 0: not yet";
        let name = "isopleth_canary_last_success_timestamp_seconds";
        r.register(name, help, self.last_success.clone());
        let help = "Seconds that the last canary took, the queue included";
        r.register("isopleth_canary_seconds", help, self.seconds.clone());
        let help = "Canaries that did not come back, came late, or came back wrong";
        r.register("isopleth_canary_failures", help, self.failures.clone());
        // A rate of what has not happened yet is 0, not nothing.
        for reason in REASONS {
            drop(self.failures.get_or_create(&Why { reason }));
        }
        let help = "Ends of the last reconciled day that jobs, processes and the account count differently";
        r.register("isopleth_reconciliation_difference", help, self.difference.clone());
        let help = "When a day was last reconciled, seconds since 1970; 0: not yet";
        r.register("isopleth_reconciliation_timestamp_seconds", help, self.compared.clone());
    }

    /// Rows that wait just now.
    pub(crate) fn waits(&self, rows: usize) {
        self.waiting.set(i64::try_from(rows).unwrap_or(i64::MAX));
    }

    /// A row was lost.
    pub(crate) fn lost(&self) {
        self.lost.inc();
    }

    /// A canary is sent.
    pub(crate) fn sent(&self, sequence: i64) {
        self.sequence.set(sequence);
    }

    /// It came back so.
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    pub(crate) fn came_back(&self, at: i64, seconds: f64, wrong: Option<&'static str>) {
        self.seconds.set(seconds);
        match wrong {
            None => drop(self.last_success.set(at as f64)),
            Some(reason) => self.failed(reason),
        }
    }

    /// Something was wrong with one: one of [`REASONS`].
    pub(crate) fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&Why { reason }).inc();
    }

    /// A day was reconciled.
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    pub(crate) fn reconciled(&self, at: i64, difference: i64) {
        self.difference.set(difference);
        self.compared.set(at as f64);
    }
}
