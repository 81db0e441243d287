//! Which cells of a map are wanted: on land, within polygons, where another file says so, near a
//! station. All must hold; other cells hold the fill value, and tiles wholly outside are never
//! evaluated.
//!
//! A mask is never held as a whole: whether a tile is inside, outside or mixed is found out once,
//! before the first cell, and a mixed tile is marked again, row by row, when it leaves.

mod geojson;
mod near;

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::grid::Targets;
use crate::gridded::{Gridded, GriddedError};
use crate::kernels::Metric;
use crate::land;
use crate::network::Network;
use crate::polygons::Polygons;
use crate::tiles::Tiling;
use near::Near;

/// Bytes of a GeoJSON document at most.
const LONGEST_DOCUMENT: u64 = 256 << 20;

/// Why a mask cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum MaskError {
    #[error(
        "mask `{given}` is none; give `land`, a file whose name ends in .geojson or .json, or \
         FILE.nc:variable"
    )]
    Unknown { given: String },
    #[error("mask {name}: cannot be read: {message}")]
    File { name: String, message: String },
    #[error("mask {name}: is longer than the limit of {limit} bytes; simplify its polygons")]
    TooLong { name: String, limit: u64 },
    #[error("mask {name}: is not GeoJSON: {message}")]
    NotGeoJson { name: String, message: String },
    #[error(
        "mask {name}: holds no Polygon or MultiPolygon ({others} points and lines); an area is \
         needed"
    )]
    NoPolygon { name: String, others: usize },
    #[error("mask {name}: polygon {polygon}, ring {ring} {problem}")]
    Ring { name: String, polygon: usize, ring: usize, problem: &'static str },
    #[error("mask {0}")]
    Gridded(#[from] GriddedError),
    #[error("a mask of land needs longitudes and latitudes; these coordinates are of a plane")]
    LandInAPlane,
    #[error("a mask distance of {value} is none; it must be a finite number above 0")]
    Distance { value: f64 },
    #[error(
        "no cell of the map is inside the mask ({by}); the map reaches {map} (west,south,east,\
         north): is it of another area?"
    )]
    NothingInside { by: String, map: String },
}

impl MaskError {
    /// Whether a file failed, not what is in it.
    #[must_use]
    pub fn is_io(&self) -> bool {
        matches!(self, Self::File { .. })
    }
}

/// The masks asked for; all must hold.
#[derive(Clone, Debug, Default)]
pub struct Masks {
    /// Areas to be within.
    pub areas: Vec<Area>,
    /// Largest distance from a station: km along the Earth, or the unit of the plane.
    pub distance: Option<f64>,
}

/// An area and what it is called.
#[derive(Clone, Debug)]
pub struct Area {
    name: String,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    Land,
    Polygons(Arc<Polygons>),
    Gridded(Arc<Gridded>),
}

impl Area {
    /// The land of the Earth: see [`crate::land`].
    #[must_use]
    pub fn land() -> Self {
        Self { name: "land".to_owned(), shape: Shape::Land }
    }

    /// `land`, a GeoJSON file, or `FILE.nc:variable`.
    ///
    /// # Errors
    /// [`MaskError`], if it is none of these or cannot be read.
    pub fn read(given: &str, spherical: bool) -> Result<Self, MaskError> {
        let lower = given.to_lowercase();
        if lower == "land" {
            return if spherical { Ok(Self::land()) } else { Err(MaskError::LandInAPlane) };
        }
        if lower.ends_with(".geojson") || lower.ends_with(".json") {
            return Self::from_geojson(given, &document(given)?, spherical);
        }
        match given.rsplit_once(':') {
            Some((path, variable)) if !path.is_empty() && !variable.is_empty() => {
                let failed = |e: std::io::Error| MaskError::File {
                    name: path.to_owned(),
                    message: e.to_string(),
                };
                std::fs::metadata(path).map_err(failed)?;
                let gridded = Gridded::read(Path::new(path), variable, spherical)?;
                Ok(Self { name: given.to_owned(), shape: Shape::Gridded(Arc::new(gridded)) })
            }
            _ => Err(MaskError::Unknown { given: given.to_owned() }),
        }
    }

    /// The polygons of a GeoJSON document.
    ///
    /// # Errors
    /// [`MaskError`], if it is none or holds no polygon.
    pub fn from_geojson(name: &str, text: &[u8], spherical: bool) -> Result<Self, MaskError> {
        let polygons = Arc::new(geojson::parse(name, text, spherical)?);
        Ok(Self { name: name.to_owned(), shape: Shape::Polygons(polygons) })
    }

