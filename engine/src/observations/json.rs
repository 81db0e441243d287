//! JSON: a document `{stations, times, values}`, an array of flat records, or a GeoJSON collection of points.
//!
//! Both are read as a stream: the values of a document go to the store as they come, whatever the
//! order of its keys; lengths are compared at the end.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use csv::StringRecord;
use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use super::collect::Collector;
use super::document::Document;
use super::error::{Location, ReadError};
use super::geojson::{Crs, Feature};
use super::layouts::Rows;
use super::record::Record;
use super::table::{At, pointer_token};
use super::text::{Text, read_error};

/// Records of an array that are looked at for their keys before the first is taken; fewer where they have so many keys together.
const LOOKED_AT: usize = 1000;
const KEYS_LOOKED_AT: usize = 100_000;

/// A station of a document.
#[derive(Debug, Deserialize)]
pub(super) struct JsonStation {
    #[serde(default, alias = "station", alias = "code")]
    pub(super) id: Option<Value>,
    #[serde(default, alias = "longitude", alias = "x")]
    pub(super) lon: Option<f64>,
    #[serde(default, alias = "latitude", alias = "y")]
    pub(super) lat: Option<f64>,
}

/// A variable of a document: its name, or its name and unit.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum JsonVariable {
    Name(String),
    Full {
        name: String,
        #[serde(default)]
        units: Option<String>,
    },
}

/// Where reading failed, and why, if the JSON itself is right.
#[derive(Default)]
pub(super) struct Failure {
    error: Option<ReadError>,
    /// Where the reader is.
    pointer: Option<String>,
}

/// Reads a JSON text.
pub(super) fn read(text: Text, collector: &mut Collector<'_>) -> Result<(), ReadError> {
    let name = text.name.clone();
    let mut failure = Failure::default();
    let mut reader = serde_json::Deserializer::from_reader(text.reader);
    let visitor = Top { collector, failure: &mut failure };
    let result = reader.deserialize_any(visitor).and_then(|()| reader.end());
    match (failure.error, result) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) if error.is_io() => Err(read_error(&name, error.into())),
        (None, Err(error)) => {
            let row = Some(error.line() as u64).filter(|&row| row > 0);
            let at = Location { row, column: None, pointer: failure.pointer.clone() };
            let at = Some(Box::new(at));
            let place = failure.pointer.map_or(String::new(), |pointer| format!("at {pointer}: "));
            Err(ReadError::Json { name, at, message: format!("{place}{error}") })
        }
    }
}

struct Top<'c, 'o> {
    collector: &'c mut Collector<'o>,
    failure: &'c mut Failure,
}

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with stations, times and values, or an array of records")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { collector, failure } = self;
        let mut document = Document::new(collector);
        let (mut stations, mut times) = (None, None);
        let mut variables: Vec<JsonVariable> = Vec::new();
        let (mut has_values, mut is_geojson) = (false, false);
        while let Some(key) = map.next_key::<String>()? {
            failure.pointer = Some(format!("/{}", pointer_token(&key)));
            match key.as_str() {
                "stations" => stations = Some(map.next_value::<Vec<JsonStation>>()?),
                "times" => times = map.next_value::<Option<Vec<String>>>()?,
                "variables" => variables = map.next_value()?,
                "values" => {
                    has_values = true;
                    map.next_value_seed(Values { document: &mut document, failure })?;
                }
                "features" => {
                    is_geojson = true;
                    let collector = &mut *document.collector;
                    map.next_value_seed(Records::<Feature>::new(collector, failure))?;
                }
                "crs" => {
                    let crs: Option<Crs> = map.next_value()?;
                    let planar = document.collector.options.planar;
                    failure.keep(Crs::check(crs.as_ref(), planar, document.collector.source()))?;
                }
                "type" | "name" | "bbox" => drop(map.next_value::<IgnoredAny>()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    document.collector.report.ignored.push(format!("{key}: not a known key"));
                }
            }
        }
        failure.pointer = None;
        if is_geojson {
            return Ok(());
        }
        if stations.is_none() || !has_values {
            return Err(A::Error::custom("it needs the keys `stations` and `values`"));
        }
        let units = |document: &mut Document<'_, '_>| {
            for (index, variable) in variables.into_iter().enumerate() {
                let (name, units) = match variable {
                    JsonVariable::Name(name) => (name, None),
                    JsonVariable::Full { name, units } => (name, units),
                };
                document.describe(&name, units, &format!("/variables/{index}"))?;
            }
            Ok(())
        };
        let stations: Vec<JsonStation> = stations.unwrap_or_default();
        let done = units(&mut document)
            .and_then(|()| document.finish(stations, &times.unwrap_or_default()));
        failure.keep(done)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        Records::<Record>::new(self.collector, self.failure).visit_seq(seq)
    }
}

/// Something that is a row of a table once its keys are columns.
pub(super) trait Flat: for<'de> Deserialize<'de> {
    /// Where arrays of it stand.
    const AT: &'static str;

    fn at(index: u64) -> At;

    /// Columns and their values.
    ///
    /// # Errors
    /// Where in it something is wrong, as a JSON pointer, and what.
    fn flat(self, planar: bool) -> Result<Map<String, Value>, (String, String)>;
}

impl Flat for Record {
    const AT: &'static str = "";

    fn at(index: u64) -> At {
        At::Record(index)
    }

    fn flat(self, _planar: bool) -> Result<Map<String, Value>, (String, String)> {
        Ok(self.0)
    }
}

