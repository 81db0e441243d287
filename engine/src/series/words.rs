//! The words of a treatment, as the command line and HTTP write them.

use std::fmt;
use std::str::FromStr;

use jiff::SpanRelativeTo;

use super::error::SeriesError;

/// A length of time, in whole seconds, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length(i64);

impl Length {
    /// One hour.
    pub const HOUR: Self = Self(3600);
    pub(super) const DAY: Self = Self(24 * 3600);

    /// A length of so many seconds.
    ///
    /// # Errors
    /// Unless it is positive.
    pub fn of_seconds(seconds: i64) -> Result<Self, SeriesError> {
        if seconds < 1 {
            return Err(SeriesError::BadSpan { text: format!("{seconds} s") });
        }
        Ok(Self(seconds))
    }

    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// So many seconds, for messages.
    pub(super) fn told(seconds: i64) -> String {
        Self(seconds).to_string()
    }
}

impl FromStr for Length {
    type Err = SeriesError;

    /// `8h`, `30min`, `1h 30m`, `2d`, or as ISO 8601 has it: `PT8H`. A day is 24 hours.
    fn from_str(text: &str) -> Result<Self, SeriesError> {
        let bad = || SeriesError::BadSpan { text: text.to_owned() };
        let span: jiff::Span = text.trim().parse().map_err(|_| bad())?;
        let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| bad())?;
        if length.subsec_nanos() != 0 {
            return Err(bad());
        }
        Self::of_seconds(length.as_secs()).map_err(|_| bad())
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s if s % 3600 == 0 => write!(f, "{} h", s / 3600),
            s if s % 60 == 0 => write!(f, "{} min", s / 60),
            s => write!(f, "{s} s"),
        }
    }
}

/// Over what readings are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// A running mean of this length, at every step.
    Running(Length),
    /// The calendar day.
    Day,
    /// The calendar month.
    Month,
    /// The calendar year.
    Year,
    /// The largest 8-hour running mean of a day.
    DailyMaximum(MaximumRule),
}

/// Which 8-hour means belong to a day, and how many of them it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaximumRule {
    /// Directive 2008/50/EC, annexes VII and XI: the means that end from 01:00 to 24:00 of the day;
    /// at least 18 of 24.
    Eu,
    /// US 40 CFR 50, appendix U: the means that begin from 07:00 to 23:00 of the day; at least 13
    /// of 17.
    Us,
    /// China, as HJ 663-2013 is used (no copy of its text was at hand): the means that end from 08:00 to
    /// 24:00 of the day; at least 14 of 17.
    Cn,
}

impl MaximumRule {
    /// Hour of the day at which the first 8-hour mean begins.
    pub(super) fn first_hour(self) -> i64 {
        match self {
            Self::Eu => -7,
            Self::Us => 7,
            Self::Cn => 0,
        }
    }

    /// Number of 8-hour means of a day of so many hours.
    pub(super) fn means(self, hours: i64) -> i64 {
        match self {
            Self::Eu => hours,
            Self::Us | Self::Cn => 17,
        }
    }

    /// How many of `means` a day needs by the rule itself.
    pub(super) fn needed(self, means: i64) -> i64 {
        match self {
            Self::Eu => means - means / 4,
            Self::Us => 13,
            Self::Cn => 14,
        }
    }
}

impl FromStr for Average {
    type Err = SeriesError;

    fn from_str(text: &str) -> Result<Self, SeriesError> {
        Ok(match text.trim().to_ascii_lowercase().as_str() {
            "day" => Self::Day,
            "month" => Self::Month,
            "year" => Self::Year,
            "mda8" => Self::DailyMaximum(MaximumRule::Eu),
            "mda8-us" => Self::DailyMaximum(MaximumRule::Us),
            "mda8-cn" => Self::DailyMaximum(MaximumRule::Cn),
            _ => Self::Running(
                text.parse().map_err(|_| SeriesError::BadAverage { text: text.to_owned() })?,
            ),
        })
    }
}

