//! Readings and stations that cannot be right: flagged, never deleted in silence.
//!
//! ```text
//! limits     what a variable can be, and how fast it can change
//! series     rate, stuck: one streaming pass over the time steps
//! places     place, duplicate: what the stations alone tell
//! examine    all of these at one time step, and what the policy rejects
//! buddy      a reading beside its neighbours, once leave-one-out residuals are known
//! ledger     what was flagged, for the report
//! ```
//!
//! A flagged reading is used all the same, unless the policy ([`Reject`]) says otherwise; then it is
//! treated as missing, and counted. What the tests are, and how often they are wrong on real
//! networks: docs/quality.md.

pub(crate) mod buddy;
mod examine;
mod ledger;
mod limits;
mod lore;
mod places;
mod rules;
mod series;

pub(crate) use examine::Exam;
pub use examine::examine;
pub use ledger::{FlagReport, PlaceReport, QualityReport, WorstStation};
pub(crate) use ledger::{Ledger, Tally};
pub(crate) use lore::Lore;
pub use rules::{Reject, RuleError, Rules};

use serde::Serialize;

/// Why a reading may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// Beyond what the variable can be.
    Range,
    /// Changed faster than the variable can.
    Rate,
    /// The same value for too long.
    Stuck,
    /// Far from what its neighbours tell.
    Buddy,
    /// Two codes at one place tell different values.
    Duplicate,
    /// The station cannot be where it is said to be.
    Place,
    /// The station is said to be in the sea.
    Sea,
}

/// How sure a flag is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Impossible.
    Bad,
    /// Unlikely; a real event may look so.
    Suspect,
}

impl Severity {
    /// The word in reports and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Suspect => "suspect",
        }
    }
}

impl Flag {
    /// All flags, in the order of their bits.
    pub const ALL: [Self; 7] = [
        Self::Range,
        Self::Rate,
        Self::Stuck,
        Self::Buddy,
        Self::Duplicate,
        Self::Place,
        Self::Sea,
    ];

    /// The word in files, reports and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::Rate => "rate",
            Self::Stuck => "stuck",
            Self::Buddy => "buddy",
            Self::Duplicate => "duplicate",
            Self::Place => "place",
            Self::Sea => "sea",
        }
    }

    /// Its bit in a byte of flags.
    #[must_use]
    pub fn mask(self) -> u8 {
        1 << self as u8
    }

    /// How sure it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::Range | Self::Place => Severity::Bad,
            Self::Rate | Self::Stuck | Self::Buddy | Self::Duplicate | Self::Sea => {
                Severity::Suspect
            }
        }
    }
}

/// A byte of flags where there is no reading.
pub const NO_READING: u8 = 1 << 7;

/// Whether a byte of flags holds one.
#[must_use]
pub(crate) fn has(flags: u8, flag: Flag) -> bool {
    flags & flag.mask() != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_share_a_byte_with_the_mark_of_no_reading() {
        let all = Flag::ALL.iter().fold(0, |all, flag| {
            assert_eq!(all & flag.mask(), 0, "{flag:?}");
            all | flag.mask()
        });
        assert_eq!(all, !NO_READING);
    }
}
