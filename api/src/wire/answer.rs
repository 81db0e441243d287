//! What goes back as JSON.

use std::collections::BTreeMap;

use isopleth_engine::Precision;
use isopleth_engine::kernels::{Kernel, Metric};
use isopleth_engine::output::{FieldId, Maps};
use isopleth_engine::report::{Errors, iso_8601};
use isopleth_engine::{CrossValidation, Duplicates, Grid, Plan, Report, Targets};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::request::Point;

/// A small map.
#[derive(Serialize, ToSchema)]
pub(crate) struct MapAnswer<'a> {
    /// The axes; none for a list of points.
    #[serde(skip_serializing_if = "Option::is_none")]
    grid: Option<Axes<'a>>,
    /// The places, for a list of points.
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<Vec<Point>>,
    /// ISO 8601, UTC; a single `null` where readings carry no time.
    times: Vec<Option<String>>,
    /// `{variable: [time][row][column]}`; a list of points is one row. `null` where there is no
    /// value.
    #[schema(value_type = std::collections::HashMap<String, Vec<Vec<Vec<Option<f64>>>>>)]
    values: Fields<'a>,
    /// `{variable: unit}` of those that came with one.
    units: BTreeMap<&'a str, &'a str>,
    /// What the map says of itself: readings, network, method, leave-one-out errors of each field,
    /// seconds and memory of each stage, warnings.
    #[schema(value_type = Object)]
    report: &'a Report,
}

/// The axes of a grid.
#[derive(Serialize, ToSchema)]
pub(crate) struct Axes<'a> {
    /// Columns: degrees east, beyond 180 where the grid crosses the date line; planar: x.
    #[serde(skip_serializing_if = "Option::is_none")]
    lon: Option<&'a [f64]>,
    /// Rows: degrees north; planar: y.
    #[serde(skip_serializing_if = "Option::is_none")]
    lat: Option<&'a [f64]>,
    /// Columns of a grid in the plane of `crs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<&'a [f64]>,
    /// Its rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<&'a [f64]>,
    /// The system of coordinates of `x` and `y`, as asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    crs: Option<&'a str>,
}

impl<'a> Axes<'a> {
    fn new(grid: &'a Grid) -> Self {
        let (x, y) = (Some(grid.x()), Some(grid.y()));
        match grid.crs() {
            None => Self { lon: x, lat: y, x: None, y: None, crs: None },
            Some(crs) => Self { lon: None, lat: None, x, y, crs: Some(crs.text()) },
        }
    }
}

impl<'a> MapAnswer<'a> {
    pub(crate) fn new(plan: &'a Plan, maps: &'a Maps, report: &'a Report) -> Self {
        let (grid, points) = match &plan.targets {
            Targets::Grid(grid) => (Some(Axes::new(grid)), None),
            Targets::Points(places) => {
                let both = places.x.iter().zip(&places.y);
                (None, Some(both.map(|(&lon, &lat)| Point { lon, lat }).collect()))
            }
        };
        let variables = plan.observations.variables();
        let units = variables.iter().filter_map(|v| Some((v.name.as_str(), v.units.as_deref()?)));
        Self {
            grid,
            points,
            times: plan.observations.times().iter().map(|time| time.map(iso_8601)).collect(),
            values: Fields { plan, maps },
            units: units.collect(),
            report,
        }
    }
}

struct Fields<'a> {
    plan: &'a Plan,
    maps: &'a Maps,
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let variables = self.plan.observations.variables();
        let columns = self.plan.targets.columns().max(1);
        let single = self.plan.settings.storage.precision == Precision::F32;
        let mut map = serializer.serialize_map(Some(variables.len()))?;
        for (variable, described) in variables.iter().enumerate() {
            let rows = |time| {
                let field = self.maps.map(FieldId { time, variable });
                Rows(field.chunks(columns).collect(), single)
            };
            let times: Vec<Rows<'_>> =
                (0..self.plan.observations.times().len()).map(rows).collect();
            map.serialize_entry(&described.name, &times)?;
        }
        map.end()
    }
}

/// Rows of one field, and whether their numbers are rounded to 32 bits, as in a file.
struct Rows<'a>(Vec<&'a [f64]>, bool);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for row in &self.0 {
            // NaN becomes null.
            #[expect(clippy::cast_possible_truncation, reason = "32 bits were asked for")]
            if self.1 {
                seq.serialize_element(&row.iter().map(|v| *v as f32).collect::<Vec<_>>())?;
            } else {
                seq.serialize_element(row)?;
            }
        }
        seq.end()
    }
}

