//! A request's body: received within limits of size and time, kept in memory or in a temporary
//! file, and read again (decompressed, still within the limit) by the thread that computes.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use flate2::bufread::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use isopleth_engine::Cancel;
use tokio::io::AsyncWriteExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;
use crate::state::AppState;

/// What is kept in memory of a body; more goes to a temporary file.
pub(crate) const IN_MEMORY: usize = 256 << 10;

/// When to ask again where too many large bodies arrive.
const LARGE_TAKE_SECONDS: u64 = 10;

/// A received body.
#[derive(Debug)]
pub(crate) enum Spool {
    Memory(Vec<u8>),
    File(std::fs::File),
}

/// Where bodies beyond [`IN_MEMORY`] go while they arrive, and how many at once.
#[derive(Clone, Debug)]
pub(crate) struct Spill {
    dir: PathBuf,
    places: Arc<Semaphore>,
}

impl Spill {
    pub(crate) fn new(dir: &Path, places: usize) -> Self {
        Self { dir: dir.to_owned(), places: Arc::new(Semaphore::new(places)) }
    }
}

/// A body being received.
#[derive(Debug)]
pub(crate) struct Spooler {
    spill: Spill,
    memory: Vec<u8>,
    file: Option<(tokio::fs::File, OwnedSemaphorePermit)>,
}

impl Spooler {
    pub(crate) fn new(spill: &Spill) -> Self {
        Self { spill: spill.clone(), memory: Vec::new(), file: None }
    }

    pub(crate) async fn push(&mut self, chunk: &[u8]) -> Result<(), ApiError> {
        if self.memory.len() + chunk.len() <= IN_MEMORY && self.file.is_none() {
            self.memory.extend_from_slice(chunk);
            return Ok(());
        }
        if self.file.is_none() {
            let place = Arc::clone(&self.spill.places).try_acquire_owned();
            let place = place.map_err(|_| {
                ApiError::busy("as many large bodies as may are arriving", LARGE_TAKE_SECONDS)
            })?;
            // Unnamed: it is gone with its last handle, whatever happens to us.
            let file = tempfile::tempfile_in(&self.spill.dir).map_err(failed)?;
            let mut file = tokio::fs::File::from_std(file);
            file.write_all(&std::mem::take(&mut self.memory)).await.map_err(failed)?;
            self.file = Some((file, place));
        }
        match &mut self.file {
            Some((file, _place)) => file.write_all(chunk).await.map_err(failed),
            None => Ok(()),
        }
    }

    /// What is there, and the rest of a body.
    ///
    /// # Errors
    /// As [`Arriving::next`].
    pub(crate) async fn take(mut self, mut body: Arriving) -> Result<Spool, ApiError> {
        while let Some(piece) = body.next().await? {
            self.push(&piece).await?;
        }
        self.finish().await
    }

    pub(crate) async fn finish(self) -> Result<Spool, ApiError> {
        let Some((mut file, _place)) = self.file else { return Ok(Spool::Memory(self.memory)) };
        file.flush().await.map_err(failed)?;
        let mut file = file.into_std().await;
        file.rewind().map_err(failed)?;
        Ok(Spool::File(file))
    }
}

fn failed(error: io::Error) -> ApiError {
    ApiError::internal("the service could not keep the request's body", error)
}

/// A body of at most `limit` bytes, as it arrives.
#[derive(Debug)]
pub(crate) struct Arriving {
    body: Body,
    limit: u64,
    received: u64,
}

impl Arriving {
    pub(crate) fn new(body: Body, limit: u64) -> Self {
        Self { body, limit, received: 0 }
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// 413 beyond the limit, at once where the head says so; 400 when the client breaks off.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        if self.body.size_hint().lower() > self.limit {
            return Err(too_large(self.limit));
        }
        while let Some(frame) = self.body.frame().await {
            let broken = |e: axum::Error| {
                let mut cause: &dyn Error = &e;
                while let Some(beneath) = cause.source() {
                    cause = beneath;
                }
                ApiError::unreadable(format!("the body broke off: {cause}"))
            };
            let Ok(piece) = frame.map_err(broken)?.into_data() else { continue };
            self.received += piece.len() as u64;
            if self.received > self.limit {
                return Err(too_large(self.limit));
            }
            return Ok(Some(piece));
        }
        Ok(None)
    }
}

/// Receives a whole body.
///
/// # Errors
/// As [`Arriving::next`].
pub(crate) async fn receive(body: Arriving, spill: &Spill) -> Result<Spool, ApiError> {
    Spooler::new(spill).take(body).await
}

pub(crate) fn too_large(limit: u64) -> ApiError {
    ApiError::too_large(format!(
        "the body is larger than the limit of {limit} bytes; send fewer times or variables at once"
    ))
}

