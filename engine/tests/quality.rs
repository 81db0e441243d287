//! Faults planted in sound readings are found, and nothing else is.

use isopleth_engine::crossvalidate;
use isopleth_engine::kernels::Method;
use isopleth_engine::observations::{Parts, Station, Variable};
use isopleth_engine::quality::{FlagReport, QualityReport, examine};
use isopleth_engine::{
    Cancel, Choice, Error, FactorCache, Flag, Limits, Observations, Progress, ReadOptions, Reject,
    Rules, Settings,
};

const STATIONS: usize = 60;
const HOURS: usize = 30;

/// Hourly PM2.5 at scattered stations: a wave over the country, and something of each station's own.
struct Sound {
    stations: Vec<Station>,
    values: Vec<Vec<Option<f64>>>,
}

impl Sound {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn new() -> Self {
        let place = |i: usize| {
            let golden = (0.618_033_988_749_895 * i as f64).fract();
            let (x, y) = (100.0 + 10.0 * golden, 30.0 + 8.0 * (0.754_877_666 * i as f64).fract());
            Station { id: format!("s{i:02}"), x, y }
        };
        let stations: Vec<Station> = (0..STATIONS).map(place).collect();
        let value = |t: usize, i: usize| {
            let Station { x, y, .. } = &stations[i];
            let own = 2.0 * (12.9898 * i as f64 + 78.233 * t as f64).sin();
            Some(40.0 + 15.0 * (x / 3.0 + t as f64 / 4.0).sin() + 5.0 * y.cos() + own)
        };
        let values = (0..HOURS).map(|t| (0..STATIONS).map(|i| value(t, i)).collect()).collect();
        Self { stations, values }
    }

    fn observations(self) -> Observations {
        let times = (0..HOURS).map(|t| format!("2026-01-{:02}T{:02}:00Z", 1 + t / 24, t % 24));
        let pm25 = Variable { name: "pm25".to_owned(), units: Some("µg/m³".to_owned()) };
        let (stations, values) = (self.stations, vec![(pm25, self.values)]);
        let parts = Parts { stations, times: times.collect(), values };
        Observations::from_parts(parts, &ReadOptions::default()).expect("readings")
    }

    /// Everything, the buddy check too.
    fn quality(self, rules: Rules) -> QualityReport {
        let method = Choice::Told(Method::default());
        let settings = Settings { quality: rules, method, ..Settings::default() };
        let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
        let limits = Limits::default();
        let made = crossvalidate(
            self.observations(),
            settings,
            &[],
            &limits,
            progress,
            &FactorCache::off(),
        );
        made.expect("a surface").report.quality
    }
}

fn only(report: &QualityReport, flag: Flag) -> &FlagReport {
    let flags: Vec<Flag> = report.flags.iter().map(|f| f.flag).collect();
    assert_eq!(flags, [flag], "{report:#?}");
    &report.flags[0]
}

#[test]
fn sound_readings_have_no_flag() {
    let report = Sound::new().quality(Rules::default());
    assert_eq!(report.examined, (STATIONS * HOURS) as u64);
    assert_eq!((report.flagged, report.rejected), (0, 0), "{report:#?}");
    assert!(report.flags.is_empty() && report.places.is_empty() && report.worst.is_empty());
    assert!(report.unexamined.is_empty(), "{:?}", report.unexamined);
}

#[test]
fn a_value_that_cannot_be_is_out_of_range() {
    let mut sound = Sound::new();
    sound.values[5][7] = Some(-40.0);
    let report = examine(&sound.observations(), &Rules::default()).expect("examined");
    let found = only(&report, Flag::Range);
    assert_eq!(found.examples, ["s07 2026-01-01T05:00:00Z: pm25 -40: not from -10 to 5000"]);
    // A limit of the user's own.
    let mut rules = Rules::default();
    rules.add_range("pm25=0..50").expect("a range");
    let sound = Sound::new();
    let beyond = sound.values.iter().flatten().flatten().filter(|v| **v > 50.0).count();
    let report = examine(&sound.observations(), &rules).expect("examined");
    assert_eq!(only(&report, Flag::Range).readings, beyond as u64);
}

