//! Where a Zarr store's documents and chunks are: a folder, or a bucket. Each appears whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use isopleth_engine::Cancel;
use object_store::{Error, ObjectStoreExt as _};

use super::super::directory::Root;
use super::super::error::Reason;
use super::super::forms::Target;
use super::super::object::Objects;
use super::super::settings::Zarr;

/// How often a lock is tried.
const LOOK: Duration = Duration::from_millis(20);

/// Objects on their way at the same time.
const AT_ONCE: usize = 8;

/// A key and what is to be there.
pub(super) type Entry = (String, Vec<u8>);

/// Keys and bytes.
#[derive(Debug)]
pub(super) enum Shelf {
    Folder(Root),
    Bucket(Box<Objects>),
}

impl Shelf {
    pub(super) fn open(settings: &Zarr) -> Result<Self, Reason> {
        match (&settings.path, &settings.bucket) {
            (_, Some(bucket)) => Ok(Self::Bucket(Box::new(Objects::open(bucket)?))),
            (path, None) => {
                Ok(Self::Folder(Root::at(path.as_deref().unwrap_or("".as_ref()), false)?))
            }
        }
    }

    /// Waits until no other process changes the store; it may once the file is closed. A bucket has no locks.
    pub(super) fn lock(&self, store: &str, cancel: &Cancel) -> Result<Option<File>, Reason> {
        let Self::Folder(root) = self else { return Ok(None) };
        let path = root.path(store, true)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let path = path.with_file_name(format!(".{name}.lock"));
        let options = File::options().create(true).truncate(false).write(true).open(&path);
        let file = options.map_err(Reason::io(&path))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::WouldBlock) if cancel.is_cancelled() => {
                    return Err(Reason::Cancelled);
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
                Err(TryLockError::Error(source)) => return Err(Reason::Io { path, source }),
            }
        }
    }

    /// What is at a key.
    pub(super) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Reason> {
        match self {
            Self::Folder(root) => {
                let path = match root.path(key, false) {
                    Err(Reason::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                        return Ok(None);
                    }
                    path => path?,
                };
                match fs::read(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    read => read.map(Some).map_err(Reason::io(path)),
                }
            }
            Self::Bucket(objects) => objects.wait(&Cancel::default(), async {
                match objects.store().get(&objects.key(key)).await {
                    Err(Error::NotFound { .. }) => Ok(None),
                    found => Ok(Some(found?.bytes().await?.to_vec())),
                }
            }),
        }
    }

    /// Puts all of them, in no order; what was there is replaced one by one.
    pub(super) fn put_all(&self, all: Vec<Entry>, cancel: &Cancel) -> Result<(), Reason> {
        match self {
            Self::Folder(root) => root.write_all(&all, cancel),
            Self::Bucket(objects) => objects.wait(cancel, async {
                let put = |(key, bytes): Entry| async move {
                    objects.store().put(&objects.key(&key), bytes.into()).await.map(drop)
                };
                stream::iter(all.into_iter().map(put)).buffer_unordered(AT_ONCE).try_collect().await
            }),
        }
    }

    /// Takes keys away; there may be nothing.
    pub(super) fn remove(&self, keys: &[String]) -> Result<(), Reason> {
        keys.iter().try_for_each(|key| match self {
            Self::Folder(root) => root.remove(key),
            Self::Bucket(objects) => objects.remove(key),
        })
    }

    /// A key for people.
    pub(super) fn tell(&self, key: &str) -> String {
        match self {
            Self::Folder(root) => root.tell(key),
            Self::Bucket(objects) => objects.tell(key),
        }
    }
}
