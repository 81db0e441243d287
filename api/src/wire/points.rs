//! Stations as GeoJSON points (RFC 7946).

use serde_json::Value;

use super::request::StationRequest;
use crate::error::ApiError;

/// Properties that hold a station's code, where the feature has no `id`.
const CODES: [&str; 5] = ["id", "code", "station", "station_id", "name"];

/// The stations of a feature collection of points.
///
/// # Errors
/// 422 with a pointer to what is no station.
pub(crate) fn stations_of_geojson(document: &Value) -> Result<Vec<StationRequest>, ApiError> {
    let Some(Value::Array(features)) = document.get("features") else {
        let text = "expected a FeatureCollection of points, with `features`";
        return Err(ApiError::meaningless(text).at_pointer("/features"));
    };
    features.iter().enumerate().map(|(k, feature)| station(k, feature)).collect()
}

fn station(k: usize, feature: &Value) -> Result<StationRequest, ApiError> {
    let wrong = |below: &str, text: String| {
        Err(ApiError::meaningless(text).at_pointer(format!("/features/{k}{below}")))
    };
    let geometry = &feature["geometry"];
    if geometry["type"] != "Point" {
        return wrong("/geometry", format!("expected a Point, not {}", geometry["type"]));
    }
    let at = |axis: usize| geometry["coordinates"].get(axis).and_then(Value::as_f64);
    let (Some(lon), Some(lat)) = (at(0), at(1)) else {
        let text = "expected coordinates: longitude, latitude".to_owned();
        return wrong("/geometry/coordinates", text);
    };
    let properties = CODES.iter().map(|name| &feature["properties"][name]);
    let id = std::iter::once(&feature["id"]).chain(properties).find_map(|value| match value {
        Value::String(code) => Some(code.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    match id {
        Some(id) => Ok(StationRequest { id: Some(id), lon, lat }),
        None => {
            let names = CODES.join(", ");
            wrong("", format!("the feature has no `id`, nor a property {names}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn points_are_stations_by_their_id_or_a_property() {
        let point = |lon: f64| json!({"type": "Point", "coordinates": [lon, 2.0, 99.0]});
        let features = json!([
            {"type": "Feature", "id": 7, "geometry": point(1.0)},
            {"type": "Feature", "properties": {"code": "1001A"}, "geometry": point(3.0)},
        ]);
        let document = json!({"type": "FeatureCollection", "features": features});
        let stations = stations_of_geojson(&document).unwrap();
        let told: Vec<_> = stations.iter().map(|s| (s.id.as_deref(), s.lon, s.lat)).collect();
        assert_eq!(told, [(Some("7"), 1.0, 2.0), (Some("1001A"), 3.0, 2.0)]);
    }

    #[test]
    fn what_is_no_station_is_pointed_at() {
        for (document, pointer) in [
            (json!({"type": "Point"}), "/features"),
            (json!({"features": [{"geometry": {"type": "LineString"}}]}), "/features/0/geometry"),
            (
                json!({"features": [{"id": 1, "geometry": {"type": "Point", "coordinates": [1]}}]}),
                "/features/0/geometry/coordinates",
            ),
            (
                json!({"features": [{"geometry": {"type": "Point", "coordinates": [1, 2]}}]}),
                "/features/0",
            ),
        ] {
            let error = stations_of_geojson(&document).unwrap_err();
            assert_eq!(error.problem().errors[0].pointer.as_deref(), Some(pointer));
        }
    }
}
