//! A picture of indices into a palette, and the frame of a map: title, axes, colour bar.

use super::lettering::{self, Align, LETTER, fitted};
use super::levels;

/// Colours of values; further indices have fixed colours.
pub(super) const COLOURS: u8 = 240;
/// No value: transparent in a bare picture, grey in a framed one.
pub(super) const MISSING: u8 = COLOURS;
pub(super) const PAPER: u8 = COLOURS + 1;
pub(super) const INK: u8 = COLOURS + 2;
/// Coasts.
pub(super) const SHORE: u8 = COLOURS + 3;

/// Pixels, each an index.
#[derive(Debug)]
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<u8>,
}

/// A rectangle of a canvas.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize, index: u8) -> Self {
        Self { width, height, pixels: vec![index; width * height] }
    }

    /// Fills what of a rectangle is on the canvas.
    pub(super) fn fill(&mut self, [x, y]: [usize; 2], [width, height]: [usize; 2], index: u8) {
        let (from, to) = (x.min(self.width), (x + width).min(self.width));
        for row in y.min(self.height)..(y + height).min(self.height) {
            self.pixels[row * self.width..][from..to].fill(index);
        }
    }

    /// The outline of an area, just outside of it.
    fn outline(&mut self, area: Area, thick: usize) {
        let (left, top) = (area.left - thick, area.top - thick);
        let (width, height) = (area.width + 2 * thick, area.height + 2 * thick);
        self.fill([left, top], [width, thick], INK);
        self.fill([left, area.top + area.height], [width, thick], INK);
        self.fill([left, top], [thick, height], INK);
        self.fill([area.left + area.width, top], [thick, height], INK);
    }

    /// A line within an area, between two points of it in pixels. Only pieces of coast are drawn
    /// so, which are short: one that is longer than the area is wide has left the map.
    pub(super) fn line(&mut self, area: Area, from: [f64; 2], to: [f64; 2], thick: usize) {
        #[expect(clippy::cast_precision_loss, reason = "pixels")]
        let (width, height) = (area.width as f64, area.height as f64);
        let steps = (to[0] - from[0]).abs().max((to[1] - from[1]).abs()).ceil().max(1.0);
        let beyond = |k: usize, most: f64| {
            from[k].max(to[k]) < 0.0 || from[k].min(to[k]) >= most || !(to[k] - from[k]).is_finite()
        };
        if beyond(0, width) || beyond(1, height) || steps > width.max(height) {
            return;
        }
        let mut k = 0.0;
        while k <= steps {
            let at = |i: usize| from[i] + (to[i] - from[i]) * k / steps;
            let (x, y) = (at(0), at(1));
            if (0.0..width).contains(&x) && (0.0..height).contains(&y) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "on it"
                )]
                let (x, y) = (x as usize, y as usize);
                let room = [thick.min(area.width - x), thick.min(area.height - y)];
                self.fill([area.left + x, area.top + y], room, SHORE);
            }
            k += 1.0;
        }
    }
}

/// What is written around a map.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    /// Left, right, bottom, top in the units of the axes.
    pub(super) bounds: [f64; 4],
    /// How a number on the axes is written: unit, and the letters of its signs.
    pub(super) axes: Axes,
    /// Values of the first and last colour.
    pub(super) range: [f64; 2],
    pub(super) units: &'a str,
}

/// What numbers on the axes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axes {
    Degrees,
    /// Metres, written in km.
    Metres,
    Plain,
}

impl Axes {
    fn label(self, value: f64, step: f64, across: bool) -> String {
        let (positive, negative) = if across { ("E", "W") } else { ("N", "S") };
        match self {
            Self::Degrees => {
                let turned = if across && value > 180.0 { value - 360.0 } else { value };
                let side = match turned {
                    v if v > 0.0 && v < 180.0 => positive,
                    v if v < 0.0 && v > -180.0 => negative,
                    _ => "",
                };
                format!("{}°{side}", levels::label(turned.abs(), step))
            }
            Self::Metres => format!("{} km", levels::label(value / 1000.0, step / 1000.0)),
            Self::Plain => levels::label(value, step),
        }
    }
}