    fn mark(&self, row: &Row<'_>, inside: &mut [bool]) {
        match (&self.shape, row) {
            (Shape::Land, row) => mark_polygons(land::polygons(), row, inside),
            (Shape::Polygons(polygons), row) => mark_polygons(polygons, row, inside),
            (Shape::Gridded(gridded), Row::Line { x, y }) => {
                let Some(row) = gridded.row(*y) else { return };
                for (inside, &x) in inside.iter_mut().zip(*x) {
                    let column = gridded.column(x);
                    *inside = column.is_some_and(|column| is_inside(gridded.value(row, column)));
                }
            }
            (Shape::Gridded(gridded), Row::Each { x, y }) => {
                for (inside, (&x, &y)) in inside.iter_mut().zip(x.iter().zip(*y)) {
                    *inside = gridded.nearest(x, y).is_some_and(is_inside);
                }
            }
        }
    }
}

/// Neither zero nor missing.
fn is_inside(value: f32) -> bool {
    value != 0.0 && !value.is_nan()
}

fn mark_polygons(polygons: &Polygons, row: &Row<'_>, inside: &mut [bool]) {
    match row {
        Row::Line { x, y } => polygons.mark_row(x, *y, inside),
        Row::Each { x, y } => {
            for (inside, (&x, &y)) in inside.iter_mut().zip(x.iter().zip(*y)) {
                *inside = polygons.contains(x, y);
            }
        }
    }
}

/// The bytes of a document, within the limit.
fn document(given: &str) -> Result<Vec<u8>, MaskError> {
    let failed = |e: std::io::Error| MaskError::File { name: given.into(), message: e.to_string() };
    let file = std::fs::File::open(PathBuf::from(given)).map_err(failed)?;
    let mut text = Vec::new();
    file.take(LONGEST_DOCUMENT + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > LONGEST_DOCUMENT {
        return Err(MaskError::TooLong { name: given.to_owned(), limit: LONGEST_DOCUMENT });
    }
    Ok(text)
}

/// Some cells of a row: at one y, with ascending x, or each at its own.
enum Row<'a> {
    Line { x: &'a [f64], y: f64 },
    Each { x: &'a [f64], y: &'a [f64] },
}

/// What a mask keeps from the map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MaskReport {
    /// Cells of a field that hold the fill value because of it.
    pub outside: u64,
    /// Cells that each part alone leaves out.
    pub by: Vec<MaskPart>,
}

/// One part of a mask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MaskPart {
    /// `land`, the name of a file, or `within 150 km of a station`.
    pub mask: String,
    /// Cells that it leaves out.
    pub outside: u64,
}

