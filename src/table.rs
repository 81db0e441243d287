//! Plain tables for people: columns as wide as their contents, numbers to the right.

use std::fmt::Write as _;

/// Rows of text under a header.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|&h| h.to_owned()).collect()] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The first column to the left, the others to the right.
    pub(crate) fn render(&self) -> String {
        self.aligned(1)
    }

    /// All columns to the left, for words.
    pub(crate) fn render_words(&self) -> String {
        self.aligned(usize::MAX)
    }

    /// So many columns to the left, the others to the right.
    fn aligned(&self, to_the_left: usize) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |c: usize| {
            self.rows.iter().filter_map(|r| r.get(c)).map(|t| t.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (c, cell) in row.iter().enumerate() {
                let (w, gap) = (widths[c], if c == 0 { "" } else { "  " });
                let _ = match c < to_the_left {
                    true => write!(line, "{gap}{cell:<w$}"),
                    false => write!(line, "{gap}{cell:>w$}"),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Four significant digits, or a dash.
pub(crate) fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(v) => {
            #[expect(clippy::cast_possible_truncation, reason = "a decimal exponent is small")]
            let exponent = v.abs().log10().floor() as i32;
            if !(-4..=9).contains(&exponent) {
                return format!("{v:.3e}");
            }
            let decimals = usize::try_from(3 - exponent).unwrap_or(0);
            format!("{v:.decimals$}")
        }
    }
}

/// Bytes for people.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(count: u64) -> String {
    let count = count as f64;
    [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")]
        .iter()
        .find(|(size, _)| count >= *size)
        .map_or_else(|| format!("{count} B"), |(size, unit)| format!("{:.1} {unit}", count / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["variable", "MAE"]);
        table.row(vec!["pm25".into(), "5.123".into()]);
        table.row(vec!["o3".into(), "15.7".into()]);
        assert_eq!(table.render(), "variable    MAE\npm25      5.123\no3         15.7\n");
        assert_eq!(table.render_words(), "variable  MAE\npm25      5.123\no3        15.7\n");
    }

    #[test]
    fn numbers_show_four_digits() {
        let shown = [0.0, 5.12345, 1234.5, 0.012_345, -15.7, 1e12, 1e-9].map(|v| number(Some(v)));
        let wanted = ["0", "5.123", "1234", "0.01235", "-15.70", "1.000e12", "1.000e-9"];
        assert_eq!(shown, wanted);
        assert_eq!(number(None), "-");
    }

    #[test]
    fn bytes_have_a_unit() {
        assert_eq!([12, 45_000, 300_000_000].map(bytes), ["12 B", "45.0 kB", "300.0 MB"]);
    }
}