impl fmt::Display for Average {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(length) => write!(f, "running mean over {length}"),
            Self::Day => f.write_str("mean of the day"),
            Self::Month => f.write_str("mean of the month"),
            Self::Year => f.write_str("mean of the year"),
            Self::DailyMaximum(rule) => {
                let rule = match rule {
                    MaximumRule::Eu => "Directive 2008/50/EC",
                    MaximumRule::Us => "40 CFR 50 appendix U",
                    MaximumRule::Cn => "HJ 663-2013",
                };
                write!(f, "largest 8-hour mean of the day ({rule})")
            }
        }
    }
}

/// What part of its hour a reading's time is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamp {
    /// Its beginning: a reading at 07:00 is of 07:00 to 08:00.
    #[default]
    Start,
    /// Its end: a reading at 07:00 is of 06:00 to 07:00.
    End,
}

impl FromStr for Stamp {
    type Err = SeriesError;

    fn from_str(text: &str) -> Result<Self, SeriesError> {
        match text {
            "start" => Ok(Self::Start),
            "end" => Ok(Self::End),
            _ => Err(SeriesError::UnknownWord {
                what: "stamp",
                text: text.to_owned(),
                known: "start, end",
            }),
        }
    }
}

/// What becomes of readings below the detection limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BelowLimit {
    /// Half of the limit.
    #[default]
    Half,
    /// The limit divided by √2.
    Root2,
    /// Missing.
    Drop,
}

impl FromStr for BelowLimit {
    type Err = SeriesError;

    fn from_str(text: &str) -> Result<Self, SeriesError> {
        match text {
            "half" => Ok(Self::Half),
            "root2" => Ok(Self::Root2),
            "drop" => Ok(Self::Drop),
            _ => Err(SeriesError::UnknownWord {
                what: "treatment of readings below the limit",
                text: text.to_owned(),
                known: "half, root2, drop",
            }),
        }
    }
}

/// A share from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(f64);

impl Share {
    /// Three quarters, as the directives ask for.
    pub(super) const USUAL: Self = Self(0.75);

    /// For messages.
    pub(super) fn told(self) -> String {
        format!("{} %", 100.0 * self.0)
    }

    /// A share.
    ///
    /// # Errors
    /// Unless it is from 0 to 1.
    pub fn new(share: f64) -> Result<Self, SeriesError> {
        if !(0.0..=1.0).contains(&share) {
            return Err(SeriesError::BadShare { text: share.to_string() });
        }
        Ok(Self(share))
    }

    /// The least number that is this share of `expected`; at least one.
    #[expect(clippy::cast_precision_loss, reason = "numbers of readings, below 2^53")]
    #[expect(clippy::cast_possible_truncation, reason = "at most `expected`")]
    pub(super) fn of(self, expected: i64) -> i64 {
        // 0.7 × 10 is a little more than 7 in binary.
        (((self.0 * expected as f64) * (1.0 - 1e-12)).ceil() as i64).max(1)
    }
}

impl FromStr for Share {
    type Err = SeriesError;

    fn from_str(text: &str) -> Result<Self, SeriesError> {
        let bad = || SeriesError::BadShare { text: text.to_owned() };
        Self::new(text.trim().parse().map_err(|_| bad())?).map_err(|_| bad())
    }
}

/// A number of robust standard deviations, positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Width(f64);

impl Width {
    /// A width.
    ///
    /// # Errors
    /// Unless it is positive and finite.
    pub fn new(width: f64) -> Result<Self, SeriesError> {
        if !(width > 0.0 && width.is_finite()) {
            return Err(SeriesError::BadWidth { text: width.to_string() });
        }
        Ok(Self(width))
    }

