//! `docs/settings.md` is what the code says of its settings; `ISOPLETH_BLESS=1` renews it.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use isopleth_api::ServiceConfig;
use serde_json::Value;
use source::{Definition, Member};

const HEAD: &str = "\
# Settings

This page is made from the comments in the code (`ISOPLETH_BLESS=1 cargo test -p isopleth-api --test settings`).

One TOML file (`isopleth serve --config FILE`); `ISOPLETH_SERVE_<NAME>` in the environment is stronger than the file, and a value there
is written as in TOML (`ISOPLETH_SERVE_TRUSTED_PROXIES='[\"10.0.0.0/8\"]'`). `isopleth config check FILE` tells what is wrong with file and line,
`isopleth config show FILE` every setting with where its value comes from. How to run it: [deploy.md](deploy.md).
";

type Types = BTreeMap<String, Vec<Definition>>;

/// Sections of tables are written once, in the order in which they are met.
struct Page<'t> {
    types: &'t Types,
    text: String,
    seen: BTreeSet<String>,
}

#[test]
fn every_setting_is_documented_as_the_code_has_it() {
    let types = source::definitions(&[Path::new("src"), Path::new("../engine/src")]);
    let mut page = Page { types: &types, text: HEAD.to_owned(), seen: BTreeSet::new() };
    let config = &types["ServiceConfig"][0];
    let defaults = serde_json::to_value(ServiceConfig::default()).expect("JSON");
    let defaults = defaults.as_object().expect("a document");
    let told: BTreeSet<&str> = config.members.iter().map(|member| member.name.as_str()).collect();
    let there: BTreeSet<&str> = defaults.keys().map(String::as_str).collect();
    assert_eq!(told, there, "settings in the source, and in a document");
    for member in &config.members {
        assert!(!member.docs.is_empty(), "{} says nothing", member.name);
    }
    page.fields(config, &config.members, "", Some(defaults));
    // Ends with one new line.
    let page = format!("{}\n", page.text.trim_end());

    let path = "../docs/settings.md";
    if std::env::var_os("ISOPLETH_BLESS").is_some() {
        std::fs::write(path, &page).expect("docs/settings.md");
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    let differs = there.lines().zip(page.lines()).find(|(there, code)| there != code);
    assert!(
        there == page,
        "docs/settings.md is behind the code (ISOPLETH_BLESS=1 renews it): {differs:?}"
    );
}

impl<'t> Page<'t> {
    /// A table of fields, and then the tables within it.
    fn fields(
        &mut self,
        of: &'t Definition,
        members: &'t [Member],
        under: &str,
        defaults: Option<&serde_json::Map<String, Value>>,
    ) {
        let mut members: Vec<&'t Member> =
            members.iter().filter(|member| !member.is("skip")).collect();
        // What serde puts among them stands among them here.
        while let Some(at) = members.iter().position(|member| member.is("flatten")) {
            let Some(within) = self.resolve(of, &members[at].kind) else { break };
            members.splice(at..=at, &within.members);
        }
        if !members.is_empty() {
            let head = match defaults {
                Some(_) => "\n| setting | is | default | |\n|---|---|---|---|\n",
                None => "\n| setting | is | |\n|---|---|---|\n",
            };
            self.text.push_str(head);
        }
        for member in &members {
            let name = member.serde("rename").unwrap_or(&member.name);
            let kind = self.kind(of, &member.kind);
            let docs = member.docs.replace("\n\n", " ").replace('|', "\\|");
            let default = match defaults {
                None => String::new(),
                Some(_) if name == "spill_dir" => " the system's |".to_owned(),
                Some(defaults) => format!(" {} |", shown(&defaults[name])),
            };
            let _ = writeln!(self.text, "| `{name}` | {kind} |{default} {docs} |");
        }
        for member in members {
            let name = member.serde("rename").unwrap_or(&member.name);
            self.within(of, name, &member.kind, under);
        }
    }

    /// A section for what stands in a table of its own.
    fn within(&mut self, of: &'t Definition, name: &str, kind: &str, under: &str) {
        let (bare, many) = bare(kind);
        let Some(definition) = self.resolve(of, bare) else { return };
        let is_table = !definition.is_enum || definition.members.iter().any(has_fields);
        if !is_table
            || is_text(definition)
            || definition.members.is_empty()
            || described_elsewhere(definition)
        {
            return;
        }
        let path = format!("{under}{name}{}", if many { ".NAME" } else { "" });
        if !self.seen.insert(bare.to_owned()) {
            return;
        }
        let _ = write!(self.text, "\n## `[{path}]`\n\n{}\n", definition.docs);
        if !definition.is_enum {
            self.fields(definition, &definition.members, &format!("{path}."), None);
            return;
        }
        let tag = definition.serde("tag").unwrap_or("kind");
        for variant in &definition.members {
            let name = cased(definition, variant);
            let _ = write!(self.text, "\n### `{tag} = \"{name}\"`\n\n{}\n", variant.docs);
            let within = self.resolve(definition, bare_of(&variant.kind));
            match within {
                Some(within) => self.fields(within, &within.members, &format!("{path}."), None),
                None => self.fields(definition, &variant.fields, &format!("{path}."), None),
            }
        }
    }

    /// A type by its name; of several that of the same file, or of the nearest folder.
    fn resolve(&self, of: &Definition, kind: &str) -> Option<&'t Definition> {
        let types: &'t Types = self.types;
        let all = types.get(bare(kind).0)?;
        let near = |definition: &&Definition| {
            let same = definition.file.components().zip(of.file.components());
            same.take_while(|(a, b)| a == b).count()
        };
        all.iter().max_by_key(near)
    }

    /// A type in words.
    fn kind(&self, of: &Definition, kind: &str) -> String {
        if let Some(inner) = inner(kind, "Option<") {
            return self.kind(of, inner);
        }
        if let Some(inner) = inner(kind, "Vec<") {
            return format!("list of {}", self.kind(of, inner));
        }
        if kind.starts_with('[') || kind.starts_with('(') {
            let first = kind.trim_matches(['[', ']', '(', ')']).split([';', ',']).next();
            return format!("list of {}", self.kind(of, first.unwrap_or(kind)));
        }
        if kind.starts_with("BTreeMap<") || kind.starts_with("HashMap<") {
            return "table".to_owned();
        }
        match bare_of(kind) {
            "bool" => return "true or false".to_owned(),
            "f64" | "f32" => return "number".to_owned(),
            "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" => return "integer".to_owned(),
            "PathBuf" => return "path".to_owned(),
            _ => (),
        }
        match self.resolve(of, kind) {
            Some(found) if is_text(found) => "text".to_owned(),
            Some(found) if described_elsewhere(found) => {
                format!("`{}` of [openapi.json](openapi.json)", bare_of(kind))
            }
            Some(found) if found.is_enum && !found.members.iter().any(has_fields) => {
                let names = found.members.iter().map(|v| format!("`\"{}\"`", cased(found, v)));
                names.collect::<Vec<_>>().join(", ")
            }
            Some(found) if !found.members.is_empty() => "table".to_owned(),
            _ => "text".to_owned(),
        }
    }
}

