//! Keys as an operator makes, uses and revokes them, beside a service that runs.

use std::time::Duration;

use crate::harness::{Bench, readings};
use crate::serve::Service;

const MAP: &str = "/v1/maps?bounds=100,30,110,38&shape=21x17&kernel=linear";

/// The status of an answer, and its body as text.
fn get(url: &str, key: &str) -> (u16, String) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = agent.get(url);
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let mut answer = request.call().expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
}

fn post(url: &str, key: &str, body: &str) -> u16 {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = agent.post(url).header("content-type", "text/csv").header("x-api-key", key);
    request.send(body.as_bytes()).expect("an answer").status().as_u16()
}

fn create(bench: &Bench, more: &[&str]) -> String {
    let made = bench.run(&[&["keys", "create", "--name", "a test"], more].concat()).succeeded();
    assert!(made.stderr.contains("not shown again"), "{}", made.stderr);
    let key = made.stdout.trim().to_owned();
    assert!(key.starts_with("iso_") && key.len() == 81, "{key}");
    key
}

#[test]
fn keys_are_made_used_and_revoked_while_the_service_runs() {
    let bench = Bench::new();
    let reader = create(&bench, &["--scope", "read", "--expires", "90d"]);
    let service = Service::with(&bench, &[]);
    assert_eq!(get(&service.url("/v1/kernels"), "").0, 401);
    assert_eq!(get(&service.url("/v1/kernels"), &reader).0, 200);
    let mapper = create(&bench, &["--scope", "map", "--cells-per-day", "1000"]);
    std::thread::sleep(Duration::from_millis(1200));
    let table = readings(20, 1);
    assert_eq!(post(&service.url(MAP), &reader, &table), 403);
    assert_eq!(post(&service.url(MAP), &mapper, &table), 200);
    assert_eq!(post(&service.url(MAP), &mapper, &table), 200);
    assert_eq!(post(&service.url(MAP), &mapper, &table), 429, "1071 of 1000 cells");

    let id = mapper.split('_').nth(1).expect("an id");
    bench.run(&["keys", "revoke", id]).succeeded();
    bench.run(&["keys", "revoke", id]).failed(2, &["revoked already"]);
    bench.run(&["keys", "revoke", "nobody"]).failed(2, &["no key nobody"]);
    std::thread::sleep(Duration::from_millis(5200));
    assert_eq!(post(&service.url(MAP), &mapper, &table), 401);

    let list = bench.run(&["keys", "list"]).succeeded().stdout;
    let line = list.lines().find(|line| line.starts_with(id)).expect("it is listed");
    assert!(
        line.contains("revoked") && line.contains("714") && line.contains("1000 cells/day"),
        "{line}"
    );
    let acts = bench.run(&["keys", "audit"]).succeeded().stdout;
    for act in ["key made", "key revoked", "began"] {
        assert!(acts.contains(act), "{acts}");
    }

    let status = bench.run(&["status", "--url", &service.url(""), "--key", &reader]).succeeded();
    for word in ["ready, up", "maps       2 with 2 fields and 714 cells", "memory", "pm25"] {
        assert!(status.stdout.contains(word), "`{word}` is not in\n{}", status.stdout);
    }
    bench.run(&["status", "--url", &service.url("")]).failed(5, &["401"]);
    let log = service.log();
    for key in [&reader, &mapper] {
        let secret = key.rsplit('_').next().expect("a secret");
        for text in [&log, &list, &acts, &status.stdout] {
            assert!(!text.contains(secret), "a secret is told:\n{text}");
        }
    }
    let address = service.address.clone();
    assert_eq!(service.stop(), 0);
    bench.run(&["status", "--url", &format!("http://{address}")]).failed(5, &["no answer"]);
}

#[test]
fn a_service_for_other_machines_wants_a_key_first() {
    let bench = Bench::new();
    let words = ["isopleth keys create", "auth"];
    bench.run(&["serve", "--listen", "0.0.0.0:0"]).failed(2, &words);
    let config = bench.file("tls.toml", "tls_certificate = \"none.pem\"\ntls_key = \"none.pem\"\n");
    let serve = ["serve", "--config", &config, "--listen", "127.0.0.1:0"];
    bench.run(&serve).failed(2, &["tls_certificate", "none.pem"]);
    for (name, value) in [("REQUESTS_PER_MINUTE", "-1"), ("TRUSTED_PROXIES", "[\"everywhere\"]")] {
        let mut command = bench.command(&["serve", "--print-config"]);
        let output = command.env(format!("ISOPLETH_SERVE_{name}"), value).output();
        crate::harness::outcome(output).failed(2, &[]);
    }
}

#[test]
fn the_key_of_the_environment_is_used_and_never_told() {
    let bench = Bench::new();
    let key = format!("iso_boot_{}", "5e".repeat(32));
    let settings = [("ISOPLETH_SERVE_BOOTSTRAP_KEY", key.as_str())];
    let mut print = bench.command(&["serve", "--print-config"]);
    let printed = crate::harness::outcome(print.envs(settings).output()).succeeded().stdout;
    assert!(printed.contains("bootstrap_key = \"(hidden)\""), "{printed}");
    let service = Service::with(&bench, &settings);
    assert_eq!(get(&service.url("/v1/kernels"), &key).0, 200);
    assert_eq!(get(&service.url("/metrics"), "").0, 401);
    let log = service.log();
    assert!(log.contains("(hidden)") && !log.contains("5e5e5e"), "{log}");
    assert_eq!(service.stop(), 0);
}

#[test]
fn a_key_that_makes_no_sense_is_refused_with_words() {
    let bench = Bench::new();
    let create = ["keys", "create", "--name", "x"];
    for (more, words) in [
        (["--scope", "write"], ["write", "read, map and admin"]),
        (["--expires", "soon"], ["soon", "90d"]),
        (["--expires", "2001-01-01"], ["2001-01-01", "future"]),
        (["--cells-per-day", "0"], ["0", "--cells-per-day"]),
    ] {
        bench.run(&[&create[..], &more].concat()).failed(2, &words);
    }
    bench.run(&["keys", "create", "--name", " "]).failed(2, &["name of a key"]);
}
