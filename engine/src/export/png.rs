//! Pictures: a map of 240 colours in a frame with title, axes and colour bar, or bare, a pixel for
//! each cell, to be laid over a web map. North is up; cells without a value are grey, or transparent
//! where the picture is bare.

use std::io::Write;

use super::chosen::{Chosen, Selection};
use super::error::ExportError;
use super::picture::{Area, Axes, COLOURS, Canvas, Frame, INK, MISSING, PAPER, SHORE, framed};
use super::source::{Axis, MapVariable, Source, Space};
use super::{Form, Options, Summary};
use crate::land;

/// Cells of a bare picture at most: 5 bytes each.
const MOST_CELLS: u64 = 25_000_000;
/// Longer sides of a framed map, in pixels.
const SIZES: [usize; 2] = [64, 8000];
/// Values from which percentiles are taken, about.
const SAMPLE: usize = 1 << 20;

/// Draws one variable at one time.
///
/// # Errors
/// If more is chosen, the picture would be too large, or the output cannot be written.
pub(super) fn write(
    source: &Source,
    selection: &Selection,
    options: &Options,
    out: &mut impl Write,
) -> Result<Summary, ExportError> {
    let chosen = selection.find(source)?;
    let variable = chosen.one_variable(Form::Png)?;
    let time = chosen.one_time(source, Form::Png)?;
    let view = View::new(source, &chosen, options)?;
    let values = view.pixels(source, variable, time, &chosen)?;
    let range = range(&values, variable, options)?;
    let indices = values.iter().map(|&value| index(value, range));
    let (mut canvas, area) = if options.bare {
        let area = Area { left: 0, top: 0, width: view.width, height: view.height };
        (Canvas::new(view.width, view.height, MISSING), area)
    } else {
        let stamp = source.times().get(time).map(|t| format!("  {t}")).unwrap_or_default();
        let units = variable.units.as_deref().unwrap_or_default();
        let in_units = if units.is_empty() { String::new() } else { format!(" ({units})") };
        let frame = Frame {
            title: &format!("{}{in_units}{stamp}", variable.long_name),
            bounds: view.bounds,
            axes: match source.space() {
                Space::Degrees => Axes::Degrees,
                Space::Projected(crs) if !crs.is_rotated() => Axes::Metres,
                _ => Axes::Plain,
            },
            range,
            units,
        };
        framed(&frame, view.width, view.height)
    };
    for (k, index) in indices.enumerate() {
        let (row, column) = (k / view.width, k % view.width);
        canvas.pixels[(area.top + row) * canvas.width + area.left + column] = index;
    }
    if options.coast {
        coast(&mut canvas, area, &view, source);
    }
    encode(&canvas, options, out)?;
    let note = format!(
        "{} x {} pixels, colours from {} to {}",
        canvas.width, canvas.height, range[0], range[1]
    );
    Ok(chosen.summary(source, Some(note)))
}

/// Which cell each pixel shows.
struct View {
    width: usize,
    height: usize,
    /// Column of the window for each column of pixels.
    columns: Vec<usize>,
    /// Row of the window, north first, for each row of pixels.
    rows: Vec<usize>,
    /// Left, right, bottom, top.
    bounds: [f64; 4],
}

impl View {
    fn new(source: &Source, chosen: &Chosen<'_>, options: &Options) -> Result<Self, ExportError> {
        let [x, y] = chosen.axes(source);
        let ([west, east], [south, north]) = (x.ends(), y.ends());
        let bounds = [west, east, south, north];
        if options.bare {
            chosen.at_most(Form::Png, MOST_CELLS)?;
            let (width, height) = (x.nodes.len(), y.nodes.len());
            let [columns, rows] = [(0..width).collect(), (0..height).collect()];
            return Ok(Self { width, height, columns, rows, bounds });
        }
        let [least, most] = SIZES;
        if !(least..=most).contains(&options.size) {
            return Err(ExportError::Size { got: options.size, least, most });
        }
        let across = (east - west) * narrowing(source, south, north);
        let down = north - south;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "pixels"
        )]
        let side = |part: f64| ((options.size as f64 * part).round() as usize).max(16);
        let (width, height) = if across >= down {
            (options.size, side(down / across))
        } else {
            (side(across / down), options.size)
        };
        let columns = (0..width).map(|k| cell(&x, west, east, k, width)).collect();
        let turned = |k: usize| if y.ascends() { y.nodes.len() - 1 - k } else { k };
        let rows = (0..height).map(|k| turned(cell(&y, north, south, k, height))).collect();
        Ok(Self { width, height, columns, rows, bounds })
    }

    /// The value that each pixel shows, row by row from the north.
    fn pixels(
        &self,
        source: &Source,
        variable: &MapVariable,
        time: usize,
        chosen: &Chosen<'_>,
    ) -> Result<Vec<f32>, ExportError> {
        let mut values = Vec::with_capacity(self.width * self.height);
        let mut row = 0;
        source.rows(variable, time, &chosen.window, true, |number, cells| {
            // Rows of pixels go from the north, as those of the file come.
            while self.rows.get(row) == Some(&number) {
                #[expect(clippy::cast_possible_truncation, reason = "240 colours")]
                values.extend(self.columns.iter().map(|&column| cells[column] as f32));
                row += 1;
            }
            Ok(())
        })?;
        Ok(values)
    }

    /// Where a place of the axes is in the map, in pixels.
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    fn pixel(&self, x: f64, y: f64) -> [f64; 2] {
        let [left, right, bottom, top] = self.bounds;
        let across = (x - left) / (right - left) * self.width as f64;
        [across, (top - y) / (top - bottom) * self.height as f64]
    }
}

