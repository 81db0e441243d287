//! A request as the engine's types. What was wrong is told with a pointer into the document.

use std::collections::BTreeMap;

use isopleth_engine::grid::{GridError, Size};
use isopleth_engine::kernels::{self, Convention, Method, Metric, Smoothing};
use isopleth_engine::mask::MaskError;
use isopleth_engine::observations::{Columns, Layout, Parts, Station, Variable};
use isopleth_engine::{
    Area, Auto, Back, Bound, Bounds, Choice, Crs, Directions, Duplicates, Each, Error, Folds, Grid,
    Masks, Places, ReadOptions, Registration, Settings, Targets, Tolerance, TransformOf,
    Transforms,
};
use isopleth_engine::{Compression, Precision, Storage};

use super::request::{
    BackName, ChooseName, CompatName, CompressName, DigitsRequest, DuplicatesName, GridRequest,
    LayoutName, MapRequest, MaskRequest, MethodRequest, OneOrTwo, Point, PrecisionName,
    ReadRequest, RegistrationName, Smoothing as SmoothingRequest, ToleranceRequest,
};
use super::{beside, uncertainty};
use crate::error::ApiError;
use crate::grids::Grids;

/// What a request asks for.
#[derive(Debug)]
pub(crate) struct Order {
    /// Where; a cross-validation has none.
    pub(crate) targets: Option<Targets>,
    /// How.
    pub(crate) settings: Settings,
    /// How to read readings.
    pub(crate) options: ReadOptions,
    /// How stations are left out together, in a cross-validation.
    pub(crate) folds: Vec<Folds>,
    /// Readings, unless they come as a table.
    pub(crate) parts: Option<Parts>,
}

/// What the service adds to every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct House<'a> {
    pub(crate) threads: Option<usize>,
    pub(crate) memory_bytes: u64,
    pub(crate) max_cells: u64,
    pub(crate) max_stations: usize,
    pub(crate) max_variables: usize,
    pub(crate) grids: &'a Grids,
}

impl Order {
    /// # Errors
    /// 422 with a pointer to what makes no sense, 413 for a grid beyond the limit.
    pub(crate) fn new(request: MapRequest, house: House<'_>) -> Result<Self, ApiError> {
        let metric = metric_of(&request.method)?;
        let planar = !metric.is_spherical();
        let duplicates = duplicates_of(request.method.duplicates.unwrap_or_default());
        let targets = match (request.grid.as_ref(), request.points.as_deref()) {
            (Some(_), Some(_)) => {
                let text = "both a grid and points are given; give one of them";
                return Err(ApiError::meaningless(text).at_pointer("/points"));
            }
            (Some(grid), None) => Some(Targets::Grid(grid_of(grid, !planar, house.max_cells)?)),
            (None, Some(points)) => Some(Targets::Points(places_of(points, planar, house)?)),
            (None, None) => None,
        };
        let options = ReadOptions {
            // Several codes may share a place; the plan counts places.
            max_stations: house.max_stations.saturating_mul(4),
            max_variables: house.max_variables,
            beside: request.method.covariates.clone(),
            ..options_of(&request.read, &request.variables, planar, duplicates)?
        };
        let settings = Settings {
            method: choice_of(&request.method, metric)?,
            duplicates,
            thin: request.method.thin,
            storage: storage_of(&request)?,
            tolerance: tolerance_of(&request.method)?,
            bounds: Bounds {
                min: bounds_of(&request.method.min),
                max: bounds_of(&request.method.max),
            },
            transforms: transforms_of(&request.method)?,
            threads: house.threads,
            memory_bytes: Some(house.memory_bytes),
            uncertainty: uncertainty::wanted(request.uncertainty.as_ref()),
            quality: request.read.quality.rules()?,
            masks: masks_of(request.mask.as_ref(), !planar)?,
            // Of files that the operator named: a service reads none that a request names.
            backgrounds: beside::backgrounds(&request.method, house.grids)?,
            covariates: beside::covariates(&request.method, house.grids)?,
        };
        let folds = folds_of(&request.folds)?;
        Ok(Self { targets, settings, options, folds, parts: parts_of(request)? })
    }
}

fn masks_of(mask: Option<&MaskRequest>, spherical: bool) -> Result<Masks, ApiError> {
    let Some(mask) = mask else { return Ok(Masks::default()) };
    let wrong =
        |error: MaskError, pointer: &str| ApiError::from(Error::from(error)).at_pointer(pointer);
    let mut areas = Vec::new();
    if mask.land {
        if !spherical {
            return Err(wrong(MaskError::LandInAPlane, "/mask/land"));
        }
        areas.push(Area::land());
    }
    if let Some(polygons) = &mask.polygons {
        let area = Area::from_geojson("polygons", polygons.to_string().as_bytes(), spherical);
        areas.push(area.map_err(|error| wrong(error, "/mask/polygons"))?);
    }
    Ok(Masks { areas, distance: mask.distance })
}

