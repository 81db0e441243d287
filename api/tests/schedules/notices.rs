//! Notices to a webhook.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use isopleth_api::ServiceConfig;
use serde_json::{Value, json};

use crate::house::*;

/// Takes one request, answers with this, and says what came: its head in lower case, and its body.
fn answer(listener: &TcpListener, with: &str) -> (String, Value) {
    let (stream, _) = listener.accept().expect("a caller");
    let mut reader = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).expect("a line") > 2 {
        head.push_str(&line.to_lowercase());
        line.clear();
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.and_then(|l| l.parse().ok()).expect("a length")];
    reader.read_exact(&mut body).expect("a body");
    let answer = format!("HTTP/1.1 {with}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    reader.get_mut().write_all(answer.as_bytes()).expect("an answer");
    (head, serde_json::from_slice(&body).expect("JSON"))
}

/// What is refused comes again after a while of the service's clock, in the order of what happened; what was taken does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_hears_of_every_hour_that_is_not_made_until_it_takes_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let secrets = tempfile::tempdir().expect("a folder");
    let secret = secrets.path().join("secret");
    std::fs::write(&secret, "sixteen bytes or more\n").expect("a secret");
    let house = with_notices(
        "2026-03-01T07:20:00Z",
        ServiceConfig {
            webhook_hosts: vec![format!("127.0.0.1:{port}=127.0.0.0/8")],
            webhook_secret_file: Some(secret),
            notices_webhook: Some(format!("http://127.0.0.1:{port}/told")),
            ..config()
        },
    );
    house.put("air", &hourly(&json!({}))).await.is(201);
    let hour = "2026-03-01T08:00:00Z";
    house.clock.set(time("2026-03-01T08:01:00Z"));
    house.post("air", hour, readings(hour, 3, 0.0, false)).await.is(202);
    let taker = tokio::task::spawn_blocking(move || {
        let refused = answer(&listener, "503 Service Unavailable");
        let again = answer(&listener, "204 No Content");
        let next = answer(&listener, "204 No Content");
        listener.set_nonblocking(true).expect("a setting");
        (refused, again, next, listener)
    });
    settle(&house.state).await;
    let begin = Instant::now();
    let mut now = time("2026-03-01T08:01:00Z");
    let waiting = |house: &House| -> (i64, i64) {
        let sql = "SELECT count(hook_due), max(attempts) FROM notices";
        let read =
            house.state.store().read(|c| c.query_row(sql, [], |r| Ok((r.get(0)?, r.get(1)?))));
        read.map_err(|error: rusqlite::Error| error).expect("counts")
    };
    assert_eq!(waiting(&house), (1, 1), "the first was refused once, and waits");
    while waiting(&house).0 > 0 {
        assert!(begin.elapsed() < Duration::from_secs(60), "it is never sent again");
        now += jiff::SignedDuration::from_secs(30);
        house.clock.set(now);
        settle(&house.state).await;
    }
    // Enough stations after all: that is told, too.
    house.post("air", hour, readings(hour, 9, 0.0, false)).await.is(202);
    settle(&house.state).await;
    let (refused, again, next, listener) = taker.await.expect("three");
    assert!(refused.0.starts_with("post /told http/1.1"), "{}", refused.0);
    assert!(refused.0.contains("x-isopleth-signature: t="), "{}", refused.0);
    assert_eq!(refused.1, again.1);
    assert_eq!((&refused.1["kind"], &refused.1["hour"]), (&json!("too_few"), &json!(hour)));
    assert_eq!((&next.1["kind"], &next.1["schedule"]), (&json!("recovered"), &json!("air")));
    assert_eq!(waiting(&house).0, 0);
    assert!(listener.accept().is_err(), "what was taken came again");
    house.close().await;
}
