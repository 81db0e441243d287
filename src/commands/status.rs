//! `isopleth status`: how a running service is doing, for a person; programs read `/metrics`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

use super::print;
use crate::failure::{Failure, io};
use crate::table::{bytes, number};

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// Where the service is
    #[arg(long, value_name = "URL", env = "ISOPLETH_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A key with scope read, where the service asks for one
    #[arg(long, value_name = "KEY", env = "ISOPLETH_KEY", hide_env_values = true)]
    key: Option<String>,
}

pub(crate) fn run(arguments: &StatusArguments) -> Result<(), Failure> {
    let url = arguments.url.trim_end_matches('/');
    let ready = ask(&format!("{url}/readyz"), None).map_err(io)?;
    let metrics = ask(&format!("{url}/metrics"), arguments.key.as_deref()).map_err(io)?;
    let ready: Value = serde_json::from_str(&ready).map_err(|error| {
        io(anyhow::Error::from(error).context(format!("{url} is no such service")))
    })?;
    print(&tell(url, &ready, &Figures::read(&metrics)))
}

/// The text of an answer; one that says no is told in its own words.
fn ask(url: &str, key: Option<&str>) -> anyhow::Result<String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .build()
        .into();
    let mut request = agent.get(url);
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let mut answer = request.call().with_context(|| format!("no answer from {url}"))?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string()?;
    // Not ready is a state, too.
    if status == 200 || (status == 503 && url.ends_with("/readyz")) {
        return Ok(text);
    }
    let problem: Option<Value> = serde_json::from_str(&text).ok();
    let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str()).unwrap_or("");
    bail!("{url} answered {status} {detail}");
}

/// Figures of `/metrics`: name and labels, as they stand there, and the value.
struct Figures(BTreeMap<String, f64>);

impl Figures {
    fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.rsplit_once(' '));
        Self(pairs.filter_map(|(name, v)| Some((name.to_owned(), v.parse().ok()?))).collect())
    }

    fn one(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    /// Those of a family with this label, by its value, summed over others.
    fn by(&self, family: &str, label: &str) -> BTreeMap<&str, f64> {
        let mut sums = BTreeMap::new();
        for (name, value) in &self.0 {
            let labels = name.strip_prefix(family).and_then(|rest| rest.strip_prefix('{'));
            let Some(labels) = labels else { continue };
            let start = format!("{label}=\"");
            let Some(at) = labels.find(&start) else { continue };
            let named = labels[at + start.len()..].split('"').next().unwrap_or("");
            *sums.entry(named).or_insert(0.0) += value;
        }
        sums
    }
}

fn tell(url: &str, ready: &Value, figures: &Figures) -> String {
    let one = |name: &str| figures.one(name);
    let state = if ready["ready"] == true { "ready" } else { "stopping" };
    let version = ready["version"].as_str().unwrap_or("?");
    let mut text = format!("isopleth {version} at {url}: {state}, up ");
    let _ = writeln!(text, "{}", duration(one("isopleth_uptime_seconds")));
    let answered = figures.by("isopleth_requests_total", "status");
    let answered: Vec<String> = answered.iter().map(|(s, n)| format!("{s}: {n}")).collect();
    let _ = writeln!(
        text,
        "requests   {} under way ({} compute, {} wait); answered {}",
        one("isopleth_requests_in_flight"),
        one("isopleth_computing"),
        one("isopleth_waiting"),
        if answered.is_empty() { "none".to_owned() } else { answered.join(", ") },
    );
    let _ = writeln!(
        text,
        "maps       {} with {} fields and {} cells in {:.1} s (foreseen {:.1} s); {} of {} tiles done again exactly",
        one("isopleth_maps_total"),
        one("isopleth_fields_total"),
        one("isopleth_cells_total"),
        one("isopleth_map_seconds_total"),
        one("isopleth_map_predicted_seconds_total"),
        one("isopleth_tiles_redone_total"),
        one("isopleth_tiles_total"),
    );
    let kept = figures.by("isopleth_factorisations_total", "origin");
    let kept: Vec<String> = kept.iter().map(|(from, n)| format!("{n} {from}")).collect();
    if !kept.is_empty() {
        let _ = writeln!(text, "factors    {}", kept.join(", "));
    }
    let size = |name: &str| match figures.one(name) {
        known if known > 0.0 => bytes(whole(known)),
        _ => "?".to_owned(),
    };
    let _ = writeln!(
        text,
        "memory     {} now, {} at most (largest map foreseen {}), limit {}",
        size("isopleth_memory_resident_bytes"),
        size("isopleth_memory_peak_bytes"),
        size("isopleth_map_largest_predicted_bytes"),
        size("isopleth_memory_limit_bytes"),
    );
    let errors = figures.by("isopleth_loo_rmse", "variable");
    let errors: Vec<String> =
        errors.iter().map(|(name, rmse)| format!("{name} {}", number(Some(*rmse)))).collect();
    if !errors.is_empty() {
        let _ = writeln!(text, "errors     RMSE at stations left out: {}", errors.join(", "));
    }
    text
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, above 0")]
fn whole(number: f64) -> u64 {
    number as u64
}

fn duration(seconds: f64) -> String {
    let minutes = whole(seconds) / 60;
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, 0) => format!("{seconds:.0} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_summed_by_a_label() {
        let figures = Figures::read(
            "# HELP r Words.\n# TYPE r counter\nr{a=\"x\",status=\"200\"} 2\nr{a=\"y\",status=\"200\"} 3\n\
             r{a=\"y\",status=\"404\"} 1\nrest{status=\"200\"} 9\nup 7.5\n",
        );
        assert_eq!(figures.by("r", "status"), BTreeMap::from([("200", 5.0), ("404", 1.0)]));
        assert!((figures.one("up") - 7.5).abs() < 1e-12);
        assert_eq!(duration(59.0), "59 s");
        assert_eq!(duration(3.0 * 3600.0 + 130.0), "3 h 2 min");
        assert_eq!(duration(90_000.0), "1 d 1 h");
    }
}