fn metric_of(method: &MethodRequest) -> Result<Metric, ApiError> {
    let name = method.metric.as_deref();
    name.map_or(Ok(Metric::default()), |name| named(name.parse(), "/method/metric"))
}

fn storage_of(request: &MapRequest) -> Result<Storage, ApiError> {
    let precision = match request.precision {
        PrecisionName::F32 => Precision::F32,
        PrecisionName::F64 => Precision::F64,
    };
    let compression = match request.compress {
        CompressName::None => Compression::None,
        CompressName::Fast => Compression::Fast,
        CompressName::Small => Compression::Small,
    };
    let digits = request.digits.as_ref().map(|digits| match digits {
        DigitsRequest::Keep(number) => number.to_string(),
        DigitsRequest::Named(name) => name.clone(),
    });
    let digits = digits.map(|text| {
        text.parse().map_err(|e: String| ApiError::meaningless(e).at_pointer("/digits"))
    });
    Ok(Storage::new(precision, digits.transpose()?, compression))
}

fn tolerance_of(method: &MethodRequest) -> Result<Tolerance, ApiError> {
    let text = match &method.tolerance {
        None => return Ok(Tolerance::default()),
        Some(ToleranceRequest::Relative(number)) => format!("{number:e}"),
        Some(ToleranceRequest::Named(name)) => name.clone(),
    };
    text.parse().map_err(|e: String| ApiError::meaningless(e).at_pointer("/method/tolerance"))
}

/// The method told, or what the choice by the readings is to keep to.
fn choice_of(method: &MethodRequest, metric: Metric) -> Result<Choice, ApiError> {
    let MethodRequest { epsilon, degree, .. } = *method;
    let anisotropy: Directions = match method.anisotropy.as_deref() {
        None => Directions::Auto,
        Some(text) => text.parse().map_err(|error: String| {
            ApiError::meaningless(error).at_pointer("/method/anisotropy")
        })?,
    };
    let kernel = method.kernel.as_deref().filter(|name| *name != "auto");
    let Some(kernel) = kernel else {
        let smoothing = match &method.smoothing {
            None => None,
            Some(SmoothingRequest::One(one)) => Some(*one),
            Some(SmoothingRequest::Each(_)) => {
                let text = "a smoothing for each station needs a kernel: auto chooses one for all";
                return Err(ApiError::meaningless(text).at_pointer("/method/smoothing"));
            }
        };
        if method.compat.is_some() {
            let text = "compat chooses nothing: name the kernel, as the script does";
            return Err(ApiError::meaningless(text).at_pointer("/method/kernel"));
        }
        let each = match method.choose.unwrap_or_default() {
            ChooseName::Variable => Each::Variable,
            ChooseName::Field => Each::Field,
        };
        return Ok(Choice::Auto(Auto {
            metric,
            epsilon,
            smoothing,
            degree,
            each,
            kernels: Vec::new(),
            anisotropy,
        }));
    };
    Ok(Choice::Told(Method {
        kernel: named(kernel.parse(), "/method/kernel")?,
        epsilon,
        smoothing: match &method.smoothing {
            None => Smoothing::default(),
            Some(SmoothingRequest::One(one)) => Smoothing::Same(*one),
            Some(SmoothingRequest::Each(each)) => Smoothing::PerStation(each.clone()),
        },
        degree,
        metric,
        convention: match method.compat {
            None => Convention::Native,
            Some(CompatName::ScipyRbf) => Convention::ScipyRbf,
        },
        anisotropy: anisotropy.told(),
    }))
}

/// Those of every variable come first, so that one of a single variable holds.
fn bounds_of(bounds: &BTreeMap<String, Option<f64>>) -> Vec<Bound> {
    let bound = |(name, &value): (&String, &Option<f64>)| Bound {
        variable: Some(name.clone()).filter(|name| name != "*"),
        value,
    };
    let mut all: Vec<Bound> = bounds.iter().map(bound).collect();
    all.sort_by_key(|bound| bound.variable.is_some());
    all
}

/// Those of every variable come first, as bounds do.
fn transforms_of(method: &MethodRequest) -> Result<Transforms, ApiError> {
    let told = |(name, text): (&String, &String)| {
        let wanted = text.parse().map_err(|reason: String| {
            ApiError::meaningless(reason).at_pointer("/method/transform")
        })?;
        Ok(TransformOf { variable: Some(name.clone()).filter(|name| name != "*"), wanted })
    };
    let mut all: Vec<TransformOf> =
        method.transform.iter().map(told).collect::<Result<_, ApiError>>()?;
    all.sort_by_key(|of| of.variable.is_some());
    let back = match method.back.unwrap_or_default() {
        BackName::Mean => Back::Mean,
        BackName::Median => Back::Median,
    };
    Ok(Transforms { told: all, back })
}

