//! Everything known before the first cell: inputs agreed, cost and memory foreseen.

use serde::Serialize;

use crate::grid::Targets;
use crate::kernels::Resolved;
use crate::network::Network;
use crate::observations::Observations;
use crate::settings::Settings;
use crate::tiles::Tiling;

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
    /// The method with nothing left open.
    pub method: Resolved,
    /// Tiles of the targets; chunks of the file.
    pub tiling: Tiling,
    /// Time steps that share one solve and one pass over the cells.
    pub steps_at_once: usize,
    /// Worker threads.
    pub threads: usize,
    /// What it will take.
    pub estimate: Estimate,
    /// Things the user should know already.
    pub warnings: Vec<String>,
}

/// What a map will take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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
