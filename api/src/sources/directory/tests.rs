//! Folders as producers of files leave them.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;

use flate2::Compression;
use flate2::write::GzEncoder;
use isopleth_engine::Cancel;
use jiff::tz::TimeZone;
use tempfile::TempDir;

use super::*;

const ROWS: &str = "station,lon,lat,pm25\na,1,2,3\n";

/// A folder, and the source that watches it.
struct Watched {
    folder: TempDir,
    source: DirectorySource,
    limit: u64,
}

fn watched(files: &str) -> Watched {
    let folder = tempfile::tempdir().expect("a folder");
    let source = DirectorySource {
        path: folder.path().to_owned(),
        files: files.to_owned(),
        stable_seconds: 0,
        several: Several::Join,
        stations: None,
        units: BTreeMap::new(),
        read: ReadRequest::default(),
    };
    source.check("in").expect("a source");
    Watched { folder, source, limit: 10_000 }
}

impl Watched {
    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }

    fn fetch(&self, mark: Option<&str>) -> Result<Fetched, SourceError> {
        let cancel = Cancel::default();
        let spill = std::env::temp_dir();
        let limits = Limits { name: "in", bytes: self.limit, spill: &spill, cancel: &cancel };
        let start = "2026-11-21T13:00:00Z".parse().expect("a time");
        let zone = TimeZone::get("Asia/Shanghai").expect("a zone");
        self.source.fetch(&Hour { start, zone }, Known { mark }, &limits)
    }

    fn why_not(&self) -> String {
        match self.fetch(None) {
            Ok(Fetched::NotYet(why)) => why,
            other => panic!("expected not yet, got {other:?}"),
        }
    }

    fn text(&self) -> (String, String) {
        match self.fetch(None) {
            Ok(Fetched::Readings { body, mark: Some(mark), .. }) => {
                let mut text = String::new();
                body.into_reader().read_to_string(&mut text).expect("text");
                (text, mark)
            }
            other => panic!("expected readings, got {other:?}"),
        }
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn an_hour_is_found_by_its_name_in_the_zone_and_known_again() {
    let watched = watched("{time:%Y/%m}/{time:%d%H}.csv");
    assert!(watched.why_not().contains("no folder"), "{}", watched.why_not());
    watched.put("2026/11/2113.csv", ROWS);
    assert!(watched.why_not().ends_with("/2026/11/2121.csv"), "{}", watched.why_not());
    watched.put("2026/11/2121.csv", ROWS);
    let (text, mark) = watched.text();
    assert_eq!(text, ROWS);
    assert!(matches!(watched.fetch(Some(&mark)), Ok(Fetched::Unchanged)));
    // Written again with the same bytes: a duplicate. With others: a correction.
    watched.put("2026/11/2121.csv", ROWS);
    assert!(matches!(watched.fetch(Some(&mark)), Ok(Fetched::Unchanged)));
    watched.put("2026/11/2121.csv", ROWS.replace('3', "4"));
    assert!(matches!(watched.fetch(Some(&mark)), Ok(Fetched::Readings { .. })));
}

#[test]
fn what_changed_long_ago_is_known_by_its_times_and_not_read_again() {
    let watched = watched("a.csv");
    watched.put("a.csv", ROWS);
    let path = watched.folder.path().join("a.csv");
    let found = |now| {
        let file = File::open(&path).expect("a file");
        let stamp = Stamp::of(&file).expect("a stamp");
        stamps(&[Found { path: path.clone(), file, stamp }], now)
    };
    let now = SystemTime::now();
    assert_eq!(found(now), None, "it could change again at the same time");
    let known = found(now + Duration::from_secs(60)).expect("long ago");
    assert_eq!(found(now + Duration::from_secs(90)).as_deref(), Some(known.as_str()));
    fs::write(&path, ROWS).expect("written again");
    assert_ne!(found(now + Duration::from_secs(90)), Some(known));
}

#[test]
fn a_file_that_somebody_writes_is_waited_for_and_an_empty_one_too() {
    let mut watched = watched("a.csv");
    watched.put("a.csv", "");
    assert!(watched.why_not().contains("is empty"), "{}", watched.why_not());
    watched.put("a.csv", ROWS);
    watched.source.stable_seconds = 30;
    assert!(watched.why_not().contains("must be still for 30 s"), "{}", watched.why_not());
    let path = watched.folder.path().join("a.csv");
    let change =
        |time| File::options().write(true).open(&path).and_then(|file| file.set_modified(time));
    change(SystemTime::now() - Duration::from_secs(40)).expect("an older file");
    assert_eq!(watched.text().0, ROWS);
    change(SystemTime::now() + Duration::from_secs(400)).expect("a file of the future");
    assert!(watched.why_not().contains("clocks differ"), "{}", watched.why_not());
}

#[test]
fn several_files_of_an_hour_are_joined_or_the_last_one_counts() {
    let mut watched = watched("{time_utc:%H}_*_obs*.csv");
    assert!(watched.why_not().contains("13_*_obs*.csv"), "{}", watched.why_not());
    for name in [".13_x_obs.csv", "13_y_obs.csv.tmp", "13_obs.csv", "14_a_obs.csv", "13_a_obs.txt"]
    {
        watched.put(name, "station,other\n");
    }
    assert!(watched.why_not().contains("no file"), "{}", watched.why_not());
    watched.put("13_b_obs.csv", gzip("\u{feff}station,lon,lat,pm25\r\nb,1,2,3\r\n"));
    watched.put("13_a_obs2.csv", "station,lon,lat,pm25\na,1,2,3");
    let (text, mark) = watched.text();
    let rows: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(rows, ["station,lon,lat,pm25", "a,1,2,3", "b,1,2,3"]);
    watched.put("13_c_obs.csv", "station,lon,lat,pm25\nc,1,2,3\n");
    assert!(matches!(watched.fetch(Some(&mark)), Ok(Fetched::Readings { .. })), "one more");
    watched.source.several = Several::Latest;
    assert_eq!(watched.text().0, "station,lon,lat,pm25\nc,1,2,3\n");
    watched.source.several = Several::Join;
    watched.put("13_d_obs.csv", "station,lon,lat,no2\n");
    let error = watched.fetch(None).expect_err("another table");
    assert!(!error.is_passing() && error.to_string().contains("different first lines"), "{error}");
    watched.put("13_d_obs.csv", "PAR1....");
    let error = watched.fetch(None).expect_err("no table").to_string();
    assert!(error.contains("13_d_obs.csv is no table of text"), "{error}");
}

#[test]
fn nothing_outside_the_folder_is_read_whatever_leads_there() {
    let watched = watched("sub/{time_utc:%H}.csv");
    let secret = tempfile::tempdir().expect("a folder");
    fs::write(secret.path().join("13.csv"), "secret\n").expect("a file");
    symlink(secret.path(), watched.folder.path().join("sub")).expect("a link");
    let error = watched.fetch(None).expect_err("a folder that is a link");
    assert!(!error.is_passing() && error.to_string().contains("symbolic link"), "{error}");
    fs::remove_file(watched.folder.path().join("sub")).expect("a link");
    fs::create_dir(watched.folder.path().join("sub")).expect("a folder");
    let place = watched.folder.path().join("sub/13.csv");
    symlink(secret.path().join("13.csv"), &place).expect("a link");
    let error = watched.fetch(None).expect_err("a file that is a link").to_string();
    assert!(error.contains("symbolic link") && !error.contains("secret\n"), "{error}");
    fs::remove_file(&place).expect("a link");
    fs::create_dir(&place).expect("a folder");
    assert!(watched.fetch(None).expect_err("a folder").to_string().contains("is no file"));
}

#[test]
fn a_pipe_is_not_waited_for_and_too_much_is_not_received() {
    let mut watched = watched("a.csv");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        watched.folder.path().join("a.csv"),
        rustix::fs::FileType::Fifo,
        Mode::RUSR,
        0,
    )
    .expect("a pipe");
    assert!(watched.fetch(None).expect_err("a pipe").to_string().contains("is no file"));
    fs::remove_file(watched.folder.path().join("a.csv")).expect("a pipe");
    watched.limit = 100;
    watched.put("a.csv", "x".repeat(100));
    assert_eq!(watched.text().0.len(), 100);
    watched.put("a.csv", "x".repeat(101));
    let error = watched.fetch(None).expect_err("too much");
    assert!(matches!(error, SourceError::TooLarge { limit: 100, .. }) && !error.is_passing());
    // Joined files are unpacked as they are read, and counted unpacked.
    watched.source.files = "z*.csv".to_owned();
    watched.put("z1.csv", gzip(&format!("{}\n", "x".repeat(60))));
    watched.put("z2.csv", gzip(&format!("{}\n{}", "x".repeat(60), "y\n".repeat(100_000))));
    assert!(matches!(watched.fetch(None), Err(SourceError::TooLarge { .. })));
}

