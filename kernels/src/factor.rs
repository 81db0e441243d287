//! One factorisation serves every field.

use faer::{MatRef, Par};

use crate::drift::Drift;
use crate::error::Error;
use crate::weights::{Fit, Weights};
use crate::{Points, Resolved};

/// A factorised network: sees no values.
#[derive(Clone, Debug)]
pub struct Factor {}

impl Factor {
    /// Factorises.
    ///
    /// # Errors
    /// stub
    pub fn new(_stations: &Points, _method: &Resolved, _par: Par) -> Result<Self, Error> {
        todo!()
    }

    /// Condition estimate.
    #[must_use]
    pub fn condition(&self) -> f64 {
        todo!()
    }

    /// The drift.
    #[must_use]
    pub fn drift(&self) -> &Drift {
        todo!()
    }

    /// Weights of complete fields.
    ///
    /// # Errors
    /// stub
    pub fn solve(&self, _values: MatRef<'_, f64>, _par: Par) -> Result<Weights, Error> {
        todo!()
    }

    /// Weights and leave-one-out residuals; NaN is a missing reading.
    ///
    /// # Errors
    /// stub
    pub fn fit(&self, _values: MatRef<'_, f64>, _par: Par) -> Result<Fit, Error> {
        todo!()
    }
}
