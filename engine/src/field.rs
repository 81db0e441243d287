//! Evaluates the fields of a batch, tile by tile, exactly or fast, and hands tiles to the sink.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use isopleth_kernels as kernels;
use kernels::evaluate::far::{Far, Node, Scratch};
use kernels::evaluate::{Axis, GridRows, Targets as Row};
use kernels::{Evaluator, Surface};
use rayon::prelude::*;

use crate::background::OnCells;
use crate::certificate::{Account, Judge, Verdict};
use crate::covariates;
use crate::error::Error;
use crate::grid::{Grid, Places, Targets};
use crate::output::{FieldId, Sink, Tile};
use crate::pilot::Tried;
use crate::plan::Plan;
use crate::progress::{Event, Progress};
use crate::transform::WayBack;
use crate::uncertainty::BlockDoubt;

/// The fields of a batch, about to be evaluated.
pub(crate) struct Fields<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) ids: &'a [FieldId],
    pub(crate) surface: &'a Surface,
    pub(crate) evaluator: Evaluator,
    pub(crate) sink: &'a dyn Sink,
    /// What is added to the surface.
    pub(crate) beside: &'a Beside<'a>,
    /// What layers are made of, where some are asked for.
    pub(crate) doubt: Option<&'a BlockDoubt<'a>>,
    /// The way back of transformed readings.
    pub(crate) back: Option<&'a WayBack>,
    pub(crate) progress: Progress<'a>,
    /// Values done in all batches so far.
    pub(crate) done: &'a AtomicU64,
}

/// What is added to the surface before anybody sees it.
#[derive(Default)]
pub(crate) struct Beside<'a> {
    /// What readings were taken less.
    pub(crate) background: Option<OnCells<'a>>,
    /// The terms of the drift that are no polynomials.
    pub(crate) covariates: Option<covariates::OnCells<'a>>,
}

/// What a thread keeps from tile to tile.
#[derive(Default)]
struct Buffers {
    tile: Vec<f64>,
    row: Vec<f64>,
    axes: [Vec<f64>; 3],
    scratch: Scratch,
}

