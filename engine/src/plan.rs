//! Everything known before the first cell: inputs agreed, cost and memory foreseen.

use isopleth_kernels as kernels;
use kernels::{Factor, Metric, Resolved};
use serde::Serialize;

use crate::background::{self, Backgrounds};
use crate::choice;
use crate::covariates::{self, Covariates};
use crate::error::Error;
use crate::grid::Targets;
use crate::machine;
use crate::mask::Mask;
use crate::network::Network;
use crate::observations::Observations;
use crate::pace;
use crate::scattered;
use crate::settings::{Choice, Limits, Settings, Tolerance};
use crate::tiles::Tiling;
use crate::transform::Wanted;
use crate::uncertainty::LayerOf;

/// Fields that share one pass over the cells, unless one time step has more. Measured on 48 fields of
/// 1400 × 1000 cells, 2 cores of Zen 4: 16 instead of 48 costs a tenth of the time of a fast map and a
/// quarter of that of an exact one, and saves 11 MB of 83.
const FIELDS_AT_ONCE: usize = 16;

/// The same where the evaluation is fast. Measured likewise at 1e-6, F fields take about 16 + 1.8 F ms
/// (benches/record/, sweeps).
const FIELDS_AT_ONCE_FAST: usize = 24;

/// Fields solved together are one for so many stations: what they take beside the factor is then
/// less than the factorisation needed, and a day of hours shares what gaps it has.
const STATIONS_TO_A_SOLVED_FIELD: usize = 12;

/// Multiply-adds a second and thread in the factorisation: measured 8 to 12 on one Zen 4 core at
/// 1500 stations. Only estimates use it.
const SOLVER_FLOPS: f64 = 8e9;

/// Residuals of a variable from which the shape of its errors is taken, at least, where there are so
/// many: a percentile of so many is known to a tenth of a standard deviation.
const RESIDUALS: usize = 1000;

/// Bytes that a thread compresses in a second, measured likewise (level 1, shuffled).
const COMPRESSED_BYTES: f64 = 200e6;

/// The stations that a cell costs in a fast evaluation, whatever the network: near ones, its share
/// of nodes, interpolation. Measured on the Chinese network at 1e-6: 30 to 50.
const FAST_STATIONS: f64 = 50.0;

/// Values of a map, and stations of its network, up to which one thread makes it.
const SMALL_VALUES: u64 = 1 << 16;
const SMALL_STATIONS: usize = 512;

/// Bytes of threads, their stacks and the allocator's share for each.
const THREADS: u64 = 2 << 20;

/// Bytes of what readings are examined with: the coasts of the Earth, neighbours, flags.
const EXAMINATION: u64 = 4 << 20;

/// What the head of a file takes for each of many variables, with its readings, residuals and flags: 300 variables on 2 × 2 cells take
/// 0.6 s, 5.9 MB of file and 110 MB of memory.
const FEW_VARIABLES: usize = 10;
const HEAD_SECONDS: f64 = 0.002;
const HEAD_BYTES: u64 = 20_000;
const HEAD_MEMORY: u64 = 400_000;

/// Bytes the HDF5 library keeps of a chunk, and of all at most.
const CHUNK: u64 = 512;
const CHUNKS: u64 = 32 << 20;

/// A map about to be made.
#[derive(Debug)]
pub struct Plan {
    /// What was read.
    pub observations: Observations,
    /// Its distinct stations.
    pub network: Network,
    /// Where to evaluate.
    pub targets: Targets,
    /// The choices as made.
    pub settings: Settings,
    /// The method with nothing left open; where the readings are to choose, one like those that
    /// they may choose, to foresee what it takes.
    pub(crate) typical: Resolved,
    /// Least and greatest value of each variable.
    pub bounds: Vec<[f64; 2]>,
    /// Tiles of the targets; chunks of the file.
    pub tiling: Tiling,
    /// Which cells are wanted, if not all.
    pub(crate) mask: Option<Mask>,
    /// What is taken off the readings, if anything.
    pub(crate) backgrounds: Option<Backgrounds>,
    /// What values depend on besides the place, if anything is told.
    pub(crate) covariates: Option<Covariates>,
    /// Time steps that are solved together.
    pub steps_solved_at_once: usize,
    /// Time steps that share one pass over the cells.
    pub steps_at_once: usize,
    /// Worker threads.
    pub threads: usize,
    /// Peak memory in bytes that the run must keep.
    pub memory_bytes: u64,
    /// What it will take.
    pub estimate: Estimate,
    /// Layers beside the maps.
    pub layers: Vec<LayerOf>,
    /// Things the user should know already.
    pub warnings: Vec<String>,
}

