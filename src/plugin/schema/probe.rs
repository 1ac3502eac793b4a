//! Asks a type what it reads: a deserializer that walks to one place of the document, sees what is wanted there, and stops.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// How the one who reads a location (`toml::Spanned`) calls itself and its parts.
const SPANNED: &str = "$__serde_spanned_private_Spanned";
const SPANNED_PARTS: [&str; 3] = ["$__serde_spanned_private_start", "$__serde_spanned_private_end", "$__serde_spanned_private_value"];

/// One step down the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The value of this key.
    Key(String),
    /// An element of a list.
    Element,
}

/// What is asked at the place.
#[derive(Debug, Clone, Copy)]
pub enum Question<'a> {
    /// What do you want here?
    What,
    /// Which key do you miss when only these are there?
    Missing { given: &'a [&'static str], attempt: usize },
    /// Would you take this, where you take several things?
    Takes(Sort),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Bool,
    Integer,
    Number,
    Text,
    List,
    Table,
}

/// What was seen at the place.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Struct {
        name: &'static str,
        keys: &'static [&'static str],
    },
    List,
    /// A table with any keys.
    Table,
    /// A table with these keys only.
    Keys(&'static [&'static str]),
    Bool,
    Integer,
    Number,
    Text,
    Words(&'static [&'static str]),
    /// One of several things: the type, and how it describes itself.
    Any {
        kind: &'static str,
        words: String,
    },
    Misses(&'static str),
    Complete,
    No,
    /// It could not be asked in this way.
    Unclear(String),
}

/// Why the walk ended. None of it is a fault.
#[derive(Debug)]
pub enum End {
    Stop,
    Missing(&'static str),
    Keys(&'static [&'static str]),
    Words(&'static [&'static str]),
    Sort,
    Other(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Other(why) => f.write_str(why),
            _ => write!(f, "{self:?}"),
        }
    }
}

impl std::error::Error for End {}

impl de::Error for End {
    fn custom<T: fmt::Display>(message: T) -> End {
        End::Other(message.to_string())
    }
    fn missing_field(field: &'static str) -> End {
        End::Missing(field)
    }
    fn unknown_field(_: &str, expected: &'static [&'static str]) -> End {
        End::Keys(expected)
    }
    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> End {
        End::Words(expected)
    }
    fn invalid_type(_: de::Unexpected<'_>, _: &dyn de::Expected) -> End {
        End::Sort
    }
}

/// The deserializer at one place on the way.
#[derive(Clone, Copy)]
pub struct Probe<'a> {
    pub way: &'a [Step],
    pub question: Question<'a>,
    pub seen: &'a RefCell<Option<Seen>>,
}

impl<'a> Probe<'a> {
    fn tell<T>(&self, seen: Seen) -> Result<T, End> {
        self.seen.borrow_mut().get_or_insert(seen);
        Err(End::Stop)
    }

    /// The step to take from here, or none where the question is asked.
    fn next(&self) -> Option<(&'a Step, Probe<'a>)> {
        let (step, way) = self.way.split_first()?;
        Some((step, Probe { way, ..*self }))
    }

    fn simple<T>(&self, seen: Seen) -> Result<T, End> {
        match self.way {
            [] => self.tell(seen),
            _ => Err(End::Sort),
        }
    }

    fn takes<'de, V: Visitor<'de>>(&self, sort: Sort, visitor: V) -> Result<V::Value, End> {
        let result = match sort {
            Sort::Bool => visitor.visit_bool(true),
            Sort::Integer => visitor.visit_i64(200),
            Sort::Number => visitor.visit_f64(0.5),
            Sort::Text => visitor.visit_str("?"),
            Sort::List => visitor.visit_seq(Elements(None)),
            Sort::Table => visitor.visit_map(Entries { keys: &["?"], at: 0, value: Some(*self), attempt: 0 }),
        };
        let seen = match &result {
            Err(End::Sort) => Seen::No,
            Err(End::Words(words)) if sort == Sort::Text => Seen::Words(words),
            Err(End::Keys(keys)) if sort == Sort::Table => Seen::Keys(keys),
            _ => Seen::Complete,
        };
        self.tell(seen)
    }
}

