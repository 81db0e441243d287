//! What the files of maps say of themselves, kept beside their rows: so that collections are described
//! without a file being opened, and of many files only those that matter are.
//!
//! A head is written when a map is finished; for a map without one the first who needs it reads it.

use isopleth_engine::export::{Source, Space};
use rusqlite::types::Value;
use rusqlite::{Connection, Result, params, params_from_iter};
use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::state::AppState;

/// Maps whose heads are read before they are written down.
const AT_ONCE: usize = 200;

/// A further column of the table of maps.
pub(crate) const MIGRATION: &str = "
-- JSON: what the file says of itself; NULL: nobody has looked, 'null': it has no place on the Earth.
ALTER TABLE maps ADD COLUMN head TEXT;
CREATE INDEX maps_by_network ON maps (network, created) WHERE removed IS NULL;
";

/// Where maps of no registered network are.
pub(crate) const NO_NETWORK: &str = "maps";

/// A map on the Earth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// West, south, east, north in degrees of all that its cells cover.
    pub(crate) bbox: [f64; 4],
    /// Its plane, where it lies in one.
    pub(crate) crs: Option<String>,
    /// Its maps and the layers beside them.
    pub(crate) parameters: Vec<Parameter>,
}

/// A map or a layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) units: Option<String>,
    pub(crate) standard_name: Option<String>,
    pub(crate) is_layer: bool,
}

impl Head {
    /// Of an open file; none for a plane that nobody named.
    fn of(source: &Source) -> Option<Self> {
        let parameters = source.variables().iter().map(|v| Parameter {
            name: v.name.clone(),
            label: v.long_name.clone(),
            units: v.units.clone(),
            standard_name: v.standard_name.clone(),
            is_layer: v.is_layer,
        });
        let crs = match source.space() {
            Space::Projected(crs) => Some(crs.text().to_owned()),
            _ => None,
        };
        Some(Self { bbox: source.reach()?, crs, parameters: parameters.collect() })
    }

    /// Whether it shares a place with bounds, whose west is above their east across the date line.
    pub(crate) fn meets(&self, bounds: [f64; 4]) -> bool {
        let ([w, s, e, n], [west, south, east, north]) = (self.bbox, bounds);
        let east = if east < west { east + 360.0 } else { east };
        let share = |turn: f64| w <= east + turn && e >= west + turn;
        s <= north && n >= south && [-720.0, -360.0, 0.0, 360.0, 720.0].into_iter().any(share)
    }
}

/// Maps of one collection that say the same of themselves.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kind {
    /// The network's name, or [`NO_NETWORK`].
    pub(crate) collection: String,
    /// The network's title.
    pub(crate) title: Option<String>,
    pub(crate) head: Head,
    /// How many.
    pub(crate) maps: u64,
    /// First and last time of all, where they have times.
    pub(crate) times: Option<[i64; 2]>,
}

/// A map that may have a part of what is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) digest: String,
}

/// Conditions on maps that are there, and the values they name.
struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    fn new(owner: Option<&str>, collection: Option<&str>) -> Self {
        let text = "m.removed IS NULL AND m.head IS NOT NULL AND m.head <> 'null'".to_owned();
        let mut made = Self { text, values: Vec::new() };
        if let Some(owner) = owner {
            made.add("(m.owner = ? OR m.owner GLOB 'schedule:*')", owner.to_owned().into());
        }
        match collection {
            Some(NO_NETWORK) => {
                made.add("(m.network IS NULL OR m.network = ?)", NO_NETWORK.to_owned().into());
            }
            Some(network) => made.add("m.network = ?", network.to_owned().into()),
            None => (),
        }
        made
    }

    fn add(&mut self, condition: &str, value: Value) {
        self.values.push(value);
        let named = condition.replace('?', &format!("?{}", self.values.len()));
        self.text = format!("{} AND {named}", self.text);
    }
}

/// The kinds of maps of all collections, or of one, each collection's newest first.
///
/// # Errors
/// The database's.
pub(crate) fn kinds(
    connection: &Connection,
    owner: Option<&str>,
    collection: Option<&str>,
) -> Result<Vec<Kind>> {
    let Conditions { text, values } = Conditions::new(owner, collection);
    let sql = format!(
        "SELECT COALESCE(m.network, '{NO_NETWORK}') AS name, n.title, m.head, COUNT(*), \
         MIN(m.time_first), MAX(m.time_last) \
         FROM maps m LEFT JOIN networks n ON n.id = m.network WHERE {text} \
         GROUP BY name, m.head ORDER BY name, MAX(m.created) DESC, MAX(m.rowid) DESC"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let head: String = row.get(2)?;
        let Ok(head) = serde_json::from_str(&head) else { continue };
        let (first, last): (Option<i64>, Option<i64>) = (row.get(4)?, row.get(5)?);
        all.push(Kind {
            collection: row.get(0)?,
            title: row.get(1)?,
            head,
            maps: row.get(3)?,
            times: first.zip(last).map(|(first, last)| [first, last]),
        });
    }
    Ok(all)
}

