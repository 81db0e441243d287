//! A folder: files, links, forms, a full disk, and what goes again.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use isopleth_engine::Cancel;
use serde_json::json;

use super::super::Delivered;
use super::*;

fn directory(more: &Value) -> Bench {
    let mut sink = json!({"kind": "directory", "path": "FOLDER"});
    if let (Some(all), Some(more)) = (sink.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    Bench::new(&sink)
}

const FIRST: &str = "north/2026/01/01/20260101T0100Z.nc";
const SECOND: &str = "north/2026/01/01/20260101T0200Z.nc";
const LATEST: &str = "north/latest.nc";

#[test]
fn a_map_arrives_as_it_is_latest_follows_and_the_same_again_changes_nothing() {
    let bench = directory(&json!({}));
    let (one, two) = (bench.small(1, 1), bench.small(2, 2));
    let out = bench.out();
    let told = bench.deliver(&two, 2, 1, true).expect("delivered");
    assert_eq!(told, [out.join(SECOND).display().to_string()]);
    // A late hour does not move the link, even if it was the newest when its delivery began.
    bench.deliver(&one, 1, 1, true).expect("delivered");
    assert_eq!(bench.there(), [FIRST, SECOND, LATEST]);
    assert_eq!(fs::read(out.join(SECOND)).expect("a file"), fs::read(&two).expect("a file"));
    assert_eq!(fs::read(out.join(FIRST)).expect("a file"), fs::read(&one).expect("a file"));
    let target = fs::read_link(out.join(LATEST)).expect("a link");
    assert_eq!(target.to_str(), Some("2026/01/01/20260101T0200Z.nc"));
    assert_eq!(fs::read(out.join(LATEST)).expect("a file"), fs::read(&two).expect("a file"));
    let inode = || fs::metadata(out.join(SECOND)).expect("a file").ino();
    let before = inode();
    bench.deliver(&two, 2, 1, true).expect("again");
    assert_eq!(inode(), before, "it was not written again");
    fs::remove_file(out.join(SECOND)).expect("somebody removes it");
    bench.deliver(&two, 2, 1, true).expect("again");
    assert_eq!(fs::read(out.join(SECOND)).expect("a file"), fs::read(&two).expect("a file"));
}

#[test]
fn a_revision_replaces_its_hour_and_an_older_one_that_comes_late_does_not() {
    let bench = directory(&json!({}));
    let (old, new) = (bench.small(1, 1), bench.small(1, 2));
    bench.deliver(&old, 1, 1, true).expect("delivered");
    bench.deliver(&new, 1, 2, true).expect("delivered");
    bench.deliver(&old, 1, 1, true).expect("nothing to do");
    assert_eq!(fs::read(bench.out().join(FIRST)).expect("a file"), fs::read(&new).expect("a file"));
    let each = json!({"files": {"name": "{time_utc:%H}_{revision}.{ext}", "latest": "now.nc"}});
    let bench = directory(&each);
    let (old, new) = (bench.small(1, 1), bench.small(1, 2));
    bench.deliver(&new, 1, 2, true).expect("delivered");
    bench.deliver(&old, 1, 1, true).expect("delivered");
    assert_eq!(bench.there(), ["01_1.nc", "01_2.nc", "now.nc"]);
    let target = fs::read_link(bench.out().join("now.nc")).expect("a link");
    assert_eq!(target.to_str(), Some("01_2.nc"));
}

#[test]
fn every_form_arrives_and_those_of_one_variable_are_a_file_each() {
    for (form, extension, start) in [
        ("geotiff", "tif", &b"II*\0"[..]),
        ("png", "png", b"\x89PNG"),
        ("geojson", "geojson", b"{"),
        ("covjson", "covjson", b"{"),
        ("csv", "csv", b"lon,lat,"),
    ] {
        let bench = directory(&json!({"files": {"form": form}}));
        let map = bench.small(1, 1);
        bench.deliver(&map, 1, 1, true).expect(form);
        let apart = ["geotiff", "png", "geojson"].contains(&form);
        let tails = if apart { vec!["_no2", "_pm25"] } else { vec![""] };
        let named = |stem: &str| -> Vec<String> {
            tails.iter().map(|tail| format!("north/{stem}{tail}.{extension}")).collect()
        };
        assert_eq!(bench.there(), [named("2026/01/01/20260101T0100Z"), named("latest")].concat());
        for name in bench.there() {
            let bytes = fs::read(bench.out().join(&name)).expect("a file");
            assert!(bytes.starts_with(start), "{name}: {:?}", &bytes[..8]);
        }
        let inodes = || {
            let path = |name: &String| bench.out().join(name);
            bench
                .there()
                .iter()
                .map(|name| fs::metadata(path(name)).expect("a file").ino())
                .collect::<Vec<_>>()
        };
        let before = inodes();
        bench.deliver(&map, 1, 1, true).expect(form);
        assert_eq!(inodes(), before, "{form} was not written again");
    }
}

#[test]
fn a_part_of_a_map_is_a_file_of_its_own() {
    let files = json!({"variables": ["no2"], "bounds": [102, 32, 106, 36], "step": 2,
                       "name": "{time:%Y%m%dT%H%z}_{variable}.{ext}", "latest": ""});
    let bench = directory(&json!({"files": files}));
    bench.deliver(&bench.small(1, 1), 1, 1, true).expect("delivered");
    assert_eq!(bench.there(), ["20260101T02+0100_no2.nc"]);
    let path = bench.out().join("20260101T02+0100_no2.nc");
    let source = isopleth_engine::export::Source::open(&path).expect("a map");
    let names: Vec<&str> = source.variables().iter().map(|v| v.name.as_str()).collect();
    assert_eq!((names, source.x().nodes.len(), source.y().nodes.len()), (vec!["no2"], 9, 9));
}

#[test]
fn a_further_name_of_the_file_takes_no_room() {
    let bench = directory(&json!({"hard_link": true}));
    let (map, new) = (bench.small(1, 1), bench.small(1, 2));
    let inode = |path: &Path| fs::metadata(path).expect("a file").ino();
    bench.deliver(&map, 1, 1, true).expect("delivered");
    assert_eq!(inode(&bench.out().join(FIRST)), inode(&map));
    bench.deliver(&new, 1, 2, true).expect("delivered");
    assert_eq!(inode(&bench.out().join(FIRST)), inode(&new));
    assert_eq!(bench.there(), [FIRST, LATEST]);
}

#[test]
fn a_name_that_does_not_tell_hours_apart_loses_none() {
    let bench = directory(&json!({"files": {"name": "{time_utc:%Y%m%d}.{ext}", "latest": ""}}));
    let (one, two) = (bench.small(1, 1), bench.small(2, 2));
    bench.deliver(&one, 1, 1, true).expect("delivered");
    let error = bench.deliver(&two, 2, 1, true).expect_err("the place is taken");
    assert!(!error.is_passing(), "{error}");
    assert!(error.to_string().contains("2026-01-01T01:00:00Z of `north`"), "{error}");
    assert_eq!(
        fs::read(bench.out().join("20260101.nc")).expect("a file"),
        fs::read(&one).expect("a file")
    );
}

#[test]
fn nothing_is_written_or_removed_through_links_that_lead_out() {
    let bench = directory(&json!({"keep": {"count": 1}}));
    let elsewhere = bench.folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    symlink(&elsewhere, bench.out().join("north")).expect("a link");
    let (one, two) = (bench.small(1, 1), bench.small(2, 2));
    let error = bench.deliver(&one, 1, 1, true).expect_err("a link");
    assert!(error.is_passing() && error.to_string().contains("is a link"), "{error}");
    assert_eq!(fs::read_dir(&elsewhere).expect("a folder").count(), 0);
    fs::remove_file(bench.out().join("north")).expect("the operator mends it");
    for (hour, map) in [(1, &one), (2, &two)] {
        bench.deliver(map, hour, 1, true).expect("delivered");
    }
    // A file put in place of ours is not followed, and a folder that became a link is not entered.
    fs::rename(bench.out().join("north"), elsewhere.join("north")).expect("moved");
    symlink(elsewhere.join("north"), bench.out().join("north")).expect("a link");
    assert!(retain(&bench.state, "out", at(9)).is_err());
    assert!(elsewhere.join(FIRST).exists());
    let secret = bench.folder.path().join("secret");
    fs::write(&secret, "kept").expect("a file");
    fs::remove_file(bench.out().join("north")).expect("a link");
    fs::create_dir_all(bench.out().join("north/2026/01/01")).expect("folders");
    symlink(&secret, bench.out().join(FIRST)).expect("a link");
    bench.deliver(&one, 1, 2, false).expect("delivered");
    assert_eq!(fs::read(&secret).expect("a file"), b"kept");
    assert_eq!(fs::read(bench.out().join(FIRST)).expect("a file"), fs::read(&one).expect("a file"));
}

#[test]
fn a_folder_that_is_not_there_is_waited_for_and_not_made() {
    let bench = directory(&json!({}));
    let map = bench.small(1, 1);
    fs::remove_dir(bench.out()).expect("the disk is not mounted");
    let error = bench.deliver(&map, 1, 1, true).expect_err("no folder");
    assert!(error.is_passing() && !bench.out().exists(), "{error}");
    fs::create_dir(bench.out()).expect("it is");
    bench.deliver(&map, 1, 1, true).expect("delivered");
}

#[test]
fn what_is_too_many_or_too_old_goes_but_never_the_newest_nor_what_others_put_there() {
    let bench = directory(&json!({"keep": {"count": 2, "days": 10}}));
    let map = bench.small(1, 1);
    let place = |hour| bench.deliver(&map, hour, 1, true).expect("delivered").remove(0);
    let places: Vec<String> = [1, 2, 30, 31].map(place).to_vec();
    let foreign = bench.out().join("north/2026/01/01/notes.txt");
    fs::write(&foreign, "of the operator").expect("a file");
    assert_eq!(bench.retain(40), 2, "the two oldest are too many");
    let left: Vec<bool> = places.iter().map(|place| Path::new(place).exists()).collect();
    assert_eq!(left, [false, false, true, true]);
    assert!(foreign.exists());
    assert_eq!(bench.retain(40), 0);
    assert_eq!(bench.retain(24 * 30), 1, "one is too old, the other is the newest");
    assert!(!bench.out().join(&places[2]).exists() && bench.out().join(&places[3]).exists());
    fs::remove_file(&foreign).expect("a file");
    bench.deliver(&map, 24 * 40, 1, true).expect("delivered");
    assert_eq!(bench.retain(24 * 60), 1);
    assert!(!bench.out().join("north/2026/01").join("02").exists(), "folders that are empty go");
}

#[test]
fn what_a_process_that_was_killed_left_behind_goes_and_what_is_being_written_stays() {
    let bench = directory(&json!({}));
    let folder = bench.out().join("north/2026/01/01");
    fs::create_dir_all(&folder).expect("folders");
    let [left, written] =
        ["left", "written"].map(|name| folder.join(format!(".isopleth-{name}.part")));
    fs::write(&left, "half").expect("a file");
    let held = fs::File::create(&written).expect("a file");
    held.lock().expect("a lock");
    bench.deliver(&bench.small(1, 1), 1, 1, true).expect("delivered");
    assert!(!left.exists() && written.exists());
}

#[test]
fn a_delivery_that_is_stopped_leaves_nothing() {
    let bench = directory(&json!({}));
    let map = bench.small(1, 1);
    let cancel = Cancel::default();
    cancel.cancel();
    let zone = TimeZone::UTC;
    let what = Delivered {
        schedule: "north",
        hour: at(1),
        zone,
        revision: 1,
        file: &map,
        is_latest: true,
    };
    let error = deliver(&bench.state, "out", &what, &cancel).expect_err("stopped");
    assert!(error.is_passing() && bench.there().is_empty(), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_there_is_the_whole_file_or_none_and_later_it_arrives() {
    for form in ["netcdf", "csv"] {
        let bench = directory(&json!({"files": {"form": form}}));
        let map = bench.map(1, 1, &["pm25"], "bounds=100,30,110,38&shape=400x300&digits=exact");
        let Some(disk) = SmallDisk::at(&bench.out(), 100) else {
            eprintln!("skipped: a small tmpfs cannot be mounted here (needs root)");
            return;
        };
        let error = bench.deliver(&map, 1, 1, true).expect_err("no room");
        assert!(error.is_passing() && error.to_string().contains("No space"), "{error}");
        assert!(bench.there().is_empty(), "{:?}", bench.there());
        disk.grow(100_000);
        bench.deliver(&map, 1, 1, true).expect("there is room");
        assert_eq!(bench.there().len(), 2);
    }
}
