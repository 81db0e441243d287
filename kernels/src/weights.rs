//! Weights: what a factor and values make, one column per field.

use faer::Mat;

use crate::Error;

/// The unknowns of the linear system.
#[derive(Clone, Debug)]
pub struct Weights {
    /// `w`: stations × fields. A station missing in a field has weight 0 there.
    pub stations: Mat<f64>,
    /// `c`: drift terms × fields; those of covariates last.
    pub drift: Mat<f64>,
}

impl Weights {
    /// Those of some fields.
    #[must_use]
    pub fn some(&self, fields: std::ops::Range<usize>) -> Self {
        let some = |matrix: &Mat<f64>| matrix.subcols(fields.start, fields.len()).to_owned();
        Self { stations: some(&self.stations), drift: some(&self.drift) }
    }

    /// Adds one number per field to the constant of the drift, if it has one.
    pub(crate) fn raise(&mut self, by: &[f64]) {
        if self.drift.nrows() > 0 {
            for (field, by) in by.iter().enumerate() {
                self.drift[(0, field)] += by;
            }
        }
    }
}

/// What a set of fields gives on one network.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The weights of every field; NaN for a field that failed.
    pub weights: Weights,
    /// Leave-one-out residuals `d − ŝ₋ᵢ(xᵢ)`: stations × fields. NaN where a reading is missing,
    /// and where the other stations do not determine the drift.
    pub leave_one_out: Mat<f64>,
    /// The same with all stations of a group left out together, where groups were asked for; else
    /// empty. NaN where it cannot be told.
    pub left_out_together: Mat<f64>,
    /// `1/B'ᵢᵢ`: the variance of those residuals where readings have unit variance scale, laid out
    /// likewise; it holds for a new reading, λ included.
    pub unit_variance: Mat<f64>,
    /// Fields without a surface, in order, each with the reason: no reading at all, an infinite
    /// one, or the stations that have one do not determine the drift.
    pub failed: Vec<(usize, Error)>,
    /// How many different sets of missing stations there were.
    pub masks: usize,
    /// How many of them were cheaper or safer to factorise anew than to correct.
    pub refactored: usize,
}
