//! A large document or table that is read while it comes, by a thread beside: it is understood soon after its last
//! byte, and no copy of it waits on the disk. The reader of a table keeps what it has read in memory up to a size,
//! beyond it in a file.
//!
//! As many are read so at once as maps are computed; more wait on the disk until they are whole, as does what may
//! become a job. A sender that is slow or breaks off holds nobody up: it has no place among those who compute.

use std::io::{self, Read};
use std::sync::mpsc::{self as threads, RecvTimeoutError};
use std::time::Duration;

use axum::body::Bytes;
use isopleth_engine::{Cancel, Source, machine};
use tokio::sync::mpsc;

use super::{OfDocument, Received, Understood, from_document, from_sources, house};
use crate::body::{self, Arriving, IN_MEMORY, Reading, Spool, Spooler};
use crate::error::ApiError;
use crate::observe;
use crate::state::{AppState, CancelOnDrop};
use crate::wire::order::Order;
use crate::wire::request::MapRequest;

/// Pieces of a body that wait to be read, each of some 10 kB.
const WAITING: usize = 16;

/// How often a thread that waits for the reading looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(50);

/// What is in a body.
#[derive(Debug)]
pub(super) enum Content {
    /// Choices and readings.
    Document(OfDocument),
    /// Readings; the choices came in the query.
    Table(Box<MapRequest>),
}

/// A body that is being read.
#[derive(Debug)]
pub(crate) struct Coming {
    is_by_query: bool,
    understood: threads::Receiver<Result<Understood, ApiError>>,
    /// Ends the reading when nobody waits for it any more.
    cancel: CancelOnDrop,
}

impl Coming {
    pub(super) fn is_by_query(&self) -> bool {
        self.is_by_query
    }

    /// Waits for the end of the reading, on a thread that may.
    ///
    /// # Errors
    /// As [`Received::understand`].
    pub(super) fn wait(self, cancel: &Cancel) -> Result<Understood, ApiError> {
        loop {
            match self.understood.recv_timeout(PATIENCE) {
                Ok(understood) => return understood,
                Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => self.cancel.0.cancel(),
                Err(RecvTimeoutError::Timeout) => (),
                Err(gone) => {
                    return Err(ApiError::internal("the reading of the body panicked", gone));
                }
            }
        }
    }
}

/// Receives a body: in memory where it is small, else read while it comes.
///
/// # Errors
/// As [`body::receive`].
pub(super) async fn receive(
    state: &AppState,
    mut body: Arriving,
    gzip: bool,
    content: Content,
) -> Result<Received, ApiError> {
    let mut begun = Vec::new();
    while begun.len() <= IN_MEMORY {
        match body.next().await? {
            Some(piece) => begun.extend_from_slice(&piece),
            None => return Ok(content.received(Spool::Memory(begun), gzip)),
        }
    }
    let Some(place) = state.place_to_read() else {
        let mut spooler = Spooler::new(state.spill());
        spooler.push(&begun).await?;
        return Ok(content.received(spooler.take(body).await?, gzip));
    };
    let (pieces, rest) = mpsc::channel(WAITING);
    let (tell, understood) = threads::channel();
    let cancel = Cancel::default();
    let reading = Reading::new(state, gzip, &cancel);
    let is_by_query = matches!(content, Content::Table(_));
    let (shared, [logged, traced]) = (state.clone(), observe::spans());
    tokio::task::spawn_blocking(move || {
        let (_place, _spans) = (place, (logged.entered(), traced.entered()));
        let pieces = Pieces { now: begun.into(), rest, is_whole: false };
        // Nobody may wait for it any more.
        let _ = tell.send(content.read(&shared, pieces, &reading));
    });
    let coming = Coming { is_by_query, understood, cancel: CancelOnDrop(cancel) };
    let mut is_read = true;
    while let Some(piece) = body.next().await? {
        // Where the reader has stopped, the rest is received all the same: a client that is still sending would
        // miss the answer.
        is_read = is_read && pieces.send(Piece::Bytes(piece)).await.is_ok();
    }
    let _ = pieces.send(Piece::End).await;
    Ok(Received::Coming(coming))
}

impl Content {
    /// All of it, to be read later.
    fn received(self, body: Spool, gzip: bool) -> Received {
        match self {
            Self::Document(_) => Received::Document { body, gzip },
            Self::Table(request) => Received::Table { body, gzip, request },
        }
    }

    fn read(
        self,
        state: &AppState,
        pieces: Pieces,
        reading: &Reading,
    ) -> Result<Understood, ApiError> {
        let cpu = machine::thread_cpu_seconds();
        let mut understood = self.understand(state, Box::new(pieces), reading)?;
        understood.cpu_beside = machine::thread_cpu_seconds() - cpu;
        Ok(understood)
    }

