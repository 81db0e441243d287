//! What was flagged: counted by flag and variable, with examples, and by station.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::places::Misplaced;
use super::rules::{Reject, Rules};
use super::{Flag, Severity, has};
use crate::observations::Observations;
use crate::report::iso_8601;

/// Examples kept of each flag and variable.
const EXAMPLES: usize = 5;

/// Stations told as the worst.
const WORST: usize = 10;

/// What was flagged among the readings used.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QualityReport {
    /// What was done with flagged readings.
    pub reject: Reject,
    /// Readings examined.
    pub examined: u64,
    /// Readings with at least one flag.
    pub flagged: u64,
    /// Readings treated as missing for their flags.
    pub rejected: u64,
    /// Every flag and variable that occurred.
    pub flags: Vec<FlagReport>,
    /// Stations whose place is wrong.
    pub places: Vec<PlaceReport>,
    /// The stations with the most flagged readings, the worst first.
    pub worst: Vec<WorstStation>,
    /// What was not examined, and why.
    pub unexamined: Vec<String>,
}

/// One flag of one variable.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlagReport {
    /// Which flag.
    pub flag: Flag,
    /// How sure it is.
    pub severity: Severity,
    /// Variable.
    pub variable: String,
    /// Readings that have it.
    pub readings: u64,
    /// Those of them that were treated as missing.
    pub rejected: u64,
    /// The first of a few stations: station, time, value, why.
    pub examples: Vec<String>,
}

/// A station whose place is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlaceReport {
    /// Code of the station.
    pub station: String,
    /// Degrees east, or planar x, as received.
    pub x: f64,
    /// Degrees north, or planar y, as received.
    pub y: f64,
    /// Which flag its readings have.
    pub flag: Flag,
    /// Why.
    pub why: String,
}

/// A station with flagged readings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorstStation {
    /// Code of the station.
    pub station: String,
    /// Readings of all variables.
    pub readings: u64,
    /// Those with at least one flag.
    pub flagged: u64,
    /// The flags, each with how often it occurred: `buddy 3, rate 1`.
    pub flags: String,
}

/// Keeps account while readings are examined.
#[derive(Debug)]
pub(crate) struct Ledger {
    reject: Reject,
    /// By flag, then variable.
    counts: Vec<Count>,
    variables: usize,
    /// By station: readings, flagged, each flag.
    stations: Vec<(u64, u64, [u64; Flag::ALL.len()])>,
    rejected: u64,
    places: Vec<PlaceReport>,
    unexamined: Vec<String>,
}

/// What a ledger holds of some time steps; those of others can be added.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tally {
    counts: Vec<Count>,
    stations: Vec<(u64, u64, [u64; Flag::ALL.len()])>,
    rejected: u64,
    unexamined: Vec<String>,
}

/// One flag of one variable.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Count {
    readings: u64,
    rejected: u64,
    /// Of as many stations, each with its number.
    examples: Vec<(usize, String)>,
}

/// A reading that is flagged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flagged {
    pub(crate) time: usize,
    pub(crate) variable: usize,
    /// As received, not as a place of the network.
    pub(crate) station: usize,
    pub(crate) value: f64,
    pub(crate) flag: Flag,
    /// Whether it is treated as missing for this or another flag.
    pub(crate) rejected: bool,
}

impl Ledger {
    pub(crate) fn new(observations: &Observations, rules: &Rules) -> Self {
        let (variables, stations) = (observations.variables().len(), observations.stations().len());
        Self {
            reject: rules.reject,
            counts: vec![Count::default(); Flag::ALL.len() * variables],
            variables,
            stations: vec![(0, 0, [0; Flag::ALL.len()]); stations],
            rejected: 0,
            places: Vec::new(),
            unexamined: Vec::new(),
        }
    }

    /// Books a reading that is there, with its flags.
    pub(super) fn reading(&mut self, station: usize, flags: u8, rejected: bool) {
        let (readings, flagged, _) = &mut self.stations[station];
        *readings += 1;
        *flagged += u64::from(flags != 0);
        self.rejected += u64::from(rejected);
    }

    /// Books that a reading booked before has its first flag, and whether it is rejected for it.
    pub(super) fn reading_flagged(&mut self, station: usize, first: bool, rejected: bool) {
        self.stations[station].1 += u64::from(first);
        self.rejected += u64::from(rejected);
    }

    /// Books a flag; `why` is asked only where an example is kept.
    pub(super) fn flag(
        &mut self,
        observations: &Observations,
        of: Flagged,
        why: impl FnOnce() -> String,
    ) {
        self.stations[of.station].2[of.flag as usize] += 1;
        let count = &mut self.counts[of.flag as usize * self.variables + of.variable];
        count.readings += 1;
        count.rejected += u64::from(of.rejected);
        let examples = &mut count.examples;
        // One for each station: the second hour of a stuck instrument tells nothing new.
        if examples.len() < EXAMPLES && examples.iter().all(|(station, _)| *station != of.station) {
            let station = &observations.stations()[of.station].id;
            let time = observations.times()[of.time].map(|t| format!(" {}", iso_8601(t)));
            let name = &observations.variables()[of.variable].name;
            let time = time.unwrap_or_default();
            let text = format!("{station}{time}: {name} {}: {}", of.value, why());
            examples.push((of.station, text));
        }
    }

