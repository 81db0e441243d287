//! What a NetCDF file says of itself in global attributes: discovery (ACDD-1.3) and provenance (CF)
//! from the layout, method and errors from the report.

use netcdf::AttributeValue;

use super::layout::Layout;
use crate::observations::UnixSeconds;
use crate::report::{Errors, MethodReport, Report};

/// The values that attributes of the classic model are made of here.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Text, UTF-8.
    Text(String),
    /// One number or several.
    Numbers(Vec<f64>),
    /// A count.
    Integer(i32),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Numbers(vec![number])
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Integer(number)
    }
}

impl From<Value> for AttributeValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Text(text) => Self::Str(text),
            Value::Numbers(numbers) => Self::Doubles(numbers),
            Value::Integer(number) => Self::Int(number),
        }
    }
}

/// A name and a value.
pub(super) type Attribute = (String, Value);

/// An attribute of a variable in chunks, by its number, or of the file.
pub(super) type Owned = (Option<usize>, Attribute);

/// Longer reports leave out the list of fields, which would make the header of a year of hours
/// several megabytes long. Residuals of every field are in the file all the same.
const LONGEST_REPORT: usize = 48 << 10;

const REFERENCES: &str = "Fasshauer 2007, doi:10.1142/6437 (radial basis functions); \
     Rippa 1999, doi:10.1023/A:1018975909870 (leave-one-out residuals)";

/// Collects attributes.
#[derive(Default)]
pub(super) struct Attributes(pub(super) Vec<Attribute>);

impl Attributes {
    /// Adds one, unless it is empty text.
    pub(super) fn put(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        let value = value.into();
        if value != Value::Text(String::new()) {
            self.0.push((name.to_owned(), value));
        }
        self
    }
}

/// Attributes known when the file is begun.
pub(super) fn of_layout(layout: &Layout<'_>) -> Vec<Attribute> {
    let mut all = Attributes::default();
    let provenance = layout.provenance;
    let names: Vec<_> = layout.variables.iter().map(|v| v.name.as_str()).collect();
    let title = provenance.title.clone().unwrap_or_else(|| {
        format!("{} interpolated from {} stations", names.join(", "), layout.stations.len())
    });
    let created = iso(provenance.created);
    let summary = format!(
        "{title}. Radial basis function interpolation of readings at scattered stations, with the \
         readings used and the leave-one-out residual at each station in the same file."
    );
    all.put("Conventions", "CF-1.11, ACDD-1.3")
        .put("title", title)
        .put("summary", summary)
        .put("keywords", names.join(", "))
        .put("id", identity(layout))
        .put("source", format!("station readings interpolated by {}", provenance.software))
        .put("history", format!("{created} {}: {}", provenance.software, provenance.command))
        .put("references", REFERENCES)
        .put("processing_level", "interpolated from readings as received")
        .put("date_created", created);
    if layout.spherical && layout.crs().is_none() {
        let [west, south, east, north] = layout.targets.bounds();
        all.put("geospatial_lat_min", south)
            .put("geospatial_lat_max", north)
            .put("geospatial_lat_units", "degrees_north")
            .put("geospatial_lon_min", west)
            .put("geospatial_lon_max", east)
            .put("geospatial_lon_units", "degrees_east");
    }
    time_coverage(layout, &mut all);
    all.0
}

fn time_coverage(layout: &Layout<'_>, all: &mut Attributes) {
    let times: Vec<i64> = layout.times.iter().flatten().map(|t| t.0).collect();
    let (Some(&first), Some(&last)) = (times.first(), times.last()) else { return };
    // Averages cover more than their times.
    let bounds = layout.time_cells.map_or(&[][..], |cells| &cells.bounds);
    let ends = bounds.first().zip(bounds.last());
    let (first, last) = ends.map_or((first, last), |(begin, end)| (begin[0], end[1]));
    all.put("time_coverage_start", iso(UnixSeconds(first)))
        .put("time_coverage_end", iso(UnixSeconds(last)))
        .put("time_coverage_duration", format!("PT{}S", last.saturating_sub(first)));
    let steps: Vec<i64> = times.windows(2).map(|w| w[1].saturating_sub(w[0])).collect();
    if let [step, rest @ ..] = steps.as_slice()
        && rest.iter().all(|other| other == step)
    {
        all.put("time_coverage_resolution", format!("PT{step}S"));
    }
}

/// Whether a file tells how long it took, with how many threads and how much memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    Told,
    /// So that a run that was interrupted makes the same bytes as one that was not.
    LeftOut,
}

/// Attributes known when the file is done: method, stations, memory, and the report in JSON.
pub(super) fn of_report(report: &Report, clock: Clock) -> Vec<Attribute> {
    let mut all = Attributes::default();
    let (network, readings) = (&report.network, &report.readings);
    if let [method] = report.methods.as_slice() {
        all.0.extend(of_method(method));
    }
    all.put("isopleth_duplicates", network.duplicates.as_str())
        .put("isopleth_stations_read", count(network.read))
        .put("isopleth_stations_used", count(network.used))
        .put(
            "isopleth_stations_blocks",
            network.blocks.map(|size| size.to_string()).unwrap_or_default(),
        )
        .put("isopleth_stations_merged_places", count(network.merged.len()))
        .put("isopleth_network", network.fingerprint.as_str())
        .put("isopleth_readings_rejected", count(readings.rejected))
        .put("isopleth_readings_missing", count(readings.missing));
    if !report.warnings.is_empty() {
        all.put("isopleth_warnings", report.warnings.join("\n"));
    }
    all.put("isopleth_report", report_text(report, LONGEST_REPORT, clock));
    all.0
}

