//! Which Bernstein ellipse ρ* is cheapest for a kernel and a metric: the fast evaluation of 1400 × 1000
//! cells on one thread, with the least order that keeps an eighth of the tolerance (or what rounding leaves
//! of it) on a cell in each of 1408 blocks.
//!
//!     ellipses READINGS KERNEL METRIC RHO...
//!
//! maps 73…135° east, 18…54° north, and prints a row for each ρ* and tolerance: kernel, metric, ε per degree,
//! tolerance, ρ*, order, seconds of the processor, pairs of a station and a cell or node for each cell, and the
//! largest error seen, relative to the range of the readings. `benches/sweeps.py --ellipses` keeps them.

use std::path::PathBuf;

use isopleth_engine::grid::Size;
use isopleth_engine::kernels::evaluate::far::{Far, Scheme, Scratch};
use isopleth_engine::kernels::evaluate::{Axis, GridRows, Targets as Row};
use isopleth_engine::kernels::{Evaluator, Factor, Kernel, Mat, Method, Metric, Par, Surface};
use isopleth_engine::{
    Choice, Error, Grid, Limits, Observations, Plan, ReadOptions, Registration, Settings, Source,
    Targets,
};

const TOLERANCES: [f64; 3] = [1e-3, 1e-6, 1e-9];

const TURNS: u32 = 8;

/// Shapes per degree, such that kernels reach a few stations: smaller ones make systems whose rounding
/// errors hide the tolerances.
fn shape(kernel: Kernel) -> Option<f64> {
    match kernel {
        Kernel::Linear | Kernel::ThinPlateSpline | Kernel::Cubic | Kernel::Quintic => None,
        Kernel::Multiquadric | Kernel::InverseMultiquadric | Kernel::InverseQuadratic => Some(5.0),
        Kernel::Gaussian => Some(3.0),
        Kernel::Exponential | Kernel::WendlandC2 | Kernel::WendlandC4 => Some(0.5),
        Kernel::Matern32 | Kernel::Matern52 => Some(1.0),
    }
}

/// Seconds that this thread has had of a processor: on a busy machine the clock says little.
fn seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

struct Map<'a> {
    surface: &'a Surface,
    rows: &'a GridRows<'a>,
    tile: [usize; 2],
    /// A cell in each of some blocks, and the exact values there: `[field][cell]`.
    cells: Vec<(usize, usize)>,
    exact: Vec<f64>,
    ranges: &'a [f64],
}

/// What an evaluation took, and how good it was.
struct Told {
    seconds: f64,
    pairs: u64,
    error: f64,
}

impl Map<'_> {
    fn evaluate(&self, scheme: Scheme) -> Told {
        let (width, height) = (self.rows.axes().0.len(), self.rows.axes().1.len());
        let (plane, fields) = (width * height, self.surface.fields());
        let mut all = vec![0.0; fields * plane];
        let (mut scratch, mut values, mut pairs) = (Scratch::default(), Vec::new(), 0);
        let start = seconds();
        let far = Far::new(self.surface, Evaluator::new(), self.rows, self.tile, scheme);
        let mut boxes = vec![far.root()];
        let mut outside = 0.0;
        while let Some(node) = boxes.pop() {
            let parts = far.parts(&node);
            if parts.is_empty() {
                let (r, c) = far.cells(&node);
                values.resize(fields * r.len() * c.len(), 0.0);
                pairs += far.evaluate(node, &mut scratch, &mut values).pairs;
                let before = seconds();
                for (k, line) in values.chunks(c.len()).enumerate() {
                    let (field, row) = (k / r.len(), r.start + k % r.len());
                    all[field * plane + row * width + c.start..][..c.len()].copy_from_slice(line);
                }
                outside += seconds() - before;
            }
            boxes.extend(parts);
        }
        let seconds = seconds() - start - outside;
        let differences = self.exact.iter().enumerate().map(|(k, exact)| {
            let (field, (row, column)) = (k / self.cells.len(), self.cells[k % self.cells.len()]);
            (all[field * plane + row * width + column] - exact).abs() / self.ranges[field]
        });
        Told { seconds, pairs, error: differences.fold(0.0, f64::max) }
    }

    /// The least order that keeps a goal.
    fn least_order(&self, rho: f64, goal: f64) -> (Scheme, Told) {
        let order = ((0.5 * f64::ln(1.0 / goal) / rho.ln()) as usize).max(3);
        let mut scheme = Scheme { order, rho, leaf: 16 };
        let mut told = self.evaluate(scheme);
        while told.error > goal && scheme.order < 60 {
            let more = (f64::ln(told.error / goal) / rho.ln() / 1.5) as usize;
            scheme.order += more.max(1);
            told = self.evaluate(scheme);
        }
        (scheme, told)
    }
}

