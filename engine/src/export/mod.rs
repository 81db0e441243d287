//! Finished maps in other forms: a NetCDF file of ours becomes a picture, a GeoTIFF, lines and
//! bands, CoverageJSON, a table, or a smaller NetCDF file.
//!
//! ```text
//! Source (the file) + Selection (variables, times, bounds, stride) → a Form, row by row
//! ```
//!
//! What is read at once is bounded, whatever the size of the map; forms that must hold a whole
//! field say how many cells they take.

mod bands;
mod chosen;
mod contours;
mod coverage_json;
mod csv;
mod error;
mod gathered;
mod geokeys;
mod geotiff;
mod lettering;
mod levels;
mod netcdf;
mod palette;
mod parts;
mod picture;
mod png;
mod source;
mod tiff;
mod told;
mod values;

use std::fmt;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::str::FromStr;

pub use chosen::{Chosen, Selection, Span, Window};
pub use error::ExportError;
pub use gathered::{Cut, Gathered, Wanted};
pub use palette::Palette;
pub use parts::spaced;
pub use source::{Axis, MapVariable, Source, Space};
pub use told::Coordinate;
pub use values::{PlaceValues, Series, place_values};

use crate::error::Error;
use crate::output::AtomicFile;

/// A form that a map can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A smaller file with the same attributes.
    NetCdf,
    /// A cloud-optimised GeoTIFF.
    GeoTiff,
    /// A picture with a colour bar, or bare.
    Png,
    /// Isolines or isobands.
    GeoJson,
    /// `CoverageJSON`, domain `Grid`.
    CoverageJson,
    /// A row for each cell and time.
    Csv,
}

/// Name, endings of files, media type: the one place where forms are listed.
const FORMS: [(Form, &str, &[&str], &str); 6] = [
    (Form::NetCdf, "netcdf", &["nc", "nc4", "cdf"], "application/x-netcdf"),
    (
        Form::GeoTiff,
        "geotiff",
        &["tif", "tiff"],
        "image/tiff; application=geotiff; profile=cloud-optimized",
    ),
    (Form::Png, "png", &["png"], "image/png"),
    (Form::GeoJson, "geojson", &["geojson"], "application/geo+json"),
    (Form::CoverageJson, "covjson", &["covjson"], "application/prs.coverage+json"),
    (Form::Csv, "csv", &["csv"], "text/csv; charset=utf-8"),
];

impl Form {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::NetCdf, Self::GeoTiff, Self::Png, Self::GeoJson, Self::CoverageJson, Self::Csv];

    fn row(self) -> &'static (Self, &'static str, &'static [&'static str], &'static str) {
        FORMS.iter().find(|row| row.0 == self).expect("every form is listed; a test says so")
    }

    /// As it is asked for.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The ending of its files, without a dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        self.row().2[0]
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        self.row().3
    }

    /// By the ending of a file's name.
    ///
    /// # Errors
    /// [`ExportError::Form`], with the forms there are.
    pub fn of_path(path: &Path) -> Result<Self, ExportError> {
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        let found = FORMS.iter().find(|row| ending.as_deref().is_some_and(|e| row.2.contains(&e)));
        found.map(|row| row.0).ok_or_else(|| unknown(&path.display().to_string()))
    }
}

impl FromStr for Form {
    type Err = ExportError;

    /// By name or ending.
    fn from_str(text: &str) -> Result<Self, ExportError> {
        let given = text.trim().to_lowercase();
        let found = FORMS.iter().find(|row| row.1 == given || row.2.contains(&given.as_str()));
        found.map(|row| row.0).ok_or_else(|| unknown(text))
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NetCdf => "NetCDF",
            Self::GeoTiff => "GeoTIFF",
            Self::Png => "PNG",
            Self::GeoJson => "GeoJSON",
            Self::CoverageJson => "CoverageJSON",
            Self::Csv => "CSV",
        })
    }
}

fn unknown(given: &str) -> ExportError {
    let known: Vec<_> = FORMS.iter().map(|row| format!("{} (.{})", row.1, row.2[0])).collect();
    ExportError::Form { given: given.to_owned(), known: known.join(", ") }
}