/// First and last time of each map of a collection, in order, none twice; at most so many.
///
/// # Errors
/// The database's.
pub(crate) fn times(
    connection: &Connection,
    owner: Option<&str>,
    collection: &str,
    limit: usize,
) -> Result<Vec<[i64; 2]>> {
    let Conditions { text, values } = Conditions::new(owner, Some(collection));
    let sql = format!(
        "SELECT DISTINCT m.time_first, m.time_last FROM maps m \
         WHERE {text} AND m.time_first IS NOT NULL ORDER BY 1, 2 LIMIT {limit}"
    );
    let mut statement = connection.prepare(&sql)?;
    statement.query_map(params_from_iter(values), |row| Ok([row.get(0)?, row.get(1)?]))?.collect()
}

/// Maps of a collection that may have something between two times, the newest first: those whose head
/// is taken, at most so many.
///
/// # Errors
/// The database's.
pub(crate) fn candidates(
    connection: &Connection,
    owner: Option<&str>,
    collection: &str,
    [from, to]: [Option<i64>; 2],
    takes: impl Fn(&Head) -> bool,
    limit: usize,
) -> Result<Vec<Candidate>> {
    let mut conditions = Conditions::new(owner, Some(collection));
    if let Some(from) = from {
        conditions.add("m.time_last >= ?", from.into());
    }
    if let Some(to) = to {
        conditions.add("m.time_first <= ?", to.into());
    }
    let sql = format!(
        "SELECT m.id, m.path, m.digest, m.head FROM maps m WHERE {} \
         ORDER BY m.created DESC, m.rowid DESC",
        conditions.text
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(conditions.values))?;
    let mut all = Vec::new();
    // Maps of a series say the same of themselves.
    let mut last: Option<(String, bool)> = None;
    while let Some(row) = rows.next()? {
        let head: String = row.get(3)?;
        let taken = match &last {
            Some((known, taken)) if *known == head => *taken,
            _ => serde_json::from_str(&head).is_ok_and(|head| takes(&head)),
        };
        last = Some((head, taken));
        if taken {
            all.push(Candidate { id: row.get(0)?, path: row.get(1)?, digest: row.get(2)? });
            if all.len() >= limit {
                break;
            }
        }
    }
    Ok(all)
}

