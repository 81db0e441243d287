//! Maps that are kept: how they are looked for, and what is told of them.

use isopleth_engine::export::{Options, Palette, Selection};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::error::{ApiError, Place};
use crate::jobs::is_id;
use crate::jobs::results::MapRow;
use crate::jobs::search::Search;

/// Which maps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MapsQuery {
    /// Of this registered network.
    pub network: Option<String>,
    /// With this variable.
    #[serde(default)]
    pub variable: Vec<String>,
    /// With a time in this stretch: an instant, or `from/to`, either of which may be `..`.
    #[serde(default)]
    pub datetime: Vec<String>,
    /// That share some of west,south,east,north.
    #[param(example = "73,18,135,54")]
    pub bbox: Option<String>,
    /// `true`: only the one with the latest time.
    pub latest: Option<YesNo>,
    /// Most entries, 1 to 1000. Default 100.
    pub limit: Option<String>,
    /// Begin after the map with this id.
    pub after: Option<String>,
}

/// Which part of a map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PartQuery {
    /// Maps or layers by name; may be given several times. Default: all maps.
    #[serde(default)]
    pub variable: Vec<String>,
    /// An instant, a day, `from/to`, `first` or `last`; may be given several times. Default: all.
    #[serde(default)]
    pub datetime: Vec<String>,
}

/// Which cells, and how they are drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CellsQuery {
    /// Cells with their centres within west,south,east,north.
    #[param(example = "115,38,118,41")]
    pub bbox: Option<String>,
    /// Every so manieth row and column.
    pub step: Option<String>,
    /// Colours of a picture.
    pub palette: Option<String>,
    /// Values of its first and last colour: low,high.
    pub range: Option<String>,
    /// A picture without frame, a pixel a cell.
    pub bare: Option<YesNo>,
    /// Coasts on a picture.
    pub coast: Option<YesNo>,
    /// Pixels along the longer side of a picture.
    pub size: Option<String>,
    /// Levels of contours, with commas. Default: round numbers.
    pub levels: Option<String>,
    /// Areas between levels, not lines.
    pub bands: Option<YesNo>,
}

/// A place on a map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PlaceQuery {
    /// Degrees east; x of a map in a plane.
    #[param(example = "116.4")]
    pub lon: Option<String>,
    /// Degrees north; y.
    #[param(example = "39.9")]
    pub lat: Option<String>,
}

/// Yes or no, in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum YesNo {
    /// Yes.
    True,
    /// No.
    False,
}

impl YesNo {
    /// Whether it is yes.
    #[must_use]
    pub fn yes(self) -> bool {
        self == Self::True
    }
}

fn wrong(parameter: &str, text: String) -> ApiError {
    let parameter = Some(parameter.to_owned());
    ApiError::meaningless(text).at(Place { parameter, ..Place::default() })
}

fn numbers<const N: usize>(name: &str, text: &str) -> Result<[f64; N], ApiError> {
    let read: Result<Vec<f64>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    let read = read.ok().filter(|all| all.iter().all(|number: &f64| number.is_finite()));
    read.and_then(|all| all.try_into().ok())
        .ok_or_else(|| wrong(name, format!("{name}={text}: expected {N} numbers with commas")))
}

/// Elsewhere these may be given several times; a map is looked for by one.
fn one<'a>(name: &str, given: &'a [String]) -> Result<Option<&'a str>, ApiError> {
    match given {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        _ => Err(wrong(name, format!("{name} is given {} times; give it once", given.len()))),
    }
}

fn whole(name: &str, text: &str) -> Result<usize, ApiError> {
    text.parse().map_err(|_| wrong(name, format!("{name}={text}: expected a whole number")))
}

impl MapsQuery {
    /// What is looked for; whose is told by the caller.
    pub(crate) fn search(&self, owner: Option<String>) -> Result<Search, ApiError> {
        let [from, to] = one("datetime", &self.datetime)?.map_or(Ok([None, None]), stretch)?;
        if let Some(text) = self.after.as_deref().filter(|text| !is_id(text)) {
            return Err(wrong("after", format!("after={text}: expected the id of a map")));
        }
        Ok(Search {
            owner,
            network: self.network.clone(),
            variable: one("variable", &self.variable)?.map(str::to_owned),
            from,
            to,
            bbox: self.bbox.as_deref().map(|text| numbers("bbox", text)).transpose()?,
            after: self.after.clone(),
            by_time: self.latest.is_some_and(YesNo::yes),
        })
    }

    /// How many.
    pub(crate) fn limit(&self) -> Result<usize, ApiError> {
        if self.latest.is_some_and(YesNo::yes) {
            return Ok(1);
        }
        let Some(text) = &self.limit else { return Ok(100) };
        let limit = whole("limit", text)?;
        if (1..=1000).contains(&limit) {
            return Ok(limit);
        }
        Err(wrong("limit", format!("limit={text}: expected 1 to 1000")))
    }
}

