//! `isopleth map`: readings onto a grid.

use std::path::Path;

use isopleth_engine::blocks::{BlockSize, Work, Worker};
use isopleth_engine::covariates::columns;
use isopleth_engine::export::Form;
use isopleth_engine::output::{AtomicFile, Layout, NetcdfFile, Provenance};
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
    settings.backgrounds = arguments.background.wanted()?;
    settings.covariates = arguments.background.covariates()?;
    let aside = columns(&settings.covariates);
    settings.quality = inputs::rules(&arguments.quality)?;
    let targets = inputs::targets(&arguments.grid, metric)?;
    is_netcdf(&targets, &arguments.output)?;
    let (observations, reading) = summary::timed(Stage::Read, || {
        inputs::observations_beside(&arguments.readings, !metric.is_spherical(), &aside)
    })?;
    let mut plan = Plan::new(observations, targets, settings, &summary::LIMITS)?;
    let factors = cache::open(&arguments.cache)?;
    let (output, tell) = (&arguments.output, &arguments.tell);
    let mut report = match (&plan.targets, &arguments.work) {
        (Targets::Grid(_), None) => grid(&plan, output, &cancel, tell.quiet, &factors)?,
        (Targets::Grid(_), Some(folder)) => {
            in_blocks(&mut plan, folder, output, &cancel, tell.quiet, &factors)?
        }
        (Targets::Points(_), Some(_)) => {
            let text = "--work is for maps on a grid; leave it out, or --points-file";
            return Err(Failure::Usage(text.to_owned()));
        }
        (Targets::Points(places), None) => {
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
    let provenance = provenance();
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

/// The same in blocks that outlive the process.
fn in_blocks(
    plan: &mut Plan,
    folder: &Path,
    output: &Path,
    cancel: &Cancel,
    quiet: bool,
    factors: &FactorCache,
) -> Result<Report, Failure> {
    // Before hours of work, whether the map can be put there at all.
    drop(AtomicFile::create(output)?);
    let work = Work::open(folder, plan, &provenance(), BlockSize::default())?;
    let (done, blocks) = (work.done(), work.blocks());
    if done > 0 && !quiet {
        eprintln!("isopleth: {done} of {blocks} blocks were done before");
    }
    let bar = Bar::new(quiet);
    let on_event = |event| bar.tell(event);
    let progress = Progress { on_event: &on_event, cancel };
    let made = Worker::new(&work, plan, factors, progress).and_then(|mut w| w.run(output));
    bar.clear();
    if made.is_err() && !quiet {
        let (done, folder) = (work.done(), folder.display());
        eprintln!("isopleth: {done} of {blocks} blocks are kept in {folder}");
    }
    let report = made?;
    work.remove()?;
    Ok(report)
}

fn provenance() -> Provenance {
    Provenance::now(std::env::args().collect::<Vec<_>>().join(" "))
}