fn folds_of(folds: &[String]) -> Result<Vec<Folds>, ApiError> {
    let read = |(k, text): (usize, &String)| {
        text.parse().map_err(|reason: String| {
            ApiError::meaningless(reason).at_pointer(format!("/folds/{k}"))
        })
    };
    folds.iter().enumerate().map(read).collect()
}

/// A name that the engine knows, or its list of those it does.
fn named<T>(parsed: Result<T, kernels::Error>, pointer: &str) -> Result<T, ApiError> {
    parsed.map_err(|error| ApiError::from(Error::from(error)).at_pointer(pointer))
}

fn duplicates_of(name: DuplicatesName) -> Duplicates {
    match name {
        DuplicatesName::Error => Duplicates::Error,
        DuplicatesName::Mean => Duplicates::Mean,
        DuplicatesName::First => Duplicates::First,
        DuplicatesName::Last => Duplicates::Last,
    }
}

fn grid_of(grid: &GridRequest, spherical: bool, max_cells: u64) -> Result<Grid, ApiError> {
    let size = match (grid.shape, grid.resolution) {
        (Some([nx, ny]), None) => Size::Shape { nx, ny },
        (None, Some(OneOrTwo::One(step))) => Size::Resolution { dx: step, dy: step },
        (None, Some(OneOrTwo::Two([dx, dy]))) => Size::Resolution { dx, dy },
        (None, None) => {
            let text = "how fine is the grid? give its shape or its resolution";
            return Err(ApiError::meaningless(text).at_pointer("/grid"));
        }
        (Some(_), Some(_)) => {
            let text = "both shape and resolution are given; give one of them";
            return Err(ApiError::meaningless(text).at_pointer("/grid/resolution"));
        }
    };
    keep_the_limit(cells_of(grid, size), max_cells)?;
    let registration = match grid.registration {
        RegistrationName::Gridline => Registration::Gridline,
        RegistrationName::Pixel => Registration::Pixel,
    };
    if let Some(crs) = &grid.crs {
        let wrong = |error: GridError| ApiError::from(Error::from(error)).at_pointer("/grid/crs");
        if !spherical {
            let text = "a grid in the plane of crs takes stations in degrees; leave the metric \
                        planar out, or crs";
            return Err(ApiError::meaningless(text).at_pointer("/grid/crs"));
        }
        let crs: Crs = crs.parse().map_err(GridError::from).map_err(wrong)?;
        return Grid::projected(grid.bounds, size, registration, crs).map_err(wrong);
    }
    Grid::from_bounds(grid.bounds, size, registration, spherical)
        .map_err(|error| ApiError::from(Error::from(error)))
}

/// About how many cells a grid will have: enough to refuse one whose axes alone would fill the
/// memory. The plan counts exactly.
fn cells_of(grid: &GridRequest, size: Size) -> f64 {
    let [west, south, east, north] = grid.bounds;
    match size {
        #[expect(clippy::cast_precision_loss, reason = "a limit needs no 53 bits")]
        Size::Shape { nx, ny } => (nx as f64).max(1.0) * (ny as f64).max(1.0),
        Size::Resolution { dx, dy } => {
            let (wide, high) = ((east - west).abs() / dx, (north - south).abs() / dy);
            wide.max(1.0) * high.max(1.0)
        }
    }
}

fn keep_the_limit(cells: f64, limit: u64) -> Result<(), ApiError> {
    // Twice the limit leaves room for ends that count or not; NaN and the like are nonsense, which
    // the grid itself refuses with a better sentence.
    #[expect(clippy::cast_precision_loss, reason = "a limit needs no 53 bits")]
    let far_above = cells.is_finite() && cells > 2.0 * limit as f64;
    if !far_above {
        return Ok(());
    }
    let text = format!(
        "number of cells is {cells:.3e}, more than the limit of {limit}; choose a coarser grid or \
         a smaller area"
    );
    Err(ApiError::too_large(text).at_pointer("/grid"))
}

fn places_of(points: &[Point], planar: bool, house: House<'_>) -> Result<Places, ApiError> {
    #[expect(clippy::cast_precision_loss, reason = "a limit needs no 53 bits")]
    keep_the_limit(points.len() as f64, house.max_cells)?;
    if points.is_empty() {
        let text = "no points; give at least one, or a grid";
        return Err(ApiError::meaningless(text).at_pointer("/points"));
    }
    let places: Vec<[f64; 2]> = points.iter().map(|point| [point.lon, point.lat]).collect();
    Places::from_coordinates(&places, planar)
        .map_err(|error| ApiError::from(Error::from(error)).below("/points"))
}

