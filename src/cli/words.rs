//! Words of the command line that are more than a number or a name.

use isopleth_engine::uncertainty::Of;
use isopleth_engine::{Back, Bound, Folds, Tolerance, TransformOf};

pub(super) fn parse_of(text: &str) -> Result<Of, String> {
    text.parse()
}

pub(super) fn parse_exceed(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.rsplit_once('=').ok_or("expected VARIABLE=VALUE, such as pm25=75")?;
    match value.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok((name.trim().to_owned(), value)),
        _ => Err(format!("`{value}` is not a finite number")),
    }
}

pub(super) fn parse_level(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(level) if level > 0.0 && level < 1.0 => Ok(level),
        _ => Err(format!("`{text}` is not a number above 0 and below 1")),
    }
}

pub(super) fn parse_tolerance(text: &str) -> Result<Tolerance, String> {
    text.parse()
}

pub(super) fn parse_folds(text: &str) -> Result<Folds, String> {
    text.parse()
}

pub(super) fn parse_bound(text: &str) -> Result<Bound, String> {
    text.parse()
}

pub(super) fn parse_transform(text: &str) -> Result<TransformOf, String> {
    text.parse()
}

pub(super) fn parse_back(text: &str) -> Result<Back, String> {
    text.parse()
}

/// `500MB`, `2 GiB`, `1000000`.
pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 =
        number.parse().map_err(|_| format!("`{text}` does not begin with a number"))?;
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        other => return Err(format!("unit `{other}` is none of B, kB, MB, GB, KiB, MiB, GiB")),
    };
    let bytes = number * factor;
    if !(1.0..1e18).contains(&bytes) {
        return Err(format!("`{text}` is not a size"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 1e18")]
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(parse_bytes("500MB"), Ok(500_000_000));
        assert_eq!(parse_bytes("1.5 GiB"), Ok(1_610_612_736));
        assert_eq!(parse_bytes("42"), Ok(42));
        for wrong in ["", "MB", "-1", "3 parsecs", "0", "1e999GB"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
