//! The two blocks of the linear system, and the checks without which it has no solution.

use faer::{ColMut, Mat, Par};
use rayon::prelude::*;

use crate::drift::Drift;
use crate::error::Error;
use crate::{Metric, Points, Resolved};

/// Refuses what no arithmetic can mend: no stations, coordinates that are not numbers, two
/// stations at one place.
pub(crate) fn check(stations: &Points, method: &Resolved) -> Result<(), Error> {
    let n = stations.len();
    if n == 0 {
        return Err(Error::NoStations);
    }
    if method.diagonal.len() != n {
        return Err(Error::SmoothingLength { got: method.diagonal.len(), stations: n });
    }
    if let Some(column) = method.covariates.iter().find(|column| column.len() != n) {
        return Err(Error::CovariateLength { got: column.len(), stations: n });
    }
    for column in &method.covariates {
        if let Some(station) = column.iter().position(|v| !v.is_finite()) {
            return Err(Error::BadCovariate { station, value: column[station] });
        }
    }
    if let Some(station) = (0..n).find(|&i| stations.at(i).iter().any(|x| !x.is_finite())) {
        return Err(Error::NotFinite { station });
    }
    match same_place(stations, method.metric) {
        Some((first, second)) => Err(Error::SamePlace { first, second }),
        None => Ok(()),
    }
}

/// The first two stations at one place, by sorting.
fn same_place(stations: &Points, metric: Metric) -> Option<(usize, usize)> {
    // On the sphere, 180° east and west, or two longitudes of a pole, differ in space by the
    // rounding of a sine, 1e-12 km; a micrometre tells them from neighbours.
    let grain = if metric.is_spherical() { 1e-9 } else { 0.0 };
    let key = |i: usize| {
        stations.at(i).map(|x| {
            let rounded = if grain > 0.0 { (x / grain).round() } else { x };
            rounded + 0.0 // −0 and 0 are one place
        })
    };
    let mut order: Vec<([f64; 3], usize)> = (0..stations.len()).map(|i| (key(i), i)).collect();
    order.sort_unstable_by(|(a, i), (b, j)| {
        let axes = a.iter().zip(b).map(|(x, y)| x.total_cmp(y));
        axes.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then).then(i.cmp(j))
    });
    order.windows(2).filter(|two| two[0].0 == two[1].0).map(|two| (two[0].1, two[1].1)).min()
}

/// `Φ + λI`, its lower half; the upper half is 0, and so is a column to spare for the inverse.
pub(crate) fn radial_part(stations: &Points, method: &Resolved, par: Par) -> Mat<f64> {
    let (n, stations) = (stations.len(), &*method.stretched(stations));
    let mut matrix = Mat::zeros(n, n + 1);
    let fill = |j: usize, column: ColMut<'_, f64>| {
        let column = column.try_as_col_major_mut().expect("columns of a matrix are contiguous");
        radial_column(stations, method, j, &mut column.as_slice_mut()[j..]);
    };
    if par == Par::Seq {
        for j in 0..n {
            fill(j, matrix.col_mut(j));
        }
    } else {
        matrix
            .as_mut()
            .subcols_mut(0, n)
            .par_col_iter_mut()
            .enumerate()
            .for_each(|(j, c)| fill(j, c));
    }
    matrix
}

/// Column `j` of it, from the diagonal down.
fn radial_column(stations: &Points, method: &Resolved, j: usize, column: &mut [f64]) {
    // Differences, squared and summed: 2 − 2x·y would lose the digits of close neighbours.
    for k in 0..stations.dims() {
        let axis = &stations.axis(k)[j..];
        for (sum, x) in column.iter_mut().zip(axis) {
            *sum += (x - axis[0]) * (x - axis[0]);
        }
    }
    if method.metric == Metric::GreatCircle {
        for squared in column.iter_mut() {
            *squared = method.metric.distance(*squared).powi(2);
        }
    }
    let epsilon_squared = method.epsilon * method.epsilon;
    for value in column.iter_mut() {
        *value = method.kernel.phi_of_squared(*value * epsilon_squared);
    }
    column[0] += method.diagonal[j];
}

/// `P`: stations × drift terms, the polynomials first.
pub(crate) fn drift_part(stations: &Points, drift: &Drift, method: &Resolved) -> Mat<f64> {
    let covariates = &method.covariates;
    let mut matrix = Mat::zeros(stations.len(), drift.terms() + covariates.len());
    let mut row = vec![0.0; drift.terms()];
    for i in 0..stations.len() {
        drift.at(stations.at(i), &mut row);
        for (k, value) in row.iter().enumerate() {
            matrix[(i, k)] = *value;
        }
        for (k, column) in covariates.iter().enumerate() {
            matrix[(i, drift.terms() + k)] = column[i];
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(x: &[f64], y: &[f64]) -> Points {
        Points::new(vec![x.to_vec(), y.to_vec()])
    }

    #[test]
    fn the_first_two_of_several_at_one_place_are_named() {
        let stations = plane(&[5.0, 1.0, 2.0, 1.0, 5.0, 1.0], &[0.0, 3.0, 3.0, 3.0, -0.0, 3.0]);
        assert_eq!(same_place(&stations, Metric::Planar), Some((0, 4)));
        assert_eq!(same_place(&stations.select(&[1, 2, 3, 5]), Metric::Planar), Some((0, 2)));
        assert_eq!(same_place(&stations.select(&[0, 1, 2]), Metric::Planar), None);
    }

    #[test]
    fn the_date_line_and_the_pole_are_one_place_each() {
        let seam = Metric::Chordal.embed(&[180.0, -180.0], &[12.0, 12.0]);
        assert_eq!(same_place(&seam, Metric::Chordal), Some((0, 1)));
        let pole = Metric::Chordal.embed(&[10.0, 70.0], &[90.0, 90.0]);
        assert_eq!(same_place(&pole, Metric::Chordal), Some((0, 1)));
        // One metre apart.
        let close = Metric::Chordal.embed(&[10.0, 10.00001], &[20.0, 20.0]);
        assert_eq!(same_place(&close, Metric::Chordal), None);
    }
}
