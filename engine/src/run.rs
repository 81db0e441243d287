//! The one function that makes a map: solves block by block, evaluates batch by batch and
//! tile by tile.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use isopleth_kernels as kernels;
use kernels::evaluate::GridRows;
use kernels::evaluate::far::{Far, Views};
use kernels::{Evaluator, Factor, Fit, Mat, Par, Surface, Weights};

use crate::background::{self, OnCells};
use crate::block::Block;
use crate::bounds;
use crate::certificate::{Account, Cells, Certificate, Judge};
use crate::choice::{self, Methods};
use crate::covariates;
use crate::error::Error;
use crate::factors::FactorCache;
use crate::field::{Beside, Fields};
use crate::grid::Targets;
use crate::output::{FieldId, Sink, StationValues};
use crate::pilot::{self, Chosen, Pilot};
use crate::plan::Plan;
use crate::pools;
use crate::progress::{Progress, Stage};
use crate::quality::buddy::Buddies;
use crate::quality::{Exam, Ledger};
use crate::recorder::Recorder;
use crate::report::Report;
use crate::scattered;
use crate::settings::{Choice, Tolerance};
use crate::transform::{Neighbours, Transform, WayBack};
use crate::uncertainty::{self, BlockDoubt, Doubt, Mesh};

/// Makes every field of the plan and hands it to the sink.
///
/// The factorisation of the network is taken from `factors` where it is there, and left there.
///
/// Blocks; computes on `plan.threads` threads that no other run uses meanwhile. The same plan gives the same bits whatever
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
    pools::borrow(plan.threads)?.install(|| {
        let mut recorder = Recorder::new();
        let methods = choose(plan, progress, factors, &mut recorder)?;
        let mut exam = recorder.time(Stage::Read, || Exam::new(plan, factors.lore()))?;
        let (buddies, done) = (buddies(plan, factors), AtomicU64::new(0));
        let (methods, neighbours) = (&methods, methods.neighbours(plan));
        let neighbours = neighbours.as_ref();
        let tools = Tools { plan, sink, progress, factors, methods, neighbours, done: &done };
        let all = 0..plan.observations.times().len();
        tools.steps(all, buddies.as_ref(), &mut recorder, &mut exam, None)?;
        let quality = exam.into_report(&plan.observations);
        recorder.into_report(plan, Evaluator::new().name(), quality)
    })
}

/// The methods of a run; on the run's threads.
pub(crate) fn choose(
    plan: &Plan,
    progress: Progress<'_>,
    factors: &FactorCache,
    recorder: &mut Recorder,
) -> Result<Methods, Error> {
    let decide = || choice::decide(plan, factors.choices(), Par::rayon(plan.threads), progress);
    match &plan.settings.method {
        Choice::Told(_) => decide(),
        Choice::Auto(_) => {
            progress.begin(Stage::Choose)?;
            recorder.time(Stage::Choose, decide)
        }
    }
}

/// None where the buddy check is off.
pub(crate) fn buddies(plan: &Plan, factors: &FactorCache) -> Option<Buddies> {
    let limit = plan.settings.quality.buddy?;
    Some(Buddies::new(&plan.network, limit, factors.lore()))
}

/// What a run has at hand from its first field to its last.
#[derive(Clone, Copy)]
pub(crate) struct Tools<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) sink: &'a dyn Sink,
    pub(crate) progress: Progress<'a>,
    pub(crate) factors: &'a FactorCache,
    pub(crate) methods: &'a Methods,
    /// None where nothing comes back by its mean.
    pub(crate) neighbours: Option<&'a Neighbours>,
    /// Values done so far.
    pub(crate) done: &'a AtomicU64,
}

/// The meshes of methods, kept from block to block of a job's work.
pub(crate) type Meshes = HashMap<usize, Arc<Mesh>>;

