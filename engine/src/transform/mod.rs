//! Readings mapped through a monotone function, since concentrations are skewed.
//!
//! ```text
//! readings d  →  f(d), of which the surface is made  →  m at a cell  →  back     this file
//! what is left open of f (offset, λ) from the readings                           fitting
//! back without bias: the mean of f⁻¹(m + e) over the errors e                    law, way_back
//! ```
//!
//! Box & Cox 1964, doi:10.1111/j.2517-6161.1964.tb00553.x, for the family; Duan 1983,
//! doi:10.1080/01621459.1983.10478017, for the way back ("smearing").

mod asked;
mod fitting;
mod law;
mod near;
mod way_back;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use asked::{TransformOf, Transforms, Wanted};
pub(crate) use fitting::{fitted, log_of, positive};
pub(crate) use law::Law;
pub(crate) use near::Neighbours;
pub(crate) use way_back::WayBack;

/// A monotone function of readings from 0 upwards. Lower readings, which instruments give near 0,
/// enter as 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Transform {
    /// Readings as they are.
    #[default]
    None,
    /// √d
    Sqrt,
    /// ln(d + offset)
    Log {
        /// In the unit of the readings, above 0.
        offset: f64,
    },
    /// ((d + offset)^λ − 1)/λ, and ln(d + offset) where λ is 0.
    BoxCox {
        /// From 0 (as `Log`) to 1 (as the readings, but for a constant).
        lambda: f64,
        /// In the unit of the readings; 0 only where λ is above 0.
        offset: f64,
    },
}

/// How values of the surface become values in the unit of the readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Back {
    /// The mean of what a reading may be: without bias.
    #[default]
    Mean,
    /// f⁻¹ of the surface: the value that half of all readings exceed.
    Median,
}

impl Back {
    /// As in options and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Median => "median",
        }
    }
}

impl std::str::FromStr for Back {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mean" => Ok(Self::Mean),
            "median" => Ok(Self::Median),
            _ => Err(format!("back `{text}` is neither `mean` nor `median`")),
        }
    }
}

impl Transform {
    /// Whether readings are mapped as they are.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::None
    }

    /// f(d); NaN stays.
    #[must_use]
    pub fn forward(self, reading: f64) -> f64 {
        let positive = at_least_0(reading);
        match self {
            Self::None => reading,
            Self::Sqrt => positive.sqrt(),
            Self::Log { offset } => (positive + offset).ln(),
            Self::BoxCox { lambda: 0.0, offset } => (positive + offset).ln(),
            Self::BoxCox { lambda, offset } => {
                (lambda * (positive + offset).ln()).exp_m1() / lambda
            }
        }
    }

    /// f⁻¹(m), and 0 for what is below f(0); NaN stays.
    #[must_use]
    pub fn back(self, value: f64) -> f64 {
        match self {
            Self::None => value,
            Self::Sqrt => at_least_0(value) * at_least_0(value),
            Self::Log { offset } => at_least_0(value.exp() - offset),
            Self::BoxCox { lambda: 0.0, offset } => at_least_0(value.exp() - offset),
            Self::BoxCox { lambda, offset } => {
                // What no reading can become lies below the end of the family's range.
                let inside = if lambda * value < -1.0 { -1.0 } else { lambda * value };
                at_least_0((inside.ln_1p() / lambda).exp() - offset)
            }
        }
    }

    /// Without its numbers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sqrt => "sqrt",
            Self::Log { .. } => "log",
            Self::BoxCox { .. } => "boxcox",
        }
    }

    /// What is added to readings, if anything.
    #[must_use]
    pub fn offset(self) -> Option<f64> {
        match self {
            Self::None | Self::Sqrt => None,
            Self::Log { offset } | Self::BoxCox { offset, .. } => Some(offset),
        }
    }

    /// λ, where there is one.
    #[must_use]
    pub fn lambda(self) -> Option<f64> {
        match self {
            Self::BoxCox { lambda, .. } => Some(lambda),
            _ => None,
        }
    }
}

impl From<Transform> for String {
    fn from(transform: Transform) -> Self {
        transform.to_string()
    }
}

impl TryFrom<String> for Transform {
    type Error = String;

