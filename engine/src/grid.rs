//! Where to evaluate: axes of a grid with their cells, or a list of places.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

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

fn finite(bounds: [f64; 4]) -> Result<(), GridError> {
    if bounds.iter().all(|bound| bound.is_finite()) {
        return Ok(());
    }
    Err(GridError::Bounds { bounds, problem: "not all are finite numbers" })
}

fn flat(bounds: [f64; 4]) -> Result<[f64; 4], GridError> {
    finite(bounds)?;
    let [west, south, east, north] = bounds;
    if west > east {
        return Err(GridError::Bounds { bounds, problem: "west is greater than east" });
    }
    if !(east - west).is_finite() || !(north - south).is_finite() {
        return Err(GridError::Bounds { bounds, problem: "they are too far apart to subtract" });
    }
    Ok(bounds)
}

/// Checks degrees, and moves the east of a grid that crosses the date line east of its west.
fn on_sphere(bounds: [f64; 4]) -> Result<[f64; 4], GridError> {
    finite(bounds)?;
    let [west, south, mut east, north] = bounds;
    if [south, north].iter().any(|lat| !(-90.0..=90.0).contains(lat)) {
        return Err(GridError::Bounds { bounds, problem: "latitudes are within -90 and 90" });
    }
    if [west, east].iter().any(|lon| !(-180.0..=360.0).contains(lon)) {
        return Err(GridError::Bounds { bounds, problem: "longitudes are within -180 and 360" });
    }
    while east < west {
        east += 360.0;
    }
    if east - west > 360.0 {
        return Err(GridError::TooWide { bounds, degrees: east - west });
    }
    Ok([west, south, east, north])
}

/// Nodes of an axis with this resolution.
fn nodes_of(
    axis: &'static str,
    extent: f64,
    resolution: f64,
    registration: Registration,
) -> Result<u64, GridError> {
    if !(resolution.is_finite() && resolution > 0.0) {
        return Err(GridError::Resolution { value: resolution });
    }
    let cells = (extent / resolution).round();
    if cells > LONGEST_AXIS as f64 {
        return Err(GridError::TooManyNodes { axis, count: cells, limit: LONGEST_AXIS });
    }
    let off = (extent / resolution - cells).abs();
    if (cells == 0.0 && extent > 0.0) || off > DIVIDES_WITHIN * cells {
        let nearest = extent / cells.max(1.0);
        return Err(GridError::DoesNotDivide { axis, resolution, extent, nearest });
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number between 0 and LONGEST_AXIS"
    )]
    let cells = cells as u64;
    Ok(match registration {
        Registration::Gridline => cells + 1,
        Registration::Pixel => cells,
    })
}

