//! Names of files and objects, from templates: always below the sink, whatever a variable is called.

use super::Delivered;
use super::error::Reason;

/// What names may have beside the hour.
const NAMES: [&str; 4] = ["schedule", "revision", "variable", "ext"];

/// A name with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(crate::template::Template);

/// What placeholders stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    pub(super) what: &'a Delivered<'a>,
    pub(super) variable: &'a str,
    pub(super) extension: &'a str,
}

impl Template {
    /// Takes the text of a setting apart.
    pub(super) fn read(setting: &'static str, text: &str) -> Result<Self, Reason> {
        let wrong = |needed: String| Reason::Setting { setting, got: text.to_owned(), needed };
        if text.starts_with('/') || text.trim().is_empty() || text.ends_with('/') {
            return Err(wrong("a name below the sink, which begins and ends without /".to_owned()));
        }
        let read = crate::template::Template::parse(text, &NAMES);
        read.map(Self).map_err(|error| wrong(error.to_string()))
    }

    pub(super) fn text(&self) -> String {
        self.0.to_string()
    }

    pub(super) fn has_variable(&self) -> bool {
        self.0.has("variable")
    }

    pub(super) fn has_time(&self) -> bool {
        self.0.has_time()
    }

    /// A name below the sink, of parts between `/` that are neither empty, nor hidden, nor lead upwards.
    pub(super) fn fill(&self, words: Words<'_>) -> Result<String, Reason> {
        let what = words.what;
        let (schedule, variable) = (plain(what.schedule), plain(words.variable));
        let revision = what.revision.to_string();
        let named = [
            ("schedule", schedule.as_str()),
            ("revision", &revision),
            ("variable", &variable),
            ("ext", words.extension),
        ];
        let name = self.0.fill(what.hour, &what.zone, &named);
        let wrong = |why| Err(Reason::Name { name: name.clone(), why });
        if name.len() > 900 {
            return wrong("it is longer than 900 bytes");
        }
        for part in name.split('/') {
            if part.is_empty() || part.starts_with('.') {
                return wrong("a part of it is empty or begins with a dot");
            }
            if part.len() > 200 || part.chars().any(|c| c.is_control() || c == '\\') {
                return wrong(
                    "a part of it is longer than 200 bytes, or has signs that no file should have",
                );
            }
        }
        Ok(name)
    }
}

/// A word of others, which must not become folders.
fn plain(word: &str) -> String {
    word.replace(['/', '\\'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, schedule: &str, variable: &str) -> Result<String, Reason> {
        let what = Delivered {
            schedule,
            hour: "2026-10-25T00:30:00Z".parse().expect("a time"),
            zone: jiff::tz::TimeZone::get("Europe/Berlin").expect("a zone"),
            revision: 3,
            file: std::path::Path::new("map.nc"),
            is_latest: true,
        };
        Template::read("name", text)?.fill(Words { what: &what, variable, extension: "nc" })
    }

    #[test]
    fn placeholders_stand_for_the_schedule_its_hour_here_and_in_utc_and_the_rest() {
        let text = "{schedule}/{time:%Y/%m/%d/%H%z}_{time_utc:%H}r{revision}_{variable}.{ext}";
        let name = filled(text, "north", "pm25").expect("a name");
        assert_eq!(name, "north/2026/10/25/02+0200_00r3_pm25.nc");
    }

    #[test]
    fn no_name_leads_out_of_the_sink() {
        for wrong in ["/{ext}", "", "a/", "{", "{what}", "{time:}", "{time:%!}"] {
            assert!(Template::read("name", wrong).is_err(), "{wrong}");
        }
        for text in ["../{ext}", "a/../../b", "a//b", "a/./b", ".hidden", "{schedule}/x"] {
            assert!(filled(text, "..", "v").is_err(), "{text}");
        }
        assert_eq!(
            filled("x{variable}", "s", "../../etc/passwd").ok().as_deref(),
            Some("x.._.._etc_passwd")
        );
        assert!(filled("{variable}", "s", "../x").is_err());
        assert!(filled("{schedule}", "a\nb", "v").is_err());
    }
}
