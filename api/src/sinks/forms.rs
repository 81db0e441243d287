//! Files made of a map, and the one way in which they arrive wherever they go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use isopleth_engine::Cancel;
use isopleth_engine::export::{self, Form, Selection, Source};

use super::Delivered;
use super::error::Reason;
use super::ledger::{Held, Ledger};
use super::names::Words;
use super::settings::Files;

/// What holds files by name.
pub(super) trait Target {
    /// Whether a file of this size is at a place.
    fn has(&self, place: &str, bytes: u64) -> Result<bool, Reason>;

    /// Puts a file at a place: whole or not at all, over what was there.
    fn put(&self, place: &str, file: &Path, form: Form, cancel: &Cancel) -> Result<(), Reason>;

    /// Makes one place the same as another.
    fn point(&self, latest: &str, place: &str, form: Form) -> Result<(), Reason>;

    /// Takes away what is at a place; nothing may be there.
    fn remove(&self, place: &str) -> Result<(), Reason>;

    /// A place for people.
    fn tell(&self, place: &str) -> String;
}

/// One of the files of an hour.
struct Part {
    /// Its variable, if each has its own.
    variable: Option<String>,
    place: String,
    latest: Option<String>,
}

/// Delivers a map as the files that settings ask for; where they are.
pub(super) fn deliver(
    target: &impl Target,
    files: &Files,
    what: &Delivered<'_>,
    ledger: &Ledger<'_>,
    scratch: &Path,
    cancel: &Cancel,
) -> Result<Vec<String>, Reason> {
    let map = Map { files, form: files.form()?, what };
    let mark = map.mark()?;
    let parts = map.parts()?;
    for part in &parts {
        let there = match ledger.held(&part.place, what)? {
            Some(held) if held.mark == mark || held.revision > what.revision => {
                target.has(&part.place, held.bytes)?
            }
            _ => false,
        };
        if !there {
            if cancel.is_cancelled() {
                return Err(Reason::Cancelled);
            }
            let made = map.make(part.variable.as_deref(), scratch)?;
            let io = Reason::io(made.path());
            let bytes = std::fs::metadata(made.path()).map_err(io)?.len();
            ledger.begin(&part.place, what)?;
            target.put(&part.place, made.path(), map.form, cancel)?;
            ledger.put(
                &part.place,
                what,
                &Held { mark: mark.clone(), bytes, revision: what.revision },
            )?;
        }
    }
    if !what.is_latest {
        return Ok(parts.iter().map(|part| target.tell(&part.place)).collect());
    }
    // Only when all have arrived. What is over already is not the newest, whatever was true when this began; and
    // nobody else moves it meanwhile.
    let lane = lane(ledger.sink());
    let _one = lane.lock().unwrap_or_else(PoisonError::into_inner);
    let is_latest = !ledger.is_outdated(what)?;
    for part in parts.iter().filter(|_| is_latest) {
        if let Some(latest) = &part.latest {
            target.point(latest, &part.place, map.form)?;
        }
    }
    Ok(parts.iter().map(|part| target.tell(&part.place)).collect())
}

/// One at a time for each sink.
pub(super) fn lane(sink: &str) -> Arc<Mutex<()>> {
    static LANES: Mutex<BTreeMap<String, Arc<Mutex<()>>>> = Mutex::new(BTreeMap::new());
    let mut lanes = LANES.lock().unwrap_or_else(PoisonError::into_inner);
    lanes.entry(sink.to_owned()).or_default().clone()
}

/// A map and what is to be made of it.
struct Map<'a> {
    files: &'a Files,
    form: Form,
    what: &'a Delivered<'a>,
}

/// A file that is to be sent.
enum Made<'a> {
    /// The map's own.
    Kept(&'a Path),
    /// One in a folder that goes with it.
    Scratch(PathBuf, #[expect(dead_code, reason = "its folder")] tempfile::TempDir),
}

impl Made<'_> {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Scratch(path, _) => path,
        }
    }
}

impl Map<'_> {
    /// Identifies the contents: of the same map and settings they are the same.
    fn mark(&self) -> Result<String, Reason> {
        let path = self.what.file;
        let mut hash = blake3::Hasher::new();
        let read = std::fs::File::open(path).and_then(|file| hash.update_reader(file).map(drop));
        read.map_err(Reason::io(path))?;
        let options = self.files.options()?;
        let words = format!("{:?} {:?} {:?}", self.form, self.files.selection(), options);
        hash.update(words.as_bytes());
        Ok(hash.finalize().to_hex()[..32].to_owned())
    }

    fn parts(&self) -> Result<Vec<Part>, Reason> {
        let (name, latest) = self.files.templates()?;
        let part = |variable: Option<String>| {
            let fill = |template: &super::names::Template| {
                let variable = variable.as_deref().unwrap_or("all");
                template.fill(Words { what: self.what, variable, extension: self.form.extension() })
            };
            let (place, latest) = (fill(&name)?, latest.as_ref().map(fill).transpose()?);
            Ok(Part { place, latest, variable })
        };
        if !self.files.apart()? {
            return Ok(vec![part(None)?]);
        }
        let source = Source::open(self.what.file).map_err(engine)?;
        let chosen = self.files.selection().find(&source).map_err(engine)?;
        chosen.variables.iter().map(|variable| part(Some(variable.name.clone()))).collect()
    }

    /// The file, or one of its variables.
    fn make(&self, variable: Option<&str>, scratch: &Path) -> Result<Made<'_>, Reason> {
        let selection = self.files.selection();
        let is_all = selection == Selection::default() && variable.is_none();
        if self.form == Form::NetCdf && is_all {
            return Ok(Made::Kept(self.what.file));
        }
        let source = Source::open(self.what.file).map_err(engine)?;
        let variables = variable.map_or(selection.variables.clone(), |one| vec![one.to_owned()]);
        let selection = Selection { variables, times: self.times(&source), ..selection };
        let folder = tempfile::tempdir_in(scratch).map_err(Reason::io(scratch))?;
        let path = folder.path().join("made");
        export::write(self.form, &source, &selection, &self.files.options()?, &path)?;
        Ok(Made::Scratch(path, folder))
    }

    /// Of a file with several times, the hour's own for forms that hold one.
    fn times(&self, source: &Source) -> Vec<String> {
        let hour = self.what.hour.as_second();
        let several = source.times().len() > 1;
        let held = source.times().iter().any(|time| time.0 == hour);
        match self.form {
            Form::Png | Form::GeoJson if several && held => vec![self.what.hour.to_string()],
            Form::Png | Form::GeoJson if several => vec!["last".to_owned()],
            _ => Vec::new(),
        }
    }
}

/// An error of exports as one of the engine's.
pub(super) fn engine(error: export::ExportError) -> Reason {
    Reason::Map(error.into())
}
