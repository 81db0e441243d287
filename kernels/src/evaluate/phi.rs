//! The radial functions on lanes: 13 kernels by two ways to measure, each a small function of its
//! own, so that nothing else is compiled once per kernel.
//!
//! Each is φ without its constant factor ([`factor`]), which multiplies the finished sums.

use pulp::NullaryFnOnce;

use super::functions::{asin, exp};
use super::lanes::Lanes;
use crate::metric::EARTH_RADIUS_KM;
use crate::{Kernel, Metric};

/// How far apart a cell and a station are: as r², as r, whichever is asked for.
trait Separation<L: Lanes>: Copy {
    fn squared(self, l: L) -> L::f64s;
    fn distance(self, l: L) -> L::f64s;
    /// The same for kernels that keep the multipliers busy anyhow: see [`Lanes::root`].
    fn distance_meanwhile(self, l: L) -> L::f64s;
}

/// A straight line, known by its square.
#[derive(Clone, Copy)]
struct Line<L: Lanes>(L::f64s);

impl<L: Lanes> Separation<L> for Line<L> {
    #[inline(always)]
    fn squared(self, _: L) -> L::f64s {
        self.0
    }

    #[inline(always)]
    fn distance(self, l: L) -> L::f64s {
        l.root(self.0)
    }

    #[inline(always)]
    fn distance_meanwhile(self, l: L) -> L::f64s {
        l.sqrt_f64s(self.0)
    }
}

/// An arc, known by its length.
#[derive(Clone, Copy)]
struct Arc<L: Lanes>(L::f64s);

impl<L: Lanes> Arc<L> {
    /// From the square of the chord in km: ε · 2R asin(chord / 2R).
    #[inline(always)]
    fn over_chord(l: L, squared: L::f64s, epsilon: f64) -> Self {
        let half = l.times(l.sqrt_f64s(squared), l.of(1.0 / (2.0 * EARTH_RADIUS_KM)));
        let angle = asin(l, l.min_f64s(half, l.of(1.0)));
        Self(l.times(angle, l.of(epsilon * 2.0 * EARTH_RADIUS_KM)))
    }
}

impl<L: Lanes> Separation<L> for Arc<L> {
    #[inline(always)]
    fn squared(self, l: L) -> L::f64s {
        l.times(self.0, self.0)
    }

    #[inline(always)]
    fn distance(self, _: L) -> L::f64s {
        self.0
    }

    #[inline(always)]
    fn distance_meanwhile(self, _: L) -> L::f64s {
        self.0
    }
}

/// One φ on lanes.
trait Radial {
    fn of<L: Lanes, S: Separation<L>>(l: L, at: S) -> L::f64s;
}

macro_rules! radial {
    ($($name:ident = |$l:ident, $at:ident| $body:expr;)*) => {$(
        struct $name;

        impl Radial for $name {
            #[inline(always)]
            fn of<L: Lanes, S: Separation<L>>($l: L, $at: S) -> L::f64s {
                $body
            }
        }
    )*};
}

