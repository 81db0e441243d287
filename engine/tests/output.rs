//! Files of maps: what is put in as ready-made chunks is what the NetCDF library reads.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod sample;

use isopleth_engine::output::{FieldId, NetcdfFile};
use isopleth_engine::report::Report;
use isopleth_engine::{Compression, Digits, Kind, Places, Precision, Targets};
use sample::{Sample, field, files_in, report};

fn doubles(file: &netcdf::File, name: &str) -> Vec<f64> {
    file.variable(name).unwrap_or_else(|| panic!("{name}")).get_values(..).unwrap()
}

fn text(file: &netcdf::File, variable: &str, name: &str) -> String {
    let value = if variable.is_empty() {
        file.attribute(name).unwrap().value()
    } else {
        file.variable(variable).unwrap().attribute(name).unwrap().value()
    };
    value.unwrap().try_into().unwrap()
}

#[test]
fn the_netcdf_library_reads_every_value_that_was_put_in_as_a_chunk() {
    let points = |n: usize| {
        let x: Vec<f64> = (0..n).map(|k| k as f64 * 0.01).collect();
        Targets::Points(Places { y: x.clone(), x, ..Places::default() })
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("map.nc");
    for targets in [
        Sample::grid([73.0, 18.0, 135.0, 54.0], 300, 201, true),
        Sample::grid([170.0, 60.0, -170.0, 50.0], 131, 7, true),
        Sample::grid([0.0, 0.0, 5000.0, 3000.0], 128, 129, false),
        Sample::grid([8.0, 50.0, 8.0, 50.0], 1, 1, true),
        points(20_000),
        points(1),
    ] {
        for (times, precision, compression) in [
            (0, Precision::F32, Compression::Fast),
            (0, Precision::F64, Compression::Fast),
            (3, Precision::F32, Compression::None),
            (1, Precision::F64, Compression::Small),
            (1, Precision::F64, Compression::None),
        ] {
            let mut sample = Sample::new(targets.clone(), times, precision);
            sample.storage.compression = compression;
            sample.write(&path).unwrap().finish(&report()).unwrap();
            let file = netcdf::open(&path).unwrap();
            for (variable, name) in ["pm2_5", "aqi"].iter().enumerate() {
                for time in 0..sample.times.len() {
                    let id = FieldId { time, variable };
                    assert_eq!(field(&file, name, time), sample.expected(id));
                    let readings = field(&file, &format!("{name}_reading"), time);
                    assert_eq!(readings, sample.expected_at_stations(id, 1.0));
                    let residuals = field(&file, &format!("{name}_residual"), time);
                    assert_eq!(residuals, sample.expected_at_stations(id, -1.0));
                }
            }
            assert_eq!(file.dimension("time").is_some(), times > 0);
            if times > 0 {
                let want: Vec<f64> = sample.times.iter().flatten().map(|t| t.0 as f64).collect();
                assert_eq!(doubles(&file, "time"), want);
            }
        }
    }
    assert_eq!(files_in(directory.path()), 1);
}

/// As many digits as asked for in the maps, and the attributes of CF 1.12 that say so; readings and
/// residuals are not rounded.
#[test]
fn digits_are_kept_and_what_was_rounded_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("map.nc");
    let grid = Sample::grid([73.0, 18.0, 135.0, 54.0], 300, 201, true);
    let mut sizes = Vec::new();
    for digits in [Digits::Exact, Digits::Keep(4), Digits::Keep(2)] {
        let mut sample = Sample::new(grid.clone(), 2, Precision::F32);
        sample.storage.digits = digits;
        sample.write(&path).unwrap().finish(&report()).unwrap();
        sizes.push(std::fs::metadata(&path).unwrap().len());
        let file = netcdf::open(&path).unwrap();
        let map = file.variable("pm2_5").unwrap();
        let nsb =
            map.attribute("quantization_nsb").map(|a| i32::try_from(a.value().unwrap()).unwrap());
        let Digits::Keep(digits) = digits else {
            assert!(nsb.is_none() && file.variable("quantization").is_none());
            continue;
        };
        assert_eq!(nsb, sample.storage.kept_bits().map(u32::cast_signed));
        let container = text(&file, "pm2_5", "quantization");
        assert_eq!(text(&file, &container, "algorithm"), "bitround");
        let id = FieldId { time: 1, variable: 0 };
        for (got, want) in field(&file, "pm2_5", 1).into_iter().zip(sample.expected(id)) {
            let most = 0.5 * 10_f64.powi(1 - i32::from(digits)) * want.abs();
            assert!((got - want).abs() <= most, "{got} {want}");
        }
        assert_eq!(field(&file, "pm2_5_residual", 1), sample.expected_at_stations(id, -1.0));
    }
    assert!(sizes[2] < sizes[1] && sizes[1] < sizes[0], "{sizes:?}");
}

