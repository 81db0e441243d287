//! What is counted, for `/metrics`: requests, maps, their errors at stations left out, memory.
//!
//! The values of every label are bounded: routes and methods are the service's own, networks and variables are cut
//! off after [`SERIES`]. Whatever makes a map calls [`Watch::planned`] before and [`Watch::mapped`] afterwards.

pub(crate) mod account;
mod jobs;
mod memory;
mod schedules;
mod text;
pub(crate) mod traces;

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use axum::extract::MatchedPath;
use axum::http::Method;
use isopleth_engine::factors::Origin;
use isopleth_engine::plan::Estimate;
use isopleth_engine::{Report, machine};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::jobs::{Census, Process, State};
use crate::limits::Occupancy;
use memory::Memory;
pub(crate) use schedules::OfSchedule;

/// Networks and variables whose errors are told apart; those of others stand under `other`.
const SERIES: usize = 200;
/// Longer names are cut off.
const LONGEST_NAME: usize = 64;
/// Upper ends of the classes of seconds: from a small map of a known network to a year of hours.
const SECONDS: [f64; 14] =
    [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];

type Real = Gauge<f64, AtomicU64>;
type Times = Family<Route, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct From {
    origin: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Surface {
    network: String,
    variable: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// Everything that is counted.
#[derive(Default)]
pub(crate) struct Watch {
    registry: Registry,
    requests: Family<Answer, Counter>,
    seconds: Option<Times>,
    in_flight: Gauge,
    turned_away: Counter,
    computing: Gauge,
    waiting: Gauge,
    maps: Counter,
    fields: Counter,
    cells: Counter,
    map_seconds: Counter<f64, AtomicU64>,
    predicted_seconds: Counter<f64, AtomicU64>,
    under_way: Gauge,
    largest_predicted: Gauge,
    factors: Family<From, Counter>,
    tiles: Counter,
    tiles_redone: Counter,
    rmse: Family<Surface, Real>,
    surfaces: Mutex<HashSet<(String, String)>>,
    uptime: Real,
    memory: Memory,
    jobs: jobs::Jobs,
    schedules: schedules::Schedules,
    pub(crate) account: account::Account,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// Nothing counted yet.
    pub(crate) fn new() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(SECONDS);
        let seconds = Family::new_with_constructor(seconds);
        let mut watch = Self { seconds: Some(seconds), ..Self::default() };
        watch.register();
        watch
    }

    fn register(&mut self) {
        let mut registry = Registry::default();
        let r = &mut registry;
        r.register("isopleth_requests", "Requests answered", self.requests.clone());
        if let Some(seconds) = &self.seconds {
            let help = "Seconds from a request's head to its answer's head";
            r.register("isopleth_request_duration_seconds", help, seconds.clone());
        }
        r.register("isopleth_requests_in_flight", "Requests under way", self.in_flight.clone());
        let help = "Connections beyond the limits, closed at once";
        r.register("isopleth_connections_refused", help, self.turned_away.clone());
        r.register("isopleth_computing", "Requests that compute", self.computing.clone());
        let help = "Requests that wait for a place to compute, or still send their body";
        r.register("isopleth_waiting", help, self.waiting.clone());
        r.register("isopleth_maps", "Maps made", self.maps.clone());
        r.register("isopleth_fields", "Fields of these maps", self.fields.clone());
        r.register("isopleth_cells", "Cells of these fields", self.cells.clone());
        let help = "Seconds that maps took, reading to writing";
        r.register("isopleth_map_seconds", help, self.map_seconds.clone());
        let help = "Seconds that the plans of these maps foresaw, reading apart";
        r.register("isopleth_map_predicted_seconds", help, self.predicted_seconds.clone());
        let help = "Peak memory that the plans of maps under way foresee, summed";
        r.register("isopleth_map_predicted_bytes", help, self.under_way.clone());
        let help = "Largest peak memory that the plan of a map has foreseen; compare isopleth_memory_peak_bytes";
        r.register("isopleth_map_largest_predicted_bytes", help, self.largest_predicted.clone());
        let help = "Factorisations used, by where they came from";
        r.register("isopleth_factorisations", help, self.factors.clone());
        r.register("isopleth_tiles", "Tiles evaluated fast", self.tiles.clone());
        let help = "Tiles that failed their certificate and were done again exactly";
        r.register("isopleth_tiles_redone", help, self.tiles_redone.clone());
        let help = "Root mean square error at stations left out, of the last map";
        r.register("isopleth_loo_rmse", help, self.rmse.clone());
        let help = "Seconds since the service began";
        r.register("isopleth_uptime_seconds", help, self.uptime.clone());
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        r.register("isopleth_build_info", "The version; always 1", build);
        self.memory.register(r);
        self.jobs.register(r);
        self.schedules.register(r);
        self.account.register(r);
        self.registry = registry;
    }

    /// A request has come; how it ends is told to what is returned.
    pub(crate) fn request(&self, method: &Method, route: Option<&MatchedPath>) -> Counted<'_> {
        self.in_flight.inc();
        let route = route.map_or("none", MatchedPath::as_str).to_owned();
        Counted { watch: self, route: Route { route, method: known(method) } }
    }

    /// A connection was closed because there are too many.
    pub(crate) fn turned_away(&self) {
        self.turned_away.inc();
    }

    /// A map is about to be made; keep what is returned until it is.
    pub(crate) fn planned(&self, estimate: &Estimate) -> UnderWay<'_> {
        let bytes = i64::try_from(estimate.peak_memory_bytes).unwrap_or(i64::MAX);
        self.under_way.inc_by(bytes);
        if bytes > self.largest_predicted.get() {
            self.largest_predicted.set(bytes);
        }
        UnderWay { watch: self, bytes }
    }

    /// Where jobs are just now.
    pub(crate) fn jobs(&self, census: &Census) {
        self.jobs.look(census);
    }

    /// A job has ended so.
    pub(crate) fn job_ended(&self, process: Process, state: State) {
        self.jobs.ended(process, state);
    }

    /// How schedules are doing just now.
    pub(crate) fn schedules(&self, census: &[OfSchedule], waiting: &[(String, u64)]) {
        self.schedules.look(census, waiting);
    }

    /// Somebody is told of this.
    pub(crate) fn noticed(&self, kind: &'static str) {
        self.schedules.noticed(kind);
    }

    /// A map was made, of a network that has a name or, empty, none.
    pub(crate) fn mapped(&self, estimate: &Estimate, report: &Report, network: &str) {
        let cells = estimate.cells.saturating_mul(estimate.fields);
        self.maps.inc();
        self.fields.inc_by(estimate.fields);
        self.cells.inc_by(cells);
        self.map_seconds.inc_by(report.seconds);
        self.predicted_seconds.inc_by(estimate.seconds);
        for method in &report.methods {
            self.factors.get_or_create(&From { origin: name_of(method.factor) }).inc();
        }
        if let Some(certificate) = &report.certificate {
            self.tiles.inc_by(certificate.tiles);
            self.tiles_redone.inc_by(certificate.tiles_redone);
        }
        for variable in &report.variables {
            if let Some(errors) = variable.leave_one_out {
                let surface = self.surface(network, &variable.variable);
                self.rmse.get_or_create(&surface).set(errors.rmse);
            }
        }
        tracing::info!(
            network,
            stations = estimate.stations,
            fields = estimate.fields,
            cells = estimate.cells,
            seconds = report.seconds,
            peak_memory_bytes = report.peak_memory_bytes,
            "mapped"
        );
    }

    /// The labels of a surface, while there is room for more of them.
    fn surface(&self, network: &str, variable: &str) -> Surface {
        let short = |name: &str| name.chars().take(LONGEST_NAME).collect::<String>();
        let named = (short(network), short(variable));
        let mut surfaces = self.surfaces.lock().unwrap_or_else(PoisonError::into_inner);
        if !surfaces.contains(&named) {
            if surfaces.len() >= SERIES {
                return Surface { network: "other".into(), variable: "other".into() };
            }
            surfaces.insert(named.clone());
        }
        Surface { network: named.0, variable: named.1 }
    }

    /// All of it, for a program that reads OpenMetrics or Prometheus' older text.
    ///
    /// # Errors
    /// Never: a text grows as long as there is memory.
    pub(crate) fn told(
        &self,
        occupancy: Occupancy,
        uptime_seconds: f64,
        form: Form,
    ) -> Result<String, fmt::Error> {
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.computing.set(whole(occupancy.computing));
        self.waiting.set(whole(occupancy.waiting));
        self.uptime.set(uptime_seconds);
        self.memory.look(machine::resident_bytes(), machine::peak_memory_bytes());
        let mut open_metrics = String::new();
        prometheus_client::encoding::text::encode(&mut open_metrics, &self.registry)?;
        Ok(match form {
            Form::OpenMetrics => open_metrics,
            Form::Prometheus => text::prometheus(&open_metrics),
        })
    }
}

