//! Isolines and isobands as `GeoJSON` (RFC 7946): longitudes and latitudes, outsides counter-clockwise,
//! a feature for each level and time. How lines are found, and why there are none at the edge of a
//! mask, stands in [`bands`](super::bands).
//!
//! Longitudes run on across the date line (170 … 190) as those of the map do; nothing is cut there.

use std::io::Write;

use serde_json::{Map, Value, json};

use super::bands::{Field, Point, Polygon};
use super::chosen::{Chosen, Selection};
use super::error::ExportError;
use super::source::{Axis, MapVariable, Source, Space};
use super::{Form, Options, Summary, levels};

/// Cells of a field at most: 8 bytes each, and as much again for the contours.
const MOST_CELLS: u64 = 4_000_000;
/// Levels told at most.
const MOST_LEVELS: usize = 100;
/// Levels chosen, about.
const LEVELS: u32 = 10;

/// Writes lines, or areas between levels, of one variable.
///
/// # Errors
/// If more than one variable is chosen, the field is too large, the map has no longitudes, levels
/// make no sense, or the output cannot be written.
pub(super) fn write(
    source: &Source,
    selection: &Selection,
    options: &Options,
    out: &mut impl Write,
) -> Result<Summary, ExportError> {
    let chosen = selection.find(source)?;
    let variable = chosen.one_variable(Form::GeoJson)?;
    chosen.at_most(Form::GeoJson, MOST_CELLS)?;
    if matches!(source.space(), Space::Plane) {
        return Err(ExportError::NoDegrees { form: Form::GeoJson });
    }
    let told = told(options)?;
    let levels = match told {
        Some(levels) => levels,
        None => round(source, variable, &chosen)?,
    };
    let [x, y] = chosen.axes(source);
    let places = Places { source, turned: !y.ascends(), x, y };
    let mut collection = Collection { out, reach: None, features: 0 };
    collection.out.write_all(b"{\"type\":\"FeatureCollection\",\"features\":[\n")?;
    for &time in &chosen.times {
        let values = field(source, variable, time, &chosen)?;
        let (columns, rows) = (chosen.window.columns.count, chosen.window.rows.count);
        let field = Field { columns, rows, values: &values };
        let mut about = Map::new();
        about.insert("variable".into(), json!(variable.name));
        about.insert("long_name".into(), json!(variable.long_name));
        about.insert("units".into(), json!(variable.units));
        let stamp = source.times().get(time).map(ToString::to_string);
        about.insert("time".into(), json!(stamp));
        if options.bands {
            for pair in levels.windows(2) {
                let polygons = field.band(pair[0], pair[1]);
                let mut properties = about.clone();
                properties.insert("min".into(), json!(pair[0]));
                properties.insert("max".into(), json!(pair[1]));
                collection.areas(&polygons, &places, &properties)?;
            }
        } else {
            for &level in &levels {
                let mut properties = about.clone();
                properties.insert("value".into(), json!(level));
                collection.lines(&field.lines(level), &places, &properties)?;
            }
        }
    }
    let features = collection.end()?;
    let text: Vec<String> = levels.iter().map(ToString::to_string).collect();
    let note = format!("{features} features, levels {}", text.join(", "));
    Ok(chosen.summary(source, Some(note)))
}

fn told(options: &Options) -> Result<Option<Vec<f64>>, ExportError> {
    let Some(levels) = &options.levels else { return Ok(None) };
    if levels.len() > MOST_LEVELS {
        return Err(ExportError::ManyLevels { got: levels.len(), limit: MOST_LEVELS });
    }
    let least = if options.bands { 2 } else { 1 };
    if levels.len() < least {
        return Err(ExportError::FewLevels { got: levels.len() });
    }
    let rises = levels.windows(2).find(|w| w[0] >= w[1]).map(|w| w[1]);
    match levels.iter().copied().find(|level| !level.is_finite()).or(rises) {
        Some(got) => Err(ExportError::Levels { got }),
        None => Ok(Some(levels.clone())),
    }
}

/// Round levels that cover all values at the times chosen.
fn round(
    source: &Source,
    variable: &MapVariable,
    chosen: &Chosen<'_>,
) -> Result<Vec<f64>, ExportError> {
    let [mut low, mut high] = [f64::INFINITY, f64::NEG_INFINITY];
    for &time in &chosen.times {
        source.rows(variable, time, &chosen.window, false, |_, values| {
            // `min` and `max` pass over NaN.
            low = values.iter().fold(low, |a, &b| a.min(b));
            high = values.iter().fold(high, |a, &b| a.max(b));
            Ok(())
        })?;
    }
    if low > high {
        return Err(ExportError::Nothing { variable: variable.name.clone() });
    }
    let least = f64::EPSILON * low.abs().max(high.abs()).max(f64::MIN_POSITIVE) * 1e3;
    Ok(levels::covering(low, high.max(low + least), LEVELS))
}

