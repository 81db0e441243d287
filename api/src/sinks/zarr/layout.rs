//! The documents of a Zarr v3 store: groups and arrays as JSON, attributes as CF has them.

use isopleth_engine::export::{MapVariable, Source};
use serde_json::{Map, Value, json};

use super::super::error::Reason;
use super::super::forms::engine;

/// Steps of a chunk of what has one number an hour.
pub(super) const STEPS: u64 = 8192;

/// The array that says which revision each hour has.
pub(super) const REVISION: &str = "isopleth_revision";

/// An array to be described.
pub(super) struct Array<'a> {
    pub(super) shape: Vec<u64>,
    pub(super) chunk: Vec<u64>,
    /// `float32`, `float64`, `int32` or `int64`.
    pub(super) kind: &'static str,
    pub(super) dimensions: &'a [&'a str],
    /// Bytes of a number and level, where chunks are compressed.
    pub(super) packed: Option<(usize, i32)>,
    pub(super) attributes: Map<String, Value>,
}

impl Array<'_> {
    /// Its `zarr.json`.
    pub(super) fn document(self) -> Value {
        let mut codecs = vec![json!({"name": "bytes", "configuration": {"endian": "little"}})];
        if let Some((size, level)) = self.packed {
            codecs.push(json!({"name": "blosc", "configuration": {
                "cname": "zstd", "clevel": level.min(9), "shuffle": "shuffle", "typesize": size, "blocksize": 0
            }}));
        }
        let fill = if self.kind.starts_with("float") { json!("NaN") } else { json!(0) };
        json!({
            "zarr_format": 3,
            "node_type": "array",
            "shape": self.shape,
            "data_type": self.kind,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": self.chunk}},
            // All chunks in one folder: one a map would be many folders.
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": fill,
            "codecs": codecs,
            "attributes": self.attributes,
            "dimension_names": self.dimensions,
            "storage_transformers": [],
        })
    }
}

/// A group of arrays, with all they say inside.
pub(super) fn group(attributes: &Map<String, Value>) -> Value {
    json!({
        "zarr_format": 3,
        "node_type": "group",
        "attributes": attributes,
        "consolidated_metadata": {"kind": "inline", "must_understand": false, "metadata": {}},
    })
}

/// The axis of time.
pub(super) fn time(source: &Source, with_cells: bool) -> Result<Map<String, Value>, Reason> {
    let mut all = source.attributes_of("time").map_err(engine)?;
    for (name, value) in [
        ("standard_name", "time"),
        ("long_name", "time"),
        ("units", "seconds since 1970-01-01 00:00:00"),
        ("calendar", "standard"),
        ("axis", "T"),
    ] {
        all.insert(name.into(), value.into());
    }
    if with_cells {
        all.insert("bounds".into(), "time_bnds".into());
    } else {
        all.remove("bounds");
    }
    Ok(all)
}

/// What a map or layer says of itself at every hour; `there` are the arrays of the store.
pub(super) fn of_map(
    source: &Source,
    variable: &MapVariable,
    there: impl Fn(&str) -> bool,
) -> Result<Map<String, Value>, Reason> {
    let mut all = source.attributes_of(&variable.name).map_err(engine)?;
    // True of one hour only; and what is missing is no number here.
    let passing = [
        "leave_one_out_",
        "isopleth_",
        "transform",
        "back_transform",
        "_FillValue",
        "missing_value",
    ];
    all.retain(|name, _| !passing.iter().any(|start| name.starts_with(start)));
    for name in ["ancillary_variables", "coordinates", "grid_mapping", "quantization"] {
        let Some(text) = all.get(name).and_then(Value::as_str) else { continue };
        let kept: Vec<&str> = text.split_whitespace().filter(|name| there(name)).collect();
        if kept.is_empty() {
            all.remove(name);
        } else {
            all.insert(name.into(), kept.join(" ").into());
        }
    }
    Ok(all)
}

/// What the store says of itself; the file's own words, less those that are true of one hour only.
pub(super) fn of_store(
    source: &Source,
    schedule: &str,
    step: u32,
) -> Result<Map<String, Value>, Reason> {
    let mut all = source.attributes().map_err(engine)?;
    let passing = ["isopleth_", "date_", "time_coverage_", "history", "id", "title", "summary"];
    all.retain(|name, _| !passing.iter().any(|start| name.starts_with(start)));
    let software = concat!("isopleth ", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("title", format!("Maps of the schedule {schedule}")),
        (
            "summary",
            format!(
                "One map every {step} seconds. Where {REVISION} is 0 there is none, and no cell has a value."
            ),
        ),
        ("history", format!("kept by {software}, an hour at a time")),
        ("time_coverage_resolution", format!("PT{step}S")),
    ] {
        all.insert(name.into(), value.into());
    }
    Ok(all)
}
