//! A copy made while jobs run has everything, and a service on it ends what the other had begun.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Bench, outcome, readings};
use crate::serve::Service;

const MAP: &str = "bounds=100,30,110,38&shape=300x250&kernel=linear";
const JOBS: usize = 6;

fn submit(service: &Service, n: usize) -> String {
    let request = ureq::post(service.url(&format!("/v1/maps?{MAP}")))
        .header("content-type", "text/csv")
        .header("prefer", "respond-async");
    let mut answer = request.send(readings(40 + n, 20).as_bytes()).expect("an answer");
    let text = answer.body_mut().read_to_string().expect("text");
    let job: Value = serde_json::from_str(&text).expect("JSON");
    job["id"].as_str().expect("a name").to_owned()
}

/// The file of a job, when it has been made; the limit only ends a test that has failed.
fn result(service: &Service, job: &str) -> Vec<u8> {
    let begin = Instant::now();
    loop {
        let text = get(service, &format!("/v1/jobs/{job}"));
        let status: Value = serde_json::from_slice(&text).expect("JSON");
        if status["status"] == "successful" {
            return get(service, &format!("/v1/jobs/{job}/results"));
        }
        assert!(["accepted", "running"].map(Value::from).contains(&status["status"]), "{status}");
        assert!(begin.elapsed() < Duration::from_secs(240), "{status}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn get(service: &Service, path: &str) -> Vec<u8> {
    let mut answer = ureq::get(service.url(path)).call().expect("an answer");
    answer.body_mut().with_config().limit(1 << 30).read_to_vec().expect("bytes")
}

#[test]
fn a_copy_made_while_jobs_run_has_everything_and_its_jobs_end_with_the_same_bytes() {
    let bench = Bench::new();
    let settings =
        [("ISOPLETH_SERVE_JOB_BLOCK_VALUES", "1"), ("ISOPLETH_SERVE_THREADS_PER_MAP", "1")];
    let first = Service::with(&bench, &settings);
    let kept = ureq::post(first.url(&format!("/v1/maps?{MAP}&keep=true")))
        .header("content-type", "text/csv");
    assert_eq!(kept.send(readings(30, 2).as_bytes()).expect("a map").status(), 200);
    let jobs: Vec<String> = (0..JOBS).map(|n| submit(&first, n)).collect();
    // The first is done, another runs, others wait.
    result(&first, &jobs[0]);
    let copied =
        bench.run(&["backup", "copy", "--data-dir", &bench.text("data"), "--json"]).succeeded();
    let copied: Value = serde_json::from_str(&copied.stdout).expect("JSON");
    assert_eq!(copied["lost"], Value::Array(Vec::new()));
    let running = get(&first, "/v1/jobs?status=successful&limit=100");
    let running: Value = serde_json::from_slice(&running).expect("JSON");
    let done = running["jobs"].as_array().expect("a list").len();
    assert!(done < JOBS, "all were done before the copy: nothing was tested");
    let expected: Vec<Vec<u8>> = jobs.iter().map(|job| result(&first, job)).collect();
    let maps = get(&first, "/v1/maps");
    assert_eq!(first.stop(), 0);

    // Where the disk was lost: the copy takes the place of the folder.
    std::fs::remove_dir_all(bench.path("data")).expect("it was there");
    std::fs::rename(bench.path("copy"), bench.path("data")).expect("a new name");
    let second = Service::with(&bench, &settings);
    let again: Vec<Vec<u8>> = jobs.iter().map(|job| result(&second, job)).collect();
    assert!(again == expected, "the same bytes");
    let number = |maps: &[u8]| {
        let maps: Value = serde_json::from_slice(maps).expect("JSON");
        maps["maps"].as_array().expect("a list").len()
    };
    assert_eq!((number(&maps), number(&get(&second, "/v1/maps"))), (JOBS + 1, JOBS + 1));
    assert_eq!(second.stop(), 0);
}

#[test]
fn a_copy_goes_to_a_new_folder_only_and_needs_something_to_copy() {
    let bench = Bench::new();
    bench.run(&["backup", "copy"]).failed(2, &["there is no database in"]);
    bench.run(&["keys", "create", "--name", "me"]).succeeded();
    let said = bench.run(&["backup", "copy"]).succeeded().stdout;
    assert!(said.contains("0 files"), "{said}");
    bench.run(&["backup", "copy"]).failed(2, &["is not empty"]);
    let list = bench.run(&["keys", "list", "--data-dir", &bench.text("copy")]).succeeded();
    assert!(list.stdout.contains("me"), "{}", list.stdout);
}

#[test]
fn the_database_of_a_later_version_is_refused_in_words() {
    let bench = Bench::new();
    bench.run(&["keys", "create", "--name", "me"]).succeeded();
    set_schema(&bench.path("data/isopleth.sqlite3"), 9999);
    let words = ["has schema 9999", "knows up to", "use the program that wrote it"];
    bench.run(&["keys", "list"]).failed(5, &words);
    let serve = outcome(bench.command(&["serve", "--listen", "127.0.0.1:0"]).output());
    serve.failed(5, &words);
    let doctor = bench.run(&["doctor"]);
    assert!(doctor.stdout.contains("FAIL  database    its schema is 9999"), "{}", doctor.stdout);
    assert_eq!(doctor.code, 5);
}

/// `user_version` is the big-endian number at byte 60 of a database that no process has open.
fn set_schema(path: &Path, version: u32) {
    use std::io::{Seek as _, SeekFrom, Write as _};
    let mut file = std::fs::File::options().write(true).open(path).expect("the database");
    file.seek(SeekFrom::Start(60)).expect("its head");
    file.write_all(&version.to_be_bytes()).expect("a number");
}
