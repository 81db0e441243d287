//! What is in `deploy/` fits the program: alerts that have been seen to ring, and figures that it tells.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Bench, outcome, readings, root};
use crate::serve::Service;

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

/// Names of figures in an expression of Prometheus.
fn figures(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    words.filter(|word| word.starts_with("isopleth_")).map(ToOwned::to_owned).collect()
}

/// Every expression of the dashboards.
fn expressions() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(table) => {
                for (key, value) in table {
                    match value {
                        Value::String(text) if key == "expr" => found.push(text.clone()),
                        other => collect(other, found),
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
            _ => (),
        }
    }
    let mut found = Vec::new();
    for name in ["service", "hours"] {
        let text = text(&format!("grafana/dashboards/{name}.json"));
        collect(&serde_json::from_str(&text).expect("JSON"), &mut found);
    }
    found
}

/// Names of figures that the source registers, as Prometheus has them: a counter's has `_total`. Families that have
/// not counted anything yet are not in the text of a service.
fn registered() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("api/src/watch")).expect("a folder") {
        let source = std::fs::read_to_string(entry.expect("an entry").path()).expect("a file");
        let is_counter = |field: &str| {
            let line =
                source.lines().find_map(|line| line.trim().strip_prefix(&format!("{field}: ")));
            line.is_some_and(|kind| kind.contains("Counter"))
        };
        for (at, _) in source.match_indices("\"isopleth_") {
            let name: String = source[at + 1..].chars().take_while(|c| *c != '"').collect();
            let field = source[at..].split_once("self.").map_or("", |(_, rest)| rest);
            let field = field.split(['.', ',', ')']).next().unwrap_or("");
            names.insert(if is_counter(field) { format!("{name}_total") } else { name });
        }
    }
    names
}

#[test]
fn every_figure_of_rules_and_dashboards_is_one_that_the_service_tells() {
    let bench = Bench::new();
    let service = Service::with(&bench, &[]);
    let map = service.url("/v1/maps?bounds=100,30,110,38&shape=21x17&kernel=linear");
    let posted = ureq::post(map).header("content-type", "text/csv");
    posted.send(readings(20, 2).as_bytes()).expect("a map");
    let mut answer = ureq::get(service.url("/metrics")).call().expect("metrics");
    let text_of_service = answer.body_mut().read_to_string().expect("text");
    assert_eq!(service.stop(), 0);
    let mut told = BTreeSet::new();
    for line in text_of_service.lines() {
        if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            told.insert(name.to_owned());
            if kind == "histogram" {
                told.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")));
            }
        }
    }
    let source = registered();
    // The two ways of knowing agree where both know.
    let odd: Vec<&String> = told
        .iter()
        .filter(|name| !name.contains("_duration_") && !source.contains(*name))
        .collect();
    assert!(odd.is_empty(), "told, and not found in the source: {odd:?}");
    let mut wanted = figures(&expressions().join(" "));
    wanted.extend(figures(&text("prometheus/rules.yaml")));
    assert!(wanted.len() > 30, "{wanted:?}");
    let unknown: Vec<&String> =
        wanted.iter().filter(|name| !told.contains(*name) && !source.contains(*name)).collect();
    assert!(unknown.is_empty(), "nobody tells {unknown:?}");
}

#[test]
fn every_expression_of_the_dashboards_is_one_that_prometheus_understands() {
    if Command::new("promtool").arg("--version").output().is_err() {
        eprintln!("skipped: promtool is not here; `make test` fetches it");
        return;
    }
    let bench = Bench::new();
    let mut rules = String::from("groups:\n  - name: panels\n    rules:\n");
    for (number, expression) in expressions().iter().enumerate() {
        let expression = expression.replace("$__rate_interval", "5m").replace("$instance", "a");
        let quoted = serde_json::to_string(&expression).expect("a text");
        rules.push_str(&format!("      - {{record: 'panel:{number}', expr: {quoted}}}\n"));
    }
    let file = bench.file("panels.yaml", &rules);
    let run = outcome(Command::new("promtool").args(["check", "rules", &file]).output());
    assert_eq!(run.code, 0, "{rules}\n{}{}", run.stdout, run.stderr);
}

#[test]
fn the_settings_that_are_shipped_are_in_order() {
    let bench = Bench::new();
    let shipped = root().join("deploy/isopleth.toml");
    bench.run(&["config", "check", shipped.to_str().expect("UTF-8")]).succeeded();
    assert_eq!(text("isopleth.toml"), text("kubernetes/isopleth.toml"));
}

/// The indexed Job's own command, with the paths of this test and a small grid.
#[test]
fn each_part_of_the_backfill_of_kubernetes_is_a_command_that_works_and_goes_on() {
    let bench = Bench::new();
    let manifest = text("kubernetes/backfill-job.yaml");
    let (_, rest) = manifest.split_once("          args:\n").expect("arguments");
    let arguments: Vec<&str> =
        rest.lines().map_while(|line| line.strip_prefix("            - ")).collect();
    assert!(arguments.len() > 5, "{arguments:?}");
    std::fs::create_dir(bench.path("out")).expect("a folder");
    for part in 0..2 {
        let table = readings(20 + part, 3);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, table.as_bytes()).expect("in memory");
        bench.file(&format!("{part}.csv.gz"), packed.finish().expect("in memory"));
        let own = |argument: &&str| {
            argument
                .replace("$(PART)", &part.to_string())
                .replace("/in/", &bench.text(""))
                .replace("/out/", &format!("{}/", bench.text("out")))
                .replace("73,18,135,54", "100,30,110,38")
                .replace("1400x1000", "50x40")
        };
        let own: Vec<String> = arguments.iter().map(own).collect();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        bench.run(&own).succeeded();
        let made = |ending: &str| bench.path(&format!("out/{part}.{ending}")).is_file();
        assert!(made("nc") && made("json"), "{own:?}");
        assert!(!bench.path(&format!("out/work-{part}")).exists(), "what is done is removed");
    }
}

#[test]
fn the_configuration_of_the_reference_machine_is_in_order() {
    let bench = Bench::new();
    let page = std::fs::read_to_string(root().join("docs/deploy-28-core.md")).expect("the page");
    let block = page.lines().skip_while(|line| !line.starts_with("    listen = "));
    let block: Vec<&str> = block.map_while(|line| line.strip_prefix("    ")).collect();
    assert!(block.len() > 10, "{block:?}");
    let file = bench.file("reference.toml", block.join("\n"));
    let said = bench.run(&["config", "check", &file]).succeeded().stdout;
    assert!(said.contains("is in order") && said.contains("a map may have 4 threads"), "{said}");
}
