//! A body must keep coming: whoever sends a byte now and then would hold one of few places for as long as a large
//! body may take.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use hyper::body::{Frame, SizeHint};
use tracing::Instrument;

use crate::config::ServiceConfig;
use crate::error::ApiError;
use crate::watch::traces;

/// Receives a request's body, no longer than `body_read_seconds`, and of each `body_stall_seconds` at least the bytes
/// that `body_bytes_per_second` make.
///
/// # Errors
/// 408 when it comes too slowly; what `receive` says.
pub(crate) async fn patiently<T, F>(
    config: &ServiceConfig,
    request: Request,
    receive: impl FnOnce(Request) -> F,
) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    let arrived = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&arrived);
    let receiving = receive(request.map(|body| Body::new(Counted { body, arrived: counter })));
    let patience = config.body_read();
    let in_time = tokio::time::timeout(patience, receiving);
    tokio::select! {
        biased;
        received = in_time.instrument(traces::step("receive")) => received.unwrap_or_else(|_| Err(ApiError::timeout(format!(
            "the body did not arrive within {} s; send less at once",
            patience.as_secs()
        )))),
        slow = slowness(config, &arrived) => Err(slow),
    }
}

/// Resolves when too little has come for too long.
async fn slowness(config: &ServiceConfig, arrived: &AtomicU64) -> ApiError {
    let (seconds, rate) = (config.body_stall_seconds, config.body_bytes_per_second);
    let enough = rate.saturating_mul(seconds).max(1);
    loop {
        let before = arrived.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let came = arrived.load(Ordering::Relaxed) - before;
        if came < enough {
            return ApiError::timeout(format!(
                "{came} bytes of the body came in {seconds} s; at least {rate} a second are needed"
            ));
        }
    }
}

/// A body whose bytes are counted.
struct Counted {
    body: Body,
    arrived: Arc<AtomicU64>,
}

impl HttpBody for Counted {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(bytes) = frame.data_ref()
        {
            self.arrived.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use tokio_stream::wrappers::ReceiverStream;

    /// A body that comes in so many pieces, ten a second, and what became of it.
    async fn sent(piece: usize, pieces: usize, body_read_seconds: u64) -> Result<u64, ApiError> {
        let (tell, told) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
        tokio::spawn(async move {
            for _ in 0..pieces {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if tell.send(Ok(vec![7; piece].into())).await.is_err() {
                    return;
                }
            }
        });
        let request = Request::new(Body::from_stream(ReceiverStream::new(told)));
        let config = ServiceConfig {
            body_read_seconds,
            body_stall_seconds: 1,
            body_bytes_per_second: 100,
            ..ServiceConfig::default()
        };
        let all = |request: Request| async {
            let spill = crate::body::Spill::new(&std::env::temp_dir(), 1);
            let body = crate::body::Arriving::new(request.into_body(), 1 << 30);
            let spool = crate::body::receive(body, &spill).await?;
            let mut reader = spool.into_reader();
            Ok(std::io::copy(&mut reader, &mut std::io::sink()).expect("readable"))
        };
        patiently(&config, request, all).await
    }

    #[tokio::test]
    async fn a_body_that_keeps_coming_is_taken_and_one_that_trickles_is_not() {
        assert_eq!(sent(1000, 25, 100).await.ok(), Some(25_000));
        // A short one may be slow: no whole interval passes.
        assert_eq!(sent(1, 3, 100).await.ok(), Some(3));
        let slow = sent(1, 600, 100).await.expect_err("ten bytes a second");
        assert_eq!(slow.status(), 408);
        assert!(slow.problem().detail.contains("at least 100 a second"), "{:?}", slow.problem());
        let long = sent(1000, 600, 2).await.expect_err("longer than 2 s");
        assert!(long.problem().detail.contains("within 2 s"), "{:?}", long.problem());
    }
}
