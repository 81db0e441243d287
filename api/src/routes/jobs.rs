//! `/v1/jobs`: large work, done one after the other. `/jobs`, as the OGC has it, is in `ogc/jobs.rs`.

use std::convert::Infallible;
use std::fs::File;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, OriginalUri, Path, Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tokio_stream::wrappers::ReceiverStream;

use super::deliver::Made;
use crate::accept::Form;
use crate::account::Draft;
use crate::doors::Caller;
use crate::error::{ApiError, PROBLEM_JSON};
use crate::intake::Received;
use crate::jobs::results::{self, MapRow};
use crate::jobs::{self, Filter, Job, State, Submission, Wish, submit};
use crate::limits::{Seat, Turn};
use crate::state::AppState;
use crate::wire::jobs::{JobAnswer, JobsAnswer, JobsQuery, Link, iso};
use crate::wire::query::Query;

/// Where jobs are.
const AT: &str = "/v1/jobs";

/// How often those who listen are told.
const TELL: Duration = Duration::from_millis(500);

/// Jobs of a list, unless asked for more or fewer.
const LISTED: u32 = 100;
const MOST_LISTED: u32 = 1000;

/// A longer key is none.
const LONGEST_KEY: usize = 255;

const WEBHOOK_URL: HeaderName = HeaderName::from_static("webhook-url");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Whose jobs: the caller's, unless a layer says otherwise.
#[derive(Clone, Debug)]
pub struct Owner(pub String);

/// Whose jobs are seen and dismissed: the caller's, and with the scope admin everybody's.
#[derive(Clone, Debug)]
pub(crate) struct Whose {
    /// Who asks.
    caller: String,
    everybody: bool,
}

impl Whose {
    /// None: everybody's.
    pub(crate) fn owner(&self) -> Option<&str> {
        (!self.everybody).then_some(self.caller.as_str())
    }
}

impl<S: Sync> FromRequestParts<S> for Whose {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let everybody = parts.extensions.get::<Caller>().is_some_and(Caller::has_admin_key);
        let Owner(caller) = Owner::from_request_parts(parts, state).await?;
        Ok(Self { caller, everybody })
    }
}

impl<S: Sync> FromRequestParts<S> for Owner {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let told = parts.extensions.get().cloned();
        let caller = || parts.extensions.get::<Caller>().map(|caller| Self(caller.owner()));
        Ok(told.or_else(caller).unwrap_or_else(|| Self("anonymous".to_owned())))
    }
}

/// What becomes of a request that may become a job.
pub(super) enum Fate {
    /// It is one: the answer.
    Job(Response),
    /// It is answered at once.
    AtOnce(Seat, Received),
}

/// Makes a job of what wishes to be one, if it can be.
///
/// # Errors
/// As for a map that is made at once, and what [`submit`] refuses.
pub(super) async fn settle(
    state: &AppState,
    seat: Seat,
    received: Received,
    wish: Option<Wish>,
) -> Result<Fate, ApiError> {
    let Some(wish) = wish else { return Ok(Fate::AtOnce(seat, received)) };
    let shared = state.clone();
    let work = move |turn: &Turn| submit(&shared, received, &wish, turn);
    match state.compute(seat, work).await? {
        Submission::Job(job) => Ok(Fate::Job(created(state, *job, "/v1/jobs").await?)),
        Submission::AtOnce(received) => Ok(Fate::AtOnce(state.seat()?, received)),
    }
}

/// Whether a request asks for a job (RFC 7240).
fn prefers_a_job(headers: &HeaderMap) -> bool {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut each = values.flat_map(|value| value.split([',', ';']));
    each.any(|one| one.trim().eq_ignore_ascii_case("respond-async"))
}

/// What a request for a job has beside its body; none where it asks for none.
///
/// # Errors
/// 422 for a header that makes no sense.
pub(crate) fn wish(owner: Owner, request: &Request) -> Result<Option<Wish>, ApiError> {
    let (headers, uri) = (request.headers(), request.uri());
    let text = |name: HeaderName| {
        let Some(value) = headers.get(&name) else { return Ok(None) };
        let text = value.to_str().map(str::trim).unwrap_or_default();
        if text.is_empty() {
            return Err(ApiError::meaningless(format!("the header {name} is no readable text")));
        }
        Ok(Some(text.to_owned()))
    };
    let idempotency_key = text(IDEMPOTENCY_KEY)?;
    if idempotency_key.as_ref().is_some_and(|key| key.len() > LONGEST_KEY) {
        let text = format!("the Idempotency-Key is longer than {LONGEST_KEY} characters");
        return Err(ApiError::meaningless(text));
    }
    let webhook = text(WEBHOOK_URL)?;
    Ok(prefers_a_job(headers).then(|| Wish {
        owner: owner.0,
        caller: Caller::of(request),
        query: uri.query().unwrap_or_default().to_owned(),
        idempotency_key,
        webhook,
        network: None,
        account: Draft::of(request).client(),
    }))
}

