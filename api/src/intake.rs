//! A request's body in any of its forms, received first and understood later: receiving waits for
//! the network, understanding computes.

mod coming;
mod execution;
mod kept;
mod of_network;
mod of_slot;

use std::io::{BufReader, Read};

use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, header};
use isopleth_engine::observations::{Parts, ReadError};
use isopleth_engine::{Cancel, Error, Observations, ReadOptions, Source, machine};
use serde::de::DeserializeOwned;

use crate::body::{self, Arriving, Reading, Spool, Spooler};
use crate::doors::pace;
use crate::error::{ApiError, Place};
use crate::jobs::Process;
use crate::ogc::execute;
use crate::state::AppState;
use crate::wire::order::{House, Order};
use crate::wire::quality::QualityQuery;
use crate::wire::query::{GridQuery, MethodQuery, Query, document};
use crate::wire::request::MapRequest;
use crate::wire::series::SeriesQuery;

use coming::Content;

pub(crate) use coming::Coming;
pub(crate) use execution::receive_execution;
pub(crate) use kept::Kept;
pub(crate) use of_network::OfNetwork;
pub(crate) use of_slot::OfSlot;

/// A body as received.
#[derive(Debug)]
pub(crate) enum Received {
    /// One JSON document, readings included.
    Document { body: Spool, gzip: bool },
    /// A table, or what becomes one (GeoJSON, Parquet, NetCDF); the choices came in the query.
    Table { body: Spool, gzip: bool, request: Box<MapRequest> },
    /// What a process is to be run with, as the OGC has it.
    Execution { process: Process, body: Spool, gzip: bool },
    /// A form: the choices as JSON, the readings as files.
    Form(Box<Form>),
    /// A large document or table that is read while it comes; never of what may become a job.
    Coming(Coming),
}

/// The parts of a form.
#[derive(Debug, Default)]
pub(crate) struct Form {
    request: Option<Spool>,
    readings: Vec<(String, Spool)>,
    stations: Option<(String, Spool)>,
}

/// Media types of a request, for messages.
const KNOWN: &str = "application/json, text/csv, application/geo+json, application/vnd.apache.parquet, \
     application/x-netcdf or multipart/form-data";

/// Media types of tables of readings, and what such a body begins with, if that is told.
const TABLES: [(&str, &[&[u8]]); 5] = [
    ("text/csv", &[]),
    ("application/geo+json", &[]),
    ("application/vnd.apache.parquet", &[b"PAR1"]),
    ("application/x-netcdf", &NETCDF),
    ("application/netcdf", &NETCDF),
];
const NETCDF: [&[u8]; 2] = [b"\x89HDF\r\n\x1a\n", b"CDF"];

/// What a route does with a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    /// Whether the query may say where to map.
    pub(crate) with_grid: bool,
    /// How its document is read, where a large body is read while it comes; none where it may become a job.
    pub(crate) at_once: Option<OfDocument>,
}

/// Reads the document of a route.
pub(crate) type OfDocument = fn(Box<dyn Read + Send>, &Reading) -> Result<MapRequest, ApiError>;

/// Receives a body within the limits of size and time.
///
/// # Errors
/// 415 for other media types, 413, 408, 422 for a wrong query.
pub(crate) async fn receive(
    state: &AppState,
    request: Request,
    query: Query,
    to: Use,
) -> Result<Received, ApiError> {
    let receiving = |request| receive_all(state, request, query, to);
    pace::patiently(state.config(), request, receiving).await
}

