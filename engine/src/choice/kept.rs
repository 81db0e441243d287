//! Choices that outlive their run, so that the maps of an hour look like those of the hour before.
//!
//! A network is known again when most of its stations are there, since a few fall silent and come
//! back all the time. Kept in memory, and where factors are kept on disk, beside them, in one file.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::candidates::Candidate;
use crate::observations::Station;
use crate::settings::Auto;
use crate::transform::Transforms;

/// Networks remembered; the one used longest ago goes first.
const NETWORKS: usize = 32;

/// So many stations in a hundred must be the same.
const COMMON: usize = 80;

/// Of a larger file, or one of another format, nothing is believed.
const LARGEST_FILE: u64 = 64 << 20;
const FORMAT: u32 = 2;

/// All choices known.
#[derive(Debug, Default)]
pub(crate) struct KeptChoices {
    file: Option<PathBuf>,
    networks: Mutex<Option<Vec<Network>>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    format: u32,
    networks: Vec<Network>,
}

/// What was chosen on one network under the same conditions, by variable.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Network {
    conditions: String,
    /// Stations' places, hashed and sorted.
    places: Vec<u64>,
    choices: BTreeMap<String, Kept>,
    /// Seconds since 1970.
    used: u64,
}

/// One choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) candidate: Candidate,
    /// Seconds since 1970.
    pub(crate) chosen: u64,
}

/// A network and what was told, as choices are found again by.
pub(crate) struct Query {
    conditions: String,
    places: Vec<u64>,
}

impl Query {
    pub(crate) fn new(stations: &[Station], auto: &Auto, transforms: &Transforms) -> Self {
        let Auto { metric, epsilon, smoothing, degree, kernels, anisotropy, each: _ } = auto;
        let told = format!("{metric} {epsilon:?} {smoothing:?} {degree:?} {kernels:?}");
        let conditions = format!("{told} {transforms:?} {anisotropy:?}");
        let mut places: Vec<u64> = stations.iter().map(place).collect();
        places.sort_unstable();
        Self { conditions, places }
    }

    fn is(&self, network: &Network) -> bool {
        let larger = self.places.len().max(network.places.len());
        network.conditions == self.conditions
            && 100 * common(&self.places, &network.places) >= COMMON * larger
    }
}

/// A place in 48 bits, which every reader of JSON keeps (mixed as in Steele et al. 2014, doi:10.1145/2660193.2660195).
fn place(station: &Station) -> u64 {
    let mix = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    mix(mix(station.x.to_bits()).wrapping_add(station.y.to_bits())) >> 16
}

impl KeptChoices {
    /// Choices of earlier processes, in a file that need not exist.
    pub(crate) fn beside(file: PathBuf) -> Self {
        Self { file: Some(file), networks: Mutex::default() }
    }

    /// What was chosen for some variables, each with its age in seconds.
    pub(crate) fn get(&self, query: &Query) -> BTreeMap<String, (Candidate, u64)> {
        let now = now();
        self.with(|networks| {
            let Some(found) = networks.iter_mut().find(|n| query.is(n)) else {
                return BTreeMap::new();
            };
            found.used = now;
            let aged = |(name, kept): (&String, &Kept)| {
                (name.clone(), (kept.candidate.clone(), now.saturating_sub(kept.chosen)))
            };
            found.choices.iter().map(aged).collect()
        })
    }

    /// Keeps what was chosen now; a file that cannot be written is done without.
    pub(crate) fn put(&self, query: &Query, choices: Vec<(String, Candidate)>) {
        let now = now();
        let kept = self.with(|networks| {
            let at = networks.iter().position(|n| query.is(n)).unwrap_or_else(|| {
                networks.sort_by_key(|n| std::cmp::Reverse(n.used));
                networks.truncate(NETWORKS - 1);
                networks.push(Network {
                    conditions: query.conditions.clone(),
                    places: Vec::new(),
                    choices: BTreeMap::new(),
                    used: now,
                });
                networks.len() - 1
            });
            let network = &mut networks[at];
            network.places.clone_from(&query.places);
            network.used = now;
            let kept =
                choices.into_iter().map(|(n, candidate)| (n, Kept { candidate, chosen: now }));
            network.choices.extend(kept);
            networks.clone()
        });
        if let Some(file) = &self.file {
            let _ = write(file, kept);
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<Network>) -> T) -> T {
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        // Another process may have chosen since.
        let read = || self.file.as_ref().and_then(read);
        if self.file.is_some() && networks.is_none() {
            *networks = read();
        }
        work(networks.get_or_insert_default())
    }
}

