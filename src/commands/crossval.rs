//! `isopleth crossval`: errors at stations left out.

use isopleth_engine::kernels::Kernel;
use isopleth_engine::progress::Stage;
use isopleth_engine::{
    Background, Choice, CrossValidation, FactorCache, Kind, Progress, Settings, Storage,
    background, covariates, crossvalidate,
};

use super::{cache, inputs, print, summary, write_json, write_text};
use crate::cli::CrossvalArguments;
use crate::failure::Failure;
use crate::progress::{Bar, cancel_on_interrupt};
use crate::table::{Table, number};

pub(crate) fn run(arguments: &CrossvalArguments) -> Result<(), Failure> {
    let cancel = cancel_on_interrupt()?;
    let duplicates = &arguments.readings.duplicates;
    let quality = inputs::rules(&arguments.quality)?;
    let settings = inputs::settings(&arguments.method, duplicates, Storage::default())?;
    let mut backgrounds = arguments.background.wanted()?;
    backgrounds.extend(arguments.background_column.iter().map(|given| Background::column(given)));
    let covariates = arguments.background.covariates()?;
    let settings = Settings { quality, backgrounds, covariates, ..settings };
    let bar = Bar::new(arguments.tell.quiet);
    let on_event = |event| bar.tell(event);
    let progress = Progress { on_event: &on_event, cancel: &cancel };
    let made = if arguments.compare {
        compare(arguments, &settings, progress)
    } else {
        once(arguments, settings, &cache::open(&arguments.cache)?, progress).map(|r| vec![r])
    };
    bar.clear();
    let mut results = made?;
    if arguments.compare {
        return tell_comparison(arguments, &results);
    }
    let result = results.remove(0);
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
    let mut text = summary::errors(&result.report);
    text.push_str(&summary::backgrounds(&result.report));
    if !result.report.covariates.is_empty() {
        text.push_str(&format!("\n{}", summary::covariates(&result.report)));
    }
    text.push_str(&of_folds(&result));
    print(&text)
}

fn once(
    arguments: &CrossvalArguments,
    settings: Settings,
    factors: &FactorCache,
    progress: Progress<'_>,
) -> Result<CrossValidation, Failure> {
    let planar = !settings.method.metric().is_spherical();
    let (observations, reading) = summary::timed(Stage::Read, || {
        let mut aside = background::columns(&settings.backgrounds);
        aside.extend(covariates::columns(&settings.covariates));
        inputs::observations_beside(&arguments.readings, planar, &aside)
    })?;
    let (folds, limits) = (&arguments.folds, &summary::LIMITS);
    let mut result = crossvalidate(observations, settings, folds, limits, progress, factors)?;
    result.report.book(reading);
    Ok(result)
}

/// Each kernel with what suits it best.
fn compare(
    arguments: &CrossvalArguments,
    settings: &Settings,
    progress: Progress<'_>,
) -> Result<Vec<CrossValidation>, Failure> {
    let Choice::Auto(auto) = &settings.method else {
        let text = "--compare chooses for every kernel: leave --kernel away";
        return Err(Failure::Usage(text.to_owned()));
    };
    let each = Kernel::ALL.into_iter().map(|kernel| {
        let mut auto = auto.clone();
        auto.kernels = vec![kernel];
        let settings = Settings { method: Choice::Auto(auto), ..settings.clone() };
        once(arguments, settings, &FactorCache::off(), progress)
    });
    // A kernel that suits no network of this kind is told and passed over.
    let possible = each.filter_map(|made| match made {
        Err(Failure::Engine(error)) if error.kind() == Kind::BadInput => {
            eprintln!("isopleth: warning: {error}");
            None
        }
        other => Some(other),
    });
    possible.collect()
}

fn tell_comparison(
    arguments: &CrossvalArguments,
    results: &[CrossValidation],
) -> Result<(), Failure> {
    if let Some(path) = &arguments.tell.report {
        write_json(path, &results)?;
    }
    let mut table =
        Table::new(&["variable", "kernel", "epsilon", "smoothing", "n", "bias", "MAE", "RMSE"]);
    for variable in 0..results.first().map_or(0, |r| r.report.variables.len()) {
        for result in results {
            let of = &result.report.variables[variable];
            let mut methods = result.report.methods.iter();
            let Some(method) = methods.find(|m| m.variables.contains(&of.variable)) else {
                continue;
            };
            let errors = of.leave_one_out;
            table.row(vec![
                of.variable.clone(),
                method.kernel.clone(),
                number(Some(method.epsilon)),
                number(method.smoothing.first().copied()),
                errors.map_or(0, |e| e.count).to_string(),
                number(errors.map(|e| e.bias)),
                number(errors.map(|e| e.mae)),
                number(errors.map(|e| e.rmse)),
            ]);
        }
    }
    if arguments.tell.quiet { Ok(()) } else { print(&table.render()) }
}

/// Stations left out together, beside references.
fn of_folds(result: &CrossValidation) -> String {
    if result.folds.is_empty() {
        return String::new();
    }
    let mut table =
        Table::new(&["left out", "parts", "variable", "by", "n", "bias", "MAE", "RMSE", "R2"]);
    for row in &result.folds {
        let e = row.errors;
        table.row(vec![
            row.folds.clone(),
            row.parts.to_string(),
            row.variable.clone(),
            row.method.clone(),
            e.map_or(0, |e| e.count).to_string(),
            number(e.map(|e| e.bias)),
            number(e.map(|e| e.mae)),
            number(e.map(|e| e.rmse)),
            number(e.and_then(|e| e.r2)),
        ]);
    }
    format!("\n{}", table.render())
}
