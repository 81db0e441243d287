//! A delimited text, row by row: delimiter, header, line numbers, bytes that are no text.

use std::io::{self, BufRead, Read};

use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Trim};

use super::error::{Location, ReadError};
use super::text::{LongLine, Text, read_error};

/// A row of a table, or a record of a JSON array: where something was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// Line of the text, the header being 1; of a file that is no text the row or the reading, from 1.
    Row(u64),
    /// Index in the array.
    Record(u64),
    /// Index in the features of a GeoJSON document.
    Feature(u64),
}

impl At {
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Row(number) | Self::Record(number) | Self::Feature(number) => number,
        }
    }

    pub(super) fn location(self, column: Option<&str>) -> Box<Location> {
        match (self, column) {
            (Self::Row(row), column) => Location::cell(row, column),
            (Self::Record(index), None) => Location::pointer(format!("/{index}")),
            (Self::Record(index), Some(column)) => {
                Location::pointer(format!("/{index}/{}", pointer_token(column)))
            }
            (Self::Feature(index), None) => Location::pointer(format!("/features/{index}")),
            (Self::Feature(index), Some("lon" | "lat" | "x" | "y")) => {
                Location::pointer(format!("/features/{index}/geometry/coordinates"))
            }
            (Self::Feature(index), Some(column)) => {
                let column = pointer_token(column);
                Location::pointer(format!("/features/{index}/properties/{column}"))
            }
        }
    }
}

/// A key as a part of a JSON pointer (RFC 6901, section 3).
pub(super) fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Bytes of a cell, at most and on average over a line.
const CELL: usize = 100;

/// A text whose lines are not too long: a row is held in memory, and takes several times what it has of bytes.
struct Lines {
    reader: Box<dyn BufRead + Send>,
    /// Bytes since the last end of a line.
    since: usize,
    longest: usize,
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        let last = buffer[..count].iter().rposition(|&byte| byte == b'\n' || byte == b'\r');
        self.since = last.map_or(self.since + count, |last| count - last - 1);
        if self.since > self.longest {
            let longest = self.longest;
            return Err(io::Error::other(LongLine { longest }));
        }
        Ok(count)
    }
}

/// A delimited text with its header.
pub(super) struct Table {
    /// What messages call it.
    pub(super) name: String,
    /// Names of the columns.
    pub(super) header: Vec<String>,
    reader: Reader<Lines>,
    record: StringRecord,
    row: u64,
}

impl Table {
    /// Reads the header.
    pub(super) fn open(
        text: Text,
        delimiter: Option<u8>,
        max_columns: usize,
    ) -> Result<Self, ReadError> {
        let Text { name, prefix, reader } = text;
        let reader = ReaderBuilder::new()
            .delimiter(delimiter.unwrap_or_else(|| likely_delimiter(&prefix)))
            .has_headers(false)
            .flexible(true)
            .trim(Trim::None)
            .from_reader(Lines { reader, since: 0, longest: max_columns.saturating_mul(CELL) });
        let record = StringRecord::new();
        let mut table = Self { name, header: Vec::new(), reader, record, row: 1 };
        if !table.advance()? {
            return Err(ReadError::Empty { name: table.name });
        }
        if table.record.len() > max_columns {
            let (what, limit) = (format!("{} columns", table.record.len()), max_columns as u64);
            return Err(ReadError::TooMuch { name: table.name, what, limit });
        }
        table.header = table.record.iter().map(|name| name.trim().to_owned()).collect();
        // A delimiter at the end of each line makes no column.
        while table.header.last().is_some_and(String::is_empty) && table.header.len() > 1 {
            table.header.pop();
        }
        Ok(table)
    }

    /// Goes to the next row; false at the end.
    pub(super) fn advance(&mut self) -> Result<bool, ReadError> {
        let more = match self.reader.read_record(&mut self.record) {
            Ok(more) => more,
            Err(error) => return Err(self.error(error)),
        };
        if let Some(position) = self.record.position() {
            self.row = position.line();
        }
        if more && self.record.as_slice().as_bytes().contains(&0) {
            let at = Location::cell(self.row, None);
            return Err(ReadError::Binary { name: self.name.clone(), at });
        }
        Ok(more)
    }

    /// The row, as many cells as it has.
    pub(super) fn record(&self) -> &StringRecord {
        &self.record
    }

    /// Where the row is.
    pub(super) fn at(&self) -> At {
        At::Row(self.row)
    }

    /// Whether the row has another number of cells than the header, empty ones at the end aside.
    pub(super) fn is_ragged(&self) -> bool {
        let (cells, columns) = (self.record.len(), self.header.len());
        cells < columns || self.record.iter().skip(columns).any(|cell| !cell.trim().is_empty())
    }

    fn error(&self, error: csv::Error) -> ReadError {
        let name = self.name.clone();
        let text = error.to_string();
        match error.into_kind() {
            ErrorKind::Io(error) => read_error(&name, error),
            ErrorKind::Utf8 { pos, err } => {
                let column = self.header.get(err.field()).map(String::as_str);
                let row = pos.map_or(self.row, |position| position.line());
                let at = Location::cell(row, column);
                ReadError::Encoding { name, at, encoding: "UTF-8".to_owned() }
            }
            _ => ReadError::Csv { name, message: text },
        }
    }
}

/// Of comma, semicolon and tab, the one that the first line has most of, outside quotes.
fn likely_delimiter(prefix: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for &byte in prefix.trim_ascii_start().iter().take_while(|&&byte| byte != b'\n') {
        quoted ^= byte == b'"';
        for (delimiter, count) in &mut counts {
            *count += u32::from(byte == *delimiter && !quoted);
        }
    }
    // The first of equals wins.
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| *delimiter)
}
