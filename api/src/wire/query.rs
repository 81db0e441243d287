//! The choices of a request as query parameters, with the names of the command line's options. For
//! bodies that are a table; a JSON document brings its own.

use isopleth_engine::Bound;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::catalogue::YesNo;
use super::request::{
    BackName, ChooseName, CompatName, CompressName, DigitsRequest, DuplicatesName, GridRequest,
    LayoutName, MapRequest, MaskRequest, MethodRequest, OneOrTwo, PrecisionName, ReadRequest,
    RegistrationName, Smoothing, ToleranceRequest,
};
use super::uncertainty::{OfName, UncertaintyRequest};
use crate::error::{ApiError, Place};

/// The form of the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FormQuery {
    /// `netcdf`, `json`, or, for a list of points, `csv`; counts before the header `Accept`.
    #[param(example = "netcdf")]
    pub f: Option<String>,
}

/// Whether a map stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeepQuery {
    /// `true`: the map is kept, for as long as results of jobs are, and found again under `/v1/maps`. Those of
    /// jobs always are.
    pub keep: Option<YesNo>,
}

/// Where to map, for a body that is a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GridQuery {
    /// west,south,east,north
    #[param(example = "73,18,135,54")]
    pub bounds: Option<String>,
    /// Columns and rows: `1400x1000`.
    #[param(example = "1400x1000")]
    pub shape: Option<String>,
    /// Distance of neighbouring cells: one number, or dx,dy.
    #[param(example = "0.05")]
    pub resolution: Option<String>,
    /// What the bounds are. Default `gridline`.
    pub registration: Option<RegistrationName>,
    /// A grid in the plane of this system of coordinates: a PROJ string, or `EPSG:` and a number.
    #[param(example = "EPSG:32650")]
    pub crs: Option<String>,
    /// The numbers in the answer. Default `f32`.
    pub precision: Option<PrecisionName>,
    /// Significant digits kept in a NetCDF file, 1 to 15, or `exact`. Default 4, and `exact` with
    /// `f64`.
    #[param(example = "4")]
    pub digits: Option<String>,
    /// How hard a NetCDF file is compressed. Default `fast`.
    pub compress: Option<CompressName>,
    /// `land`: only cells on land. Polygons need a JSON document or a form.
    #[param(example = "land")]
    pub mask: Option<MaskName>,
    /// Only cells within so many km of a station; in the unit of a plane.
    #[param(example = "150")]
    pub mask_distance: Option<String>,
    /// The standard deviation beside the maps: of a new `reading` or of the `field`.
    pub uncertainty: Option<OfName>,
    /// The probability that a variable is above a threshold: `pm25=75`; may be given several times.
    #[serde(default)]
    pub exceed: Vec<String>,
    /// Quantiles of every variable.
    #[param(example = "0.05,0.95")]
    pub quantile: Option<String>,
}

/// An area that the service knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MaskName {
    /// The land of the Earth.
    Land,
}

/// How to read a table, and how the surface is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MethodQuery {
    /// The radial function, see `/v1/kernels`; or `auto` (default), by leave-one-out errors.
    #[param(example = "linear")]
    pub kernel: Option<String>,
    /// What `auto` chooses for: `variable` (default) or `field`.
    pub choose: Option<ChooseName>,
    /// The shape ε.
    pub epsilon: Option<String>,
    /// λ on the diagonal: one number, or one a station with commas. Default: chosen by `auto`, or 0.
    pub smoothing: Option<String>,
    /// Degree of the drift, −1 (none) to 2.
    pub degree: Option<String>,
    /// Two ranges, `RATIO:ANGLE` such as `2:30` (degrees from east towards north); `none`; or `auto` (default).
    pub anisotropy: Option<String>,
    /// A grid that the operator of the service has, taken off the readings and added back: its name, or
    /// `pm25=ctm` for one variable; may be given several times. Default: none.
    #[serde(default)]
    pub background: Vec<String>,
    /// A grid that values depend on, such as elevation: its name; may be given several times. Default: none.
    #[serde(default)]
    pub covariate: Vec<String>,
    /// `true`: cells beyond what the stations have of a covariate get the nearest end of it.
    pub covariate_clamp: Option<YesNo>,
    /// `chordal` (default), `great_circle` or `planar`.
    #[param(example = "chordal")]
    pub metric: Option<String>,
    /// The numbers of SciPy's older `Rbf`.
    pub compat: Option<CompatName>,
    /// Several stations at one place, or several readings of one. Default `mean`.
    pub duplicates: Option<DuplicatesName>,
    /// Largest error of a grid beside the exact sum, or `exact`. Default 1e-6.
    #[param(example = "1e-6")]
    pub tolerance: Option<String>,
    /// Least value of the map: a number, or `pm25=5` for one variable, or `none`; may be given several
    /// times. Default: 0 for concentrations known by name.
    #[serde(default)]
    pub min: Vec<String>,
    /// Greatest value, likewise. Default: none.
    #[serde(default)]
    pub max: Vec<String>,
    /// In what form readings are mapped: `none`, `sqrt`, `log[:OFFSET]`, `boxcox[:LAMBDA[:OFFSET]]`; for
    /// one variable `pm25=sqrt`; may be given several times. Default: chosen by `auto`, or `none`.
    #[serde(default)]
    pub transform: Vec<String>,
    /// The way back from a transform. Default `mean`.
    pub back: Option<BackName>,
    /// Make one station of all in a block of this size, in degrees or the planar unit.
    pub thin: Option<String>,
    /// Of a cross-validation: how stations are left out together, besides one at a time: a number of
    /// parts, `block:KM` or `town:KM`; may be given several times.
    #[serde(default)]
    pub folds: Vec<String>,
    /// Only this variable; may be given several times.
    #[serde(default)]
    pub variable: Vec<String>,
    /// Only these times: an instant, a day, or `from/to`; may be given several times.
    #[serde(default)]
    pub time: Vec<String>,
    /// Which column is what: `station=Code`, also lon, lat, time, variable, value, units; may be
    /// given several times.
    #[serde(default)]
    pub column: Vec<String>,
    /// A further way in which missing readings are written; may be given several times.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Layout of the table. Default: found out.
    pub layout: Option<LayoutName>,
    /// Zone of times without an offset.
    pub zone: Option<String>,
    /// Character between columns.
    pub delimiter: Option<char>,
    /// Encoding of the table.
    pub encoding: Option<String>,
}

