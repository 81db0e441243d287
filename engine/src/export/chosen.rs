//! Which part of a file is wanted, and what that is in variables, times, rows and columns.

use super::error::ExportError;
use super::source::{Axis, MapVariable, Source, Space};
use super::{Form, Summary};
use crate::observations::{Clock, Selection as Times, UnixSeconds};

/// Places along each side of bounds that are looked up in a plane.
const MESH: u32 = 64;

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// Names of maps or layers; all maps without their layers if there is none.
    pub variables: Vec<String>,
    /// Instants, days or `from/to` stretches, or `first` and `last`; all if there is none.
    pub times: Vec<String>,
    /// West, south, east, north in degrees (the plane's unit where it has no crs): cells whose
    /// centres lie within.
    pub bounds: Option<[f64; 4]>,
    /// Every so manieth row and column.
    pub stride: usize,
}

impl Default for Selection {
    fn default() -> Self {
        Self { variables: Vec::new(), times: Vec::new(), bounds: None, stride: 1 }
    }
}

/// What is asked for, found in a file.
#[derive(Clone, Debug)]
pub struct Chosen<'a> {
    /// Maps and layers.
    pub variables: Vec<&'a MapVariable>,
    /// Times by their number in the file; the number 0 for a map without time.
    pub times: Vec<usize>,
    /// Rows and columns.
    pub window: Window,
}

/// Rows and columns of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows, in the order of the file.
    pub rows: Span,
    /// Columns.
    pub columns: Span,
}

/// Every so manieth number from one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub first: usize,
    /// From one to the next.
    pub step: usize,
    /// How many; at least one.
    pub count: usize,
}

impl Span {
    /// The k-th of them.
    #[must_use]
    pub fn at(self, k: usize) -> usize {
        self.first + k * self.step
    }

    /// Numbers from the first to the last, with those between.
    pub(super) fn reach(self) -> usize {
        (self.count - 1) * self.step + 1
    }

    pub(super) fn file_range(self) -> std::ops::Range<usize> {
        self.first..self.first + self.reach()
    }

    /// Centres and edges of the cells that these nodes stand for.
    pub(super) fn cells(self, axis: &Axis) -> Axis {
        let nodes: Vec<f64> = (0..self.count).map(|k| axis.nodes[self.at(k)]).collect();
        let edges = if self.step == 1 {
            axis.edges[self.first..=self.first + self.count].to_vec()
        } else {
            // The first and last cell are as wide as their neighbours, or as so many small ones.
            let small = axis.edges[self.first + 1] - axis.edges[self.first];
            #[expect(clippy::cast_precision_loss, reason = "below the longest axis")]
            let wide = small * self.step as f64;
            let width = |a: Option<&f64>, b: Option<&f64>| match (a, b) {
                (Some(a), Some(b)) => b - a,
                _ => wide,
            };
            let (first, last) = (nodes[0], nodes[self.count - 1]);
            let before = first - width(nodes.first(), nodes.get(1)) / 2.0;
            let end = self.count.checked_sub(2).and_then(|k| nodes.get(k));
            let after = last + width(end, nodes.last()) / 2.0;
            let between = nodes.windows(2).map(|w| f64::midpoint(w[0], w[1]));
            std::iter::once(before).chain(between).chain([after]).collect()
        };
        Axis { name: axis.name.clone(), nodes, edges }
    }
}

impl Window {
    /// How many cells it has.
    #[must_use]
    pub fn cells(&self) -> u64 {
        self.rows.count as u64 * self.columns.count as u64
    }
}

