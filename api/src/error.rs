//! What a client is told when there is no answer: `application/problem+json` (RFC 9457).
//!
//! The public sentence says what we got, what is needed and what to do; what the machine said stays
//! in the log. Every error of the engine becomes a status in [`ApiError::from`], and nowhere else.

mod of_export;

use std::path::Path;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use isopleth_engine::observations::{Location, ReadError};
use isopleth_engine::{Error, Kind, kernels};
use serde::Serialize;
use utoipa::ToSchema;

/// Media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Why there is no answer (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Stable name of the kind of problem, a URI.
    #[schema(example = "urn:isopleth:problem:meaningless")]
    pub r#type: String,
    /// The same for people.
    #[schema(example = "The request makes no sense")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// What we got, what is needed, what to do.
    pub detail: String,
    /// Where it is wrong, as far as that is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Place>,
}

/// The name of the problem that an answer tells, in its extensions: `meaningless`, `busy`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told(pub(crate) &'static str);

/// One thing that is wrong, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Place {
    /// JSON pointer (RFC 6901) into the request's document.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/values/pm25/0/17")]
    pub pointer: Option<String>,
    /// Name of the query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// Line of the table, the header being 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// Name of the column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Code of the station.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub station: Option<String>,
    /// What is wrong there.
    pub detail: String,
}

/// Kinds of problems: each a status, a stable name and a title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Unreadable,
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    Timeout,
    TooLarge,
    UriTooLong,
    UnsupportedMediaType,
    Meaningless,
    TooMany,
    Precondition,
    Internal,
    Busy,
    Stopping,
    NotReady,
    Gone,
    NoRoom,
    Other(StatusCode),
}

impl Code {
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::Unreadable => (S::BAD_REQUEST, "unreadable", "The request cannot be read"),
            Self::BadRequest => (S::BAD_REQUEST, "bad-request", "The request makes no sense"),
            Self::Unauthorized => (S::UNAUTHORIZED, "unauthorized", "A key is needed"),
            Self::Forbidden => (S::FORBIDDEN, "forbidden", "The key does not allow this"),
            Self::NotFound => (S::NOT_FOUND, "not-found", "There is nothing here"),
            Self::MethodNotAllowed => {
                (S::METHOD_NOT_ALLOWED, "method-not-allowed", "The resource has no such method")
            }
            Self::NotAcceptable => {
                (S::NOT_ACCEPTABLE, "not-acceptable", "No answer in a form that is accepted")
            }
            Self::Timeout => (S::REQUEST_TIMEOUT, "timeout", "The request took too long to arrive"),
            Self::TooLarge => (S::PAYLOAD_TOO_LARGE, "too-large", "More than the limits allow"),
            Self::UriTooLong => (S::URI_TOO_LONG, "uri-too-long", "The address is too long"),
            Self::UnsupportedMediaType => {
                (S::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Not a form we read")
            }
            Self::Meaningless => {
                (S::UNPROCESSABLE_ENTITY, "meaningless", "The request makes no sense")
            }
            Self::TooMany => (S::TOO_MANY_REQUESTS, "too-many", "More than one client may ask for"),
            Self::Precondition => (
                S::PRECONDITION_FAILED,
                "precondition-failed",
                "The resource is not what the request expects",
            ),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "The service failed"),
            Self::Busy => (S::SERVICE_UNAVAILABLE, "busy", "The service is busy"),
            Self::Stopping => (S::SERVICE_UNAVAILABLE, "stopping", "The service is stopping"),
            Self::NotReady => (S::NOT_FOUND, "result-not-ready", "The result is not there yet"),
            Self::NoRoom => (S::INSUFFICIENT_STORAGE, "no-room", "There is no room to keep it in"),
            Self::Gone => (S::GONE, "gone", "It was here, and is no more"),
            Self::Other(status) => (status, "other", "The request failed"),
        }
    }
}

