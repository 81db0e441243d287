//! Stations in clusters: seen from far away, many stations are no more than their sums on p × p
//! Chebyshev nodes of the cluster, since φ is as smooth in the station as in the cell.

use std::ops::Range;
use std::sync::Arc;

use super::admit::{Area, Place};
use super::axis::{barycentric, chebyshev, lagrange};
use crate::evaluate::Surface;
use crate::{Metric, Points};

/// Clusters of so few stations are not divided.
const FEW: usize = 16;

/// Stations, clustered.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    clusters: Vec<Cluster>,
    /// Stations in the order of the clusters.
    stations: Vec<u32>,
    places: Arc<[Place]>,
}

/// Stations of a box.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    range: Range<usize>,
    pub(super) halves: Option<[Source; 2]>,
    pub(super) area: Area,
    /// In place of the stations, where these are more.
    pub(super) proxies: Option<Proxies>,
}

/// Points that stand for the stations of a cluster.
#[derive(Clone, Debug)]
pub(super) struct Proxies {
    x: Vec<f64>,
    y: Vec<f64>,
    /// The fields of a point are neighbours.
    weights: Vec<f64>,
    /// Σ|w| of the stations, of each field.
    pub(super) magnitudes: Vec<f64>,
}

/// A station or a cluster, in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source(u32);

const STATION: u32 = 1 << 31;

impl Source {
    fn station(i: u32) -> Self {
        Self(i | STATION)
    }

    /// The station, if it is one.
    pub(super) fn as_station(self) -> Option<u32> {
        (self.0 & STATION != 0).then_some(self.0 & !STATION)
    }
}

/// The places of the stations of a surface.
pub(super) fn places(surface: &Surface) -> Vec<Place> {
    (0..surface.stations.len()).map(|i| Place::new(surface.place(i), surface.metric)).collect()
}

impl Sources {
    /// Clusters of all stations of a surface, which are at these places, with proxies of `order` each way; none
    /// up to `alone` stations.
    pub(super) fn new(surface: &Surface, places: Arc<[Place]>, order: usize, alone: usize) -> Self {
        let n = places.len();
        let stations = (0..n).map(|i| u32::try_from(i).unwrap_or(u32::MAX)).collect();
        let mut sources = Self { clusters: Vec::new(), stations, places };
        if n > alone {
            sources.add(surface, order, 0..n);
        }
        sources
    }

    /// What everything begins with.
    pub(super) fn all(&self) -> Vec<Source> {
        if self.clusters.is_empty() {
            return self.stations.iter().map(|&i| Source::station(i)).collect();
        }
        vec![Source(0)]
    }

    pub(super) fn cluster(&self, source: Source) -> &Cluster {
        &self.clusters[source.0 as usize]
    }

    pub(super) fn place(&self, station: u32) -> &Place {
        &self.places[station as usize]
    }

    /// How many stations that is.
    pub(super) fn count(&self, source: Source) -> usize {
        source.as_station().map_or_else(|| self.cluster(source).range.len(), |_| 1)
    }

    /// The stations of a cluster.
    pub(super) fn stations_of(&self, cluster: &Cluster) -> &[u32] {
        &self.stations[cluster.range.clone()]
    }

