//! Bodies of values for a registered network: joined to its stations, and kept with the network as it was.

use std::io::BufReader;
use std::sync::Arc;

use isopleth_engine::{Cancel, Duplicates, Source};
use serde::{Deserialize, Serialize};

use super::{Kept, Received, Understood, from_document, from_tables, house, parse};
use crate::body::{Reading, Spool};
use crate::error::ApiError;
use crate::jobs::Inputs;
use crate::networks::Registered;
use crate::state::AppState;
use crate::wire::network::{NetworkMapRequest, UnknownName, completed, strangers};
use crate::wire::order::Order;
use crate::wire::request::MapRequest;

/// The network that a body is of, as it was when the request came.
#[derive(Clone, Debug)]
pub(crate) struct OfNetwork {
    pub(crate) network: Arc<Registered>,
    /// What becomes of stations of a table that it has not; a document says so itself.
    pub(crate) unknown: UnknownName,
}

/// A network that is kept beside a body: its name, and its document as one more input. So a network that is
/// changed or deleted while its job waits or runs changes nothing of the map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptNetwork {
    id: String,
    tag: String,
    /// Digest of the document.
    document: String,
    unknown: UnknownName,
}

impl OfNetwork {
    /// Keeps the network beside a body.
    ///
    /// # Errors
    /// 500 where the disk is full or fails.
    pub(crate) fn keep(&self, body: Kept, inputs: &Inputs) -> Result<Kept, ApiError> {
        Ok(Kept::Network { network: self.kept(inputs)?, body: Box::new(body) })
    }

    /// Keeps the network.
    ///
    /// # Errors
    /// 500 where the disk is full or fails.
    pub(super) fn kept(&self, inputs: &Inputs) -> Result<KeptNetwork, ApiError> {
        let text = serde_json::to_vec(&self.network.document)
            .map_err(|error| ApiError::internal("the network could not be written", error))?;
        Ok(KeptNetwork {
            id: self.network.id.clone(),
            tag: self.network.tag.clone(),
            document: inputs.keep(Spool::Memory(text))?,
            unknown: self.unknown,
        })
    }
}

impl KeptNetwork {
    /// Its name.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Digest of its document.
    pub(super) fn digest(&self) -> &str {
        &self.document
    }

    /// The same of whatever version: two requests that differ in nothing else are the same request.
    pub(super) fn of_any_version(mut self) -> Self {
        self.tag.clear();
        self.document.clear();
        self
    }

    /// The network as it was.
    ///
    /// # Errors
    /// 500 where its document is gone.
    pub(super) fn open(self, inputs: &Inputs) -> Result<OfNetwork, ApiError> {
        let reader = BufReader::new(inputs.open(&self.document)?.into_reader());
        let document = serde_json::from_reader(reader)
            .map_err(|error| ApiError::internal("the network of the job is lost", error))?;
        let network = Arc::new(Registered::as_it_was(self.id, self.tag, document));
        Ok(OfNetwork { network, unknown: self.unknown })
    }
}

impl OfNetwork {
    /// Joins a body of values to the network's stations.
    ///
    /// # Errors
    /// As for any map; 422 for unknown stations; 415 for a form.
    pub(crate) fn understand(
        &self,
        state: &AppState,
        received: Received,
        cancel: &Cancel,
    ) -> Result<Understood, ApiError> {
        let network = &*self.network;
        match received {
            Received::Document { body, gzip } => {
                let reading = Reading::new(state, gzip, cancel);
                let request: NetworkMapRequest = parse(body, &reading)?;
                let request = request.of_network(&network.document, &network.index)?;
                from_document(Order::new(request, house(state))?)
            }
            Received::Table { body, gzip, request } => {
                let reading = Reading::new(state, gzip, cancel);
                table(state, body, *request, self, &reading)
            }
            Received::Coming(_) | Received::Form(_) | Received::Execution { .. } => {
                Err(ApiError::unsupported(
                    "a registered network takes values as application/json or text/csv, not as a form",
                ))
            }
        }
    }
}

/// Rows of a table, joined to the network's stations by their codes.
fn table(
    state: &AppState,
    body: Spool,
    request: MapRequest,
    of: &OfNetwork,
    reading: &Reading,
) -> Result<Understood, ApiError> {
    let network = &*of.network;
    let request = completed(request, &network.document);
    let is_told = request.method.duplicates.is_some();
    let order = Order::new(request, house(state));
    let mut order = order.map_err(ApiError::in_query)?;
    let planar = order.options.planar;
    let text = stations_table(network, planar);
    let reader = Box::new(std::io::Cursor::new(text));
    order.options.stations = Some(Source::Stream { name: "the network".to_owned(), reader });
    order.options.every_station = true;
    if !is_told {
        // As of a document: which of two values of a station is right?
        order.options.duplicates = Duplicates::Error;
    }
    order.options.units.clone_from(&network.document.units);
    let understood = from_tables(order, vec![("the body".to_owned(), body)], None, reading)?;
    let lost = &understood.observations.readings_report().without_place;
    if !lost.is_empty() && of.unknown == UnknownName::Refuse {
        return Err(strangers(lost.clone(), "/station"));
    }
    Ok(understood)
}

/// The network's stations as a table.
pub(super) fn stations_table(network: &Registered, planar: bool) -> Vec<u8> {
    let [x, y] = if planar { ["x", "y"] } else { ["lon", "lat"] };
    let mut text = format!("station,{x},{y}\n");
    for station in &network.stations {
        let id = station.id.replace('"', "\"\"");
        text.push_str(&format!("\"{id}\",{},{}\n", station.x, station.y));
    }
    text.into_bytes()
}
