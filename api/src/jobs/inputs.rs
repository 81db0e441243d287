//! Bodies of requests as files, by the hash of their bytes: a body that is sent twice is kept once.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::time::SystemTime;

use rusqlite::{Connection, Transaction, params};

use super::now;
use super::strays::Strays;
use crate::body::Spool;
use crate::error::ApiError;

/// The folder of inputs.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    folder: PathBuf,
}

impl Inputs {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keeps a body, synced, and names it.
    ///
    /// # Errors
    /// 500 where the disk is full or fails.
    pub(crate) fn keep(&self, body: Spool) -> Result<String, ApiError> {
        self.write(body)
            .map_err(|error| ApiError::internal("the service could not keep the readings", error))
    }

    fn write(&self, body: Spool) -> io::Result<String> {
        let mut reader = body.into_reader();
        let mut file = tempfile::Builder::new().prefix(".input-").tempfile_in(&self.folder)?;
        let (mut hash, mut buffer) = (blake3::Hasher::new(), vec![0; 1 << 17]);
        loop {
            let read = reader.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            file.write_all(&buffer[..read])?;
        }
        let digest = hash.finalize().to_hex().to_string();
        let path = self.folder.join(&digest);
        if path.is_file() {
            // Its time begins anew, as if it had been written now.
            File::options().append(true).open(&path)?.set_modified(SystemTime::now())?;
            return Ok(digest);
        }
        file.as_file().sync_all()?;
        file.persist(&path)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(digest)
    }

    /// A body that was kept.
    ///
    /// # Errors
    /// 500 where it is gone.
    pub(crate) fn open(&self, digest: &str) -> Result<Spool, ApiError> {
        let file = File::open(self.folder.join(digest));
        file.map(Spool::File)
            .map_err(|error| ApiError::internal("the readings of the job are gone", error))
    }

    /// Enters bodies into the table, before what names them; tells the bytes of all but those that only a
    /// schedule keeps, which has limits of its own.
    pub(crate) fn enter(&self, tx: &Transaction<'_>, digests: &[String]) -> Result<u64, ApiError> {
        for digest in digests {
            let metadata = fs::metadata(self.folder.join(digest));
            let bytes = metadata
                .map_err(|error| ApiError::internal("the readings of the job are gone", error))?
                .len();
            tx.execute(
                "INSERT OR IGNORE INTO inputs (digest, bytes, created) VALUES (?1, ?2, ?3)",
                params![digest, bytes, now()],
            )?;
        }
        let sql = "SELECT coalesce(sum(bytes), 0) FROM inputs WHERE digest NOT IN \
                   (SELECT digest FROM slot_inputs) OR digest IN (SELECT digest FROM job_inputs)";
        Ok(tx.query_row(sql, [], |row| row.get(0))?)
    }

    /// Removes files without a row, but for the newest.
    pub(super) fn tidy(
        &self,
        connection: &Connection,
        strays: &mut Strays,
    ) -> Result<(), ApiError> {
        let failed = |error| ApiError::internal("inputs cannot be removed", error);
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let sql = "SELECT count(*) FROM inputs WHERE digest = ?1";
            let known: bool = connection.query_row(sql, [&name], |row| row.get(0))?;
            if !known && strays.may_go(&entry).map_err(failed)? {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Removes rows that no job needs with their files, and of these files those that have no row.
    pub(super) fn remove_unneeded(
        &self,
        tx: &Transaction<'_>,
        digests: &[String],
    ) -> Result<(), ApiError> {
        let sql = "DELETE FROM inputs WHERE NOT EXISTS \
                   (SELECT 1 FROM job_inputs WHERE job_inputs.digest = inputs.digest) \
                   AND NOT EXISTS \
                   (SELECT 1 FROM slot_inputs WHERE slot_inputs.digest = inputs.digest) \
                   RETURNING digest";
        let mut statement = tx.prepare(sql)?;
        let gone = statement.query_map([], |row| row.get(0))?;
        let mut gone: Vec<String> = gone.collect::<rusqlite::Result<_>>()?;
        for digest in digests {
            let sql = "SELECT count(*) FROM inputs WHERE digest = ?1";
            let known: bool = tx.query_row(sql, [digest], |row| row.get(0))?;
            if !known {
                gone.push(digest.clone());
            }
        }
        for digest in gone {
            // One that cannot be removed now is tidied up later.
            let _ = fs::remove_file(self.folder.join(digest));
        }
        Ok(())
    }
}
