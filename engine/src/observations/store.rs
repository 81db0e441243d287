//! Readings as 24 bytes each: in memory up to a limit, beyond it in an unnamed temporary file.
//!
//! Readings come in any order. Full memory is sorted and written as a run; at the end the runs are
//! merged once, repeated readings are resolved, and what is left stands in order of (time,
//! variable, station), so that a time step is one stretch of the file (external merge sort: Knuth,
//! The Art of Computer Programming 3, 5.4).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use crate::network::Duplicates;

/// Time, variable, station: the order of readings.
type Key = (u32, u32, u32);

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Record {
    /// Number of the time, in order of arrival.
    pub(crate) time: u32,
    pub(crate) variable: u32,
    pub(crate) station: u32,
    /// Row, counted over all sources; for messages only.
    pub(crate) ordinal: u32,
    pub(crate) value: f64,
}

impl Record {
    const BYTES: usize = 24;

    fn key(&self) -> Key {
        (self.time, self.variable, self.station)
    }

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let words = [self.time, self.variable, self.station, self.ordinal];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes[16..].copy_from_slice(&self.value.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            time: word(bytes, 0),
            variable: word(bytes, 4),
            station: word(bytes, 8),
            ordinal: word(bytes, 12),
            value: number(bytes, 16),
        }
    }
}

/// A reading of a known time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) variable: u32,
    pub(crate) station: u32,
    pub(crate) value: f64,
}

impl Entry {
    const BYTES: usize = 16;

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.variable.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.station.to_le_bytes());
        bytes[8..].copy_from_slice(&self.value.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        Self { variable: word(bytes, 0), station: word(bytes, 4), value: number(bytes, 8) }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes were sliced"))
}

fn number(bytes: &[u8], at: usize) -> f64 {
    f64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were sliced"))
}

/// Takes readings in any order.
#[derive(Debug)]
pub(crate) struct Store {
    records: Vec<Record>,
    /// Records kept before a run is written.
    room: usize,
    file: Option<File>,
    /// Records of each run in the file, one after another.
    runs: Vec<u64>,
}

/// Why readings cannot be put in order.
#[derive(Debug)]
pub(crate) enum StoreError {
    Io(io::Error),
    /// Two readings of one station, variable and time, and that was to be an error.
    Repeated(Record, Record),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Store {
    /// A store that keeps to `limit_bytes` of memory, half as much again counted for sorting.
    pub(crate) fn new(limit_bytes: u64) -> Self {
        let room = usize::try_from(limit_bytes / (Record::BYTES as u64 * 3 / 2));
        Self {
            records: Vec::new(),
            room: room.unwrap_or(usize::MAX).max(1),
            file: None,
            runs: Vec::new(),
        }
    }

    /// Adds a reading.
    pub(crate) fn push(&mut self, record: Record) -> io::Result<()> {
        if self.records.len() >= self.room {
            self.write_run()?;
        }
        self.records.push(record);
        Ok(())
    }

    fn write_run(&mut self) -> io::Result<()> {
        // Stable: equal keys stay in the order of arrival.
        self.records.sort_by_key(Record::key);
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile()?,
        };
        let mut writer = BufWriter::with_capacity(1 << 16, file);
        for record in &self.records {
            writer.write_all(&record.to_bytes())?;
        }
        self.file = Some(writer.into_inner().map_err(io::IntoInnerError::into_error)?);
        self.runs.push(self.records.len() as u64);
        self.records.clear();
        Ok(())
    }

