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
use super::csv::text as csv_text;
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
        /// Maps in a plane come on as many longitudes and latitudes as they have columns and rows
        /// there, and not in their plane.
        in_degrees: bool,
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
        let known =
            |v: &&MapVariable| wanted.variables.is_empty() || wanted.variables.contains(&v.name);
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
            Cut::Cells { bounds, area, in_degrees } => {
                if *in_degrees && matches!(source.space(), Space::Projected(_)) {
                    let Some([x, y]) = as_many(&source, *bounds)? else { return Ok(()) };
                    return self.add_regular(&source, (x, y), area.as_ref(), &variables, &times);
                }
                let source = match area {
                    Some(area) => source.within(area.clone()),
                    None => source,
                };
                let part = cells(&source, *bounds)?;
                part.map_or(Ok(()), |part| self.take(&source, &part, &variables, &times))
            }
            Cut::Regular { x, y, area } => {
                let axes = (x.clone(), y.clone());
                self.add_regular(&source, axes, area.as_ref(), &variables, &times)
            }
        }
    }

    fn add_regular(
        &mut self,
        source: &Source,
        (x, y): (Vec<f64>, Vec<f64>),
        area: Option<&Polygons>,
        variables: &[MapVariable],
        times: &[usize],
    ) -> Result<(), ExportError> {
        // Places are many, and need not be looked up for nothing.
        self.keep_within((x.len() * y.len() * times.len() * variables.len()) as u64)?;
        let domain = Domain::Grid { x, y, space: Space::Degrees };
        let stamp = |k: &usize| source.times().get(*k).copied();
        let known = |coverage: &Coverage| {
            coverage.domain.is(&domain) && times.iter().all(|k| coverage.has(stamp(k), variables))
        };
        if self.coverages.iter().any(known) {
            return Ok(());
        }
        let part = regular(source, domain, area)?;
        part.map_or(Ok(()), |part| self.take(source, &part, variables, times))
    }

    fn keep_within(&self, wanted: u64) -> Result<(), ExportError> {
        if wanted <= self.most_values {
            return Ok(());
        }
        Err(ExportError::ManyValues { wanted, limit: self.most_values })
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
        self.keep_within(wanted)?;
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
        table.write_record(["lon", "lat", "time", "variable", "units", "value"]).map_err(failed)?;
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
                        let value = csv_text(*value, parameter.is_double);
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

    /// Whether all variables of a time are there.
    fn has(&self, time: Option<UnixSeconds>, variables: &[MapVariable]) -> bool {
        let Some(field) = self.fields.get(&time) else { return false };
        let there = |v: &MapVariable| {
            let same = |p: &MapVariable| p.name == v.name && p.units == v.units;
            let column = self.parameters.iter().position(same);
            column.is_some_and(|k| field.get(k).is_some_and(Option::is_some))
        };
        variables.iter().all(there)
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
            for field in self.fields.values() {
                let missing = vec![f64::NAN; self.domain.len()];
                for &value in field[k].as_ref().unwrap_or(&missing) {
                    coverage_json::number(value, parameter.is_double, first, out)?;
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
    if !source.has_cells(&window) {
        return Ok(None);
    }
    let nodes = |span: Span, axis: &Axis| span.cells(axis).nodes;
    let (x, y) = (nodes(window.columns, source.x()), nodes(window.rows, source.y()));
    let domain = Domain::Grid { x, y, space: source.space().clone() };
    Ok(Some(Part { domain, window, between: None }))
}

fn regular(
    source: &Source,
    domain: Domain,
    area: Option<&Polygons>,
) -> Result<Option<Part>, ExportError> {
    let Domain::Grid { x, y, .. } = &domain else { return Ok(None) };
    let mut between = Vec::with_capacity(x.len() * y.len());
    for &lat in y {
        let mut inside = vec![area.is_none(); x.len()];
        if let Some(area) = area {
            area.mark_row(x, lat, &mut inside);
        }
        let row = x.iter().zip(inside);
        between.extend(
            row.map(|(&lon, inside)| inside.then(|| find_at(source, [lon, lat])).flatten()),
        );
    }
    let Some(window) = At::window(&mut between) else { return Ok(None) };
    if window.cells() > MOST_CELLS {
        return Err(ExportError::ManyCells { wanted: window.cells(), limit: MOST_CELLS });
    }
    Ok(Some(Part { domain, window, between: Some(between) }))
}

/// As many longitudes and latitudes as a map in a plane has columns and rows within bounds, over
/// what it covers of them.
fn as_many(source: &Source, bounds: [f64; 4]) -> Result<Option<[Vec<f64>; 2]>, ExportError> {
    let Some(part) = cells(source, bounds)? else { return Ok(None) };
    let Some(reach) = source.reach() else { return Ok(None) };
    let [west, south, east, north] = bounds;
    let east = if east < west { east + 360.0 } else { east };
    let [reach_west, reach_south, reach_east, reach_north] = reach;
    // The bounds in the turn of the map.
    let turn = 360.0 * ((reach_east - west) / 360.0).floor();
    let x = [(west + turn).max(reach_west), (east + turn).min(reach_east)];
    let y = [south.max(reach_south), north.min(reach_north)];
    if x[0] > x[1] || y[0] > y[1] {
        return Ok(None);
    }
    let (columns, rows) = (part.window.columns.count, part.window.rows.count);
    Ok(Some([spaced(x, columns), spaced(y, rows)]))
}

/// So many numbers from one to another, both among them; one is the first of them.
#[must_use]
pub fn spaced([from, to]: [f64; 2], count: usize) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let share = |k: usize| k as f64 / count.saturating_sub(1).max(1) as f64;
    (0..count).map(|k| from * (1.0 - share(k)) + to * share(k)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_chosen_with_both_ends_and_maps_without_time_only_by_no_time() {
        let all = [10, 20, 30].map(UnixSeconds);
        assert_eq!(times_within(&all, [Some(20), Some(30)]), [1, 2]);
        assert_eq!(times_within(&all, [None, Some(29)]), [0, 1]);
        assert_eq!(times_within(&all, [Some(31), None]), [0; 0]);
        assert_eq!(times_within(&[], [None, None]), [0]);
        assert_eq!(times_within(&[], [Some(0), None]), [0; 0]);
    }

    #[test]
    fn values_between_cells_are_those_of_a_plane_and_a_missing_cell_counts_only_where_it_has_a_say()
    {
        let plane = |row: usize, column: usize| 3.0 * row as f64 + 0.5 * column as f64;
        let mut values: Vec<f64> = (0..12).map(|k| plane(k / 4, k % 4)).collect();
        let at = |row, column, down, across| Some(At { row, column, down, across });
        let mut all = vec![None, at(3, 5, 0.25, 0.5), at(4, 6, 0.0, 1.0), at(5, 4, 0.0, 0.0)];
        let window = At::window(&mut all).expect("a window");
        assert_eq!(window.rows, Span { first: 3, step: 1, count: 3 });
        assert_eq!(window.columns, Span { first: 4, step: 1, count: 4 });
        values[7] = f64::NAN;
        let read: Vec<f64> = all.iter().flatten().map(|at| at.value(&values, 4)).collect();
        assert_eq!(read[0], plane(0, 1) + 0.25 * 3.0 + 0.5 * 0.5);
        assert!(read[1].is_nan(), "its second cell is missing");
        assert_eq!(read[2], plane(2, 0));
        assert!(At::window(&mut [None]).is_none());
    }

    #[test]
    fn numbers_are_spaced_from_end_to_end() {
        assert_eq!(spaced([1.0, 2.0], 3), [1.0, 1.5, 2.0]);
        assert_eq!(spaced([1.0, 2.0], 1), [1.0]);
        assert_eq!(spaced([1.0, 1.3], 7).last(), Some(&1.3));
    }
}
