//! Keeps account of a run while it goes: seconds, memory, fields; makes the report of it.

use std::collections::btree_map::{Entry, OccupiedEntry};
use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use isopleth_kernels as kernels;
use kernels::{Convention, Fit, MatRef};
use serde::{Deserialize, Serialize};

use crate::background;
use crate::certificate::Certificate;
use crate::choice::Chosen;
use crate::covariates;
use crate::error::Error;
use crate::factors::Obtained;
use crate::grid::Targets;
use crate::machine;
use crate::output::FieldId;
use crate::plan::Plan;
use crate::progress::Stage;
use crate::quality::QualityReport;
use crate::report::{
    ErrorSum, FieldReport, MethodReport, NetworkReport, Report, StageReport, TargetsReport,
    VariableReport, iso_8601,
};
use crate::uncertainty::DoubtShare;

/// The account of one run.
pub(crate) struct Recorder {
    start: Instant,
    stages: Vec<StageReport>,
    share: Share,
    /// What happened to this run and need not to another.
    mishaps: Vec<String>,
}

/// What a run found in some time steps, whenever it was and on whatever machine; shares of others can
/// be added.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Share {
    fields: Vec<(FieldId, FieldReport)>,
    /// By variable: fields, and their errors.
    sums: Vec<(usize, ErrorSum)>,
    /// By number.
    methods: BTreeMap<usize, MethodReport>,
    warnings: Vec<String>,
    certificate: Option<Certificate>,
    doubt: Option<DoubtShare>,
    backgrounds: background::Share,
    #[serde(default)]
    covariates: covariates::Share,
    /// By variable: readings that a transform took for 0.
    #[serde(default)]
    taken_for_0: BTreeMap<String, usize>,
}

impl Share {
    /// Adds what was found in later time steps.
    pub(crate) fn merge(&mut self, other: Self) {
        self.fields.extend(other.fields);
        self.sums.resize(self.sums.len().max(other.sums.len()), (0, ErrorSum::default()));
        for (all, (fields, sum)) in self.sums.iter_mut().zip(&other.sums) {
            all.0 += fields;
            all.1.merge(sum);
        }
        for (number, method) in other.methods {
            match self.methods.entry(number) {
                Entry::Occupied(mut known) => merge_methods(known.get_mut(), method),
                Entry::Vacant(vacant) => drop(vacant.insert(method)),
            }
        }
        self.warnings.extend(other.warnings);
        if let Some(certificate) = &other.certificate {
            self.certificate.get_or_insert_default().merge(certificate);
        }
        if let Some(doubt) = other.doubt {
            self.add_doubt(doubt);
        }
        self.backgrounds.merge(&other.backgrounds);
        self.covariates.merge(&other.covariates);
        for (variable, count) in other.taken_for_0 {
            *self.taken_for_0.entry(variable).or_default() += count;
        }
    }

    pub(crate) fn add_backgrounds(&mut self, backgrounds: &background::Share) {
        self.backgrounds.merge(backgrounds);
    }

    pub(crate) fn add_covariates(&mut self, covariates: &covariates::Share) {
        self.covariates.merge(covariates);
    }

    fn add_doubt(&mut self, doubt: DoubtShare) {
        self.doubt.get_or_insert_default().merge(doubt);
    }

    /// What is certified so far.
    pub(crate) fn certificate(&mut self) -> &mut Option<Certificate> {
        &mut self.certificate
    }
}

/// Of the same method in other time steps.
fn merge_methods(known: &mut MethodReport, other: MethodReport) {
    for variable in other.variables {
        if !known.variables.contains(&variable) {
            known.variables.push(variable);
        }
    }
    known.masks += other.masks;
    known.refactored += other.refactored;
    if other.evaluation == FAST {
        known.evaluation = other.evaluation;
    }
}

