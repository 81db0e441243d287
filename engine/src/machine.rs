//! What the machine allows this process: memory, processors, and what it has taken so far.
//!
//! Linux says so in files. A container's limits are those of its control groups (v1 or v2), each of
//! which may be tighter than the one within it; where no file shows, the host's figures count.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Peak resident memory of this process so far (`VmHWM`), in bytes, as it was 5 ms ago at most; 0 where the system
/// does not say.
#[must_use]
pub fn peak_memory_bytes() -> u64 {
    static KNOWN: Lately<u64> = Lately::new(Duration::from_millis(5));
    KNOWN.get(|| Machine::this().kilobytes("self/status", "VmHWM:").unwrap_or(0))
}

/// Resident memory of this process (what `VmRSS` tells), in bytes, as it was 5 ms ago at most; 0 where the system does not say.
#[must_use]
pub fn resident_bytes() -> u64 {
    static KNOWN: Lately<u64> = Lately::new(Duration::from_millis(5));
    KNOWN.get(|| Machine::this().resident_bytes().unwrap_or(0))
}

/// Memory of this process with its share of what others use, too (PSS), in bytes; none where the system does
/// not say.
#[must_use]
pub fn proportional_bytes() -> Option<u64> {
    Machine::this().kilobytes("self/smaps_rollup", "Pss:")
}

/// Seconds for which a processor has worked for the calling thread so far.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a process's life are below 2^53")]
pub fn thread_cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// What the control group of this process has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupMemory {
    /// Bytes now, file cache included.
    pub current_bytes: u64,
    /// Most bytes so far, where the system says.
    pub peak_bytes: Option<u64>,
    /// How often the limit was reached, and how often a process was killed for it; v2 only.
    pub limit_reached: Option<u64>,
    /// See `limit_reached`.
    pub killed: Option<u64>,
}

/// What the control group of this process has taken; none where no file shows.
#[must_use]
pub fn group_memory() -> Option<GroupMemory> {
    Machine::this().group_memory()
}

/// Memory that this process may use, in bytes: the smallest limit of its control groups and the
/// host's memory. None where the system does not say.
#[must_use]
pub fn memory_limit_bytes() -> Option<u64> {
    static KNOWN: Lately<Option<u64>> = Lately::new(Duration::from_secs(1));
    KNOWN.get(|| Machine::this().memory_limit_bytes())
}

/// Processors that this process may use, at least 1: what the scheduler's mask and the control
/// groups' quotas allow, a part of a processor counted as one.
#[must_use]
pub fn available_threads() -> usize {
    static KNOWN: Lately<usize> = Lately::new(Duration::from_secs(1));
    KNOWN.get(threads_now)
}

fn threads_now() -> usize {
    // The standard library reads the mask and quotas of v2; the walk adds what it may not see.
    let by_mask = std::thread::available_parallelism().map_or(1, usize::from);
    Machine::this().processor_quota().map_or(by_mask, |quota| by_mask.min(quota)).max(1)
}

/// What was found not long ago: looking through the system's files takes a good part of a small map's time.
struct Lately<T> {
    good_for: Duration,
    known: Mutex<Option<(Instant, T)>>,
}

impl<T: Copy> Lately<T> {
    const fn new(good_for: Duration) -> Self {
        Self { good_for, known: Mutex::new(None) }
    }

    fn get(&self, look: impl FnOnce() -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match *known {
            Some((then, value)) if then.elapsed() < self.good_for => value,
            _ => {
                let value = look();
                *known = Some((Instant::now(), value));
                value
            }
        }
    }
}

/// Where the system's files are.
struct Machine {
    proc: PathBuf,
    cgroup: PathBuf,
}

/// One control group hierarchy that limits something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Controller {
    Memory,
    Processor,
}

impl Machine {
    fn this() -> Self {
        Self { proc: "/proc".into(), cgroup: "/sys/fs/cgroup".into() }
    }

    /// From the file of bare numbers, which is shorter than that with names.
    fn resident_bytes(&self) -> Option<u64> {
        let pages: u64 = read(&self.proc.join("self/statm"))?.split(' ').nth(1)?.parse().ok()?;
        Some(pages * rustix::param::page_size() as u64)
    }

