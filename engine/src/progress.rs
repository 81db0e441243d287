//! Word of progress to whoever waits, and word to stop from them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::error::Error;

/// What a run is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading and checking the readings.
    Read,
    /// Choosing kernel, range and smoothing.
    Choose,
    /// Factorising the network.
    Factorise,
    /// Weights and leave-one-out residuals.
    Solve,
    /// Evaluating, compressing and writing tiles.
    Evaluate,
    /// Closing, syncing and renaming the file.
    Finish,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A stage began.
    Began(Stage),
    /// So many of all values (cells × fields) are done.
    Values {
        /// Done so far.
        done: u64,
        /// In all.
        total: u64,
    },
}

/// A flag that stops a run: between rows of a tile and between stages. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the run to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`Error::Cancelled`] when asked to stop.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Where events go and where the word to stop comes from.
#[derive(Clone, Copy)]
pub struct Progress<'a> {
    /// Called from any worker thread.
    pub on_event: &'a (dyn Fn(Event) + Sync),
    /// Asked between rows.
    pub cancel: &'a Cancel,
}

impl Progress<'_> {
    /// Tells that a stage begins, unless asked to stop.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when asked to stop.
    pub fn begin(&self, stage: Stage) -> Result<(), Error> {
        self.cancel.check()?;
        (self.on_event)(Event::Began(stage));
        Ok(())
    }
}
