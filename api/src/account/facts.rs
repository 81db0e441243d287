//! What a plan and a report say to the account.

use std::borrow::Cow;
use std::collections::BTreeSet;

use isopleth_engine::factors::Origin;
use isopleth_engine::progress::Stage;
use isopleth_engine::report::StageReport;
use isopleth_engine::settings::Choice;
use isopleth_engine::{By, Directions, Plan, Report, Rules, Targets, Tolerance, machine};

use super::columns::Usage;

/// Longer names are cut off.
const LONGEST: usize = 64;

impl Usage {
    /// Notes what is about to be made, with memory as it is now.
    pub(crate) fn planned(&mut self, plan: &Plan) {
        let (settings, estimate) = (&plan.settings, &plan.estimate);
        self.stations = whole(estimate.stations);
        self.fields = whole(estimate.fields);
        self.cells = whole(estimate.cells);
        self.variables = whole(plan.observations.variables().len());
        self.metric = Some(plan.metric().to_string().into());
        self.tolerance = Some(match settings.tolerance {
            Tolerance::Exact => "exact".into(),
            Tolerance::Relative(tolerance) => format!("{tolerance:e}").into(),
        });
        self.precision = Some(settings.storage.precision.name().into());
        self.threads = whole(plan.threads);
        self.uncertainty = Some(!plan.layers.is_empty());
        self.transform = Some(!settings.transforms.told.is_empty());
        self.mask = Some(!settings.masks.areas.is_empty() || settings.masks.distance.is_some());
        self.background = Some(!settings.backgrounds.is_empty());
        self.covariates = Some(!settings.covariates.all.is_empty());
        self.anisotropy = Some(match &settings.method {
            Choice::Told(method) => method.anisotropy.is_some(),
            Choice::Auto(auto) => matches!(auto.anisotropy, Directions::Told(_)),
        });
        self.quality = Some(settings.quality != Rules::default());
        self.thin = Some(settings.thin.is_some());
        self.bounds = Some(!settings.bounds.min.is_empty() || !settings.bounds.max.is_empty());
        self.projected = Some(matches!(&plan.targets, Targets::Grid(grid) if grid.crs().is_some()));
        self.series = Some(plan.observations.readings_report().series.is_some());
        self.predicted_seconds = Some(estimate.seconds);
        self.predicted_bytes = whole(estimate.peak_memory_bytes);
        self.peak_before_bytes = whole(machine::peak_memory_bytes());
    }

    /// Notes a reading that was done before the run.
    pub(crate) fn read(&mut self, stage: &StageReport) {
        let add = |to: &mut Option<f64>, more: f64| *to = Some(to.unwrap_or(0.0) + more);
        for to in [&mut self.read_seconds, &mut self.run_seconds] {
            add(to, stage.seconds);
        }
        for to in [&mut self.read_cpu_seconds, &mut self.cpu_seconds] {
            add(to, stage.cpu_seconds);
        }
    }

    /// Notes what a cross-validation tells whose plan nobody saw.
    pub(crate) fn left_out(&mut self, report: &Report) {
        self.stations = whole(report.network.used);
        self.fields = whole(report.fields.len());
        self.cells = whole(report.network.used);
        self.variables = whole(report.variables.len());
        self.metric = report.methods.first().map(|method| shortened(&method.metric));
        self.threads = whole(report.threads);
        self.made(report);
    }

    /// Notes what a run tells.
    pub(crate) fn made(&mut self, report: &Report) {
        let kernels: BTreeSet<&str> =
            report.methods.iter().map(|method| method.kernel.as_str()).collect();
        self.kernel = several(&kernels);
        if let Some(method) = report.methods.first() {
            self.chosen_by = Some(
                match method.chosen_by {
                    By::Told => "told",
                    By::Readings => "readings",
                    By::Kept => "kept",
                }
                .into(),
            );
            self.factor = Some(
                match method.factor {
                    Origin::Computed => "computed",
                    Origin::Memory => "memory",
                    Origin::Disk => "disk",
                }
                .into(),
            );
            self.anisotropy = Some(report.methods.iter().any(|method| method.anisotropy.is_some()));
        }
        let fast = report.methods.iter().any(|method| method.evaluation == "fast");
        self.evaluation = Some(if fast { "fast" } else { "exact" }.into());
        self.run_seconds = Some(report.seconds);
        self.cpu_seconds = Some(report.stages.iter().map(|stage| stage.cpu_seconds).sum());
        for stage in &report.stages {
            let (seconds, cpu) = match stage.stage {
                Stage::Read => (&mut self.read_seconds, &mut self.read_cpu_seconds),
                Stage::Choose => (&mut self.choose_seconds, &mut self.choose_cpu_seconds),
                Stage::Factorise => (&mut self.factorise_seconds, &mut self.factorise_cpu_seconds),
                Stage::Solve => (&mut self.solve_seconds, &mut self.solve_cpu_seconds),
                Stage::Evaluate => (&mut self.evaluate_seconds, &mut self.evaluate_cpu_seconds),
                Stage::Finish => (&mut self.finish_seconds, &mut self.finish_cpu_seconds),
            };
            *seconds = Some(stage.seconds);
            *cpu = Some(stage.cpu_seconds);
        }
        self.peak_bytes = whole(report.peak_memory_bytes);
    }
}

fn several(names: &BTreeSet<&str>) -> Option<Cow<'static, str>> {
    let joined = names.iter().copied().collect::<Vec<_>>().join(",");
    (!joined.is_empty()).then(|| shortened(&joined))
}

/// A text of somebody else's, cut off where it is long.
pub(crate) fn shortened(text: &str) -> Cow<'static, str> {
    text.chars().take(LONGEST).collect::<String>().into()
}

pub(super) fn whole(count: impl TryInto<i64>) -> Option<i64> {
    Some(count.try_into().unwrap_or(i64::MAX))
}
