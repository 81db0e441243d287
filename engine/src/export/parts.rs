//! Parts of one file of maps: a place, the cells of a rectangle, or a grid of degrees, and how values are found there.

use super::chosen::{Selection, Span, Window};
use super::error::ExportError;
use super::source::{Axis, MapVariable, Source, Space};
use super::values::{Between, on_axes};
use crate::polygons::Polygons;

/// Cells of a file read at once to find values between them: 8 bytes each.
const MOST_CELLS: u64 = 16_000_000;

#[derive(Clone, Debug)]
pub(super) enum Domain {
    Place([f64; 2]),
    Grid { x: Vec<f64>, y: Vec<f64>, space: Space },
}

/// A part of one file: where its values lie, and in which cells they are.
pub(super) struct Part {
    pub(super) domain: Domain,
    window: Window,
    /// How values are found between cells; none: they are those of the cells.
    between: Option<Vec<Option<At>>>,
}

/// Where a place lies among the cells of a window.
#[derive(Clone, Copy)]
struct At {
    row: usize,
    column: usize,
    /// Of the way to the next row and column; 0 where that has no say.
    down: f64,
    across: f64,
}

impl Domain {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Place(_) => 1,
            Self::Grid { x, y, .. } => x.len() * y.len(),
        }
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Place(a), Self::Place(b)) => a == b,
            (Self::Grid { x, y, space }, Self::Grid { x: x2, y: y2, space: space2 }) => {
                x == x2 && y == y2 && space.is(space2)
            }
            _ => false,
        }
    }

    /// Longitude and latitude of every value.
    pub(super) fn places(&self) -> Box<dyn Iterator<Item = [f64; 2]> + '_> {
        match self {
            Self::Place(place) => Box::new(std::iter::once(*place)),
            Self::Grid { x, y, space } => Box::new(y.iter().flat_map(move |&y| {
                x.iter().map(move |&x| space.degrees(x, y).unwrap_or([f64::NAN; 2]))
            })),
        }
    }
}

impl Part {
    pub(super) fn read(
        &self,
        source: &Source,
        variable: &MapVariable,
        time: usize,
    ) -> Result<Vec<f64>, ExportError> {
        let cells = usize::try_from(self.window.cells()).unwrap_or(0);
        let mut values = Vec::with_capacity(cells);
        source.rows(variable, time, &self.window, false, |_, row| {
            values.extend_from_slice(row);
            Ok(())
        })?;
        let Some(between) = &self.between else { return Ok(values) };
        let width = self.window.columns.count;
        Ok(between.iter().map(|at| at.map_or(f64::NAN, |at| at.value(&values, width))).collect())
    }
}

impl At {
    fn new(down: &Between, across: &Between) -> Self {
        // Where there is one node the next has no say.
        let share = |between: &Between| 1.0 - between.weight(0);
        let (row, column) = (down.span.first, across.span.first);
        Self { row, column, down: share(down), across: share(across) }
    }

    /// The window that holds all of some places, and the places counted from its first cell.
    fn window(all: &mut [Option<Self>]) -> Option<Window> {
        let reach = |first: fn(&Self) -> usize, share: fn(&Self) -> f64| {
            let low = all.iter().flatten().map(first).min()?;
            let last = |at: &Self| first(at) + usize::from(share(at) > 0.0);
            let high = all.iter().flatten().map(last).max()?;
            Some(Span { first: low, step: 1, count: high - low + 1 })
        };
        let rows = reach(|at| at.row, |at| at.down)?;
        let columns = reach(|at| at.column, |at| at.across)?;
        for at in all.iter_mut().flatten() {
            at.row -= rows.first;
            at.column -= columns.first;
        }
        Some(Window { rows, columns })
    }

    /// Bilinear; a cell that counts for nothing may be missing.
    fn value(&self, values: &[f64], width: usize) -> f64 {
        let along = |row: usize| {
            let first = values[row * width + self.column];
            match self.across {
                0.0 => first,
                share => (1.0 - share) * first + share * values[row * width + self.column + 1],
            }
        };
        match self.down {
            0.0 => along(self.row),
            share => (1.0 - share) * along(self.row) + share * along(self.row + 1),
        }
    }
}

/// Where a place lies among the cells of a map; none if it lies outside of it.
fn find_at(source: &Source, [lon, lat]: [f64; 2]) -> Option<At> {
    let [x, y] = on_axes(source, lon, lat).ok()?;
    let [across, down] = [Between::new(source.x(), x), Between::new(source.y(), y)];
    Some(At::new(&down?, &across?))
}

pub(super) fn at_place(source: &Source, place: [f64; 2]) -> Result<Option<Part>, ExportError> {
    let mut between = vec![find_at(source, place)];
    let Some(window) = At::window(&mut between) else { return Ok(None) };
    Ok(Some(Part { domain: Domain::Place(place), window, between: Some(between) }))
}

