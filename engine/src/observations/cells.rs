//! What a cell of a table says: a number, nothing, or something else. And what a coordinate may be.

use super::error::{Location, ReadError};

/// A cell that should hold a reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell {
    Value(f64),
    Missing,
    Infinite,
    Text,
}

/// Marks of a missing reading.
#[derive(Debug)]
pub(super) struct Missing {
    /// In lower case.
    words: Vec<String>,
    numbers: Vec<f64>,
}

impl Missing {
    /// The usual marks, those told, and without those told with a `!` before them.
    pub(super) fn new(told: &[String]) -> Self {
        let mut words = ["", "-", "nan", "na", "null", "-999", "-9999"].map(str::to_owned).to_vec();
        for mark in told {
            let mark = mark.trim().to_lowercase();
            match mark.strip_prefix('!') {
                Some(no_mark) => words.retain(|word| word != no_mark.trim()),
                None => words.push(mark),
            }
        }
        let numbers = words.iter().filter_map(|word| word.parse().ok());
        let numbers = numbers.filter(|number: &f64| number.is_finite()).collect();
        Self { words, numbers }
    }

    /// Understands a cell.
    pub(super) fn cell(&self, text: &str) -> Cell {
        let text = text.trim();
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => self.number(value),
            Ok(value) if value.is_nan() => Cell::Missing,
            Ok(_) if self.is_word(text) => Cell::Missing,
            Ok(_) => Cell::Infinite,
            Err(_) if text.is_empty() || self.is_word(text) => Cell::Missing,
            Err(_) => Cell::Text,
        }
    }

    /// Understands a number that needs no parsing.
    pub(super) fn number(&self, value: f64) -> Cell {
        if value.is_nan() || self.numbers.contains(&value) {
            Cell::Missing
        } else if value.is_infinite() {
            Cell::Infinite
        } else {
            Cell::Value(value)
        }
    }

    fn is_word(&self, text: &str) -> bool {
        self.words.iter().any(|word| word.eq_ignore_ascii_case(text))
    }
}

/// A cell that should hold a coordinate: nothing, a number, or the text that is neither.
pub(super) fn coordinate(text: &str) -> Result<Option<f64>, &str> {
    let text = text.trim();
    // Not `NaN`: a coordinate that was computed and failed is a mistake, not a gap.
    if text.is_empty() || text == "-" || ["na", "null"].iter().any(|w| text.eq_ignore_ascii_case(w))
    {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| text)
}

/// Refuses a place that is none. `at` gives the location for a coordinate's name.
pub(super) fn check_place(
    [x, y]: [f64; 2],
    planar: bool,
    name: &str,
    at: impl Fn(bool) -> Box<Location>,
) -> Result<(), ReadError> {
    let refuse = |is_x: bool, what, value: f64, need: String| {
        Err(ReadError::Coordinate {
            name: name.to_owned(),
            at: at(is_x),
            what,
            value: value.to_string(),
            need,
        })
    };
    let names = if planar { ["x", "y"] } else { ["longitude", "latitude"] };
    for (is_x, what, value) in [(true, names[0], x), (false, names[1], y)] {
        if !value.is_finite() {
            return refuse(is_x, what, value, "it must be a finite number".to_owned());
        }
    }
    if planar {
        return Ok(());
    }
    if !(-90.0..=90.0).contains(&y) {
        let swapped = (-90.0..=90.0).contains(&x) && y.abs() <= 360.0;
        let hint = if swapped {
            "are longitude and latitude swapped?"
        } else {
            "for coordinates of a plane choose metric = planar"
        };
        return refuse(false, names[1], y, format!("it must be within -90 and 90; {hint}"));
    }
    if !(-180.0..=360.0).contains(&x) {
        let need =
            "it must be within -180 and 360; for coordinates of a plane choose metric = planar";
        return refuse(true, names[0], x, need.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_of_a_missing_reading_is_one() {
        let missing = Missing::new(&["0".to_owned(), "n.d.".to_owned()]);
        for text in [
            "", " ", "-", "NaN", "nan", "NA", "null", "-999", "-999.0", "-9999", "0", "0.0", "N.D.",
        ] {
            assert_eq!(missing.cell(text), Cell::Missing, "{text}");
        }
        assert_eq!(missing.cell("-8"), Cell::Value(-8.0));
        assert_eq!(Missing::new(&[]).cell("0"), Cell::Value(0.0));
        let depths = Missing::new(&["!-999".to_owned()]);
        assert_eq!(depths.cell("-999.0"), Cell::Value(-999.0));
        assert_eq!(depths.cell("-9999"), Cell::Missing);
    }

    #[test]
    fn infinity_is_neither_a_reading_nor_missing() {
        let missing = Missing::new(&[]);
        for text in ["inf", "-Infinity", "1e999"] {
            assert_eq!(missing.cell(text), Cell::Infinite, "{text}");
        }
        assert_eq!(missing.cell("<2"), Cell::Text);
    }

    #[test]
    fn an_empty_coordinate_is_missing_but_nan_is_wrong() {
        assert_eq!(coordinate(" "), Ok(None));
        assert!(coordinate("NaN").expect("a number").expect("there").is_nan());
        assert_eq!(coordinate("east"), Err("east"));
    }
}
