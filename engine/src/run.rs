//! The one function that makes a map: solves block by block, evaluates batch by batch and
//! tile by tile.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use isopleth_kernels as kernels;
use kernels::evaluate::GridRows;
use kernels::evaluate::far::Far;
use kernels::{Evaluator, Factor, Fit, Mat, Par, Surface, Weights};

use crate::bounds;
use crate::certificate::{Account, Cells, Certificate, Judge};
use crate::choice::{self, Methods};
use crate::error::Error;
use crate::factors::FactorCache;
use crate::field::Fields;
use crate::grid::Targets;
use crate::output::{FieldId, Sink, StationValues};
use crate::pilot::{Chosen, Pilot};
use crate::plan::Plan;
use crate::progress::{Progress, Stage};
use crate::quality::buddy::Buddies;
use crate::quality::{Exam, Ledger};
use crate::recorder::Recorder;
use crate::report::Report;
use crate::scattered;
use crate::settings::{Choice, Tolerance};
use crate::transform::{Neighbours, Transform, WayBack};
use crate::uncertainty::{BlockDoubt, Doubt};

/// Makes every field of the plan and hands it to the sink.
///
/// The factorisation of the network is taken from `factors` where it is there, and left there.
///
/// Blocks; computes on `plan.threads` threads of its own. The same plan gives the same bits whatever
/// the number of threads.
///
/// # Errors
/// When the network makes no surface, no field at all can be mapped, the sink fails, or the
/// progress says stop.
pub fn run(
    plan: &Plan,
    sink: &dyn Sink,
    progress: Progress<'_>,
    factors: &FactorCache,
) -> Result<Report, Error> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(plan.threads)
        .thread_name(|k| format!("isopleth-{k}"))
        .build()
        .map_err(|e| Error::Threads { threads: plan.threads, message: e.to_string() })?;
    pool.install(|| {
        let mut recorder = Recorder::new();
        let par = Par::rayon(plan.threads);
        let methods = match &plan.settings.method {
            Choice::Told(_) => choice::decide(plan, factors.choices(), par, progress)?,
            Choice::Auto(_) => {
                progress.begin(Stage::Choose)?;
                recorder.time(Stage::Choose, || {
                    choice::decide(plan, factors.choices(), par, progress)
                })?
            }
        };
        let mut exam = recorder.time(Stage::Read, || Exam::new(plan))?;
        let buddies = plan.settings.quality.buddy;
        let buddies = buddies.map(|limit| Buddies::new(&plan.network, limit));
        let (evaluator, done) = (Evaluator::new(), AtomicU64::new(0));
        let (mut certificate, mut uncertainty) = (None, None);
        let neighbours = methods.neighbours(plan);
        for (number, chosen) in methods.each.iter().enumerate() {
            progress.begin(Stage::Factorise)?;
            let obtained = recorder.time(Stage::Factorise, || {
                factors.obtain(plan.network.points(), &chosen.method, par, progress.cancel)
            })?;
            recorder.begin_method(plan, chosen, &obtained);
            let (factor, done, buddies) = (obtained.factor, &done, buddies.as_ref());
            let method = (&methods, number);
            let neighbours = neighbours.as_ref();
            let run = Run {
                plan,
                sink,
                progress,
                method,
                factor,
                evaluator,
                par,
                done,
                buddies,
                neighbours,
            };
            let mut doubt = Doubt::new(plan, &run.factor, chosen.transform, par)?;
            run.blocks(&mut recorder, &mut exam, doubt.as_mut(), &mut certificate)?;
            uncertainty = doubt.map(|doubt| doubt.into_report(uncertainty));
        }
        let report = recorder.into_report(plan, evaluator.name(), certificate)?;
        let quality = exam.into_report(&plan.observations);
        Ok(Report { uncertainty, quality, ..report })
    })
}

struct Run<'a> {
    plan: &'a Plan,
    sink: &'a dyn Sink,
    progress: Progress<'a>,
    /// All methods, and which of them this is about.
    method: (&'a Methods, usize),
    factor: Arc<Factor>,
    evaluator: Evaluator,
    par: Par,
    done: &'a AtomicU64,
    /// None where the buddy check is off.
    buddies: Option<&'a Buddies>,
    /// None where nothing comes back by its mean.
    neighbours: Option<&'a Neighbours>,
}

