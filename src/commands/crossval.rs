//! `isopleth crossval`: errors at stations left out.

use isopleth_engine::progress::Stage;
use isopleth_engine::{Progress, Settings, Storage, crossvalidate};

use super::{cache, inputs, print, summary, write_json, write_text};
use crate::cli::CrossvalArguments;
use crate::failure::Failure;
use crate::progress::{Bar, cancel_on_interrupt};

pub(crate) fn run(arguments: &CrossvalArguments) -> Result<(), Failure> {
    let cancel = cancel_on_interrupt()?;
    let metric = inputs::metric(&arguments.method)?;
    let duplicates = &arguments.readings.duplicates;
    let quality = inputs::rules(&arguments.quality)?;
    let settings = inputs::settings(&arguments.method, duplicates, Storage::default())?;
    let settings = Settings { quality, ..settings };
    let (observations, reading) = summary::timed(Stage::Read, || {
        inputs::observations(&arguments.readings, !metric.is_spherical())
    })?;
    let factors = cache::open(&arguments.cache)?;
    let bar = Bar::new(arguments.tell.quiet);
    let on_event = |event| bar.tell(event);
    let progress = Progress { on_event: &on_event, cancel: &cancel };
    let made = crossvalidate(observations, settings, &summary::LIMITS, progress, &factors);
    bar.clear();
    let mut result = made?;
    result.report.book(reading);
    if let Some(path) = &arguments.output {
        write_text(path, &result.stations_csv())?;
    }
    if let Some(path) = &arguments.tell.report {
        write_json(path, &result)?;
    }
    if arguments.tell.quiet {
        return Ok(());
    }
    for warning in &result.report.warnings {
        eprintln!("isopleth: warning: {warning}");
    }
    print(&summary::errors(&result.report))
}
