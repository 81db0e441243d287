//! Exact evaluation: one row of a map on one thread, per kernel, metric, number of fields and
//! instruction set. Throughput is in pairs of cell and station.
//!
//! `cargo bench -p isopleth-kernels --bench evaluate -- avx512/chordal/8` runs a part of it.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use isopleth_kernels::drift::Drift;
use isopleth_kernels::evaluate::{Axis, Targets};
use isopleth_kernels::{Evaluator, Kernel, Mat, Method, Metric, Points, Surface, Weights, metric};

const STATIONS: usize = 1493;
const CELLS: usize = 1400;

/// Evenly scattered numbers in 0…1 (additive recurrence).
fn scatter(i: usize, step: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a small index")]
    let x = i as f64 * step;
    x.fract()
}

fn stations(metric: Metric) -> Points {
    let place =
        |i| (73.0 + 62.0 * scatter(i, 0.754_877_666), 18.0 + 36.0 * scatter(i, 0.569_840_291));
    let (lon, lat): (Vec<_>, Vec<_>) = (0..STATIONS).map(place).unzip();
    metric.embed(&lon, &lat)
}

fn surface(kernel: Kernel, metric: Metric, fields: usize) -> Surface {
    let stations = stations(metric);
    let spacing = if metric.is_spherical() { 200.0 } else { 2.0 };
    let epsilon = if kernel.is_scale_free() { None } else { Some(1.0 / spacing) };
    let method = Method { kernel, metric, epsilon, ..Method::default() };
    let method = method.resolve(&stations).expect("a method that needs nothing more");
    let drift = Drift::new(method.degree, &stations, metric);
    let weights = Weights {
        stations: Mat::from_fn(STATIONS, fields, |i, f| scatter(i + f, 0.618_033_988) - 0.5),
        drift: Mat::from_fn(drift.terms(), fields, |k, f| scatter(k + f, 0.414_213_562)),
    };
    Surface::new(&stations, &method, &drift, &weights)
}

fn rows(criterion: &mut Criterion) {
    let lon: Vec<f64> = (0..CELLS).map(|c| 73.0 + 62.0 * scatter(c, 1.0 / 1400.0)).collect();
    let places: Vec<[f64; 3]> = lon.iter().map(|&lon| metric::on_sphere(lon, 36.0)).collect();
    let axis = |k: usize| places.iter().map(|p| p[k]).collect::<Vec<f64>>();
    let (x, y, z) = (axis(0), axis(1), places[0][2]);
    let on_sphere = [Axis::Each(&x), Axis::Each(&y), Axis::Same(z)];
    let in_plane = [Axis::Each(&lon), Axis::Same(36.0)];
    for (metric, fields) in [
        (Metric::Chordal, 8),
        (Metric::Chordal, 1),
        (Metric::Chordal, 48),
        (Metric::Planar, 8),
        (Metric::GreatCircle, 8),
    ] {
        let axes = if metric.is_spherical() { &on_sphere[..] } else { &in_plane[..] };
        for evaluator in Evaluator::available() {
            let name = format!("{}/{metric}/{fields}", evaluator.name());
            let mut group = criterion.benchmark_group(name);
            group.throughput(Throughput::Elements((CELLS * STATIONS) as u64));
            for kernel in Kernel::ALL {
                let surface = surface(kernel, metric, fields);
                let mut out = vec![0.0; fields * CELLS];
                group.bench_function(kernel.name(), |bencher| {
                    let targets = Targets { axes, len: CELLS };
                    bencher.iter(|| evaluator.evaluate(black_box(&surface), targets, &mut out));
                });
                assert!(out.iter().all(|value| value.is_finite()));
            }
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(std::time::Duration::from_millis(100))
        .measurement_time(std::time::Duration::from_millis(500));
    targets = rows
}
criterion_main!(benches);
