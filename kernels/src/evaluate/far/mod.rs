//! Fast evaluation on a grid, to a tolerance.
//!
//! Seen from a box of cells, a station far enough away is a smooth function. Boxes form a
//! quadtree in the grid's own axes. Each station enters at the coarsest box that admits it
//! (`admit`): its weights times φ are summed on p × p Chebyshev nodes of the box. Sums are handed
//! down to the nodes of smaller boxes and at last to the cells by separable interpolation (`axis`,
//! `product`), which is exact for the polynomials they are. Stations that no box admits are
//! summed exactly for every cell. All fields go along together. Where stations are many, clusters of
//! them enter as one (`sources`).
//!
//! One code for every kernel and metric: only the admission knows where φ is singular. Fong &
//! Darve 2009, doi:10.1016/j.jcp.2009.08.031, interpolate kernels on both sides; here the targets'
//! side alone, for a network of thousands and a grid of millions.

mod admit;
mod axis;
mod leaf;
mod product;
mod promise;
mod scattered;
mod sources;
mod surface;
mod tail;
mod views;

use std::ops::Range;
use std::sync::Arc;

use self::admit::{Admission, Area, View};
use self::axis::{AxisTree, Interval};
use self::leaf::Plane;
pub(super) use self::product::Product;
use self::promise::{LEFT_OUT, Promise};
pub use self::scattered::Scattered;
use self::sources::{Proxies, Source, Sources};
use self::tail::Tail;
pub use self::views::Views;
use self::views::{Entered, Known};
use super::crossed::Crossed;
use super::rows::GridRows;
use super::{Axis, Evaluator, Surface, Targets};
use crate::metric::EARTH_RADIUS_KM;
use crate::{Metric, Points};

/// Up to so many stations each is looked at by itself, which lets many in a level earlier and takes 50 ns
/// for each and box. Beyond, clusters are looked at, and their stations at the leaves.
const CLOSELY: usize = 4096;

/// How the tree is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scheme {
    /// Chebyshev nodes each way, `p`.
    pub order: usize,
    /// The Bernstein ellipse ρ* that must be free of singularities.
    pub rho: f64,
    /// Cells each way of the smallest boxes.
    pub leaf: usize,
}

/// A surface and a grid, ready to be evaluated box by box.
#[derive(Debug)]
pub struct Far<'a> {
    surface: &'a Surface,
    evaluator: Evaluator,
    /// None where the cells are bins of places.
    rows: Option<&'a GridRows<'a>>,
    x: Arc<AxisTree>,
    y: Arc<AxisTree>,
    tile: [usize; 2],
    scheme: Scheme,
    sources: Sources,
    admission: Admission,
    promise: Promise,
    tail: Tail,
    /// Σ|w| of each field.
    sizes: Vec<f64>,
    /// Fields that could not be solved: NaN, though no station may be near.
    lost: Vec<usize>,
    /// What was found out before, for grids.
    known: Option<Arc<Known>>,
}

/// A box of cells with what is known of it.
#[derive(Clone, Debug, Default)]
pub struct Node {
    x: usize,
    y: usize,
    /// Sums of the stations that entered, here or above, on the nodes: `[field][y][x]`. Empty as
    /// long as none has.
    sums: Vec<f64>,
    /// Stations and clusters that have not entered.
    waiting: Vec<Source>,
    /// Pairs of a station (or what stands for some) and a node that were summed here.
    pairs: u64,
    /// What theory promises of the error of the sums, by field; empty as long as there are none.
    bound: Vec<f64>,
    /// What the last coefficients of the larger boxes tell of their errors, by field; empty as long as there are none.
    tail: Vec<f64>,
    /// Whether sums entered here, of which the tail does not tell yet.
    is_fresh: bool,
}

/// What the evaluation of some cells took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Pairs of a station and a cell or node.
    pub pairs: u64,
    /// What theory promises of the error of each field, on every cell. Rounding errors come on top.
    pub bound: Vec<f64>,
    /// What the last Chebyshev coefficients tell of the error of each field, on the worst cell: no bound, but
    /// nearer to the truth. Errors of clusters that stand for stations are not in it, nor rounding errors.
    pub tail: Vec<f64>,
}

/// Buffers that a thread keeps from box to box.
#[derive(Debug, Default)]
pub struct Scratch {
    axes: [Vec<f64>; 3],
    half: Vec<f64>,
}

