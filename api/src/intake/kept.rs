//! A body that is kept for later: its parts as files, and how to read them as text.

use serde::{Deserialize, Serialize};

use super::{Form, Received, request_of_table};
use crate::error::ApiError;
use crate::jobs::{Inputs, Process};
use crate::wire::query::{FormQuery, Query};

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
                let request = request_of_table(query, true)?;
                Received::Table { body: inputs.open(&body)?, gzip, request }
            }
            Self::Form { request, readings, stations } => Received::Form(Box::new(Form {
                request: request.map(|digest| inputs.open(&digest)).transpose()?,
                readings: readings.into_iter().map(named).collect::<Result<_, _>>()?,
                stations: stations.map(named).transpose()?,
            })),
        })
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
        };
        all.sort();
        all.dedup();
        all
    }
}
