//! Tables of places: where stations are, and where to evaluate.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::cells::{check_place, coordinate};
use super::columns::{Roles, list};
use super::error::{Location, ReadError};
use super::table::Table;
use super::text::Text;
use super::{ReadOptions, Source, Station};
use crate::grid::Places;
use crate::network::Duplicates;

/// Places by station code.
#[derive(Debug, Default)]
pub(super) struct PlaceTable {
    /// Whether its columns are not called longitude and latitude.
    pub(super) in_plane: bool,
    places: HashMap<String, [f64; 2]>,
    /// Codes in the order of the table.
    codes: Vec<String>,
    /// Further columns asked for that it has, and their values by station code.
    beside: Vec<String>,
    values: HashMap<String, Vec<f64>>,
    /// Codes that came again with another place, which was not taken.
    pub(super) conflicts: Vec<String>,
}

impl PlaceTable {
    /// Reads a table of stations. Rows without coordinates are places that nobody knows.
    pub(super) fn read(source: Source, options: &ReadOptions) -> Result<Self, ReadError> {
        let mut table = open(source, options)?;
        // The columns told are those of the readings; here they count where they exist.
        let mut columns = options.columns.clone();
        for told in [&mut columns.station, &mut columns.x, &mut columns.y] {
            let has = |name: &String| table.header.iter().any(|c| c.eq_ignore_ascii_case(name));
            *told = told.take().filter(has);
        }
        (columns.time, columns.variable, columns.value, columns.units) = Default::default();
        let beside = options.beside.iter().filter(|name| table.header.contains(name));
        let beside: Vec<String> = beside.cloned().collect();
        let options = &ReadOptions { columns, ..plain_options(options) };
        let roles = Roles::recognise(&table.header, options, &table.name)?;
        let station = roles.station.ok_or_else(|| not_recognised(&table, "stations"))?;
        let place = roles.place.ok_or_else(|| not_recognised(&table, "coordinates"))?;
        let mut found = Self { in_plane: !roles.in_degrees(&table.header), ..Self::default() };
        let at = |name: &String| table.header.iter().position(|column| column == name);
        let columns: Vec<usize> = beside.iter().filter_map(at).collect();
        found.beside = beside;
        while table.advance()? {
            let Some(xy) = row_place(&table, place, options.planar)? else { continue };
            let code = table.record().get(station).unwrap_or("").trim();
            if !columns.is_empty() && !found.values.contains_key(code) {
                let number = |&at: &usize| coordinate(table.record().get(at).unwrap_or(""));
                let values = columns.iter().map(|at| number(at).ok().flatten().unwrap_or(f64::NAN));
                found.values.insert(code.to_owned(), values.collect());
            }
            let known = match found.places.entry(code.to_owned()) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    found.codes.push(code.to_owned());
                    *new.insert(xy)
                }
            };
            if known != xy {
                if options.duplicates == Duplicates::Error {
                    let message = format!("station {code} came before with another place");
                    let at = table.at().location(None);
                    return Err(ReadError::Shape { name: table.name, at, message });
                }
                found.conflicts.push(code.to_owned());
            }
            if found.places.len() > options.max_stations {
                let at = table.at().location(None);
                let limit = options.max_stations;
                return Err(ReadError::TooManyStations { name: table.name, at, limit });
            }
        }
        Ok(found)
    }

    /// The further columns, station by station; NaN where there is no number.
    pub(super) fn beside(&self, stations: &[Station]) -> Vec<(String, Vec<f64>)> {
        let column = |(k, name): (usize, &String)| {
            let value = |s: &Station| self.values.get(&s.id).map_or(f64::NAN, |values| values[k]);
            (name.clone(), stations.iter().map(value).collect())
        };
        self.beside.iter().enumerate().map(column).collect()
    }

    /// Its stations in their order.
    pub(super) fn stations(&self) -> impl Iterator<Item = Station> {
        self.codes.iter().filter_map(|code| {
            let [x, y] = self.get(code)?;
            Some(Station { id: code.clone(), x, y })
        })
    }

    pub(super) fn get(&self, code: &str) -> Option<[f64; 2]> {
        self.places.get(code).copied()
    }
}

