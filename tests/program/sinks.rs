//! Sinks of the configuration: docs/sinks.md is what the service takes.

use crate::harness::{Bench, root};

/// Blocks of a page in a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).expect("a page");
    let start = format!("```{language}\n");
    let all = text.split(&start).skip(1).filter_map(|rest| rest.split("```").next());
    all.map(str::to_owned).collect()
}

#[test]
fn every_example_of_the_page_is_a_configuration_that_the_service_takes() {
    let bench = Bench::new();
    let keys =
        bench.file("keys", "aws_access_key_id = id\naws_secret_access_key = not-to-be-seen\n");
    let examples = blocks("docs/sinks.md", "toml");
    assert_eq!(examples.len(), 4);
    let all = examples.concat().replace("/run/secrets/s3", &keys);
    let config = bench.file("good.toml", &all);
    let shown = bench.run(&["serve", "--config", &config, "--print-config"]).succeeded().stdout;
    for name in ["archive", "pictures", "s3", "series"] {
        assert!(shown.contains(&format!("[sinks.{name}")), "{shown}");
    }
    assert!(!shown.contains("not-to-be-seen"));
    // They are checked in the order of their names, and only the last one is wrong.
    let wrong = format!("{all}\n[sinks.zzz]\nkind = \"directory\"\npath = \"maps\"\n");
    let config = bench.file("wrong.toml", wrong);
    bench
        .run(&["serve", "--config", &config, "--listen", "127.0.0.1:0"])
        .failed(2, &["sinks: zzz: path = maps"]);
}
