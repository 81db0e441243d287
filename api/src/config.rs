//! Every setting of the service with its default.

mod unusable;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use isopleth_engine::{Limits, machine};
use serde::{Deserialize, Serialize};

use crate::doors::{Auth, Cidr};
use crate::jobs::hooks;
use crate::sinks::SinkConfig;
use crate::sources::SourceConfig;
use crate::wire::schedule::ScheduleRequest;

pub use unusable::{unusable_entries, unusable_files};

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
    /// Most variables; each takes some 20 kB of every file and 2 ms, whatever its size. Default 256.
    pub max_variables: usize,
    /// Largest JSON document in bytes, after decompression: it is held in memory, where it takes up to fifteen times that. Tables,
    /// GeoJSON, Parquet and NetCDF are read piece by piece. Default 64 MiB.
    pub max_document_bytes: u64,
    /// Most values of an answer in JSON. Default 1 million.
    pub max_json_values: u64,
    /// Requests computed at once. Default: two for each processor that this process may use, since a small map has one thread
    /// and waits at times.
    pub concurrency: Option<usize>,
    /// Requests that may wait for their turn; more are answered 503 at once, before their body is read. Default 16.
    pub queue_length: usize,
    /// Bodies that may be on their way to become maps; more are answered 503 at once. A client has `requests_at_once` of them at most.
    /// Default 256.
    pub bodies_at_once: usize,
    /// Longest wait in the queue in seconds; then 503. Default 30.
    pub queue_wait_seconds: u64,
    /// A map at once foreseen to take more seconds, the choice of a method apart, goes, once it is read, into a lane of its own, in which half as many
    /// are computed at once, so that smaller ones do not wait behind it. Default 0.1.
    pub quick_seconds: f64,
    /// Threads of one map. Default: the processors this process may use, whatever the concurrency:
    /// maps made at the same time share them.
    pub threads_per_map: Option<usize>,
    /// Peak memory in bytes that the plan of one map must keep; maps made at once share `concurrency` times that. Default: they
    /// share half of what the cgroup or the host allows, less `factor_memory_bytes`, and one may take half of that.
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
    /// Bytes a second that must arrive of a body, on average over `body_stall_seconds`; 0: any at all. Default 500.
    pub body_bytes_per_second: u64,
    /// Seconds over which they are averaged, one stretch after the other: who pauses is let go after one to two of them. Default 10.
    pub body_stall_seconds: u64,
    /// After the word to stop: seconds to go on taking requests with `/readyz` saying no already,
    /// so that a load balancer notices. Default 0.
    pub drain_seconds: u64,
    /// After that: seconds that requests in flight are given before they are cancelled. Default 30.
    pub grace_seconds: u64,
    /// Jobs that run at once; a small one runs beside them. 0: none, they are only accepted. Default 1.
    pub job_concurrency: usize,
    /// Jobs that may wait; more are answered 503. Default 1000.
    pub job_queue_length: usize,
    /// Attempts in a row that may end without completing a block; then the job has failed. Default 3.
    pub job_attempts: u32,
    /// Seconds for which a job goes on trying while the machine fails, the disk being full, say. Default
    /// a day.
    pub job_patience_seconds: u64,
    /// Values (cells × fields) of a block of a job, at least: what is computed again after a crash.
    /// Default 4 million.
    pub job_block_values: u64,
    /// Jobs foreseen to take fewer seconds do not wait behind longer ones. Default 10.
    pub interactive_seconds: f64,
    /// Most values (cells × variables × times) of a map that is answered at once; larger ones are jobs.
    /// Default 4 thousand million.
    pub sync_max_values: u64,
    /// Most seconds that such a map may be foreseen to take. Default 600.
    pub sync_max_seconds: f64,
    /// Most bytes of readings of jobs that have not ended; more are answered 503. Default 10 GiB.
    pub inputs_max_bytes: u64,
    /// Seconds for which results of jobs are kept. Default a week.
    pub results_keep_seconds: u64,
    /// Most bytes of all results; the oldest go first. Default 10 GiB.
    pub results_max_bytes: u64,
    /// Hosts that may be told of the end of a job, as `name`, `name:port`, and, for one that is not at a
    /// public address, `name:port=10.0.0.0/8`. Default: none.
    pub webhook_hosts: Vec<String>,
    /// File that holds the secret with which such words are signed. Default: none.
    pub webhook_secret_file: Option<PathBuf>,
    /// Folder of what must outlive the process: the database of jobs, networks, maps and keys, and their
    /// files. Default: none, and they are forgotten at the end; `isopleth serve` takes
    /// `~/.local/state/isopleth`.
    pub data_dir: Option<PathBuf>,
    // Doors.
    /// Whether requests need a key: `auto` (if there are keys at the start; without any, the service listens
    /// on loopback only), `on`, `off`. Default `auto`.
    pub auth: Auth,
    /// A key (`iso_<id>_<secret>`) with all scopes that is there from the start, for containers. Default: none.
    pub bootstrap_key: Option<Secret>,
    /// The same in a file, such as a mounted secret. Default: none.
    pub bootstrap_key_file: Option<PathBuf>,
    /// Requests a minute of one key or, without keys, address; all of them may come at once. A key can have a
    /// limit of its own, here and below. 0: without limit. Default 60 000.
    pub requests_per_minute: u32,
    /// Requests of one key or address at the same time; 0: without limit. Default 128.
    pub requests_at_once: u32,
    /// Cells, all fields together, that one key or address may have computed in a day (UTC); 0: without limit.
    /// Default 0.
    pub cells_per_day: u64,
    /// Addresses or networks (`10.0.0.0/8`) of proxies whose `X-Forwarded-For` is believed. Default: none.
    pub trusted_proxies: Vec<Cidr>,
    /// Origins (`https://maps.example.org`) whose pages may use the service, or `*`. Default: none.
    pub cors_origins: Vec<String>,
    /// Connections at the same time. Default 1024.
    pub max_connections: usize,
    /// Of these from one address that is no trusted proxy. Default 256.
    pub max_connections_per_address: usize,
    /// Longest path and query of a request in bytes. Default 8192.
    pub max_uri_bytes: usize,
    /// Longest time in seconds in which a client must take a piece of the answer. Default 60.
    pub send_stall_seconds: u64,
    /// Certificates (PEM, the service's own first) and private key (PEM) for HTTPS; read again when they
    /// change. Default: none, plain HTTP.
    pub tls_certificate: Option<PathBuf>,
    /// See `tls_certificate`.
    pub tls_key: Option<PathBuf>,
    /// Whether `/metrics` needs no key where others do. Default no.
    pub metrics_open: bool,
    /// Where traces go (OTLP over HTTP), without `/v1/traces`: `http://collector:4318`. Default: nowhere, unless
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` says where.
    pub otlp_endpoint: Option<String>,
    /// Most registered networks. Default 1000.
    pub max_networks: usize,
    /// Most bytes of their documents together. Default 256 MiB.
    pub max_networks_bytes: u64,
    /// Folder of temporary files: bodies beyond 1 MiB, and answers until they are sent. Default: the
    /// system's.
    pub spill_dir: PathBuf,
    /// Most kept maps that one answer below `/collections` is cut out of. Default 2000.
    pub collection_max_maps: usize,
    /// Where clients find the service, with the path under which a proxy has it
    /// (`https://example.org/isopleth`): what links begin with. Default: the host that was asked.
    pub public_url: Option<String>,
    /// Gridded files that requests may name as `background` or `covariates`: `name = "FILE.nc:variable"`. They are
    /// opened anew for every map. Default: none.
    pub grids: BTreeMap<String, String>,
    // Schedules.
    /// Maps of every hour, by name: the documents of `/v1/schedules`. Default: none.
    pub schedules: BTreeMap<String, ScheduleRequest>,
    /// Most schedules. Default 100.
    pub max_schedules: usize,
    /// Hours of one schedule whose maps are made at the same time, such as when missed ones are caught up; others
    /// wait, the oldest first. Default 4.
    pub schedule_slots_in_flight: usize,
    /// File to which notices of schedules are appended, one JSON document a line: missing hours, too few stations,
    /// jobs and deliveries that failed, and recoveries. Default: none.
    pub notices_file: Option<PathBuf>,
    /// Size in bytes beyond which that file is renamed (`.1`, `.2`, `.3`; older ones go). Default 1 MiB.
    pub notices_file_bytes: u64,
    /// Address to which each notice is posted, signed; its host must be in `webhook_hosts`. Default: none.
    pub notices_webhook: Option<String>,
    /// Where schedules get readings from, by name: tables `[sources.NAME]` with a `kind`. Default: none.
    pub sources: BTreeMap<String, SourceConfig>,
    /// Where maps of schedules go, by name (docs/sinks.md). Default: none.
    pub sinks: BTreeMap<String, SinkConfig>,
    // The account.
    /// Whether what is made leaves a row in the account (docs/account.md). Default yes.
    pub usage: bool,
    /// Whether clients without a key stand in it by their address (IPv6: the network of 64 bits). Default no:
    /// `anonymous`.
    pub usage_addresses: bool,
    /// Days for which it is kept. Default 400.
    pub usage_keep_days: u32,
    /// Most bytes of its files; the oldest days go first. Default 4 GiB.
    pub usage_max_bytes: u64,
    /// Every so many seconds a small job with a known answer shows that maps are still right; 0: never. Not without
    /// `job_concurrency`. Default 300.
    pub canary_seconds: u64,
    /// Seconds after which its answer is late. Default 60.
    pub canary_late_seconds: u64,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            max_body_bytes: 256 << 20,
            max_cells: 100_000_000,
            max_values: 10_000_000_000,
            max_stations: 20_000,
            max_variables: 256,
            max_document_bytes: 64 << 20,
            max_json_values: 1_000_000,
            concurrency: None,
            queue_length: 16,
            bodies_at_once: 256,
            queue_wait_seconds: 30,
            quick_seconds: 0.1,
            threads_per_map: None,
            memory_bytes_per_map: None,
            factor_memory_bytes: 256 << 20,
            factor_dir: None,
            factor_dir_bytes: 1 << 30,
            head_read_seconds: 10,
            body_read_seconds: 120,
            body_bytes_per_second: 500,
            body_stall_seconds: 10,
            drain_seconds: 0,
            grace_seconds: 30,
            job_concurrency: 1,
            job_queue_length: 1000,
            job_attempts: 3,
            job_patience_seconds: 24 * 3600,
            job_block_values: 4_000_000,
            interactive_seconds: 10.0,
            sync_max_values: 4_000_000_000,
            sync_max_seconds: 600.0,
            inputs_max_bytes: 10 << 30,
            results_keep_seconds: 7 * 24 * 3600,
            results_max_bytes: 10 << 30,
            webhook_hosts: Vec::new(),
            webhook_secret_file: None,
            data_dir: None,
            auth: Auth::Auto,
            bootstrap_key: None,
            bootstrap_key_file: None,
            requests_per_minute: 60_000,
            requests_at_once: 128,
            cells_per_day: 0,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            max_connections: 1024,
            max_connections_per_address: 256,
            max_uri_bytes: 8192,
            send_stall_seconds: 60,
            tls_certificate: None,
            tls_key: None,
            metrics_open: false,
            otlp_endpoint: None,
            max_networks: 1000,
            max_networks_bytes: 256 << 20,
            spill_dir: std::env::temp_dir(),
            collection_max_maps: 2000,
            public_url: None,
            grids: BTreeMap::new(),
            schedules: BTreeMap::new(),
            max_schedules: 100,
            schedule_slots_in_flight: 4,
            notices_file: None,
            notices_file_bytes: 1 << 20,
            notices_webhook: None,
            sources: BTreeMap::new(),
            sinks: BTreeMap::new(),
            usage: true,
            usage_addresses: false,
            usage_keep_days: 400,
            usage_max_bytes: 4 << 30,
            canary_seconds: 300,
            canary_late_seconds: 60,
        }
    }
}

