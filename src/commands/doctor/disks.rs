//! Folders: writable, local, with room; the database in the folder of the data, and the clock against its rows.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use isopleth_api::ServiceConfig;
use isopleth_api::doors::Auth;
use isopleth_api::store::inspect::{Inspection, inspect};
use jiff::Timestamp;

use super::Finding;
use crate::table::bytes;

/// Less is as good as full: a database and its log need some.
const LEAST_FREE: u64 = 256 << 20;
const LEAST_FILES: u64 = 10_000;
/// Seconds by which clocks of a disk and of a machine may differ.
const CLOCK: i64 = 5;

/// File systems of other machines, on which locks may not work or may be lost.
const REMOTE: [&str; 12] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "glusterfs",
    "lustre",
    "afs",
    "gpfs",
    "fuse.sshfs",
];
/// File systems that are gone with the container or the machine.
const FORGETFUL: [&str; 3] = ["tmpfs", "ramfs", "overlay"];

pub(super) fn data(config: &ServiceConfig) -> Vec<Finding> {
    let advice = "set data_dir: jobs, maps, networks and keys are forgotten when the service ends";
    let first = match &config.data_dir {
        None => Finding::warn("data", "there is no folder of the data", advice),
        Some(folder) if !folder.exists() => missing(folder),
        Some(folder) => return of_folder(config, folder),
    };
    [first].into_iter().chain(keys(config, 0)).collect()
}

fn of_folder(config: &ServiceConfig, folder: &Path) -> Vec<Finding> {
    let mut found = vec![writable("data", folder)];
    found.extend(kind("data", folder));
    found.push(room("data", folder, wanted(config, folder)));
    found.extend(database(config, folder));
    found.extend(clock(folder));
    found
}

pub(super) fn spill(config: &ServiceConfig) -> Vec<Finding> {
    let folder = &config.spill_dir;
    let at_once = u64::try_from(config.maps_at_once()).unwrap_or(u64::MAX);
    let bodies = config.max_body_bytes.saturating_mul(at_once);
    vec![writable("spill", folder), room("spill", folder, bodies)]
}

/// Folders of sources can be read, those of sinks written.
pub(super) fn places(config: &ServiceConfig) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, source) in &config.sources {
        let Some(path) = path_of(source) else { continue };
        found.push(match std::fs::read_dir(&path) {
            Ok(_) => Finding::ok("sources", format!("{name}: {} can be read", path.display())),
            Err(error) => {
                let says = format!("{name}: {} cannot be read: {error}", path.display());
                Finding::fail("sources", says, "make it, or give it to the user of the service")
            }
        });
    }
    for (name, sink) in &config.sinks {
        let Some(path) = path_of(sink) else { continue };
        found.push(match probe(&path) {
            Ok(_) => Finding::ok("sinks", format!("{name}: {} can be written", path.display())),
            Err(error) => {
                let says = format!("{name}: {} cannot be written: {error}", path.display());
                Finding::fail("sinks", says, "mount it, and give it to the user of the service")
            }
        });
    }
    found
}

/// The `path` of a table of the settings.
fn path_of(table: &impl serde::Serialize) -> Option<PathBuf> {
    let table = serde_json::to_value(table).ok()?;
    table["path"].as_str().map(PathBuf::from)
}

fn missing(folder: &Path) -> Finding {
    let above = folder.ancestors().skip(1).find(|above| above.exists());
    match above.map(|above| (above, probe(above))) {
        Some((_, Ok(_))) => Finding::ok("data", format!("{} will be made", folder.display())),
        Some((above, Err(error))) => {
            let says =
                format!("{} cannot be made in {}: {error}", folder.display(), above.display());
            Finding::fail("data", says, "make it, and give it to the user of the service")
        }
        None => Finding::fail("data", format!("{} is nowhere", folder.display()), "set data_dir"),
    }
}

/// A file is written, locked and removed: its owner and the file system's time.
fn probe(folder: &Path) -> std::io::Result<(u32, SystemTime)> {
    let mut file = tempfile::Builder::new().prefix(".doctor-").tempfile_in(folder)?;
    file.write_all(&[1; 4096])?;
    file.as_file().sync_all()?;
    file.as_file().try_lock().map_err(|error| match error {
        std::fs::TryLockError::Error(error) => error,
        std::fs::TryLockError::WouldBlock => std::io::Error::other("a new file is locked already"),
    })?;
    let about = file.as_file().metadata()?;
    Ok((about.uid(), about.modified()?))
}

