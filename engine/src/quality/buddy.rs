//! The buddy check: a reading beside what its neighbours tell.
//!
//! With `e_i` the leave-one-out residual of a reading and `w_i` its weight, `e_i / √(e_i / w_i) =
//! √|e_i w_i|` is the residual in units of what the kernel itself expects at a place so far from the
//! others, up to a factor. A reading is suspect when both are beyond `k` robust spreads of the same
//! at its neighbours: the residual alone would blame stations that stand alone, the other alone
//! those that stand side by side.
//!
//! A bad reading spoils the residuals around it. So the suspects of a field are all left out
//! together, predicted by the rest, and those that agree with it are cleared.
//!
//! Båserud, Lussana, Nipen, Seierstad, Oram & Aspelien 2020 (TITAN), doi:10.5194/asr-17-153-2020,
//! for buddy and spatial consistency checks; Rousseeuw & Croux 1993, doi:10.1080/01621459.1993.10476408,
//! for the spread.

use isopleth_kernels as kernels;
use kernels::evaluate::{Axis, Targets};
use kernels::{Evaluator, Factor, Fit, Mat, MatRef, Par, Surface};
use rayon::prelude::*;

use super::ledger::{Flagged, Ledger};
use super::{Flag, Reject};
use crate::network::Network;
use crate::observations::Observations;
use crate::output::FieldId;

/// How many neighbours vouch for a reading.
const NEIGHBOURS: usize = 20;

/// With fewer of them present nobody is judged.
const FEWEST: usize = 5;

/// The spread around a station counts as at least so much of that of the whole field: residuals
/// that happen to be small all around make no reading bad.
const FLOOR: f64 = 0.5;

/// Makes a median absolute deviation the standard deviation of a normal distribution.
const NORMAL: f64 = 1.4826;

/// Neighbours of every station, the nearest first.
#[derive(Debug)]
pub(crate) struct Buddies {
    /// By station, `each` of them.
    nearest: Vec<u32>,
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
    /// Reading less what all but the suspects predict.
    pub(crate) residual: f64,
    /// Robust standard deviation of the residuals around.
    pub(crate) spread: f64,
}

impl Buddies {
    pub(crate) fn new(network: &Network, limit: f64) -> Self {
        let (points, n) = (network.points(), network.len());
        let mut first = vec![usize::MAX; n];
        for (station, &place) in network.place_of().iter().enumerate() {
            first[place] = first[place].min(station);
        }
        let each = NEIGHBOURS.min(n.saturating_sub(1));
        let places: Vec<[f64; 3]> = (0..n).map(|i| points.at(i)).collect();
        let of = |i: usize| -> Vec<u32> {
            let squared = |j: usize| -> f64 {
                places[i].iter().zip(&places[j]).map(|(a, b)| (a - b) * (a - b)).sum()
            };
            let mut others: Vec<(f64, u32)> = (0..n)
                .filter(|&j| j != i)
                .map(|j| (squared(j), u32::try_from(j).expect("stations fit into memory")))
                .collect();
            let nearer = |a: &(f64, u32), b: &(f64, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
            if each < others.len() {
                others.select_nth_unstable_by(each, nearer);
                others.truncate(each);
            }
            others.sort_by(nearer);
            others.into_iter().map(|(_, j)| j).collect()
        };
        Self { nearest: (0..n).into_par_iter().flat_map_iter(of).collect(), each, limit, first }
    }

    /// The outliers of every field, by field and station. `readings` and what `fit` holds are
    /// stations × fields; `factor` is what made `fit` of the readings.
    pub(crate) fn outliers(
        &self,
        factor: &Factor,
        readings: MatRef<'_, f64>,
        fit: &Fit,
        par: Par,
    ) -> Vec<Outlier> {
        let fields = readings.ncols();
        let suspects: Vec<Vec<Suspect>> =
            (0..fields).into_par_iter().map(|field| self.suspects(fit, field)).collect();
        // Alone among its neighbours a suspect is what it seems; together they may be one's doing.
        let doubtful: Vec<usize> =
            (0..fields).filter(|&f| self.are_neighbours(&suspects[f])).collect();
        let cleared = Self::clear(factor, readings, &suspects, &doubtful, par);
        let mut all: Vec<Outlier> = Vec::new();
        for (field, suspects) in suspects.iter().enumerate() {
            let again = doubtful.binary_search(&field).ok().and_then(|k| cleared[k].as_ref());
            all.extend(suspects.iter().enumerate().filter_map(|(k, s)| {
                let residual = again.map_or(s.residual, |residuals| residuals[k]);
                (residual.abs() > self.limit * s.spread).then_some(Outlier {
                    field,
                    station: s.station,
                    residual,
                    spread: s.spread,
                })
            }));
        }
        all
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

    fn are_neighbours(&self, suspects: &[Suspect]) -> bool {
        suspects.iter().any(|s| {
            let near = self.near(s.station);
            suspects.iter().any(|other| near.iter().any(|&j| j as usize == other.station))
        })
    }

    /// The residuals of the suspects of doubtful fields, when all of them are left out together; none
    /// for a field that has no surface without them.
    fn clear(
        factor: &Factor,
        readings: MatRef<'_, f64>,
        suspects: &[Vec<Suspect>],
        doubtful: &[usize],
        par: Par,
    ) -> Vec<Option<Vec<f64>>> {
        if doubtful.is_empty() {
            return Vec::new();
        }
        let points = factor.stations();
        let mut without =
            Mat::from_fn(readings.nrows(), doubtful.len(), |i, f| readings[(i, doubtful[f])]);
        for (f, &field) in doubtful.iter().enumerate() {
            for suspect in &suspects[field] {
                without[(suspect.station, f)] = f64::NAN;
            }
        }
        let Ok(fit) = factor.fit(without.as_ref(), par) else {
            return vec![None; doubtful.len()];
        };
        drop(without);
        let predict = |(f, &field): (usize, &usize)| {
            if fit.failed.iter().any(|(failed, _)| *failed == f) {
                return None;
            }
            let weights = fit.weights.some(f..f + 1);
            let surface = Surface::new(points, factor.method(), factor.drift(), &weights);
            let of: Vec<usize> = suspects[field].iter().map(|s| s.station).collect();
            let places = points.select(&of);
            let axes: Vec<Axis<'_>> =
                (0..places.dims()).map(|k| Axis::Each(places.axis(k))).collect();
            let mut predicted = vec![0.0; of.len()];
            let targets = Targets { axes: &axes, len: of.len() };
            Evaluator::new().evaluate(&surface, targets, &mut predicted);
            Some(of.iter().zip(predicted).map(|(&i, p)| readings[(i, field)] - p).collect())
        };
        doubtful.par_iter().enumerate().map(predict).collect()
    }
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
