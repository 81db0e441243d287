//! Prometheus' older text format (0.0.4) from OpenMetrics: there the family of a counter has its `_total`, and
//! nothing marks the end.

/// The same figures in the older format.
pub(super) fn prometheus(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len() + 1024);
    let mut help = "";
    for line in open_metrics.lines() {
        if line.starts_with("# HELP ") {
            // Told before the type, which decides about the name.
            help = line;
        } else if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.rsplit_once(' ').unwrap_or((family, "untyped"));
            let ending = if kind == "counter" { "_total" } else { "" };
            let words = help.strip_prefix("# HELP ").and_then(|rest| rest.strip_prefix(name));
            let words = words.unwrap_or_default().trim_start();
            out.push_str(&format!("# HELP {name}{ending} {words}\n# TYPE {name}{ending} {kind}\n"));
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_get_their_ending_and_the_end_goes() {
        let told = "# HELP a Words.\n# TYPE a counter\na_total{x=\"1\"} 2\n\
                    # HELP b More.\n# TYPE b gauge\nb 1.5\n# EOF\n";
        let expected = "# HELP a_total Words.\n# TYPE a_total counter\na_total{x=\"1\"} 2\n\
                        # HELP b More.\n# TYPE b gauge\nb 1.5\n";
        assert_eq!(prometheus(told), expected);
    }
}
