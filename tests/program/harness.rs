//! A folder of its own for every test, the program, and what came out of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

/// A test's folder. It goes when the test ends.
pub(crate) struct Bench {
    folder: TempDir,
}

/// What a run of the program left.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file and gives its path as text.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), contents).expect("a file in a temporary folder");
        self.text(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    /// Runs the program in the folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        outcome(self.command(arguments).output())
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        // What the user who runs the tests has kept is no business of theirs.
        command.env("ISOPLETH_CACHE_DIR", "none");
        command.env("ISOPLETH_SERVE_DATA_DIR", self.path("data"));
        // A program that another test starts meanwhile may hold the lock of a file that this one wrote.
        command.env("HDF5_USE_FILE_LOCKING", "FALSE");
        command
    }

    /// Names of everything in the folder, hidden files too.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder.path())
            .expect("the folder is there")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Outcome {
    /// # Panics
    /// Unless the program said 0.
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// # Panics
    /// Unless the program gave this code, one message of one line that holds all of `words`, and
    /// did not panic.
    pub(crate) fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "stderr:\n{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in:\n{}", self.stderr);
        }
        self
    }
}

pub(crate) fn outcome(output: std::io::Result<Output>) -> Outcome {
    let output = output.expect("the program starts");
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_isopleth"))
}

/// The root of the checkout: asked when the tests run, because a build cache outlives the folder in
/// which it was filled.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        std::env::current_dir().expect("the folder in which cargo runs the tests")
    });
    &ROOT
}

/// A file of the real data, or none, said aloud.
pub(crate) fn shared(name: &str) -> Option<String> {
    let folder =
        std::env::var_os("ISOPLETH_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let path = folder.join("data").join(name);
    if path.exists() {
        return Some(path.to_str().expect("UTF-8").to_owned());
    }
    eprintln!("skipped: {} is not here", path.display());
    None
}

/// A small network with readings in general position: `n` stations, hourly times, one variable.
pub(crate) fn readings(n: usize, times: usize) -> String {
    let mut text = String::from("station,lon,lat,time,pm25\n");
    for t in 0..times {
        for i in 0..n {
            let (lon, lat, value) = place(i, t);
            text.push_str(&format!(
                "s{i:03},{lon:.4},{lat:.4},2026-01-01T{t:02}:00:00Z,{value:.3}\n"
            ));
        }
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn place(i: usize, t: usize) -> (f64, f64, f64) {
    let golden = 0.618_033_988_749_895 * i as f64;
    let lon = 100.0 + 10.0 * golden.fract();
    let lat = 30.0 + 8.0 * (i as f64 * 0.754_877_666).fract();
    (lon, lat, 40.0 + 10.0 * (lon / 3.0 + t as f64).sin() + 5.0 * lat.cos())
}
