//! What the service would stumble over at its start, all of it and without starting: for `config check` and `doctor`.

use std::collections::BTreeMap;

use super::ServiceConfig;
use crate::doors::tls::Tls;
use crate::grids::Grids;
use crate::schedule;

/// Entries of tables of the settings (`grids.dem`, `schedules.air.cron`) that make no sense, and why.
#[must_use]
pub fn unusable_entries(config: &ServiceConfig) -> Vec<(String, String)> {
    let mut unusable = Vec::new();
    for (name, grid) in &config.grids {
        let alone = BTreeMap::from([(name.clone(), grid.clone())]);
        if let Err(error) = Grids::new(&alone) {
            unusable.push((format!("grids.{name}"), error.to_string()));
        }
    }
    for (name, source) in &config.sources {
        if let Err(error) = source.check(name) {
            unusable.push((format!("sources.{name}"), error.to_string()));
        }
    }
    for (name, sink) in &config.sinks {
        if let Err(error) = sink.check(name) {
            unusable.push((format!("sinks.{name}"), error.to_string()));
        }
    }
    schedules(config, &mut unusable);
    unusable
}

/// Schedules by themselves, and whether what they name is there.
fn schedules(config: &ServiceConfig, unusable: &mut Vec<(String, String)>) {
    for (name, document) in &config.schedules {
        if let Err(problem) = schedule::check_document(document) {
            let place = problem.errors.first().and_then(|place| place.pointer.clone());
            let place = place.unwrap_or_default().replace('/', ".");
            unusable.push((format!("schedules.{name}{place}"), problem.detail));
        }
        let known = |names: Vec<&String>| {
            let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        };
        if let Some(source) = document.source.as_ref().filter(|s| !config.sources.contains_key(*s))
        {
            let there = known(config.sources.keys().collect());
            let what = format!("there is no source `{source}`; there are: {there}");
            unusable.push((format!("schedules.{name}.source"), what));
        }
        for sink in document.sinks.iter().filter(|sink| !config.sinks.contains_key(*sink)) {
            let there = known(config.sinks.keys().collect());
            let what = format!("there is no sink `{sink}`; there are: {there}");
            unusable.push((format!("schedules.{name}.sinks"), what));
        }
    }
}

/// Files that settings name and the service opens at its start: why it could not. Nothing is changed.
#[must_use]
pub fn unusable_files(config: &ServiceConfig) -> Vec<String> {
    let mut unusable = Vec::new();
    if let (Some(certificate), Some(key)) = (&config.tls_certificate, &config.tls_key)
        && let Err(error) = Tls::load(certificate, key)
    {
        unusable.push(error.to_string());
    }
    if let Some(Err(error)) = config.bootstrap_key_file.as_ref().map(std::fs::read) {
        unusable.push(format!("bootstrap_key_file: {error}"));
    }
    unusable
}
