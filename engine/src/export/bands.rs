//! Lines of one level and areas between two, from values at the centres of cells.
//!
//! Four neighbouring centres are a square; along its sides values are linear. The part of a square
//! that lies within two levels is a polygon whose corners are centres and crossings of levels; its
//! sides that no neighbour has are chained to rings. So areas of neighbouring bands fit together
//! without gaps, and a hole never shares a side with its outside.
//!
//! A square with a missing corner is left out, and what it borders on ends there: no line runs along
//! the edge of a mask. A square whose diagonals cross (a saddle) is cut into four triangles around
//! the mean of its corners.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Values at centres, row by row; NaN where there is none.
pub(super) struct Field<'a> {
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) values: &'a [f64],
}

/// A point of a ring in columns and rows, counted from the first centre.
pub(super) type Point = [f64; 2];

/// An area: its outside, counter-clockwise as columns and rows go, and its holes, clockwise.
pub(super) struct Polygon {
    pub(super) outside: Vec<Point>,
    pub(super) holes: Vec<Vec<Point>>,
}

/// A crossing stays this part of a side away from its ends: rings do not touch themselves where a
/// value is a level. A thousandth of a cell is far below what a map knows.
const AWAY: f64 = 1e-3;

/// A corner of a polygon: a centre, or where a side crosses a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Vertex {
    /// The cell (of a square: the first) and its side: 0 to the right, 1 down the rows, 2 to 5 from
    /// a corner of the square to its middle; 6 is the centre of the cell, 7 the middle of the square.
    cell: u32,
    side: u8,
    upper: bool,
}

/// A side of a piece: its ends with their values, and the name of the line it lies on.
#[derive(Clone, Copy)]
struct Side {
    from: (Vertex, f64),
    to: (Vertex, f64),
    cell: u32,
    side: u8,
    /// Whether no other piece lies beyond.
    open: bool,
}

type Segment = (Vertex, Vertex);

