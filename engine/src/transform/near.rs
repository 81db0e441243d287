//! How far the nearest reading is: of every station from the others, of every cell from all.

use isopleth_kernels::Points;
use rayon::prelude::*;

/// Neighbours kept of each station; where all of them are silent, all stations are asked.
const KEPT: usize = 8;

/// Cells that are asked for together.
const TOGETHER: usize = 32;

/// The nearest other stations of each.
#[derive(Debug)]
pub(crate) struct Neighbours {
    places: Vec<[f64; 3]>,
    /// By station, the nearest first.
    nearest: Vec<Vec<u32>>,
}

impl Neighbours {
    pub(crate) fn new(points: &Points) -> Self {
        let places: Vec<[f64; 3]> = (0..points.len()).map(|i| points.at(i)).collect();
        let of = |i: usize| {
            let mut near: Vec<(f64, u32)> = Vec::with_capacity(KEPT + 1);
            for (j, place) in (0_u32..).zip(&places).filter(|(j, _)| *j as usize != i) {
                let distance = squared(places[i], *place);
                if near.len() < KEPT || near.last().is_some_and(|last| distance < last.0) {
                    near.insert(near.partition_point(|other| other.0 <= distance), (distance, j));
                    near.truncate(KEPT);
                }
            }
            near.into_iter().map(|(_, j)| j).collect()
        };
        let nearest = (0..places.len()).into_par_iter().map(of).collect();
        Self { places, nearest }
    }

    /// The squared distance of each station from the nearest other that has a reading: infinite
    /// where there is none.
    pub(crate) fn squared(&self, readings: &[f64]) -> Vec<f64> {
        let has = |j: usize| !readings[j].is_nan();
        let of = |i: usize| {
            let kept = self.nearest[i].iter().map(|&j| j as usize).find(|&j| has(j));
            match kept {
                Some(j) => squared(self.places[i], self.places[j]),
                None => {
                    let others = (0..self.places.len()).filter(|&j| j != i && has(j));
                    let each = others.map(|j| squared(self.places[i], self.places[j]));
                    each.fold(f64::INFINITY, f64::min)
                }
            }
        };
        (0..self.places.len()).map(of).collect()
    }

    /// Those that have a reading.
    pub(crate) fn present(&self, readings: &[f64]) -> Vec<[f64; 3]> {
        let each = self.places.iter().zip(readings);
        each.filter(|(_, v)| !v.is_nan()).map(|(place, _)| *place).collect()
    }
}

/// Of each cell the squared distance of the nearest of some places, whatever cells come together.
pub(crate) fn of_cells(cells: &[[f64; 3]], places: &[[f64; 3]], out: &mut Vec<f64>) {
    let mut some = Vec::new();
    for cells in cells.chunks(TOGETHER) {
        within_reach(cells, places, &mut some);
        let nearest = |cell: &[f64; 3]| {
            some.iter().map(|place| squared(*cell, *place)).fold(f64::INFINITY, f64::min)
        };
        out.extend(cells.iter().map(nearest));
    }
}

/// The places that may be the nearest of one of some cells.
pub(crate) fn within_reach(cells: &[[f64; 3]], places: &[[f64; 3]], out: &mut Vec<[f64; 3]>) {
    let middle = cells[cells.len() / 2];
    let reach = cells.iter().map(|cell| squared(middle, *cell)).fold(0.0, f64::max).sqrt();
    let nearest = places.iter().map(|place| squared(middle, *place)).fold(f64::INFINITY, f64::min);
    // A little more than geometry asks for, against rounding.
    let far = (nearest.sqrt() + 2.0 * reach) * (1.0 + 1e-9);
    out.clear();
    out.extend(places.iter().filter(|place| squared(middle, **place) <= far * far));
}

fn squared(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scattered(n: u32, scale: f64) -> Vec<[f64; 3]> {
        let at = |k: u32, m: u32| f64::from(k * m % 997) * scale;
        (1..=n).map(|k| [at(k, 37), at(k, 211), at(k, 5)]).collect()
    }

    #[test]
    fn nearest_places_are_those_of_the_definition() {
        let (cells, places) = (scattered(300, 1.0), scattered(90, 0.9));
        let mut found = Vec::new();
        of_cells(&cells, &places, &mut found);
        for (cell, found) in cells.iter().zip(found) {
            let all = places.iter().map(|p| squared(*cell, *p)).fold(f64::INFINITY, f64::min);
            assert_eq!(found.to_bits(), all.to_bits());
        }
    }

    #[test]
    fn silent_neighbours_are_passed_over() {
        let x: Vec<f64> = (0..30).map(f64::from).collect();
        let neighbours = Neighbours::new(&Points::new(vec![x.clone(), vec![0.0; 30]]));
        let mut readings = vec![1.0; 30];
        assert_eq!(neighbours.squared(&readings)[5], 1.0);
        readings[1..29].fill(f64::NAN);
        assert_eq!(neighbours.squared(&readings)[0], 29.0 * 29.0);
        assert_eq!(neighbours.present(&readings).len(), 2);
        readings[29] = f64::NAN;
        assert_eq!(neighbours.squared(&readings)[0], f64::INFINITY);
    }
}
