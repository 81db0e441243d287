//! A finished file of maps, opened to be read: its variables, times and axes, and the values of
//! any part of a field, some rows at a time.

use std::path::{Path, PathBuf};

use netcdf::{AttributeValue, File, Variable};

use super::chosen::{Span, Window, around};
use super::error::ExportError;
use crate::observations::UnixSeconds;
use crate::output::FILL_VALUE;
use crate::polygons::Polygons;
use crate::projection::Crs;

/// Values read at once, about: 8 bytes each.
const AT_ONCE: usize = 1 << 21;

/// A file of maps on a grid.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    file: File,
    x: Axis,
    y: Axis,
    times: Vec<UnixSeconds>,
    variables: Vec<MapVariable>,
    space: Space,
    /// Cells outside of it have no value.
    area: Option<Polygons>,
}

/// One horizontal axis of the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Its name in the file.
    pub name: String,
    /// Centres of the cells.
    pub nodes: Vec<f64>,
    /// Edges of the cells, one more than nodes.
    pub edges: Vec<f64>,
}

/// What the axes measure.
#[derive(Clone, Debug)]
pub enum Space {
    /// Degrees east and north.
    Degrees,
    /// The plane of a system of coordinates.
    Projected(Box<Crs>),
    /// A plane that nobody named.
    Plane,
}

/// A map, or a layer beside one.
#[derive(Clone, Debug, PartialEq)]
pub struct MapVariable {
    /// Its name in the file.
    pub name: String,
    /// Its name for people.
    pub long_name: String,
    /// Its unit; none where the file tells none.
    pub units: Option<String>,
    /// Its name in CF's table.
    pub standard_name: Option<String>,
    /// The layers beside it: standard errors, probabilities, quantiles.
    pub layers: Vec<String>,
    /// Whether it is a layer itself.
    pub is_layer: bool,
    /// Whether values have 64 bits.
    pub is_double: bool,
    /// Rows in a chunk of the file.
    chunk_rows: usize,
}

impl Source {
    /// Opens a file that `isopleth map` made.
    ///
    /// # Errors
    /// If it cannot be read, or holds no maps on a grid.
    pub fn open(path: &Path) -> Result<Self, ExportError> {
        crate::output::silence_hdf5();
        let unreadable = |message: String| ExportError::Unreadable { path: path.into(), message };
        // The NetCDF library's words for a file that is not there are not the system's.
        std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
        let file = netcdf::open(path).map_err(|error| unreadable(error.to_string()))?;
        Self::of_file(path, file).map_err(|reason| match reason {
            Problem::Library(error) => unreadable(error.to_string()),
            Problem::Maps(reason) => ExportError::NotAMap { path: path.into(), reason },
        })
    }

    fn of_file(path: &Path, file: File) -> Result<Self, Problem> {
        let names = ["X", "Y"].map(|axis| {
            let mut all = file.variables();
            all.find(|v| v.dimensions().len() == 1 && text(v, "axis").as_deref() == Some(axis))
                .map(|v| v.name())
        });
        let [Some(x), Some(y)] = names else {
            let reason = "it has no grid (no axes X and Y)".to_owned();
            return Err(Problem::Maps(reason));
        };
        let times: Vec<f64> = match file.variable("time") {
            Some(time) => time.get_values(..)?,
            None => Vec::new(),
        };
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds, as they are written")]
        let times = times.iter().map(|&t| UnixSeconds(t as i64)).collect();
        let variables = maps(&file, &x, &y)?;
        if variables.is_empty() {
            return Err(Problem::Maps("it has no variable on its grid".to_owned()));
        }
        let space = space(&file)?;
        let (x, y) = (Axis::read(&file, x)?, Axis::read(&file, y)?);
        Ok(Self { path: path.into(), file, x, y, times, variables, space, area: None })
    }

