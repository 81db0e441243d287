//! Registered networks: the document that is kept, what is told of it, and maps by station id.

use std::collections::{BTreeMap, HashMap, HashSet};

use isopleth_engine::observations::Station;
use isopleth_engine::report::iso_8601;
use isopleth_engine::{Error, Places, Solvable, Survey};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::given::{Given, Row};
use super::order::{House, Order};
use super::request::{
    CompressName, DigitsRequest, GridRequest, MapRequest, MaskRequest, MethodRequest, Point,
    PrecisionName, ReadRequest, StationRequest, Values,
};
use super::uncertainty::UncertaintyRequest;
use crate::error::{ApiError, Place};

/// Station codes may have so many bytes.
const LONGEST_CODE: usize = 200;

/// So many codes are told of those that are wrong.
const TOLD: usize = 20;

/// A network: its stations, and what its maps have unless a request says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "title": "Air quality, Beijing",
    "stations": [
        {"id": "1001A", "lon": 116.366, "lat": 39.867},
        {"id": "1003A", "lon": 116.434, "lat": 39.952},
        {"id": "1006A", "lon": 116.473, "lat": 39.972}
    ],
    "grid": {"bounds": [116, 39.5, 117, 40.5], "resolution": 0.02},
    "units": {"pm25": "ug/m3"}
}))]
pub struct NetworkRequest {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The stations, each with an id of its own, in the order in which rows of values have them.
    pub stations: Vec<StationRequest>,
    /// The grid of its maps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<GridRequest>,
    /// How surfaces are made, with bounds by variable in `min` and `max`.
    #[serde(default)]
    pub method: MethodRequest,
    /// `{variable: unit}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<String, String>,
}

impl NetworkRequest {
    /// The stations as the engine has them.
    pub(crate) fn stations(&self) -> Vec<Station> {
        let station = |s: &StationRequest| Station {
            id: s.id.clone().unwrap_or_default(),
            x: s.lon,
            y: s.lat,
        };
        self.stations.iter().map(station).collect()
    }

    /// Checks that maps can be made of it.
    ///
    /// # Errors
    /// 422 with a pointer, 413 beyond a limit.
    pub(crate) fn check(&self, house: House<'_>) -> Result<(), ApiError> {
        let limit = house.max_stations;
        if self.stations.len() > limit {
            let text = format!(
                "{} stations are more than the limit of {limit}; leave some out",
                self.stations.len()
            );
            return Err(ApiError::too_large(text).at_pointer("/stations"));
        }
        if self.stations.is_empty() {
            let text = "a network needs at least one station";
            return Err(ApiError::meaningless(text).at_pointer("/stations"));
        }
        self.check_codes()?;
        let request = MapRequest {
            grid: self.grid.clone(),
            method: self.method.clone(),
            ..MapRequest::default()
        };
        let order = Order::new(request, house)?;
        let planar = !order.settings.method.metric().is_spherical();
        let places: Vec<[f64; 2]> = self.stations.iter().map(|s| [s.lon, s.lat]).collect();
        Places::from_coordinates(&places, planar)
            .map_err(|error| ApiError::from(Error::from(error)).below("/stations"))?;
        Ok(())
    }

    fn check_codes(&self) -> Result<(), ApiError> {
        let mut seen: HashMap<&str, usize> = HashMap::with_capacity(self.stations.len());
        for (k, station) in self.stations.iter().enumerate() {
            let id = station.id.as_deref().unwrap_or("");
            let wrong = |text: String| {
                Err(ApiError::meaningless(text).at_pointer(format!("/stations/{k}/id")))
            };
            if id.trim().is_empty() {
                return wrong(format!("station {} has no id; values come by id", k + 1));
            }
            if id.len() > LONGEST_CODE || id.trim() != id {
                let what = "no blanks at its ends and 200 bytes at most";
                return wrong(format!("station {}: an id has {what}", k + 1));
            }
            if let Some(first) = seen.insert(id, k) {
                let text = format!("id `{id}` is given to stations {} and {}", first + 1, k + 1);
                return wrong(text);
            }
        }
        Ok(())
    }
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Most entries, 1 to 1000. Default 100.
    #[param(example = 100)]
    pub limit: Option<String>,
    /// Begin after the entry with this id.
    pub after: Option<String>,
}

