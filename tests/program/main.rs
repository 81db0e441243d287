//! Runs the built program as a user does: arguments in; files, text and exit codes out.

mod harness;

mod background;
mod bad_input;
mod cache;
mod choices;
mod commands;
mod correlation;
mod examples;
mod export;
mod forms;
mod hostile;
mod jobs;
mod judges;
mod keys;
mod maps;
mod masks;
mod projected;
mod quality;
mod real_files;
mod series;
mod serve;
mod transforms;
mod uncertainty;
mod work;
