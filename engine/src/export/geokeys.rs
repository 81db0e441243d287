//! The system of coordinates of a map as GeoTIFF's keys (OGC 19-008r4): by its EPSG code where it
//! has one, otherwise spelt out from the grid mapping.

use super::Form;
use super::error::ExportError;
use super::source::Space;
use crate::projection::{Crs, MappingValue};

/// Keys as three tags hold them.
#[derive(Debug, Default)]
pub(super) struct GeoKeys {
    /// Key, tag of its value (0: here), count, value or place.
    keys: Vec<[u16; 4]>,
    pub(super) doubles: Vec<f64>,
    pub(super) text: String,
}

const DOUBLES: u16 = 34736;
const TEXT: u16 = 34737;
/// "User-defined", as GeoTIFF has it.
const OWN: u16 = 32767;
const METRE: u16 = 9001;
const DEGREE: u16 = 9102;
/// Of WGS 84.
const WGS84: [f64; 2] = [6_378_137.0, 298.257_223_563];

impl GeoKeys {
    /// The keys of a space; none for a plane that nobody named.
    pub(super) fn of(space: &Space) -> Result<Option<Self>, ExportError> {
        let mut keys = Self::default();
        match space {
            Space::Plane => return Ok(None),
            Space::Degrees => {
                keys.shorts(&[(1024, 2), (1025, 1), (2048, 4326), (2054, DEGREE)]);
            }
            Space::Projected(crs) => match epsg(crs) {
                Some(code) => {
                    keys.shorts(&[(1024, 1), (1025, 1), (3072, code), (3076, METRE)]);
                }
                None => keys.spell(crs)?,
            },
        }
        keys.keys.sort_by_key(|key| key[0]);
        Ok(Some(keys))
    }

    /// The tag that lists them, with its head.
    pub(super) fn directory(&self) -> Vec<u16> {
        let count = u16::try_from(self.keys.len()).unwrap_or(u16::MAX);
        let head = [1, 1, 0, count];
        std::iter::once(&head).chain(&self.keys).flatten().copied().collect()
    }

    fn shorts(&mut self, all: &[(u16, u16)]) {
        self.keys.extend(all.iter().map(|&(key, value)| [key, 0, 1, value]));
    }

    fn double(&mut self, key: u16, value: f64) {
        let place = u16::try_from(self.doubles.len()).unwrap_or(u16::MAX);
        self.keys.push([key, DOUBLES, 1, place]);
        self.doubles.push(value);
    }

    fn spell(&mut self, crs: &Crs) -> Result<(), ExportError> {
        let refused =
            |reason| ExportError::Crs { form: Form::GeoTiff, crs: crs.text().to_owned(), reason };
        if crs.is_rotated() {
            return Err(refused(
                "GeoTIFF has no rotated pole; write NetCDF, or map in another plane",
            ));
        }
        let mapping = Mapping(crs.grid_mapping());
        self.shorts(&[(1024, 1), (1025, 1), (3072, OWN), (3074, OWN), (3076, METRE)]);
        self.text = format!("{}|", crs.text().replace('|', " "));
        let length = u16::try_from(self.text.len()).map_err(|_| refused("its text is too long"))?;
        self.keys.push([1026, TEXT, length, 0]);
        self.ellipsoid(&mapping);
        self.projection(&mapping).ok_or_else(|| refused("GeoTIFF has no such projection"))
    }

    fn ellipsoid(&mut self, mapping: &Mapping) {
        let radius = mapping.number("earth_radius");
        let major = radius.or_else(|| mapping.number("semi_major_axis")).unwrap_or(WGS84[0]);
        let flattening = mapping.number("inverse_flattening");
        // The inverse flattening was found from the axes, and has not all of its digits.
        if major == WGS84[0] && flattening.is_some_and(|f| (f - WGS84[1]).abs() < 1e-6) {
            self.shorts(&[(2048, 4326)]);
            return;
        }
        self.shorts(&[(2048, OWN), (2050, OWN), (2051, 8901), (2054, DEGREE), (2056, OWN)]);
        self.double(2057, major);
        match flattening {
            Some(flattening) => self.double(2059, flattening),
            None => self.double(2058, major),
        }
    }

