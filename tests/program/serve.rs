//! The service as a program: it listens, answers as the command line does, and ends when told.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::harness::{Bench, outcome, readings, root};

/// A running service; killed if a test fails.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: String,
    log: Arc<Mutex<String>>,
}

impl Service {
    fn start(bench: &Bench) -> Self {
        Self::with(bench, &[])
    }

    /// With settings in the environment.
    pub(crate) fn with(bench: &Bench, settings: &[(&str, &str)]) -> Self {
        let mut command = bench.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.envs(settings.iter().copied());
        Self::of(command)
    }

    /// By a command that ends in `serve`.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        let (tell, told) = mpsc::channel();
        let kept = Arc::new(Mutex::new(String::new()));
        let keep = Arc::clone(&kept);
        // Reads on to the end, so that the service never waits for its log to be read.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if let Some(at) = line.find("127.0.0.1:") {
                    let port: String =
                        line[at + 10..].chars().take_while(char::is_ascii_digit).collect();
                    let _ = tell.send(format!("127.0.0.1:{port}"));
                }
                let mut log = keep.lock().expect("nobody panicked");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let address = told.recv_timeout(Duration::from_secs(20)).expect("it says where it listens");
        Self { child, address, log: kept }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("nobody panicked").clone()
    }

    /// Of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has had.
    pub(crate) fn peak_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a line");
        let kib = line.split_whitespace().nth(1).expect("a number");
        kib.parse::<u64>().expect("a number") * 1024
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn stop(mut self) -> i32 {
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

#[test]
fn a_posted_csv_gives_the_bits_of_the_command_line() {
    let bench = Bench::new();
    let service = Service::start(&bench);
    let text = readings(50, 3);
    let query = "/v1/maps?bounds=100,30,110,38&shape=141x133&precision=f64";
    let mut answer = ureq::post(service.url(query))
        .header("content-type", "text/csv")
        .send(text.as_bytes())
        .expect("an answer");
    assert_eq!(answer.headers()["content-type"], "application/x-netcdf");
    let mut body = Vec::new();
    answer.body_mut().as_reader().read_to_end(&mut body).expect("the file");
    bench.file("posted.nc", body);
    let input = bench.file("in.csv", &text);
    let arguments = [
        "map",
        &input,
        "-o",
        "mapped.nc",
        "--bounds",
        "100,30,110,38",
        "--shape",
        "141x133",
        "--precision",
        "f64",
    ];
    bench.run(&arguments).succeeded();
    let values = |name: &str| -> Vec<f64> {
        let file = netcdf::open(bench.path(name)).expect("a NetCDF file");
        file.variable("pm25").expect("pm25").get_values(..).expect("values")
    };
    let (posted, mapped) = (values("posted.nc"), values("mapped.nc"));
    assert_eq!(posted.len(), 3 * 141 * 133);
    assert!(posted.iter().zip(&mapped).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert_eq!(service.stop(), 0);
}

#[test]
fn every_line_about_a_request_has_its_id() {
    let bench = Bench::new();
    let service = Service::start(&bench);
    ureq::post(service.url("/v1/maps?bounds=100,30,110,38&shape=5x4"))
        .header("content-type", "text/csv")
        .header("x-request-id", "day-7")
        .send(readings(20, 2).as_bytes())
        .expect("a map");
    for words in ["\"mapped\"", "\"answered\""] {
        // The answer may be here before its line is.
        let begin = std::time::Instant::now();
        let line = loop {
            let log = service.log();
            if let Some(line) = log.lines().find(|line| line.contains(words)) {
                break line.to_owned();
            }
            assert!(begin.elapsed() < std::time::Duration::from_secs(30), "no {words}: {log}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        assert!(line.contains("\"id\":\"day-7\""), "{line}");
    }
    assert_eq!(service.stop(), 0);
}

#[test]
fn the_health_check_knows_a_living_service_from_a_dead_one() {
    let bench = Bench::new();
    let service = Service::start(&bench);
    let address = service.address.clone();
    bench.run(&["healthcheck", "--listen", &address]).succeeded();
    assert_eq!(service.stop(), 0);
    bench.run(&["healthcheck", "--listen", &address]).failed(5, &["no healthy service"]);
}

#[test]
fn a_port_in_use_and_a_wrong_setting_are_told() {
    let bench = Bench::new();
    let service = Service::start(&bench);
    bench.run(&["serve", "--listen", &service.address]).failed(5, &[&service.address]);
    let config = bench.file("bad.toml", "no_such_setting = 1\n");
    bench.run(&["serve", "--config", &config]).failed(2, &["no_such_setting"]);
    assert!(bench.run(&["serve", "--print-config"]).succeeded().stdout.contains("listen"));
}

#[test]
fn the_clients_of_the_examples_work() {
    let bench = Bench::new();
    let service = Service::start(&bench);
    let url = service.url("");
    let clients = root().join("examples/clients");
    for (program, script, out) in [
        ("python3", "post_map.py", "python.nc"),
        ("bash", "post_map.sh", "curl.nc"),
        ("bash", "job.sh", "job.nc"),
        ("python3", "network.py", "network-python.nc"),
        ("bash", "network.sh", "network-curl.nc"),
        ("python3", "edr.py", "edr-python.nc"),
        ("bash", "edr.sh", "edr-curl.nc"),
    ] {
        let needs = if program == "bash" { "curl" } else { program };
        if std::process::Command::new(needs).arg("--version").output().is_err() {
            eprintln!("skipped: {needs} is not here");
            continue;
        }
        let output = std::process::Command::new(program)
            .arg(clients.join(script))
            .args([&url, out])
            .current_dir(bench.path("."))
            .output();
        outcome(output).succeeded();
        assert!(netcdf::open(bench.path(out)).is_ok(), "{script}");
    }
}
