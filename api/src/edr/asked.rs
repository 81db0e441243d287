//! What is asked of a collection, as the query has it. What cannot be understood is 400, as the standard
//! wants it.

use isopleth_engine::export::{Form, spaced};
use isopleth_engine::polygons::Polygons;
use isopleth_engine::wkt::{Wkt, areas_in_degrees};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::error::{ApiError, Place};

/// Names of longitude and latitude in degrees on WGS 84.
pub(super) const CRS84: &str = "http://www.opengis.net/def/crs/OGC/1.3/CRS84";

/// Positions along one side of a grid, at most.
const LONGEST_SIDE: usize = 100_000;

/// Which collections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CollectionsQuery {
    /// That share some of west,south,east,north.
    #[param(example = "73,18,135,54")]
    pub(crate) bbox: Option<String>,
    /// With a time in it: an instant, a day, or `from/to`, either of which may be `..`.
    #[serde(default)]
    pub(crate) datetime: Vec<String>,
}

/// The form of a description.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JsonQuery {
    /// `json`; counts before the header `Accept`.
    #[param(example = "json")]
    pub(crate) f: Option<String>,
}

/// Which stations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StationsQuery {
    /// Within west,south,east,north.
    #[param(example = "115,38,118,41")]
    pub(crate) bbox: Option<String>,
    /// `geojson`; counts before the header `Accept`.
    #[param(example = "geojson")]
    pub(crate) f: Option<String>,
}

/// Where, as a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CoordsQuery {
    /// Well-known text of longitudes and latitudes: `POINT` or `MULTIPOINT` of a position, `POLYGON` or
    /// `MULTIPOLYGON` of an area.
    #[param(example = "POINT(116.4 39.9)")]
    pub(crate) coords: Option<String>,
}

/// Where, as a rectangle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BboxQuery {
    /// west,south,east,north
    #[param(example = "115,38,118,41")]
    pub(crate) bbox: Option<String>,
}

/// Which times and parameters, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhatQuery {
    /// An instant, a day, or `from/to`, either of which may be `..`. Default: all times.
    #[serde(default)]
    pub(crate) datetime: Vec<String>,
    /// Names of parameters, with commas. Default: all.
    #[serde(rename = "parameter-name")]
    pub(crate) parameter_name: Option<String>,
    /// The same, as OWSLib spells it.
    #[serde(rename = "parameter_names")]
    pub(crate) parameter_names: Option<String>,
    /// `CRS84`: longitudes and latitudes, also of maps in a plane. Default: cells as the map has them.
    #[param(example = "CRS84")]
    pub(crate) crs: Option<String>,
    /// A form out of `output_formats`; counts before the header `Accept`. Default `CoverageJSON`.
    #[param(example = "CoverageJSON")]
    pub(crate) f: Option<String>,
}

/// How fine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ResolutionQuery {
    /// Values between the cells, at so many longitudes from the least to the largest; 0: cells as they are.
    #[serde(rename = "resolution-x")]
    pub(crate) resolution_x: Option<String>,
    /// The same of latitudes.
    #[serde(rename = "resolution-y")]
    pub(crate) resolution_y: Option<String>,
}

/// First and last second, each of which may be open.
pub(crate) type Stretch = [Option<i64>; 2];

fn wrong(parameter: &str, text: String) -> ApiError {
    let parameter = Some(parameter.to_owned());
    ApiError::bad_request(text).at(Place { parameter, ..Place::default() })
}

/// The stretch of time of `datetime`; none is all of it.
pub(crate) fn stretch(given: &[String]) -> Result<Stretch, ApiError> {
    let text = match given {
        [] => return Ok([None, None]),
        [only] => only,
        _ => return Err(wrong("datetime", "datetime is given twice; give it once".to_owned())),
    };
    let read = |part: &str| {
        moment(part).ok_or_else(|| {
            let needed = "expected a time such as 2024-03-01T08:00:00Z or 2024-03-01, or two of them as in \
                          2024-03-01/2024-03-02 or 2024-03-01/..";
            wrong("datetime", format!("datetime={text}: `{part}` is no time; {needed}"))
        })
    };
    let open = |part: &str| matches!(part.trim(), "" | "..");
    let (from, to) = text.split_once('/').unwrap_or((text, text));
    if open(from) && open(to) && !text.contains('/') {
        return read(text).map(|[first, last]| [Some(first), Some(last)]);
    }
    let first = if open(from) { None } else { Some(read(from)?[0]) };
    let last = if open(to) { None } else { Some(read(to)?[1]) };
    if first.zip(last).is_some_and(|(first, last)| first > last) {
        return Err(wrong("datetime", format!("datetime={text}: it ends before it begins")));
    }
    Ok([first, last])
}

/// First and last second of an instant or a day.
fn moment(text: &str) -> Option<[i64; 2]> {
    let text = text.trim();
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some([time.as_second(); 2]);
    }
    let day = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10)?;
    let first = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    Some([first, first + 24 * 3600 - 1])
}

