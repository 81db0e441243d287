//! The readings of variables with the same stations and times, slab by slab, as rows of a table.

use csv::StringRecord;
use netcdf_reader::{NcSliceInfo, NcSliceInfoElem, NcType, NcValue};

use super::Input;
use super::shape::{Clock, Order, Place, Reading, Series, Time};
use crate::cf_time;
use crate::observations::Layout;
use crate::observations::UnixSeconds;
use crate::observations::binary::go_on;
use crate::observations::collect::Collector;
use crate::observations::error::{Location, ReadError};
use crate::observations::layouts::Rows;
use crate::observations::table::At;
use crate::report::iso_8601;

/// Values of all variables of a slab.
const SLAB: u64 = 1 << 20;
/// Longest code of a station; what is longer is cut.
const LONGEST_CODE: usize = 256;
/// Times of a file that are kept at once.
const MOST_TIMES: u64 = 16 << 20;
/// What the library writes where nobody has written, if the file names no other value.
const UNWRITTEN: f64 = 9.969_209_968_386_869e36;

/// Hands on every reading; whether there was any.
pub(super) fn each(
    input: &Input<'_>,
    series: &Series,
    collector: &mut Collector<'_>,
) -> Result<bool, ReadError> {
    let stations = Stations::read(input, &series.place, collector)?;
    let times = Times::read(input, series)?;
    let mut header = vec!["station".to_owned()];
    let names = if series.place.in_degrees { ["lon", "lat"] } else { ["x", "y"] };
    header.extend(names.map(str::to_owned));
    if series.time != Time::Unknown {
        header.push("time".to_owned());
    }
    header.extend(series.variables.iter().map(|variable| variable.name.clone()));
    let mut table = Rows::start(header, Some(Layout::Wide), collector)?;
    let mut owners = Owners::read(input, series, stations.len())?;
    let (mut record, mut row) = (StringRecord::new(), 0);
    for slab in slabs(series) {
        go_on(collector)?;
        let values: Vec<Vec<f64>> = series
            .variables
            .iter()
            .map(|variable| slab.values(input, &variable.variable))
            .collect::<Result<_, _>>()?;
        let own_times = match &series.time {
            Time::Each(clock) => Some(clock.read(input, &slab.select())?),
            _ => None,
        };
        let index = owners.of_slab(input, &slab)?;
        for k in 0..slab.len() {
            row += 1;
            let [first, second] = slab.place(k);
            let station = match &series.order {
                Order::Along(0) => Some(first),
                Order::Along(_) => Some(second),
                Order::One => Some(0),
                Order::Counted(_) | Order::Indexed(_) => index[k],
            };
            // Of nobody: the fill of a ragged array.
            let Some(station) = station else { continue };
            let Some((code, [x, y])) = stations.get(station) else {
                let text = format!(
                    "reading {row} is of station {station}, and there are {}",
                    stations.len()
                );
                return Err(input.wrong(text));
            };
            let time = match (&series.time, &own_times) {
                (Time::Along(0, _), _) => times.get(first),
                (Time::Along(..), _) => times.get(second),
                (_, Some(own)) => own[k],
                (Time::Once(_), None) => times.get(0),
                (Time::Each(_) | Time::Unknown, None) => None,
            };
            if series.time != Time::Unknown && time.is_none() {
                if values.iter().any(|values| !values[k].is_nan()) {
                    let at = At::Row(row);
                    collector.row(at);
                    collector.reject(at, Some("time"), "the reading has no time");
                }
                continue;
            }
            record.clear();
            record.push_field(code);
            record.push_field(x);
            record.push_field(y);
            if let Some(time) = time {
                record.push_field(&iso_8601(time));
            }
            for (variable, values) in series.variables.iter().zip(&values) {
                record.push_field(&cell(values[k], variable));
            }
            table.row(&record, At::Row(row), collector)?;
        }
    }
    table.finish(collector);
    Ok(row > 0)
}

/// A number as a table has it: the shortest text that is exact for its type.
#[expect(clippy::cast_possible_truncation, reason = "of a number of 32 bits nothing is lost")]
fn cell(value: f64, variable: &Reading) -> String {
    if value.is_nan() || (value.abs() - UNWRITTEN).abs() < 1e30 {
        String::new()
    } else if variable.single {
        (value as f32).to_string()
    } else {
        value.to_string()
    }
}

/// A part of an array of one or two dimensions: from and to.
struct Slab(Vec<[u64; 2]>);

