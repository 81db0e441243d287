//! Colours by name: those of matplotlib and ColorBrewer that maps are usually drawn in.

use std::str::FromStr;

use colorgrad::{Gradient, preset};

use super::error::ExportError;

/// A scale of colours. [`FromStr`] knows them by name; `_r` behind a name turns it round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    name: &'static str,
    reversed: bool,
}

/// Names as matplotlib has them.
const NAMES: [&str; 15] = [
    "viridis", "cividis", "inferno", "magma", "plasma", "turbo", "YlOrRd", "YlGnBu", "Blues",
    "Greens", "Greys", "Reds", "Spectral", "RdYlBu", "RdBu",
];

impl Palette {
    /// The names there are.
    #[must_use]
    pub fn names() -> &'static [&'static str] {
        &NAMES
    }

    /// Red, green and blue of some colours at even steps from the first to the last.
    #[must_use]
    pub fn colours(self, count: u8) -> Vec<[u8; 3]> {
        let gradient: Box<dyn Gradient> = match self.name {
            "cividis" => Box::new(preset::cividis()),
            "inferno" => Box::new(preset::inferno()),
            "magma" => Box::new(preset::magma()),
            "plasma" => Box::new(preset::plasma()),
            "turbo" => Box::new(preset::turbo()),
            "YlOrRd" => Box::new(preset::yl_or_rd()),
            "YlGnBu" => Box::new(preset::yl_gn_bu()),
            "Blues" => Box::new(preset::blues()),
            "Greens" => Box::new(preset::greens()),
            "Greys" => Box::new(preset::greys()),
            "Reds" => Box::new(preset::reds()),
            "Spectral" => Box::new(preset::spectral()),
            "RdYlBu" => Box::new(preset::rd_yl_bu()),
            "RdBu" => Box::new(preset::rd_bu()),
            _ => Box::new(preset::viridis()),
        };
        let last = f32::from(count.saturating_sub(1).max(1));
        let colour = |k: u8| {
            let at = f32::from(k) / last;
            let [red, green, blue, _] =
                gradient.at(if self.reversed { 1.0 - at } else { at }).to_rgba8();
            [red, green, blue]
        };
        (0..count).map(colour).collect()
    }
}

impl Default for Palette {
    fn default() -> Self {
        Self { name: "viridis", reversed: false }
    }
}

impl FromStr for Palette {
    type Err = ExportError;

    fn from_str(text: &str) -> Result<Self, ExportError> {
        let given = text.trim();
        let (name, reversed) = match given.strip_suffix("_r") {
            Some(name) => (name, true),
            None => (given, false),
        };
        let found = NAMES.iter().find(|known| known.eq_ignore_ascii_case(name));
        let found = found.map(|&name| Self { name, reversed });
        found.ok_or_else(|| ExportError::Colours {
            got: text.to_owned(),
            known: format!("{} (each also with _r, the other way round)", NAMES.join(", ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_scale_of_its_own_and_turns_round() {
        let mut seen = Vec::new();
        for name in NAMES {
            let palette: Palette = name.to_lowercase().parse().expect(name);
            let colours = palette.colours(16);
            let mut turned = format!("{name}_r").parse::<Palette>().expect(name).colours(16);
            turned.reverse();
            assert_eq!(colours.len(), 16);
            for (a, b) in colours.iter().zip(&turned) {
                // 1 - (1 - t) is t to a rounding, which may turn the last bit of a colour.
                assert!(a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 1), "{name}");
            }
            assert!(!seen.contains(&colours), "{name} is another's");
            seen.push(colours);
        }
        assert_eq!(seen[0][0], [68, 1, 84], "viridis begins in its violet");
        let error = "jet".parse::<Palette>().expect_err("no such scale").to_string();
        assert!(error.contains("turbo"), "{error}");
    }
}
