//! One factorisation serves every field.
//!
//! The weights that satisfy `Pᵀw = 0` are `w = Z y`, with `Z` spanning the null space of
//! `Pᵀ` (`nullspace.rs`); `Zᵀ(Φ + λI)Z y = Zᵀd` is half the size of an LU of the whole system, and positive
//! definite where the theory of the kernel says so. Where it is not (a degree below the kernel's
//! least, SciPy's `Rbf`, arcs on the sphere, rounding) the same matrix goes to Bunch–Kaufman.

use std::fmt;

use faer::{Mat, MatMut, MatRef, Par};

use crate::drift::Drift;
use crate::error::Error;
use crate::nullspace::{Nullspace, Side};
use crate::symmetric::{Symmetric, one_norm};
use crate::warning::{self, Warning};
use crate::weights::{Fit, Weights};
use crate::{Points, Resolved, missing, system};

/// A factorised network: sees no values.
#[derive(Clone)]
pub struct Factor {
    stations: Points,
    method: Resolved,
    drift: Drift,
    space: Nullspace,
    /// `Zᵀ(Φ + λI)Z`, factorised, and beside it `Zᵀ(Φ + λI)Q₁`, which gives the drift; above the
    /// diagonal the leading block of the inverse (`inverse.rs`).
    core: Symmetric,
    condition: f64,
}

impl Factor {
    /// Factorises and inverts: about `n³/2` multiplications, then none of that order for any field.
    ///
    /// # Errors
    /// What is wrong with the network, told before any arithmetic: no stations, a coordinate that
    /// is not finite, two stations at one place, too few stations for the drift or in a position
    /// that does not determine it. Or with the numbers: a kernel that overflows, a matrix that is
    /// singular to working precision.
    pub fn new(stations: &Points, method: &Resolved, par: Par) -> Result<Self, Error> {
        system::check(stations, method)?;
        let drift = Drift::new(method.degree, stations, method.metric);
        Self::with_drift(stations, method, drift, par)
    }

    /// The same, of stations already checked, with a drift in the frame of another network.
    pub(crate) fn with_drift(
        stations: &Points,
        method: &Resolved,
        drift: Drift,
        par: Par,
    ) -> Result<Self, Error> {
        let (n, degree) = (stations.len(), method.degree);
        let needed = drift.terms() + method.covariates.len();
        if n < needed {
            return Err(Error::TooFewStations { stations: n, needed, degree });
        }
        let space = Nullspace::new(system::drift_part(stations, &drift, method), drift.tolerance())
            .map_err(|rank| Error::DriftUndetermined { stations: n, degree, rank, needed })?;
        let mut norm = 0.0;
        let mut project = || {
            let mut matrix = system::radial_part(stations, method, par);
            norm = one_norm(matrix.as_ref());
            space.conjugate(Side::Transposed, matrix.as_mut().subcols_mut(0, n), par);
            matrix
        };
        let turn = |inverse: MatMut<'_, f64>| space.conjugate(Side::Plain, inverse, par);
        let core = Symmetric::with_inverse(project(), needed, project, turn, par)?;
        // At least 1 where nothing is left to solve: as many stations as drift terms.
        let condition = (norm * core.norms()[1]).max(1.0) * space.condition();
        let (stations, method) = (stations.clone(), method.clone());
        Ok(Self { stations, method, drift, space, core, condition })
    }

    /// The factor of the others when some stations (ascending) have no reading, and who they are. The
    /// drift keeps the frame of the whole network, so that its coefficients mean the same.
    ///
    /// # Errors
    /// Where the others make no surface: see [`new`](Self::new).
    pub fn without(&self, missing: &[usize], par: Par) -> Result<(Vec<usize>, Self), Error> {
        let present: Vec<usize> =
            (0..self.stations.len()).filter(|i| missing.binary_search(i).is_err()).collect();
        let method = self.method.select(&present);
        let stations = self.stations.select(&present);
        let smaller = Self::with_drift(&stations, &method, self.drift.clone(), par)?;
        Ok((present, smaller))
    }

    pub(crate) fn from_parts(
        stations: Points,
        method: Resolved,
        drift: Drift,
        space: Nullspace,
        core: Symmetric,
        condition: f64,
    ) -> Self {
        Self { stations, method, drift, space, core, condition }
    }

    /// The stations.
    #[must_use]
    pub fn stations(&self) -> &Points {
        &self.stations
    }

    /// What was asked for.
    #[must_use]
    pub fn method(&self) -> &Resolved {
        &self.method
    }

    /// The drift.
    #[must_use]
    pub fn drift(&self) -> &Drift {
        &self.drift
    }

    /// Columns of the drift: its polynomials, and behind them the covariates of the method.
    #[must_use]
    pub fn terms(&self) -> usize {
        self.space.terms()
    }

    /// How much larger than the rounding of a number the error of the weights may be: about
    /// `log₁₀` of it digits are lost.
    ///
    /// `‖Φ + λI‖₁ ‖(Zᵀ(Φ + λI)Z)⁻¹‖₁`, times the condition of the drift's own terms (which is near 1
    /// but for degree 2 on a small piece of the sphere). The first norm is that of the matrix before
    /// projection, since its entries are what is rounded; without a drift this is the condition
    /// number. Unlike that of the whole system it does not depend on the unit of distance.
    #[must_use]
    pub fn condition(&self) -> f64 {
        self.condition
    }

