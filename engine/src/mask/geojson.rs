//! Polygons of a GeoJSON document (RFC 7946): Polygon, MultiPolygon, collections of them, features.

use serde::Deserialize;

use super::MaskError;
use crate::polygons::{Polygons, whole};

/// A geometry, a feature or a collection; what else a document holds is passed over.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Document {
    FeatureCollection { features: Vec<Document> },
    Feature { geometry: Option<Box<Document>> },
    GeometryCollection { geometries: Vec<Document> },
    Polygon { coordinates: Vec<Vec<Vec<f64>>> },
    MultiPolygon { coordinates: Vec<Vec<Vec<Vec<f64>>>> },
    Point {},
    MultiPoint {},
    LineString {},
    MultiLineString {},
}

/// Reads the polygons of a document: degrees on the sphere, else the unit of the plane. Longitudes
/// may jump at the date line or run beyond 180.
///
/// # Errors
/// [`MaskError`], naming the document: not GeoJSON, no polygon in it, a ring that is none.
pub(super) fn parse(name: &str, text: &[u8], spherical: bool) -> Result<Polygons, MaskError> {
    let document: Document = serde_json::from_slice(text)
        .map_err(|e| MaskError::NotGeoJson { name: name.to_owned(), message: e.to_string() })?;
    let (mut polygons, mut others) = (Vec::new(), 0);
    collect(document, &mut polygons, &mut others);
    if polygons.is_empty() {
        return Err(MaskError::NoPolygon { name: name.to_owned(), others });
    }
    let mut made = Vec::with_capacity(polygons.len());
    for (k, polygon) in polygons.iter().enumerate() {
        let wrong = |ring: usize, problem: &'static str| MaskError::Ring {
            name: name.to_owned(),
            polygon: k + 1,
            ring: ring + 1,
            problem,
        };
        if polygon.is_empty() {
            return Err(wrong(0, "is not there"));
        }
        let mut rings = Vec::with_capacity(polygon.len());
        for (r, ring) in polygon.iter().enumerate() {
            rings.push(points(ring, spherical).map_err(|problem| wrong(r, problem))?);
        }
        made.push(if spherical { whole(&rings) } else { rings });
    }
    Ok(Polygons::new(&made, spherical.then_some(360.0)))
}

fn collect(document: Document, polygons: &mut Vec<Vec<Vec<Vec<f64>>>>, others: &mut usize) {
    match document {
        Document::FeatureCollection { features: parts }
        | Document::GeometryCollection { geometries: parts } => {
            parts.into_iter().for_each(|part| collect(part, polygons, others));
        }
        Document::Feature { geometry } => {
            if let Some(geometry) = geometry {
                collect(*geometry, polygons, others);
            }
        }
        Document::Polygon { coordinates } => polygons.push(coordinates),
        Document::MultiPolygon { coordinates } => polygons.extend(coordinates),
        Document::Point {}
        | Document::MultiPoint {}
        | Document::LineString {}
        | Document::MultiLineString {} => *others += 1,
    }
}

/// The points of a ring, or what is wrong with it.
fn points(ring: &[Vec<f64>], spherical: bool) -> Result<Vec<[f64; 2]>, &'static str> {
    let mut points = Vec::with_capacity(ring.len());
    for position in ring {
        let [x, y, ..] = position[..] else { return Err("has a position without two numbers") };
        if !(x.is_finite() && y.is_finite()) {
            return Err("has a number that is not finite");
        }
        if spherical && !(-90.0..=90.0).contains(&y) {
            return Err("has a latitude beyond 90 degrees; positions are longitude, latitude");
        }
        if spherical && !(-540.0..=540.0).contains(&x) {
            return Err("has a longitude beyond 540 degrees; are these metres of a plane?");
        }
        points.push([x, y]);
    }
    let steps = points.windows(2).filter(|w| w[0] != w[1]).count();
    if steps + usize::from(points.first() != points.last()) < 3 {
        return Err("has fewer than three different points and bounds no area");
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Polygons, String> {
        parse("area.geojson", text.as_bytes(), true).map_err(|e| e.to_string())
    }

    #[test]
    fn polygons_are_found_in_features_and_collections_whatever_stands_beside_them() {
        let square = r#"{"type": "Polygon", "coordinates":
            [[[0,0],[4,0],[4,4],[0,4],[0,0]], [[1,1],[1,3],[3,3],[3,1],[1,1]]]}"#;
        let multi = r#"{"type": "MultiPolygon", "coordinates":
            [[[[0,0,7],[4,0,7],[4,4,7],[0,4,7],[0,0,7]], [[1,1],[1,3],[3,3],[3,1],[1,1]]],
             [[[10,0],[12,0],[12,2]]]], "bbox": [0,0,12,4]}"#;
        let feature = |g: &str| format!(r#"{{"type":"Feature","properties":{{}},"geometry":{g}}}"#);
        let point = feature(r#"{"type":"Point","coordinates":[1,2]}"#);
        let collection = format!(
            r#"{{"type":"FeatureCollection","features":[{point},{},{}],"crs":null}}"#,
            feature("null"),
            feature(multi)
        );
        for text in [square, &feature(square), multi, &collection] {
            let polygons = read(text).expect("polygons");
            assert!(polygons.contains(0.5, 0.5) && !polygons.contains(2.0, 2.0), "{text}");
            assert!(polygons.contains(360.5, 0.5));
        }
    }

    #[test]
    fn what_is_no_area_is_refused_by_its_place() {
        for (text, words) in [
            ("not json", "not GeoJSON"),
            (r#"{"type": "Topology"}"#, "not GeoJSON"),
            (r#"{"type": "Point", "coordinates": [1, 2]}"#, "no Polygon"),
            (r#"{"type": "FeatureCollection", "features": []}"#, "no Polygon"),
            (r#"{"type": "Polygon", "coordinates": []}"#, "ring 1 is not there"),
            (r#"{"type": "Polygon", "coordinates": [[[0,0],[1,1],[0,0]]]}"#, "three different"),
            (r#"{"type": "Polygon", "coordinates": [[[0],[1,1],[2,0]]]}"#, "two numbers"),
            (r#"{"type": "Polygon", "coordinates": [[[39,116],[40,117],[39,118]]]}"#, "latitude"),
            (r#"{"type": "Polygon", "coordinates": [[[5e5,1],[6e5,2],[5e5,3]]]}"#, "metres"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(words) && error.contains("area.geojson"), "{text}: {error}");
        }
    }
}
