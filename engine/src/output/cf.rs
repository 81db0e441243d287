//! The words of the CF conventions: names of variables, units as UDUNITS writes them, standard
//! names. Nothing is invented: a unit that is not known here is passed on as received, a variable
//! without a unit gets none, and a standard name needs both a known name and a fitting unit.

use std::collections::HashSet;

use crate::observations::Variable;

/// What a unit measures, as far as standard names depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    Mass,
    Mole,
    Temperature,
    Speed,
    Fraction,
    Other,
}

/// Spellings (see [`squeeze_unit`]), UDUNITS' spelling, quantity.
const UNITS: &[(&[&str], &str, Quantity)] = &[
    (&["ug/m3", "ugm-3", "micrograms/m3", "ug/cubicmeter"], "ug m-3", Quantity::Mass),
    (&["mg/m3", "mgm-3"], "mg m-3", Quantity::Mass),
    (&["ng/m3", "ngm-3"], "ng m-3", Quantity::Mass),
    (&["g/m3", "gm-3"], "g m-3", Quantity::Mass),
    (&["kg/m3", "kgm-3"], "kg m-3", Quantity::Mass),
    (&["ppm", "ppmv", "umol/mol", "umolmol-1"], "1e-6", Quantity::Mole),
    (&["ppb", "ppbv", "nmol/mol", "nmolmol-1"], "1e-9", Quantity::Mole),
    (&["ppt", "pptv", "pmol/mol", "pmolmol-1"], "1e-12", Quantity::Mole),
    (&["c", "degc", "°c", "celsius", "degreescelsius"], "degC", Quantity::Temperature),
    (&["k", "kelvin"], "K", Quantity::Temperature),
    (&["f", "degf", "°f", "fahrenheit"], "degF", Quantity::Temperature),
    (&["m/s", "ms-1"], "m s-1", Quantity::Speed),
    (&["km/h", "kmh-1"], "km h-1", Quantity::Speed),
    (&["%", "percent"], "%", Quantity::Fraction),
    (&["hpa", "mbar", "millibar"], "hPa", Quantity::Other),
    (&["pa"], "Pa", Quantity::Other),
    (&["mm"], "mm", Quantity::Other),
    (&["m"], "m", Quantity::Other),
    (&["deg", "degree", "degrees", "°"], "degree", Quantity::Other),
    (&["w/m2", "wm-2", "watts/m2"], "W m-2", Quantity::Other),
    (&["1", "index", "aqi", "none"], "1", Quantity::Other),
];

/// Names of a variable (see [`squeeze_name`]), standard names with the quantity that each needs.
type StandardNames = (&'static [&'static str], &'static [(Quantity, &'static str)]);

const STANDARD_NAMES: &[StandardNames] = &[
    (
        &["pm25", "pm2p5"],
        &[(Quantity::Mass, "mass_concentration_of_pm2p5_ambient_aerosol_particles_in_air")],
    ),
    (&["pm10"], &[(Quantity::Mass, "mass_concentration_of_pm10_ambient_aerosol_particles_in_air")]),
    (&["pm1"], &[(Quantity::Mass, "mass_concentration_of_pm1_ambient_aerosol_particles_in_air")]),
    (
        &["o3", "ozone"],
        &[
            (Quantity::Mass, "mass_concentration_of_ozone_in_air"),
            (Quantity::Mole, "mole_fraction_of_ozone_in_air"),
        ],
    ),
    (
        &["no2", "nitrogendioxide"],
        &[
            (Quantity::Mass, "mass_concentration_of_nitrogen_dioxide_in_air"),
            (Quantity::Mole, "mole_fraction_of_nitrogen_dioxide_in_air"),
        ],
    ),
    (
        &["no", "nitricoxide", "nitrogenmonoxide"],
        &[
            (Quantity::Mass, "mass_concentration_of_nitrogen_monoxide_in_air"),
            (Quantity::Mole, "mole_fraction_of_nitrogen_monoxide_in_air"),
        ],
    ),
    (
        &["so2", "sulfurdioxide", "sulphurdioxide"],
        &[
            (Quantity::Mass, "mass_concentration_of_sulfur_dioxide_in_air"),
            (Quantity::Mole, "mole_fraction_of_sulfur_dioxide_in_air"),
        ],
    ),
    (
        &["co", "carbonmonoxide"],
        &[
            (Quantity::Mass, "mass_concentration_of_carbon_monoxide_in_air"),
            (Quantity::Mole, "mole_fraction_of_carbon_monoxide_in_air"),
        ],
    ),
    (
        &["nh3", "ammonia"],
        &[
            (Quantity::Mass, "mass_concentration_of_ammonia_in_air"),
            (Quantity::Mole, "mole_fraction_of_ammonia_in_air"),
        ],
    ),
    (
        &["c6h6", "benzene"],
        &[
            (Quantity::Mass, "mass_concentration_of_benzene_in_air"),
            (Quantity::Mole, "mole_fraction_of_benzene_in_air"),
        ],
    ),
    (
        &["temperature", "temp", "airtemperature", "t2m"],
        &[(Quantity::Temperature, "air_temperature")],
    ),
    (&["relativehumidity", "rh", "rhum"], &[(Quantity::Fraction, "relative_humidity")]),
    (&["windspeed", "ws", "wspd"], &[(Quantity::Speed, "wind_speed")]),
];

