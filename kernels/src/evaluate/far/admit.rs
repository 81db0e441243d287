//! May a station be seen from a box of cells through its nodes only?
//!
//! A polynomial through Chebyshev nodes converges like ρ⁻ᵖ, where ρ belongs to the largest
//! Bernstein ellipse round the interval that holds no singularity (Trefethen, Approximation Theory
//! and Approximation Practice, 2013, theorem 8.2). So a station is admitted when, along both axes
//! and from every place of the box, the nearest complex singularity of φ is at least ρ* away.

use super::axis::Interval;
use crate::metric::{EARTH_RADIUS_KM, on_sphere};
use crate::{Kernel, Metric};

/// How a station appears to a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum View {
    /// So far away that its φ is 0, or rounds to nothing beside φ(0).
    Nothing,
    /// Smooth: its sum on the nodes is enough. Half the sum of the axes of an ellipse without singularity, in
    /// halves of the box: (ρ + 1/ρ)/2 with ρ* at least.
    Smooth(f64),
    /// To be looked at from nearer, and from the cells at last.
    Rough,
}

/// What of the surface decides on views.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    metric: Metric,
    /// The half sum of the axes of the ellipse of ρ*: (ρ* + 1/ρ*)/2.
    ellipse: f64,
    /// Distance from the real axis of the singularity at the station: 1/ε for kernels that are
    /// smooth there, else 0. In the unit of distances.
    shape: f64,
    /// The widest half of a box on which a Gaussian may be seen, in the unit of distances.
    widest: f64,
    /// Beyond this distance φ is nothing.
    horizon: f64,
}

/// More than the Earth's curvature takes of a small box: the test below holds without it, too.
const AT_A_GLANCE: f64 = 1.05;

/// The same, for stations farther away.
const CURVED: f64 = 1.2;

/// φ(r)/φ(0) is below 1e-17 from here on, for each kernel that decays exponentially.
fn horizon(kernel: Kernel) -> f64 {
    match kernel {
        Kernel::Gaussian => 6.3,
        Kernel::Exponential => 39.2,
        Kernel::Matern32 => 25.0,
        Kernel::Matern52 => 21.0,
        Kernel::WendlandC2 | Kernel::WendlandC4 => 1.0,
        _ => f64::INFINITY,
    }
}

impl Admission {
    pub(super) fn new(kernel: Kernel, epsilon: f64, metric: Metric, rho: f64) -> Self {
        let smooth = matches!(
            kernel,
            Kernel::Multiquadric
                | Kernel::InverseMultiquadric
                | Kernel::InverseQuadratic
                | Kernel::Gaussian
        );
        let widest = match kernel {
            // On the ellipse of ρ* it has grown to e at most.
            Kernel::Gaussian => 2.0 / (rho - 1.0 / rho) / epsilon,
            // Analytic inside its support only, with a boundary that any box may cross.
            Kernel::WendlandC2 | Kernel::WendlandC4 => 0.0,
            _ => f64::INFINITY,
        };
        Self {
            metric,
            ellipse: f64::midpoint(rho, 1.0 / rho),
            shape: if smooth { 1.0 / epsilon } else { 0.0 },
            widest,
            horizon: horizon(kernel) / epsilon,
        }
    }
}

/// A station in the coordinates of the grid: as given, or radians.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    x: f64,
    y: f64,
    sine: f64,
    cosine: f64,
    embedded: [f64; 3],
}

impl Place {
    /// From the coordinates of [`Metric::embed`], not scaled.
    pub(super) fn new(embedded: [f64; 3], metric: Metric) -> Self {
        let [x, y, z] = embedded;
        if !metric.is_spherical() {
            return Self { x, y, sine: 0.0, cosine: 1.0, embedded };
        }
        let across = x.hypot(y);
        let (sine, cosine) = (z / EARTH_RADIUS_KM, across / EARTH_RADIUS_KM);
        Self { x: y.atan2(x), y: z.atan2(across), sine, cosine, embedded }
    }

