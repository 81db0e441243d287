//! A run in independent blocks of time steps, which continues after a crash and gives the same bytes.
//!
//! ```text
//! job.json         what the work is of, when it began, how it is divided       once, never changed
//! methods.json     kernel, range, smoothing, as chosen                         once, before any block
//! block-00012.part packed chunks of its maps, layers and stations              before its record
//! block-00012.json sizes, checksum, what the report needs of it: it is done    once
//! ```
//!
//! Each file appears whole or not at all. Whoever opens the folder holds its lock, so what has a
//! temporary name is of somebody who died, and is removed. Blocks may be run in any order and in any
//! process; a block depends on its own time steps only, so the pilot of a fast evaluation and the errors'
//! scale and shape begin anew in each. [`Worker::assemble`] puts the chunks into one file, block by
//! block and sorted within, after their checksums were compared. Nothing that depends on when, where or
//! how often the work was interrupted enters the file.

mod error;
mod folder;
mod job;
mod part;
mod record;
mod worker;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub use error::WorkError;
pub use job::BlockSize;
pub use worker::Worker;

use crate::error::Error;
use crate::output::Provenance;
use crate::plan::Plan;
use job::Job;
use record::Record;

/// A folder in which a map is made, block by block.
#[derive(Debug)]
pub struct Work {
    folder: PathBuf,
    job: Job,
    /// Locked for as long as the work is open.
    _lock: File,
}

impl Work {
    /// Begins work in a folder, or opens what was begun there of the same readings, grid and
    /// settings. The plan is set to the batches that the work was begun with, on which bits depend.
    ///
    /// `provenance` is that of the first time.
    ///
    /// # Errors
    /// If the folder holds the work of another map, or other things; another process works in it; it
    /// cannot be written to.
    pub fn open(
        folder: &Path,
        plan: &mut Plan,
        provenance: &Provenance,
        size: BlockSize,
    ) -> Result<Self, Error> {
        let lock = folder::lock(folder)?;
        let new = Job::new(plan, provenance, size)?;
        let job = match Job::read(folder)? {
            Some(known) => {
                new.must_be(&known, folder)?;
                known
            }
            None => {
                folder::must_be_empty(folder)?;
                new.write(folder)?;
                new
            }
        };
        job.divide_like_this(plan);
        folder::remove_temporary(folder)?;
        Ok(Self { folder: folder.to_owned(), job, _lock: lock })
    }

    /// Identifies readings, grid, settings, software and instruction set: equal identities make equal
    /// maps.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.job.identity
    }

    /// Blocks in all.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.job.steps.div_ceil(self.job.steps_per_block)
    }

    /// Time steps of a block.
    #[must_use]
    pub fn steps(&self, block: usize) -> Range<usize> {
        let first = block * self.job.steps_per_block;
        first.min(self.job.steps)..(first + self.job.steps_per_block).min(self.job.steps)
    }

    /// Whether a block is done.
    #[must_use]
    pub fn is_done(&self, block: usize) -> bool {
        Record::path(&self.folder, block).is_file()
    }

    /// Blocks that are done.
    #[must_use]
    pub fn done(&self) -> usize {
        (0..self.blocks()).filter(|&block| self.is_done(block)).count()
    }

    /// Removes the work, and the folder unless somebody put something into it.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn remove(self) -> Result<(), Error> {
        folder::remove(&self.folder, self.blocks())
    }
}
