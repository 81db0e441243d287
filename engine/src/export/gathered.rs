//! Several files of maps put together: places for all their times, or the cells of a rectangle or an
//! area, as one coverage where their grids and units agree, and as several where they do not.
//!
//! Files are added the newest first: what an older one has for the same place, time and variable is
//! passed over. All values are in memory, as many as the caller allows.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Map, Value, json};

use super::chosen::{Selection, Span, Window};
use super::coverage_json;
use super::error::ExportError;
use super::source::{Axis, MapVariable, Source, Space};
use super::values::{Between, on_axes};
use crate::observations::UnixSeconds;
use crate::polygons::Polygons;

/// Cells of a file read at once to find values between them: 8 bytes each.
const MOST_CELLS: u64 = 16_000_000;

/// What is wanted of every file.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Maps and layers by their names in the files; all of them if there is none.
    pub variables: Vec<String>,
    /// Not before and not after. Maps without time count only where both are open.
    pub times: [Option<i64>; 2],
    /// Which places.
    pub cut: Cut,
}

/// Which places of a map, all in degrees.
#[derive(Clone, Debug)]
pub enum Cut {
    /// One after the other, bilinear between the centres of cells.
    Places(Vec<[f64; 2]>),
    /// Cells as they are whose centres lie within west, south, east, north, and in the area.
    Cells {
        /// West above east crosses the date line.
        bounds: [f64; 4],
        /// Cells outside have no value.
        area: Option<Polygons>,
    },
    /// A grid of longitudes and latitudes, both ascending, bilinear between the centres of cells.
    Regular {
        /// Longitudes.
        x: Vec<f64>,
        /// Latitudes.
        y: Vec<f64>,
        /// Places outside have no value.
        area: Option<Polygons>,
    },
}

/// Values of several files.
#[derive(Debug)]
pub struct Gathered {
    most_values: u64,
    coverages: Vec<Coverage>,
}

/// Values over one domain.
#[derive(Debug)]
struct Coverage {
    domain: Domain,
    parameters: Vec<MapVariable>,
    /// By time, and for each parameter: values of all places, where a file has them.
    fields: BTreeMap<Option<UnixSeconds>, Vec<Option<Vec<f64>>>>,
}

#[derive(Clone, Debug)]
enum Domain {
    Place([f64; 2]),
    Grid { x: Vec<f64>, y: Vec<f64>, space: Space },
}

/// A part of one file: where its values lie, and in which cells they are.
struct Part {
    domain: Domain,
    window: Window,
    /// How values are found between cells; none: they are those of the cells.
    between: Option<Vec<Option<At>>>,
}

/// Where a place lies among the cells of a window.
#[derive(Clone, Copy)]
struct At {
    row: usize,
    column: usize,
    /// Of the way to the next row and column; 0 where that has no say.
    down: f64,
    across: f64,
}

impl Gathered {
    /// Nothing yet.
    #[must_use]
    pub fn new(most_values: u64) -> Self {
        Self { most_values, coverages: Vec::new() }
    }

