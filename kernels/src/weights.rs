//! Weights: what a factor and values make, one column per field.

use faer::Mat;

/// The unknowns of the linear system.
#[derive(Clone, Debug)]
pub struct Weights {
    /// `w`: stations × fields. A station missing in a field has weight 0 there.
    pub stations: Mat<f64>,
    /// `c`: drift terms × fields.
    pub drift: Mat<f64>,
}

/// What a set of fields gives on one network.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The weights of every field.
    pub weights: Weights,
    /// Leave-one-out residuals `d − ŝ₋ᵢ(xᵢ)`: stations × fields, NaN where a reading is missing.
    pub leave_one_out: Mat<f64>,
    /// How many different sets of missing stations there were.
    pub masks: usize,
    /// How many of them were cheaper or safer to factorise anew than to correct.
    pub refactored: usize,
}
