//! `isopleth serve`: maps over HTTP.

use isopleth_api::{ServeError, StartError};
use tokio::signal::unix::{SignalKind, signal};

use super::print;
use crate::cli::ServeArguments;
use crate::failure::{Failure, io};
use crate::traces::Traces;
use crate::{config, logging};

pub(crate) fn run(arguments: &ServeArguments) -> Result<(), Failure> {
    if arguments.print_config {
        return print(&config::show(&config::load(arguments)?)?);
    }
    let config = config::checked(arguments)?;
    let traces = Traces::new(&config)?;
    logging::start(traces.as_ref());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(io)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(io)?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => (),
                _ = tokio::signal::ctrl_c() => (),
            }
        };
        let listener = tokio::net::TcpListener::bind(&config.listen).await.map_err(|error| {
            io(anyhow::Error::from(error).context(format!("cannot listen on {}", config.listen)))
        })?;
        isopleth_api::serve(config, listener, shutdown).await.map_err(|error| match error {
            ServeError::Config(_)
            | ServeError::Tls(_)
            | ServeError::Start(
                StartError::Doors(_)
                | StartError::Grids(_)
                | StartError::Sources(_)
                | StartError::Sinks(_)
                | StartError::Schedule(..),
            ) => Failure::Usage(error.to_string()),
            other => io(other),
        })
    })
}
