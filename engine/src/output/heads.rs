//! Heads of files made before: maps of one network on one grid differ in their times and readings only, and
//! defining variables with their attributes takes longer than a small map.
//!
//! A head is a whole NetCDF file without values. A new file begins as a copy of its bytes in memory, in which the
//! time and the attributes that tell of it are changed. Most of what a report adds in the end is the same for maps
//! of one network too: the first file made with a head leaves a second one that has its report's attributes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::atomic::AtomicFile;
use super::attributes::{self, Attribute, Owned};
use super::cf::Naming;
use super::hdf5::ChunkFile;
use super::layout::Layout;
use super::netcdf::write_head;
use crate::grid::Targets;

/// So many are kept, of so many bytes together at most; the one used longest ago goes first.
const HEADS: usize = 64;
const BYTES: usize = 32 << 20;

/// Heads of files, by what they say.
#[derive(Debug)]
pub struct Heads {
    /// For the file that a new one is made in.
    folder: PathBuf,
    /// The one used last at the end.
    kept: Mutex<Vec<([u8; 32], Arc<Head>)>>,
}

/// The head of a file.
#[derive(Debug)]
pub(super) struct Head {
    image: Vec<u8>,
    pub(super) names: Vec<Naming>,
    pub(super) layers: Vec<String>,
    attributes: Vec<Attribute>,
    /// The same with the attributes of a report; there once a file has been made with it.
    told: OnceLock<Told>,
}

/// A head that has the attributes of a report, and those.
#[derive(Debug)]
struct Told {
    image: Vec<u8>,
    attributes: Vec<Owned>,
}

impl Heads {
    /// None yet; new ones are made in a temporary file of this folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), kept: Mutex::default() }
    }

    /// The head of a layout, but for its times.
    pub(super) fn get(
        &self,
        layout: &Layout<'_>,
        attributes: &[Attribute],
    ) -> Result<Arc<Head>, String> {
        let key = key(layout, attributes);
        if let Some(head) = self.known(&key) {
            return Ok(head);
        }
        let head = Arc::new(Head::new(layout, &self.folder)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((key, Arc::clone(&head)));
        let bytes = |kept: &[([u8; 32], Arc<Head>)]| -> usize {
            kept.iter().map(|(_, head)| head.bytes()).sum()
        };
        while kept.len() > HEADS || bytes(&kept) > BYTES {
            kept.remove(0);
        }
        Ok(head)
    }

    fn known(&self, key: &[u8; 32]) -> Option<Arc<Head>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| known == key)?;
        let found = kept.remove(at);
        let head = Arc::clone(&found.1);
        kept.push(found);
        Some(head)
    }
}

impl Head {
    fn new(layout: &Layout<'_>, folder: &Path) -> Result<Self, String> {
        let folder = tempfile::tempdir_in(folder).map_err(|e| e.to_string())?;
        let place =
            AtomicFile::create(&folder.path().join("head.nc")).map_err(|e| e.to_string())?;
        let (names, layers) = write_head(&place, layout)?;
        let image = std::fs::read(place.path()).map_err(|e| e.to_string())?;
        let attributes = attributes::of_layout(layout);
        Ok(Self { image, names, layers, attributes, told: OnceLock::new() })
    }

    /// With what it will have once a report has been told.
    fn bytes(&self) -> usize {
        2 * self.image.len()
    }

    /// A copy to make a file of, and the attributes of a report that it has already.
    pub(super) fn open(&self, variables: &[&str]) -> Result<(ChunkFile, &[Owned]), String> {
        let (image, attributes) = match self.told.get() {
            Some(told) => (&told.image, told.attributes.as_slice()),
            None => (&self.image, &[][..]),
        };
        Ok((ChunkFile::open_image(image, variables)?, attributes))
    }

    /// Makes the head that has these attributes of a report, unless there is one.
    pub(super) fn remember(
        &self,
        variables: &[&str],
        attributes: Vec<Owned>,
    ) -> Result<(), String> {
        if self.told.get().is_some() {
            return Ok(());
        }
        let file = ChunkFile::open_image(&self.image, variables)?;
        for (variable, (name, value)) in &attributes {
            file.put_attribute(*variable, name, value)?;
        }
        file.flush()?;
        let image = file.image();
        file.close()?;
        // Whoever comes second leaves the first.
        let _ = self.told.set(Told { image: image?, attributes });
        Ok(())
    }

    /// Makes a copy that of another layout, which differs in what [`key`] leaves out.
    pub(super) fn renew(
        &self,
        layout: &Layout<'_>,
        attributes: &[Attribute],
        file: &ChunkFile,
    ) -> Result<(), String> {
        if layout.has_times() {
            #[expect(clippy::cast_precision_loss, reason = "seconds, exact to 285 million years")]
            let times: Vec<f64> = layout.times.iter().flatten().map(|time| time.0 as f64).collect();
            file.write_numbers("time", &times)?;
        }
        // The key has their names.
        for ((name, before), (_, value)) in self.attributes.iter().zip(attributes) {
            if value != before {
                file.change_attribute(None, name, before, value)?;
            }
        }
        Ok(())
    }
}

/// What a head says, but for the values of times, the moment, and what is made of these: attributes of the file
/// with the same names.
fn key(layout: &Layout<'_>, attributes: &[Attribute]) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    let names: Vec<&str> = attributes.iter().map(|(name, _)| name.as_str()).collect();
    let words = format!(
        "{} {:?} {} {} {names:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        layout.spherical,
        layout.variables,
        layout.times.len(),
        layout.has_times(),
        layout.time_cells,
        layout.tiling,
        layout.storage,
        layout.mask,
        (layout.backgrounds, layout.covariates),
        layout.layers,
        layout.layers_of,
        (&layout.provenance.software, &layout.provenance.title),
    );
    hash.update(words.as_bytes());
    let mut numbers = |numbers: &[f64]| {
        hash.update(&numbers.len().to_le_bytes());
        hash.update(bytemuck::cast_slice(numbers));
    };
    match layout.targets {
        Targets::Grid(grid) => {
            [grid.x(), grid.y(), grid.x_edges(), grid.y_edges()].into_iter().for_each(&mut numbers);
            hash.update(grid.crs().map_or("", |crs| crs.text()).as_bytes());
        }
        Targets::Points(places) => [&places.x, &places.y].into_iter().for_each(|x| numbers(x)),
    }
    for station in layout.stations {
        hash.update(&station.id.len().to_le_bytes());
        hash.update(station.id.as_bytes());
        hash.update(&station.x.to_le_bytes());
        hash.update(&station.y.to_le_bytes());
    }
    *hash.finalize().as_bytes()
}
