//! A sink that keeps maps and their layers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::Mutex;

use isopleth_engine::output::{FieldId, Sink, StationValues, Tile};
use isopleth_engine::uncertainty::Layer;
use isopleth_engine::{Cancel, Error, FactorCache, Plan, Progress, Report, run};

/// By time, variable and number of the layer, row by row; no layer: the map.
pub(crate) type Maps = BTreeMap<(usize, usize, Option<usize>), Vec<f64>>;

/// Keeps maps and layers.
pub(crate) struct Kept {
    columns: usize,
    cells: usize,
    layers: Vec<(usize, Layer)>,
    pub(crate) values: Mutex<Maps>,
}

impl Kept {
    pub(crate) fn new(plan: &Plan) -> Self {
        let (rows, columns) = (plan.targets.rows(), plan.targets.columns());
        let (cells, layers) = (rows * columns, plan.layers.clone());
        Self { columns, cells, layers, values: Mutex::default() }
    }

    fn keep(&self, layer: Option<usize>, tile: Tile<'_>) {
        let mut all = self.values.lock().unwrap();
        let mut rows = tile.values.chunks_exact(tile.columns.len());
        for id in tile.fields {
            let map = all
                .entry((id.time, id.variable, layer))
                .or_insert_with(|| vec![f64::INFINITY; self.cells]);
            for (row, values) in tile.rows.clone().zip(&mut rows) {
                let start = row * self.columns + tile.columns.start;
                map[start..start + values.len()].copy_from_slice(values);
            }
        }
    }
}

impl Sink for Kept {
    fn tile(&self, tile: Tile<'_>) -> Result<(), Error> {
        self.keep(None, tile);
        Ok(())
    }

    fn layer(&self, layer: Layer, tile: Tile<'_>) -> Result<(), Error> {
        let FieldId { variable, .. } = tile.fields[0];
        let number = self.layers.iter().position(|of| *of == (variable, layer));
        self.keep(Some(number.expect("a layer of the plan")), tile);
        Ok(())
    }

    fn stations(&self, _: StationValues<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn batch_done(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// The maps and layers of a plan.
pub(crate) fn made(plan: &Plan, factors: &FactorCache) -> (Maps, Report) {
    let sink = Kept::new(plan);
    let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
    let report = run(plan, &sink, progress, factors).unwrap();
    (sink.values.into_inner().unwrap(), report)
}