    /// In the unit of the grid's axes.
    pub(super) fn degrees(&self, metric: Metric) -> (f64, f64) {
        if metric.is_spherical() {
            (self.x.to_degrees(), self.y.to_degrees())
        } else {
            (self.x, self.y)
        }
    }

    fn antipode(&self) -> Self {
        let turned = self.x + std::f64::consts::PI;
        Self { x: turned, y: -self.y, sine: -self.sine, ..*self }
    }
}

/// A box of cells in the coordinates of the grid: as given, or radians.
#[derive(Clone, Debug)]
pub(super) struct Area {
    x: f64,
    y: f64,
    half_x: f64,
    half_y: f64,
    middle: [f64; 3],
    /// Distance of the farthest cell from the middle, and a little more.
    radius: f64,
    /// Longest half of the box, in the unit of distances.
    longest: f64,
    /// Largest cosine of a latitude in it.
    cosine: f64,
    /// Whether it is little bent: on a plane always, on the sphere some degrees and not at a pole.
    small: bool,
}

impl Area {
    pub(super) fn new(x: &Interval, y: &Interval, metric: Metric) -> Self {
        Self::of((x.middle, x.half), (y.middle, y.half), metric)
    }

    /// From middle and half along both axes, in degrees or the planar unit.
    pub(super) fn of((x, half_x): (f64, f64), (y, half_y): (f64, f64), metric: Metric) -> Self {
        if !metric.is_spherical() {
            return Self {
                x,
                y,
                half_x,
                half_y,
                middle: [x, y, 0.0],
                radius: half_x.hypot(half_y),
                longest: half_x.max(half_y),
                cosine: 1.0,
                small: true,
            };
        }
        let (half_x, half_y) = (half_x.to_radians(), half_y.to_radians());
        let lat = y.to_radians();
        let nearest_equator = (lat.abs() - half_y).max(0.0);
        let small = half_x < 0.1 && half_y < 0.1 && lat.abs() + half_y < 1.2;
        let cosine = nearest_equator.cos();
        // An arc is never shorter than its chord.
        let radius = EARTH_RADIUS_KM * (half_y + half_x * cosine);
        Self {
            x: x.to_radians(),
            y: lat,
            half_x,
            half_y,
            middle: on_sphere(x, y),
            radius,
            longest: EARTH_RADIUS_KM * half_y.max(half_x * cosine),
            cosine,
            small,
        }
    }
}

impl Area {
    /// Whether it is much smaller than another.
    pub(super) fn is_dwarfed_by(&self, other: &Self) -> bool {
        4.0 * self.longest <= other.longest
    }

    /// Of the station from the middle, through the Earth.
    pub(super) fn squared_distance(&self, station: &Place) -> f64 {
        (0..3).map(|k| (station.embedded[k] - self.middle[k]).powi(2)).sum()
    }

    /// The longest half, in the unit of distances.
    pub(super) fn longest(&self) -> f64 {
        self.longest
    }

    /// The ellipse of [`View::Smooth`] for anything at a distance, as far as that shows at a glance: nearest are
    /// singularities straight above or below the middle, along the one axis, and the box's half less away than
    /// the station, along the other. 1 where it does not show.
    pub(super) fn free_ellipse(&self, distance: f64) -> f64 {
        if !self.small {
            return 1.0;
        }
        let away = (distance / (CURVED * self.longest) - 1.0).clamp(0.0, 5.0);
        (1.0 + away * away).sqrt()
    }

    /// Distance of the middles.
    pub(super) fn distance(&self, other: &Self) -> f64 {
        let squared: f64 = (0..3).map(|k| (self.middle[k] - other.middle[k]).powi(2)).sum();
        squared.sqrt()
    }

    /// Distance of the farthest cell from the middle.
    pub(super) fn radius(&self) -> f64 {
        self.radius
    }
}

impl Admission {
    /// Whether stations may be so far away that they are left out.
    pub(super) fn leaves_out(&self) -> bool {
        self.horizon.is_finite()
    }

