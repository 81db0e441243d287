//! Every instruction set of this machine computes what `evaluate::scalar` defines, at every width
//! and number of stations around the sizes of vectors and blocks, and a value does not depend on
//! what else is computed with it.
//!
//! The tolerance, per field and cell: `8 eps Σ |w| (|φ| + |r φ'|) + 8 eps Σ |c p|`. Its second term
//! is there because r itself is rounded: where φ falls steeply, as the far flank of a Gaussian, no
//! two orders of summing squares agree to 8 eps of φ.

use isopleth_kernels::drift::Drift;
use isopleth_kernels::evaluate::{Axis, Targets, scalar};
use isopleth_kernels::{Convention, metric};
use isopleth_kernels::{Evaluator, Kernel, Mat, Metric, Points, Resolved, Surface, Weights};
use proptest::prelude::*;

/// Numbers in −1…1 from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((z ^ (z >> 31)) >> 32).expect("32 bits")) / 2_147_483_648.0 - 1.0
    }

    fn many(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.next()).collect()
    }
}

/// A surface with the parts it was made of.
struct Case {
    method: Resolved,
    stations: Points,
    drift: Drift,
    weights: Weights,
    surface: Surface,
}

impl Case {
    fn new(kernel: Kernel, metric: Metric, stations: Points, weights: Mat<f64>) -> Self {
        let epsilon = if metric.is_spherical() { 1.0 / 1500.0 } else { 0.75 };
        let method = Resolved {
            kernel,
            epsilon,
            diagonal: vec![0.0; stations.len()],
            degree: 1,
            metric,
            convention: Convention::Native,
            stretch: None,
            covariates: Vec::new(),
        };
        let drift = Drift::new(1, &stations, metric);
        let mut random = Random(7);
        let drift_weights = Mat::from_fn(drift.terms(), weights.ncols(), |_, _| random.next());
        let weights = Weights { stations: weights, drift: drift_weights };
        let surface = Surface::new(&stations, &method, &drift, &weights);
        Self { method, stations, drift, weights, surface }
    }

    fn random(kernel: Kernel, space: Space, n: usize, fields: usize) -> Self {
        let mut random = Random(n as u64);
        let stations = space.points(n, &mut random);
        let weights = Mat::from_fn(n, fields, |_, _| random.next());
        Self::new(kernel, space.metric(), stations, weights)
    }

    /// φ, and |r φ'| by a small step of r.
    fn phi(&self, place: [f64; 3], i: usize) -> (f64, f64) {
        let station = self.stations.at(i);
        let squared: f64 = (0..3).map(|k| (place[k] - station[k]).powi(2)).sum();
        let at = |stretch: f64| {
            let r = self.method.metric.distance(squared * stretch * stretch);
            self.method.kernel.phi(self.method.epsilon * r)
        };
        (at(1.0), (at(1.0 + 1e-6) - at(1.0 - 1e-6)).abs() / 2e-6)
    }

    fn tolerance(&self, place: [f64; 3], f: usize) -> f64 {
        let mut terms = vec![0.0; self.drift.terms()];
        self.drift.at(place, &mut terms);
        let radial = (0..self.stations.len()).map(|i| {
            let (phi, slope) = self.phi(place, i);
            self.weights.stations[(i, f)].abs() * (phi.abs() + slope)
        });
        let drift = terms.iter().enumerate().map(|(k, p)| (self.weights.drift[(k, f)] * p).abs());
        8.0 * f64::EPSILON * (radial.sum::<f64>() + drift.sum::<f64>())
    }

    /// Compares all instruction sets with the definition.
    fn check(&self, targets: Targets<'_>) {
        let fields = self.surface.fields();
        let mut wanted = vec![0.0; fields * targets.len];
        scalar::evaluate(&self.surface, targets, &mut wanted);
        for evaluator in Evaluator::available() {
            let mut got = vec![f64::NAN; fields * targets.len];
            evaluator.evaluate(&self.surface, targets, &mut got);
            for f in 0..fields {
                for c in 0..targets.len {
                    let (got, wanted) = (got[f * targets.len + c], wanted[f * targets.len + c]);
                    let error = (got - wanted).abs();
                    let tolerance = self.tolerance(place(targets, c), f);
                    assert!(
                        error <= tolerance,
                        "{} {} {}, {} stations, field {f} of {fields}, cell {c} of {}: \
                         {got} for {wanted}, error {error:e}, tolerance {tolerance:e}",
                        evaluator.name(),
                        self.method.kernel,
                        self.method.metric,
                        self.stations.len(),
                        targets.len,
                    );
                }
            }
        }
    }
}

