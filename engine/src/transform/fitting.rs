//! What is left open of a transform, from readings: its offset, and λ.

use super::{Transform, Wanted, at_least_0};

/// The offset of a logarithm, as a share of the median of the readings above 0: a reading of 0 is
/// then ln 11 = 2.4 below the median, as far as a tenth of a lognormal law with σ = 1.9.
const OFFSET: f64 = 0.1;

/// With nothing left open. `above_0` are the readings above 0; none is needed.
pub(crate) fn fitted(wanted: Wanted, above_0: &[f64]) -> Transform {
    match wanted {
        Wanted::None => Transform::None,
        Wanted::Sqrt => Transform::Sqrt,
        Wanted::Log { offset } => {
            Transform::Log { offset: offset.unwrap_or_else(|| offset_of(above_0)) }
        }
        Wanted::BoxCox { lambda, offset } => {
            let offset = offset.unwrap_or_else(|| offset_of(above_0));
            let lambda = lambda.unwrap_or_else(|| likeliest(above_0, offset));
            Transform::BoxCox { lambda, offset }
        }
    }
}

/// The logarithm that suits readings.
pub(crate) fn log_of(above_0: &[f64]) -> Transform {
    Transform::Log { offset: offset_of(above_0) }
}

/// The readings above 0.
pub(crate) fn positive<'a>(readings: impl Iterator<Item = &'a f64>) -> Vec<f64> {
    readings.copied().filter(|v| v.is_finite() && *v > 0.0).collect()
}

/// To two digits, so that it can be told. Where nothing is above 0 any will do.
fn offset_of(above_0: &[f64]) -> f64 {
    let mut sorted = above_0.to_vec();
    let middle = sorted.len() / 2;
    if sorted.is_empty() {
        return 1.0;
    }
    let median = *sorted.select_nth_unstable_by(middle, f64::total_cmp).1;
    let rounded = format!("{:.1e}", OFFSET * median).parse().unwrap_or(OFFSET * median);
    if rounded > 0.0 { rounded } else { f64::MIN_POSITIVE }
}

/// λ of the greatest likelihood from 0 to 1, by golden sections, to two digits (Box & Cox 1964,
/// section 3).
fn likeliest(above_0: &[f64], offset: f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let (mut low, mut high) = (0.0, 1.0);
    while high - low > 1e-4 {
        let (a, b) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
        if likelihood(above_0, a, offset) < likelihood(above_0, b, offset) {
            low = a;
        } else {
            high = b;
        }
    }
    (f64::midpoint(low, high) * 100.0).round() / 100.0
}

/// (λ − 1) Σ ln d − n/2 ln var f(d), but for constants.
#[expect(clippy::cast_precision_loss, reason = "counts of readings are below 2^52")]
fn likelihood(above_0: &[f64], lambda: f64, offset: f64) -> f64 {
    let n = above_0.len() as f64;
    let transform = Transform::BoxCox { lambda, offset };
    let logs: f64 = above_0.iter().map(|d| (at_least_0(*d) + offset).ln()).sum();
    let mean = above_0.iter().map(|d| transform.forward(*d)).sum::<f64>() / n;
    let variance = above_0.iter().map(|d| (transform.forward(*d) - mean).powi(2)).sum::<f64>() / n;
    (lambda - 1.0) * logs - 0.5 * n * variance.ln()
}
