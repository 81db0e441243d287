//! What anybody could have guessed: the mean, the nearest station, and weights by inverse squared
//! distance (Shepard 1968, doi:10.1145/800186.810616).

use isopleth_kernels::Points;
use rayon::prelude::*;

/// Names, in the order of [`predict`].
pub(crate) const NAMES: [&str; 3] = ["idw", "nearest", "mean"];

/// Predictions at the stations `out` of one field, from all other stations that have a reading:
/// `[reference][k]` for `out[k]`; NaN where there is none.
pub(crate) fn predict(points: &Points, readings: &[f64], out: &[usize]) -> [Vec<f64>; 3] {
    let known: Vec<usize> = (0..points.len())
        .filter(|i| !readings[*i].is_nan() && out.binary_search(i).is_err())
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "station counts are far below 2^52")]
    let mean = known.iter().map(|&i| readings[i]).sum::<f64>() / known.len() as f64;
    let both: Vec<(f64, f64)> =
        out.par_iter().map(|&at| near(points, readings, &known, at)).collect();
    let (idw, nearest) = both.into_iter().unzip();
    [idw, nearest, vec![mean; out.len()]]
}

/// Weighted mean, and the reading of the nearest station.
fn near(points: &Points, readings: &[f64], known: &[usize], at: usize) -> (f64, f64) {
    let (mut sum, mut weights) = (0.0, 0.0);
    let mut nearest = (f64::INFINITY, f64::NAN);
    for &i in known {
        let squares = (0..points.dims()).map(|k| (points.axis(k)[i] - points.axis(k)[at]).powi(2));
        let squared = squares.sum::<f64>();
        if squared < nearest.0 {
            nearest = (squared, readings[i]);
        }
        sum += readings[i] / squared;
        weights += 1.0 / squared;
    }
    (sum / weights, nearest.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_those_of_the_definition() {
        let points = Points::new(vec![vec![0.0, 1.0, 3.0, 9.0]]);
        let readings = [5.0, 7.0, f64::NAN, 20.0];
        let [idw, nearest, mean] = predict(&points, &readings, &[1]);
        // 5 at distance 1, 20 at distance 8.
        assert!((idw[0] - (5.0 + 20.0 / 64.0) / (1.0 + 1.0 / 64.0)).abs() < 1e-15);
        assert_eq!((nearest[0], mean[0]), (5.0, 12.5));
        let [idw, nearest, mean] = predict(&points, &readings, &[0, 1, 2, 3]);
        assert!(idw.iter().chain(&nearest).chain(&mean).all(|v| v.is_nan()));
    }
}
