//! The one function that makes a map: solves block by block, evaluates batch by batch and
//! tile by tile.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use isopleth_kernels as kernels;
use kernels::evaluate::GridRows;
use kernels::evaluate::far::Far;
use kernels::{Evaluator, Factor, Fit, Mat, Par, Surface, Weights};

use crate::certificate::{Account, Cells, Certificate, Judge};
use crate::error::Error;
use crate::factors::FactorCache;
use crate::field::Fields;
use crate::grid::Targets;
use crate::output::{FieldId, Sink, StationValues};
use crate::pilot::{Chosen, Pilot};
use crate::plan::Plan;
use crate::progress::{Progress, Stage};
use crate::quality::buddy::Buddies;
use crate::quality::{Examiner, Ledger};
use crate::recorder::Recorder;
use crate::report::Report;
use crate::scattered;
use crate::settings::Tolerance;

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
        progress.begin(Stage::Factorise)?;
        let par = Par::rayon(plan.threads);
        let obtained = recorder.time(Stage::Factorise, || {
            factors.obtain(plan.network.points(), &plan.method, par, progress.cancel)
        })?;
        recorder.set_origin(obtained.origin, obtained.warning);
        let evaluator = Evaluator::new();
        let factor = obtained.factor;
        let rules = &plan.settings.quality;
        let examiner = recorder.time(Stage::Read, || Examiner::new(&plan.observations, rules))?;
        let buddies = rules.buddy.map(|limit| Buddies::new(&plan.network, limit));
        let mut ledger = examiner.ledger(&plan.observations);
        let done = AtomicU64::new(0);
        let run = Run { plan, sink, progress, factor, evaluator, par, done, examiner, buddies };
        let certificate = run.blocks(&mut recorder, &mut ledger)?;
        let mut report = recorder.into_report(plan, &run.factor, evaluator.name(), certificate)?;
        report.quality = ledger.into_report(&plan.observations);
        Ok(report)
    })
}

struct Run<'a> {
    plan: &'a Plan,
    sink: &'a dyn Sink,
    progress: Progress<'a>,
    factor: Arc<Factor>,
    evaluator: Evaluator,
    par: Par,
    done: AtomicU64,
    examiner: Examiner,
    /// None where the buddy check is off.
    buddies: Option<Buddies>,
}

/// The fields of some time steps: identities, readings (stations × fields), their flags likewise.
struct Block {
    fields: Vec<FieldId>,
    readings: Mat<f64>,
    flags: Vec<u8>,
}

/// Some fields of a block, about to be evaluated.
struct Batch<'a> {
    fields: &'a [FieldId],
    /// Largest less smallest reading of each.
    ranges: Vec<f64>,
    surface: Surface,
}

