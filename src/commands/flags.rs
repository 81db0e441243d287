//! The flags of readings as `isopleth check` tells them.

use std::fmt::Write as _;

use isopleth_engine::kernels::{Method, Metric};
use isopleth_engine::{
    Cancel, Choice, FactorCache, Kind, Observations, Progress, QualityReport, Rules, Settings,
    crossvalidate, quality,
};

use super::summary;
use crate::failure::Failure;
use crate::table::Table;

/// Examines all readings; beside their neighbours, too, where they make a surface.
pub(super) fn examine(
    observations: Observations,
    metric: Metric,
    rules: &Rules,
) -> Result<QualityReport, Failure> {
    let mut alone = quality::examine(&observations, rules)?;
    if rules.buddy.is_none() {
        return Ok(alone);
    }
    let method = Method { metric, ..Method::default() };
    let settings =
        Settings { method: Choice::Told(method), quality: rules.clone(), ..Settings::default() };
    let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
    let factors = FactorCache::off();
    match crossvalidate(observations, settings, &[], &summary::LIMITS, progress, &factors) {
        Ok(crossvalidation) => Ok(crossvalidation.report.quality),
        Err(error) if matches!(error.kind(), Kind::BadInput | Kind::Limit) => {
            alone.unexamined.push(format!("buddy: {error}"));
            Ok(alone)
        }
        Err(error) => Err(error.into()),
    }
}

/// A table of flags, examples, stations.
pub(super) fn text(report: &QualityReport) -> String {
    let mut text = format!("\n{}\n", report.summary());
    if !report.flags.is_empty() {
        let mut table = Table::new(&["flag", "variable", "severity", "readings", "rejected"]);
        for of in &report.flags {
            table.row(vec![
                of.flag.name().to_owned(),
                of.variable.clone(),
                of.severity.name().to_owned(),
                of.readings.to_string(),
                of.rejected.to_string(),
            ]);
        }
        let _ = write!(text, "\n{}", table.render());
        for of in &report.flags {
            let _ = writeln!(text, "\n{} of {}:", of.flag.name(), of.variable);
            for example in &of.examples {
                let _ = writeln!(text, "  {example}");
            }
        }
    }
    let mut list = |title: &str, lines: &mut dyn Iterator<Item = String>| {
        for (k, line) in lines.enumerate() {
            if k == 0 {
                let _ = writeln!(text, "\n{title}:");
            }
            let _ = writeln!(text, "  {line}");
        }
    };
    let place = |p: &quality::PlaceReport| format!("{}: {}", p.station, p.why);
    list("Stations out of place", &mut report.places.iter().map(place));
    list("Not examined", &mut report.unexamined.iter().cloned());
    if !report.worst.is_empty() {
        let mut table = Table::new(&["station", "readings", "flagged", "flags"]);
        for of in &report.worst {
            let (readings, flagged) = (of.readings.to_string(), of.flagged.to_string());
            table.row(vec![of.station.clone(), readings, flagged, of.flags.clone()]);
        }
        let _ = write!(text, "\n{}", table.render());
    }
    text
}
