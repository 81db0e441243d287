//! Letters of 8 × 8 dots: enough for the title and the numbers of a picture.

use font8x8::{BASIC_FONTS, GREEK_FONTS, LATIN_FONTS, UnicodeFonts};

use super::picture::Canvas;

/// Dots of a letter, both ways.
pub(super) const LETTER: usize = 8;

/// Where a text stands beside the point it is put at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Align {
    Left,
    Centre,
    Right,
}

/// Writes a text, its top at `y`; each dot is `scale` pixels wide.
pub(super) fn write(
    canvas: &mut Canvas,
    text: &str,
    [x, y]: [usize; 2],
    align: Align,
    scale: usize,
    ink: u8,
) {
    let width = text.chars().count() * LETTER * scale;
    let left = match align {
        Align::Left => x,
        Align::Centre => x.saturating_sub(width / 2),
        Align::Right => x.saturating_sub(width),
    };
    for (k, letter) in text.chars().enumerate() {
        for (row, bits) in dots(letter).into_iter().enumerate() {
            for column in (0..LETTER).filter(|column| bits >> column & 1 == 1) {
                let x = left + (k * LETTER + column) * scale;
                canvas.fill([x, y + row * scale], [scale, scale], ink);
            }
        }
    }
}

/// As much of a text as fits a width, the last letters of a longer one are dots.
pub(super) fn fitted(text: &str, width: usize, scale: usize) -> String {
    let room = width / (LETTER * scale);
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let some: String = text.chars().take(room.saturating_sub(3)).collect();
    format!("{}...", some.trim_end())
}

/// The rows of a letter, the lowest bit on the left; a box for letters that the font lacks.
fn dots(letter: char) -> [u8; 8] {
    let of_latin = || LATIN_FONTS.get(letter).or_else(|| GREEK_FONTS.get(letter));
    BASIC_FONTS.get(letter).or_else(of_latin).unwrap_or([0, 126, 66, 66, 66, 66, 126, 0])
}