#[test]
fn a_spike_is_flagged_and_the_way_back_is_not() {
    let mut sound = Sound::new();
    sound.values[12][3] = Some(900.0);
    let report = examine(&sound.observations(), &Rules::default()).expect("examined");
    let found = only(&report, Flag::Rate);
    assert_eq!(found.readings, 1);
    assert!(found.examples[0].starts_with("s03 2026-01-01T12:00:00Z: pm25 900:"), "{found:?}");
}

#[test]
fn a_new_level_is_flagged_where_it_begins_and_nothing_after_a_long_gap() {
    let mut sound = Sound::new();
    for step in &mut sound.values[12..] {
        step[3] = step[3].map(|v| v + 500.0);
    }
    let report = examine(&sound.observations(), &Rules::default()).expect("examined");
    assert_eq!(only(&report, Flag::Rate).readings, 1);
    let mut sound = Sound::new();
    for step in &mut sound.values[12..] {
        step[3] = step[3].map(|v| v + 500.0);
    }
    for step in &mut sound.values[8..13] {
        step[3] = None;
    }
    let report = examine(&sound.observations(), &Rules::default()).expect("examined");
    assert_eq!(report.flagged, 0, "{report:#?}");
}

#[test]
fn a_repeated_value_is_stuck_from_its_first_hour_unless_it_is_below_detection() {
    let stuck = |value: f64, hours: std::ops::Range<usize>| {
        let mut sound = Sound::new();
        for step in &mut sound.values[hours] {
            step[9] = Some(value);
        }
        examine(&sound.observations(), &Rules::default()).expect("examined")
    };
    assert_eq!(only(&stuck(41.5, 4..12), Flag::Stuck).readings, 8);
    // To the last hour, over the end of the readings.
    assert_eq!(only(&stuck(41.5, 20..HOURS), Flag::Stuck).readings, 10);
    for (value, hours) in [(41.5, 4..11), (0.0, 4..20), (-1.0, 4..20), (3.0, 4..20)] {
        let report = stuck(value, hours);
        assert_eq!(report.readings_with(Flag::Stuck), 0, "{value}: {report:#?}");
    }
    // Hours in which it is silent neither count nor end it.
    let mut sound = Sound::new();
    for (t, step) in sound.values[4..14].iter_mut().enumerate() {
        step[9] = (t != 3 && t != 6).then_some(41.5);
    }
    let report = examine(&sound.observations(), &Rules::default()).expect("examined");
    assert_eq!(only(&report, Flag::Stuck).readings, 8);
    assert_eq!(report.worst[0].flags, "stuck 8");
}

#[test]
fn a_reading_beyond_its_neighbours_is_found_and_they_are_cleared() {
    let mut sound = Sound::new();
    // A neighbour so near that the bad reading is what it is predicted from.
    (sound.stations[41].x, sound.stations[41].y) =
        (sound.stations[20].x + 0.02, sound.stations[20].y);
    for step in &mut sound.values {
        step[41] = step[20].map(|v| v + 1.0);
    }
    sound.values[0][20] = Some(160.0);
    let report = sound.quality(Rules::default());
    let found = only(&report, Flag::Buddy);
    assert_eq!(found.readings, 1, "{report:#?}");
    assert!(found.examples[0].starts_with("s20 2026-01-01T00:00:00Z: pm25 160: +"), "{found:?}");
    let off = Rules { buddy: None, ..Rules::default() };
    let mut sound = Sound::new();
    sound.values[0][20] = Some(160.0);
    assert_eq!(sound.quality(off).flagged, 0);
}

#[test]
fn two_codes_at_one_place_are_flagged_where_they_differ() {
    let mut sound = Sound::new();
    (sound.stations[8].x, sound.stations[8].y) = (sound.stations[2].x, sound.stations[2].y);
    for (t, step) in sound.values.iter_mut().enumerate() {
        step[8] = if t < 5 { step[2].map(|v| v + 7.0) } else { step[2] };
    }
    sound.values[1][8] = None;
    let report = examine(&sound.observations(), &Rules::default()).expect("examined");
    let found = only(&report, Flag::Duplicate);
    assert_eq!(found.readings, 8);
    assert!(found.examples[0].contains("at the same place s08 has"), "{found:?}");
}

