//! Whole sets of readings: against pandas, and what must not make a difference.

use std::collections::BTreeMap;
use std::io::Cursor;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::observations::Source;

/// Readings as (station, hour since 1970, value).
type Rows = Vec<(u8, i64, f64)>;

fn csv(rows: &Rows) -> String {
    let mut text = "id,lon,lat,time,o3\n".to_owned();
    for (station, hour, value) in rows {
        text += &format!("s{station},{station},1,{},{value}\n", UnixSeconds(3600 * hour));
    }
    text
}

fn read(text: impl Into<String>, options: ReadOptions) -> Result<Observations, ReadError> {
    let reader = Box::new(Cursor::new(text.into().into_bytes()));
    Observations::read(vec![Source::Stream { name: "test".to_owned(), reader }], options)
}

fn treated(rows: &Rows, series: Treatment) -> Result<Observations, ReadError> {
    read(csv(rows), ReadOptions { series, ..ReadOptions::default() })
}

/// Results of all stations and variables: (time, place in the step, value).
fn results(observations: &Observations) -> Vec<(i64, usize, f64)> {
    let mut all = Vec::new();
    let mut step = Vec::new();
    for (index, time) in observations.times().iter().enumerate() {
        let time = time.expect("readings carry times").0;
        observations.step(index, &mut step).expect("readable");
        let present = step.iter().enumerate().filter(|(_, value)| !value.is_nan());
        all.extend(present.map(|(place, &value)| (time, place, value)));
    }
    all
}

fn average(text: &str) -> Treatment {
    Treatment { average: Some(text.parse().expect(text)), ..Treatment::default() }
}

fn hours(range: std::ops::Range<i64>) -> Rows {
    range.map(|hour| (0, hour, hour as f64)).collect()
}

fn series_report(observations: &Observations) -> SeriesReport {
    observations.readings_report().series.clone().expect("series were treated")
}

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    readings: Vec<(i64, f64)>,
    expected: BTreeMap<String, Vec<(i64, f64)>>,
}

/// The treatment that a name in series.json stands for.
fn named(name: &str) -> Treatment {
    let zone = |zone: &str| Some(zone.to_owned());
    let end = |treatment| Treatment { stamp: Stamp::End, ..treatment };
    let step = || Treatment { step: Some("3h".parse().expect("3h")), ..Treatment::default() };
    match name {
        "8h end" => end(average("8h")),
        "8h start" => average("8h"),
        "24h end" => end(average("24h")),
        "24h end, capture 0" => {
            end(Treatment { capture: Some(Share::new(0.0).expect("0")), ..average("24h") })
        }
        "day start +08:00" => Treatment { day_zone: zone("Asia/Shanghai"), ..average("day") },
        "day end +08:00" => end(Treatment { day_zone: zone("+08:00"), ..average("day") }),
        "mda8 -05:00" => Treatment { day_zone: zone("-05:00"), ..average("mda8") },
        "mda8-us -05:00" => Treatment { day_zone: zone("-05:00"), ..average("mda8-us") },
        "mda8-cn -05:00" => Treatment { day_zone: zone("-05:00"), ..average("mda8-cn") },
        "step 3h" => step(),
        "step 3h end" => end(step()),
        "fill 2h" => {
            Treatment { fill_gaps: Some("2h".parse().expect("2h")), ..Treatment::default() }
        }
        "despike 5" => {
            Treatment { despike: Some(Width::new(5.0).expect("5")), ..Treatment::default() }
        }
        other => panic!("series.json has a case `{other}` that this test does not know"),
    }
}

#[test]
fn averages_steps_gaps_and_spikes_are_those_of_pandas() {
    let text = include_str!("../../../tests/golden/series.json");
    let golden: Golden = serde_json::from_str(text).expect("as make_series.py writes it");
    for case in golden.cases {
        assert_eq!(case.expected.len(), 13);
        for (name, expected) in case.expected {
            let rows = case.readings.iter().map(|&(time, v)| (0, time / 3600, v)).collect();
            let got = results(&treated(&rows, named(&name)).expect(&name));
            let times: Vec<i64> = got.iter().map(|result| result.0).collect();
            let wanted: Vec<i64> = expected.iter().map(|result| result.0).collect();
            assert_eq!(times, wanted, "{}: {name}", case.name);
            for ((time, _, value), (_, want)) in got.iter().zip(&expected) {
                // pandas adds and takes away in a running sum of numbers up to 500.
                assert!((value - want).abs() < 1e-9, "{}, {name}, {time}: {value}", case.name);
            }
        }
    }
}

#[test]
fn a_day_of_a_zone_is_selected_by_its_date_from_all_readings() {
    let series = Treatment { day_zone: Some("+08:00".to_owned()), ..average("day") };
    let times = vec!["1970-01-03".to_owned()];
    let options =
        || ReadOptions { series: series.clone(), times: times.clone(), ..Default::default() };
    let observations = read(csv(&hours(0..96)), options()).expect("read");
    // The third of January in China: hours 40 to 63, of which the mean is 51.5.
    assert_eq!(results(&observations), [(40 * 3600, 0, 51.5)]);
    let error = read(csv(&hours(0..24)), options()).expect_err("no such day").to_string();
    assert!(
        error.contains("from 1969-12-31T16:00:00Z to") || error.contains("nothing is left"),
        "{error}"
    );
}

