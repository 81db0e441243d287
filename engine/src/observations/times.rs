//! From text to seconds, and which times are wanted.

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

use super::UnixSeconds;
use super::error::ReadError;

/// Understands times; those without an offset are in the zone told, UTC by default. Where clocks
/// are put back, such a time is the earlier of the two; where they are put forward, the later.
#[derive(Debug)]
pub(crate) struct Clock {
    zone: TimeZone,
}

/// How far a time was written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Precision {
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

impl Clock {
    /// A clock in the zone told.
    pub(crate) fn new(zone: Option<&str>) -> Result<Self, ReadError> {
        let zone = match zone {
            None => TimeZone::UTC,
            Some(name) => known_zone(name.trim())
                .ok_or_else(|| ReadError::UnknownZone { zone: name.to_owned() })?,
        };
        Ok(Self { zone })
    }

    /// The zone of times without an offset.
    pub(crate) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The same for columns whose name says UTC.
    pub(super) fn utc() -> Self {
        Self { zone: TimeZone::UTC }
    }

    /// ISO 8601 (`T` or a space between date and time, any precision from the day on), or
    /// `YYYYMMDD`, `YYYYMMDDHH`, `YYYYMMDDHHMM`, `YYYYMMDDHHMMSS`. Fractions of a second are cut.
    pub(crate) fn instant(&self, text: &str) -> Option<UnixSeconds> {
        let text = text.trim();
        if let Ok(stamp) = text.parse::<Timestamp>() {
            return Some(UnixSeconds(floor_second(stamp)));
        }
        self.local(civil(text)?.0)
    }

    /// A date in one cell and an hour (`7`, `07`, `7.0`, `07:30`, `24`) or a time in another.
    pub(super) fn date_and_hour(&self, date: &str, hour: &str) -> Option<UnixSeconds> {
        let (date, hour) = (date.trim(), hour.trim());
        let (day, Precision::Day) = civil(date)? else { return None };
        let mut parts = hour.splitn(3, ':');
        let first = parts.next()?;
        let hours: i64 = first.strip_suffix(".0").unwrap_or(first).parse().ok()?;
        if !(0..=24).contains(&hours) {
            return None;
        }
        let mut sexagesimal = || match parts.next() {
            None => Some(0),
            Some(part) => part.parse::<i64>().ok().filter(|n| (0..60).contains(n)),
        };
        let (minutes, seconds) = (sexagesimal()?, sexagesimal()?);
        let total = hours * 3600 + minutes * 60 + seconds;
        if total > 24 * 3600 {
            return None;
        }
        self.local(day.checked_add(total.seconds()).ok()?)
    }

    fn local(&self, time: DateTime) -> Option<UnixSeconds> {
        let zoned = self.zone.to_ambiguous_zoned(time).compatible().ok()?;
        Some(UnixSeconds(floor_second(zoned.timestamp())))
    }

    /// The stretch of time that a text covers, its end excluded.
    fn stretch(&self, text: &str) -> Option<[i64; 2]> {
        let text = text.trim();
        if let Ok(stamp) = text.parse::<Timestamp>() {
            let start = floor_second(stamp);
            // An offset leaves the precision to the text before it.
            let length = if text.matches(':').count() - offset_colons(text) > 1 { 1 } else { 60 };
            return Some([start, start + length]);
        }
        let (start, precision) = civil(text)?;
        let span = match precision {
            Precision::Month => 1.month(),
            Precision::Day => 1.day(),
            Precision::Hour => 1.hour(),
            Precision::Minute => 1.minute(),
            Precision::Second => 1.second(),
        };
        let end = start.checked_add(span).ok()?;
        Some([self.local(start)?.0, self.local(end)?.0])
    }
}

fn offset_colons(text: &str) -> usize {
    let time = text.find(['T', 't', ' ']).map_or("", |at| &text[at + 1..]);
    time.find(['+', '-', 'Z', 'z']).map_or(0, |at| time[at..].matches(':').count())
}

fn floor_second(stamp: Timestamp) -> i64 {
    // `as_second` cuts towards 1970.
    stamp.as_second() - i64::from(stamp.subsec_nanosecond() < 0)
}

