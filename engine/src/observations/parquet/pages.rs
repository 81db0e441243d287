//! The pages of a Parquet file, looked at before the library unpacks them: it believes what their headers say.
//!
//! A header is a structure of Thrift's compact protocol that begins with three numbers: the kind of page, its size
//! unpacked, and packed. A page that says it becomes too large is refused, and so is one of gzip that becomes larger
//! than it says.

use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::read::MultiGzDecoder;
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// A page may become so large: those of all writers that we know have a megabyte, or a few.
const LARGEST_PAGE: u64 = 64 << 20;
/// What all columns together hold at a time.
const HELD: u64 = 256 << 20;
/// Headers without statistics have less than a hundred bytes.
const HEADER: usize = 128;

/// What the pages of a file may become.
#[derive(Debug)]
pub(super) struct Allowance {
    /// Of the whole file.
    left: AtomicU64,
    /// Of the pages in hand, and of the dictionaries.
    held: AtomicU64,
}

impl Allowance {
    pub(super) fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(bytes), held: AtomicU64::new(0) })
    }

    /// Whether the file became larger than it may.
    pub(super) fn is_spent(&self) -> bool {
        self.left.load(Relaxed) == 0
    }

    fn take(&self, bytes: u64) -> Result<()> {
        let left = self.left.load(Relaxed);
        self.left.store(left.saturating_sub(bytes), Relaxed);
        if left <= bytes {
            return refuse("unpacked it is larger than the limit".to_owned());
        }
        Ok(())
    }
}

/// The pages of one column in one group of rows.
#[derive(Debug)]
pub(super) struct Pages {
    file: File,
    compression: Compression,
    allowance: Arc<Allowance>,
    now: Mutex<Now>,
}

/// What a column holds, and the page whose header was read last.
#[derive(Debug, Default)]
struct Now {
    dictionary: u64,
    page: u64,
    /// Bytes unpacked, and how many at its beginning are not packed.
    next: Option<(u64, usize)>,
}

impl Pages {
    pub(super) fn new(
        file: &File,
        compression: Compression,
        allowance: &Arc<Allowance>,
    ) -> std::io::Result<Self> {
        let (file, allowance) = (file.try_clone()?, Arc::clone(allowance));
        Ok(Self { file, compression, allowance, now: Mutex::default() })
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Books a page that is about to be unpacked.
    fn foresee(&self, header: &Header) -> Result<()> {
        let Header { kind, unpacked, plain } = *header;
        if unpacked > LARGEST_PAGE {
            return refuse(format!(
                "a page of {unpacked} bytes is larger than {LARGEST_PAGE}; write it with smaller pages"
            ));
        }
        let mut now = self.now();
        if now.next.is_none() {
            self.allowance.take(unpacked)?;
        }
        let place = if kind == DICTIONARY { &mut now.dictionary } else { &mut now.page };
        let before = std::mem::replace(place, unpacked);
        now.next = Some((unpacked, plain));
        let held = self.allowance.held.fetch_add(unpacked, Relaxed) + unpacked;
        let held = held.saturating_sub(before);
        self.allowance.held.fetch_sub(before, Relaxed);
        if held > HELD {
            return refuse(format!("its pages are larger than {HELD} bytes together"));
        }
        Ok(())
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let Now { dictionary, page, .. } = *self.now();
        self.allowance.held.fetch_sub(dictionary + page, Relaxed);
    }
}

impl Length for Pages {
    fn len(&self) -> u64 {
        Length::len(&self.file)
    }
}

impl ChunkReader for Pages {
    type T = BufReader<File>;