/// All parts of the arrays of a series, in their order.
fn slabs(series: &Series) -> impl Iterator<Item = Slab> + use<> {
    let most = (SLAB / series.variables.len().max(1) as u64).max(1);
    let lengths = series.lengths.clone();
    let inner = lengths.last().copied().unwrap_or(0);
    let outer = if lengths.len() == 2 { lengths[0] } else { 1 };
    let (inner_step, outer_step) =
        if inner >= most { (most, 1) } else { (inner.max(1), most / inner.max(1)) };
    let part = |from: u64, step: u64, length: u64| [from, from.saturating_add(step).min(length)];
    steps(outer, outer_step).flat_map(move |a| {
        let two = lengths.len() == 2;
        steps(inner, inner_step).map(move |b| {
            let inner = part(b, inner_step, inner);
            Slab(if two { vec![part(a, outer_step, outer), inner] } else { vec![inner] })
        })
    })
}

fn steps(length: u64, step: u64) -> impl Iterator<Item = u64> {
    let count = length.div_ceil(step.max(1));
    (0..count).map(move |k| k * step)
}

impl Slab {
    fn select(&self) -> NcSliceInfo {
        let range =
            |[start, end]: &[u64; 2]| NcSliceInfoElem::Slice { start: *start, end: *end, step: 1 };
        NcSliceInfo { selections: self.0.iter().map(range).collect() }
    }

    fn len(&self) -> usize {
        let count: u64 = self.0.iter().map(|[start, end]| end - start).product();
        index(count)
    }

    /// Where element `k` is in the whole array.
    fn place(&self, k: usize) -> [usize; 2] {
        match self.0[..] {
            [[a, _], [b, end]] => {
                let width = index(end - b);
                [index(a) + k / width, index(b) + k % width]
            }
            [[a, _]] => [index(a) + k, 0],
            _ => [0, 0],
        }
    }

    fn values(&self, input: &Input<'_>, variable: &str) -> Result<Vec<f64>, ReadError> {
        let read = input
            .call(|file| file.read_variable_slice_unpacked_masked(variable, &self.select()))?;
        let values: Vec<f64> = read.into_iter().collect();
        if values.len() == self.len() {
            return Ok(values);
        }
        Err(input.wrong(format!("{variable} has other lengths than its dimensions")))
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Codes and places.
struct Stations {
    codes: Vec<String>,
    places: Vec<[String; 2]>,
}

impl Stations {
    fn read(
        input: &Input<'_>,
        place: &Place,
        collector: &Collector<'_>,
    ) -> Result<Self, ReadError> {
        let limit = collector.options.max_stations;
        let count = place.count.unwrap_or(1);
        if count > limit as u64 {
            return Err(ReadError::TooManyStations {
                name: input.name.to_owned(),
                at: Location::cell(1, Some(&place.x)),
                limit,
            });
        }
        let mut both = Vec::new();
        for name in [&place.x, &place.y] {
            let values = input.call(|file| file.read_variable_unpacked_masked(name))?;
            let single = input.call(|file| Ok(*file.variable(name)?.dtype() == NcType::Float))?;
            let text =
                Reading { variable: String::new(), name: String::new(), units: None, single };
            both.push(values.into_iter().map(|value| cell(value, &text)).collect::<Vec<String>>());
        }
        let (Some(y), Some(x)) = (both.pop(), both.pop()) else {
            return Err(input.wrong("no places".to_owned()));
        };
        let places: Vec<[String; 2]> = x.into_iter().zip(y).map(|(x, y)| [x, y]).collect();
        let codes = match &place.id {
            Some(id) => codes(input, id, count)?,
            None => vec![String::new(); places.len()],
        };
        if codes.len() != places.len() || places.len() as u64 != count {
            let text = format!("{} codes of stations, and {} places", codes.len(), places.len());
            return Err(input.wrong(text));
        }
        Ok(Self { codes, places })
    }

    fn len(&self) -> usize {
        self.places.len()
    }

    fn get(&self, k: usize) -> Option<(&str, [&str; 2])> {
        let [x, y] = self.places.get(k)?;
        Some((&self.codes[k], [x, y]))
    }
}

fn codes(input: &Input<'_>, id: &str, count: u64) -> Result<Vec<String>, ReadError> {
    let variable = input.call(|file| file.variable(id))?;
    let elements = input.call(|_| Ok(variable.num_elements()?))?;
    let cut = |mut text: String| {
        text.truncate(text.floor_char_boundary(LONGEST_CODE));
        text.trim_end_matches('\0').trim().to_owned()
    };
    if elements > count.saturating_mul(4096) {
        return Err(input.wrong(format!("{id}: codes of stations are longer than 4096 letters")));
    }
    Ok(match variable.dtype() {
        NcType::String => {
            // One by one: a long text may be named many times.
            let one = |view: netcdf_reader::NcValueView<'_>| match view.to_owned_value()? {
                NcValue::String(text) => Ok(cut(text)),
                _ => Ok(String::new()),
            };
            let texts = input.call(|file| file.read_variable_user_defined_with(id, one))?;
            texts.into_iter().collect()
        }
        NcType::Char => {
            let texts = input.call(|file| file.read_variable_as_strings(id))?;
            texts.into_iter().map(cut).collect()
        }
        _ => {
            let numbers = input.call(|file| file.read_variable_as_f64(id))?;
            numbers.into_iter().map(|number| number.to_string()).collect()
        }
    })
}

/// Times along a dimension, or the only one.
struct Times(Vec<Option<UnixSeconds>>);

impl Times {
    fn read(input: &Input<'_>, series: &Series) -> Result<Self, ReadError> {
        let (Time::Along(_, clock) | Time::Once(clock)) = &series.time else {
            return Ok(Self(Vec::new()));
        };
        let shape = input.call(|file| Ok(file.variable(&clock.variable)?.shape()))?;
        let count: u64 = shape.iter().product();
        if count > MOST_TIMES {
            let (name, what) = (input.name.to_owned(), format!("{count} times"));
            return Err(ReadError::TooMuch { name, what, limit: MOST_TIMES });
        }
        clock.read(input, &NcSliceInfo::all(shape.len())).map(Self)
    }

