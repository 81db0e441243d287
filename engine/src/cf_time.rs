//! Time coordinates of CF files: numbers since a moment, made seconds since 1970.

use jiff::civil;
use jiff::tz::Offset;

use crate::observations::UnixSeconds;

/// The instants of a time coordinate with these units, rounded to seconds; none where units or
/// calendar are not understood, or a value is no number.
pub(crate) fn instants(
    values: &[f64],
    units: &str,
    calendar: Option<&str>,
) -> Option<Vec<UnixSeconds>> {
    let origin = Origin::of(units, calendar)?;
    values.iter().map(|value| origin.instant(*value)).collect()
}

/// Units and calendar, understood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Origin {
    /// Seconds of a unit.
    length: f64,
    /// Seconds since 1970.
    moment: i64,
}

impl Origin {
    /// None where units or calendar are not understood.
    pub(crate) fn of(units: &str, calendar: Option<&str>) -> Option<Self> {
        let known = ["standard", "gregorian", "proleptic_gregorian"];
        if !calendar.is_none_or(|name| known.contains(&name.trim().to_lowercase().as_str())) {
            return None;
        }
        let (unit, moment) = units.split_once(" since ")?;
        Some(Self { length: seconds_of(unit.trim())?, moment: moment_of(moment.trim())? })
    }

    /// None where the value is no number.
    pub(crate) fn instant(self, value: f64) -> Option<UnixSeconds> {
        let seconds = value * self.length;
        // Beyond that a day more or less is lost in the number itself.
        if seconds.is_nan() || seconds.abs() > 1e15 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "below 1e15")]
        Some(UnixSeconds(self.moment.checked_add(seconds.round() as i64)?))
    }
}

/// Whether a unit is that of a time coordinate.
pub(crate) fn is_time(units: &str) -> bool {
    units.contains(" since ")
}

fn seconds_of(unit: &str) -> Option<f64> {
    Some(match unit.to_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    })
}

/// `2017-7-7`, `2017-07-07 16:00`, `2017-07-07T16:00:00.0Z`, `2017-07-07 16:00:00 +08:00`.
fn moment_of(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once([' ', 'T', 't']).unwrap_or((text, ""));
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let date = civil::Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()?;
    let (time, zone) = zone_of(rest.trim());
    let mut parts = time.split(':').map(str::trim);
    let mut whole = |most: i8| -> Option<i8> {
        match parts.next().filter(|part| !part.is_empty()) {
            None => Some(0),
            Some(part) => part.parse().ok().filter(|n| (0..=most).contains(n)),
        }
    };
    let (hour, minute) = (whole(23)?, whole(59)?);
    let second: f64 = parts.next().map_or(Some(0.0), |part| part.parse().ok())?;
    if !(0.0..60.0).contains(&second) || parts.next().is_some() {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 60")]
    let second = second as i8;
    let stamp = Offset::UTC.to_timestamp(date.at(hour, minute, second, 0)).ok()?;
    Some(stamp.as_second() - zone?)
}

/// A time of day without its zone, and the zone in seconds; none where it is not understood.
fn zone_of(text: &str) -> (&str, Option<i64>) {
    let text = text.trim_end_matches("UTC").trim_end_matches("GMT").trim_end_matches(['Z', 'z']);
    let Some(at) = text.rfind(['+', '-']) else { return (text.trim(), Some(0)) };
    let (time, zone) = text.split_at(at);
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits = &zone[1..];
    let (hours, minutes) = match digits.split_once(':') {
        Some(both) => both,
        None if digits.len() == 4 && digits.is_ascii() => digits.split_at(2),
        None => (digits, "0"),
    };
    let number = |text: &str| text.parse::<i64>().ok().filter(|n| (0..=59).contains(n));
    let seconds = number(hours).zip(number(minutes));
    (time.trim(), seconds.map(|(hours, minutes)| sign * (3600 * hours + 60 * minutes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_as_people_write_them() {
        let of = |value: f64, units: &str| Some(instants(&[value], units, None)?[0].0);
        // 2017-07-07T16:00:00Z
        let then = 1_499_443_200;
        for (value, units) in [
            (1_499_443_200.0, "seconds since 1970-01-01 00:00:00"),
            (416_511.0, "hours since 1970-01-01T01:00Z"),
            (16.0, "hours since 2017-7-7 0:0:0.0"),
            (16.0 * 60.0, "minutes since 2017-07-07"),
            (2.0 / 3.0, "days since 2017-07-07 00:00:00 UTC"),
            (1.0, "days since 2017-07-07 00:00:00 +08:00"),
            (0.0, "h since 2017-07-07 13:30 -0230"),
        ] {
            assert_eq!(of(value, units), Some(then), "{units}");
        }
    }

    #[test]
    fn what_is_not_understood_is_none() {
        for units in [
            "hours",
            "months since 2000-01-01",
            "days since the beginning",
            "days since 2000-13-01",
            "hours since 2000-01-01 25:00",
            "hours since 2000-01-01 00:00:00 +xx",
        ] {
            assert_eq!(instants(&[0.0], units, None), None, "{units}");
        }
        assert_eq!(instants(&[0.0], "days since 2000-01-01", Some("360_day")), None);
        assert_eq!(instants(&[f64::NAN], "days since 2000-01-01", Some("standard")), None);
    }
}