    /// The library reads headers of pages like this, and nothing else.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        let mut bytes = Vec::with_capacity(HEADER);
        self.file.get_read(start)?.take(HEADER as u64).read_to_end(&mut bytes)?;
        let header = Header::read(&bytes)
            .ok_or_else(|| ParquetError::General("a page has no header".to_owned()))?;
        self.foresee(&header)?;
        self.file.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes> {
        if length as u64 > Length::len(self).saturating_sub(start) {
            return refuse("a page ends beyond the file".to_owned());
        }
        let bytes = self.file.get_bytes(start, length)?;
        let Some((unpacked, plain)) = self.now().next.take() else {
            return refuse("a page has no header".to_owned());
        };
        let packed = bytes.get(plain..).unwrap_or_default();
        if matches!(self.compression, Compression::GZIP(_)) && !packed.is_empty() {
            // The library unpacks it to the end, however far that is.
            let most = unpacked.saturating_sub(plain as u64);
            let mut unpacking = MultiGzDecoder::new(packed).take(most + 1);
            if std::io::copy(&mut unpacking, &mut std::io::sink())? > most {
                return refuse("a page becomes larger than its header says".to_owned());
            }
        }
        Ok(bytes)
    }
}

fn refuse<T>(text: String) -> Result<T> {
    Err(ParquetError::General(text))
}

const DICTIONARY: u64 = 2;
const DATA_V2: u64 = 3;

/// What of a page's header counts here.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    kind: u64,
    unpacked: u64,
    /// Bytes at the beginning that are not packed: the levels of a page of the second kind.
    plain: usize,
}

impl Header {
    /// None where it does not begin as every writer begins it.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields { bytes, field: 0 };
        let kind = fields.number(1)?;
        let unpacked = fields.number(2)?;
        let packed = fields.number(3)?;
        if packed > LARGEST_PAGE {
            return None;
        }
        let mut plain = 0;
        if kind == DATA_V2 {
            // A checksum may come between.
            let mut ahead = Fields { ..fields };
            if ahead.any_number(4).is_some() {
                fields = ahead;
            }
            fields.structure(8)?;
            let lengths: Option<Vec<u64>> = (1..=6).map(|field| fields.any_number(field)).collect();
            let lengths = lengths?;
            plain = usize::try_from(lengths[4].checked_add(lengths[5])?).ok()?;
            // `is_compressed` is false.
            if fields.bytes.first() == Some(&0x12) {
                plain = usize::MAX;
            }
        }
        Some(Self { kind, unpacked, plain })
    }
}

/// Fields of a structure, one after the other.
#[derive(Clone, Copy)]
struct Fields<'a> {
    bytes: &'a [u8],
    field: u8,
}

impl Fields<'_> {
    /// A number that is not negative.
    fn number(&mut self, field: u8) -> Option<u64> {
        let value = self.any_number(field)?;
        (value <= u64::from(u32::MAX >> 1)).then_some(value)
    }

    /// A number of 32 bits; one below zero becomes a very large one.
    fn any_number(&mut self, field: u8) -> Option<u64> {
        const I32: u8 = 5;
        self.begin(field, I32)?;
        let mut value = 0_u64;
        for shift in (0..35).step_by(7) {
            let (byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let negative = value & 1 == 1;
                return Some(if negative { u64::MAX } else { value >> 1 });
            }
        }
        None
    }

    /// Enters a structure.
    fn structure(&mut self, field: u8) -> Option<()> {
        const STRUCT: u8 = 12;
        self.begin(field, STRUCT)?;
        self.field = 0;
        Some(())
    }

    fn begin(&mut self, field: u8, kind: u8) -> Option<()> {
        let (byte, rest) = self.bytes.split_first()?;
        let expected = ((field - self.field) << 4) | kind;
        if *byte != expected {
            return None;
        }
        (self.bytes, self.field) = (rest, field);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_what_its_page_becomes() {
        // Kind 0, 300 bytes unpacked, 20 packed; what follows does not count.
        let page = [0x15, 0, 0x15, 0xd8, 0x04, 0x15, 40, 0x2c, 0x15];
        assert_eq!(Header::read(&page), Some(Header { kind: 0, unpacked: 300, plain: 0 }));
        // Kind 3 with a checksum; levels of 4 and 0 bytes.
        let v2 = [
            0x15, 6, 0x15, 80, 0x15, 40, 0x15, 8, 0x4c, 0x15, 2, 0x15, 0, 0x15, 2, 0x15, 0, 0x15,
            8, 0x15, 0,
        ];
        assert_eq!(Header::read(&v2), Some(Header { kind: 3, unpacked: 40, plain: 4 }));
        for wrong in
            [&page[..4], &[0x15, 0, 0x25, 2], &[0x15, 1, 0x15, 2, 0x15, 2], &[], &[0xff; 20]]
        {
            assert_eq!(Header::read(wrong), None, "{wrong:?}");
        }
    }
}