fn place(targets: Targets<'_>, c: usize) -> [f64; 3] {
    let mut place = [0.0; 3];
    for (k, axis) in targets.axes.iter().enumerate() {
        place[k] = match axis {
            Axis::Each(values) => values[c],
            Axis::Same(value) => *value,
        };
    }
    place
}

/// Where places are.
#[derive(Clone, Copy, Debug)]
enum Space {
    Line,
    Plane,
    Room,
    Chordal,
    Arcs,
}

impl Space {
    const ALL: [Self; 5] = [Self::Line, Self::Plane, Self::Room, Self::Chordal, Self::Arcs];

    fn metric(self) -> Metric {
        match self {
            Self::Line | Self::Plane | Self::Room => Metric::Planar,
            Self::Chordal => Metric::Chordal,
            Self::Arcs => Metric::GreatCircle,
        }
    }

    fn points(self, n: usize, random: &mut Random) -> Points {
        let dims = match self {
            Self::Line => 1,
            Self::Plane => 2,
            Self::Room => 3,
            Self::Chordal | Self::Arcs => {
                let lon: Vec<f64> = random.many(n).iter().map(|x| 100.0 + 40.0 * x).collect();
                let lat: Vec<f64> = random.many(n).iter().map(|x| 35.0 + 20.0 * x).collect();
                return self.metric().embed(&lon, &lat);
            }
        };
        Points::new((0..dims).map(|_| random.many(n)).collect())
    }

    /// Each set of axes that may be the same for all targets, as bits.
    fn shared_axes(self) -> std::ops::Range<u32> {
        match self {
            Self::Line => 0..2,
            Self::Plane => 0..4,
            _ => 0..8,
        }
    }
}

/// Targets on these points; an axis whose bit is set is the same for all.
fn axes(points: &Points, shared: u32) -> Vec<Axis<'_>> {
    (0..points.dims())
        .map(|k| match points.axis(k) {
            values if shared >> k & 1 == 1 => Axis::Same(values.first().copied().unwrap_or(0.5)),
            values => Axis::Each(values),
        })
        .collect()
}

fn run(evaluator: Evaluator, case: &Case, points: &Points) -> Vec<f64> {
    let axes = axes(points, 0);
    let mut out = vec![f64::NAN; case.surface.fields() * points.len()];
    evaluator.evaluate(&case.surface, Targets { axes: &axes, len: points.len() }, &mut out);
    out
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_kernel_and_metric_agrees_at_every_width() {
    for space in Space::ALL {
        for kernel in Kernel::ALL {
            for n in [1, 66] {
                let case = Case::random(kernel, space, n, 2);
                for width in (0..=50).chain([127]) {
                    let points = space.points(width, &mut Random(width as u64 + 99));
                    let axes = axes(&points, 0);
                    case.check(Targets { axes: &axes, len: width });
                }
            }
        }
    }
}

#[test]
fn every_number_of_stations_around_lanes_and_blocks_agrees() {
    for space in Space::ALL {
        for kernel in Kernel::ALL {
            let points = space.points(26, &mut Random(3));
            let axes = axes(&points, 0);
            for n in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 129] {
                case_of(kernel, space, n).check(Targets { axes: &axes, len: 26 });
            }
        }
    }
}

fn case_of(kernel: Kernel, space: Space, n: usize) -> Case {
    Case::random(kernel, space, n, 1)
}