impl MaskReport {
    /// The parts in words.
    #[must_use]
    pub fn text(&self) -> String {
        self.by.iter().map(|part| part.mask.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// A mask of certain targets.
#[derive(Debug)]
pub(crate) struct Mask {
    areas: Vec<Area>,
    near: Option<Near>,
    states: Vec<State>,
    tiling: Tiling,
    report: MaskReport,
}

/// What a tile is to a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Inside,
    Outside,
    Mixed,
}

impl Mask {
    /// Looks at every tile once; none if no mask is asked for.
    ///
    /// # Errors
    /// [`MaskError`], if nothing is inside, or the mask makes no sense here.
    pub(crate) fn new(
        masks: &Masks,
        network: &Network,
        targets: &Targets,
        metric: Metric,
        tiling: Tiling,
        threads: usize,
    ) -> Result<Option<Self>, MaskError> {
        let nothing = masks.areas.is_empty() && masks.distance.is_none();
        // A cross-validation has no cells.
        if nothing || targets.cells() == 0 {
            return Ok(None);
        }
        if let Some(value) = masks.distance.filter(|d| !(d.is_finite() && *d > 0.0)) {
            return Err(MaskError::Distance { value });
        }
        let unit = if metric.is_spherical() { " km" } else { "" };
        let names = masks.areas.iter().map(|area| area.name.clone());
        let names = names.chain(masks.distance.map(|d| format!("within {d}{unit} of a station")));
        let by = names.map(|mask| MaskPart { mask, outside: 0 }).collect();
        let mut mask = Self {
            areas: masks.areas.clone(),
            near: masks.distance.map(|d| Near::new(network.stations(), d, metric)),
            states: vec![State::Mixed; tiling.count()],
            tiling,
            report: MaskReport { outside: 0, by },
        };
        mask.survey(targets, threads);
        if mask.report.outside == targets.cells() {
            let map = targets.bounds().map(|bound| bound.to_string()).join(",");
            return Err(MaskError::NothingInside { by: mask.report.text(), map });
        }
        Ok(Some(mask))
    }

    /// How many cells it leaves out, and by what.
    pub(crate) fn report(&self) -> &MaskReport {
        &self.report
    }

    /// Whether all of some whole tiles are outside.
    pub(crate) fn is_outside(&self, rows: &Range<usize>, columns: &Range<usize>) -> bool {
        let (height, width) = (self.tiling.tile_rows, self.tiling.tile_columns);
        let across = self.tiling.columns.div_ceil(width);
        (rows.start / height..rows.end.div_ceil(height)).all(|row| {
            let tiles =
                row * across + columns.start / width..row * across + columns.end.div_ceil(width);
            self.states[tiles].iter().all(|&state| state == State::Outside)
        })
    }

    /// Makes the values of a tile, `[field][row][column]`, NaN outside.
    pub(crate) fn cut(
        &self,
        targets: &Targets,
        rows: &Range<usize>,
        columns: &Range<usize>,
        values: &mut [f64],
    ) {
        let across = self.tiling.columns.div_ceil(self.tiling.tile_columns);
        let tile =
            rows.start / self.tiling.tile_rows * across + columns.start / self.tiling.tile_columns;
        match self.states[tile] {
            State::Inside => (),
            State::Outside => values.fill(f64::NAN),
            State::Mixed => {
                let inside = self.mark(targets, rows, columns, &mut vec![0; self.report.by.len()]);
                let outside = inside.iter().cycle().zip(values).filter(|(inside, _)| !**inside);
                outside.for_each(|(_, value)| *value = f64::NAN);
            }
        }
    }

    /// Finds out what every tile is, and counts.
    fn survey(&mut self, targets: &Targets, threads: usize) {
        let next = AtomicUsize::new(0);
        let found = Mutex::new((vec![State::Mixed; self.states.len()], self.report.clone()));
        let work = || {
            loop {
                let tile = next.fetch_add(1, Ordering::Relaxed);
                if tile >= self.states.len() {
                    return;
                }
                let (rows, columns) = self.tiling.tile(tile);
                let mut outside = vec![0; self.report.by.len()];
                let inside = self.mark(targets, &rows, &columns, &mut outside);
                let count = inside.iter().filter(|&&inside| inside).count();
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.0[tile] = match count {
                    0 => State::Outside,
                    all if all == inside.len() => State::Inside,
                    _ => State::Mixed,
                };
                found.1.outside += (inside.len() - count) as u64;
                found.1.by.iter_mut().zip(outside).for_each(|(part, n)| part.outside += n);
            }
        };
        std::thread::scope(|scope| {
            let spawned = threads.min(self.states.len());
            (1..spawned).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        (self.states, self.report) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    }

    /// Which cells of a tile are inside, row by row; adds how many each part leaves out.
    fn mark(
        &self,
        targets: &Targets,
        rows: &Range<usize>,
        columns: &Range<usize>,
        outside: &mut [u64],
    ) -> Vec<bool> {
        let mut inside = vec![true; rows.len() * columns.len()];
        let mut part = vec![false; columns.len()];
        for (row, inside) in rows.clone().zip(inside.chunks_exact_mut(columns.len().max(1))) {
            let degrees = match targets {
                Targets::Grid(grid) => grid.degrees(row, columns.clone()),
                Targets::Points(_) => None,
            };
            let row = match (targets, &degrees) {
                (_, Some([x, y])) => Row::Each { x, y },
                (Targets::Grid(grid), None) => {
                    Row::Line { x: &grid.x()[columns.clone()], y: grid.y()[row] }
                }
                (Targets::Points(places), None) => {
                    Row::Each { x: &places.x[columns.clone()], y: &places.y[columns.clone()] }
                }
            };
            for (k, count) in outside.iter_mut().enumerate() {
                part.fill(false);
                match (self.areas.get(k), &self.near, &row) {
                    (Some(area), _, row) => area.mark(row, &mut part),
                    (None, Some(near), Row::Line { x, y }) => near.mark_row(x, *y, &mut part),
                    (None, Some(near), Row::Each { x, y }) => near.mark_each(x, y, &mut part),
                    (None, None, _) => {}
                }
                *count += part.iter().filter(|&&inside| !inside).count() as u64;
                inside.iter_mut().zip(&part).for_each(|(all, part)| *all &= part);
            }
        }
        inside
    }
}
