//! The definition that every faster variant is held to.
//!
//! ```text
//! s_f(x) = Σᵢ w[i, f] φ(ε |x − xᵢ|) + Σₖ c[k, f] pₖ(x)
//! ```

use super::{Surface, Targets};
use crate::Metric;

/// `out[f * targets.len + c]` = field `f` at target `c`.
///
/// # Panics
/// If lengths disagree: a bug of the caller.
pub fn evaluate(surface: &Surface, targets: Targets<'_>, out: &mut [f64]) {
    surface.check(targets, out);
    let fields = surface.fields();
    let mut terms = vec![0.0; surface.drift.terms()];
    for c in 0..targets.len {
        let place = targets.at(c);
        surface.drift.at(place, &mut terms);
        for f in 0..fields {
            let mut sum = 0.0;
            for i in 0..surface.stations.len() {
                sum += surface.weights[i * fields + f] * phi(surface, place, i);
            }
            for (k, term) in terms.iter().enumerate() {
                sum += surface.drift_weights[k * fields + f] * term;
            }
            out[f * targets.len + c] = sum;
        }
    }
}

/// φ between a place and station `i`.
#[must_use]
pub fn phi(surface: &Surface, place: [f64; 3], i: usize) -> f64 {
    let station = surface.stations.at(i);
    let place = surface.stretch.map_or(place, |stretch| stretch.place(place));
    let squared = (0..3).map(|k| (place[k] * surface.scale - station[k]).powi(2)).sum();
    match surface.metric {
        Metric::Planar | Metric::Chordal => surface.kernel.phi_of_squared(squared),
        Metric::GreatCircle => {
            surface.kernel.phi(surface.epsilon * surface.metric.distance(squared))
        }
    }
}
