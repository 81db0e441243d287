//! `/jobs`: jobs as OGC API – Processes has them; `/v1/jobs` has the same ones.

use axum::Json;
use axum::extract::{OriginalUri, Path, State as Shared};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Base;
use super::output::{Output, reference};
use crate::error::ApiError;
use crate::jobs::{self, Filter, Form, Job, Process, State};
use crate::routes::jobs::{Whose, answer_of, dismissed, file_of, find, number, problem_of};
use crate::state::AppState;
use crate::wire::catalogue::stretch;
use crate::wire::jobs::{JobAnswer, JobsAnswer, Link};
use crate::wire::query::Query;

const NO_SUCH_JOB: &str =
    "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/no-such-job";
const RESULT_NOT_READY: &str =
    "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/result-not-ready";

/// Which jobs. Several values of one parameter are parted by commas.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FilterQuery {
    /// `process`; there are no others.
    #[param(example = "process")]
    r#type: Option<String>,
    /// Only of these processes.
    #[serde(rename = "processID")]
    #[param(example = "map,points")]
    process: Option<String>,
    /// Only of these statuses: accepted, running, successful, failed, dismissed.
    #[param(example = "accepted,running")]
    status: Option<String>,
    /// Only those accepted at this time or in this stretch: `2026-01-01T00:00:00Z/..`
    #[param(example = "2026-01-01T00:00:00Z/..")]
    #[serde(default)]
    datetime: Vec<String>,
    /// Only those that run, or ran, for so many seconds or longer.
    #[serde(rename = "minDuration")]
    min_duration: Option<String>,
    /// Only those that run, or ran, for so many seconds at most.
    #[serde(rename = "maxDuration")]
    max_duration: Option<String>,
    /// At most so many, 1 to 1000. Default 100.
    limit: Option<String>,
    /// After so many newer ones. Default 0.
    offset: Option<String>,
}

impl FilterQuery {
    fn filter(&self) -> Result<Filter, ApiError> {
        let wrong = |name: &str, text: String| {
            Err(ApiError::meaningless(text).at_pointer(format!("/{name}")).in_query())
        };
        if let Some(kind) = each(self.r#type.as_deref()).find(|kind| *kind != "process") {
            return wrong("type", format!("type `{}`: there is process", short(kind)));
        }
        let mut filter = Filter::default();
        for name in each(self.status.as_deref()) {
            match State::named(name) {
                Some(state) => filter.states.push(state),
                None => {
                    let text = format!(
                        "status `{}`: expected accepted, running, successful, failed or dismissed",
                        short(name)
                    );
                    return wrong("status", text);
                }
            }
        }
        if self.process.is_some() {
            let known = each(self.process.as_deref()).filter_map(Process::named);
            // Of a process that there is not there is no job.
            filter.processes = Some(known.collect());
        }
        match self.datetime.as_slice() {
            [] => (),
            [text] => [filter.from, filter.to] = stretch(text)?,
            _ => return wrong("datetime", "datetime is given twice; give it once".to_owned()),
        }
        let seconds = |text: &Option<String>, name| match text {
            None => Ok(None),
            Some(text) => number(Some(text), name, 0..=u32::MAX, 0).map(|n| Some(i64::from(n))),
        };
        filter.least_seconds = seconds(&self.min_duration, "minDuration")?;
        filter.most_seconds = seconds(&self.max_duration, "maxDuration")?;
        Ok(filter)
    }
}

fn each(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.into_iter().flat_map(|text| text.split(',')).map(str::trim)
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

/// List jobs, the newest first.
#[utoipa::path(
    get,
    path = "/jobs",
    tag = "ogc",
    params(FilterQuery),
    responses(
        (status = 200, description = "Jobs of the caller", body = JobsAnswer),
        (status = 422, description = "The query makes no sense"),
    )
)]
pub(crate) async fn list(
    Shared(state): Shared<AppState>,
    owner: Whose,
    base: Base,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<JobsAnswer>, ApiError> {
    let mut query = Query::parse(uri.query());
    let asked: FilterQuery = query.take()?;
    query.nothing_left(
        "there are type, processID, status, datetime, minDuration, maxDuration, limit and offset",
    )?;
    let limit = number(asked.limit.as_deref(), "limit", 1..=1000, 100)?;
    let offset = number(asked.offset.as_deref(), "offset", 0..=u32::MAX / 2, 0)?;
    let filter = asked.filter()?;
    let found = state.store().looked_up(move |c| {
        Ok(jobs::list(c, owner.owner(), &filter, limit.saturating_add(1), offset)?)
    });
    let (mut found, at) = (found.await?, base.at("/jobs"));
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let mut answers = Vec::new();
    for job in found {
        answers.push(answer_of(&state, job, at.clone()).await?);
    }
    let page = |offset: u32| {
        let before = form_urlencoded::parse(uri.query().unwrap_or("").as_bytes());
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(before.filter(|(name, _)| name != "limit" && name != "offset"));
        query.append_pair("limit", &limit.to_string());
        query.append_pair("offset", &offset.to_string());
        format!("{at}?{}", query.finish())
    };
    let link = |href, rel| Link { href, rel, r#type: Some("application/json"), title: None };
    let mut links = vec![link(page(offset), "self")];
    if more {
        links.push(link(page(offset.saturating_add(limit)), "next"));
    }
    if offset > 0 {
        links.push(link(page(offset.saturating_sub(limit)), "prev"));
    }
    Ok(Json(JobsAnswer { jobs: answers, links }))
}

/// Tell where a job is.
#[utoipa::path(
    get,
    path = "/jobs/{id}",
    tag = "ogc",
    params(("id" = String, Path, description = "Name of the job")),
    responses(
        (status = 200, description = "Where it is", body = JobAnswer),
        (status = 404, description = "There is no such job"),
    )
)]
pub(crate) async fn status(
    Shared(state): Shared<AppState>,
    owner: Whose,
    base: Base,
    Path(id): Path<String>,
) -> Result<Json<JobAnswer>, ApiError> {
    let job = found(&state, owner, id).await?;
    Ok(Json(answer_of(&state, job, base.at("/jobs")).await?))
}

