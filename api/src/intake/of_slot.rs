//! Readings of an hour of a schedule: read by the choices of the schedule, kept with them.

use isopleth_engine::{Cancel, Source};
use serde::{Deserialize, Serialize};

use super::of_network::{KeptNetwork, stations_table};
use super::{Kept, OfNetwork, Understood, from_document, from_tables, house, parse};
use crate::body::{Reading, Spool};
use crate::error::ApiError;
use crate::jobs::Inputs;
use crate::state::AppState;
use crate::wire::network::{NetworkMapRequest, UnknownName, completed};
use crate::wire::order::Order;
use crate::wire::request::MapRequest;

/// What a source gave for an hour, and what is to be made of it.
#[derive(Debug)]
pub(crate) struct OfSlot {
    /// The document of a map, without readings.
    pub(crate) request: String,
    /// Name of the file, by which its format is told.
    pub(crate) name: String,
    pub(crate) body: Spool,
    pub(crate) gzip: bool,
    /// A table of places, where the readings carry none.
    pub(crate) stations: Option<(String, Spool)>,
    /// The registered network that the readings are of.
    pub(crate) network: Option<OfNetwork>,
}

/// The same, its parts as files by their digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptSlot {
    request: String,
    name: String,
    body: String,
    gzip: bool,
    stations: Option<(String, String)>,
    network: Option<KeptNetwork>,
}

impl OfSlot {
    /// Keeps the readings; beside it the digest of what the source gave.
    ///
    /// # Errors
    /// 500 where the disk is full or fails.
    pub(crate) fn keep(self, inputs: &Inputs) -> Result<(Kept, String), ApiError> {
        let body = inputs.keep(self.body)?;
        let stations = self.stations.map(|(name, table)| Ok((name, inputs.keep(table)?)));
        let slot = KeptSlot {
            request: self.request,
            name: self.name,
            body: body.clone(),
            gzip: self.gzip,
            stations: stations.transpose().map_err(|error: ApiError| error)?,
            network: self.network.map(|network| network.kept(inputs)).transpose()?,
        };
        Ok((Kept::Slot(Box::new(slot)), body))
    }
}

impl KeptSlot {
    pub(super) fn network(&self) -> Option<&str> {
        self.network.as_ref().map(KeptNetwork::id)
    }

    pub(super) fn digests(&self) -> Vec<String> {
        let mut all = vec![self.body.clone()];
        all.extend(self.stations.iter().map(|(_, digest)| digest.clone()));
        all.extend(self.network.iter().map(|network| network.digest().to_owned()));
        all
    }

    /// Reads the readings.
    ///
    /// # Errors
    /// As for any map; 500 where an input is gone.
    pub(super) fn understand(
        self,
        state: &AppState,
        inputs: &Inputs,
        cancel: &Cancel,
    ) -> Result<Understood, ApiError> {
        let mut request: MapRequest = serde_json::from_str(&self.request)
            .map_err(|error| ApiError::internal("the choices of the schedule are lost", error))?;
        let units = std::mem::take(&mut request.units);
        let body = inputs.open(&self.body)?;
        let reading = Reading::new(state, self.gzip, cancel);
        let Some(network) = self.network else {
            let mut order = Order::new(request, house(state))?;
            order.options.units = units;
            let stations = self.stations.map(|(name, digest)| Ok((name, inputs.open(&digest)?)));
            let stations = stations.transpose().map_err(|error: ApiError| error)?;
            return from_tables(order, vec![(self.name, body)], stations, &reading);
        };
        let network = network.open(inputs)?.network;
        let mut request = completed(request, &network.document);
        if is_json(&self.name) {
            // As it is posted for a map of the network; what else it says of the map does not count.
            let mut given: NetworkMapRequest = parse(body, &reading)?;
            given.unknown = UnknownName::Ignore;
            let given = given.of_network(&network.document, &network.index)?;
            (request.stations, request.times) = (given.stations, given.times);
            (request.values, request.units) = (given.values, given.units);
            return from_document(Order::new(request, house(state))?);
        }
        let mut order = Order::new(request, house(state))?;
        let text = stations_table(&network, order.options.planar);
        let reader = Box::new(std::io::Cursor::new(text));
        order.options.stations = Some(Source::Stream { name: "the network".to_owned(), reader });
        order.options.every_station = true;
        order.options.units.clone_from(&network.document.units);
        order.options.units.extend(units);
        from_tables(order, vec![(self.name, body)], None, &reading)
    }
}

fn is_json(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.trim_end_matches(".gz").ends_with(".json")
}
