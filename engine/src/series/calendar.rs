//! Days, months and years of a time zone, as stretches of seconds.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use super::error::SeriesError;
use super::means::Stretch;
use super::words::Average;

/// The stretches of a zone's calendar that hold at least one of `positions` (ascending).
pub(super) fn stretches(
    positions: impl Iterator<Item = i64>,
    average: Average,
    zone: &TimeZone,
) -> Result<Vec<Stretch>, SeriesError> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for position in positions {
        if stretches.last().is_none_or(|last| position >= last.end) {
            let beyond = |_| SeriesError::Calendar { seconds: position };
            stretches.push(around(position, average, zone).map_err(beyond)?);
        }
    }
    Ok(stretches)
}

fn around(position: i64, average: Average, zone: &TimeZone) -> Result<Stretch, jiff::Error> {
    let date = Timestamp::from_second(position)?.to_zoned(zone.clone()).date();
    let (first, length) = match average {
        Average::Month => (date.first_of_month(), 1.month()),
        Average::Year => (date.first_of_year(), 1.year()),
        _ => (date, 1.day()),
    };
    let midnight = |zoned: Zoned| zoned.timestamp().as_second();
    let begin = midnight(first.to_zoned(zone.clone())?);
    let end = midnight(first.checked_add(length)?.to_zoned(zone.clone())?);
    Ok(Stretch { begin, end })
}

/// Seconds that a zone is east of Greenwich at a time.
pub(super) fn offset(seconds: i64, zone: &TimeZone) -> Result<i64, SeriesError> {
    let time = Timestamp::from_second(seconds).map_err(|_| SeriesError::Calendar { seconds })?;
    Ok(i64::from(zone.to_offset(time).seconds()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[&str], average: Average, zone: &str) -> Vec<(String, i64)> {
        let seconds = times.iter().map(|text| text.parse::<Timestamp>().expect(text).as_second());
        let zone = TimeZone::get(zone).expect("a zone");
        let found = stretches(seconds, average, &zone).expect("within the calendar");
        let told = |s: Stretch| {
            let begin = Timestamp::from_second(s.begin).expect("within the calendar");
            (begin.to_string(), (s.end - s.begin) / 3600)
        };
        found.into_iter().map(told).collect()
    }

    #[test]
    fn days_are_those_of_the_zone_and_as_long_as_its_clocks_make_them() {
        let day = |text: &str, hours| (text.to_owned(), hours);
        let times = ["2014-06-03T15:59:59Z", "2014-06-03T16:00:00Z", "2014-06-04T15:00:00Z"];
        let want = [day("2014-06-02T16:00:00Z", 24), day("2014-06-03T16:00:00Z", 24)];
        assert_eq!(of(&times, Average::Day, "Asia/Shanghai"), want);
        let spring = of(&["2024-03-31T12:00:00Z"], Average::Day, "Europe/Berlin");
        assert_eq!(spring, [day("2024-03-30T23:00:00Z", 23)]);
    }

    #[test]
    fn months_and_years_are_whole() {
        let times = ["2024-02-10T00:00:00Z", "2024-02-29T23:00:00Z", "2024-03-01T00:00:00Z"];
        let months: Vec<_> = of(&times, Average::Month, "UTC").into_iter().map(|m| m.1).collect();
        assert_eq!(months, [29 * 24, 31 * 24]);
        assert_eq!(
            of(&times, Average::Year, "UTC"),
            [("2024-01-01T00:00:00Z".to_owned(), 366 * 24)]
        );
    }

    #[test]
    fn a_time_beyond_the_calendar_is_told() {
        let error = stretches([i64::MAX].into_iter(), Average::Day, &TimeZone::UTC);
        assert!(error.expect_err("beyond").to_string().contains("beyond the calendar"));
    }
}