/// What a map would take.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EstimateAnswer {
    /// Distinct stations.
    #[schema(example = 1493)]
    stations: usize,
    /// Fields: variables × times.
    #[schema(example = 6)]
    fields: u64,
    /// Cells of one field.
    #[schema(example = 1400000)]
    cells: u64,
    /// Seconds, from the operation count and a rate measured just now.
    seconds: f64,
    /// Peak resident memory of the service while it computes this, in bytes.
    peak_memory_bytes: u64,
    /// Size of the NetCDF file before compression, in bytes.
    output_bytes: u64,
    /// Things to know before asking for the map.
    warnings: Vec<String>,
}

impl EstimateAnswer {
    pub(crate) fn new(plan: &Plan) -> Self {
        let estimate = plan.estimate;
        Self {
            stations: estimate.stations,
            fields: estimate.fields,
            cells: estimate.cells,
            seconds: estimate.seconds,
            peak_memory_bytes: estimate.peak_memory_bytes,
            output_bytes: estimate.output_bytes,
            warnings: plan.warnings.clone(),
        }
    }
}

/// Leave-one-out errors.
#[derive(Serialize, ToSchema)]
pub(crate) struct CrossvalidationAnswer<'a> {
    /// As of a map, without cells: errors of each field and of each variable.
    #[schema(value_type = Object)]
    report: &'a Report,
    /// Errors of each variable at each station over all times.
    stations: Vec<StationErrorsAnswer<'a>>,
    /// Errors with stations left out together, of the map and of references, by variable.
    folds: Vec<FoldErrorsAnswer<'a>>,
}

/// Errors of one variable, with stations left out together.
#[derive(Serialize, ToSchema)]
pub(crate) struct FoldErrorsAnswer<'a> {
    /// How stations were left out.
    #[schema(example = "town:30")]
    folds: &'a str,
    /// Number of parts.
    parts: usize,
    /// Variable.
    variable: &'a str,
    /// Who predicts: `map`, `idw` (inverse squared distance), `nearest` or `mean`.
    method: &'a str,
    /// Errors over all times; null where there is none.
    errors: Option<ErrorsAnswer>,
}

/// Errors of one variable at one station over all times.
#[derive(Serialize, ToSchema)]
pub(crate) struct StationErrorsAnswer<'a> {
    /// Code of the station.
    station: &'a str,
    /// Degrees east, or planar x.
    x: f64,
    /// Degrees north, or planar y.
    y: f64,
    /// Variable.
    variable: &'a str,
    /// Errors; residual = observed − predicted.
    errors: ErrorsAnswer,
}

impl<'a> CrossvalidationAnswer<'a> {
    pub(crate) fn new(result: &'a CrossValidation) -> Self {
        let stations = result.stations.iter().map(|row| StationErrorsAnswer {
            station: &row.station,
            x: row.x,
            y: row.y,
            variable: &row.variable,
            errors: ErrorsAnswer::new(&row.errors),
        });
        let folds = result.folds.iter().map(|row| FoldErrorsAnswer {
            folds: &row.folds,
            parts: row.parts,
            variable: &row.variable,
            method: &row.method,
            errors: row.errors.as_ref().map(ErrorsAnswer::new),
        });
        Self { report: &result.report, stations: stations.collect(), folds: folds.collect() }
    }
}

/// Errors at stations left out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorsAnswer {
    /// Number of residuals.
    count: usize,
    /// Mean residual, observed − predicted.
    bias: f64,
    /// Mean absolute residual.
    mae: f64,
    /// Root of the mean squared residual.
    rmse: f64,
    /// 1 − SSE/SST; null where all readings are equal.
    r2: Option<f64>,
}

impl ErrorsAnswer {
    fn new(errors: &Errors) -> Self {
        let Errors { count, bias, mae, rmse, r2 } = *errors;
        Self { count, bias, mae, rmse, r2 }
    }
}