impl Selection {
    /// Finds it in a file.
    ///
    /// # Errors
    /// If a variable or time is not there, or nothing lies within the bounds.
    pub fn find<'a>(&self, source: &'a Source) -> Result<Chosen<'a>, ExportError> {
        if self.stride == 0 {
            return Err(ExportError::Stride { got: 0 });
        }
        Ok(Chosen {
            variables: self.find_variables(source)?,
            times: self.find_times(source.times())?,
            window: self.find_window(source)?,
        })
    }

    fn find_variables<'a>(&self, source: &'a Source) -> Result<Vec<&'a MapVariable>, ExportError> {
        let all = source.variables();
        if self.variables.is_empty() {
            return Ok(all.iter().filter(|v| !v.is_layer).collect());
        }
        let find = |got: &String| {
            let found = all.iter().find(|v| v.name == *got);
            // The name that the readings had is the long name.
            let found = found.or_else(|| all.iter().find(|v| v.long_name == *got));
            found.ok_or_else(|| ExportError::NoVariable { got: got.clone(), known: names(all) })
        };
        self.variables.iter().map(find).collect()
    }

    fn find_times(&self, all: &[UnixSeconds]) -> Result<Vec<usize>, ExportError> {
        if self.times.is_empty() {
            return Ok((0..all.len().max(1)).collect());
        }
        let clock = Clock::new(None)?;
        let mut wanted = vec![false; all.len()];
        for text in &self.times {
            let none = |advice: String| ExportError::NoTime { got: text.clone(), advice };
            let Some(last) = all.len().checked_sub(1) else {
                return Err(none("its maps are without time".to_owned()));
            };
            let found: Vec<usize> = match text.trim() {
                "first" => vec![0],
                "last" => vec![last],
                _ => {
                    let times = Times::new(std::slice::from_ref(text), &clock)?;
                    (0..all.len()).filter(|&k| times.takes(all[k])).collect()
                }
            };
            if found.is_empty() {
                let ends = format!("it has {} to {}", all[0], all[last]);
                let nearest = clock.instant(text).and_then(|at| {
                    all.iter().min_by_key(|time| time.0.abs_diff(at.0)).map(ToString::to_string)
                });
                let nearest = nearest.map(|time| format!("; the nearest is {time}"));
                return Err(none(ends + &nearest.unwrap_or_default()));
            }
            found.into_iter().for_each(|k| wanted[k] = true);
        }
        Ok((0..all.len()).filter(|&k| wanted[k]).collect())
    }

    pub(super) fn find_window(&self, source: &Source) -> Result<Window, ExportError> {
        let (x, y) = (source.x(), source.y());
        let Some(got) = self.bounds else {
            let all = |axis: &Axis| self.span(0..axis.nodes.len());
            return Ok(Window { rows: all(y), columns: all(x) });
        };
        let [west, south, east, north] = got;
        let sound = got.iter().all(|v| v.is_finite()) && south <= north;
        let east = match source.space() {
            // As on the command line: across the date line west is greater.
            Space::Degrees | Space::Projected(_) if east < west => east + 360.0,
            _ => east,
        };
        if !sound || east < west {
            return Err(ExportError::Bounds { got });
        }
        let [west, south, east, north] = match source.space() {
            Space::Projected(crs) => {
                around([west, south, east, north], |lon, lat| crs.to_plane(lon, lat))
            }
            _ => [west, south, east, north],
        };
        let columns = if matches!(source.space(), Space::Degrees) {
            columns_round(x, west, east, got)?
        } else {
            within(x, west, east)
        };
        let rows = within(y, south, north);
        if rows.is_empty() || columns.is_empty() {
            let ([x0, x1], [y0, y1]) = (x.ends(), y.ends());
            let crs = match source.space() {
                Space::Projected(_) => " in its plane",
                _ => "",
            };
            return Err(ExportError::Outside { got, x0, x1, y0, y1, crs });
        }
        Ok(Window { rows: self.span(rows), columns: self.span(columns) })
    }

    fn span(&self, all: std::ops::Range<usize>) -> Span {
        Span { first: all.start, step: self.stride, count: all.len().div_ceil(self.stride) }
    }
}