fn known_zone(name: &str) -> Option<TimeZone> {
    let upper = name.to_ascii_uppercase();
    if ["UTC", "GMT", "Z"].contains(&upper.as_str()) {
        return Some(TimeZone::UTC);
    }
    let offset = upper.strip_prefix("UTC").or(upper.strip_prefix("GMT")).unwrap_or(&upper);
    let sign = match offset.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return TimeZone::get(name).ok(),
    };
    let digits: String = offset[1..].chars().filter(|c| *c != ':').collect();
    if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    let (hours, minutes) =
        if digits.len() > 2 { (number / 100, number % 100) } else { (number, 0) };
    let in_range = hours <= 18 && minutes < 60;
    let seconds = sign * (hours * 3600 + minutes * 60);
    in_range.then(|| Offset::from_seconds(seconds).ok().map(TimeZone::fixed)).flatten()
}

/// A time without offset.
fn civil(text: &str) -> Option<(DateTime, Precision)> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return compact(text);
    }
    let text = text.replacen('/', "-", 2);
    if text.len() == 7 {
        let (year, month) = text.split_once('-')?;
        let date = Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()?;
        return Some((date.to_datetime(jiff::civil::Time::midnight()), Precision::Month));
    }
    let precision = match (text.find(['T', 't', ' ']), text.matches(':').count()) {
        (None, _) => Precision::Day,
        (Some(_), 0) => Precision::Hour,
        (Some(_), 1) => Precision::Minute,
        (Some(_), _) => Precision::Second,
    };
    // `24:00` is the end of that day.
    if let Some(day) =
        ["T24:00:00", " 24:00:00", "T24:00", " 24:00"].iter().find_map(|end| text.strip_suffix(end))
    {
        let next = day.parse::<Date>().ok()?.tomorrow().ok()?;
        return Some((next.to_datetime(jiff::civil::Time::midnight()), precision));
    }
    Some((text.parse().ok()?, precision))
}

/// `YYYYMMDD` and whatever of `HHMMSS`.
fn compact(text: &str) -> Option<(DateTime, Precision)> {
    let precision = match text.len() {
        6 => Precision::Month,
        8 => Precision::Day,
        10 => Precision::Hour,
        12 => Precision::Minute,
        14 => Precision::Second,
        _ => return None,
    };
    let part =
        |at: usize| -> Option<i8> { text.get(at..at + 2).map_or(Some(0), |t| t.parse().ok()) };
    let day = if text.len() < 8 { 1 } else { part(6)? };
    let date = Date::new(text[..4].parse().ok()?, part(4)?, day).ok()?;
    let time = jiff::civil::Time::new(part(8)?, part(10)?, part(12)?, 0).ok()?;
    Some((date.to_datetime(time), precision))
}

/// Which times are wanted: stretches, their ends excluded; none means all.
#[derive(Debug)]
pub(crate) struct Selection(Vec<[i64; 2]>);

