//! What a process takes and gives, from the same schemas as the description of the interface.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::older;
use crate::jobs::{Form, Process};

/// A process as clients are told of it (`process.yaml` of the standard), without links.
pub(crate) fn description(process: Process) -> &'static Map<String, Value> {
    static ALL: LazyLock<Vec<Map<String, Value>>> = LazyLock::new(|| {
        let document = serde_json::to_value(crate::openapi::document()).unwrap_or_default();
        Process::ALL.map(|process| whole(process, &document["components"]["schemas"])).into()
    });
    &ALL[process as usize]
}

/// Of these a client is told in a list.
const SUMMARY: [&str; 7] = [
    "id",
    "title",
    "description",
    "keywords",
    "version",
    "jobControlOptions",
    "outputTransmission",
];

/// The same, without inputs and outputs.
pub(crate) fn summary(process: Process) -> Map<String, Value> {
    let told = description(process).iter().filter(|(name, _)| SUMMARY.contains(&name.as_str()));
    told.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Names of what a process takes.
pub(crate) fn takes(process: Process, input: &str) -> bool {
    description(process)["inputs"].get(input).is_some()
}

/// Title, description, the request's schema, and what of it has no meaning here.
fn words(process: Process) -> (&'static str, &'static str, &'static str, &'static [&'static str]) {
    match process {
        Process::Map => (
            "Map on a grid",
            "Readings at scattered stations become maps on a grid, one for each variable and time",
            "MapRequest",
            &["points"],
        ),
        Process::Points => (
            "Values at places",
            "Readings at scattered stations become values at a list of places",
            "MapRequest",
            &["grid", "mask", "digits", "compress"],
        ),
        Process::Crossvalidation => (
            "Errors at stations left out",
            "Every station is left out in turn, and the others foretell it",
            "CrossvalidationRequest",
            &[],
        ),
    }
}

fn whole(process: Process, schemas: &Value) -> Map<String, Value> {
    let (title, description, request, without) = words(process);
    let mut inputs = Map::new();
    let none = Map::new();
    let properties = schemas[request]["properties"].as_object().unwrap_or(&none);
    for (name, schema) in properties.iter().filter(|(name, _)| !without.contains(&name.as_str())) {
        let needed = matches!(name.as_str(), "grid" | "points");
        inputs.insert(name.clone(), input(name, schema, schemas, needed));
    }
    let readings = json!({
        "title": "readings",
        "description": "The readings, instead of stations, times, values and units: these as one document; or \
            a table (CSV in any layout) or GeoJSON points as text, or in base64, gzipped if you like",
        "minOccurs": 0,
        "maxOccurs": 1,
        "schema": readings(schemas),
    });
    inputs.insert("readings".into(), readings);
    let (output, forms) = (output(process), Form::of(process));
    let forms: Vec<Value> = forms.iter().map(|form| form.schema()).collect();
    let told = json!({
        "id": process.name(),
        "title": title,
        "description": description,
        "keywords": ["interpolation", "radial basis functions", "stations"],
        "version": env!("CARGO_PKG_VERSION"),
        "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
        "outputTransmission": ["value", "reference"],
        "inputs": inputs,
        "outputs": {
            output: {
                "title": process.result(),
                "description": "the first form, unless another is asked for",
                "schema": {"oneOf": forms},
            }
        },
    });
    match told {
        Value::Object(told) => told,
        _ => Map::new(),
    }
}

/// What the one output of a process is called.
pub(crate) fn output(process: Process) -> &'static str {
    match process {
        Process::Map => "map",
        Process::Points => "values",
        Process::Crossvalidation => "errors",
    }
}

fn input(name: &str, schema: &Value, schemas: &Value, needed: bool) -> Value {
    let mut schema = inlined(schema, schemas);
    older::schema(&mut schema);
    let description = schema["description"].as_str().unwrap_or(name).to_owned();
    json!({
        "title": name,
        "description": description,
        "minOccurs": u8::from(needed),
        "maxOccurs": 1,
        "schema": schema,
    })
}

fn readings(schemas: &Value) -> Value {
    let of = &schemas["MapRequest"]["properties"];
    let mut document = json!({
        "type": "object",
        "required": ["stations", "values"],
        "properties": {
            "stations": of["stations"],
            "times": of["times"],
            "values": of["values"],
            "units": of["units"],
        },
        "additionalProperties": false,
    });
    document = inlined(&document, schemas);
    older::schema(&mut document);
    json!({"oneOf": [
        document,
        {"type": "string", "contentMediaType": "text/csv"},
        {"type": "string", "contentMediaType": "text/csv", "contentEncoding": "base64"},
        {"type": "object", "contentMediaType": "application/geo+json", "required": ["type", "features"]},
    ]})
}

/// A schema with what it refers to in it; none refers to itself.
fn inlined(schema: &Value, schemas: &Value) -> Value {
    match schema {
        Value::Object(object) => {
            let name = object.get("$ref").and_then(Value::as_str);
            let referred = name.and_then(|name| name.rsplit('/').next()).map(|name| &schemas[name]);
            let mut whole = match referred.map(|referred| inlined(referred, schemas)) {
                Some(Value::Object(whole)) => whole,
                _ => Map::new(),
            };
            // Words beside a reference are about this use of it.
            for (name, value) in object.iter().filter(|(name, _)| *name != "$ref") {
                whole.insert(name.clone(), inlined(value, schemas));
            }
            Value::Object(whole)
        }
        Value::Array(all) => all.iter().map(|value| inlined(value, schemas)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_is_described_and_nothing_refers_elsewhere() {
        for process in Process::ALL {
            let text = serde_json::to_string(description(process)).expect("JSON");
            assert!(!text.contains("$ref") && !text.contains("\"null\""), "{text}");
            for (name, input) in description(process)["inputs"].as_object().expect("inputs") {
                assert!(input["schema"].is_object(), "{name}: {input}");
                assert!(
                    input["description"].as_str().is_some_and(|d| d.len() > 5),
                    "{name}: {input}"
                );
            }
        }
        assert!(takes(Process::Map, "grid") && !takes(Process::Map, "points"));
        assert!(takes(Process::Points, "points") && !takes(Process::Points, "grid"));
        assert!(takes(Process::Crossvalidation, "folds") && !takes(Process::Map, "folds"));
        let kernel =
            &description(Process::Map)["inputs"]["method"]["schema"]["properties"]["kernel"];
        assert!(kernel["enum"].as_array().is_some_and(|all| all.len() > 10), "{kernel}");
    }
}