impl Run<'_> {
    fn blocks(
        &self,
        recorder: &mut Recorder,
        ledger: &mut Ledger,
    ) -> Result<Option<Certificate>, Error> {
        let mut certificate = None;
        let steps = self.plan.observations.times().len();
        let at_once = self.plan.steps_solved_at_once;
        for first in (0..steps).step_by(at_once) {
            let steps = first..(first + at_once).min(steps);
            let mut block = recorder.time(Stage::Read, || self.read(steps, ledger))?;
            self.progress.begin(Stage::Solve)?;
            let fit = recorder.time(Stage::Solve, || self.solve(&mut block, ledger))?;
            recorder.add_fields(self.plan, &block.fields, block.readings.as_ref(), &fit);
            self.progress.begin(Stage::Evaluate)?;
            recorder.time(Stage::Evaluate, || {
                self.tell_stations(&block, &fit)?;
                self.batches(&block, &fit.weights, &mut certificate)
            })?;
        }
        Ok(certificate)
    }

    /// Fits the fields, compares readings with their neighbours, and fits anew without those that
    /// are rejected.
    fn solve(&self, block: &mut Block, ledger: &mut Ledger) -> Result<Fit, Error> {
        let fit = |readings: &Mat<f64>| self.factor.fit(readings.as_ref(), self.par);
        let first = fit(&block.readings)?;
        let Some(buddies) = &self.buddies else { return Ok(first) };
        let outliers = buddies.outliers(&self.factor, block.readings.as_ref(), &first);
        let Block { fields, readings, flags } = block;
        let rejected = buddies.flag(
            &self.plan.observations,
            &outliers,
            fields,
            (readings, flags),
            self.plan.settings.quality.reject,
            ledger,
        );
        Ok(if rejected { fit(&block.readings)? } else { first })
    }

    fn read(&self, steps: std::ops::Range<usize>, ledger: &mut Ledger) -> Result<Block, Error> {
        let observations = &self.plan.observations;
        let (n, variables) = (self.plan.network.stations().len(), observations.variables().len());
        let mut readings = Mat::zeros(n, steps.len() * variables);
        let mut fields = Vec::with_capacity(steps.len() * variables);
        let (mut received, mut merged) = (Vec::new(), Vec::new());
        let (mut flagged, mut flags) = (Vec::new(), Vec::with_capacity(n * fields.capacity()));
        for time in steps {
            observations.step(time, &mut received)?;
            self.examiner.step(observations, time, &mut received, &mut flagged, ledger)?;
            self.plan.network.flags(&flagged, variables, &mut flags);
            self.plan.network.values(&received, variables, &mut merged);
            for variable in 0..variables {
                let column = readings.col_as_slice_mut(fields.len());
                column.copy_from_slice(&merged[variable * n..][..n]);
                fields.push(FieldId { time, variable });
            }
        }
        Ok(Block { fields, readings, flags })
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
        certificate: &mut Option<Certificate>,
    ) -> Result<(), Error> {
        let (plan, all) = (self.plan, block.fields.len());
        for first in (0..all).step_by(plan.fields_at_once()) {
            let some = first..(first + plan.fields_at_once()).min(all);
            let weights = weights.some(some.clone());
            let drift = self.factor.drift();
            let batch = Batch {
                fields: &block.fields[some.clone()],
                ranges: some.map(|f| range(block.readings.col_as_slice(f))).collect(),
                surface: Surface::new(plan.network.points(), &plan.method, drift, &weights),
            };
            self.tiles(&batch, certificate)?;
            self.sink.batch_done()?;
        }
        Ok(())
    }

    /// The tiles of a batch, fast where that is asked for and cheaper.
    fn tiles(&self, batch: &Batch<'_>, certificate: &mut Option<Certificate>) -> Result<(), Error> {
        let plan = self.plan;
        let (surface, ranges) = (&batch.surface, &batch.ranges);
        let fields = Fields {
            plan,
            ids: batch.fields,
            surface,
            evaluator: self.evaluator,
            sink: self.sink,
            progress: self.progress,
            done: &self.done,
        };
        let Tolerance::Relative(tolerance) = plan.settings.tolerance else {
            return fields.exactly();
        };
        let places = plan.network.stations().iter().map(|s| (s.x, s.y));
        let cells = match &plan.targets {
            Targets::Grid(grid) => Cells::Grid(grid.x(), grid.y()),
            Targets::Points(places) => Cells::Places(&places.x, &places.y),
        };
        let metric = plan.method.metric;
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
                enter(certificate, &done.account, &done.chosen, tolerance, &done.bound, ranges);
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
        enter(certificate, &account, &chosen, tolerance, &far.bound(), ranges);
        Ok(())
    }
}

/// Adds what is certified of a batch to the certificate of the map.
fn enter(
    certificate: &mut Option<Certificate>,
    account: &Account,
    chosen: &Chosen,
    tolerance: f64,
    bound: &[f64],
    ranges: &[f64],
) {
    let certificate = certificate.get_or_insert_default();
    certificate.tolerance = tolerance;
    certificate.order = certificate.order.max(chosen.scheme.order);
    certificate.rho = chosen.scheme.rho;
    certificate.leaf = chosen.scheme.leaf;
    certificate.cost = certificate.cost.max(chosen.cost);
    let bound = bound.iter().zip(ranges).map(|(b, r)| b / r).fold(0.0, f64::max);
    certificate.bound = certificate.bound.max(bound);
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
