//! One file a subcommand; what they share is here.

pub(crate) mod backup;
pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod correlation;
pub(crate) mod crossval;
pub(crate) mod doctor;
pub(crate) mod estimate;
pub(crate) mod export;
pub(crate) mod healthcheck;
pub(crate) mod keys;
pub(crate) mod map;
pub(crate) mod points;
pub(crate) mod schedule;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod usage;

mod flags;
mod inputs;
mod summary;

use std::path::Path;

use isopleth_engine::output::AtomicFile;

use crate::failure::{Failure, io};

/// Prints to standard output; a reader that went away ends the program quietly.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(io),
    }
}

/// Pretty JSON to a file or, for `-`, to standard output.
fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(io)?;
    text.push('\n');
    if path.as_os_str() == "-" { print(&text) } else { write_text(path, &text) }
}

/// A text to a file that appears whole or not at all.
fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let file = AtomicFile::create(path)?;
    file.file().write_all(text.as_bytes()).map_err(|source| isopleth_engine::Error::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })?;
    Ok(file.commit()?)
}
