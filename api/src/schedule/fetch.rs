//! What there is of an hour's readings: at its source, or posted.

use jiff::Timestamp;

use super::model::Slot;
use super::posted::{is_posted, posted};
use super::{Hours, Scheduled};
use crate::body::Spool;
use crate::error::ApiError;
use crate::sources::{self, Fetched};
use crate::state::AppState;

/// Why a look ended without an answer.
pub(super) enum Trouble {
    /// The source does not work now.
    Passing(String),
    /// The disk, the queue, the database.
    Machine(ApiError),
}

/// What a source has for an hour.
pub(super) enum Found {
    /// Nothing yet; why, for people.
    NotYet(String),
    Unchanged,
    Readings {
        name: String,
        body: Spool,
        gzip: bool,
        mark: Option<String>,
    },
}

/// Asks the source of a schedule for the readings of an hour, or looks whether they were posted.
pub(super) fn fetch(
    state: &AppState,
    scheduled: &Scheduled,
    hours: &Hours,
    slot: &Slot,
) -> Result<Found, Trouble> {
    let mark = slot.mark.as_deref().filter(|_| slot.again == 0);
    let document = &scheduled.document;
    let Some(source) = document.source.as_ref().filter(|_| !is_posted(state, document)) else {
        return posted(state, slot, mark).map_err(Trouble::Machine);
    };
    let start = Timestamp::from_second(slot.hour).unwrap_or_default();
    let hour = sources::Hour { start, zone: hours.zone().clone() };
    let known = sources::Known { mark };
    match sources::fetch(state, source, &hour, known, &state.schedules().cancel) {
        Ok(Fetched::NotYet(why)) => Ok(Found::NotYet(why)),
        Ok(Fetched::Unchanged) => Ok(Found::Unchanged),
        Ok(Fetched::Readings { name, body, gzip, mark }) => {
            Ok(Found::Readings { name, body, gzip, mark })
        }
        Err(error) if error.is_passing() => Err(Trouble::Passing(error.to_string())),
        // Somebody has to mend it first: like a source that has nothing.
        Err(error) => Ok(Found::NotYet(error.to_string())),
    }
}

/// The table of places of the source, for readings that carry none.
pub(super) fn stations(
    state: &AppState,
    scheduled: &Scheduled,
) -> Result<Option<(String, Spool)>, ApiError> {
    let source = scheduled.document.source.as_deref();
    let Some(path) = source.and_then(|source| sources::stations(state, source)) else {
        return Ok(None);
    };
    let file = std::fs::File::open(&path).map_err(|error| {
        let what = "the table of stations of the source cannot be read";
        ApiError::internal(what, format!("{}: {error}", path.display()))
    })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Some((name, Spool::File(file))))
}
