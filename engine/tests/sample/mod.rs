//! A made-up map, written as a run would write it.
#![expect(unreachable_pub, reason = "shared by several test programs")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use isopleth_engine::grid::Size;
use isopleth_engine::observations::{Station, UnixSeconds, Variable};
use isopleth_engine::output::{
    FILL_VALUE, FieldId, Layout, NetcdfFile, Provenance, Sink, StationValues, Tile,
};
use isopleth_engine::quality::{Flag, NO_READING, QualityReport};
use isopleth_engine::report::{
    Errors, MethodReport, NetworkReport, ReadingsReport, Report, TargetsReport, VariableReport,
};
use isopleth_engine::tiles::Tiling;
use isopleth_engine::uncertainty::Of;
use isopleth_engine::{Compression, Digits, Precision, Storage};
use isopleth_engine::{Error, Grid, Registration, Targets};
use rayon::prelude::*;

/// A map to be written, with made-up values.
pub struct Sample {
    pub targets: Targets,
    pub variables: Vec<Variable>,
    pub times: Vec<Option<UnixSeconds>>,
    pub stations: Vec<Station>,
    pub tiling: Tiling,
    pub storage: Storage,
    pub provenance: Provenance,
}

impl Sample {
    pub fn new(targets: Targets, times: usize, precision: Precision) -> Self {
        let variable = |name: &str, units: Option<&str>| Variable {
            name: name.to_owned(),
            units: units.map(str::to_owned),
        };
        let station = |k: u32| {
            let id = if k == 3 { "Köln-Süd".to_owned() } else { format!("S{k}") };
            Station { id, x: 100.0 + f64::from(k), y: 30.0 - f64::from(k) }
        };
        let times: Vec<_> =
            (0_i64..).take(times).map(|t| Some(UnixSeconds(1_499_443_200 + 3600 * t))).collect();
        Self {
            tiling: Tiling::new(targets.rows(), targets.columns()),
            targets,
            variables: vec![variable("PM2.5", Some("µg/m³")), variable("AQI", None)],
            times: if times.is_empty() { vec![None] } else { times },
            stations: (0..7).map(station).collect(),
            storage: Storage::new(precision, Some(Digits::Exact), Compression::Fast),
            provenance: Provenance { created: UnixSeconds(0), ..Provenance::now("a test") },
        }
    }

    pub fn grid(bounds: [f64; 4], nx: u64, ny: u64, spherical: bool) -> Targets {
        let size = Size::Shape { nx, ny };
        Targets::Grid(Grid::from_bounds(bounds, size, Registration::Gridline, spherical).unwrap())
    }