/// How a body is to be read.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// Most bytes after decompression.
    pub(crate) limit: u64,
    /// The same of a JSON document.
    pub(crate) document_limit: u64,
    /// Whether `Content-Encoding` says gzip; gzip without saying so is read all the same.
    pub(crate) gzip: bool,
    /// Ends the reading when the client has gone.
    pub(crate) cancel: Cancel,
    /// Why reading ended early: the parsers between pass on no more than a sentence.
    pub(crate) trip: Trip,
}

/// Why reading ended early, told past whatever parser was reading.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trip(Arc<OnceLock<Cause>>);

#[derive(Debug)]
enum Cause {
    TooLarge(u64),
    Gzip(String),
    Cancelled,
}

impl Trip {
    /// The error that ended the reading, if that is why parsing failed.
    pub(crate) fn error(&self) -> Option<ApiError> {
        self.0.get().map(|cause| match cause {
            Cause::TooLarge(limit) => too_large(*limit),
            Cause::Gzip(what) => {
                ApiError::unreadable(format!("the body is not valid gzip: {what}"))
            }
            Cause::Cancelled => ApiError::stopping(),
        })
    }

    fn set(&self, cause: Cause) -> io::Error {
        let error = io::Error::other("the body ended early");
        // A second cause is a consequence of the first.
        let _ = self.0.set(cause);
        error
    }
}

const GZIP: [u8; 2] = [0x1f, 0x8b];

impl Reading {
    /// With the service's limit.
    pub(crate) fn new(state: &AppState, gzip: bool, cancel: &Cancel) -> Self {
        let config = state.config();
        let limit = config.max_body_bytes;
        let document_limit = config.max_document_bytes.min(limit);
        Self { limit, document_limit, gzip, cancel: cancel.clone(), trip: Trip::default() }
    }

    /// The same for a document.
    pub(crate) fn of_document(&self) -> Self {
        Self { limit: self.document_limit, ..self.clone() }
    }
}

impl Spool {
    /// The bytes, where they are in memory and not compressed.
    pub(crate) fn plain(&self, reading: &Reading) -> Option<&[u8]> {
        match self {
            Self::Memory(bytes) if !reading.gzip && !bytes.starts_with(&GZIP) => Some(bytes),
            _ => None,
        }
    }

    /// Whether the body as it was sent begins with one of these.
    pub(crate) fn begins_with_any(&mut self, all: &[&[u8]]) -> Result<bool, ApiError> {
        let mut start = Vec::new();
        match self {
            Self::Memory(bytes) => start.extend_from_slice(bytes.get(..8).unwrap_or(bytes)),
            Self::File(file) => {
                file.take(8).read_to_end(&mut start).map_err(failed)?;
                file.rewind().map_err(failed)?;
            }
        }
        // A gzipped body that does not say so is looked at when it is read.
        Ok(start.starts_with(&GZIP) || all.iter().any(|magic| start.starts_with(magic)))
    }

    /// The body as it was sent.
    pub(crate) fn into_reader(self) -> Box<dyn Read + Send> {
        match self {
            Self::Memory(bytes) => Box::new(Cursor::new(bytes)),
            Self::File(file) => Box::new(file),
        }
    }

    /// The body as the client meant it.
    ///
    /// # Errors
    /// As [`decoded`].
    pub(crate) fn open(self, reading: &Reading) -> Result<Box<dyn Read + Send>, ApiError> {
        decoded(self.into_reader(), reading)
    }
}

/// A body as the client meant it, decompressed if need be.
///
/// # Errors
/// 400 for what claims to be gzip and is not, or gzip within gzip.
pub(crate) fn decoded(
    sent: Box<dyn Read + Send>,
    reading: &Reading,
) -> Result<Box<dyn Read + Send>, ApiError> {
    let mut raw = BufReader::with_capacity(1 << 16, sent);
    let is_gzip = starts_with_gzip(&mut raw).map_err(failed)?;
    if !is_gzip && reading.gzip {
        return Err(ApiError::unreadable(
            "Content-Encoding says gzip, but the body does not begin like it",
        ));
    }
    let inner: Box<dyn Read + Send> =
        if is_gzip { Box::new(MultiGzDecoder::new(raw)) } else { Box::new(raw) };
    let guarded = Guarded { inner, gzip: is_gzip, left: reading.limit, reading: reading.clone() };
    let mut guarded = BufReader::with_capacity(1 << 16, guarded);
    match starts_with_gzip(&mut guarded) {
        Ok(true) if is_gzip => Err(ApiError::unreadable("the body is gzip within gzip")),
        Ok(_) => Ok(Box::new(guarded)),
        Err(error) => Err(reading.trip.error().unwrap_or_else(|| failed(error))),
    }
}

