//! Coordinate reference systems of projected grids: a PROJ string becomes degrees and back, and the
//! grid mapping that CF wants. The formulas are those of `proj4rs`; the rotated pole is our own.
//!
//! Longitudes and latitudes are those of the system's own datum: nothing is shifted between datums,
//! which differ by less than 200 m, and not at all for WGS 84, ETRS89, NAD83 and spheres.

use std::fmt;
use std::str::FromStr;

use proj4rs::Proj;
use proj4rs::transform::transform;

use crate::kernels::metric::EARTH_RADIUS_KM;

/// Projections that CF has a grid mapping for, as PROJ names them.
const PROJECTIONS: [&str; 9] =
    ["lcc", "utm", "tmerc", "etmerc", "laea", "stere", "merc", "aea", "ob_tran"];

/// Parameters that are understood; a misspelt one must not be passed over.
const PARAMETERS: [&str; 28] = [
    "proj", "lat_0", "lon_0", "lat_1", "lat_2", "lat_ts", "k", "k_0", "x_0", "y_0", "zone",
    "south", "datum", "ellps", "a", "b", "rf", "f", "R", "units", "towgs84", "no_defs", "type",
    "wktext", "o_proj", "o_lat_p", "o_lon_p", "over",
];

/// Those that say what the Earth is.
const OF_THE_EARTH: [&str; 7] = ["datum", "ellps", "a", "b", "rf", "f", "R"];

/// Why a text is no system of coordinates, or a place has none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum CrsError {
    #[error(
        "crs `{given}` is neither a PROJ string, such as `+proj=lcc +lat_1=30 +lat_2=60 +lat_0=34 \
         +lon_0=105 +datum=WGS84`, nor one of EPSG:326xx and 327xx (UTM), 258xx, 3035, 3031, 3413 \
         and 3857"
    )]
    Unknown { given: String },
    #[error("crs: +proj={given} has no CF grid mapping here; known are {}", PROJECTIONS.join(", "))]
    Projection { given: String },
    #[error("crs: parameter +{given} is not known; known are {}", PARAMETERS.join(", "))]
    Parameter { given: String },
    #[error("crs: +{name}={value}: {needed}")]
    Value { name: String, value: String, needed: &'static str },
    #[error("crs: +proj={projection} needs +{needed}")]
    Missing { projection: String, needed: &'static str },
    #[error("crs: {message}")]
    Refused { message: String },
    #[error(
        "the grid reaches x {x}, y {y}, where the crs has no longitude and latitude; bounds are in \
         {unit} of its plane"
    )]
    Outside { x: f64, y: f64, unit: &'static str },
}

/// A projected system of coordinates.
#[derive(Clone)]
pub struct Crs {
    text: String,
    parameters: Vec<(String, String)>,
    plane: Plane,
}

#[derive(Clone)]
enum Plane {
    Projected { plane: Box<Proj>, degrees: Box<Proj> },
    Rotated(Rotation),
}

/// One attribute of a grid mapping.
#[derive(Clone, Debug, PartialEq)]
pub enum MappingValue {
    /// Its name.
    Text(&'static str),
    /// A parameter, or two.
    Numbers(Vec<f64>),
}

impl Crs {
    /// The text it was made from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether its plane is a turned sphere in degrees, not metres.
    #[must_use]
    pub fn is_rotated(&self) -> bool {
        matches!(self.plane, Plane::Rotated(_))
    }

    /// Longitude and latitude of a place in the plane, if it has any.
    #[must_use]
    pub fn to_degrees(&self, x: f64, y: f64) -> Option<[f64; 2]> {
        match &self.plane {
            Plane::Rotated(rotation) => Some(rotation.to_degrees(x, y)),
            Plane::Projected { plane, degrees } => {
                let mut place = (x, y);
                transform(plane, degrees, &mut place).ok()?;
                let [lon, lat] = [place.0.to_degrees(), place.1.to_degrees()];
                (lon.is_finite() && lat.is_finite()).then_some([lon, lat])
            }
        }
    }