/// West, south, east, north.
pub(crate) fn bbox(text: &str) -> Result<[f64; 4], ApiError> {
    let refused = |needed: &str| wrong("bbox", format!("bbox={text}: {needed}"));
    let read: Result<Vec<f64>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    let read = read.map_err(|_| refused("expected numbers with commas: west,south,east,north"))?;
    let bounds: [f64; 4] = read.try_into().map_err(|read: Vec<f64>| {
        let height = if read.len() == 6 { "; maps have no height" } else { "" };
        refused(&format!("expected west,south,east,north, not {} numbers{height}", read.len()))
    })?;
    let [west, south, east, north] = bounds;
    let in_range = |value: f64, most: f64| value.abs() <= most;
    if !(in_range(west, 540.0) && in_range(east, 540.0)) {
        return Err(refused("longitudes are within -540 and 540"));
    }
    if !(in_range(south, 90.0) && in_range(north, 90.0)) {
        return Err(refused("latitudes are within -90 and 90; longitudes come first"));
    }
    if south > north {
        return Err(refused("the southern latitude comes before the northern one"));
    }
    Ok(bounds)
}

/// Where, understood.
#[derive(Clone, Debug)]
pub(crate) enum Where {
    /// Positions.
    Places(Vec<[f64; 2]>),
    /// A rectangle, and what of it.
    Cells {
        /// West above east crosses the date line.
        bounds: [f64; 4],
        area: Option<Polygons>,
    },
}

impl Where {
    /// Of a position.
    pub(crate) fn places(query: &CoordsQuery) -> Result<Self, ApiError> {
        match coords(query, "POINT(116.4 39.9)")? {
            Wkt::Places(places) => Ok(Self::Places(places)),
            Wkt::Areas(_) => {
                let text = "a position is a POINT or MULTIPOINT; of polygons there is `area`";
                Err(wrong("coords", text.to_owned()))
            }
        }
    }

    /// Of an area.
    pub(crate) fn area(query: &CoordsQuery) -> Result<Self, ApiError> {
        match coords(query, "POLYGON((115 38,118 38,118 41,115 38))")? {
            Wkt::Areas(areas) => {
                let area = areas_in_degrees(&areas);
                Ok(Self::Cells { bounds: area.bounds(), area: Some(area) })
            }
            Wkt::Places(_) => {
                let text = "an area is a POLYGON or MULTIPOLYGON; of points there is `position`";
                Err(wrong("coords", text.to_owned()))
            }
        }
    }

    /// Of a cube.
    pub(crate) fn cube(query: &BboxQuery) -> Result<Self, ApiError> {
        let Some(text) = &query.bbox else {
            return Err(wrong("bbox", "where? give bbox=west,south,east,north".to_owned()));
        };
        Ok(Self::Cells { bounds: bbox(text)?, area: None })
    }

    /// Of each part west, south, east, north: a map that meets none has nothing of it.
    pub(crate) fn parts(&self) -> Vec<[f64; 4]> {
        match self {
            Self::Places(places) => places.iter().map(|&[x, y]| [x, y, x, y]).collect(),
            Self::Cells { bounds, .. } => vec![*bounds],
        }
    }
}

fn coords(query: &CoordsQuery, example: &str) -> Result<Wkt, ApiError> {
    let Some(text) = &query.coords else {
        return Err(wrong("coords", format!("where? give coords={example}")));
    };
    Wkt::parse(text).map_err(|error| wrong("coords", format!("coords: {error}")))
}

/// Everything else, understood.
#[derive(Clone, Debug)]
pub(crate) struct What {
    pub(crate) times: Stretch,
    /// None: all.
    pub(crate) parameters: Vec<String>,
    pub(crate) in_degrees: bool,
    /// Columns and rows of a grid of its own.
    pub(crate) grid: Option<[usize; 2]>,
    pub(crate) form: Form,
}

impl What {
    pub(crate) fn new(
        query: &WhatQuery,
        resolution: &ResolutionQuery,
        form: Form,
    ) -> Result<Self, ApiError> {
        let names = match (&query.parameter_name, &query.parameter_names) {
            (Some(_), Some(_)) => {
                let text = "parameter-name and parameter_names are the same; give one of them";
                return Err(wrong("parameter_names", text.to_owned()));
            }
            (names, other) => names.as_deref().or(other.as_deref()),
        };
        let names = names.into_iter().flat_map(|text| text.split(',')).map(str::trim);
        let mut parameters: Vec<String> =
            names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        parameters.dedup();
        let known = [CRS84, "CRS84", "OGC:CRS84", "urn:ogc:def:crs:OGC:1.3:CRS84"];
        let in_degrees = match query.crs.as_deref().map(str::trim) {
            None | Some("") => false,
            Some(name) if known.iter().any(|known| known.eq_ignore_ascii_case(name)) => true,
            Some(name) => {
                let text = format!("crs={name}: there is CRS84, longitude and latitude in degrees");
                return Err(wrong("crs", text));
            }
        };
        let sides = [
            side("resolution-x", resolution.resolution_x.as_deref())?,
            side("resolution-y", resolution.resolution_y.as_deref())?,
        ];
        let grid = match sides {
            [None, None] => None,
            [Some(columns), Some(rows)] => Some([columns, rows]),
            _ => {
                let text = "resolution-x and resolution-y go together: give both, or none";
                return Err(wrong("resolution-x", text.to_owned()));
            }
        };
        Ok(Self { times: stretch(&query.datetime)?, parameters, in_degrees, grid, form })
    }

