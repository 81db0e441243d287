//! Files made in memory from a head that is kept are those made on the disk, also many at once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod sample;

use std::collections::BTreeMap;
use std::path::Path;

use isopleth_engine::Precision;
use isopleth_engine::observations::UnixSeconds;
use isopleth_engine::output::{FieldId, Heads, NetcdfFile, Provenance};
use rayon::prelude::*;
use sample::{Sample, field, files_in, report};

/// Everything that a file says and holds, but for the order in which it says it.
fn contents(path: &Path) -> BTreeMap<String, String> {
    let file = netcdf::open(path).unwrap();
    let mut all = BTreeMap::new();
    for attribute in file.attributes() {
        all.insert(attribute.name().to_string(), format!("{:?}", attribute.value().unwrap()));
    }
    for variable in file.variables() {
        let name = variable.name();
        let dimensions: Vec<_> =
            variable.dimensions().iter().map(|d| (d.name(), d.len())).collect();
        all.insert(format!("{name}:"), format!("{dimensions:?}"));
        for attribute in variable.attributes() {
            let key = format!("{name}:{}", attribute.name());
            all.insert(key, format!("{:?}", attribute.value().unwrap()));
        }
    }
    for name in ["time", "lat", "lon", "station_lat", "station_lon"] {
        if let Some(variable) = file.variable(name) {
            let values: Vec<f64> = variable.get_values(..).unwrap();
            all.insert(format!("{name}="), format!("{values:?}"));
        }
    }
    all
}

/// Of one network and grid, at other times, made at other moments by other commands.
fn sample(k: i64, times: usize) -> Sample {
    let grid = Sample::grid([73.0, 18.0, 135.0, 54.0], 150, 101, true);
    let mut sample = Sample::new(grid, times, Precision::F32);
    for time in sample.times.iter_mut().flatten() {
        *time = UnixSeconds(time.0 + 86_400 * k);
    }
    let command = if k % 2 == 0 { "a test".to_owned() } else { format!("test {k}") };
    sample.provenance = Provenance { created: UnixSeconds(k), ..Provenance::now(command) };
    sample
}

#[test]
fn files_made_in_memory_at_the_same_time_are_those_made_on_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let heads = Heads::new(scratch.path());
    for times in [0, 1, 3] {
        let begun: Vec<(Sample, NetcdfFile)> = (0..12)
            .map(|k| {
                let sample = sample(k, times);
                let file = NetcdfFile::in_memory(&sample.layout(), &heads).unwrap();
                (sample, file)
            })
            .collect();
        let written: Vec<(Sample, Vec<u8>)> = begun
            .into_par_iter()
            .map(|(sample, file)| {
                let file = sample.fill(file).unwrap();
                let bytes = file.into_bytes(&report()).unwrap();
                (sample, bytes)
            })
            .collect();
        for (sample, bytes) in written {
            let (memory, disk) = (directory.path().join("m.nc"), directory.path().join("d.nc"));
            std::fs::write(&memory, bytes).unwrap();
            sample.write(&disk).unwrap().finish(&report()).unwrap();
            assert_eq!(contents(&memory), contents(&disk));
            let (memory, disk) = (netcdf::open(&memory).unwrap(), netcdf::open(&disk).unwrap());
            for name in ["pm2_5", "aqi", "pm2_5_reading", "aqi_residual"] {
                for time in 0..sample.times.len() {
                    assert_eq!(field(&memory, name, time), field(&disk, name, time));
                }
            }
            let id = FieldId { time: 0, variable: 1 };
            assert_eq!(field(&memory, "aqi", 0), sample.expected(id));
            let readings = sample.expected_at_stations(id, 1.0);
            assert_eq!(field(&memory, "aqi_reading", 0), readings);
        }
    }
    assert_eq!(files_in(scratch.path()), 0, "heads are in memory");
}

#[test]
fn other_stations_grids_and_units_have_other_heads() {
    let directory = tempfile::tempdir().unwrap();
    let heads = Heads::new(directory.path());
    let plain = sample(0, 1);
    let mut moved = sample(0, 1);
    moved.stations[3].x += 0.5;
    let mut renamed = sample(0, 1);
    renamed.stations[3].id = "elsewhere".to_owned();
    let mut unit = sample(0, 1);
    unit.variables[1].units = Some("1".to_owned());
    let mut grid = sample(0, 1);
    grid.targets = Sample::grid([73.0, 18.0, 135.0, 54.5], 150, 101, true);
    for sample in [plain, moved, renamed, unit, grid] {
        let file = NetcdfFile::in_memory(&sample.layout(), &heads).unwrap();
        let bytes = sample.fill(file).unwrap().into_bytes(&report()).unwrap();
        let (memory, disk) = (directory.path().join("m.nc"), directory.path().join("d.nc"));
        std::fs::write(&memory, bytes).unwrap();
        sample.write(&disk).unwrap().finish(&report()).unwrap();
        assert_eq!(contents(&memory), contents(&disk));
    }
}

/// The head remembers what the first report said; what others say besides, otherwise or not at all is theirs.
#[test]
fn every_file_has_the_report_that_it_was_given() {
    let directory = tempfile::tempdir().unwrap();
    let heads = Heads::new(directory.path());
    let usual = report();
    let mut longer = report();
    longer.warnings = vec!["another warning".to_owned(), "and one more".to_owned()];
    longer.methods[0].smoothing = vec![0.5, 1.5];
    let mut less = report();
    less.warnings.clear();
    less.methods[0].smoothing.clear();
    less.methods[0].anisotropy = Some("ratio 2".to_owned());
    less.variables[0].leave_one_out.as_mut().unwrap().r2 = None;
    let mut none = report();
    none.methods.clear();
    none.variables[0].leave_one_out = None;
    let mut numbers = report();
    numbers.network.used = 6;
    numbers.methods[0].condition = 99.0;
    numbers.variables[0].leave_one_out.as_mut().unwrap().rmse = 3.0;
    for (k, report) in [&usual, &usual, &longer, &less, &none, &numbers, &usual].iter().enumerate()
    {
        let sample = sample(i64::try_from(k).unwrap(), 1);
        let file = NetcdfFile::in_memory(&sample.layout(), &heads).unwrap();
        let bytes = sample.fill(file).unwrap().into_bytes(report).unwrap();
        let (memory, disk) = (directory.path().join("m.nc"), directory.path().join("d.nc"));
        std::fs::write(&memory, bytes).unwrap();
        sample.write(&disk).unwrap().finish(report).unwrap();
        assert_eq!(contents(&memory), contents(&disk), "report {k}");
    }
}