    /// Where a longitude and latitude lie in the plane, if they do.
    #[must_use]
    pub fn to_plane(&self, lon: f64, lat: f64) -> Option<[f64; 2]> {
        match &self.plane {
            Plane::Rotated(rotation) => Some(rotation.to_plane(lon, lat)),
            Plane::Projected { plane, degrees } => {
                let mut place = (lon.to_radians(), lat.to_radians());
                transform(degrees, plane, &mut place).ok()?;
                (place.0.is_finite() && place.1.is_finite()).then_some([place.0, place.1])
            }
        }
    }

    /// That a place in the plane is one on the Earth, and comes back to where it was.
    pub(crate) fn check(&self, x: f64, y: f64) -> Result<(), CrsError> {
        // Series for the ellipsoid come back within some millimetres.
        let allowed = if self.is_rotated() { 1e-6 } else { 0.1 };
        let near = |a: f64, b: f64| (a - b).abs() <= allowed;
        let back = self.to_degrees(x, y).and_then(|[lon, lat]| self.to_plane(lon, lat));
        // A rotated longitude may come back in another turn.
        let turned = |a: f64, b: f64| self.is_rotated() && near((a - b).rem_euclid(360.0), 0.0);
        match back {
            Some([px, py]) if (near(px, x) || turned(px, x)) && near(py, y) => Ok(()),
            _ => {
                let unit = if self.is_rotated() { "degrees" } else { "metres" };
                Err(CrsError::Outside { x, y, unit })
            }
        }
    }

    /// The attributes of CF's grid mapping variable (CF 1.11, appendix F).
    #[must_use]
    pub fn grid_mapping(&self) -> Vec<(&'static str, MappingValue)> {
        let text = MappingValue::Text;
        let number = |value: f64| MappingValue::Numbers(vec![value]);
        let mut all = vec![("grid_mapping_name", text(self.mapping_name()))];
        // PROJ's origin of a cone that touches one parallel is that parallel, unless told.
        let one = self.value("proj") == "lcc" && self.number("lat_2").is_none();
        let touched = if one { self.number("lat_1") } else { None };
        let lat_0 = self.number("lat_0").or(touched).unwrap_or(0.0);
        let lon_0 = self.number("lon_0").unwrap_or(0.0);
        let scale = self.number("k_0").or(self.number("k"));
        let parallels: Vec<f64> =
            ["lat_1", "lat_2"].into_iter().filter_map(|name| self.number(name)).collect();
        match self.value("proj") {
            "lcc" | "aea" => all.extend([
                ("standard_parallel", MappingValue::Numbers(parallels)),
                ("longitude_of_central_meridian", number(lon_0)),
                ("latitude_of_projection_origin", number(lat_0)),
            ]),
            "utm" => all.extend([
                ("scale_factor_at_central_meridian", number(0.9996)),
                (
                    "longitude_of_central_meridian",
                    number(6.0 * self.number("zone").unwrap_or(0.0) - 183.0),
                ),
                ("latitude_of_projection_origin", number(0.0)),
            ]),
            "tmerc" | "etmerc" => all.extend([
                ("scale_factor_at_central_meridian", number(scale.unwrap_or(1.0))),
                ("longitude_of_central_meridian", number(lon_0)),
                ("latitude_of_projection_origin", number(lat_0)),
            ]),
            "laea" => all.extend([
                ("longitude_of_projection_origin", number(lon_0)),
                ("latitude_of_projection_origin", number(lat_0)),
            ]),
            "stere" if lat_0.abs() == 90.0 => {
                all.extend([
                    ("straight_vertical_longitude_from_pole", number(lon_0)),
                    ("latitude_of_projection_origin", number(lat_0)),
                ]);
                all.push(match (self.number("lat_ts"), scale) {
                    (Some(parallel), _) => ("standard_parallel", number(parallel)),
                    (None, scale) => {
                        ("scale_factor_at_projection_origin", number(scale.unwrap_or(1.0)))
                    }
                });
            }
            "stere" => all.extend([
                ("longitude_of_projection_origin", number(lon_0)),
                ("latitude_of_projection_origin", number(lat_0)),
                ("scale_factor_at_projection_origin", number(scale.unwrap_or(1.0))),
            ]),
            "merc" => {
                all.push(("longitude_of_projection_origin", number(lon_0)));
                all.push(match (self.number("lat_ts"), scale) {
                    (Some(parallel), _) => ("standard_parallel", number(parallel)),
                    (None, scale) => {
                        ("scale_factor_at_projection_origin", number(scale.unwrap_or(1.0)))
                    }
                });
            }
            _ => all.extend([
                ("grid_north_pole_latitude", number(self.number("o_lat_p").unwrap_or(90.0))),
                ("grid_north_pole_longitude", number(turned(lon_0 - 180.0))),
                ("north_pole_grid_longitude", number(self.number("o_lon_p").unwrap_or(0.0))),
            ]),
        }
        if let Plane::Projected { plane, .. } = &self.plane {
            let south = self.parameters.iter().any(|(name, _)| name == "south");
            let (east, north) = match self.value("proj") {
                "utm" => (500_000.0, if south { 10_000_000.0 } else { 0.0 }),
                _ => (self.number("x_0").unwrap_or(0.0), self.number("y_0").unwrap_or(0.0)),
            };
            all.extend([("false_easting", number(east)), ("false_northing", number(north))]);
            let (major, minor) = plane.ellipse_parameters();
            if (major - minor).abs() < 1e-6 {
                all.push(("earth_radius", number(major)));
            } else {
                all.push(("semi_major_axis", number(major)));
                all.push(("inverse_flattening", number(major / (major - minor))));
            }
        } else {
            let radius = self.number("R").or(self.number("a"));
            all.push(("earth_radius", number(radius.unwrap_or(EARTH_RADIUS_KM * 1000.0))));
        }
        all.push(("longitude_of_prime_meridian", number(0.0)));
        all
    }

