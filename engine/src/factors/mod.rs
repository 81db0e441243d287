//! Factors outlive the run that made them: in memory for requests of one process, on disk for
//! processes to come.
//!
//! A factor depends on places and method alone, never on readings, so hours of one network share it;
//! likewise the variances on a grid (`Keep`). Whoever asks first computes; who asks for the same meanwhile waits and gets that one.

mod file;
mod store;

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use isopleth_kernels::{Factor, Par, Points, Resolved};
use serde::{Deserialize, Serialize};

pub(crate) use store::words;
pub use store::{Entry, FactorStore};

use crate::choice::KeptChoices;
use crate::error::Error;
use crate::progress::Cancel;
use crate::quality::Lore;

/// How often a run that waits for another's factor looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(20);

/// Where a factor came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// It was computed.
    #[default]
    Computed,
    /// Another run of this process had it.
    Memory,
    /// Another process, or this one before a restart, had kept it.
    Disk,
}

/// A factor, or what is kept beside it, and how it was come by.
pub(crate) struct Obtained<T = Factor> {
    pub(crate) value: Arc<T>,
    pub(crate) origin: Origin,
    /// Why it could not be kept, where it was to be.
    pub(crate) warning: Option<String>,
}

/// What is kept beside factors: as dear to make, and as little dependent on readings.
pub(crate) trait Keep: Send + Sync + Sized + 'static {
    /// What it takes in memory.
    fn bytes(&self) -> u64;
    /// All of it; a multiple of 8 bytes, which are read again by a machine of the same kind only.
    fn to_bytes(&self) -> Vec<u8>;
    /// None of what is no such thing.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

/// Factors by network and method, shared by all runs of a process.
#[derive(Default)]
pub struct FactorCache {
    memory_bytes: u64,
    store: Option<FactorStore>,
    choices: KeptChoices,
    lore: Lore,
    shelf: Mutex<Shelf>,
    /// Told when a factor is done, or given up.
    changed: Condvar,
}

#[derive(Default)]
struct Shelf {
    kept: HashMap<Key, Kept>,
    under_way: HashSet<Key>,
    /// Counts uses; the entry used least recently goes first.
    clock: u64,
}

struct Kept {
    what: Arc<dyn Any + Send + Sync>,
    bytes: u64,
    used: u64,
}

