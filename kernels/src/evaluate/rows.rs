//! The cells of a grid, row by row, in the coordinates of a metric.

use std::ops::Range;

use super::{Axis, Targets};
use crate::Metric;
use crate::metric::EARTH_RADIUS_KM;

/// A grid whose cells lie where the values of two axes cross.
#[derive(Clone, Debug)]
pub struct GridRows<'a> {
    x: &'a [f64],
    y: &'a [f64],
    /// Cosine and sine of the longitudes, on the sphere.
    turn: Option<(Vec<f64>, Vec<f64>)>,
}

impl<'a> GridRows<'a> {
    /// From the axes: degrees east and north on the sphere, else as given.
    #[must_use]
    pub fn new(x: &'a [f64], y: &'a [f64], metric: Metric) -> Self {
        let turn = metric.is_spherical().then(|| {
            let radians = x.iter().map(|lon| lon.to_radians());
            (radians.clone().map(f64::cos).collect(), radians.map(f64::sin).collect())
        });
        Self { x, y, turn }
    }

    /// The axes.
    #[must_use]
    pub fn axes(&self) -> (&'a [f64], &'a [f64]) {
        (self.x, self.y)
    }

    /// Calls `then` with the cells of one row. `scratch` is overwritten and may be kept from row to
    /// row.
    pub fn with(
        &self,
        row: usize,
        columns: Range<usize>,
        scratch: &mut [Vec<f64>; 3],
        then: impl FnOnce(Targets<'_>),
    ) {
        let len = columns.len();
        let Some((cosine, sine)) = &self.turn else {
            let axes = [Axis::Each(&self.x[columns]), Axis::Same(self.y[row])];
            return then(Targets { axes: &axes, len });
        };
        let (north, across) = self.y[row].to_radians().sin_cos();
        let radius = EARTH_RADIUS_KM * across;
        let [x, y, _] = scratch;
        x.clear();
        x.extend(cosine[columns.clone()].iter().map(|c| radius * c));
        y.clear();
        y.extend(sine[columns].iter().map(|s| radius * s));
        let z = Axis::Same(EARTH_RADIUS_KM * north);
        then(Targets { axes: &[Axis::Each(x), Axis::Each(y), z], len });
    }
}
