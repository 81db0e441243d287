//! The networks of the service: written to the database, read from memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::Registered;
use crate::config::ServiceConfig;
use crate::error::ApiError;
use crate::routes::conditions::Conditions;
use crate::store::Store;
use crate::wire::network::NetworkRequest;

/// All networks. Every function may block.
#[derive(Debug)]
pub(crate) struct Networks {
    store: Store,
    /// Held by whoever changes the database or takes from it into memory, so that the two agree.
    changing: Mutex<()>,
    known: RwLock<HashMap<String, Arc<Registered>>>,
}

/// What became of a document.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) network: Arc<Registered>,
    pub(crate) is_new: bool,
}

/// A network in a list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) tag: String,
    pub(crate) title: Option<String>,
    pub(crate) stations: i64,
    pub(crate) created: i64,
    pub(crate) updated: i64,
}

impl Networks {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, changing: Mutex::default(), known: RwLock::default() }
    }

    /// The network as it is now, if it is in memory. Does not block.
    pub(crate) fn at_hand(&self, id: &str) -> Option<Arc<Registered>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(id).map(Arc::clone)
    }

    /// The network as it is now.
    ///
    /// # Errors
    /// 404, or if the database fails.
    pub(crate) fn get(&self, id: &str) -> Result<Arc<Registered>, ApiError> {
        if let Some(known) = self.at_hand(id) {
            return Ok(known);
        }
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.store.read(|db| read(db, id))?;
        let found = Arc::new(found.ok_or_else(|| unknown(id))?);
        self.remember(Arc::clone(&found));
        Ok(found)
    }

    /// Registers a network, or changes it; residuals of one that is changed are forgotten.
    ///
    /// # Errors
    /// 412 when it is not what the client expects, 413 beyond a limit.
    pub(crate) fn put(
        &self,
        id: &str,
        document: NetworkRequest,
        conditions: &Conditions,
        config: &ServiceConfig,
    ) -> Result<Put, ApiError> {
        let text = serde_json::to_string(&document)
            .map_err(|error| ApiError::internal("the network could not be written", error))?;
        let tag = blake3::hash(text.as_bytes()).to_hex()[..32].to_owned();
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = jiff::Timestamp::now().as_second();
        let before = self.store.write(|tx| {
            let before = times_and_tag(tx, id)?;
            conditions.check(before.as_ref().map(|(_, tag)| tag.as_str()))?;
            keep_the_limits(tx, id, text.len(), config)?;
            let created = before.as_ref().map_or(now, |(created, _)| *created);
            tx.execute(
                "INSERT INTO networks (id, tag, title, stations, bytes, created, updated, document)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (id) DO UPDATE SET tag = ?2, title = ?3, stations = ?4, bytes = ?5,
                 updated = ?7, document = ?8",
                params![
                    id,
                    tag,
                    document.title,
                    number(document.stations.len()),
                    number(text.len()),
                    created,
                    now,
                    text
                ],
            )?;
            Ok::<_, ApiError>(before)
        })?;
        let created = before.as_ref().map_or(now, |(created, _)| *created);
        let network = Arc::new(Registered::new(id.to_owned(), tag, [created, now], document));
        self.remember(Arc::clone(&network));
        Ok(Put { network, is_new: before.is_none() })
    }

    /// Forgets a network; maps being made of it go on.
    ///
    /// # Errors
    /// 404, 412.
    pub(crate) fn delete(&self, id: &str, conditions: &Conditions) -> Result<(), ApiError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.write(|tx| {
            let (_, tag) = times_and_tag(tx, id)?.ok_or_else(|| unknown(id))?;
            conditions.check(Some(&tag))?;
            tx.execute("DELETE FROM networks WHERE id = ?1", [id])?;
            Ok::<_, ApiError>(())
        })?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(())
    }

    /// Networks in the order of their ids, after `after`, one more than `limit` where there are more.
    ///
    /// # Errors
    /// If the database fails.
    pub(crate) fn list(&self, after: &str, limit: usize) -> Result<Vec<Row>, ApiError> {
        self.store.read(|db| {
            let mut statement = db.prepare(
                "SELECT id, tag, title, stations, created, updated FROM networks
                 WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let rows = statement.query_map(params![after, number(limit + 1)], |row| {
                Ok(Row {
                    id: row.get(0)?,
                    tag: row.get(1)?,
                    title: row.get(2)?,
                    stations: row.get(3)?,
                    created: row.get(4)?,
                    updated: row.get(5)?,
                })
            })?;
            Ok(rows.collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    fn remember(&self, network: Arc<Registered>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(network.id.clone(), network);
    }
}

fn unknown(id: &str) -> ApiError {
    ApiError::not_found(format!(
        "there is no network `{id}`; PUT /v1/networks/{id} registers it, GET /v1/networks lists those there are"
    ))
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn times_and_tag(tx: &Transaction<'_>, id: &str) -> rusqlite::Result<Option<(i64, String)>> {
    let query = "SELECT created, tag FROM networks WHERE id = ?1";
    tx.query_row(query, [id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

fn read(db: &Connection, id: &str) -> Result<Option<Registered>, ApiError> {
    let query = "SELECT tag, created, updated, document FROM networks WHERE id = ?1";
    let row = |row: &rusqlite::Row<'_>| {
        Ok((row.get::<_, String>(0)?, [row.get(1)?, row.get(2)?], row.get::<_, String>(3)?))
    };
    let Some((tag, times, text)) = db.query_row(query, [id], row).optional()? else {
        return Ok(None);
    };
    let document = serde_json::from_str(&text)
        .map_err(|error| ApiError::internal("the network in the database cannot be read", error))?;
    Ok(Some(Registered::new(id.to_owned(), tag, times, document)))
}

fn keep_the_limits(
    tx: &Transaction<'_>,
    id: &str,
    bytes: usize,
    config: &ServiceConfig,
) -> Result<(), ApiError> {
    let query = "SELECT count(*), coalesce(sum(bytes), 0) FROM networks WHERE id <> ?1";
    let (others, other_bytes): (i64, i64) =
        tx.query_row(query, [id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if others >= number(config.max_networks) {
        let limit = config.max_networks;
        let text = format!("there are {limit} networks already, the limit; delete one first");
        return Err(ApiError::too_large(text));
    }
    let (all, limit) = (other_bytes.saturating_add(number(bytes)), config.max_networks_bytes);
    if u64::try_from(all).unwrap_or(0) > limit {
        return Err(ApiError::too_large(format!(
            "with this one the networks take {all} bytes, more than the limit of {limit}; delete one first"
        )));
    }
    Ok(())
}
