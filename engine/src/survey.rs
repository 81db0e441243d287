//! What a network is like before any reading: places, how far apart, how well its system can be solved.

use isopleth_kernels as kernels;
use kernels::{Par, Points, Resolved};
use serde::Serialize;

use crate::choice;
use crate::error::Error;
use crate::factors::FactorCache;
use crate::network::Network;
use crate::observations::Station;
use crate::pools;
use crate::progress::Cancel;
use crate::settings::{Choice, Settings};

/// What a network is like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Survey {
    /// Distinct places.
    pub places: usize,
    /// Places at which several codes were merged, with those codes.
    pub merged: Vec<Vec<String>>,
    /// Identifies places, metric and nothing else.
    pub fingerprint: String,
    /// Distance of a station to the nearest other one: the median and the least of all, in km, or in the unit
    /// of planar coordinates. None for a single place.
    pub median_spacing: Option<f64>,
    /// See there.
    pub least_spacing: Option<f64>,
    /// The methods that maps of the network have: that told; those chosen lately; else one like those that may be
    /// chosen.
    pub methods: Vec<Solvable>,
}

/// How well the system of a method can be solved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Solvable {
    /// `told`, `kept` from readings of the network, or `typical` where none came yet.
    pub chosen_by: &'static str,
    /// Variables that have it, where they have been chosen for.
    pub variables: Vec<String>,
    /// Radial function.
    pub kernel: String,
    /// Multiplies distances.
    pub epsilon: f64,
    /// The largest λ.
    pub smoothing: f64,
    /// Degree of the drift, −1 for none.
    pub degree: i8,
    /// How the system is solved.
    pub solver: String,
    /// Estimate of its condition number in the 1-norm.
    pub condition: f64,
}

/// Looks at the stations of a network and at the systems that maps of it solve; the factors are kept.
///
/// # Errors
/// When the stations make no network or no surface, or somebody says stop.
pub fn survey(
    stations: &[Station],
    settings: &Settings,
    threads: usize,
    factors: &FactorCache,
    cancel: &Cancel,
) -> Result<Survey, Error> {
    let metric = settings.method.metric();
    let network = Network::of_list(stations, metric, settings.duplicates, settings.thin)?;
    let [median_spacing, least_spacing] = spacing(network.points(), settings);
    let mut methods: Vec<Solvable> = Vec::new();
    let pool = pools::borrow(threads)?;
    for (by, variable, method) in methods_of(&network, settings, factors)? {
        let obtain = || factors.obtain(network.points(), &method, Par::rayon(threads), cancel);
        let factor = pool.install(obtain)?.value;
        let found = solvable(by, &method, factor.decomposition(), factor.condition());
        let known = methods
            .iter_mut()
            .find(|m| Solvable { variables: Vec::new(), ..(*m).clone() } == found);
        match known {
            Some(known) => known.variables.extend(variable),
            None => methods.push(Solvable { variables: variable.into_iter().collect(), ..found }),
        }
    }
    Ok(Survey {
        places: network.len(),
        merged: network.merged().to_vec(),
        fingerprint: network.fingerprint().to_owned(),
        median_spacing,
        least_spacing,
        methods,
    })
}

