//! Maps that are kept: rows of the table `maps`, and when they go.

use rusqlite::{Connection, OptionalExtension, Result, Row, Transaction, params};

use super::now;

/// A finished map.
#[derive(Clone, Debug, PartialEq)]
pub struct MapRow {
    /// Its id.
    pub id: String,
    /// The job that made it, if one did.
    pub job: Option<String>,
    /// The registered network it is of, if it is of one.
    pub network: Option<String>,
    /// Whose it is.
    pub owner: String,
    /// Seconds since 1970.
    pub created: i64,
    /// When its file goes, at the latest.
    pub expires: i64,
    /// When its file went, and why.
    pub removed: Option<(i64, String)>,
    /// Name of its file in the folder of maps.
    pub path: String,
    /// Size of the file.
    pub bytes: u64,
    /// BLAKE3 of the file, hexadecimal.
    pub digest: String,
    /// `netcdf`; of results that are no maps `json` or `csv`.
    pub form: String,
    /// JSON: `[{"name": …, "units": …}]`.
    pub variables: String,
    /// First and last time, where there are times.
    pub times: Option<[i64; 2]>,
    /// West, south, east, north of the outermost cells' centres, or of a plane.
    pub bounds: [f64; 4],
    /// The run's report in JSON.
    pub report: String,
}

pub(super) const COLUMNS: &str = "id, job, network, owner, created, expires, removed, removed_why, path, \
     bytes, digest, form, variables, time_first, time_last, west, south, east, north, report";

pub(super) fn from_row(row: &Row<'_>) -> Result<MapRow> {
    let (removed, why): (Option<i64>, Option<String>) = (row.get(6)?, row.get(7)?);
    let (first, last): (Option<i64>, Option<i64>) = (row.get(13)?, row.get(14)?);
    Ok(MapRow {
        id: row.get(0)?,
        job: row.get(1)?,
        network: row.get(2)?,
        owner: row.get(3)?,
        created: row.get(4)?,
        expires: row.get(5)?,
        removed: removed.zip(why),
        path: row.get(8)?,
        bytes: row.get(9)?,
        digest: row.get(10)?,
        form: row.get(11)?,
        variables: row.get(12)?,
        times: first.zip(last).map(|(first, last)| [first, last]),
        bounds: [row.get(15)?, row.get(16)?, row.get(17)?, row.get(18)?],
        report: row.get(19)?,
    })
}

/// Puts a map in; its file is in its place already.
///
/// # Errors
/// The database's.
pub fn insert(tx: &Transaction<'_>, map: &MapRow) -> Result<()> {
    let (removed, why) = map.removed.clone().unzip();
    let [west, south, east, north] = map.bounds;
    let sql = format!(
        "INSERT INTO maps ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, \
         ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)"
    );
    tx.execute(
        &sql,
        params![
            map.id,
            map.job,
            map.network,
            map.owner,
            map.created,
            map.expires,
            removed,
            why,
            map.path,
            map.bytes,
            map.digest,
            map.form,
            map.variables,
            map.times.map(|[first, _]| first),
            map.times.map(|[_, last]| last),
            west,
            south,
            east,
            north,
            map.report,
        ],
    )?;
    Ok(())
}

/// A map by its id, also one whose file is gone.
///
/// # Errors
/// The database's.
pub fn get(connection: &Connection, id: &str) -> Result<Option<MapRow>> {
    let sql = format!("SELECT {COLUMNS} FROM maps WHERE id = ?1");
    connection.prepare(&sql)?.query_row([id], from_row).optional()
}

/// Maps whose files are there, the newest first; no other results.
///
/// # Errors
/// The database's.
pub fn list(connection: &Connection, limit: u32, offset: u32) -> Result<Vec<MapRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM maps WHERE removed IS NULL AND form = 'netcdf' ORDER BY created DESC, rowid DESC \
         LIMIT ?1 OFFSET ?2"
    );
    let mut statement = connection.prepare(&sql)?;
    statement.query_map([limit, offset], from_row)?.collect()
}

/// Books that a map's file goes, and names it; none where there is none. The file is removed after the
/// transaction.
///
/// # Errors
/// The database's.
pub fn remove(tx: &Transaction<'_>, id: &str, why: &str) -> Result<Option<String>> {
    // What a removed map is asked for is when and why.
    let sql = "UPDATE maps SET removed = ?2, removed_why = ?3, report = '{}', head = NULL \
               WHERE id = ?1 AND removed IS NULL RETURNING path";
    tx.query_row(sql, params![id, now(), why], |row| row.get(0)).optional()
}

/// Books that maps go whose time is over, and of the others the oldest while all are more than
/// `most_bytes`; names their files.
pub(super) fn remove_old(tx: &Transaction<'_>, most_bytes: u64) -> Result<Vec<String>> {
    let sql = "SELECT id, bytes, expires FROM maps WHERE removed IS NULL ORDER BY created, rowid";
    let all: Vec<(String, u64, i64)> = {
        let mut statement = tx.prepare(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<Result<_>>()?
    };
    let (now, mut gone) = (now(), Vec::new());
    let mut total: u64 = all.iter().map(|(_, bytes, _)| bytes).sum();
    for (id, bytes, expires) in all {
        let why = if expires <= now {
            "its time was over"
        } else if total > most_bytes {
            "newer results needed the room"
        } else {
            continue;
        };
        total -= bytes;
        gone.extend(remove(tx, &id, why)?);
    }
    Ok(gone)
}

/// Names of the files that are there.
pub(super) fn files(connection: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT path FROM maps WHERE removed IS NULL";
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn map(id: &str, bytes: u64, expires: i64) -> MapRow {
        MapRow {
            id: id.into(),
            job: Some("j".into()),
            network: None,
            owner: "anonymous".into(),
            created: now(),
            expires,
            removed: None,
            path: format!("{id}.nc"),
            bytes,
            digest: "d".into(),
            form: "netcdf".into(),
            variables: "[]".into(),
            times: Some([1, 2]),
            bounds: [0.0, 1.0, 2.0, 3.0],
            report: "{}".into(),
        }
    }

    #[test]
    fn what_is_over_goes_and_then_the_oldest_until_the_rest_has_room() {
        let store = Store::open(None).expect("a database");
        let later = now() + 1000;
        let all = [("a", 40, later), ("b", 40, now() - 1), ("c", 40, later), ("d", 40, later)];
        let gone: Result<Vec<String>> = store.write(|tx| {
            for (id, bytes, expires) in all {
                insert(tx, &map(id, bytes, expires))?;
            }
            remove_old(tx, 90)
        });
        assert_eq!(gone.expect("a transaction"), ["a.nc", "b.nc"]);
        let read: Result<_> = store.read(|c| Ok((list(c, 10, 0)?, get(c, "a")?, get(c, "b")?)));
        let (left, a, b) = read.expect("rows");
        let ids: Vec<&str> = left.iter().map(|m| m.id.as_str()).collect();
        assert_eq!(ids, ["d", "c"]);
        assert_eq!(left[1], map("c", 40, later).with_created(left[1].created));
        let why = |map: Option<MapRow>| map.expect("its row").removed.expect("removed").1;
        assert_eq!(why(a), "newer results needed the room");
        assert_eq!(why(b), "its time was over");
    }

    impl MapRow {
        fn with_created(self, created: i64) -> Self {
            Self { created, ..self }
        }
    }
}