    pub(super) fn view(&self, station: &Place, area: &Area) -> View {
        if self.horizon.is_finite() {
            let squared = area.squared_distance(station);
            let nearest = squared.sqrt() - area.radius;
            if nearest > 0.0 && self.metric.distance(nearest * nearest) >= self.horizon {
                return View::Nothing;
            }
        }
        if area.longest > self.widest {
            return View::Rough;
        }
        if self.is_far(station, area) {
            return View::Smooth(area.free_ellipse(area.squared_distance(station).sqrt()));
        }
        self.closely(station, area).map_or(View::Rough, View::Smooth)
    }

    /// The ellipse of [`View::Smooth`], if it is as large as ρ* asks for.
    fn closely(&self, station: &Place, area: &Area) -> Option<f64> {
        let shape = self.shape / EARTH_RADIUS_KM;
        match self.metric {
            Metric::Planar => self.planar(station, area),
            Metric::Chordal => self.spherical(station, area, 1.0 + shape * shape / 2.0),
            // r = R arccos u: singular where u = cosh(shape), and at the antipode, u = −1.
            Metric::GreatCircle => {
                let near = self.spherical(station, area, shape.cosh())?;
                Some(near.min(self.spherical(&station.antipode(), area, 1.0)?))
            }
        }
    }

    /// How all stations of a cluster appear. Smooth only where that shows at a glance.
    pub(super) fn view_cluster(&self, cluster: &Area, area: &Area) -> View {
        let apart = cluster.distance(area);
        let gap = apart - cluster.radius - area.radius;
        if gap > 0.0 && self.metric.distance(gap * gap) >= self.horizon {
            return View::Nothing;
        }
        if self.sees(area, cluster, apart) {
            View::Smooth(area.free_ellipse(apart - cluster.radius))
        } else {
            View::Rough
        }
    }

    /// Whether a cluster may be replaced by points for all cells of the area: the same test with
    /// the parts exchanged, as φ knows no difference.
    pub(super) fn replaces(&self, cluster: &Area, area: &Area) -> bool {
        self.sees(cluster, area, cluster.distance(area))
    }

    /// Whether φ of any place in `other` is smooth on `area`, at a glance.
    fn sees(&self, area: &Area, other: &Area, apart: f64) -> bool {
        let enough = AT_A_GLANCE * (1.0 + self.ellipse) * area.longest;
        let below =
            if self.metric == Metric::GreatCircle { EARTH_RADIUS_KM } else { f64::INFINITY };
        area.small
            && area.longest <= self.widest
            && apart - other.radius >= enough
            && apart + other.radius < below
    }

    /// Whether the station is so far from a small box that it need not be looked at closely: on a
    /// plane, 1 + (ρ* + 1/ρ*)/2 halves of the box from its middle are enough, since the sum of the
    /// distances from two foci is at least twice that from their middle; the Earth's curvature takes
    /// less than the rest (tested below). Spares four in five of the logarithms and arc tangents.
    fn is_far(&self, station: &Place, area: &Area) -> bool {
        if !area.small {
            return false;
        }
        let squared = area.squared_distance(station);
        let enough = AT_A_GLANCE * (1.0 + self.ellipse) * area.longest;
        // Less than a quarter of the way to the antipode, where great circles are singular, too.
        let below =
            if self.metric == Metric::GreatCircle { EARTH_RADIUS_KM } else { f64::INFINITY };
        squared >= enough * enough && squared < below * below
    }

    /// r² + shape² = 0 at x − xᵢ = ± i √(shape² + (y − yᵢ)²), and likewise in y.
    fn planar(&self, station: &Place, area: &Area) -> Option<f64> {
        let (dx, dy) = ((station.x - area.x).abs(), (station.y - area.y).abs());
        let (gap_x, gap_y) = ((dx - area.half_x).max(0.0), (dy - area.half_y).max(0.0));
        let across = self.outside(dx, self.shape.hypot(gap_y), area.half_x)?;
        Some(across.min(self.outside(dy, self.shape.hypot(gap_x), area.half_y)?))
    }

