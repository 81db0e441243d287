//! How long solving and evaluating take, without a file: every tile is made, judged, and thrown away.
//! `make bench` puts it beside other programs, whose evaluation writes no file either.
//!
//!     time_map READINGS NX NY KERNEL EPSILON METRIC TOLERANCE THREADS
//!
//! maps 73…135° east, 18…54° north, and prints a line of JSON. EPSILON 0 is for kernels that need none.

use std::path::PathBuf;

use isopleth_engine::grid::Size;
use isopleth_engine::kernels::Method;
use isopleth_engine::output::{Sink, StationValues, Tile};
use isopleth_engine::{
    Cancel, Choice, Error, FactorCache, Grid, Limits, Observations, Plan, Progress, ReadOptions,
    Registration, Settings, Source, Targets, run,
};

/// Takes everything and keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn tile(&self, tile: Tile<'_>) -> Result<(), Error> {
        std::hint::black_box(tile.values);
        Ok(())
    }

    fn stations(&self, of: StationValues<'_>) -> Result<(), Error> {
        std::hint::black_box(of.residuals);
        Ok(())
    }

    fn batch_done(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() -> Result<(), Error> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [readings, nx, ny, kernel, epsilon, metric, tolerance, threads] = words.as_slice() else {
        eprintln!("time_map READINGS NX NY KERNEL EPSILON METRIC TOLERANCE THREADS");
        std::process::exit(2);
    };
    let number = |text: &String| text.parse::<u64>().expect("a number");
    let epsilon = epsilon.parse::<f64>().expect("a number");
    let method = Method {
        kernel: kernel.parse()?,
        epsilon: (epsilon > 0.0).then_some(epsilon),
        metric: metric.parse()?,
        ..Method::default()
    };
    let planar = !method.metric.is_spherical();
    let options = ReadOptions { planar, ..ReadOptions::default() };
    let observations = Observations::read(vec![Source::File(PathBuf::from(readings))], options)?;
    let size = Size::Shape { nx: number(nx), ny: number(ny) };
    let bounds = [73.0, 18.0, 135.0, 54.0];
    let grid = Grid::from_bounds(bounds, size, Registration::Gridline, !planar)?;
    let settings = Settings {
        method: Choice::Told(method),
        tolerance: tolerance.parse().expect("a tolerance"),
        threads: Some(threads.parse().expect("a number")),
        ..Settings::default()
    };
    let plan = Plan::new(observations, Targets::Grid(grid), settings, &Limits::default())?;
    let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
    let report = run(&plan, &Nowhere, progress, &FactorCache::off())?;
    println!("{}", serde_json::to_string(&report).expect("a report is JSON"));
    Ok(())
}
