//! What was found out about the stations of networks seen before: it does not change with the readings, and takes
//! longer than the rest of a small map.

use std::sync::{Arc, Mutex, PoisonError};

use isopleth_kernels::evaluate::far::Views;

use super::places::Sites;
use crate::observations::Station;

/// Networks remembered; the one used longest ago goes first.
const NETWORKS: usize = 32;

/// Of larger networks nothing is kept: their maps take long for other reasons.
const MOST_STATIONS: usize = 4096;

/// What is known of networks.
#[derive(Debug, Default)]
pub(crate) struct Lore {
    /// What is wrong with places, and which are shared.
    pub(super) sites: Remembered<Sites>,
    /// The nearest stations of every station, as the buddy check has them.
    pub(super) neighbours: Remembered<Vec<u32>>,
    /// How stations appear to the boxes of a grid, about two megabytes each at most.
    pub(crate) views: Remembered<Views>,
}

/// Answers by question, few and the latest.
#[derive(Debug)]
pub(crate) struct Remembered<T>(Mutex<Vec<(blake3::Hash, Arc<T>)>>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Remembered<T> {
    /// The answer, found out now if it is not known. Two that ask at once both find it out.
    pub(crate) fn get(
        &self,
        key: blake3::Hash,
        stations: usize,
        find: impl FnOnce() -> T,
    ) -> Arc<T> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut known = lock();
            if let Some(at) = known.iter().position(|(other, _)| *other == key) {
                let found = known.remove(at);
                let answer = Arc::clone(&found.1);
                known.push(found);
                return answer;
            }
        }
        let answer = Arc::new(find());
        if stations <= MOST_STATIONS {
            let mut known = lock();
            known.push((key, Arc::clone(&answer)));
            if known.len() > NETWORKS {
                known.remove(0);
            }
        }
        answer
    }
}

/// Identifies places, in their order, and the box that the user says they are in.
pub(super) fn key_of(
    stations: &[Station],
    in_degrees: bool,
    inside: Option<[f64; 4]>,
) -> blake3::Hash {
    let mut hash = blake3::Hasher::new();
    hash.update(&[u8::from(in_degrees)]);
    hash.update(bytemuck::cast_slice(&inside.unwrap_or([f64::NAN; 4])));
    for station in stations {
        hash.update(&station.x.to_le_bytes());
        hash.update(&station.y.to_le_bytes());
    }
    hash.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_not_found_out_again_until_too_much_else_came_between() {
        let remembered = Remembered::default();
        let key = |k: u32| blake3::hash(&k.to_le_bytes());
        let get = |k: u32| *remembered.get(key(k), 10, || k + 100);
        assert_eq!(get(1), 101);
        assert_eq!(*remembered.get(key(1), 10, || unreachable!("it is known")), 101);
        (2..40).for_each(|k| assert_eq!(get(k), k + 100));
        assert_eq!(*remembered.get(key(1), 10, || 7), 7, "forgotten, and found out again");
        assert_eq!(*remembered.get(key(99), 1 << 20, || 7), 7);
        assert_eq!(*remembered.get(key(99), 1 << 20, || 8), 8, "too large to be kept");
    }

    #[test]
    fn networks_differ_by_places_and_their_order_and_not_by_codes() {
        let station = |id: &str, x: f64| Station { id: id.into(), x, y: 1.0 };
        let key_of = |stations: &[Station]| key_of(stations, true, None);
        let two = [station("a", 1.0), station("b", 2.0)];
        let this = key_of(&two);
        assert_eq!(this, key_of(&[station("c", 1.0), station("d", 2.0)]));
        assert_ne!(this, key_of(&[station("b", 2.0), station("a", 1.0)]));
        assert_ne!(this, super::key_of(&two, false, None));
        assert_ne!(this, super::key_of(&two, true, Some([0.0; 4])));
    }
}
