//! Round numbers between two others: ticks of a picture and levels of contours.

/// Multiples of 1, 2 or 5 times a power of ten from below `low` (or at it) to above `high`, about
/// `count` of them.
#[must_use]
pub(super) fn covering(low: f64, high: f64, count: u32) -> Vec<f64> {
    let step = step(low, high, count);
    let first = (low / step).floor();
    // The highest value is to lie below the last level.
    let last = (high / step).floor() + 1.0;
    multiples(first, last, step)
}

/// The same, only those within.
#[must_use]
pub(super) fn within(low: f64, high: f64, count: u32) -> Vec<f64> {
    let step = step(low, high, count);
    multiples((low / step - 1e-9).ceil(), (high / step + 1e-9).floor(), step)
}

/// A number as short as its neighbours at that step allow.
#[must_use]
pub(super) fn label(value: f64, step: f64) -> String {
    if step > 0.0 && (1e-4..1e7).contains(&step) && value.abs() < 1e9 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 5")]
        let digits = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
        let text = format!("{value:.digits$}");
        return if text.trim_matches(['-', '0', '.']).is_empty() { "0".into() } else { text };
    }
    format!("{value:e}")
}

fn step(low: f64, high: f64, count: u32) -> f64 {
    let rough = ((high - low) / f64::from(count)).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|f| f * power >= rough * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

fn multiples(first: f64, last: f64, step: f64) -> Vec<f64> {
    // 3 × 0.1 is not 0.3, and 3 / 10 is.
    let inverse = (1.0 / step).round();
    let value = |k: f64| if inverse >= 1.0 && step < 1.0 { k / inverse } else { k * step };
    std::iter::successors(Some(first), |k| Some(k + 1.0))
        .take_while(|k| *k <= last)
        .take(1000)
        .map(value)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_round_and_cover_every_value() {
        assert_eq!(
            covering(3.0, 97.0, 10),
            [0., 10., 20., 30., 40., 50., 60., 70., 80., 90., 100.]
        );
        assert_eq!(covering(0.05, 0.31, 5), [0.0, 0.1, 0.2, 0.3, 0.4]);
        assert_eq!(covering(-1.0, 1.0, 4), [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5]);
        assert_eq!(within(73.0, 135.0, 5), [80.0, 100.0, 120.0]);
    }

    #[test]
    fn labels_have_the_digits_that_tell_them_apart() {
        assert_eq!(label(0.30000000000000004, 0.1), "0.3");
        assert_eq!(label(25.0, 5.0), "25");
        assert_eq!(label(-0.0, 0.5), "0");
        assert_eq!(label(2e-9, 1e-9), "2e-9");
    }
}
