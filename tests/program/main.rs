//! Runs the built program as a user does: arguments in; files, text and exit codes out.

mod harness;

mod bad_input;
mod cache;
mod choices;
mod commands;
mod correlation;
mod examples;
mod judges;
mod maps;
mod masks;
mod projected;
mod quality;
mod real_files;
mod series;
mod serve;
mod transforms;
mod uncertainty;
