//! From a source to UTF-8 text: files and streams, gzip, encodings, byte-order marks.
//!
//! UTF-8 is passed on unchecked; whoever parses it checks it and can say in which row it is wrong.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, Write};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};
use flate2::bufread::MultiGzDecoder;

use super::Source;
use super::error::{Location, ReadError};

/// How much of a text is looked at to recognise it: the header of 10 000 stations fits.
const PREFIX_BYTES: usize = 1 << 17;

/// How much of a source is looked at to tell what it is.
const MAGIC_BYTES: usize = 8;

/// The bytes of a source, unzipped.
pub(super) struct Bytes {
    /// What messages call it.
    pub(super) name: String,
    /// The first of them, to recognise it by; `reader` yields them again.
    pub(super) start: Vec<u8>,
    reader: Box<dyn Read + Send>,
    /// Where they are a file that is not zipped.
    file: Option<std::path::PathBuf>,
}

impl Bytes {
    /// Opens a source.
    pub(super) fn open(source: Source) -> Result<Self, ReadError> {
        let (name, mut file) = (source.name(), None);
        let raw: Box<dyn Read + Send> = match source {
            Source::File(path) if path.as_os_str() == "-" => Box::new(io::stdin()),
            Source::File(path) => {
                let opened = open_file(&path).map_err(|e| read_error(&name, e))?;
                file = opened.metadata().is_ok_and(|m| m.is_file()).then_some(path);
                Box::new(opened)
            }
            Source::Stream { reader, .. } => reader,
        };
        let (magic, raw) = peek(raw, 2).map_err(|e| read_error(&name, e))?;
        let bytes: Box<dyn Read + Send> = if magic == [0x1f, 0x8b] {
            file = None;
            Box::new(Unzipped(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, raw))))
        } else {
            Box::new(raw)
        };
        let (start, bytes) = peek(bytes, MAGIC_BYTES).map_err(|e| read_error(&name, e))?;
        Ok(Self { name, start, reader: Box::new(bytes), file })
    }

    /// The same as a file, for what is not read from its beginning to its end: the one it is, or else an unnamed
    /// temporary one.
    pub(super) fn into_file(mut self) -> Result<File, ReadError> {
        if let Some(path) = &self.file {
            return open_file(path).map_err(|error| read_error(&self.name, error));
        }
        let spill = |error| ReadError::Spill { error };
        let mut file = tempfile::tempfile().map_err(spill)?;
        let mut buffer = vec![0; 1 << 17];
        loop {
            match self.reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => file.write_all(&buffer[..read]).map_err(spill)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(read_error(&self.name, error)),
            }
        }
        file.rewind().map_err(spill)?;
        Ok(file)
    }
}

/// A text to parse.
pub(super) struct Text {
    /// What messages call it.
    pub(super) name: String,
    /// Its beginning, to recognise it by; `reader` yields it again.
    pub(super) prefix: Vec<u8>,
    /// All of it.
    pub(super) reader: Box<dyn BufRead + Send>,
}

impl Text {
    /// Opens a source and looks at its beginning.
    pub(super) fn open(source: Source, encoding: Option<&str>) -> Result<Self, ReadError> {
        Self::decode(Bytes::open(source)?, encoding)
    }

    /// Bytes as text.
    pub(super) fn decode(bytes: Bytes, encoding: Option<&str>) -> Result<Self, ReadError> {
        let told = encoding.map(known_encoding).transpose()?;
        let Bytes { name, reader: bytes, .. } = bytes;
        let (start, bytes) = peek(bytes, 3).map_err(|e| read_error(&name, e))?;
        let marked = Encoding::for_bom(&start);
        let encoding = told.or(marked.map(|(encoding, _)| encoding)).unwrap_or(UTF_8);
        let decoded: Box<dyn Read + Send> = if encoding == UTF_8 {
            let mut bytes = bytes;
            if marked.is_some_and(|(encoding, _)| encoding == UTF_8) {
                bytes.read_exact(&mut [0; 3]).map_err(|e| read_error(&name, e))?;
            }
            Box::new(bytes)
        } else {
            Box::new(Decoded::new(bytes, encoding))
        };
        let (prefix, all) = peek(decoded, PREFIX_BYTES).map_err(|e| read_error(&name, e))?;
        if prefix.trim_ascii().is_empty() {
            return Err(ReadError::Empty { name });
        }
        if let Some(zero) = prefix.iter().position(|&byte| byte == 0) {
            let row = 1 + newlines(&prefix[..zero]);
            return Err(ReadError::Binary { name, at: Location::cell(row, None) });
        }
        Ok(Self { name, prefix, reader: Box::new(BufReader::with_capacity(1 << 16, all)) })
    }