/// What a map will take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Distinct stations.
    pub stations: usize,
    /// Fields: variables × times.
    pub fields: u64,
    /// Cells of one field.
    pub cells: u64,
    /// Seconds, from the operation count and a rate measured on this machine just now.
    pub seconds: f64,
    /// Peak resident memory of the process, in bytes.
    pub peak_memory_bytes: u64,
    /// Size of the file before compression, in bytes.
    pub output_bytes: u64,
}

impl Plan {
    /// Agrees readings, targets and choices, and foresees time and memory.
    ///
    /// # Errors
    /// When network or method make no surface, or a limit or the memory budget would be exceeded.
    pub fn new(
        observations: Observations,
        targets: Targets,
        settings: Settings,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let mut aside = background::columns(&settings.backgrounds);
        aside.extend(covariates::columns(&settings.covariates));
        let observations = observations.set_aside(&aside)?;
        check_limits(&observations, &targets, limits)?;
        if settings.thin.is_none() {
            // Before anything is done per station: merging a million places is work, too.
            check_stations(observations.stations().len() / 4, limits)?;
        }
        let metric = settings.method.metric();
        let network = Network::new(&observations, metric, settings.duplicates, settings.thin)?;
        check_stations(network.stations().len(), limits)?;
        let typical = choice::typical(&settings.method, network.points())?;
        let bounds = settings.bounds.of(observations.variables())?;
        settings.transforms.check(observations.variables(), &bounds)?;
        let threads = settings.threads.unwrap_or_else(machine::available_threads).max(1);
        let threads = if is_small(&observations, &targets) { 1 } else { threads };
        let memory_bytes = settings.memory_bytes.unwrap_or_else(memory_budget);
        let tiling = Tiling::new(targets.rows(), targets.columns());
        let mask = Mask::new(&settings.masks, &network, &targets, metric, tiling, threads)?;
        let backgrounds = Backgrounds::new(
            &settings.backgrounds,
            &observations,
            &network,
            &targets,
            metric.is_spherical(),
        )?;
        let covariates = Covariates::new(
            &settings.covariates,
            &observations,
            &network,
            &targets,
            (typical.degree, metric),
        )?;
        let variables = observations.variables().len().max(1);
        let steps = observations.times().len().max(1);
        let fields =
            if is_fast(&targets, &settings) { FIELDS_AT_ONCE_FAST } else { FIELDS_AT_ONCE };
        let steps_at_once = (fields / variables).clamp(1, steps);
        let solved = network.stations().len() / STATIONS_TO_A_SOLVED_FIELD;
        let steps_solved_at_once = (solved / variables).clamp(steps_at_once, steps);
        let layers = settings.uncertainty.layers(observations.variables())?;
        let steps_solved_at_once = if layers.is_empty() {
            steps_solved_at_once
        } else {
            RESIDUALS
                .div_ceil(network.stations().len())
                .clamp(steps_solved_at_once, steps.max(steps_solved_at_once))
        };
        let warnings = typical.warnings().iter().map(ToString::to_string).collect();
        let mut plan = Self {
            estimate: Estimate::default(),
            observations,
            network,
            targets,
            settings,
            typical,
            bounds,
            tiling,
            mask,
            backgrounds,
            covariates,
            steps_solved_at_once,
            steps_at_once,
            threads,
            memory_bytes,
            layers,
            warnings,
        };
        plan.check_transforms()?;
        plan.estimate = plan.foresee();
        plan.keep_the_budget()?;
        Ok(plan)
    }