    /// Whether no file had anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.coverages.is_empty()
    }

    /// Adds what a file has of it; that may be nothing.
    ///
    /// # Errors
    /// [`ExportError::ManyValues`] beyond the limit; if the file cannot be read, or bounds reach across
    /// the ends of a map.
    pub fn add(&mut self, source: Source, wanted: &Wanted) -> Result<(), ExportError> {
        let known = |v: &&MapVariable| {
            wanted.variables.is_empty() || wanted.variables.contains(&v.name)
        };
        let variables: Vec<MapVariable> =
            source.variables().iter().filter(known).cloned().collect();
        let times = times_within(source.times(), wanted.times);
        if variables.is_empty() || times.is_empty() {
            return Ok(());
        }
        match &wanted.cut {
            Cut::Places(places) => places.iter().try_for_each(|&place| {
                let part = at_place(&source, place)?;
                part.map_or(Ok(()), |part| self.take(&source, &part, &variables, &times))
            }),
            Cut::Cells { bounds, area } => {
                let source = match area {
                    Some(area) => source.within(area.clone()),
                    None => source,
                };
                let part = cells(&source, *bounds)?;
                part.map_or(Ok(()), |part| self.take(&source, &part, &variables, &times))
            }
            Cut::Regular { x, y, area } => {
                let part = regular(&source, x, y, area.as_ref())?;
                part.map_or(Ok(()), |part| self.take(&source, &part, &variables, &times))
            }
        }
    }

    /// Reads the values of a part that no file before had.
    fn take(
        &mut self,
        source: &Source,
        part: &Part,
        variables: &[MapVariable],
        times: &[usize],
    ) -> Result<(), ExportError> {
        let stamp = |k: usize| source.times().get(k).copied();
        let number = self.find(&part.domain, variables, stamp(times[0]).is_some());
        let coverage = &mut self.coverages[number];
        let columns = coverage.columns_of(variables);
        let width = coverage.parameters.len();
        for &time in times {
            coverage.fields.entry(stamp(time)).or_default();
        }
        coverage.fields.values_mut().for_each(|field| field.resize(width, None));
        let wanted = self.coverages.iter().map(Coverage::values).sum();
        if wanted > self.most_values {
            return Err(ExportError::ManyValues { wanted, limit: self.most_values });
        }
        let coverage = &mut self.coverages[number];
        for &time in times {
            let field = coverage.fields.entry(stamp(time)).or_default();
            for (variable, &column) in variables.iter().zip(&columns) {
                if field[column].is_none() {
                    field[column] = Some(part.read(source, variable, time)?);
                }
            }
        }
        Ok(())
    }

    /// The number of the coverage that these belong to, a new one if they belong to none.
    fn find(&mut self, domain: &Domain, variables: &[MapVariable], has_times: bool) -> usize {
        let fits = |coverage: &Coverage| {
            let clash = |v: &MapVariable| {
                coverage.parameters.iter().any(|p| p.name == v.name && p.units != v.units)
            };
            coverage.domain.is(domain)
                && coverage.has_times() == has_times
                && !variables.iter().any(clash)
        };
        self.coverages.iter().position(fits).unwrap_or_else(|| {
            let (domain, parameters) = (domain.clone(), Vec::new());
            self.coverages.push(Coverage { domain, parameters, fields: BTreeMap::new() });
            self.coverages.len() - 1
        })
    }

    /// Writes `CoverageJSON`: a `Coverage`, or a `CoverageCollection` of several.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn write_coverage_json(&self, out: &mut impl Write) -> Result<(), ExportError> {
        if let [only] = &self.coverages[..] {
            return only.write(out);
        }
        out.write_all(b"{\"type\":\"CoverageCollection\",\"coverages\":[\n")?;
        for (k, coverage) in self.coverages.iter().enumerate() {
            if k > 0 {
                out.write_all(b",")?;
            }
            coverage.write(out)?;
        }
        out.write_all(b"]}\n")?;
        Ok(())
    }

    /// Writes a table: a row for each place, time and variable that has a value.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn write_csv(&self, out: &mut impl Write) -> Result<(), ExportError> {
        let failed = |error: csv::Error| ExportError::Write(error.into());
        let mut table = csv::Writer::from_writer(out);
        table
            .write_record(["lon", "lat", "time", "variable", "units", "value"])
            .map_err(failed)?;
        for coverage in &self.coverages {
            let places: Vec<[String; 2]> =
                coverage.domain.places().map(|place| place.map(|v| v.to_string())).collect();
            for (time, field) in &coverage.fields {
                let stamp = time.map(|time| time.to_string()).unwrap_or_default();
                for (parameter, values) in coverage.parameters.iter().zip(field) {
                    let Some(values) = values else { continue };
                    let units = parameter.units.as_deref().unwrap_or_default();
                    let there = places.iter().zip(values).filter(|(_, value)| !value.is_nan());
                    for ([lon, lat], value) in there {
                        let value = coverage.domain.text(*value, parameter.is_double);
                        table
                            .write_record([lon, lat, &stamp, &parameter.name, units, &value])
                            .map_err(failed)?;
                    }
                }
            }
        }
        table.flush()?;
        Ok(())
    }
}

impl Coverage {
    fn has_times(&self) -> bool {
        self.fields.keys().next().is_none_or(Option::is_some)
    }

    fn values(&self) -> u64 {
        self.domain.len() as u64 * self.fields.len() as u64 * self.parameters.len() as u64
    }

    /// Where each variable stands among the parameters; new ones come at the end.
    fn columns_of(&mut self, variables: &[MapVariable]) -> Vec<usize> {
        let mut place = |variable: &MapVariable| {
            let known = self.parameters.iter().position(|p| p.name == variable.name);
            let column = known.unwrap_or_else(|| {
                self.parameters.push(variable.clone());
                self.parameters.len() - 1
            });
            self.parameters[column].is_double |= variable.is_double;
            column
        };
        variables.iter().map(&mut place).collect()
    }

