//! The packed chunks of a block: as they come from many threads, and behind them an index in order.
//!
//! ```text
//! chunks   one behind the other
//! index    of each chunk, sorted: variable, time, row, column, where it begins, its length (6 × u64)
//! end      where the index begins, number of chunks (2 × u64); all little-endian
//! ```

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::NamedTempFile;

use super::folder::{self, fail};
use crate::error::Error;
use crate::output::{ChunkKey, Packer, Sink, StationValues, Tile, sync_directory};
use crate::uncertainty::Layer;

/// Bytes written at once.
const BUFFER: usize = 256 << 10;

/// Bytes of the index for a chunk, and behind it.
const ENTRY: u64 = 48;
const END: u64 = 16;

/// What a record says of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) bytes: u64,
    pub(super) blake3: String,
}

pub(super) fn part_path(folder: &Path, block: usize) -> PathBuf {
    folder.join(format!("block-{block:05}.part"))
}

/// Takes what a run makes of a block.
pub(super) struct PartWriter<'a> {
    folder: &'a Path,
    path: PathBuf,
    packer: &'a Packer,
    state: Mutex<State>,
}

struct State {
    out: BufWriter<NamedTempFile>,
    hash: blake3::Hasher,
    at: u64,
    index: Vec<(ChunkKey, u64, u64)>,
}

impl State {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.hash.update(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let begin = self.at;
        self.index.sort_unstable();
        for (key, at, length) in std::mem::take(&mut self.index) {
            let [variable, time, row, column] =
                [key.variable, key.time, key.row, key.column].map(|n| n as u64);
            self.numbers(&[variable, time, row, column, at, length])?;
        }
        self.numbers(&[begin, (self.at - begin) / ENTRY])?;
        self.out.flush()?;
        self.out.get_ref().as_file().sync_all()
    }

    fn numbers(&mut self, numbers: &[u64]) -> io::Result<()> {
        numbers.iter().try_for_each(|number| self.write(&number.to_le_bytes()))
    }
}

impl<'a> PartWriter<'a> {
    pub(super) fn new(folder: &'a Path, block: usize, packer: &'a Packer) -> Result<Self, Error> {
        let state = State {
            out: BufWriter::with_capacity(BUFFER, folder::temporary(folder)?),
            hash: blake3::Hasher::new(),
            at: 0,
            index: Vec::new(),
        };
        let path = part_path(folder, block);
        Ok(Self { folder, path, packer, state: Mutex::new(state) })
    }

    /// Syncs the file and puts it in its place; one that is there already has no record.
    pub(super) fn finish(self) -> Result<Sum, Error> {
        let Self { folder, path, state, .. } = self;
        let mut state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let error = |error| fail("write", &path, error);
        state.end().map_err(error)?;
        let sum = Sum { bytes: state.at, blake3: state.hash.finalize().to_hex().to_string() };
        let file = state.out.into_inner().map_err(|failed| error(failed.into_error()))?;
        file.persist(&path).map_err(|failed| error(failed.error))?;
        sync_directory(folder).map_err(error)?;
        Ok(sum)
    }

    fn put(&self, key: ChunkKey, bytes: &[u8]) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let at = state.at;
        state.write(bytes).map_err(|error| fail("write", &self.path, error))?;
        state.index.push((key, at, bytes.len() as u64));
        Ok(())
    }
}

impl Sink for PartWriter<'_> {
    fn tile(&self, tile: Tile<'_>) -> Result<(), Error> {
        self.packer.tile(tile, |key, bytes| self.put(key, bytes))
    }

    fn layer(&self, layer: Layer, tile: Tile<'_>) -> Result<(), Error> {
        self.packer.layer(layer, tile, |key, bytes| self.put(key, bytes))
    }

    fn stations(&self, of: StationValues<'_>) -> Result<(), Error> {
        self.packer.stations(of, |key, bytes| self.put(key, bytes))
    }

    fn batch_done(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Whether the file is what its record says; one that is not there is not.
pub(super) fn is_sound(path: &Path, sum: &Sum) -> Result<bool, Error> {
    let read = || -> io::Result<bool> {
        let mut file = File::open(path)?;
        if file.metadata()?.len() != sum.bytes {
            return Ok(false);
        }
        let mut hash = blake3::Hasher::new();
        hash.update_reader(&mut file)?;
        Ok(hash.finalize().to_hex().as_str() == sum.blake3)
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => other.map_err(|error| fail("read", path, error)),
    }
}

/// Hands out the chunks of a sound file, in order.
pub(super) fn replay(
    path: &Path,
    mut put: impl FnMut(ChunkKey, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let error = |error| fail("read", path, error);
    let mut file = File::open(path).map_err(error)?;
    let index = read_index(&mut file).map_err(error)?;
    let mut bytes = Vec::new();
    for [variable, time, row, column, at, length] in index {
        bytes.resize(index_of(length), 0);
        let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut bytes));
        read.map_err(error)?;
        let [variable, time, row, column] = [variable, time, row, column].map(index_of);
        put(ChunkKey { variable, time, row, column }, &bytes)?;
    }
    Ok(())
}

fn read_index(file: &mut File) -> io::Result<Vec<[u64; 6]>> {
    let bytes = file.metadata()?.len();
    let wrong = || io::Error::from(io::ErrorKind::InvalidData);
    file.seek(SeekFrom::Start(bytes.checked_sub(END).ok_or_else(wrong)?))?;
    let [begin, count] = read_numbers(file)?;
    let end = count.checked_mul(ENTRY).and_then(|length| begin.checked_add(length + END));
    if end != Some(bytes) {
        return Err(wrong());
    }
    file.seek(SeekFrom::Start(begin))?;
    let mut file = io::BufReader::new(file);
    let index: Vec<[u64; 6]> =
        (0..count).map(|_| read_numbers(&mut file)).collect::<io::Result<_>>()?;
    let inside =
        |&[.., at, length]: &[u64; 6]| at.checked_add(length).is_some_and(|end| end <= begin);
    if index.iter().all(inside) { Ok(index) } else { Err(wrong()) }
}

fn read_numbers<const N: usize>(from: &mut impl io::Read) -> io::Result<[u64; N]> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes)?;
        *number = u64::from_le_bytes(bytes);
    }
    Ok(numbers)
}

/// Such numbers came from indices.
fn index_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
