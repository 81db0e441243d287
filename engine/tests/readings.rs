//! The real files, read whole: stations, places, times, values and gaps as counted by an independent
//! script. Skipped, out loud, where the shared data are missing.

use std::path::PathBuf;

use isopleth_engine::kernels::Metric;
use isopleth_engine::{Duplicates, Network, Observations, ReadOptions, Source};

/// The shared data, if they are here.
fn data() -> Option<PathBuf> {
    let beside = || PathBuf::from("../../shared");
    let shared = std::env::var_os("ISOPLETH_SHARED").map_or_else(beside, PathBuf::from);
    let folder = shared.join("data");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no shared data at {}; set ISOPLETH_SHARED", folder.display());
    None
}

fn read(files: &[&str], options: ReadOptions) -> Option<Observations> {
    let folder = data()?;
    let sources = files.iter().map(|file| Source::File(folder.join(file))).collect();
    Some(Observations::read(sources, options).expect("a real file"))
}

fn joined(stations: &str) -> ReadOptions {
    let source = data().map(|folder| Source::File(folder.join(stations)));
    ReadOptions { stations: source, ..ReadOptions::default() }
}

fn places(observations: &Observations, metric: Metric) -> usize {
    Network::new(observations, metric, Duplicates::Mean, None).expect("a network").len()
}

/// Values of all steps, to be compared with the report.
fn stored(observations: &Observations) -> u64 {
    let mut values = Vec::new();
    let mut count = 0;
    for time in 0..observations.times().len() {
        observations.step(time, &mut values).expect("readable");
        count += values.iter().filter(|value| !value.is_nan()).count() as u64;
    }
    count
}

fn names(observations: &Observations) -> Vec<&str> {
    observations.variables().iter().map(|variable| variable.name.as_str()).collect()
}

#[test]
fn the_chinese_hour_has_1495_stations_at_1493_places() {
    let options = ReadOptions { zone: Some("+08:00".to_owned()), ..ReadOptions::default() };
    let Some(hour) = read(&["china_2017-07-07T16.csv"], options) else { return };
    assert_eq!(names(&hour), ["pm25", "pm10", "so2", "no2", "o3", "co"]);
    assert_eq!((hour.stations().len(), places(&hour, Metric::Chordal)), (1495, 1493));
    assert_eq!(hour.times()[0].expect("a time").to_string(), "2017-07-07T08:00:00Z");
    let report = hour.readings_report();
    assert_eq!((report.rows, report.values, report.missing), (1495, 8636, 334));
    assert_eq!((report.rejected, report.repeated, stored(&hour)), (0, 0, 8636));
}

#[test]
fn six_chinese_hours_have_stations_that_moved() {
    let Some(hours) = read(&["china_network_6_hours.csv"], ReadOptions::default()) else { return };
    assert_eq!((hours.stations().len(), places(&hours, Metric::Chordal)), (1556, 1554));
    assert_eq!(hours.times().len(), 6);
    let report = hours.readings_report();
    assert_eq!((report.rows, report.values, report.missing), (8929, 51_005, 2569));
    assert_eq!(stored(&hours), 51_005);
}

#[test]
fn whole_chinese_days_with_stations_as_columns_are_joined_with_their_places() {
    let files = ["china_sites_20140604.csv", "china_sites_20140605.csv"];
    let Some(days) = read(&files, joined("china_stations.csv")) else { return };
    assert_eq!((days.stations().len(), places(&days, Metric::Chordal)), (935, 934));
    assert_eq!((days.times().len(), days.variables().len()), (48, 15));
    assert_eq!(names(&days)[..3], ["AQI", "PM2.5", "PM2.5_24h"]);
    let report = days.readings_report();
    assert_eq!(report.rows, 720);
    assert_eq!((report.values, report.missing), (312_558 + 313_655, 24_042 + 22_945));
    assert_eq!(report.without_place.len(), 10);
    assert_eq!(report.without_place[0], "1022A");
    assert_eq!(report.ignored[0], "1441A: the header has it twice");
    assert_eq!(stored(&days), report.values);
}

#[test]
fn a_header_that_repeats_a_station_is_an_error_where_duplicates_are() {
    let Some(folder) = data() else { return };
    let options = ReadOptions { duplicates: Duplicates::Error, ..joined("china_stations.csv") };
    let source = Source::File(folder.join("china_sites_20140604.csv"));
    let error = Observations::read(vec![source], options).expect_err("1441A is there twice");
    assert!(error.to_string().contains("the header repeats `1441A`"), "{error}");
}

