//! Runs the built program as a user does: arguments in; files, text and exit codes out.

mod harness;

mod bad_input;
mod cache;
mod commands;
mod correlation;
mod examples;
mod judges;
mod maps;
mod quality;
mod real_files;
mod serve;