/// Parameters that may be given several times.
const LISTS: [&str; 15] = [
    "background",
    "covariate",
    "exceed",
    "folds",
    "variable",
    "time",
    "column",
    "missing",
    "min",
    "max",
    "transform",
    "detection-limit",
    "valid-range",
    "rate-limit",
    "datetime",
];

/// A query taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or("").as_bytes());
        Self { pairs: pairs.into_owned().collect() }
    }

    /// Takes out the parameters that a structure has, and reads them.
    ///
    /// # Errors
    /// 422 with the parameter's name: a value it cannot have, or one given twice.
    pub(crate) fn take<T: IntoParams + DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        let params = T::into_params(|| None);
        let mut fields = Map::new();
        let mut left = Vec::new();
        for (name, value) in self.pairs.drain(..) {
            if !params.iter().any(|param| param.name == name) {
                left.push((name, value));
            } else if LISTS.contains(&name.as_str()) {
                let list = fields.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    list.push(value.into());
                }
            } else if fields.contains_key(&name) {
                let text = format!("parameter `{name}` is given twice; give it once");
                return Err(wrong(&name, text));
            } else {
                fields.insert(name, value.into());
            }
        }
        self.pairs = left;
        serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
            let name = error.path().to_string();
            let text = format!("parameter `{name}`: {}", error.inner());
            wrong(&name, text)
        })
    }

    /// # Errors
    /// 422 with the name of a parameter that nobody took.
    pub(crate) fn nothing_left(&self, why: &str) -> Result<(), ApiError> {
        match self.pairs.first() {
            None => Ok(()),
            Some((name, _)) => Err(wrong(name, format!("unknown parameter `{name}`; {why}"))),
        }
    }
}

fn wrong(parameter: &str, text: String) -> ApiError {
    ApiError::meaningless(text)
        .at(Place { parameter: Some(parameter.to_owned()), ..Place::default() })
}