async fn receive_all(
    state: &AppState,
    request: Request,
    query: Query,
    to: Use,
) -> Result<Received, ApiError> {
    let media_type = media_type(request.headers())?;
    let gzip = is_gzip(request.headers())?;
    let config = state.config();
    let spill = state.spill();
    let arriving = |request: Request| Arriving::new(request.into_body(), config.max_body_bytes);
    match media_type.as_str() {
        "application/json" => {
            query.nothing_left("with a JSON body all choices are in the document")?;
            if let Some(read) = to.at_once {
                let content = Content::Document(read);
                return coming::receive(state, arriving(request), gzip, content).await;
            }
            let body = body::receive(arriving(request), spill).await?;
            Ok(Received::Document { body, gzip })
        }
        kind if let Some((_, magic)) = TABLES.iter().find(|(known, _)| *known == kind) => {
            let of_query = request_of_table(query, to.with_grid)?;
            // Of the others the end must be there first: it says where the rest stands.
            if magic.is_empty() && to.at_once.is_some() {
                let content = Content::Table(of_query);
                return coming::receive(state, arriving(request), gzip, content).await;
            }
            let mut body = body::receive(arriving(request), spill).await?;
            if !magic.is_empty() && !gzip && !body.begins_with_any(magic)? {
                let text = format!("the body says it is {kind}, but does not begin like it");
                return Err(ApiError::unreadable(text));
            }
            Ok(Received::Table { body, gzip, request: of_query })
        }
        "multipart/form-data" if gzip => Err(ApiError::unsupported(
            "a form cannot be gzipped as a whole; gzip its part `readings` instead",
        )),
        "multipart/form-data" => {
            query.nothing_left("with a form all choices are in its part `request`")?;
            Ok(Received::Form(Box::new(form(state, request).await?)))
        }
        other => Err(ApiError::unsupported(format!("the body is `{other}`; send it as {KNOWN}"))),
    }
}

/// The choices in the query of a table.
fn request_of_table(mut query: Query, with_grid: bool) -> Result<Box<MapRequest>, ApiError> {
    let grid: GridQuery = if with_grid { query.take()? } else { GridQuery::default() };
    let method: MethodQuery = query.take()?;
    let series: SeriesQuery = query.take()?;
    let quality: QualityQuery = query.take()?;
    query.nothing_left("/openapi.json lists those that there are")?;
    let mut request = Box::new(document(&grid, method)?);
    request.read.series = series.document()?;
    request.read.quality = quality.document()?;
    Ok(request)
}

/// The type of the body in lower case, without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Result<String, ApiError> {
    if headers.get_all(header::CONTENT_TYPE).iter().count() > 1 {
        let text = "there are two headers Content-Type; send the one that is right";
        return Err(ApiError::unreadable(text));
    }
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let value = value.ok_or_else(|| {
        ApiError::unsupported(format!("there is no header Content-Type; send the body as {KNOWN}"))
    })?;
    Ok(value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase())
}

pub(crate) fn is_gzip(headers: &HeaderMap) -> Result<bool, ApiError> {
    let mut gzip = false;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        match value.to_str().map(str::trim) {
            Ok(name) if name.eq_ignore_ascii_case("identity") => (),
            Ok(name) if name.eq_ignore_ascii_case("gzip") && !gzip => gzip = true,
            _ => {
                let text = format!("Content-Encoding {value:?}; send the body plain or as gzip");
                return Err(ApiError::unsupported(text));
            }
        }
    }
    Ok(gzip)
}

async fn form(state: &AppState, request: Request) -> Result<Form, ApiError> {
    let config = state.config();
    let mut parts = Multipart::from_request(request, state)
        .await
        .map_err(|error| ApiError::unreadable(error.body_text()))?;
    let broken = |error: axum::extract::multipart::MultipartError| {
        if error.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
            body::too_large(config.max_body_bytes)
        } else {
            ApiError::unreadable(format!("the form cannot be read: {}", error.body_text()))
        }
    };
    let mut form = Form::default();
    while let Some(mut part) = parts.next_field().await.map_err(broken)? {
        let name = part.name().unwrap_or("").to_owned();
        let file = part.file_name().unwrap_or(&name).to_owned();
        let mut spooler = Spooler::new(state.spill());
        while let Some(chunk) = part.chunk().await.map_err(broken)? {
            spooler.push(&chunk).await?;
        }
        form.put(&name, file, spooler.finish().await?)?;
    }
    Ok(form)
}

impl Form {
    fn put(&mut self, name: &str, file: String, body: Spool) -> Result<(), ApiError> {
        let full = match name {
            "readings" => {
                self.readings.push((file, body));
                false
            }
            "request" => self.request.replace(body).is_some(),
            "stations" => self.stations.replace((file, body)).is_some(),
            other => {
                return Err(ApiError::meaningless(format!(
                    "the form has a part `{other}`; parts are request, readings and stations"
                )));
            }
        };
        if full {
            return Err(ApiError::meaningless(format!("the form has two parts `{name}`")));
        }
        Ok(())
    }
}

