//! What a file of maps says of itself besides its maps: attributes, coordinates, the stretch that a
//! time stands for. For forms that take more than one file.

use netcdf::types::NcVariableType;
use netcdf::{Attribute, AttributeValue, Variable};
use serde_json::{Map, Value};

use super::error::ExportError;
use super::source::Source;

/// A variable that is the same at all times: an axis, the bounds of its cells, longitudes and
/// latitudes of a plane's places, a grid mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordinate {
    /// Its name.
    pub name: String,
    /// Names of its dimensions; none for what only carries attributes.
    pub dimensions: Vec<String>,
    /// Their lengths.
    pub shape: Vec<usize>,
    /// Its values, the last dimension fastest; none without dimensions.
    pub values: Vec<f64>,
    /// Its attributes.
    pub attributes: Map<String, Value>,
}

impl Source {
    /// The file's own attributes.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn attributes(&self) -> Result<Map<String, Value>, ExportError> {
        texts(self.file().attributes()).map_err(|error| self.unreadable(&error))
    }

    /// The attributes of a variable; none where there is no such variable.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn attributes_of(&self, name: &str) -> Result<Map<String, Value>, ExportError> {
        let Some(variable) = self.file().variable(name) else { return Ok(Map::new()) };
        texts(variable.attributes()).map_err(|error| self.unreadable(&error))
    }

    /// What does not depend on the time or on stations.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn coordinates(&self) -> Result<Vec<Coordinate>, ExportError> {
        let read = |variable: &Variable<'_>| -> netcdf::Result<Coordinate> {
            let dimensions = variable.dimensions();
            let is_number = !matches!(variable.vartype(), NcVariableType::Char);
            let values = match dimensions {
                [] => Vec::new(),
                _ if is_number => variable.get_values(..)?,
                _ => Vec::new(),
            };
            Ok(Coordinate {
                name: variable.name(),
                dimensions: dimensions.iter().map(|d| d.name()).collect(),
                shape: dimensions.iter().map(|d| d.len()).collect(),
                values,
                attributes: texts(variable.attributes())?,
            })
        };
        let known = [self.x().name.as_str(), self.y().name.as_str(), "bnds"];
        let is_fixed = |variable: &Variable<'_>| {
            let is_map = self.variables().iter().any(|map| map.name == variable.name());
            let on_grid = |d: &netcdf::Dimension<'_>| known.contains(&d.name().as_str());
            !is_map && variable.dimensions().iter().all(on_grid)
        };
        let all: netcdf::Result<Vec<Coordinate>> =
            self.file().variables().filter(is_fixed).map(|variable| read(&variable)).collect();
        all.map_err(|error| self.unreadable(&error))
    }

    /// First and last second of the stretch that a time stands for, less the time itself; none where
    /// readings were not averaged.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn time_cell(&self, time: usize) -> Result<Option<[i64; 2]>, ExportError> {
        let (Some(bounds), Some(at)) = (self.file().variable("time_bnds"), self.times().get(time))
        else {
            return Ok(None);
        };
        let cell: Vec<f64> =
            bounds.get_values((time, ..)).map_err(|error| self.unreadable(&error))?;
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds, as they are written")]
        let cell = |k: usize| cell.get(k).map(|&t| t as i64 - at.0);
        Ok(cell(0).zip(cell(1)).map(|(first, last)| [first, last]))
    }

    fn unreadable(&self, error: &netcdf::Error) -> ExportError {
        ExportError::Unreadable { path: self.path().into(), message: error.to_string() }
    }
}

fn texts<'a>(
    attributes: impl Iterator<Item = Attribute<'a>>,
) -> netcdf::Result<Map<String, Value>> {
    let mut all = Map::new();
    for attribute in attributes {
        let value = json(attribute.value()?);
        if !value.is_null() {
            all.insert(attribute.name().to_owned(), value);
        }
    }
    Ok(all)
}

/// Null for what JSON does not have.
fn json(value: AttributeValue) -> Value {
    match value {
        AttributeValue::Str(text) => text.into(),
        AttributeValue::Strs(texts) => texts.into(),
        AttributeValue::Schar(v) => v.into(),
        AttributeValue::Schars(v) => v.into(),
        AttributeValue::Uchar(v) => v.into(),
        AttributeValue::Uchars(v) => v.into(),
        AttributeValue::Short(v) => v.into(),
        AttributeValue::Shorts(v) => v.into(),
        AttributeValue::Ushort(v) => v.into(),
        AttributeValue::Ushorts(v) => v.into(),
        AttributeValue::Int(v) => v.into(),
        AttributeValue::Ints(v) => v.into(),
        AttributeValue::Uint(v) => v.into(),
        AttributeValue::Uints(v) => v.into(),
        AttributeValue::Longlong(v) => v.into(),
        AttributeValue::Longlongs(v) => v.into(),
        AttributeValue::Ulonglong(v) => v.into(),
        AttributeValue::Ulonglongs(v) => v.into(),
        AttributeValue::Float(v) => v.into(),
        AttributeValue::Floats(v) => v.into(),
        AttributeValue::Double(v) => v.into(),
        AttributeValue::Doubles(v) => v.into(),
    }
}
