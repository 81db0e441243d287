//! What distance means: in the plane, through the Earth, or along its surface.

use std::fmt;
use std::str::FromStr;

use crate::Points;
use crate::error::Error;

/// Mean radius of the Earth in km (IUGG R1, WGS 84: Moritz 2000, doi:10.1007/s001900050278).
pub const EARTH_RADIUS_KM: f64 = 6371.0088;

/// How the distance of two places is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Euclidean, in the unit of the coordinates as given: degrees or metres.
    Planar,
    /// The straight line through a sphere of the Earth's mean radius, in km. Inherits positive
    /// definiteness from space; has no seam at the date line and no trouble at the poles.
    #[default]
    Chordal,
    /// The arc along that sphere, in km. A kernel valid in space need not be valid here
    /// (Gneiting 2013, arXiv 1111.7077).
    GreatCircle,
}

impl Metric {
    /// All metrics, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Planar, Self::Chordal, Self::GreatCircle];

    /// The name used on the command line, over HTTP and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Planar => "planar",
            Self::Chordal => "chordal",
            Self::GreatCircle => "great_circle",
        }
    }

    /// Whether coordinates are degrees east and north on the sphere.
    #[must_use]
    pub fn is_spherical(self) -> bool {
        self != Self::Planar
    }

    /// Places to compute with: `x, y` as given when planar, else points in space in km.
    #[must_use]
    pub fn embed(self, x: &[f64], y: &[f64]) -> Points {
        if !self.is_spherical() {
            return Points::new(vec![x.to_vec(), y.to_vec()]);
        }
        let mut axes = vec![Vec::new(); 3];
        for (&lon, &lat) in x.iter().zip(y) {
            let place = on_sphere(lon, lat);
            for (axis, value) in axes.iter_mut().zip(place) {
                axis.push(value);
            }
        }
        Points::new(axes)
    }

    /// The distance of two places whose embedded points are `squared` apart, squared.
    #[must_use]
    pub fn distance(self, squared: f64) -> f64 {
        match self {
            Self::Planar | Self::Chordal => squared.sqrt(),
            Self::GreatCircle => {
                let half = (squared.sqrt() / (2.0 * EARTH_RADIUS_KM)).min(1.0);
                2.0 * EARTH_RADIUS_KM * half.asin()
            }
        }
    }
}

/// A place on the sphere in km, from degrees east and north. `z` depends on the latitude alone,
/// which the evaluator uses for rows of a grid.
#[must_use]
pub fn on_sphere(lon: f64, lat: f64) -> [f64; 3] {
    let (sin_lon, cos_lon) = lon.to_radians().sin_cos();
    let (sin_lat, cos_lat) = lat.to_radians().sin_cos();
    [
        EARTH_RADIUS_KM * cos_lat * cos_lon,
        EARTH_RADIUS_KM * cos_lat * sin_lon,
        EARTH_RADIUS_KM * sin_lat,
    ]
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|m| m.name() == name.replace('-', "_")).ok_or_else(|| {
            Error::UnknownName {
                what: "metric",
                got: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            }
        })
    }
}
