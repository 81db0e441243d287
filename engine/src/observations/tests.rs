//! Small tables and documents: what is understood, and the words in which the rest is refused.

use std::io::{Cursor, Read, Write};

use proptest::prelude::*;

use super::*;
use crate::grid::Places;

fn source(bytes: impl AsRef<[u8]>) -> Source {
    let reader = Box::new(Cursor::new(bytes.as_ref().to_vec()));
    Source::Stream { name: "test".to_owned(), reader }
}

fn read(text: impl AsRef<[u8]>) -> Result<Observations, ReadError> {
    Observations::read(vec![source(text)], ReadOptions::default())
}

fn refusal(text: impl AsRef<[u8]>, options: ReadOptions) -> String {
    Observations::read(vec![source(text)], options).expect_err("refused").to_string()
}

fn step(observations: &Observations, time: usize) -> Vec<Option<f64>> {
    let mut values = Vec::new();
    observations.step(time, &mut values).expect("readable");
    values.into_iter().map(|value| Some(value).filter(|value| !value.is_nan())).collect()
}

fn names(observations: &Observations) -> Vec<&str> {
    observations.variables().iter().map(|variable| variable.name.as_str()).collect()
}

const WIDE: &str = "id,lon,lat,time,name,o3,no2\n\
    a,1,2,2024-01-01T01:00Z,first,-,5\n\
    b,3,4,2024-01-01T00:00Z,second,7,-999.0\n\
    a,1,2,2024-01-01T00:00Z,first,8,9\n";

fn checks_wide(observations: &Observations) {
    assert_eq!(names(observations), ["o3", "no2"]);
    assert_eq!(observations.stations().len(), 2);
    assert_eq!(step(observations, 0), [Some(8.0), Some(7.0), Some(9.0), None]);
    assert_eq!(step(observations, 1), [None, None, Some(5.0), None]);
    let report = observations.readings_report();
    assert_eq!((report.rows, report.values, report.missing), (3, 4, 2));
}

#[test]
fn a_wide_table_is_read_with_times_in_order_and_columns_in_theirs() {
    checks_wide(&read(WIDE).expect("read"));
}

#[test]
fn mark_gzip_delimiter_line_ends_and_encoding_do_not_change_the_readings() {
    checks_wide(&read(format!("\u{feff}{WIDE}")).expect("marked"));
    checks_wide(&read(WIDE.replace(',', ";")).expect("semicolons"));
    checks_wide(&read(WIDE.replace(',', "\t").replace('\n', "\r\n")).expect("tabs"));
    checks_wide(&read(gzipped(WIDE.as_bytes())).expect("gzipped"));
    let units: Vec<u8> =
        format!("\u{feff}{WIDE}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    checks_wide(&read(units).expect("UTF-16 by its mark"));
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).expect("in memory");
    writer.finish().expect("in memory")
}

#[test]
fn a_told_encoding_is_decoded_and_a_wrong_one_is_refused_with_its_row() {
    let text = "station,name,lon,lat,pm\n1,万寿西宫,116,39,34\n2,定陵,116.2,40.2,35\n";
    let (bytes, _, _) = encoding_rs::GB18030.encode(text);
    let told =
        |label: &str| ReadOptions { encoding: Some(label.to_owned()), ..ReadOptions::default() };
    let read_told = Observations::read(vec![source(&bytes)], told("GB18030"));
    assert_eq!(read_told.expect("decoded").stations().len(), 2);
    let error = refusal(&bytes, ReadOptions::default());
    assert!(error.contains("row 2, column `name`: not valid UTF-8; name the encoding"), "{error}");
    let error = refusal(b"id,lon,lat,v\n1,2,3,4\n5,6,7,\xff\x20\n", told("GB18030"));
    assert!(error.contains("row 3: not valid gb18030"), "{error}");
    assert!(refusal(WIDE, told("klingon")).contains("unknown encoding `klingon`"));
}

