//! Names with places for the hour and for what is called by a name: `in/{time:%Y/%m/%d%H}.csv`.
//!
//! `{time:FORMAT}` is the hour in the schedule's zone, `{time_utc:FORMAT}` in UTC, with the letters of strftime;
//! `{time+1h:FORMAT}` the hour after it, for those who name an hour by its end. `{{` and `}}` are braces. Which
//! other names there are is said by whoever reads the template.

use std::fmt;
use std::str::FromStr;

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A text with places to fill. It keeps what it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Time { utc: bool, shift: SignedDuration, format: String },
    Named(String),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace stands alone.
    #[error(
        "`{text}` has a brace without its other one at character {at}; write {{{{ or }}}} for a brace itself"
    )]
    Brace {
        /// The template.
        text: String,
        /// Where, from 1.
        at: usize,
    },
    /// Nobody knows the name.
    #[error("`{text}` has `{{{name}}}`, which is not known here; known are {known}")]
    Unknown {
        /// The template.
        text: String,
        /// What stands in the braces.
        name: String,
        /// What could.
        known: String,
    },
    /// The letters after the colon are not those of strftime.
    #[error("`{text}` has the time format `{format}`: {why}")]
    Format {
        /// The template.
        text: String,
        /// What stands behind the colon.
        format: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Longest text that is taken for a template.
const LONGEST: usize = 4000;

impl Template {
    /// Reads a template that may use `names` beside the time.
    ///
    /// # Errors
    /// What is wrong, with the text.
    pub(crate) fn parse(text: &str, names: &[&str]) -> Result<Self, TemplateError> {
        if text.len() > LONGEST {
            let text = text.chars().take(40).collect::<String>() + "…";
            let (format, why) = (String::new(), format!("it has more than {LONGEST} bytes"));
            return Err(TemplateError::Format { text, format, why });
        }
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(found) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(found);
            plain.push_str(before);
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                plain.push_str(&from[..1]);
                rest = after;
                continue;
            }
            let at = text[..text.len() - from.len()].chars().count() + 1;
            let alone = || TemplateError::Brace { text: text.to_owned(), at };
            let inner = from.strip_prefix('{').ok_or_else(alone)?;
            let (inside, after) = inner.split_once('}').ok_or_else(alone)?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(part(text, inside, names)?);
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The text for an hour; `named` has a value for each name that was allowed.
    pub(crate) fn fill(&self, hour: Timestamp, zone: &TimeZone, named: &[(&str, &str)]) -> String {
        self.fill_with(hour, zone, named, str::to_owned)
    }

    /// The same, with what is filled in written by `escape`, as in an address.
    pub(crate) fn fill_with(
        &self,
        hour: Timestamp,
        zone: &TimeZone,
        named: &[(&str, &str)],
        escape: impl Fn(&str) -> String,
    ) -> String {
        let value = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Time { utc, shift, format } => {
                let zone = if *utc { TimeZone::UTC } else { zone.clone() };
                escape(&written(hour, *shift, zone, format).unwrap_or_default())
            }
            Part::Named(name) => {
                let found = named.iter().find(|(known, _)| known == name);
                escape(found.map_or("", |(_, value)| value))
            }
        };
        self.parts.iter().map(value).collect()
    }

    /// Whether different hours have different texts, as far as a placeholder can tell.
    pub(crate) fn has_time(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Time { .. }))
    }

    /// Whether it uses a name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Named(known) if known == name))
    }

    /// What stands before the first placeholder.
    pub(crate) fn start(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What stands between two braces.
fn part(text: &str, inside: &str, names: &[&str]) -> Result<Part, TemplateError> {
    let unknown = || {
        let times = ["time:FORMAT", "time_utc:FORMAT"];
        let known: Vec<_> = times.iter().chain(names).map(|name| format!("{{{name}}}")).collect();
        let (text, name) = (text.to_owned(), inside.to_owned());
        TemplateError::Unknown { text, name, known: known.join(", ") }
    };
    let Some((name, format)) = inside.split_once(':') else {
        let known = names.contains(&inside);
        return known.then(|| Part::Named(inside.to_owned())).ok_or_else(unknown);
    };
    let wrong = |why: String| {
        let (text, format) = (text.to_owned(), format.to_owned());
        TemplateError::Format { text, format, why }
    };
    let rest = name.strip_prefix("time").ok_or_else(unknown)?;
    let (utc, rest) = rest.strip_prefix("_utc").map_or((false, rest), |rest| (true, rest));
    let shift = if rest.is_empty() {
        SignedDuration::ZERO
    } else if let Some(length) = rest.strip_prefix(['+', '-']) {
        let length = SignedDuration::from_str(length)
            .map_err(|error| wrong(format!("`{rest}` is no length of time: {error}")))?;
        if rest.starts_with('-') { -length } else { length }
    } else {
        return Err(unknown());
    };
    // Tried once, so that it cannot fail when the hour has come.
    let tried = written(Timestamp::UNIX_EPOCH, shift, TimeZone::UTC, format).map_err(wrong)?;
    if tried.is_empty() {
        return Err(wrong("it writes nothing; an hour is %Y%m%d%H".to_owned()));
    }
    Ok(Part::Time { utc, shift, format: format.to_owned() })
}

fn written(
    hour: Timestamp,
    shift: SignedDuration,
    zone: TimeZone,
    format: &str,
) -> Result<String, String> {
    let told = |error: jiff::Error| error.to_string();
    let time = hour.checked_add(shift).map_err(told)?;
    strtime::format(format, &time.to_zoned(zone)).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, zone: &str) -> String {
        let template = Template::parse(text, &["schedule", "ext"]).expect(text);
        assert_eq!(template.to_string(), text);
        let hour: Timestamp = "2026-10-25T00:00:00Z".parse().expect("a time");
        let zone = TimeZone::get(zone).expect("a zone");
        template.fill(hour, &zone, &[("schedule", "hourly"), ("ext", "nc")])
    }

    #[test]
    fn an_hour_is_written_in_its_zone_in_utc_or_by_its_end() {
        for (text, zone, wanted) in [
            ("in/{time:%Y%m%d%H}.csv", "UTC", "in/2026102500.csv"),
            ("{time:%Y/%m/%d/%H}.{ext}", "Asia/Shanghai", "2026/10/25/08.nc"),
            ("{time_utc:%FT%TZ}", "Asia/Shanghai", "2026-10-25T00:00:00Z"),
            ("{time+1h:%H}-{time_utc-30m:%H%M}", "Asia/Shanghai", "09-2330"),
            // The hour that comes twice: its name tells which by the offset.
            ("{time:%H%z} {time+1h:%H%z}", "Europe/Berlin", "02+0200 02+0100"),
            ("{schedule}{{{ext}}}", "UTC", "hourly{nc}"),
            ("plain", "UTC", "plain"),
            ("", "UTC", ""),
        ] {
            assert_eq!(filled(text, zone), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_filled_in_is_escaped_and_the_text_around_it_is_not() {
        let template = Template::parse("/a?t={time:%FT%T%:z}", &[]).expect("a template");
        let zone = TimeZone::get("Asia/Shanghai").expect("a zone");
        let escape = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let filled = template.fill_with(Timestamp::UNIX_EPOCH, &zone, &[], escape);
        assert_eq!(filled, "/a?t=1970-01-01T08%3A00%3A00%2B08%3A00");
        assert!(template.has_time() && template.start() == "/a?t=");
        let named = Template::parse("{ext}", &["ext"]).expect("a template");
        assert!(named.has("ext") && !named.has("schedule") && !named.has_time());
    }

    #[test]
    fn what_is_no_template_is_told_with_the_place_and_what_would_be_one() {
        let told = |text: &str| {
            Template::parse(text, &["ext"]).map_or_else(|e| e.to_string(), |_| "fine".into())
        };
        for (text, word) in [
            ("a{time:%Y", "character 2"),
            ("ä}", "character 2"),
            ("{", "character 1"),
            ("{hour}", "{time:FORMAT}, {time_utc:FORMAT}, {ext}"),
            ("{time}", "`{time}`, which is not known"),
            ("{schedule}", "`{schedule}`, which is not known"),
            ("{timely:%Y}", "not known"),
            ("{time:}", "it writes nothing"),
            ("{time:%!}", "the time format `%!`"),
            ("{time+soon:%H}", "`+soon` is no length of time"),
        ] {
            let told = told(text);
            assert!(told.contains(word), "{text}: {told}");
        }
    }
}
