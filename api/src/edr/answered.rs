//! Values of a collection: found in the files of its maps, and put together.

use std::collections::BTreeSet;
use std::fs::File;

use isopleth_engine::Cancel;
use isopleth_engine::export::{
    self, Cut, ExportError, Form, Gathered, Options, Selection, Source, Wanted,
};

use super::asked::{What, Where};
use super::described::kinds_of;
use crate::error::{ApiError, Place};
use crate::jobs::heads::{self, Candidate, Head, Kind};
use crate::state::AppState;

/// What is asked of which collection.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) owner: Option<String>,
    pub(crate) collection: String,
    pub(crate) place: Where,
    pub(crate) what: What,
    /// The request as it came, for the tag.
    pub(crate) words: String,
}

/// What there is of it.
#[derive(Debug)]
pub(crate) enum Found {
    /// What the client has already.
    Known,
    /// Nothing: no place, no time.
    Nothing,
    Bytes(Vec<u8>),
    /// A file without a name, its length, and a name for it.
    File(File, u64, String),
}

/// Finds it; `known` says whether the client has what has a tag. Gives the tag, too. Blocks.
///
/// # Errors
/// 404 for no such collection, 400 for a parameter that it has not, 413 for too much.
pub(crate) fn find(
    state: &AppState,
    ask: &Ask,
    known: impl Fn(&str) -> bool,
    cancel: &Cancel,
) -> Result<(String, Found), ApiError> {
    heads::fill(state, || cancel.is_cancelled())?;
    let kinds = kinds_of(state, ask.owner.as_deref(), &ask.collection)?;
    check_parameters(&ask.what.parameters, &kinds)?;
    let maps = candidates(state, ask)?;
    let tag = tag(ask, &maps);
    if known(&tag) {
        return Ok((tag, Found::Known));
    }
    let found = match ask.what.form {
        Form::NetCdf | Form::GeoTiff => file(state, ask, &maps, cancel),
        form => gathered(state, ask, &maps, form, cancel),
    };
    let found = found.map_err(|error| match &ask.place {
        Where::Cells { area: None, .. } => error,
        // Where was told by another parameter.
        _ => error.renamed("bbox", "coords"),
    })?;
    Ok((tag, found))
}

fn wrong(parameter: &str, text: impl Into<String>) -> ApiError {
    let parameter = Some(parameter.to_owned());
    ApiError::bad_request(text).at(Place { parameter, ..Place::default() })
}

fn check_parameters(wanted: &[String], kinds: &[Kind]) -> Result<(), ApiError> {
    let all = kinds.iter().flat_map(|kind| &kind.head.parameters);
    let names: BTreeSet<&str> = all.map(|parameter| parameter.name.as_str()).collect();
    match wanted.iter().find(|name| !names.contains(name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let names: Vec<&str> = names.into_iter().collect();
            let text = format!("there is no parameter `{name}`; there are {}", names.join(", "));
            Err(wrong("parameter-name", text))
        }
    }
}

/// The maps that may have a part of it, the newest first.
fn candidates(state: &AppState, ask: &Ask) -> Result<Vec<Candidate>, ApiError> {
    let parts = ask.place.parts();
    let names = &ask.what.parameters;
    let takes = |head: &Head| {
        parts.iter().any(|part| head.meets(*part))
            && (names.is_empty() || head.parameters.iter().any(|p| names.contains(&p.name)))
    };
    let (owner, limit) = (ask.owner.as_deref(), state.config().collection_max_maps);
    let found = state
        .store()
        .read(|c| heads::candidates(c, owner, &ask.collection, ask.what.times, takes, limit + 1))?;
    if found.len() > limit {
        let text = format!(
            "more than {limit} maps have a part of it, the limit; ask for a shorter stretch of time with datetime"
        );
        return Err(ApiError::too_large(text));
    }
    Ok(found)
}

/// Identifies the bytes: the same question to the same files.
fn tag(ask: &Ask, maps: &[Candidate]) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(ask.words.as_bytes());
    hash.update(format!("{:?}", ask.what.form).as_bytes());
    maps.iter().for_each(|map| {
        hash.update(map.digest.as_bytes());
    });
    hash.finalize().to_hex()[..32].to_owned()
}

/// Opens a map; none if it was removed meanwhile.
fn opened(state: &AppState, map: &Candidate) -> Result<Option<Source>, ApiError> {
    let path = state.jobs().map_file(&map.path);
    match Source::open(&path) {
        Ok(source) => Ok(Some(source)),
        Err(_) if !path.exists() => Ok(None),
        Err(error) => Err(ApiError::internal("a map could not be read", error)),
    }
}

fn of_export(error: ExportError) -> ApiError {
    ApiError::from(isopleth_engine::Error::from(error)).into_bad_request()
}

