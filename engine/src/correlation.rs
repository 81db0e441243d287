//! Correlation of the readings of every pair of stations, for pairs by the million in bounded memory.
//!
//! With `M` the stations × times that have a reading (0 or 1) and `X` the readings less each
//! station's mean (0 where there is none), all sums over the common readings of all pairs are
//! products of matrices:
//!
//! ```text
//! n = M Mᵀ    Σx = X Mᵀ    Σy = M Xᵀ    Σx² = X² Mᵀ    Σy² = M (X²)ᵀ    Σxy = X Xᵀ
//! r = (Σxy − Σx Σy / n) / √((Σx² − (Σx)² / n) (Σy² − (Σy)² / n))
//! ```
//!
//! Some rows of these at a time (a panel) for all later stations, some time steps at a time: memory is
//! that of a panel and a block of readings, whatever the number of pairs and times. Since readings
//! are taken about their mean, nothing large cancels (Chan, Golub & LeVeque 1983,
//! doi:10.1080/00031305.1983.10483115).

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef};
use isopleth_kernels as kernels;
use kernels::{Metric, Par, Points};
use rayon::prelude::*;

use crate::correlation_bins::Bins;
use crate::error::Error;
use crate::observations::{Observations, Station};
use crate::pools;
use crate::progress::Cancel;

/// Time steps multiplied at once, at most.
const STEPS: usize = 256;

/// Bytes of a pair's sums.
const PAIR: usize = 6 * size_of::<f64>();

/// Of a sum of squares, what is left of equal readings by rounding.
const ROUNDING: f64 = 1e-12;

/// Which pairs are told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CorrelationRules {
    /// Pairs further apart are left out: km, or the unit of planar coordinates.
    pub within: Option<f64>,
    /// Pairs with fewer common readings are left out.
    pub least_pairs: u64,
    /// Memory for sums and readings, in bytes.
    pub memory_bytes: u64,
    /// Worker threads.
    pub threads: usize,
}

/// Two stations.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// Name of the variable.
    pub variable: &'a str,
    /// The station received first.
    pub first: &'a Station,
    /// The other one.
    pub second: &'a Station,
    /// In km along the sphere, or in the unit of planar coordinates.
    pub distance: f64,
    /// Times at which both have a reading.
    pub readings: u64,
    /// Pearson's correlation of those.
    pub correlation: f64,
}

/// All pairs of one variable.
#[derive(Clone, Debug)]
pub struct VariableCorrelation {
    /// Name of the variable.
    pub variable: String,
    /// Pairs told.
    pub pairs: u64,
    /// Pairs left out, since they have too few common readings.
    pub too_few: u64,
    /// Pairs left out, since one of them always reads the same.
    pub constant: u64,
    /// Pairs left out, since they are too far apart.
    pub too_far: u64,
    /// How correlation falls with distance.
    pub bins: Bins,
}

/// Correlates every pair of stations in every variable and hands the pairs to `take`, by variable,
/// first and second station.
///
/// # Errors
/// If readings cannot be read, threads not started, `take` fails, or somebody says stop.
pub fn correlate(
    observations: &Observations,
    rules: &CorrelationRules,
    cancel: &Cancel,
    take: &mut (dyn FnMut(Pair<'_>) -> Result<(), Error> + Send),
) -> Result<Vec<VariableCorrelation>, Error> {
    pools::borrow(rules.threads)?.install(|| {
        let means = means(observations)?;
        let stations = observations.stations().len();
        let mut all = Vec::with_capacity(observations.variables().len());
        for variable in 0..observations.variables().len() {
            let of = &means[variable * stations..][..stations];
            // A pair has no more readings in common than either of the two has.
            let least = rules.least_pairs.max(1);
            let which: Vec<usize> = (0..stations).filter(|&s| of[s].count >= least).collect();
            let too_few = pairs_of(stations_with_any(of)) - pairs_of(which.len());
            let work = Work::new(observations, rules, cancel, variable, which, of);
            let mut told = work.panels(take)?;
            told.too_few += too_few;
            all.push(told);
        }
        Ok(all)
    })
}

/// The mean of a series.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    count: u64,
    first: f64,
    /// Of the readings less the first: exactly 0 where all are equal.
    sum: f64,
}

impl Mean {
    #[expect(clippy::cast_precision_loss, reason = "a count of readings")]
    fn value(&self) -> f64 {
        self.first + self.sum / self.count.max(1) as f64
    }
}

fn stations_with_any(of: &[Mean]) -> usize {
    of.iter().filter(|mean| mean.count > 0).count()
}

fn pairs_of(stations: usize) -> u64 {
    let n = stations as u64;
    n * n.saturating_sub(1) / 2
}

/// By variable, then station.
fn means(observations: &Observations) -> Result<Vec<Mean>, Error> {
    let series = observations.variables().len() * observations.stations().len();
    let (mut means, mut step) = (vec![Mean::default(); series], Vec::new());
    for time in 0..observations.times().len() {
        observations.step(time, &mut step)?;
        for (mean, &value) in means.iter_mut().zip(&step).filter(|(_, value)| value.is_finite()) {
            if mean.count == 0 {
                mean.first = value;
            }
            mean.count += 1;
            mean.sum += value - mean.first;
        }
    }
    Ok(means)
}

/// One variable.
struct Work<'a> {
    observations: &'a Observations,
    rules: &'a CorrelationRules,
    cancel: &'a Cancel,
    variable: usize,
    /// Stations with enough readings.
    which: Vec<usize>,
    means: Vec<f64>,
    points: Points,
    metric: Metric,
}

