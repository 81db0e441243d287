//! Where in a file of settings something is wrong, or stands at all: TOML with its lines.

use std::fmt;

use isopleth_api::ServiceConfig;
use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error};

/// Names that are less alike than this are no slips of the pen.
const ALIKE: f64 = 0.8;
/// So many names in a message are read by nobody.
const MOST_NAMES: usize = 8;

/// What is wrong, and at which line of the file (from 1; 0 where the file as a whole is).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.what)
    }
}

/// A file of settings that is TOML.
pub(crate) struct Located<'t> {
    text: &'t str,
    table: Spanned<DeTable<'t>>,
}

impl<'t> Located<'t> {
    /// # Errors
    /// Everything that makes it no TOML.
    pub(crate) fn parse(text: &'t str) -> Result<Self, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Ok(Self { text, table });
        }
        let at = |error: &Error| error.span().map_or(0, |span| span.start);
        let told = errors.iter().map(|error| problem(text, at(error), error.message()));
        let mut problems: Vec<Problem> = told.collect();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        Err(problems)
    }

    /// Keys that are no settings, and values that are none of theirs: each setting by itself, so that
    /// one mistake does not hide the others.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, value) in self.table.get_ref() {
            // Of a table of things with names, each by itself.
            let parts: Vec<DeTable<'t>> = match value.get_ref() {
                DeValue::Table(things) if !things.is_empty() => {
                    things.iter().map(|(name, thing)| one(name, thing)).collect()
                }
                _ => Vec::new(),
            };
            let values: Vec<Spanned<DeValue<'t>>> = if parts.is_empty() {
                vec![value.clone()]
            } else {
                let within = |part| Spanned::new(value.span(), DeValue::Table(part));
                parts.into_iter().map(within).collect()
            };
            for value in values {
                let part = Spanned::new(self.table.span(), one(key, &value));
                if let Err(error) = ServiceConfig::deserialize(Deserializer::from(part)) {
                    let found = self.said(&error, key.span().start, value.get_ref());
                    if !problems.contains(&found) {
                        problems.push(found);
                    }
                }
            }
        }
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems
    }

    fn said(&self, error: &Error, key_at: usize, value: &DeValue<'_>) -> Problem {
        let message = error.message();
        let mut at = error.span().map_or(key_at, |span| span.start);
        let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let (Some((unknown, known)), true) =
            (names.split_first(), message.starts_with("unknown field"))
        else {
            return problem(self.text, at, message);
        };
        // Of some tables the library forgets where their keys stand.
        if !self.text[at..].starts_with(unknown) {
            at = key_within(value, unknown).unwrap_or(at);
        }
        problem(
            self.text,
            at,
            &format!("there is no setting `{unknown}`{}", advice(unknown, known)),
        )
    }

    /// The line at which a setting stands, by its name (`grids.ctm` of a table); of what is not there that of the
    /// table in which it would be.
    pub(crate) fn line_of(&self, name: &str) -> Option<usize> {
        let (mut table, mut rest, mut found) = (self.table.get_ref(), name, None);
        loop {
            // Names may have dots in them.
            let next = table.iter().find(|(key, _)| {
                let key: &str = key.get_ref();
                rest.strip_prefix(key).is_some_and(|more| more.is_empty() || more.starts_with('.'))
            });
            let Some((key, value)) = next else { return found };
            let key_text: &str = key.get_ref();
            found = Some(place(self.text, key.span().start).0);
            rest = rest[key_text.len()..].trim_start_matches('.');
            match value.get_ref() {
                DeValue::Table(within) if !rest.is_empty() => table = within,
                _ => return found,
            }
        }
    }

    /// Every value that is no table, with its name and where it ends.
    pub(crate) fn values(&self) -> Vec<(String, usize)> {
        let mut values = Vec::new();
        walk(self.table.get_ref(), "", &mut values);
        values.sort_by_key(|(_, end)| *end);
        values
    }
}