impl Fields<'_> {
    /// Every tile by the sum over all stations.
    pub(crate) fn exactly(&self) -> Result<(), Error> {
        let cells = Cells::new(self.plan);
        let tiles = (0..self.plan.tiling.count()).into_par_iter();
        tiles.try_for_each_init(Buffers::default, |buffers, k| {
            let (rows, columns) = self.plan.tiling.tile(k);
            if self.is_masked(&rows, &columns) {
                return self.hand_over_nothing(&rows, &columns);
            }
            self.sum(&cells, &rows, &columns, buffers)?;
            self.hand_over(&rows, &columns, &mut buffers.tile)
        })
    }

    /// All tiles of a map, done already while the scheme was chosen.
    pub(crate) fn tried(&self, tried: Vec<Tried>) -> Result<Account, Error> {
        let (cells, mut account) = (Cells::new(self.plan), Account::default());
        tried.iter().for_each(|tile| account.add(&tile.verdict));
        tried.into_par_iter().try_for_each(|tried| {
            let (rows, columns) = self.plan.tiling.tile(tried.tile);
            let mut buffers = Buffers { tile: tried.values, ..Buffers::default() };
            self.finish(&cells, (&rows, &columns), &mut buffers, &tried.verdict)
        })?;
        Ok(account)
    }

    /// Every tile by the fast scheme, judged against the exact sum; what fails is done again. Those `tried`
    /// are done already.
    pub(crate) fn fast(
        &self,
        far: &Far<'_>,
        judge: &Judge<'_>,
        tried: Vec<Tried>,
    ) -> Result<Account, Error> {
        let work = Fast {
            tried: Mutex::new(tried),
            fields: self,
            far,
            judge,
            cells: Cells::new(self.plan),
            buffers: Mutex::default(),
            account: Mutex::default(),
            failed: Mutex::default(),
        };
        let root = far.root();
        rayon::scope(|scope| work.descend(scope, root));
        match work.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(work.account.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Hands over the values of a tile in the buffers, those that failed done again exactly.
    fn finish(
        &self,
        cells: &Cells<'_>,
        (rows, columns): (&Range<usize>, &Range<usize>),
        buffers: &mut Buffers,
        verdict: &Verdict,
    ) -> Result<(), Error> {
        self.progress.cancel.check()?;
        if verdict.failed() {
            self.sum(cells, rows, columns, buffers)?;
        }
        self.hand_over(rows, columns, &mut buffers.tile)
    }

    /// One tile, exactly, into `buffers.tile`.
    fn sum(
        &self,
        cells: &Cells<'_>,
        rows: &Range<usize>,
        columns: &Range<usize>,
        buffers: &mut Buffers,
    ) -> Result<(), Error> {
        let (fields, width, height) = (self.ids.len(), columns.len(), rows.len());
        buffers.tile.resize(fields * height * width, 0.0);
        if let Cells::Grid(grid) = cells
            && self.surface.is_separable()
        {
            self.progress.cancel.check()?;
            let tile = [rows.clone(), columns.clone()];
            self.evaluator.evaluate_tile(self.surface, grid, tile, &mut buffers.tile);
            return Ok(());
        }
        buffers.row.resize(fields * width, 0.0);
        for (r, row) in rows.clone().enumerate() {
            self.progress.cancel.check()?;
            cells.with(row, columns.clone(), &mut buffers.axes, |targets| {
                self.evaluator.evaluate(self.surface, targets, &mut buffers.row);
            });
            for f in 0..fields {
                buffers.tile[(f * height + r) * width..][..width]
                    .copy_from_slice(&buffers.row[f * width..][..width]);
            }
        }
        Ok(())
    }

    /// Some tiles of places, those that failed first done again exactly.
    pub(crate) fn hand_over_places(
        &self,
        tiles: &[usize],
        values: &mut [Vec<f64>],
        verdicts: &[Verdict],
    ) -> Result<(), Error> {
        let cells = Cells::new(self.plan);
        let all = tiles.par_iter().zip(values.par_iter_mut()).zip(verdicts);
        all.try_for_each_init(Buffers::default, |buffers, ((&k, values), verdict)| {
            let (rows, columns) = self.plan.tiling.tile(k);
            if verdict.failed() {
                self.sum(&cells, &rows, &columns, buffers)?;
                return self.hand_over(&rows, &columns, &mut buffers.tile);
            }
            self.hand_over(&rows, &columns, values)
        })
    }

    /// The one place where values leave.
    fn hand_over(
        &self,
        rows: &Range<usize>,
        columns: &Range<usize>,
        values: &mut [f64],
    ) -> Result<(), Error> {
        if let Some(mask) = &self.plan.mask {
            mask.cut(&self.plan.targets, rows, columns, values);
        }
        if let Some(covariates) = &self.beside.covariates {
            covariates.add(self.ids, rows, columns, values);
        }
        if let Some(background) = &self.beside.background {
            background.add(self.ids, rows, columns, values);
        }
        // Layers are of the surface itself, before any bound.
        if let Some(doubt) = self.doubt {
            doubt.hand_over(self.sink, self.ids, rows, columns, values)?;
        }
        if let Some(back) = self.back {
            back.tile(&self.plan.targets, self.ids, (rows, columns), values);
        }
        for (id, values) in self.ids.iter().zip(values.chunks_exact_mut(rows.len() * columns.len()))
        {
            let [low, high] = self.plan.bounds[id.variable];
            // NaN stays.
            values.iter_mut().for_each(|v| *v = v.clamp(low, high));
        }
        self.sink.tile(Tile { fields: self.ids, rows, columns, values })?;
        let done = self.done.fetch_add(values.len() as u64, Ordering::Relaxed);
        let total = self.plan.targets.cells() * self.plan.estimate.fields;
        let done = done + values.len() as u64;
        (self.progress.on_event)(Event::Values { done, total });
        Ok(())
    }
}

impl Fields<'_> {
    /// Whether all of some whole tiles are outside of the mask.
    fn is_masked(&self, rows: &Range<usize>, columns: &Range<usize>) -> bool {
        self.plan.mask.as_ref().is_some_and(|mask| mask.is_outside(rows, columns))
    }

    /// The tiles of a box that is masked, never evaluated.
    fn hand_over_nothing(&self, rows: &Range<usize>, columns: &Range<usize>) -> Result<(), Error> {
        let tiling = &self.plan.tiling;
        for top in rows.clone().step_by(tiling.tile_rows) {
            let rows = top..(top + tiling.tile_rows).min(rows.end);
            for left in columns.clone().step_by(tiling.tile_columns) {
                let columns = left..(left + tiling.tile_columns).min(columns.end);
                let cells = rows.len() * columns.len();
                self.hand_over(&rows, &columns, &mut vec![f64::NAN; self.ids.len() * cells])?;
            }
        }
        Ok(())
    }
}

