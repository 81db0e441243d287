//! Part of a file of maps as another one: the same variables and attributes, fewer times, rows and
//! columns. What is said of the whole (its bounds, its stretch of time) is said anew.

use netcdf::types::{FloatType, IntType, NcVariableType};
use netcdf::{AttributeValue, Extent, File, FileMut, NcTypeDescriptor, Options, Variable};

use super::Summary;
use super::chosen::{Chosen, Selection, Span};
use super::error::ExportError;
use super::source::{Source, Space};
use crate::output::{AtomicFile, FILL_VALUE, NcChar, with_netcdf};

/// As for maps made with `--compress fast`.
const DEFLATE: i32 = 1;

/// Values copied at once, about.
const AT_ONCE: usize = 1 << 22;

/// Writes all variables, or those chosen with the stations' beside them.
///
/// # Errors
/// The library's words if the file cannot be written; within, if the part makes no sense.
pub(super) fn write(
    source: &Source,
    selection: &Selection,
    place: &AtomicFile,
) -> Result<Result<Summary, ExportError>, String> {
    let mut selection = selection.clone();
    if selection.variables.is_empty() {
        // Here layers go with their maps.
        selection.variables = source.variables().iter().map(|v| v.name.clone()).collect();
    }
    let chosen = match selection.find(source) {
        Ok(chosen) => chosen,
        Err(error) => return Ok(Err(error)),
    };
    let part = Part { source, chosen: &chosen };
    let file = netcdf::create_with(place.path(), Options::NETCDF4 | Options::CLASSIC);
    with_netcdf(place, file, |to| part.copy(to))?;
    Ok(Ok(chosen.summary(source, None)))
}

/// What is copied of what.
struct Part<'a> {
    source: &'a Source,
    chosen: &'a Chosen<'a>,
}

