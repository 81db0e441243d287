//! Sources in the configuration of the service: what docs/sources.md shows, and what cannot be.

use crate::harness::{Bench, root};

/// Blocks of TOML in the page.
fn examples() -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/sources.md")).expect("the page");
    let blocks = page.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().expect("an end").to_owned()).collect()
}

#[test]
fn every_example_of_the_page_is_a_configuration_and_is_printed_as_one() {
    let bench = Bench::new();
    let examples = examples();
    assert!(examples.len() >= 5, "{examples:?}");
    for example in examples {
        let config = bench.file("service.toml", &example);
        let print = ["serve", "--print-config", "--config", &config];
        let printed = bench.run(&print).succeeded().stdout;
        let kind = example.lines().find(|line| line.starts_with("kind")).expect("a kind");
        assert!(printed.contains(kind), "{printed}");
        bench.file("service.toml", &printed);
        assert_eq!(bench.run(&print).succeeded().stdout, printed);
    }
}

#[test]
fn a_source_that_cannot_be_keeps_the_service_from_starting_with_its_name_and_no_secret() {
    let bench = Bench::new();
    for (settings, words) in [
        (
            "kind = \"directory\"\npath = \"/in\"\nfiles = \"../{time:%H}\"",
            ["sources.air", "leads out"],
        ),
        (
            "kind = \"directory\"\npath = \"/in\"\nfiles = \"a\"\nfils = \"b\"",
            ["service.toml:5:1", "fils"],
        ),
        ("kind = \"ftp\"", ["service.toml:2:8", "ftp"]),
        ("kind = \"http\"\nurl = \"https://me:tulips@a.org/\"", ["sources.air", "a password"]),
        (
            "kind = \"http\"\nurl = \"https://a.org/\"\nheaders = { cookie = \"tulips\" }",
            ["air", "env:NAME"],
        ),
        (
            "kind = \"postgres\"\nquery = \"SELECT $1\"\nconnection = \"host=a password=tulips\"",
            ["air", "`password`"],
        ),
        ("kind = \"post\"\nstations = \"/no/such.csv\"", ["sources.air", "/no/such.csv"]),
    ] {
        let config = bench.file("service.toml", format!("[sources.air]\n{settings}\n"));
        let serve = ["serve", "--config", &config, "--listen", "127.0.0.1:0"];
        let told = bench.run(&serve).failed(2, &words);
        assert!(!told.stderr.contains("tulips"), "{}", told.stderr);
    }
}
