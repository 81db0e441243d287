//! What a value cannot be: a map never shows a negative concentration.
//!
//! The surface is left as it is, and what leaves it is cut off: at a cell, and where a station is left
//! out, so that errors are those of what users see.

use std::str::FromStr;

use crate::error::Error;
use crate::observations::Variable;
use crate::output::is_concentration;

/// A bound that a user gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Which variable; none: all.
    pub variable: Option<String>,
    /// Least, or greatest, value; none takes away the one that would hold.
    pub value: Option<f64>,
}

impl FromStr for Bound {
    type Err = String;

    /// `0`, `pm25=0`, `none`, `pm25=none`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (variable, value) = match text.rsplit_once('=') {
            Some((name, value)) => (Some(name.trim().to_owned()), value.trim()),
            None => (None, text.trim()),
        };
        if value == "none" {
            return Ok(Self { variable, value: None });
        }
        match value.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Self { variable, value: Some(number) }),
            _ => Err(format!("bound `{text}`: `{value}` is neither a number nor `none`")),
        }
    }
}

/// Least and greatest values as asked for. Of several bounds of a variable the last holds; without
/// one, concentrations known by their names are not below 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Least values.
    pub min: Vec<Bound>,
    /// Greatest values.
    pub max: Vec<Bound>,
}

impl Bounds {
    /// Least and greatest value of each variable.
    ///
    /// # Errors
    /// [`Error::Bounds`] where a bound is of no variable, is no number, or leaves no value.
    pub(crate) fn of(&self, variables: &[Variable]) -> Result<Vec<[f64; 2]>, Error> {
        for bound in self.min.iter().chain(&self.max) {
            if let Some(name) = &bound.variable
                && variables.iter().all(|v| v.name != *name)
            {
                let known: Vec<_> = variables.iter().map(|v| v.name.as_str()).collect();
                let text =
                    format!("there is no variable `{name}`; variables are {}", known.join(", "));
                return Err(Error::Bounds { text });
            }
        }
        let both = |variable: &Variable| {
            let floor = if is_concentration(variable) { 0.0 } else { f64::NEG_INFINITY };
            let (low, high) = (
                last(&self.min, variable, floor, f64::NEG_INFINITY),
                last(&self.max, variable, f64::INFINITY, f64::INFINITY),
            );
            // Also where one is NaN.
            if low < high {
                return Ok([low, high]);
            }
            let text = format!("between {low} and {high} there is no value of `{}`", variable.name);
            Err(Error::Bounds { text })
        };
        variables.iter().map(both).collect()
    }
}

/// What is left of a residual, observed − predicted, when what is predicted keeps the bounds.
pub(crate) fn residual(observed: f64, residual: f64, [low, high]: [f64; 2]) -> f64 {
    let predicted = observed - residual;
    if predicted < low {
        observed - low
    } else if predicted > high {
        observed - high
    } else {
        residual
    }
}

fn last(bounds: &[Bound], variable: &Variable, unless: f64, none: f64) -> f64 {
    let about = |b: &&Bound| b.variable.as_ref().is_none_or(|name| *name == variable.name);
    bounds.iter().rev().find(about).map_or(unless, |bound| bound.value.unwrap_or(none))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, units: Option<&str>) -> Variable {
        Variable { name: name.into(), units: units.map(str::to_owned) }
    }

    fn bound(variable: Option<&str>, value: Option<f64>) -> Bound {
        Bound { variable: variable.map(str::to_owned), value }
    }

    #[test]
    fn concentrations_are_not_negative_and_temperatures_may_be() {
        let variables = [
            variable("PM2.5", None),
            variable("O3", Some("ppb")),
            variable("temperature", Some("degC")),
            variable("depth", Some("m")),
        ];
        let of = |bounds: Bounds| bounds.of(&variables).unwrap();
        let low = |bounds: Bounds| of(bounds).iter().map(|b| b[0]).collect::<Vec<_>>();
        let without = f64::NEG_INFINITY;
        assert_eq!(low(Bounds::default()), [0.0, 0.0, without, without]);
        let all = Bounds { min: vec![bound(None, Some(-5.0))], max: vec![] };
        assert_eq!(low(all), [-5.0; 4]);
        let some =
            Bounds { min: vec![bound(None, None), bound(Some("O3"), Some(1.0))], max: vec![] };
        assert_eq!(low(some), [without, 1.0, without, without]);
    }

    #[test]
    fn bounds_that_leave_nothing_or_are_of_nothing_are_refused() {
        let variables = [variable("pm25", None)];
        let nothing = [
            Bounds { min: vec![], max: vec![bound(None, Some(0.0))] },
            Bounds { min: vec![bound(None, Some(f64::NAN))], max: vec![] },
            Bounds { min: vec![bound(Some("pm2"), Some(0.0))], max: vec![] },
        ];
        for bounds in nothing {
            assert!(bounds.of(&variables).is_err(), "{bounds:?}");
        }
    }
}
