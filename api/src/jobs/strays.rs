//! Files that nobody knows, and when they may go.

use std::collections::HashSet;
use std::fs::DirEntry;
use std::path::PathBuf;
use std::time::Duration;

/// What was changed within this time is left alone: it may be about to get its row.
const GRACE: Duration = Duration::from_secs(3600);

/// What was unknown at the looks of the keeper.
///
/// A file goes when it is old and was unknown at the look before, too. Its age alone will not do: the clock that made it may be
/// another's (a file server's), or have been set meanwhile.
#[derive(Debug, Default)]
pub(super) struct Strays {
    before: HashSet<PathBuf>,
    now: HashSet<PathBuf>,
}

impl Strays {
    /// A new look begins.
    pub(super) fn look(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }

    /// Notes that nobody knows a file; whether it may go.
    ///
    /// # Errors
    /// Its age cannot be read.
    pub(super) fn may_go(&mut self, entry: &DirEntry) -> std::io::Result<bool> {
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        let path = entry.path();
        let was_unknown = self.before.contains(&path);
        self.now.insert(path);
        Ok(age >= GRACE && was_unknown)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_file_goes_when_it_is_old_and_unknown_twice_in_a_row() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("map.nc");
        let file = File::create(&path).expect("a file");
        let entry = || {
            std::fs::read_dir(folder.path()).expect("a folder").next().expect("one").expect("it")
        };
        let mut strays = Strays::default();
        let mut unknown = |is_unknown: bool| {
            strays.look();
            is_unknown && strays.may_go(&entry()).expect("an age")
        };
        assert!(!unknown(true) && !unknown(true), "it is new");
        file.set_modified(SystemTime::now() - 2 * GRACE).expect("a time");
        assert!(unknown(true));
        assert!(!unknown(false), "it has its row");
        assert!(!unknown(true), "it was known at the look before");
        assert!(unknown(true));
    }
}
