//! The value of a plugin's parameter, as an admin gave it. It may be a secret (only the plugin's manifest knows), so it is never printed.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::secret::{PLACEHOLDER, SecretText};

/// Text, or a list of texts. Numbers and `true`/`false` in a settings file become their text.
#[derive(Clone, PartialEq, Eq)]
pub enum ParamText {
    One(SecretText),
    Many(Vec<SecretText>),
}

impl ParamText {
    pub fn new(text: impl Into<String>) -> Self {
        Self::One(SecretText::new(text))
    }

    /// The text; a list as its texts with a line break between them.
    pub fn expose(&self) -> String {
        self.texts().join("\n")
    }

    /// The list; a single text is a list of one.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::One(text) => vec![text.expose()],
            Self::Many(texts) => texts.iter().map(SecretText::expose).collect(),
        }
    }

    /// As JSON for the plugin engine: a text or an array of texts.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::One(text) => text.expose().into(),
            Self::Many(texts) => texts.iter().map(SecretText::expose).collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.texts().iter().all(|text| text.is_empty())
    }
}

impl From<&str> for ParamText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for ParamText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "[empty]" } else { PLACEHOLDER })
    }
}

/// Written as `[secret]`, since it may be one; who knows the manifest shows the others with [`ParamText::expose`].
impl Serialize for ParamText {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(text) => text.serialize(s),
            Self::Many(texts) => texts.serialize(s),
        }
    }
}

impl<'de> Deserialize<'de> for ParamText {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(ParamVisitor)
    }
}

struct ParamVisitor;

impl<'de> Visitor<'de> for ParamVisitor {
    type Value = ParamText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true, false, or a list of texts")
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ParamText, E> {
        SecretText::deserialize(serde::de::value::StrDeserializer::new(text)).map(ParamText::One)
    }
    fn visit_bool<E>(self, value: bool) -> Result<ParamText, E> {
        Ok(ParamText::new(value.to_string()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<ParamText, E> {
        Ok(ParamText::new(value.to_string()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<ParamText, E> {
        Ok(ParamText::new(value.to_string()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<ParamText, A::Error> {
        let mut texts = Vec::new();
        while let Some(item) = items.next_element::<ParamText>()? {
            match item {
                ParamText::One(text) => texts.push(text),
                ParamText::Many(_) => return Err(serde::de::Error::custom("a list inside a list is not a parameter's value")),
            }
        }
        Ok(ParamText::Many(texts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plain_value_becomes_text() {
        let read = |json: &str| serde_json::from_str::<ParamText>(json).unwrap();
        assert_eq!(read(r#""00123""#).expose(), "00123");
        assert_eq!(read("7").expose(), "7");
        assert_eq!(read("true").expose(), "true");
        assert_eq!(read(r#"["a",2]"#).to_json(), serde_json::json!(["a", "2"]));
        assert!(serde_json::from_str::<ParamText>(r#"{"a":1}"#).is_err());
        assert!(serde_json::from_str::<ParamText>(r#""[secret]""#).is_err());
    }

    #[test]
    fn a_parameter_is_never_printed() {
        let param = ParamText::new("token-of-theirs");
        assert_eq!(format!("{param:?} {}", serde_json::to_string(&param).unwrap()), r#"[secret] "[secret]""#);
    }
}
