//! The layouts of tables: one row per station and time, one reading a row, stations as columns.

use csv::StringRecord;

use super::cells::{Cell, coordinate};
use super::collect::{Collector, Slot};
use super::columns::{Roles, TimeColumns, list};
use super::error::ReadError;
use super::table::At;
use super::{Layout, ReadOptions, UnixSeconds};
use crate::network::Duplicates;

/// Understands the rows of one table.
pub(super) struct Rows {
    header: Vec<String>,
    when: When,
    who: Who,
    kind: Kind,
}

enum Kind {
    /// A column per variable.
    Wide(Vec<WideColumn>),
    /// Columns of the variable's name, the value, the unit.
    Long { variable: usize, value: usize, units: Option<usize> },
    /// Columns of the stations that have a place, with their numbers; column of the variable's name.
    Across { stations: Vec<(usize, u32)>, variable: Option<usize> },
}

struct WideColumn {
    index: usize,
    state: State,
}

enum State {
    /// Nothing but missing readings so far.
    Undecided { missing: u64 },
    /// None: a variable that is not wanted.
    Variable(Option<u32>),
    /// It holds something else.
    Text,
}

/// Which columns say when; remembers the last time, which most rows share.
struct When {
    columns: TimeColumns,
    utc: bool,
    last: Option<(String, Option<u32>)>,
}

/// Which columns say where.
struct Who {
    station: Option<usize>,
    place: Option<[usize; 2]>,
}

impl Rows {
    /// Recognises layout and columns.
    pub(super) fn start(
        header: Vec<String>,
        layout: Option<Layout>,
        collector: &mut Collector<'_>,
    ) -> Result<Self, ReadError> {
        let options = collector.options;
        collector.check_count("columns", header.len(), options.max_columns())?;
        let name = collector.source().to_owned();
        let mut roles = Roles::recognise(&header, options, &name)?;
        if options.every_station {
            // The places of a network are its own.
            roles.place = None;
        }
        collector.in_plane |= roles.place.is_some() && !roles.in_degrees(&header);
        let layout = layout.unwrap_or_else(|| likely_layout(&roles, collector.places.is_some()));
        if collector.selects_times() && roles.time == TimeColumns::None {
            return Err(ReadError::NoTimes { name });
        }
        let need = |column: Option<usize>, what, remedy| {
            let header = || list(&header);
            let name = || name.clone();
            column.ok_or_else(|| ReadError::NotRecognised {
                name: name(),
                what,
                header: header(),
                remedy,
            })
        };
        if layout == Layout::Wide {
            // `type` and `value` are columns like others here.
            (roles.variable, roles.value, roles.units) =
                told_roles(&header, options, roles.variable, roles.value, roles.units);
        }
        if layout != Layout::StationsAsColumns {
            let joined = collector.places.is_some() && roles.station.is_some();
            if options.every_station && roles.station.is_none() {
                return Err(no_station(&header, &name));
            }
            let place = roles.place.map(|place| place[0]).or(joined.then_some(0));
            need(place, "coordinates", "name them, or give a table of stations with their places")?;
        }
        let wanted = [&options.variables[..], &options.beside].concat();
        roles.divide(&header, &wanted, layout == Layout::Wide);
        refuse_repeats(&header, &mut roles, options, &name)?;
        let kind = match layout {
            Layout::Long => {
                let remedy = "name the columns of the variable and of the value";
                let variable = need(roles.variable, "the variable", remedy)?;
                Kind::Long {
                    variable,
                    value: need(roles.value, "the value", remedy)?,
                    units: roles.units,
                }
            }
            Layout::StationsAsColumns => across(&header, &roles, collector)?,
            Layout::Wide | Layout::Json => wide(&header, &roles, collector)?,
        };
        if layout != Layout::Long {
            collector.report.ignored.append(&mut roles.ignored);
        }
        let when = When { columns: roles.time, utc: roles.utc, last: None };
        let who = Who { station: roles.station, place: roles.place };
        Ok(Self { header, when, who, kind })
    }

