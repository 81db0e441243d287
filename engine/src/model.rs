//! A variable of a NetCDF file on a grid of two axes, step by step: a model's field or a map of
//! elevation. Axes and times are read at once, values one step at a time, so that memory is that of the
//! steps in use, whatever the file.

use std::path::{Path, PathBuf};

use netcdf::{AttributeValue, Extent, File, Variable};

use crate::bilinear::{Between, Slab};
use crate::cf_time;
use crate::gridded::{GriddedError, Nodes, is_x, number_of};
use crate::observations::UnixSeconds;
use crate::report::iso_8601;
use crate::units::Conversion;

/// Cells of a step at most: 8 bytes each while it is in use.
const MOST_CELLS: usize = 100_000_000;

/// Steps of a file at most.
const MOST_STEPS: usize = 10_000_000;

/// Why a file cannot serve.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum ModelError {
    #[error("`{given}` is none; give FILE.nc:variable")]
    Form { given: String },
    #[error("{}: cannot be read: {message}", path.display())]
    File { path: PathBuf, message: String },
    #[error(transparent)]
    Gridded(#[from] GriddedError),
    #[error(
        "{}: variable `{variable}` has dimensions {dimensions}; needed are latitude and longitude \
         (or y and x), each more than 1 long, and at most a time with units such as `hours since \
         2017-07-07`; pick one level of others first", path.display()
    )]
    Dimensions { path: PathBuf, variable: String, dimensions: String },
    #[error(
        "{}: the axes of `{variable}` reach {reach}, which are no degrees; only grids with a \
         latitude and a longitude axis are read", path.display()
    )]
    NotDegrees { path: PathBuf, variable: String, reach: String },
    #[error(
        "{}: the times of `{variable}` are in `{units}`{calendar}, which is not understood; needed \
         are seconds, minutes, hours or days since a date of the standard calendar", path.display()
    )]
    Times { path: PathBuf, variable: String, units: String, calendar: String },
    #[error(
        "{}: `{variable}` has {steps} times and the readings carry none; cut the file to one time, \
         or give readings with a time", path.display()
    )]
    Untimed { path: PathBuf, variable: String, steps: usize },
    #[error(
        "{}: `{variable}` has no step at {wanted}; the nearest are {nearest} (it has {steps}). \
         Steps are not interpolated: map times that it has (--time), or give a file that has this \
         one", path.display()
    )]
    NoStep { path: PathBuf, variable: String, wanted: String, nearest: String, steps: usize },
}

impl ModelError {
    /// The file that it is about, if there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Form { .. } => None,
            Self::Gridded(error) => Some(error.path()),
            Self::File { path, .. }
            | Self::Dimensions { path, .. }
            | Self::NotDegrees { path, .. }
            | Self::Times { path, .. }
            | Self::Untimed { path, .. }
            | Self::NoStep { path, .. } => Some(path),
        }
    }

    /// Whether the machine failed, not what is in the file.
    #[must_use]
    pub fn is_io(&self) -> bool {
        matches!(self, Self::File { .. })
    }
}

/// `FILE.nc:variable`, taken apart.
///
/// # Errors
/// [`ModelError::Form`], if there is no file or no variable in it.
pub(crate) fn file_and_variable(given: &str) -> Result<(PathBuf, String), ModelError> {
    match given.rsplit_once(':') {
        Some((path, variable)) if !path.is_empty() && !variable.is_empty() => {
            Ok((PathBuf::from(path), variable.to_owned()))
        }
        _ => Err(ModelError::Form { given: given.to_owned() }),
    }
}

/// The variable, without its values.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    path: PathBuf,
    variable: String,
    units: Option<String>,
    x: Nodes,
    y: Nodes,
    dimensions: Vec<Role>,
    /// In the order of the file; none where there is no dimension of time.
    times: Option<Vec<UnixSeconds>>,
}

