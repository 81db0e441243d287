//! A flat record of JSON: keys and plain values. What is nested is no reading; it is passed over, since a value in
//! memory takes many times its bytes in the text.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Keys of one record: columns, if it were a table.
const MOST_KEYS: usize = 10_000;

/// A record.
#[derive(Debug, Default)]
pub(super) struct Record(pub(super) Map<String, Value>);

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of readings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let mut record = Map::new();
        while let Some((key, Plain(value))) = map.next_entry::<String, Plain>()? {
            record.insert(key, value);
            if record.len() > MOST_KEYS {
                return Err(A::Error::custom(format!("more than {MOST_KEYS} keys in one record")));
            }
        }
        Ok(Record(record))
    }
}

/// A plain value; of a nested one that it is there, as a text.
#[derive(Debug)]
pub(super) struct Plain(pub(super) Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainValue).map(Plain)
    }
}

struct PlainValue;

impl<'de> Visitor<'de> for PlainValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok("[…]".into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok("{…}".into())
    }
}

/// The first three elements of an array, whatever they are; the others are passed over.
#[derive(Debug, Default)]
pub(super) struct Coordinates(pub(super) Vec<Value>);

impl<'de> Deserialize<'de> for Coordinates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FirstOnes)
    }
}

struct FirstOnes;

impl<'de> Visitor<'de> for FirstOnes {
    type Value = Coordinates;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of two or three numbers")
    }

    fn visit_unit<E>(self) -> Result<Coordinates, E> {
        Ok(Coordinates::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Coordinates, A::Error> {
        let mut first = Vec::with_capacity(3);
        while first.len() < 3
            && let Some(Plain(value)) = seq.next_element()?
        {
            first.push(value);
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Coordinates(first))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_values_are_kept_and_nested_ones_are_texts() {
        let text =
            r#"{"a": 1.5, "b": -3, "c": "x", "d": null, "e": true, "f": [1, [2]], "g": {"h": []}}"#;
        let Record(got) = serde_json::from_str(text).expect("a record");
        let want =
            json!({"a": 1.5, "b": -3, "c": "x", "d": null, "e": true, "f": "[…]", "g": "{…}"});
        assert_eq!(Value::Object(got), want);
    }

    #[test]
    fn a_record_has_no_more_keys_than_a_table_columns() {
        let of = |count: usize| {
            let keys: Vec<String> = (0..count).map(|k| format!("\"k{k}\": 1")).collect();
            serde_json::from_str::<Record>(&format!("{{{}}}", keys.join(", ")))
        };
        assert_eq!(of(MOST_KEYS).expect("as many as may be").0.len(), MOST_KEYS);
        let error = of(MOST_KEYS + 1).expect_err("one more").to_string();
        assert!(error.contains("more than 10000 keys"), "{error}");
    }

    #[test]
    fn of_coordinates_the_first_three_are_kept() {
        let of = |text: &str| serde_json::from_str::<Coordinates>(text).map(|got| got.0);
        assert_eq!(of("[1, 2.5, 3, 4, 5]").expect("numbers"), [json!(1), json!(2.5), json!(3)]);
        assert_eq!(of("[[1, 2], 3]").expect("an array"), [json!("[…]"), json!(3)]);
        assert!(of("null").expect("nothing").is_empty());
        assert!(of("7").is_err());
    }
}
