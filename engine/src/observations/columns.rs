//! Which column of a table is what, by name. Content is looked at elsewhere.

use super::error::ReadError;
use super::{Columns, ReadOptions};

/// Names that are recognised, the likelier first; compared in lower case with `_` for anything that
/// is not a letter or a digit.
const STATION: &[&str] = &[
    "station",
    "station_id",
    "stationid",
    "station_code",
    "stationcode",
    "id",
    "site",
    "site_id",
    "siteid",
    "site_code",
    "sitecode",
    "code",
    "aqsid",
    "full_aqsid",
    "station_eoi_code",
    "samplingpoint",
    "sampling_point",
    "监测点编码",
    "站点",
];
const LON: &[&str] =
    &["lon", "longitude", "long", "lng", "lon_deg", "longitude_deg", "degrees_east", "经度"];
const LAT: &[&str] = &["lat", "latitude", "lat_deg", "latitude_deg", "degrees_north", "纬度"];
const X: &[&str] = &["x", "x_km", "x_m", "easting", "easting_m", "easting_km"];
const Y: &[&str] = &["y", "y_km", "y_m", "northing", "northing_m", "northing_km"];
const TIME: &[&str] = &[
    "time",
    "time_utc",
    "utc",
    "datetime",
    "datetime_utc",
    "date_time",
    "timestamp",
    "timestamp_utc",
    "date_utc",
    "utc_time",
    "date_gmt",
    "valid_time",
    "时间",
];
const DATE: &[&str] = &["date", "day", "日期"];
const HOUR: &[&str] = &["hour", "hour_utc", "小时"];
const VARIABLE: &[&str] = &[
    "parameter",
    "variable",
    "pollutant",
    "type",
    "species",
    "element",
    "param",
    "parameter_name",
];
const VALUE: &[&str] =
    &["value", "concentration", "reading", "measurement", "observation", "obs", "result"];
const UNITS: &[&str] = &["unit", "units", "uom", "unit_of_measure"];
/// What is said of a station or a row, but not measured there and then.
const ATTRIBUTES: &[&str] = &[
    "altitude",
    "altitude_m",
    "alt",
    "alt_m",
    "elevation",
    "elevation_m",
    "elev",
    "elev_m",
    "gmt_offset",
    "gmt_offset_h",
    "utc_offset",
    "name",
    "station_name",
    "site_name",
    "city",
    "county",
    "district",
    "province",
    "state",
    "country",
    "region",
    "address",
    "postcode",
    "zip",
    "agency",
    "data_source",
    "status",
    "index",
    "row",
    "fid",
    "objectid",
    "year",
    "month",
];

/// Where a table says when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeColumns {
    None,
    One(usize),
    /// A date and an hour (or a time of day).
    Two(usize, usize),
}

/// What each column is.
#[derive(Debug)]
pub(super) struct Roles {
    pub(super) station: Option<usize>,
    /// Columns of x and y.
    pub(super) place: Option<[usize; 2]>,
    pub(super) time: TimeColumns,
    /// Whether times without offset are in UTC whatever the zone told.
    pub(super) utc: bool,
    pub(super) variable: Option<usize>,
    pub(super) value: Option<usize>,
    pub(super) units: Option<usize>,
    /// All others: variables, stations, texts.
    pub(super) rest: Vec<usize>,
    /// Columns left out, with the reason.
    pub(super) ignored: Vec<String>,
}

impl Roles {
    /// Recognises the columns of a header; `name` is that of the source.
    pub(super) fn recognise(
        header: &[String],
        options: &ReadOptions,
        name: &str,
    ) -> Result<Self, ReadError> {
        let find = Finder { header, name };
        let Columns { station, x, y, time, variable, value, units } = &options.columns;
        let place = find.place(x.as_deref(), y.as_deref())?;
        let time_columns = find.time(time.as_deref())?;
        let mut roles = Self {
            station: find.role(station.as_deref(), STATION)?,
            place,
            time: time_columns,
            utc: false,
            variable: find.role(variable.as_deref(), VARIABLE)?,
            value: find.role(value.as_deref(), VALUE)?,
            units: find.role(units.as_deref(), UNITS)?,
            rest: Vec::new(),
            ignored: Vec::new(),
        };
        if let TimeColumns::One(index) | TimeColumns::Two(index, _) = time_columns {
            let name = plain(&header[index]);
            roles.utc = name.split('_').any(|word| word == "utc" || word == "gmt");
        }
        Ok(roles)
    }

    /// Whether the columns of the place are called longitude and latitude.
    pub(super) fn in_degrees(&self, header: &[String]) -> bool {
        self.place.is_some_and(|[x, y]| {
            LON.contains(&plain(&header[x]).as_str()) && LAT.contains(&plain(&header[y]).as_str())
        })
    }

