//! The mathematics of Isopleth: surfaces through values at scattered stations.
//!
//! ```text
//! s(x) = Σᵢ wᵢ φ(|x − xᵢ|) + Σₖ cₖ pₖ(x)
//!
//! ⎡ Φ + λI   P ⎤ ⎡ w ⎤   ⎡ d ⎤
//! ⎣  Pᵀ      0 ⎦ ⎣ c ⎦ = ⎣ 0 ⎦      Φᵢⱼ = φ(|xᵢ − xⱼ|), Pᵢₖ = pₖ(xᵢ)
//! ```
//!
//! `n` stations `xᵢ`, `F` fields (columns of values `d` on the same stations), radial function φ,
//! drift polynomials `p`, smoothing λ. One [`Factor`] serves every field; a [`Surface`] is
//! evaluated for all fields in one pass.
//!
//! This crate knows slices and matrices. Files, threads it did not get as an argument, time and
//! HTTP are the business of others.

pub mod drift;
pub mod error;
pub mod evaluate;
pub mod factor;
mod inverse;
mod keep;
pub mod method;
pub mod metric;
mod missing;
mod nullspace;
mod numbers;
pub mod points;
pub mod radial;
pub mod stretch;
mod symmetric;
mod system;
mod together;
pub mod variance;
mod warning;
pub mod weights;

pub use error::Error;
pub use evaluate::{Evaluator, Surface};
pub use factor::Factor;
pub use faer::{Mat, MatRef, Par};
pub use method::{Convention, Method, Resolved, Smoothing};
pub use metric::Metric;
pub use numbers::Shared;
pub use points::Points;
pub use radial::Kernel;
pub use stretch::{Anisotropy, Stretch};
pub use variance::Variance;
pub use warning::Warning;
pub use weights::{Fit, Weights};
