//! Maps that the service itself made, brought to folders, to a server of S3 and into Zarr stores.

mod buckets;
mod folders;
mod stores;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use isopleth_engine::Cancel;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::{Delivered, SinkConfig, SinkError, deliver, retain};
use crate::{AppState, ServiceConfig};

/// A service with one sink, `out`, and a folder for it and for maps.
struct Bench {
    state: AppState,
    folder: TempDir,
}

impl Bench {
    /// `sink` is the table of the sink; the text FOLDER in it is the folder `out` of the bench.
    fn new(sink: &Value) -> Self {
        let folder = TempDir::new().expect("a folder");
        std::fs::create_dir(folder.path().join("out")).expect("a folder");
        let state = service(&folder, sink);
        Self { state, folder }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// What is in the sink's folder, by name below it, sorted; hidden files too.
    fn there(&self) -> Vec<String> {
        let mut all = Vec::new();
        collect(&self.out(), &self.out(), &mut all);
        all.sort();
        all
    }

    /// A map of some variables at an hour of 1 January 2026; another `seed` has other values.
    fn map(&self, hour: u32, seed: u32, variables: &[&str], query: &str) -> PathBuf {
        let time = at(hour);
        let mut text = format!("station,lon,lat,time,{}\n", variables.join(","));
        for i in 0..30_u32 {
            let (lon, lat) =
                (100.0 + f64::from(i * 7 % 30) / 3.0, 30.0 + f64::from(i * 11 % 30) / 4.0);
            let value = |k: usize| {
                let k = u32::try_from(k).expect("few variables");
                (20 + (i * i + seed * 7 + k * 5) % 23).to_string()
            };
            let values: Vec<String> = (0..variables.len()).map(value).collect();
            text.push_str(&format!("s{i},{lon},{lat},{time},{}\n", values.join(",")));
        }
        let path = format!("/v1/maps?{query}");
        let request = Request::post(path)
            .header("content-type", "text/csv")
            .header("accept", "application/x-netcdf");
        let request = request.body(Body::from(text)).expect("a request");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let bytes = runtime.block_on(async {
            let answer =
                crate::router(self.state.clone()).oneshot(request).await.expect("an answer");
            let status = answer.status();
            let bytes = to_bytes(answer.into_body(), 1 << 30).await.expect("a body");
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
            bytes
        });
        let file = self.folder.path().join(format!("{hour}_{seed}_{}.nc", variables.join("_")));
        std::fs::write(&file, bytes).expect("a file");
        file
    }

    fn small(&self, hour: u32, seed: u32) -> PathBuf {
        self.map(hour, seed, &["pm25", "no2"], "bounds=100,30,110,38&shape=41x33")
    }

    fn deliver(
        &self,
        file: &Path,
        hour: u32,
        revision: u32,
        is_latest: bool,
    ) -> Result<Vec<String>, SinkError> {
        let what = Delivered {
            schedule: "north",
            hour: at(hour),
            zone: TimeZone::get("Europe/Berlin").expect("a zone"),
            revision,
            file,
            is_latest,
        };
        deliver(&self.state, "out", &what, &Cancel::default())
    }

    fn retain(&self, hour: u32) -> usize {
        retain(&self.state, "out", at(hour)).expect("room is made")
    }
}

/// A service whose only sink is `out`.
fn service(folder: &TempDir, sink: &Value) -> AppState {
    let text = sink.to_string().replace("FOLDER", &folder.path().join("out").display().to_string());
    let sink: SinkConfig = serde_json::from_str(&text).expect("a sink");
    let sinks = BTreeMap::from([("out".to_owned(), sink)]);
    let data_dir = Some(folder.path().join("data"));
    AppState::new(ServiceConfig { sinks, data_dir, ..ServiceConfig::default() }).expect("a state")
}

fn at(hour: u32) -> Timestamp {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    start + jiff::SignedDuration::from_hours(hour.into())
}

fn collect(folder: &Path, root: &Path, all: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.is_symlink() {
            collect(&path, root, all);
        } else {
            all.push(path.strip_prefix(root).expect("below").display().to_string());
        }
    }
}

/// A small file system at a folder, gone when dropped; none where it cannot be.
#[cfg(target_os = "linux")]
struct SmallDisk(PathBuf);

#[cfg(target_os = "linux")]
impl SmallDisk {
    fn at(folder: &Path, kilobytes: u32) -> Option<Self> {
        let size = format!("size={kilobytes}k");
        let mut mount = std::process::Command::new("mount");
        let mounted =
            mount.args(["-t", "tmpfs", "-o", &size, "isopleth-test"]).arg(folder).output();
        mounted.is_ok_and(|out| out.status.success()).then(|| Self(folder.to_owned()))
    }

    fn grow(&self, kilobytes: u32) {
        let size = format!("remount,size={kilobytes}k");
        let mounted = std::process::Command::new("mount").args(["-o", &size]).arg(&self.0).status();
        assert!(mounted.is_ok_and(|status| status.success()));
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn settings_are_read_and_what_makes_no_sense_is_told_by_its_name() {
    let check = |sink: Value| {
        let sink: SinkConfig = serde_json::from_value(sink).expect("a sink");
        sink.check("out").map_err(|error| error.to_string())
    };
    assert_eq!(check(json!({"kind": "directory", "path": "/srv/maps"})), Ok(()));
    let bucket = |bucket: Value| json!({"kind": "object_store", "bucket": bucket});
    for (wrong, word) in [
        (json!({"kind": "directory", "path": "maps"}), "path = maps"),
        (json!({"kind": "directory", "path": "/m", "files": {"form": "gif"}}), "geotiff (.tif)"),
        (json!({"kind": "directory", "path": "/m", "files": {"name": "{hour}"}}), "{hour}"),
        (
            json!({"kind": "directory", "path": "/m", "files": {"name": "a.{ext}"}}),
            "tell hours apart",
        ),
        (
            json!({"kind": "directory", "path": "/m", "files": {"form": "png", "name": "{time_utc:%H}.{ext}"}}),
            "{variable}",
        ),
        (json!({"kind": "directory", "path": "/m", "files": {"palette": "rainbow"}}), "viridis"),
        (json!({"kind": "directory", "path": "/m", "keep": {"days": 0}}), "keep.days"),
        (bucket(json!({"name": "maps", "key_env": "ISOPLETH_NOT_SET"})), "ISOPLETH_NOT_SET"),
        (bucket(json!({"name": "maps", "endpoint": "https://me:secret@host"})), "bucket.endpoint"),
        (bucket(json!({"name": "maps", "part_bytes": 1})), "5 MiB"),
        (json!({"kind": "zarr"}), "either path or bucket"),
        (json!({"kind": "zarr", "path": "/m", "level": 0}), "level"),
        (json!({"kind": "zarr", "path": "/m", "start": "2026"}), "start = 2026"),
    ] {
        let told = check(wrong.clone()).expect_err(&wrong.to_string());
        assert!(told.starts_with("sinks: out: ") && told.contains(word), "{told}");
        assert!(!told.contains("me:secret"), "{told}");
    }
    let unknown: Result<SinkConfig, _> =
        serde_json::from_value(json!({"kind": "directory", "path": "/m", "kep": {}}));
    assert!(unknown.expect_err("misspelt").to_string().contains("`kep`"));
}

#[test]
fn a_sink_that_is_not_there_is_told_with_those_that_are() {
    let bench = Bench::new(&json!({"kind": "directory", "path": "FOLDER"}));
    let error = retain(&bench.state, "nowhere", at(0)).expect_err("no such sink");
    assert!(error.to_string().contains("has: out") && !error.is_passing(), "{error}");
}