impl Tools<'_> {
    /// Makes the fields of some time steps, method by method, on the threads it is called on. In
    /// `meshes` those of the methods are found by later steps.
    pub(crate) fn steps(
        &self,
        steps: Range<usize>,
        buddies: Option<&Buddies>,
        recorder: &mut Recorder,
        exam: &mut Exam,
        mut meshes: Option<&mut Meshes>,
    ) -> Result<(), Error> {
        let Self { plan, sink, progress, factors, methods, neighbours, done } = *self;
        let par = Par::rayon(plan.threads);
        let backgrounds = background::Account::new(plan.observations.variables().len());
        let dependence =
            covariates::Account::new(plan.covariates.as_ref(), plan.observations.variables().len());
        let wanted = methods.in_steps(&steps);
        for (number, chosen) in methods.each.iter().enumerate().filter(|(k, _)| wanted[*k]) {
            progress.begin(Stage::Factorise)?;
            let obtained = recorder.time(Stage::Factorise, || {
                factors.obtain(plan.network.points(), &chosen.method, par, progress.cancel)
            })?;
            recorder.begin_method(plan, (number, chosen), &obtained);
            let (factor, evaluator) = (obtained.value, Evaluator::new());
            let (method, account) = ((methods, number), (&backgrounds, &dependence));
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
                views: pilot::views(plan, &chosen.method, factors),
                neighbours,
                account,
            };
            let before = meshes.as_ref().and_then(|meshes| meshes.get(&number).cloned());
            let tools = uncertainty::Tools { par, factors, cancel: progress.cancel };
            let of_method = (number, chosen.transform);
            let mut doubt = recorder.time(Stage::Evaluate, || {
                Doubt::new(plan, &run.factor, of_method, tools, before)
            })?;
            run.blocks(steps.clone(), recorder, exam, doubt.as_mut())?;
            if let Some(doubt) = doubt {
                let (share, mesh, warnings) = doubt.into_parts();
                recorder.add_doubt(share, warnings);
                if let (Some(mesh), Some(meshes)) = (mesh, meshes.as_mut()) {
                    meshes.insert(number, mesh);
                }
            }
        }
        recorder.share().add_backgrounds(&backgrounds.into_share());
        recorder.share().add_covariates(&dependence.into_share());
        Ok(())
    }
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
    /// How stations appear to boxes of cells, as found for maps like this.
    views: Option<Arc<Views>>,
    /// None where nothing comes back by its mean.
    neighbours: Option<&'a Neighbours>,
    /// What is told of backgrounds and covariates.
    account: (&'a background::Account, &'a covariates::Account),
}

/// What layers are made of, and the way back of transformed readings, where there are such.
type OfFields<'a> = (Option<&'a BlockDoubt<'a>>, Option<&'a WayBack>);

/// Some fields of a block, about to be evaluated.
struct Batch<'a> {
    fields: &'a [FieldId],
    /// Largest less smallest reading of each, as the surface goes through them.
    ranges: Vec<f64>,
    surface: Surface,
}

