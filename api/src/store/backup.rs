//! A copy of all that the service remembers, while it goes on working.
//!
//! SQLite's own backup gives the database as it was at one moment; then the files that its rows refer to are copied. A
//! file that was removed meanwhile (its time was over) makes the copy begin again with the database: what is in the end
//! in the copy fits together. Files never change once they have their name, so that those copied before stay good.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use serde::Serialize;
use tempfile::TempDir;

use super::inspect::{self, Referred};
use super::{FILE, StoreError};

/// Rounds in which files may go away; after that, or when one is gone twice, it is told as lost.
const ROUNDS: usize = 10;
/// How often, and how long after one another, a database that is being written is tried.
const TRIES: usize = 200;
const PAUSE: Duration = Duration::from_millis(50);
/// What a copy says of itself.
const ABOUT: &str = "backup.json";
/// Folders that are worth nothing to another process: blocks of jobs under way, locks.
const OF_PROCESSES: [&str; 2] = ["work", "holders"];

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Version of the program that made the copy.
    pub version: String,
    /// Version of the database's schema.
    pub schema: i64,
    /// Files beside the database.
    pub files: usize,
    /// Bytes of all, the database included.
    pub bytes: u64,
    /// Files that the database refers to, and that are not there.
    pub lost: Vec<String>,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to copy.
    #[error("there is no database in {}", .0.display())]
    Nothing(PathBuf),
    /// The copy would be mixed with something else.
    #[error("{} is not empty; name a folder that is new", .0.display())]
    Taken(PathBuf),
    /// The original is damaged, and a copy would hide it.
    #[error("the database is damaged: {0}; `isopleth doctor` tells more")]
    Damaged(String),
    /// A file is not what its row says.
    #[error("{} is damaged: its bytes are not those that were written", .0.display())]
    Changed(PathBuf),
    /// Somebody writes without a pause.
    #[error("the database was written all the time; try again")]
    Busy,
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A disk says no.
    #[error("cannot copy {}: {source}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl From<rusqlite::Error> for BackupError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Copies the data of a folder into another, which is new or empty; it appears there whole or not at all. Processes may
/// work on the data meanwhile. The schema is left as it is.
///
/// # Errors
/// [`BackupError`].
pub fn back_up(data: &Path, target: &Path) -> Result<Copied, BackupError> {
    if !data.join(FILE).is_file() {
        return Err(BackupError::Nothing(data.to_owned()));
    }
    if target.exists() && entries(target)?.next().is_some() {
        return Err(BackupError::Taken(target.to_owned()));
    }
    let parent = match target.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Err(BackupError::Taken(target.to_owned())),
    };
    fs::create_dir_all(parent).map_err(at(parent))?;
    let partial = TempDir::with_prefix_in(".isopleth-backup-", parent).map_err(at(parent))?;
    let copied = copy(data, partial.path())?;
    let text = serde_json::to_vec_pretty(&copied).unwrap_or_default();
    let about = partial.path().join(ABOUT);
    fs::write(&about, text).map_err(at(&about))?;
    for folder in entries(partial.path())?.filter(|path| path.is_dir()) {
        sync(&folder)?;
    }
    sync(partial.path())?;
    fs::rename(partial.path(), target).map_err(at(target))?;
    // It has another name now.
    let _ = partial.keep();
    sync(parent)?;
    Ok(copied)
}

fn copy(data: &Path, partial: &Path) -> Result<Copied, BackupError> {
    let (mut there, mut lost) = (HashSet::new(), Vec::new());
    let mut connection = snapshot(data, partial)?;
    for _ in 0..ROUNDS {
        let referred = inspect::referred(&connection)?;
        let mut gone = Vec::new();
        for file in &referred {
            if !there.contains(&file.path) {
                if copy_file(data, partial, file)? {
                    there.insert(file.path.clone());
                } else {
                    gone.push(file.path.display().to_string());
                }
            }
        }
        remove_others(partial, &mut there, &referred)?;
        let is_settled = gone == lost;
        lost = gone;
        if is_settled {
            break;
        }
        drop(connection);
        connection = snapshot(data, partial)?;
    }
    if let Some(damage) = inspect::damage(&connection)?.into_iter().next() {
        return Err(BackupError::Damaged(damage));
    }
    let schema = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    drop(connection);
    copy_the_rest(data, partial, &mut there)?;
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |about| about.len());
    let of_files: u64 = there.iter().map(|path| bytes(&partial.join(path))).sum();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let bytes = of_files + bytes(&partial.join(FILE));
    Ok(Copied { version, schema, files: there.len(), bytes, lost })
}

/// The database as it is at one moment.
fn snapshot(data: &Path, partial: &Path) -> Result<Connection, BackupError> {
    let path = partial.join(FILE);
    for name in [FILE.to_owned(), format!("{FILE}-wal"), format!("{FILE}-shm")] {
        match fs::remove_file(partial.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(BackupError::Io { path, source: error });
            }
            _ => (),
        }
    }
    let source = inspect::open(data)?;
    let mut copy = Connection::open(&path)?;
    {
        let backup = Backup::new(&source, &mut copy)?;
        let mut tries = 0;
        // All pages in one step: another process that writes between two would make it begin again.
        while backup.step(-1)? != StepResult::Done {
            tries += 1;
            if tries > TRIES {
                return Err(BackupError::Busy);
            }
            std::thread::sleep(PAUSE);
        }
    }
    // One file, so that it can be copied on as such; the service changes it back when it opens it.
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    Ok(copy)
}