radial! {
    Linear = |l, at| at.distance(l);
    ThinPlateSpline = |l, at| {
        let q = at.squared(l);
        l.times(q, super::functions::ln(l, q))
    };
    Cubic = |l, at| l.times(at.squared(l), at.distance(l));
    Quintic = |l, at| {
        let q = at.squared(l);
        l.times(l.times(q, q), at.distance(l))
    };
    Multiquadric = |l, at| l.root(l.plus(at.squared(l), l.of(1.0)));
    InverseMultiquadric = |l, at| l.reciprocal_root(l.plus(at.squared(l), l.of(1.0)));
    InverseQuadratic = |l, at| l.div_f64s(l.of(1.0), l.plus(at.squared(l), l.of(1.0)));
    Gaussian = |l, at| exp(l, l.minus(l.of(0.0), at.squared(l)));
    Exponential = |l, at| exp(l, l.minus(l.of(0.0), at.distance_meanwhile(l)));
    Matern32 = |l, at| {
        let s = l.times(at.distance_meanwhile(l), l.of(SQRT_3));
        l.times(l.plus(s, l.of(1.0)), exp(l, l.minus(l.of(0.0), s)))
    };
    Matern52 = |l, at| {
        let s = l.times(at.distance_meanwhile(l), l.of(SQRT_5));
        let p = l.times_plus(s, l.times_plus(s, l.of(1.0 / 3.0), l.of(1.0)), l.of(1.0));
        l.times(p, exp(l, l.minus(l.of(0.0), s)))
    };
    WendlandC2 = |l, at| {
        let r = at.distance(l);
        let t = l.max_f64s(l.minus(l.of(1.0), r), l.of(0.0));
        let square = l.times(t, t);
        l.times(l.times(square, square), l.times_plus(r, l.of(4.0), l.of(1.0)))
    };
    WendlandC4 = |l, at| {
        let r = at.distance(l);
        let t = l.max_f64s(l.minus(l.of(1.0), r), l.of(0.0));
        let cube = l.times(l.times(t, t), t);
        let p = l.times_plus(l.times_plus(r, l.of(35.0), l.of(18.0)), r, l.of(3.0));
        l.times(l.times(cube, cube), p)
    };
}

const SQRT_3: f64 = 1.732_050_807_568_877_2;
const SQRT_5: f64 = 2.236_067_977_499_79;

/// The constant that the functions here leave out of φ.
pub(super) fn factor(kernel: Kernel) -> f64 {
    match kernel {
        Kernel::Linear | Kernel::Quintic | Kernel::Multiquadric => -1.0,
        Kernel::ThinPlateSpline => 0.5,
        Kernel::WendlandC4 => 1.0 / 3.0,
        _ => 1.0,
    }
}

/// Turns squared distances into φ / [`factor`], in place. ε is heeded on arcs only: straight
/// lines are scaled where coordinates are.
pub(super) type Apply<L> = fn(L, &mut [<L as pulp::Simd>::f64s], f64);

/// The function for a kernel and a metric.
pub(super) fn apply<L: Lanes>(kernel: Kernel, metric: Metric) -> Apply<L> {
    let arc = metric == Metric::GreatCircle;
    macro_rules! choose {
        ($($name:ident)*) => {
            match kernel {
                $(Kernel::$name if arc => on_arcs::<L, $name>,
                Kernel::$name => on_lines::<L, $name>,)*
            }
        };
    }
    choose! {
        Linear ThinPlateSpline Cubic Quintic Multiquadric InverseMultiquadric InverseQuadratic
        Gaussian Exponential Matern32 Matern52 WendlandC2 WendlandC4
    }
}

fn on_lines<L: Lanes, K: Radial>(l: L, panel: &mut [L::f64s], _epsilon: f64) {
    struct Op<'a, L: Lanes, K>(L, &'a mut [L::f64s], std::marker::PhantomData<K>);
    impl<L: Lanes, K: Radial> NullaryFnOnce for Op<'_, L, K> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            for squared in self.1 {
                *squared = K::of(self.0, Line(*squared));
            }
        }
    }
    l.vectorize(Op(l, panel, std::marker::PhantomData::<K>));
}

fn on_arcs<L: Lanes, K: Radial>(l: L, panel: &mut [L::f64s], epsilon: f64) {
    struct Op<'a, L: Lanes, K>(L, &'a mut [L::f64s], f64, std::marker::PhantomData<K>);
    impl<L: Lanes, K: Radial> NullaryFnOnce for Op<'_, L, K> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            for squared in self.1 {
                *squared = K::of(self.0, Arc::over_chord(self.0, *squared, self.2));
            }
        }
    }
    l.vectorize(Op(l, panel, epsilon, std::marker::PhantomData::<K>));
}
