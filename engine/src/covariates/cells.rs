//! What covariates add to the surface: at the cells of a batch, tile by tile, and at stations.

use std::ops::Range;

use isopleth_kernels::Weights;

use super::{Account, Covariates, One};
use crate::grid::Targets;
use crate::output::FieldId;
use crate::regrid::OnGrid;

/// The covariates and the coefficients of some fields.
pub(crate) struct OnCells<'a> {
    of: &'a Covariates,
    targets: &'a Targets,
    account: &'a Account,
    /// `coefficients[covariate][field]`
    coefficients: Vec<Vec<f64>>,
}

impl Covariates {
    /// `β` of some fields: the last rows of the drift's weights.
    pub(crate) fn coefficients(&self, weights: &Weights) -> Vec<Vec<f64>> {
        let first = weights.drift.nrows() - self.of.len();
        let fields = weights.drift.ncols();
        let row = |k: usize| (0..fields).map(|f| weights.drift[(first + k, f)]).collect();
        (0..self.of.len()).map(row).collect()
    }

    /// `z` of each at the cells of a tile, row by row; NaN where it is not known.
    pub(crate) fn standard(
        &self,
        targets: &Targets,
        rows: &Range<usize>,
        columns: &Range<usize>,
    ) -> Vec<Vec<f64>> {
        let cells = rows.len() * columns.len();
        let of = |one: &One| match &one.grid {
            None => vec![f64::NAN; cells],
            Some((model, slab)) => {
                let places = OnGrid::new(model, targets, rows, columns);
                (0..cells).map(|cell| one.standard(places.value(slab, cell), self.clamp)).collect()
            }
        };
        self.of.iter().map(of).collect()
    }

    /// What they add to a field at a place of the network.
    pub(crate) fn at_station(
        &self,
        coefficients: &[Vec<f64>],
        field: usize,
        station: usize,
    ) -> f64 {
        let terms = self.of.iter().zip(coefficients);
        terms.map(|(one, beta)| beta[field] * one.at_stations[station]).sum()
    }
}

impl<'a> OnCells<'a> {
    pub(crate) fn new(
        of: &'a Covariates,
        targets: &'a Targets,
        weights: &Weights,
        account: &'a Account,
    ) -> Self {
        Self { of, targets, account, coefficients: of.coefficients(weights) }
    }

    /// Adds them to the values of a tile. Cells where one is not known are NaN.
    pub(crate) fn add(
        &self,
        fields: &[FieldId],
        rows: &Range<usize>,
        columns: &Range<usize>,
        values: &mut [f64],
    ) {
        let cells = (rows.len() * columns.len()).max(1);
        if values.iter().all(|value| value.is_nan()) {
            // Nothing is wanted here.
            return;
        }
        // Every field comes once to every cell: one of them is counted by.
        let first = fields.iter().position(|id| (id.time, id.variable) == (0, 0));
        for (k, one) in self.of.of.iter().enumerate() {
            let Some((model, slab)) = &one.grid else { continue };
            let places = OnGrid::new(model, self.targets, rows, columns);
            let raw: Vec<f64> = (0..cells).map(|cell| places.value(slab, cell)).collect();
            if let Some(first) = first {
                let mapped = values[first * cells..][..cells].iter().zip(&raw);
                let mapped = mapped.filter(|(value, _)| !value.is_nan()).map(|(_, raw)| *raw);
                let [low, high] = one.range;
                let (mut outside, mut unknown) = (0, 0);
                for raw in mapped {
                    outside += u64::from(raw < low || raw > high);
                    unknown += u64::from(raw.is_nan());
                }
                self.account.cells(k, outside, unknown);
            }
            let standard: Vec<f64> =
                raw.into_iter().map(|raw| one.standard(raw, self.of.clamp)).collect();
            for (field, values) in values.chunks_exact_mut(cells).enumerate() {
                let beta = self.coefficients[k][field];
                values.iter_mut().zip(&standard).for_each(|(value, z)| *value += beta * z);
            }
        }
    }
}