#[test]
fn every_number_of_fields_and_every_set_of_shared_axes_agrees() {
    for space in Space::ALL {
        for fields in [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 48] {
            let case = Case::random(Kernel::Linear, space, 70, fields);
            let points = space.points(29, &mut Random(5));
            for shared in space.shared_axes() {
                let axes = axes(&points, shared);
                case.check(Targets { axes: &axes, len: 29 });
            }
        }
    }
}

#[test]
fn at_a_station_the_distance_is_exactly_zero() {
    for space in Space::ALL {
        let stations = space.points(1, &mut Random(11));
        for kernel in Kernel::ALL {
            let weights = Mat::from_fn(1, 1, |_, _| 1.0);
            let mut case = Case::new(kernel, space.metric(), stations.clone(), weights);
            let none = Drift::new(-1, &stations, space.metric());
            case.weights.drift = Mat::zeros(0, 1);
            case.surface = Surface::new(&stations, &case.method, &none, &case.weights);
            for evaluator in Evaluator::available() {
                let out = run(evaluator, &case, &stations);
                assert_eq!(out, [kernel.phi(0.0)], "{} {kernel} {space:?}", evaluator.name());
            }
        }
    }
}

#[test]
fn rounding_does_not_grow_with_the_number_of_stations() {
    let stations = Space::Plane.points(1493, &mut Random(1));
    let mut random = Random(2);
    let weights = Mat::from_fn(1493, 1, |_, _| random.next().abs());
    for kernel in [Kernel::Linear, Kernel::InverseMultiquadric, Kernel::Exponential] {
        let case = Case::new(kernel, Metric::Planar, stations.clone(), weights.clone());
        let points = Space::Plane.points(40, &mut random);
        for evaluator in Evaluator::available() {
            let out = run(evaluator, &case, &points);
            for c in 0..points.len() {
                let exact = compensated_sum(&case, points.at(c));
                let (error, tolerance) = ((out[c] - exact).abs(), case.tolerance(points.at(c), 0));
                assert!(error <= tolerance, "{} {kernel}: {error:e}", evaluator.name());
            }
        }
    }
}

/// The definition, summed without letting errors pile up (Neumaier 1974).
fn compensated_sum(case: &Case, place: [f64; 3]) -> f64 {
    let mut terms = vec![0.0; case.drift.terms()];
    case.drift.at(place, &mut terms);
    let drift = terms.iter().enumerate().map(|(k, p)| case.weights.drift[(k, 0)] * p);
    let radial = (0..case.stations.len())
        .map(|i| case.weights.stations[(i, 0)] * scalar::phi(&case.surface, place, i));
    let (mut sum, mut lost) = (0.0f64, 0.0);
    for value in radial.chain(drift) {
        let next = sum + value;
        let (large, small) = if sum.abs() >= value.abs() { (sum, value) } else { (value, sum) };
        lost += (large - next) + small;
        sum = next;
    }
    sum + lost
}

#[test]
fn distances_far_beyond_a_kernels_reach_give_finite_values() {
    for space in [Space::Line, Space::Plane, Space::Room] {
        for kernel in Kernel::ALL {
            let case = case_of(kernel, space, 3);
            for reach in [30.0, 700.0, 1e4, 1e8, 1e20] {
                let points = space.points(9, &mut Random(4)).scaled(reach);
                let axes = axes(&points, 0);
                case.check(Targets { axes: &axes, len: 9 });
            }
        }
    }
}

