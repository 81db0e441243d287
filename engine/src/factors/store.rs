//! A folder of factors, and of what is kept beside them, within a limit of bytes, shared by any number of processes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use isopleth_kernels::{Factor, Points, Resolved, Shared};

use super::file::{self, Kind};
use super::{Keep, Key};

/// What a process that was killed has left is removed after so long.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

/// Factors on disk.
#[derive(Clone, Debug)]
pub struct FactorStore {
    directory: PathBuf,
    limit_bytes: u64,
}

/// A file of the store.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// When it was last used.
    pub used: SystemTime,
    /// What it is; none where it is nothing that this version can read.
    pub what: Option<String>,
}

impl FactorStore {
    /// A folder, made where it does not exist, that holds at most `limit_bytes`.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn open(directory: &Path, limit_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        Ok(Self { directory: directory.to_owned(), limit_bytes })
    }

    /// What the store holds, the latest used first.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for found in fs::read_dir(&self.directory)? {
            let path = found?.path();
            // Another process may have removed it since.
            let Ok(about) = fs::metadata(&path) else { continue };
            if Kind::of(&path).is_some() && about.is_file() {
                let what = file::Head::read(&path).map(|head| head.text);
                let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                entries.push(Entry { path, bytes: about.len(), used, what });
            }
        }
        entries.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.path.cmp(&b.path)));
        Ok(entries)
    }

    /// Removes everything that is kept, and the choices; says how many files that were, and their bytes.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub fn clear(&self) -> io::Result<(usize, u64)> {
        let entries = self.entries()?;
        entries.iter().try_for_each(|entry| remove(&entry.path))?;
        remove(&self.choices_file())?;
        Ok((entries.len(), entries.iter().map(|entry| entry.bytes).sum()))
    }

    /// Where choices of methods are kept.
    pub(crate) fn choices_file(&self) -> PathBuf {
        self.directory.join("choices.json")
    }

    /// A factor kept before. What is damaged, or not what its name says, is none.
    pub(super) fn get(&self, key: &Key, stations: &Points, method: &Resolved) -> Option<Factor> {
        self.take(Kind::Factor, key, |numbers| Factor::restore(stations, method, numbers))
    }

    /// Something else that was kept before, likewise.
    pub(super) fn get_kept<T: Keep>(&self, key: &Key) -> Option<T> {
        self.take(Kind::Variance, key, |numbers| {
            T::from_bytes(bytemuck::cast_slice((*numbers).as_ref()))
        })
    }

    fn take<T>(&self, kind: Kind, key: &Key, of: impl FnOnce(Shared) -> Option<T>) -> Option<T> {
        let path = self.path(kind, key);
        let file = File::open(&path).ok()?;
        let kept = file::map(&file, (kind, key)).and_then(of);
        match kept {
            // Its age counts from its last use.
            Some(_) => drop(file.set_modified(SystemTime::now())),
            None => drop(remove(&path)),
        }
        kept
    }

    /// Keeps a factor, unless it is larger than all may be together.
    pub(super) fn put(&self, key: &Key, factor: &Factor) -> io::Result<()> {
        let (n, method) = (factor.stations().len(), factor.method());
        let text = format!("factorisation of {n} stations, {}", words(method));
        let numbers = Factor::saved_numbers(n, factor.terms());
        self.write((Kind::Factor, key), (numbers, text), |parts| {
            factor.save(|part| parts(bytemuck::cast_slice(part)))
        })
    }

    /// Keeps something else likewise.
    pub(super) fn put_kept<T: Keep>(&self, key: &Key, kept: &T, text: &str) -> io::Result<()> {
        let bytes = kept.to_bytes();
        self.write((Kind::Variance, key), (bytes.len() / 8, text.to_owned()), |parts| parts(&bytes))
    }

    fn write(
        &self,
        (kind, key): (Kind, &Key),
        (numbers, text): (usize, String),
        save: impl FnOnce(&mut file::Parts<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let bytes = file::bytes(numbers);
        if bytes > self.limit_bytes {
            return Ok(());
        }
        self.make_room(bytes)?;
        let temporary =
            tempfile::Builder::new().prefix(".").suffix(".part").tempfile_in(&self.directory)?;
        // Not synced: a file torn by a crash fails its checksum and is made anew.
        file::write(temporary.as_file(), (kind, key), text, save)?;
        temporary.persist(self.path(kind, key)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes what was used longest ago until `bytes` more fit, and what was left half-written.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let entries = self.entries()?;
        let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
        for entry in entries.iter().rev() {
            if total + bytes <= self.limit_bytes {
                break;
            }
            remove(&entry.path)?;
            total -= entry.bytes;
        }
        for found in fs::read_dir(&self.directory)? {
            let path = found?.path();
            let old = fs::metadata(&path)
                .and_then(|about| about.modified())
                .is_ok_and(|when| when.elapsed().is_ok_and(|age| age > LEFT_BEHIND));
            if old && path.extension().is_some_and(|e| e == "part") {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn path(&self, kind: Kind, key: &Key) -> PathBuf {
        self.directory.join(key.hex()).with_extension(kind.extension())
    }
}

/// A method, for people.
pub(crate) fn words(method: &Resolved) -> String {
    let Resolved { kernel, epsilon, degree, metric, .. } = method;
    format!("{kernel}, epsilon {epsilon}, degree {degree}, {metric}")
}

/// Removes a file that another process may have removed already.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use isopleth_kernels::{Kernel, Par};

    use super::super::tests::{method, network};
    use super::super::{FactorCache, Origin};
    use super::*;
    use crate::progress::Cancel;

    /// The origin of a factor in a process that has just begun.
    fn origin(directory: &Path, limit: u64, stations: &Points, kernel: Kernel) -> Origin {
        let store = FactorStore::open(directory, limit).unwrap();
        let cache = FactorCache::new(0, Some(store));
        let method = method(kernel, stations);
        let obtained = cache.obtain(stations, &method, Par::Seq, &Cancel::default()).unwrap();
        assert_eq!(obtained.warning, None);
        obtained.origin
    }

    fn files(directory: &Path) -> Vec<PathBuf> {
        fs::read_dir(directory).unwrap().map(|f| f.unwrap().path()).collect()
    }

    #[test]
    fn a_factor_is_warm_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let stations = network(60);
        let origin = || origin(directory.path(), 1 << 30, &stations, Kernel::Linear);
        assert_eq!([origin(), origin()], [Origin::Computed, Origin::Disk]);
        let store = FactorStore::open(directory.path(), 1 << 30).unwrap();
        let entries = store.entries().unwrap();
        let what = "factorisation of 60 stations, linear, epsilon 1, degree 0, planar";
        assert_eq!(entries[0].what.as_deref(), Some(what));
        assert_eq!(store.clear().unwrap(), (1, entries[0].bytes));
        assert_eq!(origin(), Origin::Computed);
    }

    /// Every kind of damage, in each part of the file: found out, removed, made anew.
    #[test]
    fn a_file_that_is_not_what_it_was_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let stations = network(60);
        let origin = || origin(directory.path(), 1 << 30, &stations, Kernel::Linear);
        origin();
        let path = files(directory.path()).remove(0);
        let sound = fs::read(&path).unwrap();
        let flip = |at: usize| {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x40;
            bytes
        };
        let mut grown = sound.clone();
        grown.extend_from_slice(&[0; 8]);
        let damaged = [
            flip(0),                           // foreign
            flip(8),                           // of the future
            flip(12),                          // of another machine
            flip(20),                          // of another network
            flip(50),                          // of another size
            flip(60),                          // checksum
            flip(512),                         // first number
            flip(sound.len() / 2),             // a number
            flip(sound.len() - 1),             // last number
            sound[..sound.len() - 8].to_vec(), // cut off
            sound[..sound.len() - 3].to_vec(), // cut off within a number
            sound[..100].to_vec(),
            Vec::new(),
            grown,
        ];
        for (case, bytes) in damaged.iter().enumerate() {
            fs::write(&path, bytes).unwrap();
            assert_eq!([origin(), origin()], [Origin::Computed, Origin::Disk], "case {case}");
            assert_eq!(fs::read(&path).unwrap(), sound, "case {case}");
        }
    }

    #[test]
    fn the_limit_of_bytes_is_kept_and_the_latest_used_stay() {
        let directory = tempfile::tempdir().unwrap();
        let stations = network(60);
        let [a, b, c] = [Kernel::Linear, Kernel::Cubic, Kernel::ThinPlateSpline];
        // Two of about 31 kB each.
        let origin = |kernel| {
            // File systems tell times apart by milliseconds.
            std::thread::sleep(Duration::from_millis(20));
            origin(directory.path(), 70_000, &stations, kernel)
        };
        use Origin::{Computed, Disk};
        let origins = [a, b, a, c, a, b].map(origin);
        assert_eq!(origins, [Computed, Computed, Disk, Computed, Disk, Computed]);
        let bytes: u64 =
            files(directory.path()).iter().map(|f| fs::metadata(f).unwrap().len()).sum();
        assert!(bytes <= 70_000, "{bytes}");
        let tiny = FactorStore::open(directory.path(), 100).unwrap();
        let factor = Factor::new(&stations, &method(a, &stations), Par::Seq).unwrap();
        let key = Key::new(&stations, factor.method());
        tiny.put(&key, &factor).unwrap();
    }

    #[test]
    fn a_store_that_cannot_be_written_costs_a_warning_and_no_map() {
        let directory = tempfile::tempdir().unwrap();
        let store = FactorStore::open(&directory.path().join("gone"), 1 << 30).unwrap();
        fs::remove_dir(directory.path().join("gone")).unwrap();
        let cache = FactorCache::new(0, Some(store));
        let stations = network(30);
        let method = method(Kernel::Linear, &stations);
        let obtained = cache.obtain(&stations, &method, Par::Seq, &Cancel::default()).unwrap();
        assert_eq!(obtained.origin, Origin::Computed);
        assert!(obtained.warning.unwrap().contains("could not be kept"));
    }

    /// Two processes that write the same factor at once leave one whole file.
    #[test]
    fn writers_at_the_same_time_do_not_disturb_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let stations = network(60);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| origin(directory.path(), 1 << 30, &stations, Kernel::Linear));
            }
        });
        assert_eq!(files(directory.path()).len(), 1);
        assert_eq!(origin(directory.path(), 1 << 30, &stations, Kernel::Linear), Origin::Disk);
    }
}
