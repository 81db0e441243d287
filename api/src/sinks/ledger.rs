//! What sinks hold, as the service remembers it: what has arrived is not sent again, and only what
//! was put there by the service is ever removed.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::Delivered;
use super::error::Reason;
use super::settings::Keep;
use crate::store::Store;

/// The table.
pub(crate) const MIGRATION: &str = include_str!("schema.sql");

/// Places of one sink.
#[derive(Clone, Debug)]
pub(super) struct Ledger<'a> {
    store: &'a Store,
    sink: &'a str,
}

/// What is at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) mark: String,
    pub(super) bytes: u64,
    pub(super) revision: u32,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(store: &'a Store, sink: &'a str) -> Self {
        Self { store, sink }
    }

    pub(super) fn sink(&self) -> &str {
        self.sink
    }

    /// What is at a place, if it has arrived.
    ///
    /// # Errors
    /// [`Reason::Taken`] if the place is another schedule's or hour's.
    pub(super) fn held(&self, place: &str, what: &Delivered<'_>) -> Result<Option<Held>, Reason> {
        let sql = "SELECT schedule, hour, mark, bytes, revision FROM delivered WHERE sink = ?1 AND place = ?2";
        let found: Option<(String, i64, Held)> = self.store.read(|connection| {
            let row = |row: &rusqlite::Row<'_>| {
                let held = Held { mark: row.get(2)?, bytes: row.get(3)?, revision: row.get(4)? };
                Ok((row.get(0)?, row.get(1)?, held))
            };
            connection.prepare(sql)?.query_row(params![self.sink, place], row).optional()
        })?;
        let Some((schedule, hour, held)) = found else { return Ok(None) };
        if schedule != what.schedule || hour != what.hour.as_second() {
            let hour = Timestamp::from_second(hour).map_or(hour.to_string(), |t| t.to_string());
            let holds = format!("{hour} of `{schedule}`");
            return Err(Reason::Taken { place: place.to_owned(), holds });
        }
        Ok((!held.mark.is_empty()).then_some(held))
    }

    /// Whether a later hour of the schedule, or a later revision of this one, has arrived.
    pub(super) fn is_outdated(&self, what: &Delivered<'_>) -> Result<bool, Reason> {
        let sql = "SELECT EXISTS (SELECT 1 FROM delivered WHERE sink = ?1 AND schedule = ?2 AND hour >= ?3 \
                   AND (hour > ?3 OR revision > ?4) AND mark <> '')";
        self.store.read(|connection| {
            let values = params![self.sink, what.schedule, what.hour.as_second(), what.revision];
            connection.prepare(sql)?.query_row(values, |row| row.get(0)).map_err(Reason::from)
        })
    }

    /// Notes that something is about to be put at a place.
    pub(super) fn begin(&self, place: &str, what: &Delivered<'_>) -> Result<(), Reason> {
        self.put(place, what, &Held { mark: String::new(), bytes: 0, revision: what.revision })
    }

    /// Notes that it has arrived.
    pub(super) fn put(&self, place: &str, what: &Delivered<'_>, held: &Held) -> Result<(), Reason> {
        let sql = "INSERT INTO delivered (sink, place, schedule, hour, revision, mark, bytes) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (sink, place) DO UPDATE SET \
                   revision = excluded.revision, mark = excluded.mark, bytes = excluded.bytes";
        self.store.write(|tx| {
            let hour = what.hour.as_second();
            let values = params![
                self.sink,
                place,
                what.schedule,
                hour,
                held.revision,
                held.mark,
                held.bytes
            ];
            tx.execute(sql, values).map(drop).map_err(Reason::from)
        })
    }

    /// Forgets a place.
    pub(super) fn forget(&self, place: &str) -> Result<(), Reason> {
        let sql = "DELETE FROM delivered WHERE sink = ?1 AND place = ?2";
        self.store
            .write(|tx| tx.execute(sql, params![self.sink, place]).map(drop).map_err(Reason::from))
    }

    /// Places of hours that are too old, or too many; never those of the newest hour of a schedule that has arrived,
    /// nor of hours after it.
    pub(super) fn over(&self, keep: Keep, now: Timestamp) -> Result<Vec<Old>, Reason> {
        let sql = "SELECT schedule, hour, place, mark <> '' FROM delivered WHERE sink = ?1 \
                   ORDER BY schedule, hour DESC, mark <> '' DESC, place";
        let all: Vec<(Old, bool)> = self.store.read(|connection| {
            let row = |row: &rusqlite::Row<'_>| {
                let old = Old { schedule: row.get(0)?, hour: row.get(1)?, place: row.get(2)? };
                Ok((old, row.get(3)?))
            };
            let mut statement = connection.prepare(sql)?;
            statement.query_map([self.sink], row)?.collect::<rusqlite::Result<_>>()
        })?;
        let since = keep.days.map(|days| now.as_second() - i64::from(days) * 86_400);
        let mut over = Vec::new();
        for of_schedule in all.chunk_by(|(a, _), (b, _)| a.schedule == b.schedule) {
            let newest = of_schedule.iter().find(|(_, has_arrived)| *has_arrived);
            let Some(newest) = newest.map(|(old, _)| old.hour) else { continue };
            for (count, of_hour) in
                (1_u32..).zip(of_schedule.chunk_by(|(a, _), (b, _)| a.hour == b.hour))
            {
                let hour = of_hour[0].0.hour;
                let is_old = since.is_some_and(|since| hour < since);
                if hour < newest && (is_old || keep.count.is_some_and(|most| count > most)) {
                    over.extend(of_hour.iter().map(|(old, _)| old.clone()));
                }
            }
        }
        Ok(over)
    }
}

/// A place whose hour is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Old {
    pub(super) schedule: String,
    pub(super) hour: i64,
    pub(super) place: String,
}
