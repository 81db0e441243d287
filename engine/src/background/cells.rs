//! The background at the cells of a batch of fields, tile by tile.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Account, BackgroundError, Backgrounds, Gridded, Source};
use crate::bilinear::Slab;
use crate::error::Error;
use crate::grid::Targets;
use crate::output::FieldId;
use crate::regrid::OnGrid;

/// The steps that a batch needs, in memory.
pub(crate) struct OnCells<'a> {
    targets: &'a Targets,
    account: &'a Account,
    /// By variable.
    models: Vec<Option<&'a Gridded>>,
    /// By variable and step of its file.
    slabs: BTreeMap<(usize, usize), Slab>,
}

impl<'a> OnCells<'a> {
    /// Reads the steps of some fields.
    pub(crate) fn new(
        of: &'a Backgrounds,
        targets: &'a Targets,
        fields: &[FieldId],
        account: &'a Account,
    ) -> Result<Self, Error> {
        let mut slabs = BTreeMap::new();
        let models = of.of.iter().map(|one| match &one.as_ref()?.source {
            Source::Grid(grid) => Some(&**grid),
            Source::Column(_) => None,
        });
        let models: Vec<Option<&Gridded>> = models.collect();
        // A cross-validation has no cells.
        for field in fields.iter().filter(|_| targets.cells() > 0) {
            if let (Some(grid), Some(one)) = (models[field.variable], &of.of[field.variable]) {
                let step = grid.step_of[field.time];
                if let std::collections::btree_map::Entry::Vacant(slot) =
                    slabs.entry((field.variable, step))
                {
                    let slab = grid.model.slab(step, one.conversion);
                    slot.insert(slab.map_err(BackgroundError::from)?);
                }
            }
        }
        Ok(Self { targets, account, models, slabs })
    }

    /// Adds it to the values of a tile; what is not known is NaN, and counted where there was a
    /// surface.
    pub(crate) fn add(
        &self,
        fields: &[FieldId],
        rows: &Range<usize>,
        columns: &Range<usize>,
        values: &mut [f64],
    ) {
        let cells = rows.len() * columns.len();
        let mut places: BTreeMap<usize, OnGrid> = BTreeMap::new();
        for (field, values) in fields.iter().zip(values.chunks_exact_mut(cells.max(1))) {
            let Some(grid) = self.models[field.variable] else { continue };
            let Some(slab) = self.slabs.get(&(field.variable, grid.step_of[field.time])) else {
                continue;
            };
            let places = places
                .entry(field.variable)
                .or_insert_with(|| OnGrid::new(&grid.model, self.targets, rows, columns));
            let mut unknown = 0;
            for (cell, value) in values.iter_mut().enumerate().filter(|(_, v)| !v.is_nan()) {
                *value += places.value(slab, cell);
                unknown += u64::from(value.is_nan());
            }
            self.account.cells_without(field.variable, unknown);
        }
    }
}