    pub(super) fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for Width {
    type Err = SeriesError;

    fn from_str(text: &str) -> Result<Self, SeriesError> {
        let bad = || SeriesError::BadWidth { text: text.to_owned() };
        Self::new(text.trim().parse().map_err(|_| bad())?).map_err(|_| bad())
    }
}

/// The least that an instrument can tell, of one variable.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectionLimit {
    /// Name of the variable, as in the readings.
    pub variable: String,
    /// In the unit of its readings, positive.
    limit: f64,
}

impl DetectionLimit {
    /// A limit of a variable.
    ///
    /// # Errors
    /// Unless it is positive and finite.
    pub fn new(variable: &str, limit: f64) -> Result<Self, SeriesError> {
        let variable = variable.trim().to_owned();
        if variable.is_empty() || !(limit > 0.0 && limit.is_finite()) {
            return Err(SeriesError::BadLimit { text: format!("{variable}={limit}") });
        }
        Ok(Self { variable, limit })
    }

    pub(super) fn limit(&self) -> f64 {
        self.limit
    }
}

impl FromStr for DetectionLimit {
    type Err = SeriesError;

    fn from_str(text: &str) -> Result<Self, SeriesError> {
        let bad = || SeriesError::BadLimit { text: text.to_owned() };
        let (name, limit) = text.rsplit_once('=').ok_or_else(bad)?;
        Self::new(name, limit.trim().parse().map_err(|_| bad())?).map_err(|_| bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_understood_in_the_usual_ways_and_told_back() {
        for (text, seconds, told) in [
            ("8h", 28_800, "8 h"),
            ("PT8H", 28_800, "8 h"),
            ("24 hours", 86_400, "24 h"),
            ("1d", 86_400, "24 h"),
            ("30min", 1800, "30 min"),
            ("1h 30m", 5400, "90 min"),
            ("90s", 90, "90 s"),
        ] {
            let length: Length = text.parse().expect(text);
            assert_eq!((length.seconds(), length.to_string().as_str()), (seconds, told), "{text}");
        }
        for text in ["", "8", "-8h", "0h", "1.5s", "one hour", "1mo", "99999999999999h"] {
            assert!(text.parse::<Length>().is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_understood_and_wrong_ones_told_with_those_known() {
        assert_eq!("day".parse::<Average>().ok(), Some(Average::Day));
        assert_eq!("8h".parse::<Average>().ok(), Some(Average::Running(Length(28_800))));
        let maximum = Average::DailyMaximum(MaximumRule::Us);
        assert_eq!("MDA8-US".parse::<Average>().ok(), Some(maximum));
        for (error, words) in [
            ("week".parse::<Average>().map(|_| ()), "`week` is no average; write a running"),
            ("1.1".parse::<Share>().map(|_| ()), "`1.1` is no share"),
            ("NaN".parse::<Share>().map(|_| ()), "`NaN` is no share"),
            ("-1".parse::<Width>().map(|_| ()), "`-1` is no width"),
            ("pm25".parse::<DetectionLimit>().map(|_| ()), "write VARIABLE=NUMBER"),
            ("pm25=-2".parse::<DetectionLimit>().map(|_| ()), "`pm25=-2` is no detection limit"),
            ("middle".parse::<Stamp>().map(|_| ()), "known: start, end"),
            ("zero".parse::<BelowLimit>().map(|_| ()), "known: half, root2, drop"),
        ] {
            let error = error.expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn the_least_number_of_a_share_is_not_moved_by_rounding() {
        for (share, expected, least) in [
            (0.75, 24, 18),
            (0.75, 8, 6),
            (0.7, 10, 7),
            (0.75, 17, 13),
            (0.0, 24, 1),
            (1.0, 24, 24),
        ] {
            assert_eq!(Share(share).of(expected), least, "{share} of {expected}");
        }
        for (rule, means, least) in
            [(MaximumRule::Eu, 24, 18), (MaximumRule::Us, 17, 13), (MaximumRule::Cn, 17, 14)]
        {
            assert_eq!((rule.means(24), rule.needed(rule.means(24))), (means, least));
        }
    }
}
