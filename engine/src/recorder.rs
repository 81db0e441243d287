//! Keeps account of a run while it goes: seconds, memory, fields; makes the report of it.

use std::collections::HashSet;
use std::time::Instant;

use isopleth_kernels as kernels;
use kernels::{Convention, Fit, MatRef};

use crate::certificate::Certificate;
use crate::choice::Chosen;
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

/// The account of one run.
pub(crate) struct Recorder {
    start: Instant,
    stages: Vec<StageReport>,
    fields: Vec<(FieldId, FieldReport)>,
    /// By variable.
    sums: Vec<(usize, ErrorSum)>,
    methods: Vec<MethodReport>,
    warnings: Vec<String>,
    /// By variable.
    taken_for_0: Vec<(String, usize)>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            stages: Vec::new(),
            fields: Vec::new(),
            sums: Vec::new(),
            methods: Vec::new(),
            warnings: Vec::new(),
            taken_for_0: Vec::new(),
        }
    }

    /// Books the method of the fields to come.
    pub(crate) fn begin_method(&mut self, plan: &Plan, chosen: &Chosen, obtained: &Obtained) {
        let factor = &obtained.factor;
        self.methods.push(MethodReport {
            solver: factor.decomposition().to_owned(),
            condition: factor.condition(),
            factor: obtained.origin,
            evaluation: "exact".to_owned(),
            back_transform: (!chosen.transform.is_none()).then_some(plan.settings.transforms.back),
            ..method_report(chosen)
        });
        self.warnings.extend(factor.warnings().iter().map(ToString::to_string));
        self.warnings.extend(obtained.warning.clone());
    }

    /// Books that fields of the method begun last are evaluated fast.
    pub(crate) fn evaluated_fast(&mut self) {
        if let Some(method) = self.methods.last_mut() {
            "fast".clone_into(&mut method.evaluation);
        }
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
        if let Some(method) = self.methods.last_mut() {
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
                self.sums[id.variable].0 += 1;
                self.sums[id.variable].1.merge(&sum);
            }
            if let Some(method) = self.methods.last_mut()
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
            self.fields.push((*id, report));
        }
    }

    /// Books readings that a transform took for 0.
    pub(crate) fn taken_for_0(&mut self, variable: &str, count: usize) {
        match self.taken_for_0.iter_mut().find(|(name, _)| name == variable) {
            Some((_, booked)) => *booked += count,
            None => self.taken_for_0.push((variable.to_owned(), count)),
        }
    }

    /// The report, unless there is nothing to report on.
    pub(crate) fn into_report(
        mut self,
        plan: &Plan,
        instructions: &str,
        certificate: Option<Certificate>,
    ) -> Result<Report, Error> {
        // Methods come one after another, and fields with them.
        self.fields.sort_by_key(|(id, _)| (id.time, id.variable));
        let fields: Vec<FieldReport> = self.fields.into_iter().map(|(_, field)| field).collect();
        if let Some(first) = fields.first().and_then(|f| f.failed.clone())
            && fields.iter().all(|f| f.failed.is_some())
        {
            return Err(Error::NothingToMap { first });
        }
        let mut warnings = self.warnings;
        warnings.extend(plan.observations.readings_report().warnings.iter().cloned());
        warnings.extend(self.taken_for_0.iter().map(|(variable, count)| {
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
        Ok(Report {
            software: concat!("isopleth ", env!("CARGO_PKG_VERSION")).to_owned(),
            readings: plan.observations.readings_report().clone(),
            network: network_report(plan),
            methods: self.methods,
            threads: plan.threads,
            instructions: instructions.to_owned(),
            certificate,
            targets: targets_report(&plan.targets),
            mask: plan.mask.as_ref().map(|mask| mask.report().clone()),
            variables: (self.sums.into_iter().zip(plan.observations.variables()))
                .map(|((fields, sum), variable)| VariableReport {
                    variable: variable.name.clone(),
                    units: variable.units.clone(),
                    fields,
                    leave_one_out: sum.errors(),
                })
                .collect(),
            fields,
            uncertainty: None,
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
