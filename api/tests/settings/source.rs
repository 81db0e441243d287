//! Types of settings as their source files have them: fields, variants, what their comments say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A struct or an enum.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) file: PathBuf,
    pub(crate) is_enum: bool,
    /// Derives and other attributes, in one text.
    pub(crate) attributes: String,
    pub(crate) docs: String,
    pub(crate) members: Vec<Member>,
}

/// A field of a struct, or a variant of an enum.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Of a field its type, of a variant `V(T)` its `T`; else empty.
    pub(crate) kind: String,
    pub(crate) attributes: String,
    pub(crate) docs: String,
    /// Of a variant `V { … }`.
    pub(crate) fields: Vec<Member>,
}

impl Definition {
    /// What an attribute of serde says: `serde("tag")` of `#[serde(tag = "kind")]`.
    pub(crate) fn serde(&self, what: &str) -> Option<&str> {
        attribute(&self.attributes, what)
    }
}

impl Member {
    pub(crate) fn serde(&self, what: &str) -> Option<&str> {
        attribute(&self.attributes, what)
    }

    /// Whether serde has a word without a value for it: `flatten`, `skip`.
    pub(crate) fn is(&self, word: &str) -> bool {
        let words = self.attributes.split(['(', ')', ',', '[', ']']);
        self.attributes.contains("serde(") && words.map(str::trim).any(|part| part == word)
    }
}

fn attribute<'a>(attributes: &'a str, what: &str) -> Option<&'a str> {
    let after = attributes.split_once(&format!("{what} = \""))?.1;
    after.split_once('"').map(|(value, _)| value)
}

/// Every type below these folders that is read from a document, by its name; of types of the same name all.
pub(crate) fn definitions(folders: &[&Path]) -> BTreeMap<String, Vec<Definition>> {
    let mut found: BTreeMap<String, Vec<Definition>> = BTreeMap::new();
    let mut waiting: Vec<PathBuf> = folders.iter().map(|folder| folder.to_path_buf()).collect();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder");
            waiting.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            for (name, definition) in of_file(&path, &text) {
                found.entry(name).or_default().push(definition);
            }
        }
    }
    for same in found.values_mut() {
        same.sort_by(|a, b| a.file.cmp(&b.file));
    }
    found
}

fn of_file(file: &Path, text: &str) -> Vec<(String, Definition)> {
    let mut lines = text.lines();
    let (mut found, mut before) = (Vec::new(), Before::default());
    while let Some(line) = lines.next() {
        if before.takes(line, &mut lines) {
            continue;
        }
        let (docs, attributes) = before.end();
        let line = without_pub(line);
        let (is_enum, rest) = match (line.strip_prefix("struct "), line.strip_prefix("enum ")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => continue,
        };
        let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
        let members = if rest.ends_with('{') { members(&mut lines, "}") } else { Vec::new() };
        if attributes.contains("Deserialize") {
            let file = file.to_owned();
            found.push((name, Definition { file, is_enum, attributes, docs, members }));
        }
    }
    found
}

/// Comments and attributes that stand before something.
#[derive(Default)]
struct Before {
    docs: String,
    attributes: String,
}

impl Before {
    fn takes<'t>(&mut self, line: &str, more: &mut impl Iterator<Item = &'t str>) -> bool {
        let line = line.trim();
        if let Some(doc) = line.strip_prefix("///") {
            let doc = doc.trim();
            if doc.is_empty() {
                self.docs.push_str("\n\n");
            } else {
                if !self.docs.is_empty() && !self.docs.ends_with('\n') {
                    self.docs.push(' ');
                }
                self.docs.push_str(doc);
            }
        } else if line.starts_with("#[") {
            self.attributes.push_str(line);
            let open = |text: &str| text.matches('[').count() > text.matches(']').count();
            let mut whole = line.to_owned();
            while open(&whole) {
                let Some(next) = more.next() else { break };
                whole.push_str(next.trim());
                self.attributes.push_str(next.trim());
            }
        } else {
            return line.is_empty() || line.starts_with("//");
        }
        true
    }

    fn end(&mut self) -> (String, String) {
        (std::mem::take(&mut self.docs), std::mem::take(&mut self.attributes))
    }
}

fn members<'t>(lines: &mut impl Iterator<Item = &'t str>, end: &str) -> Vec<Member> {
    let (mut found, mut before) = (Vec::new(), Before::default());
    while let Some(line) = lines.next() {
        if before.takes(line, lines) {
            continue;
        }
        let line = without_pub(line.trim());
        if line.trim_end_matches(',') == end {
            break;
        }
        let (docs, attributes) = before.end();
        let mut member = Member {
            name: String::new(),
            kind: String::new(),
            attributes,
            docs,
            fields: Vec::new(),
        };
        if let Some(name) = line.strip_suffix(" {") {
            member.name = name.to_owned();
            member.fields = members(lines, "}");
        } else if let Some((name, kind)) = line.split_once(": ") {
            (member.name, member.kind) = (name.to_owned(), kind.trim_end_matches(',').to_owned());
        } else if let Some((name, kind)) = line.split_once('(') {
            let kind = kind.trim_end_matches(',').trim_end_matches(')');
            (member.name, member.kind) = (name.to_owned(), kind.to_owned());
        } else {
            member.name = line.trim_end_matches(',').to_owned();
        }
        found.push(member);
    }
    found
}

fn without_pub(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("pub") else { return line };
    match rest.strip_prefix('(') {
        Some(scope) => scope.split_once(") ").map_or(line, |(_, rest)| rest),
        None => rest.trim_start(),
    }
}
