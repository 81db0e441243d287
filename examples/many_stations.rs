//! Fast evaluation of random weights at many stations, half of them in towns, on a grid over all of
//! them; one cell of every fourth row of tiles is compared with the exact sum.
//!
//!     many_stations [STATIONS [FIELDS [NX [NY [ORDER]]]]]
//!
//! prints a line of JSON: seconds in all and for the clusters alone, and the largest error relative
//! to the largest value.

use std::time::Instant;

use isopleth_engine::kernels::drift::Drift;
use isopleth_engine::kernels::evaluate::far::{Far, Node, Scheme, Scratch};
use isopleth_engine::kernels::evaluate::{Axis, GridRows, Targets};
use isopleth_engine::kernels::{Evaluator, Mat, Method, Metric, Surface, Weights};
use isopleth_engine::tiles::Tiling;
use rayon::prelude::*;

fn main() {
    let words: Vec<usize> =
        std::env::args().skip(1).map(|word| word.parse().expect("a number")).collect();
    let word = |k: usize, default: usize| words.get(k).copied().unwrap_or(default);
    let [n, fields] = [word(0, 100_000), word(1, 8)];
    let [nx, ny, order] = [word(2, 2000), word(3, 1000), word(4, 7)];
    let metric = Metric::Chordal;
    let mut random = Random(1);
    let places = random.places(n);
    let (lon, lat): (Vec<f64>, Vec<f64>) = places.into_iter().unzip();
    let stations = metric.embed(&lon, &lat);
    let method = Method::default().resolve(&stations).expect("the default needs nothing");
    let drift = Drift::new(0, &stations, metric);
    let weights = Weights {
        stations: Mat::from_fn(n, fields, |_, _| random.next() - 0.5),
        drift: Mat::zeros(1, fields),
    };
    let surface = Surface::new(&stations, &method, &drift, &weights);
    let axis = |low: f64, high: f64, n: usize| -> Vec<f64> {
        (0..n).map(|k| low + (high - low) * k as f64 / (n - 1) as f64).collect()
    };
    let (x, y) = (axis(73.0, 135.0, nx), axis(18.0, 54.0, ny));
    let rows = GridRows::new(&x, &y, metric);
    let tiling = Tiling::new(ny, nx);
    let tile = [tiling.tile_columns, tiling.tile_rows];

    let start = Instant::now();
    let scheme = Scheme { order, rho: 3.0, leaf: 32 };
    let far = Far::new(&surface, Evaluator::new(), &rows, tile, scheme);
    let clusters = start.elapsed().as_secs_f64();
    let compared: Vec<(f64, f64)> = tiles(&far, far.root())
        .into_par_iter()
        .map_init(Scratch::default, |scratch, node| {
            let (r, c) = far.cells(&node);
            let mut out = vec![0.0; fields * r.len() * c.len()];
            far.evaluate(node, scratch, &mut out);
            if !r.start.is_multiple_of(4 * tiling.tile_rows) {
                return (0.0, 0.0);
            }
            let points = metric.embed(&[x[c.start]], &[y[r.start]]);
            let axes: Vec<Axis<'_>> = (0..3).map(|k| Axis::Each(points.axis(k))).collect();
            let mut exact = vec![0.0; fields];
            Evaluator::new().evaluate(&surface, Targets { axes: &axes, len: 1 }, &mut exact);
            let here = out.chunks(r.len() * c.len()).map(|field| field[0]);
            let error = here.zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            (error, exact.iter().fold(0.0, |most: f64, value| most.max(value.abs())))
        })
        .collect();
    let seconds = start.elapsed().as_secs_f64();
    let error = compared.iter().fold(0.0, |most: f64, pair| most.max(pair.0));
    let size = compared.iter().fold(0.0, |most: f64, pair| most.max(pair.1));
    let error = error / size;
    println!(r#"{{"evaluate": {seconds}, "clusters": {clusters}, "error": {error:e}}}"#);
}

/// All tiles under a box.
fn tiles(far: &Far<'_>, node: Node) -> Vec<Node> {
    let parts = far.parts(&node);
    if parts.is_empty() {
        return vec![node];
    }
    parts.into_par_iter().flat_map_iter(|part| tiles(far, part)).collect()
}

/// Numbers from 0 to 1, the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn places(&mut self, n: usize) -> Vec<(f64, f64)> {
        let mut town = (0.0, 0.0);
        let place = |i| {
            if i % 20 == 0 {
                town = (self.next(), self.next());
            }
            let (x, y) = (self.next(), self.next());
            let (x, y) = if i % 2 == 0 { (x, y) } else { (town.0 + 0.01 * x, town.1 + 0.01 * y) };
            (73.0 + 62.0 * x, 18.0 + 36.0 * y)
        };
        (0..n).map(place).collect()
    }
}
