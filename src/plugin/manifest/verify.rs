//! `[verify]`: how a delivery proves that the CRM sent it.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::several::{ModeSpec, Several};
use super::value::At;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifySpec {
    pub kind: VerifyKind,
    pub mode: ModeSpec,
    /// Where it is a list, every combination with the other lists is tried.
    #[serde(default)]
    pub algorithm: Several<Algorithm>,
    pub secret: Option<At<String>>,
    /// Of `ed25519` and `rsa`.
    pub public_key: Option<At<String>>,
    #[serde(default)]
    pub key_encoding: Several<KeyEncoding>,
    pub message: Option<At<Vec<String>>>,
    pub header: Option<String>,
    pub query: Option<String>,
    /// A JSONPath into the body.
    pub body: Option<At<String>>,
    #[serde(default)]
    pub encoding: Several<Encoding>,
    pub prefix: Option<At<Several<String>>>,
    /// Of `token`: only so many characters count; the 15 and 18 of one id.
    pub first: Option<usize>,
    pub if_header: Option<IfHeader>,
    pub timestamp: Option<TimestampSpec>,
    #[serde(default)]
    pub optional: bool,
    pub user: Option<At<String>>,
    /// Of `all`: the schemes that must all hold.
    #[serde(default)]
    pub of: Vec<At<String>>,
}

/// A scheme by its name, or written in place.
#[derive(Debug, Clone)]
pub enum VerifyRef {
    Named(String),
    Here(Box<VerifySpec>),
}

impl<'de> Deserialize<'de> for VerifyRef {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = VerifyRef;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a scheme in [verify], or a scheme")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<VerifyRef, E> {
                Ok(VerifyRef::Named(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<VerifyRef, A::Error> {
                VerifySpec::deserialize(MapAccessDeserializer::new(map)).map(|spec| VerifyRef::Here(Box::new(spec)))
            }
        }
        d.deserialize_any(V)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyKind {
    Hmac,
    Hash,
    Ed25519,
    Rsa,
    Token,
    Basic,
    StandardWebhooks,
    /// Every one of several schemes.
    All,
}

impl VerifyKind {
    /// Whether it is a signature, which is right or wrong in a way that only a vector shows.
    pub fn signs(self) -> bool {
        matches!(self, VerifyKind::Hmac | VerifyKind::Hash | VerifyKind::Ed25519 | VerifyKind::Rsa | VerifyKind::StandardWebhooks)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    Sha256,
    Sha1,
    Sha512,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyEncoding {
    #[default]
    Utf8,
    Hex,
    Base64,
    /// The secret's base64 is the key.
    Base64Text,
    Whsec,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    Base64,
    Hex,
    Base64OfPrefixedHex,
    Base64OfPrefixedRaw,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IfHeader {
    pub name: String,
    pub value: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestampSpec {
    /// Absent for `standard_webhooks`, whose header is fixed.
    pub header: Option<String>,
    pub query: Option<String>,
    /// A JSONPath into the body.
    pub body: Option<At<String>>,
    #[serde(default)]
    pub unit: TimestampUnit,
    pub tolerance: At<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestampUnit {
    #[default]
    S,
    Ms,
    Rfc3339,
}
