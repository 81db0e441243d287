//! Runs the blocks of a work, and puts the file together.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use isopleth_kernels::Evaluator;

use super::Work;
use super::error::WorkError;
use super::folder::{self, METHODS};
use super::part::{PartWriter, part_path, replay};
use super::record::Record;
use crate::choice::{Methods, RecordedMethods};
use crate::error::Error;
use crate::factors::FactorCache;
use crate::output::{AtomicFile, Layout, NetcdfFile, Packer};
use crate::plan::Plan;
use crate::pools::{self, Pool};
use crate::progress::{Progress, Stage};
use crate::quality::Exam;
use crate::quality::buddy::Buddies;
use crate::recorder::{Recorder, Share};
use crate::report::Report;
use crate::run::{self, Meshes, Tools};
use crate::transform::Neighbours;

/// So often parts are computed again that were damaged before the file was put together.
const TRIES: usize = 3;

/// What is at hand from block to block: threads, methods, the examination of the series, meshes.
pub struct Worker<'a> {
    work: &'a Work,
    plan: &'a Plan,
    factors: &'a FactorCache,
    progress: Progress<'a>,
    pool: Pool,
    methods: Methods,
    /// None where nothing comes back by its mean.
    neighbours: Option<Neighbours>,
    packer: Packer,
    exam: Exam,
    buddies: Option<Buddies>,
    meshes: Meshes,
    /// Of this process; shares of blocks are in their records.
    recorder: Recorder,
    done: AtomicU64,
}

impl<'a> Worker<'a> {
    /// Chooses methods, or takes those that were chosen before, and examines the series.
    ///
    /// # Errors
    /// As [`run`](crate::run()), and if the folder cannot be written to.
    pub fn new(
        work: &'a Work,
        plan: &'a Plan,
        factors: &'a FactorCache,
        progress: Progress<'a>,
    ) -> Result<Self, Error> {
        let pool = pools::borrow(plan.threads)?;
        let mut recorder = Recorder::new();
        let methods = pool.install(|| methods(work, plan, factors, progress, &mut recorder))?;
        let exam =
            pool.install(|| recorder.time(Stage::Read, || Exam::new(plan, factors.lore())))?;
        let neighbours = pool.install(|| methods.neighbours(plan));
        let packer = Packer::new(&Layout::of(plan, &work.job.provenance()));
        Ok(Self {
            work,
            plan,
            factors,
            progress,
            pool,
            neighbours,
            methods,
            packer,
            exam,
            buddies: run::buddies(plan, factors),
            meshes: Meshes::new(),
            recorder,
            done: AtomicU64::new(0),
        })
    }

    /// Runs every block that is not done, and puts the file together.
    ///
    /// # Errors
    /// As [`run_block`](Self::run_block) and [`assemble`](Self::assemble).
    pub fn run(&mut self, out: &Path) -> Result<Report, Error> {
        for _ in 0..TRIES {
            (0..self.work.blocks()).try_for_each(|block| self.run_block(block).map(drop))?;
            if let Some(report) = self.assemble(out)? {
                return Ok(report);
            }
        }
        let folder = self.work.folder.clone();
        Err(WorkError::KeepsBeingDamaged { folder, times: TRIES }.into())
    }

    /// Computes one block; false, and nothing is done, where it is done already.
    ///
    /// # Errors
    /// As [`run`](crate::run()), or if the disk is full: then nothing of the block is left, and it
    /// may be run again.
    pub fn run_block(&mut self, block: usize) -> Result<bool, Error> {
        let (work, plan) = (self.work, self.plan);
        if work.is_done(block) {
            return Ok(false);
        }
        self.done.store(self.values_done(), Ordering::Relaxed);
        let part = PartWriter::new(&work.folder, block, &self.packer)?;
        let mut exam = self.exam.afresh(&plan.observations);
        let tools = Tools {
            plan,
            sink: &part,
            progress: self.progress,
            factors: self.factors,
            methods: &self.methods,
            neighbours: self.neighbours.as_ref(),
            done: &self.done,
        };
        let (recorder, meshes) = (&mut self.recorder, &mut self.meshes);
        let (steps, buddies) = (work.steps(block), self.buddies.as_ref());
        *recorder.share() = Share::default();
        self.pool.install(|| tools.steps(steps, buddies, recorder, &mut exam, Some(meshes)))?;
        let sum = part.finish()?;
        let (share, tally) = (std::mem::take(recorder.share()), exam.ledger.into_tally());
        Record::new(work.identity(), block, sum, share, tally).write(&work.folder)?;
        Ok(true)
    }

