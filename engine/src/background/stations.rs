//! The background at the stations, field by field.

use isopleth_kernels::Mat;

use super::{BackgroundError, Backgrounds, Source};
use crate::bilinear::{Between, Slab};
use crate::error::Error;
use crate::network::Network;
use crate::observations::Observations;
use crate::output::FieldId;

/// Takes backgrounds off readings; keeps what one time step needs.
pub(crate) struct AtStations<'a> {
    of: &'a Backgrounds,
    observations: &'a Observations,
    network: &'a Network,
    /// By variable: where the stations lie on its grid, made when first asked for.
    places: Vec<Option<Vec<Option<[Between; 2]>>>>,
    /// By variable: the step read last.
    slabs: Vec<Option<(usize, Slab)>>,
    columns: Vec<f64>,
}

impl<'a> AtStations<'a> {
    pub(crate) fn new(
        of: &'a Backgrounds,
        observations: &'a Observations,
        network: &'a Network,
    ) -> Self {
        let variables = of.of.len();
        Self {
            of,
            observations,
            network,
            places: vec![None; variables],
            slabs: (0..variables).map(|_| None).collect(),
            columns: Vec::new(),
        }
    }

    /// The background of a field at the places of the network, in the unit of the readings: NaN where
    /// it is not known, 0 where the variable has none. `received` are the readings of the time step
    /// as [`Observations::step`] gives them.
    pub(crate) fn field(&mut self, field: FieldId, received: &[f64]) -> Result<Vec<f64>, Error> {
        let variable = field.variable;
        let Some(one) = &self.of.of[variable] else { return Ok(vec![0.0; self.network.len()]) };
        let grid = match &one.source {
            Source::Grid(grid) => grid,
            Source::Column(at) => {
                let n = self.observations.stations().len();
                self.observations.step_aside(field.time, *at, &mut self.columns)?;
                // Where several stations share a place, those that have a reading count.
                let readings = &received[variable * n..][..n];
                for (value, reading) in self.columns.iter_mut().zip(readings) {
                    *value = if reading.is_nan() { f64::NAN } else { one.conversion.apply(*value) };
                }
                let mut merged = Vec::new();
                self.network.values(&self.columns, 1, &mut merged);
                return Ok(merged);
            }
        };
        let places = self.places[variable].get_or_insert_with(|| {
            let place = |s: &crate::observations::Station| {
                Some([grid.model.column(s.x)?, grid.model.row(s.y)?])
            };
            self.network.stations().iter().map(place).collect()
        });
        let step = grid.step_of[field.time];
        let slab = match &mut self.slabs[variable] {
            Some((known, slab)) if *known == step => &*slab,
            slot => {
                let read = grid.model.slab(step, one.conversion).map_err(BackgroundError::from)?;
                &slot.insert((step, read)).1
            }
        };
        let value = |place: &Option<[Between; 2]>| place.map_or(f64::NAN, |[x, y]| slab.at(x, y));
        Ok(places.iter().map(value).collect())
    }
}

/// Makes the readings of a field missing whose background is not known, since nothing could be added
/// back there; says how many.
pub(crate) fn forget_unknown(readings: &mut [f64], background: &[f64]) -> u64 {
    let mut forgotten = 0;
    for (reading, _) in readings.iter_mut().zip(background).filter(|(_, b)| b.is_nan()) {
        forgotten += u64::from(!reading.is_nan());
        *reading = f64::NAN;
    }
    forgotten
}

/// Readings less background.
pub(crate) fn less(readings: &Mat<f64>, background: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(readings.nrows(), readings.ncols(), |i, f| readings[(i, f)] - background[(i, f)])
}