    fn mapping_name(&self) -> &'static str {
        match self.value("proj") {
            "lcc" => "lambert_conformal_conic",
            "aea" => "albers_conical_equal_area",
            "utm" | "tmerc" | "etmerc" => "transverse_mercator",
            "laea" => "lambert_azimuthal_equal_area",
            "stere" if self.number("lat_0").is_some_and(|lat| lat.abs() == 90.0) => {
                "polar_stereographic"
            }
            "stere" => "stereographic",
            "merc" => "mercator",
            _ => "rotated_latitude_longitude",
        }
    }

    fn value(&self, name: &str) -> &str {
        value_of(&self.parameters, name).unwrap_or_default()
    }

    fn number(&self, name: &str) -> Option<f64> {
        value_of(&self.parameters, name)?.parse().ok()
    }
}

fn value_of<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

impl FromStr for Crs {
    type Err = CrsError;

    fn from_str(given: &str) -> Result<Self, CrsError> {
        let text = match given.trim().to_uppercase().strip_prefix("EPSG:") {
            Some(code) => {
                epsg(code).ok_or_else(|| CrsError::Unknown { given: given.to_owned() })?
            }
            None => given.trim().to_owned(),
        };
        if !text.contains("+proj=") {
            return Err(CrsError::Unknown { given: given.to_owned() });
        }
        let parameters: Vec<(String, String)> = text
            .split_whitespace()
            .map(|word| {
                let word = word.trim_start_matches('+');
                let (name, value) = word.split_once('=').unwrap_or((word, ""));
                (name.to_owned(), value.to_owned())
            })
            .collect();
        check(&parameters)?;
        let plane = if value_of(&parameters, "proj") == Some("ob_tran") {
            Plane::Rotated(Rotation::new(&parameters))
        } else {
            let refused = |e: proj4rs::errors::Error| CrsError::Refused { message: e.to_string() };
            let mut of_the_earth = String::from("+proj=longlat");
            let mut shape = String::new();
            for (name, value) in &parameters {
                let word = if value.is_empty() {
                    format!(" +{name}")
                } else {
                    format!(" +{name}={value}")
                };
                if OF_THE_EARTH.contains(&name.as_str()) {
                    of_the_earth.push_str(&word);
                }
                if name != "towgs84" {
                    shape.push_str(&word);
                }
            }
            if of_the_earth == "+proj=longlat" {
                of_the_earth.push_str(" +datum=WGS84");
                shape.push_str(" +datum=WGS84");
            }
            Plane::Projected {
                plane: Box::new(Proj::from_proj_string(&shape).map_err(refused)?),
                degrees: Box::new(Proj::from_proj_string(&of_the_earth).map_err(refused)?),
            }
        };
        Ok(Self { text: given.trim().to_owned(), parameters, plane })
    }
}

