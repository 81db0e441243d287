//! Residuals in a few numbers.

/// How well a surface predicts readings that it has not seen.
///
/// A residual is *observed − predicted*, in the unit of the readings: a positive bias says that
/// the surface is too low.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Number of residuals counted.
    pub count: usize,
    /// Mean residual. None where there is no residual.
    pub bias: Option<f64>,
    /// Mean size of a residual.
    pub mae: Option<f64>,
    /// Root of the mean squared residual.
    pub rmse: Option<f64>,
    /// `1 − Σ residual² / Σ (observed − mean observed)²` over the readings counted. None for
    /// fewer than two readings, and where they are all equal; negative where the mean of the
    /// readings would have been the better prediction.
    pub r_squared: Option<f64>,
}

impl Statistics {
    /// Of one field. Pairs in which either number is not finite (a missing reading, a residual
    /// that does not exist) are left out.
    ///
    /// # Panics
    /// If the lengths differ: a bug of the caller.
    #[must_use]
    pub fn new(observed: &[f64], residuals: &[f64]) -> Self {
        assert_eq!(observed.len(), residuals.len(), "one residual per reading");
        let pairs: Vec<(f64, f64)> = observed
            .iter()
            .zip(residuals)
            .map(|(&o, &r)| (o, r))
            .filter(|(o, r)| o.is_finite() && r.is_finite())
            .collect();
        if pairs.is_empty() {
            return Self::default();
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of readings are far below 2^52")]
        let count = pairs.len() as f64;
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
        let squared = mean(&|(_, r)| r * r);
        Self {
            count: pairs.len(),
            bias: Some(mean(&|(_, r)| *r)),
            mae: Some(mean(&|(_, r)| r.abs())),
            rmse: Some(squared.sqrt()),
            r_squared: {
                let middle = mean(&|(o, _)| *o);
                let spread = mean(&|(o, _)| (o - middle) * (o - middle));
                // The mean of equal numbers may be off by a rounding: compare the numbers.
                let varied = pairs.iter().any(|(o, _)| *o != pairs[0].0);
                (varied && spread > 0.0).then(|| 1.0 - squared / spread)
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_numbers_are_those_computed_by_hand() {
        let s = Statistics::new(&[1.0, 2.0, 3.0, 6.0], &[1.0, -1.0, 2.0, 0.0]);
        assert_eq!(s.count, 4);
        assert_eq!(s.bias, Some(0.5));
        assert_eq!(s.mae, Some(1.0));
        assert_eq!(s.rmse, Some(1.5_f64.sqrt()));
        // Spread about the mean 3: (4 + 1 + 0 + 9) / 4.
        assert_eq!(s.r_squared, Some(1.0 - 1.5 / 3.5));
    }

    #[test]
    fn missing_readings_and_missing_residuals_are_left_out() {
        let full = Statistics::new(&[1.0, 4.0], &[0.5, -0.25]);
        let gaps = Statistics::new(&[1.0, f64::NAN, 4.0, 9.0], &[0.5, 1.0, -0.25, f64::NAN]);
        assert_eq!(full, gaps);
    }

    #[test]
    fn what_does_not_exist_is_none_and_never_nan() {
        assert_eq!(Statistics::new(&[], &[]), Statistics::default());
        assert_eq!(Statistics::new(&[3.0], &[f64::NAN]), Statistics::default());
        let one = Statistics::new(&[3.0], &[0.5]);
        assert_eq!((one.count, one.rmse, one.r_squared), (1, Some(0.5), None));
        let constant = Statistics::new(&[0.1; 7], &[0.0; 7]);
        assert_eq!((constant.rmse, constant.r_squared), (Some(0.0), None));
    }
}
