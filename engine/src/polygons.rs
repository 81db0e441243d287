//! Which places lie within polygons: for one place, or for a row of cells at once.
//!
//! A place is inside a polygon where a line from it to the west crosses its rings an odd number of
//! times (so holes need no care, and a ring that crosses itself is outside where it covers twice),
//! and inside the polygons where it is inside any of them. Edges are sorted into bands of y, so that
//! only those near a row are looked at: a row costs its edges and its crossings, not cells × edges.

use std::ops::Range;

/// Polygons in the plane, or in degrees on the sphere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Polygons {
    /// All rings, one after the other, the first point of each repeated at its end.
    points: Vec<[f64; 2]>,
    rings: Vec<Ring>,
    /// Polygon of the edge that begins at each point.
    owners: Vec<u32>,
    /// West, south, east, north.
    bounds: [f64; 4],
    /// Degrees after which x is the same place again.
    turn: Option<f64>,
    bands: Bands,
}

/// One ring of a polygon.
#[derive(Clone, Debug, PartialEq)]
struct Ring {
    points: Range<usize>,
    polygon: u32,
}

/// Edges by the bands of y which they touch.
#[derive(Clone, Debug, Default, PartialEq)]
struct Bands {
    low: f64,
    height: f64,
    /// Where the edges of each band begin in `edges`, and the end.
    starts: Vec<u32>,
    edges: Vec<u32>,
}

/// Bands at most: for the land of the Earth they are then as high as a cell of a fine grid.
const MOST_BANDS: usize = 4096;

/// Entries in bands for each edge at most, so that tall edges do not fill the memory.
const ENTRIES_TO_AN_EDGE: f64 = 8.0;

impl Polygons {
    /// From polygons, each a list of rings, each a list of points `[x, y]` whose first need not be
    /// repeated. With `turn`, x and x + turn are one place; rings may reach beyond one turn's ends
    /// but their edges are taken as they are: see [`whole`].
    #[must_use]
    pub fn new(polygons: &[Vec<Vec<[f64; 2]>>], turn: Option<f64>) -> Self {
        let mut made = Self { turn, ..Self::default() };
        for (k, polygon) in polygons.iter().enumerate() {
            let owner = u32::try_from(k).unwrap_or(u32::MAX);
            for ring in polygon.iter().filter(|ring| !ring.is_empty()) {
                let begin = made.points.len();
                made.points.extend_from_slice(ring);
                if ring.first() != ring.last() || ring.len() == 1 {
                    made.points.push(ring[0]);
                }
                made.rings.push(Ring { points: begin..made.points.len(), polygon: owner });
                made.owners.resize(made.points.len(), owner);
            }
        }
        let along = |k: usize| made.points.iter().map(move |p| p[k]);
        let least = |k| along(k).fold(f64::INFINITY, f64::min);
        let most = |k| along(k).fold(f64::NEG_INFINITY, f64::max);
        made.bounds = [least(0), least(1), most(0), most(1)];
        made.bands = Bands::new(&made);
        made
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rings.is_empty()
    }

    /// West, south, east, north.
    #[must_use]
    pub fn bounds(&self) -> [f64; 4] {
        self.bounds
    }

    /// The rings, each closed, with the number of its polygon; the first of a polygon is its outside.
    pub fn rings(&self) -> impl Iterator<Item = (u32, &[[f64; 2]])> {
        self.rings.iter().map(|ring| (ring.polygon, &self.points[ring.points.clone()]))
    }

    /// Whether a place is within any polygon. Places on the western or southern side of a rectangle
    /// are, those on the eastern or northern are not, so that neighbours share none; on the sphere
    /// the North Pole is treated as the places beside it.
    #[must_use]
    pub fn contains(&self, x: f64, y: f64) -> bool {
        let y = self.below_the_pole(y);
        let edges = self.bands.at(y);
        self.shifts(x, x).any(|shift| {
            let (mut owner, mut odd) = (None, false);
            for &edge in edges {
                if owner != Some(self.owners[edge as usize]) {
                    if odd {
                        return true;
                    }
                    owner = Some(self.owners[edge as usize]);
                }
                odd ^= self.crossing(edge, y).is_some_and(|at| x + shift >= at);
            }
            odd
        })
    }

