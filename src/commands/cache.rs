//! `isopleth cache`: what is kept of earlier runs, and where.

use std::fmt::Write as _;
use std::path::PathBuf;

use isopleth_engine::{FactorCache, FactorStore};

use super::print;
use crate::cli::{CacheAction, CacheArguments, CacheOptions};
use crate::failure::{Failure, io};
use crate::table::{Table, bytes};

/// Factorisations kept where the options say; nowhere where the user has no place for such things.
pub(crate) fn open(options: &CacheOptions) -> Result<FactorCache, Failure> {
    // One run has one network: nothing is kept in memory.
    let on_disk = |store| FactorCache::new(0, Some(store));
    match (folder(options), &options.cache) {
        (None, _) => Ok(FactorCache::off()),
        (Some(folder), None) => Ok(FactorStore::open(&folder, options.cache_size)
            .map_or_else(|_| FactorCache::off(), on_disk)),
        (Some(folder), Some(_)) => store(folder, options.cache_size).map(on_disk),
    }
}

pub(crate) fn run(arguments: &CacheArguments) -> Result<(), Failure> {
    let Some(folder) = folder(&arguments.options) else {
        return Err(Failure::Usage(
            "there is no folder of factorisations; name one: --cache DIR".into(),
        ));
    };
    let store = store(folder.clone(), arguments.options.cache_size)?;
    match arguments.action {
        CacheAction::List => {
            let mut table = Table::new(&["what", "size", "last used"]);
            for entry in store.entries().map_err(io)? {
                let what = entry.what.unwrap_or_else(|| "not readable by this version".into());
                let used = jiff::Timestamp::try_from(entry.used).map_err(io)?;
                table.row(vec![what, bytes(entry.bytes), used.strftime("%F %T UTC").to_string()]);
            }
            print(&table.render())
        }
        CacheAction::Size => {
            let entries = store.entries().map_err(io)?;
            let total = entries.iter().map(|entry| entry.bytes).sum();
            let mut text = String::new();
            let limit = bytes(arguments.options.cache_size);
            let _ = writeln!(
                text,
                "{} in {} files of at most {limit}, in {}",
                bytes(total),
                entries.len(),
                folder.display()
            );
            print(&text)
        }
        CacheAction::Clear => {
            let (files, freed) = store.clear().map_err(io)?;
            print(&format!("removed {files} files, {}\n", bytes(freed)))
        }
    }
}

fn store(folder: PathBuf, limit: u64) -> Result<FactorStore, Failure> {
    FactorStore::open(&folder, limit).map_err(|source| {
        Failure::from(isopleth_engine::Error::Io { action: "use the cache", path: folder, source })
    })
}

/// None where nothing is to be kept.
fn folder(options: &CacheOptions) -> Option<PathBuf> {
    match &options.cache {
        Some(none) if none.as_os_str() == "none" => None,
        Some(folder) => Some(folder.clone()),
        None => {
            let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
            let caches = set("XDG_CACHE_HOME").map(PathBuf::from);
            let caches = caches.or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))?;
            Some(caches.join("isopleth").join("factors"))
        }
    }
}
