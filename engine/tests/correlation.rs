//! Correlations of pairs are those of pandas, whatever the memory.

use isopleth_engine::correlation::VariableCorrelation;
use isopleth_engine::observations::{Parts, Station, Variable};
use isopleth_engine::{Cancel, CorrelationRules, Observations, ReadOptions, correlate};
use serde::Deserialize;

/// Made by `tests/golden/make_correlation.py`.
const REFERENCE: &str = include_str!("../../tests/golden/correlation.json");

#[derive(Deserialize)]
struct Reference {
    lon: Vec<f64>,
    lat: Vec<f64>,
    values: Vec<Vec<Option<f64>>>,
    pairs: Vec<Told>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Told {
    pair: [usize; 2],
    readings: u64,
    distance_km: f64,
    correlation: Option<f64>,
}

fn reference() -> Reference {
    serde_json::from_str(REFERENCE).expect("the reference")
}

fn observations(of: &Reference) -> Observations {
    let places = of.lon.iter().zip(&of.lat).enumerate();
    let stations =
        places.map(|(k, (&x, &y))| Station { id: k.to_string(), x, y }).collect::<Vec<_>>();
    let times = (0..of.values.len())
        .map(|t| format!("2026-01-{:02}T{:02}:00Z", 1 + t / 24, t % 24))
        .collect();
    let variable = Variable { name: "pm25".to_owned(), units: None };
    let values = vec![(variable, of.values.clone())];
    let parts = Parts { stations, times, values };
    Observations::from_parts(parts, &ReadOptions::default()).expect("readings")
}

const RULES: CorrelationRules =
    CorrelationRules { within: None, least_pairs: 2, memory_bytes: 64 << 20, threads: 2 };

fn told(of: &Reference, rules: CorrelationRules) -> (Vec<Told>, VariableCorrelation) {
    let mut pairs = Vec::new();
    let number = |station: &Station| station.id.parse().expect("a number");
    let made = correlate(&observations(of), &rules, &Cancel::default(), &mut |pair| {
        pairs.push(Told {
            pair: [number(pair.first), number(pair.second)],
            readings: pair.readings,
            distance_km: pair.distance,
            correlation: Some(pair.correlation),
        });
        Ok(())
    });
    (pairs, made.expect("correlated").remove(0))
}

#[test]
fn pairs_have_the_correlation_the_count_and_the_distance_that_pandas_gives() {
    let of = reference();
    let (got, made) = told(&of, RULES);
    let want: Vec<&Told> = of.pairs.iter().filter(|p| p.correlation.is_some()).collect();
    assert!(want.len() > 70 && got.len() == want.len());
    for (got, want) in got.iter().zip(&want) {
        assert_eq!((got.pair, got.readings), (want.pair, want.readings));
        assert!((got.distance_km - want.distance_km).abs() < 1e-6, "{got:?} {want:?}");
        let (r, s) = (got.correlation.expect("told"), want.correlation.expect("filtered"));
        // The readings, about 1e4 with a spread of about 1, keep twelve digits of it; of two readings,
        // whose correlation is 1 or −1, pandas keeps nine.
        let slack = if want.readings > 2 { 1e-11 } else { 1e-8 };
        assert!((r - s).abs() < slack, "{got:?} {want:?}");
    }
    // The constant station, with each of the others.
    assert_eq!((made.constant, made.too_few, made.pairs), (13, 0, want.len() as u64));
    for (pair, one) in [([5, 6], 1.0), ([5, 7], -1.0)] {
        let found = got.iter().find(|p| p.pair == pair).and_then(|p| p.correlation);
        assert!((found.expect("told") - one).abs() < 1e-14, "{pair:?}: {found:?}");
    }
}

#[test]
fn a_station_at_a_time_and_a_step_at_a_time_are_the_same_pairs() {
    let of = reference();
    let (all, _) = told(&of, RULES);
    let (few, _) = told(&of, CorrelationRules { memory_bytes: 1, threads: 1, ..RULES });
    assert_eq!(all.len(), few.len());
    for (a, b) in all.iter().zip(&few) {
        assert_eq!((a.pair, a.readings), (b.pair, b.readings));
        // Sums in another order.
        let [a, b] = [a, b].map(|p| p.correlation.expect("told"));
        assert!((a - b).abs() < 1e-11, "{a} {b}");
    }
}

#[test]
fn pairs_too_far_apart_or_with_too_few_readings_are_left_out_and_counted() {
    let of = reference();
    let rules = CorrelationRules { within: Some(300.0), least_pairs: 30, ..RULES };
    let (got, made) = told(&of, rules);
    let kept = |p: &&Told| p.distance_km <= 300.0 && p.readings >= 30 && p.correlation.is_some();
    assert_eq!(got.len(), of.pairs.iter().filter(kept).count());
    assert!(!got.is_empty() && made.too_far > 0 && made.too_few > 0);
    let all = made.pairs + made.too_far + made.too_few + made.constant;
    assert_eq!(all, of.pairs.len() as u64);
    let binned: u64 = made.bins.by_distance(10).iter().map(|class| class.pairs).sum();
    assert_eq!(binned, made.pairs);
}
