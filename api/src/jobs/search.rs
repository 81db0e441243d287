//! Maps found again: by network, variable, time and place, the newest first.

use rusqlite::types::Value;
use rusqlite::{Connection, Result, params_from_iter};

use super::results::{COLUMNS, MapRow, from_row};

/// What is looked for; what is none or empty does not matter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// Whose.
    pub owner: Option<String>,
    /// Of this registered network.
    pub network: Option<String>,
    /// With this variable.
    pub variable: Option<String>,
    /// With a time not before.
    pub from: Option<i64>,
    /// With a time not after.
    pub to: Option<i64>,
    /// West, south, east, north: maps that share some of it; west above east crosses the date line.
    pub bbox: Option<[f64; 4]>,
    /// Older than the map with this id.
    pub after: Option<String>,
    /// By the last time they have, not by when they were made.
    pub by_time: bool,
}

/// The maps that are there and fit, at most so many.
///
/// # Errors
/// The database's.
pub fn search(connection: &Connection, search: &Search, limit: usize) -> Result<Vec<MapRow>> {
    let (mut conditions, mut values) =
        (vec!["removed IS NULL AND form = 'netcdf'".to_owned()], Vec::new());
    let mut add = |condition: &str, value: Value| {
        values.push(value);
        conditions.push(condition.replace('?', &format!("?{}", values.len())));
    };
    if let Some(owner) = &search.owner {
        add("(owner = ? OR owner GLOB 'schedule:*')", owner.clone().into());
    }
    if let Some(network) = &search.network {
        add("network = ?", network.clone().into());
    }
    if let Some(variable) = &search.variable {
        let with =
            "EXISTS (SELECT 1 FROM json_each(variables) WHERE json_extract(value, '$.name') = ?)";
        add(with, variable.clone().into());
    }
    if let Some(from) = search.from {
        add("time_last >= ?", from.into());
    }
    if let Some(to) = search.to {
        add("time_first <= ?", to.into());
    }
    if let Some([west, south, east, north]) = search.bbox {
        add("north >= ?", south.into());
        add("south <= ?", north.into());
        if west <= east {
            add("east >= ?", west.into());
            add("west <= ?", east.into());
        } else {
            // Its two parts lie on both sides of the date line.
            values.extend([west.into(), east.into()]);
            let n = values.len();
            conditions.push(format!("(east >= ?{} OR west <= ?{n})", n - 1));
        }
    }
    if let Some(after) = &search.after {
        values.push(after.clone().into());
        let n = values.len();
        conditions
            .push(format!("(created, rowid) < (SELECT created, rowid FROM maps WHERE id = ?{n})"));
    }
    let order = if search.by_time {
        "time_last DESC NULLS LAST, created DESC, rowid DESC"
    } else {
        "created DESC, rowid DESC"
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM maps WHERE {} ORDER BY {order} LIMIT {limit}",
        conditions.join(" AND ")
    );
    connection.prepare(&sql)?.query_map(params_from_iter(values), from_row)?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::results::insert;
    use crate::store::Store;

    fn map(id: &str, created: i64) -> MapRow {
        MapRow {
            id: id.into(),
            job: None,
            network: Some("net".into()),
            owner: "anonymous".into(),
            created,
            expires: i64::MAX,
            removed: None,
            path: format!("{id}.nc"),
            bytes: 1,
            digest: "d".into(),
            form: "netcdf".into(),
            variables: r#"[{"name": "pm25", "units": "ug/m3"}, {"name": "o3"}]"#.into(),
            times: Some([1000, 2000]),
            bounds: [0.0, 40.0, 10.0, 50.0],
            report: "{}".into(),
        }
    }

    #[test]
    fn maps_are_found_by_what_they_have_and_by_nothing_else() {
        let store = Store::open(None).expect("a database");
        let all = [
            map("a", 1),
            MapRow { network: None, times: Some([5000, 6000]), ..map("b", 2) },
            MapRow { variables: r#"[{"name": "so2"}]"#.into(), owner: "k".into(), ..map("c", 3) },
            MapRow { bounds: [170.0, -50.0, 180.0, -30.0], times: None, ..map("d", 4) },
        ];
        let put: Result<()> = store.write(|tx| all.iter().try_for_each(|map| insert(tx, map)));
        put.expect("rows");
        let found = |wanted: Search| -> Vec<String> {
            let rows: Result<Vec<MapRow>> = store.read(|c| search(c, &wanted, 10));
            rows.expect("rows").into_iter().map(|map| map.id).collect()
        };
        let any = Search::default;
        assert_eq!(found(any()), ["d", "c", "b", "a"]);
        assert_eq!(found(Search { by_time: true, ..any() }), ["b", "c", "a", "d"]);
        assert_eq!(found(Search { network: Some("net".into()), ..any() }), ["d", "c", "a"]);
        assert_eq!(found(Search { variable: Some("o3".into()), ..any() }), ["d", "b", "a"]);
        assert_eq!(found(Search { variable: Some("name".into()), ..any() }), [""; 0]);
        assert_eq!(found(Search { owner: Some("k".into()), ..any() }), ["c"]);
        assert_eq!(found(Search { from: Some(2500), ..any() }), ["b"]);
        assert_eq!(found(Search { to: Some(1000), ..any() }), ["c", "a"]);
        let bbox = |bbox| found(Search { bbox: Some(bbox), ..any() });
        assert_eq!(bbox([9.0, 49.0, 20.0, 60.0]), ["c", "b", "a"]);
        assert_eq!(bbox([11.0, 40.0, 20.0, 50.0]), [""; 0]);
        assert_eq!(bbox([175.0, -40.0, -175.0, 0.0]), ["d"]);
        assert_eq!(found(Search { after: Some("c".into()), ..any() }), ["b", "a"]);
        assert_eq!(found(Search { network: Some("' OR 1".into()), ..any() }), [""; 0]);
    }
}
