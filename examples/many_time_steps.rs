//! Two days of hourly readings on one network: one factorisation, and one pass over the grid for
//! many hours at once.

use std::fmt::Write as _;

use isopleth_engine::output::{Layout, NetcdfFile, Provenance};
use isopleth_engine::{
    Cancel, Error, Event, FactorCache, Grid, Limits, Observations, Plan, Progress, ReadOptions,
    Registration, Settings, Source, Targets, grid::Size, run,
};

fn main() -> Result<(), Error> {
    let mut text = String::from("station,lon,lat,time,o3\n");
    for hour in 0..48_u32 {
        for station in 0..200_u32 {
            let (lon, lat) =
                (f64::from(station * 37 % 200) / 20.0, f64::from(station) / 25.0 + 45.0);
            let o3 = 60.0 + 30.0 * (f64::from(hour) / 4.0 + lon).sin() + lat;
            let (day, hour) = (1 + hour / 24, hour % 24);
            let _ = writeln!(text, "s{station},{lon},{lat},2026-07-{day:02}T{hour:02}:00Z,{o3:.2}");
        }
    }
    let reader = Box::new(std::io::Cursor::new(text));
    let source = Source::Stream { name: "readings".into(), reader };
    let observations = Observations::read(vec![source], ReadOptions::default())?;
    let size = Size::Resolution { dx: 0.1, dy: 0.1 };
    let grid = Grid::from_bounds([0.0, 45.0, 10.0, 53.0], size, Registration::Gridline, true)?;
    let plan =
        Plan::new(observations, Targets::Grid(grid), Settings::default(), &Limits::default())?;
    println!("{} time steps at once", plan.steps_at_once);

    let provenance = Provenance::now("an example");
    let file = NetcdfFile::create("hours.nc".as_ref(), &Layout::of(&plan, &provenance))?;
    let on_event = |event: Event| {
        if let Event::Values { done, total } = event
            && done == total
        {
            println!("{total} values done");
        }
    };
    let progress = Progress { on_event: &on_event, cancel: &Cancel::default() };
    let report = run(&plan, &file, progress, &FactorCache::off())?;
    file.finish(&report)?;
    for variable in &report.variables {
        println!("{}: {} fields, {:?}", variable.variable, variable.fields, variable.leave_one_out);
    }
    Ok(())
}
