//! A variable of a NetCDF file on a grid of one latitude and one longitude axis (or x and y), as
//! masks are given: its values, and where a place falls.

use std::path::{Path, PathBuf};

use netcdf::{AttributeValue, File, Variable};

/// Cells of such a variable at most: they are kept in memory, 4 bytes each.
const MOST_CELLS: usize = 250_000_000;

/// Why a variable cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum GriddedError {
    #[error("{}: cannot be read as NetCDF: {message}", path.display())]
    Unreadable { path: PathBuf, message: String },
    #[error("{}: has no variable `{variable}`; it has {known}", path.display())]
    NoVariable { path: PathBuf, variable: String, known: String },
    #[error(
        "{}: variable `{variable}` has dimensions {dimensions}; needed are two that are not 1 \
         long, latitude and longitude (or y and x)", path.display()
    )]
    Dimensions { path: PathBuf, variable: String, dimensions: String },
    #[error(
        "{}: dimension `{dimension}` of `{variable}` has no coordinate variable that goes up or \
         down throughout; only grids with one latitude and one longitude axis are read",
        path.display()
    )]
    Axis { path: PathBuf, variable: String, dimension: String },
    #[error(
        "{}: variable `{variable}` has {cells} cells, more than the limit of {limit}; cut it \
         to the area of the map", path.display()
    )]
    TooLarge { path: PathBuf, variable: String, cells: usize, limit: usize },
}

impl GriddedError {
    /// The file that it is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Unreadable { path, .. }
            | Self::NoVariable { path, .. }
            | Self::Dimensions { path, .. }
            | Self::Axis { path, .. }
            | Self::TooLarge { path, .. } => path,
        }
    }
}

/// Values where two axes cross.
#[derive(Clone, Debug, PartialEq)]
pub struct Gridded {
    x: Nodes,
    y: Nodes,
    /// `values[row * columns + column]`, NaN where missing.
    values: Vec<f32>,
}

/// One axis, ascending.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Nodes {
    at: Vec<f64>,
    /// Whether it descends in the file.
    turned: bool,
    /// Degrees after which it is the same place again.
    turn: Option<f64>,
}

impl Gridded {
    /// Reads `variable` of a file; dimensions that are 1 long are passed over. On the sphere the
    /// axes are degrees and x comes round.
    ///
    /// # Errors
    /// [`GriddedError`], if there is no such variable on such a grid.
    pub fn read(path: &Path, variable: &str, spherical: bool) -> Result<Self, GriddedError> {
        let unreadable = |e: netcdf::Error| GriddedError::Unreadable {
            path: path.to_owned(),
            message: e.to_string(),
        };
        crate::output::silence_hdf5();
        let file = netcdf::open(path).map_err(unreadable)?;
        let (path, name) = (path.to_owned(), variable.to_owned());
        let Some(variable) = file.variable(&name) else {
            let known: Vec<String> = file.variables().map(|v| v.name()).collect();
            let known = known.join(", ");
            return Err(GriddedError::NoVariable { path, variable: name, known });
        };
        let long: Vec<_> = variable.dimensions().iter().filter(|d| d.len() != 1).collect();
        let [first, second] = long[..] else {
            let dimensions: Vec<_> = variable
                .dimensions()
                .iter()
                .map(|d| format!("{} ({})", d.name(), d.len()))
                .collect();
            let dimensions = dimensions.join(", ");
            return Err(GriddedError::Dimensions { path, variable: name, dimensions });
        };
        let cells = first.len() * second.len();
        if cells > MOST_CELLS {
            return Err(GriddedError::TooLarge { path, variable: name, cells, limit: MOST_CELLS });
        }
        let axis = |dimension: &str, turn: Option<f64>| {
            let at = file.variable(dimension).and_then(|v| v.get_values::<f64, _>(..).ok());
            at.and_then(|at| Nodes::new(at, turn)).ok_or_else(|| GriddedError::Axis {
                path: path.clone(),
                variable: name.clone(),
                dimension: dimension.to_owned(),
            })
        };
        // CF leaves the order of dimensions free; nearly all write latitude first.
        let transposed = is_x(&file, &first.name()) && !is_x(&file, &second.name());
        let (down, across) = if transposed { (second, first) } else { (first, second) };
        let y = axis(&down.name(), None)?;
        let x = axis(&across.name(), spherical.then_some(360.0))?;
        let mut values = decoded(&variable).map_err(unreadable)?;
        if transposed {
            let (rows, columns) = (y.at.len(), x.at.len());
            values = (0..cells).map(|i| values[i % columns * rows + i / columns]).collect();
        }
        Ok(Self { x, y, values })
    }

    /// The value of the cell that a place lies in; none beyond half a cell outside of the grid, NaN
    /// where the file has none.
    #[must_use]
    pub fn nearest(&self, x: f64, y: f64) -> Option<f32> {
        Some(self.value(self.y.nearest(y)?, self.x.nearest(x)?))
    }

    /// The row of cells nearest to y.
    #[must_use]
    pub fn row(&self, y: f64) -> Option<usize> {
        self.y.nearest(y)
    }

    /// The column of cells nearest to x.
    #[must_use]
    pub fn column(&self, x: f64) -> Option<usize> {
        self.x.nearest(x)
    }

