//! A whole set of readings, `values[variable][time][station]`, taken value by value: from JSON as it
//! is parsed, or from memory.

use serde_json::Value;

use super::cells::Cell;
use super::collect::{Collector, Slot};
use super::error::{Location, ReadError};
use super::json::JsonStation;
use super::table::{At, pointer_token};

/// Takes the values of a document; stations and times are told at the end.
pub(super) struct Document<'c, 'o> {
    pub(super) collector: &'c mut Collector<'o>,
    first_station: usize,
    first_time: u32,
    /// Stations in a row, known from the first.
    width: Option<usize>,
    /// Values and missing ones of each time: counted only when the time turns out to be wanted.
    counts: Vec<[u64; 2]>,
    /// The variable being read.
    name: String,
    variable: u32,
    variables: usize,
    row: usize,
    column: usize,
    /// Rows of each variable, known from the first.
    rows: Option<usize>,
}

impl<'c, 'o> Document<'c, 'o> {
    pub(super) fn new(collector: &'c mut Collector<'o>) -> Self {
        let (first_station, first_time) = (collector.stations.len(), collector.next_time());
        Self {
            collector,
            first_station,
            first_time,
            width: None,
            counts: Vec::new(),
            name: String::new(),
            variable: 0,
            variables: 0,
            row: 0,
            column: 0,
            rows: None,
        }
    }

    /// Begins a variable; false if it is not wanted.
    pub(super) fn begin_variable(&mut self, name: &str) -> Result<bool, ReadError> {
        self.name = name.to_owned();
        self.variables += 1;
        let variable = self.collector.variable(name, None, self.variables)?;
        self.variable = variable.unwrap_or_default();
        (self.row, self.column) = (0, 0);
        Ok(variable.is_some())
    }

    /// Takes the next value of the row; none is missing.
    pub(super) fn value(&mut self, value: Option<f64>) -> Result<(), ReadError> {
        if self.first_station + self.column >= self.collector.options.max_stations {
            return Err(ReadError::TooManyStations {
                name: self.collector.source().to_owned(),
                at: Location::pointer(self.value_pointer()),
                limit: self.collector.options.max_stations,
            });
        }
        if self.counts.len() <= self.row {
            self.counts.resize(self.row + 1, [0; 2]);
        }
        match value.map_or(Cell::Missing, |value| self.collector.missing.number(value)) {
            Cell::Value(value) => {
                self.counts[self.row][0] += 1;
                let slot = Slot {
                    time: self.first_time + narrow(self.row),
                    station: narrow(self.first_station + self.column),
                    variable: self.variable,
                };
                self.collector.store(slot, value)?;
            }
            Cell::Missing | Cell::Text => self.counts[self.row][1] += 1,
            Cell::Infinite => {
                let pointer = self.value_pointer();
                return Err(self.refuse(pointer, "the value is infinite".to_owned()));
            }
        }
        self.column += 1;
        Ok(())
    }

    /// Ends a time step.
    pub(super) fn end_row(&mut self) -> Result<(), ReadError> {
        let width = *self.width.get_or_insert(self.column);
        if width != self.column {
            let message = format!("{} values, but {width} in the rows before", self.column);
            return Err(self.refuse(self.row_pointer(), message));
        }
        self.collector.report.rows += 1;
        self.row += 1;
        self.column = 0;
        Ok(())
    }

    /// Ends a variable.
    pub(super) fn end_variable(&mut self) -> Result<(), ReadError> {
        let rows = *self.rows.get_or_insert(self.row);
        if rows != self.row {
            let message = format!("{} time steps, but {rows} of the variables before", self.row);
            let pointer = format!("/values/{}", pointer_token(&self.name));
            return Err(self.refuse(pointer, message));
        }
        Ok(())
    }

