//! A disk that fills while a map is written. Apart from the other tests, since it starts processes,
//! which inherit files and locks of whatever is being written at that moment.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod sample;

use isopleth_engine::Kind;
use isopleth_engine::Precision;
use isopleth_engine::output::FieldId;
use sample::{Sample, field, files_in, report};

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
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_an_error_that_says_so_and_leaves_nothing_whenever_it_fills() {
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