/// 201, and where the job is; `at`: where jobs are.
pub(crate) async fn created(state: &AppState, job: Job, at: &str) -> Result<Response, ApiError> {
    let location = format!("{at}/{}", job.id);
    let answer = answer_of(state, job, at.to_owned()).await?;
    let mut response = (StatusCode::CREATED, Json(answer)).into_response();
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::try_from(location) {
        headers.insert(header::LOCATION, location);
    }
    headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"));
    Ok(response)
}

/// List jobs, the newest first.
#[utoipa::path(
    get,
    path = "/v1/jobs",
    tag = "jobs",
    params(JobsQuery),
    responses(
        (status = 200, description = "Jobs of the caller", body = JobsAnswer),
        (status = 422, description = "The query makes no sense"),
    )
)]
pub(crate) async fn list(
    Shared(state): Shared<AppState>,
    owner: Whose,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<JobsAnswer>, ApiError> {
    let mut query = Query::parse(uri.query());
    let asked: JobsQuery = query.take()?;
    query.nothing_left("there are status, limit and offset")?;
    let status = match asked.status.as_deref() {
        None => None,
        Some(name) => Some(State::named(name).ok_or_else(|| {
            let text = format!(
                "status `{name}`: expected accepted, running, successful, failed or dismissed"
            );
            ApiError::meaningless(text).at_pointer("/status").in_query()
        })?),
    };
    let limit = number(asked.limit.as_deref(), "limit", 1..=MOST_LISTED, LISTED)?;
    let offset = number(asked.offset.as_deref(), "offset", 0..=u32::MAX / 2, 0)?;
    let filter = Filter { states: status.into_iter().collect(), ..Filter::default() };
    let jobs =
        state.store().looked_up(move |c| Ok(jobs::list(c, owner.owner(), &filter, limit, offset)?));
    let at = AT;
    let mut answers = Vec::new();
    for job in jobs.await? {
        answers.push(answer_of(&state, job, at.to_owned()).await?);
    }
    let page = |offset: u32| {
        let status = status.map_or_else(String::new, |s| format!("status={}&", s.name()));
        format!("{at}?{status}limit={limit}&offset={offset}")
    };
    let link = |href, rel| Link { href, rel, r#type: Some("application/json"), title: None };
    let mut links = vec![link(page(offset), "self")];
    if answers.len() == limit as usize {
        links.push(link(page(offset + limit), "next"));
    }
    Ok(Json(JobsAnswer { jobs: answers, links }))
}

/// Tell where a job is.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = String, Path, description = "Name of the job")),
    responses(
        (status = 200, description = "Where it is", body = JobAnswer),
        (status = 404, description = "There is no such job"),
    )
)]
pub(crate) async fn status(
    Shared(state): Shared<AppState>,
    owner: Whose,
    Path(id): Path<String>,
) -> Result<Json<JobAnswer>, ApiError> {
    let job = find(&state, owner, id).await?;
    Ok(Json(answer_of(&state, job, AT.to_owned()).await?))
}

/// Be told where a job is, until it ends (server-sent events).
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/events",
    tag = "jobs",
    params(("id" = String, Path, description = "Name of the job")),
    responses(
        (status = 200, description = "Events `status`, each with what GET of the job answers", body = String, content_type = "text/event-stream"),
        (status = 404, description = "There is no such job"),
        (status = 503, description = "Too many listen already"),
    )
)]
pub(crate) async fn events(
    Shared(state): Shared<AppState>,
    owner: Whose,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let mut job = find(&state, owner.clone(), id.clone()).await?;
    let seat = state.jobs().listen()?;
    let (at, (tell, told)) = (AT.to_owned(), tokio::sync::mpsc::channel(2));
    tokio::spawn(async move {
        let _until_the_end = seat;
        let mut before = None;
        loop {
            let Ok(answer) = answer_of(&state, job, at.clone()).await else { break };
            let ended = answer.is_final();
            if before.as_ref() != Some(&answer) {
                let Ok(event) = Event::default().event("status").json_data(&answer) else { break };
                // Nobody listens any more.
                if tell.send(Ok::<_, Infallible>(event)).await.is_err() {
                    break;
                }
            }
            before = Some(answer);
            if ended || !state.is_ready() {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(TELL) => (),
                () = tell.closed() => break,
            }
            match find(&state, owner.clone(), id.clone()).await {
                Ok(now) => job = now,
                Err(_) => break,
            }
        }
    });
    Ok(Sse::new(ReceiverStream::new(told)).keep_alive(KeepAlive::default()).into_response())
}

/// Dismiss a job: what computes stops within a second; the result of one that has ended is removed.
#[utoipa::path(
    delete,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = String, Path, description = "Name of the job")),
    responses(
        (status = 200, description = "It is dismissed", body = JobAnswer),
        (status = 404, description = "There is no such job"),
    )
)]
pub(crate) async fn dismiss(
    Shared(state): Shared<AppState>,
    owner: Whose,
    Path(id): Path<String>,
) -> Result<Json<JobAnswer>, ApiError> {
    let job = dismissed(&state, owner, id).await?;
    Ok(Json(answer_of(&state, job, AT.to_owned()).await?))
}

