//! What was found out before: trees of the axes, places of stations, which of them enter where and with what promise
//! depend on stations, grid, kernel and scheme, not on weights, so that maps of one network on one grid share them.

use std::collections::HashMap;
use std::mem::size_of;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::admit::Place;
use super::axis::AxisTree;
use super::sources::Source;
use crate::Points;

/// Schemes that one network's maps on one grid have, as a rule two.
const MOST_SCHEMES: usize = 4;

/// How stations appear to boxes, as far as anybody asked. For one set of stations, one grid and its tiles, one kernel
/// with its shape, and one ellipse and leaf of the scheme; orders may differ.
#[derive(Debug)]
pub struct Views {
    orders: RwLock<Vec<(usize, Arc<Known>)>>,
    room: Arc<Room>,
}

/// Bytes used, of so many.
#[derive(Debug)]
struct Room {
    used: AtomicUsize,
    most: usize,
}

/// What is known for one order.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) x: Arc<AxisTree>,
    pub(super) y: Arc<AxisTree>,
    pub(super) places: Arc<[Place]>,
    boxes: RwLock<HashMap<(usize, usize), Arc<Box>>>,
    room: Arc<Room>,
}

/// What is known of a box.
#[derive(Debug, Default)]
pub(super) struct Box {
    pub(super) nodes: OnceLock<Points>,
    /// As a box with parts, and as a leaf.
    pub(super) entered: [OnceLock<Entered>; 2],
}

/// What becomes of the stations that wait for a box.
#[derive(Clone, Debug, Default)]
pub(super) struct Entered {
    /// Those that enter, and what is promised of each with a weight of 1.
    pub(super) stations: Vec<u32>,
    pub(super) promises: Vec<f64>,
    /// Those that go on waiting.
    pub(super) waiting: Vec<Source>,
}

impl Views {
    /// None known yet; about so many bytes are kept at most.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let room = Arc::new(Room { used: AtomicUsize::new(0), most });
        Self { orders: RwLock::default(), room }
    }

    /// What is known for an order; none where there is no more room.
    pub(super) fn of_order(
        &self,
        order: usize,
        find: impl FnOnce() -> ([AxisTree; 2], Vec<Place>),
    ) -> Option<Arc<Known>> {
        let get = |all: &[(usize, Arc<Known>)]| {
            all.iter().find(|(other, _)| *other == order).map(|(_, known)| Arc::clone(known))
        };
        let known = get(&self.orders.read().unwrap_or_else(PoisonError::into_inner));
        if known.is_some() || self.room.is_full() {
            return known;
        }
        let ([x, y], places) = find();
        let bytes = x.bytes() + y.bytes() + places.len() * size_of::<Place>();
        let mut orders = self.orders.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = get(&orders) {
            return Some(known);
        }
        if orders.len() >= MOST_SCHEMES {
            return None;
        }
        self.room.take(bytes);
        let [x, y] = [x, y].map(Arc::new);
        let (boxes, room) = (RwLock::default(), Arc::clone(&self.room));
        let known = Arc::new(Known { x, y, places: places.into(), boxes, room });
        orders.push((order, Arc::clone(&known)));
        Some(known)
    }
}

impl Room {
    fn is_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.most
    }

    fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Known {
    /// What is known of a box; none where there is no more room.
    pub(super) fn of_box(&self, x: usize, y: usize) -> Option<Arc<Box>> {
        let known = self.boxes.read().unwrap_or_else(PoisonError::into_inner).get(&(x, y)).cloned();
        if known.is_some() || self.room.is_full() {
            return known;
        }
        let mut boxes = self.boxes.write().unwrap_or_else(PoisonError::into_inner);
        self.room.take(size_of::<Box>());
        Some(Arc::clone(boxes.entry((x, y)).or_default()))
    }

    /// Remembers, and counts the room it takes. Two that find out at once find the same.
    pub(super) fn keep<'k, T>(
        &self,
        place: &'k OnceLock<T>,
        find: impl FnOnce() -> T,
        bytes: impl FnOnce(&T) -> usize,
    ) -> &'k T {
        place.get_or_init(|| {
            let found = find();
            self.room.take(bytes(&found));
            found
        })
    }
}

impl Entered {
    pub(super) fn bytes(&self) -> usize {
        self.stations.len() * (size_of::<u32>() + size_of::<f64>())
            + self.waiting.len() * size_of::<Source>()
    }
}

/// What places take.
pub(super) fn bytes_of(points: &Points) -> usize {
    points.len() * points.dims() * size_of::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trees() -> ([AxisTree; 2], Vec<Place>) {
        let axis = [0.0, 1.0, 2.0];
        ([(); 2].map(|()| AxisTree::new(&axis, 8, 8, 4)), Vec::new())
    }

    #[test]
    fn what_is_known_is_not_found_out_again_and_never_takes_much_more_than_its_room() {
        let views = Views::new(4096);
        let known = views.of_order(4, trees).expect("room");
        let again = views.of_order(4, || unreachable!("known")).expect("known");
        assert!(Arc::ptr_eq(&known, &again));
        let one = known.of_box(4, 5).expect("room");
        let find = || Entered { stations: vec![7; 1000], ..Entered::default() };
        assert_eq!(known.keep(&one.entered[0], find, Entered::bytes).stations.len(), 1000);
        let known_now = known.keep(&one.entered[0], || unreachable!("known"), Entered::bytes);
        assert_eq!(known_now.stations[0], 7);
        assert!(known.of_box(4, 6).is_none(), "full");
        assert!(known.of_box(4, 5).is_some());
        assert!(views.of_order(6, trees).is_none(), "full");
    }
}