    /// The value of a cell.
    #[must_use]
    pub fn value(&self, row: usize, column: usize) -> f32 {
        let row = if self.y.turned { self.y.at.len() - 1 - row } else { row };
        let column = if self.x.turned { self.x.at.len() - 1 - column } else { column };
        self.values[row * self.x.at.len() + column]
    }
}

impl Nodes {
    /// None unless strictly monotonic.
    pub(crate) fn new(mut at: Vec<f64>, turn: Option<f64>) -> Option<Self> {
        let turned = at.len() > 1 && at[0] > at[1];
        if turned {
            at.reverse();
        }
        let ascends = at.len() > 1 && at.windows(2).all(|w| w[0] < w[1]);
        (ascends && at.iter().all(|v| v.is_finite())).then_some(Self { at, turned, turn })
    }

    /// The coordinates, ascending.
    pub(crate) fn at(&self) -> &[f64] {
        &self.at
    }

    /// Whether they descend in the file.
    pub(crate) fn is_turned(&self) -> bool {
        self.turned
    }

    /// After what it is the same place again.
    pub(crate) fn turn(&self) -> Option<f64> {
        self.turn
    }

    /// The node nearest to a coordinate, as far as half a cell beyond the ends.
    fn nearest(&self, at: f64) -> Option<usize> {
        let n = self.at.len();
        let (low, high) = (
            self.at[0] - (self.at[1] - self.at[0]) / 2.0,
            self.at[n - 1] + (self.at[n - 1] - self.at[n - 2]) / 2.0,
        );
        let at = self.turn.map_or(at, |turn| low + (at - low).rem_euclid(turn));
        if !(low..=high).contains(&at) {
            return None;
        }
        let after = self.at.partition_point(|&v| v < at).min(n - 1);
        let before = after.saturating_sub(1);
        Some(if at - self.at[before] < self.at[after] - at { before } else { after })
    }
}

/// The values as CF packs them: fill values missing, scaled and moved.
fn decoded(variable: &Variable<'_>) -> netcdf::Result<Vec<f32>> {
    let number =
        |name: &str| variable.attribute_value(name).and_then(Result::ok).and_then(number_of);
    let missing: Vec<f64> =
        ["_FillValue", "missing_value"].into_iter().filter_map(number).collect();
    let (scale, offset) =
        (number("scale_factor").unwrap_or(1.0), number("add_offset").unwrap_or(0.0));
    let mut values = variable.get_values::<f32, _>(..)?;
    for value in &mut values {
        let raw = f64::from(*value);
        // Missing values are written in the type of the variable, which may be wider than ours.
        #[expect(clippy::cast_possible_truncation, reason = "as the value was")]
        let is_missing = missing.iter().any(|&m| m as f32 == *value) || raw.abs() > 9e36;
        #[expect(clippy::cast_possible_truncation, reason = "masks and models need no 53 bits")]
        let decoded = if is_missing { f32::NAN } else { raw.mul_add(scale, offset) as f32 };
        *value = decoded;
    }
    Ok(values)
}

/// The first number of an attribute.
pub(crate) fn number_of(value: AttributeValue) -> Option<f64> {
    match value {
        AttributeValue::Uchar(v) => Some(v.into()),
        AttributeValue::Schar(v) => Some(v.into()),
        AttributeValue::Ushort(v) => Some(v.into()),
        AttributeValue::Short(v) => Some(v.into()),
        AttributeValue::Uint(v) => Some(v.into()),
        AttributeValue::Int(v) => Some(v.into()),
        AttributeValue::Float(v) => Some(v.into()),
        AttributeValue::Double(v) => Some(v),
        AttributeValue::Floats(v) => v.first().map(|&v| v.into()),
        AttributeValue::Doubles(v) => v.first().copied(),
        _ => None,
    }
}

/// Whether a dimension is longitude or x, by its coordinate's attributes or its name.
pub(crate) fn is_x(file: &File, dimension: &str) -> bool {
    let text = |name: &str| match file.variable(dimension)?.attribute_value(name)?.ok()? {
        AttributeValue::Str(text) => Some(text),
        _ => None,
    };
    text("axis").is_some_and(|axis| axis == "X")
        || text("standard_name").is_some_and(|name| name == "longitude")
        || text("units").is_some_and(|units| units.starts_with("degrees_e"))
        || ["lon", "longitude", "x"].contains(&dimension.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_node_is_found_as_far_as_half_a_cell_beyond_the_ends_and_round_the_earth() {
        let axis = Nodes::new(vec![0.0, 90.0, 180.0, 270.0], Some(360.0)).expect("an axis");
        let found = [-45.0, -46.0, 359.0, 44.0, 46.0, 270.0].map(|at| axis.nearest(at));
        assert_eq!(found, [Some(0), Some(3), Some(0), Some(0), Some(1), Some(3)]);
        let axis = Nodes::new(vec![3.0, 2.0, 1.0], None).expect("an axis");
        assert!(axis.turned);
        assert_eq!([0.4, 0.6, 3.5, 3.6].map(|at| axis.nearest(at)), [None, Some(0), Some(2), None]);
        assert!(Nodes::new(vec![1.0, 1.0], None).is_none());
        assert!(Nodes::new(vec![1.0], None).is_none());
    }
}