    /// Sets `inside[i]` for every `x[i]` of a row that is within any polygon, and leaves the
    /// others. `x` must ascend; agrees with [`contains`](Self::contains) bit for bit.
    pub fn mark_row(&self, x: &[f64], y: f64, inside: &mut [bool]) {
        let (Some(&first), Some(&last)) = (x.first(), x.last()) else { return };
        let y = self.below_the_pole(y);
        let edges = self.bands.at(y).iter();
        let mut crossings: Vec<(u32, f64)> = edges
            .filter_map(|&edge| Some((self.owners[edge as usize], self.crossing(edge, y)?)))
            .collect();
        crossings.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        for shift in self.shifts(first, last) {
            for pair in crossings.chunks_exact(2) {
                let [from, to] =
                    [pair[0].1, pair[1].1].map(|at| x.partition_point(|x| x + shift < at));
                inside[from..to].fill(true);
            }
        }
    }

    /// The shortest distance in km from a place (degrees on a sphere of `radius_km`) to any edge, if
    /// it is at most `at_most_km`. Edges are taken as straight in longitude and latitude, and
    /// distances in the plane that touches the Earth at the place: right within a percent up to
    /// some 500 km and off the poles.
    #[must_use]
    pub fn distance_to_edge_km(
        &self,
        lon: f64,
        lat: f64,
        at_most_km: f64,
        radius_km: f64,
    ) -> Option<f64> {
        let degree = radius_km.to_radians();
        let reach = at_most_km / degree;
        let across = lat.to_radians().cos().max(1e-3);
        let plane = |p: [f64; 2], shift: f64| {
            [(p[0] - lon - shift) * across * degree, (p[1] - lat) * degree]
        };
        let mut nearest = f64::INFINITY;
        for edge in self.bands.within(lat - reach, lat + reach) {
            let [from, to] = [self.points[edge as usize], self.points[edge as usize + 1]];
            for shift in self.shifts_near(lon, [from[0].min(to[0]), from[0].max(to[0])]) {
                nearest = nearest.min(from_origin(plane(from, shift), plane(to, shift)));
            }
        }
        (nearest <= at_most_km).then_some(nearest)
    }

    /// Where an edge crosses the row at y, if it does. The lower end belongs to an edge, the upper
    /// does not; the same number whichever way the edge runs.
    fn crossing(&self, edge: u32, y: f64) -> Option<f64> {
        let (a, b) = (self.points[edge as usize], self.points[edge as usize + 1]);
        let (low, high) = if a[1] <= b[1] { (a, b) } else { (b, a) };
        let crosses = low[1] <= y && y < high[1];
        crosses.then(|| low[0] + (y - low[1]) / (high[1] - low[1]) * (high[0] - low[0]))
    }

    /// The turns by which x of some places may have to be moved to meet the polygons.
    fn shifts(&self, first: f64, last: f64) -> impl Iterator<Item = f64> + use<> {
        let [west, _, east, _] = self.bounds;
        turns(self.turn, west - last, east - first)
    }

    /// The turn that brings an edge nearest to a longitude.
    fn shifts_near(&self, lon: f64, [west, east]: [f64; 2]) -> impl Iterator<Item = f64> + use<> {
        turns(self.turn, west - lon - 180.0, east - lon + 180.0)
    }

    fn below_the_pole(&self, y: f64) -> f64 {
        if self.turn.is_some() { y.min(90.0_f64.next_down()) } else { y }
    }
}

/// All multiples of a turn between two numbers; 0 alone without one.
fn turns(turn: Option<f64>, low: f64, high: f64) -> impl Iterator<Item = f64> {
    let (first, last, turn) = match turn {
        Some(turn) => ((low / turn).ceil(), (high / turn).floor(), turn),
        None => (0.0, 0.0, 0.0),
    };
    let first = if first.is_finite() && last.is_finite() { first } else { f64::INFINITY };
    std::iter::successors(Some(first), |k| Some(k + 1.0))
        .take_while(move |k| *k <= last)
        .map(move |k| k * turn)
}

/// Distance of the origin from the line between two points.
fn from_origin(a: [f64; 2], b: [f64; 2]) -> f64 {
    let along = [b[0] - a[0], b[1] - a[1]];
    let squared = along[0] * along[0] + along[1] * along[1];
    let part = -(a[0] * along[0] + a[1] * along[1]) / squared.max(f64::MIN_POSITIVE);
    let part = part.clamp(0.0, 1.0);
    (a[0] + part * along[0]).hypot(a[1] + part * along[1])
}

