//! What a run tells when it is done.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use isopleth_engine::progress::Stage;
use isopleth_engine::report::{Errors, StageReport};
use isopleth_engine::{Limits, Report, machine};

use super::{print, write_json};
use crate::cli::TellArguments;
use crate::failure::Failure;
use crate::table::{Table, bytes, number};

/// On the command line nobody but the user pays for a large map: only what cannot work is refused.
pub(crate) const LIMITS: Limits =
    Limits { cells: 20_000_000_000, values: 10_000_000_000_000, stations: 20_000 };

/// Does some work outside a run and says how long it took.
pub(crate) fn timed<T>(
    stage: Stage,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<(T, StageReport), Failure> {
    let start = Instant::now();
    let result = work()?;
    let stage = StageReport {
        stage,
        seconds: start.elapsed().as_secs_f64(),
        peak_memory_bytes: machine::peak_memory_bytes(),
    };
    Ok((result, stage))
}

/// Writes the report where asked, warns on standard error, and sums up on standard output.
pub(crate) fn tell(
    report: &Report,
    output: &Path,
    arguments: &TellArguments,
) -> Result<(), Failure> {
    if let Some(path) = &arguments.report {
        write_json(path, report)?;
    }
    if arguments.quiet {
        return Ok(());
    }
    for warning in &report.warnings {
        eprintln!("isopleth: warning: {warning}");
    }
    let to_standard_output = |path: &Path| path.as_os_str() == "-";
    if to_standard_output(output) || arguments.report.as_deref().is_some_and(to_standard_output) {
        return Ok(());
    }
    print(&text(report, output))
}

/// The errors of every variable as a table.
pub(crate) fn errors(report: &Report) -> String {
    let mut table = Table::new(&["variable", "fields", "n", "bias", "MAE", "RMSE", "R2"]);
    for variable in &report.variables {
        let e = variable.leave_one_out;
        let of = |get: fn(&Errors) -> f64| number(e.as_ref().map(get));
        let name = match &variable.units {
            Some(units) => format!("{} ({units})", variable.variable),
            None => variable.variable.clone(),
        };
        table.row(vec![
            name,
            variable.fields.to_string(),
            e.map_or(0, |e| e.count).to_string(),
            of(|e| e.bias),
            of(|e| e.mae),
            of(|e| e.rmse),
            number(e.and_then(|e| e.r2)),
        ]);
    }
    table.render()
}

fn text(report: &Report, output: &Path) -> String {
    let (readings, network, method) = (&report.readings, &report.network, &report.method);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "readings   {} in {} rows, {} missing, {} rejected",
        readings.values, readings.rows, readings.missing, readings.rejected
    );
    for example in readings.rejected_examples.iter().take(3) {
        let _ = writeln!(text, "           rejected: {example}");
    }
    if !readings.without_place.is_empty() {
        let codes = &readings.without_place;
        let few = codes.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "           {} stations without a place: {few} …", codes.len());
    }
    let how = match network.blocks {
        Some(size) => format!("blocks of {size}"),
        None => format!("{} merged", network.merged.len()),
    };
    let _ =
        writeln!(text, "network    {} stations at {} places ({how})", network.read, network.used);
    let _ = writeln!(
        text,
        "method     {}, {}, drift degree {}, condition {:.1e}",
        method.kernel, method.metric, method.degree, method.condition
    );
    if report.quality.flagged > 0 {
        let _ = writeln!(text, "quality    {}", report.quality.summary());
    }
    let [columns, rows] = report.targets.shape;
    let _ = writeln!(
        text,
        "map        {} fields of {columns} × {rows} {}, {} ({}, {} threads)",
        report.fields.len(),
        if report.targets.kind == "grid" { "cells" } else { "places" },
        method.evaluation,
        method.instructions,
        method.threads
    );
    if let Some(c) = &report.certificate {
        let _ = writeln!(
            text,
            "           within {:.1e} of the exact sum at {} cells compared (asked for {:.0e})",
            c.largest_difference, c.cells_compared, c.tolerance
        );
    }
    let _ = writeln!(text, "\nErrors at stations left out, one at a time:\n{}", errors(report));
    let stages: Vec<String> =
        report.stages.iter().map(|s| format!("{:?} {:.3}", s.stage, s.seconds)).collect();
    let _ = writeln!(
        text,
        "{:.3} s ({}); peak memory {}",
        report.seconds,
        stages.join(", ").to_lowercase(),
        bytes(report.peak_memory_bytes)
    );
    let size = std::fs::metadata(output).map_or(0, |m| m.len());
    let _ = writeln!(text, "wrote {} ({})", output.display(), bytes(size));
    text
}