/// Dismisses a job of the caller's, or anybody's.
///
/// # Errors
/// 404 where there is none.
pub(crate) async fn dismissed(state: &AppState, owner: Whose, id: String) -> Result<Job, ApiError> {
    let (shared, name) = (state.clone(), id.clone());
    let dismissed = crate::store::blocking(move || {
        jobs::dismiss(&shared, (&owner.caller, owner.owner()), &name)
    })
    .await?;
    dismissed.ok_or_else(|| unknown(&id))
}

/// What a job has made: the file, whatever was asked for at `/jobs`.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/results",
    tag = "jobs",
    params(("id" = String, Path, description = "Name of the job")),
    responses(
        (status = 200, description = "The result", content(
            (Vec<u8> = "application/x-netcdf"),
            (Value = "application/json"),
            (String = "text/csv"),
        )),
        (status = 404, description = "There is no such job, or its result is not ready yet"),
        (status = 410, description = "The map was removed: when, and why"),
        (status = 422, description = "The job failed, for what was asked of it"),
        (status = 500, description = "The job failed, for what happened to the service"),
    )
)]
pub(crate) async fn result(
    Shared(state): Shared<AppState>,
    owner: Whose,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = find(&state, owner, id).await?;
    match job.state {
        State::Accepted | State::Running => {
            let text =
                format!("the result of job {} is not ready; it is {}", job.id, job.state.name());
            Err(ApiError::not_ready(text))
        }
        State::Failed => Ok(problem_of(&job)),
        State::Dismissed | State::Successful => file_of(&state, &job).await,
    }
}

/// The row of a job's result.
///
/// # Errors
/// 410 where it was removed.
pub(crate) async fn row_of(state: &AppState, job: &Job) -> Result<MapRow, ApiError> {
    let map = job.map.clone();
    let row = state.store().looked_up(move |c| Ok(results::get(c, &map)?)).await?;
    let Some(row) = row else {
        let when = job.finished.map(iso).unwrap_or_default();
        return Err(ApiError::gone(format!("job {} was dismissed at {when}", job.id)));
    };
    match &row.removed {
        None => Ok(row),
        Some((when, why)) => {
            let when = iso(*when);
            Err(ApiError::gone(format!("the result was removed at {when}: {why}; make it again")))
        }
    }
}

/// The file that a job has made.
pub(crate) async fn file_of(state: &AppState, job: &Job) -> Result<Response, ApiError> {
    let row = row_of(state, job).await?;
    let path = state.jobs().map_file(&row.path);
    let opened = tokio::task::spawn_blocking(move || File::open(path)).await;
    let file = opened
        .map_err(|panic| ApiError::internal("the result could not be opened", panic))?
        .map_err(|error| ApiError::internal("the result could not be opened", error))?;
    let form = match job.form() {
        jobs::Form::Map(_) => Form::NetCdf,
        jobs::Form::Json => Form::Json,
        jobs::Form::Csv => Form::Csv,
    };
    let name = format!("{}_{}", job.process.name(), row.path);
    let mut response = Made::File { file, bytes: row.bytes, form, name }.into_response();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", row.digest)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// The problem that the job ended with.
pub(crate) fn problem_of(job: &Job) -> Response {
    #[derive(serde::Deserialize)]
    struct Status {
        status: u16,
    }
    let text = job.problem.clone().unwrap_or_default();
    let status = serde_json::from_str(&text).ok().map(|Status { status }| status);
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let kind = HeaderValue::from_static(PROBLEM_JSON);
    (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), [(header::CONTENT_TYPE, kind)], text)
        .into_response()
}

pub(crate) async fn find(state: &AppState, owner: Whose, id: String) -> Result<Job, ApiError> {
    let found = state.store().looked_up(move |c| {
        let job = jobs::get(c, owner.owner(), &id)?;
        job.ok_or_else(|| unknown(&id))
    });
    found.await
}

fn unknown(id: &str) -> ApiError {
    let id: String = id.chars().take(64).collect();
    ApiError::not_found(format!("there is no job `{id}`; GET /v1/jobs lists those that there are"))
}

pub(crate) async fn answer_of(
    state: &AppState,
    job: Job,
    at: String,
) -> Result<JobAnswer, ApiError> {
    let (job, position) = match job.state {
        State::Accepted => {
            let position = state.store().looked_up(move |c| {
                let position = jobs::queue_position(c, &job)?;
                Ok((job, Some(position)))
            });
            position.await?
        }
        _ => (job, None),
    };
    let attempt = state.jobs().attempt(&job.id);
    Ok(JobAnswer::new(&job, attempt.as_deref(), position, &at))
}

pub(crate) fn number(
    text: Option<&str>,
    name: &str,
    range: std::ops::RangeInclusive<u32>,
    otherwise: u32,
) -> Result<u32, ApiError> {
    let Some(text) = text else { return Ok(otherwise) };
    text.parse().ok().filter(|n| range.contains(n)).ok_or_else(|| {
        let (from, to) = (range.start(), range.end());
        ApiError::meaningless(format!("{name} `{text}`: expected a number from {from} to {to}"))
            .at_pointer(format!("/{name}"))
            .in_query()
    })
}