    /// How distance is measured.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.settings.method.metric()
    }

    /// Fields of a full batch: those that share one pass over the cells.
    #[must_use]
    pub fn fields_at_once(&self) -> usize {
        self.steps_at_once * self.observations.variables().len()
    }

    /// What a variable is mapped beside, in words: then it is not transformed.
    pub(crate) fn beside(&self, variable: usize) -> Option<String> {
        let background = self.backgrounds.as_ref().and_then(|all| all.label(variable));
        let covariates =
            || self.covariates.as_ref().map(|all| format!("covariates ({})", all.label()));
        background.map(|label| format!("a background ({label})")).or_else(covariates)
    }

    fn check_transforms(&self) -> Result<(), Error> {
        for (at, variable) in self.observations.variables().iter().enumerate() {
            let told = self.settings.transforms.of(variable);
            if let (true, Some(beside)) = (told.is_some_and(Wanted::is_any), self.beside(at)) {
                let variable = variable.name.clone();
                return Err(Error::TransformBeside { variable, beside });
            }
        }
        Ok(())
    }

    /// Fewer time steps at once, then refusal.
    fn keep_the_budget(&mut self) -> Result<(), Error> {
        while self.estimate.peak_memory_bytes > self.memory_bytes && self.steps_at_once > 1 {
            self.steps_at_once /= 2;
            self.estimate.peak_memory_bytes = self.peak_memory_bytes();
        }
        if self.estimate.peak_memory_bytes > self.memory_bytes {
            return Err(Error::Limit {
                what: "peak memory",
                wanted: megabytes(self.estimate.peak_memory_bytes),
                limit: megabytes(self.memory_bytes),
                remedy: "allow more memory, or use fewer stations, variables or threads",
            });
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate needs no 53 bits")]
    fn foresee(&self) -> Estimate {
        let stations = self.network.stations().len();
        let fields = self.estimated_fields();
        let cells = self.targets.cells();
        let n = stations as f64;
        let threads = self.threads as f64;
        let factorisations = match &self.settings.method {
            Choice::Told(_) => 1.0,
            // Each variable may get its own, after the choice.
            Choice::Auto(_) => self.tried() + self.observations.variables().len() as f64,
        };
        let solve = (2.0 * n.powi(3) * factorisations + 2.0 * n * n * fields as f64) / SOLVER_FLOPS;
        let batches = self.observations.times().len().div_ceil(self.steps_at_once) as f64;
        let rows = cells as f64 / pace::ROW as f64 * batches;
        let share =
            if is_fast(&self.targets, &self.settings) { (FAST_STATIONS / n).min(1.0) } else { 1.0 };
        let layers = (self.layers.len() * self.observations.times().len()) as u64;
        let values = (fields + layers) * cells * self.settings.storage.precision.bytes() as u64;
        let compress = values as f64 / COMPRESSED_BYTES;
        let heads = self.many_variables();
        let row =
            pace::seconds_of_a_row(self.network.points(), &self.typical, self.fields_at_once());
        let work = row * rows * share + solve + compress;
        Estimate {
            stations,
            fields,
            cells,
            seconds: work / threads + HEAD_SECONDS * heads as f64,
            peak_memory_bytes: self.peak_memory_bytes(),
            output_bytes: values + HEAD_BYTES * heads,
        }
    }

    /// Variables that the file's head takes long to say; a few are in the figures of everything else.
    fn many_variables(&self) -> u64 {
        self.observations.variables().len().saturating_sub(FEW_VARIABLES) as u64
    }

    /// What is resident now, the larger of what solving and evaluating add, and what the HDF5
    /// library keeps.
    fn peak_memory_bytes(&self) -> u64 {
        let n = self.network.stations().len();
        let fields = self.fields_at_once();
        let solved = self.steps_solved_at_once * self.observations.variables().len();
        let solving = Factor::memory_bytes(n, solved);
        let tile = self.tiling.cells_of_a_tile();
        // Values in 64 bits, the chunk in the file's precision, shuffled, and compressed.
        let a_tile = tile * fields * 8 + 3 * tile * self.settings.storage.precision.bytes();
        // Which cells are inside of a mask.
        let a_tile = a_tile + if self.mask.is_some() { tile } else { 0 };
        // One for each thread, and that of the pilot.
        let tiles = match &self.targets {
            Targets::Grid(_) => self.threads + 1,
            // Values of some tiles twice: as they come, and in order.
            Targets::Points(_) => self.threads.max(2 * scattered::TILES_AT_ONCE),
        };
        let evaluating = tiles * (a_tile + self.layer_bytes_of_a_tile(n, solved))
            + 6 * n * (fields + solved) * 8
            + n * n * 8
            + self.mesh_bytes(n, solved);
        let layers = (self.layers.len() * self.observations.times().len()) as u64;
        let chunks = self.tiling.count() as u64 * (self.estimated_fields() + layers);
        machine::resident_bytes()
            + THREADS
            + EXAMINATION
            + solving.max(evaluating as u64)
            + (chunks * CHUNK).min(CHUNKS)
            + HEAD_MEMORY * self.many_variables()
            + self.backgrounds.as_ref().map_or(0, |all| all.bytes(self.steps_at_once))
    }

    /// What layers add to a tile: σ², one layer, and the columns of stations × cells of a block of the
    /// mesh; for places, σ² of each set of missing stations.
    fn layer_bytes_of_a_tile(&self, stations: usize, solved: usize) -> usize {
        let cells = self.tiling.cells_of_a_tile();
        match &self.targets {
            _ if self.layers.is_empty() => 0,
            Targets::Grid(_) => {
                (2 + 2 * self.settings.covariates.all.len()) * cells * 8 + 2 * 256 * stations * 8
            }
            Targets::Points(_) => (3 + solved) * cells * 8 + 2 * 256 * stations * 8,
        }
    }

    /// σ² at the mesh's cells, for each field that is solved: some thirty a station, and a hundredth
    /// of all; and the gaps' columns.
    fn mesh_bytes(&self, stations: usize, solved: usize) -> usize {
        if self.layers.is_empty() {
            return 0;
        }
        let cells = usize::try_from(self.targets.cells()).unwrap_or(usize::MAX);
        let nodes = cells.min(30 * stations + cells / 100);
        let layers = 1 + self.settings.covariates.all.len();
        nodes * (4 * layers * (1 + solved) + 32) + stations * stations * 16
    }

    /// Factorisations of the whole network that choosing a method is worth.
    #[expect(clippy::cast_precision_loss, reason = "an estimate needs no 53 bits")]
    fn tried(&self) -> f64 {
        let share = choice::MOST_STATIONS as f64 / self.network.stations().len() as f64;
        choice::TRIED as f64 * share.min(1.0).powi(3)
    }

    /// Seconds of the estimate that are for choosing a method: none where it is told, and none of them are needed where
    /// the network is known.
    #[expect(clippy::cast_precision_loss, reason = "an estimate needs no 53 bits")]
    #[must_use]
    pub fn seconds_of_choosing(&self) -> f64 {
        let n = self.network.stations().len() as f64;
        match &self.settings.method {
            Choice::Told(_) => 0.0,
            Choice::Auto(_) => 2.0 * n.powi(3) * self.tried() / SOLVER_FLOPS / self.threads as f64,
        }
    }

    fn estimated_fields(&self) -> u64 {
        self.observations.variables().len() as u64 * self.observations.times().len() as u64
    }
}

/// Whether several threads would wait for each other longer than they work: a few milliseconds in all.
fn is_small(observations: &Observations, targets: &Targets) -> bool {
    let fields = observations.variables().len() as u64 * observations.times().len() as u64;
    targets.cells().saturating_mul(fields) <= SMALL_VALUES
        && observations.stations().len() <= SMALL_STATIONS
}

/// Whether a fast evaluation will be tried.
fn is_fast(targets: &Targets, settings: &Settings) -> bool {
    let enough = match targets {
        Targets::Grid(grid) => grid.crs().is_none(),
        Targets::Points(places) => places.x.len() >= scattered::FEWEST_PLACES,
    };
    let stretched = match &settings.method {
        Choice::Told(method) => method.anisotropy.is_some(),
        Choice::Auto(auto) => auto.anisotropy.told().is_some(),
    };
    enough && !stretched && settings.tolerance != Tolerance::Exact
}

/// Half of what the system allows; where it does not say, what every machine has.
fn memory_budget() -> u64 {
    machine::memory_limit_bytes().map_or(1 << 30, |bytes| bytes / 2)
}

fn check_limits(
    observations: &Observations,
    targets: &Targets,
    limits: &Limits,
) -> Result<(), Error> {
    let cells = targets.cells();
    if cells > limits.cells {
        return Err(Error::Limit {
            what: "number of cells",
            wanted: cells.to_string(),
            limit: limits.cells.to_string(),
            remedy: "choose a coarser grid or a smaller area",
        });
    }
    let fields = observations.variables().len() as u64 * observations.times().len() as u64;
    let values = u128::from(cells) * u128::from(fields);
    if values > u128::from(limits.values) {
        return Err(Error::Limit {
            what: "number of values (cells × fields)",
            wanted: values.to_string(),
            limit: limits.values.to_string(),
            remedy: "choose a coarser grid, fewer variables or fewer times",
        });
    }
    Ok(())
}

fn check_stations(stations: usize, limits: &Limits) -> Result<(), Error> {
    if stations <= limits.stations {
        return Ok(());
    }
    Err(Error::Limit {
        what: "number of stations",
        wanted: stations.to_string(),
        limit: limits.stations.to_string(),
        remedy: "the direct solver's time grows with the cube of it: merge stations in blocks (thin)",
    })
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}