fn has_fields(variant: &Member) -> bool {
    !variant.kind.is_empty() || !variant.fields.is_empty()
}

/// Documents of requests stand in the description of the interface.
fn described_elsewhere(definition: &Definition) -> bool {
    definition.file.starts_with("src/wire")
}

/// Some types of several parts are written as one text.
fn is_text(definition: &Definition) -> bool {
    definition.serde("try_from").or_else(|| definition.serde("from")) == Some("String")
}

fn inner<'k>(kind: &'k str, outer: &str) -> Option<&'k str> {
    kind.strip_prefix(outer)?.strip_suffix('>')
}

/// What is within options, lists and tables by name, and whether it is one of many with names.
fn bare(kind: &str) -> (&str, bool) {
    for outer in ["Option<", "Vec<", "Box<", "Arc<"] {
        if let Some(within) = inner(kind, outer) {
            return bare(within);
        }
    }
    for outer in ["BTreeMap<String, ", "HashMap<String, "] {
        if let Some(within) = inner(kind, outer) {
            return (bare(within).0, true);
        }
    }
    (bare_of(kind), false)
}

fn bare_of(kind: &str) -> &str {
    kind.rsplit("::").next().unwrap_or(kind)
}

/// The name of a variant as documents have it.
fn cased(definition: &Definition, variant: &Member) -> String {
    if let Some(name) = variant.serde("rename") {
        return name.to_owned();
    }
    let between = match definition.serde("rename_all") {
        Some("snake_case") => Some('_'),
        Some("kebab-case") => Some('-'),
        Some("lowercase") => None,
        _ => return variant.name.clone(),
    };
    let mut name = String::new();
    for (at, letter) in variant.name.char_indices() {
        if let (Some(between), true) = (between, letter.is_ascii_uppercase() && at > 0) {
            name.push(between);
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// A default as it would stand in the file.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Object(table) if table.is_empty() => "none".to_owned(),
        other => format!("`{other}`"),
    }
}