pub(super) fn cells(source: &Source, bounds: [f64; 4]) -> Result<Option<Part>, ExportError> {
    let selection = Selection { bounds: Some(bounds), ..Selection::default() };
    let window = match selection.find_window(source) {
        Err(ExportError::Outside { .. }) => return Ok(None),
        other => other?,
    };
    if !source.has_cells(&window) {
        return Ok(None);
    }
    let nodes = |span: Span, axis: &Axis| span.cells(axis).nodes;
    let (x, y) = (nodes(window.columns, source.x()), nodes(window.rows, source.y()));
    let domain = Domain::Grid { x, y, space: source.space().clone() };
    Ok(Some(Part { domain, window, between: None }))
}

pub(super) fn regular(
    source: &Source,
    domain: Domain,
    area: Option<&Polygons>,
) -> Result<Option<Part>, ExportError> {
    let Domain::Grid { x, y, .. } = &domain else { return Ok(None) };
    let mut between = Vec::with_capacity(x.len() * y.len());
    for &lat in y {
        let mut inside = vec![area.is_none(); x.len()];
        if let Some(area) = area {
            area.mark_row(x, lat, &mut inside);
        }
        let row = x.iter().zip(inside);
        between.extend(
            row.map(|(&lon, inside)| inside.then(|| find_at(source, [lon, lat])).flatten()),
        );
    }
    let Some(window) = At::window(&mut between) else { return Ok(None) };
    if window.cells() > MOST_CELLS {
        return Err(ExportError::ManyCells { wanted: window.cells(), limit: MOST_CELLS });
    }
    Ok(Some(Part { domain, window, between: Some(between) }))
}

/// As many longitudes and latitudes as a map in a plane has columns and rows within bounds, over
/// what it covers of them.
pub(super) fn as_many(
    source: &Source,
    bounds: [f64; 4],
) -> Result<Option<[Vec<f64>; 2]>, ExportError> {
    let Some(part) = cells(source, bounds)? else { return Ok(None) };
    let Some(reach) = source.reach() else { return Ok(None) };
    let [west, south, east, north] = bounds;
    let east = if east < west { east + 360.0 } else { east };
    let [reach_west, reach_south, reach_east, reach_north] = reach;
    // The bounds in the turn of the map.
    let turn = 360.0 * ((reach_east - west) / 360.0).floor();
    let x = [(west + turn).max(reach_west), (east + turn).min(reach_east)];
    let y = [south.max(reach_south), north.min(reach_north)];
    if x[0] > x[1] || y[0] > y[1] {
        return Ok(None);
    }
    let (columns, rows) = (part.window.columns.count, part.window.rows.count);
    Ok(Some([spaced(x, columns), spaced(y, rows)]))
}

/// So many numbers from one to another, both among them; one is the first of them.
#[must_use]
pub fn spaced([from, to]: [f64; 2], count: usize) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let share = |k: usize| k as f64 / count.saturating_sub(1).max(1) as f64;
    (0..count).map(|k| from * (1.0 - share(k)) + to * share(k)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_between_cells_are_those_of_a_plane_and_a_missing_cell_counts_only_where_it_has_a_say()
    {
        let plane = |row: usize, column: usize| 3.0 * row as f64 + 0.5 * column as f64;
        let mut values: Vec<f64> = (0..12).map(|k| plane(k / 4, k % 4)).collect();
        let at = |row, column, down, across| Some(At { row, column, down, across });
        let mut all = vec![None, at(3, 5, 0.25, 0.5), at(4, 6, 0.0, 1.0), at(5, 4, 0.0, 0.0)];
        let window = At::window(&mut all).expect("a window");
        assert_eq!(window.rows, Span { first: 3, step: 1, count: 3 });
        assert_eq!(window.columns, Span { first: 4, step: 1, count: 4 });
        values[7] = f64::NAN;
        let read: Vec<f64> = all.iter().flatten().map(|at| at.value(&values, 4)).collect();
        assert_eq!(read[0], plane(0, 1) + 0.25 * 3.0 + 0.5 * 0.5);
        assert!(read[1].is_nan(), "its second cell is missing");
        assert_eq!(read[2], plane(2, 0));
        assert!(At::window(&mut [None]).is_none());
    }

    #[test]
    fn numbers_are_spaced_from_end_to_end() {
        assert_eq!(spaced([1.0, 2.0], 3), [1.0, 1.5, 2.0]);
        assert_eq!(spaced([1.0, 2.0], 1), [1.0]);
        assert_eq!(spaced([1.0, 1.3], 7).last(), Some(&1.3));
    }
}
