//! The body of a process as the OGC has it, and what is wanted besides what is to be made.

use axum::extract::Request;
use isopleth_engine::Cancel;

use super::{Received, Understood, Use, media_type, receive};
use crate::body::Reading;
use crate::error::ApiError;
use crate::jobs::Process;
use crate::ogc::execute::{self, Wanted};
use crate::state::AppState;
use crate::wire::query::Query;
use crate::wire::request::MapRequest;

/// Receives what a process is to be run with.
///
/// # Errors
/// As [`receive`]; 415 for another media type than JSON.
pub(crate) async fn receive_execution(
    state: &AppState,
    request: Request,
    process: Process,
) -> Result<Received, ApiError> {
    match media_type(request.headers())?.as_str() {
        "application/json" => (),
        other => {
            let text = format!("the body is `{other}`; send it as application/json");
            return Err(ApiError::unsupported(text));
        }
    }
    let query = Query::parse(request.uri().query());
    match receive(state, request, query, Use { with_grid: false, at_once: None }).await? {
        Received::Document { body, gzip } => Ok(Received::Execution { process, body, gzip }),
        other => Ok(other),
    }
}

impl Received {
    /// The same with what is wanted besides, and of which process: a map, unless it says.
    ///
    /// # Errors
    /// As [`Received::understand`].
    pub(crate) fn wanted(
        self,
        state: &AppState,
        cancel: &Cancel,
    ) -> Result<(Process, Understood, Wanted), ApiError> {
        match self {
            Self::Execution { process, body, gzip } => {
                let reading = Reading::new(state, gzip, cancel);
                let (understood, wanted) = execute::understand(state, process, body, &reading)?;
                Ok((process, understood, wanted))
            }
            other => {
                let understood = other.understand::<MapRequest>(state, cancel)?;
                Ok((Process::Map, understood, Wanted::default()))
            }
        }
    }
}
