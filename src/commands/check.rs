//! `isopleth check`: what was read, and what is wrong with it.

use isopleth_engine::kernels::Metric;
use isopleth_engine::series::SeriesReport;
use isopleth_engine::{Network, Observations, QualityReport};
use serde::Serialize;

use super::{flags, inputs, print, write_json};
use crate::cli::CheckArguments;
use crate::failure::Failure;
use crate::table::{Table, number};

/// What a column of readings holds.
#[derive(Clone, Debug, Serialize)]
struct VariableSummary {
    variable: String,
    units: Option<String>,
    values: u64,
    missing_share: f64,
    smallest: Option<f64>,
    mean: Option<f64>,
    largest: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Summary<'a> {
    readings: isopleth_engine::report::ReadingsReport,
    stations: usize,
    places: usize,
    merged: &'a [Vec<String>],
    first_time: Option<String>,
    last_time: Option<String>,
    times: usize,
    variables: Vec<VariableSummary>,
    quality: QualityReport,
}

pub(crate) fn run(arguments: &CheckArguments) -> Result<(), Failure> {
    let rules = inputs::rules(&arguments.quality)?;
    let observations = inputs::observations(&arguments.readings, arguments.planar)?;
    let metric = if arguments.planar { Metric::Planar } else { Metric::Chordal };
    // A merge is told here, never refused.
    let network = Network::new(&observations, metric, isopleth_engine::Duplicates::Mean, None)?;
    let times = observations.times();
    let told =
        |time: Option<&Option<_>>| time.copied().flatten().map(isopleth_engine::report::iso_8601);
    let summary = Summary {
        readings: observations.readings_report().clone(),
        stations: observations.stations().len(),
        places: network.stations().len(),
        merged: network.merged(),
        first_time: told(times.first()),
        last_time: told(times.last()),
        times: times.len(),
        variables: variables(&observations)?,
        quality: flags::examine(observations, metric, &rules)?,
    };
    if arguments.json {
        return write_json("-".as_ref(), &summary);
    }
    print(&text(&summary))
}

/// One pass over the time steps: memory does not grow with their number.
#[expect(clippy::cast_precision_loss, reason = "shown to four digits")]
fn variables(observations: &Observations) -> Result<Vec<VariableSummary>, Failure> {
    let stations = observations.stations().len();
    let mut sums =
        vec![(0_u64, 0.0_f64, f64::INFINITY, f64::NEG_INFINITY); observations.variables().len()];
    let mut step = Vec::new();
    for time in 0..observations.times().len() {
        observations.step(time, &mut step)?;
        for (variable, sum) in sums.iter_mut().enumerate() {
            for value in step[variable * stations..][..stations].iter().filter(|v| !v.is_nan()) {
                sum.0 += 1;
                sum.1 += value;
                sum.2 = sum.2.min(*value);
                sum.3 = sum.3.max(*value);
            }
        }
    }
    let possible = (stations * observations.times().len()).max(1) as f64;
    let summary = |(variable, (count, sum, low, high)): (
        &isopleth_engine::observations::Variable,
        (u64, f64, f64, f64),
    )| {
        let any = count > 0;
        VariableSummary {
            variable: variable.name.clone(),
            units: variable.units.clone(),
            values: count,
            missing_share: 1.0 - count as f64 / possible,
            smallest: any.then_some(low),
            mean: any.then_some(sum / count as f64),
            largest: any.then_some(high),
        }
    };
    Ok(observations.variables().iter().zip(sums).map(summary).collect())
}

fn text(summary: &Summary<'_>) -> String {
    let mut facts = Table::new(&["what", "number"]);
    let readings = &summary.readings;
    for (what, count) in [
        ("rows", readings.rows),
        ("values", readings.values),
        ("missing", readings.missing),
        ("rejected", readings.rejected),
        ("repeated", readings.repeated),
        ("stations", summary.stations as u64),
        ("places", summary.places as u64),
        ("places with several stations", summary.merged.len() as u64),
        ("stations without a place", readings.without_place.len() as u64),
        ("times", summary.times as u64),
    ] {
        facts.row(vec![what.to_owned(), count.to_string()]);
    }
    let mut table = Table::new(&["variable", "values", "missing", "smallest", "mean", "largest"]);
    for v in &summary.variables {
        let name = v.units.as_ref().map_or(v.variable.clone(), |u| format!("{} ({u})", v.variable));
        table.row(vec![
            name,
            v.values.to_string(),
            format!("{:.1} %", 100.0 * v.missing_share),
            number(v.smallest),
            number(v.mean),
            number(v.largest),
        ]);
    }
    let mut text = format!("{}\n{}", facts.render(), table.render());
    if let (Some(first), Some(last)) = (&summary.first_time, &summary.last_time) {
        text.push_str(&format!("\nfrom {first} to {last}\n"));
    }
    if let Some(series) = &readings.series {
        text.push_str(&series_text(series));
    }
    let mut list = |title: &str, lines: &[String]| {
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}:\n"));
            for line in lines.iter().take(20) {
                text.push_str(&format!("  {line}\n"));
            }
            if lines.len() > 20 {
                text.push_str(&format!("  … and {} more\n", lines.len() - 20));
            }
        }
    };
    list("Warnings", &readings.warnings);
    list("Rejected", &readings.rejected_examples);
    list("Spikes dropped", readings.series.as_ref().map_or(&[], |series| &series.spike_examples));
    list("Without a place", &readings.without_place);
    let merged: Vec<String> = summary.merged.iter().map(|ids| ids.join(", ")).collect();
    list("At one place", &merged);
    text.push_str(&flags::text(&summary.quality));
    text
}

/// What was done to the series of each station, and how often.
fn series_text(series: &SeriesReport) -> String {
    let columns =
        ["variable", "readings", "faults", "below limit", "spikes", "filled", "too few", "values"];
    let mut table = Table::new(&columns);
    for c in &series.variables {
        let counts = [c.readings, c.faults, c.below_limit, c.spikes, c.filled, c.too_few, c.values];
        let counts = counts.iter().map(ToString::to_string);
        table.row(std::iter::once(c.variable.clone()).chain(counts).collect());
    }
    format!("\nSeries: {}\n{}", series.steps.join("; "), table.render())
}
