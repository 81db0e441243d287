//! GeoJSON (RFC 7946): features that are points, with readings, times and codes in their properties.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::{Location, ReadError};
use super::json::Flat;
use super::record::{Coordinates, Plain, Record};
use super::table::At;

/// One feature.
#[derive(Debug, Deserialize)]
pub(super) struct Feature {
    #[serde(default)]
    id: Option<Plain>,
    #[serde(default)]
    geometry: Option<Geometry>,
    #[serde(default)]
    properties: Option<Record>,
}

#[derive(Debug, Deserialize)]
struct Geometry {
    r#type: String,
    /// Of other kinds in other shapes.
    #[serde(default)]
    coordinates: Coordinates,
}

impl Flat for Feature {
    const AT: &'static str = "/features";

    fn at(index: u64) -> At {
        At::Feature(index)
    }

    /// The properties, with the place from the geometry, and the feature's id where they have none. A feature
    /// without a geometry has its place elsewhere.
    fn flat(self, planar: bool) -> Result<Map<String, Value>, (String, String)> {
        let mut flat = self.properties.unwrap_or_default().0;
        if let Some(geometry) = self.geometry {
            let names = if planar { ["x", "y"] } else { ["lon", "lat"] };
            for (name, number) in names.into_iter().zip(geometry.place()?) {
                flat.insert(name.to_owned(), number);
            }
        }
        if let Some(Plain(id)) = self.id
            && !flat.contains_key("id")
        {
            flat.insert("id".to_owned(), id);
        }
        Ok(flat)
    }
}

impl Geometry {
    fn place(self) -> Result<[Value; 2], (String, String)> {
        let kind = self.r#type;
        if kind != "Point" {
            return Err((
                "/geometry/type".to_owned(),
                format!("readings are at points, and this is a {kind}; send a Point for each"),
            ));
        }
        let Coordinates(mut both) = self.coordinates;
        if !both.iter().all(Value::is_number) {
            return Err(no_place());
        }
        both.truncate(2);
        <[Value; 2]>::try_from(both).map_err(|_| no_place())
    }
}

fn no_place() -> (String, String) {
    ("/geometry/coordinates".to_owned(), "a point has two numbers, or three".to_owned())
}

/// What older documents say of their system of coordinates.
#[derive(Debug, Deserialize)]
pub(super) struct Crs {
    #[serde(default)]
    properties: Map<String, Value>,
}

impl Crs {
    /// Refuses coordinates that are no degrees, unless they are to be those of a plane.
    pub(super) fn check(crs: Option<&Self>, planar: bool, name: &str) -> Result<(), ReadError> {
        let told = crs.and_then(|crs| crs.properties.get("name")).and_then(Value::as_str);
        let in_degrees = |crs: &str| crs.ends_with("CRS84") || crs.ends_with(":4326");
        match told {
            Some(crs) if !planar && !in_degrees(crs) => Err(ReadError::Shape {
                name: name.to_owned(),
                at: Location::pointer("/crs"),
                message: format!(
                    "coordinates of {crs}; send longitudes and latitudes, or choose metric = planar"
                ),
            }),
            _ => Ok(()),
        }
    }
}
