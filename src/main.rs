//! The program `isopleth`: maps from observations at scattered stations.
//!
//! Command line and wiring only; what a map is stands in `isopleth-engine`.

mod cli;
mod commands;
mod config;
mod export;
mod failure;
mod logging;
mod progress;
mod series;
mod table;
mod traces;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use failure::Failure;

/// Gives memory back to the system soon after a run; the C library's allocator keeps it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; a closed pipe on the way is not worth a word.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { failure::USAGE } else { 0 });
        }
    };
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("isopleth: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Map(arguments) => commands::map::run(&arguments),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Points(arguments) => commands::points::run(&arguments),
        Command::Check(arguments) => commands::check::run(&arguments),
        Command::Estimate(arguments) => commands::estimate::run(&arguments),
        Command::Crossval(arguments) => commands::crossval::run(&arguments),
        Command::Correlation(arguments) => commands::correlation::run(&arguments),
        Command::Cache(arguments) => commands::cache::run(&arguments),
        Command::Serve(arguments) => commands::serve::run(&arguments),
        Command::Schedule(arguments) => commands::schedule::run(&arguments),
        Command::Config(arguments) => commands::config::run(&arguments),
        Command::Keys(arguments) => commands::keys::run(&arguments),
        Command::Doctor(arguments) => commands::doctor::run(&arguments),
        Command::Backup(arguments) => commands::backup::run(&arguments),
        Command::Status(arguments) => commands::status::run(&arguments),
        Command::Usage(arguments) => commands::usage::run(&arguments),
        Command::Healthcheck(arguments) => commands::healthcheck::run(&arguments),
        Command::Completions(arguments) => commands::completions::run(&arguments),
    }
}
