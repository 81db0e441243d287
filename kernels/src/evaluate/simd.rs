//! Evaluation on lanes: blocks of cells, and for each of them blocks of stations.
//!
//! For a block of cells (one to three vectors of them) and a block of stations:
//!
//! 1. [`squared_distances`] fills a panel, stations × vectors, that stays in the first-level cache;
//! 2. [`phi::apply`] turns the panel into φ, in place;
//! 3. [`add_product`] adds weights × panel to the sums of all fields, a few fields a pass.
//!
//! So φ is computed once for all fields, only step 2 is compiled once per kernel, and only step 3
//! once per number of fields. Rows are padded to whole vectors: a cell goes through the same
//! operations wherever it sits in a call.

use std::cell::RefCell;

use pulp::NullaryFnOnce;

use super::lanes::Lanes;
use super::{Axis, Surface, Targets, phi};

/// Stations a block. The panel takes 12 kB with 512-bit vectors, well inside any first-level
/// cache; on AMD Zen 4, 16 cost 4 % more. Each block is summed from zero, which keeps rounding
/// errors from growing with the number of stations.
pub(super) const BLOCK: usize = 64;

/// Vectors of cells a block; with [`Lanes::FIELDS`] it fills the registers.
pub(super) const VECTORS: usize = 3;

/// Numbers of the longest vector.
const MOST_LANES: usize = 8;

/// Vectors on a cache line's boundary.
#[repr(align(64))]
struct Aligned<T>(T);

/// Room for φ of a block.
type Panel = Aligned<[f64; BLOCK * VECTORS * MOST_LANES]>;

/// Adds the sum over stations for all fields at all targets: `out[f * stride + c]`.
pub(super) fn add_sum<L: Lanes>(
    l: L,
    surface: &Surface,
    targets: Targets<'_>,
    stride: usize,
    out: &mut [f64],
) {
    // A few fields, as most maps have, take no memory but this.
    let mut few = [l.of(0.0); FEW_SUMS];
    let mut many = Vec::new();
    let sums = if surface.fields * VECTORS <= FEW_SUMS {
        &mut few[..]
    } else {
        many.resize(surface.fields * VECTORS, l.of(0.0));
        &mut many[..]
    };
    PANEL.with_borrow_mut(|(panel, offsets)| {
        let panel = pulp::bytemuck::cast_slice_mut(&mut panel.0);
        let row = Row::new(surface, targets, offsets);
        blocks(l, &row, targets.len, stride, sums, panel, out);
    });
}

/// Sums that need no memory of their own.
const FEW_SUMS: usize = 4 * VECTORS;

thread_local! {
    /// φ of a block, and the offsets of a row. Kept: clearing the first takes as long as ten stations, and rows
    /// of a small box of cells are short.
    static PANEL: RefCell<(Box<Panel>, Vec<f64>)> =
        RefCell::new((Box::new(Aligned([0.0; BLOCK * VECTORS * MOST_LANES])), Vec::new()));
}

/// All blocks of cells of a row.
fn blocks<L: Lanes>(
    l: L,
    row: &Row<'_>,
    len: usize,
    stride: usize,
    sums: &mut [L::f64s],
    panel: &mut [L::f64s],
    out: &mut [f64],
) {
    let mut start = 0;
    while start < len {
        let left = (len - start).div_ceil(L::F64_LANES);
        let cells = Cells { row, start, stride, out: &mut *out };
        match left {
            1 => cells.evaluate::<L, 1>(l, sums, panel),
            2 => cells.evaluate::<L, 2>(l, sums, panel),
            _ => cells.evaluate::<L, VECTORS>(l, sums, panel),
        }
        start += left.min(VECTORS) * L::F64_LANES;
    }
}

/// What all blocks of cells of a call share.
struct Row<'a> {
    surface: &'a Surface,
    len: usize,
    /// Stations' and targets' coordinates on the axes along which targets differ, of which there are so many.
    axes: [(&'a [f64], &'a [f64]); 3],
    varying: usize,
    /// What the other axes contribute to the squared distance of each station.
    offsets: &'a [f64],
}

