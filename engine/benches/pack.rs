//! From the values of the demo's maps to the bytes of their NetCDF file, on one thread: round, shuffle, deflate, put in
//! its place. Bytes are those before compression.

use std::path::PathBuf;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use isopleth_engine::grid::Size;
use isopleth_engine::output::{FieldId, Heads, Layout, Maps, MapsInMemory, NetcdfFile, Provenance};
use isopleth_engine::output::{Sink, Tile};
use isopleth_engine::{
    Cancel, Compression, Digits, FactorCache, Grid, Limits, Observations, Plan, Precision,
    Progress, ReadOptions, Registration, Settings, Source, Storage, Targets, run,
};

const WIDE: usize = 1400;
const HIGH: usize = 1000;

fn plan(storage: Storage) -> Plan {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/demo_readings.csv"));
    let observations = Observations::read(vec![Source::File(file)], ReadOptions::default());
    let size = Size::Shape { nx: WIDE as u64, ny: HIGH as u64 };
    let grid = Grid::from_bounds([73.0, 18.0, 135.0, 54.0], size, Registration::Gridline, true);
    let (settings, limits) = (Settings { storage, ..Settings::default() }, Limits::default());
    let targets = Targets::Grid(grid.expect("a grid"));
    Plan::new(observations.expect("the demo's readings"), targets, settings, &limits)
        .expect("a plan")
}

/// All fields, and their maps.
fn maps() -> (Vec<FieldId>, Maps) {
    let plan = plan(Storage::default());
    let (times, stations) = (plan.observations.times().len(), plan.network.len());
    let sink = MapsInMemory::new(1, times, HIGH, WIDE, stations);
    let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
    run(&plan, &sink, progress, &FactorCache::off()).expect("maps");
    ((0..times).map(|time| FieldId { time, variable: 0 }).collect(), sink.into_maps())
}

/// Puts all tiles of a field.
fn put(file: &NetcdfFile, plan: &Plan, (field, map): (FieldId, &[f64]), values: &mut Vec<f64>) {
    for k in 0..plan.tiling.count() {
        let (rows, columns) = plan.tiling.tile(k);
        values.clear();
        for row in rows.clone() {
            values.extend_from_slice(&map[row * WIDE..][columns.clone()]);
        }
        let tile = Tile { fields: &[field], rows: &rows, columns: &columns, values };
        file.tile(tile).expect("room in memory");
    }
}

fn pack(c: &mut Criterion) {
    let (folder, (fields, maps)) = (tempfile::tempdir().expect("a folder"), maps());
    let mut group = c.benchmark_group("pack");
    group.sample_size(10);
    for (precision, digits) in [
        (Precision::F32, Digits::Keep(4)),
        (Precision::F32, Digits::Exact),
        (Precision::F64, Digits::Exact),
    ] {
        let bytes = fields.len() * WIDE * HIGH * precision.bytes();
        group.throughput(Throughput::Bytes(bytes as u64));
        for compression in Compression::ALL {
            let storage = Storage::new(precision, Some(digits), compression);
            let (plan, heads) = (plan(storage), Heads::new(folder.path()));
            let provenance = Provenance::now("bench");
            let layout = Layout::of(&plan, &provenance);
            let begin = || NetcdfFile::in_memory(&layout, &heads).expect("a file in memory");
            let all = |file: NetcdfFile| {
                let mut values = Vec::new();
                for &field in &fields {
                    put(&file, &plan, (field, maps.map(field)), &mut values);
                }
                // Dropped when the clock has stopped.
                file
            };
            let name = format!("{precision:?} {digits:?} {compression:?}");
            group.bench_function(name, |b| b.iter_batched(begin, all, BatchSize::PerIteration));
        }
    }
    group.finish();
}

criterion_group!(benches, pack);
criterion_main!(benches);
