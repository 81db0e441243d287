//! What layers beside the maps are called, and what a file says of them.

use super::attributes::Attributes;
use super::cf::{Naming, safe_name};
use crate::uncertainty::{Layer, LayerOf, Of};

/// Names of some layers, in their order: all different, and none of `taken` or of a variable's.
#[must_use]
pub(super) fn names(layers: &[LayerOf], variables: &[Naming], taken: &[&str]) -> Vec<String> {
    let mut used: Vec<String> = taken.iter().map(|&name| name.to_owned()).collect();
    used.extend(variables.iter().flat_map(|n| [&n.map, &n.reading, &n.residual]).cloned());
    let mut names = Vec::with_capacity(layers.len());
    for (variable, layer) in layers {
        let base = format!("{}_{}", variables[*variable].map, suffix(*layer));
        let numbered = (2..).map(|n| format!("{base}_{n}"));
        let mut all = std::iter::once(base.clone()).chain(numbered);
        let name = all.find(|name| !used.contains(name)).expect("numbers do not end");
        used.push(name.clone());
        names.push(name);
    }
    names
}

/// `standard_error`, `exceeds_75`, `quantile_0_05`; a minus is `minus`.
pub(super) fn suffix(layer: Layer) -> String {
    let number = |value: f64| {
        let sign = if value < 0.0 { "minus_" } else { "" };
        // It begins with a digit, which a name of its own must not.
        format!("{sign}{}", safe_name(&value.abs().to_string()).trim_start_matches('v'))
    };
    match layer {
        Layer::Deviation => "standard_error".to_owned(),
        Layer::Exceedance { threshold } => format!("exceeds_{}", number(threshold)),
        Layer::Quantile { level } => format!("quantile_{}", number(level)),
    }
}

/// What a layer says that its map does not say, too.
pub(super) fn attributes(layer: Layer, of: Of, variable: &Naming) -> Attributes {
    let mut all = Attributes::default();
    let units = variable.units.as_deref().unwrap_or_default();
    let what = match of {
        Of::Reading => "a new reading",
        Of::Field => "the field",
    };
    let name = &variable.long_name;
    match layer {
        Layer::Deviation => {
            all.put("long_name", format!("{name}: standard deviation of the error for {what}"));
            if let Some(standard_name) = variable.standard_name {
                all.put("standard_name", format!("{standard_name} standard_error"));
            }
            all.put("units", units);
        }
        Layer::Exceedance { threshold } => {
            let text = format!("{name}: probability that {what} is above {threshold} {units}");
            all.put("long_name", text.trim_end()).put("threshold", threshold).put("units", "1");
        }
        Layer::Quantile { level } => {
            all.put("long_name", format!("{name}: quantile {level} of {what}"))
                .put("quantile", level)
                .put("units", units);
        }
    }
    all.put("coverage_content_type", "qualityInformation");
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observations::Variable;
    use crate::output::cf;

    #[test]
    fn layers_are_called_after_their_variable_and_avoid_what_is_there() {
        let variable = |name: &str| Variable { name: name.to_owned(), units: None };
        let variables = cf::names(&[variable("PM2.5"), variable("pm2_5_exceeds_75")], &[]);
        let layers = [
            (0, Layer::Deviation),
            (0, Layer::Exceedance { threshold: 75.0 }),
            (0, Layer::Exceedance { threshold: -7.5 }),
            (1, Layer::Quantile { level: 0.05 }),
        ];
        let got = names(&layers, &variables, &["time"]);
        let want = [
            "pm2_5_standard_error",
            "pm2_5_exceeds_75_2",
            "pm2_5_exceeds_minus_7_5",
            "pm2_5_exceeds_75_quantile_0_05",
        ];
        assert_eq!(got, want);
    }
}
