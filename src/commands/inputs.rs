//! From arguments to the engine's types: names become values, and mistakes are told.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use isopleth_engine::grid::GridError;
use isopleth_engine::kernels::{Convention, Kernel, Method, Metric, Smoothing};
use isopleth_engine::observations::{Columns, Layout};
use isopleth_engine::{
    Area, Auto, Bounds, Choice, Compression, Crs, Duplicates, Each, Grid, Masks, Observations,
    Places, Precision, ReadOptions, Registration, Reject, Rules, Settings, Source, Storage,
    Targets, Transforms, grid,
};

use crate::cli::{
    GridArguments, LayoutName, MaskArguments, MethodArguments, QualityArguments, ReadingArguments,
    StorageArguments,
};
use crate::failure::Failure;

/// Reads the readings.
pub(crate) fn observations(
    arguments: &ReadingArguments,
    planar: bool,
) -> Result<Observations, Failure> {
    observations_beside(arguments, planar, &[])
}

/// The same with columns that are known beside them.
pub(crate) fn observations_beside(
    arguments: &ReadingArguments,
    planar: bool,
    aside: &[String],
) -> Result<Observations, Failure> {
    let options = ReadOptions {
        layout: arguments.layout.map(|layout| match layout {
            LayoutName::Wide => Layout::Wide,
            LayoutName::Long => Layout::Long,
            LayoutName::StationsAsColumns => Layout::StationsAsColumns,
            LayoutName::Json => Layout::Json,
        }),
        columns: columns(&arguments.column)?,
        variables: arguments.variable.clone(),
        beside: aside.to_vec(),
        times: arguments.time.clone(),
        missing: arguments.missing.clone(),
        zone: arguments.zone.clone(),
        delimiter: arguments.delimiter.map(delimiter).transpose()?,
        encoding: arguments.encoding.clone(),
        planar,
        stations: arguments.stations.clone().map(Source::File),
        duplicates: named(&arguments.duplicates)?,
        series: arguments.series.treatment(),
        ..ReadOptions::default()
    };
    let sources = arguments.readings.iter().map(|path| Source::File(path.clone())).collect();
    Ok(Observations::read(sources, options)?)
}

/// The choices of the method.
pub(crate) fn settings(
    arguments: &MethodArguments,
    duplicates: &str,
    storage: Storage,
) -> Result<Settings, Failure> {
    if arguments.threads == Some(0) {
        return Err(Failure::Usage("--threads 0: at least one thread is needed".to_owned()));
    }
    Ok(Settings {
        method: choice(arguments)?,
        duplicates: named::<Duplicates>(duplicates)?,
        thin: arguments.thin,
        storage,
        tolerance: arguments.tolerance,
        bounds: Bounds { min: arguments.min.clone(), max: arguments.max.clone() },
        transforms: Transforms { told: arguments.transform.clone(), back: arguments.back },
        threads: arguments.threads,
        memory_bytes: arguments.memory,
        ..Settings::default()
    })
}

/// The method told, or what auto is to keep to.
fn choice(arguments: &MethodArguments) -> Result<Choice, Failure> {
    let MethodArguments { epsilon, smoothing, degree, .. } = *arguments;
    let metric = metric(arguments)?;
    let convention =
        if arguments.compat.is_some() { Convention::ScipyRbf } else { Convention::Native };
    if arguments.kernel == "auto" && convention == Convention::Native {
        let each = if arguments.choose == "field" { Each::Field } else { Each::Variable };
        return Ok(Choice::Auto(Auto {
            metric,
            epsilon,
            smoothing,
            degree,
            each,
            kernels: Vec::new(),
            anisotropy: arguments.anisotropy,
        }));
    }
    if arguments.kernel == "auto" {
        let text = "--compat scipy-rbf chooses nothing: name the kernel, as the script does";
        return Err(Failure::Usage(text.to_owned()));
    }
    let kernel = named::<Kernel>(&arguments.kernel)?;
    let smoothing = Smoothing::Same(smoothing.unwrap_or(0.0));
    let anisotropy = arguments.anisotropy.told();
    Ok(Choice::Told(Method { kernel, epsilon, smoothing, degree, metric, convention, anisotropy }))
}

/// What readings are examined for.
pub(crate) fn rules(arguments: &QualityArguments) -> Result<Rules, Failure> {
    let mut rules = Rules {
        reject: named::<Reject>(&arguments.reject)?,
        stuck: unless_off(&arguments.stuck, "--stuck", "a number of readings")?,
        buddy: unless_off(&arguments.buddy, "--buddy", "a number of spreads")?,
        ..Rules::default()
    };
    for text in &arguments.valid_range {
        rules.add_range(text).map_err(|error| Failure::Usage(error.to_string()))?;
    }
    for text in &arguments.rate_limit {
        rules.add_rate(text).map_err(|error| Failure::Usage(error.to_string()))?;
    }
    let bounds = arguments.inside.as_deref();
    rules.inside =
        bounds.map(|text| numbers(text, "--inside", "west,south,east,north")).transpose()?;
    Ok(rules)
}

fn unless_off<T: FromStr>(text: &str, option: &str, form: &str) -> Result<Option<T>, Failure> {
    if text == "off" {
        return Ok(None);
    }
    let wrong = |_| Failure::Usage(format!("{option} {text}: expected {form}, or `off`"));
    text.parse().map(Some).map_err(wrong)
}

/// The metric alone, known before anything is read: planar coordinates have no range to keep.
pub(crate) fn metric(arguments: &MethodArguments) -> Result<Metric, Failure> {
    named(&arguments.metric)
}