/// A canvas with everything but the map, and where the map belongs.
pub(super) fn framed(frame: &Frame<'_>, width: usize, height: usize) -> (Canvas, Area) {
    let scale = (width.max(height) / 450).max(1);
    let letter = LETTER * scale;
    let area = Area { left: 10 * letter, top: 4 * letter, width, height: height.max(1) };
    let full = [area.left + width + 13 * letter, area.top + height + 4 * letter];
    let mut canvas = Canvas::new(full[0].max(40 * letter), full[1], PAPER);
    let room = canvas.width - 2 * letter;
    let title = fitted(frame.title, room, scale);
    lettering::write(&mut canvas, &title, [letter, letter], Align::Left, scale, INK);
    canvas.outline(area, scale);
    axes(&mut canvas, frame, area, scale);
    colour_bar(&mut canvas, frame, area, scale);
    (canvas, area)
}

fn axes(canvas: &mut Canvas, frame: &Frame<'_>, area: Area, scale: usize) {
    let letter = LETTER * scale;
    let [left, right, bottom, top] = frame.bounds;
    let count = |pixels: usize, room: usize| u32::try_from(pixels / room).unwrap_or(8).clamp(1, 8);
    let ticks = levels::within(left, right, count(area.width, 10 * letter));
    let step = step_of(&ticks);
    for value in ticks {
        let x = area.left + share(value, left, right, area.width);
        let y = area.top + area.height + scale;
        canvas.fill([x, y], [scale, letter / 2], INK);
        let text = frame.axes.label(value, step, true);
        lettering::write(canvas, &text, [x, y + letter], Align::Centre, scale, INK);
    }
    let ticks = levels::within(bottom, top, count(area.height, 4 * letter));
    let step = step_of(&ticks);
    for value in ticks {
        let y = area.top + share(value, top, bottom, area.height);
        let x = area.left - scale - letter / 2;
        canvas.fill([x, y], [letter / 2, scale], INK);
        let text = frame.axes.label(value, step, false);
        let at = [x - letter / 2, y.saturating_sub(letter / 2)];
        lettering::write(canvas, &text, at, Align::Right, scale, INK);
    }
}

fn colour_bar(canvas: &mut Canvas, frame: &Frame<'_>, area: Area, scale: usize) {
    let letter = LETTER * scale;
    let bar = Area { left: area.left + area.width + 2 * letter, width: 2 * letter, ..area };
    for row in 0..bar.height {
        let index = share_index(row, bar.height);
        canvas.fill([bar.left, bar.top + row], [bar.width, 1], index);
    }
    canvas.outline(bar, scale);
    let [low, high] = frame.range;
    let count = u32::try_from(area.height / (3 * letter)).unwrap_or(10).clamp(1, 10);
    let ticks = levels::within(low, high, count);
    let step = step_of(&ticks);
    for value in ticks {
        let y = bar.top + share(value, high, low, bar.height);
        let x = bar.left + bar.width + scale;
        canvas.fill([x, y], [letter / 2, scale], INK);
        let at = [x + letter, y.saturating_sub(letter / 2)];
        lettering::write(canvas, &levels::label(value, step), at, Align::Left, scale, INK);
    }
    let units = fitted(frame.units, 12 * letter, scale);
    let at = [bar.left, bar.top - 3 * letter / 2];
    lettering::write(canvas, &units, at, Align::Left, scale, INK);
}

fn step_of(ticks: &[f64]) -> f64 {
    match ticks {
        [a, b, ..] => b - a,
        [only] if *only != 0.0 => only.abs(),
        _ => 1.0,
    }
}

/// The pixel of a value between two ends that many pixels apart.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "pixels; a cast saturates"
)]
fn share(value: f64, first: f64, last: f64, pixels: usize) -> usize {
    (((value - first) / (last - first) * pixels as f64) as usize).min(pixels.saturating_sub(1))
}

/// The colour of a row of the colour bar; the last colour is at the top.
fn share_index(row: usize, rows: usize) -> u8 {
    let from_below = rows - 1 - row;
    u8::try_from(from_below * usize::from(COLOURS) / rows.max(1)).unwrap_or(COLOURS - 1)
}
