//! Every choice that defines a surface, apart from the stations and their values.

use std::borrow::Cow;

use crate::error::Error;
use crate::stretch::{Anisotropy, Stretch};
use crate::{Kernel, Metric, Points};

/// Which of SciPy's two interpolators the numbers follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Convention {
    /// `scipy.interpolate.RBFInterpolator`: ε multiplies r, smoothing is added, drift.
    #[default]
    Native,
    /// `scipy.interpolate.Rbf`, bug for bug: ε divides r, smoothing is subtracted, no drift.
    ScipyRbf,
}

/// λ on the diagonal: one number, or one per station.
#[derive(Clone, Debug, PartialEq)]
pub enum Smoothing {
    /// The same for every station.
    Same(f64),
    /// One per station, in the order of the network.
    PerStation(Vec<f64>),
}

impl Default for Smoothing {
    fn default() -> Self {
        Self::Same(0.0)
    }
}

/// What a user may ask for. [`Method::resolve`] fills in what was left open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Method {
    /// The radial function.
    pub kernel: Kernel,
    /// The shape ε, in 1/unit of distance (native) or unit of distance (`ScipyRbf`).
    pub epsilon: Option<f64>,
    /// λ.
    pub smoothing: Smoothing,
    /// Degree of the drift: −1 (none) to 2. Default: the kernel's least degree, but at least 0.
    pub degree: Option<i8>,
    /// How distance is measured.
    pub metric: Metric,
    /// Which SciPy the numbers follow.
    pub convention: Convention,
    /// Two ranges and an angle; none: the same range in all directions.
    pub anisotropy: Option<Anisotropy>,
}

/// A [`Method`] with nothing left open, in one convention: that of `RBFInterpolator`.
///
/// `Rbf` needs no code of its own past this point: its kernels differ in sign only, which turns
/// the sign of λ and leaves the surface as it is; its ε is the reciprocal; it has no drift.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The radial function.
    pub kernel: Kernel,
    /// Multiplies every distance.
    pub epsilon: f64,
    /// Added to the diagonal, one per station; may be negative under `ScipyRbf`.
    pub diagonal: Vec<f64>,
    /// −1 (none) to 2.
    pub degree: i8,
    /// How distance is measured.
    pub metric: Metric,
    /// Where it came from, for reports.
    pub convention: Convention,
    /// Further columns of the drift, known at the stations, one entry per station: what else the
    /// values depend on, such as elevation. Centred, and of size 1, for the sake of the condition.
    pub covariates: Vec<Vec<f64>>,
    /// What coordinates go through before distances are measured; not the drift.
    pub stretch: Option<Stretch>,
}

impl Resolved {
    /// Places as distances see them.
    pub(crate) fn stretched<'p>(&self, points: &'p Points) -> Cow<'p, Points> {
        match &self.stretch {
            None => Cow::Borrowed(points),
            Some(stretch) => Cow::Owned(stretch.points(points)),
        }
    }

    /// The same for some of the stations.
    #[must_use]
    pub fn select(&self, which: &[usize]) -> Self {
        let some = |all: &Vec<f64>| which.iter().map(|&i| all[i]).collect();
        Self {
            diagonal: some(&self.diagonal),
            covariates: self.covariates.iter().map(some).collect(),
            ..*self
        }
    }
}

