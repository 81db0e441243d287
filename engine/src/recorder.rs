//! Keeps account of a run while it goes: seconds, memory, fields; makes the report of it.

use std::time::Instant;

use isopleth_kernels as kernels;
use kernels::{Convention, Factor, Fit, MatRef};

use crate::certificate::Certificate;
use crate::error::Error;
use crate::factors::Origin;
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

/// The account of one run.
pub(crate) struct Recorder {
    start: Instant,
    stages: Vec<StageReport>,
    fields: Vec<FieldReport>,
    /// By variable.
    sums: Vec<(usize, ErrorSum)>,
    masks: usize,
    refactored: usize,
    origin: Origin,
    warnings: Vec<String>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            stages: Vec::new(),
            fields: Vec::new(),
            sums: Vec::new(),
            masks: 0,
            refactored: 0,
            origin: Origin::default(),
            warnings: Vec::new(),
        }
    }

    /// Books where the factor came from.
    pub(crate) fn set_origin(&mut self, origin: Origin, warning: Option<String>) {
        self.origin = origin;
        self.warnings.extend(warning);
    }

    /// Does some work of a stage and books its seconds and the memory at its end.
    pub(crate) fn time<T, E: Into<Error>>(
        &mut self,
        stage: Stage,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, Error> {
        let start = Instant::now();
        let result = work().map_err(Into::into);
        let seconds = start.elapsed().as_secs_f64();
        let peak_memory_bytes = machine::peak_memory_bytes();
        match self.stages.iter_mut().find(|s| s.stage == stage) {
            Some(booked) => {
                booked.seconds += seconds;
                booked.peak_memory_bytes = peak_memory_bytes;
            }
            None => self.stages.push(StageReport { stage, seconds, peak_memory_bytes }),
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
        self.sums.resize(variables.len(), (0, ErrorSum::default()));
        self.masks += fit.masks;
        self.refactored += fit.refactored;
        for (f, id) in fields.iter().enumerate() {
            let mut sum = ErrorSum::default();
            let observed = readings.col(f).iter();
            for (&value, &residual) in observed.zip(fit.leave_one_out.col(f).iter()) {
                sum.add(value, residual);
            }
            let used = readings.col(f).iter().filter(|v| !v.is_nan()).count();
            let failed = fit.failed.iter().find(|(field, _)| *field == f);
            if failed.is_none() {
                self.sums[id.variable].0 += 1;
                self.sums[id.variable].1.merge(&sum);
            }
            self.fields.push(FieldReport {
                variable: variables[id.variable].name.clone(),
                time: plan.observations.times()[id.time].map(iso_8601),
                used,
                missing: readings.nrows() - used,
                leave_one_out: sum.errors(),
                failed: failed.map(|(_, error)| error.to_string()),
            });
        }
    }

    /// The report, unless there is nothing to report on.
    pub(crate) fn into_report(
        self,
        plan: &Plan,
        factor: &Factor,
        instructions: &str,
        certificate: Option<Certificate>,
    ) -> Result<Report, Error> {
        if let Some(first) = self.fields.first().and_then(|f| f.failed.clone())
            && self.fields.iter().all(|f| f.failed.is_some())
        {
            return Err(Error::NothingToMap { first });
        }
        let mut warnings: Vec<String> = factor.warnings().iter().map(ToString::to_string).collect();
        warnings.extend(self.warnings);
        let failed: Vec<_> = self.fields.iter().filter(|f| f.failed.is_some()).collect();
        if let Some(first) = failed.first() {
            warnings.push(format!(
                "{} of {} fields could not be mapped and hold the fill value; the first: {} {}: {}",
                failed.len(),
                self.fields.len(),
                first.variable,
                first.time.as_deref().unwrap_or(""),
                first.failed.as_deref().unwrap_or("")
            ));
        }
        Ok(Report {
            software: concat!("isopleth ", env!("CARGO_PKG_VERSION")).to_owned(),
            readings: plan.observations.readings_report().clone(),
            network: network_report(plan),
            method: MethodReport {
                solver: factor.decomposition().to_owned(),
                condition: factor.condition(),
                factor: self.origin,
                evaluation: if certificate.is_some() { "fast" } else { "exact" }.to_owned(),
                instructions: instructions.to_owned(),
                masks: self.masks,
                refactored: self.refactored,
                ..method_report(plan)
            },
            certificate,
            targets: targets_report(&plan.targets),
            variables: (self.sums.into_iter().zip(plan.observations.variables()))
                .map(|((fields, sum), variable)| VariableReport {
                    variable: variable.name.clone(),
                    units: variable.units.clone(),
                    fields,
                    leave_one_out: sum.errors(),
                })
                .collect(),
            fields: self.fields,
            stages: self.stages,
            seconds: self.start.elapsed().as_secs_f64(),
            peak_memory_bytes: machine::peak_memory_bytes(),
            warnings,
            // Booked by whoever examined the readings.
            quality: QualityReport::default(),
        })
    }
}

fn network_report(plan: &Plan) -> NetworkReport {
    NetworkReport {
        read: plan.observations.stations().len(),
        used: plan.network.stations().len(),
        merged: plan.network.merged().to_vec(),
        blocks: plan.settings.thin,
        fingerprint: plan.network.fingerprint().to_owned(),
    }
}

/// What is known of the method before anything is solved.
fn method_report(plan: &Plan) -> MethodReport {
    let (low, high) = (plan.method.diagonal.iter())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &d| (l.min(d), h.max(d)));
    MethodReport {
        kernel: plan.method.kernel.to_string(),
        epsilon: plan.method.epsilon,
        smoothing: if low < high { vec![low, high] } else { vec![low] },
        degree: plan.method.degree,
        metric: plan.method.metric.to_string(),
        convention: match plan.method.convention {
            Convention::Native => "native",
            Convention::ScipyRbf => "scipy-rbf",
        }
        .to_owned(),
        duplicates: plan.settings.duplicates.to_string(),
        threads: plan.threads,
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
        shape: [targets.columns(), targets.rows()],
        bounds: [west, south, east, north],
        cells: targets.cells(),
    }
}
