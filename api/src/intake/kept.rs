//! A body that is kept for later: its parts as files, and how to read them as text.

use isopleth_engine::Cancel;
use serde::{Deserialize, Serialize};

use super::of_network::KeptNetwork;
use super::of_slot::KeptSlot;
use super::{Form, Received, Understood, request_of_table};
use crate::error::ApiError;
use crate::jobs::{Inputs, Process};
use crate::ogc::execute::Wanted;
use crate::state::AppState;
use crate::wire::network::UnknownQuery;
use crate::wire::query::{FormQuery, KeepQuery, Query};

/// Which inputs make a request, by their digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Kept {
    Document {
        body: String,
        gzip: bool,
    },
    Execution {
        process: Process,
        body: String,
        gzip: bool,
    },
    /// The query as it came.
    Table {
        body: String,
        gzip: bool,
        query: String,
    },
    Form {
        request: Option<String>,
        /// Names of files, and their digests.
        readings: Vec<(String, String)>,
        stations: Option<(String, String)>,
    },
    /// Values of a registered network.
    Network {
        network: KeptNetwork,
        body: Box<Kept>,
    },
    /// Readings of an hour of a schedule.
    Slot(Box<KeptSlot>),
}

impl Received {
    /// Keeps the body; `query` is that of the request.
    ///
    /// # Errors
    /// 500 where the disk is full or fails.
    pub(crate) fn keep(self, query: &str, inputs: &Inputs) -> Result<Kept, ApiError> {
        let named = |(name, body)| Ok::<_, ApiError>((name, inputs.keep(body)?));
        Ok(match self {
            Self::Document { body, gzip } => Kept::Document { body: inputs.keep(body)?, gzip },
            Self::Execution { process, body, gzip } => {
                Kept::Execution { process, body: inputs.keep(body)?, gzip }
            }
            Self::Table { body, gzip, .. } => {
                Kept::Table { body: inputs.keep(body)?, gzip, query: query.to_owned() }
            }
            Self::Coming(_) => {
                let what = "it is read at once, and was asked to be kept";
                return Err(ApiError::internal("the body cannot be kept", what));
            }
            Self::Form(form) => Kept::Form {
                request: form.request.map(|body| inputs.keep(body)).transpose()?,
                readings: form.readings.into_iter().map(named).collect::<Result<_, _>>()?,
                stations: form.stations.map(named).transpose()?,
            },
        })
    }
}

impl Kept {
    /// The body as it was received.
    ///
    /// # Errors
    /// 500 where an input is gone.
    pub(crate) fn open(self, inputs: &Inputs) -> Result<Received, ApiError> {
        let named =
            |(name, digest): (String, String)| Ok::<_, ApiError>((name, inputs.open(&digest)?));
        Ok(match self {
            Self::Document { body, gzip } => Received::Document { body: inputs.open(&body)?, gzip },
            Self::Execution { process, body, gzip } => {
                Received::Execution { process, body: inputs.open(&body)?, gzip }
            }
            Self::Table { body, gzip, query } => {
                let mut query = Query::parse(Some(&query));
                let FormQuery { .. } = query.take()?;
                let KeepQuery { .. } = query.take()?;
                let UnknownQuery { .. } = query.take()?;
                let request = request_of_table(query, true)?;
                Received::Table { body: inputs.open(&body)?, gzip, request }
            }
            Self::Form { request, readings, stations } => Received::Form(Box::new(Form {
                request: request.map(|digest| inputs.open(&digest)).transpose()?,
                readings: readings.into_iter().map(named).collect::<Result<_, _>>()?,
                stations: stations.map(named).transpose()?,
            })),
            Self::Network { body, .. } => body.open(inputs)?,
            Self::Slot(_) => {
                let what = "a slot is no request that came by HTTP";
                return Err(ApiError::internal("the readings cannot be opened so", what));
            }
        })
    }

    /// Reads what is to be made of the body, with its network as that was.
    ///
    /// # Errors
    /// As [`Received::understand`]; 500 where an input is gone.
    pub(crate) fn wanted(
        self,
        state: &AppState,
        inputs: &Inputs,
        cancel: &Cancel,
    ) -> Result<(Process, Understood, Wanted), ApiError> {
        match self {
            Self::Network { network, body } => {
                let of = network.open(inputs)?;
                let understood = of.understand(state, body.open(inputs)?, cancel)?;
                Ok((Process::Map, understood, Wanted::default()))
            }
            Self::Slot(slot) => {
                let understood = slot.understand(state, inputs, cancel)?;
                Ok((Process::Map, understood, Wanted::default()))
            }
            other => other.open(inputs)?.wanted(state, cancel),
        }
    }

    /// What becomes of an error that speaks of the choices: they are not where a document has them.
    pub(crate) fn pointing(&self) -> fn(ApiError) -> ApiError {
        match self {
            Self::Table { .. } => ApiError::in_query,
            Self::Execution { .. } => |error| error.below("/inputs"),
            Self::Network { body, .. } => body.pointing(),
            Self::Document { .. } | Self::Form { .. } | Self::Slot(_) => |error| error,
        }
    }

    /// The registered network it is of.
    pub(crate) fn network(&self) -> Option<&str> {
        match self {
            Self::Network { network, .. } => Some(network.id()),
            Self::Slot(slot) => slot.network(),
            _ => None,
        }
    }

    /// Tells one request from another: what was sent and where, not what the network was then.
    ///
    /// # Errors
    /// 500, if it cannot be written as text.
    pub(crate) fn fingerprint(&self) -> Result<String, ApiError> {
        let sent = match self.clone() {
            Self::Network { network, body } => {
                Self::Network { network: network.of_any_version(), body }
            }
            other => other,
        };
        let text = serde_json::to_string(&sent)
            .map_err(|error| ApiError::internal("the request cannot be kept", error))?;
        Ok(blake3::hash(text.as_bytes()).to_hex().to_string())
    }

    /// Digests of all parts, each once.
    pub(crate) fn digests(&self) -> Vec<String> {
        let mut all: Vec<String> = match self {
            Self::Document { body, .. }
            | Self::Execution { body, .. }
            | Self::Table { body, .. } => vec![body.clone()],
            Self::Form { request, readings, stations } => {
                let named = readings.iter().chain(stations).map(|(_, digest)| digest.clone());
                request.clone().into_iter().chain(named).collect()
            }
            Self::Network { network, body } => {
                let mut all = body.digests();
                all.push(network.digest().to_owned());
                all
            }
            Self::Slot(slot) => slot.digests(),
        };
        all.sort();
        all.dedup();
        all
    }
}
