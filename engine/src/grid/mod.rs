//! Where to evaluate: axes of a grid with their cells, or a list of places.

mod axes;

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::axes::{axis, flat, nodes_of, on_sphere};
use crate::kernels;
use crate::projection::{Crs, CrsError};

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

impl Registration {
    /// Both, in the order of the documentation.
    pub const ALL: [Self; 2] = [Self::Gridline, Self::Pixel];

    /// The name used on the command line, over HTTP and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gridline => "gridline",
            Self::Pixel => "pixel",
        }
    }
}

impl fmt::Display for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Registration {
    type Err = kernels::Error;

    fn from_str(name: &str) -> Result<Self, kernels::Error> {
        Self::ALL.into_iter().find(|registration| registration.name() == name).ok_or_else(|| {
            kernels::Error::UnknownName {
                what: "registration",
                got: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            }
        })
    }
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

/// Nodes of one axis at most: its coordinates are kept in memory.
pub const LONGEST_AXIS: u64 = 10_000_000;

/// How far from a whole number of cells a resolution may be, relative to that number: enough for
/// one written with six digits.
const DIVIDES_WITHIN: f64 = 1e-6;

/// Why a grid makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum GridError {
    #[error("bounds {}: {problem}; they are west,south,east,north", show(bounds))]
    Bounds { bounds: [f64; 4], problem: &'static str },
    #[error(
        "bounds {} are {degrees} degrees wide; more than 360 would map places twice",
        show(bounds)
    )]
    TooWide { bounds: [f64; 4], degrees: f64 },
    #[error("a grid with 0 {axis} has no cells; give at least 1")]
    NoCells { axis: &'static str },
    #[error("{count:.0} {axis} are more than the limit of {limit}; choose a coarser grid")]
    TooManyNodes { axis: &'static str, count: f64, limit: u64 },
    #[error("a resolution of {value} is none; it must be a finite number above 0")]
    Resolution { value: f64 },
    #[error(
        "a resolution of {resolution} does not divide {extent} ({axis}) into whole cells; the \
         nearest that does is {nearest}"
    )]
    DoesNotDivide { axis: &'static str, resolution: f64, extent: f64, nearest: f64 },
    #[error("{nodes} {axis} between bounds that are equal; give 1, or other bounds")]
    NoExtent { axis: &'static str, nodes: u64 },
    #[error(transparent)]
    Crs(#[from] CrsError),
}

fn show(bounds: &[f64; 4]) -> String {
    bounds.map(|bound| bound.to_string()).join(",")
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
    crs: Option<Arc<Crs>>,
}

impl Grid {
    /// A grid from its bounds `[west, south, east, north]`: degrees if `spherical`, with longitudes
    /// from −180 to 360, else any unit.
    ///
    /// South above north makes the rows run from north to south. On the sphere, west above east
    /// means a grid across the date line (or across Greenwich, where longitudes run to 360); a
    /// full circle is allowed, and with gridline registration its last meridian repeats the first.
    /// Gridline nodes equal NumPy's `linspace(west, east, nx)` bit for bit.
    ///
    /// # Errors
    /// [`GridError`], if the bounds are no rectangle or the size does not fit them.
    pub fn from_bounds(
        bounds: [f64; 4],
        size: Size,
        registration: Registration,
        spherical: bool,
    ) -> Result<Self, GridError> {
        let [west, south, east, north] = if spherical { on_sphere(bounds)? } else { flat(bounds)? };
        let (nx, ny) = match size {
            Size::Shape { nx, ny } => (nx, ny),
            Size::Resolution { dx, dy } => (
                nodes_of("columns", east - west, dx, registration)?,
                nodes_of("rows", (north - south).abs(), dy, registration)?,
            ),
        };
        let (x, x_edges) = axis("columns", [west, east], nx, registration)?;
        let (y, mut y_edges) = axis("rows", [south, north], ny, registration)?;
        if spherical {
            // Cells around a pole end there.
            y_edges.iter_mut().for_each(|edge| *edge = edge.clamp(-90.0, 90.0));
        }
        Ok(Self { x, y, x_edges, y_edges, registration, spherical, crs: None })
    }

    /// A grid in the plane of a system of coordinates, from its bounds there: metres, or degrees of
    /// a rotated pole. South above north makes the rows run downwards.
    ///
    /// # Errors
    /// [`GridError`], if the bounds are no rectangle, the size does not fit them, or an outer node is
    /// no place on the Earth.
    pub fn projected(
        bounds: [f64; 4],
        size: Size,
        registration: Registration,
        crs: Crs,
    ) -> Result<Self, GridError> {
        let grid = Self::from_bounds(bounds, size, registration, false)?;
        // Where these planes end they end in a circle, a line or a row: around a rectangle that lies
        // across such an end some outer node is beyond it.
        for (k, &y) in grid.y.iter().enumerate() {
            let outer = k == 0 || k + 1 == grid.y.len();
            let step = if outer { 1 } else { grid.x.len().saturating_sub(1).max(1) };
            for &x in grid.x.iter().step_by(step) {
                crs.check(x, y)?;
            }
        }
        Ok(Self { crs: Some(Arc::new(crs)), ..grid })
    }

    /// The system of coordinates of its plane, if its cells lie in one and stations in degrees.
    #[must_use]
    pub fn crs(&self) -> Option<&Crs> {
        self.crs.as_deref()
    }

    /// Longitudes and latitudes of some cells of a row of a projected grid; none of any other.
    #[must_use]
    pub fn degrees(&self, row: usize, columns: Range<usize>) -> Option<[Vec<f64>; 2]> {
        let (crs, y) = (self.crs.as_ref()?, self.y[row]);
        let place = |&x: &f64| crs.to_degrees(x, y).unwrap_or([f64::NAN; 2]);
        let places = self.x[columns].iter().map(place);
        let (lon, lat) = places.map(|[lon, lat]| (lon, lat)).unzip();
        Some([lon, lat])
    }

    /// Columns: degrees east or x. Increasing, also across the date line: 170 … 190, as CF has it.
    #[must_use]
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// Rows: degrees north or y; increasing, or decreasing where south was given above north.
    #[must_use]
    pub fn y(&self) -> &[f64] {
        &self.y
    }

    /// Edges of the columns' cells, one more than columns. Column `i` lies between edges `i` and
    /// `i + 1`: half-way between gridline nodes, half a cell beyond the outermost.
    #[must_use]
    pub fn x_edges(&self) -> &[f64] {
        &self.x_edges
    }

    /// Edges of the rows' cells, one more than rows, in the order of the rows and within the poles.
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

/// A list of places from a table, its columns kept as they are. Reading it is beside the readings,
/// whose columns it shares.
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

#[cfg(test)]
mod tests;