/// How a variable appears in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Naming {
    /// Name of the map, e.g. `pm2_5`.
    pub(super) map: String,
    /// Name of the readings used.
    pub(super) reading: String,
    /// Name of the leave-one-out residuals.
    pub(super) residual: String,
    /// Name of the flags of the readings.
    pub(super) flag: String,
    /// The name as received.
    pub(super) long_name: String,
    /// UDUNITS' spelling, or as received; none where none came.
    pub(super) units: Option<String>,
    /// From the CF table, where name and unit are known.
    pub(super) standard_name: Option<&'static str>,
}

/// Whether a variable is a concentration: by its name, unless its unit says otherwise.
#[must_use]
pub(crate) fn is_concentration(variable: &Variable) -> bool {
    let known = [Quantity::Mass, Quantity::Mole]
        .into_iter()
        .filter(|&quantity| standard_name(&variable.name, quantity).is_some());
    match variable.units.as_deref().map(known_unit) {
        None => known.count() > 0,
        Some(unit) => unit.is_some_and(|(_, of_unit)| known.into_iter().any(|q| q == of_unit)),
    }
}

/// Names for all variables of a file: letters, digits and `_`, all different, none of `taken`.
#[must_use]
pub(super) fn names(variables: &[Variable], taken: &[&str]) -> Vec<Naming> {
    let mut used: HashSet<String> = taken.iter().map(|&name| name.to_owned()).collect();
    let mut names = Vec::with_capacity(variables.len());
    for variable in variables {
        let base = safe_name(&variable.name);
        let suffixed = |name: &str| {
            ["", "_reading", "_residual", "_flag"].map(|suffix| format!("{name}{suffix}"))
        };
        let mut all = suffixed(&base);
        for n in 2.. {
            if all.iter().all(|name| !used.contains(name)) {
                break;
            }
            all = suffixed(&format!("{base}_{n}"));
        }
        used.extend(all.iter().cloned());
        let [map, reading, residual, flag] = all;
        let (units, quantity) = match variable.units.as_deref().map(known_unit) {
            Some(Some((unit, quantity))) => (Some(unit.to_owned()), Some(quantity)),
            Some(None) => (variable.units.clone(), None),
            None => (None, None),
        };
        names.push(Naming {
            map,
            reading,
            residual,
            flag,
            long_name: variable.name.clone(),
            units,
            standard_name: quantity.and_then(|q| standard_name(&variable.name, q)),
        });
    }
    names
}

/// Lower-case letters, digits and `_`, beginning with a letter; CF's advice, and what the oldest
/// readers take. At most 64, so that suffixes fit into NetCDF's 256.
pub(super) fn safe_name(name: &str) -> String {
    let mut safe = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            safe.push(c);
        } else if !safe.is_empty() && !safe.ends_with('_') {
            safe.push('_');
        }
        if safe.len() == 64 {
            break;
        }
    }
    let safe = safe.trim_end_matches('_');
    match safe.chars().next() {
        None => "variable".to_owned(),
        Some(c) if c.is_ascii_digit() => format!("v{safe}"),
        Some(_) => safe.to_owned(),
    }
}

/// UDUNITS' spelling of a unit, where it is known.
pub(crate) fn udunits(unit: &str) -> Option<&'static str> {
    known_unit(unit).map(|(unit, _)| unit)
}

pub(super) fn known_unit(unit: &str) -> Option<(&'static str, Quantity)> {
    let squeezed = squeeze_unit(unit);
    let found = UNITS.iter().find(|(spellings, ..)| spellings.contains(&squeezed.as_str()));
    found.map(|&(_, unit, quantity)| (unit, quantity))
}

