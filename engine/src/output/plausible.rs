//! Whether a variable known by its name can have the unit it came with, and its values in that unit.
//! Doubts are told, never acted upon: a wrong unit is corrected where it was written.

use super::cf::{self, Quantity};
use crate::observations::Variable;

/// Values that a quantity cannot have in a unit lie outside these.
const RANGES: &[(Quantity, &str, [f64; 2])] = &[
    // The coldest and the warmest air ever measured are −89.2 °C and 56.7 °C.
    (Quantity::Temperature, "degC", [-95.0, 65.0]),
    (Quantity::Temperature, "K", [178.0, 338.0]),
    (Quantity::Temperature, "degF", [-139.0, 149.0]),
    // Supersaturated air, and instruments that say 103 %, do exist.
    (Quantity::Fraction, "%", [0.0, 115.0]),
    (Quantity::Fraction, "1", [0.0, 1.15]),
    // The strongest gust ever measured had 113 m/s.
    (Quantity::Speed, "m s-1", [0.0, 120.0]),
    (Quantity::Speed, "km h-1", [0.0, 432.0]),
    // A gram in a cubic metre, far beyond any smoke; noise about zero may be negative.
    (Quantity::Mass, "ng m-3", [-1e5, 1e9]),
    (Quantity::Mass, "ug m-3", [-100.0, 1e6]),
    (Quantity::Mass, "mg m-3", [-0.1, 1e3]),
    (Quantity::Mass, "g m-3", [-1e-4, 1.0]),
    (Quantity::Mass, "kg m-3", [-1e-7, 1e-3]),
    // A thousandth of the air.
    (Quantity::Mole, "1e-12", [-1e5, 1e9]),
    (Quantity::Mole, "1e-9", [-100.0, 1e6]),
    (Quantity::Mole, "1e-6", [-0.1, 1e3]),
];

/// What is doubtful of a variable whose readings are from `range[0]` to `range[1]`; nothing where its
/// name or its unit is not known.
pub(crate) fn doubt(variable: &Variable, range: Option<[f64; 2]>) -> Option<String> {
    let received = variable.units.as_deref()?;
    let needed = cf::quantities(&variable.name)?;
    let (unit, quantity) = cf::known_unit(received)?;
    // A share of one is CF's own way to write relative humidity.
    let share = unit == "1" && needed.contains(&Quantity::Fraction);
    let quantity = if share { Quantity::Fraction } else { quantity };
    let name = &variable.name;
    if !needed.contains(&quantity) {
        let units: Vec<&str> = needed.iter().map(|needed| usual(*needed)).collect();
        return Some(format!(
            "{name} came in `{received}`, which it cannot have; it needs a unit such as {}: \
             correct the unit, or the map says something wrong",
            units.join(" or ")
        ));
    }
    let [low, high] = range?;
    let (.., [least, most]) = RANGES.iter().find(|(q, u, _)| *q == quantity && *u == unit)?;
    let wrong = if low < *least {
        low
    } else if high > *most {
        high
    } else {
        return None;
    };
    Some(format!(
        "{name} is {wrong} somewhere, which cannot be in `{received}` ({least} to {most}): correct \
         the unit, or tell how missing readings are written"
    ))
}

fn usual(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Mass => "ug m-3",
        Quantity::Mole => "ppb",
        Quantity::Temperature => "degC",
        Quantity::Speed => "m s-1",
        Quantity::Fraction => "%",
        Quantity::Other => "1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, units: Option<&str>, range: [f64; 2]) -> Option<String> {
        let variable = Variable { name: name.to_owned(), units: units.map(str::to_owned) };
        doubt(&variable, Some(range))
    }

    #[test]
    fn a_unit_of_another_quantity_is_told_with_one_that_fits() {
        for (name, unit, fits) in [
            ("PM2.5", "ppb", "such as ug m-3:"),
            ("o3", "degC", "such as ug m-3 or ppb:"),
            ("temperature", "%", "such as degC:"),
            ("rh", "m/s", "such as %:"),
        ] {
            let told = of(name, Some(unit), [1.0, 2.0]).expect(name);
            assert!(told.contains(unit) && told.contains(fits), "{told}");
        }
    }

    #[test]
    fn values_that_cannot_be_in_their_unit_are_told() {
        for (name, unit, range, wrong) in [
            ("relative_humidity", "%", [20.0, 3000.0], "is 3000 somewhere"),
            ("Temperature", "°C", [280.0, 300.0], "is 300 somewhere"),
            ("temp", "K", [-5.0, 30.0], "is -5 somewhere"),
            ("CO", "mg/m³", [0.1, 2400.0], "is 2400 somewhere"),
            ("windspeed", "m/s", [-9999.0, 5.0], "is -9999 somewhere"),
        ] {
            let told = of(name, Some(unit), range).expect(name);
            assert!(told.contains(wrong), "{told}");
        }
    }

    #[test]
    fn what_can_be_or_is_not_known_is_not_doubted() {
        for (name, unit, range) in [
            ("pm25", Some("µg/m³"), [-8.0, 985.0]),
            ("pm25", None, [-1e9, 1e9]),
            ("pm25", Some("furlong"), [0.0, 1e9]),
            ("AQI", Some("ppb"), [0.0, 500.0]),
            ("rh", Some("1"), [0.1, 1.02]),
            ("temperature", Some("K"), [250.0, 310.0]),
            ("OZONE", Some("PPB"), [0.0, 120.0]),
        ] {
            assert_eq!(of(name, unit, range), None);
        }
    }
}
