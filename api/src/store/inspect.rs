//! A look at a database as it is, of whatever version, without changing anything: for `doctor` and for backups.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::{BUSY, FILE, StoreError, migrations};

/// Messages of SQLite's own check that are worth telling.
const TOLD: usize = 5;

/// What a database is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Version of its schema.
    pub schema: i64,
    /// The last version that this program knows.
    pub known: i64,
    /// What SQLite finds wrong; nothing where all is well.
    pub damage: Vec<String>,
    /// Files that it refers to.
    pub files: usize,
    /// Of these, names of those that are not there.
    pub lost: Vec<String>,
    /// The latest time in it, in seconds since 1970: a clock that is before it is wrong.
    pub latest: Option<i64>,
    /// Keys that open something now.
    pub keys: u64,
}

/// A file that a row refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Referred {
    /// Below the folder of the data.
    pub(super) path: PathBuf,
    /// BLAKE3 of its bytes.
    pub(super) digest: String,
}

/// Looks at the database of a folder; none where there is no database yet.
///
/// # Errors
/// [`StoreError::Sqlite`] where it is none, or cannot be read.
pub fn inspect(folder: &Path) -> Result<Option<Inspection>, StoreError> {
    if !folder.join(FILE).exists() {
        return Ok(None);
    }
    let connection = open(folder)?;
    let files = referred(&connection)?;
    let lost = files.iter().filter(|file| !folder.join(&file.path).is_file());
    Ok(Some(Inspection {
        schema: connection.pragma_query_value(None, "user_version", |row| row.get(0))?,
        known: migrations::known(),
        damage: damage(&connection)?,
        lost: lost.map(|file| file.path.display().to_string()).collect(),
        files: files.len(),
        latest: latest(&connection)?,
        keys: keys(&connection)?,
    }))
}

/// The database of a folder as it is: its schema is left alone.
pub(super) fn open(folder: &Path) -> Result<Connection, StoreError> {
    // Not read-only: a database that no process has open needs its files of the WAL mode made.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(folder.join(FILE), flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// What is wrong with it.
pub(super) fn damage(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA integrity_check")?;
    let mut said: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    said.retain(|line| line != "ok");
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    for table in rows {
        said.push(format!("a row of {} refers to none", table?));
    }
    said.truncate(TOLD);
    Ok(said)
}

/// Files of rows: inputs, and maps that are not removed.
pub(super) fn referred(connection: &Connection) -> rusqlite::Result<Vec<Referred>> {
    let mut files = Vec::new();
    for (table, sql) in [
        ("inputs", "SELECT 'inputs/' || digest, digest FROM inputs"),
        ("maps", "SELECT 'maps/' || path, digest FROM maps WHERE removed IS NULL"),
    ] {
        if !has(connection, table)? {
            continue;
        }
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(Referred { path: PathBuf::from(row.get::<_, String>(0)?), digest: row.get(1)? })
        })?;
        files.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    Ok(files)
}

/// Earlier schemas have fewer tables.
fn has(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
    Ok(connection.query_row(sql, [table], |_| Ok(())).optional()?.is_some())
}

fn latest(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let mut latest = None;
    for (table, column) in [("audit", "time"), ("jobs", "updated"), ("maps", "created")] {
        if has(connection, table)? {
            let sql = format!("SELECT max({column}) FROM {table}");
            latest = latest.max(connection.query_row(&sql, [], |row| row.get(0))?);
        }
    }
    Ok(latest)
}

fn keys(connection: &Connection) -> rusqlite::Result<u64> {
    if !has(connection, "keys")? {
        return Ok(0);
    }
    let sql = "SELECT count(*) FROM keys WHERE revoked IS NULL AND (expires IS NULL OR expires > unixepoch())";
    connection.query_row(sql, [], |row| row.get(0))
}
