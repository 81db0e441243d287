//! The one function that makes a map: solves batch by batch, evaluates tile by tile.

use std::sync::atomic::{AtomicU64, Ordering};

use isopleth_kernels as kernels;
use kernels::evaluate::{Axis, Targets as Row};
use kernels::metric::EARTH_RADIUS_KM;
use kernels::{Evaluator, Factor, Fit, Mat, Par, Surface};
use rayon::prelude::*;

use crate::error::Error;
use crate::grid::Targets;
use crate::output::{FieldId, Sink, StationValues, Tile};
use crate::plan::Plan;
use crate::progress::{Event, Progress, Stage};
use crate::recorder::Recorder;
use crate::report::Report;

/// Makes every field of the plan and hands it to the sink.
///
/// Blocks; computes on `plan.threads` threads of its own. The same plan gives the same bits whatever
/// the number of threads.
///
/// # Errors
/// When the network makes no surface, no field at all can be mapped, the sink fails, or the
/// progress says stop.
pub fn run(plan: &Plan, sink: &dyn Sink, progress: Progress<'_>) -> Result<Report, Error> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(plan.threads)
        .thread_name(|k| format!("isopleth-{k}"))
        .build()
        .map_err(|e| Error::Threads { threads: plan.threads, message: e.to_string() })?;
    pool.install(|| {
        let mut recorder = Recorder::new();
        progress.begin(Stage::Factorise)?;
        let par = Par::rayon(plan.threads);
        let factor = recorder.time(Stage::Factorise, || {
            Factor::new(plan.network.points(), &plan.method, par)
        })?;
        let evaluator = Evaluator::new();
        let run = Run { plan, sink, progress, factor, evaluator, par, done: AtomicU64::new(0) };
        run.batches(&mut recorder)?;
        recorder.into_report(plan, &run.factor, evaluator.name())
    })
}

struct Run<'a> {
    plan: &'a Plan,
    sink: &'a dyn Sink,
    progress: Progress<'a>,
    factor: Factor,
    evaluator: Evaluator,
    par: Par,
    done: AtomicU64,
}

/// The fields of some time steps: identities, readings (stations × fields).
struct Batch {
    fields: Vec<FieldId>,
    readings: Mat<f64>,
}

impl Run<'_> {
    fn batches(&self, recorder: &mut Recorder) -> Result<(), Error> {
        let steps = self.plan.observations.times().len();
        for first in (0..steps).step_by(self.plan.steps_at_once) {
            let batch = recorder.time(Stage::Read, || {
                self.read(first..(first + self.plan.steps_at_once).min(steps))
            })?;
            self.progress.begin(Stage::Solve)?;
            let fit = recorder.time(Stage::Solve, || {
                self.factor.fit(batch.readings.as_ref(), self.par).map_err(Error::from)
            })?;
            recorder.add_fields(self.plan, &batch.fields, batch.readings.as_ref(), &fit);
            self.progress.begin(Stage::Evaluate)?;
            recorder.time(Stage::Evaluate, || {
                self.tell_stations(&batch, &fit)?;
                self.tiles(&batch, &fit)?;
                self.sink.batch_done()
            })?;
        }
        Ok(())
    }

    fn read(&self, steps: std::ops::Range<usize>) -> Result<Batch, Error> {
        let observations = &self.plan.observations;
        let (n, variables) = (self.plan.network.stations().len(), observations.variables().len());
        let mut readings = Mat::zeros(n, steps.len() * variables);
        let mut fields = Vec::with_capacity(steps.len() * variables);
        let (mut received, mut merged) = (Vec::new(), Vec::new());
        for time in steps {
            observations.step(time, &mut received)?;
            self.plan.network.values(&received, variables, &mut merged);
            for variable in 0..variables {
                let column = readings.col_as_slice_mut(fields.len());
                column.copy_from_slice(&merged[variable * n..][..n]);
                fields.push(FieldId { time, variable });
            }
        }
        Ok(Batch { fields, readings })
    }

    fn tell_stations(&self, batch: &Batch, fit: &Fit) -> Result<(), Error> {
        let columns = |matrix: &Mat<f64>| -> Vec<f64> {
            (0..matrix.ncols()).flat_map(|f| matrix.col_as_slice(f).iter().copied()).collect()
        };
        self.sink.stations(StationValues {
            fields: &batch.fields,
            values: &columns(&batch.readings),
            residuals: &columns(&fit.leave_one_out),
        })
    }

    fn tiles(&self, batch: &Batch, fit: &Fit) -> Result<(), Error> {
        let plan = self.plan;
        let surface =
            Surface::new(plan.network.points(), &plan.method, self.factor.drift(), &fit.weights);
        let rows = Rows::new(&plan.targets, plan.method.metric.is_spherical());
        let total = plan.targets.cells() * plan.estimate.fields;
        (0..plan.tiling.count()).into_par_iter().try_for_each_init(Buffers::default, |buffers, k| {
            let (tile_rows, columns) = plan.tiling.tile(k);
            let (fields, width) = (batch.fields.len(), columns.len());
            let height = tile_rows.len();
            buffers.tile.resize(fields * height * width, 0.0);
            buffers.row.resize(fields * width, 0.0);
            for (r, row) in tile_rows.clone().enumerate() {
                self.progress.cancel.check()?;
                rows.with(row, columns.clone(), &mut buffers.axes, |targets| {
                    self.evaluator.evaluate(&surface, targets, &mut buffers.row);
                });
                for f in 0..fields {
                    buffers.tile[(f * height + r) * width..][..width]
                        .copy_from_slice(&buffers.row[f * width..][..width]);
                }
            }
            self.sink.tile(Tile {
                fields: &batch.fields,
                rows: &tile_rows,
                columns: &columns,
                values: &buffers.tile,
            })?;
            let values = (fields * height * width) as u64;
            let done = self.done.fetch_add(values, Ordering::Relaxed) + values;
            (self.progress.on_event)(Event::Values { done, total });
            Ok(())
        })
    }
}

