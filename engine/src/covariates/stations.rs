//! A covariate at the stations: from a column of the readings, or from its grid.

use super::{CovariateError, One, TOLD};
use crate::bilinear::Slab;
use crate::error::Error;
use crate::model::Model;
use crate::network::Network;
use crate::observations::Observations;
use crate::units::Conversion;

/// Two values of a station are one where they differ by no more than this share: what averaging
/// leaves of rounding.
const SAME: f64 = 1e-9;

impl One {
    pub(super) fn new(
        name: &str,
        observations: &Observations,
        network: &Network,
        grid: Option<(Model, Slab)>,
    ) -> Result<Self, Error> {
        let column = observations.aside().iter().position(|column| column.name == name);
        let of_table = observations.of_stations(name);
        let (values, source) = match (column, of_table, &grid) {
            (Some(column), ..) => {
                (of_column(name, column, observations, network)?, format!("column {name}"))
            }
            (None, Some(values), _) => {
                let mut merged = Vec::new();
                network.values(values, 1, &mut merged);
                (merged, format!("column {name} of the stations"))
            }
            (None, None, Some((model, slab))) => (of_grid(network, model, slab), model.name()),
            (None, None, None) => {
                return Err(CovariateError::NoColumn { name: name.to_owned() }.into());
            }
        };
        check_known(name, network, &values)?;
        let units = column.and_then(|column| observations.aside()[column].units.clone());
        let grid = converted(name, units.as_deref(), grid)?;
        let units = units.or_else(|| grid.as_ref()?.0.units().map(str::to_owned));
        #[expect(clippy::cast_precision_loss, reason = "station counts are far below 2^52")]
        let n = values.len() as f64;
        let centre = values.iter().sum::<f64>() / n;
        let scale = (values.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / n).sqrt();
        let range = values
            .iter()
            .fold([f64::INFINITY, f64::NEG_INFINITY], |[l, h], &v| [l.min(v), h.max(v)]);
        let size = range.iter().fold(0.0_f64, |size, v| size.max(v.abs()));
        // Equal numbers may miss their mean by a rounding.
        if scale <= 1e-12 * size || scale == 0.0 {
            return Err(CovariateError::Constant { name: name.to_owned(), value: range[0] }.into());
        }
        let source = match &grid {
            Some((model, _)) if column.is_some() || of_table.is_some() => {
                format!("{source}, {}", model.name())
            }
            _ => source,
        };
        let digest = grid.as_ref().map(|(model, _)| model.digest()).transpose();
        let digest =
            digest.map_err(|error| CovariateError::Model { name: name.to_owned(), error })?;
        let at_stations = values.iter().map(|v| (v - centre) / scale).collect();
        let name = name.to_owned();
        Ok(Self { name, source, digest, units, centre, scale, range, at_stations, grid })
    }

    /// z of a value.
    pub(super) fn standard(&self, value: f64, clamp: bool) -> f64 {
        let [low, high] = self.range;
        // NaN stays.
        let value = if clamp { value.clamp(low, high) } else { value };
        (value - self.centre) / self.scale
    }
}

/// The grid in the unit of the column, where both tell one.
fn converted(
    name: &str,
    column: Option<&str>,
    grid: Option<(Model, Slab)>,
) -> Result<Option<(Model, Slab)>, CovariateError> {
    let Some((model, slab)) = grid else { return Ok(None) };
    let (Some(units), Some(column)) = (model.units(), column) else {
        return Ok(Some((model, slab)));
    };
    let conversion = Conversion::between(units, column).ok_or_else(|| CovariateError::Units {
        name: name.to_owned(),
        grid: units.to_owned(),
        column: column.to_owned(),
    })?;
    Ok(Some((model, slab.map(|value| conversion.apply(value)))))
}

/// By place; every station at any time it is told.
fn of_column(
    name: &str,
    column: usize,
    observations: &Observations,
    network: &Network,
) -> Result<Vec<f64>, Error> {
    let mut known = vec![f64::NAN; observations.stations().len()];
    let mut step = Vec::new();
    for time in 0..observations.times().len() {
        observations.step_aside(time, column, &mut step)?;
        for (station, (first, &value)) in known.iter_mut().zip(&step).enumerate() {
            if first.is_nan() {
                *first = value;
            } else if (value - *first).abs() > SAME * first.abs().max(value.abs()) {
                let station = observations.stations()[station].id.clone();
                let (name, first) = (name.to_owned(), *first);
                return Err(CovariateError::Changes { name, station, first, other: value }.into());
            }
        }
    }
    let mut merged = Vec::new();
    network.values(&known, 1, &mut merged);
    Ok(merged)
}

fn of_grid(network: &Network, model: &Model, slab: &Slab) -> Vec<f64> {
    let at = |x: f64, y: f64| Some(slab.at(model.column(x)?, model.row(y)?));
    network.stations().iter().map(|s| at(s.x, s.y).unwrap_or(f64::NAN)).collect()
}

fn check_known(name: &str, network: &Network, values: &[f64]) -> Result<(), CovariateError> {
    let unknown = network.stations().iter().zip(values).filter(|(_, v)| !v.is_finite());
    let unknown: Vec<&str> = unknown.map(|(station, _)| station.id.as_str()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let few = unknown[..unknown.len().min(TOLD)].join(", ");
    let stations = if unknown.len() > TOLD { format!("{few}, …") } else { few };
    let (count, all) = (unknown.len(), values.len());
    Err(CovariateError::Unknown { name: name.to_owned(), count, all, stations })
}
