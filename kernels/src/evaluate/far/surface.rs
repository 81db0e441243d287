//! What the tree asks of a surface: sizes and signs of its weights, places of its stations.

use crate::evaluate::Surface;

impl Surface {
    /// The surface whose value is Σ|w| φ, without drift: up to sign Σ|w φ|, the scale of rounding
    /// errors, for kernels of one sign.
    #[must_use]
    pub fn magnitudes(&self) -> Self {
        Self {
            weights: self.weights.iter().map(|w| w.abs()).collect(),
            drift_weights: vec![0.0; self.drift_weights.len()],
            stations: self.stations.clone(),
            drift: self.drift.clone(),
            ..*self
        }
    }

    /// This surface's fields and behind them those of [`magnitudes`](Self::magnitudes): φ is
    /// computed once for both.
    #[must_use]
    pub fn with_magnitudes(&self) -> Self {
        let twice = |all: &[f64], other: fn(f64) -> f64| -> Vec<f64> {
            let rows = all.chunks_exact(self.fields.max(1));
            rows.flat_map(|row| row.iter().copied().chain(row.iter().map(move |&w| other(w))))
                .collect()
        };
        Self {
            weights: twice(&self.weights, f64::abs),
            drift_weights: twice(&self.drift_weights, |_| 0.0),
            stations: self.stations.clone(),
            drift: self.drift.clone(),
            fields: 2 * self.fields,
            ..*self
        }
    }

    /// Σ|w| of each field.
    pub(super) fn sizes(&self) -> Vec<f64> {
        let size = |f| self.weights.iter().skip(f).step_by(self.fields).map(|w| w.abs()).sum();
        (0..self.fields).map(size).collect()
    }

    /// Fields with weights that are no numbers.
    pub(super) fn lost(&self) -> Vec<usize> {
        let is_lost =
            |f: &usize| self.weights.iter().skip(*f).step_by(self.fields).any(|w| w.is_nan());
        (0..self.fields).filter(is_lost).collect()
    }

    /// A station in the coordinates of [`Metric::embed`](crate::Metric::embed), not scaled.
    pub(super) fn place(&self, i: usize) -> [f64; 3] {
        self.stations.at(i).map(|x| x / self.scale)
    }
}
