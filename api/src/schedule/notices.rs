//! What somebody should know: rows that are written with what they tell of, then to a file and to a webhook, each at
//! least once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::{Value, json};

use super::model::Kind;
use crate::error::ApiError;
use crate::jobs::hooks;
use crate::state::AppState;
use crate::wire::network::moment;

/// Rows are kept for so many seconds: 90 days.
const REMEMBERED: i64 = 90 * 24 * 3600;

/// Written in one go.
const AT_ONCE: usize = 500;

/// Older files that stay.
const FILES: u32 = 3;

/// A line of the file is not longer: enough for its number to be found again.
const LONGEST_MESSAGE: usize = 2000;

/// Seconds in which another process does not send the same.
const CLAIM: i64 = 60;

/// Notes that something is to be told, within the transaction in which it happens.
pub(super) fn write(
    tx: &Transaction<'_>,
    state: &AppState,
    (kind, schedule, hour): (Kind, &str, Option<i64>),
    message: &str,
    now: i64,
) -> rusqlite::Result<()> {
    let config = state.config();
    let message: String = message.chars().take(LONGEST_MESSAGE).collect();
    let hook_due = config.notices_webhook.as_ref().map(|_| now);
    tx.execute(
        "INSERT INTO notices (kind, schedule, hour, message, created, filed, hook_due) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![kind.name(), schedule, hour, message, now, config.notices_file.is_none(), hook_due],
    )?;
    state.watch().noticed(kind.name());
    tracing::warn!(schedule, hour = hour.map(moment), kind = kind.name(), message, "notice");
    Ok(())
}