/// The fields of some time steps: identities, readings (stations × fields), their flags likewise.
pub(crate) struct Block {
    pub(crate) fields: Vec<FieldId>,
    pub(crate) readings: Mat<f64>,
    pub(crate) flags: Vec<u8>,
    /// The readings as the surface goes through them, where that is not as they are.
    pub(crate) transformed: Option<Mat<f64>>,
}

impl Block {
    /// The fields wanted of some time steps, time by time.
    pub(crate) fn read(
        plan: &Plan,
        exam: &mut Exam,
        steps: Range<usize>,
        wanted: impl Fn(FieldId) -> bool,
    ) -> Result<Self, Error> {
        let observations = &plan.observations;
        let (n, variables) = (plan.network.stations().len(), observations.variables().len());
        let all =
            steps.flat_map(|time| (0..variables).map(move |variable| FieldId { time, variable }));
        let fields: Vec<FieldId> = all.filter(|&field| wanted(field)).collect();
        let mut readings = Mat::zeros(n, fields.len());
        let (mut received, mut merged) = (Vec::new(), Vec::new());
        let (mut flagged, mut of_step) = (Vec::new(), Vec::new());
        let mut flags = Vec::with_capacity(n * fields.len());
        let mut read = None;
        for (column, field) in fields.iter().enumerate() {
            if read != Some(field.time) {
                observations.step(field.time, &mut received)?;
                exam.step(observations, field.time, &mut received, &mut flagged)?;
                of_step.clear();
                plan.network.flags(&flagged, variables, &mut of_step);
                plan.network.values(&received, variables, &mut merged);
                read = Some(field.time);
            }
            let column = readings.col_as_slice_mut(column);
            column.copy_from_slice(&merged[field.variable * n..][..n]);
            flags.extend_from_slice(&of_step[field.variable * n..][..n]);
        }
        Ok(Self { fields, readings, flags, transformed: None })
    }

    /// The same, to be mapped in another form.
    pub(crate) fn transform(self, transform: Transform) -> Self {
        let forward =
            |m: &Mat<f64>| Mat::from_fn(m.nrows(), m.ncols(), |i, f| transform.forward(m[(i, f)]));
        let transformed = (!transform.is_none()).then(|| forward(&self.readings));
        Self { transformed, ..self }
    }

    /// What the surface goes through.
    pub(crate) fn solved(&self) -> &Mat<f64> {
        self.transformed.as_ref().unwrap_or(&self.readings)
    }
}

/// What layers are made of, and the way back of transformed readings, where there are such.
type Beside<'a> = (Option<&'a BlockDoubt<'a>>, Option<&'a WayBack>);

/// Some fields of a block, about to be evaluated.
struct Batch<'a> {
    fields: &'a [FieldId],
    /// Largest less smallest reading of each, as the surface goes through them.
    ranges: Vec<f64>,
    surface: Surface,
}