#[test]
fn the_other_side_of_the_earth_is_half_its_girth_away() {
    let stations = Metric::GreatCircle.embed(&[30.0], &[0.0]);
    let antipode = Metric::GreatCircle.embed(&[-150.0, -149.9999], &[0.0, 0.0]);
    let mut case = Case::new(
        Kernel::Linear,
        Metric::GreatCircle,
        stations.clone(),
        Mat::from_fn(1, 1, |_, _| -1.0),
    );
    case.weights.drift = Mat::zeros(0, 1);
    let none = Drift::new(-1, &stations, Metric::GreatCircle);
    case.surface = Surface::new(&stations, &case.method, &none, &case.weights);
    let half_girth = std::f64::consts::PI * metric::EARTH_RADIUS_KM * case.method.epsilon;
    for evaluator in Evaluator::available() {
        for got in run(evaluator, &case, &antipode) {
            // asin is steep there: an ulp of the chord is 1e-8 of the arc, 0.0001° are 6e-7.
            assert!((got / half_girth - 1.0).abs() < 1e-6, "{}: {got}", evaluator.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn splitting_the_targets_changes_no_bit(
        kernel in 0..13usize, space in 0..5usize, n in 1..140usize, width in 1..90usize,
        cut in 0..90usize, shared in 0..8u32, fields in 1..11usize,
    ) {
        let space = Space::ALL[space];
        let case = Case::random(Kernel::ALL[kernel], space, n, fields);
        let points = space.points(width, &mut Random(cut as u64));
        let axes = axes(&points, shared);
        let cut = cut.min(width);
        for evaluator in Evaluator::available() {
            let mut whole = vec![f64::NAN; fields * width];
            evaluator.evaluate(&case.surface, Targets { axes: &axes, len: width }, &mut whole);
            for piece in [0..cut, cut..width] {
                let part: Vec<Axis<'_>> = axes
                    .iter()
                    .map(|axis| match axis {
                        Axis::Each(values) => Axis::Each(&values[piece.clone()]),
                        Axis::Same(value) => Axis::Same(*value),
                    })
                    .collect();
                let mut out = vec![f64::NAN; fields * piece.len()];
                evaluator.evaluate(&case.surface, Targets { axes: &part, len: piece.len() }, &mut out);
                for f in 0..fields {
                    let wanted = &whole[f * width..][piece.clone()];
                    let got = &out[f * piece.len()..][..piece.len()];
                    prop_assert_eq!(bits(got), bits(wanted));
                }
            }
        }
    }

    #[test]
    fn fields_together_equal_each_alone_bit_for_bit(
        kernel in 0..13usize, space in 0..5usize, n in 1..140usize, fields in 2..20usize,
    ) {
        let (kernel, space) = (Kernel::ALL[kernel], Space::ALL[space]);
        let together = Case::random(kernel, space, n, fields);
        let points = space.points(31, &mut Random(fields as u64));
        for evaluator in Evaluator::available() {
            let all = run(evaluator, &together, &points);
            for f in 0..fields {
                let column = |m: &Mat<f64>| Mat::from_fn(m.nrows(), 1, |i, _| m[(i, f)]);
                let weights = Weights {
                    stations: column(&together.weights.stations),
                    drift: column(&together.weights.drift),
                };
                let alone = Case {
                    surface: Surface::new(
                        &together.stations, &together.method, &together.drift, &weights,
                    ),
                    weights,
                    method: together.method.clone(),
                    stations: together.stations.clone(),
                    drift: together.drift.clone(),
                };
                let one = run(evaluator, &alone, &points);
                prop_assert_eq!(bits(&one), bits(&all[f * 31..(f + 1) * 31]));
            }
        }
    }

    #[test]
    fn a_station_without_weight_may_stand_anywhere(
        kernel in 0..13usize, space in 0..5usize, n in 2..140usize, at in 0..140usize,
    ) {
        let (kernel, space) = (Kernel::ALL[kernel], Space::ALL[space]);
        let at = at % n;
        let mut random = Random(n as u64);
        let stations = space.points(n, &mut random);
        let weights = Mat::from_fn(n, 2, |i, _| if i == at { 0.0 } else { random.next() });
        let elsewhere: Vec<usize> = (0..n).map(|i| if i == at { (at + 1) % n } else { i }).collect();
        let case = Case::new(kernel, space.metric(), stations, weights);
        let moved = Surface::new(
            &case.stations.select(&elsewhere), &case.method, &case.drift, &case.weights,
        );
        let points = space.points(31, &mut random);
        let moved = Case {
            surface: moved,
            method: case.method.clone(),
            stations: case.stations.select(&elsewhere),
            drift: case.drift.clone(),
            weights: case.weights.clone(),
        };
        for evaluator in Evaluator::available() {
            let (a, b) = (run(evaluator, &case, &points), run(evaluator, &moved, &points));
            prop_assert_eq!(bits(&a), bits(&b));
        }
    }
}
