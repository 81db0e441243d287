//! The buddy check: a reading beside what its neighbours tell.
//!
//! With `e_i` the leave-one-out residual of a reading and `w_i` its weight, `e_i / √(e_i / w_i) =
//! √|e_i w_i|` is the residual in units of what the kernel itself expects at a place so far from the
//! others, up to a factor. A reading is suspect when both are beyond `k` robust spreads of the same
//! at its neighbours: the residual alone would blame stations that stand alone, the other alone
//! those that stand side by side.
//!
//! A bad reading spoils the residuals around it. So a suspect with another one among its neighbours
//! is predicted once more, by the nearest stations that are no suspects, and cleared if it agrees
//! with them.
//!
//! Båserud, Lussana, Nipen, Seierstad, Oram & Aspelien 2020 (TITAN), doi:10.5194/asr-17-153-2020,
//! for buddy and spatial consistency checks; Rousseeuw & Croux 1993, doi:10.1080/01621459.1993.10476408,
//! for the spread.

use std::sync::Arc;

use isopleth_kernels as kernels;
use kernels::evaluate::{Axis, Targets};
use kernels::{Evaluator, Factor, Fit, Mat, MatRef, Par, Surface};
use rayon::prelude::*;

use super::ledger::{Flagged, Ledger};
use super::lore::Lore;
use super::{Flag, Reject};
use crate::network::Network;
use crate::observations::Observations;
use crate::output::FieldId;
use crate::transform::Transform;

/// How many neighbours vouch for a reading.
const NEIGHBOURS: usize = 20;

/// With fewer of them present nobody is judged.
const FEWEST: usize = 5;

/// How many stations predict a suspect anew.
const WITNESSES: usize = 32;

/// The spread around a station counts as at least so much of that of the whole field: residuals
/// that happen to be small all around make no reading bad.
const FLOOR: f64 = 0.5;

/// Makes a median absolute deviation the standard deviation of a normal distribution.
const NORMAL: f64 = 1.4826;

/// Neighbours of every station, the nearest first.
#[derive(Debug)]
pub(crate) struct Buddies {
    /// By station, `each` of them.
    nearest: Arc<Vec<u32>>,
    each: usize,
    /// How many spreads are too many.
    limit: f64,
    /// By place: the first station received there.
    first: Vec<usize>,
}

/// A reading beyond its neighbours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outlier {
    pub(crate) field: usize,
    /// Place of the network.
    pub(crate) station: usize,
    /// Reading less what others predict, where needed others that are no suspects.
    pub(crate) residual: f64,
    /// Robust standard deviation of the residuals around.
    pub(crate) spread: f64,
}

impl Outlier {
    /// Of transformed readings, stations × fields: in the unit of the readings.
    pub(crate) fn turn_back(
        &mut self,
        (transform, transformed): (Transform, &Mat<f64>),
        own: &Mat<f64>,
    ) {
        let at = (self.station, self.field);
        let predicted = transformed[at] - self.residual;
        self.residual = own[at] - transform.back(predicted);
        let end = |sign: f64| transform.back(predicted + sign * self.spread);
        self.spread = 0.5 * (end(1.0) - end(-1.0));
    }
}

impl Buddies {
    pub(crate) fn new(network: &Network, limit: f64, lore: &Lore) -> Self {
        let (points, n) = (network.points(), network.len());
        let mut first = vec![usize::MAX; n];
        for (station, &place) in network.place_of().iter().enumerate() {
            first[place] = first[place].min(station);
        }
        let each = NEIGHBOURS.min(n.saturating_sub(1));
        let places: Vec<[f64; 3]> = (0..n).map(|i| points.at(i)).collect();
        // The nearest so far, in order: after the first few most stations are further than all.
        let of = |i: usize| -> Vec<u32> {
            let mut near: Vec<(f64, usize)> = Vec::with_capacity(each + 1);
            for (j, place) in places.iter().enumerate().filter(|(j, _)| *j != i) {
                let distance = squared(places[i], *place);
                if near.len() < each || near.last().is_some_and(|last| distance < last.0) {
                    near.insert(near.partition_point(|other| other.0 <= distance), (distance, j));
                    near.truncate(each);
                }
            }
            let number = |j| u32::try_from(j).expect("stations fit into memory");
            near.into_iter().map(|(_, j)| number(j)).collect()
        };
        let mut hash = blake3::Hasher::new();
        for k in 0..points.dims() {
            hash.update(bytemuck::cast_slice(points.axis(k)));
        }
        let key = hash.finalize();
        let nearest = lore
            .neighbours
            .get(key, n, || (0..n).into_par_iter().flat_map_iter(of).collect::<Vec<u32>>());
        Self { nearest, each, limit, first }
    }

