//! `isopleth schedule`: documents without a service, and the hours of a running one.

use std::time::Duration;

use crate::harness::{Bench, readings};
use crate::serve::Service;

const DOCUMENT: &str = r#"{
  "title": "Every hour", "cron": "0 * * * *", "zone": "Europe/Berlin", "min_stations": 4,
  "map": {"grid": {"bounds": [100, 30, 110, 38], "shape": [12, 9]}, "method": {"kernel": "linear"}}
}"#;

#[test]
fn a_document_is_checked_without_a_service_and_what_is_wrong_is_pointed_at() {
    let bench = Bench::new();
    let right = bench.file("right.json", DOCUMENT);
    let told = bench.run(&["schedule", "check", &right]).succeeded();
    assert!(told.stdout.contains("it makes sense; its next hour is 2"), "{}", told.stdout);
    for (from, to, words) in [
        ("0 * * * *", "0 * * *", "/cron"),
        ("Europe/Berlin", "Europe/Atlantis", "/zone"),
        ("linear", "lineal", "/map/method/kernel"),
        ("\"grid\"", "\"grit\"", "/map/grit"),
        ("min_stations", "least_stations", "least_stations"),
        ("[12, 9]", "[12]", "/map/grid/shape"),
    ] {
        let wrong = bench.file("wrong.json", DOCUMENT.replace(from, to));
        bench.run(&["schedule", "check", &wrong]).failed(3, &["wrong.json", words]);
    }
    let toml = "[schedules.air]\ncron = \"30 6 * * *\"\n[schedules.air.map.grid]\n\
                bounds = [0, 0, 1, 1]\nshape = [3, 3]\n[schedules.water]\ncron = \"every hour\"\n";
    let toml = bench.file("service.toml", toml);
    bench.run(&["schedule", "check", &toml]).failed(3, &["schedules.water", "/cron"]);
}

#[test]
fn the_next_hours_are_told_over_changes_of_the_clock() {
    let bench = Bench::new();
    let file = bench.file("d.json", DOCUMENT);
    let words = ["schedule", "next", &file, "--count", "4", "--after", "2026-10-24T23:30:00Z"];
    let told = bench.run(&words).succeeded();
    let expected = "2026-10-25T00:00:00Z  Sun 2026-10-25 02:00 CEST\n\
                    2026-10-25T01:00:00Z  Sun 2026-10-25 02:00 CET\n\
                    2026-10-25T02:00:00Z  Sun 2026-10-25 03:00 CET\n\
                    2026-10-25T03:00:00Z  Sun 2026-10-25 04:00 CET\n";
    assert_eq!(told.stdout, expected);
}

#[test]
fn hours_of_a_service_are_listed_made_and_paused_by_the_command() {
    let bench = Bench::new();
    let service = Service::with(&bench, &[]);
    let (url, file) = (service.url(""), bench.file("hourly.json", DOCUMENT));
    let run = |words: &[&str]| {
        let words = [&["schedule", "--url", &url], words].concat();
        bench.run(&words)
    };
    run(&["put", "air", &file]).succeeded();
    let listed = run(&["list"]).succeeded().stdout;
    assert!(listed.contains("air") && listed.contains("Europe/Berlin"), "{listed}");
    run(&["show", "water"]).failed(3, &["there is no schedule `water`"]);
    // Readings of a day ago.
    let hour = jiff::Timestamp::now().as_second() / 3600 * 3600 - 24 * 3600;
    let hour = jiff::Timestamp::from_second(hour).expect("a time").to_string();
    let posted = ureq::post(format!("{url}/v1/schedules/air/readings?time={hour}"))
        .header("content-type", "text/csv")
        .send(readings(9, 1));
    assert_eq!(posted.expect("an answer").status(), 202);
    for attempt in 0.. {
        let told = run(&["slots", "air", "--hour", &hour]).succeeded().stdout;
        if told.contains("revision 1 (first)") {
            break;
        }
        assert!(attempt < 300, "{told}\n{}", service.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let slots = run(&["slots", "air", "--state", "made"]).succeeded().stdout;
    assert!(slots.contains(&hour) && slots.contains("made"), "{slots}");
    let again = run(&["run", "air", &hour, "--wait"]).succeeded().stdout;
    assert!(again.starts_with("1 hour set going") && again.contains("made 1"), "{again}");
    let told = run(&["slots", "air", "--hour", &hour]).succeeded().stdout;
    assert!(told.contains("revision 2 (asked)"), "{told}");
    let next: jiff::Timestamp = hour.parse().expect("a time");
    let next = (next + jiff::SignedDuration::from_hours(2)).to_string();
    let filled = run(&["backfill", "air", &hour, &next, "--wait"]).succeeded().stdout;
    assert!(filled.starts_with("2 hours set going"), "{filled}");
    assert!(filled.contains("made 1, missing 2"), "{filled}");
    let paused = run(&["pause", "air"]).succeeded().stdout;
    assert!(paused.contains("next     paused"), "{paused}");
    let shown = run(&["--json", "resume", "air"]).succeeded().stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["document"]["paused"], false);
    run(&["delete", "air"]).succeeded();
    run(&["backfill", "air", "today", "tomorrow"]).failed(2, &["is no time"]);
}