impl<'a> Far<'a> {
    /// Prepares the evaluation of a grid whose tiles have `tile` cells each way (columns, rows).
    #[must_use]
    pub fn new(
        surface: &'a Surface,
        evaluator: Evaluator,
        rows: &'a GridRows<'a>,
        tile: [usize; 2],
        scheme: Scheme,
    ) -> Self {
        Self::with_views(surface, evaluator, rows, tile, scheme, None)
    }

    /// The same with views found before, which must be of these very stations, grid, tiles, kernel, shape, ellipse and
    /// leaf. They change no bit.
    #[must_use]
    pub fn with_views(
        surface: &'a Surface,
        evaluator: Evaluator,
        rows: &'a GridRows<'a>,
        tile: [usize; 2],
        scheme: Scheme,
        views: Option<&Views>,
    ) -> Self {
        assert!(!surface.is_stretched(), "boxes go along the axes of the grid");
        let (x, y) = rows.axes();
        let [wide, high] = tile;
        let trees = || {
            let tree = |axis, tile| AxisTree::new(axis, tile, scheme.leaf, scheme.order);
            [tree(x, wide), tree(y, high)]
        };
        let find = || (trees(), sources::places(surface));
        // Clusters hold sums of weights.
        let views = views.filter(|_| surface.stations() <= CLOSELY);
        let known = views.and_then(|views| views.of_order(scheme.order, find));
        let ([x, y], places) = match &known {
            Some(known) => ([&known.x, &known.y].map(Arc::clone), Arc::clone(&known.places)),
            None => (trees().map(Arc::new), sources::places(surface).into()),
        };
        Self {
            surface,
            evaluator,
            rows: Some(rows),
            x,
            y,
            tile,
            scheme,
            sources: Sources::new(surface, places, scheme.order, CLOSELY),
            admission: Admission::new(surface.kernel, surface.epsilon, surface.metric, scheme.rho),
            promise: Promise::new(surface, scheme.order, scheme.rho),
            tail: Tail::new(scheme.order, scheme.rho),
            sizes: surface.sizes(),
            lost: surface.lost(),
            known,
        }
    }

    /// The whole grid.
    #[must_use]
    pub fn root(&self) -> Node {
        let waiting = self.sources.all();
        self.enter(Node { waiting, ..Node::default() }, false)
    }

    /// Rows and columns of the cells of a box.
    #[must_use]
    pub fn cells(&self, node: &Node) -> (Range<usize>, Range<usize>) {
        (self.y.at(node.y).cells.clone(), self.x.at(node.x).cells.clone())
    }

    /// The two or four parts of a box of several tiles; none of a single tile.
    #[must_use]
    pub fn parts(&self, node: &Node) -> Vec<Node> {
        self.split(node, self.tile, None)
    }

    /// The tile that holds a cell, without the others. `node` is the whole grid.
    #[must_use]
    pub fn tile_at(&self, mut node: Node, row: usize, column: usize) -> Node {
        while let Some(part) = self.split(&node, self.tile, Some((row, column))).pop() {
            node = part;
        }
        node
    }

    /// Evaluates all cells of a tile, `out[(f * rows + row) * columns + column]`, and says what that took.
    ///
    /// # Panics
    /// If `out` has not that length: a bug of the caller.
    pub fn evaluate(&self, tile: Node, scratch: &mut Scratch, out: &mut [f64]) -> Work {
        let (rows, columns) = self.cells(&tile);
        let mut work = Work::new(self.surface.fields);
        assert_eq!(out.len(), self.surface.fields * rows.len() * columns.len());
        let (origin, stride) = ([rows.start, columns.start], columns.len());
        let plane = rows.len() * stride;
        let mut boxes = vec![tile];
        while let Some(node) = boxes.pop() {
            let parts =
                if self.is_enough(&node) { Vec::new() } else { self.split(&node, [1, 1], None) };
            if parts.is_empty() {
                let node = self.enter(node, true);
                let (rows, columns) = self.cells(&node);
                work.add(&node.bound, &self.told(&node));
                work.pairs += (node.waiting.len() * rows.len() * columns.len()) as u64;
                let start = (rows.start - origin[0]) * stride + columns.start - origin[1];
                self.leaf(node, scratch, &mut Plane { out, start, stride, plane });
            }
            work.pairs += parts.iter().map(|part| part.pairs).sum::<u64>();
            boxes.extend(parts);
        }
        self.leave_out(&mut work);
        work
    }

