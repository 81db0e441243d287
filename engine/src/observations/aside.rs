//! Columns that are no readings of what is mapped but known beside it: a background, or a covariate.

use std::collections::HashSet;

use super::{Observations, ReadError, Variable, store};

impl Observations {
    /// Sets columns aside: they are no variables any more. Stations that have nothing else are left
    /// out. Names that are not there are passed over; who needs them says so.
    ///
    /// # Errors
    /// If the temporary file cannot be read, or nothing else is left.
    pub fn set_aside(mut self, names: &[String]) -> Result<Self, ReadError> {
        let is_aside = |variable: &Variable| names.contains(&variable.name);
        if !self.variables.iter().any(is_aside) {
            return Ok(self);
        }
        let mut order: Vec<usize> = (0..self.variables.len()).collect();
        order.sort_by_key(|&at| is_aside(&self.variables[at]));
        let mut to = vec![0; order.len()];
        for (new, &old) in order.iter().enumerate() {
            to[old] = new;
        }
        self.rank.iter_mut().for_each(|rank| *rank = to[*rank]);
        let mut all: Vec<Variable> = order.iter().map(|&at| self.variables[at].clone()).collect();
        self.aside = all.split_off(all.iter().position(is_aside).unwrap_or(all.len()));
        self.variables = all;
        if self.variables.is_empty() {
            return Err(ReadError::NoVariable {
                ignored: format!("{}: set aside", names.join(", ")),
            });
        }
        self.leave_out_silent()?;
        Ok(self)
    }

    /// The columns set aside.
    #[must_use]
    pub fn aside(&self) -> &[Variable] {
        &self.aside
    }

    /// A column of the table of stations that was asked for, station by station; NaN where missing.
    pub(crate) fn of_stations(&self, name: &str) -> Option<&[f64]> {
        let found = self.of_stations.iter().find(|(known, _)| known == name);
        found.map(|(_, values)| values.as_slice())
    }

    /// The values of such a column at one time step, station by station; NaN where missing.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub(crate) fn step_aside(
        &self,
        time: usize,
        which: usize,
        values: &mut Vec<f64>,
    ) -> Result<(), ReadError> {
        values.clear();
        values.resize(self.stations.len(), f64::NAN);
        let wanted = self.variables.len() + which;
        self.each(time, |variable, station, value| {
            if variable == wanted {
                values[station] = value;
            }
        })
    }

    /// Leaves out the stations without any reading of a variable.
    fn leave_out_silent(&mut self) -> Result<(), ReadError> {
        let (mut heard, variables) = (HashSet::new(), self.variables.len());
        for time in 0..self.times.len() {
            self.each(time, |variable, station, _| {
                if variable < variables {
                    heard.insert(station);
                }
            })?;
        }
        let mut kept = Vec::new();
        let mut number_of = vec![None; self.stations.len()];
        for (station, number) in number_of.iter_mut().enumerate() {
            if heard.contains(&station) {
                *number = Some(kept.len());
                kept.push(self.stations[station].clone());
            }
        }
        for (_, column) in &mut self.of_stations {
            let all = column.iter().zip(&number_of).filter(|(_, number)| number.is_some());
            *column = all.map(|(value, _)| *value).collect();
        }
        self.stations = kept;
        self.number_of = Some(number_of);
        Ok(())
    }

    /// Every value of a time step: variable (those set aside come last), station, value.
    pub(super) fn each(
        &self,
        time: usize,
        mut take: impl FnMut(usize, usize, f64),
    ) -> Result<(), ReadError> {
        for &number in &self.steps[time] {
            let take = |entry: store::Entry| {
                let station = entry.station as usize;
                let station = match &self.number_of {
                    None => Some(station),
                    Some(numbers) => numbers[station],
                };
                if let Some(station) = station {
                    take(self.rank[entry.variable as usize], station, entry.value);
                }
            };
            let read = self.sorted.each(number as usize, take);
            read.map_err(|error| ReadError::Spill { error })?;
        }
        Ok(())
    }
}
