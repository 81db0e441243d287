//! The files of an hour as one: as it is, or tables of text put together.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::Found;
use crate::sources::spool::{Received, Sink};
use crate::sources::{Limits, SourceError};

/// Longest first line of a table that is joined with others.
const LONGEST_HEADER: u64 = 1 << 20;

/// What the files have, within the limit.
pub(super) fn receive(files: &mut [Found], limits: &Limits<'_>) -> Result<Received, SourceError> {
    let mut sink = Sink::new(limits);
    if let [only] = files {
        let path = only.path.clone();
        sink.take(&mut only.file, |error| unreadable(limits.name, &path, &error))?;
        return sink.finish();
    }
    let mut header: Option<(Vec<u8>, PathBuf)> = None;
    for Found { path, file, .. } in files {
        let broken = |error: io::Error| unreadable(limits.name, path, &error);
        let mut rows = BufReader::with_capacity(1 << 16, file);
        let gzip = rows.fill_buf().map_err(broken)?.starts_with(&[0x1f, 0x8b]);
        let rows: Box<dyn Read + '_> =
            if gzip { Box::new(MultiGzDecoder::new(rows)) } else { Box::new(rows) };
        let mut rows = BufReader::with_capacity(1 << 16, rows);
        let first = first_line(&mut rows).map_err(broken)?;
        if first.is_empty() {
            continue;
        }
        if !is_text_table(&first) {
            let what = format!(
                "{} is no table of text, and only these are joined; choose `several = \"latest\"`, or a narrower \
                 template",
                path.display()
            );
            return Err(SourceError::lasting(limits.name, what));
        }
        match &header {
            None => {
                sink.push(&first)?;
                sink.push(b"\n")?;
                header = Some((first, path.clone()));
            }
            Some((known, of)) if *known != first => {
                let what = format!(
                    "{} and {} have different first lines, so their rows cannot be joined",
                    of.display(),
                    path.display()
                );
                return Err(SourceError::lasting(limits.name, what));
            }
            Some(_) => (),
        }
        sink.take(&mut rows, broken)?;
        sink.push(b"\n")?;
    }
    sink.finish()
}

fn unreadable(source: &str, path: &Path, error: &io::Error) -> SourceError {
    SourceError::passing(source, format!("{} cannot be read: {error}", path.display()))
}

/// The first line, without its end and without a mark of UTF-8.
fn first_line(rows: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    rows.take(LONGEST_HEADER).read_until(b'\n', &mut line)?;
    let start = if line.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    Ok(line[start..].trim_ascii_end().to_vec())
}

fn is_text_table(first: &[u8]) -> bool {
    let binary =
        first.starts_with(b"PAR1") || first.starts_with(b"\x89HDF") || first.starts_with(b"CDF");
    !binary && !matches!(first.trim_ascii_start().first(), Some(b'{' | b'[') | None)
}