    fn memory_limit_bytes(&self) -> Option<u64> {
        let host = self.kilobytes("meminfo", "MemTotal:");
        let groups = self.groups(Controller::Memory);
        let limits = groups.iter().filter_map(|group| {
            let text = read(&group.join("memory.max"))
                .or_else(|| read(&group.join("memory.limit_in_bytes")))?;
            // "max" (v2) is no number; v1 says "no limit" by a number beyond any memory.
            text.parse::<u64>().ok()
        });
        limits.chain(host).min()
    }

    /// Of the innermost group that shows.
    fn group_memory(&self) -> Option<GroupMemory> {
        let number = |path: &Path| read(path)?.parse::<u64>().ok();
        self.groups(Controller::Memory).iter().find_map(|group| {
            if let Some(current_bytes) = number(&group.join("memory.current")) {
                let events = read(&group.join("memory.events")).unwrap_or_default();
                let event = |name: &str| {
                    events.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
                };
                return Some(GroupMemory {
                    current_bytes,
                    peak_bytes: number(&group.join("memory.peak")),
                    limit_reached: event("max "),
                    killed: event("oom_kill "),
                });
            }
            Some(GroupMemory {
                current_bytes: number(&group.join("memory.usage_in_bytes"))?,
                peak_bytes: number(&group.join("memory.max_usage_in_bytes")),
                ..GroupMemory::default()
            })
        })
    }

    fn processor_quota(&self) -> Option<usize> {
        let groups = self.groups(Controller::Processor);
        let quotas = groups.iter().filter_map(|group| {
            let (quota, period) = match read(&group.join("cpu.max")) {
                Some(text) => {
                    let (quota, period) = text.split_once(' ')?;
                    (quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?)
                }
                None => (
                    read(&group.join("cpu.cfs_quota_us"))?.parse().ok()?,
                    read(&group.join("cpu.cfs_period_us"))?.parse().ok()?,
                ),
            };
            (period > 0).then(|| quota.div_ceil(period))
        });
        quotas.min().and_then(|quota| quota.try_into().ok())
    }

