//! Readings as GeoJSON, Parquet and NetCDF, written by others: they are those of the CSV file, to the bit. And files
//! that are damaged, or say what is not so.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use isopleth_engine::machine;
use isopleth_engine::network::Duplicates;
use isopleth_engine::observations::{Columns, ReadError, UnixSeconds};
use isopleth_engine::{Observations, ReadOptions, Source};
use tempfile::TempDir;

/// Files of all forms, by a Python with pyarrow, netCDF4 and xarray; none where there is none.
fn files() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<TempDir>> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let Some(python) = std::env::var_os("ISOPLETH_PYTHON") else {
            eprintln!("skipped: ISOPLETH_PYTHON names no Python with the judges; `make test` does");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
        let script = here.join("tests/forms/write.py");
        let status = Command::new(python).arg(script).arg(folder.path()).status().unwrap();
        assert!(status.success(), "the files could not be written");
        Some(folder)
    });
    made.as_ref().map(TempDir::path)
}

fn read(path: &Path, options: ReadOptions) -> Result<Observations, ReadError> {
    Observations::read(vec![Source::File(path.to_owned())], options)
}

/// By variable, time and station: the place and the reading, as bits.
type Readings = BTreeMap<(String, Option<UnixSeconds>, String), [u64; 3]>;

fn readings(observations: &Observations) -> Readings {
    let (mut all, mut values) = (Readings::new(), Vec::new());
    let stations = observations.stations();
    for (t, time) in observations.times().iter().enumerate() {
        observations.step(t, &mut values).unwrap();
        for (k, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            let (variable, station) = (k / stations.len(), &stations[k % stations.len()]);
            let name = observations.variables()[variable].name.clone();
            let bits = [station.x, station.y, *value].map(f64::to_bits);
            all.insert((name, *time, station.id.clone()), bits);
        }
    }
    all
}

fn codes(observations: &Observations) -> Vec<&str> {
    observations.stations().iter().map(|station| station.id.as_str()).collect()
}

#[test]
fn every_form_has_the_readings_of_the_table_to_the_bit_and_stations_in_its_order() {
    let Some(folder) = files() else { return };
    let wanted = read(&folder.join("wide.csv"), ReadOptions::default()).unwrap();
    let bits = readings(&wanted);
    assert_eq!(
        (wanted.stations().len(), wanted.times().len(), wanted.variables().len()),
        (12, 5, 2)
    );
    let names = [
        "wide.csv.gz",
        "wide.geojson",
        "ids.geojson",
        "long.geojson",
        "none.parquet",
        "snappy.parquet",
        "gzip.parquet",
        "zstd.parquet",
        "lz4.parquet",
        "groups.parquet",
        "plain.parquet",
        "split.parquet",
        "pandas.parquet",
        "single.parquet",
        "odd.parquet",
        "int96.parquet",
        "orthogonal.nc",
        "transposed.nc",
        "classic.nc",
        "offset.nc",
        "cdf5.nc",
        "model.nc",
        "incomplete.nc",
        "contiguous.nc",
        "indexed.nc",
        "points.nc",
        "xarray.nc",
    ];
    for name in names {
        let got = read(&folder.join(name), ReadOptions::default())
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(readings(&got), bits, "{name}");
        assert_eq!(codes(&got), codes(&wanted), "{name}");
        let variables: Vec<&str> = got.variables().iter().map(|v| v.name.as_str()).collect();
        assert_eq!(variables, ["pm10", "pm25"], "{name}");
        assert_eq!(got.readings_report().rejected, 0, "{name}: {:?}", got.readings_report());
        let units = got.variables()[0].units.as_deref();
        assert_eq!(units, name.ends_with(".nc").then_some("ug m-3"), "{name}");
        assert!(got.in_degrees(), "{name}");
        // Zipped, and from a pipe.
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let source =
            Source::Stream { name: name.to_owned(), reader: Box::new(std::io::Cursor::new(bytes)) };
        let streamed = Observations::read(vec![source], ReadOptions::default()).unwrap();
        assert_eq!(readings(&streamed), bits, "{name} as a stream");
    }
    let ignored = read(&folder.join("odd.parquet"), ReadOptions::default()).unwrap();
    let ignored = ignored.readings_report().ignored.join("; ");
    assert!(ignored.contains("tags.list.element: it has several values a row"), "{ignored}");
}

#[test]
fn packed_numbers_are_unpacked_and_flags_are_no_readings() {
    let Some(folder) = files() else { return };
    let [wanted, got] = ["wide.csv", "packed.nc"]
        .map(|name| read(&folder.join(name), ReadOptions::default()).unwrap())
        .map(|observations| readings(&observations));
    assert!(got.keys().eq(wanted.keys()));
    for (key, [_, _, bits]) in &got {
        let (got, wanted) = (f64::from_bits(*bits), f64::from_bits(wanted[key][2]));
        // The file's factor is 0.1 as a number of 32 bits.
        assert!((got - wanted).abs() < 1e-5, "{key:?}: {got} for {wanted}");
    }
}

#[test]
fn one_station_of_a_file_and_several_files_of_different_forms_are_read() {
    let Some(folder) = files() else { return };
    let one = read(&folder.join("one.nc"), ReadOptions::default()).unwrap();
    assert_eq!((one.stations().len(), one.times().len()), (1, 5));
    assert_eq!(one.stations()[0].id, "S04");
    let both =
        ["one.nc", "zstd.parquet", "wide.geojson"].map(|name| Source::File(folder.join(name)));
    let first = ReadOptions { duplicates: Duplicates::First, ..ReadOptions::default() };
    let both = Observations::read(both.into(), first).unwrap();
    assert_eq!(both.stations().len(), 12);
    let wanted = read(&folder.join("wide.csv"), ReadOptions::default()).unwrap();
    assert_eq!(readings(&both), readings(&wanted));
}

