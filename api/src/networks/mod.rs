//! Networks that are remembered, so that the hourly post carries values only.
//!
//! A network is a document: stations, and what maps of it have unless a request says otherwise (grid, method, units,
//! bounds). Its tag is a digest of the document. Whoever begins with a network keeps the one it began with, however it is
//! changed or deleted meanwhile: it holds an `Arc`.
//!
//! The database has the documents; what was asked for once stays in memory, where also the latest residuals of
//! each network are, since the process began or the network was changed. One process writes to a database.

mod residuals;
mod shelf;

use std::collections::HashMap;

use isopleth_engine::observations::Station;

use crate::wire::network::NetworkRequest;

pub(crate) use residuals::{LastResiduals, Remembering};
pub(crate) use shelf::{Networks, Put, Row};

/// The table: documents by id. `bytes` is the length of the document.
pub(crate) const MIGRATION: &str = "
CREATE TABLE networks (
    id TEXT PRIMARY KEY NOT NULL,
    tag TEXT NOT NULL,
    title TEXT,
    stations INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// A network as it was when somebody asked for it.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) id: String,
    /// Digest of the document; the entity tag without its quotes.
    pub(crate) tag: String,
    /// Seconds since 1970.
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) document: NetworkRequest,
    pub(crate) stations: Vec<Station>,
    /// Index in `stations` by id.
    pub(crate) index: HashMap<String, usize>,
    pub(crate) last: LastResiduals,
}

impl Registered {
    /// One that a job kept: when it was registered does not matter to its maps.
    pub(crate) fn as_it_was(id: String, tag: String, document: NetworkRequest) -> Self {
        Self::new(id, tag, [0; 2], document)
    }

    fn new(id: String, tag: String, times: [i64; 2], document: NetworkRequest) -> Self {
        let stations = document.stations();
        let index = stations.iter().enumerate().map(|(k, s)| (s.id.clone(), k)).collect();
        let [created, updated] = times;
        let last = LastResiduals::default();
        Self { id, tag, created, updated, document, stations, index, last }
    }
}
