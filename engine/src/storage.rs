//! How the numbers of a map are kept in a file: width, digits, compression.

use std::str::FromStr;

use serde::Serialize;

/// How the numbers of a map are kept in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Storage {
    /// Their width.
    pub precision: Precision,
    /// How much of them is kept.
    pub digits: Digits,
    /// How hard they are compressed.
    pub compression: Compression,
}

impl Storage {
    /// With the digits asked for; by default 4 in 32 bits, because a map is not known better, and
    /// all in 64 bits, because who asks for those wants them.
    #[must_use]
    pub fn new(precision: Precision, digits: Option<Digits>, compression: Compression) -> Self {
        let digits = digits.unwrap_or(match precision {
            Precision::F32 => Digits::default(),
            Precision::F64 => Digits::Exact,
        });
        Self { precision, digits, compression }
    }

    /// Bits of the mantissa that are kept, where not all are.
    ///
    /// `n` digits need `n log₂ 10` bits, rounded up: rounding to the nearest then errs by at most
    /// half a unit of the `n`th digit, whatever the first digit is.
    #[must_use]
    pub fn kept_bits(self) -> Option<u32> {
        let Digits::Keep(digits) = self.digits else { return None };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "3 to 50")]
        let bits = (f64::from(digits) * std::f64::consts::LOG2_10).ceil() as u32;
        (bits < self.precision.mantissa_bits()).then_some(bits)
    }
}

/// The width of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    F32,
    /// 64-bit floating point.
    F64,
}

impl Precision {
    /// Bytes of one number.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// `f32` or `f64`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// Bits of the mantissa that are stored.
    pub(crate) fn mantissa_bits(self) -> u32 {
        match self {
            Self::F32 => f32::MANTISSA_DIGITS - 1,
            Self::F64 => f64::MANTISSA_DIGITS - 1,
        }
    }
}

/// How much of a number is kept: what is rounded away compresses to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Digits {
    /// Everything.
    Exact,
    /// So many significant decimal digits, 1 to 15; the rest of the mantissa is rounded to 0 bits
    /// (`BitRound`: Klöwer et al. 2021, doi:10.1038/s43588-021-00156-2).
    #[serde(untagged)]
    Keep(u8),
}

impl Default for Digits {
    fn default() -> Self {
        Self::Keep(4)
    }
}

impl FromStr for Digits {
    type Err = String;

    /// `exact`, or a number from 1 to 15.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "exact" => Ok(Self::Exact),
            Ok(digits) if (1..=15).contains(&digits) => Ok(Self::Keep(digits)),
            _ => Err(format!("digits `{text}` are neither `exact` nor from 1 to 15")),
        }
    }
}

/// How hard a file is compressed. All readers of NetCDF-4 read all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// Shuffled and deflated so fast that the disk gains more than the processor loses.
    #[default]
    Fast,
    /// As small as deflate makes it in a reasonable time.
    Small,
}

impl Compression {
    /// All, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::None, Self::Fast, Self::Small];

    /// The name used on the command line and over HTTP.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Fast => "fast",
            Self::Small => "small",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_become_bits_and_too_many_of_them_all() {
        let bits = |precision, digits| {
            Storage { precision, digits: Digits::Keep(digits), ..Storage::default() }.kept_bits()
        };
        let f32 = [1, 2, 4, 6, 7].map(|digits| bits(Precision::F32, digits));
        assert_eq!(f32, [Some(4), Some(7), Some(14), Some(20), None]);
        assert_eq!([7, 15].map(|digits| bits(Precision::F64, digits)), [Some(24), Some(50)]);
        assert_eq!(Storage::new(Precision::F64, None, Compression::Fast).kept_bits(), None);
    }

    #[test]
    fn digits_are_read() {
        assert_eq!("exact".parse(), Ok(Digits::Exact));
        assert_eq!("5".parse(), Ok(Digits::Keep(5)));
        for wrong in ["0", "16", "4.5", "all", ""] {
            assert!(wrong.parse::<Digits>().is_err(), "{wrong}");
        }
    }
}
