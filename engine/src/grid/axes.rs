//! Nodes and edges of the axes of a grid, from bounds and a number or a distance.

use super::{DIVIDES_WITHIN, GridError, LONGEST_AXIS, Registration};

fn finite(bounds: [f64; 4]) -> Result<(), GridError> {
    if bounds.iter().all(|bound| bound.is_finite()) {
        return Ok(());
    }
    Err(GridError::Bounds { bounds, problem: "not all are finite numbers" })
}

pub(super) fn flat(bounds: [f64; 4]) -> Result<[f64; 4], GridError> {
    finite(bounds)?;
    let [west, south, east, north] = bounds;
    if west > east {
        return Err(GridError::Bounds { bounds, problem: "west is greater than east" });
    }
    if !(east - west).is_finite() || !(north - south).is_finite() {
        return Err(GridError::Bounds { bounds, problem: "they are too far apart to subtract" });
    }
    Ok(bounds)
}

/// Checks degrees, and moves the east of a grid that crosses the date line east of its west.
pub(super) fn on_sphere(bounds: [f64; 4]) -> Result<[f64; 4], GridError> {
    finite(bounds)?;
    let [west, south, mut east, north] = bounds;
    if [south, north].iter().any(|lat| !(-90.0..=90.0).contains(lat)) {
        return Err(GridError::Bounds { bounds, problem: "latitudes are within -90 and 90" });
    }
    if [west, east].iter().any(|lon| !(-180.0..=360.0).contains(lon)) {
        return Err(GridError::Bounds { bounds, problem: "longitudes are within -180 and 360" });
    }
    while east < west {
        east += 360.0;
    }
    if east - west > 360.0 {
        return Err(GridError::TooWide { bounds, degrees: east - west });
    }
    Ok([west, south, east, north])
}

/// Nodes of an axis with this resolution.
pub(super) fn nodes_of(
    axis: &'static str,
    extent: f64,
    resolution: f64,
    registration: Registration,
) -> Result<u64, GridError> {
    if !(resolution.is_finite() && resolution > 0.0) {
        return Err(GridError::Resolution { value: resolution });
    }
    let cells = (extent / resolution).round();
    if cells > LONGEST_AXIS as f64 {
        return Err(GridError::TooManyNodes { axis, count: cells, limit: LONGEST_AXIS });
    }
    let off = (extent / resolution - cells).abs();
    if (cells == 0.0 && extent > 0.0) || off > DIVIDES_WITHIN * cells {
        let nearest = extent / cells.max(1.0);
        return Err(GridError::DoesNotDivide { axis, resolution, extent, nearest });
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number between 0 and LONGEST_AXIS"
    )]
    let cells = cells as u64;
    Ok(match registration {
        Registration::Gridline => cells + 1,
        Registration::Pixel => cells,
    })
}

/// Nodes, and edges of their cells.
pub(super) fn axis(
    name: &'static str,
    [from, to]: [f64; 2],
    nodes: u64,
    registration: Registration,
) -> Result<(Vec<f64>, Vec<f64>), GridError> {
    if nodes == 0 {
        return Err(GridError::NoCells { axis: name });
    }
    if nodes > LONGEST_AXIS {
        let count = nodes as f64;
        return Err(GridError::TooManyNodes { axis: name, count, limit: LONGEST_AXIS });
    }
    if from == to && nodes > 1 {
        return Err(GridError::NoExtent { axis: name, nodes });
    }
    let numbers = || (0..nodes).map(|i| i as f64);
    let edge_numbers = || (0..=nodes).map(|i| i as f64);
    Ok(match registration {
        // `linspace` of one node is the start.
        Registration::Gridline if nodes == 1 => (vec![from], vec![from, to]),
        Registration::Gridline => {
            let step = (to - from) / (nodes - 1) as f64;
            let mut centres: Vec<f64> = numbers().map(|i| i * step + from).collect();
            if let Some(last) = centres.last_mut() {
                *last = to;
            }
            (centres, edge_numbers().map(|i| (i - 0.5) * step + from).collect())
        }
        Registration::Pixel => {
            let step = (to - from) / nodes as f64;
            let mut edges: Vec<f64> = edge_numbers().map(|i| i * step + from).collect();
            if let Some(last) = edges.last_mut() {
                *last = to;
            }
            (numbers().map(|i| (i + 0.5) * step + from).collect(), edges)
        }
    })
}
