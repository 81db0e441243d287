//! The planar Gaussian where two axes cross: exp(−ε²(dx² + dy²)) = exp(−ε²dy²) · exp(−ε²dx²). A station
//! takes one factor for each row and one for each column instead of an exp for each cell, and all of
//! them a product of matrices: F = E_y diag(w) E_xᵀ.
//!
//! No approximation: the same operations but for the order of two roundings, so the bound is that of
//! [`Evaluator::evaluate`](super::Evaluator::evaluate). Stations go in the same blocks, each summed from
//! zero, and one is left out only where its factor is 0 on all rows or on all columns: which cells go
//! together changes no bit.

use std::cell::RefCell;

use pulp::NullaryFnOnce;

use super::far::Product;
use super::functions::exp;
use super::lanes::Lanes;
use super::simd::BLOCK;
use super::{Axis, GridRows, Surface, Targets, simd};
use crate::{Kernel, Metric};

/// Vectors of columns that go through all rows before the next: with the factors of a block they stay in the
/// first-level cache.
const VECTORS: usize = 4;

/// Fields whose sums are kept at a time: 1 MB with tiles of 128 × 128 cells, about the second-level cache.
const FIELDS: usize = 8;

/// exp(−x) is 0 from here on.
const NOTHING: f64 = 746.0;

impl Surface {
    /// Whether φ is a product of a factor in x and one in y.
    #[must_use]
    pub fn is_separable(&self) -> bool {
        let gaussian = self.kernel == Kernel::Gaussian && self.metric == Metric::Planar;
        gaussian && !self.is_stretched()
    }
}

/// Sums over the stations of a separable surface at all crossings of `x` and `y`, to be added to
/// `out[f * plane + row * stride + column]`.
pub(super) struct Crossed<'a> {
    pub(super) surface: &'a Surface,
    pub(super) x: &'a [f64],
    pub(super) y: &'a [f64],
    pub(super) stride: usize,
    pub(super) plane: usize,
    pub(super) out: &'a mut [f64],
}

/// What a thread keeps from tile to tile.
#[derive(Default)]
struct Buffers {
    /// Scaled coordinates of the columns, padded with the last.
    columns: Vec<f64>,
    /// Which stations of a block are there, and their coordinates, padded likewise.
    here: Vec<usize>,
    stations: [Vec<f64>; 2],
    /// Factors of the rows: rows × stations, padded.
    upright: Vec<f64>,
    /// The same times the weights of a field, not padded.
    weighted: Vec<f64>,
    /// Factors of the columns: stations × columns, some vectors of columns after the others.
    across: Vec<f64>,
    /// Fields × rows × padded columns.
    sums: Vec<f64>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

impl Crossed<'_> {
    pub(super) fn run<L: Lanes>(mut self, l: L) {
        if self.x.is_empty() || self.y.is_empty() {
            return;
        }
        BUFFERS.with_borrow_mut(|buffers| {
            for first in (0..self.surface.fields).step_by(FIELDS) {
                self.some_fields(l, first, buffers);
            }
        });
    }

    fn some_fields<L: Lanes>(&mut self, l: L, first: usize, buffers: &mut Buffers) {
        let (surface, rows) = (self.surface, self.y.len());
        let fields = FIELDS.min(surface.fields - first);
        buffers.columns.clear();
        buffers.columns.extend(self.x.iter().map(|x| x * surface.scale));
        pad(&mut buffers.columns, L::F64_LANES);
        let width = buffers.columns.len();
        buffers.sums.clear();
        buffers.sums.resize(fields * rows * width, 0.0);
        for start in (0..surface.stations.len()).step_by(BLOCK) {
            if !self.factors(l, start, buffers) {
                continue;
            }
            let count = buffers.here.len();
            for (f, sums) in buffers.sums.chunks_exact_mut(rows * width).enumerate() {
                buffers.weighted.clear();
                let weight = |&i: &usize| surface.weights[i * surface.fields + first + f];
                let weights: [f64; BLOCK] =
                    std::array::from_fn(|k| buffers.here.get(k).map_or(0.0, weight));
                for row in buffers.upright.chunks_exact(buffers.stations[1].len()) {
                    let products = row[..count].iter().zip(&weights).map(|(e, w)| e * w);
                    buffers.weighted.extend(products);
                }
                let mut across = &buffers.across[..];
                for column in (0..width).step_by(VECTORS * L::F64_LANES) {
                    let columns = (width - column).min(VECTORS * L::F64_LANES);
                    let (b, others) = across.split_at(count * columns);
                    across = others;
                    Product {
                        rows,
                        inner: count,
                        columns,
                        a: &buffers.weighted,
                        b,
                        out: &mut sums[column..],
                        stride: width,
                        add: true,
                    }
                    .run(l);
                }
            }
        }
        for (f, sums) in buffers.sums.chunks_exact(rows * width).enumerate() {
            let out = self.out[(first + f) * self.plane..].chunks_mut(self.stride);
            for (out, sums) in out.zip(sums.chunks_exact(width)) {
                out.iter_mut().zip(&sums[..self.x.len()]).for_each(|(out, sum)| *out += sum);
            }
        }
    }

