//! Finished maps read again, in part and in other forms, against the values they were made of.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod sample;

use std::path::Path;

use isopleth_engine::export::{
    ExportError, Form, Options, Selection, Source, place_values, write, write_values,
};
use isopleth_engine::output::FieldId;
use isopleth_engine::{Error, Kind, Precision, Targets};
use sample::{Sample, field, files_in, report};

const ROWS: usize = 201;
const COLUMNS: usize = 300;

/// A map of two variables and some times, rows from the south or from the north.
fn map(path: &Path, times: usize, from_north: bool, precision: Precision) -> Sample {
    let bounds = if from_north { [73.0, 54.0, 135.0, 18.0] } else { [73.0, 18.0, 135.0, 54.0] };
    let grid = Sample::grid(bounds, COLUMNS as u64, ROWS as u64, true);
    let sample = Sample::new(grid, times, precision);
    sample.write(path).unwrap().finish(&report()).unwrap();
    sample
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

#[test]
fn any_part_of_a_field_is_read_as_it_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("map.nc");
    for (times, from_north) in [(0, false), (3, true), (3, false)] {
        let sample = map(&path, times, from_north, Precision::F64);
        let Targets::Grid(grid) = &sample.targets else { unreachable!() };
        let source = Source::open(&path).unwrap();
        for (bounds, stride) in [
            (None, 1),
            (None, 7),
            (Some([80.0, 20.0, 90.0, 30.0]), 1),
            (Some([440.0, 20.0, 450.0, 30.0]), 3),
            (Some([73.0, 18.0, 73.0, 18.0]), 5),
        ] {
            let selection = Selection { bounds, stride, ..Selection::default() };
            let chosen = selection.find(&source).unwrap();
            assert_eq!(chosen.times.len(), times.max(1));
            let (rows, columns) = (chosen.window.rows, chosen.window.columns);
            if let Some([west, south, east, north]) = bounds {
                let lon = grid.x()[columns.at(columns.count - 1)];
                assert!(
                    grid.x()[columns.first] >= west % 360.0
                        && lon <= (east % 360.0).max(west % 360.0)
                );
                let lat = grid.y()[rows.first];
                assert!((south..=north).contains(&lat), "{lat}");
            }
            for north_up in [false, true] {
                let mut next = 0;
                let variable = source.variables().iter().position(|v| v.name == "aqi").unwrap();
                let time = times.saturating_sub(1);
                let id = FieldId { time, variable: 1 };
                let of = &source.variables()[variable];
                source
                    .rows(of, time, &chosen.window, north_up, |row, values| {
                        assert_eq!(row, next);
                        next += 1;
                        let turned = north_up && !from_north;
                        let row = if turned { rows.count - 1 - row } else { row };
                        assert_eq!(values.len(), columns.count);
                        for (k, &got) in values.iter().enumerate() {
                            let want = Sample::value(id, rows.at(row), columns.at(k));
                            assert!(same(got, want), "{row} {k}: {got} {want}");
                        }
                        Ok(())
                    })
                    .unwrap();
                assert_eq!(next, rows.count);
            }
        }
    }
}

#[test]
fn a_part_as_netcdf_holds_the_values_and_says_where_it_lies() {
    let directory = tempfile::tempdir().unwrap();
    let (path, part) = (directory.path().join("map.nc"), directory.path().join("part.nc"));
    let sample = map(&path, 3, false, Precision::F32);
    let source = Source::open(&path).unwrap();
    let selection = Selection {
        variables: vec!["PM2.5".into()],
        times: vec!["first".into(), "last".into()],
        bounds: Some([100.0, 30.0, 110.0, 40.0]),
        stride: 2,
    };
    let summary = write(Form::NetCdf, &source, &selection, &Options::default(), &part).unwrap();
    let chosen = selection.find(&source).unwrap();
    let again = Source::open(&part).unwrap();
    assert_eq!((again.variables().len(), again.times().len()), (1, 2));
    assert_eq!(summary.shape, [chosen.window.columns.count, chosen.window.rows.count]);
    let file = netcdf::open(&part).unwrap();
    for (k, time) in [0, 2].into_iter().enumerate() {
        let id = FieldId { time, variable: 0 };
        let whole = sample.expected(id);
        let got = field(&file, "pm2_5", k);
        let (rows, columns) = (chosen.window.rows, chosen.window.columns);
        for (i, &got) in got.iter().enumerate() {
            let (row, column) = (i / columns.count, i % columns.count);
            assert_eq!(got, whole[rows.at(row) * COLUMNS + columns.at(column)]);
        }
        let readings = field(&file, "pm2_5_reading", k);
        assert_eq!(readings, sample.expected_at_stations(id, 1.0));
    }
    // Cells that stand for two are as wide as two.
    let edges = &again.x().edges;
    let width = source.x().nodes[1] - source.x().nodes[0];
    assert!(edges.windows(2).all(|w| (w[1] - w[0] - 2.0 * width).abs() < 1e-9));
    let west = file.attribute("geospatial_lon_min").unwrap().value().unwrap();
    assert_eq!(f64::try_from(west).unwrap(), edges[0]);
}