impl Part<'_> {
    fn copy(&self, to: &mut FileMut) -> netcdf::Result<()> {
        let from = self.source.file();
        for attribute in from.attributes() {
            let name = attribute.name().to_owned();
            if let Some(value) = self.said_anew(&name, attribute.value()?) {
                to.add_attribute(&name, value)?;
            }
        }
        for dimension in from.dimensions() {
            let name = dimension.name();
            let length = self.length(&name).unwrap_or_else(|| dimension.len());
            to.add_dimension(&name, length)?;
        }
        let kept: Vec<Variable<'_>> = from.variables().filter(|v| self.keeps(&v.name())).collect();
        for variable in &kept {
            self.define(variable, from, to)?;
        }
        // In the classic model values may be written only when everything is defined.
        to.enddef()?;
        kept.iter().try_for_each(|variable| self.copy_values(variable, to))
    }

    /// Whether a variable is in the part: all but maps and layers that were not chosen.
    fn keeps(&self, name: &str) -> bool {
        let is_map = self.source.variables().iter().any(|v| v.name == name);
        !is_map || self.chosen.variables.iter().any(|v| v.name == name)
    }

    /// The numbers taken of a dimension; none if all are.
    fn span(&self, dimension: &str) -> Option<Span> {
        let window = self.chosen.window;
        if dimension == self.source.x().name {
            Some(window.columns)
        } else if dimension == self.source.y().name {
            Some(window.rows)
        } else {
            None
        }
    }

    fn length(&self, dimension: &str) -> Option<usize> {
        if dimension == "time" {
            return Some(self.chosen.times.len());
        }
        self.span(dimension).map(|span| span.count)
    }

    fn define(&self, variable: &Variable<'_>, from: &File, to: &mut FileMut) -> netcdf::Result<()> {
        let name = variable.name();
        let dimensions: Vec<String> = variable.dimensions().iter().map(|d| d.name()).collect();
        let dimensions: Vec<&str> = dimensions.iter().map(String::as_str).collect();
        let mut made = to.add_variable_with_type(&name, &dimensions, &variable.vartype())?;
        if !dimensions.is_empty()
            && let Some(chunk) = variable.chunking()?
        {
            let lengths = variable.dimensions().iter();
            let chunk: Vec<usize> = lengths
                .zip(chunk)
                .map(|(d, chunk)| chunk.min(self.length(&d.name()).unwrap_or(d.len())).max(1))
                .collect();
            made.set_chunking(&chunk)?;
            made.set_compression(DEFLATE, variable.vartype().size() > 1)?;
        }
        for attribute in variable.attributes() {
            let name = attribute.name().to_owned();
            let mut value = attribute.value()?;
            if let ("ancillary_variables", AttributeValue::Str(text)) = (name.as_str(), &value) {
                let there = |name: &&str| from.variable(name).is_some() && self.keeps(name);
                let kept: Vec<&str> = text.split_whitespace().filter(there).collect();
                if kept.is_empty() {
                    continue;
                }
                value = AttributeValue::Str(kept.join(" "));
            }
            made.put_attribute(&name, value)?;
        }
        Ok(())
    }

    fn copy_values(&self, variable: &Variable<'_>, to: &mut FileMut) -> netcdf::Result<()> {
        let name = variable.name();
        match variable.vartype() {
            // The edges of cells that stand for several are theirs.
            NcVariableType::Float(_) if self.puts_edges(&name, to)? => Ok(()),
            NcVariableType::Float(FloatType::F32) => self.copy_as(variable, to, Some(FILL_VALUE)),
            NcVariableType::Float(FloatType::F64) => {
                self.copy_as(variable, to, Some(f64::from(FILL_VALUE)))
            }
            NcVariableType::Int(IntType::I8) => self.copy_as::<i8>(variable, to, None),
            NcVariableType::Int(_) => self.copy_as::<i32>(variable, to, None),
            NcVariableType::Char => self.copy_as::<NcChar>(variable, to, None),
            other => Err(format!("`{name}` is of type {other:?}").into()),
        }
    }

    fn puts_edges(&self, name: &str, to: &mut FileMut) -> netcdf::Result<bool> {
        let axes = self.chosen.axes(self.source);
        let Some(axis) = axes.iter().find(|axis| name == format!("{}_bnds", axis.name)) else {
            return Ok(false);
        };
        let bounds: Vec<f64> = axis.edges.windows(2).flatten().copied().collect();
        let variable = to.variable_mut(name);
        let mut variable = variable.ok_or_else(|| netcdf::Error::NotFound(name.to_owned()))?;
        variable.put_values(&bounds, ..).map(|()| true)
    }

    /// Copies one time and some rows at once; what lies outside of the area of a map is `missing`.
    fn copy_as<T: NcTypeDescriptor + Copy>(
        &self,
        from: &Variable<'_>,
        to: &mut FileMut,
        missing: Option<T>,
    ) -> netcdf::Result<()> {
        let missing =
            missing.filter(|_| self.source.variables().iter().any(|v| v.name == from.name()));
        let dimensions = from.dimensions();
        let find = |wanted: &str| dimensions.iter().position(|d| d.name() == wanted);
        let (time, down) = (find("time"), find(&self.source.y().name));
        let times = if time.is_some() { self.chosen.times.clone() } else { vec![0] };
        let rows = down.map_or(1, |_| self.chosen.window.rows.count);
        let chunk = from.chunking()?.zip(down).map_or(1, |(chunk, at)| chunk[at]);
        let width = self.chosen.window.columns.reach() * self.chosen.window.rows.step;
        let at_once = (AT_ONCE / width.max(1)).max(1).next_multiple_of(chunk.max(1));
        let mut variable =
            to.variable_mut(&from.name()).ok_or_else(|| netcdf::Error::NotFound(from.name()))?;
        for (k, &step) in times.iter().enumerate() {
            for first in (0..rows).step_by(at_once) {
                let some = at_once.min(rows - first);
                let [mut read, mut write] = [Vec::new(), Vec::new()];
                for (place, dimension) in dimensions.iter().enumerate() {
                    let all = Span { first: 0, step: 1, count: dimension.len() };
                    let (source, target) = if Some(place) == time {
                        (Extent::Index(step), Extent::Index(k))
                    } else if Some(place) == down {
                        let rows = self.chosen.window.rows;
                        let part = Span { first: rows.at(first), step: rows.step, count: some };
                        (extent(part), extent(Span { first, step: 1, count: some }))
                    } else {
                        let span = self.span(&dimension.name()).unwrap_or(all);
                        (extent(span), extent(Span { first: 0, step: 1, count: span.count }))
                    };
                    read.push(source);
                    write.push(target);
                }
                let mut values: Vec<T> = from.get_values(read)?;
                if let Some(missing) = missing {
                    self.blank(&mut values, first, missing);
                }
                variable.put_values(&values, write)?;
            }
        }
        Ok(())
    }

    /// Takes out of some rows of the window, from `first` on, what lies outside of the area.
    fn blank<T: Copy>(&self, values: &mut [T], first: usize, missing: T) {
        let window = self.chosen.window;
        for (k, row) in values.chunks_mut(window.columns.count).enumerate() {
            let row_of_file = window.rows.at(first + k);
            let Some(inside) = self.source.inside(row_of_file, window.columns) else { return };
            let outside = row.iter_mut().zip(inside).filter(|(_, inside)| !inside);
            outside.for_each(|(value, _)| *value = missing);
        }
    }

    /// An attribute of the file as it is for the part; none if it is true no more.
    fn said_anew(&self, name: &str, value: AttributeValue) -> Option<AttributeValue> {
        let [x, y] = self.chosen.axes(self.source);
        let in_degrees = matches!(self.source.space(), Space::Degrees);
        let times = self.chosen.times.iter().filter_map(|&k| self.source.times().get(k));
        let times: Vec<i64> = times.map(|time| time.0).collect();
        let all = times.len() == self.source.times().len();
        let number = |value: f64| Some(AttributeValue::Double(value));
        let (first, last) = (self.chosen.times.first(), self.chosen.times.last());
        let stamp = |k: Option<&usize>| {
            let time = k.and_then(|&k| self.source.times().get(k));
            time.map(|time| AttributeValue::Str(time.to_string()))
        };
        match name {
            "geospatial_lon_min" if in_degrees => number(x.ends()[0]),
            "geospatial_lon_max" if in_degrees => number(x.ends()[1]),
            "geospatial_lat_min" if in_degrees => number(y.ends()[0]),
            "geospatial_lat_max" if in_degrees => number(y.ends()[1]),
            "time_coverage_start" if !all => stamp(first),
            "time_coverage_end" if !all => stamp(last),
            "time_coverage_duration" if !all => {
                let seconds = times.last().zip(times.first()).map(|(b, a)| b - a)?;
                Some(AttributeValue::Str(format!("PT{seconds}S")))
            }
            "time_coverage_resolution" if !all => None,
            "history" => match value {
                AttributeValue::Str(text) => {
                    Some(AttributeValue::Str(format!("{text}\npart of it: isopleth export")))
                }
                other => Some(other),
            },
            _ => Some(value),
        }
    }
}

fn extent(span: Span) -> Extent {
    let stride = isize::try_from(span.step).unwrap_or(isize::MAX);
    Extent::SliceCount { start: span.first, count: span.count, stride }
}
