//! Listening, and leaving off in good order.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;

use crate::config::{ConfigError, ServiceConfig};
use crate::doors::patient::Patient;
use crate::doors::tls::{Tls, TlsError};
use crate::doors::{Auth, DoorsError, Peer, customer};
use crate::state::{AppState, StartError};
use crate::{account, jobs, router, schedule};

/// Why the service does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A setting makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nothing can be remembered, or anybody could come in.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is no HTTPS with these files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The listener has no address.
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
}

/// A request's head may have as many bytes; and a hundred headers, which hyper sees to. It looks between two reads only, so
/// that up to twice as many may pass.
const HEAD_BYTES: usize = 64 << 10;
/// After cancelling: as long as the engine may need to notice, and answers to be written.
const AFTER_CANCEL: Duration = Duration::from_secs(5);
/// After a failed accept, such as for want of file descriptors.
const AFTER_FAILURE: Duration = Duration::from_millis(100);
/// Between two rounds of what is done now and then.
const NOW_AND_THEN: Duration = Duration::from_secs(5);
/// To one connection too many; it is not worth waiting until it has asked.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
    content-type: application/problem+json\r\ncontent-length: 151\r\n\r\n\
    {\"type\":\"urn:isopleth:problem:busy\",\"title\":\"The service is busy\",\"status\":503,\
    \"detail\":\"every connection that it may have is taken; try again in 1 s\"}";

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
    let tls = match (&config.tls_certificate, &config.tls_key) {
        (Some(certificate), Some(key)) => Some(Arc::new(Tls::load(certificate, key)?)),
        _ => None,
    };
    // Heard from before the first connection on. Without certificates a hang-up ends the process, as it does every
    // program of a terminal.
    let told = tls.as_ref().and_then(|_| signal(SignalKind::hangup()).ok());
    let state = AppState::new(config)?;
    let (config, keys) = (state.config(), state.doors().needs_keys());
    if !keys && config.auth != Auth::Off && !address.ip().is_loopback() {
        return Err(StartError::Doors(DoorsError::Open(address)).into());
    }
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(%address, version, keys, tls = tls.is_some(), ?config, "listening");
    state.began(address).await;
    jobs::start(&state);
    schedule::start(&state).map_err(|(name, error)| {
        let problem = error.problem();
        let place = problem.errors.first().and_then(|place| place.pointer.clone());
        StartError::Schedule(name + &place.unwrap_or_default().replace('/', "."), problem.detail)
    })?;
    account::start(&state);
    let connections = Connections {
        service: router(state.clone()),
        places: Places::new(config),
        tls,
        head_read: Duration::from_secs(config.head_read_seconds),
        send_stall: Duration::from_secs(config.send_stall_seconds),
        state: state.clone(),
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
        () = connections.look_after(told) => (),
        () = drained => (),
    }
    drop(listener);
    leave(&state, connections.graceful).await;
    Ok(())
}

/// Waits for what is in flight, then insists.
async fn leave(state: &AppState, graceful: GracefulShutdown) {
    let grace = Duration::from_secs(state.config().grace_seconds);
    state.drain_jobs();
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
    state.save_counts().await;
    tracing::info!("stopped");
}

struct Connections {
    service: Router,
    places: Places,
    tls: Option<Arc<Tls>>,
    head_read: Duration,
    send_stall: Duration,
    state: AppState,
    graceful: GracefulShutdown,
}

impl Connections {
    async fn accept(&self, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.take(stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        let trusted = self.state.doors().trusts(peer.ip());
        let Some(place) = self.places.take(peer.ip(), trusted) else {
            self.state.watch().turned_away();
            if self.tls.is_none() {
                // As much as fits; whoever opens connections only is owed no more.
                let _ = stream.try_write(FULL);
            }
            return;
        };
        // Answers are written in large pieces; small ones must not wait for more.
        let _ = stream.set_nodelay(true);
        let service = self.service.clone();
        let watcher = self.graceful.watcher();
        let (head_read, send_stall) = (self.head_read, self.send_stall);
        let acceptor = self.tls.as_ref().map(|tls| tls.acceptor());
        tokio::spawn(async move {
            let _until_the_end = place;
            let stream = Patient::new(stream, send_stall);
            match acceptor {
                None => converse(stream, peer, service, watcher, head_read).await,
                Some(acceptor) => {
                    match tokio::time::timeout(head_read, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            converse(stream, peer, service, watcher, head_read).await;
                        }
                        Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
                        Err(_) => tracing::debug!("no TLS in time"),
                    }
                }
            }
        });
    }

    /// What is done now and then, or when told to by SIGHUP; never ends.
    async fn look_after(&self, mut told: Option<Signal>) {
        loop {
            let in_any_case = match &mut told {
                Some(told) => tokio::select! {
                    got = told.recv() => got.is_some(),
                    () = tokio::time::sleep(NOW_AND_THEN) => false,
                },
                None => {
                    tokio::time::sleep(NOW_AND_THEN).await;
                    false
                }
            };
            if let Some(tls) = self.tls.clone() {
                let _ = tokio::task::spawn_blocking(move || tls.renew(in_any_case)).await;
            }
            self.state.save_counts().await;
        }
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: SocketAddr,
    service: Router,
    watcher: Watcher,
    head_read: Duration,
) {
    let service = service.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        request
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_read)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended");
    }
}

/// How many connections there may be, in all and from one address.
struct Places {
    all: Arc<Semaphore>,
    per_address: usize,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection's place; free when this is gone.
struct Place {
    _one: OwnedSemaphorePermit,
    counted: Option<IpAddr>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Places {
    fn new(config: &ServiceConfig) -> Self {
        Self {
            all: Arc::new(Semaphore::new(config.max_connections)),
            per_address: config.max_connections_per_address,
            by_address: Arc::default(),
        }
    }

    /// A trusted proxy brings the connections of many.
    fn take(&self, address: IpAddr, trusted: bool) -> Option<Place> {
        let one = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let address = customer(address);
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if !trusted {
            let count = by_address.entry(address).or_default();
            if *count >= self.per_address {
                return None;
            }
            *count += 1;
        }
        let counted = (!trusted).then_some(address);
        Some(Place { _one: one, counted, by_address: Arc::clone(&self.by_address) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.counted else { return };
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_in_all_and_by_address() {
        let config = ServiceConfig {
            max_connections: 3,
            max_connections_per_address: 2,
            ..ServiceConfig::default()
        };
        let places = Places::new(&config);
        let (one, two) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let first = places.take(one, false).expect("the first");
        let _second = places.take(one, false).expect("the second");
        assert!(places.take(one, false).is_none(), "of this address");
        let _third = places.take(two, false).expect("of another");
        assert!(places.take(two, false).is_none(), "in all");
        drop(first);
        let _fourth = places.take(one, true).expect("free again");
        assert!(places.take(two, false).is_none(), "in all");
    }

    #[test]
    fn the_answer_to_one_too_many_is_as_long_as_it_says() {
        let text = std::str::from_utf8(FULL).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("head and body");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(problem["status"], 503);
    }
}