/// Why a request has no answer: a kind, a public sentence, places, and a private cause.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    detail: String,
    places: Vec<Place>,
    retry_after: Option<u64>,
    /// For the log only.
    cause: Option<String>,
    /// What a standard calls it.
    called: Option<&'static str>,
}

impl ApiError {
    fn new(code: Code, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { code, detail, places: Vec::new(), retry_after: None, cause: None, called: None }
    }

    /// 400: not the syntax it claims to be.
    pub(crate) fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(Code::Unreadable, detail)
    }

    /// 404 of something that has a name.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, detail)
    }

    /// 404 of a result that will be there.
    pub(crate) fn not_ready(detail: impl Into<String>) -> Self {
        Self { retry_after: Some(1), ..Self::new(Code::NotReady, detail) }
    }

    /// 410.
    pub(crate) fn gone(detail: impl Into<String>) -> Self {
        Self::new(Code::Gone, detail)
    }

    /// 507: the service cannot keep what it was asked to keep.
    pub(crate) fn no_room(detail: impl Into<String>) -> Self {
        Self::new(Code::NoRoom, detail)
    }

    /// The same where the disk is why something could not be kept; other errors as ever.
    pub(crate) fn of_keeping(error: impl Into<Self> + std::fmt::Display) -> Self {
        let text = error.to_string();
        let full = ["No space left on device", "Disk quota exceeded", "database or disk is full"];
        if full.iter().any(|words| text.contains(words)) {
            let detail = "the disk of the service is full, and nothing of the map was kept; ask for it \
                          without keep=true, or again once there is room";
            return Self { cause: Some(text), ..Self::no_room(detail) };
        }
        error.into()
    }

    /// 401, with what to send.
    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(Code::Unauthorized, detail)
    }

    /// 403.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, detail)
    }

    /// 414.
    pub(crate) fn uri_too_long(limit: usize) -> Self {
        let text =
            format!("path and query may have {limit} bytes; send the choices in a JSON body");
        Self::new(Code::UriTooLong, text)
    }

    /// 429, with a time to come back.
    pub(crate) fn too_many(what: &str, retry_after_seconds: u64) -> Self {
        let detail = format!("{what}; try again in {retry_after_seconds} s");
        Self { retry_after: Some(retry_after_seconds), ..Self::new(Code::TooMany, detail) }
    }

    /// 422: understood, but it makes no sense.
    pub(crate) fn meaningless(detail: impl Into<String>) -> Self {
        Self::new(Code::Meaningless, detail)
    }

    /// 400, where a standard wants it for what is 422 elsewhere.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, detail)
    }

    /// The same error, 400 in place of 422.
    pub(crate) fn into_bad_request(self) -> Self {
        let code = if self.code == Code::Meaningless { Code::BadRequest } else { self.code };
        Self { code, ..self }
    }

    /// 422 of a document that names something there is not.
    pub(crate) fn into_bad_reference(self, pointer: &str) -> Self {
        match self.code {
            Code::NotFound => Self::new(Code::Meaningless, self.detail).at_pointer(pointer),
            _ => self,
        }
    }

    /// 413.
    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(Code::TooLarge, detail)
    }

    /// 412.
    pub(crate) fn precondition(detail: impl Into<String>) -> Self {
        Self::new(Code::Precondition, detail)
    }

    /// 416.
    pub(crate) fn no_such_bytes(of: u64) -> Self {
        let detail = format!("the file has {of} bytes, of which the range names none");
        Self::new(Code::Other(StatusCode::RANGE_NOT_SATISFIABLE), detail)
    }

    /// 415.
    pub(crate) fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(Code::UnsupportedMediaType, detail)
    }

    /// 406.
    pub(crate) fn not_acceptable(detail: impl Into<String>) -> Self {
        Self::new(Code::NotAcceptable, detail)
    }

    /// 408.
    pub(crate) fn timeout(detail: impl Into<String>) -> Self {
        Self::new(Code::Timeout, detail)
    }

    /// 503, with a time to come back.
    pub(crate) fn busy(what: &str, retry_after_seconds: u64) -> Self {
        let detail = format!("{what}; try again in {retry_after_seconds} s");
        Self { retry_after: Some(retry_after_seconds), ..Self::new(Code::Busy, detail) }
    }

    /// 503 while shutting down.
    pub(crate) fn stopping() -> Self {
        let detail = "the service is shutting down; try again in a moment";
        Self { retry_after: Some(5), ..Self::new(Code::Stopping, detail) }
    }

    /// 500: the cause goes to the log.
    pub(crate) fn internal(detail: &str, cause: impl std::fmt::Display) -> Self {
        Self { cause: Some(cause.to_string()), ..Self::new(Code::Internal, detail) }
    }

    /// A bare status of somebody else's, such as the router's 404 and 405.
    pub(crate) fn of_status(status: StatusCode, path: &str) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::new(
                Code::NotFound,
                format!("no resource at {path}; /openapi.json lists what there is"),
            ),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                Code::MethodNotAllowed,
                format!("{path} has other methods: see the header Allow"),
            ),
            StatusCode::NOT_ACCEPTABLE => Self::not_acceptable(
                "no content coding that the request accepts; allow identity or gzip",
            ),
            StatusCode::INTERNAL_SERVER_ERROR => Self::internal(PANICKED, "see the lines before"),
            other => Self::new(Code::Other(other), format!("the request ended with {other}")),
        }
    }

    /// Adds a place that the detail speaks of.
    pub(crate) fn at(mut self, place: Place) -> Self {
        let detail = self.detail.clone();
        self.places.push(Place { detail, ..place });
        self
    }

    /// Adds a place in the request's JSON document.
    pub(crate) fn at_pointer(self, pointer: impl Into<String>) -> Self {
        self.at(Place { pointer: Some(pointer.into()), ..Place::default() })
    }

    /// The same error of a part of the document: pointers begin at `prefix`.
    pub(crate) fn below(mut self, prefix: &str) -> Self {
        for place in &mut self.places {
            place.pointer = place.pointer.take().map(|pointer| format!("{prefix}{pointer}"));
        }
        self
    }

    /// The same error of a request whose choices came in the query: pointers into a document
    /// become names of parameters.
    pub(crate) fn in_query(mut self) -> Self {
        for place in &mut self.places {
            if let Some(pointer) = place.pointer.take() {
                let name = pointer.split('/').rfind(|part| part.parse::<usize>().is_err());
                // A grid has several parameters, and the text says which.
                let name = name.filter(|name| !name.is_empty() && *name != "grid");
                place.parameter = name.map(str::to_owned);
            }
        }
        self
    }

    /// The same error of a request that has another name for a parameter.
    pub(crate) fn renamed(mut self, from: &str, to: &str) -> Self {
        for place in &mut self.places {
            if place.parameter.as_deref() == Some(from) {
                place.parameter = Some(to.to_owned());
            }
        }
        self
    }

    /// The same error under the name that a standard has for it, a URI.
    pub(crate) fn called(self, name: &'static str) -> Self {
        Self { called: Some(name), ..self }
    }

    /// The status it is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.code.parts().0
    }

    /// What the client is told.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (status, name, title) = self.code.parts();
        Problem {
            r#type: self
                .called
                .map_or_else(|| format!("urn:isopleth:problem:{name}"), str::to_owned),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            errors: self.places.clone(),
        }
    }
}