    fn understand(
        self,
        state: &AppState,
        sent: Box<dyn Read + Send>,
        reading: &Reading,
    ) -> Result<Understood, ApiError> {
        match self {
            Self::Document(parse) => {
                let request = parse(body::decoded(sent, &reading.of_document())?, reading)?;
                from_document(Order::new(request, house(state))?)
            }
            Self::Table(request) => {
                let order = Order::new(*request, house(state)).map_err(ApiError::in_query)?;
                let reader = body::decoded(sent, reading)?;
                let source = Source::Stream { name: "the body".to_owned(), reader };
                from_sources(order, vec![source], None, reading)
            }
        }
    }
}

enum Piece {
    Bytes(Bytes),
    End,
}

/// The pieces of a body, one after the other.
struct Pieces {
    now: Bytes,
    rest: mpsc::Receiver<Piece>,
    is_whole: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() && !self.is_whole {
            match self.rest.blocking_recv() {
                Some(Piece::Bytes(piece)) => self.now = piece,
                Some(Piece::End) => self.is_whole = true,
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it broke off")),
            }
        }
        let some = self.now.split_to(self.now.len().min(buffer.len()));
        buffer[..some.len()].copy_from_slice(&some);
        Ok(some.len())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::body::Body;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tokio::sync::OwnedSemaphorePermit;
    use tokio_stream::wrappers::ReceiverStream;

    use super::super::{of_document, request_of_table};
    use super::*;
    use crate::config::ServiceConfig;
    use crate::wire::query::Query;

    const HOURS: usize = 200;
    const STATIONS: usize = 300;

    fn state() -> AppState {
        AppState::new(ServiceConfig { concurrency: Some(1), ..Default::default() })
            .expect("a state")
    }

    /// 4 MB: much more than what is kept in memory.
    fn table() -> String {
        let mut text = String::from("station,lon,lat,time,pm25\n");
        for row in 0..HOURS * STATIONS {
            let (hour, station) = (row / STATIONS, row % STATIONS);
            let (day, hour) = (1 + hour / 24, hour % 24);
            let (lon, lat) =
                (100.0 + station as f64 / 30.0, 30.0 + (station * 7 % 300) as f64 / 50.0);
            let value = (row * row % 9973) as f64 / 7.0;
            text.push_str(&format!(
                "station-{station},{lon},{lat},2026-01-{day:02}T{hour:02}:00:00Z,{value}\n"
            ));
        }
        text
    }

    /// The same readings, 1.3 MB.
    fn document() -> String {
        let station = |k: usize| {
            let (lon, lat) = (100.0 + k as f64 / 30.0, 30.0 + (k * 7 % 300) as f64 / 50.0);
            format!(r#"{{"id": "station-{k}", "lon": {lon}, "lat": {lat}}}"#)
        };
        let time = |k: usize| format!(r#""2026-01-{:02}T{:02}:00:00Z""#, 1 + k / 24, k % 24);
        let row = |hour: usize| {
            let value = |k: usize| {
                let row = hour * STATIONS + k;
                ((row * row % 9973) as f64 / 7.0).to_string()
            };
            format!("[{}]", listed(STATIONS, value))
        };
        format!(
            r#"{{"grid": {{"bounds": [100, 30, 110, 36], "shape": [5, 4]}}, "method": {{"kernel": "linear"}},
            "stations": [{}], "times": [{}], "values": {{"pm25": [{}]}}}}"#,
            listed(STATIONS, station),
            listed(HOURS, time),
            listed(HOURS, row),
        )
    }

    fn listed(count: usize, one: impl Fn(usize) -> String) -> String {
        (0..count).map(one).collect::<Vec<_>>().join(", ")
    }

    fn of_table() -> Content {
        let query = Query::parse(Some("bounds=100,30,110,36&shape=5x4&kernel=linear"));
        Content::Table(request_of_table(query, true).expect("a good query"))
    }

    fn of_request() -> Content {
        Content::Document(of_document::<MapRequest>)
    }

    /// The one place to read, once it is free.
    async fn place(state: &AppState) -> OwnedSemaphorePermit {
        loop {
            match state.place_to_read() {
                Some(place) => return place,
                None => tokio::time::sleep(PATIENCE).await,
            }
        }
    }

