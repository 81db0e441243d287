//! Readings that cannot be right: in the report, in the file, in `check`, and rejected when asked.

use crate::harness::{Bench, readings, shared};

const GRID: [&str; 4] = ["--bounds", "100,30,110,38", "--shape", "41x33"];

/// Thirty stations, three hours; s006 is impossible in the first, s009 unlikely in the second.
fn faulty() -> String {
    let change = |(k, line): (usize, &str)| match (k, line.rsplit_once(',')) {
        (7, Some((head, _))) => format!("{head},-500\n"),
        (40, Some((head, _))) => format!("{head},900\n"),
        _ => format!("{line}\n"),
    };
    readings(30, 3).lines().enumerate().map(change).collect()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

/// By station and time.
fn values<T: netcdf::NcTypeDescriptor + Copy>(bench: &Bench, name: &str) -> Vec<T> {
    let file = netcdf::open(bench.path("out.nc")).expect("a NetCDF file");
    file.variable(name).expect("the variable").get_values(..).expect("values")
}

#[test]
fn flags_are_in_the_report_and_in_the_file_and_nothing_is_rejected_unasked() {
    let bench = Bench::new();
    let input = bench.file("in.csv", faulty());
    let more = ["-o", "out.nc", "--report", "r.json"];
    let out = bench.run(&[&["map", &input], &GRID[..], &more[..]].concat()).succeeded().stdout;
    assert!(out.contains("of 90 readings flagged") && out.contains("0 rejected"), "{out}");
    let report = json(&std::fs::read_to_string(bench.path("r.json")).expect("the report"));
    let quality = &report["quality"];
    assert_eq!((&quality["reject"], &quality["rejected"]), (&"none".into(), &0.into()));
    let flags = quality["flags"].as_array().expect("flags");
    let range = flags.iter().find(|f| f["flag"] == "range").expect("range");
    assert_eq!((&range["severity"], &range["readings"]), (&"bad".into(), &1.into()));
    let example = range["examples"][0].as_str().expect("text");
    assert!(example.starts_with("s006 2026-01-01T00:00:00Z: pm25 -500"), "{example}");

    let file = netcdf::open(bench.path("out.nc")).expect("a NetCDF file");
    let flag = file.variable("pm25_flag").expect("flags");
    let text = |name: &str| match flag.attribute_value(name).expect(name).expect(name) {
        netcdf::AttributeValue::Str(text) => text,
        other => panic!("{name} is {other:?}"),
    };
    assert_eq!(text("flag_meanings"), "range rate stuck buddy duplicate place sea");
    assert_eq!(text("standard_name"), "quality_flag");
    let masks = flag.attribute_value("flag_masks").expect("masks").expect("masks");
    assert_eq!(masks, netcdf::AttributeValue::Schars(vec![1, 2, 4, 8, 16, 32, 64]));
    let reading = file.variable("pm25_reading").expect("readings");
    let ancillary = reading.attribute_value("ancillary_variables").expect("it").expect("it");
    assert_eq!(ancillary, netcdf::AttributeValue::Str("pm25_flag".to_owned()));
    let flags: Vec<i8> = values(&bench, "pm25_flag");
    assert_eq!(flags[6 * 3] & 1, 1, "range at s006, first hour");
    assert_eq!(flags[9 * 3 + 1] & 1, 0);
    assert_ne!(flags[9 * 3 + 1] & 2, 0, "rate at s009, second hour");
    // Stations far from both, in every hour.
    assert!(flags.iter().filter(|f| **f == 0).count() > 80, "{flags:?}");
    let used: Vec<f32> = values(&bench, "pm25_reading");
    assert_eq!(used[6 * 3], -500.0);
}

#[test]
fn a_rejected_reading_is_missing_and_its_flag_says_why() {
    let bench = Bench::new();
    let input = bench.file("in.csv", faulty());
    let all = |policy| {
        let more = ["-o", "out.nc", "--report", "r.json", "--reject", policy, "-q"];
        bench.run(&[&["map", &input], &GRID[..], &more[..]].concat()).succeeded();
        let report = json(&std::fs::read_to_string(bench.path("r.json")).expect("the report"));
        (report["quality"]["rejected"].as_u64(), values::<f32>(&bench, "pm25_reading"))
    };
    let (rejected, used) = all("bad");
    assert_eq!(rejected, Some(1));
    assert!(used[6 * 3] > 1e30 && used[9 * 3 + 1] == 900.0);
    let (rejected, used) = all("suspect");
    assert_eq!(rejected, Some(2));
    assert!(used[6 * 3] > 1e30 && used[9 * 3 + 1] > 1e30);
    let flags: Vec<i8> = values(&bench, "pm25_flag");
    assert_ne!(flags[9 * 3 + 1], 0);
    // A reading that was never there is not a reading that is sound.
    let bench = Bench::new();
    let gone: String = readings(30, 3)
        .lines()
        .filter(|l| !l.starts_with("s006"))
        .map(|l| format!("{l}\n"))
        .collect();
    let once = format!("{gone}s006,105,35,2026-01-01T00:00:00Z,40\n");
    let input = bench.file("in.csv", once);
    bench.run(&[&["map", &input, "-o", "out.nc"], &GRID[..]].concat()).succeeded();
    let flags: Vec<i8> = values(&bench, "pm25_flag");
    assert_eq!(flags.iter().filter(|f| **f == -128).count(), 2);
}

#[test]
fn check_shows_flags_examples_and_the_worst_stations() {
    let bench = Bench::new();
    let mut text = faulty();
    text.push_str("null,0,0,2026-01-01T00:00:00Z,35\n");
    let input = bench.file("in.csv", text);
    let out = bench.run(&["check", &input]).succeeded().stdout;
    for words in [
        "readings flagged",
        "s006 2026-01-01T00:00:00Z: pm25 -500: not from -10 to 5000",
        "Stations out of place",
        "null: longitude and latitude are both 0",
        "station  readings  flagged",
    ] {
        assert!(out.contains(words), "`{words}` is not in:\n{out}");
    }
    let range = out.lines().find(|line| line.starts_with("range ")).expect("a row of the table");
    assert_eq!(range.split_whitespace().collect::<Vec<_>>(), ["range", "pm25", "bad", "1", "0"]);
    let out = bench.run(&["check", &input, "--json", "--valid-range", "pm25=-600..1000"]);
    let quality = &json(&out.succeeded().stdout)["quality"];
    let flags = quality["flags"].as_array().expect("flags");
    assert!(flags.iter().all(|f| f["flag"] != "range"), "{quality}");
    // Two stations make no surface that could be left one out, and `check` does not fail for it.
    let few = bench.file("few.csv", readings(2, 1));
    let out = bench.run(&["check", &few, "--valid-range", "pm25=0..1"]).succeeded().stdout;
    assert!(out.contains("2 of 2 readings flagged (range 2)"), "{out}");
}

#[test]
fn options_that_make_no_sense_are_told() {
    let bench = Bench::new();
    let input = bench.file("in.csv", readings(10, 1));
    let with = |more: &[&str]| bench.run(&[&["check", &*input], more].concat());
    with(&["--valid-range", "pm25=9..1"]).failed(2, &["pm25=9..1", "pm25=0..1000"]);
    with(&["--valid-range", "o3=0..1"]).failed(3, &["`o3`", "pm25"]);
    with(&["--rate-limit", "pm25"]).failed(2, &["rate limit"]);
    with(&["--stuck", "1"]).failed(3, &["stuck", "at least 2"]);
    with(&["--stuck", "some"]).failed(2, &["--stuck some", "off"]);
    with(&["--buddy", "near"]).failed(2, &["--buddy near", "off"]);
    with(&["--buddy", "0"]).failed(3, &["buddy", "positive"]);
    with(&["--inside", "1,2,3"]).failed(2, &["west,south,east,north"]);
    with(&["--inside", "1,9,3,2"]).failed(3, &["south below north"]);
    with(&["--reject", "all"]).failed(2, &["none, bad, suspect"]);
}

/// What docs/quality.md says of real networks: flags are rare, and none is `bad`.
#[test]
fn real_networks_are_not_flagged_absurdly() {
    let share = |quality: &serde_json::Value| {
        let count = |name: &str| quality[name].as_f64().expect("a count");
        count("flagged") / count("examined")
    };
    let bad = |quality: &serde_json::Value| {
        let flags = quality["flags"].as_array().expect("flags");
        flags.iter().filter(|f| f["severity"] == "bad").count()
    };
    let bench = Bench::new();
    for (file, more, most) in [
        ("china_2017-07-07T16.csv", &["--zone", "+08:00"][..], 0.010),
        ("germany_pm10_2005.csv", &["--variable", "pm10"], 0.003),
    ] {
        let Some(path) = shared(file) else { continue };
        let arguments = [&["check", &*path, "--json"], more].concat();
        let quality = &json(&bench.run(&arguments).succeeded().stdout)["quality"];
        assert!(share(quality) < most, "{file}: {}", share(quality));
        assert!(share(quality) > 0.0, "{file}");
        assert_eq!(bad(quality), 0, "{file}: {quality}");
    }
}