    /// The cosine of the angle between cell and station is `top` (1 or more) at the singularity.
    fn spherical(&self, station: &Place, area: &Area, top: f64) -> Option<f64> {
        let turn = (station.x - area.x).rem_euclid(std::f64::consts::TAU);
        let dx = turn.min(std::f64::consts::TAU - turn);
        let dy = (station.y - area.y).abs();
        let gap_y = (dy - area.half_y).max(0.0);
        // Along a parallel: cos Δλ = 1 + (1 − cos Δφ + top − 1)/(cos φ cos φ'), least at the
        // parallel nearest to the station and no less than with the largest cosine.
        let excess = (1.0 - gap_y.cos()) + (top - 1.0);
        let excess = excess / (area.cosine * station.cosine).max(f64::MIN_POSITIVE);
        let mut free = self.outside(dx, acosh_one_plus(excess), area.half_x)?;
        // Along a meridian Δλ away: cos(φ − δ) = top/R. It is nearest on the meridian nearest to
        // the station, unless the great circle's bulge brings δ nearer farther away.
        let nearest = (dx - area.half_x).max(0.0);
        let farthest = (dx + area.half_x).min(std::f64::consts::PI);
        for part in [0.0, 0.5, 1.0] {
            let cosine = (nearest + part * (farthest - nearest)).cos();
            let (north, across) = (station.sine, station.cosine * cosine);
            let radius = north.hypot(across).max(f64::MIN_POSITIVE);
            let middle = north.atan2(across);
            let above = acosh_one_plus((top - radius) / radius);
            free = free.min(self.outside((middle - area.y).abs(), above, area.half_y)?);
        }
        Some(free)
    }

    /// The ellipse through a singularity `along ± i·across` from the middle of an interval, if that lies
    /// outside the ellipse of ρ*, whose half axes are `(ρ* ± 1/ρ*)/2` halves of the interval.
    fn outside(&self, along: f64, across: f64, half: f64) -> Option<f64> {
        let long = self.ellipse * self.ellipse;
        let is_outside = along * along / long + across * across / (long - 1.0) >= half * half;
        let root = |x: f64| (x * x + across * across).sqrt();
        is_outside
            .then(|| ((root(along - half) + root(along + half)) / (2.0 * half)).max(self.ellipse))
    }
}

/// acosh(1 + x) without the loss of digits for small x; 0 for the rounding errors below 0.
fn acosh_one_plus(x: f64) -> f64 {
    let x = x.max(0.0);
    (x + (x * (x + 2.0)).sqrt()).ln_1p()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::evaluate::far::axis::AxisTree;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// What is taken for smooth at a glance is smooth when looked at closely.
        #[test]
        fn a_glance_admits_nothing_that_a_close_look_refuses(
            lon in -180.0..180.0_f64,
            lat in -70.0..70.0_f64,
            width in 0.01..11.0_f64,
            height in 0.01..11.0_f64,
            bearing in 0.0_f64..std::f64::consts::TAU,
            distance in 0.0..8.0_f64,
            rho in prop::sample::select(vec![2.0, 3.0, 5.0_f64]),
            metric in prop::sample::select(Metric::ALL.to_vec()),
        ) {
            let axis = |middle: f64, width: f64| -> [f64; 2] { [middle - width / 2.0, middle + width / 2.0] };
            let (x, y) = (axis(lon, width), axis(lat, height));
            let [x, y] = [&x, &y].map(|axis| AxisTree::new(axis, 2, 2, 4));
            let area = Area::new(x.at(0), y.at(0), metric);
            let halves = width.max(height) / 2.0;
            let (east, north) = (bearing.cos() * distance * halves, bearing.sin() * distance * halves);
            let stretch = if metric.is_spherical() { lat.to_radians().cos() } else { 1.0 };
            let embedded = metric.embed(&[lon + east / stretch], &[(lat + north).clamp(-90.0, 90.0)]);
            let station = Place::new(embedded.at(0), metric);
            let admission = Admission::new(Kernel::Linear, 1.0, metric, rho);
            if admission.is_far(&station, &area) {
                let glance = area.free_ellipse(area.squared_distance(&station).sqrt());
                let closely = admission.closely(&station, &area);
                prop_assert!(closely.is_some_and(|free| free >= glance), "{closely:?} {glance}");
            }
        }
    }
}