fn walk(table: &DeTable<'_>, under: &str, values: &mut Vec<(String, usize)>) {
    for (key, value) in table {
        let key: &str = key.get_ref();
        let name = if under.is_empty() { key.to_owned() } else { format!("{under}.{key}") };
        match value.get_ref() {
            DeValue::Table(within) => walk(within, &name, values),
            _ => values.push((name, value.span().end)),
        }
    }
}

/// A table of one key.
fn one<'t>(key: &Spanned<std::borrow::Cow<'t, str>>, value: &Spanned<DeValue<'t>>) -> DeTable<'t> {
    let mut table = DeTable::new();
    table.insert(key.clone(), value.clone());
    table
}

/// Where a key stands, at any depth.
fn key_within(value: &DeValue<'_>, wanted: &str) -> Option<usize> {
    let DeValue::Table(table) = value else { return None };
    table.iter().find_map(|(key, value)| {
        let key_text: &str = key.get_ref();
        if key_text == wanted {
            Some(key.span().start)
        } else {
            key_within(value.get_ref(), wanted)
        }
    })
}

fn advice(unknown: &str, known: &[&str]) -> String {
    let likeness = |name: &&&str| strsim::jaro_winkler(unknown, name);
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest {
        Some(name) if likeness(&name) >= ALIKE => format!("; did you mean `{name}`?"),
        _ if !known.is_empty() && known.len() <= MOST_NAMES => {
            format!("; there are {}", known.join(", "))
        }
        _ => "; `isopleth config show` names all".to_owned(),
    }
}

fn problem(text: &str, at: usize, what: &str) -> Problem {
    let (line, column) = place(text, at);
    // Some messages have lines of their own.
    let what = what.split('\n').map(str::trim).collect::<Vec<_>>().join(", ");
    Problem { line, column, what }
}

/// Line and column, from 1, of a byte.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        match Located::parse(text) {
            Ok(located) => located.problems().iter().map(ToString::to_string).collect(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn every_mistake_of_a_file_is_told_with_its_line() {
        let text = "listen = \"127.0.0.1:80\"\nconcurency = 3\nqueue_length = \"many\"\n\n\
                    [grids]\nctm = \"a.nc:x\"\ndem = 7\n";
        let told = told(text);
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(told[0], "2:1: there is no setting `concurency`; did you mean `concurrency`?");
        assert!(told[1].starts_with("3:16: invalid type: string \"many\""), "{told:?}");
        assert!(told[2].starts_with("7:7: invalid type: integer `7`"), "{told:?}");
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        let told = told("listen = \"x\"\nauth = on\n\nconcurrency 3\n");
        assert!(told.len() >= 2, "{told:?}");
        assert!(told[0].starts_with("2:"), "{told:?}");
        assert!(told.iter().any(|line| line.starts_with("4:")), "{told:?}");
    }

    #[test]
    fn a_value_that_a_setting_does_not_know_is_told() {
        let told = told("auth = \"perhaps\"\ntrusted_proxies = [\"10.0.0.0/8\", \"x\"]\n");
        assert!(told[0].starts_with("1:8: unknown variant `perhaps`"), "{told:?}");
        assert!(told[1].starts_with("2:"), "{told:?}");
    }

    #[test]
    fn a_setting_is_found_by_its_name() {
        let text = "listen = \"x\"\n[grids]\n\"a.b\" = \"f:v\"\nctm = \"f:v\"\n";
        let located = Located::parse(text).map_err(|_| ()).expect("TOML");
        assert_eq!(located.line_of("listen"), Some(1));
        assert_eq!(located.line_of("grids.a.b"), Some(3));
        assert_eq!(located.line_of("grids.ctm"), Some(4));
        assert_eq!(located.line_of("grids"), Some(2));
        assert_eq!(located.line_of("grids.dem"), Some(2));
        assert_eq!(located.line_of("concurrency"), None);
    }
}
