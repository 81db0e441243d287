//! exp, ln and arcsine on lanes, for the ranges in which radial functions need them.
//!
//! Coefficients are made by `coefficients.py`. Bounds are in units in the last place of the exact
//! result, and hold with and without fused multiply-add (measured against mpmath on 40 000
//! numbers for each function and instruction set; the tests sweep more, against std).

use super::lanes::Lanes;

const LOG2_E: f64 = std::f64::consts::LOG2_E;
/// ln 2 in two pieces; the first has 32 bits, so that its product with an exponent is exact.
const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// 1.5 · 2⁵²: adding it rounds to an integer, which subtracting it brings back.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// Here the exponent reaches −1023, which [`Lanes::two_to`] takes for 0.
const EXP_UNDERFLOWS: f64 = -709.0;

/// eʳ = 1 + r + r² P(r) for |r| ≤ ln 2 / 2, within 1.6e-17.
const EXP: [f64; 10] = [
    0.5000000000000001,
    0.16666666666666669,
    0.04166666666662413,
    0.008333333333330062,
    0.0013888888917213717,
    0.00019841269863053618,
    2.4801521295954376e-05,
    2.7557268459997064e-06,
    2.7620088445409746e-07,
    2.510038549551032e-08,
];

/// 2 artanh(s) = 2s + s z P(z), z = s², for (1 + s)/(1 − s) from √½ to √2, within 4.6e-18.
const LN: [f64; 7] = [
    0.666666666666667,
    0.39999999999899444,
    0.2857142862600327,
    0.22222211130259878,
    0.18182889455674947,
    0.15331710618210773,
    0.14616585424888623,
];

/// asin(t) = t + t z P(z), z = t² ≤ ¼, within 4.8e-18.
const ASIN: [f64; 13] = [
    0.16666666666666669,
    0.07499999999998432,
    0.04464285714635722,
    0.030381944138386928,
    0.022372172948124706,
    0.017352392575609256,
    0.013971215203097548,
    0.011479154971005417,
    0.010322964581482783,
    0.005456844463293151,
    0.017402725959689853,
    -0.014854837699421992,
    0.02875990974247162,
];

/// exp(x) for x ≤ 709, within 1.1 ulp; results below 2⁻¹⁰²² are right to 2⁻¹⁰²² (most become 0).
#[inline(always)]
pub(super) fn exp<L: Lanes>(l: L, x: L::f64s) -> L::f64s {
    let x = l.max_f64s(x, l.of(EXP_UNDERFLOWS));
    let k = l.minus(l.times_plus(x, l.of(LOG2_E), l.of(ROUND)), l.of(ROUND));
    let r = l.less_times(x, k, l.of(LN2_HIGH));
    let r = l.less_times(r, k, l.of(LN2_LOW));
    let p = l.times_plus(l.times(r, r), polynomial(l, r, &EXP), r);
    l.times(l.plus(p, l.of(1.0)), l.two_to(k))
}

/// ln(x) for normal x > 0, within 0.9 ulp. For 0 and subnormal x it is a number near −709, so that
/// x ln x comes out right: exactly 0, or within 1e-306.
#[inline(always)]
pub(super) fn ln<L: Lanes>(l: L, x: L::f64s) -> L::f64s {
    let (e, m) = l.exponent_and_mantissa(x);
    // ln m = f − f²/2 + s (f²/2 + z P(z)), in which f is exact and the rest is small.
    let f = l.minus(m, l.of(1.0));
    let s = l.div_f64s(f, l.plus(f, l.of(2.0)));
    let z = l.times(s, s);
    let half_square = l.times(l.times(f, l.of(0.5)), f);
    let small = l.times_plus(z, polynomial(l, z, &LN), half_square);
    let tail = l.times_plus(s, small, l.times(e, l.of(LN2_LOW)));
    let mantissa = l.minus(f, l.minus(half_square, tail));
    l.times_plus(e, l.of(LN2_HIGH), mantissa)
}