    /// What the stations left out may come to.
    fn leave_out(&self, work: &mut Work) {
        if self.admission.leaves_out() {
            for (bound, size) in work.bound.iter_mut().zip(&self.sizes) {
                *bound += LEFT_OUT * size;
            }
        }
    }

    /// Whether a box is small, and so few stations wait that its parts would gain nothing.
    ///
    /// Parts have p² nodes each, and their pairs with stations; what they save is pairs with cells. A
    /// third of p² is best on AMD Zen 4; a sixth, or a fixed 20, costs up to a tenth more.
    fn is_enough(&self, node: &Node) -> bool {
        let few = self.scheme.order * self.scheme.order / 3;
        let small = |interval: &Interval| !interval.to_cells.is_empty();
        small(self.x.at(node.x))
            && small(self.y.at(node.y))
            && node.waiting.iter().map(|&source| self.sources.count(source)).sum::<usize>() <= few
    }

    /// Halves the axes along which a box has more than `at_most` cells, if it can; only the part
    /// with the cell `wanted`, if any is.
    fn split(&self, node: &Node, at_most: [usize; 2], wanted: Option<(usize, usize)>) -> Vec<Node> {
        let (x, y) = (self.x.at(node.x), self.y.at(node.y));
        let halves = |halves: Option<[usize; 2]>, cells: usize, at_most: usize, here: usize| {
            halves.filter(|_| cells > at_most).map_or_else(|| vec![here], Vec::from)
        };
        let across = halves(x.halves, x.cells.len(), at_most[0], node.x);
        let down = halves(y.halves, y.cells.len(), at_most[1], node.y);
        if across.len() * down.len() == 1 {
            return Vec::new();
        }
        let tail = self.told(node);
        let pairs = down.iter().flat_map(|&y| across.iter().map(move |&x| (x, y)));
        let holds = |&(x, y): &(usize, usize)| {
            wanted.is_none_or(|(row, column)| {
                self.y.at(y).cells.contains(&row) && self.x.at(x).cells.contains(&column)
            })
        };
        pairs
            .filter(holds)
            .map(|(x, y)| {
                self.enter(Node { tail: tail.clone(), ..self.hand_down(node, x, y) }, false)
            })
            .collect()
    }

    /// A part of a box, with the sums of the whole on its own nodes.
    fn hand_down(&self, whole: &Node, x: usize, y: usize) -> Node {
        let waiting = whole.waiting.clone();
        let bound = whole.bound.clone();
        let part = Node { x, y, waiting, bound, ..Node::default() };
        if whole.sums.is_empty() {
            return part;
        }
        let [from_x, from_y] = [self.x.at(whole.x).nodes.len(), self.y.at(whole.y).nodes.len()];
        let [to_x, to_y] = [self.x.at(x).nodes.len(), self.y.at(y).nodes.len()];
        let mut sums = Vec::with_capacity(self.surface.fields * to_x * to_y);
        let mut half = Vec::new();
        for field in whole.sums.chunks(from_x * from_y) {
            let field = if y == whole.y {
                field
            } else {
                half.resize(to_y * from_x, 0.0);
                self.product(to_y, from_y, from_x, &self.y.at(y).down.by_target, field, &mut half);
                &half
            };
            if x == whole.x {
                sums.extend_from_slice(field);
            } else {
                let start = sums.len();
                sums.resize(start + to_y * to_x, 0.0);
                let out = &mut sums[start..];
                self.product(to_y, from_x, to_x, field, &self.x.at(x).down.by_node, out);
            }
        }
        Node { sums, ..part }
    }

    fn product(
        &self,
        rows: usize,
        inner: usize,
        columns: usize,
        a: &[f64],
        b: &[f64],
        out: &mut [f64],
    ) {
        let stride = columns;
        self.evaluator.multiply(Product { rows, inner, columns, a, b, out, stride, add: false });
    }