/// Without what spellings of one unit differ in: case, spaces, signs of power and product.
fn squeeze_unit(unit: &str) -> String {
    let mut squeezed = String::new();
    for c in unit.chars().flat_map(char::to_lowercase) {
        match c {
            // The micro sign and the Greek letter look the same.
            'µ' | 'μ' => squeezed.push('u'),
            '²' => squeezed.push('2'),
            '³' => squeezed.push('3'),
            '¹' => squeezed.push('1'),
            '⁻' | '−' => squeezed.push('-'),
            '^' | '*' | '.' | '·' | '_' | '(' | ')' => {}
            c if c.is_whitespace() => {}
            c => squeezed.push(c),
        }
    }
    squeezed
}

fn standard_name(name: &str, quantity: Quantity) -> Option<&'static str> {
    let standard = standard_names(name)?;
    standard.iter().find(|(needed, _)| *needed == quantity).map(|&(_, name)| name)
}

/// What a variable known by its name may measure.
pub(super) fn quantities(name: &str) -> Option<Vec<Quantity>> {
    Some(standard_names(name)?.iter().map(|(quantity, _)| *quantity).collect())
}

fn standard_names(name: &str) -> Option<&'static [(Quantity, &'static str)]> {
    let squeezed: String =
        name.chars().flat_map(char::to_lowercase).filter(char::is_ascii_alphanumeric).collect();
    let (_, standard) =
        STANDARD_NAMES.iter().find(|(keys, _)| keys.contains(&squeezed.as_str()))?;
    Some(standard)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variable(name: &str, units: Option<&str>) -> Variable {
        Variable { name: name.to_owned(), units: units.map(str::to_owned) }
    }

    #[test]
    fn spellings_of_a_pollutant_and_its_unit_are_one() {
        for name in ["PM2.5", "pm25", "pm2_5", "PM 2.5", "pm2p5"] {
            for unit in ["µg/m³", "μg m⁻³", "ug/m3", "UG/M3", "ug m-3", "ug.m^-3", "ug/m**3"]
            {
                let named = &names(&[variable(name, Some(unit))], &[])[0];
                assert_eq!(named.units.as_deref(), Some("ug m-3"), "{unit}");
                assert_eq!(
                    named.standard_name,
                    Some("mass_concentration_of_pm2p5_ambient_aerosol_particles_in_air"),
                    "{name} {unit}"
                );
            }
        }
    }

    #[test]
    fn a_standard_name_needs_a_unit_that_fits() {
        let named = |name, unit| names(&[variable(name, unit)], &[])[0].standard_name;
        assert_eq!(named("O3", Some("ppb")), Some("mole_fraction_of_ozone_in_air"));
        assert_eq!(named("O3", None), None);
        assert_eq!(named("PM10", Some("ppb")), None);
        assert_eq!(named("AQI", Some("1")), None);
        assert_eq!(named("O3", Some("furlong")), None);
    }

    #[test]
    fn an_unknown_unit_is_passed_on_and_a_missing_one_is_not_made_up() {
        let named = names(&[variable("depth", Some("fathom")), variable("x", None)], &[]);
        assert_eq!(named[0].units.as_deref(), Some("fathom"));
        assert_eq!(named[1].units, None);
    }

    #[test]
    fn names_avoid_coordinates_and_each_other() {
        let list = ["time", "PM2.5", "pm2_5", "x", "x_reading", "2-m T", "температура", ""];
        let variables = list.map(|name| variable(name, None));
        let maps: Vec<_> = names(&variables, &["time"]).into_iter().map(|n| n.map).collect();
        let want =
            ["time_2", "pm2_5", "pm2_5_2", "x", "x_reading_2", "v2_m_t", "variable", "variable_2"];
        assert_eq!(maps, want);
    }

    proptest! {
        #[test]
        fn any_names_become_different_safe_names(list in prop::collection::vec(".{0,6}", 0..8)) {
            let variables: Vec<_> = list.iter().map(|name| variable(name, None)).collect();
            let named = names(&variables, &["lat", "lon", "time"]);
            let all: Vec<_> =
                named.iter().flat_map(|n| [&n.map, &n.reading, &n.residual, &n.flag]).collect();
            let distinct: HashSet<_> = all.iter().collect();
            prop_assert_eq!(distinct.len(), 4 * list.len());
            for name in all {
                prop_assert!(name.starts_with(|c: char| c.is_ascii_lowercase()));
                prop_assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
            }
        }
    }
}