/// How much narrower a degree of longitude is than one of latitude, in the middle of a map.
fn narrowing(source: &Source, south: f64, north: f64) -> f64 {
    match source.space() {
        Space::Degrees => f64::midpoint(south, north).to_radians().cos().max(0.2),
        _ => 1.0,
    }
}

/// The cell under the middle of a pixel; `first` and `last` are the ends of the axis as pixels go.
#[expect(clippy::cast_precision_loss, reason = "pixels")]
fn cell(axis: &Axis, first: f64, last: f64, pixel: usize, pixels: usize) -> usize {
    let at = first + (last - first) * (pixel as f64 + 0.5) / pixels as f64;
    let before = |edge: &f64| if axis.ascends() { *edge <= at } else { *edge > at };
    axis.edges.partition_point(before).saturating_sub(1).min(axis.nodes.len() - 1)
}

/// The values of the first and last colour: as told, or the 2nd and 98th percentile.
fn range(
    values: &[f32],
    variable: &MapVariable,
    options: &Options,
) -> Result<[f64; 2], ExportError> {
    if let Some([low, high]) = options.range {
        let sound = low < high && low.is_finite() && high.is_finite();
        return if sound { Ok([low, high]) } else { Err(ExportError::Range { low, high }) };
    }
    let step = (values.len() / SAMPLE).max(1);
    let mut some: Vec<f32> = values.iter().step_by(step).copied().filter(|v| !v.is_nan()).collect();
    if some.is_empty() {
        some = values.iter().copied().filter(|v| !v.is_nan()).collect();
    }
    let Some(last) = some.len().checked_sub(1) else {
        return Err(ExportError::Nothing { variable: variable.name.clone() });
    };
    let mut percentile = |percent: usize| {
        let place = (last * percent + 50) / 100;
        f64::from(*some.select_nth_unstable_by(place, f32::total_cmp).1)
    };
    let [low, high] = [percentile(2), percentile(98)];
    Ok(if low < high { [low, high] } else { [low - 0.5, high + 0.5] })
}

fn index(value: f32, [low, high]: [f64; 2]) -> u8 {
    if value.is_nan() {
        return MISSING;
    }
    let share = (f64::from(value) - low) / (high - low) * f64::from(COLOURS);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
    let index = share as u8;
    index.min(COLOURS - 1)
}

/// Coasts, piece by piece, in whatever turn they meet the map.
fn coast(canvas: &mut Canvas, area: Area, view: &View, source: &Source) {
    let thick = (view.width.max(view.height) / 1000).max(1);
    let place = |lon: f64, lat: f64| match source.space() {
        Space::Degrees => Some([lon, lat]),
        Space::Projected(crs) => crs.to_plane(lon, lat),
        Space::Plane => None,
    };
    // In a plane one turn is enough; on a map in degrees each that may meet it.
    let turns: &[f64] =
        if matches!(source.space(), Space::Degrees) { &[-360.0, 0.0, 360.0] } else { &[0.0] };
    for (_, ring) in land::polygons().rings() {
        for &turn in turns {
            let mut before = None;
            for &[lon, lat] in ring {
                let at = place(lon + turn, lat).map(|[x, y]| view.pixel(x, y));
                if let (Some(from), Some(to)) = (before, at) {
                    canvas.line(area, from, to, thick);
                }
                before = at;
            }
        }
    }
}

fn encode(canvas: &Canvas, options: &Options, out: &mut impl Write) -> Result<(), ExportError> {
    let [width, height] =
        [canvas.width, canvas.height].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    let mut encoder = png::Encoder::new(out, width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    let mut colours = options.palette.colours(COLOURS);
    for (index, colour) in
        [(MISSING, [204; 3]), (PAPER, [255; 3]), (INK, [17; 3]), (SHORE, [64; 3])]
    {
        debug_assert_eq!(usize::from(index), colours.len());
        colours.push(colour);
    }
    encoder.set_palette(colours.concat());
    if options.bare {
        let clear = (0..=SHORE).map(|k| if k == MISSING { 0 } else { 255 });
        encoder.set_trns(clear.collect::<Vec<u8>>());
    }
    let failed = |error: png::EncodingError| match error {
        png::EncodingError::IoError(error) => ExportError::Write(error),
        other => ExportError::Write(std::io::Error::other(other)),
    };
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&canvas.pixels).map_err(failed)?;
    writer.finish().map_err(failed)
}
