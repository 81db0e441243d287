//! A finished output: sent as it is, or within a JSON document, where what is no text is in base64.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use isopleth_engine::export::{self, ExportError, Options, Selection, Source};
use isopleth_engine::{Error, Kind};
use serde_json::json;
use tokio_util::io::ReaderStream;

use super::{Base, describe};
use crate::error::ApiError;
use crate::jobs::{Form, Process};
use crate::routes::deliver::Made;
use crate::routes::of_engine;
use crate::state::AppState;

/// A document holds no more bytes of an output.
const MOST_IN_A_DOCUMENT: u64 = 64 << 20;

/// An output and its form.
#[derive(Debug)]
pub(crate) struct Output {
    process: Process,
    form: Form,
    data: Data,
}

/// Where its bytes are.
#[derive(Debug)]
enum Data {
    Memory(Vec<u8>),
    /// Without a name, or one that may go meanwhile.
    File(File, u64),
}

impl Output {
    pub(crate) fn new(process: Process, form: Form, bytes: Vec<u8>) -> Self {
        Self { process, form, data: Data::Memory(bytes) }
    }

    /// A map that was just made as NetCDF, in the form that is wanted; values at places as they are. Blocks.
    ///
    /// # Errors
    /// 422 where the map cannot have the form.
    pub(crate) fn of(
        state: &AppState,
        process: Process,
        form: Form,
        made: Made,
    ) -> Result<Self, ApiError> {
        let data = match made {
            Made::Json(bytes) | Made::Memory { bytes, .. } => Data::Memory(bytes),
            Made::File { file, bytes, .. } => Data::File(file, bytes),
            Made::Kept { made, .. } => return Self::of(state, process, form, *made),
        };
        match form {
            Form::Map(other) if other != export::Form::NetCdf => {
                let dir = folder(state)?;
                let path = dir.path().join("map.nc");
                let mut file = File::create(&path).map_err(no_room)?;
                match data {
                    Data::Memory(bytes) => file.write_all(&bytes).map_err(no_room)?,
                    Data::File(mut made, _) => {
                        std::io::copy(&mut made, &mut file).map_err(no_room)?;
                    }
                }
                drop(file);
                Self::of_file(state, process, form, &path)
            }
            _ => Ok(Self { process, form, data }),
        }
    }

    /// The output of a job, whose file is at `path`. Blocks.
    ///
    /// # Errors
    /// 422 where the map cannot have the form.
    pub(crate) fn of_file(
        state: &AppState,
        process: Process,
        form: Form,
        path: &Path,
    ) -> Result<Self, ApiError> {
        let open = |path: &Path| {
            let file = File::open(path)?;
            let bytes = file.metadata()?.len();
            Ok(Data::File(file, bytes))
        };
        let data = match form {
            Form::Map(other) if other != export::Form::NetCdf => {
                let dir = folder(state)?;
                let made = dir.path().join("made");
                let source = Source::open(path).map_err(|error| {
                    ApiError::internal("the map could not be read again", error)
                })?;
                let (all, options) = (Selection::default(), Options::default());
                export::write(other, &source, &all, &options, &made)
                    .map_err(|error| not_whole(other, error))?;
                // Its name goes with the folder, its bytes with the handle.
                open(&made)
            }
            _ => open(path),
        };
        Ok(Self { process, form, data: data.map_err(no_room)? })
    }

    /// As it is.
    pub(crate) fn raw(self) -> Response {
        let (name, ending) = (self.process.name(), self.form.extension());
        let disposition = format!("attachment; filename=\"{name}.{ending}\"");
        let disposition = HeaderValue::try_from(disposition);
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.form.media_type())),
            (
                header::CONTENT_DISPOSITION,
                disposition.unwrap_or(HeaderValue::from_static("attachment")),
            ),
        ];
        match self.data {
            Data::Memory(bytes) => (headers, bytes).into_response(),
            Data::File(file, bytes) => {
                let stream = ReaderStream::with_capacity(tokio::fs::File::from_std(file), 1 << 17);
                let length = [(header::CONTENT_LENGTH, HeaderValue::from(bytes))];
                (headers, length, Body::from_stream(stream)).into_response()
            }
        }
    }

    /// Within a document, by its name. Blocks.
    ///
    /// # Errors
    /// 413 for one that is larger than a document may be.
    pub(crate) fn document(self) -> Result<Response, ApiError> {
        let bytes = match self.data {
            Data::Memory(bytes) => bytes,
            Data::File(_, bytes) if bytes > MOST_IN_A_DOCUMENT => {
                return Err(ApiError::too_large(format!(
                    "{} has {bytes} bytes, more than the {MOST_IN_A_DOCUMENT} that a document \
                     holds; ask for response `raw`, or, of a job, for transmissionMode `reference`",
                    self.process.result()
                )));
            }
            Data::File(mut file, _) => {
                let mut all = Vec::new();
                file.read_to_end(&mut all).map_err(no_room)?;
                all
            }
        };
        let kind = json!(self.form.media_type());
        let mut body = format!("{{\"{}\":{{\"mediaType\":{kind},", describe::output(self.process))
            .into_bytes();
        if self.form.is_json() {
            body.extend_from_slice(b"\"value\":");
            body.extend_from_slice(&bytes);
        } else if self.form.is_text() {
            let text = json!(String::from_utf8_lossy(&bytes)).to_string();
            body.extend_from_slice(format!("\"value\":{text}").as_bytes());
        } else {
            let text = STANDARD.encode(&bytes);
            body.extend_from_slice(
                format!("\"encoding\":\"base64\",\"value\":\"{text}\"").as_bytes(),
            );
        }
        body.extend_from_slice(b"}}");
        Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
    }
}

/// A document that says where the output is.
pub(crate) fn reference(base: &Base, process: Process, form: Form, path: &str) -> Response {
    let link = json!({"href": base.at(path), "type": form.media_type(), "rel": "item"});
    let body = json!({describe::output(process): link});
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// An output is the whole map, and has no parameters to choose a part with.
fn not_whole(form: export::Form, error: Error) -> ApiError {
    use ExportError as E;
    let what = match &error {
        Error::Export(E::ManyVariables { .. }) => "variables",
        Error::Export(E::ManyTimes { .. } | E::MoreTimes { .. }) => "times",
        Error::Export(E::TooLarge { .. }) => "cells",
        _ => return of_engine(error),
    };
    let text = format!(
        "the map has more {what} than {form} holds; take it as application/x-netcdf, or, where maps are kept, a part \
         of it from /v1/maps/{{id}}/data"
    );
    match error.kind() {
        Kind::Limit => ApiError::too_large(text),
        _ => ApiError::meaningless(text),
    }
}

fn folder(state: &AppState) -> Result<tempfile::TempDir, ApiError> {
    tempfile::tempdir_in(&state.config().spill_dir).map_err(no_room)
}

fn no_room(error: std::io::Error) -> ApiError {
    ApiError::internal("a file of the service failed", error)
}
