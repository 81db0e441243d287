//! Averages of real hours, beside the same worked out here from the file's own text.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::{Bench, shared};

/// Readings of a variable by station code and hour since the first midnight, in the layout that is
/// passed around: a row per hour and type, a column per station.
fn hours(files: &[&str], variable: &str) -> BTreeMap<(String, i64), f64> {
    let mut readings = BTreeMap::new();
    for (day, file) in (0..).zip(files) {
        let mut reader = csv::Reader::from_path(file).expect("the file opens");
        let header = reader.headers().expect("a header").clone();
        for record in reader.records() {
            let record = record.expect("a row");
            if &record[2] != variable {
                continue;
            }
            let hour: i64 = record[1].parse().expect("an hour");
            for (code, cell) in header.iter().zip(&record).skip(3) {
                // One code stands over two columns; which of them is right nobody knows.
                let once = header.iter().filter(|other| *other == code).count() == 1;
                if let (true, Ok(value)) = (once, cell.parse::<f64>()) {
                    readings.insert((code.to_owned(), 24 * day + hour), value);
                }
            }
        }
    }
    readings
}

/// The mean of some hours, if at least `needed` of them are there.
fn mean(
    readings: &BTreeMap<(String, i64), f64>,
    code: &str,
    hours: std::ops::RangeInclusive<i64>,
    needed: usize,
) -> Option<f64> {
    let present: Vec<f64> =
        hours.filter_map(|hour| readings.get(&(code.to_owned(), hour)).copied()).collect();
    #[expect(clippy::cast_precision_loss, reason = "at most 24")]
    (present.len() >= needed).then(|| present.iter().sum::<f64>() / present.len() as f64)
}

/// Maps with a small grid; gives the readings that were mapped, by station code and time (seconds),
/// of the stations known by their place.
fn mapped(
    arguments: &[&str],
    variable: &str,
    codes: &BTreeMap<[u64; 2], String>,
) -> BTreeMap<(String, i64), f64> {
    let bench = Bench::new();
    let more = ["--bounds", "73,18,135,54", "--shape", "20x20", "--precision", "f64"];
    let all = [&["map"], arguments, &more[..], &["-o", "out.nc", "--quiet"]].concat();
    bench.run(&all).succeeded();
    let file = netcdf::open(bench.path("out.nc")).expect("a NetCDF file");
    let get =
        |name: &str| file.variable(name).expect(name).get_values::<f64, _>(..).expect("numbers");
    let (times, lon, lat) = (get("time"), get("station_lon"), get("station_lat"));
    let values = get(&format!("{variable}_reading"));
    let mut readings = BTreeMap::new();
    for ((lon, lat), row) in lon.iter().zip(&lat).zip(values.chunks(times.len())) {
        let Some(code) = codes.get(&[lon.to_bits(), lat.to_bits()]) else { continue };
        for (&time, &value) in times.iter().zip(row).filter(|(_, value)| **value < 1e30) {
            #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
            readings.insert((code.clone(), time as i64), value);
        }
    }
    readings
}

/// 2014-06-04T00:00+08:00.
const MIDNIGHT: i64 = 1_401_811_200;

fn two_days() -> Option<[String; 3]> {
    let days = ["china_sites_20140604.csv", "china_sites_20140605.csv"];
    Some([shared(days[0])?, shared(days[1])?, shared("china_stations.csv")?])
}

/// Same stations, same times, same numbers; two sums of at most 24 numbers below 1000 differ by
/// roundings of 1e-12 at most.
fn same(got: &BTreeMap<(String, i64), f64>, want: &BTreeMap<(String, i64), f64>) {
    let keys = |map: &BTreeMap<(String, i64), f64>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(got), keys(want));
    assert!(got.len() > 1000, "{}", got.len());
    for (key, value) in got {
        assert!((value - want[key]).abs() < 1e-11, "{key:?}: {value} is not {}", want[key]);
    }
}

/// Codes of the readings by their place, where no two share one.
fn by_place(readings: &BTreeMap<(String, i64), f64>, places: &str) -> BTreeMap<[u64; 2], String> {
    let mut reader = csv::Reader::from_path(places).expect("the file opens");
    let header = reader.headers().expect("a header").clone();
    let column = |name: &str| header.iter().position(|h| h == name).expect("a column");
    let [code, lon, lat] = ["station", "lon", "lat"].map(column);
    let known: BTreeSet<&str> = readings.keys().map(|(code, _)| code.as_str()).collect();
    let mut codes: BTreeMap<[u64; 2], Vec<String>> = BTreeMap::new();
    for record in reader.records() {
        let record = record.expect("a row");
        let there = known.contains(&record[code]);
        if let (true, Ok(x), Ok(y)) =
            (there, record[lon].parse::<f64>(), record[lat].parse::<f64>())
        {
            codes.entry([x.to_bits(), y.to_bits()]).or_default().push(record[code].to_owned());
        }
    }
    let alone = codes.into_iter().filter(|(_, codes)| codes.len() == 1);
    alone.map(|(place, mut codes)| (place, codes.remove(0))).collect()
}

#[test]
fn a_daily_mean_is_that_of_the_hours_that_end_on_the_day() {
    let Some([first, second, places]) = two_days() else { return };
    let readings = hours(&[&first, &second], "PM2.5");
    let codes = by_place(&readings, &places);
    let mut want = BTreeMap::new();
    for code in codes.values() {
        // Hour 0 ends at midnight: it is of the day before, which has no other hour.
        for day in 0..2 {
            let value = mean(&readings, code, 24 * day + 1..=24 * day + 24, 18);
            want.extend(value.map(|value| ((code.clone(), MIDNIGHT + 86_400 * day), value)));
        }
    }
    let more = ["--stations", &places, "--zone", "+08:00", "--variable", "PM2.5"];
    let average = ["--average", "day", "--stamp", "end"];
    let got = mapped(&[&[&*first, &*second], &more[..], &average[..]].concat(), "pm2_5", &codes);
    same(&got, &want);
}

