//! The methods that are tried: kernels from simple to supple, ranges from a town to the whole
//! network, nuggets from none to half of what varies.

use isopleth_kernels as kernels;
use kernels::{Anisotropy, Convention, Kernel, Method, Points, Resolved, Smoothing};
use serde::{Deserialize, Serialize};

use crate::settings::{Auto, Directions};
use crate::transform::Transform;

/// One method that may be chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Candidate {
    /// By name, as in reports.
    pub(crate) kernel: String,
    pub(crate) epsilon: f64,
    pub(crate) smoothing: f64,
    pub(crate) degree: i8,
    /// In what form readings are mapped.
    pub(crate) transform: Transform,
    /// Ratio and angle; none: the same range in all directions.
    #[serde(default)]
    pub(crate) anisotropy: Option<[f64; 2]>,
}

impl Candidate {
    fn new(kernel: Kernel, epsilon: f64, smoothing: f64, auto: &Auto) -> Self {
        let degree = auto.degree.unwrap_or(kernel.least_degree().max(0));
        let (epsilon, smoothing) =
            (auto.epsilon.unwrap_or(epsilon), auto.smoothing.unwrap_or(smoothing));
        let transform = Transform::None;
        let anisotropy = match auto.anisotropy {
            Directions::Told(told) => Some([told.ratio(), told.angle()]),
            Directions::Auto | Directions::Same => None,
        };
        Self { kernel: kernel.to_string(), epsilon, smoothing, degree, transform, anisotropy }
    }

    /// The same of readings as they are.
    pub(crate) fn untransformed(&self) -> Self {
        Self { transform: Transform::None, ..self.clone() }
    }

    /// What it means on a network.
    pub(crate) fn resolve(
        &self,
        auto: &Auto,
        stations: &Points,
    ) -> Result<Resolved, kernels::Error> {
        let method = Method {
            kernel: self.kernel.parse()?,
            epsilon: Some(self.epsilon),
            smoothing: Smoothing::Same(self.smoothing),
            degree: Some(self.degree),
            metric: auto.metric,
            convention: Convention::Native,
            anisotropy: self
                .anisotropy
                .map(|[ratio, angle]| Anisotropy::new(ratio, angle))
                .transpose()?,
        };
        method.resolve(stations)
    }

    /// How much there is to choose in it: of methods as good as each other the least is taken.
    pub(crate) fn complexity(&self) -> u32 {
        let free = |name: Kernel| self.kernel == name.name();
        let of_kernel = match (free(Kernel::Linear), self.smoothing > 0.0) {
            (true, false) => 0,
            (true, true) => 1,
            _ => 2,
        };
        of_kernel + u32::from(self.anisotropy.is_some())
    }
}

/// As far as the middle half of a network's stations reaches from its middle: of the size of what
/// is mapped, whatever a few islands do.
pub(crate) fn extent(stations: &Points) -> f64 {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    let middle: Vec<f64> =
        (0..stations.dims()).map(|k| median(stations.axis(k).to_vec())).collect();
    let distance = |i: usize| {
        let squares = middle.iter().enumerate().map(|(k, m)| (stations.axis(k)[i] - m).powi(2));
        squares.sum::<f64>().sqrt()
    };
    2.0 * median((0..stations.len()).map(distance).collect())
}

/// Ranges of covariances, as shares of the extent, and λ as shares of what varies. On 16 cases of
/// Chinese, German and American readings twice as many of each choose no better: what is gained by
/// the finer grid is lost by the noise of choosing (docs/skill.md).
const RANGES: [f64; 4] = [0.03, 0.12, 0.5, 2.0];
const NUGGETS: [f64; 4] = [0.03, 0.1, 0.3, 1.0];

/// λ of kernels without a range, as shares of what they come to over the extent.
const STEPS: [f64; 4] = [0.0, 0.01, 0.03, 0.1];

/// Ranges and λ of `inverse_multiquadric`, which falls off slowly: what exponentials lack.
const SLOW: [(f64, f64); 3] = [(0.016, 0.3), (0.016, 1.0), (0.25, 0.03)];

/// A candidate as dear as any.
pub(crate) fn typical(stations: &Points, auto: &Auto) -> Candidate {
    let epsilon = 1.0 / extent(stations).max(f64::MIN_POSITIVE);
    Candidate::new(Kernel::Exponential, epsilon, NUGGETS[0], auto)
}

/// What is tried on every network, the simplest first.
pub(crate) fn first(extent: f64, auto: &Auto) -> Vec<Candidate> {
    let mut tried: Vec<Candidate> = Vec::new();
    if auto.kernels.is_empty() {
        tried.extend(of_kernel(Kernel::Linear, extent, auto));
        tried.extend(of_kernel(Kernel::Exponential, extent, auto));
        let slow = SLOW.iter().map(|(range, nugget)| {
            let kernel = Kernel::InverseMultiquadric;
            Candidate::new(kernel, 1.0 / (range * extent), *nugget, auto)
        });
        tried.extend(slow);
    }
    tried.extend(auto.kernels.iter().flat_map(|&kernel| of_kernel(kernel, extent, auto)));
    let mut all = Vec::with_capacity(tried.len());
    for candidate in tried {
        // What is told leaves several alike.
        if !all.contains(&candidate) {
            all.push(candidate);
        }
    }
    all
}

fn of_kernel(kernel: Kernel, extent: f64, auto: &Auto) -> Vec<Candidate> {
    if kernel.is_scale_free() {
        let size = kernel.phi(extent).abs();
        return STEPS.map(|step| Candidate::new(kernel, 1.0, step * size, auto)).to_vec();
    }
    // The longest range of a smooth kernel makes ill-conditioned systems and no better maps.
    let ranges = if kernel == Kernel::Exponential { &RANGES[..] } else { &RANGES[..3] };
    let of_range = |range: &f64| {
        let epsilon = 1.0 / (range * extent);
        NUGGETS.map(|nugget| Candidate::new(kernel, epsilon, nugget, auto))
    };
    ranges.iter().flat_map(of_range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_kept_and_nothing_is_tried_twice() {
        let told = Auto { smoothing: Some(0.0), epsilon: Some(0.01), ..Auto::default() };
        let all = first(1000.0, &told);
        assert_eq!(all.len(), 3, "one of each kernel: {all:?}");
        assert!(all.iter().all(|c| c.smoothing == 0.0 && c.epsilon == 0.01 && c.degree == 0));
        let free = first(1000.0, &Auto::default());
        for (k, candidate) in free.iter().enumerate() {
            assert!(!free[..k].contains(candidate));
        }
    }

    #[test]
    fn the_extent_is_that_of_most_stations() {
        let x: Vec<f64> = (0..101).map(f64::from).chain([1e6]).collect();
        let y = vec![0.0; x.len()];
        let extent = extent(&Points::new(vec![x, y]));
        assert!((extent - 51.0).abs() <= 3.0, "{extent}");
    }
}
