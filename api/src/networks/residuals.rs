//! The latest leave-one-out residuals of a network's stations, in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use isopleth_engine::output::{FieldId, Sink, StationValues, Tile};
use isopleth_engine::report::iso_8601;
use isopleth_engine::uncertainty::Layer;
use isopleth_engine::{Error, Plan};

/// Of every variable, those of its latest time; by variable.
#[derive(Debug, Default)]
pub(crate) struct LastResiduals(Mutex<BTreeMap<String, OfVariable>>);

#[derive(Debug)]
struct OfVariable {
    time: Option<i64>,
    /// By station code; of several at one place the first has it.
    residuals: BTreeMap<String, f64>,
}

/// Reading less what all other stations predict, and when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OfStation {
    pub(crate) variable: String,
    pub(crate) time: Option<String>,
    pub(crate) residual: f64,
}

impl LastResiduals {
    /// Of one station.
    pub(crate) fn of(&self, station: &str) -> Vec<OfStation> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |(variable, last): (&String, &OfVariable)| {
            let time =
                last.time.map(|time| iso_8601(isopleth_engine::observations::UnixSeconds(time)));
            let residual = *last.residuals.get(station)?;
            Some(OfStation { variable: variable.clone(), time, residual })
        };
        all.iter().filter_map(of).collect()
    }

    fn put(&self, variable: &str, new: OfVariable) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(variable) {
            Some(known) if known.time <= new.time => *known = new,
            Some(_) => {}
            None => drop(all.insert(variable.to_owned(), new)),
        }
    }
}

/// A sink that passes everything on and remembers residuals.
pub(crate) struct Remembering<'a> {
    sink: &'a dyn Sink,
    plan: &'a Plan,
    last: &'a LastResiduals,
}

impl<'a> Remembering<'a> {
    pub(crate) fn new(sink: &'a dyn Sink, plan: &'a Plan, last: &'a LastResiduals) -> Self {
        Self { sink, plan, last }
    }

    /// Only of the last time of each variable: others would be forgotten at once.
    fn is_last(&self, fields: &[FieldId], k: usize) -> bool {
        fields[k + 1..].iter().all(|later| later.variable != fields[k].variable)
    }
}

impl Sink for Remembering<'_> {
    fn tile(&self, tile: Tile<'_>) -> Result<(), Error> {
        self.sink.tile(tile)
    }

    fn layer(&self, layer: Layer, tile: Tile<'_>) -> Result<(), Error> {
        self.sink.layer(layer, tile)
    }

    fn stations(&self, values: StationValues<'_>) -> Result<(), Error> {
        let stations = self.plan.network.stations();
        let variables = self.plan.observations.variables();
        let each = values.residuals.chunks_exact(stations.len().max(1));
        for (k, (field, residuals)) in values.fields.iter().zip(each).enumerate() {
            if !self.is_last(values.fields, k) {
                continue;
            }
            let time = self.plan.observations.times()[field.time].map(|time| time.0);
            let known = stations.iter().zip(residuals).filter(|(_, residual)| !residual.is_nan());
            let residuals = known.map(|(s, residual)| (s.id.clone(), *residual)).collect();
            self.last.put(&variables[field.variable].name, OfVariable { time, residuals });
        }
        self.sink.stations(values)
    }

    fn batch_done(&self) -> Result<(), Error> {
        self.sink.batch_done()
    }
}