/// Who chose, for which variable, what.
type Of = (&'static str, Option<String>, Resolved);

fn methods_of(
    network: &Network,
    settings: &Settings,
    factors: &FactorCache,
) -> Result<Vec<Of>, Error> {
    let points = network.points();
    if let Choice::Auto(auto) = &settings.method {
        let wanted = (auto, &settings.transforms);
        let kept = choice::kept_methods(network.stations(), points, wanted, factors.choices())?;
        if !kept.is_empty() {
            return Ok(kept
                .into_iter()
                .map(|(name, method)| ("kept", Some(name), method))
                .collect());
        }
    }
    let by = if matches!(settings.method, Choice::Told(_)) { "told" } else { "typical" };
    Ok(vec![(by, None, choice::typical(&settings.method, points)?)])
}

fn solvable(by: &'static str, method: &Resolved, solver: &str, condition: f64) -> Solvable {
    Solvable {
        chosen_by: by,
        variables: Vec::new(),
        kernel: method.kernel.to_string(),
        epsilon: method.epsilon,
        smoothing: method.diagonal.iter().copied().fold(0.0, f64::max),
        degree: method.degree,
        solver: solver.to_owned(),
        condition,
    }
}

/// The median and the least distance to the nearest other place.
fn spacing(points: &Points, settings: &Settings) -> [Option<f64>; 2] {
    let metric = settings.method.metric();
    let mut nearest: Vec<f64> =
        nearest_squared(points).into_iter().map(|squared| metric.distance(squared)).collect();
    nearest.retain(|distance| distance.is_finite());
    nearest.sort_by(f64::total_cmp);
    [nearest.get(nearest.len() / 2).copied(), nearest.first().copied()]
}

/// Squared distance of every place to the nearest other. Places in the order of one coordinate: of those on
/// either side only they need be looked at that are not farther in it alone.
fn nearest_squared(points: &Points) -> Vec<f64> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| points.at(a)[0].total_cmp(&points.at(b)[0]));
    let squared = |a: usize, b: usize| -> f64 {
        let (a, b) = (points.at(a), points.at(b));
        (0..3).map(|k| (a[k] - b[k]).powi(2)).sum()
    };
    let nearest = |k: usize| {
        let mut least = f64::INFINITY;
        let sides: [&mut dyn Iterator<Item = &usize>; 2] =
            [&mut order[..k].iter().rev(), &mut order[k + 1..].iter()];
        for side in sides {
            for &other in side {
                if (points.at(other)[0] - points.at(order[k])[0]).powi(2) >= least {
                    break;
                }
                least = least.min(squared(order[k], other));
            }
        }
        least
    };
    (0..order.len()).map(nearest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Kernel, Method, Metric};

    fn station(id: &str, x: f64, y: f64) -> Station {
        Station { id: id.to_owned(), x, y }
    }

    #[test]
    fn the_nearest_place_is_found_whatever_the_order() {
        let x: Vec<f64> = (0..200_u32).map(|k| f64::from(k * 67 % 199)).collect();
        let y: Vec<f64> = (0..200_u32).map(|k| f64::from(k * 31 % 97)).collect();
        let points = Points::new(vec![x, y]);
        let mut found = nearest_squared(&points);
        let slow = |i: usize| {
            let (a, others) = (points.at(i), (0..200).filter(move |j| *j != i));
            let squared = |j: usize| -> f64 {
                let b = points.at(j);
                (0..3).map(|k| (a[k] - b[k]).powi(2)).sum()
            };
            others.map(squared).fold(f64::INFINITY, f64::min)
        };
        let mut wanted: Vec<f64> = (0..200).map(slow).collect();
        found.sort_by(f64::total_cmp);
        wanted.sort_by(f64::total_cmp);
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_network_tells_its_places_spacing_and_condition() {
        let stations: Vec<Station> = (0..20_u32)
            .map(|k| station(&format!("s{k}"), f64::from(k % 5), f64::from(k / 5)))
            .chain([station("twin", 0.0, 0.0)])
            .collect();
        let method = Method { kernel: Kernel::Linear, metric: Metric::Planar, ..Method::default() };
        let settings = Settings { method: Choice::Told(method), ..Settings::default() };
        let factors = FactorCache::new(1 << 20, None);
        let found = survey(&stations, &settings, 1, &factors, &Cancel::default()).unwrap();
        assert_eq!((found.places, found.merged.len()), (20, 1));
        assert_eq!((found.median_spacing, found.least_spacing), (Some(1.0), Some(1.0)));
        assert_eq!(found.methods.len(), 1);
        assert_eq!(found.methods[0].chosen_by, "told");
        assert!(found.methods[0].condition > 1.0 && found.methods[0].condition < 1e6);
        let auto = Settings::default();
        let found = survey(&stations, &auto, 1, &factors, &Cancel::default()).unwrap();
        assert_eq!(found.methods[0].chosen_by, "typical");
        assert!(found.least_spacing.unwrap() > 100.0, "kilometres");
    }
}
