//! What work is of: written once, compared whenever the folder is opened again.

use std::fmt::{self, Write as _};
use std::path::Path;

use isopleth_kernels::Evaluator;
use serde::{Deserialize, Serialize};

use super::error::WorkError;
use super::folder::{self, JOB};
use crate::covariates::Covariates;
use crate::error::Error;
use crate::grid::Targets;
use crate::observations::{Observations, UnixSeconds};
use crate::output::Provenance;
use crate::plan::Plan;
use crate::settings::Settings;

/// Of another format nothing is believed.
const FORMAT: u32 = 1;

/// Values of a block, at least: a few tenths of a second of work, beside which two syncs of files are
/// little. A block that is interrupted is computed again.
const FEWEST_VALUES: u64 = 4_000_000;

/// Fields of a block at most, whose reports are in memory while it is run.
const MOST_FIELDS: usize = 4096;

/// How much is in a block: whole batches of time steps, so that it depends on counts alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize {
    /// Values (cells × fields), at least.
    pub fewest_values: u64,
}

impl Default for BlockSize {
    fn default() -> Self {
        Self { fewest_values: FEWEST_VALUES }
    }
}

/// The immutable record of what is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Job {
    format: u32,
    /// A hash of the five that follow.
    pub(super) identity: String,
    software: String,
    instructions: String,
    readings: String,
    grid: String,
    settings: String,
    /// Seconds since 1970.
    created: i64,
    command: String,
    title: Option<String>,
    pub(super) steps: usize,
    pub(super) steps_per_block: usize,
    steps_at_once: usize,
    steps_solved_at_once: usize,
}

impl Job {
    /// Reads all readings once.
    pub(super) fn new(
        plan: &Plan,
        provenance: &Provenance,
        size: BlockSize,
    ) -> Result<Self, Error> {
        let steps_per_block = steps_per_block(plan, size);
        let mut job = Self {
            format: FORMAT,
            identity: String::new(),
            software: provenance.software.clone(),
            instructions: Evaluator::new().name().to_owned(),
            readings: digest_of_readings(&plan.observations)?,
            grid: digest_of_targets(&plan.targets),
            settings: digest_of_settings(plan),
            created: provenance.created.0,
            command: provenance.command.clone(),
            title: provenance.title.clone(),
            steps: plan.observations.times().len(),
            steps_per_block,
            steps_at_once: plan.steps_at_once,
            steps_solved_at_once: plan.steps_solved_at_once.min(steps_per_block),
        };
        let mut hash = Hash::default();
        let all = job.facts().map(|(_, fact)| fact);
        let _ = write!(hash, "{FORMAT} {all:?}");
        job.identity = hash.finish();
        Ok(job)
    }

    /// What must be the same, with the words for it.
    fn facts(&self) -> [(&'static str, &str); 5] {
        [
            ("version of the program", &self.software),
            ("instruction set", &self.instructions),
            ("readings", &self.readings),
            ("grid", &self.grid),
            ("settings", &self.settings),
        ]
    }

    pub(super) fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(JOB);
        let Some(bytes) = folder::read(&path)? else { return Ok(None) };
        let damaged = |why: String| WorkError::Damaged { path: path.clone(), why };
        let job: Self =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if job.format != FORMAT || job.steps_per_block == 0 || job.steps_at_once == 0 {
            return Err(damaged(format!("format {}", job.format)).into());
        }
        Ok(Some(job))
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        folder::put_if_absent(folder, &folder.join(JOB), &bytes)
    }

    /// What is asked for now must be what the work was begun with.
    pub(super) fn must_be(&self, known: &Self, folder: &Path) -> Result<(), WorkError> {
        let pairs = self.facts().into_iter().zip(known.facts());
        let other: Vec<String> = pairs
            .filter(|(now, then)| now != then)
            .map(|((what, now), (_, then))| match what {
                // These are words; the others are hashes.
                "version of the program" | "instruction set" => {
                    format!("{what} ({then}; now {now})")
                }
                _ => what.to_owned(),
            })
            .collect();
        if other.is_empty() {
            return Ok(());
        }
        Err(WorkError::Foreign { folder: folder.to_owned(), what: other.join(", ") })
    }

