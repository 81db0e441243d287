//! `isopleth export`: a finished map, or part of it, in another form.

use isopleth_engine::export::{self, Form, Source, Space, Summary};

use super::print;
use crate::export::ExportArguments;
use crate::failure::Failure;
use crate::table::bytes;

pub(crate) fn run(arguments: &ExportArguments) -> Result<(), Failure> {
    let form = match arguments.format {
        Some(form) => form,
        None => Form::of_path(&arguments.output)?,
    };
    let source = Source::open(&arguments.map)?;
    let (selection, path) = (arguments.selection(), &arguments.output);
    let text = if let Some(at) = arguments.part.at {
        let values = export::place_values(&source, at, &selection)?;
        export::write_values(form, &source, &values, path)?;
        let names: Vec<_> = values.series.iter().map(|s| s.variable.name.as_str()).collect();
        format!(
            "{} at {}, {}; {}",
            names.join(", "),
            at[0],
            at[1],
            times(values.times.len().max(1))
        )
    } else {
        told(&source, &export::write(form, &source, &selection, &arguments.options(), path)?)
    };
    if arguments.quiet {
        return Ok(());
    }
    let size = std::fs::metadata(path).map(|of| bytes(of.len())).unwrap_or_default();
    print(&format!("{}: {form}, {size}\n{text}\n", path.display()))
}

fn told(source: &Source, summary: &Summary) -> String {
    let [columns, rows] = summary.shape;
    let [west, south, east, north] = summary.bounds;
    let unit = match source.space() {
        Space::Degrees => "degrees",
        Space::Projected(crs) if crs.is_rotated() => "rotated degrees",
        Space::Projected(_) => "m",
        Space::Plane => "its unit",
    };
    let note = summary.note.as_ref().map(|note| format!("\n{note}")).unwrap_or_default();
    format!(
        "{}; {}; {columns} x {rows} cells from {west:.6},{south:.6} to {east:.6},{north:.6} ({unit}){note}",
        summary.variables.join(", "),
        times(summary.times)
    )
}

fn times(count: usize) -> String {
    if count == 1 { "1 time".to_owned() } else { format!("{count} times") }
}
