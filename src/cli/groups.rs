//! Options that several commands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use isopleth_engine::covariates::{Covariate, Wanted};
use isopleth_engine::model::ModelError;
use isopleth_engine::uncertainty::Of;
use isopleth_engine::{Back, Background, Bound, Digits, Tolerance, TransformOf, Uncertainty};

use super::words::{
    parse_back, parse_bound, parse_bytes, parse_exceed, parse_level, parse_of, parse_tolerance,
    parse_transform,
};
use crate::failure::Failure;
use crate::series::SeriesArguments;

/// What to read and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Readings")]
pub(crate) struct ReadingArguments {
    /// Files of readings: CSV (wide, long, or stations as columns), JSON, GeoJSON points, Parquet, or
    /// NetCDF time series, also gzipped; `-` is standard input
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub(crate) readings: Vec<PathBuf>,
    /// Table of places (station, lon, lat) for readings that carry none
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) stations: Option<PathBuf>,
    /// Only this variable; may be given several times [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) variable: Vec<String>,
    /// Only these times: an instant, a day, or `from/to`; may be given several times [default: all]
    #[arg(long, value_name = "WHEN")]
    pub(crate) time: Vec<String>,
    /// Which column is what, where the names do not tell: `station=Code`, also lon, lat, time,
    /// variable, value, units; may be given several times
    #[arg(long, value_name = "ROLE=COLUMN")]
    pub(crate) column: Vec<String>,
    /// How the file is laid out [default: found out]
    #[arg(long, value_enum)]
    pub(crate) layout: Option<LayoutName>,
    /// A further way in which missing readings are written; may be given several times
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) missing: Vec<String>,
    /// Time zone of times without an offset: `Asia/Shanghai` or `+08:00` [default: UTC]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub(crate) zone: Option<String>,
    /// Character between columns [default: found out among , ; and tab]
    #[arg(long, value_name = "CHARACTER")]
    pub(crate) delimiter: Option<char>,
    /// Encoding of the text, such as `gb18030` [default: utf-8]
    #[arg(long, value_name = "NAME")]
    pub(crate) encoding: Option<String>,
    /// Several stations at one place, or several readings of one: error, mean, first or last
    #[arg(long, value_name = "RULE", default_value = "mean")]
    pub(crate) duplicates: String,
    #[command(flatten)]
    pub(crate) series: SeriesArguments,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LayoutName {
    /// One row per station and time, a column per variable
    Wide,
    /// One reading a row, with a parameter column
    Long,
    /// One row per time and variable, a column per station
    StationsAsColumns,
    /// A JSON document
    Json,
}

/// How the surface is made.
#[derive(Debug, Args)]
#[command(next_help_heading = "Method")]
pub(crate) struct MethodArguments {
    /// Radial function: auto (kernel, shape and smoothing of least leave-one-out error, for each
    /// variable), or linear, thin_plate_spline, cubic, quintic, multiquadric,
    /// inverse_multiquadric, inverse_quadratic, gaussian, exponential, matern32, matern52,
    /// wendland_c2, wendland_c4
    #[arg(long, default_value = "auto")]
    pub(crate) kernel: String,
    /// What auto chooses for: every variable, or every field (variable at one time)
    #[arg(long, value_name = "WHAT", default_value = "variable",
          value_parser = ["variable", "field"])]
    pub(crate) choose: String,
    /// Shape: multiplies distances (km, or the unit of planar coordinates); with --compat
    /// scipy-rbf it divides them
    #[arg(long)]
    pub(crate) epsilon: Option<f64>,
    /// λ on the diagonal; 0 goes through every reading [default: chosen by auto, else 0]
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) smoothing: Option<f64>,
    /// Degree of the drift, -1 (none) to 2 [default: the kernel's least, but at least 0]
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) degree: Option<i8>,
    /// Distance: chordal (through the Earth, km), great_circle (along it, km), or planar
    /// (coordinates as given)
    #[arg(long, default_value = "chordal")]
    pub(crate) metric: String,
    /// Two ranges: RATIO:ANGLE, along a direction in degrees from east (x) towards north (y) and across
    /// it, such as 2:30; none; or auto, which tries directions on networks of 48 to 500 stations
    /// with --kernel auto and is none else
    #[arg(long, value_name = "RATIO:ANGLE", default_value = "auto",
          value_parser = |text: &str| text.parse::<isopleth_engine::Directions>())]
    pub(crate) anisotropy: isopleth_engine::Directions,
    /// Give the numbers of SciPy's older `Rbf`
    #[arg(long, value_name = "scipy-rbf", value_parser = ["scipy-rbf"])]
    pub(crate) compat: Option<String>,
    /// Least value of a map: a number, or `pm25=5` for one variable, or `none`; may be given several
    /// times [default: 0 for concentrations known by name]
    #[arg(long, value_name = "[NAME=]VALUE", allow_negative_numbers = true, value_parser = parse_bound)]
    pub(crate) min: Vec<Bound>,
    /// Greatest value of a map, likewise [default: none]
    #[arg(long, value_name = "[NAME=]VALUE", allow_negative_numbers = true, value_parser = parse_bound)]
    pub(crate) max: Vec<Bound>,
    /// Map the readings transformed: none, sqrt, log, log:OFFSET, boxcox, boxcox:LAMBDA or boxcox:LAMBDA:OFFSET; for one
    /// variable `pm25=sqrt`; may be given several times. Of variables that are not negative only, and
    /// not beside a background or a covariate [default: chosen by auto, else none]
    #[arg(long, value_name = "[NAME=]TRANSFORM", value_delimiter = ',',
          value_parser = parse_transform)]
    pub(crate) transform: Vec<TransformOf>,
    /// The way back from a transform: mean (without bias), or median (half of all readings above)
    #[arg(long, value_name = "WAY", default_value = "mean", value_parser = parse_back)]
    pub(crate) back: Back,
    /// Make one station of all in a block of this size, in degrees or the planar unit, at the mean
    /// of their places with the mean of their readings: for networks beyond 20 000 stations
    #[arg(long, value_name = "SIZE")]
    pub(crate) thin: Option<f64>,
    /// Largest error of a grid beside the exact sum, relative to the range of the readings;
    /// `exact` sums over all stations for every cell
    #[arg(long, default_value = "1e-6", value_parser = parse_tolerance)]
    pub(crate) tolerance: Tolerance,
    /// Worker threads [default: the processors this process may use]
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Peak memory to keep, such as 500MB or 2GiB [default: half of what the system allows]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) memory: Option<u64>,
}