/// Nodes, and edges of their cells.
fn axis(
    name: &'static str,
    [from, to]: [f64; 2],
    nodes: u64,
    registration: Registration,
) -> Result<(Vec<f64>, Vec<f64>), GridError> {
    if nodes == 0 {
        return Err(GridError::NoCells { axis: name });
    }
    if nodes > LONGEST_AXIS {
        let count = nodes as f64;
        return Err(GridError::TooManyNodes { axis: name, count, limit: LONGEST_AXIS });
    }
    if from == to && nodes > 1 {
        return Err(GridError::NoExtent { axis: name, nodes });
    }
    let numbers = || (0..nodes).map(|i| i as f64);
    let edge_numbers = || (0..=nodes).map(|i| i as f64);
    Ok(match registration {
        // `linspace` of one node is the start.
        Registration::Gridline if nodes == 1 => (vec![from], vec![from, to]),
        Registration::Gridline => {
            let step = (to - from) / (nodes - 1) as f64;
            let mut centres: Vec<f64> = numbers().map(|i| i * step + from).collect();
            if let Some(last) = centres.last_mut() {
                *last = to;
            }
            (centres, edge_numbers().map(|i| (i - 0.5) * step + from).collect())
        }
        Registration::Pixel => {
            let step = (to - from) / nodes as f64;
            let mut edges: Vec<f64> = edge_numbers().map(|i| i * step + from).collect();
            if let Some(last) = edges.last_mut() {
                *last = to;
            }
            (numbers().map(|i| (i + 0.5) * step + from).collect(), edges)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shape(bounds: [f64; 4], nx: u64, ny: u64, registration: Registration) -> Grid {
        Grid::from_bounds(bounds, Size::Shape { nx, ny }, registration, true).expect("a grid")
    }

    fn refusal(bounds: [f64; 4], size: Size, spherical: bool) -> String {
        Grid::from_bounds(bounds, size, Registration::Gridline, spherical)
            .expect_err("refused")
            .to_string()
    }

    const SMALL: Size = Size::Shape { nx: 3, ny: 3 };

    #[test]
    fn gridline_nodes_equal_numpys_linspace() {
        // NumPy's formula, `i * step + start` with the last one set, evaluated by Python.
        let grid = shape([73.0, 18.0, 135.0, 54.0], 7, 4, Registration::Gridline);
        let expected = [
            73.0,
            83.33333333333333,
            93.66666666666667,
            104.0,
            114.33333333333334,
            124.66666666666667,
            135.0,
        ];
        assert_eq!(grid.x(), expected);
        assert_eq!(grid.y(), [18.0, 30.0, 42.0, 54.0]);
    }

    #[test]
    fn pixel_bounds_are_the_outer_edges() {
        let grid = shape([0.0, -90.0, 360.0, 90.0], 4, 2, Registration::Pixel);
        assert_eq!(grid.x(), [45.0, 135.0, 225.0, 315.0]);
        assert_eq!(grid.x_edges(), [0.0, 90.0, 180.0, 270.0, 360.0]);
        assert_eq!(grid.y_edges(), [-90.0, 0.0, 90.0]);
    }

    #[test]
    fn west_above_east_crosses_the_date_line() {
        let grid = shape([170.0, -60.0, -170.0, -40.0], 5, 2, Registration::Gridline);
        assert_eq!(grid.x(), [170.0, 175.0, 180.0, 185.0, 190.0]);
        let greenwich = shape([300.0, 0.0, 20.0, 1.0], 3, 2, Registration::Gridline);
        assert_eq!(greenwich.x(), [300.0, 340.0, 380.0]);
    }

    #[test]
    fn a_full_circle_is_allowed_and_more_is_not() {
        assert_eq!(shape([-180.0, 0.0, 180.0, 1.0], 3, 2, Registration::Gridline).x()[2], 180.0);
        let error = refusal([-180.0, 0.0, 360.0, 1.0], SMALL, true);
        assert!(error.contains("540 degrees wide"), "{error}");
    }

    #[test]
    fn south_above_north_makes_rows_descend_and_edges_stay_within_the_poles() {
        let grid = shape([0.0, 90.0, 10.0, -90.0], 2, 3, Registration::Gridline);
        assert_eq!(grid.y(), [90.0, 0.0, -90.0]);
        assert_eq!(grid.y_edges(), [90.0, 45.0, -45.0, -90.0]);
    }

    #[test]
    fn a_resolution_must_divide_the_extent_and_the_nearest_that_does_is_told() {
        let grid = |dx, registration| {
            let size = Size::Resolution { dx, dy: 0.1 };
            Grid::from_bounds([73.0, 18.0, 135.0, 54.0], size, registration, true)
        };
        let fine = grid(0.1, Registration::Gridline).expect("divides");
        assert_eq!((fine.x().len(), fine.y().len()), (621, 361));
        assert_eq!(grid(0.1, Registration::Pixel).expect("divides").x().len(), 620);
        let error = grid(0.7, Registration::Gridline).expect_err("89 cells short").to_string();
        assert!(error.contains("nearest that does is 0.6966292134831461"), "{error}");
        for dx in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = grid(dx, Registration::Gridline).expect_err("none").to_string();
            assert!(error.contains("finite number above 0"), "{error}");
        }
        let error = grid(1e-9, Registration::Gridline).expect_err("too fine").to_string();
        assert!(error.contains("more than the limit"), "{error}");
        assert!(grid(100.0, Registration::Pixel).is_err(), "coarser than the bounds");
    }

    #[test]
    fn bounds_that_are_no_rectangle_are_refused() {
        for (bounds, spherical, words) in [
            ([0.0, -91.0, 1.0, 0.0], true, "latitudes are within -90 and 90"),
            ([-181.0, 0.0, 1.0, 1.0], true, "longitudes are within -180 and 360"),
            ([0.0, f64::NAN, 1.0, 0.0], true, "not all are finite"),
            ([0.0, 0.0, f64::INFINITY, 0.0], false, "not all are finite"),
            ([5.0, 0.0, 1.0, 1.0], false, "west is greater than east"),
            ([5.0, 0.0, 5.0, 1.0], true, "bounds that are equal"),
            ([180.0, 0.0, -180.0, 1.0], true, "bounds that are equal"),
            ([0.0, 1.0, 5.0, 1.0], false, "3 rows between bounds that are equal"),
        ] {
            let error = refusal(bounds, SMALL, spherical);
            assert!(error.contains(words), "{bounds:?}: {error}");
        }
    }

    #[test]
    fn a_grid_of_a_million_million_cells_is_two_axes_and_a_longer_one_is_refused() {
        let million = 1_000_000;
        let grid = shape([0.0, 0.0, 1.0, 1.0], million, million, Registration::Gridline);
        assert_eq!(Targets::Grid(grid).cells(), 1_000_000_000_000);
        for nx in [LONGEST_AXIS + 1, u64::MAX] {
            let error = refusal([0.0, 0.0, 1.0, 1.0], Size::Shape { nx, ny: 1 }, true);
            assert!(error.contains("columns are more than the limit of 10000000"), "{error}");
        }
        let error = refusal([0.0, 0.0, 1.0, 1.0], Size::Shape { nx: 0, ny: 1 }, true);
        assert!(error.contains("0 columns"), "{error}");
    }

    #[test]
    fn registrations_are_known_by_name() {
        for registration in Registration::ALL {
            assert_eq!(registration.name().parse(), Ok(registration));
        }
        assert!("centre".parse::<Registration>().is_err());
    }

    #[test]
    fn a_single_node_is_where_linspace_puts_it() {
        let grid = shape([2.0, 3.0, 4.0, 3.0], 1, 1, Registration::Gridline);
        assert_eq!((grid.x(), grid.y()), (&[2.0][..], &[3.0][..]));
        assert_eq!(shape([2.0, 3.0, 4.0, 5.0], 1, 1, Registration::Pixel).x(), [3.0]);
    }

    proptest! {
        #[test]
        fn axes_are_strictly_monotonic_and_nodes_lie_within_their_cells(
            west in -180.0..360.0_f64, east in -180.0..360.0_f64,
            south in -90.0..90.0_f64, north in -90.0..90.0_f64,
            nx in 2..400_u64, ny in 2..400_u64, pixel: bool,
        ) {
            let registration = if pixel { Registration::Pixel } else { Registration::Gridline };
            let size = Size::Shape { nx, ny };
            let Ok(grid) = Grid::from_bounds([west, south, east, north], size, registration, true)
            else { return Ok(()) };
            prop_assert!(grid.x().windows(2).all(|w| w[0] < w[1]));
            let sign = (north - south).signum();
            prop_assert!(grid.y().windows(2).all(|w| sign * w[0] < sign * w[1]));
            for (axis, edges) in [(grid.x(), grid.x_edges()), (grid.y(), grid.y_edges())] {
                prop_assert_eq!(edges.len(), axis.len() + 1);
                for (i, &node) in axis.iter().enumerate() {
                    let (low, high) = (edges[i].min(edges[i + 1]), edges[i].max(edges[i + 1]));
                    prop_assert!((low..=high).contains(&node));
                }
            }
        }
    }
}
