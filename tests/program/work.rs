//! `map --work`: a run that is killed goes on, and its file has the bytes of one that was not.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::harness::{Bench, readings};

const MAP: [&str; 11] = [
    "map",
    "in.csv",
    "--bounds",
    "100,30,110,38",
    "--shape",
    "500x400",
    "--kernel",
    "linear",
    "--threads",
    "2",
    "-o",
];

fn arguments<'a>(output: &'a str, work: &'a str) -> Vec<&'a str> {
    [&MAP[..], &[output, "--work", work]].concat()
}

/// Hours of several days, for some dozens of blocks.
fn many_hours(hours: usize) -> String {
    let day = readings(50, 24);
    let (head, rows) = day.split_once('\n').expect("a head");
    let of_day = |d: usize| rows.replace("2026-01-01", &format!("2026-01-{:02}", d + 1));
    let days: String = (0..hours.div_ceil(24)).map(of_day).collect();
    format!("{head}\n{days}")
}

fn records(folder: &Path) -> usize {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with("block-"))
        .filter(|name| name.to_string_lossy().ends_with(".json"))
        .count()
}

#[test]
fn killed_again_and_again_a_map_is_finished_with_the_bytes_of_one_that_was_not() {
    let bench = Bench::new();
    bench.file("in.csv", many_hours(240));
    // Killed after one block, another two, …; the second folder is what the first kill left.
    let mut kills = 0;
    for wanted in (1..).step_by(2).take(4) {
        let mut run = bench
            .command(&arguments("killed.nc", "work"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        while records(&bench.path("work")) < wanted {
            if run.try_wait().expect("its state").is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if run.try_wait().expect("its state").is_none() {
            run.kill().expect("it is there");
            kills += 1;
        }
        run.wait().expect("it ends");
        if kills == 1 {
            copy(&bench.path("work"), &bench.path("other"));
        }
        assert!(!bench.path("killed.nc").exists());
    }
    assert!(kills >= 2, "{kills} kills: too quick for this test");
    let before = records(&bench.path("work"));
    let told = bench.run(&arguments("killed.nc", "work")).succeeded().stderr;
    assert!(told.contains(&format!("{before} of 10 blocks were done before")), "{told}");
    bench.run(&arguments("other.nc", "other")).succeeded();
    let file = |name: &str| fs::read(bench.path(name)).expect("the map");
    assert!(file("killed.nc") == file("other.nc"));
    assert_eq!(bench.names(), ["in.csv", "killed.nc", "other.nc"]);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new folder");
    for entry in fs::read_dir(from).expect("the folder").flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

#[test]
fn work_of_another_map_and_work_for_places_are_refused_and_nothing_is_lost() {
    let bench = Bench::new();
    bench.file("in.csv", readings(30, 2));
    fs::create_dir(bench.path("notes")).expect("a folder");
    fs::write(bench.path("notes/today.txt"), "rain").expect("a note");
    let told = ["today.txt", "is no work of isopleth"];
    bench.run(&arguments("a.nc", "notes")).failed(3, &told);
    assert_eq!(fs::read(bench.path("notes/today.txt")).expect("the note"), b"rain");
    bench.file("places.csv", "lon,lat\n101,31\n");
    let points = ["map", "in.csv", "--points-file", "places.csv", "-o", "p.csv", "--work", "w"];
    bench.run(&points).failed(2, &["--work", "grid"]);
    bench.run(&arguments("no/such/a.nc", "w")).failed(5, &["no/such/a.nc"]);
    assert!(!bench.path("w").exists());
}