/// What a worker keeps from tile to tile.
#[derive(Default)]
struct Buffers {
    tile: Vec<f64>,
    row: Vec<f64>,
    axes: [Vec<f64>; 3],
}

/// The targets row by row, in the coordinates of the metric.
struct Rows<'a> {
    targets: &'a Targets,
    /// Cosine and sine of the longitudes of a grid on the sphere.
    turn: Option<(Vec<f64>, Vec<f64>)>,
    spherical: bool,
}

impl<'a> Rows<'a> {
    fn new(targets: &'a Targets, spherical: bool) -> Self {
        let turn = match targets {
            Targets::Grid(grid) if spherical => {
                let radians = grid.x().iter().map(|lon| lon.to_radians());
                Some((radians.clone().map(f64::cos).collect(), radians.map(f64::sin).collect()))
            }
            _ => None,
        };
        Self { targets, turn, spherical }
    }

    /// Calls `then` with the cells of one row.
    fn with(
        &self,
        row: usize,
        columns: std::ops::Range<usize>,
        axes: &mut [Vec<f64>; 3],
        then: impl FnOnce(Row<'_>),
    ) {
        let len = columns.len();
        match (self.targets, &self.turn) {
            (Targets::Grid(grid), Some((cos_lon, sin_lon))) => {
                let (sin_lat, cos_lat) = grid.y()[row].to_radians().sin_cos();
                let radius = EARTH_RADIUS_KM * cos_lat;
                axes[0].clear();
                axes[0].extend(cos_lon[columns.clone()].iter().map(|c| radius * c));
                axes[1].clear();
                axes[1].extend(sin_lon[columns].iter().map(|s| radius * s));
                let z = Axis::Same(EARTH_RADIUS_KM * sin_lat);
                then(Row { axes: &[Axis::Each(&axes[0]), Axis::Each(&axes[1]), z], len });
            }
            (Targets::Grid(grid), None) => {
                let (x, y) = (Axis::Each(&grid.x()[columns]), Axis::Same(grid.y()[row]));
                then(Row { axes: &[x, y], len });
            }
            (Targets::Points(places), _) if self.spherical => {
                for axis in axes.iter_mut() {
                    axis.clear();
                }
                for (&lon, &lat) in places.x[columns.clone()].iter().zip(&places.y[columns]) {
                    let place = kernels::metric::on_sphere(lon, lat);
                    for (axis, value) in axes.iter_mut().zip(place) {
                        axis.push(value);
                    }
                }
                let [x, y, z] = &*axes;
                then(Row { axes: &[Axis::Each(x), Axis::Each(y), Axis::Each(z)], len });
            }
            (Targets::Points(places), _) => {
                let (x, y) = (&places.x[columns.clone()], &places.y[columns]);
                then(Row { axes: &[Axis::Each(x), Axis::Each(y)], len });
            }
        }
    }
}