#[test]
fn the_largest_eight_hour_mean_of_a_day_is_that_of_the_directive() {
    let Some([first, second, places]) = two_days() else { return };
    let readings = hours(&[&first, &second], "O3");
    let codes = by_place(&readings, &places);
    let mut want = BTreeMap::new();
    for code in codes.values() {
        for day in 0..2 {
            let ends = 24 * day + 1..=24 * day + 24;
            let means: Vec<f64> =
                ends.filter_map(|end| mean(&readings, code, end - 7..=end, 6)).collect();
            if means.len() >= 18 {
                let largest = means.into_iter().fold(f64::NEG_INFINITY, f64::max);
                want.insert((code.clone(), MIDNIGHT + 86_400 * day), largest);
            }
        }
    }
    let more = ["--stations", &places, "--zone", "Asia/Shanghai", "--variable", "O3"];
    let average = ["--average", "mda8", "--stamp", "end"];
    let got = mapped(&[&[&*first, &*second], &more[..], &average[..]].concat(), "o3", &codes);
    same(&got, &want);
}

#[test]
fn running_means_are_those_that_the_network_itself_publishes() {
    let Some([first, second, places]) = two_days() else { return };
    let published = hours(&[&first, &second], "O3_8h");
    let codes = by_place(&published, &places);
    let more = ["--stations", &places, "--zone", "+08:00", "--variable", "O3"];
    let average = ["--average", "8h", "--stamp", "end"];
    let got = mapped(&[&[&*first, &*second], &more[..], &average[..]].concat(), "o3", &codes);
    let (mut near, mut all) = (0, 0);
    for ((code, time), value) in got {
        let hour = (time - MIDNIGHT) / 3600;
        // The first means look back to a day that is not in the file.
        let Some(theirs) = published.get(&(code, hour)).filter(|_| hour >= 7) else { continue };
        all += 1;
        near += usize::from((value - theirs).abs() <= 0.51);
    }
    assert!(all > 30_000, "{all}");
    // Theirs are rounded to whole numbers. An hour that was missing or corrected later makes some
    // differ; with the hours shifted by one, 9 % agree.
    assert!(near * 100 > all * 85, "{near} of {all}");
}

#[test]
fn wrong_words_on_time_are_refused_before_anything_is_read() {
    let bench = Bench::new();
    for (arguments, words) in [
        (&["--average", "week"][..], "no average"),
        (&["--average", "day", "--capture", "75"], "no share"),
        (&["--capture", "0.5"], "--average"),
        (&["--fill-gaps", "3"], "no length of time"),
        (&["--despike=0"], "no width"),
        (&["--detection-limit", "pm25"], "VARIABLE=NUMBER"),
        (&["--stamp", "middle"], "start, end"),
    ] {
        bench.run(&[&["check", "none.csv"], arguments].concat()).failed(2, &[words]);
    }
}

#[test]
fn what_was_done_to_series_is_told_by_check_report_and_file() {
    let bench = Bench::new();
    let mut text = String::from("station,lon,lat,time,pm25\n");
    for hour in 0..48 {
        for (station, lon) in [("a", 100.0), ("b", 101.0), ("c", 102.0)] {
            let value = if (station, hour) == ("b", 30) { 900 } else { 20 + hour % 4 };
            let (day, hour) = (1 + hour / 24, hour % 24);
            let time = format!("2026-01-{day:02}T{hour:02}:00:00Z");
            text += &format!("{station},{lon},{},{time},{value}\n", 30.0 + lon / 7.0);
        }
    }
    let file = bench.file("hours.csv", text);
    let series = ["--despike", "--average", "day"];
    let told = bench.run(&[&["check", &file], &series[..]].concat()).succeeded().stdout;
    for words in
        ["Series: spikes beyond 5", "b, pm25, 2026-01-02T06:00:00Z: 900", "mean of the day"]
    {
        assert!(told.contains(words), "{told}");
    }
    let grid = ["--bounds", "99,43,103,46", "--shape", "10x10", "-o", "o.nc", "--report", "r.json"];
    let out = bench.run(&[&["map", &file], &grid[..], &series[..]].concat()).succeeded().stdout;
    assert!(out.contains("6 values of 144 readings"), "{out}");
    let report = std::fs::read_to_string(bench.path("r.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["readings"]["series"]["variables"][0]["spikes"], 1);
    assert_eq!(report["readings"]["series"]["step_seconds"], 3600);
    assert_eq!(report["fields"].as_array().map(Vec::len), Some(2));
    let file_of_days = netcdf::open(bench.path("o.nc")).expect("a NetCDF file");
    let get = |name: &str| file_of_days.variable(name).expect(name);
    let bounds = get("time_bnds").get_values::<f64, _>(..).expect("bounds");
    let times = get("time").get_values::<f64, _>(..).expect("times");
    assert_eq!(bounds, [times[0], times[1], times[1], times[1] + 86_400.0]);
    let text = |name: &str, attribute: &str| {
        let value = get(name).attribute_value(attribute).expect(attribute).expect("text");
        String::try_from(value).expect("text")
    };
    assert_eq!(text("time", "bounds"), "time_bnds");
    assert_eq!(text("pm25", "cell_methods"), "time: mean area: point");
    assert_eq!(text("pm25_reading", "cell_methods"), "time: mean");
    bench.run(&["check", &file, "--average", "90min"]).failed(3, &["90 min", "1 h apart"]);
}
