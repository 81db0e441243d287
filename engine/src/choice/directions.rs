//! Whether values resemble each other farther in one direction than in others: two ranges and an angle, tried
//! around what was chosen, by the same number.

use isopleth_kernels::{Anisotropy, Mat, Metric};

use super::candidates::{self, Candidate};
use super::forms::Forms;
use super::{Sample, Search, Trial};
use crate::error::Error;
use crate::settings::Directions;

/// Ratios of the ranges, and degrees between the directions that are tried.
const RATIOS: [f64; 3] = [1.5, 2.0, 3.0];
const STEP: usize = 30;

/// The error, a product of two, must be less by this share: 2.5 % in each. Eighteen are tried, and the best
/// of so many is a little better by luck.
const WORTH_A_DIRECTION: f64 = 0.05;

/// Fewer stations tell no direction.
const FEWEST_STATIONS: usize = 48;

/// With more stations eighteen factorisations of each choice would take more than the choice itself; and maps
/// whose ranges differ are summed exactly.
const MOST_STATIONS: usize = 500;

/// Kilometres: on a larger part of the Earth one direction in space is many on the ground.
const LARGEST_EXTENT: f64 = 2000.0;

/// A tried candidate in all forms, as they come from [`Search::attempt`].
type Trials = Vec<Trial>;

impl Search<'_> {
    /// The candidates of units, each with the direction that makes its error much less, if there is one.
    pub(super) fn directed(
        &self,
        sample: &Sample,
        (forms, readings): (&Forms, &Mat<f64>),
        trials: &[Trials],
        least: &mut [Vec<f64>],
        chosen: Vec<Candidate>,
    ) -> Result<Vec<Candidate>, Error> {
        if !self.may_have_direction(sample) {
            return Ok(chosen);
        }
        let mut tried: Vec<(Candidate, Vec<Trials>)> = Vec::new();
        let mut out = Vec::with_capacity(chosen.len());
        for (unit, candidate) in chosen.into_iter().enumerate() {
            let base = candidate.untransformed();
            let of_base = forms.form_of(unit, candidate.transform).and_then(|form| {
                Some((form, trials[form].iter().find(|trial| trial.candidate == base)?))
            });
            // One that was kept may have a direction already.
            let Some((form, of_base)) = of_base.filter(|_| base.anisotropy.is_none()) else {
                out.push(candidate);
                continue;
            };
            if tried.iter().all(|(of, _)| *of != base) {
                let all = around(&base)
                    .map(|directed| self.attempt(sample, &directed, (forms, readings), least))
                    .collect::<Result<_, _>>()?;
                tried.push((base.clone(), all));
            }
            let known = tried.iter().find(|(of, _)| *of == base).map(|(_, all)| all);
            let complete = |trial: &&Trial| trial.counts[unit] == of_base.counts[unit];
            let best = (known.into_iter().flatten().map(|all| &all[form]))
                .filter(complete)
                .min_by(|a, b| a.errors[unit].total_cmp(&b.errors[unit]))
                .filter(|best| {
                    best.errors[unit] < of_base.errors[unit] * (1.0 - WORTH_A_DIRECTION)
                });
            let anisotropy = best.and_then(|trial| trial.candidate.anisotropy);
            out.push(Candidate { anisotropy, ..candidate });
        }
        Ok(out)
    }

    fn may_have_direction(&self, sample: &Sample) -> bool {
        let near = match self.auto.metric {
            Metric::Planar => true,
            Metric::Chordal => candidates::extent(&sample.stations) <= LARGEST_EXTENT,
            Metric::GreatCircle => false,
        };
        // A larger network is thinned out for its choice.
        let stations = self.plan.network.len();
        let count = (FEWEST_STATIONS..=MOST_STATIONS).contains(&stations)
            && sample.stations.len() >= FEWEST_STATIONS;
        near && count && self.auto.anisotropy == Directions::Auto
    }
}

fn around(base: &Candidate) -> impl Iterator<Item = Candidate> + '_ {
    let ratios = RATIOS.into_iter();
    ratios.flat_map(move |ratio| {
        (0..180 / STEP).map(move |k| {
            #[expect(clippy::cast_precision_loss, reason = "degrees")]
            let angle = (k * STEP) as f64;
            let anisotropy = Anisotropy::new(ratio, angle).ok().map(|a| [a.ratio(), a.angle()]);
            Candidate { anisotropy, ..base.clone() }
        })
    })
}
