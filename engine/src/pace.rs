//! How fast this machine evaluates: one row of cells, timed once for all maps that are alike. Only estimates use it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use isopleth_kernels as kernels;
use kernels::drift::Drift;
use kernels::evaluate::{Axis, Targets};
use kernels::{Evaluator, Kernel, Mat, Metric, Points, Resolved, Surface, Weights};

/// Cells of the row that is timed.
pub(crate) const ROW: usize = 64;

/// Maps that take as long for each station: kernel, metric, and the order of magnitude of fields and stations.
type Alike = (Kernel, Metric, u32, u32);

/// Seconds of a row for one station; a few entries for each kernel in use.
static KNOWN: Mutex<Option<HashMap<Alike, f64>>> = Mutex::new(None);

/// Seconds that one row of [`ROW`] cells takes, all fields.
#[expect(clippy::cast_precision_loss, reason = "an estimate needs no 53 bits")]
pub(crate) fn seconds_of_a_row(stations: &Points, method: &Resolved, fields: usize) -> f64 {
    let (count, fields) = (stations.len().max(1), fields.max(1));
    let alike = (method.kernel, method.metric, fields.ilog2(), count.ilog2());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(each) = known().as_ref().and_then(|known| known.get(&alike)) {
        return each * count as f64;
    }
    let row = timed(stations, method, fields);
    known().get_or_insert_default().insert(alike, row / count as f64);
    row
}

/// The fastest of three, with weights 0.
fn timed(stations: &Points, method: &Resolved, fields: usize) -> f64 {
    let drift = Drift::new(method.degree, stations, method.metric);
    let weights = Weights {
        stations: Mat::zeros(stations.len(), fields),
        drift: Mat::zeros(drift.terms(), fields),
    };
    let surface = Surface::new(stations, method, &drift, &weights);
    let axes: Vec<Vec<f64>> = (0..stations.dims()).map(|k| row_through(stations, k)).collect();
    let axes: Vec<Axis<'_>> = axes.iter().map(|a| Axis::Each(a)).collect();
    let mut out = vec![0.0; ROW * fields];
    let seconds = |_| {
        let start = Instant::now();
        Evaluator::new().evaluate(&surface, Targets { axes: &axes, len: ROW }, &mut out);
        start.elapsed().as_secs_f64()
    };
    (0..3).map(seconds).fold(f64::INFINITY, f64::min)
}

#[expect(clippy::cast_precision_loss, reason = "64 cells")]
fn row_through(stations: &Points, k: usize) -> Vec<f64> {
    let start = stations.axis(k).first().copied().unwrap_or(0.0);
    (0..ROW).map(|c| start * (1.0 + c as f64 * 1e-3)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Method;

    #[test]
    fn what_was_timed_for_a_network_holds_for_one_of_its_size() {
        let line = |n: u32| {
            Metric::Planar.embed(&(0..n).map(f64::from).collect::<Vec<_>>(), &vec![0.0; n as usize])
        };
        let asked = Method {
            kernel: Kernel::Cubic,
            metric: Metric::Planar,
            degree: Some(0),
            ..Method::default()
        };
        let seconds = |n: u32| {
            let stations = line(n);
            seconds_of_a_row(&stations, &asked.resolve(&stations).expect("a method"), 1)
        };
        let first = seconds(128);
        assert!(first > 0.0);
        assert_eq!(seconds(128).to_bits(), first.to_bits(), "not timed again");
        assert!((seconds(192) / first - 1.5).abs() < 1e-12, "three halves of the stations");
    }
}