/// What a dimension is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    X,
    Y,
    Time,
    /// Only 1 long.
    Single,
}

impl Model {
    /// Reads axes and times. On the sphere axes are degrees, and x comes round.
    pub(crate) fn open(path: &Path, name: &str, spherical: bool) -> Result<Self, ModelError> {
        let failed =
            |e: std::io::Error| ModelError::File { path: path.to_owned(), message: e.to_string() };
        std::fs::metadata(path).map_err(failed)?;
        let file = open(path)?;
        let variable = variable_of(&file, path, name)?;
        let (dimensions, names) = roles(&file, &variable, path)?;
        let find = |role: Role| {
            let at = dimensions.iter().position(|d| *d == role);
            at.map(|at| names[at].clone()).unwrap_or_default()
        };
        let axis = |dimension: String, turn: Option<f64>| {
            let at = file.variable(&dimension).and_then(|v| v.get_values::<f64, _>(..).ok());
            at.and_then(|at| Nodes::new(at, turn)).ok_or_else(|| GriddedError::Axis {
                path: path.to_owned(),
                variable: name.to_owned(),
                dimension,
            })
        };
        let y = axis(find(Role::Y), None)?;
        let x = axis(find(Role::X), spherical.then_some(360.0))?;
        let cells = x.at().len() * y.at().len();
        if cells > MOST_CELLS {
            return Err(too_large(path, name, cells));
        }
        let model = Self {
            times: times_of(&file, &find(Role::Time), path, name)?,
            units: text(&variable, "units"),
            path: path.to_owned(),
            variable: name.to_owned(),
            x,
            y,
            dimensions,
        };
        if spherical { model.check_degrees() } else { Ok(model) }
    }

    fn check_degrees(self) -> Result<Self, ModelError> {
        let [west, south, east, north] = self.bounds();
        // Rounded in 32 bits, too.
        if south >= -90.001 && north <= 90.001 && west >= -720.0 && east <= 720.0 {
            return Ok(self);
        }
        let reach = format!("{west} to {east} and {south} to {north}");
        Err(ModelError::NotDegrees { path: self.path, variable: self.variable, reach })
    }

    /// West, south, east and north of the outermost nodes.
    pub(crate) fn bounds(&self) -> [f64; 4] {
        let ends = |nodes: &Nodes| (nodes.at()[0], nodes.at()[nodes.at().len() - 1]);
        let ((west, east), (south, north)) = (ends(&self.x), ends(&self.y));
        [west, south, east, north]
    }

    /// The unit that the file tells.
    pub(crate) fn units(&self) -> Option<&str> {
        self.units.as_deref()
    }

    /// Where a longitude (or x) falls.
    pub(crate) fn column(&self, x: f64) -> Option<Between> {
        self.x.between(x)
    }

    /// Where a latitude (or y) falls.
    pub(crate) fn row(&self, y: f64) -> Option<Between> {
        self.y.between(y)
    }

    /// Bytes of a step while it is in use.
    pub(crate) fn slab_bytes(&self) -> u64 {
        // As it is read, and in order.
        2 * 8 * (self.x.at().len() * self.y.at().len()) as u64
    }

    /// Number of times; 1 without a dimension of time.
    pub(crate) fn step_count(&self) -> usize {
        self.times.as_ref().map_or(1, Vec::len)
    }

    /// For each of some times the step of the file that has it; 0 for all where the file has none.
    pub(crate) fn steps(&self, wanted: &[Option<UnixSeconds>]) -> Result<Vec<usize>, ModelError> {
        let Some(times) = &self.times else { return Ok(vec![0; wanted.len()]) };
        let mut order: Vec<usize> = (0..times.len()).collect();
        order.sort_by_key(|&step| times[step]);
        let step = |wanted: &Option<UnixSeconds>| match wanted {
            None if times.len() == 1 => Ok(0),
            None => Err(ModelError::Untimed {
                path: self.path.clone(),
                variable: self.variable.clone(),
                steps: times.len(),
            }),
            Some(wanted) => order
                .binary_search_by_key(wanted, |&step| times[step])
                .map(|at| order[at])
                .map_err(|after| self.no_step(*wanted, times, &order, after)),
        };
        wanted.iter().map(step).collect()
    }