    /// How many time steps are solved and evaluated together depends on the memory that was free when
    /// the work was begun.
    pub(super) fn divide_like_this(&self, plan: &mut Plan) {
        plan.steps_at_once = self.steps_at_once;
        plan.steps_solved_at_once = self.steps_solved_at_once;
    }

    pub(super) fn provenance(&self) -> Provenance {
        Provenance {
            command: self.command.clone(),
            software: self.software.clone(),
            title: self.title.clone(),
            created: UnixSeconds(self.created),
        }
    }
}

/// Whole batches; with layers what is solved together, from which errors have their shape.
fn steps_per_block(plan: &Plan, size: BlockSize) -> usize {
    let (steps, variables) =
        (plan.observations.times().len().max(1), plan.observations.variables().len().max(1));
    let unit = if plan.layers.is_empty() { plan.steps_at_once } else { plan.steps_solved_at_once };
    let values = plan.targets.cells().saturating_mul((unit * variables) as u64).max(1);
    let wanted = usize::try_from(size.fewest_values.div_ceil(values)).unwrap_or(usize::MAX);
    let most = (MOST_FIELDS / (unit * variables)).max(1);
    (unit * wanted.clamp(1, most)).min(steps)
}

#[derive(Default)]
struct Hash(blake3::Hasher);

impl fmt::Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

impl Hash {
    fn numbers(&mut self, numbers: &[f64]) {
        self.0.update(&(numbers.len() as u64).to_le_bytes());
        for number in numbers {
            // Not-a-number has many bits.
            let bits = if number.is_nan() { u64::MAX } else { number.to_bits() };
            self.0.update(&bits.to_le_bytes());
        }
    }

    fn finish(&self) -> String {
        self.0.finalize().to_hex()[..32].to_owned()
    }
}

fn digest_of_readings(observations: &Observations) -> Result<String, Error> {
    let mut hash = Hash::default();
    let (stations, report) = (observations.stations(), observations.readings_report());
    let _ = write!(
        hash,
        "{:?} {:?} {:?} {} {report:?} {}",
        observations.variables(),
        observations.times(),
        observations.time_cells(),
        observations.in_degrees(),
        stations.len(),
    );
    for station in stations {
        let _ = write!(hash, "{:?}", station.id);
        hash.numbers(&[station.x, station.y]);
    }
    let mut values = Vec::new();
    for step in 0..observations.times().len() {
        observations.step(step, &mut values)?;
        hash.numbers(&values);
    }
    Ok(hash.finish())
}

fn digest_of_targets(targets: &Targets) -> String {
    let mut hash = Hash::default();
    let (x, y) = match targets {
        Targets::Grid(grid) => {
            let _ = write!(hash, "grid {:?} {}", grid.crs().map(|c| c.text()), grid.is_spherical());
            (grid.x(), grid.y())
        }
        Targets::Points(places) => {
            let _ = write!(hash, "places");
            (&places.x[..], &places.y[..])
        }
    };
    hash.numbers(x);
    hash.numbers(y);
    hash.finish()
}

/// Threads and memory change no bit.
fn digest_of_settings(plan: &Plan) -> String {
    let mut hash = Hash::default();
    let settings = Settings { threads: None, memory_bytes: None, ..plan.settings.clone() };
    // Files of backgrounds and covariates by what is in them.
    let backgrounds = plan.backgrounds.as_ref().map(|of| &of.notes);
    let covariates = plan.covariates.as_ref().map(Covariates::identity);
    let _ = write!(hash, "{settings:?} {:?} {:?} {backgrounds:?}", plan.bounds, plan.layers);
    if let Some(covariates) = covariates {
        let _ = write!(hash, " {covariates:?}");
    }
    hash.finish()
}
