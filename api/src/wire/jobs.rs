//! What is told of a job.

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::jobs::{Job, Process, Running, State};

/// ISO 8601 in UTC.
pub(crate) fn iso(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string())
}

/// Where a job is (OGC API – Processes: `statusInfo`, with more in it).
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct JobAnswer {
    /// What is made.
    #[serde(rename = "processID")]
    process: Process,
    r#type: &'static str,
    /// Its name.
    #[serde(rename = "jobID")]
    job: String,
    /// The same, as later drafts of the standard call it.
    id: String,
    status: State,
    /// A sentence for people.
    message: String,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished: Option<String>,
    updated: String,
    /// Percent of the values that are done.
    progress: u8,
    blocks: Counts,
    fields: Counts,
    /// Seconds to the end, by the pace of this attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_seconds: Option<f64>,
    /// 1: the next of its lane. Keys take turns, so it may be sooner or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_position: Option<usize>,
    /// `interactive` for what is foreseen to be short, or `long`.
    lane: &'static str,
    /// What was foreseen.
    predicted: Predicted,
    /// Attempts, since the last that completed a block.
    attempts: u32,
    /// The map that it is to become, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<String>,
    links: Vec<Link>,
}

/// How many of how many.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Counts {
    done: u64,
    /// None before the job is divided.
    total: Option<u64>,
}

/// What was foreseen when the job was accepted.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Predicted {
    /// If nothing else runs.
    seconds: f64,
    /// Memory in bytes.
    bytes: u64,
}

/// A way on.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Link {
    pub(crate) href: String,
    pub(crate) rel: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) r#type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<&'static str>,
}

/// Jobs, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobsAnswer {
    pub(crate) jobs: Vec<JobAnswer>,
    pub(crate) links: Vec<Link>,
}

/// Which jobs.
#[derive(Debug, Default, serde::Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobsQuery {
    /// Only those of this status: accepted, running, successful, failed or dismissed.
    pub(crate) status: Option<String>,
    /// At most so many, 1 to 1000. Default 100.
    pub(crate) limit: Option<String>,
    /// After so many newer ones. Default 0.
    pub(crate) offset: Option<String>,
}

impl JobAnswer {
    /// `attempt`: if this process makes one; `at`: where jobs are, `/v1/jobs`.
    pub(crate) fn new(
        job: &Job,
        attempt: Option<&Running>,
        queue_position: Option<usize>,
        at: &str,
    ) -> Self {
        let total = job.values();
        let (done, eta_seconds) = match (job.state, attempt) {
            (State::Successful, _) => (total, None),
            (State::Running, Some(attempt)) => attempt.progress(total),
            _ => (0, None),
        };
        // Another process, or none: as far as blocks go.
        let done = done.max(match job.blocks {
            Some(blocks) if blocks > 0 => total / blocks * job.blocks_done.min(blocks),
            _ => 0,
        });
        let link = |href: String, rel, title| Link {
            href,
            rel,
            r#type: Some("application/json"),
            title: Some(title),
        };
        let here = format!("{at}/{}", job.id);
        let mut links = vec![link(here.clone(), "self", "this job")];
        if job.state == State::Successful {
            links.push(Link {
                href: format!("{here}/results"),
                rel: "http://www.opengis.net/def/rel/ogc/1.0/results",
                r#type: Some(if job.asked.document {
                    "application/json"
                } else {
                    job.form().media_type()
                }),
                title: Some(job.process.result()),
            });
        }
        Self {
            process: job.process,
            r#type: "process",
            job: job.id.clone(),
            id: job.id.clone(),
            status: job.state,
            message: job.message.clone().unwrap_or_else(|| words(job).to_owned()),
            created: iso(job.created),
            started: job.started.map(iso),
            finished: job.finished.map(iso),
            updated: iso(job.updated),
            progress: u8::try_from(u128::from(done) * 100 / u128::from(total.max(1)))
                .unwrap_or(100),
            blocks: Counts { done: job.blocks_done, total: job.blocks },
            fields: Counts { done: done / job.cells.max(1), total: Some(job.fields) },
            eta_seconds,
            queue_position,
            lane: job.lane.name(),
            predicted: Predicted { seconds: job.predicted_seconds, bytes: job.predicted_bytes },
            attempts: job.attempts,
            map: (job.process == Process::Map).then(|| job.map.clone()),
            links,
        }
    }

    /// Whether nothing more will happen.
    pub(crate) fn is_final(&self) -> bool {
        self.status.is_final()
    }
}

fn words(job: &Job) -> &'static str {
    match job.state {
        State::Accepted => "it waits for its turn",
        State::Running => "it is being made",
        State::Successful => "the result is there",
        State::Failed => "there will be no result",
        State::Dismissed => "dismissed",
    }
}
