//! Which variables of a file are readings at stations, and where their places and times stand.

use netcdf_reader::{NcAttrValue, NcType, NcVariable};

use super::Input;
use crate::cf_time;
use crate::observations::error::ReadError;

/// What a file has.
pub(super) struct Shapes {
    /// Variables with the same dimensions and coordinates together.
    pub(super) all: Vec<Series>,
    /// Variables that are left out, with the reason.
    pub(super) ignored: Vec<String>,
}

/// Variables that are read together.
#[derive(Debug, PartialEq)]
pub(super) struct Series {
    pub(super) variables: Vec<Reading>,
    /// Lengths of their dimensions, one or two.
    pub(super) lengths: Vec<u64>,
    pub(super) order: Order,
    pub(super) place: Place,
    pub(super) time: Time,
}

/// A variable of readings.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    /// In the file.
    pub(super) variable: String,
    /// What it is of.
    pub(super) name: String,
    pub(super) units: Option<String>,
    /// Whether its values are numbers of 32 bits.
    pub(super) single: bool,
}

/// How an element belongs to a station.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Order {
    /// By its place along this dimension of the variable.
    Along(usize),
    /// There is one station.
    One,
    /// So many elements of each station, one station after the other: the variable that counts them.
    Counted(String),
    /// By a variable of numbers of stations.
    Indexed(String),
}

/// Where stations are: names of variables.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) x: String,
    pub(super) y: String,
    /// Stations; none where the place has no dimension.
    pub(super) count: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) in_degrees: bool,
}

/// When an element was measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Time {
    Unknown,
    /// One time for everything.
    Once(Clock),
    /// By the place along this dimension of the variable.
    Along(usize, Clock),
    /// Each has its own.
    Each(Clock),
}

/// A variable of times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clock {
    pub(super) variable: String,
    pub(super) units: String,
    pub(super) calendar: Option<String>,
}

impl Series {
    pub(super) fn elements(&self) -> u64 {
        let each = self.lengths.iter().fold(1_u64, |all, length| all.saturating_mul(*length));
        each.saturating_mul(self.variables.len() as u64)
    }
}

impl Shapes {
    pub(super) fn of(input: &Input<'_>, planar: bool) -> Result<Self, ReadError> {
        let variables = input.call(|file| file.variables())?;
        let look = Look { variables, planar };
        let mut shapes = Self { all: Vec::new(), ignored: Vec::new() };
        for variable in variables {
            if look.is_about_others(variable) {
                continue;
            }
            match look.series(variable) {
                Ok(series) => shapes.add(series),
                Err(why) => shapes.ignored.push(format!("{}: {why}", variable.name())),
            }
        }
        Ok(shapes)
    }

    fn add(&mut self, mut new: Series) {
        let alike = |known: &&mut Series| {
            (&known.lengths, &known.order, &known.place, &known.time)
                == (&new.lengths, &new.order, &new.place, &new.time)
        };
        match self.all.iter_mut().find(alike) {
            Some(known) => known.variables.append(&mut new.variables),
            None => self.all.push(new),
        }
    }
}

fn text(variable: &NcVariable, name: &str) -> Option<String> {
    let text = variable.attribute(name)?.value.as_string()?;
    Some(text.trim_end_matches('\0').trim().to_owned())
}

fn names(variable: &NcVariable) -> Vec<&str> {
    variable.dimensions().iter().map(|dimension| dimension.name.as_str()).collect()
}

fn is_number(variable: &NcVariable) -> bool {
    use NcType as T;
    matches!(
        variable.dtype(),
        T::Byte
            | T::Short
            | T::Int
            | T::Float
            | T::Double
            | T::UByte
            | T::UShort
            | T::UInt
            | T::Int64
            | T::UInt64
    )
}

/// East and north: units, standard names, axes and names of coordinates.
const DEGREES: [[&[&str]; 3]; 2] = [
    [
        &["degrees_east", "degree_east", "degree_e", "degrees_e", "degreee", "degreese"],
        &["longitude"],
        &["lon", "longitude"],
    ],
    [
        &["degrees_north", "degree_north", "degree_n", "degrees_n", "degreen", "degreesn"],
        &["latitude"],
        &["lat", "latitude"],
    ],
];
const PLANE: [[&[&str]; 3]; 2] =
    [[&[], &["projection_x_coordinate"], &["x"]], [&[], &["projection_y_coordinate"], &["y"]]];

