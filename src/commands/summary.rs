//! What a run tells when it is done.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use isopleth_engine::progress::Stage;
use isopleth_engine::report::{Errors, StageReport};
use isopleth_engine::series::SeriesCounts;
use isopleth_engine::{By, Limits, Report, machine};

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
    let (start, cpu) = (Instant::now(), machine::thread_cpu_seconds());
    let result = work()?;
    let stage = StageReport {
        stage,
        seconds: start.elapsed().as_secs_f64(),
        cpu_seconds: machine::thread_cpu_seconds() - cpu,
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

/// What backgrounds are worth alone, where there are any.
pub(crate) fn backgrounds(report: &Report) -> String {
    if report.backgrounds.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["variable", "background alone", "n", "bias", "MAE", "RMSE", "R2"]);
    for of in &report.backgrounds {
        let e = of.alone;
        table.row(vec![
            of.variable.clone(),
            of.background.clone(),
            e.map_or(0, |e| e.count).to_string(),
            number(e.map(|e| e.bias)),
            number(e.map(|e| e.mae)),
            number(e.map(|e| e.rmse)),
            number(e.and_then(|e| e.r2)),
        ]);
    }
    format!("\n{}", table.render())
}

/// What values depend on besides the place, where that is told.
pub(crate) fn covariates(report: &Report) -> String {
    if report.covariates.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["variable", "covariate", "slope", "from", "to", "source"]);
    for of in &report.covariates {
        for slope in &of.slopes {
            table.row(vec![
                slope.variable.clone(),
                of.covariate.clone(),
                number(Some(slope.slope)),
                number(Some(of.range[0])),
                number(Some(of.range[1])),
                of.source.clone(),
            ]);
        }
    }
    format!("{}\n", table.render())
}

/// One line a method.
fn methods(text: &mut String, report: &Report) {
    for (k, m) in report.methods.iter().enumerate() {
        let mut line = format!("{}, {}", m.kernel, m.metric);
        if m.epsilon != 1.0 {
            let _ = write!(line, ", epsilon {:.3e}", m.epsilon);
        }
        match m.smoothing.as_slice() {
            [] | [0.0] => {}
            [one] => drop(write!(line, ", smoothing {one:.3}")),
            several => drop(write!(line, ", smoothing {several:.3?}")),
        }
        let _ = write!(line, ", drift degree {}, condition {:.1e}", m.degree, m.condition);
        if let Some(anisotropy) = &m.anisotropy {
            let _ = write!(line, ", anisotropy {anisotropy}");
        }
        if let Some(back) = m.back_transform {
            let _ = write!(line, ", {} (back by the {})", m.transform, back.name());
        }
        let by = match m.chosen_by {
            By::Told => "",
            By::Readings => " (chosen)",
            By::Kept => " (chosen before)",
        };
        let of = if report.methods.len() > 1 {
            format!("{}: ", m.variables.join(", "))
        } else {
            String::new()
        };
        let head = if k == 0 { "method" } else { "" };
        let _ = writeln!(text, "{head:<10} {of}{line}{by}");
    }
}

/// What is said of how sure the map is, where that was asked for.
fn uncertainty(report: &Report) -> String {
    let Some(uncertainty) = &report.uncertainty else { return String::new() };
    let held = uncertainty.variables.iter().filter_map(|of| {
        Some(format!("{} {:.1} % of {}", of.variable, 100.0 * of.coverage_90?, of.count))
    });
    let held: Vec<String> = held.collect();
    let mut text = format!("90 % intervals held, each left out: {}\n", held.join(", "));
    if uncertainty.nodes > 0 {
        let _ = writeln!(
            text,
            "standard deviation from {} cells, typically within {:.2} % of the formula ({:.1} % at \
             most of {} compared)",
            uncertainty.nodes,
            100.0 * uncertainty.typical_difference,
            100.0 * uncertainty.largest_difference,
            uncertainty.cells_compared
        );
    }
    text + "\n"
}

fn text(report: &Report, output: &Path) -> String {
    let (readings, network) = (&report.readings, &report.network);
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
    if let Some(series) = &readings.series {
        let _ = writeln!(text, "series     {}", series.steps.join("; "));
        let sum = |count: fn(&SeriesCounts) -> u64| series.variables.iter().map(count).sum::<u64>();
        let _ = writeln!(
            text,
            "           {} values of {} readings: {} below the limit, {} faults, {} spikes, \
             {} filled, {} windows with too few",
            sum(|c| c.values),
            sum(|c| c.readings),
            sum(|c| c.below_limit),
            sum(|c| c.faults),
            sum(|c| c.spikes),
            sum(|c| c.filled),
            sum(|c| c.too_few)
        );
    }
    let how = match network.blocks {
        Some(size) => format!("blocks of {size}"),
        None => format!("{} merged", network.merged.len()),
    };
    let _ =
        writeln!(text, "network    {} stations at {} places ({how})", network.read, network.used);
    methods(&mut text, report);
    if report.quality.flagged > 0 {
        let _ = writeln!(text, "quality    {}", report.quality.summary());
    }
    let [columns, rows] = report.targets.shape;
    let _ = writeln!(
        text,
        "map        {} fields of {columns} × {rows} {}, {} ({}, {} threads)",
        report.fields.len(),
        if report.targets.kind == "grid" { "cells" } else { "places" },
        if report.certificate.is_some() { "fast" } else { "exact" },
        report.instructions,
        report.threads
    );
    if let Some(mask) = &report.mask {
        let cells = report.targets.cells;
        let by: Vec<String> =
            mask.by.iter().map(|part| format!("{}: {}", part.mask, part.outside)).collect();
        let _ = writeln!(
            text,
            "           {} of {cells} outside the mask ({})",
            mask.outside,
            by.join("; ")
        );
    }
    if let Some(c) = &report.certificate {
        let _ = writeln!(
            text,
            "           within {:.1e} of the exact sum at {} cells compared, {:.1e} estimated for the worst (asked for {:.0e})",
            c.largest_difference, c.cells_compared, c.estimate, c.tolerance
        );
    }
    let _ = writeln!(text, "\nErrors at stations left out, one at a time:\n{}", errors(report));
    if !report.backgrounds.is_empty() {
        let _ = writeln!(text, "{}", backgrounds(report).trim_start());
    }
    text.push_str(&covariates(report));
    text.push_str(&uncertainty(report));
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