    /// The outliers of every field, by field and station. `readings` and what `fit` holds are
    /// stations × fields; `factor` is what made `fit` of the readings.
    pub(crate) fn outliers(
        &self,
        factor: &Factor,
        readings: MatRef<'_, f64>,
        fit: &Fit,
    ) -> Vec<Outlier> {
        let of_field = |field: usize| {
            let suspects = self.suspects(fit, field);
            let column: Vec<f64> = readings.col(field).iter().copied().collect();
            // Alone among its neighbours a suspect is what it seems.
            let again = |s: &Suspect| -> f64 {
                let near = self.near(s.station);
                let company =
                    suspects.iter().any(|o| near.iter().any(|&j| j as usize == o.station));
                let beside = || residual_beside_the_sound(factor, &column, &suspects, s.station);
                company.then(beside).flatten().unwrap_or(s.residual)
            };
            let judge = |s: &Suspect| {
                let &Suspect { station, spread, .. } = s;
                let residual = again(s);
                (residual.abs() > self.limit * spread).then_some(Outlier {
                    field,
                    station,
                    residual,
                    spread,
                })
            };
            suspects.iter().filter_map(judge).collect::<Vec<_>>()
        };
        (0..readings.ncols()).into_par_iter().flat_map_iter(of_field).collect()
    }

    /// Flags the outliers, `flags[field * places + place]`, and makes those readings missing that the
    /// policy rejects. Whether there are any such.
    pub(crate) fn flag(
        &self,
        observations: &Observations,
        outliers: &[Outlier],
        fields: &[FieldId],
        block: (&mut Mat<f64>, &mut [u8]),
        reject: Reject,
        ledger: &mut Ledger,
    ) -> bool {
        let (readings, flags) = block;
        let places = readings.nrows();
        let mut any = false;
        for outlier in outliers {
            let &Outlier { field, station: place, residual, spread } = outlier;
            let (id, at) = (fields[field], field * places + place);
            let first = flags[at] == 0;
            flags[at] |= Flag::Buddy.mask();
            let rejected = reject.rejects(flags[at]);
            let station = self.first[place];
            ledger.reading_flagged(station, first, rejected);
            let flagged = Flagged {
                time: id.time,
                variable: id.variable,
                station,
                value: readings[(place, field)],
                flag: Flag::Buddy,
                rejected,
            };
            ledger.flag(observations, flagged, || {
                format!("{residual:+.4} beside its neighbours, whose spread is {spread:.4}")
            });
            if rejected {
                readings[(place, field)] = f64::NAN;
                any = true;
            }
        }
        any
    }