    /// Puts the readings of `times` times in order and resolves repeated ones.
    pub(crate) fn finish(
        mut self,
        times: usize,
        duplicates: Duplicates,
    ) -> Result<Sorted, StoreError> {
        if self.runs.is_empty() {
            self.records.sort_by_key(Record::key);
            let mut entries = Vec::with_capacity(self.records.len());
            let resolved = resolve(
                self.records.iter().map(|record| Ok(*record)),
                times,
                duplicates,
                |entry| {
                    entries.push(entry);
                    Ok(())
                },
            )?;
            return Ok(Sorted { kept: Kept::Memory(entries), resolved });
        }
        if !self.records.is_empty() {
            self.write_run()?;
        }
        let unsorted = self.file.take().expect("a run was written");
        let buffer = (self.room / self.runs.len()).clamp(16, 4096);
        self.records = Vec::new();
        let merge = Merge::new(&unsorted, &self.runs, buffer)?;
        let mut writer = BufWriter::with_capacity(1 << 16, tempfile::tempfile()?);
        let resolved =
            resolve(merge, times, duplicates, |entry| writer.write_all(&entry.to_bytes()))?;
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Sorted { kept: Kept::File(file), resolved })
    }
}

/// Readings in order of (time, variable, station), each once.
#[derive(Debug)]
pub(crate) struct Sorted {
    kept: Kept,
    resolved: Resolved,
}

#[derive(Debug)]
enum Kept {
    Memory(Vec<Entry>),
    File(File),
}

/// What resolving found.
#[derive(Debug)]
struct Resolved {
    /// `starts[t]..starts[t + 1]`: entries of time `t`.
    starts: Vec<u64>,
    repeated: u64,
}

impl Sorted {
    /// Readings that were one too many for their station, variable and time.
    pub(crate) fn repeated(&self) -> u64 {
        self.resolved.repeated
    }

    /// Number of readings of one time.
    pub(super) fn count(&self, time: usize) -> u64 {
        self.resolved.starts[time + 1] - self.resolved.starts[time]
    }

    /// Hands out the readings of one time, in order.
    pub(crate) fn each(&self, time: usize, mut take: impl FnMut(Entry)) -> io::Result<()> {
        let (from, to) = (self.resolved.starts[time], self.resolved.starts[time + 1]);
        match &self.kept {
            Kept::Memory(entries) => {
                let index = |at: u64| usize::try_from(at).expect("entries are in memory");
                entries[index(from)..index(to)].iter().copied().for_each(take);
            }
            Kept::File(file) => {
                let mut buffer = vec![0; 4096 * Entry::BYTES];
                let (mut at, end) = (from * Entry::BYTES as u64, to * Entry::BYTES as u64);
                while at < end {
                    let count = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
                    file.read_exact_at(&mut buffer[..count], at)?;
                    buffer[..count]
                        .chunks_exact(Entry::BYTES)
                        .map(Entry::from_bytes)
                        .for_each(&mut take);
                    at += count as u64;
                }
            }
        }
        Ok(())
    }
}

/// Passes on one entry for each key of the sorted records.
fn resolve(
    records: impl Iterator<Item = io::Result<Record>>,
    times: usize,
    duplicates: Duplicates,
    mut keep: impl FnMut(Entry) -> io::Result<()>,
) -> Result<Resolved, StoreError> {
    let mut counts = vec![0_u64; times];
    let mut repeated = 0;
    let mut group: Option<(Record, u32)> = None;
    let mut close = |(record, count): (Record, u32)| {
        counts[record.time as usize] += 1;
        let mean = duplicates == Duplicates::Mean && count > 1;
        let value = if mean { record.value / f64::from(count) } else { record.value };
        keep(Entry { variable: record.variable, station: record.station, value })
    };
    for record in records {
        let record = record?;
        match &mut group {
            Some((first, count)) if first.key() == record.key() => {
                repeated += 1;
                *count += 1;
                match duplicates {
                    Duplicates::Error => return Err(StoreError::Repeated(*first, record)),
                    Duplicates::Mean => first.value += record.value,
                    Duplicates::First => {}
                    Duplicates::Last => first.value = record.value,
                }
            }
            _ => {
                if let Some(done) = group.replace((record, 1)) {
                    close(done)?;
                }
            }
        }
    }
    if let Some(done) = group {
        close(done)?;
    }
    let mut starts = Vec::with_capacity(times + 1);
    let mut start = 0;
    starts.push(start);
    for count in counts {
        start += count;
        starts.push(start);
    }
    Ok(Resolved { starts, repeated })
}

