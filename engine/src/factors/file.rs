//! One factor in a file, or something else that is kept beside factors, mapped into memory when it is
//! read.
//!
//! ```text
//! 0    magic: what it is             8 bytes
//! 8    version of this layout        u32
//! 12   0x01020304, as this machine   u32
//!      writes it
//! 16   key                           32 bytes
//! 48   how many numbers              u64
//! 56   BLAKE3 of the numbers         32 bytes
//! 88   what it is, for people        UTF-8, zeros behind
//! 512  the numbers                   f64, as this machine writes them
//! ```
//!
//! A file is complete before it gets its name, and never written again: what is mapped stays as it is
//! also when its name is removed.
#![expect(unsafe_code, reason = "mapping a file is unsafe: see `Mapped::open`")]

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use isopleth_kernels::Shared;
use memmap2::Mmap;

use super::Key;

const VERSION: u32 = 2;
const ORDER: u32 = 0x0102_0304;
const HEAD: usize = 512;
const TEXT: usize = 88;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Factor,
    /// Variances on a grid.
    Variance,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Factor, Self::Variance];

    /// Of the file's name.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Factor => "factor",
            Self::Variance => "variance",
        }
    }

    pub(super) fn of(path: &Path) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| path.extension().is_some_and(|e| e == kind.extension()))
    }

    fn magic(self) -> [u8; 8] {
        match self {
            Self::Factor => *b"isoplfac",
            Self::Variance => *b"isoplvar",
        }
    }
}

/// The first bytes of a file.
pub(super) struct Head {
    kind: Kind,
    key: [u8; 32],
    numbers: u64,
    checksum: [u8; 32],
    /// What it is, for people.
    pub(super) text: String,
}

impl Head {
    fn to_bytes(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..8].copy_from_slice(&self.kind.magic());
        bytes[8..12].copy_from_slice(&VERSION.to_ne_bytes());
        bytes[12..16].copy_from_slice(&ORDER.to_ne_bytes());
        bytes[16..48].copy_from_slice(&self.key);
        bytes[48..56].copy_from_slice(&self.numbers.to_ne_bytes());
        bytes[56..TEXT].copy_from_slice(&self.checksum);
        let text = self.text.as_bytes();
        let length = text.len().min(HEAD - TEXT);
        bytes[TEXT..TEXT + length].copy_from_slice(&text[..length]);
        bytes
    }

    /// None for another layout, another machine, or no such file at all.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEAD] = bytes.first_chunk()?;
        let part =
            |from: usize| -> [u8; 4] { bytes[from..from + 4].try_into().unwrap_or_default() };
        let kind = Kind::ALL.into_iter().find(|kind| bytes[..8] == kind.magic())?;
        let known = u32::from_ne_bytes(part(8)) == VERSION && u32::from_ne_bytes(part(12)) == ORDER;
        let text = String::from_utf8_lossy(&bytes[TEXT..]);
        known.then_some(Self {
            kind,
            key: bytes[16..48].try_into().ok()?,
            numbers: u64::from_ne_bytes(bytes[48..56].try_into().ok()?),
            checksum: bytes[56..TEXT].try_into().ok()?,
            text: text.trim_end_matches('\0').to_owned(),
        })
    }

    /// Reads the head alone.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let mut bytes = [0; HEAD];
        File::open(path).ok()?.read_exact(&mut bytes).ok()?;
        Self::from_bytes(&bytes)
    }
}

/// How long the file of so many numbers is.
pub(super) fn bytes(numbers: usize) -> u64 {
    HEAD as u64 + 8 * numbers as u64
}

/// What is written part by part, numbers or what is as long as numbers.
pub(super) type Parts<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// Writes what hands its parts over to an empty file.
pub(super) fn write(
    file: &File,
    (kind, key): (Kind, &Key),
    text: String,
    save: impl FnOnce(&mut Parts<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 18, file);
    writer.write_all(&[0; HEAD])?;
    let mut hash = blake3::Hasher::new();
    let mut numbers = 0;
    save(&mut |bytes| {
        hash.update(bytes);
        numbers += bytes.len() as u64 / 8;
        writer.write_all(bytes)
    })?;
    writer.flush()?;
    drop(writer);
    let (key, checksum) = (*key.bytes(), *hash.finalize().as_bytes());
    let head = Head { kind, key, numbers, checksum, text };
    let mut file = file;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&head.to_bytes())
}

/// The numbers of a file, undamaged, of that kind and key. None for anything else.
pub(super) fn map(file: &File, (kind, key): (Kind, &Key)) -> Option<Shared> {
    let mapped = Mapped::open(file).ok()?;
    let head = Head::from_bytes(&mapped.0)?;
    let numbers: &[f64] = bytemuck::try_cast_slice(mapped.0.get(HEAD..)?).ok()?;
    let whole =
        (head.kind, &head.key) == (kind, key.bytes()) && head.numbers == numbers.len() as u64;
    let sound = || head.checksum == *blake3::hash(&mapped.0[HEAD..]).as_bytes();
    (whole && sound()).then(|| Arc::new(mapped) as Shared)
}

struct Mapped(Mmap);

impl Mapped {
    fn open(file: &File) -> io::Result<Self> {
        // SAFETY: what is mapped must not change or shrink while it is mapped. These files are
        // written under another name, renamed when complete, and from then on only ever removed,
        // which leaves a mapping as it is. Somebody who overwrites files in a program's cache by
        // hand can harm it, as by overwriting the program.
        unsafe { Mmap::map(file) }.map(Self)
    }
}

impl AsRef<[f64]> for Mapped {
    fn as_ref(&self) -> &[f64] {
        bytemuck::cast_slice(&self.0[HEAD..])
    }
}
