//! What is examined, with the limits that the user gives, and what is done with what is found.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::{Flag, Severity};
use crate::kernels;

/// Which readings are treated as missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reject {
    /// None: flags are told, nothing else.
    #[default]
    None,
    /// Those with a flag of [`Severity::Bad`].
    Bad,
    /// Those with any flag.
    Suspect,
}

impl Reject {
    /// All policies, the mildest first.
    pub const ALL: [Self; 3] = [Self::None, Self::Bad, Self::Suspect];

    /// The name used on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bad => "bad",
            Self::Suspect => "suspect",
        }
    }

    /// Whether a reading with these flags is treated as missing.
    #[must_use]
    pub fn rejects(self, flags: u8) -> bool {
        Flag::ALL.into_iter().filter(|&flag| super::has(flags, flag)).any(|flag| match self {
            Self::None => false,
            Self::Bad => flag.severity() == Severity::Bad,
            Self::Suspect => true,
        })
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Reject {
    type Err = kernels::Error;

    fn from_str(name: &str) -> Result<Self, kernels::Error> {
        Self::ALL.into_iter().find(|r| r.name() == name).ok_or_else(|| {
            kernels::Error::UnknownName {
                what: "policy for flagged readings",
                got: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            }
        })
    }
}

/// What is examined. The defaults suit hourly readings of known variables.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rules {
    /// What is done with flagged readings.
    pub reject: Reject,
    /// Smallest and largest value of a variable, in the unit received; instead of what is known.
    pub ranges: Vec<(String, [f64; 2])>,
    /// Largest change of a variable in an hour, likewise.
    pub rates: Vec<(String, f64)>,
    /// Flag a value that so many readings in a row repeat, over at least as many hours less one.
    /// Measured on two days of AirNow: 6 flags 0.8 % of the ozone, 8 flags 0.3 %.
    pub stuck: Option<u32>,
    /// Flag a leave-one-out residual of so many local spreads.
    pub buddy: Option<f64>,
    /// Stations outside west, south, east, north cannot be right; in degrees, west > east crosses
    /// the date line.
    pub inside: Option<[f64; 4]>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            reject: Reject::None,
            ranges: Vec::new(),
            rates: Vec::new(),
            stuck: Some(8),
            buddy: Some(5.0),
            inside: None,
        }
    }
}

impl Rules {
    /// Adds `pm25=0..1000` to the ranges; either end may be left open.
    ///
    /// # Errors
    /// When the text is no range.
    pub fn add_range(&mut self, text: &str) -> Result<(), RuleError> {
        let wrong = || RuleError::Range { text: text.to_owned() };
        let (name, range) = text.split_once('=').ok_or_else(wrong)?;
        let (low, high) = range.split_once("..").ok_or_else(wrong)?;
        let end = |text: &str, open: f64| match text.trim() {
            "" => Ok(open),
            number => number.parse::<f64>().ok().filter(|n| n.is_finite()).ok_or_else(wrong),
        };
        let range = [end(low, f64::NEG_INFINITY)?, end(high, f64::INFINITY)?];
        if range[0] >= range[1] || name.trim().is_empty() {
            return Err(wrong());
        }
        self.ranges.push((name.trim().to_owned(), range));
        Ok(())
    }

    /// Adds `pm25=200` to the rates.
    ///
    /// # Errors
    /// When the text is no rate.
    pub fn add_rate(&mut self, text: &str) -> Result<(), RuleError> {
        let rate = text.split_once('=').and_then(|(name, rate)| {
            let rate = rate.trim().parse::<f64>().ok().filter(|r| r.is_finite() && *r > 0.0)?;
            (!name.trim().is_empty()).then(|| (name.trim().to_owned(), rate))
        });
        self.rates.push(rate.ok_or_else(|| RuleError::Rate { text: text.to_owned() })?);
        Ok(())
    }

