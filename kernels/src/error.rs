//! What can be wrong with a network or a method. Each text says what was got, what is needed and
//! what to do.

use crate::{Kernel, Metric};

/// Why no surface can be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum Error {
    #[error("unknown {what} `{got}`; known are: {known}")]
    UnknownName { what: &'static str, got: String, known: String },
    #[error("epsilon is {value}; it must be a finite number above 0")]
    BadEpsilon { value: f64 },
    #[error(
        "kernel {kernel} needs a shape epsilon (it multiplies the distance); the stations are \
         about {spacing:.3} apart, so try epsilon = {:.3e}", 1.0 / spacing
    )]
    EpsilonNeeded { kernel: Kernel, spacing: f64 },
    #[error("smoothing of station number {station} is {value}; it must be finite and not negative")]
    BadSmoothing { station: usize, value: f64 },
    #[error("{got} smoothing values for {stations} stations; give one, or one per station")]
    SmoothingLength { got: usize, stations: usize },
    #[error("a covariate has {got} values for {stations} stations; give one per station")]
    CovariateLength { got: usize, stations: usize },
    #[error(
        "anisotropy {got} is not RATIO:ANGLE, such as 2:30: a ratio of ranges from 1 to 100, and the \
         direction of the longer one in degrees from east (x) towards north (y)"
    )]
    BadAnisotropy { got: String },
    #[error(
        "anisotropy needs distances in a plane or through the Earth, and two coordinates; leave it \
         out with metric great_circle and with compat scipy-rbf"
    )]
    NoAnisotropy,
    #[error("a covariate is {value} at station number {station}; it must be finite")]
    BadCovariate { station: usize, value: f64 },
    #[error("drift degree {degree} is not -1, 0, 1 or 2")]
    BadDegree { degree: i8 },
    #[error("SciPy's Rbf has no {what}; leave compat out, or choose another")]
    NotInScipyRbf { what: String },
    #[error("no stations")]
    NoStations,
    #[error(
        "network has {stations} distinct station(s); a drift of degree {degree} needs at least \
         {needed}; add stations or choose a lower degree"
    )]
    TooFewStations { stations: usize, needed: usize, degree: i8 },
    #[error(
        "the {stations} stations do not determine a drift of degree {degree} (rank {rank} of \
         {needed}): they lie on a line or curve, or a covariate follows from the rest; add stations \
         off it, leave it out, or choose a lower degree"
    )]
    DriftUndetermined { stations: usize, degree: i8, rank: usize, needed: usize },
    #[error("stations number {first} and {second} are at the same place; merge them first")]
    SamePlace { first: usize, second: usize },
    #[error("coordinate of station number {station} is not finite")]
    NotFinite { station: usize },
    #[error(
        "the system is singular to working precision (pivot {pivot:.1e} of {largest:.1e}); add \
         smoothing or choose another kernel or epsilon"
    )]
    Singular { pivot: f64, largest: f64 },
    #[error(
        "the kernel overflows at the distances of this network; choose a smaller epsilon, or a \
         larger unit of distance"
    )]
    Overflow,
    #[error("{got} readings a field for {stations} stations; give one row per station")]
    ReadingsLength { got: usize, stations: usize },
    #[error(
        "reading of station number {station} in field {field} is {value}; it must be finite, or \
         missing where gaps are allowed"
    )]
    BadReading { station: usize, field: usize, value: f64 },
    #[error("field {field} has no reading at any station")]
    AllMissing { field: usize },
    #[error(
        "kernel {kernel} with a drift of degree {degree} and {metric} distance is no covariance on \
         this network, so that nothing can be said of the surface's uncertainty; choose degree \
         {least} or more and chordal or planar distance, without compat"
    )]
    NoCovariance { kernel: Kernel, degree: i8, least: i8, metric: Metric },
}
