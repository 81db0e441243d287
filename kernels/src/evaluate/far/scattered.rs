//! Fast evaluation at places that form no grid: they are sorted into bins, and the bins are the
//! cells of the tree. A place takes its value from the nodes of its bin.

use std::ops::Range;
use std::sync::Arc;

use faer::Par;
use rayon::prelude::*;

use super::axis::{barycentric, lagrange};
use super::{
    Admission, AxisTree, Far, Node, Product, Promise, Scheme, Sources, Tail, Work, sources,
};
use crate::evaluate::{Axis, Evaluator, Surface, Targets};

/// Places of a bin, on average.
const CROWD: usize = 64;

/// A surface and some places.
#[derive(Debug)]
pub struct Scattered<'a> {
    far: Far<'a>,
    x: &'a [f64],
    y: &'a [f64],
    across: usize,
    /// Places of each bin, row by row.
    bins: Vec<Vec<u32>>,
}

/// Values at some of the places: `values[f * places.len() + k]` at place `places[k]`.
struct Part {
    places: Vec<u32>,
    values: Vec<f64>,
    bound: Vec<f64>,
    tail: Vec<f64>,
}

impl<'a> Scattered<'a> {
    /// Sorts places (degrees east and north, or of the plane) into bins. `scheme.leaf` is not
    /// heeded.
    #[must_use]
    pub fn new(
        surface: &'a Surface,
        evaluator: Evaluator,
        x: &'a [f64],
        y: &'a [f64],
        scheme: Scheme,
    ) -> Self {
        assert_eq!(x.len(), y.len(), "one coordinate per place");
        let bounds = [x, y].map(|axis| {
            axis.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)))
        });
        let [across, down] = shape(x.len(), bounds);
        let [wide, high] = [(bounds[0], across), (bounds[1], down)].map(|(b, n)| edges(b, n));
        let bin =
            |edges: &[f64], at: f64| edges[1..edges.len() - 1].partition_point(|&edge| edge <= at);
        let mut bins = vec![Vec::new(); across * down];
        for (i, (&x, &y)) in x.iter().zip(y).enumerate() {
            let place = u32::try_from(i).unwrap_or(u32::MAX);
            bins[bin(&high, y) * across + bin(&wide, x)].push(place);
        }
        let far = Far {
            surface,
            evaluator,
            rows: None,
            x: Arc::new(AxisTree::of_bins(&wide, scheme.order)),
            y: Arc::new(AxisTree::of_bins(&high, scheme.order)),
            tile: [1, 1],
            scheme,
            sources: Sources::new(
                surface,
                sources::places(surface).into(),
                scheme.order,
                super::CLOSELY,
            ),
            admission: Admission::new(surface.kernel, surface.epsilon, surface.metric, scheme.rho),
            promise: Promise::new(surface, scheme.order, scheme.rho),
            tail: Tail::new(scheme.order, scheme.rho),
            sizes: surface.sizes(),
            lost: surface.lost(),
            known: None,
        };
        Self { far, x, y, across, bins }
    }

    /// Evaluates all places, `out[f * places + i]`, and says what is known of the errors (pairs are not
    /// counted). Bins go side by side only where `par` says so.
    ///
    /// # Panics
    /// If `out` has not that length: a bug of the caller.
    pub fn evaluate(&self, out: &mut [f64], par: Par) -> Work {
        let n = self.x.len();
        assert_eq!(out.len(), self.far.surface.fields * n);
        let mut work = Work::new(self.far.surface.fields);
        if n == 0 {
            return work;
        }
        for part in self.parts(self.far.root(), par) {
            work.add(&part.bound, &part.tail);
            let fields = out.chunks_exact_mut(n).zip(part.values.chunks_exact(part.places.len()));
            for (out, values) in fields {
                for (&place, value) in part.places.iter().zip(values) {
                    out[place as usize] = *value;
                }
            }
        }
        self.far.leave_out(&mut work);
        work
    }

    fn parts(&self, node: Node, par: Par) -> Vec<Part> {
        let (rows, columns) = self.far.cells(&node);
        if self.places(&rows, &columns).next().is_none() {
            return Vec::new();
        }
        let parts = self.far.parts(&node);
        if parts.is_empty() {
            let node = self.far.enter(node, true);
            return vec![self.bin(node, self.places(&rows, &columns).collect())];
        }
        match par {
            Par::Seq => parts.into_iter().flat_map(|part| self.parts(part, par)).collect(),
            Par::Rayon(_) => {
                parts.into_par_iter().flat_map_iter(|part| self.parts(part, par)).collect()
            }
        }
    }

    fn places(&self, rows: &Range<usize>, columns: &Range<usize>) -> impl Iterator<Item = u32> {
        let bins = rows.clone().flat_map({
            let columns = columns.clone();
            move |row| &self.bins[row * self.across..][columns.clone()]
        });
        bins.flatten().copied()
    }

    /// The places of one bin: from the nodes, and to that the stations still waiting, exactly.
    fn bin(&self, mut node: Node, places: Vec<u32>) -> Part {
        let tail = self.far.told(&node);
        self.far.add_drift(&mut node);
        let (fields, n) = (self.far.surface.fields, places.len());
        let mut values = vec![0.0; fields * n];
        if !node.sums.is_empty() {
            self.interpolate(&node, &places, &mut values);
        }
        if !node.waiting.is_empty() {
            let pick = |axis: &[f64]| -> Vec<f64> {
                places.iter().map(|&place| axis[place as usize]).collect()
            };
            let points = self.far.surface.metric.embed(&pick(self.x), &pick(self.y));
            let axes: Vec<Axis<'_>> =
                (0..points.dims()).map(|k| Axis::Each(points.axis(k))).collect();
            let targets = Targets { axes: &axes, len: n };
            self.far.evaluator.add_sum(&self.far.near(&node), targets, n, &mut values);
        }
        self.far.lost.iter().for_each(|f| values[f * n..][..n].fill(f64::NAN));
        Part { places, values, bound: node.bound, tail }
    }

    /// Σ over both axes of the nodes' sums times Lagrange polynomials.
    fn interpolate(&self, node: &Node, places: &[u32], values: &mut [f64]) {
        let [across, down] = [self.far.x.at(node.x), self.far.y.at(node.y)];
        let (p, q) = (across.nodes.len(), down.nodes.len());
        let (fields, n) = (self.far.surface.fields, places.len());
        let weights = [p, q].map(barycentric);
        let mut along = vec![0.0; n * p];
        for (&i, along) in places.iter().zip(along.chunks_exact_mut(p)) {
            lagrange(&across.nodes, &weights[0], self.x[i as usize], along);
        }
        // [x][y][field]: one product for all fields.
        let columns = q * fields;
        let mut turned = vec![0.0; p * columns];
        for (f, sums) in node.sums.chunks_exact(p * q).enumerate() {
            for (y, row) in sums.chunks_exact(p).enumerate() {
                for (x, sum) in row.iter().enumerate() {
                    turned[x * columns + y * fields + f] = *sum;
                }
            }
        }
        let mut half = vec![0.0; n * columns];
        self.far.evaluator.multiply(Product {
            rows: n,
            inner: p,
            columns,
            a: &along,
            b: &turned,
            out: &mut half,
            stride: columns,
            add: false,
        });
        let (mut upright, mut sums) = (vec![0.0; q], vec![0.0; fields]);
        for (k, (&place, half)) in places.iter().zip(half.chunks_exact(columns)).enumerate() {
            lagrange(&down.nodes, &weights[1], self.y[place as usize], &mut upright);
            sums.fill(0.0);
            for (factor, row) in upright.iter().zip(half.chunks_exact(fields)) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += factor * value);
            }
            for (f, sum) in sums.iter().enumerate() {
                values[f * n + k] = *sum;
            }
        }
    }
}

/// Bins across and down, about as wide as high, with [`CROWD`] places each if these are spread
/// evenly.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few thousand bins"
)]
fn shape(places: usize, [x, y]: [(f64, f64); 2]) -> [usize; 2] {
    let bins = (places / CROWD).clamp(1, 1 << 20) as f64;
    let (wide, high) = ((x.1 - x.0).max(0.0), (y.1 - y.0).max(0.0));
    match (wide > 0.0, high > 0.0) {
        (false, false) => [1, 1],
        (true, false) => [bins as usize, 1],
        (false, true) => [1, bins as usize],
        (true, true) => {
            let across = (bins * wide / high).sqrt().clamp(1.0, bins);
            [across as usize, (bins / across).max(1.0) as usize]
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand bins")]
fn edges((low, high): (f64, f64), bins: usize) -> Vec<f64> {
    let at = |k: usize| low + (high - low) * (k as f64 / bins as f64);
    (0..bins).map(at).chain([high]).collect()
}