    /// Whether it looks like JSON.
    pub(super) fn is_json(&self) -> bool {
        matches!(self.prefix.trim_ascii_start().first(), Some(b'{' | b'['))
    }
}

/// What an error while reading means.
pub(super) fn read_error(name: &str, error: io::Error) -> ReadError {
    let name = name.to_owned();
    match error.get_ref() {
        Some(inner) if inner.is::<DamagedGzip>() => {
            ReadError::Compressed { name, message: inner.to_string() }
        }
        Some(inner) => match inner.downcast_ref::<Malformed>() {
            Some(m) => ReadError::Encoding {
                name,
                at: Location::cell(m.row, None),
                encoding: m.encoding.to_owned(),
            },
            None => match inner.downcast_ref::<LongLine>() {
                Some(long) => {
                    let limit = long.longest as u64;
                    ReadError::TooMuch { name, what: "bytes of one line".to_owned(), limit }
                }
                None => ReadError::Io { name, error },
            },
        },
        None => ReadError::Io { name, error },
    }
}

fn open_file(path: &std::path::Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    Ok(file)
}

fn known_encoding(label: &str) -> Result<&'static Encoding, ReadError> {
    Encoding::for_label(label.as_bytes())
        .ok_or_else(|| ReadError::UnknownEncoding { label: label.to_owned() })
}

/// The first bytes (fewer at the end), and a reader that yields everything.
fn peek<R: Read>(mut reader: R, length: usize) -> io::Result<(Vec<u8>, impl Read + use<R>)> {
    let mut start = Vec::new();
    reader.by_ref().take(length as u64).read_to_end(&mut start)?;
    Ok((start.clone(), Cursor::new(start).chain(reader)))
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// Tells damaged data from a failing disk.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct DamagedGzip(String);

struct Unzipped<R>(MultiGzDecoder<R>);

impl<R: BufRead> Read for Unzipped<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidData => {
                io::Error::new(io::ErrorKind::InvalidData, DamagedGzip(error.to_string()))
            }
            _ => error,
        })
    }
}

/// A line that no table of readings has.
#[derive(Debug, thiserror::Error)]
#[error("a line of more than {longest} bytes")]
pub(super) struct LongLine {
    pub(super) longest: usize,
}

/// Bytes that the encoding does not have.
#[derive(Debug, thiserror::Error)]
#[error("row {row} is not valid {encoding}")]
struct Malformed {
    row: u64,
    encoding: &'static str,
}

/// Decodes to UTF-8 as it reads.
struct Decoded<R> {
    reader: R,
    decoder: Decoder,
    raw: Vec<u8>,
    /// What of `raw` is not decoded yet.
    pending: std::ops::Range<usize>,
    text: Vec<u8>,
    /// What of `text` is not handed out yet.
    ready: std::ops::Range<usize>,
    finished: bool,
    row: u64,
}

impl<R: Read> Decoded<R> {
    fn new(reader: R, encoding: &'static Encoding) -> Self {
        Self {
            reader,
            decoder: encoding.new_decoder_with_bom_removal(),
            raw: vec![0; 1 << 15],
            pending: 0..0,
            text: vec![0; 1 << 16],
            ready: 0..0,
            finished: false,
            row: 1,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        while self.ready.is_empty() && !self.finished {
            let mut last = false;
            if self.pending.is_empty() {
                let count = self.reader.read(&mut self.raw)?;
                self.pending = 0..count;
                last = count == 0;
            }
            let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(
                &self.raw[self.pending.clone()],
                &mut self.text,
                last,
            );
            self.pending.start += read;
            self.ready = 0..written;
            self.row += newlines(&self.text[..written]);
            match result {
                DecoderResult::InputEmpty => self.finished = last,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    let encoding = self.decoder.encoding().name();
                    let malformed = Malformed { row: self.row, encoding };
                    return Err(io::Error::new(io::ErrorKind::InvalidData, malformed));
                }
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.refill()?;
        let count = self.ready.len().min(out.len());
        out[..count].copy_from_slice(&self.text[self.ready.start..self.ready.start + count]);
        self.ready.start += count;
        Ok(count)
    }
}