/// Whether there was a file to copy.
fn copy_file(data: &Path, partial: &Path, file: &Referred) -> Result<bool, BackupError> {
    let (from, to) = (data.join(&file.path), partial.join(&file.path));
    let Some(digest) = copy_bytes(&from, &to)? else { return Ok(false) };
    if digest != file.digest {
        return Err(BackupError::Changed(from));
    }
    Ok(true)
}

/// BLAKE3 of what was copied and is on the disk; none where there is no such file.
fn copy_bytes(from: &Path, to: &Path) -> Result<Option<String>, BackupError> {
    let mut source = match File::open(from) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(from)(error)),
    };
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(at(folder))?;
    }
    let mut target = File::create(to).map_err(at(to))?;
    let (mut hash, mut buffer) = (blake3::Hasher::new(), vec![0; 1 << 17]);
    loop {
        let read = source.read(&mut buffer).map_err(at(from))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        target.write_all(&buffer[..read]).map_err(at(to))?;
    }
    target.sync_all().map_err(at(to))?;
    Ok(Some(hash.finalize().to_hex().to_string()))
}

/// Files of an earlier round that the database no longer refers to.
fn remove_others(
    partial: &Path,
    there: &mut HashSet<PathBuf>,
    referred: &[Referred],
) -> Result<(), BackupError> {
    let wanted: HashSet<&PathBuf> = referred.iter().map(|file| &file.path).collect();
    let others: Vec<PathBuf> =
        there.iter().filter(|path| !wanted.contains(path)).cloned().collect();
    for path in others {
        fs::remove_file(partial.join(&path)).map_err(at(&path))?;
        there.remove(&path);
    }
    Ok(())
}

/// Folders whose files no row names, such as days of the account; what is being written has a name that begins with a dot.
fn copy_the_rest(
    data: &Path,
    partial: &Path,
    there: &mut HashSet<PathBuf>,
) -> Result<(), BackupError> {
    let named = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let known = |name: &str| OF_PROCESSES.contains(&name) || ["inputs", "maps"].contains(&name);
    let mut waiting: Vec<PathBuf> =
        entries(data)?.filter(|path| path.is_dir() && !known(&named(path))).collect();
    while let Some(path) = waiting.pop() {
        if named(&path).starts_with('.') {
            continue;
        }
        if path.is_dir() {
            waiting.extend(entries(&path)?);
            continue;
        }
        let Ok(below) = path.strip_prefix(data) else { continue };
        if path.is_file() && copy_bytes(&path, &partial.join(below))?.is_some() {
            there.insert(below.to_owned());
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<impl Iterator<Item = PathBuf>, BackupError> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    Ok(paths.map_err(at(folder))?.into_iter())
}

fn sync(folder: &Path) -> Result<(), BackupError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    |source| BackupError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn data() -> (TempDir, Store) {
        let folder = TempDir::new().expect("a folder");
        let store = Store::open(Some(folder.path())).expect("a database");
        for name in ["inputs", "maps", "work", "usage/dt=2026-01-01"] {
            fs::create_dir_all(folder.path().join(name)).expect("a folder");
        }
        (folder, store)
    }

    fn input(folder: &Path, store: &Store, text: &str) -> String {
        let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
        fs::write(folder.join("inputs").join(&digest), text).expect("a file");
        let row = store.write(|tx| {
            tx.execute("INSERT INTO inputs (digest, bytes, created) VALUES (?1, 1, 1)", [&digest])
        });
        row.map_err(|error: rusqlite::Error| error).expect("a row");
        digest
    }

    #[test]
    fn a_copy_has_the_files_of_its_rows_and_nothing_of_processes() {
        let (folder, store) = data();
        let digest = input(folder.path(), &store, "a,b\n1,2\n");
        fs::write(folder.path().join("inputs/.input-x"), "half").expect("a file");
        fs::write(folder.path().join("work/block"), "half").expect("a file");
        fs::write(folder.path().join("usage/dt=2026-01-01/day.parquet"), "day").expect("a file");
        let target = folder.path().join("copy");
        let copied = back_up(folder.path(), &target).expect("a copy");
        assert_eq!((copied.files, copied.lost.len()), (2, 0), "{copied:?}");
        let text = fs::read_to_string(target.join("inputs").join(&digest)).expect("the input");
        assert_eq!(text, "a,b\n1,2\n");
        assert!(target.join("usage/dt=2026-01-01/day.parquet").is_file());
        assert!(!target.join("work").exists() && !target.join("inputs/.input-x").exists());
        let seen = inspect::inspect(&target).expect("a database").expect("one");
        assert_eq!((seen.files, seen.lost.len(), seen.damage.len()), (1, 0, 0));
        // A folder that is not empty is left alone.
        assert!(matches!(back_up(folder.path(), &target), Err(BackupError::Taken(_))));
    }

    #[test]
    fn a_file_that_is_lost_is_told_and_one_that_is_damaged_refused() {
        let (folder, store) = data();
        let lost = input(folder.path(), &store, "lost");
        fs::remove_file(folder.path().join("inputs").join(&lost)).expect("it was there");
        let copied = back_up(folder.path(), &folder.path().join("one")).expect("a copy");
        assert_eq!(copied.lost, [format!("inputs/{lost}")]);
        let changed = input(folder.path(), &store, "right");
        fs::write(folder.path().join("inputs").join(changed), "wrong").expect("it is there");
        let two = folder.path().join("two");
        assert!(matches!(back_up(folder.path(), &two), Err(BackupError::Changed(_))));
        assert!(!two.exists(), "whole or not at all");
    }

    #[test]
    fn without_a_database_there_is_nothing_to_copy() {
        let folder = TempDir::new().expect("a folder");
        let target = folder.path().join("copy");
        assert!(matches!(back_up(folder.path(), &target), Err(BackupError::Nothing(_))));
    }
}
