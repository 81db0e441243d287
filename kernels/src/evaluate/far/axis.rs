//! One axis of the grid, cut in halves again and again: intervals with Chebyshev nodes, and the
//! matrices that carry values from the nodes of an interval to those of its halves and to cells.

use std::ops::Range;

/// Intervals of so few cells may be leaves. Larger products are no faster: on AMD Zen 4 32 takes 1.4
/// times as long for 1500 stations in 1.4 million cells, 128 as long.
const SMALL: usize = 64;

/// An interval of cells.
#[derive(Clone, Debug)]
pub(super) struct Interval {
    /// The cells in it.
    pub(super) cells: Range<usize>,
    /// Middle of the coordinates of its cells.
    pub(super) middle: f64,
    /// Half the extent of the coordinates of its cells.
    pub(super) half: f64,
    /// Chebyshev nodes of the first kind; a single one where there is no extent.
    pub(super) nodes: Vec<f64>,
    /// Its halves, in order.
    pub(super) halves: Option<[usize; 2]>,
    /// From the nodes of the interval that this is a half of to the nodes here.
    pub(super) down: Lagrange,
    /// From the nodes to the cells; empty unless this may be a leaf.
    pub(super) to_cells: Lagrange,
}

/// The values of the Lagrange polynomials of some nodes at some targets.
#[derive(Clone, Debug, Default)]
pub(super) struct Lagrange {
    /// Nodes × targets.
    pub(super) by_node: Vec<f64>,
    /// Targets × nodes.
    pub(super) by_target: Vec<f64>,
}

/// The intervals of an axis; the first is the whole of it.
#[derive(Clone, Debug)]
pub(super) struct AxisTree {
    intervals: Vec<Interval>,
}

impl AxisTree {
    /// Cuts an axis into tiles of `tile` cells (the last may be smaller), and those into leaves of
    /// at most `leaf` cells.
    pub(super) fn new(axis: &[f64], tile: usize, leaf: usize, order: usize) -> Self {
        let mut tree = Self { intervals: Vec::new() };
        tree.add(axis, 0..axis.len(), None, tile, leaf, order);
        tree
    }

    /// Halves a row of bins, of which the edges are given, down to single ones.
    pub(super) fn of_bins(edges: &[f64], order: usize) -> Self {
        let mut tree = Self { intervals: Vec::new() };
        tree.add_bins(edges, 0..edges.len() - 1, None, order);
        tree
    }

    fn add_bins(
        &mut self,
        edges: &[f64],
        bins: Range<usize>,
        whole: Option<usize>,
        order: usize,
    ) -> usize {
        let here = self.begin(bins.clone(), (edges[bins.start], edges[bins.end]), whole, order);
        if bins.len() > 1 {
            let middle = bins.start + bins.len().div_ceil(2);
            let halves = [bins.start..middle, middle..bins.end];
            let halves = halves.map(|half| self.add_bins(edges, half, Some(here), order));
            self.intervals[here].halves = Some(halves);
        }
        here
    }

    /// An interval with its nodes, not yet halved.
    fn begin(
        &mut self,
        cells: Range<usize>,
        (first, last): (f64, f64),
        whole: Option<usize>,
        order: usize,
    ) -> usize {
        let (middle, half) = (f64::midpoint(first, last), ((last - first) / 2.0).abs());
        let nodes = chebyshev(middle, half, order);
        let down =
            whole.map_or_else(Lagrange::default, |w| Lagrange::new(&self.intervals[w], &nodes));
        let (halves, to_cells) = (None, Lagrange::default());
        self.intervals.push(Interval { cells, middle, half, nodes, halves, down, to_cells });
        self.intervals.len() - 1
    }

    /// What it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let each =
            |i: &Interval| i.nodes.len() + 2 * (i.down.by_node.len() + i.to_cells.by_node.len());
        self.intervals.iter().map(|i| size_of::<Interval>() + size_of::<f64>() * each(i)).sum()
    }

    pub(super) fn at(&self, k: usize) -> &Interval {
        &self.intervals[k]
    }

    fn add(
        &mut self,
        axis: &[f64],
        cells: Range<usize>,
        whole: Option<usize>,
        tile: usize,
        leaf: usize,
        order: usize,
    ) -> usize {
        let ends = (axis[cells.start], axis[cells.end - 1]);
        let here = self.begin(cells.clone(), ends, whole, order);
        if let Some(at) = cut(&cells, tile, leaf) {
            let left = self.add(axis, cells.start..at, Some(here), tile, leaf, order);
            let right = self.add(axis, at..cells.end, Some(here), tile, leaf, order);
            self.intervals[here].halves = Some([left, right]);
        }
        if self.intervals[here].halves.is_none() || cells.len() <= SMALL {
            self.intervals[here].to_cells = Lagrange::new(&self.intervals[here], &axis[cells]);
        }
        here
    }
}