/// A request understood, with its readings read.
#[derive(Debug)]
pub(crate) struct Understood {
    pub(crate) order: Order,
    pub(crate) observations: Observations,
    /// Processor seconds of another thread that read them.
    pub(crate) cpu_beside: f64,
}

impl Received {
    /// Whether the choices came in the query.
    pub(crate) fn is_by_query(&self) -> bool {
        match self {
            Self::Table { .. } => true,
            Self::Coming(coming) => coming.is_by_query(),
            Self::Document { .. } | Self::Execution { .. } | Self::Form(_) => false,
        }
    }

    /// Parses and reads; `R` is the document that the route wants.
    ///
    /// # Errors
    /// 400 for what is no JSON, table or gzip; 422 for what makes no sense; 413 beyond a limit.
    pub(crate) fn understand<R: DeserializeOwned + Into<MapRequest>>(
        self,
        state: &AppState,
        cancel: &Cancel,
    ) -> Result<Understood, ApiError> {
        let reading = |gzip| Reading::new(state, gzip, cancel);
        match self {
            Self::Document { body, gzip } => {
                let request: R = parse(body, &reading(gzip))?;
                let order = Order::new(request.into(), house(state))?;
                from_document(order)
            }
            Self::Execution { process, body, gzip } => {
                let ran = execute::understand(state, process, body, &reading(gzip));
                ran.map(|(understood, _)| understood)
            }
            Self::Table { body, gzip, request } => {
                let order = Order::new(*request, house(state)).map_err(ApiError::in_query)?;
                let body = vec![("the body".to_owned(), body)];
                from_tables(order, body, None, &reading(gzip))
            }
            Self::Coming(coming) => coming.wait(cancel),
            Self::Form(form) => {
                let Form { request, readings, stations } = *form;
                let request: MapRequest = match request {
                    Some(request) => parse::<R>(request, &reading(false))?.into(),
                    None => MapRequest::default(),
                };
                let order = Order::new(request, house(state))?;
                if order.parts.is_some() {
                    let text = "the form's part `request` has readings of its own; they belong \
                                into the part `readings`";
                    return Err(ApiError::meaningless(text).at_pointer("/values"));
                }
                if readings.is_empty() {
                    let text = "the form has no part `readings`; add the file of readings";
                    return Err(ApiError::meaningless(text));
                }
                from_tables(order, readings, stations, &reading(false))
            }
        }
    }
}

pub(crate) fn house(state: &AppState) -> House<'_> {
    let config = state.config();
    House {
        threads: config.threads_per_map,
        // A plan counts what is resident, which is others' here: a map is not refused for them.
        memory_bytes: config.memory_of_a_map().saturating_add(machine::resident_bytes()),
        max_cells: config.max_cells,
        max_stations: config.max_stations,
        max_variables: config.max_variables,
        grids: state.grids(),
    }
}

pub(crate) fn from_document(mut order: Order) -> Result<Understood, ApiError> {
    let Some(parts) = order.parts.take() else {
        let text = "the document has no readings; add stations, times and values";
        return Err(ApiError::meaningless(text).at_pointer("/values"));
    };
    let options = std::mem::take(&mut order.options);
    let observations = read_parts(parts, &options)?;
    Ok(Understood { order, observations, cpu_beside: 0.0 })
}

fn read_parts(parts: Parts, options: &ReadOptions) -> Result<Observations, ApiError> {
    Observations::from_parts(parts, options).map_err(of_readings)
}

pub(crate) fn from_tables(
    order: Order,
    readings: Vec<(String, Spool)>,
    stations: Option<(String, Spool)>,
    reading: &Reading,
) -> Result<Understood, ApiError> {
    let open = |(name, body): (String, Spool)| {
        Ok::<_, ApiError>(Source::Stream { name, reader: body.open(reading)? })
    };
    let stations = stations.map(open).transpose()?;
    let sources = readings.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
    from_sources(order, sources, stations, reading)
}

fn from_sources(
    mut order: Order,
    sources: Vec<Source>,
    stations: Option<Source>,
    reading: &Reading,
) -> Result<Understood, ApiError> {
    let mut options = std::mem::take(&mut order.options);
    options.max_unpacked_bytes = reading.limit;
    options.cancel = reading.cancel.clone();
    options.stations = stations.or(options.stations);
    let observations = Observations::read(sources, options)
        .map_err(|error| reading.trip.error().unwrap_or_else(|| of_readings(error)))?;
    Ok(Understood { order, observations, cpu_beside: 0.0 })
}

