//! Several files of maps put together: places for all their times, or the cells of a rectangle or an
//! area, as one coverage where their grids and units agree, and as several where they do not.
//!
//! Files are added the newest first: what an older one has for the same place, time and variable is
//! passed over. All values are in memory, as many as the caller allows.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Map, Value, json};

use super::coverage_json;
use super::csv::text as csv_text;
use super::error::ExportError;
use super::parts::{Domain, Part, as_many, at_place, cells, regular};
use super::source::{MapVariable, Source, Space};
use crate::observations::UnixSeconds;
use crate::polygons::Polygons;

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
}
