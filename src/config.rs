//! The service's settings: defaults, then a TOML file, then `ISOPLETH_SERVE_…`, then the command line.

pub(crate) mod located;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use isopleth_api::{ConfigError, ServiceConfig};

use crate::cli::ServeArguments;
use crate::failure::{Failure, io};
use located::Located;

/// What variables of the environment begin with.
const PREFIX: &str = "ISOPLETH_SERVE_";

/// Puts the settings together; a mistake names its source.
pub(crate) fn load(arguments: &ServeArguments) -> Result<ServiceConfig, Failure> {
    let (figment, _) = sources(arguments)?;
    extract(&figment)
}

/// All that has a say, the strongest last, and the text of the file. What is wrong in it is told with its lines.
fn sources(arguments: &ServeArguments) -> Result<(Figment, String), Failure> {
    let mut figment = Figment::from(Serialized::defaults(ServiceConfig::default()));
    if let Some(folder) = state_folder() {
        figment = figment.merge(Serialized::default("data_dir", folder));
    }
    let mut text = String::new();
    if let Some(path) = &arguments.config {
        text = read(path)?;
        figment = figment.merge(Toml::string(&text));
    }
    figment = figment.merge(Env::prefixed(PREFIX));
    if let Some(listen) = &arguments.listen {
        figment = figment.merge(Serialized::default("listen", listen));
    }
    Ok((figment, text))
}

fn extract(figment: &Figment) -> Result<ServiceConfig, Failure> {
    figment.extract().map_err(|error| Failure::Usage(format!("configuration: {error}")))
}

/// A file of settings that has no mistakes of its own.
fn read(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Usage(format!("configuration: {shown}: {error}")))?;
    let problems = match Located::parse(&text) {
        Ok(located) => located.problems(),
        Err(problems) => problems,
    };
    if problems.is_empty() {
        return Ok(text);
    }
    let lines: Vec<String> = problems.iter().map(|problem| format!("{shown}:{problem}")).collect();
    Err(Failure::Usage(format!("configuration:\n{}", lines.join("\n"))))
}

/// The settings, each of them and all together in order.
pub(crate) fn checked(arguments: &ServeArguments) -> Result<ServiceConfig, Failure> {
    let (figment, text) = sources(arguments)?;
    let config = extract(&figment)?;
    let told = |error: &ConfigError| {
        let place = origin(&figment, arguments, &text, error.name);
        Failure::Usage(format!("configuration: {place}: {error}"))
    };
    config.check().map_err(|error| told(&error))?;
    let entries = isopleth_api::config::unusable_entries(&config);
    if entries.is_empty() {
        return Ok(config);
    }
    let line = |(name, what): &(String, String)| {
        format!("{}: {what}", origin(&figment, arguments, &text, name))
    };
    let lines: Vec<String> = entries.iter().map(line).collect();
    Err(Failure::Usage(format!("configuration:\n{}", lines.join("\n"))))
}

/// Every setting as TOML.
pub(crate) fn show(config: &ServiceConfig) -> Result<String, Failure> {
    toml::to_string_pretty(config).map_err(io)
}

/// Every setting as TOML, with a word on where its value comes from.
pub(crate) fn show_with_origins(arguments: &ServeArguments) -> Result<String, Failure> {
    let (figment, text) = sources(arguments)?;
    let config = extract(&figment)?;
    let plain = show(&config)?;
    let located = Located::parse(&plain)
        .map_err(|_| io(anyhow::anyhow!("the settings cannot be read back as TOML")))?;
    let mut out = String::new();
    let unset = unset(&config)?;
    if !unset.is_empty() {
        let _ = writeln!(out, "# Not set: {}\n", unset.join(", "));
    }
    let mut told = 0;
    for (name, end) in located.values() {
        // A comment goes to the end of the value's last line.
        out.push_str(&plain[told..end]);
        let _ = write!(out, "  # {}", origin(&figment, arguments, &text, &name));
        told = end;
    }
    out.push_str(&plain[told..]);
    Ok(out)
}

/// Settings that have no value, which TOML does not tell.
fn unset(config: &ServiceConfig) -> Result<Vec<String>, Failure> {
    let all = serde_json::to_value(config).map_err(io)?;
    let all = all.as_object().into_iter().flatten();
    Ok(all.filter(|(_, value)| value.is_null()).map(|(name, _)| name.clone()).collect())
}

/// Where a setting's value comes from: `FILE:LINE`, a variable of the environment, an option, `default`.
fn origin(figment: &Figment, arguments: &ServeArguments, text: &str, name: &str) -> String {
    if name == "listen" && arguments.listen.is_some() {
        return "--listen".to_owned();
    }
    let by = figment.find_metadata(name).map_or("", |metadata| &metadata.name);
    if by.contains(PREFIX) {
        let top = name.split('.').next().unwrap_or(name);
        return format!("{PREFIX}{}", top.to_uppercase());
    }
    match &arguments.config {
        Some(path) if by.contains("TOML") => {
            let line = Located::parse(text).ok().and_then(|located| located.line_of(name));
            line.map_or_else(
                || path.display().to_string(),
                |line| format!("{}:{line}", path.display()),
            )
        }
        _ => "default".to_owned(),
    }
}

/// Where a user's programs keep what they must remember (the XDG base directories).
fn state_folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let states = set("XDG_STATE_HOME").map(PathBuf::from);
    let states = states.or_else(|| Some(PathBuf::from(set("HOME")?).join(".local/state")))?;
    Some(states.join("isopleth"))
}