/// A setting that is never shown, in no log and by no `--print-config`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
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
            ("max_variables", self.max_variables as u64),
            ("max_document_bytes", self.max_document_bytes),
            ("bodies_at_once", self.bodies_at_once as u64),
            ("concurrency", self.concurrency.map_or(1, |n| n as u64)),
            ("threads_per_map", self.threads_per_map.map_or(1, |n| n as u64)),
            ("memory_bytes_per_map", self.memory_bytes_per_map.unwrap_or(1)),
            ("collection_max_maps", self.collection_max_maps as u64),
            ("schedule_slots_in_flight", self.schedule_slots_in_flight as u64),
            ("notices_file_bytes", self.notices_file_bytes),
            ("job_attempts", u64::from(self.job_attempts)),
            ("job_block_values", self.job_block_values),
            ("head_read_seconds", self.head_read_seconds),
            ("body_read_seconds", self.body_read_seconds),
            ("body_stall_seconds", self.body_stall_seconds),
            ("send_stall_seconds", self.send_stall_seconds),
            ("max_connections", self.max_connections as u64),
            ("max_connections_per_address", self.max_connections_per_address as u64),
            ("max_uri_bytes", self.max_uri_bytes as u64),
            ("usage_keep_days", u64::from(self.usage_keep_days)),
            ("canary_late_seconds", self.canary_late_seconds),
        ];
        if let Some((name, _)) = at_least_one.into_iter().find(|(_, value)| *value == 0) {
            let needed = "it must be at least 1";
            return Err(ConfigError { name, got: "0".to_owned(), needed });
        }
        // Semaphores count no further; anyone who means "without limit" is far above already.
        let most = (tokio::sync::Semaphore::MAX_PERMITS / 2) as u64;
        for (name, value) in [
            ("concurrency", self.maps_at_once()),
            ("queue_length", self.queue_length),
            ("bodies_at_once", self.bodies_at_once),
            ("max_connections", self.max_connections),
        ] {
            if value as u64 > most {
                let needed = "choose a smaller number";
                return Err(ConfigError { name, got: value.to_string(), needed });
            }
        }
        self.check_webhooks()?;
        self.check_doors()?;
        if !self.spill_dir.is_dir() {
            let got = self.spill_dir.display().to_string();
            let needed = "it must be an existing folder that can be written";
            return Err(ConfigError { name: "spill_dir", got, needed });
        }
        Ok(())
    }

    fn check_webhooks(&self) -> Result<(), ConfigError> {
        if let Some(got) = hooks::check_rules(&self.webhook_hosts).cloned() {
            let needed = "expected name, name:port or name:port=10.0.0.0/8";
            return Err(ConfigError { name: "webhook_hosts", got, needed });
        }
        if let Some(got) = &self.notices_webhook
            && !hooks::is_allowed(self, got)
        {
            let needed = "it must be an http(s) address whose host and port are in webhook_hosts";
            return Err(ConfigError { name: "notices_webhook", got: got.clone(), needed });
        }
        let secret = self.webhook_secret_file.as_ref().map(std::fs::read);
        let usable = matches!(&secret, Some(Ok(bytes)) if bytes.trim_ascii_end().len() >= 16);
        if !self.webhook_hosts.is_empty() && !usable {
            let got = format!("{:?}", self.webhook_secret_file);
            let needed = "with webhook_hosts it must name a file with a secret of 16 bytes or more";
            return Err(ConfigError { name: "webhook_secret_file", got, needed });
        }
        Ok(())
    }

    fn check_doors(&self) -> Result<(), ConfigError> {
        let origin = |text: &str| {
            let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
            text == "*" || rest.is_some_and(|host| !host.is_empty() && !host.contains(['/', ' ']))
        };
        if let Some(wrong) = self.cors_origins.iter().find(|text| !origin(text)) {
            let needed =
                "an origin is http:// or https://, a host and perhaps a port, and no path; or *";
            return Err(ConfigError { name: "cors_origins", got: wrong.clone(), needed });
        }
        let url = |text: &String| text.parse::<axum::http::Uri>().ok();
        if let Some(got) = &self.public_url
            && !url(got).is_some_and(|url| {
                matches!(url.scheme_str(), Some("http" | "https"))
                    && url.host().is_some()
                    && url.query().is_none()
            })
        {
            let needed = "it must be http:// or https://, a host, and perhaps a path";
            return Err(ConfigError { name: "public_url", got: got.clone(), needed });
        }
        let odd = |url: &&String| {
            let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
            !url.is_empty() && (host.is_empty() || url.contains(['@', ' ']))
        };
        if let Some(wrong) = self.otlp_endpoint.as_ref().filter(odd) {
            let needed = "it begins with http:// or https:// and a host; secrets go into OTEL_EXPORTER_OTLP_HEADERS";
            let got = wrong.rsplit('@').next().unwrap_or_default().to_owned();
            return Err(ConfigError { name: "otlp_endpoint", got, needed });
        }
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            let (name, needed) = match self.tls_key {
                None => ("tls_key", "tls_certificate needs it"),
                Some(_) => ("tls_certificate", "tls_key needs it"),
            };
            return Err(ConfigError { name, got: "missing".to_owned(), needed });
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
            let two = self.maps_at_once() > 1;
            self.memory_of_maps() / if two { 2 } else { 1 }
        })
    }

    /// Memory that the plans of all maps made at once keep together.
    #[must_use]
    pub fn memory_of_maps(&self) -> u64 {
        match self.memory_bytes_per_map {
            Some(one) => one.saturating_mul(self.maps_at_once() as u64),
            None => {
                let all = machine::memory_limit_bytes().unwrap_or(2 << 30);
                (all / 2).saturating_sub(self.factor_memory_bytes)
            }
        }
    }

    /// Requests computed at once.
    #[must_use]
    pub fn maps_at_once(&self) -> usize {
        self.concurrency.unwrap_or_else(|| 2 * machine::available_threads())
    }

    /// Of these, such as take long: half, but no more than have processors of their own.
    pub(crate) fn slow_maps_at_once(&self) -> usize {
        let processors = machine::available_threads();
        let threads = self.threads_per_map.unwrap_or(processors).max(1);
        self.maps_at_once().div_ceil(2).min((processors / threads).max(1))
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
        let none = ServiceConfig { concurrency: Some(0), ..ServiceConfig::default() };
        assert_eq!(none.check().map_err(|e| e.name), Err("concurrency"));
        let nowhere =
            ServiceConfig { spill_dir: "/no/such/folder".into(), ..ServiceConfig::default() };
        assert_eq!(nowhere.check().map_err(|e| e.name), Err("spill_dir"));
    }

    #[test]
    fn maps_at_once_share_one_budget_and_large_ones_have_processors_of_their_own() {
        let there = machine::available_threads();
        let usual = ServiceConfig::default();
        assert_eq!(usual.maps_at_once(), 2 * there);
        assert_eq!(usual.slow_maps_at_once(), 1, "each has all threads");
        assert_eq!(usual.memory_of_a_map(), usual.memory_of_maps() / 2);
        let told = ServiceConfig {
            concurrency: Some(7),
            threads_per_map: Some(1),
            memory_bytes_per_map: Some(1 << 20),
            ..ServiceConfig::default()
        };
        assert_eq!((told.memory_of_a_map(), told.memory_of_maps()), (1 << 20, 7 << 20));
        assert_eq!(told.slow_maps_at_once(), there.min(4));
        let alone = ServiceConfig { concurrency: Some(1), ..ServiceConfig::default() };
        assert_eq!(alone.memory_of_a_map(), alone.memory_of_maps());
    }

    #[test]
    fn a_secret_is_neither_logged_nor_printed() {
        let token = "iso_boot_verysecret";
        let config =
            ServiceConfig { bootstrap_key: Some(Secret::new(token)), ..ServiceConfig::default() };
        let told = format!("{config:?} {}", serde_json::to_string(&config).expect("JSON"));
        assert!(!told.contains("verysecret") && told.contains("(hidden)"), "{told}");
    }

    #[test]
    fn doors_that_make_no_sense_are_told() {
        let origins = |origin: &str| {
            let cors_origins = vec![origin.to_owned()];
            ServiceConfig { cors_origins, ..ServiceConfig::default() }.check()
        };
        for right in ["*", "https://maps.example.org", "http://localhost:3000"] {
            assert_eq!(origins(right), Ok(()), "{right}");
        }
        for wrong in ["", "maps.example.org", "https://", "https://a.org/", "null"] {
            assert_eq!(origins(wrong).map_err(|e| e.name), Err("cors_origins"), "{wrong}");
        }
        let half = ServiceConfig { tls_key: Some("k.pem".into()), ..ServiceConfig::default() };
        assert_eq!(half.check().map_err(|e| e.name), Err("tls_certificate"));
    }

    #[test]
    fn a_setting_left_out_has_its_default_and_an_unknown_one_is_refused() {
        let read = |text: &str| serde_json::from_str::<ServiceConfig>(text);
        let config = read(r#"{"concurrency": 5}"#).expect("a known setting");
        assert_eq!(config, ServiceConfig { concurrency: Some(5), ..ServiceConfig::default() });
        let error = read(r#"{"conurrency": 5}"#).expect_err("a misspelt setting");
        assert!(error.to_string().contains("unknown field `conurrency`"), "{error}");
    }
}
