//! The body of an execution: inputs with the fields of our own requests, and what is wanted of the output.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess,
    Visitor,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::describe;
use super::plain::Plain;
use super::readings::Readings;
use crate::body::{Reading, Spool};
use crate::error::ApiError;
use crate::intake::{self, Understood, house};
use crate::jobs::{Asked, Process};
use crate::state::AppState;
use crate::wire::order::Order;
use crate::wire::request::{CrossvalidationRequest, MapRequest};

/// What is wanted besides what is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) asked: Asked,
    /// Whom to tell of the end of a job.
    pub(crate) subscriber: Option<String>,
}

/// Describes the body of an execution.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body; `Document` reads it")]
pub(crate) struct ExecuteRequest {
    /// By name, as `GET /processes/{id}` describes them.
    #[schema(value_type = Object, example = json!({
        "grid": {"value": {"bounds": [73, 18, 135, 54], "shape": [14, 10]}},
        "readings": {"value": "station,lon,lat,pm25\na,116.4,39.9,35\nb,121.5,31.2,21.5\nc,113.3,23.1,28\n", "mediaType": "text/csv"}
    }))]
    inputs: serde_json::Value,
    /// What is wanted of the output, by its name: a form, and whether its value or a link to it.
    outputs: Option<BTreeMap<String, OutputRequest>>,
    /// The output itself, or a JSON document with it. Default `raw`.
    response: Option<ResponseName>,
    /// Whom to tell of the end of a job, if the service allows that host.
    subscriber: Option<Subscriber>,
}

/// What is wanted of an output.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct OutputRequest {
    /// In which form. Default: the first that the process has.
    format: Option<FormatRequest>,
    /// In a document: the value, or a link to it. Default `value`.
    transmission_mode: Option<TransmissionName>,
}

/// A form.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct FormatRequest {
    #[schema(example = "application/x-netcdf")]
    media_type: Option<String>,
    /// What is not text is in base64 within a document.
    encoding: Option<String>,
    /// Not looked at.
    #[serde(rename = "schema")]
    #[schema(value_type = Option<Object>)]
    _schema: Option<serde::de::IgnoredAny>,
}

/// How an output is sent in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TransmissionName {
    /// Itself.
    Value,
    /// Where it is.
    Reference,
}

/// How an execution is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ResponseName {
    /// With the output.
    #[default]
    Raw,
    /// With a JSON document that has it by name.
    Document,
}

/// Whom to tell.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Subscriber {
    /// Of the end, however the job ended: as `Webhook-Url`.
    success_uri: String,
    /// The same address, or none.
    failed_uri: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "R: DeserializeOwned")]
struct Document<R> {
    inputs: Inputs<R>,
    outputs: Option<BTreeMap<String, OutputRequest>>,
    #[serde(default)]
    response: ResponseName,
    subscriber: Option<Subscriber>,
}

/// Parses a body and reads its readings.
///
/// # Errors
/// As [`intake::parse`] and [`Order::new`]; what is wrong is pointed at.
pub(crate) fn understand(
    state: &AppState,
    process: Process,
    body: Spool,
    reading: &Reading,
) -> Result<(Understood, Wanted), ApiError> {
    match process {
        Process::Crossvalidation => read::<CrossvalidationRequest>(state, process, body, reading),
        Process::Map | Process::Points => read::<MapRequest>(state, process, body, reading),
    }
}

