//! `isopleth completions`: a script for the shell.

use clap::CommandFactory;

use super::print;
use crate::cli::{Cli, CompletionsArguments};
use crate::failure::Failure;

pub(crate) fn run(arguments: &CompletionsArguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "isopleth", &mut script);
    print(&String::from_utf8_lossy(&script))
}