    fn write(&self, out: &mut impl Write) -> Result<(), ExportError> {
        let has_times = self.has_times();
        let mut axes = Map::new();
        let (kind, space) = match &self.domain {
            Domain::Place([x, y]) => {
                axes.insert("x".into(), json!({"values": [x]}));
                axes.insert("y".into(), json!({"values": [y]}));
                (if has_times { "PointSeries" } else { "Point" }, &Space::Degrees)
            }
            Domain::Grid { x, y, space } => {
                axes.insert("x".into(), json!({"values": x}));
                axes.insert("y".into(), json!({"values": y}));
                ("Grid", space)
            }
        };
        let times = self.fields.keys().flatten().map(ToString::to_string);
        let mut shape = Vec::new();
        if has_times {
            axes.insert("t".into(), json!({"values": times.collect::<Vec<_>>()}));
            shape.push(self.fields.len());
        }
        let mut names: Vec<&str> = shape.iter().map(|_| "t").collect();
        if let Domain::Grid { x, y, .. } = &self.domain {
            names.extend(["y", "x"]);
            shape.extend([y.len(), x.len()]);
        }
        let domain: Value = coverage_json::domain(kind, &axes, space, has_times);
        coverage_json::begin(&domain, self.parameters.iter(), out)?;
        for (k, parameter) in self.parameters.iter().enumerate() {
            if k > 0 {
                out.write_all(b",\n")?;
            }
            coverage_json::range_head(&parameter.name, &names, &shape, out)?;
            let mut first = true;
            let is_double = parameter.is_double || !self.domain.is_of_cells();
            for field in self.fields.values() {
                let missing = vec![f64::NAN; self.domain.len()];
                for &value in field[k].as_ref().unwrap_or(&missing) {
                    coverage_json::number(value, is_double, first, out)?;
                    first = false;
                }
            }
            out.write_all(b"]}")?;
        }
        out.write_all(b"}}\n")?;
        Ok(())
    }
}

impl Domain {
    fn len(&self) -> usize {
        match self {
            Self::Place(_) => 1,
            Self::Grid { x, y, .. } => x.len() * y.len(),
        }
    }

    /// Whether values are those of a file, not between them.
    fn is_of_cells(&self) -> bool {
        matches!(self, Self::Grid { .. })
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Place(a), Self::Place(b)) => a == b,
            (Self::Grid { x, y, space }, Self::Grid { x: x2, y: y2, space: space2 }) => {
                x == x2 && y == y2 && space.is(space2)
            }
            _ => false,
        }
    }

    /// Longitude and latitude of every value.
    fn places(&self) -> Box<dyn Iterator<Item = [f64; 2]> + '_> {
        match self {
            Self::Place(place) => Box::new(std::iter::once(*place)),
            Self::Grid { x, y, space } => Box::new(y.iter().flat_map(move |&y| {
                x.iter().map(move |&x| space.degrees(x, y).unwrap_or([f64::NAN; 2]))
            })),
        }
    }

    /// As short as it comes back from.
    fn text(&self, value: f64, is_double: bool) -> String {
        #[expect(clippy::cast_possible_truncation, reason = "it was 32 bits in the file")]
        let short = value as f32;
        if is_double || !self.is_of_cells() { value.to_string() } else { short.to_string() }
    }
}

impl Part {
    fn read(
        &self,
        source: &Source,
        variable: &MapVariable,
        time: usize,
    ) -> Result<Vec<f64>, ExportError> {
        let cells = usize::try_from(self.window.cells()).unwrap_or(0);
        let mut values = Vec::with_capacity(cells);
        source.rows(variable, time, &self.window, false, |_, row| {
            values.extend_from_slice(row);
            Ok(())
        })?;
        let Some(between) = &self.between else { return Ok(values) };
        let width = self.window.columns.count;
        Ok(between.iter().map(|at| at.map_or(f64::NAN, |at| at.value(&values, width))).collect())
    }
}

impl At {
    fn new(down: &Between, across: &Between) -> Self {
        // Where there is one node the next has no say.
        let share = |between: &Between| 1.0 - between.weight(0);
        let (row, column) = (down.span.first, across.span.first);
        Self { row, column, down: share(down), across: share(across) }
    }

