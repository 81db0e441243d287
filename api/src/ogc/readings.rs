//! The input `readings`: a document, a table or GeoJSON points, as it is or qualified.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

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
    units: std::collections::BTreeMap<String, String>,
    r#type: Option<String>,
    features: Option<Vec<Feature>>,
    value: Option<Content>,
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    encoding: Option<String>,
    schema: Option<serde::de::IgnoredAny>,
    href: Option<serde::de::IgnoredAny>,
    // Of GeoJSON that other programs write.
    name: Option<serde::de::IgnoredAny>,
    crs: Option<serde::de::IgnoredAny>,
    bbox: Option<serde::de::IgnoredAny>,
}

/// A point with readings among its properties.
#[derive(Debug, Deserialize)]
struct Feature {
    id: Option<Value>,
    geometry: Geometry,
    #[serde(default)]
    properties: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct Geometry {
    r#type: String,
    #[serde(default)]
    coordinates: Value,
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
        let at = |axis: usize| coordinates.get(axis).and_then(Value::as_f64);
        let (Some(lon), Some(lat)) = (at(0), at(1)) else {
            let text = "expected coordinates: longitude, latitude".to_owned();
            return wrong("/geometry/coordinates", text);
        };
        let mut record = feature.properties.unwrap_or_default();
        let code = CODES.iter().find_map(|name| record.remove(*name));
        let Some(code) = feature.id.or(code) else {
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