    /// The factors of a block of stations; false where all are 0.
    fn factors<L: Lanes>(&self, l: L, start: usize, buffers: &mut Buffers) -> bool {
        let Surface { stations, scale, .. } = self.surface;
        let range = |axis: &[f64]| {
            axis.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| {
                (l.min(v * scale), h.max(v * scale))
            })
        };
        let ((west, east), (south, north)) = (range(self.x), range(self.y));
        let nothing = |at: f64, low: f64, high: f64| {
            let gap = (low - at).max(at - high).max(0.0);
            gap * gap >= NOTHING
        };
        let (x, y) = (stations.axis(0), stations.axis(1));
        let block = start..(start + BLOCK).min(stations.len());
        buffers.here.clear();
        // A field that could not be solved is NaN, however far away.
        let lost = |i: usize| {
            let fields = self.surface.fields;
            self.surface.weights[i * fields..][..fields].iter().any(|w| w.is_nan())
        };
        let here =
            |&i: &usize| lost(i) || !nothing(x[i], west, east) && !nothing(y[i], south, north);
        buffers.here.extend(block.filter(here));
        if buffers.here.is_empty() {
            return false;
        }
        for (stations, axis) in buffers.stations.iter_mut().zip([x, y]) {
            stations.clear();
            stations.extend(buffers.here.iter().map(|&i| axis[i]));
            pad(stations, L::F64_LANES);
        }
        let [x, y] = &buffers.stations;
        buffers.upright.clear();
        for row in self.y {
            factors(l, y, row * scale, &mut buffers.upright);
        }
        buffers.across.clear();
        for columns in buffers.columns.chunks(VECTORS * L::F64_LANES) {
            for station in &x[..buffers.here.len()] {
                factors(l, columns, *station, &mut buffers.across);
            }
        }
        true
    }
}

/// Repeats the last number up to whole vectors.
fn pad(numbers: &mut Vec<f64>, lanes: usize) {
    if let Some(&last) = numbers.last() {
        numbers.resize(numbers.len().next_multiple_of(lanes), last);
    }
}

/// Appends exp(−(all − one)²).
fn factors<L: Lanes>(l: L, all: &[f64], one: f64, to: &mut Vec<f64>) {
    let start = to.len();
    to.resize(start + all.len(), 0.0);
    l.vectorize(Factors { l, all, one, out: &mut to[start..] });
}

struct Factors<'a, L: Lanes> {
    l: L,
    all: &'a [f64],
    one: f64,
    out: &'a mut [f64],
}

impl<L: Lanes> NullaryFnOnce for Factors<'_, L> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { l, all, one, out } = self;
        let (all, _) = L::as_simd_f64s(all);
        let (out, _) = L::as_mut_simd_f64s(out);
        let one = l.of(one);
        for (out, &at) in out.iter_mut().zip(all) {
            let difference = l.minus(at, one);
            *out = exp(l, l.less_times(l.of(0.0), difference, difference));
        }
    }
}

/// Adds the drift at all crossings of some rows and columns of a grid.
pub(super) fn add_drift(
    surface: &Surface,
    grid: &GridRows<'_>,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    out: &mut [f64],
) {
    let (x, y) = grid.axes();
    let (width, height) = (columns.len(), rows.len());
    let mut row = vec![0.0; surface.fields * width];
    for (r, &y) in y[rows].iter().enumerate() {
        row.fill(0.0);
        let axes = [Axis::Each(&x[columns.clone()]), Axis::Same(y)];
        simd::add_drift(surface, Targets { axes: &axes, len: width }, &mut row);
        for (f, drift) in row.chunks_exact(width).enumerate() {
            let out = &mut out[(f * height + r) * width..][..width];
            out.iter_mut().zip(drift).for_each(|(out, drift)| *out += drift);
        }
    }
}