impl Field<'_> {
    /// Lines along which the field is `level`, higher values on the left as columns and rows go.
    pub(super) fn lines(&self, level: f64) -> Vec<Vec<Point>> {
        let mut segments = Vec::new();
        self.pieces(|sides| segments_of(sides, [level, f64::INFINITY], &mut segments, false));
        self.chained(segments, [level, f64::INFINITY])
    }

    /// Areas where the field is from `low` on and below `high`.
    pub(super) fn band(&self, low: f64, high: f64) -> Vec<Polygon> {
        let mut segments = Vec::new();
        self.pieces(|sides| segments_of(sides, [low, high], &mut segments, true));
        sorted(self.chained(segments, [low, high]))
    }

    fn value(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.columns + column]
    }

    /// Whether four centres have values, the first of them at this row and column.
    fn is_square(&self, row: Option<usize>, column: Option<usize>) -> bool {
        let (Some(row), Some(column)) = (row, column) else { return false };
        row + 1 < self.rows
            && column + 1 < self.columns
            && !(self.value(row, column)
                + self.value(row, column + 1)
                + self.value(row + 1, column)
                + self.value(row + 1, column + 1))
            .is_nan()
    }

    /// Hands over the sides of every square, or of its four triangles.
    fn pieces(&self, mut take: impl FnMut(&[Side])) {
        for row in 0..self.rows.saturating_sub(1) {
            for column in 0..self.columns.saturating_sub(1) {
                if self.is_square(Some(row), Some(column)) {
                    self.piece(row, column, &mut take);
                }
            }
        }
    }

    fn piece(&self, row: usize, column: usize, take: &mut impl FnMut(&[Side])) {
        let places = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column)];
        let values = places.map(|(row, column)| self.value(row, column));
        let cells = places.map(|(row, column)| self.cell(row, column));
        let corner = |k: usize| (Vertex { cell: cells[k], side: 6, upper: false }, values[k]);
        let above = row.checked_sub(1);
        let before = column.checked_sub(1);
        let neighbours = [
            self.is_square(above, Some(column)),
            self.is_square(Some(row), Some(column + 1)),
            self.is_square(Some(row + 1), Some(column)),
            self.is_square(Some(row), before),
        ];
        // Sides by their lesser cell: along the row, down the next column, along the next row, down.
        let lines = [(cells[0], 0), (cells[1], 1), (cells[3], 0), (cells[0], 1)];
        let sides: [Side; 4] = std::array::from_fn(|k| Side {
            from: corner(k),
            to: corner((k + 1) % 4),
            cell: lines[k].0,
            side: lines[k].1,
            open: !neighbours[k],
        });
        let [a, b, c, d] = values;
        let is_saddle = a.min(c) > b.max(d) || b.min(d) > a.max(c);
        if !is_saddle {
            return take(&sides);
        }
        let middle = (Vertex { cell: cells[0], side: 7, upper: false }, (a + b + c + d) / 4.0);
        for k in 0..4_u8 {
            let inner = |corner: u8, from, to| Side {
                from,
                to,
                cell: cells[0],
                side: 2 + corner,
                open: false,
            };
            let (this, next) = (usize::from(k), (usize::from(k) + 1) % 4);
            let into = inner((k + 1) % 4, corner(next), middle);
            take(&[sides[this], into, inner(k, middle, corner(this))]);
        }
    }

    fn cell(&self, row: usize, column: usize) -> u32 {
        u32::try_from(row * self.columns + column).unwrap_or(u32::MAX)
    }

    /// Puts segments together: each begins where another ends, or a line begins.
    fn chained(&self, mut segments: Vec<Segment>, levels: [f64; 2]) -> Vec<Vec<Point>> {
        segments.sort_unstable();
        let mut ends: Vec<Vertex> = segments.iter().map(|segment| segment.1).collect();
        ends.sort_unstable();
        let mut used = vec![false; segments.len()];
        let mut chains = Vec::new();
        // Open lines first, from their beginnings; then what is left is rings.
        let begins = (0..segments.len()).filter(|&k| ends.binary_search(&segments[k].0).is_err());
        let order: Vec<usize> = begins.collect();
        for first in order.into_iter().chain(0..segments.len()) {
            if used[first] {
                continue;
            }
            used[first] = true;
            let mut chain = vec![segments[first].0, segments[first].1];
            while let Some(k) = self.next(&chain, &segments, &used) {
                used[k] = true;
                chain.push(segments[k].1);
                if chain.first() == chain.last() {
                    break;
                }
            }
            for simple in simple(chain) {
                chains.push(simple.into_iter().map(|v| self.point(v, levels)).collect());
            }
        }
        chains
    }

    /// The segment that goes on from the end of a chain. Where two do (areas that touch at a centre)
    /// the one furthest to the left, which is of the same area.
    fn next(&self, chain: &[Vertex], segments: &[Segment], used: &[bool]) -> Option<usize> {
        let (before, at) = (chain[chain.len() - 2], chain[chain.len() - 1]);
        let first = segments.partition_point(|segment| segment.0 < at);
        let on = (first..segments.len()).take_while(|&k| segments[k].0 == at);
        let free: Vec<usize> = on.filter(|&k| !used[k]).collect();
        if let [] | [_] = free[..] {
            return free.first().copied();
        }
        let (from, here) = (self.rough(before), self.rough(at));
        let turn = |k: usize| {
            let to = self.rough(segments[k].1);
            let (ax, ay) = (here[0] - from[0], here[1] - from[1]);
            let (bx, by) = (to[0] - here[0], to[1] - here[1]);
            (ax * by - ay * bx).atan2(ax * bx + ay * by)
        };
        free.into_iter().max_by(|&a, &b| turn(a).total_cmp(&turn(b)))
    }

    fn point(&self, vertex: Vertex, levels: [f64; 2]) -> Point {
        let (from, to) = self.ends(vertex);
        let Some(to) = to else { return from.0 };
        let level = levels[usize::from(vertex.upper)];
        let share = ((level - from.1) / (to.1 - from.1)).clamp(AWAY, 1.0 - AWAY);
        between(from.0, to.0, share)
    }

    /// A crossing as if it were in the middle of its side: enough for a direction.
    fn rough(&self, vertex: Vertex) -> Point {
        let (from, to) = self.ends(vertex);
        to.map_or(from.0, |to| between(from.0, to.0, 0.5))
    }

    /// The ends of the side that a vertex is on, with their values; one for a centre.
    #[expect(clippy::cast_precision_loss, reason = "columns and rows")]
    fn ends(&self, vertex: Vertex) -> ((Point, f64), Option<(Point, f64)>) {
        let (row, column) =
            (vertex.cell as usize / self.columns, vertex.cell as usize % self.columns);
        let centre =
            |row: usize, column: usize| ([column as f64, row as f64], self.value(row, column));
        let corner = |k: u8| match k {
            0 => centre(row, column),
            1 => centre(row, column + 1),
            2 => centre(row + 1, column + 1),
            _ => centre(row + 1, column),
        };
        let middle = || {
            let sum: f64 = (0..4).map(|k| corner(k).1).sum();
            ([column as f64 + 0.5, row as f64 + 0.5], sum / 4.0)
        };
        match vertex.side {
            0 => (corner(0), Some(corner(1))),
            1 => (corner(0), Some(corner(3))),
            side @ 2..=5 => (corner(side - 2), Some(middle())),
            6 => (corner(0), None),
            _ => (middle(), None),
        }
    }
}