    /// # Errors
    /// When a number makes no sense; names are checked when the readings are known.
    pub(crate) fn check(&self, in_degrees: bool) -> Result<(), RuleError> {
        if let Some(readings) = self.stuck.filter(|&k| k < 2) {
            return Err(RuleError::Stuck { readings });
        }
        if let Some(spreads) = self.buddy.filter(|k| !(*k > 0.0 && k.is_finite())) {
            return Err(RuleError::Buddy { spreads });
        }
        match self.inside {
            Some(bounds @ [west, south, east, north])
                if !(bounds.iter().all(|b| b.is_finite())
                    && south < north
                    && (west < east || in_degrees && west > east)) =>
            {
                Err(RuleError::Inside { bounds })
            }
            _ => Ok(()),
        }
    }
}

/// A rule that makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// Not a range.
    #[error(
        "valid range `{text}`: expected variable=low..high with low below high, such as pm25=0..1000"
    )]
    Range {
        /// What we got.
        text: String,
    },
    /// Not a rate.
    #[error("rate limit `{text}`: expected variable=change in an hour, such as pm25=200")]
    Rate {
        /// What we got.
        text: String,
    },
    /// A value that is there once repeats nothing.
    #[error("stuck after {readings} equal readings: at least 2 are needed; `off` examines nothing")]
    Stuck {
        /// What we got.
        readings: u32,
    },
    /// Not a number of spreads.
    #[error("buddy check at {spreads} spreads: expected a positive number; `off` examines nothing")]
    Buddy {
        /// What we got.
        spreads: f64,
    },
    /// Not a box.
    #[error(
        "stations inside {bounds:?}: expected west,south,east,north with south below north, and west \
         below east unless the box crosses the date line"
    )]
    Inside {
        /// What we got.
        bounds: [f64; 4],
    },
    /// A limit for a variable that is not there.
    #[error("a limit is given for `{got}`, but the readings hold {known}")]
    Variable {
        /// What we got.
        got: String,
        /// What there is.
        known: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_rates_are_read_as_they_are_written() {
        let mut rules = Rules::default();
        for text in ["pm25=0..1000", " t = -90 .. 60", "o3=..500", "co=-1.."] {
            rules.add_range(text).expect(text);
        }
        let (low, high) = (f64::NEG_INFINITY, f64::INFINITY);
        let want = [[0.0, 1000.0], [-90.0, 60.0], [low, 500.0], [-1.0, high]];
        assert_eq!(rules.ranges.iter().map(|(_, range)| *range).collect::<Vec<_>>(), want);
        assert_eq!(rules.ranges[1].0, "t");
        rules.add_rate("pm25=200").expect("a rate");
        assert_eq!(rules.rates, [("pm25".to_owned(), 200.0)]);
        for wrong in ["pm25", "pm25=5", "pm25=9..1", "=0..1", "pm25=a..b", "pm25=0..inf"] {
            let error = rules.add_range(wrong).expect_err(wrong).to_string();
            assert!(error.contains(wrong) && error.contains("pm25=0..1000"), "{error}");
        }
        for wrong in ["pm25", "pm25=0", "pm25=-3", "=3", "pm25=fast"] {
            assert!(rules.add_rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_without_sense_are_told() {
        assert_eq!(Rules::default().check(true), Ok(()));
        let with = |change: fn(&mut Rules)| {
            let mut rules = Rules::default();
            change(&mut rules);
            rules.check(false).expect_err("no sense")
        };
        assert!(matches!(with(|r| r.stuck = Some(1)), RuleError::Stuck { readings: 1 }));
        assert!(matches!(with(|r| r.buddy = Some(-1.0)), RuleError::Buddy { .. }));
        let inside = with(|r| r.inside = Some([10.0, 0.0, 5.0, 9.0]));
        assert!(matches!(inside, RuleError::Inside { .. }));
    }

    #[test]
    fn the_policy_rejects_what_its_name_says() {
        let (range, rate) = (Flag::Range.mask(), Flag::Rate.mask());
        for (policy, want) in [
            (Reject::None, [false, false, false, false]),
            (Reject::Bad, [false, true, false, true]),
            (Reject::Suspect, [false, true, true, true]),
        ] {
            assert_eq!([0, range, rate, range | rate].map(|f| policy.rejects(f)), want, "{policy}");
            assert_eq!(policy.name().parse(), Ok(policy));
            assert!(!policy.rejects(super::super::NO_READING));
        }
    }
}
