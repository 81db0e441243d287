//! A file that appears whole or not at all: written beside its place, synced, renamed.

use std::fs::{self, File, Permissions};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::Error;

/// A hidden file in the directory of its target. Dropped without [`AtomicFile::commit`], it is
/// removed and the target is as it was.
#[derive(Debug)]
pub struct AtomicFile {
    temporary: NamedTempFile,
    target: PathBuf,
}

impl AtomicFile {
    /// Makes the hidden file, so that an output that cannot be written is known before computing.
    ///
    /// A target that is a symbolic link stays one: what it points to is replaced.
    ///
    /// # Errors
    /// If the target exists and is no ordinary file, or its directory cannot be written to.
    pub fn create(target: &Path) -> Result<Self, Error> {
        Self::create_with(target, None)
    }

    /// The same, where a process that was killed may have left the hidden file of the same job: it is
    /// replaced. Of two at once with the same name, one fails.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_again(target: &Path, job: &str) -> Result<Self, Error> {
        Self::create_with(target, Some(job))
    }

    fn create_with(target: &Path, job: Option<&str>) -> Result<Self, Error> {
        let fail = |source| Error::Io { action: "write", path: target.to_owned(), source };
        let place = real_place(target).map_err(fail)?;
        let directory = place.parent().ok_or_else(|| fail(io::ErrorKind::IsADirectory.into()))?;
        let mut builder = tempfile::Builder::new();
        let prefix = job.map_or_else(|| ".isopleth-".to_owned(), |job| format!(".isopleth-{job}"));
        builder.prefix(&prefix).suffix(".part");
        if job.is_some() {
            builder.rand_bytes(0);
            match fs::remove_file(directory.join(format!("{prefix}.part"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
                _ => {}
            }
        }
        // tempfile's default is for secrets; a map gets what any new file gets (less the umask).
        #[cfg(unix)]
        builder.permissions(<Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
        let temporary = builder.tempfile_in(directory).map_err(|error| {
            // tempfile puts its own path into the text; the user's path is said already.
            fail(error.raw_os_error().map_or(error, io::Error::from_raw_os_error))
        })?;
        Ok(Self { temporary, target: place })
    }

    /// The hidden file's path (absolute).
    #[must_use]
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// The hidden file.
    #[must_use]
    pub fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// Syncs the hidden file and puts it in its place.
    ///
    /// # Errors
    /// If the system cannot do so; then nothing is left behind.
    pub fn commit(self) -> Result<(), Error> {
        let Self { temporary, target } = self;
        let put = || {
            temporary.as_file().sync_all()?;
            temporary.persist(&target).map_err(|error| error.error)?;
            sync_directory(target.parent().unwrap_or(Path::new(".")))
        };
        put().map_err(|source| Error::Io { action: "write", path: target.clone(), source })
    }
}

/// The absolute path behind links, or why nothing can be put there.
fn real_place(target: &Path) -> io::Result<PathBuf> {
    let other = |text: &str| io::Error::new(io::ErrorKind::InvalidInput, text.to_owned());
    match fs::metadata(target) {
        Ok(found) if found.is_file() => fs::canonicalize(target),
        Ok(found) if found.is_dir() => Err(other("it is a directory; name a file in it")),
        Ok(_) => Err(other("it is a device or a pipe, and the file must be renamed into place")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if target.file_name().is_none() || ends_with_separator(target) {
                return Err(other("it names no file"));
            }
            let absolute = std::path::absolute(target)?;
            match absolute.parent() {
                Some(directory) if !directory.is_dir() => Err(other(
                    "its directory does not exist; create it, or name a file in one that does",
                )),
                _ => Ok(absolute),
            }
        }
        Err(error) => Err(error),
    }
}

fn ends_with_separator(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|&b| std::path::is_separator(b.into()))
}

/// Makes the new name itself durable. Some network file systems have no such call: they say so.
///
/// # Errors
/// The system's.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(directory)?.sync_all() {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
        {
            Ok(())
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn dropped_it_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("map.nc");
        fs::write(&target, "old").unwrap();
        let file = AtomicFile::create(&target).unwrap();
        file.file().write_all(b"half").unwrap();
        assert_eq!(names(directory.path()).len(), 2);
        drop(file);
        assert_eq!(names(directory.path()), ["map.nc"]);
        assert_eq!(fs::read(&target).unwrap(), b"old");
    }

    #[test]
    fn committed_it_replaces_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("map.nc");
        fs::write(&target, "old").unwrap();
        let file = AtomicFile::create(&target).unwrap();
        file.file().write_all(b"new").unwrap();
        file.commit().unwrap();
        assert_eq!(names(directory.path()), ["map.nc"]);
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }

    #[cfg(unix)]
    #[test]
    fn it_is_readable_by_whom_any_new_file_is() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let mode =
            |name: &str| fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
        fs::write(directory.path().join("plain"), "").unwrap();
        AtomicFile::create(&directory.path().join("map.nc")).unwrap().commit().unwrap();
        assert_eq!(mode("map.nc"), mode("plain"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real.nc"), directory.path().join("latest.nc"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let file = AtomicFile::create(&link).unwrap();
        file.file().write_all(b"new").unwrap();
        file.commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"new");
    }

    #[test]
    fn what_cannot_be_written_is_told_with_its_path_before_anything_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("no/such/map.nc");
        for (target, told) in [
            (directory.path(), "it is a directory"),
            (missing.as_path(), "its directory does not exist"),
            (Path::new("/dev/null"), "it is a device"),
        ] {
            let text = AtomicFile::create(target).unwrap_err().to_string();
            assert!(text.contains(told) && text.contains(target.to_str().unwrap()), "{text}");
        }
        assert!(names(directory.path()).is_empty());
    }
}
