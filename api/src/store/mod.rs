//! What the service remembers: one SQLite file and a folder of files beside it.
//!
//! One connection writes, each time in a transaction that is `IMMEDIATE` (a deferred one that turns
//! to writing fails at once where another process writes, whatever the time-out); a few others read. In
//! WAL mode readers never wait for the writer. What is committed is on the disk: `synchronous = FULL`.
//!
//! Tables are made by numbered `migrations`. Whoever owns a table has a module of its own for it;
//! here nobody knows what is in them.

pub mod backup;
pub mod inspect;
mod migrations;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tempfile::TempDir;

use crate::error::ApiError;

/// Name of the database in the folder.
const FILE: &str = "isopleth.sqlite3";

/// Reading connections that are kept for the next reader; more are opened when needed.
const KEPT_READERS: usize = 8;

/// KiB of pages that each of them keeps (negative, as SQLite has it): the system keeps the file's pages for all of them.
const READER_CACHE: i64 = -256;

/// How long to wait for another process (the command line, say) that writes.
const BUSY: Duration = Duration::from_secs(10);

/// The database and its folder; clones are cheap.
#[derive(Clone, Debug)]
pub struct Store(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    folder: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    /// Where nothing is to outlive the process.
    _temporary: Option<TempDir>,
}

/// Why the service cannot remember.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be made or written.
    #[error("the folder {} of setting data_dir cannot be used: {source}", .folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A later version made the database.
    #[error(
        "the database {} has schema {found}, this program knows up to {known}; use the program that wrote it, or a later one",
        .path.display()
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The last one known here.
        known: i64,
    },
    /// SQLite says no.
    #[error("the database: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

impl Store {
    /// Opens the database in a folder, makes both where they are missing, and brings the schema up to date.
    ///
    /// Without a folder it is a temporary one, gone when the last clone is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(folder: Option<&Path>) -> Result<Self, StoreError> {
        let temporary =
            match folder {
                Some(_) => None,
                None => Some(TempDir::with_prefix("isopleth-").map_err(|source| {
                    StoreError::Folder { folder: std::env::temp_dir(), source }
                })?),
            };
        let folder = match (&temporary, folder) {
            (Some(temporary), _) => temporary.path().to_owned(),
            (None, Some(folder)) => folder.to_owned(),
            (None, None) => std::env::temp_dir(),
        };
        std::fs::create_dir_all(&folder)
            .map_err(|source| StoreError::Folder { folder: folder.clone(), source })?;
        let path = folder.join(FILE);
        let mut writer = Connection::open(&path)?;
        writer.busy_timeout(BUSY)?;
        writer.pragma_update(None, "journal_mode", "WAL")?;
        writer.pragma_update(None, "synchronous", "FULL")?;
        writer.pragma_update(None, "foreign_keys", true)?;
        migrations::apply(&mut writer, &path)?;
        Ok(Self(Arc::new(Opened {
            folder,
            writer: Mutex::new(writer),
            readers: Mutex::default(),
            _temporary: temporary,
        })))
    }

    /// The folder, for files beside the database.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Does some work in one transaction: all of it, or nothing where it fails. Blocks.
    ///
    /// # Errors
    /// What `work` says, or the database.
    pub fn write<T, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut writer = lock(&self.0.writer);
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Reads; what other connections commit meanwhile is not seen within one statement. Blocks.
    ///
    /// # Errors
    /// What `work` says, or the database.
    pub fn read<T, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let kept = lock(&self.0.readers).pop();
        let reader = match kept {
            Some(reader) => reader,
            None => self.reader()?,
        };
        let done = work(&reader);
        let mut readers = lock(&self.0.readers);
        if readers.len() < KEPT_READERS {
            readers.push(reader);
        }
        done
    }

    fn reader(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(self.0.folder.join(FILE), flags)?;
        reader.busy_timeout(BUSY)?;
        reader.pragma_update(None, "cache_size", READER_CACHE)?;
        Ok(reader)
    }

    /// [`write`](Self::write) on a thread that may block.
    pub(crate) async fn written<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let store = self.clone();
        blocking(move || store.write(work)).await
    }

    /// [`read`](Self::read) on a thread that may block.
    pub(crate) async fn looked_up<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let store = self.clone();
        blocking(move || store.read(work)).await
    }
}

/// Work that may block, on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(ApiError::internal("work on the database panicked", panic)))
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        Self::internal("the service's database failed", error)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_is_there_after_opening_again_and_what_fails_is_not() {
        let folder = TempDir::new().expect("a folder");
        let store = Store::open(Some(folder.path())).expect("a database");
        let done: Result<(), rusqlite::Error> = store
            .write(|tx| tx.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2);"));
        done.expect("two rows");
        let failed: Result<(), rusqlite::Error> = store.write(|tx| {
            tx.execute("INSERT INTO t VALUES (3)", ())?;
            tx.execute("INSERT INTO nothing VALUES (3)", ()).map(|_| ())
        });
        assert!(failed.is_err());
        drop(store);
        let store = Store::open(Some(folder.path())).expect("the database again");
        let sum: Result<i64, rusqlite::Error> =
            store.read(|c| c.query_row("SELECT sum(x) FROM t", (), |row| row.get(0)));
        assert_eq!(sum.expect("a sum"), 3);
    }

    #[test]
    fn a_reader_cannot_write_and_sees_no_half_of_a_transaction() {
        let store = Store::open(None).expect("a database");
        let made: Result<(), rusqlite::Error> =
            store.write(|tx| tx.execute_batch("CREATE TABLE t (x);"));
        made.expect("a table");
        let seen: Result<i64, rusqlite::Error> = store.write(|tx| {
            tx.execute("INSERT INTO t VALUES (1)", ())?;
            store.read(|c| c.query_row("SELECT count(*) FROM t", (), |row| row.get(0)))
        });
        assert_eq!(seen.expect("a count"), 0);
        let written: Result<usize, rusqlite::Error> =
            store.read(|c| c.execute("INSERT INTO t VALUES (1)", ()));
        assert!(written.is_err());
    }

    #[test]
    fn a_database_of_a_later_version_is_left_alone() {
        let folder = TempDir::new().expect("a folder");
        drop(Store::open(Some(folder.path())).expect("a database"));
        let connection = Connection::open(folder.path().join(FILE)).expect("the file");
        connection.pragma_update(None, "user_version", 9999).expect("a number");
        let error = Store::open(Some(folder.path())).expect_err("a later version");
        assert!(matches!(error, StoreError::Newer { found: 9999, .. }), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_is_told_with_its_setting() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let error = Store::open(Some(&file.path().join("below"))).expect_err("a file is no folder");
        assert!(error.to_string().contains("data_dir"), "{error}");
    }
}