#[test]
fn a_running_mean_of_a_selected_hour_uses_the_hours_before() {
    let series = Treatment { stamp: Stamp::End, ..average("8h") };
    let times = vec!["1970-01-01T10".to_owned()];
    let options = ReadOptions { series, times, ..ReadOptions::default() };
    let observations = read(csv(&hours(0..24)), options).expect("read");
    assert_eq!(results(&observations), [(10 * 3600, 0, 6.5)]);
}

#[test]
fn the_report_counts_each_step_and_tells_spikes() {
    let mut rows = hours(0..48);
    rows.retain(|row| ![5, 6, 20, 21, 22, 23].contains(&row.1));
    for row in &mut rows {
        row.2 = match row.1 {
            30 => -9.0,
            31 => 0.5,
            40 => 999.0,
            hour => 10.0 + (hour % 3) as f64,
        };
    }
    let series = Treatment {
        detection_limits: vec!["o3=2".parse().expect("a limit")],
        despike: Some(Width::new(6.0).expect("6")),
        fill_gaps: Some("2h".parse().expect("2h")),
        ..average("8h")
    };
    let observations = treated(&rows, series).expect("read");
    let report = series_report(&observations);
    assert_eq!(report.step_seconds, Some(3600));
    assert_eq!(report.steps.len(), 4);
    let counts = &report.variables[0];
    assert_eq!((counts.readings, counts.faults, counts.below_limit), (42, 1, 1));
    // Hours 5 and 6, 30 and 31, and 40 are filled; the four hours from 20 on are not.
    assert_eq!((counts.spikes, counts.filled), (2, 5));
    assert_eq!(
        report.spike_examples,
        [
            "s0, o3, 1970-01-02T07:00:00Z: 1 where the median is 11",
            "s0, o3, 1970-01-02T16:00:00Z: 999 where the median is 11"
        ]
    );
    assert_eq!(counts.values, results(&observations).len() as u64);
}

#[test]
fn what_cannot_be_done_is_refused_with_what_to_do() {
    let refused =
        |rows: &Rows, treatment| treated(rows, treatment).expect_err("refused").to_string();
    let day = hours(0..24);
    for (treatment, words) in [
        (average("5m"), "a window of 5 min cannot be made of readings 1 h apart"),
        (average("90min"), "a window of 90 min cannot be made"),
        (average("20000d"), "480000 steps of 1 h, more than 10000"),
        (
            Treatment { fill_gaps: Some("1001h".parse().expect("1001h")), ..average("8h") },
            "1001 steps of 1 h, more than 1000",
        ),
        (
            Treatment { capture: Some(Share::new(0.0).expect("0")), ..average("8d") },
            "192 steps but needs only 1",
        ),
        (
            Treatment { step: Some("3h".parse().expect("3h")), ..average("mda8") },
            "needs hourly readings, but these are 3 h apart",
        ),
        (
            Treatment { detection_limits: vec!["pm=1".parse().expect("one")], ..average("8h") },
            "for `pm`, but there is no such variable; there are: o3",
        ),
        (
            Treatment { day_zone: Some("Mars/Olympus".to_owned()), ..average("day") },
            "unknown time zone `Mars/Olympus`",
        ),
        (average("month"), "nothing is left of 24 readings: 1 windows had too few"),
    ] {
        let error = refused(&day, treatment);
        assert!(error.contains(words), "{error}");
    }
    let error = refused(&hours(0..1), average("8h"));
    assert!(error.contains("give the step"), "{error}");
    let options = ReadOptions { series: average("day"), ..ReadOptions::default() };
    let error = read("id,lon,lat,o3\na,1,1,5\n", options).expect_err("no times").to_string();
    assert!(error.contains("the readings carry no time"), "{error}");
}

#[test]
fn detection_limits_need_no_times_but_a_selection_does() {
    let text = "id,lon,lat,o3\na,1,1,5\nb,2,1,1\n";
    let series = || Treatment {
        detection_limits: vec!["o3=2".parse().expect("a limit")],
        below_limit: BelowLimit::Drop,
        ..Treatment::default()
    };
    let options = ReadOptions { series: series(), ..ReadOptions::default() };
    let observations = read(text, options).expect("read");
    assert_eq!(observations.times(), [None]);
    let mut step = Vec::new();
    observations.step(0, &mut step).expect("readable");
    assert!(step[0] == 5.0 && step[1].is_nan(), "{step:?}");
    let times = vec!["2024-01".to_owned()];
    let options = ReadOptions { series: series(), times, ..ReadOptions::default() };
    let error = read(text, options).expect_err("no times").to_string();
    assert!(error.contains("has no column of times"), "{error}");
}