    /// The longitudes and latitudes of a grid of its own.
    pub(crate) fn axes([columns, rows]: [usize; 2], bounds: [f64; 4]) -> [Vec<f64>; 2] {
        let [west, south, east, north] = bounds;
        let east = if east < west { east + 360.0 } else { east };
        [spaced([west, east], columns), spaced([south, north], rows)]
    }
}

/// A number of positions; none for cells as they are.
fn side(name: &str, text: Option<&str>) -> Result<Option<usize>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    match text.trim().parse::<usize>() {
        Ok(0) => Ok(None),
        Ok(count) if count <= LONGEST_SIDE => Ok(Some(count)),
        _ => {
            let needed = format!("expected a number of positions, 0 to {LONGEST_SIDE}");
            Err(wrong(name, format!("{name}={text}: {needed}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(error: &ApiError) -> (u16, String) {
        (error.status().as_u16(), error.problem().detail)
    }

    #[test]
    fn stretches_of_time_are_instants_days_and_intervals_with_open_ends() {
        let read = |text: &str| stretch(&[text.to_owned()]).map_err(|e| detail(&e));
        let day = 86_400;
        assert_eq!(read("1970-01-02T00:00:10Z"), Ok([Some(day + 10), Some(day + 10)]));
        assert_eq!(read("1970-01-02T08:00:00+08:00"), Ok([Some(day), Some(day)]));
        assert_eq!(read("1970-01-02"), Ok([Some(day), Some(2 * day - 1)]));
        assert_eq!(read("1970-01-01/1970-01-02"), Ok([Some(0), Some(2 * day - 1)]));
        assert_eq!(read("../1970-01-02T00:00:00Z"), Ok([None, Some(day)]));
        assert_eq!(read("1970-01-02T00:00:00Z/"), Ok([Some(day), None]));
        assert_eq!(read("../.."), Ok([None, None]));
        assert_eq!(stretch(&[]).ok(), Some([None, None]));
        for (wrong, words) in [
            ("noon", "`noon` is no time"),
            ("..", "`..` is no time"),
            ("", "is no time"),
            ("1970-01-02/1970-01-01", "ends before"),
            ("1970-01-01/1970-01-02/1970-01-03", "is no time"),
            ("1970-01-02T00:00:00", "is no time"),
        ] {
            let (status, text) = read(wrong).expect_err(wrong);
            assert!(status == 400 && text.contains(words), "{wrong}: {text}");
        }
    }

    #[test]
    fn rectangles_are_four_numbers_on_the_earth() {
        assert_eq!(bbox("170, -10,-170,10").ok(), Some([170.0, -10.0, -170.0, 10.0]));
        for (wrong, words) in [
            ("1,2,3", "3 numbers"),
            ("1,2,3,4,5,6", "no height"),
            ("1,2,x,4", "with commas"),
            ("1,2,nan,4", "longitudes"),
            ("1,5,3,4", "southern"),
            ("39,116,41,118", "latitudes"),
        ] {
            let (status, text) = detail(&bbox(wrong).expect_err(wrong));
            assert!(status == 400 && text.contains(words), "{wrong}: {text}");
        }
    }

    #[test]
    fn what_is_wanted_is_understood_or_refused_by_its_name() {
        let read = |query: WhatQuery, x: Option<&str>, y: Option<&str>| {
            let [x, y] = [x, y].map(|text| text.map(str::to_owned));
            let resolution = ResolutionQuery { resolution_x: x, resolution_y: y };
            What::new(&query, &resolution, Form::CoverageJson)
        };
        let crs = |text: &str| WhatQuery { crs: Some(text.to_owned()), ..Default::default() };
        for known in ["CRS84", "ogc:crs84", CRS84] {
            assert!(read(crs(known), None, None).is_ok_and(|what| what.in_degrees), "{known}");
        }
        assert!(read(crs("EPSG:4326"), None, None).is_err());
        let names = |text: &str| Some(text.to_owned());
        let query = WhatQuery { parameter_names: names("a, b,"), ..Default::default() };
        let what = read(query.clone(), Some("5"), Some("3")).expect("a query");
        assert_eq!((what.parameters, what.grid), (vec!["a".into(), "b".into()], Some([5, 3])));
        assert!(
            read(WhatQuery { parameter_name: names("a"), ..query.clone() }, None, None).is_err()
        );
        assert!(read(query.clone(), Some("0"), None).is_ok_and(|what| what.grid.is_none()));
        for (x, y) in [(Some("5"), None), (Some("-1"), Some("3")), (Some("1e5"), Some("9999999"))] {
            assert!(read(query.clone(), x, y).is_err(), "{x:?} {y:?}");
        }
    }
}