    /// The same maps without the values of cells whose centres lie outside of an area in degrees.
    #[must_use]
    pub fn within(self, area: Polygons) -> Self {
        Self { area: Some(area), ..self }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Columns: degrees east, or x; ascending.
    #[must_use]
    pub fn x(&self) -> &Axis {
        &self.x
    }

    /// Rows: degrees north, or y; ascending or descending.
    #[must_use]
    pub fn y(&self) -> &Axis {
        &self.y
    }

    /// Times, ascending; none for a map without time.
    #[must_use]
    pub fn times(&self) -> &[UnixSeconds] {
        &self.times
    }

    /// Maps and the layers beside them, in the order of the file.
    #[must_use]
    pub fn variables(&self) -> &[MapVariable] {
        &self.variables
    }

    /// What the axes measure.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The open file, for what it says beside its maps.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Longitude and latitude of a place on the axes, if it has any.
    #[must_use]
    pub fn degrees(&self, x: f64, y: f64) -> Option<[f64; 2]> {
        self.space.degrees(x, y)
    }

    /// West, south, east, north in degrees of all that its cells cover, longitudes running on beyond
    /// 180; none in a plane without a crs.
    #[must_use]
    pub fn reach(&self) -> Option<[f64; 4]> {
        let ([x0, x1], [y0, y1]) = (self.x.ends(), self.y.ends());
        match &self.space {
            Space::Degrees => Some([x0, y0, x1, y1]),
            Space::Plane => None,
            Space::Projected(crs) => {
                let [middle, _] = crs.to_degrees(f64::midpoint(x0, x1), f64::midpoint(y0, y1))?;
                // Longitudes in the turn of the middle of the map.
                let near = |lon: f64| middle + (lon - middle + 180.0).rem_euclid(360.0) - 180.0;
                let place = |x, y| crs.to_degrees(x, y).map(|[lon, lat]| [near(lon), lat]);
                let reach = around([x0, y0, x1, y1], place);
                reach.iter().all(|v| v.is_finite()).then_some(reach)
            }
        }
    }

    /// Whether any cell of a window lies within the area, if there is one.
    #[must_use]
    pub fn has_cells(&self, window: &Window) -> bool {
        let some = |row| self.inside(row, window.columns).is_none_or(|cells| cells.contains(&true));
        (0..window.rows.count).any(|k| some(window.rows.at(k)))
    }

    /// Which cells of a row of a window lie within the area, if there is one.
    pub(super) fn inside(&self, row: usize, columns: Span) -> Option<Vec<bool>> {
        let area = self.area.as_ref()?;
        let x: Vec<f64> = (0..columns.count).map(|k| self.x.nodes[columns.at(k)]).collect();
        let y = self.y.nodes[row];
        let mut inside = vec![false; x.len()];
        match &self.space {
            Space::Degrees => area.mark_row(&x, y, &mut inside),
            _ => {
                for (inside, x) in inside.iter_mut().zip(x) {
                    *inside = self.degrees(x, y).is_some_and(|[lon, lat]| area.contains(lon, lat));
                }
            }
        }
        Some(inside)
    }

    /// Hands over a field row by row, NaN where it has no value: `each(row of the window, values)`.
    /// With `north_up` the row furthest north (or of the largest y) comes first, otherwise rows come
    /// in the order of the file.
    ///
    /// # Errors
    /// If the file cannot be read, or what `each` gives.
    pub fn rows(
        &self,
        variable: &MapVariable,
        time: usize,
        window: &Window,
        north_up: bool,
        mut each: impl FnMut(usize, &[f64]) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let turned = north_up && self.y.ascends();
        let (rows, columns) = (window.rows, window.columns);
        let width = columns.reach();
        let mut values = Vec::with_capacity(columns.count);
        let at_once = self.rows_at_once(variable, rows.step, width);
        let starts: Vec<usize> = (0..rows.count).step_by(at_once).collect();
        let starts: Vec<usize> = if turned { starts.into_iter().rev().collect() } else { starts };
        for start in starts {
            let some = start..(start + at_once).min(rows.count);
            let span = Span { first: rows.at(some.start), step: rows.step, count: some.len() };
            let block = self.block(variable, time, span, columns)?;
            let number = some.len();
            for k in 0..number {
                let k = if turned { number - 1 - k } else { k };
                let row = &block[k * span.step * width..][..width];
                values.clear();
                values.extend(row.iter().step_by(columns.step).copied());
                let row = some.start + k;
                if let Some(inside) = self.inside(rows.at(row), columns) {
                    let outside = values.iter_mut().zip(inside).filter(|(_, inside)| !inside);
                    outside.for_each(|(value, _)| *value = f64::NAN);
                }
                each(if turned { rows.count - 1 - row } else { row }, &values)?;
            }
        }
        Ok(())
    }

    /// Rows of a window to be read together: whole chunks, where that is not too much. Where most
    /// rows are passed over, one by one.
    fn rows_at_once(&self, variable: &MapVariable, step: usize, width: usize) -> usize {
        let rows = (AT_ONCE / width.max(1)).max(1);
        let chunk = variable.chunk_rows.max(1);
        let rows =
            if chunk * width <= 4 * AT_ONCE { rows.max(chunk) / chunk * chunk } else { rows };
        (rows / step).max(1)
    }

    /// The values of some rows, those between them too where there is a stride.
    fn block(
        &self,
        variable: &MapVariable,
        time: usize,
        rows: Span,
        columns: Span,
    ) -> Result<Vec<f64>, ExportError> {
        let unreadable = |message: String| ExportError::Unreadable {
            path: self.path.clone(),
            message: format!("{}: {message}", variable.name),
        };
        let found = self.file.variable(&variable.name);
        let found = found.ok_or_else(|| unreadable("it is gone".to_owned()))?;
        let (rows, columns) = (rows.file_range(), columns.file_range());
        let values = if self.times.is_empty() {
            found.get_values::<f64, _>((rows, columns))
        } else {
            found.get_values::<f64, _>((time, rows, columns))
        };
        let mut values = values.map_err(|error| unreadable(error.to_string()))?;
        for value in &mut values {
            if *value == f64::from(FILL_VALUE) {
                *value = f64::NAN;
            }
        }
        Ok(values)
    }
}

impl Space {
    /// Longitude and latitude of a place on the axes, if it has any.
    pub(super) fn degrees(&self, x: f64, y: f64) -> Option<[f64; 2]> {
        match self {
            Self::Degrees => Some([x, y]),
            Self::Projected(crs) => crs.to_degrees(x, y),
            Self::Plane => None,
        }
    }

