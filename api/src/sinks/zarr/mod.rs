//! Maps of a schedule as one Zarr v3 store that grows hour by hour.
//!
//! The axis of time is fixed: it begins at `start`, goes by `step`, and a map's place on it follows from its hour
//! alone. So a late hour is one more chunk, an hour without a map is a chunk that is not there, and a revision
//! replaces its chunks. Chunks come first, then the arrays' documents, and last the store's, which holds all of them
//! (consolidated): readers see an hour only when all of it is there, and a crash leaves them the store as it was.

mod chunk;
mod layout;
mod shelf;

use std::sync::{Mutex, PoisonError};

use isopleth_engine::Cancel;
use isopleth_engine::export::{Chosen, Selection, Source};
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use self::chunk::{Field, pack};
use self::layout::{Array, REVISION, STEPS};
use self::shelf::{Entry, Shelf};
use super::Delivered;
use super::error::Reason;
use super::forms::{engine, lane};
use super::ledger::{Held, Ledger};
use super::names::{Template, Words};
use super::settings::Zarr;

/// Bytes of fields that are compressed at once.
const AT_ONCE: usize = 256 << 20;

/// Steps of an axis at most: a mistaken start or step would make a coordinate without end.
const MOST_STEPS: u64 = 5_000_000;

/// Puts a map in its place on the axis of time; where the store is.
pub(super) fn deliver(
    settings: &Zarr,
    what: &Delivered<'_>,
    ledger: &Ledger<'_>,
    cancel: &Cancel,
) -> Result<Vec<String>, Reason> {
    let words = Words { what, variable: "all", extension: "zarr" };
    let name = Template::read("name", &settings.name)?.fill(words)?;
    let shelf = Shelf::open(settings)?;
    let (place, mark) = (format!("{name}#{}", what.hour), mark(settings, what)?);
    let lane = lane(ledger.sink());
    let _one = lane.lock().unwrap_or_else(PoisonError::into_inner);
    let _held = shelf.lock(&name, cancel)?;
    let source = Source::open(what.file).map_err(engine)?;
    let selection = Selection { variables: settings.variables.clone(), ..Selection::default() };
    let chosen = selection.find(&source).map_err(engine)?;
    let hour = Hour { settings, what, source: &source, chosen: &chosen };
    let mut cube = Cube::open(&shelf, &name, &hour)?;
    let index = cube.index(what.hour.as_second())?;
    let there = ledger.held(&place, what)?.is_some_and(|held| {
        index < cube.steps() && (held.mark == mark || held.revision > what.revision)
    });
    if !there {
        ledger.begin(&place, what)?;
        cube.put(&hour, index, cancel)?;
        ledger.put(&place, what, &Held { mark, bytes: 0, revision: what.revision })?;
    }
    Ok(vec![shelf.tell(&name)])
}

