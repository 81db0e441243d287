//! What the system allows beside what the settings would take: memory, processors, open files; time zones.

use isopleth_api::ServiceConfig;
use isopleth_engine::machine;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::Finding;
use crate::table::bytes;

/// The program itself, its buffers and connections.
const OWN: u64 = 150 << 20;
/// A map of 1400 stations with σ and a few layers keeps within this.
const SMALL: u64 = 128 << 20;
/// Files that are open beside connections: the database, its readers, maps under way.
const OTHER_FILES: u64 = 256;

pub(super) fn memory(config: &ServiceConfig) -> Vec<Finding> {
    let Some(limit) = machine::memory_limit_bytes() else {
        let advice = "set memory_bytes_per_map, which is guessed otherwise";
        return vec![Finding::warn("memory", "the system does not say how much there is", advice)];
    };
    let one = config.memory_of_a_map();
    let maps = config.memory_of_maps();
    let all = maps.saturating_add(config.factor_memory_bytes).saturating_add(OWN);
    let says = format!(
        "maps {} ({} at once), factorisations {}; limit {}",
        bytes(maps),
        config.maps_at_once(),
        bytes(config.factor_memory_bytes),
        bytes(limit)
    );
    let mut found = vec![if all > limit {
        let advice = "the kernel would kill the service: lower memory_bytes_per_map, concurrency or factor_memory_bytes";
        Finding::fail("memory", says, advice)
    } else if one < SMALL {
        let says = format!("{says}; a map may have {}", bytes(one));
        Finding::warn(
            "memory",
            says,
            "larger maps are refused (413): fewer at once, or a higher limit",
        )
    } else {
        Finding::ok("memory", says)
    }];
    if let Some(killed) = machine::group_memory().and_then(|group| group.killed).filter(|n| *n > 0)
    {
        let says = format!("{killed} processes of this control group were killed at its limit");
        found.push(Finding::warn("memory", says, "journalctl -k or dmesg says which"));
    }
    found
}

pub(super) fn processors(config: &ServiceConfig) -> Vec<Finding> {
    let there = machine::available_threads();
    let wanted = config.threads_per_map.unwrap_or(there);
    let says = format!(
        "{there} processors may be used, {wanted} threads a map, {} maps at once",
        config.maps_at_once()
    );
    vec![if wanted > there {
        Finding::warn("processors", says, "threads_per_map is more than there is; leave it out")
    } else if config.maps_at_once() > 4 * there {
        Finding::warn("processors", says, "so many at once only share memory; lower concurrency")
    } else {
        Finding::ok("processors", says)
    }]
}

pub(super) fn open_files(config: &ServiceConfig) -> Option<Finding> {
    let text = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    let allowed: u64 = if soft == "unlimited" { u64::MAX } else { soft.parse().ok()? };
    let wanted =
        u64::try_from(config.max_connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let says = format!("{soft} may be open; {wanted} for all connections and files");
    Some(if allowed < wanted {
        let advice = "LimitNOFILE= of the unit, --ulimit nofile= of the container, or a lower max_connections";
        Finding::warn("open files", says, advice)
    } else {
        Finding::ok("open files", says)
    })
}

/// Time zones that the settings name are known.
pub(super) fn zones(config: &ServiceConfig) -> Vec<Finding> {
    let mut named = vec!["UTC".to_owned()];
    if let Ok(all) = serde_json::to_value(config) {
        collect(&all, &mut named);
    }
    named.sort();
    named.dedup();
    let unknown: Vec<&str> =
        named.iter().map(String::as_str).filter(|name| TimeZone::get(name).is_err()).collect();
    if !unknown.is_empty() {
        let says = format!("nobody knows {}", unknown.join(", "));
        return vec![Finding::fail(
            "time zones",
            says,
            "names are those of the IANA, such as Asia/Shanghai",
        )];
    }
    let system = std::fs::read_to_string("/usr/share/zoneinfo/tzdata.zi").ok();
    let version = system.as_ref().and_then(|text| text.lines().next()?.strip_prefix("# version "));
    let from = version.map_or("built into the program or of the system".to_owned(), |v| {
        format!("{v} of the system")
    });
    vec![Finding::ok("time zones", format!("{from}; named: {}", named.join(", ")))]
}

/// Every `zone` that is a text, at any depth.
fn collect(value: &Value, named: &mut Vec<String>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                match value {
                    Value::String(zone) if key == "zone" => named.push(zone.clone()),
                    other => collect(other, named),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, named)),
        _ => (),
    }
}
