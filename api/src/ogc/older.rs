//! The interface as OpenAPI 3.0 has it, which the standards of the OGC are written for: types that may
//! be null, limits that are excluded, and references with words beside them are said in another way.

use serde_json::{Map, Value, json};

/// A document of OpenAPI 3.1 becomes one of 3.0.
pub(crate) fn document(mut document: Value) -> Value {
    document["openapi"] = json!("3.0.3");
    walk(&mut document);
    document
}

/// Finds the schemas.
fn walk(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object.iter_mut() {
                match (name.as_str(), value) {
                    ("example" | "examples", _) => (),
                    ("schema", value) => schema(value),
                    ("schemas", Value::Object(all)) => all.values_mut().for_each(schema),
                    (_, value) => walk(value),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(walk),
        _ => (),
    }
}

/// A schema, and all within it.
pub(crate) fn schema(value: &mut Value) {
    let Value::Object(object) = value else { return };
    for name in ["properties", "patternProperties"] {
        if let Some(Value::Object(all)) = object.get_mut(name) {
            all.values_mut().for_each(schema);
        }
    }
    for name in ["items", "additionalProperties", "not"] {
        object.get_mut(name).into_iter().for_each(schema);
    }
    for name in ["oneOf", "anyOf", "allOf"] {
        if let Some(Value::Array(all)) = object.get_mut(name) {
            all.iter_mut().for_each(schema);
        }
    }
    or_null(object);
    if let Some(limit) = object.get("exclusiveMinimum").filter(|v| v.is_number()).cloned() {
        object.insert("minimum".into(), limit);
        object.insert("exclusiveMinimum".into(), json!(true));
    }
    if let Some(limit) = object.get("exclusiveMaximum").filter(|v| v.is_number()).cloned() {
        object.insert("maximum".into(), limit);
        object.insert("exclusiveMaximum".into(), json!(true));
    }
    if let Some(only) = object.remove("const") {
        object.insert("enum".into(), json!([only]));
    }
    object.remove("propertyNames");
    if object.len() > 1
        && let Some(of) = object.remove("$ref")
    {
        object.insert("allOf".into(), json!([{"$ref": of}]));
    }
}

/// `null` is no type: what may be null says so beside.
fn or_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get("type") {
        let others: Vec<Value> = types.iter().filter(|t| *t != "null").cloned().collect();
        let nullable = others.len() < types.len();
        match others.as_slice() {
            [one] => {
                object.insert("type".into(), one.clone());
            }
            several => {
                let each = several.iter().map(|one| json!({"type": one})).collect();
                object.remove("type");
                object.insert("anyOf".into(), Value::Array(each));
            }
        }
        if nullable {
            object.insert("nullable".into(), json!(true));
        }
    }
    for name in ["oneOf", "anyOf"] {
        let Some(Value::Array(all)) = object.get_mut(name) else { continue };
        let before = all.len();
        all.retain(|one| one["type"] != "null");
        if all.len() == before {
            continue;
        }
        let only = if all.len() == 1 { all.pop() } else { None };
        if let Some(Value::Object(only)) = only {
            object.remove(name);
            for (name, value) in only {
                object.entry(name).or_insert(value);
            }
        }
        object.insert("nullable".into(), json!(true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_null_and_what_is_excluded_is_said_as_it_was_before() {
        for (newer, older) in [
            (json!({"type": ["number", "null"]}), json!({"type": "number", "nullable": true})),
            (
                json!({"oneOf": [{"$ref": "#/x", "description": "d"}, {"type": "null"}]}),
                json!({"allOf": [{"$ref": "#/x"}], "description": "d", "nullable": true}),
            ),
            (json!({"exclusiveMinimum": 0}), json!({"minimum": 0, "exclusiveMinimum": true})),
            (
                json!({"properties": {"type": {"type": ["array", "null"], "items": {"const": 1}}}}),
                json!({"properties": {"type": {"type": "array", "nullable": true, "items": {"enum": [1]}}}}),
            ),
            (
                json!({"additionalProperties": {"type": "string"}, "propertyNames": {"type": "string"}}),
                json!({"additionalProperties": {"type": "string"}}),
            ),
            (json!({"$ref": "#/x"}), json!({"$ref": "#/x"})),
            (
                json!({"type": ["string", "integer"]}),
                json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
            ),
        ] {
            let mut told = newer.clone();
            schema(&mut told);
            assert_eq!(told, older, "{newer}");
        }
    }
}
