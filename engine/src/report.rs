//! What a map says of itself: the answer's report, and the attributes of the file.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::background::BackgroundReport;
use crate::certificate::Certificate;
use crate::choice::By;
use crate::covariates::CovariateReport;
use crate::factors::Origin;
use crate::mask::MaskReport;
use crate::observations::UnixSeconds;
use crate::progress::Stage;
use crate::quality::QualityReport;
use crate::series::SeriesReport;
use crate::transform::{Back, Transform};
use crate::uncertainty::UncertaintyReport;

/// Everything a run has to say.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name and version of the program.
    pub software: String,
    /// What was read.
    pub readings: ReadingsReport,
    /// The stations that were used.
    pub network: NetworkReport,
    /// How surfaces were made: one method for all fields, or several.
    pub methods: Vec<MethodReport>,
    /// Worker threads.
    pub threads: usize,
    /// Instruction set of the evaluation.
    pub instructions: String,
    /// The numerical error of a fast evaluation; none where it was exact.
    pub certificate: Option<Certificate>,
    /// Where it was evaluated.
    pub targets: TargetsReport,
    /// What a mask left out; none where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<MaskReport>,
    /// Each field with its leave-one-out errors.
    pub fields: Vec<FieldReport>,
    /// Leave-one-out errors of each variable over all times.
    pub variables: Vec<VariableReport>,
    /// How sure the maps are, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<UncertaintyReport>,
    /// Seconds and memory, stage by stage.
    pub stages: Vec<StageReport>,
    /// Wall-clock seconds in all.
    pub seconds: f64,
    /// Peak resident memory of the process so far (`VmHWM`), in bytes.
    pub peak_memory_bytes: u64,
    /// Things the user should know.
    pub warnings: Vec<String>,
    /// Readings and stations that cannot be right.
    pub quality: QualityReport,
    /// What was taken off the readings and added back; empty where nothing was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backgrounds: Vec<BackgroundReport>,
    /// What values were taken to depend on besides the place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub covariates: Vec<CovariateReport>,
}

impl Report {
    /// Adds a stage that was done outside the run, such as reading, and its seconds.
    pub fn book(&mut self, stage: StageReport) {
        self.seconds += stage.seconds;
        match self.stages.iter_mut().find(|s| s.stage == stage.stage) {
            Some(booked) => {
                booked.seconds += stage.seconds;
                booked.cpu_seconds += stage.cpu_seconds;
            }
            None => self.stages.insert(0, stage),
        }
        self.peak_memory_bytes = self.peak_memory_bytes.max(stage.peak_memory_bytes);
    }
}

/// `2017-07-07T08:00:00Z`; a time beyond the calendar as its number of seconds.
#[must_use]
pub fn iso_8601(time: UnixSeconds) -> String {
    Timestamp::from_second(time.0).map_or_else(|_| format!("{} s", time.0), |t| t.to_string())
}

/// A number of a record: JSON has none that is not finite, and says null.
pub(crate) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
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
    /// What was done to the series of each station, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesReport>,
    /// What the user should know of the readings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
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
    /// How several stations at a place were treated.
    pub duplicates: String,
    /// Size of the blocks in which stations were merged, if they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<f64>,
    /// Identifies places, metric and nothing else.
    pub fingerprint: String,
}

/// How the surfaces of some fields were made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MethodReport {
    /// Variables that have it, at some time at least.
    pub variables: Vec<String>,
    /// Who chose it: `told`, `readings`, or `kept` from earlier readings of the network.
    pub chosen_by: By,
    /// Radial function.
    pub kernel: String,
    /// Multiplies distances.
    #[serde(deserialize_with = "number")]
    pub epsilon: f64,
    /// λ, or its smallest and largest where each station has its own.
    pub smoothing: Vec<f64>,
    /// Degree of the drift, −1 for none.
    pub degree: i8,
    /// Ratio of the ranges along and across, and the angle of the first in degrees from east (x); none where it
    /// is the same in all directions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anisotropy: Option<String>,
    /// In what form readings were mapped, as it can be told: `none`, `sqrt`, `log:OFFSET`,
    /// `boxcox:LAMBDA:OFFSET`.
    pub transform: Transform,
    /// The way back, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_transform: Option<Back>,
    /// How distance is measured.
    pub metric: String,
    /// `native` or `scipy-rbf`.
    pub convention: String,
    /// How the system was solved.
    pub solver: String,
    /// Condition number (1-norm).
    #[serde(deserialize_with = "number")]
    pub condition: f64,
    /// Where the factorisation came from: `computed`, `memory` or `disk`.
    pub factor: Origin,
    /// `exact` or `fast`.
    pub evaluation: String,
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
    /// The system of coordinates of a projected grid, in whose plane its bounds are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crs: Option<String>,
    /// Columns and rows, or the number of places and 1.
    pub shape: [usize; 2],
    /// West, south, east, north of the outermost cells' centres.
    pub bounds: [f64; 4],
    /// Cells of a field.
    pub cells: u64,
}

