//! What was done to series, counted: part of the report.

use serde::Serialize;

/// Spikes told one by one.
pub(super) const EXAMPLES: usize = 20;

/// What was done to the series of each station.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeriesReport {
    /// What was done, in this order.
    pub steps: Vec<String>,
    /// How far apart readings are, in seconds: as asked for, or as found; none where nobody asked.
    pub step_seconds: Option<i64>,
    /// Counts by variable.
    pub variables: Vec<SeriesCounts>,
    /// The first few spikes: station, variable, time, reading and the median about it.
    pub spike_examples: Vec<String>,
}

/// What became of the readings of a variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeriesCounts {
    /// Variable.
    pub variable: String,
    /// Readings before.
    pub readings: u64,
    /// So far below zero that they were dropped.
    pub faults: u64,
    /// Below the detection limit: replaced, or dropped on request.
    pub below_limit: u64,
    /// Spikes, dropped.
    pub spikes: u64,
    /// Added in gaps.
    pub filled: u64,
    /// Windows with readings, but too few for a mean.
    pub too_few: u64,
    /// Values that came out.
    pub values: u64,
}

impl SeriesCounts {
    pub(super) fn merge(&mut self, other: &Self) {
        self.readings += other.readings;
        self.faults += other.faults;
        self.below_limit += other.below_limit;
        self.spikes += other.spikes;
        self.filled += other.filled;
        self.too_few += other.too_few;
        self.values += other.values;
    }
}
