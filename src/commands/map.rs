//! `isopleth map`: readings onto a grid.

use std::path::Path;

use isopleth_engine::export::Form;
use isopleth_engine::output::{Layout, NetcdfFile, Provenance};
use isopleth_engine::progress::Stage;
use isopleth_engine::{Cancel, FactorCache, Plan, Progress, Report, Targets, run as engine_run};

use super::{cache, inputs, points, summary};
use crate::cli::MapArguments;
use crate::failure::Failure;
use crate::progress::{Bar, cancel_on_interrupt};

pub(crate) fn run(arguments: &MapArguments) -> Result<(), Failure> {
    let cancel = cancel_on_interrupt()?;
    let metric = inputs::metric(&arguments.method)?;
    let storage = inputs::storage(&arguments.storage);
    let mut settings =
        inputs::settings(&arguments.method, &arguments.readings.duplicates, storage)?;
    settings.uncertainty = arguments.uncertainty.wanted();
    settings.masks = inputs::masks(&arguments.mask, metric)?;
    settings.quality = inputs::rules(&arguments.quality)?;
    let targets = inputs::targets(&arguments.grid, metric)?;
    is_netcdf(&targets, &arguments.output)?;
    let (observations, reading) = summary::timed(Stage::Read, || {
        inputs::observations(&arguments.readings, !metric.is_spherical())
    })?;
    let plan = Plan::new(observations, targets, settings, &summary::LIMITS)?;
    let factors = cache::open(&arguments.cache)?;
    let (output, tell) = (&arguments.output, &arguments.tell);
    let mut report = match &plan.targets {
        Targets::Grid(_) => grid(&plan, output, &cancel, tell.quiet, &factors)?,
        Targets::Points(places) => {
            points::write(&plan, places, output, &cancel, tell.quiet, &factors)?
        }
    };
    report.book(reading);
    summary::tell(&report, output, tell)
}

/// That a map is not asked for in a form that `export` makes of it.
fn is_netcdf(targets: &Targets, output: &Path) -> Result<(), Failure> {
    match (targets, Form::of_path(output)) {
        (Targets::Grid(_), Ok(form)) if form != Form::NetCdf => Err(Failure::Usage(format!(
            "{}: a map is written as NetCDF (.nc); `isopleth export map.nc -o {0}` then makes {form} \
             of it",
            output.display()
        ))),
        _ => Ok(()),
    }
}

fn grid(
    plan: &Plan,
    output: &Path,
    cancel: &Cancel,
    quiet: bool,
    factors: &FactorCache,
) -> Result<Report, Failure> {
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    let provenance = Provenance::now(command);
    let file = NetcdfFile::create(output, &Layout::of(plan, &provenance))?;
    let bar = Bar::new(quiet);
    let on_event = |event| bar.tell(event);
    let made = engine_run(plan, &file, Progress { on_event: &on_event, cancel }, factors);
    bar.clear();
    let mut report = made?;
    let ((), finishing) = summary::timed(Stage::Finish, || Ok(file.finish(&report)?))?;
    report.book(finishing);
    Ok(report)
}
