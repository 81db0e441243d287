//! Files of the account that go: those that nobody entered, days that are too old, the oldest of too many bytes.

use std::path::PathBuf;
use std::{fs, io};

use super::days::{DayError, Part, date_of, folder, parts};
use crate::store::Store;

/// Removes files without an entry: their rows are still in the database.
pub(super) fn remove_unknown(store: &Store) -> Result<(), DayError> {
    let root = folder(store);
    let known: Vec<PathBuf> =
        store.read(|c| parts(c, i64::MIN, i64::MAX))?.iter().map(|part| part.path(store)).collect();
    let failed = |source| DayError::Io { path: root.clone(), source };
    for day in fs::read_dir(&root).map_err(failed)? {
        let day = day.map_err(failed)?;
        if !day.file_name().to_string_lossy().starts_with("dt=") {
            continue;
        }
        for file in fs::read_dir(day.path()).map_err(failed)? {
            let path = file.map_err(failed)?.path();
            if !known.contains(&path) {
                tracing::info!(file = %path.display(), "a file of the account without an entry is removed");
                fs::remove_file(&path).map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// Removes days before one, and the oldest beyond so many bytes.
pub(super) fn retain(store: &Store, first: i64, max_bytes: u64) -> Result<(), DayError> {
    let mut all = store.read(|c| parts(c, i64::MIN, i64::MAX))?;
    let bytes = |all: &[Part]| all.iter().map(|part| part.bytes).fold(0, i64::saturating_add);
    let most = i64::try_from(max_bytes).unwrap_or(i64::MAX);
    while let Some(day) = all.first().map(|part| part.day)
        && (day < first || bytes(&all) > most)
    {
        store.write(|tx| {
            tx.execute("DELETE FROM usage_parts WHERE day = ?1", [day])?;
            tx.execute("DELETE FROM usage_seen WHERE day <= ?1", [day])?;
            tx.execute("DELETE FROM reconciliations WHERE day <= ?1", [day]).map(drop)
        })?;
        let of_day = folder(store).join(format!("dt={}", date_of(day)));
        if let Err(source) = fs::remove_dir_all(&of_day)
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(DayError::Io { path: of_day, source });
        }
        tracing::info!(day = date_of(day), "a day of the account is removed");
        all.retain(|part| part.day != day);
    }
    Ok(())
}