/// The runs of a file as one sorted stream.
struct Merge<'a> {
    file: &'a File,
    runs: Vec<Run>,
    /// The next record of each run that has one; ties go to the earlier run.
    heads: BinaryHeap<Reverse<(Key, usize)>>,
}

/// What is left of one run.
struct Run {
    /// Byte position of what is not in `buffer` yet.
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    next: usize,
}

impl<'a> Merge<'a> {
    fn new(file: &'a File, lengths: &[u64], buffer_records: usize) -> io::Result<Self> {
        let mut at = 0;
        let mut merge = Self { file, runs: Vec::new(), heads: BinaryHeap::new() };
        for (index, length) in lengths.iter().enumerate() {
            let end = at + length * Record::BYTES as u64;
            let buffer = Vec::with_capacity(buffer_records * Record::BYTES);
            let mut run = Run { at, end, buffer, next: 0 };
            if let Some(record) = run.peek(file)? {
                merge.heads.push(Reverse((record.key(), index)));
            }
            merge.runs.push(run);
            at = end;
        }
        Ok(merge)
    }

    fn advance(&mut self, index: usize) -> io::Result<Record> {
        let run = &mut self.runs[index];
        let record = run.peek(self.file)?.expect("only runs with a record stand in the heap");
        run.next += Record::BYTES;
        if let Some(following) = run.peek(self.file)? {
            self.heads.push(Reverse((following.key(), index)));
        }
        Ok(record)
    }
}

impl Iterator for Merge<'_> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((_, index)) = self.heads.pop()?;
        Some(self.advance(index))
    }
}

impl Run {
    fn peek(&mut self, file: &File) -> io::Result<Option<Record>> {
        if self.next == self.buffer.len() {
            if self.at == self.end {
                return Ok(None);
            }
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            self.buffer.resize(self.buffer.capacity().min(left), 0);
            file.read_exact_at(&mut self.buffer, self.at)?;
            self.at += self.buffer.len() as u64;
            self.next = 0;
        }
        Ok(Some(Record::from_bytes(&self.buffer[self.next..self.next + Record::BYTES])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record((time, variable, station, value): (u32, u32, u32, i32)) -> Record {
        Record { time, variable, station, ordinal: 0, value: f64::from(value) }
    }

    fn all(sorted: &Sorted, times: usize) -> Vec<Vec<Entry>> {
        (0..times)
            .map(|time| {
                let mut entries = Vec::new();
                sorted.each(time, |entry| entries.push(entry)).expect("readable");
                entries
            })
            .collect()
    }

    proptest! {
        #[test]
        fn what_goes_to_disk_comes_back_as_from_memory(
            readings in prop::collection::vec((0..6_u32, 0..3_u32, 0..9_u32, -50..50), 0..400),
            limit in 1..4000_u64,
            rule in prop::sample::select(vec![Duplicates::Mean, Duplicates::First, Duplicates::Last]),
        ) {
            let [small, large] = [limit, u64::MAX].map(|limit| {
                let mut store = Store::new(limit);
                for reading in &readings {
                    store.push(record(*reading)).expect("a temporary file");
                }
                store.finish(6, rule).expect("no rule refuses")
            });
            prop_assert_eq!(all(&small, 6), all(&large, 6));
            prop_assert_eq!(small.repeated(), large.repeated());
        }
    }

    #[test]
    fn repeated_readings_follow_the_rule() {
        let finish = |rule| {
            let mut store = Store::new(40);
            for value in [1, 2, 6] {
                store.push(record((0, 0, 0, value))).expect("a temporary file");
            }
            store.finish(1, rule)
        };
        for (rule, value) in
            [(Duplicates::Mean, 3.0), (Duplicates::First, 1.0), (Duplicates::Last, 6.0)]
        {
            let sorted = finish(rule).expect("resolved");
            assert_eq!(all(&sorted, 1)[0], [Entry { variable: 0, station: 0, value }]);
            assert_eq!(sorted.repeated(), 2);
        }
        assert!(matches!(finish(Duplicates::Error), Err(StoreError::Repeated(..))));
    }
}