impl PageQuery {
    /// The number of entries.
    pub(crate) fn limit(&self) -> Result<usize, ApiError> {
        let Some(text) = &self.limit else { return Ok(100) };
        text.parse().ok().filter(|limit| (1..=1000).contains(limit)).ok_or_else(|| {
            let text = format!("limit={text}: expected a whole number from 1 to 1000");
            let parameter = Some("limit".to_owned());
            ApiError::meaningless(text).at(Place { parameter, ..Place::default() })
        })
    }
}

/// Networks, in the order of their ids.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NetworksAnswer {
    /// Those of this page.
    pub networks: Vec<NetworkEntry>,
    /// Where the next page is, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/v1/networks?limit=100&after=beijing")]
    pub next: Option<String>,
}

/// A network in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NetworkEntry {
    /// Its name.
    pub id: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How many stations.
    pub stations: u64,
    /// When it was registered.
    pub created: String,
    /// When it was changed last.
    pub updated: String,
    /// Its entity tag.
    pub etag: String,
}

/// A network, with what is known of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NetworkAnswer {
    /// Its name.
    pub id: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// When it was registered.
    pub created: String,
    /// When it was changed last.
    pub updated: String,
    /// Its stations.
    pub stations: Vec<StationAnswer>,
    /// The grid of its maps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<GridRequest>,
    /// How surfaces are made.
    pub method: MethodRequest,
    /// `{variable: unit}`.
    pub units: BTreeMap<String, String>,
    /// Places, how far apart, and how well the systems of its maps can be solved.
    #[schema(value_type = SurveyAnswer)]
    pub survey: Survey,
}

/// Describes [`Survey`].
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the engine writes")]
pub struct SurveyAnswer {
    /// Distinct places.
    places: usize,
    /// Places at which several codes were merged, with those codes.
    merged: Vec<Vec<String>>,
    /// Identifies places and metric.
    fingerprint: String,
    /// Median distance of a station to the nearest other one, in km or the planar unit.
    median_spacing: Option<f64>,
    /// The least.
    least_spacing: Option<f64>,
    /// Of the method told, of those chosen lately, or of one like those that may be chosen.
    #[schema(value_type = Vec<SolvableAnswer>)]
    methods: Vec<Solvable>,
}

/// Describes [`Solvable`].
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the engine writes")]
pub struct SolvableAnswer {
    /// `told`, `kept` or `typical`.
    chosen_by: String,
    /// Variables that have it.
    variables: Vec<String>,
    /// Radial function.
    kernel: String,
    /// Multiplies distances.
    epsilon: f64,
    /// The largest λ.
    smoothing: f64,
    /// Degree of the drift.
    degree: i8,
    /// How the system is solved.
    solver: String,
    /// Estimate of its condition number.
    condition: f64,
}

/// A station of a network.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StationAnswer {
    /// Its code.
    pub id: String,
    /// Degrees east; planar: x.
    pub lon: f64,
    /// Degrees north; planar: y.
    pub lat: f64,
    /// Reading less what all other stations predict, of the latest map of each variable that this process made
    /// since the network was registered or changed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub leave_one_out: BTreeMap<String, ResidualAnswer>,
}

/// The latest residual of a station.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ResidualAnswer {
    /// The time of the map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Reading less prediction, in the variable's unit.
    pub residual: f64,
}

/// A moment of the database.
pub(crate) fn moment(seconds: i64) -> String {
    iso_8601(isopleth_engine::observations::UnixSeconds(seconds))
}

