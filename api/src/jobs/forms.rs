//! In which forms the result of a process comes, and in which it is asked for.

use axum::http::HeaderMap;
use isopleth_engine::export;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Process;
use crate::accept;
use crate::error::ApiError;

/// A form of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Of a map: its file, or what is made of that.
    Map(export::Form),
    /// Of values and errors.
    Json,
    /// The same.
    Csv,
}

const MAPS: &[Form] = &[
    Form::Map(export::Form::NetCdf),
    Form::Map(export::Form::CoverageJson),
    Form::Map(export::Form::GeoTiff),
    Form::Map(export::Form::Png),
    Form::Map(export::Form::GeoJson),
    Form::Map(export::Form::Csv),
];

const TABLES: &[Form] = &[Form::Json, Form::Csv];

impl Form {
    /// Those of a process; the first unless another is asked for.
    pub(crate) fn of(process: Process) -> &'static [Self] {
        match process {
            Process::Map => MAPS,
            Process::Points | Process::Crossvalidation => TABLES,
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Map(form) => form.media_type(),
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Map(form) => form.extension(),
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }

    /// The form that a media type names, without regard to its parameters.
    ///
    /// # Errors
    /// 422 with those that there are.
    pub(crate) fn named(process: Process, media_type: &str) -> Result<Self, ApiError> {
        let essence =
            |name: &str| name.split(';').next().unwrap_or(name).trim().to_ascii_lowercase();
        let asked = match essence(media_type).as_str() {
            "application/netcdf" => "application/x-netcdf".to_owned(),
            // For a map that is what its JSON is.
            "application/json" if process == Process::Map => {
                essence(export::Form::CoverageJson.media_type())
            }
            other => other.to_owned(),
        };
        let found = Self::of(process).iter().find(|form| essence(form.media_type()) == asked);
        found.copied().ok_or_else(|| {
            let known: Vec<&str> = Self::of(process).iter().map(|form| form.media_type()).collect();
            let media_type: String = media_type.chars().take(100).collect();
            ApiError::meaningless(format!(
                "{} does not come as `{media_type}`; there are {}",
                process.result(),
                known.join(", ")
            ))
        })
    }

    /// The form that the header `Accept` likes best; the first where it has no say.
    ///
    /// # Errors
    /// 406.
    pub(crate) fn accepted(process: Process, headers: &HeaderMap) -> Result<Self, ApiError> {
        match process {
            Process::Map => accept::export_form(None, headers, &export::Form::ALL).map(Self::Map),
            _ => {
                let offered = [accept::Form::Json, accept::Form::Csv];
                let wanted = accept::Wanted::of(None, headers, &offered)?.best(&offered)?;
                Ok(if wanted == accept::Form::Csv { Self::Csv } else { Self::Json })
            }
        }
    }

    /// Its name in the table of results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Map(form) => form.name(),
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }

    /// Whether it is text that JSON can hold as it is.
    pub(crate) fn is_json(self) -> bool {
        self.media_type().contains("json")
    }

    pub(crate) fn is_text(self) -> bool {
        self.media_type().starts_with("text/")
    }

    /// Its schema in the description of a process.
    pub(crate) fn schema(self) -> Value {
        let name = self.media_type();
        if self.is_json() {
            json!({"type": "object", "contentMediaType": name})
        } else if self.is_text() {
            json!({"type": "string", "contentMediaType": name})
        } else {
            json!({"type": "string", "contentMediaType": name, "contentEncoding": "binary"})
        }
    }
}

/// How a result is asked for; kept with a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// In which form; none: the first there is.
    pub(crate) media_type: Option<String>,
    /// Within a JSON document that names it.
    pub(crate) document: bool,
    /// In that document only where it is.
    pub(crate) reference: Option<bool>,
}

impl Asked {
    /// The form that is asked for by name.
    ///
    /// # Errors
    /// 422 where it does not come so.
    pub(crate) fn form(&self, process: Process) -> Result<Form, ApiError> {
        let first = Form::of(process).first().copied().unwrap_or(Form::Json);
        self.media_type.as_deref().map_or(Ok(first), |name| Form::named(process, name))
    }

    /// The form of the file that a job makes: of a map always NetCDF, of which all others are made.
    pub(crate) fn stored(&self, process: Process) -> Form {
        match process {
            Process::Map => Form::Map(export::Form::NetCdf),
            _ => self.form(process).unwrap_or(Form::Json),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_found_by_its_media_type_whatever_its_parameters() {
        let map = |name| Form::named(Process::Map, name).ok();
        assert_eq!(map("application/netcdf"), Some(Form::Map(export::Form::NetCdf)));
        assert_eq!(map("IMAGE/TIFF; application=geotiff"), Some(Form::Map(export::Form::GeoTiff)));
        assert_eq!(map("application/json"), Some(Form::Map(export::Form::CoverageJson)));
        assert_eq!(map("application/pdf"), None);
        assert_eq!(Form::named(Process::Points, "text/csv").ok(), Some(Form::Csv));
        assert_eq!(Form::named(Process::Points, "image/png").ok(), None);
    }
}
