//! The hours of a schedule: what a cron expression names in a zone, over changes of the clock and leap days.
//!
//! As cron has it where the clock changes: what runs every hour (`*`, `*/2`, in the fields of minutes or hours)
//! goes by the hours that pass: none is skipped and none comes twice. What runs at a fixed time of day comes
//! once: where the clock skips it, at once after the gap; where it comes twice, the first time.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::error::ApiError;

/// When a schedule has its hours.
#[derive(Clone, Debug)]
pub(crate) struct Hours {
    cron: Cron,
    zone: TimeZone,
}

impl Hours {
    /// # Errors
    /// 422 with a pointer: an expression that is none, never comes true, or a zone that nobody knows.
    pub(crate) fn new(cron: &str, zone: Option<&str>) -> Result<Self, ApiError> {
        let wrong = |error: &dyn std::fmt::Display| {
            ApiError::meaningless(format!(
                "`{cron}` is no cron expression of five fields (minute hour day month weekday): {error}"
            ))
            .at_pointer("/cron")
        };
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parsed = parser.parse(cron).map_err(|error| wrong(&error))?;
        let name = zone.unwrap_or("UTC");
        let zone = TimeZone::get(name).map_err(|_| {
            let text = format!("`{name}` is no zone; give one such as Europe/Berlin or UTC");
            ApiError::meaningless(text).at_pointer("/zone")
        })?;
        let hours = Self { cron: parsed, zone };
        if hours.after(Timestamp::UNIX_EPOCH).is_none() {
            return Err(wrong(&"it never comes true"));
        }
        Ok(hours)
    }

    pub(crate) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first hour after a time.
    pub(crate) fn after(&self, time: Timestamp) -> Option<Timestamp> {
        let mut from: Zoned = time.to_zoned(self.zone.clone());
        // Found again it may be the same instant, said otherwise.
        for _ in 0..4 {
            let found = self.cron.find_next_occurrence(&from, false).ok()?;
            if found.timestamp() > time {
                return Some(found.timestamp());
            }
            from = found;
        }
        None
    }

    /// The hours after a time and not after another, at most so many.
    pub(crate) fn between(&self, after: Timestamp, to: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut all = Vec::new();
        let mut last = after;
        while all.len() < most
            && let Some(next) = self.after(last)
            && next <= to
        {
            all.push(next);
            last = next;
        }
        all
    }

    /// Whether this is one of its hours.
    pub(crate) fn has(&self, time: Timestamp) -> bool {
        let before = time.checked_sub(jiff::SignedDuration::from_secs(1));
        before.is_ok_and(|before| self.after(before) == Some(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    fn hours(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let hours = Hours::new(cron, Some(zone)).expect(cron);
        let all = hours.between(time(after), Timestamp::MAX, count);
        assert!(all.iter().all(|hour| hours.has(*hour)), "{all:?}");
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn no_hour_is_skipped_or_doubled_where_the_clock_changes() {
        for (zone, before) in [
            ("Europe/Berlin", "2026-03-28T22:00:00Z"),
            ("Europe/Berlin", "2026-10-24T21:00:00Z"),
            ("America/New_York", "2026-03-08T04:00:00Z"),
            ("America/New_York", "2026-11-01T03:00:00Z"),
            ("Australia/Lord_Howe", "2026-04-04T11:00:00Z"),
        ] {
            let found = hours("*/30 * * * *", zone, before, 16);
            let step = jiff::SignedDuration::from_mins(30);
            let expected: Vec<String> =
                (1..=16).map(|k| (time(before) + step * k).to_string()).collect();
            assert_eq!(found, expected, "{zone} {before}");
        }
        assert_eq!(
            hours("0 * * * *", "Europe/Berlin", "2026-10-24T22:30:00Z", 4),
            [
                "2026-10-24T23:00:00Z",
                "2026-10-25T00:00:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T02:00:00Z"
            ]
        );
    }

    #[test]
    fn a_time_of_day_comes_once_a_day_where_the_clock_changes() {
        // 02:30 is skipped in the night to 29 March in Berlin, and comes twice in that to 25 October.
        assert_eq!(
            hours("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
            ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
        assert_eq!(
            hours("30 2 * * *", "Europe/Berlin", "2026-10-23T12:00:00Z", 3),
            ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        assert_eq!(
            hours("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2),
            ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]
        );
        assert_eq!(
            hours("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", 2),
            ["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]
        );
    }

    #[test]
    fn leap_days_come_in_leap_years_only() {
        assert_eq!(
            hours("0 0 29 2 *", "UTC", "2023-01-01T00:00:00Z", 3),
            ["2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]
        );
        let found = hours("0 12 * 2 *", "Asia/Shanghai", "2024-02-28T05:00:00Z", 2);
        assert_eq!(found, ["2024-02-29T04:00:00Z", "2025-02-01T04:00:00Z"]);
        assert_eq!(
            hours("0 12 28-31 * *", "UTC", "2100-02-27T23:00:00Z", 2),
            ["2100-02-28T12:00:00Z", "2100-03-28T12:00:00Z"],
            "2100 is no leap year"
        );
    }

    #[test]
    fn what_is_no_schedule_is_refused_where_it_stands() {
        for (cron, zone, pointer) in [
            ("", None, "/cron"),
            ("61 * * * *", None, "/cron"),
            ("0 0 * * * *", None, "/cron"),
            ("0 0 30 2 *", None, "/cron"),
            ("0 * * * *", Some("Europe/Atlantis"), "/zone"),
        ] {
            let error = Hours::new(cron, zone).expect_err(cron);
            assert_eq!(error.problem().errors[0].pointer.as_deref(), Some(pointer), "{cron}");
        }
    }
}