    /// Sorts the columns without a role into those to read and those to leave out. A name in
    /// `wanted` is never left out.
    pub(super) fn divide(&mut self, header: &[String], wanted: &[String], attributes: bool) {
        let roles = [self.station, self.variable, self.value, self.units];
        let place = self.place.iter().flatten().copied();
        let time = match self.time {
            TimeColumns::None => vec![],
            TimeColumns::One(index) => vec![index],
            TimeColumns::Two(date, hour) => vec![date, hour],
        };
        let taken: Vec<usize> = roles.into_iter().flatten().chain(place).chain(time).collect();
        for (index, name) in header.iter().enumerate() {
            if taken.contains(&index) {
                continue;
            }
            let known = plain(name);
            let other_place = [LON, LAT, X, Y].iter().any(|names| names.contains(&known.as_str()));
            let why = if wanted.contains(name) {
                None
            } else if name.is_empty() {
                Some("it has no name")
            } else if attributes && other_place {
                Some("other columns give the place")
            } else if attributes && [TIME, DATE, HOUR].iter().any(|n| n.contains(&known.as_str())) {
                Some("other columns give the time")
            } else if attributes && ATTRIBUTES.contains(&known.as_str()) {
                Some("it describes the station")
            } else {
                None
            };
            match why {
                Some(why) => self.ignored.push(format!("{name}: {why}")),
                None => self.rest.push(index),
            }
        }
    }
}

/// Looks columns up.
struct Finder<'a> {
    header: &'a [String],
    name: &'a str,
}

impl Finder<'_> {
    /// The column told, or else the first known name that the header has.
    fn role(&self, told: Option<&str>, known: &[&str]) -> Result<Option<usize>, ReadError> {
        match told {
            Some(column) => self.told(column).map(Some),
            None => Ok(self.known(known)),
        }
    }

    fn known(&self, known: &[&str]) -> Option<usize> {
        known.iter().find_map(|name| self.header.iter().position(|column| plain(column) == *name))
    }

    fn told(&self, column: &str) -> Result<usize, ReadError> {
        let column = column.trim();
        let exact = self.header.iter().position(|name| name == column);
        exact
            .or_else(|| self.header.iter().position(|name| name.eq_ignore_ascii_case(column)))
            .ok_or_else(|| ReadError::NoSuchColumn {
                name: self.name.to_owned(),
                column: column.to_owned(),
                header: list(self.header),
            })
    }

    /// Longitude and latitude win over x and y.
    fn place(&self, x: Option<&str>, y: Option<&str>) -> Result<Option<[usize; 2]>, ReadError> {
        let pair = |xs, ys| Some([self.known(xs)?, self.known(ys)?]);
        let found = pair(LON, LAT).or_else(|| pair(X, Y));
        let x = x.map(|column| self.told(column)).transpose()?.or(found.map(|p| p[0]));
        let y = y.map(|column| self.told(column)).transpose()?.or(found.map(|p| p[1]));
        Ok(x.zip(y).map(|(x, y)| [x, y]))
    }

    fn time(&self, told: Option<&str>) -> Result<TimeColumns, ReadError> {
        if let Some(column) = told {
            return self.told(column).map(TimeColumns::One);
        }
        let (time, date, hour) = (self.known(TIME), self.known(DATE), self.known(HOUR));
        Ok(match (date, hour.or(time), time.or(date)) {
            (Some(date), Some(hour), _) => TimeColumns::Two(date, hour),
            (_, _, Some(one)) => TimeColumns::One(one),
            _ => TimeColumns::None,
        })
    }
}

/// A column's name as it is compared.
fn plain(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

/// Names for a message: not more than a reader will read.
pub(super) fn list(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = names.iter().take(12).map(AsRef::as_ref).collect();
    let more =
        if names.len() > 12 { format!(", … ({} in all)", names.len()) } else { String::new() };
    shown.join(", ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(header: &str) -> (Vec<String>, Roles) {
        let header: Vec<String> = header.split(',').map(str::to_owned).collect();
        let mut roles = Roles::recognise(&header, &ReadOptions::default(), "test").expect("found");
        roles.divide(&header, &[], true);
        (header, roles)
    }

    #[test]
    fn longitude_and_latitude_win_over_x_and_y_which_are_told_left_out() {
        let (header, roles) = roles("station,lon,lat,altitude,x,y,time,pm10");
        assert_eq!(roles.place, Some([1, 2]));
        assert_eq!(roles.rest.iter().map(|&i| &*header[i]).collect::<Vec<_>>(), ["pm10"]);
        assert_eq!(roles.ignored.len(), 3, "{:?}", roles.ignored);
    }

    #[test]
    fn names_are_compared_without_case_and_punctuation() {
        let (_, roles) = roles("Site ID,LONGITUDE,Latitude,Time (UTC),PM2.5");
        assert_eq!((roles.station, roles.place), (Some(0), Some([1, 2])));
        assert_eq!((roles.time, roles.utc), (TimeColumns::One(3), true));
    }

    #[test]
    fn a_date_goes_with_an_hour_or_a_time_of_day() {
        assert_eq!(roles("date,hour,type,1001A").1.time, TimeColumns::Two(0, 1));
        assert_eq!(roles("date,time,lon,lat,o3").1.time, TimeColumns::Two(0, 1));
        assert_eq!(roles("date,lon,lat,o3").1.time, TimeColumns::One(0));
    }

    #[test]
    fn a_column_told_that_is_not_there_is_an_error_with_the_header() {
        let columns = Columns { x: Some("east".to_owned()), ..Columns::default() };
        let options = ReadOptions { columns, ..ReadOptions::default() };
        let header = ["a".to_owned(), "b".to_owned()];
        let error = Roles::recognise(&header, &options, "test").expect_err("no such column");
        assert_eq!(error.to_string(), "test has no column `east`; its columns are: a, b");
    }
}