    /// Gives a variable its unit.
    pub(super) fn describe(
        &mut self,
        name: &str,
        units: Option<String>,
        pointer: &str,
    ) -> Result<(), ReadError> {
        let wanted = &self.collector.options.variables;
        let beside = &self.collector.options.beside;
        let is_wanted = wanted.iter().chain(beside).any(|wanted| wanted == name);
        if !wanted.is_empty() && !is_wanted {
            return Ok(());
        }
        let known = self.variables;
        match self.collector.known_variable(name) {
            Some(variable) if known > 0 => {
                if units.is_some() {
                    *self.collector.units(variable) = units;
                }
                Ok(())
            }
            _ => Err(self.refuse(pointer.to_owned(), format!("no values for variable `{name}`"))),
        }
    }

    /// Compares lengths and adds stations and times.
    pub(super) fn finish(
        mut self,
        stations: Vec<JsonStation>,
        times: &[String],
    ) -> Result<(), ReadError> {
        if let Some(width) = self.width.filter(|&width| width != stations.len()) {
            let message = format!("{} stations, but {width} values a time step", stations.len());
            return Err(self.refuse("/stations".to_owned(), message));
        }
        let rows = self.rows.unwrap_or(0);
        let fits = if times.is_empty() { rows <= 1 } else { rows == times.len() };
        if !fits && self.rows.is_some() {
            let message = format!("{} times, but {rows} time steps of values", times.len());
            return Err(self.refuse("/times".to_owned(), message));
        }
        for (index, station) in stations.into_iter().enumerate() {
            self.add_station(index, station)?;
        }
        self.add_times(times)
    }

    fn add_station(&mut self, index: usize, station: JsonStation) -> Result<(), ReadError> {
        let at = At::Record(index as u64);
        let (Some(x), Some(y)) = (station.lon, station.lat) else {
            let message = "the station needs `lon` and `lat` (or `x` and `y`)".to_owned();
            return Err(self.refuse(format!("/stations/{index}"), message));
        };
        let code = match station.id {
            Some(Value::String(code)) => code,
            None | Some(Value::Null) => format!("#{}", index + 1),
            Some(other) => other.to_string(),
        };
        let planar = self.collector.options.planar;
        let names = ["lon", "lat"];
        let location = |is_x: bool| {
            Location::pointer(format!("/stations/{index}/{}", names[usize::from(!is_x)]))
        };
        super::cells::check_place([x, y], planar, self.collector.source(), location)?;
        self.collector.add_station(code, [x, y], at).map(|_| ())
    }

    fn add_times(&mut self, times: &[String]) -> Result<(), ReadError> {
        if times.is_empty() && self.collector.selects_times() {
            return Err(ReadError::NoTimes { name: self.collector.source().to_owned() });
        }
        let mut instants = Vec::with_capacity(times.len().max(1));
        for (index, text) in times.iter().enumerate() {
            let Some(time) = self.collector.clock(false).instant(text) else {
                let message = format!("`{text}` is not a time; write 2017-07-07T16:00Z");
                return Err(self.refuse(format!("/times/{index}"), message));
            };
            instants.push(Some(time));
        }
        if let Some(index) = first_repeat(&instants) {
            let message = format!("`{}` came before", times[index]);
            return Err(self.refuse(format!("/times/{index}"), message));
        }
        if instants.is_empty() {
            instants.push(None);
        }
        for (index, time) in instants.into_iter().enumerate() {
            if self.collector.add_time(time) {
                let [values, missing] = self.counts.get(index).copied().unwrap_or_default();
                self.collector.report.values += values;
                self.collector.report.missing += missing;
            }
        }
        Ok(())
    }

    /// JSON pointer of the row being read.
    pub(super) fn row_pointer(&self) -> String {
        format!("/values/{}/{}", pointer_token(&self.name), self.row)
    }

    /// JSON pointer of the value being read.
    pub(super) fn value_pointer(&self) -> String {
        format!("{}/{}", self.row_pointer(), self.column)
    }

    fn refuse(&self, pointer: String, message: String) -> ReadError {
        let name = self.collector.source().to_owned();
        ReadError::Shape { name, at: Location::pointer(pointer), message }
    }
}

fn first_repeat<T: Eq + std::hash::Hash + Copy>(items: &[T]) -> Option<usize> {
    let mut seen = std::collections::HashSet::with_capacity(items.len());
    items.iter().position(|item| !seen.insert(*item))
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than 2³² stations and times")
}