fn starts_with_gzip(reader: &mut impl BufRead) -> io::Result<bool> {
    Ok(reader.fill_buf()?.starts_with(&GZIP))
}

/// Counts what is read, and stops at the limit or when asked to.
struct Guarded {
    inner: Box<dyn Read + Send>,
    gzip: bool,
    left: u64,
    reading: Reading,
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.reading.cancel.is_cancelled() {
            return Err(self.reading.trip.set(Cause::Cancelled));
        }
        let read = match self.inner.read(buffer) {
            Err(error) if self.gzip && error.kind() != io::ErrorKind::Interrupted => {
                return Err(self.reading.trip.set(Cause::Gzip(error.to_string())));
            }
            result => result? as u64,
        };
        self.left = match self.left.checked_sub(read) {
            Some(left) => left,
            None => return Err(self.reading.trip.set(Cause::TooLarge(self.reading.limit))),
        };
        Ok(usize::try_from(read).unwrap_or(usize::MAX))
    }
}

/// An answer's body that holds something until it is sent, or given up.
#[derive(Debug)]
pub(crate) struct Holding<T> {
    body: Body,
    _held: T,
}

impl<T> Holding<T> {
    pub(crate) fn new(body: Body, held: T) -> Self {
        Self { body, _held: held }
    }
}

impl<T: Unpin> HttpBody for Holding<T> {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
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
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn reading(limit: u64, gzip: bool) -> Reading {
        Reading {
            limit,
            document_limit: limit,
            gzip,
            cancel: Cancel::default(),
            trip: Trip::default(),
        }
    }

    fn read(bytes: Vec<u8>, reading: &Reading) -> Result<Vec<u8>, u16> {
        let status = |error: ApiError| error.status().as_u16();
        let mut out = Vec::new();
        let mut reader = Spool::Memory(bytes).open(reading).map_err(status)?;
        match reader.read_to_end(&mut out) {
            Ok(_) => Ok(out),
            Err(_) => Err(status(reading.trip.error().expect("the only way to fail"))),
        }
    }

    #[test]
    fn a_body_is_read_as_it_was_meant_whether_it_says_gzip_or_not() {
        for body in [&b"a,b\n1,2\n"[..], b"", &[7; 200_000]] {
            assert_eq!(read(body.to_vec(), &reading(1 << 20, false)).as_deref(), Ok(body));
            assert_eq!(read(gzip(body), &reading(1 << 20, true)).as_deref(), Ok(body));
            assert_eq!(read(gzip(body), &reading(1 << 20, false)).as_deref(), Ok(body));
        }
    }

    #[test]
    fn a_small_body_that_grows_beyond_the_limit_is_too_large() {
        let bomb = gzip(&vec![b' '; 1 << 20]);
        assert!(bomb.len() < 100_000, "{}", bomb.len());
        assert_eq!(read(bomb, &reading(100_000, true)), Err(413));
    }

    #[test]
    fn what_is_not_gzip_inside_is_unreadable() {
        assert_eq!(read(b"plain".to_vec(), &reading(100, true)), Err(400));
        assert_eq!(read(gzip(&gzip(b"twice")), &reading(100, true)), Err(400));
        let mut cut = gzip(&[9; 5000]);
        cut.truncate(cut.len() - 6);
        assert_eq!(read(cut, &reading(10_000, true)), Err(400));
    }

    #[test]
    fn reading_ends_when_the_client_has_gone() {
        let reading = reading(1 << 30, false);
        let mut reader = Spool::Memory(vec![1; 1 << 20]).open(&reading).expect("readable");
        reading.cancel.cancel();
        assert!(reader.read_to_end(&mut Vec::new()).is_err());
        assert_eq!(reading.trip.error().map(|e| e.status().as_u16()), Some(503));
    }

    #[tokio::test]
    async fn a_body_beyond_memory_goes_to_a_file_unchanged() {
        let bytes: Vec<u8> = (0..3 * IN_MEMORY).map(|k| (k % 251) as u8).collect();
        let dir = tempfile::tempdir().expect("a folder");
        let spill = Spill::new(dir.path(), 1);
        let spool = receive(Arriving::new(Body::from(bytes.clone()), 1 << 30), &spill)
            .await
            .expect("received");
        assert!(matches!(spool, Spool::File(_)));
        assert_eq!(std::fs::read_dir(dir.path()).expect("the folder").count(), 0, "it is unnamed");
        let mut out = Vec::new();
        let mut reader = spool.open(&reading(1 << 30, false)).expect("readable");
        reader.read_to_end(&mut out).expect("read");
        assert!(out == bytes);
        let error =
            receive(Arriving::new(Body::from(bytes), 1000), &spill).await.expect_err("too large");
        assert_eq!(error.status(), 413);
    }
}