#[test]
fn downloads_of_the_eea_are_read_with_a_table_of_places() {
    let Some(folder) = files() else { return };
    let options = || ReadOptions {
        columns: Columns { time: Some("Start".to_owned()), ..Columns::default() },
        stations: Some(Source::File(folder.join("stations.csv"))),
        ..ReadOptions::default()
    };
    let got = read(&folder.join("eea.parquet"), options()).unwrap();
    let wanted = read(&folder.join("wide.csv"), ReadOptions::default()).unwrap();
    let code = |name: &str| if name == "pm10" { "5" } else { "6001" }.to_owned();
    let bits: Readings =
        readings(&wanted).into_iter().map(|((v, t, s), bits)| ((code(&v), t, s), bits)).collect();
    assert_eq!(readings(&got), bits);
    assert_eq!(got.variables()[0].units.as_deref(), Some("ug.m-3"));
    // Times without a zone are in the one that is told.
    let in_zone = ReadOptions { zone: Some("+01:00".to_owned()), ..options() };
    let in_zone = read(&folder.join("eea.parquet"), in_zone).unwrap();
    let first = |of: &Observations| of.times()[0].unwrap().0;
    assert_eq!(first(&in_zone), first(&got) - 3600);
}

#[test]
fn what_says_it_is_larger_than_it_may_be_is_refused_before_it_is() {
    let Some(folder) = files() else { return };
    let before = machine::peak_memory_bytes();
    let options = || ReadOptions { max_unpacked_bytes: 16 << 20, ..ReadOptions::default() };
    let told = |name: &str| read(&folder.join(name), options()).expect_err(name).to_string();
    for name in ["huge.nc", "many.nc", "rows.parquet"] {
        let text = told(name);
        assert!(text.contains("more than the limit of 8388608"), "{name}: {text}");
    }
    let many = read(&folder.join("stations.nc"), ReadOptions::default()).expect_err("many");
    assert!(many.to_string().contains("more than 2000000 stations"), "{many}");
    for name in ["page-gzip.parquet", "page-zstd.parquet", "page-snappy.parquet"] {
        assert!(told(name).contains("more than the limit"), "{name}: {}", told(name));
        let text = read(&folder.join(name), ReadOptions::default()).expect_err(name).to_string();
        assert!(text.contains("write it with smaller pages"), "{name}: {text}");
    }
    let text = told("field.nc");
    assert!(
        text.contains("no time series") && text.contains("pm10: no coordinates of stations"),
        "{text}"
    );
    let text = told("differences.parquet");
    assert!(text.contains("column station") && text.contains("dictionary"), "{text}");
    let grown = machine::peak_memory_bytes().saturating_sub(before);
    // The largest page that is taken has 64 MiB; none of these comes near.
    assert!(grown < 256 << 20, "{grown} bytes");
}

#[test]
fn whoever_has_gone_is_not_read_for() {
    let Some(folder) = files() else { return };
    for name in ["rows.parquet", "xarray.nc"] {
        let options = ReadOptions::default();
        options.cancel.cancel();
        let error = read(&folder.join(name), options).expect_err(name);
        assert!(matches!(error, ReadError::Interrupted), "{name}: {error}");
    }
}

#[test]
fn damage_anywhere_is_told_or_does_not_matter_and_never_costs_memory() {
    let Some(folder) = files() else { return };
    let before = machine::peak_memory_bytes();
    let folder_of_damage = tempfile::tempdir().unwrap();
    let path = folder_of_damage.path().join("damaged");
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 11).unwrap() % below
    };
    let (mut refused, mut taken) = (0, 0);
    for name in [
        "snappy.parquet",
        "groups.parquet",
        "odd.parquet",
        "split.parquet",
        "orthogonal.nc",
        "classic.nc",
        "contiguous.nc",
        "indexed.nc",
        "packed.nc",
        "wide.geojson",
    ] {
        let whole = std::fs::read(folder.join(name)).unwrap();
        for k in 0..150 {
            let mut bytes = whole.clone();
            match k % 3 {
                0 => bytes.truncate(random(whole.len())),
                1 => (0..=k % 7)
                    .for_each(|_| bytes[random(whole.len())] = u8::try_from(random(256)).unwrap()),
                _ => {
                    // A run of large numbers where a size may stand.
                    let at = random(whole.len());
                    let end = (at + 1 + k % 9).min(whole.len());
                    bytes[at..end].fill([0xff, 0x7f, 0x00][k / 3 % 3]);
                }
            }
            std::fs::write(&path, &bytes).unwrap();
            let options = ReadOptions { max_unpacked_bytes: 16 << 20, ..ReadOptions::default() };
            match read(&path, options) {
                Ok(_) => taken += 1,
                Err(error) => {
                    refused += 1;
                    assert!(!error.is_io(), "{name} {k}: {error}");
                }
            }
        }
    }
    println!("{refused} refused, {taken} taken");
    assert!(refused > 300, "{refused}");
    let grown = machine::peak_memory_bytes().saturating_sub(before);
    assert!(grown < 512 << 20, "{grown} bytes");
}
