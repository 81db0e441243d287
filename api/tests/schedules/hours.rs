//! What becomes of hours that are late, missing, corrected, of too few stations, asked for again.

use axum::http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::house::*;

#[tokio::test(flavor = "multi_thread")]
async fn readings_of_an_hour_become_its_map_and_corrected_ones_a_further_revision() {
    let house = House::new("2026-03-01T07:20:00Z", config());
    house.put("air", &hourly(&json!({}))).await.is(201);
    house.at("2026-03-01T08:00:00Z").await;
    let hour = "2026-03-01T08:00:00Z";
    assert_eq!(house.slots("air").await, [(hour.to_owned(), "waiting".to_owned(), 0)]);
    house.get("/v1/schedules/air/latest").await.is(404);

    let posted = house.post("air", hour, readings(hour, 20, 0.0, false)).await.is(202);
    assert_eq!(posted.header("location"), format!("/v1/schedules/air/slots/{hour}"));
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!(
        (&slot["state"], &slot["revision"], &slot["stations"]),
        (&json!("made"), &json!(1), &json!(20))
    );
    assert_eq!(slot["revisions"][0]["why"], "first", "{slot}");
    let latest = house.get("/v1/schedules/air/latest").await.is(307);
    let map = house.get(latest.header("location")).await.is(200).json();
    assert_eq!(map["id"], slot["revisions"][0]["map"], "{map}");
    let first = house.get(&format!("/v1/maps/{}/data", map["id"].as_str().expect("a name"))).await;
    assert!(first.is(200).body.starts_with(b"\x89HDF"));

    // The same readings in another order are no correction; the minute after, others are.
    house.clock.set(time("2026-03-01T08:05:00Z"));
    house.post("air", hour, readings(hour, 20, 0.0, true)).await.is(202);
    settle(&house.state).await;
    assert_eq!(house.slot("air", hour).await["revision"], 1);
    house.clock.set(time("2026-03-01T08:06:00Z"));
    house.post("air", hour, readings(hour, 20, 1.0, true)).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["revision"]), (&json!("made"), &json!(2)));
    let why: Vec<&Value> =
        slot["revisions"].as_array().expect("two").iter().map(|r| &r["why"]).collect();
    assert_eq!(why, [&json!("corrected"), &json!("first")]);
    let latest = house.get("/v1/schedules/air/latest").await.is(307);
    let new = slot["revisions"][0]["map"].as_str().expect("a name");
    assert_eq!(latest.header("location"), format!("/v1/maps/{new}"));
    let old = slot["revisions"][1]["map"].as_str().expect("a name");
    house.get(&format!("/v1/maps/{old}")).await.is(200);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_is_missing_when_it_is_given_up_and_late_readings_still_make_it() {
    let house = with_notices("2026-03-01T07:20:00Z", config());
    let document = hourly(&json!({"delay_seconds": 600, "give_up_seconds": 1800}));
    house.put("air", &document).await.is(201);
    let hour = "2026-03-01T08:00:00Z";
    house.at("2026-03-01T08:09:59Z").await;
    assert_eq!(house.slots("air").await, []);
    house.at("2026-03-01T08:10:00Z").await;
    house.at("2026-03-01T08:39:59Z").await;
    assert_eq!(house.slot("air", hour).await["state"], "waiting");
    house.at("2026-03-01T08:40:00Z").await;
    assert_eq!(house.slot("air", hour).await["state"], "missing");
    house.at("2026-03-01T09:05:00Z").await;
    assert_eq!(house.notices(), [("missing".to_owned(), hour.to_owned())], "told once");
    house.post("air", hour, readings(hour, 20, 0.0, false)).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["revisions"][0]["why"]), (&json!("made"), &json!("late")));
    assert_eq!(house.notices()[1], ("recovered".to_owned(), hour.to_owned()));
    let text = house.get("/metrics").await.is(200).body;
    let text = String::from_utf8_lossy(&text);
    for line in [
        "isopleth_schedule_slots{schedule=\"air\",state=\"made\"} 1",
        "isopleth_schedule_newest_seconds{schedule=\"air\"} 1772352000",
        "isopleth_schedule_late_seconds{schedule=\"air\"} 0",
        "isopleth_notices_total{kind=\"missing\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_of_too_few_stations_make_no_map_and_what_was_made_stays() {
    let house = with_notices("2026-03-01T07:20:00Z", config());
    house.put("air", &hourly(&json!({}))).await.is(201);
    let hour = "2026-03-01T08:00:00Z";
    house.clock.set(time("2026-03-01T08:01:00Z"));
    house.post("air", hour, readings(hour, 3, 0.0, false)).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["stations"]), (&json!("too_few"), &json!(3)));
    house.post("air", hour, readings(hour, 9, 0.0, false)).await.is(202);
    settle(&house.state).await;
    assert_eq!(house.slot("air", hour).await["revision"], 1);
    house.clock.set(time("2026-03-01T08:02:00Z"));
    house.post("air", hour, readings(hour, 2, 5.0, false)).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["revision"]), (&json!("made"), &json!(1)), "{slot}");
    // What cannot be read, either.
    house.clock.set(time("2026-03-01T08:03:00Z"));
    house.post("air", hour, "no,table\n1,2\n".to_owned()).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["revision"]), (&json!("made"), &json!(1)), "{slot}");
    // What was mapped comes back: that map is the right one.
    house.clock.set(time("2026-03-01T08:04:00Z"));
    house.post("air", hour, readings(hour, 9, 0.0, true)).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["revision"]), (&json!("made"), &json!(1)), "{slot}");
    let kinds: Vec<String> = house.notices().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["too_few", "recovered", "too_few", "job_failed", "recovered"]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_that_passed_are_caught_up_oldest_first_and_those_too_old_are_missing() {
    let house = with_notices("2026-03-01T07:20:00Z", config());
    house.put("air", &hourly(&json!({"catch_up_hours": 5}))).await.is(201);
    house.at("2026-03-01T08:00:00Z").await;
    house.at("2026-03-01T20:30:00Z").await;
    let states: Vec<(String, String)> =
        house.slots("air").await.into_iter().map(|(hour, state, _)| (hour, state)).collect();
    let expected: Vec<(String, String)> = (8..=20)
        .map(|h| {
            // Of 08:00 nobody knew that it would be given up.
            let state = if h <= 15 { "missing" } else { "waiting" };
            (format!("2026-03-01T{h:02}:00:00Z"), state.to_owned())
        })
        .collect();
    assert_eq!(states, expected);
    // In one go, and every one of them once.
    for h in (14..=20).rev() {
        let hour = format!("2026-03-01T{h:02}:00:00Z");
        house.post("air", &hour, readings(&hour, 12, f64::from(h), false)).await.is(202);
    }
    settle(&house.state).await;
    let made =
        house.slots("air").await.iter().filter(|(_, state, n)| state == "made" && *n == 1).count();
    assert_eq!(made, 7);
    let order: Vec<String> = house
        .state
        .store()
        .read(|c| {
            let sql = "SELECT idempotency_key FROM jobs ORDER BY rowid";
            c.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        })
        .map_err(|error: rusqlite::Error| error)
        .expect("keys");
    let mut sorted = order.clone();
    sorted.sort();
    assert_eq!(order, sorted, "the oldest first");
    let kinds: Vec<String> = house.notices().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(
        kinds.iter().filter(|kind| *kind == "missing").count(),
        2,
        "one for all, and 08:00: {kinds:?}"
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_made_by_one_request_and_again_where_that_is_asked_for() {
    let house = House::new("2026-03-01T07:20:00Z", config());
    house.put("air", &hourly(&json!({}))).await.is(201);
    for h in 1..=6 {
        let hour = format!("2026-02-01T{h:02}:00:00Z");
        house.post("air", &hour, readings(&hour, 10, 0.0, false)).await.is(202);
    }
    settle(&house.state).await;
    let ask = |body: Value| {
        house.send(Method::POST, "/v1/schedules/air/backfill", "application/json", body.to_string())
    };
    let range = json!({"from": "2026-02-01T00:00:00Z", "to": "2026-02-01T07:59:00Z"});
    let told = ask(range.clone()).await.is(202).json();
    assert_eq!(
        (&told["hours"], &told["from"], &told["to"]),
        (&json!(2), &range["from"], &json!("2026-02-01T07:00:00Z"))
    );
    settle(&house.state).await;
    let told = house.get("/v1/schedules/air/backfill").await.is(200).json();
    assert_eq!(told["backfills"][0]["slots"], json!({"made": 6, "missing": 2}), "{told}");
    assert_eq!(told["backfills"][0]["done"], true);
    let again =
        json!({"from": "2026-02-01T02:00:00Z", "to": "2026-02-01T03:00:00Z", "again": true});
    assert_eq!(ask(again).await.is(202).json()["hours"], 2);
    settle(&house.state).await;
    let revisions: Vec<u64> = house.slots("air").await.iter().map(|(.., n)| *n).collect();
    assert_eq!(revisions, [0, 1, 2, 2, 1, 1, 1, 0]);
    let slot = house.slot("air", "2026-02-01T02:00:00Z").await;
    assert_eq!(slot["revisions"][0]["why"], "asked");
    for (body, status) in [
        (json!({"from": "2026-02-01T00:01:00Z", "to": "2026-02-01T00:59:00Z"}), 422),
        (json!({"from": "2026-03-01T08:00:00Z", "to": "2026-03-02T00:00:00Z"}), 422),
        (json!({"from": "yesterday", "to": "2026-03-02T00:00:00Z"}), 422),
        (json!({"from": "2020-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}), 413),
    ] {
        ask(body).await.is(status);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn maps_go_by_age_and_by_count_and_rows_of_hours_after_a_year() {
    let house = House::new("2026-03-01T00:20:00Z", config());
    house.put("air", &hourly(&json!({"keep": {"count": 3, "inputs_days": 1}}))).await.is(201);
    for h in 1..=6 {
        let hour = format!("2026-03-01T{h:02}:00:00Z");
        house.clock.set(time(&hour) + SignedDuration::from_secs(60));
        house.post("air", &hour, readings(&hour, 10, f64::from(h), false)).await.is(202);
        settle(&house.state).await;
    }
    let there = |n: usize| {
        let house = &house;
        async move {
            let maps = house.get("/v1/maps").await.is(200).json();
            assert_eq!(maps["maps"].as_array().expect("a list").len(), n, "{maps}");
        }
    };
    there(3).await;
    let inputs =
        || std::fs::read_dir(house.folder.path().join("inputs")).expect("a folder").count();
    assert_eq!(inputs(), 6, "what was mapped can be made again");
    house.put("air", &hourly(&json!({"keep": {"days": 2, "inputs_days": 1}}))).await.is(200);
    house.at("2026-03-05T00:00:00Z").await;
    there(0).await;
    assert_eq!(inputs(), 0);
    let made = house.slots("air").await.iter().filter(|(_, state, _)| state == "made").count();
    assert_eq!(made, 6);
    let rows = |before: &str| -> (i64, i64) {
        let sql = "SELECT count(*), (SELECT count(*) FROM revisions) FROM slots WHERE hour < ?1";
        let row = |c: &rusqlite::Connection| {
            c.query_row(sql, [time(before).as_second()], |row| Ok((row.get(0)?, row.get(1)?)))
        };
        house.state.store().read(row).map_err(|error: rusqlite::Error| error).expect("a count")
    };
    assert_eq!(rows("2026-03-02T00:00:00Z").1, 6);
    // A schedule that says nothing of its maps keeps them by their rows, though their files may have gone for want of room.
    let keeps = house.state.store().write(|tx| tx.execute("UPDATE revisions SET kept = 1", []));
    assert_eq!(keeps.map_err(|error: rusqlite::Error| error).expect("rows"), 6);
    house.at("2027-04-10T00:00:00Z").await;
    assert_eq!(rows("2026-03-06T00:00:00Z"), (0, 0), "400 days are over");
    assert!(rows("2027-04-01T00:00:00Z").0 > 500);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_a_registered_network_need_no_places() {
    let house = House::new("2026-03-01T07:20:00Z", config());
    let station = |k: usize| json!({"id": format!("s{k}"), "lon": k, "lat": k * k % 7});
    let network = json!({
        "stations": (0..8).map(station).collect::<Vec<_>>(),
        "grid": {"bounds": [0, 0, 10, 7], "shape": [11, 8]}, "method": {"kernel": "linear"},
    });
    house
        .send(Method::PUT, "/v1/networks/net", "application/json", network.to_string())
        .await
        .is(201);
    let document = json!({"network": "net", "cron": "0 * * * *", "min_stations": 5, "variables": ["pm25"],
        "map": {"read": {"times": ["{time:%Y-%m-%dT%H}"]}}});
    house.put("air", &document).await.is(201);
    house.clock.set(time("2026-03-01T10:00:00Z"));
    // A table of several hours, with a station that nobody knows: only the hour counts.
    let table = |hours: std::ops::RangeInclusive<i64>| {
        let row = |h: i64, k: i64| format!("s{k},2026-03-01T{h:02}:00:00Z,{},{}\n", h + k, k);
        let rows: String = hours.flat_map(|h| (0..9).map(move |k| row(h, k))).collect();
        format!("station,time,pm25,o3\n{rows}")
    };
    let hour = "2026-03-01T08:00:00Z";
    house.post("air", hour, table(7..=8)).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", hour).await;
    assert_eq!((&slot["state"], &slot["stations"]), (&json!("made"), &json!(8)), "{slot}");
    let id = slot["revisions"][0]["map"].as_str().expect("a name");
    let map = house.get(&format!("/v1/maps/{id}")).await.is(200).json();
    assert_eq!(map["network"], "net");
    assert_eq!(map["variables"].as_array().map(Vec::len), Some(1), "{map}");
    // More hours in the file change nothing of this one.
    house.clock.set(time("2026-03-01T10:01:00Z"));
    house.post("air", hour, table(6..=9)).await.is(202);
    settle(&house.state).await;
    assert_eq!(house.slot("air", hour).await["revision"], 1);
    // By station in JSON.
    let values: Value =
        (0..6).map(|k| (format!("s{k}"), json!(k + 3))).collect::<serde_json::Map<_, _>>().into();
    let body = json!({"time": "2026-03-01T09:00:00Z", "values": {"pm25": values}});
    let path = "/v1/schedules/air/readings?time=2026-03-01T09:00:00Z";
    house.send(Method::POST, path, "application/json", body.to_string()).await.is(202);
    settle(&house.state).await;
    let slot = house.slot("air", "2026-03-01T09:00:00Z").await;
    assert_eq!((&slot["state"], &slot["stations"]), (&json!("made"), &json!(6)), "{slot}");
    assert!(time("2026-03-01T09:00:00Z").as_second() % HOUR == 0);
    house.close().await;
}