impl<'de> de::Deserializer<'de> for Probe<'_> {
    type Error = End;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        match (self.next(), self.question) {
            (Some((Step::Key(key), next)), _) => visitor.visit_map(OneEntry { key: Some(key), next }),
            (Some((Step::Element, next)), _) => visitor.visit_seq(Elements(Some(next))),
            (None, Question::Takes(sort)) => self.takes(sort, visitor),
            (None, _) => {
                struct Words<V>(V);
                impl<'de, V: Visitor<'de>> fmt::Display for Words<V> {
                    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        self.0.expecting(f)
                    }
                }
                self.tell(Seen::Any { kind: std::any::type_name::<V::Value>(), words: Words(visitor).to_string() })
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(self, name: &'static str, keys: &'static [&'static str], visitor: V) -> Result<V::Value, End> {
        if name == SPANNED {
            return visitor.visit_map(Spanned { at: 0, inner: Inner::Probe(self) });
        }
        match (self.next(), self.question) {
            (Some((Step::Key(key), next)), _) => visitor.visit_map(OneEntry { key: Some(key), next }),
            (Some(_), _) => Err(End::Sort),
            (None, Question::Missing { given, attempt }) => match visitor.visit_map(Entries { keys: given, at: 0, value: None, attempt }) {
                Ok(_) => self.tell(Seen::Complete),
                Err(End::Missing(key)) => self.tell(Seen::Misses(key)),
                Err(other) => self.tell(Seen::Unclear(other.to_string())),
            },
            (None, _) => self.tell(Seen::Struct { name, keys }),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        match self.next() {
            Some((Step::Key(key), next)) => visitor.visit_map(OneEntry { key: Some(key), next }),
            Some(_) => Err(End::Sort),
            None => self.tell(Seen::Table),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        match self.next() {
            Some((Step::Element, next)) => visitor.visit_seq(Elements(Some(next))),
            Some(_) => Err(End::Sort),
            None => self.tell(Seen::List),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, End> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, words: &'static [&'static str], _: V) -> Result<V::Value, End> {
        self.simple(Seen::Words(words))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, _: V) -> Result<V::Value, End> {
        self.simple(Seen::Bool)
    }
    fn deserialize_u8<V: Visitor<'de>>(self, _: V) -> Result<V::Value, End> {
        self.simple(Seen::Integer)
    }
    fn deserialize_u16<V: Visitor<'de>>(self, _: V) -> Result<V::Value, End> {
        self.simple(Seen::Integer)
    }
    fn deserialize_u32<V: Visitor<'de>>(self, _: V) -> Result<V::Value, End> {
        self.simple(Seen::Integer)
    }
    fn deserialize_u64<V: Visitor<'de>>(self, _: V) -> Result<V::Value, End> {
        self.simple(Seen::Integer)
    }
    fn deserialize_i64<V: Visitor<'de>>(self, _: V) -> Result<V::Value, End> {
        self.simple(Seen::Integer)
    }
    fn deserialize_f64<V: Visitor<'de>>(self, _: V) -> Result<V::Value, End> {
        self.simple(Seen::Number)
    }
    fn deserialize_str<V: Visitor<'de>>(self, _: V) -> Result<V::Value, End> {
        self.simple(Seen::Text)
    }
    fn deserialize_string<V: Visitor<'de>>(self, _: V) -> Result<V::Value, End> {
        self.simple(Seen::Text)
    }

    forward_to_deserialize_any! { i8 i16 i32 i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any }
}

/// One entry of a table, then nothing: the walk stops inside it.
struct OneEntry<'a> {
    key: Option<&'a str>,
    next: Probe<'a>,
}

impl<'de> MapAccess<'de> for OneEntry<'_> {
    type Error = End;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, End> {
        let Some(key) = self.key.take() else { return Ok(None) };
        let key: StrDeserializer<'_, End> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, End> {
        seed.deserialize(self.next)
    }
}

/// A list of one element that is walked into, or of none.
struct Elements<'a>(Option<Probe<'a>>);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = End;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, End> {
        self.0.take().map(|next| seed.deserialize(next)).transpose()
    }
}

/// Entries with harmless values, or with one that ends the walk.
struct Entries<'a> {
    keys: &'a [&'static str],
    at: usize,
    value: Option<Probe<'a>>,
    attempt: usize,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = End;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, End> {
        let Some(key) = self.keys.get(self.at) else { return Ok(None) };
        self.at += 1;
        let key: StrDeserializer<'_, End> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, End> {
        if self.value.is_some() { Err(End::Stop) } else { seed.deserialize(Harmless(self.attempt)) }
    }
}

enum Inner<'a> {
    Probe(Probe<'a>),
    Harmless(usize),
}

/// The parts of a located value; the value itself is read as if it stood alone.
struct Spanned<'a> {
    at: usize,
    inner: Inner<'a>,
}

impl<'de> MapAccess<'de> for Spanned<'_> {
    type Error = End;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, End> {
        let Some(key) = SPANNED_PARTS.get(self.at) else { return Ok(None) };
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, End> {
        self.at += 1;
        match &self.inner {
            _ if self.at < SPANNED_PARTS.len() => seed.deserialize(0u64.into_deserializer()),
            Inner::Probe(probe) => seed.deserialize(*probe),
            Inner::Harmless(attempt) => seed.deserialize(Harmless(*attempt)),
        }
    }
}

/// A value that most types take. Where several sorts are possible, each attempt tries another.
struct Harmless(usize);

impl<'de> de::Deserializer<'de> for Harmless {
    type Error = End;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        match self.0 {
            0 => visitor.visit_seq(Elements(None)),
            1 => visitor.visit_str("?"),
            2 => visitor.visit_i64(200),
            _ => visitor.visit_map(Entries { keys: &[], at: 0, value: None, attempt: self.0 }),
        }
    }
    fn deserialize_struct<V: Visitor<'de>>(self, name: &'static str, keys: &'static [&'static str], visitor: V) -> Result<V::Value, End> {
        if name == SPANNED {
            return visitor.visit_map(Spanned { at: 0, inner: Inner::Harmless(self.0) });
        }
        visitor.visit_map(Entries { keys, at: 0, value: None, attempt: self.0 })
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        visitor.visit_none()
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, End> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, words: &'static [&'static str], visitor: V) -> Result<V::Value, End> {
        let first: StrDeserializer<'_, End> = words.first().copied().unwrap_or_default().into_deserializer();
        visitor.visit_enum(first)
    }
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        visitor.visit_map(Entries { keys: &[], at: 0, value: None, attempt: self.0 })
    }
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        visitor.visit_bool(false)
    }
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        visitor.visit_seq(Elements(None))
    }
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        visitor.visit_str("?")
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        visitor.visit_str("?")
    }
    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        visitor.visit_u16(200)
    }
    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        visitor.visit_u32(1)
    }
    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, End> {
        visitor.visit_u64(1)
    }
    forward_to_deserialize_any! { i8 i16 i32 i64 i128 u8 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any }
}