/// How numbers are kept; the parser lets through nothing but names we know.
pub(crate) fn storage(arguments: &StorageArguments) -> Storage {
    let precision = if arguments.precision == "f64" { Precision::F64 } else { Precision::F32 };
    let named = |compression: &Compression| compression.name() == arguments.compress;
    let compression = Compression::ALL.into_iter().find(named).unwrap_or_default();
    Storage::new(precision, arguments.digits, compression)
}

/// The grid, or the places of `--points-file`.
pub(crate) fn targets(arguments: &GridArguments, metric: Metric) -> Result<Targets, Failure> {
    if let Some(path) = &arguments.points_file {
        return places(path, metric);
    }
    let bounds = arguments.bounds.as_deref().ok_or_else(|| {
        Failure::Usage("where to map? give --bounds west,south,east,north or --points-file".into())
    })?;
    let bounds: [f64; 4] = numbers(bounds, "--bounds", "west,south,east,north")?;
    let size = match (&arguments.shape, &arguments.resolution) {
        (Some(shape), _) => shape_of(shape)?,
        (None, Some(step)) if step.contains(',') => {
            let [dx, dy] = numbers(step, "--resolution", "dx,dy")?;
            grid::Size::Resolution { dx, dy }
        }
        (None, Some(step)) => {
            let [step] = numbers(step, "--resolution", "one number or dx,dy")?;
            grid::Size::Resolution { dx: step, dy: step }
        }
        (None, None) => {
            let text = "how fine? give --shape 1400x1000 or --resolution 0.05";
            return Err(Failure::Usage(text.to_owned()));
        }
    };
    let registration: Registration = named(&arguments.registration)?;
    if let Some(crs) = &arguments.crs {
        if !metric.is_spherical() {
            let text = "--crs takes stations in degrees and measures along the Earth; leave \
                        --metric planar out, or project the stations yourself and leave --crs out";
            return Err(Failure::Usage(text.to_owned()));
        }
        let crs: Crs = crs.parse().map_err(GridError::from)?;
        return Ok(Targets::Grid(Grid::projected(bounds, size, registration, crs)?));
    }
    Ok(Targets::Grid(Grid::from_bounds(bounds, size, registration, metric.is_spherical())?))
}

/// The masks; files are read here.
pub(crate) fn masks(arguments: &MaskArguments, metric: Metric) -> Result<Masks, Failure> {
    let spherical = metric.is_spherical();
    let distance = arguments.mask_distance.as_deref();
    let distance = distance.map(|text| distance_of(text, spherical)).transpose()?;
    let areas = arguments.mask.iter().map(|given| Area::read(given, spherical));
    Ok(Masks { areas: areas.collect::<Result<_, _>>()?, distance })
}

/// `150km` or `150` on the sphere, a plain number in the plane.
fn distance_of(text: &str, spherical: bool) -> Result<f64, Failure> {
    let form = if spherical {
        "a number of km, such as 150km"
    } else {
        "a number in the unit of the plane"
    };
    let number = if spherical { text.trim().trim_end_matches("km") } else { text };
    number
        .trim()
        .parse()
        .map_err(|_| Failure::Usage(format!("--mask-distance {text}: expected {form}")))
}

/// A table of places.
pub(crate) fn places(path: &Path, metric: Metric) -> Result<Targets, Failure> {
    let options = ReadOptions { planar: !metric.is_spherical(), ..ReadOptions::default() };
    let source = Source::File(PathBuf::from(path));
    Ok(Targets::Points(Places::read(source, &options)?))
}

/// A choice by its name; a wrong one is a wrong command line.
fn named<T: FromStr>(name: &str) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    name.parse().map_err(|error: T::Err| Failure::Usage(error.to_string()))
}

fn shape_of(text: &str) -> Result<grid::Size, Failure> {
    text.split_once(['x', 'X', '×', ','])
        .and_then(|(nx, ny)| Some((nx.trim().parse().ok()?, ny.trim().parse().ok()?)))
        .map(|(nx, ny)| grid::Size::Shape { nx, ny })
        .ok_or_else(|| {
            Failure::Usage(format!("--shape {text}: expected columns x rows, such as 1400x1000"))
        })
}

fn numbers<const N: usize>(text: &str, option: &str, form: &str) -> Result<[f64; N], Failure> {
    let parsed: Option<Vec<f64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    parsed
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| Failure::Usage(format!("{option} {text}: expected {form}")))
}

fn delimiter(character: char) -> Result<u8, Failure> {
    u8::try_from(character)
        .ok()
        .filter(u8::is_ascii)
        .ok_or_else(|| Failure::Usage(format!("--delimiter {character}: expected an ASCII one")))
}

fn columns(pairs: &[String]) -> Result<Columns, Failure> {
    let mut columns = Columns::default();
    for pair in pairs {
        let wrong = || {
            Failure::Usage(format!(
                "--column {pair}: expected ROLE=COLUMN with role station, lon, lat, time, \
                 variable, value or units"
            ))
        };
        let (role, column) = pair.split_once('=').ok_or_else(wrong)?;
        let place = match role {
            "station" => &mut columns.station,
            "lon" | "x" => &mut columns.x,
            "lat" | "y" => &mut columns.y,
            "time" => &mut columns.time,
            "variable" => &mut columns.variable,
            "value" => &mut columns.value,
            "units" => &mut columns.units,
            _ => return Err(wrong()),
        };
        *place = Some(column.to_owned());
    }
    Ok(columns)
}