/// That nothing is misspelt, missing or of another unit.
fn check(parameters: &[(String, String)]) -> Result<(), CrsError> {
    let projection = value_of(parameters, "proj").unwrap_or_default().to_owned();
    if !PROJECTIONS.contains(&projection.as_str()) {
        return Err(CrsError::Projection { given: projection });
    }
    for (name, value) in parameters {
        if !PARAMETERS.contains(&name.as_str()) {
            return Err(CrsError::Parameter { given: name.clone() });
        }
        let words = [
            "proj", "o_proj", "datum", "ellps", "units", "towgs84", "south", "no_defs", "type",
            "wktext", "over",
        ];
        let wrong = |needed| CrsError::Value { name: name.clone(), value: value.clone(), needed };
        if !words.contains(&name.as_str()) && !value.parse().is_ok_and(f64::is_finite) {
            return Err(wrong("a number is needed"));
        }
        let scaled = ["tmerc", "etmerc", "stere", "merc"].contains(&projection.as_str());
        if ["k", "k_0"].contains(&name.as_str()) && !scaled {
            return Err(wrong("CF knows no scale factor of this projection; give its parallels"));
        }
        if name == "units" && value != "m" {
            return Err(wrong("the plane is in metres; give bounds in them, and no other unit"));
        }
        if name == "o_proj" && !["longlat", "latlong", "lonlat", "latlon"].contains(&value.as_str())
        {
            return Err(wrong("of turned systems only the rotated pole, longlat, is known"));
        }
    }
    let needed: &[&'static str] = match projection.as_str() {
        "lcc" | "aea" => &["lat_1"],
        "utm" => &["zone"],
        "ob_tran" => &["o_proj", "o_lat_p"],
        _ => &[],
    };
    match needed.iter().find(|name| value_of(parameters, name).is_none()) {
        Some(needed) => Err(CrsError::Missing { projection, needed }),
        None => Ok(()),
    }
}

/// The PROJ string of the codes that air-quality maps come in.
fn epsg(code: &str) -> Option<String> {
    let code: u32 = code.parse().ok()?;
    Some(match code {
        32_601..=32_660 => format!("+proj=utm +zone={} +datum=WGS84", code - 32_600),
        32_701..=32_760 => format!("+proj=utm +zone={} +south +datum=WGS84", code - 32_700),
        25_828..=25_838 => format!("+proj=utm +zone={} +ellps=GRS80", code - 25_800),
        3035 => "+proj=laea +lat_0=52 +lon_0=10 +x_0=4321000 +y_0=3210000 +ellps=GRS80".to_owned(),
        3031 => "+proj=stere +lat_0=-90 +lat_ts=-71 +lon_0=0 +datum=WGS84".to_owned(),
        3413 => "+proj=stere +lat_0=90 +lat_ts=70 +lon_0=-45 +datum=WGS84".to_owned(),
        3857 => "+proj=merc +a=6378137 +b=6378137".to_owned(),
        _ => return None,
    })
}

/// A sphere turned so that its pole lies elsewhere (Snyder 1987, doi:10.3133/pp1395, equations 5-7
/// to 5-10).
#[derive(Clone, Copy, Debug)]
struct Rotation {
    sin_pole: f64,
    cos_pole: f64,
    /// Degrees, before and after turning.
    lon_0: f64,
    o_lon_p: f64,
}

impl Rotation {
    fn new(parameters: &[(String, String)]) -> Self {
        let number = |name| value_of(parameters, name).and_then(|v| v.parse().ok());
        let (sin_pole, cos_pole) = number("o_lat_p").unwrap_or(90.0_f64).to_radians().sin_cos();
        let (lon_0, o_lon_p) = (number("lon_0").unwrap_or(0.0), number("o_lon_p").unwrap_or(0.0));
        Self { sin_pole, cos_pole, lon_0, o_lon_p }
    }