/// Tells what is due; whether there was anything.
pub(super) fn tell(state: &AppState) -> Result<usize, ApiError> {
    let now = state.now().as_second();
    let sql = "SELECT EXISTS (SELECT 1 FROM notices WHERE filed = 0), \
               EXISTS (SELECT 1 FROM notices WHERE hook_due <= ?1)";
    let (to_file, to_hook): (bool, bool) = state
        .store()
        .read(|c| c.query_row(sql, [now], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(|error: rusqlite::Error| ApiError::from(error))?;
    let mut told = 0;
    if let Some(path) = state.config().notices_file.as_ref().filter(|_| to_file) {
        told += file(state, path)?;
    }
    if to_hook {
        told += send(state, now)?;
    }
    Ok(told)
}

fn document(row: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, Value)> {
    let id: i64 = row.get(0)?;
    let (hour, created): (Option<i64>, i64) = (row.get(3)?, row.get(5)?);
    let (kind, schedule): (String, String) = (row.get(1)?, row.get(2)?);
    let message: String = row.get(4)?;
    let told = json!({
        "id": id, "kind": kind, "schedule": schedule, "hour": hour.map(moment), "message": message,
        "time": moment(created),
    });
    Ok((id, told))
}

/// Appends lines; the writer's lock of the database keeps other processes away.
fn file(state: &AppState, path: &Path) -> Result<usize, ApiError> {
    let most = state.config().notices_file_bytes;
    let written = state.store().write(|tx| {
        let sql = format!(
            "SELECT id, kind, schedule, hour, message, created FROM notices WHERE filed = 0 \
             ORDER BY id LIMIT {AT_ONCE}"
        );
        let rows: Vec<(i64, Value)> =
            tx.prepare(&sql)?.query_map([], document)?.collect::<rusqlite::Result<_>>()?;
        let Some((last, _)) = rows.last() else { return Ok(Ok(0)) };
        let last = *last;
        if let Err(error) = append(path, &rows, most) {
            return Ok(Err(error));
        }
        tx.execute("UPDATE notices SET filed = 1 WHERE filed = 0 AND id <= ?1", [last])?;
        Ok::<_, ApiError>(Ok(rows.len()))
    })?;
    written.map_err(|error| {
        let what = format!("the setting notices_file: {} cannot be written", path.display());
        ApiError::internal(&what, error)
    })
}

/// Appends what is not there yet: a process that died after writing had no time to say so.
fn append(path: &Path, rows: &[(i64, Value)], most: u64) -> io::Result<()> {
    let known = last_number(path)?;
    let lines: String =
        rows.iter().filter(|(id, _)| *id > known).map(|(_, line)| format!("{line}\n")).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let size = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if size > 0 && size + lines.len() as u64 > most {
        rotate(path)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(lines.as_bytes())?;
    file.sync_all()
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn rotate(path: &Path) -> io::Result<()> {
    for number in (1..FILES).rev() {
        match fs::rename(numbered(path, number), numbered(path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, numbered(path, 1))
}

/// The number of the last whole line, of the file or of the one before; a line that was cut off is ended.
fn last_number(path: &Path) -> io::Result<i64> {
    let mut last = 0;
    for path in [numbered(path, 1), path.to_owned()] {
        let mut file = match File::options().read(true).append(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(4 * LONGEST_MESSAGE as u64 + 4096)))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        if !tail.is_empty() && !tail.ends_with(b"\n") {
            file.write_all(b"\n")?;
        }
        let numbers = tail.split(|byte| *byte == b'\n').filter_map(|line| {
            serde_json::from_slice::<Value>(line).ok().and_then(|line| line["id"].as_i64())
        });
        last = numbers.fold(last, i64::max);
    }
    Ok(last)
}

fn send(state: &AppState, now: i64) -> Result<usize, ApiError> {
    let Some(url) = &state.config().notices_webhook else {
        state.store().write(|tx| tx.execute("UPDATE notices SET hook_due = NULL", []))?;
        return Ok(0);
    };
    let mut sent = 0;
    while !state.schedules().cancel.is_cancelled() {
        let claimed = state.store().write(|tx| {
            let sql = "SELECT id, kind, schedule, hour, message, created, attempts FROM notices \
                       WHERE hook_due <= ?1 ORDER BY id LIMIT 1";
            let row = |row: &rusqlite::Row<'_>| Ok((document(row)?, row.get::<_, u32>(6)?));
            let found = tx.query_row(sql, [now], row).optional()?;
            if let Some(((id, _), _)) = &found {
                let sql = "UPDATE notices SET hook_due = ?2 WHERE id = ?1";
                tx.execute(sql, params![id, now + CLAIM])?;
            }
            Ok::<_, rusqlite::Error>(found)
        })?;
        let Some(((id, document), attempts)) = claimed else { return Ok(sent) };
        let outcome = hooks::post(state.config(), url, document.to_string());
        let again = match &outcome {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(notice = id, error, "notice not taken");
                hooks::wait(attempts).map(|seconds| now + seconds)
            }
        };
        state.store().write(|tx| {
            let sql = "UPDATE notices SET hook_due = ?2, attempts = attempts + 1, told = ?3 WHERE id = ?1";
            tx.execute(sql, params![id, again, outcome.is_ok().then_some(now)])
        })?;
        sent += 1;
    }
    Ok(sent)
}

/// Forgets old rows.
pub(super) fn forget(tx: &Transaction<'_>, now: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM notices WHERE created < ?1 AND filed <> 0 AND hook_due IS NULL";
    tx.execute(sql, [now - REMEMBERED]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(ids: std::ops::RangeInclusive<i64>) -> Vec<(i64, Value)> {
        ids.map(|id| (id, json!({"id": id, "message": "m"}))).collect()
    }

    fn numbers(path: &Path) -> Vec<i64> {
        let text = fs::read_to_string(path).expect("the file");
        let line = |line: &str| serde_json::from_str::<Value>(line).ok()?["id"].as_i64();
        text.lines().filter_map(line).collect()
    }

    #[test]
    fn a_line_that_was_written_before_a_crash_is_not_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notices.jsonl");
        append(&path, &rows(1..=3), 1 << 20).expect("three lines");
        // The process died before the rows said so.
        append(&path, &rows(1..=5), 1 << 20).expect("two more");
        assert_eq!(numbers(&path), [1, 2, 3, 4, 5]);
        // Or in the middle of a line.
        let text = fs::read_to_string(&path).expect("the file");
        fs::write(&path, &text[..text.len() - 4]).expect("cut off");
        append(&path, &rows(4..=6), 1 << 20).expect("again");
        assert_eq!(numbers(&path), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_file_that_grows_is_renamed_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("n");
        for id in 1..=20 {
            append(&path, &rows(id..=id), 60).expect("a line");
        }
        let here: Vec<Vec<i64>> = [path.clone(), numbered(&path, 1), numbered(&path, 3)]
            .iter()
            .map(|path| numbers(path))
            .collect();
        assert_eq!(here[0].last(), Some(&20));
        assert!(here[1].last() < here[0].first() && here[2].last() < here[1].first());
        assert!(!numbered(&path, 4).exists());
    }
}