impl Places {
    /// Reads a table of places. Of the options, those on columns, delimiter, encoding and
    /// coordinates count.
    ///
    /// # Errors
    /// [`ReadError`], which says where and what to do.
    pub fn read(source: Source, options: &ReadOptions) -> Result<Self, ReadError> {
        let mut table = open(source, options)?;
        let roles = Roles::recognise(&table.header, options, &table.name)?;
        let place = roles.place.ok_or_else(|| not_recognised(&table, "coordinates"))?;
        let mut places = Self { header: table.header.clone(), ..Self::default() };
        while table.advance()? {
            let Some([x, y]) = row_place(&table, place, options.planar)? else {
                let message = "the place has no coordinates".to_owned();
                let at = table.at().location(None);
                return Err(ReadError::Shape { name: table.name, at, message });
            };
            places.x.push(x);
            places.y.push(y);
            let mut cells: Vec<String> = table.record().iter().map(str::to_owned).collect();
            cells.resize(table.header.len(), String::new());
            places.rows.push(cells);
        }
        if places.x.is_empty() {
            return Err(ReadError::HeaderOnly { name: table.name });
        }
        Ok(places)
    }

    /// Places from coordinates, with columns `x, y` (`lon, lat` unless `planar`).
    ///
    /// # Errors
    /// [`ReadError`] with a JSON pointer `/{index}` if a coordinate is out of range or not finite.
    pub fn from_coordinates(places: &[[f64; 2]], planar: bool) -> Result<Self, ReadError> {
        for (index, place) in places.iter().enumerate() {
            let at = |is_x: bool| Location::pointer(format!("/{index}/{}", u8::from(!is_x)));
            check_place(*place, planar, "places", at)?;
        }
        if places.is_empty() {
            return Err(ReadError::Empty { name: "the list of places".to_owned() });
        }
        let header = if planar { ["x", "y"] } else { ["lon", "lat"] };
        Ok(Self {
            header: header.map(str::to_owned).to_vec(),
            rows: places.iter().map(|place| place.map(|c| c.to_string()).to_vec()).collect(),
            x: places.iter().map(|place| place[0]).collect(),
            y: places.iter().map(|place| place[1]).collect(),
        })
    }
}

fn open(source: Source, options: &ReadOptions) -> Result<Table, ReadError> {
    Table::open(
        Text::open(source, options.encoding.as_deref())?,
        options.delimiter,
        options.max_columns(),
    )
}

/// The options that matter for a table of places.
fn plain_options(options: &ReadOptions) -> ReadOptions {
    ReadOptions {
        planar: options.planar,
        max_stations: options.max_stations,
        duplicates: options.duplicates,
        ..ReadOptions::default()
    }
}

fn not_recognised(table: &Table, what: &'static str) -> ReadError {
    ReadError::NotRecognised {
        name: table.name.clone(),
        what,
        header: list(&table.header),
        remedy: "name the columns, e.g. station, lon and lat",
    }
}

fn row_place(
    table: &Table,
    place: [usize; 2],
    planar: bool,
) -> Result<Option<[f64; 2]>, ReadError> {
    let mut xy = [0.0; 2];
    for (value, index) in xy.iter_mut().zip(place) {
        match coordinate(table.record().get(index).unwrap_or("")) {
            Ok(Some(number)) => *value = number,
            Ok(None) => return Ok(None),
            Err(text) => {
                let at = table.at().location(Some(&table.header[index]));
                let message = format!("`{text}` is not a coordinate");
                return Err(ReadError::Shape { name: table.name.clone(), at, message });
            }
        }
    }
    let at = |is_x: bool| table.at().location(Some(&table.header[place[usize::from(!is_x)]]));
    check_place(xy, planar, &table.name, at)?;
    Ok(Some(xy))
}
