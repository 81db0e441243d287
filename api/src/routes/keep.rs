//! A map that is made at once, and kept: into the catalogue, and to whoever asked for it.

use isopleth_engine::output::{Layout, NetcdfFile, Sink, StationValues, Tile};
use isopleth_engine::report::StageReport;
use isopleth_engine::uncertainty::Layer;
use isopleth_engine::{Error, Plan, Targets};

use super::deliver::{Delivery, Made, file_name, in_memory, opened};
use super::to_json;
use crate::accept::Form;
use crate::error::{ApiError, Place};
use crate::jobs::{NewMap, results::MapRow};
use crate::wire::answer::MapAnswer;

/// Where a map is kept, for the headers of its answer.
#[derive(Debug)]
pub(crate) struct KeptAt {
    pub(super) id: String,
    pub(super) digest: String,
    /// Whether the answer is the very file that is kept.
    pub(super) is_file: bool,
}

impl Delivery<'_> {
    /// Computes into the folder of maps, enters the map into the catalogue, and answers with it. Where any of that
    /// fails, nothing of it is kept.
    pub(super) fn kept(
        &self,
        owner: &str,
        plan: &Plan,
        form: Form,
        reading: StageReport,
    ) -> Result<Made, ApiError> {
        let map = NewMap::new()?;
        let path = self.state.jobs().map_file(&map.path());
        let provenance = self.provenance();
        let layout = Layout::of(plan, &provenance);
        let file = NetcdfFile::create(&path, &layout).map_err(ApiError::of_keeping)?;
        let maps = (form == Form::Json).then(|| in_memory(plan));
        let report = match &maps {
            Some(maps) => self.run(plan, &Both(&file, maps), reading),
            None => self.run(plan, &file, reading),
        }
        .map_err(ApiError::of_keeping)?;
        file.finish(&report).map_err(ApiError::of_keeping)?;
        let network = self.network.map(|network| network.id.clone());
        let row = map.keep(self.state, (owner, network), plan, &report)?;
        tracing::info!(map = row.id, bytes = row.bytes, "kept");
        let MapRow { id, digest, .. } = row;
        let made = match maps {
            Some(maps) => {
                to_json(&MapAnswer::new(plan, &maps.into_maps(), &report)).map(Made::Json)?
            }
            None => opened(&path, form, file_name(plan, form))?,
        };
        Ok(Made::Kept {
            made: Box::new(made),
            at: KeptAt { id, digest, is_file: form == Form::NetCdf },
        })
    }
}

/// Refuses to keep what has no place in the catalogue.
pub(super) fn check(plan: &Plan) -> Result<(), ApiError> {
    match plan.targets {
        Targets::Grid(_) => Ok(()),
        Targets::Points(_) => {
            let text = "keep=true: maps on a grid are kept, values at points are not";
            let parameter = Some("keep".to_owned());
            Err(ApiError::meaningless(text).at(Place { parameter, ..Place::default() }))
        }
    }
}

/// A sink that passes everything on to two.
struct Both<'a>(&'a dyn Sink, &'a dyn Sink);

impl Sink for Both<'_> {
    fn tile(&self, tile: Tile<'_>) -> Result<(), Error> {
        self.0.tile(tile)?;
        self.1.tile(tile)
    }

    fn layer(&self, layer: Layer, tile: Tile<'_>) -> Result<(), Error> {
        self.0.layer(layer, tile)?;
        self.1.layer(layer, tile)
    }

    fn stations(&self, values: StationValues<'_>) -> Result<(), Error> {
        self.0.stations(values)?;
        self.1.stations(values)
    }

    fn batch_done(&self) -> Result<(), Error> {
        self.0.batch_done()?;
        self.1.batch_done()
    }
}
