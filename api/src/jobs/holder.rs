//! A process's name and the lock by which others know that it lives.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// This process. The system gives the lock back when the process ends, however it does.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) name: String,
    path: PathBuf,
    _lock: File,
}

impl Holder {
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let lock = tempfile::Builder::new().prefix("holder-").rand_bytes(16).tempfile_in(folder)?;
        lock.as_file().try_lock()?;
        let name = lock.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (file, path) = lock.keep().map_err(|error| error.error)?;
        Ok(Self { name, path, _lock: file })
    }

    /// Whether a process of that name lives.
    pub(super) fn lives(&self, name: &str) -> bool {
        if name == self.name {
            return true;
        }
        let path = self.path.with_file_name(name);
        // Names come from our own table; a path of several parts is none of ours.
        if Path::new(name).components().count() != 1 {
            return false;
        }
        match File::open(&path).map(|file| file.try_lock()) {
            Ok(Ok(())) | Err(_) => false,
            Ok(Err(_)) => true,
        }
    }

    /// Removes the locks of processes that ended.
    pub(super) fn tidy(&self) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !self.lives(&name) {
                fs::remove_file(folder.join(name))?;
            }
        }
        Ok(())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_as_long_as_it_holds_its_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = Holder::new(folder.path()).expect("a holder");
        let two = Holder::new(folder.path()).expect("another");
        assert!(one.lives(&two.name) && two.lives(&one.name) && one.lives(&one.name));
        let name = two.name.clone();
        drop(two);
        assert!(!one.lives(&name));
        // One that was killed leaves its file.
        fs::write(folder.path().join("holder-dead"), "").expect("a file");
        assert!(!one.lives("holder-dead") && !one.lives("../holder-dead"));
        one.tidy().expect("tidied");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }
}
