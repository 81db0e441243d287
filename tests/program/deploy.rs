//! What is in `deploy/` fits the program: alerts that have been seen to ring, and figures that it tells.

use std::collections::BTreeSet;
use std::process::Command;

use crate::harness::{outcome, root};

fn text(path: &str) -> String {
    let path = root().join("deploy").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What follows `before` in each line that begins with it.
fn named<'t>(text: &'t str, before: &str) -> BTreeSet<&'t str> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix(before)).map(str::trim).collect()
}

#[test]
fn every_alert_rings_when_it_must_and_is_silent_when_nothing_is_wrong() {
    let (rules, tests) = (text("prometheus/rules.yaml"), text("prometheus/rules_test.yaml"));
    let alerts = named(&rules, "- alert: ");
    assert!(alerts.len() > 20, "{alerts:?}");
    // Those with a line of their own are expected to ring.
    assert_eq!(named(&tests, "alertname: "), alerts, "alerts that are seen to ring");
    for alert in &alerts {
        let silent = format!("alertname: {alert}, exp_alerts: []");
        assert!(tests.contains(&silent), "{alert} is never seen to be silent");
    }
    if Command::new("promtool").arg("--version").output().is_err() {
        eprintln!("skipped: promtool is not here; `make test` fetches it");
        return;
    }
    let folder = root().join("deploy/prometheus");
    let mut command = Command::new("promtool");
    let run =
        outcome(command.args(["test", "rules", "rules_test.yaml"]).current_dir(folder).output());
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
}
