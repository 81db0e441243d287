//! That a block is done, and what the report needs of it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::WorkError;
use super::folder;
use super::part::{self, Sum, part_path};
use crate::error::Error;
use crate::quality::Tally;
use crate::recorder::Share;

/// Written once a part is in its place.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Of the job.
    identity: String,
    block: usize,
    bytes: u64,
    blake3: String,
    pub(super) share: Share,
    pub(super) tally: Tally,
}

impl Record {
    pub(super) fn new(identity: &str, block: usize, sum: Sum, share: Share, tally: Tally) -> Self {
        let Sum { bytes, blake3 } = sum;
        Self { identity: identity.to_owned(), block, bytes, blake3, share, tally }
    }

    pub(super) fn path(folder: &Path, block: usize) -> PathBuf {
        folder.join(format!("block-{block:05}.json"))
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = Self::path(folder, self.block);
        let bytes = serde_json::to_vec(self)
            .map_err(|error| WorkError::Damaged { path: path.clone(), why: error.to_string() })?;
        folder::put_if_absent(folder, &path, &bytes)
    }

    /// The record of a block; none where it is damaged, or its part is: then both are removed, and
    /// the block is to be computed again.
    ///
    /// # Errors
    /// If it is of another job.
    pub(super) fn read_sound(
        folder: &Path,
        identity: &str,
        block: usize,
    ) -> Result<Option<Self>, Error> {
        let (path, part) = (Self::path(folder, block), part_path(folder, block));
        let bytes = folder::read(&path)?.unwrap_or_default();
        if let Ok(record) = serde_json::from_slice::<Self>(&bytes) {
            if record.identity != identity || record.block != block {
                let what = format!("readings, grid or settings (block {block})");
                return Err(WorkError::Foreign { folder: folder.to_owned(), what }.into());
            }
            let sum = Sum { bytes: record.bytes, blake3: record.blake3.clone() };
            if part::is_sound(&part, &sum)? {
                return Ok(Some(record));
            }
        }
        folder::remove_file(&path)?;
        folder::remove_file(&part)?;
        Ok(None)
    }
}
