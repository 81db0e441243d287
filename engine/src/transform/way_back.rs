//! The way back of the fields that are solved together: residuals at stations, values at cells.

use std::ops::Range;

use isopleth_kernels::{Fit, Mat, Metric, Resolved};

use super::near::{self, Neighbours};
use super::{Law, Transform};
use crate::grid::Targets;
use crate::output::FieldId;

/// How values of some fields become values in the unit of the readings.
pub(crate) struct WayBack {
    transform: Transform,
    metric: Metric,
    fields: Vec<FieldBack>,
    /// Places of the stations that have a reading, of each set of them.
    present: Vec<Vec<[f64; 3]>>,
}

struct FieldBack {
    id: FieldId,
    /// None: the median.
    law: Option<Law>,
    present: usize,
    /// Of each station left out, squared, from the nearest reading.
    squared: Vec<f64>,
}

impl WayBack {
    /// Of fields as they were solved: transformed readings and their fit, stations × fields.
    /// Without `neighbours` the way back is the median.
    pub(crate) fn new(
        transform: Transform,
        method: &Resolved,
        neighbours: Option<&Neighbours>,
        ids: &[FieldId],
        readings: &Mat<f64>,
        fit: &Fit,
    ) -> Self {
        let mut sets: Vec<Vec<bool>> = Vec::new();
        let mut present = Vec::new();
        let mut fields: Vec<FieldBack> = Vec::with_capacity(ids.len());
        for (f, &id) in ids.iter().enumerate() {
            let Some(neighbours) = neighbours else {
                fields.push(FieldBack { id, law: None, present: 0, squared: Vec::new() });
                continue;
            };
            let column = readings.col_as_slice(f);
            let set: Vec<bool> = column.iter().map(|v| !v.is_nan()).collect();
            let known = sets.iter().position(|other| *other == set);
            let number = known.unwrap_or(sets.len());
            let squared = match fields.iter().find(|other| known == Some(other.present)) {
                Some(alike) => alike.squared.clone(),
                None => neighbours.squared(column),
            };
            if known.is_none() {
                present.push(neighbours.present(column));
                sets.push(set);
            }
            let law = Law::new(fit.leave_one_out.col_as_slice(f), &squared, method);
            fields.push(FieldBack { id, law, present: number, squared });
        }
        Self { transform, metric: method.metric, fields, present }
    }

    /// What a station left out is predicted to read, from what the surface says there.
    pub(crate) fn at_station(&self, field: usize, station: usize, value: f64) -> f64 {
        let of = &self.fields[field];
        let squared = of.squared.get(station).copied().unwrap_or(f64::INFINITY);
        of.value(self.transform, value, squared)
    }

    /// Turns residuals into those of readings in their own unit, both stations × fields.
    pub(crate) fn residuals(&self, own: &Mat<f64>, transformed: &Mat<f64>, fit: &mut Fit) {
        for f in 0..own.ncols() {
            let residuals = fit.leave_one_out.col_as_slice_mut(f);
            for (i, residual) in residuals.iter_mut().enumerate() {
                if !residual.is_nan() {
                    let predicted = transformed[(i, f)] - *residual;
                    *residual = own[(i, f)] - self.at_station(f, i, predicted);
                }
            }
        }
    }

    /// Turns a tile of some fields.
    pub(crate) fn tile(
        &self,
        targets: &Targets,
        ids: &[FieldId],
        (rows, columns): (&Range<usize>, &Range<usize>),
        values: &mut [f64],
    ) {
        let cells = rows.len() * columns.len();
        let mut places: Option<Vec<[f64; 3]>> = None;
        let mut distances: Vec<Option<Vec<f64>>> = vec![None; self.present.len()];
        for (id, values) in ids.iter().zip(values.chunks_exact_mut(cells.max(1))) {
            let Some(of) = self.fields.iter().find(|of| of.id == *id) else { continue };
            if of.law.is_none() {
                values.iter_mut().for_each(|v| *v = self.transform.back(*v));
                continue;
            }
            if values.iter().all(|v| v.is_nan()) {
                continue;
            }
            let squared = distances[of.present].get_or_insert_with(|| {
                let places =
                    places.get_or_insert_with(|| places_of(targets, self.metric, rows, columns));
                let (mut some, mut out) = (Vec::new(), Vec::with_capacity(cells));
                near::within_reach(places, &self.present[of.present], &mut some);
                for row in places.chunks(columns.len()) {
                    near::of_cells(row, &some, &mut out);
                }
                out
            });
            for (value, squared) in values.iter_mut().zip(squared.iter()) {
                *value = of.value(self.transform, *value, *squared);
            }
        }
    }
}

impl FieldBack {
    fn value(&self, transform: Transform, m: f64, squared: f64) -> f64 {
        match &self.law {
            _ if m.is_nan() => m,
            Some(law) => law.mean(transform, m, law.growth(squared)),
            None => transform.back(m),
        }
    }
}

/// The cells of a tile, in space or in the plane.
fn places_of(
    targets: &Targets,
    metric: Metric,
    rows: &Range<usize>,
    columns: &Range<usize>,
) -> Vec<[f64; 3]> {
    let mut places = Vec::with_capacity(rows.len() * columns.len());
    for row in rows.clone() {
        let points = match targets {
            Targets::Grid(grid) if grid.crs().is_some() => {
                let [lon, lat] = grid.degrees(row, columns.clone()).unwrap_or_default();
                metric.embed(&lon, &lat)
            }
            Targets::Grid(grid) => {
                let y = vec![grid.y()[row]; columns.len()];
                metric.embed(&grid.x()[columns.clone()], &y)
            }
            Targets::Points(places) => {
                metric.embed(&places.x[columns.clone()], &places.y[columns.clone()])
            }
        };
        places.extend((0..points.len()).map(|i| points.at(i)));
    }
    places
}
