//! A real server, started for the test and as a user that may not do much.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use isopleth_engine::Cancel;
use jiff::tz::TimeZone;
use tempfile::TempDir;

use super::*;

/// A server with a table of readings, which ends with the test.
struct Server {
    folder: TempDir,
    programs: PathBuf,
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.folder.path().join("data");
        let stop = ["stop", "-m", "immediate", "-D"];
        let _ = as_nobody(&self.programs.join("pg_ctl")).args(stop).arg(data).output();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A command as a user that is not root, as PostgreSQL wants it.
fn as_nobody(program: &Path) -> Command {
    let root = fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0);
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command.current_dir("/");
    command
}

fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let mut found: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    found.retain(|bin| bin.join("initdb").exists());
    found.sort();
    found.pop()
}

/// A server, or none where PostgreSQL is not installed.
fn server() -> Option<Server> {
    let Some(programs) = programs() else {
        eprintln!("SKIPPED: there is no PostgreSQL; scripts/setup.sh tests installs it");
        return None;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let certified =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    fs::write(at("server.pem"), certified.cert.pem()).expect("a certificate");
    fs::write(at("server.key"), certified.signing_key.serialize_pem()).expect("a key");
    fs::write(at("password"), "tulips\n").expect("a password");
    fs::set_permissions(at("server.key"), fs::Permissions::from_mode(0o600)).expect("a mode");
    let owner = as_nobody(Path::new("id")).arg("-u").output().expect("id");
    let owner = String::from_utf8_lossy(&owner.stdout).trim().parse().expect("a user");
    for path in [folder.path().to_owned(), at("server.key"), at("password")] {
        chown(&path, Some(owner), None).expect("given away");
    }
    let made = as_nobody(&programs.join("initdb"))
        .args(["-N", "-U", "isopleth", "-E", "UTF8", "--locale=C", "--auth-local=trust"])
        .args(["--auth-host=scram-sha-256", "--pwfile"])
        .arg(at("password"))
        .arg("-D")
        .arg(at("data"))
        .output()
        .expect("initdb");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let port = port.expect("a port").port();
    let setting = |name: &str, value: String| format!("{name}={value}");
    let path = |name: &str| at(name).display().to_string();
    let process = as_nobody(&programs.join("postgres"))
        .arg("-D")
        .arg(at("data"))
        .args(["-c", "listen_addresses=localhost", "-c", "fsync=off", "-c", "ssl=on"])
        .args(["-c", &setting("port", port.to_string())])
        .args(["-c", &setting("unix_socket_directories", path(""))])
        .args(["-c", &setting("ssl_cert_file", path("server.pem"))])
        .args(["-c", &setting("ssl_key_file", path("server.key"))])
        .stdout(Stdio::null())
        .stderr(fs::File::create(at("log")).expect("a log"))
        .spawn()
        .expect("a server");
    let server = Server { folder, programs, process, port };
    server.fill();
    Some(server)
}

impl Server {
    fn psql(&self, text: &str) -> bool {
        let folder = self.folder.path().display().to_string();
        let asked = as_nobody(&self.programs.join("psql"))
            .args(["-h", &folder, "-p", &self.port.to_string(), "-U", "isopleth"])
            .args(["-v", "ON_ERROR_STOP=1", "-q", "-c", text, "postgres"])
            .output();
        asked.expect("psql").status.success()
    }

    fn fill(&self) {
        while !self.psql("SELECT 1") {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(!log.contains("FATAL:  could not"), "{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(self.psql(
            "CREATE SEQUENCE counter;
             CREATE TABLE air (code text, lon float8, lat float8, at timestamptz, pm25 real, no2 numeric, ok boolean);
             INSERT INTO air VALUES
               ('a', 116.4, 39.9, '2026-11-21T13:00:00Z', 35.1, 0.1, true),
               ('b \"x\", y', 121.5, 31.2, '2026-11-21T13:59:59.5Z', NULL, 12.50, NULL),
               ('a', 116.4, 39.9, '2026-11-21T14:00:00Z', 7, 7, true)"
        ));
    }

    fn source(&self, query: &str) -> PostgresSource {
        let host = self.folder.path().display();
        let connection = format!("host={host} port={} dbname=postgres user=isopleth", self.port);
        let told = serde_json::json!({ "connection": connection, "query": query });
        let source: PostgresSource = serde_json::from_value(told).expect("a source");
        source.check("air").expect("a source");
        source
    }

    /// Over TCP, with a password.
    fn far(&self, host: &str) -> PostgresSource {
        let told = serde_json::json!({
            "connection": format!("host={host} port={} dbname=postgres user=isopleth", self.port),
            "query": HOURLY,
            "password": format!("file:{}", self.folder.path().join("password").display()),
            "ca_file": self.folder.path().join("server.pem"),
        });
        serde_json::from_value(told).expect("a source")
    }
}

const HOURLY: &str = "SELECT code AS station, lon, lat, at AS time, pm25, no2 FROM air \
                      WHERE at >= $1 AND at < $2 ORDER BY code -- hourly";

fn fetch(source: &PostgresSource, hour: &str, mark: Option<&str>) -> Result<Fetched, SourceError> {
    let (cancel, spill) = (Cancel::default(), std::env::temp_dir());
    let limits = Limits { name: "air", bytes: 100_000, spill: &spill, cancel: &cancel };
    let start = hour.parse().expect("a time");
    source.fetch(&Hour { start, zone: TimeZone::UTC }, Known { mark }, &limits)
}

const THEN: &str = "2026-11-21T13:00:00Z";

fn refused(source: &PostgresSource) -> (bool, String) {
    let error = fetch(source, THEN, None).expect_err("it is refused");
    (error.is_passing(), error.to_string())
}

fn text(fetched: Result<Fetched, SourceError>) -> (String, String) {
    match fetched {
        Ok(Fetched::Readings { body, mark: Some(mark), .. }) => {
            let mut text = String::new();
            body.into_reader().read_to_string(&mut text).expect("text");
            (text, mark)
        }
        other => panic!("expected readings, got {other:?}"),
    }
}

#[test]
fn a_real_server_is_asked_for_an_hour_reads_only_and_is_held_to_limits() {
    let Some(server) = server() else { return };
    rows_of_an_hour_become_a_table(&server);
    connections_are_encrypted_and_passwords_come_from_elsewhere(&server);
    a_query_may_only_read_and_take_so_long_and_so_much(&server);
}

fn rows_of_an_hour_become_a_table(server: &Server) {
    let source = server.source(HOURLY);
    let (rows, mark) = text(fetch(&source, THEN, None));
    assert_eq!(
        rows,
        "station,lon,lat,time,pm25,no2\n\
         a,116.4,39.9,2026-11-21 13:00:00+00,35.1,0.1\n\
         \"b \"\"x\"\", y\",121.5,31.2,2026-11-21 13:59:59.5+00,,12.50\n"
    );
    assert!(matches!(fetch(&source, THEN, Some(&mark)), Ok(Fetched::Unchanged)));
    let none = fetch(&source, "2026-11-21T12:00:00Z", None);
    assert!(matches!(&none, Ok(Fetched::NotYet(why)) if why.contains("no rows of 2026-11-21T12")));
    assert!(server.psql("UPDATE air SET pm25 = 36 WHERE code = 'a'"));
    assert!(text(fetch(&source, THEN, Some(&mark))).0.contains("+00,36,0.1"), "a correction");
    // Only the start, and a type that nobody foresaw.
    let odd =
        server.source("SELECT $1 AS time, ARRAY[1, 2] AS \"odd \"\"name\", ok FROM air WHERE code = 'a' LIMIT 1;\n");
    let odd = text(fetch(&odd, THEN, None)).0;
    assert_eq!(odd, "time,\"odd \"\"name\",ok\n2026-11-21 13:00:00+00,\"{1,2}\",true\n");
}

fn connections_are_encrypted_and_passwords_come_from_elsewhere(server: &Server) {
    let mut source = server.far("localhost");
    assert!(text(fetch(&source, THEN, None)).0.starts_with("station,"), "over TLS");
    let encrypted = "SELECT ssl AS tls, $1 AS time FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    source.query = encrypted.to_owned();
    assert!(text(fetch(&source, THEN, None)).0.contains("true,"), "the server says so, too");
    source.ca_file = None;
    let (passing, told) = refused(&source);
    assert!(passing && told.contains("certificate"), "an unknown certificate: {told}");
    source = server.far("127.0.0.1");
    assert!(refused(&source).1.contains("certificate"), "of another name");
    source.tls = TlsName::Off;
    assert!(text(fetch(&source, THEN, None)).0.starts_with("station,"), "without TLS");
    fs::write(server.folder.path().join("password"), "roses").expect("another password");
    let (passing, told) = refused(&source);
    assert!(!passing && told.contains("28P01") && !told.contains("roses"), "{told}");
    source.connection = source.connection.replace(&server.port.to_string(), "1");
    assert!(refused(&source).0, "nobody is there");
}

fn a_query_may_only_read_and_take_so_long_and_so_much(server: &Server) {
    for (query, word) in [
        ("WITH gone AS (DELETE FROM air RETURNING *) SELECT *, $1 FROM gone", "(0A000)"),
        ("SELECT nextval('counter'), $1", "read-only"),
        ("SELECT nextval('none'), $1", "does not exist"),
        ("SELECT 1 AS a, 2 AS a, $1 AS b", "two columns `a`"),
        ("SELECT $1; DROP TABLE air", "multiple commands"),
        ("SELECT * FROM nowhere WHERE at = $1", "nowhere"),
        ("SELECT $1 AS a, 1/0 AS b", "division by zero"),
    ] {
        let (passing, told) = refused(&server.source(query));
        assert!(!passing && told.contains(word), "{query}: {told}");
    }
    let mut source = server.source("SELECT pg_sleep(60), $1");
    source.timeout_seconds = 1;
    assert!(refused(&source).0, "it may be quicker the next time");
    let many = "SELECT g AS station, $1 AS time FROM generate_series(1, 1500) AS g";
    source = server.source(many);
    assert_eq!(text(fetch(&source, THEN, None)).0.lines().count(), 1501);
    source.max_rows = 1499;
    assert!(refused(&source).1.contains("more than 1499 rows"));
    source = server.source(&many.replace("1500", "100000"));
    assert!(matches!(fetch(&source, THEN, None), Err(SourceError::TooLarge { .. })));
}

#[test]
fn a_source_that_cannot_be_is_told_when_the_service_starts() {
    let told = |change: &dyn Fn(&mut PostgresSource)| {
        let told = serde_json::json!({
            "connection": "host=/tmp dbname=air user=me", "query": "SELECT $1",
        });
        let mut source: PostgresSource = serde_json::from_value(told).expect("a source");
        change(&mut source);
        source.check("air").map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    };
    let to =
        |text: &'static str| move |source: &mut PostgresSource| source.connection = text.to_owned();
    assert_eq!(told(&|_| ()), "fine");
    assert_eq!(told(&to("postgresql://me@db.org/air")), "fine");
    for (got, word) in [
        (told(&to("host=/tmp dbname=air user=me password=tulips")), "belongs into `password`"),
        (told(&to("postgresql://me:tulips@db.org/air")), "belongs into `password`"),
        (told(&to("tulips")), "expected host="),
        (told(&to("dbname=air user=me")), "must say host"),
        (told(&to("host=/tmp user=me")), "dbname and user"),
        (told(&|source| source.query = "SELECT 1".into()), "by $1"),
        (told(&|source| source.password = Some("tulips".into())), "not the password itself"),
        (
            told(&|source| source.password = Some("env:NO_SUCH_NAME".into())),
            "no variable NO_SUCH_NAME",
        ),
        (told(&|source| source.ca_file = Some("/no/such.pem".into())), "ca_file: /no/such.pem"),
        (told(&|source| source.max_rows = 0), "at least 1"),
    ] {
        assert!(got.contains(word) && !got.contains("tulips"), "{word}: {got}");
    }
}
