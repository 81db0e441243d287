//! Where to evaluate: axes of a grid with their cells, or a list of places.

use serde::{Deserialize, Serialize};

use crate::observations::{ReadError, ReadOptions, Source};

/// What the bounds of a grid mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// The bounds are the outermost nodes, as in `linspace`.
    #[default]
    Gridline,
    /// The bounds are the outer edges of the outermost cells; nodes are the centres of cells.
    Pixel,
}

/// How fine a grid is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Size {
    /// Number of columns and rows.
    Shape {
        /// Columns.
        nx: u64,
        /// Rows.
        ny: u64,
    },
    /// Distance of neighbouring columns and rows, in the unit of the bounds.
    Resolution {
        /// Of columns.
        dx: f64,
        /// Of rows.
        dy: f64,
    },
}

/// Why a grid makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GridError {
    /// Bounds that are no rectangle.
    #[error("bounds {bounds:?}: {problem}; they are west,south,east,north")]
    Bounds {
        /// As given.
        bounds: [f64; 4],
        /// What is wrong.
        problem: &'static str,
    },
}

/// A rectangular grid: two axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    x: Vec<f64>,
    y: Vec<f64>,
    x_edges: Vec<f64>,
    y_edges: Vec<f64>,
    registration: Registration,
    spherical: bool,
}

impl Grid {
    /// A grid from its bounds `[west, south, east, north]`.
    ///
    /// # Errors
    /// [`GridError`]
    pub fn from_bounds(
        bounds: [f64; 4],
        size: Size,
        registration: Registration,
        spherical: bool,
    ) -> Result<Self, GridError> {
        let _ = (bounds, size, registration, spherical);
        unimplemented!("in the next commit")
    }

    /// Columns: degrees east or x. Increasing, beyond 180 (up to 540) where the grid crosses the
    /// date line.
    #[must_use]
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// Rows: degrees north or y; increasing, or decreasing where south was given above north.
    #[must_use]
    pub fn y(&self) -> &[f64] {
        &self.y
    }

    /// Edges of the columns' cells, one more than columns.
    #[must_use]
    pub fn x_edges(&self) -> &[f64] {
        &self.x_edges
    }

    /// Edges of the rows' cells, one more than rows.
    #[must_use]
    pub fn y_edges(&self) -> &[f64] {
        &self.y_edges
    }

    /// What its bounds meant.
    #[must_use]
    pub fn registration(&self) -> Registration {
        self.registration
    }

    /// Whether its coordinates are degrees.
    #[must_use]
    pub fn is_spherical(&self) -> bool {
        self.spherical
    }
}

/// A list of places from a table, its columns kept as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// Names of the table's columns.
    pub header: Vec<String>,
    /// Its cells, row by row.
    pub rows: Vec<Vec<String>>,
    /// Degrees east or x of each row.
    pub x: Vec<f64>,
    /// Degrees north or y of each row.
    pub y: Vec<f64>,
}

impl Places {
    /// Reads a table of places. Of the options, those on columns, delimiter, encoding and
    /// coordinates count.
    ///
    /// # Errors
    /// [`ReadError`], which says where and what to do.
    pub fn read(source: Source, options: &ReadOptions) -> Result<Self, ReadError> {
        let _ = (source, options);
        unimplemented!("in the next commit")
    }

    /// Places from coordinates, with columns `x, y` (`lon, lat` unless `planar`).
    ///
    /// # Errors
    /// [`ReadError`] with a JSON pointer `/{index}` if a coordinate is out of range or not finite.
    pub fn from_coordinates(places: &[[f64; 2]], planar: bool) -> Result<Self, ReadError> {
        let _ = (places, planar);
        unimplemented!("in the next commit")
    }
}

/// Where to evaluate.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// A grid.
    Grid(Grid),
    /// A list of places: one row, a column a place.
    Points(Places),
}

impl Targets {
    /// `grid` or `points`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Grid(_) => "grid",
            Self::Points(_) => "points",
        }
    }

    /// Rows; 1 for a list of places.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::Grid(grid) => grid.y.len(),
            Self::Points(_) => 1,
        }
    }

    /// Columns; the number of places for a list.
    #[must_use]
    pub fn columns(&self) -> usize {
        match self {
            Self::Grid(grid) => grid.x.len(),
            Self::Points(places) => places.x.len(),
        }
    }

    /// Cells of a field.
    #[must_use]
    pub fn cells(&self) -> u64 {
        self.rows() as u64 * self.columns() as u64
    }

    /// West, south, east, north of the outermost nodes or places.
    #[must_use]
    pub fn bounds(&self) -> [f64; 4] {
        let (x, y) = match self {
            Self::Grid(grid) => (&grid.x, &grid.y),
            Self::Points(places) => (&places.x, &places.y),
        };
        let least = |axis: &[f64]| axis.iter().copied().fold(f64::INFINITY, f64::min);
        let most = |axis: &[f64]| axis.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        [least(x), least(y), most(x), most(y)]
    }
}
