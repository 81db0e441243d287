//! Receives what a source has: within the limit, with a digest, in memory or in a file without a name.

use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;

use super::{Limits, SourceError};
use crate::body::Spool;

/// What is kept in memory; more goes to a temporary file.
const IN_MEMORY: usize = 1 << 20;

/// Takes bytes, up to a limit.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    limits: &'a Limits<'a>,
    spill: PathBuf,
    memory: Vec<u8>,
    file: Option<std::fs::File>,
    digest: blake3::Hasher,
    length: u64,
}

/// What was received.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) body: Spool,
    pub(super) digest: String,
    pub(super) length: u64,
}

impl<'a> Sink<'a> {
    pub(super) fn new(limits: &'a Limits<'a>) -> Self {
        let (memory, digest) = (Vec::new(), blake3::Hasher::new());
        Self { limits, spill: limits.spill.to_owned(), memory, file: None, digest, length: 0 }
    }

    /// Takes all that a reader has; `reading` says what an error of its own means.
    pub(super) fn take(
        &mut self,
        reader: &mut dyn Read,
        reading: impl Fn(io::Error) -> SourceError,
    ) -> Result<(), SourceError> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            if self.limits.cancel.is_cancelled() {
                return Err(SourceError::Cancelled { name: self.limits.name.to_owned() });
            }
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => self.push(&buffer[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(reading(error)),
            }
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), SourceError> {
        self.length += bytes.len() as u64;
        if self.length > self.limits.bytes {
            let (name, limit) = (self.limits.name.to_owned(), self.limits.bytes);
            return Err(SourceError::TooLarge { name, limit });
        }
        self.digest.update(bytes);
        self.keep(bytes).map_err(|error| self.full(&error))
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + bytes.len() <= IN_MEMORY {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        if self.file.is_none() {
            let mut file = tempfile::tempfile_in(&self.spill)?;
            file.write_all(&std::mem::take(&mut self.memory))?;
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => Ok(()),
        }
    }

    fn full(&self, error: &io::Error) -> SourceError {
        let what = format!("the readings cannot be kept in {}: {error}", self.spill.display());
        SourceError::passing(self.limits.name, what)
    }

    pub(super) fn finish(mut self) -> Result<Received, SourceError> {
        if let Some(file) = &mut self.file {
            let rewound = file.rewind();
            rewound.map_err(|error| self.full(&error))?;
        }
        let body = self.file.map_or(Spool::Memory(self.memory), Spool::File);
        let digest = self.digest.finalize().to_hex().to_string();
        Ok(Received { body, digest, length: self.length })
    }
}
