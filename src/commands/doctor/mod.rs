//! `isopleth doctor`: whether the service has what it needs here, before it is started or when something is wrong.

mod disks;
mod limits;
mod reach;

use std::path::PathBuf;

use clap::{Args, ValueHint};
use isopleth_api::ServiceConfig;
use serde::Serialize;

use super::{print, write_json};
use crate::cli::ServeArguments;
use crate::config;
use crate::failure::{Failure, io};

#[derive(Debug, Args)]
#[command(after_help = "\
Looks at the settings, the folder of the data (writable, local, free space, the database), the limits of the control
groups against what the settings allow, clock, open files, ports, keys, hosts that are told or asked, and time zones. Run
it as the user of the service, with its environment. Changes nothing; a file of a few bytes is written and removed.

Exit codes: 0 nothing failed (there may be warnings); 2 the settings are wrong; 5 something failed.

Examples:
  isopleth doctor --config /etc/isopleth.toml
  docker exec isopleth isopleth doctor")]
pub(crate) struct DoctorArguments {
    /// The service's settings
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Print JSON instead of lines
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// What was found by one check.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

impl Finding {
    fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, says: says.into(), advice: None }
    }

    fn warn(check: &'static str, says: impl Into<String>, advice: &'static str) -> Self {
        Self { check, verdict: Verdict::Warn, says: says.into(), advice: Some(advice) }
    }

    fn fail(check: &'static str, says: impl Into<String>, advice: &'static str) -> Self {
        Self { check, verdict: Verdict::Fail, says: says.into(), advice: Some(advice) }
    }
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    ok: bool,
    checks: Vec<Finding>,
}

pub(crate) fn run(arguments: &DoctorArguments) -> Result<(), Failure> {
    let config = config::checked(&ServeArguments::of(arguments.config.clone()))?;
    let named = arguments.config.as_ref().map_or_else(
        || "the environment is in order".to_owned(),
        |path| format!("{} is in order", path.display()),
    );
    let mut checks = vec![Finding::ok("settings", named)];
    checks.extend(look(&config));
    let failed = checks.iter().filter(|finding| finding.verdict == Verdict::Fail).count();
    let all = checks.len();
    let report = Report { version: env!("CARGO_PKG_VERSION"), ok: failed == 0, checks };
    if arguments.json {
        write_json("-".as_ref(), &report)?;
    } else {
        print(&lines(&report.checks))?;
    }
    if failed > 0 {
        return Err(io(anyhow::anyhow!("{failed} of {all} checks failed")));
    }
    Ok(())
}

fn look(config: &ServiceConfig) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(disks::data(config));
    found.extend(disks::spill(config));
    found.extend(disks::places(config));
    found.extend(limits::memory(config));
    found.extend(limits::processors(config));
    found.extend(limits::open_files(config));
    found.extend(limits::zones(config));
    found.extend(reach::port(config));
    found.extend(reach::files(config));
    found.extend(reach::hosts(config));
    found
}

fn lines(checks: &[Finding]) -> String {
    let width = checks.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { check, verdict, says, advice } in checks {
        let verdict = match verdict {
            Verdict::Ok => "OK  ",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        };
        text.push_str(&format!("{verdict}  {check:<width$}  {says}\n"));
        if let Some(advice) = advice {
            text.push_str(&format!("      {:<width$}  → {advice}\n", ""));
        }
    }
    text
}
