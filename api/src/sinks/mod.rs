//! Where finished maps of schedules go: folders, buckets, Zarr stores that the configuration names.
//!
//! ```text
//! deliver: names of the hour's files → those that have not arrived are made (forms) → put whole (directory,
//!          object) → noted (ledger) → `latest` is moved
//! retain:  what the ledger knows and is too old, or too many, goes
//! ```
//!
//! A delivery may be tried again at any time: what has arrived is not sent again. Everything here blocks.

mod directory;
mod error;
mod forms;
mod ledger;
mod names;
mod object;
mod settings;
#[cfg(test)]
mod tests;
mod transport;
mod zarr;

use std::path::Path;

use isopleth_engine::Cancel;

pub use error::{Reason, SinkError};
pub(crate) use ledger::MIGRATION;
pub use settings::{Bucket, Directory, Files, Keep, ObjectStore, SinkConfig, Sum, Zarr};

use crate::state::AppState;
use forms::Target;
use ledger::{Ledger, Old};

/// A revision of an hour's map to be delivered.
#[derive(Clone, Debug)]
pub struct Delivered<'a> {
    /// The schedule's id.
    pub schedule: &'a str,
    /// The hour that it is of.
    pub hour: jiff::Timestamp,
    /// The schedule's zone, for names.
    pub zone: jiff::tz::TimeZone,
    /// From 1 on.
    pub revision: u32,
    /// The map as the catalogue keeps it, NetCDF.
    pub file: &'a Path,
    /// Whether no later hour of the schedule has a map.
    pub is_latest: bool,
}

/// Brings a map to a sink, whole or not at all; the same again changes nothing. Where it is now.
///
/// # Errors
/// [`SinkError`], which says whether the same may arrive later.
pub fn deliver(
    state: &AppState,
    sink: &str,
    what: &Delivered<'_>,
    cancel: &Cancel,
) -> Result<Vec<String>, SinkError> {
    let config = find(state, sink)?;
    let ledger = Ledger::new(state.store(), sink);
    let scratch = &state.config().spill_dir;
    let delivered = match config {
        SinkConfig::Directory(of) => directory::Root::open(of)
            .and_then(|root| forms::deliver(&root, &of.files, what, &ledger, scratch, cancel)),
        SinkConfig::ObjectStore(of) => object::Objects::open(&of.bucket)
            .and_then(|bucket| forms::deliver(&bucket, &of.files, what, &ledger, scratch, cancel)),
        SinkConfig::Zarr(of) => zarr::deliver(of, what, &ledger, cancel),
    };
    delivered.map_err(|reason| reason.of(sink))
}

/// Removes what is too old or too many; how many files, objects or hours went.
///
/// # Errors
/// [`SinkError`]; what could be removed is.
pub fn retain(state: &AppState, sink: &str, now: jiff::Timestamp) -> Result<usize, SinkError> {
    let config = find(state, sink)?;
    let keep = config.keep();
    if keep == Keep::default() {
        return Ok(0);
    }
    let ledger = Ledger::new(state.store(), sink);
    let each = |over: &[Old], remove: &dyn Fn(&Old) -> Result<(), Reason>| {
        over.iter().try_for_each(|old| remove(old).and_then(|()| ledger.forget(&old.place)))
    };
    let removed = || {
        let over = ledger.over(keep, now)?;
        if over.is_empty() {
            return Ok(0);
        }
        match config {
            SinkConfig::Directory(of) => {
                let root = directory::Root::open(of)?;
                each(&over, &|old| root.remove(&old.place))
            }
            SinkConfig::ObjectStore(of) => {
                let bucket = object::Objects::open(&of.bucket)?;
                each(&over, &|old| bucket.remove(&old.place))
            }
            SinkConfig::Zarr(of) => {
                each(&over, &|old| zarr::remove(of, sink, &old.place, old.hour))
            }
        }?;
        Ok(over.len())
    };
    removed().map_err(|reason: Reason| reason.of(sink))
}

fn find<'a>(state: &'a AppState, sink: &str) -> Result<&'a SinkConfig, SinkError> {
    let all = &state.config().sinks;
    all.get(sink).ok_or_else(|| {
        let known = all.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        Reason::Unknown { known }.of(sink)
    })
}