#[test]
fn a_long_table_has_units_and_refuses_a_change_of_unit() {
    let text = "site,lon,lat,time,parameter,value,unit\n\
        a,1,2,2024-01-01,O3,5,PPB\n\
        a,1,2,2024-01-01,CO,6,PPM\n\
        a,1,2,2024-01-02,O3,7,PPM\n";
    let observations = read(text).expect("read");
    assert_eq!(names(&observations), ["O3", "CO"]);
    assert_eq!(observations.variables()[1].units.as_deref(), Some("PPM"));
    let report = observations.readings_report();
    assert_eq!((report.values, report.rejected), (2, 1));
    assert_eq!(report.rejected_examples, ["row 4: O3 in PPM, but PPB before"]);
}

#[test]
fn stations_as_columns_are_joined_and_codes_without_a_place_left_out() {
    let options = || ReadOptions {
        stations: Some(source("code,lat,lon,elev_m\nA,1,2,3\nB,4,5,6\nC,,,\n")),
        ..ReadOptions::default()
    };
    let text = "date,hour,type,B,A,C,X\n20140604,0,PM10,1,2,3,4\n20140604,1,PM10,5,,6,7\n";
    let observations = Observations::read(vec![source(text)], options()).expect("read");
    assert_eq!(observations.stations()[0], Station { id: "B".to_owned(), x: 5.0, y: 4.0 });
    assert_eq!(step(&observations, 0), [Some(1.0), Some(2.0)]);
    assert_eq!(observations.readings_report().without_place, ["C", "X"]);
    let error = refusal("date,hour,type,P\n20140604,0,PM10,1\n", options());
    assert!(error.contains("none of the 1 stations has a place, e.g. P"), "{error}");
    let error = refusal(text, ReadOptions::default());
    assert!(error.contains("no column of coordinates recognised"), "{error}");
    assert!(error.contains("give a table of stations with their places"), "{error}");
}

#[test]
fn documents_and_records_of_json_hold_the_same_readings_as_a_table() {
    let document = r#"{"values":{"o3":[[8,7],[null,null]],"no2":[[9,-999],[5,null]]},
        "times":["2024-01-01T00:00Z","2024-01-01T01:00Z"],"variables":["o3",{"name":"no2","units":"ppb"}],
        "stations":[{"id":"a","lon":1,"lat":2},{"id":"b","lon":3,"lat":4}]}"#;
    let observations = read(document).expect("read");
    assert_eq!(names(&observations), ["o3", "no2"]);
    assert_eq!(observations.variables()[1].units.as_deref(), Some("ppb"));
    assert_eq!(step(&observations, 0), [Some(8.0), Some(7.0), Some(9.0), None]);
    assert_eq!(step(&observations, 1), [None, None, Some(5.0), None]);
    let records = r#" [{"station":"b","lon":3,"lat":4,"time":"2024-01-01T00:00Z","o3":7,"no2":null},
        {"station":"a","lon":1,"lat":2,"time":"2024-01-01T00:00Z","o3":8,"no2":9}]"#;
    let observations = read(records).expect("read");
    assert_eq!(observations.stations()[0].id, "b");
    assert_eq!(observations.readings_report().values, 3);
}