    /// Puts the file together; none where parts were damaged, whose blocks are to be run again.
    ///
    /// # Errors
    /// If a block is missing or of another job, no field at all could be mapped, or the file cannot
    /// be written.
    pub fn assemble(&mut self, out: &Path) -> Result<Option<Report>, Error> {
        let work = self.work;
        self.progress.begin(Stage::Finish)?;
        let missing = work.blocks() - work.done();
        if missing > 0 {
            return Err(WorkError::Incomplete { missing, blocks: work.blocks() }.into());
        }
        let mut recorder = std::mem::replace(&mut self.recorder, Recorder::new());
        let mishaps = recorder.take_mishaps();
        let Some((share, exam)) = recorder.time(Stage::Finish, || self.gather())? else {
            return Ok(None);
        };
        *recorder.share() = share;
        let quality = exam.into_report(&self.plan.observations);
        let mut report = recorder.into_report(self.plan, Evaluator::new().name(), quality)?;
        let mut finishing = Recorder::new();
        finishing.time(Stage::Finish, || self.write(out, &report))?;
        finishing.into_stages().into_iter().for_each(|stage| report.book(stage));
        report.warnings.extend(mishaps);
        Ok(Some(report))
    }

    /// What all records say, block by block; none where some are damaged.
    fn gather(&self) -> Result<Option<(Share, Exam)>, Error> {
        let (work, observations) = (self.work, &self.plan.observations);
        let (mut share, mut exam) = (Share::default(), self.exam.afresh(observations));
        let mut whole = true;
        for block in 0..work.blocks() {
            self.progress.cancel.check()?;
            match Record::read_sound(&work.folder, work.identity(), block)? {
                Some(record) if whole => {
                    share.merge(record.share);
                    whole = exam.ledger.add(record.tally);
                }
                Some(_) => {}
                None => whole = false,
            }
        }
        Ok(whole.then_some((share, exam)))
    }

    fn write(&self, out: &Path, report: &Report) -> Result<(), Error> {
        let (work, provenance) = (self.work, self.work.job.provenance());
        // A process that was killed here left a file of this very name.
        let place = AtomicFile::create_again(out, work.identity())?;
        let file = NetcdfFile::create_at(place, out, &Layout::of(self.plan, &provenance))?;
        for block in 0..work.blocks() {
            replay(&part_path(&work.folder, block), |key, bytes| {
                self.progress.cancel.check()?;
                file.put(key, bytes)
            })?;
        }
        file.finish_timeless(report)
    }

    /// Values (cells × fields) of the blocks that are done.
    fn values_done(&self) -> u64 {
        let done = (0..self.work.blocks()).filter(|&block| self.work.is_done(block));
        let steps: usize = done.map(|block| self.work.steps(block).len()).sum();
        (steps * self.plan.observations.variables().len()) as u64 * self.plan.targets.cells()
    }
}

/// The methods that all blocks have: from the record of them, which is made now if there is none.
fn methods(
    work: &Work,
    plan: &Plan,
    factors: &FactorCache,
    progress: Progress<'_>,
    recorder: &mut Recorder,
) -> Result<Methods, Error> {
    let path = work.folder.join(METHODS);
    if let Some(bytes) = folder::read(&path)? {
        let damaged = |why: &str| WorkError::Damaged { path: path.clone(), why: why.to_owned() };
        let recorded: RecordedMethods =
            serde_json::from_slice(&bytes).map_err(|error| damaged(&error.to_string()))?;
        let methods = recorded.methods(plan)?;
        return Ok(methods.ok_or_else(|| damaged("it is of other variables or times"))?);
    }
    let methods = run::choose(plan, progress, factors, recorder)?;
    let bytes = serde_json::to_vec_pretty(&RecordedMethods::of(&methods)).unwrap_or_default();
    folder::put_if_absent(&work.folder, &path, &bytes)?;
    Ok(methods)
}
