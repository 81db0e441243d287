//! `isopleth correlation`: which stations go together, and how far.

use std::fmt::Write as _;

use isopleth_engine::correlation::VariableCorrelation;
use isopleth_engine::{CorrelationRules, PairsCsv, correlate, correlation_svg, machine};

use super::{inputs, print, write_text};
use crate::cli::CorrelationArguments;
use crate::failure::Failure;
use crate::progress::cancel_on_interrupt;
use crate::table::{Table, number};

/// Classes of distance that are printed.
const CLASSES: usize = 10;

pub(crate) fn run(arguments: &CorrelationArguments) -> Result<(), Failure> {
    let rules = rules(arguments)?;
    let cancel = cancel_on_interrupt()?;
    let (column, unit) = if arguments.planar { ("distance", "") } else { ("distance_km", " (km)") };
    let observations = inputs::observations(&arguments.readings, arguments.planar)?;
    let mut table = PairsCsv::create(&arguments.output, column)?;
    let told = correlate(&observations, &rules, &cancel, &mut |pair| table.pair(&pair))?;
    table.finish()?;
    if let Some(path) = &arguments.picture {
        write_text(path, &correlation_svg(&told, unit))?;
    }
    if arguments.quiet || arguments.output.as_os_str() == "-" {
        return Ok(());
    }
    print(&text(&told, unit))
}

fn rules(arguments: &CorrelationArguments) -> Result<CorrelationRules, Failure> {
    if let Some(within) = arguments.within.filter(|w| !(w.is_finite() && *w > 0.0)) {
        let text = format!("--within {within}: expected a positive distance");
        return Err(Failure::Usage(text));
    }
    if arguments.threads == Some(0) {
        return Err(Failure::Usage("--threads 0: at least one thread is needed".to_owned()));
    }
    if arguments.least_pairs < 2 {
        let text = "--least-pairs: a correlation needs at least 2 readings";
        return Err(Failure::Usage(text.to_owned()));
    }
    let is_svg = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg"))
    };
    if let Some(path) = arguments.picture.as_ref().filter(|path| !is_svg(path)) {
        let text = format!("--picture {}: pictures are SVG; name it .svg", path.display());
        return Err(Failure::Usage(text));
    }
    Ok(CorrelationRules {
        within: arguments.within,
        least_pairs: arguments.least_pairs,
        memory_bytes: arguments.memory,
        threads: arguments.threads.unwrap_or_else(machine::available_threads).max(1),
    })
}

fn text(told: &[VariableCorrelation], unit: &str) -> String {
    let mut text = String::new();
    for of in told {
        let _ = writeln!(
            text,
            "{}: {} pairs; left out {} with too few common readings, {} of a constant, {} too far apart",
            of.variable, of.pairs, of.too_few, of.constant, of.too_far
        );
        let mut table = Table::new(&[&format!("distance{unit}"), "pairs", "median correlation"]);
        for class in of.bins.by_distance(CLASSES) {
            let [from, to] = class.distance.map(|d| number(Some(d)));
            table.row(vec![
                format!("{from} to {to}"),
                class.pairs.to_string(),
                format!("{:.2}", class.median),
            ]);
        }
        let _ = writeln!(text, "{}", table.render());
    }
    text
}
