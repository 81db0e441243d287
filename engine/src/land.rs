//! The land of the Earth, built into the program: Natural Earth 1:50m (public domain; see
//! `engine/data/land-50m.LICENCE` and `scripts/make_land.py`). Coasts are right within some km and
//! islands below some 10 km are not all there; lakes are land, the Caspian Sea is not.

use std::sync::LazyLock;

use crate::kernels::metric::EARTH_RADIUS_KM;
use crate::polygons::Polygons;

/// The file; its form stands in the script that makes it.
static FILE: &[u8] = include_bytes!("../data/land-50m.bin");

/// What the file begins with.
const MAGIC: &[u8] = b"ISOLAND1";

/// Read when first asked for, in some milliseconds.
static LAND: LazyLock<Polygons> = LazyLock::new(|| {
    let polygons = decode(FILE).expect("the file is built in, and a test reads it");
    Polygons::new(&polygons, Some(360.0))
});

/// The land: 1419 polygons in degrees. Those across the date line reach beyond ±180.
#[must_use]
pub fn polygons() -> &'static Polygons {
    &LAND
}

/// Whether a place (degrees, longitudes in any turn) is on land.
#[must_use]
pub fn is_land(lon: f64, lat: f64) -> bool {
    LAND.contains(lon, lat)
}

/// Distance in km of a place (degrees) from the nearest land: 0 on land; none if it is more than
/// `at_most_km`. Right within a percent up to some 500 km, as far as the coastline is.
#[must_use]
pub fn distance_km(lon: f64, lat: f64, at_most_km: f64) -> Option<f64> {
    if is_land(lon, lat) {
        return Some(0.0);
    }
    LAND.distance_to_edge_km(lon, lat, at_most_km, EARTH_RADIUS_KM)
}

/// Reads the file; none where it is not one.
fn decode(file: &[u8]) -> Option<Vec<Vec<Vec<[f64; 2]>>>> {
    let rest = file.strip_prefix(MAGIC)?;
    let (head, rest) = rest.split_first_chunk::<32>()?;
    let number = |k: usize| Some(f64::from_le_bytes(*head[8 * k..].first_chunk()?));
    let [step_x, step_y, west, south] = [number(0)?, number(1)?, number(2)?, number(3)?];
    let place = |x: i64, y: i64| {
        #[expect(clippy::cast_precision_loss, reason = "below 100 000")]
        let [x, y] = [x as f64, y as f64];
        [west + x * step_x, (south + y * step_y).max(-90.0)]
    };
    let mut numbers = Varints(rest);
    let mut polygons = Vec::new();
    for _ in 0..numbers.next()? {
        let mut rings = Vec::new();
        for _ in 0..numbers.next()? {
            let (mut x, mut y) = (0, 0);
            let mut points = Vec::new();
            for _ in 0..numbers.next()? {
                x += numbers.step()?;
                y += numbers.step()?;
                points.push(place(x, y));
            }
            rings.push(points);
        }
        polygons.push(rings);
    }
    numbers.0.is_empty().then_some(polygons)
}

/// Numbers of seven bits a byte.
struct Varints<'a>(&'a [u8]);

impl Varints<'_> {
    fn next(&mut self) -> Option<u32> {
        let mut number = 0;
        for shift in (0..32).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u32::from(byte & 127) << shift;
            if byte & 128 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn step(&mut self) -> Option<i64> {
        let number = i64::from(self.next()?);
        Some(if number & 1 == 0 { number / 2 } else { -(number / 2) - 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_everybody_knows_are_where_they_are() {
        for (lon, lat, name) in [
            (116.4, 39.9, "Beijing"),
            (10.45, 51.16, "the middle of Germany"),
            (-98.6, 39.8, "Kansas"),
            (261.4, 39.8, "Kansas, east of Greenwich"),
            (179.0, 67.5, "Chukotka"),
            (-179.0, 67.0, "Chukotka beyond the date line"),
            (181.0, 67.0, "the same in another turn"),
            (0.0, -90.0, "the South Pole"),
            (123.0, -89.9, "beside it"),
            (134.0, -25.0, "Australia"),
        ] {
            assert!(is_land(lon, lat), "{name}");
        }
        for (lon, lat, name) in [
            (0.0, 90.0, "the North Pole"),
            (-30.0, 30.0, "the Atlantic"),
            (180.0, 0.0, "the Pacific"),
            (123.0, 35.0, "the Yellow Sea"),
            (4.0, 56.0, "the North Sea"),
            (51.0, 42.0, "the Caspian Sea, which is a hole"),
            (18.0, 35.0, "the Mediterranean"),
        ] {
            assert!(!is_land(lon, lat), "{name}");
        }
    }

    #[test]
    fn the_share_of_the_earth_that_is_land_is_known() {
        let (mut land, mut all) = (0.0, 0.0);
        for row in 0..360 {
            let lat = -89.75 + 0.5 * f64::from(row);
            let lon: Vec<f64> = (0..720).map(|i| -179.75 + 0.5 * f64::from(i)).collect();
            let mut inside = vec![false; lon.len()];
            polygons().mark_row(&lon, lat, &mut inside);
            let share = f64::from(u32::try_from(inside.iter().filter(|&&i| i).count()).unwrap());
            land += share * lat.to_radians().cos();
            all += 720.0 * lat.to_radians().cos();
        }
        // 29.2 % of the surface is land; the smallest islands are not here.
        assert!((land / all - 0.292).abs() < 0.005, "{}", land / all);
    }

    #[test]
    fn the_distance_from_land_is_that_of_a_chart() {
        assert_eq!(distance_km(116.4, 39.9, 10.0), Some(0.0));
        // The middle of the Channel: Cherbourg and Portland Bill are some 50 km away.
        let channel = distance_km(-2.0, 50.15, 200.0).expect("within 200 km");
        assert!((35.0..75.0).contains(&channel), "{channel}");
        assert_eq!(distance_km(-30.0, 30.0, 300.0), None);
        // Across the date line: Fiji's Taveuni lies on it.
        let east = distance_km(-179.0, -16.8, 200.0).expect("near Fiji");
        let same = distance_km(181.0, -16.8, 200.0).expect("near Fiji");
        assert!((east - same).abs() < 1e-9 && east < 150.0, "{east}");
    }

    #[test]
    fn a_file_cut_short_is_none() {
        assert!(decode(FILE).is_some());
        assert!(decode(&FILE[..FILE.len() - 1]).is_none());
        assert!(decode(b"ISOLAND2").is_none());
    }
}
