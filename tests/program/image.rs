//! The root of the image as it runs in a container: read-only, another user, a volume and /tmp.

use std::path::Path;
use std::process::Command;

use crate::harness::{Bench, Outcome, outcome, program, readings, root};
use crate::serve::Service;

const USER: &str = "10001";

/// The root that the Dockerfile lays out, with the mount points that a container runtime adds.
fn image(bench: &Bench) -> Option<String> {
    let image = bench.text("image");
    let mut command = Command::new(root().join("scripts/image_root.sh"));
    let laid = outcome(command.arg(program()).arg(&image).output());
    assert_eq!(laid.code, 0, "{}", laid.stderr);
    for name in ["proc", "volume-of-the-test"] {
        std::fs::create_dir_all(bench.path(name)).expect("a folder");
    }
    std::fs::create_dir_all(Path::new(&image).join("proc")).expect("a folder");
    let try_it = within(bench, &["--version"]);
    let run = outcome({ try_it }.output());
    if run.code != 0 {
        eprintln!("skipped: no root of its own can be given to a process here: {}", run.stderr);
        return None;
    }
    assert!(run.stdout.starts_with("isopleth "), "{}", run.stdout);
    Some(image)
}

/// The program as a container has it.
fn within(bench: &Bench, arguments: &[&str]) -> Command {
    let script = "set -e; CHROOT=$(command -v chroot)\n\
        mount --bind image image; mount -o remount,ro,bind image\n\
        mount -t tmpfs -o size=64m tmpfs image/tmp\n\
        chown $USER_OF_IT volume-of-the-test; mount --bind volume-of-the-test image/var/lib/isopleth\n\
        mount -t proc proc image/proc\n\
        exec env -i PATH=/usr/local/bin TMPDIR=/tmp HOME=/var/lib/isopleth ISOPLETH_SERVE_DATA_DIR=/var/lib/isopleth \
        ISOPLETH_SERVE_AUTH=on ISOPLETH_SERVE_METRICS_OPEN=true ISOPLETH_SERVE_MAX_BODY_BYTES=20000000 \
        \"$CHROOT\" --userspec=$USER_OF_IT:$USER_OF_IT image isopleth \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).args(arguments);
    command.env("USER_OF_IT", USER).current_dir(bench.path("."));
    command
}

fn run(bench: &Bench, arguments: &[&str]) -> Outcome {
    outcome(within(bench, arguments).output())
}

#[test]
fn in_a_read_only_root_as_another_user_the_service_writes_to_its_volume_and_tmp_only() {
    let bench = Bench::new();
    let Some(image) = image(&bench) else { return };
    // No shell and no other program is there.
    let programs: Vec<String> = std::fs::read_dir(Path::new(&image).join("usr/local/bin"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(programs, ["isopleth"]);
    assert!(!Path::new(&image).join("bin").exists());

    let made = run(&bench, &["keys", "create", "--name", "me", "--scope", "read,map"]).succeeded();
    let key = made.stdout.trim().to_owned();
    let service = Service::of(within(&bench, &["serve", "--listen", "127.0.0.1:0"]));
    run(&bench, &["healthcheck", "--listen", &service.address]).succeeded();

    // More than stays in memory, so that /tmp is needed; kept, so that the volume is.
    let map = service.url("/v1/maps?bounds=100,30,110,38&shape=600x500&kernel=linear&keep=true");
    let body = readings(300, 96);
    assert!(body.len() > 1 << 20, "{}", body.len());
    let post = |async_too: bool| {
        let request = ureq::post(&map).header("content-type", "text/csv");
        let request = request.header("authorization", format!("Bearer {key}"));
        let request = if async_too { request.header("prefer", "respond-async") } else { request };
        request.send(body.as_bytes()).expect("an answer").status().as_u16()
    };
    assert_eq!(post(false), 200);
    assert_eq!(post(true), 201);
    let volume = bench.path("volume-of-the-test");
    assert!(volume.join("isopleth.sqlite3").exists());
    assert_eq!(std::fs::read_dir(volume.join("maps")).expect("a folder").count(), 1);

    let checked = run(&bench, &["doctor"]);
    assert!(checked.stdout.contains("OK    keys"), "{}{}", checked.stdout, checked.stderr);
    assert!(checked.stdout.contains(&format!("as user {USER}")), "{}", checked.stdout);
    assert_eq!(service.stop(), 0);

    // Elsewhere nothing can be written.
    let readings = volume.join("in.csv");
    std::fs::write(readings, crate::harness::readings(9, 1)).expect("a file");
    let grid = ["--bounds", "100,30,110,38", "--shape", "5x5", "--cache", "none"];
    let to = |file| [&["map", "/var/lib/isopleth/in.csv", "-o", file], &grid[..]].concat();
    run(&bench, &to("/etc/map.nc")).failed(5, &["/etc/map.nc"]);
    run(&bench, &to("/tmp/map.nc")).succeeded();
}
