//! How much variances grow without some stations, where those of the whole network are known.
//!
//! `L_M⁻¹ω_M(x)` is linear in `φ(x)` and `p(x)`: a surface for each missing station. So a place costs
//! `n|M|` multiplications and not `n²`.

use faer::linalg::matmul::matmul;
use faer::prelude::Reborrow;
use faer::{Accum, Mat, Par};
use rayon::prelude::*;

use super::{Gap, Variance, Whitened};
use crate::evaluate::{Axis, Targets};
use crate::nullspace::Side;
use crate::{Evaluator, Points, Surface, Weights};

/// Above it the weights of such surfaces lose more digits than `L⁻¹`, which knows the root of the
/// condition only; then that is taken. Rounding is below ε times this, and variances are kept with
/// seven digits.
const WORST_CONDITION: f64 = 1e9;

/// Places that a thread takes at once.
const BLOCK: usize = 256;

/// Makes the variances without some stations from those of the whole network.
#[derive(Debug)]
pub struct Growth<'a> {
    variance: &'a Variance<'a>,
    gaps: &'a [&'a Gap],
    /// One field for each missing station of each gap; none where they would not be right.
    surface: Option<Surface>,
}

impl<'a> Variance<'a> {
    /// What gaps add at any place. Costs `n²` multiplications for each missing station.
    #[must_use]
    pub fn growth(&'a self, gaps: &'a [&'a Gap], par: Par) -> Growth<'a> {
        let sound = self.factor.condition() <= WORST_CONDITION;
        Growth { variance: self, gaps, surface: sound.then(|| self.cardinal(gaps, par)) }
    }

    /// `L_M⁻¹ω_M` as surfaces: with `G = of_rest L⁻¹` weights `Q [0; Gᵀ]` of stations, and
    /// `Π R⁻¹ (of_drift − G ZᵀAQ₁)ᵀ` of drift terms.
    fn cardinal(&self, gaps: &[&Gap], par: Par) -> Surface {
        let (space, core, stations) =
            (self.factor.space(), self.factor.core(), self.factor.stations());
        let (n, q) = (stations.len(), space.terms());
        let missing: usize = gaps.iter().map(|gap| gap.of_rest.nrows()).sum();
        let mut weights = Mat::zeros(n, missing);
        let mut of_drift = Mat::zeros(q, missing);
        let mut first = 0;
        for gap in gaps {
            let count = gap.of_rest.nrows();
            weights
                .as_mut()
                .submatrix_mut(q, first, n - q, count)
                .copy_from(gap.of_rest.transpose());
            of_drift.as_mut().subcols_mut(first, count).copy_from(gap.of_drift.transpose());
            first += count;
        }
        let (_, mut rest) = weights.as_mut().split_at_row_mut(q);
        core.solve_other_half(rest.as_mut(), par);
        matmul(of_drift.as_mut(), Accum::Add, core.beside().transpose(), rest.rb(), -1.0, par);
        space.apply(Side::Plain, weights.as_mut(), par);
        let drift = space.coefficients(of_drift, par);
        let weights = Weights { stations: weights, drift };
        Surface::new(stations, self.factor.method(), self.factor.drift(), &weights)
    }
}

impl Growth<'_> {
    /// Places × gaps, and with `k` covariates 1 + k columns for each; `whole` is what
    /// [`Variance::at`] gives there for the whole network, place by place.
    ///
    /// # Panics
    /// If `whole` has not 1 + k numbers a place: a bug of the caller.
    #[must_use]
    pub fn at(&self, places: &Points, whole: &[f64], par: Par) -> Mat<f64> {
        let width = 1 + self.variance.covariates();
        assert_eq!(whole.len(), width * places.len(), "those of the whole network");
        let firsts: Vec<usize> = (0..places.len()).step_by(BLOCK).collect();
        let some = |&first: &usize| {
            let which: Vec<usize> = (first..(first + BLOCK).min(places.len())).collect();
            let whole = &whole[first * width..][..which.len() * width];
            self.some(&places.select(&which), whole)
        };
        let parts: Vec<Mat<f64>> = if par == Par::Seq {
            firsts.iter().map(some).collect()
        } else {
            firsts.par_iter().map(some).collect()
        };
        let mut out = Mat::zeros(places.len(), width * self.gaps.len());
        for (first, part) in firsts.iter().zip(&parts) {
            out.as_mut().subrows_mut(*first, part.nrows()).copy_from(part);
        }
        out
    }

    fn some(&self, places: &Points, whole: &[f64]) -> Mat<f64> {
        let (width, count) = (1 + self.variance.covariates(), places.len());
        let mut out = Mat::zeros(count, width * self.gaps.len());
        let mut here = vec![0.0; width];
        for (g, (gap, more)) in self.gaps.iter().zip(self.more(places)).enumerate() {
            for c in 0..count {
                here.copy_from_slice(&whole[c * width..][..width]);
                gap.widen(&mut here, more.col(c));
                (0..width).for_each(|k| out[(c, g * width + k)] = here[k]);
            }
        }
        out
    }

    /// `L_M⁻¹ω_M` of each gap, covariates 0: missing × places.
    fn more(&self, places: &Points) -> Vec<Mat<f64>> {
        let count = places.len();
        let Some(surface) = &self.surface else {
            let Whitened { drift, columns } = self.variance.whitened(places);
            let rest = columns.as_ref().split_at_row(drift.nrows()).1;
            let product = |gap: &&Gap| &gap.of_rest * rest + &gap.of_drift * &drift;
            return self.gaps.iter().map(product).collect();
        };
        let mut values = vec![0.0; surface.fields() * count];
        let axes: Vec<Axis<'_>> = (0..places.dims()).map(|k| Axis::Each(places.axis(k))).collect();
        let targets = Targets { axes: &axes, len: count };
        Evaluator::new().evaluate(surface, targets, &mut values);
        let mut rows = values.chunks_exact(count);
        let part = |gap: &&Gap| {
            let rows: Vec<&[f64]> = rows.by_ref().take(gap.of_rest.nrows()).collect();
            Mat::from_fn(rows.len(), count, |i, c| rows[i][c])
        };
        self.gaps.iter().map(part).collect()
    }
}
