//! How long a fast evaluation takes for many stations: random places in clusters, random weights, a
//! grid over all of them. Compared with the exact sum at some cells; tiles are thrown away.
//!
//!     cargo run --release --example many_stations -- [stations] [fields] [columns] [rows] [tolerance]

use std::time::Instant;

use isopleth_engine::kernels::drift::Drift;
use isopleth_engine::kernels::evaluate::far::{Far, Scheme, Scratch};
use isopleth_engine::kernels::evaluate::{Axis, GridRows, Targets};
use isopleth_engine::kernels::{Evaluator, Mat, Method, Metric, Surface, Weights};
use isopleth_engine::tiles::Tiling;
use rayon::prelude::*;

fn main() {
    let mut numbers = std::env::args().skip(1).map(|a| a.parse::<f64>().expect("a number"));
    let mut next = |default: f64| numbers.next().unwrap_or(default);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
    let mut count = |default: f64| next(default) as usize;
    let (n, fields, columns, rows) = (count(100_000.0), count(8.0), count(2000.0), count(1000.0));
    let order = count(12.0);
    let leaf = count(16.0);
    let mut state = 1_u64;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    // Half of them in towns.
    let (mut lon, mut lat) = (Vec::new(), Vec::new());
    let mut town = (0.0, 0.0);
    for i in 0..n {
        if i % 20 == 0 {
            town = (uniform(), uniform());
        }
        let (x, y) = if i % 2 == 0 {
            (uniform(), uniform())
        } else {
            (town.0 + 0.01 * uniform(), town.1 + 0.01 * uniform())
        };
        lon.push(73.0 + 62.0 * x);
        lat.push(18.0 + 36.0 * y);
    }
    let metric = Metric::Chordal;
    let stations = metric.embed(&lon, &lat);
    let method = Method::default().resolve(&stations).expect("a method");
    let drift = Drift::new(0, &stations, metric);
    let weights = Weights {
        stations: Mat::from_fn(n, fields, |_, _| uniform() - 0.5),
        drift: Mat::zeros(1, fields),
    };
    let surface = Surface::new(&stations, &method, &drift, &weights);
    let axis = |low: f64, high: f64, n: usize| -> Vec<f64> {
        (0..n).map(|k| low + (high - low) * k as f64 / (n - 1) as f64).collect()
    };
    let (x, y) = (axis(73.0, 135.0, columns), axis(18.0, 54.0, rows));
    let grid = GridRows::new(&x, &y, metric);
    let tiling = Tiling::new(rows, columns);
    let evaluator = Evaluator::new();
    let start = Instant::now();
    let scheme = Scheme { order, rho: 3.0, leaf };
    let tile = [tiling.tile_columns, tiling.tile_rows];
    let far = Far::new(&surface, evaluator, &grid, tile, scheme);
    let planted = start.elapsed().as_secs_f64();
    let errors: Vec<(f64, f64, u64)> = leaves(&far, far.root())
        .into_par_iter()
        .map_init(Scratch::default, |scratch, node| {
            let (r, c) = far.cells(&node);
            let mut out = vec![0.0; fields * r.len() * c.len()];
            let pairs = far.evaluate(node, scratch, &mut out);
            let points = metric.embed(&[x[c.start]], &[y[r.start]]);
            let axes: Vec<Axis<'_>> = (0..3).map(|k| Axis::Each(points.axis(k))).collect();
            let mut exact = vec![0.0; fields];
            if r.start % 4 == 0 {
                evaluator.evaluate(&surface, Targets { axes: &axes, len: 1 }, &mut exact);
                let here = out.chunks(r.len() * c.len()).map(|field| field[0]);
                let error = here.zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                (error, exact.iter().fold(0.0, |m: f64, v| m.max(v.abs())), pairs)
            } else {
                (0.0, 0.0, pairs)
            }
        })
        .collect();
    let error = errors.iter().fold(0.0_f64, |m, e| m.max(e.0));
    let size = errors.iter().fold(0.0_f64, |m, e| m.max(e.1));
    let pairs: u64 = errors.iter().map(|e| e.2).sum();
    println!(
        "{} s planting, {} s in all, {pairs} pairs, error {:e}",
        planted,
        start.elapsed().as_secs_f64(),
        error / size
    );
}

fn leaves<'a>(
    far: &Far<'a>,
    node: isopleth_engine::kernels::evaluate::far::Node,
) -> Vec<isopleth_engine::kernels::evaluate::far::Node> {
    let parts = far.parts(&node);
    if parts.is_empty() {
        return vec![node];
    }
    parts.into_par_iter().flat_map_iter(|part| leaves(far, part)).collect()
}