/// What becomes of values of stations that the network has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownName {
    /// The request is refused, and they are named.
    #[default]
    Refuse,
    /// They are left out.
    Ignore,
}

/// The same in the query, for a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UnknownQuery {
    /// What becomes of readings of stations that the network has not: `refuse` (default) or `ignore`.
    pub unknown: Option<UnknownName>,
}

/// A map of a registered network: values by station id, or in the order of its stations. What is left out is the
/// network's.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "time": "2024-03-01T08:00:00Z",
    "values": {"pm25": {"1001A": 35.0, "1003A": 21.5, "1006A": null}}
}))]
pub struct NetworkMapRequest {
    /// The time of the values. Left out, they carry none.
    pub time: Option<String>,
    /// Several times, ascending, instead; then every variable has a list with one entry for each.
    pub times: Option<Vec<String>>,
    /// `{variable: {station: reading, …}}`, or `{variable: [reading, …one a station]}`, or a list of either;
    /// `null` or left out is a missing reading.
    #[schema(value_type = std::collections::HashMap<String, serde_json::Value>)]
    pub values: Given,
    /// What becomes of values of unknown stations. Default `refuse`.
    #[serde(default)]
    pub unknown: UnknownName,
    /// The grid to evaluate on. Default: the network's.
    pub grid: Option<GridRequest>,
    /// Places to evaluate at, instead of a grid.
    pub points: Option<Vec<Point>>,
    /// How the surface is made. Default: the network's; bounds are added to those of the network.
    pub method: Option<MethodRequest>,
    /// The numbers in the answer. Default `f32`.
    #[serde(default)]
    pub precision: PrecisionName,
    /// Significant digits kept in a NetCDF file, 1 to 15, or `exact`.
    pub digits: Option<DigitsRequest>,
    /// How hard a NetCDF file is compressed. Default `fast`.
    #[serde(default)]
    pub compress: CompressName,
    /// Where cells are wanted. Default: everywhere.
    pub mask: Option<MaskRequest>,
    /// How sure the maps are, beside them. Default: nothing.
    pub uncertainty: Option<UncertaintyRequest>,
    /// How readings are to be understood.
    #[serde(default)]
    pub read: ReadRequest,
    /// Variables to map, in this order. Default: all.
    #[serde(default)]
    pub variables: Vec<String>,
    /// `{variable: unit}`; others are the network's.
    #[serde(default)]
    pub units: BTreeMap<String, String>,
}

impl NetworkMapRequest {
    /// The request of a map with the stations of a network.
    ///
    /// # Errors
    /// 422: unknown ids, lengths that disagree, times that are none.
    pub(crate) fn of_network(
        self,
        network: &NetworkRequest,
        index: &HashMap<String, usize>,
    ) -> Result<MapRequest, ApiError> {
        let times = match (self.time, self.times) {
            (Some(_), Some(_)) => {
                let text = "both time and times are given; give one of them";
                return Err(ApiError::meaningless(text).at_pointer("/times"));
            }
            (Some(time), None) => Some(vec![time]),
            (None, times) => times,
        };
        let rows = times.as_ref().map_or(1, Vec::len);
        let placing = Placing { index, unknown: self.unknown, strangers: HashSet::new() };
        let values = placing.all(self.values, rows)?;
        let request = MapRequest {
            grid: self.grid,
            points: self.points,
            method: self.method.unwrap_or_default(),
            precision: self.precision,
            digits: self.digits,
            compress: self.compress,
            mask: self.mask,
            uncertainty: self.uncertainty,
            read: self.read,
            variables: self.variables,
            stations: Some(network.stations.clone()),
            times,
            values: Some(values),
            units: self.units,
            ..MapRequest::default()
        };
        Ok(completed(request, network))
    }
}

