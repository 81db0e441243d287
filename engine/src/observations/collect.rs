//! Gathers what the layouts read: numbers stations, variables and times as they come, counts what
//! is missing or refused, and hands readings to the store.

use std::collections::{HashMap, HashSet};

use super::cells::{Cell, Missing, check_place};
use super::columns::list;
use super::error::ReadError;
use super::places::PlaceTable;
use super::store::{Record, Store, StoreError};
use super::table::At;
use super::times::{Clock, Selection};
use super::{Observations, ReadOptions, Station, UnixSeconds, Variable};
use crate::output::plausible;
use crate::report::ReadingsReport;

/// Refused rows or values that are told one by one.
const EXAMPLES: usize = 20;
/// Variables named in an error at most.
const KNOWN: usize = 1000;

/// A time as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Readings without time.
    Untimed,
    At(UnixSeconds),
    /// Found not to be wanted once its readings were stored.
    Unwanted,
}

/// Where a reading belongs, as numbers of arrival.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) time: u32,
    pub(super) station: u32,
    pub(super) variable: u32,
}

/// Gathers readings from one or more sources.
pub(super) struct Collector<'a> {
    pub(super) options: &'a ReadOptions,
    pub(super) missing: Missing,
    pub(super) report: ReadingsReport,
    pub(super) places: Option<PlaceTable>,
    /// Whether places came from columns that are not called longitude and latitude.
    pub(super) in_plane: bool,
    clock: Clock,
    utc: Clock,
    selection: Selection,
    /// Name of each source, and the rows read before it.
    sources: Vec<(u64, String)>,
    last_row: u64,
    pub(super) stations: Vec<Station>,
    by_code: HashMap<Box<str>, u32>,
    /// The next station with the same code, or the same number again at the end.
    same_code: Vec<u32>,
    by_place: HashMap<[u64; 2], u32>,
    lost: HashSet<Box<str>>,
    variables: Vec<Variable>,
    /// Smallest and largest reading of each variable.
    ranges: Vec<[f64; 2]>,
    /// Order of each variable in the result.
    order: Vec<(usize, usize)>,
    by_name: HashMap<String, u32>,
    /// Variables that were there but not asked for.
    unwanted: Vec<String>,
    times: Vec<Arrival>,
    by_time: HashMap<UnixSeconds, u32>,
    seen: Option<[UnixSeconds; 2]>,
    store: Store,
}

impl<'a> Collector<'a> {
    pub(super) fn new(
        options: &'a ReadOptions,
        places: Option<PlaceTable>,
    ) -> Result<Self, ReadError> {
        let clock = Clock::new(options.zone.as_deref())?;
        let mut selection = Selection::new(&options.times, &clock)?;
        if options.series.is_any() {
            // A mean needs readings of other times, too: the means are selected, not these.
            selection = Selection::new(&[], &clock)?;
        }
        let mut report = ReadingsReport::default();
        for code in places.iter().flat_map(|places| &places.conflicts) {
            report.rejected += 1;
            if report.rejected_examples.len() < EXAMPLES {
                let example = format!("stations: {code} came again with another place");
                report.rejected_examples.push(example);
            }
        }
        Ok(Self {
            options,
            missing: Missing::new(&options.missing),
            report,
            in_plane: places.as_ref().is_some_and(|places| places.in_plane),
            places,
            clock,
            utc: Clock::utc(),
            selection,
            sources: Vec::new(),
            last_row: 0,
            stations: Vec::new(),
            by_code: HashMap::new(),
            same_code: Vec::new(),
            by_place: HashMap::new(),
            lost: HashSet::new(),
            variables: Vec::new(),
            ranges: Vec::new(),
            order: Vec::new(),
            by_name: HashMap::new(),
            unwanted: Vec::new(),
            times: Vec::new(),
            by_time: HashMap::new(),
            seen: None,
            store: Store::new(options.spill_bytes),
        })
    }

    /// Adds the stations of the table of places, before any reading.
    pub(super) fn add_every_station(&mut self) -> Result<(), ReadError> {
        let stations: Vec<Station> = self.places.iter().flat_map(PlaceTable::stations).collect();
        for (number, Station { id, x, y }) in stations.into_iter().enumerate() {
            self.station(&id, [x, y], At::Record(number as u64))?;
        }
        Ok(())
    }

    /// Begins a source.
    pub(super) fn begin(&mut self, name: &str) {
        let before = self.sources.last().map_or(0, |(before, _)| *before) + self.last_row;
        self.sources.push((before, name.to_owned()));
        self.last_row = 0;
    }

