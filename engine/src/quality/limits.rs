//! What a variable can be, how fast it can change, and what an instrument cannot tell from zero.
//!
//! Ranges are what ambient networks have recorded at the worst (dust storms, fires, volcanoes),
//! with room; below zero as much as instruments are allowed to drift (US EPA, AQS: PM to
//! −10 µg/m³). Rates are above the 99.99 % quantile of hourly changes of two days of AirNow and a
//! day of the Chinese network. Where readings come without a unit, the widest limits of the usual
//! units hold: nothing is flagged for a unit that was not told.

use super::rules::{RuleError, Rules};
use crate::observations::Variable;
use crate::output::udunits;

/// Limits of one variable, in the unit received.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limits {
    /// Smallest and largest value; infinite where unknown.
    pub(super) range: [f64; 2],
    /// Largest change in an hour; infinite where unknown.
    pub(super) rate: f64,
    /// A value up to this far from zero may be repeated: it is below detection.
    pub(super) detection: f64,
}

/// Of a variable that nothing is known of: zeros alone may be repeated.
const UNKNOWN: Limits =
    Limits { range: [f64::NEG_INFINITY, f64::INFINITY], rate: f64::INFINITY, detection: 0.0 };

/// What a table of limits is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    /// µg/m³
    Mass,
    /// ppb
    Mole,
    /// °C
    Temperature,
    /// %
    Percent,
    /// m/s
    Speed,
    /// hPa
    Pressure,
    /// degrees
    Angle,
}

/// Units by UDUNITS' spelling: number in that unit = factor × number in the table's + offset.
const UNITS: &[(Measure, &str, f64, f64)] = &[
    (Measure::Mass, "ug m-3", 1.0, 0.0),
    (Measure::Mass, "mg m-3", 1e-3, 0.0),
    (Measure::Mass, "ng m-3", 1e3, 0.0),
    (Measure::Mass, "g m-3", 1e-6, 0.0),
    (Measure::Mass, "kg m-3", 1e-9, 0.0),
    (Measure::Mole, "1e-9", 1.0, 0.0),
    (Measure::Mole, "1e-6", 1e-3, 0.0),
    (Measure::Mole, "1e-12", 1e3, 0.0),
    (Measure::Temperature, "degC", 1.0, 0.0),
    (Measure::Temperature, "K", 1.0, 273.15),
    (Measure::Temperature, "degF", 1.8, 32.0),
    (Measure::Percent, "%", 1.0, 0.0),
    (Measure::Percent, "1", 1e-2, 0.0),
    (Measure::Speed, "m s-1", 1.0, 0.0),
    (Measure::Speed, "km h-1", 3.6, 0.0),
    (Measure::Pressure, "hPa", 1.0, 0.0),
    (Measure::Pressure, "Pa", 1e2, 0.0),
    (Measure::Angle, "degree", 1.0, 0.0),
];

/// Names (squeezed), and for each measure low, high, rate, detection; then the units that a column
/// without a unit may have, the likeliest first.
struct Known {
    names: &'static [&'static str],
    limits: &'static [(Measure, [f64; 4])],
    usual: &'static [&'static str],
}

const POLLUTANT: &[&str] = &["ug m-3", "1e-9", "1e-6", "mg m-3"];

const KNOWN: &[Known] = &[
    Known {
        names: &["pm25", "pm2p5", "pm1"],
        limits: &[(Measure::Mass, [-10.0, 5000.0, 200.0, 5.0])],
        usual: &["ug m-3"],
    },
    Known {
        names: &["pm10"],
        limits: &[(Measure::Mass, [-10.0, 20_000.0, 500.0, 10.0])],
        usual: &["ug m-3"],
    },
    Known {
        names: &["o3", "ozone"],
        limits: &[
            (Measure::Mass, [-10.0, 1200.0, 150.0, 10.0]),
            (Measure::Mole, [-5.0, 600.0, 75.0, 5.0]),
        ],
        usual: POLLUTANT,
    },
    Known {
        names: &["no2", "nitrogendioxide"],
        limits: &[
            (Measure::Mass, [-10.0, 2000.0, 200.0, 10.0]),
            (Measure::Mole, [-5.0, 1000.0, 100.0, 5.0]),
        ],
        usual: POLLUTANT,
    },
    Known {
        names: &["no", "nitricoxide", "nitrogenmonoxide", "nox"],
        limits: &[
            (Measure::Mass, [-10.0, 4000.0, 800.0, 10.0]),
            (Measure::Mole, [-5.0, 3000.0, 600.0, 5.0]),
        ],
        usual: POLLUTANT,
    },
    Known {
        names: &["so2", "sulfurdioxide", "sulphurdioxide"],
        limits: &[
            (Measure::Mass, [-10.0, 20_000.0, 500.0, 15.0]),
            (Measure::Mole, [-5.0, 8000.0, 200.0, 5.0]),
        ],
        usual: POLLUTANT,
    },
    Known {
        names: &["co", "carbonmonoxide"],
        limits: &[
            (Measure::Mass, [-1000.0, 150_000.0, 10_000.0, 700.0]),
            (Measure::Mole, [-1000.0, 130_000.0, 9000.0, 600.0]),
        ],
        usual: &["mg m-3", "1e-6", "ug m-3", "1e-9"],
    },
    Known {
        names: &["nh3", "ammonia"],
        limits: &[
            (Measure::Mass, [-10.0, 5000.0, 500.0, 10.0]),
            (Measure::Mole, [-10.0, 7000.0, 700.0, 10.0]),
        ],
        usual: POLLUTANT,
    },
    Known {
        names: &["temperature", "temp", "airtemperature", "t2m"],
        limits: &[(Measure::Temperature, [-95.0, 60.0, 20.0, 0.0])],
        usual: &["degC", "K", "degF"],
    },
    Known {
        names: &["relativehumidity", "rh", "rhum"],
        limits: &[(Measure::Percent, [0.0, 105.0, 80.0, 0.0])],
        usual: &["%"],
    },
    Known {
        names: &["windspeed", "ws", "wspd"],
        limits: &[(Measure::Speed, [0.0, 115.0, 40.0, 1.0])],
        usual: &["m s-1", "km h-1"],
    },
    Known {
        names: &["winddirection", "wd", "wdir"],
        limits: &[(Measure::Angle, [0.0, 360.0, f64::INFINITY, 0.0])],
        usual: &["degree"],
    },
    Known {
        names: &["pressure", "barpr", "airpressure", "pres"],
        limits: &[(Measure::Pressure, [300.0, 1100.0, 20.0, 0.0])],
        usual: &["hPa", "Pa"],
    },
];

