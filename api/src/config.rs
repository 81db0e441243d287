//! Every setting of the service with its default.

use std::path::PathBuf;
use std::time::Duration;

use isopleth_engine::{Limits, machine};
use serde::{Deserialize, Serialize};

/// How the service listens and how much it lets one request, and all of them together, take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceConfig {
    /// Address and port to listen on. Default `127.0.0.1:8080`: this machine only.
    pub listen: String,
    /// Largest body of a request in bytes, as sent and after decompression. Default 256 MiB.
    pub max_body_bytes: u64,
    /// Most cells of a grid, or places of a list. Default 100 million.
    pub max_cells: u64,
    /// Most values (cells × variables × times) of an answer. Default 10 thousand million.
    pub max_values: u64,
    /// Most distinct stations. Default 20 000.
    pub max_stations: usize,
    /// Most values of an answer in JSON. Default 1 million.
    pub max_json_values: u64,
    /// Requests computed at once. Default 2.
    pub concurrency: usize,
    /// Requests that may wait for their turn, those still sending their body included; more are
    /// answered 503 at once. Default 16.
    pub queue_length: usize,
    /// Longest wait in the queue in seconds; then 503. Default 30.
    pub queue_wait_seconds: u64,
    /// Threads of one map. Default: the processors this process may use, whatever the concurrency:
    /// maps made at the same time share them.
    pub threads_per_map: Option<usize>,
    /// Peak memory in bytes that the plan of one map must keep. Default: half of what the cgroup or
    /// the host allows, shared among the maps made at once.
    pub memory_bytes_per_map: Option<u64>,
    /// Memory in bytes for factorisations of networks seen before, beside that of maps; 8 n² for n
    /// stations. 0 keeps none. Default 256 MiB.
    pub factor_memory_bytes: u64,
    /// Folder in which factorisations are kept over a restart; processes may share it. Default: none.
    pub factor_dir: Option<PathBuf>,
    /// Largest size of that folder in bytes. Default 1 GiB.
    pub factor_dir_bytes: u64,
    /// Longest time in seconds in which a request's head must have arrived. Default 10.
    pub head_read_seconds: u64,
    /// Longest time in seconds in which a request's body must have arrived. Default 120.
    pub body_read_seconds: u64,
    /// After the word to stop: seconds to go on taking requests with `/readyz` saying no already,
    /// so that a load balancer notices. Default 0.
    pub drain_seconds: u64,
    /// After that: seconds that requests in flight are given before they are cancelled. Default 30.
    pub grace_seconds: u64,
    /// Folder of what must outlive the process: the database of jobs, networks, maps and keys, and their
    /// files. Default: none, and they are forgotten at the end; `isopleth serve` takes
    /// `~/.local/state/isopleth`.
    pub data_dir: Option<PathBuf>,
    /// Most registered networks. Default 1000.
    pub max_networks: usize,
    /// Most bytes of their documents together. Default 256 MiB.
    pub max_networks_bytes: u64,
    /// Folder of temporary files: bodies beyond 1 MiB, and answers until they are sent. Default: the
    /// system's.
    pub spill_dir: PathBuf,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            max_body_bytes: 256 << 20,
            max_cells: 100_000_000,
            max_values: 10_000_000_000,
            max_stations: 20_000,
            max_json_values: 1_000_000,
            concurrency: 2,
            queue_length: 16,
            queue_wait_seconds: 30,
            threads_per_map: None,
            memory_bytes_per_map: None,
            factor_memory_bytes: 256 << 20,
            factor_dir: None,
            factor_dir_bytes: 1 << 30,
            head_read_seconds: 10,
            body_read_seconds: 120,
            drain_seconds: 0,
            grace_seconds: 30,
            data_dir: None,
            max_networks: 1000,
            max_networks_bytes: 256 << 20,
            spill_dir: std::env::temp_dir(),
        }
    }
}

/// A setting that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("setting {name} is {got}; {needed}")]
pub struct ConfigError {
    /// Which setting.
    pub name: &'static str,
    /// What it is.
    pub got: String,
    /// What it must be.
    pub needed: &'static str,
}

impl ServiceConfig {
    /// Checks that the service can work with these settings.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn check(&self) -> Result<(), ConfigError> {
        let at_least_one = [
            ("max_body_bytes", self.max_body_bytes),
            ("max_cells", self.max_cells),
            ("max_values", self.max_values),
            ("max_stations", self.max_stations as u64),
            ("concurrency", self.concurrency as u64),
            ("threads_per_map", self.threads_per_map.map_or(1, |n| n as u64)),
            ("memory_bytes_per_map", self.memory_bytes_per_map.unwrap_or(1)),
            ("head_read_seconds", self.head_read_seconds),
            ("body_read_seconds", self.body_read_seconds),
        ];
        if let Some((name, _)) = at_least_one.into_iter().find(|(_, value)| *value == 0) {
            let needed = "it must be at least 1";
            return Err(ConfigError { name, got: "0".to_owned(), needed });
        }
        // Semaphores count no further; anyone who means "without limit" is far above already.
        let most = (tokio::sync::Semaphore::MAX_PERMITS / 2) as u64;
        for (name, value) in
            [("concurrency", self.concurrency), ("queue_length", self.queue_length)]
        {
            if value as u64 > most {
                let needed = "choose a smaller number";
                return Err(ConfigError { name, got: value.to_string(), needed });
            }
        }
        if !self.spill_dir.is_dir() {
            let got = self.spill_dir.display().to_string();
            let needed = "it must be an existing folder that can be written";
            return Err(ConfigError { name: "spill_dir", got, needed });
        }
        Ok(())
    }

    /// What the engine holds a request to.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { cells: self.max_cells, values: self.max_values, stations: self.max_stations }
    }

    /// Memory that the plan of one map must keep.
    #[must_use]
    pub fn memory_of_a_map(&self) -> u64 {
        self.memory_bytes_per_map.unwrap_or_else(|| {
            let all = machine::memory_limit_bytes().unwrap_or(2 << 30);
            (all / 2).saturating_sub(self.factor_memory_bytes) / self.concurrency.max(1) as u64
        })
    }

    pub(crate) fn queue_wait(&self) -> Duration {
        Duration::from_secs(self.queue_wait_seconds)
    }

    pub(crate) fn body_read(&self) -> Duration {
        Duration::from_secs(self.body_read_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense() {
        assert_eq!(ServiceConfig::default().check(), Ok(()));
    }

    #[test]
    fn nonsense_is_told_by_the_name_of_the_setting() {
        let none = ServiceConfig { concurrency: 0, ..ServiceConfig::default() };
        assert_eq!(none.check().map_err(|e| e.name), Err("concurrency"));
        let nowhere =
            ServiceConfig { spill_dir: "/no/such/folder".into(), ..ServiceConfig::default() };
        assert_eq!(nowhere.check().map_err(|e| e.name), Err("spill_dir"));
    }

    #[test]
    fn a_setting_left_out_has_its_default_and_an_unknown_one_is_refused() {
        let read = |text: &str| serde_json::from_str::<ServiceConfig>(text);
        let config = read(r#"{"concurrency": 5}"#).expect("a known setting");
        assert_eq!(config, ServiceConfig { concurrency: 5, ..ServiceConfig::default() });
        let error = read(r#"{"conurrency": 5}"#).expect_err("a misspelt setting");
        assert!(error.to_string().contains("unknown field `conurrency`"), "{error}");
    }
}