#[test]
fn what_is_wrong_in_json_is_told_with_a_pointer() {
    let document = |stations: &str, times: &str, values: &str| {
        format!(r#"{{"stations":{stations},"times":{times},"values":{values}}}"#)
    };
    let one = r#"[{"id":"a","lon":1,"lat":2}]"#;
    for (text, pointer, words) in [
        (document(one, r#"["2024-01-01"]"#, r#"{"o3":[[1],[2]]}"#), "/times", "1 times, but 2"),
        (document(one, "[]", r#"{"o3":[[1,2]]}"#), "/stations", "1 stations, but 2 values"),
        (document(one, r#"["soon"]"#, r#"{"o3":[[1]]}"#), "/times/0", "`soon` is not a time"),
        (document(one, "[]", r#"{"o/3":[["x"]]}"#), "/values/o~13/0/0", "invalid type"),
        (
            document(one, r#"["2024-01-01","2024-01-02"]"#, r#"{"o3":[[1],[]]}"#),
            "/values/o3/1",
            "0 values, but 1",
        ),
        (
            document(r#"[{"id":"a","lon":1,"lat":91}]"#, "[]", r#"{"o3":[[1]]}"#),
            "/stations/0/lat",
            "latitude is 91",
        ),
        (document(r#"[{"id":"a"}]"#, "[]", r#"{"o3":[[1]]}"#), "/stations/0", "needs `lon`"),
        (r#"[{"station":"a","lon":1,"lat":-95,"o3":1}]"#.to_owned(), "/0/lat", "latitude is -95"),
    ] {
        let error = read(&text).expect_err(&text);
        assert!(error.to_string().contains(words), "{error}");
        let found = error.location().and_then(|location| location.pointer);
        assert_eq!(found.as_deref(), Some(pointer), "{error}");
        assert!(!error.is_io());
    }
    assert!(refusal("{\"stations\": [", ReadOptions::default()).contains("not a JSON document"));
    assert!(refusal("{}", ReadOptions::default()).contains("keys `stations` and `values`"));
}

#[test]
fn parts_in_memory_are_checked_like_a_document() {
    let parts = |value| Parts {
        stations: vec![Station { id: "a".to_owned(), x: 1.0, y: 2.0 }],
        times: vec!["2024-01-01".to_owned()],
        values: vec![(
            Variable { name: "o3".to_owned(), units: Some("ppb".to_owned()) },
            vec![vec![Some(value)]],
        )],
    };
    let options = ReadOptions::default();
    let observations = Observations::from_parts(parts(4.0), &options).expect("read");
    assert_eq!(step(&observations, 0), [Some(4.0)]);
    assert_eq!(observations.variables()[0].units.as_deref(), Some("ppb"));
    let error = Observations::from_parts(parts(f64::INFINITY), &options).expect_err("infinite");
    let pointer = error.location().and_then(|location| location.pointer);
    assert_eq!(pointer.as_deref(), Some("/values/o3/0/0"), "{error}");
}

#[test]
fn sources_without_readings_are_refused_and_told_apart() {
    let header = "id,lon,lat,o3\n";
    for (text, words) in [
        ("", "test is empty"),
        (" \n\n", "test is empty"),
        (header, "test has a header but no rows"),
        ("a,b,c\n1,2,3\n", "no column of coordinates recognised; its columns are: a, b, c"),
        ("id,lon,lat,name\n1,2,3,x\n", "no column holds numbers"),
        ("id,lon,lat,o3\n1,2,3,\n", "no column holds numbers"),
        ("id,lon,lat,o3\n1,2,3,inf\n", "0 missing, 1 refused (row 2, column `o3`: infinite)"),
        ("id,lon,lat,o3\n1,,,4\n", "none of the 1 stations has a place"),
        ("id,lon,lat,time,o3\n1,2,3,noon,4\n", "1 refused (row 2: `noon` is not a time)"),
        ("id,lon,lat,o3\n1,2\n", "1 refused (row 2: 2 cells, but the header has 4)"),
        ("[]", "test is empty"),
    ] {
        let error = refusal(text, ReadOptions::default());
        assert!(error.contains(words), "{text:?}: {error}");
    }
}

#[test]
fn coordinates_out_of_range_or_not_finite_are_refused_with_their_row() {
    for (place, column, words) in [
        ("1,91", "lat", "latitude is 91; it must be within -90 and 90; are longitude and latitude"),
        ("361,1", "lon", "longitude is 361; it must be within -180 and 360"),
        ("-181,1", "lon", "longitude is -181"),
        ("NaN,1", "lon", "longitude is NaN; it must be a finite number"),
        ("1,-inf", "lat", "latitude is -inf"),
    ] {
        let text = format!("id,lon,lat,o3\na,1,1,1\nb,{place},2\n");
        let error = read(&text).expect_err(place);
        assert!(error.to_string().contains(words), "{error}");
        let location = error.location().expect("a cell");
        assert_eq!((location.row, location.column.as_deref()), (Some(3), Some(column)));
    }
    let options = ReadOptions { planar: true, ..ReadOptions::default() };
    let planar = Observations::read(vec![source("x,y,v\n4000,9999,1\n")], options);
    assert_eq!(planar.expect("metres").stations()[0].id, "#2");
}

#[test]
fn bad_cells_are_counted_and_told_and_the_rest_is_read() {
    let text = "id,lon,lat,o3\na,1,1,1\nb,2,2,inf\nc,3,3,<2\nd,east,4,5\ne,5,5\nf,,,7\n";
    let report = read(text).expect("one reading").readings_report().clone();
    assert_eq!((report.rows, report.values, report.rejected), (6, 1, 4));
    assert_eq!(report.rejected_examples[0], "row 3, column `o3`: infinite");
    assert_eq!(report.rejected_examples[1], "row 4, column `o3`: `<2` is not a number");
    assert_eq!(report.rejected_examples[2], "row 5, column `lon`: `east` is not a coordinate");
    assert_eq!(report.without_place, ["f"]);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0";
    assert!(refusal(png, ReadOptions::default()).contains("row 3: not text (a zero byte)"));
    let error = refusal(b"\xde\xad\xbe\xef\xfe", ReadOptions::default());
    assert!(error.contains("row 1: not valid UTF-8"), "{error}");
    let noise: Vec<u8> = (0..60_000_u32).map(|i| (i * 7919 % 251) as u8).collect();
    let packed = gzipped(&noise);
    let error = refusal(&packed[..packed.len() / 2], ReadOptions::default());
    assert!(error.contains("damaged or cut short"), "{error}");
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("the disk is gone"))
    }
}

#[test]
fn a_source_that_cannot_be_read_is_an_error_of_the_machine() {
    let missing = Source::File("/nowhere/readings.csv".into());
    let failing = Source::Stream { name: "test".to_owned(), reader: Box::new(Failing) };
    for source in [missing, Source::File(std::env::temp_dir()), failing] {
        let error = Observations::read(vec![source], ReadOptions::default()).expect_err("unread");
        assert!(error.is_io(), "{error}");
        assert!(error.to_string().starts_with("cannot read "), "{error}");
    }
}

#[test]
fn choices_that_are_not_there_are_refused_with_those_that_are() {
    let with = |set: fn(&mut ReadOptions)| {
        let mut options = ReadOptions::default();
        set(&mut options);
        refusal(WIDE, options)
    };
    let error = with(|o| o.variables = vec!["pm25".to_owned()]);
    assert_eq!(error, "no variable `pm25`; there are: no2, o3");
    let error = with(|o| o.times = vec!["2023".to_owned() + "-01-01"]);
    assert!(error.contains("from 2024-01-01T00:00:00Z to 2024-01-01T01:00:00Z"), "{error}");
    assert!(with(|o| o.times = vec!["soon".to_owned()]).contains("`soon` selects no times"));
    assert!(with(|o| o.zone = Some("Moon".to_owned())).contains("unknown time zone `Moon`"));
    assert!(with(|o| o.columns.x = Some("east".to_owned())).contains("no column `east`"));
    assert!(with(|o| o.max_stations = 1).contains("more than 1 stations"));
    assert!(with(|o| o.layout = Some(Layout::Long)).contains("no column of the variable"));
    let untimed = ReadOptions { times: vec!["2024-01-01".to_owned()], ..ReadOptions::default() };
    assert!(refusal("id,lon,lat,o3\na,1,1,1\n", untimed).contains("has no column of times"));
    let sources = vec![source(WIDE), source("id,lon,lat,o3\na,1,1,1\n")];
    let error = Observations::read(sources, ReadOptions::default()).expect_err("mixed");
    assert!(error.to_string().contains("read them apart"), "{error}");
}

#[test]
fn there_are_no_more_variables_columns_or_keys_than_may_be() {
    let few = |variables| ReadOptions { max_variables: variables, ..ReadOptions::default() };
    assert!(read(WIDE).is_ok());
    for text in [
        WIDE,
        r#"{"stations": [{"id": "a", "lon": 1, "lat": 1}], "values": {"no2": [[1]], "o3": [[2]]}}"#,
        r#"[{"id": "a", "lon": 1, "lat": 1, "no2": 1, "o3": 2}]"#,
    ] {
        let error = refusal(text, few(1));
        assert!(error.contains("2 variables, more than the limit of 1"), "{error}");
    }
    let wide = ReadOptions { max_stations: 10, max_variables: 10, ..ReadOptions::default() };
    let header: Vec<String> = (0..1010).map(|k| format!("v{k}")).collect();
    let error = refusal(format!("lon,lat,{}\n1,1\n", header.join(",")), wide);
    assert!(error.contains("1012 columns, more than the limit of 1010"), "{error}");
    let options = ReadOptions { max_stations: 10, max_variables: 10, ..ReadOptions::default() };
    let error = refusal(format!("lon,lat,o3\n1,1,{}\n", " ".repeat(200_000)), options);
    assert!(error.contains("bytes of one line, more than the limit of 101000"), "{error}");
    let keys: Vec<String> = (0..10_001).map(|k| format!(r#""k{k}": 1"#)).collect();
    let error = refusal(format!("[{{{}}}]", keys.join(", ")), ReadOptions::default());
    assert!(error.contains("at /0: more than 10000 keys in one record"), "{error}");
}

#[test]
fn readings_of_a_network_are_known_by_its_codes_alone() {
    let network = || ReadOptions {
        stations: Some(source("station,lon,lat\na,1,1\nb,2,2\n")),
        every_station: true,
        ..ReadOptions::default()
    };
    for text in [
        "lon,lat,o3\n7,7,1000\n",
        r#"{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"o3": 9},
            "geometry": {"type": "Point", "coordinates": [7, 7]}}]}"#,
    ] {
        let error = refusal(text, network());
        assert!(error.contains("no column of the station recognised"), "{error}");
    }
    let text = "station,lon,lat,o3\na,7,7,1\n,2,2,5\n";
    let observations = Observations::read(vec![source(text)], network()).expect("one of two");
    let codes: Vec<&str> = observations.stations().iter().map(|s| s.id.as_str()).collect();
    assert_eq!(codes, ["a", "b"], "and not where the row says it is");
    assert_eq!(step(&observations, 0), [Some(1.0), None]);
    let report = observations.readings_report();
    assert_eq!(report.rejected_examples, ["row 3: it does not say of which station it is"]);
}

#[test]
fn a_repeated_reading_follows_the_rule_or_names_both_rows() {
    let text = "id,lon,lat,o3\na,1,1,1\nb,2,2,2\na,1,1,5\n";
    let observations = read(text).expect("the mean");
    assert_eq!(step(&observations, 0), [Some(3.0), Some(2.0)]);
    assert_eq!(observations.readings_report().repeated, 1);
    let options = ReadOptions { duplicates: Duplicates::Error, ..ReadOptions::default() };
    let error = refusal(text, options);
    assert!(error.contains("station a, variable o3 has two readings"), "{error}");
    assert!(error.contains("test row 2 and test row 4"), "{error}");
}

#[test]
fn layouts_are_known_by_name() {
    for layout in Layout::ALL {
        assert_eq!(layout.name().parse(), Ok(layout));
    }
    let error = "tall".parse::<Layout>().expect_err("unknown").to_string();
    assert!(error.contains("wide, long, stations-as-columns, json"), "{error}");
}

#[test]
fn readings_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&read(WIDE).expect("read"));
}

#[test]
fn a_station_that_moved_is_two_stations() {
    let text = "id,lon,lat,time,o3\na,1,1,2024-01-01,1\na,1,1.5,2024-01-02,2\n";
    let observations = read(text).expect("read");
    assert_eq!(observations.stations().len(), 2);
    assert_eq!(step(&observations, 1), [None, Some(2.0)]);
}

#[test]
fn a_list_of_places_keeps_its_columns_as_they_are() {
    let text = "name,lat,lon,note\nx,1.50,2,\"a, b\"\ny,-3,4,\n";
    let places = Places::read(source(text), &ReadOptions::default()).expect("read");
    assert_eq!(places.header, ["name", "lat", "lon", "note"]);
    assert_eq!(places.rows[0], ["x", "1.50", "2", "a, b"]);
    assert_eq!((&places.x[..], &places.y[..]), (&[2.0, 4.0][..], &[1.5, -3.0][..]));
    for (text, words) in [
        ("name,lat,lon\nx,,1\n", "row 2: the place has no coordinates"),
        ("name,lat,lon\nx,95,1\n", "row 2, column `lat`: latitude is 95"),
        ("name,lat,lon\nx,north,1\n", "`north` is not a coordinate"),
        ("name,lat,lon\n", "has a header but no rows"),
        ("name,where\nx,y\n", "no column of coordinates recognised"),
    ] {
        let error = Places::read(source(text), &ReadOptions::default()).expect_err(text);
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = Places::from_coordinates(&[[0.0, 0.0], [0.0, 91.0]], false).expect_err("91");
    assert_eq!(error.location().and_then(|at| at.pointer).as_deref(), Some("/1/1"));
    assert!(Places::from_coordinates(&[[0.0, 91.0]], true).is_ok());
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[ -~\\n\\t,;\"0-9]{0,300}") {
        let _ = read(&text);
        let _ = read(format!("id,lon,lat,time,v\n{text}"));
        let _ = read(format!("{{{text}"));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
        let mut table = b"id,lon,lat,time,v\n".to_vec();
        table.extend(&bytes);
        let _ = read(table);
    }

    #[test]
    fn wide_and_long_tables_and_any_limit_of_memory_give_the_same_values(
        rows in prop::collection::btree_map((0..5_u32, 0..3_u32), -99..99_i32, 1..15),
        spill_bytes in 1..400_u64,
    ) {
        let (mut wide, mut long) =
            ("id,lon,lat,time,v\n".to_owned(), "id,lon,lat,time,parameter,value\n".to_owned());
        for ((station, day), value) in &rows {
            let row = format!("s{station},{station},1,2024-01-0{},", day + 1);
            wide += &format!("{row}{value}\n");
            long += &format!("{row}v,{value}\n");
        }
        let options = ReadOptions { spill_bytes, ..ReadOptions::default() };
        let (a, b) = (read(wide), Observations::read(vec![source(long)], options));
        let (a, b) = (a.expect("wide"), b.expect("long"));
        prop_assert_eq!(a.times(), b.times());
        for time in 0..a.times().len() {
            prop_assert_eq!(step(&a, time), step(&b, time));
        }
    }
}

#[test]
fn a_unit_or_a_value_that_cannot_be_is_warned_of() {
    let text = "id,lon,lat,time,parameter,value,unit\n\
        a,1,2,2024-01-01,PM2.5,5,ppb\na,1,2,2024-01-01,RH,3000,%\na,1,2,2024-01-01,O3,50,ppb\n";
    let observations = read(text).expect("read");
    let warnings = &observations.readings_report().warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("PM2.5 came in `ppb`"), "{warnings:?}");
    assert!(warnings[1].contains("RH is 3000 somewhere"), "{warnings:?}");
}