impl<'a> Chosen<'a> {
    /// The one variable, for a form that holds one.
    pub(super) fn one_variable(&self, form: Form) -> Result<&'a MapVariable, ExportError> {
        match self.variables[..] {
            [one] => Ok(one),
            _ => {
                let known: Vec<&str> = self.variables.iter().map(|v| v.name.as_str()).collect();
                Err(ExportError::ManyVariables { form, known: known.join(", ") })
            }
        }
    }

    /// The one time, for a form that holds one.
    pub(super) fn one_time(&self, source: &Source, form: Form) -> Result<usize, ExportError> {
        match self.times[..] {
            [one] => Ok(one),
            _ => {
                let text = |k: Option<&usize>| {
                    k.and_then(|&k| source.times().get(k)).map(ToString::to_string)
                };
                Err(ExportError::ManyTimes {
                    form,
                    count: self.times.len(),
                    first: text(self.times.first()).unwrap_or_default(),
                    last: text(self.times.last()).unwrap_or_default(),
                })
            }
        }
    }

    /// That a form which holds whole fields can hold these.
    pub(super) fn at_most(&self, form: Form, limit: u64) -> Result<(), ExportError> {
        let cells = self.window.cells();
        if cells <= limit {
            return Ok(());
        }
        let before = self.window.rows.step;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small whole number, rounded up"
        )]
        let more = (cells as f64 / limit as f64).sqrt().ceil() as usize;
        Err(ExportError::TooLarge { form, cells, limit, stride: before * more })
    }

    /// Centres and edges of the cells: columns, rows in the order of the file.
    pub(super) fn axes(&self, source: &Source) -> [Axis; 2] {
        [self.window.columns.cells(source.x()), self.window.rows.cells(source.y())]
    }

    pub(super) fn summary(&self, source: &Source, note: Option<String>) -> Summary {
        let [x, y] = self.axes(source);
        let ([west, east], [south, north]) = (x.ends(), y.ends());
        Summary {
            variables: self.variables.iter().map(|v| v.name.clone()).collect(),
            times: self.times.len(),
            shape: [self.window.columns.count, self.window.rows.count],
            bounds: [west, south, east, north],
            note,
        }
    }
}

fn names(all: &[MapVariable]) -> String {
    all.iter().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Nodes of an axis from one number to another.
fn within(axis: &Axis, low: f64, high: f64) -> std::ops::Range<usize> {
    let inside = |v: &f64| (low..=high).contains(v);
    let first = axis.nodes.iter().position(inside).unwrap_or(0);
    let last = axis.nodes.iter().rposition(inside).map_or(first, |k| k + 1);
    first..last
}

/// Columns between two longitudes, in whatever turn.
fn columns_round(
    x: &Axis,
    west: f64,
    east: f64,
    got: [f64; 4],
) -> Result<std::ops::Range<usize>, ExportError> {
    let turns = [-720.0, -360.0, 0.0, 360.0, 720.0];
    let mut found: Vec<_> = turns.map(|turn| within(x, west + turn, east + turn)).to_vec();
    found.retain(|columns| !columns.is_empty());
    found.sort_by_key(ExactSizeIterator::len);
    let Some(longest) = found.pop() else { return Ok(0..0) };
    // A map round the whole Earth may hold its first column twice.
    let others = found.iter().any(|c| c.end <= longest.start || longest.end <= c.start);
    let ends = x.ends();
    if others && east - west < 360.0 && longest.len() < x.nodes.len() {
        return Err(ExportError::AcrossEnds { got, west: ends[0], east: ends[1] });
    }
    Ok(longest)
}

/// What bounds in degrees reach in a plane, or the other way round: many of their places are looked up.
pub(super) fn around(
    [west, south, east, north]: [f64; 4],
    to_plane: impl Fn(f64, f64) -> Option<[f64; 2]>,
) -> [f64; 4] {
    let at = |low: f64, high: f64, k: u32| low + (high - low) * f64::from(k) / f64::from(MESH);
    let mut reach = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    for (i, j) in (0..=MESH).flat_map(|i| (0..=MESH).map(move |j| (i, j))) {
        let Some([x, y]) = to_plane(at(west, east, i), at(south, north, j)) else { continue };
        reach = [reach[0].min(x), reach[1].min(y), reach[2].max(x), reach[3].max(y)];
    }
    reach
}
