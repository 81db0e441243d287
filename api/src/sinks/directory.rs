//! A folder of this machine: files appear whole or not at all, and nothing is ever written outside of it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use isopleth_engine::Cancel;
use isopleth_engine::export::Form;
use isopleth_engine::output::sync_directory;
use tempfile::Builder;

use super::error::Reason;
use super::forms::Target;
use super::settings::Directory;

/// Bytes copied between two looks whether to stop.
const AT_ONCE: u64 = 64 << 20;

/// Files written at the same time.
const AT_A_TIME: usize = 8;

/// How hidden files begin and end.
const HIDDEN: [&str; 2] = [".isopleth-", ".part"];

/// Folders that this process has looked through for what one that was killed left behind; forgotten when many.
static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
const MOST_SWEPT: usize = 10_000;

/// The folder of a sink, which is there.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    hard_link: bool,
}

impl Root {
    pub(super) fn open(settings: &Directory) -> Result<Self, Reason> {
        Self::at(&settings.path, settings.hard_link)
    }

    pub(super) fn at(path: &Path, hard_link: bool) -> Result<Self, Reason> {
        let path = path.to_owned();
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => Ok(Self { path, hard_link }),
            Ok(_) => Err(Reason::Io { path, source: io::ErrorKind::NotADirectory.into() }),
            Err(source) => Err(Reason::Io { path, source }),
        }
    }

    /// The path of a place. Folders on the way must be folders of the sink, not links out of it; with `make` they
    /// are made.
    pub(super) fn path(&self, place: &str, make: bool) -> Result<PathBuf, Reason> {
        let mut parts = Path::new(place).components().peekable();
        let mut path = self.path.clone();
        while let Some(part) = parts.next() {
            let Component::Normal(part) = part else {
                return Err(Reason::Name { name: place.to_owned(), why: "it leads upwards" });
            };
            let above = path.clone();
            path.push(part);
            if parts.peek().is_none() {
                break;
            }
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => {}
                Ok(found) if found.is_symlink() => return Err(Reason::Link { path }),
                Ok(_) => {
                    return Err(Reason::Io { path, source: io::ErrorKind::NotADirectory.into() });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && make => {
                    let made = match fs::create_dir(&path) {
                        // Another delivery made it meanwhile.
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                        made => made.and_then(|()| sync_directory(&above)),
                    };
                    made.map_err(Reason::io(&path))?;
                }
                Err(source) => return Err(Reason::Io { path, source }),
            }
        }
        Ok(path)
    }

    /// Puts bytes at a place by what fills a hidden file, which is then renamed.
    fn write(
        &self,
        place: &str,
        fill: impl FnOnce(&mut File) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let folder = self.write_in(place, fill)?;
        sync_directory(&folder).map_err(Reason::io(folder))
    }

    /// The same for many files, side by side: disks take longer to answer than to write. Which of them are there
    /// after a crash is not said, but those that are are whole.
    pub(super) fn write_all(
        &self,
        files: &[(String, Vec<u8>)],
        cancel: &Cancel,
    ) -> Result<(), Reason> {
        let put = |(place, bytes): &(String, Vec<u8>)| {
            if cancel.is_cancelled() {
                return Err(Reason::Cancelled);
            }
            self.write_in(place, |file| file.write_all(bytes).map_err(Reason::io(place)))
        };
        let folders: BTreeSet<PathBuf> = side_by_side(files, put)?.into_iter().collect();
        let folders: Vec<PathBuf> = folders.into_iter().collect();
        side_by_side(&folders, |folder| sync_directory(folder).map_err(Reason::io(folder)))
            .map(drop)
    }

    /// Puts bytes at a place, without making the new name durable; the folder in which it is.
    fn write_in(
        &self,
        place: &str,
        fill: impl FnOnce(&mut File) -> Result<(), Reason>,
    ) -> Result<PathBuf, Reason> {
        let path = self.path(place, true)?;
        let folder = path.parent().unwrap_or(&self.path);
        let mut builder = hidden_in(folder);
        // tempfile's default is for secrets; a map gets what any new file gets (less the umask).
        #[cfg(unix)]
        builder
            .permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
        let mut hidden = builder.tempfile_in(folder).map_err(Reason::io(folder))?;
        // Tells other processes that somebody still writes it.
        let _ = hidden.as_file().try_lock();
        fill(hidden.as_file_mut())?;
        hidden.as_file().sync_all().map_err(Reason::io(&path))?;
        hidden.persist(&path).map_err(|error| error.error).map_err(Reason::io(&path))?;
        Ok(folder.to_owned())
    }

    /// A further name of a file; false where the file system allows none.
    fn linked(&self, place: &str, file: &Path) -> Result<bool, Reason> {
        let path = self.path(place, true)?;
        let folder = path.parent().unwrap_or(&self.path);
        let builder = hidden_in(folder);
        let Ok(hidden) = builder.make_in(folder, |hidden| fs::hard_link(file, hidden)) else {
            return Ok(false);
        };
        // Of two names of one file, rename() does nothing: the hidden one is removed as it is dropped.
        if is_same(file, &path) {
            return Ok(true);
        }
        hidden.persist(&path).map_err(|error| error.error).map_err(Reason::io(&path))?;
        sync_directory(folder).map_err(Reason::io(folder)).map(|()| true)
    }
}

