//! `/processes` and `/processes/{id}`: what can be made, and of what.

use axum::Json;
use axum::extract::{OriginalUri, Path};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::{Base, describe};
use crate::error::ApiError;
use crate::jobs::Process;
use crate::routes::jobs::number;
use crate::wire::jobs::Link;
use crate::wire::query::Query;

/// Type of the problem that there is no such process.
const NO_SUCH_PROCESS: &str =
    "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/no-such-process";

/// What can be made.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProcessesAnswer {
    /// Summaries: id, title, description, version, and how they can be run.
    #[schema(value_type = Vec<Object>)]
    processes: Vec<Map<String, Value>>,
    links: Vec<Link>,
}

/// Which of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProcessesQuery {
    /// At most so many, 1 to 1000. Default 100.
    limit: Option<String>,
    /// After so many. Default 0.
    offset: Option<String>,
}

/// The process of a path.
///
/// # Errors
/// 404 as the standard has it.
pub(crate) fn find(id: &str) -> Result<Process, ApiError> {
    Process::named(id).ok_or_else(|| {
        let id: String = id.chars().take(64).collect();
        let text = format!("there is no process `{id}`; GET /processes lists those there are");
        ApiError::not_found(text).called(NO_SUCH_PROCESS)
    })
}

fn link(href: String, rel: &'static str, title: &'static str) -> Value {
    let link = Link { href, rel, r#type: Some("application/json"), title: Some(title) };
    serde_json::to_value(link).unwrap_or_default()
}

/// List what can be made.
#[utoipa::path(
    get,
    path = "/processes",
    tag = "ogc",
    params(ProcessesQuery),
    responses(
        (status = 200, description = "The processes", body = ProcessesAnswer),
        (status = 422, description = "The query makes no sense"),
    )
)]
pub(crate) async fn list(
    base: Base,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<ProcessesAnswer>, ApiError> {
    let mut query = Query::parse(uri.query());
    let asked: ProcessesQuery = query.take()?;
    query.nothing_left("there are limit and offset")?;
    let limit = number(asked.limit.as_deref(), "limit", 1..=1000, 100)?;
    let offset = number(asked.offset.as_deref(), "offset", 0..=u32::MAX / 2, 0)?;
    let page = Process::ALL.into_iter().skip(offset as usize).take(limit as usize);
    let processes: Vec<Map<String, Value>> = page
        .map(|process| {
            let mut summary = describe::summary(process);
            let here = base.at(&format!("/processes/{}", process.name()));
            summary.insert("links".into(), vec![link(here, "self", "the process")].into());
            summary
        })
        .collect();
    let at = |offset: u32| base.at(&format!("/processes?limit={limit}&offset={offset}"));
    let link = |href, rel| Link { href, rel, r#type: Some("application/json"), title: None };
    let mut links = vec![link(at(offset), "self")];
    if (offset as usize).saturating_add(processes.len()) < Process::ALL.len() {
        links.push(link(at(offset.saturating_add(limit)), "next"));
    }
    Ok(Json(ProcessesAnswer { processes, links }))
}

/// Describe what a process takes and gives.
#[utoipa::path(
    get,
    path = "/processes/{id}",
    tag = "ogc",
    params(("id" = String, Path, description = "`map`, `points` or `crossvalidation`")),
    responses(
        (status = 200, description = "The process with the schemas of its inputs and outputs", body = Object),
        (status = 404, description = "There is no such process"),
    )
)]
pub(crate) async fn describe_one(
    base: Base,
    Path(id): Path<String>,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let process = find(&id)?;
    let mut told = describe::description(process).clone();
    let here = base.at(&format!("/processes/{}", process.name()));
    let execute = "http://www.opengis.net/def/rel/ogc/1.0/execute";
    let links = vec![
        link(here.clone(), "self", "this process"),
        link(format!("{here}/execution"), execute, "run it"),
        link(base.at("/processes"), "up", "all processes"),
    ];
    told.insert("links".into(), links.into());
    Ok(Json(told))
}