/// Values of many maps, as one text.
fn gathered(
    state: &AppState,
    ask: &Ask,
    maps: &[Candidate],
    form: Form,
    cancel: &Cancel,
) -> Result<Found, ApiError> {
    let limit = state.config().max_json_values;
    let wanted = Wanted {
        variables: ask.what.parameters.clone(),
        times: ask.what.times,
        cut: cut(ask, limit)?,
    };
    let mut all = Gathered::new(limit);
    for map in maps {
        if cancel.is_cancelled() {
            return Err(ApiError::stopping());
        }
        if let Some(source) = opened(state, map)? {
            all.add(source, &wanted).map_err(of_export)?;
        }
    }
    if all.is_empty() {
        return Ok(Found::Nothing);
    }
    let mut bytes = Vec::new();
    let written = match form {
        Form::Csv => all.write_csv(&mut bytes),
        _ => all.write_coverage_json(&mut bytes),
    };
    written.map_err(of_export)?;
    Ok(Found::Bytes(bytes))
}

fn cut(ask: &Ask, limit: u64) -> Result<Cut, ApiError> {
    let in_degrees = ask.what.in_degrees;
    Ok(match (&ask.place, ask.what.grid) {
        (Where::Places(places), _) => Cut::Places(places.clone()),
        (Where::Cells { bounds, area }, None) => {
            Cut::Cells { bounds: *bounds, area: area.clone(), in_degrees }
        }
        (Where::Cells { bounds, area }, Some(grid)) => {
            let wanted = grid[0] as u64 * grid[1] as u64;
            if wanted > limit {
                return Err(of_export(ExportError::ManyValues { wanted, limit }));
            }
            let [x, y] = What::axes(grid, *bounds);
            Cut::Regular { x, y, area: area.clone() }
        }
    })
}

/// Part of one map, as a file.
fn file(
    state: &AppState,
    ask: &Ask,
    maps: &[Candidate],
    cancel: &Cancel,
) -> Result<Found, ApiError> {
    let (what, form) = (&ask.what, ask.what.form);
    let Where::Cells { bounds, area } = &ask.place else { return Ok(Found::Nothing) };
    if what.grid.is_some() || what.in_degrees {
        let text = format!(
            "{form} has the cells of the map as they are; leave resolution-x, resolution-y and crs \
             out, or ask for CoverageJSON"
        );
        return Err(wrong("f", text));
    }
    if form == Form::GeoTiff && what.parameters.len() != 1 {
        return Err(wrong("parameter-name", "GeoTIFF holds one parameter; name it"));
    }
    let mut chosen: Option<(&Candidate, Source, Selection)> = None;
    for map in maps {
        if cancel.is_cancelled() {
            return Err(ApiError::stopping());
        }
        let Some(source) = opened(state, map)? else { continue };
        let source = match area {
            Some(area) => source.within(area.clone()),
            None => source,
        };
        let Some(selection) = part(&source, what, *bounds)? else { continue };
        match &chosen {
            None => chosen = Some((map, source, selection)),
            // A newer map of the same times counts.
            Some((_, _, first)) if selection.times.iter().all(|t| first.times.contains(t)) => (),
            Some(_) => {
                let text = format!(
                    "{form} holds a part of one map, and several have one; choose a \
                     time with datetime, or ask for CoverageJSON"
                );
                return Err(wrong("datetime", text));
            }
        }
    }
    let Some((map, source, selection)) = chosen else { return Ok(Found::Nothing) };
    let failed = |error| ApiError::internal("a file of the service failed", error);
    let folder = tempfile::tempdir_in(&state.config().spill_dir).map_err(failed)?;
    let made = folder.path().join("part");
    export::write(form, &source, &selection, &Options::default(), &made)
        .map_err(|error| ApiError::from(error).into_bad_request())?;
    // Its name goes with the folder, its bytes with the handle.
    let file = File::open(made).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    Ok(Found::File(file, bytes, format!("map_{}.{}", map.id, form.extension())))
}

/// What is wanted of a map; none if it has nothing of it.
fn part(source: &Source, what: &What, bounds: [f64; 4]) -> Result<Option<Selection>, ApiError> {
    let [from, to] = what.times;
    let inside = source
        .times()
        .iter()
        .filter(|time| from.is_none_or(|from| time.0 >= from) && to.is_none_or(|to| time.0 <= to));
    let times: Vec<String> = inside.map(ToString::to_string).collect();
    let untimed = source.times().is_empty();
    if times.is_empty() && !(untimed && from.is_none() && to.is_none()) {
        return Ok(None);
    }
    let known = |name: &&String| source.variables().iter().any(|v| v.name == **name);
    let variables: Vec<String> = what.parameters.iter().filter(known).cloned().collect();
    if variables.is_empty() && !what.parameters.is_empty() {
        return Ok(None);
    }
    let selection = Selection { variables, times, bounds: Some(bounds), stride: 1 };
    match selection.find(source) {
        Ok(chosen) if source.has_cells(&chosen.window) => Ok(Some(selection)),
        Ok(_) | Err(ExportError::Outside { .. }) => Ok(None),
        Err(error) => Err(of_export(error)),
    }
}