    pub(super) fn misplaced(&mut self, observations: &Observations, misplaced: &[Misplaced]) {
        self.places.extend(misplaced.iter().map(|found| {
            let station = &observations.stations()[found.station];
            PlaceReport {
                station: station.id.clone(),
                x: station.x,
                y: station.y,
                flag: found.flag,
                why: found.why.clone(),
            }
        }));
    }

    /// Books that something was not examined; the same words once.
    pub(crate) fn unexamined(&mut self, what: String) {
        if !self.unexamined.contains(&what) {
            self.unexamined.push(what);
        }
    }

    pub(crate) fn into_tally(self) -> Tally {
        let Self { counts, stations, rejected, unexamined, .. } = self;
        Tally { counts, stations, rejected, unexamined }
    }

    /// Adds what was booked of later time steps; false, and nothing is done, where it is of other
    /// readings.
    pub(crate) fn add(&mut self, tally: Tally) -> bool {
        let same = tally.counts.len() == self.counts.len();
        if !same || tally.stations.len() != self.stations.len() {
            return false;
        }
        for (count, more) in self.counts.iter_mut().zip(tally.counts) {
            count.readings += more.readings;
            count.rejected += more.rejected;
            for (station, text) in more.examples {
                if count.examples.len() < EXAMPLES
                    && count.examples.iter().all(|(known, _)| *known != station)
                {
                    count.examples.push((station, text));
                }
            }
        }
        for (all, more) in self.stations.iter_mut().zip(tally.stations) {
            all.0 += more.0;
            all.1 += more.1;
            all.2.iter_mut().zip(more.2).for_each(|(all, more)| *all += more);
        }
        self.rejected += tally.rejected;
        tally.unexamined.into_iter().for_each(|what| self.unexamined(what));
        true
    }

    pub(crate) fn into_report(self, observations: &Observations) -> QualityReport {
        let name = |k: usize| observations.variables()[k].name.clone();
        let of = |(at, count): (usize, &Count)| {
            let flag = Flag::ALL[at / self.variables.max(1)];
            (count.readings > 0).then(|| FlagReport {
                flag,
                severity: flag.severity(),
                variable: name(at % self.variables.max(1)),
                readings: count.readings,
                rejected: count.rejected,
                examples: count.examples.iter().map(|(_, text)| text.clone()).collect(),
            })
        };
        QualityReport {
            reject: self.reject,
            examined: self.stations.iter().map(|(readings, ..)| readings).sum(),
            flagged: self.stations.iter().map(|(_, flagged, _)| flagged).sum(),
            rejected: self.rejected,
            flags: self.counts.iter().enumerate().filter_map(of).collect(),
            worst: self.worst(observations),
            places: self.places,
            unexamined: self.unexamined,
        }
    }

    fn worst(&self, observations: &Observations) -> Vec<WorstStation> {
        let flagged = |&k: &usize| self.stations[k].1 > 0;
        let mut worst: Vec<usize> = (0..self.stations.len()).filter(flagged).collect();
        // Stable: of equally bad ones the first received comes first.
        worst.sort_by_key(|&k| std::cmp::Reverse(self.stations[k].1));
        worst.truncate(WORST);
        let tell = |k: usize| {
            let (readings, flagged, each) = &self.stations[k];
            let mut flags = String::new();
            for flag in Flag::ALL.into_iter().filter(|&flag| each[flag as usize] > 0) {
                let comma = if flags.is_empty() { "" } else { ", " };
                let _ = write!(flags, "{comma}{} {}", flag.name(), each[flag as usize]);
            }
            let station = observations.stations()[k].id.clone();
            WorstStation { station, readings: *readings, flagged: *flagged, flags }
        };
        worst.into_iter().map(tell).collect()
    }
}

impl QualityReport {
    /// Readings with a flag, over all variables.
    #[must_use]
    pub fn readings_with(&self, flag: Flag) -> u64 {
        self.flags.iter().filter(|f| f.flag == flag).map(|f| f.readings).sum()
    }

    /// `12 of 8970 readings flagged (buddy 9, range 3), 0 rejected`.
    #[must_use]
    pub fn summary(&self) -> String {
        let counted = Flag::ALL.map(|flag| (flag, self.readings_with(flag)));
        let each: Vec<String> = (counted.iter().filter(|(_, n)| *n > 0))
            .map(|(flag, n)| format!("{} {n}", flag.name()))
            .collect();
        let list = if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) };
        let (flagged, examined, rejected) = (self.flagged, self.examined, self.rejected);
        format!("{flagged} of {examined} readings flagged{list}, {rejected} rejected")
    }
}

/// The flags of a byte, in order.
pub(super) fn flags_of(flags: u8) -> impl Iterator<Item = Flag> {
    Flag::ALL.into_iter().filter(move |&flag| has(flags, flag))
}