    /// Lets the stations enter that are smooth from here, and forgets those that are nothing.
    /// For the cells of a `leaf` stations stand by themselves.
    fn enter(&self, mut node: Node, leaf: bool) -> Node {
        let waiting = std::mem::take(&mut node.waiting);
        if let Some((known, of_box)) = self.known((node.x, node.y)) {
            let find = || self.look(node.x, node.y, waiting, leaf).0;
            let entered = known.keep(&of_box.entered[usize::from(leaf)], find, Entered::bytes);
            self.let_in(&mut node, entered, &[]);
            node.waiting.clone_from(&entered.waiting);
        } else {
            let (entered, proxies) = self.look(node.x, node.y, waiting, leaf);
            self.let_in(&mut node, &entered, &proxies);
            node.waiting = entered.waiting;
        }
        node
    }

    /// What becomes of what waits for a box: stations that enter or wait on, and what stands for clusters that enter,
    /// each with what is promised of a weight of 1.
    fn look(
        &self,
        x: usize,
        y: usize,
        waiting: Vec<Source>,
        leaf: bool,
    ) -> (Entered, Vec<(&Proxies, f64)>) {
        let (x, y) = (self.x.at(x), self.y.at(y));
        let area = Area::new(x, y, self.surface.metric);
        // A leaf with fewer cells than nodes is cheaper without the nodes.
        let few_cells = leaf
            && self.rows.is_some()
            && x.nodes.len() * y.nodes.len() >= x.cells.len() * y.cells.len();
        let (mut open, mut entered, mut proxies) = (waiting, Entered::default(), Vec::new());
        let let_in = |entered: &mut Entered, i: u32, free: f64| {
            entered.stations.push(i);
            entered.promises.push(self.promise.of(self.sources.place(i), &area, free));
        };
        while let Some(source) = open.pop() {
            if let Some(i) = source.as_station() {
                match self.admission.view(self.sources.place(i), &area) {
                    View::Nothing => {}
                    View::Smooth(free) if !few_cells => let_in(&mut entered, i, free),
                    View::Smooth(_) | View::Rough => entered.waiting.push(source),
                }
                continue;
            }
            let cluster = self.sources.cluster(source);
            match (self.admission.view_cluster(&cluster.area, &area), &cluster.proxies) {
                (View::Nothing, _) => {}
                (View::Smooth(_), None) if few_cells => {
                    entered.waiting.extend(self.sources.each_of(cluster));
                }
                (View::Smooth(free), None) => {
                    for &i in self.sources.stations_of(cluster) {
                        let_in(&mut entered, i, free);
                    }
                }
                (View::Smooth(_), Some(points))
                    if self.admission.replaces(&cluster.area, &area) =>
                {
                    proxies.push((points, self.promise_of_cluster(&cluster.area, &area)));
                }
                (View::Rough, _) if !leaf && cluster.area.is_dwarfed_by(&area) => {
                    entered.waiting.push(source);
                }
                _ => match cluster.halves {
                    Some(halves) => open.extend(halves),
                    None => open.extend(self.sources.each_of(cluster)),
                },
            }
        }
        (entered, proxies)
    }

    /// What the last coefficients tell of the sums of a box and of those above it.
    fn told(&self, node: &Node) -> Vec<f64> {
        let mut told = node.tail.clone();
        if node.is_fresh {
            told.resize(self.surface.fields, 0.0);
            let across = self.x.at(node.x).nodes.len();
            let fields = node.sums.chunks_exact(node.sums.len() / self.surface.fields);
            told.iter_mut()
                .zip(fields)
                .for_each(|(tail, sums)| *tail += self.tail.of(sums, across));
        }
        told
    }

    /// Adds stations and clusters that enter to the sums on the nodes, and to what is promised of them.
    fn let_in(&self, node: &mut Node, entered: &Entered, proxies: &[(&Proxies, f64)]) {
        let Entered { stations, promises, .. } = entered;
        if stations.is_empty() && proxies.is_empty() {
            return;
        }
        let fields = self.surface.fields;
        node.bound.resize(fields, 0.0);
        let of_stations = stations.iter().zip(promises).map(|(&station, &each)| {
            (&self.surface.weights[station as usize * fields..][..fields], each)
        });
        let of_proxies = proxies.iter().map(|&(points, each)| (&points.magnitudes[..], each));
        for (weights, each) in of_stations.chain(of_proxies) {
            node.bound.iter_mut().zip(weights).for_each(|(sum, w)| *sum += each * w.abs());
        }
        let points: Vec<&Proxies> = proxies.iter().map(|&(points, _)| points).collect();
        node.is_fresh = true;
        self.sum_on_nodes(node, stations, &points);
    }