fn read<R: DeserializeOwned + Into<MapRequest>>(
    state: &AppState,
    process: Process,
    body: Spool,
    reading: &Reading,
) -> Result<(Understood, Wanted), ApiError> {
    let document: Document<R> = intake::parse(body, reading)?;
    let wanted = wanted(process, &document)?;
    let Inputs { request, names, readings } = document.inputs;
    if let Some(name) = names.iter().find(|name| !describe::takes(process, name)) {
        let text = format!(
            "the process {0} takes no `{name}`; GET /processes/{0} lists its inputs",
            process.name()
        );
        return Err(ApiError::meaningless(text).at_pointer(format!("/inputs/{name}")));
    }
    let mut request: MapRequest = request.into();
    let own = request.stations.is_some() || request.values.is_some() || request.times.is_some();
    if own && readings.is_some() {
        let text = "readings are given twice: as `readings`, and as stations, times or values";
        return Err(ApiError::meaningless(text).at_pointer("/inputs/readings"));
    }
    let table = match readings {
        Some(readings) => readings.into_request(&mut request)?,
        None => None,
    };
    let understood = Order::new(request, house(state)).and_then(|order| match table {
        None => intake::from_document(order),
        Some(table) => {
            let table = vec![("readings".to_owned(), Spool::Memory(table))];
            // Gzip is known by how it begins; the body's own coding is not the table's.
            let reading = Reading { gzip: false, ..reading.clone() };
            intake::from_tables(order, table, None, &reading)
        }
    });
    Ok((understood.map_err(|error| error.below("/inputs"))?, wanted))
}

fn wanted<R>(process: Process, document: &Document<R>) -> Result<Wanted, ApiError> {
    let wrong = |text: String, at: &str| Err(ApiError::meaningless(text).at_pointer(at));
    let (mut asked, only) = (Asked::default(), describe::output(process));
    for (name, output) in document.outputs.iter().flatten() {
        if name != only {
            let short: String = name.chars().take(64).collect();
            let text =
                format!("the process {} has no output `{short}`; it has {only}", process.name());
            return wrong(text, "/outputs");
        }
        asked.media_type = output.format.as_ref().and_then(|format| format.media_type.clone());
        asked.reference = output.transmission_mode.map(|how| how == TransmissionName::Reference);
        let pointer = format!("/outputs/{only}/format");
        let coding = output.format.as_ref().and_then(|format| format.encoding.as_deref());
        if let Some(coding) = coding.filter(|name| !["base64", "binary", "utf-8"].contains(name)) {
            let coding: String = coding.chars().take(64).collect();
            return wrong(format!("encoding `{coding}`: there is base64"), &pointer);
        }
        asked.form(process).map_err(|error| error.at_pointer(pointer))?;
    }
    asked.document = document.response == ResponseName::Document;
    let subscriber = match &document.subscriber {
        Some(Subscriber { success_uri, failed_uri: Some(other) }) if other != success_uri => {
            let text = "one address is told of the end, however it was; give failedUri the \
                        same address as successUri, or leave it out";
            return wrong(text.to_owned(), "/subscriber/failedUri");
        }
        subscriber => subscriber.as_ref().map(|one| one.success_uri.clone()),
    };
    Ok(Wanted { asked, subscriber })
}

/// The inputs of a process: those of a request, and `readings`.
struct Inputs<R> {
    request: R,
    /// Those that were given.
    names: Vec<String>,
    readings: Option<Readings>,
}

impl<'de, R: Deserialize<'de>> Deserialize<'de> for Inputs<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Of<R>(PhantomData<R>);
        impl<'de, R: Deserialize<'de>> Visitor<'de> for Of<R> {
            type Value = Inputs<R>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object: inputs by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Inputs<R>, A::Error> {
                let (mut names, mut readings) = (Vec::new(), None);
                let sift = Sift { map, names: &mut names, readings: &mut readings };
                let request = R::deserialize(MapAccessDeserializer::new(sift))?;
                Ok(Inputs { request, names, readings })
            }
        }
        deserializer.deserialize_map(Of(PhantomData))
    }
}

/// Hands on what belongs to the request, plainly, and keeps `readings`.
struct Sift<'a, A> {
    map: A,
    /// Of the request's, no more than it knows: it refuses another.
    names: &'a mut Vec<String>,
    readings: &'a mut Option<Readings>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Sift<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.map.next_key::<String>()? {
            if name != "readings" {
                self.names.push(name.clone());
                return seed.deserialize(name.into_deserializer()).map(Some);
            }
            if self.readings.is_some() {
                return Err(A::Error::duplicate_field("readings"));
            }
            *self.readings = self.map.next_value()?;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        let name = self.names.last().map(String::as_str);
        let of_names = matches!(name, Some("values" | "units"));
        self.map.next_value_seed(Plain { seed, of_names })
    }
}
