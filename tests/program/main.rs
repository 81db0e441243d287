//! Runs the built program as a user does: arguments in; files, text and exit codes out.

mod harness;

mod api_page;
mod background;
mod bad_input;
mod cache;
mod choices;
mod commands;
mod correlation;
mod edr;
mod examples;
mod export;
mod forms;
mod hostile;
mod jobs;
mod judges;
mod keys;
mod maps;
mod masks;
mod processes;
mod projected;
mod quality;
mod real_files;
mod schedule;
mod series;
mod serve;
mod sinks;
mod sockets;
mod sources;
mod tls;
mod traces;
mod transforms;
mod uncertainty;
mod work;
mod year;
