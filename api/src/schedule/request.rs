//! What is asked of a map of an hour, and what its readings are.

use isopleth_engine::Observations;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Hours;
use crate::config::ServiceConfig;
use crate::error::ApiError;
use crate::template::Template;
use crate::wire::request::ReadRequest;
use crate::wire::schedule::ScheduleRequest;

/// The request of the map of an hour, without readings: the schedule's, with what the source says where that says
/// nothing.
pub(super) fn of(
    config: &ServiceConfig,
    document: &ScheduleRequest,
    hours: &Hours,
    hour: i64,
) -> Result<String, ApiError> {
    let Value::Object(mut request) = document.map.clone() else {
        return Err(ApiError::meaningless("the map is no object").at_pointer("/map"));
    };
    if let Some(source) = document.source.as_ref().and_then(|name| config.sources.get(name)) {
        let written = |error| ApiError::internal("the settings of the source are lost", error);
        if *source.read() != ReadRequest::default() {
            let read = serde_json::to_value(source.read()).map_err(written)?;
            beneath(&mut request, "read", read);
        }
        if !source.units().is_empty() {
            let units = serde_json::to_value(source.units()).map_err(written)?;
            beneath(&mut request, "units", units);
        }
    }
    if !document.variables.is_empty() {
        request.insert("variables".to_owned(), document.variables.clone().into());
    }
    let at = Timestamp::from_second(hour).unwrap_or_default();
    let mut request = Value::Object(request);
    if let Some(times) = request.pointer_mut("/read/times").and_then(Value::as_array_mut) {
        for time in times {
            if let Some(text) = time.as_str() {
                *time = template(text)?.fill(at, hours.zone(), &[]).into();
            }
        }
    }
    Ok(request.to_string())
}

/// Puts an object beneath one of the request, whose entries count first.
fn beneath(request: &mut Map<String, Value>, name: &str, lower: Value) {
    let upper = request.remove(name);
    let mut merged = lower;
    if let (Value::Object(merged), Some(Value::Object(upper))) = (&mut merged, upper) {
        merged.extend(upper);
    }
    request.insert(name.to_owned(), merged);
}

/// A time of `read.times`, with places for the hour.
pub(super) fn template(text: &str) -> Result<Template, ApiError> {
    Template::parse(text, &[])
        .map_err(|error| ApiError::meaningless(error.to_string()).at_pointer("/map/read/times"))
}

/// A digest of what readings are, whatever the order of stations, and the number of stations with any.
pub(super) fn told(observations: &Observations) -> Result<(String, u64), ApiError> {
    let stations = observations.stations();
    let mut order: Vec<usize> = (0..stations.len()).collect();
    let key = |k: &usize| (&stations[*k].id, stations[*k].x.to_bits(), stations[*k].y.to_bits());
    order.sort_by(|a, b| key(a).cmp(&key(b)));
    let (mut hash, mut has) = (blake3::Hasher::new(), vec![false; stations.len()]);
    let mut text = |part: &str| {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    };
    for variable in observations.variables() {
        text(&variable.name);
        text(variable.units.as_deref().unwrap_or_default());
    }
    for k in &order {
        text(&stations[*k].id);
    }
    for k in &order {
        hash.update(&stations[*k].x.to_le_bytes());
        hash.update(&stations[*k].y.to_le_bytes());
    }
    let mut values = Vec::new();
    for (step, time) in observations.times().iter().enumerate() {
        let seconds = time.map_or(i64::MIN, |time| time.0);
        hash.update(&seconds.to_le_bytes());
        observations.step(step, &mut values).map_err(crate::routes::of_engine)?;
        for of_variable in values.chunks_exact(stations.len().max(1)) {
            for k in &order {
                let value = of_variable[*k];
                // All that is missing is missing alike.
                let bits = if value.is_nan() { u64::MAX } else { (value + 0.0).to_bits() };
                hash.update(&bits.to_le_bytes());
                has[*k] |= !value.is_nan();
            }
        }
    }
    let with = has.iter().filter(|has| **has).count();
    Ok((hash.finalize().to_hex().to_string(), with as u64))
}
