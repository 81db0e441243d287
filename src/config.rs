//! The service's settings: defaults, then a TOML file, then `ISOPLETH_SERVE_…`, then the command line.

use std::path::PathBuf;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use isopleth_api::ServiceConfig;

use crate::cli::ServeArguments;
use crate::failure::{Failure, io};

/// Puts the settings together; a mistake names its source.
pub(crate) fn load(arguments: &ServeArguments) -> Result<ServiceConfig, Failure> {
    let mut figment = Figment::from(Serialized::defaults(ServiceConfig::default()));
    if let Some(folder) = state_folder() {
        figment = figment.merge(Serialized::default("data_dir", folder));
    }
    if let Some(path) = &arguments.config {
        figment = figment.merge(Toml::file_exact(path));
    }
    figment = figment.merge(Env::prefixed("ISOPLETH_SERVE_"));
    if let Some(listen) = &arguments.listen {
        figment = figment.merge(Serialized::default("listen", listen));
    }
    figment.extract().map_err(|error| Failure::Usage(format!("configuration: {error}")))
}

/// Every setting as TOML.
pub(crate) fn show(config: &ServiceConfig) -> Result<String, Failure> {
    toml::to_string_pretty(config).map_err(io)
}

/// Where a user's programs keep what they must remember (the XDG base directories).
fn state_folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let states = set("XDG_STATE_HOME").map(PathBuf::from);
    let states = states.or_else(|| Some(PathBuf::from(set("HOME")?).join(".local/state")))?;
    Some(states.join("isopleth"))
}
