//! A table: a row for each cell, time and variable that has a value, or for each time at one place.

use std::io::Write;

use super::Summary;
use super::chosen::Selection;
use super::error::ExportError;
use super::source::{Source, Space};
use super::values::PlaceValues;

/// Writes every variable and time chosen; cells without a value have no row.
///
/// # Errors
/// If the output cannot be written.
pub(super) fn write(
    source: &Source,
    selection: &Selection,
    out: &mut impl Write,
) -> Result<Summary, ExportError> {
    let chosen = selection.find(source)?;
    let [x, y] = chosen.axes(source);
    let mut table = csv::Writer::from_writer(out);
    table.write_record(head(source)).map_err(failed)?;
    let mut rows = 0_u64;
    for variable in &chosen.variables {
        for &time in &chosen.times {
            let stamp = source.times().get(time).map(ToString::to_string).unwrap_or_default();
            source.rows(variable, time, &chosen.window, false, |row, values| {
                for (column, &value) in values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                    let (at_x, at_y) = (x.nodes[column], y.nodes[row]);
                    // A cell of a map in a plane says where it is on the Earth, too.
                    let [lon, lat] = source.degrees(at_x, at_y).unwrap_or([at_x, at_y]);
                    let value = text(value, variable.is_double);
                    let place = [lon.to_string(), lat.to_string()];
                    let [lon, lat] = place.each_ref().map(String::as_str);
                    table
                        .write_record([lon, lat, &stamp, &variable.name, &value])
                        .map_err(failed)?;
                    rows += 1;
                }
                Ok(())
            })?;
        }
    }
    table.flush()?;
    drop(table);
    Ok(chosen.summary(source, Some(format!("{rows} rows"))))
}

/// Writes the values at one place.
///
/// # Errors
/// If the output cannot be written.
pub(super) fn write_series(
    source: &Source,
    at: &PlaceValues,
    out: &mut impl Write,
) -> Result<(), ExportError> {
    let mut table = csv::Writer::from_writer(out);
    table.write_record(head(source)).map_err(failed)?;
    let [x, y] = at.place.map(|v| v.to_string());
    for series in &at.series {
        for (k, &value) in series.values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
            let stamp = at.times.get(k).map(ToString::to_string).unwrap_or_default();
            let name = &series.variable.name;
            table.write_record([&x, &y, &stamp, name, &text(value, true)]).map_err(failed)?;
        }
    }
    table.flush()?;
    Ok(())
}

fn head(source: &Source) -> [&'static str; 5] {
    let [x, y] = match source.space() {
        Space::Plane => ["x", "y"],
        _ => ["lon", "lat"],
    };
    [x, y, "time", "variable", "value"]
}

/// As short as it comes back from.
pub(super) fn text(value: f64, is_double: bool) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "it was 32 bits in the file")]
    if is_double { value.to_string() } else { (value as f32).to_string() }
}

fn failed(error: csv::Error) -> ExportError {
    ExportError::Write(error.into())
}