#[test]
fn a_source_that_cannot_be_is_told_when_the_service_starts() {
    let mut watched = watched("a.csv");
    for (files, word) in [
        ("../{time:%H}.csv", "leads out of the folder"),
        ("a/{time:%H}/../../x", "leads out of the folder"),
        ("/etc/passwd", "leads out of the folder"),
        ("{time:%H}/", "leads out of the folder"),
        ("", "is no name"),
        ("*/{time:%H}.csv", "* in the name of a folder"),
        ("{hour}.csv", "not known here"),
    ] {
        watched.source.files = files.to_owned();
        let error = watched.source.check("in").expect_err(files).to_string();
        assert!(
            error.starts_with("sources.in: files: ") && error.contains(word),
            "{files}: {error}"
        );
    }
    watched.source.files = "a.csv".to_owned();
    watched.source.path = "in".into();
    assert!(watched.source.check("in").expect_err("relative").to_string().contains("begin with /"));
    watched.source.path = "/no/such/folder".into();
    watched.source.check("in").expect("it may come");
    assert!(watched.fetch(None).expect_err("it has not").is_passing());
}

#[test]
fn a_star_is_anything_and_everything_else_is_itself() {
    for (pattern, name, wanted) in [
        ("a*.csv", "a1.csv", true),
        ("a*.csv", "a.csv", true),
        ("a*a", "a", false),
        ("*", "x", true),
        ("a**b*c", "axbxxc", true),
        ("a*b*c", "acb", false),
        ("*.csv", "a.csv.gz", false),
        ("a?.csv", "ab.csv", false),
    ] {
        assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
    }
}