impl<'a> Row<'a> {
    fn new(surface: &'a Surface, targets: Targets<'a>, offsets: &'a mut Vec<f64>) -> Self {
        let (mut axes, mut varying) = ([(&[][..], &[][..]); 3], 0);
        offsets.clear();
        offsets.resize(surface.stations.len(), 0.0);
        for (k, axis) in targets.axes.iter().enumerate() {
            let stations = surface.stations.axis(k);
            match axis {
                Axis::Each(values) => {
                    axes[varying] = (stations, *values);
                    varying += 1;
                }
                Axis::Same(value) => {
                    for (offset, station) in offsets.iter_mut().zip(stations) {
                        *offset += (value * surface.scale - station).powi(2);
                    }
                }
            }
        }
        Self { surface, len: targets.len, axes, varying, offsets }
    }

    fn varying(&self) -> &[(&'a [f64], &'a [f64])] {
        &self.axes[..self.varying]
    }
}

/// One block of cells.
struct Cells<'a> {
    row: &'a Row<'a>,
    start: usize,
    stride: usize,
    out: &'a mut [f64],
}

impl Cells<'_> {
    fn evaluate<L: Lanes, const C: usize>(self, l: L, sums: &mut [L::f64s], panel: &mut [L::f64s]) {
        let Row { surface, offsets, .. } = self.row;
        let varying = self.row.varying();
        let fields = surface.fields;
        let apply = phi::apply::<L>(surface.kernel, surface.metric);
        let targets = self.targets::<L, C>(l);
        let sums = &mut sums.as_chunks_mut::<C>().0[..fields];
        sums.fill([l.of(0.0); C]);
        let panel = panel.as_chunks_mut::<C>().0;
        for first in (0..offsets.len()).step_by(BLOCK) {
            let block = first..(first + BLOCK).min(offsets.len());
            let panel = &mut panel[..block.len()];
            let mut axes = [&[][..]; 3];
            for (axis, (stations, _)) in axes.iter_mut().zip(varying) {
                *axis = &stations[block.clone()];
            }
            let axes = &axes[..varying.len()];
            squared_distances(l, axes, &targets, &offsets[block.clone()], panel);
            apply(l, panel.as_flattened_mut(), surface.epsilon);
            let weights = &surface.weights[block.start * fields..block.end * fields];
            add_products(l, panel, weights, sums);
        }
        self.store(l, sums);
    }

    /// The scaled coordinates of the cells, padded with the last.
    fn targets<L: Lanes, const C: usize>(&self, l: L) -> [[L::f64s; C]; 3] {
        let mut vectors = [[l.of(0.0); C]; 3];
        let end = (self.start + C * L::F64_LANES).min(self.row.len);
        for (axis, (_, values)) in vectors.iter_mut().zip(self.row.varying()) {
            let lanes: &mut [f64] = pulp::bytemuck::cast_slice_mut(axis);
            lanes.fill(values[end - 1] * self.row.surface.scale);
            for (lane, value) in lanes.iter_mut().zip(&values[self.start..end]) {
                *lane = value * self.row.surface.scale;
            }
        }
        vectors
    }

    /// Adds the sums, times the factor that [`phi`] left out, without the padding.
    fn store<L: Lanes, const C: usize>(self, _: L, sums: &[[L::f64s; C]]) {
        let factor = phi::factor(self.row.surface.kernel);
        for (f, sums) in sums.iter().enumerate() {
            let lanes: &[f64] = pulp::bytemuck::cast_slice(sums);
            let row = &mut self.out[f * self.stride..][..self.row.len];
            for (value, sum) in row[self.start..].iter_mut().zip(lanes) {
                *value += factor * sum;
            }
        }
    }
}

/// `panel[i][v]` = offsets[i] + Σ over axes of (target − station i)², for as many axes as vary.
pub(super) fn squared_distances<L: Lanes, const C: usize>(
    l: L,
    stations: &[&[f64]],
    targets: &[[L::f64s; C]; 3],
    offsets: &[f64],
    panel: &mut [[L::f64s; C]],
) {
    match *stations {
        [] => l.vectorize(Distances { l, stations: [], targets, offsets, panel }),
        [x] => l.vectorize(Distances { l, stations: [x], targets, offsets, panel }),
        [x, y] => l.vectorize(Distances { l, stations: [x, y], targets, offsets, panel }),
        [x, y, z, ..] => l.vectorize(Distances { l, stations: [x, y, z], targets, offsets, panel }),
    }
}

