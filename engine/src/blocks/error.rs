//! What can be wrong with a folder of work.

use std::path::PathBuf;

/// Why work cannot go on in a folder.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// It is of another map.
    #[error(
        "{} holds work begun with other {what}: go on with those, or name another folder",
        folder.display()
    )]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// "readings", "grid", …
        what: String,
    },
    /// It is no folder of work.
    #[error(
        "{} holds `{found}`, which is no work of isopleth; name an empty or a new folder",
        folder.display()
    )]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// What is in it.
        found: String,
    },
    /// Another process has it open.
    #[error("another process works in {}; wait for it, or name another folder", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A file of it cannot be understood.
    #[error("{} is damaged ({why}); remove its folder and begin again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Blocks were computed again and again, and their files were damaged each time.
    #[error("parts in {} were damaged {times} times in a row: is the disk sound?", folder.display())]
    KeepsBeingDamaged {
        /// The folder.
        folder: PathBuf,
        /// How often.
        times: usize,
    },
    /// A file cannot be put together from some blocks.
    #[error("{missing} of {blocks} blocks are not done yet")]
    Incomplete {
        /// Blocks that are not.
        missing: usize,
        /// All.
        blocks: usize,
    },
}

impl WorkError {
    /// Whether the machine is to blame, and not what was asked for.
    #[must_use]
    pub fn is_io(&self) -> bool {
        !matches!(self, Self::Foreign { .. } | Self::NotOurs { .. })
    }
}
