//! Processes that die, and two at one database.

use std::time::{Duration, Instant};

use isopleth_api::{AppState, ServiceConfig, schedule};
use jiff::SignedDuration;
use serde_json::json;

use crate::house::*;

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_at_one_database_make_every_hour_once() {
    let house = House::new("2026-03-01T00:40:00Z", config());
    house.put("air", &hourly(&json!({}))).await.is(201);
    house.put("water", &hourly(&json!({"cron": "30 * * * *"}))).await.is(201);
    let other = open(house.folder.path(), &house.clock, config());
    for h in 1..=10 {
        let now = time("2026-03-01T00:45:00Z") + SignedDuration::from_hours(h);
        house.clock.set(now);
        for (id, minute) in [("air", 0), ("water", 30)] {
            let hour = format!("2026-03-01T{h:02}:{minute:02}:00Z");
            house.post(id, &hour, readings(&hour, 10, h as f64, false)).await.is(202);
        }
        let tick = |state: &AppState| {
            let state = state.clone();
            tokio::task::spawn_blocking(move || schedule::tick(&state).map(drop))
        };
        let all: Vec<_> =
            (0..6).map(|k| tick(if k % 2 == 0 { &house.state } else { &other })).collect();
        for one in all {
            one.await.expect("no panic").expect("a tick");
        }
    }
    settle(&house.state).await;
    settle(&other).await;
    for id in ["air", "water"] {
        let slots = house.slots(id).await;
        assert_eq!(slots.len(), 10);
        assert!(slots.iter().all(|(_, state, n)| state == "made" && *n == 1), "{slots:?}");
    }
    let jobs: i64 = house
        .state
        .store()
        .read(|c| c.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0)))
        .map_err(|error: rusqlite::Error| error)
        .expect("a count");
    assert_eq!(jobs, 20, "no job was made twice");
    other.stop();
    other.quiet().await;
    house.close().await;
}

/// What a process leaves that dies between two statements, as the table in `schedule/mod.rs` has it.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_process_left_the_next_one_makes_the_hour_once() {
    let without_lanes = || ServiceConfig { job_concurrency: 0, ..config() };
    let house = House::new("2026-03-01T07:20:00Z", without_lanes());
    house.put("air", &hourly(&json!({}))).await.is(201);
    let hour = "2026-03-01T08:00:00Z";
    house.clock.set(time("2026-03-01T08:01:00Z"));
    house.post("air", hour, readings(hour, 20, 0.0, false)).await.is(202);
    let tick = |state: AppState| tokio::task::spawn_blocking(move || schedule::tick(&state));
    tick(house.state.clone()).await.expect("no panic").expect("a tick");
    assert_eq!(house.slot("air", hour).await["state"], "running", "its job is in the queue");
    // It dies with the schedule claimed: its lock file is free.
    let sql =
        "UPDATE schedules SET holder = 'holder-dead', lease_ms = 9000000000000, token = token + 1";
    let claimed = house.state.store().write(|tx| tx.execute(sql, []));
    claimed.map_err(|error: rusqlite::Error| error).expect("a claim");
    let house = house.restarted(config()).await;
    // The job ends, and the process dies before anybody notices.
    let begin = Instant::now();
    loop {
        let sql = "SELECT state FROM jobs";
        let state: String = house
            .state
            .store()
            .read(|c| c.query_row(sql, [], |row| row.get(0)))
            .map_err(|error: rusqlite::Error| error)
            .expect("a job");
        if state == "successful" {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(120), "{state}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(house.slot("air", hour).await["state"], "running", "not settled yet");
    let house = house.restarted(config()).await;
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["revision"]), (&json!("made"), &json!(1)), "{slot}");
    settle(&house.state).await;
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        let counted =
            house.state.store().read(|c| c.query_row(&sql, [], |row| row.get::<_, i64>(0)));
        counted.map_err(|error: rusqlite::Error| error).expect("a count")
    };
    assert_eq!((count("revisions"), count("jobs"), count("maps")), (1, 1, 1));
    house.close().await;
}