    /// Sends a body in pieces; it breaks off where `is_whole` is not.
    async fn sent(
        state: &AppState,
        content: Content,
        bytes: Vec<u8>,
        gzip: bool,
        is_whole: bool,
    ) -> Result<Received, ApiError> {
        let (tell, told) = mpsc::channel::<Result<Bytes, io::Error>>(1);
        tokio::spawn(async move {
            for piece in bytes.chunks(50_000) {
                if tell.send(Ok(piece.to_vec().into())).await.is_err() {
                    return;
                }
            }
            if !is_whole {
                let _ = tell.send(Err(io::Error::other("gone"))).await;
            }
        });
        let limit = state.config().max_body_bytes;
        let body = Arriving::new(Body::from_stream(ReceiverStream::new(told)), limit);
        receive(state, body, gzip, content).await
    }

    async fn understood(state: &AppState, received: Received) -> Result<Vec<String>, ApiError> {
        let shared = state.clone();
        let is_beside = matches!(received, Received::Coming(_));
        let reading = move || {
            let understood = received.understand::<MapRequest>(&shared, &Cancel::default())?;
            assert_eq!(understood.cpu_beside > 0.0, is_beside, "counted where it was spent");
            let (observations, mut values) = (understood.observations, Vec::new());
            let mut all = vec![format!("{:?} {:?}", observations.times(), observations.stations())];
            for time in 0..observations.times().len() {
                observations.step(time, &mut values).expect("read before");
                all.push(format!("{values:?}"));
            }
            Ok(all)
        };
        tokio::task::spawn_blocking(reading).await.expect("no panic")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_large_body_is_read_while_it_comes_and_says_the_same_as_one_that_waits() {
        let state = state();
        let mut said = Vec::new();
        for (text, content) in [(table(), of_table as fn() -> Content), (document(), of_request)] {
            let send = |bytes, gzip| sent(&state, content(), bytes, gzip, true);
            let coming = send(text.clone().into(), false).await.expect("received");
            assert!(matches!(coming, Received::Coming(_)));
            assert_eq!(coming.is_by_query(), matches!(content(), Content::Table(_)));
            let coming = understood(&state, coming).await.expect("good readings");
            assert_eq!(coming.len(), HOURS + 1);

            let taken = place(&state).await;
            let waiting = send(text.clone().into(), false).await.expect("received");
            let (Received::Table { body, .. } | Received::Document { body, .. }) = &waiting else {
                panic!("it waits: {waiting:?}");
            };
            assert!(matches!(body, Spool::File(_)));
            drop(taken);
            assert_eq!(understood(&state, waiting).await.expect("good readings"), coming);

            let mut packed = GzEncoder::new(Vec::new(), Compression::none());
            packed.write_all(text.as_bytes()).expect("memory");
            let packed = send(packed.finish().expect("memory"), true).await.expect("received");
            assert_eq!(understood(&state, packed).await.expect("good readings"), coming);

            let small = text.as_bytes()[..IN_MEMORY / 2].to_vec();
            let small = send(small, false).await.expect("received");
            assert!(!matches!(small, Received::Coming(_)));
            said.push(coming);
        }
        assert_eq!(said[0], said[1], "a table and a document of the same readings");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_wrong_is_told_as_of_a_body_that_waits_and_the_place_is_free_again() {
        let state = state();
        let mut wrong = table();
        let row = "station-0,100,91,2026-02-01T00:00:00Z,1\n";
        let at = wrong.find("station-7,").expect("a row");
        wrong.insert_str(at, row);
        let send = |bytes, gzip, is_whole| sent(&state, of_table(), bytes, gzip, is_whole);
        let received = send(wrong.into(), false, true).await.expect("to its end");
        let error = understood(&state, received).await.expect_err("a latitude of 91");
        assert_eq!((error.status().as_u16(), error.problem().errors[0].row), (422, Some(9)));

        let wrong = document().replacen("[0, ", "[\"none\", ", 1);
        let received = sent(&state, of_request(), wrong.into(), false, true).await;
        let error = understood(&state, received.expect("to its end")).await.expect_err("a text");
        let pointer = error.problem().errors[0].pointer.clone();
        assert_eq!((error.status().as_u16(), pointer.as_deref()), (422, Some("/values/pm25/0/0")));

        let gone = send(table().into(), false, false).await.expect_err("it broke off");
        assert_eq!(gone.status(), 400);
        assert!(gone.problem().detail.contains("broke off"), "{:?}", gone.problem());
        let received = send(table().into(), true, true).await.expect("to its end");
        let error = understood(&state, received).await.expect_err("it is not gzip");
        assert_eq!(error.status(), 400);

        let limit =
            ServiceConfig { max_body_bytes: 2 << 20, concurrency: Some(1), ..Default::default() };
        let small = AppState::new(limit).expect("a state");
        let large = sent(&small, of_table(), table().into(), false, true).await;
        assert_eq!(large.expect_err("4 MB of 2").status(), 413);
        // Those that nobody waits for any more end by themselves.
        drop((place(&state).await, place(&small).await));
    }
}