/// An array of records, read one by one.
struct Records<'v, 'o, R> {
    collector: &'v mut Collector<'o>,
    failure: &'v mut Failure,
    of: PhantomData<R>,
}

impl<'v, 'o, R: Flat> Records<'v, 'o, R> {
    fn new(collector: &'v mut Collector<'o>, failure: &'v mut Failure) -> Self {
        Self { collector, failure, of: PhantomData }
    }

    fn next<'de, A: SeqAccess<'de>>(
        &mut self,
        seq: &mut A,
        index: u64,
    ) -> Result<Option<Map<String, Value>>, A::Error> {
        self.failure.pointer = Some(format!("{}/{index}", R::AT));
        let Some(record) = seq.next_element::<R>()? else { return Ok(None) };
        let flat = record.flat(self.collector.options.planar);
        let flat = flat.map_err(|(place, message)| {
            let at = Location::pointer(format!("{}/{index}{place}", R::AT));
            ReadError::Shape { name: self.collector.source().to_owned(), at, message }
        });
        self.failure.keep(flat).map(Some)
    }
}

impl<'de, R: Flat> DeserializeSeed<'de> for Records<'_, '_, R> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, R: Flat> Visitor<'de> for Records<'_, '_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let (mut first, mut keys): (Vec<Map<String, Value>>, usize) = (Vec::new(), 0);
        while first.len() < LOOKED_AT && keys < KEYS_LOOKED_AT {
            let Some(record) = self.next(&mut seq, first.len() as u64)? else { break };
            keys += record.len();
            first.push(record);
        }
        if first.is_empty() {
            let name = self.collector.source().to_owned();
            return self.failure.keep(Err(ReadError::Empty { name }));
        }
        let (mut header, mut known) = (Vec::new(), HashSet::new());
        for key in first.iter().flat_map(Map::keys) {
            if known.insert(key.clone()) {
                header.push(key.clone());
            }
        }
        let rows = Rows::start(header.clone(), None, self.collector);
        let rows = self.failure.keep(rows)?;
        let mut table = AsTable { header, known, rows, record: StringRecord::new() };
        let mut index = 0;
        for record in first {
            self.failure.keep(table.take(&record, R::at(index), self.collector))?;
            index += 1;
        }
        while let Some(record) = self.next(&mut seq, index)? {
            self.failure.keep(table.take(&record, R::at(index), self.collector))?;
            index += 1;
        }
        self.failure.pointer = None;
        table.rows.finish(self.collector);
        Ok(())
    }
}

impl Failure {
    /// Keeps the error while serde carries a placeholder.
    fn keep<T, E: serde::de::Error>(&mut self, result: Result<T, ReadError>) -> Result<T, E> {
        result.map_err(|error| {
            let text = E::custom(&error);
            self.error = Some(error);
            text
        })
    }
}

/// Takes records as rows of a table.
struct AsTable {
    header: Vec<String>,
    /// The same, to be found.
    known: HashSet<String>,
    rows: Rows,
    record: StringRecord,
}

impl AsTable {
    fn take(
        &mut self,
        map: &Map<String, Value>,
        at: At,
        collector: &mut Collector<'_>,
    ) -> Result<(), ReadError> {
        self.record.clear();
        for name in &self.header {
            match map.get(name) {
                None | Some(Value::Null) => self.record.push_field(""),
                Some(Value::String(text)) => self.record.push_field(text),
                Some(other) => self.record.push_field(&other.to_string()),
            }
        }
        self.rows.row(&self.record, at, collector)?;
        for key in map.keys().filter(|key| !self.known.contains(*key)) {
            collector.reject(at, Some(key), "the first records do not have this key");
        }
        Ok(())
    }
}

/// `{variable: [[value]]}`
struct Values<'v, 'c, 'o> {
    document: &'v mut Document<'c, 'o>,
    failure: &'v mut Failure,
}

impl<'de> DeserializeSeed<'de> for Values<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Values<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of variables, each with values[time][station]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { document, failure } = self;
        while let Some(name) = map.next_key::<String>()? {
            let begun = document.begin_variable(&name);
            let wanted = failure.keep(begun)?;
            if wanted {
                map.next_value_seed(Steps { document, failure })?;
                failure.keep(document.end_variable())?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// `[[value]]` of one variable.
struct Steps<'v, 'c, 'o> {
    document: &'v mut Document<'c, 'o>,
    failure: &'v mut Failure,
}

impl<'de> DeserializeSeed<'de> for Steps<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Steps<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of time steps, each an array of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { document, failure } = self;
        loop {
            failure.pointer = Some(document.row_pointer());
            let step = Step { document, failure };
            if seq.next_element_seed(step)?.is_none() {
                return Ok(());
            }
            failure.keep(document.end_row())?;
        }
    }
}

/// `[value]` of one time step; null is missing.
struct Step<'v, 'c, 'o> {
    document: &'v mut Document<'c, 'o>,
    failure: &'v mut Failure,
}

impl<'de> DeserializeSeed<'de> for Step<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Step<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of numbers and nulls, one a station")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { document, failure } = self;
        loop {
            match seq.next_element::<Option<f64>>() {
                Ok(Some(value)) => failure.keep(document.value(value))?,
                Ok(None) => return Ok(()),
                Err(error) => {
                    failure.pointer = Some(document.value_pointer());
                    return Err(error);
                }
            }
        }
    }
}