/// Dismiss a job: what computes stops within a second; the result of one that has ended is removed.
#[utoipa::path(
    delete,
    path = "/jobs/{id}",
    tag = "ogc",
    params(("id" = String, Path, description = "Name of the job")),
    responses(
        (status = 200, description = "It is dismissed", body = JobAnswer),
        (status = 404, description = "There is no such job"),
    )
)]
pub(crate) async fn dismiss(
    Shared(state): Shared<AppState>,
    owner: Whose,
    base: Base,
    Path(id): Path<String>,
) -> Result<Json<JobAnswer>, ApiError> {
    let job = dismissed(&state, owner, id).await.map_err(named)?;
    Ok(Json(answer_of(&state, job, base.at("/jobs")).await?))
}

/// What a job has made, as it was asked for: the output, or a document with it.
#[utoipa::path(
    get,
    path = "/jobs/{id}/results",
    tag = "ogc",
    params(("id" = String, Path, description = "Name of the job")),
    responses(
        (status = 200, description = "The output, or a document with it", content(
            (Vec<u8> = "application/x-netcdf"),
            (Value = "application/prs.coverage+json"),
            (Vec<u8> = "image/tiff; application=geotiff; profile=cloud-optimized"),
            (Vec<u8> = "image/png"),
            (Value = "application/geo+json"),
            (String = "text/csv"),
            (Value = "application/json"),
        )),
        (status = 404, description = "There is no such job, or its result is not ready yet"),
        (status = 410, description = "The result was removed: when, and why"),
        (status = 413, description = "The job failed, for what it would take; or the document would be too large"),
        (status = 422, description = "The job failed, for what was asked of it"),
        (status = 500, description = "The job failed, for what happened to the service"),
        (status = 503, description = "Busy or stopping; see Retry-After"),
    )
)]
pub(crate) async fn result(
    Shared(state): Shared<AppState>,
    owner: Whose,
    base: Base,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = found(&state, owner, id).await?;
    match job.state {
        State::Accepted | State::Running => {
            let text =
                format!("the result of job {} is not ready; it is {}", job.id, job.state.name());
            Err(ApiError::not_ready(text).called(RESULT_NOT_READY))
        }
        State::Failed => Ok(problem_of(&job)),
        State::Dismissed | State::Successful => answer(state, &base, job).await,
    }
}

async fn answer(state: AppState, base: &Base, job: Job) -> Result<Response, ApiError> {
    let (process, form) = (job.process, job.asked.form(job.process)?);
    if !job.asked.document && form == job.form() {
        return file_of(&state, &job).await;
    }
    let row = crate::routes::jobs::row_of(&state, &job).await?;
    if job.asked.document && job.asked.reference == Some(true) {
        let path = match form {
            Form::Map(form) => format!("/v1/maps/{}/data?f={}", job.map, form.name()),
            _ => format!("/v1/jobs/{}/results", job.id),
        };
        return Ok(reference(base, process, form, &path));
    }
    let (seat, shared) = (state.seat()?, state.clone());
    let path = state.jobs().map_file(&row.path);
    let work = move |_: &crate::limits::Turn| {
        let output = Output::of_file(&shared, process, form, &path)?;
        if job.asked.document { output.document() } else { Ok(output.raw()) }
    };
    state.compute(seat, work).await
}

async fn found(state: &AppState, owner: Whose, id: String) -> Result<Job, ApiError> {
    find(state, owner, id).await.map_err(named)
}

/// As the standard calls it.
fn named(error: ApiError) -> ApiError {
    if error.status() == axum::http::StatusCode::NOT_FOUND {
        error.called(NO_SUCH_JOB)
    } else {
        error
    }
}
