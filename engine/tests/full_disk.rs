//! A disk that fills while a map is written. Apart from the other tests, since it starts processes,
//! which inherit files and locks of whatever is being written at that moment; one by one for the same
//! reason.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod sample;

use std::sync::{Mutex, PoisonError};

use isopleth_engine::blocks::{BlockSize, Work, Worker};
use isopleth_engine::output::{FieldId, Provenance};
use isopleth_engine::{
    Cancel, Choice, FactorCache, Kind, Limits, Observations, Plan, Precision, Progress,
    ReadOptions, Settings, Source,
};
use sample::{Sample, field, files_in, report};

static ALONE: Mutex<()> = Mutex::new(());

/// A small file system; gone when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(kilobytes: usize) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={kilobytes}k");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "isopleth-test"])
            .arg(directory.path())
            .output();
        mounted.is_ok_and(|out| out.status.success()).then_some(Self(directory))
    }

    /// Room is made while the program runs on.
    fn grow(&self, kilobytes: usize) {
        let size = format!("remount,size={kilobytes}k");
        let mounted =
            std::process::Command::new("mount").args(["-o", &size]).arg(self.0.path()).status();
        assert!(mounted.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_an_error_that_says_so_and_leaves_nothing_whenever_it_fills() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let sample = Sample::new(Sample::grid([0.0, 0.0, 9.0, 9.0], 300, 200, true), 3, Precision::F64);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("map.nc");
    sample.write(&path).unwrap().finish(&report()).unwrap();
    let whole = usize::try_from(path.metadata().unwrap().len()).unwrap() / 1024;
    let (mut failures, mut successes) = (0, 0);
    // Too small for the head, for a chunk, and, page by page, for what is written at the end.
    let small = (4..160).step_by(12).chain([whole / 4, whole / 2]);
    for kilobytes in small.chain((whole - 100..whole + 40).step_by(4)) {
        let Some(disk) = SmallDisk::new(kilobytes) else {
            eprintln!("skipped: no small file system can be mounted here (not root)");
            return;
        };
        let path = disk.0.path().join("map.nc");
        match sample.write(&path).and_then(|file| file.finish(&report())) {
            Ok(()) => {
                successes += 1;
                assert_eq!(files_in(disk.0.path()), 1);
            }
            Err(error) => {
                failures += 1;
                assert_eq!(error.kind(), Kind::Io);
                let text = error.to_string();
                assert!(text.contains("map.nc"), "{kilobytes} KB: {text}");
                assert!(text.contains("No space left on device"), "{kilobytes} KB: {text}");
                assert_eq!(files_in(disk.0.path()), 0, "{kilobytes} KB");
            }
        }
    }
    assert!(failures > 0 && successes > 0, "{failures} failures, {successes} successes");
    // And the library is as it was.
    sample.write(&path).unwrap().finish(&report()).unwrap();
    let file = netcdf::open(&path).unwrap();
    let id = FieldId { time: 0, variable: 0 };
    assert_eq!(field(&file, "pm2_5", 0), sample.expected(id));
    assert_eq!(field(&file, "pm2_5_reading", 0), sample.expected_at_stations(id, 1.0));
}

/// Some hours at some stations, onto a grid.
fn plan() -> Plan {
    let mut text = String::from("station,lon,lat,time,pm25\n");
    for (hour, station) in (0..48_u32).flat_map(|hour| (0..30_u32).map(move |k| (hour, k))) {
        let (x, y) = (f64::from(station * 37 % 90) / 10.0, f64::from(station * 53 % 88) / 10.0);
        let (day, of_day) = (1 + hour / 24, hour % 24);
        let time = format!("2026-01-{day:02}T{of_day:02}:00:00Z");
        text.push_str(&format!("s{station},{x},{y},{time},{}\n", 40.0 + x * y + f64::from(hour)));
    }
    let reader = Box::new(std::io::Cursor::new(text));
    let source = Source::Stream { name: "readings".to_owned(), reader };
    let observations = Observations::read(vec![source], ReadOptions::default()).unwrap();
    let targets = Sample::grid([0.0, 0.0, 9.0, 9.0], 200, 150, true);
    let method = isopleth_engine::kernels::Method::default();
    let settings =
        Settings { method: Choice::Told(method), threads: Some(2), ..Settings::default() };
    Plan::new(observations, targets, settings, &Limits::default()).unwrap()
}

#[test]
fn work_that_fills_the_disk_keeps_its_blocks_and_goes_on_to_the_same_bytes_once_there_is_room() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let provenance = Provenance {
        created: isopleth_engine::observations::UnixSeconds(0),
        ..Provenance::now("a test")
    };
    let (cancel, factors) = (Cancel::default(), FactorCache::default());
    let progress = Progress { on_event: &|_| (), cancel: &cancel };
    let size = BlockSize { fewest_values: 1 };
    let make = |folder: &std::path::Path| {
        let mut plan = plan();
        let work = Work::open(&folder.join("work"), &mut plan, &provenance, size)?;
        let report = Worker::new(&work, &plan, &factors, progress)?.run(&folder.join("map.nc"));
        report.and_then(|_| work.remove())
    };
    let directory = tempfile::tempdir().unwrap();
    make(directory.path()).unwrap();
    let whole = std::fs::read(directory.path().join("map.nc")).unwrap();
    let kilobytes = whole.len() / 1024;
    let mut stages = Vec::new();
    // In the first block, in the second, in the file itself.
    for first in [kilobytes / 4, kilobytes * 3 / 4, kilobytes * 3 / 2] {
        let Some(disk) = SmallDisk::new(first) else {
            eprintln!("skipped: no small file system can be mounted here (not root)");
            return;
        };
        let error = make(disk.0.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Io, "{error}");
        assert!(error.to_string().contains("No space left on device"), "{error}");
        assert!(!disk.0.path().join("map.nc").exists());
        let names = std::fs::read_dir(disk.0.path().join("work")).unwrap();
        let names = names.map(|e| e.unwrap().file_name().into_string().unwrap());
        let names: Vec<String> = names.collect();
        assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
        stages.push(names.iter().filter(|name| name.ends_with(".part")).count());
        disk.grow(4 * kilobytes);
        make(disk.0.path()).unwrap();
        assert!(std::fs::read(disk.0.path().join("map.nc")).unwrap() == whole);
        assert_eq!(files_in(disk.0.path()), 1, "the work is gone");
    }
    assert_eq!(stages, [0, 1, 2], "each time it was full elsewhere");
}
