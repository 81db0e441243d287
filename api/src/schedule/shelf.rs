//! The documents: kept in the database, those of the configuration among them.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{Hours, request};
use crate::config::ServiceConfig;
use crate::error::{ApiError, Problem};
use crate::grids::Grids;
use crate::intake::house;
use crate::routes::conditions::Conditions;
use crate::state::AppState;
use crate::wire::network::completed;
use crate::wire::order::{House, Order};
use crate::wire::request::MapRequest;
use crate::wire::schedule::ScheduleRequest;

/// A schedule as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Scheduled {
    pub(crate) id: String,
    pub(crate) document: ScheduleRequest,
    /// Digest of the document.
    pub(crate) tag: String,
    /// Whether it stands in the configuration.
    pub(crate) of_config: bool,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    /// All hours up to this one have their rows.
    pub(crate) made_to: i64,
}

const COLUMNS: &str = "id, document, tag, origin, created, updated, made_to";

fn from_row(row: &Row<'_>) -> rusqlite::Result<(Scheduled, String)> {
    let text: String = row.get(1)?;
    let origin: String = row.get(3)?;
    let scheduled = Scheduled {
        id: row.get(0)?,
        document: nothing(),
        tag: row.get(2)?,
        of_config: origin == "config",
        created: row.get(4)?,
        updated: row.get(5)?,
        made_to: row.get(6)?,
    };
    Ok((scheduled, text))
}