fn main() -> Result<(), Error> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [readings, kernel, metric, ellipses @ ..] = words.as_slice() else {
        eprintln!("ellipses READINGS KERNEL METRIC RHO...");
        std::process::exit(2);
    };
    let (kernel, metric): (Kernel, Metric) = (kernel.parse()?, metric.parse()?);
    let planar = !metric.is_spherical();
    let degrees = shape(kernel);
    let epsilon = degrees.map(|e| if planar { e } else { e / 111.2 });
    let method = Method { kernel, epsilon, metric, ..Method::default() };
    let options = ReadOptions { planar, ..ReadOptions::default() };
    let observations = Observations::read(vec![Source::File(PathBuf::from(readings))], options)?;
    let size = Size::Shape { nx: 1400, ny: 1000 };
    let bounds = [73.0, 18.0, 135.0, 54.0];
    let grid = Grid::from_bounds(bounds, size, Registration::Gridline, !planar)?;
    let targets = Targets::Grid(grid.clone());
    let settings = Settings { method: Choice::Told(method.clone()), ..Settings::default() };
    let plan = Plan::new(observations, targets, settings, &Limits::default())?;

    let (n, fields) = (plan.network.stations().len(), plan.observations.times().len().min(8));
    let (mut received, mut merged) = (Vec::new(), Vec::new());
    let mut values = Mat::zeros(n, fields);
    let mut ranges = Vec::new();
    for step in 0..fields {
        plan.observations.step(step, &mut received)?;
        plan.network.values(&received, 1, &mut merged);
        values.col_as_slice_mut(step).copy_from_slice(&merged);
        let present = || merged.iter().copied().filter(|v| !v.is_nan());
        ranges.push(present().fold(0.0, f64::max) - present().fold(f64::INFINITY, f64::min));
    }
    let method = method.resolve(plan.network.points())?;
    let factor = Factor::new(plan.network.points(), &method, Par::Seq)?;
    let fit = factor.fit(values.as_ref(), Par::Seq)?;
    let surface = Surface::new(plan.network.points(), &method, factor.drift(), &fit.weights);

    let rows = GridRows::new(grid.x(), grid.y(), metric);
    // Somewhere in each block of 32 × 32 cells.
    let blocks = (0..32).flat_map(|r| (0..44).map(move |c| (r, c)));
    let cell = |(r, c): (usize, usize)| {
        let at = |k: usize| k.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59;
        ((32 * r + at(r * 44 + c)).min(999), (32 * c + at(r * 77 + 5 * c)).min(1399))
    };
    let cells: Vec<_> = blocks.map(cell).collect();
    let (x, y): (Vec<f64>, Vec<f64>) =
        cells.iter().map(|&(row, column)| (grid.x()[column], grid.y()[row])).unzip();
    let points = metric.embed(&x, &y);
    let axes: Vec<Axis<'_>> = (0..points.dims()).map(|k| Axis::Each(points.axis(k))).collect();
    let mut sums = vec![0.0; 2 * fields * cells.len()];
    let row = Row { axes: &axes, len: cells.len() };
    Evaluator::new().evaluate(&surface.with_magnitudes(), row, &mut sums);
    let magnitudes = sums.split_off(fields * cells.len());
    let largest = magnitudes.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let floor = f64::EPSILON * largest / ranges.iter().copied().fold(f64::INFINITY, f64::min);
    let tile = [plan.tiling.tile_columns, plan.tiling.tile_rows];
    let map = Map { surface: &surface, rows: &rows, tile, cells, exact: sums, ranges: &ranges };

    let shape = degrees.unwrap_or(0.0);
    for tolerance in TOLERANCES {
        let goal = (tolerance / 8.0).max(floor);
        let rho = |word: &String| word.parse::<f64>().expect("a number");
        let mut all: Vec<_> = ellipses.iter().map(|w| map.least_order(rho(w), goal)).collect();
        // In turns, so that a busy minute meets all of them; the mean, since a thread's time is counted in
        // ticks of some milliseconds.
        all.iter_mut().for_each(|(_, told)| told.seconds = 0.0);
        for _ in 0..TURNS {
            for (scheme, told) in &mut all {
                told.seconds += map.evaluate(*scheme).seconds / f64::from(TURNS);
            }
        }
        for (Scheme { order, rho, .. }, Told { seconds, pairs, error }) in all {
            let pairs = pairs as f64 / 1.4e6;
            println!(
                "{kernel},{metric},{shape},{tolerance:e},{rho},{order},{seconds:.4},{pairs:.2},{error:.2e}"
            );
        }
    }
    Ok(())
}