    fn no_step(
        &self,
        wanted: UnixSeconds,
        times: &[UnixSeconds],
        order: &[usize],
        after: usize,
    ) -> ModelError {
        let around = [after.checked_sub(1), Some(after)];
        let near = around.into_iter().flatten().filter_map(|at| order.get(at));
        let nearest: Vec<String> = near.map(|&step| iso_8601(times[step])).collect();
        ModelError::NoStep {
            path: self.path.clone(),
            variable: self.variable.clone(),
            wanted: iso_8601(wanted),
            nearest: nearest.join(" and "),
            steps: times.len(),
        }
    }

    /// The values of a step, converted; rows and columns in ascending order of the axes.
    pub(crate) fn slab(&self, step: usize, conversion: Conversion) -> Result<Slab, ModelError> {
        let file = open(&self.path)?;
        let variable = variable_of(&file, &self.path, &self.variable)?;
        let extents: Vec<Extent> = self
            .dimensions
            .iter()
            .map(|role| match role {
                Role::X | Role::Y => Extent::from(..),
                Role::Time => Extent::from(step),
                Role::Single => Extent::from(0),
            })
            .collect();
        let raw = variable.get_values::<f64, _>(extents).map_err(|e| unreadable(&self.path, &e))?;
        let (rows, columns) = (self.y.at().len(), self.x.at().len());
        if raw.len() != rows * columns {
            // Somebody wrote the file anew meanwhile.
            let message = "it changed while it was read".to_owned();
            return Err(ModelError::File { path: self.path.clone(), message });
        }
        let decode = Decoding::of(&variable);
        let transposed = self.dimensions.iter().find(|d| matches!(d, Role::X | Role::Y));
        let transposed = transposed == Some(&Role::X);
        let turned =
            |nodes: &Nodes, k: usize| if nodes.is_turned() { nodes.at().len() - 1 - k } else { k };
        let value = |at: usize| {
            let (row, column) = (turned(&self.y, at / columns), turned(&self.x, at % columns));
            let from = if transposed { column * rows + row } else { row * columns + column };
            conversion.apply(decode.value(raw[from]))
        };
        Ok(Slab::new((0..raw.len()).map(value).collect(), columns))
    }

    /// BLAKE3 of the whole file, in hexadecimal.
    pub(crate) fn digest(&self) -> Result<String, ModelError> {
        let failed = |e: std::io::Error| ModelError::File {
            path: self.path.clone(),
            message: e.to_string(),
        };
        let file = std::fs::File::open(&self.path).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file).map_err(failed)?;
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// `model.nc:pm25`: the file without its folders.
    pub(crate) fn name(&self) -> String {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("{file}:{}", self.variable)
    }

    /// The variable alone.
    pub(crate) fn variable(&self) -> &str {
        &self.variable
    }
}

/// As CF packs values: fill values missing, the others scaled and moved.
struct Decoding {
    missing: Vec<f64>,
    scale: f64,
    offset: f64,
}

impl Decoding {
    fn of(variable: &Variable<'_>) -> Self {
        let number =
            |name: &str| variable.attribute_value(name).and_then(Result::ok).and_then(number_of);
        Self {
            missing: ["_FillValue", "missing_value"].into_iter().filter_map(number).collect(),
            scale: number("scale_factor").unwrap_or(1.0),
            offset: number("add_offset").unwrap_or(0.0),
        }
    }