fn nothing() -> ScheduleRequest {
    serde_json::from_str(r#"{"cron": "0 * * * *"}"#).expect("a document with all defaults")
}

fn read((scheduled, text): (Scheduled, String)) -> Result<Scheduled, ApiError> {
    let document = serde_json::from_str(&text)
        .map_err(|error| ApiError::internal("a schedule in the database cannot be read", error))?;
    Ok(Scheduled { document, ..scheduled })
}

/// One of them.
///
/// # Errors
/// 404.
pub(crate) fn get(c: &Connection, id: &str) -> Result<Scheduled, ApiError> {
    let sql = format!("SELECT {COLUMNS} FROM schedules WHERE id = ?1");
    let found = c.query_row(&sql, [id], from_row).optional()?;
    read(found.ok_or_else(|| unknown(id))?)
}

/// All after this one in the order of their ids, at most so many.
///
/// # Errors
/// The database's.
pub(crate) fn list(c: &Connection, after: &str, limit: usize) -> Result<Vec<Scheduled>, ApiError> {
    let sql = format!("SELECT {COLUMNS} FROM schedules WHERE id > ?1 ORDER BY id LIMIT ?2");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = c.prepare(&sql)?;
    let rows = statement.query_map(params![after, limit], from_row)?;
    rows.map(|row| read(row?)).collect()
}

/// The names of all.
pub(super) fn ids(c: &Connection) -> rusqlite::Result<Vec<String>> {
    c.prepare("SELECT id FROM schedules ORDER BY id")?.query_map([], |row| row.get(0))?.collect()
}

fn unknown(id: &str) -> ApiError {
    ApiError::not_found(format!(
        "there is no schedule `{id}`; PUT /v1/schedules/{id} makes it, GET /v1/schedules lists those there are"
    ))
}

/// Makes a schedule, or changes it; whether it is new.
///
/// # Errors
/// 403 of one that stands in the configuration, 412 when it is not what the client expects.
pub(crate) fn put(
    state: &AppState,
    id: &str,
    document: &ScheduleRequest,
    conditions: &Conditions,
) -> Result<(Scheduled, bool), ApiError> {
    let limit = state.config().max_schedules;
    let now = state.now().as_second();
    let is_new = state.store().write(|tx| {
        let known = get(tx, id).ok();
        conditions.check(known.as_ref().map(|known| known.tag.as_str()))?;
        may_change(known.as_ref())?;
        let sql = "SELECT count(*) FROM schedules WHERE id <> ?1";
        let others: usize = tx.query_row(sql, [id], |row| row.get(0))?;
        if others >= limit {
            let text = format!("there are {limit} schedules already, the limit; delete one first");
            return Err(ApiError::too_large(text));
        }
        write(tx, id, document, "api", now)?;
        Ok(known.is_none())
    })?;
    state.schedules().wake();
    Ok((state.store().read(|c| get(c, id))?, is_new))
}

/// Forgets a schedule and its hours; its maps stay in the catalogue as long as other results.
///
/// # Errors
/// 404, 403, 412.
pub(crate) fn delete(state: &AppState, id: &str, conditions: &Conditions) -> Result<(), ApiError> {
    state.store().write(|tx| {
        let known = get(tx, id)?;
        conditions.check(Some(&known.tag))?;
        may_change(Some(&known))?;
        forget(state.config(), tx, id)
    })
}

/// Its maps then go as other results do.
fn forget(config: &ServiceConfig, tx: &Transaction<'_>, id: &str) -> Result<(), ApiError> {
    let keep = i64::try_from(config.results_keep_seconds).unwrap_or(i64::MAX);
    let sql = "UPDATE maps SET expires = min(expires, created + ?2) WHERE owner = ?1";
    tx.execute(sql, params![super::owner(id), keep])?;
    tx.execute("DELETE FROM schedules WHERE id = ?1", [id])?;
    Ok(())
}

pub(super) fn may_change(known: Option<&Scheduled>) -> Result<(), ApiError> {
    match known {
        Some(known) if known.of_config => Err(ApiError::forbidden(format!(
            "the schedule `{}` stands in the configuration of the service; change it there",
            known.id
        ))),
        _ => Ok(()),
    }
}

/// Pauses a schedule, or goes on with it.
///
/// # Errors
/// 404, 403.
pub(crate) fn pause(state: &AppState, id: &str, paused: bool) -> Result<Scheduled, ApiError> {
    let now = state.now().as_second();
    let changed = state.store().write(|tx| {
        let known = get(tx, id)?;
        may_change(Some(&known))?;
        if known.document.paused != paused {
            let document = ScheduleRequest { paused, ..known.document };
            write(tx, id, &document, "api", now)?;
        }
        get(tx, id)
    });
    state.schedules().wake();
    changed
}

fn write(
    tx: &Transaction<'_>,
    id: &str,
    document: &ScheduleRequest,
    origin: &str,
    now: i64,
) -> Result<(), ApiError> {
    let text = serde_json::to_string(document)
        .map_err(|error| ApiError::internal("the schedule could not be written", error))?;
    let tag = blake3::hash(text.as_bytes()).to_hex()[..32].to_owned();
    // Its first hour is the first whose readings are still to come.
    let begin = now.saturating_sub(i64::try_from(document.delay_seconds).unwrap_or(i64::MAX));
    tx.execute(
        "INSERT INTO schedules (id, document, tag, origin, created, updated, made_to) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6) ON CONFLICT (id) DO UPDATE SET \
         document = ?2, updated = iif(tag = ?3, updated, ?5), tag = ?3, origin = ?4",
        params![id, text, tag, origin, now, begin],
    )?;
    Ok(())
}

/// Makes the schedules of the configuration those that are kept; others that came from it before are forgotten.
///
/// # Errors
/// The first that makes no sense, by its name.
pub(crate) fn adopt(state: &AppState) -> Result<(), (String, ApiError)> {
    let config = state.config();
    for (id, document) in &config.schedules {
        let checked = check_id(id).and_then(|()| check(state, document, false));
        checked.map_err(|error| (id.clone(), error))?;
    }
    let now = state.now().as_second();
    let adopted = state.store().write(|tx| {
        let before: Vec<String> = tx
            .prepare("SELECT id FROM schedules WHERE origin = 'config'")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for id in before.iter().filter(|id| !config.schedules.contains_key(*id)) {
            forget(config, tx, id)?;
        }
        for (id, document) in &config.schedules {
            write(tx, id, document, "config", now)?;
        }
        Ok::<_, ApiError>(())
    });
    adopted.map_err(|error| (String::new(), error))
}

/// Whether this can be the name of a schedule.
///
/// # Errors
/// 422.
pub(crate) fn check_id(id: &str) -> Result<(), ApiError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if (1..=64).contains(&id.len()) && id.bytes().all(plain) && !id.starts_with('.') {
        return Ok(());
    }
    let text =
        "the name of a schedule has 1 to 64 letters, digits, `.`, `_` or `-`, and no dot first";
    let parameter = Some("id".to_owned());
    Err(ApiError::meaningless(text).at(crate::error::Place { parameter, ..Default::default() }))
}

/// Checks that maps can be made by it. `strictly`: its network must be registered already.
///
/// # Errors
/// 422 with a pointer.
pub(crate) fn check(
    state: &AppState,
    document: &ScheduleRequest,
    strictly: bool,
) -> Result<(), ApiError> {
    check_alone(document)?;
    let request = map_request(document)?;
    let known = |id: &String| match state.networks().get(id) {
        Ok(network) => Ok(Some(network)),
        Err(error) if strictly => Err(error.into_bad_reference("/network")),
        Err(_) => Ok(None),
    };
    let network = document.network.as_ref().map(known).transpose()?.flatten();
    let request = match &network {
        Some(network) => completed(request, &network.document),
        None => request,
    };
    let may_have_grid = document.network.is_some() && network.is_none();
    if request.grid.is_none() && !may_have_grid {
        return Err(no_grid());
    }
    Order::new(MapRequest { units: Default::default(), ..request }, house(state))
        .map_err(|error| error.below("/map"))?;
    check_names(state.config(), document)
}

fn check_names(config: &ServiceConfig, document: &ScheduleRequest) -> Result<(), ApiError> {
    if let Some(source) = &document.source
        && !config.sources.contains_key(source)
    {
        let text = format!("there is no source `{source}` in the configuration of the service");
        return Err(ApiError::meaningless(text).at_pointer("/source"));
    }
    for (k, sink) in document.sinks.iter().enumerate() {
        if !config.sinks.contains_key(sink) {
            let text = format!("there is no sink `{sink}` in the configuration of the service");
            return Err(ApiError::meaningless(text).at_pointer(format!("/sinks/{k}")));
        }
    }
    Ok(())
}