/// The variables of a file.
struct Look<'a> {
    variables: &'a [NcVariable],
    planar: bool,
}

impl Look<'_> {
    /// Coordinates, codes, bounds, flags, and what our own files have beside readings.
    fn is_about_others(&self, variable: &NcVariable) -> bool {
        let has = |name| variable.attribute(name).is_some();
        let marks = ["cf_role", "sample_dimension", "instance_dimension", "grid_mapping_name"];
        let content = text(variable, "coverage_content_type");
        let named_by_others = self.variables.iter().any(|other| {
            ["bounds", "coordinates", "ancillary_variables"].iter().any(|attribute| {
                text(other, attribute)
                    .is_some_and(|names| names.split_whitespace().any(|n| n == variable.name()))
            })
        });
        !is_number(variable)
            || marks.into_iter().any(has)
            || has("flag_meanings")
            || content.is_some_and(|kind| kind != "physicalMeasurement")
            || named_by_others
            || is_clock(variable)
            || variable.is_coordinate_variable()
            || (0..2)
                .any(|axis| is_axis(variable, &DEGREES[axis]) || is_axis(variable, &PLANE[axis]))
            || text(variable, "axis").is_some()
            || text(variable, "positive").is_some()
            || ["height", "altitude", "depth"]
                .iter()
                .any(|name| text(variable, "standard_name").as_deref() == Some(name))
    }

    fn series(&self, variable: &NcVariable) -> Result<Series, &'static str> {
        let dimensions = names(variable);
        if dimensions.is_empty() || dimensions.len() > 2 {
            return Err("it has neither one nor two dimensions");
        }
        let (order, mut place) = self.place(variable, &dimensions)?;
        place.id = self.id(variable, &place);
        let time = self.time(variable, &dimensions, &order)?;
        if let (Time::Once(_) | Time::Unknown, 2) = (&time, dimensions.len()) {
            return Err("it has two dimensions, and a time along none of them");
        }
        let scale = variable.attribute("scale_factor").or(variable.attribute("add_offset"));
        let single = match scale.map(|scale| &scale.value) {
            Some(NcAttrValue::Floats(_)) => !matches!(variable.dtype(), NcType::Double),
            Some(_) => false,
            None => *variable.dtype() == NcType::Float,
        };
        let long_name = text(variable, "long_name");
        let of_ours = long_name.as_deref().and_then(|name| name.strip_suffix(": reading used"));
        let reading = Reading {
            variable: variable.name().to_owned(),
            name: of_ours.unwrap_or(variable.name()).to_owned(),
            units: text(variable, "units").filter(|units| !units.is_empty()),
            single,
        };
        Ok(Series { variables: vec![reading], lengths: variable.shape(), order, place, time })
    }

    /// Where its stations are.
    fn place(
        &self,
        variable: &NcVariable,
        dimensions: &[&str],
    ) -> Result<(Order, Place), &'static str> {
        let mut found = Err("no coordinates of stations belong to it");
        let kinds = if self.planar { [&PLANE, &DEGREES] } else { [&DEGREES, &PLANE] };
        for axes in kinds {
            for x in self.coordinates(variable).filter(|other| is_axis(other, &axes[0])) {
                let of_stations = names(x);
                let alike = |y: &&NcVariable| is_axis(y, &axes[1]) && names(y) == of_stations;
                let Some(y) = self.coordinates(variable).find(alike) else { continue };
                let (Some(order), true) =
                    (self.order(variable, dimensions, &of_stations), x.ndim() < 2)
                else {
                    found = found.or(Err("its coordinates are of other dimensions"));
                    continue;
                };
                let place = Place {
                    x: x.name().to_owned(),
                    y: y.name().to_owned(),
                    count: x.shape().first().copied(),
                    id: None,
                    in_degrees: std::ptr::eq(axes, &DEGREES),
                };
                return Ok((order, place));
            }
        }
        found
    }

    /// Those that it names first, then all others.
    fn coordinates(&self, variable: &NcVariable) -> impl Iterator<Item = &NcVariable> {
        let named = text(variable, "coordinates").unwrap_or_default();
        let named: Vec<String> = named.split_whitespace().map(str::to_owned).collect();
        let is_named = move |other: &NcVariable| named.iter().any(|name| name == other.name());
        let is_other = is_named.clone();
        let all = self.variables;
        let others = all.iter().filter(move |other| !is_other(other));
        all.iter().filter(move |other| is_named(other)).chain(others)
    }

    fn order(&self, variable: &NcVariable, dimensions: &[&str], of: &[&str]) -> Option<Order> {
        let [station] = of else {
            return (of.is_empty() && dimensions.len() == 1).then_some(Order::One);
        };
        if let Some(at) = dimensions.iter().position(|name| name == station) {
            return Some(Order::Along(at));
        }
        let [sample] = dimensions else { return None };
        let says =
            |other: &NcVariable, name: &str, of: &str| text(other, name).as_deref() == Some(of);
        let known = |other: &&NcVariable| {
            is_number(other)
                && names(other) == [*station]
                && says(other, "sample_dimension", sample)
        };
        if let Some(counts) = self.variables.iter().find(known) {
            return Some(Order::Counted(counts.name().to_owned()));
        }
        let known = |other: &&NcVariable| {
            is_number(other)
                && names(other) == [*sample]
                && says(other, "instance_dimension", station)
        };
        let index = self.variables.iter().find(known)?;
        (index.name() != variable.name()).then(|| Order::Indexed(index.name().to_owned()))
    }

    fn id(&self, variable: &NcVariable, place: &Place) -> Option<String> {
        let x = self.variables.iter().find(|other| other.name() == place.x)?;
        let of_stations = names(x);
        let fits = |other: &&NcVariable| {
            let dimensions = names(other);
            let is_text = matches!(other.dtype(), NcType::Char);
            match of_stations.first() {
                Some(station) if is_text => dimensions.len() == 2 && dimensions[0] == *station,
                Some(station) => dimensions == [*station],
                None => dimensions.len() <= usize::from(is_text),
            }
        };
        let is_id =
            |other: &&NcVariable| text(other, "cf_role").as_deref() == Some("timeseries_id");
        let is_texts = |other: &&NcVariable| matches!(other.dtype(), NcType::Char | NcType::String);
        let is_called = |other: &&NcVariable| {
            let name = other.name().to_lowercase();
            let known =
                ["station", "station_id", "station_code", "id", "site", "code", "station_name"];
            is_texts(other) && (known.contains(&name.as_str()) || of_stations == [other.name()])
        };
        let mut all = self.coordinates(variable).filter(fits);
        let by_role = all.find(is_id);
        let found = by_role.or_else(|| self.coordinates(variable).filter(fits).find(is_called));
        found.map(|id| id.name().to_owned())
    }

    fn time(
        &self,
        variable: &NcVariable,
        dimensions: &[&str],
        order: &Order,
    ) -> Result<Time, &'static str> {
        let mut found = None;
        for clock in self.coordinates(variable).filter(|other| is_clock(other)) {
            let own = names(clock);
            let time = Clock {
                variable: clock.name().to_owned(),
                units: text(clock, "units").unwrap_or_default(),
                calendar: text(clock, "calendar"),
            };
            let along = |name: &str| dimensions.iter().position(|other| *other == name);
            match own[..] {
                [] => found = found.or(Some(Time::Once(time))),
                [only] if dimensions.len() == 2 => match along(only) {
                    Some(at) if *order != Order::Along(at) => return Ok(Time::Along(at, time)),
                    _ => (),
                },
                _ if own == dimensions => return Ok(Time::Each(time)),
                [a, b] if dimensions == [b, a] => {
                    return Err("its times have its dimensions in another order");
                }
                _ => (),
            }
        }
        Ok(found.unwrap_or(Time::Unknown))
    }
}

fn is_clock(variable: &NcVariable) -> bool {
    is_number(variable) && text(variable, "units").is_some_and(|units| cf_time::is_time(&units))
}

fn is_axis(variable: &NcVariable, [units, standard_names, called]: &[&[&str]; 3]) -> bool {
    let lower = |name| text(variable, name).map(|text| text.to_lowercase());
    let within = |text: Option<String>, known: &[&str]| {
        text.is_some_and(|text| known.contains(&text.as_str()))
    };
    is_number(variable)
        && (within(lower("units"), units)
            || within(lower("standard_name"), standard_names)
            || called.contains(&variable.name().to_lowercase().as_str()))
}