    fn value(&self, raw: f64) -> f64 {
        // The fill value of files that do not name one is 9.97e36.
        if self.missing.contains(&raw) || !raw.is_finite() || raw.abs() > 9e36 {
            f64::NAN
        } else if self.scale == 1.0 && self.offset == 0.0 {
            raw
        } else {
            raw.mul_add(self.scale, self.offset)
        }
    }
}

fn open(path: &Path) -> Result<File, ModelError> {
    crate::output::silence_hdf5();
    netcdf::open(path).map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, error: &netcdf::Error) -> ModelError {
    GriddedError::Unreadable { path: path.to_owned(), message: error.to_string() }.into()
}

fn too_large(path: &Path, variable: &str, cells: usize) -> ModelError {
    let (path, variable) = (path.to_owned(), variable.to_owned());
    GriddedError::TooLarge { path, variable, cells, limit: MOST_CELLS }.into()
}

fn variable_of<'f>(file: &'f File, path: &Path, name: &str) -> Result<Variable<'f>, ModelError> {
    file.variable(name).ok_or_else(|| {
        let known: Vec<String> = file.variables().map(|v| v.name()).collect();
        let (path, variable) = (path.to_owned(), name.to_owned());
        GriddedError::NoVariable { path, variable, known: known.join(", ") }.into()
    })
}

fn text(variable: &Variable<'_>, name: &str) -> Option<String> {
    match variable.attribute_value(name)?.ok()? {
        AttributeValue::Str(text) => Some(text).filter(|text| !text.trim().is_empty()),
        _ => None,
    }
}

/// What each dimension is, and its name.
fn roles(
    file: &File,
    variable: &Variable<'_>,
    path: &Path,
) -> Result<(Vec<Role>, Vec<String>), ModelError> {
    let dimensions = variable.dimensions();
    let names: Vec<String> = dimensions.iter().map(netcdf::Dimension::name).collect();
    let is_time = |name: &String| {
        let units = file.variable(name).and_then(|v| text(&v, "units"));
        units.is_some_and(|units| cf_time::is_time(&units))
    };
    let time = names.iter().position(is_time);
    let long = |at: &usize| Some(*at) != time && dimensions[*at].len() != 1;
    let two: Vec<usize> = (0..names.len()).filter(long).collect();
    let [first, second] = two[..] else {
        let told = dimensions.iter().map(|d| format!("{} ({})", d.name(), d.len()));
        return Err(ModelError::Dimensions {
            path: path.to_owned(),
            variable: variable.name(),
            dimensions: told.collect::<Vec<_>>().join(", "),
        });
    };
    // CF leaves the order of dimensions free; nearly all write latitude first.
    let transposed = is_x(file, &names[first]) && !is_x(file, &names[second]);
    let (y, x) = if transposed { (second, first) } else { (first, second) };
    let role = |at: usize| match at {
        at if at == y => Role::Y,
        at if at == x => Role::X,
        at if Some(at) == time => Role::Time,
        _ => Role::Single,
    };
    Ok(((0..names.len()).map(role).collect(), names))
}

/// The instants of the dimension of time, if there is one.
fn times_of(
    file: &File,
    dimension: &str,
    path: &Path,
    name: &str,
) -> Result<Option<Vec<UnixSeconds>>, ModelError> {
    let Some(variable) = file.variable(dimension).filter(|_| !dimension.is_empty()) else {
        return Ok(None);
    };
    if variable.len() > MOST_STEPS {
        return Err(too_large(path, dimension, variable.len()));
    }
    let values = variable.get_values::<f64, _>(..).map_err(|e| unreadable(path, &e))?;
    let units = text(&variable, "units").unwrap_or_default();
    let calendar = text(&variable, "calendar");
    let instants = cf_time::instants(&values, &units, calendar.as_deref());
    instants.map(Some).ok_or_else(|| ModelError::Times {
        path: path.to_owned(),
        variable: name.to_owned(),
        units,
        calendar: calendar.map_or(String::new(), |name| format!(" of calendar `{name}`")),
    })
}