#[test]
fn irregular_readings_are_warned_of_and_a_step_makes_them_regular() {
    let text: String = std::iter::once("id,lon,lat,time,o3\n".to_owned())
        .chain((0..48).map(|hour| {
            let seconds = 3600 * hour + if hour % 5 == 0 { 120 } else { 0 };
            format!("a,1,1,{},{hour}\n", UnixSeconds(seconds))
        }))
        .collect();
    let options = |series| ReadOptions { series, ..ReadOptions::default() };
    let observations = read(&*text, options(average("8h"))).expect("read");
    let warnings = &observations.readings_report().warnings;
    assert!(warnings[0].contains("mostly 1 h apart, but 40 %"), "{warnings:?}");
    let step = Treatment { step: Some(Length::HOUR), ..average("8h") };
    let observations = read(&*text, options(step)).expect("read");
    assert_eq!(observations.readings_report().warnings, Vec::<String>::new());
    // The last means look forward to five, four, … hours only.
    assert_eq!(results(&observations).len(), 48 - 5);
}

#[test]
fn daily_readings_have_themselves_as_daily_means() {
    let rows: Rows = (0..30).map(|day| (0, 24 * day, day as f64)).collect();
    let [plain, day] = [Treatment::default(), average("day")]
        .map(|treatment| results(&treated(&rows, treatment).expect("read")));
    assert_eq!(plain, day);
}

/// Readings of a few stations at a few hours.
fn any_rows() -> impl Strategy<Value = Rows> {
    prop::collection::btree_map((0..5_u8, 0..72_i64), -50..500_i32, 1..200).prop_map(|readings| {
        readings.into_iter().map(|((s, hour), v)| (s, hour, f64::from(v) / 8.0)).collect()
    })
}

fn any_treatment() -> impl Strategy<Value = Treatment> {
    let averages = [None, Some("8h"), Some("1h"), Some("day"), Some("mda8"), Some("mda8-us")];
    let choice = (
        prop::sample::select(averages.to_vec()),
        prop::option::of(0.0..1.0_f64),
        any::<[bool; 4]>(),
    );
    choice.prop_map(|(average, capture, [end, fill, despike, limit])| Treatment {
        average: average.map(|text| text.parse().expect(text)),
        capture: capture.map(|share| Share::new(share).expect("a share")),
        stamp: if end { Stamp::End } else { Stamp::Start },
        step: Some(Length::HOUR),
        fill_gaps: fill.then(|| "3h".parse().expect("3h")),
        despike: despike.then(|| Width::new(3.0).expect("3")),
        detection_limits: if limit { vec!["o3=2".parse().expect("2")] } else { Vec::new() },
        ..Treatment::default()
    })
}

proptest! {
    #[test]
    fn neither_the_order_of_rows_nor_the_disk_makes_a_difference(
        rows in any_rows(),
        series in any_treatment(),
        spill_bytes in 1..3000_u64,
        keys in prop::collection::vec(any::<u32>(), 200),
    ) {
        let small = ReadOptions { series: series.clone(), spill_bytes, ..ReadOptions::default() };
        let memory = treated(&rows, series.clone());
        let disk = read(csv(&rows), small);
        let mut shuffled: Vec<_> = rows.iter().copied().zip(&keys).collect();
        shuffled.sort_by_key(|(_, key)| **key);
        let shuffled = treated(&shuffled.into_iter().map(|(row, _)| row).collect(), series);
        match (memory, disk, shuffled) {
            (Ok(memory), Ok(disk), Ok(shuffled)) => {
                prop_assert_eq!(results(&memory), results(&disk));
                prop_assert_eq!(memory.readings_report(), disk.readings_report());
                // Stations are numbered as they come.
                let by_name = |o: &Observations| {
                    let name = |place: usize| o.stations()[place].id.clone();
                    let named = results(o).into_iter().map(|(t, p, v)| (t, name(p), v.to_bits()));
                    let mut named: Vec<_> = named.collect();
                    named.sort();
                    named
                };
                prop_assert_eq!(by_name(&memory), by_name(&shuffled));
            }
            (memory, disk, shuffled) => {
                let error = memory.expect_err("the others failed, too").to_string();
                prop_assert_eq!(&error, &disk.expect_err("as from memory").to_string());
                prop_assert_eq!(&error, &shuffled.expect_err("as in order").to_string());
            }
        }
    }

    #[test]
    fn a_window_of_one_step_changes_nothing(rows in any_rows(), end in any::<bool>()) {
        let stamp = if end { Stamp::End } else { Stamp::Start };
        let series = Treatment { stamp, step: Some(Length::HOUR), ..average("1h") };
        let plain = treated(&rows, Treatment::default()).expect("read");
        prop_assert_eq!(results(&plain), results(&treated(&rows, series).expect("treated")));
    }

    #[test]
    fn without_data_capture_every_reading_is_in_some_mean(rows in any_rows()) {
        let series = Treatment {
            capture: Some(Share::new(0.0).expect("0")),
            step: Some(Length::HOUR),
            ..average("day")
        };
        let observations = treated(&rows, series).expect("treated");
        let days: std::collections::BTreeSet<_> = rows.iter().map(|r| (r.1 / 24, r.0)).collect();
        prop_assert_eq!(results(&observations).len(), days.len());
        prop_assert_eq!(series_report(&observations).variables[0].too_few, 0);
    }
}
