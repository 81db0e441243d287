//! Databases of every earlier schema, with rows in them, opened by this program.

use rusqlite::Connection;
use tempfile::TempDir;

use super::{STEPS, known};
use crate::store::{FILE, Store, inspect};

/// A step by words of its own, and rows as a program of that schema had them, added after it. A new step brings its own.
const ROWS: &[(&str, &str)] = &[
    (
        "CREATE TABLE keys ",
        "INSERT INTO keys (id, name, hash, scopes, created) VALUES ('k1', 'me', x'00', 'read,map', 1700000000);
         INSERT INTO cells_by_day VALUES ('k1', 20000, 1234);
         INSERT INTO audit (time, who, act, about) VALUES (1700000000, 'service', 'began', '{}');",
    ),
    (
        "CREATE TABLE networks ",
        "INSERT INTO networks VALUES ('cities', 'tag', 'Cities', 3, 2, 1700000000, 1700000001, '{}');",
    ),
    (
        "CREATE TABLE jobs ",
        "INSERT INTO inputs VALUES ('d1', 7, 1700000000);
         INSERT INTO jobs (id, owner, state, lane, request, fingerprint, fields, cells, predicted_seconds,
             predicted_bytes, created, updated, map)
             VALUES ('j1', 'k1', 'successful', 'long', '{}', 'f', 1, 20, 0.1, 1000, 1700000000, 1700000002, 'm1');
         INSERT INTO job_inputs VALUES ('j1', 'd1');
         INSERT INTO hooks (job, url) VALUES ('j1', 'https://hooks.example.org/');
         INSERT INTO maps (id, job, owner, created, expires, path, bytes, digest, form, variables, west, south, east,
             north, report)
             VALUES ('m1', 'j1', 'k1', 1700000002, 1800000000, 'm1.nc', 9, 'd2', 'netcdf', '[]', 1, 2, 3, 4, '{}');",
    ),
    ("ALTER TABLE maps ADD COLUMN head ", "UPDATE maps SET head = 'null' WHERE id = 'm1';"),
    (
        "ALTER TABLE jobs ADD COLUMN process ",
        "INSERT INTO jobs (id, owner, state, lane, request, fingerprint, fields, cells, predicted_seconds,
             predicted_bytes, created, updated, map, process)
             VALUES ('j2', 'k1', 'accepted', 'interactive', '{}', 'g', 1, 20, 0.1, 1000, 1700000000, 1700000002,
                 'm2', 'points');",
    ),
    (
        "CREATE TABLE schedules ",
        "INSERT INTO schedules (id, document, tag, origin, created, updated, made_to)
             VALUES ('air', '{}', 't', 'api', 1700000000, 1700000000, 1700000000);
         INSERT INTO slots (schedule, hour, state, revision, since, updated)
             VALUES ('air', 1700000000, 'made', 1, 1700000600, 1700000700);
         INSERT INTO revisions VALUES ('air', 1700000000, 1, 'm1', 'j1', 'd1', 'd3', 'hour.csv', 40, 1700000700, 'first', 1);
         INSERT INTO slot_inputs VALUES ('air', 1700000000, 'd1');
         INSERT INTO posted VALUES ('air', 1700000000, 'hour.csv', 'd1', 0, 1700000650);
         INSERT INTO deliveries (schedule, hour, revision, sink, state, updated)
             VALUES ('air', 1700000000, 1, 'folder', 'waiting', 1700000700);
         INSERT INTO backfills VALUES (1, 'air', 1700000000, 1700003600, 2, 0, 1700000000);
         INSERT INTO notices (kind, schedule, message, created) VALUES ('missing', 'air', 'none', 1700000000);",
    ),
    (
        "CREATE TABLE delivered ",
        "INSERT INTO delivered VALUES ('folder', 'air/1.nc', 'air', 1700000000, 1, 'mark', 9);",
    ),
    (
        "CREATE TABLE usage ",
        "INSERT INTO usage (began_ms, ended_ms, way, process, client, exit, seconds)
             VALUES (1700000000000, 1700000001000, 'job', 'map', 'k1', 'successful', 1.0);
         INSERT INTO usage_seen VALUES (19675, 'job', 1, 0);
         INSERT INTO usage_parts VALUES (19674, 0, 3, 1, 900, 'd4');
         INSERT INTO reconciliations VALUES (19674, 1700000000, 0, '{}');
         INSERT INTO canaries (sent_ms) VALUES (1700000000000);",
    ),
];

