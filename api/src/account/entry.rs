//! A request that makes something at once: a draft goes with it, and becomes a row whatever the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use isopleth_engine::{Plan, Report};

use super::ONCE;
use super::columns::Usage;
use super::facts::shortened;
use crate::doors::Caller;
use crate::error::{ApiError, Told};
use crate::observe::RequestId;
use crate::state::AppState;

/// `none` leaves no row.
pub(crate) const USAGE: HeaderName = HeaderName::from_static("x-isopleth-usage");

/// What is known so far of a request, for whoever works for it; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft(Option<Arc<(Instant, Mutex<Usage>)>>);

impl Draft {
    /// Of a request; empty where it leaves no row.
    pub(crate) fn of(request: &Request) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }

    /// Whose name a job of this request leaves in the account.
    pub(crate) fn client(&self) -> Option<String> {
        self.with(|row| row.client.as_deref().map(str::to_owned)).flatten()
    }

    /// It is about to be read.
    pub(crate) fn begins(&self) {
        let waited = self.elapsed();
        self.with(|row| row.waited_seconds = waited);
    }

    /// It is planned: what it is, in which form, of which network, and whether it is kept.
    pub(crate) fn planned(&self, process: &'static str, plan: &Plan, form: &'static str) {
        self.with(|row| {
            row.process = Some(process.into());
            row.format = Some(form.into());
            row.planned(plan);
        });
    }

    /// Of a registered network, or kept.
    pub(crate) fn belongs(&self, network: Option<&str>, kept: bool) {
        self.with(|row| {
            row.network = network.map(shortened);
            row.kept = Some(kept);
        });
    }

    /// A cross-validation without a plan that could be seen is made.
    pub(crate) fn left_out(&self, report: &Report, form: &'static str) {
        self.with(|row| {
            row.format = Some(form.into());
            row.left_out(report);
        });
    }

    /// It is made.
    pub(crate) fn made(&self, report: &Report) {
        self.with(|row| row.made(report));
    }

    /// Seconds since the request came.
    fn elapsed(&self) -> Option<f64> {
        self.0.as_ref().map(|of| of.0.elapsed().as_secs_f64())
    }

    fn with<T>(&self, note: impl FnOnce(&mut Usage) -> T) -> Option<T> {
        let (_, row) = &**self.0.as_ref()?;
        Some(note(&mut row.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Books its row when it is dropped.
struct Entry {
    state: AppState,
    draft: Draft,
    /// How it ended; none: the client hung up.
    end: Option<(StatusCode, Option<&'static str>)>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Who still computes notes it in the draft, which nobody reads any more.
        let Some(mut row) = self.draft.with(|row| row.clone()) else { return };
        row.seconds = self.draft.elapsed();
        row.ended_ms = Some(self.state.now().as_millisecond());
        row.exit = Some(match self.end {
            // The job has a row of its own.
            Some((StatusCode::CREATED, _)) => return,
            Some((status, problem)) => {
                row.status = Some(i64::from(status.as_u16()));
                row.problem = problem.map(Into::into);
                exit(status).into()
            }
            None => "cancelled".into(),
        });
        if !self.state.account().book(row) {
            self.state.watch().account.lost();
        }
    }
}

/// What an HTTP status says of the end. Busy and stopping are refusals: nothing went wrong.
pub(super) fn exit(status: StatusCode) -> &'static str {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => "refused",
        status if status.is_client_error() => "refused",
        status if status.is_server_error() => "failed",
        _ => "successful",
    }
}

/// Around the routes that make something at once, behind the doors.
pub(crate) async fn enter(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let Some(process) = process_of(request.method(), route) else {
        return next.run(request).await;
    };
    let asked = request.headers().get(USAGE).map(|value| value.as_bytes().trim_ascii());
    match asked {
        Some(asked) if !asked.eq_ignore_ascii_case(b"none") => {
            let got = String::from_utf8_lossy(&asked[..asked.len().min(64)]).into_owned();
            let text = format!(
                "the header {USAGE} is `{got}`; there is `none`: leave no row in the account"
            );
            ApiError::bad_request(text).into_response()
        }
        asked => {
            let caller = Caller::of(&request);
            if asked.is_some() || !state.config().usage || !caller.is_counted {
                return next.run(request).await;
            }
            let RequestId(name) = RequestId::of(&request);
            let row = Usage {
                began_ms: Some(state.now().as_millisecond()),
                way: Some(ONCE.into()),
                process: Some(process.into()),
                name: Some(name.into()),
                client: Some(client(&state, &caller).into()),
                ..Usage::default()
            };
            let draft = Draft(Some(Arc::new((Instant::now(), Mutex::new(row)))));
            request.extensions_mut().insert(draft.clone());
            let mut entry = Entry { state, draft, end: None };
            let response = next.run(request).await;
            let problem = response.extensions().get::<Told>().map(|Told(name)| *name);
            entry.end = Some((response.status(), problem));
            response
        }
    }
}

fn process_of(method: &Method, route: Option<&str>) -> Option<&'static str> {
    match (method, route?) {
        (&Method::POST, "/v1/maps" | "/v1/networks/{id}/maps" | "/processes/{id}/execution") => {
            Some("map")
        }
        (&Method::POST, "/v1/crossvalidations") => Some("crossvalidation"),
        _ => None,
    }
}

/// A client's name: never its address, unless the configuration wants that.
fn client(state: &AppState, caller: &Caller) -> String {
    if caller.key.is_none() && state.config().usage_addresses {
        return format!("address:{}", crate::doors::customer(caller.address));
    }
    caller.owner()
}