/// Reads the heads of all maps that have none yet.
///
/// # Errors
/// The database's. A file that cannot be read is told in the log, and has no head from then on.
pub(crate) fn fill(state: &AppState, stopped: impl Fn() -> bool) -> Result<(), ApiError> {
    loop {
        let sql = "SELECT id, path FROM maps \
                   WHERE removed IS NULL AND head IS NULL AND form = 'netcdf' LIMIT ?1";
        let missing: Vec<(String, String)> = state.store().read(|c| {
            c.prepare(sql)?
                .query_map([AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_>>()
        })?;
        if missing.is_empty() {
            return Ok(());
        }
        let mut read = Vec::with_capacity(missing.len());
        for (id, path) in missing {
            if stopped() {
                return Err(ApiError::stopping());
            }
            let source = Source::open(&state.jobs().map_file(&path));
            let head = source.map(|source| Head::of(&source)).unwrap_or_else(|error| {
                tracing::warn!(map = id, %error, "the map is in no collection");
                None
            });
            read.push((id, serde_json::to_string(&head).unwrap_or_else(|_| "null".to_owned())));
        }
        state.store().write(|tx| {
            let mut statement = tx.prepare("UPDATE maps SET head = ?2 WHERE id = ?1")?;
            read.iter().try_for_each(|(id, head)| statement.execute(params![id, head]).map(drop))
        })?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::results::{MapRow, insert};
    use crate::store::Store;

    #[test]
    fn a_head_meets_bounds_in_whatever_turn() {
        let head = |bbox| Head { bbox, crs: None, parameters: Vec::new() };
        let pacific = head([170.0, -20.0, 190.0, 20.0]);
        assert!(pacific.meets([-175.0, 0.0, -175.0, 0.0]));
        assert!(pacific.meets([175.0, 0.0, -175.0, 1.0]));
        assert!(pacific.meets([179.0, 0.0, 181.0, 1.0]));
        assert!(!pacific.meets([0.0, 0.0, 10.0, 10.0]));
        assert!(!pacific.meets([-175.0, 21.0, -170.0, 30.0]));
        assert!(head([0.0, 0.0, 360.0, 10.0]).meets([-10.0, 5.0, -5.0, 6.0]));
    }

    fn map(id: &str, owner: &str, network: Option<&str>, times: Option<[i64; 2]>) -> MapRow {
        MapRow {
            id: id.into(),
            job: None,
            network: network.map(str::to_owned),
            owner: owner.into(),
            created: 1,
            expires: i64::MAX,
            removed: None,
            path: format!("{id}.nc"),
            bytes: 1,
            digest: format!("digest of {id}"),
            form: "netcdf".into(),
            variables: "[]".into(),
            times,
            bounds: [0.0; 4],
            report: "{}".into(),
        }
    }

    #[test]
    fn maps_are_those_of_their_owner_their_network_their_time_and_their_place() {
        let store = Store::open(None).expect("a database");
        let all = [
            map("a", "me", Some("net"), Some([10, 20])),
            map("b", "me", Some("net"), Some([30, 40])),
            map("c", "you", Some("net"), Some([50, 60])),
            map("d", "me", None, None),
            map("e", "me", Some("maps"), Some([10, 20])),
            map("plane", "me", None, Some([10, 20])),
            map("new", "me", None, Some([10, 20])),
        ];
        let head = |west: f64| {
            let head = Head { bbox: [west, 0.0, west + 9.0, 9.0], crs: None, parameters: vec![] };
            serde_json::to_string(&head).expect("JSON")
        };
        let heads = [
            ("a", head(0.0)),
            ("b", head(100.0)),
            ("c", head(0.0)),
            ("d", head(0.0)),
            ("e", head(0.0)),
            ("plane", "null".to_owned()),
        ];
        let put: Result<()> = store.write(|tx| {
            all.iter().try_for_each(|map| insert(tx, map))?;
            heads.iter().try_for_each(|(id, head)| {
                tx.execute("UPDATE maps SET head = ?2 WHERE id = ?1", (id, head)).map(drop)
            })
        });
        put.expect("rows");
        let kinds = |owner: Option<&str>, collection: Option<&str>| {
            let found: Result<Vec<Kind>> = store.read(|c| kinds(c, owner, collection));
            let found = found.expect("rows").into_iter();
            found.map(|kind| (kind.collection, kind.maps, kind.times)).collect::<Vec<_>>()
        };
        let kind = |name: &str, maps, times| (name.to_owned(), maps, times);
        let of_you = kind("net", 1, Some([50, 60]));
        assert_eq!(kinds(Some("you"), None), std::slice::from_ref(&of_you));
        assert_eq!(kinds(Some("you"), Some("net")), [of_you]);
        assert_eq!(kinds(Some("me"), Some("maps")), [kind("maps", 2, Some([10, 20]))]);
        assert_eq!(kinds(None, Some("net")).len(), 2, "two places");
        assert_eq!(kinds(None, Some("other")), []);
        let found = |owner, collection, times, bbox: [f64; 4], limit| {
            let takes = |head: &Head| head.meets(bbox);
            let found: Result<Vec<Candidate>> =
                store.read(|c| candidates(c, owner, collection, times, takes, limit));
            found.expect("rows").into_iter().map(|map| map.id).collect::<Vec<_>>()
        };
        let (any, earth) = ([None, None], [-180.0, -90.0, 180.0, 90.0]);
        assert_eq!(found(None, "net", any, earth, 9), ["c", "b", "a"]);
        assert_eq!(found(None, "net", any, earth, 2), ["c", "b"]);
        assert_eq!(found(Some("me"), "net", any, earth, 9), ["b", "a"]);
        assert_eq!(found(None, "net", [Some(20), Some(30)], earth, 9), ["b", "a"]);
        assert_eq!(found(None, "net", any, [105.0, 1.0, 106.0, 2.0], 9), ["b"]);
        assert_eq!(found(None, "maps", any, earth, 9), ["e", "d"]);
        assert_eq!(found(None, "maps", [Some(0), None], earth, 9), ["e"]);
        let times: Result<_> = store.read(|c| times(c, Some("me"), "net", 9));
        assert_eq!(times.expect("rows"), [[10, 20], [30, 40]]);
    }
}
