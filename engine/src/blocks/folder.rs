//! The folder itself: its lock, files that appear whole, what may be removed.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::error::WorkError;
use super::part::part_path;
use super::record::Record;
use crate::error::Error;
use crate::output::sync_directory;

const LOCK: &str = "lock";
pub(super) const JOB: &str = "job.json";
pub(super) const METHODS: &str = "methods.json";

/// What a file is called until it is whole.
const TEMPORARY: &str = ".isopleth-";

/// Makes the folder if need be, and takes its lock, which the system gives back when the process ends,
/// however it does.
pub(super) fn lock(folder: &Path) -> Result<File, Error> {
    fs::create_dir_all(folder).map_err(|error| fail("create", folder, error))?;
    let path = folder.join(LOCK);
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|error| fail("create", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(WorkError::InUse { folder: folder.to_owned() }.into()),
        Err(TryLockError::Error(error)) => Err(fail("lock", &path, error)),
    }
}

/// Before work is begun there must be nothing but what an attempt to begin leaves.
pub(super) fn must_be_empty(folder: &Path) -> Result<(), Error> {
    for name in names(folder)? {
        if name != LOCK && !name.starts_with(TEMPORARY) {
            return Err(WorkError::NotOurs { folder: folder.to_owned(), found: name }.into());
        }
    }
    Ok(())
}

/// Removes what was being written by processes that died.
pub(super) fn remove_temporary(folder: &Path) -> Result<(), Error> {
    for name in names(folder)?.into_iter().filter(|name| name.starts_with(TEMPORARY)) {
        remove_file(&folder.join(name))?;
    }
    Ok(())
}

/// Removes the work; the folder stays where somebody else's files are in it.
pub(super) fn remove(folder: &Path, blocks: usize) -> Result<(), Error> {
    // The job last: what is left of an interrupted removal is work to go on with.
    for block in 0..blocks {
        remove_file(&Record::path(folder, block))?;
        remove_file(&part_path(folder, block))?;
    }
    remove_temporary(folder)?;
    for name in [METHODS, JOB, LOCK] {
        remove_file(&folder.join(name))?;
    }
    if names(folder)?.is_empty() {
        fs::remove_dir(folder).map_err(|error| fail("remove", folder, error))?;
    }
    Ok(())
}

/// Removes a file that need not be there.
pub(super) fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fail("remove", path, error)),
        _ => Ok(()),
    }
}

/// A hidden file of the folder.
pub(super) fn temporary(folder: &Path) -> Result<NamedTempFile, Error> {
    let made = tempfile::Builder::new().prefix(TEMPORARY).suffix(".part").tempfile_in(folder);
    made.map_err(|error| {
        // tempfile puts its own path into the text.
        fail("write in", folder, error.raw_os_error().map_or(error, io::Error::from_raw_os_error))
    })
}

/// Writes a small file, unless it is there: then nothing is done.
pub(super) fn put_if_absent(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = temporary(folder)?;
    let write = file.write_all(bytes).and_then(|()| file.as_file().sync_all());
    write.map_err(|error| fail("write", path, error))?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(fail("write", path, error.error));
        }
        _ => {}
    }
    sync_directory(folder).map_err(|error| fail("write", path, error))
}

/// A small file, if there is one.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fail("read", path, error)),
    }
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let all = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let all = all.map_err(|error| fail("read", folder, error))?;
    Ok(all.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

pub(super) fn fail(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io { action, path: PathBuf::from(path), source }
}