/// The same request as a document, without readings.
///
/// # Errors
/// 422 with the name of a parameter whose text is no number, or not as many as needed.
pub(crate) fn document(grid: &GridQuery, method: MethodQuery) -> Result<MapRequest, ApiError> {
    let registration = grid.registration.unwrap_or_default();
    let (shape, resolution) = (
        grid.shape.as_deref().map(shape_of).transpose()?,
        grid.resolution.as_deref().map(resolution_of).transpose()?,
    );
    let bounds = grid.bounds.as_deref().map(bounds_of).transpose()?;
    if let (None, true) = (bounds, shape.is_some() || resolution.is_some()) {
        let text = "a grid needs its bounds: west,south,east,north";
        return Err(wrong("bounds", text.to_owned()));
    }
    Ok(MapRequest {
        grid: bounds.map(|bounds| GridRequest {
            bounds,
            shape,
            resolution,
            registration,
            crs: grid.crs.clone(),
        }),
        method: MethodRequest {
            kernel: method.kernel,
            choose: method.choose,
            epsilon: method.epsilon.map(|text| number("epsilon", &text)).transpose()?,
            smoothing: method.smoothing.as_deref().map(smoothing_of).transpose()?,
            degree: method.degree.as_deref().map(degree_of).transpose()?,
            anisotropy: method.anisotropy,
            background: method.background.iter().map(|text| background_of(text)).collect(),
            covariates: method.covariate,
            covariate_clamp: method.covariate_clamp == Some(YesNo::True),
            metric: method.metric,
            compat: method.compat,
            duplicates: method.duplicates,
            tolerance: method.tolerance.map(ToleranceRequest::Named),
            min: method.min.iter().map(|text| bound_of("min", text)).collect::<Result<_, _>>()?,
            max: method.max.iter().map(|text| bound_of("max", text)).collect::<Result<_, _>>()?,
            transform: method.transform.iter().map(|text| transform_of(text)).collect(),
            back: method.back,
            thin: method.thin.map(|text| number("thin", &text)).transpose()?,
        },
        precision: grid.precision.unwrap_or_default(),
        digits: grid.digits.clone().map(DigitsRequest::Named),
        compress: grid.compress.unwrap_or_default(),
        mask: mask_of(grid)?,
        uncertainty: uncertainty_of(grid)?,
        read: ReadRequest {
            times: method.time,
            zone: method.zone,
            missing: method.missing,
            columns: method.column.iter().map(|pair| role_of(pair)).collect::<Result<_, _>>()?,
            layout: method.layout,
            delimiter: method.delimiter,
            encoding: method.encoding,
            ..ReadRequest::default()
        },
        variables: method.variable,
        folds: method.folds,
        ..MapRequest::default()
    })
}

/// `sqrt` for every variable, `pm25=sqrt` for one.
fn transform_of(text: &str) -> (String, String) {
    let (name, wanted) = text.rsplit_once('=').unwrap_or(("*", text));
    (name.trim().to_owned(), wanted.trim().to_owned())
}

fn uncertainty_of(grid: &GridQuery) -> Result<Option<UncertaintyRequest>, ApiError> {
    let quantiles = grid.quantile.as_deref().map(|text| numbers("quantile", text)).transpose()?;
    if grid.uncertainty.is_none() && grid.exceed.is_empty() && quantiles.is_none() {
        return Ok(None);
    }
    let threshold = |text: &String| {
        let pair = text.rsplit_once('=').ok_or_else(|| {
            wrong("exceed", format!("exceed={text}: expected variable=value, such as pm25=75"))
        })?;
        Ok((pair.0.to_owned(), number("exceed", pair.1)?))
    };
    Ok(Some(UncertaintyRequest {
        deviation: grid.uncertainty.is_some(),
        of: grid.uncertainty.unwrap_or_default(),
        exceed: grid.exceed.iter().map(threshold).collect::<Result<_, ApiError>>()?,
        quantiles: quantiles.unwrap_or_default(),
    }))
}

fn mask_of(grid: &GridQuery) -> Result<Option<MaskRequest>, ApiError> {
    let distance = grid.mask_distance.as_deref();
    let distance = distance.map(|text| number("mask_distance", text)).transpose()?;
    let land = grid.mask.is_some();
    let asked = land || distance.is_some();
    Ok(asked.then_some(MaskRequest { land, distance, polygons: None }))
}

fn number(name: &str, text: &str) -> Result<f64, ApiError> {
    text.trim().parse().map_err(|_| wrong(name, format!("{name}={text}: expected a number")))
}

fn numbers(name: &str, text: &str) -> Result<Vec<f64>, ApiError> {
    text.split(',').map(|part| number(name, part)).collect()
}

fn bounds_of(text: &str) -> Result<[f64; 4], ApiError> {
    <[f64; 4]>::try_from(numbers("bounds", text)?).map_err(|got| {
        let text =
            format!("bounds={text}: expected west,south,east,north, not {} numbers", got.len());
        wrong("bounds", text)
    })
}

fn shape_of(text: &str) -> Result<[u64; 2], ApiError> {
    let sides = text.split_once(['x', 'X', '×', ',']);
    sides.and_then(|(nx, ny)| Some([nx.trim().parse().ok()?, ny.trim().parse().ok()?])).ok_or_else(
        || wrong("shape", format!("shape={text}: expected columns x rows, such as 1400x1000")),
    )
}

fn resolution_of(text: &str) -> Result<OneOrTwo, ApiError> {
    match *numbers("resolution", text)?.as_slice() {
        [step] => Ok(OneOrTwo::One(step)),
        [dx, dy] => Ok(OneOrTwo::Two([dx, dy])),
        _ => Err(wrong("resolution", format!("resolution={text}: expected a number, or dx,dy"))),
    }
}

