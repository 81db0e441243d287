//! A value as it is meant, whether it came plainly or within an object that says what it is
//! (`qualifiedInputValue`: `{"value": …, "mediaType": …}`), read as it arrives.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{
    BoolDeserializer, F64Deserializer, I64Deserializer, MapAccessDeserializer,
    SeqAccessDeserializer, StringDeserializer, U64Deserializer, UnitDeserializer,
};
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

/// Reads with the seed within, past what qualifies the value.
pub(crate) struct Plain<S> {
    pub(crate) seed: S,
    /// Members have names of the client's, of which one may be `value`: then only `mediaType` or
    /// `schema`, coming first, qualify.
    pub(crate) of_names: bool,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Plain<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Plain<S> {
    type Value = S::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, or an object with `value` and `mediaType`")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<S::Value, E> {
        self.seed.deserialize(Whole(BoolDeserializer::new(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<S::Value, E> {
        self.seed.deserialize(Whole(I64Deserializer::new(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<S::Value, E> {
        self.seed.deserialize(Whole(U64Deserializer::new(value)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<S::Value, E> {
        self.seed.deserialize(Whole(F64Deserializer::new(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<S::Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<S::Value, E> {
        let value: StringDeserializer<E> = value.into_deserializer();
        self.seed.deserialize(Whole(value))
    }

    fn visit_unit<E: Error>(self) -> Result<S::Value, E> {
        self.seed.deserialize(UnitDeserializer::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<S::Value, A::Error> {
        self.seed.deserialize(Whole(SeqAccessDeserializer::new(seq)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<S::Value, A::Error> {
        let first: Option<String> = map.next_key()?;
        match first.as_deref() {
            Some("href") => Err(A::Error::custom(NO_LINKS)),
            Some("value") if !self.of_names => qualified(self.seed, map, first),
            Some("mediaType" | "schema") => qualified(self.seed, map, first),
            _ => {
                let map = Again { first, map, error: PhantomData };
                self.seed.deserialize(Whole(MapAccessDeserializer::new(map)))
            }
        }
    }
}

/// We ask no other host for anything.
pub(crate) const NO_LINKS: &str =
    "an input by `href` is not fetched: this service asks no other host; send the value itself";

fn qualified<'de, S: DeserializeSeed<'de>, A: MapAccess<'de>>(
    seed: S,
    mut map: A,
    first: Option<String>,
) -> Result<S::Value, A::Error> {
    let (mut seed, mut value, mut key) = (Some(seed), None, first);
    while let Some(name) = key {
        match name.as_str() {
            "value" => match seed.take() {
                Some(seed) => value = Some(map.next_value_seed(seed)?),
                None => return Err(A::Error::duplicate_field("value")),
            },
            "mediaType" => {
                let kind: String = map.next_value()?;
                if !kind.to_ascii_lowercase().contains("json") {
                    let text = format!("mediaType `{kind}`: this input is application/json");
                    return Err(A::Error::custom(text));
                }
            }
            "schema" | "format" | "encoding" => {
                map.next_value::<IgnoredAny>()?;
            }
            other => {
                let known = &["value", "mediaType", "schema", "format", "encoding"];
                return Err(A::Error::unknown_field(other, known));
            }
        }
        key = map.next_key()?;
    }
    value.ok_or_else(|| A::Error::missing_field("value"))
}

/// An object whose first name was looked at.
struct Again<A, E> {
    first: Option<String>,
    map: A,
    error: PhantomData<E>,
}

impl<'de, E: Error, A: MapAccess<'de, Error = E>> MapAccess<'de> for Again<A, E> {
    type Error = E;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, E> {
        match self.first.take() {
            Some(first) => {
                let first: StringDeserializer<E> = first.into_deserializer();
                seed.deserialize(first).map(Some)
            }
            None => self.map.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, E> {
        self.map.next_value_seed(seed)
    }
}

/// What is there is some: deserializers of values that exist know nothing of options.
struct Whole<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Whole<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::request::{GridRequest, PrecisionName, Values};
    use serde::Deserialize;

    fn read<'de, T: Deserialize<'de>>(text: &'de str, of_names: bool) -> Result<T, String> {
        let mut json = serde_json::Deserializer::from_str(text);
        let plain = Plain { seed: PhantomData::<T>, of_names };
        let value = plain.deserialize(&mut json).map_err(|e| e.to_string())?;
        json.end().map_err(|e| e.to_string())?;
        Ok(value)
    }

    #[test]
    fn a_value_is_the_same_plainly_and_qualified() {
        let grid = r#"{"bounds": [1, 2, 3.5, 4], "shape": [5, 6]}"#;
        let plain: Option<GridRequest> = read(grid, false).expect("a grid");
        for text in [
            format!(r#"{{"value": {grid}}}"#),
            format!(r#"{{"mediaType": "application/json", "value": {grid}}}"#),
            format!(r#"{{"value": {grid}, "schema": {{"type": "object"}}}}"#),
        ] {
            let got: Option<GridRequest> = read(&text, false).expect(&text);
            assert_eq!(got, plain, "{text}");
        }
        assert_eq!(plain.expect("some").shape, Some([5, 6]));
        assert_eq!(read::<Option<GridRequest>>("null", false), Ok(None));
        assert_eq!(read::<PrecisionName>("\"f64\"", false), Ok(PrecisionName::F64));
        assert_eq!(read::<PrecisionName>(r#"{"value": "f64"}"#, false), Ok(PrecisionName::F64));
        let values = r#"{"value": [[1, null]], "b": [[2, 3]]}"#;
        let direct: Values = serde_json::from_str(values).expect("values");
        assert_eq!(read::<Values>(values, true), Ok(direct.clone()));
        let qualified = format!(r#"{{"mediaType": "application/json", "value": {values}}}"#);
        assert_eq!(read::<Values>(&qualified, true), Ok(direct));
    }

    #[test]
    fn what_is_not_there_or_elsewhere_is_refused() {
        for (text, word) in [
            (r#"{"href": "http://10.0.0.1/secret"}"#, "not fetched"),
            (r#"{"mediaType": "application/json"}"#, "missing field `value`"),
            (r#"{"mediaType": "text/csv", "value": {}}"#, "text/csv"),
            (r#"{"value": {"bounds": [1, 2, 3, 4]}, "value": {}}"#, "duplicate"),
            (r#"{"value": {"bounds": [1, 2, 3, 4]}, "what": 1}"#, "unknown field `what`"),
            (r#"{"bound": [1, 2, 3, 4]}"#, "unknown field `bound`"),
        ] {
            let told = read::<Option<GridRequest>>(text, false).expect_err(text);
            assert!(told.contains(word), "{text}: {told}");
        }
    }
}