    /// Name of the source being read.
    pub(super) fn source(&self) -> &str {
        self.sources.last().map_or("", |(_, name)| name)
    }

    /// Counts a row.
    pub(super) fn row(&mut self, at: At) {
        self.report.rows += 1;
        self.last_row = at.number();
    }

    /// Counts something refused.
    pub(super) fn reject(&mut self, at: At, column: Option<&str>, reason: &str) {
        self.report.rejected += 1;
        if self.report.rejected_examples.len() < EXAMPLES {
            let source =
                if self.sources.len() > 1 { format!("{}, ", self.source()) } else { String::new() };
            let example = format!("{source}{}: {reason}", at.location(column));
            self.report.rejected_examples.push(example);
        }
    }

    /// The clock for a column.
    pub(super) fn clock(&self, utc: bool) -> &Clock {
        if utc { &self.utc } else { &self.clock }
    }

    /// Whether some times are not wanted.
    pub(super) fn selects_times(&self) -> bool {
        !self.selection.is_all()
    }

    /// Number of a time, unless it is not wanted.
    pub(super) fn time(&mut self, time: UnixSeconds) -> Option<u32> {
        let wanted = self.see(time);
        wanted.then(|| {
            *self.by_time.entry(time).or_insert_with(|| {
                self.times.push(Arrival::At(time));
                index(self.times.len() - 1)
            })
        })
    }

    /// Number of readings without time.
    pub(super) fn untimed(&mut self) -> u32 {
        let known = self.times.iter().position(|time| *time == Arrival::Untimed);
        index(known.unwrap_or_else(|| {
            self.times.push(Arrival::Untimed);
            self.times.len() - 1
        }))
    }

    /// Times known so far: the next one's number.
    pub(super) fn next_time(&self) -> u32 {
        index(self.times.len())
    }

    /// Adds a time whose readings may be stored already; false if it is not wanted.
    pub(super) fn add_time(&mut self, time: Option<UnixSeconds>) -> bool {
        let arrival = match time {
            None => Arrival::Untimed,
            Some(time) if self.see(time) => Arrival::At(time),
            Some(_) => Arrival::Unwanted,
        };
        self.times.push(arrival);
        arrival != Arrival::Unwanted
    }

    fn see(&mut self, time: UnixSeconds) -> bool {
        let [first, last] = self.seen.unwrap_or([time, time]);
        self.seen = Some([first.min(time), last.max(time)]);
        self.selection.takes(time)
    }

    /// Number of a variable, unless it is not wanted. `column` orders variables of a source.
    pub(super) fn variable(
        &mut self,
        name: &str,
        units: Option<&str>,
        column: usize,
    ) -> Result<Option<u32>, ReadError> {
        if let Some(&known) = self.by_name.get(name) {
            return Ok(Some(known));
        }
        let wanted = &self.options.variables;
        let order = match wanted.iter().position(|wanted| wanted == name) {
            Some(position) => (0, position),
            None if self.options.beside.iter().any(|beside| beside == name) => (usize::MAX, column),
            None if wanted.is_empty() => (self.sources.len(), column),
            None => {
                if self.unwanted.len() < KNOWN && !self.unwanted.iter().any(|n| n == name) {
                    self.unwanted.push(name.to_owned());
                }
                return Ok(None);
            }
        };
        self.check_count("variables", self.variables.len() + 1, self.options.max_variables)?;
        let units = units.map(str::trim).filter(|units| !units.is_empty()).map(str::to_owned);
        let units = units.or_else(|| self.options.units.get(name).cloned());
        self.variables.push(Variable { name: name.to_owned(), units });
        self.ranges.push([f64::INFINITY, f64::NEG_INFINITY]);
        self.order.push(order);
        let number = index(self.variables.len() - 1);
        self.by_name.insert(name.to_owned(), number);
        Ok(Some(number))
    }

    /// Refuses more of something than may be.
    pub(super) fn check_count(
        &self,
        of: &str,
        count: usize,
        limit: usize,
    ) -> Result<(), ReadError> {
        if count <= limit {
            return Ok(());
        }
        let name = self.source().to_owned();
        Err(ReadError::TooMuch { name, what: format!("{count} {of}"), limit: limit as u64 })
    }