/// A polygon in degrees made whole: each ring unwrapped, and holes in the turn of the outside.
#[must_use]
pub fn whole(rings: &[Vec<[f64; 2]>]) -> Vec<Vec<[f64; 2]>> {
    let mut rings: Vec<_> = rings.iter().map(|ring| unwrapped(ring)).collect();
    let west_of = |ring: &[[f64; 2]]| ring.iter().map(|p| p[0]).fold(f64::INFINITY, f64::min);
    if let Some((outside, holes)) = rings.split_first_mut() {
        let west = west_of(outside);
        for hole in holes {
            let shift = ((west_of(hole) - west) / 360.0).floor() * 360.0;
            hole.iter_mut().for_each(|point| point[0] -= shift);
        }
    }
    rings
}

/// Brings the points of a ring in degrees together: a step of more than 180 degrees is one across
/// the date line. A step of exactly 360 runs round the whole Earth and is kept. A ring that does not
/// come back to where it began goes round a pole, and is closed over that.
fn unwrapped(ring: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let Some(&first) = ring.first() else { return Vec::new() };
    let (mut points, mut shift) = (vec![first], 0.0);
    let closed = ring.iter().skip(1).chain((ring.last() != Some(&first)).then_some(&first));
    let mut before = first[0];
    for &[x, y] in closed {
        let step = x - before;
        before = x;
        if step.abs() > 180.0 && step.abs() < 360.0 {
            shift -= 360.0_f64.copysign(step);
        }
        points.push([x + shift, y]);
    }
    if shift != 0.0 {
        let last = points[points.len() - 1];
        #[expect(clippy::cast_precision_loss, reason = "a number of points")]
        let mean = ring.iter().map(|p| p[1]).sum::<f64>() / ring.len() as f64;
        let pole = 90.0_f64.copysign(mean);
        points.extend([[last[0], pole], [first[0], pole], first]);
    }
    points
}

