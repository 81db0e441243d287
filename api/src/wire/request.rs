//! The JSON document of a request. Unknown fields are refused by name.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use isopleth_engine::kernels::{Kernel, Metric};

use super::quality::QualityRequest;
use super::uncertainty::UncertaintyRequest;

/// A map: where, how, and the readings. In a `multipart/form-data` request this is the part
/// `request`, without `stations`, `times`, `values` and `units`, which the part `readings` brings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "grid": {"bounds": [73, 18, 135, 54], "shape": [140, 100]},
    "method": {"kernel": "linear"},
    "stations": [
        {"id": "1001A", "lon": 116.4, "lat": 39.9},
        {"id": "1141A", "lon": 121.5, "lat": 31.2},
        {"id": "1345A", "lon": 113.3, "lat": 23.1}
    ],
    "times": ["2017-07-07T16:00:00+08:00"],
    "values": {"pm25": [[35.0, 21.5, null]]}
}))]
pub struct MapRequest {
    /// The grid to evaluate on. Give this or `points`.
    pub grid: Option<GridRequest>,
    /// Places to evaluate at, instead of a grid.
    pub points: Option<Vec<Point>>,
    /// How the surface is made.
    #[serde(default)]
    pub method: MethodRequest,
    /// The numbers in the answer. Default `f32`.
    #[serde(default)]
    pub precision: PrecisionName,
    /// Significant digits kept in a NetCDF file, 1 to 15, or `exact`. Default 4, and `exact` with
    /// `f64`.
    pub digits: Option<DigitsRequest>,
    /// How hard a NetCDF file is compressed. Default `fast`.
    #[serde(default)]
    pub compress: CompressName,
    /// Where cells are wanted; others hold the fill value, or null. Default: everywhere.
    pub mask: Option<MaskRequest>,
    /// How sure the maps are, beside them. Default: nothing.
    pub uncertainty: Option<UncertaintyRequest>,
    /// How readings are to be understood.
    #[serde(default)]
    pub read: ReadRequest,
    /// Variables to map, in this order. Default: all.
    #[serde(default)]
    pub variables: Vec<String>,
    /// Of a cross-validation only: see there.
    #[serde(skip)]
    #[schema(ignore)]
    pub folds: Vec<String>,
    /// The stations, in the order of the innermost values.
    pub stations: Option<Vec<StationRequest>>,
    /// Times in ISO 8601, ascending, each once. Without an offset they are in `read.zone`, or UTC. Left out, the readings
    /// carry no time, and each variable has one row.
    pub times: Option<Vec<String>>,
    /// `{variable: [[reading, …one a station], …one row a time]}`; `null` is a missing reading.
    #[schema(value_type = Option<std::collections::HashMap<String, Vec<Vec<Option<f64>>>>>)]
    pub values: Option<Values>,
    /// `{variable: unit}`, carried through.
    #[serde(default)]
    pub units: std::collections::BTreeMap<String, String>,
}

/// Leave-one-out errors: how, and the readings. In a `multipart/form-data` request this is the part
/// `request`, without `stations`, `times`, `values` and `units`, which the part `readings` brings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CrossvalidationRequest {
    /// How the surface is made.
    #[serde(default)]
    pub method: MethodRequest,
    /// How readings are to be understood.
    #[serde(default)]
    pub read: ReadRequest,
    /// Variables to look at, in this order. Default: all.
    #[serde(default)]
    pub variables: Vec<String>,
    /// How stations are left out together, besides one at a time: a number of parts, `block:KM`,
    /// `town:KM` (all that steps of this length reach), or `loo`, which is for the references.
    #[serde(default)]
    #[schema(example = json!(["10", "town:30"]))]
    pub folds: Vec<String>,
    /// The stations, in the order of the innermost values.
    pub stations: Option<Vec<StationRequest>>,
    /// Times in ISO 8601; see the request of a map.
    pub times: Option<Vec<String>>,
    /// `{variable: [[reading, …one a station], …one row a time]}`; `null` is a missing reading.
    #[schema(value_type = Option<std::collections::HashMap<String, Vec<Vec<Option<f64>>>>>)]
    pub values: Option<Values>,
    /// `{variable: unit}`, carried through.
    #[serde(default)]
    pub units: std::collections::BTreeMap<String, String>,
}

impl From<CrossvalidationRequest> for MapRequest {
    fn from(request: CrossvalidationRequest) -> Self {
        let CrossvalidationRequest {
            method,
            read,
            variables,
            folds,
            stations,
            times,
            values,
            units,
        } = request;
        Self { method, read, variables, folds, stations, times, values, units, ..Self::default() }
    }
}

