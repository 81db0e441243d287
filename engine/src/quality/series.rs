//! Rate and stuck: what the series of a station tells of its readings.
//!
//! One pass over the time steps keeps a few numbers for each station and variable. What is flagged
//! goes to the store that readings go to: beyond a limit to an unnamed temporary file.

use super::Flag;
use super::limits::Limits;
use crate::network::Duplicates;
use crate::observations::store::{Record, Sorted, Store, StoreError};
use crate::observations::{Observations, ReadError};

/// Beyond this many hours a change says nothing of a rate.
const LONGEST_GAP: f64 = 3.0;

/// Memory for flags before they go to a file.
const SPILL_BYTES: u64 = 16 << 20;

/// Flags of readings that their series cannot explain.
#[derive(Debug)]
pub(super) struct Series(Sorted);

/// A flagged reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) flag: Flag,
    pub(super) variable: usize,
    pub(super) station: usize,
    /// The change since the last reading, or how many readings repeat the value.
    pub(super) detail: f64,
}

const FLAGS: [Flag; 2] = [Flag::Rate, Flag::Stuck];

impl Series {
    /// Examines every series; none where there is nothing to examine.
    pub(super) fn new(
        observations: &Observations,
        limits: &[Limits],
        stuck: Option<u32>,
    ) -> Result<Option<Self>, ReadError> {
        let times = observations.times();
        let any = stuck.is_some() || limits.iter().any(|l| l.rate.is_finite());
        if times.len() < 2 || !any {
            return Ok(None);
        }
        let stations = observations.stations().len();
        let mut tracks = vec![Track::default(); stations * limits.len()];
        let mut flags = Flags { store: Store::new(SPILL_BYTES), error: None };
        let mut step = Vec::new();
        for (index, time) in times.iter().enumerate() {
            observations.step(index, &mut step)?;
            let Some(time) = time else { continue };
            for (at, &value) in step.iter().enumerate() {
                let (variable, station) = (at / stations, at % stations);
                // What is impossible has its flag, and sound readings need not agree with it.
                let [low, high] = limits[variable].range;
                if !(low..=high).contains(&value) {
                    continue;
                }
                let of = Of { variable, station, limits: &limits[variable], stuck };
                let now = Reading { index: number(index), seconds: time.0, value };
                tracks[at].advance(now, &of, &mut flags);
            }
        }
        for (at, track) in tracks.iter().enumerate() {
            let (variable, station) = (at / stations, at % stations);
            let of = Of { variable, station, limits: &limits[variable], stuck };
            track.end_run(&of, &mut flags);
        }
        flags.finish(times.len()).map(|sorted| Some(Self(sorted)))
    }

    /// Hands out what was flagged at one time step.
    pub(super) fn each(&self, time: usize, mut take: impl FnMut(Found)) -> Result<(), ReadError> {
        let read = self.0.each(time, |entry| {
            let variable = entry.variable as usize;
            take(Found {
                flag: FLAGS[variable % FLAGS.len()],
                variable: variable / FLAGS.len(),
                station: entry.station as usize,
                detail: entry.value,
            });
        });
        read.map_err(|error| ReadError::Spill { error })
    }
}

/// Time steps, variables and stations are stored as such numbers, here as in the readings.
fn number(index: usize) -> u32 {
    u32::try_from(index).expect("readings were stored under such numbers")
}

/// Takes flags; the first that cannot be written is told at the end.
struct Flags {
    store: Store,
    error: Option<std::io::Error>,
}

impl Flags {
    fn push(&mut self, of: &Of<'_>, flag: Flag, time: u32, detail: f64) {
        let kind = FLAGS.iter().position(|&f| f == flag).expect("one of the two");
        let record = Record {
            time,
            variable: number(of.variable * FLAGS.len() + kind),
            station: number(of.station),
            ordinal: 0,
            value: detail,
        };
        if self.error.is_none() {
            self.error = self.store.push(record).err();
        }
    }

    fn finish(self, times: usize) -> Result<Sorted, ReadError> {
        if let Some(error) = self.error {
            return Err(ReadError::Spill { error });
        }
        self.store.finish(times, Duplicates::First).map_err(|error| match error {
            StoreError::Io(error) => ReadError::Spill { error },
            StoreError::Repeated(..) => unreachable!("the first of equal flags is as good"),
        })
    }
}

/// Which series, and what it must keep to.
struct Of<'a> {
    variable: usize,
    station: usize,
    limits: &'a Limits,
    stuck: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    /// Number of the time step.
    index: u32,
    seconds: i64,
    value: f64,
}

impl Reading {
    /// Whether one cannot follow the other: the change is larger than the rate allows. Within an
    /// hour as much is allowed as in a whole one; after a long gap everything.
    fn jumps_from(&self, before: &Self, rate: f64) -> bool {
        let hours = hours(before.seconds, self.seconds);
        hours <= LONGEST_GAP && (self.value - before.value).abs() > rate * hours.max(1.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "compared with a few hours")]
fn hours(from: i64, to: i64) -> f64 {
    to.saturating_sub(from) as f64 / 3600.0
}

/// What is remembered of a series.
#[derive(Clone, Copy, Debug, Default)]
struct Track {
    last: Option<Reading>,
    /// The last reading that did not jump.
    sound: Option<Reading>,
    /// The first of the readings that are equal to the last one, and how many they are.
    first_equal: Option<Reading>,
    equal: u32,
}

impl Track {
    fn advance(&mut self, now: Reading, of: &Of<'_>, flags: &mut Flags) {
        let rate = of.limits.rate;
        let jump = self.last.filter(|last| now.jumps_from(last, rate));
        // The way back from a spike is a jump, too, but to where the series was before.
        let back = self.sound.is_some_and(|sound| {
            hours(sound.seconds, now.seconds) <= LONGEST_GAP && !now.jumps_from(&sound, rate)
        });
        match jump {
            Some(last) if !back => {
                flags.push(of, Flag::Rate, now.index, now.value - last.value);
            }
            _ => self.sound = Some(now),
        }
        if self.last.is_none_or(|last| last.value.to_bits() != now.value.to_bits()) {
            self.end_run(of, flags);
            self.first_equal = Some(now);
            self.equal = 0;
        }
        self.equal += 1;
        self.last = Some(now);
    }

    /// Flags the readings that were equal, if they were too many.
    fn end_run(&self, of: &Of<'_>, flags: &mut Flags) {
        let (Some(first), Some(last), Some(most)) = (self.first_equal, self.last, of.stuck) else {
            return;
        };
        let long = self.equal >= most
            && hours(first.seconds, last.seconds) >= f64::from(most.saturating_sub(1));
        if long && last.value.abs() > of.limits.detection {
            for time in first.index..=last.index {
                flags.push(of, Flag::Stuck, time, f64::from(self.equal));
            }
        }
    }
}