    /// Number of a variable that has come already.
    pub(super) fn known_variable(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The unit of a variable, to be told or compared.
    pub(super) fn units(&mut self, variable: u32) -> &mut Option<String> {
        &mut self.variables[variable as usize].units
    }

    /// Number of the station with this code (or, without one, at this place). `xy` must be checked.
    pub(super) fn station(&mut self, code: &str, xy: [f64; 2], at: At) -> Result<u32, ReadError> {
        let place = xy.map(|c| (c + 0.0).to_bits());
        if code.is_empty() {
            if let Some(&known) = self.by_place.get(&place) {
                return Ok(known);
            }
            let number = self.add_station(format!("#{}", at.number()), xy, at)?;
            self.by_place.insert(place, number);
            return Ok(number);
        }
        let Some(&first) = self.by_code.get(code) else {
            let number = self.add_station(code.to_owned(), xy, at)?;
            self.by_code.insert(code.into(), number);
            return Ok(number);
        };
        let mut number = first;
        loop {
            let station = &self.stations[number as usize];
            if [station.x, station.y] == xy {
                return Ok(number);
            }
            let next = self.same_code[number as usize];
            if next == number {
                break;
            }
            number = next;
        }
        let moved = self.add_station(code.to_owned(), xy, at)?;
        self.same_code[number as usize] = moved;
        Ok(moved)
    }

    /// Adds a station, whatever there is already.
    pub(super) fn add_station(
        &mut self,
        id: String,
        [x, y]: [f64; 2],
        at: At,
    ) -> Result<u32, ReadError> {
        let number = index(self.stations.len());
        if self.stations.len() >= self.options.max_stations {
            return Err(ReadError::TooManyStations {
                name: self.source().to_owned(),
                at: at.location(None),
                limit: self.options.max_stations,
            });
        }
        self.stations.push(Station { id, x, y });
        self.same_code.push(number);
        Ok(number)
    }

    /// Refuses a place that is none.
    pub(super) fn check_place(
        &self,
        xy: [f64; 2],
        at: At,
        columns: [&str; 2],
    ) -> Result<(), ReadError> {
        let location = |is_x: bool| at.location(Some(columns[usize::from(!is_x)]));
        check_place(xy, self.options.planar, self.source(), location)
    }

    /// Remembers a station that has no place.
    pub(super) fn without_place(&mut self, code: &str, at: At) {
        if self.lost.len() >= self.options.max_stations || self.lost.contains(code) {
            return;
        }
        let made_up = format!("#{}", at.number());
        let code = if code.is_empty() { &made_up } else { code };
        if self.lost.insert(code.into()) {
            self.report.without_place.push(code.to_owned());
        }
    }

    /// Takes the cell of a reading.
    pub(super) fn cell(
        &mut self,
        text: &str,
        slot: Slot,
        at: At,
        column: &str,
    ) -> Result<(), ReadError> {
        match self.missing.cell(text) {
            Cell::Value(value) => {
                self.report.values += 1;
                self.store(slot, value)?;
            }
            Cell::Missing => self.report.missing += 1,
            Cell::Infinite => self.reject(at, Some(column), "infinite"),
            Cell::Text => {
                let reason = format!("`{}` is not a number", text.trim());
                self.reject(at, Some(column), &reason);
            }
        }
        Ok(())
    }

    /// Stores a value, uncounted.
    pub(super) fn store(&mut self, slot: Slot, value: f64) -> Result<(), ReadError> {
        let Slot { time, station, variable } = slot;
        let [low, high] = &mut self.ranges[variable as usize];
        (*low, *high) = (low.min(value), high.max(value));
        let before = self.sources.last().map_or(0, |(before, _)| *before);
        let ordinal = u32::try_from(before + self.last_row).unwrap_or(u32::MAX);
        let record = Record { time, variable, station, ordinal, value };
        self.store.push(record).map_err(|error| ReadError::Spill { error })
    }

    /// Checks that there is something, and puts it in order.
    pub(super) fn finish(mut self) -> Result<Observations, ReadError> {
        self.check_found()?;
        self.doubt_units();
        let mut order: Vec<usize> = (0..self.variables.len()).collect();
        order.sort_by_key(|&variable| self.order[variable]);
        let mut rank = vec![0; order.len()];
        for (to, &from) in order.iter().enumerate() {
            rank[from] = to;
        }
        let variables = order.iter().map(|&variable| self.variables[variable].clone()).collect();
        let (times, steps) = self.steps()?;
        let store = std::mem::replace(&mut self.store, Store::new(0));
        let sorted = match store.finish(self.times.len(), self.options.duplicates) {
            Ok(sorted) => sorted,
            Err(StoreError::Io(error)) => return Err(ReadError::Spill { error }),
            Err(StoreError::Repeated(first, second)) => return Err(self.repeated(first, second)),
        };
        self.report.repeated = sorted.repeated();
        let in_degrees =
            !self.options.planar || !self.in_plane && self.stations.iter().all(in_range);
        let Self { stations, report, .. } = self;
        let time_cells = None;
        Ok(Observations {
            in_degrees,
            stations,
            variables,
            times,
            report,
            sorted,
            steps,
            rank,
            time_cells,
            aside: Vec::new(),
            number_of: None,
            of_stations: Vec::new(),
        })
    }

    /// Times in order, and for each the numbers under which it arrived.
    #[expect(clippy::type_complexity, reason = "two lists side by side, used once")]
    fn steps(&self) -> Result<(Vec<Option<UnixSeconds>>, Vec<Vec<u32>>), ReadError> {
        let mut arrived: Vec<(Option<UnixSeconds>, u32)> = Vec::new();
        for (number, arrival) in self.times.iter().enumerate() {
            match arrival {
                Arrival::Untimed => arrived.push((None, index(number))),
                Arrival::At(time) => arrived.push((Some(*time), index(number))),
                Arrival::Unwanted => {}
            }
        }
        arrived.sort_unstable();
        let (mut times, mut steps): (Vec<_>, Vec<Vec<u32>>) = (Vec::new(), Vec::new());
        for (time, number) in arrived {
            match steps.last_mut() {
                Some(step) if times.last() == Some(&time) => step.push(number),
                _ => {
                    times.push(time);
                    steps.push(vec![number]);
                }
            }
        }
        if times.len() > 1 && times[0].is_none() {
            return Err(ReadError::MixedTimes);
        }
        Ok((times, steps))
    }

    /// Warns of units and values that a variable known by its name cannot have.
    fn doubt_units(&mut self) {
        for (variable, &[low, high]) in self.variables.iter().zip(&self.ranges) {
            let range = (low <= high).then_some([low, high]);
            self.report.warnings.extend(plausible::doubt(variable, range));
        }
    }

    fn check_found(&self) -> Result<(), ReadError> {
        let ReadingsReport { rows, values, missing, rejected, .. } = self.report;
        if self.stations.is_empty() && !self.report.without_place.is_empty() {
            let examples = list(&self.report.without_place);
            return Err(ReadError::NoPlaces { count: self.report.without_place.len(), examples });
        }
        let wanted = self.times.iter().any(|time| *time != Arrival::Unwanted);
        if let Some([first, last]) = self.seen.filter(|_| !wanted) {
            return Err(ReadError::NoSuchTime { first: first.to_string(), last: last.to_string() });
        }
        let unknown = self.options.variables.iter().find(|name| !self.by_name.contains_key(*name));
        if let Some(wanted) = unknown {
            let there = self.variables.iter().map(|variable| &variable.name);
            let known: Vec<&String> = there.chain(&self.unwanted).collect();
            return Err(ReadError::UnknownVariable { wanted: wanted.clone(), known: list(&known) });
        }
        if values == 0 && rejected == 0 && self.variables.is_empty() {
            return Err(ReadError::NoVariable { ignored: self.report.ignored.join("; ") });
        }
        if values == 0 {
            let example = self.report.rejected_examples.first();
            let example = example.map_or(String::new(), |example| format!(" ({example})"));
            return Err(ReadError::NoReadings { rows, missing, rejected, example });
        }
        Ok(())
    }

    fn repeated(&self, first: Record, second: Record) -> ReadError {
        let where_is = |record: Record| {
            let ordinal = u64::from(record.ordinal);
            let source = self.sources.iter().rev().find(|(before, _)| *before < ordinal);
            let (before, name) = source.map_or((0, ""), |(before, name)| (*before, name.as_str()));
            format!("{name} row {}", ordinal - before)
        };
        ReadError::RepeatedReading {
            station: self.stations[first.station as usize].id.clone(),
            variable: self.variables[first.variable as usize].name.clone(),
            first: where_is(first),
            second: where_is(second),
        }
    }
}

/// A number of arrival. Stations are limited by [`ReadOptions::max_stations`]; four thousand
/// million times or variables need more memory than a machine has.
fn index(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than 2³² stations, times and variables")
}

/// Whether a station may be in degrees.
fn in_range(station: &Station) -> bool {
    (-180.0..=360.0).contains(&station.x) && (-90.0..=90.0).contains(&station.y)
}
