//! What time it is: the system's word, or that of a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// A clock for whatever depends on the hour. Leases of processes go by the system's, whatever this one says.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's.
    #[default]
    System,
    /// One that stands still until it is set, in milliseconds since 1970; clones are set together.
    Told(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that says this.
    #[must_use]
    pub fn told(now: Timestamp) -> Self {
        Self::Told(Arc::new(AtomicI64::new(now.as_millisecond())))
    }

    /// Sets a clock that is told; the system's is left alone.
    pub fn set(&self, now: Timestamp) {
        if let Self::Told(at) = self {
            at.store(now.as_millisecond(), Ordering::SeqCst);
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Told(at) => {
                Timestamp::from_millisecond(at.load(Ordering::SeqCst)).unwrap_or_default()
            }
        }
    }
}