struct Distances<'a, L: Lanes, const AXES: usize, const C: usize> {
    l: L,
    stations: [&'a [f64]; AXES],
    targets: &'a [[L::f64s; C]; 3],
    offsets: &'a [f64],
    panel: &'a mut [[L::f64s; C]],
}

impl<L: Lanes, const AXES: usize, const C: usize> NullaryFnOnce for Distances<'_, L, AXES, C> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { l, stations, targets, offsets, panel } = self;
        let n = panel.len();
        let (stations, offsets) = (stations.map(|axis| &axis[..n]), &offsets[..n]);
        for i in 0..n {
            let mut squared = [l.of(offsets[i]); C];
            for k in 0..AXES {
                let station = l.of(stations[k][i]);
                for v in 0..C {
                    let difference = l.minus(targets[k][v], station);
                    squared[v] = l.times_plus(difference, difference, squared[v]);
                }
            }
            panel[i] = squared;
        }
    }
}

/// `sums[f][v] += Σᵢ weights[i, f] panel[i][v]` for all fields, [`Lanes::FIELDS`] in a pass.
///
/// `weights`: as many rows as the panel, one entry per field in each.
pub(super) fn add_products<L: Lanes, const C: usize>(
    l: L,
    panel: &[[L::f64s; C]],
    weights: &[f64],
    sums: &mut [[L::f64s; C]],
) {
    let fields = sums.len();
    let mut first = 0;
    while first < fields {
        let here = &mut sums[first..];
        let weights = &weights[first..];
        let add = Product { l, panel, weights, fields, sums: here };
        first += match add.sums.len().min(L::FIELDS) {
            1 => add.run::<1>(),
            2 => add.run::<2>(),
            3 => add.run::<3>(),
            4 => add.run::<4>(),
            5 => add.run::<5>(),
            6 => add.run::<6>(),
            7 => add.run::<7>(),
            _ => add.run::<8>(),
        };
    }
}

struct Product<'a, L: Lanes, const C: usize> {
    l: L,
    panel: &'a [[L::f64s; C]],
    weights: &'a [f64],
    fields: usize,
    sums: &'a mut [[L::f64s; C]],
}

impl<L: Lanes, const C: usize> Product<'_, L, C> {
    fn run<const F: usize>(self) -> usize {
        self.l.vectorize(Pass::<L, C, F>(self));
        F
    }
}

struct Pass<'a, L: Lanes, const C: usize, const F: usize>(Product<'a, L, C>);

impl<L: Lanes, const C: usize, const F: usize> NullaryFnOnce for Pass<'_, L, C, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Product { l, panel, weights, fields, sums } = self.0;
        let mut block = [[l.of(0.0); C]; F];
        for (phi, weights) in panel.iter().zip(weights.chunks(fields)) {
            let weights = &weights[..F];
            for f in 0..F {
                let weight = l.of(weights[f]);
                for v in 0..C {
                    block[f][v] = l.times_plus(weight, phi[v], block[f][v]);
                }
            }
        }
        for (sums, block) in sums[..F].iter_mut().zip(block) {
            for v in 0..C {
                sums[v] = l.plus(sums[v], block[v]);
            }
        }
    }
}

/// `out[f, c] += Σₖ c[k, f] pₖ(x_c)`, cell by cell.
pub(super) fn add_drift(surface: &Surface, targets: Targets<'_>, out: &mut [f64]) {
    let fields = surface.fields;
    let mut terms = vec![0.0; surface.drift.terms()];
    match terms.len() {
        0 => return,
        // A constant needs no place.
        1 => {
            for (out, constant) in out.chunks_exact_mut(targets.len).zip(&surface.drift_weights) {
                out.iter_mut().for_each(|value| *value += constant);
            }
            return;
        }
        _ => {}
    }
    for c in 0..targets.len {
        surface.drift.at(targets.at(c), &mut terms);
        for f in 0..fields {
            let mut sum = 0.0;
            for (k, term) in terms.iter().enumerate() {
                sum += surface.drift_weights[k * fields + f] * term;
            }
            out[f * targets.len + c] += sum;
        }
    }
}
