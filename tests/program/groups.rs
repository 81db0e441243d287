//! Threads and memory under real control groups, of version 1 or 2, where the machine lets us make them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::harness::{Bench, Outcome, outcome, program, readings};
use crate::serve::Service;

const ROOT: &str = "/sys/fs/cgroup";
const MIB: u64 = 1 << 20;

/// Groups of our own, one in each hierarchy; gone at the end.
struct Group {
    folders: Vec<PathBuf>,
}

impl Group {
    /// With so much memory, and so many hundredths of a processor, within another or at the top.
    fn new(within: Option<&Self>, memory: u64, percent: u64) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("isopleth-test-{}-{number}", std::process::id());
        let quota = (percent * 1000).to_string();
        let second = Path::new(ROOT).join("cgroup.controllers").exists();
        let limits: &[(&str, &str, &str, &str)] = if second {
            &[("", "", "memory.max", "cpu.max")]
        } else {
            &[
                ("memory", "memory", "memory.limit_in_bytes", ""),
                ("cpu", "cpu", "", "cpu.cfs_quota_us"),
            ]
        };
        let mut made = Self { folders: Vec::new() };
        for (at, (hierarchy, controller, of_memory, of_processor)) in limits.iter().enumerate() {
            let parent = match within {
                Some(group) => group.folders[at].clone(),
                None => Path::new(ROOT).join(hierarchy).join(own(controller)),
            };
            let folder = parent.join(&name);
            if let Err(error) = std::fs::create_dir(&folder) {
                eprintln!(
                    "skipped: no control group can be made here: {}: {error}",
                    folder.display()
                );
                return None;
            }
            made.folders.push(folder.clone());
            let quota = if second { format!("{quota} 100000") } else { quota.clone() };
            for (file, value) in [(of_memory, memory.to_string()), (of_processor, quota)] {
                if file.is_empty() {
                    continue;
                }
                if let Err(error) = std::fs::write(folder.join(file), value) {
                    eprintln!("skipped: {file} of a new control group cannot be set: {error}");
                    return None;
                }
            }
        }
        Some(made)
    }

    /// Puts a process there.
    fn take(&self, process: u32) {
        for folder in &self.folders {
            std::fs::write(folder.join("cgroup.procs"), process.to_string()).expect("it moves");
        }
    }

    /// Runs the program there from its start.
    fn run(&self, bench: &Bench, arguments: &[&str]) -> Outcome {
        let mut script = String::new();
        for folder in &self.folders {
            script.push_str(&format!("echo $$ > '{}/cgroup.procs' || exit 99\n", folder.display()));
        }
        script.push_str("exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(program()).args(arguments).current_dir(bench.path("."));
        command.env("ISOPLETH_CACHE_DIR", "none");
        outcome(command.output())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in &self.folders {
            // A process that has just ended is still there for a moment.
            for _ in 0..100 {
                if std::fs::remove_dir(folder).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    }
}

/// The group of this process in a hierarchy of version 1; where the path does not show, its root. In version 2 a group with
/// processes may have none below, so that the top is taken.
fn own(controller: &str) -> PathBuf {
    if controller.is_empty() {
        return PathBuf::new();
    }
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let named = |names: &str| names.split(',').any(|name| name == controller);
    let path = text.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (names, path) = rest.split_once(':')?;
        named(names).then(|| PathBuf::from(path.trim_start_matches('/')))
    });
    path.filter(|path| Path::new(ROOT).join(controller).join(path).is_dir()).unwrap_or_default()
}

#[test]
fn threads_and_memory_come_from_the_tightest_of_real_nested_groups() {
    let bench = Bench::new();
    let Some(outer) = Group::new(None, 1024 * MIB, 100) else { return };
    let Some(inner) = Group::new(Some(&outer), 4096 * MIB, 100) else { return };
    for group in [&outer, &inner] {
        let said = group.run(&bench, &["config", "check"]).succeeded().stdout;
        // (1 GiB / 2 − 256 MiB for factorisations) / 2 at once.
        assert!(said.contains("1 threads and 134.2 MB of memory"), "{said}");
    }
}

#[test]
fn a_service_tells_the_limit_of_its_real_group_and_stays_within_it() {
    let bench = Bench::new();
    let Some(group) = Group::new(None, 512 * MIB, 200) else { return };
    let service = Service::with(&bench, &[]);
    group.take(service.id());
    let map = service.url("/v1/maps?bounds=100,30,110,38&shape=700x500&kernel=linear");
    let posted = ureq::post(map).header("content-type", "text/csv");
    let answer = posted.send(readings(300, 6).as_bytes());
    assert_eq!(answer.expect("a map").status(), 200);
    // Limits are looked up again after a second.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let mut answer = ureq::get(service.url("/metrics")).call().expect("metrics");
    let text = answer.body_mut().read_to_string().expect("text");
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).parse().expect("a number")
    };
    let limit = value("isopleth_memory_limit_bytes");
    assert!((limit - 536_870_912.0).abs() < 0.5, "{limit}");
    let peak = value("isopleth_group_memory_peak_bytes");
    assert!(peak > 0.0 && peak <= limit, "{peak}");
    assert_eq!(service.stop(), 0);
}

/// What an earlier script did not: four processes of 14.6 GB on a machine of 56 GB ended without a word. The same in small:
/// four maps at the same time in one group that has room for their plans.
#[test]
fn four_maps_at_once_are_made_within_a_real_limit() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(400, 4));
    let map =
        ["--bounds", "100,30,110,38", "--shape", "700x500", "--kernel", "linear", "--threads", "1"];
    let foreseen = bench.run(&[&["estimate", &input, "--json"], &map[..]].concat()).succeeded();
    let foreseen: serde_json::Value = serde_json::from_str(&foreseen.stdout).expect("JSON");
    let bytes = foreseen["peak_memory_bytes"].as_u64().expect("bytes");
    let Some(group) = Group::new(None, 4 * bytes + 128 * MIB, 400) else { return };
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (bench, group, input) = (&bench, &group, &input);
            scope.spawn(move || {
                let file = format!("{number}.nc");
                group.run(bench, &[&["map", input, "-o", &file], &map[..]].concat()).succeeded();
            });
        }
    });
    for number in 0..4 {
        assert!(bench.path(&format!("{number}.nc")).exists());
    }
}