fn options_of(
    read: &ReadRequest,
    variables: &[String],
    planar: bool,
    duplicates: Duplicates,
) -> Result<ReadOptions, ApiError> {
    let delimiter = read.delimiter.map(|character| {
        u8::try_from(character).ok().filter(u8::is_ascii).ok_or_else(|| {
            ApiError::meaningless(format!("delimiter {character:?}: expected an ASCII character"))
                .at_pointer("/read/delimiter")
        })
    });
    Ok(ReadOptions {
        layout: read.layout.map(|layout| match layout {
            LayoutName::Wide => Layout::Wide,
            LayoutName::Long => Layout::Long,
            LayoutName::StationsAsColumns => Layout::StationsAsColumns,
            LayoutName::Json => Layout::Json,
        }),
        columns: columns_of(read)?,
        variables: variables.to_vec(),
        times: read.times.clone(),
        missing: read.missing.clone(),
        zone: read.zone.clone(),
        delimiter: delimiter.transpose()?,
        encoding: read.encoding.clone(),
        planar,
        duplicates,
        series: read.series.treatment()?,
        ..ReadOptions::default()
    })
}

fn columns_of(read: &ReadRequest) -> Result<Columns, ApiError> {
    let mut columns = Columns::default();
    for (role, column) in &read.columns {
        let place = match role.as_str() {
            "station" => &mut columns.station,
            "lon" | "x" => &mut columns.x,
            "lat" | "y" => &mut columns.y,
            "time" => &mut columns.time,
            "variable" => &mut columns.variable,
            "value" => &mut columns.value,
            "units" => &mut columns.units,
            _ => {
                let text = format!(
                    "no column has the role `{role}`; roles are station, lon, lat, time, \
                     variable, value, units"
                );
                return Err(ApiError::meaningless(text).at_pointer("/read/columns"));
            }
        };
        *place = Some(column.clone());
    }
    Ok(columns)
}

/// Readings in the document, if it has any.
fn parts_of(request: MapRequest) -> Result<Option<Parts>, ApiError> {
    let MapRequest { stations, times, values, mut units, .. } = request;
    let (stations, values) = match (stations, values) {
        (None, None) if times.is_none() && units.is_empty() => return Ok(None),
        (Some(stations), Some(values)) => (stations, values),
        (None, _) => return Err(without("stations")),
        (Some(_), None) => return Err(without("values")),
    };
    let stations = stations.into_iter().enumerate().map(|(k, station)| Station {
        id: station.id.unwrap_or_else(|| format!("#{}", k + 1)),
        x: station.lon,
        y: station.lat,
    });
    let mut variables = Vec::with_capacity(values.0.len());
    for (name, rows) in values.0 {
        let units = units.remove(&name);
        variables.push((Variable { name, units }, rows));
    }
    if let Some(name) = units.into_keys().next() {
        let text = format!("a unit is given for `{name}`, which has no values");
        return Err(ApiError::meaningless(text).at_pointer("/units"));
    }
    let times = times.unwrap_or_default();
    check_times(&times)?;
    Ok(Some(Parts { stations: stations.collect(), times, values: variables }))
}

/// Times in order and none twice, as far as they can be read: what cannot is told later, with its reason.
fn check_times(times: &[String]) -> Result<(), ApiError> {
    // With an offset, or all in one zone, where no hour comes twice.
    let read = |text: &String| {
        let civil = || text.parse::<jiff::civil::DateTime>().ok().map(|time| (false, time));
        let utc = |time: jiff::Timestamp| (true, time.to_zoned(jiff::tz::TimeZone::UTC).datetime());
        text.parse().map(utc).ok().or_else(civil)
    };
    for (k, pair) in times.windows(2).enumerate() {
        let (Some(before), Some(after)) = (read(&pair[0]), read(&pair[1])) else { continue };
        if before.0 == after.0 && before >= after {
            let how = if before == after { "the same as" } else { "before" };
            let text = format!(
                "time {} ({}) is {how} the one before it ({}); times ascend, each once",
                k + 2,
                pair[1],
                pair[0]
            );
            return Err(ApiError::meaningless(text).at_pointer(format!("/times/{}", k + 1)));
        }
    }
    Ok(())
}

fn without(field: &'static str) -> ApiError {
    ApiError::meaningless(format!(
        "the document has no `{field}`; readings are stations, times and values together"
    ))
    .at_pointer(format!("/{field}"))
}