fn of_readings(error: ReadError) -> ApiError {
    Error::from(error).into()
}

/// A JSON document; what is wrong in it is told with a pointer.
pub(crate) fn parse<R: DeserializeOwned>(body: Spool, reading: &Reading) -> Result<R, ApiError> {
    // Straight from memory where nothing is wrong with it: half the time of the other way.
    if let Some(parsed) = body.plain(reading).and_then(|bytes| serde_json::from_slice(bytes).ok()) {
        return Ok(parsed);
    }
    parse_stream(body.open(&reading.of_document())?, reading)
}

/// The document of a route, as [`parse`] does.
pub(crate) fn of_document<R: DeserializeOwned + Into<MapRequest>>(
    decoded: Box<dyn Read + Send>,
    reading: &Reading,
) -> Result<MapRequest, ApiError> {
    parse_stream::<R>(decoded, reading).map(Into::into)
}

fn parse_stream<R: DeserializeOwned>(
    decoded: Box<dyn Read + Send>,
    reading: &Reading,
) -> Result<R, ApiError> {
    use serde_json::error::Category;
    let reader = BufReader::with_capacity(1 << 16, decoded);
    let mut json = serde_json::Deserializer::from_reader(reader);
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = pointer_of(error.path());
        (Some(pointer), error.into_inner())
    });
    let ended = parsed.and_then(|parsed| json.end().map(|()| parsed).map_err(|e| (None, e)));
    ended.map_err(|(pointer, error)| {
        if let Some(tripped) = reading.trip.error() {
            return tripped;
        }
        match error.classify() {
            Category::Data => {
                let told = ApiError::meaningless(format!("the document: {error}"));
                told.at(Place { pointer, ..Place::default() })
            }
            Category::Syntax | Category::Eof => {
                let text = error.to_string();
                // What NaN is to a parser.
                let hint = if text.starts_with("expected value") {
                    "; numbers are finite in JSON, and a missing reading is null"
                } else {
                    ""
                };
                ApiError::unreadable(format!("the body is not JSON: {text}{hint}"))
            }
            Category::Io => ApiError::internal("the service could not read the body again", error),
        }
    })
}

/// A path of serde's as a JSON pointer (RFC 6901).
fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Enum { .. } | Segment::Unknown => (),
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Trip;

    fn told(text: &str) -> (u16, Option<String>) {
        let reading = Reading {
            limit: 1 << 20,
            document_limit: 1 << 20,
            gzip: false,
            cancel: Cancel::default(),
            trip: Trip::default(),
        };
        let body = Spool::Memory(text.as_bytes().to_vec());
        let error = parse::<MapRequest>(body, &reading).expect_err(text);
        let pointer = error.problem().errors.first().and_then(|place| place.pointer.clone());
        (error.status().as_u16(), pointer)
    }

    #[test]
    fn what_is_wrong_in_a_document_is_pointed_at() {
        for (text, status, pointer) in [
            ("", 400, None),
            ("{", 400, None),
            ("{} {}", 400, None),
            ("\u{1}garbage", 400, None),
            (r#"{"stations": [{"lon": 1e999, "lat": 0}]}"#, 400, None),
            ("[]", 422, Some("")),
            (r#"{"grit": 1}"#, 422, Some("/grit")),
            (r#"{"method": {"kernl": "linear"}}"#, 422, Some("/method/kernl")),
            (r#"{"grid": {"bounds": [1, 2, 3]}}"#, 422, Some("/grid/bounds")),
            (r#"{"grid": {"bounds": [1, 2, 3, "4"]}}"#, 422, Some("/grid/bounds/3")),
            (r#"{"stations": [{"lon": 1, "lat": 0}, {"lon": 1}]}"#, 422, Some("/stations/1")),
            (r#"{"values": {"a/b~c": [[1, "x"]]}}"#, 422, Some("/values/a~1b~0c/0/1")),
            (r#"{"values": {"pm": [], "pm": []}}"#, 422, Some("/values")),
            (r#"{"method": {"degree": 300}}"#, 422, Some("/method/degree")),
        ] {
            assert_eq!(told(text), (status, pointer.map(str::to_owned)), "{text}");
        }
    }
}