impl Selection {
    /// Understands what [`ReadOptions::times`](super::ReadOptions::times) documents.
    pub(crate) fn new(texts: &[String], clock: &Clock) -> Result<Self, ReadError> {
        let parse = |text: &String| {
            let stretch = match text.split_once('/') {
                // `2017/07/07` is a date, not a range.
                Some((from, to))
                    if !(from.len() == 4 && to.len() > 2 && to.as_bytes()[2] == b'/') =>
                {
                    let end = |text: &str, open: i64, which: usize| match text.trim() {
                        "" => Some(open),
                        text => clock.stretch(text).map(|stretch| stretch[which]),
                    };
                    end(from, i64::MIN, 0).zip(end(to, i64::MAX, 1)).map(|(a, b)| [a, b])
                }
                _ => clock.stretch(text),
            };
            stretch
                .filter(|[from, to]| from < to)
                .ok_or_else(|| ReadError::BadSelection { text: text.clone() })
        };
        texts.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a time is wanted.
    pub(crate) fn takes(&self, time: UnixSeconds) -> bool {
        self.0.is_empty() || self.0.iter().any(|[from, to]| (*from..*to).contains(&time.0))
    }

    /// Whether every time is wanted.
    pub(super) fn is_all(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for UnixSeconds {
    /// ISO 8601 in UTC.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Timestamp::from_second(self.0) {
            Ok(stamp) => write!(f, "{stamp}"),
            Err(_) => write!(f, "{} s since 1970", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(zone: Option<&str>, text: &str) -> Option<String> {
        Clock::new(zone).expect("a zone").instant(text).map(|time| time.to_string())
    }

    #[test]
    fn the_usual_ways_to_write_a_time_are_understood() {
        for text in [
            "2024-04-17T06:00Z",
            "2024-04-17T06:00:00",
            "2024-04-17 06:00",
            "2024/04/17 06:00:00",
            "2024-04-17T14:00:00+08:00",
            "2024041706",
            "202404170600",
            "20240417060000",
            "2024-04-17T06",
            "2024-04-17T06:00:00.75Z",
        ] {
            assert_eq!(iso(None, text).as_deref(), Some("2024-04-17T06:00:00Z"), "{text}");
        }
        assert_eq!(iso(None, "2005-01-01").as_deref(), Some("2005-01-01T00:00:00Z"));
        assert_eq!(iso(None, "2005-01-01T24:00").as_deref(), Some("2005-01-02T00:00:00Z"));
        for text in ["", "yesterday", "2024-13-01", "20240231", "123", "1712345678901"] {
            assert_eq!(iso(None, text), None, "{text}");
        }
    }

    #[test]
    fn a_stated_zone_holds_for_times_without_offset_only() {
        for zone in ["+08:00", "+8", "UTC+8", "+0800", "Asia/Shanghai"] {
            let text = iso(Some(zone), "2017-07-07T16:00:00");
            assert_eq!(text.as_deref(), Some("2017-07-07T08:00:00Z"), "{zone}");
        }
        let half = iso(Some("+05:30"), "2017-07-07T05:30:00");
        assert_eq!(half.as_deref(), Some("2017-07-07T00:00:00Z"));
        let given = iso(Some("+08:00"), "2017-07-07T16:00:00Z");
        assert_eq!(given.as_deref(), Some("2017-07-07T16:00:00Z"));
        for zone in ["Mars/Olympus", "+99", "+", "+1x"] {
            let error = Clock::new(Some(zone)).expect_err(zone).to_string();
            assert!(error.contains("unknown time zone"), "{error}");
        }
    }

    #[test]
    fn a_date_and_an_hour_make_a_time() {
        let clock = Clock::utc();
        let text = |date, hour| clock.date_and_hour(date, hour).map(|time| time.to_string());
        for hour in ["7", "07", "7.0", "07:00", "07:00:00"] {
            assert_eq!(text("20140604", hour).as_deref(), Some("2014-06-04T07:00:00Z"), "{hour}");
        }
        assert_eq!(text("2014-06-04", "24").as_deref(), Some("2014-06-05T00:00:00Z"));
        for hour in ["25", "-1", "", "noon", "07:61", "9223372036854775807"] {
            assert_eq!(text("20140604", hour), None, "{hour}");
        }
    }

    #[test]
    fn a_selection_is_as_precise_as_it_is_written() {
        let clock = Clock::new(Some("+08:00")).expect("a zone");
        let takes = |text: &str, time: &str| {
            let selection = Selection::new(&[text.to_owned()], &clock).expect(text);
            selection.takes(clock.instant(time).expect(time))
        };
        for (text, yes, no) in [
            ("2017-07-07", "2017-07-07T23:59", "2017-07-08T00:00"),
            ("2017-07", "2017-07-31T23:00", "2017-08-01T00:00"),
            ("2017-07-07T16", "2017-07-07T16:59", "2017-07-07T17:00"),
            ("2017-07-07T16:00", "2017-07-07T16:00", "2017-07-07T16:01"),
            ("2017-07-07T08:00Z", "2017-07-07T16:00", "2017-07-07T08:00"),
            ("2017-07-07/2017-07-09", "2017-07-09T23:00", "2017-07-10T00:00"),
            ("2017-07-07T16:00/", "2030-01-01", "2017-07-07T15:00"),
            ("/2017-07-07", "1990-01-01", "2017-07-08T00:00"),
            ("2017/07/07", "2017-07-07T01:00", "2017-07-08T00:00"),
        ] {
            assert!(takes(text, yes) && !takes(text, no), "{text}");
        }
        for text in ["soon", "2017-07-09/2017-07-01", "2017-07-07//"] {
            assert!(Selection::new(&[text.to_owned()], &clock).is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_before_1970_are_cut_downwards() {
        assert_eq!(iso(None, "1969-12-31T23:59:58.5Z").as_deref(), Some("1969-12-31T23:59:58Z"));
    }
}