/// The word for a fast evaluation in reports.
const FAST: &str = "fast";

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            stages: Vec::new(),
            share: Share::default(),
            mishaps: Vec::new(),
        }
    }

    /// What was found.
    pub(crate) fn share(&mut self) -> &mut Share {
        &mut self.share
    }

    /// What happened to this run alone.
    pub(crate) fn take_mishaps(&mut self) -> Vec<String> {
        std::mem::take(&mut self.mishaps)
    }

    pub(crate) fn into_stages(self) -> Vec<StageReport> {
        self.stages
    }

    /// Books the method of the fields to come, which has the highest number so far.
    pub(crate) fn begin_method(
        &mut self,
        plan: &Plan,
        (number, chosen): (usize, &Chosen),
        obtained: &Obtained,
    ) {
        let factor = &obtained.value;
        let report = MethodReport {
            solver: factor.decomposition().to_owned(),
            condition: factor.condition(),
            factor: obtained.origin,
            evaluation: "exact".to_owned(),
            back_transform: (!chosen.transform.is_none()).then_some(plan.settings.transforms.back),
            ..method_report(chosen)
        };
        self.share.methods.insert(number, report);
        self.share.warnings.extend(factor.warnings().iter().map(ToString::to_string));
        self.mishaps.extend(obtained.warning.clone());
    }

    /// Books what was found of the uncertainty of some fields, and what the user should know of it.
    pub(crate) fn add_doubt(&mut self, share: DoubtShare, warnings: Vec<String>) {
        self.share.add_doubt(share);
        self.mishaps.extend(warnings);
    }

    fn method(&mut self) -> Option<&mut MethodReport> {
        self.share.methods.last_entry().map(OccupiedEntry::into_mut)
    }

    /// Books that fields of the method begun last are evaluated fast.
    pub(crate) fn evaluated_fast(&mut self) {
        if let Some(method) = self.method() {
            FAST.clone_into(&mut method.evaluation);
        }
    }

    /// Does some work of a stage and books its seconds and the memory at its end.
    pub(crate) fn time<T, E: Into<Error>>(
        &mut self,
        stage: Stage,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, Error> {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let result = work().map_err(Into::into);
        let seconds = start.elapsed().as_secs_f64();
        let cpu_seconds = cpu_seconds() - cpu;
        let peak_memory_bytes = machine::peak_memory_bytes();
        match self.stages.iter_mut().find(|s| s.stage == stage) {
            Some(booked) => {
                booked.seconds += seconds;
                booked.cpu_seconds += cpu_seconds;
                booked.peak_memory_bytes = peak_memory_bytes;
            }
            None => {
                let booked = StageReport { stage, seconds, cpu_seconds, peak_memory_bytes };
                self.stages.push(booked);
            }
        }
        result
    }

    /// Books a batch of fields: readings and fit are stations × fields.
    pub(crate) fn add_fields(
        &mut self,
        plan: &Plan,
        fields: &[FieldId],
        readings: MatRef<'_, f64>,
        fit: &Fit,
    ) {
        let variables = plan.observations.variables();
        self.share.sums.resize(variables.len(), (0, ErrorSum::default()));
        if let Some(method) = self.method() {
            method.masks += fit.masks;
            method.refactored += fit.refactored;
        }
        for (f, id) in fields.iter().enumerate() {
            let mut sum = ErrorSum::default();
            let observed = readings.col(f).iter();
            for (&value, &residual) in observed.zip(fit.leave_one_out.col(f).iter()) {
                sum.add(value, residual);
            }
            let used = readings.col(f).iter().filter(|v| !v.is_nan()).count();
            let failed = fit.failed.iter().find(|(field, _)| *field == f);
            if failed.is_none() {
                self.share.sums[id.variable].0 += 1;
                self.share.sums[id.variable].1.merge(&sum);
            }
            if let Some(method) = self.method()
                && !method.variables.contains(&variables[id.variable].name)
            {
                method.variables.push(variables[id.variable].name.clone());
            }
            let report = FieldReport {
                variable: variables[id.variable].name.clone(),
                time: plan.observations.times()[id.time].map(iso_8601),
                used,
                missing: readings.nrows() - used,
                leave_one_out: sum.errors(),
                failed: failed.map(|(_, error)| error.to_string()),
            };
            self.share.fields.push((*id, report));
        }
    }

    /// Books readings that a transform took for 0.
    pub(crate) fn taken_for_0(&mut self, variable: &str, count: usize) {
        *self.share.taken_for_0.entry(variable.to_owned()).or_default() += count;
    }

    /// The report, unless there is nothing to report on.
    pub(crate) fn into_report(
        self,
        plan: &Plan,
        instructions: &str,
        quality: QualityReport,
    ) -> Result<Report, Error> {
        let seconds = self.start.elapsed().as_secs_f64();
        let peak_memory_bytes = machine::peak_memory_bytes();
        let mut share = self.share;
        // Methods come one after another, and fields with them.
        share.fields.sort_by_key(|(id, _)| (id.time, id.variable));
        let fields: Vec<FieldReport> = share.fields.into_iter().map(|(_, field)| field).collect();
        if let Some(first) = fields.first().and_then(|f| f.failed.clone())
            && fields.iter().all(|f| f.failed.is_some())
        {
            return Err(Error::NothingToMap { first });
        }
        let mut warnings = share.warnings;
        warnings.extend(self.mishaps);
        warnings.extend(plan.observations.readings_report().warnings.iter().cloned());
        warnings.extend(share.taken_for_0.iter().map(|(variable, count)| {
            format!("{count} readings of {variable} below 0 were taken for 0 by its transform")
        }));
        // Several methods have the same to say.
        let mut told = HashSet::new();
        warnings.retain(|warning| told.insert(warning.clone()));
        let failed: Vec<_> = fields.iter().filter(|f| f.failed.is_some()).collect();
        if let Some(first) = failed.first() {
            warnings.push(format!(
                "{} of {} fields could not be mapped and hold the fill value; the first: {} {}: {}",
                failed.len(),
                fields.len(),
                first.variable,
                first.time.as_deref().unwrap_or(""),
                first.failed.as_deref().unwrap_or("")
            ));
        }
        let mut backgrounds = Vec::new();
        if let Some(of) = &plan.backgrounds {
            let (told, of_backgrounds) =
                share.backgrounds.into_report(of, plan.observations.variables());
            backgrounds = told;
            warnings.extend(of_backgrounds);
        }
        let mut covariates = Vec::new();
        if let Some(of) = &plan.covariates {
            let (told, of_covariates) =
                share.covariates.into_report(of, plan.observations.variables());
            covariates = told;
            warnings.extend(of_covariates);
        }
        Ok(Report {
            software: concat!("isopleth ", env!("CARGO_PKG_VERSION")).to_owned(),
            readings: plan.observations.readings_report().clone(),
            network: network_report(plan),
            methods: share.methods.into_values().collect(),
            threads: plan.threads,
            instructions: instructions.to_owned(),
            certificate: share.certificate,
            targets: targets_report(&plan.targets),
            mask: plan.mask.as_ref().map(|mask| mask.report().clone()),
            variables: (share.sums.into_iter().zip(plan.observations.variables()))
                .map(|((fields, sum), variable)| VariableReport {
                    variable: variable.name.clone(),
                    units: variable.units.clone(),
                    fields,
                    leave_one_out: sum.errors(),
                })
                .collect(),
            fields,
            uncertainty: share.doubt.map(|doubt| doubt.into_report(plan)),
            stages: self.stages,
            seconds,
            peak_memory_bytes,
            warnings,
            quality,
            backgrounds,
            covariates,
        })
    }
}