/// Takes an hour out: its place on the axis stays, without values.
pub(super) fn remove(settings: &Zarr, sink: &str, place: &str, hour: i64) -> Result<(), Reason> {
    let Some((name, _)) = place.rsplit_once('#') else { return Ok(()) };
    let shelf = Shelf::open(settings)?;
    let lane = lane(sink);
    let _one = lane.lock().unwrap_or_else(PoisonError::into_inner);
    let _held = shelf.lock(name, &Cancel::default())?;
    let Some(root) = read_root(&shelf, name)? else { return Ok(()) };
    let cube = Cube { shelf: &shelf, name, root, is_new: false };
    let index = cube.index(hour)?;
    cube.note_revision(index, 0, &Cancel::default())?;
    for (variable, document) in cube.arrays() {
        if let Some([rows, columns]) = cells(document, "/shape") {
            let [height, width] = cells(document, "/chunk_grid/configuration/chunk_shape")
                .unwrap_or([rows, columns])
                .map(|n| n.max(1));
            let across = columns.div_ceil(width);
            let keys = (0..rows.div_ceil(height) * across)
                .map(|k| cube.key(&format!("{variable}/c.{index}.{}.{}", k / across, k % across)));
            shelf.remove(&keys.collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

/// Identifies the contents of an hour.
fn mark(settings: &Zarr, what: &Delivered<'_>) -> Result<String, Reason> {
    let mut hash = blake3::Hasher::new();
    let read = std::fs::File::open(what.file).and_then(|file| hash.update_reader(file).map(drop));
    read.map_err(Reason::io(what.file))?;
    hash.update(settings.variables.join("\n").as_bytes());
    Ok(hash.finalize().to_hex()[..32].to_owned())
}

/// Rows and columns of the shape, or of the chunks, of an array of maps; none for others.
fn cells(document: &Value, pointer: &str) -> Option<[usize; 2]> {
    let numbers = document.pointer(pointer)?.as_array()?;
    let number = |k: usize| usize::try_from(numbers.get(k)?.as_u64()?).ok();
    if numbers.len() == 3 { Some([number(1)?, number(2)?]) } else { None }
}

/// Whether an array has an hour more with each map.
fn grows(document: &Value) -> bool {
    document.pointer("/dimension_names/0").and_then(Value::as_str) == Some("time")
}

/// A map that is to be put in.
struct Hour<'a> {
    settings: &'a Zarr,
    what: &'a Delivered<'a>,
    source: &'a Source,
    chosen: &'a Chosen<'a>,
}

impl Hour<'_> {
    /// Which of the file's times is meant: the hour's, or the only one.
    fn time(&self) -> Result<usize, Reason> {
        let (times, hour) = (self.source.times(), self.what.hour.as_second());
        match times.iter().position(|time| time.0 == hour) {
            Some(found) => Ok(found),
            None if times.len() <= 1 => Ok(0),
            None => Err(Reason::Zarr {
                store: self.what.file.to_owned(),
                why: format!("the map has {} times, none of them {}", times.len(), self.what.hour),
            }),
        }
    }

    /// Identifies the grid.
    fn grid(&self) -> String {
        let mut hash = blake3::Hasher::new();
        for axis in [self.source.x(), self.source.y()] {
            hash.update(axis.name.as_bytes());
            for node in &axis.nodes {
                hash.update(&node.to_le_bytes());
            }
        }
        hash.finalize().to_hex()[..32].to_owned()
    }
}

/// A store, as its own document says.
struct Cube<'a> {
    shelf: &'a Shelf,
    name: &'a str,
    root: Value,
    /// Whether nothing of it is there.
    is_new: bool,
}

fn read_root(shelf: &Shelf, name: &str) -> Result<Option<Value>, Reason> {
    let Some(bytes) = shelf.get(&format!("{name}/zarr.json"))? else { return Ok(None) };
    let read = serde_json::from_slice(&bytes);
    let wrong = |error: serde_json::Error| Reason::Zarr {
        store: shelf.tell(name).into(),
        why: format!("its zarr.json cannot be read: {error}"),
    };
    read.map(Some).map_err(wrong)
}

impl<'a> Cube<'a> {
    fn open(shelf: &'a Shelf, name: &'a str, hour: &Hour<'_>) -> Result<Self, Reason> {
        let Some(root) = read_root(shelf, name)? else {
            return Self::begin(shelf, name, hour);
        };
        let cube = Self { shelf, name, root, is_new: false };
        let own = |name: &str| cube.root.pointer(&format!("/attributes/isopleth_store_{name}"));
        let cell = hour.source.time_cell(hour.time()?).map_err(engine)?;
        let asked = [
            ("schedule", json!(hour.what.schedule), "put {schedule} into its name"),
            ("step", json!(hour.settings.step_seconds), "give the new store another name"),
            ("grid", json!(hour.grid()), "the grid is another; give the new store another name"),
            (
                "cell",
                json!(cell),
                "maps are averages of another length; give the new store another name",
            ),
        ];
        for (what, wanted, advice) in asked {
            if own(what) != Some(&wanted) {
                let found = own(what).map_or("not said".to_owned(), Value::to_string);
                return Err(cube.wrong(format!("its {what} is {found}, not {wanted}: {advice}")));
            }
        }
        Ok(cube)
    }

    /// A new store of no hour.
    fn begin(shelf: &'a Shelf, name: &'a str, hour: &Hour<'_>) -> Result<Self, Reason> {
        let at = hour.what.hour;
        let year = || {
            let here = at.to_zoned(jiff::tz::TimeZone::UTC);
            here.first_of_year()
                .and_then(|day| day.start_of_day())
                .map_or(at, |day| day.timestamp())
        };
        let start = hour.settings.first()?.unwrap_or_else(year).as_second();
        let step = hour.settings.step_seconds;
        let mut attributes = layout::of_store(hour.source, hour.what.schedule, step)?;
        let cell = hour.source.time_cell(hour.time()?).map_err(engine)?;
        for (what, value) in [
            ("format", json!(1)),
            ("start", json!(start)),
            ("step", json!(step)),
            ("grid", json!(hour.grid())),
            ("schedule", json!(hour.what.schedule)),
            ("cell", json!(cell)),
        ] {
            attributes.insert(format!("isopleth_store_{what}"), value);
        }
        let mut cube = Self { shelf, name, root: layout::group(&attributes), is_new: true };
        cube.describe(hour, cell.is_some())?;
        Ok(cube)
    }

    /// Arrays of a new store, but for the maps.
    fn describe(&mut self, hour: &Hour<'_>, with_cells: bool) -> Result<(), Reason> {
        for of in hour.source.coordinates().map_err(engine)? {
            let shape: Vec<u64> = of.shape.iter().map(|&n| n as u64).collect();
            let dimensions: Vec<&str> = of.dimensions.iter().map(String::as_str).collect();
            let is_number = !dimensions.is_empty();
            let array = Array {
                chunk: shape.clone(),
                shape,
                kind: if is_number { "float64" } else { "int32" },
                dimensions: &dimensions,
                packed: is_number.then_some((8, hour.settings.level)),
                attributes: of.attributes,
            };
            self.add(&of.name, array);
        }
        let series = |kind, attributes| Array {
            shape: vec![0],
            chunk: vec![STEPS],
            kind,
            dimensions: &["time"],
            packed: None,
            attributes,
        };
        self.add("time", series("int64", layout::time(hour.source, with_cells)?));
        if with_cells {
            let bounds = Array {
                shape: vec![0, 2],
                chunk: vec![STEPS, 2],
                dimensions: &["time", "bnds"],
                ..series("int64", Map::new())
            };
            self.add("time_bnds", bounds);
        }
        let told = json!({"long_name": "revision of the map; 0 where there is none", "units": "1"});
        let told = told.as_object().cloned().unwrap_or_default();
        self.add(REVISION, series("int32", told));
        Ok(())
    }

    fn add(&mut self, name: &str, array: Array<'_>) {
        if let Some(all) =
            self.root.pointer_mut("/consolidated_metadata/metadata").and_then(Value::as_object_mut)
        {
            all.insert(name.to_owned(), array.document());
        }
    }

    fn arrays(&self) -> impl Iterator<Item = (&String, &Value)> {
        let all = self.root.pointer("/consolidated_metadata/metadata");
        all.and_then(Value::as_object).into_iter().flatten()
    }

    fn array(&self, name: &str) -> Option<&Value> {
        self.arrays().find(|(known, _)| *known == name).map(|(_, document)| document)
    }

    fn key(&self, below: &str) -> String {
        format!("{}/{below}", self.name)
    }

    fn own(&self, what: &str) -> Result<i64, Reason> {
        let found = self.root.pointer(&format!("/attributes/isopleth_store_{what}"));
        found
            .and_then(Value::as_i64)
            .ok_or_else(|| self.wrong(format!("it does not say its {what}")))
    }

    fn wrong(&self, why: String) -> Reason {
        Reason::Zarr { store: self.shelf.tell(self.name).into(), why }
    }

    /// How long the axis of time is.
    fn steps(&self) -> u64 {
        let time = self.array("time").and_then(|time| time.pointer("/shape/0"));
        time.and_then(Value::as_u64).unwrap_or(0)
    }

    /// Where on the axis of time a moment is.
    fn index(&self, second: i64) -> Result<u64, Reason> {
        let (start, step) = (self.own("start")?, self.own("step")?.max(1));
        let time = |second: i64| {
            jiff::Timestamp::from_second(second).map_or(second.to_string(), |time| time.to_string())
        };
        let (shown, from) = (time(second), time(start));
        let index = u64::try_from(second - start).map_err(|_| {
            let why = "and its axis of time cannot grow backwards; a new store may have an earlier `start`";
            self.wrong(format!("{shown} is before its start, {from}, {why}"))
        })?;
        let step = step.unsigned_abs();
        if index % step != 0 {
            let why = format!(
                "{shown} is not on its axis of time, every {step} s from {from}; see `step_seconds`"
            );
            return Err(self.wrong(why));
        }
        if index / step >= MOST_STEPS {
            return Err(self.wrong(format!(
                "{shown} is more than {MOST_STEPS} steps after its start, {from}"
            )));
        }
        Ok(index / step)
    }

    /// Chunks, then documents.
    fn put(&mut self, hour: &Hour<'_>, index: u64, cancel: &Cancel) -> Result<(), Reason> {
        let before = self.steps();
        let added = self.add_maps(hour)?;
        if self.is_new {
            self.put_coordinates(hour, cancel)?;
        }
        self.put_times(before, index, cancel)?;
        self.put_maps(hour, index, cancel)?;
        self.note_revision(index, hour.what.revision, cancel)?;
        if index < before && added.is_empty() && !self.is_new {
            return Ok(());
        }
        self.grow(before.max(index + 1))?;
        let documents = self.arrays().filter(|(_, document)| self.is_new || grows(document));
        let documents = documents.map(|(name, document)| {
            (self.key(&format!("{name}/zarr.json")), document.to_string().into_bytes())
        });
        self.shelf.put_all(documents.collect(), cancel)?;
        let root = (self.key("zarr.json"), self.root.to_string().into_bytes());
        self.shelf.put_all(vec![root], cancel)
    }

    /// Describes maps that the store has not had yet; their names.
    fn add_maps(&mut self, hour: &Hour<'_>) -> Result<Vec<String>, Reason> {
        let (x, y) = (hour.source.x(), hour.source.y());
        let [rows, columns] = hour.settings.chunk.map(u64::from);
        let (height, width) = (y.nodes.len() as u64, x.nodes.len() as u64);
        let mut added = Vec::new();
        for &variable in &hour.chosen.variables {
            if let Some(there) = self.array(&variable.name) {
                if cells(there, "/shape").is_none() {
                    return Err(self.wrong(format!("`{}` is no map in it", variable.name)));
                }
                continue;
            }
            let of_hour = |name: &str| hour.chosen.variables.iter().any(|v| v.name == name);
            let there = |name: &str| of_hour(name) || self.array(name).is_some();
            let array = Array {
                shape: vec![self.steps(), height, width],
                chunk: vec![1, rows.min(height), columns.min(width)],
                kind: if variable.is_double { "float64" } else { "float32" },
                dimensions: &["time", &y.name, &x.name],
                packed: Some((if variable.is_double { 8 } else { 4 }, hour.settings.level)),
                attributes: layout::of_map(hour.source, variable, there)?,
            };
            self.add(&variable.name, array);
            added.push(variable.name.clone());
        }
        Ok(added)
    }

    /// Makes the axis of time so long.
    fn grow(&mut self, steps: u64) -> Result<(), Reason> {
        let (start, step) = (self.own("start")?, self.own("step")?);
        if let Some(all) =
            self.root.pointer_mut("/consolidated_metadata/metadata").and_then(Value::as_object_mut)
        {
            for document in all.values_mut() {
                if grows(document) {
                    document["shape"][0] = json!(steps);
                }
            }
        }
        let last = start + step * i64::try_from(steps.saturating_sub(1)).unwrap_or(0);
        for (name, second) in [("time_coverage_start", start), ("time_coverage_end", last)] {
            if let Ok(time) = jiff::Timestamp::from_second(second) {
                self.root["attributes"][name] = json!(time.to_string());
            }
        }
        Ok(())
    }

    /// Axes, bounds and places of a new store.
    fn put_coordinates(&self, hour: &Hour<'_>, cancel: &Cancel) -> Result<(), Reason> {
        let mut all: Vec<Entry> = Vec::new();
        for of in hour.source.coordinates().map_err(engine)? {
            if of.dimensions.is_empty() {
                all.push((self.key(&format!("{}/c", of.name)), 0_i32.to_le_bytes().to_vec()));
                continue;
            }
            let bytes: Vec<u8> = of.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let chunk = if of.shape.len() == 1 { "c.0" } else { "c.0.0" };
            all.push((
                self.key(&format!("{}/{chunk}", of.name)),
                pack(&bytes, 8, hour.settings.level)?,
            ));
        }
        self.shelf.put_all(all, cancel)
    }

    /// The axis of time, in whole chunks: what lies beyond its end is right already when it comes.
    fn put_times(&self, before: u64, index: u64, cancel: &Cancel) -> Result<(), Reason> {
        let (start, step) = (self.own("start")?, self.own("step")?);
        let cell = self.root.pointer("/attributes/isopleth_store_cell").and_then(Value::as_array);
        let cell: Option<Vec<i64>> =
            cell.map(|cell| cell.iter().filter_map(Value::as_i64).collect());
        let mut all: Vec<Entry> = Vec::new();
        for k in before.div_ceil(STEPS)..=index / STEPS {
            let times = (k * STEPS..(k + 1) * STEPS)
                .map(|at| start + step * i64::try_from(at).unwrap_or(i64::MAX));
            let bytes = |offsets: &[i64]| -> Vec<u8> {
                times
                    .clone()
                    .flat_map(|time| offsets.iter().flat_map(move |o| (time + o).to_le_bytes()))
                    .collect()
            };
            all.push((self.key(&format!("time/c.{k}")), bytes(&[0])));
            if let Some(cell) = &cell {
                all.push((self.key(&format!("time_bnds/c.{k}.0")), bytes(cell)));
            }
        }
        self.shelf.put_all(all, cancel)
    }

    /// The maps of the hour, compressed on all threads.
    fn put_maps(&self, hour: &Hour<'_>, index: u64, cancel: &Cancel) -> Result<(), Reason> {
        let time = hour.time()?;
        let window = hour.chosen.window;
        let columns = window.columns.count;
        let bytes = 8 * columns * window.rows.count;
        for some in hour.chosen.variables.chunks((AT_ONCE / bytes.max(1)).max(1)) {
            // One is read (the library of NetCDF goes one by one) while those before it are compressed.
            let packed = Mutex::new(Vec::new());
            rayon::scope(|scope| {
                some.iter().try_for_each(|variable| {
                    if cancel.is_cancelled() {
                        return Err(Reason::Cancelled);
                    }
                    let mut values = Vec::with_capacity(columns * window.rows.count);
                    let read = hour.source.rows(variable, time, &window, false, |_, row| {
                        values.extend_from_slice(row);
                        Ok(())
                    });
                    read.map_err(engine)?;
                    let (name, is_double) = (variable.name.clone(), variable.is_double);
                    let field = Field { name, columns, values, is_double };
                    let packed = &packed;
                    scope.spawn(move |_| {
                        let entries = self.packed(&field, index, hour.settings.level);
                        packed.lock().unwrap_or_else(PoisonError::into_inner).push(entries);
                    });
                    Ok::<_, Reason>(())
                })
            })?;
            let packed = packed.into_inner().unwrap_or_else(PoisonError::into_inner);
            let entries: Result<Vec<Vec<Entry>>, Reason> = packed.into_iter().collect();
            self.shelf.put_all(entries?.into_iter().flatten().collect(), cancel)?;
        }
        Ok(())
    }

    /// The chunks of a field.
    fn packed(&self, field: &Field, index: u64, level: i32) -> Result<Vec<Entry>, Reason> {
        let document = self.array(&field.name);
        let chunk = document.and_then(|d| cells(d, "/chunk_grid/configuration/chunk_shape"));
        let chunk = chunk.ok_or_else(|| self.wrong(format!("`{}` is no map in it", field.name)))?;
        let all: Vec<[usize; 2]> = field.chunks(chunk).collect();
        all.par_iter()
            .map(|&at| {
                let key = format!("{}/c.{index}.{}.{}", field.name, at[0], at[1]);
                field.packed(chunk, at, level).map(|bytes| (self.key(&key), bytes))
            })
            .collect()
    }

    /// Notes which revision an hour has.
    fn note_revision(&self, index: u64, revision: u32, cancel: &Cancel) -> Result<(), Reason> {
        let key = self.key(&format!("{REVISION}/c.{}", index / STEPS));
        let length = usize::try_from(STEPS * 4).unwrap_or_default();
        let mut all =
            self.shelf.get(&key)?.filter(|all| all.len() == length).unwrap_or(vec![0; length]);
        let at = usize::try_from(index % STEPS * 4).unwrap_or_default();
        all[at..at + 4].copy_from_slice(&i32::try_from(revision).unwrap_or(i32::MAX).to_le_bytes());
        self.shelf.put_all(vec![(key, all)], cancel)
    }
}