/// Rows of a step.
fn rows(step: &str) -> &'static str {
    let found = ROWS.iter().find(|(words, _)| step.contains(words));
    found.expect("a step of the schema needs rows here: what a database of it may hold").1
}

fn version_of(connection: &Connection) -> i64 {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a number")
}

/// What the schema is, as SQLite tells it.
fn schema(connection: &Connection) -> Vec<(String, Option<String>)> {
    let sql =
        "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name";
    let mut statement = connection.prepare(sql).expect("a statement");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    rows.collect::<rusqlite::Result<_>>().expect("rows")
}

/// Tables and how many rows each has.
fn counts(connection: &Connection) -> Vec<(String, u64)> {
    let names = schema(connection).into_iter().map(|(name, _)| name);
    let count = |name: &String| {
        connection.query_row(&format!("SELECT count(*) FROM {name}"), [], |row| row.get(0)).ok()
    };
    names.filter_map(|name| count(&name).map(|count| (name, count))).collect()
}

#[test]
fn a_database_of_every_earlier_schema_is_brought_up_to_date_with_all_its_rows() {
    assert_eq!(
        ROWS.len(),
        STEPS.len(),
        "a step of the schema needs rows here: what a database of it may hold"
    );
    let fresh = TempDir::new().expect("a folder");
    drop(Store::open(Some(fresh.path())).expect("a new database"));
    let expected = schema(&Connection::open(fresh.path().join(FILE)).expect("the file"));
    for version in 1..=STEPS.len() {
        let folder = TempDir::new().expect("a folder");
        let connection = Connection::open(folder.path().join(FILE)).expect("a file");
        connection.pragma_update(None, "journal_mode", "WAL").expect("a mode");
        connection.pragma_update(None, "foreign_keys", true).expect("a mode");
        for step in STEPS.iter().take(version) {
            connection.execute_batch(step).expect("a step");
            connection.execute_batch(rows(step)).expect("rows");
        }
        connection.pragma_update(None, "user_version", version).expect("a number");
        let before = counts(&connection);
        drop(connection);

        let seen = inspect::inspect(folder.path()).expect("readable").expect("a database");
        assert_eq!((seen.schema, seen.keys), (i64::try_from(version).expect("few"), 1), "as it is");

        drop(Store::open(Some(folder.path())).expect("it is brought up to date"));
        let connection = Connection::open(folder.path().join(FILE)).expect("the file");
        assert_eq!(version_of(&connection), known());
        let after = counts(&connection);
        for (table, rows) in &before {
            let now = after.iter().find(|(name, _)| name == table).map(|(_, rows)| rows);
            assert_eq!(now, Some(rows), "rows of {table} of schema {version}");
        }
        assert_eq!(schema(&connection), expected, "schema {version} becomes the same as a new one");
        assert_eq!(inspect::damage(&connection).expect("a check"), Vec::<String>::new());
        // Opened once more, nothing changes.
        drop(connection);
        drop(Store::open(Some(folder.path())).expect("it is up to date"));
    }
}

#[test]
fn a_step_that_fails_leaves_the_database_as_it_was() {
    let folder = TempDir::new().expect("a folder");
    let connection = Connection::open(folder.path().join(FILE)).expect("a file");
    connection.execute_batch(STEPS[0]).expect("a step");
    // Somebody has a table of a name that a later step wants.
    connection.execute_batch("CREATE TABLE jobs (mine TEXT)").expect("a table");
    connection.pragma_update(None, "user_version", 1).expect("a number");
    let before = schema(&connection);
    drop(connection);
    let error = Store::open(Some(folder.path())).expect_err("there is one already").to_string();
    assert!(error.contains("jobs"), "{error}");
    let connection = Connection::open(folder.path().join(FILE)).expect("the file");
    assert_eq!((version_of(&connection), schema(&connection)), (1, before));
}