    fn to_plane(self, lon: f64, lat: f64) -> [f64; 2] {
        let (sin_lon, cos_lon) = (lon - self.lon_0).to_radians().sin_cos();
        let (sin_lat, cos_lat) = lat.to_radians().sin_cos();
        let x =
            (cos_lat * sin_lon).atan2(self.sin_pole * cos_lat * cos_lon + self.cos_pole * sin_lat);
        let y = self.sin_pole * sin_lat - self.cos_pole * cos_lat * cos_lon;
        [turned(x.to_degrees() + self.o_lon_p), y.clamp(-1.0, 1.0).asin().to_degrees()]
    }

    fn to_degrees(self, x: f64, y: f64) -> [f64; 2] {
        let (sin_x, cos_x) = (x - self.o_lon_p).to_radians().sin_cos();
        let (sin_y, cos_y) = y.to_radians().sin_cos();
        let lon = (cos_y * sin_x).atan2(self.sin_pole * cos_y * cos_x - self.cos_pole * sin_y);
        let lat = self.sin_pole * sin_y + self.cos_pole * cos_y * cos_x;
        [turned(lon.to_degrees() + self.lon_0), lat.clamp(-1.0, 1.0).asin().to_degrees()]
    }
}

/// From −180 to below 180.
fn turned(degrees: f64) -> f64 {
    (degrees + 180.0).rem_euclid(360.0) - 180.0
}

impl fmt::Debug for Crs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Crs").field(&self.text).finish()
    }
}

impl PartialEq for Crs {
    fn eq(&self, other: &Self) -> bool {
        self.parameters == other.parameters
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Reference {
        crs: String,
        /// x, y, longitude, latitude.
        places: Vec<[f64; 4]>,
    }

    /// Made by PROJ: tests/golden/make_projections.py. 1e-9 degrees are a tenth of a millimetre. For
    /// laea, PROJ and proj4rs take different series of the authalic latitude, seen to be 1.2 mm
    /// (1.2e-8 degrees) apart.
    #[test]
    fn places_are_where_proj_puts_them() {
        let text = include_str!("../../tests/golden/projections.json");
        let all: Vec<Reference> = serde_json::from_str(text).expect("the reference");
        assert!(all.len() >= 12);
        for Reference { crs: text, places } in all {
            let crs: Crs = text.parse().expect("a crs");
            for [x, y, lon, lat] in places {
                let [got_lon, got_lat] = crs.to_degrees(x, y).expect("a place");
                let allowed = if text.contains("+proj=laea") { 3e-8 } else { 1e-9 };
                let off = turned(got_lon - lon).abs() * lat.to_radians().cos();
                assert!(
                    off < allowed && (got_lat - lat).abs() < allowed,
                    "{text}: {x} {y}: {got_lon} {got_lat}"
                );
                let [px, py] = crs.to_plane(lon, lat).expect("a place");
                let metres = if text.contains("+proj=laea") { 5e-3 } else { 1e-4 };
                let near = if crs.is_rotated() { 1e-9 } else { metres };
                let across =
                    if crs.is_rotated() { turned(px - x) * y.to_radians().cos() } else { px - x };
                assert!(
                    across.abs() < near && (py - y).abs() < near,
                    "{text}: {lon} {lat}: {px} {py}"
                );
                crs.check(x, y).expect("it comes back");
            }
        }
    }

    #[test]
    fn what_is_no_crs_is_refused_with_what_is_missing() {
        for (text, words) in [
            ("lambert", "neither a PROJ string"),
            ("EPSG:4326", "neither a PROJ string"),
            ("+proj=moll", "no CF grid mapping"),
            ("+proj=lcc +lat_0=34 +lon_0=105", "+lat_1"),
            ("+proj=lcc +lat_1=30 +lat2=60", "+lat2 is not known"),
            ("+proj=lcc +lat_1=thirty", "a number is needed"),
            ("+proj=utm +datum=WGS84", "+zone"),
            ("+proj=utm +zone=99", "crs"),
            ("+proj=merc +units=km", "metres"),
            ("+proj=ob_tran +o_proj=moll +o_lat_p=40", "longlat"),
            ("+proj=lcc +lat_1=30 +lat_2=-30", "crs"),
        ] {
            let error = text.parse::<Crs>().expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        let laea: Crs = "EPSG:3035".parse().expect("a crs");
        assert!(matches!(laea.check(4e7, 0.0), Err(CrsError::Outside { .. })));
    }
}
