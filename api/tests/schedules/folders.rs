//! From a folder to a folder.

use std::path::Path;
use std::time::{Duration, Instant};

use isopleth_api::{Clock, ServiceConfig, schedule};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::house::*;

/// A schedule with a watched folder and a folder that maps go to.
fn with_folders(now: &str, more: &Value) -> House {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["in", "out"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    let source = json!({"in": {"kind": "directory", "path": folder.path().join("in"),
        "files": "{time:%Y%m%d%H}.csv", "read": {"missing": ["no"], "columns": {"station": "Code"}}}});
    let sink = json!({"out": {"kind": "directory", "path": folder.path().join("out")}});
    let document = hourly(&json!({"source": "in", "sinks": ["out"], "zone": "Asia/Shanghai"}));
    let mut document = document;
    for (name, value) in more.as_object().expect("an object") {
        document[name] = value.clone();
    }
    let config = ServiceConfig {
        sources: serde_json::from_value(source).expect("sources"),
        sinks: serde_json::from_value(sink).expect("sinks"),
        schedules: [("air".to_owned(), serde_json::from_value(document).expect("one"))].into(),
        notices_file: Some(folder.path().join("notices")),
        ..config()
    };
    let clock = Clock::told(time(now));
    House { state: open(folder.path(), &clock, config), clock, folder }
}

fn below(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder_of) = folders.pop() {
        for entry in std::fs::read_dir(folder_of).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below").display().to_string();
                all.push(name);
            }
        }
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_a_folder_becomes_a_map_in_another_with_the_settings_of_both() {
    let house = with_folders("2026-03-01T07:20:00Z", &json!({}));
    schedule::start(&house.state).expect("a schedule that makes sense");
    house.at("2026-03-01T08:00:01Z").await;
    let hour = "2026-03-01T08:00:00Z";
    let slot = house.slot("air", hour).await;
    assert_eq!(slot["state"], "waiting", "{slot}");
    let message = slot["message"].as_str().expect("why").to_owned();
    assert!(message.contains("2026030116"), "the hour in Shanghai: {message}");
    // The column of codes is the source's word; one reading is missing as it says.
    let table =
        readings(hour, 9, 0.0, false).replace("station,", "Code,").replacen(",20\n", ",no\n", 1);
    std::fs::write(house.folder.path().join("in/2026030116.csv"), table).expect("a file");
    house.post("air", hour, readings(hour, 9, 0.0, false)).await.is(422);
    house.at("2026-03-01T08:01:01Z").await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["stations"]), (&json!("made"), &json!(8)), "{slot}");
    let delivery = &slot["revisions"][0]["deliveries"][0];
    assert_eq!(delivery["state"], "done", "{slot}");
    let out = house.folder.path().join("out");
    let there = below(&out);
    assert_eq!(there.len(), 2, "the map and `latest`: {there:?}");
    let place = delivery["places"][0].as_str().expect("a place").to_owned();
    let id = slot["revisions"][0]["map"].as_str().expect("a name");
    let kept = std::fs::read(house.folder.path().join(format!("maps/{id}.nc"))).expect("the map");
    let bytes = std::fs::read(&place).or_else(|_| std::fs::read(out.join(&place)));
    assert!(bytes.expect("delivered") == kept, "the very file");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_fails_is_tried_again_and_an_older_hour_that_comes_late_is_not_the_latest() {
    let house = with_folders("2026-03-01T07:20:00Z", &json!({}));
    schedule::start(&house.state).expect("a schedule that makes sense");
    let put = |hour: &str, name: &str| {
        let table = readings(hour, 9, 0.0, false).replace("station,", "Code,");
        std::fs::write(house.folder.path().join(format!("in/{name}.csv")), table).expect("a file");
    };
    let out = house.folder.path().join("out");
    std::fs::rename(&out, house.folder.path().join("away")).expect("renamed");
    put("2026-03-01T09:00:00Z", "2026030117");
    house.at("2026-03-01T09:00:00Z").await;
    let told = |kind: &str| house.notices().iter().filter(|(other, _)| other == kind).count();
    // As often as it takes: the service delivers by itself, too, and whoever comes second waits for the next time.
    for k in 1..=60 {
        house.clock.set(time("2026-03-01T09:00:00Z") + SignedDuration::from_secs(k * 40));
        settle(&house.state).await;
        if told("delivery_failed") > 0 {
            break;
        }
    }
    let delivery =
        house.slot("air", "2026-03-01T09:00:00Z").await["revisions"][0]["deliveries"][0].clone();
    assert_eq!(delivery["state"], "waiting", "{delivery}");
    assert_eq!((told("delivery_failed"), told("recovered")), (1, 0), "{:?}", house.notices());
    std::fs::create_dir(&out).expect("mended");
    put("2026-03-01T08:00:00Z", "2026030116");
    house.at("2026-03-01T10:10:00Z").await;
    assert_eq!(told("recovered"), 1);
    for hour in ["2026-03-01T08:00:00Z", "2026-03-01T09:00:00Z"] {
        let slot = house.slot("air", hour).await;
        assert_eq!(slot["revisions"][0]["deliveries"][0]["state"], "done", "{slot}");
    }
    let latest = std::fs::read_link(out.join("air/latest.nc")).expect("a link");
    assert!(latest.display().to_string().contains("0900"), "{}", latest.display());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_itself_brings_an_hour_from_folder_to_folder() {
    let house = with_folders("2026-03-01T07:20:00Z", &json!({"poll_seconds": 1}));
    schedule::start(&house.state).expect("a schedule that makes sense");
    let hour = "2026-03-01T08:00:00Z";
    let table = readings(hour, 9, 0.0, false).replace("station,", "Code,");
    std::fs::write(house.folder.path().join("in/2026030116.csv"), table).expect("a file");
    house.clock.set(time("2026-03-01T08:00:05Z"));
    let begin = Instant::now();
    while below(&house.folder.path().join("out")).len() < 2 {
        assert!(begin.elapsed() < Duration::from_secs(120), "nothing came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!("from the hour to the file: {:?}", begin.elapsed());
    house.close().await;
}