/// What readings are examined for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Quality")]
pub(crate) struct QualityArguments {
    /// Treat flagged readings as missing: none of them, the bad ones (flags range and place), or
    /// the suspect ones, too
    #[arg(long, value_name = "POLICY", default_value = "none")]
    pub(crate) reject: String,
    /// Flag values outside, such as pm25=0..1000, in the unit of the readings; may be given several
    /// times [default: what is known of the variable]
    #[arg(long, value_name = "VARIABLE=LOW..HIGH", allow_hyphen_values = true)]
    pub(crate) valid_range: Vec<String>,
    /// Flag larger changes in an hour, such as pm25=200; may be given several times [default: what
    /// is known of the variable]
    #[arg(long, value_name = "VARIABLE=CHANGE")]
    pub(crate) rate_limit: Vec<String>,
    /// Flag a value that so many readings in a row repeat, over as many hours less one; `off`
    #[arg(long, value_name = "READINGS", default_value = "8")]
    pub(crate) stuck: String,
    /// Flag readings that differ from what their neighbours tell by so many times the neighbours'
    /// own spread; `off`
    #[arg(long, value_name = "SPREADS", default_value = "5")]
    pub(crate) buddy: String,
    /// Flag stations outside this box
    #[arg(long, value_name = "W,S,E,N", allow_hyphen_values = true)]
    pub(crate) inside: Option<String>,
}

/// Where to evaluate.
#[derive(Debug, Args)]
#[command(next_help_heading = "Grid")]
pub(crate) struct GridArguments {
    /// west,south,east,north; west > east crosses the date line, south > north turns rows around
    #[arg(long, value_name = "W,S,E,N", allow_hyphen_values = true)]
    pub(crate) bounds: Option<String>,
    /// Columns and rows, such as 1400x1000
    #[arg(long, value_name = "NXxNY", conflicts_with = "resolution")]
    pub(crate) shape: Option<String>,
    /// Distance of neighbouring cells, in degrees or the planar unit: one number, or dx,dy
    #[arg(long, value_name = "STEP")]
    pub(crate) resolution: Option<String>,
    /// Plane of the grid: a PROJ string such as `+proj=lcc +lat_1=30 +lat_2=60 +lat_0=34 +lon_0=105
    /// +datum=WGS84`, or EPSG:32632; bounds and steps are then in its metres (degrees of a rotated
    /// pole), and stations remain in degrees
    #[arg(long, value_name = "PROJ", allow_hyphen_values = true, conflicts_with = "points_file")]
    pub(crate) crs: Option<String>,
    /// gridline: the bounds are the outermost nodes; pixel: the outermost cells' edges
    #[arg(long, default_value = "gridline")]
    pub(crate) registration: String,
    /// A CSV file of places (lon, lat, …) instead of a grid
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bounds", "shape", "resolution"],
          value_hint = ValueHint::FilePath)]
    pub(crate) points_file: Option<PathBuf>,
}

/// Where cells are wanted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Mask")]
pub(crate) struct MaskArguments {
    /// Map only within: `land` (built in), FILE.geojson (polygons), or FILE.nc:variable (where it is
    /// neither 0 nor missing); given several times, within all of them. Other cells hold the fill
    /// value
    #[arg(long, value_name = "AREA")]
    pub(crate) mask: Vec<String>,
    /// Map only within this distance of a station, such as 150km; a number in the planar unit
    #[arg(long, value_name = "DISTANCE")]
    pub(crate) mask_distance: Option<String>,
}

