//! Limits as machines of several kinds have them: the files of `/proc` and `/sys/fs/cgroup`, as they were found there.

use std::fs;

use tempfile::TempDir;

use super::Machine;

/// A machine of 56 GiB with these files.
fn machine(cgroup: &str, files: &[(&str, &str)]) -> (TempDir, Machine) {
    let root = tempfile::tempdir().unwrap();
    let own = [("proc/self/cgroup", cgroup), ("proc/meminfo", "MemTotal:   58720256 kB\n")];
    for (path, text) in own.iter().chain(files) {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let machine = Machine { proc: root.path().join("proc"), cgroup: root.path().join("sys") };
    (root, machine)
}

const HOST: u64 = 56 << 30;

#[test]
fn a_service_of_systemd_is_limited_by_its_slice_too() {
    // MemoryMax=8G and CPUQuota=250% of the unit, MemoryMax=4G and CPUQuota=600% of its slice.
    let (_root, machine) = machine(
        "0::/maps.slice/isopleth.service\n",
        &[
            ("sys/cgroup.controllers", "cpuset cpu io memory pids\n"),
            ("sys/maps.slice/memory.max", "4294967296\n"),
            ("sys/maps.slice/cpu.max", "600000 100000\n"),
            ("sys/maps.slice/isopleth.service/memory.max", "8589934592\n"),
            ("sys/maps.slice/isopleth.service/cpu.max", "250000 100000\n"),
        ],
    );
    assert_eq!(machine.memory_limit_bytes(), Some(4 << 30));
    assert_eq!(machine.processor_quota(), Some(3));
}

#[test]
fn a_pod_whose_container_has_no_limit_has_that_of_the_pod() {
    let pod = "sys/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod7.slice";
    let container = format!("{pod}/cri-containerd-1f.scope");
    let files = [
        (format!("{container}/memory.max"), "max\n"),
        (format!("{container}/cpu.max"), "max 100000\n"),
        (format!("{pod}/memory.max"), "2147483648\n"),
        (format!("{pod}/cpu.max"), "50000 100000\n"),
        ("sys/kubepods.slice/memory.max".to_owned(), "60129542144\n"),
        ("sys/kubepods.slice/cpu.max".to_owned(), "max 100000\n"),
    ];
    let files: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let own = "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod7.slice/cri-containerd-1f.scope\n";
    let (_root, machine) = machine(own, &files);
    assert_eq!(machine.memory_limit_bytes(), Some(2 << 30));
    // Half a processor is a thread.
    assert_eq!(machine.processor_quota(), Some(1));
}

#[test]
fn a_limit_beyond_the_hosts_memory_is_the_hosts_memory() {
    let (_root, machine) = machine("0::/\n", &[("sys/memory.max", "109951162777600\n")]);
    assert_eq!(machine.memory_limit_bytes(), Some(HOST));
}

#[test]
fn a_container_of_version_1_is_read_at_the_mounted_root_under_the_hosts_path() {
    let (_root, machine) = machine(
        "12:memory:/docker/ab12\n7:cpu,cpuacct:/docker/ab12\n3:cpuset:/docker/ab12\n1:name=systemd:/docker/ab12\n0::/\n",
        &[
            ("sys/memory/memory.limit_in_bytes", "1073741824\n"),
            ("sys/cpu,cpuacct/cpu.cfs_quota_us", "400000\n"),
            ("sys/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ],
    );
    assert_eq!(machine.memory_limit_bytes(), Some(1 << 30));
    assert_eq!(machine.processor_quota(), Some(4));
}

#[test]
fn controllers_of_version_1_that_are_mounted_apart_are_found_apart() {
    let (_root, machine) = machine(
        "4:memory:/batch/hour\n2:cpuacct:/\n1:cpu:/batch\n",
        &[
            ("sys/memory/batch/hour/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/memory/batch/memory.limit_in_bytes", "15677186867\n"),
            ("sys/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/cpu/batch/cpu.cfs_quota_us", "700000\n"),
            ("sys/cpu/batch/cpu.cfs_period_us", "100000\n"),
            ("sys/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/cpuacct/cpu.cfs_quota_us", "1000\n"),
        ],
    );
    assert_eq!(machine.memory_limit_bytes(), Some(15_677_186_867));
    assert_eq!(machine.processor_quota(), Some(7));
}

#[test]
fn in_a_hybrid_the_controllers_of_version_1_limit_and_version_2_is_looked_for_under_unified() {
    let own = "9:memory:/system.slice/isopleth.service\n1:name=systemd:/system.slice/isopleth.service\n\
               0::/system.slice/isopleth.service\n";
    let (_root, machine) = machine(
        own,
        &[
            ("sys/memory/system.slice/isopleth.service/memory.limit_in_bytes", "3221225472\n"),
            ("sys/memory/system.slice/isopleth.service/memory.usage_in_bytes", "4096\n"),
            // This controller was left to version 2.
            ("sys/unified/system.slice/isopleth.service/cpu.max", "150000 100000\n"),
            ("sys/unified/cgroup.controllers", "cpu\n"),
        ],
    );
    assert_eq!(machine.memory_limit_bytes(), Some(3 << 30));
    assert_eq!(machine.processor_quota(), Some(2));
    assert_eq!(machine.group_memory().map(|group| group.current_bytes), Some(4096));
}

#[test]
fn files_that_say_nonsense_limit_nothing() {
    let (_root, machine) = machine(
        "0::/a\nnonsense\n",
        &[
            ("sys/a/memory.max", "plenty\n"),
            ("sys/a/cpu.max", "100000\n"),
            ("sys/cpu.max", "100000 0\n"),
        ],
    );
    assert_eq!(machine.memory_limit_bytes(), Some(HOST));
    assert_eq!(machine.processor_quota(), None);
}
