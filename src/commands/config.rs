//! `isopleth config`: what is wrong with the service's settings, and what they are.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use isopleth_engine::machine;

use super::print;
use crate::cli::ServeArguments;
use crate::config;
use crate::failure::Failure;
use crate::table::bytes;

#[derive(Debug, Args)]
#[command(after_help = "\
Settings come from their defaults, then FILE, then ISOPLETH_SERVE_<NAME>, as `isopleth serve --config FILE` has them.
Every setting is told in docs/settings.md. Exit codes: 0 in order; 2 something is wrong, told with file and line.

Examples:
  isopleth config check /etc/isopleth.toml
  isopleth config show /etc/isopleth.toml")]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    action: ConfigAction,
}

#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Tell what is wrong: unknown settings, values of the wrong kind, contradictions
    Check(FileArgument),
    /// Print every setting as TOML, with where its value comes from; secrets are hidden
    Show(FileArgument),
}

#[derive(Debug, Args)]
struct FileArgument {
    /// Settings in TOML; without it those of the environment are looked at
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
}

pub(crate) fn run(arguments: &ConfigArguments) -> Result<(), Failure> {
    match &arguments.action {
        ConfigAction::Check(of) => {
            let settings = ServeArguments::of(of.file.clone());
            let config = config::checked(&settings)?;
            let named = of
                .file
                .as_ref()
                .map_or("the environment".into(), |file| file.display().to_string());
            let threads = config.threads_per_map.unwrap_or_else(machine::available_threads);
            let memory = bytes(config.memory_of_a_map());
            print(&format!(
                "{named} is in order; on this machine a map may have {threads} threads and {memory} of memory, \
                 {} at once\n",
                config.maps_at_once()
            ))
        }
        ConfigAction::Show(of) => {
            print(&config::show_with_origins(&ServeArguments::of(of.file.clone()))?)
        }
    }
}