fn writable(check: &'static str, folder: &Path) -> Finding {
    let shown = folder.display();
    let (user, _) = match probe(folder) {
        Ok(found) => found,
        Err(error) => {
            let says = format!("{shown} cannot be written and locked: {error}");
            return Finding::fail(
                check,
                says,
                "give it to the user of the service, on a disk with locks",
            );
        }
    };
    let owner = folder.metadata().map_or(user, |about| about.uid());
    if check == "data" && owner != user {
        let says = format!("{shown} belongs to user {owner}, and this is user {user}");
        return Finding::warn(check, says, "ask again as the user of the service");
    }
    Finding::ok(check, format!("{shown} can be written and locked, as user {user}"))
}

fn kind(check: &'static str, folder: &Path) -> Option<Finding> {
    let folder = folder.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (_, kind) = mounted(&mounts, &folder)?;
    let says = format!("it is on a file system of kind {kind}");
    Some(if REMOTE.contains(&kind.as_str()) {
        Finding::warn(
            check,
            says,
            "SQLite needs working locks and a disk of this machine; back up elsewhere",
        )
    } else if FORGETFUL.contains(&kind.as_str()) {
        Finding::warn(
            check,
            says,
            "it is gone with the machine or the container; mount a volume there",
        )
    } else {
        Finding::ok(check, says)
    })
}

/// Where the file system of a path is mounted, and its kind.
fn mounted(mounts: &str, path: &Path) -> Option<(PathBuf, String)> {
    let each = mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        // Spaces are written as \040.
        let point = PathBuf::from(before.split(' ').nth(4)?.replace("\\040", " "));
        Some((point, after.split(' ').next()?.to_owned()))
    });
    // Of those mounted at the same place the last one shows.
    each.filter(|(point, _)| path.starts_with(point))
        .max_by_key(|(point, _)| point.components().count())
}

/// Bytes that the settings let jobs keep, less what is kept already.
fn wanted(config: &ServiceConfig, folder: &Path) -> u64 {
    let kept = |name: &str| -> u64 {
        let entries = std::fs::read_dir(folder.join(name)).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
    };
    let inputs = config.inputs_max_bytes.saturating_sub(kept("inputs"));
    inputs.saturating_add(config.results_max_bytes.saturating_sub(kept("maps")))
}

fn room(check: &'static str, folder: &Path, wanted: u64) -> Finding {
    let shown = folder.display();
    let about = match rustix::fs::statvfs(folder) {
        Ok(about) => about,
        Err(error) => {
            let says = format!("how much is free in {shown} cannot be told: {error}");
            return Finding::warn(check, says, "look at it with df");
        }
    };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let says = format!("{} free in {shown}", bytes(free));
    // Some file systems have no fixed number of files, and tell 0 of 0.
    if about.f_files > 0 && about.f_favail < LEAST_FILES {
        let says = format!("{says}, and room for {} files", about.f_favail);
        return Finding::warn(check, says, "many small files are in the way");
    }
    if free < LEAST_FREE {
        return Finding::fail(check, says, "make room: jobs wait while the disk is full");
    }
    if free < wanted {
        let says = format!("{says}; the settings allow {} more", bytes(wanted));
        let advice = "more room, or lower limits (inputs_max_bytes, results_max_bytes, max_body_bytes × concurrency)";
        return Finding::warn(check, says, advice);
    }
    Finding::ok(check, says)
}

