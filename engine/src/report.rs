//! What a map says of itself: the answer's report, and the attributes of the file.

use serde::Serialize;

use crate::progress::Stage;

/// Everything a run has to say.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name and version of the program.
    pub software: String,
    /// What was read.
    pub readings: ReadingsReport,
    /// The stations that were used.
    pub network: NetworkReport,
    /// How the surface was made.
    pub method: MethodReport,
    /// Where it was evaluated.
    pub targets: TargetsReport,
    /// Each field with its leave-one-out errors.
    pub fields: Vec<FieldReport>,
    /// Leave-one-out errors of each variable over all times.
    pub variables: Vec<VariableReport>,
    /// Seconds and memory, stage by stage.
    pub stages: Vec<StageReport>,
    /// Wall-clock seconds in all.
    pub seconds: f64,
    /// Peak resident memory of the process so far (`VmHWM`), in bytes.
    pub peak_memory_bytes: u64,
    /// Things the user should know.
    pub warnings: Vec<String>,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReadingsReport {
    /// Rows (or records) read.
    pub rows: u64,
    /// Values taken.
    pub values: u64,
    /// Values marked as missing.
    pub missing: u64,
    /// Rows or values refused.
    pub rejected: u64,
    /// The first few of those, with row, column and reason.
    pub rejected_examples: Vec<String>,
    /// Station codes that had readings but no place.
    pub without_place: Vec<String>,
    /// Several readings of one station, time and variable, resolved by the duplicates rule.
    pub repeated: u64,
    /// Columns (or keys) left out, each with the reason.
    pub ignored: Vec<String>,
}

/// The stations that were used.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NetworkReport {
    /// Station codes (and places) read.
    pub read: usize,
    /// Distinct places used.
    pub used: usize,
    /// Places at which several codes were merged, with those codes.
    pub merged: Vec<Vec<String>>,
    /// Identifies places, metric and nothing else.
    pub fingerprint: String,
}

/// How the surface was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MethodReport {
    /// Radial function.
    pub kernel: String,
    /// Multiplies distances.
    pub epsilon: f64,
    /// λ, or its smallest and largest where each station has its own.
    pub smoothing: Vec<f64>,
    /// Degree of the drift, −1 for none.
    pub degree: i8,
    /// How distance is measured.
    pub metric: String,
    /// `native` or `scipy-rbf`.
    pub convention: String,
    /// How several stations at a place were treated.
    pub duplicates: String,
    /// How the system was solved.
    pub solver: String,
    /// Estimate of the condition number (1-norm).
    pub condition: f64,
    /// `exact`.
    pub evaluation: String,
    /// Instruction set of the evaluation.
    pub instructions: String,
    /// Worker threads.
    pub threads: usize,
    /// How many different sets of missing stations there were, summed over batches.
    pub masks: usize,
    /// How many of those were factorised anew.
    pub refactored: usize,
}

/// Where it was evaluated.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TargetsReport {
    /// `grid` or `points`.
    pub kind: String,
    /// Columns and rows, or the number of places and 1.
    pub shape: [usize; 2],
    /// West, south, east, north of the outermost cells' centres.
    pub bounds: [f64; 4],
    /// Cells of a field.
    pub cells: u64,
}

/// One field: one variable at one time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldReport {
    /// Variable.
    pub variable: String,
    /// ISO 8601, UTC; none where readings carry no time.
    pub time: Option<String>,
    /// Stations with a reading.
    pub used: usize,
    /// Stations without one.
    pub missing: usize,
    /// Leave-one-out errors; residual = observed − predicted.
    pub leave_one_out: Option<Errors>,
    /// Why the field could not be mapped (its cells hold the fill value).
    pub failed: Option<String>,
}

/// Errors at stations left out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Errors {
    /// Number of residuals.
    pub count: usize,
    /// Mean residual, observed − predicted.
    pub bias: f64,
    /// Mean absolute residual.
    pub mae: f64,
    /// Root of the mean squared residual.
    pub rmse: f64,
    /// 1 − SSE/SST; none where all readings are equal.
    pub r2: Option<f64>,
}

/// Errors of a variable over all times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VariableReport {
    /// Variable.
    pub variable: String,
    /// Unit as received.
    pub units: Option<String>,
    /// Fields mapped.
    pub fields: usize,
    /// Leave-one-out errors over all of them.
    pub leave_one_out: Option<Errors>,
}

/// One stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StageReport {
    /// Which.
    pub stage: Stage,
    /// Wall-clock seconds, summed over batches.
    pub seconds: f64,
    /// `VmHWM` at its end, in bytes.
    pub peak_memory_bytes: u64,
}
