//! Stations of a registered network as the named locations of its collection.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::asked::Where;
use super::described::{kinds_of, span};
use crate::error::ApiError;
use crate::networks::Registered;
use crate::ogc::Base;
use crate::state::AppState;
use crate::wire::network::moment;

/// Stations as GeoJSON.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LocationsAnswer {
    /// `FeatureCollection`
    r#type: &'static str,
    features: Vec<LocationAnswer>,
}

/// A station.
#[derive(Debug, Serialize, ToSchema)]
struct LocationAnswer {
    /// `Feature`
    r#type: &'static str,
    /// Its code in the network.
    id: String,
    geometry: PointAnswer,
    properties: LocationProperties,
}

/// Where it is.
#[derive(Debug, Serialize, ToSchema)]
struct PointAnswer {
    /// `Point`
    r#type: &'static str,
    /// Degrees east and north.
    coordinates: [f64; 2],
}

/// What there is of it.
#[derive(Debug, Serialize, ToSchema)]
struct LocationProperties {
    label: String,
    /// First and last time; `../..` of maps without time.
    datetime: String,
    #[serde(rename = "parameter-name")]
    parameter_names: Vec<String>,
    /// Where the values are.
    edrqueryendpoint: String,
}

/// The network of a collection, if it is registered and its stations have degrees. Blocks.
pub(super) fn network_of(state: &AppState, id: &str) -> Option<Arc<Registered>> {
    let network = state.networks().get(id).ok()?;
    (network.document.method.metric.as_deref() != Some("planar")).then_some(network)
}

fn found(state: &AppState, id: &str) -> Result<Arc<Registered>, ApiError> {
    network_of(state, id).ok_or_else(|| {
        let text = format!(
            "collection `{id}` has no locations: it is no registered network with stations in degrees; ask for a \
             position"
        );
        ApiError::not_found(text)
    })
}

/// The stations, or those within bounds. Blocks.
///
/// # Errors
/// 404.
pub(crate) fn all(
    state: &AppState,
    owner: Option<&str>,
    base: &Base,
    id: &str,
    bbox: Option<[f64; 4]>,
) -> Result<LocationsAnswer, ApiError> {
    let kinds = kinds_of(state, owner, id)?;
    let network = found(state, id)?;
    let datetime = span(&kinds).map(|[first, last]| format!("{}/{}", moment(first), moment(last)));
    let datetime = datetime.unwrap_or_else(|| "../..".to_owned());
    let mut names: Vec<String> =
        kinds.iter().flat_map(|kind| &kind.head.parameters).map(|p| p.name.clone()).collect();
    names.sort();
    names.dedup();
    let here = |lon: f64, lat: f64| bbox.is_none_or(|bbox| within([lon, lat], bbox));
    let stations = network.stations.iter().filter(|station| here(station.x, station.y));
    let features = stations.map(|station| {
        // Codes are whatever the network has; a path has less.
        let code: String = form_urlencoded::byte_serialize(station.id.as_bytes()).collect();
        let path = format!("/collections/{id}/locations/{}", code.replace('+', "%20"));
        LocationAnswer {
            r#type: "Feature",
            id: station.id.clone(),
            geometry: PointAnswer { r#type: "Point", coordinates: [station.x, station.y] },
            properties: LocationProperties {
                label: station.id.clone(),
                datetime: datetime.clone(),
                parameter_names: names.clone(),
                edrqueryendpoint: base.at(&path),
            },
        }
    });
    Ok(LocationsAnswer { r#type: "FeatureCollection", features: features.collect() })
}

/// The place of a station. Blocks.
///
/// # Errors
/// 404.
pub(crate) fn place(
    state: &AppState,
    owner: Option<&str>,
    id: &str,
    code: &str,
) -> Result<Where, ApiError> {
    kinds_of(state, owner, id)?;
    let network = found(state, id)?;
    let index = network.index.get(code).ok_or_else(|| {
        let text = format!(
            "network `{id}` has no station `{code}`; GET /collections/{id}/locations lists those it has"
        );
        ApiError::not_found(text)
    })?;
    let station = &network.stations[*index];
    Ok(Where::Places(vec![[station.x, station.y]]))
}

fn within([lon, lat]: [f64; 2], [west, south, east, north]: [f64; 4]) -> bool {
    let east = if east < west { east + 360.0 } else { east };
    let turned = west + (lon - west).rem_euclid(360.0);
    (south..=north).contains(&lat) && turned <= east
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_within_bounds_in_whatever_turn() {
        assert!(within([179.0, 1.0], [170.0, 0.0, -170.0, 2.0]));
        assert!(within([-175.0, 1.0], [170.0, 0.0, -170.0, 2.0]));
        assert!(within([185.0, 1.0], [170.0, 0.0, 190.0, 2.0]));
        assert!(!within([0.0, 1.0], [170.0, 0.0, -170.0, 2.0]));
        assert!(!within([179.0, 3.0], [170.0, 0.0, -170.0, 2.0]));
    }
}
