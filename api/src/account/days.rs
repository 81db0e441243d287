//! Days that are over leave the database: as Parquet, opened again and compared before the rows go.
//!
//! `usage/dt=YYYY-MM-DD/part.parquet`, then `part-2.parquet` of rows that came late, and so on. A part and the removal of
//! its rows are one transaction, after the file is in its place; a file without an entry is of a process that ended in
//! between, and is written again. Of today rows go only where there are many.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use parquet::errors::ParquetError;
use rusqlite::{Connection, Transaction, params};

use super::columns::names;
use super::file::{self, Content, GROUP, Rows, Writer};
use super::{AFTER_MS, DAY_MS, JOB, retention};
use crate::store::Store;

/// What is kept, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// Days of which there are files.
    pub(super) days: u32,
    /// Bytes of all files.
    pub(super) bytes: u64,
    /// Rows of a part, and of today's in the database, at most.
    pub(super) rows: i64,
}

/// Why a day is not closed.
#[derive(Debug, thiserror::Error)]
pub enum DayError {
    /// A file cannot be written, read or removed.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {source}", .path.display())]
    Parquet {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ParquetError,
    },
    /// What was read again is not what was written.
    #[error("{} was read again, and has other rows than were written; they stay in the database", .path.display())]
    Differs {
        /// Which.
        path: PathBuf,
    },
    /// The database failed.
    #[error("the database: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Folder of the files.
pub(super) fn folder(store: &Store) -> PathBuf {
    store.folder().join("usage")
}

/// A part of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) day: i64,
    pub(super) part: i64,
    pub(super) rows: i64,
    pub(super) jobs: i64,
    pub(super) bytes: i64,
    pub(super) digest: String,
}

impl Part {
    pub(super) fn path(&self, store: &Store) -> PathBuf {
        path_of(store, self.day, self.part)
    }
}

fn path_of(store: &Store, day: i64, part: i64) -> PathBuf {
    let name = match part {
        1 => "part.parquet".to_owned(),
        part => format!("part-{part}.parquet"),
    };
    folder(store).join(format!("dt={}", date_of(day))).join(name)
}

/// `2026-11-21` of a day since 1970.
pub(super) fn date_of(day: i64) -> String {
    let time = jiff::Timestamp::from_second(day.saturating_mul(DAY_MS / 1000));
    time.map_or_else(|_| day.to_string(), |time| time.strftime("%F").to_string())
}

/// The day since 1970 of a date.
pub(super) fn day_of(date: Date) -> i64 {
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC);
    midnight.map_or(0, |midnight| midnight.timestamp().as_millisecond().div_euclid(DAY_MS))
}

/// All parts that there are, from a day to another.
pub(super) fn parts(connection: &Connection, from: i64, to: i64) -> rusqlite::Result<Vec<Part>> {
    let sql = "SELECT day, part, rows, jobs, bytes, digest FROM usage_parts \
               WHERE day BETWEEN ?1 AND ?2 ORDER BY day, part";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([from, to], |row| {
        Ok(Part {
            day: row.get(0)?,
            part: row.get(1)?,
            rows: row.get(2)?,
            jobs: row.get(3)?,
            bytes: row.get(4)?,
            digest: row.get(5)?,
        })
    })?;
    rows.collect()
}

/// Closes what is over at a time (milliseconds since 1970), and removes what is too old or too much. Does nothing while
/// another process does it. Blocks. Gives the days of which parts were written.
pub(super) fn close(store: &Store, now_ms: i64, keep: Keep) -> Result<Vec<i64>, DayError> {
    let root = folder(store);
    made(&root)?;
    let lock = root.join(".lock");
    let lock = File::create(&lock).map_err(|source| DayError::Io { path: lock, source })?;
    if lock.try_lock().is_err() {
        return Ok(Vec::new());
    }
    retention::remove_unknown(store)?;
    let mut closed = Vec::new();
    while let Some(day) = store.read(|c| due(c, now_ms, keep.rows))? {
        write(store, day, keep.rows)?;
        if closed.last() != Some(&day) {
            closed.push(day);
        }
    }
    retention::retain(store, now_ms.div_euclid(DAY_MS) - i64::from(keep.days), keep.bytes)?;
    Ok(closed)
}

