//! Reads typed settings from values that know where they stand: errors name place, key and the nearest right word.

use std::fmt;

use config::{Map, Value, ValueKind};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};

use super::layers::origin;
use super::problem::suggestion;

/// Why a value is not a setting.
#[derive(Debug)]
pub(super) struct ReadError {
    /// From the root to the value that must go for reading to get further.
    pub path: Vec<String>,
    /// The key that is missing at `path`.
    pub missing: Option<&'static str>,
    pub origin: Option<String>,
    pub message: String,
}

impl ReadError {
    fn inside(mut self, key: &str, value: &Value) -> Self {
        self.path.insert(0, key.to_owned());
        self.origin = self.origin.or_else(|| origin(value));
        self
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: Vec::new(), missing: None, origin: None, message: message.to_string() }
    }
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let what = match unexpected {
            Unexpected::Map => "a table".to_owned(),
            Unexpected::Seq => "a list".to_owned(),
            // Never the value itself: it may be a secret in the wrong place.
            Unexpected::Str(_) => "text".to_owned(),
            Unexpected::Signed(_) | Unexpected::Unsigned(_) | Unexpected::Float(_) => "a number (texts need quotes)".to_owned(),
            Unexpected::Bool(value) => format!("{value}"),
            other => other.to_string(),
        };
        let expected = match expected.to_string().as_str() {
            "a string" => "text in quotes".to_owned(),
            "a sequence" => "a list".to_owned(),
            other => other.trim_start_matches("struct ").to_owned(),
        };
        Self::custom(format!("expected {expected}, found {what}"))
    }
    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::custom(format!("unknown key{}", suggestion(field, known)))
    }
    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Self::custom(format!("`{word}` is not a choice here{}", suggestion(word, known)))
    }
    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::custom(format!("`{field}` is missing")) }
    }
}

/// Borrows a value for one reading.
pub(super) struct Reader<'v>(pub &'v Value);

impl Reader<'_> {
    fn text(&self) -> Option<&str> {
        if let ValueKind::String(text) = &self.0.kind { Some(text) } else { None }
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $kind:ty),*) => { $(
        /// Text from the environment or a file is read as the number that the setting wants.
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            match self.text() {
                Some(text) => match text.trim().parse::<$kind>() {
                    Ok(number) => visitor.$visit(number),
                    Err(_) => Err(ReadError::custom("expected a number")),
                },
                None => self.deserialize_any(visitor),
            }
        }
    )* };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.0.kind {
            ValueKind::Nil => visitor.visit_none(),
            ValueKind::Boolean(value) => visitor.visit_bool(*value),
            ValueKind::I64(number) => match u64::try_from(*number) {
                Ok(number) => visitor.visit_u64(number),
                Err(_) => visitor.visit_i64(*number),
            },
            ValueKind::U64(number) => visitor.visit_u64(*number),
            ValueKind::I128(number) => visitor.visit_i128(*number),
            ValueKind::U128(number) => visitor.visit_u128(*number),
            ValueKind::Float(number) => visitor.visit_f64(*number),
            ValueKind::String(text) => visitor.visit_str(text),
            ValueKind::Table(table) => visitor.visit_map(Entries::of(table)),
            ValueKind::Array(items) => visitor.visit_seq(Items::of(items)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.text().map(str::trim) {
            Some("true") => visitor.visit_bool(true),
            Some("false") => visitor.visit_bool(false),
            Some(_) => Err(ReadError::custom("expected true or false")),
            None => self.deserialize_any(visitor),
        }
    }

    numbers! {
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_f32 visit_f32 f32, deserialize_f64 visit_f64 f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if matches!(self.0.kind, ValueKind::Nil) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    /// A list of tables that merges by its entries' names arrives as a table; it is read in the order of the names.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.0.kind {
            ValueKind::Table(table) => visitor.visit_seq(Items { items: Entries::of(table).entries }),
            ValueKind::String(_) if self.0.origin().is_some_and(|origin| origin.starts_with("environment")) => {
                Err(ReadError::custom("the environment reaches single values only; put this list into a file"))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, ReadError> {
        match self.text() {
            Some(text) => {
                let word: StrDeserializer<'_, ReadError> = text.into_deserializer();
                visitor.visit_enum(word)
            }
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

/// A table, in the order of its keys.
struct Entries<'v> {
    entries: Vec<(String, &'v Value)>,
    next: usize,
}

impl<'v> Entries<'v> {
    fn of(table: &'v Map<String, Value>) -> Self {
        let mut entries: Vec<_> = table.iter().map(|(key, value)| (key.clone(), value)).collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Self { entries, next: 0 }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let Some((key, value)) = self.entries.get(self.next) else { return Ok(None) };
        let name: StrDeserializer<'_, ReadError> = key.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|error| error.inside(key, value))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ReadError> {
        let Some((key, value)) = self.entries.get(self.next) else { return Err(ReadError::custom("a value is missing")) };
        self.next += 1;
        seed.deserialize(Reader(value)).map_err(|error| error.inside(key, value))
    }
}

/// A list, each item with its name: the position, or the id for lists that merge.
struct Items<'v> {
    items: Vec<(String, &'v Value)>,
}

impl<'v> Items<'v> {
    fn of(items: &'v [Value]) -> Self {
        let there = items.iter().enumerate().filter(|(_, item)| !matches!(item.kind, ValueKind::Nil));
        Self { items: there.map(|(i, item)| (i.to_string(), item)).collect() }
    }
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ReadError> {
        if self.items.is_empty() {
            return Ok(None);
        }
        let (name, value) = self.items.remove(0);
        seed.deserialize(Reader(value)).map(Some).map_err(|error| error.inside(&name, value))
    }
}