/// The choices of a method.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KernelsAnswer {
    /// Radial functions.
    kernels: Vec<KernelAnswer>,
    /// What distance can be.
    metrics: Vec<ChoiceAnswer>,
    /// Whose numbers: `native` unless `method.compat` says otherwise.
    conventions: Vec<ChoiceAnswer>,
    /// What to do with several stations at one place.
    duplicates: Vec<ChoiceAnswer>,
    /// What a method is unless told.
    defaults: DefaultsAnswer,
}

/// A radial function.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KernelAnswer {
    /// Its name.
    #[schema(example = "thin_plate_spline")]
    name: &'static str,
    /// φ(r); r is the distance multiplied by ε.
    #[schema(example = "r^2 ln r")]
    formula: &'static str,
    /// The least degree of the drift with which the system is sure to be solvable; −1: none needed.
    least_degree: i8,
    /// Whether `method.epsilon` must be given.
    needs_epsilon: bool,
}

/// A name and what it means.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChoiceAnswer {
    /// Its name.
    name: &'static str,
    /// For people.
    description: &'static str,
}

/// What a method is unless told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DefaultsAnswer {
    kernel: &'static str,
    metric: &'static str,
    convention: &'static str,
    /// For people: it depends on the kernel.
    smoothing: &'static str,
    /// The same.
    degree: &'static str,
    duplicates: &'static str,
    precision: &'static str,
}

impl KernelsAnswer {
    pub(crate) fn new() -> Self {
        let choice = |name, description| ChoiceAnswer { name, description };
        Self {
            kernels: Kernel::ALL.into_iter().map(KernelAnswer::new).collect(),
            metrics: Metric::ALL.into_iter().map(|m| choice(m.name(), meaning(m))).collect(),
            conventions: vec![
                choice("native", "SciPy's RBFInterpolator: ε multiplies r, λ is added, drift"),
                choice("scipy-rbf", "SciPy's older Rbf: ε divides r, λ is subtracted, no drift"),
            ],
            duplicates: Duplicates::ALL
                .into_iter()
                .map(|rule| {
                    let description = match rule {
                        Duplicates::Error => "refuse them",
                        Duplicates::Mean => "the mean of their readings",
                        Duplicates::First => "the first reading",
                        Duplicates::Last => "the last reading",
                    };
                    choice(rule.name(), description)
                })
                .collect(),
            defaults: DefaultsAnswer {
                kernel: "auto",
                metric: Metric::default().name(),
                convention: "native",
                smoothing: "chosen by auto, else 0",
                degree: "the kernel's least, but at least 0",
                duplicates: Duplicates::default().name(),
                precision: Precision::default().name(),
            },
        }
    }
}

impl KernelAnswer {
    fn new(kernel: Kernel) -> Self {
        Self {
            name: kernel.name(),
            formula: kernel.formula(),
            least_degree: kernel.least_degree(),
            needs_epsilon: !kernel.is_scale_free(),
        }
    }
}

fn meaning(metric: Metric) -> &'static str {
    match metric {
        Metric::Planar => "as coordinates are given: degrees or metres, in the plane",
        Metric::Chordal => "the straight line through the Earth in km, lon and lat in degrees",
        Metric::GreatCircle => "the arc along the Earth in km, lon and lat in degrees",
    }
}

/// Whether the service takes requests, and what it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadyAnswer {
    /// Whether new requests are welcome.
    pub(crate) ready: bool,
    /// Version of the program.
    pub(crate) version: &'static str,
    /// Instruction set that evaluates maps.
    #[schema(example = "avx512")]
    pub(crate) instructions: String,
    /// What a request may ask for at most.
    pub(crate) limits: LimitsAnswer,
}

/// What a request may ask for at most.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitsAnswer {
    /// Bytes of a body.
    pub(crate) body_bytes: u64,
    /// Cells of a grid.
    pub(crate) cells: u64,
    /// Cells × fields.
    pub(crate) values: u64,
    /// Cells × fields of an answer in JSON.
    pub(crate) json_values: u64,
    /// Distinct stations.
    pub(crate) stations: usize,
    /// Variables.
    pub(crate) variables: usize,
    /// Bytes of a JSON document, unpacked.
    pub(crate) document_bytes: u64,
    /// Peak memory of a map in bytes.
    pub(crate) memory_bytes: u64,
    /// Requests computed at once.
    pub(crate) concurrency: usize,
    /// Requests that may wait.
    pub(crate) queue_length: usize,
}

/// The service is alive.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthAnswer {
    /// `alive`
    pub(crate) status: &'static str,
}
