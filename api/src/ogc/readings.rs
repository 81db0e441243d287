//! The input `readings`: a document, a table or GeoJSON points, as it is or qualified.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::plain::NO_LINKS;
use crate::error::ApiError;
use crate::wire::request::{MapRequest, StationRequest, Values};

/// Where it is in the body.
const HERE: &str = "/inputs/readings";

/// Properties of a point that hold its station's code, where the feature has no `id`.
const CODES: [&str; 5] = ["id", "code", "station", "station_id", "name"];

/// Readings as they came.
#[derive(Debug)]
pub(crate) struct Readings {
    content: Content,
    media_type: Option<String>,
    base64: bool,
}

/// A document, or text.
#[derive(Debug)]
enum Content {
    Text(String),
    Document(Box<Document>),
}

/// Our own document, GeoJSON, or what qualifies one of them: told apart by their members.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    stations: Option<Vec<StationRequest>>,
    times: Option<Vec<String>>,
    values: Option<Values>,
    units: BTreeMap<String, String>,
    r#type: Option<String>,
    features: Option<Vec<Feature>>,
    value: Option<Content>,
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    encoding: Option<String>,
    schema: Option<IgnoredAny>,
    href: Option<IgnoredAny>,
    // Of GeoJSON that other programs write.
    name: Option<IgnoredAny>,
    crs: Option<IgnoredAny>,
    bbox: Option<IgnoredAny>,
}

/// A point with readings among its properties.
#[derive(Debug, Deserialize)]
struct Feature {
    id: Option<Scalar>,
    geometry: Geometry,
    #[serde(default)]
    properties: Option<BTreeMap<String, Scalar>>,
}

#[derive(Debug, Deserialize)]
struct Geometry {
    r#type: String,
    #[serde(default)]
    coordinates: Vec<f64>,
}