    /// Whether both measure the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Degrees, Self::Degrees) => true,
            (Self::Projected(a), Self::Projected(b)) => a.text() == b.text(),
            _ => false,
        }
    }
}

impl Axis {
    /// Whether nodes go up.
    #[must_use]
    pub fn ascends(&self) -> bool {
        self.nodes.len() < 2 || self.nodes[0] < self.nodes[1]
    }

    /// The outer edges, the lesser first.
    #[must_use]
    pub fn ends(&self) -> [f64; 2] {
        let (first, last) = (self.edges[0], self.edges[self.edges.len() - 1]);
        [first.min(last), first.max(last)]
    }

    fn read(file: &File, name: String) -> Result<Self, Problem> {
        let lost = |what: &str| Problem::Maps(format!("`{what}` is missing"));
        let variable = file.variable(&name).ok_or_else(|| lost(&name))?;
        let nodes: Vec<f64> = variable.get_values(..)?;
        let bounds = text(&variable, "bounds").ok_or_else(|| lost(&format!("{name}:bounds")))?;
        let bounds = file.variable(&bounds).ok_or_else(|| lost(&bounds))?;
        let bounds: Vec<f64> = bounds.get_values(..)?;
        if nodes.is_empty() || bounds.len() != 2 * nodes.len() {
            return Err(Problem::Maps(format!("the bounds of `{name}` do not fit it")));
        }
        let edges = bounds.iter().step_by(2).chain(bounds.last()).copied().collect();
        Ok(Self { name, nodes, edges })
    }
}

/// Why a file cannot be used.
enum Problem {
    Library(netcdf::Error),
    Maps(String),
}

impl From<netcdf::Error> for Problem {
    fn from(error: netcdf::Error) -> Self {
        Self::Library(error)
    }
}

/// The variables on the grid.
fn maps(file: &File, x: &str, y: &str) -> netcdf::Result<Vec<MapVariable>> {
    use netcdf::types::{FloatType, NcVariableType};
    let mut all = Vec::new();
    for variable in file.variables() {
        let dimensions: Vec<String> = variable.dimensions().iter().map(|d| d.name()).collect();
        let dimensions: Vec<&str> = dimensions.iter().map(String::as_str).collect();
        let on_grid = dimensions == [y, x] || dimensions == ["time", y, x];
        // Longitudes and latitudes of a projected grid are no maps.
        let Some(content) = text(&variable, "coverage_content_type") else { continue };
        let NcVariableType::Float(kind) = variable.vartype() else { continue };
        if !on_grid {
            continue;
        }
        let name = variable.name();
        let ancillary = text(&variable, "ancillary_variables").unwrap_or_default();
        let chunk = variable.chunking()?.unwrap_or_default();
        all.push(MapVariable {
            long_name: text(&variable, "long_name").unwrap_or_else(|| name.clone()),
            units: text(&variable, "units"),
            standard_name: text(&variable, "standard_name"),
            layers: ancillary.split_whitespace().map(str::to_owned).collect(),
            is_layer: content != "modelResult",
            is_double: kind == FloatType::F64,
            chunk_rows: chunk.iter().rev().nth(1).copied().unwrap_or(1),
            name,
        });
    }
    Ok(all)
}

fn space(file: &File) -> Result<Space, Problem> {
    let Some(crs) = file.variable("crs") else { return Ok(Space::Plane) };
    if text(&crs, "grid_mapping_name").as_deref() == Some("latitude_longitude") {
        return Ok(Space::Degrees);
    }
    let given = text(&crs, "long_name").unwrap_or_default();
    let crs = given.parse::<Crs>().map_err(|error| Problem::Maps(error.to_string()))?;
    Ok(Space::Projected(Box::new(crs)))
}

fn text(variable: &Variable<'_>, name: &str) -> Option<String> {
    match variable.attribute_value(name)?.ok()? {
        AttributeValue::Str(text) => Some(text),
        _ => None,
    }
}
