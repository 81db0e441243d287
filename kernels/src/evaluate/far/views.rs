//! Views that were found before: they depend on stations, grid, kernel and ellipse, not on weights or order, so that
//! maps of one network on one grid share them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::admit::View;

/// By number of a box on both axes: how each station appears to it.
type Boxes = HashMap<(usize, usize), Arc<[AtomicU64]>>;

/// How stations appear to boxes, as far as anybody asked. For one set of stations, one grid and its tiles, one kernel
/// with its shape, and one ellipse and leaf of the scheme; orders may differ.
#[derive(Debug)]
pub struct Views {
    stations: usize,
    boxes: RwLock<Boxes>,
    most_boxes: usize,
}

/// Not asked yet, nothing, rough; everything else is the ellipse's bits, which is 1 at least.
const UNKNOWN: u64 = 0;
const NOTHING: u64 = 1;
const ROUGH: u64 = 2;

impl Views {
    /// None known yet, of so many stations; at most so many numbers are kept.
    #[must_use]
    pub fn new(stations: usize, most: usize) -> Self {
        let most_boxes = most.checked_div(stations).unwrap_or(0);
        Self { stations, boxes: RwLock::default(), most_boxes }
    }

    /// Those of a box; none where there is no more room.
    pub(super) fn of_box(&self, x: usize, y: usize) -> Option<Arc<[AtomicU64]>> {
        let known = self.boxes.read().unwrap_or_else(PoisonError::into_inner).get(&(x, y)).cloned();
        if known.is_some() {
            return known;
        }
        let mut boxes = self.boxes.write().unwrap_or_else(PoisonError::into_inner);
        if boxes.len() >= self.most_boxes {
            return boxes.get(&(x, y)).cloned();
        }
        let unknown = || (0..self.stations).map(|_| AtomicU64::new(UNKNOWN)).collect();
        Some(Arc::clone(boxes.entry((x, y)).or_insert_with(unknown)))
    }
}

/// The view of a station, looked at only if nobody has. Two that look at once see the same.
pub(super) fn recall(
    known: Option<&[AtomicU64]>,
    station: u32,
    look: impl FnOnce() -> View,
) -> View {
    let Some(place) = known.and_then(|known| known.get(station as usize)) else { return look() };
    match place.load(Ordering::Relaxed) {
        UNKNOWN => {
            let view = look();
            let bits = match view {
                View::Nothing => NOTHING,
                View::Rough => ROUGH,
                View::Smooth(free) => free.to_bits(),
            };
            place.store(bits, Ordering::Relaxed);
            view
        }
        NOTHING => View::Nothing,
        ROUGH => View::Rough,
        bits => View::Smooth(f64::from_bits(bits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_looked_at_once_and_never_beyond_the_room() {
        let views = Views::new(3, 6);
        let asked = std::cell::Cell::new(0);
        let look = |view| {
            asked.set(asked.get() + 1);
            view
        };
        let of_box = views.of_box(4, 5);
        for _ in 0..2 {
            let known = of_box.as_deref();
            for (station, view) in
                [View::Smooth(1.0), View::Rough, View::Nothing].into_iter().enumerate()
            {
                assert_eq!(recall(known, station as u32, || look(view)), view);
            }
        }
        assert_eq!(asked.get(), 3);
        assert!(views.of_box(4, 6).is_some());
        assert!(views.of_box(4, 7).is_none(), "two boxes of three stations are six");
        assert!(views.of_box(4, 5).is_some());
        assert_eq!(recall(None, 0, || look(View::Rough)), View::Rough);
        assert_eq!(asked.get(), 4);
    }
}