pub(crate) fn stretch(text: &str) -> Result<[Option<i64>; 2], ApiError> {
    let instant = |part: &str| match part.trim() {
        ".." | "" => Ok(None),
        part => part.parse::<jiff::Timestamp>().map(|time| Some(time.as_second())).map_err(|_| {
            wrong(
                "datetime",
                format!("datetime={text}: `{part}` is no time such as 2024-03-01T08:00:00Z"),
            )
        }),
    };
    match text.split_once('/') {
        Some((from, to)) => Ok([instant(from)?, instant(to)?]),
        None => instant(text).map(|at| [at, at]),
    }
}

impl PartQuery {
    /// As the engine has it.
    pub(crate) fn selection(&self) -> Selection {
        let PartQuery { variable, datetime } = self.clone();
        Selection { variables: variable, times: datetime, ..Selection::default() }
    }
}

impl CellsQuery {
    /// Adds cells to a selection, and says how they are drawn.
    pub(crate) fn complete(&self, selection: Selection) -> Result<(Selection, Options), ApiError> {
        let mut options = Options {
            range: self.range.as_deref().map(|text| numbers("range", text)).transpose()?,
            bare: self.bare.is_some_and(YesNo::yes),
            coast: self.coast.is_some_and(YesNo::yes),
            bands: self.bands.is_some_and(YesNo::yes),
            ..Options::default()
        };
        if let Some(name) = &self.palette {
            options.palette = name.parse::<Palette>().map_err(crate::routes::of_engine)?;
        }
        if let Some(text) = &self.size {
            options.size = whole("size", text)?;
        }
        if let Some(text) = &self.levels {
            let levels = text.split(',').map(|part| part.trim().parse());
            let levels: Result<Vec<f64>, _> = levels.collect();
            let text = || format!("levels={text}: expected numbers with commas");
            options.levels = Some(levels.map_err(|_| wrong("levels", text()))?);
        }
        let bounds = self.bbox.as_deref().map(|text| numbers("bbox", text)).transpose()?;
        let stride = self.step.as_deref().map_or(Ok(1), |text| whole("step", text))?;
        Ok((Selection { bounds, stride, ..selection }, options))
    }
}

impl PlaceQuery {
    pub(crate) fn place(&self) -> Result<[f64; 2], ApiError> {
        let read = |name: &str, text: &Option<String>| {
            let text = text.as_deref().ok_or_else(|| {
                wrong(name, format!("where? give {name}, as in lon=116.4&lat=39.9"))
            })?;
            numbers::<1>(name, text).map(|[number]| number)
        };
        Ok([read("lon", &self.lon)?, read("lat", &self.lat)?])
    }
}

/// Maps, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MapsAnswer {
    /// Those of this page.
    pub maps: Vec<MapEntry>,
    /// Where the next page is, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A map that is kept.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MapEntry {
    /// Its name.
    pub id: String,
    /// The job that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The registered network that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// When it was made.
    pub created: String,
    /// When it goes, at the latest.
    pub expires: String,
    /// Its variables with their units.
    #[schema(value_type = Vec<Object>)]
    pub variables: Value,
    /// First and last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<[String; 2]>,
    /// West, south, east, north.
    pub bbox: [f64; 4],
    /// Size of the file.
    pub bytes: u64,
    /// BLAKE3 of the file.
    pub digest: String,
    /// Where the file is; other forms and parts of it by the query.
    pub data: String,
    /// The run's report.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub report: Option<Value>,
}

impl MapEntry {
    /// With its report, or without.
    pub(crate) fn of(map: &MapRow, with_report: bool) -> Self {
        let moment = super::network::moment;
        let read = |text: &str| serde_json::from_str(text).unwrap_or_default();
        Self {
            id: map.id.clone(),
            job: map.job.clone(),
            network: map.network.clone(),
            created: moment(map.created),
            expires: moment(map.expires),
            variables: read(&map.variables),
            times: map.times.map(|times| times.map(moment)),
            bbox: map.bounds,
            bytes: map.bytes,
            digest: map.digest.clone(),
            data: format!("/v1/maps/{}/data", map.id),
            report: with_report.then(|| read(&map.report)),
        }
    }
}

/// Maps at one place.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ValuesAnswer {
    /// Degrees east, as asked for.
    pub lon: f64,
    /// Degrees north.
    pub lat: f64,
    /// Times; empty for a map without time.
    pub times: Vec<String>,
    /// Each map, and the layers beside it that say how sure it is.
    pub values: Vec<SeriesAnswer>,
}

/// A variable at one place.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SeriesAnswer {
    /// Its name in the file.
    pub variable: String,
    /// What it is.
    pub long_name: String,
    /// In what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<String>,
    /// Whether it is a layer beside a map.
    pub is_layer: bool,
    /// One a time; null where there is none.
    pub values: Vec<Option<f64>>,
}