/// One field: one variable at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Number of residuals.
    pub count: usize,
    /// Mean residual, observed − predicted.
    #[serde(deserialize_with = "number")]
    pub bias: f64,
    /// Mean absolute residual.
    #[serde(deserialize_with = "number")]
    pub mae: f64,
    /// Root of the mean squared residual.
    #[serde(deserialize_with = "number")]
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
    /// Seconds of processors, of all threads of the run together.
    pub cpu_seconds: f64,
    /// `VmHWM` at its end, in bytes.
    pub peak_memory_bytes: u64,
}

/// Sums from which [`Errors`] are made; those of several fields can be merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorSum {
    count: usize,
    #[serde(deserialize_with = "number")]
    residual: f64,
    #[serde(deserialize_with = "number")]
    absolute: f64,
    #[serde(deserialize_with = "number")]
    squared: f64,
    /// Observed values, shifted by the first so that squares keep their digits.
    #[serde(deserialize_with = "number")]
    origin: f64,
    #[serde(deserialize_with = "number")]
    observed: f64,
    #[serde(deserialize_with = "number")]
    observed_squared: f64,
}

impl ErrorSum {
    /// Adds an observed value and its residual; NaN in either is left out.
    pub fn add(&mut self, observed: f64, residual: f64) {
        if observed.is_nan() || residual.is_nan() {
            return;
        }
        if self.count == 0 {
            self.origin = observed;
        }
        let shifted = observed - self.origin;
        self.count += 1;
        self.residual += residual;
        self.absolute += residual.abs();
        self.squared += residual * residual;
        self.observed += shifted;
        self.observed_squared += shifted * shifted;
    }

    /// Adds another sum.
    #[expect(clippy::cast_precision_loss, reason = "counts of readings are below 2^52")]
    pub fn merge(&mut self, other: &Self) {
        if self.count == 0 {
            *self = *other;
            return;
        }
        let (n, move_by) = (other.count as f64, other.origin - self.origin);
        self.count += other.count;
        self.residual += other.residual;
        self.absolute += other.absolute;
        self.squared += other.squared;
        self.observed += other.observed + n * move_by;
        self.observed_squared +=
            other.observed_squared + 2.0 * move_by * other.observed + n * move_by * move_by;
    }

    /// The errors; none without a residual.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of readings are below 2^52")]
    pub fn errors(&self) -> Option<Errors> {
        if self.count == 0 {
            return None;
        }
        let n = self.count as f64;
        let spread = self.observed_squared - self.observed * self.observed / n;
        // Equal readings leave rounding only.
        let varies = spread > 1e-12 * self.observed_squared.max(f64::MIN_POSITIVE);
        Some(Errors {
            count: self.count,
            bias: self.residual / n,
            mae: self.absolute / n,
            rmse: (self.squared / n).sqrt(),
            r2: varies.then(|| 1.0 - self.squared / spread),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_of_the_definition_and_merging_changes_nothing() {
        let observed = [1000.0, 1003.0, 1001.0, f64::NAN, 1008.0];
        let residual = [1.0, -2.0, 0.5, 9.0, f64::NAN];
        let mut all = ErrorSum::default();
        let (mut a, mut b) = (ErrorSum::default(), ErrorSum::default());
        for (k, (&d, &e)) in observed.iter().zip(&residual).enumerate() {
            all.add(d, e);
            if k < 1 { a.add(d, e) } else { b.add(d, e) }
        }
        a.merge(&b);
        for sum in [all, a] {
            let errors = sum.errors().expect("three residuals");
            assert_eq!(errors.count, 3);
            assert!((errors.bias + 0.5 / 3.0).abs() < 1e-15);
            assert!((errors.mae - 3.5 / 3.0).abs() < 1e-15);
            assert!((errors.rmse - (5.25_f64 / 3.0).sqrt()).abs() < 1e-15);
            let spread = 1.0 / 9.0 * (16.0 + 25.0 + 1.0);
            assert!((errors.r2.expect("they vary") - (1.0 - 5.25 / spread)).abs() < 1e-12);
        }
    }

    #[test]
    fn nothing_left_out_has_no_errors_and_equal_readings_have_no_r2() {
        assert_eq!(ErrorSum::default().errors(), None);
        let mut sum = ErrorSum::default();
        for _ in 0..3 {
            sum.add(0.1, 0.0);
        }
        assert_eq!(sum.errors().map(|e| (e.mae, e.r2)), Some((0.0, None)));
    }
}