    /// The window that holds all of some places, and the places counted from its first cell.
    fn window(all: &mut [Option<Self>]) -> Option<Window> {
        let reach = |first: fn(&Self) -> usize, share: fn(&Self) -> f64| {
            let low = all.iter().flatten().map(first).min()?;
            let last = |at: &Self| first(at) + usize::from(share(at) > 0.0);
            let high = all.iter().flatten().map(last).max()?;
            Some(Span { first: low, step: 1, count: high - low + 1 })
        };
        let rows = reach(|at| at.row, |at| at.down)?;
        let columns = reach(|at| at.column, |at| at.across)?;
        for at in all.iter_mut().flatten() {
            at.row -= rows.first;
            at.column -= columns.first;
        }
        Some(Window { rows, columns })
    }

    /// Bilinear; a cell that counts for nothing may be missing.
    fn value(&self, values: &[f64], width: usize) -> f64 {
        let along = |row: usize| {
            let first = values[row * width + self.column];
            match self.across {
                0.0 => first,
                share => (1.0 - share) * first + share * values[row * width + self.column + 1],
            }
        };
        match self.down {
            0.0 => along(self.row),
            share => (1.0 - share) * along(self.row) + share * along(self.row + 1),
        }
    }
}

/// Numbers of the times that lie within; the number 0 of maps without time if both ends are open.
fn times_within(all: &[UnixSeconds], [from, to]: [Option<i64>; 2]) -> Vec<usize> {
    if all.is_empty() {
        return if from.is_none() && to.is_none() { vec![0] } else { Vec::new() };
    }
    let inside = |time: &UnixSeconds| {
        from.is_none_or(|from| time.0 >= from) && to.is_none_or(|to| time.0 <= to)
    };
    (0..all.len()).filter(|&k| inside(&all[k])).collect()
}

/// Where a place lies among the cells of a map; none if it lies outside of it.
fn find_at(source: &Source, [lon, lat]: [f64; 2]) -> Option<At> {
    let [x, y] = on_axes(source, lon, lat).ok()?;
    let [across, down] = [Between::new(source.x(), x), Between::new(source.y(), y)];
    Some(At::new(&down?, &across?))
}

fn at_place(source: &Source, place: [f64; 2]) -> Result<Option<Part>, ExportError> {
    let mut between = vec![find_at(source, place)];
    let Some(window) = At::window(&mut between) else { return Ok(None) };
    Ok(Some(Part { domain: Domain::Place(place), window, between: Some(between) }))
}

fn cells(source: &Source, bounds: [f64; 4]) -> Result<Option<Part>, ExportError> {
    let selection = Selection { bounds: Some(bounds), ..Selection::default() };
    let window = match selection.find_window(source) {
        Err(ExportError::Outside { .. }) => return Ok(None),
        other => other?,
    };
    let some = |row| source.inside(row, window.columns).is_none_or(|cells| cells.contains(&true));
    if !(0..window.rows.count).any(|k| some(window.rows.at(k))) {
        return Ok(None);
    }
    let nodes = |span: Span, axis: &Axis| span.cells(axis).nodes;
    let (x, y) = (nodes(window.columns, source.x()), nodes(window.rows, source.y()));
    let domain = Domain::Grid { x, y, space: source.space().clone() };
    Ok(Some(Part { domain, window, between: None }))
}

fn regular(
    source: &Source,
    x: &[f64],
    y: &[f64],
    area: Option<&Polygons>,
) -> Result<Option<Part>, ExportError> {
    let mut between = Vec::with_capacity(x.len() * y.len());
    for &lat in y {
        let mut inside = vec![area.is_none(); x.len()];
        if let Some(area) = area {
            area.mark_row(x, lat, &mut inside);
        }
        let row = x.iter().zip(inside).map(|(&lon, inside)| {
            inside.then(|| find_at(source, [lon, lat])).flatten()
        });
        between.extend(row);
    }
    let Some(window) = At::window(&mut between) else { return Ok(None) };
    if window.cells() > MOST_CELLS {
        return Err(ExportError::ManyCells { wanted: window.cells(), limit: MOST_CELLS });
    }
    let domain = Domain::Grid { x: x.to_vec(), y: y.to_vec(), space: Space::Degrees };
    Ok(Some(Part { domain, window, between: Some(between) }))
}