/// How a form is made; each takes of it what it needs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Colours of a picture.
    pub palette: Palette,
    /// Values of the first and the last colour; the 2nd and 98th percentile otherwise.
    pub range: Option<[f64; 2]>,
    /// A picture without frame, a pixel for each cell, transparent where there is no value.
    pub bare: bool,
    /// Draw coasts on a picture.
    pub coast: bool,
    /// Pixels along the longer side of the map of a framed picture.
    pub size: usize,
    /// Levels of contours; round numbers otherwise.
    pub levels: Option<Vec<f64>>,
    /// Areas between levels, not lines.
    pub bands: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            palette: Palette::default(),
            range: None,
            bare: false,
            coast: false,
            size: 1000,
            levels: None,
            bands: false,
        }
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Names of the variables.
    pub variables: Vec<String>,
    /// How many times; 1 for a map without time.
    pub times: usize,
    /// Columns and rows of cells.
    pub shape: [usize; 2],
    /// Outer edges of the cells: least x, least y, largest x, largest y of the map's own axes.
    pub bounds: [f64; 4],
    /// What else is worth telling: the range of a picture, the number of contours.
    pub note: Option<String>,
}

/// Writes part of a map to a file that appears whole or not at all.
///
/// # Errors
/// [`Error::Export`] if the part or the form makes no sense; [`Error::Io`] if it cannot be written.
pub fn write(
    form: Form,
    source: &Source,
    selection: &Selection,
    options: &Options,
    path: &Path,
) -> Result<Summary, Error> {
    let place = AtomicFile::create(path)?;
    let summary = if form == Form::NetCdf {
        netcdf::write(source, selection, &place)
            .map_err(|message| Error::NetCdf { path: path.to_owned(), message })??
    } else {
        let mut out = BufWriter::with_capacity(1 << 18, place.file());
        let made = match form {
            Form::GeoTiff => geotiff::write(source, selection, &mut out),
            Form::Png => png::write(source, selection, options, &mut out),
            Form::GeoJson => contours::write(source, selection, options, &mut out),
            Form::CoverageJson => coverage_json::write(source, selection, &mut out),
            Form::Csv | Form::NetCdf => csv::write(source, selection, &mut out),
        };
        made.and_then(|summary| Ok(out.flush().map(|()| summary)?))
            .map_err(|error| at(path, error))?
    };
    place.commit()?;
    Ok(summary)
}

/// Writes the values at one place to a file that appears whole or not at all, as CSV or
/// `CoverageJSON`.
///
/// # Errors
/// As [`write()`]; [`ExportError::NotOfPlaces`] for another form.
pub fn write_values(
    form: Form,
    source: &Source,
    values: &PlaceValues,
    path: &Path,
) -> Result<(), Error> {
    let place = AtomicFile::create(path)?;
    let mut out = BufWriter::new(place.file());
    let made = match form {
        Form::CoverageJson => coverage_json::write_series(source, values, &mut out),
        Form::Csv => csv::write_series(source, values, &mut out),
        _ => Err(ExportError::NotOfPlaces { form }),
    };
    made.and_then(|()| Ok(out.flush()?)).map_err(|error| at(path, error))?;
    drop(out);
    place.commit()
}

/// An error of writing says which file.
fn at(path: &Path, error: ExportError) -> Error {
    match error {
        ExportError::Write(source) => Error::Io { action: "write", path: path.to_owned(), source },
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_listed_once_and_found_by_its_name_and_ending() {
        assert_eq!(FORMS.map(|row| row.0), Form::ALL);
        for form in Form::ALL {
            assert_eq!(form.name().parse::<Form>().expect("by name"), form);
            let path = format!("a.b/map.{}", form.extension().to_uppercase());
            assert_eq!(Form::of_path(Path::new(&path)).expect("by ending"), form);
        }
        for wrong in ["map", "map.gif", "map.", ".nc"] {
            let text = Form::of_path(Path::new(wrong)).expect_err(wrong).to_string();
            assert!(text.contains("geotiff (.tif)"), "{text}");
        }
    }
}