    /// Directories of the groups of this process, from its own to the root of the hierarchy.
    fn groups(&self, controller: Controller) -> Vec<PathBuf> {
        let Some(text) = read(&self.proc.join("self/cgroup")) else { return Vec::new() };
        let mut groups = Vec::new();
        for line in text.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(names), Some(path)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let wanted = match controller {
                Controller::Memory => "memory",
                Controller::Processor => "cpu",
            };
            // v2 has one hierarchy without a name; v1 mounts each under its names.
            let root = if names.is_empty() {
                // Beside version 1 it is mounted below.
                let beside = self.cgroup.join("unified");
                if beside.is_dir() { beside } else { self.cgroup.clone() }
            } else if names.split(',').any(|name| name == wanted) {
                let together = self.cgroup.join(names);
                if together.is_dir() { together } else { self.cgroup.join(wanted) }
            } else {
                continue;
            };
            // Within a container the path may be the host's, which does not show here; then the
            // container's own group is mounted as the root, which the walk ends with.
            let relative = Path::new(path.trim_start_matches('/'));
            groups.extend(relative.ancestors().map(|part| root.join(part)));
        }
        groups
    }

    /// A line of a file of `/proc` that gives kilobytes, in bytes.
    fn kilobytes(&self, file: &str, label: &str) -> Option<u64> {
        let text = read(&self.proc.join(file))?;
        let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
        let kilobytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    }
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod recorded;

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A machine of 16 GiB with these files.
    fn machine(cgroup: &str, files: &[(&str, &str)]) -> (TempDir, Machine) {
        let root = tempfile::tempdir().unwrap();
        let own = [("proc/self/cgroup", cgroup), ("proc/meminfo", "MemTotal:   16777216 kB\n")];
        for (path, text) in own.iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let machine = Machine { proc: root.path().join("proc"), cgroup: root.path().join("sys") };
        (root, machine)
    }

    #[test]
    fn the_tightest_group_on_the_way_to_the_root_counts() {
        let (_root, machine) = machine(
            "0::/a/b\n",
            &[
                ("sys/a/b/memory.max", "max\n"),
                ("sys/a/memory.max", "1073741824\n"),
                ("sys/memory.max", "8589934592\n"),
                ("sys/a/b/cpu.max", "max 100000\n"),
                ("sys/a/cpu.max", "250000 100000\n"),
            ],
        );
        assert_eq!(machine.memory_limit_bytes(), Some(1 << 30));
        assert_eq!(machine.processor_quota(), Some(3));
    }

    #[test]
    fn a_container_that_sees_only_its_own_group_reads_it_at_the_root() {
        let (_root, machine) = machine("0::/docker/0123\n", &[("sys/memory.max", "1048576\n")]);
        assert_eq!(machine.memory_limit_bytes(), Some(1 << 20));
    }

    #[test]
    fn version_1_is_read_per_controller() {
        let (_root, machine) = machine(
            "5:cpu,cpuacct:/a\n4:memory:/a\n1:name=systemd:/\n",
            &[
                ("sys/memory/a/memory.limit_in_bytes", "2147483648\n"),
                ("sys/memory/memory.limit_in_bytes", "9223372036854771712\n"),
                ("sys/cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n"),
                ("sys/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
                ("sys/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
                ("sys/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ],
        );
        assert_eq!(machine.memory_limit_bytes(), Some(2 << 30));
        assert_eq!(machine.processor_quota(), Some(1));
    }

    #[test]
    fn what_a_group_has_taken_is_read_in_both_versions() {
        let events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n";
        let (_root, v2) = machine(
            "0::/app\n",
            &[
                ("sys/app/memory.current", "5000\n"),
                ("sys/app/memory.peak", "9000\n"),
                ("sys/app/memory.events", events),
            ],
        );
        let taken = GroupMemory {
            current_bytes: 5000,
            peak_bytes: Some(9000),
            limit_reached: Some(12),
            killed: Some(2),
        };
        assert_eq!(v2.group_memory(), Some(taken));
        let (_root, v1) = machine(
            "5:memory:/app\n",
            &[
                ("sys/memory/app/memory.usage_in_bytes", "5000\n"),
                ("sys/memory/app/memory.max_usage_in_bytes", "9000\n"),
            ],
        );
        let taken = GroupMemory { limit_reached: None, killed: None, ..taken };
        assert_eq!(v1.group_memory(), Some(taken));
        let (_root, none) = machine("0::/\n", &[]);
        assert_eq!(none.group_memory(), None);
    }

    #[test]
    fn without_groups_the_host_counts_and_without_files_nothing_is_made_up() {
        let (_root, with_host) = machine("0::/\n", &[]);
        assert_eq!(with_host.memory_limit_bytes(), Some(16 << 30));
        assert_eq!(with_host.processor_quota(), None);
        let nowhere = Machine { proc: "/nonexistent".into(), cgroup: "/nonexistent".into() };
        assert_eq!(nowhere.memory_limit_bytes(), None);
        assert_eq!(nowhere.kilobytes("self/status", "VmHWM:"), None);
    }

    #[test]
    fn a_thread_s_clock_counts_its_work_and_not_its_sleep() {
        let before = thread_cpu_seconds();
        std::thread::sleep(Duration::from_millis(300));
        let slept = thread_cpu_seconds() - before;
        let (start, mut sum) = (Instant::now(), 0_u64);
        while thread_cpu_seconds() - before - slept < 0.02 && start.elapsed().as_secs() < 60 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let worked = thread_cpu_seconds() - before - slept;
        assert!(slept < 0.15 && worked >= 0.02, "{slept} {worked}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_resident_is_what_the_system_tells_with_names() {
        let named = || Machine::this().kilobytes("self/status", "VmRSS:").expect("Linux");
        let (before, found, after) = (named(), Machine::this().resident_bytes(), named());
        let found = found.expect("Linux");
        // Other tests go on meanwhile.
        let (low, high) = (before.min(after), before.max(after));
        assert!(found > low / 2 && found < 2 * high, "{found} between {low} and {high}");
    }

    #[test]
    fn the_peak_of_this_process_grows_with_what_it_touches() {
        let before = peak_memory_bytes();
        let touched = vec![1_u8; 256 << 20];
        let after = peak_memory_bytes();
        assert!(after > 256 << 20 && after >= before, "{before} {after} {}", touched[1 << 20]);
        assert!(available_threads() >= 1);
    }
}