/// The limits of every variable: what is known, and over it what the user gives.
///
/// # Errors
/// If the user gives a limit for a variable that is not there.
pub(super) fn of(variables: &[Variable], rules: &Rules) -> Result<Vec<Limits>, RuleError> {
    let mut limits: Vec<Limits> = variables.iter().map(known).collect();
    let find = |name: &str| -> Result<Vec<usize>, RuleError> {
        let same = |v: &Variable| v.name == name || squeeze(&v.name) == squeeze(name);
        let found: Vec<usize> = (0..variables.len()).filter(|&k| same(&variables[k])).collect();
        if found.is_empty() {
            let names: Vec<&str> = variables.iter().map(|v| v.name.as_str()).collect();
            return Err(RuleError::Variable { got: name.to_owned(), known: names.join(", ") });
        }
        Ok(found)
    };
    for (name, range) in &rules.ranges {
        find(name)?.into_iter().for_each(|k| limits[k].range = *range);
    }
    for (name, rate) in &rules.rates {
        find(name)?.into_iter().for_each(|k| limits[k].rate = *rate);
    }
    Ok(limits)
}

fn known(variable: &Variable) -> Limits {
    let name = squeeze(&variable.name);
    let Some(known) = KNOWN.iter().find(|known| known.names.contains(&name.as_str())) else {
        return UNKNOWN;
    };
    match &variable.units {
        Some(unit) => udunits(unit).and_then(|unit| in_unit(known, unit)).unwrap_or(UNKNOWN),
        None => {
            let mut each = known.usual.iter().filter_map(|unit| in_unit(known, unit));
            let likeliest = each.next().unwrap_or(UNKNOWN);
            each.fold(likeliest, |all, one| Limits {
                range: [all.range[0].min(one.range[0]), all.range[1].max(one.range[1])],
                rate: all.rate.max(one.rate),
                ..all
            })
        }
    }
}

/// The limits in a unit; none where it measures something else.
fn in_unit(known: &Known, unit: &str) -> Option<Limits> {
    UNITS.iter().filter(|(_, name, ..)| *name == unit).find_map(|&(measure, _, factor, offset)| {
        let (_, [low, high, rate, detection]) =
            known.limits.iter().find(|(measured_in, _)| *measured_in == measure)?;
        Some(Limits {
            range: [factor * low + offset, factor * high + offset],
            rate: factor * rate,
            detection: factor * detection,
        })
    })
}

/// Lower-case letters and digits alone, as in the table.
fn squeeze(name: &str) -> String {
    name.chars().flat_map(char::to_lowercase).filter(char::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, units: Option<&str>) -> Variable {
        Variable { name: name.to_owned(), units: units.map(str::to_owned) }
    }

    #[test]
    fn limits_are_in_the_unit_received() {
        let [ug, mg] = ["µg/m³", "mg/m3"].map(|unit| known(&variable("CO", Some(unit))));
        assert!((ug.range[1] - 1000.0 * mg.range[1]).abs() < 1e-6);
        assert!((ug.rate - 1000.0 * mg.rate).abs() < 1e-6);
        let kelvin = known(&variable("temperature", Some("K")));
        assert_eq!((kelvin.range[1], kelvin.rate), (333.15, 20.0));
        let ozone = known(&variable("OZONE", Some("PPM")));
        assert!((ozone.range[1] - 0.6).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_known_has_no_limits() {
        for (name, unit) in [("depth", Some("m")), ("o3", Some("furlong")), ("pm10", Some("ppb"))] {
            assert_eq!(known(&variable(name, unit)), UNKNOWN, "{name}");
        }
    }

    #[test]
    fn without_a_unit_no_usual_unit_is_out_of_range() {
        let co = known(&variable("co", None));
        for unit in ["mg/m3", "µg/m3", "ppm", "ppb"] {
            let of_unit = known(&variable("co", Some(unit)));
            assert!(co.range[0] <= of_unit.range[0] && co.range[1] >= of_unit.range[1]);
            assert!(co.rate >= of_unit.rate);
        }
    }

    #[test]
    fn the_user_has_the_last_word_and_an_unknown_name_is_told() {
        let variables = [variable("PM2.5", Some("µg/m³")), variable("dust", None)];
        let mut rules = Rules::default();
        rules.add_range("pm25=0..1000").expect("a range");
        rules.add_rate("dust=5").expect("a rate");
        let limits = of(&variables, &rules).expect("both are there");
        assert_eq!((limits[0].range, limits[0].rate), ([0.0, 1000.0], 200.0));
        assert_eq!(limits[1].rate, 5.0);
        rules.add_range("o3=0..1").expect("a range");
        let error = of(&variables, &rules).expect_err("no ozone").to_string();
        assert!(error.contains("o3") && error.contains("PM2.5, dust"), "{error}");
    }
}
