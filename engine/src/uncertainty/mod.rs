//! How sure a map is: standard deviation, probability of exceeding a threshold, quantiles.
//!
//! ```text
//! σ²(x) of the network (kernels)  →  on a mesh of cells, for each mask    mesh, tree; kept from run to run
//! leave-one-out residuals         →  scale of each field, shape of a variable's   spread
//! both                            →  layers of a tile beside its map     doubt
//! ```
//!
//! The surface gives the centre, the network the relative width, and the residuals at stations left
//! out say how wide that is and how the tails are.

mod doubt;
mod kept;
mod mesh;
mod spread;
mod tree;

use std::str::FromStr;

use serde::Serialize;

use crate::error::Error;
use crate::factors::Origin;
use crate::observations::Variable;

pub(crate) use doubt::{BlockDoubt, Doubt, DoubtShare, Tools};
pub(crate) use mesh::Mesh;

/// What is asked for beside the map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Uncertainty {
    /// The standard deviation, and of what.
    pub deviation: bool,
    /// Probabilities that a variable exceeds a threshold: variable, threshold in its unit.
    pub exceed: Vec<(String, f64)>,
    /// Quantiles of every variable, each above 0 and below 1.
    pub quantiles: Vec<f64>,
    /// What all of these are meant of.
    pub of: Of,
}

/// What a standard deviation is meant of. They differ by the smoothing λ only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// A new reading at the cell: with λ. This is what leave-one-out can check.
    #[default]
    Reading,
    /// The surface without what λ takes for noise.
    Field,
}

impl FromStr for Of {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "reading" => Ok(Self::Reading),
            "field" => Ok(Self::Field),
            _ => Err(format!("`{text}` is neither `reading` nor `field`")),
        }
    }
}

/// One layer beside the map of a variable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layer {
    /// Standard deviation, in the unit of the variable.
    Deviation,
    /// Probability that the value is above the threshold, 0 to 1.
    Exceedance {
        /// In the unit of the variable.
        threshold: f64,
    },
    /// The value that is exceeded with probability 1 − level.
    Quantile {
        /// Above 0, below 1.
        level: f64,
    },
}

/// A layer of a variable, by its index.
pub type LayerOf = (usize, Layer);

impl Uncertainty {
    /// The layers of every variable, in their order.
    ///
    /// # Errors
    /// A threshold for a variable that is not there, or that is not finite; a level that is not above
    /// 0 and below 1.
    pub fn layers(&self, variables: &[Variable]) -> Result<Vec<LayerOf>, Error> {
        for (name, threshold) in &self.exceed {
            let known = || variables.iter().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", ");
            if !variables.iter().any(|v| v.name == *name) {
                return Err(Error::NoSuchVariable { got: name.clone(), known: known() });
            }
            if !threshold.is_finite() {
                return Err(Error::BadThreshold { variable: name.clone(), value: *threshold });
            }
        }
        if let Some(&value) = self.quantiles.iter().find(|q| !(**q > 0.0 && **q < 1.0)) {
            return Err(Error::BadQuantile { value });
        }
        let mut layers: Vec<LayerOf> = Vec::new();
        for (index, variable) in variables.iter().enumerate() {
            let thresholds = self.exceed.iter().filter(|(name, _)| *name == variable.name);
            let exceed = thresholds.map(|&(_, threshold)| Layer::Exceedance { threshold });
            let quantiles = self.quantiles.iter().map(|&level| Layer::Quantile { level });
            for layer in self
                .deviation
                .then_some(Layer::Deviation)
                .into_iter()
                .chain(exceed)
                .chain(quantiles)
            {
                if !layers.contains(&(index, layer)) {
                    layers.push((index, layer));
                }
            }
        }
        Ok(layers)
    }
}

/// What a run says of the uncertainty that it gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UncertaintyReport {
    /// Whether of a new reading or of the field.
    pub of: Of,
    /// Cells at which σ was computed by the formula; 0 for places, where it always is.
    pub nodes: usize,
    /// Whether these were computed now, or known from before; none for places.
    pub mesh: Option<Origin>,
    /// Cells at which what is interpolated was compared with the formula.
    pub cells_compared: usize,
    /// Largest difference of σ there, relative to the median of the map.
    pub largest_difference: f64,
    /// Root of the mean square of them, of the worst set of missing stations.
    pub typical_difference: f64,
    /// Wall-clock seconds, but for what tiles take.
    pub seconds: f64,
    /// By variable.
    pub variables: Vec<CoverageReport>,
}

/// How often the intervals of a variable held.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CoverageReport {
    /// Variable.
    pub variable: String,
    /// Share of readings, each left out, that lay within the 90 % interval; scale and shape from the
    /// residuals of other stations.
    pub coverage_90: Option<f64>,
    /// How many readings that is.
    pub count: usize,
}