/// A ring that comes by a centre again is cut there: an outside and a hole that touches it.
fn simple(chain: Vec<Vertex>) -> Vec<Vec<Vertex>> {
    let mut rings = Vec::new();
    let mut seen: BTreeMap<Vertex, usize> = BTreeMap::new();
    let mut rest: Vec<Vertex> = Vec::with_capacity(chain.len());
    for vertex in chain {
        // Crossings lie within sides, which no ring comes by twice.
        if vertex.side == 6 {
            if let Some(&first) = seen.get(&vertex) {
                let mut ring = rest.split_off(first + 1);
                for corner in &ring {
                    seen.remove(corner);
                }
                ring.insert(0, vertex);
                ring.push(vertex);
                rings.push(ring);
                continue;
            }
            seen.insert(vertex, rest.len());
        }
        rest.push(vertex);
    }
    if rest.len() > 1 {
        rings.push(rest);
    }
    rings
}

fn between(from: Point, to: Point, share: f64) -> Point {
    [from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share]
}

/// The sides of the part of a piece within two levels: those along a level, and, for areas, those
/// along sides that no neighbour has.
fn segments_of(sides: &[Side], levels: [f64; 2], out: &mut Vec<Segment>, areas: bool) {
    let mut first: Option<Vertex> = None;
    let mut before: Option<Vertex> = None;
    for side in sides {
        let Some((from, to)) = side.within(levels) else { continue };
        if let Some(before) = before
            && before != from
        {
            out.push((before, from));
        }
        if areas && side.open && from != to {
            out.push((from, to));
        }
        first = first.or(Some(from));
        before = Some(to);
    }
    if let (Some(last), Some(first)) = (before, first)
        && last != first
    {
        out.push((last, first));
    }
}

impl Side {
    /// The part of a side that is from the low level on and below the high one.
    fn within(&self, [low, high]: [f64; 2]) -> Option<(Vertex, Vertex)> {
        let inside = |value: f64| low <= value && value < high;
        let crossing = |upper| Vertex { cell: self.cell, side: self.side, upper };
        let (a, b) = (self.from.1, self.to.1);
        if (a < low && b < low) || (a >= high && b >= high) {
            return None;
        }
        let start = if inside(a) { self.from.0 } else { crossing(a >= high) };
        let end = if inside(b) { self.to.0 } else { crossing(b >= high) };
        Some((start, end))
    }
}

/// Rings as polygons: each hole goes to the smallest outside around it.
fn sorted(rings: Vec<Vec<Point>>) -> Vec<Polygon> {
    let (outsides, holes): (Vec<_>, Vec<_>) =
        rings.into_iter().filter(|ring| ring.len() > 3).partition(|ring| area(ring) > 0.0);
    let mut polygons: Vec<(f64, [f64; 4], Polygon)> = outsides
        .into_iter()
        .map(|outside| (area(&outside), reach(&outside), Polygon { outside, holes: Vec::new() }))
        .collect();
    polygons.sort_by(|a, b| a.0.total_cmp(&b.0));
    for hole in holes {
        // The middle of a side lies on no other ring.
        let at = between(hole[0], hole[1], 0.5);
        let around = polygons.iter_mut().find(|(_, [x0, y0, x1, y1], polygon)| {
            (*x0..=*x1).contains(&at[0])
                && (*y0..=*y1).contains(&at[1])
                && contains(&polygon.outside, at)
        });
        if let Some((_, _, polygon)) = around {
            polygon.holes.push(hole);
        }
    }
    polygons.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal));
    polygons.into_iter().map(|(_, _, polygon)| polygon).collect()
}

/// Twice the area of a closed ring; negative if it is clockwise.
pub(super) fn area(ring: &[Point]) -> f64 {
    ring.windows(2).map(|w| w[0][0] * w[1][1] - w[1][0] * w[0][1]).sum()
}

fn reach(ring: &[Point]) -> [f64; 4] {
    ring.iter().fold([f64::MAX, f64::MAX, f64::MIN, f64::MIN], |r, p| {
        [r[0].min(p[0]), r[1].min(p[1]), r[2].max(p[0]), r[3].max(p[1])]
    })
}

