//! `CoverageJSON` (OGC 21-069r2): a coverage with the domain `Grid`, its values written row by row,
//! or a `PointSeries` of one place.

use std::io::Write;

use serde_json::{Map, Value, json};

use super::Form;
use super::Summary;
use super::chosen::{Chosen, Selection};
use super::error::ExportError;
use super::geokeys::epsg;
use super::source::{MapVariable, Source, Space};
use super::values::PlaceValues;

/// Cells times variables times times at most: a text of some 200 MB.
const MOST_VALUES: u64 = 25_000_000;

/// Writes every variable and time chosen.
///
/// # Errors
/// If that is too much, or the output cannot be written.
pub(super) fn write(
    source: &Source,
    selection: &Selection,
    out: &mut impl Write,
) -> Result<Summary, ExportError> {
    let chosen = selection.find(source)?;
    let fields = (chosen.variables.len() * chosen.times.len()) as u64;
    chosen.at_most(Form::CoverageJson, MOST_VALUES / fields.max(1))?;
    let [x, y] = chosen.axes(source);
    let mut axes = Map::new();
    axes.insert("x".into(), json!({"values": x.nodes}));
    axes.insert("y".into(), json!({"values": y.nodes}));
    let times: Vec<String> = chosen
        .times
        .iter()
        .filter_map(|&k| source.times().get(k))
        .map(ToString::to_string)
        .collect();
    if !times.is_empty() {
        axes.insert("t".into(), json!({"values": times}));
    }
    let domain = domain("Grid", &axes, source.space(), !times.is_empty());
    begin(&domain, chosen.variables.iter().copied(), out)?;
    let shape = [chosen.window.rows.count, chosen.window.columns.count];
    for (k, variable) in chosen.variables.iter().enumerate() {
        if k > 0 {
            out.write_all(b",\n")?;
        }
        grid_range(source, variable, &chosen, shape, out)?;
    }
    out.write_all(b"}}\n")?;
    Ok(chosen.summary(source, None))
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
    let mut axes = Map::new();
    axes.insert("x".into(), json!({"values": [at.place[0]]}));
    axes.insert("y".into(), json!({"values": [at.place[1]]}));
    let times: Vec<String> = at.times.iter().map(ToString::to_string).collect();
    let has_times = !times.is_empty();
    if has_times {
        axes.insert("t".into(), json!({"values": times}));
    }
    // Places are told in degrees, whatever the plane of the map.
    let space = match source.space() {
        Space::Plane => &Space::Plane,
        _ => &Space::Degrees,
    };
    let kind = if has_times { "PointSeries" } else { "Point" };
    let domain = domain(kind, &axes, space, has_times);
    begin(&domain, at.series.iter().map(|series| &series.variable), out)?;
    for (k, series) in at.series.iter().enumerate() {
        if k > 0 {
            out.write_all(b",\n")?;
        }
        let (names, shape) =
            if has_times { (vec!["t"], vec![series.values.len()]) } else { (vec![], vec![]) };
        range_head(&series.variable.name, &names, &shape, out)?;
        for (k, &value) in series.values.iter().enumerate() {
            number(value, true, k == 0, out)?;
        }
        out.write_all(b"]}")?;
    }
    out.write_all(b"}}\n")?;
    Ok(())
}

pub(super) fn domain(
    kind: &str,
    axes: &Map<String, Value>,
    space: &Space,
    has_times: bool,
) -> Value {
    let system = match space {
        Space::Degrees => json!({
            "type": "GeographicCRS",
            "id": "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        }),
        Space::Projected(crs) => match epsg(crs) {
            Some(code) => json!({
                "type": "ProjectedCRS",
                "id": format!("http://www.opengis.net/def/crs/EPSG/0/{code}"),
            }),
            None => json!({"type": "ProjectedCRS", "description": {"en": crs.text()}}),
        },
        Space::Plane => {
            json!({"type": "ProjectedCRS", "description": {"en": "a plane without a name"}})
        }
    };
    let mut referencing = vec![json!({"coordinates": ["x", "y"], "system": system})];
    if has_times {
        let system = json!({"type": "TemporalRS", "calendar": "Gregorian"});
        referencing.push(json!({"coordinates": ["t"], "system": system}));
    }
    json!({"type": "Domain", "domainType": kind, "axes": axes, "referencing": referencing})
}

/// Everything before the values.
pub(super) fn begin<'a>(
    domain: &Value,
    variables: impl Iterator<Item = &'a MapVariable>,
    out: &mut impl Write,
) -> Result<(), ExportError> {
    let mut parameters = Map::new();
    for variable in variables {
        let mut property = Map::new();
        property.insert("label".into(), json!({"en": variable.long_name}));
        if let Some(name) = &variable.standard_name {
            // Of a layer the name in the table comes first, a modifier behind.
            let name = name.split(' ').next().unwrap_or(name);
            let id = format!("http://vocab.nerc.ac.uk/standard_name/{name}/");
            property.insert("id".into(), json!(id));
        }
        let mut parameter = json!({
            "type": "Parameter",
            "description": {"en": variable.long_name},
            "observedProperty": property,
        });
        if let Some(units) = &variable.units {
            parameter["unit"] = json!({"label": {"en": units}, "symbol": units});
        }
        parameters.insert(variable.name.clone(), parameter);
    }
    let parameters = Value::Object(parameters);
    writeln!(
        out,
        "{{\"type\":\"Coverage\",\n\"domain\":{domain},\n\"parameters\":{parameters},\n\"ranges\":{{"
    )?;
    Ok(())
}

pub(super) fn range_head(
    name: &str,
    axes: &[&str],
    shape: &[usize],
    out: &mut impl Write,
) -> Result<(), ExportError> {
    let (name, axes, shape) = (json!(name), json!(axes), json!(shape));
    write!(
        out,
        "{name}:{{\"type\":\"NdArray\",\"dataType\":\"float\",\"axisNames\":{axes},\
         \"shape\":{shape},\"values\":["
    )?;
    Ok(())
}

fn grid_range(
    source: &Source,
    variable: &MapVariable,
    chosen: &Chosen<'_>,
    [rows, columns]: [usize; 2],
    out: &mut impl Write,
) -> Result<(), ExportError> {
    let (axes, shape) = if source.times().is_empty() {
        (&["y", "x"][..], vec![rows, columns])
    } else {
        (&["t", "y", "x"][..], vec![chosen.times.len(), rows, columns])
    };
    range_head(&variable.name, axes, &shape, out)?;
    let mut first = true;
    for &time in &chosen.times {
        source.rows(variable, time, &chosen.window, false, |_, values| {
            for &value in values {
                number(value, variable.is_double, first, out)?;
                first = false;
            }
            out.write_all(b"\n")?;
            Ok(())
        })?;
    }
    out.write_all(b"]}")?;
    Ok(())
}

/// A value as short as it comes back from; null where there is none.
pub(super) fn number(
    value: f64,
    is_double: bool,
    first: bool,
    out: &mut impl Write,
) -> Result<(), ExportError> {
    if !first {
        out.write_all(b",")?;
    }
    if !value.is_finite() {
        out.write_all(b"null")?;
    } else if is_double {
        write!(out, "{value}")?;
    } else {
        #[expect(clippy::cast_possible_truncation, reason = "it was 32 bits in the file")]
        let short = value as f32;
        write!(out, "{short}")?;
    }
    Ok(())
}