fn database(config: &ServiceConfig, folder: &Path) -> Vec<Finding> {
    let seen = match inspect(folder) {
        Ok(None) => {
            let mut found = vec![Finding::ok("database", "there is none yet; it will be made")];
            found.extend(keys(config, 0));
            return found;
        }
        Ok(Some(seen)) => seen,
        Err(error) => {
            let says = format!("it cannot be read: {error}");
            return vec![Finding::fail(
                "database",
                says,
                "restore the last backup (docs/deploy.md)",
            )];
        }
    };
    let mut found = vec![about(&seen)];
    if !seen.lost.is_empty() {
        let says = format!(
            "{} of {} files that it refers to are gone, such as {}",
            seen.lost.len(),
            seen.files,
            seen.lost[0]
        );
        found.push(Finding::warn(
            "database",
            says,
            "requests for them are answered with an error; restore them",
        ));
    }
    let now = Timestamp::now().as_second();
    if let Some(latest) = seen.latest.filter(|latest| *latest > now + CLOCK) {
        let says = format!("the clock is {} s behind the newest row of the database", latest - now);
        found.push(Finding::fail(
            "clock",
            says,
            "set the clock, and keep it set (chrony, systemd-timesyncd)",
        ));
    }
    found.extend(keys(config, seen.keys));
    found
}

fn about(seen: &Inspection) -> Finding {
    let Inspection { schema, known, damage, files, .. } = seen;
    if let Some(first) = damage.first() {
        return Finding::fail(
            "database",
            format!("it is damaged: {first}"),
            "restore the last backup (docs/deploy.md)",
        );
    }
    if schema > known {
        let says = format!("its schema is {schema}, and this program knows up to {known}");
        return Finding::fail("database", says, "use the program that wrote it, or a later one");
    }
    let later = if schema < known {
        format!(", to become {known} at the next start")
    } else {
        String::new()
    };
    Finding::ok("database", format!("whole; schema {schema}{later}; {files} files"))
}

fn keys(config: &ServiceConfig, keys: u64) -> Option<Finding> {
    let address = config.listen.rsplit_once(':').map_or("", |(address, _)| address);
    let at_home = address.starts_with("127.") || matches!(address, "localhost" | "[::1]");
    let own = config.bootstrap_key.is_some() || config.bootstrap_key_file.is_some();
    Some(match config.auth {
        Auth::Off if at_home => return None,
        Auth::Off => {
            let says = format!("whoever reaches {} may use the service", config.listen);
            Finding::warn("keys", says, "auth = \"on\", and isopleth keys create")
        }
        _ if keys > 0 => Finding::ok("keys", format!("{keys} that open something")),
        _ if own => Finding::ok("keys", "that of the settings is made at the start"),
        Auth::On => {
            Finding::warn("keys", "there is none, so nobody may come in", "isopleth keys create")
        }
        Auth::Auto if at_home => Finding::ok("keys", "none, and it listens on this machine only"),
        Auth::Auto => {
            let says = format!("there is none, and it would listen on {}", config.listen);
            Finding::fail("keys", says, "isopleth keys create, or listen on 127.0.0.1")
        }
    })
}

/// The disk's clock beside that of the machine, and whether anybody keeps it set.
fn clock(folder: &Path) -> Option<Finding> {
    let (_, written) = probe(folder).ok()?;
    let written = Timestamp::try_from(written).ok()?;
    let apart = (Timestamp::now().as_second() - written.as_second()).abs();
    if apart > CLOCK {
        let says = format!("the clocks of the disk and of this machine are {apart} s apart");
        return Some(Finding::warn("clock", says, "leases and times of files depend on it"));
    }
    let kept = Path::new("/run/systemd/timesync/synchronized").exists();
    let told = if kept { ", synchronised by systemd-timesyncd" } else { "" };
    Some(Finding::ok("clock", format!("{}{told}", Timestamp::now().strftime("%F %T UTC"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_of_a_path_is_that_mounted_nearest_above() {
        let mounts = "1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
                      2 1 0:40 / /var/lib rw - nfs4 server:/export rw\n\
                      3 2 0:41 / /var/lib/my\\040data rw - xfs /dev/sdb rw\n\
                      4 1 0:42 / /tmp rw - tmpfs tmpfs rw\n";
        let kind = |path: &str| mounted(mounts, Path::new(path)).map(|(_, kind)| kind);
        assert_eq!(kind("/etc").as_deref(), Some("ext4"));
        assert_eq!(kind("/var/lib/isopleth").as_deref(), Some("nfs4"));
        assert_eq!(kind("/var/lib/my data/x").as_deref(), Some("xfs"));
        assert_eq!(kind("/var/library").as_deref(), Some("ext4"));
        assert_eq!(kind("/tmp").as_deref(), Some("tmpfs"));
    }
}
