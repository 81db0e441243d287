//! A watched folder: the hour's files by a template of their names.
//!
//! A file is there when it has its final name; whoever writes under that name is waited for with
//! `stable_seconds`. Folders and files are opened one name after the other, and no link is followed, so nothing
//! outside the folder is ever read, whoever else may write into it.

mod joined;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{Fetched, Hour, Known, Limits, SourceError};
use crate::template::Template;
use crate::wire::request::ReadRequest;

/// Files of a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectorySource {
    /// The folder. Nothing outside is read.
    pub path: PathBuf,
    /// Names of the hour's files in it, such as `{time:%Y%m%d%H}.csv`, with `/` for folders within; `*` in the last
    /// part of it is anything.
    pub files: String,
    /// Seconds for which a file must not have changed. 0: files come whole, by rename. Default 0.
    #[serde(default)]
    pub stable_seconds: u64,
    /// Where `*` means several files: `join` their rows, or take the `latest` by name. Default `join`.
    #[serde(default)]
    pub several: Several,
    /// Table of stations, for readings without places. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stations: Option<PathBuf>,
    /// `{variable: unit}`, carried through.
    #[serde(default)]
    pub units: BTreeMap<String, String>,
    /// How readings are to be understood.
    #[serde(default)]
    pub read: ReadRequest,
}

/// What several files of an hour are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Several {
    /// Parts: tables with the same first line.
    #[default]
    Join,
    /// Editions: the last by name counts.
    Latest,
}

/// Most files of an hour.
const MOST_FILES: usize = 1000;

/// A file that changed so shortly ago could change again without a trace in its times.
const TELLING: Duration = Duration::from_secs(2);

/// Endings of files that are still being written.
const TEMPORARY: [&str; 7] = [".tmp", ".temp", ".part", ".partial", ".filepart", ".swp", "~"];

/// A file of the hour, open.
#[derive(Debug)]
struct Found {
    path: PathBuf,
    file: File,
    stamp: Stamp,
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    number: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let about = file.metadata()?;
        Ok(Self {
            number: about.ino(),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        })
    }
}

/// What became of looking for files.
enum Looked {
    Files(Vec<Found>),
    NotYet(String),
}

impl DirectorySource {
    pub(super) fn check(&self, name: &str) -> Result<(), SourceError> {
        let template = self.template(name)?;
        let filled = template.fill(jiff::Timestamp::UNIX_EPOCH, &jiff::tz::TimeZone::UTC, &[]);
        self.parts(name, &filled)?;
        if !self.path.is_absolute() {
            let what = format!("path: {} must begin with /", self.path.display());
            return Err(SourceError::setting(name, what));
        }
        match std::fs::metadata(&self.path) {
            Ok(about) if !about.is_dir() => {
                let what = format!("path: {} is no folder", self.path.display());
                return Err(SourceError::setting(name, what));
            }
            Ok(_) => {
                tracing::info!(name, path = %self.path.display(), files = self.files, "source")
            }
            Err(error) => {
                tracing::warn!(name, path = %self.path.display(), %error, "folder of a source is not there yet");
            }
        }
        Ok(())
    }

    fn template(&self, name: &str) -> Result<Template, SourceError> {
        Template::parse(&self.files, &[]).map_err(|source| {
            let name = name.to_owned();
            SourceError::Template { name, setting: "files", source }
        })
    }