/// How surfaces were made: attributes of the file, or of each map where there are several methods.
pub(super) fn of_method(method: &MethodReport) -> Vec<Attribute> {
    let mut all = Attributes::default();
    all.put("isopleth_kernel", method.kernel.as_str())
        .put("isopleth_epsilon", method.epsilon)
        .put("isopleth_degree", i32::from(method.degree))
        .put("isopleth_metric", method.metric.as_str())
        .put("isopleth_convention", method.convention.as_str())
        .put("isopleth_solver", method.solver.as_str())
        .put("isopleth_condition", method.condition)
        .put("isopleth_evaluation", method.evaluation.as_str());
    if let Some(anisotropy) = &method.anisotropy {
        all.put("isopleth_anisotropy", anisotropy.as_str());
    }
    if !method.smoothing.is_empty() {
        all.put("isopleth_smoothing", Value::Numbers(method.smoothing.clone()));
    }
    all.0
}

/// In what form a variable was mapped, as its attributes.
pub(super) fn of_transform(method: &MethodReport) -> Vec<Attribute> {
    let mut all = Attributes::default();
    if let Some(back) = method.back_transform {
        all.put("transform", method.transform.name());
        for (name, number) in [
            ("transform_lambda", method.transform.lambda()),
            ("transform_offset", method.transform.offset()),
        ] {
            number.map(|number| all.put(name, number));
        }
        all.put("back_transform", back.name());
    }
    all.0
}

/// Leave-one-out errors of a variable, as its attributes.
pub(super) fn of_errors(errors: &Errors) -> Vec<Attribute> {
    let mut all = Attributes::default();
    all.put("leave_one_out_count", count(errors.count))
        .put("leave_one_out_bias", errors.bias)
        .put("leave_one_out_mae", errors.mae)
        .put("leave_one_out_rmse", errors.rmse);
    if let Some(r2) = errors.r2 {
        all.put("leave_one_out_r2", r2);
    }
    all.0
}

/// The report in JSON, without its list of fields where that makes it longer than `longest`.
fn report_text(report: &Report, longest: usize, clock: Clock) -> String {
    let text = |report: &Report| match clock {
        Clock::Told => serde_json::to_string(report).unwrap_or_default(),
        Clock::LeftOut => serde_json::to_value(report).map_or_else(|_| String::new(), timeless),
    };
    let whole = text(report);
    if whole.len() <= longest {
        return whole;
    }
    text(&Report { fields: Vec::new(), ..report.clone() })
}

/// Without what depends on when and where the run was.
fn timeless(mut report: serde_json::Value) -> String {
    let mut leave_out = |at: &str, names: &[&str]| {
        let of = report.pointer_mut(at).and_then(serde_json::Value::as_object_mut);
        if let Some(of) = of {
            names.iter().for_each(|name| drop(of.remove(*name)));
        }
    };
    leave_out("", &["stages", "seconds", "peak_memory_bytes", "threads"]);
    leave_out("/uncertainty", &["seconds", "mesh"]);
    let methods = report.get_mut("methods").and_then(serde_json::Value::as_array_mut);
    for method in methods.into_iter().flatten().filter_map(serde_json::Value::as_object_mut) {
        // Computed, or kept from before.
        method.remove("factor");
    }
    report.to_string()
}

/// Classic NetCDF has no integer beyond 32 bits; a larger count is kept as a double.
fn count(n: impl TryInto<i64>) -> Value {
    let n: i64 = n.try_into().unwrap_or(i64::MAX);
    i32::try_from(n).map_or_else(
        |_| {
            #[expect(clippy::cast_precision_loss, reason = "a count, exact up to 2^53")]
            Value::from(n as f64)
        },
        Value::Integer,
    )
}

/// A name for the contents: the same for the same stations, targets, times, command and moment.
fn identity(layout: &Layout<'_>) -> String {
    let mut hash = blake3::Hasher::new();
    let provenance = layout.provenance;
    let words = format!(
        "{:?} {:?} {:?} {:?} {:?} {} {}",
        layout.variables,
        layout.times,
        layout.targets.bounds(),
        (layout.tiling.rows, layout.tiling.columns),
        provenance.created,
        provenance.software,
        provenance.command,
    );
    hash.update(words.as_bytes());
    for station in layout.stations {
        hash.update(station.id.as_bytes());
        hash.update(&station.x.to_le_bytes());
        hash.update(&station.y.to_le_bytes());
    }
    format!("isopleth-{}", &hash.finalize().to_hex()[..32])
}

/// ISO 8601 in UTC; beyond the calendar's end, the plain number.
pub(super) fn iso(time: UnixSeconds) -> String {
    jiff::Timestamp::from_second(time.0).map_or_else(|_| time.0.to_string(), |t| t.to_string())
}