/// Whole or not at all; of two processes at once the later wins, which loses a choice at worst.
fn write(path: &PathBuf, networks: Vec<Network>) -> std::io::Result<()> {
    let folder = path.parent().ok_or(std::io::ErrorKind::NotFound)?;
    let mut temporary = tempfile::Builder::new().prefix(".").suffix(".part").tempfile_in(folder)?;
    let file = File { format: FORMAT, networks };
    serde_json::to_writer(std::io::BufWriter::new(temporary.as_file_mut()), &file)?;
    temporary.as_file_mut().flush()?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// What cannot be understood is forgotten, and chosen again.
fn read(path: &PathBuf) -> Option<Vec<Network>> {
    if fs::metadata(path).ok()?.len() > LARGEST_FILE {
        return None;
    }
    let file: File = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    (file.format == FORMAT).then_some(file.networks)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// How many numbers two sorted lists share.
fn common(a: &[u64], b: &[u64]) -> usize {
    let (mut i, mut j, mut count) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                count += 1;
                i += 1;
                j += 1;
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::{Back, Transform};

    fn stations(range: std::ops::Range<u32>) -> Vec<Station> {
        range.map(|k| Station { id: format!("s{k}"), x: f64::from(k), y: 1.0 }).collect()
    }

    fn candidate(epsilon: f64) -> Candidate {
        let (kernel, transform) = ("exponential".into(), Transform::Log { offset: 0.7 });
        Candidate { kernel, epsilon, smoothing: 0.1, degree: 0, transform, anisotropy: None }
    }

    #[test]
    fn a_network_is_known_again_while_most_of_it_is_there() {
        let auto = Auto::default();
        let query = |range| Query::new(&stations(range), &auto, &Transforms::default());
        let kept = KeptChoices::default();
        kept.put(&query(0..100), vec![("pm25".into(), candidate(0.1))]);
        assert_eq!(kept.get(&query(0..100))["pm25"].0, candidate(0.1));
        assert_eq!(kept.get(&query(10..105)).len(), 1, "90 of 100 stations");
        assert!(kept.get(&query(50..150)).is_empty(), "half of them");
        assert!(kept.get(&query(0..30)).is_empty(), "a third of it");
        let told = Auto { smoothing: Some(0.0), ..Auto::default() };
        assert!(kept.get(&Query::new(&stations(0..100), &told, &Transforms::default())).is_empty());
        let median = Transforms { back: Back::Median, ..Transforms::default() };
        assert!(kept.get(&Query::new(&stations(0..100), &auto, &median)).is_empty());
    }

    #[test]
    fn choices_survive_the_process_and_a_damaged_file_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("choices.json");
        let query = Query::new(&stations(0..50), &Auto::default(), &Transforms::default());
        let both = vec![("o3".into(), candidate(0.2)), ("so2".into(), candidate(0.3))];
        KeptChoices::beside(file.clone()).put(&query, both);
        let kept = KeptChoices::beside(file.clone());
        assert_eq!(kept.get(&query)["so2"].0, candidate(0.3));
        kept.put(&query, vec![("o3".into(), candidate(0.4))]);
        let again = KeptChoices::beside(file.clone()).get(&query);
        assert_eq!((again["o3"].0.epsilon, again["so2"].0.epsilon), (0.4, 0.3));
        for damaged in ["{", "{\"format\":1,\"networks\":[]}", ""] {
            fs::write(&file, damaged).unwrap();
            assert!(KeptChoices::beside(file.clone()).get(&query).is_empty());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half-written");
    }

    #[test]
    fn so_many_networks_are_remembered_and_no_more() {
        let kept = KeptChoices::default();
        for k in 0..NETWORKS as u32 + 5 {
            let some = stations(1000 * k..1000 * k + 10);
            let query = Query::new(&some, &Auto::default(), &Transforms::default());
            kept.put(&query, vec![("v".into(), candidate(1.0))]);
        }
        assert_eq!(kept.with(|networks| networks.len()), NETWORKS);
    }
}