    /// The folders, and the name of the file.
    fn parts(&self, name: &str, filled: &str) -> Result<(Vec<String>, String), SourceError> {
        let plain = |part: Component<'_>| match part {
            Component::Normal(part) => part.to_str().map(str::to_owned),
            _ => None,
        };
        let parts: Option<Vec<String>> = Path::new(filled).components().map(plain).collect();
        let wrong = |why: &str| {
            let what = format!("files: `{filled}` (of `{}`) {why}", self.files);
            Err(SourceError::setting(name, what))
        };
        let Some(mut parts) = parts.filter(|_| !filled.ends_with('/')) else {
            return wrong("leads out of the folder; write names below it, without . and ..");
        };
        let Some(last) = parts.pop() else { return wrong("is no name") };
        if parts.iter().any(|part| part.contains('*')) {
            return wrong("has * in the name of a folder; only the file's name may have it");
        }
        Ok((parts, last))
    }

    pub(super) fn fetch(
        &self,
        hour: &Hour,
        known: Known<'_>,
        limits: &Limits<'_>,
    ) -> Result<Fetched, SourceError> {
        let filled = self.template(limits.name)?.fill(hour.start, &hour.zone, &[]);
        let mut files = match self.look(&filled, limits)? {
            Looked::Files(files) => files,
            Looked::NotYet(why) => return Ok(Fetched::NotYet(why)),
        };
        let now = SystemTime::now();
        if let Some(why) = files.iter().find_map(|file| self.too_early(file, now)) {
            return Ok(Fetched::NotYet(why));
        }
        let stamps = stamps(&files, now);
        let (last_digest, last_stamps) =
            known.mark.and_then(|m| m.split_once(' ')).unwrap_or_default();
        if stamps.as_deref().is_some_and(|stamps| stamps == last_stamps) {
            return Ok(Fetched::Unchanged);
        }
        let received = joined::receive(&mut files, limits)?;
        for file in &files {
            let same = Stamp::of(&file.file).is_ok_and(|stamp| stamp == file.stamp);
            if !same {
                let why = format!("{} changed while it was read", file.path.display());
                return Ok(Fetched::NotYet(why));
            }
        }
        if received.length == 0 {
            return Ok(Fetched::NotYet(format!("{} is empty", self.path.join(&filled).display())));
        }
        if received.digest == last_digest {
            return Ok(Fetched::Unchanged);
        }
        let mark = Some(format!("{} {}", received.digest, stamps.as_deref().unwrap_or("-")));
        Ok(Fetched::Readings { name: filled, body: received.body, gzip: false, mark })
    }

    /// Opens the files of the hour.
    fn look(&self, filled: &str, limits: &Limits<'_>) -> Result<Looked, SourceError> {
        let (folders, last) = self.parts(limits.name, filled)?;
        let mut path = self.path.clone();
        let mut folder = rustix::fs::open(&path, FOLDER, Mode::empty()).map_err(|error| {
            let what = format!("the folder {} cannot be opened: {error}", path.display());
            SourceError::passing(limits.name, what)
        })?;
        for part in folders {
            path.push(&part);
            let below = FOLDER | OFlags::NOFOLLOW;
            folder = match rustix::fs::openat(&folder, &part, below, Mode::empty()) {
                Ok(folder) => folder,
                Err(Errno::NOENT) => {
                    return Ok(Looked::NotYet(format!("no folder {}", path.display())));
                }
                Err(error) => return Err(not_opened(limits.name, &path, error)),
            };
        }
        if last.contains('*') {
            return self.several(&folder, &path, &last, limits.name);
        }
        let path = path.join(&last);
        Ok(match opened(&folder, &last, path, limits.name)? {
            Some(found) => Looked::Files(vec![found]),
            None => Looked::NotYet(format!("no file {}", self.path.join(filled).display())),
        })
    }

    fn several(
        &self,
        folder: &OwnedFd,
        path: &Path,
        pattern: &str,
        name: &str,
    ) -> Result<Looked, SourceError> {
        let unreadable = |error: Errno| not_opened(name, path, error);
        let mut names = Vec::new();
        for entry in Dir::read_from(folder.as_fd()).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let Ok(file) = entry.file_name().to_str() else { continue };
            if !is_temporary(file) && matches(pattern, file) {
                names.push(file.to_owned());
            }
        }
        names.sort_unstable();
        if self.several == Several::Latest {
            names = names.pop().into_iter().collect();
        }
        if names.len() > MOST_FILES {
            let what =
                format!("{} files are {pattern}; at most {MOST_FILES} are read", names.len());
            return Err(SourceError::lasting(name, what));
        }
        let files = names.iter().map(|file| opened(folder, file, path.join(file), name));
        // One that went meanwhile is not missed.
        let files = files.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?;
        Ok(match files.is_empty() {
            true => Looked::NotYet(format!("no file {}", path.join(pattern).display())),
            false => Looked::Files(files),
        })
    }

    /// Why a file is not to be read yet.
    fn too_early(&self, file: &Found, now: SystemTime) -> Option<String> {
        if self.stable_seconds == 0 {
            return None;
        }
        let path = file.path.display();
        let modified = file.file.metadata().and_then(|about| about.modified()).ok()?;
        match now.duration_since(modified) {
            Ok(age) if age.as_secs() >= self.stable_seconds => None,
            Ok(age) => Some(format!(
                "{path} changed {} s ago, and must be still for {} s",
                age.as_secs(),
                self.stable_seconds
            )),
            Err(_) => Some(format!("{path} was changed in the future; clocks differ")),
        }
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a file, and nothing else: no link, no pipe that would be waited for.
fn opened(
    folder: &OwnedFd,
    name: &str,
    path: PathBuf,
    source: &str,
) -> Result<Option<Found>, SourceError> {
    let how =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(folder, name, how, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(not_opened(source, &path, error)),
    };
    let unreadable = |error: io::Error| {
        SourceError::passing(source, format!("{} cannot be read: {error}", path.display()))
    };
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(SourceError::lasting(source, format!("{} is no file", path.display())));
    }
    let stamp = Stamp::of(&file).map_err(unreadable)?;
    Ok(Some(Found { path, file, stamp }))
}

fn not_opened(source: &str, path: &Path, error: Errno) -> SourceError {
    let path = path.display();
    match error {
        Errno::LOOP => SourceError::lasting(
            source,
            format!("{path} is a symbolic link, which is not followed"),
        ),
        Errno::NOTDIR => {
            SourceError::lasting(source, format!("{path} is no folder, or a symbolic link"))
        }
        error => SourceError::passing(source, format!("{path} cannot be opened: {error}")),
    }
}

/// What the files are now, unless they changed so shortly ago that this would not tell.
fn stamps(files: &[Found], now: SystemTime) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    for Found { path, stamp, .. } in files {
        let seconds = u64::try_from(stamp.changed.0).ok()?;
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        if now.duration_since(changed).is_ok_and(|age| age < TELLING) {
            return None;
        }
        hasher.update(format!("{path:?}{stamp:?}").as_bytes());
    }
    Some(hasher.finalize().to_hex().to_string())
}

fn is_temporary(name: &str) -> bool {
    name.starts_with(['.', '~', '#']) || TEMPORARY.iter().any(|end| name.ends_with(end))
}

/// Whether a name is what a pattern says, with `*` for anything.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(start) else { return false };
    let mut rest = rest;
    while let Some((middle, after)) = rest.split_once('*') {
        let Some(at) = left.find(middle) else { return false };
        (left, rest) = (&left[at + middle.len()..], after);
    }
    left.ends_with(rest)
}

#[cfg(test)]
mod tests;