impl Bands {
    fn new(polygons: &Polygons) -> Self {
        let [_, low, _, high] = polygons.bounds;
        let edges: Vec<(u32, [f64; 2])> = (polygons.rings.iter())
            .flat_map(|ring| ring.points.start..ring.points.end.saturating_sub(1))
            .map(|i| {
                let (a, b) = (polygons.points[i][1], polygons.points[i + 1][1]);
                (u32::try_from(i).unwrap_or(u32::MAX), [a.min(b), a.max(b)])
            })
            .collect();
        if edges.is_empty() {
            return Self::default();
        }
        let mut count = (edges.len() / 4).clamp(1, MOST_BANDS);
        #[expect(clippy::cast_precision_loss, reason = "counts of edges and bands")]
        let height = loop {
            let height = ((high - low) / count as f64).max(f64::MIN_POSITIVE);
            let entries: f64 = edges.iter().map(|(_, [a, b])| (b - a) / height).sum();
            if count == 1 || entries <= ENTRIES_TO_AN_EDGE * edges.len() as f64 {
                break height;
            }
            count /= 2;
        };
        let mut bands = Self { low, height, starts: vec![0; count + 1], edges: Vec::new() };
        let touched = |bands: &Self, [a, b]: [f64; 2]| bands.number(a)..=bands.number(b);
        for (_, span) in &edges {
            touched(&bands, *span).for_each(|band| bands.starts[band + 1] += 1);
        }
        for band in 0..count {
            bands.starts[band + 1] += bands.starts[band];
        }
        let mut next = bands.starts.clone();
        bands.edges = vec![0; bands.starts[count] as usize];
        for (edge, span) in &edges {
            for band in touched(&bands, *span) {
                bands.edges[next[band] as usize] = *edge;
                next[band] += 1;
            }
        }
        bands
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
    fn number(&self, y: f64) -> usize {
        (((y - self.low) / self.height) as usize).min(self.starts.len().saturating_sub(2))
    }

    /// Edges of the band at y, in order of their polygons.
    fn at(&self, y: f64) -> &[u32] {
        if self.starts.is_empty() || y.is_nan() || y < self.low {
            return &[];
        }
        let band = self.number(y);
        &self.edges[self.starts[band] as usize..self.starts[band + 1] as usize]
    }

    /// Edges of all bands between two y, some of them several times.
    fn within(&self, low: f64, high: f64) -> impl Iterator<Item = u32> {
        let edges = if self.starts.is_empty() || high < self.low {
            &[]
        } else {
            let [first, last] = [low, high].map(|y| self.number(y));
            &self.edges[self.starts[first] as usize..self.starts[last + 1] as usize]
        };
        edges.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn square(west: f64, south: f64, east: f64, north: f64) -> Vec<[f64; 2]> {
        vec![[west, south], [east, south], [east, north], [west, north]]
    }

    #[test]
    fn a_hole_across_the_date_line_is_outside() {
        let outside = vec![[170.0, -20.0], [-170.0, -20.0], [-170.0, 20.0], [170.0, 20.0]];
        let hole = vec![[-178.0, -5.0], [-178.0, 5.0], [178.0, 5.0], [178.0, -5.0]];
        let polygons = Polygons::new(&[whole(&[outside, hole])], Some(360.0));
        for (lon, lat, inside) in [
            (175.0, 0.0, true),
            (-175.0, 0.0, true),
            (185.0, 0.0, true),
            (180.0, 0.0, false),
            (-180.0, 0.0, false),
            (-179.0, 4.0, false),
            (180.0, 10.0, true),
            (160.0, 0.0, false),
            (0.0, 0.0, false),
        ] {
            assert_eq!(polygons.contains(lon, lat), inside, "{lon} {lat}");
        }
    }

    #[test]
    fn polygons_that_overlap_are_one_and_neighbours_share_no_place() {
        let both = [vec![square(0.0, 0.0, 2.0, 2.0)], vec![square(1.0, 0.0, 3.0, 2.0)]];
        assert!(Polygons::new(&both, None).contains(1.5, 1.0));
        let [left, right] = [square(0.0, 0.0, 1.0, 1.0), square(1.0, 0.0, 2.0, 1.0)]
            .map(|ring| Polygons::new(&[vec![ring]], None));
        assert_eq!((left.contains(1.0, 0.5), right.contains(1.0, 0.5)), (false, true));
    }

    #[test]
    fn a_ring_round_the_pole_is_closed_over_it() {
        let ring = unwrapped(&[[0.0, -60.0], [90.0, -65.0], [180.0, -60.0], [-90.0, -65.0]]);
        let polygons = Polygons::new(&[vec![ring]], Some(360.0));
        for lon in [-180.0, -100.0, 0.0, 100.0, 359.0] {
            assert!(polygons.contains(lon, -80.0), "{lon}");
            assert!(!polygons.contains(lon, -50.0), "{lon}");
        }
    }

    #[test]
    fn the_whole_world_is_inside_the_whole_world() {
        let ring = unwrapped(&square(-180.0, -90.0, 180.0, 90.0));
        let world = Polygons::new(&[vec![ring]], Some(360.0));
        for (lon, lat) in [(0.0, 90.0), (180.0, 0.0), (360.0, -90.0), (-180.0, 45.0)] {
            assert!(world.contains(lon, lat), "{lon} {lat}");
        }
        assert!(!Polygons::default().contains(0.0, 0.0));
    }

    proptest! {
        /// Holes, overlaps, self-crossings and places on corners: whole numbers make them common.
        #[test]
        fn a_row_by_its_crossings_equals_each_place_by_all_edges(
            polygons in prop::collection::vec(prop::collection::vec(
                prop::collection::vec((150..215_i32, -30..30_i32), 3..9), 1..3), 0..5),
            y in -32..32_i32, west in -400..400_i32, half: bool,
        ) {
            let polygons: Vec<Vec<Vec<[f64; 2]>>> = polygons.iter().map(|polygon| {
                polygon.iter().map(|ring| {
                    ring.iter().map(|&(x, y)| [f64::from(x), f64::from(y)]).collect()
                }).collect()
            }).collect();
            let y = f64::from(y) + if half { 0.5 } else { 0.0 };
            let x: Vec<f64> = (0..700).map(|i| f64::from(west) + f64::from(i) * 0.5).collect();
            let mut row = vec![false; x.len()];
            let all = Polygons::new(&polygons, Some(360.0));
            all.mark_row(&x, y, &mut row);
            for (&x, &inside) in x.iter().zip(&row) {
                prop_assert_eq!(all.contains(x, y), inside, "contains {} {}", x, y);
                let by_hand = polygons.iter().any(|rings| {
                    [-720.0, -360.0, 0.0, 360.0, 720.0].iter().any(|turn| {
                        let crossed = rings.iter().flat_map(|ring| {
                            (0..ring.len()).map(move |i| (ring[i], ring[(i + 1) % ring.len()]))
                        }).filter(|&(a, b)| (a[1] <= y) != (b[1] <= y)).filter(|&(a, b)| {
                            let (a, b) = if a[1] < b[1] { (a, b) } else { (b, a) };
                            x + turn >= a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
                        });
                        crossed.count() % 2 == 1
                    })
                });
                prop_assert_eq!(by_hand, inside, "by hand {} {}", x, y);
            }
        }
    }
}
