//! A surface written out as its definition says, to hold the solver to.

use isopleth_kernels::drift::Drift;
use isopleth_kernels::{Mat, Points, Resolved, Weights};

/// `Σ w φ + Σ c p` at every target: targets × fields.
pub(crate) fn evaluate(
    stations: &Points,
    method: &Resolved,
    drift: &Drift,
    weights: &Weights,
    targets: &Points,
) -> Mat<f64> {
    let fields = weights.stations.ncols();
    let mut terms = vec![0.0; drift.terms()];
    let mut out = Mat::zeros(targets.len(), fields);
    for t in 0..targets.len() {
        let place = targets.at(t);
        drift.at(place, &mut terms);
        for f in 0..fields {
            let coefficients = weights.drift.col(f);
            out[(t, f)] = terms.iter().zip(coefficients.iter()).map(|(p, c)| p * c).sum();
        }
        for i in 0..stations.len() {
            let other = stations.at(i);
            let squared: f64 = (0..3).map(|k| (place[k] - other[k]).powi(2)).sum();
            let distance = method.epsilon * method.metric.distance(squared);
            let phi = method.kernel.phi(distance);
            for f in 0..fields {
                out[(t, f)] += weights.stations[(i, f)] * phi;
            }
        }
    }
    out
}
