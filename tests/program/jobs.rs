//! Jobs of the service as a program: killed, started again, and the map has the same bytes.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Bench, readings};

/// A running service on a folder of the bench; killed if a test fails.
struct Service {
    child: Child,
    address: String,
}

impl Service {
    fn start(bench: &Bench, data: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = bench.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("ISOPLETH_SERVE_DATA_DIR", bench.path(data));
        command.env("ISOPLETH_SERVE_THREADS_PER_MAP", "2");
        // Some dozens of blocks of a small map.
        command.env("ISOPLETH_SERVE_JOB_BLOCK_VALUES", "1");
        for (name, value) in settings {
            command.env(format!("ISOPLETH_SERVE_{name}"), value);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if let Some(at) = line.find("127.0.0.1:") {
                    let port: String =
                        line[at + 10..].chars().take_while(char::is_ascii_digit).collect();
                    let _ = tell.send(format!("127.0.0.1:{port}"));
                }
            }
        });
        let address = told.recv_timeout(Duration::from_secs(60)).expect("it says where it listens");
        Self { child, address }
    }

    /// Asks for a job and gives its name.
    fn submit(&self, query: &str, table: &str) -> String {
        let url = format!("http://{}/v1/maps?{query}", self.address);
        let mut answer = ureq::post(url)
            .header("content-type", "text/csv")
            .header("prefer", "respond-async")
            .send(table.as_bytes())
            .expect("an answer");
        assert_eq!(answer.status(), 201);
        let text = answer.body_mut().read_to_string().expect("text");
        let job: Value = serde_json::from_str(&text).expect("JSON");
        job["id"].as_str().expect("a name").to_owned()
    }

    fn status(&self, job: &str) -> Value {
        let url = format!("http://{}/v1/jobs/{job}", self.address);
        let mut answer = ureq::get(url).call().expect("an answer");
        let text = answer.body_mut().read_to_string().expect("text");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Waits until a job is as wished; the limit only ends a test that has failed.
    fn until(&self, job: &str, wished: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let status = self.status(job);
            if wished(&status) {
                return status;
            }
            assert!(begin.elapsed() < Duration::from_secs(240), "{status}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn ended(&self, job: &str) -> Value {
        self.until(job, |s| s["status"] != "accepted" && s["status"] != "running")
    }

    /// Like the power: nothing is said before.
    fn kill(mut self) {
        self.child.kill().expect("it is there");
        self.child.wait().expect("it ends");
    }

    fn stop(mut self) -> i32 {
        let status = std::process::Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(status.is_ok_and(|s| s.success()));
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const NONE: [(&str, &str); 1] = [("JOB_CONCURRENCY", "0")];
const MAP: &str = "bounds=100,30,110,38&shape=300x250&kernel=linear";

/// Hours of several days.
fn many_hours(hours: usize) -> String {
    let day = readings(50, 24);
    let (head, rows) = day.split_once('\n').expect("a head");
    let of_day = |d: usize| rows.replace("2026-01-01", &format!("2026-01-{:02}", d + 1));
    let days: String = (0..hours.div_ceil(24)).map(of_day).collect();
    format!("{head}\n{days}")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a new folder");
    for entry in fs::read_dir(from).expect("the folder").flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

/// All files below a folder of a data folder.
fn files(bench: &Bench, data: &str, folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(bench.path(data).join(folder)).expect("the folder");
    entries.map(|e| e.expect("an entry").path()).collect()
}

/// The bytes of the only map there is, once everything else is gone.
fn only_map(bench: &Bench, data: &str) -> Vec<u8> {
    let begin = Instant::now();
    while !(files(bench, data, "work").is_empty() && files(bench, data, "inputs").is_empty()) {
        assert!(begin.elapsed() < Duration::from_secs(60), "work and inputs go with the job");
        std::thread::sleep(Duration::from_millis(10));
    }
    let maps = files(bench, data, "maps");
    assert_eq!(maps.len(), 1, "{maps:?}");
    fs::read(&maps[0]).expect("the map")
}

#[test]
fn killed_at_several_moments_and_stopped_at_another_a_job_ends_with_the_bytes_of_an_undisturbed_one()
 {
    let bench = Bench::new();
    // Accepted by a service that runs none, so that two may run the same job.
    let service = Service::start(&bench, "data", &NONE);
    let job = service.submit(MAP, &many_hours(480));
    assert_eq!(service.stop(), 0);
    copy(&bench.path("data"), &bench.path("other"));

    let undisturbed = Service::start(&bench, "other", &[]);
    let done = undisturbed.ended(&job);
    assert_eq!(done["status"], "successful", "{done}");
    let blocks = done["blocks"]["total"].as_u64().expect("a count");
    assert!(blocks >= 20, "{blocks} blocks");
    let whole = only_map(&bench, "other");
    assert_eq!(undisturbed.stop(), 0);

    let mut kept = 0;
    for part in 1..=4 {
        let service = Service::start(&bench, "data", &[]);
        let wanted = blocks * part / 6;
        let seen = service.until(&job, |s| {
            s["blocks"]["done"].as_u64() >= Some(wanted) || s["status"] == "successful"
        });
        let done = seen["blocks"]["done"].as_u64().expect("a count");
        assert!(done >= kept, "completed blocks are not computed again: {done} of {kept}");
        kept = done;
        // The last time in good order.
        if part < 4 {
            service.kill();
        } else {
            assert_eq!(service.stop(), 0);
        }
    }
    let service = Service::start(&bench, "data", &[]);
    assert_eq!(service.ended(&job)["status"], "successful");
    assert!(only_map(&bench, "data") == whole);
    assert_eq!(service.stop(), 0);
    assert!(files(&bench, "data", "holders").is_empty(), "locks of the dead are removed");
}

#[test]
fn a_job_that_ends_its_process_each_time_is_given_up_and_others_go_on() {
    let bench = Bench::new();
    // No block is ever completed before the process ends: there is one block of minutes.
    let settings = [("JOB_BLOCK_VALUES", "1000000000000"), ("JOB_ATTEMPTS", "2")];
    let service = Service::start(&bench, "data", &settings);
    let long = "bounds=100,30,110,38&shape=6000x5000&tolerance=exact&kernel=matern52&epsilon=0.01";
    let poison = service.submit(long, &many_hours(24));
    service.until(&poison, |s| s["status"] == "running");
    service.kill();
    let service = Service::start(&bench, "data", &settings);
    service.until(&poison, |s| s["status"] == "running" && s["attempts"] == 2);
    let other = service.submit(MAP, &readings(50, 3));
    service.kill();
    let service = Service::start(&bench, "data", &settings);
    let failed = service.ended(&poison);
    assert_eq!(failed["status"], "failed", "{failed}");
    assert!(failed["message"].as_str().expect("text").contains("2 attempts"), "{failed}");
    assert_eq!(service.ended(&other)["status"], "successful");
    only_map(&bench, "data");
    assert_eq!(service.stop(), 0);
}

/// A small disk of its own on a folder of the bench.
struct Disk(PathBuf);

impl Disk {
    /// None, said aloud, where nothing can be mounted.
    fn mount(bench: &Bench, data: &str, size: &str) -> Option<Self> {
        let folder = bench.path(data);
        fs::create_dir(&folder).expect("a new folder");
        let size = format!("size={size}");
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        eprintln!("skipped: no disk can be mounted here");
        None
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// To the last page.
    fn fill(&self) {
        let mut options = fs::File::options();
        let mut file = options.create(true).append(true).open(self.ballast()).expect("a file");
        for size in [1 << 20, 4096] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_job_whose_disk_is_full_for_a_while_ends_with_the_bytes_of_an_undisturbed_one() {
    let bench = Bench::new();
    let Some(disk) = Disk::mount(&bench, "data", "200m") else { return };
    let service = Service::start(&bench, "seed", &NONE);
    let job = service.submit(MAP, &many_hours(480));
    assert_eq!(service.stop(), 0);
    copy(&bench.path("seed"), &bench.path("data"));
    let undisturbed = Service::start(&bench, "seed", &[]);
    assert_eq!(undisturbed.ended(&job)["status"], "successful");
    let whole = only_map(&bench, "seed");
    assert_eq!(undisturbed.stop(), 0);

    let service = Service::start(&bench, "data", &[]);
    let seen = service.until(&job, |s| s["blocks"]["done"].as_u64() >= Some(3));
    disk.fill();
    // What was removed since, such as a file of the database, makes room: again and again.
    for _ in 0..30 {
        std::thread::sleep(Duration::from_millis(100));
        disk.fill();
    }
    let full = service.status(&job);
    assert!(full["status"] == "running" || full["status"] == "accepted", "{seen} {full}");
    assert!(full["blocks"]["done"].as_u64() < full["blocks"]["total"].as_u64(), "{full}");
    fs::remove_file(disk.ballast()).expect("it is there");
    let ended = service.ended(&job);
    assert_eq!(ended["status"], "successful", "{ended}");
    assert!(only_map(&bench, "data") == whole);
    assert_eq!(service.stop(), 0);
}