    pub fn layout(&self) -> Layout<'_> {
        Layout {
            mask: None,
            targets: &self.targets,
            spherical: match &self.targets {
                Targets::Grid(grid) => grid.is_spherical(),
                Targets::Points(_) => true,
            },
            variables: &self.variables,
            times: &self.times,
            time_cells: None,
            stations: &self.stations,
            tiling: self.tiling,
            storage: self.storage,
            backgrounds: &[],
            covariates: &[],
            layers: &[],
            layers_of: Of::default(),
            provenance: &self.provenance,
        }
    }

    pub fn fields(&self) -> Vec<FieldId> {
        let of_time =
            |time| (0..self.variables.len()).map(move |variable| FieldId { time, variable });
        (0..self.times.len()).flat_map(of_time).collect()
    }

    /// A smooth field with a hole.
    pub fn value(id: FieldId, row: usize, column: usize) -> f64 {
        if (row + column) % 29 == 5 {
            return f64::NAN;
        }
        let (f, r, c) = ((10 * id.variable + id.time) as f64, row as f64, column as f64);
        40.0 + f + 9.0 * (0.021 * r + f).sin() * (0.017 * c).cos()
    }

    pub fn station_value(id: FieldId, station: usize) -> f64 {
        if station == 2 { f64::NAN } else { Self::value(id, 3 * station, 0) }
    }

    /// Writes everything from many threads, two batches of fields.
    pub fn write(&self, path: &Path) -> Result<NetcdfFile, Error> {
        self.fill(NetcdfFile::create(path, &self.layout())?)
    }

    /// The same into a file that is begun.
    pub fn fill(&self, file: NetcdfFile) -> Result<NetcdfFile, Error> {
        let fields = self.fields();
        for fields in fields.chunks(fields.len().div_ceil(2)) {
            let values: Vec<f64> = fields
                .iter()
                .flat_map(|&id| (0..self.stations.len()).map(move |s| Self::station_value(id, s)))
                .collect();
            let residuals: Vec<f64> = values.iter().map(|v| -v).collect();
            let flags = Self::flags(&values);
            let (values, residuals) = (&values, &residuals);
            file.stations(StationValues { fields, values, residuals, flags: &flags })?;
            (0..self.tiling.count()).into_par_iter().try_for_each(|k| {
                let (rows, columns) = self.tiling.tile(k);
                let mut values = Vec::new();
                for &id in fields {
                    for row in rows.clone() {
                        values.extend(columns.clone().map(|column| Self::value(id, row, column)));
                    }
                }
                file.tile(Tile { fields, rows: &rows, columns: &columns, values: &values })
            })?;
            file.batch_done()?;
        }
        Ok(file)
    }

    pub fn expected(&self, id: FieldId) -> Vec<f64> {
        let mut values = Vec::new();
        for row in 0..self.tiling.rows {
            values.extend((0..self.tiling.columns).map(|c| self.stored(Self::value(id, row, c))));
        }
        values
    }

    pub fn expected_at_stations(&self, id: FieldId, sign: f64) -> Vec<f64> {
        let value = |s| self.stored(sign * Self::station_value(id, s));
        (0..self.stations.len()).map(value).collect()
    }

    /// Made-up flags: every third reading has one.
    pub fn flags(values: &[f64]) -> Vec<u8> {
        let of = |(at, value): (usize, &f64)| match at % 3 {
            _ if value.is_nan() => NO_READING,
            0 => Flag::ALL[at % Flag::ALL.len()].mask(),
            _ => 0,
        };
        values.iter().enumerate().map(of).collect()
    }

    /// What the file holds for a value.
    pub fn stored(&self, value: f64) -> f64 {
        match self.storage.precision {
            _ if value.is_nan() => f64::from(FILL_VALUE),
            #[expect(clippy::cast_possible_truncation, reason = "as stored")]
            Precision::F32 => f64::from(value as f32),
            Precision::F64 => value,
        }
    }
}

pub fn report() -> Report {
    let errors = Errors { count: 6, bias: 0.5, mae: 1.0, rmse: 2.0, r2: Some(0.25) };
    Report {
        uncertainty: None,
        software: "isopleth test".to_owned(),
        readings: ReadingsReport::default(),
        network: NetworkReport { read: 8, used: 7, ..NetworkReport::default() },
        certificate: None,
        methods: vec![MethodReport {
            kernel: "linear".to_owned(),
            condition: 12.5,
            smoothing: vec![0.0],
            ..MethodReport::default()
        }],
        threads: 1,
        instructions: String::new(),
        targets: TargetsReport::default(),
        mask: None,
        fields: Vec::new(),
        variables: vec![VariableReport {
            variable: "PM2.5".to_owned(),
            units: None,
            fields: 2,
            leave_one_out: Some(errors),
        }],
        stages: Vec::new(),
        seconds: 1.0,
        peak_memory_bytes: 1,
        warnings: vec!["a warning".to_owned()],
        quality: QualityReport::default(),
        backgrounds: Vec::new(),
        covariates: Vec::new(),
    }
}

/// The values of a variable at one time, wherever the time's dimension is.
pub fn field(file: &netcdf::File, name: &str, time: usize) -> Vec<f64> {
    let variable = file.variable(name).unwrap();
    let names: Vec<_> = variable.dimensions().iter().map(|d| d.name()).collect();
    match names.iter().position(|name| name == "time") {
        None => variable.get_values(..),
        Some(0) if names.len() == 3 => variable.get_values((time, .., ..)),
        Some(1) if names.len() == 2 => variable.get_values((.., time)),
        other => panic!("time is dimension {other:?} of {names:?}"),
    }
    .unwrap()
}

pub fn files_in(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}
