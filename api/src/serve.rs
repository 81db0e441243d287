//! Listening, and leaving off in good order.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use crate::config::{ConfigError, ServiceConfig};
use crate::router;
use crate::state::AppState;
use crate::store::StoreError;

/// Why the service does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A setting makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nothing can be remembered.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The listener has no address.
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
}

/// A request's head may have as many bytes.
const HEAD_BYTES: usize = 64 << 10;
/// After cancelling: as long as the engine may need to notice, and answers to be written.
const AFTER_CANCEL: Duration = Duration::from_secs(5);
/// After a failed accept, such as for want of file descriptors.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` resolves and what was in flight has ended.
///
/// On shutdown: `/readyz` says no; after `drain_seconds` no more connections are taken, and those
/// that wait for a request are closed; what computes has `grace_seconds` to end, and is then
/// cancelled.
///
/// # Errors
/// [`ServeError`] before the first request; none afterwards.
pub async fn serve(
    config: ServiceConfig,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    config.check()?;
    let address = listener.local_addr()?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), ?config, "listening");
    let state = AppState::new(config)?;
    let connections = Connections {
        service: router(state.clone()),
        head_read: Duration::from_secs(state.config().head_read_seconds),
        graceful: GracefulShutdown::new(),
    };
    let drained = async {
        shutdown.await;
        tracing::info!("shutting down");
        state.close();
        tokio::time::sleep(Duration::from_secs(state.config().drain_seconds)).await;
    };
    tokio::select! {
        () = connections.accept(&listener) => (),
        () = drained => (),
    }
    drop(listener);
    leave(&state, connections.graceful).await;
    Ok(())
}

/// Waits for what is in flight, then insists.
async fn leave(state: &AppState, graceful: GracefulShutdown) {
    let grace = Duration::from_secs(state.config().grace_seconds);
    let ended = async {
        graceful.shutdown().await;
        state.quiet().await;
    };
    tokio::pin!(ended);
    if tokio::time::timeout(grace, &mut ended).await.is_err() {
        tracing::warn!(seconds = grace.as_secs(), "cancelling what is still in flight");
        state.stop();
        if tokio::time::timeout(AFTER_CANCEL, ended).await.is_err() {
            tracing::warn!("leaving with connections open");
        }
    }
    tracing::info!("stopped");
}

struct Connections {
    service: Router,
    head_read: Duration,
    graceful: GracefulShutdown,
}

impl Connections {
    async fn accept(&self, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.serve(stream),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream) {
        // Answers are written in large pieces; small ones must not wait for more.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(self.service.clone());
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_read)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let connection = self.graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
}
