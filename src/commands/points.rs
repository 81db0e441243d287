//! `isopleth points`: values at any places.

use std::path::Path;

use isopleth_engine::covariates::columns;
use isopleth_engine::output::PointsCsv;
use isopleth_engine::progress::Stage;
use isopleth_engine::{
    Cancel, FactorCache, Places, Plan, Progress, Report, Storage, Targets, run as engine_run,
};

use super::{cache, inputs, summary};
use crate::cli::PointsArguments;
use crate::failure::Failure;
use crate::progress::{Bar, cancel_on_interrupt};

pub(crate) fn run(arguments: &PointsArguments) -> Result<(), Failure> {
    let cancel = cancel_on_interrupt()?;
    let metric = inputs::metric(&arguments.method)?;
    let duplicates = &arguments.readings.duplicates;
    let mut settings = inputs::settings(&arguments.method, duplicates, Storage::default())?;
    settings.uncertainty = arguments.uncertainty.wanted();
    settings.masks = inputs::masks(&arguments.mask, metric)?;
    settings.backgrounds = arguments.background.wanted()?;
    settings.covariates = arguments.background.covariates()?;
    let aside = columns(&settings.covariates);
    settings.quality = inputs::rules(&arguments.quality)?;
    let targets = inputs::places(&arguments.at, metric)?;
    let (observations, reading) = summary::timed(Stage::Read, || {
        inputs::observations_beside(&arguments.readings, !metric.is_spherical(), &aside)
    })?;
    let plan = Plan::new(observations, targets, settings, &summary::LIMITS)?;
    let Targets::Points(places) = &plan.targets else {
        return Err(Failure::Usage("--at names no table of places".to_owned()));
    };
    let factors = cache::open(&arguments.cache)?;
    let (output, quiet) = (&arguments.output, arguments.tell.quiet);
    let mut report = write(&plan, places, output, &cancel, quiet, &factors)?;
    report.book(reading);
    summary::tell(&report, output, &arguments.tell)
}

/// Evaluates the plan's places and writes them as CSV, to standard output for `-`.
pub(crate) fn write(
    plan: &Plan,
    places: &Places,
    output: &Path,
    cancel: &Cancel,
    quiet: bool,
    factors: &FactorCache,
) -> Result<Report, Failure> {
    let (variables, times) = (plan.observations.variables(), plan.observations.times());
    let file = if output.as_os_str() == "-" {
        let stream = Box::new(std::io::stdout());
        PointsCsv::to_stream("standard output", stream, places, variables, times, &plan.layers)?
    } else {
        PointsCsv::create(output, places, variables, times, &plan.layers)?
    };
    let bar = Bar::new(quiet);
    let on_event = |event| bar.tell(event);
    let made = engine_run(plan, &file, Progress { on_event: &on_event, cancel }, factors);
    bar.clear();
    let report = made?;
    file.finish()?;
    Ok(report)
}
