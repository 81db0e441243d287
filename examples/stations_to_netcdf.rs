//! Readings in, NetCDF out, as a program of your own would do it.
//!
//! `cargo run --release --example stations_to_netcdf` writes `stations.nc`.

use isopleth_engine::output::{Layout, NetcdfFile, Provenance};
use isopleth_engine::{
    Cancel, Error, FactorCache, Grid, Limits, Observations, Plan, Progress, ReadOptions,
    Registration, Settings, Source, Targets, grid::Size, run,
};

const READINGS: &str = "\
station,lon,lat,time,pm25
Beijing,116.40,39.90,2026-01-01T00:00:00Z,81
Tianjin,117.20,39.13,2026-01-01T00:00:00Z,74
Shijiazhuang,114.51,38.04,2026-01-01T00:00:00Z,120
Taiyuan,112.55,37.87,2026-01-01T00:00:00Z,95
Jinan,117.12,36.65,2026-01-01T00:00:00Z,88
Zhengzhou,113.62,34.75,2026-01-01T00:00:00Z,101
";

fn main() -> Result<(), Error> {
    let source = Source::Stream { name: "readings".into(), reader: Box::new(READINGS.as_bytes()) };
    let observations = Observations::read(vec![source], ReadOptions::default())?;
    let size = Size::Shape { nx: 120, ny: 80 };
    let grid = Grid::from_bounds([111.0, 34.0, 118.0, 41.0], size, Registration::Gridline, true)?;
    let plan =
        Plan::new(observations, Targets::Grid(grid), Settings::default(), &Limits::default())?;

    let provenance = Provenance::now("an example");
    let file = NetcdfFile::create("stations.nc".as_ref(), &Layout::of(&plan, &provenance))?;
    let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
    let report = run(&plan, &file, progress, &FactorCache::off())?;
    file.finish(&report)?;
    println!("{} fields at {} stations", report.fields.len(), report.network.used);
    Ok(())
}
