//! Options of `isopleth export`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use isopleth_engine::export::{Form, Options, Palette, Selection};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  isopleth export map.nc -o map.png --coast --colours YlOrRd --time last
  isopleth export map.nc -o map.tif --variable pm25
  isopleth export map.nc -o bands.geojson --bands --levels 0,35,75,115,150 --time 2026-01-01T08
  isopleth export map.nc -o part.nc --bounds 110,30,120,40 --stride 2
  isopleth export map.nc -o beijing.csv --at 116.4,39.9")]
pub(crate) struct ExportArguments {
    /// A file that `isopleth map` made
    #[arg(value_name = "MAP.nc", value_hint = ValueHint::FilePath)]
    pub(crate) map: PathBuf,
    /// The file to write; its ending tells the form: .nc, .tif, .png, .geojson, .covjson, .csv
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// The form, whatever the ending: netcdf, geotiff, png, geojson, covjson, csv
    #[arg(long, value_name = "FORM", value_parser = parse_form)]
    pub(crate) format: Option<Form>,
    #[command(flatten)]
    pub(crate) part: PartArguments,
    #[command(flatten)]
    pub(crate) contours: ContourArguments,
    #[command(flatten)]
    pub(crate) picture: PictureArguments,
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Which part of the map.
#[derive(Debug, Args)]
#[command(next_help_heading = "Part")]
pub(crate) struct PartArguments {
    /// Only this variable or layer; may be given several times [default: all maps]
    #[arg(long, value_name = "NAME")]
    pub(crate) variable: Vec<String>,
    /// Only these times: an instant, a day, `from/to`, `first` or `last`; may be given several times
    /// [default: all]
    #[arg(long, value_name = "WHEN")]
    pub(crate) time: Vec<String>,
    /// Only cells within west,south,east,north in degrees (on a planar map in its unit)
    #[arg(long, value_name = "W,S,E,N", allow_hyphen_values = true, value_parser = parse_numbers::<4>)]
    pub(crate) bounds: Option<[f64; 4]>,
    /// Only every so manieth row and column
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) stride: usize,
    /// The values at one place for all times, between the centres of cells, with the layers beside
    /// the maps (.csv or .covjson)
    #[arg(long, value_name = "LON,LAT", allow_hyphen_values = true,
          conflicts_with_all = ["bounds", "stride"], value_parser = parse_numbers::<2>)]
    pub(crate) at: Option<[f64; 2]>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Contours (.geojson)")]
pub(crate) struct ContourArguments {
    /// Levels, ascending [default: about ten round numbers]
    #[arg(long, value_name = "A,B,…", allow_hyphen_values = true, value_delimiter = ',')]
    pub(crate) levels: Vec<f64>,
    /// Areas between levels
    #[arg(long, conflicts_with = "lines")]
    pub(crate) bands: bool,
    /// Lines along levels (the default)
    #[arg(long)]
    pub(crate) lines: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Picture (.png)")]
pub(crate) struct PictureArguments {
    /// Colours by name, `_r` behind it turns them round: viridis, cividis, inferno, magma, plasma,
    /// turbo, YlOrRd, YlGnBu, Blues, Greens, Greys, Reds, Spectral, RdYlBu, RdBu
    #[arg(long, value_name = "NAME", default_value = "viridis", value_parser = parse_palette)]
    pub(crate) colours: Palette,
    /// Values of the first and last colour [default: the 2nd and 98th percentile]
    #[arg(long, value_name = "LOW,HIGH", allow_hyphen_values = true, value_parser = parse_numbers::<2>)]
    pub(crate) range: Option<[f64; 2]>,
    /// No frame: a pixel for each cell, transparent where there is no value
    #[arg(long)]
    pub(crate) bare: bool,
    /// Draw coasts
    #[arg(long)]
    pub(crate) coast: bool,
    /// Pixels along the longer side of the map, in a frame
    #[arg(long, value_name = "PIXELS", default_value_t = 1000)]
    pub(crate) size: usize,
}

impl ExportArguments {
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            variables: self.part.variable.clone(),
            times: self.part.time.clone(),
            bounds: self.part.bounds,
            stride: self.part.stride,
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            palette: self.picture.colours,
            range: self.picture.range,
            bare: self.picture.bare,
            coast: self.picture.coast,
            size: self.picture.size,
            levels: (!self.contours.levels.is_empty()).then(|| self.contours.levels.clone()),
            bands: self.contours.bands,
        }
    }
}

fn parse_form(text: &str) -> Result<Form, String> {
    text.parse().map_err(|error: isopleth_engine::export::ExportError| error.to_string())
}

fn parse_palette(text: &str) -> Result<Palette, String> {
    text.parse().map_err(|error: isopleth_engine::export::ExportError| error.to_string())
}

fn parse_numbers<const N: usize>(text: &str) -> Result<[f64; N], String> {
    let numbers: Vec<f64> = text
        .split(',')
        .map(|part| part.trim().parse().map_err(|_| format!("`{part}` is not a number")))
        .collect::<Result<_, _>>()?;
    let count = numbers.len();
    numbers.try_into().map_err(|_| format!("{count} numbers given, {N} needed"))
}
