//! What theory promises of the error of a station's sum on the nodes of a box.
//!
//! With p nodes, interpolation of f is off by at most 4Mρ^(1−p)/(ρ − 1) along one axis, where M is the largest
//! |f| inside the Bernstein ellipse of ρ (Trefethen 2013, theorem 8.2), and along the other likewise, times
//! the Lebesgue constant. Any ellipse without singularity will do. A station is rarely as near as ρ* would let
//! it: here its own distance chooses ρ, and M is that of its own φ.

use std::f64::consts::FRAC_PI_4;

use super::admit::{Area, Place};
use crate::evaluate::Surface;
use crate::metric::EARTH_RADIUS_KM;
use crate::{Kernel, Metric};

/// Ellipses beyond so many times ρ* change nothing that matters.
const FARTHEST: f64 = 3.0;

/// Of each station that was left out because its φ is nothing beside φ(0).
pub(super) const LEFT_OUT: f64 = 1e-17;

/// The terms that do not depend on station and box.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    kernel: Kernel,
    metric: Metric,
    epsilon: f64,
    order: i32,
    rho: f64,
    /// The largest ρ used.
    farthest: f64,
    /// 4 (1 + Lebesgue constant).
    factor: f64,
    /// The same times ρ^(1−p)/(ρ − 1) of the largest ρ, which most stations have.
    least: f64,
    /// The same of the nodes that stand for a cluster: the error of both sides.
    pub(super) both_sides: f64,
}

impl Promise {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_wrap,
        clippy::cast_possible_truncation,
        reason = "orders are below a hundred"
    )]
    pub(super) fn new(surface: &Surface, order: usize, rho: f64) -> Self {
        let lebesgue = 1.0 + std::f64::consts::FRAC_2_PI * (order as f64).ln();
        let (order, farthest, factor) = (order as i32, FARTHEST * rho, 4.0 * (1.0 + lebesgue));
        Self {
            kernel: surface.kernel,
            metric: surface.metric,
            epsilon: surface.epsilon,
            order,
            rho,
            farthest,
            factor,
            least: factor * farthest.powi(1 - order) / (farthest - 1.0),
            both_sides: 1.0 + lebesgue * lebesgue,
        }
    }

    /// For a weight of 1 of a station that a box admits, with the ellipse of its view.
    pub(super) fn of(&self, station: &Place, area: &Area, free: f64) -> f64 {
        self.at(area.squared_distance(station).sqrt(), area, free)
    }

    /// The same for anything no farther (through the Earth) from the middle of the box.
    pub(super) fn at(&self, distance: f64, area: &Area, free: f64) -> f64 {
        let half = area.longest();
        if half == 0.0 {
            return 0.0;
        }
        let singular = (free + (free * free - 1.0).sqrt()).max(self.rho);
        let rho = self.within(singular, half);
        let largest = self.largest(distance, area, rho, singular);
        if rho >= self.farthest {
            return self.least * largest;
        }
        self.factor * largest * rho.powi(1 - self.order) / (rho - 1.0)
    }

    /// The ellipse to use, of those without the singularity.
    fn within(&self, singular: f64, half: f64) -> f64 {
        let order = f64::from(self.order);
        let rho = match self.kernel {
            // Entire: exp((ε·imaginary part)²) ρ⁻ᵖ is least where the exponent is p/2.
            Kernel::Gaussian => {
                let minor = (order / 2.0).sqrt() / (self.epsilon * half);
                minor + (minor * minor + 1.0).sqrt()
            }
            // Infinite at the singularity: a little within.
            Kernel::InverseMultiquadric | Kernel::InverseQuadratic => {
                (singular * (1.0 - 1.0 / order)).max(1.0 + 0.5 / order)
            }
            _ => singular,
        };
        rho.min(self.farthest)
    }

    /// No |φ| is larger, with one coordinate inside the ellipse and the other in the box.
    fn largest(&self, distance: f64, area: &Area, rho: f64, singular: f64) -> f64 {
        let half = area.longest();
        let [major, minor] = [f64::midpoint(rho, 1.0 / rho), (rho - 1.0 / rho) / 2.0];
        let farthest = || self.epsilon * self.stretched(distance + (1.0 + major) * half);
        match self.kernel {
            Kernel::Linear => farthest(),
            // In another unit the kernel differs by a multiple of r², which is interpolated without error
            // (on the sphere nearly). Of the
            // logarithm's imaginary part, too; r² ln r is below 0.19 in size where r < 1.
            Kernel::ThinPlateSpline => {
                let (r, unit) = (farthest(), self.epsilon * half);
                r * r * ((r / unit).ln().max(0.0) + std::f64::consts::FRAC_PI_2) + 0.2 * unit * unit
            }
            Kernel::Cubic => farthest().powi(3),
            Kernel::Quintic => farthest().powi(5),
            Kernel::Multiquadric => 1.0 + farthest(),
            Kernel::InverseMultiquadric => self.near_infinity(singular, major, half).sqrt(),
            Kernel::InverseQuadratic => self.near_infinity(singular, major, half),
            Kernel::Gaussian => (self.epsilon * self.stretched(minor * half)).powi(2).exp(),
            // Right of the imaginary axis exp(−r) is at most 1.
            Kernel::Exponential => 1.0,
            Kernel::Matern32 => 1.0 + 3.0_f64.sqrt() * farthest(),
            Kernel::Matern52 => {
                let s = 5.0_f64.sqrt() * farthest();
                1.0 + s + s * s / 3.0
            }
            // Never on nodes.
            Kernel::WendlandC2 | Kernel::WendlandC4 => 1.0,
        }
    }

    /// 1/|1 + ε²r²|: r² + 1/ε² is a product of the distances from two singularities, of which one is at least
    /// as far as the ellipse used is from that of the singularity, and the other no less and 1/ε at least.
    fn near_infinity(&self, singular: f64, major: f64, half: f64) -> f64 {
        let apart = half * (f64::midpoint(singular, 1.0 / singular) - major);
        1.0 / (self.epsilon * apart * (self.epsilon * apart).max(1.0))
    }

    /// A length that is larger for complex places on the sphere: |sin z| ≤ sinh |z|.
    fn stretched(&self, length: f64) -> f64 {
        if !self.metric.is_spherical() {
            return length;
        }
        // An arc is at most π/2 times its chord.
        let x = FRAC_PI_4 * length / EARTH_RADIUS_KM;
        // Above the series of sinh; beyond 3 not.
        let sinh = if x < 3.0 { x * (1.0 + x * x / 6.0 * (1.0 + x * x / 16.0)) } else { x.sinh() };
        2.0 * EARTH_RADIUS_KM * sinh
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_short_way_to_sinh_is_never_below_it() {
        for k in 1..3000 {
            let x = f64::from(k) / 1000.0;
            assert!(x * (1.0 + x * x / 6.0 * (1.0 + x * x / 16.0)) >= x.sinh(), "{x}");
        }
    }
}