    /// Takes one row.
    pub(super) fn row(
        &mut self,
        record: &StringRecord,
        at: At,
        collector: &mut Collector<'_>,
    ) -> Result<(), ReadError> {
        collector.row(at);
        let time = match self.when.of(record, collector) {
            Ok(Some(time)) => time,
            Ok(None) => return Ok(()),
            Err(text) => {
                let reason = format!("`{text}` is not a time");
                collector.reject(at, None, &reason);
                return Ok(());
            }
        };
        if let Kind::Across { stations, variable } = &self.kind {
            let name = variable.map_or("value", |column| cell(record, column));
            if name.is_empty() {
                collector.reject(at, None, "the variable has no name");
                return Ok(());
            }
            let order = usize::MAX;
            let Some(variable) = collector.variable(name, None, order)? else { return Ok(()) };
            for &(column, station) in stations {
                let slot = Slot { time, station, variable };
                collector.cell(cell(record, column), slot, at, &self.header[column])?;
            }
            return Ok(());
        }
        let Some(station) = self.who.of(record, at, &self.header, collector)? else {
            return Ok(());
        };
        match &mut self.kind {
            Kind::Wide(columns) => {
                for column in columns {
                    column.take(record, [time, station], at, &self.header, collector)?;
                }
                Ok(())
            }
            Kind::Long { variable, value, units } => {
                let units = units.map_or("", |column| cell(record, column));
                let name = cell(record, *variable);
                let reading = (name, units, cell(record, *value));
                long_row(reading, [time, station], at, &self.header[*value], collector)
            }
            Kind::Across { .. } => Ok(()),
        }
    }

    /// Tells of columns in which nothing was found.
    pub(super) fn finish(self, collector: &mut Collector<'_>) {
        if let Kind::Wide(columns) = self.kind {
            for column in columns {
                if let State::Undecided { .. } = column.state {
                    let ignored = format!("{}: no reading in it", self.header[column.index]);
                    collector.report.ignored.push(ignored);
                }
            }
        }
    }
}

fn cell(record: &StringRecord, column: usize) -> &str {
    record.get(column).unwrap_or("").trim()
}

/// The layout that the recognised columns suggest.
fn likely_layout(roles: &Roles, joined: bool) -> Layout {
    if roles.variable.is_some() && roles.value.is_some() {
        return Layout::Long;
    }
    let placed = roles.station.is_some() || roles.place.is_some();
    if !placed && (roles.variable.is_some() || joined) {
        return Layout::StationsAsColumns;
    }
    Layout::Wide
}

/// In the wide layout only what the user named keeps the role of a variable, a value or a unit.
fn told_roles(
    header: &[String],
    options: &ReadOptions,
    variable: Option<usize>,
    value: Option<usize>,
    units: Option<usize>,
) -> (Option<usize>, Option<usize>, Option<usize>) {
    let told = |name: &Option<String>, column: Option<usize>| {
        column.filter(|&c| name.as_ref().is_some_and(|name| header[c].eq_ignore_ascii_case(name)))
    };
    let columns = &options.columns;
    (told(&columns.variable, variable), told(&columns.value, value), told(&columns.units, units))
}

/// A column that repeats a name is left out, or refused if the user wants that.
fn refuse_repeats(
    header: &[String],
    roles: &mut Roles,
    options: &ReadOptions,
    name: &str,
) -> Result<(), ReadError> {
    let mut seen = std::collections::HashSet::new();
    let (kept, repeated): (Vec<usize>, Vec<usize>) =
        roles.rest.iter().partition(|&&index| seen.insert(header[index].as_str()));
    if let Some(&index) = repeated.first()
        && options.duplicates == Duplicates::Error
    {
        let column = header[index].clone();
        return Err(ReadError::RepeatedColumn { name: name.to_owned(), column });
    }
    for index in repeated {
        roles.ignored.push(format!("{}: the header has it twice", header[index]));
    }
    roles.rest = kept;
    Ok(())
}

fn no_station(header: &[String], name: &str) -> ReadError {
    ReadError::NotRecognised {
        name: name.to_owned(),
        what: "the station",
        header: list(header),
        remedy: "readings of a network are known by the codes of its stations",
    }
}

fn wide(
    header: &[String],
    roles: &Roles,
    collector: &mut Collector<'_>,
) -> Result<Kind, ReadError> {
    let column = |&index: &usize| {
        let (name, options) = (&header[index], collector.options);
        let wanted = options.variables.contains(name) || options.beside.contains(name);
        let state = if wanted {
            State::Variable(collector.variable(&header[index], None, index)?)
        } else {
            State::Undecided { missing: 0 }
        };
        Ok(WideColumn { index, state })
    };
    roles.rest.iter().map(column).collect::<Result<_, _>>().map(Kind::Wide)
}

fn across(
    header: &[String],
    roles: &Roles,
    collector: &mut Collector<'_>,
) -> Result<Kind, ReadError> {
    if collector.places.is_none() {
        return Err(ReadError::NotRecognised {
            name: collector.source().to_owned(),
            what: "coordinates",
            header: list(header),
            remedy: "where stations are columns, give a table of stations with their places",
        });
    }
    let mut stations = Vec::with_capacity(roles.rest.len());
    for &index in &roles.rest {
        let code = &header[index];
        match collector.places.as_ref().and_then(|places| places.get(code)) {
            Some(place) => stations.push((index, collector.station(code, place, At::Row(1))?)),
            None => collector.without_place(code, At::Row(1)),
        }
    }
    if stations.is_empty() && collector.options.every_station {
        return Err(no_station(header, collector.source()));
    }
    Ok(Kind::Across { stations, variable: roles.variable })
}

