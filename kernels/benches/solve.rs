//! Solving 8 fields on 1493 stations in clusters, as the Chinese network has them: weights alone,
//! and with leave-one-out and gaps. Each bench checks its result once before it is timed.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use isopleth_kernels::{Factor, Kernel, Mat, Method, Metric, Par, Points, Resolved};

const STATIONS: usize = 1493;
const FIELDS: usize = 8;

/// Cities over a country, a dozen stations in each: spacings from 1 km to 500 km.
fn network() -> Points {
    let mut state = 7_u64;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 33).expect("31 bits")) / f64::from(1_u32 << 31)
    };
    let (mut lon, mut lat) = (Vec::new(), Vec::new());
    let mut city = (0.0, 0.0);
    for i in 0..STATIONS {
        if i % 12 == 0 {
            city = (75.0 + 58.0 * uniform(), 20.0 + 30.0 * uniform());
        }
        lon.push(city.0 + 0.4 * uniform());
        lat.push(city.1 + 0.4 * uniform());
    }
    Metric::Chordal.embed(&lon, &lat)
}

fn values(gaps: bool) -> Mat<f64> {
    Mat::from_fn(STATIONS, FIELDS, |i, f| {
        let missing = gaps && (i * 7919 + f * 104_729) % 50 == 0;
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let reading = 40.0 + 30.0 * ((i * (f + 3)) as f64).sin();
        if missing { f64::NAN } else { reading }
    })
}

fn resolved(kernel: Kernel, stations: &Points) -> Resolved {
    let method = Method { kernel, epsilon: Some(0.01), ..Method::default() };
    method.resolve(stations).expect("a valid method")
}

fn solve(c: &mut Criterion) {
    let stations = network();
    let (full, gaps) = (values(false), values(true));
    let par = Par::rayon(0);
    let mut group = c.benchmark_group("solve-1493x8");
    group.sample_size(10);
    for kernel in Kernel::ALL {
        let method = resolved(kernel, &stations);
        let weights = |method: &Resolved| {
            let factor = Factor::new(&stations, method, par).expect("solvable");
            factor.solve(full.as_ref(), par).expect("complete readings")
        };
        let sum: f64 = weights(&method).stations.col(0).iter().sum();
        assert!(sum.is_finite(), "{kernel}: weights are numbers");
        group.bench_function(kernel.name(), |b| b.iter(|| black_box(weights(&method))));
    }
    let method = resolved(Kernel::Linear, &stations);
    let factor = Factor::new(&stations, &method, par).expect("solvable");
    for (name, values) in [("linear leave-one-out", &full), ("linear with 2 % gaps", &gaps)] {
        let fit = factor.fit(values.as_ref(), par).expect("as many rows as stations");
        assert!(fit.failed.is_empty() && fit.refactored == 0, "corrections, not refactoring");
        group.bench_function(name, |b| b.iter(|| black_box(factor.fit(values.as_ref(), par))));
    }
    group.finish();
}

criterion_group!(benches, solve);
criterion_main!(benches);