    /// What is promised of points that stand for a cluster: both sides are interpolated.
    fn promise_of_cluster(&self, cluster: &Area, area: &Area) -> f64 {
        let apart = cluster.distance(area);
        let side = |here: &Area, there: &Area| {
            let free = here.free_ellipse(apart - there.radius());
            self.promise.at(apart + there.radius(), here, free)
        };
        self.promise.both_sides * (side(area, cluster) + side(cluster, area))
    }

    /// Adds to the sums on the nodes of a box.
    fn sum_on_nodes(&self, node: &mut Node, stations: &[u32], proxies: &[&Proxies]) {
        let surface = self.surface.only(stations, proxies);
        if surface.is_separable() {
            let [x, y] = [&self.x.at(node.x).nodes[..], &self.y.at(node.y).nodes[..]];
            let plane = x.len() * y.len();
            node.pairs += (surface.stations.len() * plane) as u64;
            node.sums.resize(surface.fields * plane, 0.0);
            let (surface, out) = (&surface, &mut node.sums[..]);
            self.evaluator.add_crossed(Crossed { surface, x, y, stride: x.len(), plane, out });
            return;
        }
        self.with_nodes((node.x, node.y), |targets| {
            node.pairs += (surface.stations.len() * targets.len) as u64;
            node.sums.resize(self.surface.fields * targets.len, 0.0);
            self.evaluator.add_sum(&surface, targets, targets.len, &mut node.sums);
        });
    }

    /// What is known of a box, and where to keep more; none of a map that nobody remembers.
    fn known(&self, (x, y): (usize, usize)) -> Option<(&Known, Arc<views::Box>)> {
        let known = self.known.as_deref()?;
        Some((known, known.of_box(x, y)?))
    }

    /// Does something at the nodes of a box, row by row.
    fn with_nodes<T>(&self, (x, y): (usize, usize), act: impl FnOnce(Targets<'_>) -> T) -> T {
        let find = || cross(&self.x.at(x).nodes, &self.y.at(y).nodes, self.surface.metric);
        let act = |points: &Points| {
            let axes: Vec<Axis<'_>> =
                (0..points.dims()).map(|k| Axis::Each(points.axis(k))).collect();
            act(Targets { axes: &axes, len: points.len() })
        };
        match self.known((x, y)) {
            Some((known, of_box)) => act(known.keep(&of_box.nodes, find, views::bytes_of)),
            None => act(&find()),
        }
    }
}

/// Where the values of two axes cross, row by row, in the coordinates of [`Metric::embed`]: that of
/// each axis apart, since sines and cosines are dear.
fn cross(x: &[f64], y: &[f64], metric: Metric) -> Points {
    let over = |of: fn(f64, f64) -> f64, x: &[f64], y: &[f64]| -> Vec<f64> {
        let mut all = Vec::with_capacity(x.len() * y.len());
        for &y in y {
            all.extend(x.iter().map(|&x| of(x, y)));
        }
        all
    };
    if !metric.is_spherical() {
        return Points::new(vec![over(|x, _| x, x, y), over(|_, y| y, x, y)]);
    }
    let parts = |axis: &[f64], of: fn(f64) -> f64| -> Vec<f64> {
        axis.iter().map(|degrees| of(degrees.to_radians())).collect()
    };
    let [cosine, sine] = [f64::cos, f64::sin].map(|of| parts(x, of));
    let [across, up] = [f64::cos, f64::sin].map(|of| parts(y, of));
    let scaled = |x, y| EARTH_RADIUS_KM * y * x;
    Points::new(vec![
        over(scaled, &cosine, &across),
        over(scaled, &sine, &across),
        over(|_, up| EARTH_RADIUS_KM * up, &cosine, &up),
    ])
}

impl Work {
    fn new(fields: usize) -> Self {
        Self { pairs: 0, bound: vec![0.0; fields], tail: vec![0.0; fields] }
    }

    /// The larger of both, of each.
    fn add(&mut self, bound: &[f64], tail: &[f64]) {
        for (all, here) in [(&mut self.bound, bound), (&mut self.tail, tail)] {
            all.iter_mut().zip(here).for_each(|(all, here)| *all = all.max(*here));
        }
    }
}
