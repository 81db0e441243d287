//! Readings turned around: station by station instead of time by time, and back. Both ways go through
//! [`Store`], so that memory stays bounded: what exceeds the limit is sorted on disk.

use std::collections::HashMap;

use super::error::ReadError;
use super::store::{Record, Sorted, Store, StoreError};
use super::{Observations, Station, UnixSeconds, Variable};
use crate::network::Duplicates;
use crate::report::ReadingsReport;
use crate::series::Point;

/// Readings in order of (station, variable, time).
#[derive(Debug)]
pub(crate) struct ByStation {
    pub(crate) stations: Vec<Station>,
    pub(crate) variables: Vec<Variable>,
    /// Ascending; a single zero where readings carry none.
    pub(crate) times: Vec<i64>,
    /// Whether readings carry a time.
    pub(crate) has_times: bool,
    pub(crate) report: ReadingsReport,
    in_degrees: bool,
    sorted: Sorted,
}

/// Readings of a station, variable by variable in order, each in order of time.
pub(crate) type StationSeries = Vec<(usize, Vec<Point>)>;

impl ByStation {
    /// Turns readings around.
    pub(crate) fn new(observations: Observations, limit: u64) -> Result<Self, ReadError> {
        let has_times = observations.has_times();
        let Observations {
            in_degrees,
            stations,
            variables,
            times,
            report,
            sorted,
            steps,
            rank,
            ..
        } = observations;
        let times = times.into_iter().map(|time| time.map_or(0, |time| time.0)).collect();
        let mut store = Store::new(limit);
        for (time, numbers) in steps.iter().enumerate() {
            for &number in numbers {
                let mut pushed = Ok(());
                let turn = |entry: super::store::Entry| {
                    let record = Record {
                        time: entry.station,
                        variable: narrow(rank[entry.variable as usize]),
                        station: narrow(time),
                        ordinal: 0,
                        value: entry.value,
                    };
                    if pushed.is_ok() {
                        pushed = store.push(record);
                    }
                };
                sorted.each(number as usize, turn).and(pushed).map_err(spill)?;
            }
        }
        drop(sorted);
        // Two sources may have brought one time under two numbers.
        let sorted = store.finish(stations.len(), Duplicates::Last).map_err(store_error)?;
        Ok(Self { stations, variables, times, has_times, report, in_degrees, sorted })
    }

    /// Number of readings of a station.
    pub(crate) fn count(&self, station: usize) -> u64 {
        self.sorted.count(station)
    }

    /// Readings of a station, from any thread.
    pub(crate) fn station(&self, station: usize) -> Result<StationSeries, ReadError> {
        let mut series: StationSeries = Vec::new();
        let take = |entry: super::store::Entry| {
            let time = self.times[entry.station as usize];
            let point = Point { time, value: entry.value };
            let variable = entry.variable as usize;
            match series.last_mut() {
                Some((last, points)) if *last == variable => points.push(point),
                _ => series.push((variable, vec![point])),
            }
        };
        self.sorted.each(station, take).map_err(spill)?;
        Ok(series)
    }

    /// The same stations and variables with other readings.
    pub(crate) fn rebuilt(self, readings: Gathered) -> Result<Observations, ReadError> {
        let Self { stations, variables, has_times, report, in_degrees, sorted, .. } = self;
        drop(sorted);
        let Gathered { times, store, .. } = readings;
        let mut order: Vec<u32> = (0..narrow(times.len())).collect();
        order.sort_by_key(|&number| times[number as usize]);
        let sorted = store.finish(times.len(), Duplicates::Error).map_err(store_error)?;
        Ok(Observations {
            in_degrees,
            rank: (0..variables.len()).collect(),
            times: order
                .iter()
                .map(|&number| has_times.then(|| UnixSeconds(times[number as usize])))
                .collect(),
            steps: order.into_iter().map(|number| vec![number]).collect(),
            stations,
            variables,
            report,
            sorted,
            time_cells: None,
            aside: Vec::new(),
            number_of: None,
            of_stations: Vec::new(),
        })
    }
}

/// Readings as they are made, in any order, each (time, variable, station) once.
#[derive(Debug)]
pub(crate) struct Gathered {
    times: Vec<i64>,
    by_time: HashMap<i64, u32>,
    store: Store,
}

impl Gathered {
    pub(crate) fn new(limit: u64) -> Self {
        Self { times: Vec::new(), by_time: HashMap::new(), store: Store::new(limit) }
    }

    pub(crate) fn push(
        &mut self,
        station: usize,
        variable: usize,
        point: Point,
    ) -> Result<(), ReadError> {
        let time = *self.by_time.entry(point.time).or_insert_with(|| {
            self.times.push(point.time);
            narrow(self.times.len() - 1)
        });
        let (variable, station) = (narrow(variable), narrow(station));
        let record = Record { time, variable, station, ordinal: 0, value: point.value };
        self.store.push(record).map_err(spill)
    }
}

fn spill(error: std::io::Error) -> ReadError {
    ReadError::Spill { error }
}

fn store_error(error: StoreError) -> ReadError {
    match error {
        StoreError::Io(error) => spill(error),
        StoreError::Repeated(..) => unreachable!("each reading was made once"),
    }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than 2³² stations, times and variables")
}