    /// How it was factorised, for reports.
    #[must_use]
    pub fn decomposition(&self) -> &'static str {
        match (self.core.is_cholesky(), self.space.terms() > 0) {
            (true, true) => "null-space Cholesky",
            (true, false) => "Cholesky",
            (false, true) => "null-space Bunch-Kaufman",
            (false, false) => "Bunch-Kaufman",
        }
    }

    /// What a user should know about this method on this network.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        warning::of(&self.method, self.condition())
    }

    /// Bytes that [`new`](Self::new) and [`fit`](Self::fit) hold at most, for planning: two
    /// matrices of stations × stations, one of which goes once the inverse is made, and a few of
    /// stations × fields.
    #[must_use]
    pub fn memory_bytes(stations: usize, fields: usize) -> u64 {
        let (n, f) = (stations as u64, fields as u64);
        let row = n.saturating_mul(2).saturating_add(f.saturating_mul(6)).saturating_add(768);
        row.saturating_mul(n).saturating_mul(8)
    }

    /// Weights of complete fields, stations × fields, all solved together.
    ///
    /// Where the drift has a constant, fields are solved about the middle of their readings: equal
    /// readings give weights of 0 and that constant, exactly.
    ///
    /// # Errors
    /// As many rows as there are no stations; a reading that is not finite.
    pub fn solve(&self, values: MatRef<'_, f64>, par: Par) -> Result<Weights, Error> {
        self.check_rows(values)?;
        for field in 0..values.ncols() {
            for station in 0..values.nrows() {
                let value = values[(station, field)];
                if !value.is_finite() {
                    return Err(Error::BadReading { station, field, value });
                }
            }
        }
        let (mut weights, middles) = missing::solve_filled(self, values, par);
        weights.raise(&middles);
        Ok(weights)
    }

    /// Weights and leave-one-out residuals; NaN is a missing reading.
    ///
    /// A field that cannot be made does not fail the others: see [`Fit::failed`].
    ///
    /// # Errors
    /// As many rows as there are no stations.
    pub fn fit(&self, values: MatRef<'_, f64>, par: Par) -> Result<Fit, Error> {
        self.check_rows(values)?;
        Ok(missing::fit(self, values, &[], par))
    }

    /// The same, and residuals with all stations of each group left out together
    /// ([`Fit::left_out_together`]). A station is in one group at most.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    ///
    /// # Panics
    /// If a group names a station that there is not: a bug of the caller.
    pub fn fit_leaving_out(
        &self,
        values: MatRef<'_, f64>,
        groups: &[Vec<usize>],
        par: Par,
    ) -> Result<Fit, Error> {
        self.check_rows(values)?;
        Ok(missing::fit(self, values, groups, par))
    }

    fn check_rows(&self, values: MatRef<'_, f64>) -> Result<(), Error> {
        if values.nrows() == self.stations.len() {
            return Ok(());
        }
        Err(Error::ReadingsLength { got: values.nrows(), stations: self.stations.len() })
    }

    pub(crate) fn space(&self) -> &Nullspace {
        &self.space
    }

    pub(crate) fn core(&self) -> &Symmetric {
        &self.core
    }

    /// Solves for right-hand sides as they are.
    pub(crate) fn unknowns(&self, mut rhs: Mat<f64>, par: Par) -> Weights {
        let (q, m, fields) = (self.space.terms(), self.core.size(), rhs.ncols());
        self.space.apply(Side::Transposed, rhs.as_mut(), par);
        self.core.solve(rhs.as_mut().submatrix_mut(q, 0, m, fields), par);
        // R Πᵀc = Q₁ᵀd − Q₁ᵀ(Φ + λI)Z y
        let mut top = rhs.submatrix(0, 0, q, fields).to_owned();
        faer::linalg::matmul::matmul(
            top.as_mut(),
            faer::Accum::Add,
            self.core.beside().transpose(),
            rhs.submatrix(q, 0, m, fields),
            -1.0,
            par,
        );
        let drift = self.space.coefficients(top, par);
        rhs.as_mut().submatrix_mut(0, 0, q, fields).fill(0.0);
        self.space.apply(Side::Plain, rhs.as_mut(), par);
        Weights { stations: rhs, drift }
    }

    /// The drift's columns in the inverse of the whole system, stations × terms: the unknowns `c`
    /// are its transpose times the readings.
    pub(crate) fn drift_of_inverse(&self, par: Par) -> Mat<f64> {
        let (n, q, m) = (self.stations.len(), self.space.terms(), self.core.size());
        let mut columns = Mat::<f64>::zeros(n, q);
        columns.as_mut().submatrix_mut(0, 0, q, q).diagonal_mut().fill(1.0);
        let mut tail = columns.as_mut().submatrix_mut(q, 0, m, q);
        tail.copy_from(self.core.beside());
        self.core.solve(tail.as_mut(), par);
        tail *= faer::Scale(-1.0);
        self.space.apply(Side::Plain, columns.as_mut(), par);
        self.space.coefficients(columns.transpose().to_owned(), par).transpose().to_owned()
    }
}

impl fmt::Debug for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Factor")
            .field("stations", &self.stations.len())
            .field("kernel", &self.method.kernel)
            .field("drift", &self.drift.degree())
            .field("decomposition", &self.decomposition())
            .field("condition", &self.condition())
            .finish_non_exhaustive()
    }
}
