//! A small map in memory, for an answer in JSON.

use std::sync::{Mutex, PoisonError};

use isopleth_engine::output::{Sink, StationValues, Tile};
use isopleth_engine::{Error, Plan};

/// Takes every tile and keeps it.
#[derive(Debug)]
pub(crate) struct Collected {
    rows: usize,
    columns: usize,
    variables: usize,
    times: usize,
    /// By time, variable, row, column.
    values: Mutex<Vec<f64>>,
}

impl Collected {
    /// Room for every value of a plan.
    pub(crate) fn new(plan: &Plan) -> Self {
        let (rows, columns) = (plan.targets.rows(), plan.targets.columns());
        let variables = plan.observations.variables().len();
        let times = plan.observations.times().len();
        let values = Mutex::new(vec![f64::NAN; times * variables * rows * columns]);
        Self { rows, columns, variables, times, values }
    }

    /// What was collected, once the run is done.
    pub(crate) fn into_cube(self) -> Cube {
        let values = self.values.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Self { rows, columns, variables, times, .. } = self;
        Cube { rows, columns, variables, times, values }
    }
}

impl Sink for Collected {
    fn tile(&self, tile: Tile<'_>) -> Result<(), Error> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let (height, width) = (tile.rows.len(), tile.columns.len());
        for (f, field) in tile.fields.iter().enumerate() {
            for row in 0..height {
                let from = &tile.values[(f * height + row) * width..][..width];
                let line = (field.time * self.variables + field.variable) * self.rows;
                let start = (line + tile.rows.start + row) * self.columns + tile.columns.start;
                values[start..][..width].copy_from_slice(from);
            }
        }
        Ok(())
    }

    fn stations(&self, _: StationValues<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn batch_done(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Values by time, variable, row and column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cube {
    rows: usize,
    columns: usize,
    variables: usize,
    times: usize,
    values: Vec<f64>,
}

impl Cube {
    /// Number of time steps.
    pub(crate) fn times(&self) -> usize {
        self.times
    }

    /// The rows of one field.
    pub(crate) fn field(&self, time: usize, variable: usize) -> impl Iterator<Item = &[f64]> {
        let cells = self.rows * self.columns;
        self.values[(time * self.variables + variable) * cells..][..cells]
            .chunks(self.columns.max(1))
    }
}