/// What can be said of a document without a service.
///
/// # Errors
/// 422 with a pointer.
pub(crate) fn check_alone(document: &ScheduleRequest) -> Result<(), ApiError> {
    Hours::new(&document.cron, document.zone.as_deref())?;
    let wrong = |pointer: &str, text: &str| ApiError::meaningless(text).at_pointer(pointer);
    let year = 366 * 24;
    for (pointer, value, most) in [
        ("/delay_seconds", document.delay_seconds, year * 3600),
        ("/give_up_seconds", document.give_up_seconds, year * 3600),
        ("/poll_seconds", document.poll_seconds, 24 * 3600),
        ("/catch_up_hours", document.catch_up_hours, year),
        ("/revise_hours", document.revise_hours, year),
        ("/min_stations", document.min_stations, 1_000_000),
        ("/keep/days", document.keep.days.unwrap_or(1), 100_000),
        ("/keep/count", document.keep.count.unwrap_or(1), 10_000_000),
        ("/keep/inputs_days", document.keep.inputs_days.unwrap_or(1), 100_000),
    ] {
        if value > most {
            return Err(wrong(pointer, &format!("{value} is more than {most}; choose less")));
        }
    }
    for (pointer, value) in [
        ("/poll_seconds", Some(document.poll_seconds)),
        ("/keep/days", document.keep.days),
        ("/keep/count", document.keep.count),
    ] {
        if value == Some(0) {
            return Err(wrong(pointer, "it must be at least 1"));
        }
    }
    for (k, sink) in document.sinks.iter().enumerate() {
        if document.sinks[..k].contains(sink) {
            return Err(wrong(&format!("/sinks/{k}"), &format!("sink `{sink}` is named twice")));
        }
    }
    let request = map_request(document)?;
    request.read.times.iter().try_for_each(|time| request::template(time).map(drop))
}

/// What can be said of a document without a service: also whether its grid and its method make sense.
///
/// # Errors
/// What is wrong, with a pointer.
pub fn check_document(document: &ScheduleRequest) -> Result<(), Problem> {
    let checked = check_alone(document).and_then(|()| {
        let mut request = map_request(document)?;
        // The grids of the service and the stations of a network are not here.
        (request.method.background, request.method.covariates) = Default::default();
        (request.units, request.read.times) = Default::default();
        if request.grid.is_none() && document.network.is_none() {
            return Err(no_grid());
        }
        let config = ServiceConfig::default();
        let grids = Grids::default();
        let house = House {
            threads: None,
            memory_bytes: u64::MAX,
            max_cells: config.max_cells,
            max_stations: config.max_stations,
            max_variables: config.max_variables,
            grids: &grids,
        };
        Order::new(request, house).map(drop).map_err(|error| error.below("/map"))
    });
    checked.map_err(|error| error.problem())
}

/// The next hours of a schedule, at most so many.
///
/// # Errors
/// Where it has none.
pub fn next_hours(
    document: &ScheduleRequest,
    after: Timestamp,
    count: usize,
) -> Result<Vec<Timestamp>, Problem> {
    let hours = Hours::new(&document.cron, document.zone.as_deref());
    let hours = hours.map_err(|error| error.problem())?;
    Ok(hours.between(after, Timestamp::MAX, count))
}

fn no_grid() -> ApiError {
    let text =
        "where to map? give a grid (its bounds, and shape or resolution), here or in the network";
    ApiError::meaningless(text).at_pointer("/map/grid")
}

/// The request of its maps.
///
/// # Errors
/// 422 with a pointer into the document.
pub(crate) fn map_request(document: &ScheduleRequest) -> Result<MapRequest, ApiError> {
    let request: MapRequest = serde_path_to_error::deserialize(&document.map).map_err(|error| {
        let path = error.path().to_string();
        let pointer =
            if path == "." { String::new() } else { format!("/{}", path.replace('.', "/")) };
        ApiError::meaningless(format!("the map: {}", error.inner()))
            .at_pointer(format!("/map{pointer}"))
    })?;
    let readings = [
        ("stations", request.stations.is_some()),
        ("times", request.times.is_some()),
        ("values", request.values.is_some()),
        ("points", request.points.is_some()),
    ];
    if let Some((name, _)) = readings.iter().find(|(_, given)| *given) {
        let text = format!(
            "the map of a schedule has no `{name}`; readings come from the source, maps are on a grid"
        );
        return Err(ApiError::meaningless(text).at_pointer(format!("/map/{name}")));
    }
    if !request.variables.is_empty() && !document.variables.is_empty() {
        let text = "variables are named both in the schedule and in its map; name them once";
        return Err(ApiError::meaningless(text).at_pointer("/map/variables"));
    }
    Ok(request)
}