    /// One with nothing left open.
    fn try_from(text: String) -> Result<Self, String> {
        match text.parse()? {
            Wanted::None => Ok(Self::None),
            Wanted::Sqrt => Ok(Self::Sqrt),
            Wanted::Log { offset: Some(offset) } => Ok(Self::Log { offset }),
            Wanted::BoxCox { lambda: Some(lambda), offset: Some(offset) } => {
                Ok(Self::BoxCox { lambda, offset })
            }
            _ => Err(format!("transform `{text}` leaves numbers open")),
        }
    }
}

impl fmt::Display for Transform {
    /// As it can be told, to the same bits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None | Self::Sqrt => f.write_str(self.name()),
            Self::Log { offset } => write!(f, "log:{offset}"),
            Self::BoxCox { lambda, offset } => write!(f, "boxcox:{lambda}:{offset}"),
        }
    }
}

/// NaN stays, which `max` would not let it.
fn at_least_0(value: f64) -> f64 {
    if value < 0.0 { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const ALL: [Transform; 6] = [
        Transform::None,
        Transform::Sqrt,
        Transform::Log { offset: 2.0 },
        Transform::BoxCox { lambda: 0.0, offset: 0.5 },
        Transform::BoxCox { lambda: 0.3, offset: 1.0 },
        Transform::BoxCox { lambda: 1.0, offset: 0.0 },
    ];

    #[test]
    fn back_undoes_forward() {
        for transform in ALL {
            for k in 0..400 {
                let d = 1e-4 * 1.05_f64.powi(k);
                let again = transform.back(transform.forward(d));
                // What an offset adds is lost in rounding, so errors are relative to the sum.
                let whole = d + transform.offset().unwrap_or(0.0);
                assert!(
                    (again - d).abs() <= 1e-12 * whole,
                    "{transform}: {d} came back as {again}"
                );
            }
        }
    }

    #[test]
    fn functions_rise_and_what_is_below_0_enters_as_0() {
        for transform in ALL.into_iter().filter(|t| !t.is_none()) {
            let of: Vec<f64> = (0..50).map(|d| transform.forward(f64::from(d))).collect();
            assert!(of.windows(2).all(|w| w[0] < w[1]), "{transform}");
            assert_eq!(transform.forward(-3.0).to_bits(), of[0].to_bits());
            assert!(transform.back(of[0]) < 1e-15 && transform.back(of[0] - 100.0) == 0.0);
            assert!(transform.forward(f64::NAN).is_nan() && transform.back(f64::NAN).is_nan());
        }
    }

    /// SciPy's numbers, kept by `tests/golden/make_transform.py`.
    fn golden() -> serde_json::Value {
        let text = include_str!("../../../tests/golden/transform.json");
        serde_json::from_str(text).unwrap()
    }

    fn numbers(of: &serde_json::Value) -> Vec<f64> {
        of.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    #[test]
    fn numbers_are_those_of_scipy() {
        for family in golden()["families"].as_array().unwrap() {
            let lambda = family["lambda"].as_f64().unwrap();
            let transform = Transform::BoxCox { lambda, offset: 0.0 };
            let [readings, forward, back] =
                ["readings", "forward", "back"].map(|name| numbers(&family[name]));
            for ((d, f), b) in readings.iter().zip(&forward).zip(&back) {
                // Both go by exp and log, a few roundings each; near 1 the difference is all.
                let close = |a: f64, b: f64| (a - b).abs() <= 1e-13 * b.abs().max(1.0);
                assert!(close(transform.forward(*d), *f), "{lambda} {d}");
                assert!(close(transform.back(*f), *b), "{lambda} {d}");
            }
        }
    }

    #[test]
    fn the_likeliest_power_is_that_of_scipy() {
        for sample in golden()["samples"].as_array().unwrap() {
            let wanted = Wanted::BoxCox { lambda: None, offset: Some(0.0) };
            let fitted = fitted(wanted, &numbers(&sample["readings"]));
            // Ours is from 0 to 1, and told to two digits.
            let expected = sample["lambda"].as_f64().unwrap().clamp(0.0, 1.0);
            let lambda = fitted.lambda().unwrap();
            assert!((lambda - expected).abs() < 0.0051, "{lambda} {expected}");
        }
    }

    #[test]
    fn an_offset_is_a_tenth_of_the_median_of_what_is_above_0() {
        let log = |readings: &[f64]| fitted(Wanted::Log { offset: None }, readings).offset();
        assert_eq!(log(&[1.0, 34.0, 90.0]), Some(3.4));
        assert_eq!(log(&[]), Some(1.0));
        assert_eq!(log(&[123.4]), Some(12.0));
    }
}
