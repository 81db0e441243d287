//! Values by variable as a request gives them: by station id or in order, for one time or several.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// By variable, in the order received: rows, and whether they came as a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given(pub(crate) Vec<(String, (Vec<Row>, bool))>);

/// The values of one variable at one time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Row {
    /// As received: an id may come twice.
    ById(Vec<(String, Option<f64>)>),
    /// One a station.
    InOrder(Vec<Option<f64>>),
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByVariable;
        impl<'de> Visitor<'de> for ByVariable {
            type Value = Given;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object: values by variable")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
                let mut given: Vec<(String, (Vec<Row>, bool))> = Vec::new();
                let mut known = HashSet::new();
                while let Some((name, OfVariable(rows, is_list))) = map.next_entry::<String, _>()? {
                    if !known.insert(name.clone()) {
                        return Err(A::Error::custom(format!("variable `{name}` is given twice")));
                    }
                    given.push((name, (rows, is_list)));
                }
                Ok(Given(given))
            }
        }
        deserializer.deserialize_map(ByVariable)
    }
}

struct OfVariable(Vec<Row>, bool);

impl<'de> Deserialize<'de> for OfVariable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;
        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = OfVariable;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("values by station id, a list of values in the order of the stations, or a list of either")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OfVariable, A::Error> {
                Ok(OfVariable(vec![Row::ById(pairs(map)?)], false))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OfVariable, A::Error> {
                let (mut numbers, mut rows) = (Vec::new(), Vec::new());
                while let Some(item) = seq.next_element()? {
                    match item {
                        Item::Number(number) if rows.is_empty() => numbers.push(number),
                        Item::Row(row) if numbers.is_empty() => rows.push(row),
                        _ => {
                            return Err(A::Error::custom(
                                "a list of values, or of rows, not of both",
                            ));
                        }
                    }
                }
                let is_list = !rows.is_empty();
                let rows = if is_list { rows } else { vec![Row::InOrder(numbers)] };
                Ok(OfVariable(rows, is_list))
            }
        }
        deserializer.deserialize_any(OneOrSeveral)
    }
}

enum Item {
    Number(Option<f64>),
    Row(Row),
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, null, or a row of values")
            }

            fn visit_unit<E: Error>(self) -> Result<Item, E> {
                Ok(Item::Number(None))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Item, E> {
                Ok(Item::Number(Some(number)))
            }

            #[expect(clippy::cast_precision_loss, reason = "as every reader of JSON has it")]
            fn visit_u64<E: Error>(self, number: u64) -> Result<Item, E> {
                Ok(Item::Number(Some(number as f64)))
            }

            #[expect(clippy::cast_precision_loss, reason = "as every reader of JSON has it")]
            fn visit_i64<E: Error>(self, number: i64) -> Result<Item, E> {
                Ok(Item::Number(Some(number as f64)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Item, A::Error> {
                Ok(Item::Row(Row::ById(pairs(map)?)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Item, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(Item::Row(Row::InOrder(values)))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

fn pairs<'de, A: MapAccess<'de>>(mut map: A) -> Result<Vec<(String, Option<f64>)>, A::Error> {
    let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(0));
    while let Some(pair) = map.next_entry()? {
        pairs.push(pair);
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Vec<Row>, bool), serde_json::Error> {
        serde_json::from_str(text).map(|OfVariable(rows, is_list)| (rows, is_list))
    }

    #[test]
    fn values_come_by_id_or_in_order_once_or_several_times() {
        let by_id = Row::ById(vec![("a".into(), Some(1.5)), ("b".into(), None)]);
        let in_order = Row::InOrder(vec![Some(1.0), None, Some(-2.0)]);
        assert_eq!(read(r#"{"a": 1.5, "b": null}"#).unwrap(), (vec![by_id.clone()], false));
        assert_eq!(read("[1, null, -2]").unwrap(), (vec![in_order.clone()], false));
        let both = read(r#"[[1, null, -2], {"a": 1.5, "b": null}]"#).unwrap();
        assert_eq!(both, (vec![in_order, by_id], true));
        assert_eq!(read("[]").unwrap(), (vec![Row::InOrder(Vec::new())], false));
        for wrong in ["7", "\"x\"", "[1, [2]]", "[[1], 2]", r#"{"a": "x"}"#, "[[[1]]]", "null"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let twice = serde_json::from_str::<Given>(r#"{"v": [1], "v": [2]}"#);
        assert!(twice.unwrap_err().to_string().contains("given twice"));
    }
}