impl Run<'_> {
    /// The fields of some time steps that have this method.
    fn blocks(
        &self,
        steps: Range<usize>,
        recorder: &mut Recorder,
        exam: &mut Exam,
        mut doubt: Option<&mut Doubt<'_>>,
    ) -> Result<(), Error> {
        let at_once = self.plan.steps_solved_at_once;
        for first in steps.clone().step_by(at_once) {
            let mut block = recorder.time(Stage::Read, || {
                let (methods, this) = self.method;
                let some = first..(first + at_once).min(steps.end);
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
                    doubt.block(&block.fields, block.to_fit().as_ref().as_ref(), &fit)
                })
            });
            let doubt = doubt.transpose()?;
            let back = self.way_back(&block, &mut fit);
            self.tell_taken_for_0(&block, recorder);
            self.keep_bounds(&block, &mut fit);
            if let Some(background) = &block.background {
                let account = self.account.0;
                account.add(&block.fields, &block.readings, background, &block.without);
            }
            if let Some(covariates) = &self.plan.covariates {
                self.account.1.add(covariates, &block.fields, &fit.weights);
            }
            recorder.add_fields(self.plan, &block.fields, block.readings.as_ref(), &fit);
            self.progress.begin(Stage::Evaluate)?;
            let mut certificate = *recorder.share().certificate();
            let before = certificate.map_or(0, |c| c.tiles);
            recorder.time(Stage::Evaluate, || {
                self.tell_stations(&block, &fit)?;
                let of_fields = (doubt.as_ref(), back.as_ref());
                self.batches(&block, &fit.weights, of_fields, &mut certificate)
            })?;
            *recorder.share().certificate() = certificate;
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
        let fit = |block: &Block| self.factor.fit(block.to_fit().as_ref().as_ref(), self.par);
        let first = fit(block)?;
        let Some(buddies) = self.buddies else { return Ok(first) };
        let mut outliers = buddies.outliers(&self.factor, block.to_fit().as_ref().as_ref(), &first);
        if let Some(transformed) = &block.transformed {
            let of = (self.transform(), transformed);
            outliers.iter_mut().for_each(|outlier| outlier.turn_back(of, &block.readings));
        }
        let Block { fields, readings, flags, .. } = &mut *block;
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
        let Block { readings, transformed: Some(transformed), .. } = &mut *block else {
            return Ok(fit(block)?);
        };
        for outlier in &outliers {
            let at = (outlier.station, outlier.field);
            if readings[at].is_nan() {
                transformed[at] = f64::NAN;
            }
        }
        Ok(fit(block)?)
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
        of_fields: OfFields<'_>,
        certificate: &mut Option<Certificate>,
    ) -> Result<(), Error> {
        let (plan, all) = (self.plan, block.fields.len());
        let readings = block.transformed.as_ref().unwrap_or(&block.readings);
        for first in (0..all).step_by(plan.fields_at_once()) {
            let some = first..(first + plan.fields_at_once()).min(all);
            let weights = weights.some(some.clone());
            let drift = self.factor.drift();
            let batch = Batch {
                fields: &block.fields[some.clone()],
                ranges: some.map(|f| range(readings.col_as_slice(f))).collect(),
                surface: Surface::new(plan.network.points(), self.factor.method(), drift, &weights),
            };
            let backgrounds = plan.backgrounds.as_ref();
            let background = backgrounds
                .map(|of| OnCells::new(of, &plan.targets, batch.fields, self.account.0))
                .transpose()?;
            let covariates = plan
                .covariates
                .as_ref()
                .map(|of| covariates::OnCells::new(of, &plan.targets, &weights, self.account.1));
            let beside = Beside { background, covariates };
            self.tiles(&batch, &beside, of_fields, certificate)?;
        }
        // The fields of all batches were announced together.
        self.sink.batch_done()
    }

    /// The tiles of a batch, fast where that is asked for and cheaper.
    fn tiles(
        &self,
        batch: &Batch<'_>,
        beside: &Beside<'_>,
        (doubt, back): OfFields<'_>,
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
            beside,
            doubt,
            back,
            progress: self.progress,
            done: self.done,
        };
        let Tolerance::Relative(tolerance) = plan.settings.tolerance else {
            return fields.exactly();
        };
        let projected = matches!(&plan.targets, Targets::Grid(grid) if grid.crs().is_some());
        if projected || surface.is_stretched() {
            // The tree of boxes wants rows of one latitude, which a projected grid has not, and distances that
            // count the same in all directions.
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
            views: self.views.as_deref(),
        };
        let Some(mut chosen) =
            pilot.choose(tolerance, certificate.as_ref().map(|before| before.order))
        else {
            return fields.exactly();
        };
        let tried = std::mem::take(&mut chosen.tried);
        let account = if tried.len() == plan.tiling.count() {
            fields.tried(tried)?
        } else {
            let tile = [plan.tiling.tile_columns, plan.tiling.tile_rows];
            let views = self.views.as_deref();
            let far = Far::with_views(surface, self.evaluator, &rows, tile, chosen.scheme, views);
            fields.fast(&far, &judge, tried)?
        };
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