/// A request with what a network has where it says nothing.
pub(crate) fn completed(mut request: MapRequest, network: &NetworkRequest) -> MapRequest {
    if request.grid.is_none() && request.points.is_none() {
        request.grid.clone_from(&network.grid);
    }
    let bounds = [&mut request.method.min, &mut request.method.max].map(std::mem::take);
    if request.method == MethodRequest::default() {
        request.method = network.method.clone();
    } else {
        request.method.min.clone_from(&network.method.min);
        request.method.max.clone_from(&network.method.max);
    }
    let [min, max] = bounds;
    request.method.min.extend(min);
    request.method.max.extend(max);
    let known = request.values.as_ref().map(|values| &values.0);
    for (variable, unit) in &network.units {
        let is_there = known.is_none_or(|all| all.iter().any(|(name, _)| name == variable));
        if is_there && known.is_some() {
            request.units.entry(variable.clone()).or_insert_with(|| unit.clone());
        }
    }
    request
}

/// Puts values in the order of the stations.
struct Placing<'a> {
    index: &'a HashMap<String, usize>,
    unknown: UnknownName,
    strangers: HashSet<String>,
}

impl Placing<'_> {
    fn all(mut self, given: Given, rows: usize) -> Result<Values, ApiError> {
        let mut values = Vec::with_capacity(given.0.len());
        for (variable, of_variable) in given.0 {
            let pointer = format!("/values/{}", variable.replace('~', "~0").replace('/', "~1"));
            let (of_rows, is_list) = of_variable;
            if of_rows.len() != rows {
                let text = format!(
                    "{variable} has {} rows of values, {rows} expected: one for each time",
                    of_rows.len()
                );
                return Err(ApiError::meaningless(text).at_pointer(pointer));
            }
            let mut placed = Vec::with_capacity(of_rows.len());
            for (k, row) in of_rows.into_iter().enumerate() {
                let place = || if is_list { format!("{pointer}/{k}") } else { pointer.clone() };
                placed.push(self.row(&variable, row, &place)?);
            }
            values.push((variable, placed));
        }
        if !self.strangers.is_empty() && self.unknown == UnknownName::Refuse {
            return Err(strangers(self.strangers.into_iter().collect(), "/values"));
        }
        Ok(Values(values))
    }

    fn row(
        &mut self,
        variable: &str,
        row: Row,
        pointer: &dyn Fn() -> String,
    ) -> Result<Vec<Option<f64>>, ApiError> {
        let stations = self.index.len();
        match row {
            Row::InOrder(values) if values.len() == stations => Ok(values),
            Row::InOrder(values) => Err(ApiError::meaningless(format!(
                "{variable} has {} values, {stations} expected: one for each station of the network, in its order",
                values.len()
            ))
            .at_pointer(pointer())),
            Row::ById(pairs) => {
                let mut values = vec![None; stations];
                let mut taken = vec![false; stations];
                for (id, value) in pairs {
                    let Some(&at) = self.index.get(&id) else {
                        self.strangers.insert(id);
                        continue;
                    };
                    if std::mem::replace(&mut taken[at], true) {
                        let text = format!("{variable} has two values of station `{id}`; give one");
                        let place = Place {
                            pointer: Some(pointer()),
                            station: Some(id),
                            ..Place::default()
                        };
                        return Err(ApiError::meaningless(text).at(place));
                    }
                    values[at] = value;
                }
                Ok(values)
            }
        }
    }
}

/// Names stations that a network has not.
pub(crate) fn strangers(mut codes: Vec<String>, pointer: &str) -> ApiError {
    codes.sort_unstable();
    let count = codes.len();
    codes.truncate(TOLD);
    let more = if count > TOLD { ", …" } else { "" };
    let text = format!(
        "{count} of the stations with values are not in the network: {}{more}; register them, or say unknown=ignore",
        codes.join(", ")
    );
    let mut error = ApiError::meaningless(text);
    for code in codes {
        let (pointer, station) = (Some(pointer.to_owned()), Some(code));
        error = error.at(Place { pointer, station, ..Place::default() });
    }
    error
}