fn contains(ring: &[Point], [x, y]: Point) -> bool {
    let crossed = ring.windows(2).filter(|w| {
        let ([ax, ay], [bx, by]) = (w[0], w[1]);
        (ay > y) != (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax
    });
    crossed.count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(polygons: &[Polygon]) -> f64 {
        let one = |p: &Polygon| area(&p.outside) + p.holes.iter().map(|h| area(h)).sum::<f64>();
        polygons.iter().map(one).sum::<f64>() / 2.0
    }

    #[test]
    fn a_cone_has_a_ring_around_a_hole() {
        let n = 21_usize;
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let values: Vec<f64> = (0..n * n)
            .map(|k| 10.0 - ((k / n) as f64 - 10.0).hypot((k % n) as f64 - 10.0))
            .collect();
        let field = Field { columns: n, rows: n, values: &values };
        let band = field.band(3.0, 6.0);
        assert_eq!(band.len(), 1);
        assert_eq!(band[0].holes.len(), 1);
        let want = std::f64::consts::PI * (49.0 - 16.0);
        // Circles become polygons of chords, a percent smaller.
        assert!((of(&band) - want).abs() < 0.02 * want, "{}", of(&band));
        let lines = field.lines(6.0);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].first(), lines[0].last());
        assert!(area(&lines[0]) > 0.0, "higher values are on the left");
        for &[x, y] in &lines[0] {
            assert!(((x - 10.0).hypot(y - 10.0) - 4.0).abs() < 0.05);
        }
    }

    #[test]
    fn a_hole_in_the_values_makes_no_line() {
        let mut values: Vec<f64> = (0..100).map(|k| f64::from(k % 10)).collect();
        values[44] = f64::NAN;
        let field = Field { columns: 10, rows: 10, values: &values };
        let lines = field.lines(3.5);
        // The line down the column is cut at the missing value, and nothing else is drawn.
        assert_eq!(lines.len(), 2);
        for line in &lines {
            assert!(line.iter().all(|p| (p[0] - 3.5).abs() < 1e-12), "{line:?}");
        }
        assert!(field.lines(8.5).iter().all(|line| line.len() == 10));
        let all = field.band(0.0, 100.0);
        assert_eq!((all.len(), all[0].holes.len()), (1, 1));
        assert!((of(&all) - (81.0 - 4.0)).abs() < 1e-9);
    }

    #[test]
    fn an_area_that_touches_itself_at_a_centre_has_a_hole_that_touches_its_outside() {
        // Squares are missing in the upper left corner and diagonally below it.
        let mut values = vec![1.0; 36];
        values[0] = f64::NAN;
        values[14] = f64::NAN;
        let field = Field { columns: 6, rows: 6, values: &values };
        let all = field.band(0.0, 2.0);
        assert_eq!((all.len(), all[0].holes.len()), (1, 1));
        let (outside, hole) = (&all[0].outside, &all[0].holes[0]);
        let shared: Vec<_> = hole[1..].iter().filter(|p| outside.contains(p)).collect();
        assert_eq!(shared, [&[1.0, 1.0]]);
        for ring in [outside, hole] {
            for (k, point) in ring[1..].iter().enumerate() {
                assert!(!ring[k + 2..].contains(point), "{ring:?}");
            }
        }
        assert!((of(&all) - (25.0 - 5.0)).abs() < 1e-12);
    }

    proptest! {
        /// Ties, saddles and holes are common among small whole numbers.
        #[test]
        fn bands_fill_all_squares_with_values_once(
            values in prop::collection::vec(prop::option::weighted(0.9, -2..5_i32), 48),
        ) {
            let values: Vec<f64> =
                values.iter().map(|v| v.map_or(f64::NAN, f64::from)).collect();
            let field = Field { columns: 8, rows: 6, values: &values };
            let squares = (0..5).flat_map(|r| (0..7).map(move |c| (r, c)))
                .filter(|&(r, c)| field.is_square(Some(r), Some(c))).count();
            let levels = [-2.0, -1.0, 0.5, 2.0, 3.0, 5.0];
            let bands: Vec<Vec<Polygon>> =
                levels.windows(2).map(|w| field.band(w[0], w[1])).collect();
            let sum: f64 = bands.iter().map(|band| of(band)).sum();
            // Crossings are moved by up to a thousandth of a cell, the same for both bands they bound.
            prop_assert!((sum - f64::from(u32::try_from(squares).unwrap())).abs() < 1e-9, "{sum} {squares}");
            for (ring, is_hole) in bands.iter().flatten().flat_map(|p| {
                std::iter::once((&p.outside, false)).chain(p.holes.iter().map(|h| (h, true)))
            }) {
                prop_assert_eq!(ring.first(), ring.last());
                prop_assert_eq!(area(ring) < 0.0, is_hole);
            }
            let levels = levels.map(|level| field.lines(level + 0.25));
            for line in levels.iter().flatten() {
                prop_assert!(line.len() > 1);
            }
        }
    }
}
