//! The law of the errors of one field, and the mean of what comes back under it.
//!
//! The error at a place grows with the distance `h` of the nearest reading. It is taken to be
//! `z √g(h)`: `g(h)` is what the kernel expects of two readings so far apart, λ included, and `z` has
//! the law of the leave-one-out errors over theirs. So at a station without λ nothing is uncertain,
//! and the mean is the reading.

use isopleth_kernels::{Kernel, Metric, Resolved};

use super::Transform;

/// Numbers that stand for the law.
const POINTS: usize = 24;

/// Shares of the stations that have a nearer, and a further, neighbour than those whose distance
/// counts: beyond, nothing has been left out to learn from.
const NEAR: f64 = 0.05;
const FAR: f64 = 0.95;

/// How errors grow with distance.
#[derive(Clone, Debug)]
struct Growth {
    kernel: Kernel,
    epsilon: f64,
    metric: Metric,
    nugget: f64,
    /// Distances, squared, that count.
    near: f64,
    far: f64,
}

impl Growth {
    /// √g, up to a factor; `squared` is the distance of embedded points, squared.
    fn at(&self, squared: f64) -> f64 {
        let h = self.metric.distance(squared.min(self.far)) * self.epsilon;
        let varies = match self.kernel {
            // A plane takes its logarithm's place: the kernel alone is not monotone.
            Kernel::ThinPlateSpline => h * h,
            kernel => (kernel.phi(h) - kernel.phi(0.0)).abs(),
        };
        (varies + self.nugget).sqrt()
    }
}

/// The law of the errors of a field.
#[derive(Clone, Debug)]
pub(crate) struct Law {
    growth: Growth,
    /// Of standardised errors, all as probable.
    points: Vec<f64>,
}

impl Law {
    /// From leave-one-out errors and the squared distance of the nearest other reading; NaN in either
    /// is passed over. None where there is nothing to learn from.
    pub(crate) fn new(errors: &[f64], squared: &[f64], method: &Resolved) -> Option<Self> {
        let known = |(e, h): &(&f64, &f64)| e.is_finite() && h.is_finite();
        let pairs: Vec<(f64, f64)> =
            errors.iter().zip(squared).filter(known).map(|(e, h)| (*e, *h)).collect();
        if pairs.is_empty() {
            return None;
        }
        let mut sorted: Vec<f64> = pairs.iter().map(|(_, h)| *h).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let mut diagonal = method.diagonal.clone();
        diagonal.sort_unstable_by(f64::total_cmp);
        let growth = Growth {
            kernel: method.kernel,
            epsilon: method.epsilon,
            metric: method.metric,
            nugget: diagonal.get(diagonal.len() / 2).map_or(0.0, |d| d.abs()),
            near: at_share(&sorted, NEAR),
            far: at_share(&sorted, FAR),
        };
        let mut z: Vec<f64> =
            pairs.iter().map(|(e, h)| e / growth.at(h.max(growth.near))).collect();
        z.retain(|z| z.is_finite());
        z.sort_unstable_by(f64::total_cmp);
        (!z.is_empty()).then(|| Self { growth, points: stand_ins(&z) })
    }

    /// √g at the distance of the nearest reading, squared; infinite: as far as anybody knows.
    pub(crate) fn growth(&self, squared: f64) -> f64 {
        self.growth.at(squared)
    }

    /// The mean of f⁻¹(m + z·growth).
    pub(crate) fn mean(&self, transform: Transform, m: f64, growth: f64) -> f64 {
        let sum: f64 = self.points.iter().map(|z| transform.back(m + z * growth)).sum();
        sum / real(self.points.len())
    }
}

/// Means of parts that are as probable as each other, widened to the variance of the whole law, which
/// is all that a square root feels.
fn stand_ins(sorted: &[f64]) -> Vec<f64> {
    let parts = sorted.len().min(POINTS);
    let cut = |k: usize| k * sorted.len() / parts;
    let mean = |of: &[f64]| of.iter().sum::<f64>() / real(of.len());
    let squares = |of: &[f64], about: f64| {
        of.iter().map(|z| (z - about).powi(2)).sum::<f64>() / real(of.len())
    };
    let means: Vec<f64> = (0..parts).map(|k| mean(&sorted[cut(k)..cut(k + 1)])).collect();
    // Parts differ by one in size, so the mean of their means need not be that of all.
    let (middle, of_means) = (mean(sorted), mean(&means));
    let widen = (squares(sorted, middle) / squares(&means, of_means)).sqrt();
    let widen = if widen.is_finite() { widen } else { 1.0 };
    means.iter().map(|z| middle + (z - of_means) * widen).collect()
}

fn at_share(sorted: &[f64], share: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the length")]
    let at = (share * real(sorted.len() - 1)).round() as usize;
    sorted[at]
}

#[expect(clippy::cast_precision_loss, reason = "counts of readings are below 2^52")]
fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use isopleth_kernels::{Method, Points, Smoothing};

    use super::*;

    fn method(smoothing: f64) -> Resolved {
        let method = Method { smoothing: Smoothing::Same(smoothing), ..Method::default() };
        method.resolve(&Points::new(vec![vec![0.0, 1.0, 2.0], vec![0.0, 1.0, 0.0]])).unwrap()
    }

    /// The middles of n parts of a normal law of standard deviation 0.4.
    fn normal(n: usize) -> Vec<f64> {
        // Sums of twelve even chances are normal enough: their kurtosis is 2.9.
        let mut state = 1_u64;
        let mut chance = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let raw: Vec<f64> = (0..n).map(|_| (0..12).map(|_| chance()).sum::<f64>() - 6.0).collect();
        let mean = raw.iter().sum::<f64>() / n as f64;
        let sd = (raw.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        raw.iter().map(|z| 0.4 * (z - mean) / sd).collect()
    }

    #[test]
    fn the_mean_is_that_of_the_formulas_for_normal_errors() {
        let errors = normal(2000);
        let law = Law::new(&errors, &vec![4.0; 2000], &method(0.0)).unwrap();
        let at = law.growth(4.0);
        // Exact but for rounding: the variance is kept.
        let square = law.mean(Transform::Sqrt, 3.0, at);
        assert!((square - (9.0 + 0.16)).abs() < 1e-9, "{square}");
        // exp(s²/2), within half a percent: tails are cut into 24 parts.
        let log = law.mean(Transform::Log { offset: 1e-9 }, 2.0, at);
        let expected = (2.0_f64 + 0.08).exp();
        assert!((log / expected - 1.0).abs() < 0.005, "{log} {expected}");
    }

    #[test]
    fn without_a_nugget_the_mean_at_a_station_is_its_reading() {
        let law = Law::new(&normal(100), &[4.0; 100], &method(0.0)).unwrap();
        assert_eq!(law.growth(0.0), 0.0);
        assert_eq!(law.mean(Transform::Sqrt, 3.0, law.growth(0.0)), 9.0);
        let noisy = Law::new(&normal(100), &[4.0; 100], &method(1.0)).unwrap();
        assert!(noisy.mean(Transform::Sqrt, 3.0, noisy.growth(0.0)) > 9.0);
    }

    #[test]
    fn errors_grow_with_distance_as_far_as_stations_are_apart() {
        let squared: Vec<f64> = (1..=100).map(f64::from).collect();
        let law = Law::new(&normal(100), &squared, &method(0.0)).unwrap();
        assert!(law.growth(1.0) < law.growth(50.0));
        assert_eq!(law.growth(1e9), law.growth(f64::INFINITY));
        assert!(Law::new(&[f64::NAN], &[1.0], &method(0.0)).is_none());
    }
}
