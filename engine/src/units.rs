//! From one unit to another, where both measure the same and both are known.

use crate::output::udunits;

/// What a unit measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dimension {
    MassConcentration,
    MoleFraction,
    Temperature,
    Speed,
    Pressure,
    Length,
    Share,
}

/// UDUNITS' spelling; what it measures; `base = scale · value + offset`.
const KNOWN: &[(&str, Dimension, f64, f64)] = &[
    ("kg m-3", Dimension::MassConcentration, 1e9, 0.0),
    ("g m-3", Dimension::MassConcentration, 1e6, 0.0),
    ("mg m-3", Dimension::MassConcentration, 1e3, 0.0),
    ("ug m-3", Dimension::MassConcentration, 1.0, 0.0),
    ("ng m-3", Dimension::MassConcentration, 1e-3, 0.0),
    ("1e-6", Dimension::MoleFraction, 1e3, 0.0),
    ("1e-9", Dimension::MoleFraction, 1.0, 0.0),
    ("1e-12", Dimension::MoleFraction, 1e-3, 0.0),
    ("K", Dimension::Temperature, 1.0, 0.0),
    ("degC", Dimension::Temperature, 1.0, 273.15),
    ("degF", Dimension::Temperature, 5.0 / 9.0, 459.67 * 5.0 / 9.0),
    ("m s-1", Dimension::Speed, 1.0, 0.0),
    ("km h-1", Dimension::Speed, 1.0 / 3.6, 0.0),
    ("hPa", Dimension::Pressure, 100.0, 0.0),
    ("Pa", Dimension::Pressure, 1.0, 0.0),
    ("m", Dimension::Length, 1000.0, 0.0),
    ("mm", Dimension::Length, 1.0, 0.0),
    ("%", Dimension::Share, 0.01, 0.0),
    ("1", Dimension::Share, 1.0, 0.0),
];

/// `to = scale · from + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Conversion {
    pub(crate) scale: f64,
    pub(crate) offset: f64,
}

impl Conversion {
    pub(crate) const NONE: Self = Self { scale: 1.0, offset: 0.0 };

    /// None where the units do not measure the same, or one is not known and they differ.
    pub(crate) fn between(from: &str, to: &str) -> Option<Self> {
        let plain = |unit: &str| unit.split_whitespace().collect::<Vec<_>>().join(" ");
        let known = |unit: &str| udunits(unit).map_or_else(|| plain(unit), str::to_owned);
        let (from, to) = (known(from), known(to));
        if from == to {
            return Some(Self::NONE);
        }
        let find = |unit: &str| KNOWN.iter().find(|(name, ..)| *name == unit);
        let (&(_, a, scale, offset), &(_, b, by, less)) = (find(&from)?, find(&to)?);
        (a == b).then(|| Self { scale: scale / by, offset: (offset - less) / by })
    }

    pub(crate) fn apply(self, value: f64) -> f64 {
        // Without a conversion no bit changes.
        if self == Self::NONE { value } else { value.mul_add(self.scale, self.offset) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_one_quantity_are_converted_and_others_refused() {
        let of = |value: f64, from, to| Some(Conversion::between(from, to)?.apply(value));
        let near = |value: f64, from, to, want: f64| {
            let got = of(value, from, to).expect("convertible");
            // One rounding of a product and a sum.
            assert!((got - want).abs() <= 4.0 * f64::EPSILON * want.abs(), "{from} {to}: {got}");
        };
        near(3.5e-8, "kg m-3", "µg/m³", 35.0);
        near(1.2, "mg/m3", "ug m-3", 1200.0);
        near(0.04, "ppm", "ppb", 40.0);
        near(293.15, "K", "degC", 20.0);
        near(68.0, "degF", "degC", 20.0);
        near(36.0, "km/h", "m/s", 10.0);
        assert_eq!(of(7.25, "ug/m3", "µg m-3"), Some(7.25));
        assert_eq!(of(7.25, "fathom", "fathom"), Some(7.25));
        for (from, to) in [("ppb", "ug m-3"), ("fathom", "m"), ("K", "ug m-3"), ("1", "ppb")] {
            assert_eq!(of(1.0, from, to), None, "{from} {to}");
        }
    }
}
