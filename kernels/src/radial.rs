//! The radial functions φ(r): names, least drift degrees and the scalar definition.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A radial basis function. `r` is already multiplied by the shape ε.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// −r
    #[default]
    Linear,
    /// r² ln r
    ThinPlateSpline,
    /// r³
    Cubic,
    /// −r⁵
    Quintic,
    /// −√(1 + r²) (Hardy 1971, doi:10.1029/JB076i008p01905)
    Multiquadric,
    /// 1/√(1 + r²)
    InverseMultiquadric,
    /// 1/(1 + r²)
    InverseQuadratic,
    /// exp(−r²)
    Gaussian,
    /// exp(−r): Matérn 1/2
    Exponential,
    /// (1 + √3 r) exp(−√3 r)
    Matern32,
    /// (1 + √5 r + 5r²/3) exp(−√5 r)
    Matern52,
    /// (1 − r)⁴ (4r + 1) for r < 1, else 0 (Wendland 1995, doi:10.1007/BF02123482)
    WendlandC2,
    /// (1 − r)⁶ (35r² + 18r + 3)/3 for r < 1, else 0
    WendlandC4,
}

impl Kernel {
    /// All kernels, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::Linear,
        Self::ThinPlateSpline,
        Self::Cubic,
        Self::Quintic,
        Self::Multiquadric,
        Self::InverseMultiquadric,
        Self::InverseQuadratic,
        Self::Gaussian,
        Self::Exponential,
        Self::Matern32,
        Self::Matern52,
        Self::WendlandC2,
        Self::WendlandC4,
    ];

    /// The name used on the command line, over HTTP and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::ThinPlateSpline => "thin_plate_spline",
            Self::Cubic => "cubic",
            Self::Quintic => "quintic",
            Self::Multiquadric => "multiquadric",
            Self::InverseMultiquadric => "inverse_multiquadric",
            Self::InverseQuadratic => "inverse_quadratic",
            Self::Gaussian => "gaussian",
            Self::Exponential => "exponential",
            Self::Matern32 => "matern32",
            Self::Matern52 => "matern52",
            Self::WendlandC2 => "wendland_c2",
            Self::WendlandC4 => "wendland_c4",
        }
    }

    /// The formula, for people.
    #[must_use]
    pub fn formula(self) -> &'static str {
        match self {
            Self::Linear => "-r",
            Self::ThinPlateSpline => "r^2 ln r",
            Self::Cubic => "r^3",
            Self::Quintic => "-r^5",
            Self::Multiquadric => "-sqrt(1 + r^2)",
            Self::InverseMultiquadric => "1/sqrt(1 + r^2)",
            Self::InverseQuadratic => "1/(1 + r^2)",
            Self::Gaussian => "exp(-r^2)",
            Self::Exponential => "exp(-r)",
            Self::Matern32 => "(1 + sqrt(3) r) exp(-sqrt(3) r)",
            Self::Matern52 => "(1 + sqrt(5) r + 5 r^2/3) exp(-sqrt(5) r)",
            Self::WendlandC2 => "(1 - r)^4 (4r + 1), r < 1",
            Self::WendlandC4 => "(1 - r)^6 (35 r^2 + 18 r + 3)/3, r < 1",
        }
    }

    /// The least degree of the drift with which the system is sure to be solvable; −1 where none
    /// is needed.
    #[must_use]
    pub fn least_degree(self) -> i8 {
        match self {
            Self::Linear | Self::Multiquadric => 0,
            Self::ThinPlateSpline | Self::Cubic => 1,
            Self::Quintic => 2,
            _ => -1,
        }
    }

    /// Whether the map is the same for every ε (drift of the least degree), so that none need be given.
    #[must_use]
    pub fn is_scale_free(self) -> bool {
        matches!(self, Self::Linear | Self::ThinPlateSpline | Self::Cubic | Self::Quintic)
    }

    /// φ(r) from r²: the definition that every faster variant is held to.
    #[must_use]
    pub fn phi_of_squared(self, squared: f64) -> f64 {
        match self {
            Self::Linear => -squared.sqrt(),
            Self::ThinPlateSpline if squared == 0.0 => 0.0,
            Self::ThinPlateSpline => 0.5 * squared * squared.ln(),
            Self::Cubic => squared * squared.sqrt(),
            Self::Quintic => -squared * squared * squared.sqrt(),
            Self::Multiquadric => -(1.0 + squared).sqrt(),
            Self::InverseMultiquadric => 1.0 / (1.0 + squared).sqrt(),
            Self::InverseQuadratic => 1.0 / (1.0 + squared),
            Self::Gaussian => (-squared).exp(),
            Self::Exponential => (-squared.sqrt()).exp(),
            Self::Matern32 => {
                let s = (3.0 * squared).sqrt();
                (1.0 + s) * (-s).exp()
            }
            Self::Matern52 => {
                let s = (5.0 * squared).sqrt();
                (1.0 + s + s * s / 3.0) * (-s).exp()
            }
            Self::WendlandC2 => {
                let r = squared.sqrt();
                let t = (1.0 - r).max(0.0);
                t.powi(4) * (4.0 * r + 1.0)
            }
            Self::WendlandC4 => {
                let r = squared.sqrt();
                let t = (1.0 - r).max(0.0);
                t.powi(6) * ((35.0 * r + 18.0) * r + 3.0) / 3.0
            }
        }
    }

    /// φ(r).
    #[must_use]
    pub fn phi(self, r: f64) -> f64 {
        self.phi_of_squared(r * r)
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kernel {
    type Err = Error;

    /// Accepts the names above, with `-` for `_`, and those of SciPy's older `Rbf`.
    fn from_str(name: &str) -> Result<Self, Error> {
        let wanted = match name {
            "inverse" => "inverse_multiquadric".to_owned(),
            "thin_plate" => "thin_plate_spline".to_owned(),
            other => other.replace('-', "_"),
        };
        Self::ALL.into_iter().find(|k| k.name() == wanted).ok_or_else(|| Error::UnknownName {
            what: "kernel",
            got: name.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}