/// Some work on each, several at a time; the first that fails ends it.
fn side_by_side<T: Sync, R: Send>(
    all: &[T],
    work: impl Fn(&T) -> Result<R, Reason> + Sync,
) -> Result<Vec<R>, Reason> {
    if let [one] = all {
        return Ok(vec![work(one)?]);
    }
    let share = all.len().div_ceil(AT_A_TIME).max(1);
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = all
            .chunks(share)
            .map(|some| scope.spawn(move || some.iter().map(work).collect::<Result<Vec<R>, _>>()))
            .collect();
        let mut done = Vec::with_capacity(all.len());
        for thread in threads {
            let some = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done.extend(some?);
        }
        Ok(done)
    })
}

/// Hidden files in a folder, which is looked through for those that nobody writes any more.
fn hidden_in(folder: &Path) -> Builder<'static, 'static> {
    let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if swept.len() >= MOST_SWEPT {
        swept.clear();
    }
    if swept.insert(folder.to_owned()) {
        sweep(folder);
    }
    let mut builder = Builder::new();
    builder.prefix(HIDDEN[0]).suffix(HIDDEN[1]);
    builder
}

fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_hidden =
            name.to_str().is_some_and(|n| n.starts_with(HIDDEN[0]) && n.ends_with(HIDDEN[1]));
        // Whoever still writes it holds a lock. A link that is just being made may go, too: it is made again.
        let is_free = || match entry.file_type() {
            Ok(kind) if kind.is_symlink() => true,
            Ok(kind) if kind.is_file() => {
                File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok())
            }
            _ => false,
        };
        if is_hidden && is_free() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(unix)]
fn is_same(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |path| fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((identity(a), identity(b)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(not(unix))]
fn is_same(_: &Path, _: &Path) -> bool {
    false
}

impl Target for Root {
    fn has(&self, place: &str, bytes: u64) -> Result<bool, Reason> {
        match self.path(place, false) {
            Ok(path) => Ok(fs::symlink_metadata(path)
                .is_ok_and(|found| found.is_file() && found.len() == bytes)),
            Err(Reason::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(other) => Err(other),
        }
    }

    fn put(&self, place: &str, file: &Path, form: Form, cancel: &Cancel) -> Result<(), Reason> {
        if self.hard_link && form == Form::NetCdf && self.linked(place, file)? {
            return Ok(());
        }
        let from = File::open(file).map_err(Reason::io(file))?;
        let shown = self.path.join(place);
        self.write(place, |to| {
            // The system copies from file to file, or shares the blocks, where it can.
            loop {
                if cancel.is_cancelled() {
                    return Err(Reason::Cancelled);
                }
                let copied = io::copy(&mut io::Read::take(&from, AT_ONCE), to);
                if copied.map_err(Reason::io(&shown))? == 0 {
                    return to.flush().map_err(Reason::io(&shown));
                }
            }
        })
    }

    fn point(&self, latest: &str, place: &str, form: Form) -> Result<(), Reason> {
        let path = self.path(latest, true)?;
        if !cfg!(unix) {
            return self.put(latest, &self.path(place, false)?, form, &Cancel::default());
        }
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_symlink() => {
                let needed =
                    "it is no link and will not be replaced; remove it, or choose another name";
                let source = io::Error::new(io::ErrorKind::AlreadyExists, needed);
                return Err(Reason::Io { path, source });
            }
            _ => {}
        }
        let target = relative(latest, place);
        if fs::read_link(&path).is_ok_and(|now| now == target) {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&self.path);
        let builder = hidden_in(folder);
        let hidden = builder.make_in(folder, |hidden| symlink(&target, hidden));
        let hidden = hidden.map_err(Reason::io(&path))?;
        hidden.persist(&path).map_err(|error| error.error).map_err(Reason::io(&path))?;
        sync_directory(folder).map_err(Reason::io(folder))
    }

    fn remove(&self, place: &str) -> Result<(), Reason> {
        let path = match self.path(place, false) {
            Ok(path) => path,
            Err(Reason::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Reason::Io { path, source: error });
            }
            _ => {}
        }
        // Folders that are empty now go, too, up to the sink's.
        let mut folder = path.parent();
        while let Some(empty) = folder.filter(|folder| *folder != self.path) {
            if fs::remove_dir(empty).is_err() {
                break;
            }
            folder = empty.parent();
        }
        Ok(())
    }

    fn tell(&self, place: &str) -> String {
        self.path.join(place).display().to_string()
    }
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The way from one name to another, both below the same folder.
fn relative(from: &str, to: &str) -> PathBuf {
    let (mut from, mut to): (Vec<&str>, Vec<&str>) =
        (from.split('/').collect(), to.split('/').collect());
    while from.len() > 1 && to.len() > 1 && from[0] == to[0] {
        from.remove(0);
        to.remove(0);
    }
    from.iter().skip(1).map(|_| "..").chain(to).collect()
}
