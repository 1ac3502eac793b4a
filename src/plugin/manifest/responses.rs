//! `[[responses]]`: what the CRM's answers mean.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{self, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::root::Words;
use super::several::{ModeSpec, Several};
use super::value::{At, Conditions, StatusSpec, ValueSpec};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseSpec {
    /// Which requests; absent = all.
    #[serde(rename = "for", default)]
    pub requests: Several<RequestKind>,
    pub mode: ModeSpec,
    #[serde(default)]
    pub status: Vec<StatusSpec>,
    #[serde(default)]
    pub body: Conditions,
    pub class: ResponseClass,
    pub retry_after: Option<RetryAfterSpec>,
    pub say: Option<Words>,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    Lookup,
    Find,
    WriteBack,
    #[serde(rename = "write_back.call")]
    Call,
    #[serde(rename = "write_back.note")]
    Note,
    #[serde(rename = "write_back.field")]
    Field,
    Login,
    Subscribe,
    Poll,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseClass {
    Done,
    Retry,
    RefreshToken,
    Misconfigured,
    GiveUp,
    Gone,
    NotFound,
}

/// How the CRM tells how long to wait: the unit of its Retry-After, or where else it says it.
#[derive(Debug, Clone)]
pub enum RetryAfterSpec {
    Header(WaitUnit),
    Elsewhere(Box<RetryAfterTable>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryAfterTable {
    pub header: Option<String>,
    pub body: Option<At<ValueSpec>>,
    pub wait: Option<At<String>>,
    #[serde(default)]
    pub unit: WaitUnit,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitUnit {
    /// A number of seconds; a date is read, too.
    #[default]
    Seconds,
    Milliseconds,
    /// Seconds since 1970.
    Epoch,
    EpochMs,
    Date,
    /// It means nothing.
    None,
}

impl<'de> Deserialize<'de> for RetryAfterSpec {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = RetryAfterSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a unit, or { header = …, unit = … }, { body = …, unit = … } or { wait = … }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<RetryAfterSpec, E> {
                let unit: StrDeserializer<'_, E> = text.into_deserializer();
                WaitUnit::deserialize(unit).map(RetryAfterSpec::Header)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RetryAfterSpec, A::Error> {
                RetryAfterTable::deserialize(MapAccessDeserializer::new(map)).map(|table| RetryAfterSpec::Elsewhere(Box::new(table)))
            }
        }
        d.deserialize_any(V)
    }
}
