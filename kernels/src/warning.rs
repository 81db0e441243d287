//! What works, but not as one may think.

use std::fmt;

use crate::{Convention, Kernel, Metric, Resolved};

/// Above this condition number fewer than four digits of the weights can be trusted.
const ILL_CONDITIONED: f64 = 1e12;

/// Something that a user should know about a surface that was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warning {
    /// A drift of this degree does not make the kernel's system solvable for every network.
    DegreeBelowLeast {
        /// The kernel.
        kernel: Kernel,
        /// The degree asked for.
        degree: i8,
        /// The degree needed.
        least: i8,
    },
    /// Distances along the surface: a kernel valid in space need not be valid there.
    GreatCircle,
    /// SciPy's `Rbf` subtracts smoothing where this kernel needs it added.
    BackwardsSmoothing {
        /// The kernel.
        kernel: Kernel,
    },
    /// Rounding is visible in the surface.
    IllConditioned {
        /// The condition estimate.
        condition: f64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DegreeBelowLeast { kernel, degree, least } => write!(
                f,
                "kernel {kernel} is sure to work with a drift of degree {least} or more; \
                 {degree} was asked for, and smoothing may act oddly"
            ),
            Self::GreatCircle => f.write_str(
                "great-circle distances: kernels valid in space need not be valid on the sphere; \
                 the chordal metric is safe",
            ),
            Self::BackwardsSmoothing { kernel } => write!(
                f,
                "SciPy's Rbf subtracts smoothing from the diagonal, which sharpens instead of \
                 smoothing with kernel {kernel}; done as asked"
            ),
            Self::IllConditioned { condition } => write!(
                f,
                "condition number about {condition:.0e}: rounding is visible in the surface; a \
                 little smoothing, or a larger epsilon, cures it"
            ),
        }
    }
}

impl Resolved {
    /// What is known before anything is factorised.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        of_method(self)
    }
}

/// All that hold once the network is factorised.
pub(crate) fn of(method: &Resolved, condition: f64) -> Vec<Warning> {
    let mut all = of_method(method);
    if condition.is_nan() || condition >= ILL_CONDITIONED {
        all.push(Warning::IllConditioned { condition });
    }
    all
}

fn of_method(method: &Resolved) -> Vec<Warning> {
    let (kernel, degree, least) = (method.kernel, method.degree, method.kernel.least_degree());
    let mut all = Vec::new();
    if degree < least && method.convention == Convention::Native {
        all.push(Warning::DegreeBelowLeast { kernel, degree, least });
    }
    if method.metric == Metric::GreatCircle {
        all.push(Warning::GreatCircle);
    }
    if method.diagonal.iter().any(|lambda| *lambda < 0.0) {
        all.push(Warning::BackwardsSmoothing { kernel });
    }
    all
}
