//! The pieces of a manifest that may be written in several ways: values, conditions, statuses.

use serde::de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

use super::several::ModeSpec;

/// A piece of the manifest that knows where it stands.
pub type At<T> = toml::Spanned<T>;

/// A status or a hundred of them, `"5xx"`: the inclusive range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusSpec(pub u16, pub u16);

impl<'de> Deserialize<'de> for StatusSpec {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = StatusSpec;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a status such as 429 or \"5xx\"")
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<StatusSpec, E> {
                match u16::try_from(n) {
                    Ok(n @ 100..=599) => Ok(StatusSpec(n, n)),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(n), &self)),
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<StatusSpec, E> {
                match text.as_bytes() {
                    [digit @ b'1'..=b'5', b'x', b'x'] => {
                        let first = u16::from(digit - b'0') * 100;
                        Ok(StatusSpec(first, first + 99))
                    }
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        d.deserialize_any(V)
    }
}

/// *value* of `docs/PLUGINS.md`, as written.
#[derive(Debug, Clone)]
pub enum ValueSpec {
    Text(String),
    List(Vec<At<ValueSpec>>),
    If(Box<IfSpec>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IfSpec {
    pub value: At<ValueSpec>,
    #[serde(rename = "if", default)]
    pub conditions: Conditions,
    pub mode: ModeSpec,
}

impl<'de> Deserialize<'de> for ValueSpec {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = ValueSpec;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value: text, a list of values, or { value = …, if = […] }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ValueSpec, E> {
                Ok(ValueSpec::Text(text.to_owned()))
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<ValueSpec, E> {
                Ok(ValueSpec::Text(n.to_string()))
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<ValueSpec, E> {
                Ok(ValueSpec::Text(n.to_string()))
            }
            fn visit_bool<E: de::Error>(self, b: bool) -> Result<ValueSpec, E> {
                Ok(ValueSpec::Text(b.to_string()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ValueSpec, A::Error> {
                let mut list = Vec::new();
                while let Some(value) = seq.next_element()? {
                    list.push(value);
                }
                Ok(ValueSpec::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ValueSpec, A::Error> {
                Ok(ValueSpec::If(Box::new(IfSpec::deserialize(MapAccessDeserializer::new(map))?)))
            }
        }
        d.deserialize_any(V)
    }
}

/// Conditions that must all hold: one table or a list of them.
#[derive(Debug, Clone, Default)]
pub struct Conditions(pub Vec<ConditionSpec>);

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionSpec {
    pub value: Option<At<ValueSpec>>,
    #[serde(default)]
    pub op: Op,
    pub to: Option<At<ValueSpec>>,
    pub any: Option<Vec<ConditionSpec>>,
    pub mode: ModeSpec,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    #[default]
    Eq,
    Ne,
    In,
    NotIn,
    Exists,
    Missing,
    Contains,
    NotContains,
    MatchesPrefix,
    Gt,
    Lt,
}

impl<'de> Deserialize<'de> for Conditions {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Conditions;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a condition { value = …, op = …, to = … } or a list of them")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Conditions, A::Error> {
                let mut list = Vec::new();
                while let Some(condition) = seq.next_element()? {
                    list.push(condition);
                }
                Ok(Conditions(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Conditions, A::Error> {
                Ok(Conditions(vec![ConditionSpec::deserialize(MapAccessDeserializer::new(map))?]))
            }
        }
        d.deserialize_any(V)
    }
}