/// Where to cut: between tiles as long as there are several, then in the middle.
fn cut(cells: &Range<usize>, tile: usize, leaf: usize) -> Option<usize> {
    if cells.len() > tile {
        let tiles = cells.len().div_ceil(tile);
        Some(cells.start + tiles.div_ceil(2) * tile)
    } else if cells.len() > leaf {
        Some(cells.start + cells.len().div_ceil(2))
    } else {
        None
    }
}

#[expect(clippy::cast_precision_loss, reason = "orders are below a hundred")]
pub(super) fn chebyshev(middle: f64, half: f64, order: usize) -> Vec<f64> {
    if half == 0.0 {
        return vec![middle];
    }
    let angle = |k: usize| std::f64::consts::PI * (2 * k + 1) as f64 / (2 * order) as f64;
    (0..order).map(|k| middle - half * angle(k).cos()).collect()
}

/// The weights of Chebyshev nodes of the first kind, (−1)ᵏ sin((2k+1)π/2p) (Berrut & Trefethen 2004,
/// doi:10.1137/S0036144502417715).
#[expect(clippy::cast_precision_loss, reason = "orders are below a hundred")]
pub(super) fn barycentric(p: usize) -> Vec<f64> {
    let sine = |k: usize| (std::f64::consts::PI * (2 * k + 1) as f64 / (2 * p) as f64).sin();
    (0..p).map(|k| if k.is_multiple_of(2) { sine(k) } else { -sine(k) }).collect()
}

/// The Lagrange polynomials of some nodes at one place, by the second barycentric formula.
pub(super) fn lagrange(nodes: &[f64], weights: &[f64], at: f64, out: &mut [f64]) {
    if let Some(k) = nodes.iter().position(|&node| node == at) {
        out.fill(0.0);
        out[k] = 1.0;
        return;
    }
    let mut sum = 0.0;
    for ((value, weight), node) in out.iter_mut().zip(weights).zip(nodes) {
        *value = weight / (at - node);
        sum += *value;
    }
    let scale = 1.0 / sum;
    out.iter_mut().for_each(|value| *value *= scale);
}

impl Lagrange {
    pub(super) fn is_empty(&self) -> bool {
        self.by_node.is_empty()
    }

    fn new(from: &Interval, targets: &[f64]) -> Self {
        let p = from.nodes.len();
        let weights = barycentric(p);
        let (mut by_node, mut by_target) =
            (vec![0.0; p * targets.len()], vec![0.0; p * targets.len()]);
        for (t, (&target, row)) in targets.iter().zip(by_target.chunks_exact_mut(p)).enumerate() {
            lagrange(&from.nodes, &weights, target, row);
            for k in 0..p {
                by_node[k * targets.len() + t] = row[k];
            }
        }
        Self { by_node, by_target }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn line(n: usize) -> Vec<f64> {
        (0..n).map(|c| 73.0 + 62.0 * c as f64 / n as f64).collect()
    }

    #[test]
    fn tiles_and_leaves_cover_the_axis_in_order() {
        for (n, tile, leaf) in [(1, 128, 64), (1400, 128, 64), (257, 128, 16), (100, 128, 100)] {
            let tree = AxisTree::new(&line(n), tile, leaf, 8);
            let mut next = 0;
            for interval in tree.intervals.iter().filter(|i| i.halves.is_none()) {
                assert_eq!(interval.cells.start, next);
                assert!(interval.cells.len() <= leaf);
                assert_eq!(interval.cells.start / tile, (interval.cells.end - 1) / tile);
                next = interval.cells.end;
            }
            assert_eq!(next, n);
        }
    }

    #[test]
    fn a_polynomial_is_handed_down_and_to_the_cells_exactly() {
        let axis = line(700);
        let tree = AxisTree::new(&axis, 128, 64, 8);
        let polynomial = |x: f64| {
            let t = (x - 100.0) / 40.0;
            ((t - 0.3) * t + 0.7) * t.powi(5) + 2.0
        };
        let carry = |lagrange: &Lagrange, values: &[f64]| -> Vec<f64> {
            let row = |row: &[f64]| row.iter().zip(values).map(|(a, b)| a * b).sum();
            lagrange.by_target.chunks(values.len()).map(row).collect()
        };
        let mut here = 0;
        let mut values: Vec<f64> = tree.at(0).nodes.iter().map(|&x| polynomial(x)).collect();
        while let Some([_, right]) = tree.at(here).halves {
            here = right;
            values = carry(&tree.at(here).down, &values);
        }
        let cells = carry(&tree.at(here).to_cells, &values);
        for (&x, value) in axis[tree.at(here).cells.clone()].iter().zip(cells) {
            // Four steps, each a sum of 8 products of size 2 at most.
            assert!((value - polynomial(x)).abs() < 1e-13);
        }
    }
}