    fn projection(&mut self, mapping: &Mapping) -> Option<()> {
        let number = |name: &str| mapping.number(name);
        let origin = number("latitude_of_projection_origin");
        let central = number("longitude_of_central_meridian");
        let scale = number("scale_factor_at_projection_origin");
        let parallels = mapping.numbers("standard_parallel");
        let (method, east, parameters): (u16, u16, Vec<(u16, f64)>) = match mapping.name()? {
            "lambert_conformal_conic" => {
                let first = *parallels.first()?;
                let second = parallels.get(1).copied().unwrap_or(first);
                (8, 3086, vec![(3078, first), (3079, second), (3084, central?), (3085, origin?)])
            }
            "albers_conical_equal_area" => {
                let (first, second) = (*parallels.first()?, *parallels.get(1)?);
                (11, 3082, vec![(3078, first), (3079, second), (3080, central?), (3081, origin?)])
            }
            "lambert_azimuthal_equal_area" => {
                let lon = number("longitude_of_projection_origin")?;
                (10, 3082, vec![(3088, lon), (3089, origin?)])
            }
            "transverse_mercator" => {
                let scale = number("scale_factor_at_central_meridian")?;
                (1, 3082, vec![(3080, central?), (3081, origin?), (3092, scale)])
            }
            "mercator" => {
                let lon = (3080, number("longitude_of_projection_origin")?);
                match parallels.first() {
                    Some(&parallel) => (7, 3082, vec![(3078, parallel), lon]),
                    None => (7, 3082, vec![lon, (3081, 0.0), (3092, scale.unwrap_or(1.0))]),
                }
            }
            "polar_stereographic" => {
                let lon = (3095, number("straight_vertical_longitude_from_pole")?);
                // GeoTIFF's latitude of origin is that of true scale here.
                let latitude = parallels.first().copied().or(origin)?;
                (15, 3082, vec![lon, (3081, latitude), (3092, scale.unwrap_or(1.0))])
            }
            "stereographic" => {
                let lon = number("longitude_of_projection_origin")?;
                (14, 3082, vec![(3088, lon), (3089, origin?), (3092, scale.unwrap_or(1.0))])
            }
            _ => return None,
        };
        self.shorts(&[(3075, method)]);
        parameters.into_iter().for_each(|(key, value)| self.double(key, value));
        self.double(east, number("false_easting").unwrap_or(0.0));
        self.double(east + 1, number("false_northing").unwrap_or(0.0));
        Some(())
    }
}

/// A grid mapping to look things up in.
struct Mapping(Vec<(&'static str, MappingValue)>);

impl Mapping {
    fn name(&self) -> Option<&'static str> {
        self.0.iter().find_map(|(name, value)| match value {
            MappingValue::Text(text) if *name == "grid_mapping_name" => Some(*text),
            _ => None,
        })
    }

    fn numbers(&self, wanted: &str) -> &[f64] {
        let found = self.0.iter().find_map(|(name, value)| match value {
            MappingValue::Numbers(numbers) if *name == wanted => Some(numbers.as_slice()),
            _ => None,
        });
        found.unwrap_or_default()
    }

    fn number(&self, wanted: &str) -> Option<f64> {
        self.numbers(wanted).first().copied()
    }
}

/// The code of a system: the one it was asked for by, or UTM's on WGS 84.
pub(super) fn epsg(crs: &Crs) -> Option<u16> {
    let text = crs.text();
    if let Some((name, code)) = text.split_once(':')
        && name.eq_ignore_ascii_case("epsg")
    {
        return code.trim().parse().ok();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let has = |word: &str| words.contains(&word);
    let on_wgs84 = has("+datum=WGS84") || !words.iter().any(|w| is_of_the_earth(w));
    if !has("+proj=utm") || !on_wgs84 {
        return None;
    }
    let zone = words.iter().find_map(|word| word.strip_prefix("+zone="))?;
    let base = if has("+south") { 32700 } else { 32600 };
    zone.parse::<u16>().ok().map(|zone| base + zone)
}

fn is_of_the_earth(word: &str) -> bool {
    ["+datum=", "+ellps=", "+a=", "+b=", "+R=", "+rf=", "+f="].iter().any(|w| word.starts_with(w))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_with_a_code_are_told_by_it() {
        for (text, code) in [
            ("EPSG:32648", Some(32648)),
            ("epsg:3035", Some(3035)),
            ("+proj=utm +zone=33 +south +datum=WGS84", Some(32733)),
            ("+proj=utm +zone=33", Some(32633)),
            ("+proj=utm +zone=33 +ellps=GRS80", None),
            ("+proj=laea +lat_0=52 +lon_0=10", None),
        ] {
            let crs: Crs = text.parse().expect(text);
            assert_eq!(epsg(&crs), code, "{text}");
        }
    }

    #[test]
    fn a_rotated_pole_is_refused_with_what_to_do() {
        let crs: Crs = "+proj=ob_tran +o_proj=longlat +o_lat_p=56 +o_lon_p=0 +lon_0=105"
            .parse()
            .expect("a crs");
        let error = GeoKeys::of(&Space::Projected(Box::new(crs))).expect_err("refused");
        assert!(error.to_string().contains("write NetCDF"), "{error}");
    }
}
