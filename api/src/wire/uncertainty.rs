//! How sure a map is: as a request says it, and as the engine takes it.

use std::collections::BTreeMap;

use isopleth_engine::Uncertainty;
use isopleth_engine::uncertainty::Of;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Layers beside the maps, in a NetCDF file or, of places, in CSV.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UncertaintyRequest {
    /// The standard deviation of the error.
    #[serde(default)]
    pub deviation: bool,
    /// What all layers are meant of. Default `reading`.
    #[serde(default)]
    pub of: OfName,
    /// `{variable: threshold}`: the probability that the value is above it.
    #[serde(default)]
    #[schema(example = json!({"pm25": 75}))]
    pub exceed: BTreeMap<String, f64>,
    /// Quantiles of every variable, each above 0 and below 1.
    #[serde(default)]
    #[schema(example = json!([0.05, 0.95]))]
    pub quantiles: Vec<f64>,
}

/// What a standard deviation is meant of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OfName {
    /// A new reading at the cell: with the smoothing.
    #[default]
    Reading,
    /// The surface without what the smoothing takes for noise.
    Field,
}

/// The layers that a request wants.
pub(crate) fn wanted(request: Option<&UncertaintyRequest>) -> Uncertainty {
    let Some(request) = request else { return Uncertainty::default() };
    Uncertainty {
        deviation: request.deviation,
        exceed: request.exceed.iter().map(|(name, value)| (name.clone(), *value)).collect(),
        quantiles: request.quantiles.clone(),
        of: match request.of {
            OfName::Reading => Of::Reading,
            OfName::Field => Of::Field,
        },
    }
}