/// A fast evaluation under way.
struct Fast<'a> {
    fields: &'a Fields<'a>,
    far: &'a Far<'a>,
    judge: &'a Judge<'a>,
    cells: Cells<'a>,
    /// Buffers that no thread uses just now.
    buffers: Mutex<Vec<Buffers>>,
    tried: Mutex<Vec<Tried>>,
    account: Mutex<Account>,
    /// The first error; it stops the others.
    failed: Mutex<Option<Error>>,
}

impl Fast<'_> {
    /// Down the tree, the parts of a box in parallel.
    fn descend<'s>(&'s self, scope: &rayon::Scope<'s>, node: Node) {
        if lock(&self.failed).is_some() {
            return;
        }
        let (rows, columns) = self.far.cells(&node);
        if self.fields.is_masked(&rows, &columns) {
            if let Err(error) = self.fields.hand_over_nothing(&rows, &columns) {
                lock(&self.failed).get_or_insert(error);
            }
            return;
        }
        let parts = self.far.parts(&node);
        if parts.is_empty() {
            if let Err(error) = self.tile(node) {
                lock(&self.failed).get_or_insert(error);
            }
            return;
        }
        for part in parts {
            scope.spawn(move |scope| self.descend(scope, part));
        }
    }

    fn tile(&self, node: Node) -> Result<(), Error> {
        let (rows, columns) = self.far.cells(&node);
        let mut buffers = lock(&self.buffers).pop().unwrap_or_default();
        if let Some(tried) = self.tried(&rows, &columns) {
            buffers.tile = tried.values;
            return self.finish(&rows, &columns, buffers, &tried.verdict);
        }
        self.fields.progress.cancel.check()?;
        buffers.tile.resize(self.fields.ids.len() * rows.len() * columns.len(), 0.0);
        let work = self.far.evaluate(node, &mut buffers.scratch, &mut buffers.tile);
        let verdict = self.judge.judge(&rows, &columns, &buffers.tile, &work);
        self.finish(&rows, &columns, buffers, &verdict)
    }

    fn finish(
        &self,
        rows: &Range<usize>,
        columns: &Range<usize>,
        mut buffers: Buffers,
        verdict: &Verdict,
    ) -> Result<(), Error> {
        lock(&self.account).add(verdict);
        self.fields.finish(&self.cells, (rows, columns), &mut buffers, verdict)?;
        lock(&self.buffers).push(buffers);
        Ok(())
    }

    /// A tile that is done already.
    fn tried(&self, rows: &Range<usize>, columns: &Range<usize>) -> Option<Tried> {
        let mut tried = lock(&self.tried);
        let place = (rows.clone(), columns.clone());
        let at = tried.iter().position(|one| self.fields.plan.tiling.tile(one.tile) == place)?;
        Some(tried.swap_remove(at))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The targets row by row, in the coordinates of the metric.
enum Cells<'a> {
    Grid(GridRows<'a>),
    Projected { grid: &'a Grid, metric: kernels::Metric },
    Places { places: &'a Places, metric: kernels::Metric },
}

impl<'a> Cells<'a> {
    fn new(plan: &'a Plan) -> Self {
        let metric = plan.metric();
        match &plan.targets {
            Targets::Grid(grid) if grid.crs().is_some() => Self::Projected { grid, metric },
            Targets::Grid(grid) => Self::Grid(GridRows::new(grid.x(), grid.y(), metric)),
            Targets::Points(places) => Self::Places { places, metric },
        }
    }

    /// Calls `then` with some cells of a row.
    fn with(
        &self,
        row: usize,
        columns: Range<usize>,
        scratch: &mut [Vec<f64>; 3],
        then: impl FnOnce(Row<'_>),
    ) {
        match self {
            Self::Grid(rows) => rows.with(row, columns, scratch, then),
            Self::Projected { grid, metric } => {
                let [lon, lat] = grid.degrees(row, columns).unwrap_or_default();
                each(&metric.embed(&lon, &lat), then);
            }
            Self::Places { places, metric } => {
                each(&metric.embed(&places.x[columns.clone()], &places.y[columns]), then);
            }
        }
    }
}

fn each(points: &kernels::Points, then: impl FnOnce(Row<'_>)) {
    let axes: Vec<Axis<'_>> = (0..points.dims()).map(|k| Axis::Each(points.axis(k))).collect();
    then(Row { axes: &axes, len: points.len() });
}

#[cfg(test)]
mod tests {
    use isopleth_kernels::evaluate::far::Scheme;
    use isopleth_kernels::{Factor, Mat, Par};

    use super::*;
    use crate::grid::{Registration, Size};
    use crate::observations::{Observations, Parts, ReadOptions, Station, Variable};
    use crate::output::MapsInMemory;
    use crate::progress::Cancel;
    use crate::settings::{Limits, Settings};

    fn plan() -> Plan {
        let stations: Vec<Station> = (0..200_u32)
            .map(|i| Station {
                id: format!("s{i}"),
                x: 100.0 + f64::from(i * 37 % 200) / 20.0,
                y: 30.0 + f64::from(i * 53 % 200) / 25.0,
            })
            .collect();
        let row = stations.iter().map(|s| Some((s.x * 3.0).sin() * 20.0 + s.y)).collect();
        let variable = Variable { name: "pm25".into(), units: None };
        let parts = Parts { stations, times: Vec::new(), values: vec![(variable, vec![row])] };
        let observations = Observations::from_parts(parts, &ReadOptions::default()).unwrap();
        let size = Size::Shape { nx: 300, ny: 200 };
        let bounds = [100.0, 30.0, 110.0, 38.0];
        let grid = Grid::from_bounds(bounds, size, Registration::Gridline, true).unwrap();
        let settings = Settings::default();
        Plan::new(observations, Targets::Grid(grid), settings, &Limits::default()).unwrap()
    }

    /// A scheme of order 2 is off by percents: every tile is found out, done again, and told.
    #[test]
    fn a_tile_that_misses_its_tolerance_is_done_again_exactly() {
        let plan = plan();
        let Targets::Grid(grid) = &plan.targets else { unreachable!("it was made of a grid") };
        let stations = plan.network.points();
        let factor = Factor::new(stations, &plan.typical, Par::Seq).unwrap();
        let (mut received, mut readings) = (Vec::new(), Vec::new());
        plan.observations.step(0, &mut received).unwrap();
        plan.network.values(&received, 1, &mut readings);
        let values = Mat::from_fn(readings.len(), 1, |i, _| readings[i]);
        let fit = factor.fit(values.as_ref(), Par::Seq).unwrap();
        let surface = Surface::new(stations, &plan.typical, factor.drift(), &fit.weights);
        let evaluator = Evaluator::new();
        let axes = crate::certificate::Cells::Grid(grid.x(), grid.y());
        let places = plan.network.stations().iter().map(|s| (s.x, s.y));
        let metric = plan.metric();
        let judge =
            Judge::new(&surface, evaluator, metric, axes, places, plan.tiling, &[40.0], 1e-6);
        let rows = GridRows::new(grid.x(), grid.y(), metric);
        let tile = [plan.tiling.tile_columns, plan.tiling.tile_rows];
        let evaluate = |order: Option<usize>| {
            let sink = MapsInMemory::new(1, 1, 200, 300, stations.len());
            let fields = Fields {
                plan: &plan,
                ids: &[FieldId { time: 0, variable: 0 }],
                surface: &surface,
                evaluator,
                sink: &sink,
                beside: &Beside::default(),
                doubt: None,
                back: None,
                progress: Progress { on_event: &|_| (), cancel: &Cancel::default() },
                done: &AtomicU64::new(0),
            };
            let account = order.map(|order| {
                let far = Far::new(
                    &surface,
                    evaluator,
                    &rows,
                    tile,
                    Scheme { order, rho: 3.0, leaf: 64 },
                );
                let mut certificate = crate::certificate::Certificate::default();
                fields.fast(&far, &judge, Vec::new()).unwrap().enter(&mut certificate);
                certificate
            });
            if order.is_none() {
                fields.exactly().unwrap();
            }
            let maps = sink.into_maps();
            (maps.map(FieldId { time: 0, variable: 0 }).to_vec(), account)
        };
        let (exact, _) = evaluate(None);
        let (poor, account) = evaluate(Some(2));
        let account = account.unwrap();
        assert_eq!((account.tiles, account.tiles_redone), (6, 6));
        assert!(poor.iter().zip(&exact).all(|(a, b)| a.to_bits() == b.to_bits()));
        let (good, account) = evaluate(Some(16));
        let account = account.unwrap();
        assert_eq!((account.tiles, account.tiles_redone), (6, 0));
        assert!(account.largest_difference > 0.0 && account.largest_difference < 1e-6);
        assert!(good.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 40.0 * 1e-6));
    }
}