fn long_row(
    (name, units, text): (&str, &str, &str),
    [time, station]: [u32; 2],
    at: At,
    column: &str,
    collector: &mut Collector<'_>,
) -> Result<(), ReadError> {
    if name.is_empty() {
        collector.reject(at, None, "the variable has no name");
        return Ok(());
    }
    let Some(variable) = collector.variable(name, Some(units), usize::MAX)? else { return Ok(()) };
    if !units.is_empty() {
        let known = collector.units(variable).get_or_insert_with(|| units.to_owned());
        if known != units {
            let reason = format!("{name} in {units}, but {known} before");
            collector.reject(at, None, &reason);
            return Ok(());
        }
    }
    collector.cell(text, Slot { time, station, variable }, at, column)
}

impl WideColumn {
    fn take(
        &mut self,
        record: &StringRecord,
        [time, station]: [u32; 2],
        at: At,
        header: &[String],
        collector: &mut Collector<'_>,
    ) -> Result<(), ReadError> {
        let (text, name) = (cell(record, self.index), header[self.index].as_str());
        if let State::Undecided { missing } = &mut self.state {
            match collector.missing.cell(text) {
                Cell::Missing => {
                    *missing += 1;
                    return Ok(());
                }
                Cell::Text => {
                    collector.report.ignored.push(format!("{name}: `{text}` is not a number"));
                    self.state = State::Text;
                }
                Cell::Value(_) | Cell::Infinite => {
                    let missing = *missing;
                    let variable = collector.variable(name, None, self.index)?;
                    collector.report.missing += variable.map_or(0, |_| missing);
                    self.state = State::Variable(variable);
                }
            }
        }
        match self.state {
            State::Variable(Some(variable)) => {
                collector.cell(text, Slot { time, station, variable }, at, name)
            }
            _ => Ok(()),
        }
    }
}

impl When {
    /// The row's time; none if it is not wanted; the text if it is no time.
    fn of(
        &mut self,
        record: &StringRecord,
        collector: &mut Collector<'_>,
    ) -> Result<Option<u32>, String> {
        let (text, time): (String, Option<UnixSeconds>) = match self.columns {
            TimeColumns::None => return Ok(Some(collector.untimed())),
            TimeColumns::One(column) => {
                let text = cell(record, column);
                if let Some((last, time)) = &self.last
                    && last == text
                {
                    return Ok(*time);
                }
                (text.to_owned(), collector.clock(self.utc).instant(text))
            }
            TimeColumns::Two(date, hour) => {
                let (date, hour) = (cell(record, date), cell(record, hour));
                let clock = collector.clock(self.utc);
                // Some tables write the whole time in both columns, or in the second.
                let time = clock.date_and_hour(date, hour).or_else(|| clock.instant(hour));
                (format!("{date} {hour}"), time)
            }
        };
        let time = collector.time(time.ok_or_else(|| text.clone())?);
        self.last = Some((text, time));
        Ok(time)
    }
}

impl Who {
    /// The row's station; none if it has no place or its place cannot be read, which is then told.
    fn of(
        &self,
        record: &StringRecord,
        at: At,
        header: &[String],
        collector: &mut Collector<'_>,
    ) -> Result<Option<u32>, ReadError> {
        let code = self.station.map_or("", |column| cell(record, column));
        if let Some(place) = self.place {
            let mut xy = [None; 2];
            for (value, column) in xy.iter_mut().zip(place) {
                match coordinate(cell(record, column)) {
                    Ok(number) => *value = number,
                    Err(text) => {
                        let reason = format!("`{text}` is not a coordinate");
                        collector.reject(at, Some(&header[column]), &reason);
                        return Ok(None);
                    }
                }
            }
            if let [Some(x), Some(y)] = xy {
                collector.check_place([x, y], at, place.map(|column| header[column].as_str()))?;
                return collector.station(code, [x, y], at).map(Some);
            }
        }
        match collector.places.as_ref().and_then(|places| places.get(code)) {
            Some(place) => collector.station(code, place, at).map(Some),
            None if code.is_empty() && collector.options.every_station => {
                collector.reject(at, None, "it does not say of which station it is");
                Ok(None)
            }
            None => {
                collector.without_place(code, at);
                Ok(None)
            }
        }
    }
}
