//! Documents of schedules in files, looked at without a service.

use std::path::Path;

use isopleth_api::schedule;
use isopleth_api::wire::schedule::ScheduleRequest;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::print;
use crate::failure::{Failure, io};

fn wrong(file: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::Input(format!("{}: {what}", file.display()))
}

/// The documents of a file by their names: one of JSON, or the tables of a configuration.
fn read(file: &Path) -> Result<Vec<(String, Value)>, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| io(anyhow::Error::from(error).context(file.display().to_string())))?;
    if file.extension().is_none_or(|extension| extension != "toml") {
        let document = serde_json::from_str(&text).map_err(|error| wrong(file, error))?;
        return Ok(vec![(String::new(), document)]);
    }
    let configuration: Value = toml::from_str(&text).map_err(|error| wrong(file, error))?;
    let Value::Object(schedules) = &configuration["schedules"] else {
        return Err(wrong(file, "there is no table [schedules.NAME]"));
    };
    Ok(schedules.iter().map(|(name, document)| (name.clone(), document.clone())).collect())
}

/// The one document of a file.
pub(super) fn read_one(file: &Path) -> Result<Value, Failure> {
    match <[_; 1]>::try_from(read(file)?) {
        Ok([(_, document)]) => Ok(document),
        Err(all) => Err(wrong(file, format!("expected one schedule, there are {}", all.len()))),
    }
}

fn understood(document: &Value) -> Result<ScheduleRequest, String> {
    serde_json::from_value(document.clone()).map_err(|error| error.to_string())
}

/// Says what is wrong, of the first document with anything.
pub(super) fn check(file: &Path) -> Result<(), Failure> {
    let mut told = String::new();
    for (name, document) in read(file)? {
        let of = if name.is_empty() { String::new() } else { format!("schedules.{name}: ") };
        let request = understood(&document).map_err(|what| wrong(file, format!("{of}{what}")))?;
        schedule::check_document(&request).map_err(|problem| {
            let place = problem.errors.first().and_then(|place| place.pointer.clone());
            let place = place.map_or_else(String::new, |place| format!("{place}: "));
            wrong(file, format!("{of}{place}{}", problem.detail))
        })?;
        let next = hours(&request, Timestamp::now(), 1)?;
        let next = next.first().map_or("never", String::as_str);
        told += &format!("{of}it makes sense; its next hour is {next}\n");
    }
    told += "whether its source, sinks and network are there is said by the service\n";
    print(&told)
}

fn hours(
    request: &ScheduleRequest,
    after: Timestamp,
    count: usize,
) -> Result<Vec<String>, Failure> {
    let found = schedule::next_hours(request, after, count);
    found
        .map(|hours| hours.iter().map(ToString::to_string).collect())
        .map_err(|problem| Failure::Input(problem.detail))
}

/// The next hours, in UTC and in the zone of the schedule.
pub(super) fn next(document: &Value, after: Option<&str>, count: u32) -> Result<String, Failure> {
    let request = understood(document).map_err(Failure::Input)?;
    let after = match after {
        Some(text) => instant(text)?.parse().map_err(io)?,
        None => Timestamp::now(),
    };
    let zone = request.zone.as_deref().and_then(|name| TimeZone::get(name).ok());
    let mut told = String::new();
    for hour in hours(&request, after, count as usize)? {
        let here = match (&zone, hour.parse::<Timestamp>()) {
            (Some(zone), Ok(time)) => {
                format!("  {}", time.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M %Z"))
            }
            _ => String::new(),
        };
        told += &format!("{hour}{here}\n");
    }
    Ok(told)
}

/// A time as the service wants it: ISO 8601 with an offset, or a day, which is its start in UTC.
pub(super) fn instant(text: &str) -> Result<String, Failure> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.to_string());
    }
    let day: Option<Date> = text.parse().ok().filter(|_| text.len() == 10);
    let start = day.and_then(|day| day.to_zoned(TimeZone::UTC).ok());
    start.map(|start| start.timestamp().to_string()).ok_or_else(|| {
        let text = format!("`{text}` is no time; write it as 2026-03-01T08:00:00Z, or as a day");
        Failure::Usage(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_understood_with_an_offset_or_as_a_day() {
        let read = |text: &str| instant(text).ok();
        assert_eq!(read("2026-03-01T08:00:00+08:00").as_deref(), Some("2026-03-01T00:00:00Z"));
        assert_eq!(read("2026-03-01").as_deref(), Some("2026-03-01T00:00:00Z"));
        for wrong in ["", "yesterday", "2026-03-01T08:00", "2026-13-01"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
