//! Where the cells of a tile lie on the grid of another file.

use std::ops::Range;

use crate::bilinear::{Between, Slab};
use crate::grid::Targets;
use crate::model::Model;

/// The cells of a tile, row by row.
pub(crate) enum OnGrid {
    /// Where columns and rows cross.
    Cross(Vec<Option<Between>>, Vec<Option<Between>>),
    /// Each its own.
    Each(Vec<Option<[Between; 2]>>),
}

impl OnGrid {
    pub(crate) fn new(
        model: &Model,
        targets: &Targets,
        rows: &Range<usize>,
        columns: &Range<usize>,
    ) -> Self {
        let place = |(&x, &y): (&f64, &f64)| Some([model.column(x)?, model.row(y)?]);
        match targets {
            Targets::Grid(grid) if grid.crs().is_none() => Self::Cross(
                grid.x()[columns.clone()].iter().map(|&x| model.column(x)).collect(),
                grid.y()[rows.clone()].iter().map(|&y| model.row(y)).collect(),
            ),
            Targets::Grid(grid) => Self::Each(
                rows.clone()
                    .flat_map(|row| {
                        let [lon, lat] = grid.degrees(row, columns.clone()).unwrap_or_default();
                        lon.iter().zip(&lat).map(place).collect::<Vec<_>>()
                    })
                    .collect(),
            ),
            Targets::Points(places) => {
                let (x, y) = (&places.x[columns.clone()], &places.y[columns.clone()]);
                Self::Each(x.iter().zip(y).map(place).collect())
            }
        }
    }

    /// The value at a cell; NaN outside and where it is missing.
    pub(crate) fn value(&self, slab: &Slab, cell: usize) -> f64 {
        let place = match self {
            Self::Cross(x, y) => x[cell % x.len()].zip(y[cell / x.len()]),
            Self::Each(places) => places[cell].map(|[x, y]| (x, y)),
        };
        place.map_or(f64::NAN, |(x, y)| slab.at(x, y))
    }
}

/// Whether any cell lies on the grid; a cross-validation has none to ask for.
pub(crate) fn reaches(model: &Model, targets: &Targets) -> bool {
    let (rows, columns) = (targets.rows(), targets.columns());
    targets.cells() == 0
        || (0..rows).any(|row| match OnGrid::new(model, targets, &(row..row + 1), &(0..columns)) {
            OnGrid::Cross(x, y) => y[0].is_some() && x.iter().any(Option::is_some),
            OnGrid::Each(places) => places.iter().any(Option::is_some),
        })
}