const PANICKED: &str = "something that cannot happen did; the log of the service has the details";

impl From<Error> for ApiError {
    /// The one place where errors of the engine meet HTTP.
    fn from(error: Error) -> Self {
        let kind = error.kind();
        match (kind, &error) {
            (Kind::BadInput, Error::Readings(reading)) => of_readings(reading),
            (Kind::BadInput, Error::Grid(_)) => {
                Self::meaningless(error.to_string()).at_pointer("/grid")
            }
            (Kind::BadInput, Error::Method(method)) => of_method(method),
            (Kind::BadInput | Kind::Limit, Error::Export(export)) => {
                of_export::of_export(export, kind)
            }
            (Kind::BadInput, _) => {
                // Where the operator keeps files is nobody's business.
                let folder = error.grid_path().and_then(Path::parent).map(|path| path.join(""));
                let folder = folder.map(|path| path.display().to_string()).unwrap_or_default();
                let text = error.to_string();
                Self::meaningless(if folder.is_empty() { text } else { text.replace(&folder, "") })
            }
            (Kind::Limit, _) => Self::too_large(error.to_string()),
            (Kind::Io, _) => Self::internal("a file or thread of the service failed", error),
            (Kind::Cancelled, _) => Self::stopping(),
        }
    }
}

fn of_readings(error: &ReadError) -> ApiError {
    use ReadError as E;
    let told = match error {
        E::Compressed { .. }
        | E::Binary { .. }
        | E::Encoding { .. }
        | E::Damaged { .. }
        | E::Csv { .. }
        | E::Json { .. } => ApiError::unreadable(error.to_string()),
        E::TooManyStations { .. } | E::TooMuch { .. } => ApiError::too_large(error.to_string()),
        _ => ApiError::meaningless(error.to_string()),
    };
    match error.location() {
        Some(Location { row, column, pointer }) => {
            told.at(Place { row, column, pointer, ..Place::default() })
        }
        None => told,
    }
}