#[test]
fn a_bare_picture_has_a_pixel_for_each_cell_and_north_is_up() {
    let directory = tempfile::tempdir().unwrap();
    let (path, picture) = (directory.path().join("map.nc"), directory.path().join("map.png"));
    for from_north in [false, true] {
        map(&path, 0, from_north, Precision::F32);
        let source = Source::open(&path).unwrap();
        let selection = Selection { variables: vec!["pm2_5".into()], ..Selection::default() };
        let options = Options { bare: true, range: Some([30.0, 50.0]), ..Options::default() };
        write(Form::Png, &source, &selection, &options, &picture).unwrap();
        let file = std::io::BufReader::new(std::fs::File::open(&picture).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width as usize, info.height as usize), (COLUMNS, ROWS));
        let clear = reader.info().trns.clone().unwrap();
        let id = FieldId { time: 0, variable: 0 };
        for (k, &index) in pixels.iter().enumerate() {
            let row = if from_north { k / COLUMNS } else { ROWS - 1 - k / COLUMNS };
            let value = f64::from(Sample::value(id, row, k % COLUMNS) as f32);
            if value.is_nan() {
                assert_eq!(clear[usize::from(index)], 0);
            } else {
                assert_eq!(clear[usize::from(index)], 255);
                let want = ((value - 30.0) / 20.0 * 240.0).clamp(0.0, 239.0).floor();
                assert_eq!(f64::from(index), want, "{value}");
            }
        }
    }
}

#[test]
fn lines_lie_where_the_field_has_their_level_and_never_at_a_missing_cell() {
    let directory = tempfile::tempdir().unwrap();
    let (path, output) = (directory.path().join("map.nc"), directory.path().join("map.geojson"));
    map(&path, 2, false, Precision::F64);
    let source = Source::open(&path).unwrap();
    let selection = Selection {
        variables: vec!["pm2_5".into()],
        times: vec!["last".into()],
        ..Selection::default()
    };
    let options = Options { levels: Some(vec![38.0, 42.0, 46.0]), ..Options::default() };
    write(Form::GeoJson, &source, &selection, &options, &output).unwrap();
    let text = std::fs::read_to_string(&output).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (across, down) =
        ((135.0 - 73.0) / (COLUMNS as f64 - 1.0), (54.0 - 18.0) / (ROWS as f64 - 1.0));
    let value = |row: f64, column: f64| {
        Sample::value(FieldId { time: 1, variable: 0 }, row as usize, column as usize)
    };
    // Places are rounded to 1e-7 degrees.
    let on_side = |index: f64| (index - index.round()).abs() < 1e-5;
    let mut points = 0;
    for feature in all["features"].as_array().unwrap() {
        let level = feature["properties"]["value"].as_f64().unwrap();
        for line in feature["geometry"]["coordinates"].as_array().unwrap() {
            for point in line.as_array().unwrap() {
                let column = (point[0].as_f64().unwrap() - 73.0) / across;
                let row = (point[1].as_f64().unwrap() - 18.0) / down;
                let got = if on_side(row) {
                    let (row, first) = (row.round(), column.floor());
                    let [a, b] = [first, first + 1.0].map(|column| value(row, column));
                    a + (b - a) * column.fract()
                } else if on_side(column) {
                    let (column, first) = (column.round(), row.floor());
                    let [a, b] = [first, first + 1.0].map(|row| value(row, column));
                    a + (b - a) * row.fract()
                } else {
                    // In a saddle, on a diagonal of the square.
                    let [x, y] = [column.fract(), row.fract()];
                    assert!((x - y).abs() < 1e-5 || (x + y - 1.0).abs() < 1e-5, "{x} {y}");
                    continue;
                };
                // A crossing stays a thousandth of a side away from its ends.
                assert!((got - level).abs() < 2e-3, "{row} {column}: {got}, not {level}");
                points += 1;
            }
        }
    }
    assert!(points > 300, "{points}");
}