#[test]
fn coordinates_are_the_grids_and_the_cells_touch() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("map.nc");
    for (spherical, names) in [(true, ["lon", "lat"]), (false, ["x", "y"])] {
        let targets = Sample::grid([10.0, 55.0, 20.0, 45.0], 11, 6, spherical);
        let Targets::Grid(grid) = targets.clone() else { unreachable!() };
        let sample = Sample::new(targets, 1, Precision::F32);
        sample.write(&path).unwrap().finish(&report()).unwrap();
        let file = netcdf::open(&path).unwrap();
        for (name, nodes, edges) in
            [(names[0], grid.x(), grid.x_edges()), (names[1], grid.y(), grid.y_edges())]
        {
            assert_eq!(doubles(&file, name), nodes);
            let bounds = doubles(&file, &text(&file, name, "bounds"));
            let want: Vec<f64> = edges.windows(2).flatten().copied().collect();
            assert_eq!(bounds, want);
        }
        assert_eq!(file.variable("crs").is_some(), spherical);
    }
}

#[test]
fn a_file_says_how_it_was_made_and_how_good_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("map.nc");
    let sample = Sample::new(Sample::grid([0.0, 0.0, 9.0, 9.0], 10, 10, true), 2, Precision::F32);
    sample.write(&path).unwrap().finish(&report()).unwrap();
    let file = netcdf::open(&path).unwrap();
    assert_eq!(text(&file, "", "Conventions"), "CF-1.11, ACDD-1.3");
    assert_eq!(text(&file, "", "isopleth_kernel"), "linear");
    assert_eq!(text(&file, "", "time_coverage_resolution"), "PT3600S");
    assert_eq!(text(&file, "", "isopleth_warnings"), "a warning");
    let json: serde_json::Value =
        serde_json::from_str(&text(&file, "", "isopleth_report")).unwrap();
    assert_eq!(json["methods"][0]["condition"], 12.5);
    assert_eq!(text(&file, "pm2_5", "units"), "ug m-3");
    assert_eq!(text(&file, "pm2_5", "long_name"), "PM2.5");
    assert!(text(&file, "pm2_5", "standard_name").contains("pm2p5"));
    assert!(file.variable("aqi").unwrap().attribute("standard_name").is_none());
    let map = file.variable("pm2_5").unwrap();
    let rmse = map.attribute("leave_one_out_rmse").unwrap().value().unwrap();
    assert_eq!(f64::try_from(rmse).unwrap(), 2.0);
}

#[test]
fn a_long_list_of_fields_is_left_out_of_the_report_in_the_header() {
    use isopleth_engine::report::FieldReport;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("map.nc");
    let sample = Sample::new(Sample::grid([0.0, 0.0, 9.0, 9.0], 3, 3, true), 2, Precision::F32);
    let field = FieldReport {
        variable: "PM2.5".to_owned(),
        time: None,
        used: 7,
        missing: 0,
        leave_one_out: None,
        failed: None,
    };
    let report = Report { fields: vec![field; 8760], ..report() };
    sample.write(&path).unwrap().finish(&report).unwrap();
    let text = text(&netcdf::open(&path).unwrap(), "", "isopleth_report");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["fields"], serde_json::json!([]));
    assert_eq!(json["network"]["used"], 7);
}

#[test]
fn files_written_at_once_do_not_meet() {
    let directory = tempfile::tempdir().unwrap();
    let grid = Sample::grid([0.0, 0.0, 9.0, 9.0], 200, 150, true);
    std::thread::scope(|scope| {
        for k in 0..6 {
            let (path, grid) = (directory.path().join(format!("{k}.nc")), grid.clone());
            scope.spawn(move || {
                let sample = Sample::new(grid, 1 + k % 3, Precision::F32);
                sample.write(&path).unwrap().finish(&report()).unwrap();
                let file = netcdf::open(&path).unwrap();
                for time in 0..sample.times.len() {
                    let id = FieldId { time, variable: 0 };
                    assert_eq!(field(&file, "pm2_5", time), sample.expected(id));
                }
            });
        }
    });
}

#[test]
fn a_file_given_up_leaves_nothing_and_the_old_one_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("map.nc");
    std::fs::write(&path, "old").unwrap();
    let sample = Sample::new(Sample::grid([0.0, 0.0, 9.0, 9.0], 200, 9, true), 2, Precision::F32);
    let file = sample.write(&path).unwrap();
    assert_eq!(files_in(directory.path()), 2);
    drop(file);
    assert_eq!(files_in(directory.path()), 1);
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
}

#[test]
fn an_output_that_cannot_be_is_refused_at_the_beginning() {
    let directory = tempfile::tempdir().unwrap();
    let sample = Sample::new(Sample::grid([0.0, 0.0, 9.0, 9.0], 9, 9, true), 0, Precision::F32);
    for path in [directory.path().to_owned(), directory.path().join("none/map.nc")] {
        let error = NetcdfFile::create(&path, &sample.layout()).unwrap_err();
        assert_eq!(error.kind(), Kind::Io);
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    assert_eq!(files_in(directory.path()), 0);
}