/// asin(x) for 0 ≤ x ≤ 1, within 2.2 ulp.
#[inline(always)]
pub(super) fn asin<L: Lanes>(l: L, x: L::f64s) -> L::f64s {
    let half = l.of(0.5);
    let is_small = l.less_than_f64s(x, half);
    // asin x = π/2 − 2 asin √((1 − x)/2)
    let folded = l.less_times(half, x, half);
    let z = l.select_f64s(is_small, l.times(x, x), folded);
    let t = l.select_f64s(is_small, x, l.sqrt_f64s(folded));
    let arc = l.times_plus(l.times(t, z), polynomial(l, z, &ASIN), t);
    let rest = l.less_times(l.of(std::f64::consts::FRAC_PI_2), l.of(2.0), arc);
    l.select_f64s(is_small, arc, rest)
}

/// Horner's scheme on the even and the odd powers: half as long a chain as on all.
#[inline(always)]
fn polynomial<L: Lanes, const N: usize>(l: L, x: L::f64s, coefficients: &[f64; N]) -> L::f64s {
    let square = l.times(x, x);
    let (mut sum, mut other) = (l.of(coefficients[N - 2]), l.of(coefficients[N - 1]));
    for k in (0..N - 2).rev() {
        (sum, other) = (l.times_plus(other, square, l.of(coefficients[k])), sum);
    }
    l.times_plus(other, x, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    trait Function {
        fn of<L: Lanes>(l: L, x: L::f64s) -> L::f64s;
    }

    macro_rules! functions {
        ($($name:ident: $function:path;)*) => {$(
            struct $name;
            impl Function for $name {
                #[inline(always)]
                fn of<L: Lanes>(l: L, x: L::f64s) -> L::f64s {
                    $function(l, x)
                }
            }
        )*};
    }
    functions! { Exp: exp; Ln: ln; Asin: asin; Root: Lanes::root; OneByRoot: Lanes::reciprocal_root; }

    struct Map<'a, L, F>(L, &'a mut [f64], std::marker::PhantomData<F>);

    impl<L: Lanes, F: Function> pulp::NullaryFnOnce for Map<'_, L, F> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            for chunk in self.1.chunks_mut(L::F64_LANES) {
                let x = self.0.partial_load_f64s(chunk);
                self.0.partial_store_f64s(chunk, F::of(self.0, x));
            }
        }
    }

    /// A function of all numbers, by every instruction set of this machine.
    fn map<F: Function>(xs: &[f64]) -> Vec<(&'static str, Vec<f64>)> {
        fn one<L: Lanes, F: Function>(l: L, xs: &[f64]) -> Vec<f64> {
            let mut values = xs.to_vec();
            l.vectorize(Map(l, &mut values, std::marker::PhantomData::<F>));
            values
        }
        let mut all = vec![("portable", one::<_, F>(pulp::Scalar::new(), xs))];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(pulp::x86::V3::try_new().map(|l| ("avx2", one::<_, F>(l, xs))));
            all.extend(pulp::x86::V4::try_new().map(|l| ("avx512", one::<_, F>(l, xs))));
        }
        #[cfg(target_arch = "aarch64")]
        all.extend(pulp::aarch64::Neon::try_new().map(|l| ("neon", one::<_, F>(l, xs))));
        all
    }

    fn ulp(x: f64) -> f64 {
        f64::from_bits(x.abs().to_bits() + 1) - x.abs()
    }

    /// Bounds are in ulp: ours, and that of the reference (std: 0.53 for exp, ln and asin).
    fn within<F: Function>(xs: &[f64], reference: fn(f64) -> f64, ours: f64, theirs: f64) {
        for (variant, values) in map::<F>(xs) {
            for (&x, &value) in xs.iter().zip(&values) {
                let wanted = reference(x);
                let error = (value - wanted).abs() / ulp(wanted);
                let bound = ours + theirs;
                assert!(error <= bound, "{variant}: f({x:e}) = {value:e}, not {wanted:e}");
            }
        }
    }

    /// Numbers spread evenly over an interval, ends included.
    fn sweep(low: f64, high: f64, n: u32) -> impl Iterator<Item = f64> {
        (0..=n).map(move |k| low + (high - low) * (f64::from(k) / f64::from(n)))
    }

    #[test]
    fn exp_keeps_its_bound_where_its_result_is_normal() {
        let steep = sweep(-708.0, 0.0, 300_000);
        let near_one = sweep(-1.0, 0.0, 300_000);
        let tiny = sweep(0.0, 300.0, 3000).map(|d| -(10.0f64.powf(-d)));
        within::<Exp>(&steep.chain(near_one).chain(tiny).collect::<Vec<_>>(), f64::exp, 1.1, 0.53);
    }

    #[test]
    fn exp_of_very_negative_numbers_is_zero_and_never_nan() {
        let xs: Vec<f64> =
            sweep(-800.0, -708.0, 10_000).chain([-1e5, -1e300, f64::NEG_INFINITY]).collect();
        for (variant, values) in map::<Exp>(&xs) {
            for (x, value) in xs.iter().zip(values) {
                assert!(
                    (value - x.exp()).abs() <= f64::MIN_POSITIVE,
                    "{variant}: exp({x}) = {value:e}"
                );
                assert!(*x > -745.0 || value == 0.0, "{variant}: exp({x}) = {value:e}");
            }
        }
    }

    #[test]
    fn ln_keeps_its_bound_for_normal_numbers() {
        let around_one = sweep(0.5, 2.0, 300_000);
        let next_to_one = sweep(-300.0, -1.0, 3000).map(|d| 1.0 + 10.0f64.powf(d / 20.0));
        let all = sweep(-1021.9, 1023.9, 300_000).map(f64::exp2);
        within::<Ln>(
            &around_one.chain(next_to_one).chain(all).collect::<Vec<_>>(),
            f64::ln,
            0.9,
            0.53,
        );
    }

    #[test]
    fn a_number_times_its_ln_vanishes_with_the_number() {
        let xs = [0.0, 5e-324, 1e-310, 2.2e-308, f64::MIN_POSITIVE];
        for (variant, values) in map::<Ln>(&xs) {
            assert_eq!(xs[0] * values[0], 0.0);
            for (x, ln) in xs.iter().zip(values).skip(1) {
                assert!((x * ln - x * x.ln()).abs() < 1e-306, "{variant}: ln({x:e}) = {ln}");
            }
        }
    }

    #[test]
    fn asin_keeps_its_bound() {
        let xs: Vec<f64> = sweep(0.0, 1.0, 300_000)
            .chain(sweep(0.0, 300.0, 3000).map(|d| 10.0f64.powf(-d)))
            .chain(sweep(1.0, 50.0, 3000).map(|d| 1.0 - d.exp2().recip()))
            .collect();
        within::<Asin>(&xs, f64::asin, 2.2, 0.53);
    }

    #[test]
    fn roots_keep_their_bound_and_are_exact_at_zero_and_infinity() {
        let xs: Vec<f64> = sweep(-1073.0, 1023.9, 400_000).map(f64::exp2).collect();
        within::<Root>(&xs, f64::sqrt, 0.9, 0.5);
        for (variant, values) in map::<Root>(&[0.0, f64::INFINITY]) {
            assert_eq!(values, [0.0, f64::INFINITY], "{variant}");
        }
        for (variant, values) in map::<Root>(&[f64::NAN]) {
            assert!(values[0].is_nan(), "{variant}");
        }
    }

    #[test]
    fn reciprocal_roots_keep_their_bound() {
        let xs: Vec<f64> =
            sweep(1.0, 4.0, 300_000).chain(sweep(0.0, 1023.9, 3000).map(f64::exp2)).collect();
        within::<OneByRoot>(&xs, |x| 1.0 / x.sqrt(), 1.5, 1.5);
        for (variant, values) in map::<OneByRoot>(&[f64::INFINITY]) {
            assert_eq!(values, [0.0], "{variant}");
        }
    }
}
