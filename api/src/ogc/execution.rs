//! `POST /processes/{id}/execution`: at once, or as a job.

use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use isopleth_engine::{Progress, crossvalidate_plan};

use super::execute::{ExecuteRequest, Wanted};
use super::output::Output;
use super::{Base, processes};
use crate::accept;
use crate::error::ApiError;
use crate::intake::{self, Received};
use crate::jobs::{Form, Process, Submission, Task, errors, submit};
use crate::limits::Turn;
use crate::routes::deliver::{Delivery, Origin, keep_small_at_once};
use crate::routes::jobs::{self, Owner};
use crate::routes::{of_engine, timed};
use crate::state::AppState;
use crate::watch::traces::Stages;
use crate::wire::jobs::JobAnswer;

/// Run a process: at once, or, with `Prefer: respond-async`, as a job.
///
/// Inputs are those that `GET /processes/{id}` describes, plainly or as `{"value": …, "mediaType": …}`. `response`
/// says whether the output itself is wanted (`raw`, the default; its form by `outputs`, else by `Accept`), or a JSON
/// document with it.
#[utoipa::path(
    post,
    path = "/processes/{id}/execution",
    tag = "ogc",
    params(
        ("id" = String, Path, description = "`map`, `points` or `crossvalidation`"),
        ("prefer" = Option<String>, Header, description = "`respond-async`: make it a job"),
        ("idempotency-key" = Option<String>, Header, description = "Of a job: the same key and request are the same job"),
        ("webhook-url" = Option<String>, Header, description = "Of a job: whom to tell of its end, if the service allows that host"),
        ("x-isopleth-usage" = Option<String>, Header, description = "`none`: leave no row in the account"),
    ),
    request_body(content = ExecuteRequest, content_type = "application/json"),
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
        (status = 201, description = "It became a job", body = JobAnswer, headers(
            ("location" = String, description = "Where the job is"),
            ("preference-applied" = String, description = "respond-async"),
        )),
        (status = 400, description = "Not readable as what it claims to be"),
        (status = 404, description = "There is no such process"),
        (status = 406, description = "No form that is accepted"),
        (status = 408, description = "The body took too long"),
        (status = 413, description = "More than the limits allow"),
        (status = 415, description = "Not a form we read"),
        (status = 422, description = "Inputs or outputs make no sense"),
        (status = 500, description = "The service failed"),
        (status = 503, description = "Busy or stopping; see Retry-After"),
    )
)]
pub(crate) async fn execute(
    State(state): State<AppState>,
    owner: Owner,
    base: Base,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let process = processes::find(&id)?;
    let from = Origin::of(&request);
    let headers = request.headers().clone();
    let wish = jobs::wish(owner, &request)?;
    let receiving = intake::receive_execution(&state, request, process);
    let (seat, received) = state.seated(receiving).await?;
    let shared = state.clone();
    if let Some(wish) = wish {
        let work = move |turn: &Turn| submit(&shared, received, &wish, turn);
        return match state.compute(seat, work).await? {
            Submission::Job(job) => jobs::created(&state, *job, &base.at("/jobs")).await,
            Submission::AtOnce(_) => {
                Err(ApiError::internal("the job was not accepted", "it is none"))
            }
        };
    }
    let work = move |turn: &Turn| at_once(&shared, received, &from, &headers, turn);
    state.compute(seat, work).await
}

fn at_once(
    state: &AppState,
    received: Received,
    from: &Origin,
    headers: &HeaderMap,
    turn: &Turn,
) -> Result<Response, ApiError> {
    let pointing = |error: ApiError| error.below("/inputs");
    from.draft.begins();
    let ((process, understood, wanted), reading) = timed(|| received.wanted(state, turn))?;
    let form = form_of(process, &wanted, headers)?;
    let task = Task::of(state, process, understood).map_err(pointing)?;
    let output = if process == Process::Crossvalidation {
        keep_small_at_once(state, &task.plan)?;
        let bytes = crate::jobs::beyond_now(&task.plan);
        let _memory = state.admit(turn, task.plan.estimate.seconds, bytes)?;
        from.draft.planned(process.name(), &task.plan, form.name());
        let stages = Stages::new();
        let on_event = |event| stages.tell(event);
        let progress = Progress { on_event: &on_event, cancel: turn };
        let made = crossvalidate_plan(&task.plan, &task.folds, progress, state.factors());
        let mut made = made.map_err(of_engine)?;
        made.report.book(reading);
        from.draft.made(&made.report);
        Output::new(process, form, errors(&made, form)?)
    } else {
        let first = accept::Wanted::only(match form {
            Form::Map(_) => accept::Form::NetCdf,
            Form::Json => accept::Form::Json,
            Form::Csv => accept::Form::Csv,
        });
        let command = format!("POST /processes/{}/execution", process.name());
        let (wanted, command) = (&first, command.as_str());
        let delivery = Delivery { state, wanted, command, from, network: None, keep: None, turn };
        let made = delivery.of(&task.plan, reading).map_err(pointing)?;
        Output::of(state, process, form, made)?
    };
    if wanted.asked.document { output.document() } else { Ok(output.raw()) }
}

/// What is answered: as `outputs` has it, else, of an output itself, as is accepted.
fn form_of(process: Process, wanted: &Wanted, headers: &HeaderMap) -> Result<Form, ApiError> {
    let asked = &wanted.asked;
    if wanted.subscriber.is_some() {
        let text = "a subscriber is told of the end of a job: ask for one with the header \
                    Prefer: respond-async";
        return Err(ApiError::meaningless(text).at_pointer("/subscriber"));
    }
    if asked.document && asked.reference == Some(true) {
        let text = "only what a job has made can be referred to: ask for one with the header \
                    Prefer: respond-async";
        return Err(ApiError::meaningless(text).at_pointer("/outputs"));
    }
    if asked.media_type.is_some() || asked.document {
        return asked.form(process);
    }
    Form::accepted(process, headers)
}