    fn get(&self, k: usize) -> Option<UnixSeconds> {
        self.0.get(k).copied().flatten()
    }
}

impl Clock {
    /// Instants; none where the file has none.
    fn read(
        &self,
        input: &Input<'_>,
        select: &NcSliceInfo,
    ) -> Result<Vec<Option<UnixSeconds>>, ReadError> {
        let Self { variable, units, calendar } = self;
        let values =
            input.call(|file| file.read_variable_slice_unpacked_masked(variable, select))?;
        let known = cf_time::Origin::of(units, calendar.as_deref()).ok_or_else(|| {
            let calendar = calendar.as_deref().unwrap_or("standard");
            input.wrong(format!(
                "{variable}: times in `{units}`, calendar {calendar}, are not understood"
            ))
        })?;
        Ok(values.into_iter().map(|value| known.instant(value)).collect())
    }
}

/// Whose the elements of a ragged array are.
enum Owners<'a> {
    Told,
    /// Elements before the end of each station.
    Ends(Vec<u64>),
    Index {
        variable: &'a str,
    },
}

impl<'a> Owners<'a> {
    fn read(input: &Input<'_>, series: &'a Series, stations: usize) -> Result<Self, ReadError> {
        match &series.order {
            Order::Along(_) | Order::One => Ok(Self::Told),
            Order::Indexed(variable) => Ok(Self::Index { variable }),
            Order::Counted(variable) => {
                let counts = input.call(|file| file.read_variable_as_f64(variable))?;
                let samples = series.lengths.first().copied().unwrap_or(0);
                let (mut end, mut ends) = (0_u64, Vec::with_capacity(stations));
                for count in counts {
                    let count = whole(count).ok_or_else(|| {
                        input.wrong(format!(
                            "{variable} holds {count}, which is no number of readings"
                        ))
                    })?;
                    end = end.saturating_add(count);
                    ends.push(end);
                }
                if end > samples || ends.len() != stations {
                    let text = format!("{variable} counts {end} readings, and there are {samples}");
                    return Err(input.wrong(text));
                }
                Ok(Self::Ends(ends))
            }
        }
    }

    /// The station of each element of a slab, where that is not told by the place.
    fn of_slab(&mut self, input: &Input<'_>, slab: &Slab) -> Result<Vec<Option<usize>>, ReadError> {
        match self {
            Self::Told => Ok(Vec::new()),
            Self::Ends(ends) => {
                let owner = |k: usize| {
                    let at = slab.place(k)[0] as u64;
                    let station = ends.partition_point(|end| *end <= at);
                    (station < ends.len()).then_some(station)
                };
                Ok((0..slab.len()).map(owner).collect())
            }
            Self::Index { variable } => {
                let all = slab.values(input, variable)?;
                Ok(all.into_iter().map(|number| whole(number).map(index)).collect())
            }
        }
    }
}

/// A number that counts.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within bounds that f64 has"
)]
fn whole(number: f64) -> Option<u64> {
    ((0.0..9e15).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}