/// A number, a text, and the like; of anything deeper nothing is kept.
#[derive(Debug)]
struct Scalar(Option<Value>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a property")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.into())))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.into())))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.into())))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.into())))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.into())))
            }

            fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
                Ok(Scalar(Some(Value::Null)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object, or a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Content, A::Error> {
                let document = Document::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Content::Document(Box::new(document)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Readings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut content = Content::deserialize(deserializer)?;
        let (mut media_type, mut base64) = (None, false);
        if let Content::Document(document) = &mut content {
            if document.href.is_some() {
                return Err(D::Error::custom(NO_LINKS));
            }
            media_type = document.media_type.take();
            base64 = match document.encoding.take().as_deref() {
                None => false,
                Some(name) if name.eq_ignore_ascii_case("base64") => true,
                Some(name) if name.eq_ignore_ascii_case("utf-8") => false,
                Some(other) => {
                    let text = format!("encoding `{other}`: expected base64, or none");
                    return Err(D::Error::custom(text));
                }
            };
            if let Some(value) = document.value.take() {
                if matches!(&value, Content::Document(d) if d.value.is_some() || d.href.is_some()) {
                    return Err(D::Error::custom("a value within a value"));
                }
                content = value;
            }
        }
        Ok(Self { content, media_type, base64 })
    }
}

impl Readings {
    /// Puts a document into a request; a table is handed back, to be read as one.
    ///
    /// # Errors
    /// 422 for what is no base64 and what is no point, 400 for GeoJSON that is none.
    pub(crate) fn into_request(
        self,
        request: &mut MapRequest,
    ) -> Result<Option<Vec<u8>>, ApiError> {
        let kind = self.kind()?;
        let document = match self.content {
            Content::Document(document) => document,
            Content::Text(text) => {
                let bytes = if self.base64 { decoded(&text)? } else { text.into_bytes() };
                if kind != Kind::GeoJson {
                    return Ok(Some(bytes));
                }
                let read = serde_json::from_slice(&bytes).map_err(|error| {
                    let text = format!("the readings are no GeoJSON: {error}");
                    ApiError::unreadable(text).at_pointer(HERE)
                });
                Box::new(read?)
            }
        };
        let Document { stations, times, values, units, features, r#type, .. } = *document;
        if let Some(features) = features {
            return records(features).map(Some);
        }
        if let Some(kind) = r#type {
            let kind: String = kind.chars().take(64).collect();
            let text = format!("expected a FeatureCollection of points, not a {kind}");
            return Err(ApiError::meaningless(text).at_pointer(HERE));
        }
        request.stations = stations;
        request.times = times;
        request.values = values;
        request.units.extend(units);
        Ok(None)
    }

    fn kind(&self) -> Result<Kind, ApiError> {
        let Some(name) = self.media_type.as_deref() else { return Ok(Kind::Known) };
        let essence = name.split(';').next().unwrap_or(name).trim().to_ascii_lowercase();
        match essence.as_str() {
            "text/csv" | "application/json" | "text/plain" | "application/gzip" => Ok(Kind::Known),
            "application/geo+json" | "application/vnd.geo+json" => Ok(Kind::GeoJson),
            _ => {
                let essence: String = essence.chars().take(64).collect();
                let text = format!(
                    "readings do not come as `{essence}`; send text/csv, application/json or \
                     application/geo+json"
                );
                Err(ApiError::meaningless(text).at_pointer(format!("{HERE}/mediaType")))
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Known by how it begins.
    Known,
    GeoJson,
}

fn decoded(text: &str) -> Result<Vec<u8>, ApiError> {
    // Lines are broken by many programs.
    let whole: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(whole).map_err(|error| {
        let text = format!("the readings are no base64: {error}");
        ApiError::meaningless(text).at_pointer(format!("{HERE}/value"))
    })
}

/// Points become flat records, which are read as a table is.
fn records(features: Vec<Feature>) -> Result<Vec<u8>, ApiError> {
    let record = |(k, feature): (usize, Feature)| {
        let wrong = |below: &str, text: String| {
            Err(ApiError::meaningless(text).at_pointer(format!("{HERE}/features/{k}{below}")))
        };
        let Geometry { r#type, coordinates } = feature.geometry;
        if r#type != "Point" {
            let kind: String = r#type.chars().take(64).collect();
            return wrong("/geometry", format!("expected a Point, not a {kind}"));
        }
        let [lon, lat, ..] = coordinates[..] else {
            let text = "expected coordinates: longitude, latitude".to_owned();
            return wrong("/geometry/coordinates", text);
        };
        let properties = feature.properties.into_iter().flatten();
        let mut record: serde_json::Map<String, Value> =
            properties.filter_map(|(name, Scalar(value))| Some((name, value?))).collect();
        let code = CODES.iter().find_map(|name| record.remove(*name));
        let Some(code) = feature.id.and_then(|Scalar(id)| id).or(code) else {
            let text = format!("the feature has no `id`, nor a property {}", CODES.join(", "));
            return wrong("", text);
        };
        record.insert("station".into(), code);
        record.insert("lon".into(), lon.into());
        record.insert("lat".into(), lat.into());
        Ok(Value::Object(record))
    };
    let records: Result<Vec<Value>, ApiError> =
        features.into_iter().enumerate().map(record).collect();
    Ok(Value::Array(records?).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(readings: &Value) -> Result<Option<Vec<u8>>, String> {
        let read: Readings = serde_json::from_value(readings.clone()).map_err(|e| e.to_string())?;
        read.into_request(&mut MapRequest::default()).map_err(|error| {
            let problem = error.problem();
            let pointer = problem.errors.first().and_then(|place| place.pointer.clone());
            format!("{} at {}", problem.detail, pointer.unwrap_or_default())
        })
    }

    #[test]
    fn points_become_records_and_what_is_none_is_pointed_at() {
        let point = |properties: Value| {
            let geometry = json!({"type": "Point", "coordinates": [1.5, 2, 99]});
            json!({"type": "Feature", "geometry": geometry, "properties": properties})
        };
        let collection =
            |features: Value| json!({"type": "FeatureCollection", "features": features});
        let good = collection(json!([point(json!({"code": "a", "pm25": 7, "deep": {"x": [1]}}))]));
        let record = json!([{"lat": 2.0, "lon": 1.5, "pm25": 7, "station": "a"}]);
        assert_eq!(told(&good), Ok(Some(record.to_string().into_bytes())));
        let line = json!({"type": "LineString", "coordinates": []});
        let wrong = collection(json!([{"type": "Feature", "id": 1, "geometry": line}]));
        for (readings, word) in [
            (wrong, "not a LineString at /inputs/readings/features/0/geometry"),
            (collection(json!([point(json!({}))])), "no `id`"),
            (
                collection(
                    json!([{"id": 1, "geometry": {"type": "Polygon", "coordinates": [[[1]]]}}]),
                ),
                "expected f64",
            ),
            (json!({"value": {"value": "x"}}), "within a value"),
            (json!({"value": "{", "mediaType": "application/geo+json"}), "no GeoJSON"),
            (json!([1]), "expected an object, or a text"),
        ] {
            let told = told(&readings).expect_err("it is wrong");
            assert!(told.contains(word), "{readings}: {told}");
        }
    }
}