/// Everything that a factor depends on, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn new(stations: &Points, method: &Resolved) -> Self {
        let mut hash = blake3::Hasher::new();
        // Another version may factorise in another way.
        hash.update(concat!("isopleth factor ", env!("CARGO_PKG_VERSION"), " ").as_bytes());
        let Resolved { kernel, epsilon, degree, metric, convention, .. } = method;
        let Resolved { diagonal, covariates, stretch, .. } = method;
        hash.update(
            format!("{kernel} {degree} {metric} {convention:?} {}", stations.len()).as_bytes(),
        );
        hash.update(&epsilon.to_le_bytes());
        let axes = (0..stations.dims()).map(|k| stations.axis(k));
        // As many of each as there are stations, so that nothing can be taken for something else.
        for number in axes.flatten().chain(diagonal).chain(covariates.iter().flatten()) {
            hash.update(&number.to_le_bytes());
        }
        for number in stretch.iter().flat_map(|stretch| stretch.rows()).flatten() {
            hash.update(&number.to_le_bytes());
        }
        Self(*hash.finalize().as_bytes())
    }

    /// Of something that depends on this and more.
    pub(crate) fn and(&self, more: &[u8]) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(&self.0);
        hash.update(more);
        Self(*hash.finalize().as_bytes())
    }

    fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl FactorCache {
    /// Keeps nothing: every run computes its own.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Keeps factors of at most `memory_bytes` together in memory, the latest used, and in a store.
    #[must_use]
    pub fn new(memory_bytes: u64, store: Option<FactorStore>) -> Self {
        let beside = |store: &FactorStore| KeptChoices::beside(store.choices_file());
        let choices = store.as_ref().map(beside).unwrap_or_default();
        Self { memory_bytes, store, choices, ..Self::default() }
    }

    /// What was chosen for networks seen before.
    pub(crate) fn choices(&self) -> &KeptChoices {
        &self.choices
    }

    /// What was found out about the stations of networks seen before.
    pub(crate) fn lore(&self) -> &Lore {
        &self.lore
    }

    /// The factor of a network: kept, waited for, or computed with `par`.
    pub(crate) fn obtain(
        &self,
        stations: &Points,
        method: &Resolved,
        par: Par,
        cancel: &Cancel,
    ) -> Result<Obtained, Error> {
        let key = Key::new(stations, method);
        if let Some(value) = self.wait(key, cancel)? {
            return Ok(Obtained { value, origin: Origin::Memory, warning: None });
        }
        let bytes = |factor: &Factor| {
            8 * Factor::saved_numbers(factor.stations().len(), factor.terms()) as u64
        };
        // Ends the waiting of others also where computing fails.
        let _done = Done { cache: self, key };
        if let Some(factor) = self.store.as_ref().and_then(|s| s.get(&key, stations, method)) {
            let value = self.keep(key, bytes(&factor), factor);
            return Ok(Obtained { value, origin: Origin::Disk, warning: None });
        }
        let factor = Factor::new(stations, method, par)?;
        let put = self.store.as_ref().map_or(Ok(()), |store| store.put(&key, &factor));
        let warning = put.err().map(|e| format!("the factorisation could not be kept: {e}"));
        let value = self.keep(key, bytes(&factor), factor);
        Ok(Obtained { value, origin: Origin::Computed, warning })
    }

    /// Something beside factors: kept, waited for, or made. `text` tells people what it is.
    pub(crate) fn obtain_kept<T: Keep>(
        &self,
        (key, text): (Key, &str),
        cancel: &Cancel,
        make: impl FnOnce() -> Result<T, Error>,
    ) -> Result<Obtained<T>, Error> {
        if let Some(value) = self.wait(key, cancel)? {
            return Ok(Obtained { value, origin: Origin::Memory, warning: None });
        }
        let _done = Done { cache: self, key };
        if let Some(kept) = self.store.as_ref().and_then(|store| store.get_kept::<T>(&key)) {
            let value = self.keep(key, kept.bytes(), kept);
            return Ok(Obtained { value, origin: Origin::Disk, warning: None });
        }
        let made = make()?;
        let put = self.store.as_ref().map_or(Ok(()), |store| store.put_kept(&key, &made, text));
        let warning = put.err().map(|e| format!("{text} could not be kept: {e}"));
        let value = self.keep(key, made.bytes(), made);
        Ok(Obtained { value, origin: Origin::Computed, warning })
    }

    /// What there is; none if the caller is the one to make it.
    fn wait<T: Send + Sync + 'static>(
        &self,
        key: Key,
        cancel: &Cancel,
    ) -> Result<Option<Arc<T>>, Error> {
        let mut shelf = self.shelf();
        loop {
            cancel.check()?;
            shelf.clock += 1;
            let now = shelf.clock;
            if let Some(kept) = shelf.kept.get_mut(&key) {
                kept.used = now;
                if let Ok(what) = kept.what.clone().downcast() {
                    return Ok(Some(what));
                }
            }
            if shelf.under_way.insert(key) {
                return Ok(None);
            }
            let waited = self.changed.wait_timeout(shelf, PATIENCE);
            shelf = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn keep<T: Send + Sync + 'static>(&self, key: Key, bytes: u64, value: T) -> Arc<T> {
        let value = Arc::new(value);
        let mut shelf = self.shelf();
        if bytes <= self.memory_bytes {
            shelf.clock += 1;
            let (what, used) = (value.clone(), shelf.clock);
            shelf.kept.insert(key, Kept { what, bytes, used });
            while shelf.kept.values().map(|kept| kept.bytes).sum::<u64>() > self.memory_bytes {
                let oldest = shelf.kept.iter().min_by_key(|(_, kept)| kept.used);
                let Some(oldest) = oldest.map(|(key, _)| *key) else { break };
                shelf.kept.remove(&oldest);
            }
        }
        value
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for FactorCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FactorCache")
            .field("memory_bytes", &self.memory_bytes)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// While it lives, a key is under way.
struct Done<'a> {
    cache: &'a FactorCache,
    key: Key,
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.cache.shelf().under_way.remove(&self.key);
        self.cache.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use isopleth_kernels::{Kernel, Method, Metric};

    use super::*;

    pub(super) fn network(n: u32) -> Points {
        let axis = |step: f64| (0..n).map(|i| (f64::from(i) * step).fract()).collect();
        Points::new(vec![axis(0.618_034), axis(0.754_877)])
    }

    pub(super) fn method(kernel: Kernel, stations: &Points) -> Resolved {
        let method = Method { kernel, metric: Metric::Planar, ..Method::default() };
        method.resolve(stations).unwrap()
    }

    fn origin(cache: &FactorCache, stations: &Points, kernel: Kernel) -> Origin {
        let method = method(kernel, stations);
        cache.obtain(stations, &method, Par::Seq, &Cancel::default()).unwrap().origin
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let stations = network(50);
        // Two of them, not three.
        let cache = FactorCache::new(45_000, None);
        let [a, b, c] = [Kernel::Linear, Kernel::Cubic, Kernel::ThinPlateSpline];
        let origins = [a, b, a, c, a, b].map(|kernel| origin(&cache, &stations, kernel));
        use Origin::{Computed, Memory};
        assert_eq!(origins, [Computed, Computed, Memory, Computed, Memory, Computed]);
        assert_eq!(origin(&FactorCache::off(), &stations, a), Computed);
    }

    #[test]
    fn what_two_ask_for_at_once_is_computed_once() {
        let stations = network(400);
        let cache = FactorCache::new(1 << 30, None);
        let (start, computed) = (Barrier::new(8), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    if origin(&cache, &stations, Kernel::Linear) == Origin::Computed {
                        computed.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(computed.into_inner(), 1);
    }

    #[test]
    fn a_network_that_fails_does_not_keep_others_waiting() {
        let twice = Points::new(vec![vec![0.0, 0.0, 1.0], vec![0.0, 0.0, 1.0]]);
        let cache = FactorCache::new(1 << 30, None);
        let method = method(Kernel::Linear, &twice);
        for _ in 0..2 {
            assert!(cache.obtain(&twice, &method, Par::Seq, &Cancel::default()).is_err());
        }
    }

    #[test]
    fn whoever_waits_can_be_cancelled() {
        let stations = network(10);
        let method = method(Kernel::Linear, &stations);
        let cache = FactorCache::new(1 << 30, None);
        let key = Key::new(&stations, &method);
        cache.shelf().under_way.insert(key);
        let cancel = Cancel::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| cache.obtain(&stations, &method, Par::Seq, &cancel));
            cancel.cancel();
            assert!(matches!(waiting.join().unwrap(), Err(Error::Cancelled)));
        });
    }

    #[test]
    fn the_key_tells_networks_and_methods_apart() {
        let stations = network(20);
        let plain = method(Kernel::Linear, &stations);
        let mut others = vec![method(Kernel::Cubic, &stations)];
        others.push(Resolved { epsilon: 2.0, ..plain.clone() });
        others.push(Resolved { degree: 1, ..plain.clone() });
        let mut smooth = plain.clone();
        smooth.diagonal[7] = 1e-300;
        others.push(smooth);
        let anisotropy = isopleth_kernels::Anisotropy::new(2.0, 30.0).ok();
        let stretched = Method { anisotropy, metric: Metric::Planar, ..Method::default() };
        others.push(stretched.resolve(&stations).unwrap());
        let key = Key::new(&stations, &plain);
        assert!(others.iter().all(|other| Key::new(&stations, other) != key));
        assert_ne!(Key::new(&network(21), &method(Kernel::Linear, &network(21))), key);
        assert_eq!(Key::new(&network(20), &plain), key);
    }
}