    /// Readings of a field that are beyond their neighbours by both measures.
    fn suspects(&self, fit: &Fit, field: usize) -> Vec<Suspect> {
        let residuals: Vec<f64> = fit.leave_one_out.col(field).iter().copied().collect();
        let weights = fit.weights.stations.col(field);
        let scaled: Vec<f64> =
            residuals.iter().zip(weights.iter()).map(|(e, w)| (e * w).abs().sqrt()).collect();
        let mut scratch = Vec::with_capacity(residuals.len());
        let mut whole = |of: &[f64]| {
            scratch.clear();
            scratch.extend(of.iter().copied().filter(|v| v.is_finite()).map(f64::abs));
            NORMAL * median(&mut scratch).unwrap_or(f64::NAN)
        };
        // Where most residuals are rounding, rounding is no fault.
        let floors = [FLOOR * whole(&residuals), FLOOR * whole(&scaled)];
        if !(floors[0] > 0.0 && floors[1] > 0.0) {
            return Vec::new();
        }
        let judge = |station: usize| {
            let beyond = |of: &[f64], floor: f64| -> Option<f64> {
                let value = of[station].abs();
                // Nothing below the floor is beyond anything: most stations end here.
                if value.is_nan() || value <= self.limit * floor {
                    return None;
                }
                let spread = self.spread(of, station)?.max(floor);
                (value > self.limit * spread).then_some(spread)
            };
            beyond(&scaled, floors[1])?;
            let spread = beyond(&residuals, floors[0])?;
            Some(Suspect { station, residual: residuals[station], spread })
        };
        (0..residuals.len()).filter_map(judge).collect()
    }

    /// Robust standard deviation about 0 of what the neighbours have: none where too few have it.
    fn spread(&self, of: &[f64], station: usize) -> Option<f64> {
        let near = self.near(station).iter().map(|&j| of[j as usize].abs());
        let mut present: Vec<f64> = near.filter(|v| v.is_finite()).collect();
        if present.len() < FEWEST {
            return None;
        }
        median(&mut present).map(|median| NORMAL * median)
    }

    fn near(&self, station: usize) -> &[u32] {
        &self.nearest[station * self.each..][..self.each]
    }
}

/// The residual of a suspect beside the nearest stations that are none; none where they make no
/// surface.
fn residual_beside_the_sound(
    factor: &Factor,
    readings: &[f64],
    suspects: &[Suspect],
    station: usize,
) -> Option<f64> {
    let (points, method) = (factor.stations(), factor.method());
    let here = points.at(station);
    let is_sound = |i: &usize| {
        readings[*i].is_finite() && suspects.binary_search_by_key(i, |s| s.station).is_err()
    };
    let mut sound: Vec<(f64, usize)> =
        (0..points.len()).filter(is_sound).map(|i| (squared(here, points.at(i)), i)).collect();
    let nearer = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    if WITNESSES < sound.len() {
        sound.select_nth_unstable_by(WITNESSES, nearer);
        sound.truncate(WITNESSES);
    }
    // In one order, whatever the selection left: sums keep their bits.
    sound.sort_by(nearer);
    let near: Vec<usize> = sound.into_iter().map(|(_, i)| i).collect();
    let here_of: Vec<f64> = method.covariates.iter().map(|column| column[station]).collect();
    let method = method.select(&near);
    let places = points.select(&near);
    let factor = Factor::new(&places, &method, Par::Seq).ok()?;
    // About one of the readings, where the drift has a constant that takes it.
    let middle = if method.degree >= 0 { readings[*near.first()?] } else { 0.0 };
    let values = Mat::from_fn(near.len(), 1, |k, _| readings[near[k]] - middle);
    let weights = factor.solve(values.as_ref(), Par::Seq).ok()?;
    let surface = Surface::new(&places, &method, factor.drift(), &weights);
    let axes: Vec<[f64; 1]> = here[..places.dims()].iter().map(|&x| [x]).collect();
    let axes: Vec<Axis<'_>> = axes.iter().map(|x| Axis::Each(x)).collect();
    let mut predicted = [0.0];
    Evaluator::new().evaluate(&surface, Targets { axes: &axes, len: 1 }, &mut predicted);
    let first = factor.drift().terms();
    let beside = here_of.iter().enumerate().map(|(k, z)| weights.drift[(first + k, 0)] * z);
    Some(readings[station] - middle - predicted[0] - beside.sum::<f64>())
}

fn squared(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// A reading that looks wrong at first.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    station: usize,
    residual: f64,
    spread: f64,
}

/// The middle one, or the lower of two; none of nothing.
fn median(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let middle = (values.len() - 1) / 2;
    Some(*values.select_nth_unstable_by(middle, f64::total_cmp).1)
}
