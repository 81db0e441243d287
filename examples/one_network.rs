//! What a map of a known network costs, stage by stage: readings of an hour to a NetCDF file, again and again on
//! one thread, as a service makes them. Prints milliseconds a map, the least and the median.
//!
//!     cargo run --release --example one_network [maps] [auto|linear] [tolerance|exact] [file]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

use isopleth_engine::grid::{Registration, Size};
use isopleth_engine::kernels::{Kernel, Method};
use isopleth_engine::observations::{Parts, Station, Variable};
use isopleth_engine::output::{Heads, Layout, NetcdfFile, Provenance};
use isopleth_engine::{
    Cancel, Choice, FactorCache, Grid, Limits, Observations, Plan, Progress, ReadOptions, Settings,
    Targets, Tolerance, run,
};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let maps: u32 = words.first().map_or(Ok(300), |word| word.parse())?;
    let method = match words.get(1).map(String::as_str) {
        Some("linear") => Choice::Told(Method { kernel: Kernel::Linear, ..Method::default() }),
        _ => Choice::default(),
    };
    let (factors, cancel) = (FactorCache::new(64 << 20, None), Cancel::default());
    let heads = Heads::new(&std::env::temp_dir());
    let mut bytes = Vec::new();
    let mut stages: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut last = None;
    for k in 0..=maps {
        let mut clock = Instant::now();
        let mut lap = |stage: &'static str| {
            let seconds = clock.elapsed().as_secs_f64();
            clock = Instant::now();
            // The first map factorises.
            if k > 0 {
                stages.entry(stage.to_owned()).or_default().push(1000.0 * seconds);
            }
        };
        let parts = readings(k);
        let observations = Observations::from_parts(parts, &ReadOptions::default())?;
        lap("1 readings");
        let size = Size::Shape { nx: 200, ny: 150 };
        let bounds = [-10.0, 40.0, 10.0, 55.0];
        let grid = Grid::from_bounds(bounds, size, Registration::Gridline, true)?;
        let settings = Settings {
            method: method.clone(),
            tolerance: words.get(2).map_or(Ok(Tolerance::default()), |word| word.parse())?,
            threads: Some(1),
            ..Settings::default()
        };
        let plan = Plan::new(observations, Targets::Grid(grid), settings, &Limits::default())?;
        lap("2 plan");
        let provenance = Provenance::now("one_network");
        let file = NetcdfFile::in_memory(&Layout::of(&plan, &provenance), &heads)?;
        lap("3 create");
        let progress = Progress { on_event: &|_| (), cancel: &cancel };
        let report = run(&plan, &file, progress, &factors)?;
        lap("4 run");
        bytes = file.into_bytes(&report)?;
        lap("5 finish");
        last = report.certificate;
        if k > 0 {
            for stage in &report.stages {
                let name = format!("4 run: {:?}", stage.stage);
                stages.entry(name).or_default().push(1000.0 * stage.seconds);
            }
        }
    }
    if let Some(certificate) = last {
        println!("{certificate:?}");
    }
    println!("{} bytes", bytes.len());
    if let Some(path) = words.get(3) {
        std::fs::write(path, bytes)?;
    }
    // The least is what it takes where nobody else wants the processor.
    for (stage, mut each) in stages {
        each.sort_by(f64::total_cmp);
        println!("{stage:18} least {:8.3}, median {:8.3}", each[0], each[each.len() / 2]);
    }
    Ok(())
}

/// Three hundred stations, half of them in towns, with readings of hour `k`.
fn readings(k: u32) -> Parts {
    let mut state = 7_u64;
    let mut random = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from((state >> 40) as u32) / f64::from(1_u32 << 24)
    };
    let towns: Vec<[f64; 2]> = (0..12).map(|_| [random(), random()]).collect();
    let stations: Vec<Station> = (0..300_u32)
        .map(|i| {
            let at = [random(), random()];
            let town = towns[i as usize % 12];
            let at = if i % 2 == 0 { at } else { [0, 1].map(|d| town[d] + 0.03 * (at[d] - 0.5)) };
            Station { id: format!("s{i:03}"), x: -9.5 + 19.0 * at[0], y: 40.5 + 14.0 * at[1] }
        })
        .collect();
    let phase = f64::from(k);
    let row = stations.iter().map(|s| {
        let wave = 15.0 * (s.x / 3.0 + phase).sin() + 10.0 * (s.y / 2.0 - phase).cos();
        Some(((30.0 + wave + 4.0 * random()) * 10.0).round() / 10.0)
    });
    let row = row.collect();
    let variable = Variable { name: "pm25".into(), units: Some("ug/m3".into()) };
    let times = vec![format!("2024-03-{:02}T{:02}:00:00Z", 1 + k / 24 % 28, k % 24)];
    Parts { stations, times, values: vec![(variable, vec![row])] }
}