impl Method {
    /// Checks every choice and fills in the open ones for a network embedded as `stations`.
    ///
    /// # Errors
    /// A shape that is missing, zero or not finite; negative or non-finite smoothing, or as many
    /// as there are no stations; a degree outside −1…2; a combination that SciPy's `Rbf` lacks.
    pub fn resolve(&self, stations: &Points) -> Result<Resolved, Error> {
        let n = stations.len();
        let mut diagonal = match &self.smoothing {
            Smoothing::Same(one) => vec![*one; n],
            Smoothing::PerStation(each) if each.len() == n => each.clone(),
            Smoothing::PerStation(each) => {
                return Err(Error::SmoothingLength { got: each.len(), stations: n });
            }
        };
        if let Some(station) = diagonal.iter().position(|l| !(l.is_finite() && *l >= 0.0)) {
            return Err(Error::BadSmoothing { station, value: diagonal[station] });
        }
        if let Some(value) = self.epsilon.filter(|e| !(e.is_finite() && *e > 0.0)) {
            return Err(Error::BadEpsilon { value });
        }
        if let Some(degree) = self.degree.filter(|d| !(-1..=2).contains(d)) {
            return Err(Error::BadDegree { degree });
        }
        let (epsilon, degree) = match self.convention {
            Convention::Native => (self.native_epsilon(stations)?, self.native_degree()),
            Convention::ScipyRbf => {
                if self.smoothing_works_backwards() {
                    diagonal.iter_mut().for_each(|l| *l = -*l);
                }
                self.check_scipy_rbf()?;
                (self.scipy_rbf_epsilon(stations), -1)
            }
        };
        let isotropic = self.metric == Metric::GreatCircle
            || self.convention == Convention::ScipyRbf
            || stations.dims() < 2;
        if self.anisotropy.is_some() && isotropic {
            return Err(Error::NoAnisotropy);
        }
        Ok(Resolved {
            kernel: self.kernel,
            epsilon,
            diagonal,
            degree,
            metric: self.metric,
            convention: self.convention,
            covariates: Vec::new(),
            stretch: self.anisotropy.map(|of| of.stretch(stations, self.metric)),
        })
    }

    /// Whether smoothing, under SciPy's `Rbf`, sharpens instead: its minus sign is right for
    /// multiquadric, linear and quintic only.
    fn smoothing_works_backwards(&self) -> bool {
        self.convention == Convention::ScipyRbf
            && !matches!(self.kernel, Kernel::Multiquadric | Kernel::Linear | Kernel::Quintic)
    }

    fn native_degree(&self) -> i8 {
        self.degree.unwrap_or(self.kernel.least_degree().max(0))
    }

    fn native_epsilon(&self, stations: &Points) -> Result<f64, Error> {
        match self.epsilon {
            Some(epsilon) => Ok(epsilon),
            None if self.kernel.is_scale_free() => Ok(1.0),
            None => Err(Error::EpsilonNeeded {
                kernel: self.kernel,
                spacing: typical_spacing(stations),
            }),
        }
    }

    fn check_scipy_rbf(&self) -> Result<(), Error> {
        use Kernel::{
            Cubic, Gaussian, InverseMultiquadric, Linear, Multiquadric, Quintic, ThinPlateSpline,
        };
        let known =
            [Multiquadric, InverseMultiquadric, Gaussian, Linear, Cubic, Quintic, ThinPlateSpline];
        if !known.contains(&self.kernel) {
            return Err(Error::NotInScipyRbf { what: format!("kernel {}", self.kernel) });
        }
        match self.degree {
            Some(degree) if degree >= 0 => {
                Err(Error::NotInScipyRbf { what: format!("drift of degree {degree}") })
            }
            _ => Ok(()),
        }
    }

    /// `(Π edge lengths / n)^(1/dims)`, zero edges left out, unless told; then its reciprocal,
    /// since it divides. Kernels without a shape ignore it.
    fn scipy_rbf_epsilon(&self, stations: &Points) -> f64 {
        if self.kernel.is_scale_free() {
            return 1.0;
        }
        1.0 / self.epsilon.unwrap_or_else(|| default_scipy_rbf_epsilon(stations))
    }
}

fn default_scipy_rbf_epsilon(stations: &Points) -> f64 {
    let edges: Vec<f64> = (0..stations.dims())
        .map(|k| {
            let (low, high) = stations
                .axis(k)
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &x| (l.min(x), h.max(x)));
            high - low
        })
        .filter(|edge| *edge > 0.0)
        .collect();
    if edges.is_empty() {
        return 1.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "station counts are far below 2^52")]
    let n = stations.len() as f64;
    #[expect(clippy::cast_precision_loss, reason = "one to three edges")]
    let root = 1.0 / edges.len() as f64;
    (edges.iter().product::<f64>() / n).powf(root)
}

/// A distance to think of when choosing ε: the spacing of as many stations spread evenly.
fn typical_spacing(stations: &Points) -> f64 {
    default_scipy_rbf_epsilon(stations)
}