impl<'a> Work<'a> {
    fn new(
        observations: &'a Observations,
        rules: &'a CorrelationRules,
        cancel: &'a Cancel,
        variable: usize,
        which: Vec<usize>,
        of: &[Mean],
    ) -> Self {
        let metric = if observations.in_degrees() { Metric::GreatCircle } else { Metric::Planar };
        let axis = |get: fn(&Station) -> f64| -> Vec<f64> {
            which.iter().map(|&s| get(&observations.stations()[s])).collect()
        };
        let points = metric.embed(&axis(|s| s.x), &axis(|s| s.y));
        let means = which.iter().map(|&s| of[s].value()).collect();
        Self { observations, rules, cancel, variable, which, means, points, metric }
    }

    fn distance(&self, i: usize, j: usize) -> f64 {
        let (a, b) = (self.points.at(i), self.points.at(j));
        self.metric.distance(a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum())
    }

    fn panels(
        &self,
        take: &mut (dyn FnMut(Pair<'_>) -> Result<(), Error> + Send),
    ) -> Result<VariableCorrelation, Error> {
        let n = self.which.len();
        let largest = || {
            let of = |i: usize| (i + 1..n).map(|j| self.distance(i, j)).fold(0.0, f64::max);
            (0..n).into_par_iter().map(of).reduce(|| 0.0, f64::max)
        };
        let mut told = VariableCorrelation {
            variable: self.observations.variables()[self.variable].name.clone(),
            pairs: 0,
            too_few: 0,
            constant: 0,
            too_far: 0,
            bins: Bins::new(self.rules.within.unwrap_or_else(largest)),
        };
        let memory = usize::try_from(self.rules.memory_bytes).unwrap_or(usize::MAX);
        let rows = (memory / 2 / (PAIR * n.max(1))).clamp(1, n.max(1));
        let steps = (memory / 2 / (3 * size_of::<f64>() * n.max(1))).clamp(1, STEPS);
        let mut block = Block::new(n, steps.min(self.observations.times().len().max(1)));
        for first in (0..n).step_by(rows) {
            let panel = first..(first + rows).min(n);
            let sums = self.sums(panel.clone(), &mut block)?;
            for i in panel {
                self.cancel.check()?;
                for j in i + 1..n {
                    self.tell(&sums, first, (i, j), &mut told, take)?;
                }
            }
        }
        Ok(told)
    }

    fn tell(
        &self,
        sums: &Sums,
        first: usize,
        (i, j): (usize, usize),
        told: &mut VariableCorrelation,
        take: &mut (dyn FnMut(Pair<'_>) -> Result<(), Error> + Send),
    ) -> Result<(), Error> {
        let distance = self.distance(i, j);
        if self.rules.within.is_some_and(|within| distance > within) {
            told.too_far += 1;
            return Ok(());
        }
        let (readings, correlation) = sums.of(i - first, j - first);
        if readings < self.rules.least_pairs.max(1) {
            told.too_few += 1;
            return Ok(());
        }
        let Some(correlation) = correlation else {
            told.constant += 1;
            return Ok(());
        };
        told.pairs += 1;
        told.bins.add(distance, correlation);
        let station = |k: usize| &self.observations.stations()[self.which[k]];
        let (first, second) = (station(i), station(j));
        let variable = &self.observations.variables()[self.variable].name;
        take(Pair { variable, first, second, distance, readings, correlation })
    }

    /// The sums of the stations of a panel with those from its first one on.
    fn sums(&self, panel: Range<usize>, block: &mut Block) -> Result<Sums, Error> {
        let times = self.observations.times().len();
        let columns = self.which.len() - panel.start;
        let mut sums = Sums::new(panel.len(), columns);
        for first in (0..times).step_by(block.steps) {
            self.cancel.check()?;
            let steps = first..(first + block.steps).min(times);
            let count = steps.len();
            self.fill(steps, block)?;
            sums.add(block, panel.start, count, self.rules.threads);
        }
        Ok(sums)
    }

    fn fill(&self, steps: Range<usize>, block: &mut Block) -> Result<(), Error> {
        let stations = self.observations.stations().len();
        let mut step = Vec::new();
        for (k, time) in steps.enumerate() {
            self.observations.step(time, &mut step)?;
            let values = &step[self.variable * stations..][..stations];
            let present = block.present.col_as_slice_mut(k);
            let about = block.about.col_as_slice_mut(k);
            let squares = block.squares.col_as_slice_mut(k);
            for (i, &station) in self.which.iter().enumerate() {
                let value = values[station];
                let is_there = value.is_finite();
                let x = if is_there { value - self.means[i] } else { 0.0 };
                (present[i], about[i], squares[i]) = (f64::from(u8::from(is_there)), x, x * x);
            }
        }
        Ok(())
    }
}

/// Readings of some time steps, stations × steps.
struct Block {
    steps: usize,
    present: Mat<f64>,
    about: Mat<f64>,
    squares: Mat<f64>,
}

impl Block {
    fn new(stations: usize, steps: usize) -> Self {
        let zeros = || Mat::zeros(stations, steps);
        Self { steps, present: zeros(), about: zeros(), squares: zeros() }
    }
}

/// Sums over the common readings of the stations of a panel and others: panel × others.
struct Sums {
    count: Mat<f64>,
    x: Mat<f64>,
    y: Mat<f64>,
    xx: Mat<f64>,
    yy: Mat<f64>,
    xy: Mat<f64>,
}

impl Sums {
    fn new(rows: usize, columns: usize) -> Self {
        let zeros = || Mat::zeros(rows, columns);
        Self { count: zeros(), x: zeros(), y: zeros(), xx: zeros(), yy: zeros(), xy: zeros() }
    }

    fn add(&mut self, block: &Block, first: usize, steps: usize, threads: usize) {
        let rows = self.count.nrows();
        fn views(all: &Mat<f64>, first: usize, rows: usize, steps: usize) -> [MatRef<'_, f64>; 2] {
            let all = all.subcols(0, steps);
            [all.subrows(first, rows), all.subrows(first, all.nrows() - first)]
        }
        let of = |all| views(all, first, rows, steps);
        let [present, about, squares] = [&block.present, &block.about, &block.squares].map(of);
        let par = Par::rayon(threads);
        let add = |to: &mut Mat<f64>, a: MatRef<'_, f64>, b: MatRef<'_, f64>| {
            matmul(to.as_mut(), Accum::Add, a, b.transpose(), 1.0, par);
        };
        add(&mut self.count, present[0], present[1]);
        add(&mut self.x, about[0], present[1]);
        add(&mut self.y, present[0], about[1]);
        add(&mut self.xx, squares[0], present[1]);
        add(&mut self.yy, present[0], squares[1]);
        add(&mut self.xy, about[0], about[1]);
    }

    /// Common readings and their correlation; none where either is constant.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    fn of(&self, i: usize, j: usize) -> (u64, Option<f64>) {
        let at = (i, j);
        let n = self.count[at];
        if n < 1.0 {
            return (0, None);
        }
        let (x, y) = (self.x[at], self.y[at]);
        let spread = |squares: f64, sum: f64| {
            let spread = squares - sum * sum / n;
            (spread > ROUNDING * squares).then_some(spread)
        };
        let both = spread(self.xx[at], x).zip(spread(self.yy[at], y));
        let correlation = both.map(|(a, b)| {
            let product = self.xy[at] - x * y / n;
            (product / (a.sqrt() * b.sqrt())).clamp(-1.0, 1.0)
        });
        (n as u64, correlation)
    }
}