#[test]
fn values_at_a_place_are_between_those_of_its_cells() {
    let directory = tempfile::tempdir().unwrap();
    let (path, output) = (directory.path().join("map.nc"), directory.path().join("place.covjson"));
    let sample = map(&path, 3, true, Precision::F64);
    let Targets::Grid(grid) = &sample.targets else { unreachable!() };
    let source = Source::open(&path).unwrap();
    let all = Selection::default();
    let (row, column) = (40, 70);
    let (x, y) = (grid.x(), grid.y());
    let at = [x[column] * 0.75 + x[column + 1] * 0.25, y[row] * 0.5 + y[row + 1] * 0.5];
    let found = place_values(&source, [at[0] - 360.0, at[1]], &all).unwrap();
    assert_eq!(found.series.len(), 2);
    for (variable, series) in found.series.iter().enumerate() {
        for (time, &got) in series.values.iter().enumerate() {
            let value = |r, c| Sample::value(FieldId { time, variable }, row + r, column + c);
            let mean = |r| 0.75 * value(r, 0) + 0.25 * value(r, 1);
            let want = 0.5 * mean(0) + 0.5 * mean(1);
            assert!((got - want).abs() < 1e-9, "{got} {want}");
        }
    }
    write_values(Form::CoverageJson, &source, &found, &output).unwrap();
    let text = std::fs::read_to_string(&output).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["domain"]["domainType"], "PointSeries");
    assert_eq!(json["ranges"]["aqi"]["values"][2].as_f64().unwrap(), found.series[1].values[2]);
    // Beside a missing cell there is none; on a centre its neighbours have no say.
    let column = (0..COLUMNS).find(|c| (row + c) % 29 == 4).unwrap();
    let between = [x[column] * 0.5 + x[column + 1] * 0.5, y[row]];
    assert!(place_values(&source, between, &all).unwrap().series[0].values[0].is_nan());
    let centre = place_values(&source, [x[column], y[row]], &all).unwrap();
    assert_eq!(
        centre.series[0].values[0],
        Sample::value(FieldId { time: 0, variable: 0 }, row, column)
    );
}

#[test]
fn a_table_has_a_row_for_each_value_in_digits_that_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let (path, output) = (directory.path().join("map.nc"), directory.path().join("map.csv"));
    map(&path, 2, false, Precision::F32);
    let source = Source::open(&path).unwrap();
    let selection = Selection { stride: 4, ..Selection::default() };
    write(Form::Csv, &source, &selection, &Options::default(), &output).unwrap();
    let mut rows = csv::Reader::from_path(&output).unwrap().into_records().map(Result::unwrap);
    for variable in 0..2 {
        for time in 0..2 {
            for (row, column) in
                (0..ROWS).step_by(4).flat_map(|r| (0..COLUMNS).step_by(4).map(move |c| (r, c)))
            {
                let want = Sample::value(FieldId { time, variable }, row, column);
                if want.is_nan() {
                    continue;
                }
                let got = rows.next().unwrap();
                assert_eq!(got[0].parse::<f64>().unwrap(), source.x().nodes[column]);
                assert_eq!(got[1].parse::<f64>().unwrap(), source.y().nodes[row]);
                assert_eq!(&got[2], source.times()[time].to_string());
                assert_eq!(&got[3], ["pm2_5", "aqi"][variable]);
                assert_eq!(got[4].parse::<f32>().unwrap(), want as f32);
            }
        }
    }
    assert!(rows.next().is_none());
}

#[test]
fn what_makes_no_sense_is_refused_and_leaves_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let (path, output) = (directory.path().join("map.nc"), directory.path().join("out"));
    let grid = Sample::grid([-180.0, -90.0, 179.0, 90.0], 360, 181, true);
    Sample::new(grid, 2, Precision::F32).write(&path).unwrap().finish(&report()).unwrap();
    std::fs::write(&output, "old").unwrap();
    let source = Source::open(&path).unwrap();
    let refused = |form: Form, selection: &Selection| -> (ExportError, String) {
        let error = write(form, &source, selection, &Options::default(), &output).unwrap_err();
        assert_eq!(std::fs::read(&output).unwrap(), b"old");
        assert_eq!(files_in(directory.path()), 2);
        assert_eq!(error.kind(), Kind::BadInput);
        let text = error.to_string();
        let Error::Export(error) = error else { panic!("{text}") };
        (error, text)
    };
    let all = Selection::default();
    assert!(matches!(refused(Form::GeoTiff, &all).0, ExportError::ManyVariables { .. }));
    let one = Selection { variables: vec!["aqi".into()], ..all.clone() };
    assert!(matches!(refused(Form::Png, &one).0, ExportError::ManyTimes { count: 2, .. }));
    let never = Selection { times: vec!["2001-01-01".into()], ..all.clone() };
    assert!(refused(Form::NetCdf, &never).1.contains("nearest is 2017-07-07T16:00:00Z"));
    let across = Selection { bounds: Some([170.0, 0.0, -170.0, 10.0]), ..all.clone() };
    assert!(matches!(refused(Form::NetCdf, &across).0, ExportError::AcrossEnds { .. }));
    let nobody = Selection { variables: vec!["no2".into()], ..all };
    assert!(refused(Form::Csv, &nobody).1.contains("the file has: pm2_5, aqi"));
}