impl Run<'_> {
    /// The fields that have this method.
    fn blocks(
        &self,
        recorder: &mut Recorder,
        exam: &mut Exam,
        mut doubt: Option<&mut Doubt<'_>>,
        certificate: &mut Option<Certificate>,
    ) -> Result<(), Error> {
        let steps = self.plan.observations.times().len();
        let at_once = self.plan.steps_solved_at_once;
        for first in (0..steps).step_by(at_once) {
            let mut block = recorder.time(Stage::Read, || {
                let (methods, this) = self.method;
                let some = first..(first + at_once).min(steps);
                Block::read(self.plan, exam, some, |field| methods.of(field) == this)
                    .map(|block| block.transform(self.transform()))
            })?;
            if block.fields.is_empty() {
                continue;
            }
            self.progress.begin(Stage::Solve)?;
            let ledger = &mut exam.ledger;
            let mut fit = recorder.time(Stage::Solve, || self.solve(&mut block, ledger))?;
            // Residuals are those of the surface itself, before any bound.
            let doubt = doubt.as_mut().map(|doubt| {
                recorder.time(Stage::Evaluate, || {
                    doubt.block(&block.fields, block.solved().as_ref(), &fit)
                })
            });
            let doubt = doubt.transpose()?;
            let back = self.way_back(&block, &mut fit);
            self.tell_taken_for_0(&block, recorder);
            self.keep_bounds(&block, &mut fit);
            recorder.add_fields(self.plan, &block.fields, block.readings.as_ref(), &fit);
            self.progress.begin(Stage::Evaluate)?;
            let before = certificate.map_or(0, |c| c.tiles);
            recorder.time(Stage::Evaluate, || {
                self.tell_stations(&block, &fit)?;
                let beside = (doubt.as_ref(), back.as_ref());
                self.batches(&block, &fit.weights, beside, certificate)
            })?;
            if certificate.is_some_and(|c| c.tiles > before) {
                recorder.evaluated_fast();
            }
        }
        Ok(())
    }

    fn transform(&self) -> Transform {
        let (methods, this) = self.method;
        methods.each[this].transform
    }

    /// The way back of what is solved; residuals take it at once.
    fn way_back(&self, block: &Block, fit: &mut Fit) -> Option<WayBack> {
        let transformed = block.transformed.as_ref()?;
        let (transform, method) = (self.transform(), self.factor.method());
        let ids = &block.fields;
        let back = WayBack::new(transform, method, self.neighbours, ids, transformed, fit);
        back.residuals(&block.readings, transformed, fit);
        Some(back)
    }

    fn tell_taken_for_0(&self, block: &Block, recorder: &mut Recorder) {
        if block.transformed.is_none() {
            return;
        }
        for (f, field) in block.fields.iter().enumerate() {
            let count = block.readings.col_as_slice(f).iter().filter(|v| **v < 0.0).count();
            if count > 0 {
                let variable = &self.plan.observations.variables()[field.variable];
                recorder.taken_for_0(&variable.name, count);
            }
        }
    }

    /// What is left out is predicted within bounds, like what is mapped.
    fn keep_bounds(&self, block: &Block, fit: &mut Fit) {
        for (f, field) in block.fields.iter().enumerate() {
            let bounds = self.plan.bounds[field.variable];
            let readings = block.readings.col_as_slice(f);
            let residuals = fit.leave_one_out.col_as_slice_mut(f);
            for (residual, reading) in residuals.iter_mut().zip(readings) {
                *residual = bounds::residual(*reading, *residual, bounds);
            }
        }
    }

    /// Fits the fields, compares readings with their neighbours, and fits anew without those that
    /// are rejected.
    fn solve(&self, block: &mut Block, ledger: &mut Ledger) -> Result<Fit, Error> {
        let fit = |readings: &Mat<f64>| self.factor.fit(readings.as_ref(), self.par);
        let first = fit(block.solved())?;
        let Some(buddies) = self.buddies else { return Ok(first) };
        let mut outliers = buddies.outliers(&self.factor, block.solved().as_ref(), &first);
        if let Some(transformed) = &block.transformed {
            let of = (self.transform(), transformed);
            outliers.iter_mut().for_each(|outlier| outlier.turn_back(of, &block.readings));
        }
        let Block { fields, readings, flags, transformed } = block;
        let rejected = buddies.flag(
            &self.plan.observations,
            &outliers,
            fields,
            (readings, flags),
            self.plan.settings.quality.reject,
            ledger,
        );
        if !rejected {
            return Ok(first);
        }
        if let Some(transformed) = transformed {
            for outlier in &outliers {
                let at = (outlier.station, outlier.field);
                if readings[at].is_nan() {
                    transformed[at] = f64::NAN;
                }
            }
        }
        Ok(fit(block.solved())?)
    }

    fn tell_stations(&self, block: &Block, fit: &Fit) -> Result<(), Error> {
        let columns = |matrix: &Mat<f64>| -> Vec<f64> {
            (0..matrix.ncols()).flat_map(|f| matrix.col_as_slice(f).iter().copied()).collect()
        };
        self.sink.stations(StationValues {
            fields: &block.fields,
            values: &columns(&block.readings),
            residuals: &columns(&fit.leave_one_out),
            flags: &block.flags,
        })
    }

    /// The fields of a block, some at a time.
    fn batches(
        &self,
        block: &Block,
        weights: &Weights,
        beside: Beside<'_>,
        certificate: &mut Option<Certificate>,
    ) -> Result<(), Error> {
        let (plan, all) = (self.plan, block.fields.len());
        for first in (0..all).step_by(plan.fields_at_once()) {
            let some = first..(first + plan.fields_at_once()).min(all);
            let weights = weights.some(some.clone());
            let drift = self.factor.drift();
            let batch = Batch {
                fields: &block.fields[some.clone()],
                ranges: some.map(|f| range(block.solved().col_as_slice(f))).collect(),
                surface: Surface::new(plan.network.points(), self.factor.method(), drift, &weights),
            };
            self.tiles(&batch, beside, certificate)?;
        }
        // The fields of all batches were announced together.
        self.sink.batch_done()
    }

    /// The tiles of a batch, fast where that is asked for and cheaper.
    fn tiles(
        &self,
        batch: &Batch<'_>,
        (doubt, back): Beside<'_>,
        certificate: &mut Option<Certificate>,
    ) -> Result<(), Error> {
        let plan = self.plan;
        let (surface, ranges) = (&batch.surface, &batch.ranges);
        let fields = Fields {
            plan,
            ids: batch.fields,
            surface,
            evaluator: self.evaluator,
            sink: self.sink,
            doubt,
            back,
            progress: self.progress,
            done: self.done,
        };
        let Tolerance::Relative(tolerance) = plan.settings.tolerance else {
            return fields.exactly();
        };
        if matches!(&plan.targets, Targets::Grid(grid) if grid.crs().is_some()) {
            // The tree of boxes wants rows of one latitude, which a projected grid has not.
            return fields.exactly();
        }
        let places = plan.network.stations().iter().map(|s| (s.x, s.y));
        let cells = match &plan.targets {
            Targets::Grid(grid) => Cells::Grid(grid.x(), grid.y()),
            Targets::Points(places) => Cells::Places(&places.x, &places.y),
        };
        let metric = plan.metric();
        let judge = Judge::new(
            surface,
            self.evaluator,
            metric,
            cells,
            places,
            plan.tiling,
            ranges,
            tolerance,
        );
        let grid = match &plan.targets {
            Targets::Grid(grid) => grid,
            Targets::Points(places) => {
                let Some(done) = scattered::evaluate(&fields, places, &judge, tolerance)? else {
                    return fields.exactly();
                };
                enter(certificate, &done.account, &done.chosen, tolerance);
                return Ok(());
            }
        };
        let rows = GridRows::new(grid.x(), grid.y(), metric);
        let pilot = Pilot {
            surface,
            evaluator: self.evaluator,
            rows: &rows,
            tiling: plan.tiling,
            judge: &judge,
        };
        let Some(chosen) = pilot.choose(tolerance, certificate.as_ref().map(|before| before.order))
        else {
            return fields.exactly();
        };
        let tile = [plan.tiling.tile_columns, plan.tiling.tile_rows];
        let far = Far::new(surface, self.evaluator, &rows, tile, chosen.scheme);
        let account = fields.fast(&far, &judge)?;
        enter(certificate, &account, &chosen, tolerance);
        Ok(())
    }
}

/// Adds what is certified of a batch to the certificate of the map.
fn enter(
    certificate: &mut Option<Certificate>,
    account: &Account,
    chosen: &Chosen,
    tolerance: f64,
) {
    let certificate = certificate.get_or_insert_default();
    certificate.tolerance = tolerance;
    certificate.order = certificate.order.max(chosen.scheme.order);
    certificate.rho = chosen.scheme.rho;
    certificate.leaf = chosen.scheme.leaf;
    certificate.cost = certificate.cost.max(chosen.cost);
    account.enter(certificate);
}

/// Largest less smallest reading, or the size of a reading where all are equal.
fn range(readings: &[f64]) -> f64 {
    let present = || readings.iter().copied().filter(|v| !v.is_nan());
    let (low, high) =
        (present().fold(f64::INFINITY, f64::min), present().fold(f64::NEG_INFINITY, f64::max));
    match high - low {
        range if range > 0.0 => range,
        _ => high.abs().max(f64::MIN_POSITIVE),
    }
}