fn of_method(error: &kernels::Error) -> ApiError {
    use kernels::Error as E;
    let told = ApiError::meaningless(error.to_string());
    match error {
        E::BadEpsilon { .. } | E::EpsilonNeeded { .. } => told.at_pointer("/method/epsilon"),
        E::BadSmoothing { .. } | E::SmoothingLength { .. } => told.at_pointer("/method/smoothing"),
        E::BadDegree { .. } => told.at_pointer("/method/degree"),
        E::NotInScipyRbf { .. } => told.at_pointer("/method/compat"),
        _ => told,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        match &self.cause {
            Some(cause) => tracing::error!(%status, detail = self.detail, cause, "failed"),
            None => tracing::info!(%status, detail = self.detail, "refused"),
        }
        let body = serde_json::to_vec(&self.problem()).expect("strings and numbers become JSON");
        let mut response = (status, body).into_response();
        response.extensions_mut().insert(Told(self.code.parts().1));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if self.code == Code::Unauthorized {
            let scheme = HeaderValue::from_static("Bearer realm=\"isopleth\"");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_engine_error_has_its_status() {
        let io = || std::io::Error::other("secret path");
        let limit = Error::Limit {
            what: "number of cells",
            wanted: "5".into(),
            limit: "4".into(),
            remedy: "choose a coarser grid",
        };
        let cases = [
            (Error::Method(kernels::Error::BadEpsilon { value: 0.0 }), 422),
            (Error::NothingToMap { first: "no reading".into() }, 422),
            (limit, 413),
            (Error::Io { action: "write", path: "/secret".into(), source: io() }, 500),
            (Error::Threads { threads: 9, message: "no".into() }, 500),
            (Error::Cancelled, 503),
        ];
        for (error, status) in cases {
            let text = error.to_string();
            let told = ApiError::from(error);
            assert_eq!(told.status(), status, "{text}");
            let problem = serde_json::to_string(&told.problem()).expect("JSON");
            assert!(!problem.contains("secret"), "the machine's words stay in the log: {problem}");
        }
    }

    #[test]
    fn a_bad_choice_points_at_itself_in_the_document_and_in_the_query() {
        let error = || ApiError::from(Error::Method(kernels::Error::BadEpsilon { value: 0.0 }));
        let place = &error().problem().errors[0];
        assert_eq!(place.pointer.as_deref(), Some("/method/epsilon"));
        let place = &error().in_query().problem().errors[0];
        assert_eq!((place.parameter.as_deref(), &place.pointer), (Some("epsilon"), &None));
        let deep = ApiError::meaningless("no").at_pointer("/grid/bounds/2").in_query();
        assert_eq!(deep.problem().errors[0].parameter.as_deref(), Some("bounds"));
    }
}