/// In which of two languages the figures are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    OpenMetrics,
    Prometheus,
}

impl Form {
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// A request under way.
pub(crate) struct Counted<'a> {
    watch: &'a Watch,
    route: Route,
}

impl Counted<'_> {
    pub(crate) fn answered(&self, status: u16, seconds: f64) {
        let Route { route, method } = self.route.clone();
        self.watch.requests.get_or_create(&Answer { route, method, status }).inc();
        if let Some(histograms) = &self.watch.seconds {
            histograms.get_or_create(&self.route).observe(seconds);
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.watch.in_flight.dec();
    }
}

/// A map under way.
pub(crate) struct UnderWay<'a> {
    watch: &'a Watch,
    bytes: i64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.watch.under_way.dec_by(self.bytes);
    }
}

/// A method's name; those that a client makes up are one.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn name_of(origin: Origin) -> &'static str {
    match origin {
        Origin::Computed => "computed",
        Origin::Memory => "memory",
        Origin::Disk => "disk",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_clients_make_up_stay_bounded() {
        let watch = Watch::new();
        for k in 0..SERIES + 50 {
            let surface = watch.surface("", &format!("v{k}"));
            watch.rmse.get_or_create(&surface).set(1.0);
        }
        let nobody = Occupancy { computing: 0, waiting: 0 };
        let text = watch.told(nobody, 1.0, Form::Prometheus).expect("a text");
        let lines = text.lines().filter(|line| line.starts_with("isopleth_loo_rmse{")).count();
        assert_eq!(lines, SERIES + 1);
        let long = watch.surface("", &"x".repeat(1000));
        assert!(long.variable.len() <= LONGEST_NAME);
        let made_up = Method::from_bytes(b"BREW").expect("a method");
        assert_eq!(known(&made_up), "other");
    }

    #[test]
    fn what_is_under_way_is_counted_until_it_ends() {
        let watch = Watch::new();
        let counted = watch.request(&Method::GET, None);
        assert_eq!(watch.in_flight.get(), 1);
        counted.answered(404, 0.01);
        drop(counted);
        assert_eq!(watch.in_flight.get(), 0);
        let nobody = Occupancy { computing: 0, waiting: 0 };
        let text = watch.told(nobody, 1.0, Form::Prometheus).expect("a text");
        let line = "isopleth_requests_total{route=\"none\",method=\"GET\",status=\"404\"} 1";
        assert!(text.contains(line), "{text}");
    }
}
