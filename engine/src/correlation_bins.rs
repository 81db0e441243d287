//! How correlation falls with distance: pairs counted by distance and correlation.

/// Classes of distance and of correlation. A median is right within half a class.
const DISTANCES: usize = 60;
const CORRELATIONS: usize = 400;

/// Counts of pairs by distance (equal classes from 0 to the largest) and correlation (from −1 to 1).
#[derive(Clone, Debug, PartialEq)]
pub struct Bins {
    largest: f64,
    /// By distance, then correlation.
    counts: Vec<u64>,
}

/// Pairs of one class of distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ByDistance {
    /// Smallest and largest distance of the class.
    pub distance: [f64; 2],
    /// Pairs in it.
    pub pairs: u64,
    /// The median of their correlations, within 0.0025.
    pub median: f64,
}

impl Bins {
    pub(crate) fn new(largest: f64) -> Self {
        let largest = if largest > 0.0 && largest.is_finite() { largest } else { 1.0 };
        Self { largest, counts: vec![0; DISTANCES * CORRELATIONS] }
    }

    pub(crate) fn add(&mut self, distance: f64, correlation: f64) {
        let of = |share: f64, classes: usize| -> usize {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of some hundred classes"
            )]
            let class = (share.max(0.0) * classes as f64) as usize;
            class.min(classes - 1)
        };
        let row = of(distance / self.largest, DISTANCES);
        self.counts[row * CORRELATIONS + of(0.5 * (correlation + 1.0), CORRELATIONS)] += 1;
    }

    /// The largest distance.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.largest
    }

    /// The pairs in at most so many classes of distance; classes without a pair are left out.
    #[must_use]
    pub fn by_distance(&self, classes: usize) -> Vec<ByDistance> {
        let wide = DISTANCES.div_ceil(classes.clamp(1, DISTANCES));
        let of = |(k, rows): (usize, &[u64])| {
            let mut counts = vec![0; CORRELATIONS];
            for row in rows.chunks_exact(CORRELATIONS) {
                counts.iter_mut().zip(row).for_each(|(sum, count)| *sum += count);
            }
            let pairs: u64 = counts.iter().sum();
            let end = |k: usize| self.largest * share(k.min(DISTANCES), DISTANCES);
            (pairs > 0).then(|| ByDistance {
                distance: [end(k * wide), end((k + 1) * wide)],
                pairs,
                median: median(&counts, pairs),
            })
        };
        self.counts.chunks(wide * CORRELATIONS).enumerate().filter_map(of).collect()
    }

    /// Counts on a coarser grid for a picture: `[distance][correlation]`, correlation from −1 up.
    pub(crate) fn density(&self, correlations: usize) -> Vec<Vec<u64>> {
        let wide = CORRELATIONS.div_ceil(correlations);
        let rows = self.counts.chunks_exact(CORRELATIONS);
        rows.map(|row| row.chunks(wide).map(|some| some.iter().sum()).collect()).collect()
    }
}

/// The middle of the class that holds the median.
fn median(counts: &[u64], pairs: u64) -> f64 {
    let mut below = 0;
    let holds = |count: &u64| {
        below += count;
        2 * below >= pairs
    };
    let class = counts.iter().position(holds).unwrap_or(0);
    share(2 * class + 1, CORRELATIONS) - 1.0
}

#[expect(clippy::cast_precision_loss, reason = "some hundred classes")]
fn share(k: usize, of: usize) -> f64 {
    k as f64 / of as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_those_of_the_pairs_within_half_a_class() {
        let mut bins = Bins::new(100.0);
        for (distance, correlations) in [(5.0, [0.9, 0.8, -1.0]), (100.0, [1.0, 0.123, 0.0])] {
            for correlation in correlations {
                bins.add(distance, correlation);
            }
        }
        let classes = bins.by_distance(10);
        assert_eq!(classes.len(), 2);
        assert_eq!((classes[0].distance, classes[0].pairs), ([0.0, 10.0], 3));
        assert_eq!((classes[1].distance, classes[1].pairs), ([90.0, 100.0], 3));
        for (class, median) in classes.iter().zip([0.8, 0.123]) {
            assert!((class.median - median).abs() <= 0.0025 + 1e-12, "{class:?}");
        }
        let all: u64 = bins.density(50).iter().flatten().sum();
        assert_eq!(all, 6);
    }
}