/// What is known besides the readings.
#[derive(Debug, Args)]
#[command(next_help_heading = "Background")]
pub(crate) struct BackgroundArguments {
    /// A first guess, such as a model's field: readings less it are interpolated, and it is added
    /// back (bilinear between its nodes). FILE.nc:variable, with the times of the readings or
    /// without any; with several variables pm25=FILE.nc:variable, once for each
    #[arg(long, value_name = "[NAME=]FILE.nc:VARIABLE")]
    pub(crate) background: Vec<String>,
    /// A linear dependence, such as on elevation: altitude=dem.nc:z takes it from the grid at cells,
    /// and at stations from the column `altitude` of the readings or of the table of stations, where
    /// there is one, else from the grid, too. NAME alone (a column) serves crossval. May be given several times
    #[arg(long, value_name = "NAME=FILE.nc:VARIABLE")]
    pub(crate) covariate: Vec<String>,
    /// Cells beyond what the stations have of a covariate get the nearest end of it
    #[arg(long, requires = "covariate")]
    pub(crate) covariate_clamp: bool,
}

impl BackgroundArguments {
    pub(crate) fn wanted(&self) -> Result<Vec<Background>, Failure> {
        let wrong = |error: ModelError| Failure::Usage(format!("--background {error}"));
        self.background.iter().map(|given| Background::file(given).map_err(wrong)).collect()
    }

    pub(crate) fn covariates(&self) -> Result<Wanted, Failure> {
        let wrong = |error: ModelError| {
            Failure::Usage(format!(
                "--covariate {error}; NAME=FILE.nc:variable, or NAME of a column"
            ))
        };
        let all = self.covariate.iter().map(|given| Covariate::parse(given).map_err(wrong));
        Ok(Wanted { all: all.collect::<Result<_, _>>()?, clamp: self.covariate_clamp })
    }
}

/// How numbers are kept.
#[derive(Debug, Args)]
#[command(next_help_heading = "File")]
pub(crate) struct StorageArguments {
    /// Numbers in the file: f32 or f64
    #[arg(long, default_value = "f32", value_parser = ["f32", "f64"])]
    pub(crate) precision: String,
    /// Significant digits kept in the file, 1 to 15, or `exact` [default: 4; exact with f64]
    #[arg(long, value_name = "N")]
    pub(crate) digits: Option<Digits>,
    /// Compression: none, fast, or small (some 10 % smaller in three times the time)
    #[arg(long, default_value = "fast", value_parser = ["none", "fast", "small"])]
    pub(crate) compress: String,
}

/// How sure the map is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Uncertainty")]
pub(crate) struct UncertaintyArguments {
    /// Give the standard deviation of the error at every cell, too: `reading` (a new reading there,
    /// with the smoothing; the default) or `field` (without it). Holds for --exceed and --quantile
    #[arg(long, value_name = "OF", num_args = 0..=1, require_equals = true,
          default_missing_value = "reading", value_parser = parse_of)]
    pub(crate) uncertainty: Option<Of>,
    /// Give the probability that a variable exceeds a threshold, in its unit: `pm25=75`; may be given
    /// several times
    #[arg(long, value_name = "VARIABLE=VALUE", value_parser = parse_exceed)]
    pub(crate) exceed: Vec<(String, f64)>,
    /// Give these quantiles of every variable: `0.05,0.95` bound a 90 % interval
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', value_parser = parse_level)]
    pub(crate) quantile: Vec<f64>,
}

impl UncertaintyArguments {
    pub(crate) fn wanted(&self) -> Uncertainty {
        Uncertainty {
            deviation: self.uncertainty.is_some(),
            exceed: self.exceed.clone(),
            quantiles: self.quantile.clone(),
            of: self.uncertainty.unwrap_or_default(),
        }
    }
}

/// What is kept from run to run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cache")]
pub(crate) struct CacheOptions {
    /// Folder in which the factorisation of a network, and its standard deviation on a grid, are kept
    /// for the next hour's run; `none` keeps nothing [default: ~/.cache/isopleth/factors]
    #[arg(long, value_name = "DIR", env = "ISOPLETH_CACHE_DIR", value_hint = ValueHint::DirPath)]
    pub(crate) cache: Option<PathBuf>,
    /// Largest size of that folder; what was used longest ago goes first
    #[arg(long, value_name = "BYTES", env = "ISOPLETH_CACHE_SIZE", default_value = "1GB",
          value_parser = parse_bytes)]
    pub(crate) cache_size: u64,
}

/// What is told on the way.
#[derive(Debug, Args)]
#[command(next_help_heading = "Told")]
pub(crate) struct TellArguments {
    /// Write the report as JSON; `-` is standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) report: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}