/// A grid by its bounds and how fine it is: `shape` or `resolution`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GridRequest {
    /// West, south, east, north: degrees, the unit of planar coordinates, or that of `crs`. West above east
    /// crosses the date line; south above north lists rows from north to south.
    #[schema(example = json!([73, 18, 135, 54]))]
    pub bounds: [f64; 4],
    /// Columns and rows.
    #[schema(example = json!([1400, 1000]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<[u64; 2]>,
    /// Distance of neighbouring columns and rows in the unit of the bounds: one number, or two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<OneOrTwo>,
    /// What the bounds are. Default `gridline`.
    #[serde(default)]
    pub registration: RegistrationName,
    /// A grid in the plane of this system of coordinates: a PROJ string, or `EPSG:` and a number.
    /// Stations stay in degrees. Default: degrees.
    #[schema(example = "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=34 +lon_0=110 +R=6370000")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crs: Option<String>,
}

/// Where cells are wanted. All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskRequest {
    /// On land: Natural Earth 1:50m, built in.
    #[serde(default)]
    pub land: bool,
    /// Within so many km of a station; in the unit of a plane.
    #[schema(exclusive_minimum = 0, example = 150)]
    pub distance: Option<f64>,
    /// Within polygons: a GeoJSON geometry, feature or collection, longitude before latitude.
    #[schema(value_type = Option<Object>)]
    pub polygons: Option<serde_json::Value>,
}

/// A number of digits, or `exact`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum DigitsRequest {
    /// So many.
    Keep(u32),
    /// `exact`.
    Named(String),
}

/// How hard a file is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CompressName {
    /// Not at all.
    None,
    /// Fast.
    #[default]
    Fast,
    /// Small.
    Small,
}

/// What a method is chosen for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChooseName {
    /// All fields of a variable share one.
    #[default]
    Variable,
    /// Every field has its own.
    Field,
}

/// One number for both directions, or one for each.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub enum OneOrTwo {
    /// The same for columns and rows.
    One(f64),
    /// Of columns, of rows.
    Two([f64; 2]),
}

/// What the bounds of a grid are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RegistrationName {
    /// The outermost nodes, as in `linspace`.
    #[default]
    Gridline,
    /// The outer edges of the outermost cells.
    Pixel,
}

/// A place to evaluate at.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Degrees east; planar: x, which may also be called `x`.
    #[serde(alias = "x")]
    #[schema(example = 116.4)]
    pub lon: f64,
    /// Degrees north; planar: y, which may also be called `y`.
    #[serde(alias = "y")]
    #[schema(example = 39.9)]
    pub lat: f64,
}

/// A station.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StationRequest {
    /// Its code. Default: `#` and its number, from 1.
    #[schema(example = "1001A")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Degrees east; planar: x, which may also be called `x`.
    #[serde(alias = "x")]
    #[schema(example = 116.4)]
    pub lon: f64,
    /// Degrees north; planar: y, which may also be called `y`.
    #[serde(alias = "y")]
    #[schema(example = 39.9)]
    pub lat: f64,
}

/// How the surface is made. Everything has a default; `GET /v1/kernels` lists the choices.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MethodRequest {
    /// The radial function, also by the names of SciPy's older `Rbf`. Default `auto`.
    #[schema(schema_with = kernel_schema)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// What `auto` chooses for. Default `variable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choose: Option<ChooseName>,
    /// The shape: multiplies distances in km, or in the unit of planar coordinates; with
    /// `compat` it divides them. Needed by the kernels that are not scale free.
    #[schema(exclusive_minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// λ on the diagonal: one number, or one a station (after merging those at one place). Default:
    /// what `auto` chooses, or 0: the surface passes through every reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smoothing: Option<Smoothing>,
    /// Degree of the drift, −1 (none) to 2. Default: the kernel's least, but at least 0.
    #[schema(minimum = -1, maximum = 2)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degree: Option<i8>,
    /// Two ranges: `RATIO:ANGLE`, along a direction in degrees from east (x) towards north (y) and across it, such
    /// as `2:30`; `none`; or `auto` (default), which tries directions on networks of 48 to 500 stations
    /// where `kernel` is `auto`, and is `none` else.
    #[schema(example = "2:30")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anisotropy: Option<String>,
    /// By variable the name of a grid that the operator of the service has, such as a model's field: what is mapped is
    /// the difference of readings and background, which is added back; `*` is the only variable. Default: none.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub background: std::collections::BTreeMap<String, String>,
    /// Names of grids that values depend on linearly, such as elevation. At the stations a column of that name in the
    /// table counts, if there is one. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covariates: Vec<String>,
    /// Cells beyond what the stations have of a covariate get the nearest end of it. Default: false.
    #[serde(default)]
    pub covariate_clamp: bool,
    /// What distance is. Default `chordal`.
    #[schema(schema_with = metric_schema)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// The numbers of SciPy's older `Rbf` instead of `RBFInterpolator`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compat: Option<CompatName>,
    /// Several stations at one place, or several readings of one. Default `mean`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<DuplicatesName>,
    /// Largest error of a grid beside the exact sum, relative to the range of the readings (1e-14 to
    /// below 1), or `exact`. Default 1e-6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<ToleranceRequest>,
    /// Least values of the map by variable; `*` is every variable; `null` takes the bound away. Default:
    /// 0 for concentrations known by name.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub min: std::collections::BTreeMap<String, Option<f64>>,
    /// Greatest values, likewise. Default: none.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub max: std::collections::BTreeMap<String, Option<f64>>,
    /// In what form readings are mapped: `none`, `sqrt`, `log[:OFFSET]`, `boxcox[:LAMBDA[:OFFSET]]`, by
    /// variable; `*` is every variable. Of variables that are not negative only. Default: what `auto`
    /// chooses, else `none`.
    #[serde(default)]
    pub transform: std::collections::BTreeMap<String, String>,
    /// The way back from a transform. Default `mean`.
    pub back: Option<BackName>,
    /// Make one station of all in a block of this size, in degrees or the planar unit.
    #[schema(exclusive_minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thin: Option<f64>,
}

