//! Zarr stores, read by zarr-python and xarray.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::*;

fn zarr(more: &Value) -> Bench {
    let mut sink = json!({"kind": "zarr", "path": "FOLDER"});
    if let (Some(all), Some(more)) = (sink.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    Bench::new(&sink)
}

/// Has a store judged: which maps it must hold, by hour and revision.
fn judge(store: &Path, hours: &[(u32, &Path, u32)]) {
    let Some(python) = std::env::var_os("ISOPLETH_PYTHON") else {
        eprintln!("skipped: ISOPLETH_PYTHON names no Python with the judges; `make test` does");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/judges/zarr_judges.py");
    let hours = hours.iter().map(|(hour, path, revision)| {
        let time = at(*hour).to_string();
        format!("{}={}:{revision}", time.trim_end_matches('Z'), path.display())
    });
    let verdict =
        Command::new(python).arg(script).arg(store).args(hours).output().expect("a verdict");
    let told =
        [verdict.stdout, verdict.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(verdict.status.success(), "{}\n{}", told[0], told[1]);
}

/// Steps of the axis of time, as the store's own document says.
fn steps(store: &Path) -> u64 {
    let bytes = fs::read(store.join("zarr.json")).expect("a document");
    let root: Value = serde_json::from_slice(&bytes).expect("JSON");
    root.pointer("/consolidated_metadata/metadata/time/shape/0")
        .and_then(Value::as_u64)
        .expect("a length")
}

#[test]
fn hours_come_in_any_order_again_and_revised_and_each_is_in_its_place() {
    let bench = zarr(&json!({}));
    let store = bench.out().join("north.zarr");
    let maps = [3, 1, 6].map(|hour| bench.small(hour, hour));
    let told = bench.deliver(&maps[0], 3, 1, true).expect("delivered");
    assert_eq!(told, [store.display().to_string()]);
    judge(&store, &[(3, &maps[0], 1)]);
    // A late hour, one after a gap, and a variable more in a revision.
    bench.deliver(&maps[1], 1, 1, false).expect("delivered");
    bench.deliver(&maps[2], 6, 1, true).expect("delivered");
    assert_eq!(steps(&store), 7, "from the beginning of the year on");
    let revised = bench.map(3, 9, &["pm25", "no2", "o3"], "bounds=100,30,110,38&shape=41x33");
    bench.deliver(&revised, 3, 2, false).expect("delivered");
    let wanted: [(u32, &Path, u32); 3] = [(1, &maps[1], 1), (3, &revised, 2), (6, &maps[2], 1)];
    judge(&store, &wanted);
    let before = bench.there();
    for (hour, map, revision) in wanted {
        bench.deliver(map, hour, revision, false).expect("again");
    }
    bench.deliver(&maps[0], 3, 1, false).expect("an older revision changes nothing");
    assert_eq!(bench.there(), before);
    judge(&store, &wanted);
}

#[test]
fn layers_chunks_of_a_part_and_64_bits_are_as_in_the_map() {
    let bench =
        zarr(&json!({"chunk": [20, 16], "variables": ["pm25", "pm25_standard_error"], "level": 1}));
    let map = bench.map(
        1,
        1,
        &["pm25"],
        "bounds=100,38,110,30&shape=41x33&precision=f64&digits=exact&uncertainty=field",
    );
    bench.deliver(&map, 1, 1, true).expect("delivered");
    let store = bench.out().join("north.zarr");
    judge(&store, &[(1, &map, 1)]);
    let chunks =
        bench.there().iter().filter(|name| name.starts_with("north.zarr/pm25/c.1.")).count();
    assert_eq!(chunks, 2 * 3);
}

#[test]
fn a_plane_and_averages_are_described_as_cf_has_it() {
    let bench = zarr(&json!({}));
    let lambert =
        "%2Bproj%3Dlcc+%2Blat_1%3D30+%2Blat_2%3D60+%2Blat_0%3D34+%2Blon_0%3D105+%2Bdatum%3DWGS84";
    let map = bench.map(
        1,
        1,
        &["pm25"],
        &format!("bounds=-400000,-300000,400000,300000&shape=41x31&crs={lambert}"),
    );
    bench.deliver(&map, 1, 1, true).expect("delivered");
    judge(&bench.out().join("north.zarr"), &[(1, &map, 1)]);
    let bench = zarr(&json!({}));
    let map = bench.map(
        1,
        1,
        &["pm25"],
        "bounds=100,30,110,38&shape=41x33&stamp=end&average=8h&capture=0.1&step=1h",
    );
    bench.deliver(&map, 1, 1, true).expect("delivered");
    judge(&bench.out().join("north.zarr"), &[(1, &map, 1)]);
}

#[test]
fn after_a_crash_between_chunks_and_documents_the_store_is_as_it_was_and_goes_on() {
    let bench = zarr(&json!({}));
    let store = bench.out().join("north.zarr");
    let maps = [1, 2].map(|hour| bench.small(hour, hour));
    bench.deliver(&maps[0], 1, 1, true).expect("delivered");
    let documents: Vec<(PathBuf, Vec<u8>)> = bench
        .there()
        .iter()
        .filter(|name| name.ends_with("zarr.json"))
        .map(|name| bench.out().join(name))
        .map(|path| (path.clone(), fs::read(path).expect("a document")))
        .collect();
    bench.deliver(&maps[1], 2, 1, true).expect("delivered");
    // As if the power had gone before the first of the documents, and half a chunk had been on its way.
    for (path, bytes) in &documents {
        fs::write(path, bytes).expect("a document");
    }
    fs::write(store.join("pm25/.isopleth-abc.part"), "half").expect("a file");
    let forgotten: rusqlite::Result<usize> = bench.state.store().write(|tx| {
        tx.execute("UPDATE delivered SET mark = '' WHERE hour = ?1", [at(2).as_second()])
    });
    assert_eq!(forgotten.expect("a row"), 1);
    judge(&store, &[(1, &maps[0], 1)]);
    bench.deliver(&maps[1], 2, 1, true).expect("once more");
    judge(&store, &[(1, &maps[0], 1), (2, &maps[1], 1)]);
}

#[test]
fn hours_that_are_over_lose_their_values_and_the_axis_stays() {
    let bench = zarr(&json!({"keep": {"count": 2}, "chunk": [20, 20]}));
    let maps = [1, 2, 3].map(|hour| bench.small(hour, hour));
    for (hour, map) in [1, 2, 3].into_iter().zip(&maps) {
        bench.deliver(map, hour, 1, true).expect("delivered");
    }
    assert_eq!(bench.retain(9), 1);
    let gone = |name: &String| name.contains("/c.1.");
    assert!(!bench.there().iter().any(gone), "{:?}", bench.there());
    judge(&bench.out().join("north.zarr"), &[(2, &maps[1], 1), (3, &maps[2], 1)]);
}

#[test]
fn what_does_not_fit_into_a_store_is_told_and_changes_nothing() {
    let bench = zarr(&json!({"start": "2026-01-01T02:00:00Z"}));
    let early = bench.small(1, 1);
    let error = bench.deliver(&early, 1, 1, true).expect_err("before the start");
    assert!(!error.is_passing() && error.to_string().contains("before its start"), "{error}");
    assert!(bench.there().iter().all(|name| name.ends_with(".lock")), "{:?}", bench.there());
    let map = bench.small(2, 1);
    bench.deliver(&map, 2, 1, true).expect("delivered");
    let other = bench.map(3, 1, &["pm25"], "bounds=100,30,110,38&shape=21x17");
    let error = bench.deliver(&other, 3, 1, true).expect_err("another grid");
    assert!(!error.is_passing() && error.to_string().contains("the grid is another"), "{error}");
    judge(&bench.out().join("north.zarr"), &[(2, &map, 1)]);
}

#[test]
fn a_store_in_a_bucket_is_the_same() {
    let server = super::buckets::Server::start();
    let bucket = server.bucket(super::buckets::SECRET, &json!({}));
    let bench = Bench::new(&json!({"kind": "zarr", "bucket": bucket, "keep": {"count": 2}}));
    let maps = [2, 1, 3].map(|hour| bench.small(hour, hour));
    let told = bench.deliver(&maps[0], 2, 1, true).expect("delivered");
    assert_eq!(told, ["s3://maps/air/quality/north.zarr"]);
    bench.deliver(&maps[1], 1, 1, false).expect("delivered");
    bench.deliver(&maps[2], 3, 1, true).expect("delivered");
    let store = server.folder().join("north.zarr");
    judge(&store, &[(1, &maps[1], 1), (2, &maps[0], 1), (3, &maps[2], 1)]);
    assert_eq!(bench.retain(9), 1);
    judge(&store, &[(2, &maps[0], 1), (3, &maps[2], 1)]);
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_a_store_stays_as_it_was_and_later_the_hour_arrives() {
    let bench = zarr(&json!({}));
    let Some(disk) = SmallDisk::at(&bench.out(), 400) else {
        eprintln!("skipped: a small tmpfs cannot be mounted here (needs root)");
        return;
    };
    let store = bench.out().join("north.zarr");
    let query = "bounds=100,30,110,38&shape=300x200&digits=exact";
    let maps = [1, 2, 3].map(|hour| bench.map(hour, hour, &["pm25"], query));
    let mut held: Vec<(u32, &Path, u32)> = Vec::new();
    for (hour, map) in [1, 2, 3].into_iter().zip(&maps) {
        if let Err(error) = bench.deliver(map, hour, 1, true) {
            assert!(error.is_passing() && error.to_string().contains("No space"), "{error}");
            break;
        }
        held.push((hour, map, 1));
    }
    assert!(held.len() < 3, "the disk was large enough");
    if !held.is_empty() {
        judge(&store, &held);
    }
    disk.grow(100_000);
    for (hour, map) in [1, 2, 3].into_iter().zip(&maps) {
        bench.deliver(map, hour, 1, true).expect("there is room");
    }
    judge(&store, &[(1, &maps[0], 1), (2, &maps[1], 1), (3, &maps[2], 1)]);
}
