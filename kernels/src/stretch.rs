//! Two ranges and an angle: distances that count less along one direction than across it.
//!
//! A linear map of the coordinates, before distance is measured (geometric anisotropy: Chilès & Delfiner
//! 2012, doi:10.1002/9781118136188). A kernel that is valid in a space stays so when space is
//! stretched, so it is on the sphere where distance goes through the Earth; along its surface it is not.

use std::fmt;
use std::str::FromStr;

use crate::drift;
use crate::error::Error;
use crate::{Metric, Points};

/// How much farther values resemble each other along a direction than across it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Anisotropy {
    ratio: f64,
    angle: f64,
}

/// Larger ratios leave lines, not a surface.
const MOST: f64 = 100.0;

impl Anisotropy {
    /// `ratio` of the range along to that across, 1 to 100; `angle` of the direction in degrees, from east (or x)
    /// towards north (or y).
    ///
    /// # Errors
    /// [`Error::BadAnisotropy`].
    pub fn new(ratio: f64, angle: f64) -> Result<Self, Error> {
        if !((1.0..=MOST).contains(&ratio) && angle.is_finite()) {
            return Err(Error::BadAnisotropy { got: format!("{ratio}:{angle}") });
        }
        Ok(Self { ratio, angle: angle.rem_euclid(180.0) })
    }

    /// Of the range along to that across.
    #[must_use]
    pub fn ratio(self) -> f64 {
        self.ratio
    }

    /// Of the direction, 0 to below 180 degrees.
    #[must_use]
    pub fn angle(self) -> f64 {
        self.angle
    }

    /// The map of coordinates: `1/√ratio` along, `√ratio` across, so that ε stays what it is on the
    /// whole. On the sphere the direction is that at the middle of the network, in space.
    pub(crate) fn stretch(self, stations: &Points, metric: Metric) -> Stretch {
        let (sin, cos) = self.angle.to_radians().sin_cos();
        let (along, across) = (self.ratio.sqrt().recip(), self.ratio.sqrt());
        let flat = [
            [along * cos * cos + across * sin * sin, (along - across) * sin * cos, 0.0],
            [(along - across) * sin * cos, along * sin * sin + across * cos * cos, 0.0],
            [0.0, 0.0, 1.0],
        ];
        let frame = drift::frame(stations, metric);
        // Fᵀ S F.
        let turned = |i: usize, j: usize| {
            let part = |k: usize, l: usize| frame[k][i] * flat[k][l] * frame[l][j];
            (0..3).map(|k| (0..3).map(|l| part(k, l)).sum::<f64>()).sum()
        };
        Stretch { of: self, rows: [0, 1, 2].map(|i| [0, 1, 2].map(|j| turned(i, j))) }
    }
}

impl fmt::Display for Anisotropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.ratio, self.angle)
    }
}

impl FromStr for Anisotropy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::BadAnisotropy { got: text.to_owned() };
        let (ratio, angle) = text.split_once(':').ok_or_else(bad)?;
        let number = |text: &str| text.trim().parse().map_err(|_| bad());
        Self::new(number(ratio)?, number(angle)?).map_err(|_| bad())
    }
}

/// A linear map of coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    of: Anisotropy,
    rows: [[f64; 3]; 3],
}

impl Stretch {
    /// What it was made of.
    #[must_use]
    pub fn anisotropy(&self) -> Anisotropy {
        self.of
    }

    /// Its rows.
    #[must_use]
    pub fn rows(&self) -> &[[f64; 3]; 3] {
        &self.rows
    }

    /// Where a place comes to lie.
    #[must_use]
    pub fn place(&self, [x, y, z]: [f64; 3]) -> [f64; 3] {
        self.rows.map(|row| row[0] * x + row[1] * y + row[2] * z)
    }

    /// Where places come to lie.
    #[must_use]
    pub fn points(&self, points: &Points) -> Points {
        let mut axes = vec![Vec::with_capacity(points.len()); points.dims()];
        for i in 0..points.len() {
            let place = self.place(points.at(i));
            axes.iter_mut().zip(place).for_each(|(axis, x)| axis.push(x));
        }
        Points::new(axes)
    }
}