/// The way back from transformed readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackName {
    /// The mean of what a reading may be: without bias.
    #[default]
    Mean,
    /// The value that half of all readings exceed.
    Median,
}

/// How near to the exact sum: a number, or `exact`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ToleranceRequest {
    /// Relative to the range of each field's readings.
    Relative(f64),
    /// `exact`: the sum over all stations for every cell.
    Named(String),
}

/// λ: one number, or one a station.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Smoothing {
    /// The same for every station.
    One(f64),
    /// One a station.
    Each(Vec<f64>),
}

/// The older convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub enum CompatName {
    /// `scipy.interpolate.Rbf`, bug for bug.
    #[serde(rename = "scipy-rbf")]
    ScipyRbf,
}

/// What to do with several stations at one place, and several readings of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DuplicatesName {
    /// Refuse them.
    Error,
    /// Their mean.
    #[default]
    Mean,
    /// The first.
    First,
    /// The last.
    Last,
}

/// The numbers in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionName {
    /// 32-bit floating point.
    #[default]
    F32,
    /// 64-bit floating point.
    F64,
}

/// How readings are to be understood. All of it may be left out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadRequest {
    /// Only these times: each as precise as it is written (`2017-07-07`: the day), or a range
    /// `from/to` with both ends. Default: all.
    #[serde(default)]
    pub times: Vec<String>,
    /// Zone of times without an offset: `Asia/Shanghai` or `+08:00`. Default UTC.
    pub zone: Option<String>,
    /// Further ways in which missing readings are written.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Columns of a table whose names do not tell: `{"station": "Code"}`; roles are `station`,
    /// `lon`, `lat`, `time`, `variable`, `value`, `units`.
    #[serde(default)]
    pub columns: std::collections::BTreeMap<String, String>,
    /// Layout of a table. Default: found out.
    pub layout: Option<LayoutName>,
    /// Character between columns. Default: found out among comma, semicolon and tab.
    pub delimiter: Option<char>,
    /// Encoding of a table, such as `gb18030`. Default UTF-8.
    pub encoding: Option<String>,
    /// What readings are examined for, and which of them are believed.
    #[serde(default)]
    pub quality: QualityRequest,
    /// What is made of the readings of each station before anything is mapped. With any of it,
    /// `times` selects results, not readings.
    #[serde(default)]
    pub series: super::series::SeriesRequest,
}

/// How a table is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LayoutName {
    /// One row per station and time, a column per variable.
    Wide,
    /// One reading a row, with a column that names the variable.
    Long,
    /// One row per time and variable, a column per station.
    StationsAsColumns,
    /// A JSON document.
    Json,
}

/// Rows of readings by variable, in the order received.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(pub Vec<(String, Vec<Vec<Option<f64>>>)>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object: rows of readings by variable")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
                let mut variables: Vec<(String, Vec<Vec<Option<f64>>>)> = Vec::new();
                let mut known = HashSet::new();
                while let Some((name, rows)) = map.next_entry::<String, _>()? {
                    if !known.insert(name.clone()) {
                        let text = format!("variable `{name}` is given twice");
                        return Err(serde::de::Error::custom(text));
                    }
                    variables.push((name, rows));
                }
                Ok(Values(variables))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

fn kernel_schema() -> Object {
    // The older names stand beside ours.
    let others = ["inverse", "thin_plate", "auto"];
    let names = Kernel::ALL.into_iter().map(Kernel::name).chain(others);
    let description = "The radial function, also by the names of SciPy's older `Rbf`; or `auto` \
                       (the default): kernel, shape and smoothing of least leave-one-out error.";
    names_schema(names.collect(), description)
}

fn metric_schema() -> Object {
    let description = "What distance is: `chordal` (through the Earth, km; the default), \
                       `great_circle` (along it, km), or `planar` (coordinates as given).";
    names_schema(Metric::ALL.into_iter().map(Metric::name).collect(), description)
}

fn names_schema(names: Vec<&'static str>, description: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .description(Some(description))
        .build()
}