/// The oldest day of which rows are to go.
fn due(connection: &Connection, now_ms: i64, most_rows: i64) -> rusqlite::Result<Option<i64>> {
    let first: Option<i64> =
        connection.query_row("SELECT min(ended_ms) FROM usage", [], |row| row.get(0))?;
    let Some(day) = first.map(|first| first.div_euclid(DAY_MS)) else { return Ok(None) };
    if (day + 1) * DAY_MS + AFTER_MS <= now_ms {
        return Ok(Some(day));
    }
    let sql = "SELECT max(number) - min(number) FROM usage";
    let many: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok((many >= most_rows).then_some(day))
}

/// Moves rows of a day, the first so many, into a part.
fn write(store: &Store, day: i64, most_rows: i64) -> Result<(), DayError> {
    let part = store.read(|c| {
        let sql = "SELECT coalesce(max(part), 0) + 1 FROM usage_parts WHERE day = ?1";
        c.query_row(sql, [day], |row| row.get(0))
    });
    let part: i64 = part.map_err(DayError::Sqlite)?;
    let path = path_of(store, day, part);
    let failed = |source| DayError::Io { path: path.clone(), source };
    let to = path.parent().unwrap_or(Path::new("."));
    made(to)?;
    let temporary = tempfile::NamedTempFile::with_prefix_in(".part-", to).map_err(failed)?;
    let written = store.read(|c| fill(c, temporary.as_file(), (day, most_rows), &path))?;
    temporary.as_file().sync_all().map_err(failed)?;
    let file = temporary.persist(&path).map_err(|error| failed(error.error))?;
    // A program of others may read it.
    set_readable(&file).map_err(failed)?;
    File::open(to).and_then(|folder| folder.sync_all()).map_err(failed)?;
    let known = |source| DayError::Parquet { path: path.clone(), source };
    if file::content(&path).map_err(known)? != written.content {
        return Err(DayError::Differs { path });
    }
    let (bytes, digest) = whole_of(&path).map_err(failed)?;
    let part = Part { day, part, rows: written.rows, jobs: written.jobs, bytes, digest };
    store.write(|tx| {
        let removed = tx.execute(
            "DELETE FROM usage WHERE ended_ms >= ?1 AND ended_ms < ?2 AND number <= ?3",
            params![day * DAY_MS, (day + 1) * DAY_MS, written.last],
        )?;
        if i64::try_from(removed) != Ok(part.rows) {
            return Err(DayError::Differs { path: path.clone() });
        }
        Ok(enter(tx, &part)?)
    })?;
    tracing::info!(file = %path.display(), rows = part.rows, bytes, "rows of the account are in a file");
    Ok(())
}

fn enter(tx: &Transaction<'_>, part: &Part) -> rusqlite::Result<()> {
    let Part { day, part, rows, jobs, bytes, digest } = part;
    let sql = "INSERT INTO usage_parts VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    tx.execute(sql, params![day, part, rows, jobs, bytes, digest]).map(drop)
}

#[cfg(unix)]
fn set_readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o640))
}

struct Written {
    content: Content,
    rows: i64,
    jobs: i64,
    /// The highest number.
    last: i64,
}

fn fill(
    connection: &Connection,
    file: &File,
    (day, most_rows): (i64, i64),
    path: &Path,
) -> Result<Written, DayError> {
    let failed = |source| DayError::Parquet { path: path.to_owned(), source };
    let sql = format!(
        "SELECT number, {}, way = '{JOB}' FROM usage WHERE ended_ms >= ?1 AND ended_ms < ?2 \
         ORDER BY number LIMIT {most_rows}",
        names()
    );
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query(params![day * DAY_MS, (day + 1) * DAY_MS])?;
    let mut writer = Writer::new(file).map_err(failed)?;
    let (mut rows, mut jobs, mut last, mut count) = (Rows::new(), 0, 0, 0);
    while let Some(row) = found.next()? {
        for (k, column) in rows.columns.iter_mut().enumerate() {
            column.push(row.get_ref(k)?);
        }
        jobs += row.get::<_, i64>(rows.columns.len())?;
        last = row.get(0)?;
        count += 1;
        if rows.len() == GROUP {
            writer.group(&rows).map_err(failed)?;
            rows = Rows::new();
        }
    }
    if rows.len() > 0 {
        writer.group(&rows).map_err(failed)?;
    }
    let digest = writer.finish().map_err(failed)?;
    let content = Content { rows: usize::try_from(count).unwrap_or(0), digest };
    Ok(Written { content, rows: count, jobs, last })
}