fn field(
    source: &Source,
    variable: &MapVariable,
    time: usize,
    chosen: &Chosen<'_>,
) -> Result<Vec<f64>, ExportError> {
    let mut values = Vec::new();
    source.rows(variable, time, &chosen.window, false, |_, row| {
        values.extend_from_slice(row);
        Ok(())
    })?;
    Ok(values)
}

/// Where columns and rows are on the Earth.
struct Places<'a> {
    source: &'a Source,
    /// Whether rows go south: rings then run the other way round on the Earth.
    turned: bool,
    x: Axis,
    y: Axis,
}

impl Places<'_> {
    /// A place of 7 digits, a centimetre.
    fn place(&self, [column, row]: Point) -> Option<[f64; 2]> {
        let place = self.source.degrees(at(&self.x, column), at(&self.y, row))?;
        Some(place.map(|v| (v * 1e7).round() / 1e7))
    }

    /// A chain of places, none twice in a row.
    fn chain(&self, points: &[Point], turned: bool) -> Vec<[f64; 2]> {
        let mut places: Vec<_> = points.iter().filter_map(|&point| self.place(point)).collect();
        if turned {
            places.reverse();
        }
        places.dedup();
        places
    }
}

/// The coordinate between the nodes of an axis.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the axis")]
fn at(axis: &Axis, index: f64) -> f64 {
    let first = (index as usize).min(axis.nodes.len() - 1);
    let next = (first + 1).min(axis.nodes.len() - 1);
    axis.nodes[first] + (axis.nodes[next] - axis.nodes[first]) * index.fract()
}

/// Features, written one by one; the box around all comes last.
struct Collection<'a, W> {
    out: &'a mut W,
    reach: Option<[f64; 4]>,
    features: usize,
}

impl<W: Write> Collection<'_, W> {
    fn lines(
        &mut self,
        lines: &[Vec<Point>],
        places: &Places<'_>,
        properties: &Map<String, Value>,
    ) -> Result<(), ExportError> {
        let mut chains: Vec<_> = lines.iter().map(|line| places.chain(line, false)).collect();
        chains.retain(|chain| chain.len() > 1);
        self.feature("MultiLineString", &json!(chains), chains.iter().flatten(), properties)
    }

    fn areas(
        &mut self,
        polygons: &[Polygon],
        places: &Places<'_>,
        properties: &Map<String, Value>,
    ) -> Result<(), ExportError> {
        let ring = |points: &Vec<Point>| {
            let chain = places.chain(points, places.turned);
            (chain.len() > 3).then_some(chain)
        };
        let rings: Vec<Vec<Vec<[f64; 2]>>> = polygons
            .iter()
            .filter_map(|polygon| {
                let outside = ring(&polygon.outside)?;
                let holes = polygon.holes.iter().filter_map(ring);
                Some(std::iter::once(outside).chain(holes).collect())
            })
            .collect();
        let outsides = rings.iter().filter_map(|polygon| polygon.first()).flatten();
        self.feature("MultiPolygon", &json!(rings), outsides, properties)
    }

    /// Nothing is written for a level that no value reaches.
    fn feature<'b>(
        &mut self,
        kind: &str,
        coordinates: &Value,
        places: impl Iterator<Item = &'b [f64; 2]>,
        properties: &Map<String, Value>,
    ) -> Result<(), ExportError> {
        let Some(reach) = places.fold(None, |reach, &[x, y]| Some(wider(reach, [x, y, x, y])))
        else {
            return Ok(());
        };
        self.reach = Some(wider(self.reach, reach));
        let feature = json!({
            "type": "Feature",
            "bbox": reach,
            "properties": properties,
            "geometry": {"type": kind, "coordinates": coordinates},
        });
        if self.features > 0 {
            self.out.write_all(b",\n")?;
        }
        self.features += 1;
        serde_json::to_writer(&mut *self.out, &feature).map_err(std::io::Error::from)?;
        Ok(())
    }

    fn end(self) -> Result<usize, ExportError> {
        self.out.write_all(b"\n]")?;
        if let Some(reach) = self.reach {
            write!(self.out, ",\"bbox\":{}", json!(reach))?;
        }
        self.out.write_all(b"}\n")?;
        Ok(self.features)
    }
}

fn wider(reach: Option<[f64; 4]>, by: [f64; 4]) -> [f64; 4] {
    reach.map_or(by, |r| [r[0].min(by[0]), r[1].min(by[1]), r[2].max(by[2]), r[3].max(by[3])])
}