#[test]
fn a_german_year_has_365_days_of_69_stations() {
    let Some(year) = read(&["germany_pm10_2005.csv"], ReadOptions::default()) else { return };
    assert_eq!(names(&year), ["pm10"]);
    assert_eq!((year.stations().len(), year.times().len()), (69, 365));
    let report = year.readings_report();
    assert_eq!((report.values, report.missing, stored(&year)), (23_230, 0, 23_230));
    assert_eq!(report.ignored.len(), 3, "{:?}", report.ignored);
}

#[test]
fn airnow_in_long_form_is_joined_with_its_sites() {
    let Some(hours) = read(&["airnow_20240417_18.csv.gz"], joined("airnow_stations.csv")) else {
        return;
    };
    assert_eq!((hours.stations().len(), hours.variables().len()), (2246, 7));
    let ozone = &hours.variables()[0];
    assert_eq!((ozone.name.as_str(), ozone.units.as_deref()), ("OZONE", Some("PPB")));
    let report = hours.readings_report();
    assert_eq!((report.rows, report.values, report.missing), (226_338, 225_633, 0));
    assert_eq!((report.without_place.len(), report.rejected), (10, 0));
    assert_eq!((hours.times().len(), stored(&hours)), (144, 225_633));
}

#[test]
fn soundings_without_codes_are_stations_by_their_place() {
    let Some(soundings) = read(&["baja_bathymetry.csv.gz"], ReadOptions::default()) else { return };
    assert_eq!(names(&soundings), ["bathymetry_m"]);
    assert_eq!(soundings.stations().len(), 80_983);
    assert_eq!(soundings.stations()[0].id, "#2");
    assert_eq!(soundings.times(), [None]);
    let report = soundings.readings_report();
    // 23 depths of 999 m look like a mark of missing readings, unless told otherwise.
    assert_eq!((report.values, report.missing), (82_947, 23));
    assert_eq!(report.repeated + stored(&soundings), report.values);
    let depths = ReadOptions { missing: vec!["!-999".to_owned()], ..ReadOptions::default() };
    let Some(all) = read(&["baja_bathymetry.csv.gz"], depths) else { return };
    assert_eq!((all.readings_report().values, stored(&all)), (82_970, 80_983));
}

#[test]
fn a_planar_file_has_its_places_in_kilometres() {
    let options = ReadOptions { planar: true, ..ReadOptions::default() };
    let Some(field) = read(&["europe_pm10_20100406_ctm.csv"], options) else { return };
    assert_eq!(names(&field), ["sqrt_pm10_obs", "sqrt_pm10_ctm"]);
    assert_eq!((field.stations().len(), places(&field, Metric::Planar)), (2592, 2592));
    let report = field.readings_report();
    assert_eq!((report.values, report.missing), (256 + 2592, 2336));
}

#[test]
fn a_planar_file_taken_for_degrees_is_told_so() {
    let Some(folder) = data() else { return };
    let source = Source::File(folder.join("europe_pm10_20100406_ctm.csv"));
    let error = Observations::read(vec![source], ReadOptions::default()).expect_err("kilometres");
    assert!(error.to_string().contains("choose metric = planar"), "{error}");
    assert_eq!(error.location().expect("a row").row, Some(2));
}

#[test]
fn little_memory_gives_the_same_readings() {
    let small = || ReadOptions { spill_bytes: 100_000, ..joined("airnow_stations.csv") };
    let file = ["airnow_20240417_18.csv.gz"];
    let (Some(disk), Some(memory)) =
        (read(&file, small()), read(&file, joined("airnow_stations.csv")))
    else {
        return;
    };
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for time in 0..memory.times().len() {
        disk.step(time, &mut a).expect("readable");
        memory.step(time, &mut b).expect("readable");
        assert!(a.iter().zip(&b).all(|(a, b)| a.to_bits() == b.to_bits()), "step {time}");
    }
    assert_eq!(disk.readings_report(), memory.readings_report());
}

#[test]
fn one_hour_and_one_variable_can_be_chosen() {
    let options = ReadOptions {
        times: vec!["2019-07-18T13".to_owned()],
        variables: vec!["o3".to_owned(), "pm25".to_owned()],
        ..ReadOptions::default()
    };
    let Some(hour) = read(&["china_network_6_hours.csv"], options) else { return };
    assert_eq!(names(&hour), ["o3", "pm25"]);
    assert_eq!(hour.times().len(), 1);
    assert!(hour.stations().len() < 1556);
}