/// Size and BLAKE3 of a file.
pub(super) fn whole_of(path: &Path) -> io::Result<(i64, String)> {
    let mut hash = blake3::Hasher::new();
    hash.update_reader(File::open(path)?)?;
    let bytes = i64::try_from(fs::metadata(path)?.len()).unwrap_or(i64::MAX);
    Ok((bytes, hash.finalize().to_hex().to_string()))
}

fn made(folder: &Path) -> Result<(), DayError> {
    fs::create_dir_all(folder).map_err(|source| DayError::Io { path: folder.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::super::columns::Usage;
    use super::*;

    const DAY: i64 = 20_000;
    const ALL: Keep = Keep { days: 10_000, bytes: u64::MAX, rows: 1000 };

    fn store() -> Store {
        Store::open(None).expect("a database")
    }

    fn add(store: &Store, ends: &[(i64, i64)]) {
        let row = |(day, ms): &(i64, i64)| Usage {
            began_ms: Some(day * DAY_MS),
            ended_ms: Some(day * DAY_MS + ms),
            way: Some(if ms % 2 == 0 { JOB } else { "once" }.into()),
            process: Some("map".into()),
            client: Some("anonymous".into()),
            exit: Some("successful".into()),
            seconds: Some(0.25),
            ..Usage::default()
        };
        let rows: Vec<Usage> = ends.iter().map(row).collect();
        let added: rusqlite::Result<()> = store.write(|tx| Usage::insert(&rows, tx));
        added.expect("rows");
    }

    fn left(store: &Store) -> Vec<i64> {
        let found: rusqlite::Result<Vec<i64>> = store.read(|c| {
            let mut statement = c.prepare("SELECT ended_ms FROM usage ORDER BY number")?;
            statement.query_map([], |row| row.get(0))?.collect()
        });
        found.expect("rows")
    }

    fn all(store: &Store) -> Vec<Part> {
        store.read(|c| parts(c, 0, i64::MAX)).expect("parts")
    }

    fn closed(store: &Store, day: i64) -> Vec<i64> {
        close(store, (day + 1) * DAY_MS + AFTER_MS, ALL).expect("closed")
    }

    fn ends_of(part: &Part, store: &Store) -> Vec<rusqlite::types::Value> {
        let mut found = Vec::new();
        let path = part.path(store);
        file::each(&path, &["ended_ms"], |row| {
            found.push(row[0].clone());
            Ok(())
        })
        .expect("a file");
        found
    }

    #[test]
    fn a_day_that_is_over_becomes_a_file_and_late_rows_another_and_today_stays() {
        let store = store();
        add(&store, &[(DAY, 1), (DAY + 1, 5), (DAY, 2), (DAY + 2, 7)]);
        assert_eq!(closed(&store, DAY), [DAY]);
        assert_eq!(left(&store), [(DAY + 1) * DAY_MS + 5, (DAY + 2) * DAY_MS + 7]);
        let part = &all(&store)[0];
        assert_eq!((part.part, part.rows, part.jobs), (1, 2, 1));
        assert!(part.path(&store).ends_with("usage/dt=2024-10-04/part.parquet"));
        assert_eq!(ends_of(part, &store), [(DAY * DAY_MS + 1).into(), (DAY * DAY_MS + 2).into()]);
        // A minute before nothing is closed: rows of its last moments may not be written yet.
        let early = close(&store, (DAY + 2) * DAY_MS + AFTER_MS - 1, ALL);
        assert_eq!(early.expect("nothing"), Vec::<i64>::new());
        add(&store, &[(DAY, 3)]);
        assert_eq!(closed(&store, DAY + 1), [DAY, DAY + 1]);
        let names: Vec<String> = all(&store)
            .iter()
            .map(|part| part.path(&store).file_name().expect("a name").to_string_lossy().into())
            .collect();
        assert_eq!(names, ["part.parquet", "part-2.parquet", "part.parquet"]);
        assert_eq!(left(&store), [(DAY + 2) * DAY_MS + 7]);
    }

    #[test]
    fn a_file_whose_process_ended_before_its_rows_went_is_written_again() {
        let store = store();
        add(&store, &[(DAY, 1), (DAY, 2)]);
        let orphan = path_of(&store, DAY, 1);
        fs::create_dir_all(orphan.parent().expect("a folder")).expect("a folder");
        fs::write(&orphan, "half a file").expect("a file");
        let other = orphan.with_file_name(".part-x");
        fs::write(&other, "less").expect("a file");
        assert_eq!(closed(&store, DAY), [DAY]);
        assert!(!other.exists());
        assert_eq!(ends_of(&all(&store)[0], &store).len(), 2);
        assert_eq!(whole_of(&orphan).expect("the file").1, all(&store)[0].digest);
    }

    #[test]
    fn rows_stay_where_the_database_does_not_take_the_part() {
        let store = store();
        add(&store, &[(DAY, 1), (DAY, 2)]);
        let batch = |sql: &str| {
            let done: rusqlite::Result<()> = store.write(|tx| tx.execute_batch(sql));
            done.expect("a statement");
        };
        batch(
            "CREATE TRIGGER full BEFORE INSERT ON usage_parts BEGIN SELECT RAISE(ABORT, 'no'); END",
        );
        let failed = close(&store, (DAY + 1) * DAY_MS + AFTER_MS, ALL);
        assert!(matches!(failed, Err(DayError::Sqlite(_))));
        assert_eq!((left(&store).len(), all(&store).len()), (2, 0));
        batch("DROP TRIGGER full");
        assert_eq!(closed(&store, DAY), [DAY]);
        assert_eq!((left(&store).len(), all(&store).len()), (0, 1));
    }

    #[test]
    fn old_days_go_and_the_oldest_beyond_the_bytes() {
        let store = store();
        for day in DAY..DAY + 4 {
            add(&store, &[(day, 1)]);
        }
        closed(&store, DAY + 3);
        let now = (DAY + 4) * DAY_MS + AFTER_MS;
        let days = |store: &Store| all(store).iter().map(|part| part.day).collect::<Vec<_>>();
        assert_eq!(days(&store), [DAY, DAY + 1, DAY + 2, DAY + 3]);
        close(&store, now, Keep { days: 3, ..ALL }).expect("closed");
        assert_eq!(days(&store), [DAY + 1, DAY + 2, DAY + 3]);
        let bytes = all(&store).iter().map(|part| part.bytes).sum::<i64>();
        close(&store, now, Keep { days: 3, bytes: bytes.unsigned_abs() - 1, ..ALL })
            .expect("closed");
        assert_eq!(days(&store), [DAY + 2, DAY + 3]);
        assert!(!folder(&store).join(format!("dt={}", date_of(DAY + 1))).exists());
    }

    #[test]
    fn of_today_rows_go_only_where_there_are_many_and_a_long_day_has_several_files() {
        let store = store();
        let rows: Vec<(i64, i64)> = (0..10).map(|k| (DAY, k)).collect();
        add(&store, &rows);
        let noon = DAY * DAY_MS + DAY_MS / 2;
        let close_at = |now, rows| close(&store, now, Keep { rows, ..ALL }).expect("closed");
        assert_eq!(close_at(noon, 10), Vec::<i64>::new());
        assert_eq!(close_at(noon, 4), [DAY]);
        let counts = || all(&store).iter().map(|part| part.rows).collect::<Vec<_>>();
        assert_eq!((counts(), left(&store).len()), (vec![4, 4], 2));
        assert_eq!(close_at((DAY + 1) * DAY_MS + AFTER_MS, 4), [DAY]);
        assert_eq!((counts(), left(&store).len()), (vec![4, 4, 2], 0));
        let ends: Vec<_> = all(&store).iter().flat_map(|part| ends_of(part, &store)).collect();
        let expected: Vec<_> = (0..10).map(|k| (DAY * DAY_MS + k).into()).collect();
        assert_eq!(ends, expected);
    }
}