/// What processors have done so far for the threads of this run: nobody else has them meanwhile (`pools`).
fn cpu_seconds() -> f64 {
    if rayon::current_thread_index().is_some() && rayon::current_num_threads() > 1 {
        rayon::broadcast(|_| machine::thread_cpu_seconds()).into_iter().sum()
    } else {
        machine::thread_cpu_seconds()
    }
}

fn network_report(plan: &Plan) -> NetworkReport {
    NetworkReport {
        read: plan.observations.stations().len(),
        used: plan.network.stations().len(),
        merged: plan.network.merged().to_vec(),
        duplicates: plan.settings.duplicates.to_string(),
        blocks: plan.settings.thin,
        fingerprint: plan.network.fingerprint().to_owned(),
    }
}

/// What is known of the method before anything is solved.
fn method_report(chosen: &Chosen) -> MethodReport {
    let method = &chosen.method;
    let (low, high) = (method.diagonal.iter())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &d| (l.min(d), h.max(d)));
    MethodReport {
        chosen_by: chosen.by,
        kernel: method.kernel.to_string(),
        epsilon: method.epsilon,
        smoothing: if low < high { vec![low, high] } else { vec![low] },
        degree: method.degree,
        anisotropy: method.stretch.map(|stretch| stretch.anisotropy().to_string()),
        transform: chosen.transform,
        metric: method.metric.to_string(),
        convention: match method.convention {
            Convention::Native => "native",
            Convention::ScipyRbf => "scipy-rbf",
        }
        .to_owned(),
        ..MethodReport::default()
    }
}

fn targets_report(targets: &Targets) -> TargetsReport {
    let (kind, x, y) = match targets {
        Targets::Grid(grid) => ("grid", grid.x(), grid.y()),
        Targets::Points(places) => ("points", &places.x[..], &places.y[..]),
    };
    let range = |axis: &[f64]| {
        axis.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)))
    };
    let ((west, east), (south, north)) = (range(x), range(y));
    TargetsReport {
        kind: kind.to_owned(),
        crs: match targets {
            Targets::Grid(grid) => grid.crs().map(|crs| crs.text().to_owned()),
            Targets::Points(_) => None,
        },
        shape: [targets.columns(), targets.rows()],
        bounds: [west, south, east, north],
        cells: targets.cells(),
    }
}