#[test]
fn a_station_out_of_place_has_all_its_readings_flagged_and_is_told_once() {
    let mut sound = Sound::new();
    (sound.stations[4].x, sound.stations[4].y) = (0.0, 0.0);
    let report = examine(&sound.observations(), &Rules::default()).expect("examined");
    let found = only(&report, Flag::Place);
    assert_eq!((found.readings, found.examples.len()), (HOURS as u64, 1));
    assert_eq!(report.places.len(), 1);
    assert_eq!(report.places[0].station, "s04");
    let inside = Rules { inside: Some([90.0, 29.0, 120.0, 39.0]), ..Rules::default() };
    let sound = examine(&Sound::new().observations(), &inside).expect("examined");
    assert_eq!(sound.flagged, 0);
}

#[test]
fn a_policy_rejects_what_it_says_and_counts_it() {
    let faulty = || {
        let mut sound = Sound::new();
        sound.values[5][7] = Some(-40.0);
        sound.values[12][3] = Some(900.0);
        sound
    };
    let with = |reject| faulty().quality(Rules { reject, ..Rules::default() });
    let told = with(Reject::None);
    assert_eq!(told.rejected, 0);
    assert!(told.readings_with(Flag::Buddy) >= 2, "both are beyond their neighbours, too");
    let bad = with(Reject::Bad);
    assert_eq!(bad.rejected, 1);
    let range = bad.flags.iter().find(|f| f.flag == Flag::Range).expect("range");
    assert_eq!((range.readings, range.rejected), (1, 1));
    let suspect = with(Reject::Suspect);
    assert_eq!((suspect.flagged, suspect.rejected), (2, 2), "{suspect:#?}");
}

#[test]
fn a_rejected_reading_is_as_if_it_were_missing() {
    let errors = |sound: Sound, reject| {
        let rules = Rules { reject, ..Rules::default() };
        let method = Choice::Told(Method::default());
        let settings = Settings { quality: rules, method, ..Settings::default() };
        let progress = Progress { on_event: &|_| (), cancel: &Cancel::default() };
        let limits = Limits::default();
        let made = crossvalidate(
            sound.observations(),
            settings,
            &[],
            &limits,
            progress,
            &FactorCache::off(),
        );
        made.expect("a surface").report.variables[0].leave_one_out.expect("errors")
    };
    let (mut faulty, mut missing) = (Sound::new(), Sound::new());
    // One that the range finds before solving, one that only the neighbours find.
    faulty.values[5][7] = Some(-40.0);
    faulty.values[0][30] = Some(150.0);
    missing.values[5][7] = None;
    missing.values[0][30] = None;
    let (rejected, gone) = (errors(faulty, Reject::Suspect), errors(missing, Reject::None));
    assert_eq!(rejected, gone);
}

#[test]
fn a_limit_for_a_variable_that_is_not_there_is_refused() {
    let mut rules = Rules::default();
    rules.add_rate("ozone=10").expect("a rate");
    let error = examine(&Sound::new().observations(), &rules).expect_err("no ozone");
    assert!(matches!(error, Error::Quality(_)));
    assert!(error.to_string().contains("`ozone`") && error.to_string().contains("pm25"), "{error}");
}

#[test]
fn readings_that_go_to_a_file_have_the_same_flags() {
    use isopleth_engine::Source;
    let mut text = String::from("station,lon,lat,time,pm25\n");
    for t in 0..60 {
        for i in 0..50 {
            let stuck = i % 5 == 0 && t > 20;
            let value = if stuck { 33.0 } else { f64::from((t * 7 + i * 13) % 50) + 10.5 };
            let (day, hour) = (1 + t / 24, t % 24);
            text.push_str(&format!(
                "s{i},{},{},2026-01-{day:02}T{hour:02}:00Z,{value}\n",
                100 + i % 10,
                30 + i / 10
            ));
        }
    }
    let flags = |spill_bytes| {
        let reader = Box::new(std::io::Cursor::new(text.clone().into_bytes()));
        let source = Source::Stream { name: "test".to_owned(), reader };
        let options = ReadOptions { spill_bytes, ..ReadOptions::default() };
        let observations = Observations::read(vec![source], options).expect("readings");
        examine(&observations, &Rules::default()).expect("examined")
    };
    let small = flags(4096);
    assert_eq!(small.readings_with(Flag::Stuck), 10 * 39);
    assert_eq!(small, flags(32 << 20));
}