fn smoothing_of(text: &str) -> Result<Smoothing, ApiError> {
    let mut each = numbers("smoothing", text)?;
    Ok(if each.len() == 1 { Smoothing::One(each.remove(0)) } else { Smoothing::Each(each) })
}

fn degree_of(text: &str) -> Result<i8, ApiError> {
    text.trim().parse().map_err(|_| {
        wrong("degree", format!("degree={text}: expected a whole number from -1 to 2"))
    })
}

fn bound_of(name: &str, text: &str) -> Result<(String, Option<f64>), ApiError> {
    let bound: Bound = text.parse().map_err(|reason| wrong(name, reason))?;
    Ok((bound.variable.unwrap_or_else(|| "*".to_owned()), bound.value))
}

/// Of one variable, or of the only one.
fn background_of(text: &str) -> (String, String) {
    let (variable, grid) = text.split_once('=').unwrap_or(("*", text));
    (variable.trim().to_owned(), grid.trim().to_owned())
}

fn role_of(pair: &str) -> Result<(String, String), ApiError> {
    let (role, column) = pair.split_once('=').ok_or_else(|| {
        wrong("column", format!("column={pair}: expected role=column, such as station=Code"))
    })?;
    Ok((role.to_owned(), column.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::series::SeriesQuery;

    fn read(query: &str) -> Result<MapRequest, (u16, Option<String>)> {
        let mut query = Query::parse(Some(query));
        let request = query.take::<GridQuery>().and_then(|grid| {
            let method = query.take::<MethodQuery>()?;
            let series = query.take::<SeriesQuery>()?;
            query.nothing_left("")?;
            let mut request = document(&grid, method)?;
            request.read.series = series.document()?;
            Ok(request)
        });
        request.map_err(|error| {
            let place = error.problem().errors.first().and_then(|place| place.parameter.clone());
            (error.status().as_u16(), place)
        })
    }

    #[test]
    fn a_query_says_the_same_as_a_document() {
        let query = "bounds=73,18,135,54&shape=1400x1000&registration=pixel&kernel=gaussian\
                     &epsilon=0.5&smoothing=1,2,3&degree=-1&metric=planar&compat=scipy-rbf\
                     &duplicates=first&precision=f64&digits=exact&compress=small&thin=0.5&variable=pm25&variable=so2&time=2017-07-07\
                     &column=station%3DCode&zone=%2B08:00&missing=xx&delimiter=;&layout=wide&average=8h&capture=0.5\
                     &stamp=end&day-zone=-05:00&step=1h&fill-gaps=3h&despike=5&detection-limit=pm25%3D2\
                     &detection-limit=so2%3D1&below-limit=drop";
        let document = r#"{"grid": {"bounds": [73,18,135,54], "shape": [1400,1000],
            "registration": "pixel"}, "precision": "f64", "digits": "exact", "compress": "small", "variables": ["pm25", "so2"],
            "method": {"kernel": "gaussian", "epsilon": 0.5, "smoothing": [1,2,3], "degree": -1,
            "metric": "planar", "compat": "scipy-rbf", "duplicates": "first", "thin": 0.5},
            "read": {"times": ["2017-07-07"], "zone": "+08:00", "missing": ["xx"],
            "columns": {"station": "Code"}, "delimiter": ";", "layout": "wide",
            "series": {"average": "8h", "capture": 0.5, "stamp": "end", "day_zone": "-05:00",
            "step": "1h", "fill_gaps": "3h", "despike": 5, "below_limit": "drop",
            "detection_limits": {"pm25": 2, "so2": 1}}}}"#;
        assert_eq!(read(query), Ok(serde_json::from_str(document).expect("a document")));
        assert_eq!(read(""), Ok(MapRequest::default()));
    }

    #[test]
    fn a_wrong_parameter_is_refused_by_its_name() {
        for (query, name) in [
            ("bonds=1,2,3,4", "bonds"),
            ("bounds=1,2,3", "bounds"),
            ("bounds=1,2,3,x", "bounds"),
            ("shape=10x10", "bounds"),
            ("bounds=1,2,3,4&shape=10", "shape"),
            ("bounds=1,2,3,4&shape=-1x5", "shape"),
            ("bounds=1,2,3,4&resolution=1,2,3", "resolution"),
            ("registration=centre", "registration"),
            ("epsilon=big", "epsilon"),
            ("epsilon=1&epsilon=2", "epsilon"),
            ("degree=1.5", "degree"),
            ("column=Code", "column"),
            ("compat=matlab", "compat"),
            ("bounds=1,2,3,4&compress=zip", "compress"),
            ("capture=most", "capture"),
            ("stamp=middle", "stamp"),
            ("detection-limit=pm25", "detection-limit"),
        ] {
            assert_eq!(read(query), Err((422, Some(name.to_owned()))), "{query}");
        }
    }
}
