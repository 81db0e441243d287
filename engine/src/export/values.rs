//! The maps at one place for every time: bilinear between the centres of cells.

use super::chosen::{Selection, Span, Window};
use super::error::ExportError;
use super::source::{Axis, MapVariable, Source, Space};
use crate::observations::UnixSeconds;

/// Maps at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceValues {
    /// Longitude and latitude as given; x and y on a map in a plane without a crs.
    pub place: [f64; 2],
    /// Times chosen; none for a map without time.
    pub times: Vec<UnixSeconds>,
    /// Each map chosen, and the layers beside it.
    pub series: Vec<Series>,
}

/// One variable at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Which.
    pub variable: MapVariable,
    /// A value for each time; NaN where one of the four cells has none.
    pub values: Vec<f64>,
}

/// Reads the chosen variables, each with its layers, at one place. Within half a cell beyond the
/// outer centres the outer centres count; bounds and stride of the selection do not.
///
/// # Errors
/// If the place is not on the map, or the selection or the file is not sound.
pub fn place_values(
    source: &Source,
    [x, y]: [f64; 2],
    selection: &Selection,
) -> Result<PlaceValues, ExportError> {
    let chosen = Selection { bounds: None, stride: 1, ..selection.clone() }.find(source)?;
    let on_axes = on_axes(source, x, y)?;
    let [across, down] =
        [Between::new(source.x(), on_axes[0]), Between::new(source.y(), on_axes[1])];
    let (Some(across), Some(down)) = (across, down) else {
        return Err(ExportError::Place { x, y, needed: "it lies outside of the map" });
    };
    let window = Window { rows: down.span, columns: across.span };
    let mut wanted: Vec<&MapVariable> = Vec::new();
    for variable in chosen.variables {
        let layers = source.variables().iter().filter(|v| variable.layers.contains(&v.name));
        for each in std::iter::once(variable).chain(layers) {
            if !wanted.iter().any(|known| known.name == each.name) {
                wanted.push(each);
            }
        }
    }
    let mut series = Vec::with_capacity(wanted.len());
    for variable in wanted {
        let mut values = Vec::with_capacity(chosen.times.len());
        for &time in &chosen.times {
            let mut value = 0.0;
            source.rows(variable, time, &window, false, |row, cells| {
                value += down.weight(row) * across.mean(cells);
                Ok(())
            })?;
            values.push(value);
        }
        series.push(Series { variable: variable.clone(), values });
    }
    let times = chosen.times.iter().filter_map(|&k| source.times().get(k).copied()).collect();
    Ok(PlaceValues { place: [x, y], times, series })
}

/// A longitude and latitude on the axes of a map, in the turn of its longitudes.
pub(super) fn on_axes(source: &Source, x: f64, y: f64) -> Result<[f64; 2], ExportError> {
    let wrong = |needed| ExportError::Place { x, y, needed };
    if !x.is_finite() || !y.is_finite() {
        return Err(wrong("two finite numbers are needed"));
    }
    match source.space() {
        Space::Plane => Ok([x, y]),
        _ if y.abs() > 90.0 => Err(wrong("latitudes are within -90 and 90")),
        Space::Projected(crs) => {
            crs.to_plane(x, y).ok_or_else(|| wrong("it has no place in the map's plane"))
        }
        Space::Degrees => {
            let [west, _] = source.x().ends();
            Ok([west + (x - west).rem_euclid(360.0), y])
        }
    }
}

/// Two nodes of an axis, and how much of the second.
pub(super) struct Between {
    pub(super) span: Span,
    share: f64,
}

impl Between {
    pub(super) fn new(axis: &Axis, at: f64) -> Option<Self> {
        let [low, high] = axis.ends();
        // The last edge is one of the map, too, to rounding.
        let slack = 1e-9 * (high - low);
        if at < low - slack || at > high + slack {
            return None;
        }
        let nodes = &axis.nodes;
        let passed = |node: &f64| if axis.ascends() { *node <= at } else { *node >= at };
        let first = nodes.partition_point(passed).saturating_sub(1);
        let second = (first + 1).min(nodes.len() - 1);
        let width = nodes[second] - nodes[first];
        let share =
            if second == first { 0.0 } else { ((at - nodes[first]) / width).clamp(0.0, 1.0) };
        // On a node its neighbour has no say, not even by having no value.
        let (first, count) = match share {
            0.0 => (first, 1),
            1.0 => (second, 1),
            _ => (first, 2),
        };
        let share = if count == 1 { 0.0 } else { share };
        Some(Self { span: Span { first, step: 1, count }, share })
    }

    pub(super) fn weight(&self, k: usize) -> f64 {
        if k == 0 { 1.0 - self.share } else { self.share }
    }

    pub(super) fn mean(&self, cells: &[f64]) -> f64 {
        cells.iter().enumerate().map(|(k, value)| self.weight(k) * value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_lies_between_two_centres_or_on_one() {
        let up =
            Axis { name: "x".into(), nodes: vec![0.0, 1.0, 2.0], edges: vec![-0.5, 0.5, 1.5, 2.5] };
        let down =
            Axis { nodes: vec![2.0, 1.0, 0.0], edges: vec![2.5, 1.5, 0.5, -0.5], ..up.clone() };
        let found = |axis: &Axis, at: f64| {
            Between::new(axis, at).map(|b| (b.span.first, b.span.count, b.share))
        };
        assert_eq!(found(&up, 1.25), Some((1, 2, 0.25)));
        assert_eq!(found(&down, 1.25), Some((0, 2, 0.75)));
        assert_eq!(found(&up, 1.0), Some((1, 1, 0.0)));
        assert_eq!(found(&up, -0.4), Some((0, 1, 0.0)));
        assert_eq!(found(&down, -0.4), Some((2, 1, 0.0)));
        assert_eq!(found(&up, 2.6), None);
    }
}
