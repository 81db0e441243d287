//! What is wrong is said before the service is started, and what is well, too.

use std::net::TcpListener;

use serde_json::Value;

use crate::harness::{Bench, Outcome, outcome};
use crate::serve::Service;

fn doctor(bench: &Bench, settings: &[(&str, &str)]) -> Outcome {
    let mut command = bench.command(&["doctor"]);
    // A port that nobody has, unless the test says otherwise.
    command.env("ISOPLETH_SERVE_LISTEN", "127.0.0.1:0");
    for (name, value) in settings {
        command.env(format!("ISOPLETH_SERVE_{name}"), value);
    }
    outcome(command.output())
}

/// # Panics
/// Unless a line begins with the verdict and the check, and has the words.
fn says(outcome: &Outcome, verdict: &str, check: &str, words: &str) {
    let found = outcome.stdout.lines().any(|line| {
        let mut parts = line.splitn(2, "  ");
        let (first, rest) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        first.trim() == verdict && rest.trim_start().starts_with(check) && rest.contains(words)
    });
    assert!(found, "no {verdict} {check} … {words} in\n{}{}", outcome.stdout, outcome.stderr);
}

#[test]
fn a_machine_that_has_what_it_needs_is_told_so() {
    let bench = Bench::new();
    let found = doctor(&bench, &[]);
    assert_eq!(found.code, 0, "{}{}", found.stdout, found.stderr);
    says(&found, "OK", "settings", "in order");
    says(&found, "OK", "data", "will be made");
    says(&found, "OK", "port", "free");
    says(&found, "OK", "time zones", "UTC");
    assert!(!bench.path("data").exists(), "it changes nothing");
    bench.run(&["keys", "create", "--name", "me"]).succeeded();
    let found = doctor(&bench, &[]);
    says(&found, "OK", "database", "whole; schema");
    says(&found, "OK", "keys", "1 that open");
}

#[test]
fn what_is_wrong_fails_and_says_what_to_do() {
    let bench = Bench::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let file = bench.file("in_the_way", "");
    let secret = bench.file("secret", "0123456789abcdef");
    for (settings, check, words) in [
        (&[("LISTEN", address.as_str())][..], "port", "taken"),
        (&[("DATA_DIR", file.as_str())], "data", "cannot be written"),
        (&[("MEMORY_BYTES_PER_MAP", "900000000000000")], "memory", "limit"),
        (&[("TLS_CERTIFICATE", "nowhere.pem"), ("TLS_KEY", "nowhere.pem")], "files", "nowhere.pem"),
        (&[("LISTEN", "0.0.0.0:0")], "keys", "there is none"),
        (
            &[("WEBHOOK_HOSTS", "[\"no.such.host.invalid\"]"), ("WEBHOOK_SECRET_FILE", &secret)],
            "hosts",
            "no.such.host.invalid:443",
        ),
    ] {
        let found = doctor(&bench, settings);
        assert_eq!(found.code, 5, "{settings:?}: {}{}", found.stdout, found.stderr);
        says(&found, "FAIL", check, words);
        assert!(found.stderr.contains("checks failed"), "{}", found.stderr);
    }
    doctor(&bench, &[("GRIDS", "{dem=\"no variable\"}")])
        .failed(2, &["ISOPLETH_SERVE_GRIDS", "no variable"]);
    doctor(&bench, &[("CONCURRENCY", "0")]).failed(2, &["ISOPLETH_SERVE_CONCURRENCY"]);
}

#[test]
fn what_may_surprise_is_warned_of() {
    let bench = Bench::new();
    for (settings, check, words) in [
        (&[("LISTEN", "0.0.0.0:0"), ("AUTH", "off")][..], "keys", "whoever reaches"),
        (&[("THREADS_PER_MAP", "5000")], "processors", "5000 threads"),
        (&[("MAX_CONNECTIONS", "100000000")], "open files", "100000256"),
        (&[("AUTH", "on")], "keys", "nobody may come in"),
        (&[("GRIDS", "{dem=\"nowhere.nc:z\"}")], "files", "nowhere.nc"),
    ] {
        bench.run(&["keys", "list"]).succeeded();
        let found = doctor(&bench, settings);
        assert_eq!(found.code, 0, "{settings:?}: {}{}", found.stdout, found.stderr);
        says(&found, "WARN", check, words);
    }
}

#[test]
fn a_database_that_is_damaged_or_of_the_future_fails() {
    let bench = Bench::new();
    bench.run(&["keys", "create", "--name", "me"]).succeeded();
    let path = bench.path("data/isopleth.sqlite3");
    let whole = std::fs::read(&path).expect("a database");
    let mut damaged = whole.clone();
    // Pages after the first, which has the schema.
    damaged[4096..].fill(0xA5);
    std::fs::write(&path, &damaged).expect("it is written");
    let found = doctor(&bench, &[]);
    assert_eq!(found.code, 5, "{}", found.stdout);
    says(&found, "FAIL", "database", "");
    std::fs::write(&path, &whole).expect("it is written");
    assert_eq!(doctor(&bench, &[]).code, 0);
}

#[test]
fn a_service_that_runs_is_found_at_its_port_and_programs_read_json() {
    let bench = Bench::new();
    let service = Service::with(&bench, &[]);
    let mut command = bench.command(&["doctor", "--json"]);
    command.env("ISOPLETH_SERVE_LISTEN", &service.address);
    let report: Value =
        serde_json::from_str(&outcome(command.output()).succeeded().stdout).expect("JSON");
    assert_eq!(report["ok"], true);
    let port =
        report["checks"].as_array().and_then(|all| all.iter().find(|one| one["check"] == "port"));
    assert_eq!(port.expect("one")["verdict"], "OK");
    assert!(
        port.expect("one")["says"].as_str().is_some_and(|says| says.contains("answers")),
        "{report}"
    );
    assert_eq!(service.stop(), 0);
}

#[test]
fn folders_of_sources_and_sinks_are_looked_at() {
    let bench = Bench::new();
    let out = bench.text("out");
    std::fs::create_dir(&out).expect("a folder");
    let settings = |folder: &str| {
        format!(
            "[sources.in]\nkind = \"directory\"\npath = \"{folder}\"\nfiles = \"{{time:%Y%m%d%H}}.csv\"\n\
             [sinks.out]\nkind = \"directory\"\npath = \"{out}\"\n"
        )
    };
    let file = bench.file("good.toml", settings(&out));
    let mut command = bench.command(&["doctor", "--config", &file]);
    command.env("ISOPLETH_SERVE_LISTEN", "127.0.0.1:0");
    let found = outcome(command.output());
    says(&found, "OK", "sources", "in: ");
    says(&found, "OK", "sinks", "out: ");
    // What the service would refuse at its start is told with the line.
    let file = bench.file("wrong.toml", settings(&out).replace("%Y%m%d%H}", "%Y%m%d%H"));
    bench.run(&["doctor", "--config", &file]).failed(2, &[&format!("{file}:1:"), "sources.in"]);
}
