//! The last step of a fast evaluation: the cells of a leaf from its nodes, and near stations exactly.

use super::product::Product;
use super::{Far, Node, Scratch};
use crate::evaluate::crossed::Crossed;
use crate::evaluate::{Surface, simd};

/// Where in the values of a tile a leaf stands.
pub(super) struct Plane<'a> {
    pub(super) out: &'a mut [f64],
    pub(super) start: usize,
    pub(super) stride: usize,
    pub(super) plane: usize,
}

impl Far<'_> {
    /// The cells of a leaf: from the nodes, and to that the stations still waiting, exactly.
    pub(super) fn leaf(&self, node: Node, scratch: &mut Scratch, plane: &mut Plane<'_>) {
        let [width, height] = [self.x.at(node.x), self.y.at(node.y)].map(|axis| axis.cells.len());
        self.sum_leaf(node, scratch, plane);
        for f in &self.lost {
            let rows = plane.out[f * plane.plane + plane.start..].chunks_mut(plane.stride);
            rows.take(height).for_each(|row| row[..width].fill(f64::NAN));
        }
    }

    fn sum_leaf(&self, mut node: Node, scratch: &mut Scratch, plane: &mut Plane<'_>) {
        let (x, y) = (self.x.at(node.x), self.y.at(node.y));
        let (fields, width, height) = (self.surface.fields, x.cells.len(), y.cells.len());
        let (p, q) = (x.nodes.len(), y.nodes.len());
        let Scratch { axes, half } = scratch;
        self.add_drift(&mut node);
        for f in 0..fields {
            let out = &mut plane.out[f * plane.plane + plane.start..];
            let Some(sums) = node.sums.get(f * p * q..).filter(|sums| !sums.is_empty()) else {
                out.chunks_mut(plane.stride).take(height).for_each(|row| row[..width].fill(0.0));
                continue;
            };
            // Along the rows first: then both products have as many columns as the leaf.
            half.resize(q * width, 0.0);
            self.product(q, p, width, &sums[..p * q], &x.to_cells.by_node, half);
            self.evaluator.multiply(Product {
                rows: height,
                inner: q,
                columns: width,
                a: &y.to_cells.by_target,
                b: half,
                out,
                stride: plane.stride,
                add: false,
            });
        }
        let Some(rows) = self.rows.filter(|_| !node.waiting.is_empty()) else { return };
        let near = self.near(&node);
        if near.is_separable() {
            let (all_x, all_y) = rows.axes();
            self.evaluator.add_crossed(Crossed {
                surface: &near,
                x: &all_x[x.cells.clone()],
                y: &all_y[y.cells.clone()],
                stride: plane.stride,
                plane: plane.plane,
                out: &mut plane.out[plane.start..],
            });
            return;
        }
        for (r, row) in y.cells.clone().enumerate() {
            let out = &mut plane.out[plane.start + r * plane.stride..];
            rows.with(row, x.cells.clone(), axes, |targets| {
                self.evaluator.add_sum(&near, targets, plane.plane, out);
            });
        }
    }

    /// The stations still waiting at a leaf.
    pub(super) fn near(&self, leaf: &Node) -> Surface {
        let stations: Vec<u32> = leaf.waiting.iter().filter_map(|s| s.as_station()).collect();
        self.surface.only(&stations, &[])
    }

    /// The drift on the nodes of a leaf: a polynomial in space, smooth on any box.
    pub(super) fn add_drift(&self, node: &mut Node) {
        let terms = self.surface.drift.terms();
        if terms == 0 {
            return;
        }
        self.with_nodes((node.x, node.y), |targets| {
            node.sums.resize(self.surface.fields * targets.len, 0.0);
            simd::add_drift(self.surface, targets, &mut node.sums);
        });
    }
}
