//! What a user asks for: a transform by its name, for one variable or for all.

use std::str::FromStr;

use super::{Back, Transform};
use crate::error::Error;
use crate::observations::Variable;

/// A transform with its numbers left open, or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wanted {
    /// Readings as they are.
    None,
    /// √d
    Sqrt,
    /// ln(d + offset); without an offset a tenth of the median of the readings above 0.
    Log {
        /// In the unit of the readings.
        offset: Option<f64>,
    },
    /// Box and Cox's; without λ the one of the greatest likelihood.
    BoxCox {
        /// From 0 to 1.
        lambda: Option<f64>,
        /// In the unit of the readings.
        offset: Option<f64>,
    },
}

impl Wanted {
    /// Whether readings are to be mapped otherwise than as they are.
    pub(crate) fn is_any(self) -> bool {
        self != Self::None
    }
}

impl FromStr for Wanted {
    type Err = String;

    /// `none`, `sqrt`, `log`, `log:OFFSET`, `boxcox`, `boxcox:LAMBDA`, `boxcox:LAMBDA:OFFSET`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.trim().split(':');
        let name = parts.next().unwrap_or_default();
        let numbers: Vec<&str> = parts.collect();
        let number = |k: usize| -> Result<Option<f64>, String> {
            let parsed = numbers.get(k).map(|part: &&str| part.trim().parse::<f64>());
            let wrong = |_| format!("transform `{text}`: `{}` is not a number", numbers[k]);
            parsed.transpose().map_err(wrong)
        };
        let most = match name {
            "none" | "sqrt" => 0,
            "log" => 1,
            "boxcox" => 2,
            _ => {
                return Err(format!(
                    "transform `{text}` is none of none, sqrt, log[:OFFSET], \
                     boxcox[:LAMBDA[:OFFSET]]"
                ));
            }
        };
        if numbers.len() > most {
            return Err(format!("transform `{text}`: {name} takes {most} numbers at most"));
        }
        let offset = number(most.max(1) - 1)?;
        let lambda = if name == "boxcox" { number(0)? } else { None };
        if lambda.is_some_and(|lambda| !(0.0..=1.0).contains(&lambda)) {
            let text = format!("transform `{text}`: LAMBDA is from 0 (as log) to 1 (as none)");
            return Err(text + "; below 0 no mean need exist");
        }
        // Beside a power above 0, readings of 0 need none.
        let may_be_0 = lambda.is_some_and(|lambda| lambda > 0.0);
        if offset.is_some_and(|o| !o.is_finite() || o < 0.0 || (o == 0.0 && !may_be_0)) {
            return Err(format!("transform `{text}`: OFFSET must be finite and above 0"));
        }
        Ok(match name {
            "none" => Self::None,
            "sqrt" => Self::Sqrt,
            "log" => Self::Log { offset },
            _ => Self::BoxCox { lambda, offset },
        })
    }
}

impl From<Transform> for Wanted {
    fn from(transform: Transform) -> Self {
        match transform {
            Transform::None => Self::None,
            Transform::Sqrt => Self::Sqrt,
            Transform::Log { offset } => Self::Log { offset: Some(offset) },
            Transform::BoxCox { lambda, offset } => {
                Self::BoxCox { lambda: Some(lambda), offset: Some(offset) }
            }
        }
    }
}

/// A transform that a user gives.
#[derive(Clone, Debug, PartialEq)]
pub struct TransformOf {
    /// Which variable; none: all.
    pub variable: Option<String>,
    /// Which transform.
    pub wanted: Wanted,
}

impl FromStr for TransformOf {
    type Err = String;

    /// `sqrt`, `pm25=log`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (variable, wanted) = match text.rsplit_once('=') {
            Some((name, wanted)) => (Some(name.trim().to_owned()), wanted),
            None => (None, text),
        };
        Ok(Self { variable, wanted: wanted.parse()? })
    }
}

/// Transforms as asked for. Of several for a variable the last holds; without one the readings choose,
/// where they choose the kernel, and else nothing is transformed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transforms {
    /// In the order given.
    pub told: Vec<TransformOf>,
    /// The way back.
    pub back: Back,
}

impl Transforms {
    /// What is told of a variable.
    #[must_use]
    pub fn of(&self, variable: &Variable) -> Option<Wanted> {
        let about = |of: &&TransformOf| of.variable.as_ref().is_none_or(|n| *n == variable.name);
        self.told.iter().rev().find(about).map(|of| of.wanted)
    }

    /// # Errors
    /// A transform for a variable that is not there, or that may be negative.
    pub(crate) fn check(&self, variables: &[Variable], bounds: &[[f64; 2]]) -> Result<(), Error> {
        for name in self.told.iter().filter_map(|of| of.variable.as_ref()) {
            if variables.iter().all(|v| v.name != *name) {
                let known: Vec<_> = variables.iter().map(|v| v.name.as_str()).collect();
                return Err(Error::NoSuchVariable { got: name.clone(), known: known.join(", ") });
            }
        }
        for (variable, [low, _]) in variables.iter().zip(bounds) {
            match self.of(variable) {
                None | Some(Wanted::None) => {}
                Some(_) if *low >= 0.0 => {}
                Some(_) => {
                    return Err(Error::TransformOfNegative { variable: variable.name.clone() });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_displayed_can_be_told_again() {
        for transform in super::super::tests::ALL {
            let wanted: Wanted = transform.to_string().parse().unwrap();
            assert_eq!(wanted, Wanted::from(transform));
        }
    }

    #[test]
    fn nonsense_is_refused_with_what_there_is() {
        for (text, told) in [
            ("cbrt", "none, sqrt, log"),
            ("sqrt:2", "0 numbers at most"),
            ("log:0", "above 0"),
            ("log:x", "`x` is not a number"),
            ("boxcox:-0.5", "from 0"),
            ("boxcox:0:0", "above 0"),
            ("boxcox:nan", "from 0"),
            ("pm25=root", "none, sqrt, log"),
        ] {
            let error = text.parse::<TransformOf>().unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        assert!("boxcox:0.5:0".parse::<Wanted>().is_ok());
    }

    #[test]
    fn what_may_be_negative_is_refused_and_the_last_that_is_told_holds() {
        let variable = |name: &str| Variable { name: name.into(), units: None };
        let variables = [variable("pm25"), variable("temperature")];
        let bounds = [[0.0, f64::INFINITY], [f64::NEG_INFINITY, f64::INFINITY]];
        let told = |texts: &[&str]| Transforms {
            told: texts.iter().map(|t| t.parse().unwrap()).collect(),
            back: Back::Mean,
        };
        let both = told(&["log", "temperature=none"]);
        both.check(&variables, &bounds).unwrap();
        assert_eq!(both.of(&variables[1]), Some(Wanted::None));
        assert_eq!(both.of(&variables[0]), Some(Wanted::Log { offset: None }));
        let error = told(&["sqrt"]).check(&variables, &bounds).unwrap_err().to_string();
        assert!(error.contains("temperature"), "{error}");
        assert!(told(&["o3=sqrt"]).check(&variables, &bounds).is_err());
    }
}