    /// The same, one by one.
    pub(super) fn each_of<'s>(&'s self, cluster: &Cluster) -> impl Iterator<Item = Source> + 's {
        self.stations[cluster.range.clone()].iter().map(|&i| Source::station(i))
    }

    fn add(&mut self, surface: &Surface, order: usize, range: Range<usize>) -> Source {
        let here = self.clusters.len();
        let metric = surface.metric;
        let bounds = self.bounds(&range, metric);
        let [x, y] = bounds.map(|(low, high)| (f64::midpoint(low, high), (high - low) / 2.0));
        let area = Area::of(x, y, metric);
        let cluster = Cluster { range: range.clone(), halves: None, area, proxies: None };
        self.clusters.push(cluster);
        if range.len() > FEW && (x.1 > 0.0 || y.1 > 0.0) {
            let stretch = if metric.is_spherical() { y.0.to_radians().cos() } else { 1.0 };
            let along_x = x.1 * stretch >= y.1 && x.1 > 0.0 || y.1 == 0.0;
            let places = &self.places;
            let is_low = |i: &u32| {
                let (px, py) = places[*i as usize].degrees(metric);
                if along_x { px <= x.0 } else { py <= y.0 }
            };
            self.stations[range.clone()].sort_by_key(|i| !is_low(i));
            let low = self.stations[range.clone()].iter().filter(|i| is_low(i)).count();
            if low > 0 && low < range.len() {
                let middle = range.start + low;
                let halves = [range.start..middle, middle..range.end];
                let halves = halves.map(|half| self.add(surface, order, half));
                self.clusters[here].halves = Some(halves);
            }
        }
        if range.len() > 2 * order * order {
            self.clusters[here].proxies = Some(self.proxies(surface, order, here, [x, y]));
        }
        Source(u32::try_from(here).unwrap_or(u32::MAX))
    }

    fn bounds(&self, range: &Range<usize>, metric: Metric) -> [(f64, f64); 2] {
        let mut bounds = [(f64::INFINITY, f64::NEG_INFINITY); 2];
        for &i in &self.stations[range.clone()] {
            let (x, y) = self.places[i as usize].degrees(metric);
            for (bound, at) in bounds.iter_mut().zip([x, y]) {
                *bound = (bound.0.min(at), bound.1.max(at));
            }
        }
        bounds
    }

    /// The sums of a cluster on its nodes: of its halves' nodes where those stand for their
    /// stations, which is exact for the polynomials they are, else of the stations.
    fn proxies(
        &self,
        surface: &Surface,
        order: usize,
        cluster: usize,
        [(x, half_x), (y, half_y)]: [(f64, f64); 2],
    ) -> Proxies {
        let fields = surface.fields;
        let nodes = [chebyshev(x, half_x, order), chebyshev(y, half_y, order)];
        let mut weights = vec![0.0; nodes[0].len() * nodes[1].len() * fields];
        let factors = [0, 1].map(|k: usize| barycentric(nodes[k].len()));
        let [mut along, mut down] = [0, 1].map(|k: usize| vec![0.0; nodes[k].len()]);
        let mut add = |x: f64, y: f64, of: &[f64]| {
            lagrange(&nodes[0], &factors[0], x, &mut along);
            lagrange(&nodes[1], &factors[1], y, &mut down);
            let mut rows = weights.chunks_exact_mut(fields);
            for down in &down {
                for along in &along {
                    let factor = down * along;
                    let Some(row) = rows.next() else { return };
                    row.iter_mut().zip(of).for_each(|(sum, w)| *sum += factor * w);
                }
            }
        };
        let parts = match self.clusters[cluster].halves {
            Some(halves) => halves.map(|half| half.0 as usize).to_vec(),
            None => vec![cluster],
        };
        for part in parts.into_iter().map(|part| &self.clusters[part]) {
            if let Some(proxies) = &part.proxies {
                for (k, of) in proxies.weights.chunks_exact(fields).enumerate() {
                    add(proxies.x[k], proxies.y[k], of);
                }
            } else {
                for &i in self.stations_of(part) {
                    let (x, y) = self.places[i as usize].degrees(surface.metric);
                    add(x, y, &surface.weights[i as usize * fields..][..fields]);
                }
            }
        }
        let (x, y) = nodes[1].iter().flat_map(|&y| nodes[0].iter().map(move |&x| (x, y))).unzip();
        let mut magnitudes = vec![0.0; fields];
        for &i in self.stations_of(&self.clusters[cluster]) {
            let weights = &surface.weights[i as usize * fields..][..fields];
            magnitudes.iter_mut().zip(weights).for_each(|(sum, w)| *sum += w.abs());
        }
        Proxies { x, y, weights, magnitudes }
    }
}

impl Surface {
    /// The surface of a few stations and of points that stand for others, with the drift.
    pub(super) fn only(&self, stations: &[u32], proxies: &[&Proxies]) -> Self {
        let which: Vec<usize> = stations.iter().map(|&i| i as usize).collect();
        let weights = which.iter().flat_map(|i| &self.weights[i * self.fields..][..self.fields]);
        let mut weights: Vec<f64> = weights.copied().collect();
        let selected = self.stations.select(&which);
        let mut axes: Vec<Vec<f64>> =
            (0..selected.dims()).map(|k| selected.axis(k).to_vec()).collect();
        for proxies in proxies {
            let points = self.metric.embed(&proxies.x, &proxies.y);
            for (k, axis) in axes.iter_mut().enumerate() {
                axis.extend(points.axis(k).iter().map(|x| x * self.scale));
            }
            weights.extend_from_slice(&proxies.weights);
        }
        Self {
            stations: Points::new(axes),
            weights,
            drift: self.drift.clone(),
            drift_weights: self.drift_weights.clone(),
            ..*self
        }
    }
}
